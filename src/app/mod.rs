//! The use cases: what may be done, by whom, and what follows from it. HTTP, the console and the command line all come
//! through [`App::call`].
//!
//! Knows neither sockets nor screens. Every operation is a struct that says what it needs; the door checks it, reads
//! the clock once, and logs the outcome.

pub mod accounts;
mod announcement;
pub mod api_keys;
pub mod approvals;
pub mod audit;
pub mod authentication;
pub mod backups;
pub mod checkpoints;
pub mod demand;
pub mod directory;
pub mod email;
pub mod export;
pub mod hashing;
pub mod import;
pub mod instance;
pub mod invites;
mod job_runner;
pub mod jobs;
pub mod limits;
pub mod lines;
pub mod login;
pub mod login_code;
pub mod members;
mod membership;
pub mod new_file;
pub mod operator_keys;
pub mod organization_views;
pub mod organizations;
pub mod outbox;
pub mod overview;
pub mod passwords;
pub mod pending_invites;
pub mod permission;
pub mod preferences;
pub mod projects;
pub mod random;
pub mod recovery;
pub mod rekey;
pub mod remembered_devices;
pub mod requests;
pub mod reset;
pub mod reset_link;
pub mod safety;
mod search;
pub mod second_factor;
mod secret_key;
pub mod sessions;
pub mod signup;
pub mod sweep;
pub mod throttle;
pub mod tokens;
pub mod trail_file;
pub mod verify;
pub mod views;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, Semaphore};
use tracing::debug;

use crate::clock;
use crate::config::{Config, MailTransport};
use crate::domain::api_key::ApiKey;
use crate::domain::approval::Approval;
use crate::domain::id::UserId;
use crate::domain::input::Input;
use crate::domain::job::AskedBy;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::vault::Vault;
use crate::error::{Error, Result};
use crate::records::{Records, Versioned};
use crate::store::{Batch, Commit, Expect, Receipt, decode_counter};

pub use authentication::{CsrfFacts, Presented, RequestFacts};
use hashing::Hasher;
pub use permission::Permission;
use throttle::Throttle;

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
    /// A session cookie that holds a pending login and nothing else (spec §3.5, row 6).
    Pending(Arc<PresentedSession>),
    Session {
        user: Arc<User>,
        session: Arc<PresentedSession>,
    },
    ApiKey {
        user: Arc<User>,
        key: Arc<ApiKey>,
    },
    /// A person at the console or the command line. `uid` is what the system says, `name` what was claimed,
    /// `rights` what the groups of the user allow.
    Operator {
        uid: u32,
        name: String,
        rights: permission::Rights,
    },
    /// The server itself (the outbox, the sweeper).
    System,
}

/// A session that was presented, with the hash that finds it.
#[derive(Clone, Debug)]
pub struct PresentedSession {
    pub hash: [u8; 32],
    pub session: Session,
    /// The user's current organization demands a second factor (spec §4.8).
    pub wants_second_factor: bool,
}

/// One thing the program can do. The list of implementors is the list of what it can do.
pub trait Operation: Serialize + DeserializeOwned + Send + 'static {
    /// Snake case; names the operation in routes, logs and traces.
    const NAME: &'static str;
    const NEEDS: Permission;
    /// The fields that it reads from a request body; no other one's value reaches it.
    const INPUTS: &'static [Input] = &[];
    type Reply: Serialize + DeserializeOwned + Send + 'static;

    /// Decides and commits. Called by the door only, which has checked `NEEDS`.
    fn run(self, cx: &Context<'_>) -> impl Future<Output = Result<Self::Reply>> + Send;
}

/// An operation whose type is forgotten, so that what carries any of them exists once rather than once for each. Its
/// reply is JSON.
pub trait AnyOperation: Send {
    fn name(&self) -> &'static str;
    fn needs(&self) -> Permission;
    /// The operation as JSON.
    fn encode(&self) -> Result<Vec<u8>>;
    /// Like [`Operation::run`].
    fn run<'a>(self: Box<Self>, cx: &'a Context<'_>) -> BoxFuture<'a, Result<Vec<u8>>>;
}

impl<O: Operation> AnyOperation for O {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn needs(&self) -> Permission {
        O::NEEDS
    }

    fn encode(&self) -> Result<Vec<u8>> {
        encode(self)
    }

    fn run<'a>(self: Box<Self>, cx: &'a Context<'_>) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move { encode(&Operation::run(*self, cx).await?) })
    }
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::internal(error.to_string()))
}

/// What an operation works with: the program, the caller, and the one moment at which it all happens.
pub struct Context<'a> {
    pub app: &'a App,
    pub actor: &'a Actor,
    pub now: Timestamp,
    /// The user of a job that this is done for.
    step: Option<&'a job_runner::JobStep>,
    /// What this carries out was asked for by another operator.
    approved: Option<&'a Versioned<Approval>>,
}

