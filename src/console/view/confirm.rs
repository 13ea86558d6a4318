//! The question before a job is steered or a second operator decides.

use ratatui::Frame;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::dialog::underlined;
use super::{BoxLine, boxed, centred, field_text, put_lines, signed, toned};
use crate::console::confirm::{Confirm, Part, Question};
use crate::console::model::Model;
use crate::console::text::{cut, fit, shown, width, wrap};
use crate::console::theme::Tone;

const LABEL_COLUMNS: usize = 19;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, confirm: &Confirm) {
    let columns = frame.area().width.min(80);
    let room = usize::from(columns).saturating_sub(4);
    let lines = lines(model, confirm, room);
    let outer = centred(frame, columns, lines.len() + 2);
    let inner = boxed(model, frame, outer, confirm.title(), "");
    put_lines(frame, inner, lines);
}

fn lines(model: &Model, confirm: &Confirm, room: usize) -> Vec<BoxLine> {
    let mut lines = about(model, confirm, room);
    lines.push("".into());
    if confirm.needs_reason() {
        let (text, at) = field_text(&confirm.reason, room.saturating_sub(LABEL_COLUMNS).max(1));
        let focused = confirm.focus == Part::Reason;
        let style = if focused { model.theme.style(Tone::Title) } else { Style::new() };
        lines.push(BoxLine {
            line: Line::from(vec![Span::styled(fit("Why (audit, 8+)", LABEL_COLUMNS, ""), style), underlined(text)]),
            focused,
            cursor: focused.then_some(LABEL_COLUMNS + at),
        });
        lines.push("".into());
    }
    lines.push(Line::from(toned(model, Tone::Title, "This will:")).into());
    for text in confirm.consequences() {
        lines.extend(wrap(&shown(&text), room.saturating_sub(4)).into_iter().map(|line| format!("  - {line}").into()));
    }
    lines.push("".into());
    lines.push(buttons(model, confirm, room));
    lines.push(match &confirm.problem {
        Some(problem) => {
            let text = cut(&shown(problem), room.saturating_sub(2), model.theme.ellipsis());
            Line::from(signed(model, Tone::Bad, &text)).into()
        }
        None => "".into(),
    });
    lines
}

/// What it is about.
fn about(model: &Model, confirm: &Confirm, room: usize) -> Vec<BoxLine> {
    let texts = match &confirm.question {
        Question::Steer { job, .. } => {
            vec![super::jobs::title(job), format!("asked by {}: \"{}\"", job.asked_by, job.reason)]
        }
        Question::Approve(row) | Question::Refuse(row) => vec![
            format!("{}   {}", super::jobs::operation(&row.operation), row.email),
            format!("asked by {}: \"{}\"", row.asked_by, row.reason),
        ],
    };
    let mut lines = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        for line in wrap(&shown(text), room) {
            let tone = if index == 0 { Tone::Title } else { Tone::Plain };
            lines.push(Line::from(toned(model, tone, line)).into());
        }
    }
    lines
}

fn buttons(model: &Model, confirm: &Confirm, room: usize) -> BoxLine {
    let text = if confirm.sent { "[ under way ]".to_owned() } else { format!("[ y  {} ]", confirm.title()) };
    let style = |part| if confirm.focus == part { model.theme.chosen() } else { Style::new() };
    let line = Line::from(vec![
        Span::raw(" ".repeat(room.saturating_sub(width(&text) + 14))),
        Span::styled("[ Cancel ]", style(Part::Cancel)),
        Span::raw("  "),
        Span::styled(text, style(Part::Confirm)),
    ]);
    BoxLine { line, focused: confirm.focus == Part::Confirm, cursor: None }
}
