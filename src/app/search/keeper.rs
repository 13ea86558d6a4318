//! Builds the column and takes every change over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};

use super::column::{Besides, Column};
use super::{Search, State};
use crate::clock;
use crate::domain::id::UserId;
use crate::domain::session::Session;
use crate::records::{Glance, Records, keys};
use crate::store::{Change, Cursor, Order, PAGE_ENTRIES_MAX, StoreError};

/// Changes taken over at once.
const CHANGES_AT_ONCE: usize = 256;
/// Before the column is built anew.
const PAUSE: Duration = Duration::from_secs(1);
/// The same, when it could not be built.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(30);
/// Pages of users that are decoded side by side.
const PAGES_AHEAD: usize = 2;

type Requests = mpsc::UnboundedReceiver<oneshot::Sender<()>>;
type Changes = stream::ReadyChunks<BoxStream<'static, Result<Change, StoreError>>>;

/// Gives the place as keeper back.
struct DismissOnDrop(Arc<Search>);

impl Drop for DismissOnDrop {
    fn drop(&mut self) {
        self.0.dismiss();
    }
}

/// Keeps the column until the store closes.
pub(super) async fn run(search: Arc<Search>, records: Records, mut requests: Requests) {
    let _place = DismissOnDrop(Arc::clone(&search));
    loop {
        let (mut state, mut pause) = (State::Building, PAUSE);
        match keep(&search, &records, &mut requests).await {
            Err(StoreError::Unavailable(_)) => break,
            Err(StoreError::Lagged) => tracing::debug!("the search fell behind the changes and is built anew"),
            Err(error) => {
                tracing::error!(%error, "the search could not be built; it is tried again");
                (state, pause) = (State::Failed, PAUSE_AFTER_FAILURE);
            }
            Ok(()) => tracing::debug!("the search is built anew without what is gone"),
        }
        if search.replace(None, state).await.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
    }
    // The program ends when this fails.
    let _gone = search.replace(None, State::Failed).await;
}

/// What changed while the column was built.
#[derive(Default)]
struct Late {
    users: BTreeMap<UserId, Option<Glance>>,
    /// Users of whom something besides their record changed.
    besides: BTreeSet<UserId>,
}

/// Builds the column and keeps it; ends when it is worn, or with what went wrong.
async fn keep(search: &Arc<Search>, records: &Records, requests: &mut Requests) -> Result<(), StoreError> {
    let begun = Instant::now();
    let store = records.store();
    let mut changes: Changes = store.watch(keys::USERS, store.version()).ready_chunks(CHANGES_AT_ONCE);
    let mut late = Late::default();
    let users = usize::try_from(records.counter(keys::USERS_COUNTER).await?).unwrap_or(0);
    let mut column = Column::with_room_for(users);
    let mut epochs = Vec::with_capacity(users);

    let pages = all_entries(records, keys::USER).map(async |page| glances(page?).await);
    let mut pages = std::pin::pin!(pages.buffered(PAGES_AHEAD));
    while let Some(page) = noting(&mut changes, &mut late, pages.next()).await? {
        for user in page? {
            column.push(&user);
            epochs.push(user.session_epoch);
        }
    }
    let ordered = tokio::task::spawn_blocking(move || {
        column.finish();
        column
    });
    column = noting(&mut changes, &mut late, ordered)
        .await?
        .map_err(|error| StoreError::Unavailable(format!("the search was not built: {error}")))?;

    for (prefix, besides) in [(keys::USER_API_KEY, Besides::Keys), (keys::USER_FAILED_MAIL, Besides::FailedMail)] {
        let mut entries = std::pin::pin!(all_entries(records, prefix));
        while let Some(page) = noting(&mut changes, &mut late, entries.next()).await? {
            for user in page?.iter().filter_map(|(key, _)| keys::parse_leading_user(key, prefix)) {
                column.set_besides(user, besides, true);
            }
        }
    }
    let mut entries = std::pin::pin!(all_entries(records, keys::USER_SESSION));
    while let Some(page) = noting(&mut changes, &mut late, entries.next()).await? {
        let live = live_sessions(records, &column, &epochs, page?);
        for user in noting(&mut changes, &mut late, live).await?? {
            column.set_besides(user, Besides::Sessions, true);
        }
    }
    drop(epochs);

    tracing::debug!(
        users = column.len(),
        bytes = column.bytes(),
        milliseconds = begun.elapsed().as_millis(),
        "the search is built"
    );
    search.replace(Some(column), State::Ready).await?;
    take_over(search, records, late).await?;
    loop {
        tokio::select! {
            // What is committed comes before an answer that says so.
            biased;
            chunk = changes.next() => {
                let mut late = Late::default();
                late.note(chunk)?;
                if take_over(search, records, late).await? {
                    return Ok(());
                }
            }
            Some(request) = requests.recv() => {
                // Whoever asked may have gone.
                let _gone = request.send(());
            }
        }
    }
}

