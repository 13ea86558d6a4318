//! Looking: users, one user, the trail, the figures. Changes nothing.

use std::io::{self, Write};

use super::command::{Part, Whom};
use super::{Plain, tell};
use crate::app::audit::{AuditFilter, ListAudit};
use crate::app::directory::{FindUsers, InspectUser, ListFrom};
use crate::app::overview::ReadOverview;
use crate::app::reset::ExplainCode;
use crate::app::views::{UserDetail, UserRef, UserRow};
use crate::console::audit_filter;
use crate::console::explain::drift;
use crate::console::export::{EXISTS, Export, Exported, Page, What};
use crate::console::link::{Backend, Failure, Reply, Request};
use crate::console::text::{count, shown, thousands, time_of_day};
use crate::console::view;
use crate::domain::secret::Secret;
use crate::domain::user_filter::{UserQuery, UserSort};

/// Rows told at once.
const ROWS: usize = 10;

/// Who was found last, by the numbers that were told.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) query: UserQuery,
    pub(super) rows: Vec<UserRow>,
    /// How many there are.
    pub(super) hits: u64,
    after: Option<String>,
    /// `more` goes on here.
    is_last: bool,
}

/// What of the trail was listed last.
#[derive(Debug, Default)]
pub(super) struct Trail {
    filter: AuditFilter,
    before: Option<u64>,
    is_last: bool,
}

impl<B: Backend, W: Write> Plain<B, W> {
    pub(super) async fn find(&mut self, words: &str) -> io::Result<()> {
        let query = UserQuery::parse(words);
        if let Some(word) = query.misspelt() {
            return self.say(&format!("{} is no filter: filters tells them.", shown(word)));
        }
        self.found = Found { query, ..Found::default() };
        self.found_page(ListFrom::Start).await
    }

    async fn found_page(&mut self, from: ListFrom) -> io::Result<()> {
        self.trail.is_last = false;
        self.found.is_last = true;
        let (query, filters) = (self.found.query.words.clone(), self.found.query.filters.clone());
        let is_first = matches!(from, ListFrom::Start);
        let find = FindUsers { query, filters, sort: UserSort::default(), from, limit: ROWS };
        let Some(Reply::Users(page)) = self.look(Request::Find(find)).await? else { return Ok(()) };
        if is_first {
            let least = if page.hits.is_exact { "" } else { "at least " };
            let users = count(usize::try_from(page.hits.count).unwrap_or(usize::MAX), "user");
            self.say(&format!("{least}{users} of {}.", thousands(page.total)))?;
            self.found.hits = page.hits.count;
        }
        self.found.after = page.after;
        for row in page.rows {
            let number = self.found.rows.len() + 1;
            let line = tell::row(&row, number, self.model.now);
            self.found.rows.push(row);
            self.say(&line)?;
        }
        if self.found.after.is_some() {
            self.say("There are more: `more` tells the next.")?;
        }
        Ok(())
    }

    pub(super) async fn more(&mut self) -> io::Result<()> {
        if self.trail.is_last {
            return match self.trail.before {
                Some(before) => self.trail_page(Some(before)).await,
                None => self.say("There are no more entries."),
            };
        }
        match self.found.after.clone().filter(|_| self.found.is_last) {
            Some(after) => self.found_page(ListFrom::After(after)).await,
            None => self.say("There are no more."),
        }
    }

    pub(super) fn filters(&mut self) -> io::Result<()> {
        for line in [
            "role:staff, role:user: by role.",
            "2fa:on, 2fa:off, 2fa:enrol, 2fa:locked: by the state of the second factor.",
            "locked: locked, or made to wait, now.",
            "codes:<=2: with two or fewer backup codes.",
            "mail:pending, mail:failed: with an e-mail change pending, or a mail that was not delivered.",
            "in:90d: signed in within 90 days. new:7d: made within 7 days.",
            "keys, sessions: with API keys, with sessions.",
            "Filters go with words: find anna role:staff",
        ] {
            self.say(line)?;
        }
        Ok(())
    }

    /// The user that is meant, read anew; says so when there is none.
    pub(super) async fn choose(&mut self, whom: &Whom) -> io::Result<Option<UserDetail>> {
        let user = match whom {
            Whom::Same => self.model.users.chosen.map(|user| UserRef(user.to_string())),
            Whom::Email(email) => Some(UserRef(email.clone())),
            Whom::Number(number) => {
                self.found.rows.get(number.saturating_sub(1)).map(|row| UserRef(row.uuid.to_string()))
            }
        };
        let Some(user) = user else {
            self.say("There is no such number: find lists users with their numbers.")?;
            return Ok(None);
        };
        self.inspect(user).await
    }

    /// The user, read anew.
    pub(super) async fn inspect(&mut self, user: UserRef) -> io::Result<Option<UserDetail>> {
        let asked_at = self.model.now;
        let Some(Reply::User(detail)) = self.look(Request::Inspect(InspectUser { user })).await? else {
            return Ok(None);
        };
        self.model.users.chosen = Some(detail.row.uuid);
        self.model.detail = Some(detail.clone());
        self.model.detail_asked_at = asked_at;
        Ok(Some(*detail))
    }

