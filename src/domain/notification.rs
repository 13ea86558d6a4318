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
    /// From ids, which the word names, to flags.
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
            Kind::Flags(ids) => check_flags(key, ids, value)?,
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
        "project_weekly_digest_disabled" => Kind::Flags("project IDs"),
        "error_tracking_weekly_digest_project_enabled"
        | "web_analytics_weekly_digest_project_enabled"
        | "pipeline_notifications_disabled"
        | "organization_member_join_email_disabled" => Kind::Flags("IDs"),
        _ => return None,
    })
}

fn check_flag(value: &Value) -> Result<(), FieldError> {
    if value.is_boolean() {
        return Ok(());
    }
    let value = text::printed(value);
    Err(invalid(format!("{value} is not a valid type for notification settings, should be <class 'bool'>")))
}

fn check_share(key: &str, value: &Value) -> Result<(), FieldError> {
    let Some(share) = value.as_f64() else {
        let kind = text::type_name(value);
        return Err(invalid(format!("{key} must be a number, got <class '{kind}'> instead")));
    };
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(invalid(format!("{key} must be between 0.0 and 1.0, got {value}")))
}

fn check_flags(key: &str, ids: &str, value: &Value) -> Result<(), FieldError> {
    let Value::Object(entries) = value else {
        return Err(invalid(format!("{key} must be a dictionary mapping {ids} to boolean values")));
    };
    entries.values().find(|entry| !entry.is_boolean()).map_or(Ok(()), |entry| {
        let kind = text::type_name(entry);
        Err(invalid(format!("Notification setting values must be boolean, got <class '{kind}'> instead")))
    })
}

fn check_size(settings: Map<String, Value>) -> Result<Map<String, Value>, FieldError> {
    if serde_json::to_string(&settings).map_or(0, |text| text.len()) > SETTINGS_BYTES_MAX {
        return Err(invalid(format!("Notification settings may not be larger than {SETTINGS_BYTES_MAX} bytes")));
    }
    Ok(settings)
}

fn invalid(detail: String) -> FieldError {
    FieldError::invalid(detail, ATTR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { panic!("not an object: {value}") };
        object
    }

    #[test]
    fn the_wire_shows_defaults_under_what_is_stored() {
        let settings =
            effective(&object(json!({"plugin_disabled": false, "materialized_view_sync_failed_daily": true})));
        assert_eq!(settings.len(), 12);
        assert_eq!(settings["plugin_disabled"], json!(false));
        assert_eq!(settings["discussions_mentioned"], json!(true));
        assert_eq!(settings["materialized_view_sync_failed_daily"], json!(true));
        assert_eq!(settings.keys().next().map(String::as_str), Some("plugin_disabled"));
    }

    #[test]
    fn a_change_keeps_other_keys_and_other_entries_of_maps() {
        let first = merge(&Map::new(), &json!({"project_weekly_digest_disabled": {"123": true}})).unwrap();
        let change = json!({"project_weekly_digest_disabled": {"5": false}, "all_weekly_digest_disabled": true});
        let second = merge(&first, &change).unwrap();
        assert_eq!(second["project_weekly_digest_disabled"], json!({"123": true, "5": false}));
        assert_eq!(second["all_weekly_digest_disabled"], json!(true));
        assert_eq!(second["plugin_disabled"], json!(true));
        assert_eq!(merge(&second, &json!({})).unwrap(), second);
        let later = merge(&second, &json!({"pipeline_notifications_disabled": {"a": true}})).unwrap();
        assert_eq!(later["pipeline_notifications_disabled"], json!({"a": true}));
    }

    #[test]
    fn wrong_settings_are_named() {
        for (change, detail) in [
            (json!({"nope\n": true}), "Key nope is not valid as a key for notification settings"),
            (
                json!({"project_weekly_digest_disabled": true}),
                "project_weekly_digest_disabled must be a dictionary mapping project IDs to boolean values",
            ),
            (
                json!({"organization_member_join_email_disabled": null}),
                "organization_member_join_email_disabled must be a dictionary mapping IDs to boolean values",
            ),
            (
                json!({"project_weekly_digest_disabled": {"1": true, "2": "yes"}}),
                "Notification setting values must be boolean, got <class 'str'> instead",
            ),
            (
                json!({"project_weekly_digest_disabled": {"1": 1}}),
                "Notification setting values must be boolean, got <class 'int'> instead",
            ),
            (
                json!({"plugin_disabled": "str"}),
                "str is not a valid type for notification settings, should be <class 'bool'>",
            ),
            (
                json!({"plugin_disabled": 1}),
                "1 is not a valid type for notification settings, should be <class 'bool'>",
            ),
            (
                json!({"plugin_disabled": null}),
                "None is not a valid type for notification settings, should be <class 'bool'>",
            ),
            (
                json!({"data_pipeline_error_threshold": "high"}),
                "data_pipeline_error_threshold must be a number, got <class 'str'> instead",
            ),
            (
                json!({"data_pipeline_error_threshold": 1.5}),
                "data_pipeline_error_threshold must be between 0.0 and 1.0, got 1.5",
            ),
        ] {
            assert_eq!(merge(&Map::new(), &change), Err(FieldError::invalid(detail, ATTR)), "{change}");
        }
        assert_eq!(merge(&Map::new(), &json!([])), Err(FieldError::not_a_dict(&json!([]), ATTR)));
        assert_eq!(merge(&Map::new(), &json!(null)), Err(FieldError::null(ATTR)));
        assert!(merge(&Map::new(), &json!({"data_pipeline_error_threshold": 1})).is_ok());
    }

    #[test]
    fn settings_do_not_grow_without_end() {
        let many: Map<String, Value> = (0..1000).map(|id| (id.to_string(), json!(true))).collect();
        let error = merge(&Map::new(), &json!({"project_weekly_digest_disabled": many})).unwrap_err();
        assert_eq!(error.code, "invalid_input");
    }
}
