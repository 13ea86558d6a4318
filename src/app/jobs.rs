//! Acts on many users: a draft freezes who is meant and says what would happen, a start makes a job of it, and operators
//! watch and steer it. What does the work is in [`super::job_runner`].

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::audit::Note;
use super::demand::check_day;
use super::directory::ROWS_MAX;
use super::safety::Proof;
use super::{Context, Operation, Permission, Tries};
use crate::domain::audit::{Event, JOB};
use crate::domain::id::UserId;
use crate::domain::job::{self, AskedBy, DRAFT_SECONDS, Facts, Job, JobId, Outcome, Skip};
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::user_filter::UserFilter;
use crate::error::{Error, Result};
use crate::records::{FROZEN_PER_PAGE, FrozenUsers, Versioned, keys, put_job, put_job_users};
use crate::store::Batch;

pub use crate::domain::job::{JobAct, JobKind, JobState};

/// Jobs that are listed.
const JOBS_MAX: usize = 200;
/// Users that a draft shows.
const SAMPLES: usize = 5;
/// Most results of one page.
const RESULTS_MAX: usize = 500;

/// Which users are meant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    Users(Vec<UserId>),
    /// All that a list would show.
    Matching {
        query: String,
        filters: Vec<UserFilter>,
    },
}

/// What would happen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobDraft {
    pub id: String,
    pub kind: JobKind,
    /// Users that were frozen.
    pub users: u64,
    /// For how many there is something to do: the number that a start has to confirm.
    pub does: u64,
    /// Why others are left out, and how many for each reason.
    pub skipped: Vec<(String, u64)>,
    /// Addresses of some of those it would be done to.
    pub samples: Vec<String>,
    /// It can be started until then.
    pub expires_at: Timestamp,
}

/// A job as a list shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobRow {
    pub id: String,
    pub kind: JobKind,
    pub state: JobState,
    /// Who started it, and why.
    pub asked_by: String,
    pub reason: String,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub users: u64,
    pub done: u64,
    pub skipped: u64,
    pub failed: u64,
    /// What its pace depends on, while it is under way.
    pub rate_note: Option<String>,
}

impl JobRow {
    /// Users it is done with, whatever became of them.
    #[must_use]
    pub const fn seen_to(&self) -> u64 {
        self.done + self.skipped + self.failed
    }
}

/// A job and a page of what became of its users.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobDetail {
    pub row: JobRow,
    pub results: Vec<JobResult>,
    /// Pass as `after` for the next page; `None` at the end.
    pub next: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    Done,
    Skipped,
    Failed,
    /// Not seen to yet (or never, in a job that was stopped).
    Waiting,
}

/// What became of one user of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobResult {
    /// From 1.
    pub number: u64,
    /// The id, where the user is gone.
    pub email: String,
    pub outcome: JobOutcome,
    /// Why it was skipped or failed.
    pub note: Option<String>,
    /// The audit entry of what was done.
    pub audit_number: Option<u64>,
}

/// The dry run: freezes the users that are meant now, and says what a job would do to them. Can be started for an hour.
///
/// Refused with `no_users`, `too_many_users`, `too_far_ahead` or, for a reminder, `mail_off`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DraftJob {
    pub kind: JobKind,
    pub selection: Selection,
}

impl Operation for DraftJob {
    const NAME: &'static str = "draft_job";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = JobDraft;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let asked_by = cx.operator()?;
        if self.kind == JobKind::RemindToEnrol && !cx.app.is_mail_available() {
            return Err(Error::refused("mail_off", "reminders go by mail, and email.transport is \"off\""));
        }
        if let JobKind::RequireEnrolment { from } = self.kind {
            check_day(from, cx.now)?;
        }
        let mut draft = Drafting::new(cx, self.kind).await?;
        let ids = match self.selection {
            Selection::Users(ids) => ids,
            Selection::Matching { query, filters } => cx.matching_ids(&query, filters).await?,
        };
        draft.check_count(ids.len() as u64)?;
        for ids in ids.chunks(ROWS_MAX) {
            draft.take(ids).await?;
        }
        draft.finish(asked_by).await
    }
}

/// A draft once more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadDraft {
    pub id: String,
}

