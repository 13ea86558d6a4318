//! The store contract: ordered bytes to bytes, changed by atomic, durable batches.
//!
//! The store knows keys, values and versions. It does not know users, does not interpret a value (except the
//! counters of [`Batch::add`] and the links of [`Batch::append`], which it writes itself) and offers no
//! interactive transaction: a caller reads, decides, and commits with the versions it decided on.
//!
//! The engines are [`sled`] and [`memory`]. They share the meaning of a batch (`apply`) and the recent changes for
//! watchers (`feed`); `queue` is the line before sled's writer thread. `contract` is the suite both pass, `crash` kills
//! the disk engine. [`lock`] keeps a second process out of the data directory.

pub mod backup;
pub mod journal;
pub mod lock;
pub mod memory;
pub mod sled;

mod apply;
mod feed;
mod frames;
mod queue;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    pub use super::backup::fuzz::backup;
    pub use super::frames::fuzz::frames;
}
#[cfg(test)]
mod contract;
#[cfg(test)]
mod crash;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

pub use journal::StoreId;

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 512;
/// Longest value, in bytes. With its header a value stays below 64 KiB: from 128 KiB sled writes files of its own that
/// nobody makes durable.
pub const VALUE_BYTES_MAX: usize = 60 * 1024;
/// Most expectations and writes together in one batch; each index of an append counts as one.
pub const BATCH_OPERATIONS_MAX: usize = 100;
/// Largest batch, keys and values together, in bytes.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Most entries in one page of a scan.
pub const PAGE_ENTRIES_MAX: usize = 1000;

/// An engine that keeps entries. Every engine passes the one suite in `contract.rs`.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The entry of one key, or `None`. May show a commit shortly before it is durable.
    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError>;

    /// The entries of several keys, in the order asked; each is read by itself, not at one point in time.
    async fn get_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<Entry>>, StoreError>;

    /// One page of the entries whose keys start with `prefix`, beginning behind `after` in the given order. At most
    /// `limit` entries, where the engine reads 0 as 1 and more than [`PAGE_ENTRIES_MAX`] as that. A page is not a
    /// snapshot: pages may see different commits.
    async fn scan(&self, prefix: &[u8], after: Option<&Cursor>, limit: usize, order: Order)
    -> Result<Page, StoreError>;

    /// Applies a batch, all or nothing. `Done` means on disk: it survives a power cut. `Conflict` means an
    /// expectation did not hold and nothing changed; it may be spurious. A batch of expectations alone writes nothing
    /// and is answered when everything it could have seen is durable.
    async fn commit(&self, batch: Batch) -> Result<Commit, StoreError>;

    /// The committed changes below `prefix` with a version above `from`, in order, as they become durable. A reader that
    /// fell behind, or asks for changes that the engine does not keep any more, gets [`StoreError::Lagged`] as the
    /// last item and has to read the present state instead. Deleting what was not there is reported like any delete.
    /// When the store closes or fails, the last item is [`StoreError::Unavailable`].
    fn watch(&self, prefix: &[u8], from: Version) -> BoxStream<'static, Result<Change, StoreError>>;

    /// Resolves, with the reason, when a write has failed for good: the process has to end, and a restart recovers.
    fn failed(&self) -> BoxFuture<'static, String>;

    /// The version of the newest durable commit.
    fn version(&self) -> Version;

    /// Which store this is: its journal and its backups have the same id.
    fn id(&self) -> StoreId;

    /// Takes note that a verified backup holds everything up to a version: an engine with a journal lets go of that part.
    async fn covered(&self, version: Version) -> Result<(), StoreError>;

    /// Reads the engine's journal from its first to its last byte and says from which version on it has every change: a
    /// backup made there or later can be brought up to date with it. `None` for an engine without one.
    async fn journal_begins(&self) -> Result<Option<Version>, StoreError>;

    /// How much room the store takes, in bytes: on disk, where it is kept there.
    async fn bytes(&self) -> Result<u64, StoreError>;

    /// Stops taking commits, waits for those under way and releases the files. Later calls answer `Unavailable`.
    async fn close(&self);
}

/// The number of the commit that wrote an entry. Versions rise and never repeat, also after a delete and re-create and
/// across restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A key with its value and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub version: Version,
}

