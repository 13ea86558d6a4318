//! Sessions, pending enrolments and remembered devices: what a user's presence consists of.

use std::net::IpAddr;

use uuid::Uuid;

use super::codec::{self, Decode, Deserialize, Encode, Serialize};
use super::users::{micros, timestamp};
use super::{Records, Result, Versioned, json, keys, put};
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::{PENDING_TOTP_SECONDS, PendingLogin, PendingTotp, RememberedDevice, Session};
use crate::domain::time::Timestamp;
use crate::domain::vault::Sealed;
use crate::store::{Batch, Entry, Expect};

/// Most sessions read for one user; older ones are ended at login (see [`crate::app::login`]).
pub const SESSIONS_PER_USER_MAX: usize = 100;

impl Records {
    /// The session found by the SHA-256 of its key.
    pub async fn session(&self, hash: &[u8; 32]) -> Result<Option<Versioned<Session>>> {
        self.read(&keys::session(hash)).await
    }

    /// The sessions with these hashes; those that are gone are left out.
    pub async fn sessions(&self, hashes: &[[u8; 32]]) -> Result<Vec<Session>> {
        let wanted: Vec<Vec<u8>> = hashes.iter().map(keys::session).collect();
        Ok(self.read_many(&wanted).await?.into_iter().map(|session: Versioned<Session>| session.value).collect())
    }

    /// The sessions of a user with their hashes, also those that have ended by epoch or time.
    pub async fn sessions_of(&self, user: UserId) -> Result<Vec<([u8; 32], Session)>> {
        let page = self.scan(&keys::user_session_prefix(user), 2 * SESSIONS_PER_USER_MAX).await?;
        let mut sessions = Vec::with_capacity(page.entries.len());
        for entry in page.entries {
            let hash = session_hash(&entry)?;
            if let Some(session) = self.session(&hash).await? {
                sessions.push((hash, session.value));
            }
        }
        Ok(sessions)
    }

    /// A session of a user by its public id, with its hash.
    pub async fn session_of(&self, user: UserId, id: SessionId) -> Result<Option<([u8; 32], Versioned<Session>)>> {
        let Some(entry) = self.store.get(&keys::user_session(user, id)).await? else { return Ok(None) };
        let hash = session_hash(&entry)?;
        Ok(self.session(&hash).await?.map(|session| (hash, session)))
    }

    /// The enrolment that this credential of the user has under way.
    pub async fn pending_totp(&self, user: UserId, credential: &[u8; 32]) -> Result<Option<Versioned<PendingTotp>>> {
        self.read(&keys::pending_totp(user, credential)).await
    }

    /// Keys of all enrolments that a user has under way.
    pub async fn pending_totp_keys(&self, user: UserId) -> Result<Vec<Vec<u8>>> {
        let page = self.scan(&keys::pending_totp_prefix(user), 20).await?;
        Ok(page.entries.into_iter().map(|entry| entry.key).collect())
    }

    /// The remembered device found by the SHA-256 of its cookie.
    pub async fn remembered(&self, hash: &[u8; 32]) -> Result<Option<Versioned<RememberedDevice>>> {
        self.read(&keys::remembered(hash)).await
    }

    /// The remembered devices of a user with their hashes, also those that have ended.
    pub async fn remembered_of(&self, user: UserId) -> Result<Vec<([u8; 32], RememberedDevice)>> {
        let prefix = keys::user_remembered_prefix(user);
        let page = self.scan(&prefix, 2 * SESSIONS_PER_USER_MAX).await?;
        let mut devices = Vec::with_capacity(page.entries.len());
        for entry in page.entries {
            let hash = entry.key.strip_prefix(prefix.as_slice()).and_then(|rest| rest.try_into().ok());
            let hash: [u8; 32] = hash.ok_or_else(|| codec::corrupt(&entry.key, "not a hash"))?;
            if let Some(device) = self.remembered(&hash).await? {
                devices.push((hash, device.value));
            }
        }
        Ok(devices)
    }
}

impl Versioned<Session> {
    /// Requires that the session has not changed since it was read.
    pub fn expect(&self, batch: Batch, hash: &[u8; 32]) -> Batch {
        batch.expect(keys::session(hash), Expect::Version(self.version))
    }
}

impl Versioned<RememberedDevice> {
    /// Requires that the device has not changed since it was read.
    pub fn expect(&self, batch: Batch, hash: &[u8; 32]) -> Batch {
        batch.expect(keys::remembered(hash), Expect::Version(self.version))
    }
}

/// Adds a session to a batch, with its place in the user's list and its note for the sweeper.
pub fn put_session(batch: Batch, hash: &[u8; 32], session: &Session) -> Batch {
    let key = keys::session(hash);
    let batch = match session.user {
        Some(user) => batch.put(keys::user_session(user, session.id), hash.to_vec()),
        None => batch,
    };
    put(batch.put(keys::expiry(session.expires_at, &key), Vec::new()), key, session)
}

pub fn remove_session(batch: Batch, hash: &[u8; 32], session: &Session) -> Batch {
    let key = keys::session(hash);
    let batch = match session.user {
        Some(user) => batch.delete(keys::user_session(user, session.id)),
        None => batch,
    };
    batch.delete(keys::expiry(session.expires_at, &key)).delete(key)
}

pub fn put_pending_totp(batch: Batch, user: UserId, credential: &[u8; 32], pending: &PendingTotp) -> Batch {
    let key = keys::pending_totp(user, credential);
    let ends = pending.started_at.plus_seconds(PENDING_TOTP_SECONDS);
    put(batch.put(keys::expiry(ends, &key), Vec::new()), key, pending)
}

