//! What operations answer about users, sessions and keys: the wire objects of spec §2, and the console's rows.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::organization_views::{OrganizationBasicView, OrganizationView, PlacesView, Seen, TeamView};
use super::pending_invites::PendingInviteView;
use super::{Context, Identity};
use crate::domain::id::{SessionId, UserId};
use crate::domain::notification;
use crate::domain::secret::Secret;
use crate::domain::session::{FRESH_REAUTH_SECONDS, REAUTH_SECONDS};
use crate::domain::time::Timestamp;
use crate::domain::user::FactorState;
use crate::domain::user::User;
use crate::error::Result;

/// Names a user: `@me`, a UUID, a numeric id or an e-mail address. What is allowed where is the operation's matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserRef(pub String);

/// The user object of spec §2.2, fields in its order, eras A to C together.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = User, description = "An account, as it and staff see it.")]
pub struct UserView {
    #[schema(format = DateTime)]
    pub date_joined: String,
    #[schema(value_type = String, format = "uuid")]
    pub uuid: UserId,
    /// Names the user to analytics.
    pub distinct_id: String,
    pub first_name: String,
    pub last_name: String,
    #[schema(format = Email)]
    pub email: String,
    /// An address that waits for its confirmation.
    #[schema(format = Email)]
    pub pending_email: Option<String>,
    /// Null for accounts from before addresses were verified.
    pub is_email_verified: Option<bool>,
    /// The defaults, overlaid with what is stored.
    pub notification_settings: Map<String, Value>,
    pub anonymize_data: Option<bool>,
    pub toolbar_mode: Option<String>,
    /// Whether the user can log in with a password.
    pub has_password: bool,
    pub id: u64,
    pub is_staff: bool,
    pub is_impersonated: bool,
    #[schema(format = DateTime)]
    pub is_impersonated_until: Option<String>,
    /// Until then this session may do what wants a recent login; null without a session.
    #[schema(format = DateTime)]
    pub sensitive_session_expires_at: Option<String>,
    pub team: Option<TeamView>,
    pub organization: Option<OrganizationView>,
    pub organizations: Vec<OrganizationBasicView>,
    pub events_column_config: Value,
    /// Whether logging in takes a second factor.
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
    /// Until then it may do what wants one just now; null without a session.
    #[schema(format = DateTime)]
    pub fresh_reauth_expires_at: Option<String>,
    /// Only for oneself; at most 25.
    pub pending_invites: Vec<PendingInviteView>,
    pub requires_credential_review: bool,
    pub notification_locks: Vec<Value>,
    pub active_realtime_notification_types: Vec<String>,
    pub is_organization_first_user: Option<bool>,
    #[schema(format = DateTime)]
    pub onboarding_skipped_at: Option<String>,
    pub onboarding_skipped_reason: Option<String>,
    pub onboarding_skipped_organization_id: Option<String>,
    pub onboarding_delegated_to_invite: Option<String>,
    pub onboarding_delegated_to_organization_id: Option<String>,
    #[schema(format = DateTime)]
    pub onboarding_delegation_accepted_at: Option<String>,
}

/// A user as others see one: user basic of spec §2.2.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = UserBasic, description = "An account, as others see it.")]
pub struct UserBasicView {
    pub id: u64,
    #[schema(value_type = String, format = "uuid")]
    pub uuid: UserId,
    pub distinct_id: String,
    pub first_name: String,
    pub last_name: String,
    #[schema(format = Email)]
    pub email: String,
    pub is_email_verified: Option<bool>,
    pub hedgehog_config: Value,
    pub role_at_organization: Option<String>,
}

impl From<&User> for UserBasicView {
    fn from(user: &User) -> Self {
        Self {
            id: user.number,
            uuid: user.id,
            distinct_id: user.distinct_id.clone(),
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
            email: user.email.as_str().to_owned(),
            is_email_verified: user.is_email_verified,
            hedgehog_config: basic_hedgehog(&user.preferences.hedgehog_config),
            role_at_organization: user.preferences.role_at_organization.clone(),
        }
    }
}

/// A page of users (spec §1.10).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserPage {
    pub count: u64,
    pub results: Vec<UserView>,
}

