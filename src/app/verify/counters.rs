//! The counters that count a range of keys.

use super::{Check, Findings, ProblemKind, TRIES, VerifyState, shown};
use crate::domain::id::OrganizationId;
use crate::error::Result;
use crate::records::{Tie, keys, tie};
use crate::store::{Batch, Cursor, Entry, Expect, Order, PAGE_ENTRIES_MAX, StoreError, decode_counter};

/// Organizations of one page.
const PAGE: usize = 50;

impl Check<'_> {
    pub(super) async fn counters_page(&self, state: &mut VerifyState) -> Result<Findings> {
        let mut findings = Findings::default();
        if state.after.is_none() {
            for (counter, prefix) in [
                (keys::OUTBOX_COUNTER, keys::OUTBOX),
                (keys::OUTBOX_FAILED_COUNTER, keys::OUTBOX_FAILED),
                (keys::ORGANIZATIONS_COUNTER, keys::ORGANIZATION),
                (keys::WINDOWS_COUNTER, keys::WINDOW),
            ] {
                self.check_counter(counter, prefix, &mut findings).await?;
            }
            for (counter, prefix) in [
                (keys::USER_NUMBER_COUNTER, keys::USER_NUMBER),
                (keys::TEAM_NUMBER_COUNTER, keys::TEAM),
                (keys::JOB_COUNTER, keys::JOB),
            ] {
                self.check_highest(counter, prefix, &mut findings).await?;
            }
        }
        let after = state.after()?.map(Cursor);
        let page = self.cx.records().store().scan(keys::ORGANIZATION, after.as_ref(), PAGE, Order::Ascending).await?;
        for entry in &page.entries {
            let id = entry.key.strip_prefix(keys::ORGANIZATION).and_then(|id| <[u8; 16]>::try_from(id).ok());
            let Some(id) = id.map(|id| OrganizationId(uuid::Uuid::from_bytes(id))) else { continue };
            let (members, invites) = (keys::active_member_prefix(id), keys::organization_invite_prefix(id));
            self.check_counter(&keys::active_members_counter(id), &members, &mut findings).await?;
            self.check_counter(&keys::invites_counter(id), &invites, &mut findings).await?;
        }
        if let (Some(_), Some(last)) = (page.next, page.entries.last()) {
            state.go_on_after(&last.key);
        } else {
            findings.is_done = true;
        }
        Ok(findings)
    }

    /// Whether no number is in use that a counter has yet to give.
    async fn check_highest(&self, counter: &[u8], prefix: &[u8], findings: &mut Findings) -> Result<()> {
        let store = self.cx.records().store();
        let page = store.scan(prefix, None, 1, Order::Descending).await?;
        let highest = match page.entries.first() {
            None => 0,
            Some(entry) if self.is_sound(entry).await? => keys::parse_trailing_number(&entry.key).unwrap_or(0),
            // Told with the entries. A damaged key must not use up all the numbers.
            Some(_) => return Ok(()),
        };
        let highest = i64::try_from(highest).unwrap_or(i64::MAX);
        findings.looked_at += 1;
        let before = store.get(counter).await?;
        let says = before.as_ref().and_then(|entry| decode_counter(&entry.value)).unwrap_or(0);
        if says < highest {
            let expect = before.map_or(Expect::Absent, |entry| Expect::Version(entry.version));
            let batch = Batch::default().expect(counter, expect).add(counter, highest - says);
            let detail = format!("{} says {says}, and {highest} is in use", shown(counter));
            let is_repaired = self.repair(batch, &detail).await?;
            findings.problem(ProblemKind::WrongCounter, detail, is_repaired);
        }
        Ok(())
    }

    /// Whether an entry is a record that reads, or follows from one.
    async fn is_sound(&self, entry: &Entry) -> Result<bool> {
        let records = self.cx.records();
        let read = match tie(entry) {
            Tie::Record => records.follows(entry).await.map(|_| true),
            Tie::Follows(Some(key)) => match records.store().get(&key).await? {
                Some(record) => records.is_following(&record, entry).await,
                None => Ok(false),
            },
            Tie::Follows(None) | Tie::Alone | Tie::Nothing => Ok(false),
        };
        match read {
            Err(StoreError::Corrupt(_)) => Ok(false),
            read => Ok(read?),
        }
    }

    /// Counts a range of keys, again when the counter moves meanwhile.
    async fn check_counter(&self, counter: &[u8], prefix: &[u8], findings: &mut Findings) -> Result<()> {
        let store = self.cx.records().store();
        for _ in 0..TRIES {
            let before = store.get(counter).await?;
            let (mut ought, mut after) = (0_i64, None);
            loop {
                let page = store.scan(prefix, after.as_ref(), PAGE_ENTRIES_MAX, Order::Ascending).await?;
                ought += i64::try_from(page.entries.len()).unwrap_or(i64::MAX);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            if store.get(counter).await?.map(|entry| entry.version) != before.as_ref().map(|entry| entry.version) {
                continue;
            }
            findings.looked_at += ought.cast_unsigned();
            let says = before.as_ref().and_then(|entry| decode_counter(&entry.value)).unwrap_or(0);
            if says != ought {
                let expect = before.map_or(Expect::Absent, |entry| Expect::Version(entry.version));
                let batch = Batch::default().expect(counter, expect).add(counter, ought - says);
                let detail = format!("{} says {says}, and there are {ought}", shown(counter));
                let is_repaired = self.repair(batch, &detail).await?;
                findings.problem(ProblemKind::WrongCounter, detail, is_repaired);
            }
            return Ok(());
        }
        findings.notes.push(format!("{} was not checked: it changes all the time", shown(counter)));
        Ok(())
    }
}
