//! Users as Django's `dumpdata` writes them: `auth.user` or another model, PostHog's `posthog.user`, and the devices of
//! django-otp, `otp_totp.totpdevice`, `otp_static.staticdevice` and `otp_static.statictoken`, and PostHog's organizations
//! and memberships. Reads them into [`PortableUser`]s and writes them.
//!
//! What cannot be taken over exactly is left out and said, never guessed.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::backup_code::{self, CODE_CHARS};
use super::id::{MembershipId, OrganizationId, UserId};
use super::organization::Level;
use super::portable::{
    BACKUP_CODES_MAX, PortableMembership, PortableOrganization, PortableTotp, PortableUser, TOTP_SECRET_BYTES_MAX,
    TOTP_SECRET_BYTES_MIN,
};
use super::secret::Secret;
use super::text;
use super::time::Timestamp;
use super::totp::TOLERANCE_STEPS;

/// The models of users that are known by name; a project may have one of its own.
pub const USER_MODELS: [&str; 2] = ["auth.user", "posthog.user"];
/// The models of organizations and of their members.
pub const ORGANIZATION: &str = "posthog.organization";
const MEMBERSHIP: &str = "posthog.organizationmembership";
const TOTP_DEVICE: &str = "otp_totp.totpdevice";
const STATIC_DEVICE: &str = "otp_static.staticdevice";
const STATIC_TOKEN: &str = "otp_static.statictoken";

/// The device that django-otp's users have when they have one (spec §2.12), and PostHog's codes.
const DEFAULT_NAME: &str = "default";
const BACKUP_NAME: &str = "backup";

/// Preferences of `posthog.user`: their names there and on the wire.
const PREFERENCES: [(&str, &str); 12] = [
    ("partial_notification_settings", "notification_settings"),
    ("anonymize_data", "anonymize_data"),
    ("toolbar_mode", "toolbar_mode"),
    ("events_column_config", "events_column_config"),
    ("has_seen_product_intro_for", "has_seen_product_intro_for"),
    ("theme_mode", "theme_mode"),
    ("hedgehog_config", "hedgehog_config"),
    ("role_at_organization", "role_at_organization"),
    ("allow_impersonation", "allow_impersonation"),
    ("allow_sidebar_suggestions", "allow_sidebar_suggestions"),
    ("shortcut_position", "shortcut_position"),
    ("ui_configuration", "ui_configuration"),
];

/// One object of a dump: model, primary key as text, fields.
pub struct Object {
    /// Lower case, as Django writes it.
    pub model: String,
    /// Empty when the dump was made with `--natural-primary`.
    pub pk: String,
    fields: Map<String, Value>,
}

/// What is wrong with an object, for people. Never quotes a value: it may be a secret.
pub type Problem = String;

impl Object {
    /// Reads `{"model": ..., "pk": ..., "fields": {...}}`.
    pub fn parse(json: &[u8]) -> Result<Self, Problem> {
        // Without the error's own words, which could quote what is there.
        let value: Value = serde_json::from_slice(json).map_err(|error| {
            format!("not valid JSON (line {}, column {} of the object)", error.line(), error.column())
        })?;
        let Value::Object(mut object) = value else { return Err("not an object".to_owned()) };
        let Some(Value::String(model)) = object.remove("model") else { return Err("has no `model`".to_owned()) };
        let Some(Value::Object(fields)) = object.remove("fields") else { return Err("has no `fields`".to_owned()) };
        let pk = object.get("pk").and_then(key_text).unwrap_or_default();
        Ok(Self { model: model.to_lowercase(), pk, fields })
    }

    /// As reports name it: `auth.user 17`.
    #[must_use]
    pub fn name(&self) -> String {
        text::for_message(&format!("{} {}", self.model, self.pk))
    }