/// One answer of [`Store::scan`]; `next` continues behind it and is `None` at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<Entry>,
    pub next: Option<Cursor>,
}

/// A place between keys: scans continue strictly behind it. Any key can serve, present or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub Vec<u8>);

/// The direction of a scan, by key bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

/// What must hold for a batch to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key is not there.
    Absent,
    /// The key is there, written by this very commit.
    Version(Version),
}

/// The outcome of a commit. Losing a race is normal: read again, decide again, a bounded number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a conflict means that nothing was written"]
pub enum Commit {
    Done(Receipt),
    Conflict,
}

/// What a successful commit tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The version that every entry of the batch now has.
    pub version: Version,
    /// The sequence numbers given to the batch's [`Write::Append`]s, in their order.
    pub appended: Vec<u64>,
}

/// One committed change to one key; `value` is `None` for a delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
    pub version: Version,
}

/// One write in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Put { key: Vec<u8>, value: Vec<u8> },
    Delete { key: Vec<u8> },
    Add { key: Vec<u8>, delta: i64 },
    Append { log: Vec<u8>, payload: Vec<u8>, indexes: Vec<Vec<u8>> },
}

/// Expectations and writes that hold or fail together. Writes apply in the order they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub expectations: Vec<(Vec<u8>, Expect)>,
    pub writes: Vec<Write>,
}

impl Batch {
    /// Requires something of a key, as it is before the batch.
    #[must_use]
    pub fn expect(mut self, key: impl Into<Vec<u8>>, expect: Expect) -> Self {
        self.expectations.push((key.into(), expect));
        self
    }

    /// Sets a key.
    #[must_use]
    pub fn put(mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.writes.push(Write::Put { key: key.into(), value: value.into() });
        self
    }

    /// Removes a key; removing what is not there is fine.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.writes.push(Write::Delete { key: key.into() });
        self
    }

    /// Adds to the counter at a key (absent counts as 0; the value is an `i64`, little endian, see
    /// [`decode_counter`]). Concurrent adds never conflict: the engine applies them one after the other. A sum beyond
    /// an `i64` stays at its end.
    #[must_use]
    pub fn add(mut self, key: impl Into<Vec<u8>>, delta: i64) -> Self {
        self.writes.push(Write::Add { key: key.into(), delta });
        self
    }

    /// Appends to a hash-chained log: the engine gives the entry the next sequence number `n` (from 1) and writes a
    /// [`LogEntry`] at `log` + `n` (eight bytes, big endian), an empty value at each of `indexes` + `n`, and the new
    /// end of the chain at [`log_head_key`]. Concurrent appends never conflict.
    #[must_use]
    pub fn append(mut self, log: impl Into<Vec<u8>>, payload: impl Into<Vec<u8>>, indexes: Vec<Vec<u8>>) -> Self {
        self.writes.push(Write::Append { log: log.into(), payload: payload.into(), indexes });
        self
    }

    /// Keys and values together, in bytes: what the batch counts for against [`BATCH_BYTES_MAX`].
    fn bytes(&self) -> usize {
        let expectations = self.expectations.iter().map(|(key, _)| key.len());
        let writes = self.writes.iter().map(|write| match write {
            Write::Put { key, value } => key.len() + value.len(),
            Write::Delete { key } | Write::Add { key, .. } => key.len(),
            Write::Append { log, payload, indexes } => {
                log.len() + payload.len() + indexes.iter().map(Vec::len).sum::<usize>()
            }
        });
        expectations.chain(writes).sum()
    }

    /// Refuses what is larger than the limits above, so that no engine has to think of it again.
    fn check_limits(&self) -> Result<(), StoreError> {
        let operations = self.writes.iter().map(|write| match write {
            Write::Append { indexes, .. } => 1 + indexes.len(),
            Write::Put { .. } | Write::Delete { .. } | Write::Add { .. } => 1,
        });
        if self.expectations.len() + operations.sum::<usize>() > BATCH_OPERATIONS_MAX || self.bytes() > BATCH_BYTES_MAX
        {
            return Err(StoreError::TooLarge("the batch"));
        }
        for (key, _) in &self.expectations {
            check_key(key)?;
        }
        self.writes.iter().try_for_each(Write::check_limits)
    }
}

