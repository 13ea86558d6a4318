//! Marks: on users for an action on many, and on sessions or keys of one user.

use super::messages::toast;
use crate::console::keys::{Action, Place};
use crate::console::model::{Focus, Marks, Model, Screen};
use crate::domain::id::UserId;

/// Users that can be marked one by one; more are marked as all that match.
const MARKS_MAX: usize = 10_000;

/// Marks what is under the cursor, or takes its mark away.
pub(super) fn mark(model: &mut Model) {
    if model.screen == Screen::Users(Focus::Detail) {
        return mark_in_tab(model);
    }
    let Some(user) = model.users.chosen else { return };
    let Marks::Users(users) = &mut model.users.marks else {
        return all_are_marked(model);
    };
    if !users.remove(&user) {
        users.insert(user);
    }
    keep_few(model);
}

fn mark_in_tab(model: &mut Model) {
    let Some(id) = model.chosen_in_tab().filter(|_| model.can_mark_in_tab()) else { return };
    if !model.tab_marks.remove(&id) {
        model.tab_marks.insert(id);
    }
}

/// The first time, a range begins; the second time, all from there to the cursor are marked.
pub(super) fn mark_range(model: &mut Model) {
    let Some(from) = model.users.range_from.take() else {
        model.users.range_from = model.users.chosen;
        toast(model, "a range begins here: go to its other end and press the same key again");
        return;
    };
    let place = |user: UserId| model.users.rows().iter().position(|row| row.uuid == user);
    let (Some(one), Some(other)) = (place(from), model.users.chosen_index()) else {
        toast(model, "the range is too long to be marked row by row: search, and mark all that match");
        return;
    };
    let range = one.min(other)..=one.max(other);
    let ids: Vec<UserId> = model.users.rows().get(range).unwrap_or_default().iter().map(|row| row.uuid).collect();
    match &mut model.users.marks {
        Marks::Users(users) => users.extend(ids),
        Marks::Matching { .. } => all_are_marked(model),
    }
    keep_few(model);
}

/// Marks all that match, held here or not.
pub(super) fn mark_all(model: &mut Model) {
    let users = &model.users;
    if users.rows().is_empty() {
        return;
    }
    if users.is_former {
        return toast(model, "the search is not answered yet");
    }
    if users.is_whole() {
        let stray = users.window.as_ref().and_then(|window| window.stray);
        let matching = users.rows().iter().map(|row| row.uuid).filter(|user| Some(*user) != stray);
        let ids: Vec<UserId> = matching.collect();
        if let Marks::Users(marked) = &mut model.users.marks {
            marked.extend(ids);
            return;
        }
    }
    model.users.marks = Marks::Matching { query: model.users.query(), hits: model.users.hits };
}

/// Takes all marks away.
pub(super) fn unmark(model: &mut Model) {
    model.users.marks = Marks::default();
    model.users.range_from = None;
    model.tab_marks.clear();
}

fn all_are_marked(model: &mut Model) {
    let key = model.keys.first(Place::List, Action::Unmark);
    toast(model, &format!("all that match are marked; {key} takes the marks away"));
}

fn keep_few(model: &mut Model) {
    if let Marks::Users(users) = &mut model.users.marks
        && users.len() > MARKS_MAX
    {
        while users.len() > MARKS_MAX {
            users.pop_last();
        }
        toast(model, "no more can be marked one by one: search, and mark all that match");
    }
}
