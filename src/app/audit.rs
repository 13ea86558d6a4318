//! Writing and reading the audit trail (spec §4.11).
//!
//! An operation puts its entry into the batch of the change it is about, so that neither is there without the other.
//! The entry's number and its link to the entry before are not known yet: the store gives both when it applies the
//! batch ([`Batch::append`]), on the one thread that writes anyway. It has the newest link in memory and makes many
//! batches durable with one wait for the disk. So nobody reads the end of the chain in order to extend it, nobody
//! conflicts over it, and writers at the same time share a wait instead of queueing one behind the other.

use serde::{Deserialize, Serialize};

use super::permission::Rights;
use super::views::{AuditRow, UserRef};
use super::{Context, Identity, Mode, Operation, Permission};
use crate::domain::audit::{AuditActor, AuditRecord, AuditTarget, Event, JOB, Outcome};
use crate::domain::checkpoint::Checkpoint;
use crate::domain::id::UserId;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::user::{FactorState, User};
use crate::error::Result;
use crate::records::{ChainedAudit, append_audit, keys};
use crate::store::{Batch, Order};

/// Most rows of one page.
pub const ROWS_MAX: usize = 500;
/// Entries looked at for one page when only some are wanted.
const LOOKED_AT_MAX: usize = 5_000;
/// An entry has the time at which its operation began and the number that it got at its end, so numbers and times are
/// in the same order but for this long.
const DISORDER_SECONDS: i64 = 15 * 60;

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
    pub started_at: Timestamp,
    /// What the caller may do.
    pub rights: Rights,
}

/// Which entries of the trail are wanted; what is not said is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFilter {
    /// What happened to this user.
    pub user: Option<UserRef>,
    /// Who did it: a part of an operator's name or a user's address, in any case; or `system`.
    pub actor: Option<String>,
    /// The start of the event's name.
    pub event: Option<String>,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// What operators did themselves; what their jobs did, one user after the other, is not among it.
    pub operators_only: bool,
}

impl AuditFilter {
    /// Whether it leaves nothing out between the first and the last that it lets through.
    fn is_of_time_alone(&self) -> bool {
        let whole = Self { since: self.since, until: self.until, ..Self::default() };
        *self == whole
    }
}

/// The entries that a filter lets through, newest first. Looks at [`LOOKED_AT_MAX`] or so, so a page can hold less than
/// was asked for, and still have a next.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListAudit {
    pub filter: AuditFilter,
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
        let newest = cx.records().audit_newest().await?;
        let search = cx.search_of(&self.filter).await?;
        let end = match self.filter.until {
            Some(until) => Some(cx.first_number_after(newest, until.plus_seconds(DISORDER_SECONDS)).await?),
            None => None,
        };
        let before = [self.before, end].into_iter().flatten().min();
        let (rows, next) = cx.searched(&search, before, self.limit, Order::Descending).await?;
        Ok(AuditPage { rows, next, newest })
    }
}

/// A page of the trail, oldest first, with what vouches for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportPage {
    /// Behind which entry the trail begins, if not with the first; on the first page of a whole trail.
    pub start: Option<Checkpoint>,
    pub rows: Vec<AuditRow>,
    /// Of these entries, where none is left out between them.
    pub checkpoints: Vec<Checkpoint>,
    /// Pass as `after` for the next page; `None` at the end.
    pub next: Option<u64>,
}

/// The same, oldest first, for export.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportAudit {
    pub filter: AuditFilter,
    /// Only entries with a larger number; 0 begins.
    pub after: u64,
    /// At most [`ROWS_MAX`].
    pub limit: usize,
}

impl Operation for ExportAudit {
    const NAME: &'static str = "export_audit";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = ExportPage;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let newest = cx.records().audit_newest().await?;
        let search = cx.search_of(&self.filter).await?;
        let start = cx.records().audit_start().await?.map(|start| start.value);
        let begin = match self.filter.since {
            Some(since) => {
                cx.first_number_after(newest, since.plus_seconds(-DISORDER_SECONDS)).await?.saturating_sub(1)
            }
            None => start.as_ref().map_or(0, |start| start.number),
        };
        let after = Some(self.after.max(begin)).filter(|after| *after > 0);
        let (rows, next) = cx.searched(&search, after, self.limit, Order::Ascending).await?;
        let checkpoints = match (rows.first(), rows.last()) {
            (Some(first), Some(last)) if self.filter.is_of_time_alone() => {
                cx.checkpoints_of(first.number..=last.number).await?
            }
            _ => Vec::new(),
        };
        let start = start.filter(|_| self.after == 0 && self.filter == AuditFilter::default());
        Ok(ExportPage { start, rows, checkpoints, next })
    }
}

