//! Jobs, their frozen users and what became of each; and who was reminded lately.
//!
//! The users of a job are frozen in pages, which lie beside the job. What became of a user is a record of its own, so that
//! it goes into the batch of the act.

use super::codec::{self, Decode, Deserialize, Encode, Serialize};
use super::users::{micros, timestamp};
use super::{Records, Result, Versioned, cursor, json, keys, put};
use crate::domain::id::UserId;
use crate::domain::job::{AskedBy, Job, JobId, JobKind, JobState, Outcome, Skip};
use crate::domain::time::Timestamp;
use crate::store::{Batch, Expect, Order};

/// Users of one page.
pub const FROZEN_PER_PAGE: usize = 1_000;
/// Keys removed in one batch of a job that goes.
const REMOVED_PER_BATCH: usize = 90;

/// Users of a job, with what the draft found against each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenUsers(pub Vec<(UserId, Option<Skip>)>);

/// When a user was reminded last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reminder {
    pub at: Timestamp,
}

impl Records {
    pub async fn job(&self, id: JobId) -> Result<Option<Versioned<Job>>> {
        self.read(&keys::job(id)).await
    }

    /// Jobs that were started, newest first, at most `limit`.
    pub async fn jobs_started(&self, limit: usize) -> Result<Vec<Job>> {
        let page = self.store.scan(keys::JOB_STARTED, None, limit, Order::Descending).await?;
        self.jobs_at(&page.entries).await
    }

    /// Jobs that are running or waiting to, in their order, at most `limit`.
    pub async fn jobs_running(&self, limit: usize) -> Result<Vec<JobId>> {
        let page = self.store.scan(keys::JOB_RUNNING, None, limit, Order::Ascending).await?;
        let numbers = page.entries.iter().filter_map(|entry| keys::parse_trailing_number(&entry.key));
        Ok(numbers.map(JobId).collect())
    }

    async fn jobs_at(&self, index: &[crate::store::Entry]) -> Result<Vec<Job>> {
        let numbers = index.iter().filter_map(|entry| keys::parse_trailing_number(&entry.key));
        let wanted: Vec<Vec<u8>> = numbers.map(|number| keys::job(JobId(number))).collect();
        Ok(self.read_many(&wanted).await?.into_iter().map(|job: Versioned<Job>| job.value).collect())
    }

    /// The page of a job's users that holds this number, from 0; empty behind the end.
    pub async fn job_users(&self, id: JobId, number: u64) -> Result<FrozenUsers> {
        let page = number / FROZEN_PER_PAGE as u64;
        Ok(self.read(&keys::job_users(id, page)).await?.map_or(FrozenUsers(Vec::new()), |users| users.value))
    }

    /// What became of the users with these numbers, as far as they were seen to.
    pub async fn job_results(&self, id: JobId, numbers: std::ops::Range<u64>) -> Result<Vec<Outcome>> {
        let wanted: Vec<Vec<u8>> = numbers.map(|number| keys::job_result(id, number)).collect();
        Ok(self.read_many(&wanted).await?.into_iter().map(|outcome: Versioned<Outcome>| outcome.value).collect())
    }

    /// The audit entries about a job's users: pairs of a user's number, from this one on, and an entry's.
    pub async fn job_audit(&self, id: JobId, from: u64, limit: usize) -> Result<Vec<(u64, u64)>> {
        let after = cursor(from.checked_sub(1).map(|number| [keys::job_audit(id, number), vec![u8::MAX; 8]].concat()));
        let page = self.store.scan(&keys::job_audit_prefix(id), after.as_ref(), limit, Order::Ascending).await?;
        Ok(page.entries.iter().filter_map(|entry| keys::parse_job_audit(&entry.key)).collect())
    }

    pub async fn reminder(&self, user: UserId) -> Result<Option<Versioned<Reminder>>> {
        self.read(&keys::reminder(user)).await
    }

    /// The next batch of removing what belongs to a job that is gone; `None` when there is nothing left.
    pub async fn removal_of_job(&self, id: JobId) -> Result<Option<Batch>> {
        let mut batch = Batch::default();
        for prefix in [keys::job_users_prefix(id), keys::job_result_prefix(id), keys::job_audit_prefix(id)] {
            let room = REMOVED_PER_BATCH - batch.writes.len();
            if room == 0 {
                break;
            }
            for entry in self.scan(&prefix, room).await?.entries {
                batch = batch.delete(entry.key);
            }
        }
        Ok((!batch.writes.is_empty()).then_some(batch))
    }
}

