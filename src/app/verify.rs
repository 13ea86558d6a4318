//! Checking the store page by page, live or stopped: every record is read and every sealed secret opened, every index
//! looked at in both directions, what is counted is counted anew, the journal read, the audit trail followed link by link;
//! and mending what follows from the records.
//!
//! A page is short, and what it needs to go on travels with the answer, so that nothing waits for a check. Changes that
//! come meanwhile are no damage: what looks wrong is looked at again until two readings of the record agree.

mod chain;
mod count;
mod counters;
mod journal;
mod secrets;
mod ties;
mod users;

use serde::{Deserialize, Serialize};

use super::audit::Note;
use super::{Context, Operation, Permission};
use crate::domain::audit::Event;
use crate::domain::text;
use crate::error::{Error, Result};
use crate::records::{Records, codec, keys};
use crate::store::{Batch, Commit, Expect};

/// Looks again at what changes while it is looked at.
const TRIES: usize = 5;

/// What is checked, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Users' records, what follows from them, and the counters of users.
    Users,
    /// All others: other records, what follows from them, and whether every index entry follows from a record.
    Entries,
    /// The other counters.
    Counters,
    /// What a damaged store would be brought back from.
    Journal,
    Audit,
}

/// Where a check goes on. Made by the check, and for it only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifyState {
    part: Part,
    /// The last key that was looked at, in hex.
    after: Option<String>,
    count: count::Count,
    chain: chain::Link,
}

/// What one page found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifyPage {
    /// Pass it on to go on; `None`: everything was looked at.
    pub state: Option<VerifyState>,
    pub part: Part,
    /// Entries that this page looked at.
    pub looked_at: u64,
    /// About how many there are in all parts together.
    pub of: u64,
    pub problems: Vec<Problem>,
    /// What could not be checked, and why.
    pub notes: Vec<String>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub kind: ProblemKind,
    /// A sentence that names the place.
    pub detail: String,
    pub is_repaired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// A record that does not read.
    Unreadable,
    /// A sealed secret that the server's key does not open.
    Unopened,
    /// An index entry that ought to be there, or says something else.
    Missing,
    /// An index entry of nobody.
    Stray,
    WrongCounter,
    /// The journal cannot be read from its beginning to its end.
    DamagedJournal,
    BrokenChain,
}

/// Checks one page of the store, and changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifyStore {
    pub state: Option<VerifyState>,
    /// Begin with the audit trail, which is the last part.
    #[serde(default)]
    pub only_audit: bool,
}

impl Operation for VerifyStore {
    const NAME: &'static str = "verify_store";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = VerifyPage;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        Check { cx, repairs: false }.page(self.state, if self.only_audit { Part::Audit } else { Part::Users }).await
    }
}

/// Checks one page of the store, and mends what follows from the records: indexes and counters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RepairStore {
    pub state: Option<VerifyState>,
}

impl Operation for RepairStore {
    const NAME: &'static str = "repair_store";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = VerifyPage;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        Check { cx, repairs: true }.page(self.state, Part::Users).await
    }
}

/// One page of a check.
struct Check<'a> {
    cx: &'a Context<'a>,
    repairs: bool,
}

/// What a page of one part found.
#[derive(Default)]
struct Findings {
    looked_at: u64,
    problems: Vec<Problem>,
    notes: Vec<String>,
    is_done: bool,
}

impl Findings {
    fn problem(&mut self, kind: ProblemKind, detail: String, is_repaired: bool) {
        self.problems.push(Problem { kind, detail, is_repaired });
    }
}

impl Check<'_> {
    async fn page(&self, state: Option<VerifyState>, first: Part) -> Result<VerifyPage> {
        let mut state = match state {
            Some(state) => state,
            None => VerifyState {
                part: first,
                after: None,
                count: self.begin_count().await?,
                chain: chain::Link::default(),
            },
        };
        let part = state.part;
        let findings = match part {
            Part::Users => self.users_page(&mut state).await?,
            Part::Entries => self.entries_page(&mut state).await?,
            Part::Counters => self.counters_page(&mut state).await?,
            Part::Journal => self.journal_page().await?,
            Part::Audit => self.chain_page(&mut state).await?,
        };
        let next = match (findings.is_done, part) {
            (false, part) => Some(part),
            (true, Part::Users) => Some(Part::Entries),
            (true, Part::Entries) => Some(Part::Counters),
            (true, Part::Counters) => Some(Part::Journal),
            (true, Part::Journal) => Some(Part::Audit),
            (true, Part::Audit) => None,
        };
        if findings.is_done {
            state.after = None;
        }
        Ok(VerifyPage {
            state: next.map(|part| VerifyState { part, ..state }),
            part,
            looked_at: findings.looked_at,
            of: about_entries(self.cx.records()).await?,
            problems: findings.problems,
            notes: findings.notes,
        })
    }

    /// Returns when everything that a reading so far may have seen is durable, and told to watchers.
    async fn barrier(&self) -> Result<()> {
        let batch = Batch::default().expect(NOTHING, Expect::Absent);
        // Of expectations alone, and this one holds.
        let _nothing = self.cx.records().store().commit(batch).await?;
        Ok(())
    }

    /// Makes one repair, which its own expectations guard, with an entry of the trail that says what was wrong; false
    /// when something changed meanwhile.
    async fn repair(&self, batch: Batch, wrong: &str) -> Result<bool> {
        if !self.repairs {
            return Ok(false);
        }
        let batch = self.cx.audited(batch, Note::new(Event::StoreRepaired).detail("repaired", wrong));
        Ok(matches!(self.cx.records().store().commit(batch).await?, Commit::Done(_)))
    }
}

/// About how many entries a store has.
pub(super) async fn about_entries(records: &Records) -> Result<u64> {
    let users = records.counter(keys::USERS_COUNTER).await?.max(0).cast_unsigned();
    // One that does not read is told of elsewhere.
    let start = records.audit_start().await.ok().flatten().map_or(0, |start| start.value.number);
    let trail = records.audit_newest().await?.saturating_sub(start);
    Ok(users.saturating_mul(1 + ties::ENTRIES_PER_USER) + trail)
}

/// A key that nothing is kept at.
const NOTHING: &[u8] = b"nothing";

impl VerifyState {
    fn after(&self) -> Result<Option<Vec<u8>>> {
        let read = |hex: &String| {
            text::unhex(hex).ok_or_else(|| Error::invalid("invalid_input", "not a place of a check", Some("state")))
        };
        self.after.as_ref().map(read).transpose()
    }

    fn go_on_after(&mut self, key: &[u8]) {
        self.after = Some(text::hex(key));
    }
}

/// A key for people.
fn shown(key: &[u8]) -> String {
    codec::name(key)
}
