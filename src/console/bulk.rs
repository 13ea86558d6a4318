//! Something done to many users at once: what, the dry run, how sure, ten seconds to think again.
//! The work itself is a job of the server's.

use std::collections::VecDeque;

use crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::field;
use super::model::is_deaf;
use super::text::{count, day, thousands};
use crate::app::jobs::{DraftJob, JobDraft, Selection, StartJob};
use crate::app::safety::{Proof, REASON_SHORT, is_reason};
use crate::domain::job::{JobKind, RESET_USERS_MAX};
use crate::domain::time::Timestamp;

/// Seconds between the decision and the deed.
pub const COUNTDOWN_SECONDS: i64 = 10;
/// Seconds that may pass without a look at the countdown: more, and nobody has seen it.
const UNSEEN_SECONDS: i64 = 3;

/// What can be done to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Remind,
    Require,
    Demand,
    Reset,
    Export,
}

impl Deed {
    pub const ALL: [Self; 5] = [Self::Remind, Self::Require, Self::Demand, Self::Reset, Self::Export];

    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Remind => 'm',
            Self::Require => 'd',
            Self::Demand => 'e',
            Self::Reset => 'r',
            Self::Export => 'x',
        }
    }

    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Remind => "remind by mail to enrol...",
            Self::Require => "require enrolment by a date...",
            Self::Demand => "demand re-enrolment...",
            Self::Reset => "reset 2FA (20 users at most)...",
            Self::Export => "export the list to a file...",
        }
    }

    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Remind => "Remind by mail",
            Self::Require => "Require enrolment",
            Self::Demand => "Demand re-enrolment",
            Self::Reset => "Reset 2FA",
            Self::Export => "Export",
        }
    }
}

/// Where the flow is.
#[derive(Debug)]
pub enum Stage {
    Menu {
        row: usize,
    },
    /// From which day on enrolment is required.
    Date {
        input: Input,
    },
    /// The dry run is under way.
    Drafting,
    Review {
        draft: JobDraft,
        focus: Part,
        /// How the callers were checked; only where the kind wants it.
        check: Input,
        reason: Input,
        typed: Input,
    },
    Countdown {
        draft: JobDraft,
        proof: Proof,
        until: Timestamp,
    },
    Starting,
}

/// The parts of the review that take the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Cancel,
    Check,
    Reason,
    Typed,
    Confirm,
}

#[derive(Debug)]
pub struct Bulk {
    pub selection: Selection,
    /// How many there are, as far as the list knows.
    pub count: u64,
    pub deed: Option<Deed>,
    pub stage: Stage,
    /// When the present stage began.
    pub since: Timestamp,
    pub problem: Option<String>,
    /// What should make one careful: marks that are out of sight.
    pub care: Option<String>,
    recalled: field::Recall,
}

/// What follows from a key, or from time.
#[derive(Clone, Debug)]
pub enum Step {
    Stay,
    Leave,
    /// Have the server look what would be done.
    Draft(DraftJob),
    /// Ask for a file instead.
    Export,
}

impl Bulk {
    #[must_use]
    pub fn new(selection: Selection, count: u64, now: Timestamp) -> Self {
        Self {
            selection,
            count,
            deed: None,
            stage: Stage::Menu { row: 0 },
            since: now,
            problem: None,
            care: None,
            recalled: field::Recall::default(),
        }
    }

    /// Why a line of the menu cannot be done; shown, never hidden.
    #[must_use]
    pub fn refusal(&self, deed: Deed, writes_refused: Option<&str>, is_mail_on: bool) -> Option<String> {
        match deed {
            Deed::Export => None,
            Deed::Remind if !is_mail_on => Some("mail is off".to_owned()),
            Deed::Reset if self.count > RESET_USERS_MAX => Some(format!("{RESET_USERS_MAX} users at most")),
            _ => writes_refused.map(str::to_owned),
        }
    }

    /// Keys are dropped for a moment after the review opens.
    #[must_use]
    pub fn is_deaf(&self, now: Timestamp) -> bool {
        matches!(self.stage, Stage::Review { .. }) && is_deaf(self.since, now)
    }

