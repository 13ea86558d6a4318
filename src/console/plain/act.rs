//! Acting on one user: the same dialog as on the screen, asked line by line.

use std::io::{self, Write};

use super::command::{Act, Whom};
use super::{COLUMNS, Plain};
use crate::app::reset::{ConfirmEnrolment, EnrolmentStarted};
use crate::app::views::UserRef;
use crate::console::dialog::{CallerCheck, Deed, Dialog, Part, items, namesakes, warnings};
use crate::console::enrol::grouped;
use crate::console::link::{Backend, Failure, Reply, Request};
use crate::console::model::{Focus, Panel, Refusal, Screen, Tab};
use crate::console::text::{shown, wrap};
use crate::console::view;
use crate::domain::secret::Secret;
use crate::domain::session::PENDING_TOTP_FAILURES_MAX;
use crate::domain::totp::CODE_DIGITS;
use crate::error::Error;

/// Said of everything that was not done.
pub(super) const NOTHING: &str = "Nothing was changed.";

impl<B: Backend, W: Write> Plain<B, W> {
    pub(super) async fn act(&mut self, act: Act, whom: &Whom, part: Option<usize>) -> io::Result<()> {
        let Some(detail) = self.choose(whom).await? else { return Ok(()) };
        // What the menu offers depends on what is looked at.
        self.model.screen = Screen::Users(Focus::Detail);
        self.model.tab = match act {
            Act::EndSession => Tab::Sessions,
            Act::RevokeKey => Tab::Keys,
            _ => Tab::Overview,
        };
        self.model.tab_row = part.map_or(0, |number| number.saturating_sub(1));
        let Some(item) = items(&self.model).into_iter().find(|item| is_of(&item.deed, act)) else {
            return self.say("There is no such thing to do.");
        };
        if let Some(why) = item.refused {
            let is_off = self.model.refusal() == Some(Refusal::WritesOff) && item.deed != Deed::Explain;
            let why = if is_off { "writes are off: `writes on` allows them" } else { &why };
            return self.say(&format!("{}: {why}.", item.deed.title()));
        }
        let mut dialog = Dialog::new(item.deed, detail, self.model.now);
        if let Some(request) = dialog.preview_request() {
            let Some(Reply::Reset(preview)) = self.look(request).await? else { return Ok(()) };
            dialog.preview = Some(preview);
        }
        self.introduce(&dialog)?;
        if !self.fill(&mut dialog).await? {
            return self.say(NOTHING);
        }
        let sure = format!("{}, at once and for good?", dialog.deed.button());
        if !self.yes(&sure).await? {
            return self.say(NOTHING);
        }
        let answer = self.write(dialog.named(), dialog.request()).await?;
        match answer {
            Some(answer) => self.acted(&dialog, answer).await,
            None => Ok(()),
        }
    }

    /// Whom it is about, what should make one careful, what will go.
    fn introduce(&mut self, dialog: &Dialog) -> io::Result<()> {
        let row = &dialog.detail.row;
        let role = if row.is_staff { "staff" } else { "user" };
        self.say(&format!(
            "{}: {}, {}, {role}, id {}. `cancel` leaves at any question.",
            dialog.deed.title(),
            shown(&row.name),
            shown(&row.email),
            row.id
        ))?;
        for text in namesakes(&dialog.detail).into_iter().chain(warnings(&dialog.detail)) {
            self.say(&format!("Careful: {text}."))?;
        }
        for (_, text) in dialog.background(self.model.now) {
            self.say(&format!("{text}."))?;
        }
        for (on, text, part) in dialog.steps().unwrap_or_default() {
            let word = match (on, part) {
                (_, Some(_)) => "asked below",
                (true, None) => "always",
                (false, None) => "no",
            };
            self.say(&format!("{text}: {word}."))?;
        }
        let consequences = dialog.consequences(self.model.is_mail_on());
        consequences.iter().try_for_each(|text| self.say(&format!("This will {text}.")))?;
        if dialog.deed == Deed::Enrol {
            self.say("The key will be written here as text, and stays in what your terminal remembers.")?;
        }
        Ok(())
    }

    /// Asks for what the dialog wants; whether all of it was answered.
    async fn fill(&mut self, dialog: &mut Dialog) -> io::Result<bool> {
        // The parts change with what is answered: a check may want words.
        let mut asked: Vec<Part> = vec![Part::Cancel, Part::Confirm];
        while let Some(part) = dialog.parts().into_iter().find(|part| !asked.contains(part)) {
            let answered = match part {
                Part::Check => self.ask_check(dialog).await?,
                Part::CheckText => self.ask_text(part, "Who, or what", dialog).await?,
                Part::Reason => {
                    let reason = self.ask_reason("Why").await?;
                    dialog.reason = reason.as_deref().unwrap_or_default().into();
                    reason.is_some()
                }
                Part::Sessions => {
                    dialog.end_sessions = self.yes("Sign out the sessions?").await?;
                    true
                }
                Part::Keys => {
                    dialog.revoke_keys = self.yes("Revoke the API keys, too?").await?;
                    true
                }
                Part::From => {
                    self.ask_text(part, "From which day on, as in 2026-12-01; nothing for now", dialog).await?
                }
                Part::Typed => {
                    self.ask_text(part, "Type the part of the address before the @ to go on", dialog).await?
                }
                Part::Cancel | Part::Confirm => true,
            };
            if !answered {
                return Ok(false);
            }
            asked.push(part);
        }
        match dialog.missing() {
            Some(missing) => {
                self.say(&format!("Not done: {missing}."))?;
                Ok(false)
            }
            None => Ok(true),
        }
    }

