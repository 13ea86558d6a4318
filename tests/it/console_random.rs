//! Random keys, pastes, clicks and sizes on the real console, with a real server behind it: while writes are off nothing
//! changes, nothing panics, and the terminal is given back.
//!
//! `DOORWARD_KEY_SEQUENCES` says how many sequences each test tries; `scripts/random-keys` sets it.

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use portable_pty::PtySize;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::harness::{PASSWORD, Server};
use super::pty::{Heard, Pty, cells};

/// Consoles that are typed on at the same time.
const HANDS: usize = 4;
/// What one sequence has at most.
const ACTS_MAX: usize = 24;
/// Longest wait for a console to have taken a sequence.
const PATIENCE: Duration = Duration::from_secs(30);

const ESC: &str = "\x1b";
const SUSPEND: &str = "\x1a";
const DOWN: &str = "\x1b[B";
/// Arrows, pages, Home, End, Delete, Shift-Tab, function keys, with Shift and Ctrl, and what is no key at all.
const NAMED: [&str; 20] = [
    "\r",
    "\t",
    "\x7f",
    ESC,
    "\x1b[A",
    "\x1b[B",
    "\x1b[C",
    "\x1b[D",
    "\x1b[H",
    "\x1b[F",
    "\x1b[5~",
    "\x1b[6~",
    "\x1b[3~",
    "\x1b[2~",
    "\x1b[Z",
    "\x1bOP",
    "\x1b[15~",
    "\x1b[1;5C",
    "\x1b[1;2B",
    "\x1b[21~",
];
const PASTED: [&str; 6] = ["anna", "role:staff 2fa:off", "y", "two\r\nlines\n", "\u{202e}漢字\u{301}\t\0", ""];
/// Rows and columns; the console wants 16 and 60 at least.
const SIZES: [(u16, u16); 6] = [(24, 80), (16, 60), (40, 140), (12, 48), (50, 200), (3, 9)];

fn sequences() -> usize {
    std::env::var("DOORWARD_KEY_SEQUENCES").map_or(100, |count| count.parse().unwrap())
}

/// `W` and the commands of the palette turn writes on, so they are left out where that is possible.
#[test]
fn random_keys_change_nothing_while_writes_are_off() {
    check(&[], &['W', ':']);
}

#[test]
fn random_keys_change_nothing_in_a_console_that_only_looks() {
    check(&["--read-only"], &[]);
}

#[track_caller]
fn check(arguments: &[&str], left_out: &[char]) {
    let server = server();
    // Written down in the trail, so the first comes before the trail is read and the second after.
    let export = || server.cli(&["user", "export", "--format", "django", "--yes", "--json"]).is(0).out;
    let exported = export();
    let before = records(&server);
    let tried = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..HANDS {
            scope.spawn(|| {
                let mut hand = Hand::new(&server, arguments, left_out);
                while tried.fetch_add(1, Ordering::Relaxed) < sequences() {
                    hand.tries_one();
                }
                hand.console.signal(Signal::TERM);
                hand.console.ends_with(143);
            });
        }
    });
    assert_eq!(records(&server), before);
    assert_eq!(export(), exported);
    assert!(!server.log().contains("panic"), "{}", server.log());
}

/// Some dozens of users, some of whom have what can be taken away.
fn server() -> Server {
    let server = Server::builder().setting("limits.user_authentication", "1000/1s").start();
    server.secret(PASSWORD);
    for number in 0..30 {
        let user = json!({
            "email": format!("anna{number}@example.com"), "password": PASSWORD, "first_name": "Anna",
            "last_name": format!("Number {number}"), "is_staff": number % 3 == 0, "is_verified": number % 4 != 0,
            "organization": null, "level": null,
        });
        server.operate("create_user", &user).unwrap();
    }
    for email in ["bea@example.com", "bob@example.com", "bo@example.com"] {
        let (person, client) = server.logged_in(email);
        let device = client.enrol(&server);
        client.new_backup_codes();
        server.key_of(&client, &["user:read"]);
        let other = server.client();
        other.login(&person);
        other.post("/api/login/token", json!({"token": device.wrong_code(&server)}));
    }
    // Nobody waits after wrong codes any more: that would change by itself.
    server.advance(3_600);
    server
}

/// The trail, the jobs, and all that an operator can see of each user.
fn records(server: &Server) -> Vec<Value> {
    let cli = |arguments: &[&str]| server.cli(arguments).is(0).json();
    let mut records = vec![
        cli(&["audit", "list", "--limit", "1000000", "--json"]),
        cli(&["job", "list", "--json"]),
        cli(&["2fa", "approve", "--list", "--json"]),
    ];
    let users = cli(&["user", "list", "--limit", "1000", "--json"]);
    let users = users["rows"].as_array().unwrap();
    assert_eq!(users.len(), 33);
    records.extend(users.iter().map(|user| server.operate("inspect_user", &json!({"user": user["uuid"]})).unwrap()));
    records
}

/// Somebody who types without looking.
struct Hand<'a> {
    server: &'a Server,
    arguments: &'a [&'a str],
    left_out: &'a [char],
    random: Random,
    console: Pty,
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(count).unwrap()).unwrap()
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// What is done to a console.
enum Act {
    /// One key or paste.
    Key(String),
    Mouse(String),
    Size(u16, u16),
}

