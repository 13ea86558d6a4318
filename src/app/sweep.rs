//! Removes what has expired: sessions, pending enrolments, tokens, remembered devices, counters of failed logins, mails
//! that were given up; and what deleted organizations left behind.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;

use super::App;
use crate::clock;
use crate::domain::id::OrganizationId;
use crate::domain::job::JobId;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::records::{keys, remove_job};
use crate::store::{Batch, Commit, StoreError};

/// Time between two sweeps.
const EVERY: Duration = Duration::from_mins(10);
/// Notes taken up in one page.
const PAGE: usize = 500;
/// Figures of old days removed in one batch.
const FIGURES_PAGE: usize = 50;
/// Pages of one deleted organization removed in one sweep.
const REMAINS_PAGES_MAX: usize = 10_000;
/// Removals under way at once.
const AT_ONCE: usize = 16;

impl App {
    /// Sweeps for as long as the program runs.
    pub async fn sweep_for_ever(&self) {
        loop {
            if let Err(error) = self.sweep(clock::now()).await {
                tracing::warn!(%error, "what has expired could not be removed; the next sweep tries again");
            }
            if let Err(error) = self.keep_trail(clock::now()).await {
                tracing::error!(%error, "the audit trail could not be seen to; the next sweep tries again");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Removes everything that expired before `now`, and notes the figures of the day. What cannot be read is left for
    /// somebody to look at.
    pub async fn sweep(&self, now: Timestamp) -> Result<()> {
        self.note_adoption(now).await?;
        self.remove_old_figures(now).await?;
        loop {
            let notes = self.records().expired(now, PAGE).await?;
            let count = notes.len();
            // Each removal waits for the disk; side by side they wait together.
            let removals = stream::iter(notes.into_iter().map(|(key, note)| self.remove_expired(key, note, now)));
            let removals: Vec<Result<bool>> = removals.buffer_unordered(AT_ONCE).collect().await;
            let mut done = 0;
            for removed in removals {
                done += usize::from(removed?);
            }
            if count < PAGE || done == 0 {
                return Ok(());
            }
        }
    }

    /// Removes the figures of days that nobody asks about any more.
    async fn remove_old_figures(&self, now: Timestamp) -> Result<()> {
        loop {
            let batch = self.records().removal_of_old_figures(now, FIGURES_PAGE).await?;
            if batch == Batch::default() {
                return Ok(());
            }
            // Without expectations a batch cannot conflict.
            let _removed = self.records().store().commit(batch).await?;
        }
    }

    /// Removes what a deleted organization left behind, page by page, and then the note about it; false when there is
    /// more than so many pages.
    pub(super) async fn sweep_organization(&self, id: OrganizationId, note: Vec<u8>, pages: usize) -> Result<bool> {
        for _ in 0..pages {
            let batch = match self.records().removal_of_remains(id).await {
                Ok(batch) => batch,
                Err(error @ StoreError::Corrupt(_)) => {
                    tracing::error!(%error, "what a deleted organization left behind cannot be read");
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            };
            let is_last = batch.is_none();
            let batch = batch.unwrap_or_else(|| Batch::default().delete(note.clone()));
            // A conflict: something of it was used just now; the next page sees it as it is then.
            if matches!(self.records().store().commit(batch).await?, Commit::Done(_)) && is_last {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes a draft that lapsed, a job that is over for long, or what a draft left that was never finished.
    async fn sweep_job(&self, id: JobId, note: Vec<u8>, now: Timestamp) -> Result<bool> {
        let job = match self.records().job(id).await {
            Ok(job) => job,
            Err(error @ StoreError::Corrupt(_)) => {
                tracing::error!(%error, "a job that has expired cannot be read");
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        // One that was started has another note by the time it may go.
        let is_kept = job.as_ref().is_some_and(|job| job.value.kept_until().is_none_or(|at| now < at));
        if !is_kept {
            // The job goes before its users: one that is started just now keeps them.
            if let Some(job) = job
                && self.records().store().commit(remove_job(Batch::default(), &job)).await? == Commit::Conflict
            {
                return Ok(false);
            }
            while let Some(batch) = self.records().removal_of_job(id).await? {
                // Without expectations a batch cannot conflict.
                let _removed = self.records().store().commit(batch).await?;
            }
        }
        Ok(matches!(self.records().store().commit(Batch::default().delete(note)).await?, Commit::Done(_)))
    }

    /// Removes what one note is about; false when it has to stay.
    async fn remove_expired(&self, key: Vec<u8>, note: Vec<u8>, now: Timestamp) -> Result<bool> {
        if let Some(id) = keys::parse_organization_remains(&key) {
            return self.sweep_organization(id, note, REMAINS_PAGES_MAX).await;
        }
        if let Some(id) = keys::parse_job(&key) {
            return self.sweep_job(id, note, now).await;
        }
        let batch = match self.records().removal_of_expired(&key, note, now).await {
            Ok(batch) => batch,
            Err(error @ StoreError::Corrupt(_)) => {
                tracing::error!(%error, "a record that has expired cannot be read");
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        // A conflict: somebody used the record just now; the note stays for the next sweep.
        Ok(matches!(self.records().store().commit(batch).await?, Commit::Done(_)))
    }
}
