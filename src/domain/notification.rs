//! Notification settings (spec §2.3): the defaults, what may be set, and how a change is merged into what is stored.

use serde_json::{Map, Value, json};

use super::fields::FieldError;
use super::text;

/// Longest stored form, in bytes of JSON: the maps in it grow with each change.
pub const SETTINGS_BYTES_MAX: usize = 8 * 1024;

const ATTR: &str = "notification_settings";

/// What a setting may hold.
#[derive(Clone, Copy)]
enum Kind {
    Flag,
    /// A number from 0 to 1.
    Share,
    /// From the id of something (the word says of what) to a flag.
    Flags(&'static str),
}

/// The defaults overlaid with what is stored: the wire value.
#[must_use]
pub fn effective(stored: &Map<String, Value>) -> Map<String, Value> {
    let mut settings = defaults();
    settings.extend(stored.iter().map(|(key, value)| (key.clone(), value.clone())));
    settings
}

/// Merges a change into the stored settings; what comes back is complete and replaces them. Keys that are not in the
/// change stay, maps are merged entry by entry.
pub fn merge(stored: &Map<String, Value>, change: &Value) -> Result<Map<String, Value>, FieldError> {
    let change = match change {
        Value::Object(change) => change,
        Value::Null => return Err(FieldError::null(ATTR)),
        other => return Err(FieldError::not_a_dict(other, ATTR)),
    };
    let mut settings = effective(stored);
    for (key, value) in change {
        let Some(kind) = kind_of(key) else {
            let key = text::for_message(key);
            return Err(invalid(format!("Key {key} is not valid as a key for notification settings")));
        };
        match kind {
            Kind::Flag => check_flag(value)?,
            Kind::Share => check_share(key, value)?,
            Kind::Flags(of) => check_flags(key, of, value)?,
        }
        match (settings.get_mut(key), value) {
            (Some(Value::Object(present)), Value::Object(entries)) => present.extend(entries.clone()),
            _ => drop(settings.insert(key.clone(), value.clone())),
        }
    }
    check_size(settings)
}

fn defaults() -> Map<String, Value> {
    let Value::Object(defaults) = json!({
        "plugin_disabled": true,
        "error_tracking_issue_assigned": true,
        "discussions_mentioned": true,
        "project_weekly_digest_disabled": {},
        "all_weekly_digest_disabled": false,
        "error_tracking_weekly_digest": true,
        "data_pipeline_error_threshold": 0.01,
        "project_api_key_exposed": true,
        "materialized_view_sync_failed": false,
        "web_analytics_weekly_digest": true,
        "organization_member_join_email_disabled": {},
    }) else {
        return Map::new();
    };
    defaults
}

fn kind_of(key: &str) -> Option<Kind> {
    Some(match key {
        "plugin_disabled"
        | "error_tracking_issue_assigned"
        | "discussions_mentioned"
        | "all_weekly_digest_disabled"
        | "error_tracking_weekly_digest"
        | "project_api_key_exposed"
        | "materialized_view_sync_failed"
        | "materialized_view_sync_failed_daily"
        | "materialized_view_sync_failed_immediate"
        | "web_analytics_weekly_digest" => Kind::Flag,
        "data_pipeline_error_threshold" => Kind::Share,
        "project_weekly_digest_disabled"
        | "error_tracking_weekly_digest_project_enabled"
        | "web_analytics_weekly_digest_project_enabled" => Kind::Flags("project"),
        "pipeline_notifications_disabled" => Kind::Flags("pipeline"),
        "organization_member_join_email_disabled" => Kind::Flags("organization"),
        _ => return None,
    })
}

fn check_flag(value: &Value) -> Result<(), FieldError> {
    if value.is_boolean() { Ok(()) } else { Err(wrong_type(value, "bool")) }
}

fn check_share(key: &str, value: &Value) -> Result<(), FieldError> {
    let share = value.as_f64().ok_or_else(|| wrong_type(value, "float"))?;
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(invalid(format!("{key} must be a number between 0 and 1")))
}

fn check_flags(key: &str, of: &str, value: &Value) -> Result<(), FieldError> {
    let Value::Object(entries) = value else {
        return Err(invalid(format!("{key} must be a dictionary mapping {of} IDs to boolean values")));
    };
    entries.values().find(|entry| !entry.is_boolean()).map_or(Ok(()), |entry| {
        let kind = text::type_name(entry);
        Err(invalid(format!("Notification setting values must be boolean, got <class '{kind}'> instead")))
    })
}

fn check_size(settings: Map<String, Value>) -> Result<Map<String, Value>, FieldError> {
    let settings = Value::Object(settings);
    if settings.to_string().len() > SETTINGS_BYTES_MAX {
        return Err(invalid(format!("Notification settings may not be larger than {SETTINGS_BYTES_MAX} bytes")));
    }
    match settings {
        Value::Object(settings) => Ok(settings),
        _ => Ok(Map::new()),
    }
}

fn wrong_type(value: &Value, wanted: &str) -> FieldError {
    let value = text::printed(value);
    invalid(format!("{value} is not a valid type for notification settings, should be <class '{wanted}'>"))
}

fn invalid(detail: String) -> FieldError {
    FieldError::invalid(detail, ATTR)
}
