//! How strong a password must be (spec §2.5). The home of zxcvbn.

use super::fields::FieldError;

/// Longest password, in characters (spec §2.5).
pub const PASSWORD_CHARS_MAX: usize = 128;
/// Characters that the strength check looks at: its cost grows faster than the length (spec §2.5).
pub const STRENGTH_CHARS_MAX: usize = 72;

const ATTR: &str = "password";
/// Passwords that many people have, lower case, one a line: of Django's list (BSD-3-Clause) and that of
/// `@zxcvbn-ts/language-common` (MIT), about 55,000 together, those that zxcvbn with its own 30,000 lets through.
const COMMON_PASSWORDS: &str = include_str!("../../assets/common-passwords.txt");
/// Shortest part of a name or address that counts as known.
const KNOWN_PART_CHARS_MIN: usize = 3;

/// Why a password is refused (spec §2.5). Which code that is depends on where it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordProblem {
    pub kind: PasswordProblemKind,
    /// A sentence for the person who chose it.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordProblemKind {
    TooShort,
    TooWeak,
    TooLong,
}

impl PasswordProblem {
    /// As a sign-up answers.
    #[must_use]
    pub fn at_signup(self) -> FieldError {
        let code = match self.kind {
            PasswordProblemKind::TooShort => "password_too_short",
            PasswordProblemKind::TooWeak => "password_too_weak",
            PasswordProblemKind::TooLong => "max_length",
        };
        FieldError::new(code, self.detail, ATTR)
    }

    /// As a change of the profile and a reset answer.
    #[must_use]
    pub fn at_change(self) -> FieldError {
        let code = match self.kind {
            PasswordProblemKind::TooShort | PasswordProblemKind::TooWeak => "invalid_input",
            PasswordProblemKind::TooLong => "max_length",
        };
        FieldError::new(code, self.detail, ATTR)
    }
}

