//! What became of the last mails to each user; the mails themselves are in the outbox, as long as they are.

use super::codec::{self, Decode, Deserialize, Encode, Serialize};
use super::{Records, Result, decode_entry, keys, put};
use crate::domain::id::UserId;
use crate::domain::mail::{MailNote, MailState};
use crate::domain::time::Timestamp;
use crate::store::{Batch, Order};

/// How long a note is kept, in seconds.
const KEPT_SECONDS: i64 = 30 * 86_400;

impl Records {
    /// The notes of the newest mails to a user, newest first.
    pub async fn mail_notes(&self, user: UserId, limit: usize) -> Result<Vec<MailNote>> {
        // The ids begin with the time.
        let page = self.store.scan(&keys::user_mail_prefix(user), None, limit, Order::Descending).await?;
        page.entries.iter().map(|entry| Ok(decode_entry::<MailNote>(entry)?.value)).collect()
    }

    /// The note of one mail.
    pub async fn mail_note(&self, user: UserId, id: &[u8; 16]) -> Result<Option<MailNote>> {
        Ok(self.read(&keys::user_mail(user, id)).await?.map(|note| note.value))
    }
}

/// Notes a mail that is queued.
pub fn put_mail_note(batch: Batch, user: UserId, id: &[u8; 16], note: &MailNote) -> Batch {
    let key = keys::user_mail(user, id);
    let batch = batch.put(keys::expiry(kept_until(note), &key), Vec::new());
    put(batch, key, note)
}

/// Notes what became of it since.
pub fn change_mail_note(batch: Batch, user: UserId, id: &[u8; 16], note: &MailNote) -> Batch {
    put(batch, keys::user_mail(user, id), note)
}

/// When a note may be removed.
pub(super) fn kept_until(note: &MailNote) -> Timestamp {
    note.at.plus_seconds(KEPT_SECONDS)
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct MailNoteV1 {
    kind: String,
    to: String,
    at: i64,
    state: MailStateV1,
    error: Option<String>,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MailStateV1 {
    Queued,
    HandedOver,
    Failed,
}

codec::record!(MailNote, MailNoteV1, 1);

impl From<&MailNote> for MailNoteV1 {
    fn from(note: &MailNote) -> Self {
        Self {
            kind: note.kind.clone(),
            to: note.to.clone(),
            at: note.at.as_micros(),
            state: match note.state {
                MailState::Queued => MailStateV1::Queued,
                MailState::HandedOver => MailStateV1::HandedOver,
                MailState::Failed => MailStateV1::Failed,
            },
            error: note.error.clone(),
        }
    }
}

impl From<MailNoteV1> for MailNote {
    fn from(stored: MailNoteV1) -> Self {
        Self {
            kind: stored.kind,
            to: stored.to,
            at: Timestamp::from_micros(stored.at),
            state: match stored.state {
                MailStateV1::Queued => MailState::Queued,
                MailStateV1::HandedOver => MailState::HandedOver,
                MailStateV1::Failed => MailState::Failed,
            },
            error: stored.error,
        }
    }
}
