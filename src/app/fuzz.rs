//! The credentials of strangers, and a trail that was exported elsewhere. See [`crate::fuzz`].
#![allow(clippy::missing_panics_doc, clippy::panic, reason = "what must not be ends the program")]

use std::sync::LazyLock;

use futures_util::FutureExt;

use super::trail_file::{TrailFile, read_checkpoints};
use super::{App, CsrfFacts, Identity, Presented, RequestFacts};
use crate::config::{Sources, load};
use crate::domain::checkpoint::Checkpoint;

/// An app that nobody has an account with.
static NOBODY: LazyLock<Option<App>> = LazyLock::new(|| {
    let keys = [("DOORWARD__AUTH__ALLOW_KEY_IN_QUERY".to_owned(), "true".to_owned())];
    let sources = Sources { environment: keys.into(), ..Sources::default() };
    load(&sources).ok().map(|loaded| App::in_memory(loaded.config))
});

/// Lines of a letter for the place and what is presented there.
///
/// Nobody is let in, and a call that changes something and says that it comes from elsewhere is refused.
pub fn credentials(data: &[u8]) {
    let Some(app) = NOBODY.as_ref() else { return };
    let mut presented = Presented::default();
    let csrf = &mut presented.csrf;
    for line in String::from_utf8_lossy(data).lines() {
        let mut letters = line.chars();
        let (place, text) = (letters.next(), letters.as_str());
        match place {
            Some('b') => presented.bearer = Some(text.into()),
            Some('s') => presented.session = Some(text.into()),
            Some('k') => presented.body_key = Some(text.into()),
            Some('q') => presented.query_key = Some(text.into()),
            Some('c') => csrf.cookie = Some(text.to_owned()),
            Some('t') => csrf.token = Some(text.to_owned()),
            Some('o') => csrf.origin = Some(text.to_owned()),
            Some('f') => csrf.fetch_site = Some(text.to_owned()),
            Some('r') => csrf.referer = Some(text.to_owned()),
            Some('h') => csrf.host = Some(text.to_owned()),
            Some('u') => csrf.is_unsafe = true,
            _ => presented.key_first = true,
        }
    }
    let has_key = [&presented.bearer, &presented.body_key, &presented.query_key].into_iter().any(Option::is_some);
    let is_foreign = presented.csrf.is_unsafe && is_foreign(&presented.csrf, &app.config().server.public_url);
    match app.authenticate(presented, RequestFacts::default()).now_or_never() {
        None => panic!("a store in memory is waited for"),
        Some(Ok(actor)) => {
            assert!(matches!(actor.identity, Identity::Anonymous), "{:?}", actor.identity);
            assert!(!has_key && !is_foreign);
        }
        Some(Err(error)) => assert!(has_key || is_foreign, "{error:?}"),
    }
}

/// An exported trail; its first line is a checkpoint that was kept, too, if it is one.
///
/// There are no more entries than lines, and nothing is vouched for but by a signature.
pub fn trail(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let kept = read_checkpoints(text.lines().next().unwrap_or_default()).unwrap_or_default();
    assert!(kept.iter().all(Checkpoint::is_genuine));
    let mut trail = TrailFile::new(kept);
    for (number, line) in (1..).zip(text.lines()) {
        trail.take(number, line);
    }
    let verdict = trail.end();
    assert!(verdict.entries <= text.lines().count() as u64, "{verdict:?}");
    let is_vouched_for = verdict.notes.iter().any(|note| note.contains("vouched for by"));
    assert!(!is_vouched_for || text.contains("\"signature\""), "{verdict:?}");
}

/// Whether somebody else's page sent it: one that says so, and is neither ours nor of the host that was asked.
fn is_foreign(facts: &CsrfFacts, own: &str) -> bool {
    let says_so = match &facts.fetch_site {
        Some(site) => site != "same-origin" && site != "none",
        None => facts.origin.is_some(),
    };
    let origin = facts.origin.as_deref();
    let is_of_host = facts.host.as_ref().is_some_and(|host| origin == Some(&format!("http://{host}")));
    says_so && origin != Some(own) && !is_of_host
}
