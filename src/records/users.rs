//! Users and their indexes.

use uuid::Uuid;

use super::codec::{self, Decode, Encode};
use super::{Records, Result, Versioned, cursor, id_from, keys, put, trailing_user};
use crate::domain::backoff::Failures;
use crate::domain::email::EmailAddress;
use crate::domain::id::{OrganizationId, UserId};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::user::{BackupCode, FactorState, PasswordHash, Preferences, SecondFactor, TotpDevice, User};
use crate::domain::vault::Sealed;
use crate::store::{Batch, Cursor, Expect, Order};

/// Which users a listing by state shows; `None` means all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateFilter {
    pub state: Option<FactorState>,
    pub is_staff: Option<bool>,
}

impl Records {
    pub async fn user(&self, id: UserId) -> Result<Option<Versioned<User>>> {
        self.read(&keys::user(id)).await
    }

    /// Several users, in the order asked; those that are gone are left out.
    pub async fn users(&self, ids: &[UserId]) -> Result<Vec<User>> {
        let keys: Vec<Vec<u8>> = ids.iter().map(|id| keys::user(*id)).collect();
        Ok(self.read_many(&keys).await?.into_iter().map(|user| user.value).collect())
    }

    pub async fn user_id_by_email(&self, address: &EmailAddress) -> Result<Option<UserId>> {
        self.user_id_at(&keys::email(address.as_str())).await
    }

    pub async fn user_id_by_number(&self, number: u64) -> Result<Option<UserId>> {
        self.user_id_at(&keys::user_number(number)).await
    }

    /// Ids of users, active or not, by `id` on the wire, behind the number `after`.
    pub async fn user_ids_after(&self, after: u64, limit: usize) -> Result<Vec<UserId>> {
        let after = Cursor(keys::user_number(after));
        let page = self.store.scan(keys::USER_NUMBER, Some(&after), limit, Order::Ascending).await?;
        page.entries.iter().map(|entry| id_from(&entry.key, &entry.value)).collect()
    }

    /// Ids of active users, all or of one role, by `id` on the wire: at most `limit`, behind the first `offset`. Costs
    /// what it passes over, in index entries; no user is read.
    pub async fn active_user_ids(&self, is_staff: Option<bool>, offset: usize, limit: usize) -> Result<Vec<UserId>> {
        let found = self.window(&keys::active_user_prefix(is_staff), Order::Ascending, offset, limit).await?;
        found.iter().map(|entry| id_from(&entry.key, &entry.value)).collect()
    }

    /// How many active users there are, all or of one role.
    pub async fn active_users(&self, is_staff: Option<bool>) -> Result<u64> {
        let mut count = 0;
        for role in [true, false].into_iter().filter(|role| is_staff.is_none_or(|wanted| wanted == *role)) {
            count += self.counter(keys::active_users_counter(role)).await?.max(0).cast_unsigned();
        }
        Ok(count)
    }

    /// How many users, active or not, of a role are in a state.
    pub async fn users_in_state(&self, is_staff: bool, state: FactorState) -> Result<u64> {
        Ok(self.counter(&keys::users_in_state_counter(is_staff, state)).await?.max(0).cast_unsigned())
    }

