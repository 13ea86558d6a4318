//! Something that one operator asked for and another must approve.

use serde::{Deserialize, Serialize};

use super::id::UserId;
use super::job::AskedBy;
use super::time::Timestamp;

/// How long it waits, in seconds.
pub const APPROVAL_SECONDS: i64 = 15 * 60;

/// What can wait for a second operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    ResetTwoFactor,
    RevokeBackupCodes,
    DemandReEnrolment,
    RevokeSessions,
    RevokeAllApiKeys,
    SendTwoFactorResetLink,
    SetUserActive,
}

impl Act {
    pub const ALL: [Self; 7] = [
        Self::ResetTwoFactor,
        Self::RevokeBackupCodes,
        Self::DemandReEnrolment,
        Self::RevokeSessions,
        Self::RevokeAllApiKeys,
        Self::SendTwoFactorResetLink,
        Self::SetUserActive,
    ];

    /// The operation's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResetTwoFactor => "reset_two_factor",
            Self::RevokeBackupCodes => "revoke_backup_codes",
            Self::DemandReEnrolment => "demand_re_enrolment",
            Self::RevokeSessions => "revoke_sessions",
            Self::RevokeAllApiKeys => "revoke_all_api_keys",
            Self::SendTwoFactorResetLink => "send_two_factor_reset_link",
            Self::SetUserActive => "set_user_active",
        }
    }

    /// Whether it changes at once what somebody signs in with.
    #[must_use]
    pub const fn changes_credential(self) -> bool {
        match self {
            Self::ResetTwoFactor
            | Self::RevokeBackupCodes
            | Self::DemandReEnrolment
            | Self::RevokeSessions
            | Self::RevokeAllApiKeys => true,
            Self::SendTwoFactorResetLink | Self::SetUserActive => false,
        }
    }
}

/// An act that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Short, to be read out.
    pub id: String,
    pub act: Act,
    /// The operation itself, as JSON.
    pub request: String,
    /// To whom it would be done.
    pub user: UserId,
    pub email: String,
    pub asked_by: AskedBy,
    pub reason: String,
    pub asked_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Approval {
    /// Whether this is another operator than who asked: one of another name, whatever the users of the system. One person
    /// is root and the server's user both, so these tell nothing; and a name is a claim, which is evidence in the trail.
    #[must_use]
    pub fn is_for_another(&self, approver: &AskedBy) -> bool {
        let [asker, approver] = [&self.asked_by, approver].map(|by| by.name.trim().to_lowercase());
        !asker.is_empty() && !approver.is_empty() && asker != approver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_are_written_as_they_are_named() {
        for act in Act::ALL {
            assert_eq!(serde_json::to_value(act).unwrap(), act.as_str());
        }
    }

    #[test]
    fn another_operator_has_another_name() {
        let by = |uid, name: &str| AskedBy { uid, name: name.to_owned() };
        for (asker, approver, expected) in [
            ((1, "jdoe"), (1, "jdoe"), false),
            ((1, "jdoe"), (1, "JDoe"), false),
            ((1, "jdoe"), (1, "mrossi"), true),
            ((1, "jdoe"), (2, "mrossi"), true),
            ((1, "jdoe"), (2, "jdoe"), false),
            ((1, "jdoe"), (0, " JDoe "), false),
            ((1, "jdoe"), (1, ""), false),
            ((1, ""), (2, "mrossi"), false),
            ((1, ""), (2, ""), false),
        ] {
            let approval = Approval {
                id: String::new(),
                act: Act::ResetTwoFactor,
                request: String::new(),
                user: UserId(uuid::Uuid::nil()),
                email: String::new(),
                asked_by: by(asker.0, asker.1),
                reason: String::new(),
                asked_at: Timestamp::default(),
                expires_at: Timestamp::default(),
            };
            assert_eq!(approval.is_for_another(&by(approver.0, approver.1)), expected, "{asker:?} {approver:?}");
        }
    }
}
