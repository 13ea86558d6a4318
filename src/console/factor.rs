//! What is known of a second factor, and of the mails about it, in words: the same on the screen, in the dialogs and line
//! by line.

use super::explain::drift;
use super::text::{ago, count, date, date_time, minute, shown, until};
use super::theme::Tone;
use crate::app::views::{FactorView, MailRow};
use crate::domain::mail::MailState;
use crate::domain::time::Timestamp;

/// Unlocked so often in a day, it is not the last time: the cause is to be looked for.
const UNLOCKS_MANY: u32 = 2;
const FAILED_LOGINS: &str = "too many failed logins";

/// What keeps the user out now, the more urgent first, with when and whence; `None`: nothing does.
#[must_use]
pub fn lock(factor: &FactorView, now: Timestamp) -> Option<String> {
    let (is_codes, at) = locked_until(factor, now)?;
    let why = if is_codes { wrong_codes(factor, now) } else { FAILED_LOGINS.to_owned() };
    let until = full_minute(at);
    let until = if date(until) == date(now) { minute(until) } else { date_time(until) };
    Some(format!("{why}, until {until}"))
}

/// [`lock`] where there is little room: without whence.
#[must_use]
pub fn lock_in_short(factor: &FactorView, now: Timestamp) -> Option<String> {
    let (is_codes, at) = locked_until(factor, now)?;
    let why = if is_codes { failures(factor) } else { FAILED_LOGINS.to_owned() };
    Some(format!("{why}, until {} ({})", minute(full_minute(at)), until(now, at)))
}

/// Until when the user is kept out, and whether by wrong codes; else it is by failed logins.
fn locked_until(factor: &FactorView, now: Timestamp) -> Option<(bool, Timestamp)> {
    let later = |at: Option<Timestamp>| at.filter(|at| *at > now);
    let by_codes = later(factor.waiting_until).map(|at| (true, at));
    by_codes.or_else(|| later(factor.login_locked_until).map(|at| (false, at)))
}

/// The first full minute by which it is over: nobody is told to come too early.
fn full_minute(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(59_999_999))
}

fn failures(factor: &FactorView) -> String {
    count((factor.totp_failures + factor.backup_code_failures) as usize, "wrong code")
}

/// `5 wrong codes 08:51-08:59 from 203.0.113.7`.
#[must_use]
pub fn wrong_codes(factor: &FactorView, now: Timestamp) -> String {
    let number = failures(factor);
    let when = match (factor.failures_since, factor.last_failure_at) {
        (_, None) => String::new(),
        (Some(since), Some(last)) if date(since) == date(now) && minute(since) != minute(last) => {
            format!(" {}-{}", minute(since), minute(last))
        }
        (Some(since), Some(last)) if date(since) != date(now) && date_time(since) != date_time(last) => {
            format!(" since {}, last {}", date_time(since), ago_words(now, last))
        }
        (_, Some(last)) if date(last) == date(now) => format!(" {}", minute(last)),
        (_, Some(last)) => format!(" {}", date_time(last)),
    };
    let from = factor.locked_from.as_deref().map_or(String::new(), |address| format!(" from {}", shown(address)));
    format!("{number}{when}{from}")
}

/// What the last code that was accepted says about the phone's clock; `None`: nothing. A code that is typed late looks
/// like a slow clock.
#[must_use]
pub fn clock(factor: &FactorView) -> Option<String> {
    let steps = factor.last_drift_steps?;
    let late = if steps < 0 { ", or code typed late" } else { "" };
    Some(format!("{}{late}", drift(i64::from(steps))?))
}

/// From when on a new device is demanded.
#[must_use]
pub fn demand(factor: &FactorView, now: Timestamp) -> Option<String> {
    let from = factor.enrol_from?;
    Some(if from > now { format!("from {} on", date(from)) } else { format!("since {}", date(from)) })
}

