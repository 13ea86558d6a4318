//! Single-use tokens: e-mail verification, set-password links, first set-up (spec §3.3, §3.7, W-37).

use super::time::Timestamp;

/// Seconds a verification or reset token lives (spec §7.2).
pub const TOKEN_SECONDS: i64 = 86_400;
/// Seconds an e-mailed code lives, and the attempts it allows (spec §3.3).
pub const CODE_SECONDS: i64 = 600;
pub const CODE_ATTEMPTS_MAX: u32 = 5;
/// Seconds the link to the first staff account lives.
pub const SETUP_SECONDS: i64 = 3_600;
/// Seconds the link that resets a second factor lives, and the login that it wants (spec §3.10).
pub const RESET_LINK_SECONDS: i64 = 3_600;

/// What a token is for; one live token per user and purpose (W-37).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    VerifyEmail,
    ResetPassword,
    /// Resets the second factor, at the hand of an administrator.
    ResetTwoFactor,
    /// The second step of a login: a code without a token (spec §3.5, row 7).
    LoginCode,
    /// Makes the first staff account; belongs to no user.
    Setup,
}

impl Purpose {
    /// Those that belong to a user, and go with the user.
    pub const OF_USERS: [Self; 4] = [Self::VerifyEmail, Self::ResetPassword, Self::ResetTwoFactor, Self::LoginCode];

    /// Seconds that a token lives.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::VerifyEmail | Self::ResetPassword => TOKEN_SECONDS,
            Self::ResetTwoFactor => RESET_LINK_SECONDS,
            Self::LoginCode => CODE_SECONDS,
            Self::Setup => SETUP_SECONDS,
        }
    }
}

/// A live token, stored as a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// SHA-256 of the token; zeroes where there is only a code.
    pub hash: [u8; 32],
    pub expires_at: Timestamp,
    /// Digest of the facts it depends on; when they change the token is dead (spec §3.3).
    pub binding: [u8; 32],
    /// A code sent along with it, which dies with it.
    pub code: Option<Code>,
}

/// A six-digit code (Era C).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// HMAC of the code: six digits would not survive a plain hash.
    pub mac: [u8; 32],
    pub expires_at: Timestamp,
    pub failures: u32,
    /// It did its work; kept until it expires, to recognise a repeated submit (spec §5, row 7).
    pub used: bool,
}

/// Folds a typed code: blanks, invisible characters and hyphens dropped, wide digits folded (spec §3.3). `None`
/// unless exactly six digits remain.
#[must_use]
pub fn fold_code(typed: &str) -> Option<String> {
    use unicode_normalization::UnicodeNormalization;
    let folded: String = typed
        .nfkc()
        .filter(|c| {
            !c.is_whitespace()
                && !super::text::is_invisible(*c)
                && !matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
        })
        .collect();
    (folded.len() == 6 && folded.bytes().all(|byte| byte.is_ascii_digit())).then_some(folded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn typed_codes_are_folded() {
        for (typed, code) in [
            (" 123-456 ", Some("123456")),
            ("123\u{2013}456", Some("123456")),
            ("\u{ff11}\u{ff12}\u{ff13}\u{ff14}\u{ff15}\u{ff16}", Some("123456")),
            ("\u{200b}1\u{a0}2\t3 4 5 6\u{feff}", Some("123456")),
            ("12345", None),
            ("1234567", None),
            ("12345a", None),
            ("\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}", None),
            ("+23456", None),
            ("", None),
        ] {
            assert_eq!(fold_code(typed).as_deref(), code, "{typed:?}");
        }
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(typed in "\\PC{0,8}|[0-9 -]{5,9}") {
            if let Some(code) = fold_code(&typed) {
                prop_assert_eq!(fold_code(&code), Some(code));
            }
        }
    }
}
