//! A question before something is done that is not done to one user: steering a job, and what waits for a second
//! operator. Nothing is sent by a single key.

use std::collections::VecDeque;

use crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::dialog::Outcome;
use super::field;
use super::jobs::{OWN_APPROVAL, operation, title};
use super::link::Request;
use super::model::{JobRef, Model, is_deaf};
use super::text::shown;
use crate::app::approvals::{ApprovalRow, ApproveAct, RefuseAct};
use crate::app::jobs::{JobRow, SteerJob};
use crate::app::safety::{REASON_SHORT, is_reason};
use crate::domain::job::JobAct;
use crate::domain::time::Timestamp;

/// To whoever confirms from Cancel, where a dialog begins.
pub(super) const ONCE_MORE: &str = "y once more does it";

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Question {
    Steer { act: JobAct, job: JobRow },
    Approve(ApprovalRow),
    Refuse(ApprovalRow),
}

/// The parts that take the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Cancel,
    Reason,
    Confirm,
}

#[derive(Debug)]
pub struct Confirm {
    pub question: Question,
    pub opened_at: Timestamp,
    pub focus: Part,
    pub reason: Input,
    pub sent: bool,
    pub problem: Option<String>,
    recalled: field::Recall,
}

impl Confirm {
    #[must_use]
    pub fn new(question: Question, now: Timestamp) -> Self {
        Self {
            question,
            opened_at: now,
            focus: Part::Cancel,
            reason: Input::default(),
            sent: false,
            problem: None,
            recalled: field::Recall::default(),
        }
    }

    /// Keys are dropped for a moment after it opens.
    #[must_use]
    pub fn is_deaf(&self, now: Timestamp) -> bool {
        is_deaf(self.opened_at, now)
    }

    #[must_use]
    pub const fn title(&self) -> &'static str {
        match &self.question {
            Question::Steer { act: JobAct::Pause, .. } => "Pause the job",
            Question::Steer { act: JobAct::Resume, .. } => "Resume the job",
            Question::Steer { act: JobAct::Stop, .. } => "Stop the job",
            Question::Approve(_) => "Approve",
            Question::Refuse(_) => "Refuse",
        }
    }

    /// What it is, and to what.
    #[must_use]
    pub fn named(&self) -> String {
        match &self.question {
            Question::Steer { job, .. } => format!("{}, {}", self.title(), title(job)),
            Question::Approve(row) | Question::Refuse(row) => {
                format!("{} {}, {}", self.title(), operation(row.operation), shown(&row.email))
            }
        }
    }

    #[must_use]
    pub const fn needs_reason(&self) -> bool {
        matches!(self.question, Question::Refuse(_))
    }

    /// What happens then, in words.
    #[must_use]
    pub fn consequences(&self) -> Vec<String> {
        match &self.question {
            Question::Steer { act: JobAct::Pause, .. } => {
                vec!["stop between two users; it can go on later".to_owned()]
            }
            Question::Steer { act: JobAct::Resume, .. } => vec!["go on where it stopped".to_owned()],
            Question::Steer { act: JobAct::Stop, job } => vec![
                "end between two users, for good".to_owned(),
                format!("what is done stays done: {} of {}", job.done, job.users),
            ],
            Question::Approve(row) => vec![
                format!("carry it out at once, as {} asked", row.asked_by),
                "put both names into the audit trail".to_owned(),
            ],
            Question::Refuse(row) => vec![format!("tell {} no, on record; nothing is done", row.asked_by)],
        }
    }

    #[must_use]
    pub fn request(&self) -> Request {
        match &self.question {
            Question::Steer { act, job } => Request::SteerJob(SteerJob { id: job.id.clone(), act: *act }),
            Question::Approve(row) => Request::Approve(ApproveAct { id: row.id.clone() }),
            Question::Refuse(row) => {
                Request::Refuse(RefuseAct { id: row.id.clone(), reason: self.reason.value().trim().to_owned() })
            }
        }
    }

    /// What is still missing before it can be sent.
    #[must_use]
    pub fn missing(&self) -> Option<&'static str> {
        (self.needs_reason() && !is_reason(self.reason.value())).then_some(REASON_SHORT)
    }

    pub fn key(&mut self, key: KeyEvent, reasons: &VecDeque<String>) -> Outcome {
        if self.sent {
            return Outcome::Stay;
        }
        self.problem = None;
        match (self.focus, key.code) {
            (_, KeyCode::Esc) | (Part::Cancel, KeyCode::Enter) => return Outcome::Cancel,
            (Part::Cancel | Part::Confirm, KeyCode::Char('y')) if key.modifiers.is_empty() => {
                let (part, what) = match self.missing() {
                    Some(missing) => (Part::Reason, missing),
                    None if self.focus == Part::Confirm => return Outcome::Send,
                    None => (Part::Confirm, ONCE_MORE),
                };
                (self.focus, self.problem) = (part, Some(what.to_owned()));
            }
            (Part::Confirm, KeyCode::Enter) => self.problem = Some("press y to do it".to_owned()),
            (Part::Reason, KeyCode::Up | KeyCode::Down) => {
                self.recalled.step(key.code == KeyCode::Up, reasons, &mut self.reason);
            }
            (_, KeyCode::Tab | KeyCode::Down | KeyCode::Right)
                if self.focus != Part::Reason || key.code == KeyCode::Tab =>
            {
                self.step(1);
            }
            (Part::Reason, KeyCode::Enter) => self.step(1),
            (_, KeyCode::BackTab) => self.step(usize::from(self.needs_reason()) + 1),
            (Part::Reason, _) => {
                field::edit(&mut self.reason, key);
            }
            (_, KeyCode::Up | KeyCode::Left) => self.step(usize::from(self.needs_reason()) + 1),
            _ => {}
        }
        Outcome::Stay
    }

    fn step(&mut self, places: usize) {
        let parts: &[Part] = if self.needs_reason() {
            &[Part::Cancel, Part::Reason, Part::Confirm]
        } else {
            &[Part::Cancel, Part::Confirm]
        };
        self.focus = field::step(parts, self.focus, places);
    }

    /// Pasted text goes into the reason or nowhere.
    pub fn paste(&mut self, text: &str) {
        if !self.sent && self.focus == Part::Reason {
            field::paste(&mut self.reason, text);
        }
    }
}

