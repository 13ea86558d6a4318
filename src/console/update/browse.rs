//! Keys where there is no field of text: movement, and the doors to everything else.

use super::Cmds;
use super::ask::refresh_all;
use super::audit::{clear_filter, export_audit, open_audit, open_entry, step_audit};
use super::detail::{switch_tab, tab_rows};
use super::dialogs::{open_actions, toggle_writes};
use super::filters::{open_filters, open_sorts};
use super::help::open_help;
use super::home::{open_attention, open_home, step_home};
use super::jobs::{leave_job, open_job, open_jobs, open_menu, step_jobs};
use super::link::{open_store, retry};
use super::marks::{mark, mark_all, mark_range, unmark};
use super::messages::open_messages;
use super::mouse::toggle_mouse;
use super::palette::{open_copy, open_palette};
use super::users::{drop_filter, first, last, open_users, step_list};
use crate::console::keys::Action;
use crate::console::model::{Focus, Model, Screen, Tab};

pub(super) fn browse(model: &mut Model, action: Option<Action>) -> Cmds {
    let Some(action) = action else { return Vec::new() };
    match action {
        Action::Home => return open_home(model),
        Action::Jobs => return open_jobs(model),
        Action::Actions if model.screen == Screen::Jobs => open_menu(model),
        Action::Open => return open(model),
        Action::Actions => open_actions(model),
        Action::Find => return open_users(model, Focus::Find),
        Action::Filter if model.screen == Screen::Audit => model.audit.typing = true,
        Action::DropFilter if model.screen == Screen::Audit => return clear_filter(model),
        Action::Export => export_audit(model),
        Action::Filter => open_filters(model),
        Action::Sort => open_sorts(model),
        Action::Mark => mark(model),
        Action::MarkRange => mark_range(model),
        Action::MarkAll => mark_all(model),
        Action::Unmark => unmark(model),
        Action::DropFilter => return drop_filter(model),
        Action::Copy => open_copy(model, false),
        Action::ShowAlone => open_copy(model, true),
        Action::Palette => open_palette(model),
        Action::Messages => open_messages(model),
        Action::Mouse => return toggle_mouse(model),
        Action::First if model.screen == Screen::Users(Focus::List) => return first(model),
        Action::Last if model.screen == Screen::Users(Focus::List) => return last(model),
        Action::Down | Action::Up | Action::PageDown | Action::PageUp | Action::First | Action::Last => {
            return steps(Some(action), page(model)).map(|rows| step(model, rows)).unwrap_or_default();
        }
        Action::NextTab => switch_tab(model, 1),
        Action::PreviousTab => switch_tab(model, Tab::ALL.len() - 1),
        Action::Back => return back(model),
        Action::Users => return open_users(model, Focus::List),
        Action::Audit => return open_audit(model),
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

/// What is under the cursor, in full.
fn open(model: &mut Model) -> Cmds {
    match model.screen {
        Screen::Users(_) => model.screen = Screen::Users(Focus::Detail),
        Screen::Home => return open_attention(model),
        Screen::Audit => open_entry(model),
        Screen::Jobs => return open_job(model),
    }
    Vec::new()
}

pub(super) fn back(model: &mut Model) -> Cmds {
    if model.failure.take().is_some() || model.toast.take().is_some() || model.users.range_from.take().is_some() {
        return Vec::new();
    }
    if model.screen == Screen::Jobs && model.jobs.open.is_some() {
        return leave_job(model);
    }
    open_users(model, Focus::List)
}

/// Rows of a page, less one to keep a line in sight.
pub(super) fn page(model: &Model) -> isize {
    isize::try_from(model.size.1).unwrap_or(24).saturating_sub(8).max(1)
}

/// Rows that a key moves the cursor by, wherever there is one.
pub(super) fn steps(action: Option<Action>, page: isize) -> Option<isize> {
    Some(match action? {
        Action::Down => 1,
        Action::Up => -1,
        Action::PageDown => page,
        Action::PageUp => -page,
        Action::First => isize::MIN / 2,
        Action::Last => isize::MAX / 2,
        _ => return None,
    })
}

pub(super) fn step(model: &mut Model, rows: isize) -> Cmds {
    match model.screen {
        Screen::Users(Focus::Detail) => {
            model.tab_row = moved(model.tab_row, rows, tab_rows(model));
            Vec::new()
        }
        Screen::Users(_) => step_list(model, rows),
        Screen::Audit => step_audit(model, rows),
        Screen::Home => {
            step_home(model, rows);
            Vec::new()
        }
        Screen::Jobs => step_jobs(model, rows),
    }
}

pub(super) fn moved(from: usize, rows: isize, count: usize) -> usize {
    from.saturating_add_signed(rows).min(count.saturating_sub(1))
}
