//! Drawing: the screen as a function of the model. One file for each screen; here is what they share.
//!
//! Nothing here decides anything or keeps anything between two frames.

pub mod audit;
mod bulk;
mod confirm;
pub mod detail;
mod dialog;
mod enrol;
pub mod entry;
mod explain;
mod export;
pub mod help;
mod hit;
pub mod home;
mod jobs;
mod menu;
mod palette;
mod panel;
mod qr;
mod sheet;
mod users;

use std::borrow::Cow;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::Clear;
use tui_input::Input;

use super::bulk::{Part, Stage};
use super::export::Stage as ExportStage;
use super::keys::{Action, Bound, Place};
use super::model::{Focus, LinkState, Model, Overlay, Panel, SIZE_MIN, Screen};
use super::text::{countdown, cut_email, end_of, fit, shown, time_of_day, width};
use super::theme::Tone;
use crate::app::audit::ServerStatus;
use crate::app::views::UserRow;
use crate::domain::time::Timestamp;
pub use hit::{Hit, hit};
pub use users::in_sight;

/// Rows above the list of users, above a detail that has the screen to itself, and below both.
const USERS_TOP: u16 = 3;
const DETAIL_TOP: u16 = 1;
const BELOW: u16 = 2;
/// Rows that are not for the lines of a box: what is above and below it, and its frame.
const BOX_OTHER_ROWS: usize = 4;
/// Lines that a failure may take; they cover what is above.
const FAILURE_ROWS_MAX: u16 = 3;

/// Draws the whole screen.
pub fn draw(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < SIZE_MIN.0 || area.height < SIZE_MIN.1 {
        too_small(model, frame);
        return;
    }
    if let Some(Overlay::Enrol(enrol)) = &model.overlay {
        enrol::draw(model, frame, enrol);
        return;
    }
    if let Some(Overlay::Alone(value)) = &model.overlay {
        sheet::draw_alone(frame, value);
        return;
    }
    header(model, frame);
    match (&model.link, model.screen) {
        (LinkState::Absent(why), _) => absent(model, frame, why),
        (_, Screen::Users(Focus::Detail)) if !model.is_wide() => {
            detail::draw(model, frame, body(area, DETAIL_TOP), true);
        }
        (_, Screen::Users(_)) => users::draw(model, frame),
        (_, Screen::Audit) => audit::draw(model, frame),
        (_, Screen::Home) => home::draw(model, frame),
        (_, Screen::Jobs) => jobs::draw(model, frame),
    }
    message(model, frame);
    footer(model, frame);
    overlay(model, frame);
    if let Some(help) = &model.help {
        help::draw(model, frame, help);
    }
}

fn overlay(model: &Model, frame: &mut Frame<'_>) {
    match &model.overlay {
        None | Some(Overlay::Alone(_) | Overlay::Enrol(_)) => {}
        Some(Overlay::Explain(explain)) => explain::draw(model, frame, explain),
        Some(Overlay::Export(export)) => export::draw(model, frame, export),
        Some(Overlay::JobActions { row, on }) => menu::draw_job_actions(model, frame, *row, on),
        Some(Overlay::Confirm(confirm)) => confirm::draw(model, frame, confirm),
        Some(Overlay::Bulk(bulk)) => bulk::draw(model, frame, bulk),
        Some(Overlay::Filters { row }) => menu::draw_filters(model, frame, *row),
        Some(Overlay::Sorts { row }) => menu::draw_sorts(model, frame, *row),
        Some(Overlay::Actions { row, .. }) => menu::draw_actions(model, frame, *row),
        Some(Overlay::Copy { row, alone }) => menu::draw_copy(model, frame, *row, *alone),
        Some(Overlay::Palette { place, user, input, row }) => {
            palette::draw(model, frame, (*place, *user), input, *row);
        }
        Some(Overlay::Entry { row, line }) => audit::draw_entry(model, frame, row, *line),
        Some(Overlay::Messages { row }) => sheet::draw_messages(model, frame, *row),
        Some(Overlay::Dialog(dialog)) => dialog::draw(model, frame, dialog),
        Some(Overlay::Panel(panel)) => panel::draw(model, frame, panel),
        Some(Overlay::Name(input)) => dialog::draw_name(model, frame, input),
    }
}

