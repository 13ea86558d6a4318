//! The engine on disk: sled 0.34, made durable by one writer thread.
//!
//! # How a commit gets to the disk
//!
//! sled alone acknowledges writes that a power cut loses, so exactly one thread writes and nothing else calls a
//! writing method of sled:
//!
//! 1. [`SledStore::commit`] puts the batch into a bounded [`Queue`] and waits for the answer.
//! 2. The writer takes everything queued as one group and judges the batches one after the other, against sled plus
//!    what the group has changed so far.
//! 3. The group becomes one `sled::Batch` on one tree: `apply_batch`, `flush`, then our own `fdatasync`.
//! 4. Only then are versions, watchers and waiting callers told.
//!
//! An error in step 3 is final: nobody can say what reached the disk. The writer answers everyone with
//! `OutcomeUnknown`, the store refuses writes and [`SledStore::failed`] tells the process to exit; opening again
//! recovers.
//!
//! Because batches are judged one after the other, adds and appends read the value that the batch before them left,
//! and never conflict. This is what makes a hash-chained audit log cheap: the newest link is in the group's memory for
//! all but the first append, and all links of a group share one `fdatasync`.
//!
//! # What lies in the tree
//!
//! `d` + key holds the header (version, checksum) and the value; `v` holds the newest version, written in the batch of
//! the commits it counts. Opening skips as many versions as a group can hold: readers may have seen commits that a
//! crash undid, and their versions must not come again.
//!
//! There are no transactions, no sled subscribers and no second tree; the lint configuration refuses those calls.

use std::any::Any;
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use ::sled::Db;
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::{oneshot, watch};

use super::apply::{Stored, effects};
use super::feed::Feed;
use super::queue::{GROUP_REQUESTS_MAX, Queue, Request};
use super::{
    Batch, Change, Commit, Cursor, Entry, Order, PAGE_ENTRIES_MAX, Page, Receipt, Store, StoreError, Version,
    check_key, scan_range,
};

/// Says that the directory holds a store and in which format. Without it a vanished data file would pass for a new,
/// empty store.
const MARKER: &str = "doorward-store";
/// What the marker is called until the first commit is durable. Nothing in such a store was ever acknowledged.
const MARKER_UNFINISHED: &str = "doorward-store.unfinished";
const MARKER_TEXT: &str = "doorward store, format 1\n";
/// The file of sled that holds the data.
const DATA_FILE: &str = "db";

/// Before every key of a caller.
const DATA_PREFIX: u8 = b'd';
/// First byte behind all of those.
const DATA_END: [u8; 1] = [DATA_PREFIX + 1];
/// Where the newest version is kept.
const VERSION_KEY: &[u8] = b"v";
/// Version and checksum, before each value.
const HEADER_BYTES: usize = 8 + 4;

/// How long a lock that a killed process may still hold is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Up to here several keys are read without leaving the async thread (3 to 4 microseconds each).
const INLINE_GETS_MAX: usize = 16;

/// A [`Store`] in a directory.
///
/// Dropping it without [`Store::close`] lets the writer thread finish what waits and release the files a moment later;
/// neither blocks an async thread.
pub struct SledStore {
    shared: Arc<Shared>,
}

/// What callers and the writer thread have in common.
struct Shared {
    /// `None` once closed.
    db: RwLock<Option<Db>>,
    queue: Queue,
    feed: Arc<Feed>,
    /// The newest durable version.
    version: AtomicU64,
    /// Why the store failed, if it did.
    failure: watch::Sender<Option<String>>,
    /// Whether the writer thread has ended (or failed) and `close` need not wait any longer.
    stopped: watch::Sender<bool>,
}

/// Why a store did not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("cannot use the store in {}: {reason}", directory.display())]
    Io { directory: PathBuf, reason: String },
    #[error("the store in {} is open in another process; stop that process first", directory.display())]
    Locked { directory: PathBuf },
    #[error(
        "the store in {} has lost its data (it was created, and now is empty); bring its files back or restore a backup",
        directory.display()
    )]
    Missing { directory: PathBuf },
    #[error(
        "{} holds a database but not the file `{MARKER}`, so it is not a complete store of Doorward; \
         bring that file back, restore a backup, or use another directory",
        directory.display()
    )]
    Unmarked { directory: PathBuf },
    #[error(
        "the store in {} has another format than this version of Doorward reads (`{MARKER}` says {found:?}); \
         use the version that wrote it",
        directory.display()
    )]
    Format { directory: PathBuf, found: String },
    #[error(
        "the store in {} is damaged and cannot be read ({reason}); move the directory aside, keep it, and restore a backup",
        directory.display()
    )]
    Damaged { directory: PathBuf, reason: String },
}

