//! Checks an exported trail by itself: no store, no server, no secret. What it says rests on the hashes and signatures in
//! the file, and on checkpoints that were kept elsewhere.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::views::AuditRow;
use crate::domain::checkpoint::{Checkpoint, PublicKey, Statement};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::records::{ChainedAudit, is_hash_of};

/// Problems that are listed; a file that is something else altogether has one on each line.
const PROBLEMS_MAX: usize = 1_000;

/// What is known of a trail so far. Lines go in one after the other; keeps the same few facts however many there are.
#[derive(Debug, Default)]
pub struct TrailFile {
    /// Checkpoints from elsewhere that no entry was met for yet, by number.
    kept: BTreeMap<u64, Checkpoint>,
    key: Option<PublicKey>,
    start: Option<Checkpoint>,
    first: Option<u64>,
    last: Option<(u64, [u8; 32])>,
    signed: Option<u64>,
    entries: u64,
    problems: Vec<String>,
    notes: Vec<String>,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub entries: u64,
    pub problems: Vec<String>,
    /// What could not be checked, and what vouches for the rest.
    pub notes: Vec<String>,
}

/// Reads checkpoints, one on a line, as they were kept. The error is the number of the first line that is none, or whose
/// signature is not right.
pub fn read_checkpoints(lines: &str) -> Result<Vec<Checkpoint>, usize> {
    let lines = (1..).zip(lines.lines()).filter(|(_, line)| !line.trim().is_empty());
    let checkpoint = |line| match read(line) {
        Some(Line::Statement(checkpoint)) if checkpoint.is_genuine() => Some(*checkpoint),
        _ => None,
    };
    lines.map(|(number, line)| checkpoint(line).ok_or(number)).collect()
}

impl TrailFile {
    /// A trail that is to agree with checkpoints of an earlier day. All are of the first one's key, or it is a problem.
    #[must_use]
    pub fn new(kept: Vec<Checkpoint>) -> Self {
        let mut trail = Self { key: kept.first().map(|checkpoint| checkpoint.public_key), ..Self::default() };
        for checkpoint in kept {
            if trail.key != Some(checkpoint.public_key) {
                trail.problem(format!("the kept checkpoint of entry {} is signed with another key", checkpoint.number));
            }
            let (number, hash) = (checkpoint.number, checkpoint.hash);
            if trail.kept.insert(number, checkpoint).is_some_and(|other| other.hash != hash) {
                trail
                    .problem(format!("there are two kept checkpoints of entry {number}, and they name different ones"));
            }
        }
        trail
    }

    /// The next line of the file, which has this number.
    pub fn take(&mut self, number: u64, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        match read(line) {
            Some(Line::Statement(checkpoint)) => self.take_checkpoint(*checkpoint),
            Some(Line::Entry(entry)) => self.take_entry(&entry),
            None => self.problem(format!("line {number} is no entry of an audit trail")),
        }
    }

    /// What is to be said when there are no more lines.
    #[must_use]
    pub fn end(mut self) -> Verdict {
        let last = self.last.map_or(0, |(number, _)| number);
        let beyond = std::mem::take(&mut self.kept);
        if let Some(number) = beyond.keys().next().filter(|number| self.first.is_some_and(|first| **number < first)) {
            self.notes.push(format!("the kept checkpoint of entry {number} is older than what is in the file"));
        }
        if let Some(number) = beyond.keys().next_back().filter(|number| **number > last) {
            self.notes.push(format!("the kept checkpoint of entry {number} is newer than what is in the file"));
        }
        match (self.first, self.signed, self.key) {
            (None, ..) => match beyond.keys().next_back() {
                Some(number) => self.problem(format!("there is no entry in the file, and entry {number} was kept")),
                None => self.notes.push("there is no entry in the file".to_owned()),
            },
            // Nothing is said for a file that is wrong somewhere.
            (Some(_), Some(_), Some(_)) if !self.problems.is_empty() => {}
            (Some(first), Some(signed), Some(key)) => {
                self.notes.push(format!("entries {first} to {signed} are vouched for by the key {key}"));
                if signed < last {
                    self.notes
                        .push(format!("behind entry {signed} there is no checkpoint: nothing vouches for the rest"));
                }
            }
            (Some(_), None, Some(_)) => self.problem("no checkpoint vouches for what is in the file".to_owned()),
            (Some(_), _, None) => {
                self.notes.push("there is no checkpoint in the file: nothing vouches for it".to_owned());
            }
        }
        Verdict { entries: self.entries, problems: self.problems, notes: self.notes }
    }

