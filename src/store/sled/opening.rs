//! Opens a store and its journal, and makes the one agree with the other.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use ::sled::Db;

use super::super::journal::{self, Journal, JournalError, StoreId};
use super::super::{Change, StoreError, Version};
use super::entries::{BEGUN_KEY, ID_KEY, VERSION_KEY, data_key, encode, stored_id, stored_version, write_version};
use super::rebuild::end_interrupted;
use super::{JOURNAL_DIRECTORY, STORE_DIRECTORY, panic_text, settle};

/// Says that the directory holds a store and in which format. Without it a vanished data file would pass for a new,
/// empty store.
pub(super) const MARKER: &str = "doorward-store";
/// What the marker is called until the first commit is durable. Nothing in such a store was ever acknowledged.
pub(super) const MARKER_UNFINISHED: &str = "doorward-store.unfinished";
pub(super) const MARKER_TEXT: &str = "doorward store, format 1\n";
/// The file of sled that holds the data.
pub(super) const DATA_FILE: &str = "db";
/// The version of a store that has just been made.
pub const FIRST: Version = Version(1);

/// How long a lock that a killed process may still hold is waited for.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Why a store did not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("cannot use the store in {}: {reason}", directory.display())]
    Io { directory: PathBuf, reason: String },
    #[error("the store in {} is open in another process; stop that process first", directory.display())]
    Locked { directory: PathBuf },
    #[error(
        "the store in {} has lost its data (it was created, and now is empty); bring its files back, or run `doorward recover`, which rebuilds it from the newest backup and the journal",
        directory.display()
    )]
    Missing { directory: PathBuf },
    #[error(
        "{} holds a database but not the file `{MARKER}`, so it is not a complete store of Doorward; \
         bring that file back, run `doorward recover`, or use another directory",
        directory.display()
    )]
    Unmarked { directory: PathBuf },
    #[error(
        "the store in {} has another format than this version of Doorward reads (`{MARKER}` says {found:?}); \
         use the version that wrote it, or, if that file is damaged, run `doorward recover`",
        directory.display()
    )]
    Format { directory: PathBuf, found: String },
    #[error(
        "the store in {} is damaged and cannot be read ({reason}); `doorward recover` rebuilds it from the newest backup and the journal",
        directory.display()
    )]
    Damaged { directory: PathBuf, reason: String },
    /// There was no store before, so an empty one would pass for what was to be brought back.
    #[error(
        "a store was being made in {} when that was broken off, and there is no other: do it again (`doorward restore`, \
         `recover` or `import`), or remove that folder to begin with an empty store",
        building.display()
    )]
    Interrupted { building: PathBuf },
    /// The old store has left its place already.
    #[error("{reason}; the new store is whole, and takes its place when anything opens the store next")]
    NotInPlace { reason: String },
    #[error("{0}; if it stays so, `doorward recover` says what can be brought back")]
    Journal(JournalError),
    #[error(
        "{0} than the one that lies beside it: bring the store's own journal back, or move this one away, and the store \
         begins a new one"
    )]
    OtherJournal(JournalError),
    /// What is missing may have been acknowledged.
    #[error(
        "{damage}, and the store lacks what stood there; keep both, and run `doorward recover`, which says what it can bring back"
    )]
    Behind { damage: JournalError },
}

impl From<JournalError> for OpenError {
    fn from(error: JournalError) -> Self {
        match error {
            error @ JournalError::Foreign { .. } => Self::OtherJournal(error),
            error => Self::Journal(error),
        }
    }
}

impl OpenError {
    pub(super) fn io(directory: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let directory = directory.to_path_buf();
        move |error| Self::Io { directory: directory.clone(), reason: error.to_string() }
    }
}

/// A store and its journal, both at the same version.
pub(super) struct Opened {
    pub db: Db,
    /// Our own handle to sled's data file, for `fdatasync`.
    pub data: File,
    pub journal: Journal,
}

impl Opened {
    pub fn open(data_dir: &Path, cache_mib: u64, patience: Duration) -> Result<Self, OpenError> {
        let (directory, journal) = (data_dir.join(STORE_DIRECTORY), data_dir.join(JOURNAL_DIRECTORY));
        let failed = OpenError::io(&directory);
        let damaged =
            |error: StoreError| OpenError::Damaged { directory: directory.clone(), reason: error.to_string() };
        end_interrupted(data_dir, cache_mib)?;
        let found = prepare(&directory, &journal)?;
        let db = open_sled(&directory, cache_mib, patience)?;
        let data = File::open(directory.join(DATA_FILE)).map_err(&failed)?;
        let stored = match (found, stored_version(&db, VERSION_KEY).map_err(damaged)?) {
            (_, Some(version)) => version,
            (Found::New, None) => Version::default(),
            (Found::Existing, None) => return Err(OpenError::Missing { directory }),
        };
        let id = match stored_id(&db).map_err(damaged)? {
            Some(id) => id,
            None => give_id(&db).map_err(|error| failed(io::Error::other(error)))?,
        };
        let mut journal = open_journal(&db, &data, stored, &journal, id)?;
        let begun = stored_version(&db, BEGUN_KEY).map_err(damaged)?.unwrap_or_default();
        if journal.version() < begun {
            tracing::error!(
                version = begun.0,
                "the journal has lost its end, of which the store has all or a part: it begins anew; look whether all is well \
                 with `doorward verify`"
            );
            write_version(&db, VERSION_KEY, begun).map_err(|error| failed(io::Error::other(error)))?;
            // Before the journal begins there: it has nothing of what leads to it.
            settle(&db, &data).map_err(|reason| failed(io::Error::other(reason)))?;
            journal.begin(begun).map_err(&failed)?;
        }
        // What was taken over, and what a killed process left to the system to write.
        settle(&db, &data).map_err(|reason| failed(io::Error::other(reason)))?;
        if found == Found::New {
            finish_creation(&directory).map_err(failed)?;
        }
        Ok(Self { db, data, journal })
    }
}