impl SledStore {
    /// Opens the store in `directory`, or creates it there. Blocks, for seconds when the store is large.
    ///
    /// The caller holds the [`DataLock`](super::lock::DataLock) of the data directory: leftovers of a crash are removed
    /// here. `cache_mib` is the page cache in MiB; the process uses up to 1.3 times that, and about 65 MB per million
    /// users besides.
    pub fn open(directory: &Path, cache_mib: u64) -> Result<Self, OpenError> {
        Self::open_within(directory, cache_mib, LOCK_PATIENCE)
    }

    fn open_within(directory: &Path, cache_mib: u64, patience: Duration) -> Result<Self, OpenError> {
        let failed = |error: io::Error| OpenError::Io { directory: directory.into(), reason: error.to_string() };
        let found = prepare(directory)?;
        let db = open_sled(directory, cache_mib, patience)?;
        let stored = match (found, stored_version(&db)) {
            (_, Ok(Some(version))) => version,
            (Found::New, Ok(None)) => Version::default(),
            (Found::Existing, Ok(None)) => return Err(OpenError::Missing { directory: directory.into() }),
            (_, Err(error)) => {
                return Err(OpenError::Damaged { directory: directory.into(), reason: error.to_string() });
            }
        };
        let version = Version(stored.0 + GROUP_REQUESTS_MAX as u64);
        let mut writer = Writer { db, data: File::open(directory.join(DATA_FILE)).map_err(failed)?, version };
        writer.write(&Group::new(version)).map_err(|reason| OpenError::Io { directory: directory.into(), reason })?;
        if found == Found::New {
            finish_creation(directory).map_err(failed)?;
        }
        Self::start(writer).map_err(failed)
    }

    fn start(writer: Writer) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            db: RwLock::new(Some(writer.db.clone())),
            queue: Queue::default(),
            feed: Feed::new(writer.version),
            version: AtomicU64::new(writer.version.0),
            failure: watch::Sender::new(None),
            stopped: watch::Sender::new(false),
        });
        let of_writer = Arc::clone(&shared);
        thread::Builder::new().name("store-writer".into()).spawn(move || writer.run(&of_writer))?;
        Ok(Self { shared })
    }

    /// Runs something that takes long on the blocking pool.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Db) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || shared.with_db(work))
            .await
            .unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }
}

#[async_trait]
impl Store for SledStore {
    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        check_key(key)?;
        self.shared.with_db(|db| entry(db, key))
    }

    async fn get_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<Entry>>, StoreError> {
        keys.iter().try_for_each(|key| check_key(key))?;
        if keys.len() <= INLINE_GETS_MAX {
            return self.shared.with_db(|db| keys.iter().map(|key| entry(db, key)).collect());
        }
        let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.to_vec()).collect();
        self.blocking(move |db| keys.iter().map(|key| entry(db, key)).collect()).await
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&Cursor>,
        limit: usize,
        order: Order,
    ) -> Result<Page, StoreError> {
        let Some((first, end)) = scan_range(prefix, after, order) else { return Ok(Page::default()) };
        let range = data_key(&first)..end.map_or(DATA_END.to_vec(), |end| data_key(&end));
        self.blocking(move |db| match order {
            Order::Ascending => page(db.range(range), limit),
            Order::Descending => page(db.range(range).rev(), limit),
        })
        .await
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, StoreError> {
        batch.check_limits()?;
        let (answer, outcome) = oneshot::channel();
        self.shared.queue.push(Request { batch, answer })?;
        outcome.await.unwrap_or_else(|_| Err(StoreError::OutcomeUnknown("the writer stopped".into())))
    }

    fn watch(&self, prefix: &[u8], from: Version) -> BoxStream<'static, Result<Change, StoreError>> {
        self.shared.feed.watch(prefix, from)
    }

    fn version(&self) -> Version {
        Version(self.shared.version.load(Ordering::Acquire))
    }

    async fn bytes(&self) -> Result<u64, StoreError> {
        self.blocking(|db| db.size_on_disk().map_err(|error| StoreError::Unavailable(error.to_string()))).await
    }

    fn failed(&self) -> BoxFuture<'static, String> {
        let mut failure = self.shared.failure.subscribe();
        Box::pin(async move {
            let reason = failure.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
            match reason {
                Some(reason) => reason,
                // The store is gone and did not fail.
                None => std::future::pending().await,
            }
        })
    }

    async fn close(&self) {
        self.shared.queue.close(closed());
        // The sender lives as long as `self`, so waiting cannot fail.
        drop(self.shared.stopped.subscribe().wait_for(|stopped| *stopped).await);
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.shared.queue.close(closed());
    }
}

