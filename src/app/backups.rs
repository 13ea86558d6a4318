//! Backups of the running store: on demand, as a stream, and on a schedule, into a directory, with old ones removed.
//!
//! A scheduled backup counts only when it has been read back whole. Then what the newest but one holds leaves the
//! journal: should the newest turn out bad, the one before it and the journal still rebuild everything.

use std::fs::{self, File};
use std::io::{self, BufReader, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::audit::Note;
use super::new_file::{NewFile, UNFINISHED};
use super::{Actor, App, Context, Identity, Permission};
use crate::clock;
use crate::config::{Config, Engine};
use crate::domain::audit::Event;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::records::keys;
use crate::store::backup::{self, Header};
pub use crate::store::backup::{BackupError, Reader, Trailer};
use crate::store::{Batch, StoreId, Version};

const EXTENSION: &str = ".backup";
/// Pieces of a backup that wait for whoever takes them.
const PIECES_AHEAD: usize = 4;
/// How often the schedule is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// When a store that has no backup gets its first, in seconds after the start: until then its journal has everything.
const FIRST_S: i64 = 15 * 60;
/// Before a scheduled backup that failed is tried again.
const RETRY: Duration = Duration::from_mins(10);

/// A backup that is being made: pieces to take, and the outcome.
pub struct Running {
    pub pieces: mpsc::Receiver<Bytes>,
    pub outcome: tokio::task::JoinHandle<std::result::Result<Trailer, BackupError>>,
}

/// What a file holds that was read from its beginning to its end.
#[derive(Clone, Debug)]
pub struct Verified {
    pub header: Header,
    pub trailer: Trailer,
}

impl App {
    /// Begins a backup of everything in the store. It leaves an entry in the audit trail, behind what it holds.
    pub fn begin_backup(&self, actor: Actor) -> Result<Running> {
        Context { app: self, actor: &actor, now: clock::now(), step: None, approved: None }
            .check(Permission::OPERATOR_WRITE)?;
        let (out, pieces) = mpsc::channel(PIECES_AHEAD);
        let app = self.clone();
        let outcome = tokio::spawn(async move {
            let cx = Context { app: &app, actor: &actor, now: clock::now(), step: None, approved: None };
            let store = app.records().store();
            let header = Header {
                store: store.id(),
                made_at: cx.now.as_micros(),
                program: env!("CARGO_PKG_VERSION").to_owned(),
                begun: store.version().0,
            };
            let mark = Batch::default().put(keys::BACKUP_MARK, cx.now.as_micros().to_be_bytes());
            // What the schedule does is in the log; who takes everything out by hand is in the trail.
            let mark = match &actor.identity {
                Identity::System => mark,
                _ => cx.audited(mark, Note::new(Event::StoreBackedUp).detail("version", header.begun)),
            };
            let written = backup::write(&**store, &header, mark, out).await;
            if let Err(error) = &written {
                tracing::error!(%error, "a backup broke off");
            }
            written
        });
        Ok(Running { pieces, outcome })
    }

    /// Makes backups when they are due, and removes those that are too many, for as long as the program runs.
    pub async fn back_up_for_ever(&self) {
        if self.0.config.backup.every_hours == 0 || self.0.config.store.engine == Engine::Memory {
            return std::future::pending().await;
        }
        let config = Arc::clone(&self.0.config);
        if let Err(reason) = blocking(move || remove_unfinished(&config)).await {
            tracing::warn!(reason, "half backups could not be removed");
        }
        let mut lacks = self.lacks_a_backup().await;
        loop {
            let pause = match self.back_up_if_due(lacks).await {
                Ok(is_made) => {
                    lacks &= !is_made;
                    LOOK
                }
                Err(reason) => {
                    tracing::error!(reason, "the scheduled backup failed; it is tried again");
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether the journal begins behind what the newest backup holds, as after damage to it or after `restore`, or the
    /// backup holds more than the store, as one that was put back to an earlier time: until there is another backup, damage
    /// to the store itself could not be mended.
    async fn lacks_a_backup(&self) -> bool {
        let store = self.records().store();
        match (store.journal_begins().await, newest_backup(&self.0.config, store.id()).await) {
            (Ok(begins), Ok(backup)) => backup > store.version() || begins.is_some_and(|begins| begins > backup),
            _ => true,
        }
    }

    /// Says whether it made one.
    async fn back_up_if_due(&self, is_urgent: bool) -> std::result::Result<bool, String> {
        let (config, now) = (self.0.config.clone(), clock::now());
        // Names of the future were given by a clock that has been set back since.
        let made = move || backup_files(&config).iter().filter_map(|file| made_at(file)).find(|at| *at <= now);
        let newest = blocking(made).await?;
        let every_s = i64::from(self.0.config.backup.every_hours) * 3_600;
        let due_at = match newest {
            Some(newest) => newest.plus_seconds(every_s),
            None => self.0.started_at.plus_seconds(FIRST_S),
        };
        let is_due = is_urgent || clock::now() >= due_at;
        if is_due {
            self.back_up_to_directory().await?;
        }
        Ok(is_due)
    }

    /// Makes a backup in the configured directory, reads it back, and lets old ones and what they cover go.
    pub async fn back_up_to_directory(&self) -> std::result::Result<PathBuf, String> {
        let begun = clock::now();
        let actor = Actor {
            identity: Identity::System,
            address: None,
            user_agent: None,
            request_id: format!("backup-{}", begun.as_seconds()),
        };
        let Running { pieces, outcome } = self.begin_backup(actor).map_err(|error| error.to_string())?;
        let directory = directory(&self.0.config);
        let path = free_path(&directory, begun);
        let to = path.clone();
        let written = blocking(move || {
            make_directory(&directory)?;
            let new = NewFile::create(&to)?;
            write_pieces(new.file(), pieces, |_| ())?;
            Ok::<_, io::Error>(new)
        })
        .await?;
        let outcome = outcome.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string());
        // Where nothing can be written nobody takes it any more, which tells less.
        let new = written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        outcome?;
        let config = self.0.config.clone();
        let covered = blocking(move || finish(&config, new, &path).map(|covered| (path, covered))).await?;
        let (path, covered) = covered.map_err(|error| error.to_string())?;
        if let Some(version) = covered {
            self.records().store().covered(version).await.map_err(|error| error.to_string())?;
        }
        tracing::info!(file = %path.display(), seconds = clock::now().seconds_since(begun), "backed up");
        Ok(path)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> std::result::Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

/// Where scheduled backups lie.
pub fn directory(config: &Config) -> PathBuf {
    if config.backup.dir.as_os_str().is_empty() {
        config.server.data_dir.join("backups")
    } else {
        config.backup.dir.clone()
    }
}

/// Makes the directory, but not what it lies in: that may be a disk that is not mounted.
pub fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() { Ok(()) } else { fs::DirBuilder::new().mode(0o700).create(directory) }
}

/// The scheduled backups there are, the newest first.
pub fn backup_files(config: &Config) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory(config)).into_iter().flatten();
    let mut files: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| made_at(path).is_some()).collect();
    files.sort_by_key(|path| std::cmp::Reverse(made_at(path)));
    files
}

/// What the newest scheduled backup of a store holds; nothing when there is none that begins as one.
pub async fn newest_backup(config: &Arc<Config>, store: StoreId) -> Result<Version> {
    let config = Arc::clone(config);
    let begun = tokio::task::spawn_blocking(move || {
        let headers = backup_files(&config).into_iter().filter_map(|file| header(&file).ok());
        // The newest and not the one that holds most: the store may have been put back to an earlier time.
        headers.filter(|header| header.store == store).map(|header| Version(header.begun)).next()
    });
    Ok(begun.await.map_err(|error| Error::internal(error.to_string()))?.unwrap_or_default())
}

/// Removes what kills left of scheduled backups: it would keep the room that the store needs.
fn remove_unfinished(config: &Config) {
    for entry in fs::read_dir(directory(config)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let whole = name.to_str().and_then(|name| name.strip_suffix(UNFINISHED));
        if whole.is_some_and(|name| made_at(Path::new(name)).is_some()) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// Where a scheduled backup of this moment goes, or of the next one that none has the name of.
pub fn free_path(directory: &Path, at: Timestamp) -> PathBuf {
    let mut paths = (0..).map(|seconds| directory.join(file_name(at.plus_seconds(seconds))));
    paths.find(|path| !path.exists()).unwrap_or_default()
}

/// `doorward-20261126T130745Z.backup`.
fn file_name(at: Timestamp) -> String {
    let stamp: String = at.to_rfc3339_z().chars().take(19).filter(char::is_ascii_alphanumeric).collect();
    format!("doorward-{stamp}Z{EXTENSION}")
}

/// When a scheduled backup was made, as its name says.
fn made_at(path: &Path) -> Option<Timestamp> {
    let stamp = path.file_name()?.to_str()?.strip_prefix("doorward-")?.strip_suffix(EXTENSION)?;
    let (date, time) = stamp.strip_suffix('Z')?.split_once('T')?;
    let part = |text: &str, at: std::ops::Range<usize>| text.get(at).map(str::to_owned);
    let date = [part(date, 0..4)?, part(date, 4..6)?, part(date, 6..8)?].join("-");
    let time = [part(time, 0..2)?, part(time, 2..4)?, part(time, 4..6)?].join(":");
    Timestamp::parse(&format!("{date}T{time}Z"))
}

/// Writes pieces as they come and makes them durable. `written` hears how many bytes there are.
pub fn write_pieces(mut file: &File, mut pieces: mpsc::Receiver<Bytes>, written: impl Fn(u64)) -> io::Result<()> {
    let mut bytes = 0;
    while let Some(piece) = pieces.blocking_recv() {
        file.write_all(&piece)?;
        bytes += piece.len() as u64;
        written(bytes);
    }
    file.sync_all()
}

/// What a backup says at its head.
pub fn header(path: &Path) -> std::result::Result<Header, BackupError> {
    Ok(Reader::open(BufReader::new(File::open(path)?))?.header().clone())
}

/// Reads a backup from its beginning to its end.
pub fn read_back(path: &Path) -> std::result::Result<Verified, BackupError> {
    let mut reader = Reader::open(BufReader::new(File::open(path)?))?;
    while reader.changes()?.is_some() {}
    let trailer = reader.trailer().cloned().ok_or(BackupError::Torn(reader.bytes()))?;
    Ok(Verified { header: reader.header().clone(), trailer })
}

/// Accepts a scheduled backup and removes those that are too many; says up to which version the journal is not needed any
/// more.
fn finish(config: &Config, new: NewFile, path: &Path) -> std::result::Result<Option<Version>, BackupError> {
    let newest = read_back(new.unfinished())?;
    new.keep()?;
    // First, whatever a clock that was set back says of the others. Those of a store that was here before stay: they may be
    // all that is left of it.
    let is_of_store = |file: &PathBuf| header(file).is_ok_and(|header| header.store == newest.header.store);
    let mut files = backup_files(config);
    files.retain(|file| file != path && is_of_store(file));
    files.insert(0, path.to_owned());
    for old in files.split_off(config.backup.keep.min(files.len())) {
        if let Err(error) = fs::remove_file(&old) {
            tracing::warn!(file = %old.display(), %error, "an old backup cannot be removed");
        }
    }
    let Some(before) = files.get(1) else { return Ok(None) };
    // One that is bad by now covers nothing, nor does one of a later time that the store was put back from.
    let before = read_back(before).ok().filter(|before| before.trailer.version <= newest.trailer.version);
    Ok(before.map(|before| Version(before.trailer.version)))
}
