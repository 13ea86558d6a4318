//! Why a code is or is not accepted.

use ratatui::Frame;
use ratatui::text::{Line, Span};

use super::dialog::underlined;
use super::{BoxLine, boxed, centred, field_text, put_lines, signed, toned};
use crate::app::reset::CodeExplanation;
use crate::console::explain::{Explain, drift};
use crate::console::model::Model;
use crate::console::text::{cut_email, date_time, shown, time_of_day, wrap};
use crate::console::theme::Tone;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, explain: &Explain) {
    let columns = frame.area().width.min(76);
    let room = usize::from(columns).saturating_sub(4);
    let lines = lines(model, explain, room);
    let outer = centred(frame, columns, lines.len() + 2);
    let inner = boxed(model, frame, outer, "Why was a code refused?", "Esc closes");
    put_lines(frame, inner, lines);
}

fn lines(model: &Model, explain: &Explain, room: usize) -> Vec<BoxLine> {
    let email = cut_email(&shown(&explain.email), room, model.theme.ellipsis());
    let (text, at) = field_text(&explain.code, 12);
    let field = BoxLine {
        line: Line::from(vec![Span::raw("Code from the phone, or a backup code: "), underlined(text)]),
        focused: true,
        cursor: Some(39 + at),
    };
    let mut lines = vec![Line::from(toned(model, Tone::Title, email)).into(), "".into(), field, "".into()];
    match (&explain.answer, &explain.problem) {
        _ if explain.sent => lines.push("...".into()),
        (_, Some(problem)) => lines.extend(said(model, Tone::Bad, problem, room)),
        (Some(answer), None) => lines.extend(answer_lines(model, answer, room)),
        (None, None) => lines.push("Enter looks into it. The code is not used up.".into()),
    }
    lines
}

fn answer_lines(model: &Model, answer: &CodeExplanation, room: usize) -> Vec<BoxLine> {
    let (tone, word) = if answer.accepted { (Tone::Good, "accepted") } else { (Tone::Bad, "not accepted") };
    let mut lines: Vec<BoxLine> = vec![Line::from(signed(model, tone, word)).into()];
    lines.extend(wrap(&shown(&answer.explanation), room).into_iter().map(BoxLine::from));
    if let Some(drift) = answer.drift_steps.and_then(drift) {
        let tone = if answer.accepted { Tone::Plain } else { Tone::Care };
        lines.extend(said(model, tone, &drift, room));
    }
    let at = answer.server_time;
    let day: String = date_time(at).chars().take(10).collect();
    lines.push(format!("server time {day} {} UTC", time_of_day(at)).into());
    lines
}

fn said(model: &Model, tone: Tone, text: &str, room: usize) -> Vec<BoxLine> {
    let lines = wrap(&shown(text), room.saturating_sub(2)).into_iter().enumerate();
    lines
        .map(|(index, line)| match index {
            0 => Line::from(signed(model, tone, &line)).into(),
            _ => format!("  {line}").into(),
        })
        .collect()
}
