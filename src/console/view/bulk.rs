//! The flow for many users: what, from when, the dry run, how sure, the countdown.

use ratatui::Frame;
use ratatui::text::{Line, Span};

use super::dialog::{LABEL_COLUMNS, buttons, labelled, underlined};
use super::{BoxLine, boxed, centred, field_text, put_lines, signed, toned};
use crate::app::jobs::JobDraft;
use crate::console::bulk::{Bulk, Deed, Part, Stage};
use crate::console::model::Model;
use crate::console::text::{cut, shown, thousands, wrap};
use crate::console::theme::Tone;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, bulk: &Bulk) {
    let columns = frame.area().width.min(80);
    let room = usize::from(columns).saturating_sub(4);
    let mut lines = lines(model, bulk, room);
    if let Some(problem) = &bulk.problem {
        lines.push("".into());
        let text = cut(&shown(problem), room.saturating_sub(2), model.theme.ellipsis());
        lines.push(Line::from(signed(model, Tone::Bad, &text)).into());
    }
    let outer = centred(frame, columns, lines.len() + 2);
    let title = bulk.deed.map_or("Many users", Deed::title);
    let inner = boxed(model, frame, outer, title, &users(bulk.count));
    put_lines(frame, inner, lines);
}

fn users(count: u64) -> String {
    if count == 1 { "1 user".to_owned() } else { format!("{} users", thousands(count)) }
}

fn lines(model: &Model, bulk: &Bulk, room: usize) -> Vec<BoxLine> {
    match &bulk.stage {
        Stage::Menu { row } => menu(model, bulk, *row, room),
        Stage::Date { input } => {
            let (text, at) = field_text(input, 12);
            vec![
                "Who has no device by then must enrol one at the next sign-in.".into(),
                "".into(),
                BoxLine {
                    line: Line::from(vec![Span::raw("From the day (UTC) "), underlined(text)]),
                    focused: true,
                    cursor: Some(19 + at),
                },
                "".into(),
                "Enter looks what would be done; Esc leaves, nothing changes.".into(),
            ]
        }
        Stage::Drafting => vec!["Looking what would be done ...".into(), "Esc leaves, nothing changes.".into()],
        Stage::Review { draft, focus, check, reason, typed } => {
            let mut lines = dry_run(model, draft, room);
            lines.push("".into());
            if draft.kind.wants_check() {
                lines.push(labelled(model, "Callers checked by", check, *focus == Part::Check, room));
            }
            lines.push(labelled(model, "Why (audit, 8+)", reason, *focus == Part::Reason, room));
            let label = format!("Type {}", draft.does);
            lines.push(labelled(model, &label, typed, *focus == Part::Typed, room.min(LABEL_COLUMNS + 12)));
            let note = "ten seconds follow in which Esc stops it";
            let chosen = [Part::Cancel, Part::Confirm].map(|part| *focus == part);
            let buttons = buttons(model, note, &format!("[ {} ]", title(bulk)), chosen, room);
            lines.push(BoxLine { focused: chosen.contains(&true), ..buttons });
            lines
        }
        Stage::Countdown { draft, .. } => {
            let left = bulk.seconds_left(model.now).unwrap_or(0);
            vec![
                Line::from(toned(model, Tone::Bad, format!("{} in {left} s: {}", title(bulk), users(draft.does))))
                    .into(),
                "".into(),
                Line::from(vec![toned(model, Tone::Key, "Esc"), Span::raw(" stops it, nothing changes.")]).into(),
            ]
        }
        Stage::Starting => vec!["Starting ...".into()],
    }
}

fn title(bulk: &Bulk) -> &'static str {
    bulk.deed.map_or("Begins", Deed::title)
}

fn menu(model: &Model, bulk: &Bulk, row: usize, room: usize) -> Vec<BoxLine> {
    let care = bulk.care.iter().flat_map(|care| wrap(care, room.saturating_sub(2)));
    let care = care.map(|line| Line::from(signed(model, Tone::Care, &line)).into());
    let deeds = Deed::ALL.into_iter().enumerate().map(|(index, deed)| {
        let refused = bulk.refusal(deed, model.writes_refused().as_deref(), model.is_mail_on());
        super::menu::item(model, index == row, deed.letter(), deed.label(), refused.as_deref())
    });
    care.chain(deeds).collect()
}

/// What a dry run found.
fn dry_run(model: &Model, draft: &JobDraft, room: usize) -> Vec<BoxLine> {
    let mut lines: Vec<BoxLine> = Vec::new();
    let does = format!("Dry run: {} of {} would be dealt with.", thousands(draft.does), users(draft.users));
    lines.push(Line::from(toned(model, Tone::Title, does)).into());
    if !draft.samples.is_empty() {
        let samples: Vec<String> = draft.samples.iter().map(|email| shown(email)).collect();
        let more = if draft.does > draft.samples.len() as u64 { ", ..." } else { "" };
        let text = format!("{}{more}", samples.join(", "));
        lines.extend(wrap(&text, room.saturating_sub(2)).into_iter().map(|line| format!("  {line}").into()));
    }
    for (why, count) in &draft.skipped {
        lines.push(format!("  skipped {:>9}  {}", thousands(*count), shown(why)).into());
    }
    lines
}
