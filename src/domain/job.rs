//! A job: one act on many users, done by the server one user after the other. Which
//! states follow on which, and who is left out and why. Does not act.

use std::fmt::{Display, Formatter};

use serde::{Deserialize, Serialize};

use super::time::Timestamp;
use super::user::User;

/// Most users of one job.
pub const USERS_MAX: u64 = 1_000_000;
/// Most users whose second factor one job resets.
pub const RESET_USERS_MAX: u64 = 20;
/// How long a draft can be started, in seconds.
pub const DRAFT_SECONDS: i64 = 3_600;
/// How long a job that is over is kept, in seconds.
pub const KEPT_SECONDS: i64 = 90 * 86_400;
/// Time between two reminders of one user, in seconds.
pub const REMINDED_SECONDS: i64 = 86_400;

/// Names a job; on the wire and in the trail its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

impl Display for JobId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        Display::fmt(&self.0, formatter)
    }
}

/// What is done to each user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// A mail to those without a second factor.
    RemindToEnrol,
    /// Those without one are let in only with one, from then on.
    RequireEnrolment { from: Timestamp },
    /// Those with one have to enrol anew.
    DemandReEnrolment,
    /// At most [`RESET_USERS_MAX`] users.
    ResetTwoFactor,
}

impl JobKind {
    /// For the trail, and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RemindToEnrol => "remind",
            Self::RequireEnrolment { .. } => "require",
            Self::DemandReEnrolment => "demand",
            Self::ResetTwoFactor => "reset",
        }
    }

    /// It also wants how the callers were checked: it does to each user what one operator does to one at level 3.
    #[must_use]
    pub const fn wants_check(self) -> bool {
        matches!(self, Self::DemandReEnrolment | Self::ResetTwoFactor)
    }

    /// Most users that it takes.
    #[must_use]
    pub const fn users_max(self) -> u64 {
        match self {
            Self::ResetTwoFactor => RESET_USERS_MAX,
            Self::RemindToEnrol | Self::RequireEnrolment { .. } | Self::DemandReEnrolment => USERS_MAX,
        }
    }
}

/// Where a started job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Under way, or waiting for the one before it.
    Running,
    Paused,
    /// Ended by an operator; what was done stays done.
    Stopped,
    /// Every user was seen to.
    Done,
}

impl JobState {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Done => "done",
        }
    }

    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Stopped | Self::Done)
    }

    /// Where it is after an operator has told it something.
    pub const fn after(self, act: JobAct) -> Result<Self, JobError> {
        match (self, act) {
            (Self::Stopped | Self::Done, _) => Err(JobError::Over),
            (Self::Paused, JobAct::Pause) => Err(JobError::Paused),
            (Self::Running, JobAct::Resume) => Err(JobError::Running),
            (Self::Running, JobAct::Pause) => Ok(Self::Paused),
            (Self::Paused, JobAct::Resume) => Ok(Self::Running),
            (Self::Running | Self::Paused, JobAct::Stop) => Ok(Self::Stopped),
        }
    }
}

/// What an operator tells a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobAct {
    Pause,
    Resume,
    Stop,
}

/// The operator in whose name a job acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedBy {
    pub uid: u32,
    pub name: String,
}

/// A job, or the draft of one. The users, numbered from 0, lie beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: JobId,
    pub kind: JobKind,
    /// `None`: a draft.
    pub state: Option<JobState>,
    /// Who made the draft; then who started it.
    pub asked_by: AskedBy,
    /// Empty for a draft.
    pub reason: String,
    /// How the callers were checked, where the kind wants it.
    pub verified_by: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub users: u64,
    /// For how many of them the draft found something to do.
    pub planned: u64,
    /// Users seen to; also the number of the next one.
    pub next: u64,
    pub done: u64,
    pub skipped: u64,
    pub failed: u64,
}

/// Why a job cannot be told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    #[error("it was never started")]
    Draft,
    #[error("it is over")]
    Over,
    #[error("it is paused already")]
    Paused,
    #[error("it is running already")]
    Running,
}

impl Job {
    /// The draft is good no longer.
    #[must_use]
    pub fn is_lapsed(&self, now: Timestamp) -> bool {
        self.state.is_none() && self.created_at.plus_seconds(DRAFT_SECONDS) <= now
    }

    /// Until when it is kept; `None` for as long as it is under way.
    #[must_use]
    pub fn kept_until(&self) -> Option<Timestamp> {
        match self.state {
            None => Some(self.created_at.plus_seconds(DRAFT_SECONDS)),
            Some(_) => self.finished_at.map(|at| at.plus_seconds(KEPT_SECONDS)),
        }
    }

    /// The job as it is after an operator has told it something.
    pub fn steered(&self, act: JobAct, now: Timestamp) -> Result<Self, JobError> {
        let state = self.state.ok_or(JobError::Draft)?.after(act)?;
        let finished_at = state.is_over().then_some(now);
        Ok(Self { state: Some(state), finished_at, ..self.clone() })
    }

