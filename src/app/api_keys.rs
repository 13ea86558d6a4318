//! Personal API keys (spec §3.8).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::audit::Note;
use super::permission::{KeyRule, unsupported_on_keys};
use super::safety::Proven;
use super::views::ApiKeyView;
use super::{Context, Identity, Operation, Permission, Tries, random};
use crate::domain::api_key::{ApiKey, KEYS_PER_USER_MAX, mask};
use crate::domain::audit::Event;
use crate::domain::fields::{FieldError, Fields};
use crate::domain::id::UserId;
use crate::domain::input::Input;
use crate::domain::key_patch::KeyPatch;
use crate::domain::mail::MailKind;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::vault::sha256;
use crate::error::{Error, Result};
use crate::records::{Versioned, keys, move_api_key, put_api_key, remove_api_key};
use crate::store::{Batch, Expect};

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
        Ok(view(&cx.api_key_of(caller.id, &self.id).await?.value, caller))
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
    const INPUTS: &'static [Input] = KeyPatch::INPUTS;
    type Reply = ApiKeyView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let wanted = KeyPatch::parse(&self.fields, true)?;
        cx.create_api_key(cx.require_caller()?.id, &wanted).await
    }
}

/// `PATCH` and `PUT /api/personal_api_keys/{id}`; `replace` is PUT.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateApiKey {
    pub id: String,
    pub fields: Fields,
    pub replace: bool,
}

impl Operation for UpdateApiKey {
    const NAME: &'static str = "update_api_key";
    const NEEDS: Permission = Permission::USER.key(KeyRule::UnsupportedOnKeys).sensitive();
    const INPUTS: &'static [Input] = KeyPatch::INPUTS;
    type Reply = ApiKeyView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let caller = cx.require_caller()?.id;
        // Somebody else's key is not there, whatever the body says.
        cx.api_key_of(caller, &self.id).await?;
        let patch = KeyPatch::parse(&self.fields, self.replace)?;
        cx.update_api_key(caller, &self.id, &patch).await
    }
}

/// `POST /api/personal_api_keys/{id}/roll`: a new value, which is only in this answer; the old one dies at once and
/// everything else stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RollApiKey {
    pub id: String,
}

impl Operation for RollApiKey {
    const NAME: &'static str = "roll_api_key";
    const NEEDS: Permission = Permission::USER.key(KeyRule::UnsupportedOnKeys).sensitive();
    type Reply = ApiKeyView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.roll_api_key(cx.require_caller()?.id, &self.id, None).await
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

impl Context<'_> {
    /// An own key by its id.
    async fn api_key_of(&self, user: UserId, id: &str) -> Result<Versioned<ApiKey>> {
        let held = self.records().api_keys_of(user).await?;
        held.into_iter().find(|key| key.value.id == id).ok_or_else(Error::not_found)
    }

    /// A key reaches no further than its owner: only the owner's own teams and organizations may be named (spec §2.10).
    async fn refuse_foreign_places(&self, owner: UserId, patch: &KeyPatch) -> Result<()> {
        let teams = patch.scoped_teams.as_deref().unwrap_or_default();
        let organizations = patch.scoped_organizations.as_deref().unwrap_or_default();
        if teams.is_empty() && organizations.is_empty() {
            return Ok(());
        }
        let own: Vec<Uuid> = self.places_of(owner).await?.iter().map(|place| place.organization.id.0).collect();
        for team in teams {
            let team = match u64::try_from(*team) {
                Ok(number) => self.records().team(number).await?,
                Err(_) => None,
            };
            if team.is_none_or(|team| !own.contains(&team.organization.0)) {
                let detail = "You must be a member of all teams that you are scoping the key to.";
                return Err(FieldError::invalid(detail, "scoped_teams").into());
            }
        }
        if organizations.iter().any(|id| !own.contains(id)) {
            let detail = "You must be a member of all organizations that you are scoping the key to.";
            return Err(FieldError::invalid(detail, "scoped_organizations").into());
        }
        Ok(())
    }

