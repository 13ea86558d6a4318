//! One user in full: the overview and the tabs behind it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{entry, put, signed, toned};
use crate::app::views::{AuditRow, FactorView, UserDetail};
use crate::console::dialog::{self, namesakes, warnings};
use crate::console::factor::{self, ago_words};
use crate::console::keys::{Action, Place};
use crate::console::model::{Model, Tab};
use crate::console::text::{cut, cut_email, date, date_time, fit, shown, time_of_day, until, wrap};
use crate::console::theme::Tone;
use crate::domain::time::Timestamp;
use crate::domain::user::FactorState;

/// Entries of the audit trail in the overview.
const OVERVIEW_ENTRIES: usize = 5;
/// Columns left of the detail where it stands beside the list.
const LIST_AND_RULE_COLUMNS: usize = super::users::LIST_COLUMNS as usize + 2;
/// Columns of an action of the overview.
const ACTION_COLUMNS: usize = 34;
/// Columns of a fact's label.
const LABEL_COLUMNS: usize = 9;
/// Rows above the lines of a tab: who, the tabs, a blank.
const HEAD_ROWS: u16 = 3;

/// Draws the user under the cursor. `focused`: it has the keyboard, so the chosen row is marked.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect, focused: bool) {
    let Some(row) = model.users.chosen_row() else { return };
    let ellipsis = model.theme.ellipsis();
    let room = usize::from(area.width).saturating_sub(2);
    let role = if row.is_staff { "staff" } else { "user" };
    let name =
        if row.name.is_empty() { String::new() } else { format!("{}   ", cut(&shown(&row.name), room / 3, ellipsis)) };
    let tail = format!("   {role}   id {}", row.id);
    let rest = room.saturating_sub(super::width(&name) + super::width(&tail));
    let who = format!("{name}{}{tail}", cut_email(&shown(&row.email), rest.max(20), ellipsis));
    put(frame, area, area.x + 1, area.y, toned(model, Tone::Title, who));
    let Some(detail) = model.chosen_detail() else {
        put(frame, area, area.x + 1, area.y + 2, "...");
        return;
    };
    put(frame, area, area.x + 1, area.y + 1, tab_line(model, detail));
    let mut rows = Rect { y: area.y + HEAD_ROWS, height: area.height.saturating_sub(HEAD_ROWS), ..area };
    let full = chosen_entry(model, detail);
    rows.height = rows.height.saturating_sub(u16::try_from(full.len()).unwrap_or(0)).max(rows.height / 2);
    for (line, y) in full.into_iter().zip(rows.bottom()..area.bottom()) {
        put(frame, area, area.x + 1, y, line);
    }
    let lines = lines(model, detail);
    let height = usize::from(rows.height);
    let most = lines.len().saturating_sub(height);
    let chosen = chosen_line(model);
    let hidden = match chosen {
        Some(line) => (line + 1).saturating_sub(height).min(most),
        None => model.tab_row.min(most),
    };
    for ((index, line), y) in lines.into_iter().enumerate().skip(hidden).zip(rows.y..rows.bottom()) {
        let marked = focused && chosen == Some(index);
        let mark = if marked { ">" } else { " " };
        put(frame, rows, rows.x, y, mark);
        put(frame, rows, rows.x + 1, y, if marked { line.style(model.theme.chosen()) } else { line });
    }
}

/// The furthest line that the present tab, where nothing can be chosen, can begin with: its end is in sight then.
#[must_use]
pub fn first_line_max(model: &Model) -> usize {
    let count = model.chosen_detail().map_or(0, |detail| lines(model, detail).len());
    let above = if model.is_wide() { super::USERS_TOP } else { super::DETAIL_TOP } + HEAD_ROWS + super::BELOW;
    count.saturating_sub(usize::from(model.size.1.saturating_sub(above)))
}

