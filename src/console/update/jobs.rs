//! The Jobs screen: what waits for a second operator, jobs, and the question before one is steered.

use crossterm::event::{KeyCode, KeyEvent};

use super::ask::{ask, forget};
use super::browse::moved;
use super::{Cmds, remember_reason, toast};
use crate::app::approvals::{ApprovalRow, ListApprovals};
use crate::app::jobs::{JobDetail, JobRow, ListJobs, ReadJob};
use crate::console::confirm::{Confirm, Question};
use crate::console::dialog::Outcome;
use crate::console::link::Request;
use crate::console::model::{JobRef, Marks, Model, Overlay, Screen, Slot};
use crate::console::view::jobs::{state, title};
use crate::domain::job::{JobAct, JobState};

/// Results of a job that are read at once.
const RESULTS: usize = 500;

pub(super) fn open_jobs(model: &mut Model) -> Cmds {
    model.screen = Screen::Jobs;
    if model.jobs.chosen_index().is_none() {
        model.jobs.chosen = None;
    }
    let mut commands = leave_job(model);
    commands.extend(read_jobs(model));
    commands
}

/// Back to the list; a job that is still being read is not opened any more.
pub(super) fn leave_job(model: &mut Model) -> Cmds {
    model.jobs.open = None;
    if model.is_awaiting(Slot::Job) { vec![forget(model, Slot::Job)] } else { Vec::new() }
}

/// Jobs, approvals, and the job that is open.
pub(super) fn read_jobs(model: &mut Model) -> Cmds {
    if !model.is_connected() {
        return Vec::new();
    }
    let mut commands = vec![
        ask(model, Slot::Jobs, Request::Jobs(ListJobs {})),
        ask(model, Slot::Approvals, Request::Approvals(ListApprovals {})),
    ];
    if let Some(id) = model.jobs.open.as_ref().map(|open| open.row.id.clone()) {
        commands.push(read_job(model, id));
    }
    commands
}

fn read_job(model: &mut Model, id: String) -> super::Cmd {
    ask(model, Slot::Job, Request::Job(ReadJob { id, after: None, limit: RESULTS }))
}

/// While one runs, its figures are read again each second.
pub(super) fn follow(model: &mut Model) -> Cmds {
    let running = model.jobs.rows.iter().flatten().any(|row| row.state == JobState::Running);
    let free = !model.is_awaiting(Slot::Jobs) && !model.is_awaiting(Slot::Job);
    if model.screen == Screen::Jobs && running && free { read_jobs(model) } else { Vec::new() }
}

pub(super) fn jobs_read(model: &mut Model, rows: Vec<JobRow>) {
    model.jobs.rows = Some(rows);
    model.jobs.problem = None;
    model.jobs.settle();
}

pub(super) fn approvals_read(model: &mut Model, rows: Vec<ApprovalRow>) {
    model.jobs.approvals = rows;
    model.jobs.settle();
}

pub(super) fn job_read(model: &mut Model, detail: JobDetail) {
    if model.screen == Screen::Jobs {
        model.jobs.result = model.jobs.result.min(detail.results.len().saturating_sub(1));
        model.jobs.open = Some(detail);
    }
}

pub(super) fn step_jobs(model: &mut Model, rows: isize) {
    if let Some(open) = &model.jobs.open {
        model.jobs.result = moved(model.jobs.result, rows, open.results.len());
        return;
    }
    let ids = model.jobs.ids();
    let index = model.jobs.chosen_index().map_or(0, |index| moved(index, rows, ids.len()));
    model.jobs.chosen = ids.get(index).map(|id| (*id).to_owned());
}

/// Looks into the job under the cursor.
pub(super) fn open_job(model: &mut Model) -> Cmds {
    if model.jobs.open.is_some() || model.jobs.chosen_approval().is_some() {
        return Vec::new();
    }
    let Some(id) = model.jobs.chosen_job().map(|row| row.id.clone()) else { return Vec::new() };
    model.jobs.result = 0;
    vec![read_job(model, id)]
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
    let writes = model.writes_refused().map(str::to_owned);
    let id = match on {
        JobRef::Approval(id) => id,
        JobRef::Job(id) => return job_items(model, id, writes.as_deref()),
    };
    let row = model.jobs.approvals.iter().find(|row| row.id == *id);
    row.map(|row| approval_items(model, row, writes)).unwrap_or_default()
}

