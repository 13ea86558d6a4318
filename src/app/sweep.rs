//! Removes what has expired: sessions, pending enrolments, tokens, remembered devices, counters of failed logins.

use std::time::Duration;

use super::App;
use crate::clock;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::{Commit, StoreError};

/// Time between two sweeps.
const EVERY: Duration = Duration::from_mins(10);
/// Notes taken up in one page.
const PAGE: usize = 500;

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
        let login_memory_seconds = i64::from(self.0.config.login.lock_seconds);
        loop {
            let notes = self.records().expired(now, PAGE).await?;
            let (count, mut done) = (notes.len(), 0);
            for (key, note) in notes {
                let batch = match self.records().removal_of_expired(&key, note, now, login_memory_seconds).await {
                    Ok(batch) => batch,
                    Err(error @ StoreError::Corrupt(_)) => {
                        tracing::error!(%error, "a record that has expired cannot be read");
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                match self.records().store().commit(batch).await? {
                    Commit::Done(_) => done += 1,
                    // Somebody used the record just now; the note stays for the next sweep.
                    Commit::Conflict => {}
                }
            }
            if count < PAGE || done == 0 {
                return Ok(());
            }
        }
    }
}
