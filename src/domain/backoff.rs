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

/// Failed logins counted under one key: account and address, address, or account (W-28).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginFailures {
    pub count: u32,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
}

/// The limits of one kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginLimit {
    /// Failures that are free of consequence, less one: the one that reaches it locks.
    pub failures_max: u32,
    /// How long a lock lasts after the last failure, in seconds; also how long failures are remembered.
    pub lock_seconds: i64,
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

    /// One more failure; those older than the limit remembers are forgotten first.
    #[must_use]
    pub fn and_one(self, limit: LoginLimit, now: Timestamp) -> Self {
        if self.count == 0 || now >= self.forgotten_at(limit) {
            Self { count: 1, first_at: now, last_at: now }
        } else {
            Self { count: self.count.saturating_add(1), first_at: self.first_at, last_at: now }
        }
    }

    /// When the record means nothing any more.
    #[must_use]
    pub fn forgotten_at(self, limit: LoginLimit) -> Timestamp {
        self.last_at.plus_seconds(limit.lock_seconds)
    }
}
