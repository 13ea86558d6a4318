//! The audit trail: entries of a hash-chained log (`store::Batch::append`) with an index for each user.

use std::collections::BTreeMap;

use super::codec::{self, Decode, Deserialize, Encode, Serialize};
use super::{Records, Result, cursor, days, json, keys};
use crate::domain::audit::{AuditActor, AuditRecord, AuditTarget, Event, Outcome};
use crate::domain::id::UserId;
use crate::domain::job::JobId;
use crate::domain::time::Timestamp;
use crate::store::{BATCH_OPERATIONS_MAX, Batch, LogEntry, Order, log_head_key};

/// Entries removed in one batch: each has three indexes at most, and a job's.
const REMOVED_PER_BATCH: usize = BATCH_OPERATIONS_MAX / 5;

/// An entry with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainedAudit {
    pub number: u64,
    pub previous: [u8; 32],
    pub hash: [u8; 32],
    pub record: AuditRecord,
}

impl Records {
    /// Entries beyond the number `from` (all, when `None`) in an order of numbers; of one user, or of everybody.
    pub async fn audit(
        &self,
        user: Option<UserId>,
        from: Option<u64>,
        limit: usize,
        order: Order,
    ) -> Result<Vec<ChainedAudit>> {
        match user {
            None => {
                let after = cursor(from.map(keys::audit));
                let page = self.store.scan(keys::AUDIT, after.as_ref(), limit, order).await?;
                page.entries.into_iter().map(|entry| decode(&entry.key, &entry.value)).collect()
            }
            Some(user) => self.audit_in(&keys::user_audit_prefix(user), from, limit, order).await,
        }
    }

    /// What operators did themselves.
    pub async fn audit_by_hand(&self, from: Option<u64>, limit: usize, order: Order) -> Result<Vec<ChainedAudit>> {
        self.audit_in(keys::OPERATOR_AUDIT, from, limit, order).await
    }

    /// What an operator's request of this id did.
    pub async fn audit_of_request(&self, request_id: &str, limit: usize) -> Result<Vec<ChainedAudit>> {
        self.audit_in(&keys::request_audit_prefix(request_id), None, limit, Order::Ascending).await
    }

    /// Entries of an index of the trail.
    async fn audit_in(&self, index: &[u8], from: Option<u64>, limit: usize, order: Order) -> Result<Vec<ChainedAudit>> {
        let after = cursor(from.map(|number| [index, &number.to_be_bytes()].concat()));
        let page = self.store.scan(index, after.as_ref(), limit, order).await?;
        let numbers = page.entries.iter().filter_map(|entry| keys::parse_trailing_number(&entry.key));
        let wanted: Vec<Vec<u8>> = numbers.map(keys::audit).collect();
        let wanted: Vec<&[u8]> = wanted.iter().map(Vec::as_slice).collect();
        let entries = self.store.get_many(&wanted).await?;
        entries.into_iter().flatten().map(|entry| decode(&entry.key, &entry.value)).collect()
    }

    /// When the oldest entry was made; `None` when there is none.
    pub async fn audit_begun_at(&self) -> Result<Option<Timestamp>> {
        Ok(self.audit(None, None, 1, Order::Ascending).await?.pop().map(|entry| entry.record.at))
    }

    /// When the entry of this number was made (1 is the first); `None` when there is none.
    pub async fn audit_at(&self, number: u64) -> Result<Option<Timestamp>> {
        let Some(entry) = self.store.get(&keys::audit(number)).await? else { return Ok(None) };
        Ok(Some(decode(&entry.key, &entry.value)?.record.at))
    }

    /// The number of the newest entry; 0 when there is none.
    pub async fn audit_newest(&self) -> Result<u64> {
        Ok(self.audit_end().await?.map_or(0, |(number, _)| number))
    }

