//! The flow for many users.

use crossterm::event::KeyEvent;

use super::ask::{ask, forget};
use super::{Cmds, remember_reason, toast};
use crate::app::jobs::{JobDraft, Selection};
use crate::console::bulk::{Bulk, Deed, Stage, Step};
use crate::console::export::What;
use crate::console::link::Request;
use crate::console::model::{Marks, Model, Overlay, Slot};
use crate::domain::time::Timestamp;
use crate::domain::user_filter::UserQuery;

/// Opens the menu for those that are marked.
pub(super) fn open_bulk(model: &mut Model) {
    let (selection, count) = selection(model);
    model.overlay = Some(Overlay::Bulk(Box::new(Bulk::new(selection, count, model.now))));
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
    let (now, writes) = (model.now, model.writes_refused());
    let Some(Overlay::Bulk(bulk)) = &mut model.overlay else { return Vec::new() };
    let Some(deed) = Deed::ALL.get(index).copied() else { return Vec::new() };
    if let Some(why) = bulk.refusal(deed, writes.as_deref()) {
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
