//! The commands through the running server and, with the server stopped, in the store itself; who holds the store; and
//! the files that all of this rests on.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::harness::{Authenticator, Server, wait_for};

const REASON: &str = "lost phone, HD-4711";

/// Two people with everything that can be asked about: a factor, codes, sessions, a key. Both the same.
fn twins(server: &Server) -> [(String, Authenticator); 2] {
    ["ada@example.com", "bea@example.com"].map(|email| {
        let (_, client) = server.logged_in(email);
        let authenticator = client.enrol(server);
        client.new_backup_codes();
        server.key_of(&client, &["user:read"]).get("/api/users/@me").is(200);
        (email.to_owned(), authenticator)
    })
}

/// All commands work live and offline.
#[test]
fn what_is_asked_is_answered_the_same_live_and_stopped() {
    let mut server = Server::with_mail();
    let [(ada, _), (bea, _)] = twins(&server);
    server.staff("staff@example.com");
    let uuid = server.cli(&["user", "show", &ada, "--json"]).json()["row"]["uuid"].as_str().unwrap().to_owned();
    let questions: Vec<Vec<&str>> = vec![
        vec!["user", "list"],
        vec!["user", "list", "ada"],
        vec!["user", "list", "--state", "on"],
        vec!["user", "list", "--staff", "--limit", "1"],
        vec!["user", "list", "role:user", "2fa:on", "example", "--sort", "last-login"],
        vec!["user", "list", "mple.co", "keys", "--sort", "email-descending"],
        vec!["user", "list", "role:staff", "in:90d"],
        vec!["verify"],
        vec!["user", "show", &ada],
        vec!["user", "show", &uuid],
        vec!["user", "show", "1"],
        vec!["user", "show", "nobody@example.com"],
        vec!["2fa", "status", &ada],
        vec!["two-factor", "status", &bea],
        vec!["2fa", "codes", &ada],
        vec!["2fa", "reset", &ada, "--reason", REASON, "--dry-run"],
        vec!["2fa", "reset", &ada, "--reason", REASON, "--dry-run", "--revoke-keys", "--keep-sessions"],
        vec!["2fa", "reset", &ada, "--reason", "x", "--yes"],
        vec!["2fa", "reset", &ada, "--reason", REASON],
        vec!["key", "list", &ada],
        vec!["key", "revoke", &ada, "nothing", "--reason", REASON],
        vec!["session", "list", &ada],
        vec!["session", "revoke", &ada, "nothing", "--reason", REASON],
        vec!["audit", "list"],
        vec!["audit", "list", "--user", &ada, "--limit", "3"],
        vec!["audit", "list", "--event", "two_factor", "--before", "9"],
        vec!["audit", "list", "--operators", "--by", "nobody"],
        vec!["audit", "list", "--since", "7d", "--until", "2035-01-01", "--by", "ADA@"],
        vec!["audit", "export", "--user", &bea],
    ];
    wait_for("the outbox to be empty", || {
        [&ada, &bea]
            .iter()
            .all(|email| server.cli(&["user", "show", email, "--json"]).json()["mails_waiting"] == 0)
            .then_some(())
    });
    let ask = |server: &Server| -> Vec<(i32, String, String)> {
        questions
            .iter()
            .flat_map(|question| [question.clone(), [question.clone(), vec!["--json"]].concat()])
            .map(|question| server.cli(&question))
            .map(|answer| (answer.code, answer.out, answer.err))
            .collect()
    };
    // Else the stop makes one, which verify counts.
    server.cli(&["audit", "checkpoint"]).is(0);
    let live = ask(&server);
    server.stop();
    let offline = ask(&server);
    for (at, (live, offline)) in live.iter().zip(&offline).enumerate() {
        assert_eq!(live, offline, "{:?}", questions[at / 2]);
    }
    assert_eq!(live.iter().filter(|(code, ..)| *code == 0).count(), 2 * (questions.len() - 5));
}

/// The same for what changes something: the same command for each of two twins.
#[test]
fn changes_are_the_same_live_and_stopped() {
    let mut server = Server::with_mail();
    let [(ada, adas), (bea, beas)] = twins(&server);
    // Nobody here is the last one.
    server.staff("staff@example.com");
    let live = change(&server, &ada, &adas.foreign_code(&server), "new@example.com");
    server.stop();
    let offline = change(&server, &bea, &beas.foreign_code(&server), "other@example.com");
    for ((command, live), (_, offline)) in live.iter().zip(&offline) {
        assert_eq!(live, offline, "{command}");
    }
}

