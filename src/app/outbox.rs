//! The outbox: mails are queued in the batch of the change they tell of, and taken from here to be delivered.
//!
//! Does not render or send; `mail` does.

use serde::{Deserialize, Serialize};

use super::announcement::Announcement;
use super::{App, Context, random};
use crate::clock;
use crate::domain::email::EmailAddress;
use crate::domain::id::UserId;
use crate::domain::mail::{Mail, MailKind, MailNote, MailState};
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::vault::{Sealed, Vault};
use crate::error::{Error, Result};
use crate::records::{self, OutboxRecord, Versioned, keys};
use crate::store::{Batch, Commit, Write};

/// What sealed mails are bound to.
const PURPOSE: &str = "outbox";

/// How long a mail that was given up is kept for somebody to look at, in seconds.
const GIVEN_UP_KEPT_SECONDS: i64 = 30 * 86_400;

/// Most of what a mail server said, in characters.
const ERROR_CHARS_MAX: usize = 200;

/// Time until an announcement is tried again that could not be made into mails, in seconds, and how often that is done.
const ANNOUNCED_AGAIN_SECONDS: i64 = 600;
const ANNOUNCE_TRIES_MAX: u32 = 100;

/// What waits in the outbox, sealed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Queued {
    Mail(Mail),
    /// Becomes mails before it is delivered.
    Announcement(Announcement),
}

/// A mail that is due.
#[derive(Clone, Debug)]
pub struct OutboxMail {
    /// Stable over all attempts.
    pub id: String,
    pub mail: Mail,
    /// Failed attempts so far.
    pub attempts: u32,
    pub queued_at: Timestamp,
    record: Versioned<OutboxRecord>,
}

impl Context<'_> {
    /// Queues a mail to the user's address. Nothing is queued where mail is not available.
    pub(super) fn mailed(&self, batch: Batch, user: &User, kind: MailKind) -> Result<Batch> {
        self.mailed_to(batch, user, &user.email, kind)
    }

    /// Queues a mail to another address of the user (the one before or behind a change).
    pub(super) fn mailed_to(&self, batch: Batch, user: &User, to: &EmailAddress, kind: MailKind) -> Result<Batch> {
        if !self.app.is_mail_available() {
            return Ok(batch);
        }
        let mail = Mail { to: to.clone(), name: user.full_name(), kind, at: self.now };
        self.app.queued(batch, Some(user.id), &Queued::Mail(mail), self.now)
    }

    /// Queues a mail to somebody who may have no account.
    pub(super) fn mailed_to_stranger(
        &self,
        batch: Batch,
        to: &EmailAddress,
        name: &str,
        kind: MailKind,
    ) -> Result<Batch> {
        if !self.app.is_mail_available() {
            return Ok(batch);
        }
        let mail = Mail { to: to.clone(), name: name.to_owned(), kind, at: self.now };
        self.app.queued(batch, None, &Queued::Mail(mail), self.now)
    }
}

impl App {
    /// Adds something to the outbox, due at once.
    pub(super) fn queued(&self, batch: Batch, user: Option<UserId>, queued: &Queued, now: Timestamp) -> Result<Batch> {
        let id = *random::uuid(now)?.as_bytes();
        let sealed = self.sealed(&id, queued)?;
        let record = OutboxRecord { id, user, due: now, queued_at: now, attempts: 0, last_error: None, sealed };
        let batch = match (user, queued) {
            (Some(user), Queued::Mail(mail)) => {
                let (kind, to) = (mail.kind.template().to_owned(), mail.to.as_str().to_owned());
                let note = MailNote { kind, to, at: now, state: MailState::Queued, error: None };
                records::put_mail_note(batch, user, &id, &note)
            }
            _ => batch,
        };
        Ok(records::queue_mail(batch, &record))
    }

    pub(super) fn sealed(&self, id: &[u8; 16], queued: &Queued) -> Result<Sealed> {
        let plain = serde_json::to_vec(queued).map_err(|error| Error::internal(error.to_string()))?;
        Ok(self.0.vault.seal(PURPOSE, id, random::bytes()?, &plain))
    }