/// Opens the journal and makes store and journal agree. A damaged one is set aside when the store lacks nothing of it.
fn open_journal(db: &Db, data: &File, stored: Version, directory: &Path, id: StoreId) -> Result<Journal, OpenError> {
    let failed = OpenError::io(directory);
    let (damage, frames) = match Journal::open(directory, id) {
        Ok(journal) => return join(db, data, stored, journal, directory, id),
        Err(damage @ JournalError::Damaged { .. }) => (damage, journal::salvage(directory, stored)?),
        Err(error) => return Err(error.into()),
    };
    let Some(frames) = frames else { return Err(OpenError::Behind { damage }) };
    let mut version = stored;
    for frame in frames {
        apply(db, &frame.changes, frame.to).map_err(|error| failed(io::Error::other(error.to_string())))?;
        version = frame.to;
    }
    // Before the journal goes: until then it may be all that has them.
    settle(db, data).map_err(|reason| failed(io::Error::other(reason)))?;
    let aside = free_name(directory.parent().unwrap_or(directory), &format!("{JOURNAL_DIRECTORY}.damaged"))?;
    fs::rename(directory, &aside).map_err(&failed)?;
    tracing::error!(
        %damage,
        moved_to = %aside.display(),
        "the journal is damaged, but the store has all of it: it begins anew, and only a backup from now on can be brought up \
         to date with it"
    );
    let mut journal = Journal::open(directory, id)?;
    journal.begin(version).map_err(failed)?;
    Ok(journal)
}

/// Makes store and journal agree: the store takes over what only the journal has, and a journal that lacks what the
/// store has goes on from there.
fn join(
    db: &Db,
    data: &File,
    stored: Version,
    mut journal: Journal,
    directory: &Path,
    id: StoreId,
) -> Result<Journal, OpenError> {
    let failed = OpenError::io(directory);
    if journal.version() > stored {
        tracing::info!(from = stored.0, to = journal.version().0, "the store takes over the end of the journal");
        for frame in journal::frames_after(directory, Some(id), stored)? {
            let frame = frame?;
            apply(db, &frame.changes, frame.to).map_err(|error| failed(io::Error::other(error.to_string())))?;
        }
    } else if stored == Version::default() {
        journal.append(FIRST, &[]).map_err(&failed)?;
        write_version(db, VERSION_KEY, FIRST).map_err(|error| failed(io::Error::other(error.to_string())))?;
    } else if journal.version() < stored {
        tracing::warn!(
            version = stored.0,
            "the journal does not reach the store and begins anew: only a backup from now on can be brought up to date with it"
        );
        // First: what a killed process left to the system to write may be all there is.
        settle(db, data).map_err(|reason| failed(io::Error::other(reason)))?;
        journal.begin(stored).map_err(failed)?;
    }
    Ok(journal)
}

/// Writes changes into sled, in memory, and then the version that they lead to.
pub(super) fn apply(db: &Db, changes: &[Change], to: Version) -> ::sled::Result<()> {
    let mut batch = ::sled::Batch::default();
    for Change { key, value, version } in changes {
        match value {
            Some(value) => batch.insert(data_key(key), encode(key, *version, value)),
            None => batch.remove(data_key(key)),
        }
    }
    db.apply_batch(batch)?;
    write_version(db, VERSION_KEY, to)
}

/// Gives the store an id. It becomes durable with what follows.
fn give_id(db: &Db) -> Result<StoreId, String> {
    let id = new_id()?;
    let mut batch = ::sled::Batch::default();
    batch.insert(ID_KEY, &id);
    db.apply_batch(batch).map_err(|error| error.to_string())?;
    Ok(id)
}

pub(super) fn new_id() -> Result<StoreId, String> {
    let mut id = StoreId::default();
    getrandom::fill(&mut id).map_err(|error| error.to_string())?;
    Ok(id)
}

/// What the directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing yet, or the start of a creation that did not finish.
    New,
    Existing,
}