/// The personal API key object of spec §2.10.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PersonalAPIKey, description = "A personal API key.")]
pub struct ApiKeyView {
    pub id: String,
    pub label: String,
    /// Only in the answer that creates it, else null.
    #[schema(value_type = Option<String>)]
    pub value: Option<Secret>,
    /// The first and last characters of it.
    pub mask_value: Option<String>,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
    pub user_id: u64,
    pub scopes: Vec<String>,
    pub scoped_teams: Vec<i64>,
    pub scoped_organizations: Vec<String>,
    #[schema(format = DateTime)]
    pub last_rolled_at: Option<String>,
    pub description: Option<String>,
    pub is_legacy_hashing: bool,
    pub local_dev_value: Option<String>,
}

/// The answer of `two_factor_status` (spec §3.2).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TwoFactorStatus, description = "Whether and how an account is protected.")]
pub struct TwoFactorStatusView {
    pub is_enabled: bool,
    /// The unused ones; only for the owner, in a session that proved the second factor.
    #[schema(value_type = Vec<String>)]
    pub backup_codes: Vec<Secret>,
    pub backup_codes_remaining: usize,
    /// `TOTP`, or null.
    pub method: Option<String>,
    pub has_passkeys: bool,
    pub has_totp: bool,
    pub passkeys_enabled_for_2fa: bool,
}

/// `{"success": true}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// `None`: not looked up.
    pub has_keys: Option<bool>,
    /// Another user has the same full name.
    pub is_namesake: bool,
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
    pub organizations: Vec<OrganizationBasicView>,
    pub sessions: Vec<SessionRow>,
    pub api_keys: Vec<ApiKeyView>,
    pub remembered_devices: usize,
    /// Mails to this user that wait in the outbox.
    pub mails_waiting: usize,
    /// The last three, newest first, of those of the last 30 days.
    pub mails: Vec<MailRow>,
    /// How often operators unlocked the user in the last day.
    pub unlocked_today: u32,
    /// E-mail addresses of other users with the same first and last name.
    pub namesakes: Vec<String>,
    /// The newest entries about this user, newest first.
    pub audit: Vec<AuditRow>,
    /// Facts that should make an operator careful, in words.
    pub warnings: Vec<String>,
}

/// A mail to a user.
pub type MailRow = crate::domain::mail::MailNote;

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
    /// When the wrong codes in a row began, and the address that the last came from, as far as the newest entries of the
    /// trail say.
    pub failures_since: Option<Timestamp>,
    pub locked_from: Option<String>,
    /// Steps of 30 s between the last accepted code and the server's clock then (negative: the phone is behind).
    pub last_drift_steps: Option<i8>,
    pub waiting_until: Option<Timestamp>,
    /// Failed logins for the account have locked it until then.
    pub login_locked_until: Option<Timestamp>,
    /// From when on a new device is demanded.
    pub enrol_from: Option<Timestamp>,
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

/// A login session as its user sees it (spec §2.11).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = LoginSession, description = "A login session, as its user sees it.")]
pub struct LoginSessionView {
    #[schema(value_type = String, format = "uuid")]
    pub id: SessionId,
    /// The sign-in.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// To five minutes.
    #[schema(format = DateTime)]
    pub last_activity: String,
    /// Never known: nothing here knows where an address is.
    pub location: Option<String>,
    /// Such as `Firefox 135 on Linux`.
    pub device: Option<String>,
    pub login_method: String,
    pub is_current: bool,
}

/// A device that may skip the second step of a login, as its user sees it (W-40).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = RememberedDevice, description = "A device that may skip the second step of a login.")]
pub struct RememberedDeviceView {
    #[schema(value_type = String, format = "uuid")]
    pub id: Uuid,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// Such as `Firefox 135 on Linux`.
    pub device: Option<String>,
    /// The call came from it.
    pub is_current: bool,
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

impl Context<'_> {
    /// The wire object of a user (spec §2.2).
    pub(super) async fn user_view(&self, user: &User) -> Result<UserView> {
        self.user_view_after(user, &mut Seen::default()).await
    }

