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
    let header: String =
        header.chars().take(HEADER_CHARS_MAX).filter(|c| !c.is_control() && !text::is_invisible(*c)).collect();
    let described = match (browser(&header), system(&header)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser,
        (None, Some(system)) if header.starts_with("Mozilla/") => format!("Browser on {system}"),
        (None, _) => first_product(&header),
    };
    described.chars().take(DESCRIPTION_CHARS_MAX).collect()
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
fn first_product(header: &str) -> String {
    let product = header.split_whitespace().next().unwrap_or_default();
    match product.split_once('/') {
        Some(("", _)) => UNKNOWN.to_owned(),
        Some((name, version)) => with_version(name, version, 2),
        None if product.is_empty() => UNKNOWN.to_owned(),
        None => product.to_owned(),
    }
}

/// The name and the first numbers of the version that `text` starts with, if it does.
fn with_version(name: &str, text: &str, parts: usize) -> String {
    let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    let version: Vec<&str> = numbers.split('.').filter(|part| !part.is_empty()).take(parts).collect();
    if version.is_empty() { name.to_owned() } else { format!("{name} {}", version.join(".")) }
}