    /// Number and hash of the newest entry.
    pub async fn audit_end(&self) -> Result<Option<(u64, [u8; 32])>> {
        let key = log_head_key(keys::AUDIT);
        let Some(head) = self.store.get(&key).await? else { return Ok(None) };
        let end = head.value.split_first_chunk::<8>().and_then(|(number, hash)| Some((number, hash.try_into().ok()?)));
        let (number, hash) = end.ok_or_else(|| codec::corrupt(&key, "not the end of a log"))?;
        Ok(Some((u64::from_be_bytes(*number), hash)))
    }

    /// The next batch that removes entries up to this number, from the front, each with its places in the indexes; and
    /// when there are none left, their checkpoints. `None` when nothing of them is left.
    pub async fn removal_of_audit(&self, up_to: u64) -> Result<Option<Batch>> {
        let page = self.scan(keys::AUDIT, REMOVED_PER_BATCH).await?;
        let numbered = page.entries.iter().map_while(|entry| Some((keys::parse_trailing_number(&entry.key)?, entry)));
        let mut batch = Batch::default();
        let mut of_jobs: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
        for (number, entry) in numbered.take_while(|(number, _)| *number <= up_to) {
            let record = decode(&entry.key, &entry.value)?.record;
            for (key, _) in index_keys(&record, number) {
                batch = batch.delete(key);
            }
            if let Some(job) = record.job() {
                let (count, last) = of_jobs.entry(job).or_default();
                (*count, *last) = (*count + 1, number);
            }
            batch = batch.delete(entry.key.clone());
        }
        for (job, (count, last)) in of_jobs {
            // A job sees to its users one after the other, so its oldest entries are at the front of its index.
            for entry in self.scan(&keys::job_audit_prefix(JobId(job)), count).await?.entries {
                if keys::parse_trailing_number(&entry.key).is_some_and(|number| number <= last) {
                    batch = batch.delete(entry.key);
                }
            }
        }
        if batch.writes.is_empty() {
            self.removal_of_checkpoints(up_to, REMOVED_PER_BATCH).await
        } else {
            Ok(Some(batch))
        }
    }
}

/// Whether this is the hash of an entry that says so, at this place of the chain.
pub fn is_hash_of(entry: &ChainedAudit) -> bool {
    let payload = codec::encode(keys::AUDIT, &entry.record);
    LogEntry { sequence: entry.number, previous: entry.previous, payload }.hash() == entry.hash
}

/// Adds an entry to a batch, in the index of the user it is about, in that of what operators did and, within a job, in
/// the job's; and counts it, where it is of a kind that is counted. What operators did is found by the id of their
/// request, too.
pub fn append_audit(batch: Batch, record: &AuditRecord, within: Option<(JobId, u64)>) -> Batch {
    let mut indexes = index_prefixes(record);
    indexes.extend(within.map(|(job, number)| keys::job_audit(job, number)));
    days::tallied(batch, record).append(keys::AUDIT, codec::encode(keys::AUDIT, record), indexes)
}

/// Adds an entry to a batch as it was in another store: what it was counted in is told by itself. The first of a trail
/// that begins later says behind which entry that is, and its hash.
pub fn append_audit_again(
    batch: Batch,
    record: &AuditRecord,
    payload: Vec<u8>,
    behind: Option<(u64, [u8; 32])>,
) -> Batch {
    let batch = match behind {
        Some((number, hash)) => batch.put(log_head_key(keys::AUDIT), [&number.to_be_bytes()[..], &hash].concat()),
        None => batch,
    };
    batch.append(keys::AUDIT, payload, index_prefixes(record))
}

/// The indexes that an entry is in, without a job's.
fn index_prefixes(record: &AuditRecord) -> Vec<Vec<u8>> {
    let mut indexes: Vec<Vec<u8>> = record.target.iter().map(|target| keys::user_audit_prefix(target.id)).collect();
    if record.is_by_hand() {
        indexes.push(keys::OPERATOR_AUDIT.to_vec());
        indexes.push(keys::request_audit_prefix(&record.request_id));
    }
    indexes
}

/// Its places there, when it is the entry of this number.
pub(super) fn index_keys(record: &AuditRecord, number: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let at = |index: Vec<u8>| ([index.as_slice(), &number.to_be_bytes()].concat(), Vec::new());
    index_prefixes(record).into_iter().map(at).collect()
}