/// Whether a password may be chosen: long enough, not too long, and a zxcvbn score of at least 3, for which the words
/// in `user_inputs` (address, names, organization), whole and in their parts, count as known to everybody, as do the
/// most common passwords.
///
/// Takes a few milliseconds, but up to half a second for a text made of nothing but look-alikes of letters
/// (`4@8({[<`): it belongs where hashes are made, not among the requests.
pub fn check_password(password: &str, min_length: usize, user_inputs: &[&str]) -> Result<(), PasswordProblem> {
    let length = password.chars().count();
    if length < min_length {
        let detail = format!("This password is too short. It must contain at least {min_length} characters.");
        return Err(PasswordProblem { kind: PasswordProblemKind::TooShort, detail });
    }
    if length > PASSWORD_CHARS_MAX {
        let detail = format!("Ensure this field has no more than {PASSWORD_CHARS_MAX} characters.");
        return Err(PasswordProblem { kind: PasswordProblemKind::TooLong, detail });
    }
    let start: String = password.chars().take(STRENGTH_CHARS_MAX).collect();
    let known: Vec<&str> =
        user_inputs.iter().flat_map(|input| known_parts(input)).chain(COMMON_PASSWORDS.lines()).collect();
    let strength = zxcvbn::zxcvbn(&start, &known);
    if strength.score() >= zxcvbn::Score::Three {
        return Ok(());
    }
    let suggestions = strength.feedback().map(zxcvbn::feedback::Feedback::suggestions).unwrap_or_default();
    let detail = if suggestions.is_empty() {
        "This password is too weak.".to_owned()
    } else {
        suggestions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    Err(PasswordProblem { kind: PasswordProblemKind::TooWeak, detail })
}

/// What of a name or address somebody may make a password of: all of it, its words, and the part before the `@`.
fn known_parts(input: &str) -> impl Iterator<Item = &str> {
    let local_part = input.split('@').next();
    let words = input.split(|c: char| !c.is_alphanumeric());
    [input].into_iter().chain(local_part).chain(words).filter(|part| part.chars().count() >= KNOWN_PART_CHARS_MIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn weak_passwords_get_the_suggestions_of_the_reference() {
        const WORDS: &str = "Add another word or two. Uncommon words are better.";
        for (password, detail) in [
            ("password", WORDS.to_owned()),
            ("12345678", WORDS.to_owned()),
            ("test test test", format!("{WORDS} Avoid repeated words and characters.")),
        ] {
            let problem = check_password(password, 8, &[]).unwrap_err();
            assert_eq!(problem, PasswordProblem { kind: PasswordProblemKind::TooWeak, detail }, "{password}");
        }
        assert_eq!(check_password("lorry-cinnamon-9-quartz", 8, &[]), Ok(()));
        let strong_too_late = "a".repeat(STRENGTH_CHARS_MAX) + "lorry-cinnamon-9-quartz";
        assert!(check_password(&strong_too_late, 8, &[]).is_err());
    }

    #[test]
    fn length_comes_first_and_counts_characters() {
        let short = check_password("short", 8, &[]).unwrap_err();
        assert_eq!(short.kind, PasswordProblemKind::TooShort);
        assert_eq!(short.detail, "This password is too short. It must contain at least 8 characters.");
        assert_eq!(check_password("äöüßéèê", 8, &[]).unwrap_err().kind, PasswordProblemKind::TooShort);
        let long = "lorry-cinnamon-9-quartz ".repeat(8);
        assert_eq!(check_password(&long[..128], 8, &[]), Ok(()));
        let too_long = check_password(&long[..129], 8, &[]).unwrap_err();
        assert_eq!(too_long.kind, PasswordProblemKind::TooLong);
        assert_eq!(too_long.detail, "Ensure this field has no more than 128 characters.");
    }

    #[test]
    fn what_is_known_of_the_user_is_weak() {
        assert_eq!(check_password("qxvrntplakwdz", 8, &[""]), Ok(()));
        let known = ["", "qxvrntplakwdz"];
        assert_eq!(check_password("qxvrntplakwdz", 8, &known).unwrap_err().kind, PasswordProblemKind::TooWeak);
    }

    #[test]
    fn the_parts_of_what_is_known_are_weak() {
        for (password, known) in [
            ("qxvrntpl.akwdzbhm", "qxvrntpl.akwdzbhm@example.com"),
            ("qxvrntplakwdzbhm", "qxvrntpl.akwdzbhm@example.com"),
            ("AKWDZBHM1", "qxvrntpl akwdzbhm"),
            ("akwdzbhm99", "Qxvrntpl & Akwdzbhm Ltd."),
            ("qxvrntpl77", "ada@qxvrntpl.example"),
        ] {
            assert_eq!(check_password(password, 8, &[]), Ok(()), "{password}");
            assert!(check_password(password, 8, &[known]).is_err(), "{password}");
        }
        assert_eq!(
            known_parts("a.bcd+ef@g.example").collect::<Vec<_>>(),
            ["a.bcd+ef@g.example", "a.bcd+ef", "bcd", "example"]
        );
    }

    #[test]
    fn common_passwords_are_weak_in_any_case() {
        const WORDS: &str = "Add another word or two. Uncommon words are better.";
        let mut before = "";
        for common in COMMON_PASSWORDS.lines() {
            assert!(before < common && common.to_lowercase() == common, "sorted, lower case, each once: {common}");
            before = common;
            let problem = check_password(common, 1, &[]).unwrap_err();
            assert_eq!((problem.kind, problem.detail.as_str()), (PasswordProblemKind::TooWeak, WORDS), "{common}");
        }
        for password in ["nEMvXyHeqDd5OQxyXYZI", "lorry-cinnamon-9-quartz"] {
            assert_eq!(check_password(password, 8, &[]), Ok(()), "only what is on the list");
        }
        assert!(check_password("3ODI15ngxb", 8, &[]).is_err());
    }

    #[test]
    fn the_code_depends_on_what_is_wrong_with_the_password() {
        for (kind, at_change) in [
            (PasswordProblemKind::TooShort, "invalid_input"),
            (PasswordProblemKind::TooWeak, "invalid_input"),
            (PasswordProblemKind::TooLong, "max_length"),
        ] {
            let problem = PasswordProblem { kind, detail: "d".to_owned() };
            assert_eq!(problem.at_change(), FieldError::new(at_change, "d", "password"));
        }
    }

    proptest! {
        #[test]
        fn any_password_can_be_checked(password: String, known: String) {
            let _ = check_password(&password, 0, &[&known]);
        }
    }
}
