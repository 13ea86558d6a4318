//! The console in a terminal of its own: the real program in a pty, its screen, and when each frame was there.
//!
//! What is waited for is seen on the screen: the console begins and ends each frame with the marks of a synchronized
//! update, so an optimised program needs no door for measuring.
#![allow(dead_code, reason = "each bench uses a part")]

use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(1);
/// Within this a frame follows another, if one does.
const FOLLOWS: Duration = Duration::from_millis(300);
/// A console that has sent nothing for so long has nothing left to do.
const QUIET: Duration = Duration::from_millis(60);
const FRAME_END: &[u8] = b"\x1b[?2026l";

pub const UP: &str = "\x1b[A";
pub const DOWN: &str = "\x1b[B";
pub const PAGE_DOWN: &str = "\x1b[6~";
pub const PAGE_UP: &str = "\x1b[5~";
pub const END: &str = "\x1b[F";
pub const HOME: &str = "\x1b[H";
pub const ESC: &str = "\x1b";

/// How a console is started.
pub struct Start<'a> {
    pub program: &'a str,
    pub data_dir: &'a Path,
    pub size: (u16, u16),
    pub arguments: &'a [&'a str],
    /// SIGHUP is ignored, as `nohup` has it.
    pub ignores_hang_up: bool,
    pub is_colourful: bool,
}

/// A console in its terminal. Killed when dropped.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    keyboard: Box<dyn Write + Send>,
    heard: Receiver<(Instant, Vec<u8>)>,
    screen: vt100::Parser,
    /// The last bytes, as far as they may be the beginning of a mark.
    tail: Vec<u8>,
    pub started: Instant,
    pub frames: usize,
    pub bytes: usize,
    /// When the last bytes came.
    pub last_at: Instant,
    has_ended: bool,
}

impl Terminal {
    pub fn open(start: &Start<'_>) -> Self {
        let (columns, rows) = start.size;
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).unwrap();
        let mut command = if start.ignores_hang_up {
            let mut command = CommandBuilder::new("sh");
            command.args(["-c", "trap '' HUP; exec \"$@\"", "sh", start.program]);
            command
        } else {
            CommandBuilder::new(start.program)
        };
        command.arg("console");
        command.args(start.arguments);
        command.args(["--operator", "jdoe"]);
        command.cwd(start.data_dir);
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        command.env("DOORWARD__SERVER__DATA_DIR", start.data_dir);
        // Neither the settings nor the colours of whoever measures.
        command.env("HOME", start.data_dir);
        command.env_remove("XDG_CONFIG_HOME");
        command.env_remove("NO_COLOR");
        if !start.is_colourful {
            command.env("NO_COLOR", "1");
        }
        let (sender, heard) = channel();
        let started = Instant::now();
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let mut reader = pty.master.try_clone_reader().unwrap();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send((Instant::now(), buffer[..count].to_vec())).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            keyboard: pty.master.take_writer().unwrap(),
            master: Some(pty.master),
            heard,
            screen: vt100::Parser::new(cells(rows), cells(columns), 0),
            tail: Vec::new(),
            started,
            frames: 0,
            bytes: 0,
            last_at: started,
            has_ended: false,
        }
    }

    /// Sends keys; the moment before they went.
    pub fn press(&mut self, keys: &str) -> Instant {
        let now = Instant::now();
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
        now
    }

    /// Waits until the screen is as wanted at the end of a frame; when that frame was there.
    #[track_caller]
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) -> Instant {
        let end = Instant::now() + PATIENCE;
        if wanted(self) {
            return Instant::now();
        }
        loop {
            match self.heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((at, bytes)) => {
                    let before = self.frames;
                    self.take(at, &bytes);
                    if self.frames > before && wanted(self) {
                        return at;
                    }
                }
                Err(error) => panic!("waited in vain for {what} ({error}):\n{}", self.text()),
            }
        }
    }

    /// Waits for a text on the screen.
    #[track_caller]
    pub fn shows(&mut self, text: &str) -> Instant {
        self.until(text, |terminal| terminal.text().contains(text))
    }

    /// Waits for so many more frames.
    #[track_caller]
    pub fn next_frames(&mut self, count: usize) -> Instant {
        let wanted = self.frames + count;
        self.until("frames", |terminal| terminal.frames >= wanted)
    }

    /// Waits for a frame and those that follow it, so many at most: one that changes nothing does not come.
    pub fn last_of_frames(&mut self, count: usize) -> Instant {
        let wanted = self.frames + count;
        let mut last = self.next_frames(1);
        while self.frames < wanted {
            let Ok((at, bytes)) = self.heard.recv_timeout(FOLLOWS) else { break };
            let before = self.frames;
            self.take(at, &bytes);
            if self.frames > before {
                last = at;
            }
        }
        last
    }

    /// Takes everything until nothing has come for a moment.
    pub fn settle(&mut self) {
        self.listen(QUIET);
    }

    /// Takes everything until nothing has come for so long.
    pub fn listen(&mut self, quiet: Duration) {
        loop {
            match self.heard.recv_timeout(quiet) {
                Ok((at, bytes)) => self.take(at, &bytes),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    self.has_ended = true;
                    return;
                }
            }
        }
    }

    /// Takes everything for so long.
    pub fn watch(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Ok((at, bytes)) = self.heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.take(at, &bytes);
        }
    }

    fn take(&mut self, at: Instant, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.last_at = at;
        self.screen.process(bytes);
        self.tail.extend_from_slice(bytes);
        self.frames += self.tail.windows(FRAME_END.len()).filter(|window| *window == FRAME_END).count();
        // What follows the last mark, and no more than could begin another.
        let kept = self.tail.len().saturating_sub(FRAME_END.len() - 1);
        let after_mark = self.tail.windows(FRAME_END.len()).rposition(|window| window == FRAME_END);
        let kept = after_mark.map_or(kept, |place| kept.max(place + FRAME_END.len()));
        self.tail.drain(..kept);
    }

    pub fn screen(&self) -> &vt100::Screen {
        self.screen.screen()
    }

    pub fn text(&self) -> String {
        self.screen().contents()
    }

    /// The line with the cursor of the list.
    pub fn chosen(&self) -> Option<String> {
        let columns = self.screen().size().1.get().min(62);
        self.screen().rows(0, columns).find(|line| line.starts_with("> "))
    }

    pub fn process(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// The terminal goes away, as when a connection is lost: its reader with the next bytes, which nobody wants.
    pub fn vanish(&mut self) {
        self.heard = channel().1;
        self.press("?");
        self.keyboard = Box::new(std::io::sink());
        self.master = None;
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let process = i32::try_from(self.process()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(process).unwrap(), signal).unwrap();
    }

    /// Waits for the end of the process alone.
    pub fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    /// Waits for the end; the exit code.
    pub fn end(&mut self) -> u32 {
        while let Ok((at, bytes)) = self.heard.recv() {
            self.take(at, &bytes);
        }
        self.child.wait().unwrap().exit_code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has mostly ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}
