//! The flow for many users.

use crossterm::event::KeyEvent;

use super::ask::{ask, forget};
use super::{Cmds, remember_reason, toast};
use crate::app::jobs::{JobDraft, Selection};
use crate::console::bulk::{Bulk, Deed, Stage, Step};
use crate::console::export::What;
use crate::console::link::Request;
use crate::console::model::{Marks, Model, Overlay, Slot};
use crate::console::text::shown;
use crate::domain::time::Timestamp;
use crate::domain::user_filter::UserQuery;

/// Opens the menu for those that are marked.
pub(super) fn open_bulk(model: &mut Model) {
    let (selection, count) = selection(model);
    let mut bulk = Bulk::new(selection, count, model.now);
    bulk.care = out_of_sight(model);
    model.overlay = Some(Overlay::Bulk(Box::new(bulk)));
}

/// That marks were set in another list, or that the user under the cursor is not among them.
fn out_of_sight(model: &Model) -> Option<String> {
    let Marks::Users(marked) = &model.users.marks else { return None };
    let rows = model.users.rows();
    let unseen = marked.iter().filter(|user| !rows.iter().any(|row| row.uuid == **user)).count();
    let unseen = (unseen > 0).then(|| format!("{unseen} of the marked are not in this list"));
    let chosen = model.users.chosen_row().filter(|row| !marked.contains(&row.uuid));
    let chosen = chosen.map(|row| format!("{} is not marked", shown(&row.email)));
    let both: Vec<String> = unseen.into_iter().chain(chosen).collect();
    (!both.is_empty()).then(|| both.join("; "))
}

/// Those that are marked: one by one, or all that match.
fn selection(model: &Model) -> (Selection, u64) {
    let count = model.users.marks.count().count;
    let selection = match &model.users.marks {
        Marks::Users(users) => Selection::Users(users.iter().copied().collect()),
        Marks::Matching { query, .. } => {
            Selection::Matching { query: query.words.clone(), filters: query.filters.clone() }
        }
    };
    (selection, count)
}

pub(super) fn bulk_key(model: &mut Model, event: KeyEvent) -> Cmds {
    let now = model.now;
    let writes = model.writes_refused();
    let Some(Overlay::Bulk(bulk)) = &mut model.overlay else { return Vec::new() };
    if bulk.is_deaf(now) {
        return Vec::new();
    }
    let was_counting = matches!(bulk.stage, Stage::Countdown { .. });
    let step = bulk.key(event, now, &model.reasons, writes.as_deref());
    follow(model, step, was_counting)
}

/// A line of the menu.
pub(super) fn choose(model: &mut Model, index: usize) -> Cmds {
    let (now, writes, is_mail_on) = (model.now, model.writes_refused(), model.is_mail_on());
    let Some(Overlay::Bulk(bulk)) = &mut model.overlay else { return Vec::new() };
    let Some(deed) = Deed::ALL.get(index).copied() else { return Vec::new() };
    if let Some(why) = bulk.refusal(deed, writes.as_deref(), is_mail_on) {
        toast(model, &format!("{}: {why}", deed.title()));
        return Vec::new();
    }
    let step = bulk.choose(deed, now);
    follow(model, step, false)
}

fn follow(model: &mut Model, step: Step, was_counting: bool) -> Cmds {
    let Some(Overlay::Bulk(bulk)) = &mut model.overlay else { return Vec::new() };
    match step {
        Step::Stay => Vec::new(),
        Step::Leave => {
            model.overlay = None;
            toast(model, if was_counting { "stopped: nothing was changed" } else { "nothing was changed" });
            vec![forget(model, Slot::Draft)]
        }
        Step::Draft(draft) => vec![ask(model, Slot::Draft, Request::DraftJob(draft))],
        Step::Export => {
            let what = match &bulk.selection {
                Selection::Users(users) => What::Users(users.as_slice().into()),
                Selection::Matching { query, filters } => {
                    What::Matching(UserQuery { words: query.clone(), filters: filters.clone() })
                }
            };
            super::export::open_export(model, what);
            Vec::new()
        }
    }
}

pub(super) fn drafted(model: &mut Model, draft: JobDraft) {
    let now = model.now;
    if let Some(Overlay::Bulk(bulk)) = &mut model.overlay {
        bulk.drafted(draft, now);
    }
}

/// Stops the countdown when time made a jump.
pub(super) fn watch(model: &mut Model, before: Timestamp) {
    let now = model.now;
    if let Some(Overlay::Bulk(bulk)) = &mut model.overlay {
        bulk.watch(before, now);
    }
}

/// Stops the countdown.
pub(super) fn stop(model: &mut Model, why: &str) {
    let now = model.now;
    if let Some(Overlay::Bulk(bulk)) = &mut model.overlay {
        bulk.stop(why, now);
    }
}

/// Ends the countdown.
pub(super) fn tick(model: &mut Model) -> Cmds {
    let now = model.now;
    let refused = model.writes_refused();
    let Some(Overlay::Bulk(bulk)) = &mut model.overlay else { return Vec::new() };
    if bulk.seconds_left(now).is_none() {
        return Vec::new();
    }
    model.dirty = true;
    if let Some(why) = refused {
        bulk.stop(&why, now);
        return Vec::new();
    }
    let Some(start) = bulk.tick(now) else { return Vec::new() };
    let reason = start.proof.reason.clone();
    remember_reason(model, reason);
    vec![ask(model, Slot::Write, Request::StartJob(start))]
}
