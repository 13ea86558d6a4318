//! Whether every entry of the users' indexes follows from a user's record.

use super::{Check, Findings, ProblemKind, VerifyState, shown};
use crate::domain::id::UserId;
use crate::domain::user::User;
use crate::error::Result;
use crate::records::{Versioned, index_entries, keys};
use crate::store::{Batch, Cursor, Entry, Expect, Order, StoreError};

/// Entries of one page.
const PAGE: usize = 250;
/// About how many entries there are for one user.
pub(super) const ENTRIES_PER_USER: u64 = 15;

impl Check<'_> {
    pub(super) async fn indexes_page(&self, state: &mut VerifyState) -> Result<Findings> {
        let mut findings = Findings::default();
        let Some(prefix) = keys::USER_INDEXES.get(state.range) else {
            return Ok(Findings { is_done: true, ..findings });
        };
        let after = state.after()?.map(Cursor);
        let page = self.cx.records().store().scan(prefix, after.as_ref(), PAGE, Order::Ascending).await?;
        let owners: Vec<UserId> = page.entries.iter().filter_map(owner).collect();
        let users = self.cx.records().users_by_id(&owners).await?;
        for entry in &page.entries {
            findings.looked_at += 1;
            let user = owner(entry).and_then(|id| users.get(&id));
            if !user.is_some_and(|user| is_entry_of(entry, user)) {
                self.check_entry(&entry.key, &mut findings).await?;
            }
        }
        if let (Some(_), Some(last)) = (page.next, page.entries.last()) {
            state.go_on_after(&last.key);
        } else {
            (state.range, state.after) = (state.range + 1, None);
        }
        findings.is_done = state.range == keys::USER_INDEXES.len();
        Ok(findings)
    }

    /// Looks again at an entry that seems to be nobody's.
    async fn check_entry(&self, key: &[u8], findings: &mut Findings) -> Result<()> {
        let Some(entry) = self.cx.records().store().get(key).await? else { return Ok(()) };
        let user = match owner(&entry) {
            None => None,
            Some(id) => match self.cx.records().user(id).await {
                Ok(user) => user,
                // The check of the users has said so; what follows from the record nobody knows.
                Err(StoreError::Corrupt(_)) => return Ok(()),
                Err(error) => return Err(error.into()),
            },
        };
        if user.as_ref().is_some_and(|user| is_entry_of(&entry, &user.value)) {
            return Ok(());
        }
        let mut batch = Batch::default().expect(key, Expect::Version(entry.version)).delete(key);
        if let Some(id) = owner(&entry) {
            let expect = user.as_ref().map_or(Expect::Absent, |user| Expect::Version(user.version));
            batch = batch.expect(keys::user(id), expect);
        }
        // The user may have changed between the two readings: then entry and record are written anew.
        self.barrier().await?;
        if self.cx.records().store().get(key).await?.is_none_or(|now| now.version != entry.version) {
            return Ok(());
        }
        let detail = match user {
            Some(user) => format!("{} does not follow from {}", shown(key), user.value.email),
            None => format!("{} is nobody's", shown(key)),
        };
        let is_repaired = self.repair(batch, &detail).await?;
        findings.problem(ProblemKind::Stray, detail, is_repaired);
        Ok(())
    }

    /// Whether an entry follows from the record of the user whom it names.
    pub(super) async fn is_somebodys(&self, entry: &Entry) -> Result<bool> {
        let Some(id) = owner(entry) else { return Ok(false) };
        let user: Option<Versioned<User>> = match self.cx.records().user(id).await {
            Ok(user) => user,
            Err(StoreError::Corrupt(_)) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(user.is_some_and(|user| is_entry_of(entry, &user.value)))
    }
}

/// The user whom an entry names: in its value, else at the end of its key.
fn owner(entry: &Entry) -> Option<UserId> {
    match <[u8; 16]>::try_from(entry.value.as_slice()) {
        Ok(id) => Some(UserId(uuid::Uuid::from_bytes(id))),
        Err(_) if entry.value.is_empty() => keys::parse_trailing_user(&entry.key),
        Err(_) => None,
    }
}

fn is_entry_of(entry: &Entry, user: &User) -> bool {
    index_entries(user).iter().any(|(key, value)| *key == entry.key && *value == entry.value)
}
