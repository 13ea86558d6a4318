//! A write whose answer never came: the operator is told so, and told the truth as soon as it is known.

use super::ask::ask;
use super::messages::{fail, notice};
use super::{Cmd, Cmds};
use crate::app::requests::{LookUpRequest, RequestOutcome};
use crate::console::link::Request;
use crate::console::model::{Model, Overlay, Slot, UnknownWrite};
use crate::console::text::{shown, thousands};
use crate::domain::audit::Outcome;

/// The answer to the write of this id will not come.
pub(super) fn unanswered(model: &mut Model, id: String) {
    let what = match &model.overlay {
        Some(Overlay::Dialog(dialog)) => format!("{}, {}", dialog.deed.title(), shown(&dialog.detail.row.email)),
        Some(Overlay::Enrol(enrol)) => format!("Enrol in person, {}", shown(&enrol.email)),
        _ => "the last change".to_owned(),
    };
    fail(model, format!("Not known yet whether this was done: {what}. It is looked up as soon as there is a server."));
    model.unknown.push_back(UnknownWrite { id, what, asked_by: None });
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
    if matches!(outcome, RequestOutcome::UnderWay) {
        model.unknown.push_back(unknown);
        return;
    }
    let what = unknown.what;
    model.failure = None;
    match outcome {
        RequestOutcome::Done(entries) => {
            let number = entries.last().map_or(0, |entry| entry.number);
            let is_done = entries.iter().all(|entry| entry.record.outcome == Outcome::Done);
            let word = if is_done { "It was done" } else { "It was refused" };
            notice(model, &format!("{word}: {what}. Audit #{}.", thousands(number)));
        }
        RequestOutcome::Unknown | RequestOutcome::UnderWay => {
            fail(
                model,
                format!("It was not done, and nothing was changed: {what}. Do it again if it is still wanted."),
            );
        }
    }
}

/// It cannot be looked up, and asking again would not help.
pub(super) fn look_up_refused(model: &mut Model, asked_by: &str, why: &str) {
    let Some(UnknownWrite { what, .. }) = take(model, asked_by) else { return };
    fail(
        model,
        format!("Not known whether this was done: {what}. It cannot be looked up ({why}): see the audit trail."),
    );
}
