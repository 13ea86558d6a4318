//! The column of all users in the program's memory: built from the store after the start, kept by the store's changes,
//! asked by the lists of the directory.
//!
//! The server is ready before the column is; until then, and when it has fallen behind, lists come from the indexes on
//! disk (`indexed`). An answer never shows less than what was committed before the question: a question first waits
//! until the changes so far are taken over.

mod column;
mod indexed;
mod keeper;
mod ranking;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::App;
use crate::error::{Error, Result};
use column::Column;
pub use column::{Found, From, Wanted, Window};
pub use indexed::Indexed;

/// How long a question waits for changes to be taken over.
const CATCH_UP_PATIENCE: Duration = Duration::from_millis(200);

/// The column and the way to its keeper.
#[derive(Debug)]
pub struct Search {
    column: RwLock<Option<Column>>,
    is_ready: watch::Sender<bool>,
    keeper: Mutex<Keeper>,
}

/// Who keeps the column.
#[derive(Debug)]
enum Keeper {
    /// Nobody: a command that ends soon, which needs no column for most of what it asks.
    Nobody,
    /// The server and the console have one from their start; a command starts one for a search, and waits for it.
    Runs { requests: mpsc::UnboundedSender<oneshot::Sender<()>>, by_need: bool },
}

impl Default for Search {
    fn default() -> Self {
        Self { column: RwLock::new(None), is_ready: watch::Sender::new(false), keeper: Mutex::new(Keeper::Nobody) }
    }
}

/// Takes a search back when nobody waits for it any more.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl App {
    /// Builds the column and keeps it until the store closes.
    pub async fn keep_search(&self) {
        let requests = self.0.search.hire(false);
        if let Some(requests) = requests {
            keeper::run(Arc::clone(&self.0.search), self.0.records.clone(), requests).await;
        }
    }

    /// Asks the column, with everything taken over that was committed so far; `None` while there is none. With
    /// `is_needed` a program that has nobody to keep one gets one, and waits for it.
    pub(super) async fn ask_column<T: Send + 'static>(
        &self,
        is_needed: bool,
        question: impl FnOnce(&Column, &AtomicBool) -> std::result::Result<T, column::Cancelled> + Send + 'static,
    ) -> Result<Option<T>> {
        let search = &self.0.search;
        if is_needed && let Some(requests) = search.hire(true) {
            tokio::spawn(keeper::run(Arc::clone(search), self.0.records.clone(), requests));
        }
        if !search.catch_up().await {
            return Ok(None);
        }
        let cancel = CancelOnDrop(Arc::default());
        let (search, cancelled) = (Arc::clone(search), Arc::clone(&cancel.0));
        let answer = tokio::task::spawn_blocking(move || {
            let column = search.column.read().unwrap_or_else(PoisonError::into_inner);
            column.as_ref().and_then(|column| question(column, &cancelled).ok())
        });
        answer.await.map_err(|error| Error::internal(error.to_string()))
    }
}

impl Search {
    /// A place as keeper, unless it is taken.
    fn hire(&self, by_need: bool) -> Option<mpsc::UnboundedReceiver<oneshot::Sender<()>>> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        match &*keeper {
            Keeper::Runs { .. } => None,
            Keeper::Nobody => {
                let (requests, received) = mpsc::unbounded_channel();
                *keeper = Keeper::Runs { requests, by_need };
                Some(received)
            }
        }
    }

    /// Waits until the column shows what was committed so far; false when there is no such column now.
    async fn catch_up(&self) -> bool {
        let (requests, by_need) = match &*self.keeper.lock().unwrap_or_else(PoisonError::into_inner) {
            Keeper::Nobody => return false,
            Keeper::Runs { requests, by_need } => (requests.clone(), *by_need),
        };
        if by_need && self.is_ready.subscribe().wait_for(|is_ready| *is_ready).await.is_err() {
            return false;
        }
        if !*self.is_ready.borrow() {
            return false;
        }
        let (done, is_done) = oneshot::channel();
        // Both fail when the keeper is gone, with the store.
        requests.send(done).is_ok()
            && matches!(tokio::time::timeout(CATCH_UP_PATIENCE, is_done).await, Ok(Ok(())))
            && *self.is_ready.borrow()
    }

    fn replace(&self, column: Option<Column>) {
        let is_ready = column.is_some();
        *self.column.write().unwrap_or_else(PoisonError::into_inner) = column;
        self.is_ready.send_replace(is_ready);
    }

    fn change(&self, change: impl FnOnce(&mut Column)) {
        if let Some(column) = &mut *self.column.write().unwrap_or_else(PoisonError::into_inner) {
            change(column);
        }
    }
}
