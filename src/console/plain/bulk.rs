//! Something done to all that the last search matches: dry run, reason, typed count, ten seconds to think again.

use std::io::{self, Write};

use super::Plain;
use super::act::NOTHING;
use super::command::BulkWord;
use crate::app::jobs::{DraftJob, JobDraft, Selection, StartJob};
use crate::app::safety::Proof;
use crate::console::bulk::COUNTDOWN_SECONDS;
use crate::console::jobs::title;
use crate::console::link::{Backend, Reply, Request};
use crate::console::text::{day, shown, thousands};
use crate::domain::job::JobKind;

impl<B: Backend, W: Write> Plain<B, W> {
    pub(super) async fn bulk(&mut self, word: BulkWord, date: Option<String>) -> io::Result<()> {
        if self.found.rows.is_empty() {
            return self.say("Nobody is listed: find those that are meant first.");
        }
        if !self.may_write()? {
            return Ok(());
        }
        let kind = match (word, date.as_deref().map(day)) {
            (BulkWord::Remind, _) => JobKind::RemindToEnrol,
            (BulkWord::Demand, _) => JobKind::DemandReEnrolment,
            (BulkWord::Reset, _) => JobKind::ResetTwoFactor,
            (BulkWord::Require, Some(Some(from))) => JobKind::RequireEnrolment { from },
            (BulkWord::Require, _) => return self.say("A day as in 2026-12-01."),
        };
        let (query, filters) = (self.found.query.words.clone(), self.found.query.filters.clone());
        let draft = DraftJob { kind, selection: Selection::Matching { query, filters } };
        let Some(Reply::Draft(draft)) = self.look(Request::DraftJob(draft)).await? else { return Ok(()) };
        self.dry_run(&draft)?;
        if draft.does == 0 {
            return self.say(&format!("There is nobody to do it to. {NOTHING}"));
        }
        let mut verified_by = None;
        if draft.kind.wants_check() {
            verified_by = self.question("How were the callers checked").await?;
            if verified_by.is_none() {
                return self.say(NOTHING);
            }
        }
        let Some(reason) = self.ask_reason("Why").await? else {
            return self.say(NOTHING);
        };
        let Some(typed) = self.question(&format!("Type the number of users, {}", draft.does)).await? else {
            return self.say(NOTHING);
        };
        if typed != draft.does.to_string() {
            return self.say(&format!("That is another number. {NOTHING}"));
        }
        if !self.count_down().await? {
            return self.say(&format!("Stopped. {NOTHING}"));
        }
        let proof = Proof { reason, verified_by, confirm: Some(typed) };
        let what = format!("begin a job for {} users", thousands(draft.does));
        match self.write(what, Request::StartJob(StartJob { id: draft.id, proof })).await? {
            Some(Err(error)) => self.refused(error),
            Some(Ok(Reply::Steered(row))) => self.say(&format!("{} began; jobs tells how far it is.", title(&row))),
            _ => Ok(()),
        }
    }

    fn dry_run(&mut self, draft: &JobDraft) -> io::Result<()> {
        let (does, users) = (thousands(draft.does), thousands(draft.users));
        self.say(&format!("Dry run: {does} of {users} would be dealt with."))?;
        for (why, count) in &draft.skipped {
            self.say(&format!("skipped: {}, {}.", thousands(*count), shown(why)))?;
        }
        if !draft.samples.is_empty() {
            let samples: Vec<String> = draft.samples.iter().map(|email| shown(email)).collect();
            self.say(&format!("for example {}.", samples.join(", ")))?;
        }
        Ok(())
    }

    /// Whether nobody said stop, in any words, for so long.
    async fn count_down(&mut self) -> io::Result<bool> {
        self.say(&format!("It begins in {COUNTDOWN_SECONDS} seconds; Enter stops it."))?;
        let is_over = tokio::select! {
            _ = self.lines.recv() => false,
            () = tokio::time::sleep(self.countdown) => true,
        };
        self.now();
        Ok(is_over)
    }
}
