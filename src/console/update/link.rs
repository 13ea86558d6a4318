//! The link: found, lost, found again; and whether somebody else changed something.

use super::ask::{ask, refresh, refresh_all};
use super::export::lost;
use super::unknown::look_up;
use super::{Cmds, fail, plus_micros, toast};
use crate::app::audit::ServerStatus;
use crate::console::bulk;
use crate::console::link::{Failure, Request};
use crate::console::model::{LinkState, Model, Overlay, Slot};

/// The pause before the first try to reach a lost server, doubled up to the longest.
const RETRY_FIRST_MICROS: i64 = 250_000;
const RETRY_LONGEST_MICROS: i64 = 5_000_000;

/// Said in a dialog while there is none.
const NO_SERVER: &str = "no server: nothing can be changed";

pub(super) fn status_read(model: &mut Model, status: Box<ServerStatus>) {
    let seen = |status: &ServerStatus| (status.audit_newest, status.users, status.mail_available, status.started_at);
    let before = model.status.as_deref().map(seen);
    if let Some(before) = before.filter(|before| before.0 != status.audit_newest) {
        model.outdated = true;
        model.changes += status.audit_newest.saturating_sub(before.0);
    }
    if before != Some(seen(&status)) {
        model.dirty = true;
    }
    model.status = Some(status);
}

pub(super) fn connected(model: &mut Model, live: bool) -> Cmds {
    if matches!(model.link, LinkState::Lost { .. }) {
        toast(model, if live { "the server is back" } else { "the store is open" });
    }
    model.link = if live { LinkState::Live } else { LinkState::Offline };
    model.opening = false;
    let mut commands = look_up(model);
    commands.extend(refresh_all(model));
    commands.extend(preview(model));
    commands
}

/// Asks again what a dialog would do: the answer may have been lost with the server.
fn preview(model: &mut Model) -> Cmds {
    let Some(Overlay::Dialog(dialog)) = &mut model.overlay else { return Vec::new() };
    if dialog.problem.as_deref() == Some(NO_SERVER) {
        dialog.problem = None;
    }
    let request = dialog.preview_request().filter(|_| dialog.preview.is_none() && !dialog.sent);
    request.map(|request| ask(model, Slot::Preview, request)).into_iter().collect()
}

pub(super) fn lose(model: &mut Model) -> Cmds {
    let mut commands = Vec::new();
    if model.is_connected() {
        let next_try_at = plus_micros(model.now, RETRY_FIRST_MICROS);
        model.link = LinkState::Lost { since: model.now, tries: 0, next_try_at };
        model.awaited.retain(|awaited| awaited.slot == Slot::Write);
        super::bulk::stop(model, "no server");
        match &mut model.overlay {
            Some(Overlay::Dialog(dialog)) if !dialog.sent => dialog.problem = Some(NO_SERVER.to_owned()),
            Some(Overlay::Export(_)) => commands = lost(model),
            Some(Overlay::Bulk(bulk)) if matches!(bulk.stage, bulk::Stage::Drafting) => {
                bulk.refused("the server was lost: nothing was changed".to_owned());
            }
            Some(Overlay::Explain(explain)) if explain.sent => {
                explain.sent = false;
                explain.problem = Some("the server was lost: type the code again".to_owned());
            }
            _ => {}
        }
    }
    commands
}

pub(super) fn no_connection(model: &mut Model, failure: &Failure) -> Cmds {
    let why = match failure {
        Failure::NoWay(why) => why.clone(),
        Failure::Lost | Failure::Mismatch(_) | Failure::Refused(_) => "the server does not answer".to_owned(),
    };
    let opening = std::mem::take(&mut model.opening);
    if model.is_connected() {
        // Known by another name from now on, the console did not come back in: the server is just going down.
        return lose(model);
    }
    model.link = match model.link {
        LinkState::Lost { since, tries, .. } => {
            if opening {
                fail(model, why);
            }
            let pause = RETRY_FIRST_MICROS.saturating_mul(1 << tries.min(8)).min(RETRY_LONGEST_MICROS);
            LinkState::Lost { since, tries: tries.saturating_add(1), next_try_at: plus_micros(model.now, pause) }
        }
        _ => LinkState::Absent(why),
    };
    Vec::new()
}

pub(super) fn open_store(model: &mut Model) -> Cmds {
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

pub(super) fn retry(model: &mut Model) -> Cmds {
    model.link = LinkState::Connecting;
    vec![ask(model, Slot::Connect, Request::Reconnect)]
}

/// Shows what others changed, when nobody is in the middle of something.
pub(super) fn catch_up(model: &mut Model) -> Cmds {
    let quiet = !model.is_covered() && model.now.seconds_since(model.last_key_at) >= 1;
    if !(model.outdated && quiet && model.is_connected()) {
        return Vec::new();
    }
    refresh(model)
}
