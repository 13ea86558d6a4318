//! The console in a real terminal.
//!
//! Nothing here sleeps to wait: keys wait for the console's idle mark, texts for the screen that shows them.

use std::io::{BufRead, BufReader, Read, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use serde_json::json;

use super::harness::{PASSWORD, Server};

/// Longest wait for anything, far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(30);
const ESC: &str = "\x1b";
const DOWN: &str = "\x1b[B";

/// A console in a terminal of 80x24. Killed when dropped.
struct Pty {
    child: Box<dyn Child + Send + Sync>,
    /// `None` once it was closed.
    master: Option<Box<dyn MasterPty + Send>>,
    keyboard: Box<dyn Write + Send>,
    heard: Receiver<Heard>,
    screen: vt100::Parser,
    /// Everything the terminal was sent.
    raw: String,
    /// Keys pressed, and keys the console had taken when it was idle last.
    pressed: usize,
    taken: Option<usize>,
    _folder: tempfile::TempDir,
}

enum Heard {
    Bytes(Vec<u8>),
    Idle(usize),
    End,
}

impl Pty {
    /// Opens the console on the data of a server, whether it runs or not.
    fn open(data_dir: &Path, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("idle");
        assert!(Command::new("mkfifo").arg(&mark).status().unwrap().success());
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_doorward"));
        command.arg("console");
        command.args(arguments);
        command.cwd(folder.path());
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        command.env("DOORWARD__SERVER__DATA_DIR", data_dir);
        command.env("DOORWARD_TEST_CLOCK", data_dir.with_file_name("clock"));
        command.env("DOORWARD_CONSOLE_IDLE_FILE", &mark);
        let (sender, heard) = channel();
        listen_to_marks(mark, sender.clone());
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        listen_to_terminal(pty.master.try_clone_reader().unwrap(), sender);
        Self {
            child,
            keyboard: pty.master.take_writer().unwrap(),
            master: Some(pty.master),
            heard,
            screen: vt100::Parser::new(cells(24), cells(80), 0),
            raw: String::new(),
            pressed: 0,
            taken: None,
            _folder: folder,
        }
    }

    /// The same, with a name on record and when the console has nothing left to do.
    fn ready(data_dir: &Path, arguments: &[&str]) -> Self {
        let mut pty = Self::open(data_dir, &[arguments, &["--operator", "jdoe"]].concat());
        pty.settle();
        pty
    }

    /// Types letters, each of which is a key, and waits until the console has dealt with them.
    fn keys(&mut self, letters: &str) -> &mut Self {
        self.send(letters, letters.chars().count())
    }

    /// Presses one key that is a sequence, and waits.
    fn key(&mut self, sequence: &str) -> &mut Self {
        self.send(sequence, 1)
    }

    /// Presses a key and waits for what it shows, which may be gone when the console is idle again.
    #[track_caller]
    fn send_shows(&mut self, key: &str, text: &str) -> &mut Self {
        self.pressed += 1;
        self.keyboard.write_all(key.as_bytes()).unwrap();
        self.shows(text)
    }

    fn send(&mut self, bytes: &str, keys: usize) -> &mut Self {
        self.pressed += keys;
        self.keyboard.write_all(bytes.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
        self.settle();
        self
    }

    /// Waits until the console has taken every key and has nothing left to do.
    fn settle(&mut self) {
        let pressed = self.pressed;
        self.hear_until("the console to be idle", |pty| pty.taken == Some(pressed));
    }

    /// Waits until the screen shows this.
    #[track_caller]
    fn shows(&mut self, text: &str) -> &mut Self {
        self.hear_until(text, |pty| pty.screen.screen().contents().contains(text));
        self
    }

    #[track_caller]
    #[allow(clippy::disallowed_methods, reason = "the patience of a test is real time")]
    fn hear_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            let heard = self.heard.recv_timeout(end.saturating_duration_since(Instant::now()));
            match heard {
                Ok(Heard::End) => panic!("ended before `{what}`:\n{}", self.raw),
                Ok(heard) => self.take(heard),
                Err(error) => panic!("waited in vain for `{what}` ({error}):\n{}", self.screen.screen().contents()),
            }
        }
    }

    /// Presses `q` and waits for the end.
    fn quits_with(&mut self, code: u32) {
        self.keyboard.write_all(b"q").unwrap();
        self.ends_with(code);
    }

    fn take(&mut self, heard: Heard) {
        match heard {
            Heard::Bytes(bytes) => {
                self.raw.push_str(&String::from_utf8_lossy(&bytes));
                self.screen.process(&bytes);
            }
            Heard::Idle(keys) => self.taken = Some(keys),
            Heard::End => panic!("the console ended"),
        }
    }

    /// Waits for the end; the terminal must have been given back.
    fn ends_with(&mut self, code: u32) {
        self.hear_until("the end", |pty| {
            let screen = pty.screen.screen();
            !screen.alternate_screen() && !screen.hide_cursor()
        });
        let status = self.child.wait().unwrap();
        assert_eq!(status.exit_code(), code, "{status:?}\n{}", self.screen.screen().contents());
    }

    /// Hangs up, as a lost ssh connection does: the last reader goes with the next bytes that nobody wants.
    fn close_terminal(&mut self) {
        self.keyboard.write_all(b"?").unwrap();
        self.heard = channel().1;
        self.keyboard = Box::new(std::io::sink());
        self.master = None;
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.process_id().unwrap()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // It has mostly ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

fn listen_to_terminal(mut terminal: Box<dyn Read + Send>, sender: Sender<Heard>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = terminal.read(&mut buffer) {
            if sender.send(Heard::Bytes(buffer[..count].to_vec())).is_err() {
                return;
            }
        }
        drop(sender.send(Heard::End));
    });
}

