//! The list of users: search, the window that is held of it, the cursor.

use crossterm::event::KeyEvent;
use tui_input::Input;

use super::Cmds;
use super::ask::{ask, refresh};
use super::detail::inspect;
use super::messages::toast;
use super::palette::open_palette;
use crate::app::directory::{CountUsers, FindUsers, ListFrom, UserRows};
use crate::console::field;
use crate::console::keys::{Action, Place};
use crate::console::link::Request;
use crate::console::model::{End, Focus, Goal, Model, Screen, Slot, WINDOW_PAGE_ROWS, Window};
use crate::console::view;
use crate::domain::id::UserId;
use crate::domain::user_filter::UserQuery;

/// Most rows that one question may ask for.
const FIND_MAX: usize = 500;
/// Rows between the cursor and an end of the window from which on more is asked for.
const AHEAD: usize = WINDOW_PAGE_ROWS / 2;

/// Shows the users; on the other screens nobody followed what happened to them.
pub(super) fn open_users(model: &mut Model, focus: Focus) -> Cmds {
    let was_shown = matches!(model.screen, Screen::Users(_));
    model.screen = Screen::Users(focus);
    if was_shown { Vec::new() } else { refresh(model) }
}

/// Reads the part of the list again that is held.
pub(super) fn find_again(model: &mut Model) -> Cmds {
    let held = model.users.rows().len().clamp(WINDOW_PAGE_ROWS, FIND_MAX);
    if model.users.is_former {
        return find(model, ListFrom::Start, WINDOW_PAGE_ROWS, Goal::First);
    }
    // The row that the window begins with is known by what lies behind it, so the new one begins a row later.
    let first = model.users.window.as_ref().and_then(|window| window.before().cloned());
    find(model, first.map_or(ListFrom::Start, ListFrom::After), held, Goal::Stay)
}

/// The cursor stays where the operator has it while something lies over the list, or one user is looked at in full: an
/// answer that is still to come does not move it.
pub(super) fn hold_still(model: &mut Model) {
    if model.is_covered() || model.screen == Screen::Users(Focus::Detail) {
        (model.users.goal, model.users.beyond) = (Goal::Stay, 0);
    }
}

/// Searches anew, as the words, the filters or the order have changed.
pub(super) fn new_search(model: &mut Model) -> Cmds {
    model.users.chosen = None;
    model.users.range_from = None;
    model.users.is_former = true;
    find(model, ListFrom::Start, WINDOW_PAGE_ROWS, Goal::First)
}

fn find(model: &mut Model, from: ListFrom, limit: usize, goal: Goal) -> Cmds {
    if !model.is_connected() {
        return Vec::new();
    }
    model.awaited.retain(|awaited| !matches!(awaited.slot, Slot::MoreUsers | Slot::FormerUsers | Slot::Count));
    model.users.goal = goal;
    model.users.beyond = 0;
    let request = find_request(model, from, limit);
    vec![ask(model, Slot::Find, request)]
}

fn find_request(model: &Model, from: ListFrom, limit: usize) -> Request {
    let UserQuery { words, filters } = model.users.query();
    Request::Find(FindUsers { query: words, filters, sort: model.users.sort, from, limit })
}

/// Whoever the cursor is on stays, also when he no longer matches, until something else is searched: the operator may
/// be about to act on him.
pub(super) fn users_found(model: &mut Model, found: UserRows, slot: Slot, took_ms: i64) -> Cmds {
    let users = &mut model.users;
    users.hits = found.hits;
    users.total = found.total;
    if let (Slot::MoreUsers | Slot::FormerUsers, Some(window)) = (slot, &mut users.window) {
        window.join(found, if slot == Slot::MoreUsers { End::Back } else { End::Front });
        let rows = std::mem::take(&mut users.beyond);
        return step_list(model, rows);
    }
    users.took_ms = took_ms;
    users.is_former = false;
    users.without_last = None;
    let chosen = users.chosen_index().zip(users.chosen_row().cloned());
    let mut window = Window::new(found);
    let goal = std::mem::take(&mut users.goal);
    if let (Goal::Stay, Some((index, row))) = (goal, chosen)
        && !window.rows().iter().any(|other| other.uuid == row.uuid)
    {
        window.insert(index, row);
    }
    users.window = Some(window);
    let goal_row = if goal == Goal::Last { users.rows().last() } else { users.rows().first() };
    let user = goal_row.map(|row| row.uuid);
    let mut commands = match goal {
        Goal::Stay if users.chosen_index().is_some() => Vec::new(),
        _ => choose(model, user),
    };
    commands.extend(count_without_last(model));
    commands.extend(read_on(model));
    commands
}

