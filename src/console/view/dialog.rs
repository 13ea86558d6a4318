//! The dialogs that make sure before anything is changed.

use ratatui::Frame;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use tui_input::Input;

use super::{BoxLine, boxed, centred, field_text, put_lines, signed, toned};
use crate::console::dialog::{CallerCheck, Deed, Dialog, Part, namesakes, warnings};
use crate::console::model::Model;
use crate::console::text::{cut, cut_email, fit, shown, width, wrap};
use crate::console::theme::Tone;

pub(super) const LABEL_COLUMNS: usize = 19;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, dialog: &Dialog) {
    let columns = frame.area().width.min(80);
    let room = usize::from(columns).saturating_sub(4);
    let lines = lines(model, dialog, room);
    let outer = centred(frame, columns, lines.len() + 2);
    let inner = boxed(model, frame, outer, dialog.deed.title(), "");
    put_lines(frame, inner, lines);
}

/// Asks root for a name.
pub(super) fn draw_name(model: &Model, frame: &mut Frame<'_>, input: &Input) {
    let outer = centred(frame, 60, 6);
    let inner = boxed(model, frame, outer, "Who is at the keyboard?", "");
    let (text, cursor) = field_text(input, 30);
    let mut field = BoxLine::from(Line::from(vec![Span::raw("Name for the audit: "), underlined(text)]));
    field.cursor = Some(20 + cursor);
    let lines = vec![
        "Root alone does not say who acts.".into(),
        field,
        "".into(),
        "Enter turns writes on for ten minutes; Esc leaves.".into(),
    ];
    put_lines(frame, inner, lines);
}

fn lines(model: &Model, dialog: &Dialog, room: usize) -> Vec<BoxLine> {
    let mut lines = who(model, dialog, room);
    for (tone, text) in dialog.background(model.now) {
        let texts = wrap(&text, room.saturating_sub(2)).into_iter().enumerate();
        lines.extend(texts.map(|(index, text)| match index {
            0 => signed(model, tone, &text).into_box(),
            _ => toned(model, tone, format!("  {text}")).into_box(),
        }));
    }
    lines.push("".into());
    if dialog.deed.needs_proof() {
        lines.extend(check_lines(model, dialog, room));
    }
    lines.push(labelled(model, "Why (audit, 8+)", &dialog.reason, dialog.focus == Part::Reason, room));
    if dialog.deed == Deed::Demand {
        let room = room.min(LABEL_COLUMNS + 12);
        lines.push(labelled(model, "From (day, or now)", &dialog.from, dialog.focus == Part::From, room));
    }
    lines.push("".into());
    lines.push(toned(model, Tone::Title, "This will, at once and for good:").into_box());
    lines.extend(step_lines(model, dialog, room));
    lines.push("".into());
    if dialog.deed.needs_proof() {
        lines.push(typed_line(model, dialog, room));
    }
    let confirm = match (dialog.sent, dialog.deed.needs_proof()) {
        (true, _) => "[ under way ]".to_owned(),
        (false, true) => format!("[ {} ]", dialog.deed.button()),
        (false, false) => format!("[ y  {} ]", dialog.deed.button()),
    };
    let chosen = [Part::Cancel, Part::Confirm].map(|part| dialog.focus == part);
    lines.push(buttons(model, "", &confirm, chosen, room));
    lines.push(last_line(model, dialog, room));
    lines
}

trait IntoBox {
    fn into_box(self) -> BoxLine;
}

impl IntoBox for Span<'static> {
    fn into_box(self) -> BoxLine {
        Line::from(self).into()
    }
}

fn who(model: &Model, dialog: &Dialog, room: usize) -> Vec<BoxLine> {
    let ellipsis = model.theme.ellipsis();
    let row = &dialog.detail.row;
    let role = if row.is_staff { "staff" } else { "user" };
    let tail = format!("   {role}   id {}", row.id);
    let name = cut(&shown(&row.name), room / 3, ellipsis);
    let rest = room.saturating_sub(width(&name) + width(&tail) + 3);
    let text = format!("{name}   {}{tail}", cut_email(&shown(&row.email), rest, ellipsis));
    let careful = namesakes(&dialog.detail).into_iter().chain(warnings(&dialog.detail));
    let careful =
        careful.map(|text| signed(model, Tone::Care, &cut(&text, room.saturating_sub(2), ellipsis)).into_box());
    std::iter::once(toned(model, Tone::Title, text).into_box()).chain(careful).collect()
}

/// The radio buttons, two on a line where they fit.
fn check_lines(model: &Model, dialog: &Dialog, room: usize) -> Vec<BoxLine> {
    let across = if room >= 74 { 2 } else { 1 };
    let mut lines = Vec::new();
    for (index, pair) in CallerCheck::ALL.chunks(across).enumerate() {
        let label = if index == 0 { "Caller checked by" } else { "" };
        let mut spans = vec![Span::raw(fit(label, LABEL_COLUMNS, ""))];
        let mut line_focused = false;
        let mut cursor = None;
        for check in pair {
            let chosen = dialog.check == Some(*check);
            let on_it =
                dialog.focus == Part::Check && (chosen || (dialog.check.is_none() && *check == CallerCheck::InPerson));
            let mark = if chosen { "(*) " } else { "( ) " };
            let text = format!("{mark}{}", check.label());
            let style = if on_it { model.theme.chosen() } else { Style::new() };
            spans.push(Span::styled(text, style));
            line_focused |= on_it;
            if chosen && check.needs_text() {
                spans.push(Span::raw(": "));
                let used: usize = spans.iter().map(Span::width).sum();
                let (text, at) = field_text(&dialog.check_text, room.saturating_sub(used).clamp(1, 22));
                spans.push(underlined(text));
                if dialog.focus == Part::CheckText {
                    line_focused = true;
                    cursor = Some(used + at);
                }
            }
            spans.push(Span::raw("  "));
        }
        lines.push(BoxLine { line: Line::from(spans), focused: line_focused, cursor });
    }
    lines
}