impl Shared {
    fn with_db<T>(&self, work: impl FnOnce(&Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        work(db.as_ref().ok_or_else(closed)?)
    }

    /// Lets go of the database, outside the lock: dropping it waits for the threads of sled.
    fn release(&self) {
        let db = self.db.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(db);
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".into())
}

// ---- The writer ----

/// The thread that alone writes.
struct Writer {
    db: Db,
    /// Our own handle to sled's data file, for `fdatasync`.
    data: File,
    /// The newest version given out.
    version: Version,
}

impl Writer {
    /// Writes groups until the queue is closed and empty, or until a write fails.
    fn run(mut self, shared: &Shared) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            while let Some(requests) = shared.queue.take_group() {
                self.commit_group(shared, requests)?;
            }
            Ok(())
        }));
        match outcome.unwrap_or_else(|panic| Err(panic_text(panic.as_ref()))) {
            Ok(()) => shared.feed.close(closed()),
            Err(reason) => fail(shared, &reason),
        }
        drop(self);
        shared.release();
        shared.stopped.send_replace(true);
    }

    /// Judges the requests in order, makes what they change durable, then answers them all.
    fn commit_group(&mut self, shared: &Shared, requests: Vec<Request>) -> Result<(), String> {
        let mut group = Group::new(self.version);
        let mut answers = Vec::with_capacity(requests.len());
        for Request { batch, answer } in requests {
            answers.push((answer, group.judge(&self.db, batch)));
        }
        // A group of barriers and conflicts saw only what earlier groups made durable.
        if !group.changes.is_empty() {
            if let Err(reason) = self.write(&group) {
                let outcome = StoreError::OutcomeUnknown(reason.clone());
                for (answer, _) in answers {
                    drop(answer.send(Err(outcome.clone())));
                }
                return Err(reason);
            }
            shared.version.store(group.version.0, Ordering::Release);
            shared.feed.publish(group.changes);
        }
        // Sending fails when the caller has gone away, which is its right.
        for (answer, outcome) in answers {
            drop(answer.send(outcome));
        }
        Ok(())
    }

    /// Makes a group durable. After an error nobody knows what is on the disk.
    fn write(&mut self, group: &Group) -> Result<(), String> {
        self.db.apply_batch(group.to_sled()).map_err(|error| error.to_string())?;
        self.db.flush().map_err(|error| error.to_string())?;
        self.data.sync_data().map_err(|error| error.to_string())?;
        self.version = group.version;
        Ok(())
    }
}

/// Ends the store after a failed write: no more requests, an answer for those that wait, a word to the process.
fn fail(shared: &Shared, reason: &str) {
    tracing::error!(reason, "the store failed during a write and takes no more; restart to recover");
    let refusal = StoreError::Unavailable(format!("an earlier write failed: {reason}"));
    shared.queue.close(refusal.clone());
    while let Some(requests) = shared.queue.take_group() {
        for request in requests {
            drop(request.answer.send(Err(StoreError::OutcomeUnknown(reason.into()))));
        }
    }
    shared.feed.close(refusal);
    shared.failure.send_replace(Some(reason.into()));
    // After an error of sled its threads may be gone, and letting go of it may hang: nobody waits for that.
    shared.stopped.send_replace(true);
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("panic").into()
}

/// The changes of batches that go to the disk together.
struct Group {
    /// All changes, in order.
    changes: Vec<Change>,
    /// The place in `changes` of the newest change to each key.
    newest: HashMap<Vec<u8>, usize>,
    /// The version given to the last batch.
    version: Version,
}

impl Group {
    /// A group that continues after `version`.
    fn new(version: Version) -> Self {
        Self { changes: Vec::new(), newest: HashMap::new(), version }
    }

    /// Takes in what a batch changes, unless it conflicts with the database or the group so far.
    fn judge(&mut self, db: &Db, batch: Batch) -> Result<Commit, StoreError> {
        let Some(effects) = effects(batch, |key| self.read(db, key))? else { return Ok(Commit::Conflict) };
        if !effects.writes.is_empty() {
            self.version.0 += 1;
        }
        for (key, value) in effects.writes {
            self.newest.insert(key.clone(), self.changes.len());
            self.changes.push(Change { key, value, version: self.version });
        }
        Ok(Commit::Done(Receipt { version: self.version, appended: effects.appended }))
    }

