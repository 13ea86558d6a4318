//! What a message does to the model, and what is to be done outside. Free of I/O: the loop carries the commands out.

mod answer;
mod ask;
mod audit;
mod browse;
mod bulk;
mod detail;
mod dialogs;
mod enrol;
mod export;
mod filters;
mod help;
mod home;
mod jobs;
mod link;
mod marks;
mod menu;
mod messages;
mod mouse;
mod palette;
mod unknown;
mod users;

use crossterm::event::{KeyEvent, KeyEventKind, MouseEvent};

use super::confirm;
use super::export::Stage;
use super::field;
use super::keys::{Action, Place};
use super::link::{Answer, Request};
use super::model::{
    DIALOG_DEAF_MICROS, LinkState, Model, Overlay, Slot, TOAST_SECONDS, Toast, WAITING_SHOWN_MICROS, Writes,
};
use crate::domain::time::Timestamp;
use answer::answered;
use ask::{ask, forget, interrupt};
use audit::filter_key;
use browse::browse;
use dialogs::remember_reason;
use dialogs::{dialog_key, follow_mail, panel_key};
use enrol::hide_key;
use help::{has_help, help_key, open_help};
use link::{catch_up, lose};
use menu::menu_key;
use messages::{fail, sheet_key, toast};
use mouse::mouse;
use palette::palette_key;
use unknown::look_up;
use users::{find_key, new_search};

/// Seconds between questions whether the server is still there.
const STATUS_SECONDS: i64 = 1;
/// Seconds after which a server that does not answer that question counts as lost.
const SILENT_SECONDS: i64 = 2;
/// Rows below the cursor from which on the next page is asked for.
const PAGE_AHEAD: usize = 50;
/// Seconds within which a second Ctrl-C quits.
const INTERRUPT_SECONDS: i64 = 2;

#[derive(Debug)]
pub enum Msg {
    Key(KeyEvent),
    Paste(String),
    Mouse(MouseEvent),
    Resize(u16, u16),
    /// Time has passed.
    Tick,
    Answer {
        slot: Slot,
        serial: u64,
        answer: Answer,
    },
}

/// What the loop is to do.
#[derive(Debug)]
pub enum Cmd {
    /// Ask, taking back an older question of the same slot.
    Perform {
        slot: Slot,
        serial: u64,
        /// The request's own, for the log and the audit trail.
        id: String,
        request: Request,
    },
    /// Stop waiting for the answer of this slot.
    Forget(Slot),
    Suspend,
    Repaint,
    /// Hand the text to the terminal's clipboard.
    Copy(String),
    /// Take clicks and the wheel, or leave them to the terminal.
    Mouse(bool),
}

type Cmds = Vec<Cmd>;

/// The first commands of a new model.
pub fn start(model: &mut Model) -> Cmds {
    let mut commands = vec![ask(model, Slot::Connect, Request::Connect)];
    if model.mouse {
        commands.push(Cmd::Mouse(true));
    }
    commands
}

/// Applies one message at the moment `now`.
pub fn update(model: &mut Model, msg: Msg, now: Timestamp) -> Cmds {
    let before = model.now;
    model.now = now;
    bulk::watch(model, before);
    match msg {
        Msg::Tick => return tick(model, before),
        Msg::Answer { slot, serial, answer } => {
            users::hold_still(model);
            let commands = answered(model, slot, serial, answer);
            close_gone(model);
            return commands;
        }
        Msg::Resize(columns, rows) => {
            model.size = (columns, rows);
            if model.is_too_small() {
                unseen(model);
            }
        }
        Msg::Key(event) if event.kind == KeyEventKind::Release => return Vec::new(),
        Msg::Key(event) => {
            model.dirty = true;
            let commands = key(model, event);
            model.last_key_at = now;
            return commands;
        }
        Msg::Paste(text) => return paste(model, &text),
        Msg::Mouse(event) => return mouse(model, event),
    }
    model.dirty = true;
    Vec::new()
}

/// The screen is out of sight: the process stops for a while, or there is no room. What must not go on unseen ends.
pub fn unseen(model: &mut Model) {
    hide_key(model);
    bulk::stop(model, "the screen was out of sight");
}