impl<'a> Hand<'a> {
    fn new(server: &'a Server, arguments: &'a [&'a str], left_out: &'a [char]) -> Self {
        let random = Random(RandomState::new().hash_one(()));
        Self { server, arguments, left_out, random, console: Pty::ready(&server.data_dir(), arguments) }
    }

    fn act(&mut self) -> Act {
        let random = &mut self.random;
        match random.below(40) {
            0 => {
                let (rows, columns) = random.of(&SIZES);
                Act::Size(rows, columns)
            }
            1 => Act::Key(format!("\x1b[200~{}\x1b[201~", random.of(&PASTED))),
            2..4 => {
                let (button, column, row) = (random.of(&[0, 2, 64, 65]), random.below(140) + 1, random.below(40) + 1);
                Act::Mouse(format!("\x1b[<{button};{column};{row}M"))
            }
            4..7 => Act::Key(char::from(u8::try_from(random.below(32)).unwrap()).to_string()),
            7 => Act::Key(format!("\x1b{}", random.of(&['a', 'b', 'f', 'x', 'd']))),
            8..18 => Act::Key(random.of(&NAMED).to_owned()),
            // What menus and dialogs hang on, more often than the rest.
            18..22 => Act::Key(random.of(&['a', 'y', 'r', 'u', ' ', '*', '3', '4']).to_string()),
            22 => Act::Key(random.of(&['漢', '\u{301}', 'ä']).to_string()),
            23..26 if !self.left_out.contains(&'W') => Act::Key("W".to_owned()),
            _ => loop {
                let key = char::from(b' ' + u8::try_from(random.below(95)).unwrap());
                if !self.left_out.contains(&key) {
                    break Act::Key(key.to_string());
                }
            },
        }
    }

    /// Types a sequence; a console that was left must have gone well, and another takes its place.
    fn tries_one(&mut self) {
        let mut done = String::new();
        let mut chunk = String::new();
        for _ in 0..=self.random.below(ACTS_MAX) {
            match self.act() {
                Act::Key(key) => {
                    chunk.push_str(&key);
                    self.console.pressed += 1;
                    // Escape with something behind it is another key; a suspended console's terminal eats keys.
                    if matches!(key.as_str(), ESC | SUSPEND) && !self.types(&mut chunk, &mut done) {
                        return self.begins_anew(&done);
                    }
                }
                Act::Mouse(event) => chunk.push_str(&event),
                Act::Size(rows, cols) => {
                    if !self.types(&mut chunk, &mut done) {
                        return self.begins_anew(&done);
                    }
                    let _ = write!(done, " {rows}x{cols}");
                    self.console.screen.screen_mut().set_size(cells(rows), cells(cols));
                    let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
                    self.console.master.as_ref().unwrap().resize(size).unwrap();
                }
            }
        }
        if !self.types(&mut chunk, &mut done) {
            return self.begins_anew(&done);
        }
        let screen = self.console.screen.screen().contents();
        let header = screen.lines().next().unwrap_or_default();
        assert!(!header.contains("WRITES"), "writes are on after {done}:\n{screen}");
        assert!(!screen.contains("crashed"), "after {done}:\n{screen}");
        self.console.raw.clear();
    }

    /// Sends it, and waits until all of it was taken. Whether the console is still there.
    #[allow(clippy::disallowed_methods, reason = "the patience of a test is real time")]
    fn types(&mut self, chunk: &mut String, done: &mut String) -> bool {
        let _ = write!(done, " {chunk:?}");
        // A console that has quit takes nothing.
        drop(self.console.keyboard.write_all(std::mem::take(chunk).as_bytes()));
        let end = Instant::now() + PATIENCE;
        while self.console.taken.is_none_or(|taken| taken < self.console.pressed) {
            match self.console.heard.recv_timeout(Duration::from_millis(100)) {
                Ok(Heard::End) => return false,
                Ok(heard) => self.console.take(heard),
                Err(RecvTimeoutError::Timeout) => {
                    assert!(Instant::now() < end, "no end of {done}:\n{}", self.console.screen.screen().contents());
                    // It may have been suspended, and the library that reads keys leaves those that come together with
                    // a new size where they are, until the next one.
                    self.console.signal(Signal::CONT);
                    self.console.pressed += 1;
                    drop(self.console.keyboard.write_all(DOWN.as_bytes()));
                }
                Err(error) => panic!("{error}"),
            }
        }
        // Bytes that came apart are more keys than they were meant to be.
        self.console.pressed = self.console.taken.unwrap_or_default();
        true
    }

    fn begins_anew(&mut self, done: &str) {
        let status = self.console.child.wait().unwrap();
        let screen = self.console.screen.screen();
        assert_eq!(status.exit_code(), 0, "after {done}:\n{}", self.console.raw);
        let is_back = !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste();
        let is_deaf = screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None;
        assert!(is_back && is_deaf, "the terminal was not given back after {done}");
        self.console = Pty::ready(&self.server.data_dir(), self.arguments);
    }
}