/// What a result says, as text.
#[must_use]
pub fn panel_lines(model: &Model, panel: &Panel, columns: usize) -> Vec<String> {
    panel::said(model, panel, columns).into_iter().filter(|line| !line.is_empty()).collect()
}

/// The word for the state of a user's second factor.
#[must_use]
pub fn state_word(row: &UserRow, now: Timestamp) -> String {
    users::state(row, now).1
}

fn too_small(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let text = format!(
        "Terminal is {}x{}, needs {}x{}; {} quits",
        area.width,
        area.height,
        SIZE_MIN.0,
        SIZE_MIN.1,
        model.keys.first(Place::List, Action::Quit)
    );
    for (line, y) in super::text::wrap(&text, usize::from(area.width)).into_iter().zip(area.y..) {
        put(frame, area, area.x, y, line);
    }
}

/// The rows between what is above `top` and the message line.
fn body(area: Rect, top: u16) -> Rect {
    Rect::new(area.x, area.y + top, area.width, area.height.saturating_sub(top + BELOW))
}

/// Draws a line at a place of `area`, cut at its right edge.
fn put<'a>(frame: &mut Frame<'_>, area: Rect, x: u16, y: u16, line: impl Into<Line<'a>>) {
    let row = Rect::new(x, y, area.right().saturating_sub(x), 1).intersection(area);
    if !row.is_empty() && row.y == y {
        frame.render_widget(line.into(), row);
    }
}

/// Draws a line so that it ends at the right edge of `area`.
fn put_right<'a>(frame: &mut Frame<'_>, area: Rect, y: u16, line: impl Into<Line<'a>>) {
    let line = line.into();
    let columns = u16::try_from(line.width()).unwrap_or(u16::MAX);
    put(frame, area, area.right().saturating_sub(columns).max(area.x), y, line);
}

/// Text in a tone.
fn toned(model: &Model, tone: Tone, text: impl Into<String>) -> Span<'static> {
    Span::styled(text.into(), model.theme.style(tone))
}

/// A tone's sign, a space, and text in that tone.
fn signed(model: &Model, tone: Tone, text: &str) -> Span<'static> {
    toned(model, tone, format!("{} {text}", model.theme.sign(tone)))
}

// ------------------------------------------------------------------------------------------- header, message, footer

fn header(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let left = match (&model.overlay, model.screen) {
        (_, Screen::Users(Focus::Detail)) | (Some(Overlay::Dialog(_) | Overlay::Panel(_)), Screen::Users(_))
            if !model.is_wide() =>
        {
            let right = right_header(model, !model.is_stale());
            let room = usize::from(area.width).saturating_sub(9 + right.width() + 2);
            let email = model.users.chosen_row().map(|row| shown(&row.email)).unwrap_or_default();
            Line::from(format!(" Users > {}", cut_email(&email, room, model.theme.ellipsis())))
        }
        _ => tabs(model),
    };
    let has_room = left.width() + right_header(model, true).width() <= usize::from(area.width);
    put(frame, area, 0, 0, left);
    put_right(frame, area, 0, right_header(model, has_room));
}

fn tabs(model: &Model) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    for (index, (screen, name)) in tab_names(model).enumerate() {
        spans.push(Span::raw(if index > 0 { "|" } else { "" }));
        spans.push(if model.screen.is(screen) {
            toned(model, Tone::Title, format!("[{}]", name.to_uppercase()))
        } else {
            Span::raw(format!(" {name} "))
        });
    }
    Line::from(spans)
}

/// The screens with their names and keys, as the header has them.
fn tab_names(model: &Model) -> impl Iterator<Item = (Screen, String)> {
    let key = |action| model.keys.first(if action == Action::Home { Place::List } else { Place::Home }, action);
    Screen::ALL.iter().map(move |(screen, name, action)| (*screen, format!("{name} {}", key(*action))))
}