    /// The wire objects of several users.
    pub(super) async fn user_views(&self, users: &[User]) -> Result<Vec<UserView>> {
        let mut seen = Seen::default();
        let mut views = Vec::with_capacity(users.len());
        for user in users {
            views.push(self.user_view_after(user, &mut seen).await?);
        }
        Ok(views)
    }

    async fn user_view_after(&self, user: &User, seen: &mut Seen) -> Result<UserView> {
        let places = self.places_view(user, seen).await?;
        let is_self = self.caller().is_some_and(|caller| caller.id == user.id);
        // The id of an invite lets in whoever knows it, so nobody else is told.
        let pending_invites = if is_self { self.pending_invites(user).await? } else { Vec::new() };
        let is_first_user = places.is_first_user.filter(|_| is_self);
        Ok(self.user_view_of(user, PlacesView { is_first_user, ..places }, pending_invites))
    }

    /// What belongs to features that are not there is constant.
    fn user_view_of(&self, user: &User, places: PlacesView, pending_invites: Vec<PendingInviteView>) -> UserView {
        let preferences = &user.preferences;
        let window = |seconds| match &self.actor.identity {
            Identity::Session { session, .. } => {
                Some(session.session.authenticated_at.plus_seconds(seconds).to_rfc3339_offset())
            }
            _ => None,
        };
        UserView {
            date_joined: user.date_joined.to_rfc3339_z(),
            uuid: user.id,
            distinct_id: user.distinct_id.clone(),
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
            email: user.email.as_str().to_owned(),
            pending_email: user.pending_email.as_ref().map(|email| email.as_str().to_owned()),
            is_email_verified: user.is_email_verified,
            notification_settings: notification::effective(&preferences.notification_settings),
            anonymize_data: preferences.anonymize_data,
            toolbar_mode: preferences.toolbar_mode.clone(),
            has_password: user.password_hash.is_some(),
            id: user.number,
            is_staff: user.is_staff,
            is_impersonated: false,
            is_impersonated_until: None,
            sensitive_session_expires_at: window(REAUTH_SECONDS),
            team: places.team,
            organization: places.organization,
            organizations: places.organizations,
            events_column_config: preferences.events_column_config.clone(),
            is_2fa_enabled: user.second_factor.is_enabled(),
            has_social_auth: false,
            has_sso_enforcement: false,
            has_seen_product_intro_for: preferences.has_seen_product_intro_for.clone(),
            scene_personalisation: preferences.scene_personalisation.clone(),
            theme_mode: preferences.theme_mode.clone(),
            hedgehog_config: preferences.hedgehog_config.clone(),
            role_at_organization: preferences.role_at_organization.clone(),
            passkeys_enabled_for_2fa: false,
            allow_impersonation: preferences.allow_impersonation,
            is_impersonated_read_only: None,
            is_impersonated_reason: None,
            allow_sidebar_suggestions: preferences.allow_sidebar_suggestions,
            shortcut_position: Some(preferences.shortcut_position.clone().unwrap_or_else(|| "above".to_owned())),
            hide_mcp_hints: preferences.hide_mcp_hints,
            ui_configuration: preferences.ui_configuration.clone(),
            fresh_reauth_expires_at: window(FRESH_REAUTH_SECONDS),
            pending_invites,
            requires_credential_review: false,
            notification_locks: Vec::new(),
            active_realtime_notification_types: Vec::new(),
            is_organization_first_user: places.is_first_user,
            onboarding_skipped_at: None,
            onboarding_skipped_reason: None,
            onboarding_skipped_organization_id: None,
            onboarding_delegated_to_invite: None,
            onboarding_delegated_to_organization_id: None,
            onboarding_delegation_accepted_at: None,
        }
    }
}

/// The part of the preference that others see (spec §2.2).
fn basic_hedgehog(config: &Value) -> Value {
    let Value::Object(config) = config else { return Value::Null };
    let part = |name: &str| config.get(name).cloned().unwrap_or_default();
    serde_json::json!({
        "use_as_profile": part("use_as_profile"),
        "color": part("color"),
        "accessories": part("accessories"),
        "skin": part("skin"),
    })
}
