//! E-mail addresses and their one normal form.

use serde::{Deserialize, Serialize};

/// Longest address, in characters (spec §1.2).
pub const EMAIL_CHARS_MAX: usize = 254;

/// A valid address in its normal form: trimmed, lower case, domain in ASCII (IDNA). Equal addresses are equal text,
/// so that uniqueness and look-up ignore case (spec §3.4, §3.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Parses and normalises; `None` when it is not an address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.chars().count() > EMAIL_CHARS_MAX {
            return None;
        }
        let (local, domain) = text.rsplit_once('@')?;
        let local = local.to_lowercase();
        // Every read of a user comes through here: what IDNA would leave as it is does not have to go through it.
        let domain = if is_plain(domain) {
            domain.to_owned()
        } else {
            idna::domain_to_ascii_strict(domain).ok()?.to_ascii_lowercase()
        };
        let address = format!("{local}@{domain}");
        (is_local_part(&local) && is_domain(&domain) && address.len() <= EMAIL_CHARS_MAX).then_some(Self(address))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The part behind the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Whether the local part has a `+` tag.
    #[must_use]
    pub fn has_plus_tag(&self) -> bool {
        self.local_part().contains('+')
    }
}

/// A dot-atom of RFC 5322 §3.2.3; letters beyond ASCII are allowed (RFC 6531), quoted strings are not.
fn is_local_part(local: &str) -> bool {
    let is_atom = |c: char| {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && c.is_alphanumeric())
    };
    local.len() <= 64 && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom))
}

/// Lower-case ASCII without the hyphens that mark an encoded label; [`is_domain`] looks at the rest.
fn is_plain(domain: &str) -> bool {
    domain.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
        && !domain.contains("--")
}

/// Two or more labels, or `localhost`.
fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let labels: Vec<&str> = domain.split('.').collect();
    let last_is_name =
        labels.last().is_some_and(|label| label.len() >= 2 && !label.bytes().all(|b| b.is_ascii_digit()));
    domain == "localhost" || (labels.len() >= 2 && last_is_name && labels.into_iter().all(is_label))
}

impl TryFrom<String> for EmailAddress {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a valid email address")
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

impl std::fmt::Display for EmailAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_have_one_normal_form() {
        for (typed, normal) in [
            (" Ada@Example.COM ", Some("ada@example.com")),
            ("ada+tag@example.com", Some("ada+tag@example.com")),
            ("ada@bücher.example", Some("ada@xn--bcher-kva.example")),
            ("root@localhost", Some("root@localhost")),
            ("ada", None),
            ("@example.com", None),
            ("ada@", None),
            ("ada@example", None),
            ("ada@@example.com", None),
            ("a da@example.com", None),
            (".ada@example.com", None),
            ("ada@-example.com", None),
            ("ada@exam_ple.com", None),
            ("ada\n@example.com", None),
        ] {
            assert_eq!(EmailAddress::parse(typed).as_ref().map(EmailAddress::as_str), normal, "{typed:?}");
        }
        assert_eq!(EmailAddress::parse(&format!("{}@example.com", "a".repeat(250))), None);
    }

    #[test]
    fn the_parts_of_an_address() {
        let address = EmailAddress::parse("Ada+Tag@Example.com").unwrap();
        assert_eq!((address.local_part(), address.domain()), ("ada+tag", "example.com"));
        assert!(address.has_plus_tag());
        assert!(!EmailAddress::parse("ada@example.com").unwrap().has_plus_tag());
    }

    proptest! {
        #[test]
        fn a_plain_domain_is_what_idna_makes_of_it(domain in "[a-z0-9.-]{1,20}|[a-z0-9-]{1,65}\\.[a-z]{2}") {
            if is_plain(&domain) && is_domain(&domain) {
                prop_assert_eq!(idna::domain_to_ascii_strict(&domain).ok(), Some(domain));
            }
        }

        #[test]
        fn the_normal_form_is_stable(typed in "\\PC{0,20}|[A-Za-zäß.+ ]{1,8}@[A-Za-zäß.-]{1,8}\\.[a-zA-Z]{2,4}") {
            if let Some(address) = EmailAddress::parse(&typed) {
                let again = EmailAddress::parse(address.as_str());
                prop_assert_eq!(again.as_ref().map(EmailAddress::as_str), Some(address.as_str()));
            }
        }
    }
}
