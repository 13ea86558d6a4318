//! Moments and their two wire formats (spec §1.4). Does not read the clock.

use serde::{Deserialize, Serialize};

/// A moment: microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Whole milliseconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// This moment and so many seconds (may be negative).
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// Seconds from `earlier` to this moment, rounded down; negative when `earlier` is later.
    #[must_use]
    pub const fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).div_euclid(1_000_000)
    }

    /// Model timestamps: `2025-09-01T12:34:56.789012Z`, the fraction left out when it is zero (spec §1.4).
    #[must_use]
    pub fn to_rfc3339_z(self) -> String {
        format!("{}Z", self.to_wire())
    }

    /// Computed timestamps: the same with the offset spelled out, `+00:00` (spec §1.4).
    #[must_use]
    pub fn to_rfc3339_offset(self) -> String {
        format!("{}+00:00", self.to_wire())
    }

    /// Reads a moment as other programs write it: RFC 3339, or without an offset, which is taken for UTC. `None` when it
    /// is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let with_offset = text.parse::<jiff::Timestamp>().ok();
        let at = with_offset.or_else(|| {
            let date_time: jiff::civil::DateTime = text.parse().ok()?;
            date_time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp())
        })?;
        Some(Self(at.as_microsecond()))
    }

    fn to_wire(self) -> String {
        let at = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MIN);
        let form = if self.0.rem_euclid(1_000_000) == 0 { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%dT%H:%M:%S.%6f" };
        at.strftime(form).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_wire_formats() {
        let at = Timestamp::from_micros(1_756_730_096_789_012);
        assert_eq!(at.to_rfc3339_z(), "2025-09-01T12:34:56.789012Z");
        assert_eq!(at.to_rfc3339_offset(), "2025-09-01T12:34:56.789012+00:00");
        assert_eq!(Timestamp::from_seconds(1_756_730_096).to_rfc3339_z(), "2025-09-01T12:34:56Z");
    }

    #[test]
    fn moments_of_other_programs_are_read() {
        for (text, micros) in [
            ("2025-09-01T12:34:56.789012Z", Some(1_756_730_096_789_012)),
            ("2025-09-01T12:34:56.789Z", Some(1_756_730_096_789_000)),
            ("2025-09-01T14:34:56+02:00", Some(1_756_730_096_000_000)),
            ("2025-09-01T12:34:56", Some(1_756_730_096_000_000)),
            ("2025-09-01 12:34:56.5", Some(1_756_730_096_500_000)),
            ("1969-12-31T23:59:59Z", Some(-1_000_000)),
            ("12:34", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(Timestamp::parse(text).map(Timestamp::as_micros), micros, "{text}");
        }
    }

    #[test]
    fn rounding_is_downwards_on_both_sides_of_the_epoch() {
        for (micros, seconds, millis) in [(0, 0, 0), (1_999_999, 1, 1_999), (-1, -1, -1), (-1_000_001, -2, -1_001)] {
            let at = Timestamp::from_micros(micros);
            assert_eq!((at.as_seconds(), at.as_millis()), (seconds, millis), "{micros}");
        }
        let noon = Timestamp::from_seconds(43_200);
        assert_eq!(noon.plus_seconds(-200).seconds_since(noon), -200);
        assert_eq!(Timestamp::from_micros(1).seconds_since(Timestamp::from_micros(2)), -1);
    }

    #[test]
    fn moments_out_of_range_saturate() {
        for seconds in [i64::MAX, i64::MIN] {
            let at = Timestamp::from_seconds(seconds).plus_seconds(seconds);
            assert!(at.to_rfc3339_z().ends_with('Z'));
            assert_eq!(at.seconds_since(at), 0);
        }
    }
}
