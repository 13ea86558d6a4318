//! Spec §7.4 row 51: no secret is readable where it does not belong. That none is in the log is checked
//! by the harness after every test.

use std::path::Path;

use serde_json::json;

use crate::harness::{Authenticator, Server};

/// Every byte under a folder.
fn contents(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes.extend(contents(&path));
        } else if path.is_file() {
            bytes.extend(std::fs::read(&path).unwrap());
        }
    }
    bytes
}

fn has(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}

/// Spec §7.4 row 51; W-5, W-15.
#[test]
fn the_store_has_no_secret_in_clear() {
    let mut server = Server::with_mail();
    let (person, client) = server.logged_in("ada@example.com");
    let start = || client.get("/api/users/@me/two_factor_start_setup").is(200).json()["secret"].clone();
    let enrolled = start();
    let mut authenticator = Authenticator::new(enrolled.as_str().unwrap());
    client.post("/api/users/@me/two_factor_validate", json!({"token": authenticator.code(&server)})).is(200);
    let pending = start();
    let codes = client.new_backup_codes();
    let login = server.client();
    login.login(&person).wants_second_factor();
    let remembered = login.post("/api/login/token", json!({"token": authenticator.code(&server)})).is(200);
    let remembered = remembered.set_cookie("remember-cookie_").unwrap();
    let remembered = remembered.split_once('=').unwrap().1.split(';').next().unwrap();
    server.client().post("/api/reset", json!({"email": person.email})).is(204);
    let reset = server.wait_for_mail(&person.email, "Reset your Doorward password");
    let key = server.key_of(&client, &["*"]);
    client.patch("/api/users/@me", json!({"email": "new@example.com"})).is(200);
    let mail = server.wait_for_mail("new@example.com", "Verify");
    let cookie = client.cookie("sessionid").unwrap();
    server.stop();

    let bytes = contents(&server.data_dir().join("store"));
    assert!(has(&bytes, b"ada@example.com"), "the store is where this test looks");
    let mut secrets = vec![person.password.as_str(), key.key(), &cookie, mail.token(), reset.token(), remembered];
    secrets.extend([&enrolled, &pending].map(|secret| secret.as_str().unwrap()));
    secrets.extend(codes.iter().map(String::as_str));
    for secret in secrets {
        assert!(!has(&bytes, secret.as_bytes()), "`{secret}` is in the store");
    }
    for secret in [&authenticator, &Authenticator::new(pending.as_str().unwrap())] {
        assert!(!has(&bytes, secret.secret()), "the bytes of a secret are in the store");
    }
}

/// What the data folder may be read by.
#[test]
fn only_the_owner_reads_the_data() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::with_mail();
    let mode = |path: &str| std::fs::metadata(server.data_dir().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("secret.key"), 0o600);
    assert_eq!(mode("admin.sock"), 0o600);
}

/// A secret key that others may read is told of, when the configuration is checked and at each start.
#[test]
fn an_open_secret_key_is_told_of() {
    use std::os::unix::fs::PermissionsExt;
    let mut server = Server::start();
    let key = server.data_dir().join("secret.key");
    let words = "is open to others than its owner";
    assert!(!server.cli(&["config", "check"]).is(0).out.contains(words));
    assert!(!server.log().contains(words));
    server.kill();
    for mode in [0o640, 0o604] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let told = server.cli(&["config", "check"]).is(0).out;
        assert!(told.contains(words) && told.contains(&format!("mode {mode:o}")), "{told}");
        server.start_again();
        server.wait_for_log(words);
        server.kill();
    }
}
