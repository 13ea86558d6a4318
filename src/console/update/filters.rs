//! The menus of filters and orders.

use crossterm::event::{KeyCode, KeyEvent};

use super::Cmds;
use super::browse::moved;
use super::dialogs::dialog_letter;
use super::users::new_search;
use crate::console::keys::Action;
use crate::console::model::{FILTERS, Model, Overlay, SORTS};
use crate::domain::user_filter::{UserFilter, UserSort};

pub(super) fn open_filters(model: &mut Model) {
    model.overlay = Some(Overlay::Filters { row: 0 });
}

pub(super) fn open_sorts(model: &mut Model) {
    let row = SORTS.iter().position(|(_, sort, ..)| *sort == model.users.sort).unwrap_or(0);
    model.overlay = Some(Overlay::Sorts { row });
}

pub(super) fn filters_key(model: &mut Model, event: KeyEvent, action: Option<Action>) -> Cmds {
    let letter = match event.code {
        KeyCode::Char(letter) if dialog_letter(event) => Some(letter),
        _ => None,
    };
    let chosen =
        |index: usize, of: char, row: usize| Some(of) == letter || (action == Some(Action::Open) && index == row);
    let count = match &model.overlay {
        Some(Overlay::Filters { row }) => {
            let found = FILTERS.iter().enumerate().find(|(index, (of, ..))| chosen(*index, *of, *row));
            if let Some((_, (_, filter, _))) = found {
                return add_filter(model, *filter);
            }
            FILTERS.len()
        }
        Some(Overlay::Sorts { row }) => {
            let found = SORTS.iter().enumerate().find(|(index, (of, ..))| chosen(*index, *of, *row));
            if let Some((_, (_, sort, ..))) = found {
                return order_by(model, *sort);
            }
            SORTS.len()
        }
        _ => return Vec::new(),
    };
    let Some(Overlay::Filters { row } | Overlay::Sorts { row }) = &mut model.overlay else { return Vec::new() };
    match action {
        Some(Action::Down) => *row = moved(*row, 1, count),
        Some(Action::Up) => *row = moved(*row, -1, count),
        Some(Action::Back) => model.overlay = None,
        _ => {}
    }
    Vec::new()
}

fn add_filter(model: &mut Model, filter: UserFilter) -> Cmds {
    model.overlay = None;
    model.users.filters.retain(|other| !other.same_kind(filter));
    model.users.filters.push(filter);
    new_search(model)
}

fn order_by(model: &mut Model, sort: UserSort) -> Cmds {
    model.overlay = None;
    model.users.sort = sort;
    new_search(model)
}
