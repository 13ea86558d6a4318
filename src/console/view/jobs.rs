//! The Jobs screen: what waits for a second operator, the jobs, and what one did user by user.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{body, put, signed, toned};
use crate::app::approvals::ApprovalRow;
use crate::app::jobs::JobRow;
use crate::console::jobs::{asker, operation, outcome, state, summary, title};
use crate::console::keys::{Action, Place};
use crate::console::model::{Model, OpenJob};
use crate::console::text::{ago, cut, cut_email, fit, shown, thousands, until};
use crate::console::theme::Tone;

/// Columns of a bar between its brackets.
const BAR_COLUMNS: usize = 10;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let area = body(frame.area(), 1);
    match &model.jobs.open {
        Some(open) => one(model, frame, area, open),
        None => all(model, frame, area),
    }
}

fn all(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let room = usize::from(area.width);
    let mut lines: Vec<(Line<'static>, bool)> = Vec::new();
    if !model.jobs.approvals.is_empty() {
        lines.push((toned(model, Tone::Title, " WAITING FOR A SECOND OPERATOR").into(), false));
        for row in &model.jobs.approvals {
            lines.push((approval_line(model, row, room), model.jobs.is_chosen(&row.id)));
            let told = shown(&row.told());
            if !told.is_empty() {
                lines.push((Line::from(cut(&format!("     {told}"), room, model.theme.ellipsis())), false));
            }
        }
        lines.push((Line::default(), false));
    }
    lines.push((toned(model, Tone::Title, " JOBS").into(), false));
    if let Some(problem) = &model.jobs.problem {
        let problem = signed(model, Tone::Bad, &shown(problem));
        lines.push((Line::from(vec![Span::raw("   "), problem]), false));
    }
    match &model.jobs.rows {
        None if model.jobs.problem.is_some() => {}
        None => lines.push((Line::from("   ..."), false)),
        Some(rows) if rows.is_empty() => {
            let [mark, all, act] =
                [Action::Mark, Action::MarkAll, Action::Actions].map(|action| model.keys.first(Place::List, action));
            let text =
                format!("   No jobs. Mark users ({mark}, or {all} for all) and press {act} there: that makes one.");
            lines.push((Line::from(cut(&text, room, model.theme.ellipsis())), false));
        }
        Some(rows) => {
            for row in rows {
                lines.push((job_line(model, row, room), model.jobs.is_chosen(&row.id)));
            }
        }
    }
    let chosen = lines.iter().position(|(_, chosen)| *chosen).unwrap_or(0);
    let hidden = (chosen + 2).saturating_sub(usize::from(area.height)).min(lines.len());
    for ((line, is_chosen), y) in lines.into_iter().skip(hidden).zip(area.y..area.bottom()) {
        put(frame, area, area.x, y, if is_chosen { line.style(model.theme.chosen()) } else { line });
        if is_chosen {
            put(frame, area, area.x + 1, y, Span::styled(">", model.theme.chosen()));
        }
    }
}

fn approval_line(model: &Model, row: &ApprovalRow, room: usize) -> Line<'static> {
    let left = until(model.now, row.expires_at);
    let operation = fit(operation(row.operation), 16, model.theme.ellipsis());
    let by = fit(&shown(asker(row)), 10, model.theme.ellipsis());
    let email = fit(&cut_email(&shown(&row.email), 30, model.theme.ellipsis()), 31, "");
    let rest = format!("{left:<7}\"{}\"", shown(&row.reason));
    Line::from(vec![
        Span::raw("   "),
        signed(model, Tone::Waiting, &operation),
        Span::raw(cut(&format!(" {email}{by} {rest}"), room.saturating_sub(21), model.theme.ellipsis())),
    ])
}

fn job_line(model: &Model, row: &JobRow, room: usize) -> Line<'static> {
    let (tone, word) = state(row.state);
    let finished = row.seen_to();
    let tail = format!(
        " {} {}  {}  {}  \"{}\"",
        bar(model, finished, row.users),
        format_args!("{:<12}", format!("{} of {}", thousands(finished), thousands(row.users))),
        fit(&shown(&row.asked_by), 8, model.theme.ellipsis()),
        fit(&ago(model.now, row.created_at), 6, ""),
        shown(&row.reason),
    );
    Line::from(vec![
        Span::raw("   "),
        signed(model, tone, &fit(word, 8, "")),
        Span::raw(cut(
            &format!("{}{tail}", fit(&title(row), 21, model.theme.ellipsis())),
            room.saturating_sub(13),
            model.theme.ellipsis(),
        )),
    ])
}

fn bar(model: &Model, finished: u64, of: u64) -> String {
    let full = finished.saturating_mul(BAR_COLUMNS as u64).checked_div(of).unwrap_or(BAR_COLUMNS as u64);
    let full = usize::try_from(full).unwrap_or(0).min(BAR_COLUMNS);
    let (on, off) = if model.theme.unicode { ("█", "░") } else { ("#", ".") };
    format!("[{}{}]", on.repeat(full), off.repeat(BAR_COLUMNS - full))
}

// ----------------------------------------------------------------------------------------------------------- one job

fn one(model: &Model, frame: &mut Frame<'_>, area: Rect, open: &OpenJob) {
    let row = &open.row;
    let (tone, word) = state(row.state);
    let room = usize::from(area.width);
    let ellipsis = model.theme.ellipsis();
    put(
        frame,
        area,
        area.x + 1,
        area.y,
        Line::from(vec![
            toned(model, Tone::Title, format!("{}   ", title(row))),
            signed(model, tone, word),
            Span::raw(format!("   {}", bar(model, row.seen_to(), row.users))),
        ]),
    );
    put(frame, area, area.x + 1, area.y + 1, cut(&summary(row), room.saturating_sub(2), ellipsis));
    let asked =
        format!("asked by {} {} ago: \"{}\"", shown(&row.asked_by), ago(model.now, row.created_at), shown(&row.reason));
    put(frame, area, area.x + 1, area.y + 2, cut(&asked, room.saturating_sub(2), ellipsis));
    if let Some(problem) = &model.jobs.problem {
        put(frame, area, area.x + 1, area.y + 3, signed(model, Tone::Bad, &shown(problem)));
    }
    put(frame, area, area.x, area.y + 4, toned(model, Tone::Title, "   OUTCOME    USER"));
    if open.count() == 0 {
        put(frame, area, area.x + 3, area.y + 5, "Nobody was dealt with yet.");
        return;
    }
    let height = usize::from(area.height.saturating_sub(5));
    let hidden = (open.cursor + 1).saturating_sub(height);
    for (index, y) in (hidden..open.count()).zip(area.y + 5..area.bottom()) {
        let mark = if index == open.cursor { " > " } else { "   " };
        let Some(result) = open.result(index) else {
            put(frame, area, area.x, y, format!("{mark}..."));
            continue;
        };
        let (tone, word) = outcome(result.outcome);
        let number = result.audit_number.map_or(String::new(), |number| format!("  audit #{}", thousands(number)));
        let note = result.note.as_deref().map_or(String::new(), |note| format!("  {}", shown(note)));
        let text = format!("  {}{number}{note}", cut_email(&shown(&result.email), 40, ellipsis));
        let line = Line::from(vec![
            Span::raw(mark),
            signed(model, tone, &fit(word, 8, "")),
            Span::raw(cut(&text, room.saturating_sub(13), ellipsis)),
        ]);
        put(frame, area, area.x, y, if index == open.cursor { line.style(model.theme.chosen()) } else { line });
    }
}
