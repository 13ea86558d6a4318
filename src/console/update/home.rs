//! The Home screen.

use super::Cmds;
use super::ask::ask;
use super::browse::moved;
use super::users::new_search;
use crate::app::overview::{Overview, ReadOverview};
use crate::console::link::Request;
use crate::console::model::{Focus, Model, Screen, Slot};

pub(super) fn open_home(model: &mut Model) -> Cmds {
    model.screen = Screen::Home;
    read_overview(model)
}

pub(super) fn read_overview(model: &mut Model) -> Cmds {
    if !model.is_connected() {
        return Vec::new();
    }
    vec![ask(model, Slot::Overview, Request::Overview(ReadOverview {}))]
}

pub(super) fn overview_read(model: &mut Model, overview: Box<Overview>) {
    model.home.row = model.home.row.min(overview.attention.len().saturating_sub(1));
    model.home.problem = None;
    model.home.overview = Some(overview);
}

pub(super) fn step_home(model: &mut Model, rows: isize) {
    let count = model.home.overview.as_ref().map_or(0, |overview| overview.attention.len());
    model.home.row = moved(model.home.row, rows, count);
}

/// Shows the users behind the line under the cursor.
pub(super) fn open_attention(model: &mut Model) -> Cmds {
    let Some(overview) = &model.home.overview else { return Vec::new() };
    let Some(item) = overview.attention.get(model.home.row) else { return Vec::new() };
    model.users.filters.clone_from(&item.filters);
    model.users.find.reset();
    model.screen = Screen::Users(Focus::List);
    new_search(model)
}
