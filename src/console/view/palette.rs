//! The command palette.

use ratatui::Frame;
use ratatui::layout::Position;
use ratatui::text::{Line, Span};
use tui_input::Input;

use super::{BoxLine, boxed, centred, field_text, put, put_lines, toned};
use crate::console::keys::Place;
use crate::console::model::Model;
use crate::console::palette::{Entry, entries};
use crate::console::text::{cut, fit};
use crate::console::theme::Tone;
use crate::domain::id::UserId;

const KEY_COLUMNS: usize = 10;
const NAME_COLUMNS: usize = 20;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, at: (Place, Option<UserId>), input: &Input, row: usize) {
    let entries = entries(model, at, input.value());
    let outer = centred(frame, 76, usize::from(frame.area().height).saturating_sub(3));
    let inner = boxed(model, frame, outer, "Commands", "Enter does it, Esc closes");
    let (text, cursor) = field_text(input, 40);
    put(frame, inner, inner.x, inner.y, Line::from(vec![toned(model, Tone::Title, ": "), Span::raw(text)]));
    frame.set_cursor_position(Position::new(inner.x + 2 + u16::try_from(cursor).unwrap_or(0), inner.y));
    let mut rest = inner;
    rest.y += 1;
    rest.height = rest.height.saturating_sub(1);
    if entries.is_empty() {
        put(frame, rest, rest.x, rest.y, "No command is called so. Esc closes.");
        return;
    }
    let room = usize::from(rest.width).saturating_sub(2 + KEY_COLUMNS + NAME_COLUMNS);
    let lines = entries.iter().enumerate().map(|(index, entry)| line(model, entry, index == row, room)).collect();
    put_lines(frame, rest, lines);
}

fn line(model: &Model, entry: &Entry, chosen: bool, room: usize) -> BoxLine {
    let tone = if entry.refused.is_some() { Tone::Quiet } else { Tone::Plain };
    let ellipsis = model.theme.ellipsis();
    let line = Line::from(vec![
        Span::raw(if chosen { "> " } else { "  " }),
        toned(model, tone, fit(&cut(&entry.name, NAME_COLUMNS - 1, ellipsis), NAME_COLUMNS, "")),
        toned(model, Tone::Key, fit(&entry.key, KEY_COLUMNS, "")),
        toned(model, Tone::Quiet, cut(&entry.help, room, ellipsis)),
    ]);
    let line = if chosen { line.style(model.theme.chosen()) } else { line };
    BoxLine { line, focused: chosen, cursor: None }
}
