//! A store made of lines.

use std::fs;
use std::io::{BufRead, Read as _};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::export::{is_counted_alone, is_of_remains};
use super::{Counts, End, FORMAT, Head, Line, LinesError, Result, blocking};
use crate::app::checkpoints::{open_audit_key, sealed_audit_key};
use crate::app::instance;
use crate::app::outbox::sealed_mail;
use crate::app::recovery::{Step, stamp};
use crate::app::second_factor::{kept_backup_code, seal_totp};
use crate::app::secret_key::KeyFile;
use crate::app::{App, Mode, random};
use crate::config::Config;
use crate::domain::audit::AuditRecord;
use crate::domain::checkpoint::{Checkpoint, PublicKey};
use crate::domain::id::UserId;
use crate::domain::job::{Job, JobId};
use crate::domain::organization::Membership;
use crate::domain::secret::Secret;
use crate::domain::session::PendingTotp;
use crate::domain::text;
use crate::domain::token::Purpose;
use crate::domain::user::User;
use crate::domain::vault::Vault;
use crate::error::Error;
use crate::records::codec::{self, Record};
use crate::records::{
    OutboxRecord, append_audit_again, days, keys, put_api_key, put_approval, put_audit_key, put_audit_start,
    put_checkpoint, put_invite, put_job, put_job_results, put_job_users, put_login_failures, put_mail_note,
    put_membership, put_organization, put_pending_totp, put_remembered, put_reminder, put_session, put_team, put_token,
    put_user, put_window, queue_mail,
};
use crate::store::lock::DataLock;
use crate::store::sled::{JOURNAL_DIRECTORY, Rebuild, STORE_DIRECTORY, end_interrupted, make_room};
use crate::store::{Batch, LogEntry, Order, Version, Write};

/// Longest line that is believed, in bytes: a record of the largest size, each byte of it written as an escape.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Lines between two steps.
const LINES_PER_STEP: u64 = 500;

/// Makes the store of the configuration from lines, where there is none or an empty one; says how many there are of each
/// record. `bytes` is how long they are, 0 where nobody knows. With `dry_run` it does everything but put the store in its place.
pub async fn import(
    config: Arc<Config>,
    role: &str,
    input: impl BufRead + Send + 'static,
    bytes: u64,
    dry_run: bool,
    step: &mut dyn FnMut(Step),
) -> Result<Counts> {
    let (lock, vault) = begin(Arc::clone(&config), role, dry_run).await?;
    let (data_dir, cache_mib) = (config.server.data_dir.clone(), config.store.sled.cache_mib);
    let rebuild = blocking(move || Rebuild::begin(&data_dir, cache_mib).map_err(of_store)).await?;
    let import = Import {
        vault,
        rebuild,
        version: Version(1),
        input,
        hash: Sha256::new(),
        line: 0,
        read: 0,
        counts: Counts::new(),
        audit: None,
        signs: None,
    };
    step(Step::Begin("importing", bytes));
    let imported = import.all(bytes, step).await;
    let data_dir = config.server.data_dir.clone();
    blocking(move || {
        if dry_run {
            let counts = imported.map(|Import { counts, .. }| counts);
            Rebuild::discard(&data_dir).map_err(of_store)?;
            return counts;
        }
        let Import { rebuild, version, counts, .. } = imported?;
        let replaced = rebuild.finish(None, version, &stamp()).map_err(of_store)?;
        // There was nothing in it.
        for path in [replaced.store, replaced.journal].into_iter().flatten() {
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), %error, "the empty store of before cannot be removed");
            }
        }
        drop(lock);
        Ok(counts)
    })
    .await
}

fn of_store(error: impl std::fmt::Display) -> LinesError {
    instance::OpenError::Store(error.to_string()).into()
}

