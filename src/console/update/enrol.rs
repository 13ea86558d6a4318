//! Enrolment in person, and looking into a code: begun from the action menu, ended by hand or by time.

use crossterm::event::{KeyCode, KeyEvent};

use super::ask::{ask, forget};
use super::{Cmds, toast};
use crate::app::reset::{CodeExplanation, ConfirmEnrolment, EnrolmentStarted, ExplainCode};
use crate::console::dialog::Deed;
use crate::console::enrol::{Enrol, Step};
use crate::console::explain::Explain;
use crate::console::field;
use crate::console::link::Request;
use crate::console::model::{Model, Overlay, Slot};
use crate::domain::secret::Secret;

/// The key is here: it takes the whole screen, unless the operator left meanwhile.
pub(super) fn started(model: &mut Model, started: &EnrolmentStarted) {
    let Some(Overlay::Dialog(dialog)) = &model.overlay else { return };
    if dialog.deed != Deed::Enrol {
        return;
    }
    let name = dialog.detail.row.name.clone();
    let enrol = Enrol::new(started, dialog.user(), name, dialog.proof(), model.now);
    model.overlay = Some(Overlay::Enrol(Box::new(enrol)));
    if model.is_too_small() {
        hide_key(model);
    }
}

pub(super) fn enrol_key(model: &mut Model, event: KeyEvent) -> Cmds {
    let refused = model.writes_refused();
    let Some(Overlay::Enrol(enrol)) = &mut model.overlay else { return Vec::new() };
    match enrol.press(event) {
        Step::Stay => Vec::new(),
        Step::Leave => {
            model.overlay = None;
            toast(model, "the key is gone; no device was enrolled");
            Vec::new()
        }
        Step::Send => {
            if let Some(why) = refused {
                enrol.refused(why, false);
                return Vec::new();
            }
            let code = Secret::from(enrol.digits.as_str());
            let confirm = ConfirmEnrolment { user: enrol.user.clone(), code, proof: enrol.proof.clone() };
            vec![ask(model, Slot::Write, Request::ConfirmEnrolment(confirm))]
        }
    }
}

/// Forgets the key on the screen: time is up, the process stops for a while, or there is no room any more.
pub(super) fn hide_key(model: &mut Model) {
    if let Some(Overlay::Enrol(enrol)) = &mut model.overlay
        && enrol.key.is_some()
    {
        enrol.hide();
        model.dirty = true;
    }
}

/// Hides the key when its time is over; the seconds on the screen go down.
pub(super) fn tick(model: &mut Model) {
    let Some(Overlay::Enrol(enrol)) = &model.overlay else { return };
    if enrol.key.is_none() {
        return;
    }
    model.dirty = true;
    if enrol.seconds_left(model.now).is_none() {
        hide_key(model);
    }
}

// ----------------------------------------------------------------------------------------------------------- explain

pub(super) fn open_explain(model: &mut Model) {
    let Some(detail) = model.chosen_detail() else { return };
    model.overlay = Some(Overlay::Explain(Box::new(Explain::new(detail))));
}

pub(super) fn explain_key(model: &mut Model, event: KeyEvent) -> Cmds {
    let Some(Overlay::Explain(explain)) = &mut model.overlay else { return Vec::new() };
    match event.code {
        KeyCode::Esc => {
            model.overlay = None;
            return vec![forget(model, Slot::Explain)];
        }
        KeyCode::Enter if explain.code.value().trim().is_empty() || explain.sent => {}
        KeyCode::Enter => {
            let code = Secret::from(explain.code.value_and_reset());
            explain.sent = true;
            let request = Request::Explain(ExplainCode { user: explain.user.clone(), code });
            return vec![ask(model, Slot::Explain, request)];
        }
        _ => {
            field::edit(&mut explain.code, event);
        }
    }
    Vec::new()
}

pub(super) fn explained(model: &mut Model, answer: CodeExplanation) {
    if let Some(Overlay::Explain(explain)) = &mut model.overlay {
        explain.sent = false;
        explain.problem = None;
        explain.answer = Some(answer);
    }
}
