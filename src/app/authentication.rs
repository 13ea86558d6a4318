//! Who is behind a request: sessions, API keys, CSRF (spec §1.6 to §1.8).

use std::net::IpAddr;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::{Actor, App, Identity, PresentedSession};
use crate::clock;
use crate::domain::api_key::{ApiKey, LAST_USED_SECONDS};
use crate::domain::id::UserId;
use crate::domain::organization::Organization;
use crate::domain::secret::Secret;
use crate::domain::session::{LAST_ACTIVITY_SECONDS, Session};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::vault::sha256;
use crate::error::{Error, Result};
use crate::records::{self, Versioned};
use crate::store::Batch;

/// The credentials and CSRF facts of one HTTP request, as they came; what they are worth is decided here.
#[derive(Clone, Debug, Default)]
pub struct Presented {
    /// The value behind `Authorization: Bearer`, trimmed; values that start with `pha_` are left out.
    pub bearer: Option<Secret>,
    /// Cookie `sessionid`.
    pub session: Option<Secret>,
    /// `personal_api_key` in the body, and in the query.
    pub body_key: Option<Secret>,
    pub query_key: Option<Secret>,
    pub csrf: CsrfFacts,
    /// Whether keys are looked at before the cookie (the personal API key endpoints).
    pub key_first: bool,
}

/// What spec §1.8 looks at.
#[derive(Clone, Debug, Default)]
pub struct CsrfFacts {
    /// The method changes something (not GET, HEAD, OPTIONS, TRACE).
    pub is_unsafe: bool,
    /// Cookie `posthog_csrftoken`.
    pub cookie: Option<String>,
    /// Header `X-CSRFToken`, or the form field `csrfmiddlewaretoken`.
    pub token: Option<String>,
    pub origin: Option<String>,
    /// Header `Sec-Fetch-Site`: what a browser says of the page that made it send this.
    pub fetch_site: Option<String>,
    pub referer: Option<String>,
    pub host: Option<String>,
}

/// Where a request came from.
#[derive(Clone, Debug, Default)]
pub struct RequestFacts {
    /// The client's address, as far as trusted proxies allow to know it.
    pub address: Option<IpAddr>,
    pub user_agent: Option<String>,
    pub request_id: String,
}

/// Length of the CSRF token, in characters.
const CSRF_CHARS: usize = 32;

/// Where a key was found; named in the error (spec §1.6).
#[derive(Clone, Copy)]
enum KeyPlace {
    Header,
    Body,
    Query,
}

impl App {
    /// Finds out who presents these credentials. A bad credential is an error; none is [`Identity::Anonymous`].
    ///
    /// An `Authorization: Bearer` header stands alone; else the cookie is tried, then the body, then the query (the
    /// cookie last where keys come first). A cookie that is of no use counts as none.
    pub async fn authenticate(&self, presented: Presented, request: RequestFacts) -> Result<Actor> {
        let now = clock::now();
        let identity = self.identify(&presented, now).await?;
        Ok(Actor { identity, address: request.address, user_agent: request.user_agent, request_id: request.request_id })
    }

    pub(super) async fn identify(&self, presented: &Presented, now: Timestamp) -> Result<Identity> {
        if let Some(key) = &presented.bearer {
            return self.by_key(key, KeyPlace::Header, now).await;
        }
        let in_query = presented.query_key.as_ref().filter(|_| self.0.config.auth.allow_key_in_query);
        let key = match (&presented.body_key, in_query) {
            (Some(key), _) => Some((key, KeyPlace::Body)),
            (None, Some(key)) => Some((key, KeyPlace::Query)),
            (None, None) => None,
        };
        let by_session = match &presented.session {
            Some(session) if !presented.key_first || key.is_none() => {
                self.by_session(session, &presented.csrf, now).await?
            }
            _ => Identity::Anonymous,
        };
        let identity = match (by_session, key) {
            (Identity::Anonymous | Identity::Pending(_), Some((key, place))) => self.by_key(key, place, now).await?,
            (identity, _) => identity,
        };
        if presented.csrf.is_unsafe && !matches!(identity, Identity::Session { .. }) {
            self.check_foreign(&presented.csrf)?;
        }
        Ok(identity)
    }

