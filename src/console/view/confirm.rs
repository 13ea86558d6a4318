//! The question before a job is steered or a second operator decides.

use ratatui::Frame;
use ratatui::text::Line;

use super::dialog::{buttons, labelled};
use super::{BoxLine, boxed, centred, put_lines, signed, toned};
use crate::console::confirm::{Confirm, Part, Question};
use crate::console::model::Model;
use crate::console::text::{cut, shown, wrap};
use crate::console::theme::Tone;

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
        lines.push(labelled(model, "Why (audit, 8+)", &confirm.reason, confirm.focus == Part::Reason, room));
        lines.push("".into());
    }
    lines.push(Line::from(toned(model, Tone::Title, "This will:")).into());
    for text in confirm.consequences() {
        lines.extend(wrap(&shown(&text), room.saturating_sub(4)).into_iter().map(|line| format!("  - {line}").into()));
    }
    lines.push("".into());
    let text = if confirm.sent { "[ under way ]".to_owned() } else { format!("[ y  {} ]", confirm.title()) };
    let chosen = [Part::Cancel, Part::Confirm].map(|part| confirm.focus == part);
    lines.push(buttons(model, "", &text, chosen, room));
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
            vec![crate::console::jobs::title(job), format!("asked by {}: \"{}\"", job.asked_by, job.reason)]
        }
        Question::Approve(row) | Question::Refuse(row) => vec![
            format!("{}   {}", crate::console::jobs::operation(row.operation), row.email),
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
