//! What lies under a place of the screen.

use super::users;
use super::{Screen, body, tab_names};
use crate::console::model::{Focus, LinkState, Model};
use crate::console::text::width;
use crate::domain::id::UserId;
use ratatui::layout::Rect;

/// Something that can be clicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    Screen(Screen),
    Find,
    User(UserId),
}

/// What is drawn there, as far as it can be clicked.
#[must_use]
pub fn hit(model: &Model, column: u16, row: u16) -> Option<Hit> {
    if matches!(model.link, LinkState::Absent(_)) {
        return None;
    }
    let alone = model.screen == Screen::Users(Focus::Detail) && !model.is_wide();
    if row == 0 {
        return if alone { Some(Hit::Screen(Screen::Users(Focus::List))) } else { tab(model, column).map(Hit::Screen) };
    }
    if !matches!(model.screen, Screen::Users(_)) || alone {
        return None;
    }
    if row == 1 {
        return Some(Hit::Find);
    }
    let list = users::list_area(model, body(Rect::new(0, 0, model.size.0, model.size.1), super::USERS_TOP));
    let line = row.checked_sub(list.y).filter(|line| *line < list.height && column < list.right())?;
    let index = users::first_row(model, usize::from(list.height)) + usize::from(line);
    model.users.rows().get(index).map(|row| Hit::User(row.uuid))
}

/// The screen whose name stands there in the header: each takes its letters and one column on either side.
fn tab(model: &Model, column: u16) -> Option<Screen> {
    let mut left = 1;
    tab_names(model).find_map(|(screen, name)| {
        let right = left + width(&name) + 2;
        let here = (left..right).contains(&usize::from(column));
        left = right + 1;
        here.then_some(screen)
    })
}
