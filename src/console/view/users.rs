//! The Users screen: search, filters, the list, and what is known of the chosen one.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::{body, field_text, put, put_right, signed, toned};
use crate::app::directory::Hits;
use crate::app::views::UserRow;
use crate::console::dialog::look_alike;
use crate::console::keys::{Action, Place};
use crate::console::lookalike;
use crate::console::model::{Focus, Model, SORTS, Screen};
use crate::console::text::{ago, count, cut_email, fit, shown, thousands, width, wrap};
use crate::console::theme::Tone;
use crate::domain::time::Timestamp;
use crate::domain::user::FactorState;
use crate::domain::user_filter::UserQuery;

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
    let line = model.users.line.min(height.saturating_sub(1));
    chosen.saturating_sub(line).min(model.users.rows().len().saturating_sub(height))
}

/// The first row of the list that is in sight, and how many can be.
#[must_use]
pub fn in_sight(model: &Model) -> (usize, usize) {
    let list = list_area(model, body(Rect::new(0, 0, model.size.0, model.size.1), super::USERS_TOP));
    let height = usize::from(list.height);
    (first_row(model, height), height)
}

fn find_line(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let users = &model.users;
    let found = if users.window.is_none() {
        "... of ...".to_owned()
    } else {
        format!("{} of {}   {} ms", hits(users.hits), thousands(users.total), users.took_ms)
    };
    let found = if model.is_wide() { format!("{found}   {}", order(model)) } else { found };
    let room = usize::from(area.width).saturating_sub(9 + width(&found));
    let (text, cursor) = field_text(&users.find, room);
    put(frame, area, 0, 1, Line::from(vec![toned(model, Tone::Title, " Find: "), Span::raw(text)]));
    put_right(frame, area, 1, format!("{found} "));
    if model.screen == Screen::Users(Focus::Find) && model.overlay.is_none() {
        frame.set_cursor_position(Position::new(area.x + 7 + u16::try_from(cursor).unwrap_or(0), area.y + 1));
    }
}

/// `214`, or `10,000+` when there may be more.
fn hits(hits: Hits) -> String {
    format!("{}{}", thousands(hits.count), if hits.is_exact { "" } else { "+" })
}

fn order(model: &Model) -> String {
    let order = SORTS.iter().find(|(_, sort, ..)| *sort == model.users.sort);
    order.map_or(String::new(), |(_, _, name, up)| format!("sort: {name} {}", model.theme.sorted(*up)))
}

