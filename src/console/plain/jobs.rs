//! Jobs and what waits for a second operator.

use std::io::{self, Write};

use super::Plain;
use super::act::NOTHING;
use super::command::{JobWord, Whom};
use crate::app::approvals::{ApprovalRow, ApproveAct, ListApprovals, RefuseAct};
use crate::app::jobs::{JobRow, ListJobs, ReadJob, SteerJob};
use crate::console::jobs::{OWN_APPROVAL, operation, outcome, state, summary, title};
use crate::console::link::{Backend, Reply, Request};
use crate::console::model::Refusal;
use crate::console::text::{ago, shown, until};
use crate::domain::job::JobAct;

/// Results of a job told at once.
const RESULTS: usize = 20;

/// What was listed last, by the numbers that were told.
#[derive(Debug, Default)]
pub(super) struct Listed(Vec<JobRow>);

impl<B: Backend, W: Write> Plain<B, W> {
    pub(super) async fn jobs(&mut self) -> io::Result<()> {
        if let Some(Reply::Approvals(rows)) = self.look(Request::Approvals(ListApprovals {})).await? {
            for row in &rows {
                self.say(&format!("Waits for a second operator: {}.", self.approval(row)))?;
            }
        }
        let Some(Reply::Jobs(rows)) = self.look(Request::Jobs(ListJobs {})).await? else { return Ok(()) };
        if rows.is_empty() {
            self.say(
                "No jobs. remind, require, demand-all and reset-all make them, for all that the last find matches.",
            )?;
        }
        for (index, row) in rows.iter().enumerate() {
            self.say(&format!("{}. {}", index + 1, self.job_line(row)))?;
        }
        self.jobs = Listed(rows);
        Ok(())
    }

    fn approval(&self, row: &ApprovalRow) -> String {
        let told = row.told();
        let told = if told.is_empty() { told } else { format!(" ({})", shown(&told)) };
        format!(
            "{}{told}, {}, asked by {}, \"{}\", {} left; approve {} or refuse {}",
            operation(row.operation),
            shown(&row.email),
            shown(&row.asked_by),
            shown(&row.reason),
            until(self.model.now, row.expires_at),
            row.id,
            row.id
        )
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
        let (act, name, question) = match word {
            JobWord::Pause => (JobAct::Pause, "pause", "Pause it between two users?"),
            JobWord::Resume => (JobAct::Resume, "resume", "Let it go on?"),
            JobWord::Stop => (JobAct::Stop, "stop", "Stop it for good? What is done stays done."),
        };
        self.say(&self.job_line(&row))?;
        if !self.yes(question).await? {
            return self.say(NOTHING);
        }
        let what = format!("{name} the job, {}", title(&row));
        match self.write(what, Request::SteerJob(SteerJob { id: row.id, act })).await? {
            Some(Ok(Reply::Steered(row))) => self.say(&self.job_line(&row)),
            Some(Err(error)) => self.refused(error),
            _ => Ok(()),
        }
    }

    pub(super) async fn decide(&mut self, id: &str, approve: bool) -> io::Result<()> {
        let Some(Reply::Approvals(rows)) = self.look(Request::Approvals(ListApprovals {})).await? else {
            return Ok(());
        };
        let Some(row) = rows.into_iter().find(|row| row.id == id) else {
            return self.say("There is no such id: jobs lists what waits.");
        };
        if !self.may_write()? {
            return Ok(());
        }
        self.say(&format!("{}.", self.approval(&row)))?;
        if approve && row.is_own {
            return self.say(&format!("Not by you: {OWN_APPROVAL}."));
        }
        let word = if approve { "approve" } else { "refuse" };
        let what = format!("{word} {}, {}", operation(row.operation), shown(&row.email));
        let request = if approve {
            if !self.yes("Carry it out at once?").await? {
                return self.say(NOTHING);
            }
            Request::Approve(ApproveAct { id: row.id })
        } else {
            let Some(reason) = self.ask_reason("Why not").await? else {
                return self.say(NOTHING);
            };
            Request::Refuse(RefuseAct { id: row.id, reason })
        };
        match self.write(what, request).await? {
            Some(Ok(Reply::Done(what))) => {
                self.say(&format!("Done, audit #{}. {}.", what.audit_number, shown(&what.summary)))
            }
            Some(Err(error)) => self.refused(error),
            _ => Ok(()),
        }
    }

    /// Whether something can be changed now; says why not.
    pub(super) fn may_write(&mut self) -> io::Result<bool> {
        if self.model.refusal() == Some(Refusal::WritesOff) {
            return self.say("Writes are off: `writes on` allows them.").map(|()| false);
        }
        match self.model.writes_refused() {
            None => Ok(true),
            Some(why) => self.say(&format!("Not now: {why}.")).map(|()| false),
        }
    }
}
