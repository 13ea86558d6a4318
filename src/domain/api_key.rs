//! Personal API keys (spec §2.10): value, mask, scopes.

use uuid::Uuid;

use super::id::UserId;
use super::time::Timestamp;
use super::vault::sha256;

/// Keys one user may have (spec §2.10).
pub const KEYS_PER_USER_MAX: usize = 10;
/// Longest label, in characters.
pub const LABEL_CHARS_MAX: usize = 40;
/// Seconds between refreshes of `last_used_at` (spec §2.10).
pub const LAST_USED_SECONDS: i64 = 3_600;

/// A personal API key, found by the SHA-256 of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Random base-62 text.
    pub id: String,
    pub user: UserId,
    pub label: String,
    pub description: Option<String>,
    pub mask: String,
    pub hash: [u8; 32],
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub last_rolled_at: Option<Timestamp>,
    /// Never empty (W-32).
    pub scopes: Vec<String>,
    pub scoped_teams: Vec<i64>,
    pub scoped_organizations: Vec<Uuid>,
}

impl ApiKey {
    /// Whether the key may do what needs `scope` (`<object>:read` or `<object>:write`): by `*`, the scope itself, or
    /// the object's `write` where `read` is asked (spec §1.6).
    #[must_use]
    pub fn allows(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| {
            held == "*"
                || held == scope
                || scope.strip_suffix(":read").is_some_and(|object| held.strip_suffix(":write") == Some(object))
        })
    }
}

/// First four characters, three dots, last four (spec §2.10).
#[must_use]
pub fn mask(value: &str) -> String {
    let start: String = value.chars().take(4).collect();
    let end: String = value.chars().skip(value.chars().count().saturating_sub(4)).collect();
    format!("{start}...{end}")
}

/// The form a key is known by outside the program: `sha256$` and lower-case hex (spec §2.10).
#[must_use]
pub fn stored_form(value: &str) -> String {
    let hex: String = sha256(value.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256${hex}")
}
