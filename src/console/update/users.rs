//! The list of users: search, filters, pages, the cursor.

use crossterm::event::KeyEvent;
use tui_input::Input;

use super::ask::ask;
use super::browse::moved;
use super::detail::inspect;
use super::help::open_help;
use super::palette::open_palette;
use super::{Cmds, PAGE_AHEAD};
use crate::app::directory::{FindUsers, ListFrom, UserRows};
use crate::console::field;
use crate::console::keys::Action;
use crate::console::link::Request;
use crate::console::model::{Focus, Model, PAGE_ROWS, ROWS_MAX, Screen, Slot};
use crate::domain::id::UserId;
use crate::domain::user_filter::{UserFilter, UserQuery, UserSort};

/// Most rows that one question may ask for.
pub(super) const FIND_MAX: usize = 500;

pub(super) fn find(model: &mut Model) -> Cmds {
    if !model.is_connected() {
        return Vec::new();
    }
    let limit = model.users.rows().len().clamp(PAGE_ROWS, FIND_MAX);
    model.last_found_at = model.now;
    model.awaited.retain(|awaited| awaited.slot != Slot::MoreUsers);
    let request = find_request(model, ListFrom::Start, limit);
    vec![ask(model, Slot::Find, request)]
}

pub(super) fn find_request(model: &Model, from: ListFrom, limit: usize) -> Request {
    let UserQuery { words, filters } = model.users.query();
    Request::Find(FindUsers { query: words, filters, sort: UserSort::default(), from, limit })
}

pub(super) fn new_search(model: &mut Model) -> Cmds {
    model.users.chosen = None;
    model.users.after = None;
    if let Some(rows) = &mut model.users.rows {
        rows.truncate(PAGE_ROWS);
    }
    find(model)
}

/// Whoever the cursor is on stays, also when he no longer matches, until something else is searched: the operator may
/// be about to act on him.
pub(super) fn users_found(model: &mut Model, found: UserRows, more: bool, took_ms: i64) -> Cmds {
    let users = &mut model.users;
    let chosen = users.chosen_index().zip(users.chosen_row().cloned());
    users.after = found.after;
    users.hits = found.hits;
    users.total = found.total;
    match &mut users.rows {
        Some(rows) if more => {
            let known = users.chosen;
            rows.extend(found.rows.into_iter().filter(|row| Some(row.uuid) != known));
        }
        rows => {
            *rows = Some(found.rows);
            users.took_ms = took_ms;
        }
    }
    if users.chosen_index().is_none()
        && let (Some((index, row)), Some(rows)) = (chosen, &mut users.rows)
    {
        rows.insert(index.min(rows.len()), row);
    }
    if users.chosen_index().is_none() {
        let first = users.rows().first().map(|row| row.uuid);
        return choose(model, first);
    }
    Vec::new()
}

pub(super) fn step_list(model: &mut Model, rows: isize) -> Cmds {
    let count = model.users.rows().len();
    let index = moved(model.users.chosen_index().unwrap_or(0), rows, count);
    let user = model.users.rows().get(index).map(|row| row.uuid);
    let mut commands = if user == model.users.chosen { Vec::new() } else { choose(model, user) };
    let near_end = index + PAGE_AHEAD >= count && count < ROWS_MAX;
    let free = !model.is_awaiting(Slot::MoreUsers) && !model.is_awaiting(Slot::Find);
    if near_end
        && free
        && model.is_connected()
        && let Some(after) = model.users.after.clone()
    {
        let request = find_request(model, ListFrom::After(after), PAGE_ROWS);
        commands.push(ask(model, Slot::MoreUsers, request));
    }
    commands
}

pub(super) fn choose(model: &mut Model, user: Option<UserId>) -> Cmds {
    model.users.chosen = user;
    model.tab_row = 0;
    inspect(model)
}

pub(super) fn find_key(model: &mut Model, event: KeyEvent, action: Option<Action>) -> Cmds {
    match action {
        Some(Action::ToList) => model.screen = Screen::Users(Focus::List),
        Some(Action::Help) if model.users.find.value().is_empty() => open_help(model),
        Some(Action::Palette) if model.users.find.value().is_empty() => open_palette(model),
        Some(Action::Back) if model.failure.take().is_some() => {}
        Some(Action::Back) if model.users.find.value().is_empty() => model.screen = Screen::Users(Focus::List),
        Some(Action::Back) => {
            model.users.find = Input::default();
            return new_search(model);
        }
        _ => {
            let before = model.users.query();
            if field::edit(&mut model.users.find, event) && model.users.query() != before {
                return new_search(model);
            }
        }
    }
    Vec::new()
}

pub(super) fn add_filter(model: &mut Model, filter: UserFilter) -> Cmds {
    model.overlay = None;
    model.users.filters.retain(|other| !other.same_kind(filter));
    model.users.filters.push(filter);
    new_search(model)
}

/// Goes to so many percent of the list.
pub(super) fn jump(model: &mut Model, percent: u8) -> Cmds {
    let count = model.users.rows().len();
    let index = count.saturating_sub(1) * usize::from(percent) / 100;
    let user = model.users.rows().get(index).map(|row| row.uuid);
    choose(model, user)
}