    fn read(&self, db: &Db, key: &[u8]) -> Result<Stored, StoreError> {
        match self.newest.get(key).and_then(|place| self.changes.get(*place)) {
            Some(change) => Ok(change.value.clone().map(|value| (change.version, value))),
            None => stored(db, key),
        }
    }

    fn to_sled(&self) -> ::sled::Batch {
        let mut batch = ::sled::Batch::default();
        for Change { key, value, version } in self.newest.values().filter_map(|place| self.changes.get(*place)) {
            match value {
                Some(value) => batch.insert(data_key(key), encode(key, *version, value)),
                None => batch.remove(data_key(key)),
            }
        }
        batch.insert(VERSION_KEY, &self.version.0.to_be_bytes());
        batch
    }
}

// ---- Entries in the tree ----

fn data_key(key: &[u8]) -> Vec<u8> {
    let mut data_key = Vec::with_capacity(1 + key.len());
    data_key.push(DATA_PREFIX);
    data_key.extend_from_slice(key);
    data_key
}

fn encode(key: &[u8], version: Version, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + value.len());
    bytes.extend_from_slice(&version.0.to_be_bytes());
    bytes.extend_from_slice(&checksum(key, version, value).to_be_bytes());
    bytes.extend_from_slice(value);
    bytes
}

