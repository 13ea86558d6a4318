//! The dialog that makes sure before anything is done to a user. The rules themselves are the operations'; this only
//! asks, and never sends anything by a single key.

mod deeds;
mod facts;

use std::collections::VecDeque;

use crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::confirm::ONCE_MORE;
use super::field;
use super::link::Request;
use super::model::is_deaf;
use super::text::{day, shown};
use crate::app::demand::DemandReEnrolment;
use crate::app::email::{CancelEmailChangeOf, ResendVerification};
use crate::app::operator_keys::{RevokeAllApiKeys, RevokeApiKey};
use crate::app::reset::{
    ExplainCode, ResetTwoFactor, RevokeBackupCodes, StartEnrolment, TwoFactorReset, UnlockTwoFactor,
};
use crate::app::safety::{Proof, REASON_SHORT, is_reason};
use crate::app::sessions::RevokeSessions;
use crate::app::views::{UserDetail, UserRef};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
pub use deeds::{Deed, Item, Named, items};
pub use facts::{look_alike, namesakes, warnings};

/// How the operator made sure who is calling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerCheck {
    InPerson,
    CallBack,
    Manager,
    Other,
}

impl CallerCheck {
    pub const ALL: [Self; 4] = [Self::InPerson, Self::CallBack, Self::Manager, Self::Other];

    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::InPerson => "in person, ID seen",
            Self::CallBack => "call-back to number on file",
            Self::Manager => "manager vouched",
            Self::Other => "other",
        }
    }

    /// Whether it must be said who or what.
    #[must_use]
    pub const fn needs_text(self) -> bool {
        matches!(self, Self::Manager | Self::Other)
    }
}

/// The parts of a dialog that take the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Cancel,
    Check,
    CheckText,
    Reason,
    /// From which day on; empty: now.
    From,
    Sessions,
    Keys,
    Typed,
    Confirm,
}

#[derive(Debug)]
pub struct Dialog {
    pub deed: Deed,
    /// The user as it was when the dialog opened: what is confirmed is what was shown.
    pub detail: Box<UserDetail>,
    pub opened_at: Timestamp,
    pub focus: Part,
    pub check: Option<CallerCheck>,
    pub check_text: Input,
    pub reason: Input,
    pub end_sessions: bool,
    pub revoke_keys: bool,
    pub typed: Input,
    pub from: Input,
    /// What a reset would remove, by a dry run with everything switched on.
    pub preview: Option<TwoFactorReset>,
    /// Sent, not yet answered.
    pub sent: bool,
    /// Requests that were carried out, where there are several.
    pub done: usize,
    /// What the operation said no to, or what is still missing.
    pub problem: Option<String>,
    recalled: field::Recall,
}

/// What follows from a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Stay,
    Cancel,
    Send,
}

impl Dialog {
    #[must_use]
    pub fn new(deed: Deed, detail: UserDetail, now: Timestamp) -> Self {
        Self {
            deed,
            detail: Box::new(detail),
            opened_at: now,
            focus: Part::Cancel,
            check: None,
            check_text: Input::default(),
            reason: Input::default(),
            end_sessions: true,
            revoke_keys: false,
            typed: Input::default(),
            from: Input::default(),
            preview: None,
            sent: false,
            done: 0,
            problem: None,
            recalled: field::Recall::default(),
        }
    }

    /// Keys are dropped for a moment after it opens.
    #[must_use]
    pub fn is_deaf(&self, now: Timestamp) -> bool {
        is_deaf(self.opened_at, now)
    }

