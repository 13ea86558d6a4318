//! Backup codes as text (spec §2.13). Keeping, finding and using them up is done elsewhere.

/// Random bytes of one code, and the characters they make.
pub const CODE_BYTES: usize = 5;
pub const CODE_CHARS: usize = 8;

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A code from five random bytes: eight characters of lower-case base 32, five bits each.
#[must_use]
pub fn from_bytes(bytes: [u8; CODE_BYTES]) -> String {
    let bits = bytes.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    (0..CODE_CHARS)
        .rev()
        .filter_map(|place| BASE32.get(usize::try_from(bits >> (place * 5) & 31).unwrap_or_default()))
        .map(|&c| char::from(c))
        .collect()
}

/// Folds a typed code: lower case, blanks and hyphens dropped. `None` unless it then has the form of a code.
#[must_use]
pub fn fold(typed: &str) -> Option<String> {
    let is_separator = |c: char| c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    let code: String = typed.chars().filter(|c| !is_separator(*c)).map(|c| c.to_ascii_lowercase()).collect();
    (code.len() == CODE_CHARS && code.bytes().all(|byte| BASE32.contains(&byte))).then_some(code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn five_bytes_make_eight_characters() {
        for (bytes, code) in [
            ([0; 5], "aaaaaaaa"),
            ([255; 5], "77777777"),
            (*b"12345", "gezdgnbv"),
            ([0, 0, 0, 0, 1], "aaaaaaab"),
            ([8, 0, 0, 0, 0], "baaaaaaa"),
        ] {
            assert_eq!(from_bytes(bytes), code);
        }
    }

    #[test]
    fn typed_codes_are_folded() {
        for (typed, code) in [
            ("ABCD-2345", Some("abcd2345")),
            (" abcd 2345\n", Some("abcd2345")),
            ("a-b-c-d-2-3-4-5", Some("abcd2345")),
            ("abcd\u{2013}2345", Some("abcd2345")),
            ("abcd234", None),
            ("abcd23456", None),
            ("abcd2341", None),
            ("abcd234ß", None),
            ("081804", None),
            ("", None),
        ] {
            assert_eq!(fold(typed).as_deref(), code, "{typed:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_made_is_what_is_folded(bytes: [u8; 5]) {
            let code = from_bytes(bytes);
            prop_assert_eq!(fold(&code), Some(code.clone()));
            prop_assert_eq!(fold(&code.to_uppercase()), Some(code));
        }

        #[test]
        fn folding_twice_changes_nothing(typed in "\\PC{0,12}|[A-Za-z2-7 -]{6,14}") {
            if let Some(code) = fold(&typed) {
                prop_assert_eq!(fold(&code), Some(code));
            }
        }

        #[test]
        fn different_bytes_make_different_codes(one: [u8; 5], other: [u8; 5]) {
            prop_assert_eq!(one == other, from_bytes(one) == from_bytes(other));
        }
    }
}
