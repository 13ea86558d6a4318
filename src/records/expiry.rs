//! Notes of what may be removed when: each expiring record has one, in the order of time.

use super::outbox::forget_failed_mail;
use super::{OutboxRecord, Records, Reminder, Result, keys, remove_remembered, remove_session, remove_window};
use crate::domain::job::REMINDED_SECONDS;
use crate::domain::session::PENDING_TOTP_SECONDS;
use crate::domain::time::Timestamp;
use crate::store::{Batch, Entry, Expect, Version};

impl Records {
    /// Notes due before `now`, oldest first: the key of the record, and the key of the note itself.
    pub async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let parse = |entry: Entry| {
            let (at, key) = keys::parse_expiry(&entry.key)?;
            (at <= now).then(|| (key.to_vec(), entry.key.clone()))
        };
        Ok(self.scan(keys::EXPIRY, limit).await?.entries.into_iter().filter_map(parse).collect())
    }

    /// The batch that removes a note, and the record it is about unless that lives longer by now (it has then a newer
    /// note of its own). The one note of a rate limit's window moves along with it.
    pub async fn removal_of_expired(&self, key: &[u8], note: Vec<u8>, now: Timestamp) -> Result<Batch> {
        let batch = Batch::default().delete(note);
        let gone = |batch: Batch, version: Version| batch.expect(key, Expect::Version(version)).delete(key);
        if let Some(hash) = hash_behind(key, keys::SESSION) {
            let session = self.session(&hash).await?.filter(|session| session.value.expires_at <= now);
            return Ok(match session {
                Some(session) => remove_session(session.expect(batch, &hash), &hash, &session.value),
                None => batch,
            });
        }
        if let Some(hash) = hash_behind(key, keys::REMEMBERED) {
            let device = self.remembered(&hash).await?.filter(|device| device.value.expires_at <= now);
            return Ok(match device {
                Some(device) => remove_remembered(gone(batch, device.version), &hash, &device.value),
                None => batch,
            });
        }
        if key.starts_with(keys::OUTBOX_FAILED) {
            let mail = self.read::<OutboxRecord>(key).await?;
            return Ok(match mail {
                Some(mail) => forget_failed_mail(gone(batch, mail.version), &mail.value),
                None => batch,
            });
        }
        if key.starts_with(keys::WINDOW) {
            return Ok(match self.rate_window(key).await? {
                Some(window) if window.value.ends_at() <= now => remove_window(batch, key.to_vec(), &window),
                Some(window) => batch.put(keys::expiry(window.value.ends_at(), key), Vec::new()),
                None => batch,
            });
        }
        let version = if key.starts_with(keys::PENDING_TOTP) {
            let pending = self.read::<crate::domain::session::PendingTotp>(key).await?;
            pending
                .filter(|pending| pending.value.started_at.plus_seconds(PENDING_TOTP_SECONDS) <= now)
                .map(|p| p.version)
        } else if key.starts_with(keys::TOKEN) {
            let token = self.read::<crate::domain::token::Token>(key).await?;
            token.filter(|token| token.value.expires_at <= now).map(|token| token.version)
        } else if key.starts_with(keys::USER_MAIL) {
            let note = self.read::<crate::domain::mail::MailNote>(key).await?;
            note.filter(|note| super::mail_notes::kept_until(&note.value) <= now).map(|note| note.version)
        } else if key.starts_with(keys::APPROVAL) {
            let approval = self.read::<crate::domain::approval::Approval>(key).await?;
            approval.filter(|approval| approval.value.expires_at <= now).map(|approval| approval.version)
        } else if key.starts_with(keys::REMINDER) {
            let reminder = self.read::<Reminder>(key).await?;
            reminder.filter(|reminder| reminder.value.at.plus_seconds(REMINDED_SECONDS) <= now).map(|one| one.version)
        } else if key.starts_with(keys::ATTEMPTS) {
            let failures = self.login_failures(key).await?;
            failures.filter(|failures| failures.value.forgotten_at <= now).map(|failures| failures.version)
        } else {
            None
        };
        Ok(match version {
            Some(version) => gone(batch, version),
            None => batch,
        })
    }
}

fn hash_behind(key: &[u8], prefix: &[u8]) -> Option<[u8; 32]> {
    key.strip_prefix(prefix)?.try_into().ok()
}