impl Operation for ReadDraft {
    const NAME: &'static str = "read_draft";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = JobDraft;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let job = cx.job(&self.id).await?.value;
        check_draft(&job, cx.now)?;
        let (mut skipped, mut samples) = (BTreeMap::new(), Vec::new());
        for first in (0..job.users).step_by(FROZEN_PER_PAGE) {
            for (id, skip) in cx.records().job_users(job.id, first).await?.0 {
                match skip {
                    Some(why) => *skipped.entry(why).or_default() += 1,
                    None if samples.len() < SAMPLES => samples.push(id),
                    None => {}
                }
            }
        }
        let samples = cx.records().users(&samples).await?;
        Ok(draft_of(&job, skipped, samples.into_iter().map(|user| user.email.into()).collect()))
    }
}

/// Makes a job of a draft. The proof confirms the number of users it would be done to, and says how they were
/// checked where the kind wants it.
///
/// Refused with `draft_over`, `nothing_to_do`, or for want of proof.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StartJob {
    pub id: String,
    pub proof: Proof,
}

impl Operation for StartJob {
    const NAME: &'static str = "start_job";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = JobRow;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let asked_by = cx.operator()?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = cx.job(&self.id).await?;
            check_draft(&before.value, cx.now)?;
            if before.value.planned == 0 {
                return Err(Error::refused("nothing_to_do", "there is nothing to do for any of these users"));
            }
            let proven = cx.prove_for_many(&self.proof, before.value.planned, before.value.kind.wants_check())?;
            let job = Job {
                state: Some(JobState::Running),
                asked_by: asked_by.clone(),
                reason: proven.reason.clone(),
                verified_by: proven.verified_by.clone(),
                started_at: Some(cx.now),
                ..before.value.clone()
            };
            let note = about(Event::JobStarted, &job).proven(&proven).detail("planned", job.planned);
            let batch = cx.audited(put_job(Batch::default(), Some(&before), &job), note);
            if cx.commit(batch).await?.is_some() {
                cx.app.ring_for_jobs();
                return cx.job_row(&job).await;
            }
        }
    }
}

/// Pauses, resumes or stops a job, between two users.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SteerJob {
    pub id: String,
    pub act: JobAct,
}

impl Operation for SteerJob {
    const NAME: &'static str = "steer_job";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = JobRow;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = cx.job(&self.id).await?;
            let job = before.value.steered(self.act, cx.now);
            let job = job.map_err(|error| Error::refused("job_state", format!("job {}: {error}", self.id)))?;
            let event = match self.act {
                JobAct::Pause => Event::JobPaused,
                JobAct::Resume => Event::JobResumed,
                JobAct::Stop => Event::JobStopped,
            };
            let note = counted(about(event, &job), &job);
            let batch = cx.audited(put_job(Batch::default(), Some(&before), &job), note);
            if cx.commit(batch).await?.is_some() {
                cx.app.ring_for_jobs();
                return cx.job_row(&job).await;
            }
        }
    }
}

/// Jobs that were started, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListJobs {}

impl Operation for ListJobs {
    const NAME: &'static str = "list_jobs";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = Vec<JobRow>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let mut rows = Vec::new();
        for job in cx.records().jobs_started(JOBS_MAX).await? {
            rows.push(cx.job_row(&job).await?);
        }
        Ok(rows)
    }
}

/// A job, and what became of its users.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadJob {
    pub id: String,
    /// Only users with a higher number.
    pub after: Option<u64>,
    pub limit: usize,
}

impl Operation for ReadJob {
    const NAME: &'static str = "read_job";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = JobDetail;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let job = cx.job(&self.id).await?.value;
        if job.state.is_none() {
            return Err(no_job(&self.id));
        }
        let limit = self.limit.clamp(1, RESULTS_MAX) as u64;
        // Numbers are from 1 outside and from 0 inside, so `after` is the first one.
        let first = self.after.unwrap_or(0).min(job.users);
        let end = first.saturating_add(limit).min(job.users);
        let users = cx.frozen(job.id, first, end).await?;
        let outcomes = cx.records().job_results(job.id, first..end.min(job.next)).await?;
        let entries = cx.records().job_audit(job.id, first, RESULTS_MAX).await?;
        let entries: HashMap<u64, u64> = entries.into_iter().collect();
        let found = cx.records().users(&users).await?;
        let emails: HashMap<UserId, String> = found.into_iter().map(|user| (user.id, user.email.into())).collect();
        let mut outcomes = outcomes.into_iter();
        let results = (first..).zip(&users).map(|(number, id)| {
            let (outcome, note) = shown(outcomes.next());
            JobResult {
                number: number + 1,
                email: emails.get(id).cloned().unwrap_or_else(|| id.to_string()),
                outcome,
                note,
                audit_number: entries.get(&number).copied(),
            }
        });
        let results = results.collect();
        Ok(JobDetail { row: cx.job_row(&job).await?, results, next: (end < job.users).then_some(end) })
    }
}