impl Write {
    fn check_limits(&self) -> Result<(), StoreError> {
        match self {
            Self::Put { key, value } => check_key(key).and_then(|()| check_value(value.len())),
            Self::Delete { key } | Self::Add { key, .. } => check_key(key),
            Self::Append { log, payload, indexes } => {
                check_key(&log_head_key(log))?;
                for index in indexes {
                    check_key(&numbered_key(index, 0))?;
                }
                check_value(LOG_ENTRY_HEADER_BYTES + payload.len())
            }
        }
    }
}

fn check_key(key: &[u8]) -> Result<(), StoreError> {
    if key.len() > KEY_BYTES_MAX { Err(StoreError::TooLarge("the key")) } else { Ok(()) }
}

fn check_value(bytes: usize) -> Result<(), StoreError> {
    if bytes > VALUE_BYTES_MAX { Err(StoreError::TooLarge("the value")) } else { Ok(()) }
}

/// Sequence and previous hash, before the payload.
const LOG_ENTRY_HEADER_BYTES: usize = 8 + 32;

/// An entry of a hash-chained log, as [`Batch::append`] writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Position in the log, from 1, without gaps.
    pub sequence: u64,
    /// [`LogEntry::hash`] of the entry before; zeroes for the first.
    pub previous: [u8; 32],
    pub payload: Vec<u8>,
}

impl LogEntry {
    /// SHA-256 over the previous hash, the sequence (big endian) and the payload.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        use sha2::{Digest, Sha256};
        let mut hasher = Sha256::new();
        hasher.update(self.previous);
        hasher.update(self.sequence.to_be_bytes());
        hasher.update(&self.payload);
        hasher.finalize().into()
    }

    /// The stored form: sequence (big endian), previous hash, payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LOG_ENTRY_HEADER_BYTES + self.payload.len());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.previous);
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Reads the stored form; `None` when it is too short to be one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (sequence, rest) = bytes.split_first_chunk::<8>()?;
        let (previous, payload) = rest.split_first_chunk::<32>()?;
        Some(Self { sequence: u64::from_be_bytes(*sequence), previous: *previous, payload: payload.to_vec() })
    }
}

/// Where the end of a log's chain is kept: the sequence (big endian) and hash of its newest entry, 40 bytes.
#[must_use]
pub fn log_head_key(log: &[u8]) -> Vec<u8> {
    [b"log_head/", log].concat()
}

/// Where a log keeps its entry `sequence`, and an index its reference to it.
fn numbered_key(prefix: &[u8], sequence: u64) -> Vec<u8> {
    [prefix, &sequence.to_be_bytes()].concat()
}

/// Reads a counter of [`Batch::add`]; `None` when the value is not eight bytes.
#[must_use]
pub fn decode_counter(value: &[u8]) -> Option<i64> {
    Some(i64::from_le_bytes(value.try_into().ok()?))
}

/// Trouble with the store itself. A lost race is not an error but [`Commit::Conflict`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the store is not available: {0}")]
    Unavailable(String),
    #[error("the store has more writes waiting than it takes")]
    Overloaded,
    /// The write may or may not have happened; look before trying again.
    #[error("the store failed during a write, whose outcome is unknown: {0}")]
    OutcomeUnknown(String),
    #[error("the store holds damaged data: {0}")]
    Corrupt(String),
    #[error("{0} is larger than the store takes")]
    TooLarge(&'static str),
    /// A watcher fell behind the changes the engine keeps.
    #[error("the watcher fell behind")]
    Lagged,
}

/// The keys a scan visits: from the first (included) up to the second (excluded; `None` is no end). `None` altogether
/// when the cursor leaves nothing.
fn scan_range(prefix: &[u8], after: Option<&Cursor>, order: Order) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let mut first = prefix.to_vec();
    let mut end = prefix_end(prefix);
    match (after, order) {
        (None, _) => {}
        (Some(Cursor(key)), Order::Ascending) => first = first.max(key_after(key)),
        (Some(Cursor(key)), Order::Descending) => {
            end = Some(end.map_or_else(|| key.clone(), |end| end.min(key.clone())));
        }
    }
    let nothing = end.as_ref().is_some_and(|end| *end <= first);
    (!nothing).then_some((first, end))
}

/// The least key greater than every key with this prefix; `None` when there is none (empty or all `0xff`).
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// The least key greater than this one.
fn key_after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}
