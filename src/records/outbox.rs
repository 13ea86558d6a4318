//! Mails that wait to be delivered, and those that were given up. The mail itself is sealed: it may carry a single-use
//! link.

use super::codec::{self, Decode, Deserialize, Encode, Serialize};
use super::{Records, Result, Versioned, decode_entry, json, keys, put};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::domain::vault::Sealed;
use crate::store::{Batch, Expect, Order, PAGE_ENTRIES_MAX};

/// A mail; while it waits, its key in the outbox holds the time at which it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRecord {
    pub id: [u8; 16],
    /// The user it is for, to show what waits; the address is inside.
    pub user: Option<UserId>,
    pub due: Timestamp,
    pub queued_at: Timestamp,
    pub attempts: u32,
    /// What the mail server said last; never the address or content.
    pub last_error: Option<String>,
    pub sealed: Sealed,
}

impl Records {
    /// The mails due at `now`, oldest first.
    pub async fn outbox_due(&self, now: Timestamp, limit: usize) -> Result<Vec<Versioned<OutboxRecord>>> {
        let waiting = self.outbox(limit).await?;
        Ok(waiting.into_iter().filter(|mail| mail.value.due <= now).collect())
    }

    /// The first mails in the outbox, by due time.
    pub async fn outbox(&self, limit: usize) -> Result<Vec<Versioned<OutboxRecord>>> {
        self.scan(keys::OUTBOX, limit).await?.entries.iter().map(decode_entry).collect()
    }

    /// Of the mails that were given up, the one that was queued first, and the one that was queued last.
    pub async fn outbox_failed_ends(&self) -> Result<(Option<OutboxRecord>, Option<OutboxRecord>)> {
        // Their ids begin with the time.
        let end = async |order| -> Result<Option<OutboxRecord>> {
            let page = self.store.scan(keys::OUTBOX_FAILED, None, 1, order).await?;
            Ok(page.entries.first().map(decode_entry::<OutboxRecord>).transpose()?.map(|mail| mail.value))
        };
        Ok((end(Order::Ascending).await?, end(Order::Descending).await?))
    }

    /// How many mails to a user wait, as far as one page counts.
    pub async fn mails_waiting(&self, user: UserId) -> Result<usize> {
        Ok(self.scan(&keys::user_outbox_prefix(user), PAGE_ENTRIES_MAX).await?.entries.len())
    }
}

impl OutboxRecord {
    pub fn key(&self) -> Vec<u8> {
        keys::outbox(self.due, &self.id)
    }

    /// Its entry among the mails of its user, which says when it is due.
    pub(super) fn listed(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        self.user.map(|user| (keys::user_outbox(user, &self.id), keys::sortable(self.due).to_vec()))
    }
}

/// Adds a mail to a batch.
pub fn queue_mail(mut batch: Batch, record: &OutboxRecord) -> Batch {
    if let Some((key, due)) = record.listed() {
        batch = batch.put(key, due);
    }
    put(batch.add(keys::OUTBOX_COUNTER, 1), record.key(), record)
}

/// Puts a mail off to its record's new due time.
pub fn reschedule_mail(batch: Batch, before: &Versioned<OutboxRecord>, record: &OutboxRecord) -> Batch {
    let old = before.value.key();
    let batch = batch.expect(old.clone(), Expect::Version(before.version)).delete(old);
    let batch = match record.listed() {
        Some((key, due)) => batch.put(key, due),
        None => batch,
    };
    put(batch, record.key(), record)
}

/// Takes a mail out of the outbox: it was delivered.
pub fn remove_mail(batch: Batch, record: &Versioned<OutboxRecord>) -> Batch {
    let key = record.value.key();
    let batch = batch.expect(key.clone(), Expect::Version(record.version)).delete(key).add(keys::OUTBOX_COUNTER, -1);
    match record.value.user {
        Some(user) => batch.delete(keys::user_outbox(user, &record.value.id)),
        None => batch,
    }
}

/// Takes a mail out of the outbox that will not be tried again, and keeps it aside for a while.
pub fn give_up_mail(
    batch: Batch,
    before: &Versioned<OutboxRecord>,
    record: &OutboxRecord,
    kept_until: Timestamp,
) -> Batch {
    let key = keys::outbox_failed(&record.id);
    let batch =
        remove_mail(batch, before).put(keys::expiry(kept_until, &key), Vec::new()).add(keys::OUTBOX_FAILED_COUNTER, 1);
    let batch = match record.user {
        Some(user) => batch.put(keys::user_failed_mail(user, &record.id), Vec::new()),
        None => batch,
    };
    put(batch, key, record)
}

/// Forgets a mail that was given up.
pub(super) fn forget_failed_mail(batch: Batch, record: &OutboxRecord) -> Batch {
    let batch = batch.add(keys::OUTBOX_FAILED_COUNTER, -1);
    match record.user {
        Some(user) => batch.delete(keys::user_failed_mail(user, &record.id)),
        None => batch,
    }
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct OutboxRecordV1 {
    #[serde(with = "json::bytes")]
    id: [u8; 16],
    #[serde(with = "json::bytes")]
    user: Option<[u8; 16]>,
    due: i64,
    queued_at: i64,
    attempts: u32,
    last_error: Option<String>,
    #[serde(rename = "mail", with = "json::opened")]
    sealed: Vec<u8>,
}

codec::record!(OutboxRecord, OutboxRecordV1, 1);

impl From<&OutboxRecord> for OutboxRecordV1 {
    fn from(record: &OutboxRecord) -> Self {
        Self {
            id: record.id,
            user: record.user.map(|user| *user.as_bytes()),
            due: record.due.as_micros(),
            queued_at: record.queued_at.as_micros(),
            attempts: record.attempts,
            last_error: record.last_error.clone(),
            sealed: record.sealed.0.clone(),
        }
    }
}

impl From<OutboxRecordV1> for OutboxRecord {
    fn from(stored: OutboxRecordV1) -> Self {
        Self {
            id: stored.id,
            user: stored.user.map(|id| UserId(uuid::Uuid::from_bytes(id))),
            due: Timestamp::from_micros(stored.due),
            queued_at: Timestamp::from_micros(stored.queued_at),
            attempts: stored.attempts,
            last_error: stored.last_error,
            sealed: Sealed(stored.sealed),
        }
    }
}
