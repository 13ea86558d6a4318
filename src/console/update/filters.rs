//! The menus of filters and orders.

use super::Cmds;
use super::users::new_search;
use crate::console::model::{Model, Overlay, SORTS};
use crate::domain::user_filter::{UserFilter, UserSort};

pub(super) fn open_filters(model: &mut Model) {
    model.overlay = Some(Overlay::Filters { row: 0 });
}

pub(super) fn open_sorts(model: &mut Model) {
    let row = SORTS.iter().position(|(_, sort, ..)| *sort == model.users.sort).unwrap_or(0);
    model.overlay = Some(Overlay::Sorts { row });
}

pub(super) fn add_filter(model: &mut Model, filter: UserFilter) -> Cmds {
    model.overlay = None;
    model.users.filters.retain(|other| !other.same_kind(filter));
    model.users.filters.push(filter);
    new_search(model)
}

pub(super) fn order_by(model: &mut Model, sort: UserSort) -> Cmds {
    model.overlay = None;
    model.users.sort = sort;
    new_search(model)
}
