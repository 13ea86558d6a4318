//! The Audit screen.

use tui_input::Input;

use super::ROWS_MAX;
use crate::app::audit::{AuditFilter, AuditPage};
use crate::app::views::AuditRow;

/// The Audit screen.
#[derive(Debug, Default)]
pub struct Audit {
    /// What is typed into the filter; it counts from Enter on.
    pub input: Input,
    /// Whether the filter has the keyboard.
    pub typing: bool,
    pub filter: AuditFilter,
    /// Why what is typed does not count.
    pub problem: Option<String>,
    /// What was typed for the filter that is applied.
    pub applied: String,
    /// `None` before the first answer.
    pub rows: Option<Vec<AuditRow>>,
    pub next: Option<u64>,
    /// Number of the entry under the cursor.
    pub chosen: Option<u64>,
    /// Number of the newest entry of the whole trail.
    pub newest: u64,
}

impl Audit {
    #[must_use]
    pub fn rows(&self) -> &[AuditRow] {
        self.rows.as_deref().unwrap_or_default()
    }

    #[must_use]
    pub fn chosen_index(&self) -> usize {
        self.rows().iter().position(|row| Some(row.number) == self.chosen).unwrap_or(0)
    }

    #[must_use]
    pub fn chosen_row(&self) -> Option<&AuditRow> {
        self.rows().get(self.chosen_index())
    }

    /// Whether the cursor is on the newest entry: it stays on the newest, then.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.chosen.is_none() || self.rows().first().map(|row| row.number) == self.chosen
    }

    /// Takes the first page, or the page behind what is there. What was read before stays where the new page joins it.
    pub fn take(&mut self, page: AuditPage, more: bool) {
        let follows = self.follows();
        self.newest = page.newest;
        match &mut self.rows {
            Some(rows) if more => {
                rows.extend(page.rows);
                self.next = page.next;
            }
            Some(rows) if joins(rows, &page.rows) => {
                let newest = rows.first().map_or(0, |row| row.number);
                rows.splice(0..0, page.rows.into_iter().filter(|row| row.number > newest));
            }
            rows => {
                *rows = Some(page.rows);
                self.next = page.next;
            }
        }
        if let Some(rows) = self.rows.as_mut().filter(|rows| rows.len() > ROWS_MAX) {
            rows.truncate(ROWS_MAX);
            self.next = rows.last().map(|row| row.number);
            self.chosen = self.chosen.max(self.next);
        }
        let is_there = |number| self.rows().iter().any(|row| row.number == number);
        if follows || !self.chosen.is_some_and(is_there) {
            self.chosen = self.rows().first().map(|row| row.number);
        }
    }

    /// Begins anew, with another filter.
    pub fn clear(&mut self) {
        self.rows = None;
        self.next = None;
        self.chosen = None;
    }
}

/// Whether nothing is missing between a newer page and what was read before.
fn joins(rows: &[AuditRow], page: &[AuditRow]) -> bool {
    match (rows.first(), page.last()) {
        (Some(first), Some(last)) => last.number <= first.number,
        _ => false,
    }
}
