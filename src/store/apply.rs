//! What a batch does, as a pure step that every engine shares: judge the expectations, compute the counters and the
//! log links, and say which keys hold what afterwards.
//!
//! It writes nothing and knows no engine; an engine calls it where no other commit can come between.

use std::collections::BTreeMap;

use super::{Batch, Expect, LogEntry, StoreError, Version, Write, decode_counter, log_head_key, numbered_key};

/// What one batch leaves behind.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Every key the batch touched, with its new value; `None` is a delete.
    pub writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// The sequence numbers of the appends, in their order.
    pub appended: Vec<u64>,
}

/// What an engine holds at a key.
pub(super) type Stored = Option<(Version, Vec<u8>)>;

/// The effects of a batch on the state that `read` shows, or `None` when an expectation does not hold.
pub(super) fn effects(
    batch: Batch,
    read: impl Fn(&[u8]) -> Result<Stored, StoreError>,
) -> Result<Option<Effects>, StoreError> {
    for (key, expect) in &batch.expectations {
        let found = read(key)?.map(|(version, _)| version);
        let holds = match expect {
            Expect::Absent => found.is_none(),
            Expect::Version(version) => found == Some(*version),
        };
        if !holds {
            return Ok(None);
        }
    }
    let mut effects = Effects::default();
    for write in batch.writes {
        effects.write(write, &read)?;
    }
    Ok(Some(effects))
}

impl Effects {
    fn write(&mut self, write: Write, read: &impl Fn(&[u8]) -> Result<Stored, StoreError>) -> Result<(), StoreError> {
        match write {
            Write::Put { key, value } => {
                self.writes.insert(key, Some(value));
            }
            Write::Delete { key } => {
                self.writes.insert(key, None);
            }
            Write::Add { key, delta } => {
                let old = match self.value(&key, read)? {
                    None => 0,
                    Some(value) => decode_counter(&value).ok_or_else(|| corrupt("a counter", &key))?,
                };
                self.writes.insert(key, Some(old.saturating_add(delta).to_le_bytes().to_vec()));
            }
            Write::Append { log, payload, indexes } => {
                let head = log_head_key(&log);
                let (newest, previous) = match self.value(&head, read)? {
                    None => (0, [0; 32]),
                    Some(value) => decode_head(&value).ok_or_else(|| corrupt("the end of a log", &head))?,
                };
                let entry = LogEntry { sequence: newest + 1, previous, payload };
                for index in indexes {
                    self.writes.insert(numbered_key(&index, entry.sequence), Some(Vec::new()));
                }
                self.writes.insert(head, Some(encode_head(&entry)));
                self.writes.insert(numbered_key(&log, entry.sequence), Some(entry.encode()));
                self.appended.push(entry.sequence);
            }
        }
        Ok(())
    }

    /// What a key holds in the middle of the batch.
    fn value(
        &self,
        key: &[u8],
        read: &impl Fn(&[u8]) -> Result<Stored, StoreError>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match self.writes.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(read(key)?.map(|(_, value)| value)),
        }
    }
}

fn encode_head(newest: &LogEntry) -> Vec<u8> {
    [newest.sequence.to_be_bytes().as_slice(), &newest.hash()].concat()
}

fn decode_head(value: &[u8]) -> Option<(u64, [u8; 32])> {
    let (sequence, hash) = value.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*sequence), hash.try_into().ok()?))
}

fn corrupt(what: &str, key: &[u8]) -> StoreError {
    StoreError::Corrupt(format!("{what} at {} has the wrong form", key.escape_ascii()))
}
