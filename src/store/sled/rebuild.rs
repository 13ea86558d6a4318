//! Making a store anew beside the old one, from a backup and the journal, or from a copy of itself; and putting it in the
//! place of the old one.
//!
//! Nothing of the old one is removed before the new one is durable, and what was there stays beside it under another
//! name until somebody removes it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::sled::Db;

use super::super::apply::effects;
use super::super::journal::{self, Journal, StoreId};
use super::super::{Batch, Change, Entry, StoreError, Version};
use super::entries::{DATA_END, ID_KEY, VERSION_KEY, data_key, decode, entry, stored, stored_id, stored_version};
use super::opening::{
    DATA_FILE, LOCK_PATIENCE, MARKER, OpenError, apply, files, finish_creation, free_name, new_id, open_sled,
    prepare_new, sync_directories, unless_missing,
};
use super::{JOURNAL_DIRECTORY, STORE_DIRECTORY, settle};

/// Where a store is built.
const BUILDING: &str = "store.building";
/// Holds the stamp of what makes room for the store that is being built, until it is in its place.
const STAMP: &str = "stamp";
/// Between the name of what was there before and the stamp that tells it from others.
const BEFORE: &str = ".before-";
/// Entries of a copy that are written at once.
const BATCH_ENTRIES: usize = 500;

/// A store that is being built.
pub struct Rebuild {
    data_dir: PathBuf,
    db: Db,
}

/// What became of what was there before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    pub store: Option<PathBuf>,
    pub journal: Option<PathBuf>,
}

impl Rebuild {
    /// Begins with nothing; what an earlier attempt left is removed. The caller holds the lock of the data directory.
    pub fn begin(data_dir: &Path, cache_mib: u64) -> Result<Self, OpenError> {
        let directory = data_dir.join(BUILDING);
        prepare_new(&directory)?;
        let db = open_sled(&directory, cache_mib, Duration::ZERO)?;
        Ok(Self { data_dir: data_dir.into(), db })
    }

    /// Takes changes over, in order.
    pub fn apply(&self, changes: &[Change]) -> Result<(), OpenError> {
        let to = changes.last().map(|change| change.version).unwrap_or_default();
        apply(&self.db, changes, to).map_err(|error| self.failed(error.to_string()))
    }

    /// Takes over everything that lies in a store that opens, and says its id and version. `copied` hears of entries.
    pub fn copy(&self, cache_mib: u64, mut copied: impl FnMut(u64)) -> Result<(StoreId, Version), OpenError> {
        let directory = self.data_dir.join(STORE_DIRECTORY);
        let damaged =
            |error: StoreError| OpenError::Damaged { directory: directory.clone(), reason: error.to_string() };
        let old = open_sled(&directory, cache_mib, LOCK_PATIENCE)?;
        let (mut batch, mut count) = (::sled::Batch::default(), 0);
        for pair in old.range(data_key(b"")..DATA_END.to_vec()) {
            let (key, value) = pair.map_err(|error| damaged(StoreError::Corrupt(error.to_string())))?;
            decode(key.get(1..).unwrap_or_default(), &value).map_err(damaged)?;
            batch.insert(key, value);
            count += 1;
            if count >= BATCH_ENTRIES {
                let full = std::mem::take(&mut batch);
                self.db.apply_batch(full).map_err(|error| self.failed(error.to_string()))?;
                copied(std::mem::take(&mut count) as u64);
            }
        }
        self.db.apply_batch(batch).map_err(|error| self.failed(error.to_string()))?;
        copied(count as u64);
        id_and_version(&old, &directory)
    }

    /// Carries out a batch on what was taken over so far, which is at a version; says at which it is then. `None` when an
    /// expectation does not hold.
    pub fn commit(&self, batch: Batch, at: Version) -> Result<Option<Version>, StoreError> {
        batch.check_limits()?;
        let to = Version(at.0 + 1);
        let Some(effects) = effects(batch, |key| stored(&self.db, key))? else { return Ok(None) };
        let changes: Vec<Change> =
            effects.writes.into_iter().map(|(key, value)| Change { key, value, version: to }).collect();
        apply(&self.db, &changes, to).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Some(to))
    }

    /// The entry of one key, of what was taken over so far.
    pub fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        entry(&self.db, key)
    }

    /// Removes what was being built and is not any more. The caller holds the lock of the data directory.
    pub fn discard(data_dir: &Path) -> Result<(), OpenError> {
        let building = data_dir.join(BUILDING);
        fs::remove_dir_all(&building).or_else(unless_missing).map_err(OpenError::io(&building))
    }

    /// Makes the store durable and puts it in the place of the old one, at a version. `goes_on` is the id of the store
    /// whose journal is there and goes on; without it the store gets an id and a journal of its own, beginning there.
    /// `stamp` names what was there before.
    pub fn finish(self, goes_on: Option<StoreId>, version: Version, stamp: &str) -> Result<Replaced, OpenError> {
        let building = self.data_dir.join(BUILDING);
        let id = match goes_on {
            Some(id) => id,
            None => new_id().map_err(|reason| self.failed(reason))?,
        };
        let mut batch = ::sled::Batch::default();
        batch.insert(ID_KEY, &id);
        batch.insert(VERSION_KEY, &version.0.to_be_bytes());
        self.db.apply_batch(batch).map_err(|error| self.failed(error.to_string()))?;
        let io = OpenError::io(&building);
        let data = fs::File::open(building.join(DATA_FILE)).map_err(&io)?;
        settle(&self.db, &data).map_err(|reason| self.failed(reason))?;
        let Self { data_dir, db } = self;
        // Its threads write to the end.
        drop(db);
        data.sync_all().map_err(&io)?;
        let mut file = fs::File::create(building.join(STAMP)).map_err(&io)?;
        file.write_all(stamp.as_bytes()).and_then(|()| file.sync_all()).map_err(&io)?;
        finish_creation(&building).map_err(&io)?;
        // From here on whoever opens the store ends what is interrupted.
        let store = move_aside(&data_dir, STORE_DIRECTORY, stamp)?;
        let journal = put_in_place(&data_dir, id, version, stamp)
            .map_err(|error| OpenError::NotInPlace { reason: error.to_string() })?;
        Ok(Replaced { store, journal })
    }

    fn failed(&self, reason: String) -> OpenError {
        OpenError::Io { directory: self.data_dir.join(BUILDING), reason }
    }
}

