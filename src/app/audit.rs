//! Writing and reading the audit trail (spec §4.11).
//!
//! An operation puts its entry into the batch of the change it is about, so that neither is there without the other.
//! The entry's number and its link to the entry before are not known yet: the store gives both when it applies the
//! batch ([`Batch::append`]), on the one thread that writes anyway. It has the newest link in memory and makes many
//! batches durable with one wait for the disk. So nobody reads the end of the chain in order to extend it, nobody
//! conflicts over it, and writers at the same time share a wait instead of queueing one behind the other.

use serde::{Deserialize, Serialize};

use super::views::{AuditRow, UserRef};
use super::{Context, Identity, Mode, Operation, Permission};
use crate::domain::audit::{AuditActor, AuditRecord, AuditTarget, Event, Outcome};
use crate::domain::text;
use crate::domain::user::{FactorState, User};
use crate::error::Result;
use crate::records::{ChainedAudit, append_audit, keys};
use crate::store::Batch;

/// Most rows of one page.
pub const ROWS_MAX: usize = 500;
/// Entries looked at for one page when only some events are wanted.
const LOOKED_AT_MAX: usize = 5_000;

/// A page of the trail, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditPage {
    pub rows: Vec<AuditRow>,
    /// Pass as `before` for the next page; `None` at the end.
    pub next: Option<u64>,
    /// Number of the newest entry of the whole trail.
    pub newest: u64,
}

/// Facts about the running program, for the console's header and Home.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerStatus {
    pub version: String,
    /// `live` (server) or `offline` (store opened directly).
    pub mode: String,
    pub public_url: String,
    pub pid: u32,
    pub users: u64,
    /// Users by second-factor state: off, on, enrol, locked.
    pub users_by_state: Vec<(crate::domain::user::FactorState, u64)>,
    /// Mails that will be tried (again).
    pub outbox_waiting: u64,
    /// Mails given up in the last 30 days.
    pub outbox_failed: u64,
    pub audit_newest: u64,
    pub mail_available: bool,
    pub started_at: crate::domain::time::Timestamp,
}

/// The audit trail, or what concerns one user, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListAudit {
    pub user: Option<UserRef>,
    /// Only events whose name starts with this.
    pub event: Option<String>,
    /// Only entries with a smaller number.
    pub before: Option<u64>,
    /// At most [`ROWS_MAX`].
    pub limit: usize,
}

impl Operation for ListAudit {
    const NAME: &'static str = "list_audit";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = AuditPage;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let user = match &self.user {
            Some(user) => Some(cx.find_user(user).await?.value.id),
            None => None,
        };
        let limit = self.limit.clamp(1, ROWS_MAX);
        let mut page = AuditPage { rows: Vec::new(), next: self.before, newest: cx.records().audit_newest().await? };
        let mut looked_at = 0;
        while page.rows.len() < limit && looked_at < LOOKED_AT_MAX {
            let entries = cx.records().audit(user, page.next, limit).await?;
            looked_at += entries.len();
            let is_last = entries.len() < limit;
            for entry in entries {
                page.next = Some(entry.number);
                if self.event.as_ref().is_none_or(|start| entry.record.event.as_str().starts_with(start.as_str())) {
                    page.rows.push(entry.into());
                    if page.rows.len() == limit {
                        return Ok(page);
                    }
                }
            }
            if is_last {
                page.next = None;
                break;
            }
        }
        Ok(page)
    }
}

/// Version, mode, counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadStatus {}

