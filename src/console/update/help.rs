//! Help: opened from anywhere, filtered by typing.

use crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::browse::{moved, steps};
use super::deaf_since;
use crate::console::bulk::Stage;
use crate::console::field;
use crate::console::keys::Action;
use crate::console::model::{Help, Model, Overlay};
use crate::console::view;

pub(super) fn open_help(model: &mut Model) {
    model.help = Some(Help { place: model.place(), filter: Input::default(), row: 0 });
}

/// Whether the key that asks for help gets it: in a field of text it types, and what goes on unseen under help must wait
/// for nobody.
pub(super) fn has_help(model: &Model, event: KeyEvent) -> bool {
    let is_possible = match &model.overlay {
        Some(Overlay::Enrol(_) | Overlay::Alone(_)) => false,
        // What its answer opens must not lie unseen under help.
        Some(Overlay::Dialog(dialog)) => !dialog.sent,
        Some(Overlay::Bulk(bulk)) => {
            matches!(bulk.stage, Stage::Menu { .. } | Stage::Date { .. } | Stage::Review { .. })
        }
        _ => true,
    };
    is_possible && deaf_since(model).is_none() && !(model.is_typing() && field::takes(event))
}

pub(super) fn help_key(model: &mut Model, event: KeyEvent, action: Option<Action>) {
    let page = isize::try_from(model.size.1 / 2).unwrap_or(1);
    if event.code == KeyCode::Esc || action == Some(Action::Back) {
        model.help = None;
    } else if let Some(rows) = steps(action, page) {
        scroll_help(model, rows);
    } else if let Some(help) = &mut model.help
        && field::edit(&mut help.filter, event)
    {
        help.row = 0;
    }
}

pub(super) fn scroll_help(model: &mut Model, rows: isize) {
    let Some(count) = model.help.as_ref().map(|help| view::help::rows_to_scroll(model, help)) else { return };
    if let Some(help) = &mut model.help {
        help.row = moved(help.row, rows, count + 1);
    }
}
