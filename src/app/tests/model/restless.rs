//! A store that lets others go first, again and again, so that few calls meet in many ways.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::dice::Dice;
use crate::store::{Batch, Change, Commit, Cursor, Entry, Order, Page, Store, StoreError, StoreId, Version};

pub struct Restless {
    store: Arc<dyn Store>,
    dice: Mutex<Dice>,
}

impl Restless {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, dice: Mutex::new(Dice::new(0)) }
    }

    pub fn shake(&self, dice: Dice) {
        *self.dice.lock().unwrap() = dice;
    }

    async fn others_first(&self) {
        let times = {
            let mut dice = self.dice.lock().unwrap();
            if dice.one_in(4) { dice.below(12) } else { dice.below(3) }
        };
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Store for Restless {
    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        self.others_first().await;
        self.store.get(key).await
    }

    async fn get_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<Entry>>, StoreError> {
        self.others_first().await;
        self.store.get_many(keys).await
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&Cursor>,
        limit: usize,
        order: Order,
    ) -> Result<Page, StoreError> {
        self.others_first().await;
        self.store.scan(prefix, after, limit, order).await
    }

    async fn commit(&self, batch: Batch) -> Result<Commit, StoreError> {
        self.others_first().await;
        let committed = self.store.commit(batch).await;
        self.others_first().await;
        committed
    }

    fn watch(&self, prefix: &[u8], from: Version) -> BoxStream<'static, Result<Change, StoreError>> {
        self.store.watch(prefix, from)
    }

    fn failed(&self) -> BoxFuture<'static, String> {
        self.store.failed()
    }

    fn version(&self) -> Version {
        self.store.version()
    }

    fn id(&self) -> StoreId {
        self.store.id()
    }

    async fn covered(&self, version: Version) -> Result<(), StoreError> {
        self.store.covered(version).await
    }

    async fn journal_begins(&self) -> Result<Option<Version>, StoreError> {
        self.store.journal_begins().await
    }

    async fn bytes(&self) -> Result<u64, StoreError> {
        self.store.bytes().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
