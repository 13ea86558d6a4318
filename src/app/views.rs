//! What operations answer about users, sessions and keys: the wire objects of spec §2, and the console's rows.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::domain::user::FactorState;

/// Names a user: `@me`, a UUID, a numeric id or an e-mail address. What is allowed where is the operation's matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserRef(pub String);

/// The user object of spec §2.2, fields in its order, eras A to C together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserView {
    pub date_joined: String,
    pub uuid: UserId,
    pub distinct_id: String,
    pub first_name: String,
    pub last_name: String,
    pub email: String,
    pub pending_email: Option<String>,
    pub is_email_verified: Option<bool>,
    pub notification_settings: Map<String, Value>,
    pub anonymize_data: Option<bool>,
    pub toolbar_mode: Option<String>,
    pub has_password: bool,
    pub id: u64,
    pub is_staff: bool,
    pub is_impersonated: bool,
    pub is_impersonated_until: Option<String>,
    pub sensitive_session_expires_at: Option<String>,
    pub team: Value,
    pub organization: Value,
    pub organizations: Vec<Value>,
    pub events_column_config: Value,
    pub is_2fa_enabled: bool,
    pub has_social_auth: bool,
    pub has_sso_enforcement: bool,
    pub has_seen_product_intro_for: Value,
    pub scene_personalisation: Value,
    pub theme_mode: Option<String>,
    pub hedgehog_config: Value,
    pub role_at_organization: Option<String>,
    pub passkeys_enabled_for_2fa: bool,
    pub allow_impersonation: Option<bool>,
    pub is_impersonated_read_only: Option<bool>,
    pub is_impersonated_reason: Option<String>,
    pub allow_sidebar_suggestions: Option<bool>,
    pub shortcut_position: Option<String>,
    pub hide_mcp_hints: bool,
    pub ui_configuration: Value,
    pub fresh_reauth_expires_at: Option<String>,
    pub pending_invites: Vec<Value>,
    pub requires_credential_review: bool,
    pub notification_locks: Vec<Value>,
    pub active_realtime_notification_types: Vec<String>,
    pub is_organization_first_user: Option<bool>,
    pub onboarding_skipped_at: Option<String>,
    pub onboarding_skipped_reason: Option<String>,
    pub onboarding_skipped_organization_id: Option<String>,
    pub onboarding_delegated_to_invite: Option<String>,
    pub onboarding_delegated_to_organization_id: Option<String>,
    pub onboarding_delegation_accepted_at: Option<String>,
}

/// A page of users (spec §1.10).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserPage {
    pub count: u64,
    pub results: Vec<UserView>,
}

/// The personal API key object of spec §2.10.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiKeyView {
    pub id: String,
    pub label: String,
    /// Only in the answer that creates it.
    pub value: Option<String>,
    pub mask_value: Option<String>,
    pub created_at: String,
    pub last_used_at: Option<String>,
    pub last_rolled_at: Option<String>,
    pub user_id: u64,
    pub scopes: Vec<String>,
    pub scoped_teams: Vec<i64>,
    pub scoped_organizations: Vec<String>,
    pub description: Option<String>,
    pub is_legacy_hashing: bool,
    pub local_dev_value: Option<String>,
}

/// The answer of `two_factor_status` (spec §3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwoFactorStatusView {
    pub is_enabled: bool,
    pub backup_codes: Vec<String>,
    pub backup_codes_remaining: usize,
    pub method: Option<String>,
    pub has_passkeys: bool,
    pub has_totp: bool,
    pub passkeys_enabled_for_2fa: bool,
}

/// `{"success": true}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Success {
    pub success: bool,
}

impl Success {
    pub const YES: Self = Self { success: true };
}

/// A user as a row of the console's list and of `user list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    pub uuid: UserId,
    pub id: u64,
    pub email: String,
    pub name: String,
    pub is_staff: bool,
    pub is_active: bool,
    pub state: FactorState,
    /// Unused backup codes.
    pub backup_codes: usize,
    /// Tries of codes are refused until then (back-off).
    pub waiting_until: Option<Timestamp>,
    pub email_change_pending: bool,
    pub is_email_verified: Option<bool>,
    pub date_joined: Timestamp,
    pub last_login: Option<Timestamp>,
}

/// Everything an operator sees of one user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserDetail {
    pub row: UserRow,
    pub factor: FactorView,
    pub pending_email: Option<String>,
    pub pending_email_at: Option<Timestamp>,
    pub email_changed_at: Option<Timestamp>,
    pub password_changed_at: Option<Timestamp>,
    pub has_password: bool,
    pub sessions: Vec<SessionRow>,
    pub api_keys: Vec<ApiKeyView>,
    pub remembered_devices: usize,
    /// Mails to this user that wait in the outbox.
    pub mails_waiting: usize,
    /// E-mail addresses of other users with the same first and last name.
    pub namesakes: Vec<String>,
    /// The newest entries about this user, newest first.
    pub audit: Vec<AuditRow>,
    /// Facts that should make an operator careful, in words (console.md §4).
    pub warnings: Vec<String>,
}

/// The second factor as an operator sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FactorView {
    pub state: FactorState,
    pub method: Option<String>,
    pub enrolled_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub backup_codes_remaining: usize,
    pub backup_codes_issued: u32,
    pub backup_codes_made_at: Option<Timestamp>,
    pub backup_code_used_at: Option<Timestamp>,
    /// Wrong codes in a row, TOTP and backup codes.
    pub totp_failures: u32,
    pub backup_code_failures: u32,
    pub last_failure_at: Option<Timestamp>,
    pub waiting_until: Option<Timestamp>,
    /// Failed logins for the account have locked it until then.
    pub login_locked_until: Option<Timestamp>,
    pub must_enrol: bool,
    pub last_reset_at: Option<Timestamp>,
}

/// A login session as an operator sees it; `id` is the public one (spec §2.11).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionRow {
    pub id: String,
    pub created_at: Timestamp,
    pub last_activity: Timestamp,
    pub expires_at: Timestamp,
    pub address: Option<String>,
    /// Such as `Firefox 135 on Linux`.
    pub device: String,
    pub login_method: String,
    /// Whether the second factor was proved in it.
    pub verified: bool,
}

/// An audit entry with its number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditRow {
    pub number: u64,
    #[serde(flatten)]
    pub record: crate::domain::audit::AuditRecord,
    /// Hash of the entry before, and of this one, in hex.
    pub previous_hash: String,
    pub hash: String,
}
