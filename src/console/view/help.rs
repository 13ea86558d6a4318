//! Help for one screen, from the table of keys, with its own filter.

use ratatui::Frame;
use ratatui::layout::Position;
use ratatui::text::{Line, Span};

use super::{BoxLine, boxed, centred, field_text, put, put_lines, rows_beyond, toned};
use crate::console::keys::{Bound, Place};
use crate::console::model::{Help, Model};
use crate::console::text::{fit, wrap};
use crate::console::theme::Tone;

/// Columns of the keys.
const KEY_COLUMNS: usize = 14;

/// Rows that are not for its lines, other than those of every box: the message line and the filter.
const OTHER_ROWS: usize = 2;
const COLUMNS: u16 = 76;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, help: &Help) {
    let Help { place, filter, row } = help;
    let outer = centred(frame, COLUMNS, usize::from(frame.area().height).saturating_sub(3));
    let inner = boxed(model, frame, outer, &format!("Help: {}", name(*place)), "Esc closes");
    let lines = lines(model, help, usize::from(inner.width));
    let (text, cursor) = field_text(filter, 40);
    put(frame, inner, inner.x, inner.y, Line::from(vec![toned(model, Tone::Title, "Filter: "), Span::raw(text)]));
    frame.set_cursor_position(Position::new(inner.x + 8 + u16::try_from(cursor).unwrap_or(0), inner.y));
    let mut rest = inner;
    rest.y += 1;
    rest.height = rest.height.saturating_sub(1);
    let hidden = (*row).min(lines.len().saturating_sub(usize::from(rest.height)));
    put_lines(frame, rest, lines.into_iter().skip(hidden).collect());
}

/// Lines that there is no room for.
#[must_use]
pub fn rows_to_scroll(model: &Model, help: &Help) -> usize {
    let room = usize::from(model.size.0.min(COLUMNS)).saturating_sub(4);
    rows_beyond(model, lines(model, help, room).len(), OTHER_ROWS)
}

const fn name(place: Place) -> &'static str {
    match place {
        Place::Find => "Find",
        Place::List => "Users",
        Place::Detail => "one user",
        Place::Home => "Home",
        Place::Jobs => "Jobs",
        Place::Audit => "Audit",
        Place::AuditFilter => "filter of the trail",
        Place::Menu => "menus",
        Place::Dialog => "dialogs",
        Place::Panel => "results",
        Place::Help => "help",
        Place::Palette => "commands",
        Place::Sheet => "messages",
        Place::Absent => "no server",
    }
}

fn lines(model: &Model, help: &Help, room: usize) -> Vec<BoxLine> {
    let (place, filter) = (help.place, help.filter.value().to_lowercase());
    // Whoever asks in Find wants to know what comes behind it as well.
    let own: Vec<Bound<'_>> = model.keys.bindings(place).collect();
    let list = model
        .keys
        .bindings(Place::List)
        .filter(|bound| place == Place::Find && !own.iter().any(|other| other.binding.action == bound.binding.action));
    let keys = own.iter().copied().chain(list).map(|bound| (bound.shown(), bound.binding.help));
    let notes = [
        ("", "times are UTC; exact ones are on the 2FA tab and on Audit"),
        ("*", "on      o off      ! needs care      ~ waiting      x locked, failed"),
    ];
    keys.chain(notes.map(|(sign, text)| (sign.into(), text)))
        .filter(|(key, help)| help.to_lowercase().contains(&filter) || key.to_lowercase().contains(&filter))
        .flat_map(|(key, help)| {
            wrap(help, room.saturating_sub(KEY_COLUMNS)).into_iter().enumerate().map(move |(index, text)| {
                let key = if index == 0 { fit(&key, KEY_COLUMNS, "") } else { " ".repeat(KEY_COLUMNS) };
                Line::from(vec![toned(model, Tone::Key, key), Span::raw(text)]).into()
            })
        })
        .collect()
}