    /// A page of user ids whose e-mail starts with `prefix`, ordered by e-mail, behind the address `after`.
    pub async fn user_ids_by_email(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<UserId>> {
        let after = cursor(after.map(keys::email));
        let page = self.store.scan(&keys::email(prefix), after.as_ref(), limit, Order::Ascending).await?;
        page.entries.into_iter().map(|entry| id_from(&entry.key, &entry.value)).collect()
    }

    /// A page of user ids of a role and state, ordered by e-mail, behind the address `after`: the ranges of the index
    /// that the filter allows, merged.
    pub async fn user_ids_by_state(
        &self,
        filter: StateFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<UserId>> {
        let mut found: Vec<(Vec<u8>, UserId)> = Vec::new();
        for is_staff in [true, false].into_iter().filter(|role| filter.is_staff.is_none_or(|wanted| wanted == *role)) {
            for state in FactorState::ALL.into_iter().filter(|state| filter.state.is_none_or(|wanted| wanted == *state))
            {
                let prefix = keys::user_state_prefix(is_staff, state);
                let after = after.map(|address| Cursor(keys::user_state(is_staff, state, address)));
                let page = self.store.scan(&prefix, after.as_ref(), limit, Order::Ascending).await?;
                for entry in page.entries {
                    let address = entry.key.strip_prefix(prefix.as_slice()).unwrap_or_default().to_vec();
                    found.push((address, id_from(&entry.key, &entry.value)?));
                }
            }
        }
        found.sort();
        found.truncate(limit);
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }

    /// Ids of users with a word of name or e-mail that starts with `start`, in the order of the words.
    pub async fn user_ids_by_word(&self, start: &str, limit: usize) -> Result<Vec<UserId>> {
        self.trailing_user_ids(&keys::word_prefix(start), limit).await
    }

    /// Ids of users with this full name (compared without case).
    pub async fn user_ids_by_name(&self, full_name: &str, limit: usize) -> Result<Vec<UserId>> {
        self.trailing_user_ids(&keys::name_prefix(&name_for_index(full_name)), limit).await
    }

    async fn trailing_user_ids(&self, prefix: &[u8], limit: usize) -> Result<Vec<UserId>> {
        let page = self.scan(prefix, limit).await?;
        page.entries.iter().map(|entry| trailing_user(&entry.key)).collect()
    }

    async fn user_id_at(&self, key: &[u8]) -> Result<Option<UserId>> {
        self.store.get(key).await?.map(|entry| id_from(key, &entry.value)).transpose()
    }
}

/// Adds a user's record and the changes of all its indexes and counters to a batch. `before` is the user as it was
/// read, with its version; `None` creates. A new address must be free, and the record must not have moved meanwhile:
/// the batch expects both.
pub fn put_user(mut batch: Batch, before: Option<&Versioned<User>>, user: &User) -> Batch {
    let key = keys::user(user.id);
    let old = before.map(|before| &before.value);
    batch = match before {
        Some(before) => batch.expect(key.clone(), Expect::Version(before.version)),
        None => batch
            .expect(key.clone(), Expect::Absent)
            .expect(keys::user_number(user.number), Expect::Absent)
            .put(keys::user_number(user.number), user.id.as_bytes().to_vec())
            .put(keys::user_created(user.date_joined, user.id), Vec::new())
            .add(keys::USERS_COUNTER, 1),
    };
    if old.is_none_or(|old| old.email != user.email) {
        let address = keys::email(user.email.as_str());
        batch = batch.expect(address.clone(), Expect::Absent).put(address, user.id.as_bytes().to_vec());
        if let Some(old) = old {
            batch = batch.delete(keys::email(old.email.as_str()));
        }
    }
    batch = change_indexes(batch, old, Some(user));
    put(batch, key, user)
}

/// Adds the removal of a user's record and all its indexes to a batch. What belongs to the user besides (sessions,
/// keys) is the caller's to remove.
pub fn remove_user(batch: Batch, user: &Versioned<User>) -> Batch {
    let Versioned { value: user, version } = user;
    let batch = batch
        .expect(keys::user(user.id), Expect::Version(*version))
        .delete(keys::user(user.id))
        .delete(keys::email(user.email.as_str()))
        .delete(keys::user_number(user.number))
        .delete(keys::user_created(user.date_joined, user.id))
        .add(keys::USERS_COUNTER, -1);
    change_indexes(batch, Some(user), None)
}

/// The indexes that follow from the user's values: activity, state, words, name.
fn change_indexes(batch: Batch, old: Option<&User>, new: Option<&User>) -> Batch {
    let mut batch = change_active_lists(batch, old, new);
    let state = |user: &User| (user.is_staff, user.second_factor.state(), user.email.clone());
    let (before, after) = (old.map(state), new.map(state));
    if before != after {
        if let Some((is_staff, state, email)) = &before {
            batch = batch.delete(keys::user_state(*is_staff, *state, email.as_str()));
            batch = batch.add(keys::users_in_state_counter(*is_staff, *state), -1);
        }
        if let (Some((is_staff, state, email)), Some(user)) = (&after, new) {
            batch = batch.put(keys::user_state(*is_staff, *state, email.as_str()), user.id.as_bytes().to_vec());
            batch = batch.add(keys::users_in_state_counter(*is_staff, *state), 1);
        }
    }
    let (before, after) = (old.map(search_keys).unwrap_or_default(), new.map(search_keys).unwrap_or_default());
    for key in before.iter().filter(|key| !after.contains(key)) {
        batch = batch.delete(key.clone());
    }
    for key in after.iter().filter(|key| !before.contains(key)) {
        batch = batch.put(key.clone(), Vec::new());
    }
    batch
}

/// The lists of active users, and how many are in them.
fn change_active_lists(mut batch: Batch, old: Option<&User>, new: Option<&User>) -> Batch {
    let (old, new) = (old.filter(|user| user.is_active), new.filter(|user| user.is_active));
    if old.map(|user| user.is_staff) == new.map(|user| user.is_staff) {
        return batch;
    }
    if let Some(user) = old {
        batch = batch
            .delete(keys::active_user(None, user.number))
            .delete(keys::active_user(Some(user.is_staff), user.number))
            .add(keys::active_users_counter(user.is_staff), -1);
    }
    if let Some(user) = new {
        let id = user.id.as_bytes().to_vec();
        batch = batch
            .put(keys::active_user(None, user.number), id.clone())
            .put(keys::active_user(Some(user.is_staff), user.number), id)
            .add(keys::active_users_counter(user.is_staff), 1);
    }
    batch
}

/// The keys under which a search finds the user: word starts of name and e-mail, and the full name.
fn search_keys(user: &User) -> Vec<Vec<u8>> {
    let searchable = format!("{} {} {}", user.first_name, user.last_name, user.email);
    let mut found: Vec<Vec<u8>> = text::words(&searchable).iter().map(|word| keys::word(word, user.id)).collect();
    let name = name_for_index(&user.full_name());
    if !name.is_empty() {
        found.push(keys::name(&name, user.id));
    }
    found
}

/// Lower case, and short enough for a key.
fn name_for_index(full_name: &str) -> String {
    full_name.to_lowercase().chars().take(80).collect()
}

/// Format 1. Free values are kept as JSON text, since this encoding does not describe itself.
#[derive(Encode, Decode)]
struct UserV1 {
    id: [u8; 16],
    number: u64,
    distinct_id: String,
    email: String,
    pending_email: Option<String>,
    pending_email_at: Option<i64>,
    is_email_verified: Option<bool>,
    previous_email: Option<String>,
    email_changed_at: Option<i64>,
    first_name: String,
    last_name: String,
    password_hash: Option<String>,
    password_changed_at: Option<i64>,
    requested_password_reset_at: Option<i64>,
    is_active: bool,
    is_staff: bool,
    date_joined: i64,
    last_login: Option<i64>,
    preferences: PreferencesV1,
    current_organization: Option<[u8; 16]>,
    current_team: Option<u64>,
    session_epoch: u32,
    remember_epoch: u32,
    known_devices: Vec<[u8; 8]>,
    second_factor: SecondFactorV1,
}

#[derive(Encode, Decode)]
struct PreferencesV1 {
    notification_settings: String,
    anonymize_data: Option<bool>,
    toolbar_mode: Option<String>,
    events_column_config: String,
    has_seen_product_intro_for: String,
    scene_personalisation: String,
    theme_mode: Option<String>,
    hedgehog_config: String,
    role_at_organization: Option<String>,
    allow_impersonation: Option<bool>,
    allow_sidebar_suggestions: Option<bool>,
    shortcut_position: Option<String>,
    hide_mcp_hints: bool,
    ui_configuration: String,
}

#[derive(Encode, Decode)]
struct SecondFactorV1 {
    totp: Option<TotpDeviceV1>,
    backup_codes: Vec<BackupCodeV1>,
    backup_codes_issued: u32,
    backup_codes_made_at: Option<i64>,
    backup_code_used_at: Option<i64>,
    totp_failures: (u32, i64),
    backup_code_failures: (u32, i64),
    enrol_from: Option<i64>,
    generation: u32,
    last_reset_at: Option<i64>,
}

#[derive(Encode, Decode)]
struct TotpDeviceV1 {
    secret: Vec<u8>,
    confirmed_at: i64,
    last_used_at: Option<i64>,
    last_step: i64,
    disabled: bool,
}

#[derive(Encode, Decode)]
struct BackupCodeV1 {
    mac: [u8; 32],
    sealed: Vec<u8>,
}

codec::record!(User, UserV1, 1);

impl From<&User> for UserV1 {
    fn from(user: &User) -> Self {
        Self {
            id: *user.id.as_bytes(),
            number: user.number,
            distinct_id: user.distinct_id.clone(),
            email: user.email.as_str().to_owned(),
            pending_email: user.pending_email.as_ref().map(|email| email.as_str().to_owned()),
            pending_email_at: micros(user.pending_email_at),
            is_email_verified: user.is_email_verified,
            previous_email: user.previous_email.as_ref().map(|email| email.as_str().to_owned()),
            email_changed_at: micros(user.email_changed_at),
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
            password_hash: user.password_hash.as_ref().map(|hash| hash.0.clone()),
            password_changed_at: micros(user.password_changed_at),
            requested_password_reset_at: micros(user.requested_password_reset_at),
            is_active: user.is_active,
            is_staff: user.is_staff,
            date_joined: user.date_joined.as_micros(),
            last_login: micros(user.last_login),
            preferences: (&user.preferences).into(),
            current_organization: user.current_organization.map(|id| *id.as_bytes()),
            current_team: user.current_team,
            session_epoch: user.session_epoch,
            remember_epoch: user.remember_epoch,
            known_devices: user.known_devices.clone(),
            second_factor: (&user.second_factor).into(),
        }
    }
}

impl TryFrom<UserV1> for User {
    type Error = ();

    fn try_from(stored: UserV1) -> std::result::Result<Self, ()> {
        Ok(Self {
            id: UserId(Uuid::from_bytes(stored.id)),
            number: stored.number,
            distinct_id: stored.distinct_id,
            email: EmailAddress::try_from(stored.email).map_err(|_| ())?,
            pending_email: stored.pending_email.map(EmailAddress::try_from).transpose().map_err(|_| ())?,
            pending_email_at: timestamp(stored.pending_email_at),
            is_email_verified: stored.is_email_verified,
            previous_email: stored.previous_email.map(EmailAddress::try_from).transpose().map_err(|_| ())?,
            email_changed_at: timestamp(stored.email_changed_at),
            first_name: stored.first_name,
            last_name: stored.last_name,
            password_hash: stored.password_hash.map(PasswordHash),
            password_changed_at: timestamp(stored.password_changed_at),
            requested_password_reset_at: timestamp(stored.requested_password_reset_at),
            is_active: stored.is_active,
            is_staff: stored.is_staff,
            date_joined: Timestamp::from_micros(stored.date_joined),
            last_login: timestamp(stored.last_login),
            preferences: stored.preferences.try_into()?,
            current_organization: stored.current_organization.map(|id| OrganizationId(Uuid::from_bytes(id))),
            current_team: stored.current_team,
            session_epoch: stored.session_epoch,
            remember_epoch: stored.remember_epoch,
            known_devices: stored.known_devices,
            second_factor: stored.second_factor.into(),
        })
    }
}

impl From<&Preferences> for PreferencesV1 {
    fn from(preferences: &Preferences) -> Self {
        let settings = serde_json::to_string(&preferences.notification_settings);
        Self {
            notification_settings: settings.unwrap_or_default(),
            anonymize_data: preferences.anonymize_data,
            toolbar_mode: preferences.toolbar_mode.clone(),
            events_column_config: preferences.events_column_config.to_string(),
            has_seen_product_intro_for: preferences.has_seen_product_intro_for.to_string(),
            scene_personalisation: preferences.scene_personalisation.to_string(),
            theme_mode: preferences.theme_mode.clone(),
            hedgehog_config: preferences.hedgehog_config.to_string(),
            role_at_organization: preferences.role_at_organization.clone(),
            allow_impersonation: preferences.allow_impersonation,
            allow_sidebar_suggestions: preferences.allow_sidebar_suggestions,
            shortcut_position: preferences.shortcut_position.clone(),
            hide_mcp_hints: preferences.hide_mcp_hints,
            ui_configuration: preferences.ui_configuration.to_string(),
        }
    }
}

impl TryFrom<PreferencesV1> for Preferences {
    type Error = ();

    fn try_from(stored: PreferencesV1) -> std::result::Result<Self, ()> {
        fn json<T: serde::de::DeserializeOwned>(text: &str) -> std::result::Result<T, ()> {
            serde_json::from_str(text).map_err(|_| ())
        }
        Ok(Self {
            notification_settings: json(&stored.notification_settings)?,
            anonymize_data: stored.anonymize_data,
            toolbar_mode: stored.toolbar_mode,
            events_column_config: json(&stored.events_column_config)?,
            has_seen_product_intro_for: json(&stored.has_seen_product_intro_for)?,
            scene_personalisation: json(&stored.scene_personalisation)?,
            theme_mode: stored.theme_mode,
            hedgehog_config: json(&stored.hedgehog_config)?,
            role_at_organization: stored.role_at_organization,
            allow_impersonation: stored.allow_impersonation,
            allow_sidebar_suggestions: stored.allow_sidebar_suggestions,
            shortcut_position: stored.shortcut_position,
            hide_mcp_hints: stored.hide_mcp_hints,
            ui_configuration: json(&stored.ui_configuration)?,
        })
    }
}

impl From<&SecondFactor> for SecondFactorV1 {
    fn from(factor: &SecondFactor) -> Self {
        let failures = |failures: Failures| (failures.count, failures.last_at.as_micros());
        Self {
            totp: factor.totp.as_ref().map(|device| TotpDeviceV1 {
                secret: device.secret.0.clone(),
                confirmed_at: device.confirmed_at.as_micros(),
                last_used_at: micros(device.last_used_at),
                last_step: device.last_step,
                disabled: device.disabled,
            }),
            backup_codes: factor
                .backup_codes
                .iter()
                .map(|code| BackupCodeV1 { mac: code.mac, sealed: code.sealed.0.clone() })
                .collect(),
            backup_codes_issued: factor.backup_codes_issued,
            backup_codes_made_at: micros(factor.backup_codes_made_at),
            backup_code_used_at: micros(factor.backup_code_used_at),
            totp_failures: failures(factor.totp_failures),
            backup_code_failures: failures(factor.backup_code_failures),
            enrol_from: micros(factor.enrol_from),
            generation: factor.generation,
            last_reset_at: micros(factor.last_reset_at),
        }
    }
}

impl From<SecondFactorV1> for SecondFactor {
    fn from(stored: SecondFactorV1) -> Self {
        let failures = |(count, last_at)| Failures { count, last_at: Timestamp::from_micros(last_at) };
        Self {
            totp: stored.totp.map(|device| TotpDevice {
                secret: Sealed(device.secret),
                confirmed_at: Timestamp::from_micros(device.confirmed_at),
                last_used_at: timestamp(device.last_used_at),
                last_step: device.last_step,
                disabled: device.disabled,
            }),
            backup_codes: stored
                .backup_codes
                .into_iter()
                .map(|code| BackupCode { mac: code.mac, sealed: Sealed(code.sealed) })
                .collect(),
            backup_codes_issued: stored.backup_codes_issued,
            backup_codes_made_at: timestamp(stored.backup_codes_made_at),
            backup_code_used_at: timestamp(stored.backup_code_used_at),
            totp_failures: failures(stored.totp_failures),
            backup_code_failures: failures(stored.backup_code_failures),
            enrol_from: timestamp(stored.enrol_from),
            generation: stored.generation,
            last_reset_at: timestamp(stored.last_reset_at),
        }
    }
}

pub(super) fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_micros)
}

pub(super) fn timestamp(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_micros)
}