/// Every command that changes something, and the form of what it says.
fn change(server: &Server, user: &str, foreign_code: &str, new: &str) -> Vec<(String, Value)> {
    let key = server.cli(&["key", "list", user, "--json"]).json()[0]["id"].as_str().unwrap().to_owned();
    let session = server.cli(&["session", "list", user, "--json"]).json()[0]["id"].as_str().unwrap().to_owned();
    let commands: Vec<Vec<&str>> = vec![
        vec!["user", "create", "--email", new, "--first-name", "N", "--verified"],
        vec!["user", "create", "--email", new],
        vec!["user", "set", user, "--first-name", user, "--staff", "true"],
        vec!["2fa", "unlock", user, "--reason", REASON],
        vec!["2fa", "explain", user, foreign_code],
        vec!["2fa", "explain", user, "nonsense"],
        vec!["2fa", "codes", user, "--revoke", "--yes", "--reason", REASON],
        vec!["key", "create", "--user", user, "--label", "made", "--scope", "user:read", "--scope", "user:write"],
        vec!["key", "revoke", user, &key, "--reason", REASON],
        vec!["session", "revoke", user, &session, "--reason", REASON],
        vec!["session", "revoke", user, "--all", "--yes", "--reason", REASON],
        vec!["2fa", "reset", user, "--reason", REASON, "--verified-by", "call-back", "--revoke-keys", "--yes"],
        vec!["2fa", "status", user],
        vec!["2fa", "reset", user, "--reason", REASON, "--yes"],
        vec!["user", "deactivate", user, "--reason", REASON],
        vec!["user", "deactivate", user, "--undo", "--reason", REASON],
        vec!["user", "show", user],
        vec!["audit", "list", "--user", user],
    ];
    commands
        .into_iter()
        .map(|command| {
            let answer = server.cli(&[command.clone(), vec!["--json"]].concat());
            let said: Value = serde_json::from_str(if answer.code == 0 { &answer.out } else { &answer.err })
                .unwrap_or_else(|error| panic!("{command:?}: {error}: {answer:?}"));
            (command.join(" "), json!({"code": answer.code, "said": form(&said)}))
        })
        .collect()
}

/// A value without what differs from one person and moment to the next.
fn form(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(form).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), form(value))).collect(),
        Value::Number(_) => json!(0),
        // Words of the program stay; what has a digit or an address in it is somebody's.
        Value::String(text) if text.bytes().any(|byte| byte.is_ascii_digit() || byte == b'@') => json!("..."),
        // A server sends what the stopped store keeps.
        Value::String(text) if text == "queued" || text == "handed_over" => json!("..."),
        Value::String(text) if text.starts_with("phx_") || text.len() > 30 && !text.contains(' ') => json!("..."),
        other => other.clone(),
    }
}

/// A command that has the store and waits for its input.
fn holder(server: &Server, user: &str) -> Child {
    let mut command = server.command(&["2fa", "enrol", user, "--reason", REASON]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains(user), "{line}");
    child
}

/// Starting the server while something else has the store says what has it.
#[test]
fn who_holds_the_store_is_named() {
    let mut server = Server::start();
    server.user("ada@example.com");
    server.stop();
    let mut child = holder(&server, "ada@example.com");
    let name = format!("command line, process {}, since 20", child.id());
    let refused = server.cli(&["serve"]).is(5);
    assert!(refused.err.contains(&name) && refused.err.contains("stop that first"), "{refused:?}");
    assert_eq!(refused.out, "");
    let refused = server.cli(&["serve", "--json"]).is(5);
    let last: Value = serde_json::from_str(refused.err.lines().last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "store_locked", "{refused:?}");
    let refused = server.cli(&["user", "list"]).is(5);
    assert!(refused.err.contains(&name), "{refused:?}");

    drop(child.stdin.take());
    child.wait().unwrap();
    server.start_again();
    let refused = server.cli(&["serve"]).is(5);
    assert!(refused.err.contains("server, process"), "{refused:?}");
    server.cli(&["user", "list"]).is(0);
}

/// A holder that was killed holds nothing, and a socket that was left behind is nobody's.
#[test]
fn what_a_kill_leaves_behind_is_in_nobodys_way() {
    let mut server = Server::start();
    server.user("ada@example.com");
    server.kill();
    assert!(server.data_dir().join("admin.sock").exists());
    server.cli(&["user", "show", "ada@example.com"]).is(0);
    let mut child = holder(&server, "ada@example.com");
    child.kill().unwrap();
    child.wait().unwrap();
    server.start_again();
    server.cli(&["user", "show", "ada@example.com"]).is(0);
    server.stop();
    assert!(!server.data_dir().join("admin.sock").exists());
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What others may read, write or enter below a folder that they may enter.
fn open_to_others(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if mode(&path) & 0o077 != 0 {
            found.push(format!("{} {:o}", path.display(), mode(&path)));
        }
    }
    found
}

