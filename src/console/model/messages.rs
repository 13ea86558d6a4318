//! What the console said: the toast of the moment, and the last fifty.

use crate::domain::time::Timestamp;

/// Messages that `:messages` shows.
pub const MESSAGES_KEPT: usize = 50;

/// Said for a few seconds.
#[derive(Clone, Debug)]
pub struct Toast {
    pub text: String,
    pub since: Timestamp,
    /// Until it is dismissed.
    pub stays: bool,
}

/// Something that was said.
#[derive(Clone, Debug)]
pub struct Message {
    pub at: Timestamp,
    pub text: String,
    /// It told of a failure.
    pub is_failure: bool,
}
