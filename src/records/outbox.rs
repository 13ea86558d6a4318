//! Mails that wait to be delivered. The mail itself is sealed: it may carry a single-use link.

use super::codec::{self, Decode, Encode};
use super::{Records, Result, Versioned, decode_entry, keys, put};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::domain::vault::Sealed;
use crate::store::{Batch, Expect};

/// A mail in the outbox; its key holds the time at which it is due.
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
    /// Given up: kept for the operator to see, never due again.
    pub failed: bool,
    pub sealed: Sealed,
}

impl Records {
    /// The mails due at `now`, oldest first.
    pub async fn outbox_due(&self, now: Timestamp, limit: usize) -> Result<Vec<Versioned<OutboxRecord>>> {
        let waiting = self.outbox(limit).await?;
        Ok(waiting.into_iter().filter(|mail| mail.value.due <= now && !mail.value.failed).collect())
    }

    /// The first mails in the outbox, by due time.
    pub async fn outbox(&self, limit: usize) -> Result<Vec<Versioned<OutboxRecord>>> {
        self.scan(keys::OUTBOX, limit).await?.entries.iter().map(decode_entry).collect()
    }
}

impl OutboxRecord {
    pub fn key(&self) -> Vec<u8> {
        keys::outbox(self.due, &self.id)
    }
}

/// Adds a mail to a batch.
pub fn queue_mail(batch: Batch, record: &OutboxRecord) -> Batch {
    put(batch.add(keys::OUTBOX_COUNTER, 1), record.key(), record)
}

/// Puts a mail off to its record's new due time.
pub fn reschedule_mail(batch: Batch, before: &Versioned<OutboxRecord>, record: &OutboxRecord) -> Batch {
    let old = before.value.key();
    put(batch.expect(old.clone(), Expect::Version(before.version)).delete(old), record.key(), record)
}

/// Removes a mail that was delivered.
pub fn remove_mail(batch: Batch, record: &Versioned<OutboxRecord>) -> Batch {
    let key = record.value.key();
    batch.expect(key.clone(), Expect::Version(record.version)).delete(key).add(keys::OUTBOX_COUNTER, -1)
}

#[derive(Encode, Decode)]
struct OutboxRecordV1 {
    id: [u8; 16],
    user: Option<[u8; 16]>,
    due: i64,
    queued_at: i64,
    attempts: u32,
    last_error: Option<String>,
    failed: bool,
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
            failed: record.failed,
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
            failed: stored.failed,
            sealed: Sealed(stored.sealed),
        }
    }
}
