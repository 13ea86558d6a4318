//! The recent changes of a store, for those who watch it.
//!
//! A bounded ring in memory: the engine appends what has become durable, watchers read at their own pace and are told
//! when the ring has moved past them. Publishing only takes a short lock and never waits for a watcher, which is why
//! sled's own subscribers are not used.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::watch;

use super::{Change, StoreError, Version};

/// Most changes kept.
pub(super) const FEED_CHANGES_MAX: usize = 8 * 1024;
/// Most bytes of keys and values kept.
const FEED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most changes looked at under one lock.
const STEP_CHANGES_MAX: usize = 512;

pub(super) struct Feed {
    ring: Mutex<Ring>,
    wakeup: watch::Sender<()>,
}

struct Ring {
    changes: VecDeque<Arc<Change>>,
    /// Keys and values of `changes`.
    bytes: usize,
    /// How many changes have left the ring: the position of its front.
    forgotten: u64,
    /// Changes up to here are no longer (all) in the ring.
    complete_above: Version,
    /// Why no more changes will come.
    closed: Option<StoreError>,
}

impl Feed {
    /// An empty feed of a store that is at `version`.
    pub fn new(version: Version) -> Arc<Self> {
        let ring = Ring { changes: VecDeque::new(), bytes: 0, forgotten: 0, complete_above: version, closed: None };
        Arc::new(Self { ring: Mutex::new(ring), wakeup: watch::Sender::new(()) })
    }

    /// Adds durable changes, oldest first.
    pub fn publish(&self, changes: Vec<Change>) {
        let mut ring = self.ring();
        for change in changes {
            ring.bytes += change_bytes(&change);
            ring.changes.push_back(Arc::new(change));
        }
        while ring.changes.len() > FEED_CHANGES_MAX || ring.bytes > FEED_BYTES_MAX {
            let Some(oldest) = ring.changes.pop_front() else { break };
            ring.bytes -= change_bytes(&oldest);
            ring.forgotten += 1;
            ring.complete_above = oldest.version;
        }
        drop(ring);
        self.wakeup.send_replace(());
    }

    /// Ends every watch, present and future, with `reason` once it has seen all changes.
    pub fn close(&self, reason: StoreError) {
        self.ring().closed.get_or_insert(reason);
        self.wakeup.send_replace(());
    }

    /// Whether all changes above a version are still here.
    pub fn reaches(&self, from: Version) -> bool {
        from >= self.ring().complete_above
    }

    /// See [`super::Store::watch`].
    pub fn watch(self: &Arc<Self>, prefix: &[u8], from: Version) -> BoxStream<'static, Result<Change, StoreError>> {
        let watcher = Watcher {
            feed: Arc::clone(self),
            wakeup: self.wakeup.subscribe(),
            prefix: prefix.to_vec(),
            from,
            position: self.ring().position_after(from),
            ready: VecDeque::new(),
            ended: false,
        };
        stream::unfold(watcher, |mut watcher| async { Some((watcher.next().await?, watcher)) }).boxed()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    /// The position of the first change above a version; `None` when changes above it are already gone.
    fn position_after(&self, from: Version) -> Option<u64> {
        (from >= self.complete_above)
            .then(|| self.forgotten + self.changes.partition_point(|change| change.version <= from) as u64)
    }
}

fn change_bytes(change: &Change) -> usize {
    change.key.len() + change.value.as_ref().map_or(0, Vec::len)
}

/// One reader's place in the feed.
struct Watcher {
    feed: Arc<Feed>,
    wakeup: watch::Receiver<()>,
    prefix: Vec<u8>,
    from: Version,
    /// Where to read on; `None` when that place has left the ring.
    position: Option<u64>,
    /// Found and not yet handed out.
    ready: VecDeque<Arc<Change>>,
    ended: bool,
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<Change, StoreError>> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Some(Ok(Arc::unwrap_or_clone(change)));
            }
            if self.ended {
                return None;
            }
            // Marked as seen before looking, so that what comes after the look wakes us.
            self.wakeup.mark_unchanged();
            match self.read_on() {
                Ok(true) => {}
                // The feed holds the sender, so waiting cannot fail.
                Ok(false) => drop(self.wakeup.changed().await),
                Err(reason) => {
                    self.ended = true;
                    return Some(Err(reason));
                }
            }
        }
    }

    /// Moves matching changes to `ready`; false when there was nothing to look at.
    fn read_on(&mut self) -> Result<bool, StoreError> {
        let ring = self.feed.ring();
        let skip = self
            .position
            .and_then(|position| position.checked_sub(ring.forgotten))
            .and_then(|skip| usize::try_from(skip).ok())
            .ok_or(StoreError::Lagged)?;
        let mut looked_at = 0;
        for change in ring.changes.iter().skip(skip).take(STEP_CHANGES_MAX) {
            looked_at += 1;
            if change.version > self.from && change.key.starts_with(&self.prefix) {
                self.ready.push_back(Arc::clone(change));
            }
        }
        if let (0, Some(reason)) = (looked_at, &ring.closed) {
            return Err(reason.clone());
        }
        self.position = Some(ring.forgotten + skip as u64 + looked_at);
        Ok(looked_at > 0)
    }
}
