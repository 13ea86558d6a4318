//! The Users screen: search, filters, the list, and what is known of the chosen one.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::{body, field_text, put, put_right, signed, toned};
use crate::app::views::UserRow;
use crate::console::model::{Focus, Model, ROWS_MAX, Screen};
use crate::console::text::{ago, count, cut_email, fit, shown, thousands, width, wrap};
use crate::console::theme::Tone;
use crate::domain::time::Timestamp;
use crate::domain::user::FactorState;

const STATE_COLUMNS: usize = 11;
const LAST_COLUMNS: usize = 8;
const ROLE_COLUMNS: usize = 7;
const NAME_COLUMNS: usize = 18;
/// Columns of the list when the detail stands beside it.
pub(super) const LIST_COLUMNS: u16 = 63;
/// Rows from which on the preview strip is shown, and its height.
const STRIP_FROM_ROWS: u16 = 20;
const STRIP_ROWS: u16 = 5;
/// Backup codes left at which a row asks for care.
const FEW_CODES: usize = 2;

pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    find_line(model, frame);
    filter_line(model, frame);
    let list = body(area, super::USERS_TOP);
    let rows = list_area(model, list);
    if model.is_wide() {
        let left = Rect { width: LIST_COLUMNS, ..list };
        let right = Rect::new(left.right() + 2, list.y, area.width.saturating_sub(left.right() + 2), list.height);
        draw_list(model, frame, left, rows, false);
        for y in list.y..list.bottom() {
            put(frame, list, left.right(), y, model.theme.lines().1);
        }
        super::detail::draw(model, frame, right, model.screen == Screen::Users(Focus::Detail));
    } else if area.height >= STRIP_FROM_ROWS {
        draw_list(model, frame, list, rows, true);
        strip(model, frame, Rect { y: rows.bottom(), height: STRIP_ROWS, ..list });
    } else {
        draw_list(model, frame, list, rows, true);
    }
}

/// Where the rows of the list stand in the body of the screen, below the heads of the columns.
pub(super) fn list_area(model: &Model, body: Rect) -> Rect {
    let width = if model.is_wide() { LIST_COLUMNS } else { body.width };
    let strip = if !model.is_wide() && model.size.1 >= STRIP_FROM_ROWS { STRIP_ROWS } else { 0 };
    Rect { y: body.y + 1, height: body.height.saturating_sub(1 + strip), width, ..body }
}

/// The first row that is in sight, for a list so high.
pub(super) fn first_row(model: &Model, height: usize) -> usize {
    let chosen = model.users.chosen_index().unwrap_or(0);
    chosen.saturating_sub(height / 2).min(model.users.rows().len().saturating_sub(height))
}

fn find_line(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let users = &model.users;
    let found = if users.rows.is_none() {
        "... of ...".to_owned()
    } else {
        let more = if users.hits.is_exact { "" } else { "+" };
        format!("{}{more} of {}   {} ms", thousands(users.hits.count), thousands(users.total), users.took_ms)
    };
    let found = if model.stale { format!("{found}  (stale)") } else { found };
    let room = usize::from(area.width).saturating_sub(9 + width(&found));
    let (text, cursor) = field_text(&users.find, room);
    put(frame, area, 0, 1, Line::from(vec![toned(model, Tone::Title, " Find: "), Span::raw(text)]));
    put_right(frame, area, 1, format!("{found} "));
    if model.screen == Screen::Users(Focus::Find) && model.overlay.is_none() {
        frame.set_cursor_position(Position::new(area.x + 7 + u16::try_from(cursor).unwrap_or(0), area.y + 1));
    }
}

fn filter_line(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let mut spans = vec![Span::raw(" ")];
    for filter in &model.users.filters {
        spans.push(toned(model, Tone::Waiting, format!("[{filter}]")));
        spans.push(Span::raw(" "));
    }
    spans.push(toned(model, Tone::Key, "f"));
    spans.push(Span::raw(" add filter"));
    if !model.users.filters.is_empty() {
        spans.push(toned(model, Tone::Key, "  x"));
        spans.push(Span::raw(" drop last"));
    }
    put(frame, area, 0, 2, Line::from(spans));
    put_right(frame, area, 2, "sort: e-mail ");
}

