//! Toasts and failures, and the list of those that were.

use crossterm::event::{KeyCode, KeyEvent};

use super::browse::{moved, steps};
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
pub(super) fn sheet_key(model: &mut Model, event: KeyEvent, action: Option<Action>) {
    if let Some(Overlay::Alone(_)) = model.overlay {
        // Whoever marks a text by hand must not lose it to a stray modifier; every real key closes.
        if !matches!(event.code, KeyCode::Modifier(_)) {
            model.overlay = None;
        }
    } else if action == Some(Action::Close) {
        model.overlay = None;
    } else if let Some(rows) = steps(action, isize::try_from(model.size.1 / 2).unwrap_or(1)) {
        scroll_sheet(model, rows);
    }
}

pub(super) fn scroll_sheet(model: &mut Model, rows: isize) {
    let count = match &model.overlay {
        Some(Overlay::Messages { .. }) => model.messages.len(),
        Some(Overlay::Entry { row, .. }) => view::audit::rows_to_scroll(model, row) + 1,
        _ => return,
    };
    if let Some(Overlay::Messages { row: first } | Overlay::Entry { line: first, .. }) = &mut model.overlay {
        *first = moved(*first, rows, count);
    }
}