    /// What waits in the outbox, in clear; `None` when it does not open.
    pub(super) fn opened(&self, record: &OutboxRecord) -> Option<Queued> {
        let plain = self.0.vault.open(PURPOSE, &record.id, &record.sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    /// Mails that are due at `now`, oldest first. What cannot be opened is given up. An announcement that is due becomes
    /// mails, which the next call finds.
    pub async fn outbox_due(&self, now: Timestamp, limit: usize) -> Result<Vec<OutboxMail>> {
        let mut due = Vec::new();
        for record in self.records().outbox_due(now, limit).await? {
            match self.opened(&record.value) {
                Some(Queued::Mail(mail)) => due.push(OutboxMail {
                    id: uuid::Uuid::from_bytes(record.value.id).to_string(),
                    mail,
                    attempts: record.value.attempts,
                    queued_at: record.value.queued_at,
                    record,
                }),
                Some(Queued::Announcement(announcement)) => {
                    if let Err(error) = self.announce(&record, announcement, now).await {
                        tracing::warn!(%error, "an announcement could not be made into mails");
                        self.put_announcement_off(&record, now).await?;
                    }
                }
                None => self.give_up(&record, "cannot be opened with this secret key", now).await?,
            }
        }
        Ok(due)
    }

    /// The mail is with the mail server.
    pub async fn outbox_delivered(&self, mail: &OutboxMail) -> Result<()> {
        let batch = self.noted(Batch::default(), &mail.record.value, MailState::HandedOver, None).await?;
        self.commit_outbox(records::remove_mail(batch, &mail.record)).await
    }

    /// Notes what became of a mail to a user.
    async fn noted(&self, batch: Batch, mail: &OutboxRecord, state: MailState, error: Option<String>) -> Result<Batch> {
        let Some(user) = mail.user else { return Ok(batch) };
        Ok(match self.records().mail_note(user, &mail.id).await? {
            Some(note) => records::change_mail_note(batch, user, &mail.id, &MailNote { state, error, ..note }),
            None => batch,
        })
    }

    /// An attempt failed: try again `at` a moment, or give up `at` this one and keep it for a while. `error` must not
    /// hold the address or the content.
    pub async fn outbox_failed(&self, mail: &OutboxMail, error: &str, at: Timestamp, give_up: bool) -> Result<()> {
        if give_up {
            return self.give_up(&mail.record, error, at).await;
        }
        let before = &mail.record;
        let record = OutboxRecord { due: at, ..failed_once_more(&before.value, error) };
        let batch = self.noted(Batch::default(), &record, MailState::Queued, record.last_error.clone()).await?;
        self.commit_outbox(records::reschedule_mail(batch, before, &record)).await
    }

    /// Resolves when a mail was queued since the last call, or when the next one comes due.
    pub async fn outbox_changed(&self) {
        let next = self.records().outbox(1).await.ok().and_then(|mails| mails.into_iter().next());
        let wait = next.map(|mail| {
            let micros = mail.value.due.as_micros().saturating_sub(clock::now().as_micros());
            std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0))
        });
        let bell = self.0.outbox_bell.notified();
        match wait {
            // Not below a second: a mail that is due and still there has just been tried.
            Some(wait) => {
                let _rung = tokio::time::timeout(wait.max(std::time::Duration::from_secs(1)), bell).await;
            }
            None => bell.await,
        }
    }

    async fn give_up(&self, before: &Versioned<OutboxRecord>, error: &str, now: Timestamp) -> Result<()> {
        let record = failed_once_more(&before.value, error);
        let kept_until = now.plus_seconds(GIVEN_UP_KEPT_SECONDS);
        let batch = self.noted(Batch::default(), &record, MailState::Failed, record.last_error.clone()).await?;
        self.commit_outbox(records::give_up_mail(batch, before, &record, kept_until)).await
    }

    /// So that one that fails does not hold up the mails behind it.
    async fn put_announcement_off(&self, before: &Versioned<OutboxRecord>, now: Timestamp) -> Result<()> {
        let error = "cannot be made into mails";
        if before.value.attempts >= ANNOUNCE_TRIES_MAX {
            return self.give_up(before, error, now).await;
        }
        let due = now.plus_seconds(ANNOUNCED_AGAIN_SECONDS);
        let record = OutboxRecord { due, ..failed_once_more(&before.value, error) };
        self.commit_outbox(records::reschedule_mail(Batch::default(), before, &record)).await
    }

    pub(super) async fn commit_outbox(&self, batch: Batch) -> Result<()> {
        match self.records().store().commit(batch).await? {
            Commit::Done(_) => Ok(()),
            Commit::Conflict => Err(Error::internal("a mail in the outbox was taken twice")),
        }
    }

    /// Wakes the delivery when a committed batch had a mail in it.
    pub(super) fn ring_for_mail(&self, has_mail: bool) {
        if has_mail {
            self.0.outbox_bell.notify_one();
        }
    }
}

fn failed_once_more(record: &OutboxRecord, error: &str) -> OutboxRecord {
    OutboxRecord {
        attempts: record.attempts + 1,
        last_error: Some(error.chars().take(ERROR_CHARS_MAX).collect()),
        ..record.clone()
    }
}

/// A mail with what is sealed of it in clear.
pub(super) fn opened_mail(mail: OutboxRecord, vault: &Vault) -> Result<OutboxRecord> {
    let plain = vault.open(PURPOSE, &mail.id, &mail.sealed);
    let plain = plain.map_err(|error| Error::internal(format!("a mail in the outbox does not open: {error}")))?;
    Ok(OutboxRecord { sealed: Sealed(plain.to_vec()), ..mail })
}

/// The other way.
pub(super) fn sealed_mail(mail: OutboxRecord, vault: &Vault) -> Result<OutboxRecord> {
    let sealed = vault.seal(PURPOSE, &mail.id, random::bytes()?, &mail.sealed.0);
    Ok(OutboxRecord { sealed, ..mail })
}

/// Whether a batch queues a mail.
pub(super) fn has_mail(batch: &Batch) -> bool {
    batch.writes.iter().any(|write| matches!(write, Write::Put { key, .. } if key.starts_with(keys::OUTBOX)))
}
