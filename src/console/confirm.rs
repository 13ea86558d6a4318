//! A question before something is done that is not done to one user: steering a job. Nothing is sent by a single key.

use crossterm::event::{KeyCode, KeyEvent};

use super::dialog::Outcome;
use super::link::Request;
use super::model::DIALOG_DEAF_MICROS;
use crate::app::jobs::{JobRow, SteerJob};
use crate::domain::job::JobAct;
use crate::domain::time::Timestamp;

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Question {
    Steer { act: JobAct, job: JobRow },
}

/// The parts that take the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Cancel,
    Confirm,
}

#[derive(Debug)]
pub struct Confirm {
    pub question: Question,
    pub opened_at: Timestamp,
    pub focus: Part,
    pub sent: bool,
    pub problem: Option<String>,
}

impl Confirm {
    #[must_use]
    pub fn new(question: Question, now: Timestamp) -> Self {
        Self { question, opened_at: now, focus: Part::Cancel, sent: false, problem: None }
    }

    /// Keys are dropped for a moment after it opens.
    #[must_use]
    pub fn is_deaf(&self, now: Timestamp) -> bool {
        (0..DIALOG_DEAF_MICROS).contains(&now.as_micros().saturating_sub(self.opened_at.as_micros()))
    }

    #[must_use]
    pub const fn title(&self) -> &'static str {
        match &self.question {
            Question::Steer { act: JobAct::Pause, .. } => "Pause the job",
            Question::Steer { act: JobAct::Resume, .. } => "Resume the job",
            Question::Steer { act: JobAct::Stop, .. } => "Stop the job",
        }
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
        }
    }

    #[must_use]
    pub fn request(&self) -> Request {
        match &self.question {
            Question::Steer { act, job } => Request::SteerJob(SteerJob { id: job.id.clone(), act: *act }),
        }
    }

    pub fn key(&mut self, key: KeyEvent) -> Outcome {
        if self.sent {
            return Outcome::Stay;
        }
        self.problem = None;
        match (self.focus, key.code) {
            (_, KeyCode::Esc) | (Part::Cancel, KeyCode::Enter) => return Outcome::Cancel,
            (Part::Confirm, KeyCode::Char('y')) if key.modifiers.is_empty() => return Outcome::Send,
            (Part::Confirm, KeyCode::Enter) => self.problem = Some("press y to do it".to_owned()),
            (Part::Cancel, KeyCode::Tab | KeyCode::BackTab | KeyCode::Right | KeyCode::Down) => {
                self.focus = Part::Confirm;
            }
            (Part::Confirm, KeyCode::Tab | KeyCode::BackTab | KeyCode::Left | KeyCode::Up) => {
                self.focus = Part::Cancel;
            }
            _ => {}
        }
        Outcome::Stay
    }
}