/// Without room the place goes, or that the server is being looked for.
fn right_header(model: &Model, has_room: bool) -> Line<'static> {
    let mut spans = Vec::new();
    if let Some(tenths) = model.waiting_tenths() {
        let seconds = if tenths >= 20 { format!(" {} s, Ctrl-C cancels", tenths / 10) } else { String::new() };
        let glyph = if model.calm { "waiting" } else { model.theme.spinner(tenths) };
        spans.push(toned(model, Tone::Waiting, format!("{glyph}{seconds}  ")));
    }
    if let Some(status) = model.status.as_ref().filter(|_| has_room) {
        let host = status.public_url.split("://").last().unwrap_or_default();
        spans.push(Span::raw(format!("{}  ", super::text::cut(&shown(host), 24, model.theme.ellipsis()))));
    }
    match &model.link {
        LinkState::Connecting => spans.push(signed(model, Tone::Waiting, "connecting")),
        LinkState::Live => spans.push(signed(model, Tone::Good, "live")),
        LinkState::Offline => spans.push(signed(model, Tone::Care, "offline")),
        LinkState::Absent(_) => spans.push(signed(model, Tone::Bad, "no server")),
        LinkState::Lost { since, .. } => {
            let trying = if has_room { ", trying again" } else { "" };
            let text = format!("! no server since {}{trying} (stale)", time_of_day(*since));
            return Line::from(toned(model, Tone::Bad, text));
        }
    }
    spans.push(Span::raw("  "));
    spans.push(match model.writes_left() {
        Some(left) => toned(model, Tone::Care, format!("WRITES {} ", countdown(left))).bold(),
        None => Span::raw("READ-ONLY "),
    });
    if model.is_wide() && !model.operator.is_empty() {
        spans.push(Span::raw(format!(" {} ", shown(&model.operator))));
    }
    Line::from(spans)
}

/// The line above the footer: what failed, else what was done.
fn message(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let y = area.bottom().saturating_sub(2);
    if let Some(failure) = &model.failure {
        let text = format!("{}", signed(model, Tone::Bad, &shown(failure)));
        let lines = super::text::wrap(&text, usize::from(area.width).saturating_sub(16));
        let top =
            y.saturating_sub(u16::try_from(lines.len()).unwrap_or(u16::MAX).min(FAILURE_ROWS_MAX).saturating_sub(1));
        for (line, y) in lines.into_iter().zip(top..=y) {
            put(frame, area, 0, y, toned(model, Tone::Bad, fit(&format!(" {line}"), usize::from(area.width), "")));
        }
        put_right(frame, area, y, toned(model, Tone::Key, "Esc dismisses "));
    } else if let Some(toast) = &model.toast {
        let hint = if toast.stays { "Esc dismisses " } else { "" };
        let room = usize::from(area.width).saturating_sub(2 + width(hint));
        put(frame, area, 0, y, format!(" {}", super::text::cut(&toast.text, room, model.theme.ellipsis())));
        put_right(frame, area, y, toned(model, Tone::Key, hint));
    } else if model.is_wide()
        && let Some(status) = &model.status
    {
        put_right(frame, area, y, server(model, status));
    }
}

/// What is known of the server, on one line.
fn server(model: &Model, status: &ServerStatus) -> String {
    let (waiting, number) = (status.outbox_waiting, super::text::thousands(status.audit_newest));
    // Home says the rest itself. Of a console that has not been there, nobody has asked how large the store is.
    let is_home = model.screen == Screen::Home;
    let overview = model.home.overview.as_ref().filter(|_| !is_home);
    let store = overview.map_or(String::new(), |overview| format!("   store {}", home::bytes(overview.store_bytes)));
    let up = if model.link == LinkState::Live && !is_home {
        format!("   server up {}", super::text::ago(model.now, status.started_at))
    } else {
        String::new()
    };
    format!("outbox {waiting}   audit #{number}{store}{up} ")
}

