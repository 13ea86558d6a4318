//! A write whose answer never came: the operator is told so, and told the truth as soon as it is known.

use super::ask::ask;
use super::messages::{fail, notice};
use super::{Cmd, Cmds};
use crate::app::requests::{LookUpRequest, RequestOutcome};
use crate::console::dialog::Deed;
use crate::console::link::Request;
use crate::console::model::{Model, Overlay, Slot, UnknownWrite};
use crate::console::text::shown;

/// The answer to the write of this id will not come.
pub(super) fn unanswered(model: &mut Model, id: String) {
    let what = match &model.overlay {
        Some(Overlay::Dialog(dialog)) => dialog.named(),
        Some(Overlay::Enrol(enrol)) => format!("{}, {}", Deed::Enrol.title(), shown(&enrol.email)),
        Some(Overlay::Confirm(confirm)) => confirm.named(),
        Some(Overlay::Bulk(bulk)) => bulk.named(),
        _ => "the last change".to_owned(),
    };
    let unknown = UnknownWrite::new(id, what);
    fail(model, unknown.lost());
    model.unknown.push_back(unknown);
}

/// Asks what became of it, if there is such a write and somebody to ask.
pub(super) fn look_up(model: &mut Model) -> Cmds {
    let Some(request_id) = model.unknown.front().map(|unknown| unknown.id.clone()) else { return Vec::new() };
    if !model.is_connected() || model.is_awaiting(Slot::LookUp) {
        return Vec::new();
    }
    let command = ask(model, Slot::LookUp, Request::LookUp(LookUpRequest { request_id }));
    if let (Cmd::Perform { id, .. }, Some(unknown)) = (&command, model.unknown.front_mut()) {
        unknown.asked_by = Some(id.clone());
    }
    vec![command]
}

/// Takes out the write that the request `asked_by` looked up.
fn take(model: &mut Model, asked_by: &str) -> Option<UnknownWrite> {
    let index = model.unknown.iter().position(|unknown| unknown.asked_by.as_deref() == Some(asked_by))?;
    model.unknown.remove(index)
}

/// The true answer. One that is still under way is asked for again, a second later, after the others.
pub(super) fn looked_up(model: &mut Model, asked_by: &str, outcome: &RequestOutcome) {
    let Some(unknown) = take(model, asked_by) else { return };
    let Some(told) = unknown.told(outcome) else { return model.unknown.push_back(unknown) };
    model.failure = None;
    match told {
        Ok(text) => notice(model, &text),
        Err(text) => fail(model, text),
    }
}

/// It cannot be looked up, and asking again would not help.
pub(super) fn look_up_refused(model: &mut Model, asked_by: &str, why: &str) {
    let Some(unknown) = take(model, asked_by) else { return };
    fail(model, unknown.lost_for_good(why));
}