/// The entry under the cursor in full, behind a blank line.
fn chosen_entry(model: &Model, detail: &UserDetail) -> Vec<Line<'static>> {
    let row = detail.audit.get(model.tab_row).filter(|_| model.tab == Tab::Audit);
    let full = row.map(|row| entry::in_full(row, pane_columns(model))).unwrap_or_default();
    if full.is_empty() { full } else { std::iter::once(Line::default()).chain(full).collect() }
}

fn tab_line(model: &Model, detail: &UserDetail) -> Line<'static> {
    let mut spans = Vec::new();
    for tab in Tab::ALL {
        let name = match tab {
            Tab::Overview => "Overview".to_owned(),
            Tab::TwoFactor => "2FA".to_owned(),
            Tab::Sessions => format!("Sessions {}", detail.sessions.len()),
            Tab::Keys => format!("API keys {}", detail.api_keys.len()),
            Tab::Audit => format!("Audit {}", detail.audit.len()),
        };
        spans.push(if tab == model.tab {
            toned(model, Tone::Title, format!("[{name}]"))
        } else {
            Span::raw(format!(" {name} "))
        });
        spans.push(Span::raw(" "));
    }
    Line::from(spans)
}

/// The line under the cursor, on tabs where something can be chosen; the first two lines are the heading.
fn chosen_line(model: &Model) -> Option<usize> {
    model.chosen_in_tab().map(|_| model.tab_row + 1)
}

fn lines(model: &Model, detail: &UserDetail) -> Vec<Line<'static>> {
    match model.tab {
        Tab::Overview => overview(model, detail),
        Tab::TwoFactor => two_factor(model, detail),
        Tab::Sessions => sessions(model, detail),
        Tab::Keys => api_keys(model, detail),
        Tab::Audit => audit(model, &detail.audit),
    }
}

/// A labelled fact with its tone.
pub struct Fact {
    label: &'static str,
    tone: Tone,
    text: String,
}

impl Fact {
    /// The fact as a sentence.
    #[must_use]
    pub fn said(&self) -> String {
        format!("{}: {}.", self.label, self.text)
    }

    /// The fact on as many lines as it needs.
    fn lines(&self, model: &Model) -> Vec<Line<'static>> {
        let room = pane_columns(model).saturating_sub(LABEL_COLUMNS + 2);
        let texts = wrap(&self.text, room);
        let first = Fact { text: texts.first().cloned().unwrap_or_default(), ..*self }.line(model);
        let rest = texts.into_iter().skip(1).map(|text| Line::from(format!("{}{text}", " ".repeat(LABEL_COLUMNS + 2))));
        std::iter::once(first).chain(rest).collect()
    }

    pub(super) fn line(&self, model: &Model) -> Line<'static> {
        let label = fit(self.label, LABEL_COLUMNS, "");
        Line::from(vec![toned(model, Tone::Title, label), signed(model, self.tone, &self.text)])
    }
}

fn fact(label: &'static str, tone: Tone, text: impl Into<String>) -> Fact {
    Fact { label, tone, text: text.into() }
}

/// The state of a user in a few lines, the most important first.
pub fn facts(model: &Model, detail: &UserDetail) -> Vec<Fact> {
    let now = model.now;
    let factor = &detail.factor;
    let mut facts = vec![device(detail, now), lock(detail, now, factor::lock), backup_codes(detail)];
    let has_device = factor.method.is_some();
    facts.extend(factor::clock(factor).map(|text| fact("clock", Tone::Plain, text)));
    let demand = factor::demand(factor, now).filter(|_| has_device);
    facts.extend(demand.map(|when| fact("demand", Tone::Waiting, format!("a new device {when}"))));
    facts.push(email(model, detail));
    let since = |at: Option<Timestamp>| at.map_or("never".to_owned(), date);
    facts.push(fact(
        "account",
        Tone::Plain,
        format!(
            "created {}, last sign-in {}, password changed {}",
            date(detail.row.date_joined),
            detail.row.last_login.map_or("never".to_owned(), |at| ago_words(now, at)),
            since(detail.password_changed_at),
        ),
    ));
    facts.extend(namesakes(detail).map(|text| fact("similar", Tone::Care, text)));
    facts.extend(warnings(detail).into_iter().map(|warning| fact("careful", Tone::Care, warning)));
    facts
}

