//! What an operator does to another person's second factor: reset, unlock, revoke codes, explain, enrol in person.

use serde::{Deserialize, Serialize};

use super::{Context, Operation, Permission};
use crate::error::Result;
use super::views::UserRef;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// What a reset removes (or, with `dry_run`, would remove), and what follows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TwoFactorReset {
    pub dry_run: bool,
    pub email: String,
    pub totp_enrolled_at: Option<Timestamp>,
    pub totp_removed: bool,
    pub backup_codes_deleted: usize,
    pub sessions_ended: usize,
    pub remembered_devices_forgotten: usize,
    pub api_keys_revoked: usize,
    /// Addresses that get the notice.
    pub notice_to: Vec<String>,
    /// A new device is demanded at the next sign-in.
    pub enrolment_demanded: bool,
    /// The audit entry; `None` for a dry run.
    pub audit_number: Option<u64>,
}

/// The plain outcome of an operator's action.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    pub email: String,
    /// One sentence: what now holds.
    pub summary: String,
    pub audit_number: u64,
}

/// Why a code is or is not accepted; the code is not used up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CodeExplanation {
    pub accepted: bool,
    /// Stable word: `accepted`, `no_device`, `disabled`, `waiting`, `already_used`, `clock_off`, `wrong`,
    /// `backup_code`, `backup_code_unknown`, `malformed`.
    pub verdict: String,
    /// A sentence for the operator.
    pub explanation: String,
    /// Steps between the code and the server's clock (negative: the phone is behind).
    pub drift_steps: Option<i64>,
    pub server_time: Timestamp,
}

/// An enrolment in person that awaits the first code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrolmentStarted {
    pub email: String,
    /// Base-32.
    pub secret: Secret,
    /// `otpauth://totp/...`.
    pub uri: Secret,
    pub expires_at: Timestamp,
}

/// The one reset: wipes the factor, ends sessions and remembered devices (and keys on request), queues the notice, demands a new enrolment and writes the audit entry, in one batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResetTwoFactor {
    pub user: UserRef,
    /// At least eight letters.
    pub reason: String,
    /// How the caller was checked.
    pub verified_by: Option<String>,
    pub keep_sessions: bool,
    pub revoke_keys: bool,
    pub dry_run: bool,
}

impl Operation for ResetTwoFactor {
    const NAME: &'static str = "reset_two_factor";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = TwoFactorReset;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// Ends back-off and login lock-outs of an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnlockTwoFactor {
    pub user: UserRef,
    pub reason: String,
}

impl Operation for UnlockTwoFactor {
    const NAME: &'static str = "unlock_two_factor";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// Deletes the unused backup codes; the device stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeBackupCodes {
    pub user: UserRef,
    pub reason: String,
    pub verified_by: Option<String>,
}

impl Operation for RevokeBackupCodes {
    const NAME: &'static str = "revoke_backup_codes";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// Says why a code is or is not accepted, without using it up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainCode {
    pub user: UserRef,
    pub code: Secret,
}

impl Operation for ExplainCode {
    const NAME: &'static str = "explain_code";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = CodeExplanation;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// Begins an enrolment in person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StartEnrolment {
    pub user: UserRef,
}

impl Operation for StartEnrolment {
    const NAME: &'static str = "start_enrolment";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = EnrolmentStarted;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// Finishes an enrolment in person with the code that the phone shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfirmEnrolment {
    pub user: UserRef,
    pub code: Secret,
    pub reason: String,
}

impl Operation for ConfirmEnrolment {
    const NAME: &'static str = "confirm_enrolment";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}
