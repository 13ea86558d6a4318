//! A change of a user by PATCH or PUT (spec §2.2, §3.4): read from the fields, checked in the declared order, applied.
//!
//! Decides neither who may make it (staff, key, re-authentication) nor whether the current password is right; whether the
//! address is free, or an organization there, it is told.

#![allow(clippy::option_option, reason = "absent, null and a value are three things on the wire")]

use serde_json::Value;

use super::email::EmailAddress;
use super::fields::{FieldError, Fields};
use super::id::OrganizationId;
use super::input::{Input, Kind};
use super::notification;
use super::password::{PASSWORD_CHARS_MAX, check_password};
use super::secret::Secret;
use super::signup::check_plus;
use super::text;
use super::user::User;

/// Longest first or last name, in characters.
pub const NAME_CHARS_MAX: usize = 150;
/// Longest form of one JSON preference, in bytes: all of them together have to fit into the user's record.
pub const JSON_BYTES_MAX: usize = 8 * 1024;

/// Fields that may be changed without recent authentication, if nothing else is (spec §1.9).
const REAUTH_EXEMPT: &[&str] = &[
    "theme_mode",
    "set_current_organization",
    "set_current_team",
    "allow_sidebar_suggestions",
    "shortcut_position",
    "has_seen_product_intro_for",
    "events_column_config",
    "role_at_organization",
    "ui_configuration",
];

const TOOLBAR_MODES: &[&str] = &["disabled", "toolbar"];
const THEMES: &[&str] = &["light", "dark", "system"];
const SHORTCUT_POSITIONS: &[&str] = &["above", "below", "hidden"];
const ROLES: &[&str] = &["engineering", "data", "product", "founder", "leadership", "marketing", "sales", "other"];

/// Settings of the server that the check depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchRules {
    pub allow_plus_addresses: bool,
    /// In characters.
    pub password_min_length: usize,
}

/// What there is of that which the body asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The address is another account's.
    pub is_email_taken: bool,
    /// Organizations of the user.
    pub organizations: Vec<OrganizationId>,
    /// The organization of the project that `set_current_team` names, if there is such a project.
    pub of_team: Option<OrganizationId>,
}

/// What is to change; `None` stays. Checked in itself, so applying it cannot fail.
#[derive(Clone, Debug, Default)]
pub struct UserPatch {
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    /// As sent, which may be the present address; see [`UserPatch::new_email`].
    pub email: Option<EmailAddress>,
    /// As sent; merged when it is applied, so that a concurrent change of another key is kept.
    pub notification_settings: Option<Value>,
    pub anonymize_data: Option<Option<bool>>,
    pub toolbar_mode: Option<Option<String>>,
    /// Any value needs a staff caller (spec §2.2).
    pub is_staff: Option<bool>,
    pub set_current_organization: Option<OrganizationId>,
    pub set_current_team: Option<u64>,
    /// Its strength is not checked yet; only [`UserPatch::new_password`] gives it out.
    password: Option<Secret>,
    pub current_password: Option<Secret>,
    pub events_column_config: Option<Value>,
    pub has_seen_product_intro_for: Option<Value>,
    pub theme_mode: Option<Option<String>>,
    pub hedgehog_config: Option<Value>,
    pub role_at_organization: Option<String>,
    /// Never true: there are no passkeys.
    pub passkeys_enabled_for_2fa: Option<Option<bool>>,
    pub allow_impersonation: Option<Option<bool>>,
    pub allow_sidebar_suggestions: Option<Option<bool>>,
    pub shortcut_position: Option<Option<String>>,
    pub hide_mcp_hints: Option<bool>,
    pub ui_configuration: Option<Value>,
}

/// The number of a project that a body wants to be current, if it is one.
#[must_use]
pub fn wanted_team(fields: &Fields) -> Option<u64> {
    fields.text("set_current_team").ok().flatten()?.parse().ok()
}

/// Whether a body changes only what needs no recent authentication; an empty one does (spec §1.9).
#[must_use]
pub fn is_reauth_exempt(fields: &Fields) -> bool {
    fields.0.keys().all(|name| REAUTH_EXEMPT.contains(&name.as_str()))
}