/// Adds a page of a job's users to a batch.
pub fn put_job_users(batch: Batch, id: JobId, page: u64, users: &FrozenUsers) -> Batch {
    put(batch, keys::job_users(id, page), users)
}

/// Adds a job to a batch, with its places in the lists and its note for the sweeper.
pub fn put_job(batch: Batch, before: Option<&Versioned<Job>>, job: &Job) -> Batch {
    let key = keys::job(job.id);
    let expect = before.map_or(Expect::Absent, |before| Expect::Version(before.version));
    let mut batch = batch.expect(key.clone(), expect);
    let state_before = before.and_then(|before| before.value.state);
    if state_before != job.state {
        if state_before.is_none() {
            batch = batch.put(keys::job_started(job.id), Vec::new());
        }
        batch = if job.state == Some(JobState::Running) {
            batch.put(keys::job_running(job.id), Vec::new())
        } else {
            batch.delete(keys::job_running(job.id))
        };
        if let Some(at) = job.kept_until() {
            batch = batch.put(keys::expiry(at, &key), Vec::new());
        }
    }
    put(batch, key, job)
}

/// Adds the removal of a job to a batch, as it was read; then nobody starts it any more. What belongs to it remains, see
/// [`Records::removal_of_job`].
pub fn remove_job(batch: Batch, job: &Versioned<Job>) -> Batch {
    let id = job.value.id;
    let batch = batch.expect(keys::job(id), Expect::Version(job.version)).delete(keys::job(id));
    batch.delete(keys::job_started(id)).delete(keys::job_running(id))
}

/// Adds to a batch that a job which cannot be read any more does not run.
pub fn shelve_job(batch: Batch, id: JobId) -> Batch {
    batch.delete(keys::job_running(id))
}

/// Adds what became of a job's users to a batch, from the one with this number on.
pub fn put_job_results(mut batch: Batch, id: JobId, first: u64, results: &[Outcome]) -> Batch {
    for (number, outcome) in (first..).zip(results) {
        batch = put(batch, keys::job_result(id, number), outcome);
    }
    batch
}

