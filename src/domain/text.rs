//! wip
/// wip
pub fn is_invisible(_c: char) -> bool { false }
/// wip
pub fn words(_t: &str) -> Vec<String> { Vec::new() }