    async fn by_key(&self, presented: &Secret, place: KeyPlace, now: Timestamp) -> Result<Identity> {
        let invalid = || {
            let place = match place {
                KeyPlace::Header => "Authorization header",
                KeyPlace::Body => "body",
                KeyPlace::Query => "query string",
            };
            Error::AuthenticationFailed {
                detail: format!("Personal API key found in request {place} is invalid.").into(),
            }
        };
        let hash = sha256(presented.expose().as_bytes());
        let key = self.records().api_key(&hash).await?.ok_or_else(invalid)?;
        let user = self.records().user(key.value.user).await?.ok_or_else(invalid)?.value;
        if !user.is_active {
            return Err(invalid());
        }
        self.note_key_use(&key, now).await;
        Ok(Identity::ApiKey { user: Arc::new(user), key: Arc::new(key.value) })
    }

    async fn by_session(&self, cookie: &Secret, csrf: &CsrfFacts, now: Timestamp) -> Result<Identity> {
        let hash = sha256(cookie.expose().as_bytes());
        let Some(session) = self.records().session(&hash).await? else { return Ok(Identity::Anonymous) };
        if now >= session.value.expires_at {
            return Ok(Identity::Anonymous);
        }
        let Some(id) = session.value.user else {
            let presented = PresentedSession { hash, session: session.value, wants_second_factor: false };
            return Ok(Identity::Pending(Arc::new(presented)));
        };
        let Some((session, user)) = self.bound_session(&hash, session, id).await? else {
            return Ok(Identity::Anonymous);
        };
        if !user.value.is_active {
            return Ok(Identity::Anonymous);
        }
        let organization = self.current_organization(&user.value).await?;
        let age_s = organization.as_ref().and_then(|organization| organization.session_cookie_age);
        if age_s.is_some_and(|age_s| now.seconds_since(session.value.created_at) >= age_s.into()) {
            return Ok(Identity::Anonymous);
        }
        let wants_second_factor = organization.is_some_and(|organization| organization.enforce_2fa == Some(true));
        if csrf.is_unsafe {
            self.check_csrf(cookie, csrf)?;
        }
        self.note_activity(&hash, &session, now).await;
        let presented = PresentedSession { hash, session: session.value, wants_second_factor };
        Ok(Identity::Session { user: Arc::new(user.value), session: Arc::new(presented) })
    }

    /// A session that was read just now, and its user, of one epoch; `None` when the session was ended. The two are read one
    /// after the other, and in between the session may be bound to a new epoch.
    pub(super) async fn bound_session(
        &self,
        hash: &[u8; 32],
        mut session: Versioned<Session>,
        id: UserId,
    ) -> Result<Option<(Versioned<Session>, Versioned<User>)>> {
        loop {
            let Some(user) = self.records().user(id).await? else { return Ok(None) };
            if user.value.session_epoch == session.value.epoch {
                return Ok(Some((session, user)));
            }
            match self.records().session(hash).await? {
                Some(again) if again.version != session.version => session = again,
                Some(_) | None => return Ok(None),
            }
        }
    }

    /// The organization that a user's sessions obey: the current one, if it is still there (spec §1.7, §4.8).
    pub(super) async fn current_organization(&self, user: &User) -> Result<Option<Organization>> {
        match user.current_organization {
            Some(id) => Ok(self.records().organization(id).await?.map(|found| found.value)),
            None => Ok(None),
        }
    }