impl UserPatch {
    /// Every field that can be changed, in the declared order of spec §2.2.
    pub const INPUTS: &'static [Input] = &[
        Input::text("first_name", NAME_CHARS_MAX, "No line breaks, angle brackets or addresses of websites."),
        Input::text("last_name", NAME_CHARS_MAX, "As `first_name`."),
        Input::email("email", "A new address is first staged in `pending_email`, and taken once it is confirmed."),
        Input::of(Kind::Object, "notification_settings", "Merged into the stored settings, key by key."),
        Input::boolean("anonymize_data", "").nullable(),
        Input::of(Kind::Choice { choices: TOOLBAR_MODES, blank: true }, "toolbar_mode", "").nullable(),
        Input::boolean("is_staff", "Only staff may send it, and only with a session that authenticated just now."),
        Input::filled("set_current_organization", 0, "The UUID of an organization of the user's: makes it current."),
        Input::of(Kind::Integer, "set_current_team", "The id of a team: makes it and its organization current."),
        Input::secret("password", PASSWORD_CHARS_MAX, "A new password. Ends all other sessions."),
        Input::secret("current_password", 0, "The present one, without which a password is not replaced."),
        Input::of(Kind::Json, "events_column_config", ""),
        Input::of(Kind::Json, "has_seen_product_intro_for", "").nullable(),
        Input::of(Kind::Choice { choices: THEMES, blank: true }, "theme_mode", "").nullable(),
        Input::of(Kind::Json, "hedgehog_config", "").nullable(),
        Input::choice("role_at_organization", ROLES, ""),
        Input::boolean("passkeys_enabled_for_2fa", "There are no passkeys yet: true is refused.").nullable(),
        Input::boolean("allow_impersonation", "").nullable(),
        Input::boolean("allow_sidebar_suggestions", "").nullable(),
        Input::choice("shortcut_position", SHORTCUT_POSITIONS, "").nullable(),
        Input::boolean("hide_mcp_hints", ""),
        Input::of(Kind::Object, "ui_configuration", "").nullable(),
    ];

    /// Reads a body. Reports the first problem in the declared order of spec §2.2, then those between fields.
    /// `replace` is PUT, which wants an address and a password.
    pub fn parse(
        fields: &Fields,
        replace: bool,
        user: &User,
        reach: &Reach,
        rules: &PatchRules,
    ) -> Result<Self, FieldError> {
        let patch = Self {
            first_name: display_name(fields, "first_name")?,
            last_name: display_name(fields, "last_name")?,
            email: email(fields, replace, user, reach, rules)?,
            notification_settings: notification_settings(fields, user)?,
            anonymize_data: fields.nullable_boolean("anonymize_data")?,
            toolbar_mode: fields.choice("toolbar_mode", TOOLBAR_MODES, true, true)?,
            is_staff: fields.boolean("is_staff")?,
            set_current_organization: organization(fields, "set_current_organization", reach)?,
            set_current_team: team(fields, "set_current_team", reach)?,
            password: password(fields, replace)?,
            current_password: fields.secret("current_password")?,
            events_column_config: json(fields, "events_column_config")?,
            has_seen_product_intro_for: nullable_json(fields, "has_seen_product_intro_for")?,
            theme_mode: fields.choice("theme_mode", THEMES, true, true)?,
            hedgehog_config: nullable_json(fields, "hedgehog_config")?,
            role_at_organization: fields.choice("role_at_organization", ROLES, false, false)?.flatten(),
            passkeys_enabled_for_2fa: passkeys(fields, "passkeys_enabled_for_2fa")?,
            allow_impersonation: fields.nullable_boolean("allow_impersonation")?,
            allow_sidebar_suggestions: fields.nullable_boolean("allow_sidebar_suggestions")?,
            shortcut_position: fields.choice("shortcut_position", SHORTCUT_POSITIONS, false, true)?,
            hide_mcp_hints: fields.boolean("hide_mcp_hints")?,
            ui_configuration: nullable_object(fields, "ui_configuration")?,
        };
        if patch.set_current_team.is_some()
            && patch.set_current_organization.is_some_and(|organization| reach.of_team != Some(organization))
        {
            let detail = "Team must belong to the same organization in set_current_organization.";
            return Err(FieldError::invalid(detail, "set_current_team"));
        }
        if patch.password.is_some() && patch.current_password.is_none() && user.password_hash.is_some() {
            let detail = "This field is required when updating your password.";
            return Err(FieldError::new("required", detail, "current_password"));
        }
        Ok(patch)
    }

    /// The address to change to, if it is another one.
    #[must_use]
    pub fn new_email(&self, user: &User) -> Option<&EmailAddress> {
        self.email.as_ref().filter(|email| **email != user.email)
    }

    /// Whether a new password was sent.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// The new password, once it is strong enough for this user, names and address of the same change and the
    /// names of the service included. To be called after the current password was found right: a wrong one is the error reported first (spec §3.4).
    pub fn new_password(
        &self,
        user: &User,
        rules: &PatchRules,
        service: &[&str],
    ) -> Result<Option<&Secret>, FieldError> {
        let Some(password) = &self.password else { return Ok(None) };
        let email = self.email.as_ref().unwrap_or(&user.email);
        let first_name = self.first_name.as_ref().unwrap_or(&user.first_name);
        let last_name = self.last_name.as_ref().unwrap_or(&user.last_name);
        let known = [&[email.as_str(), first_name, last_name], service].concat();
        check_password(password.expose(), rules.password_min_length, &known)
            .map_err(super::password::PasswordProblem::at_change)?;
        Ok(Some(password))
    }

    /// Names of the fields that would be different afterwards; a new password always is.
    #[must_use]
    pub fn changed_fields(&self, user: &User) -> Vec<&'static str> {
        let mut after = user.clone();
        self.apply(&mut after);
        let (old, new) = (&user.preferences, &after.preferences);
        let old_notifications = notification::effective(&old.notification_settings);
        let new_notifications = notification::effective(&new.notification_settings);
        let other_organization =
            self.set_current_organization.is_some_and(|organization| user.current_organization != Some(organization));
        let other_team = self.set_current_team.is_some_and(|team| user.current_team != Some(team));
        [
            ("first_name", user.first_name != after.first_name),
            ("last_name", user.last_name != after.last_name),
            ("email", self.new_email(user).is_some()),
            ("notification_settings", old_notifications != new_notifications),
            ("anonymize_data", old.anonymize_data != new.anonymize_data),
            ("toolbar_mode", old.toolbar_mode != new.toolbar_mode),
            ("is_staff", self.is_staff.is_some_and(|is_staff| is_staff != user.is_staff)),
            ("set_current_organization", other_organization),
            ("set_current_team", other_team),
            ("password", self.password.is_some()),
            ("events_column_config", old.events_column_config != new.events_column_config),
            ("has_seen_product_intro_for", old.has_seen_product_intro_for != new.has_seen_product_intro_for),
            ("theme_mode", old.theme_mode != new.theme_mode),
            ("hedgehog_config", old.hedgehog_config != new.hedgehog_config),
            ("role_at_organization", old.role_at_organization != new.role_at_organization),
            ("allow_impersonation", old.allow_impersonation != new.allow_impersonation),
            ("allow_sidebar_suggestions", old.allow_sidebar_suggestions != new.allow_sidebar_suggestions),
            ("shortcut_position", old.shortcut_position != new.shortcut_position),
            ("hide_mcp_hints", old.hide_mcp_hints != new.hide_mcp_hints),
            ("ui_configuration", old.ui_configuration != new.ui_configuration),
        ]
        .into_iter()
        .filter_map(|(name, is_changed)| is_changed.then_some(name))
        .collect()
    }

    /// Changes the names and preferences. Address, password, staff and current organization and team have consequences
    /// elsewhere and are left to the caller.
    pub fn apply(&self, user: &mut User) {
        set(&mut user.first_name, self.first_name.as_ref());
        set(&mut user.last_name, self.last_name.as_ref());
        let preferences = &mut user.preferences;
        if let Some(change) = &self.notification_settings
            // Fails only when concurrent changes together are too large; then the earlier one stands.
            && let Ok(merged) = notification::merge(&preferences.notification_settings, change)
        {
            preferences.notification_settings = merged;
        }
        set(&mut preferences.anonymize_data, self.anonymize_data.as_ref());
        set(&mut preferences.toolbar_mode, self.toolbar_mode.as_ref());
        set(&mut preferences.events_column_config, self.events_column_config.as_ref());
        set(&mut preferences.has_seen_product_intro_for, self.has_seen_product_intro_for.as_ref());
        set(&mut preferences.theme_mode, self.theme_mode.as_ref());
        set(&mut preferences.hedgehog_config, self.hedgehog_config.as_ref());
        if self.role_at_organization.is_some() {
            preferences.role_at_organization.clone_from(&self.role_at_organization);
        }
        set(&mut preferences.allow_impersonation, self.allow_impersonation.as_ref());
        set(&mut preferences.allow_sidebar_suggestions, self.allow_sidebar_suggestions.as_ref());
        set(&mut preferences.shortcut_position, self.shortcut_position.as_ref());
        set(&mut preferences.hide_mcp_hints, self.hide_mcp_hints.as_ref());
        set(&mut preferences.ui_configuration, self.ui_configuration.as_ref());
    }
}

