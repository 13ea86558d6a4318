//! Acts that wait for a second operator.

use super::codec::{self, Decode, Deserialize, Encode, Serialize};
use super::{Records, Result, Versioned, decode_entry, json, keys, put};
use crate::domain::approval::{Act, Approval};
use crate::domain::id::UserId;
use crate::domain::job::AskedBy;
use crate::domain::time::Timestamp;
use crate::store::{Batch, Expect};

impl Records {
    pub async fn approval(&self, id: &str) -> Result<Option<Versioned<Approval>>> {
        self.read(&keys::approval(id)).await
    }

    /// All that wait, and some that have lapsed and are not swept yet, in no order.
    pub async fn approvals(&self, limit: usize) -> Result<Vec<Versioned<Approval>>> {
        self.scan(keys::APPROVAL, limit).await?.entries.iter().map(decode_entry).collect()
    }
}

/// Adds a new one to a batch, which conflicts when its id is taken.
pub fn put_approval(batch: Batch, approval: &Approval) -> Batch {
    let key = keys::approval(&approval.id);
    let batch = batch.expect(key.clone(), Expect::Absent);
    put(batch.put(keys::expiry(approval.expires_at, &key), Vec::new()), key, approval)
}

/// Takes one away: of two at once, one does.
pub fn remove_approval(batch: Batch, approval: &Versioned<Approval>) -> Batch {
    let key = keys::approval(&approval.value.id);
    let note = keys::expiry(approval.value.expires_at, &key);
    batch.expect(key.clone(), Expect::Version(approval.version)).delete(key).delete(note)
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct ApprovalV1 {
    id: String,
    operation: String,
    request: String,
    #[serde(with = "json::bytes")]
    user: [u8; 16],
    email: String,
    asked_by: (u32, String),
    reason: String,
    asked_at: i64,
    expires_at: i64,
}

codec::record!(Approval, ApprovalV1, 1);

impl From<&Approval> for ApprovalV1 {
    fn from(approval: &Approval) -> Self {
        Self {
            id: approval.id.clone(),
            operation: approval.act.as_str().to_owned(),
            request: approval.request.clone(),
            user: *approval.user.as_bytes(),
            email: approval.email.clone(),
            asked_by: (approval.asked_by.uid, approval.asked_by.name.clone()),
            reason: approval.reason.clone(),
            asked_at: approval.asked_at.as_micros(),
            expires_at: approval.expires_at.as_micros(),
        }
    }
}

impl TryFrom<ApprovalV1> for Approval {
    type Error = ();

    fn try_from(stored: ApprovalV1) -> std::result::Result<Self, ()> {
        Ok(Self {
            id: stored.id,
            act: Act::ALL.into_iter().find(|act| act.as_str() == stored.operation).ok_or(())?,
            request: stored.request,
            user: UserId(uuid::Uuid::from_bytes(stored.user)),
            email: stored.email,
            asked_by: AskedBy { uid: stored.asked_by.0, name: stored.asked_by.1 },
            reason: stored.reason,
            asked_at: Timestamp::from_micros(stored.asked_at),
            expires_at: Timestamp::from_micros(stored.expires_at),
        })
    }
}