fn approval_items(model: &Model, row: &ApprovalRow, writes: Option<String>) -> Vec<Item> {
    let own = (row.asked_by == model.operator).then(|| "asked for by you: another operator decides".to_owned());
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
    let item = |letter, label, act, possible: &[JobState]| {
        let refused = (!possible.contains(&job.state)).then(|| state(job.state).1.to_owned());
        Item {
            letter,
            label,
            question: Question::Steer { act, job: job.clone() },
            refused: writes.map(str::to_owned).or(refused.map(|state| format!("it is {state}"))),
        }
    };
    vec![
        item('p', "pause...", JobAct::Pause, &[JobState::Running]),
        item('r', "resume...", JobAct::Resume, &[JobState::Paused]),
        item('x', "stop for good...", JobAct::Stop, &[JobState::Running, JobState::Paused]),
    ]
}

pub(super) fn open_menu(model: &mut Model) {
    match model.jobs.chosen_ref() {
        Some(on) => model.overlay = Some(Overlay::JobActions { row: 0, on }),
        None => toast(model, "there is nothing to act on"),
    }
}

pub(super) fn menu_key(model: &mut Model, event: KeyEvent) -> Cmds {
    let Some(Overlay::JobActions { on, .. }) = &model.overlay else { return Vec::new() };
    let items = items(model, on);
    let Some(Overlay::JobActions { row, .. }) = &mut model.overlay else { return Vec::new() };
    let chosen = match event.code {
        KeyCode::Esc => {
            model.overlay = None;
            return Vec::new();
        }
        KeyCode::Down | KeyCode::Char('j') => {
            *row = moved(*row, 1, items.len());
            return Vec::new();
        }
        KeyCode::Up | KeyCode::Char('k') => {
            *row = moved(*row, -1, items.len());
            return Vec::new();
        }
        KeyCode::Char('W') => {
            super::dialogs::toggle_writes(model);
            return Vec::new();
        }
        KeyCode::Enter => items.into_iter().nth(*row),
        KeyCode::Char(letter) => items.into_iter().find(|item| item.letter == letter),
        _ => None,
    };
    let Some(item) = chosen else { return Vec::new() };
    match item.refused {
        Some(why) => toast(model, &why),
        None => model.overlay = Some(Overlay::Confirm(Box::new(Confirm::new(item.question, model.now)))),
    }
    Vec::new()
}

// ---------------------------------------------------------------------------------------------------------- question

pub(super) fn confirm_key(model: &mut Model, event: KeyEvent) -> Cmds {
    let now = model.now;
    let refused = model.writes_refused();
    let Some(Overlay::Confirm(confirm)) = &mut model.overlay else { return Vec::new() };
    if confirm.is_deaf(now) {
        return Vec::new();
    }
    match confirm.key(event, &model.reasons) {
        Outcome::Stay => Vec::new(),
        Outcome::Cancel => {
            model.overlay = None;
            Vec::new()
        }
        Outcome::Send => {
            if let Some(why) = refused {
                confirm.problem = Some(format!("{why}; Esc leaves, nothing changes"));
                return Vec::new();
            }
            confirm.sent = true;
            let request = confirm.request();
            if confirm.needs_reason() {
                let reason = confirm.reason.value().trim().to_owned();
                remember_reason(model, reason);
            }
            vec![ask(model, Slot::Write, request)]
        }
    }
}

/// A job was begun or steered.
pub(super) fn steered(model: &mut Model, row: JobRow) -> Cmds {
    let began = matches!(model.overlay, Some(Overlay::Bulk(_)));
    model.overlay = None;
    let word = state(row.state).1;
    toast(model, &format!("{}: {word}", title(&row)));
    model.jobs.chosen = Some(row.id.clone());
    if began {
        // Who was marked is in the job now; marks that stay would be acted on twice.
        model.users.marks = Marks::default();
        model.screen = Screen::Jobs;
        model.jobs.open = None;
        let id = row.id;
        let mut commands = read_jobs(model);
        commands.push(read_job(model, id));
        return commands;
    }
    read_jobs(model)
}