fn set<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}

fn display_name(fields: &Fields, name: &'static str) -> Result<Option<String>, FieldError> {
    let value = fields.limited_text(name, NAME_CHARS_MAX)?;
    if let Some(value) = &value {
        text::check_display_name(name, value)?;
    }
    Ok(value)
}

/// An address has one account.
#[must_use]
pub fn email_in_use() -> FieldError {
    FieldError::new("unique", "There is already an account with this email address.", "email")
}

fn email(
    fields: &Fields,
    replace: bool,
    user: &User,
    reach: &Reach,
    rules: &PatchRules,
) -> Result<Option<EmailAddress>, FieldError> {
    let Some(email) = fields.email("email")? else {
        return if replace { Err(FieldError::required("email")) } else { Ok(None) };
    };
    check_plus(&email, rules.allow_plus_addresses || email == user.email, "email")?;
    if reach.is_email_taken { Err(email_in_use()) } else { Ok(Some(email)) }
}

fn notification_settings(fields: &Fields, user: &User) -> Result<Option<Value>, FieldError> {
    let Some(change) = fields.value("notification_settings") else { return Ok(None) };
    notification::merge(&user.preferences.notification_settings, change)?;
    Ok(Some(change.clone()))
}

fn organization(fields: &Fields, name: &'static str, reach: &Reach) -> Result<Option<OrganizationId>, FieldError> {
    let Some(text) = fields.text(name)? else { return Ok(None) };
    if text.is_empty() {
        return Err(FieldError::blank(name));
    }
    let id = uuid::Uuid::try_parse(&text).map(OrganizationId).map_err(|_| {
        let detail = format!("\u{201c}{}\u{201d} is not a valid UUID.", text::for_message(&text));
        FieldError::invalid(detail, name)
    })?;
    if reach.organizations.contains(&id) { Ok(Some(id)) } else { Err(FieldError::does_not_exist(&text, name)) }
}

