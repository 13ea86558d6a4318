//! The Audit screen: the whole trail, newest first, and one entry of it in full.

use ratatui::Frame;
use ratatui::layout::Position;
use ratatui::text::{Line, Span};

use super::{BoxLine, body, boxed, centred, field_text, put, put_lines, put_right, rows_beyond, signed, toned};
use crate::app::views::AuditRow;
use crate::console::audit_filter::WORDS;
use crate::console::keys::{Action, Place};
use crate::console::model::Model;
use crate::console::text::{cut, fit, thousands, wrap};
use crate::console::theme::Tone;

/// Rows for the chosen entry in full, where there is room and where there is not.
const FULL_ROWS: u16 = 6;
const FULL_ROWS_LEAST: u16 = 3;
/// Rows of the terminal from which on there is room.
const ROOMY_ROWS: u16 = 20;
const LABEL_COLUMNS: usize = 12;
/// Columns of the box with one entry.
const ENTRY_COLUMNS: u16 = 100;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) {
    filter(model, frame);
    let area = body(frame.area(), 2);
    let head = "  AUDIT     WHEN    WHO             WHAT                     WHOM";
    match &model.audit.problem {
        Some(problem) => {
            let text = cut(problem, usize::from(area.width).saturating_sub(3), model.theme.ellipsis());
            put(frame, area, area.x + 1, area.y, Line::from(signed(model, Tone::Bad, &text)));
        }
        None => put(frame, area, area.x, area.y, toned(model, Tone::Title, head)),
    }
    let key = |action| model.keys.first(Place::Audit, action);
    let Some(rows) = &model.audit.rows else {
        if model.audit.problem.is_none() {
            put(frame, area, area.x + 2, area.y + 1, "...");
        }
        return;
    };
    if rows.is_empty() {
        let text = if model.audit.input.value().trim().is_empty() {
            "No entries. Whatever happens to a user is written here.".to_owned()
        } else if model.audit.next.is_some() {
            format!("Nothing among the newest entries; {} looks further back.", key(Action::Last))
        } else {
            format!("Nothing has happened that matches. {} drops the filter.", key(Action::DropFilter))
        };
        put(frame, area, area.x + 2, area.y + 1, text);
        return;
    }
    let chosen = model.audit.chosen_index();
    let full_rows = if model.size.1 >= ROOMY_ROWS { FULL_ROWS } else { FULL_ROWS_LEAST };
    let height = usize::from(area.height.saturating_sub(full_rows + 2));
    let hidden = chosen.saturating_sub(height / 2).min(rows.len().saturating_sub(height));
    let last = area.bottom().saturating_sub(full_rows + 1);
    for ((index, row), y) in rows.iter().enumerate().skip(hidden).zip(area.y + 1..last) {
        let mark = if index == chosen { ">" } else { " " };
        let line = Line::from(format!("{mark} {}", super::entry::line(model, row, true)));
        put(frame, area, area.x, y, if index == chosen { line.style(model.theme.chosen()) } else { line });
    }
    if let Some(row) = rows.get(chosen) {
        put(frame, area, area.x, last, model.theme.lines().0.repeat(usize::from(area.width)));
        for (line, y) in super::entry::in_full(row, usize::from(area.width)).into_iter().zip(last + 1..area.bottom()) {
            put(frame, area, area.x + 1, y, line);
        }
    }
}

/// The field of the filter, and the number the chain is at.
fn filter(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let live = if model.audit.follows() { "following  " } else { "" };
    let right = format!("{live}chain at #{} ", thousands(model.audit.newest));
    let room = usize::from(area.width).saturating_sub(9 + right.len() + 1);
    let (text, at) = field_text(&model.audit.input, room.max(1));
    let empty = model.audit.input.value().is_empty();
    let shown = match model.audit.typing {
        true if empty => toned(model, Tone::Quiet, cut(WORDS, room, model.theme.ellipsis())),
        false if empty => {
            toned(model, Tone::Quiet, format!("none: {} types one", model.keys.first(Place::Audit, Action::Filter)))
        }
        _ => Span::raw(text),
    };
    put(frame, area, 0, 1, Line::from(vec![toned(model, Tone::Title, " Filter: "), shown]));
    put_right(frame, area, 1, right);
    if model.audit.typing && model.overlay.is_none() {
        frame.set_cursor_position(Position::new(9 + u16::try_from(at).unwrap_or(0), 1));
    }
}

/// One entry with everything it says.
pub(super) fn draw_entry(model: &Model, frame: &mut Frame<'_>, row: &AuditRow, first: usize) {
    let lines = entry_lines(model, row);
    let outer = centred(frame, ENTRY_COLUMNS, lines.len() + 2);
    let inner = boxed(model, frame, outer, &format!("Audit #{}", thousands(row.number)), "Esc closes");
    let hidden = first.min(lines.len().saturating_sub(usize::from(inner.height)));
    put_lines(frame, inner, lines.into_iter().skip(hidden).collect());
}

/// How far its lines can be moved.
#[must_use]
pub fn rows_to_scroll(model: &Model, row: &AuditRow) -> usize {
    rows_beyond(model, entry_lines(model, row).len(), 0)
}

fn entry_lines(model: &Model, row: &AuditRow) -> Vec<BoxLine> {
    let room = usize::from(model.size.0.min(ENTRY_COLUMNS)).saturating_sub(4);
    super::entry::facts(row)
        .into_iter()
        .flat_map(|(label, text)| {
            let lines = wrap(&text, room.saturating_sub(LABEL_COLUMNS));
            let label = move |index: usize| if index == 0 { label.clone() } else { String::new() };
            lines.into_iter().enumerate().map(move |(index, line)| {
                let label = toned(model, Tone::Title, fit(&label(index), LABEL_COLUMNS, ""));
                Line::from(vec![label, Span::raw(line)]).into()
            })
        })
        .collect()
}
