//! The use cases: what may be done, by whom, and what follows from it. HTTP, the console and the command line all come
//! through [`App::call`].
//!
//! Knows neither sockets nor screens. Every operation is a struct that says what it needs; the door checks it, reads
//! the clock once, and logs the outcome.

pub mod accounts;
pub mod api_keys;
pub mod audit;
pub mod authentication;
pub mod email;
pub mod instance;
pub mod login;
pub mod outbox;
pub mod permission;
pub mod reset;
pub mod second_factor;
pub mod sessions;
pub mod views;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::api_key::ApiKey;
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::error::Result;
pub use permission::Permission;

/// Who asks, and from where. Made by [`App::authenticate`], the admin socket or the command line.
#[derive(Clone, Debug)]
pub struct Actor {
    pub identity: Identity,
    pub address: Option<IpAddr>,
    pub user_agent: Option<String>,
    pub request_id: String,
}

/// The proven identity behind a call.
#[derive(Clone, Debug)]
pub enum Identity {
    Anonymous,
    /// A request with a session cookie that holds only a pending login, or none of use; see [`Login`](login::Login).
    Pending(Arc<Session>),
    Session { user: Arc<User>, session: Arc<Session> },
    ApiKey { user: Arc<User>, key: Arc<ApiKey> },
    /// A person at the console or the command line. `uid` is what the system says, `name` what was claimed.
    Operator { uid: u32, name: String },
    /// The server itself (the outbox, the sweeper).
    System,
}

/// One thing the program can do. The list of implementors is the list of what it can do.
pub trait Operation: Serialize + DeserializeOwned + Send + 'static {
    /// Snake case; names the operation in routes, logs and traces.
    const NAME: &'static str;
    const NEEDS: Permission;
    type Reply: Serialize + DeserializeOwned + Send;

    /// Decides and commits. Called by the door only, which has checked `NEEDS`.
    fn run(self, cx: &Context<'_>) -> impl Future<Output = Result<Self::Reply>> + Send;
}

/// What an operation works with: the program, the caller, and the one moment at which it all happens.
pub struct Context<'a> {
    pub app: &'a App,
    pub actor: &'a Actor,
    pub now: Timestamp,
}

/// The program: the store and everything the operations share. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {}

impl App {
    /// The single door: checks what the operation needs, reads the clock once, runs it and logs the outcome.
    pub async fn call<O: Operation>(&self, _actor: &Actor, _operation: O) -> Result<O::Reply> {
        todo!()
    }

    /// Checks permission alone, before a body is read (the order of spec §1.1). [`App::call`] checks it again.
    pub fn admit<O: Operation>(&self, _actor: &Actor) -> Result<()> {
        todo!()
    }

    /// Finds out who presents these credentials (spec §1.6 to §1.8). A bad credential is an error, none is
    /// [`Identity::Anonymous`].
    pub async fn authenticate(&self, _presented: Presented, _request: RequestFacts) -> Result<Actor> {
        todo!()
    }
}

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