/// The lock of the data directory, and the key that the store is to be sealed with; nobody is in a store that is there. One
/// that is not there is not made, so that what is left of an import that was broken off does not pass for an empty store.
async fn begin(config: Arc<Config>, role: &str, dry_run: bool) -> Result<(DataLock, Vault)> {
    let (of_lock, role) = (Arc::clone(&config), role.to_owned());
    let (mut lock, is_there) = blocking(move || {
        let lock = instance::lock(&of_lock, &role)?;
        let data_dir = &of_lock.server.data_dir;
        // A try-out leaves what it finds as it is.
        let ready = if dry_run { end_interrupted } else { make_room };
        ready(data_dir, of_lock.store.sled.cache_mib).map_err(of_store)?;
        let mut parts = [STORE_DIRECTORY, JOURNAL_DIRECTORY].iter();
        Ok((Some(lock), parts.any(|name| data_dir.join(name).exists())))
    })
    .await?;
    if let Some(held) = lock.take_if(|_| is_there) {
        let app = instance::open_locked(Arc::clone(&config), Mode::Offline, held).await?;
        let is_empty = is_empty(&app).await;
        lock = app.close_store().await;
        if !is_empty? {
            let detail = "there is something in the store already; an import wants an empty one";
            return Err(Error::refused("store_not_empty", detail).into());
        }
    }
    let lock = lock.ok_or_else(|| Error::internal("the store had no lock"))?;
    blocking(move || {
        let vault = match KeyFile::read(&config)? {
            Some(file) => file.newest()?,
            None if dry_run => Vault::new(&random::bytes()?),
            None => KeyFile::read_or_make(&config, true)?.newest()?,
        };
        Ok((lock, vault))
    })
    .await
}

