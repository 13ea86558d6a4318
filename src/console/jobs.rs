//! What jobs, and the acts that wait for a second operator, are called.

use super::text::{date, shown, thousands};
use super::theme::Tone;
use crate::app::approvals::ApprovalRow;
use crate::app::jobs::{JobOutcome, JobRow};
use crate::domain::approval::Act;
use crate::domain::job::{JobKind, JobState};

/// Why an operator does not approve what waits.
pub const OWN_APPROVAL: &str = "asked for by you: another decides";

/// Who asked, where there is no room for the number of the system's user.
#[must_use]
pub fn asker(row: &ApprovalRow) -> &str {
    row.asked_by.rsplit_once(" (uid ").map_or(row.asked_by.as_str(), |(name, _)| name)
}

/// What waits, in words.
#[must_use]
pub const fn operation(act: Act) -> &'static str {
    match act {
        Act::ResetTwoFactor => "reset 2FA",
        Act::RevokeBackupCodes => "revoke codes",
        Act::DemandReEnrolment => "demand re-enrolment",
        Act::RevokeSessions => "sign out",
        Act::RevokeAllApiKeys => "revoke API keys",
        Act::SendTwoFactorResetLink => "send reset link",
        Act::SetUserActive => "(de)activate",
    }
}

/// What a job does.
#[must_use]
pub fn title(row: &JobRow) -> String {
    match &row.kind {
        JobKind::RemindToEnrol => "remind to enrol".to_owned(),
        JobKind::RequireEnrolment { from } => format!("require by {}", date(*from)),
        JobKind::DemandReEnrolment => "demand re-enrolment".to_owned(),
        JobKind::ResetTwoFactor => "reset 2FA".to_owned(),
    }
}

/// The sign and the word for how far a job is.
#[must_use]
pub const fn state(state: JobState) -> (Tone, &'static str) {
    match state {
        JobState::Running => (Tone::Waiting, "running"),
        JobState::Paused => (Tone::Care, "paused"),
        JobState::Stopped => (Tone::Off, "stopped"),
        JobState::Done => (Tone::Good, "done"),
    }
}

/// The figures of a job.
#[must_use]
pub fn summary(row: &JobRow) -> String {
    let note = row.rate_note.as_deref().map_or(String::new(), |note| format!("; {}", shown(note)));
    format!(
        "{} done, {} skipped, {} failed of {}{note}",
        thousands(row.done),
        thousands(row.skipped),
        thousands(row.failed),
        thousands(row.users)
    )
}

/// The sign and the word for what became of one user.
#[must_use]
pub const fn outcome(outcome: JobOutcome) -> (Tone, &'static str) {
    match outcome {
        JobOutcome::Done => (Tone::Good, "done"),
        JobOutcome::Skipped => (Tone::Off, "skipped"),
        JobOutcome::Failed => (Tone::Bad, "failed"),
        JobOutcome::Waiting => (Tone::Waiting, "waiting"),
    }
}
