//! The engine on disk: sled 0.34, made durable by a journal of our own and one writer thread.
//!
//! # How a commit gets to the disk
//!
//! sled alone acknowledges writes that a power cut loses, and one flipped byte can make it refuse everything. So exactly
//! one thread writes, the [`journal`](super::journal) goes first, and nothing else calls a writing method of sled:
//!
//! 1. [`SledStore::commit`] puts the batch into a bounded [`Queue`] and waits for the answer.
//! 2. The writer takes everything queued as one group and judges the batches one after the other, against sled plus
//!    what the group has changed so far.
//! 3. The group is appended to the journal and made durable there with one `fdatasync`.
//! 4. It becomes one `sled::Batch` on one tree, in memory; then the version follows, by itself: a batch that sled cannot
//!    finish, since a read failed in its middle, must not say that it is there. Opening takes it over from the journal.
//!    Before the batch goes the version that it leads to, so that a journal that lost its end since is noticed, and no
//!    version is given out twice.
//! 5. Only then are versions, watchers and waiting callers told: what anybody can see is durable.
//! 6. The settler, a second thread, makes sled's own file durable behind the writer: `flush`, then `fdatasync`.
//!
//! After a crash sled holds some beginning of what the journal holds; opening takes the rest over.
//!
//! An error in steps 3, 4 or 6 is final: nobody can say what reached the disk. The writer answers everyone with
//! `OutcomeUnknown`, the store refuses writes and [`SledStore::failed`] tells the process to exit; opening again
//! recovers.
//!
//! Because batches are judged one after the other, adds and appends read the value that the batch before them left,
//! and never conflict. This is what makes a hash-chained audit log cheap: the newest link is in the group's memory for
//! all but the first append, and all links of a group share one `fdatasync`.
//!
//! # What lies in the tree
//!
//! `d` + key holds the header (version, checksum) and the value; `v` holds the newest version, written behind
//! the commits it counts, `b` the same, written before them; `i` the id that ties the store to its journal.
//!
//! There are no transactions, no sled subscribers and no second tree; the lint configuration refuses those calls.

mod entries;
mod opening;
mod rebuild;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ::sled::Db;
use async_trait::async_trait;
use futures_util::future::{self, BoxFuture};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::sync::{oneshot, watch};

use super::apply::{Stored, effects};
use super::feed::Feed;
use super::journal::{self, Journal, JournalError};
use super::queue::{Queue, Request};
use super::{
    Batch, Change, Commit, Cursor, Entry, Order, Page, Receipt, Store, StoreError, StoreId, Version, check_key,
    scan_range,
};
use entries::{BEGUN_KEY, DATA_END, VERSION_KEY, data_key, encode, entry, page, stored, write_version};
pub use opening::{FIRST, OpenError};
use opening::{LOCK_PATIENCE, Opened};
pub use rebuild::{Rebuild, Replaced, end_interrupted, is_new, make_room, replaced};

/// The directory of sled's files, inside the data directory.
pub const STORE_DIRECTORY: &str = "store";
/// The directory of the journal, inside the data directory.
pub const JOURNAL_DIRECTORY: &str = "journal";
/// How long what the journal holds may wait until sled's own file is made durable as well.
const SETTLE_PAUSE: Duration = Duration::from_millis(20);
/// Up to here several keys are read without leaving the async thread (3 to 4 microseconds each).
const INLINE_GETS_MAX: usize = 16;

/// A [`Store`] in a directory.
///
/// Dropping it without [`Store::close`] lets the writer thread finish what waits and release the files a moment later;
/// neither blocks an async thread.
pub struct SledStore {
    shared: Arc<Shared>,
}

/// What callers and the threads of the store have in common.
struct Shared {
    /// `None` once closed.
    db: RwLock<Option<Db>>,
    id: StoreId,
    /// Where the journal lies, for watchers who want what the feed has forgotten.
    journal: PathBuf,
    queue: Queue,
    feed: Arc<Feed>,
    /// The newest durable version.
    version: AtomicU64,
    settling: Settling,
    /// Why the store failed, if it did.
    failure: watch::Sender<Option<String>>,
    /// Whether the writer thread has ended (or failed) and `close` need not wait any longer.
    stopped: watch::Sender<bool>,
}

