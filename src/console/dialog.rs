//! What an operator can do to a user, and the dialog that makes sure of it. The rules themselves are the
//! operations'; this only asks, and never sends anything by a single key.

use std::collections::VecDeque;

use crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::field;
use super::link::Request;
use super::model::{DIALOG_DEAF_MICROS, Focus, Model, REASON_LETTERS_MIN, Screen, Tab};
use super::text::{count, date, date_time, shown};
use crate::app::email::{CancelEmailChangeOf, ResendVerification};
use crate::app::operator_keys::RevokeApiKey;
use crate::app::reset::{ResetTwoFactor, RevokeBackupCodes, TwoFactorReset, UnlockTwoFactor};
use crate::app::sessions::RevokeSessions;
use crate::app::views::{SessionRow, UserDetail, UserRef};
use crate::domain::time::Timestamp;
use crate::domain::user::FactorState;

/// The reason of the dry run, which is asked for before a reason is given.
const PREVIEW_REASON: &str = "preview of a reset";

/// Something an operator does to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    Reset,
    Unlock,
    RevokeCodes,
    ResendVerification,
    CancelEmailChange,
    SignOut,
    EndSession { id: String, label: String },
    RevokeKey { id: String, label: String },
}

impl Deed {
    /// The dialog's title, and the button.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        match self {
            Self::Reset => "Reset 2FA",
            Self::Unlock => "Unlock",
            Self::RevokeCodes => "Revoke backup codes",
            Self::ResendVerification => "Resend verification",
            Self::CancelEmailChange => "Cancel e-mail change",
            Self::SignOut => "Sign out everywhere",
            Self::EndSession { .. } => "End session",
            Self::RevokeKey { .. } => "Revoke API key",
        }
    }

    /// What the button says that does it.
    #[must_use]
    pub const fn button(&self) -> &'static str {
        match self {
            // Beside a button that says Cancel.
            Self::CancelEmailChange => "Drop the change",
            _ => self.title(),
        }
    }

    /// Whether the caller's check and the typed local part are asked for (level 3); else a reason and
    /// `y` are enough.
    #[must_use]
    pub const fn needs_proof(&self) -> bool {
        matches!(self, Self::Reset | Self::RevokeCodes | Self::SignOut)
    }
}

/// A line of the action menu.
#[derive(Clone, Debug)]
pub struct Item {
    pub letter: char,
    pub label: &'static str,
    pub deed: Deed,
    /// Why it cannot be done now; shown, never hidden.
    pub refused: Option<String>,
}

/// The action menu for the user under the cursor.
#[must_use]
pub fn items(model: &Model) -> Vec<Item> {
    let detail = model.chosen_detail();
    let general = model.writes_refused().map(str::to_owned);
    let general = general.or_else(|| detail.is_none().then(|| "being read".to_owned()));
    deeds(model)
        .into_iter()
        .map(|(letter, label, deed)| {
            let refused = general.clone().or_else(|| detail.and_then(|detail| refusal(&deed, detail, model)));
            Item { letter, label, deed, refused }
        })
        .collect()
}

fn deeds(model: &Model) -> Vec<(char, &'static str, Deed)> {
    // Only what the operator sees marked counts as chosen.
    let detail = model.chosen_detail().filter(|_| model.screen == Screen::Users(Focus::Detail));
    let session = detail.filter(|_| model.tab == Tab::Sessions).and_then(|detail| detail.sessions.get(model.tab_row));
    let key = detail.filter(|_| model.tab == Tab::Keys).and_then(|detail| detail.api_keys.get(model.tab_row));
    let end = Deed::EndSession {
        id: session.map(|session| session.id.clone()).unwrap_or_default(),
        label: session.map(session_label).unwrap_or_default(),
    };
    let revoke = Deed::RevokeKey {
        id: key.map(|key| key.id.clone()).unwrap_or_default(),
        label: key.map(|key| shown(&key.label)).unwrap_or_default(),
    };
    vec![
        ('r', "reset 2FA...", Deed::Reset),
        ('u', "unlock...", Deed::Unlock),
        ('b', "revoke backup codes...", Deed::RevokeCodes),
        ('m', "resend verification...", Deed::ResendVerification),
        ('c', "cancel e-mail change...", Deed::CancelEmailChange),
        ('s', "sign out everywhere...", Deed::SignOut),
        ('e', "end the chosen session...", end),
        ('k', "revoke the chosen API key...", revoke),
    ]
}

