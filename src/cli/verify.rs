//! `doorward verify`: checks the store, live or stopped, and mends what follows from the users' records.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::progress::Progress;
use super::{Failure, Output};
use crate::admin::Link;
use crate::app::verify::{Problem, RepairStore, VerifyStore};
use crate::domain::text::for_display;

/// Problems that are told one by one.
const SHOWN_MAX: usize = 50;

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
}

impl Arguments {
    pub async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let report = check(link, output, self.repair, false).await?;
        report.tell(output, self.repair)
    }
}

/// Checks the audit trail alone.
pub(super) async fn audit(link: &Link, output: Output) -> Result<(), Failure> {
    check(link, output, false, true).await?.tell(output, false)
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
    fn tell(&self, output: Output, repairs: bool) -> Result<(), Failure> {
        output.answer(self, || self.text(repairs))?;
        match self.problems.len() - self.repaired {
            0 => Ok(()),
            1 => Err(Failure::Failed("the store has a problem".to_owned())),
            many => Err(Failure::Failed(format!("the store has {many} problems"))),
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
            (_, 0, left) if repairs => format!("looked at {count} entries: {left} wrong, which --repair does not mend"),
            (_, 0, left) => {
                format!("looked at {count} entries: {left} wrong; --repair mends indexes and counters of users")
            }
            (_, repaired, left) => format!("looked at {count} entries: {repaired} repaired, {left} still wrong"),
        });
        lines.join("\n")
    }
}
