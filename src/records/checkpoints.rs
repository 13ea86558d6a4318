//! What vouches for the audit trail: the key that signs, the checkpoints, and where the trail begins.

use super::codec::{self, Decode, Deserialize, Encode, Serialize};
use super::{Records, Result, Versioned, cursor, decode_entry, json, keys, put};
use crate::domain::checkpoint::{Checkpoint, PublicKey, Statement};
use crate::domain::time::Timestamp;
use crate::domain::vault::Sealed;
use crate::store::{Batch, Entry, Expect, Order};

/// The secret of the key that signs checkpoints, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditKey(pub Sealed);

impl Records {
    pub async fn audit_key(&self) -> Result<Option<AuditKey>> {
        Ok(self.read(keys::AUDIT_KEY).await?.map(|key| key.value))
    }

    /// Behind which entry the trail begins; `None` when it begins with the first.
    pub async fn audit_start(&self) -> Result<Option<Versioned<Checkpoint>>> {
        let start: Option<Versioned<Checkpoint>> = self.read(keys::AUDIT_START).await?;
        match start {
            Some(start) if start.value.statement != Statement::Start => {
                Err(codec::corrupt(keys::AUDIT_START, "no statement of where the trail begins"))
            }
            start => Ok(start),
        }
    }

    /// The checkpoint of an entry.
    pub async fn checkpoint(&self, number: u64) -> Result<Option<Checkpoint>> {
        Ok(self.read(&keys::audit_checkpoint(number)).await?.map(|checkpoint| checkpoint.value))
    }

    /// Checkpoints of entries beyond the number `from` (all, when `None`) in an order of numbers.
    pub async fn checkpoints(&self, from: Option<u64>, limit: usize, order: Order) -> Result<Vec<Checkpoint>> {
        self.numbered_checkpoints(from, limit, order).await?.into_iter().map(|(_, checkpoint)| checkpoint).collect()
    }

    /// The same, by the numbers of their keys, also where one does not read.
    pub async fn numbered_checkpoints(
        &self,
        from: Option<u64>,
        limit: usize,
        order: Order,
    ) -> Result<Vec<(u64, Result<Checkpoint>)>> {
        let after = cursor(from.map(keys::audit_checkpoint));
        let page = self.store.scan(keys::AUDIT_CHECKPOINT, after.as_ref(), limit, order).await?;
        let numbered = |entry: &Entry| {
            let number = keys::parse_trailing_number(&entry.key).unwrap_or(0);
            let checkpoint = decode_entry(entry).map(|read| read.value);
            (
                number,
                checkpoint.and_then(|read: Checkpoint| {
                    let is_right = read.number == number && read.statement == Statement::Checkpoint;
                    if is_right { Ok(read) } else { Err(codec::corrupt(&entry.key, "of another entry")) }
                }),
            )
        };
        Ok(page.entries.iter().map(numbered).collect())
    }

    pub async fn newest_checkpoint(&self) -> Result<Option<Checkpoint>> {
        Ok(self.checkpoints(None, 1, Order::Descending).await?.pop())
    }

    /// The next batch that removes checkpoints of entries up to this number; `None` when there are none.
    pub(super) async fn removal_of_checkpoints(&self, up_to: u64, limit: usize) -> Result<Option<Batch>> {
        let page = self.scan(keys::AUDIT_CHECKPOINT, limit).await?;
        let old = page.entries.into_iter().map(|entry| entry.key);
        let old = old.take_while(|key| keys::parse_trailing_number(key).is_some_and(|number| number <= up_to));
        let batch = old.fold(Batch::default(), Batch::delete);
        Ok((!batch.writes.is_empty()).then_some(batch))
    }
}

/// Adds the first key of a store to a batch.
pub fn put_audit_key(batch: Batch, key: &AuditKey) -> Batch {
    put(batch.expect(keys::AUDIT_KEY, Expect::Absent), keys::AUDIT_KEY.to_vec(), key)
}

/// Adds a checkpoint to a batch; of two of one entry, one stays.
pub fn put_checkpoint(batch: Batch, checkpoint: &Checkpoint) -> Batch {
    let key = keys::audit_checkpoint(checkpoint.number);
    put(batch.expect(key.clone(), Expect::Absent), key, checkpoint)
}

/// Adds to a batch where the trail begins from now on.
pub fn put_audit_start(batch: Batch, before: Option<&Versioned<Checkpoint>>, start: &Checkpoint) -> Batch {
    let expect = before.map_or(Expect::Absent, |before| Expect::Version(before.version));
    put(batch.expect(keys::AUDIT_START, expect), keys::AUDIT_START.to_vec(), start)
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct AuditKeyV1 {
    #[serde(rename = "secret", with = "json::bytes")]
    sealed: Vec<u8>,
}

codec::record!(AuditKey, AuditKeyV1, 1);

impl From<&AuditKey> for AuditKeyV1 {
    fn from(AuditKey(Sealed(sealed)): &AuditKey) -> Self {
        Self { sealed: sealed.clone() }
    }
}

impl From<AuditKeyV1> for AuditKey {
    fn from(stored: AuditKeyV1) -> Self {
        Self(Sealed(stored.sealed))
    }
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct CheckpointV1 {
    statement: StatementV1,
    number: u64,
    #[serde(with = "json::bytes")]
    hash: [u8; 32],
    at: i64,
    #[serde(with = "json::bytes")]
    public_key: [u8; 32],
    #[serde(with = "json::bytes")]
    signature: [u8; 64],
}

#[derive(Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StatementV1 {
    Checkpoint,
    Start,
}

codec::record!(Checkpoint, CheckpointV1, 1);

impl From<&Checkpoint> for CheckpointV1 {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self {
            statement: match checkpoint.statement {
                Statement::Checkpoint => StatementV1::Checkpoint,
                Statement::Start => StatementV1::Start,
            },
            number: checkpoint.number,
            hash: checkpoint.hash,
            at: checkpoint.at.as_micros(),
            public_key: checkpoint.public_key.0,
            signature: checkpoint.signature,
        }
    }
}

impl From<CheckpointV1> for Checkpoint {
    fn from(stored: CheckpointV1) -> Self {
        Self {
            statement: match stored.statement {
                StatementV1::Checkpoint => Statement::Checkpoint,
                StatementV1::Start => Statement::Start,
            },
            number: stored.number,
            hash: stored.hash,
            at: Timestamp::from_micros(stored.at),
            public_key: PublicKey(stored.public_key),
            signature: stored.signature,
        }
    }
}
