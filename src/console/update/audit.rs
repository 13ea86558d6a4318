//! The Audit screen: the filter, the pages, the entry in full, the export.

use crossterm::event::{KeyCode, KeyEvent};

use super::ask::{ask, forget};
use super::browse::moved;
use super::{Cmds, PAGE_AHEAD};
use crate::app::audit::ListAudit;
use crate::console::audit_filter;
use crate::console::export::What;
use crate::console::field;
use crate::console::keys::Action;
use crate::console::link::Request;
use crate::console::model::{Model, Overlay, PAGE_ROWS, ROWS_MAX, Screen, Slot};

pub(super) fn open_audit(model: &mut Model) -> Cmds {
    model.screen = Screen::Audit;
    model.audit.typing = false;
    read_audit(model)
}

pub(super) fn read_audit(model: &mut Model) -> Cmds {
    if !model.is_connected() {
        return Vec::new();
    }
    // A page that was to be joined to the rows that are replaced.
    let mut commands = vec![forget(model, Slot::MoreAudit)];
    let request = page(model, None);
    commands.push(ask(model, Slot::Audit, request));
    commands
}

fn page(model: &Model, before: Option<u64>) -> Request {
    Request::Audit(ListAudit { filter: model.audit.filter.clone(), before, limit: PAGE_ROWS })
}

pub(super) fn step_audit(model: &mut Model, rows: isize) -> Cmds {
    let count = model.audit.rows().len();
    let index = moved(model.audit.chosen_index(), rows, count);
    model.audit.chosen = model.audit.rows().get(index).map(|row| row.number);
    let near_end = index + PAGE_AHEAD >= count && count < ROWS_MAX;
    match model.audit.next {
        Some(before) if near_end && model.is_connected() && !model.is_awaiting(Slot::MoreAudit) => {
            let request = page(model, Some(before));
            vec![ask(model, Slot::MoreAudit, request)]
        }
        _ => Vec::new(),
    }
}

/// Shows the entry under the cursor in full.
pub(super) fn open_entry(model: &mut Model) {
    if let Some(row) = model.audit.chosen_row() {
        model.overlay = Some(Overlay::Entry { row: Box::new(row.clone()), line: 0 });
    }
}

pub(super) fn filter_key(model: &mut Model, event: KeyEvent, action: Option<Action>) -> Cmds {
    match (event.code, action) {
        (KeyCode::Esc, _) | (_, Some(Action::Back)) if model.failure.take().is_some() => {}
        (KeyCode::Esc, _) | (_, Some(Action::Back)) => {
            model.audit.typing = false;
            model.audit.problem = None;
            model.audit.input = model.audit.applied.clone().into();
        }
        (_, Some(Action::ToList)) => return apply(model),
        _ => {
            field::edit(&mut model.audit.input, event);
        }
    }
    Vec::new()
}

/// Lists what is typed.
pub(super) fn apply(model: &mut Model) -> Cmds {
    match audit_filter::parse(model.audit.input.value(), model.now) {
        Ok(filter) => {
            model.audit.typing = false;
            model.audit.problem = None;
            model.audit.filter = filter;
            model.audit.input.value().clone_into(&mut model.audit.applied);
            model.audit.clear();
            read_audit(model)
        }
        Err(problem) => {
            model.audit.problem = Some(problem);
            Vec::new()
        }
    }
}

pub(super) fn clear_filter(model: &mut Model) -> Cmds {
    model.audit.input.reset();
    apply(model)
}

pub(super) fn export_audit(model: &mut Model) {
    let what = What::Audit(model.audit.filter.clone());
    super::export::open_export(model, what);
}
