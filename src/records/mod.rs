//! How the data lies in the store: keys, record formats, indexes. Turns data into bytes and back; decides nothing.
//!
//! Invariants: an index entry changes in the same batch as its record; every record carries a format number and a
//! checksum; a record that does not decode is an error that names its key, never a default value.

pub mod codec;
pub mod keys;

mod approvals;
mod audit;
mod checkpoints;
pub mod days;
mod expiry;
mod invites;
mod jobs;
mod json;
mod keyed;
mod mail_notes;
mod organizations;
mod outbox;
mod sessions;
mod ties;
mod users;
mod windows;

#[cfg(test)]
mod days_model;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod indexes;
#[cfg(test)]
mod organization_indexes;

use std::sync::Arc;

use crate::domain::id::UserId;
use crate::store::{Batch, Cursor, Entry, Order, Page, Store, StoreError, Version, decode_counter};

pub use approvals::{put_approval, remove_approval};
pub use audit::{ChainedAudit, append_audit, append_audit_again, is_hash_of};
pub use checkpoints::{AuditKey, put_audit_key, put_audit_start, put_checkpoint};
pub use invites::{put_invite, remove_invite};
pub use jobs::{
    FROZEN_PER_PAGE, FrozenUsers, Reminder, put_job, put_job_results, put_job_users, put_reminder, remove_job,
    shelve_job,
};
pub use keyed::{move_api_key, put_api_key, put_login_failures, put_token, remove_api_key};
pub use mail_notes::{change_mail_note, put_mail_note};
pub use organizations::{
    change_activity, put_membership, put_organization, put_team, remove_membership, remove_organization,
};
pub use outbox::{OutboxRecord, give_up_mail, queue_mail, remove_mail, reschedule_mail};
pub use sessions::{
    SESSIONS_PER_USER_MAX, put_pending_totp, put_remembered, put_session, remove_remembered, remove_session,
};
pub use ties::{Following, RECORDS, Tie, tie};
pub use users::{CODES_INDEXED_MAX, Glance, UserBesides, counted_in, index_entries, put_user, remove_user};
pub use windows::{put_window, remove_window};

/// A record with the version it was read at.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned<T> {
    pub value: T,
    pub version: Version,
}

/// Typed reading from a store. Writing goes through batches: the `put_*` and `remove_*` functions add to one.
#[derive(Clone)]
pub struct Records {
    store: Arc<dyn Store>,
}

type Result<T> = std::result::Result<T, StoreError>;

impl Records {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The counter at a key; 0 when it was never written.
    pub async fn counter(&self, key: &[u8]) -> Result<i64> {
        match self.store.get(key).await? {
            None => Ok(0),
            Some(entry) => decode_counter(&entry.value).ok_or_else(|| codec::corrupt(key, "not a counter")),
        }
    }

    async fn read<T: codec::Record>(&self, key: &[u8]) -> Result<Option<Versioned<T>>> {
        self.store.get(key).await?.map(|entry| decode_entry(&entry)).transpose()
    }

    /// The records at several keys, in the order asked; those that are gone are left out.
    async fn read_many<T: codec::Record>(&self, keys: &[Vec<u8>]) -> Result<Vec<Versioned<T>>> {
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        self.store.get_many(&keys).await?.iter().flatten().map(decode_entry).collect()
    }

    /// At most `limit` entries of an index, behind the first `offset`. Costs what it passes over, in entries.
    async fn window(&self, prefix: &[u8], order: Order, offset: usize, limit: usize) -> Result<Vec<Entry>> {
        let (mut after, mut passed_over, mut found) = (None, 0, Vec::new());
        while found.len() < limit {
            let wanted = (offset - passed_over).saturating_add(limit - found.len());
            let page = self.store.scan(prefix, after.as_ref(), wanted, order).await?;
            let skipped = page.entries.len().min(offset - passed_over);
            passed_over += skipped;
            found.extend(page.entries.into_iter().skip(skipped));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(found)
    }

    async fn scan(&self, prefix: &[u8], limit: usize) -> Result<Page> {
        self.store.scan(prefix, None, limit, Order::Ascending).await
    }
}

fn decode_entry<T: codec::Record>(entry: &Entry) -> Result<Versioned<T>> {
    Ok(Versioned { value: codec::decode(&entry.key, &entry.value)?, version: entry.version })
}

fn trailing_user(key: &[u8]) -> Result<UserId> {
    keys::parse_trailing_user(key).ok_or_else(|| codec::corrupt(key, "holds no user id"))
}

fn id_from(key: &[u8], bytes: &[u8]) -> Result<UserId> {
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| codec::corrupt(key, "not a user id"))?;
    Ok(UserId(uuid::Uuid::from_bytes(bytes)))
}

fn put<T: codec::Record>(batch: Batch, key: Vec<u8>, record: &T) -> Batch {
    let value = codec::encode(&key, record);
    batch.put(key, value)
}

/// Continues a listing behind the last key that was used, or from the start.
fn cursor(after: Option<Vec<u8>>) -> Option<Cursor> {
    after.map(Cursor)
}
