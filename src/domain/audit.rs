//! What an audit entry says (spec §4.11). Append-only; the chain is the store's ([`crate::store::Batch::append`]).

use serde::{Deserialize, Serialize};

use super::id::UserId;
use super::time::Timestamp;

macro_rules! events {
    ($($variant:ident = $name:literal,)+) => {
        /// An event of the audit trail, by the names of spec §4.11 (and ours, where an operator acts).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Event { $(#[serde(rename = $name)] $variant,)+ }

        impl Event {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

events! {
    UserCreated = "user.created",
    UserSignedUp = "user.signed_up",
    UserImported = "user.imported",
    UserExported = "user.exported",
    UserLoggedIn = "user.logged_in",
    UserLoginFailed = "user.login_failed",
    UserLoggedOut = "user.logged_out",
    UserVerificationRequested = "user.verification_requested",
    UserEmailVerified = "user.email_verified",
    UserEmailChangeRequested = "user.email_change_requested",
    UserEmailChangeCancelled = "user.email_change_cancelled",
    UserEmailChanged = "user.email_changed",
    UserUpdated = "user.updated",
    UserDeactivated = "user.deactivated",
    UserReactivated = "user.reactivated",
    UserDeleted = "user.deleted",
    UserPasswordChanged = "user.password_changed",
    UserPasswordResetRequested = "user.password_reset_requested",
    UserPasswordReset = "user.password_reset",
    TwoFactorSetupStarted = "two_factor.setup_started",
    TwoFactorEnabled = "two_factor.enabled",
    TwoFactorReplaced = "two_factor.replaced",
    TwoFactorDisabled = "two_factor.disabled",
    TwoFactorReset = "two_factor.reset",
    TwoFactorResetLinkSent = "two_factor.reset_link_sent",
    TwoFactorEnrolmentDemanded = "two_factor.enrolment_demanded",
    TwoFactorEnrolmentReminded = "two_factor.enrolment_reminded",
    TwoFactorUnlocked = "two_factor.unlocked",
    TwoFactorLocked = "two_factor.locked",
    TwoFactorValidateFailed = "two_factor.validate_failed",
    TwoFactorLoginFailed = "two_factor.login_failed",
    TwoFactorBackupCodesRegenerated = "two_factor.backup_codes_regenerated",
    TwoFactorBackupCodesRevoked = "two_factor.backup_codes_revoked",
    TwoFactorBackupCodeUsed = "two_factor.backup_code_used",
    TwoFactorCodesViewed = "two_factor.codes_viewed",
    TwoFactorCodeExplained = "two_factor.code_explained",
    SessionRevoked = "session.revoked",
    SessionRevokedOthers = "session.revoked_others",
    RememberedDeviceRevoked = "remembered_device.revoked",
    ApiKeyCreated = "api_key.created",
    ApiKeyUpdated = "api_key.updated",
    ApiKeyRolled = "api_key.rolled",
    ApiKeyDeleted = "api_key.deleted",
    OrganizationCreated = "organization.created",
    OrganizationUpdated = "organization.updated",
    OrganizationEnforce2faChanged = "organization.enforce_2fa_changed",
    OrganizationDeleted = "organization.deleted",
    ProjectCreated = "project.created",
    MemberJoined = "member.joined",
    MemberLevelChanged = "member.level_changed",
    MemberRemoved = "member.removed",
    InviteCreated = "invite.created",
    InviteDeleted = "invite.deleted",
    ApprovalAsked = "approval.asked",
    ApprovalRefused = "approval.refused",
    StoreRepaired = "store.repaired",
    StoreBackedUp = "store.backed_up",
    StoreExported = "store.exported",
    StoreRekeyed = "store.rekeyed",
    AuditShortened = "audit.shortened",
    JobStarted = "job.started",
    JobPaused = "job.paused",
    JobResumed = "job.resumed",
    JobStopped = "job.stopped",
    JobFinished = "job.finished",
}

/// The detail that names the job within which something was done to a user.
pub const JOB: &str = "job";

/// One entry: who did what to whom, from where, with what outcome. Holds no secret and no value of a changed field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    pub at: Timestamp,
    pub event: Event,
    pub actor: AuditActor,
    /// The user it happened to.
    pub target: Option<AuditTarget>,
    pub address: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: String,
    /// `done`, `failed` or `refused`.
    pub outcome: Outcome,
    pub reason: Option<String>,
    /// How an operator checked the caller.
    pub verified_by: Option<String>,
    /// Facts by name, such as the names of changed fields or what a reset removed.
    pub details: Vec<(String, String)>,
}

impl AuditRecord {
    /// An operator did this act as such; what a job of an operator does, one user after the other, is no such act.
    #[must_use]
    pub fn is_by_hand(&self) -> bool {
        matches!(self.actor, AuditActor::Operator { .. })
            && (self.target.is_none() || self.details.iter().all(|(name, _)| name != JOB))
    }

    /// The number of the job within which it was done, or which it is about.
    #[must_use]
    pub fn job(&self) -> Option<u64> {
        self.details.iter().find(|(name, _)| name == JOB)?.1.parse().ok()
    }

    /// The address of whom it is about: a user, or somebody who has no account (an invite, a login to no account).
    #[must_use]
    pub fn whom(&self) -> Option<&str> {
        let named = || self.details.iter().find(|(name, _)| name == "email").map(|(_, value)| value.as_str());
        self.target.as_ref().map(|target| target.email.as_str()).or_else(named)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    Failed,
    Refused,
}

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AuditActor {
    Anonymous,
    System,
    /// A user, through a session or an API key (the id of either).
    User {
        id: UserId,
        email: String,
        session: Option<String>,
        api_key: Option<String>,
    },
    /// An operator at the console or command line: the uid is what the system says, the name what was claimed.
    Operator {
        uid: u32,
        name: String,
    },
}

impl AuditActor {
    /// Whether somebody looks for this actor: by a part of a name or address, in any case, or as `system`.
    #[must_use]
    pub fn is_called(&self, wanted: &str) -> bool {
        let wanted = wanted.trim().to_lowercase();
        match self {
            Self::Anonymous => wanted == "anonymous",
            Self::System => wanted == "system",
            Self::User { email, .. } => email.to_lowercase().contains(&wanted),
            Self::Operator { name, .. } => name.to_lowercase().contains(&wanted),
        }
    }
}

/// The user an entry is about, as known at that moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditTarget {
    pub id: UserId,
    pub email: String,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn events_have_one_name_each_in_every_form() {
        let names: HashSet<&str> = Event::ALL.iter().map(|event| event.as_str()).collect();
        assert_eq!(names.len(), Event::ALL.len());
        for event in Event::ALL {
            assert_eq!(serde_json::to_value(event).unwrap(), event.as_str());
        }
    }
}