/// Enough to tell it from the others: many people have two of the same browser.
fn session_label(session: &SessionRow) -> String {
    let from = session.address.as_deref().map_or(String::new(), |address| format!(" from {}", shown(address)));
    format!("{}{from}, signed in {} UTC", shown(&session.device), date_time(session.created_at))
}

fn refusal(deed: &Deed, detail: &UserDetail, model: &Model) -> Option<String> {
    let factor = &detail.factor;
    let later = |at: Option<Timestamp>| at.is_some_and(|at| at > model.now);
    let says = |refused: bool, why: &str| refused.then(|| why.to_owned());
    match deed {
        Deed::Reset => {
            let nothing =
                matches!(factor.state, FactorState::Off | FactorState::Enrol) && factor.backup_codes_remaining == 0;
            says(nothing, "no device")
        }
        Deed::Unlock => {
            let failures = factor.totp_failures > 0 || factor.backup_code_failures > 0;
            let locked = failures || later(factor.waiting_until) || later(factor.login_locked_until);
            says(!locked, "not locked")
        }
        Deed::RevokeCodes => says(factor.backup_codes_remaining == 0, "no backup codes left"),
        Deed::ResendVerification => {
            let mail_off = model.status.as_ref().is_some_and(|status| !status.mail_available);
            let nothing = detail.row.is_email_verified != Some(false) && detail.pending_email.is_none();
            says(mail_off, "mail is off").or_else(|| says(nothing, "the address is verified"))
        }
        Deed::CancelEmailChange => says(detail.pending_email.is_none(), "no change is pending"),
        Deed::SignOut => says(detail.sessions.is_empty() && detail.remembered_devices == 0, "no sessions"),
        Deed::EndSession { id, .. } => says(id.is_empty(), "choose it in Sessions"),
        Deed::RevokeKey { id, .. } => says(id.is_empty(), "choose it in API keys"),
    }
}

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
    /// What a reset would remove, by a dry run with everything switched on.
    pub preview: Option<TwoFactorReset>,
    /// Sent, not yet answered.
    pub sent: bool,
    /// What the operation said no to, or what is still missing.
    pub problem: Option<String>,
    recalled: Option<usize>,
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
            preview: None,
            sent: false,
            problem: None,
            recalled: None,
        }
    }

    /// Keys are dropped for a moment after it opens. A clock that was set back does not prolong it.
    #[must_use]
    pub fn is_deaf(&self, now: Timestamp) -> bool {
        (0..DIALOG_DEAF_MICROS).contains(&now.as_micros().saturating_sub(self.opened_at.as_micros()))
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
            Part::Cancel | Part::Check | Part::Sessions | Part::Keys | Part::Confirm => None,
        }
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
        let proof = self.deed.needs_proof();
        if proof && self.check.is_none() {
            return Some("say how the caller was checked");
        }
        if proof && self.check.is_some_and(CallerCheck::needs_text) && self.check_text.value().trim().is_empty() {
            return Some("say who vouched, or what else was checked");
        }
        if self.reason.value().chars().filter(|c| c.is_alphabetic()).count() < REASON_LETTERS_MIN {
            return Some("the reason needs eight letters or more");
        }
        (proof && self.typed.value().trim() != self.local_part()).then_some("type the part before the @")
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
                reason: PREVIEW_REASON.to_owned(),
                verified_by: None,
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
        let reason = self.reason.value().trim().to_owned();
        let verified_by = self.verified_by();
        match &self.deed {
            Deed::Reset => Request::Reset(ResetTwoFactor {
                user,
                reason,
                verified_by,
                keep_sessions: !self.end_sessions,
                revoke_keys: self.revoke_keys,
                dry_run: false,
            }),
            Deed::Unlock => Request::Unlock(UnlockTwoFactor { user, reason }),
            Deed::RevokeCodes => Request::RevokeCodes(RevokeBackupCodes { user, reason, verified_by }),
            Deed::ResendVerification => Request::ResendVerification(ResendVerification { user, reason }),
            Deed::CancelEmailChange => Request::CancelEmailChange(CancelEmailChangeOf { user, reason }),
            Deed::SignOut => Request::RevokeSessions(RevokeSessions {
                user,
                id: None,
                reason: verified_by
                    .map_or_else(|| reason.clone(), |check| format!("{reason} (caller checked: {check})")),
            }),
            Deed::EndSession { id, .. } => {
                Request::RevokeSessions(RevokeSessions { user, id: Some(id.clone()), reason })
            }
            Deed::RevokeKey { id, .. } => Request::RevokeKey(RevokeApiKey { user, id: id.clone(), reason }),
        }
    }

    fn user(&self) -> UserRef {
        UserRef(self.detail.row.uuid.to_string())
    }

    /// What breaks, in words, for the dialogs without a preview.
    #[must_use]
    pub fn consequences(&self) -> Vec<String> {
        let detail = &self.detail;
        let factor = &detail.factor;
        match &self.deed {
            Deed::Reset => Vec::new(),
            Deed::Unlock => {
                let failures = factor.totp_failures + factor.backup_code_failures;
                vec![
                    format!("forget {} in a row", count(failures as usize, "wrong code")),
                    "let codes and logins be tried again at once".to_owned(),
                ]
            }
            Deed::RevokeCodes => vec![
                format!("delete {}", count(factor.backup_codes_remaining, "unused backup code")),
                "keep the device; new codes are made by the user".to_owned(),
                "tell the user by e-mail".to_owned(),
            ],
            Deed::ResendVerification => {
                let to = detail.pending_email.as_ref().unwrap_or(&detail.row.email);
                vec![format!("send a new verification mail to {}", shown(to)), "void the link sent before".to_owned()]
            }
            Deed::CancelEmailChange => vec![
                format!("keep   {}", shown(&detail.row.email)),
                format!("drop   {}", shown(detail.pending_email.as_deref().unwrap_or_default())),
                "tell both addresses".to_owned(),
            ],
            Deed::SignOut => {
                let parts = [
                    (detail.sessions.len(), "sign out", "session"),
                    (detail.remembered_devices, "forget", "remembered device"),
                ];
                let parts = parts.into_iter().filter(|(number, ..)| *number > 0);
                parts.map(|(number, verb, noun)| format!("{verb} {}", count(number, noun))).collect()
            }
            Deed::EndSession { label, .. } => vec![format!("sign out {label}")],
            Deed::RevokeKey { label, .. } => {
                let key = detail.api_keys.iter().find(|key| self.deed.id() == Some(&key.id));
                let used = key.and_then(|key| key.last_used_at.as_deref()).map_or("never used".to_owned(), |at| {
                    format!("last used {}", at.chars().take(10).collect::<String>())
                });
                vec![format!("revoke {label} ({used})"), "whatever uses it stops working".to_owned()]
            }
        }
    }

    /// The five or six lines of what a reset does: switched on, text, and whether it can be switched.
    #[must_use]
    pub fn steps(&self) -> Option<Vec<(bool, String, Option<Part>)>> {
        let preview = self.preview.as_ref()?;
        let device = match preview.totp_enrolled_at {
            Some(at) => format!("remove the TOTP device enrolled {}", date(at)),
            None => "remove the TOTP device (there is none)".to_owned(),
        };
        let key = self.detail.api_keys.first().map(|key| shown(&key.label)).unwrap_or_default();
        let keys = match preview.api_keys_revoked {
            0 => "revoke API keys (there are none)".to_owned(),
            1 => format!("revoke 1 API key ({key})"),
            many => format!("revoke {many} API keys"),
        };
        let mail = match preview.notice_to.as_slice() {
            [] => "e-mail nobody: mail is off, tell the person".to_owned(),
            to => format!("e-mail {} about it", shown(&to.join(", "))),
        };
        let mut sessions = format!("sign out {}", count(preview.sessions_ended, "session"));
        if preview.remembered_devices_forgotten > 0 {
            let devices = count(preview.remembered_devices_forgotten, "remembered device");
            sessions = format!("{sessions}, forget {devices}");
        }
        Some(vec![
            (preview.totp_removed, device, None),
            (true, format!("delete {}", count(preview.backup_codes_deleted, "unused backup code")), None),
            (self.end_sessions, sessions, Some(Part::Sessions)),
            (self.revoke_keys, keys, Some(Part::Keys)),
            (!preview.notice_to.is_empty(), mail, None),
            (preview.enrolment_demanded, "ask for a new device at the next sign-in".to_owned(), None),
        ])
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
        let parts = self.parts();
        let index = parts.iter().position(|part| *part == self.focus).unwrap_or(0);
        self.focus = parts.get((index + places) % parts.len().max(1)).copied().unwrap_or(Part::Cancel);
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
        self.problem = self.missing().map(str::to_owned);
        if self.problem.is_none() && self.deed == Deed::Reset && self.preview.is_none() {
            self.problem = Some("wait until it is known what goes".to_owned());
        }
        if self.problem.is_none() { Outcome::Send } else { Outcome::Stay }
    }

    fn part_key(&mut self, key: KeyEvent, reasons: &VecDeque<String>) -> Outcome {
        if self.focus == Part::Reason && matches!(key.code, KeyCode::Up | KeyCode::Down) {
            self.recall(key.code == KeyCode::Up, reasons);
            return Outcome::Stay;
        }
        if let Some(input) = self.field() {
            if field::takes(key) {
                field::edit(input, key);
                return Outcome::Stay;
            }
        } else if key.code == KeyCode::Char('y') && key.modifiers.is_empty() && self.may_confirm_by_letter() {
            return self.send();
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
        self.focus == Part::Confirm && !self.deed.needs_proof()
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

    fn recall(&mut self, older: bool, reasons: &VecDeque<String>) {
        let next = match (self.recalled, older) {
            (None, true) => Some(0),
            (Some(index), true) => Some((index + 1).min(reasons.len().saturating_sub(1))),
            (Some(index), false) => index.checked_sub(1),
            (None, false) => None,
        };
        let Some(reason) = next.and_then(|index| reasons.get(index)) else { return };
        self.reason = Input::from(reason.as_str());
        self.recalled = next;
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

impl Deed {
    fn id(&self) -> Option<&String> {
        match self {
            Self::EndSession { id, .. } | Self::RevokeKey { id, .. } => Some(id),
            _ => None,
        }
    }
}

/// The users of the same name on one line, for people.
#[must_use]
pub fn namesakes(detail: &UserDetail) -> Option<String> {
    match detail.namesakes.as_slice() {
        [] => None,
        [other] => Some(format!("{} has the same name", shown(other))),
        others => Some(format!("{} others have the same name: {}", others.len(), shown(&others.join(", ")))),
    }
}

/// The other facts that should make an operator careful, in the server's words; [`namesakes`] are not repeated.
#[must_use]
pub fn warnings(detail: &UserDetail) -> Vec<String> {
    let is_namesake = |warning: &str| {
        warning.starts_with("another ") && detail.namesakes.iter().any(|email| warning.ends_with(email.as_str()))
    };
    detail.warnings.iter().filter(|warning| !is_namesake(warning)).map(|warning| shown(warning)).collect()
}
