//! The store, or what a backup holds, as lines.

use std::io::{BufWriter, Write};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Counts, EXPORTED, End, FORMAT, Head, Line, LinesError, Link, Result, blocking};
use crate::app::audit::Note;
use crate::app::checkpoints::opened_audit_key;
use crate::app::outbox::opened_mail;
use crate::app::recovery::Step;
use crate::app::second_factor::{open_backup_code, open_totp};
use crate::app::{Actor, App, Context, verify};
use crate::clock;
use crate::domain::api_key::ApiKey;
use crate::domain::approval::Approval;
use crate::domain::audit::{AuditRecord, Event};
use crate::domain::backoff::LoginFailures;
use crate::domain::checkpoint::Checkpoint;
use crate::domain::job::{Job, Outcome};
use crate::domain::mail::MailNote;
use crate::domain::organization::{Invite, Membership, Organization, Team};
use crate::domain::rate::Window;
use crate::domain::session::{PendingTotp, RememberedDevice, Session};
use crate::domain::text;
use crate::domain::token::{Purpose, Token};
use crate::domain::user::User;
use crate::domain::vault::Sealed;
use crate::error::Error;
use crate::records::codec::{self, Record};
use crate::records::{FrozenUsers, Reminder, days, keys};
use crate::store::{Batch, Cursor, Entry, LogEntry, Order, PAGE_ENTRIES_MAX, decode_counter};

