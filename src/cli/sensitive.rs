//! Reading what must not be an argument: passwords and codes, from standard input.

use std::io::{self, BufRead, IsTerminal, Read, Write};

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
