//! Jobs.

use std::io::{self, Write};

use super::Plain;
use super::act::NOTHING;
use super::command::{JobWord, Whom};
use crate::app::jobs::{JobRow, ListJobs, ReadJob, SteerJob};
use crate::console::link::{Backend, Reply, Request};
use crate::console::text::{ago, shown};
use crate::console::view::jobs::{outcome, state, summary, title};
use crate::domain::job::JobAct;

/// Results of a job told at once.
const RESULTS: usize = 20;

/// What was listed last, by the numbers that were told.
#[derive(Debug, Default)]
pub(super) struct Listed(Vec<JobRow>);

impl<B: Backend, W: Write> Plain<B, W> {
    pub(super) async fn jobs(&mut self) -> io::Result<()> {
        let Some(Reply::Jobs(rows)) = self.look(Request::Jobs(ListJobs {})).await? else { return Ok(()) };
        if rows.is_empty() {
            self.say(
                "No jobs. remind, require, reenrol-all and reset-all make them, for all that the last find matches.",
            )?;
        }
        for (index, row) in rows.iter().enumerate() {
            self.say(&format!("{}. {}", index + 1, self.job_line(row)))?;
        }
        self.jobs = Listed(rows);
        Ok(())
    }

    fn job_line(&self, row: &JobRow) -> String {
        let (_, word) = state(row.state);
        format!(
            "{}: {word}, {}, asked by {} {} ago, \"{}\".",
            title(row),
            summary(row),
            shown(&row.asked_by),
            ago(self.model.now, row.created_at),
            shown(&row.reason)
        )
    }

    fn listed(&mut self, which: &Whom) -> io::Result<Option<JobRow>> {
        let row = match which {
            Whom::Number(number) => self.jobs.0.get(number.saturating_sub(1)).cloned(),
            Whom::Email(_) | Whom::Same => None,
        };
        if row.is_none() {
            self.say("There is no such number: jobs lists them.")?;
        }
        Ok(row)
    }

    pub(super) async fn job(&mut self, which: &Whom) -> io::Result<()> {
        let Some(row) = self.listed(which)? else { return Ok(()) };
        let mut after = None;
        loop {
            let read = ReadJob { id: row.id.clone(), after, limit: RESULTS };
            let Some(Reply::Job(detail)) = self.look(Request::Job(read)).await? else { return Ok(()) };
            if after.is_none() {
                self.say(&self.job_line(&detail.row))?;
            }
            for result in &detail.results {
                let number = result.audit_number.map_or(String::new(), |number| format!(", audit #{number}"));
                let note = result.note.as_deref().map_or(String::new(), |note| format!(", {}", shown(note)));
                self.say(&format!("{}: {}{number}{note}.", shown(&result.email), outcome(result.outcome).1))?;
            }
            after = detail.next;
            if after.is_none() || !self.yes("There are more. Go on?").await? {
                return Ok(());
            }
        }
    }

    pub(super) async fn steer(&mut self, word: JobWord, which: &Whom) -> io::Result<()> {
        let Some(row) = self.listed(which)? else { return Ok(()) };
        if !self.may_write()? {
            return Ok(());
        }
        let (act, question) = match word {
            JobWord::Pause => (JobAct::Pause, "Pause it between two users?"),
            JobWord::Resume => (JobAct::Resume, "Let it go on?"),
            JobWord::Stop => (JobAct::Stop, "Stop it for good? What is done stays done."),
        };
        self.say(&self.job_line(&row))?;
        if !self.yes(question).await? {
            return self.say(NOTHING);
        }
        match self.look(Request::SteerJob(SteerJob { id: row.id, act })).await? {
            Some(Reply::Steered(row)) => self.say(&self.job_line(&row)),
            _ => Ok(()),
        }
    }

    /// Whether something can be changed now; says why not.
    pub(super) fn may_write(&mut self) -> io::Result<bool> {
        match self.model.writes_refused() {
            None => Ok(true),
            Some("writes are off: W") => self.say("Writes are off: `writes on` allows them.").map(|()| false),
            Some(why) => self.say(&format!("Not now: {why}.")).map(|()| false),
        }
    }
}