/// A filter, ready to be applied.
struct Search {
    user: Option<UserId>,
    filter: AuditFilter,
}

impl Search {
    fn lets_through(&self, record: &AuditRecord) -> bool {
        let AuditFilter { actor, event, since, until, operators_only, .. } = &self.filter;
        since.is_none_or(|since| since <= record.at)
            && until.is_none_or(|until| record.at < until)
            && event.as_ref().is_none_or(|start| record.event.as_str().starts_with(start.as_str()))
            && (!operators_only || record.is_by_hand())
            && actor.as_ref().is_none_or(|wanted| record.actor.is_called(wanted))
    }

    /// Whether nothing further on, in this order, can be let through.
    fn is_over(&self, record: &AuditRecord, order: Order) -> bool {
        match order {
            Order::Descending => {
                self.filter.since.is_some_and(|since| since.seconds_since(record.at) > DISORDER_SECONDS)
            }
            Order::Ascending => {
                self.filter.until.is_some_and(|until| record.at.seconds_since(until) > DISORDER_SECONDS)
            }
        }
    }
}

impl Context<'_> {
    async fn search_of(&self, filter: &AuditFilter) -> Result<Search> {
        let user = match &filter.user {
            Some(user) => Some(self.find_user(user).await?.value.id),
            None => None,
        };
        Ok(Search { user, filter: filter.clone() })
    }

    /// A page of what a search finds beyond this number, and where to go on.
    async fn searched(
        &self,
        search: &Search,
        mut from: Option<u64>,
        limit: usize,
        order: Order,
    ) -> Result<(Vec<AuditRow>, Option<u64>)> {
        let limit = limit.clamp(1, ROWS_MAX);
        let mut rows = Vec::new();
        let mut looked_at = 0;
        while looked_at < LOOKED_AT_MAX {
            let entries = match (search.user, search.filter.operators_only) {
                (None, true) => self.records().audit_by_hand(from, limit, order).await?,
                (user, _) => self.records().audit(user, from, limit, order).await?,
            };
            looked_at += entries.len();
            let is_last = entries.len() < limit;
            for entry in entries {
                if search.is_over(&entry.record, order) {
                    return Ok((rows, None));
                }
                from = Some(entry.number);
                if search.lets_through(&entry.record) {
                    rows.push(entry.into());
                    if rows.len() == limit {
                        return Ok((rows, from));
                    }
                }
            }
            if is_last {
                return Ok((rows, None));
            }
        }
        Ok((rows, from))
    }

    /// The checkpoints of the entries with these numbers, which are a page's.
    async fn checkpoints_of(&self, numbers: std::ops::RangeInclusive<u64>) -> Result<Vec<Checkpoint>> {
        let from = numbers.start().checked_sub(1);
        let mut found = self.records().checkpoints(from, ROWS_MAX, Order::Ascending).await?;
        found.retain(|checkpoint| numbers.contains(&checkpoint.number));
        Ok(found)
    }

    /// The number of the first entry that was made after a moment, or the one behind the newest.
    async fn first_number_after(&self, newest: u64, at: Timestamp) -> Result<u64> {
        let start = self.records().audit_start().await?.map_or(0, |start| start.value.number);
        let (mut low, mut high) = (start.saturating_add(1), newest + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            // Every number behind the start has its entry; one that were missing would end the search early, and hide nothing.
            match self.records().audit_at(middle).await? {
                Some(made_at) if made_at <= at => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low)
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
            rights: match &cx.actor.identity {
                Identity::Operator { rights, .. } => *rights,
                _ => Rights::Operator,
            },
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
        let within = self.step.map(super::job_runner::JobStep::place);
        let note = match within {
            Some((job, _)) => note.detail(JOB, job),
            None => note,
        };
        let note = match self.approved {
            Some(approval) => note
                .detail("asked_by", super::approvals::shown(&approval.value.asked_by))
                .detail("approval", &approval.value.id),
            None => note,
        };
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
        append_audit(batch, &record, within)
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
            Identity::Operator { uid, name, .. } => AuditActor::Operator { uid: *uid, name: name.clone() },
            Identity::System => AuditActor::System,
        }
    }
}
