//! One-time codes by time: RFC 6238 with SHA-1, six digits, 30 seconds (spec §2.12). The home of totp-rs.
//!
//! Says whether a code is right; that it works only once is up to the caller, who stores the accepted step.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use totp_rs::{Algorithm, Builder, Secret as TotpSecret};

use super::time::Timestamp;

/// Length of a secret, in bytes.
pub const SECRET_BYTES: usize = 20;
/// Length of a step, in seconds.
pub const STEP_SECONDS: i64 = 30;
/// Steps before and after the present one whose codes are accepted.
pub const TOLERANCE_STEPS: i64 = 1;
/// Digits of a code.
pub const CODE_DIGITS: usize = 6;
/// How far [`locate`] looks at most: a day each way.
pub const LOCATE_STEPS_MAX: i64 = 2_880;

/// What [`verify`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Right; `step` has to be stored as the last step, in the same batch as what the code was given for.
    Accepted {
        step: i64,
    },
    /// Right in itself, but of a step that is not later than the last accepted one.
    Replayed,
    Wrong,
}

/// Checks a code of one step each way around `now`. Only steps after `last_step` count (RFC 6238 §5.2); -1 is before
/// all steps. Takes the same time whichever step matches.
#[must_use]
pub fn verify(secret: &[u8], code: &str, now: Timestamp, last_step: i64) -> Match {
    let present = step_at(now);
    let mut found = -1_i64;
    for step in present.saturating_sub(TOLERANCE_STEPS)..=present.saturating_add(TOLERANCE_STEPS) {
        // Of equal codes in the window the latest step is taken, so that the same digits cannot be used again.
        found.conditional_assign(&step, is_code_of(secret, code, step));
    }
    match found {
        step if step < 0 => Match::Wrong,
        step if step <= last_step => Match::Replayed,
        step => Match::Accepted { step },
    }
}

/// The step whose code this is, nearest to `now` first, up to `window_steps` each way; tells an operator how far a
/// clock is off. Never a reason to accept a code.
#[must_use]
pub fn locate(secret: &[u8], code: &str, now: Timestamp, window_steps: i64) -> Option<i64> {
    let present = step_at(now);
    (0..=window_steps.min(LOCATE_STEPS_MAX))
        .flat_map(|distance| [present.saturating_sub(distance), present.saturating_add(distance)])
        .find(|step| is_code_of(secret, code, *step).into())
}

/// The code of a step, with leading zeros. There are no steps before 0; those get the code of step 0.
#[must_use]
pub fn code_at(secret: &[u8], step: i64) -> String {
    let seconds = u64::try_from(step.saturating_mul(STEP_SECONDS)).unwrap_or_default();
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_step_duration(30)
        .with_secret(secret.to_vec())
        // The checks of `build` concern settings that are fixed here.
        .build_noncompliant()
        .generate(seconds)
        .to_string()
}

/// The step a moment lies in.
#[must_use]
pub const fn step_at(now: Timestamp) -> i64 {
    now.as_seconds().div_euclid(STEP_SECONDS)
}

/// Reads a typed code: blanks around it dropped, then exactly six ASCII digits (W-16).
#[must_use]
pub fn parse_code(typed: &str) -> Option<String> {
    let code = typed.trim();
    (code.len() == CODE_DIGITS && code.bytes().all(|byte| byte.is_ascii_digit())).then(|| code.to_owned())
}

/// A secret as people see it: base 32, upper case, no padding (32 characters for 20 bytes).
#[must_use]
pub fn encode_secret(secret: &[u8]) -> String {
    TotpSecret::from(secret.to_vec()).to_base32()
}

/// Reads what [`encode_secret`] wrote; case, blanks, hyphens and padding do not matter. `None` when it is not base 32.
#[must_use]
pub fn decode_secret(text: &str) -> Option<Vec<u8>> {
    let plain: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-' && *c != '=').collect();
    TotpSecret::try_from_base32(plain.to_ascii_uppercase()).ok().map(|secret| secret.as_ref().to_vec())
}

/// The address behind a QR code (spec §3.2). Algorithm, digits and period are the defaults and are left out: a shorter
/// text makes a code with larger squares, and some apps stumble over them.
#[must_use]
pub fn otpauth_uri(issuer: &str, email: &str, secret_base32: &str) -> String {
    // A colon separates issuer and account in the label.
    let issuer = percent_encode(&issuer.replace(':', " "));
    let account = percent_encode(email);
    if issuer.is_empty() {
        return format!("otpauth://totp/{account}?secret={secret_base32}");
    }
    format!("otpauth://totp/{issuer}:{account}?secret={secret_base32}&issuer={issuer}")
}

fn is_code_of(secret: &[u8], code: &str, step: i64) -> Choice {
    let is_step = Choice::from(u8::from(step >= 0));
    code_at(secret, step).as_bytes().ct_eq(code.as_bytes()) & is_step
}

/// All but the unreserved characters of RFC 3986 §2.3. A blank is `%20`: not every app reads `+` as one.
fn percent_encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
