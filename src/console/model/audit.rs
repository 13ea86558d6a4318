//! The Audit screen.

use crate::app::audit::AuditPage;
use crate::app::views::AuditRow;

/// The Audit screen.
#[derive(Debug, Default)]
pub struct Audit {
    /// `None` before the first answer.
    pub rows: Option<Vec<AuditRow>>,
    pub next: Option<u64>,
    /// Number of the entry under the cursor.
    pub chosen: Option<u64>,
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

    /// Takes the first page, or the page behind what is there.
    pub fn take(&mut self, page: AuditPage, more: bool) {
        self.next = page.next;
        match &mut self.rows {
            Some(rows) if more => rows.extend(page.rows),
            rows => *rows = Some(page.rows),
        }
        if self.chosen.is_none_or(|number| !self.rows().iter().any(|row| row.number == number)) {
            self.chosen = self.rows().first().map(|row| row.number);
        }
    }
}
