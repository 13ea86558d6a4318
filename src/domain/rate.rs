//! Rates, and the sliding windows of individual moments that hold callers to them (spec §1.11).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Most events of a rate: a window remembers each of them.
pub const RATE_COUNT_MAX: u32 = 5_000;

/// So many events in so many seconds; `6/20m` in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    pub count: u32,
    pub seconds: u32,
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parse = || {
            let (count, period) = text.split_once('/')?;
            let (number, unit) = period.split_at_checked(period.len().checked_sub(1)?)?;
            let unit = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                _ => return None,
            };
            let seconds = number.parse::<u32>().ok()?.checked_mul(unit)?;
            let count = count.parse().ok()?;
            (count > 0 && count <= RATE_COUNT_MAX && seconds > 0).then_some(Self { count, seconds })
        };
        parse().ok_or_else(|| {
            format!("`{text}` is not a rate such as \"6/20m\" (count 1 to {RATE_COUNT_MAX}; period in s, m, h, d)")
        })
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        let unit =
            [(86_400, 'd'), (3_600, 'h'), (60, 'm')].into_iter().find(|(unit, _)| rate.seconds.is_multiple_of(*unit));
        let (unit, letter) = unit.unwrap_or((1, 's'));
        format!("{}/{}{letter}", rate.count, rate.seconds / unit)
    }
}

/// The events under one key that still count, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Seconds for which an event counts, by the rate of the last one.
    pub seconds: u32,
    pub times: VecDeque<Timestamp>,
}

impl Window {
    /// Counts `amount` events at `now`, or refuses all of them (and counts none) with the seconds after which there is
    /// room, rounded up. More than the rate ever takes are told to wait for a whole period.
    pub fn count(&mut self, rate: Rate, amount: u32, now: Timestamp) -> Result<(), u64> {
        self.seconds = rate.seconds;
        let period = i64::from(rate.seconds);
        while self.times.front().is_some_and(|at| at.plus_seconds(period) <= now) {
            self.times.pop_front();
        }
        // A clock that was set back must not make anybody wait for longer than a period.
        self.times.retain(|at| *at <= now.plus_seconds(period));
        let (used, count, amount) = (self.times.len(), rate.count as usize, amount as usize);
        if amount > count.saturating_sub(used) {
            let leaving = (used + amount).saturating_sub(count);
            let last = leaving.checked_sub(1).and_then(|index| self.times.get(index)).copied().unwrap_or(now);
            let micros = last.plus_seconds(period).as_micros() - now.as_micros();
            return Err(micros.max(1).cast_unsigned().div_ceil(1_000_000));
        }
        self.times.extend(std::iter::repeat_n(now, amount));
        Ok(())
    }

    /// When the last event ceases to count, and the window means nothing any more.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.times.back().copied().unwrap_or_default().plus_seconds(i64::from(self.seconds))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { count: 2, seconds: 60 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn the_window_slides() {
        let mut window = Window::default();
        for (second, amount, expected) in [
            (0, 1, Ok(())),
            (30, 1, Ok(())),
            (59, 1, Err(1)),
            (59, 2, Err(31)),
            (60, 1, Ok(())),
            (61, 1, Err(29)),
            (61, 3, Err(60)),
            (121, 3, Err(60)),
            (121, 2, Ok(())),
        ] {
            assert_eq!(window.count(RATE, amount, at(second)), expected, "{second} {amount}");
        }
        assert_eq!(window.ends_at(), at(181));
    }

    #[test]
    fn waits_are_rounded_up_and_never_zero() {
        let mut window = Window::default();
        let micros = Timestamp::from_micros;
        assert_eq!(window.count(Rate { count: 1, seconds: 1 }, 1, micros(500_000)), Ok(()));
        for (now, wait) in [(500_000, 1), (500_001, 1), (1_499_999, 1)] {
            assert_eq!(window.count(Rate { count: 1, seconds: 1 }, 1, micros(now)), Err(wait), "{now}");
        }
        assert_eq!(window.count(Rate { count: 1, seconds: 1 }, 1, micros(1_500_000)), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_costs_a_period_at_most() {
        let mut window = Window::default();
        assert_eq!(window.count(RATE, 2, at(1_000_000)), Ok(()));
        assert_eq!(window.count(RATE, 1, at(1_000)), Ok(()));
        assert_eq!(window.count(RATE, 2, at(1_000)), Err(60));
    }

    #[test]
    fn rates_come_back_as_they_were_written() {
        for text in ["5/1m", "6/20m", "50/1h", "200/1d", "7/90s", "5000/1s"] {
            assert_eq!(String::from(Rate::try_from(text.to_owned()).unwrap()), text);
        }
        for text in ["", "5", "5/", "/1m", "0/1m", "5/0m", "5001/1s", "5/1w", "5/1é", "-5/1m", "5/99999d"] {
            assert!(Rate::try_from(text.to_owned()).unwrap_err().contains("is not a rate"), "{text}");
        }
    }

    proptest! {
        /// Whatever the order of waits and amounts: no stretch of a period has more than the rate, and whoever waits as
        /// told is let in.
        #[test]
        fn no_period_has_more_than_the_rate(
            count in 1u32..8,
            steps in prop::collection::vec((0i64..40_000_000, 1u32..4), 1..60),
        ) {
            let rate = Rate { count, seconds: 30 };
            let (mut window, mut now) = (Window::default(), at(1_000));
            let mut counted: Vec<Timestamp> = Vec::new();
            for (pause, amount) in steps {
                now = Timestamp::from_micros(now.as_micros() + pause);
                if let Err(wait) = window.count(rate, amount, now) {
                    prop_assert!((1..=30).contains(&wait));
                    if amount > count {
                        continue;
                    }
                    now = now.plus_seconds(wait.cast_signed());
                    prop_assert_eq!(window.count(rate, amount, now), Ok(()));
                }
                counted.extend((0..amount).map(|_| now));
                let recent = counted.iter().filter(|at| now.as_micros() - at.as_micros() < 30_000_000).count();
                prop_assert!(recent <= count as usize);
                prop_assert_eq!(window.times.len(), recent);
            }
        }
    }
}