/// Writes everything, and says how many there are of each. The program has to have the store to itself, so that all of it
/// is of one moment. It leaves an entry in the audit trail, behind what is written.
pub async fn export(
    app: &App,
    actor: &Actor,
    out: impl Write + Send + 'static,
    step: &mut dyn FnMut(Step),
) -> Result<Counts> {
    let cx = Context { app, actor, now: clock::now(), step: None, approved: None };
    let mut export = Export {
        app: app.clone(),
        out: BufWriter::new(out),
        hash: Sha256::new(),
        counts: Counts::new(),
        newest: app.records().audit_newest().await?,
    };
    // Before anything is given out.
    cx.commit(cx.audited(Batch::default(), Note::new(Event::StoreExported))).await?;
    step(Step::Begin("exporting", verify::about_entries(app.records()).await?));
    let made_at = cx.now.to_rfc3339_z();
    export.write(&Head {
        doorward: "export".to_owned(),
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        made_at,
    })?;
    for family in EXPORTED {
        let mut after: Option<Cursor> = None;
        loop {
            let page = app.records().store().scan(family, after.as_ref(), PAGE_ENTRIES_MAX, Order::Ascending).await?;
            let entries = page.entries.len() as u64;
            export = blocking(move || export.page(&page.entries)).await?;
            step(Step::Done(entries));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    blocking(move || export.finish()).await
}

struct Export<W: Write> {
    app: App,
    out: BufWriter<W>,
    /// Of what was written.
    hash: Sha256,
    counts: Counts,
    /// The newest entry of the trail that is written.
    newest: u64,
}

impl<W: Write> Export<W> {
    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let mut bytes = zeroize::Zeroizing::new(serde_json::to_vec(line).map_err(std::io::Error::from)?);
        bytes.push(b'\n');
        self.hash.update(bytes.as_slice());
        Ok(self.out.write_all(&bytes)?)
    }

    fn page(mut self, entries: &[Entry]) -> Result<Self> {
        for entry in entries {
            if let Some(line) = self.line(entry)? {
                *self.counts.entry(line.record.clone()).or_default() += 1;
                self.write(&line)?;
            }
        }
        Ok(self)
    }

    fn finish(mut self) -> Result<Counts> {
        let sha256 = text::hex(&self.hash.clone().finalize());
        self.write(&End { end: self.counts.clone(), sha256 })?;
        self.out.flush()?;
        Ok(self.counts)
    }

    /// The line of an entry, if it has one.
    fn line(&self, entry: &Entry) -> Result<Option<Line>> {
        let (family, key) = (keys::family(&entry.key), &entry.key);
        let mut link = None;
        let (format, value) = match family {
            keys::ORGANIZATION => json::<Organization>(entry)?,
            keys::USER => to_json(&self.opened_user(read(entry)?)?)?,
            keys::TEAM => json::<Team>(entry)?,
            keys::MEMBERSHIP => json::<Membership>(entry)?,
            keys::INVITE => json::<Invite>(entry)?,
            keys::API_KEY => json::<ApiKey>(entry)?,
            keys::SESSION => json::<Session>(entry)?,
            keys::REMEMBERED => json::<RememberedDevice>(entry)?,
            keys::PENDING_TOTP => to_json(&self.opened_enrolment(key, read(entry)?)?)?,
            keys::TOKEN if is_left_out(key) => return Ok(None),
            // A code of six digits is kept by a digest that only this server can make.
            keys::TOKEN => to_json(&Token { code: None, ..read(entry)? })?,
            keys::ATTEMPTS if key.starts_with(keys::WINDOW) => json::<Window>(entry)?,
            keys::ATTEMPTS => json::<LoginFailures>(entry)?,
            keys::OUTBOX => to_json(&opened_mail(read(entry)?, &self.app.0.vault)?)?,
            keys::USER_MAIL => json::<MailNote>(entry)?,
            keys::APPROVAL => json::<Approval>(entry)?,
            keys::JOB => json::<Job>(entry)?,
            keys::JOB_USERS => json::<FrozenUsers>(entry)?,
            keys::JOB_RESULT => json::<Outcome>(entry)?,
            keys::REMINDER => json::<Reminder>(entry)?,
            keys::ADOPTION => json::<days::Adoption>(entry)?,
            keys::AUDIT => {
                let in_chain = LogEntry::decode(&entry.value).ok_or_else(|| codec::corrupt(key, "too short"))?;
                if in_chain.sequence > self.newest {
                    return Ok(None);
                }
                let record: AuditRecord = codec::decode(keys::AUDIT, &in_chain.payload)?;
                link = Some(Link { previous: text::hex(&in_chain.previous), bytes: text::hex(&in_chain.payload) });
                to_json(&record)?
            }
            keys::AUDIT_KEY => to_json(&opened_audit_key(&read(entry)?, &self.app.0.vault)?)?,
            keys::AUDIT_CHECKPOINT | keys::AUDIT_START => json::<Checkpoint>(entry)?,
            keys::JOB_AUDIT => (0, Value::Null),
            keys::COUNTER if is_counted_alone(key) => {
                let count = decode_counter(&entry.value).ok_or_else(|| codec::corrupt(key, "not a counter"))?;
                (0, count.into())
            }
            keys::EXPIRY if is_of_remains(key) => (0, Value::Null),
            // They follow from records.
            keys::COUNTER | keys::EXPIRY => return Ok(None),
            _ => return Err(codec::corrupt(key, "nothing is known of how to export it").into()),
        };
        let behind = key.strip_prefix(family).unwrap_or_default();
        let record = String::from_utf8_lossy(family).trim_end_matches('/').to_owned();
        Ok(Some(Line { record, key: text::hex(behind), format, value, link }))
    }

    fn opened_user(&self, mut user: User) -> Result<User> {
        let vault = &self.app.0.vault;
        let id = user.id;
        if let Some(device) = &mut user.second_factor.totp {
            device.secret = Sealed(open_totp(vault, id, &device.secret)?.to_vec());
        }
        let codes: Vec<_> =
            user.second_factor.backup_codes.iter().map(|code| open_backup_code(vault, &user, code)).collect();
        for (kept, code) in user.second_factor.backup_codes.iter_mut().zip(codes) {
            kept.sealed = Sealed(code?.expose().as_bytes().to_vec());
        }
        Ok(user)
    }

    fn opened_enrolment(&self, key: &[u8], mut pending: PendingTotp) -> Result<PendingTotp> {
        let user = keys::parse_leading_user(key, keys::PENDING_TOTP);
        let user = user.ok_or_else(|| codec::corrupt(key, "names no user"))?;
        pending.secret = Sealed(open_totp(&self.app.0.vault, user, &pending.secret)?.to_vec());
        Ok(pending)
    }
}

/// Tokens that are nothing without their code, and the link to the first account.
fn is_left_out(key: &[u8]) -> bool {
    let code = keys::token(Purpose::LoginCode, None);
    key.starts_with(&code) || key == keys::token(Purpose::Setup, None)
}

/// Whether a counter says what nothing else does: which numbers were given, and how often something happened.
pub(super) fn is_counted_alone(key: &[u8]) -> bool {
    [keys::USER_NUMBER_COUNTER, keys::TEAM_NUMBER_COUNTER, keys::JOB_COUNTER].contains(&key)
        || key.starts_with(keys::TALLIES)
}

/// Whether a note is about what a deleted organization left behind, and is not removed yet.
pub(super) fn is_of_remains(key: &[u8]) -> bool {
    keys::parse_expiry(key).is_some_and(|(_, of)| keys::parse_organization_remains(of).is_some())
}

fn read<T: Record>(entry: &Entry) -> Result<T> {
    Ok(codec::decode(&entry.key, &entry.value)?)
}

fn json<T: Record>(entry: &Entry) -> Result<(u8, Value)> {
    to_json(&read::<T>(entry)?)
}

fn to_json<T: Record>(record: &T) -> Result<(u8, Value)> {
    let value = record.to_json().map_err(|error| LinesError::Failed(Error::internal(error.to_string())))?;
    Ok((T::FORMAT, value))
}
