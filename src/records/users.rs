//! Users and their indexes.

use uuid::Uuid;

use super::codec::{self, Decode, Deserialize, Encode, Serialize};
use super::{Records, Result, Versioned, id_from, json, keys, put, trailing_user};
use crate::domain::backoff::Failures;
use crate::domain::email::EmailAddress;
use crate::domain::id::{OrganizationId, UserId};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::user::{BackupCode, FactorState, PasswordHash, Preferences, SecondFactor, TotpDevice, User};
use crate::domain::user_place::{name_key, second_of};
use crate::domain::vault::Sealed;
use crate::store::{Batch, Cursor, Expect, Order};

/// Up to so many backup codes are few: there is an index of those who have no more.
pub const CODES_INDEXED_MAX: u8 = 3;

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

    /// How many users wait for the verification of a new address, and since when the first of them does.
    pub async fn pending_emails(&self) -> Result<(u64, Option<Timestamp>)> {
        let count = self.counter(keys::PENDING_EMAILS_COUNTER).await?.max(0).cast_unsigned();
        let first = self.scan(keys::USER_PENDING_EMAIL, 1).await?;
        Ok((count, first.entries.first().and_then(|entry| keys::parse_user_time(&entry.key))))
    }

    /// Since when (or from when on) a device is demanded of the first of those who have none.
    pub async fn first_demanded(&self) -> Result<Option<Timestamp>> {
        let first = self.scan(keys::USER_DEMANDED, 1).await?;
        Ok(first.entries.first().and_then(|entry| keys::parse_user_time(&entry.key)))
    }

    /// How many users have a device and so many backup codes at most; `None` where that is not counted.
    pub async fn users_with_codes(&self, at_most: u8) -> Result<Option<u64>> {
        if at_most > CODES_INDEXED_MAX {
            return Ok(None);
        }
        let mut count = 0;
        for codes in 0..=at_most {
            count += self.counter(&keys::users_with_codes_counter(codes)).await?.max(0).cast_unsigned();
        }
        Ok(Some(count))
    }

    /// At most `limit` users of a list that is kept in one or more ranges of keys, each ordered by what is behind its
    /// prefix: the ranges merged, behind `after`. With each user comes what is behind the prefix.
    pub async fn user_list(
        &self,
        prefixes: &[Vec<u8>],
        after: Option<&[u8]>,
        limit: usize,
        order: Order,
    ) -> Result<Vec<(Vec<u8>, UserId)>> {
        let mut found: Vec<(Vec<u8>, UserId)> = Vec::new();
        for prefix in prefixes {
            let after = after.map(|after| Cursor([prefix.as_slice(), after].concat()));
            let page = self.store.scan(prefix, after.as_ref(), limit, order).await?;
            for entry in page.entries {
                let behind = entry.key.strip_prefix(prefix.as_slice()).unwrap_or_default().to_vec();
                let in_value = !entry.value.is_empty();
                let id = if in_value { id_from(&entry.key, &entry.value)? } else { trailing_user(&entry.key)? };
                found.push((behind, id));
            }
        }
        if prefixes.len() > 1 {
            found.sort();
            if order == Order::Descending {
                found.reverse();
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// What is known of a user besides the record itself; `None` when there is no such user.
    pub async fn user_besides(&self, id: UserId, now: Timestamp) -> Result<Option<UserBesides>> {
        let key = keys::user(id);
        let Some(entry) = self.store.get(&key).await? else { return Ok(None) };
        let epoch = Glance::decode(&key, &entry.value)?.session_epoch;
        let sessions = self.sessions_of(id).await?;
        Ok(Some(UserBesides {
            has_keys: self.has_api_keys(id).await?,
            has_failed_mail: !self.scan(&keys::user_failed_mail_prefix(id), 1).await?.entries.is_empty(),
            has_sessions: sessions.iter().any(|(_, session)| session.epoch == epoch && now < session.expires_at),
        }))
    }

    /// Ids of users with a word of name or e-mail that starts with `start`, in the order of the words.
    pub async fn user_ids_by_word(&self, start: &str, limit: usize) -> Result<Vec<UserId>> {
        self.trailing_user_ids(&keys::word_prefix(start), limit).await
    }

    /// Ids of users with this full name (compared without case).
    pub async fn user_ids_by_name(&self, full_name: &str, limit: usize) -> Result<Vec<UserId>> {
        self.trailing_user_ids(&keys::name_prefix(name_key(&text::folded(full_name))), limit).await
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
/// the batch expects both. What does not change is not written.
pub fn put_user(mut batch: Batch, before: Option<&Versioned<User>>, user: &User) -> Batch {
    let key = keys::user(user.id);
    let old = before.map(|before| &before.value);
    batch = match before {
        Some(before) => batch.expect(key.clone(), Expect::Version(before.version)),
        None => batch.expect(key.clone(), Expect::Absent).expect(keys::user_number(user.number), Expect::Absent),
    };
    if old.is_none_or(|old| old.email != user.email) {
        batch = batch.expect(keys::email(user.email.as_str()), Expect::Absent);
    }
    put(change_indexes(batch, old, Some(user)), key, user)
}

/// Adds the removal of a user's record and all its indexes to a batch. What belongs to the user besides (sessions,
/// keys) is the caller's to remove.
pub fn remove_user(batch: Batch, user: &Versioned<User>) -> Batch {
    let Versioned { value: user, version } = user;
    let batch = batch.expect(keys::user(user.id), Expect::Version(*version)).delete(keys::user(user.id));
    change_indexes(batch, Some(user), None)
}

/// The difference between the indexes and counters that follow from a user's old and new values.
fn change_indexes(mut batch: Batch, old: Option<&User>, new: Option<&User>) -> Batch {
    let (before, after) = (old.map(index_entries).unwrap_or_default(), new.map(index_entries).unwrap_or_default());
    for (key, _) in before.iter().filter(|(key, _)| !after.iter().any(|(other, _)| other == key)) {
        batch = batch.delete(key.clone());
    }
    for (key, value) in after.iter().filter(|entry| !before.contains(entry)) {
        batch = batch.put(key.clone(), value.clone());
    }
    let (before, after) = (old.map(counted_in).unwrap_or_default(), new.map(counted_in).unwrap_or_default());
    for counter in before.iter().filter(|counter| !after.contains(counter)) {
        batch = batch.add(counter.clone(), -1);
    }
    for counter in after.iter().filter(|counter| !before.contains(counter)) {
        batch = batch.add(counter.clone(), 1);
    }
    batch
}

/// Every index entry that follows from a user's record, with its value.
pub fn index_entries(user: &User) -> Vec<(Vec<u8>, Vec<u8>)> {
    let id = user.id.as_bytes().to_vec();
    let factor = &user.second_factor;
    let mut entries = vec![
        (keys::email(user.email.as_str()), id.clone()),
        (keys::user_number(user.number), id.clone()),
        (keys::user_created(second_of(Some(user.date_joined)), user.id), Vec::new()),
        (keys::user_signed_in(second_of(user.last_login), user.id), Vec::new()),
        (keys::user_state(user.is_staff, factor.state(), user.email.as_str()), id.clone()),
        (keys::name(name_key(&text::folded(&user.full_name())), user.id), Vec::new()),
    ];
    if user.is_active {
        entries.push((keys::active_user(None, user.number), id.clone()));
        entries.push((keys::active_user(Some(user.is_staff), user.number), id));
    }
    if user.pending_email.is_some() {
        entries.push((keys::user_pending_email(user.pending_email_at.unwrap_or_default(), user.id), Vec::new()));
    }
    if let (FactorState::Enrol, Some(from)) = (factor.state(), factor.enrol_from) {
        entries.push((keys::user_demanded(from, user.id), Vec::new()));
    }
    entries.extend(few_codes(user).map(|codes| (keys::user_codes(codes, user.id), Vec::new())));
    entries.extend(factor.waits_until().map(|until| (keys::user_waits(until, user.id), Vec::new())));
    // A search finds the word starts of name and address.
    let searchable = format!("{} {} {}", user.first_name, user.last_name, user.email);
    entries.extend(text::words(&searchable).iter().map(|word| (keys::word(word, user.id), Vec::new())));
    entries
}

/// The counters in which a user counts as one.
pub fn counted_in(user: &User) -> Vec<Vec<u8>> {
    let mut counters =
        vec![keys::USERS_COUNTER.to_vec(), keys::users_in_state_counter(user.is_staff, user.second_factor.state())];
    if user.is_active {
        counters.push(keys::active_users_counter(user.is_staff).to_vec());
    }
    if user.pending_email.is_some() {
        counters.push(keys::PENDING_EMAILS_COUNTER.to_vec());
    }
    counters.extend(few_codes(user).map(keys::users_with_codes_counter));
    counters
}

/// How many backup codes a user with a device has, where they are few enough for the index.
fn few_codes(user: &User) -> Option<u8> {
    let codes = u8::try_from(user.second_factor.backup_codes.len()).ok()?;
    (user.second_factor.is_enabled() && codes <= CODES_INDEXED_MAX).then_some(codes)
}

/// What listings look at, of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    pub id: UserId,
    pub email: String,
    /// Full name, folded.
    pub name: String,
    pub is_staff: bool,
    pub state: FactorState,
    pub backup_codes: usize,
    pub is_email_pending: bool,
    /// See [`SecondFactor::waits_until`].
    pub waits_until: Option<Timestamp>,
    /// Seconds, see [`second_of`].
    pub last_login: u32,
    pub made: u32,
    pub session_epoch: u32,
}

/// What other records than the user's own say of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserBesides {
    pub has_keys: bool,
    pub has_failed_mail: bool,
    pub has_sessions: bool,
}

impl Glance {
    /// Reads a stored user, without what listings do not look at.
    pub fn decode(key: &[u8], bytes: &[u8]) -> Result<Self> {
        let stored: UserV1 = codec::decode_stored(key, bytes, 1)?;
        let factor = SecondFactor::from(stored.second_factor);
        let name = format!("{} {}", stored.first_name, stored.last_name);
        Ok(Self {
            id: UserId(Uuid::from_bytes(stored.id)),
            name: text::folded(name.trim()),
            email: stored.email,
            is_staff: stored.is_staff,
            state: factor.state(),
            backup_codes: factor.backup_codes.len(),
            is_email_pending: stored.pending_email.is_some(),
            waits_until: factor.waits_until(),
            last_login: second_of(timestamp(stored.last_login)),
            made: second_of(Some(Timestamp::from_micros(stored.date_joined))),
            session_epoch: stored.session_epoch,
        })
    }
}

/// Format 1. Free values are kept as JSON text, since this encoding does not describe itself.
#[derive(Encode, Decode, Serialize, Deserialize)]
struct UserV1 {
    #[serde(with = "json::bytes")]
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
    #[serde(with = "json::bytes")]
    current_organization: Option<[u8; 16]>,
    current_team: Option<u64>,
    session_epoch: u32,
    remember_epoch: u32,
    #[serde(with = "json::bytes")]
    known_devices: Vec<[u8; 8]>,
    second_factor: SecondFactorV1,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct PreferencesV1 {
    #[serde(with = "json::embedded")]
    notification_settings: String,
    anonymize_data: Option<bool>,
    toolbar_mode: Option<String>,
    #[serde(with = "json::embedded")]
    events_column_config: String,
    #[serde(with = "json::embedded")]
    has_seen_product_intro_for: String,
    #[serde(with = "json::embedded")]
    scene_personalisation: String,
    theme_mode: Option<String>,
    #[serde(with = "json::embedded")]
    hedgehog_config: String,
    role_at_organization: Option<String>,
    allow_impersonation: Option<bool>,
    allow_sidebar_suggestions: Option<bool>,
    shortcut_position: Option<String>,
    hide_mcp_hints: bool,
    #[serde(with = "json::embedded")]
    ui_configuration: String,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
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

#[derive(Encode, Decode, Serialize, Deserialize)]
struct TotpDeviceV1 {
    #[serde(with = "json::bytes")]
    secret: Vec<u8>,
    confirmed_at: i64,
    last_used_at: Option<i64>,
    last_step: i64,
    disabled: bool,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct BackupCodeV1 {
    /// Made anew of the code, by the key of whoever takes it over.
    #[serde(skip)]
    mac: [u8; 32],
    #[serde(rename = "code", with = "json::opened")]
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
