//! The Audit screen.

use super::ask::ask;
use super::browse::moved;
use super::{Cmds, PAGE_AHEAD};
use crate::app::audit::{AuditFilter, ListAudit};
use crate::console::link::Request;
use crate::console::model::{Model, Overlay, PAGE_ROWS, ROWS_MAX, Slot};

pub(super) fn read_audit(model: &mut Model) -> Cmds {
    if !model.is_connected() {
        return Vec::new();
    }
    let request = Request::Audit(ListAudit { filter: AuditFilter::default(), before: None, limit: PAGE_ROWS });
    vec![ask(model, Slot::Audit, request)]
}

pub(super) fn step_audit(model: &mut Model, rows: isize) -> Cmds {
    let count = model.audit.rows().len();
    let index = moved(model.audit.chosen_index(), rows, count);
    model.audit.chosen = model.audit.rows().get(index).map(|row| row.number);
    let near_end = index + PAGE_AHEAD >= count && count < ROWS_MAX;
    match model.audit.next {
        Some(before) if near_end && model.is_connected() && !model.is_awaiting(Slot::MoreAudit) => {
            let request =
                Request::Audit(ListAudit { filter: AuditFilter::default(), before: Some(before), limit: PAGE_ROWS });
            vec![ask(model, Slot::MoreAudit, request)]
        }
        _ => Vec::new(),
    }
}

/// Shows the entry under the cursor in full.
pub(super) fn open_entry(model: &mut Model) {
    if let Some(row) = model.audit.rows().get(model.audit.chosen_index()) {
        model.overlay = Some(Overlay::Entry { row: Box::new(row.clone()), line: 0 });
    }
}