/// The keys that matter here, as many as fit; help comes last and always.
fn footer(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let (listed, help) = footer_keys(model);
    let mut room = usize::from(area.width);
    let mut spans = Vec::new();
    room = room.saturating_sub(help.as_ref().map_or(0, |(key, word)| width(key) + width(word) + 3));
    let fitting = listed.into_iter().filter(|(key, word)| {
        let left = room.checked_sub(width(key) + width(word) + 3);
        room = left.unwrap_or(room);
        left.is_some()
    });
    let fitting: Vec<FooterKey> = fitting.collect();
    for (key, word) in fitting.into_iter().chain(help) {
        spans.push(Span::raw(if spans.is_empty() { " " } else { "  " }));
        spans.push(toned(model, Tone::Key, key));
        spans.push(Span::raw(format!(" {word}")));
    }
    put(frame, area, 0, area.bottom().saturating_sub(1), Line::from(spans));
}

type FooterKey = (Cow<'static, str>, &'static str);

/// The keys for the footer with their words, most important first, and help, for which room is kept.
fn footer_keys(model: &Model) -> (Vec<FooterKey>, Option<FooterKey>) {
    let place = model.place();
    let simple = match &model.overlay {
        _ if model.help.is_some() => false,
        Some(Overlay::Name(_)) => return (vec![("Enter".into(), "turn writes on"), ("Esc".into(), "cancel")], None),
        Some(Overlay::Bulk(bulk)) if bulk.seconds_left(model.now).is_some() => {
            return (vec![("Esc".into(), "stop, nothing changes")], None);
        }
        Some(Overlay::Bulk(bulk)) => {
            let leave = ("Esc".into(), "leave, nothing changes");
            let keys = match bulk.stage {
                Stage::Menu { .. } => vec![("Enter".into(), "choose"), leave],
                Stage::Review { focus: Part::Cancel, .. } => vec![("Tab".into(), "next field"), leave],
                Stage::Review { .. } => vec![("Enter".into(), "go on"), ("Tab".into(), "next field"), leave],
                _ => vec![("Enter".into(), "go on"), leave],
            };
            return (keys, None);
        }
        Some(Overlay::Export(export)) if matches!(export.stage, ExportStage::Exists) => {
            return (vec![("y".into(), "replace it"), ("n".into(), "another name"), ("Esc".into(), "leave")], None);
        }
        Some(Overlay::Export(_)) => return (vec![("Enter".into(), "write"), ("Esc".into(), "leave")], None),
        Some(Overlay::Explain(_)) => return (vec![("Enter".into(), "look into it"), ("Esc".into(), "close")], None),
        Some(Overlay::Dialog(dialog)) => !dialog.deed.needs_proof(),
        Some(Overlay::Confirm(_)) => true,
        _ => false,
    };
    let absent = matches!(model.link, LinkState::Lost { .. }) || place == Place::Absent;
    let named = |bound: Bound<'_>, word| (bound.shown(), word);
    let open = model.keys.binding(Place::Absent, Action::OpenStore).filter(|_| absent);
    let open = open.map(|bound| named(bound, "open the store directly"));
    let listed = model.keys.bindings(place).filter(|bound| !bound.binding.short.is_empty());
    let is_offered = |action| match &model.overlay {
        Some(Overlay::Panel(panel)) => panel.offers(action),
        _ => !(simple && action == Action::Toggle),
    };
    let listed = listed.filter(|bound| is_offered(bound.binding.action));
    let (help, others): (Vec<_>, Vec<_>) = listed.partition(|bound| bound.binding.action == Action::Help);
    let others = others.into_iter().map(|bound| named(bound, bound.binding.short));
    let help = help.into_iter().next().filter(|_| !model.is_typing()).map(|bound| named(bound, bound.binding.short));
    // In a dialog the way out is worth more than help.
    let (last, help) = if place == Place::Dialog { (help, None) } else { (None, help) };
    (open.into_iter().chain(others).chain(last).collect(), help)
}

fn absent(model: &Model, frame: &mut Frame<'_>, why: &str) {
    let area = frame.area();
    let mut lines = super::text::wrap(&shown(why), usize::from(area.width).saturating_sub(4));
    lines.insert(0, "Not connected:".to_owned());
    lines.push(String::new());
    for (action, text) in [
        (Action::Retry, "try the server again"),
        (Action::OpenStore, "open the store directly: no server can start meanwhile, and mails wait"),
        (Action::Quit, "quit"),
    ] {
        lines.push(format!("{}  {text}", model.keys.first(Place::Absent, action)));
    }
    for (line, y) in lines.into_iter().zip(3..area.bottom().saturating_sub(2)) {
        put(frame, area, 2, y, line);
    }
}

