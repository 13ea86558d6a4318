//! Clicks and the wheel, where they are taken at all. They move and choose; nothing is ever changed by them.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::browse::{browse, step};
use super::help::scroll_help;
use super::messages::scroll_sheet;
use super::users::choose;
use super::{Cmd, Cmds, toast};
use crate::console::keys::Action;
use crate::console::model::{Focus, Model, Screen};
use crate::console::view::{self, Hit};

/// Rows that one notch of the wheel moves.
const WHEEL_ROWS: isize = 3;

pub(super) fn toggle_mouse(model: &mut Model) -> Cmds {
    model.mouse = !model.mouse;
    toast(
        model,
        if model.mouse { "clicks and the wheel come to the console" } else { "the mouse is the terminal's again" },
    );
    vec![Cmd::Mouse(model.mouse)]
}

pub(super) fn mouse(model: &mut Model, event: MouseEvent) -> Cmds {
    if model.is_too_small() {
        return Vec::new();
    }
    let rows = match event.kind {
        MouseEventKind::ScrollDown => WHEEL_ROWS,
        MouseEventKind::ScrollUp => -WHEEL_ROWS,
        MouseEventKind::Down(MouseButton::Left) => return click(model, event.column, event.row),
        _ => return Vec::new(),
    };
    model.dirty = true;
    if model.help.is_some() {
        scroll_help(model, rows);
    } else if model.overlay.is_some() {
        scroll_sheet(model, rows);
    } else {
        return step(model, rows);
    }
    Vec::new()
}

fn click(model: &mut Model, column: u16, row: u16) -> Cmds {
    if model.is_covered() {
        return Vec::new();
    }
    model.dirty = true;
    match view::hit(model, column, row) {
        Some(Hit::Screen(Screen::Home)) => browse(model, Some(Action::Home)),
        Some(Hit::Screen(Screen::Jobs)) => browse(model, Some(Action::Jobs)),
        Some(Hit::Screen(Screen::Audit)) => browse(model, Some(Action::Audit)),
        Some(Hit::Screen(Screen::Users(_))) => browse(model, Some(Action::Users)),
        Some(Hit::Find) => browse(model, Some(Action::Find)),
        Some(Hit::User(user)) if model.users.chosen == Some(user) && model.screen == Screen::Users(Focus::List) => {
            browse(model, Some(Action::Open))
        }
        Some(Hit::User(user)) => {
            model.screen = Screen::Users(Focus::List);
            choose(model, Some(user))
        }
        None => Vec::new(),
    }
}
