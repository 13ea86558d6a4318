//! The mails there are (spec §4.10), as values: what is said, not how it looks. Rendering and delivery are `mail`'s.

use serde::{Deserialize, Serialize};

use super::email::EmailAddress;
use super::secret::Secret;
use super::time::Timestamp;

/// A mail to be sent. Carries single-use links and e-mail codes at most, never another secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mail {
    pub to: EmailAddress,
    /// How the person is addressed; may be empty.
    pub name: String,
    pub kind: MailKind,
    pub at: Timestamp,
}

/// What is remembered of a mail to a user, for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailNote {
    /// The template's name.
    pub kind: String,
    pub to: String,
    /// When it was queued.
    pub at: Timestamp,
    pub state: MailState,
    /// What the mail server said last, when it did not take it.
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailState {
    /// It will be tried, or tried again.
    Queued,
    /// The mail server has it.
    HandedOver,
    /// Given up.
    Failed,
}

/// What a mail is about. The variant's name in snake case is its template's name under `assets/mail`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MailKind {
    /// `Verify your email address`: a link, a six-digit code, or both.
    VerifyEmail {
        link: Option<Secret>,
        code: Option<Secret>,
    },
    /// `Reset your Doorward password`.
    ResetPassword {
        link: Secret,
    },
    /// `Your Doorward login code`: six digits.
    LoginCode {
        code: Secret,
    },
    /// An administrator lets the user reset the second factor.
    TwoFactorResetLink {
        link: Secret,
    },
    /// To the old address after a change.
    EmailChangedOld,
    /// To the new address after a change.
    EmailChangedNew,
    PasswordChanged,
    TwoFactorEnabled,
    /// Disabled by the user.
    TwoFactorDisabled,
    /// Reset by an operator or staff: who can be asked about it, not why.
    TwoFactorReset {
        sessions_ended: bool,
        keys_revoked: bool,
    },
    /// An operator demands a new device, from a moment to come or from now on.
    EnrolmentDemanded {
        from: Option<Timestamp>,
        /// It takes the place of another.
        has_device: bool,
    },
    /// The user has no second factor, and is asked to set one up; it may be demanded from a moment on.
    EnrolmentReminder {
        from: Option<Timestamp>,
    },
    BackupCodeUsed {
        remaining: u32,
    },
    /// The user made new ones.
    BackupCodesRegenerated {
        /// There was a set before.
        replaced: bool,
    },
    BackupCodesRevoked,
    /// Keys outlive a change of the password, so their owner hears of them.
    ApiKeyCreated {
        label: String,
    },
    ApiKeyRolled {
        label: String,
    },
    /// Staff or an operator gave the staff flag, or took it.
    StaffChanged {
        is_staff: bool,
    },
    NewDevice {
        device: String,
        address: String,
    },
    /// An operator cancelled the change; to both addresses.
    EmailChangeCancelled,
    AccountDeleted,
    /// To somebody who may have no account: a member invites into an organization. Answers go to that member.
    Invited {
        inviter: String,
        inviter_email: EmailAddress,
        organization: String,
        link: Secret,
        /// What the inviter wrote.
        message: Option<String>,
    },
    /// To the other members of an organization.
    MemberJoined {
        member: String,
        member_email: EmailAddress,
        organization: String,
    },
}

impl MailKind {
    /// The template's name.
    #[must_use]
    pub const fn template(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } => "verify_email",
            Self::ResetPassword { .. } => "reset_password",
            Self::LoginCode { .. } => "login_code",
            Self::TwoFactorResetLink { .. } => "two_factor_reset_link",
            Self::EmailChangedOld => "email_changed_old",
            Self::EmailChangedNew => "email_changed_new",
            Self::PasswordChanged => "password_changed",
            Self::TwoFactorEnabled => "two_factor_enabled",
            Self::TwoFactorDisabled => "two_factor_disabled",
            Self::TwoFactorReset { .. } => "two_factor_reset",
            Self::EnrolmentDemanded { .. } => "enrolment_demanded",
            Self::EnrolmentReminder { .. } => "enrolment_reminder",
            Self::BackupCodeUsed { .. } => "backup_code_used",
            Self::BackupCodesRegenerated { .. } => "backup_codes_regenerated",
            Self::BackupCodesRevoked => "backup_codes_revoked",
            Self::ApiKeyCreated { .. } => "api_key_created",
            Self::ApiKeyRolled { .. } => "api_key_rolled",
            Self::StaffChanged { .. } => "staff_changed",
            Self::NewDevice { .. } => "new_device",
            Self::EmailChangeCancelled => "email_change_cancelled",
            Self::AccountDeleted => "account_deleted",
            Self::Invited { .. } => "invited",
            Self::MemberJoined { .. } => "member_joined",
        }
    }

    /// Where answers go, if somebody reads them.
    #[must_use]
    pub const fn reply_to(&self) -> Option<&EmailAddress> {
        match self {
            Self::Invited { inviter_email, .. } => Some(inviter_email),
            _ => None,
        }
    }
}
