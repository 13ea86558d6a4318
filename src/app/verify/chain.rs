//! The audit trail, link by link: numbers without a gap, each entry bound to the one before, the end where the head of
//! the log says. What is broken here cannot be mended, and must not be.

use serde::{Deserialize, Serialize};

use super::{Check, Findings, ProblemKind, VerifyState, shown};
use crate::domain::text;
use crate::error::Result;
use crate::records::keys;
use crate::store::{Cursor, LogEntry, Order, StoreError, log_head_key};

/// Entries of one page.
const PAGE: usize = 500;

/// The last link that was looked at.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Link {
    number: u64,
    /// In hex; empty before the first.
    hash: String,
}

impl Check<'_> {
    pub(super) async fn chain_page(&self, state: &mut VerifyState) -> Result<Findings> {
        let store = self.cx.records().store();
        let mut findings = Findings::default();
        let after = state.after()?.map(Cursor);
        // Read before the entries: whatever it names must be among them.
        let head = store.get(&log_head_key(keys::AUDIT)).await?;
        let page = store.scan(keys::AUDIT, after.as_ref(), PAGE, Order::Ascending).await?;
        let link = &mut state.chain;
        for entry in &page.entries {
            findings.looked_at += 1;
            let expected = link.number + 1;
            let Some(found) = LogEntry::decode(&entry.value) else {
                let detail = format!("{} does not read", shown(&entry.key));
                findings.problem(ProblemKind::BrokenChain, detail, false);
                link.number = expected;
                continue;
            };
            let number = found.sequence;
            if keys::parse_trailing_number(&entry.key) != Some(number) {
                let detail = format!("{} is entry {number} in a wrong place", shown(&entry.key));
                findings.problem(ProblemKind::BrokenChain, detail, false);
            } else if number != expected {
                let detail = match number.saturating_sub(1) {
                    last if last == expected => format!("audit entry {expected} is missing"),
                    last if last < expected => format!("audit entry {number} comes where {expected} ought to"),
                    last => format!("audit entries {expected} to {last} are missing"),
                };
                findings.problem(ProblemKind::BrokenChain, detail, false);
            }
            let previous = if link.number == 0 { text::hex(&[0; 32]) } else { link.hash.clone() };
            if number == expected && text::hex(&found.previous) != previous {
                let detail = format!("audit entry {number} does not follow the one before, which was changed");
                findings.problem(ProblemKind::BrokenChain, detail, false);
            }
            match self.cx.records().follows(entry).await {
                Ok(following) => self.check_following(entry.clone(), following, &mut findings).await?,
                Err(StoreError::Corrupt(_)) => {
                    findings.problem(ProblemKind::BrokenChain, format!("audit entry {number} does not read"), false);
                }
                Err(error) => return Err(error.into()),
            }
            *link = Link { number, hash: text::hex(&found.hash()) };
        }
        if let (Some(_), Some(last)) = (page.next, page.entries.last()) {
            state.go_on_after(&last.key);
            return Ok(findings);
        }
        findings.is_done = true;
        let said = head.as_ref().and_then(|head| head.value.split_first_chunk::<8>());
        let said = said.map(|(number, hash)| (u64::from_be_bytes(*number), text::hex(hash)));
        let link = &state.chain;
        let is_right = match &said {
            None => head.is_none() && link.number == 0,
            Some((number, hash)) if *number == link.number => *hash == link.hash,
            // The trail goes on while it is read.
            Some((number, hash)) => *number < link.number && self.is_behind(*number, hash).await?,
        };
        if !is_right {
            let end = said.map_or(0, |(number, _)| number);
            let detail = format!("the audit trail ends with entry {}, and ought to with {end}", link.number);
            findings.problem(ProblemKind::BrokenChain, detail, false);
        }
        Ok(findings)
    }

    /// Whether this was the end of the trail a moment ago.
    async fn is_behind(&self, number: u64, hash: &str) -> Result<bool> {
        let entry = self.cx.records().store().get(&keys::audit(number)).await?;
        let entry = entry.and_then(|entry| LogEntry::decode(&entry.value));
        Ok(entry.is_some_and(|entry| text::hex(&entry.hash()) == hash))
    }
}
