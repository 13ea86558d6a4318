//! The command line as scripts and people meet it: product contract, section 4.

use std::io::{Read, Write};
use std::process::Command;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::Value;

use super::harness::Server;

const REASON: [&str; 2] = ["--reason", "lost phone, HD-4711"];

/// Fails with this exit code and, with `--json`, this word.
#[track_caller]
fn fails(server: &Server, arguments: &[&str], code: i32, word: &str) {
    let plain = server.cli(arguments).is(code);
    assert_eq!((plain.out.as_str(), plain.err.is_empty()), ("", false), "{arguments:?}");
    let answer = server.cli(&[arguments, &["--json"]].concat()).is(code);
    let error: Value = serde_json::from_str(&answer.err).unwrap();
    assert_eq!((answer.out.as_str(), error["error"]["code"].as_str()), ("", Some(word)), "{error}");
    assert!(error["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
}

#[test]
fn exit_codes_tell_what_kind_of_failure_it_was() {
    let mut server = Server::start();
    server.user("ada@example.com");
    for is_running in [true, false] {
        if !is_running {
            server.stop();
        }
        fails(&server, &["2fa", "status"], 2, "usage");
        fails(&server, &["user", "frobnicate"], 2, "usage");
        fails(&server, &["user", "set", "ada@example.com"], 2, "usage");
        fails(&server, &[&["2fa", "reset", "ada@example.com"], &REASON[..]].concat(), 2, "usage");
        fails(&server, &["user", "show", "nobody@example.com"], 3, "not_found");
        fails(&server, &["audit", "list", "--user", "99"], 3, "not_found");
        fails(&server, &["user", "create", "--email", "ada@example.com"], 4, "unique");
        fails(&server, &["key", "create", "--user", "1", "--label", "ci", "--scope", "x"], 4, "invalid_input");
    }
    fails(&server, &["user", "list", "--data-dir", "nowhere"], 5, "no_connection");
    fails(&server, &["user", "list", "--config", "nowhere.toml"], 78, "configuration");
}

#[test]
fn every_list_has_an_empty_state() {
    let server = Server::start();
    assert!(server.cli(&["user", "list"]).is(0).out.starts_with("no user"));
    server.user("ada@example.com");
    for command in [["key", "list"], ["session", "list"], ["2fa", "codes"]] {
        let shown = server.cli(&[&command[..], &["ada@example.com"]].concat()).is(0).out;
        assert!(shown.starts_with("no "), "{command:?}: {shown}");
        server.cli(&[&command[..], &["ada@example.com", "--json"]].concat()).json();
    }
    assert_eq!(server.cli(&["user", "list", "nobody", "--json"]).json()["rows"], Value::Array(Vec::new()));
    assert!(server.cli(&["user", "list", "--staff"]).is(0).out.starts_with("no user"));
    assert!(server.cli(&["audit", "list", "--event", "nothing"]).is(0).out.starts_with("nothing "));
}

#[test]
fn help_is_there_however_it_is_asked_for() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_doorward")).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    for arguments in [&["help"][..], &["-h"], &["--help"], &["help", "user", "list"], &["user", "help"], &["2fa", "-h"]]
    {
        let (code, shown) = run(arguments);
        assert_eq!((code, shown.contains("Usage: doorward")), (Some(0), true), "{arguments:?}: {shown}");
    }
    assert_eq!(run(&["-V"]), run(&["--version"]));
    assert!(run(&["--version"]).1.starts_with("doorward "));
}

#[test]
fn a_password_ends_with_its_line() {
    let server = Server::start();
    let create = ["user", "create", "--password-stdin", "--email"];
    for (email, input) in [("a@example.com", "correct horse 9 "), ("b@example.com", "correct horse 9 \r\nmore\n")] {
        server.cli_with_input(&[&create[..], &[email]].concat(), input).is(0);
        let body = serde_json::json!({"email": email, "password": "correct horse 9 "});
        server.client().post("/api/login", body).is(200);
    }
    server.cli_with_input(&[&create[..], &["c@example.com"]].concat(), "\n").is(2);
}

#[test]
fn a_password_typed_at_a_terminal_is_not_shown() {
    let server = Server::start();
    let pty = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_doorward"));
    command.args(["user", "create", "--email", "ada@example.com", "--password-stdin", "--data-dir"]);
    command.arg(server.data_dir());
    let mut child = pty.slave.spawn_command(command).unwrap();
    drop(pty.slave);
    let mut terminal = pty.master.try_clone_reader().unwrap();
    let mut shown = String::new();
    let mut read = |until: &str| {
        let mut bytes = [0; 1024];
        // A terminal whose other end is closed is an error on some systems.
        while !shown.contains(until) {
            let Ok(count @ 1..) = terminal.read(&mut bytes) else { break };
            shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        assert!(shown.contains(until), "{shown}");
        shown.clone()
    };
    read("password: ");
    pty.master.take_writer().unwrap().write_all(b"correct horse 9 staple\n").unwrap();
    let shown = read("created ada@example.com");
    assert!(!shown.contains("horse"), "{shown}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn foreign_text_is_shown_escaped() {
    let server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    let label = "ci \u{9b}31m\u{1b}[2J\u{202e}";
    client.post("/api/personal_api_keys", serde_json::json!({"label": label, "scopes": ["user:read"]})).is(201);
    for arguments in [&["key", "list", "ada@example.com"][..], &["key", "list", "ada@example.com", "--json"]] {
        let shown = server.cli(arguments).is(0).out;
        assert!(!shown.contains(['\u{9b}', '\u{1b}', '\u{202e}']), "{shown:?}");
    }
    assert_eq!(server.cli(&["key", "list", "1", "--json"]).json()[0]["label"], label);
}
