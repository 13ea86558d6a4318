//! The Jobs screen.

use crate::app::approvals::ApprovalRow;
use crate::app::jobs::{JobDetail, JobRow};

/// One of what the screen lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobRef {
    Approval(String),
    Job(String),
}

#[derive(Debug, Default)]
pub struct Jobs {
    /// What waits for a second operator.
    pub approvals: Vec<ApprovalRow>,
    /// `None` before the first answer.
    pub rows: Option<Vec<JobRow>>,
    /// The approval or job under the cursor.
    pub chosen: Option<String>,
    /// The job that is looked into, and the row of its results under the cursor.
    pub open: Option<JobDetail>,
    pub result: usize,
    /// Why there is no list.
    pub problem: Option<String>,
}

impl Jobs {
    /// The ids of approvals and jobs in the order of the screen.
    #[must_use]
    pub fn ids(&self) -> Vec<&str> {
        let approvals = self.approvals.iter().map(|row| row.id.as_str());
        approvals.chain(self.rows.iter().flatten().map(|row| row.id.as_str())).collect()
    }

    #[must_use]
    pub fn is_chosen(&self, id: &str) -> bool {
        self.chosen.as_deref() == Some(id)
    }

    #[must_use]
    pub fn chosen_index(&self) -> Option<usize> {
        self.ids().iter().position(|id| self.is_chosen(id))
    }

    #[must_use]
    pub fn chosen_approval(&self) -> Option<&ApprovalRow> {
        self.approvals.iter().find(|row| self.is_chosen(&row.id))
    }

    /// The job that is open, else the one under the cursor.
    #[must_use]
    pub fn chosen_job(&self) -> Option<&JobRow> {
        let open = self.open.as_ref().map(|open| &open.row);
        open.or_else(|| self.rows.iter().flatten().find(|row| self.is_chosen(&row.id)))
    }

    /// What the cursor is on, or the job that is open.
    #[must_use]
    pub fn chosen_ref(&self) -> Option<JobRef> {
        match self.chosen_approval().filter(|_| self.open.is_none()) {
            Some(row) => Some(JobRef::Approval(row.id.clone())),
            None => self.chosen_job().map(|row| JobRef::Job(row.id.clone())),
        }
    }

    #[must_use]
    pub fn job(&self, id: &str) -> Option<&JobRow> {
        let open = self.open.as_ref().map(|open| &open.row);
        open.into_iter().chain(self.rows.iter().flatten()).find(|row| row.id == id)
    }

    /// Takes what was read; the cursor stays on what it was on. When that is gone it is on nothing: what comes next in
    /// the list may not be what the operator is about to act on.
    pub fn settle(&mut self) {
        if self.chosen.is_none() {
            self.chosen = self.ids().first().map(|id| (*id).to_owned());
        }
    }
}
