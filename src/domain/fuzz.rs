//! Words that people type, and the files of other programs. See [`crate::fuzz`].
#![allow(clippy::missing_panics_doc, clippy::panic, reason = "what must not be ends the program")]

use super::django::{Object, SecondFactors};
use super::dump::Splitter;
use super::email::EmailAddress;
use super::foreign_hash::ForeignHash;
use super::password_hash::{export_hash, import_hash};
use super::rate::Rate;
use super::time::Timestamp;
use super::user_filter::{UserFilter, UserQuery};
use super::user_search::{Class, Terms};
use super::{api_key, backup_code, id, text, token, totp, user_agent};

/// A file of another program.
///
/// An object that is found is one by itself, and the hash of a password that is taken over can be written out again.
pub fn import(data: &[u8]) {
    let mut second_factors = SecondFactors::default();
    let mut users = Vec::new();
    let mut splitter = Splitter::default();
    for byte in data {
        let Ok(found) = splitter.push(*byte) else { break };
        let Some(found) = found else { continue };
        let mut alone = Splitter::default();
        let again: Vec<_> = found.json.iter().filter_map(|byte| alone.push(*byte).ok().flatten()).collect();
        assert!(again.len() == 1 && again.iter().all(|again| again.json == found.json));
        let Ok(object) = Object::parse(&found.json) else { continue };
        assert!(!object.name().contains(char::is_control));
        let _ = (object.organization(), object.membership(), second_factors.take(&object));
        if let Ok((user, _)) = object.user() {
            if let Ok(Some(hash)) = import_hash(user.password_hash.expose()) {
                let exported = export_hash(&hash);
                assert!(import_hash(&exported).is_ok_and(|again| again.as_ref() == Some(&hash)));
            }
            users.push((object.pk.clone(), user));
        }
    }
    let _ = splitter.finish();
    for (pk, user) in users {
        let factor = second_factors.of(&pk);
        assert!(factor.totp.is_some() || factor.backup_codes.is_empty(), "codes without an authenticator");
        for code in &factor.backup_codes {
            assert!(backup_code::fold(code.expose()).is_some());
        }
        let json = serde_json::to_vec(&user).unwrap_or_default();
        assert!(serde_json::from_slice::<super::portable::PortableUser>(&json).is_ok(), "a user cannot be sent on");
    }
}

/// What an operator types to find users.
///
/// A filter that is understood is written as it is read, and what was found once is found by what is shown of it.
pub fn query(data: &[u8]) {
    let typed = String::from_utf8_lossy(data);
    let query = UserQuery::parse(&typed);
    let _ = query.misspelt();
    let words: Vec<String> = query.filters.iter().map(UserFilter::to_string).chain([query.words.clone()]).collect();
    assert_eq!(UserQuery::parse(&words.join(" ")), query);
    let terms = Terms::new(&query.words);
    if !terms.is_empty() {
        assert_eq!(terms.class(terms.whole(), ""), Some(Class::Exact));
        assert!(terms.words().iter().any(|word| word == terms.longest()));
    }
    for (email, name) in [("ada@example.com", "ada lovelace"), (terms.whole(), terms.longest())] {
        let _ = terms.is_near(email, name);
        let _ = terms.class(email, name);
    }
}

/// Single values.
///
/// Each is read once for all: what it is written as is read as the same.
pub fn values(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let text = text.as_ref();
    if let Some(email) = EmailAddress::parse(text) {
        assert_eq!(EmailAddress::parse(email.as_str()).as_ref(), Some(&email));
        assert!(!email.as_str().contains(|c: char| c.is_control() || c.is_whitespace()));
    }
    if let Some(at) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&at.to_rfc3339_z()), Some(at), "{text}");
    }
    if let Some(user) = id::UserId::parse(text) {
        assert_eq!(id::UserId::parse(&user.to_string()), Some(user));
    }
    if let Some(code) = backup_code::fold(text) {
        assert_eq!(backup_code::fold(&code), Some(code));
    }
    if let Some(code) = token::fold_code(text) {
        assert_eq!(token::fold_code(&code), Some(code));
    }
    if let Some(code) = totp::parse_code(text) {
        assert_eq!(code.len(), totp::CODE_DIGITS);
    }
    if let Some(secret) = totp::decode_secret(text) {
        assert_eq!(totp::decode_secret(&totp::encode_secret(&secret)), Some(secret));
    }
    if let Ok(rate) = Rate::try_from(text.to_owned()) {
        assert_eq!(Rate::try_from(String::from(rate)), Ok(rate));
    }
    if let Some(bytes) = text::unhex(text) {
        assert_eq!(text::unhex(&text::hex(&bytes)), Some(bytes));
    }
    let _ = (ForeignHash::parse(text), api_key::check_scope(text), api_key::mask(text), user_agent::identify(text));
    for shown in [text::for_message(text), text::for_display(text), user_agent::describe(text)] {
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
    if text::is_safe_path(text) {
        assert!(text.starts_with('/') && !text.starts_with("//") && !text.starts_with("/\\"), "{text:?}");
    }
    assert!(text::words(text).iter().all(|word| !word.is_empty()));
}
