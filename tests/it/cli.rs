//! The command line as scripts see it: exit codes, `--json`, what needs a terminal, configuration.

use std::io::{Read, Write};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::{Value, json};

use crate::harness::{CliOutput, Server};

const REASON: &str = "lost phone, HD-4711";

trait CliChecks {
    fn is_failure(self, code: i32, words: &str) -> Self;
    fn is_json_failure(self, code: i32, word: &str) -> Self;
}

impl CliChecks for CliOutput {
    /// One line on standard error, and nothing on standard output.
    #[track_caller]
    fn is_failure(self, code: i32, words: &str) -> Self {
        let line = self.err.trim_end();
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        assert!(line.starts_with("doorward: ") && line.contains(words) && !line.contains('\n'), "{self:?}");
        self
    }

    #[track_caller]
    fn is_json_failure(self, code: i32, word: &str) -> Self {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        let said: Value = serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert_eq!(said["error"]["code"], word, "{self:?}");
        assert!(said["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        assert_eq!((said.as_object().unwrap().len(), said["error"].as_object().unwrap().len()), (1, 2), "{self:?}");
        self
    }
}

/// Both forms of one failure.
#[track_caller]
fn fails(server: &Server, arguments: &[&str], code: i32, words: &str, word: &str) {
    server.cli(arguments).is_failure(code, words);
    server.cli(&[arguments, &["--json"]].concat()).is_json_failure(code, word);
}

/// 0, 1, 2, 3, 4, 5.
#[test]
fn every_failure_has_its_exit_code() {
    let mut server = Server::builder().stopped();
    fails(&server, &["user", "list"], 5, "there is no store in", "no_connection");
    fails(&server, &["config", "path"], 1, "no configuration file is in use", "error");
    server.start_again();
    for is_live in [true, false] {
        let user = if is_live { "ada@example.com" } else { "bea@example.com" };
        let created = server.cli(&["user", "create", "--email", user, "--json"]).json();
        assert!(created["set_password_link"].as_str().unwrap().contains("/reset/"), "{created}");
        fails(&server, &["user", "show", "nobody@example.com"], 3, "nobody@example.com", "not_found");
        fails(&server, &["key", "revoke", user, "nothing", "--reason", REASON], 3, "", "not_found");
        fails(&server, &["user", "create", "--email", user], 4, "already an account", "unique");
        fails(&server, &["user", "create", "--email", "nonsense"], 4, "valid email", "invalid_input");
        fails(&server, &["2fa", "reset", user, "--reason", "x", "--yes"], 4, "reason", "reason_too_short");
        fails(&server, &["user", "set", user], 2, "at least one field", "usage");
        if is_live {
            server.stop();
        }
    }
}

/// Wrong usage is 2, in the words of the argument parser.
#[test]
fn wrong_usage_is_two() {
    let server = Server::builder().stopped();
    for arguments in [
        vec![],
        vec!["nonsense"],
        vec!["user"],
        vec!["user", "show"],
        vec!["user", "list", "--state", "nonsense"],
        vec!["user", "list", "--limit", "0"],
        vec!["user", "list", "role:nonsense"],
        vec!["job", "draft", "--kind", "remind", "--query", "2fa:none"],
        vec!["user", "create", "--email", "a@example.com", "--password", "in the arguments"],
        vec!["2fa", "reset", "ada@example.com"],
        vec!["2fa", "codes", "ada@example.com", "--revoke"],
        vec!["session", "revoke", "ada@example.com", "--reason", REASON],
        vec!["serve", "-q", "-v"],
    ] {
        let refused = server.cli(&arguments).is(2);
        assert_eq!(refused.out, "");
        server.cli(&[arguments, vec!["--json"]].concat()).is_json_failure(2, "usage");
    }
    assert!(!server.data_dir().exists(), "nothing is made for a command that is none");
}

/// Without a terminal and without `--yes` a reset is refused.
#[test]
fn a_reset_wants_a_terminal_or_a_yes() {
    let mut server = Server::start();
    let (_, client) = server.logged_in("ada@example.com");
    client.enrol(&server);
    for is_live in [true, false] {
        let before = server.cli(&["user", "show", "ada@example.com", "--json"]).json();
        let arguments = ["2fa", "reset", "ada@example.com", "--reason", REASON];
        fails(&server, &arguments, 2, "--yes", "usage");
        let refused = server.cli_with_input(&arguments, "yes\n");
        assert_eq!(refused.code, 2, "a pipe is nobody who was asked: {refused:?}");
        let preview = server.cli(&[&arguments[..], &["--dry-run", "--revoke-keys", "--json"]].concat()).json();
        assert_eq!((&preview["dry_run"], &preview["totp_removed"]), (&true.into(), &true.into()), "{preview}");
        assert_eq!(server.cli(&["user", "show", "ada@example.com", "--json"]).json(), before, "nothing has changed");
        if is_live {
            client.get("/api/users/@me").is(200);
            server.stop();
        }
    }
    server.cli(&["2fa", "reset", "ada@example.com", "--reason", REASON, "--yes"]).is(0);
    server.start_again();
    client.get("/api/users/@me").is_anonymous();
}

/// A script that has no terminal is told what to use instead.
#[test]
fn the_console_wants_a_terminal() {
    let server = Server::builder().stopped();
    fails(&server, &["console"], 2, "doorward user list", "usage");
    fails(&server, &["console", "ada"], 2, "doorward user list ada", "usage");
}

/// A misspelt key is an error that names its place and the nearest key.
#[test]
fn a_wrong_setting_is_refused() {
    let server = Server::builder().stopped();
    let file = server.data_dir().with_file_name("config.toml");
    for (text, words) in [
        ("[server]\nmax_body_bytes = 1\nmax_conections = 7\n", "config.toml:3: unknown key `server.max_conections`"),
        ("[server]\nmax_conections = 7\n", "the nearest valid key is `server.max_connections`"),
        ("[sever]\n", "config.toml:1: unknown"),
        ("\n[two_factor]\nbackup_codes = \"ten\"\n", "config.toml:3: bad value for `two_factor.backup_codes`"),
        ("[limits]\nlogin_precheck = \"often\"\n", "config.toml:2: bad value for `limits.login_precheck`"),
        ("[server\n", "config.toml:1:"),
        ("[server]\nrequest_timeout_ms = -1\n", "config.toml:2:"),
    ] {
        std::fs::write(&file, text).unwrap();
        for command in [["config", "check"].as_slice(), &["serve"], &["user", "list"]] {
            fails(&server, command, 78, words, "configuration");
        }
    }
    std::fs::write(&file, "[server]\nmax_connections = 7\n").unwrap();
    let checked = server.cli(&["config", "check", "--json"]).json();
    assert_eq!(checked["ok"], true, "{checked}");
    assert_eq!(server.cli(&["config", "print", "--json"]).json()["server"]["max_connections"], 7);
    std::fs::remove_file(&file).unwrap();
    fails(&server, &["serve", "--config", "nowhere.toml"], 78, "nowhere.toml", "configuration");
    let misspelt = server.command(&["config", "check"]).env("DOORWARD__SERVER__LISTNE", "x").output().unwrap();
    let said = String::from_utf8(misspelt.stderr).unwrap();
    assert_eq!(misspelt.status.code(), Some(78), "{said}");
    assert!(said.contains("DOORWARD__SERVER__LISTNE") && said.contains("server.listen"), "{said}");
}

/// A port that somebody else has.
#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let server = Server::builder().setting("server.listen", &address).stopped();
    let refused = server.cli(&["serve"]).is(1);
    assert!(refused.err.lines().last().unwrap().contains(&address), "{refused:?}");
    // The store was closed again.
    server.cli(&["user", "list"]).is(0);
}

/// Help and version are answers; completions and the manual need no store.
#[test]
fn help_is_an_answer() {
    let server = Server::builder().stopped();
    for arguments in [
        vec!["help"],
        vec!["help", "user", "list"],
        vec!["2fa", "-h"],
        vec!["-V"],
        vec!["--help"],
        vec!["--version"],
        vec!["user", "create", "--help"],
        vec!["completions", "bash"],
        vec!["man"],
    ] {
        let answer = server.cli(&arguments).is(0);
        assert!(answer.out.contains("doorward") && answer.err.is_empty(), "{answer:?}");
    }
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
fn a_password_ends_with_its_line() {
    let server = Server::start();
    let create = ["user", "create", "--password-stdin", "--email"];
    for (email, input) in [("a@example.com", "correct horse 9 "), ("b@example.com", "correct horse 9 \r\nmore\n")] {
        server.cli_with_input(&[&create[..], &[email]].concat(), input).is(0);
        let body = json!({"email": email, "password": "correct horse 9 "});
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
    client.post("/api/personal_api_keys", json!({"label": label, "scopes": ["user:read"]})).is(201);
    for arguments in [&["key", "list", "ada@example.com"][..], &["key", "list", "ada@example.com", "--json"]] {
        let shown = server.cli(arguments).is(0).out;
        assert!(!shown.contains(['\u{9b}', '\u{1b}', '\u{202e}']), "{shown:?}");
    }
    assert_eq!(server.cli(&["key", "list", "1", "--json"]).json()[0]["label"], label);
}
