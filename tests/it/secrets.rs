//! product.md §7, spec §7.4 row 51: no secret is readable where it does not belong. That none is in the log is checked
//! by the harness after every test.

use std::path::Path;

use serde_json::json;

use crate::harness::Server;

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
    let pending = client.get("/api/users/@me/two_factor_start_setup").is(200).json();
    client.enrol(&server);
    let codes = client.new_backup_codes();
    let key = server.key_of(&client, &["*"]);
    client.patch("/api/users/@me", json!({"email": "new@example.com"})).is(200);
    let mail = server.wait_for_mail("new@example.com", "Verify");
    let cookie = client.cookie("sessionid").unwrap();
    server.stop();

    let bytes = contents(&server.data_dir().join("store"));
    assert!(has(&bytes, b"ada@example.com"), "the store is where this test looks");
    let mut secrets =
        vec![person.password.as_str(), key.key(), &cookie, mail.token(), pending["secret"].as_str().unwrap()];
    secrets.extend(codes.iter().map(String::as_str));
    for secret in secrets {
        assert!(!has(&bytes, secret.as_bytes()), "`{secret}` is in the store");
    }
}

/// product.md §5: what the data folder may be read by.
#[test]
fn only_the_owner_reads_the_data() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::with_mail();
    let mode = |path: &str| std::fs::metadata(server.data_dir().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("secret.key"), 0o600);
    assert_eq!(mode("admin.sock"), 0o600);
}