/// Device, lock and e-mail, in short.
pub(super) fn facts_in_short(model: &Model, detail: &UserDetail) -> [Fact; 3] {
    [device(detail, model.now), lock(detail, model.now, factor::lock_in_short), email(model, detail)]
}

/// Columns there are for a line.
fn pane_columns(model: &Model) -> usize {
    let columns = usize::from(model.size.0);
    if model.is_wide() { columns.saturating_sub(LIST_AND_RULE_COLUMNS) } else { columns }.saturating_sub(1)
}

fn device(detail: &UserDetail, now: Timestamp) -> Fact {
    let factor = &detail.factor;
    let enrolled = factor.enrolled_at.map_or(String::new(), |at| format!(" since {}", date(at)));
    let used =
        factor.last_used_at.map_or(", never used".to_owned(), |at| format!(", last used {}", ago_words(now, at)));
    match factor.state {
        FactorState::On => fact("2FA", Tone::Good, format!("TOTP{enrolled}{used}")),
        FactorState::Off => fact("2FA", Tone::Off, "off"),
        FactorState::Enrol => {
            let when = factor::demand(factor, now).unwrap_or_default();
            fact("2FA", Tone::Waiting, format!("must enrol a device {when}, not done yet"))
        }
        FactorState::Locked => {
            fact("2FA", Tone::Bad, format!("TOTP{enrolled} disabled after too many wrong codes: reset it"))
        }
    }
}

fn lock(detail: &UserDetail, now: Timestamp, words: fn(&FactorView, Timestamp) -> Option<String>) -> Fact {
    let factor = &detail.factor;
    if let Some(lock) = words(factor, now) {
        fact("lock", Tone::Bad, lock)
    } else if factor.totp_failures + factor.backup_code_failures > 0 {
        fact("lock", Tone::Care, format!("{}, not locked", factor::wrong_codes(factor, now)))
    } else if factor.state == FactorState::Locked {
        fact("lock", Tone::Off, "no waiting time")
    } else {
        fact("lock", Tone::Off, "not locked")
    }
}

fn backup_codes(detail: &UserDetail) -> Fact {
    let factor = &detail.factor;
    let (left, issued) = (factor.backup_codes_remaining, factor.backup_codes_issued);
    if issued == 0 && left == 0 {
        return fact("backup", Tone::Off, "no backup codes");
    }
    let made = factor.backup_codes_made_at.map_or(String::new(), |at| format!(", set made {}", date(at)));
    let used = factor.backup_code_used_at.map_or(String::new(), |at| format!(", last used {}", date(at)));
    let tone = if left <= 2 { Tone::Care } else { Tone::Good };
    fact("backup", tone, format!("{left} of {issued} left{used}{made}"))
}

fn email(model: &Model, detail: &UserDetail) -> Fact {
    if let Some(pending) = &detail.pending_email {
        let asked = detail.pending_email_at.map_or(String::new(), |at| format!(", asked {}", ago_words(model.now, at)));
        let text = format!("change pending {} {}{asked}", model.theme.arrow(), shown(pending));
        return fact("e-mail", Tone::Waiting, text);
    }
    let changed = detail.email_changed_at.map_or(String::new(), |at| format!(", changed {}", date(at)));
    match detail.row.is_email_verified {
        Some(false) => fact("e-mail", Tone::Care, format!("not verified{changed}")),
        Some(true) | None => fact("e-mail", Tone::Good, format!("verified{changed}")),
    }
}

