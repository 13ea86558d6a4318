//! The user's own second factor: enrolment, status, backup codes, disabling (spec §3.2, §4.5).

use serde::{Deserialize, Serialize};

use super::{Context, Operation, Permission};
use crate::error::Result;
use super::permission::KeyRule;
use super::views::{Success, TwoFactorStatusView, UserRef};
use crate::domain::fields::Fields;
use crate::domain::secret::Secret;

/// The answer of `two_factor_start_setup`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TotpSetup {
    pub success: bool,
    /// 32 base-32 characters.
    pub secret: Secret,
}

/// A fresh set of backup codes, shown once here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupCodes {
    pub backup_codes: Vec<Secret>,
}

/// `two_factor_start_setup`, `start_2fa_setup`: makes a new secret, kept for 600 s.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StartTotpSetup {
    pub user: UserRef,
}

impl Operation for StartTotpSetup {
    const NAME: &'static str = "start_totp_setup";
    const NEEDS: Permission = Permission::USER.key(KeyRule::TwoFactorScope("user:write")).passes_gate();
    type Reply = TotpSetup;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// `two_factor_validate`, `validate_2fa`: proves the secret and switches the factor on. Field: `token`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ValidateTotp {
    pub user: UserRef,
    pub fields: Fields,
}

impl Operation for ValidateTotp {
    const NAME: &'static str = "validate_totp";
    const NEEDS: Permission = Permission::USER.key(KeyRule::TwoFactorScope("user:write")).sensitive().passes_gate();
    type Reply = Success;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// `two_factor_status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RetrieveTwoFactorStatus {
    pub user: UserRef,
}

impl Operation for RetrieveTwoFactorStatus {
    const NAME: &'static str = "retrieve_two_factor_status";
    const NEEDS: Permission = Permission::USER.key(KeyRule::TwoFactorScope("user:read")).passes_gate();
    type Reply = TwoFactorStatusView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// `two_factor_backup_codes`: replaces the set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegenerateBackupCodes {
    pub user: UserRef,
}

impl Operation for RegenerateBackupCodes {
    const NAME: &'static str = "regenerate_backup_codes";
    const NEEDS: Permission = Permission::USER.sensitive().passes_gate();
    type Reply = BackupCodes;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// `two_factor_disable`: the owner proves who it is; staff on another user is a reset. Fields: optional `token`, `current_password`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DisableTwoFactor {
    pub user: UserRef,
    pub fields: Fields,
}

impl Operation for DisableTwoFactor {
    const NAME: &'static str = "disable_two_factor";
    const NEEDS: Permission = Permission::USER.key(KeyRule::TwoFactorScope("user:write")).sensitive().passes_gate();
    type Reply = Success;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}
