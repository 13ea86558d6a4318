//! An operator demands that a user enrols a new device, by a day (console.md §5, flow 6).

use serde::{Deserialize, Serialize};

use super::audit::Note;
use super::reset::{Done, UserChange};
use super::safety::{Proof, SafetyLevel};
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
        let proven = cx.prove_for_factor(&self.proof, SafetyLevel::Person, user)?;
        // A moment that has passed is as good as now.
        let from = self.from.map_or(cx.now, |from| from.max(cx.now));
        if from.seconds_since(cx.now) > AHEAD_SECONDS_MAX {
            return Err(Error::refused("too_far_ahead", "the day may be a year ahead at most"));
        }
        user.second_factor.enrol_from = Some(from);
        let is_now = from == cx.now;
        let has_device = user.second_factor.is_enabled();
        let kind = MailKind::EnrolmentDemanded { from: (!is_now).then_some(from), has_device };
        let batch = cx.mailed(Batch::default(), user, kind)?;
        let note =
            Note::of(Event::TwoFactorEnrolmentDemanded, user).proven(&proven).detail("from", from.to_rfc3339_z());
        let summary = match (is_now, has_device) {
            (true, _) => "a new device is demanded at once: nothing else works until there is one".to_owned(),
            (false, true) => {
                format!("a new device is demanded from {}; until then the old one stays", from.to_rfc3339_z())
            }
            (false, false) => format!("a device is demanded from {}", from.to_rfc3339_z()),
        };
        Ok((cx.audited(batch, note), summary))
    }
}
