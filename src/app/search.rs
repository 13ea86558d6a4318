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
use crate::store::StoreError;
use column::Column;
pub use column::{Found, From, Wanted, Window};
pub use indexed::Indexed;

/// How long a question waits for changes to be taken over; tests want what the column says, however busy the machine is.
const CATCH_UP_PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 10_000 } else { 200 });
/// How long a command waits for the column that is built for it.
const BUILD_PATIENCE: Duration = Duration::from_mins(1);
/// How long a question that wants everybody waits for the column, in the time that a call has.
const EVERYBODY_PATIENCE: Duration = Duration::from_secs(4);

/// The column and the way to its keeper.
#[derive(Debug)]
pub struct Search {
    column: RwLock<Option<Column>>,
    state: watch::Sender<State>,
    keeper: Mutex<Keeper>,
}

/// How far the column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Building,
    Ready,
    /// It could not be built, or nobody keeps it any more.
    Failed,
}

/// How much a question wants the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The indexes answer as well.
    Handy,
    /// A program that has nobody to keep one gets one.
    Words,
    /// As for words, and the question waits while the column is built.
    Everybody,
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
        Self {
            column: RwLock::new(None),
            state: watch::Sender::new(State::Building),
            keeper: Mutex::new(Keeper::Nobody),
        }
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

    /// Asks the column, with everything taken over that was committed so far; `None` while there is none.
    pub(super) async fn ask_column<T: Send + 'static>(
        &self,
        need: Need,
        question: impl FnOnce(&Column, &AtomicBool) -> std::result::Result<T, column::Cancelled> + Send + 'static,
    ) -> Result<Option<T>> {
        let search = &self.0.search;
        if need != Need::Handy
            && let Some(requests) = search.hire(true)
        {
            tokio::spawn(keeper::run(Arc::clone(search), self.0.records.clone(), requests));
        }
        if !search.catch_up(need).await {
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
                self.state.send_replace(State::Building);
                *keeper = Keeper::Runs { requests, by_need };
                Some(received)
            }
        }
    }

    /// Nobody keeps the column any more: who waits for it learns that there is none.
    fn dismiss(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        self.state.send_replace(State::Failed);
        *keeper = Keeper::Nobody;
    }

    /// Waits, for so long at most, until the column shows what was committed so far; false when there is no such column
    /// now.
    async fn catch_up(&self, need: Need) -> bool {
        let (requests, by_need) = match &*self.keeper.lock().unwrap_or_else(PoisonError::into_inner) {
            Keeper::Nobody => return false,
            Keeper::Runs { requests, by_need } => (requests.clone(), *by_need),
        };
        let (until_built, until_caught_up) = match need {
            Need::Everybody => (EVERYBODY_PATIENCE, EVERYBODY_PATIENCE),
            Need::Handy | Need::Words => (Duration::ZERO, CATCH_UP_PATIENCE),
        };
        let until_built = if by_need { BUILD_PATIENCE } else { until_built };
        if !until_built.is_zero() {
            let mut state = self.state.subscribe();
            // What became of it is looked at below.
            let _waited = tokio::time::timeout(until_built, state.wait_for(|state| *state != State::Building)).await;
        }
        if !self.is_ready() {
            return false;
        }
        let (done, is_done) = oneshot::channel();
        // Both fail when the keeper is gone, with the store.
        requests.send(done).is_ok()
            && matches!(tokio::time::timeout(until_caught_up, is_done).await, Ok(Ok(())))
            && self.is_ready()
    }

    fn is_ready(&self) -> bool {
        *self.state.borrow() == State::Ready
    }

    /// Changes what is there, off the async threads: searches that are under way are waited for.
    async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Option<Column>) -> T + Send + 'static,
    ) -> std::result::Result<T, StoreError> {
        let search = Arc::clone(self);
        let changed = tokio::task::spawn_blocking(move || {
            change(&mut search.column.write().unwrap_or_else(PoisonError::into_inner))
        });
        changed.await.map_err(|error| StoreError::Unavailable(format!("the search was not changed: {error}")))
    }

    async fn replace(self: &Arc<Self>, column: Option<Column>, state: State) -> std::result::Result<(), StoreError> {
        self.change(|present| *present = column).await?;
        self.state.send_replace(state);
        Ok(())
    }
}