pub fn put_remembered(batch: Batch, hash: &[u8; 32], device: &RememberedDevice) -> Batch {
    let key = keys::remembered(hash);
    let batch = batch
        .put(keys::user_remembered(device.user, hash), Vec::new())
        .put(keys::expiry(device.expires_at, &key), Vec::new());
    put(batch, key, device)
}

pub fn remove_remembered(batch: Batch, hash: &[u8; 32], device: &RememberedDevice) -> Batch {
    let key = keys::remembered(hash);
    batch.delete(keys::user_remembered(device.user, hash)).delete(keys::expiry(device.expires_at, &key)).delete(key)
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct SessionV1 {
    #[serde(with = "json::bytes")]
    id: [u8; 16],
    #[serde(with = "json::bytes")]
    user: Option<[u8; 16]>,
    epoch: u32,
    created_at: i64,
    expires_at: i64,
    authenticated_at: i64,
    verified_at: Option<i64>,
    last_activity: i64,
    login_method: String,
    address: Option<IpAddr>,
    user_agent: String,
    pending_login: Option<PendingLoginV1>,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct PendingLoginV1 {
    #[serde(with = "json::bytes")]
    user: [u8; 16],
    started_at: i64,
    epoch: u32,
    generation: u32,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct PendingTotpV1 {
    #[serde(with = "json::bytes")]
    secret: Vec<u8>,
    started_at: i64,
    failures: u32,
    generation: u32,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct RememberedDeviceV1 {
    #[serde(with = "json::bytes")]
    user: [u8; 16],
    epoch: u32,
    generation: u32,
    created_at: i64,
    expires_at: i64,
    user_agent: String,
}

codec::record!(Session, SessionV1, 1);
codec::record!(PendingTotp, PendingTotpV1, 1);
codec::record!(RememberedDevice, RememberedDeviceV1, 1);

impl From<&Session> for SessionV1 {
    fn from(session: &Session) -> Self {
        Self {
            id: *session.id.as_bytes(),
            user: session.user.map(|user| *user.as_bytes()),
            epoch: session.epoch,
            created_at: session.created_at.as_micros(),
            expires_at: session.expires_at.as_micros(),
            authenticated_at: session.authenticated_at.as_micros(),
            verified_at: micros(session.verified_at),
            last_activity: session.last_activity.as_micros(),
            login_method: session.login_method.clone(),
            address: session.address,
            user_agent: session.user_agent.clone(),
            pending_login: session.pending_login.as_ref().map(|pending| PendingLoginV1 {
                user: *pending.user.as_bytes(),
                started_at: pending.started_at.as_micros(),
                epoch: pending.epoch,
                generation: pending.generation,
            }),
        }
    }
}

impl From<SessionV1> for Session {
    fn from(stored: SessionV1) -> Self {
        Self {
            id: SessionId(Uuid::from_bytes(stored.id)),
            user: stored.user.map(user_id),
            epoch: stored.epoch,
            created_at: Timestamp::from_micros(stored.created_at),
            expires_at: Timestamp::from_micros(stored.expires_at),
            authenticated_at: Timestamp::from_micros(stored.authenticated_at),
            verified_at: timestamp(stored.verified_at),
            last_activity: Timestamp::from_micros(stored.last_activity),
            login_method: stored.login_method,
            address: stored.address,
            user_agent: stored.user_agent,
            pending_login: stored.pending_login.map(|pending| PendingLogin {
                user: user_id(pending.user),
                started_at: Timestamp::from_micros(pending.started_at),
                epoch: pending.epoch,
                generation: pending.generation,
            }),
        }
    }
}

impl From<&PendingTotp> for PendingTotpV1 {
    fn from(pending: &PendingTotp) -> Self {
        Self {
            secret: pending.secret.0.clone(),
            started_at: pending.started_at.as_micros(),
            failures: pending.failures,
            generation: pending.generation,
        }
    }
}

impl From<PendingTotpV1> for PendingTotp {
    fn from(stored: PendingTotpV1) -> Self {
        Self {
            secret: Sealed(stored.secret),
            started_at: Timestamp::from_micros(stored.started_at),
            failures: stored.failures,
            generation: stored.generation,
        }
    }
}

impl From<&RememberedDevice> for RememberedDeviceV1 {
    fn from(device: &RememberedDevice) -> Self {
        Self {
            user: *device.user.as_bytes(),
            epoch: device.epoch,
            generation: device.generation,
            created_at: device.created_at.as_micros(),
            expires_at: device.expires_at.as_micros(),
            user_agent: device.user_agent.clone(),
        }
    }
}

impl From<RememberedDeviceV1> for RememberedDevice {
    fn from(stored: RememberedDeviceV1) -> Self {
        Self {
            user: user_id(stored.user),
            epoch: stored.epoch,
            generation: stored.generation,
            created_at: Timestamp::from_micros(stored.created_at),
            expires_at: Timestamp::from_micros(stored.expires_at),
            user_agent: stored.user_agent,
        }
    }
}

/// What an entry of a user's list of sessions says.
fn session_hash(entry: &Entry) -> Result<[u8; 32]> {
    entry.value.as_slice().try_into().map_err(|_| codec::corrupt(&entry.key, "not a hash"))
}

fn user_id(bytes: [u8; 16]) -> UserId {
    UserId(Uuid::from_bytes(bytes))
}
