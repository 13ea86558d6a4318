//! Toasts and failures, and the list of those that were.

use crossterm::event::{KeyCode, KeyEvent};

use super::Cmds;
use super::browse::moved;
use crate::console::keys::Action;
use crate::console::model::{MESSAGES_KEPT, Message, Model, Overlay, Toast};
use crate::console::view;

pub(super) fn toast(model: &mut Model, text: &str) {
    model.toast = Some(Toast { text: text.to_owned(), since: model.now, stays: false });
    keep(model, text, false);
}

/// Said until it is dismissed.
pub(super) fn notice(model: &mut Model, text: &str) {
    toast(model, text);
    if let Some(toast) = &mut model.toast {
        toast.stays = true;
    }
}

/// Something failed: said until it is dismissed.
pub(super) fn fail(model: &mut Model, text: impl Into<String>) {
    let text = text.into();
    keep(model, &text, true);
    model.failure = Some(text);
}

fn keep(model: &mut Model, text: &str, is_failure: bool) {
    model.messages.push_front(Message { at: model.now, text: text.to_owned(), is_failure });
    model.messages.truncate(MESSAGES_KEPT);
    model.dirty = true;
}

pub(super) fn open_messages(model: &mut Model) {
    model.overlay = Some(Overlay::Messages { row: 0 });
}

/// Keys for what only can be read: messages, and a value alone.
pub(super) fn sheet_key(model: &mut Model, event: KeyEvent, action: Option<Action>) -> Cmds {
    let (count, page) = (model.messages.len(), usize::from(model.size.1 / 2));
    match &mut model.overlay {
        Some(Overlay::Messages { row }) => match action {
            Some(Action::Down) => *row = moved(*row, 1, count),
            Some(Action::Up) => *row = moved(*row, -1, count),
            Some(Action::PageDown) => *row = row.saturating_add(page).min(count.saturating_sub(1)),
            Some(Action::PageUp) => *row = row.saturating_sub(page),
            Some(Action::Close) => model.overlay = None,
            _ => {}
        },
        Some(Overlay::Entry { row, line }) => {
            let last = view::entry::facts(row).len();
            match action {
                Some(Action::Down) => *line = moved(*line, 1, last),
                Some(Action::Up) => *line = moved(*line, -1, last),
                Some(Action::PageDown) => *line = line.saturating_add(page).min(last.saturating_sub(1)),
                Some(Action::PageUp) => *line = line.saturating_sub(page),
                Some(Action::Close) => model.overlay = None,
                _ => {}
            }
        }
        // Whoever marks a text by hand must not lose it to a stray modifier; every real key closes.
        Some(Overlay::Alone(_)) if !matches!(event.code, KeyCode::Modifier(_)) => model.overlay = None,
        _ => {}
    }
    Vec::new()
}