/// Waits for a part of the work and notes the changes that come meanwhile.
async fn noting<T>(changes: &mut Changes, late: &mut Late, work: impl Future<Output = T>) -> Result<T, StoreError> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            chunk = changes.next() => late.note(chunk)?,
            done = &mut work => return Ok(done),
        }
    }
}

impl Late {
    fn note(&mut self, chunk: Option<Vec<Result<Change, StoreError>>>) -> Result<(), StoreError> {
        let chunk = chunk.ok_or_else(|| StoreError::Unavailable("the changes ended".to_owned()))?;
        for change in chunk {
            let Change { key, value, .. } = change?;
            if let Some(user) = keys::parse_leading_user(&key, keys::USER) {
                let user_now = value.and_then(|value| glance(&key, &value));
                self.users.insert(user, user_now);
            }
            for prefix in [keys::USER_API_KEY, keys::USER_FAILED_MAIL, keys::USER_SESSION] {
                self.besides.extend(keys::parse_leading_user(&key, prefix));
            }
        }
        Ok(())
    }
}

/// Takes changes over; true when the column is worn.
async fn take_over(search: &Arc<Search>, records: &Records, mut late: Late) -> Result<bool, StoreError> {
    // A change to the record may end sessions. Who is new has none that is not among the changes. Nobody else writes,
    // so this waits for nothing.
    if let Some(column) = &*search.column.read().unwrap_or_else(PoisonError::into_inner) {
        late.besides.extend(late.users.keys().filter(|user| column.knows(**user)));
    }
    let mut besides = Vec::with_capacity(late.besides.len());
    for user in late.besides {
        match records.user_besides(user, clock::now()).await {
            Ok(Some(known)) => besides.push((user, known)),
            Ok(None) => {}
            Err(error @ StoreError::Corrupt(_)) => left_out(&error),
            Err(error) => return Err(error),
        }
    }
    let users = late.users;
    let changed = search.change(move |column| {
        let Some(column) = column else { return false };
        for (id, user) in users {
            match user {
                Some(user) => column.put(&user),
                None => column.remove(id),
            }
        }
        for (user, known) in besides {
            column.set_besides(user, Besides::Keys, known.has_keys);
            column.set_besides(user, Besides::Sessions, known.has_sessions);
            column.set_besides(user, Besides::FailedMail, known.has_failed_mail);
        }
        column.is_worn()
    });
    changed.await
}

/// One that cannot be read does not keep the others out.
fn left_out(error: &StoreError) {
    tracing::error!(%error, "the search leaves out what cannot be read");
}

fn glance(key: &[u8], value: &[u8]) -> Option<Glance> {
    Glance::decode(key, value).inspect_err(left_out).ok()
}

async fn glances(page: KeysAndValues) -> Result<Vec<Glance>, StoreError> {
    let decoded =
        tokio::task::spawn_blocking(move || page.iter().filter_map(|(key, value)| glance(key, value)).collect());
    decoded.await.map_err(|error| StoreError::Unavailable(format!("the search was not built: {error}")))
}

type KeysAndValues = Vec<(Vec<u8>, Vec<u8>)>;

fn all_entries<'a>(
    records: &'a Records,
    prefix: &'a [u8],
) -> impl Stream<Item = Result<KeysAndValues, StoreError>> + 'a {
    stream::unfold(Some(None), async move |after: Option<Option<Cursor>>| {
        let page = records.store().scan(prefix, after?.as_ref(), PAGE_ENTRIES_MAX, Order::Ascending).await;
        let next = page.as_ref().ok().and_then(|page| page.next.clone()).map(Some);
        let entries = page.map(|page| page.entries.into_iter().map(|entry| (entry.key, entry.value)).collect());
        Some((entries, next))
    })
}

/// The users of a page of sessions who have one that goes on.
async fn live_sessions(
    records: &Records,
    column: &Column,
    epochs: &[u32],
    page: KeysAndValues,
) -> Result<BTreeSet<UserId>, StoreError> {
    let hashes: Vec<[u8; 32]> = page.iter().filter_map(|(_, hash)| hash.as_slice().try_into().ok()).collect();
    let now = clock::now();
    let sessions = match records.sessions(&hashes).await {
        Err(StoreError::Corrupt(_)) => readable_sessions(records, &hashes).await?,
        sessions => sessions?,
    };
    let live = sessions.iter().filter(|session| now < session.expires_at).filter_map(|session| {
        let user = session.user?;
        (epochs.get(column.place_of(user)?) == Some(&session.epoch)).then_some(user)
    });
    Ok(live.collect())
}

/// Those of the sessions that can be read.
async fn readable_sessions(records: &Records, hashes: &[[u8; 32]]) -> Result<Vec<Session>, StoreError> {
    let mut sessions = Vec::new();
    for hash in hashes {
        match records.session(hash).await {
            Ok(session) => sessions.extend(session.map(|session| session.value)),
            Err(error @ StoreError::Corrupt(_)) => left_out(&error),
            Err(error) => return Err(error),
        }
    }
    Ok(sessions)
}
