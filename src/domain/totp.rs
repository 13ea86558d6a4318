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

/// The step whose code this is, nearest to `now` first, up to so many steps `back` and `ahead`; tells an operator how far
/// a clock is off. Never a reason to accept a code.
#[must_use]
pub fn locate(secret: &[u8], code: &str, now: Timestamp, back: i64, ahead: i64) -> Option<i64> {
    let present = step_at(now);
    (0..=back.max(ahead).min(LOCATE_STEPS_MAX))
        .flat_map(|distance| {
            let before = (distance <= back).then(|| present.saturating_sub(distance));
            [before, (distance <= ahead).then(|| present.saturating_add(distance))]
        })
        .flatten()
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
#[cfg(any(test, fuzzing))]
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

/// The same in as few characters as apps can do with: the issuer once, and the `@` as it is. For the code that is drawn
/// on a terminal, where each square counts.
#[must_use]
pub fn short_otpauth_uri(issuer: &str, email: &str, secret_base32: &str) -> String {
    let account = percent_encode(email).replace("%40", "@");
    let issuer = percent_encode(issuer);
    let issuer = if issuer.is_empty() { issuer } else { format!("&issuer={issuer}") };
    format!("otpauth://totp/{account}?secret={secret_base32}{issuer}")
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn the_golden_values_of_the_specification() {
        for (seconds, step, code) in [
            (59, 1, "287082"),
            (1_111_111_109, 37_037_036, "081804"),
            (1_111_111_111, 37_037_037, "050471"),
            (1_234_567_890, 41_152_263, "005924"),
            (2_000_000_000, 66_666_666, "279037"),
            (20_000_000_000, 666_666_666, "353130"),
        ] {
            assert_eq!(step_at(at(seconds)), step);
            assert_eq!(code_at(SECRET, step), code);
            assert_eq!(verify(SECRET, code, at(seconds), -1), Match::Accepted { step });
        }
    }

    #[test]
    fn one_step_each_way_is_accepted() {
        let now = at(1_111_111_111);
        let present = 37_037_037;
        assert_eq!(verify(SECRET, "081804", now, -1), Match::Accepted { step: present - 1 });
        for (step, expected) in [
            (present - 2, Match::Wrong),
            (present - 1, Match::Accepted { step: present - 1 }),
            (present, Match::Accepted { step: present }),
            (present + 1, Match::Accepted { step: present + 1 }),
            (present + 2, Match::Wrong),
        ] {
            assert_eq!(verify(SECRET, &code_at(SECRET, step), now, -1), expected);
        }
    }

    #[test]
    fn a_code_of_a_used_or_earlier_step_is_replayed() {
        let now = at(1_111_111_111);
        let present = 37_037_037;
        for (last_step, expected) in [
            (present - 1, Match::Accepted { step: present }),
            (present, Match::Replayed),
            (present + 1, Match::Replayed),
        ] {
            assert_eq!(verify(SECRET, "050471", now, last_step), expected);
        }
        assert_eq!(verify(SECRET, "050470", now, present), Match::Wrong);
    }

    #[test]
    fn text_that_is_no_code_is_wrong_and_the_epoch_has_no_step_before_it() {
        for code in ["", "50471", "0050471", "05047\u{661}", " 050471"] {
            assert_eq!(verify(SECRET, code, at(1_111_111_111), -1), Match::Wrong, "{code:?}");
        }
        assert_eq!(verify(SECRET, &code_at(SECRET, 0), at(0), -1), Match::Accepted { step: 0 });
        assert_eq!(verify(SECRET, &code_at(SECRET, 0), at(-60), -1), Match::Wrong);
    }

    #[test]
    fn typed_codes_are_six_ascii_digits() {
        for (typed, code) in [
            ("081804", Some("081804")),
            (" 081804\n", Some("081804")),
            ("81804", None),
            ("0818044", None),
            ("+81804", None),
            ("08_804", None),
            ("081 804", None),
            ("\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}", None),
            ("", None),
        ] {
            assert_eq!(parse_code(typed).as_deref(), code, "{typed:?}");
        }
    }

    #[test]
    fn locate_finds_how_far_a_clock_is_off() {
        let now = at(1_111_111_111);
        for (step, window, found) in [
            (37_037_037, 0, true),
            (37_037_036, 0, false),
            (37_037_027, 10, true),
            (37_037_047, 10, true),
            (37_037_048, 10, false),
        ] {
            assert_eq!(locate(SECRET, &code_at(SECRET, step), now, window, window), found.then_some(step));
        }
        for (step, back, ahead, found) in
            [(-11, 11, 10, true), (-11, 10, 11, false), (11, 11, 10, false), (10, 0, 10, true)]
        {
            let step = 37_037_037 + step;
            assert_eq!(locate(SECRET, &code_at(SECRET, step), now, back, ahead), found.then_some(step));
        }
        assert_eq!(locate(SECRET, "no code", now, i64::MAX, i64::MAX), None);
        assert_eq!(locate(SECRET, &code_at(SECRET, 0), at(-60), 5, 5), Some(0), "there is no step before 0");
    }

    #[test]
    fn secrets_read_as_base_32_in_any_spelling() {
        let text = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        assert_eq!(encode_secret(SECRET), text);
        for typed in [text, "gezd gnbv gy3t qojq gezd gnbv gy3t qojq", "GEZDGNBV-GY3TQOJQ-GEZDGNBV-GY3TQOJQ"] {
            assert_eq!(decode_secret(typed).as_deref(), Some(SECRET), "{typed}");
        }
        assert_eq!(decode_secret("GEZDGNBV1"), None);
        assert_eq!(decode_secret("GEZDGNBVÄ"), None);
    }

    #[test]
    fn the_uri_is_percent_encoded_and_short() {
        assert_eq!(
            otpauth_uri("Door: ward", "ada+tag@example.com", "GEZDGNBV"),
            "otpauth://totp/Door%20%20ward:ada%2Btag%40example.com?secret=GEZDGNBV&issuer=Door%20%20ward"
        );
        assert_eq!(otpauth_uri("", "ada@example.com", "GEZD"), "otpauth://totp/ada%40example.com?secret=GEZD");
        assert_eq!(
            short_otpauth_uri("Door: ward", "ada+tag@example.com", "GEZDGNBV"),
            "otpauth://totp/ada%2Btag@example.com?secret=GEZDGNBV&issuer=Door%3A%20ward"
        );
        assert_eq!(short_otpauth_uri("", "ada@example.com", "GEZD"), "otpauth://totp/ada@example.com?secret=GEZD");
    }

    proptest! {
        #[test]
        fn an_accepted_step_is_near_and_later_than_the_last(
            seconds in 0_i64..40_000_000_000, offset in -3_i64..=3, behind in -3_i64..=3,
        ) {
            let present = step_at(at(seconds));
            let last_step = present + behind;
            let code = code_at(SECRET, present + offset);
            if let Match::Accepted { step } = verify(SECRET, &code, at(seconds), last_step) {
                prop_assert!(step > last_step && (step - present).abs() <= TOLERANCE_STEPS);
                prop_assert_eq!(verify(SECRET, &code, at(seconds), step), Match::Replayed);
            }
        }

        #[test]
        fn any_text_and_moment_are_survived(code: String, micros: i64, last_step: i64) {
            let now = Timestamp::from_micros(micros);
            let _ = verify(SECRET, &code, now, last_step);
            let _ = (parse_code(&code), decode_secret(&code), locate(SECRET, &code, now, 2, 2));
        }
    }
}