    pub(super) async fn create_api_key(&self, id: UserId, wanted: &KeyPatch) -> Result<ApiKeyView> {
        self.refuse_foreign_places(id, wanted).await?;
        let value = new_value()?;
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
            let mut key = ApiKey {
                id: random::token()?.expose().to_owned(),
                user: id,
                label: String::new(),
                description: None,
                mask: mask(value.expose()),
                hash: sha256(value.expose().as_bytes()),
                created_at: self.now,
                last_used_at: None,
                last_rolled_at: None,
                scopes: Vec::new(),
                scoped_teams: Vec::new(),
                scoped_organizations: Vec::new(),
            };
            wanted.apply(&mut key);
            let batch = put_api_key(batch, None, &key);
            let batch = self.mailed(batch, &user.value, MailKind::ApiKeyCreated { label: key.label.clone() })?;
            let note = note(Event::ApiKeyCreated, &user.value, &key).detail("scopes", key.scopes.join(" "));
            if self.commit(self.audited(batch, note)).await?.is_some() {
                return Ok(ApiKeyView { value: Some(value), ..view(&key, &user.value) });
            }
        }
    }

    pub(super) async fn update_api_key(&self, user: UserId, id: &str, patch: &KeyPatch) -> Result<ApiKeyView> {
        self.refuse_foreign_places(user, patch).await?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let user = self.user(user).await?.value;
            let before = self.api_key_of(user.id, id).await?;
            let names = patch.changed_fields(&before.value);
            let mut key = before.value.clone();
            patch.apply(&mut key);
            // A change that changes nothing still waits until what it saw is on disk.
            let batch = if names.is_empty() {
                Batch::default().expect(keys::api_key(&key.hash), Expect::Version(before.version))
            } else {
                let note = note(Event::ApiKeyUpdated, &user, &key).detail("fields", names.join(" "));
                self.audited(put_api_key(Batch::default(), Some(&before), &key), note)
            };
            if self.commit(batch).await?.is_some() {
                return Ok(view(&key, &user));
            }
        }
    }

    pub(super) async fn roll_api_key(&self, user: UserId, id: &str, proven: Option<&Proven>) -> Result<ApiKeyView> {
        let value = new_value()?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let user = self.user(user).await?.value;
            // The record moves, and who revokes all keys has to see where to.
            let batch = self.guarded(Batch::default(), &keys::api_key_guard(user.id)).await?;
            let before = self.api_key_of(user.id, id).await?;
            let key = ApiKey {
                mask: mask(value.expose()),
                hash: sha256(value.expose().as_bytes()),
                last_rolled_at: Some(self.now),
                ..before.value.clone()
            };
            let batch = move_api_key(batch, &before, &key);
            let batch = self.mailed(batch, &user, MailKind::ApiKeyRolled { label: key.label.clone() })?;
            let note = note(Event::ApiKeyRolled, &user, &key).maybe_proven(proven);
            if self.commit(self.audited(batch, note)).await?.is_some() {
                return Ok(ApiKeyView { value: Some(value), ..view(&key, &user) });
            }
        }
    }

    pub(super) async fn remove_api_key(&self, user: &User, id: &str, proven: Option<&Proven>) -> Result<(String, u64)> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let found = self.api_key_of(user.id, id).await?;
            let note = note(Event::ApiKeyDeleted, user, &found.value).maybe_proven(proven);
            // Of two at once, one removes it; the other does not find it any more.
            let batch = Batch::default().expect(keys::api_key(&found.value.hash), Expect::Version(found.version));
            if let Some(receipt) = self.commit(self.audited(remove_api_key(batch, &found.value), note)).await? {
                return Ok((found.value.label, receipt.appended.last().copied().unwrap_or_default()));
            }
        }
    }

    /// Removes all keys of a user: how many, and the number of the audit entry.
    pub(super) async fn remove_api_keys(&self, user: &User, proven: &Proven) -> Result<(usize, u64)> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let mut batch = self.guarded(Batch::default(), &keys::api_key_guard(user.id)).await?;
            let held = self.records().api_keys_of(user.id).await?;
            if held.is_empty() {
                return Err(Error::refused("no_api_keys", "there are no API keys to revoke"));
            }
            for key in &held {
                batch = remove_api_key(batch, &key.value);
            }
            let note = Note::of(Event::ApiKeyDeleted, user).proven(proven).detail("api_keys_revoked", held.len());
            if let Some(receipt) = self.commit(self.audited(batch, note)).await? {
                return Ok((held.len(), receipt.appended.last().copied().unwrap_or_default()));
            }
        }
    }

    pub(super) async fn api_key_views(&self, user: &User) -> Result<Vec<ApiKeyView>> {
        let held = self.records().api_keys_of(user.id).await?;
        Ok(held.iter().map(|key| view(&key.value, user)).collect())
    }
}

fn new_value() -> Result<Secret> {
    Ok(Secret::new(format!("phx_{}", random::token()?.expose())))
}

fn note(event: Event, user: &User, key: &ApiKey) -> Note {
    Note::of(event, user).detail("key", &key.id).detail("label", &key.label)
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