/// A menu belongs to what it was opened for: when that is gone, so is the menu, and nothing else takes its place.
fn close_gone(model: &mut Model) {
    let is_gone = match &model.overlay {
        Some(Overlay::Actions { user, .. } | Overlay::Palette { user: Some(user), .. }) => {
            model.users.chosen != Some(*user)
        }
        Some(Overlay::JobActions { on, .. }) => confirm::items(model, on).is_empty(),
        _ => false,
    };
    if is_gone {
        model.overlay = None;
        toast(model, "closed: what it was opened for is no longer there");
    }
}

/// When the next `Tick` is due, if nothing else happens.
#[must_use]
pub fn next_tick(model: &Model) -> Timestamp {
    let mut due = vec![Timestamp::from_seconds(model.now.as_seconds() / 60 * 60 + 60)];
    let second = Timestamp::from_seconds(model.now.as_seconds() + 1);
    if let Some(toast) = model.toast.as_ref().filter(|toast| !toast.stays) {
        due.push(toast.since.plus_seconds(TOAST_SECONDS));
    }
    let key_shown = match &model.overlay {
        Some(Overlay::Enrol(enrol)) => enrol.key.is_some(),
        Some(Overlay::Bulk(bulk)) => bulk.seconds_left(model.now).is_some(),
        _ => false,
    };
    if matches!(model.writes, Writes::On { .. }) || model.outdated || key_shown || !model.unknown.is_empty() {
        due.push(second);
    }
    match model.link {
        LinkState::Live => due.push(match awaited_since(model, Slot::Status) {
            Some(since) => since.plus_seconds(SILENT_SECONDS),
            None => model.last_status_at.plus_seconds(STATUS_SECONDS),
        }),
        LinkState::Offline => due.push(second),
        LinkState::Lost { next_try_at, .. } if !model.is_awaiting(Slot::Connect) => due.push(next_try_at),
        _ => {}
    }
    if let Some(since) = deaf_since(model) {
        due.push(plus_micros(since, DIALOG_DEAF_MICROS));
    }
    if model.awaited.iter().any(|awaited| awaited.slot != Slot::Status) {
        // Where nothing turns, the seconds still count.
        let shown = model.waiting_tenths().is_some();
        due.push(if model.calm && shown { second } else { plus_micros(model.now, WAITING_SHOWN_MICROS) });
    }
    let soonest = plus_micros(model.now, 1_000);
    due.into_iter().min().map_or(second, |at| at.max(soonest))
}

/// Whether nothing is under way that the operator could be waiting for. Tests wait for it.
#[must_use]
pub fn is_idle(model: &Model) -> bool {
    let lost = matches!(model.link, LinkState::Lost { .. });
    let deaf = deaf_since(model).is_some();
    let quiet = |slot| slot == Slot::Status || (lost && slot == Slot::Connect);
    !deaf && model.awaited.iter().all(|awaited| quiet(awaited.slot))
}

/// Since when keys are dropped, while they are: a dialog has just opened.
fn deaf_since(model: &Model) -> Option<Timestamp> {
    match &model.overlay {
        Some(Overlay::Dialog(dialog)) if dialog.is_deaf(model.now) => Some(dialog.opened_at),
        Some(Overlay::Confirm(confirm)) if confirm.is_deaf(model.now) => Some(confirm.opened_at),
        Some(Overlay::Bulk(bulk)) if bulk.is_deaf(model.now) => Some(bulk.since),
        _ => None,
    }
}

fn awaited_since(model: &Model, slot: Slot) -> Option<Timestamp> {
    model.awaited.iter().find(|awaited| awaited.slot == slot).map(|awaited| awaited.since)
}

fn plus_micros(at: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(micros))
}