/// Whether nobody ever was in the store. A server that ran has left notes even so, which nobody misses.
async fn is_empty(app: &App) -> Result<bool> {
    for family in [keys::USER, keys::ORGANIZATION, keys::AUDIT] {
        if !app.records().store().scan(family, None, 1, Order::Ascending).await?.entries.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

struct Import<R> {
    vault: Vault,
    rebuild: Rebuild,
    version: Version,
    input: R,
    /// Of what was read.
    hash: Sha256,
    line: u64,
    /// Bytes.
    read: u64,
    counts: Counts,
    /// The last entry of the trail, and its hash.
    audit: Option<(u64, [u8; 32])>,
    /// The key that checkpoints are signed with.
    signs: Option<PublicKey>,
}

impl<R: BufRead + Send + 'static> Import<R> {
    /// Takes everything over; of so many bytes, 0 where nobody knows and lines are counted.
    async fn all(mut self, bytes: u64, step: &mut dyn FnMut(Step)) -> Result<Self> {
        loop {
            let (read, line) = (self.read, self.line);
            let (now, is_over) = blocking(move || self.some()).await?;
            self = now;
            step(Step::Done(if bytes == 0 { self.line - line } else { self.read - read }));
            if is_over {
                return Ok(self);
            }
        }
    }

    /// Takes some lines over; true behind the last one.
    fn some(mut self) -> Result<(Self, bool)> {
        for _ in 0..LINES_PER_STEP {
            let digest = self.hash.clone();
            let bytes = self.next_line()?;
            if self.line == 1 {
                self.check_head(&bytes)?;
                continue;
            }
            if let Ok(end) = serde_json::from_slice::<End>(&bytes) {
                let found = End { end: self.counts.clone(), sha256: text::hex(&digest.finalize()) };
                if end != found {
                    return Err(
                        self.wrong("what comes before is not what was exported: something is missing or changed")
                    );
                }
                if self.input.read(&mut [0])? > 0 {
                    return Err(self.wrong("something comes behind the end"));
                }
                let key = Batch::default().put(keys::SECRET_KEY_ID, self.vault.key_id().to_vec());
                self.commit(key)?;
                return Ok((self, true));
            }
            let line: Line = serde_json::from_slice(&bytes).map_err(|error| self.wrong(error.to_string()))?;
            *self.counts.entry(line.record.clone()).or_default() += 1;
            self.take(line).map_err(|error| match error {
                LinesError::Failed(error) => self.wrong(error.to_string()),
                error => error,
            })?;
        }
        Ok((self, false))
    }

    fn next_line(&mut self) -> Result<zeroize::Zeroizing<Vec<u8>>> {
        self.line += 1;
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        self.input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
        self.hash.update(bytes.as_slice());
        self.read += bytes.len() as u64;
        match bytes.pop() {
            Some(b'\n') => Ok(bytes),
            Some(_) if bytes.len() as u64 + 1 == LINE_BYTES_MAX => Err(self.wrong("it is too long")),
            _ => Err(self.wrong("the file ends before its end: it was cut off")),
        }
    }

    fn check_head(&self, bytes: &[u8]) -> Result<()> {
        match serde_json::from_slice::<Head>(bytes) {
            Ok(head) if head.doorward != "export" => Err(self.wrong("this is no export of Doorward")),
            Ok(head) if head.format > FORMAT => {
                let detail = format!("the export has the format {}, and this version reads {FORMAT}", head.format);
                Err(self.wrong(detail))
            }
            Ok(_) => Ok(()),
            Err(_) => Err(self.wrong("this is no export of Doorward")),
        }
    }

    fn wrong(&self, what: impl Into<String>) -> LinesError {
        LinesError::Line(self.line, what.into())
    }

    fn commit(&mut self, batch: Batch) -> Result<()> {
        let at = self.line;
        let committed = self.rebuild.commit(batch, self.version);
        let version = committed.map_err(|error| LinesError::Line(at, error.to_string()))?;
        self.version = version.ok_or_else(|| {
            self.wrong("it cannot stand beside what came before: it is there twice, or something that has to differ is the same")
        })?;
        Ok(())
    }

    /// Makes what a line says.
    fn take(&mut self, line: Line) -> Result<()> {
        let key = text::unhex(&line.key).ok_or_else(|| self.wrong("its key is not hexadecimal"))?;
        let key = [line.record.as_bytes(), b"/", &key].concat();
        let batch = self.batch(&key, line)?;
        let is_there = batch.writes.iter().any(|write| match write {
            Write::Put { key: put, .. } => *put == key,
            // Its number was looked at.
            Write::Append { .. } => true,
            Write::Delete { .. } | Write::Add { .. } => false,
        });
        if !is_there {
            return Err(self.wrong("its key is another's"));
        }
        self.commit(batch)
    }

    fn batch(&mut self, key: &[u8], line: Line) -> Result<Batch> {
        let batch = Batch::default();
        let broken = || self.wrong("its key has the wrong form");
        let hash = || key.last_chunk::<32>().ok_or_else(broken);
        let id = || key.last_chunk::<16>().ok_or_else(broken);
        let number = || keys::parse_trailing_number(key).ok_or_else(broken);
        let user = |family| keys::parse_leading_user(key, family).ok_or_else(broken);
        let job = |family| keys::parse_leading_number(key, family).map(JobId).ok_or_else(broken);
        Ok(match keys::family(key) {
            keys::ORGANIZATION => put_organization(batch, None, &self.read(line)?),
            keys::USER => put_user(batch, None, &self.sealed_user(self.read(line)?)?),
            keys::TEAM => put_team(batch, &self.read(line)?),
            keys::MEMBERSHIP => {
                let membership: Membership = self.read(line)?;
                let is_active = self.is_active(membership.user)?;
                put_membership(batch, None, &membership, is_active)
            }
            keys::INVITE => put_invite(batch, None, &self.read(line)?),
            keys::API_KEY => put_api_key(batch, None, &self.read(line)?),
            keys::SESSION => put_session(batch, hash()?, &self.read(line)?),
            keys::REMEMBERED => put_remembered(batch, hash()?, &self.read(line)?),
            keys::PENDING_TOTP => {
                let user = user(keys::PENDING_TOTP)?;
                let mut pending: PendingTotp = self.read(line)?;
                pending.secret = seal_totp(&self.vault, user, &pending.secret.0)?;
                put_pending_totp(batch, user, hash()?, &pending)
            }
            keys::TOKEN => {
                let user = UserId(uuid::Uuid::from_bytes(*id()?));
                let is_for = |purpose: &Purpose| keys::token(*purpose, Some(user)) == key;
                let purpose = Purpose::OF_USERS.into_iter().find(is_for).ok_or_else(broken)?;
                put_token(batch, purpose, Some(user), &self.read(line)?)
            }
            keys::ATTEMPTS if key.starts_with(keys::WINDOW) => put_window(batch, key.to_vec(), None, &self.read(line)?),
            keys::ATTEMPTS => put_login_failures(batch, key.to_vec(), None, &self.read(line)?),
            keys::OUTBOX => {
                let mail: OutboxRecord = self.read(line)?;
                queue_mail(batch, &sealed_mail(mail, &self.vault)?)
            }
            keys::USER_MAIL => put_mail_note(batch, user(keys::USER_MAIL)?, id()?, &self.read(line)?),
            keys::APPROVAL => put_approval(batch, &self.read(line)?),
            keys::JOB => {
                let job: Job = self.read(line)?;
                let batch = put_job(batch, None, &job);
                match job.kept_until() {
                    Some(at) => batch.put(keys::expiry(at, key), Vec::new()),
                    None => batch,
                }
            }
            keys::JOB_USERS => put_job_users(batch, job(keys::JOB_USERS)?, number()?, &self.read(line)?),
            keys::JOB_RESULT => put_job_results(batch, job(keys::JOB_RESULT)?, number()?, &[self.read(line)?]),
            keys::REMINDER => put_reminder(batch, user(keys::REMINDER)?, None, self.read(line)?),
            keys::ADOPTION => days::note_adoption(batch, number()?, &self.read(line)?),
            keys::AUDIT => {
                let number = number()?;
                self.audit_entry(batch, number, line)?
            }
            keys::AUDIT_KEY => {
                let key = sealed_audit_key(&self.read(line)?, &self.vault)?;
                let opened = open_audit_key(&self.vault, &key);
                self.signs = opened.ok().and_then(|key| key.public_key());
                put_audit_key(batch, &key)
            }
            keys::AUDIT_CHECKPOINT => put_checkpoint(batch, &self.vouched(line)?),
            keys::AUDIT_START => put_audit_start(batch, None, &self.vouched(line)?),
            keys::JOB_AUDIT if keys::parse_job_audit(key).is_some() && line.value.is_null() => {
                batch.put(key, Vec::new())
            }
            keys::COUNTER if is_counted_alone(key) => {
                let count = line.value.as_i64().ok_or_else(|| self.wrong("its value is no count"))?;
                batch.put(key, count.to_le_bytes())
            }
            keys::EXPIRY if is_of_remains(key) && line.value.is_null() => batch.put(key, Vec::new()),
            _ => return Err(self.wrong("this version knows no such record")),
        })
    }

    /// What says where the trail is or begins, when it is signed with the key that came before.
    fn vouched(&self, line: Line) -> Result<Checkpoint> {
        let checkpoint: Checkpoint = self.read(line)?;
        let is_ours = self.signs.is_some_and(|key| checkpoint.is_of(key));
        is_ours.then_some(checkpoint).ok_or_else(|| self.wrong("it is not signed with the key of the export"))
    }

    fn read<T: Record>(&self, line: Line) -> Result<T> {
        T::from_json(line.format, line.value).ok_or_else(|| self.wrong("its value does not read"))
    }

    fn sealed_user(&self, mut user: User) -> Result<User> {
        let vault = &self.vault;
        let codes = user.second_factor.backup_codes.iter().map(|code| {
            let code = Secret::new(String::from_utf8_lossy(&code.sealed.0).into_owned());
            kept_backup_code(vault, &user, &code)
        });
        let codes = codes.collect::<std::result::Result<_, _>>()?;
        user.second_factor.backup_codes = codes;
        if let Some(device) = &mut user.second_factor.totp {
            device.secret = seal_totp(vault, user.id, &device.secret.0)?;
        }
        Ok(user)
    }

    fn is_active(&self, user: UserId) -> Result<bool> {
        let key = keys::user(user);
        let Some(entry) = self.rebuild.get(&key)? else { return Ok(false) };
        Ok(codec::decode::<User>(&key, &entry.value)?.is_active)
    }

    /// An entry of the trail, which has to be the one that follows and to say what its bytes do.
    fn audit_entry(&mut self, batch: Batch, sequence: u64, line: Line) -> Result<Batch> {
        let chained = line.link.as_ref().ok_or_else(|| self.wrong("it has no link"))?;
        let previous = text::unhex(&chained.previous).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let previous = previous.ok_or_else(|| self.wrong("its link does not read"))?;
        let payload = text::unhex(&chained.bytes).ok_or_else(|| self.wrong("its link does not read"))?;
        let in_bytes: AuditRecord = codec::decode(keys::AUDIT, &payload)?;
        if self.read::<AuditRecord>(line)? != in_bytes {
            return Err(self.wrong("its bytes say something else"));
        }
        let behind = match self.audit {
            Some(last) if (last.0 + 1, last.1) == (sequence, previous) => None,
            Some(_) => return Err(self.wrong("it does not follow the entry before")),
            None if sequence == 1 && previous == [0; 32] => None,
            None => Some((sequence.checked_sub(1).ok_or_else(|| self.wrong("there is no entry 0"))?, previous)),
        };
        let batch = append_audit_again(batch, &in_bytes, payload.clone(), behind);
        self.audit = Some((sequence, LogEntry { sequence, previous, payload }.hash()));
        Ok(batch)
    }
}
