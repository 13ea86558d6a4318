//! The Audit screen: the whole trail, newest first.

use ratatui::Frame;
use ratatui::text::Line;

use super::{body, put, toned};
use crate::console::model::Model;
use crate::console::theme::Tone;

/// Rows for the chosen entry in full, where there is room and where there is not.
const FULL_ROWS: u16 = 6;
const FULL_ROWS_LEAST: u16 = 3;
/// Rows of the terminal from which on there is room.
const ROOMY_ROWS: u16 = 20;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let area = body(frame.area(), 1);
    let head = "  AUDIT     WHEN    WHO             WHAT                     WHOM";
    put(frame, area, area.x, area.y, toned(model, Tone::Title, head));
    let Some(rows) = &model.audit.rows else {
        put(frame, area, area.x + 2, area.y + 1, "...");
        return;
    };
    if rows.is_empty() {
        put(frame, area, area.x + 2, area.y + 1, "No entries. Whatever happens to a user is written here.");
        return;
    }
    let chosen = model.audit.chosen_index();
    let full_rows = if model.size.1 >= ROOMY_ROWS { FULL_ROWS } else { FULL_ROWS_LEAST };
    let height = usize::from(area.height.saturating_sub(full_rows + 2));
    let hidden = chosen.saturating_sub(height / 2).min(rows.len().saturating_sub(height));
    let last = area.bottom().saturating_sub(full_rows + 1);
    for ((index, row), y) in rows.iter().enumerate().skip(hidden).zip(area.y + 1..last) {
        let mark = if index == chosen { ">" } else { " " };
        let line = Line::from(format!("{mark} {}", super::detail::entry(model, row, true)));
        put(frame, area, area.x, y, if index == chosen { line.style(model.theme.chosen()) } else { line });
    }
    if let Some(row) = rows.get(chosen) {
        put(frame, area, area.x, last, model.theme.lines().0.repeat(usize::from(area.width)));
        for (line, y) in super::detail::in_full(row, usize::from(area.width)).into_iter().zip(last + 1..area.bottom()) {
            put(frame, area, area.x + 1, y, line);
        }
    }
}