/// Which columns there is room for; they leave in the order last sign-in, name, role.
struct Columns {
    email: usize,
    name: bool,
    role: bool,
    last: bool,
}

fn columns(area: Rect, with_name: bool) -> Columns {
    let room = usize::from(area.width).saturating_sub(2 + STATE_COLUMNS);
    let mut columns = Columns { email: room, name: with_name, role: true, last: true };
    let used = |columns: &Columns| {
        usize::from(columns.name) * NAME_COLUMNS
            + usize::from(columns.role) * ROLE_COLUMNS
            + usize::from(columns.last) * LAST_COLUMNS
    };
    let least = 32;
    columns.last = used(&columns) + least <= room;
    columns.name = with_name && used(&columns) + least <= room;
    columns.role = used(&columns) + least <= room;
    columns.email = room.saturating_sub(used(&columns));
    columns
}

fn draw_list(model: &Model, frame: &mut Frame<'_>, area: Rect, rows: Rect, with_name: bool) {
    let columns = columns(area, with_name);
    let mut head = fit("E-MAIL", columns.email, "");
    for (there, name, width) in [(columns.name, "NAME", NAME_COLUMNS), (columns.role, "ROLE", ROLE_COLUMNS)] {
        head.push_str(&if there { fit(name, width, "") } else { String::new() });
    }
    head.push_str(&fit("STATE", STATE_COLUMNS, ""));
    head.push_str(if columns.last { "LAST IN" } else { "" });
    put(frame, area, area.x + 2, area.y, toned(model, Tone::Title, head));
    let users = model.users.rows();
    if model.users.rows.is_none() {
        put(frame, rows, rows.x + 2, rows.y, "...");
        return;
    }
    if users.is_empty() {
        let lines = wrap(&nobody(model), usize::from(rows.width).saturating_sub(4));
        for (line, y) in lines.into_iter().zip(rows.y..rows.bottom()) {
            put(frame, rows, rows.x + 2, y, line);
        }
        return;
    }
    let height = usize::from(rows.height);
    let hidden = first_row(model, height);
    for (row, y) in users.iter().skip(hidden).zip(rows.y..rows.bottom()) {
        draw_row(model, frame, Rect { y, height: 1, ..rows }, row, &columns);
    }
    if users.len() >= ROWS_MAX && hidden + height >= users.len() {
        let text = format!("  the first {} are shown; type to narrow the search", thousands(ROWS_MAX as u64));
        put(frame, rows, rows.x, rows.bottom().saturating_sub(1), fit(&text, usize::from(rows.width), ""));
    }
}

fn draw_row(model: &Model, frame: &mut Frame<'_>, area: Rect, row: &UserRow, columns: &Columns) {
    let ellipsis = model.theme.ellipsis();
    let chosen = model.users.chosen == Some(row.uuid);
    let email = cut_email(&shown(&row.email), columns.email.saturating_sub(2), ellipsis);
    let filler = " ".repeat(columns.email.saturating_sub(width(&email)));
    let mut spans = vec![Span::raw(if chosen { "> " } else { "  " })];
    spans.extend(highlighted(model, &email));
    spans.push(Span::raw(filler));
    if columns.name {
        spans.push(Span::raw(fit(&fit(&shown(&row.name), NAME_COLUMNS - 1, ellipsis), NAME_COLUMNS, "")));
    }
    if columns.role {
        spans.push(Span::raw(fit(if row.is_staff { "staff" } else { "user" }, ROLE_COLUMNS, "")));
    }
    let (tone, word) = state(row, model.now);
    let state = format!("{} {word}", model.theme.sign(tone));
    spans.push(toned(model, tone, fit(&state, STATE_COLUMNS, "")));
    if columns.last {
        let last = row.last_login.map_or("never".to_owned(), |at| ago(model.now, at));
        spans.push(Span::raw(fit(&last, LAST_COLUMNS, "")));
    }
    let line = Line::from(spans);
    put(frame, area, area.x, area.y, if chosen { line.style(model.theme.chosen()) } else { line });
}

