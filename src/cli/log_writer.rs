//! Standard error behind a thread of its own, so that a request never waits for whoever reads the log, and many lines
//! go out in one write.
//!
//! Nothing is dropped: when the reader is slow and the buffer full, those who log wait. Lines reach standard error
//! within [`GATHER`]; a process that is killed outright loses at most these.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes that may wait to be written.
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// How long lines are gathered after a write. The first line after a silence is written at once.
const GATHER: Duration = Duration::from_millis(2);

/// Takes lines. Cheap to clone.
#[derive(Clone)]
pub struct LogWriter(Arc<Shared>);

/// Writes what is left when dropped; later lines go straight out.
pub struct LogThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Rung when lines come while the thread sleeps, and at the end.
    filled: Condvar,
    /// Rung when the thread has taken the lines.
    taken: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    is_idle: bool,
    is_closed: bool,
}

/// Starts the thread that writes to `output`.
pub fn start(mut output: impl Write + Send + 'static) -> io::Result<(LogWriter, LogThread)> {
    let shared = Arc::new(Shared { state: Mutex::default(), filled: Condvar::new(), taken: Condvar::new() });
    let reader = Arc::clone(&shared);
    let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || {
        let mut lines = Vec::new();
        while reader.take(&mut lines) {
            // A log that nobody takes must not end the server.
            let _ = output.write_all(&lines);
            lines.clear();
            std::thread::sleep(GATHER);
        }
    })?;
    Ok((LogWriter(Arc::clone(&shared)), LogThread { shared, thread: Some(thread) }))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines and swaps them for the empty buffer; false at the end.
    fn take(&self, lines: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        while state.lines.is_empty() && !state.is_closed {
            state.is_idle = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_idle = false;
        std::mem::swap(&mut state.lines, lines);
        self.taken.notify_all();
        !lines.is_empty()
    }

    fn add(&self, line: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        while !state.is_closed && !state.lines.is_empty() && state.lines.len() + line.len() > WAITING_BYTES_MAX {
            state = self.taken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_closed {
            return io::stderr().write_all(line);
        }
        state.lines.extend_from_slice(line);
        if std::mem::take(&mut state.is_idle) {
            self.filled.notify_one();
        }
        Ok(())
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(line).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An output that lets a write happen only when told.
    struct Slow {
        written: Arc<Mutex<Vec<u8>>>,
        permits: std::sync::mpsc::Receiver<()>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // After the sender is gone everything passes.
            let _ = self.permits.recv();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_in_order_also_when_the_buffer_is_full_and_at_the_end() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let (permit, permits) = std::sync::mpsc::channel();
        let (mut writer, thread) = start(Slow { written: Arc::clone(&written), permits }).unwrap();
        let line = |number: u32| format!("{number:01023}\n").into_bytes();
        let logging = std::thread::spawn(move || {
            // Three times what may wait.
            for number in 0..3 * 1024 {
                writer.write_all(&line(number)).unwrap();
            }
        });
        permit.send(()).unwrap();
        drop(permit);
        logging.join().unwrap();
        drop(thread);
        let expected: Vec<u8> = (0..3 * 1024).flat_map(line).collect();
        assert!(*written.lock().unwrap() == expected);
    }
}