    /// Reads a user. The notes say what was left out.
    pub fn user(&self) -> Result<(PortableUser, Vec<Problem>), Problem> {
        if self.pk.is_empty() {
            return Err("has no `pk`: make the dump without --natural-primary".to_owned());
        }
        let mut notes = Vec::new();
        let uuid = match self.fields.get("uuid") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => {
                Some(UserId::parse(&text.to_lowercase()).ok_or("`uuid` is not a UUID".to_owned())?)
            }
            Some(_) => return Err("`uuid` is not a UUID".to_owned()),
        };
        let user = PortableUser {
            source: self.name(),
            uuid,
            distinct_id: self.text("distinct_id")?.filter(|id| !id.is_empty()),
            email: self.email()?,
            first_name: self.text("first_name")?.unwrap_or_default(),
            last_name: self.text("last_name")?.unwrap_or_default(),
            password_hash: Secret::new(self.text("password")?.unwrap_or_default()),
            is_active: self.boolean("is_active")?.unwrap_or(true),
            is_staff: self.boolean("is_staff")?.unwrap_or(false) || self.boolean("is_superuser")?.unwrap_or(false),
            is_email_verified: self.boolean("is_email_verified")?,
            date_joined: self.moment("date_joined")?,
            last_login: self.moment("last_login")?,
            preferences: self.preferences(),
            current_organization: self.text("current_organization")?.and_then(|id| OrganizationId::parse(&id)),
            ..PortableUser::default()
        };
        if self.text("pending_email")?.is_some_and(|pending| !pending.is_empty()) {
            notes.push("an address that waits for verification is left out".to_owned());
        }
        Ok((user, notes))
    }

    /// Reads an organization.
    pub fn organization(&self) -> Result<PortableOrganization, Problem> {
        let age = self.integer("session_cookie_age", 0)?;
        Ok(PortableOrganization {
            source: self.name(),
            id: OrganizationId::parse(&self.pk).ok_or("its `pk` is not a UUID")?,
            name: self.text("name")?.unwrap_or_default(),
            slug: self.text("slug")?.unwrap_or_default(),
            created_at: self.moment("created_at")?,
            enforce_2fa: self.boolean("enforce_2fa")?,
            members_can_invite: self.boolean("members_can_invite")?,
            is_member_join_email_enabled: self.boolean("is_member_join_email_enabled")?.unwrap_or(true),
            members_can_use_personal_api_keys: self.boolean("members_can_use_personal_api_keys")?.unwrap_or(true),
            allow_publicly_shared_resources: self.boolean("allow_publicly_shared_resources")?.unwrap_or(true),
            is_ai_data_processing_approved: self.boolean("is_ai_data_processing_approved")?,
            session_cookie_age: u32::try_from(age).ok().filter(|age| *age > 0),
        })
    }

    /// Reads a membership and the primary key of its user; `None` when it is none.
    pub fn membership(&self) -> Result<Option<(String, PortableMembership)>, Problem> {
        if self.model != MEMBERSHIP {
            return Ok(None);
        }
        let level = self.integer("level", 1)?;
        let membership = PortableMembership {
            id: MembershipId::parse(&self.pk).ok_or("its `pk` is not a UUID")?,
            organization: OrganizationId::parse(&self.key("organization")?).ok_or("`organization` is not a UUID")?,
            level: Level::of(level).ok_or_else(|| format!("there is no level {level}"))?,
            joined_at: self.moment("joined_at")?,
        };
        Ok(Some((self.key("user")?, membership)))
    }

    /// The address, or the user name where that is one.
    fn email(&self) -> Result<String, Problem> {
        let email = self.text("email")?.unwrap_or_default();
        if !email.trim().is_empty() {
            return Ok(email);
        }
        let name = self.text("username")?.unwrap_or_default();
        if name.contains('@') { Ok(name) } else { Err("has no e-mail address".to_owned()) }
    }

    fn preferences(&self) -> Map<String, Value> {
        let of = |(theirs, ours): &(&str, &str)| Some(((*ours).to_owned(), self.fields.get(*theirs)?.clone()));
        PREFERENCES.iter().filter_map(of).collect()
    }

    fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("`{name}` is not a text")),
        }
    }

    fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(format!("`{name}` is not true or false")),
        }
    }

    fn integer(&self, name: &str, default: i64) -> Result<i64, Problem> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value.as_i64().ok_or_else(|| format!("`{name}` is not an integer")),
        }
    }

    fn moment(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        Timestamp::parse(&text).map(Some).ok_or_else(|| format!("`{name}` is not a date and time"))
    }

    /// The primary key that a field refers to.
    fn key(&self, name: &str) -> Result<String, Problem> {
        match self.fields.get(name) {
            Some(Value::Array(_)) => Err(format!("`{name}` is a natural key: make the dump without --natural-foreign")),
            Some(value) => key_text(value).ok_or_else(|| format!("`{name}` is not a primary key")),
            None => Err(format!("has no `{name}`")),
        }
    }
}

fn key_text(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if !text.is_empty() => Some(text.to_lowercase()),
        _ => None,
    }
}

