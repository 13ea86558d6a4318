//! Backup codes as text (spec §2.13). Keeping, finding and using them up is done elsewhere.

/// Codes of one generation.
pub const CODES_PER_SET: usize = 10;
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
