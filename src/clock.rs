//! The one place that reads the wall clock; everything else gets the time as a value.

use crate::domain::time::Timestamp;

/// The present moment.
///
/// Builds with debug assertions (what `cargo test` runs) add the seconds written in the file that
/// `DOORWARD_TEST_CLOCK` names, so that tests of the real binary can pass through hours; a release build has no such
/// door.
#[must_use]
#[allow(clippy::disallowed_methods)] // the single place
pub fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX));
    #[cfg(debug_assertions)]
    let now = now.plus_seconds(test_offset_seconds());
    now
}

#[cfg(debug_assertions)]
fn test_offset_seconds() -> i64 {
    use std::sync::OnceLock;
    static FILE: OnceLock<Option<std::path::PathBuf>> = OnceLock::new();
    FILE.get_or_init(|| std::env::var_os("DOORWARD_TEST_CLOCK").map(Into::into))
        .as_ref()
        .and_then(|path| std::fs::read_to_string(path).ok())
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}