// -------------------------------------------------------------------------------------------------------------- menu

/// A line of the menu.
pub struct Item {
    pub letter: char,
    pub label: &'static str,
    pub question: Question,
    /// Why it cannot be done now; shown, never hidden.
    pub refused: Option<String>,
}

/// What can be done to an approval or a job; nothing once it is gone.
#[must_use]
pub fn items(model: &Model, on: &JobRef) -> Vec<Item> {
    let writes = model.writes_refused();
    let id = match on {
        JobRef::Approval(id) => id,
        JobRef::Job(id) => return job_items(model, id, writes.as_deref()),
    };
    let row = model.jobs.approvals.iter().find(|row| row.id == *id);
    row.map(|row| approval_items(row, writes)).unwrap_or_default()
}

fn approval_items(row: &ApprovalRow, writes: Option<String>) -> Vec<Item> {
    let own = row.is_own.then(|| OWN_APPROVAL.to_owned());
    vec![
        Item {
            letter: 'o',
            label: "approve, and do it at once...",
            question: Question::Approve(row.clone()),
            refused: writes.clone().or(own),
        },
        Item { letter: 'x', label: "refuse...", question: Question::Refuse(row.clone()), refused: writes },
    ]
}

fn job_items(model: &Model, id: &str, writes: Option<&str>) -> Vec<Item> {
    let Some(job) = model.jobs.job(id) else { return Vec::new() };
    let item = |letter, label, act| {
        let impossible = job.state.after(act).err().map(|why| why.to_string());
        let question = Question::Steer { act, job: job.clone() };
        Item { letter, label, question, refused: writes.map(str::to_owned).or(impossible) }
    };
    vec![
        item('p', "pause...", JobAct::Pause),
        item('r', "resume...", JobAct::Resume),
        item('x', "stop for good...", JobAct::Stop),
    ]
}