/// That unlocking once more will not help for long.
#[must_use]
pub fn unlocked_often(unlocked_today: u32) -> Option<String> {
    (unlocked_today >= UNLOCKS_MANY).then(|| {
        format!("unlocked {unlocked_today} times in the last day: check the phone's clock, or reset the second factor")
    })
}

/// `verify email, 2 d ago, to anna@example.com: not delivered, 550 mailbox unavailable`.
#[must_use]
pub fn mail(mail: &MailRow, now: Timestamp) -> String {
    let state = match mail.state {
        MailState::Queued => "waiting",
        MailState::HandedOver => "handed to the mail server",
        MailState::Failed => "not delivered",
    };
    let answer = mail.error.as_deref().map_or(String::new(), |error| format!(", {}", shown(error)));
    let kind = mail.kind.replace('_', " ");
    format!("{}, {}, to {}: {state}{answer}", shown(&kind), ago_words(now, mail.at), shown(&mail.to))
}

/// The tone of a mail's state.
#[must_use]
pub const fn mail_tone(mail: &MailRow) -> Tone {
    match mail.state {
        MailState::Queued => Tone::Waiting,
        MailState::HandedOver => Tone::Good,
        MailState::Failed => Tone::Bad,
    }
}

/// `2 min ago`, `just now`.
#[must_use]
pub fn ago_words(now: Timestamp, at: Timestamp) -> String {
    let ago = ago(now, at);
    if ago == "now" { "just now".to_owned() } else { format!("{ago} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::tests::fixture::{detail, start, users};

    #[test]
    fn wrong_codes_tell_when_and_whence() {
        let now = start();
        let mut factor = detail(users().remove(1)).factor;
        let mut told = |since: i64, last: i64, from: Option<&str>| {
            factor.failures_since = Some(now.plus_seconds(-since));
            factor.last_failure_at = Some(now.plus_seconds(-last));
            factor.locked_from = from.map(str::to_owned);
            wrong_codes(&factor, now)
        };
        assert_eq!(told(660, 180, Some("203.0.113.7")), "5 wrong codes 08:51-08:59 from 203.0.113.7");
        assert_eq!(told(180, 180, None), "5 wrong codes 08:59");
        assert_eq!(told(86_400, 180, None), "5 wrong codes since 2026-11-22 09:02, last 3 min ago");
        assert_eq!(told(86_400, 86_400, Some("::1")), "5 wrong codes 2026-11-22 09:02 from ::1");
        factor.failures_since = None;
        assert_eq!(wrong_codes(&factor, now), "5 wrong codes 2026-11-22 09:02 from ::1");
        factor.last_failure_at = None;
        factor.locked_from = None;
        assert_eq!(wrong_codes(&factor, now), "5 wrong codes");
    }

    #[test]
    fn a_clock_that_is_right_is_not_worth_a_word() {
        let mut factor = detail(users().remove(1)).factor;
        for (steps, told) in [
            (Some(-1), Some("phone clock about 30 s slow, or code typed late")),
            (Some(2), Some("phone clock about 60 s fast")),
            (Some(0), None),
            (None, None),
        ] {
            factor.last_drift_steps = steps;
            assert_eq!(clock(&factor).as_deref(), told);
        }
    }

    #[test]
    fn a_lock_never_ends_before_it_is_said_to() {
        let now = start();
        let mut factor = detail(users().remove(1)).factor;
        factor.waiting_until = Some(now.plus_seconds(720));
        assert_eq!(lock_in_short(&factor, now).as_deref(), Some("5 wrong codes, until 09:15 (12 min)"), "09:14:11");
        factor.waiting_until = None;
        assert_eq!(lock(&factor, now), None);
        factor.login_locked_until = Some(now.plus_seconds(60));
        assert_eq!(lock(&factor, now).as_deref(), Some("too many failed logins, until 09:04"));
        factor.login_locked_until = Some(now.plus_seconds(86_400));
        assert_eq!(lock(&factor, now).as_deref(), Some("too many failed logins, until 2026-11-24 09:03"));
    }
}