/// Whether there is neither a store nor a journal of one, nor one that is being made.
pub fn is_new(data_dir: &Path) -> bool {
    ![STORE_DIRECTORY, JOURNAL_DIRECTORY, BUILDING].iter().any(|name| data_dir.join(name).exists())
}

/// What `end_interrupted` does, for who makes the store anew: what stands in the way of that, since it is not whole or damaged, is put aside.
pub fn make_room(data_dir: &Path, cache_mib: u64) -> Result<(), OpenError> {
    let building = data_dir.join(BUILDING);
    match end_interrupted(data_dir, cache_mib) {
        // It begins with nothing anyway.
        Err(OpenError::Interrupted { .. }) => Ok(()),
        Err(OpenError::Damaged { directory, .. } | OpenError::Missing { directory }) if directory == building => {
            let to = free_name(data_dir, &format!("{BUILDING}.damaged"))?;
            tracing::error!(moved_to = %to.display(), "a store that was being made anew is damaged and is put aside");
            fs::rename(&building, to).map_err(OpenError::io(&building))
        }
        ended => ended,
    }
}

/// Ends what a rebuild was killed in: one whose store is whole takes the place that the old one has left, any other goes,
/// unless there was no store before. The caller holds the lock of the data directory.
pub fn end_interrupted(data_dir: &Path, cache_mib: u64) -> Result<(), OpenError> {
    let building = data_dir.join(BUILDING);
    let io = OpenError::io(&building);
    if !building.try_exists().map_err(&io)? {
        return Ok(());
    }
    let is_whole = building.join(MARKER).try_exists().map_err(&io)?;
    match (is_whole, data_dir.join(STORE_DIRECTORY).try_exists().map_err(&io)?) {
        (true, false) => {}
        (false, false) => return Err(OpenError::Interrupted { building }),
        (_, true) => {
            tracing::warn!("a store was being made anew when that was broken off: the one before stays");
            return fs::remove_dir_all(&building).map_err(io);
        }
    }
    tracing::warn!("the store was being made anew when the program was killed; the new one takes its place now");
    let db = open_sled(&building, cache_mib, LOCK_PATIENCE)?;
    let (id, version) = id_and_version(&db, &building)?;
    drop(db);
    let stamp = fs::read_to_string(building.join(STAMP)).unwrap_or_else(|_| "interrupted".to_owned());
    put_in_place(data_dir, id, version, &stamp).map(drop)
}

/// Puts a store that was built where the old one was, beside the journal of the same id. Another journal is moved aside,
/// and says where to.
fn put_in_place(data_dir: &Path, id: StoreId, version: Version, stamp: &str) -> Result<Option<PathBuf>, OpenError> {
    let building = data_dir.join(BUILDING);
    let io = OpenError::io(&building);
    let journal = data_dir.join(JOURNAL_DIRECTORY);
    // One that is damaged at its head is nobody's.
    let replaced = if journal::store_id(&journal).unwrap_or_default() == Some(id) {
        None
    } else {
        let replaced = move_aside(data_dir, JOURNAL_DIRECTORY, stamp)?;
        Journal::open(&journal, id)?.begin(version).map_err(&io)?;
        replaced
    };
    fs::remove_file(building.join(STAMP)).or_else(unless_missing).map_err(&io)?;
    fs::rename(&building, data_dir.join(STORE_DIRECTORY)).map_err(&io)?;
    sync_directories(data_dir).map_err(&io)?;
    Ok(replaced)
}

fn move_aside(data_dir: &Path, name: &str, stamp: &str) -> Result<Option<PathBuf>, OpenError> {
    let (from, io) = (data_dir.join(name), OpenError::io(data_dir));
    if !from.try_exists().map_err(&io)? {
        return Ok(None);
    }
    let to = free_name(data_dir, &format!("{name}{BEFORE}{stamp}"))?;
    fs::rename(from, &to).map_err(&io)?;
    Ok(Some(to))
}

/// Stores and journals that were replaced or set aside as damaged and are still there, by name.
pub fn replaced(data_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let prefixes = [STORE_DIRECTORY, JOURNAL_DIRECTORY].map(|name| format!("{name}{BEFORE}"));
    let damaged = [BUILDING, JOURNAL_DIRECTORY].map(|name| format!("{name}.damaged"));
    let prefixes = [prefixes, damaged].concat();
    let is_one = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let mut paths = files(data_dir, is_one)?;
    paths.sort();
    Ok(paths)
}

fn id_and_version(db: &Db, directory: &Path) -> Result<(StoreId, Version), OpenError> {
    let damaged = |error: StoreError| OpenError::Damaged { directory: directory.into(), reason: error.to_string() };
    let missing = || OpenError::Missing { directory: directory.into() };
    let id = stored_id(db).map_err(damaged)?.ok_or_else(missing)?;
    Ok((id, stored_version(db, VERSION_KEY).map_err(damaged)?.ok_or_else(missing)?))
}
