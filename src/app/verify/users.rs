//! The users' records, and whether everything that follows from them is there.

use super::count::Passed;
use super::{Check, Findings, ProblemKind, TRIES, VerifyState, shown};
use crate::domain::user::User;
use crate::error::Result;
use crate::records::{Versioned, codec, index_entries, keys};
use crate::store::{Batch, Cursor, Entry, Expect, Order, StoreError};

/// Users of one page.
const PAGE: usize = 100;

impl Check<'_> {
    pub(super) async fn users_page(&self, state: &mut VerifyState) -> Result<Findings> {
        let store = self.cx.records().store();
        let before = state.after()?.unwrap_or_else(|| keys::USER.to_vec());
        let mut findings = Findings::default();
        let mut entries = Vec::new();
        for attempt in 0..=TRIES {
            // What was committed before the page is read must not be taken for a change to it.
            let nothing_yet = Passed { before: &before, to: Some(&before) };
            self.follow(&mut state.count, &nothing_yet).await?;
            let page = store.scan(keys::USER, Some(&Cursor(before.clone())), PAGE, Order::Ascending).await?;
            let to = page.next.as_ref().and(page.entries.last()).map(|entry| entry.key.clone());
            findings.is_done = to.is_none();
            entries = page.entries;
            let passed = Passed { before: &before, to: to.as_deref() };
            if !self.follow(&mut state.count, &passed).await? {
                break;
            }
            if attempt == TRIES {
                state.count.lose();
            }
        }
        for entry in &entries {
            findings.looked_at += 1;
            match codec::decode::<User>(&entry.key, &entry.value) {
                Ok(user) if keys::user(user.id) == entry.key => {
                    state.count.add(&user);
                    self.check_user(Versioned { value: user, version: entry.version }, &mut findings).await?;
                }
                Ok(_) => {
                    let detail = format!("{} holds another user", shown(&entry.key));
                    findings.problem(ProblemKind::Unreadable, detail, false);
                }
                Err(error) => findings.problem(ProblemKind::Unreadable, error.to_string(), false),
            }
        }
        if let Some(last) = entries.last() {
            state.go_on_after(&last.key);
        }
        if findings.is_done {
            self.end_count(&state.count, &mut findings).await?;
        }
        Ok(findings)
    }

    /// Looks at the index entries of a user, again when the user changes meanwhile.
    async fn check_user(&self, mut user: Versioned<User>, findings: &mut Findings) -> Result<()> {
        for _ in 0..TRIES {
            let expected = index_entries(&user.value);
            let wanted: Vec<&[u8]> = expected.iter().map(|(key, _)| key.as_slice()).collect();
            let found = self.cx.records().store().get_many(&wanted).await?;
            let wrong: Vec<_> = expected
                .iter()
                .zip(&found)
                .filter(|(entry, found)| found.as_ref().is_none_or(|found| found.value != entry.1))
                .map(|(entry, found)| (entry, found.as_ref()))
                .collect();
            if wrong.is_empty() {
                return Ok(());
            }
            match self.cx.records().user(user.value.id).await {
                Ok(Some(now)) if now.version == user.version => {
                    for (entry, found) in wrong {
                        self.entry_is_wrong(&user, entry, found, findings).await?;
                    }
                    return Ok(());
                }
                Ok(Some(now)) => user = now,
                Ok(None) | Err(StoreError::Corrupt(_)) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        findings.notes.push(format!("{} changes all the time", user.value.email));
        Ok(())
    }

    async fn entry_is_wrong(
        &self,
        user: &Versioned<User>,
        (key, value): &(Vec<u8>, Vec<u8>),
        found: Option<&Entry>,
        findings: &mut Findings,
    ) -> Result<()> {
        let email = &user.value.email;
        let expect = found.map_or(Expect::Absent, |found| Expect::Version(found.version));
        let batch = Batch::default()
            .expect(keys::user(user.value.id), Expect::Version(user.version))
            .expect(key.clone(), expect)
            .put(key.clone(), value.clone());
        // What two users lay claim to, only a person can decide.
        let is_contested = match found {
            Some(found) => self.is_somebodys(found).await?,
            None => false,
        };
        let detail = match found {
            None => format!("{} of {email} is missing", shown(key)),
            Some(_) if is_contested => format!("{} of {email} is another user's as well", shown(key)),
            Some(_) => format!("{} of {email} says something else", shown(key)),
        };
        let is_repaired = !is_contested && self.repair(batch, &detail).await?;
        findings.problem(ProblemKind::Missing, detail, is_repaired);
        Ok(())
    }
}
