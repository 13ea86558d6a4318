//! Making a store anew beside the old one, from a backup and the journal, or from a copy of itself; and putting it in the
//! place of the old one.
//!
//! Nothing of the old one is removed before the new one is durable, and what was there stays beside it under another
//! name until somebody removes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::sled::Db;

use super::super::journal::{Journal, StoreId};
use super::super::{Change, StoreError, Version};
use super::entries::{DATA_END, ID_KEY, VERSION_KEY, data_key, decode, stored_id, stored_version};
use super::opening::{
    DATA_FILE, LOCK_PATIENCE, OpenError, apply, finish_creation, free_name, open_sled, prepare_new, sync_directories,
};
use super::{JOURNAL_DIRECTORY, STORE_DIRECTORY, settle};

/// Where a store is built.
const BUILDING: &str = "store.building";
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
        let missing = || OpenError::Missing { directory: directory.clone() };
        let id = stored_id(&old).map_err(damaged)?.ok_or_else(missing)?;
        let version = stored_version(&old).map_err(damaged)?.ok_or_else(missing)?;
        Ok((id, version))
    }

    /// Makes the store durable and puts it in the place of the old one, at a version. With `keeps_journal`, the journal
    /// that is there goes on; otherwise the store gets one of its own, beginning there. `stamp` names what was there before.
    pub fn finish(
        self,
        id: StoreId,
        version: Version,
        keeps_journal: bool,
        stamp: &str,
    ) -> Result<Replaced, OpenError> {
        let building = self.data_dir.join(BUILDING);
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
        finish_creation(&building).map_err(&io)?;

        let aside = |name: &str| -> Result<Option<PathBuf>, OpenError> {
            let from = data_dir.join(name);
            if !from.try_exists().map_err(&io)? {
                return Ok(None);
            }
            let to = free_name(&data_dir, &format!("{name}.before-{stamp}"))?;
            fs::rename(from, &to).map_err(&io)?;
            Ok(Some(to))
        };
        // Without a store beside its journal nothing opens until this is done again.
        let mut replaced = Replaced { store: aside(STORE_DIRECTORY)?, journal: None };
        if !keeps_journal {
            replaced.journal = aside(JOURNAL_DIRECTORY)?;
            Journal::open(&data_dir.join(JOURNAL_DIRECTORY), id)?.begin(version).map_err(&io)?;
        }
        fs::rename(&building, data_dir.join(STORE_DIRECTORY)).map_err(&io)?;
        sync_directories(&data_dir).map_err(&io)?;
        Ok(replaced)
    }

    fn failed(&self, reason: String) -> OpenError {
        OpenError::Io { directory: self.data_dir.join(BUILDING), reason }
    }
}
