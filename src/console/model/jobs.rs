//! The Jobs screen.

use crate::app::approvals::ApprovalRow;
use crate::app::jobs::{JobDetail, JobOutcome, JobResult, JobRow};

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
    /// The job that is looked into.
    pub open: Option<OpenJob>,
    /// Why there is no list.
    pub problem: Option<String>,
}

/// A job that is looked into. Its results are numbered without a gap, so some are held by number, however many there are.
#[derive(Debug)]
pub struct OpenJob {
    pub row: JobRow,
    /// Results before those that are held.
    pub first: usize,
    pub results: Vec<JobResult>,
    /// The result under the cursor, from 0, held or not.
    pub cursor: usize,
}

impl OpenJob {
    #[must_use]
    pub fn new(detail: JobDetail) -> Self {
        let mut open = Self { row: detail.row.clone(), first: 0, results: Vec::new(), cursor: 0 };
        open.take(detail);
        open
    }

    /// Results there are.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::try_from(self.row.users).unwrap_or(usize::MAX)
    }

    #[must_use]
    pub fn result(&self, index: usize) -> Option<&JobResult> {
        self.results.get(index.checked_sub(self.first)?)
    }

    #[must_use]
    pub fn end(&self) -> usize {
        self.first + self.results.len()
    }

    /// Takes results that were read: into those that are held, where they are a part of them, else in their place.
    pub fn take(&mut self, detail: JobDetail) {
        self.row = detail.row;
        let Some(number) = detail.results.first().map(|result| result.number) else { return };
        let first = usize::try_from(number).unwrap_or(1).saturating_sub(1);
        let held = first.checked_sub(self.first).map(|start| start..start + detail.results.len());
        if let Some(held) = held.filter(|held| held.end <= self.results.len()) {
            self.results.splice(held, detail.results);
        } else {
            (self.first, self.results) = (first, detail.results);
        }
    }

    /// Of the results that are held, those of users who were seen to since they were read: where they begin and end. A
    /// job goes through its users in their order.
    #[must_use]
    pub fn changed(&self) -> Option<(usize, usize)> {
        let waiting = self.results.iter().position(|result| result.outcome == JobOutcome::Waiting)?;
        let end = usize::try_from(self.row.seen_to()).unwrap_or(usize::MAX).min(self.end());
        let start = self.first + waiting;
        (start < end).then_some((start, end))
    }
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