fn overview(model: &Model, detail: &UserDetail) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = facts(model, detail).iter().flat_map(|fact| fact.lines(model)).collect();
    lines.push(Line::default());
    lines.extend(sessions(model, detail).into_iter().take(4));
    lines.push(Line::default());
    lines.extend(api_keys(model, detail).into_iter().take(4));
    lines.push(Line::default());
    lines.extend(audit(model, &detail.audit).into_iter().take(OVERVIEW_ENTRIES + 1));
    lines.push(Line::default());
    let key = model.keys.binding(Place::List, Action::Actions).map(|bound| bound.first()).unwrap_or_default();
    lines.push(Line::from(vec![toned(model, Tone::Key, key), toned(model, Tone::Title, " ACTIONS")]));
    lines.extend(actions(model));
    lines
}

/// What can be done, in columns; what cannot now is greyed, with the reason below if it is one for all.
fn actions(model: &Model) -> Vec<Line<'static>> {
    let items = dialog::items(model);
    let across = (pane_columns(model) / ACTION_COLUMNS).max(1);
    let mut lines: Vec<Line<'static>> = items
        .chunks(across)
        .map(|chunk| {
            let cells = chunk.iter().flat_map(|item| {
                let tone = if item.refused.is_some() { Tone::Quiet } else { Tone::Plain };
                let label = fit(&item.label, ACTION_COLUMNS - 4, "");
                [toned(model, Tone::Key, format!("  {} ", item.letter)), toned(model, tone, label)]
            });
            Line::from(cells.collect::<Vec<_>>())
        })
        .collect();
    let why = items.first().and_then(|item| item.refused.clone());
    let why = why.filter(|_| items.iter().all(|item| item.refused.is_some()));
    lines.extend(why.map(|why| Line::from(toned(model, Tone::Quiet, format!("  ({why})")))));
    lines
}

fn two_factor(model: &Model, detail: &UserDetail) -> Vec<Line<'static>> {
    let (tone, word) = super::users::state(&detail.row, model.now);
    let mut lines = vec![Line::from(vec![toned(model, Tone::Title, fit("state", 24, "")), signed(model, tone, &word)])];
    let room = pane_columns(model).saturating_sub(26);
    for (label, text) in two_factor_facts(model, detail) {
        for (index, text) in wrap(&text, room).into_iter().enumerate() {
            let label = fit(if index == 0 { label } else { "" }, 24, "");
            lines.push(Line::from(vec![toned(model, Tone::Title, label), Span::raw(format!("  {text}"))]));
        }
    }
    lines
}

/// Everything that is known of the second factor, by name.
#[must_use]
pub fn two_factor_facts(model: &Model, detail: &UserDetail) -> Vec<(&'static str, String)> {
    let factor = &detail.factor;
    let at = |at: Option<Timestamp>| {
        at.map_or("never".to_owned(), |at| format!("{} UTC ({})", date_time(at), ago_words(model.now, at)))
    };
    let ends = |at: Option<Timestamp>| {
        at.filter(|at| *at > model.now)
            .map_or("no".to_owned(), |at| format!("until {} UTC ({})", time_of_day(at), until(model.now, at)))
    };
    let demand = |from: Timestamp| {
        let when = date_time(from);
        if from > model.now {
            format!("from {when} UTC on (in {})", until(model.now, from))
        } else {
            format!("since {when} UTC ({})", ago_words(model.now, from))
        }
    };
    let from = factor.locked_from.as_deref().map_or(String::new(), |address| format!(" from {}", shown(address)));
    let mut facts = vec![
        ("uuid", detail.row.uuid.to_string()),
        ("method", factor.method.clone().unwrap_or_else(|| "none".to_owned())),
        ("enrolled", at(factor.enrolled_at)),
        ("last used", at(factor.last_used_at)),
        ("backup codes left", format!("{} of {}", factor.backup_codes_remaining, factor.backup_codes_issued)),
        ("set made", at(factor.backup_codes_made_at)),
        ("backup code last used", at(factor.backup_code_used_at)),
        ("wrong TOTP codes", format!("{} in a row", factor.totp_failures)),
        ("wrong backup codes", format!("{} in a row", factor.backup_code_failures)),
        ("last wrong code", format!("{}{from}", at(factor.last_failure_at))),
        ("codes refused", ends(factor.waiting_until)),
        ("login locked", ends(factor.login_locked_until)),
        ("remembered devices", detail.remembered_devices.to_string()),
        ("must enrol", factor.enrol_from.map_or_else(|| "no".to_owned(), demand)),
        ("last reset", at(factor.last_reset_at)),
    ];
    let place = |label| facts.iter().position(|(name, _)| *name == label).map_or(0, |index| index + 1);
    let (after_used, after_wrong) = (place("last used"), place("wrong backup codes"));
    if let Some(since) = factor.failures_since {
        facts.insert(after_wrong, ("first wrong code", at(Some(since))));
    }
    if let Some(clock) = factor::clock(factor) {
        facts.insert(after_used, ("clock", clock));
    }
    facts
}