    fn take_entry(&mut self, entry: &ChainedAudit) {
        let number = entry.number;
        if !is_hash_of(entry) {
            self.problem(format!("entry {number} was changed: its hash is another one"));
        }
        match self.last {
            None => self.begin_with(entry),
            Some((last, _)) if number <= last => {
                self.problem(format!("entry {number} comes behind entry {last}"));
            }
            Some((last, _)) if number - last == 2 => self.problem(format!("entry {} is missing", last + 1)),
            Some((last, _)) if number - last > 2 => {
                self.problem(format!("entries {} to {} are missing", last + 1, number - 1));
            }
            Some((_, hash)) if hash != entry.previous => {
                self.problem(format!("entry {number} does not follow the one before, which was changed"));
            }
            Some(_) => {}
        }
        self.first.get_or_insert(number);
        self.last = Some((number, entry.hash));
        self.entries += 1;
        if let Some(kept) = self.kept.remove(&number) {
            self.compare(&kept);
        }
    }

    /// The first entry of all has none before it. Where another one is the first, that was said before, or only a part
    /// was exported.
    fn begin_with(&mut self, entry: &ChainedAudit) {
        let number = entry.number;
        match self.start.take() {
            Some(start) if start.number.checked_add(1) != Some(number) => {
                self.problem(format!(
                    "the trail begins behind entry {}, and the file with entry {number}",
                    start.number
                ));
            }
            Some(start) if start.hash != entry.previous => {
                self.problem(format!("entry {number} does not follow the one that was removed before it"));
            }
            Some(start) => {
                let at = start.at.to_rfc3339_z();
                self.notes.push(format!("the trail begins with entry {number}: what was older was removed at {at}"));
            }
            None if number == 1 && entry.previous != [0; 32] => {
                self.problem("entry 1 follows another one".to_owned());
            }
            None if number > 1 => {
                self.notes.push(format!("the file begins with entry {number}: what was before is not in it"));
            }
            None => {}
        }
    }

    fn take_checkpoint(&mut self, checkpoint: Checkpoint) {
        let number = checkpoint.number;
        let key = *self.key.get_or_insert(checkpoint.public_key);
        if !checkpoint.is_of(key) {
            self.problem(format!(
                "the {} of entry {number} is not signed with the key {key}",
                checkpoint.statement.as_str()
            ));
            return;
        }
        match (checkpoint.statement, self.last) {
            (Statement::Start, None) => {
                if self.kept.remove(&number).is_some_and(|kept| kept.hash != checkpoint.hash) {
                    self.problem(format!("entry {number}, which was removed, is not the one of its kept checkpoint"));
                }
                self.start = Some(checkpoint);
            }
            (Statement::Start, Some(_)) => self.problem("the trail begins once more in the middle".to_owned()),
            (Statement::Checkpoint, Some((last, _))) if last == number => self.compare(&checkpoint),
            (Statement::Checkpoint, _) => {
                self.problem(format!("the checkpoint of entry {number} does not stand behind it"));
            }
        }
    }

    /// Compares a checkpoint with the entry that was read last.
    fn compare(&mut self, checkpoint: &Checkpoint) {
        let number = checkpoint.number;
        if self.last != Some((number, checkpoint.hash)) {
            self.problem(format!("entry {number} is not the one that was signed: it, or one before, was changed"));
        } else if self.key == Some(checkpoint.public_key) {
            self.signed = Some(number);
        }
    }

    fn problem(&mut self, problem: String) {
        match self.problems.len() {
            0..PROBLEMS_MAX => self.problems.push(problem),
            PROBLEMS_MAX => self.problems.push("there are more, which are not listed".to_owned()),
            _ => {}
        }
    }
}

enum Line {
    Statement(Box<Checkpoint>),
    Entry(Box<ChainedAudit>),
}

/// Reads a line, in which the moment may be spelt out, and which has nothing besides.
fn read(line: &str) -> Option<Line> {
    let mut value: Value = serde_json::from_str(line).ok()?;
    let at = value.get_mut("at")?;
    if let Some(text) = at.as_str() {
        *at = Timestamp::parse(text)?.as_micros().into();
    }
    if value.get("statement").is_some() {
        return whole(&value).map(|checkpoint| Line::Statement(Box::new(checkpoint)));
    }
    whole(&value).and_then(chained).map(|entry| Line::Entry(Box::new(entry)))
}

/// Reads a value that says no more than what is read: nobody vouches for what would be passed over.
fn whole<T: DeserializeOwned + Serialize>(value: &Value) -> Option<T> {
    let read = T::deserialize(value).ok()?;
    (serde_json::to_value(&read).ok()? == *value).then_some(read)
}

fn chained(row: AuditRow) -> Option<ChainedAudit> {
    let hash = |hex: &str| text::unhex(hex)?.try_into().ok();
    Some(ChainedAudit {
        number: row.number,
        previous: hash(&row.previous_hash)?,
        hash: hash(&row.hash)?,
        record: row.record,
    })
}
