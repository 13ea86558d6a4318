//! Moments as people type them: a date, a date with a time, or how long ago.

use crate::clock;
use crate::domain::time::Timestamp;

/// What is taken, for help and errors.
pub(super) const FORMS: &str = "a date (2026-11-25), a date with a time (2026-11-25T08:00Z), or 90m, 12h or 7d";

/// Reads a moment that has passed: `7d` is seven days ago.
pub(super) fn past(text: &str) -> Result<Timestamp, String> {
    moment(text, -1)
}

/// Reads a moment to come: `7d` is in seven days.
pub(super) fn to_come(text: &str) -> Result<Timestamp, String> {
    moment(text, 1)
}

fn moment(text: &str, direction: i64) -> Result<Timestamp, String> {
    let text = text.trim();
    let span = || Some(clock::now().plus_seconds(direction * seconds(text)?));
    Timestamp::parse(text).or_else(span).ok_or_else(|| format!("give {FORMS}; without an offset it is UTC"))
}

fn seconds(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u32>().ok().map(|number| i64::from(number) * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_times_and_spans_are_read() {
        for (text, micros) in [
            ("2025-09-01", Some(1_756_684_800_000_000)),
            ("2025-09-01T12:34:56Z", Some(1_756_730_096_000_000)),
            ("2025-09-01 14:34:56+02:00", Some(1_756_730_096_000_000)),
            ("", None),
            ("d", None),
            ("-7d", None),
            ("7w", None),
            ("yesterday", None),
            ("é", None),
        ] {
            assert_eq!(past(text).ok().map(Timestamp::as_micros), micros, "{text}");
        }
        let now = clock::now();
        for (text, seconds) in [("90m", 5_400), ("12h", 43_200), ("7d", 604_800)] {
            assert!((now.seconds_since(past(text).unwrap()) - seconds).abs() < 60, "{text}");
            assert!((to_come(text).unwrap().seconds_since(now) - seconds).abs() < 60, "{text}");
        }
    }
}
