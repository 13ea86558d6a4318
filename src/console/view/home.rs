//! Home: how many have a second factor, who needs attention, what operators did last.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{body, put, put_right, signed, toned};
use crate::app::overview::{Adoption, Attention, AttentionKind, Overview};
use crate::console::model::Model;
use crate::console::text::{ago, cut, fit, shown, thousands, width};
use crate::console::theme::Tone;

/// Columns of a bar between its brackets, at most.
const BAR_COLUMNS: usize = 20;
/// Columns of what needs attention, before its number.
const LABEL_COLUMNS: usize = 26;
/// Rows from which on there is room for blank lines.
const ROOMY_ROWS: u16 = 20;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let area = body(frame.area(), 1);
    let Some(overview) = &model.home.overview else {
        let text = match &model.home.problem {
            Some(problem) => signed(model, Tone::Bad, &shown(problem)),
            None => Span::raw("..."),
        };
        put(frame, area, area.x + 1, area.y, toned(model, Tone::Title, "2FA ADOPTION"));
        put(frame, area, area.x + 1, area.y + 1, text);
        return;
    };
    let is_roomy = area.height >= ROOMY_ROWS;
    let mut pen = Pen { y: area.y, area };
    if let Some(problem) = &model.home.problem {
        pen.line(frame, Line::from(vec![Span::raw(" "), signed(model, Tone::Bad, &shown(problem))]));
    }
    adoption(model, frame, &mut pen, overview);
    pen.blank(is_roomy);
    attention(model, frame, &mut pen, overview);
    pen.blank(is_roomy);
    let below = if is_roomy { 2 } else { 1 };
    actions(model, frame, &mut pen, overview, below);
    put(frame, area, area.x + 1, area.bottom().saturating_sub(1), server(model, overview));
}

/// Where the next line goes.
struct Pen {
    y: u16,
    area: Rect,
}

impl Pen {
    fn line<'a>(&mut self, frame: &mut Frame<'_>, line: impl Into<Line<'a>>) {
        put(frame, self.area, self.area.x, self.y, line);
        self.y += 1;
    }

    fn blank(&mut self, is_roomy: bool) {
        self.y += u16::from(is_roomy);
    }
}

// ---------------------------------------------------------------------------------------------------------- adoption

fn adoption(model: &Model, frame: &mut Frame<'_>, pen: &mut Pen, overview: &Overview) {
    let (with, of) = overview.roles.iter().fold((0, 0), |(with, of), role| (with + role.with, of + role.of));
    let all = match of {
        0 => "no users yet".to_owned(),
        _ => format!("{} of {}  {}", thousands(with), thousands(of), percent(with, of, 1)),
    };
    let head =
        Line::from(vec![Span::raw(" "), toned(model, Tone::Title, "2FA ADOPTION"), Span::raw(format!("    {all}"))]);
    if let Some((then, of_then)) = overview.with_week_ago.filter(|(_, of_then)| of > 0 && *of_then > 0)
        && usize::from(pen.area.width) > head.width() + 24
    {
        let change = share(with, of) - share(then, of_then);
        put_right(frame, pen.area, pen.y, format!("{change:+.1} % in 7 days "));
    }
    pen.line(frame, head);
    let digits = overview.roles.iter().map(|role| width(&thousands(role.of))).max().unwrap_or(1);
    for role in overview.roles.iter().filter(|role| role.of > 0) {
        pen.line(frame, role_line(model, role, digits, usize::from(pen.area.width)));
    }
    pen.line(frame, enrolments(model, overview, usize::from(pen.area.width)));
}

fn role_line(model: &Model, role: &Adoption, digits: usize, columns: usize) -> Line<'static> {
    let name = if role.is_staff { "staff" } else { "other" };
    let (with, of) = (thousands(role.with), thousands(role.of));
    let text = format!(" {name}  {with:>digits$} of {of:>digits$}  {:>5}  ", percent(role.with, role.of, 0));
    let room = columns.saturating_sub(width(&text) + 3).min(BAR_COLUMNS);
    let full = (share(role.with, role.of) / 100.0 * count(room)).floor();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the columns of a bar")]
    let full = (full as usize).min(room);
    let (on, off) = if model.theme.unicode { ("█", "░") } else { ("#", ".") };
    let tone = if role.with == role.of { Tone::Good } else { Tone::Plain };
    let bar = format!("[{}{}]", on.repeat(full), off.repeat(room - full));
    Line::from(vec![Span::raw(text), toned(model, tone, bar)])
}

/// The share of somebody in percent.
fn share(with: u64, of: u64) -> f64 {
    count(with) / count(of.max(1)) * 100.0
}

#[allow(clippy::cast_precision_loss, reason = "users are far fewer than a double can count")]
fn count(number: impl TryInto<u64>) -> f64 {
    number.try_into().unwrap_or(0) as f64
}

/// Rounded down, so that 100 % means all.
fn percent(with: u64, of: u64, digits: i32) -> String {
    let scale = 10_f64.powi(digits);
    let share = (share(with, of) * scale).floor() / scale;
    format!("{share:.0$} %", usize::try_from(digits).unwrap_or(0))
}

