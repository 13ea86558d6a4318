//! An operator demands that a user enrols a new device, by a day.

use serde::{Deserialize, Serialize};

use super::audit::Note;
use super::reset::{Done, UserChange};
use super::safety::{Proof, Proven};
use super::views::UserRef;
use super::{Context, Operation, Permission};
use crate::domain::audit::Event;
use crate::domain::mail::MailKind;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::error::{Error, Result};
use crate::store::Batch;

/// How far ahead the day may lie, in seconds: one that nobody remembers is a slip of the hand.
const AHEAD_SECONDS_MAX: i64 = 366 * 86_400;

/// A new device is demanded from a moment on. Until then a device that is there stays in force; from then on its owner
/// gets no further than enrolling a new one (spec §4.8). The user is told by mail.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DemandReEnrolment {
    pub user: UserRef,
    /// Level 3.
    pub proof: Proof,
    /// `None`: from now on.
    pub from: Option<Timestamp>,
}

impl Operation for DemandReEnrolment {
    const NAME: &'static str = "demand_re_enrolment";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.change_user(&self).await
    }
}

impl UserChange for DemandReEnrolment {
    fn user(&self) -> &UserRef {
        &self.user
    }

    async fn apply(&self, cx: &Context<'_>, user: &mut User) -> Result<(Batch, String)> {
        let proven = cx.prove_fully_for_factor(self, &self.proof, user).await?;
        // A moment that has passed is as good as now.
        let from = self.from.map_or(cx.now, |from| from.max(cx.now));
        check_day(from, cx.now)?;
        let batch = cx.enrolment_demanded(user, from, &proven)?;
        let summary = match (from == cx.now, user.second_factor.is_enabled()) {
            (true, _) => "a new device is demanded at once: nothing else works until there is one".to_owned(),
            (false, true) => {
                format!("a new device is demanded from {}; until then the old one stays", from.to_rfc3339_z())
            }
            (false, false) => format!("a device is demanded from {}", from.to_rfc3339_z()),
        };
        Ok((batch, summary))
    }
}

/// Whether a device may be demanded from this moment on.
pub(super) fn check_day(from: Timestamp, now: Timestamp) -> Result<()> {
    if from.seconds_since(now) > AHEAD_SECONDS_MAX {
        return Err(Error::refused("too_far_ahead", "the day may be a year ahead at most"));
    }
    Ok(())
}

impl Context<'_> {
    /// Demands a device of a user from a moment on; the batch tells the user and the trail.
    pub(super) fn enrolment_demanded(&self, user: &mut User, from: Timestamp, proven: &Proven) -> Result<Batch> {
        user.second_factor.enrol_from = Some(from);
        let later = Some(from).filter(|from| *from > self.now);
        let kind = MailKind::EnrolmentDemanded { from: later, has_device: user.second_factor.is_enabled() };
        let batch = self.mailed(Batch::default(), user, kind)?;
        let note = Note::of(Event::TwoFactorEnrolmentDemanded, user).proven(proven).detail("from", from.to_rfc3339_z());
        Ok(self.audited(batch, note))
    }
}
