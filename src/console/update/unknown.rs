//! A write whose answer never came: the operator is told so, and told the truth as soon as it is known.

use super::Cmds;
use super::ask::ask;
use super::messages::{fail, notice};
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
    model.unknown = Some(UnknownWrite { id, what });
}

/// Asks what became of it, if there is such a write and somebody to ask.
pub(super) fn look_up(model: &mut Model) -> Cmds {
    let Some(unknown) = &model.unknown else { return Vec::new() };
    if !model.is_connected() || model.is_awaiting(Slot::LookUp) {
        return Vec::new();
    }
    let request = Request::LookUp(LookUpRequest { request_id: unknown.id.clone() });
    vec![ask(model, Slot::LookUp, request)]
}

/// The true answer. One that is still under way is asked for again, a second later.
pub(super) fn looked_up(model: &mut Model, outcome: &RequestOutcome) {
    if matches!(outcome, RequestOutcome::UnderWay) {
        return;
    }
    let Some(UnknownWrite { what, .. }) = model.unknown.take() else { return };
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