fn listen_to_marks(mark: PathBuf, sender: Sender<Heard>) {
    std::thread::spawn(move || {
        let pipe = std::fs::File::open(mark).unwrap();
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(Heard::Idle(line.parse().unwrap())).is_err() {
                return;
            }
        }
    });
}

/// A user with an authenticator, backup codes and a session.
fn enrolled(server: &Server, email: &str) {
    let (_, client) = server.logged_in(email);
    client.enrol(server);
    client.new_backup_codes();
}

// ------------------------------------------------------------------------------------------------------------ flows

#[test]
fn search_and_reset_while_the_server_runs() {
    let server = Server::with_mail();
    enrolled(&server, "anna.smith@corp.example.com");
    server.user("anna.storm@corp.example.com");
    let mut console = Pty::ready(&server.data_dir(), &[]);
    console.shows("live").shows("READ-ONLY").shows("2 of 2");
    console.keys("anna.smi").shows("1 of 2").shows("TOTP since");
    console.keys("\rar").shows("writes are off: W");
    console.key(ESC).keys("W").shows("WRITES").keys("ar").shows("This will, at once and for good");
    console.keys("\t2\tlost phone, ticket HD-4711\t\t\tanna.smith\t\r");
    console
        .shows("Done in")
        .shows("TOTP device removed")
        .shows("10 backup codes deleted")
        .shows("Tell the caller")
        .shows("handed to the mail server");
    console.keys("\r").shows("enrol").quits_with(0);

    let status = server.cli(&["2fa", "status", "anna.smith@corp.example.com", "--json"]).json();
    assert_eq!(status["factor"]["state"], json!("enrol"), "{status}");
    let audit = server.cli(&["audit", "list", "--user", "anna.smith@corp.example.com", "--json"]).json();
    let entry =
        audit["rows"].as_array().unwrap().iter().find(|row| row["event"] == "two_factor.reset").unwrap().clone();
    assert_eq!(entry["reason"], "lost phone, ticket HD-4711");
    assert_eq!(entry["verified_by"], "call-back to number on file");
    assert_eq!(entry["actor"]["name"], "jdoe");
    server.wait_for_mail("anna.smith@corp.example.com", "");
}

#[test]
fn unlock_needs_a_reason_and_y() {
    let server = Server::start();
    let person = server.user("tom.ng@edu.example.com");
    let client = server.login(&person);
    let device = client.enrol(&server);
    let other = server.client();
    other.login(&person);
    other.post("/api/login/token", json!({"token": device.wrong_code(&server)}));
    let mut console = Pty::ready(&server.data_dir(), &["tom.ng", "--write"]);
    console.shows("1 wrong code").keys("au").shows("forget 1 wrong code").keys("\ttyped a wrong code\t\r");
    console.shows("press y to do it").send_shows("y", "audit #");
    console.shows("not locked").quits_with(0);
}

