//! Wrong codes in a row and the wait they cost (W-13), failed logins and their lock-out (W-28).

use super::time::Timestamp;

/// Longest wait between two tries of a code, in seconds (W-13).
pub const WAIT_SECONDS_MAX: i64 = 900;
/// Wrong codes in a row at which the authenticator is disabled (NIST SP 800-63B-4 §3.2.2).
pub const FAILURES_MAX: u32 = 100;

/// Failures in a row of one kind of code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    pub count: u32,
    pub last_at: Timestamp,
}

impl Failures {
    /// When the next try is allowed: min(2^n, 900) seconds after the n-th failure in a row (W-13).
    #[must_use]
    pub fn next_try_at(self) -> Option<Timestamp> {
        (self.count > 0).then(|| {
            let wait = if self.count >= 10 { WAIT_SECONDS_MAX } else { WAIT_SECONDS_MAX.min(1 << self.count) };
            self.last_at.plus_seconds(wait)
        })
    }

    /// Whether tries are refused at this moment.
    #[must_use]
    pub fn is_waiting(self, now: Timestamp) -> bool {
        self.next_try_at().is_some_and(|at| now < at)
    }

    /// One more failure.
    #[must_use]
    pub fn and_one(self, now: Timestamp) -> Self {
        Self { count: self.count.saturating_add(1), last_at: now }
    }

    /// Whether the authenticator is disabled from here on.
    #[must_use]
    pub fn reached_the_end(self) -> bool {
        self.count >= FAILURES_MAX
    }
}

/// Failed logins counted under one key: account and address, address, or account (W-28). Whoever waits until a lock ends
/// goes on where he was: failures are forgotten when nothing came for `memory_seconds`, or at a success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginFailures {
    pub count: u32,
    pub last_at: Timestamp,
    /// When the record means nothing any more, unless there is another failure before.
    pub forgotten_at: Timestamp,
}

/// The limits of one kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginLimit {
    /// Failures that are free of consequence, less one: the one that reaches it locks.
    pub failures_max: u32,
    /// How long a lock lasts after the last failure, in seconds.
    pub lock_seconds: i64,
    /// How long failures are remembered after the last, in seconds; no less than a lock lasts.
    pub memory_seconds: i64,
    /// Whether the lock starts at one second and doubles with each further failure up to `lock_seconds`.
    pub growing: bool,
}

impl LoginFailures {
    /// Whether logins under this key are refused at this moment.
    #[must_use]
    pub fn is_locked(self, limit: LoginLimit, now: Timestamp) -> bool {
        self.locked_until(limit).is_some_and(|until| now < until)
    }

    /// When the lock ends or ended; `None` when there are too few failures for one.
    #[must_use]
    pub fn locked_until(self, limit: LoginLimit) -> Option<Timestamp> {
        if self.count < limit.failures_max {
            return None;
        }
        let over = self.count - limit.failures_max;
        let seconds = if limit.growing && over < 20 { limit.lock_seconds.min(1 << over) } else { limit.lock_seconds };
        Some(self.last_at.plus_seconds(seconds))
    }

    /// One more failure; those that are forgotten by now do not count.
    #[must_use]
    pub fn and_one(self, limit: LoginLimit, now: Timestamp) -> Self {
        let before = if now < self.forgotten_at { self.count } else { 0 };
        Self {
            count: before.saturating_add(1),
            last_at: now,
            forgotten_at: now.plus_seconds(limit.memory_seconds.max(limit.lock_seconds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn the_wait_doubles_up_to_a_quarter_of_an_hour() {
        assert_eq!(Failures::default().next_try_at(), None);
        for (count, wait) in [(1, 2), (2, 4), (3, 8), (9, 512), (10, 900), (11, 900), (64, 900), (u32::MAX, 900)] {
            let failures = Failures { count, last_at: at(1_000) };
            assert_eq!(failures.next_try_at(), Some(at(1_000 + wait)), "{count}");
            assert!(failures.is_waiting(at(1_000 + wait - 1)));
            assert!(!failures.is_waiting(at(1_000 + wait)));
        }
    }

    #[test]
    fn the_hundredth_wrong_code_in_a_row_is_the_last() {
        let mut failures = Failures::default();
        for second in 1..100 {
            failures = failures.and_one(at(second));
        }
        assert!(!failures.reached_the_end());
        let failures = failures.and_one(at(100));
        assert_eq!(failures, Failures { count: 100, last_at: at(100) });
        assert!(failures.reached_the_end());
        assert_eq!(Failures { count: u32::MAX, ..failures }.and_one(at(101)).count, u32::MAX);
    }

    const FLAT: LoginLimit = LoginLimit { failures_max: 3, lock_seconds: 600, memory_seconds: 600, growing: false };
    const GROWING: LoginLimit = LoginLimit { growing: true, ..FLAT };

    fn failed(times: u32, limit: LoginLimit, now: Timestamp) -> LoginFailures {
        (0..times).fold(LoginFailures::default(), |failures, _| failures.and_one(limit, now))
    }

    #[test]
    fn the_failure_that_reaches_the_limit_locks() {
        assert!(!LoginFailures::default().is_locked(FLAT, at(0)));
        for (times, limit, seconds) in [
            (2, FLAT, 0),
            (3, FLAT, 600),
            (50, FLAT, 600),
            (2, GROWING, 0),
            (3, GROWING, 1),
            (4, GROWING, 2),
            (12, GROWING, 512),
            (13, GROWING, 600),
            (100, GROWING, 600),
        ] {
            let failures = failed(times, limit, at(1_000));
            assert_eq!(failures.is_locked(limit, at(1_000 + seconds - 1)), seconds > 0, "{times} {limit:?}");
            assert!(!failures.is_locked(limit, at(1_000 + seconds)), "{times} {limit:?}");
        }
    }

    #[test]
    fn old_failures_are_forgotten() {
        let failures = failed(2, FLAT, at(1_000));
        assert_eq!(failures.forgotten_at, at(1_600));
        let third = failures.and_one(FLAT, at(1_599));
        assert_eq!(third, LoginFailures { count: 3, last_at: at(1_599), forgotten_at: at(2_199) });
        let fresh = failures.and_one(FLAT, at(1_600));
        assert_eq!(fresh, LoginFailures { count: 1, last_at: at(1_600), forgotten_at: at(2_200) });
    }

    /// Of somebody who always waits until the lock ends, and guesses on: a day has room for few guesses.
    #[test]
    fn patience_buys_no_guesses() {
        const ACCOUNT: LoginLimit =
            LoginLimit { failures_max: 100, lock_seconds: 900, memory_seconds: 86_400, growing: true };
        let (mut failures, mut now, mut guesses) = (LoginFailures::default(), at(0), 0);
        while now < at(10 * 86_400) {
            failures = failures.and_one(ACCOUNT, now);
            guesses += 1;
            now = failures.locked_until(ACCOUNT).unwrap_or(now);
        }
        assert_eq!(guesses, 99 + 10 + 959);
        assert_eq!(failures.count, guesses, "nothing was forgotten");
        let day_later = failures.last_at.plus_seconds(86_400);
        assert_eq!(failures.and_one(ACCOUNT, day_later.plus_seconds(-1)).count, guesses + 1);
        assert_eq!(failures.and_one(ACCOUNT, day_later).count, 1);
        let raised = LoginLimit { lock_seconds: 100_000, ..ACCOUNT };
        assert_eq!(LoginFailures::default().and_one(raised, at(0)).forgotten_at, at(100_000), "no lock outlives it");
    }
}