/// The second factors of a dump, by user. What is kept of each is a little more than its secrets.
#[derive(Default)]
pub struct SecondFactors {
    totp: HashMap<String, Vec<Device>>,
    /// From the user to the devices that hold codes.
    holders: HashMap<String, Vec<String>>,
    codes: HashMap<String, Codes>,
}

/// The codes of one device, in as little memory as there are many of them.
#[derive(Default)]
struct Codes {
    /// The usable ones, folded, one behind the other.
    usable: Zeroizing<String>,
    unusable: usize,
}

struct Device {
    is_default: bool,
    /// Steps that the clock of the authenticator was off at its last code.
    drift: i64,
    name: String,
    totp: Result<PortableTotp, Problem>,
}

/// The second factor of one user, and what was left out of it.
#[derive(Default)]
pub struct SecondFactor {
    pub totp: Option<PortableTotp>,
    pub backup_codes: Vec<Secret>,
    /// There was one, and no part of it can be taken over.
    pub is_lost: bool,
    pub notes: Vec<Problem>,
}

impl SecondFactors {
    /// Takes an object that is part of a second factor; false when it is none.
    pub fn take(&mut self, object: &Object) -> Result<bool, Problem> {
        match object.model.as_str() {
            TOTP_DEVICE => self.take_totp(object)?,
            STATIC_DEVICE => {
                if object.boolean("confirmed")?.unwrap_or(true) {
                    self.holders.entry(object.key("user")?).or_insert_with(only_one).push(object.pk.clone());
                }
            }
            STATIC_TOKEN => {
                let code = Zeroizing::new(object.text("token")?.ok_or("has no `token`")?);
                let codes = self.codes.entry(object.key("device")?).or_default();
                match backup_code::fold(&code) {
                    Some(code) => codes.usable.push_str(&code),
                    None => codes.unusable += 1,
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_totp(&mut self, object: &Object) -> Result<(), Problem> {
        let user = object.key("user")?;
        // Somebody began to enrol and did not end it: no second factor. One that cannot be read is one all the same.
        if object.boolean("confirmed").is_ok_and(|confirmed| confirmed == Some(false)) {
            return Ok(());
        }
        let is_default = object.fields.get("name").is_some_and(|name| name == DEFAULT_NAME);
        let drift = object.integer("drift", 0).unwrap_or_default();
        let device = Device { is_default, drift, name: object.name(), totp: read_totp(object) };
        self.totp.entry(user).or_insert_with(only_one).push(device);
        Ok(())
    }

    /// What belongs to the user with this primary key.
    #[must_use]
    pub fn of(&self, user: &str) -> SecondFactor {
        let mut found = SecondFactor::default();
        let mut devices: Vec<&Device> = self.totp.get(user).into_iter().flatten().collect();
        // A stable sort: among equals the order of the file.
        devices.sort_by_key(|device| !device.is_default);
        let had_device = !devices.is_empty();
        for Device { name, totp, drift, .. } in devices {
            match totp {
                Ok(totp) if found.totp.is_none() => {
                    found.totp = Some(totp.clone());
                    if drift.saturating_abs() > TOLERANCE_STEPS {
                        let note = format!("{name}: its clock is {drift} steps off, and more than one is refused");
                        found.notes.push(note);
                    }
                }
                Ok(_) => found.notes.push(format!("{name} is left out: a user has one authenticator")),
                Err(problem) => found.notes.push(format!("{name} is left out: {problem}")),
            }
        }
        let holders = self.holders.get(user).into_iter().flatten();
        let codes: Vec<&Codes> = holders.filter_map(|device| self.codes.get(device)).collect();
        found.is_lost = found.totp.is_none() && (had_device || !codes.is_empty());
        if found.totp.is_none() && !codes.is_empty() {
            found.notes.push("backup codes are left out: there is no authenticator beside them".to_owned());
        } else {
            found.take_codes(&codes);
        }
        found
    }

    /// The primary keys of the users who have any.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        let with_codes_only = self.holders.keys().filter(|user| !self.totp.contains_key(*user));
        self.totp.keys().chain(with_codes_only).map(String::as_str)
    }
}

impl SecondFactor {
    fn take_codes(&mut self, codes: &[&Codes]) {
        let mut left_out = codes.iter().map(|codes| codes.unusable).sum::<usize>();
        for code in codes.iter().flat_map(|codes| codes.usable.as_bytes().chunks(CODE_CHARS)) {
            let code = Secret::new(String::from_utf8_lossy(code).into_owned());
            if self.backup_codes.iter().any(|other| other.matches(code.expose())) {
                continue;
            }
            if self.backup_codes.len() < BACKUP_CODES_MAX {
                self.backup_codes.push(code);
            } else {
                left_out += 1;
            }
        }
        if left_out > 0 {
            let why = format!("not 8 characters of base 32, or more than {BACKUP_CODES_MAX}");
            self.notes.push(format!("{left_out} of the backup codes left out: {why}"));
        }
    }
}

/// Room for the one that there nearly always is.
fn only_one<T>() -> Vec<T> {
    Vec::with_capacity(1)
}

/// A device whose codes we would compute in exactly the same way, or why not.
fn read_totp(object: &Object) -> Result<PortableTotp, Problem> {
    object.boolean("confirmed")?;
    for (name, ours) in [("digits", 6), ("step", 30), ("t0", 0)] {
        let theirs = object.integer(name, ours)?;
        if theirs != ours {
            return Err(format!("`{name}` is {theirs}, and only {ours} is supported"));
        }
    }
    let secret = Secret::new(object.text("key")?.unwrap_or_default().to_lowercase());
    let bytes = text::unhex(secret.expose()).ok_or("its `key` is not hexadecimal")?;
    if !(TOTP_SECRET_BYTES_MIN..=TOTP_SECRET_BYTES_MAX).contains(&bytes.len()) {
        return Err(format!("its `key` has {} bytes", bytes.len()));
    }
    Ok(PortableTotp {
        secret,
        confirmed_at: object.moment("created_at")?,
        last_used_at: object.moment("last_used_at")?,
        last_step: object.integer("last_t", -1)?.max(-1),
        failures: u32::try_from(object.integer("throttling_failure_count", 0)?).unwrap_or_default(),
        failed_at: object.moment("throttling_failure_timestamp")?,
    })
}

/// The object that stands for an organization.
#[must_use]
pub fn write_organization(organization: &PortableOrganization) -> Value {
    let created_at = organization.created_at.map(Timestamp::to_rfc3339_z);
    let fields = json!({
        "name": organization.name,
        "slug": organization.slug,
        "created_at": created_at,
        "updated_at": created_at,
        "enforce_2fa": organization.enforce_2fa,
        "members_can_invite": organization.members_can_invite,
        "is_member_join_email_enabled": organization.is_member_join_email_enabled,
        "members_can_use_personal_api_keys": organization.members_can_use_personal_api_keys,
        "allow_publicly_shared_resources": organization.allow_publicly_shared_resources,
        "is_ai_data_processing_approved": organization.is_ai_data_processing_approved,
        "session_cookie_age": organization.session_cookie_age,
    });
    json!({"model": ORGANIZATION, "pk": organization.id, "fields": fields})
}

/// The objects that stand for a user with this primary key: the user first, then the second factor. `code_pk` is that of
/// the first backup code.
#[must_use]
pub fn write_user(user: &PortableUser, pk: u64, code_pk: u64) -> Vec<Value> {
    let moment = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339_z);
    let mut fields = json!({
        "password": user.password_hash.expose(),
        "last_login": moment(user.last_login),
        "first_name": user.first_name,
        "last_name": user.last_name,
        "is_staff": user.is_staff,
        "is_active": user.is_active,
        "date_joined": moment(user.date_joined),
        "uuid": user.uuid,
        "distinct_id": user.distinct_id,
        "email": user.email,
        "is_email_verified": user.is_email_verified,
        "current_organization": user.current_organization,
    });
    if let Some(fields) = fields.as_object_mut() {
        let name_there = |ours: &str| PREFERENCES.iter().find(|(_, name)| *name == ours).map(|(theirs, _)| *theirs);
        for (name, value) in &user.preferences {
            if let Some(name) = name_there(name) {
                fields.insert(name.to_owned(), value.clone());
            }
        }
    }
    let mut objects = vec![json!({"model": "posthog.user", "pk": pk, "fields": fields})];
    for membership in &user.memberships {
        let fields = json!({
            "organization": membership.organization,
            "user": pk,
            "level": membership.level,
            "joined_at": moment(membership.joined_at),
            "updated_at": moment(membership.joined_at),
        });
        objects.push(json!({"model": MEMBERSHIP, "pk": membership.id, "fields": fields}));
    }
    if let Some(totp) = &user.totp {
        objects.push(json!({"model": TOTP_DEVICE, "pk": pk, "fields": {
            "user": pk,
            "name": DEFAULT_NAME,
            "confirmed": true,
            "throttling_failure_timestamp": moment(totp.failed_at),
            "throttling_failure_count": totp.failures,
            "created_at": moment(totp.confirmed_at),
            "last_used_at": moment(totp.last_used_at),
            "key": totp.secret.expose(),
            "step": 30,
            "t0": 0,
            "digits": 6,
            "tolerance": 1,
            "drift": 0,
            "last_t": totp.last_step,
        }}));
    }
    if !user.backup_codes.is_empty() {
        objects.push(json!({"model": STATIC_DEVICE, "pk": pk, "fields": {
            "user": pk, "name": BACKUP_NAME, "confirmed": true,
            "throttling_failure_timestamp": null, "throttling_failure_count": 0,
        }}));
    }
    for (code, code_pk) in user.backup_codes.iter().zip(code_pk..) {
        let fields = json!({"device": pk, "token": code.expose()});
        objects.push(json!({"model": STATIC_TOKEN, "pk": code_pk, "fields": fields}));
    }
    objects
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "values are written where they are used")]
    fn object(model: &str, pk: Value, fields: Value) -> Object {
        let json = json!({"model": model, "pk": pk, "fields": fields});
        Object::parse(json.to_string().as_bytes()).unwrap()
    }

