//! What is told, in sentences. Reads nothing and asks nothing.

use super::command::Part;
use crate::app::overview::Overview;
use crate::app::views::{UserDetail, UserRow};
use crate::console::dialog;
use crate::console::factor::ago_words;
use crate::console::model::Model;
use crate::console::text::{shown, thousands};
use crate::console::view;
use crate::domain::time::Timestamp;

/// A user of the list.
pub(super) fn row(row: &UserRow, number: usize, now: Timestamp) -> String {
    let name = if row.name.is_empty() { String::new() } else { format!(", {}", shown(&row.name)) };
    let role = if row.is_staff { "staff" } else { "user" };
    let state = view::state_word(row, now);
    let seen =
        row.last_login.map_or("never signed in".to_owned(), |at| format!("last signed in {}", ago_words(now, at)));
    format!("{number}. {}{name}, {role}, 2FA {state}, {seen}.", shown(&row.email))
}

/// A user, or a part of one.
pub(super) fn detail(model: &Model, detail: &UserDetail, part: Part) -> Vec<String> {
    match part {
        Part::Overview => overview(model, detail),
        Part::TwoFactor => view::detail::two_factor_facts(model, detail)
            .into_iter()
            .map(|(label, text)| format!("{label}: {text}."))
            .collect(),
        Part::Sessions => sessions(model, detail),
        Part::Keys => keys(detail),
        Part::Audit if detail.audit.is_empty() => vec!["Nothing has happened.".to_owned()],
        Part::Audit => detail.audit.iter().map(|row| view::entry::sentence(model, row)).collect(),
    }
}

fn overview(model: &Model, detail: &UserDetail) -> Vec<String> {
    let row = &detail.row;
    let name = if row.name.is_empty() { "no name".to_owned() } else { shown(&row.name) };
    let role = if row.is_staff { "staff" } else { "user" };
    let mut lines = vec![format!("{name}, {}, {role}, id {}.", shown(&row.email), row.id)];
    lines.extend(view::detail::facts(model, detail).iter().map(view::detail::Fact::said));
    lines.push(format!("sessions: {}, API keys: {}.", detail.sessions.len(), detail.api_keys.len()));
    let possible: Vec<String> = dialog::items(model)
        .iter()
        .filter(|item| item.refused.is_none())
        .map(|item| item.label.trim_end_matches('.').to_owned())
        .collect();
    let possible = if possible.is_empty() { "nothing".to_owned() } else { possible.join(", ") };
    lines.push(format!("possible now: {possible}."));
    lines
}

fn sessions(model: &Model, detail: &UserDetail) -> Vec<String> {
    if detail.sessions.is_empty() {
        return vec!["No sessions. Signing in makes one.".to_owned()];
    }
    let sessions = detail.sessions.iter().enumerate();
    sessions
        .map(|(index, session)| {
            let from = session.address.as_deref().map_or(String::new(), |from| format!(", from {}", shown(from)));
            let proved = if session.verified { "" } else { ", 2FA not proved" };
            format!(
                "{}. {}{from}, started {}, last seen {}{proved}.",
                index + 1,
                shown(&session.device),
                ago_words(model.now, session.created_at),
                ago_words(model.now, session.last_activity),
            )
        })
        .collect()
}

fn keys(detail: &UserDetail) -> Vec<String> {
    if detail.api_keys.is_empty() {
        return vec!["No API keys. Users make them under Account.".to_owned()];
    }
    let keys = detail.api_keys.iter().enumerate();
    keys.map(|(index, key)| {
        let used = key
            .last_used_at
            .as_deref()
            .map_or("never used".to_owned(), |at| format!("last used {}", at.chars().take(10).collect::<String>()));
        let mask = shown(key.mask_value.as_deref().unwrap_or_default());
        format!("{}. {}, {mask}, {used}, scopes {}.", index + 1, shown(&key.label), shown(&key.scopes.join(" ")))
    })
    .collect()
}

/// The figures.
pub(super) fn home(model: &Model, overview: &Overview) -> Vec<String> {
    let mut lines = Vec::new();
    for role in &overview.roles {
        let name = if role.is_staff { "staff" } else { "other" };
        lines.push(format!("{name}: {} of {} have 2FA.", thousands(role.with), thousands(role.of)));
    }
    let usual = overview.resets_usual.map_or(String::new(), |(low, high)| format!(", usual {low} to {high}"));
    lines.push(format!("resets today: {}{usual}.", overview.resets_today));
    for item in &overview.attention {
        let (_, label) = view::home::words(item.kind);
        let filters: Vec<String> = item.filters.iter().map(ToString::to_string).collect();
        let find = if item.count == 0 { String::new() } else { format!("find {}", filters.join(" ")) };
        let parts = [thousands(item.count), view::home::note(model, overview, item), find];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        lines.push(format!("{label}: {}.", parts.join("; ")));
    }
    lines.push("Last operator actions:".to_owned());
    if overview.last_actions.is_empty() {
        lines.push("none yet.".to_owned());
    }
    lines.extend(overview.last_actions.iter().map(|row| view::entry::sentence(model, row)));
    lines.push(format!("{}.", view::home::server(model, overview)));
    lines
}
