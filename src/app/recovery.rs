//! Making the store anew while no server runs: from a backup (`restore`), from the newest good backup and the journal
//! (`recover`), or from itself, without the room that sled no longer needs (`compact`).
//!
//! All of it blocks, and holds the lock of the data directory. The store that was there stays beside the new one, under
//! another name: removing it is for a person who has seen that the new one is right.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::backups::{backup_files, header};
use super::secret_key::{self, KeyFile};
use crate::clock;
use crate::config::Config;
use crate::domain::text;
use crate::records::keys;
use crate::store::backup::{BackupError, Header, Reader};
use crate::store::journal::{self, JournalError};
use crate::store::lock::{DataLock, LockError};
use crate::store::sled::{
    FIRST, JOURNAL_DIRECTORY, OpenError as StoreOpenError, Rebuild, Replaced, STORE_DIRECTORY, make_room,
};
use crate::store::{StoreId, Version};

/// How far it is: what begins, and of how many steps; or steps done.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Begin(&'static str, u64),
    Done(u64),
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// Where the secret key is to be put before anything opens the store, if it is not there.
    pub lacks_key: Option<PathBuf>,
    /// The backup it began with; none when the journal had everything from the first day, or for a copy.
    pub backup: Option<PathBuf>,
    /// Backups that were passed over, and why.
    pub passed_over: Vec<(PathBuf, String)>,
    /// Commits taken over from the journal.
    pub commits: u64,
    /// Where the journal could not be read on, when that was accepted.
    pub stopped_at: Option<String>,
    pub replaced: Replaced,
}

/// Why it was not done. What was there is as it was, unless it says so; where there was no store, what was begun stays, so
/// that no empty one is served.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error("the data directory is in use by the {0}: stop that first")]
    Held(String),
    #[error("{} has a store already: it is moved aside only with --replace", .0.display())]
    StoreThere(PathBuf),
    #[error(
        "there is no store, but {} holds what may be newer than the backup: `doorward recover` takes both, and --replace \
         the backup alone",
        .0.display()
    )]
    JournalThere(PathBuf),
    /// The store was put back, or the end of the journal is lost: who knows which?
    #[error(
        "{} holds version {}, and the journal ends with version {}: either its end was lost or the store was put back to an \
         earlier time since; name the backup to begin with (--from)",
        file.display(), holds.0, end.0
    )]
    BehindBackup { file: PathBuf, holds: Version, end: Version },
    #[error("{}: {error}", file.display())]
    Backup { file: PathBuf, error: BackupError },
    #[error("the backup is sealed with the secret key {id}, which is not in {}: put that key there first", file.display())]
    OtherKey { file: PathBuf, id: String },
    #[error("{0}")]
    Io(String),
    #[error("{0}")]
    Store(#[from] StoreOpenError),
    #[error("{0}; with --up-to-damage what lies before it is recovered, and what lies behind it is lost")]
    Damaged(JournalError),
    /// It may be whole.
    #[error("{0}")]
    Journal(JournalError),
    #[error(
        "{} has no good backup, and no journal from the first day on: name a backup with --from",
        .0.display()
    )]
    NothingToBeginWith(PathBuf),
}

impl From<LockError> for RecoveryError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { holder } => Self::Held(holder),
            error @ LockError::Io { .. } => Self::Io(error.to_string()),
        }
    }
}

impl From<JournalError> for RecoveryError {
    fn from(error: JournalError) -> Self {
        match error {
            error @ (JournalError::Damaged { .. } | JournalError::Gap { .. }) => Self::Damaged(error),
            error => Self::Journal(error),
        }
    }
}

type Result<T> = std::result::Result<T, RecoveryError>;

fn lock(config: &Config) -> Result<DataLock> {
    let data_dir = &config.server.data_dir;
    let lock = DataLock::acquire(data_dir, "recovery", &clock::now().to_rfc3339_z())?;
    make_room(data_dir, config.store.sled.cache_mib)?;
    Ok(lock)
}