/// When nobody matches, how many would without the last filter.
fn count_without_last(model: &mut Model) -> Cmds {
    let mut query = model.users.query();
    let Some(last) = model.users.filters.last().filter(|_| model.users.rows().is_empty()) else { return Vec::new() };
    query.filters.retain(|filter| filter != last);
    vec![ask(model, Slot::Count, Request::Count(CountUsers { query: query.words, filters: query.filters }))]
}

/// Moves the cursor by so many rows; what lies beyond the window is asked for, and the rest of the way is gone then.
pub(super) fn step_list(model: &mut Model, rows: isize) -> Cmds {
    let Some(last) = model.users.rows().len().checked_sub(1) else { return Vec::new() };
    let index = model.users.chosen_index().unwrap_or(0);
    let target = isize::try_from(index).unwrap_or(isize::MAX).saturating_add(rows);
    let reached = usize::try_from(target).unwrap_or(0).min(last);
    let user = model.users.rows().get(reached).map(|row| row.uuid);
    let mut commands = if user == model.users.chosen { Vec::new() } else { choose(model, user) };
    commands.extend(read_on(model));
    let missing = target.saturating_sub_unsigned(reached);
    let awaited = if missing < 0 { Slot::FormerUsers } else { Slot::MoreUsers };
    model.users.beyond = if model.is_awaiting(awaited) { missing } else { 0 };
    commands
}

/// Asks for the next page on whichever side the cursor is near.
fn read_on(model: &mut Model) -> Cmds {
    let free = !model.is_awaiting(Slot::MoreUsers) && !model.is_awaiting(Slot::FormerUsers);
    if !free || model.users.is_former || model.is_awaiting(Slot::Find) || !model.is_connected() {
        return Vec::new();
    }
    let Some((window, index)) = model.users.window.as_ref().zip(model.users.chosen_index()) else { return Vec::new() };
    let at_end = index + AHEAD >= window.rows().len();
    let after = window.after().filter(|_| at_end).map(|place| (Slot::MoreUsers, ListFrom::After(place.clone())));
    let before = window.before().filter(|_| index < AHEAD);
    let before = before.map(|place| (Slot::FormerUsers, ListFrom::Before(place.clone())));
    let Some((slot, from)) = after.or(before) else { return Vec::new() };
    let request = find_request(model, from, WINDOW_PAGE_ROWS);
    vec![ask(model, slot, request)]
}

/// To the first row of the whole list.
pub(super) fn first(model: &mut Model) -> Cmds {
    if model.users.window.as_ref().is_some_and(|window| window.before().is_none()) {
        return step_list(model, isize::MIN / 2);
    }
    find(model, ListFrom::Start, WINDOW_PAGE_ROWS, Goal::First)
}

/// To the last row of the whole list.
pub(super) fn last(model: &mut Model) -> Cmds {
    if model.users.window.as_ref().is_some_and(|window| window.after().is_none()) {
        return step_list(model, isize::MAX / 2);
    }
    find(model, ListFrom::End, WINDOW_PAGE_ROWS, Goal::Last)
}

/// Goes to so many percent of the list.
pub(super) fn jump(model: &mut Model, percent: u8) -> Cmds {
    model.screen = Screen::Users(Focus::List);
    if !model.users.is_whole() {
        return match percent {
            100 => last(model),
            _ => find(model, ListFrom::Share(percent), WINDOW_PAGE_ROWS, Goal::First),
        };
    }
    let index = model.users.rows().len().saturating_sub(1) * usize::from(percent) / 100;
    let user = model.users.rows().get(index).map(|row| row.uuid);
    choose(model, user)
}

pub(super) fn choose(model: &mut Model, user: Option<UserId>) -> Cmds {
    model.users.line = line_of(model, user);
    model.users.chosen = user;
    model.tab_row = 0;
    model.tab_marks.clear();
    inspect(model)
}

/// The line on which a user's row is to stand: where it is, if it is in sight. A step over the edge turns half a page; a
/// page leaves the cursor on its line.
fn line_of(model: &Model, user: Option<UserId>) -> usize {
    let (first, height) = view::in_sight(model);
    let row = model.users.rows().iter().position(|row| Some(row.uuid) == user);
    let Some((before, row)) = model.users.chosen_index().zip(row) else { return 0 };
    if (first..first + height).contains(&row) {
        row - first
    } else if before.abs_diff(row) < height {
        height / 2
    } else {
        before.saturating_sub(first)
    }
}

pub(super) fn find_key(model: &mut Model, event: KeyEvent, action: Option<Action>) -> Cmds {
    match action {
        Some(Action::ToList) => model.screen = Screen::Users(Focus::List),
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

pub(super) fn drop_filter(model: &mut Model) -> Cmds {
    if model.users.filters.pop().is_some() {
        return new_search(model);
    }
    let key = model.keys.first(Place::List, Action::Filter);
    toast(model, &format!("there is no filter to drop: {key} adds one"));
    Vec::new()
}