/// What is not a number is no team's id (W-7).
fn team(fields: &Fields, name: &'static str, reach: &Reach) -> Result<Option<u64>, FieldError> {
    let Some(text) = fields.text(name)? else { return Ok(None) };
    if text.is_empty() {
        return Err(FieldError::blank(name));
    }
    let is_reachable = reach.of_team.is_some_and(|organization| reach.organizations.contains(&organization));
    wanted_team(fields).filter(|_| is_reachable).map(Some).ok_or_else(|| FieldError::does_not_exist(&text, name))
}

fn password(fields: &Fields, replace: bool) -> Result<Option<Secret>, FieldError> {
    let password = fields.secret("password")?;
    match &password {
        None if replace => Err(FieldError::required("password")),
        Some(secret) if secret.expose().chars().count() > PASSWORD_CHARS_MAX => {
            Err(FieldError::max_length(PASSWORD_CHARS_MAX, "password"))
        }
        _ => Ok(password),
    }
}

fn passkeys(fields: &Fields, name: &'static str) -> Result<Option<Option<bool>>, FieldError> {
    let value = fields.nullable_boolean(name)?;
    if value == Some(Some(true)) {
        let detail = "You must have at least one passkey set up before enabling passkeys for 2FA.";
        return Err(FieldError::new("no_passkeys", detail, name));
    }
    Ok(value)
}