fn shown(outcome: Option<Outcome>) -> (JobOutcome, Option<String>) {
    match outcome {
        None => (JobOutcome::Waiting, None),
        Some(Outcome::Done) => (JobOutcome::Done, None),
        Some(Outcome::Skipped(why)) => (JobOutcome::Skipped, Some(why.as_str().to_owned())),
        Some(Outcome::Failed(why)) => (JobOutcome::Failed, Some(why)),
    }
}

/// What the trail says of a job.
pub(super) fn about(event: Event, job: &Job) -> Note {
    let note = Note::new(event).detail(JOB, job.id).detail("act", job.kind.as_str()).detail("users", job.users);
    match job.kind {
        JobKind::RequireEnrolment { from } => note.detail("from", from.to_rfc3339_z()),
        JobKind::RemindToEnrol | JobKind::DemandReEnrolment | JobKind::ResetTwoFactor => note,
    }
}

/// How far it came.
pub(super) fn counted(note: Note, job: &Job) -> Note {
    note.detail("done", job.done).detail("skipped", job.skipped).detail("failed", job.failed)
}

fn no_job(id: &str) -> Error {
    Error::NotFound { detail: format!("there is no job {id:?}; `doorward job list` shows those there are").into() }
}

fn too_many(kind: JobKind) -> Error {
    let max = kind.users_max();
    let text = match kind {
        JobKind::ResetTwoFactor => format!("at most {max} users are reset at once; take fewer"),
        _ => format!("a job takes at most {max} users"),
    };
    Error::refused("too_many_users", text)
}

fn check_draft(job: &Job, now: Timestamp) -> Result<()> {
    if job.state.is_some() || job.is_lapsed(now) {
        return Err(Error::refused("draft_over", "this draft was started already, or is older than an hour"));
    }
    Ok(())
}

fn draft_of(job: &Job, skipped: BTreeMap<Skip, u64>, samples: Vec<String>) -> JobDraft {
    JobDraft {
        id: job.id.to_string(),
        kind: job.kind,
        users: job.users,
        does: job.planned,
        skipped: skipped.into_iter().map(|(why, count)| (why.as_str().to_owned(), count)).collect(),
        samples,
        expires_at: job.created_at.plus_seconds(DRAFT_SECONDS),
    }
}

/// A draft that is being made: users are frozen page by page.
struct Drafting<'a, 'b> {
    cx: &'a Context<'b>,
    id: JobId,
    kind: JobKind,
    seen: HashSet<UserId>,
    page: Vec<(UserId, Option<Skip>)>,
    pages: u64,
    planned: u64,
    skipped: BTreeMap<Skip, u64>,
    samples: Vec<String>,
}

