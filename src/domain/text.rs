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

/// Whether this is a path on this site and nothing that a browser could read as another one.
#[must_use]
pub fn is_safe_path(next: &str) -> bool {
    next.starts_with('/') && !next.starts_with("//") && !next.contains(|c: char| c == '\\' || c.is_control())
}

/// A path that leads on to another, which is a safe one.
#[must_use]
pub fn with_next(path: &str, next: &str) -> String {
    let escaped: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    format!("{path}?next={}", escaped.replace("%2F", "/"))
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

/// A text as it is compared in a search: compatibility forms made plain, in lower case.
#[must_use]
pub fn folded(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.nfkc().collect::<String>().to_lowercase() }
}

/// The words of a text for the search index: lower case, split at whatever is neither letter nor digit, each once, at
/// most 12 of at most 32 characters. A search term goes through the same function and matches by prefix.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let lower = folded(text);
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
    check_shown(attr, value, has_url)
}

/// The rules for a message to somebody else (spec §2.9): as for names, but a domain may be spoken of.
pub fn check_message(attr: &'static str, value: &str) -> Result<(), FieldError> {
    check_shown(attr, value, |text| text.contains("://") || text.contains("www."))
}

fn check_shown(attr: &'static str, value: &str, has_url: impl Fn(&str) -> bool) -> Result<(), FieldError> {
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
    let labels = token.trim_matches(['.', '-']).rsplit_once('.');
    labels.is_some_and(|(name, top)| !name.is_empty() && TOP_LEVEL_DOMAINS.contains(&top))
}

/// The domains that links in abused names point to most.
const TOP_LEVEL_DOMAINS: &[&str] = &[
    "ai", "app", "at", "be", "biz", "br", "cc", "ch", "click", "club", "cn", "co", "com", "cz", "de", "dev", "edu",
    "es", "eu", "fr", "fun", "gg", "gov", "icu", "in", "info", "io", "it", "jp", "link", "live", "ly", "me", "mobi",
    "net", "news", "nl", "online", "org", "pl", "pro", "pt", "pw", "ru", "sh", "shop", "site", "space", "store", "su",
    "tech", "tk", "top", "tv", "ua", "uk", "us", "vip", "website", "win", "work", "xyz",
];

/// Lower-case hexadecimal digits, two for each byte.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| DIGITS.get(usize::from(half)).map_or('0', |&digit| char::from(digit));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Reads what [`hex`] wrote, in either case; `None` for anything else.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn base62_keeps_the_number_and_the_length() {
        assert_eq!(base62(&[]), "");
        assert_eq!(base62(&[0]), "00");
        assert_eq!(base62(&[61]), "0z");
        assert_eq!(base62(&[62]), "10");
        assert_eq!(base62(&[255]), "47");
        assert_eq!(base62(&[1, 0]), "048");
        assert_eq!(base62(&[255, 255]), "H31");
        assert_eq!(base62(&[0; 32]), "0".repeat(43));
        assert_eq!(base62(&[255; 32]).len(), 43);
    }

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(unhex(&hex(&[0, 1, 0xab, 0xff])), Some(vec![0, 1, 0xab, 0xff]));
        assert_eq!(unhex("0A"), Some(vec![10]));
        for text in ["0", "0g", "é", "+1", "0x"] {
            assert_eq!(unhex(text), None, "{text}");
        }
    }

    #[test]
    fn messages_repeat_little_and_nothing_hidden() {
        assert_eq!(for_message("a\u{1b}[31mb\r\n\u{202e}c"), "a[31mbc");
        assert_eq!(for_message(&"ä".repeat(300)), "ä".repeat(200));
    }

    #[test]
    fn terminals_show_what_is_hidden() {
        assert_eq!(for_display("Ada \u{1b}[2J\n\u{202e}\u{200b}é"), "Ada \\u{1b}[2J\\n\\u{202e}\\u{200b}é");
        assert_eq!(for_display("\\n stays"), "\\n stays");
    }

    #[test]
    fn types_have_the_names_of_the_reference() {
        for (value, name, shown) in [
            (json!("a"), "str", "a"),
            (json!(1), "int", "1"),
            (json!(-1), "int", "-1"),
            (json!(1.5), "float", "1.5"),
            (json!(true), "bool", "True"),
            (json!(false), "bool", "False"),
            (json!([1]), "list", "[1]"),
            (json!({}), "dict", "{}"),
            (json!(null), "NoneType", "None"),
        ] {
            assert_eq!((type_name(&value), printed(&value).as_str()), (name, shown));
        }
    }

    #[test]
    fn words_are_lower_case_single_and_few() {
        assert_eq!(words("Ada.Lovelace+x@Example.COM ada"), ["ada", "lovelace", "x", "example", "com"]);
        assert_eq!(words("Ærø  Ｗｉｄｅ --"), ["ærø", "wide"]);
        assert_eq!(words(&"x".repeat(100)), ["x".repeat(32)]);
        let many: Vec<String> = (0..50).map(|n| format!("w{n}")).collect();
        assert_eq!(words(&many.join(" ")).len(), WORDS_MAX);
    }

    #[test]
    fn display_names_hide_nothing_and_link_nowhere() {
        for (name, code) in [
            ("", None),
            ("Ada Lovelace", None),
            ("J.R.R. Tolkien", None),
            ("Dr.Smith", None),
            ("Łukasz O'Brien-Müller, Jr.", None),
            ("李小龍 ❤\u{fe0f}", None),
            ("Ada\nLovelace", Some("invalid_control_char")),
            ("Ada\u{2028}Lovelace", Some("invalid_control_char")),
            ("Ada\u{2029}", Some("invalid_control_char")),
            ("Ada\u{0}", Some("invalid_control_char")),
            ("Ada\u{200b}", Some("invalid_invisible_char")),
            ("\u{202e}adA", Some("invalid_invisible_char")),
            ("\u{ffa0}", Some("invalid_invisible_char")),
            ("<b>Ada", Some("invalid_bracket")),
            ("Ada \u{ff1e}", Some("invalid_bracket")),
            ("https://evil.test", Some("invalid_url")),
            ("see WWW.evil", Some("invalid_url")),
            ("Win at evil.com!", Some("invalid_url")),
            ("EVIL\u{ff0e}COM/now", Some("invalid_url")),
            ("ada@example.org", Some("invalid_url")),
        ] {
            let found = check_display_name("first_name", name).err();
            assert_eq!(found.as_ref().map(|error| &*error.code), code, "{name:?}");
            assert!(found.is_none_or(|error| error.attr.as_deref() == Some("first_name")));
        }
    }

    proptest! {
        #[test]
        fn shown_text_is_harmless(text: String) {
            for shown in [for_display(&text), for_message(&text)] {
                prop_assert!(!shown.chars().any(|c| is_control(c) || is_invisible(c)));
            }
            prop_assert!(for_message(&text).chars().count() <= MESSAGE_CHARS_MAX);
        }

        #[test]
        fn base62_is_one_to_one(one: [u8; 32], other: [u8; 32]) {
            prop_assert_eq!(one == other, base62(&one) == base62(&other));
            prop_assert_eq!(base62(&one).len(), 43);
        }

        #[test]
        fn words_are_few_and_short(text: String) {
            let found = words(&text);
            prop_assert!(found.len() <= WORDS_MAX);
            prop_assert!(found.iter().all(|word| (1..=WORD_CHARS_MAX).contains(&word.chars().count())));
        }
    }
}
