//! How entries lie in sled's tree, and how they are read from it.

use ::sled::Db;

use super::super::apply::Stored;
use super::super::journal::StoreId;
use super::super::{Cursor, Entry, PAGE_ENTRIES_MAX, Page, StoreError, Version};

/// Before every key of a caller.
const DATA_PREFIX: u8 = b'd';
/// First byte behind all of those.
pub(super) const DATA_END: [u8; 1] = [DATA_PREFIX + 1];
/// Where the newest version is kept.
pub(super) const VERSION_KEY: &[u8] = b"v";
/// Where the version is kept that the newest group leads to, from before it is written.
pub(super) const BEGUN_KEY: &[u8] = b"b";
/// Where the id of the store is kept.
pub(super) const ID_KEY: &[u8] = b"i";
/// Version and checksum, before each value.
const HEADER_BYTES: usize = 8 + 4;

pub(super) fn data_key(key: &[u8]) -> Vec<u8> {
    let mut data_key = Vec::with_capacity(1 + key.len());
    data_key.push(DATA_PREFIX);
    data_key.extend_from_slice(key);
    data_key
}

pub(super) fn encode(key: &[u8], version: Version, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + value.len());
    bytes.extend_from_slice(&version.0.to_be_bytes());
    bytes.extend_from_slice(&checksum(key, version, value).to_be_bytes());
    bytes.extend_from_slice(value);
    bytes
}

/// Version and value, if the checksum is right.
pub(super) fn decode(key: &[u8], bytes: &[u8]) -> Result<(Version, Vec<u8>), StoreError> {
    let parts =
        bytes.split_first_chunk::<8>().and_then(|(version, rest)| Some((version, rest.split_first_chunk::<4>()?)));
    if let Some((version, (sum, value))) = parts {
        let version = Version(u64::from_be_bytes(*version));
        if checksum(key, version, value).to_be_bytes() == *sum {
            return Ok((version, value.to_vec()));
        }
    }
    Err(StoreError::Corrupt(format!("the entry {} does not match its checksum", key.escape_ascii())))
}

/// CRC-32 of everything, so that a value under a wrong key is noticed as well.
fn checksum(key: &[u8], version: Version, value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(&version.0.to_be_bytes());
    hasher.update(value);
    hasher.finalize()
}

pub(super) fn stored(db: &Db, key: &[u8]) -> Result<Stored, StoreError> {
    db.get(data_key(key)).map_err(|error| read_error(&error))?.map(|bytes| decode(key, &bytes)).transpose()
}

/// One of the two versions that a store keeps of itself.
pub(super) fn stored_version(db: &Db, at: &[u8]) -> Result<Option<Version>, StoreError> {
    let Some(bytes) = db.get(at).map_err(|error| read_error(&error))? else { return Ok(None) };
    match bytes.as_ref().try_into() {
        Ok(bytes) => Ok(Some(Version(u64::from_be_bytes(bytes)))),
        Err(_) => Err(StoreError::Corrupt("the version has the wrong form".into())),
    }
}

/// Says how far the store is ([`VERSION_KEY`]), behind what it counts, or will be ([`BEGUN_KEY`]), before it; never in one
/// batch with it (see the module's text).
pub(super) fn write_version(db: &Db, at: &[u8], version: Version) -> ::sled::Result<()> {
    let mut batch = ::sled::Batch::default();
    batch.insert(at, &version.0.to_be_bytes());
    db.apply_batch(batch)
}

/// The id of the store; `None` in one that has none yet.
pub(super) fn stored_id(db: &Db) -> Result<Option<StoreId>, StoreError> {
    let Some(bytes) = db.get(ID_KEY).map_err(|error| read_error(&error))? else { return Ok(None) };
    let id = bytes.as_ref().try_into().map_err(|_| StoreError::Corrupt("the id has the wrong form".into()))?;
    Ok(Some(id))
}

pub(super) fn entry(db: &Db, key: &[u8]) -> Result<Option<Entry>, StoreError> {
    Ok(stored(db, key)?.map(|(version, value)| Entry { key: key.into(), value, version }))
}

/// One page, and whether more follows. Stops at the first error: on a damaged page sled's iterator repeats it for ever.
pub(super) fn page(
    mut pairs: impl Iterator<Item = ::sled::Result<(::sled::IVec, ::sled::IVec)>>,
    limit: usize,
) -> Result<Page, StoreError> {
    let limit = limit.clamp(1, PAGE_ENTRIES_MAX);
    let mut entries: Vec<Entry> = Vec::new();
    for pair in pairs.by_ref() {
        let (data_key, bytes) = pair.map_err(|error| read_error(&error))?;
        if entries.len() == limit {
            let next = entries.last().map(|last| Cursor(last.key.clone()));
            return Ok(Page { entries, next });
        }
        let key = data_key.get(1..).unwrap_or_default();
        let (version, value) = decode(key, &bytes)?;
        entries.push(Entry { key: key.into(), value, version });
    }
    Ok(Page { entries, next: None })
}

fn read_error(error: &::sled::Error) -> StoreError {
    match error {
        ::sled::Error::Corruption { .. } => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}
