//! Letters of other scripts that look like Latin ones, in the domains of e-mail addresses. Says what a domain seems to
//! be; a small table, of what is seen in such domains, rather than all of Unicode's.

/// Look-alikes of Latin letters, as a domain is written: in lower case.
const LIKE: &[(char, &str)] = &[
    ('a', "аɑαａ"),
    ('b', "ьЬƅｂ"),
    ('c', "сϲⅽｃ"),
    ('d', "ԁժⅾｄ"),
    ('e', "еҽєｅ"),
    ('f', "ſքｆ"),
    ('g', "ɡցｇ"),
    ('h', "һհｈ"),
    ('i', "іıιɩｉ"),
    ('j', "јϳｊ"),
    ('k', "кκｋ"),
    ('l', "ӏӀⅼǀｌ"),
    ('m', "мⅿｍ"),
    ('n', "ոռпηｎ"),
    ('o', "оοօσ०০ｏ"),
    ('p', "рρｐ"),
    ('q', "ԛզｑ"),
    ('r', "гⲅｒ"),
    ('s', "ѕꜱｓ"),
    ('t', "тτｔ"),
    ('u', "υսцｕ"),
    ('v', "νѵⅴｖ"),
    ('w', "ԝѡաωｗ"),
    ('x', "хχⅹｘ"),
    ('y', "уγүｙ"),
    ('z', "ᴢｚ"),
];

/// What the domain of an address looks like though it is not, if other scripts' letters in it look like Latin ones.
/// A label that is honestly of another script is none: only one that can be read as Latin throughout.
#[must_use]
pub fn seems(email: &str) -> Option<String> {
    let domain = email.rsplit_once('@').map_or(email, |(_, domain)| domain);
    if domain.is_ascii() && !domain.contains("xn--") {
        return None;
    }
    let domain = idna::domain_to_unicode(domain).0;
    let mut found = false;
    let labels: Vec<String> = domain
        .split('.')
        .map(|label| {
            let read: Option<String> = label.chars().map(|c| if c.is_ascii() { Some(c) } else { latin(c) }).collect();
            found |= !label.is_ascii() && read.is_some();
            read.unwrap_or_else(|| label.to_owned())
        })
        .collect();
    found.then(|| labels.join("."))
}

fn latin(letter: char) -> Option<char> {
    LIKE.iter().find(|(_, alike)| alike.contains(letter)).map(|(latin, _)| *latin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_that_can_be_read_as_another_is_told() {
        for (email, seems_like) in [
            ("anna@corp.example.com", None),
            // All Cyrillic, and one letter of it.
            ("anna@аррӏе.com", Some("apple.com")),
            ("anna@exаmple.com", Some("example.com")),
            ("anna@xn--exmple-4nf.com", Some("example.com")),
            ("anna@corp.eхample.com", Some("corp.example.com")),
            // Honest names of other scripts.
            ("anna@müller.de", None),
            ("anna@пример.рф", None),
            ("anna@例え.jp", None),
            ("аnna@example.com", None),
            ("", None),
        ] {
            assert_eq!(seems(email).as_deref(), seems_like, "{email}");
        }
    }
}
