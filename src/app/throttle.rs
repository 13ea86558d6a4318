//! Rate limits kept in memory (spec §1.11), and bounded: when there is too much, what says least (the oldest) goes first.
//!
//! Which call counts where is [`super::limits`]'s to say, and which windows are kept in the store instead.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::rate::{Rate, Window};
use crate::domain::time::Timestamp;
use crate::domain::vault::sha256;
use crate::error::{Error, Result};

/// Keys remembered at once, and events of all of them together: some 20 MiB.
const KEYS_MAX: usize = 100_000;
const EVENTS_MAX: usize = 1_000_000;

/// All windows, by limit name and key.
#[derive(Default)]
pub struct Throttle {
    windows: Mutex<Windows>,
}

#[derive(Default)]
struct Windows {
    by_key: HashMap<Key, Window>,
    /// Events in all windows.
    events: usize,
}

/// The limit's name, and the first half of a hash of what it counts.
type Key = (&'static str, [u8; 16]);

impl Throttle {
    /// Counts one event under a key, or refuses it (which is not counted) with the seconds to wait, rounded up.
    pub fn count(&self, name: &'static str, rate: Rate, key: &[u8], now: Timestamp) -> Result<()> {
        self.count_many(name, rate, key, 1, now)
    }

    /// Counts so many events under a key, or none.
    pub fn count_many(&self, name: &'static str, rate: Rate, key: &[u8], amount: u32, now: Timestamp) -> Result<()> {
        let key = (name, digest(key));
        let mut windows = self.windows();
        windows.make_room(key, now);
        let window = windows.by_key.entry(key).or_default();
        let before = window.times.len();
        let counted = window.count(rate, amount, now);
        let after = window.times.len();
        // What was remembered of a busy time does not keep its memory.
        if window.times.capacity() > 64 + 4 * after {
            window.times.shrink_to_fit();
        }
        windows.events = (windows.events + after).saturating_sub(before);
        counted.map_err(|retry_after_s| Error::Throttled { retry_after_s })
    }

    /// Takes back what was counted last under a key, because another limit refused the same call.
    pub fn take_back(&self, name: &'static str, key: &[u8], amount: u32) {
        let mut windows = self.windows();
        let Some(window) = windows.by_key.get_mut(&(name, digest(key))) else { return };
        let before = window.times.len();
        window.times.truncate(before.saturating_sub(amount as usize));
        let after = window.times.len();
        windows.events = (windows.events + after).saturating_sub(before);
    }

    /// Forgets what was counted under a key.
    pub fn forget(&self, name: &'static str, key: &[u8]) {
        let mut windows = self.windows();
        let gone = windows.by_key.remove(&(name, digest(key)));
        windows.events = windows.events.saturating_sub(gone.map_or(0, |window| window.times.len()));
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Windows {
    /// Sees to it that one more event under this key fits. Drops windows that are over; when there is still too much,
    /// the half whose last event is longest ago, and once more if those were the small ones.
    fn make_room(&mut self, key: Key, now: Timestamp) {
        let is_known = self.by_key.contains_key(&key);
        let is_full = |windows: &Self| windows.events >= EVENTS_MAX || (windows.by_key.len() >= KEYS_MAX && !is_known);
        if is_full(self) {
            self.keep(|window| now < window.ends_at());
        }
        while is_full(self) {
            let mut last: Vec<Timestamp> = self.by_key.values().map(Window::ends_at).collect();
            let middle = last.len() / 2;
            let (_, median, _) = last.select_nth_unstable(middle);
            let median = *median;
            self.keep(|window| window.ends_at() > median);
        }
    }

    fn keep(&mut self, is_kept: impl Fn(&Window) -> bool) {
        self.by_key.retain(|_, window| is_kept(window));
        self.events = self.by_key.values().map(|window| window.times.len()).sum();
    }
}

fn digest(key: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(sha256(key).first_chunk::<16>().unwrap_or(&[0; 16]));
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { count: 2, seconds: 60 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn keys_and_names_are_kept_apart() {
        let throttle = Throttle::default();
        for _ in 0..2 {
            assert!(throttle.count("x", RATE, b"k", at(0)).is_ok());
        }
        assert_eq!(throttle.count("x", RATE, b"k", at(59)), Err(Error::Throttled { retry_after_s: 1 }));
        assert!(throttle.count("x", RATE, b"other", at(59)).is_ok());
        assert!(throttle.count("y", RATE, b"k", at(59)).is_ok());
        throttle.forget("x", b"k");
        assert!(throttle.count_many("x", RATE, b"k", 2, at(59)).is_ok());
        throttle.take_back("x", b"k", 2);
        assert!(throttle.count_many("x", RATE, b"k", 2, at(59)).is_ok());
        throttle.take_back("x", b"unknown", 2);
        assert_eq!(throttle.windows().events, 2 + 1 + 1);
    }

    #[test]
    fn a_flood_of_keys_stays_bounded() {
        let throttle = Throttle::default();
        for number in 0..250_000_u64 {
            let now = Timestamp::from_micros(number.cast_signed());
            assert!(throttle.count("x", RATE, &number.to_be_bytes(), now).is_ok());
        }
        let windows = throttle.windows();
        assert!(windows.by_key.len() <= KEYS_MAX);
        assert_eq!(windows.events, windows.by_key.values().map(|window| window.times.len()).sum::<usize>());
    }

    #[test]
    fn a_flood_of_events_stays_bounded() {
        let throttle = Throttle::default();
        let rate = Rate { count: 5_000, seconds: 3_600 };
        for number in 0..500_u64 {
            let now = Timestamp::from_micros(number.cast_signed());
            assert!(throttle.count_many("x", rate, &number.to_be_bytes(), 5_000, now).is_ok());
            assert!(throttle.windows().events <= EVENTS_MAX + 5_000);
        }
    }
}