/// The e-mail with what was searched for underlined.
fn highlighted(model: &Model, email: &str) -> Vec<Span<'static>> {
    let words = model.users.query().words.to_lowercase();
    let found = if words.is_empty() { None } else { email.find(&words) };
    let Some((before, rest)) = found.and_then(|at| email.split_at_checked(at)) else {
        return vec![Span::raw(email.to_owned())];
    };
    let (hit, after) = rest.split_at_checked(words.len()).unwrap_or((rest, ""));
    vec![Span::raw(before.to_owned()), Span::styled(hit.to_owned(), model.theme.matched()), Span::raw(after.to_owned())]
}

/// The one word of the STATE column.
pub(super) fn state(row: &UserRow, now: Timestamp) -> (Tone, String) {
    if !row.is_active {
        return (Tone::Off, "inactive".to_owned());
    }
    if row.waiting_until.is_some_and(|at| at > now) {
        return (Tone::Bad, "locked".to_owned());
    }
    match row.state {
        FactorState::Locked => (Tone::Bad, "locked".to_owned()),
        FactorState::On if row.backup_codes <= FEW_CODES => (Tone::Care, count(row.backup_codes, "code")),
        FactorState::On => (Tone::Good, "on".to_owned()),
        FactorState::Off => (Tone::Off, "off".to_owned()),
        FactorState::Enrol => (Tone::Waiting, "enrol".to_owned()),
    }
}

fn nobody(model: &Model) -> String {
    let search = model.users.query();
    let filters: Vec<String> = model.users.filters.iter().map(ToString::to_string).collect();
    let with = if filters.is_empty() { String::new() } else { format!(" with {}", filters.join(" ")) };
    match (search.words.is_empty(), filters.is_empty()) {
        (true, true) if model.users.find.value().is_empty() => {
            "No users yet. `doorward user create` makes one.".to_owned()
        }
        (_, true) => format!("No user matches {}. Esc in Find clears it.", shown(model.users.find.value())),
        (true, false) => format!("No user{with}. x drops the filter."),
        (false, false) => format!("No user matches {}{with}. x drops the filter.", shown(&search.words)),
    }
}

/// What is known of the chosen user, in three lines.
fn strip(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let across = model.theme.lines().0;
    let rule = across.repeat(usize::from(area.width));
    put(frame, area, area.x, area.y, rule.clone());
    put(frame, area, area.x, area.bottom().saturating_sub(1), rule);
    let Some(row) = model.users.chosen_row() else { return };
    let email = cut_email(&shown(&row.email), usize::from(area.width) / 2, model.theme.ellipsis());
    put(frame, area, area.x + 1, area.y, format!(" {email} "));
    let Some(detail) = model.chosen_detail() else {
        put(frame, area, area.x + 1, area.y + 1, "...");
        return;
    };
    if !detail.namesakes.is_empty() {
        let text = format!("{} users named {}", detail.namesakes.len() + 1, shown(&row.name));
        put_right(
            frame,
            area,
            area.y,
            Line::from(vec![Span::raw(" "), signed(model, Tone::Care, &text), Span::raw(" ")]),
        );
    }
    let [device, lock, _, email] = super::detail::state_facts(model, detail);
    for (fact, y) in [device, lock, email].into_iter().zip(area.y + 1..) {
        put(frame, area, area.x + 1, y, fact.line(model));
    }
    if area.width >= 80 {
        let (left, issued) = (detail.factor.backup_codes_remaining, detail.factor.backup_codes_issued);
        if issued > 0 {
            let tone = if left <= FEW_CODES { Tone::Care } else { Tone::Good };
            let codes = signed(model, tone, &format!("{left} of {issued} codes left "));
            put_right(frame, area, area.y + 1, Line::from(vec![Span::raw("  "), codes]));
        }
        let (sessions, keys) = (count(detail.sessions.len(), "session"), count(detail.api_keys.len(), "API key"));
        put_right(frame, area, area.y + 2, format!("  {sessions}, {keys} "));
    }
}