/// A letter for each day, as high as its enrolments; as many of the last days as there is room for.
fn enrolments(model: &Model, overview: &Overview, columns: usize) -> Line<'static> {
    let days = overview.enrolments_per_day.len().min(columns.saturating_sub(19));
    let last = overview.enrolments_per_day.iter().skip(overview.enrolments_per_day.len() - days);
    let most = last.clone().copied().max().unwrap_or(0).max(1);
    let levels: Vec<char> = if model.theme.unicode { "▁▂▃▄▅▆▇█" } else { ".:-=+*#@" }.chars().collect();
    let line: String = last
        .map(|count| {
            let level = u64::from(*count) * (levels.len() as u64 - 1);
            let level = usize::try_from(level.div_ceil(u64::from(most))).unwrap_or(0);
            if *count == 0 { ' ' } else { levels.get(level).copied().unwrap_or(' ') }
        })
        .collect();
    Line::from(vec![Span::raw(format!(" enrolments {days:>2} d  ")), toned(model, Tone::Good, line)])
}

// --------------------------------------------------------------------------------------------------------- attention

fn attention(model: &Model, frame: &mut Frame<'_>, pen: &mut Pen, overview: &Overview) {
    let usual = overview.resets_usual.map_or(String::new(), |(low, high)| format!(", usual {low}-{high}"));
    let many = overview.resets_usual.is_some_and(|(_, high)| overview.resets_today > high);
    let resets = format!("resets today {}{usual} ", overview.resets_today);
    put_right(frame, pen.area, pen.y, toned(model, if many { Tone::Care } else { Tone::Plain }, resets));
    pen.line(frame, toned(model, Tone::Title, " NEEDS ATTENTION"));
    for (index, item) in overview.attention.iter().enumerate() {
        let is_chosen = index == model.home.row;
        let line = attention_line(model, overview, item, is_chosen, usize::from(pen.area.width));
        pen.line(frame, if is_chosen { line.style(model.theme.chosen()) } else { line });
    }
}

fn attention_line(
    model: &Model,
    overview: &Overview,
    item: &Attention,
    is_chosen: bool,
    columns: usize,
) -> Line<'static> {
    let (tone, label) = words(item.kind);
    let tone = if item.count == 0 { Tone::Good } else { tone };
    let mark = if is_chosen { " > " } else { "   " };
    let number = format!("{:>9}   ", thousands(item.count));
    let note = cut(&note(model, overview, item), columns.saturating_sub(LABEL_COLUMNS + 18), model.theme.ellipsis());
    Line::from(vec![
        Span::raw(mark),
        signed(model, tone, &fit(label, LABEL_COLUMNS, "")),
        Span::raw(number),
        Span::raw(note),
    ])
}

/// The sign and the words for what needs attention.
pub const fn words(kind: AttentionKind) -> (Tone, &'static str) {
    match kind {
        AttentionKind::Locked => (Tone::Bad, "locked now"),
        AttentionKind::MailPending => (Tone::Waiting, "e-mail changes pending"),
        AttentionKind::StaffWithout => (Tone::Off, "staff without 2FA"),
        AttentionKind::FewCodes => (Tone::Care, "two or fewer backup codes"),
        AttentionKind::ToldToEnrol => (Tone::Waiting, "told to enrol, not done"),
        AttentionKind::MailFailed => (Tone::Care, "e-mails not delivered"),
    }
}

/// What is known of it besides the number.
#[must_use]
pub fn note(model: &Model, overview: &Overview, item: &Attention) -> String {
    if item.count == 0 {
        return "good".to_owned();
    }
    let oldest = item.oldest_at.map(|at| format!("oldest {}", ago(model.now, at)));
    let lately = (item.kind == AttentionKind::Locked).then(|| {
        let usual = overview.locked_usual.map_or(String::new(), |usual| format!(", usual {usual}"));
        format!("last hour {}{usual}", overview.locked_last_hour)
    });
    let error = item.note.as_deref().map(|note| format!("last error: {}", shown(note)));
    [oldest, lately, error].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

// ----------------------------------------------------------------------------------------------------------- the rest

fn actions(model: &Model, frame: &mut Frame<'_>, pen: &mut Pen, overview: &Overview, below: u16) {
    let last = pen.area.bottom().saturating_sub(below);
    if pen.y + 1 >= last {
        return;
    }
    pen.line(frame, toned(model, Tone::Title, " LAST OPERATOR ACTIONS"));
    if overview.last_actions.is_empty() {
        pen.line(frame, " None yet. What operators change is listed here and on Audit.");
    }
    for row in &overview.last_actions {
        if pen.y >= last {
            return;
        }
        pen.line(
            frame,
            format!(" {}", super::entry::action(model, row, usize::from(pen.area.width).saturating_sub(2))),
        );
    }
}

/// One line about the server itself.
#[must_use]
pub fn server(model: &Model, overview: &Overview) -> String {
    format!(
        "server up {}   store {}   outbox {}   audit #{}",
        ago(model.now, overview.started_at),
        bytes(overview.store_bytes),
        thousands(overview.outbox_waiting),
        thousands(overview.audit_newest),
    )
}

pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes / 1_000),
        1_000_000..10_000_000_000 => format!("{} MB", thousands(bytes / 1_000_000)),
        _ => format!("{} GB", thousands(bytes / 1_000_000_000)),
    }
}
