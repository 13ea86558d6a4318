//! Personal API keys (spec §3.8).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::audit::Note;
use super::permission::{KeyRule, unsupported_on_keys};
use super::reset::{Done, check_reason};
use super::views::{ApiKeyView, UserRef};
use super::{Context, Identity, Operation, Permission, Tries, random};
use crate::domain::api_key::{ApiKey, KEYS_PER_USER_MAX, LABEL_CHARS_MAX, check_scope, mask};
use crate::domain::audit::Event;
use crate::domain::fields::{FieldError, Fields};
use crate::domain::id::UserId;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::vault::sha256;
use crate::error::{Error, Result};
use crate::records::{keys, put_api_key, remove_api_key};
use crate::store::{Batch, Expect};

/// Most scopes of one key; more than there are names.
const SCOPES_MAX: usize = 250;
/// Longest description, in characters.
const DESCRIPTION_CHARS_MAX: usize = 1_000;

/// `GET /api/personal_api_keys`: own keys, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListApiKeys {}

impl Operation for ListApiKeys {
    const NAME: &'static str = "list_api_keys";
    const NEEDS: Permission = Permission::USER.key(KeyRule::UnsupportedOnKeys);
    type Reply = Vec<ApiKeyView>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let caller = cx.require_caller()?;
        cx.api_key_views(caller).await
    }
}

/// `GET /api/personal_api_keys/{id}`: an own key; with a key, only that key itself, by id or as `@current`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RetrieveApiKey {
    pub id: String,
}

impl Operation for RetrieveApiKey {
    const NAME: &'static str = "retrieve_api_key";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Itself);
    type Reply = ApiKeyView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let caller = cx.require_caller()?;
        if let Identity::ApiKey { key, .. } = &cx.actor.identity {
            let is_itself = self.id == "@current" || self.id == key.id;
            return if is_itself { Ok(view(key, caller)) } else { Err(unsupported_on_keys()) };
        }
        let held = cx.records().api_keys_of(caller.id).await?;
        let key = held.iter().find(|key| key.value.id == self.id).ok_or_else(Error::not_found)?;
        Ok(view(&key.value, caller))
    }
}

/// `POST /api/personal_api_keys`; the value is only in this answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateApiKey {
    pub fields: Fields,
}

impl Operation for CreateApiKey {
    const NAME: &'static str = "create_api_key";
    const NEEDS: Permission = Permission::USER.key(KeyRule::UnsupportedOnKeys).sensitive();
    type Reply = ApiKeyView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let wanted = WantedKey::parse(&self.fields)?;
        cx.create_api_key(cx.require_caller()?.id, wanted).await
    }
}

/// `DELETE /api/personal_api_keys/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteApiKey {
    pub id: String,
}

impl Operation for DeleteApiKey {
    const NAME: &'static str = "delete_api_key";
    const NEEDS: Permission = Permission::USER.key(KeyRule::UnsupportedOnKeys).sensitive();
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let caller = cx.require_caller()?;
        cx.remove_api_key(caller, &self.id, None).await.map(|_| ())
    }
}

/// An operator makes a key for a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateApiKeyFor {
    pub user: UserRef,
    pub label: String,
    pub scopes: Vec<String>,
}

impl Operation for CreateApiKeyFor {
    const NAME: &'static str = "create_api_key_for";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = ApiKeyView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let fields = serde_json::json!({
            "label": self.label, "scopes": self.scopes, "scoped_teams": [], "scoped_organizations": [],
        });
        let Value::Object(fields) = fields else { return Err(Error::internal("not an object")) };
        let wanted = WantedKey::parse(&Fields(fields))?;
        cx.create_api_key(cx.find_user(&self.user).await?.value.id, wanted).await
    }
}

/// An operator lists the keys of a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListApiKeysOf {
    pub user: UserRef,
}

impl Operation for ListApiKeysOf {
    const NAME: &'static str = "list_api_keys_of";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = Vec<ApiKeyView>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let user = cx.find_user(&self.user).await?.value;
        cx.api_key_views(&user).await
    }
}

/// An operator revokes a key by its id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeApiKey {
    pub user: UserRef,
    pub id: String,
    pub reason: String,
}

impl Operation for RevokeApiKey {
    const NAME: &'static str = "revoke_api_key";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let reason = check_reason(&self.reason)?;
        let user = cx.find_user(&self.user).await?.value;
        let (label, audit_number) = cx.remove_api_key(&user, &self.id, Some(&reason)).await?;
        Ok(Done {
            email: user.email.as_str().to_owned(),
            summary: format!("API key \"{label}\" is revoked"),
            audit_number,
        })
    }
}

/// A key as asked for, checked (spec §2.10, §3.8).
struct WantedKey {
    label: String,
    description: Option<String>,
    scopes: Vec<String>,
}

