//! Builds the column and takes every change over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};

use super::Search;
use super::column::{Besides, Column};
use crate::clock;
use crate::domain::id::UserId;
use crate::records::{Glance, Records, keys};
use crate::store::{Change, Cursor, Order, PAGE_ENTRIES_MAX, StoreError};

/// Changes taken over at once.
const CHANGES_AT_ONCE: usize = 256;
/// Between two tries to build it.
const PAUSE: Duration = Duration::from_secs(1);

type Requests = mpsc::UnboundedReceiver<oneshot::Sender<()>>;
type Changes = stream::ReadyChunks<BoxStream<'static, Result<Change, StoreError>>>;

/// Keeps the column until the store closes.
pub(super) async fn run(search: Arc<Search>, records: Records, mut requests: Requests) {
    loop {
        match keep(&search, &records, &mut requests).await {
            Err(StoreError::Unavailable(_)) => break,
            Err(StoreError::Lagged) => tracing::debug!("the search fell behind the changes and is built anew"),
            Err(error) => tracing::error!(%error, "the search could not be built; it is tried again"),
            Ok(()) => tracing::debug!("the search is built anew without what is gone"),
        }
        search.replace(None);
        tokio::time::sleep(PAUSE).await;
    }
    search.replace(None);
}

/// What changed while the column was built.
#[derive(Default)]
struct Late {
    users: BTreeMap<UserId, Option<Glance>>,
    /// Users of whom something besides their record changed.
    besides: BTreeSet<UserId>,
}

/// Builds the column and keeps it; ends when it is worn, or with what went wrong.
async fn keep(search: &Search, records: &Records, requests: &mut Requests) -> Result<(), StoreError> {
    let begun = Instant::now();
    let store = records.store();
    let mut changes: Changes = store.watch(keys::USERS, store.version()).ready_chunks(CHANGES_AT_ONCE);
    let mut late = Late::default();
    let users = usize::try_from(records.counter(keys::USERS_COUNTER).await?).unwrap_or(0);
    let mut column = Column::with_room_for(users);
    let mut epochs = Vec::with_capacity(users);

    let mut pages = std::pin::pin!(all_glances(records));
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
    search.replace(Some(column));
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
                let user_now = value.map(|value| Glance::decode(&key, &value)).transpose()?;
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
async fn take_over(search: &Search, records: &Records, mut late: Late) -> Result<bool, StoreError> {
    // A change to the record may end sessions. Who is new has none that is not among the changes.
    search.change(|column| late.besides.extend(late.users.keys().filter(|user| column.knows(**user))));
    let mut besides = Vec::with_capacity(late.besides.len());
    for user in late.besides {
        if let Some(known) = records.user_besides(user, clock::now()).await? {
            besides.push((user, known));
        }
    }
    let mut is_worn = false;
    search.change(|column| {
        for (id, user) in late.users {
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
        is_worn = column.is_worn();
    });
    Ok(is_worn)
}

fn all_glances(records: &Records) -> impl Stream<Item = Result<Vec<Glance>, StoreError>> + '_ {
    stream::unfold(Some(None), async |after: Option<Option<UserId>>| {
        let page = records.glances(after?, PAGE_ENTRIES_MAX).await;
        let next = page.as_ref().ok().and_then(|page| page.last()).map(|user| Some(user.id));
        Some((page, next))
    })
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
    let sessions = records.sessions(&hashes).await?;
    let live = sessions.iter().filter(|session| now < session.expires_at).filter_map(|session| {
        let user = session.user?;
        (epochs.get(column.place_of(user)?) == Some(&session.epoch)).then_some(user)
    });
    Ok(live.collect())
}