/// Notes that a user is reminded; of two at once, one is refused. Forgotten when it may be done again.
pub fn put_reminder(batch: Batch, user: UserId, before: Option<&Versioned<Reminder>>, reminder: Reminder) -> Batch {
    let key = keys::reminder(user);
    let expect = before.map_or(Expect::Absent, |before| Expect::Version(before.version));
    let forgotten_at = reminder.at.plus_seconds(crate::domain::job::REMINDED_SECONDS);
    let batch = batch.expect(key.clone(), expect).put(keys::expiry(forgotten_at, &key), Vec::new());
    put(batch, key, &reminder)
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct JobV1 {
    id: u64,
    kind: JobKindV1,
    state: Option<JobStateV1>,
    asked_by: (u32, String),
    reason: String,
    verified_by: Option<String>,
    created_at: i64,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    users: u64,
    planned: u64,
    next: u64,
    done: u64,
    skipped: u64,
    failed: u64,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum JobKindV1 {
    RemindToEnrol,
    RequireEnrolment { from: i64 },
    DemandReEnrolment,
    ResetTwoFactor,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum JobStateV1 {
    Running,
    Paused,
    Stopped,
    Done,
}

/// A user, and the number of a reason to leave it out; 0 for none.
#[derive(Encode, Decode, Serialize, Deserialize)]
struct FrozenUsersV1 {
    #[serde(with = "json::bytes")]
    users: Vec<([u8; 16], u8)>,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutcomeV1 {
    Done,
    Skipped(u8),
    Failed(String),
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct ReminderV1 {
    at: i64,
}

codec::record!(Job, JobV1, 1);
codec::record!(FrozenUsers, FrozenUsersV1, 1);
codec::record!(Outcome, OutcomeV1, 1);
codec::record!(Reminder, ReminderV1, 1);

impl From<&Job> for JobV1 {
    fn from(job: &Job) -> Self {
        Self {
            id: job.id.0,
            kind: match job.kind {
                JobKind::RemindToEnrol => JobKindV1::RemindToEnrol,
                JobKind::RequireEnrolment { from } => JobKindV1::RequireEnrolment { from: from.as_micros() },
                JobKind::DemandReEnrolment => JobKindV1::DemandReEnrolment,
                JobKind::ResetTwoFactor => JobKindV1::ResetTwoFactor,
            },
            state: job.state.map(|state| match state {
                JobState::Running => JobStateV1::Running,
                JobState::Paused => JobStateV1::Paused,
                JobState::Stopped => JobStateV1::Stopped,
                JobState::Done => JobStateV1::Done,
            }),
            asked_by: (job.asked_by.uid, job.asked_by.name.clone()),
            reason: job.reason.clone(),
            verified_by: job.verified_by.clone(),
            created_at: job.created_at.as_micros(),
            started_at: micros(job.started_at),
            finished_at: micros(job.finished_at),
            users: job.users,
            planned: job.planned,
            next: job.next,
            done: job.done,
            skipped: job.skipped,
            failed: job.failed,
        }
    }
}

impl From<JobV1> for Job {
    fn from(stored: JobV1) -> Self {
        Self {
            id: JobId(stored.id),
            kind: match stored.kind {
                JobKindV1::RemindToEnrol => JobKind::RemindToEnrol,
                JobKindV1::RequireEnrolment { from } => {
                    JobKind::RequireEnrolment { from: Timestamp::from_micros(from) }
                }
                JobKindV1::DemandReEnrolment => JobKind::DemandReEnrolment,
                JobKindV1::ResetTwoFactor => JobKind::ResetTwoFactor,
            },
            state: stored.state.map(|state| match state {
                JobStateV1::Running => JobState::Running,
                JobStateV1::Paused => JobState::Paused,
                JobStateV1::Stopped => JobState::Stopped,
                JobStateV1::Done => JobState::Done,
            }),
            asked_by: AskedBy { uid: stored.asked_by.0, name: stored.asked_by.1 },
            reason: stored.reason,
            verified_by: stored.verified_by,
            created_at: Timestamp::from_micros(stored.created_at),
            started_at: timestamp(stored.started_at),
            finished_at: timestamp(stored.finished_at),
            users: stored.users,
            planned: stored.planned,
            next: stored.next,
            done: stored.done,
            skipped: stored.skipped,
            failed: stored.failed,
        }
    }
}

impl From<&FrozenUsers> for FrozenUsersV1 {
    fn from(users: &FrozenUsers) -> Self {
        let number = |skip: Option<Skip>| skip.map_or(0, skip_number);
        Self { users: users.0.iter().map(|(id, skip)| (*id.as_bytes(), number(*skip))).collect() }
    }
}

impl TryFrom<FrozenUsersV1> for FrozenUsers {
    type Error = ();

    fn try_from(stored: FrozenUsersV1) -> std::result::Result<Self, ()> {
        let user = |(id, skip)| {
            let skip = if skip == 0 { None } else { Some(skip_of(skip)?) };
            Ok((UserId(uuid::Uuid::from_bytes(id)), skip))
        };
        Ok(Self(stored.users.into_iter().map(user).collect::<std::result::Result<_, ()>>()?))
    }
}

impl From<&Outcome> for OutcomeV1 {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Skipped(skip) => Self::Skipped(skip_number(*skip)),
            Outcome::Failed(why) => Self::Failed(why.clone()),
        }
    }
}

impl TryFrom<OutcomeV1> for Outcome {
    type Error = ();

    fn try_from(stored: OutcomeV1) -> std::result::Result<Self, ()> {
        Ok(match stored {
            OutcomeV1::Done => Self::Done,
            OutcomeV1::Skipped(skip) => Self::Skipped(skip_of(skip)?),
            OutcomeV1::Failed(why) => Self::Failed(why),
        })
    }
}

impl From<&Reminder> for ReminderV1 {
    fn from(reminder: &Reminder) -> Self {
        Self { at: reminder.at.as_micros() }
    }
}

impl From<ReminderV1> for Reminder {
    fn from(stored: ReminderV1) -> Self {
        Self { at: Timestamp::from_micros(stored.at) }
    }
}

/// These numbers are stored: they never change.
const fn skip_number(skip: Skip) -> u8 {
    match skip {
        Skip::Gone => 1,
        Skip::Deactivated => 2,
        Skip::HasFactor => 3,
        Skip::NoFactor => 4,
        Skip::Unverified => 5,
        Skip::RemindedLately => 6,
        Skip::ToldAlready => 7,
        Skip::Own => 8,
        Skip::NeedsApproval => 9,
    }
}

fn skip_of(number: u8) -> std::result::Result<Skip, ()> {
    Skip::ALL.into_iter().find(|skip| skip_number(*skip) == number).ok_or(())
}
