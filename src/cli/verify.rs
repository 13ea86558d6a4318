//! `doorward verify`: checks the store, live or stopped, and mends what follows from the users' records.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::file::{is_standard, shown};
use super::progress::Progress;
use super::{Failure, Output};
use crate::admin::Link;
use crate::app::audit::{AuditFilter, ListAudit};
use crate::app::checkpoints::{Checkpoints, ReadCheckpoints};
use crate::app::trail_file::{TrailFile, Verdict};
use crate::app::verify::{Problem, ProblemKind, RepairStore, VerifyStore};
use crate::domain::checkpoint::Checkpoint;
use crate::domain::text::{self, for_display};

/// Problems that are told one by one.
const SHOWN_MAX: usize = 50;
/// Bytes of a line of an export: more than any entry takes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Debug, Args)]
pub struct Arguments {
    /// A backup, which is read into memory [default: the store]
    pub(super) file: Option<PathBuf>,
    /// Make the indexes and counters of users what the users' records say
    #[arg(long, conflicts_with = "file")]
    repair: bool,
}

#[derive(Default, Serialize)]
struct Report {
    /// Entries of the store that were looked at.
    looked_at: u64,
    problems: Vec<Problem>,
    repaired: usize,
    /// What could not be checked, and why.
    notes: Vec<String>,
    /// Only the trail was looked at, which nothing mends.
    #[serde(skip)]
    is_of_trail: bool,
}

impl Arguments {
    pub async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let report = check(link, output, self.repair, false).await?;
        report.tell(output, self.repair)
    }
}

/// Checks the audit trail alone, and whether it agrees with checkpoints that were kept elsewhere.
pub(super) async fn audit(link: &Link, output: Output, kept: &[Checkpoint]) -> Result<(), Failure> {
    let mut report = Report { is_of_trail: true, ..check(link, output, false, true).await? };
    if !kept.is_empty() {
        let known = link.call(ReadCheckpoints {}).await?;
        for kept in kept {
            compare(link, kept, &known, &mut report).await?;
        }
    }
    report.tell(output, false)
}

async fn compare(link: &Link, kept: &Checkpoint, known: &Checkpoints, report: &mut Report) -> Result<(), Failure> {
    let number = kept.number;
    if known.public_key != Some(kept.public_key) {
        report.broken(format!("the kept checkpoint of entry {number} is not signed with the key of this store"));
    }
    let entry = ListAudit { filter: AuditFilter::default(), before: Some(number.saturating_add(1)), limit: 1 };
    let entry = link.call(entry).await?.rows.pop().filter(|row| row.number == number);
    let hash = text::hex(&kept.hash);
    match (entry, &known.start) {
        (Some(entry), _) if entry.hash == hash => {}
        (None, Some(start)) if start.number == number && start.hash == kept.hash => {}
        (None, Some(start)) if number < start.number => report.notes.push(format!(
            "entry {number} was removed for its age, as all up to {}: its kept checkpoint vouches for nothing any more",
            start.number
        )),
        (None, _) => report.broken(format!("entry {number} of a kept checkpoint is missing")),
        (Some(_), _) => report
            .broken(format!("entry {number} is not the one of its kept checkpoint: it, or one before, was changed")),
    }
    Ok(())
}

/// Checks an exported trail by itself.
pub(super) fn exported(file: &Path, kept: Vec<Checkpoint>, output: Output) -> Result<(), Failure> {
    let failed = || Failure::io(format!("cannot read {}", shown(file)));
    let input: Box<dyn Read> =
        if is_standard(file) { Box::new(io::stdin()) } else { Box::new(File::open(file).map_err(failed())?) };
    let mut reader = BufReader::new(input);
    let mut trail = TrailFile::new(kept);
    for number in 1.. {
        let mut line = Vec::new();
        let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(failed())?;
        if read == 0 {
            break;
        }
        trail.take(number, &String::from_utf8_lossy(&line));
    }
    let Verdict { entries, problems, notes } = trail.end();
    let mut report = Report { looked_at: entries, notes, is_of_trail: true, ..Report::default() };
    for problem in problems {
        report.broken(problem);
    }
    report.tell(output, false)
}

/// Asks page by page.
async fn check(link: &Link, output: Output, repairs: bool, only_audit: bool) -> Result<Report, Failure> {
    let mut report = Report::default();
    let mut progress: Option<Progress> = None;
    let mut state = None;
    loop {
        let page = if repairs {
            link.call(RepairStore { state }).await?
        } else {
            link.call(VerifyStore { state, only_audit }).await?
        };
        progress.get_or_insert_with(|| Progress::start(output, "checking", page.of)).advance(page.looked_at);
        report.looked_at += page.looked_at;
        report.problems.extend(page.problems);
        report.notes.extend(page.notes);
        state = page.state;
        if state.is_none() {
            report.repaired = report.problems.iter().filter(|problem| problem.is_repaired).count();
            return Ok(report);
        }
    }
}

impl Report {
    fn broken(&mut self, detail: String) {
        self.problems.push(Problem { kind: ProblemKind::BrokenChain, detail, is_repaired: false });
    }

    fn tell(&self, output: Output, repairs: bool) -> Result<(), Failure> {
        output.answer(self, || self.text(repairs))?;
        match self.problems.len() - self.repaired {
            0 => Ok(()),
            1 => Err(Failure::Failed("there is a problem".to_owned())),
            many => Err(Failure::Failed(format!("there are {many} problems"))),
        }
    }

    fn text(&self, repairs: bool) -> String {
        let mut lines = Vec::new();
        for problem in self.problems.iter().take(SHOWN_MAX) {
            let mark = if problem.is_repaired { "repaired: " } else { "" };
            lines.push(format!("{mark}{}", for_display(&problem.detail)));
        }
        if self.problems.len() > SHOWN_MAX {
            lines.push(format!("and {} more: --json lists them all", self.problems.len() - SHOWN_MAX));
        }
        lines.extend(self.notes.iter().map(|note| for_display(note)));
        let (count, left) = (self.looked_at, self.problems.len() - self.repaired);
        lines.push(match (self.problems.len(), self.repaired, left) {
            (0, ..) => format!("looked at {count} entries: all is as it should be"),
            (_, 0, left) if self.is_of_trail => format!("looked at {count} entries: {left} wrong"),
            (_, 0, left) if repairs => format!("looked at {count} entries: {left} wrong, which --repair does not mend"),
            (_, 0, left) => {
                format!("looked at {count} entries: {left} wrong; --repair mends indexes and counters of users")
            }
            (_, repaired, left) => format!("looked at {count} entries: {repaired} repaired, {left} still wrong"),
        });
        lines.join("\n")
    }
}
