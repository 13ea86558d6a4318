//! Rate limits over sliding windows of individual timestamps (spec §1.11).
//!
//! Kept in memory and bounded: when too many keys are there, those that say least (the oldest) go first. What must
//! survive a restart (wrong codes, failed logins) is counted in the store instead.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::config::Rate;
use crate::domain::time::Timestamp;
use crate::domain::vault::sha256;
use crate::error::{Error, Result};

/// Keys remembered at once; each holds at most the rate's count of timestamps.
const KEYS_MAX: usize = 100_000;

/// All windows, by limit name and key.
#[derive(Default)]
pub struct Throttle {
    windows: Mutex<HashMap<Key, Window>>,
}

/// The limit's name, and the first half of a hash of what it counts.
type Key = (&'static str, [u8; 16]);

struct Window {
    times: VecDeque<Timestamp>,
    seconds: u32,
}

impl Throttle {
    /// Counts one event under a key, or refuses it (which is not counted) with the seconds to wait, rounded up.
    pub fn count(&self, name: &'static str, rate: Rate, key: &[u8], now: Timestamp) -> Result<()> {
        let key = (name, digest(key));
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= KEYS_MAX && !windows.contains_key(&key) {
            make_room(&mut windows, now);
        }
        let window = windows.entry(key).or_insert_with(|| Window { times: VecDeque::new(), seconds: rate.seconds });
        let begin = now.plus_seconds(-i64::from(rate.seconds));
        while window.times.front().is_some_and(|at| *at <= begin) {
            window.times.pop_front();
        }
        if window.times.len() >= rate.count as usize {
            let oldest = window.times.front().copied().unwrap_or(now);
            let micros = oldest.as_micros() - begin.as_micros();
            return Err(Error::Throttled { retry_after_s: micros.max(1).cast_unsigned().div_ceil(1_000_000) });
        }
        window.times.push_back(now);
        Ok(())
    }

    /// Forgets what was counted under a key.
    pub fn forget(&self, name: &'static str, key: &[u8]) {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).remove(&(name, digest(key)));
    }
}

fn digest(key: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(sha256(key).first_chunk::<16>().unwrap_or(&[0; 16]));
    half
}

/// Drops windows that are over; when all are alive, the half whose last event is longest ago.
fn make_room(windows: &mut HashMap<Key, Window>, now: Timestamp) {
    windows
        .retain(|_, window| window.times.back().is_some_and(|at| *at > now.plus_seconds(-i64::from(window.seconds))));
    if windows.len() >= KEYS_MAX {
        let mut last: Vec<Timestamp> = windows.values().filter_map(|window| window.times.back().copied()).collect();
        let middle = last.len() / 2;
        let (_, median, _) = last.select_nth_unstable(middle);
        let median = *median;
        windows.retain(|_, window| window.times.back().is_some_and(|at| *at > median));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { count: 2, seconds: 60 };

    #[test]
    fn the_window_slides() {
        let throttle = Throttle::default();
        let at = Timestamp::from_seconds;
        assert!(throttle.count("x", RATE, b"k", at(0)).is_ok());
        assert!(throttle.count("x", RATE, b"k", at(30)).is_ok());
        assert_eq!(throttle.count("x", RATE, b"k", at(59)), Err(Error::Throttled { retry_after_s: 1 }));
        assert!(throttle.count("x", RATE, b"other", at(59)).is_ok());
        assert!(throttle.count("x", RATE, b"k", at(60)).is_ok());
        assert_eq!(throttle.count("x", RATE, b"k", at(61)), Err(Error::Throttled { retry_after_s: 29 }));
    }

    #[test]
    fn a_flood_of_keys_stays_bounded() {
        let throttle = Throttle::default();
        for number in 0..250_000_u64 {
            let now = Timestamp::from_micros(number.cast_signed());
            assert!(throttle.count("x", RATE, &number.to_be_bytes(), now).is_ok());
        }
        assert!(throttle.windows.lock().unwrap().len() <= KEYS_MAX);
    }
}