fn filter_line(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let (users, narrow) = (&model.users, area.width < 80);
    let key = |action| model.keys.first(Place::List, action);
    let mut spans = vec![Span::raw(" ")];
    for (index, filter) in users.filters.iter().enumerate() {
        let is_last = index + 1 == users.filters.len();
        let drop = if is_last { format!(" {}", key(Action::DropFilter)) } else { String::new() };
        spans.push(toned(model, Tone::Waiting, format!("[{filter}{drop}]")));
        spans.push(Span::raw(" "));
    }
    let mut right = Vec::new();
    if model.outdated {
        let changes = count(usize::try_from(model.changes).unwrap_or(usize::MAX), "change");
        right.push(toned(model, Tone::Care, format!("{changes}, {} to re-sort  ", key(Action::Refresh))));
    }
    if !users.marks.is_empty() {
        right.push(toned(model, Tone::Title, format!("{} marked  ", hits(users.marks.count()))));
    }
    if let Some(position) = users.position().filter(|_| !users.is_whole()) {
        right.push(Span::raw(format!("about {}  ", thousands(position + 1))));
    }
    if !model.is_wide() {
        right.push(Span::raw(format!("{} ", order(model))));
    }
    let right = Line::from(right);
    let used = |spans: &[Span<'_>]| spans.iter().map(Span::width).sum::<usize>();
    let room = usize::from(area.width).saturating_sub(right.width() + 2);
    let mut hint = vec![toned(model, Tone::Key, key(Action::Filter)), Span::raw(" add filter")];
    if !users.filters.is_empty() && !narrow {
        hint.push(toned(model, Tone::Key, format!("  {}", key(Action::DropFilter))));
        hint.push(Span::raw(" drop last"));
    }
    if used(&spans) + used(&hint) <= room {
        spans.extend(hint);
    }
    put(frame, area, 0, 2, Line::from(spans));
    put_right(frame, area, 2, right);
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
    if model.users.window.is_none() {
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
    let first = first_row(model, height);
    let list = List { query: model.users.query(), columns };
    for (row, y) in users.iter().skip(first).zip(rows.y..rows.bottom()) {
        draw_row(model, frame, Rect { y, height: 1, ..rows }, row, &list);
    }
    // More is on its way: the cursor waits at the edge.
    let edge = match model.users.beyond {
        0 => return,
        rows_missing if rows_missing < 0 => rows.y,
        _ => rows.y + u16::try_from(height.min(users.len() - first)).unwrap_or(1).saturating_sub(1),
    };
    put(frame, rows, rows.x, edge, fit("  ...", usize::from(rows.width), ""));
}

/// What all rows of a frame need.
struct List {
    query: UserQuery,
    columns: Columns,
}

fn draw_row(model: &Model, frame: &mut Frame<'_>, area: Rect, row: &UserRow, list: &List) {
    let (ellipsis, columns) = (model.theme.ellipsis(), &list.columns);
    let chosen = model.users.chosen == Some(row.uuid);
    let email = cut_email(&shown(&row.email), columns.email.saturating_sub(2), ellipsis);
    let filler = " ".repeat(columns.email.saturating_sub(width(&email)));
    let mark = if model.users.marks.has(row.uuid, &list.query) { "+" } else { " " };
    let mut spans = vec![Span::raw(if chosen { ">" } else { " " }), toned(model, Tone::Title, mark)];
    spans.extend(highlighted(model, &list.query.words, &email));
    if row.is_namesake || lookalike::seems(&row.email).is_some() {
        let filler: String = filler.chars().skip(2).collect();
        spans.push(Span::raw(filler));
        spans.push(toned(model, Tone::Care, format!("{} ", model.theme.sign(Tone::Care))));
    } else {
        spans.push(Span::raw(filler));
    }
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
        let since = row.last_login.map_or("never".to_owned(), |at| ago(model.now, at));
        spans.push(Span::raw(fit(&since, LAST_COLUMNS, "")));
    }
    let line = Line::from(spans);
    put(frame, area, area.x, area.y, if chosen { line.style(model.theme.chosen()) } else { line });
}

/// The e-mail with what was searched for underlined.
fn highlighted(model: &Model, words: &str, email: &str) -> Vec<Span<'static>> {
    let words = words.to_lowercase();
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
    let users = &model.users;
    let query = users.query();
    let key = |action| model.keys.first(Place::List, action);
    let filters: Vec<String> = users.filters.iter().map(ToString::to_string).collect();
    let with = if filters.is_empty() { String::new() } else { format!(" with {}", filters.join(" ")) };
    let drop = match users.without_last {
        Some(without) => {
            let verb = if without.count == 1 { "matches" } else { "match" };
            format!("{} drops the filter, {} {verb} without it.", key(Action::DropFilter), hits(without))
        }
        None => format!("{} drops the filter.", key(Action::DropFilter)),
    };
    if let Some(word) = query.misspelt() {
        let (word, key) = (shown(word), key(Action::Filter));
        return format!("{word} is no filter and was searched as text; {key} outside Find lists the filters.");
    }
    match (query.words.is_empty(), filters.is_empty()) {
        (true, true) if users.find.value().is_empty() => "No users yet. `doorward user create` makes one.".to_owned(),
        (_, true) => format!("No user matches {}. Esc in Find clears it.", shown(users.find.value())),
        (true, false) => format!("No user{with}. {drop}"),
        (false, false) => format!("No user matches {}{with}. {drop}", shown(&query.words)),
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
    if let Some(text) = look_alike(&row.email) {
        put_right(frame, area, area.bottom().saturating_sub(1), signed(model, Tone::Care, &format!("{text} ")));
    }
    if !detail.namesakes.is_empty() {
        let text = format!("{} users named {}", detail.namesakes.len() + 1, shown(&row.name));
        put_right(
            frame,
            area,
            area.y,
            Line::from(vec![Span::raw(" "), signed(model, Tone::Care, &text), Span::raw(" ")]),
        );
    }
    for (fact, y) in super::detail::facts_in_short(model, detail).into_iter().zip(area.y + 1..) {
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
