//! The audit trail, link by link: numbers without a gap, each entry bound to the one before, the end where the head of
//! the log says, the beginning where a signed statement says, and each checkpoint signed and of an entry as it is. What is
//! broken here cannot be mended, and must not be.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Check, Findings, ProblemKind, VerifyState, shown};
use crate::domain::checkpoint::{Checkpoint, PublicKey};
use crate::domain::text;
use crate::error::{Error, Result};
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
        let is_first = after.is_none();
        let key = self.trail_key(is_first, &mut findings).await?;
        // Read before what it names.
        let newest_checkpoint = self.cx.records().numbered_checkpoints(None, 1, Order::Descending).await?.pop();
        // Read before the entries: whatever it names must be among them.
        let head = store.get(&log_head_key(keys::AUDIT)).await?;
        let page = store.scan(keys::AUDIT, after.as_ref(), PAGE, Order::Ascending).await?;
        // Read after them: what is gone for its age was said to be.
        let start = self.trail_start(is_first, &mut findings).await?;
        let link = &mut state.chain;
        let seen = link.number;
        let mut hashes = HashMap::new();
        for entry in &page.entries {
            findings.looked_at += 1;
            if let Some(start) = &start
                && link.number < start.number
            {
                if keys::parse_trailing_number(&entry.key).is_some_and(|number| number <= start.number) {
                    // Too old, and not removed yet.
                    continue;
                }
                *link = Link { number: start.number, hash: text::hex(&start.hash) };
            }
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
            hashes.insert(number, found.hash());
            *link = Link { number, hash: text::hex(&found.hash()) };
        }
        let begin = start.as_ref().map_or(0, |start| start.number);
        for (number, checkpoint) in
            self.cx.records().numbered_checkpoints(Some(seen.max(begin)), PAGE, Order::Ascending).await?
        {
            if number <= link.number {
                check_checkpoint(number, checkpoint, hashes.get(&number), key, &mut findings);
            }
        }
        if let (Some(_), Some(last)) = (page.next, page.entries.last()) {
            state.go_on_after(&last.key);
            return Ok(findings);
        }
        findings.is_done = true;
        let said = head.as_ref().and_then(|head| head.value.split_first_chunk::<8>());
        let said = said.map(|(number, hash)| (u64::from_be_bytes(*number), text::hex(hash)));
        if let Some(start) = &start {
            if key.is_none_or(|key| !start.is_of(key)) {
                let detail = "what says where the audit trail begins is not signed with the key of this store";
                findings.problem(ProblemKind::BrokenChain, detail.to_owned(), false);
            }
            let (number, at) = (start.number.saturating_add(1), start.at.to_rfc3339_z());
            findings
                .notes
                .push(format!("the audit trail begins with entry {number}: what was older was removed at {at}"));
        }
        let end = said.as_ref().map_or(0, |(number, _)| *number);
        if let Some(number) = newest_checkpoint.map(|(number, _)| number).filter(|number| *number > end) {
            let detail = format!("there is a checkpoint of audit entry {number}, and the trail ends with {end}");
            findings.problem(ProblemKind::BrokenChain, detail, false);
        }
        let link = &state.chain;
        let is_right = match &said {
            None => head.is_none() && link.number == 0,
            Some((number, hash)) if *number == link.number => *hash == link.hash,
            // The trail goes on while it is read.
            Some((number, hash)) => *number < link.number && self.is_behind(*number, hash).await?,
        };
        if !is_right {
            let detail = format!("the audit trail ends with entry {}, and ought to with {end}", link.number);
            findings.problem(ProblemKind::BrokenChain, detail, false);
        }
        Ok(findings)
    }

    /// The public key of the store; that it does not open is told once.
    async fn trail_key(&self, is_first: bool, findings: &mut Findings) -> Result<Option<PublicKey>> {
        match self.cx.app.audit_public_key().await {
            Err(error @ Error::Internal { .. }) => {
                if is_first {
                    findings.problem(ProblemKind::BrokenChain, error.to_string(), false);
                }
                Ok(None)
            }
            key => key,
        }
    }

    /// Behind which entry the trail begins; that it does not read is told once.
    async fn trail_start(&self, is_first: bool, findings: &mut Findings) -> Result<Option<Checkpoint>> {
        match self.cx.records().audit_start().await {
            Ok(start) => Ok(start.map(|start| start.value)),
            Err(StoreError::Corrupt(detail)) => {
                if is_first {
                    findings.problem(ProblemKind::BrokenChain, detail, false);
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether this was the end of the trail a moment ago.
    async fn is_behind(&self, number: u64, hash: &str) -> Result<bool> {
        let entry = self.cx.records().store().get(&keys::audit(number)).await?;
        let entry = entry.and_then(|entry| LogEntry::decode(&entry.value));
        Ok(entry.is_some_and(|entry| text::hex(&entry.hash()) == hash))
    }
}

/// Whether a checkpoint is this store's, and of the entry as it is.
fn check_checkpoint(
    number: u64,
    checkpoint: Result<Checkpoint, StoreError>,
    hash: Option<&[u8; 32]>,
    key: Option<PublicKey>,
    findings: &mut Findings,
) {
    let mut problem = |detail| findings.problem(ProblemKind::BrokenChain, detail, false);
    let Ok(checkpoint) = checkpoint else {
        return problem(format!("the checkpoint of audit entry {number} does not read"));
    };
    if key.is_none_or(|key| !checkpoint.is_of(key)) {
        problem(format!("the checkpoint of audit entry {number} is not signed with the key of this store"));
    }
    // One that is missing is told of already.
    if hash.is_some_and(|hash| *hash != checkpoint.hash) {
        problem(format!("audit entry {number} is not the one that was signed: it, or one before, was changed"));
    }
}
