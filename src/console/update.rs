//! What a message does to the model, and what is to be done outside. Free of I/O: the loop carries the commands out.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};
use tui_input::Input;

use super::dialog::{self, Deed, Dialog, Outcome};
use super::field;
use super::keys::{self, Action, Place};
use super::link::{Answer, Failure, Reply, Request};
use super::model::{
    Awaited, DIALOG_DEAF_MICROS, Filter, Focus, LinkState, Model, Overlay, PAGE_ROWS, Panel, REASONS_KEPT, ROWS_MAX,
    Screen, Slot, TOAST_SECONDS, Tab, Toast, WAITING_SHOWN_MICROS, WRITES_SECONDS, Writes,
};
use super::text::shown;
use crate::app::audit::{ListAudit, ServerStatus};
use crate::app::directory::{FindUsers, InspectUser, UserRows};
use crate::app::views::{UserDetail, UserRef};
use crate::domain::time::Timestamp;
use crate::error::Error;

/// Seconds between questions whether the server is still there.
const STATUS_SECONDS: i64 = 1;
/// The pause before the first try to reach a lost server, doubled up to the longest.
const RETRY_FIRST_MICROS: i64 = 250_000;
const RETRY_LONGEST_MICROS: i64 = 5_000_000;
/// Rows below the cursor from which on the next page is asked for.
const PAGE_AHEAD: usize = 50;
/// Most rows that one question may ask for.
const FIND_MAX: usize = 500;
/// Seconds within which a second Ctrl-C quits.
const INTERRUPT_SECONDS: i64 = 2;
/// A write whose answer never came.
const NOT_KNOWN: &str = "Not known yet whether this was done: look at the user's audit entries before trying again";

#[derive(Debug)]
pub enum Msg {
    Key(KeyEvent),
    Paste(String),
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
        request: Request,
    },
    /// Stop waiting for the answer of this slot.
    Forget(Slot),
    Suspend,
    Repaint,
    /// Hand the text to the terminal's clipboard.
    Copy(String),
}

type Cmds = Vec<Cmd>;

/// The first commands of a new model.
pub fn start(model: &mut Model) -> Cmds {
    vec![ask(model, Slot::Connect, Request::Connect)]
}

/// Applies one message at the moment `now`.
pub fn update(model: &mut Model, msg: Msg, now: Timestamp) -> Cmds {
    let before = model.now;
    model.now = now;
    match msg {
        Msg::Tick => return tick(model, before),
        Msg::Answer { slot, serial, answer } => return answered(model, slot, serial, answer),
        Msg::Resize(columns, rows) => model.size = (columns, rows),
        Msg::Key(event) if event.kind == KeyEventKind::Release => return Vec::new(),
        Msg::Key(event) => {
            model.dirty = true;
            let commands = key(model, event);
            model.last_key_at = now;
            return commands;
        }
        Msg::Paste(text) => return paste(model, &text),
    }
    model.dirty = true;
    Vec::new()
}

/// When the next `Tick` is due, if nothing else happens.
#[must_use]
pub fn next_tick(model: &Model) -> Timestamp {
    let mut due = vec![Timestamp::from_seconds(model.now.as_seconds() / 60 * 60 + 60)];
    let second = Timestamp::from_seconds(model.now.as_seconds() + 1);
    if let Some(toast) = &model.toast {
        due.push(toast.since.plus_seconds(TOAST_SECONDS));
    }
    if matches!(model.writes, Writes::On { .. }) || model.outdated {
        due.push(second);
    }
    match model.link {
        LinkState::Live => due.push(model.last_status_at.plus_seconds(STATUS_SECONDS)),
        LinkState::Lost { next_try_at, .. } if !model.is_awaiting(Slot::Connect) => due.push(next_try_at),
        _ => {}
    }
    if let Some(Overlay::Dialog(dialog)) = &model.overlay
        && dialog.is_deaf(model.now)
    {
        due.push(plus_micros(dialog.opened_at, DIALOG_DEAF_MICROS));
    }
    if model.awaited.iter().any(|awaited| awaited.slot != Slot::Status) {
        due.push(plus_micros(model.now, WAITING_SHOWN_MICROS));
    }
    let soonest = plus_micros(model.now, 1_000);
    due.into_iter().min().map_or(second, |at| at.max(soonest))
}

