//! The command palette and the copy menu: opened, moved in, carried out.

use crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::browse::{browse, moved};
use super::dialogs::{dialog_letter, do_item};
use super::{Cmd, Cmds, place, toast, users};
use crate::console::copy;
use crate::console::dialog;
use crate::console::field;
use crate::console::keys::{Action, Place};
use crate::console::model::{Focus, Model, Overlay, Screen};
use crate::console::palette::{self, Command};

pub(super) fn open_palette(model: &mut Model) {
    let (place, user) = (place(model), model.users.chosen);
    model.overlay = Some(Overlay::Palette { place, user, input: Input::default(), row: 0 });
}

pub(super) fn palette_key(model: &mut Model, event: KeyEvent, action: Option<Action>) -> Cmds {
    let Some(Overlay::Palette { place, user, input, row }) = &model.overlay else { return Vec::new() };
    let entries = palette::entries(model, (*place, *user), input.value());
    let (from, row) = (*place, *row);
    let rows = match (action, event.code) {
        (Some(Action::Open), _) | (_, KeyCode::Enter) => {
            let Some(entry) = entries.into_iter().nth(row) else { return Vec::new() };
            model.overlay = None;
            return carry_out(model, from, entry.command);
        }
        (Some(Action::Back), _) | (_, KeyCode::Esc) => {
            model.overlay = None;
            return Vec::new();
        }
        (_, KeyCode::Up) => moved(row, -1, entries.len()),
        (_, KeyCode::Down) => moved(row, 1, entries.len()),
        (_, KeyCode::PageUp) => moved(row, -10, entries.len()),
        (_, KeyCode::PageDown) => moved(row, 10, entries.len()),
        _ => {
            let Some(Overlay::Palette { input, .. }) = &mut model.overlay else { return Vec::new() };
            if field::edit(input, event) { 0 } else { row }
        }
    };
    if let Some(Overlay::Palette { row, .. }) = &mut model.overlay {
        *row = rows;
    }
    Vec::new()
}

fn carry_out(model: &mut Model, from: Place, command: Command) -> Cmds {
    if from == Place::Find && command != Command::Act(Action::Find) {
        model.screen = Screen::Users(Focus::List);
    }
    match command {
        Command::Act(action) => browse(model, Some(action)),
        Command::Deed(letter) => {
            let item = dialog::items(model).into_iter().find(|item| item.letter == letter);
            item.map(|item| do_item(model, item)).unwrap_or_default()
        }
        Command::Jump(percent) => users::jump(model, percent),
    }
}

/// Opens the copy menu; `alone`: to show a value instead.
pub(super) fn open_copy(model: &mut Model, alone: bool) {
    if !copy::values(model).is_empty() {
        model.overlay = Some(Overlay::Copy { row: 0, alone });
    }
}

pub(super) fn copy_key(model: &mut Model, event: KeyEvent, action: Option<Action>) -> Cmds {
    let Some(Overlay::Copy { row, alone }) = model.overlay else { return Vec::new() };
    let values = copy::values(model);
    let letter = match event.code {
        KeyCode::Char(letter) if dialog_letter(event) => Some(letter),
        _ => None,
    };
    let by_letter = values.iter().find(|value| Some(value.letter) == letter);
    let at_cursor = values.get(row).filter(|_| matches!(action, Some(Action::Open | Action::ShowAlone)));
    if let Some(value) = by_letter.or(at_cursor) {
        if alone || action == Some(Action::ShowAlone) {
            model.overlay = Some(Overlay::Alone(value.text.clone()));
            return Vec::new();
        }
        model.overlay = None;
        toast(model, &format!("the {} was sent to your terminal", value.label));
        return vec![Cmd::Copy(value.text.clone())];
    }
    match action {
        Some(Action::Down) => model.overlay = Some(Overlay::Copy { row: moved(row, 1, values.len()), alone }),
        Some(Action::Up) => model.overlay = Some(Overlay::Copy { row: moved(row, -1, values.len()), alone }),
        Some(Action::Back) => model.overlay = None,
        _ => {}
    }
    Vec::new()
}