// ------------------------------------------------------------------------------------------------------------- boxes

/// A box over the screen. Returns what is inside.
fn boxed(model: &Model, frame: &mut Frame<'_>, outer: Rect, title: &str, right: &str) -> Rect {
    let outer = outer.intersection(frame.area());
    frame.render_widget(Clear, outer);
    let (across, down) = model.theme.lines();
    let [top_left, top_right, bottom_left, bottom_right] = model.theme.corners();
    let inside = usize::from(outer.width).saturating_sub(2);
    let title = format!("{across}{across} {title} ");
    let right = if right.is_empty() { String::new() } else { format!(" {right} {across}") };
    let rest = inside.saturating_sub(width(&title) + width(&right));
    let top = format!("{top_left}{title}{}{right}{top_right}", across.repeat(rest));
    put(frame, outer, outer.x, outer.y, Span::styled(top, model.theme.style(Tone::Title)));
    for y in outer.y + 1..outer.bottom().saturating_sub(1) {
        put(frame, outer, outer.x, y, down);
        put(frame, outer, outer.right().saturating_sub(1), y, down);
    }
    let bottom = format!("{bottom_left}{}{bottom_right}", across.repeat(inside));
    put(frame, outer, outer.x, outer.bottom().saturating_sub(1), bottom);
    Rect::new(outer.x + 2, outer.y + 1, outer.width.saturating_sub(4), outer.height.saturating_sub(2))
}

/// A line of a box: what it says, whether the keyboard is on it, and where its cursor stands.
struct BoxLine {
    line: Line<'static>,
    focused: bool,
    cursor: Option<usize>,
}

impl From<Line<'static>> for BoxLine {
    fn from(line: Line<'static>) -> Self {
        Self { line, focused: false, cursor: None }
    }
}

impl From<String> for BoxLine {
    fn from(text: String) -> Self {
        Self::from(Line::from(text))
    }
}

impl From<&'static str> for BoxLine {
    fn from(text: &'static str) -> Self {
        Self::from(Line::from(text))
    }
}

/// Draws lines into a box, moved so that the one with the keyboard is in sight.
fn put_lines(frame: &mut Frame<'_>, inner: Rect, lines: Vec<BoxLine>) {
    let focused = lines.iter().position(|line| line.focused).unwrap_or(0);
    let height = usize::from(inner.height);
    let hidden = (focused + 2).saturating_sub(height).min(lines.len().saturating_sub(height));
    for (line, y) in lines.into_iter().skip(hidden).zip(inner.y..inner.bottom()) {
        if let Some(column) = line.cursor {
            let x = inner.x.saturating_add(u16::try_from(column).unwrap_or(u16::MAX));
            if x < inner.right() {
                frame.set_cursor_position(Position::new(x, y));
            }
        }
        put(frame, inner, inner.x, y, line.line);
    }
}

/// What of a field of text fits into so many columns, filled up, and where its cursor is.
fn field_text(input: &Input, columns: usize) -> (String, usize) {
    let before: String = input.value().chars().take(input.cursor()).collect();
    let after: String = input.value().chars().skip(input.cursor()).collect();
    let before = end_of(&shown(&before), columns.saturating_sub(1));
    let cursor = width(&before);
    (fit(&format!("{before}{}", shown(&after)), columns, ""), cursor)
}

/// How far so many lines can be moved in a box as high as there is room for, less these rows.
fn rows_beyond(model: &Model, lines: usize, other_rows: usize) -> usize {
    lines.saturating_sub(usize::from(model.size.1).saturating_sub(BOX_OTHER_ROWS + other_rows))
}

/// A box of so many columns and rows in the middle of the screen, below the header.
fn centred(frame: &Frame<'_>, columns: u16, rows: usize) -> Rect {
    let area = frame.area();
    let columns = columns.min(area.width);
    let rows = u16::try_from(rows).unwrap_or(u16::MAX).min(area.height.saturating_sub(2));
    let x = area.x + (area.width - columns) / 2;
    Rect::new(x, area.y + 1, columns, rows)
}