    /// The parts there are, in the order of Tab; it begins at Cancel.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = vec![Part::Cancel];
        if self.deed.needs_proof() {
            parts.push(Part::Check);
            if self.check.is_some_and(CallerCheck::needs_text) {
                parts.push(Part::CheckText);
            }
        }
        parts.push(Part::Reason);
        if self.deed == Deed::Demand {
            parts.push(Part::From);
        }
        if self.deed == Deed::Reset {
            parts.extend([Part::Sessions, Part::Keys]);
        }
        if self.deed.needs_proof() {
            parts.push(Part::Typed);
        }
        parts.push(Part::Confirm);
        parts
    }

    /// The field of text that has the keyboard.
    pub fn field(&mut self) -> Option<&mut Input> {
        match self.focus {
            Part::CheckText => Some(&mut self.check_text),
            Part::Reason => Some(&mut self.reason),
            Part::Typed => Some(&mut self.typed),
            Part::From => Some(&mut self.from),
            Part::Cancel | Part::Check | Part::Sessions | Part::Keys | Part::Confirm => None,
        }
    }

    /// Whether a field of text has the keyboard.
    #[must_use]
    pub const fn is_typing(&self) -> bool {
        matches!(self.focus, Part::CheckText | Part::Reason | Part::Typed | Part::From)
    }

    /// The part before the `@`, which must be typed.
    #[must_use]
    pub fn local_part(&self) -> &str {
        let email = &self.detail.row.email;
        email.rsplit_once('@').map_or(email, |(local, _)| local)
    }

    /// Letters typed right so far, and letters there are.
    #[must_use]
    pub fn typed_right(&self) -> (usize, usize) {
        let local = self.local_part();
        let right = local.chars().zip(self.typed.value().chars()).take_while(|(a, b)| a == b).count();
        (right, local.chars().count())
    }

    /// What is still missing before it can be sent.
    #[must_use]
    pub fn missing(&self) -> Option<&'static str> {
        self.lacks().map(|(_, what)| what)
    }

    /// The same, with the part that lacks it.
    fn lacks(&self) -> Option<(Part, &'static str)> {
        let proof = self.deed.needs_proof();
        if proof && self.check.is_none() {
            return Some((Part::Check, "say how the caller was checked"));
        }
        if proof && self.check.is_some_and(CallerCheck::needs_text) && self.check_text.value().trim().is_empty() {
            return Some((Part::CheckText, "say who vouched, or what else was checked"));
        }
        if !is_reason(self.reason.value()) {
            return Some((Part::Reason, REASON_SHORT));
        }
        if self.deed == Deed::Demand && !self.from.value().trim().is_empty() && self.from_day().is_none() {
            return Some((Part::From, "a day as in 2026-12-01, or nothing for now"));
        }
        (proof && self.typed.value().trim() != self.local_part()).then_some((Part::Typed, "type the part before the @"))
    }

    /// The day from which on a new device is demanded; `None`: now.
    #[must_use]
    pub fn from_day(&self) -> Option<Timestamp> {
        day(self.from.value())
    }

    /// How the caller was checked, for the record.
    #[must_use]
    pub fn verified_by(&self) -> Option<String> {
        let check = self.check?;
        Some(if check.needs_text() {
            format!("{}: {}", check.label(), self.check_text.value().trim())
        } else {
            check.label().to_owned()
        })
    }

    /// The dry run behind the preview; only a reset has one.
    #[must_use]
    pub fn preview_request(&self) -> Option<Request> {
        (self.deed == Deed::Reset).then(|| {
            Request::Reset(ResetTwoFactor {
                user: self.user(),
                proof: Proof::default(),
                keep_sessions: false,
                revoke_keys: true,
                dry_run: true,
            })
        })
    }

    /// The operation that carries it out.
    #[must_use]
    pub fn request(&self) -> Request {
        let user = self.user();
        let proof = self.proof();
        match &self.deed {
            Deed::Reset => Request::Reset(ResetTwoFactor {
                user,
                proof,
                keep_sessions: !self.end_sessions,
                revoke_keys: self.revoke_keys,
                dry_run: false,
            }),
            Deed::Unlock => Request::Unlock(UnlockTwoFactor { user, proof }),
            Deed::Demand => Request::Demand(DemandReEnrolment { user, proof, from: self.from_day() }),
            Deed::Enrol => Request::StartEnrolment(StartEnrolment { user, proof }),
            // It has a window of its own.
            Deed::Explain => Request::Explain(ExplainCode { user, code: Secret::default() }),
            Deed::RevokeCodes => Request::RevokeCodes(RevokeBackupCodes { user, proof }),
            Deed::ResendVerification => Request::ResendVerification(ResendVerification { user, proof }),
            Deed::CancelEmailChange => Request::CancelEmailChange(CancelEmailChangeOf { user, proof }),
            Deed::SignOut => Request::RevokeSessions(RevokeSessions { user, id: None, proof }),
            Deed::EndSessions(sessions) => {
                let id = sessions.get(self.done).map(|session| session.id.clone()).unwrap_or_default();
                Request::RevokeSessions(RevokeSessions { user, id: Some(id), proof })
            }
            Deed::RevokeKeys(keys) => {
                let id = keys.get(self.done).map(|key| key.id.clone()).unwrap_or_default();
                Request::RevokeKey(RevokeApiKey { user, id, proof })
            }
            Deed::RevokeAllKeys => Request::RevokeAllKeys(RevokeAllApiKeys { user, proof }),
        }
    }

    /// Requests there are for this deed.
    #[must_use]
    pub fn requests(&self) -> usize {
        match &self.deed {
            Deed::EndSessions(things) | Deed::RevokeKeys(things) => things.len(),
            _ => 1,
        }
    }

    /// One was carried out; the next, if there is one.
    pub fn next_request(&mut self) -> Option<Request> {
        self.done += 1;
        (self.done < self.requests()).then(|| self.request())
    }

    /// What was given, for the operation to judge.
    #[must_use]
    pub fn proof(&self) -> Proof {
        Proof {
            reason: self.reason.value().trim().to_owned(),
            verified_by: self.verified_by(),
            confirm: self.deed.needs_proof().then(|| self.typed.value().trim().to_owned()),
        }
    }

    /// What it is, and to whom.
    #[must_use]
    pub fn named(&self) -> String {
        format!("{}, {}", self.deed.title(), shown(&self.detail.row.email))
    }

    /// Whom it is about.
    #[must_use]
    pub fn user(&self) -> UserRef {
        UserRef(self.detail.row.uuid.to_string())
    }

    /// A key for the dialog. `reasons` are those given before, newest first.
    pub fn key(&mut self, key: KeyEvent, reasons: &VecDeque<String>) -> Outcome {
        if self.sent {
            return Outcome::Stay;
        }
        self.problem = None;
        match key.code {
            KeyCode::Esc => return Outcome::Cancel,
            KeyCode::Tab => self.step(1),
            KeyCode::BackTab => self.step(self.parts().len().saturating_sub(1)),
            KeyCode::Enter => return self.enter(),
            _ => return self.part_key(key, reasons),
        }
        Outcome::Stay
    }

    fn step(&mut self, places: usize) {
        self.focus = field::step(&self.parts(), self.focus, places);
    }

    /// Enter never confirms by itself: it leaves at Cancel, goes on from a field, and sends from the button of a dialog
    /// in which the local part was typed.
    fn enter(&mut self) -> Outcome {
        match self.focus {
            Part::Cancel => Outcome::Cancel,
            Part::Confirm if self.deed.needs_proof() => self.send(),
            Part::Confirm => {
                self.problem = Some("press y to do it".to_owned());
                Outcome::Stay
            }
            _ => {
                self.step(1);
                // What is ticked already is for Tab, so that a practised hand is not held up.
                while matches!(self.focus, Part::Sessions | Part::Keys) {
                    self.step(1);
                }
                Outcome::Stay
            }
        }
    }

    fn send(&mut self) -> Outcome {
        let from_cancel = (self.focus == Part::Cancel).then_some((Part::Confirm, ONCE_MORE));
        if let Some((part, what)) = self.lacks().or(from_cancel) {
            (self.focus, self.problem) = (part, Some(what.to_owned()));
        }
        if self.problem.is_none() && self.deed == Deed::Reset && self.preview.is_none() {
            self.problem = Some("wait until it is known what goes".to_owned());
        }
        if self.problem.is_none() { Outcome::Send } else { Outcome::Stay }
    }

    fn part_key(&mut self, key: KeyEvent, reasons: &VecDeque<String>) -> Outcome {
        if self.focus == Part::Reason && matches!(key.code, KeyCode::Up | KeyCode::Down) {
            self.recalled.step(key.code == KeyCode::Up, reasons, &mut self.reason);
            return Outcome::Stay;
        }
        if let Some(input) = self.field() {
            if field::takes(key) {
                field::edit(input, key);
                return Outcome::Stay;
            }
        } else if key.code == KeyCode::Char('y') && key.modifiers.is_empty() && self.may_confirm_by_letter() {
            return self.send();
        } else if matches!(key.code, KeyCode::Char(letter) if letter.is_alphabetic()) {
            // Who types a reason a field too early is told so, instead of losing it silently.
            self.problem = Some("this is no field of text: Tab goes on".to_owned());
            return Outcome::Stay;
        }
        match (self.focus, key.code) {
            (Part::Check, code) => self.choose_check(code),
            (Part::Sessions, KeyCode::Char(' ')) => self.end_sessions = !self.end_sessions,
            (Part::Keys, KeyCode::Char(' ')) => self.revoke_keys = !self.revoke_keys,
            (_, KeyCode::Down | KeyCode::Right) => self.step(1),
            (_, KeyCode::Up | KeyCode::Left) => self.step(self.parts().len().saturating_sub(1)),
            _ => {}
        }
        Outcome::Stay
    }

    fn may_confirm_by_letter(&self) -> bool {
        matches!(self.focus, Part::Cancel | Part::Confirm) && !self.deed.needs_proof()
    }

    fn choose_check(&mut self, code: KeyCode) {
        let index = self.check.and_then(|check| CallerCheck::ALL.iter().position(|other| *other == check));
        let count = CallerCheck::ALL.len();
        let next = match code {
            KeyCode::Right | KeyCode::Down | KeyCode::Char(' ') => index.map_or(0, |index| (index + 1) % count),
            KeyCode::Left | KeyCode::Up => index.map_or(count - 1, |index| (index + count - 1) % count),
            KeyCode::Char(digit @ '1'..='4') => digit as usize - '1' as usize,
            _ => return,
        };
        self.check = CallerCheck::ALL.get(next).copied();
    }

    /// Pasted text goes into a field of text or nowhere.
    pub fn paste(&mut self, text: &str) {
        if !self.sent
            && let Some(input) = self.field()
        {
            field::paste(input, text);
        }
    }
}