#[test]
fn the_console_works_without_a_server_and_says_so() {
    let mut server = Server::start();
    enrolled(&server, "ada@example.com");
    server.stop();
    let mut console = Pty::ready(&server.data_dir(), &["ada"]);
    console.shows("offline").shows("ada@example.com").shows("TOTP since");
    let refused = server.cli(&["serve"]).is(5);
    assert!(refused.err.contains("console"), "the holder is named: {refused:?}");
    console.quits_with(0);
    server.start_again();
}

#[test]
fn a_lost_server_is_found_again() {
    let mut server = Server::start();
    enrolled(&server, "ada@example.com");
    let mut console = Pty::ready(&server.data_dir(), &["ada", "--write"]);
    console.shows("TOTP since");
    server.kill();
    console.shows("! no server since").shows("(stale)").shows("ada@example.com");
    console.keys("ar").shows("no server");
    console.key(ESC);
    server.start_again();
    console.shows("live").quits_with(0);
}

#[test]
fn escapes_in_names_never_reach_the_terminal() {
    let server = Server::start();
    let email = "mallory@example.com";
    let name = "Mal\u{202e}lory\u{200b}";
    let arguments = ["user", "create", "--email", email, "--first-name", name, "--password-stdin", "--json"];
    if server.cli_with_input(&arguments, &format!("{PASSWORD}\n")).code != 0 {
        // A name that is refused cannot reach the terminal either.
        return;
    }
    let mut console = Pty::ready(&server.data_dir(), &["mallory"]);
    console.shows("mallory@example.com").shows("\\u{202e}");
    assert!(!console.raw.contains(['\u{202e}', '\u{200b}']), "{}", console.raw);
}

// --------------------------------------------------------------------------------------------------------- terminal

#[test]
fn no_store_is_said_and_costs_exit_code_5() {
    let folder = tempfile::tempdir().unwrap();
    let mut console = Pty::ready(&folder.path().join("data"), &[]);
    console.shows("Not connected").shows("there is no store in").quits_with(5);
}

#[test]
fn signals_give_the_terminal_back() {
    use rustix::process::Signal;
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)] {
        let folder = tempfile::tempdir().unwrap();
        let mut console = Pty::ready(&folder.path().join("data"), &[]);
        console.signal(signal);
        console.ends_with(code);
    }
}

#[test]
fn suspending_gives_the_terminal_back_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let mut console = Pty::ready(&folder.path().join("data"), &[]);
    console.pressed += 1;
    console.keyboard.write_all(b"\x1a").unwrap();
    console.hear_until("the terminal to be given back", |pty| !pty.screen.screen().alternate_screen());
    // It stops after that, at a moment nobody tells; going on before it stopped has no effect, so it is repeated.
    while !console.screen.screen().alternate_screen() {
        console.signal(rustix::process::Signal::CONT);
        match console.heard.recv_timeout(Duration::from_millis(20)) {
            Ok(heard) => console.take(heard),
            Err(RecvTimeoutError::Timeout) => {}
            Err(error) => panic!("{error}"),
        }
    }
    console.settle();
    console.shows("Not connected").quits_with(5);
}

#[test]
fn resizing_below_and_above_the_least_size() {
    let folder = tempfile::tempdir().unwrap();
    let mut console = Pty::ready(&folder.path().join("data"), &[]);
    for (rows, cols, shown) in [(12, 48, "needs 60x16"), (40, 140, "Not connected")] {
        console.screen.screen_mut().set_size(cells(rows), cells(cols));
        console.master.as_ref().unwrap().resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        console.shows(shown);
    }
    console.key(DOWN).quits_with(5);
}

#[test]
fn a_closed_terminal_ends_the_console() {
    let folder = tempfile::tempdir().unwrap();
    let mut console = Pty::ready(&folder.path().join("data"), &[]);
    console.close_terminal();
    assert_eq!(console.child.wait().unwrap().exit_code(), 129);
}

#[test]
fn who_is_no_terminal_is_told_the_command() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    let output = command.args(["console", "anna"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("doorward user list anna") && err.lines().count() == 1, "{err}");
}
