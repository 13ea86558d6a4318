//! Help: opened from anywhere, filtered by typing.

use crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::{Cmds, place};
use crate::console::field;
use crate::console::keys::Action;
use crate::console::model::{Model, Overlay};

pub(super) fn open_help(model: &mut Model) {
    model.overlay = Some(Overlay::Help { place: place(model), filter: Input::default(), row: 0 });
}

pub(super) fn help_key(model: &mut Model, event: KeyEvent, action: Option<Action>) -> Cmds {
    let size = model.size.1;
    let Some(Overlay::Help { filter, row, .. }) = &mut model.overlay else { return Vec::new() };
    match (event.code, action) {
        (KeyCode::Esc, _) => model.overlay = None,
        (KeyCode::Up, _) => *row = row.saturating_sub(1),
        (KeyCode::Down, _) => *row = (*row + 1).min(100),
        (KeyCode::PageUp, _) => *row = row.saturating_sub(usize::from(size / 2)),
        (KeyCode::PageDown, _) => *row = (*row + usize::from(size / 2)).min(100),
        _ => {
            if field::edit(filter, event) {
                *row = 0;
            }
        }
    }
    Vec::new()
}