impl SledStore {
    /// Opens the store and its journal in a data directory, or creates them there. Blocks, for seconds when the store is
    /// large.
    ///
    /// The caller holds the [`DataLock`](super::lock::DataLock) of the data directory: leftovers of a crash are removed
    /// here. `cache_mib` is the page cache in MiB; the process uses up to 1.3 times that, and about 65 MB per million
    /// users besides.
    pub fn open(data_dir: &Path, cache_mib: u64) -> Result<Self, OpenError> {
        Self::open_within(data_dir, cache_mib, LOCK_PATIENCE)
    }

    fn open_within(data_dir: &Path, cache_mib: u64, patience: Duration) -> Result<Self, OpenError> {
        let failed = OpenError::io(data_dir);
        let Opened { db, data, journal } = Opened::open(data_dir, cache_mib, patience)?;
        Self::start(db, data, journal, data_dir.join(JOURNAL_DIRECTORY)).map_err(failed)
    }

    fn start(db: Db, data: File, journal: Journal, directory: PathBuf) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            db: RwLock::new(Some(db.clone())),
            id: journal.id(),
            journal: directory,
            queue: Queue::default(),
            feed: Feed::new(journal.version()),
            version: AtomicU64::new(journal.version().0),
            settling: Settling::default(),
            failure: watch::Sender::new(None),
            stopped: watch::Sender::new(false),
        });
        let settler = Settler { db: db.clone(), data };
        let of_settler = Arc::clone(&shared);
        let settler = thread::Builder::new().name("store-settler".into()).spawn(move || settler.run(&of_settler))?;
        let writer = Writer { db, journal, settler };
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
        if self.shared.feed.reaches(from) {
            return self.shared.feed.watch(prefix, from);
        }
        // Older ones come from the journal, up to here; what comes meanwhile, from the feed.
        let here = self.version();
        let newer = self.shared.feed.watch(prefix, here);
        older_changes(self.shared.journal.clone(), prefix, from, here).chain(newer).boxed()
    }

    fn version(&self) -> Version {
        Version(self.shared.version.load(Ordering::Acquire))
    }

    fn id(&self) -> StoreId {
        self.shared.id
    }

    async fn covered(&self, version: Version) -> Result<(), StoreError> {
        let journal = self.shared.journal.clone();
        tokio::task::spawn_blocking(move || journal::remove_covered(&journal, version))
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?
            .map(drop)
            .map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    async fn journal_begins(&self) -> Result<Option<Version>, StoreError> {
        let journal = self.shared.journal.clone();
        let extent = tokio::task::spawn_blocking(move || journal::extent(&journal))
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        match extent {
            Ok((beginnings, _)) => Ok(beginnings.last().copied()),
            Err(error @ JournalError::Damaged { .. }) => Err(StoreError::Corrupt(error.to_string())),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
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

/// The changes that the journal holds between two versions. [`StoreError::Lagged`] where it does not reach back so far.
fn older_changes(
    journal: PathBuf,
    prefix: &[u8],
    from: Version,
    to: Version,
) -> impl Stream<Item = Result<Change, StoreError>> + Send + use<> {
    let prefix = prefix.to_vec();
    stream::try_unfold((None, from), move |(frames, at)| {
        let journal = journal.clone();
        async move {
            if at >= to {
                return Ok(None);
            }
            let read = tokio::task::spawn_blocking(move || {
                let mut frames = match frames {
                    Some(frames) => frames,
                    None => journal::frames_after(&journal, None, from)?,
                };
                Ok::<_, JournalError>((frames.next().transpose()?, frames))
            });
            match read.await {
                Ok(Ok((Some(frame), frames))) => {
                    let at = frame.to;
                    Ok(Some((stream::iter(frame.changes.into_iter().map(Ok)), (Some(frames), at))))
                }
                Ok(Ok((None, _))) | Err(_) => Err(StoreError::Lagged),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "older changes cannot be read");
                    Err(StoreError::Lagged)
                }
            }
        }
    })
    .try_flatten()
    .try_filter(move |change| future::ready(change.version > from && change.key.starts_with(&prefix)))
    // Nothing follows an error.
    .scan(false, |ended, change| {
        let goes_on = !std::mem::replace(ended, change.is_err());
        future::ready(goes_on.then_some(change))
    })
}

fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".into())
}