impl<'a, 'b> Drafting<'a, 'b> {
    /// Takes a number, with a note for the sweeper, so that nothing stays of a draft that is never finished.
    async fn new(cx: &'a Context<'b>, kind: JobKind) -> Result<Self> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let (batch, number) = cx.next_number(Batch::default(), keys::JOB_COUNTER).await?;
            let id = JobId(number);
            let note = keys::expiry(cx.now.plus_seconds(DRAFT_SECONDS), &keys::job(id));
            if cx.commit(batch.put(note, Vec::new())).await?.is_some() {
                let (seen, page, samples) = (HashSet::new(), Vec::new(), Vec::new());
                return Ok(Self { cx, id, kind, seen, page, pages: 0, planned: 0, skipped: BTreeMap::new(), samples });
            }
        }
    }

    fn check_count(&self, count: u64) -> Result<()> {
        if count > self.kind.users_max() { Err(too_many(self.kind)) } else { Ok(()) }
    }

    /// Freezes these users, each one once.
    async fn take(&mut self, ids: &[UserId]) -> Result<()> {
        let new: Vec<UserId> = ids.iter().copied().filter(|id| self.seen.insert(*id)).collect();
        self.check_count(self.seen.len() as u64)?;
        let found = self.cx.records().users(&new).await?;
        let users: HashMap<UserId, User> = found.into_iter().map(|user| (user.id, user)).collect();
        for id in new {
            let user = users.get(&id);
            let skip = match user {
                Some(user) => self.cx.skip(self.kind, user).await?,
                None => Some(Skip::Gone),
            };
            if let Some(why) = skip {
                *self.skipped.entry(why).or_default() += 1;
            } else {
                self.planned += 1;
                let email = user.map(|user| user.email.as_str().to_owned());
                self.samples.extend(email.filter(|_| self.samples.len() < SAMPLES));
            }
            self.page.push((id, skip));
            if self.page.len() == FROZEN_PER_PAGE {
                self.put_page().await?;
            }
        }
        Ok(())
    }

    async fn put_page(&mut self) -> Result<()> {
        let users = FrozenUsers(std::mem::take(&mut self.page));
        // Without expectations a batch cannot conflict.
        self.cx.commit(put_job_users(Batch::default(), self.id, self.pages, &users)).await?;
        self.pages += 1;
        Ok(())
    }

    async fn finish(mut self, asked_by: AskedBy) -> Result<JobDraft> {
        if self.seen.is_empty() {
            return Err(Error::refused("no_users", "no user is meant by this"));
        }
        if !self.page.is_empty() {
            self.put_page().await?;
        }
        let job = Job {
            id: self.id,
            kind: self.kind,
            state: None,
            asked_by,
            reason: String::new(),
            verified_by: None,
            created_at: self.cx.now,
            started_at: None,
            finished_at: None,
            users: self.seen.len() as u64,
            planned: self.planned,
            next: 0,
            done: 0,
            skipped: 0,
            failed: 0,
        };
        if self.cx.commit(put_job(Batch::default(), None, &job)).await?.is_none() {
            return Err(Error::internal("the number of a job was given twice"));
        }
        Ok(draft_of(&job, self.skipped, self.samples))
    }
}

impl Context<'_> {
    async fn job(&self, id: &str) -> Result<Versioned<Job>> {
        let number = id.parse().map_err(|_| no_job(id))?;
        self.records().job(JobId(number)).await?.ok_or_else(|| no_job(id))
    }

    /// Whether a job of this kind leaves a user out, as of now.
    pub(super) async fn skip(&self, kind: JobKind, user: &User) -> Result<Option<Skip>> {
        let reminded_at = match kind {
            JobKind::RemindToEnrol => self.records().reminder(user.id).await?.map(|reminder| reminder.value.at),
            _ => None,
        };
        let facts = Facts { reminded_at, is_own: self.is_own(user), staff_needs_approval: self.needs_approval(user) };
        Ok(job::skip(kind, user, facts, self.now))
    }

    /// The users of a job with these numbers, from 0.
    async fn frozen(&self, id: JobId, first: u64, end: u64) -> Result<Vec<UserId>> {
        let mut users = Vec::new();
        let mut number = first;
        while number < end {
            let page = self.records().job_users(id, number).await?;
            let place = usize::try_from(number % FROZEN_PER_PAGE as u64).unwrap_or(0);
            let room = usize::try_from(end - number).unwrap_or(usize::MAX);
            let before = users.len();
            users.extend(page.0.iter().skip(place).take(room).map(|(id, _)| *id));
            if users.len() == before {
                return Err(Error::internal(format!("job {id} has fewer users than it says")));
            }
            number += (users.len() - before) as u64;
        }
        Ok(users)
    }

    async fn job_row(&self, job: &Job) -> Result<JobRow> {
        Ok(JobRow {
            id: job.id.to_string(),
            kind: job.kind,
            state: job.state.unwrap_or(JobState::Paused),
            asked_by: job.asked_by.name.clone(),
            reason: job.reason.clone(),
            created_at: job.created_at,
            finished_at: job.finished_at,
            users: job.users,
            done: job.done,
            skipped: job.skipped,
            failed: job.failed,
            rate_note: self.rate_note(job).await?,
        })
    }

    async fn rate_note(&self, job: &Job) -> Result<Option<String>> {
        if job.state != Some(JobState::Running) {
            return Ok(None);
        }
        let first = self.records().jobs_running(1).await?.into_iter().next();
        if let Some(first) = first.filter(|first| *first != job.id) {
            return Ok(Some(format!("waits for job {first}")));
        }
        let rate = self.config().admin.job_mails_per_second;
        Ok(self.app.is_mail_available().then(|| format!("{rate} mails a second at most")))
    }
}
