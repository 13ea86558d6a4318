//! The Jobs screen: what waits for a second operator, jobs, and the question before one is steered.

use crossterm::event::KeyEvent;

use super::ask::{ask, forget};
use super::browse::moved;
use super::{Cmd, Cmds, remember_reason, toast};
use crate::app::approvals::{ApprovalRow, ListApprovals};
use crate::app::jobs::{JobDetail, JobRow, ListJobs, ReadJob};
use crate::console::confirm::{Confirm, Item};
use crate::console::dialog::Outcome;
use crate::console::jobs::{state, title};
use crate::console::link::Request;
use crate::console::model::{Marks, Model, OpenJob, Overlay, Screen, Slot};
use crate::domain::job::JobState;

/// Results of a job that are read at once, and held.
const RESULTS: usize = 200;
/// Results on either side of the cursor that are to be held.
const RESULTS_AHEAD: usize = 50;

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

/// Jobs and approvals. What is new in the job that is open is read when its figures are here.
pub(super) fn read_jobs(model: &mut Model) -> Cmds {
    if !model.is_connected() {
        return Vec::new();
    }
    vec![
        ask(model, Slot::Jobs, Request::Jobs(ListJobs {})),
        ask(model, Slot::Approvals, Request::Approvals(ListApprovals {})),
    ]
}

/// Reads so many results behind the first ones.
fn read_job(model: &mut Model, id: String, after: usize, limit: usize) -> Cmd {
    ask(model, Slot::Job, Request::Job(ReadJob { id, after: Some(after as u64), limit }))
}

/// Reads the results around the cursor, if they are not held, else those that have changed.
fn read_results(model: &mut Model) -> Cmds {
    let Some(open) = model.jobs.open.as_ref().filter(|_| !model.is_awaiting(Slot::Job)) else { return Vec::new() };
    let start = open.cursor.saturating_sub(RESULTS_AHEAD);
    let end = (open.cursor + RESULTS_AHEAD).min(open.count());
    let (after, limit) = if start < open.first || open.end() < end {
        (open.cursor.saturating_sub(RESULTS / 2), RESULTS)
    } else if let Some((start, end)) = open.changed() {
        (start, end - start)
    } else {
        return Vec::new();
    };
    let id = open.row.id.clone();
    vec![read_job(model, id, after, limit)]
}

/// While one runs, its figures are read again each second.
pub(super) fn follow(model: &mut Model) -> Cmds {
    let running = model.jobs.rows.iter().flatten().any(|row| row.state == JobState::Running);
    let free = !model.is_awaiting(Slot::Jobs) && !model.is_awaiting(Slot::Job);
    if model.screen == Screen::Jobs && running && free { read_jobs(model) } else { Vec::new() }
}

pub(super) fn jobs_read(model: &mut Model, rows: Vec<JobRow>) -> Cmds {
    if let Some(open) = &mut model.jobs.open
        && let Some(row) = rows.iter().find(|row| row.id == open.row.id)
    {
        open.row = row.clone();
    }
    model.jobs.rows = Some(rows);
    model.jobs.problem = None;
    model.jobs.settle();
    read_results(model)
}

pub(super) fn approvals_read(model: &mut Model, rows: Vec<ApprovalRow>) {
    model.jobs.approvals = rows;
    model.jobs.settle();
}

/// Results were read. The cursor may have left them meanwhile; a page without any is not asked for again.
pub(super) fn job_read(model: &mut Model, detail: JobDetail) -> Cmds {
    if model.screen != Screen::Jobs {
        return Vec::new();
    }
    let is_empty = detail.results.is_empty();
    match model.jobs.open.as_mut().filter(|open| open.row.id == detail.row.id) {
        Some(open) => open.take(detail),
        None => model.jobs.open = Some(OpenJob::new(detail)),
    }
    if is_empty { Vec::new() } else { read_results(model) }
}

pub(super) fn step_jobs(model: &mut Model, rows: isize) -> Cmds {
    if let Some(open) = &mut model.jobs.open {
        open.cursor = moved(open.cursor, rows, open.count());
        return if model.is_connected() { read_results(model) } else { Vec::new() };
    }
    let ids = model.jobs.ids();
    let index = model.jobs.chosen_index().map_or(0, |index| moved(index, rows, ids.len()));
    model.jobs.chosen = ids.get(index).map(|id| (*id).to_owned());
    Vec::new()
}

/// Looks into the job under the cursor.
pub(super) fn open_job(model: &mut Model) -> Cmds {
    if model.jobs.open.is_some() || model.jobs.chosen_approval().is_some() {
        return Vec::new();
    }
    let Some(id) = model.jobs.chosen_job().map(|row| row.id.clone()) else { return Vec::new() };
    vec![read_job(model, id, 0, RESULTS)]
}

// -------------------------------------------------------------------------------------------------------------- menu

pub(super) fn open_menu(model: &mut Model) {
    match model.jobs.chosen_ref() {
        Some(on) => model.overlay = Some(Overlay::JobActions { row: 0, on }),
        None => toast(model, "there is nothing to act on"),
    }
}

pub(super) fn do_item(model: &mut Model, item: Item) -> Cmds {
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
        commands.push(read_job(model, id, 0, RESULTS));
        return commands;
    }
    read_jobs(model)
}
