//! One user in full: read, followed, left.

use super::ask::ask;
use super::{Cmds, fail};
use crate::app::directory::InspectUser;
use crate::app::views::{UserDetail, UserRef};
use crate::console::link::Request;
use crate::console::model::{Focus, Model, Screen, Slot, Tab, Window};
use crate::console::view;
use crate::domain::time::Timestamp;

pub(super) fn inspect(model: &mut Model) -> Cmds {
    let Some(user) = model.users.chosen else { return Vec::new() };
    if !model.is_connected() {
        return Vec::new();
    }
    vec![ask(model, Slot::Inspect, Request::Inspect(InspectUser { user: UserRef(user.to_string()) }))]
}

/// The cursor of a tab follows the session, key or entry it is on, not the row number.
pub(super) fn user_read(model: &mut Model, detail: Box<UserDetail>, asked_at: Timestamp) {
    let chosen = model.chosen_in_tab();
    let rows = model.users.window.as_mut().map(Window::rows_mut).unwrap_or_default();
    let row = rows.iter_mut().find(|row| row.uuid == detail.row.uuid);
    if let Some(row) = row {
        row.clone_from(&detail.row);
    }
    model.detail = Some(detail);
    model.detail_asked_at = asked_at;
    let there = model.ids_in_tab();
    model.tab_marks.retain(|id| there.contains(id));
    let last = tab_rows(model).saturating_sub(1);
    let place = chosen.and_then(|id| model.ids_in_tab().iter().position(|other| *other == id));
    model.tab_row = place.unwrap_or_else(|| model.tab_row.min(last));
}

/// The chosen user was deleted: nobody else takes the place under the operator's hands.
pub(super) fn user_gone(model: &mut Model) {
    fail(model, "This user is no longer there.".to_owned());
    if let (Some(window), Some(user)) = (&mut model.users.window, model.users.chosen) {
        window.remove(user);
    }
    model.users.chosen = None;
    model.detail = None;
    if model.screen == Screen::Users(Focus::Detail) {
        model.screen = Screen::Users(Focus::List);
    }
}

pub(super) fn switch_tab(model: &mut Model, places: usize) {
    model.tab = model.tab.step(places);
    model.tab_row = 0;
    model.tab_marks.clear();
}

/// Rows of the present tab that the cursor can be on, or that can be the first one shown.
pub(super) fn tab_rows(model: &Model) -> usize {
    match model.tab {
        Tab::Sessions | Tab::Keys | Tab::Audit => model.ids_in_tab().len(),
        Tab::Overview | Tab::TwoFactor => view::detail::first_line_max(model) + 1,
    }
}
