//! Carries jobs out: one after the other, one user after the other.
//!
//! What is done to a user, what became of it and how far the job is go into one batch, which expects the job as it was
//! read. So a job goes on exactly where it was when the program ended, nobody is seen to twice, and a job that was paused
//! or stopped meanwhile does nothing more.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::audit::Note;
use super::jobs::{about, counted};
use super::permission::Rights;
use super::safety::Proven;
use super::{Actor, App, Context, Identity, outbox};
use crate::clock;
use crate::domain::audit::{Event, JOB};
use crate::domain::job::{Job, JobId, JobKind, JobState, Outcome, Skip};
use crate::domain::mail::MailKind;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::error::{Error, Result};
use crate::records::{
    FROZEN_PER_PAGE, FrozenUsers, Reminder, Versioned, keys, put_job, put_job_results, put_reminder, put_user,
    shelve_job,
};
use crate::store::{Batch, Commit, Expect, StoreError};

/// Jobs looked at for one that can go on.
const JOBS_MAX: usize = 100;
/// Users left out that go into one batch.
const SKIPS_MAX: usize = 40;
/// Time until a job goes on when the store could not be reached.
const TRIED_AGAIN: Duration = Duration::from_secs(1);

/// The user of a job that a call is made for: its commit tells the job too.
pub(super) struct JobStep {
    job: Versioned<Job>,
}

impl JobStep {
    /// Adds to the batch of an act that it was done.
    pub(super) fn done(&self, batch: Batch) -> Batch {
        self.told(batch, &[Outcome::Done])
    }

    /// The job, and the number of its user.
    pub(super) fn place(&self) -> (JobId, u64) {
        (self.job.value.id, self.job.value.next)
    }

    fn told(&self, batch: Batch, results: &[Outcome]) -> Batch {
        let (id, number) = self.place();
        let batch = put_job_results(batch, id, number, results);
        put_job(batch, Some(&self.job), &self.job.value.went_on(results))
    }
}

/// How a step of the runner went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Went {
    /// There is more to do; perhaps a mail was queued.
    On { mailed: bool },
    /// No job is under way.
    Idle,
}

/// The page of users that is being worked on.
#[derive(Default)]
pub(super) struct Frozen(Option<(JobId, u64, FrozenUsers)>);

impl App {
    /// Carries jobs out until the store closes.
    pub async fn run_jobs(&self) {
        let mut frozen = Frozen::default();
        let per_mail = Duration::from_secs(1) / self.0.config.admin.job_mails_per_second.max(1);
        loop {
            match self.job_step(&mut frozen, clock::now()).await {
                Ok(Went::On { mailed: true }) => tokio::time::sleep(per_mail).await,
                Ok(Went::On { mailed: false }) => tokio::task::yield_now().await,
                Ok(Went::Idle) => self.0.job_bell.notified().await,
                Err(_) if self.0.is_closed.load(Ordering::Acquire) => return,
                Err(error) => {
                    tracing::warn!(%error, "a job cannot go on just now");
                    tokio::time::sleep(TRIED_AGAIN).await;
                }
            }
        }
    }

    /// Wakes the runner: there is a job to do.
    pub(super) fn ring_for_jobs(&self) {
        self.0.job_bell.notify_one();
    }

    /// Sees to the next user (or some that are left out) of the first job. One that can never go on is stopped.
    pub(super) async fn job_step(&self, frozen: &mut Frozen, now: Timestamp) -> Result<Went> {
        let mut stuck = None;
        for id in self.records().jobs_running(JOBS_MAX).await? {
            let error = match self.step_of(id, frozen, now).await {
                Err(error @ (Error::Internal { .. } | Error::NotFound { .. })) => error,
                went => return went,
            };
            tracing::error!(%error, job = %id, "a job cannot go on and is stopped");
            match self.stop_broken(id, &error, now).await {
                Ok(()) => return Ok(Went::On { mailed: false }),
                // The others go on.
                Err(error) => stuck = Some(error),
            }
        }
        stuck.map_or(Ok(Went::Idle), Err)
    }