/// The program: the store and everything the operations share. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    records: Records,
    config: Arc<Config>,
    vault: Vault,
    hasher: Hasher,
    throttle: Throttle,
    requests: requests::Requests,
    /// Rung when a mail was queued.
    outbox_bell: Notify,
    /// Rung when a job was started or told something.
    job_bell: Notify,
    /// The store was closed by [`App::close`].
    is_closed: std::sync::atomic::AtomicBool,
    /// One permit for each piece of work that goes on after its call was answered.
    after_answering: Arc<Semaphore>,
    search: Arc<search::Search>,
    mode: Mode,
    started_at: Timestamp,
    /// Held for as long as the store is open.
    lock: std::sync::Mutex<Option<crate::store::lock::DataLock>>,
}

/// How the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As the server.
    Live,
    /// The store opened by the console or a command, no server.
    Offline,
}

/// Pieces of work that may go on after their calls were answered.
const AFTER_ANSWERING_MAX: u32 = 64;

/// Tries of one operation against concurrent changes before it gives up.
const TRIES_MAX: u32 = 200;

impl App {
    /// The single door: checks what the operation needs, reads the clock once, runs it and logs the outcome.
    pub async fn call<O: Operation>(&self, actor: &Actor, operation: O) -> Result<O::Reply> {
        let begun = Instant::now();
        let cx = Context { app: self, actor, now: clock::now(), step: None, approved: None };
        let result = match cx.enter(O::NEEDS).await {
            Ok(_under_way) => operation.run(&cx).await,
            Err(error) => Err(error),
        };
        log_outcome(O::NAME, actor, begun, result.as_ref().err());
        result
    }

    /// The same door for an operation of any type.
    async fn call_any(&self, actor: &Actor, operation: Box<dyn AnyOperation>) -> Result<Vec<u8>> {
        let begun = Instant::now();
        let cx = Context { app: self, actor, now: clock::now(), step: None, approved: None };
        let name = operation.name();
        let result = match cx.enter(operation.needs()).await {
            Ok(_under_way) => operation.run(&cx).await,
            Err(error) => Err(error),
        };
        log_outcome(name, actor, begun, result.as_ref().err());
        result
    }

    /// Waits until everything that goes on after its call was answered is done.
    pub async fn settle(&self) {
        // The semaphore is never closed.
        let _all = self.0.after_answering.acquire_many(AFTER_ANSWERING_MAX).await;
    }

    /// Checks permission alone, before a body is read (the order of spec §1.1). [`App::call`] checks it again.
    /// Calls with an API key are counted here, once, where keys are limited (spec §1.11).
    pub fn admit<O: Operation>(&self, actor: &Actor) -> Result<()> {
        let cx = Context { app: self, actor, now: clock::now(), step: None, approved: None };
        cx.check(O::NEEDS)?;
        cx.count_key_use(O::NEEDS.limits_keys())
    }

    /// Whether the store answers.
    pub async fn is_ready(&self) -> bool {
        self.0.records.counter(crate::records::keys::USERS_COUNTER).await.is_ok()
    }

    /// Resolves, with the reason, when the store has failed for good and the process has to end.
    pub async fn failed(&self) -> String {
        self.records().store().failed().await
    }

    /// Whether mail can be sent (spec §4.10): enabled, and with a place to send it to.
    pub fn is_mail_available(&self) -> bool {
        let email = &self.0.config.email;
        match email.transport {
            MailTransport::Off => false,
            MailTransport::Smtp => !email.smtp.host.is_empty(),
            MailTransport::File => true,
        }
    }

    /// Cookies are marked `Secure`.
    pub fn is_secure(&self) -> bool {
        self.0.config.server.is_https()
    }

    pub fn config(&self) -> &Arc<Config> {
        &self.0.config
    }

    /// The new entries of the audit trail as they become durable, by their numbers; for live screens. Ends when the reader
    /// falls behind.
    pub fn watch_audit(&self) -> futures_util::stream::BoxStream<'static, u64> {
        use futures_util::StreamExt;
        let store = self.0.records.store();
        store
            .watch(crate::records::keys::AUDIT, store.version())
            .take_while(|change| std::future::ready(change.is_ok()))
            .filter_map(|change| {
                let new = change.ok().filter(|change| change.value.is_some());
                std::future::ready(new.and_then(|change| crate::records::keys::parse_trailing_number(&change.key)))
            })
            .boxed()
    }

    fn records(&self) -> &Records {
        &self.0.records
    }
}