/// Compares marker and files, and clears away what a crash left.
fn prepare(directory: &Path, journal: &Path) -> Result<Found, OpenError> {
    let failed = |error: io::Error| OpenError::Io { directory: directory.into(), reason: error.to_string() };
    let has = |name: &str| directory.join(name).try_exists().map_err(failed);
    if has(MARKER)? {
        let text = fs::read(directory.join(MARKER)).map_err(failed)?;
        if text != MARKER_TEXT.as_bytes() {
            let found = String::from_utf8_lossy(&text).trim_end().into();
            return Err(OpenError::Format { directory: directory.into(), found });
        }
        if !has(DATA_FILE)? {
            return Err(OpenError::Missing { directory: directory.into() });
        }
        // sled takes such a file for the newest snapshot and then refuses to open.
        remove_files(directory, |name| name.starts_with("snap.") && name.ends_with(".generating")).map_err(failed)?;
        return Ok(Found::Existing);
    }
    let is_unfinished = has(MARKER_UNFINISHED)?;
    if !is_unfinished && !files(directory, is_file_of_sled).map_err(failed)?.is_empty() {
        return Err(OpenError::Unmarked { directory: directory.into() });
    }
    let (_, known) = journal::extent(journal)?;
    if known > FIRST {
        return Err(OpenError::Missing { directory: directory.into() });
    }
    if is_unfinished {
        fs::remove_dir_all(journal).or_else(unless_missing).map_err(failed)?;
        remove_files(directory, is_file_of_sled).map_err(failed)?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    start_creation(directory).map_err(failed)?;
    Ok(Found::New)
}

pub(super) fn unless_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

pub(super) fn is_file_of_sled(name: &str) -> bool {
    name == DATA_FILE || name == "conf" || name == "blobs" || name.starts_with("snap.")
}

/// The files of a directory, of which one that is not there has none.
pub(super) fn files(directory: &Path, chosen: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let found = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(paths),
        found => found?,
    };
    for file in found {
        let file = file?;
        if file.file_name().to_str().is_some_and(&chosen) {
            paths.push(file.path());
        }
    }
    Ok(paths)
}

pub(super) fn remove_files(directory: &Path, chosen: impl Fn(&str) -> bool) -> io::Result<()> {
    for path in files(directory, chosen)? {
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}

/// An empty directory in which a store is being made; what was in it goes.
pub(super) fn prepare_new(directory: &Path) -> Result<(), OpenError> {
    let failed = OpenError::io(directory);
    fs::remove_dir_all(directory).or_else(unless_missing).map_err(&failed)?;
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(&failed)?;
    start_creation(directory).map_err(failed)
}

/// A name in a directory that nothing has yet.
pub(super) fn free_name(directory: &Path, name: &str) -> Result<PathBuf, OpenError> {
    let is_taken = |path: &Path| path.try_exists().map_err(OpenError::io(directory));
    let mut path = directory.join(name);
    let mut number = 1;
    while is_taken(&path)? {
        number += 1;
        path = directory.join(format!("{name}-{number}"));
    }
    Ok(path)
}

fn start_creation(directory: &Path) -> io::Result<()> {
    let mut marker = File::create(directory.join(MARKER_UNFINISHED))?;
    marker.write_all(MARKER_TEXT.as_bytes())?;
    marker.sync_all()?;
    sync_directories(directory)
}

/// From here on an empty directory is a loss.
pub(super) fn finish_creation(directory: &Path) -> io::Result<()> {
    for path in files(directory, is_file_of_sled)? {
        File::open(path)?.sync_all()?;
    }
    sync_directories(directory)?;
    fs::rename(directory.join(MARKER_UNFINISHED), directory.join(MARKER))?;
    sync_directories(directory)
}

/// Makes the names of new files durable, and the name of the directory itself. The directories above may be as new (the
/// data directory is made along with its parents); those that are not ours to read were not made by us.
pub(super) fn sync_directories(directory: &Path) -> io::Result<()> {
    let directory = directory.canonicalize()?;
    for (above, path) in directory.ancestors().enumerate() {
        match File::open(path).and_then(|file| file.sync_all()) {
            Err(error) if above < 2 => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// sled's own `open`, waiting for a dying process to let go of its lock and catching its panics on damaged files.
pub(super) fn open_sled(directory: &Path, cache_mib: u64, patience: Duration) -> Result<Db, OpenError> {
    let config = ::sled::Config::new()
        .path(directory)
        .cache_capacity(cache_mib.max(1).saturating_mul(1024 * 1024))
        .flush_every_ms(Some(500));
    let deadline = Instant::now() + patience;
    loop {
        let error = match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => return Ok(db),
            Ok(Err(error)) => error,
            Err(panic) => {
                let reason = panic_text(panic.as_ref());
                return Err(OpenError::Damaged { directory: directory.into(), reason });
            }
        };
        match error {
            ::sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
                if Instant::now() >= deadline {
                    return Err(OpenError::Locked { directory: directory.into() });
                }
                thread::sleep(Duration::from_millis(20));
            }
            ::sled::Error::Io(error) => {
                return Err(OpenError::Io { directory: directory.into(), reason: error.to_string() });
            }
            error => return Err(OpenError::Damaged { directory: directory.into(), reason: error.to_string() }),
        }
    }
}
