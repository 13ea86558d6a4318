//! A change of an organization by PATCH (spec §2.7): read from the fields, checked in the declared order, applied.

#![allow(clippy::option_option, reason = "absent, null and a value are three things on the wire")]

use uuid::Uuid;

use super::fields::{FieldError, Fields};
use super::input::Input;
use super::organization::{NAME_CHARS_MAX, Organization, check_name};
use super::text;

const STATS_METHODS: &[&str] = &["bayesian", "frequentist"];

/// What is to change; `None` stays. Checked, so applying it cannot fail.
#[derive(Clone, Debug, Default)]
pub struct OrganizationPatch {
    name: Option<String>,
    logo_media_id: Option<Option<Uuid>>,
    is_member_join_email_enabled: Option<bool>,
    enforce_2fa: Option<Option<bool>>,
    members_can_invite: Option<Option<bool>>,
    members_can_use_personal_api_keys: Option<bool>,
    allow_publicly_shared_resources: Option<bool>,
    is_ai_data_processing_approved: Option<Option<bool>>,
    default_experiment_stats_method: Option<String>,
}

impl OrganizationPatch {
    /// Every field that administrators may set.
    pub const INPUTS: &'static [Input] = &[
        Input::filled("name", NAME_CHARS_MAX, "What it is called."),
        Input::text("logo_media_id", 0, "The UUID of its logo.").nullable(),
        Input::boolean("is_member_join_email_enabled", "Whether members are told by mail of new ones."),
        Input::boolean("enforce_2fa", "Whether members need a second factor to get any further.").nullable(),
        Input::boolean("members_can_invite", "Whether members below administrator may invite.").nullable(),
        Input::boolean("members_can_use_personal_api_keys", "Whether members below administrator may use API keys."),
        Input::boolean("allow_publicly_shared_resources", "Kept for clients; nothing depends on it."),
        Input::boolean("is_ai_data_processing_approved", "Kept for clients; nothing depends on it.").nullable(),
        Input::choice("default_experiment_stats_method", STATS_METHODS, "Kept for clients; nothing depends on it."),
    ];

    /// Reads a body; reports the first problem in the declared order.
    pub fn parse(fields: &Fields) -> Result<Self, FieldError> {
        Ok(Self {
            name: name(fields)?,
            logo_media_id: nullable_uuid(fields, "logo_media_id")?,
            is_member_join_email_enabled: fields.boolean("is_member_join_email_enabled")?,
            enforce_2fa: fields.nullable_boolean("enforce_2fa")?,
            members_can_invite: fields.nullable_boolean("members_can_invite")?,
            members_can_use_personal_api_keys: fields.boolean("members_can_use_personal_api_keys")?,
            allow_publicly_shared_resources: fields.boolean("allow_publicly_shared_resources")?,
            is_ai_data_processing_approved: fields.nullable_boolean("is_ai_data_processing_approved")?,
            default_experiment_stats_method: fields
                .choice("default_experiment_stats_method", STATS_METHODS, false, false)?
                .flatten(),
        })
    }

    pub fn apply(&self, organization: &mut Organization) {
        set(&mut organization.name, self.name.as_ref());
        set(&mut organization.logo_media_id, self.logo_media_id.as_ref());
        set(&mut organization.is_member_join_email_enabled, self.is_member_join_email_enabled.as_ref());
        set(&mut organization.enforce_2fa, self.enforce_2fa.as_ref());
        set(&mut organization.members_can_invite, self.members_can_invite.as_ref());
        set(&mut organization.members_can_use_personal_api_keys, self.members_can_use_personal_api_keys.as_ref());
        set(&mut organization.allow_publicly_shared_resources, self.allow_publicly_shared_resources.as_ref());
        set(&mut organization.is_ai_data_processing_approved, self.is_ai_data_processing_approved.as_ref());
        set(&mut organization.default_experiment_stats_method, self.default_experiment_stats_method.as_ref());
    }

    /// Names of the fields that would be different afterwards.
    #[must_use]
    pub fn changed_fields(&self, old: &Organization) -> Vec<&'static str> {
        let mut new = old.clone();
        self.apply(&mut new);
        [
            ("name", old.name != new.name),
            ("logo_media_id", old.logo_media_id != new.logo_media_id),
            ("is_member_join_email_enabled", old.is_member_join_email_enabled != new.is_member_join_email_enabled),
            ("enforce_2fa", old.enforce_2fa != new.enforce_2fa),
            ("members_can_invite", old.members_can_invite != new.members_can_invite),
            (
                "members_can_use_personal_api_keys",
                old.members_can_use_personal_api_keys != new.members_can_use_personal_api_keys,
            ),
            (
                "allow_publicly_shared_resources",
                old.allow_publicly_shared_resources != new.allow_publicly_shared_resources,
            ),
            (
                "is_ai_data_processing_approved",
                old.is_ai_data_processing_approved != new.is_ai_data_processing_approved,
            ),
            (
                "default_experiment_stats_method",
                old.default_experiment_stats_method != new.default_experiment_stats_method,
            ),
        ]
        .into_iter()
        .filter_map(|(name, is_changed)| is_changed.then_some(name))
        .collect()
    }
}

