//! Users, and their organizations, as they travel from program to program: everything of an account that an import takes over and an export gives
//! out, secrets in clear. Never stored, never logged; [`django`](super::django) reads and writes them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::id::{MembershipId, OrganizationId, UserId};
use super::organization::Level;
use super::secret::Secret;
use super::time::Timestamp;

/// Most backup codes of one user: they have to fit into the user's record.
pub const BACKUP_CODES_MAX: usize = 50;
/// Shortest and longest secret of an authenticator, in bytes.
pub const TOTP_SECRET_BYTES_MIN: usize = 10;
pub const TOTP_SECRET_BYTES_MAX: usize = 64;
/// Longest `distinct_id`, in characters (spec §2.2).
pub const DISTINCT_ID_CHARS_MAX: usize = 200;

/// An account on its way. What is `None` the program it comes from does not know.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PortableUser {
    /// Names the user in the file, `posthog.user 17`.
    pub source: String,
    pub uuid: Option<UserId>,
    pub distinct_id: Option<String>,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    /// In Django's format; empty when no password can be used.
    pub password_hash: Secret,
    pub is_active: bool,
    pub is_staff: bool,
    pub is_email_verified: Option<bool>,
    pub date_joined: Option<Timestamp>,
    pub last_login: Option<Timestamp>,
    /// What the owner set, under the names of spec §2.2.
    pub preferences: Map<String, Value>,
    pub totp: Option<PortableTotp>,
    /// Unused ones; only beside an authenticator.
    pub backup_codes: Vec<Secret>,
    /// From when on a new device is demanded; a second factor that cannot be taken over demands one, too.
    pub enrol_from: Option<Timestamp>,
    /// In the order of joining.
    pub memberships: Vec<PortableMembership>,
    pub current_organization: Option<OrganizationId>,
}

/// A place of a user in an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortableMembership {
    pub id: MembershipId,
    pub organization: OrganizationId,
    pub level: Level,
    pub joined_at: Option<Timestamp>,
}

/// An organization on its way; its members bring their memberships with them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PortableOrganization {
    /// Names the organization in the file.
    pub source: String,
    pub id: OrganizationId,
    pub name: String,
    pub slug: String,
    pub created_at: Option<Timestamp>,
    pub enforce_2fa: Option<bool>,
    pub members_can_invite: Option<bool>,
    pub is_member_join_email_enabled: bool,
    pub members_can_use_personal_api_keys: bool,
    pub allow_publicly_shared_resources: bool,
    pub is_ai_data_processing_approved: Option<bool>,
    /// In seconds.
    pub session_cookie_age: Option<u32>,
}

/// An authenticator: SHA-1, six digits, 30 s, from the epoch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PortableTotp {
    /// In hexadecimal.
    pub secret: Secret,
    pub confirmed_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    /// The step of the last accepted code; -1 when there was none.
    pub last_step: i64,
    /// Wrong codes in a row.
    pub failures: u32,
    pub failed_at: Option<Timestamp>,
}
