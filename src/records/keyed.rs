//! API keys, single-use tokens and counters of failed logins.

use uuid::Uuid;

use super::codec::{self, Decode, Deserialize, Encode, Serialize};
use super::users::{micros, timestamp};
use super::{Records, Result, Versioned, json, keys, put};
use crate::domain::api_key::{ApiKey, KEYS_PER_USER_MAX};
use crate::domain::backoff::LoginFailures;
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::domain::token::{Code, Purpose, Token};
use crate::store::{Batch, Entry, Expect};

impl Records {
    /// The key found by the SHA-256 of its value.
    pub async fn api_key(&self, hash: &[u8; 32]) -> Result<Option<Versioned<ApiKey>>> {
        self.read(&keys::api_key(hash)).await
    }

    pub async fn has_api_keys(&self, user: UserId) -> Result<bool> {
        Ok(!self.scan(&keys::user_api_key_prefix(user), 1).await?.entries.is_empty())
    }

    /// The keys of a user, newest first.
    pub async fn api_keys_of(&self, user: UserId) -> Result<Vec<Versioned<ApiKey>>> {
        let page = self.scan(&keys::user_api_key_prefix(user), 2 * KEYS_PER_USER_MAX).await?;
        let mut found = Vec::with_capacity(page.entries.len());
        for entry in page.entries {
            found.extend(self.listed_api_key(entry).await?);
        }
        found.sort_by_key(|key| std::cmp::Reverse(key.value.created_at));
        Ok(found)
    }

    /// The key that an entry of a user's list leads to. A key that has moved meanwhile is followed: it was there all the
    /// time.
    async fn listed_api_key(&self, mut entry: Entry) -> Result<Option<Versioned<ApiKey>>> {
        loop {
            let hash: [u8; 32] =
                entry.value.as_slice().try_into().map_err(|_| codec::corrupt(&entry.key, "not a hash"))?;
            if let Some(key) = self.api_key(&hash).await? {
                return Ok(Some(key));
            }
            match self.store.get(&entry.key).await? {
                Some(now) if now.value != entry.value => entry = now,
                _ => return Ok(None),
            }
        }
    }

    /// The live token of a user (none for set-up) for a purpose; may have expired.
    pub async fn token(&self, purpose: Purpose, user: Option<UserId>) -> Result<Option<Versioned<Token>>> {
        self.read(&keys::token(purpose, user)).await
    }

    /// Keys of the failed logins of an account, address by address.
    pub async fn login_failure_keys_of(&self, email: &str, limit: usize) -> Result<Vec<Vec<u8>>> {
        let page = self.scan(&keys::attempts_of_account(email), limit).await?;
        Ok(page.entries.into_iter().map(|entry| entry.key).collect())
    }

    /// Failed logins under a key of [`keys::attempts`].
    pub async fn login_failures(&self, key: &[u8]) -> Result<Option<Versioned<LoginFailures>>> {
        self.read(key).await
    }
}

pub fn put_api_key(batch: Batch, before: Option<&Versioned<ApiKey>>, api_key: &ApiKey) -> Batch {
    let key = keys::api_key(&api_key.hash);
    let expect = before.map_or(Expect::Absent, |before| Expect::Version(before.version));
    let batch =
        batch.expect(key.clone(), expect).put(keys::user_api_key(api_key.user, &api_key.id), api_key.hash.to_vec());
    put(batch, key, api_key)
}

/// Adds a key whose value is another than before to a batch: the old value finds nothing any more.
pub fn move_api_key(batch: Batch, before: &Versioned<ApiKey>, api_key: &ApiKey) -> Batch {
    let old = keys::api_key(&before.value.hash);
    put_api_key(batch.expect(old.clone(), Expect::Version(before.version)).delete(old), None, api_key)
}

pub fn remove_api_key(batch: Batch, api_key: &ApiKey) -> Batch {
    batch.delete(keys::user_api_key(api_key.user, &api_key.id)).delete(keys::api_key(&api_key.hash))
}

/// Adds a token to a batch; the one that was there is dead with it (W-37).
pub fn put_token(batch: Batch, purpose: Purpose, user: Option<UserId>, token: &Token) -> Batch {
    let key = keys::token(purpose, user);
    put(batch.put(keys::expiry(token.expires_at, &key), Vec::new()), key, token)
}

