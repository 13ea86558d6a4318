//! The outbox: mails are queued in the batch of the change they tell of, and taken from here to be delivered.
//!
//! Does not render or send; `mail` does.

use super::{App, Context, random};
use crate::clock;
use crate::domain::email::EmailAddress;
use crate::domain::mail::{Mail, MailKind};
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::error::{Error, Result};
use crate::records::{self, OutboxRecord, Versioned, keys};
use crate::store::{Batch, Commit, Write};

/// What sealed mails are bound to.
const PURPOSE: &str = "outbox";

/// How long a mail that was given up is kept for somebody to look at, in seconds.
const GIVEN_UP_KEPT_SECONDS: i64 = 30 * 86_400;

/// Most of what a mail server said, in characters.
const ERROR_CHARS_MAX: usize = 200;

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
        let plain = serde_json::to_vec(&mail).map_err(|error| Error::internal(error.to_string()))?;
        let id = *random::uuid(self.now)?.as_bytes();
        let record = OutboxRecord {
            id,
            user: Some(user.id),
            due: self.now,
            queued_at: self.now,
            attempts: 0,
            last_error: None,
            sealed: self.vault().seal(PURPOSE, &id, random::bytes()?, &plain),
        };
        Ok(records::queue_mail(batch, &record))
    }
}

impl App {
    /// Mails that are due at `now`, oldest first. One that cannot be opened is given up.
    pub async fn outbox_due(&self, now: Timestamp, limit: usize) -> Result<Vec<OutboxMail>> {
        let mut due = Vec::new();
        for record in self.records().outbox_due(now, limit).await? {
            let opened = self.0.vault.open(PURPOSE, &record.value.id, &record.value.sealed);
            let mail = opened.ok().and_then(|plain| serde_json::from_slice(&plain).ok());
            match mail {
                Some(mail) => due.push(OutboxMail {
                    id: uuid::Uuid::from_bytes(record.value.id).to_string(),
                    mail,
                    attempts: record.value.attempts,
                    queued_at: record.value.queued_at,
                    record,
                }),
                None => self.give_up(&record, "cannot be opened with this secret key", now).await?,
            }
        }
        Ok(due)
    }

    /// The mail is with the mail server.
    pub async fn outbox_delivered(&self, mail: &OutboxMail) -> Result<()> {
        self.commit_outbox(records::remove_mail(Batch::default(), &mail.record)).await
    }

    /// An attempt failed: try again `at` a moment, or give up `at` this one and keep it for a while. `error` must not
    /// hold the address or the content.
    pub async fn outbox_failed(&self, mail: &OutboxMail, error: &str, at: Timestamp, give_up: bool) -> Result<()> {
        if give_up {
            return self.give_up(&mail.record, error, at).await;
        }
        let before = &mail.record;
        let record = OutboxRecord { due: at, ..failed_once_more(&before.value, error) };
        self.commit_outbox(records::reschedule_mail(Batch::default(), before, &record)).await
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
        self.commit_outbox(records::give_up_mail(Batch::default(), before, &record, kept_until)).await
    }

    async fn commit_outbox(&self, batch: Batch) -> Result<()> {
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

/// Whether a batch queues a mail.
pub(super) fn has_mail(batch: &Batch) -> bool {
    batch.writes.iter().any(|write| matches!(write, Write::Put { key, .. } if key.starts_with(keys::OUTBOX)))
}
