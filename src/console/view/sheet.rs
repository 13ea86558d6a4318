//! What only can be read: the last messages, and a value alone.

use ratatui::Frame;
use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;

use super::{BoxLine, boxed, centred, put, put_lines, signed};
use crate::console::model::Model;
use crate::console::text::{shown, time_of_day, width, wrap};
use crate::console::theme::Tone;

pub(super) fn draw_messages(model: &Model, frame: &mut Frame<'_>, row: usize) {
    let outer = centred(frame, 100, usize::from(frame.area().height).saturating_sub(3));
    let inner = boxed(model, frame, outer, "Messages", "newest first");
    let room = usize::from(inner.width).saturating_sub(12);
    let lines: Vec<BoxLine> = model
        .messages
        .iter()
        .skip(row)
        .flat_map(|message| {
            let texts = wrap(&shown(&message.text), room);
            let at = format!("{}  ", time_of_day(message.at));
            let is_failure = message.is_failure;
            texts.into_iter().enumerate().map(move |(index, text)| {
                let start = if index == 0 { at.clone() } else { " ".repeat(at.len()) };
                let text = if is_failure && index == 0 {
                    signed(model, Tone::Bad, &text)
                } else {
                    Span::raw(format!("  {text}"))
                };
                Line::from(vec![Span::raw(start), text]).into()
            })
        })
        .collect();
    if lines.is_empty() {
        put(frame, inner, inner.x, inner.y, "Nothing has been said yet. What was done and what failed is kept here.");
        return;
    }
    put_lines(frame, inner, lines);
}

/// Nothing but the value, from the left edge on, so that marking whole lines marks it.
pub(super) fn draw_alone(frame: &mut Frame<'_>, value: &str) {
    let area = frame.area();
    let columns = usize::from(area.width).max(1);
    let mut lines = vec![String::new()];
    for grapheme in shown(value).graphemes(true) {
        if lines.last().is_some_and(|line| width(line) + width(grapheme) > columns) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(grapheme);
        }
    }
    for (line, y) in lines.into_iter().zip(area.y..area.bottom()) {
        put(frame, area, area.x, y, line);
    }
    put(frame, area, area.x, area.bottom().saturating_sub(1), "Any key closes.");
}