fn decode(key: &[u8], value: &[u8]) -> Result<ChainedAudit> {
    let entry = LogEntry::decode(value).ok_or_else(|| codec::corrupt(key, "too short"))?;
    Ok(ChainedAudit {
        number: entry.sequence,
        previous: entry.previous,
        hash: entry.hash(),
        // The payload's checksum covers the log's name, not the entry's number: the number is given by the store.
        record: codec::decode(keys::AUDIT, &entry.payload).map_err(|_| codec::corrupt(key, "does not decode"))?,
    })
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct AuditRecordV1 {
    at: i64,
    event: String,
    actor: AuditActorV1,
    #[serde(with = "json::bytes")]
    target: Option<([u8; 16], String)>,
    address: Option<String>,
    user_agent: Option<String>,
    request_id: String,
    outcome: OutcomeV1,
    reason: Option<String>,
    verified_by: Option<String>,
    details: Vec<(String, String)>,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AuditActorV1 {
    Anonymous,
    System,
    User {
        #[serde(with = "json::bytes")]
        id: [u8; 16],
        email: String,
        session: Option<String>,
        api_key: Option<String>,
    },
    Operator {
        uid: u32,
        name: String,
    },
}

#[derive(Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutcomeV1 {
    Done,
    Failed,
    Refused,
}

codec::record!(AuditRecord, AuditRecordV1, 1);

impl From<&AuditRecord> for AuditRecordV1 {
    fn from(record: &AuditRecord) -> Self {
        Self {
            at: record.at.as_micros(),
            event: record.event.as_str().to_owned(),
            actor: match &record.actor {
                AuditActor::Anonymous => AuditActorV1::Anonymous,
                AuditActor::System => AuditActorV1::System,
                AuditActor::User { id, email, session, api_key } => AuditActorV1::User {
                    id: *id.as_bytes(),
                    email: email.clone(),
                    session: session.clone(),
                    api_key: api_key.clone(),
                },
                AuditActor::Operator { uid, name } => AuditActorV1::Operator { uid: *uid, name: name.clone() },
            },
            target: record.target.as_ref().map(|target| (*target.id.as_bytes(), target.email.clone())),
            address: record.address.clone(),
            user_agent: record.user_agent.clone(),
            request_id: record.request_id.clone(),
            outcome: match record.outcome {
                Outcome::Done => OutcomeV1::Done,
                Outcome::Failed => OutcomeV1::Failed,
                Outcome::Refused => OutcomeV1::Refused,
            },
            reason: record.reason.clone(),
            verified_by: record.verified_by.clone(),
            details: record.details.clone(),
        }
    }
}

impl TryFrom<AuditRecordV1> for AuditRecord {
    type Error = ();

    fn try_from(stored: AuditRecordV1) -> std::result::Result<Self, ()> {
        let user_id = |bytes| UserId(uuid::Uuid::from_bytes(bytes));
        Ok(Self {
            at: Timestamp::from_micros(stored.at),
            event: *Event::ALL.iter().find(|event| event.as_str() == stored.event).ok_or(())?,
            actor: match stored.actor {
                AuditActorV1::Anonymous => AuditActor::Anonymous,
                AuditActorV1::System => AuditActor::System,
                AuditActorV1::User { id, email, session, api_key } => {
                    AuditActor::User { id: user_id(id), email, session, api_key }
                }
                AuditActorV1::Operator { uid, name } => AuditActor::Operator { uid, name },
            },
            target: stored.target.map(|(id, email)| AuditTarget { id: user_id(id), email }),
            address: stored.address,
            user_agent: stored.user_agent,
            request_id: stored.request_id,
            outcome: match stored.outcome {
                OutcomeV1::Done => Outcome::Done,
                OutcomeV1::Failed => Outcome::Failed,
                OutcomeV1::Refused => Outcome::Refused,
            },
            reason: stored.reason,
            verified_by: stored.verified_by,
            details: stored.details,
        })
    }
}
