//! The window that writes a list to a file.

use crossterm::event::{KeyCode, KeyEvent};

use super::ask::{ask, forget};
use super::{Cmds, toast};
use crate::console::export::{EXISTS, Export, Exported, Page, Stage, What};
use crate::console::field;
use crate::console::link::Request;
use crate::console::model::{Model, Overlay, Slot};
use crate::console::text::{count, shown};
use crate::error::Error;

pub(super) fn open_export(model: &mut Model, what: What) {
    model.overlay = Some(Overlay::Export(Box::new(Export::new(what))));
}

pub(super) fn export_key(model: &mut Model, event: KeyEvent) -> Cmds {
    let Some(Overlay::Export(export)) = &mut model.overlay else { return Vec::new() };
    match (export.stage, event.code) {
        (Stage::Writing { .. }, KeyCode::Esc) => return stop(model),
        (Stage::Asking | Stage::Exists, KeyCode::Esc) => {
            model.overlay = None;
            toast(model, "no file was written");
        }
        (Stage::Asking, KeyCode::Enter) if !export.path.value().trim().is_empty() => return first(model, false),
        (Stage::Exists, KeyCode::Char('y')) if event.modifiers.is_empty() => return first(model, true),
        (Stage::Exists, KeyCode::Char('n') | KeyCode::Backspace) => export.stage = Stage::Asking,
        (Stage::Asking, _) => {
            export.problem = None;
            field::edit(&mut export.path, event);
        }
        _ => {}
    }
    Vec::new()
}

/// Begins.
pub(super) fn first(model: &mut Model, replace: bool) -> Cmds {
    let Some(Overlay::Export(export)) = &mut model.overlay else { return Vec::new() };
    export.problem = None;
    export.stage = Stage::Writing { rows: 0 };
    let page = export.page(Page::First { replace });
    vec![ask(model, Slot::Export, Request::Export(page))]
}

pub(super) fn exported(model: &mut Model, page: &Exported) -> Cmds {
    let Some(Overlay::Export(export)) = &mut model.overlay else { return Vec::new() };
    let Stage::Writing { rows } = &mut export.stage else { return Vec::new() };
    *rows += page.rows;
    let rows = *rows;
    if let Some(next) = &page.next {
        let page = export.page(Page::Next(next.clone()));
        return vec![ask(model, Slot::Export, Request::Export(page))];
    }
    let path = export.file();
    model.overlay = None;
    toast(model, &format!("{} written to {}", count(rows, "line"), shown(&path.display().to_string())));
    Vec::new()
}

/// Leaves; nothing of what is written stays.
pub(super) fn stop(model: &mut Model) -> Cmds {
    let commands = discard(model);
    model.overlay = None;
    if !commands.is_empty() {
        toast(model, "stopped: no file was written");
    }
    commands
}

/// The server was lost.
pub(super) fn lost(model: &mut Model) -> Cmds {
    let commands = discard(model);
    if let Some(Overlay::Export(export)) = model.overlay.as_mut().filter(|_| !commands.is_empty()) {
        export.problem = Some("the server was lost: no file was written".to_owned());
    }
    commands
}

/// Ends the writing, if it is under way, and takes away what was written.
fn discard(model: &mut Model) -> Cmds {
    let Some(Overlay::Export(export)) = &mut model.overlay else { return Vec::new() };
    if !matches!(export.stage, Stage::Writing { .. }) {
        return Vec::new();
    }
    export.stage = Stage::Asking;
    let file = export.file();
    vec![forget(model, Slot::Export), ask(model, Slot::Export, Request::DiscardExport(file))]
}

/// The page could not be written, or not be read.
pub(super) fn refused(model: &mut Model, error: &Error, text: String) -> Cmds {
    let commands = if error.code() == EXISTS { Vec::new() } else { discard(model) };
    let Some(Overlay::Export(export)) = &mut model.overlay else { return commands };
    if error.code() == EXISTS {
        export.stage = Stage::Exists;
    } else {
        export.problem = Some(text);
    }
    commands
}