    fn factors(objects: &[Object]) -> SecondFactors {
        let mut factors = SecondFactors::default();
        for object in objects {
            assert_eq!(factors.take(object), Ok(true), "{}", object.name());
        }
        factors
    }

    #[test]
    fn a_user_is_read_field_by_field() {
        let user = object(
            "auth.user",
            json!(17),
            json!({
                "password": "!", "last_login": null, "is_superuser": true, "username": "ada", "first_name": "Ada",
                "last_name": "L", "email": "ada@example.com", "is_staff": false, "is_active": false,
                "date_joined": "2023-05-17T09:31:00.123Z", "groups": [], "pending_email": "b@example.com",
            }),
        );
        let (user, notes) = user.user().unwrap();
        assert_eq!((user.source.as_str(), user.email.as_str()), ("auth.user 17", "ada@example.com"));
        assert_eq!((user.is_staff, user.is_active, user.is_email_verified), (true, false, None));
        assert_eq!((user.uuid, user.distinct_id, user.last_login), (None, None, None));
        assert_eq!(user.date_joined, Some(Timestamp::from_micros(1_684_315_860_123_000)));
        assert_eq!(notes.len(), 1);
    }

    #[test]
    fn what_is_no_user_says_why() {
        let good = json!({"email": "ada@example.com"});
        for (pk, fields, words) in [
            (Value::Null, good, "--natural-primary"),
            (json!(1), json!({}), "no e-mail address"),
            (json!(1), json!({"username": "ada"}), "no e-mail address"),
            (json!(1), json!({"email": 7}), "`email` is not a text"),
            (json!(1), json!({"email": "a@example.com", "is_staff": "yes"}), "`is_staff` is not true or false"),
            (json!(1), json!({"email": "a@example.com", "last_login": "now"}), "`last_login` is not a date"),
            (json!(1), json!({"email": "a@example.com", "uuid": "17"}), "`uuid` is not a UUID"),
        ] {
            let problem = object("auth.user", pk, fields).user().unwrap_err();
            assert!(problem.contains(words), "{problem}");
        }
        for text in ["7", "{", "{}", r#"{"model": "auth.user"}"#, r#"{"model": 1, "fields": {}}"#, "\u{1}"] {
            assert!(Object::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_device_called_default_comes_first_and_tokens_find_their_user() {
        let key = |byte: u8| format!("{byte:02x}").repeat(20);
        let device = |name: &str, byte: u8| json!({"user": 1, "name": name, "confirmed": true, "key": key(byte)});
        let factors = factors(&[
            object(STATIC_TOKEN, json!(1), json!({"device": 5, "token": "ABCD2345"})),
            object(STATIC_TOKEN, json!(2), json!({"device": 5, "token": "abcd-2345"})),
            object(STATIC_DEVICE, json!(5), json!({"user": 1, "confirmed": true})),
            object(TOTP_DEVICE, json!(1), device("phone", 1)),
            object(TOTP_DEVICE, json!(2), device(DEFAULT_NAME, 2)),
        ]);
        let factor = factors.of("1");
        assert_eq!(factor.totp.unwrap().secret.expose(), key(2));
        assert_eq!(factor.backup_codes.iter().map(Secret::expose).collect::<Vec<_>>(), ["abcd2345"]);
        assert_eq!((factor.is_lost, factor.notes.len()), (false, 1));
        assert!(factors.of("2").totp.is_none() && !factors.of("2").is_lost);
        assert_eq!(factors.owners().collect::<Vec<_>>(), ["1"]);
    }

    #[test]
    fn a_device_that_cannot_be_honoured_is_lost_and_not_guessed() {
        let key = "ab".repeat(20);
        for (fields, words) in [
            (json!({"key": key, "digits": 8}), "`digits` is 8"),
            (json!({"key": key, "step": 60}), "`step` is 60"),
            (json!({"key": key, "t0": 7}), "`t0` is 7"),
            (json!({"key": key, "digits": "six"}), "`digits` is not an integer"),
            (json!({"key": key, "confirmed": "maybe"}), "`confirmed` is not"),
            (json!({"key": "xyz"}), "not hexadecimal"),
            (json!({"key": "abab"}), "has 2 bytes"),
            (json!({}), "has 0 bytes"),
        ] {
            let mut fields = fields;
            fields.as_object_mut().unwrap().insert("user".to_owned(), json!(1));
            let factor = factors(&[object(TOTP_DEVICE, json!(3), fields)]).of("1");
            assert!(factor.is_lost && factor.totp.is_none());
            assert!(factor.notes[0].contains(words), "{:?}", factor.notes);
        }
        let slow = json!({"user": 1, "key": key, "drift": -2});
        assert_eq!(factors(&[object(TOTP_DEVICE, json!(3), slow)]).of("1").notes.len(), 1);
        let unconfirmed = json!({"user": 1, "confirmed": false, "key": "xyz", "digits": 8});
        assert!(!factors(&[object(TOTP_DEVICE, json!(3), unconfirmed)]).of("1").is_lost);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let membership = PortableMembership {
            id: MembershipId(uuid::Uuid::from_bytes([3; 16])),
            organization: OrganizationId(uuid::Uuid::from_bytes([2; 16])),
            level: Level::Administrator,
            joined_at: Some(Timestamp::from_seconds(9)),
        };
        let totp = PortableTotp {
            secret: Secret::new("ab".repeat(20)),
            confirmed_at: Some(Timestamp::from_micros(1)),
            last_used_at: Some(Timestamp::from_seconds(60)),
            last_step: 2,
            failures: 3,
            failed_at: Some(Timestamp::from_seconds(70)),
        };
        let user = PortableUser {
            source: "posthog.user 4".to_owned(),
            uuid: Some(UserId(uuid::Uuid::from_bytes([1; 16]))),
            distinct_id: Some("d".to_owned()),
            email: "ada@example.com".to_owned(),
            password_hash: Secret::from("!"),
            is_active: true,
            is_email_verified: Some(false),
            date_joined: Some(Timestamp::from_micros(5)),
            preferences: Map::from_iter([("theme_mode".to_owned(), json!("dark"))]),
            current_organization: Some(membership.organization),
            ..PortableUser::default()
        };
        let full = PortableUser {
            totp: Some(totp),
            backup_codes: vec![Secret::from("abcd2345"), Secret::from("efgh2345")],
            memberships: vec![membership.clone()],
            ..user.clone()
        };
        let written = write_user(&full, 4, 20);
        let read: Vec<Object> =
            written.iter().map(|object| Object::parse(object.to_string().as_bytes()).unwrap()).collect();
        let json = |user: &PortableUser| serde_json::to_value(user).unwrap();
        assert_eq!(json(&read[0].user().unwrap().0), json(&user));
        assert_eq!(read[1].membership(), Ok(Some(("4".to_owned(), membership))));
        let factor = factors(&read[2..]).of("4");
        let again = PortableUser { totp: factor.totp, backup_codes: factor.backup_codes, ..user };
        assert_eq!(json(&again), json(&PortableUser { memberships: Vec::new(), ..full }));
    }

    proptest! {
        #[test]
        fn any_object_is_survived(
            model in "(auth|posthog|otp_totp|otp_static)\\.(user|totpdevice|statictoken|organization)|\\PC{0,8}",
            name in prop::sample::select(vec!["user", "email", "key", "digits", "last_t", "token", "device", "level"]),
            value in "\\PC{0,8}|-?[0-9]{1,20}|null|true|\\[[0-9]\\]",
        ) {
            let value: Value = serde_json::from_str(&value).unwrap_or(Value::String(value));
            let object = object(&model, json!(1), json!({name: value}));
            let mut factors = SecondFactors::default();
            let _ = (object.user(), object.organization(), object.membership(), factors.take(&object), factors.of("1"));
        }
    }
}