    async fn step_of(&self, id: JobId, frozen: &mut Frozen, now: Timestamp) -> Result<Went> {
        let job = self.records().job(id).await?;
        let job = job.ok_or_else(|| Error::internal(format!("the record of job {id} is gone")))?;
        let actor = actor(&job.value);
        let step = JobStep { job };
        let cx = Context { app: self, actor: &actor, now, step: Some(&step), approved: None };
        if step.job.value.state != Some(JobState::Running) {
            return Ok(Went::On { mailed: false });
        }
        if step.job.value.next >= step.job.value.users {
            self.finish(&step.job, now).await?;
            return Ok(Went::On { mailed: false });
        }
        let (skips, user) = cx.next_users(&step, frozen).await?;
        let Some(user) = user.filter(|_| skips.is_empty()) else {
            return self.tell(&step, &skips).await;
        };
        match cx.act(&step.job.value, &user).await {
            Ok(()) => Ok(Went::On { mailed: self.is_mail_available() }),
            // Somebody was faster with the user or with the job; both are read again.
            Err(Error::Conflict { .. }) => Ok(Went::On { mailed: false }),
            Err(Error::NotFound { .. }) => self.tell(&step, &[Outcome::Skipped(Skip::Gone)]).await,
            Err(error @ Error::Unavailable { .. }) => Err(error),
            Err(error) => {
                let (job, number) = step.place();
                tracing::error!(%error, %job, number, "a job could not see to a user");
                self.tell(&step, &[Outcome::Failed(error.to_string())]).await
            }
        }
    }

    async fn tell(&self, step: &JobStep, results: &[Outcome]) -> Result<Went> {
        // A conflict: the job was told something; it is read again.
        let _told = self.records().store().commit(step.told(Batch::default(), results)).await?;
        Ok(Went::On { mailed: false })
    }

