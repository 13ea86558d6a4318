//! Counting users anew while they change: a walk over all of them, and for what was already passed the store's changes.

use std::collections::BTreeMap;

use futures_util::{FutureExt, StreamExt};
use serde::{Deserialize, Serialize};

use super::{Check, Findings, ProblemKind, TRIES, shown};
use crate::domain::text;
use crate::domain::user::User;
use crate::error::Result;
use crate::records::{counted_in, keys};
use crate::store::{Batch, Change, Order, PAGE_ENTRIES_MAX, StoreError, Version, decode_counter};

/// The count so far. Counters are named by their keys, in hex.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Count {
    /// Changes up to here are taken into account.
    version: u64,
    /// What the counters say.
    said: BTreeMap<String, i64>,
    /// What they ought to, as far as users were passed.
    counted: BTreeMap<String, i64>,
    /// The count cannot be right: it fell behind, or the changes could not be told apart.
    is_lost: bool,
}

/// The users that a page passed, by key: behind the first, up to the second.
pub(super) struct Passed<'a> {
    pub before: &'a [u8],
    /// `None`: to the end.
    pub to: Option<&'a [u8]>,
}

impl Count {
    pub fn lose(&mut self) {
        self.is_lost = true;
    }

    pub fn add(&mut self, user: &User) {
        for counter in counted_in(user) {
            *self.counted.entry(text::hex(&counter)).or_default() += 1;
        }
    }

    /// Takes changes into account; true when a user of the page changed, which has to be read again.
    fn take(&mut self, changes: &[Change], page: &Passed<'_>) -> bool {
        let mut is_dirty = false;
        for commit in changes.chunk_by(|one, other| one.version == other.version) {
            let mut places = commit.iter().filter(|change| change.key.starts_with(keys::USER)).map(|change| {
                let key = change.key.as_slice();
                if key <= page.before {
                    Place::Passed
                } else if page.to.is_none_or(|to| key <= to) {
                    Place::InPage
                } else {
                    Place::ToCome
                }
            });
            let place = places.next();
            // Nobody changes users on both sides of a place at once.
            self.is_lost |= places.any(|other| Some(other) != place);
            is_dirty |= place == Some(Place::InPage);
            for change in commit.iter().filter(|change| keys::is_user_counter(&change.key)) {
                let counter = text::hex(&change.key);
                let says = change.value.as_deref().and_then(decode_counter).unwrap_or(0);
                let said = self.said.insert(counter.clone(), says).unwrap_or(0);
                if place == Some(Place::Passed) {
                    *self.counted.entry(counter).or_default() += says - said;
                }
            }
        }
        is_dirty
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Passed,
    InPage,
    ToCome,
}

impl Check<'_> {
    /// What the counters say now, and from which change on they are followed.
    pub(super) async fn begin_count(&self) -> Result<Count> {
        let store = self.cx.records().store();
        for _ in 0..TRIES {
            self.barrier().await?;
            let mut count = Count { version: store.version().0, ..Count::default() };
            for prefix in keys::USER_COUNTERS {
                let page = store.scan(prefix, None, PAGE_ENTRIES_MAX, Order::Ascending).await?;
                for entry in page.entries.iter().filter(|entry| keys::is_user_counter(&entry.key)) {
                    let said = decode_counter(&entry.value).unwrap_or(0);
                    count.said.insert(text::hex(&entry.key), said);
                }
            }
            let Some(changes) = self.changes_since(count.version).await? else { continue };
            if !changes.iter().any(|change| keys::is_user_counter(&change.key)) {
                return Ok(count);
            }
        }
        Ok(Count { is_lost: true, ..Count::default() })
    }

    /// Takes everything into account that was committed so far; true when a user of the page changed.
    pub(super) async fn follow(&self, count: &mut Count, page: &Passed<'_>) -> Result<bool> {
        let Some(changes) = self.changes_since(count.version).await? else {
            count.lose();
            count.version = self.cx.records().store().version().0;
            return Ok(false);
        };
        if let Some(last) = changes.last() {
            count.version = last.version.0;
        }
        Ok(count.take(&changes, page))
    }

    /// The changes behind a version; `None` when the store does not have them any more.
    async fn changes_since(&self, version: u64) -> Result<Option<Vec<Change>>> {
        self.barrier().await?;
        let mut watch = self.cx.records().store().watch(b"", Version(version));
        let mut changes = Vec::new();
        while let Some(Some(change)) = watch.next().now_or_never() {
            match change {
                Ok(change) => changes.push(change),
                Err(StoreError::Lagged) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(changes))
    }

    /// Compares, when all users were passed.
    pub(super) async fn end_count(&self, count: &Count, findings: &mut Findings) -> Result<()> {
        if count.is_lost {
            let note = "the counters of users were not checked: too much changed meanwhile; try again when it is quiet";
            findings.notes.push(note.to_owned());
            return Ok(());
        }
        let counters: std::collections::BTreeSet<&String> = count.said.keys().chain(count.counted.keys()).collect();
        for counter in counters {
            let value = |of: &BTreeMap<String, i64>| of.get(counter).copied().unwrap_or(0);
            let (says, ought) = (value(&count.said), value(&count.counted));
            if says != ought {
                // The state comes from outside.
                let Some(key) = text::unhex(counter).filter(|key| keys::is_user_counter(key)) else { continue };
                let detail = format!("{} says {says}, and there are {ought}", shown(&key));
                let repaired = self.repair(Batch::default().add(key, ought - says), &detail).await?;
                findings.problem(ProblemKind::WrongCounter, detail, repaired);
            }
        }
        Ok(())
    }
}