    /// The job with these users seen to.
    #[must_use]
    pub fn went_on(&self, results: &[Outcome]) -> Self {
        let count = |wanted: fn(&Outcome) -> bool| results.iter().filter(|one| wanted(one)).count() as u64;
        Self {
            next: self.next + results.len() as u64,
            done: self.done + count(|one| matches!(one, Outcome::Done)),
            skipped: self.skipped + count(|one| matches!(one, Outcome::Skipped(_))),
            failed: self.failed + count(|one| matches!(one, Outcome::Failed(_))),
            ..self.clone()
        }
    }
}

/// What became of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Skipped(Skip),
    /// A sentence for the operator.
    Failed(String),
}

/// Why a user is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    Gone,
    Deactivated,
    HasFactor,
    NoFactor,
    Unverified,
    RemindedLately,
    ToldAlready,
    Own,
    NeedsApproval,
}

impl Skip {
    pub const ALL: [Self; 9] = [
        Self::Gone,
        Self::Deactivated,
        Self::HasFactor,
        Self::NoFactor,
        Self::Unverified,
        Self::RemindedLately,
        Self::ToldAlready,
        Self::Own,
        Self::NeedsApproval,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "deleted meanwhile",
            Self::Deactivated => "deactivated",
            Self::HasFactor => "has a second factor",
            Self::NoFactor => "has no second factor",
            Self::Unverified => "e-mail address not verified",
            Self::RemindedLately => "reminded in the last 24 hours",
            Self::ToldAlready => "told already",
            Self::Own => "the operator's own account",
            Self::NeedsApproval => "staff: a second operator has to approve",
        }
    }
}

/// What decides about one user besides the user.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    pub reminded_at: Option<Timestamp>,
    /// The user is the operator who asks.
    pub is_own: bool,
    /// Staff are reset only with a second operator's approval (`admin.second_operator`).
    pub staff_needs_approval: bool,
}

