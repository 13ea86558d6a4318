//! The journal: whether it can be read, and whether it and a backup could bring everything back.

use super::{Check, Findings, ProblemKind};
use crate::app::backups::newest_backup;
use crate::error::Result;
use crate::store::StoreError;

impl Check<'_> {
    pub(super) async fn journal_page(&self) -> Result<Findings> {
        let mut findings = Findings { is_done: true, ..Findings::default() };
        let store = self.cx.records().store();
        match store.journal_begins().await {
            Ok(None) => {}
            Ok(Some(begins)) if begins <= newest_backup(&self.cx.app.0.config, store.id()).await? => {}
            Ok(Some(_)) => findings.notes.push(
                "the journal does not reach back to a backup, so the two could not bring back everything: make a backup"
                    .to_owned(),
            ),
            Err(StoreError::Corrupt(damage)) => {
                let detail = format!(
                    "{damage}; the store has everything, so make a backup (`doorward backup`). A damaged end is set aside \
                     when the server starts again; an older part goes with the second scheduled backup"
                );
                findings.problem(ProblemKind::DamagedJournal, detail, false);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(findings)
    }
}