/// Version and value, if the checksum is right.
fn decode(key: &[u8], bytes: &[u8]) -> Result<(Version, Vec<u8>), StoreError> {
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

fn stored(db: &Db, key: &[u8]) -> Result<Stored, StoreError> {
    db.get(data_key(key)).map_err(|error| read_error(&error))?.map(|bytes| decode(key, &bytes)).transpose()
}

fn stored_version(db: &Db) -> Result<Option<Version>, StoreError> {
    let Some(bytes) = db.get(VERSION_KEY).map_err(|error| read_error(&error))? else { return Ok(None) };
    match bytes.as_ref().try_into() {
        Ok(bytes) => Ok(Some(Version(u64::from_be_bytes(bytes)))),
        Err(_) => Err(StoreError::Corrupt("the version has the wrong form".into())),
    }
}

fn entry(db: &Db, key: &[u8]) -> Result<Option<Entry>, StoreError> {
    Ok(stored(db, key)?.map(|(version, value)| Entry { key: key.into(), value, version }))
}

/// One page, and whether more follows. Stops at the first error: on a damaged page sled's iterator repeats it for ever.
fn page(
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

// ---- Opening ----

/// What the directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing yet, or the start of a creation that did not finish.
    New,
    Existing,
}

/// Compares marker and files, and clears away what a crash left.
fn prepare(directory: &Path) -> Result<Found, OpenError> {
    let failed = |error: io::Error| OpenError::Io { directory: directory.into(), reason: error.to_string() };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
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
    if has(MARKER_UNFINISHED)? {
        remove_files(directory, is_file_of_sled).map_err(failed)?;
    } else if !files(directory, is_file_of_sled).map_err(failed)?.is_empty() {
        return Err(OpenError::Unmarked { directory: directory.into() });
    }
    start_creation(directory).map_err(failed)?;
    Ok(Found::New)
}

fn is_file_of_sled(name: &str) -> bool {
    name == DATA_FILE || name == "conf" || name == "blobs" || name.starts_with("snap.")
}

fn files(directory: &Path, chosen: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for file in fs::read_dir(directory)? {
        let file = file?;
        if file.file_name().to_str().is_some_and(&chosen) {
            paths.push(file.path());
        }
    }
    Ok(paths)
}

fn remove_files(directory: &Path, chosen: impl Fn(&str) -> bool) -> io::Result<()> {
    for path in files(directory, chosen)? {
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}

fn start_creation(directory: &Path) -> io::Result<()> {
    let mut marker = File::create(directory.join(MARKER_UNFINISHED))?;
    marker.write_all(MARKER_TEXT.as_bytes())?;
    marker.sync_all()?;
    sync_directories(directory)
}

/// From here on an empty directory is a loss.
fn finish_creation(directory: &Path) -> io::Result<()> {
    for path in files(directory, is_file_of_sled)? {
        File::open(path)?.sync_all()?;
    }
    sync_directories(directory)?;
    fs::rename(directory.join(MARKER_UNFINISHED), directory.join(MARKER))?;
    sync_directories(directory)
}

/// Makes the names of new files durable, and the name of the directory itself. The directories above may be as new (the
/// data directory is made along with its parents); those that are not ours to read were not made by us.
fn sync_directories(directory: &Path) -> io::Result<()> {
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
fn open_sled(directory: &Path, cache_mib: u64, patience: Duration) -> Result<Db, OpenError> {
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

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use futures_util::future::join_all;

    use super::super::contract;
    use super::super::queue::QUEUE_REQUESTS_MAX;
    use super::*;

    fn open(directory: &Path) -> SledStore {
        SledStore::open(directory, 8).unwrap()
    }

    /// Without an open store it may say anything about it.
    fn open_error(directory: &Path) -> OpenError {
        match SledStore::open_within(directory, 8, Duration::ZERO) {
            Ok(_) => panic!("it opened"),
            Err(error) => error,
        }
    }

    async fn put(store: &SledStore, key: &str, value: &str) -> Version {
        match store.commit(Batch::default().put(key, value)).await.unwrap() {
            Commit::Done(receipt) => receipt.version,
            Commit::Conflict => panic!("unexpected conflict"),
        }
    }

    /// A store with some entries, closed again.
    async fn filled(directory: &Path) {
        let store = open(directory);
        for n in 0..20 {
            put(&store, &format!("k{n}"), &"value".repeat(100)).await;
        }
        store.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keeps_the_contract() {
        let parent = tempfile::tempdir().unwrap();
        let count = AtomicU64::new(0);
        contract::all(|| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            Arc::new(open(&parent.path().join(number.to_string())))
        })
        .await;
    }

    #[test]
    fn agrees_with_the_model() {
        let parent = tempfile::tempdir().unwrap();
        let count = AtomicU64::new(0);
        contract::agrees_with_the_model(24, || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            Arc::new(open(&parent.path().join(number.to_string())))
        });
    }

    #[tokio::test]
    async fn reopening_keeps_data_and_versions() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("data/store");
        let store = open(&directory);
        let version = put(&store, "k", "1").await;
        store.close().await;
        drop(store);

        let store = open(&directory);
        assert_eq!(store.get(b"k").await.unwrap().unwrap().version, version);
        assert!(store.version() >= version);
        let outcome = store.watch(b"", version).next().await;
        assert_eq!(outcome, Some(Err(StoreError::Lagged)), "older changes are gone");
        assert!(put(&store, "k", "2").await > version);
        assert!(directory.join(MARKER).exists());
        assert!(!directory.join(MARKER_UNFINISHED).exists());
    }

    #[tokio::test]
    async fn versions_seen_but_lost_in_a_crash_do_not_come_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut last = Version::default();
        for _ in 0..3 {
            // Opened and closed without a commit: what was in flight is lost each time.
            let store = open(directory.path());
            assert!(store.version().0 >= last.0 + GROUP_REQUESTS_MAX as u64);
            last = store.version();
            store.close().await;
        }
    }

    #[tokio::test]
    async fn an_unfinished_snapshot_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path()).await;
        let torn = directory.path().join("snap.00000000FFFFFFFF.generating");
        fs::write(&torn, "torn").unwrap();
        let store = open(directory.path());
        assert!(!torn.exists());
        assert!(store.get(b"k7").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn lost_data_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path()).await;
        let missing = OpenError::Missing { directory: directory.path().into() };
        fs::remove_file(directory.path().join(DATA_FILE)).unwrap();
        assert_eq!(open_error(directory.path()), missing);

        remove_files(directory.path(), is_file_of_sled).unwrap();
        fs::write(directory.path().join(DATA_FILE), "").unwrap();
        assert_eq!(open_error(directory.path()), missing);
        assert!(missing.to_string().contains("restore a backup"));
    }

    #[tokio::test]
    async fn data_without_a_marker_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path()).await;
        fs::write(directory.path().join(MARKER), "doorward store, format 9\n").unwrap();
        assert!(matches!(open_error(directory.path()), OpenError::Format { .. }));
        fs::remove_file(directory.path().join(MARKER)).unwrap();
        assert!(matches!(open_error(directory.path()), OpenError::Unmarked { .. }));
        fs::write(directory.path().join(MARKER), MARKER_TEXT).unwrap();
        assert!(open(directory.path()).get(b"k7").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_creation_that_did_not_finish_starts_over() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(MARKER_UNFINISHED), "doorw").unwrap();
        fs::write(directory.path().join("conf"), "torn").unwrap();
        fs::create_dir(directory.path().join("blobs")).unwrap();
        fs::write(directory.path().join(DATA_FILE), "torn").unwrap();
        put(&open(directory.path()), "k", "").await;
    }

    #[tokio::test]
    async fn a_second_open_is_refused_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        let error = open_error(directory.path());
        assert_eq!(error, OpenError::Locked { directory: directory.path().into() });
        put(&store, "k", "1").await;
        // Dropped without close: the next open waits for the writer thread to let go.
        drop(store);
        let store = tokio::task::spawn_blocking(move || open(directory.path())).await.unwrap();
        assert!(store.get(b"k").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn damaged_files_are_explained() {
        let parent = tempfile::tempdir().unwrap();
        let original = parent.path().join("original");
        filled(&original).await;
        let data = fs::read(original.join(DATA_FILE)).unwrap();
        let mut explained = 0;
        for (number, at) in (0..data.len().min(4096)).step_by(256).enumerate() {
            let copy = parent.path().join(number.to_string());
            fs::create_dir(&copy).unwrap();
            for name in [MARKER, "conf"] {
                fs::copy(original.join(name), copy.join(name)).unwrap();
            }
            let mut damaged = data.clone();
            damaged[at] ^= 0xff;
            fs::write(copy.join(DATA_FILE), damaged).unwrap();
            // sled may cut the log at the damage and open; it must not panic through us or open as an empty store.
            match SledStore::open_within(&copy, 8, Duration::ZERO) {
                Ok(_) => {}
                Err(OpenError::Damaged { .. } | OpenError::Missing { .. }) => explained += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(explained > 0);

        let mut conf = fs::read(original.join("conf")).unwrap();
        conf[0] ^= 0xff;
        fs::write(original.join("conf"), conf).unwrap();
        let error = open_error(&original);
        assert!(
            matches!(error, OpenError::Damaged { .. }) && error.to_string().contains("restore a backup"),
            "{error}"
        );
    }

    #[test]
    fn a_checksum_ties_key_version_and_value() {
        let bytes = encode(b"key", Version(7), b"value");
        assert_eq!(decode(b"key", &bytes), Ok((Version(7), b"value".to_vec())));
        assert!(decode(b"kez", &bytes).is_err());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode(b"key", &damaged).is_err());
            assert!(decode(b"key", &bytes[..at]).is_err());
        }
    }

    /// A store whose `fdatasync` fails: the kernel has none for `/dev/null`.
    fn failing(directory: &Path) -> SledStore {
        let db = open_sled(directory, 8, Duration::ZERO).unwrap();
        SledStore::start(Writer { db, data: File::open("/dev/null").unwrap(), version: Version(1) }).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failed_write_ends_the_store() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(failing(directory.path()));
        let mut watch = store.watch(b"", store.version());
        let failed = store.failed();
        let commits = (0..32).map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.commit(Batch::default().put(format!("k{n}"), "")).await })
        });
        let outcomes: Vec<_> = join_all(commits).await.into_iter().map(Result::unwrap).collect();
        let unknown = outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::OutcomeUnknown(_))));
        assert!(unknown.count() > 0);
        for outcome in &outcomes {
            assert!(
                matches!(outcome, Err(StoreError::OutcomeUnknown(_) | StoreError::Unavailable(_))),
                "acknowledged without being durable: {outcome:?}"
            );
        }
        let reason = failed.await;
        assert!(reason.contains("Invalid argument"), "{reason}");
        assert_eq!(store.version(), Version(1));
        assert!(matches!(watch.next().await, Some(Err(StoreError::Unavailable(_)))));
        let refused = store.commit(Batch::default()).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert_eq!(store.failed().await, reason, "also for those who ask later");
        store.close().await;
    }

    #[tokio::test]
    async fn a_full_queue_refuses() {
        let queue = Queue::default();
        let request =
            |bytes: usize| Request { batch: Batch::default().put("k", vec![0; bytes]), answer: oneshot::channel().0 };
        for _ in 0..QUEUE_REQUESTS_MAX {
            queue.push(request(1)).unwrap();
        }
        assert_eq!(queue.push(request(1)), Err(StoreError::Overloaded));
        assert_eq!(queue.take_group().map(|group| group.len()), Some(GROUP_REQUESTS_MAX));
        queue.push(request(1)).unwrap();
        assert_eq!(queue.push(request(64 * 1024 * 1024)), Err(StoreError::Overloaded));
        queue.close(closed());
        assert_eq!(queue.push(request(1)), Err(closed()));
        while queue.take_group().is_some() {}
    }
}
