//! A write whose answer never came: the operator is told so, and told the truth as soon as it is known.

use super::fail;
use crate::console::model::{Model, Overlay, UnknownWrite};
use crate::console::text::shown;

/// The answer to the write of this id will not come.
pub(super) fn unanswered(model: &mut Model, id: String) {
    let what = match &model.overlay {
        Some(Overlay::Dialog(dialog)) => format!("{}, {}", dialog.deed.title(), shown(&dialog.detail.row.email)),
        Some(Overlay::Enrol(enrol)) => format!("Enrol in person, {}", shown(&enrol.email)),
        _ => "the last change".to_owned(),
    };
    fail(model, format!("Not known yet whether this was done: {what}. Look at the audit entries before trying again."));
    model.unknown = Some(UnknownWrite { id, what });
}