impl Context<'_> {
    /// Checks what an operation needs; the mark of an operator's write is to be held until it is done.
    async fn enter(&self, needs: Permission) -> Result<Option<requests::UnderWay<'_>>> {
        self.check(needs)?;
        if needs.who == permission::Who::OperatorWrite && matches!(self.actor.identity, Identity::Operator { .. }) {
            // Boxed, so that the calls of everybody else do not carry it.
            return Box::pin(self.take_request()).await.map(Some);
        }
        Ok(None)
    }

    fn records(&self) -> &Records {
        self.app.records()
    }

    fn config(&self) -> &Config {
        &self.app.0.config
    }

    fn vault(&self) -> &Vault {
        &self.app.0.vault
    }

    /// Commits; `None` means that somebody else was faster and the operation has to decide again.
    async fn commit(&self, batch: Batch) -> Result<Option<Receipt>> {
        if let Some(step) = self.step {
            return self.commit_step(step, batch).await;
        }
        let batch = self.approval_used(batch);
        let has_mail = outbox::has_mail(&batch);
        match self.records().store().commit(batch).await? {
            Commit::Done(receipt) => {
                self.app.ring_for_mail(has_mail);
                Ok(Some(receipt))
            }
            Commit::Conflict => {
                self.check_approval().await?;
                Ok(None)
            }
        }
    }

    /// The operator who calls.
    fn operator(&self) -> Result<AskedBy> {
        match &self.actor.identity {
            Identity::Operator { uid, name, .. } => Ok(AskedBy { uid: *uid, name: name.clone() }),
            _ => Err(Error::permission_denied()),
        }
    }

    /// The user behind a session or key; operators and strangers have none.
    fn caller(&self) -> Option<&Arc<User>> {
        match &self.actor.identity {
            Identity::Session { user, .. } | Identity::ApiKey { user, .. } => Some(user),
            Identity::Anonymous | Identity::Pending(_) | Identity::Operator { .. } | Identity::System => None,
        }
    }

    /// The caller of an operation for users.
    fn require_caller(&self) -> Result<&Arc<User>> {
        self.caller().ok_or(Error::NotAuthenticated)
    }

    /// The session the call came with.
    fn session(&self) -> Option<&Arc<PresentedSession>> {
        match &self.actor.identity {
            Identity::Session { session, .. } | Identity::Pending(session) => Some(session),
            Identity::Anonymous | Identity::ApiKey { .. } | Identity::Operator { .. } | Identity::System => None,
        }
    }

    /// Reads a user again, with the version that a change expects. A user who is gone meanwhile is not found; the caller
    /// whose session was ended meanwhile is not authenticated any more.
    async fn user(&self, id: UserId) -> Result<Versioned<User>> {
        let user = self.records().user(id).await?.ok_or_else(Error::not_found)?;
        let Identity::Session { user: caller, session } = &self.actor.identity else { return Ok(user) };
        if caller.id != id || caller.session_epoch == user.value.session_epoch {
            return Ok(user);
        }
        // It goes on if it was bound to the new epoch.
        let live = self.records().session(&session.hash).await?.ok_or(Error::NotAuthenticated)?;
        match self.app.bound_session(&session.hash, live, id).await? {
            Some((live, user)) if self.now < live.value.expires_at => Ok(user),
            Some(_) | None => Err(Error::NotAuthenticated),
        }
    }

    /// The next number of a sequence, and the batch that takes it.
    async fn next_number(&self, batch: Batch, counter: &[u8]) -> Result<(Batch, u64)> {
        let (highest, expect) = match self.records().store().get(counter).await? {
            None => (0, Expect::Absent),
            Some(entry) => {
                let highest = decode_counter(&entry.value).ok_or_else(|| Error::internal("not a counter"))?;
                (highest, Expect::Version(entry.version))
            }
        };
        Ok((batch.expect(counter, expect).add(counter, 1), (highest + 1).cast_unsigned()))
    }

    /// For a rule over a range of keys (so many at most, one at least), which no expectation can express: every change
    /// that the rule is about moves one guard key, so that of two at a time one is refused. To be called before the range
    /// is read.
    async fn guarded(&self, batch: Batch, key: &[u8]) -> Result<Batch> {
        let expect = match self.records().store().get(key).await? {
            None => Expect::Absent,
            Some(entry) => Expect::Version(entry.version),
        };
        Ok(batch.expect(key, expect).put(key, Vec::new()))
    }
}

fn log_outcome(operation: &str, actor: &Actor, begun: Instant, error: Option<&Error>) {
    let micros = begun.elapsed().as_micros();
    match error {
        None => debug!(operation, request_id = actor.request_id, micros, "done"),
        Some(error) => debug!(operation, request_id = actor.request_id, micros, code = error.code(), "refused"),
    }
}

/// Counts the tries of an operation that loses races.
#[derive(Default)]
struct Tries(u32);

impl Tries {
    /// One more try, or the end of patience.
    async fn next(&mut self) -> Result<()> {
        self.0 += 1;
        if self.0 > TRIES_MAX {
            return Err(Error::Unavailable {
                detail: Cow::Borrowed("Too many changes at once. Please try again."),
                retry_after_s: 1,
            });
        }
        if self.0 > 1 {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
