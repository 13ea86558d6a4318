//! Rules over plain text: what may be shown, what may be a name, what is searched for. Knows nothing about fields of
//! its own; e-mail addresses and codes have their own modules.

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::fields::FieldError;

/// Characters of a client's value that an error sentence repeats at most (W-43).
pub const MESSAGE_CHARS_MAX: usize = 200;
/// Words that [`words`] finds at most, and the characters kept of each.
pub const WORDS_MAX: usize = 12;
pub const WORD_CHARS_MAX: usize = 32;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whether a character is not seen although it changes what is read: zero width, direction marks, overrides and
/// isolates, fillers, tags. Blanks and control characters are not among them, nor are the variation selectors, which
/// ordinary emoji need.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

/// Control characters and the two separators of lines and paragraphs.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Writes bytes as one big number in base 62, padded to the same length for the same number of bytes (43 characters
/// for 32 bytes). Different bytes give different text, so random bytes keep all their entropy; only the first
/// character is not uniform.
#[must_use]
pub fn base62(bytes: &[u8]) -> String {
    // log2(62) is a little more than 5.954 bits for each character.
    let length = (bytes.len() * 8_000).div_ceil(5_954);
    let mut number = bytes.to_vec();
    let mut digits: Vec<u8> = (0..length).map(|_| divide_by_62(&mut number)).collect();
    digits.reverse();
    digits.into_iter().filter_map(|digit| BASE62.get(usize::from(digit)).map(|&c| char::from(c))).collect()
}

/// Divides a big-endian number in place; the remainder comes back.
fn divide_by_62(number: &mut [u8]) -> u8 {
    let mut remainder = 0u16;
    for byte in number {
        let part = remainder * 256 + u16::from(*byte);
        // At most (61 * 256 + 255) / 62 = 255, so nothing is cut off.
        *byte = u8::try_from(part / 62).unwrap_or(u8::MAX);
        remainder = part % 62;
    }
    u8::try_from(remainder).unwrap_or_default()
}

/// A client's value as an error sentence may repeat it: no control or invisible characters, at most 200 characters
/// (W-43).
#[must_use]
pub fn for_message(text: &str) -> String {
    text.chars().filter(|c| !is_control(*c) && !is_invisible(*c)).take(MESSAGE_CHARS_MAX).collect()
}

/// Foreign text as a terminal may show it: control and invisible characters become escapes such as `\n` and
/// `\u{202e}`.
#[must_use]
pub fn for_display(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_control(c) || is_invisible(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The type names of spec §1.2.
#[must_use]
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// A value as the reference's sentences print it: strings without quotes, `True`, `False`, `None`, the rest as JSON.
#[must_use]
pub fn printed(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => for_message(text),
        other => for_message(&other.to_string()),
    }
}

/// The words of a text for the search index: lower case, split at whatever is neither letter nor digit, each once, at
/// most 12 of at most 32 characters. A search term goes through the same function and matches by prefix.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let lower = text.nfkc().collect::<String>().to_lowercase();
    let mut words: Vec<String> = Vec::new();
    for part in lower.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
        let word: String = part.chars().take(WORD_CHARS_MAX).collect();
        if words.len() < WORDS_MAX && !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// The rules for names that others see (spec §2.4). Looks at a compatibility-normalised copy, so that look-alikes
/// such as a full-width `<` do not pass; the value itself is expected to be trimmed already.
pub fn check_display_name(attr: &'static str, value: &str) -> Result<(), FieldError> {
    let plain: String = value.nfkc().collect();
    let problem = if plain.chars().any(is_control) {
        Some(("invalid_control_char", "Line breaks and control characters are not allowed in this field."))
    } else if plain.chars().any(is_invisible) {
        let detail = "Invisible or direction-override characters are not allowed in this field.";
        Some(("invalid_invisible_char", detail))
    } else if plain.contains(['<', '>']) {
        Some(("invalid_bracket", "Angle brackets are not allowed in this field."))
    } else if has_url(&plain.to_lowercase()) {
        Some(("invalid_url", "URLs are not allowed in this field."))
    } else {
        None
    };
    problem.map_or(Ok(()), |(code, detail)| Err(FieldError::new(code, detail, attr)))
}

/// A scheme, `www.`, or a bare domain, in lower-case text.
fn has_url(text: &str) -> bool {
    text.contains("://") || text.contains("www.") || text.split(|c: char| !is_domain_char(c)).any(is_bare_domain)
}

fn is_domain_char(c: char) -> bool {
    c.is_alphanumeric() || c == '.' || c == '-'
}

/// Two labels or more of which the last is a common top-level domain. Not any two labels: `Dr.Smith` and `J.R.R.` are
/// names.
fn is_bare_domain(token: &str) -> bool {
    token.trim_matches(['.', '-']).rsplit_once('.').is_some_and(|(name, top)| {
        TOP_LEVEL_DOMAINS.contains(&top) && name.rsplit('.').next().is_some_and(|label| label.chars().count() > 1)
    })
}

/// The domains that links in abused names point to most.
const TOP_LEVEL_DOMAINS: &[&str] = &[
    "ai", "app", "at", "be", "biz", "br", "cc", "ch", "click", "club", "cn", "co", "com", "cz", "de", "dev", "edu",
    "es", "eu", "fr", "fun", "gg", "gov", "icu", "in", "info", "io", "it", "jp", "link", "live", "ly", "me", "mobi",
    "net", "news", "nl", "online", "org", "pl", "pro", "pt", "pw", "ru", "sh", "shop", "site", "space", "store", "su",
    "tech", "tk", "top", "tv", "ua", "uk", "us", "vip", "website", "win", "work", "xyz",
];
