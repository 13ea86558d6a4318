//! Keys where there is no field of text: movement, and the doors to everything else.

use super::Cmds;
use super::ask::refresh_all;
use super::audit::{read_audit, step_audit};
use super::detail::{switch_tab, tab_rows};
use super::dialogs::{open_actions, toggle_writes};
use super::help::open_help;
use super::link::{open_store, retry};
use super::messages::open_messages;
use super::mouse::toggle_mouse;
use super::palette::{open_copy, open_palette};
use super::users::{new_search, step_list};
use crate::console::keys::Action;
use crate::console::model::{Focus, Model, Overlay, Screen, Tab};

pub(super) fn browse(model: &mut Model, action: Option<Action>) -> Cmds {
    let Some(action) = action else { return Vec::new() };
    match action {
        Action::Open => model.screen = Screen::Users(Focus::Detail),
        Action::Actions => open_actions(model),
        Action::Find => model.screen = Screen::Users(Focus::Find),
        Action::Filter => model.overlay = Some(Overlay::Filters { row: 0 }),
        Action::DropFilter => {
            if model.users.filters.pop().is_some() {
                return new_search(model);
            }
        }
        Action::Copy => open_copy(model, false),
        Action::ShowAlone => open_copy(model, true),
        Action::Palette => open_palette(model),
        Action::Messages => open_messages(model),
        Action::Mouse => return toggle_mouse(model),
        Action::Down => return step(model, 1),
        Action::Up => return step(model, -1),
        Action::PageDown => return step(model, page(model)),
        Action::PageUp => return step(model, -page(model)),
        Action::First => return step(model, isize::MIN / 2),
        Action::Last => return step(model, isize::MAX / 2),
        Action::NextTab => switch_tab(model, 1),
        Action::PreviousTab => switch_tab(model, Tab::ALL.len() - 1),
        Action::Back => back(model),
        Action::Users => model.screen = Screen::Users(Focus::List),
        Action::Audit => {
            model.screen = Screen::Audit;
            return read_audit(model);
        }
        Action::Writes => toggle_writes(model),
        Action::Refresh => return refresh_all(model),
        Action::Help => open_help(model),
        Action::Quit => model.quit = true,
        Action::OpenStore => return open_store(model),
        Action::Retry => return retry(model),
        Action::Enrol
        | Action::NextField
        | Action::PreviousField
        | Action::Toggle
        | Action::ToList
        | Action::Cancel
        | Action::Close
        | Action::Repaint
        | Action::Suspend
        | Action::Interrupt => {}
    }
    Vec::new()
}

pub(super) fn back(model: &mut Model) {
    if model.failure.take().is_some() || model.toast.take().is_some() {
        return;
    }
    model.screen = Screen::Users(Focus::List);
}

/// Rows of a page, less one to keep a line in sight.
pub(super) fn page(model: &Model) -> isize {
    isize::try_from(model.size.1).unwrap_or(24).saturating_sub(8).max(1)
}

pub(super) fn step(model: &mut Model, rows: isize) -> Cmds {
    match model.screen {
        Screen::Users(Focus::Detail) => {
            model.tab_row = moved(model.tab_row, rows, tab_rows(model));
            Vec::new()
        }
        Screen::Users(_) => step_list(model, rows),
        Screen::Audit => step_audit(model, rows),
        Screen::Home | Screen::Jobs => Vec::new(),
    }
}

pub(super) fn moved(from: usize, rows: isize, count: usize) -> usize {
    from.saturating_add_signed(rows).min(count.saturating_sub(1))
}