/// Whether a user is left out, and why.
#[must_use]
pub fn skip(kind: JobKind, user: &User, facts: Facts, now: Timestamp) -> Option<Skip> {
    let has_factor = user.second_factor.is_enabled();
    let was_reminded = facts.reminded_at.is_some_and(|at| now.seconds_since(at) < REMINDED_SECONDS);
    let rules: &[(bool, Skip)] = match kind {
        JobKind::RemindToEnrol => &[
            (!user.is_active, Skip::Deactivated),
            (has_factor, Skip::HasFactor),
            (user.is_email_verified == Some(false), Skip::Unverified),
            (was_reminded, Skip::RemindedLately),
        ],
        JobKind::RequireEnrolment { from } => &[
            (!user.is_active, Skip::Deactivated),
            (has_factor, Skip::HasFactor),
            (user.second_factor.is_enrolment_due(from), Skip::ToldAlready),
        ],
        JobKind::DemandReEnrolment => &[
            (!user.is_active, Skip::Deactivated),
            (!has_factor, Skip::NoFactor),
            (facts.is_own, Skip::Own),
            (user.is_staff && facts.staff_needs_approval, Skip::NeedsApproval),
            (user.second_factor.is_enrolment_due(now), Skip::ToldAlready),
        ],
        JobKind::ResetTwoFactor => &[
            (!has_factor, Skip::NoFactor),
            (facts.is_own, Skip::Own),
            (user.is_staff && facts.staff_needs_approval, Skip::NeedsApproval),
        ],
    };
    rules.iter().find(|(applies, _)| *applies).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::email::EmailAddress;
    use crate::domain::id::UserId;
    use crate::domain::user::TotpDevice;
    use crate::domain::vault::Sealed;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn job(state: Option<JobState>) -> Job {
        Job {
            id: JobId(7),
            kind: JobKind::RemindToEnrol,
            state,
            asked_by: AskedBy { uid: 1_000, name: "jdoe".to_owned() },
            reason: "everybody by the end of the year".to_owned(),
            verified_by: None,
            created_at: NOW,
            started_at: state.map(|_| NOW),
            finished_at: None,
            users: 214,
            planned: 200,
            next: 0,
            done: 0,
            skipped: 0,
            failed: 0,
        }
    }

    fn user(has_device: bool, change: impl FnOnce(&mut User)) -> User {
        let address = EmailAddress::parse("ada@example.com").unwrap();
        let mut user = User::new(UserId(Uuid::nil()), 1, String::new(), address, NOW);
        user.is_email_verified = Some(true);
        user.second_factor.totp = has_device.then(|| TotpDevice {
            secret: Sealed(Vec::new()),
            confirmed_at: NOW,
            last_used_at: None,
            last_step: -1,
            disabled: false,
        });
        change(&mut user);
        user
    }

    #[test]
    fn what_follows_on_what() {
        use JobAct::{Pause, Resume, Stop};
        use JobState::{Done, Paused, Running, Stopped};
        for (state, act, expected) in [
            (None, Pause, Err(JobError::Draft)),
            (None, Resume, Err(JobError::Draft)),
            (None, Stop, Err(JobError::Draft)),
            (Some(Running), Pause, Ok(Paused)),
            (Some(Running), Resume, Err(JobError::Running)),
            (Some(Running), Stop, Ok(Stopped)),
            (Some(Paused), Pause, Err(JobError::Paused)),
            (Some(Paused), Resume, Ok(Running)),
            (Some(Paused), Stop, Ok(Stopped)),
            (Some(Stopped), Pause, Err(JobError::Over)),
            (Some(Stopped), Resume, Err(JobError::Over)),
            (Some(Stopped), Stop, Err(JobError::Over)),
            (Some(Done), Pause, Err(JobError::Over)),
            (Some(Done), Resume, Err(JobError::Over)),
            (Some(Done), Stop, Err(JobError::Over)),
        ] {
            let after = job(state).steered(act, NOW.plus_seconds(5));
            assert_eq!(after.clone().map(|job| job.state.unwrap()), expected, "{state:?} {act:?}");
            if let Ok(after) = after {
                assert_eq!(after.finished_at.is_some(), after.state.unwrap().is_over());
            }
        }
    }

    #[test]
    fn who_is_left_out_and_why() {
        let plain = Facts::default();
        let reminded = |ago: i64| Facts { reminded_at: Some(NOW.plus_seconds(-ago)), ..plain };
        let own = Facts { is_own: true, ..plain };
        let approved = Facts { staff_needs_approval: true, ..plain };
        let (remind, demand, reset) = (JobKind::RemindToEnrol, JobKind::DemandReEnrolment, JobKind::ResetTwoFactor);
        let require = JobKind::RequireEnrolment { from: NOW.plus_seconds(60) };
        let as_is = |_: &mut User| {};
        let inactive = |user: &mut User| user.is_active = false;
        let staff = |user: &mut User| user.is_staff = true;
        let told = |at: i64| move |user: &mut User| user.second_factor.enrol_from = Some(NOW.plus_seconds(at));
        for (kind, user, facts, expected) in vec![
            (remind, user(false, as_is), plain, None),
            (remind, user(false, |user| user.is_email_verified = None), plain, None),
            (remind, user(false, |user| user.is_email_verified = Some(false)), plain, Some(Skip::Unverified)),
            (remind, user(false, inactive), plain, Some(Skip::Deactivated)),
            (remind, user(true, as_is), plain, Some(Skip::HasFactor)),
            (remind, user(false, told(0)), plain, None),
            (remind, user(false, as_is), reminded(86_399), Some(Skip::RemindedLately)),
            (remind, user(false, as_is), reminded(86_400), None),
            (remind, user(false, staff), approved, None),
            (require, user(false, as_is), reminded(1), None),
            (require, user(false, inactive), plain, Some(Skip::Deactivated)),
            (require, user(true, as_is), plain, Some(Skip::HasFactor)),
            (require, user(false, told(60)), plain, Some(Skip::ToldAlready)),
            (require, user(false, told(61)), plain, None),
            (demand, user(true, as_is), plain, None),
            (demand, user(true, inactive), plain, Some(Skip::Deactivated)),
            (demand, user(false, as_is), plain, Some(Skip::NoFactor)),
            (demand, user(true, as_is), own, Some(Skip::Own)),
            (demand, user(true, told(0)), plain, Some(Skip::ToldAlready)),
            (demand, user(true, told(1)), plain, None),
            (demand, user(true, staff), approved, Some(Skip::NeedsApproval)),
            (reset, user(true, as_is), plain, None),
            (reset, user(true, inactive), plain, None),
            (reset, user(false, as_is), plain, Some(Skip::NoFactor)),
            (reset, user(true, as_is), own, Some(Skip::Own)),
            (reset, user(true, staff), plain, None),
            (reset, user(true, staff), approved, Some(Skip::NeedsApproval)),
        ] {
            assert_eq!(skip(kind, &user, facts, NOW), expected, "{kind:?} {facts:?} {:?}", user.second_factor);
        }
    }

    #[test]
    fn a_job_counts_what_became_of_its_users() {
        let failed = Outcome::Failed("no".to_owned());
        let after = job(Some(JobState::Running)).went_on(&[Outcome::Done, Outcome::Skipped(Skip::Own), failed]);
        assert_eq!((after.next, after.done, after.skipped, after.failed), (3, 1, 1, 1));
        let after = after.went_on(&[Outcome::Done]);
        assert_eq!((after.next, after.done, after.skipped, after.failed), (4, 2, 1, 1));
    }

    #[test]
    fn drafts_lapse_and_what_is_over_is_kept_for_a_while() {
        let draft = job(None);
        assert!(!draft.is_lapsed(NOW.plus_seconds(3_599)) && draft.is_lapsed(NOW.plus_seconds(3_600)));
        assert_eq!(draft.kept_until(), Some(NOW.plus_seconds(3_600)));
        let running = job(Some(JobState::Running));
        assert!(!running.is_lapsed(NOW.plus_seconds(3_600)));
        assert_eq!(running.kept_until(), None);
        let over = running.steered(JobAct::Stop, NOW).unwrap();
        assert_eq!(over.kept_until(), Some(NOW.plus_seconds(90 * 86_400)));
    }
}
