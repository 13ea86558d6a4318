//! wip
/// wip
pub fn is_invisible(_c: char) -> bool { false }