pub(super) fn stamp() -> String {
    clock::now().to_rfc3339_z().chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Makes a store from a backup alone, with a journal that begins there. A store that is there is moved aside if `replace`.
pub fn restore(config: &Config, file: &Path, replace: bool, step: &mut dyn FnMut(Step)) -> Result<Rebuilt> {
    let _lock = lock(config)?;
    let data_dir = &config.server.data_dir;
    let (store, journal) = (data_dir.join(STORE_DIRECTORY), data_dir.join(JOURNAL_DIRECTORY));
    if store.exists() && !replace {
        return Err(RecoveryError::StoreThere(store));
    }
    if !replace && journal::extent(&journal).map_or(true, |(_, end)| end > FIRST) {
        return Err(RecoveryError::JournalThere(journal));
    }
    // Before anything is made, which would be in the way of a server.
    header(file).map_err(|error| RecoveryError::Backup { file: file.to_owned(), error })?;
    let rebuild = Rebuild::begin(data_dir, config.store.sled.cache_mib)?;
    let (_, version) = load(&rebuild, file, step)?;
    let (rebuild, lacks_key) = check_key(config, rebuild)?;
    let before = rebuild.finish(None, version, &stamp())?;
    Ok(Rebuilt {
        lacks_key,
        backup: Some(file.to_owned()),
        passed_over: Vec::new(),
        commits: 0,
        stopped_at: None,
        replaced: before,
    })
}

/// A store that no key here opens does not take the place of one that opens, and goes where there is one. Where there is no
/// key yet, it is to come: says which file that is.
fn check_key(config: &Config, rebuild: Rebuild) -> Result<(Rebuild, Option<PathBuf>)> {
    let failed = |error: &dyn std::fmt::Display| RecoveryError::Io(error.to_string());
    let Some(file) = KeyFile::read(config).map_err(|error| failed(&error))? else {
        return Ok((rebuild, Some(secret_key::path(config))));
    };
    match rebuild.get(keys::SECRET_KEY_ID).map_err(|error| failed(&error))? {
        Some(id) if file.named(&id.value).is_none() => {
            drop(rebuild);
            // Where there is none, what was begun keeps an empty one from being served.
            if config.server.data_dir.join(STORE_DIRECTORY).exists() {
                Rebuild::discard(&config.server.data_dir)?;
            }
            Err(RecoveryError::OtherKey { file: file.path().to_owned(), id: text::hex(&id.value) })
        }
        _ => Ok((rebuild, None)),
    }
}

/// Makes the store anew from a backup (`from`, or else the newest good one) and everything that the journal has behind it.
pub fn recover(
    config: &Config,
    from: Option<&Path>,
    up_to_damage: bool,
    step: &mut dyn FnMut(Step),
) -> Result<Rebuilt> {
    let _lock = lock(config)?;
    let data_dir = &config.server.data_dir;
    let journal = data_dir.join(JOURNAL_DIRECTORY);
    let known = match journal::store_id(&journal) {
        Err(JournalError::Damaged { .. }) if up_to_damage => None,
        known => known?,
    };
    let end = journal::extent(&journal).ok().map(|(_, end)| end);
    let mut passed_over = Vec::new();
    let mut begun = None;
    for file in from.map_or_else(|| backup_files(config), |from| vec![from.to_owned()]) {
        let rebuild = Rebuild::begin(data_dir, config.store.sled.cache_mib)?;
        match load(&rebuild, &file, step) {
            Ok((header, version)) if known.is_none_or(|id| id == header.store) => {
                if let (Some(end), Some(_), None) = (end, known, from)
                    && version > end
                {
                    return Err(RecoveryError::BehindBackup { file, holds: version, end });
                }
                begun = Some((rebuild, Some(file), version));
                break;
            }
            Ok(_) if from.is_some() => {
                let detail = "it is of another store than the journal; `doorward restore` takes it alone".to_owned();
                return Err(RecoveryError::Io(format!("{}: {detail}", file.display())));
            }
            Ok(_) => passed_over.push((file, "it is of another store than the journal".to_owned())),
            Err(error) if from.is_some() => return Err(error),
            Err(error) => passed_over.push((file, error.to_string())),
        }
    }
    let (rebuild, backup, begun) = match (begun, known) {
        (Some(begun), _) => begun,
        (None, Some(_)) => (Rebuild::begin(data_dir, config.store.sled.cache_mib)?, None, Version::default()),
        (None, None) => {
            return Err(RecoveryError::NothingToBeginWith(data_dir.clone()));
        }
    };
    let (version, commits, stopped_at) = match take_over(&rebuild, &journal, known, begun, end, step)? {
        (version, commits, None) => (version, commits, None),
        (_, 0, Some(JournalError::Gap { .. })) if backup.is_none() => {
            return Err(RecoveryError::NothingToBeginWith(data_dir.clone()));
        }
        (version, commits, Some(error @ (JournalError::Damaged { .. } | JournalError::Gap { .. }))) if up_to_damage => {
            (version, commits, Some(error.to_string()))
        }
        (.., Some(error)) => return Err(error.into()),
    };
    let (rebuild, lacks_key) = check_key(config, rebuild)?;
    // A journal that was read to its end goes on; one that was not would be in the way of what comes. Without one this is
    // another store than that of the backup, which may go on elsewhere, or have gone on before.
    let replaced = rebuild.finish(known.filter(|_| stopped_at.is_none()), version, &stamp())?;
    Ok(Rebuilt { lacks_key, backup, passed_over, commits, stopped_at, replaced })
}

/// Copies the store into a new one, which takes only the room that its entries need.
pub fn compact(config: &Config, step: &mut dyn FnMut(Step)) -> Result<Rebuilt> {
    let data_dir = &config.server.data_dir;
    if !data_dir.join(STORE_DIRECTORY).exists() && !data_dir.join(JOURNAL_DIRECTORY).exists() {
        return Err(RecoveryError::Io(format!("there is no store in {}", data_dir.display())));
    }
    let _lock = lock(config)?;
    let cache_mib = config.store.sled.cache_mib;
    // Opened once as a server would, so that it takes over what only the journal has.
    drop(crate::store::sled::SledStore::open(data_dir, cache_mib)?);
    let rebuild = Rebuild::begin(data_dir, cache_mib)?;
    step(Step::Begin("copying", 0));
    let (id, version) = rebuild.copy(cache_mib, |entries| step(Step::Done(entries)))?;
    let replaced = rebuild.finish(Some(id), version, &stamp())?;
    Ok(Rebuilt { lacks_key: None, backup: None, passed_over: Vec::new(), commits: 0, stopped_at: None, replaced })
}

/// Takes a whole backup over; says what it is of and at which version.
fn load(rebuild: &Rebuild, file: &Path, step: &mut dyn FnMut(Step)) -> Result<(Header, Version)> {
    let failed = |error: BackupError| RecoveryError::Backup { file: file.to_owned(), error };
    let input = File::open(file).map_err(|error| failed(error.into()))?;
    let bytes = input.metadata().map_or(0, |metadata| metadata.len());
    step(Step::Begin("reading the backup", bytes));
    let mut reader = Reader::open(BufReader::new(input)).map_err(failed)?;
    let mut read = 0;
    while let Some(changes) = reader.changes().map_err(failed)? {
        rebuild.apply(&changes)?;
        step(Step::Done(reader.bytes() - read));
        read = reader.bytes();
    }
    let version = reader.trailer().map(|trailer| Version(trailer.version)).unwrap_or_default();
    Ok((reader.header().clone(), version))
}

/// Takes over what the journal has behind a version, as far as it can be read; says how far that is, how many commits it
/// were, and what was wrong then. `end` is where it ends, as far as that is known.
fn take_over(
    rebuild: &Rebuild,
    journal: &Path,
    id: Option<StoreId>,
    begun: Version,
    end: Option<Version>,
    step: &mut dyn FnMut(Step),
) -> Result<(Version, u64, Option<JournalError>)> {
    step(Step::Begin("taking over the journal", end.unwrap_or(begun).0.saturating_sub(begun.0)));
    let mut version = begun;
    let frames = match journal::frames_after(journal, id, begun) {
        Ok(frames) => frames,
        Err(error) => return Ok((version, 0, Some(error))),
    };
    for frame in frames {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Ok((version, version.0 - begun.0, Some(error))),
        };
        rebuild.apply(&frame.changes)?;
        step(Step::Done(frame.to.0 - version.0));
        version = frame.to;
    }
    Ok((version, version.0 - begun.0, None))
}