fn json(fields: &Fields, name: &'static str) -> Result<Option<Value>, FieldError> {
    match fields.value(name) {
        Some(Value::Null) => Err(FieldError::null(name)),
        _ => nullable_json(fields, name),
    }
}

fn nullable_json(fields: &Fields, name: &'static str) -> Result<Option<Value>, FieldError> {
    let value = fields.value(name);
    if value.is_some_and(|value| value.to_string().len() > JSON_BYTES_MAX) {
        let detail = format!("Ensure this field has no more than {JSON_BYTES_MAX} bytes.");
        return Err(FieldError::new("max_length", detail, name));
    }
    Ok(value.cloned())
}

fn nullable_object(fields: &Fields, name: &'static str) -> Result<Option<Value>, FieldError> {
    match fields.value(name) {
        Some(value) if !value.is_object() && !value.is_null() => Err(FieldError::not_a_dict(value, name)),
        _ => nullable_json(fields, name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};
    use uuid::Uuid;

    use super::*;
    use crate::domain::id::UserId;
    use crate::domain::time::Timestamp;
    use crate::domain::user::{PasswordHash, Preferences};

    const RULES: PatchRules = PatchRules { allow_plus_addresses: false, password_min_length: 8 };
    const STRONG: &str = "lorry-cinnamon-9-quartz";

    fn ada() -> User {
        let email = EmailAddress::parse("ada@example.com").unwrap();
        User {
            is_email_verified: Some(true),
            first_name: "Ada".to_owned(),
            last_name: "Lovelace".to_owned(),
            password_hash: Some(PasswordHash(String::new())),
            ..User::new(UserId(Uuid::nil()), 1, String::new(), email, Timestamp::default())
        }
    }

    fn reach() -> Reach {
        let organization = OrganizationId(Uuid::from_u128(5));
        Reach { is_email_taken: false, organizations: vec![organization], of_team: Some(organization) }
    }

    fn fields(body: Value) -> Fields {
        let Value::Object(body) = body else { panic!("not an object: {body}") };
        Fields(body)
    }

    fn patch(body: Value) -> Result<UserPatch, FieldError> {
        UserPatch::parse(&fields(body), false, &ada(), &reach(), &RULES)
    }

    fn refused(body: Value) -> (String, String, String) {
        let error = patch(body).unwrap_err();
        (error.attr.unwrap_or_default().into(), error.code.into(), error.detail.into())
    }

    #[test]
    fn problems_of_fields_are_named() {
        for (body, attr, code, detail) in [
            (json!({"first_name": null}), "first_name", "null", "This field may not be null."),
            (json!({"first_name": true}), "first_name", "invalid_input", "Not a valid string."),
            (
                json!({"last_name": "a".repeat(151)}),
                "last_name",
                "max_length",
                "Ensure this field has no more than 150 characters.",
            ),
            (json!({"last_name": "evil.com"}), "last_name", "invalid_url", "URLs are not allowed in this field."),
            (json!({"email": "ada"}), "email", "invalid_input", "Enter a valid email address."),
            (
                json!({"email": "ada+x@example.com"}),
                "email",
                "plus_addressing_not_allowed",
                "Email addresses with a '+' aren't supported. Please use your primary email address.",
            ),
            (
                json!({"notification_settings": {"nope": 1}}),
                "notification_settings",
                "invalid_input",
                "Key nope is not valid as a key for notification settings",
            ),
            (
                json!({"notification_settings": "a"}),
                "notification_settings",
                "not_a_dict",
                "Expected a dictionary of items but got type \"str\".",
            ),
            (json!({"anonymize_data": "x"}), "anonymize_data", "invalid_input", "Must be a valid boolean."),
            (json!({"toolbar_mode": "foo"}), "toolbar_mode", "invalid_choice", "\"foo\" is not a valid choice."),
            (json!({"is_staff": null}), "is_staff", "null", "This field may not be null."),
            (
                json!({"set_current_organization": "foo"}),
                "set_current_organization",
                "invalid_input",
                "“foo” is not a valid UUID.",
            ),
            (
                json!({"set_current_team": "x1"}),
                "set_current_team",
                "does_not_exist",
                "Object with id=x1 does not exist.",
            ),
            (
                json!({"set_current_team": -1}),
                "set_current_team",
                "does_not_exist",
                "Object with id=-1 does not exist.",
            ),
            (json!({"password": ""}), "password", "blank", "This field may not be blank."),
            (
                json!({"password": "a".repeat(129)}),
                "password",
                "max_length",
                "Ensure this field has no more than 128 characters.",
            ),
            (
                json!({"password": "12345678"}),
                "current_password",
                "required",
                "This field is required when updating your password.",
            ),
            (json!({"events_column_config": null}), "events_column_config", "null", "This field may not be null."),
            (json!({"theme_mode": "Dark"}), "theme_mode", "invalid_choice", "\"Dark\" is not a valid choice."),
            (json!({"role_at_organization": null}), "role_at_organization", "null", "This field may not be null."),
            (
                json!({"role_at_organization": ""}),
                "role_at_organization",
                "invalid_choice",
                "\"\" is not a valid choice.",
            ),
            (
                json!({"role_at_organization": "foo"}),
                "role_at_organization",
                "invalid_choice",
                "\"foo\" is not a valid choice.",
            ),
            (
                json!({"passkeys_enabled_for_2fa": true}),
                "passkeys_enabled_for_2fa",
                "no_passkeys",
                "You must have at least one passkey set up before enabling passkeys for 2FA.",
            ),
            (json!({"shortcut_position": ""}), "shortcut_position", "invalid_choice", "\"\" is not a valid choice."),
            (
                json!({"ui_configuration": []}),
                "ui_configuration",
                "not_a_dict",
                "Expected a dictionary of items but got type \"list\".",
            ),
            (
                json!({"hedgehog_config": "a".repeat(JSON_BYTES_MAX)}),
                "hedgehog_config",
                "max_length",
                "Ensure this field has no more than 8192 bytes.",
            ),
        ] {
            assert_eq!(refused(body), (attr.to_owned(), code.to_owned(), detail.to_owned()));
        }
    }

    #[test]
    fn the_first_problem_in_declared_order_is_reported() {
        let mut body = json!({
            "ui_configuration": 1, "role_at_organization": 1, "theme_mode": 1, "set_current_team": "a",
            "set_current_organization": "a", "is_staff": "a", "toolbar_mode": 1, "anonymize_data": "a",
            "notification_settings": 1, "email": 1, "last_name": [], "first_name": [],
        });
        for attr in [
            "first_name",
            "last_name",
            "email",
            "notification_settings",
            "anonymize_data",
            "toolbar_mode",
            "is_staff",
            "set_current_organization",
            "set_current_team",
            "theme_mode",
            "role_at_organization",
            "ui_configuration",
        ] {
            assert_eq!(refused(body.clone()).0, attr);
            body.as_object_mut().unwrap().remove(attr);
        }
        let mixed = json!({"password": STRONG, "theme_mode": "foo"});
        assert_eq!(refused(mixed).0, "theme_mode", "rules between fields come last");
    }

    #[test]
    fn put_wants_an_address_and_a_password() {
        let put = |body: Value| UserPatch::parse(&fields(body), true, &ada(), &reach(), &RULES);
        let required = |attr| FieldError::required(attr);
        assert_eq!(put(json!({})).unwrap_err(), required("email"));
        assert_eq!(put(json!({"email": "ada@example.com"})).unwrap_err(), required("password"));
        let whole = json!({"email": "ada@example.com", "password": STRONG, "current_password": "x"});
        assert!(put(whole).is_ok());
    }

    #[test]
    fn read_only_and_unknown_fields_are_ignored() {
        let body = json!({
            "uuid": 1, "id": "x", "organization": [], "team": null, "date_joined": 5, "distinct_id": "x",
            "pending_email": "eve@example.com", "is_email_verified": false, "is_active": false, "nonsense": {},
        });
        let patch = patch(body).unwrap();
        assert!(patch.changed_fields(&ada()).is_empty());
        let mut user = ada();
        patch.apply(&mut user);
        assert_eq!(user, ada());
    }

    #[test]
    fn names_and_preferences_are_applied_and_reported_when_they_differ() {
        let organization = OrganizationId(Uuid::from_u128(5));
        let patch = patch(json!({
            "first_name": " Augusta ", "last_name": "Lovelace", "email": "Ada@Example.com", "anonymize_data": null,
            "toolbar_mode": "", "notification_settings": {"plugin_disabled": false}, "is_staff": false,
            "set_current_organization": organization.to_string(), "set_current_team": "7", "theme_mode": "dark",
            "hedgehog_config": {"skin": "spiderhog"}, "role_at_organization": "founder",
            "passkeys_enabled_for_2fa": false, "shortcut_position": null, "hide_mcp_hints": "true",
            "events_column_config": {"active": "DEFAULT"}, "ui_configuration": {"a": 1},
        }))
        .unwrap();
        assert_eq!(
            patch.changed_fields(&ada()),
            [
                "first_name",
                "notification_settings",
                "anonymize_data",
                "toolbar_mode",
                "set_current_organization",
                "set_current_team",
                "theme_mode",
                "hedgehog_config",
                "role_at_organization",
                "shortcut_position",
                "hide_mcp_hints",
                "ui_configuration",
            ]
        );
        assert_eq!((patch.set_current_organization, patch.set_current_team), (Some(organization), Some(7)));
        let mut user = ada();
        patch.apply(&mut user);
        let mut expected = ada();
        expected.first_name = "Augusta".to_owned();
        expected.preferences = Preferences {
            notification_settings: notification::merge(&Map::new(), &json!({"plugin_disabled": false})).unwrap(),
            anonymize_data: None,
            toolbar_mode: Some(String::new()),
            theme_mode: Some("dark".to_owned()),
            hedgehog_config: json!({"skin": "spiderhog"}),
            role_at_organization: Some("founder".to_owned()),
            shortcut_position: None,
            hide_mcp_hints: true,
            ui_configuration: json!({"a": 1}),
            ..Preferences::default()
        };
        assert_eq!(user, expected);
        assert_eq!(patch.changed_fields(&user), ["set_current_organization", "set_current_team"]);
        (user.current_organization, user.current_team) = (Some(organization), Some(7));
        assert!(patch.changed_fields(&user).is_empty());
    }

    #[test]
    fn only_places_of_the_user_can_become_current() {
        let [own, other] = [5, 6].map(|number| OrganizationId(Uuid::from_u128(number)));
        let organizations = vec![own];
        let both = json!({"set_current_organization": own.to_string(), "set_current_team": 7});
        let foreign = json!({"set_current_organization": other.to_string(), "set_current_team": 7, "theme_mode": "x"});
        let team = json!({"set_current_team": 7, "password": "x"});
        for (body, of_team, expected) in [
            (&both, Some(own), Ok(())),
            (&both, None, Err(("does_not_exist", "set_current_team"))),
            (&both, Some(other), Err(("does_not_exist", "set_current_team"))),
            (&foreign, Some(own), Err(("does_not_exist", "set_current_organization"))),
            (&team, Some(other), Err(("does_not_exist", "set_current_team"))),
        ] {
            let reach = Reach { organizations: organizations.clone(), of_team, ..Reach::default() };
            let parsed = UserPatch::parse(&fields(body.clone()), false, &ada(), &reach, &RULES);
            let found = parsed.map(|_| ()).map_err(|error| (error.code.into_owned(), error.attr.unwrap().into_owned()));
            assert_eq!(
                found,
                expected.map_err(|(code, attr): (&str, &str)| (code.to_owned(), attr.to_owned())),
                "{body}"
            );
        }
        let reach = Reach { organizations: vec![own, other], of_team: Some(other), ..Reach::default() };
        let error = UserPatch::parse(&fields(both), false, &ada(), &reach, &RULES).unwrap_err();
        assert_eq!(error.detail, "Team must belong to the same organization in set_current_organization.");
        assert_eq!((&*error.code, error.attr.as_deref()), ("invalid_input", Some("set_current_team")));
    }

    #[test]
    fn an_address_is_new_only_when_it_differs() {
        assert!(patch(json!({"email": "ADA@example.com"})).unwrap().new_email(&ada()).is_none());
        let other = patch(json!({"email": "countess@example.com"})).unwrap();
        assert_eq!(other.new_email(&ada()).map(EmailAddress::as_str), Some("countess@example.com"));
        assert_eq!(other.changed_fields(&ada()), ["email"]);
    }

    #[test]
    fn a_plus_tag_is_refused_only_in_a_new_address() {
        let mut user = ada();
        user.email = EmailAddress::parse("ada+x@example.com").unwrap();
        let body = fields(json!({"email": "ada+x@example.com"}));
        assert!(UserPatch::parse(&body, false, &user, &reach(), &RULES).is_ok());
        assert!(UserPatch::parse(&body, false, &ada(), &reach(), &RULES).is_err());
        let allowed = PatchRules { allow_plus_addresses: true, ..RULES };
        assert!(UserPatch::parse(&body, false, &ada(), &reach(), &allowed).is_ok());
    }

    #[test]
    fn a_new_password_is_given_out_only_when_it_is_strong() {
        let sent = |password: &str| patch(json!({"password": password, "current_password": "old"})).unwrap();
        let strong = sent(STRONG);
        assert!(strong.has_password());
        assert_eq!(strong.new_password(&ada(), &RULES, &[]).unwrap().map(Secret::expose), Some(STRONG));
        assert_eq!(strong.changed_fields(&ada()), ["password"]);
        let weak = sent("12345678").new_password(&ada(), &RULES, &[]).unwrap_err();
        assert_eq!((&*weak.code, weak.attr.as_deref()), ("invalid_input", Some("password")));
        assert!(weak.detail.starts_with("Add another word"));
        assert!(patch(json!({})).unwrap().new_password(&ada(), &RULES, &[]).unwrap().is_none());
    }

    #[test]
    fn a_new_password_is_not_a_name_or_the_address() {
        let body = json!({"first_name": "qxvrntplakwdzm", "password": "qxvrntplakwdzm", "current_password": "old"});
        assert!(patch(body).unwrap().new_password(&ada(), &RULES, &[]).is_err());
        let mut user = ada();
        user.last_name = "qxvrntplakwdzm".to_owned();
        let body = json!({"password": "qxvrntplakwdzm", "current_password": "old"});
        assert!(patch(body.clone()).unwrap().new_password(&user, &RULES, &[]).is_err());
        assert!(patch(body.clone()).unwrap().new_password(&ada(), &RULES, &[]).is_ok());
        user = User { email: EmailAddress::parse("qxvrntplakwdzm@example.com").unwrap(), ..ada() };
        assert!(patch(body).unwrap().new_password(&user, &RULES, &[]).is_err());
    }

    #[test]
    fn who_has_no_password_may_set_one() {
        let mut user = ada();
        user.password_hash = None;
        assert!(UserPatch::parse(&fields(json!({"password": STRONG})), false, &user, &reach(), &RULES).is_ok());
    }

    #[test]
    fn a_current_password_alone_changes_nothing() {
        assert!(patch(json!({"current_password": "old"})).unwrap().changed_fields(&ada()).is_empty());
    }

    #[test]
    fn only_harmless_fields_need_no_recent_authentication() {
        for (body, is_exempt) in [
            (json!({}), true),
            (json!({"theme_mode": "dark"}), true),
            (json!({"set_current_team": 1, "set_current_organization": "x", "ui_configuration": {}}), true),
            (json!({"theme_mode": "dark", "first_name": "Ada"}), false),
            (json!({"theme_mode": "dark", "nonsense": 1}), false),
            (json!({"password": "x"}), false),
            (json!({"notification_settings": {}}), false),
        ] {
            assert_eq!(is_reauth_exempt(&fields(body.clone())), is_exempt, "{body}");
        }
    }
}