    /// Seconds until it begins.
    #[must_use]
    pub fn seconds_left(&self, now: Timestamp) -> Option<i64> {
        match self.stage {
            Stage::Countdown { until, .. } => Some(until.seconds_since(now).clamp(0, COUNTDOWN_SECONDS)),
            _ => None,
        }
    }

    /// What it is, and to how many.
    #[must_use]
    pub fn named(&self) -> String {
        let title = self.deed.map_or("a job", Deed::title);
        format!("{title}, {}", count(usize::try_from(self.count).unwrap_or(usize::MAX), "user"))
    }

    /// The dry run's answer.
    pub fn drafted(&mut self, draft: JobDraft, now: Timestamp) {
        if matches!(self.stage, Stage::Drafting) {
            let [check, reason, typed] = [Input::default(), Input::default(), Input::default()];
            self.stage = Stage::Review { draft, focus: Part::Cancel, check, reason, typed };
            self.since = now;
        }
    }

    /// The server said no.
    pub fn refused(&mut self, problem: String) {
        if matches!(self.stage, Stage::Drafting | Stage::Starting) {
            self.stage = Stage::Menu { row: 0 };
        }
        self.problem = Some(problem);
    }

    /// Stops the countdown, if there is one: back to the review, where it is begun again by hand or not at all.
    pub fn stop(&mut self, why: &str, now: Timestamp) {
        let Stage::Countdown { draft, proof, .. } = &self.stage else { return };
        let typed = proof.confirm.clone().unwrap_or_default();
        self.stage = Stage::Review {
            draft: draft.clone(),
            focus: Part::Cancel,
            check: Input::new(proof.verified_by.clone().unwrap_or_default()),
            reason: Input::new(proof.reason.clone()),
            typed: Input::new(typed),
        };
        self.since = now;
        self.problem = Some(format!("{why}: the countdown was stopped, nothing was begun"));
    }

    /// Time has passed from `before` to `now`. Only a countdown that was in sight all the time may end in the deed.
    pub fn watch(&mut self, before: Timestamp, now: Timestamp) {
        if now < before {
            self.stop("the clock was set back", now);
        } else if now.seconds_since(before) > UNSEEN_SECONDS {
            self.stop("nothing was shown for a while", now);
        }
    }

    /// Whether the countdown is over; then what is to be sent.
    pub fn tick(&mut self, now: Timestamp) -> Option<StartJob> {
        let Stage::Countdown { draft, proof, until } = &self.stage else { return None };
        if now < *until {
            return None;
        }
        let start = StartJob { id: draft.id.clone(), proof: proof.clone() };
        self.stage = Stage::Starting;
        Some(start)
    }

    pub fn key(&mut self, key: KeyEvent, now: Timestamp, reasons: &VecDeque<String>, writes: Option<&str>) -> Step {
        if key.code == KeyCode::Esc && !matches!(self.stage, Stage::Starting) {
            return Step::Leave;
        }
        self.problem = None;
        match &self.stage {
            Stage::Date { .. } => self.date_key(key),
            Stage::Review { .. } => self.review_key(key, now, reasons, writes),
            Stage::Menu { .. } | Stage::Drafting | Stage::Countdown { .. } | Stage::Starting => Step::Stay,
        }
    }

    /// A line of the menu that nothing speaks against.
    pub fn choose(&mut self, deed: Deed, now: Timestamp) -> Step {
        self.problem = None;
        self.deed = Some(deed);
        match deed {
            Deed::Export => Step::Export,
            Deed::Require => {
                self.stage = Stage::Date { input: Input::default() };
                self.since = now;
                Step::Stay
            }
            Deed::Remind => self.draft(JobKind::RemindToEnrol),
            Deed::Demand => self.draft(JobKind::DemandReEnrolment),
            Deed::Reset => self.draft(JobKind::ResetTwoFactor),
        }
    }

    fn draft(&mut self, kind: JobKind) -> Step {
        self.stage = Stage::Drafting;
        Step::Draft(DraftJob { kind, selection: self.selection.clone() })
    }

