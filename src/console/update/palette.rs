//! The command palette and the copy menu: opened, moved in, carried out.

use crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::browse::{browse, moved, page, steps};
use super::dialogs::do_item;
use super::{Cmd, Cmds, toast, users};
use crate::console::copy;
use crate::console::dialog;
use crate::console::field;
use crate::console::keys::{Action, Place};
use crate::console::model::{Focus, Model, Overlay, Screen};
use crate::console::palette::{self, Command};

pub(super) fn open_palette(model: &mut Model) {
    let (place, user) = (model.place(), model.users.chosen);
    model.overlay = Some(Overlay::Palette { place, user, input: Input::default(), row: 0 });
}

pub(super) fn palette_key(model: &mut Model, event: KeyEvent, action: Option<Action>) -> Cmds {
    let page = page(model);
    let Some(Overlay::Palette { place, user, input, row }) = &model.overlay else { return Vec::new() };
    let entries = palette::entries(model, (*place, *user), input.value());
    let from = *place;
    let chosen = entries.get(*row).map(|entry| entry.command);
    let Some(Overlay::Palette { input, row, .. }) = &mut model.overlay else { return Vec::new() };
    match (action, event.code) {
        (Some(Action::Open), _) | (_, KeyCode::Enter) => {
            let Some(command) = chosen else { return Vec::new() };
            model.overlay = None;
            return carry_out(model, from, command);
        }
        (Some(Action::Back), _) | (_, KeyCode::Esc) => model.overlay = None,
        _ => match steps(action, page) {
            Some(rows) => *row = moved(*row, rows, entries.len()),
            None if field::edit(input, event) => *row = 0,
            None => {}
        },
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
    if copy::values(model).is_empty() {
        toast(model, "there is nothing to copy");
    } else {
        model.overlay = Some(Overlay::Copy { row: 0, alone });
    }
}

/// Sends a value to the terminal, or shows it alone.
pub(super) fn copy_value(model: &mut Model, index: usize, alone: bool) -> Cmds {
    let Some(value) = copy::values(model).into_iter().nth(index) else { return Vec::new() };
    if alone {
        model.overlay = Some(Overlay::Alone(value.text));
        return Vec::new();
    }
    model.overlay = None;
    toast(model, &format!("copy: the {} was sent to your terminal", value.label));
    vec![Cmd::Copy(value.text)]
}