impl Operation for ReadStatus {
    const NAME: &'static str = "read_status";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = ServerStatus;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let count =
            async |key: &[u8]| Ok::<_, crate::error::Error>(cx.records().counter(key).await?.max(0).cast_unsigned());
        let mut users_by_state = Vec::new();
        for state in FactorState::ALL {
            let (staff, others) =
                (cx.records().users_in_state(true, state).await?, cx.records().users_in_state(false, state).await?);
            users_by_state.push((state, staff + others));
        }
        Ok(ServerStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: match cx.app.0.mode {
                Mode::Live => "live",
                Mode::Offline => "offline",
            }
            .to_owned(),
            public_url: cx.config().server.public_url.clone(),
            pid: std::process::id(),
            users: count(keys::USERS_COUNTER).await?,
            users_by_state,
            outbox_waiting: count(keys::OUTBOX_COUNTER).await?,
            outbox_failed: count(keys::OUTBOX_FAILED_COUNTER).await?,
            audit_newest: cx.records().audit_newest().await?,
            mail_available: cx.app.is_mail_available(),
            started_at: cx.app.0.started_at,
        })
    }
}

impl From<ChainedAudit> for AuditRow {
    fn from(entry: ChainedAudit) -> Self {
        Self {
            number: entry.number,
            record: entry.record,
            previous_hash: text::hex(&entry.previous),
            hash: text::hex(&entry.hash),
        }
    }
}

/// What an operation says of itself for the trail; the caller, time and place are added when it is written.
pub(super) struct Note {
    event: Event,
    /// Who acted, where that became known only by the act (a login).
    actor: Option<AuditActor>,
    target: Option<AuditTarget>,
    outcome: Outcome,
    reason: Option<String>,
    verified_by: Option<String>,
    details: Vec<(String, String)>,
}

impl Note {
    /// Something done that is about nobody known.
    pub(super) fn new(event: Event) -> Self {
        Self {
            event,
            actor: None,
            target: None,
            outcome: Outcome::Done,
            reason: None,
            verified_by: None,
            details: Vec::new(),
        }
    }

    /// Something done to a user.
    pub(super) fn of(event: Event, user: &User) -> Self {
        let target = AuditTarget { id: user.id, email: user.email.as_str().to_owned() };
        Self { target: Some(target), ..Self::new(event) }
    }

    /// Done by this user, who has just shown who it is.
    pub(super) fn by(self, user: &User) -> Self {
        let actor =
            AuditActor::User { id: user.id, email: user.email.as_str().to_owned(), session: None, api_key: None };
        Self { actor: Some(actor), ..self }
    }

    pub(super) fn failed(self) -> Self {
        Self { outcome: Outcome::Failed, ..self }
    }

    pub(super) fn reason(self, reason: &str) -> Self {
        Self { reason: Some(reason.to_owned()), ..self }
    }

    pub(super) fn verified_by(self, verified_by: Option<&str>) -> Self {
        Self { verified_by: verified_by.map(str::to_owned), ..self }
    }

    /// A fact; never a secret, never the value of a changed field.
    pub(super) fn detail(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.details.push((name.to_owned(), format!("{value}")));
        self
    }
}

impl Context<'_> {
    /// Adds an entry to the batch of the change it is about.
    pub(super) fn audited(&self, batch: Batch, note: Note) -> Batch {
        let record = AuditRecord {
            at: self.now,
            event: note.event,
            actor: note.actor.unwrap_or_else(|| self.audit_actor()),
            target: note.target,
            address: self.actor.address.map(|address| address.to_string()),
            user_agent: self.actor.user_agent.clone(),
            request_id: self.actor.request_id.clone(),
            outcome: note.outcome,
            reason: note.reason,
            verified_by: note.verified_by,
            details: note.details,
        };
        append_audit(batch, &record)
    }

    fn audit_actor(&self) -> AuditActor {
        let user = |user: &User, session: Option<String>, api_key: Option<String>| AuditActor::User {
            id: user.id,
            email: user.email.as_str().to_owned(),
            session,
            api_key,
        };
        match &self.actor.identity {
            Identity::Anonymous | Identity::Pending(_) => AuditActor::Anonymous,
            Identity::Session { user: who, session } => user(who, Some(session.session.id.to_string()), None),
            Identity::ApiKey { user: who, key } => user(who, None, Some(key.id.clone())),
            Identity::Operator { uid, name } => AuditActor::Operator { uid: *uid, name: name.clone() },
            Identity::System => AuditActor::System,
        }
    }
}