    pub(super) async fn show(&mut self, whom: &Whom, part: Part) -> io::Result<()> {
        let Some(detail) = self.choose(whom).await? else { return Ok(()) };
        let lines = tell::detail(&self.model, &detail, part);
        self.say_all(&lines)
    }

    pub(super) async fn explain(&mut self, whom: &Whom, code: Option<String>) -> io::Result<()> {
        let Some(detail) = self.choose(whom).await? else { return Ok(()) };
        let code = match code {
            Some(code) => Some(code),
            None => self.question("Code from the phone, or a backup code").await?,
        };
        let Some(code) = code.filter(|code| !code.is_empty()) else { return Ok(()) };
        let user = UserRef(detail.row.uuid.to_string());
        let request = Request::Explain(ExplainCode { user, code: Secret::from(code) });
        let Some(Reply::Explained(answer)) = self.look(request).await? else { return Ok(()) };
        let verdict = if answer.accepted { "Accepted" } else { "Not accepted" };
        self.say(&format!("{verdict}: {}.", shown(&answer.explanation)))?;
        if let Some(drift) = answer.drift_steps.and_then(drift) {
            self.say(&format!("{drift}."))?;
        }
        self.say(&format!("Server time {} UTC.", time_of_day(answer.server_time)))
    }

    // ---------------------------------------------------------------------------------------------------- the trail

    pub(super) async fn audit(&mut self, filter: &str) -> io::Result<()> {
        match audit_filter::parse(filter, self.model.now) {
            Ok(filter) => self.trail = Trail { filter, before: None, is_last: true },
            Err(problem) => return self.say(&format!("{problem}.")),
        }
        self.trail_page(None).await
    }

    async fn trail_page(&mut self, before: Option<u64>) -> io::Result<()> {
        let list = ListAudit { filter: self.trail.filter.clone(), before, limit: ROWS };
        let Some(Reply::Audit(page)) = self.look(Request::Audit(list)).await? else { return Ok(()) };
        if before.is_none() {
            self.say(&format!("The chain is at #{}.", thousands(page.newest)))?;
        }
        if page.rows.is_empty() {
            self.say(if page.next.is_some() { "Nothing among these." } else { "Nothing has happened that matches." })?;
        }
        for row in &page.rows {
            self.say(&view::entry::sentence(&self.model, row))?;
        }
        self.trail.before = page.next;
        if page.next.is_some() {
            self.say("There are more: `more` tells the next.")?;
        }
        Ok(())
    }

    pub(super) async fn entry(&mut self, number: u64) -> io::Result<()> {
        let list = ListAudit { filter: AuditFilter::default(), before: number.checked_add(1), limit: 1 };
        let Some(Reply::Audit(page)) = self.look(Request::Audit(list)).await? else { return Ok(()) };
        match page.rows.first().filter(|row| row.number == number) {
            Some(row) => {
                let facts = view::entry::facts(row);
                facts.iter().try_for_each(|(name, value)| self.say(&format!("{name}: {value}")))
            }
            None => self.say("There is no such entry."),
        }
    }

    /// What has happened to the user that was shown last, by others.
    pub(super) async fn follow(&mut self) -> Vec<String> {
        let Some(user) = self.model.users.chosen else { return Vec::new() };
        let seen = self.model.status.as_ref().map_or(0, |status| status.audit_newest);
        let filter = AuditFilter { user: Some(UserRef(user.to_string())), ..AuditFilter::default() };
        match self.ask(Request::Audit(ListAudit { filter, before: None, limit: ROWS })).await {
            Ok(Reply::Audit(page)) => {
                let news = page.rows.iter().rev().filter(|row| row.number > seen);
                news.map(|row| format!("News: {}", view::entry::sentence(&self.model, row))).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) async fn export(&mut self, path: &str) -> io::Result<()> {
        let mut export = Export::new(What::Audit(self.trail.filter.clone()));
        export.path = tui_input::Input::from(path);
        let mut page = export.page(Page::First { replace: false });
        let mut rows = 0;
        loop {
            match self.ask(Request::Export(page)).await {
                Ok(Reply::Exported(Exported { rows: more, next })) => {
                    rows += more;
                    match next {
                        Some(next) => page = export.page(Page::Next(next)),
                        None => return self.say(&format!("{} written to {}.", count(rows, "line"), shown(path))),
                    }
                }
                Ok(_) => return Ok(()),
                Err(Failure::Refused(error)) if error.code() == EXISTS => {
                    if !self.yes("There is such a file. Replace it?").await? {
                        return self.say("No file was written.");
                    }
                    page = export.page(Page::First { replace: true });
                }
                Err(failure) => return self.tell_failure(&failure),
            }
        }
    }

    // --------------------------------------------------------------------------------------------------------- home

    pub(super) async fn home(&mut self) -> io::Result<()> {
        let Some(Reply::Overview(overview)) = self.look(Request::Overview(ReadOverview {})).await? else {
            return Ok(());
        };
        let lines = tell::home(&self.model, &overview);
        self.say_all(&lines)
    }
}
