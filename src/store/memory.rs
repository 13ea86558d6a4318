//! An engine in memory, for tests and for trying things out. Nothing survives the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::apply::effects;
use super::feed::Feed;
use super::{
    Batch, Change, Commit, Cursor, Entry, Order, PAGE_ENTRIES_MAX, Page, Receipt, Store, StoreError, StoreId, Version,
    check_key, scan_range,
};

/// A [`Store`] that keeps its entries in a map.
pub struct MemoryStore {
    state: Mutex<State>,
    feed: Arc<Feed>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<Vec<u8>, (Version, Vec<u8>)>,
    version: Version,
    closed: bool,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Mutex::default(), feed: Feed::new(Version::default()) }
    }

    /// A store that holds what these changes leave, taken over in order.
    pub fn apply(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut state = self.state()?;
        for Change { key, value, version } in changes {
            state.version = state.version.max(version);
            match value {
                Some(value) => drop(state.entries.insert(key, (version, value))),
                None => drop(state.entries.remove(&key)),
            }
        }
        Ok(())
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(closed()) } else { Ok(state) }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        check_key(key)?;
        Ok(self.state()?.entries.get_key_value(key).map(entry))
    }

    async fn get_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<Entry>>, StoreError> {
        let state = self.state()?;
        keys.iter().map(|key| check_key(key).map(|()| state.entries.get_key_value(*key).map(entry))).collect()
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&Cursor>,
        limit: usize,
        order: Order,
    ) -> Result<Page, StoreError> {
        let state = self.state()?;
        let Some((first, end)) = scan_range(prefix, after, order) else { return Ok(Page::default()) };
        let range = state.entries.range((Bound::Included(first), end.map_or(Bound::Unbounded, Bound::Excluded)));
        Ok(match order {
            Order::Ascending => page(range, limit),
            Order::Descending => page(range.rev(), limit),
        })
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, StoreError> {
        batch.check_limits()?;
        let mut state = self.state()?;
        let Some(effects) = effects(batch, |key| Ok(state.entries.get(key).cloned()))? else {
            return Ok(Commit::Conflict);
        };
        if !effects.writes.is_empty() {
            let version = Version(state.version.0 + 1);
            state.version = version;
            let mut changes = Vec::with_capacity(effects.writes.len());
            for (key, value) in effects.writes {
                match &value {
                    Some(value) => drop(state.entries.insert(key.clone(), (version, value.clone()))),
                    None => drop(state.entries.remove(&key)),
                }
                changes.push(Change { key, value, version });
            }
            // Still under the lock: changes appear in the order of their versions.
            self.feed.publish(changes);
        }
        Ok(Commit::Done(Receipt { version: state.version, appended: effects.appended }))
    }

    fn watch(&self, prefix: &[u8], from: Version) -> BoxStream<'static, Result<Change, StoreError>> {
        self.feed.watch(prefix, from)
    }

    fn version(&self) -> Version {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).version
    }

    fn id(&self) -> StoreId {
        StoreId::default()
    }

    async fn covered(&self, _version: Version) -> Result<(), StoreError> {
        Ok(())
    }

    async fn journal_begins(&self) -> Result<Option<Version>, StoreError> {
        Ok(None)
    }

    async fn bytes(&self) -> Result<u64, StoreError> {
        let bytes: usize = self.state()?.entries.iter().map(|(key, (_, value))| key.len() + value.len()).sum();
        Ok(bytes as u64)
    }

    fn failed(&self) -> BoxFuture<'static, String> {
        Box::pin(std::future::pending())
    }

    async fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.feed.close(closed());
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".into())
}

fn entry((key, (version, value)): (&Vec<u8>, &(Version, Vec<u8>))) -> Entry {
    Entry { key: key.clone(), value: value.clone(), version: *version }
}

fn page<'a>(entries: impl Iterator<Item = (&'a Vec<u8>, &'a (Version, Vec<u8>))>, limit: usize) -> Page {
    let limit = limit.clamp(1, PAGE_ENTRIES_MAX);
    let mut entries = entries.map(entry);
    let page: Vec<Entry> = entries.by_ref().take(limit).collect();
    let next = entries.next().and_then(|_| page.last()).map(|last| Cursor(last.key.clone()));
    Page { entries: page, next }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn keeps_the_contract() {
        contract::all(|| Arc::new(MemoryStore::new())).await;
    }

    #[test]
    fn agrees_with_the_model() {
        contract::agrees_with_the_model(256, || Arc::new(MemoryStore::new()));
    }
}
