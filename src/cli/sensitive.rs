//! Reading what must not be an argument: passwords and codes, from standard input.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::Failure;
use crate::domain::secret::Secret;

/// Longest secret taken, in bytes.
const SECRET_BYTES_MAX: u64 = 4_096;

/// One line of standard input without its end. `what` names it in the error when there is none.
pub(super) fn read_line(what: &str) -> Result<Secret, Failure> {
    let mut line = Zeroizing::new(String::new());
    io::stdin()
        .lock()
        .take(SECRET_BYTES_MAX)
        .read_line(&mut line)
        .map_err(Failure::io(format!("cannot read {what} from standard input")))?;
    let text = line.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Failure::Usage(format!("there is no {what} on standard input")));
    }
    Ok(Secret::from(text))
}

/// [`read_line`] of a password: at a terminal it is asked for and not shown.
pub(super) fn read_password() -> Result<Secret, Failure> {
    let Some(_hidden) = Hidden::start() else { return read_line("password") };
    let _ = write!(io::stderr(), "password: ");
    read_line("password")
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Hidden(Termios);

impl Hidden {
    /// `None` where standard input is no terminal.
    fn start() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet).ok()?;
        Some(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
        // The end of the line was not shown either.
        let _ = writeln!(io::stderr());
    }
}

/// Whether a person can be asked.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on the terminal.
pub(super) fn ask(question: &str) -> Result<String, Failure> {
    let mut stderr = io::stderr();
    let failed = || Failure::io("cannot ask on the terminal");
    write!(stderr, "{question} ").and_then(|()| stderr.flush()).map_err(failed())?;
    let mut line = String::new();
    io::stdin().lock().take(SECRET_BYTES_MAX).read_line(&mut line).map_err(failed())?;
    Ok(line.trim().to_owned())
}
