//! What is said over the admin socket. See [`crate::fuzz`].
#![allow(clippy::missing_panics_doc, clippy::panic, reason = "what must not be ends the program")]

use super::registry::{NAMES, operation};
use crate::error::Error;

/// The name of an operation on the first line, and behind it the operation; as every other operation, too, and as the
/// error that a server may answer.
///
/// What is understood is written so that it is understood as the same.
pub fn admin(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (name, body) = (data.get(..end).unwrap_or_default(), data.get(end + 1..).unwrap_or_default());
    let _ = operation(&String::from_utf8_lossy(name), body);
    for name in NAMES {
        let Ok(operation_read) = operation(name, body) else { continue };
        let Ok(written) = operation_read.encode() else { panic!("{name} cannot be sent") };
        let again = operation(name, &written).and_then(|again| again.encode());
        assert!(again.is_ok_and(|again| again == written), "{name} changes when it is sent on");
    }
    if let Ok(error) = serde_json::from_slice::<Error>(body) {
        let written = serde_json::to_vec(&error).unwrap_or_default();
        assert!(serde_json::from_slice::<Error>(&written).is_ok_and(|again| again == error));
    }
}