pub fn put_login_failures(
    batch: Batch,
    key: Vec<u8>,
    before: Option<&Versioned<LoginFailures>>,
    failures: &LoginFailures,
) -> Batch {
    let expect = before.map_or(Expect::Absent, |before| Expect::Version(before.version));
    let mut batch = batch.expect(key.clone(), expect);
    if let Some(before) = before {
        batch = batch.delete(keys::expiry(before.value.forgotten_at, &key));
    }
    put(batch.put(keys::expiry(failures.forgotten_at, &key), Vec::new()), key, failures)
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct ApiKeyV1 {
    id: String,
    #[serde(with = "json::bytes")]
    user: [u8; 16],
    label: String,
    description: Option<String>,
    mask: String,
    #[serde(with = "json::bytes")]
    hash: [u8; 32],
    created_at: i64,
    last_used_at: Option<i64>,
    last_rolled_at: Option<i64>,
    scopes: Vec<String>,
    scoped_teams: Vec<i64>,
    #[serde(with = "json::bytes")]
    scoped_organizations: Vec<[u8; 16]>,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct TokenV1 {
    #[serde(with = "json::bytes")]
    hash: [u8; 32],
    expires_at: i64,
    #[serde(with = "json::bytes")]
    binding: [u8; 32],
    code: Option<CodeV1>,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct CodeV1 {
    #[serde(with = "json::bytes")]
    mac: [u8; 32],
    expires_at: i64,
    failures: u32,
    used: bool,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct LoginFailuresV1 {
    count: u32,
    last_at: i64,
    forgotten_at: i64,
}

codec::record!(ApiKey, ApiKeyV1, 1);
codec::record!(Token, TokenV1, 1);
codec::record!(LoginFailures, LoginFailuresV1, 1);

impl From<&ApiKey> for ApiKeyV1 {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id.clone(),
            user: *key.user.as_bytes(),
            label: key.label.clone(),
            description: key.description.clone(),
            mask: key.mask.clone(),
            hash: key.hash,
            created_at: key.created_at.as_micros(),
            last_used_at: micros(key.last_used_at),
            last_rolled_at: micros(key.last_rolled_at),
            scopes: key.scopes.clone(),
            scoped_teams: key.scoped_teams.clone(),
            scoped_organizations: key.scoped_organizations.iter().map(|id| *id.as_bytes()).collect(),
        }
    }
}

impl From<ApiKeyV1> for ApiKey {
    fn from(stored: ApiKeyV1) -> Self {
        Self {
            id: stored.id,
            user: UserId(Uuid::from_bytes(stored.user)),
            label: stored.label,
            description: stored.description,
            mask: stored.mask,
            hash: stored.hash,
            created_at: Timestamp::from_micros(stored.created_at),
            last_used_at: timestamp(stored.last_used_at),
            last_rolled_at: timestamp(stored.last_rolled_at),
            scopes: stored.scopes,
            scoped_teams: stored.scoped_teams,
            scoped_organizations: stored.scoped_organizations.into_iter().map(Uuid::from_bytes).collect(),
        }
    }
}

impl From<&Token> for TokenV1 {
    fn from(token: &Token) -> Self {
        Self {
            hash: token.hash,
            expires_at: token.expires_at.as_micros(),
            binding: token.binding,
            code: token.code.as_ref().map(|code| CodeV1 {
                mac: code.mac,
                expires_at: code.expires_at.as_micros(),
                failures: code.failures,
                used: code.used,
            }),
        }
    }
}

impl From<TokenV1> for Token {
    fn from(stored: TokenV1) -> Self {
        Self {
            hash: stored.hash,
            expires_at: Timestamp::from_micros(stored.expires_at),
            binding: stored.binding,
            code: stored.code.map(|code| Code {
                mac: code.mac,
                expires_at: Timestamp::from_micros(code.expires_at),
                failures: code.failures,
                used: code.used,
            }),
        }
    }
}

impl From<&LoginFailures> for LoginFailuresV1 {
    fn from(failures: &LoginFailures) -> Self {
        Self {
            count: failures.count,
            last_at: failures.last_at.as_micros(),
            forgotten_at: failures.forgotten_at.as_micros(),
        }
    }
}

impl From<LoginFailuresV1> for LoginFailures {
    fn from(stored: LoginFailuresV1) -> Self {
        Self {
            count: stored.count,
            last_at: Timestamp::from_micros(stored.last_at),
            forgotten_at: Timestamp::from_micros(stored.forgotten_at),
        }
    }
}
