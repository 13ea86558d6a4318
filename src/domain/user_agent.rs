//! A short name for the device behind a `User-Agent` header, such as `Chrome 135 on macOS` (spec §2.11). Only for
//! people to recognise their devices by; nothing is decided by it.

use super::text;

/// Longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 64;
/// How much of a header is looked at, in characters.
const HEADER_CHARS_MAX: usize = 512;
const UNKNOWN: &str = "unknown device";

/// Browsers by the product that gives them away. The order matters: most claim to be several others too.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
];

/// Systems by a word in the header. iPhones say `like Mac OS X`, Android says `Linux`.
const SYSTEMS: &[(&str, &str)] = &[
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Macintosh", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
];

/// Describes a device: browser with its major version and the system, or the first product of another client.
#[must_use]
pub fn describe(header: &str) -> String {
    identify(header).unwrap_or_else(|| UNKNOWN.to_owned())
}

/// The same; `None` when the header tells nothing.
#[must_use]
pub fn identify(header: &str) -> Option<String> {
    let header: String =
        header.chars().take(HEADER_CHARS_MAX).filter(|c| !c.is_control() && !text::is_invisible(*c)).collect();
    let described = match (browser(&header), system(&header)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser,
        (None, Some(system)) if header.starts_with("Mozilla/") => format!("Browser on {system}"),
        (None, _) => first_product(&header)?,
    };
    Some(described.chars().take(DESCRIPTION_CHARS_MAX).collect())
}

fn browser(header: &str) -> Option<String> {
    let is_there = |mark: &&(&str, &str)| mark.0 != "Version/" || header.contains("Safari/");
    BROWSERS.iter().filter(is_there).find_map(|(mark, name)| {
        let (_, rest) = header.split_once(mark)?;
        Some(with_version(name, rest, 1))
    })
}

fn system(header: &str) -> Option<&'static str> {
    SYSTEMS.iter().find(|(mark, _)| header.contains(mark)).map(|(_, name)| *name)
}

/// `curl/8.5.0` becomes `curl 8.5`.
fn first_product(header: &str) -> Option<String> {
    let product = header.split_whitespace().next()?;
    match product.split_once('/') {
        Some(("", _)) => None,
        Some((name, version)) => Some(with_version(name, version, 2)),
        None => Some(product.to_owned()),
    }
}

/// The name and the first numbers of the version that `text` starts with, if it does.
fn with_version(name: &str, text: &str, parts: usize) -> String {
    let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    let version: Vec<&str> = numbers.split('.').filter(|part| !part.is_empty()).take(parts).collect();
    if version.is_empty() { name.to_owned() } else { format!("{name} {}", version.join(".")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn devices_are_described_in_few_words() {
        const MAC: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)";
        for (header, described) in [
            (format!("{MAC} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/135.0.0.0 Safari/537.36"), "Chrome 135 on macOS"),
            (format!("{MAC} AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15"), "Safari 18 on macOS"),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0".into(), "Firefox 135 on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/134.0.0.0 Safari/537.36 Edg/134.0".into(),
                "Edge 134 on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605 CriOS/134.0 Mobile Safari/604.1".into(),
                "Chrome 134 on iOS",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/134.0.0.0 Mobile Safari/537.36".into(),
                "Chrome 134 on Android",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64) Something".into(), "Browser on Linux"),
            ("curl/8.5.0".into(), "curl 8.5"),
            ("python-requests/2.31.0".into(), "python-requests 2.31"),
            ("doorward".into(), "doorward"),
            ("/1.0".into(), "unknown device"),
            ("   ".into(), "unknown device"),
            (String::new(), "unknown device"),
        ] {
            assert_eq!(describe(&header), described, "{header}");
        }
    }

    proptest! {
        #[test]
        fn descriptions_are_short_and_harmless(header: String) {
            let described = describe(&header);
            prop_assert!((1..=DESCRIPTION_CHARS_MAX).contains(&described.chars().count()));
            prop_assert!(!described.chars().any(|c| c.is_control() || text::is_invisible(c)));
        }
    }
}