fn set<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}

fn name(fields: &Fields) -> Result<Option<String>, FieldError> {
    let name = fields.text("name")?;
    if let Some(name) = &name {
        check_name("name", name, NAME_CHARS_MAX)?;
    }
    Ok(name)
}

/// An id or null; forms, which have no null, say it with an empty text.
fn nullable_uuid(fields: &Fields, attr: &'static str) -> Result<Option<Option<Uuid>>, FieldError> {
    let Some(text) = fields.nullable_text(attr)? else { return Ok(None) };
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Some(None)) };
    let invalid = |_| {
        let detail = format!("\u{201c}{}\u{201d} is not a valid UUID.", text::for_message(&text));
        FieldError::invalid(detail, attr)
    };
    Uuid::try_parse(&text).map(|id| Some(Some(id))).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::id::OrganizationId;
    use crate::domain::time::Timestamp;

    fn organization() -> Organization {
        Organization::new(OrganizationId(Uuid::nil()), "Acme".to_owned(), "acme".to_owned(), Timestamp::default())
    }

    fn parse(body: &Value) -> Result<OrganizationPatch, FieldError> {
        OrganizationPatch::parse(&Fields(body.as_object().unwrap().clone()))
    }

    #[track_caller]
    fn check(body: &Value, changed: &[&str]) -> Organization {
        let mut organization = organization();
        let patch = parse(body).unwrap();
        assert_eq!(patch.changed_fields(&organization), changed, "{body}");
        patch.apply(&mut organization);
        organization
    }

    #[test]
    fn what_is_sent_is_changed_and_nothing_else() {
        assert_eq!(check(&json!({}), &[]), organization());
        assert_eq!(check(&json!({"name": " Acme ", "slug": "x", "id": 1, "member_count": 9}), &[]), organization());
        let all = json!({
            "name": "Acme Ltd", "logo_media_id": "01990f5c-1f2e-7000-8b1d-5a0f3b9d2c11",
            "is_member_join_email_enabled": false, "enforce_2fa": true, "members_can_invite": null,
            "members_can_use_personal_api_keys": false, "allow_publicly_shared_resources": false,
            "is_ai_data_processing_approved": true, "default_experiment_stats_method": "frequentist",
        });
        let names: Vec<&str> = all.as_object().unwrap().keys().map(String::as_str).collect();
        let mut changed = parse(&all).unwrap().changed_fields(&organization());
        changed.sort_unstable();
        let mut names = names;
        names.sort_unstable();
        assert_eq!(changed, names);
        let after = check(&json!({"enforce_2fa": false}), &["enforce_2fa"]);
        assert_eq!(after.enforce_2fa, Some(false));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_its_field() {
        for (body, code, attr) in [
            (json!({"name": "", "enforce_2fa": 7}), "blank", "name"),
            (json!({"name": null}), "null", "name"),
            (json!({"name": "x".repeat(65)}), "max_length", "name"),
            (json!({"name": "see evil.com"}), "invalid_url", "name"),
            (json!({"logo_media_id": "x"}), "invalid_input", "logo_media_id"),
            (json!({"enforce_2fa": "perhaps"}), "invalid_input", "enforce_2fa"),
            (json!({"members_can_use_personal_api_keys": null}), "null", "members_can_use_personal_api_keys"),
            (json!({"default_experiment_stats_method": "x"}), "invalid_choice", "default_experiment_stats_method"),
        ] {
            let error = parse(&body).unwrap_err();
            assert_eq!((&*error.code, error.attr.as_deref()), (code, Some(attr)), "{body}");
        }
    }
}