    /// Stops a job that can never go on, with what was wrong: in the trail, and as what became of its next user.
    async fn stop_broken(&self, id: JobId, why: &Error, now: Timestamp) -> Result<()> {
        let before = match self.records().job(id).await {
            Ok(before) => before,
            Err(StoreError::Corrupt(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let actor =
            Actor { identity: Identity::System, address: None, user_agent: None, request_id: format!("job-{id}") };
        let cx = Context { app: self, actor: &actor, now, step: None, approved: None };
        let (batch, note) = match before {
            // Somebody was faster.
            Some(before) if before.value.state != Some(JobState::Running) => return Ok(()),
            Some(before) => {
                let failed = Outcome::Failed(format!("the job was stopped: {why}"));
                // All may have been seen to.
                let left = usize::from(before.value.next < before.value.users);
                let results: Vec<Outcome> = std::iter::once(failed).take(left).collect();
                let batch = put_job_results(Batch::default(), id, before.value.next, &results);
                let job = before.value.went_on(&results);
                let job = Job { state: Some(JobState::Stopped), finished_at: Some(now), ..job };
                (put_job(batch, Some(&before), &job), counted(about(Event::JobStopped, &job), &job))
            }
            None => (shelve_job(Batch::default(), id), Note::new(Event::JobStopped).detail(JOB, id)),
        };
        // A conflict: the job was told something; it is read again.
        cx.commit(cx.audited(batch, note.detail("error", why))).await?;
        Ok(())
    }

    async fn finish(&self, before: &Versioned<Job>, now: Timestamp) -> Result<()> {
        let job = Job { state: Some(JobState::Done), finished_at: Some(now), ..before.value.clone() };
        let actor = Actor { identity: Identity::System, ..actor(&job) };
        let cx = Context { app: self, actor: &actor, now, step: None, approved: None };
        let note = counted(about(Event::JobFinished, &job), &job);
        cx.commit(cx.audited(put_job(Batch::default(), Some(before), &job), note)).await?;
        Ok(())
    }
}

/// A job acts in the name of who started it.
fn actor(job: &Job) -> Actor {
    Actor {
        identity: Identity::Operator {
            uid: job.asked_by.uid,
            name: job.asked_by.name.clone(),
            // It was a write to start it.
            rights: Rights::Operator,
        },
        address: None,
        user_agent: None,
        request_id: format!("job-{}", job.id),
    }
}

impl Context<'_> {
    /// Commits what is done to a user of a job.
    pub(super) async fn commit_step(&self, step: &JobStep, batch: Batch) -> Result<Option<crate::store::Receipt>> {
        let has_mail = outbox::has_mail(&batch);
        match self.records().store().commit(step.done(batch)).await? {
            Commit::Done(receipt) => {
                self.app.ring_for_mail(has_mail);
                Ok(Some(receipt))
            }
            Commit::Conflict => Err(Error::Conflict { detail: "the user or the job changed meanwhile".into() }),
        }
    }

    /// What becomes of the next users that are left out, up to the first who is not, and that one.
    async fn next_users(&self, step: &JobStep, frozen: &mut Frozen) -> Result<(Vec<Outcome>, Option<Versioned<User>>)> {
        let job = &step.job.value;
        let mut skips = Vec::new();
        let page = frozen.page(self, job).await?;
        let place = usize::try_from(job.next % FROZEN_PER_PAGE as u64).unwrap_or(0);
        let users = page.0.get(place..).unwrap_or_default();
        if users.is_empty() {
            return Err(Error::internal(format!("job {} has fewer users than it says", job.id)));
        }
        for (id, skip) in users.iter().take(SKIPS_MAX) {
            let found = match skip {
                Some(_) => Ok(None),
                None => self.records().user(*id).await,
            };
            let found = match found {
                Ok(found) => found,
                // One that cannot be read does not hold up the others.
                Err(error @ StoreError::Corrupt(_)) => {
                    tracing::error!(%error, job = %job.id, "a job cannot read a user");
                    skips.push(Outcome::Failed(error.to_string()));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let skip = match (skip, &found) {
                (Some(skip), _) => Some(*skip),
                (None, None) => Some(Skip::Gone),
                (None, Some(user)) => self.skip(job.kind, &user.value).await?,
            };
            match skip {
                Some(skip) => skips.push(Outcome::Skipped(skip)),
                None => return Ok((skips, found)),
            }
        }
        Ok((skips, None))
    }

    async fn act(&self, job: &Job, user: &Versioned<User>) -> Result<()> {
        let proven = Proven { reason: job.reason.clone(), verified_by: job.verified_by.clone() };
        match job.kind {
            JobKind::RemindToEnrol => self.remind(user, &proven).await,
            JobKind::RequireEnrolment { from } => self.demand(user, from.max(self.now), &proven).await,
            JobKind::DemandReEnrolment => self.demand(user, self.now, &proven).await,
            JobKind::ResetTwoFactor => self.reset_of_job(user.value.id, &proven).await,
        }
    }

    async fn remind(&self, user: &Versioned<User>, proven: &Proven) -> Result<()> {
        if !self.app.is_mail_available() {
            return Err(Error::refused("mail_off", "there is no way to send mail"));
        }
        let Versioned { value: user, version } = user;
        let before = self.records().reminder(user.id).await?;
        let batch = Batch::default().expect(keys::user(user.id), Expect::Version(*version));
        let batch = put_reminder(batch, user.id, before.as_ref(), Reminder { at: self.now });
        let batch = self.mailed(batch, user, MailKind::EnrolmentReminder { from: user.second_factor.enrol_from })?;
        let note = Note::of(Event::TwoFactorEnrolmentReminded, user).proven(proven);
        self.commit(self.audited(batch, note)).await?;
        Ok(())
    }

    async fn demand(&self, before: &Versioned<User>, from: Timestamp, proven: &Proven) -> Result<()> {
        let mut user = before.value.clone();
        let batch = self.enrolment_demanded(&mut user, from, proven)?;
        self.commit(put_user(batch, Some(before), &user)).await?;
        Ok(())
    }
}

impl Frozen {
    /// The page of users with the next one.
    async fn page(&mut self, cx: &Context<'_>, job: &Job) -> Result<&FrozenUsers> {
        let wanted = (job.id, job.next / FROZEN_PER_PAGE as u64);
        let read = match self.0.take().filter(|(id, page, _)| (*id, *page) == wanted) {
            Some(read) => read,
            None => (wanted.0, wanted.1, cx.records().job_users(job.id, job.next).await?),
        };
        Ok(&self.0.insert(read).2)
    }
}
