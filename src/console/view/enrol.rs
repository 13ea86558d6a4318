//! Enrolment in person: the whole screen, with the QR code at its left.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{put, qr, signed, toned};
use crate::console::enrol::Enrol;
use crate::console::model::Model;
use crate::console::text::{cut, shown, wrap};
use crate::console::theme::Tone;
use crate::domain::totp::CODE_DIGITS;

/// Columns between the code and the words.
const GAP: u16 = 2;
/// Columns that the words beside a code need, and those of a code with a full quiet zone.
const WORDS_LEAST: u16 = 17;
const WORDS_ROOMY: u16 = 30;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, enrol: &Enrol) {
    let area = frame.area();
    let code = enrol.key.as_ref().filter(|_| !enrol.as_text).and_then(|key| {
        let room = |words: u16| (area.width.saturating_sub(words + GAP), area.height);
        let least = qr::Code::fitting(key, room(WORDS_LEAST), model.theme.unicode);
        qr::Code::fitting(key, room(WORDS_ROOMY), model.theme.unicode).or(least)
    });
    let mut words = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    if let Some(code) = &code {
        code.draw(frame, (area.x, area.y), enrol.is_inverted);
        words.x = area.x + code.columns() + GAP;
        words.width = area.right().saturating_sub(words.x);
    }
    for (line, y) in
        lines(model, enrol, usize::from(words.width), code.is_some()).into_iter().zip(words.y..words.bottom())
    {
        put(frame, words, words.x, y, line);
    }
}

fn lines(model: &Model, enrol: &Enrol, room: usize, is_drawn: bool) -> Vec<Line<'static>> {
    let ellipsis = model.theme.ellipsis();
    let mut lines = Vec::new();
    let text = |lines: &mut Vec<Line<'static>>, text: &str| lines.extend(wrap(text, room).into_iter().map(Line::from));
    let name = if enrol.name.is_empty() { String::new() } else { format!(": {}", shown(&enrol.name)) };
    let title = format!("Enrol in person{name}");
    lines.extend(wrap(&title, room).into_iter().map(|line| Line::from(toned(model, Tone::Title, line))));
    lines.push(Line::from(cut(&shown(&enrol.email), room, ellipsis)));
    lines.push(Line::default());
    match &enrol.key {
        Some(_) if is_drawn => text(&mut lines, "1 scan with the authenticator app"),
        Some(key) => {
            text(&mut lines, "1 type this key into the authenticator app:");
            lines.push(Line::default());
            // Groups stay whole, so that it can be read out.
            lines.extend(
                wrap(key.text.expose(), room.saturating_sub(3))
                    .into_iter()
                    .map(|line| Line::from(toned(model, Tone::Title, format!("  {line}")))),
            );
            lines.push(Line::default());
        }
        None => text(&mut lines, "1 the key is hidden for good; if the phone has it, go on, else Esc and begin anew"),
    }
    text(&mut lines, "2 type the six digits it shows, then Enter:");
    let digits: Vec<String> = (0..CODE_DIGITS)
        .map(|index| enrol.digits.chars().nth(index).map_or("_".to_owned(), |digit| digit.to_string()))
        .collect();
    let mut spans = vec![Span::raw("   "), toned(model, Tone::Title, digits.join(" "))];
    if enrol.sent {
        spans.push(Span::raw("  ..."));
    }
    lines.push(Line::from(spans));
    let tries =
        if enrol.tries_left == 1 { "1 try left".to_owned() } else { format!("{} tries left", enrol.tries_left) };
    lines.push(Line::from(format!("   {tries}")));
    if let Some(problem) = &enrol.problem {
        lines.push(Line::default());
        for (index, line) in wrap(&shown(problem), room.saturating_sub(2)).into_iter().enumerate() {
            lines.push(if index == 0 { signed(model, Tone::Bad, &line).into() } else { format!("  {line}").into() });
        }
    }
    lines.push(Line::default());
    if let Some(left) = enrol.seconds_left(model.now) {
        text(&mut lines, &format!("hidden in {left} s"));
    }
    lines.extend(keys(model, enrol, is_drawn));
    lines
}

fn keys(model: &Model, enrol: &Enrol, is_drawn: bool) -> Vec<Line<'static>> {
    let named = |key: &'static str, text: &'static str| {
        Line::from(vec![toned(model, Tone::Key, key), Span::raw(format!("  {text}"))])
    };
    let mut lines = vec![named("Esc", "hide, discard")];
    if is_drawn {
        lines.push(named("t", "no camera? key as text"));
        lines.push(named("i", "swap dark and light"));
    } else if enrol.as_text && enrol.key.is_some() {
        lines.push(named("t", "show the QR code"));
    } else if enrol.key.is_some() {
        lines.push(Line::from("no room for the QR code here"));
    }
    lines
}