    /// Spec §1.8, with its texts.
    fn check_csrf(&self, session_key: &Secret, facts: &CsrfFacts) -> Result<()> {
        let failed = |reason: &str| Err(Error::denied(format!("CSRF Failed: {reason}")));
        if let Some(origin) = &facts.origin {
            if !self.is_own_origin(origin, facts.host.as_deref()) {
                return Err(foreign_origin(origin));
            }
        } else if self.is_secure() {
            let Some(referer) = &facts.referer else { return failed("Referer checking failed - no Referer.") };
            let origin: String = referer.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
            if !self.is_own_origin(&origin, facts.host.as_deref()) {
                let shown = text::for_message(referer);
                return failed(&format!("Referer checking failed - {shown} does not match any trusted origins."));
            }
        }
        let Some(cookie) = &facts.cookie else { return failed("CSRF cookie not set.") };
        let Some(token) = facts.token.as_deref().filter(|token| !token.is_empty()) else {
            return failed("CSRF token missing.");
        };
        if token.len() != CSRF_CHARS {
            return failed("CSRF token from the 'X-Csrftoken' HTTP header has incorrect length.");
        }
        let expected = csrf_token(session_key);
        let same_as_cookie: bool = token.as_bytes().ct_eq(cookie.as_bytes()).into();
        if !same_as_cookie || !expected.matches(token) {
            return failed("CSRF token from the 'X-Csrftoken' HTTP header incorrect.");
        }
        Ok(())
    }

    /// A call without a session has no token that could protect it, and some of them begin a session: not one of another
    /// site's choice. A key in the body or the query is no protection either, since any page can send one; a header is,
    /// since no page sends that unasked. Programs say nothing of where they come from.
    fn check_foreign(&self, facts: &CsrfFacts) -> Result<()> {
        if facts.fetch_site.as_ref().map_or(facts.origin.is_none(), |site| site == "same-origin" || site == "none") {
            return Ok(());
        }
        let origin = facts.origin.as_deref().unwrap_or("null");
        if self.is_own_origin(origin, facts.host.as_deref()) { Ok(()) } else { Err(foreign_origin(origin)) }
    }

    /// The public address, an allowed origin, or the very host that was asked (in the scheme we are reached by).
    fn is_own_origin(&self, origin: &str, host: Option<&str>) -> bool {
        let server = &self.0.config.server;
        let scheme = if self.is_secure() { "https" } else { "http" };
        origin == server.public_url
            || server.cors_origins.iter().any(|allowed| allowed == origin)
            || host.is_some_and(|host| origin == format!("{scheme}://{host}"))
    }

    /// Refreshes a session's last activity, at most every five minutes (spec §2.11).
    async fn note_activity(&self, hash: &[u8; 32], session: &Versioned<Session>, now: Timestamp) {
        if now.seconds_since(session.value.last_activity) < LAST_ACTIVITY_SECONDS {
            return;
        }
        let refreshed = Session { last_activity: now, ..session.value.clone() };
        self.commit_note(records::put_session(session.expect(Batch::default(), hash), hash, &refreshed)).await;
    }

    /// Refreshes a key's last use, at most once an hour and never backwards (spec §2.10).
    async fn note_key_use(&self, key: &Versioned<ApiKey>, now: Timestamp) {
        if key.value.last_used_at.is_some_and(|at| now.seconds_since(at) < LAST_USED_SECONDS) {
            return;
        }
        let used = ApiKey { last_used_at: Some(now), ..key.value.clone() };
        self.commit_note(records::put_api_key(Batch::default(), Some(key), &used)).await;
    }

    async fn commit_note(&self, batch: Batch) {
        // A conflict means that a newer value is there; any other trouble shows at the next real write.
        let _noted = self.records().store().commit(batch).await;
    }
}

/// The CSRF token that belongs to a session key: nothing to store, and a cookie planted by a neighbouring host does not pass.
/// The key is random enough for a plain digest of it to tell nothing.
pub(super) fn csrf_token(session_key: &Secret) -> Secret {
    let digest = sha256(&[b"csrf\0", session_key.expose().as_bytes()].concat());
    Secret::new(text::base62(&digest).chars().cycle().take(CSRF_CHARS).collect())
}

/// Spec §1.8, with its text.
fn foreign_origin(origin: &str) -> Error {
    let shown = text::for_message(origin);
    Error::denied(format!("CSRF Failed: Origin checking failed - {shown} does not match any trusted origins."))
}