fn tick(model: &mut Model, before: Timestamp) -> Cmds {
    let now = model.now;
    let mut commands = Vec::new();
    let is_over = |toast: &Toast| !toast.stays && now.seconds_since(toast.since) >= TOAST_SECONDS;
    if model.toast.as_ref().is_some_and(is_over) {
        model.toast = None;
        model.dirty = true;
    }
    if matches!(model.writes, Writes::On { .. }) && model.writes_left().is_none() {
        model.writes = Writes::Off;
        toast(model, "writes are off again");
    }
    let counts = matches!(model.writes, Writes::On { .. }) && before.as_seconds() != now.as_seconds();
    let minute = before.as_seconds() / 60 != now.as_seconds() / 60;
    model.dirty |= counts || minute || model.waiting_tenths().is_some();
    enrol::tick(model);
    commands.extend(bulk::tick(model));
    match model.link {
        LinkState::Live => {
            let due = now.seconds_since(model.last_status_at) >= STATUS_SECONDS || now < model.last_status_at;
            match awaited_since(model, Slot::Status) {
                Some(since) if now.seconds_since(since) >= SILENT_SECONDS => {
                    commands.push(forget(model, Slot::Status));
                    commands.extend(lose(model));
                    model.dirty = true;
                }
                None if due => commands.push(ask(model, Slot::Status, Request::Status)),
                _ => {}
            }
        }
        LinkState::Lost { next_try_at, .. } if now >= next_try_at && !model.is_awaiting(Slot::Connect) => {
            commands.push(ask(model, Slot::Connect, Request::Reconnect));
        }
        _ => {}
    }
    if before.as_seconds() != now.as_seconds() {
        if model.is_connected() {
            commands.extend(jobs::follow(model));
            commands.extend(follow_mail(model));
        }
        commands.extend(look_up(model));
    }
    commands.extend(catch_up(model));
    commands
}

fn key(model: &mut Model, event: KeyEvent) -> Cmds {
    let place = model.place();
    let action = model.keys.action(place, event);
    match action {
        Some(Action::Repaint) => return vec![Cmd::Repaint],
        Some(Action::Suspend) => {
            unseen(model);
            return vec![Cmd::Suspend];
        }
        Some(Action::Interrupt) => return interrupt(model),
        Some(Action::Help) if !model.is_too_small() && has_help(model, event) => {
            open_help(model);
            return Vec::new();
        }
        _ => {}
    }
    if model.is_too_small() {
        model.quit = model.keys.action(Place::List, event) == Some(Action::Quit);
        return Vec::new();
    }
    match place {
        Place::Palette => palette_key(model, event, action),
        Place::Menu => menu_key(model, event, action),
        Place::Dialog => dialog_key(model, event),
        Place::Panel => panel_key(model, action),
        Place::Help => {
            help_key(model, event, action);
            Vec::new()
        }
        Place::Sheet => {
            sheet_key(model, event, action);
            Vec::new()
        }
        Place::Find => find_key(model, event, action),
        Place::AuditFilter => filter_key(model, event, action),
        Place::Absent | Place::List | Place::Detail | Place::Home | Place::Audit | Place::Jobs => browse(model, action),
    }
}

fn paste(model: &mut Model, text: &str) -> Cmds {
    model.dirty = true;
    let now = model.now;
    let place = model.place();
    let in_find = place == Place::Find;
    if let Some(help) = &mut model.help {
        help.row = 0;
        field::paste(&mut help.filter, text);
        return Vec::new();
    }
    match &mut model.overlay {
        Some(Overlay::Dialog(dialog)) if !dialog.is_deaf(now) => dialog.paste(text),
        Some(Overlay::Palette { input, row, .. }) => {
            *row = 0;
            field::paste(input, text);
        }
        Some(Overlay::Name(input)) => {
            field::paste(input, text);
        }
        Some(Overlay::Explain(explain)) => {
            field::paste(&mut explain.code, text);
        }
        Some(Overlay::Confirm(confirm)) if !confirm.is_deaf(now) => confirm.paste(text),
        Some(Overlay::Bulk(bulk)) if !bulk.is_deaf(now) => bulk.paste(text),
        Some(Overlay::Export(export)) if export.stage == Stage::Asking => {
            field::paste(&mut export.path, text);
        }
        None if place == Place::AuditFilter => {
            field::paste(&mut model.audit.input, text);
        }
        None if in_find && field::paste(&mut model.users.find, text) => return new_search(model),
        Some(_) | None => {}
    }
    Vec::new()
}