fn sessions(model: &Model, detail: &UserDetail) -> Vec<Line<'static>> {
    if detail.sessions.is_empty() {
        return vec![toned(model, Tone::Title, "SESSIONS").into(), Line::from("  No sessions. Signing in makes one.")];
    }
    let mut lines = vec![toned(model, Tone::Title, "SESSIONS  STARTED     LAST SEEN   FROM             CLIENT").into()];
    for session in &detail.sessions {
        let mark = mark(model, Tab::Sessions, &session.id);
        let from = session.address.as_deref().map(shown).unwrap_or_default();
        lines.push(Line::from(format!(
            "{mark}         {}{}{}{}{}",
            fit(&ago_words(model.now, session.created_at), 12, ""),
            fit(&ago_words(model.now, session.last_activity), 12, ""),
            fit(&fit(&from, 16, model.theme.ellipsis()), 17, ""),
            shown(&session.device),
            if session.verified { "" } else { " (2FA not proved)" },
        )));
    }
    lines
}

/// The sign before a marked row of a tab.
fn mark(model: &Model, tab: Tab, id: &str) -> &'static str {
    if model.tab == tab && model.tab_marks.contains(id) { "+" } else { " " }
}

fn api_keys(model: &Model, detail: &UserDetail) -> Vec<Line<'static>> {
    if detail.api_keys.is_empty() {
        return vec![
            toned(model, Tone::Title, "API KEYS").into(),
            Line::from("  No API keys. Users make them under Account."),
        ];
    }
    let mut lines =
        vec![toned(model, Tone::Title, "API KEYS  MASK           LAST USED   NAME                 SCOPES").into()];
    for key in &detail.api_keys {
        let used = key.last_used_at.as_deref().unwrap_or("never");
        let ellipsis = model.theme.ellipsis();
        let mark = mark(model, Tab::Keys, &key.id);
        lines.push(Line::from(format!(
            "{mark}         {}{}{}{}",
            fit(&shown(key.mask_value.as_deref().unwrap_or_default()), 15, ""),
            fit(&used.chars().take(10).collect::<String>(), 12, ""),
            fit(&fit(&shown(&key.label), 20, ellipsis), 21, ""),
            shown(&key.scopes.join(" ")),
        )));
    }
    lines
}

/// Entries of the trail under a heading.
pub(super) fn audit(model: &Model, rows: &[AuditRow]) -> Vec<Line<'static>> {
    if rows.is_empty() {
        return vec![
            toned(model, Tone::Title, "AUDIT").into(),
            Line::from("  No entries. Whatever happens to a user is written here."),
        ];
    }
    let mut lines = vec![toned(model, Tone::Title, "AUDIT     WHEN    WHO             WHAT").into()];
    lines.extend(rows.iter().map(|row| Line::from(entry::line(model, row, false))));
    lines
}
