//! The console line by line: through pipes, and on a terminal that can show no screen.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::json;

use super::harness::Server;
use super::pty::Pty;

const PATIENCE: Duration = Duration::from_secs(30);

/// A conversation through pipes.
struct Talk {
    child: Child,
    keyboard: ChildStdin,
    heard: Receiver<String>,
    all: String,
}

impl Talk {
    fn open(server: &Server, arguments: &[&str]) -> Self {
        let mut child = server
            .command(&[&["console", "--plain", "--operator", "jdoe"], arguments].concat())
            .env("TERM", "dumb")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, heard) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { keyboard: child.stdin.take().unwrap(), child, heard, all: String::new() }
    }

    fn says(&mut self, line: &str) -> &mut Self {
        writeln!(self.keyboard, "{line}").unwrap();
        self.keyboard.flush().unwrap();
        self
    }

    /// Waits for a line that holds this.
    #[track_caller]
    fn hears(&mut self, text: &str) -> &mut Self {
        loop {
            match self.heard.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.all.push_str(&line);
                    self.all.push('\n');
                    if line.contains(text) {
                        return self;
                    }
                }
                Err(error) => panic!("waited in vain for {text:?} ({error}):\n{}", self.all),
            }
        }
    }

    fn ends_with(&mut self, code: i32) {
        assert_eq!(self.child.wait().unwrap().code(), Some(code), "{}", self.all);
        assert!(!self.all.contains('\u{1b}'), "nothing moves the cursor:\n{}", self.all);
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It has mostly ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_reset_line_by_line() {
    let server = Server::with_mail();
    let (person, client) = server.logged_in("anna.smith@corp.example.com");
    client.enrol(&server);
    let mut talk = Talk::open(&server, &[]);
    talk.hears("Link: live").says("find anna.smi").hears("1. anna.smith@corp.example.com");
    talk.says("reset 1").hears("writes are off").says("writes on").hears("Writes are on");
    talk.says("reset 1").hears("remove the TOTP device");
    for answer in ["2", "lost phone, ticket HD-4711", "yes", "no", "anna.smith", "yes"] {
        talk.says(answer);
    }
    talk.hears("Done, audit #").hears("Tell the caller").says("quit").hears("Good-bye").ends_with(0);

    let audit = server.cli(&["audit", "list", "--user", &person.email, "--event", "two_factor.reset", "--json"]).json();
    let entry = &audit["rows"][0];
    assert_eq!(entry["reason"], "lost phone, ticket HD-4711", "{audit}");
    assert_eq!(entry["verified_by"], "call-back to number on file");
    assert_eq!(entry["actor"]["name"], "jdoe");
    let status = server.cli(&["2fa", "status", &person.email, "--json"]).json();
    assert_eq!(status["factor"]["state"], json!("enrol"));
}

#[test]
fn lines_from_a_file_are_answered_one_after_the_other() {
    let server = Server::start();
    server.user("tom.ng@edu.example.com");
    let lines = "find tom\nshow 1\nhome\naudit user.created\nquit\n";
    let said = server.cli_with_input(&["console", "--plain", "--read-only"], lines).is(0);
    for text in ["1 user of 1", "2FA: off", "staff: 0 of 0 have 2FA", "tom.ng@edu.example.com"] {
        assert!(said.out.contains(text), "{text}\n{}", said.out);
    }
}

#[test]
fn the_trail_goes_to_a_file_of_the_operators_own() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start();
    server.user("tom.ng@edu.example.com");
    let path = server.data_dir().with_file_name("trail.jsonl");
    let line = format!("audit user.created\nexport {}\n", path.display());
    server.cli_with_input(&["console", "--plain"], &line).is(0);
    let text = std::fs::read_to_string(&path).unwrap();
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() == 1 && rows[0]["event"] == "user.created", "{text}");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_server_that_stops_is_announced() {
    let mut server = Server::start();
    let mut talk = Talk::open(&server, &[]);
    talk.hears("Link: live");
    server.kill();
    talk.hears("No server");
    server.start_again();
    talk.hears("The server is back.").says("quit").ends_with(0);
}

#[test]
fn without_a_way_in_it_ends_with_5() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .args(["console", "--plain"])
        .env("DOORWARD__SERVER__DATA_DIR", folder.path().join("data"))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8(output.stdout).unwrap().contains("Not connected: there is no store in"));
}

#[test]
fn a_dumb_terminal_is_offered_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut console = Pty::open_with(&folder.path().join("data"), &[], &[("TERM", "dumb")], (24, 80));
    console.shows("doorward console --plain");
    assert_eq!(console.child.wait().unwrap().exit_code(), 2);
}