    async fn ask_check(&mut self, dialog: &mut Dialog) -> io::Result<bool> {
        let choices: Vec<String> = CallerCheck::ALL
            .iter()
            .enumerate()
            .map(|(index, check)| format!("{} {}", index + 1, check.label()))
            .collect();
        loop {
            let question = format!("Caller checked by: {}", choices.join(", "));
            let Some(answer) = self.question(&question).await? else { return Ok(false) };
            let number: Option<usize> = answer.parse().ok();
            dialog.check = number.and_then(|number| CallerCheck::ALL.get(number.wrapping_sub(1)).copied());
            if dialog.check.is_some() {
                return Ok(true);
            }
            self.say("Answer with a number from 1 to 4.")?;
        }
    }

    async fn ask_text(&mut self, part: Part, question: &str, dialog: &mut Dialog) -> io::Result<bool> {
        let Some(answer) = self.question(question).await? else { return Ok(false) };
        dialog.focus = part;
        if let Some(field) = dialog.field() {
            *field = tui_input::Input::from(answer);
        }
        Ok(true)
    }

    /// What became of it.
    async fn acted(&mut self, dialog: &Dialog, answer: Result<Reply, Error>) -> io::Result<()> {
        match answer {
            Ok(Reply::Reset(reset)) => {
                let panel = Panel::Reset { reset, took_ms: 0, at: self.model.now };
                // What became of the notice is only known from a look after the reset.
                self.inspect(UserRef(dialog.detail.row.uuid.to_string())).await?;
                let lines = view::panel_lines(&self.model, &panel, COLUMNS);
                self.say(&done(panel.audit_number()))?;
                self.say_all(&lines)?;
                self.say("`enrol` enrols the new device now, together with the user.")
            }
            Ok(Reply::Done(what)) => self.say(&format!("{} {}.", done(Some(what.audit_number)), shown(&what.summary))),
            Ok(Reply::EnrolmentStarted(started)) => self.enrol(dialog, &started).await,
            Ok(_) => Ok(()),
            Err(error) => self.refused(error),
        }
    }

    /// Tells the key, and takes the digits.
    async fn enrol(&mut self, dialog: &Dialog, started: &EnrolmentStarted) -> io::Result<()> {
        let key = grouped(started.secret.expose());
        self.say("Have the user type this key into the authenticator app:")?;
        for line in wrap(key.expose(), COLUMNS) {
            self.say(&line)?;
        }
        let mut tries = PENDING_TOTP_FAILURES_MAX;
        while tries > 0 {
            let Some(code) = self.question("The six digits that the app shows").await? else { break };
            if code.len() != CODE_DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
                self.say("Six digits, or cancel.")?;
                continue;
            }
            let confirm = ConfirmEnrolment { user: dialog.user(), code: Secret::from(code), proof: dialog.proof() };
            let answer = self.write(dialog.named(), Request::ConfirmEnrolment(confirm)).await?;
            let Some(answer) = answer else { return Ok(()) };
            match answer {
                Err(error) if error.code() == "token_invalid" => {
                    tries -= 1;
                    self.say(&format!("{}; {tries} tries left.", shown(&error.to_string())))?;
                }
                Ok(Reply::Done(what)) => {
                    return self.say(&format!("{} {}.", done(Some(what.audit_number)), shown(&what.summary)));
                }
                Ok(_) => return Ok(()),
                Err(error) => return self.refused(error),
            }
        }
        self.say("No device was enrolled.")
    }

    /// The operation said no.
    pub(super) fn refused(&mut self, error: Error) -> io::Result<()> {
        self.tell_failure(&Failure::Refused(error))?;
        self.say(NOTHING)
    }
}

fn done(number: Option<u64>) -> String {
    number.map_or("Done.".to_owned(), |number| format!("Done, audit #{number}."))
}

fn is_of(deed: &Deed, act: Act) -> bool {
    matches!(
        (deed, act),
        (Deed::Reset, Act::Reset)
            | (Deed::Unlock, Act::Unlock)
            | (Deed::RevokeCodes, Act::Codes)
            | (Deed::Demand, Act::Demand)
            | (Deed::Enrol, Act::Enrol)
            | (Deed::ResendVerification, Act::Verify)
            | (Deed::CancelEmailChange, Act::Cancel)
            | (Deed::SignOut, Act::SignOut)
            | (Deed::EndSessions(_), Act::EndSession)
            | (Deed::RevokeKeys(_), Act::RevokeKey)
    )
}