// ---- The writer ----

/// The thread that alone writes.
struct Writer {
    db: Db,
    journal: Journal,
    settler: JoinHandle<()>,
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
        // What the settler cannot make durable any more is in the journal.
        shared.settling.close();
        drop(self.db);
        drop(self.settler.join());
        shared.release();
        shared.stopped.send_replace(true);
    }

    /// Judges the requests in order, makes what they change durable, then answers them all.
    fn commit_group(&mut self, shared: &Shared, requests: Vec<Request>) -> Result<(), String> {
        let mut group = Group::new(self.journal.version());
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
            shared.settling.wake();
            shared.version.store(group.version.0, Ordering::Release);
            shared.feed.publish(group.changes);
        }
        // Sending fails when the caller has gone away, which is its right.
        for (answer, outcome) in answers {
            drop(answer.send(outcome));
        }
        Ok(())
    }

    /// Makes a group durable, then visible. After an error nobody knows what is on the disk.
    fn write(&mut self, group: &Group) -> Result<(), String> {
        self.journal.append(group.version, &group.changes).map_err(|error| format!("the journal: {error}"))?;
        let written = write_version(&self.db, BEGUN_KEY, group.version)
            .and_then(|()| self.db.apply_batch(group.to_sled()))
            .and_then(|()| write_version(&self.db, VERSION_KEY, group.version));
        written.map_err(|error| error.to_string())
    }
}

// ---- The settler ----

/// The thread that makes sled's own file durable behind the writer, so that the store opens after a power cut and little
/// of the journal has to be taken over.
struct Settler {
    db: Db,
    /// Our own handle to sled's data file, for `fdatasync`.
    data: File,
}

impl Settler {
    fn run(self, shared: &Shared) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            while shared.settling.wait() {
                settle(&self.db, &self.data)?;
            }
            Ok(())
        }));
        if let Err(reason) = outcome.unwrap_or_else(|panic| Err(panic_text(panic.as_ref()))) {
            fail(shared, &reason);
        }
    }
}

/// Makes durable what sled holds in memory.
fn settle(db: &Db, data: &File) -> Result<(), String> {
    db.flush().map_err(|error| error.to_string())?;
    data.sync_data().map_err(|error| error.to_string())
}

/// What the writer tells the settler.
#[derive(Default)]
struct Settling {
    state: Mutex<SettlingState>,
    changed: Condvar,
}

#[derive(Default)]
struct SettlingState {
    is_behind: bool,
    is_closed: bool,
}

impl Settling {
    fn wake(&self) {
        let mut state = self.state();
        if !state.is_behind {
            state.is_behind = true;
            drop(state);
            self.changed.notify_one();
        }
    }

    fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_one();
    }

    /// Waits until something was written and a moment has passed; false when everything is settled and no more comes.
    fn wait(&self) -> bool {
        let state = self.state();
        let waiting = |state: &mut SettlingState| !state.is_behind && !state.is_closed;
        let state = self.changed.wait_while(state, waiting).unwrap_or_else(PoisonError::into_inner);
        let pausing = |state: &mut SettlingState| !state.is_closed;
        let paused = self.changed.wait_timeout_while(state, SETTLE_PAUSE, pausing);
        let (mut state, _) = paused.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.is_behind)
    }

    fn state(&self) -> MutexGuard<'_, SettlingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    shared.failure.send_if_modified(|known| known.is_none().then(|| *known = Some(reason.into())).is_some());
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
        batch
    }
}
