//! Menus of letters, dialogs, results: everything that leads to a write, and the switch that allows it.

use crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

use super::ask::{ask, forget};
use super::browse::browse;
use super::bulk::{bulk_key, open_bulk};
use super::detail::inspect;
use super::enrol::{enrol_key, explain_key, open_explain};
use super::export::export_key;
use super::jobs::confirm_key;
use super::{Cmd, Cmds, toast};
use crate::console::dialog::{self, Dialog, Outcome};
use crate::console::field;
use crate::console::keys::Action;
use crate::console::link::Request;
use crate::console::model::{Focus, Model, Overlay, REASONS_KEPT, Refusal, Screen, Slot, WRITES_SECONDS, Writes};

pub(super) fn open_actions(model: &mut Model) {
    if model.screen == Screen::Users(Focus::List) && !model.users.marks.is_empty() {
        return open_bulk(model);
    }
    if let Some(user) = model.users.chosen {
        model.overlay = Some(Overlay::Actions { row: 0, user });
    }
}

pub(super) fn do_item(model: &mut Model, item: dialog::Item) -> Cmds {
    if let Some(why) = item.refused {
        toast(model, &format!("{}: {why}", item.deed.title()));
        return Vec::new();
    }
    if item.deed == dialog::Deed::Explain {
        open_explain(model);
        return Vec::new();
    }
    let Some(detail) = model.chosen_detail().cloned() else { return Vec::new() };
    let dialog = Dialog::new(item.deed, detail, model.now);
    let preview = dialog.preview_request();
    model.overlay = Some(Overlay::Dialog(Box::new(dialog)));
    preview.map(|request| ask(model, Slot::Preview, request)).into_iter().collect()
}

pub(super) fn dialog_key(model: &mut Model, event: KeyEvent) -> Cmds {
    let now = model.now;
    let outcome = match &mut model.overlay {
        Some(Overlay::Dialog(dialog)) if dialog.is_deaf(now) => return Vec::new(),
        Some(Overlay::Dialog(dialog)) => dialog.key(event, &model.reasons),
        Some(Overlay::Name(_)) => return name_key(model, event),
        Some(Overlay::Enrol(_)) => return enrol_key(model, event),
        Some(Overlay::Explain(_)) => return explain_key(model, event),
        Some(Overlay::Export(_)) => return export_key(model, event),
        Some(Overlay::Confirm(_)) => return confirm_key(model, event),
        Some(Overlay::Bulk(_)) => return bulk_key(model, event),
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

pub(super) fn send(model: &mut Model) -> Cmds {
    let refused = model.writes_refused();
    let Some(Overlay::Dialog(dialog)) = &mut model.overlay else { return Vec::new() };
    if let Some(why) = refused {
        dialog.problem = Some(format!("{why}; Esc leaves, nothing changes"));
        return Vec::new();
    }
    dialog.sent = true;
    let request = dialog.request();
    let reason = dialog.reason.value().trim().to_owned();
    remember_reason(model, reason);
    vec![ask(model, Slot::Write, request)]
}

/// Keeps a reason for `Up`.
pub(super) fn remember_reason(model: &mut Model, reason: String) {
    model.reasons.retain(|other| *other != reason);
    model.reasons.push_front(reason);
    model.reasons.truncate(REASONS_KEPT);
}

pub(super) fn name_key(model: &mut Model, event: KeyEvent) -> Cmds {
    let Some(Overlay::Name(input)) = &mut model.overlay else { return Vec::new() };
    match event.code {
        KeyCode::Esc => model.overlay = None,
        KeyCode::Enter if !input.value().trim().is_empty() => {
            let name = input.value().trim().to_owned();
            model.operator.clone_from(&name);
            model.overlay = None;
            model.writes = Writes::On { until: model.now.plus_seconds(WRITES_SECONDS) };
            return vec![ask(model, Slot::Connect, Request::ConnectAs(name))];
        }
        _ => {
            field::edit(input, event);
        }
    }
    Vec::new()
}

pub(super) fn panel_key(model: &mut Model, action: Option<Action>) -> Cmds {
    let Some(Overlay::Panel(panel)) = &model.overlay else { return Vec::new() };
    match action.filter(|action| panel.offers(*action)) {
        Some(Action::Copy) => {
            let Some(number) = panel.audit_number() else { return Vec::new() };
            toast(model, "the audit number was sent to your terminal");
            vec![Cmd::Copy(number.to_string())]
        }
        Some(Action::Audit) => {
            model.overlay = None;
            browse(model, Some(Action::Audit))
        }
        Some(Action::Enrol) => {
            model.overlay = None;
            let item = dialog::items(model).into_iter().find(|item| item.deed == dialog::Deed::Enrol);
            item.map(|item| do_item(model, item)).unwrap_or_default()
        }
        Some(Action::Close) => {
            model.overlay = None;
            Vec::new()
        }
        _ => Vec::new(),
    }
}

pub(super) fn toggle_writes(model: &mut Model) {
    match model.refusal() {
        // Off they go without a server, too.
        _ if model.writes_left().is_some() => {
            model.writes = Writes::Off;
            toast(model, "writes are off");
        }
        Some(Refusal::NoServer) => toast(model, "no server: nothing can be changed"),
        Some(Refusal::ReadOnly) => toast(model, "started with --read-only: writes stay off"),
        Some(Refusal::LooksOnly) => toast(model, "your group may look only: writes stay off"),
        Some(Refusal::WritesOff) if model.operator.is_empty() => model.overlay = Some(Overlay::Name(Input::default())),
        None | Some(Refusal::WritesOff) => {
            model.writes = Writes::On { until: model.now.plus_seconds(WRITES_SECONDS) };
            toast(model, "writes are on for ten minutes");
        }
    }
}

/// While a result panel says that the notice is queued, looks each second whether it has gone out.
pub(super) fn follow_mail(model: &mut Model) -> Cmds {
    let queued = model.chosen_detail().is_some_and(|detail| detail.mails_waiting > 0);
    match model.overlay {
        Some(Overlay::Panel(_)) if queued && !model.is_awaiting(Slot::Inspect) => inspect(model),
        _ => Vec::new(),
    }
}
