//! The menus of letters: actions and filters.

use ratatui::Frame;
use ratatui::text::{Line, Span};

use super::{BoxLine, boxed, centred, put_lines, toned};
use crate::console::copy;
use crate::console::dialog;
use crate::console::keys::{Action, Place};
use crate::console::model::{FILTERS, JobRef, Model, SORTS};
use crate::console::text::{fit, shown};
use crate::console::theme::Tone;

pub(super) fn draw_actions(model: &Model, frame: &mut Frame<'_>, row: usize) {
    let items = dialog::items(model);
    let email = model.users.chosen_row().map(|user| shown(&user.email)).unwrap_or_default();
    let lines: Vec<BoxLine> = items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            let refused = item.refused.as_deref().map_or(String::new(), |why| format!("({why})"));
            let tone = if item.refused.is_some() { Tone::Quiet } else { Tone::Plain };
            line(model, index == row, item.letter, &fit(&item.label, 30, ""), tone, &refused)
        })
        .collect();
    let outer = centred(frame, 68, lines.len() + 2);
    let title = format!("Actions for {}", crate::console::text::cut_email(&email, 46, model.theme.ellipsis()));
    let inner = boxed(model, frame, outer, &title, "");
    put_lines(frame, inner, lines);
}

pub(super) fn draw_filters(model: &Model, frame: &mut Frame<'_>, row: usize) {
    let lines: Vec<BoxLine> = FILTERS
        .iter()
        .enumerate()
        .map(|(index, (letter, filter, meaning))| {
            let on = if model.users.filters.contains(filter) { " (on)" } else { "" };
            let label = fit(&filter.to_string(), 14, "");
            line(model, index == row, *letter, &label, Tone::Plain, &format!("{meaning}{on}"))
        })
        .collect();
    let outer = centred(frame, 58, lines.len() + 2);
    let inner = boxed(model, frame, outer, "Add filter", "in Find too: in:30d codes:<=1");
    put_lines(frame, inner, lines);
}

pub(super) fn draw_sorts(model: &Model, frame: &mut Frame<'_>, row: usize) {
    let lines: Vec<BoxLine> = SORTS
        .iter()
        .enumerate()
        .map(|(index, (letter, sort, name, ascending))| {
            let on = if model.users.sort == *sort { "(now)" } else { "" };
            let label = fit(&format!("{name} {}", model.theme.sorted(*ascending)), 18, "");
            line(model, index == row, *letter, &label, Tone::Plain, on)
        })
        .collect();
    let outer = centred(frame, 44, lines.len() + 2);
    let inner = boxed(model, frame, outer, "Order", "");
    put_lines(frame, inner, lines);
}

pub(super) fn draw_copy(model: &Model, frame: &mut Frame<'_>, row: usize, alone: bool) {
    let values = copy::values(model);
    let room = usize::from(frame.area().width.min(76)).saturating_sub(4 + 5 + 18);
    let lines: Vec<BoxLine> = values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            let text = crate::console::text::cut(&shown(&value.text), room, model.theme.ellipsis());
            line(model, index == row, value.letter, &fit(value.label, 18, ""), Tone::Plain, &text)
        })
        .collect();
    let outer = centred(frame, 76, lines.len() + 2);
    let hint = format!("{} shows it alone", model.keys.first(Place::Menu, Action::ShowAlone));
    let (title, hint) = if alone { ("Show alone", "") } else { ("Copy", hint.as_str()) };
    let inner = boxed(model, frame, outer, title, hint);
    put_lines(frame, inner, lines);
}

fn line(model: &Model, chosen: bool, letter: char, label: &str, tone: Tone, note: &str) -> BoxLine {
    let line = Line::from(vec![
        Span::raw(if chosen { "> " } else { "  " }),
        toned(model, Tone::Key, letter.to_string()),
        Span::raw("  "),
        toned(model, tone, label),
        toned(model, Tone::Quiet, note),
    ]);
    let line = if chosen { line.style(model.theme.chosen()) } else { line };
    BoxLine { line, focused: chosen, cursor: None }
}

/// What can be done to an approval or a job.
pub(super) fn draw_job_actions(model: &Model, frame: &mut Frame<'_>, row: usize, on: &JobRef) {
    let items = crate::console::confirm::items(model, on);
    let lines: Vec<BoxLine> = items
        .iter()
        .enumerate()
        .map(|(index, one)| item(model, index == row, one.letter, one.label, one.refused.as_deref()))
        .collect();
    let outer = centred(frame, 76, lines.len() + 2);
    let inner = boxed(model, frame, outer, "Actions", "");
    put_lines(frame, inner, lines);
}

/// A line of a menu of actions, greyed with its reason where it cannot be done.
pub(super) fn item(model: &Model, chosen: bool, letter: char, label: &str, refused: Option<&str>) -> BoxLine {
    let note = refused.map_or(String::new(), |why| format!("({why})"));
    let tone = if refused.is_some() { Tone::Quiet } else { Tone::Plain };
    line(model, chosen, letter, &fit(label, 32, ""), tone, &note)
}