/// Whether nothing is under way that the operator could be waiting for. Tests wait for it.
#[must_use]
pub fn is_idle(model: &Model) -> bool {
    let lost = matches!(model.link, LinkState::Lost { .. });
    let deaf = matches!(&model.overlay, Some(Overlay::Dialog(dialog)) if dialog.is_deaf(model.now));
    let quiet = |slot| slot == Slot::Status || (lost && slot == Slot::Connect);
    !deaf && model.awaited.iter().all(|awaited| quiet(awaited.slot))
}

fn plus_micros(at: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(micros))
}

// ---------------------------------------------------------------------------------------------------------- time

fn tick(model: &mut Model, before: Timestamp) -> Cmds {
    let now = model.now;
    let mut commands = Vec::new();
    if model.toast.as_ref().is_some_and(|toast| now.seconds_since(toast.since) >= TOAST_SECONDS) {
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
    match model.link {
        LinkState::Live => {
            let due = now.seconds_since(model.last_status_at) >= STATUS_SECONDS || now < model.last_status_at;
            if due && !model.is_awaiting(Slot::Status) {
                commands.push(ask(model, Slot::Status, Request::Status));
            }
        }
        LinkState::Lost { next_try_at, .. } if now >= next_try_at && !model.is_awaiting(Slot::Connect) => {
            commands.push(ask(model, Slot::Connect, Request::Reconnect));
        }
        _ => {}
    }
    if !commands.is_empty() {
        commands.extend(follow_mail(model));
    }
    commands.extend(catch_up(model));
    commands
}

/// While a result panel says that the notice is queued, looks each second whether it has gone out.
fn follow_mail(model: &mut Model) -> Cmds {
    let queued = model.chosen_detail().is_some_and(|detail| detail.mails_waiting > 0);
    match model.overlay {
        Some(Overlay::Panel(_)) if queued && !model.is_awaiting(Slot::Inspect) => inspect(model),
        _ => Vec::new(),
    }
}

/// Shows what others changed, when nobody is in the middle of something.
fn catch_up(model: &mut Model) -> Cmds {
    let quiet = model.overlay.is_none() && model.now.seconds_since(model.last_key_at) >= 1;
    if !(model.outdated && quiet && model.is_connected()) {
        return Vec::new();
    }
    model.outdated = false;
    refresh(model)
}

// ------------------------------------------------------------------------------------------------------- questions

fn ask(model: &mut Model, slot: Slot, request: Request) -> Cmd {
    model.serial += 1;
    model.awaited.retain(|awaited| awaited.slot != slot);
    model.awaited.push(Awaited { slot, serial: model.serial, since: model.now });
    if slot == Slot::Status {
        model.last_status_at = model.now;
    }
    Cmd::Perform { slot, serial: model.serial, request }
}

fn find(model: &mut Model) -> Cmds {
    if !model.is_connected() {
        return Vec::new();
    }
    let limit = model.users.rows().len().clamp(PAGE_ROWS, FIND_MAX);
    model.last_found_at = model.now;
    model.awaited.retain(|awaited| awaited.slot != Slot::MoreUsers);
    let request = find_request(model, None, limit);
    vec![ask(model, Slot::Find, request)]
}

fn find_request(model: &Model, after: Option<String>, limit: usize) -> Request {
    let search = model.users.search();
    Request::Find(FindUsers { query: search.words, state: search.state, is_staff: search.is_staff, after, limit })
}

fn new_search(model: &mut Model) -> Cmds {
    model.users.chosen = None;
    model.users.next = None;
    if let Some(rows) = &mut model.users.rows {
        rows.truncate(PAGE_ROWS);
    }
    find(model)
}

fn inspect(model: &mut Model) -> Cmds {
    let Some(user) = model.users.chosen else { return Vec::new() };
    if !model.is_connected() {
        return Vec::new();
    }
    vec![ask(model, Slot::Inspect, Request::Inspect(InspectUser { user: UserRef(user.to_string()) }))]
}

fn read_audit(model: &mut Model) -> Cmds {
    if !model.is_connected() {
        return Vec::new();
    }
    let request = Request::Audit(ListAudit { user: None, event: None, before: None, limit: PAGE_ROWS });
    vec![ask(model, Slot::Audit, request)]
}

/// Reads again what is on the screen.
fn refresh(model: &mut Model) -> Cmds {
    let mut commands = Vec::new();
    if model.users.rows().len() <= FIND_MAX {
        commands.extend(find(model));
    }
    commands.extend(inspect(model));
    if model.screen == Screen::Audit {
        commands.extend(read_audit(model));
    }
    commands
}

fn refresh_all(model: &mut Model) -> Cmds {
    let mut commands = refresh(model);
    if model.is_connected() {
        commands.push(ask(model, Slot::Status, Request::Status));
    }
    commands
}

// --------------------------------------------------------------------------------------------------------- answers

fn answered(model: &mut Model, slot: Slot, serial: u64, answer: Answer) -> Cmds {
    let place = model.awaited.iter().position(|awaited| awaited.slot == slot && awaited.serial == serial);
    let Some(awaited) = place.map(|index| model.awaited.remove(index)) else { return Vec::new() };
    let took_ms = model.now.as_millis().saturating_sub(awaited.since.as_millis()).max(0);
    match answer {
        Ok(Reply::Status(status)) => {
            status_read(model, status);
            return Vec::new();
        }
        Err(Failure::Refused(_)) if slot == Slot::Status => return Vec::new(),
        _ => model.dirty = true,
    }
    match answer {
        Ok(Reply::Connected { live }) => connected(model, live),
        Ok(Reply::Status(_)) => Vec::new(),
        Ok(Reply::Users(users)) => users_found(model, users, slot == Slot::MoreUsers, took_ms),
        Ok(Reply::User(detail)) => {
            user_read(model, detail);
            Vec::new()
        }
        Ok(Reply::Audit(page)) => {
            model.audit.take(page, slot == Slot::MoreAudit);
            Vec::new()
        }
        Ok(Reply::Reset(reset)) if reset.dry_run || slot == Slot::Preview => {
            if let Some(Overlay::Dialog(dialog)) = &mut model.overlay {
                dialog.preview = Some(reset);
            }
            Vec::new()
        }
        Ok(Reply::Reset(reset)) => {
            model.overlay = Some(Overlay::Panel(Panel::Reset { reset, took_ms, at: model.now }));
            refresh_all(model)
        }
        Ok(Reply::Done(done)) => {
            let credential =
                matches!(&model.overlay, Some(Overlay::Dialog(dialog)) if changes_credential(&dialog.deed));
            model.overlay = None;
            if credential {
                model.overlay = Some(Overlay::Panel(Panel::Done { done, took_ms }));
            } else {
                toast(model, &format!("audit #{}: {}", done.audit_number, shown(&done.summary)));
            }
            refresh_all(model)
        }
        Err(failure) => failed(model, slot, &failure),
    }
}

fn changes_credential(deed: &Deed) -> bool {
    match deed {
        Deed::Reset | Deed::RevokeCodes | Deed::SignOut | Deed::EndSession { .. } | Deed::RevokeKey { .. } => true,
        Deed::Unlock | Deed::ResendVerification | Deed::CancelEmailChange => false,
    }
}

/// The cursor of a tab follows the session, key or entry it is on, not the row number.
fn user_read(model: &mut Model, detail: Box<UserDetail>) {
    let chosen = model.chosen_in_tab();
    let row = model.users.rows.iter_mut().flatten().find(|row| row.uuid == detail.row.uuid);
    if let Some(row) = row {
        row.clone_from(&detail.row);
    }
    model.detail = Some(detail);
    let last = tab_rows(model).saturating_sub(1);
    let place = chosen.and_then(|id| model.ids_in_tab().iter().position(|other| *other == id));
    model.tab_row = place.unwrap_or_else(|| model.tab_row.min(last));
}

/// The chosen user was deleted: nobody else takes the place under the operator's hands.
fn user_gone(model: &mut Model) {
    model.failure = Some("This user is no longer there.".to_owned());
    if let Some(rows) = &mut model.users.rows {
        rows.retain(|row| Some(row.uuid) != model.users.chosen);
    }
    model.users.chosen = None;
    model.detail = None;
    if model.screen == Screen::Users(Focus::Detail) {
        model.screen = Screen::Users(Focus::List);
    }
}

fn status_read(model: &mut Model, status: Box<ServerStatus>) {
    let seen = |status: &ServerStatus| (status.audit_newest, status.users, status.mail_available, status.started_at);
    let before = model.status.as_deref().map(seen);
    if before.is_some_and(|before| before.0 != status.audit_newest) {
        model.outdated = true;
    }
    if before != Some(seen(&status)) {
        model.dirty = true;
    }
    model.status = Some(status);
}

fn connected(model: &mut Model, live: bool) -> Cmds {
    if matches!(model.link, LinkState::Lost { .. }) {
        toast(model, if live { "the server is back" } else { "the store is open" });
    }
    model.link = if live { LinkState::Live } else { LinkState::Offline };
    model.opening = false;
    model.stale = false;
    refresh_all(model)
}

/// Whoever the cursor is on stays, also when he no longer matches, until something else is searched: the operator may
/// be about to act on him.
fn users_found(model: &mut Model, found: UserRows, more: bool, took_ms: i64) -> Cmds {
    let users = &mut model.users;
    let chosen = users.chosen_index().zip(users.chosen_row().cloned());
    users.next = found.next;
    users.total = found.total;
    match &mut users.rows {
        Some(rows) if more => {
            let known = users.chosen;
            rows.extend(found.rows.into_iter().filter(|row| Some(row.uuid) != known));
        }
        rows => {
            *rows = Some(found.rows);
            users.took_ms = took_ms;
        }
    }
    if users.chosen_index().is_none()
        && let (Some((index, row)), Some(rows)) = (chosen, &mut users.rows)
    {
        rows.insert(index.min(rows.len()), row);
    }
    if users.chosen_index().is_none() {
        let first = users.rows().first().map(|row| row.uuid);
        return choose(model, first);
    }
    Vec::new()
}

fn failed(model: &mut Model, slot: Slot, failure: &Failure) -> Cmds {
    match (failure, slot) {
        (Failure::Lost | Failure::NoWay(_), Slot::Connect) => no_connection(model, failure),
        (Failure::Lost, Slot::Write) => {
            model.overlay = None;
            model.failure = Some(NOT_KNOWN.to_owned());
            lose(model);
        }
        (Failure::Lost, _) => lose(model),
        (Failure::NoWay(why), _) => model.failure = Some(why.clone()),
        (Failure::Refused(error), Slot::Write | Slot::Preview) => {
            let unknown = slot == Slot::Write && matches!(error, Error::Internal { .. });
            let hint = if unknown { "; look whether it was done before trying again" } else { "" };
            let text = format!("{}{hint}", error_text(error));
            match &mut model.overlay {
                Some(Overlay::Dialog(dialog)) => {
                    dialog.sent = false;
                    dialog.problem = Some(text);
                }
                _ => model.failure = Some(text),
            }
        }
        (Failure::Refused(Error::NotFound { .. }), Slot::Inspect) => user_gone(model),
        (Failure::Refused(error), _) => model.failure = Some(error_text(error)),
    }
    Vec::new()
}

fn error_text(error: &Error) -> String {
    let text = shown(&error.to_string());
    if matches!(error, Error::Internal { .. }) { format!("failed: {text}") } else { text }
}

fn lose(model: &mut Model) {
    if matches!(model.link, LinkState::Live | LinkState::Offline) {
        let next_try_at = plus_micros(model.now, RETRY_FIRST_MICROS);
        model.link = LinkState::Lost { since: model.now, tries: 0, next_try_at };
        model.stale = true;
        model.awaited.retain(|awaited| awaited.slot == Slot::Write);
        if let Some(Overlay::Dialog(dialog)) = &mut model.overlay
            && !dialog.sent
        {
            dialog.problem = Some("no server: nothing can be changed".to_owned());
        }
    }
}

fn no_connection(model: &mut Model, failure: &Failure) {
    let why = match failure {
        Failure::NoWay(why) => why.clone(),
        Failure::Lost | Failure::Refused(_) => "the server does not answer".to_owned(),
    };
    let opening = std::mem::take(&mut model.opening);
    model.link = match model.link {
        LinkState::Lost { since, tries, .. } => {
            if opening {
                model.failure = Some(why);
            }
            let pause = RETRY_FIRST_MICROS.saturating_mul(1 << tries.min(8)).min(RETRY_LONGEST_MICROS);
            LinkState::Lost { since, tries: tries.saturating_add(1), next_try_at: plus_micros(model.now, pause) }
        }
        _ => LinkState::Absent(why),
    };
}

// ------------------------------------------------------------------------------------------------------------ keys

/// Where the keyboard's attention is.
#[must_use]
pub fn place(model: &Model) -> Place {
    match &model.overlay {
        Some(Overlay::Help { .. }) => Place::Help,
        Some(Overlay::Filters { .. } | Overlay::Actions { .. }) => Place::Menu,
        Some(Overlay::Dialog(_) | Overlay::Name(_)) => Place::Dialog,
        Some(Overlay::Panel(_)) => Place::Panel,
        None if matches!(model.link, LinkState::Absent(_)) => Place::Absent,
        None => match model.screen {
            Screen::Users(Focus::Find) => Place::Find,
            Screen::Users(Focus::List) => Place::List,
            Screen::Users(Focus::Detail) => Place::Detail,
            Screen::Audit => Place::Audit,
        },
    }
}

fn key(model: &mut Model, event: KeyEvent) -> Cmds {
    let place = place(model);
    let action = keys::action(place, event);
    match action {
        Some(Action::Repaint) => return vec![Cmd::Repaint],
        Some(Action::Suspend) => return vec![Cmd::Suspend],
        Some(Action::Interrupt) => return interrupt(model),
        _ => {}
    }
    if model.is_too_small() {
        model.quit = event.code == KeyCode::Char('q');
        return Vec::new();
    }
    match place {
        Place::Help => help_key(model, event, action),
        Place::Menu => menu_key(model, event, action),
        Place::Dialog => dialog_key(model, event),
        Place::Panel => panel_key(model, action),
        Place::Find => find_key(model, event, action),
        Place::Absent | Place::List | Place::Detail | Place::Audit => browse(model, action),
    }
}

fn paste(model: &mut Model, text: &str) -> Cmds {
    model.dirty = true;
    let now = model.now;
    let in_find = place(model) == Place::Find;
    match &mut model.overlay {
        Some(Overlay::Dialog(dialog)) if !dialog.is_deaf(now) => dialog.paste(text),
        Some(Overlay::Help { filter: input, .. } | Overlay::Name(input)) => {
            field::paste(input, text);
        }
        None if in_find && field::paste(&mut model.users.find, text) => return new_search(model),
        Some(_) | None => {}
    }
    Vec::new()
}

fn interrupt(model: &mut Model) -> Cmds {
    if let Some(Overlay::Dialog(dialog)) = &model.overlay
        && dialog.sent
    {
        model.failure = Some(NOT_KNOWN.to_owned());
    }
    if model.overlay.take().is_some() {
        return vec![forget(model, Slot::Write), forget(model, Slot::Preview)];
    }
    let reads: Vec<Slot> = model.awaited.iter().map(|awaited| awaited.slot).filter(|slot| is_read(*slot)).collect();
    if !reads.is_empty() {
        return reads.into_iter().map(|slot| forget(model, slot)).collect();
    }
    let again = model.interrupt_at.is_some_and(|at| (0..INTERRUPT_SECONDS).contains(&model.now.seconds_since(at)));
    model.quit = again;
    model.interrupt_at = Some(model.now);
    toast(model, "press Ctrl-C again to quit");
    Vec::new()
}

const fn is_read(slot: Slot) -> bool {
    matches!(slot, Slot::Find | Slot::MoreUsers | Slot::Inspect | Slot::Audit | Slot::MoreAudit)
}

fn forget(model: &mut Model, slot: Slot) -> Cmd {
    model.awaited.retain(|awaited| awaited.slot != slot);
    Cmd::Forget(slot)
}

fn browse(model: &mut Model, action: Option<Action>) -> Cmds {
    let Some(action) = action else { return Vec::new() };
    match action {
        Action::Open => model.screen = Screen::Users(Focus::Detail),
        Action::Actions => open_actions(model),
        Action::Find => model.screen = Screen::Users(Focus::Find),
        Action::Filter => model.overlay = Some(Overlay::Filters { row: 0 }),
        Action::DropFilter => {
            if model.users.filters.pop().is_some() {
                return new_search(model);
            }
        }
        Action::Copy => return copy_email(model),
        Action::Down => return step(model, 1),
        Action::Up => return step(model, -1),
        Action::PageDown => return step(model, page(model)),
        Action::PageUp => return step(model, -page(model)),
        Action::First => return step(model, isize::MIN / 2),
        Action::Last => return step(model, isize::MAX / 2),
        Action::NextTab => switch_tab(model, 1),
        Action::PreviousTab => switch_tab(model, Tab::ALL.len() - 1),
        Action::Back => back(model),
        Action::Users => model.screen = Screen::Users(Focus::List),
        Action::Audit => {
            model.screen = Screen::Audit;
            return read_audit(model);
        }
        Action::Writes => toggle_writes(model),
        Action::Refresh => return refresh_all(model),
        Action::Help => open_help(model),
        Action::Quit => model.quit = true,
        Action::OpenStore => return open_store(model),
        Action::Retry => return retry(model),
        Action::NextField
        | Action::PreviousField
        | Action::Toggle
        | Action::ToList
        | Action::Repaint
        | Action::Suspend
        | Action::Interrupt => {}
    }
    Vec::new()
}

fn open_help(model: &mut Model) {
    model.overlay = Some(Overlay::Help { place: place(model), filter: Input::default(), row: 0 });
}

fn open_store(model: &mut Model) -> Cmds {
    if !matches!(model.link, LinkState::Lost { .. } | LinkState::Absent(_)) {
        toast(model, "there is nothing to open: the users are here");
        return Vec::new();
    }
    if matches!(model.link, LinkState::Absent(_)) {
        model.link = LinkState::Connecting;
    }
    model.opening = true;
    vec![ask(model, Slot::Connect, Request::Connect)]
}

fn retry(model: &mut Model) -> Cmds {
    model.link = LinkState::Connecting;
    vec![ask(model, Slot::Connect, Request::Reconnect)]
}

fn back(model: &mut Model) {
    if model.failure.take().is_some() || model.toast.take().is_some() {
        return;
    }
    model.screen = Screen::Users(Focus::List);
}

fn copy_email(model: &mut Model) -> Cmds {
    let Some(row) = model.users.chosen_row() else { return Vec::new() };
    let email = row.email.clone();
    toast(model, "the address was sent to your terminal");
    vec![Cmd::Copy(email)]
}

fn toggle_writes(model: &mut Model) {
    match model.writes {
        Writes::On { .. } => {
            model.writes = Writes::Off;
            toast(model, "writes are off");
        }
        Writes::Forbidden => toast(model, "started with --read-only: writes stay off"),
        Writes::Off if !model.is_connected() => toast(model, "no server: nothing can be changed"),
        Writes::Off if model.operator.is_empty() => model.overlay = Some(Overlay::Name(Input::default())),
        Writes::Off => {
            model.writes = Writes::On { until: model.now.plus_seconds(WRITES_SECONDS) };
            toast(model, "writes are on for ten minutes");
        }
    }
}

fn toast(model: &mut Model, text: &str) {
    model.toast = Some(Toast { text: text.to_owned(), since: model.now });
    model.dirty = true;
}

// ------------------------------------------------------------------------------------------------------- movement

/// Rows of a page, less one to keep a line in sight.
fn page(model: &Model) -> isize {
    isize::try_from(model.size.1).unwrap_or(24).saturating_sub(8).max(1)
}

fn step(model: &mut Model, rows: isize) -> Cmds {
    match model.screen {
        Screen::Users(Focus::Detail) => {
            model.tab_row = moved(model.tab_row, rows, tab_rows(model));
            Vec::new()
        }
        Screen::Users(_) => step_list(model, rows),
        Screen::Audit => step_audit(model, rows),
    }
}

fn moved(from: usize, rows: isize, count: usize) -> usize {
    from.saturating_add_signed(rows).min(count.saturating_sub(1))
}

fn step_list(model: &mut Model, rows: isize) -> Cmds {
    let count = model.users.rows().len();
    let index = moved(model.users.chosen_index().unwrap_or(0), rows, count);
    let user = model.users.rows().get(index).map(|row| row.uuid);
    let mut commands = if user == model.users.chosen { Vec::new() } else { choose(model, user) };
    let near_end = index + PAGE_AHEAD >= count && count < ROWS_MAX;
    let free = !model.is_awaiting(Slot::MoreUsers) && !model.is_awaiting(Slot::Find);
    if near_end
        && free
        && model.is_connected()
        && let Some(after) = model.users.next.clone()
    {
        let request = find_request(model, Some(after), PAGE_ROWS);
        commands.push(ask(model, Slot::MoreUsers, request));
    }
    commands
}

fn choose(model: &mut Model, user: Option<crate::domain::id::UserId>) -> Cmds {
    model.users.chosen = user;
    model.tab_row = 0;
    inspect(model)
}

fn step_audit(model: &mut Model, rows: isize) -> Cmds {
    let count = model.audit.rows().len();
    let index = moved(model.audit.chosen_index(), rows, count);
    model.audit.chosen = model.audit.rows().get(index).map(|row| row.number);
    let near_end = index + PAGE_AHEAD >= count && count < ROWS_MAX;
    match model.audit.next {
        Some(before) if near_end && model.is_connected() && !model.is_awaiting(Slot::MoreAudit) => {
            let request = Request::Audit(ListAudit { user: None, event: None, before: Some(before), limit: PAGE_ROWS });
            vec![ask(model, Slot::MoreAudit, request)]
        }
        _ => Vec::new(),
    }
}

fn switch_tab(model: &mut Model, places: usize) {
    model.tab = model.tab.step(places);
    model.tab_row = 0;
}

/// Rows of the present tab that the cursor can be on, or that can be the first one shown.
fn tab_rows(model: &Model) -> usize {
    match model.tab {
        Tab::Sessions | Tab::Keys | Tab::Audit => model.ids_in_tab().len(),
        Tab::Overview | Tab::TwoFactor => super::view::detail::first_line_max(model) + 1,
    }
}

// -------------------------------------------------------------------------------------------------- fields, menus

fn find_key(model: &mut Model, event: KeyEvent, action: Option<Action>) -> Cmds {
    match action {
        Some(Action::ToList) => model.screen = Screen::Users(Focus::List),
        Some(Action::Help) if model.users.find.value().is_empty() => open_help(model),
        Some(Action::Back) if model.failure.take().is_some() => {}
        Some(Action::Back) if model.users.find.value().is_empty() => model.screen = Screen::Users(Focus::List),
        Some(Action::Back) => {
            model.users.find = Input::default();
            return new_search(model);
        }
        _ => {
            let before = model.users.search();
            if field::edit(&mut model.users.find, event) && model.users.search() != before {
                return new_search(model);
            }
        }
    }
    Vec::new()
}

fn help_key(model: &mut Model, event: KeyEvent, action: Option<Action>) -> Cmds {
    let size = model.size.1;
    let Some(Overlay::Help { filter, row, .. }) = &mut model.overlay else { return Vec::new() };
    match (event.code, action) {
        (KeyCode::Esc, _) => model.overlay = None,
        (KeyCode::Up, _) => *row = row.saturating_sub(1),
        (KeyCode::Down, _) => *row = (*row + 1).min(100),
        (KeyCode::PageUp, _) => *row = row.saturating_sub(usize::from(size / 2)),
        (KeyCode::PageDown, _) => *row = (*row + usize::from(size / 2)).min(100),
        _ => {
            if field::edit(filter, event) {
                *row = 0;
            }
        }
    }
    Vec::new()
}

fn open_actions(model: &mut Model) {
    if model.users.chosen.is_some() {
        model.overlay = Some(Overlay::Actions { row: 0 });
    }
}

fn menu_key(model: &mut Model, event: KeyEvent, action: Option<Action>) -> Cmds {
    let letter = match event.code {
        KeyCode::Char(letter) if dialog_letter(event) => Some(letter),
        _ => None,
    };
    let by_cursor = action == Some(Action::Open);
    match &model.overlay {
        Some(Overlay::Filters { row }) => {
            let chosen = Filter::ALL
                .iter()
                .enumerate()
                .find(|(index, filter)| Some(filter.letter()) == letter || (by_cursor && index == row));
            if let Some((_, filter)) = chosen {
                return add_filter(model, *filter);
            }
        }
        Some(Overlay::Actions { row }) => {
            let items = dialog::items(model);
            let chosen = items
                .into_iter()
                .enumerate()
                .find(|(index, item)| Some(item.letter) == letter || (by_cursor && index == row));
            if let Some((_, item)) = chosen {
                return do_item(model, item);
            }
        }
        _ => {}
    }
    if action == Some(Action::Writes) {
        toggle_writes(model);
    } else {
        menu_move(model, action);
    }
    Vec::new()
}

fn dialog_letter(event: KeyEvent) -> bool {
    event.modifiers.difference(crossterm::event::KeyModifiers::SHIFT).is_empty()
}

fn menu_move(model: &mut Model, action: Option<Action>) {
    let count = match &model.overlay {
        Some(Overlay::Filters { .. }) => Filter::ALL.len(),
        _ => dialog::items(model).len(),
    };
    let Some(Overlay::Filters { row } | Overlay::Actions { row }) = &mut model.overlay else { return };
    match action {
        Some(Action::Down) => *row = moved(*row, 1, count),
        Some(Action::Up) => *row = moved(*row, -1, count),
        Some(Action::Back) => model.overlay = None,
        _ => {}
    }
}

fn add_filter(model: &mut Model, filter: Filter) -> Cmds {
    model.overlay = None;
    model.users.filters.retain(|other| !other.same_kind(filter));
    model.users.filters.push(filter);
    new_search(model)
}

fn do_item(model: &mut Model, item: dialog::Item) -> Cmds {
    if let Some(why) = item.refused {
        toast(model, &format!("{}: {why}", item.deed.title()));
        return Vec::new();
    }
    let Some(detail) = model.chosen_detail().cloned() else { return Vec::new() };
    let dialog = Dialog::new(item.deed, detail, model.now);
    let preview = dialog.preview_request();
    model.overlay = Some(Overlay::Dialog(Box::new(dialog)));
    preview.map(|request| ask(model, Slot::Preview, request)).into_iter().collect()
}

fn dialog_key(model: &mut Model, event: KeyEvent) -> Cmds {
    let now = model.now;
    let outcome = match &mut model.overlay {
        Some(Overlay::Dialog(dialog)) if dialog.is_deaf(now) => return Vec::new(),
        Some(Overlay::Dialog(dialog)) => dialog.key(event, &model.reasons),
        Some(Overlay::Name(_)) => return name_key(model, event),
        _ => return Vec::new(),
    };
    match outcome {
        Outcome::Stay => Vec::new(),
        Outcome::Cancel => {
            model.overlay = None;
            vec![forget(model, Slot::Preview)]
        }
        Outcome::Send => send(model),
    }
}

fn send(model: &mut Model) -> Cmds {
    let refused = model.writes_refused();
    let Some(Overlay::Dialog(dialog)) = &mut model.overlay else { return Vec::new() };
    if let Some(why) = refused {
        dialog.problem = Some(format!("{why}; Esc leaves, nothing changes"));
        return Vec::new();
    }
    dialog.sent = true;
    let request = dialog.request();
    let reason = dialog.reason.value().trim().to_owned();
    model.reasons.retain(|other| *other != reason);
    model.reasons.push_front(reason);
    model.reasons.truncate(REASONS_KEPT);
    vec![ask(model, Slot::Write, request)]
}

fn name_key(model: &mut Model, event: KeyEvent) -> Cmds {
    let Some(Overlay::Name(input)) = &mut model.overlay else { return Vec::new() };
    match event.code {
        KeyCode::Esc => model.overlay = None,
        KeyCode::Enter if !input.value().trim().is_empty() => {
            let name = input.value().trim().to_owned();
            model.operator.clone_from(&name);
            model.overlay = None;
            model.writes = Writes::On { until: model.now.plus_seconds(WRITES_SECONDS) };
            model.link = LinkState::Connecting;
            return vec![ask(model, Slot::Connect, Request::ConnectAs(name))];
        }
        _ => {
            field::edit(input, event);
        }
    }
    Vec::new()
}

fn panel_key(model: &mut Model, action: Option<Action>) -> Cmds {
    let Some(Overlay::Panel(panel)) = &model.overlay else { return Vec::new() };
    match action {
        Some(Action::Copy) => {
            let number = panel.audit_number().map(|number| number.to_string()).unwrap_or_default();
            toast(model, "the audit number was sent to your terminal");
            vec![Cmd::Copy(number)]
        }
        Some(Action::Audit) => {
            model.overlay = None;
            browse(model, Some(Action::Audit))
        }
        Some(Action::Open) => {
            model.overlay = None;
            Vec::new()
        }
        _ => Vec::new(),
    }
}
