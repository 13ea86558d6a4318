//! Whether everything that follows from a record is there, and everything that is there follows from a record.

use std::collections::HashMap;

use super::{Check, Findings, ProblemKind, TRIES, VerifyState, shown};
use crate::error::Result;
use crate::records::{Following, Tie, keys, tie};
use crate::store::{Batch, Cursor, Entry, Expect, Order, StoreError};

/// Entries of one page.
const PAGE: usize = 250;
/// About how many entries there are for one user.
pub(super) const ENTRIES_PER_USER: u64 = 15;
/// Behind every key of a family.
const BEHIND: &[u8] = &[u8::MAX; 17];

impl Check<'_> {
    /// A page of all entries but the users' and the trail's, which are looked at by themselves.
    pub(super) async fn entries_page(&self, state: &mut VerifyState) -> Result<Findings> {
        let store = self.cx.records().store();
        let mut findings = Findings::default();
        let after = state.after()?.map(Cursor);
        let page = store.scan(b"", after.as_ref(), PAGE, Order::Ascending).await?;
        let elsewhere = |entry: &Entry| matches!(keys::family(&entry.key), keys::USER | keys::AUDIT);
        let here: Vec<&Entry> = page.entries.iter().take_while(|entry| !elsewhere(entry)).collect();
        let mut wanted: Vec<Vec<u8>> = here.iter().filter_map(|entry| followed(entry)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let wanted: Vec<&[u8]> = wanted.iter().map(Vec::as_slice).collect();
        let records = store.get_many(&wanted).await?;
        let records: HashMap<&[u8], &Entry> =
            records.iter().flatten().map(|entry| (entry.key.as_slice(), entry)).collect();
        for entry in &here {
            findings.looked_at += 1;
            match tie(entry) {
                Tie::Record => self.check_record(entry, &mut findings).await?,
                Tie::Follows(of) => {
                    let record = of.and_then(|of| records.get(of.as_slice()).copied());
                    if !self.is_following(record, entry).await?.unwrap_or(true) {
                        self.check_follower(&entry.key, &mut findings).await?;
                    }
                }
                Tie::Alone if entry.key == keys::SECRET_KEY_ID && entry.value != self.cx.vault().key_id() => {
                    findings.problem(ProblemKind::Unopened, "the store names another secret key".to_owned(), false);
                }
                Tie::Alone => {}
                Tie::Nothing => {
                    let detail = format!("{} is nothing that this program keeps", shown(&entry.key));
                    findings.problem(ProblemKind::Stray, detail, false);
                }
            }
        }
        match (page.entries.get(here.len()), page.next, here.last()) {
            (Some(elsewhere), ..) => state.go_on_after(&[keys::family(&elsewhere.key), BEHIND].concat()),
            (None, Some(_), Some(last)) => state.go_on_after(&last.key),
            _ => findings.is_done = true,
        }
        Ok(findings)
    }

    async fn check_record(&self, entry: &Entry, findings: &mut Findings) -> Result<()> {
        match self.cx.records().follows(entry).await {
            Ok(following) => {
                self.check_secret(entry, findings)?;
                self.check_following(entry.clone(), following, findings).await
            }
            Err(StoreError::Corrupt(detail)) => {
                findings.problem(ProblemKind::Unreadable, detail, false);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks at the entries that follow from a record, again when the record changes meanwhile.
    pub(super) async fn check_following(
        &self,
        mut record: Entry,
        mut following: Following,
        findings: &mut Findings,
    ) -> Result<()> {
        let (records, store) = (self.cx.records(), self.cx.records().store());
        for _ in 0..TRIES {
            let wanted: Vec<&[u8]> = following.entries.iter().map(|(key, _)| key.as_slice()).collect();
            let found = store.get_many(&wanted).await?;
            let wrong: Vec<_> = (following.entries.iter().zip(&found))
                .filter(|((_, value), found)| found.as_ref().is_none_or(|found| found.value != *value))
                .collect();
            if wrong.is_empty() {
                return Ok(());
            }
            let Some(now) = store.get(&record.key).await? else { return Ok(()) };
            let following_now = match records.follows(&now).await {
                Ok(following) => following,
                Err(StoreError::Corrupt(_)) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if now.version == record.version && following_now.besides == following.besides {
                for (entry, found) in wrong {
                    self.follower_is_wrong(&record, &following, entry, found.as_ref(), findings).await?;
                }
                return Ok(());
            }
            (record, following) = (now, following_now);
        }
        findings.notes.push(format!("{} changes all the time", shown(&record.key)));
        Ok(())
    }

    async fn follower_is_wrong(
        &self,
        record: &Entry,
        following: &Following,
        (key, value): &(Vec<u8>, Vec<u8>),
        found: Option<&Entry>,
        findings: &mut Findings,
    ) -> Result<()> {
        let batch = expecting(Batch::default(), &record.key, Some(record), Some(following))
            .expect(key.clone(), found.map_or(Expect::Absent, |found| Expect::Version(found.version)))
            .put(key.clone(), value.clone());
        // What two records lay claim to, only a person can decide.
        let is_contested = match found {
            Some(found) => self.is_somebodys(found).await?,
            None => false,
        };
        let (key, of) = (shown(key), shown(&record.key));
        let detail = match found {
            None => format!("{key}, which follows from {of}, is missing"),
            Some(_) if is_contested => format!("{key}, which follows from {of}, is another record's as well"),
            Some(_) => format!("{key}, which follows from {of}, says something else"),
        };
        let is_repaired = !is_contested && self.repair(batch, &detail).await?;
        findings.problem(ProblemKind::Missing, detail, is_repaired);
        Ok(())
    }

    /// Looks again at an entry that seems to follow from nothing.
    async fn check_follower(&self, key: &[u8], findings: &mut Findings) -> Result<()> {
        let (records, store) = (self.cx.records(), self.cx.records().store());
        let Some(entry) = store.get(key).await? else { return Ok(()) };
        let of = followed(&entry);
        let record = match &of {
            Some(of) => store.get(of).await?,
            None => None,
        };
        if self.is_following(record.as_ref(), &entry).await?.unwrap_or(true) {
            return Ok(());
        }
        let following = match &record {
            Some(record) => Some(records.follows(record).await?),
            None => None,
        };
        let mut batch = Batch::default().expect(key, Expect::Version(entry.version)).delete(key);
        if let Some(of) = &of {
            batch = expecting(batch, of, record.as_ref(), following.as_ref());
        }
        // The record may have changed between the two readings: then entry and record are written anew.
        self.barrier().await?;
        if store.get(key).await?.is_none_or(|now| now.version != entry.version) {
            return Ok(());
        }
        let detail = match record {
            Some(record) => format!("{} does not follow from {}", shown(key), shown(&record.key)),
            None => format!("{} follows from nothing", shown(key)),
        };
        let is_repaired = self.repair(batch, &detail).await?;
        findings.problem(ProblemKind::Stray, detail, is_repaired);
        Ok(())
    }

    /// Whether an entry follows from the record that it names.
    async fn is_somebodys(&self, entry: &Entry) -> Result<bool> {
        let record = match followed(entry) {
            Some(of) => self.cx.records().store().get(&of).await?,
            None => None,
        };
        Ok(self.is_following(record.as_ref(), entry).await?.unwrap_or(false))
    }

    /// Whether an entry follows from a record; `None` when that does not read: what follows from it nobody knows.
    async fn is_following(&self, record: Option<&Entry>, entry: &Entry) -> Result<Option<bool>> {
        let Some(record) = record else { return Ok(Some(false)) };
        match self.cx.records().is_following(record, entry).await {
            Ok(follows) => Ok(Some(follows)),
            Err(StoreError::Corrupt(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn followed(entry: &Entry) -> Option<Vec<u8>> {
    match tie(entry) {
        Tie::Follows(of) => of,
        Tie::Record | Tie::Alone | Tie::Nothing => None,
    }
}

/// Expects a record, and what follows from it, as they were read.
fn expecting(batch: Batch, key: &[u8], record: Option<&Entry>, following: Option<&Following>) -> Batch {
    let expect = record.map_or(Expect::Absent, |record| Expect::Version(record.version));
    let batch = batch.expect(key, expect);
    match following.and_then(|following| following.besides.clone()) {
        Some((key, expect)) => batch.expect(key, expect),
        None => batch,
    }
}
