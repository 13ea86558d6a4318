//! The users' records, and whether everything that follows from them is there.

use super::count::Passed;
use super::{Check, Findings, ProblemKind, TRIES, VerifyState, shown};
use crate::domain::user::User;
use crate::error::Result;
use crate::records::{Following, codec, index_entries, keys};
use crate::store::{Cursor, Order};

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
                    self.check_secrets_of(&user, &mut findings);
                    let following = Following { entries: index_entries(&user), besides: None };
                    self.check_following(entry.clone(), following, &mut findings).await?;
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
}
