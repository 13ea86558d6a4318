//! Removes what has expired: sessions, pending enrolments, tokens, remembered devices, counters of failed logins, mails
//! that were given up.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;

use super::App;
use crate::clock;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::{Commit, StoreError};

/// Time between two sweeps.
const EVERY: Duration = Duration::from_mins(10);
/// Notes taken up in one page.
const PAGE: usize = 500;
/// Removals under way at once.
const AT_ONCE: usize = 16;

impl App {
    /// Sweeps for as long as the program runs.
    pub async fn sweep_for_ever(&self) {
        loop {
            if let Err(error) = self.sweep(clock::now()).await {
                tracing::warn!(%error, "what has expired could not be removed; the next sweep tries again");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Removes everything that expired before `now`. What cannot be read is left for somebody to look at.
    pub async fn sweep(&self, now: Timestamp) -> Result<()> {
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

    /// Removes what one note is about; false when it has to stay.
    async fn remove_expired(&self, key: Vec<u8>, note: Vec<u8>, now: Timestamp) -> Result<bool> {
        let login_memory_seconds = i64::from(self.0.config.login.lock_seconds);
        let batch = match self.records().removal_of_expired(&key, note, now, login_memory_seconds).await {
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