impl WantedKey {
    fn parse(fields: &Fields) -> Result<Self, FieldError> {
        let label = fields.required_text("label")?;
        if label.chars().count() > LABEL_CHARS_MAX {
            return Err(FieldError::max_length(LABEL_CHARS_MAX, "label"));
        }
        let scopes = required_list(fields, "scopes")?;
        if scopes.is_empty() || scopes.len() > SCOPES_MAX {
            let detail = if scopes.is_empty() { "This list may not be empty." } else { "Too many scopes." };
            return Err(FieldError::invalid(detail, "scopes"));
        }
        let mut known = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let scope = scope.as_str().ok_or_else(|| FieldError::invalid("Not a valid string.", "scopes"))?;
            check_scope(scope)?;
            if !known.iter().any(|held| held == scope) {
                known.push(scope.to_owned());
            }
        }
        // Nobody is a member of an organization or team yet, so any that is named is a foreign one.
        let teams = if fields.contains("scoped_teams") { required_list(fields, "scoped_teams")? } else { &Vec::new() };
        if let Some(place) = teams.iter().position(|team| !is_integer(team)) {
            return Err(FieldError::invalid("A valid integer is required.", format!("scoped_teams__{place}")));
        }
        if !teams.is_empty() {
            let detail = "You must be a member of all teams that you are scoping the key to.";
            return Err(FieldError::invalid(detail, "scoped_teams"));
        }
        if fields.contains("scoped_organizations") {
            let organizations = required_list(fields, "scoped_organizations")?;
            let is_uuid = |value: &Value| value.as_str().is_some_and(|text| Uuid::try_parse(text).is_ok());
            if let Some(first) = organizations.first() {
                let detail = if is_uuid(first) {
                    "You must be a member of all organizations that you are scoping the key to."
                } else {
                    "Invalid organization UUID"
                };
                return Err(FieldError::invalid(detail, "scoped_organizations"));
            }
        }
        let description = fields.nullable_text("description")?.flatten().filter(|text| !text.is_empty());
        if description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX) {
            return Err(FieldError::max_length(DESCRIPTION_CHARS_MAX, "description"));
        }
        Ok(Self { label, description, scopes: known })
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.as_str().is_some_and(|text| text.trim().parse::<i64>().is_ok())
}

fn required_list<'a>(fields: &'a Fields, name: &'static str) -> Result<&'a Vec<Value>, FieldError> {
    match fields.value(name) {
        None => Err(FieldError::required(name)),
        Some(Value::Null) => Err(FieldError::null(name)),
        Some(Value::Array(list)) => Ok(list),
        Some(other) => Err(FieldError::not_a_list(other, name)),
    }
}

impl Context<'_> {
    async fn create_api_key(&self, id: UserId, wanted: WantedKey) -> Result<ApiKeyView> {
        let value = Secret::new(format!("phx_{}", random::token()?.expose()));
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let user = self.user(id).await?;
            // The user as read just now: neither gone, nor reset with all keys revoked.
            let batch = Batch::default().expect(keys::user(id), Expect::Version(user.version));
            let batch = self.guarded(batch, &keys::api_key_guard(id)).await?;
            if self.records().api_keys_of(id).await?.len() >= KEYS_PER_USER_MAX {
                let detail = format!(
                    "You can only have {KEYS_PER_USER_MAX} personal API keys. Remove an existing key before creating a new one."
                );
                return Err(Error::invalid("invalid_input", detail, None));
            }
            let key = ApiKey {
                id: random::token()?.expose().to_owned(),
                user: id,
                label: wanted.label.clone(),
                description: wanted.description.clone(),
                mask: mask(value.expose()),
                hash: sha256(value.expose().as_bytes()),
                created_at: self.now,
                last_used_at: None,
                last_rolled_at: None,
                scopes: wanted.scopes.clone(),
                scoped_teams: Vec::new(),
                scoped_organizations: Vec::new(),
            };
            let batch = put_api_key(batch, None, &key);
            let note = Note::of(Event::ApiKeyCreated, &user.value).detail("key", &key.id).detail("label", &key.label);
            let batch = self.audited(batch, note.detail("scopes", key.scopes.join(" ")));
            if self.commit(batch).await?.is_some() {
                return Ok(ApiKeyView { value: Some(value), ..view(&key, &user.value) });
            }
        }
    }

    async fn remove_api_key(&self, user: &User, id: &str, reason: Option<&str>) -> Result<(String, u64)> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let held = self.records().api_keys_of(user.id).await?;
            let found = held.into_iter().find(|key| key.value.id == id).ok_or_else(Error::not_found)?;
            let key = &found.value;
            let mut note = Note::of(Event::ApiKeyDeleted, user).detail("key", &key.id).detail("label", &key.label);
            if let Some(reason) = reason {
                note = note.reason(reason);
            }
            // Of two at once, one removes it; the other does not find it any more.
            let batch = Batch::default().expect(keys::api_key(&key.hash), Expect::Version(found.version));
            if let Some(receipt) = self.commit(self.audited(remove_api_key(batch, key), note)).await? {
                return Ok((found.value.label, receipt.appended.last().copied().unwrap_or_default()));
            }
        }
    }

    pub(super) async fn api_key_views(&self, user: &User) -> Result<Vec<ApiKeyView>> {
        let held = self.records().api_keys_of(user.id).await?;
        Ok(held.iter().map(|key| view(&key.value, user)).collect())
    }
}

fn view(key: &ApiKey, user: &User) -> ApiKeyView {
    ApiKeyView {
        id: key.id.clone(),
        label: key.label.clone(),
        value: None,
        mask_value: Some(key.mask.clone()),
        created_at: key.created_at.to_rfc3339_z(),
        last_used_at: key.last_used_at.map(Timestamp::to_rfc3339_z),
        last_rolled_at: key.last_rolled_at.map(Timestamp::to_rfc3339_z),
        user_id: user.number,
        scopes: key.scopes.clone(),
        scoped_teams: key.scoped_teams.clone(),
        scoped_organizations: key.scoped_organizations.iter().map(Uuid::to_string).collect(),
        description: key.description.clone(),
        is_legacy_hashing: false,
        local_dev_value: None,
    }
}
