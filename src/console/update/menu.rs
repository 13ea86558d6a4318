//! The menus of letters, all moved in and chosen from alike: a line by its letter, or the one the cursor is on.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::browse::{moved, page, steps};
use super::dialogs::{do_item, toggle_writes};
use super::filters::{add_filter, order_by};
use super::palette::copy_value;
use super::{Cmds, bulk, jobs};
use crate::console::bulk::{Deed, Stage};
use crate::console::keys::Action;
use crate::console::model::{FILTERS, Model, Overlay, SORTS};
use crate::console::{confirm, copy, dialog};

pub(super) fn menu_key(model: &mut Model, event: KeyEvent, action: Option<Action>) -> Cmds {
    let (letters, page) = (letters(model), page(model));
    let Some(row) = row(model) else { return Vec::new() };
    let is_letter = event.modifiers.difference(KeyModifiers::SHIFT).is_empty();
    let by_letter = letters.iter().position(|letter| is_letter && event.code == KeyCode::Char(*letter));
    let by_cursor = matches!(action, Some(Action::Open | Action::ShowAlone)).then_some(*row);
    if let Some(index) = by_letter {
        return choose(model, index, None);
    }
    if let Some(index) = by_cursor {
        return choose(model, index, action);
    }
    if let Some(rows) = steps(action, page) {
        *row = moved(*row, rows, letters.len());
    } else if action == Some(Action::Writes) {
        toggle_writes(model);
    } else if action == Some(Action::Back) {
        model.overlay = None;
    }
    Vec::new()
}

/// The line under the cursor.
fn row(model: &mut Model) -> Option<&mut usize> {
    match &mut model.overlay {
        Some(
            Overlay::Filters { row }
            | Overlay::Sorts { row }
            | Overlay::Actions { row, .. }
            | Overlay::Copy { row, .. }
            | Overlay::JobActions { row, .. },
        ) => Some(row),
        Some(Overlay::Bulk(bulk)) => match &mut bulk.stage {
            Stage::Menu { row } => Some(row),
            _ => None,
        },
        _ => None,
    }
}

/// The letters of the lines, in their order.
fn letters(model: &Model) -> Vec<char> {
    match &model.overlay {
        Some(Overlay::Filters { .. }) => FILTERS.iter().map(|(letter, ..)| *letter).collect(),
        Some(Overlay::Sorts { .. }) => SORTS.iter().map(|(letter, ..)| *letter).collect(),
        Some(Overlay::Actions { .. }) => dialog::items(model).iter().map(|item| item.letter).collect(),
        Some(Overlay::Copy { .. }) => copy::values(model).iter().map(|value| value.letter).collect(),
        Some(Overlay::JobActions { on, .. }) => confirm::items(model, on).iter().map(|item| item.letter).collect(),
        Some(Overlay::Bulk(_)) => Deed::ALL.iter().map(|deed| deed.letter()).collect(),
        _ => Vec::new(),
    }
}

fn choose(model: &mut Model, index: usize, action: Option<Action>) -> Cmds {
    match &model.overlay {
        // Shown alone is what there is to copy, and nothing else.
        Some(Overlay::Copy { alone, .. }) => {
            let alone = *alone || action == Some(Action::ShowAlone);
            copy_value(model, index, alone)
        }
        _ if action == Some(Action::ShowAlone) => Vec::new(),
        Some(Overlay::Filters { .. }) => match FILTERS.get(index) {
            Some((_, filter, _)) => add_filter(model, *filter),
            None => Vec::new(),
        },
        Some(Overlay::Sorts { .. }) => match SORTS.get(index) {
            Some((_, sort, ..)) => order_by(model, *sort),
            None => Vec::new(),
        },
        Some(Overlay::Actions { .. }) => {
            let item = dialog::items(model).into_iter().nth(index);
            item.map(|item| do_item(model, item)).unwrap_or_default()
        }
        Some(Overlay::JobActions { on, .. }) => {
            let item = confirm::items(model, on).into_iter().nth(index);
            item.map(|item| jobs::do_item(model, item)).unwrap_or_default()
        }
        Some(Overlay::Bulk(_)) => bulk::choose(model, index),
        _ => Vec::new(),
    }
}
