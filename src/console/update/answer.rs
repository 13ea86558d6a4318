//! What follows from an answer, whatever it was.

use super::ask::{ask, refresh_all};
use super::detail::{user_gone, user_read};
use super::enrol;
use super::export::{self, exported};
use super::home::overview_read;
use super::link::{connected, lose, no_connection, status_read};
use super::unknown::{look_up_refused, looked_up, unanswered};
use super::users::users_found;
use super::{Cmds, fail, toast};
use super::{bulk, jobs};
use crate::console::confirm::Question;
use crate::console::dialog::Deed;
use crate::console::link::{Answer, Failure, Reply};
use crate::console::model::{Awaited, Model, Overlay, Panel, Slot};
use crate::console::text::shown;
use crate::error::Error;

pub(super) fn answered(model: &mut Model, slot: Slot, serial: u64, answer: Answer) -> Cmds {
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
        Ok(Reply::Users(users)) => users_found(model, users, slot, took_ms),
        Ok(Reply::LookedUp(outcome)) => {
            looked_up(model, &awaited.id, &outcome);
            Vec::new()
        }
        Ok(Reply::Count(hits)) => {
            model.users.without_last = Some(hits);
            Vec::new()
        }
        Ok(Reply::User(detail)) => {
            user_read(model, detail, awaited.since);
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
        Ok(Reply::EnrolmentStarted(started)) => {
            enrol::started(model, &started);
            refresh_all(model)
        }
        Ok(Reply::Overview(overview)) => {
            overview_read(model, overview);
            Vec::new()
        }
        Ok(Reply::Jobs(rows)) => jobs::jobs_read(model, rows),
        Ok(Reply::Approvals(rows)) => {
            jobs::approvals_read(model, rows);
            Vec::new()
        }
        Ok(Reply::Job(detail)) => jobs::job_read(model, *detail),
        Ok(Reply::Draft(draft)) => {
            bulk::drafted(model, draft);
            Vec::new()
        }
        Ok(Reply::Steered(row)) => jobs::steered(model, row),
        Ok(Reply::Exported(page)) => exported(model, &page),
        Ok(Reply::Explained(answer)) => {
            enrol::explained(model, answer);
            Vec::new()
        }
        Ok(Reply::Done(mut done)) => {
            if let Some(Overlay::Dialog(dialog)) = &mut model.overlay {
                if let Some(request) = dialog.next_request() {
                    return vec![ask(model, Slot::Write, request)];
                }
                if dialog.done > 1 {
                    done.summary = format!("{} of them: {}", dialog.done, done.summary);
                }
                model.tab_marks.clear();
            }
            let credential = match &model.overlay {
                Some(Overlay::Dialog(dialog)) => changes_credential(&dialog.deed),
                Some(Overlay::Enrol(_)) => true,
                Some(Overlay::Confirm(confirm)) => {
                    matches!(&confirm.question, Question::Approve(row) if row.operation.changes_credential())
                }
                _ => false,
            };
            model.overlay = None;
            if credential {
                model.overlay = Some(Overlay::Panel(Panel::Done { done, took_ms }));
            } else {
                toast(model, &format!("audit #{}: {}", done.audit_number, shown(&done.summary)));
            }
            refresh_all(model)
        }
        Err(failure) => failed(model, awaited, failure),
    }
}

pub(super) fn changes_credential(deed: &Deed) -> bool {
    match deed {
        Deed::Reset
        | Deed::Demand
        | Deed::RevokeCodes
        | Deed::SignOut
        | Deed::EndSessions(_)
        | Deed::RevokeKeys(_)
        | Deed::RevokeAllKeys => true,
        Deed::Unlock | Deed::ResendVerification | Deed::CancelEmailChange | Deed::Enrol | Deed::Explain => false,
    }
}

fn failed(model: &mut Model, awaited: Awaited, failure: Failure) -> Cmds {
    match (failure, awaited.slot) {
        (Failure::Mismatch(text), _) => model.mismatch = Some(text),
        (failure @ (Failure::Lost | Failure::NoWay(_)), Slot::Connect) => return no_connection(model, &failure),
        (Failure::Lost, Slot::Write) => {
            unanswered(model, awaited.id);
            model.overlay = None;
            return lose(model);
        }
        (Failure::Lost, _) => return lose(model),
        (Failure::NoWay(why), _) => fail(model, why),
        (Failure::Refused(error), Slot::Write) if error.code() == "approval_needed" => {
            if let Some(Overlay::Dialog(dialog)) = &model.overlay {
                let email = dialog.detail.row.email.clone();
                model.overlay = Some(Overlay::Panel(Panel::Waits { email, text: error.to_string() }));
            }
        }
        (Failure::Refused(error), slot @ (Slot::Write | Slot::Preview | Slot::Explain | Slot::Draft)) => {
            let what = if slot == Slot::Write {
                "look at the audit entries whether it was done before trying again"
            } else {
                "nothing was changed"
            };
            let is_code_wrong = error.code() == "token_invalid";
            let text = error_text(&error, what, &awaited.id);
            match &mut model.overlay {
                Some(Overlay::Dialog(dialog)) => {
                    dialog.sent = false;
                    let (done, all) = (dialog.done, dialog.requests());
                    dialog.problem = Some(if done > 0 { format!("{done} of {all} done; {text}") } else { text });
                }
                Some(Overlay::Enrol(enrol)) => enrol.refused(text, is_code_wrong),
                Some(Overlay::Bulk(bulk)) => bulk.refused(text),
                Some(Overlay::Confirm(confirm)) => {
                    confirm.sent = false;
                    confirm.problem = Some(text);
                }
                Some(Overlay::Explain(explain)) => {
                    explain.sent = false;
                    explain.problem = Some(text);
                }
                _ => fail(model, text),
            }
        }
        (Failure::Refused(error), Slot::Export) => {
            let text = error_text(&error, "no file was written", &awaited.id);
            return export::refused(model, &error, text);
        }
        (Failure::Refused(error), Slot::Audit | Slot::MoreAudit) if !matches!(error, Error::Internal { .. }) => {
            model.audit.problem = Some(error_text(&error, "nothing was changed", &awaited.id));
        }
        (Failure::Refused(error), Slot::Jobs) => {
            model.jobs.problem = Some(error_text(&error, "nothing was changed", &awaited.id));
        }
        (Failure::Refused(error), Slot::Overview) => {
            model.home.problem = Some(error_text(&error, "nothing was changed", &awaited.id));
        }
        (Failure::Refused(error), Slot::LookUp) => {
            let text = error_text(&error, "nothing was changed", &awaited.id);
            look_up_refused(model, &awaited.id, &text);
        }
        (Failure::Refused(Error::NotFound { .. }), Slot::Inspect) => user_gone(model),
        (Failure::Refused(error), _) => {
            let text = error_text(&error, "nothing was changed", &awaited.id);
            fail(model, text);
        }
    }
    Vec::new()
}

/// What to tell of an error. One that is nobody's fault here says what became of the data, and the id to search for in
/// the server's log.
fn error_text(error: &Error, what_of_it: &str, id: &str) -> String {
    let text = shown(&error.to_string());
    if matches!(error, Error::Internal { .. }) {
        format!("failed: {text}; {what_of_it}; {id} in the log")
    } else {
        text
    }
}
