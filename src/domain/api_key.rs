//! Personal API keys (spec §2.10): value, mask, scopes.

use uuid::Uuid;

use super::fields::FieldError;
use super::id::UserId;
use super::text;
use super::time::Timestamp;

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

/// Objects that a scope may name (spec §7.3). Only `user` and the organization ones open anything here; the others are
/// known so that keys can be made with the same bodies.
#[rustfmt::skip]
pub const VALID_SCOPE_OBJECTS: &[&str] = &[
    "access_control", "account", "action", "activity_log", "alert", "annotation", "approvals", "batch_export",
    "batch_import", "billing", "business_knowledge", "canvas", "cohort", "comment", "conversation",
    "customer_analytics", "dashboard", "dashboard_template", "dataset", "early_access_feature", "element", "endpoint",
    "error_tracking", "evaluation", "event_definition", "event_filter", "experiment", "experiment_holdout",
    "experiment_saved_metric", "export", "external_data_schema", "external_data_source", "feature_flag", "file_system",
    "file_system_shortcut", "group", "health_issue", "heatmap", "hog_flow", "hog_function", "ingestion_warning",
    "insight", "insight_variable", "integration", "legal_document", "link", "live_debugger", "llm_analytics",
    "llm_gateway", "llm_prompt", "llm_provider_key", "llm_skill", "logs", "loop", "marketing_analytics",
    "mcp_analytics", "metrics", "notebook", "organization", "organization_integration", "organization_member",
    "person", "plugin", "product_tour", "project", "property_definition", "query", "revenue_analytics",
    "session_recording", "session_recording_playlist", "sharing_configuration", "signal_scout", "subscription",
    "survey", "tagger", "task", "ticket", "toolbar", "tracing", "uploaded_media", "usage_metric", "user",
    "user_interview", "visual_review", "warehouse_objects", "warehouse_table", "warehouse_view", "web_analytics",
    "webhook", "wizard_session",
];

/// Checks one scope of a key: `*`, or `<object>:read` or `<object>:write` with a known object (spec §2.10, §7.3).
pub fn check_scope(scope: &str) -> Result<(), FieldError> {
    let is_valid = scope == "*"
        || scope.split_once(':').is_some_and(|(object, action)| {
            matches!(action, "read" | "write") && VALID_SCOPE_OBJECTS.contains(&object)
        });
    if is_valid {
        return Ok(());
    }
    Err(FieldError::invalid(format!("Invalid scope: {}", text::for_message(scope)), "scopes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::vault::sha256;

    fn key(scopes: &[&str]) -> ApiKey {
        ApiKey {
            id: "k".to_owned(),
            user: UserId(Uuid::nil()),
            label: "laptop".to_owned(),
            description: None,
            mask: String::new(),
            hash: [0; 32],
            created_at: Timestamp::default(),
            last_used_at: None,
            last_rolled_at: None,
            scopes: scopes.iter().map(ToString::to_string).collect(),
            scoped_teams: Vec::new(),
            scoped_organizations: Vec::new(),
        }
    }

    #[test]
    fn write_includes_read_and_nothing_else_is_included() {
        for (held, asked, is_allowed) in [
            (&["*"][..], "user:write", true),
            (&["user:read"], "user:read", true),
            (&["user:write"], "user:read", true),
            (&["user:write"], "user:write", true),
            (&["user:read"], "user:write", false),
            (&["organization:write"], "user:read", false),
            (&["organization_member:write"], "organization:read", false),
            (&["project:read", "user:write"], "user:read", true),
            (&[], "user:read", false),
        ] {
            assert_eq!(key(held).allows(asked), is_allowed, "{held:?} {asked}");
        }
    }

    #[test]
    fn the_golden_values_of_the_specification() {
        let stored = "sha256$45af89b510a3279a817f851de5d3f95b73485d58ec2672a39e52d8aeeb014059";
        assert_eq!(format!("sha256${}", text::hex(&sha256(b"test_key_12345"))), stored);
        assert_eq!(mask("phx_123456abcd"), "phx_...abcd");
    }

    #[test]
    fn scopes_are_an_object_and_an_action() {
        for scope in ["*", "user:read", "user:write", "wizard_session:write", "access_control:read"] {
            assert_eq!(check_scope(scope), Ok(()), "{scope}");
        }
        for scope in
            ["", "user", "user:", "user:admin", "USER:read", "nope:read", "user:read ", "user:read:write", "*:read"]
        {
            let error = FieldError::invalid(format!("Invalid scope: {scope}"), "scopes");
            assert_eq!(check_scope(scope), Err(error), "{scope}");
        }
        let long = check_scope(&format!("\u{1b}{}", "a".repeat(999))).unwrap_err();
        assert_eq!(long.detail, format!("Invalid scope: {}", "a".repeat(200)));
    }
}