    fn date_key(&mut self, key: KeyEvent) -> Step {
        let Stage::Date { input } = &mut self.stage else { return Step::Stay };
        if key.code != KeyCode::Enter {
            field::edit(input, key);
            return Step::Stay;
        }
        if let Some(from) = day(input.value()) {
            return self.draft(JobKind::RequireEnrolment { from });
        }
        self.problem = Some("a day as in 2026-12-01".to_owned());
        Step::Stay
    }

    fn review_key(&mut self, key: KeyEvent, now: Timestamp, reasons: &VecDeque<String>, writes: Option<&str>) -> Step {
        let Stage::Review { draft, focus, check, reason, typed } = &mut self.stage else { return Step::Stay };
        let (does, parts) = (draft.does, parts(draft.kind));
        let said = Some(check.value().trim().to_owned()).filter(|text| !text.is_empty());
        match (*focus, key.code) {
            (Part::Cancel, KeyCode::Enter) => return Step::Leave,
            (Part::Confirm, KeyCode::Enter) => {
                self.problem = (draft.kind.wants_check() && said.is_none())
                    .then(|| "say how the callers were checked".to_owned())
                    .or_else(|| missing(reason.value(), typed.value(), does))
                    .or_else(|| writes.map(str::to_owned));
                if self.problem.is_some() {
                    return Step::Stay;
                }
                let confirm = Some(typed.value().trim().to_owned());
                let proof = Proof { reason: reason.value().trim().to_owned(), verified_by: said, confirm };
                let draft = draft.clone();
                self.stage = Stage::Countdown { draft, proof, until: now.plus_seconds(COUNTDOWN_SECONDS) };
                self.since = now;
            }
            (_, KeyCode::Tab | KeyCode::Enter) => *focus = field::step(parts, *focus, 1),
            (_, KeyCode::BackTab) => *focus = field::step(parts, *focus, parts.len() - 1),
            (Part::Reason, KeyCode::Up | KeyCode::Down) => {
                self.recalled.step(key.code == KeyCode::Up, reasons, reason);
            }
            (Part::Check, _) => {
                field::edit(check, key);
            }
            (Part::Reason, _) => {
                field::edit(reason, key);
            }
            (Part::Typed, _) => {
                field::edit(typed, key);
            }
            (_, KeyCode::Down | KeyCode::Right) => *focus = field::step(parts, *focus, 1),
            (_, KeyCode::Up | KeyCode::Left) => *focus = field::step(parts, *focus, parts.len() - 1),
            _ => {}
        }
        Step::Stay
    }

    /// Whether a field of text has the keyboard.
    #[must_use]
    pub const fn is_typing(&self) -> bool {
        matches!(self.stage, Stage::Date { .. } | Stage::Review { focus: Part::Check | Part::Reason | Part::Typed, .. })
    }

    /// Pasted text goes into a field of text or nowhere.
    pub fn paste(&mut self, text: &str) {
        match &mut self.stage {
            Stage::Date { input: field }
            | Stage::Review { focus: Part::Check, check: field, .. }
            | Stage::Review { focus: Part::Reason, reason: field, .. }
            | Stage::Review { focus: Part::Typed, typed: field, .. } => field::paste(field, text),
            _ => false,
        };
    }
}

/// What is still missing before the countdown.
fn missing(reason: &str, typed: &str, does: u64) -> Option<String> {
    if does == 0 {
        return Some("there is nobody to do it to".to_owned());
    }
    if !is_reason(reason) {
        return Some(REASON_SHORT.to_owned());
    }
    (typed.trim() != does.to_string()).then(|| format!("type the number of users, {}, without commas", thousands(does)))
}

/// What the keyboard goes through.
const fn parts(kind: JobKind) -> &'static [Part] {
    if kind.wants_check() {
        &[Part::Cancel, Part::Check, Part::Reason, Part::Typed, Part::Confirm]
    } else {
        &[Part::Cancel, Part::Reason, Part::Typed, Part::Confirm]
    }
}