/// Only their owner may read them.
#[test]
fn the_files_are_the_owners_alone() {
    let server = Server::with_mail();
    let (_, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    server.wait_for_mail("ada@example.com", "enabled 2FA");
    let data = server.data_dir();
    assert_eq!(mode(&data), 0o700);
    for file in ["admin.sock", "secret.key", "doorward.lock"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
}

/// A folder that was there before, and that others may look into.
#[test]
fn an_open_folder_opens_nothing() {
    let mut server = Server::builder().mail_file().stopped();
    let data = server.data_dir();
    std::fs::DirBuilder::new().mode(0o755).create(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    server.start_again();
    let (_, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    server.wait_for_mail("ada@example.com", "enabled 2FA");
    assert_eq!(open_to_others(&data), Vec::<String>::new());
}

/// Without its key a store is of no use, and with another one it would come to harm.
#[test]
fn another_secret_key_is_refused() {
    let mut server = Server::start();
    let (person, client) = server.logged_in("ada@example.com");
    let mut authenticator = client.enrol(&server);
    server.stop();
    let file = server.data_dir().join("secret.key");
    let key = std::fs::read_to_string(&file).unwrap();
    server.secret(key.trim());
    let refused = |words: &str| {
        for command in [["user", "list"].as_slice(), &["serve"]] {
            let refused = server.cli(command).is(1);
            let last = refused.err.lines().last().unwrap();
            assert!(last.contains("secret.key") && last.contains(words), "{refused:?}");
        }
    };
    std::fs::remove_file(&file).unwrap();
    refused("is missing");
    assert!(!file.exists(), "no new key is made for an old store");
    std::fs::write(&file, format!("{}\n", "5a".repeat(32))).unwrap();
    refused("does not hold the secret key");
    for broken in ["", "nonsense\n", &key[..key.len() - 3]] {
        std::fs::write(&file, broken).unwrap();
        refused("does not hold a secret key");
    }
    std::fs::write(&file, key).unwrap();
    server.start_again();
    let login = server.client();
    login.login(&person).wants_second_factor();
    login.post("/api/login/token", json!({"token": authenticator.code(&server)})).is(200);
}

/// The socket takes nonsense as calmly as the HTTP API does.
#[test]
fn nonsense_on_the_socket_does_no_harm() {
    let server = Server::start();
    server.user("ada@example.com");
    let head = "doorward-protocol: 1\r\nhost: a\r\nconnection: close\r\n";
    let large = "x".repeat(2 * 1024 * 1024);
    let post = |name: &str, body: &str| {
        format!("POST /op/{name} HTTP/1.1\r\n{head}content-length: {}\r\n\r\n{body}", body.len())
    };
    let list_audit = |event: &str, before: &str, limit: &str| {
        format!(
            "{{\"filter\":{{\"user\":null,\"actor\":null,\"event\":{event},\"since\":null,\"until\":null,\
             \"operators_only\":false}},\"before\":{before},\"limit\":{limit}}}"
        )
    };
    let cases = [
        ("nonsense\r\n\r\n".to_owned(), "400"),
        ("GET /hello HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), "422"),
        ("GET /hello HTTP/1.1\r\ndoorward-protocol: 2\r\nconnection: close\r\n\r\n".to_owned(), "422"),
        (format!("GET /hello HTTP/1.1\r\n{head}\r\n"), "200"),
        (format!("GET /nothing HTTP/1.1\r\n{head}\r\n"), "422"),
        (format!("GET /op/list_audit HTTP/1.1\r\n{head}\r\n"), "422"),
        (post("nothing", "{}"), "422"),
        (post("update_user", "{\"user\":\"1\",\"fields\":{}}"), "422"),
        (post("find_users", ""), "422"),
        (post("find_users", "[]"), "422"),
        (post("find_users", "{\"query\": 1}"), "422"),
        (post("list_audit", &list_audit("null", "0", "0")), "200"),
        (post("list_audit", &list_audit("\"\"", "18446744073709551615", "99999999")), "200"),
        (post("inspect_user", "{\"user\":\"\"}"), "422"),
        (post("inspect_user", "{\"user\":\"18446744073709551616\"}"), "422"),
        (post("inspect_user", "{\"user\":\"\\u0000\"}"), "422"),
        (post("inspect_user", "{\"user\":\"@me\"}"), "422"),
        (post("find_users", &large), "422"),
    ];
    for (request, status) in cases {
        let mut socket = UnixStream::connect(server.data_dir().join("admin.sock")).unwrap();
        drop(socket.write_all(request.as_bytes()));
        let mut said = Vec::new();
        drop(socket.read_to_end(&mut said));
        let said = String::from_utf8(said).unwrap();
        let shown: String = request.chars().take(200).collect();
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{shown:?}: {said}");
    }
    server.cli(&["user", "list"]).is(0);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// An operator's commands while the server stops do not keep it, and the server does not lose them.
#[test]
fn a_server_that_stops_hands_over_the_store() {
    let mut server = Server::start();
    server.user("ada@example.com");
    std::thread::scope(|scope| {
        let server = &server;
        let threads: Vec<_> = (0..6)
            .map(|n| {
                scope.spawn(move || {
                    let name = format!("made{n}@example.com");
                    server.cli(&["user", "create", "--email", &name, "--json"])
                })
            })
            .collect();
        server.terminate();
        for thread in threads {
            let made = thread.join().unwrap();
            // 5: the store was another's for too long; the message says whose.
            assert!(matches!(made.code, 0 | 5), "{made:?}");
        }
    });
    server.ends_with(0);
    server.start_again();
    server.cli(&["user", "list"]).is(0);
}