pub(super) fn underlined(text: String) -> Span<'static> {
    Span::styled(text, Style::new().add_modifier(Modifier::UNDERLINED))
}

/// A field behind its label.
pub(super) fn labelled(model: &Model, label: &str, input: &Input, focused: bool, room: usize) -> BoxLine {
    let (text, at) = field_text(input, room.saturating_sub(LABEL_COLUMNS).max(1));
    let style = if focused { model.theme.style(Tone::Title) } else { Style::new() };
    BoxLine {
        line: Line::from(vec![Span::styled(fit(label, LABEL_COLUMNS, ""), style), underlined(text)]),
        focused,
        cursor: focused.then_some(LABEL_COLUMNS + at),
    }
}

/// Cancel and the button that does it, at the right after a note; `chosen` says which of the two has the keyboard.
pub(super) fn buttons(model: &Model, note: &str, confirm: &str, chosen: [bool; 2], room: usize) -> BoxLine {
    let style = |chosen| if chosen { model.theme.chosen() } else { Style::new() };
    let line = Line::from(vec![
        toned(model, Tone::Quiet, fit(note, room.saturating_sub(width(confirm) + 14), "")),
        Span::styled("[ Cancel ]", style(chosen[0])),
        Span::raw("  "),
        Span::styled(confirm.to_owned(), style(chosen[1])),
    ]);
    BoxLine { line, focused: chosen[1], cursor: None }
}

fn step_lines(model: &Model, dialog: &Dialog, room: usize) -> Vec<BoxLine> {
    if dialog.deed != Deed::Reset {
        let pair = dialog.side_by_side(room.saturating_sub(4));
        let others = dialog.consequences(model.is_mail_on()).into_iter().skip(if pair.is_some() { 2 } else { 0 });
        let pair = pair.into_iter().flatten().map(|line| format!("    {line}").into());
        return pair.chain(others.flat_map(|text| wrap_step(&text, room))).collect();
    }
    let Some(steps) = dialog.steps() else { return vec!["  ...".into()] };
    let note_at = room.saturating_sub(15);
    steps
        .into_iter()
        .map(|(on, text, part)| {
            let mark = if on { "[x]" } else { "[ ]" };
            let note = if part.is_some() { "Space toggles" } else { "always" };
            let text = cut(&text, note_at.saturating_sub(7), model.theme.ellipsis());
            let focused = part == Some(dialog.focus);
            let line = Line::from(vec![
                Span::raw(fit(&format!("  {mark} {text}"), note_at, "")),
                toned(model, Tone::Quiet, note),
            ]);
            let line = if focused { line.style(model.theme.chosen()) } else { line };
            BoxLine { line, focused, cursor: None }
        })
        .collect()
}

fn wrap_step(text: &str, room: usize) -> Vec<BoxLine> {
    let lines = wrap(text, room.saturating_sub(4));
    lines
        .into_iter()
        .enumerate()
        .map(|(index, line)| if index == 0 { format!("  - {line}").into() } else { format!("    {line}").into() })
        .collect()
}

fn typed_line(model: &Model, dialog: &Dialog, room: usize) -> BoxLine {
    let label = if room >= 74 { "Type the part before the @ to go on:  " } else { "Part before the @:  " };
    let (right, all) = dialog.typed_right();
    let note = format!("  {right} of {all} match");
    let columns = room.saturating_sub(width(label) + width(&note)).max(1);
    let (text, at) = field_text(&dialog.typed, columns);
    let focused = dialog.focus == Part::Typed;
    BoxLine {
        line: Line::from(vec![
            Span::raw(label),
            underlined(text),
            toned(model, if right == all { Tone::Good } else { Tone::Quiet }, note),
        ]),
        focused,
        cursor: focused.then_some(width(label) + at),
    }
}

/// What stands in the way, else the command that does the same.
fn last_line(model: &Model, dialog: &Dialog, room: usize) -> BoxLine {
    let ellipsis = model.theme.ellipsis();
    if let Some(problem) = &dialog.problem {
        return signed(model, Tone::Bad, &cut(&shown(problem), room.saturating_sub(2), ellipsis)).into_box();
    }
    let email = shown(&dialog.detail.row.email);
    let command = match dialog.deed {
        Deed::Reset => format!("2fa reset {email}"),
        Deed::Unlock => format!("2fa unlock {email}"),
        Deed::Demand => format!("2fa demand {email}"),
        _ => return "".into(),
    };
    let text = format!("same as: doorward {command} --reason \"...\"");
    toned(model, Tone::Quiet, cut(&text, room, ellipsis)).into_box()
}
