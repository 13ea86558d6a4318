//! The Audit screen: the whole trail, newest first.

use ratatui::Frame;
use ratatui::text::Line;

use super::{body, put, toned};
use crate::console::model::Model;
use crate::console::text::date_time;
use crate::console::theme::Tone;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let area = body(frame.area(), 1);
    let head = "  AUDIT     WHEN         WHO               WHOM                        WHAT";
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
    let height = usize::from(area.height).saturating_sub(3);
    let hidden = chosen.saturating_sub(height / 2).min(rows.len().saturating_sub(height));
    let last = area.bottom().saturating_sub(2);
    for ((index, row), y) in rows.iter().enumerate().skip(hidden).zip(area.y + 1..last) {
        let mark = if index == chosen { ">" } else { " " };
        let line = Line::from(format!("{mark} {}", super::detail::entry(model, row, true)));
        put(frame, area, area.x, y, if index == chosen { line.style(model.theme.chosen()) } else { line });
    }
    if let Some(row) = rows.get(chosen) {
        let checked = row.record.verified_by.as_deref().map(super::shown);
        let checked = checked.map_or(String::new(), |by| format!("   caller checked: {by}"));
        let text =
            format!("  #{}  {} UTC   request {}{checked}", row.number, date_time(row.record.at), row.record.request_id);
        put(frame, area, area.x, area.bottom().saturating_sub(1), toned(model, Tone::Quiet, text));
    }
}
