//! A console in a real terminal, for the tests of it.
//!
//! Nothing here sleeps to wait: keys wait for the console's idle mark, texts for the screen that shows them.

use std::io::{BufRead, BufReader, Read, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Longest wait for anything, far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A console in a terminal of 80x24. Killed when dropped.
pub struct Pty {
    pub child: Box<dyn Child + Send + Sync>,
    /// `None` once it was closed.
    pub master: Option<Box<dyn MasterPty + Send>>,
    pub keyboard: Box<dyn Write + Send>,
    pub heard: Receiver<Heard>,
    pub screen: vt100::Parser,
    /// Everything the terminal was sent.
    pub raw: String,
    /// Keys pressed, and keys the console had taken when it was idle last.
    pub pressed: usize,
    pub taken: Option<usize>,
    _folder: tempfile::TempDir,
}

pub enum Heard {
    Bytes(Vec<u8>),
    Idle(usize),
    End,
}

impl Pty {
    /// Opens the console on the data of a server, whether it runs or not.
    pub fn open(data_dir: &Path, arguments: &[&str]) -> Self {
        Self::open_with(data_dir, arguments, &[], (24, 80))
    }

    /// The same, in a terminal of so many rows and columns, with these variables.
    pub fn open_with(
        data_dir: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
        (rows, cols): (u16, u16),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("idle");
        assert!(Command::new("mkfifo").arg(&mark).status().unwrap().success());
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
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
        for (name, value) in variables {
            command.env(name, value);
        }
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
            screen: vt100::Parser::new(cells(rows), cells(cols), 0),
            raw: String::new(),
            pressed: 0,
            taken: None,
            _folder: folder,
        }
    }

    /// The same, with a name on record and when the console has nothing left to do.
    pub fn ready(data_dir: &Path, arguments: &[&str]) -> Self {
        let mut pty = Self::open(data_dir, &[arguments, &["--operator", "jdoe"]].concat());
        pty.settle();
        pty
    }

    /// Types letters, each of which is a key, and waits until the console has dealt with them.
    pub fn keys(&mut self, letters: &str) -> &mut Self {
        self.send(letters, letters.chars().count())
    }

    /// Presses one key that is a sequence, and waits.
    pub fn key(&mut self, sequence: &str) -> &mut Self {
        self.send(sequence, 1)
    }

    /// Presses a key and waits for what it shows, which may be gone when the console is idle again.
    #[track_caller]
    pub fn send_shows(&mut self, key: &str, text: &str) -> &mut Self {
        self.pressed += 1;
        self.keyboard.write_all(key.as_bytes()).unwrap();
        self.shows(text)
    }

    pub fn send(&mut self, bytes: &str, keys: usize) -> &mut Self {
        self.pressed += keys;
        self.keyboard.write_all(bytes.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
        self.settle();
        self
    }

    /// Waits until the console has taken every key and has nothing left to do.
    pub fn settle(&mut self) {
        let pressed = self.pressed;
        self.hear_until("the console to be idle", |pty| pty.taken == Some(pressed));
    }

    /// Waits until the screen shows this.
    #[track_caller]
    pub fn shows(&mut self, text: &str) -> &mut Self {
        self.hear_until(text, |pty| pty.screen.screen().contents().contains(text));
        self
    }

    #[track_caller]
    #[allow(clippy::disallowed_methods, reason = "the patience of a test is real time")]
    pub fn hear_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
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
    pub fn quits_with(&mut self, code: u32) {
        self.keyboard.write_all(b"q").unwrap();
        self.ends_with(code);
    }

    pub fn take(&mut self, heard: Heard) {
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
    pub fn ends_with(&mut self, code: u32) {
        self.hear_until("the end", |pty| {
            let screen = pty.screen.screen();
            !screen.alternate_screen() && !screen.hide_cursor()
        });
        let status = self.child.wait().unwrap();
        assert_eq!(status.exit_code(), code, "{status:?}\n{}", self.screen.screen().contents());
    }

    /// Hangs up, as a lost ssh connection does: the last reader goes with the next bytes that nobody wants.
    pub fn close_terminal(&mut self) {
        self.heard = channel().1;
        self.keyboard.write_all(b"?").unwrap();
        self.keyboard = Box::new(std::io::sink());
        self.master = None;
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
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

pub fn cells(count: u16) -> NonZero<u16> {
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
