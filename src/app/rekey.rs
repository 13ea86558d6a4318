//! Another secret key, while no server runs.
//!
//! A new key comes to the front of the key file. Then the store is copied into a new one, in which everything sealed is
//! sealed with that key, and which names it; the new store takes the place of the old one in one step. Whatever kills the
//! program, the store that is there names a key that is in the file, and doing it again goes on from where it was. At the
//! end a backup is made, since those before are of another key, and the old store and its journal are removed: they are
//! all that the old key opens besides older backups.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::audit::Note;
use super::backups::backup_files;
use super::checkpoints::{opened_audit_key, sealed_audit_key};
use super::instance::{self, OpenError};
use super::outbox::{opened_mail, sealed_mail};
use super::recovery::{Step, stamp};
use super::second_factor::{kept_backup_code, open_backup_code, open_totp, seal_totp};
use super::secret_key::KeyFile;
use super::{Actor, App, Context, Mode, verify};
use crate::clock;
use crate::config::Config;
use crate::domain::audit::Event;
use crate::domain::session::PendingTotp;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::domain::user::User;
use crate::domain::vault::Vault;
use crate::error::{Error, Result};
use crate::records::{OutboxRecord, codec, keys};
use crate::store::lock::DataLock;
use crate::store::sled::{OpenError as StoreOpenError, Rebuild, replaced};
use crate::store::{Batch, Change, Entry, Order, PAGE_ENTRIES_MAX, StoreError};

/// Begins the names of what is replaced here.
const STAMP: &str = "rekey-";

/// The store and its keys, held until the end.
pub struct Rekey {
    config: Arc<Config>,
    app: App,
    file: KeyFile,
    state: State,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The store is sealed with the newest key, and there will be a newer one.
    Fresh,
    /// The store is sealed with an older key: it was begun and did not end, or this is an older backup.
    Begun,
    /// The store is sealed with the newest key, and what it replaced is still there.
    Sealed,
}

/// What was sealed anew, and what stops working.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resealed {
    pub authenticators: u64,
    pub backup_codes: u64,
    /// Enrolments under way.
    pub enrolments: u64,
    /// Mails that wait or were given up.
    pub mails: u64,
    /// Six-digit codes that were sent and not used yet: only their HMAC is kept, so they end.
    pub codes_ended: u64,
}

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub struct Rekeyed {
    /// None when that had been done before.
    pub resealed: Option<Resealed>,
    /// The key that the store is sealed with now.
    pub key: String,
    pub backup: Option<PathBuf>,
    /// What else an older key opens, in the places that we know of.
    pub older: Vec<PathBuf>,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Refused(Error),
    #[error("{0}; the store is as it was")]
    Unchanged(String),
    #[error("the store is sealed with the new key, but {0}; `doorward rekey` again does the rest")]
    Unfinished(String),
}

impl From<Error> for RekeyError {
    fn from(error: Error) -> Self {
        Self::Unchanged(error.to_string())
    }
}

impl From<StoreError> for RekeyError {
    fn from(error: StoreError) -> Self {
        Self::Unchanged(error.to_string())
    }
}

impl Rekey {
    /// Takes the store and looks at its keys. Changes nothing.
    pub async fn begin(config: Arc<Config>, role: &str) -> Result<Self, RekeyError> {
        let app = instance::open(Arc::clone(&config), role).await?;
        let of_file = Arc::clone(&config);
        let found = blocking(move || Ok((KeyFile::read_or_make(&of_file, false)?, leftovers(&of_file)?))).await;
        let (file, leftovers) = match found {
            Ok(found) => found,
            Err(error) => {
                app.close().await;
                return Err(error);
            }
        };
        let is_newest = file.newest()?.key_id() == app.0.vault.key_id();
        let state = match (is_newest, leftovers.is_empty()) {
            (false, _) => State::Begun,
            (true, true) => State::Fresh,
            (true, false) => State::Sealed,
        };
        Ok(Self { config, app, file, state })
    }

    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The file of the key.
    #[must_use]
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    /// The id of the key that the store is sealed with.
    #[must_use]
    pub fn key(&self) -> String {
        text::hex(&self.app.0.vault.key_id())
    }

    /// Keys in the file besides the newest.
    #[must_use]
    pub fn older_keys(&self) -> usize {
        self.file.ids().len().saturating_sub(1)
    }

    /// What an older key opens besides the store, in the places that we know of.
    #[must_use]
    pub fn older_files(&self) -> Vec<PathBuf> {
        older_files(&self.config)
    }

    /// Lets go of the store.
    pub async fn end(self) {
        self.app.close().await;
    }

    /// Seals everything anew and keeps nothing of it: says how much it is, and whether all of it opens.
    pub async fn try_out(&self, step: &mut dyn FnMut(Step)) -> Result<Resealed, RekeyError> {
        let to = Vault::new(&super::random::bytes()?);
        let mut work = Work { app: self.app.clone(), to, now: clock::now(), count: Resealed::default(), rebuild: None };
        work = work.all(step).await?;
        Ok(work.count)
    }

    /// Does it, or what an earlier run has left to do.
    pub async fn carry_out(mut self, actor: &Actor, step: &mut dyn FnMut(Step)) -> Result<Rekeyed, RekeyError> {
        let (config, state) = (Arc::clone(&self.config), self.state);
        let mut resealed = None;
        let app = if state == State::Sealed {
            self.app
        } else {
            if state == State::Fresh {
                let mut file = self.file;
                let until = clock::now();
                self.file =
                    blocking(move || file.add_key(Some(until)).map(|()| file).map_err(RekeyError::from)).await?;
            }
            let (done, lock) = self.reseal(actor, step).await?;
            resealed = Some(done);
            let opened = instance::open_locked(Arc::clone(&config), Mode::Offline, lock).await;
            opened.map_err(|error| RekeyError::Unfinished(error.to_string()))?
        };
        let key = text::hex(&app.0.vault.key_id());
        let backup = if config.backup.every_hours == 0 {
            None
        } else {
            step(Step::Begin("backing up", 0));
            Some(app.back_up_to_directory().await.map_err(RekeyError::Unfinished)?)
        };
        let lock = app.close_store().await;
        let older = blocking(move || {
            for path in leftovers(&config)? {
                fs::remove_dir_all(&path)
                    .map_err(|error| RekeyError::Unfinished(format!("cannot remove {}: {error}", path.display())))?;
            }
            // Nobody else may begin before.
            drop(lock);
            Ok(older_files(&config))
        })
        .await?;
        let older = older.into_iter().filter(|path| Some(path) != backup.as_ref()).collect();
        Ok(Rekeyed { resealed, key, backup, older })
    }

    /// Makes the new store and puts it in the place of the old one, with an entry in the trail.
    async fn reseal(self, actor: &Actor, step: &mut dyn FnMut(Step)) -> Result<(Resealed, DataLock), RekeyError> {
        let Self { config, app, file, .. } = self;
        let (data_dir, cache_mib) = (config.server.data_dir.clone(), config.store.sled.cache_mib);
        let rebuild = blocking(move || Rebuild::begin(&data_dir, cache_mib).map_err(unchanged)).await?;
        let (to, now) = (file.newest()?, clock::now());
        let (from_id, to_id) = (text::hex(&app.0.vault.key_id()), text::hex(&to.key_id()));
        let work = Work { app: app.clone(), to, now, count: Resealed::default(), rebuild: Some(rebuild) };
        let Work { rebuild, count, .. } = work.all(step).await?;
        let (Some(rebuild), version) = (rebuild, app.records().store().version()) else {
            return Err(RekeyError::Unchanged("there is no new store".to_owned()));
        };
        let note = Note::new(Event::StoreRekeyed)
            .detail("from", from_id)
            .detail("to", to_id)
            .detail("authenticators", count.authenticators)
            .detail("backup_codes", count.backup_codes);
        let cx = Context { app: &app, actor, now, step: None, approved: None };
        let batch = cx.audited(Batch::default(), note);
        let lock = app.close_store().await.ok_or_else(|| RekeyError::Unchanged("there is no lock".to_owned()))?;
        blocking(move || {
            let version = rebuild.commit(batch, version)?;
            let version = version.ok_or_else(|| RekeyError::Unchanged("the copy has changed".to_owned()))?;
            rebuild.finish(None, version, &format!("{STAMP}{}", stamp())).map_err(|error| match error {
                StoreOpenError::NotInPlace { reason } => RekeyError::Unfinished(reason),
                error => unchanged(error),
            })?;
            Ok((count, lock))
        })
        .await
    }

    /// Takes the older keys out of the file: what was sealed with them nobody opens any more.
    pub async fn drop_older(mut self) -> Result<(), RekeyError> {
        let dropped = if self.state == State::Begun {
            let detail = "the store itself is sealed with an older key; `doorward rekey` first";
            Err(RekeyError::Refused(Error::refused("older_key_in_use", detail)))
        } else {
            blocking(move || self.file.drop_older().map_err(RekeyError::from)).await
        };
        self.app.close().await;
        dropped
    }
}

fn unchanged(error: impl std::fmt::Display) -> RekeyError {
    RekeyError::Unchanged(error.to_string())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RekeyError> + Send + 'static,
) -> Result<T, RekeyError> {
    tokio::task::spawn_blocking(work).await.map_err(unchanged)?
}

/// What was replaced here and not removed yet.
fn leftovers(config: &Config) -> Result<Vec<PathBuf>, RekeyError> {
    let mut paths = replaced(&config.server.data_dir).map_err(unchanged)?;
    let is_ours = |name: &str| name.contains(&format!(".before-{STAMP}"));
    paths.retain(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_ours));
    Ok(paths)
}

/// Backups, and what other commands have replaced or put aside.
fn older_files(config: &Config) -> Vec<PathBuf> {
    let mut paths = replaced(&config.server.data_dir).unwrap_or_default();
    paths.extend(backup_files(config));
    paths
}

/// Sealing a store anew, page by page.
struct Work {
    app: App,
    to: Vault,
    now: Timestamp,
    count: Resealed,
    /// Where it goes; `None`: nowhere.
    rebuild: Option<Rebuild>,
}

impl Work {
    async fn all(mut self, step: &mut dyn FnMut(Step)) -> Result<Self, RekeyError> {
        let store = Arc::clone(self.app.records().store());
        step(Step::Begin("sealing anew", verify::about_entries(self.app.records()).await?));
        let mut after = None;
        loop {
            let page = store.scan(b"", after.as_ref(), PAGE_ENTRIES_MAX, Order::Ascending).await?;
            let entries = page.entries.len() as u64;
            self = blocking(move || self.page(page.entries)).await?;
            step(Step::Done(entries));
            after = page.next;
            if after.is_none() {
                return Ok(self);
            }
        }
    }

    fn page(mut self, entries: Vec<Entry>) -> Result<Self, RekeyError> {
        let mut changes = Vec::with_capacity(entries.len());
        for entry in entries {
            let value = self.resealed(&entry)?.unwrap_or(entry.value);
            changes.push(Change { key: entry.key, value: Some(value), version: entry.version });
        }
        if let Some(rebuild) = &self.rebuild {
            rebuild.apply(&changes).map_err(unchanged)?;
        }
        Ok(self)
    }

    /// What is at a key under the new secret key; `None` when it is the same.
    fn resealed(&mut self, Entry { key, value, .. }: &Entry) -> Result<Option<Vec<u8>>> {
        let (from, to) = (&self.app.0.vault, &self.to);
        Ok(match keys::family(key) {
            keys::USER => {
                let mut user: User = codec::decode(key, value)?;
                let codes = user.second_factor.backup_codes.iter();
                let codes = codes.map(|code| kept_backup_code(to, &user, &open_backup_code(from, &user, code)?));
                let codes = codes.collect::<Result<Vec<_>>>()?;
                let factor = &mut user.second_factor;
                if let Some(device) = &mut factor.totp {
                    device.secret = seal_totp(to, user.id, &open_totp(from, user.id, &device.secret)?)?;
                    self.count.authenticators += 1;
                }
                self.count.backup_codes += codes.len() as u64;
                factor.backup_codes = codes;
                factor.totp.is_some().then(|| codec::encode(key, &user))
            }
            keys::PENDING_TOTP => {
                let mut pending: PendingTotp = codec::decode(key, value)?;
                let user = keys::parse_leading_user(key, keys::PENDING_TOTP);
                let user = user.ok_or_else(|| codec::corrupt(key, "names no user"))?;
                pending.secret = seal_totp(to, user, &open_totp(from, user, &pending.secret)?)?;
                self.count.enrolments += 1;
                Some(codec::encode(key, &pending))
            }
            keys::OUTBOX | keys::OUTBOX_FAILED => {
                let mail: OutboxRecord = codec::decode(key, value)?;
                self.count.mails += 1;
                Some(codec::encode(key, &sealed_mail(opened_mail(mail, from)?, to)?))
            }
            keys::AUDIT_KEY => {
                let sealed = codec::decode(key, value)?;
                Some(codec::encode(key, &sealed_audit_key(&opened_audit_key(&sealed, from)?, to)?))
            }
            keys::TOKEN => {
                let token: Token = codec::decode(key, value)?;
                let is_live = token.code.is_some_and(|code| !code.used && self.now < code.expires_at);
                self.count.codes_ended += u64::from(is_live);
                None
            }
            keys::META if key == keys::SECRET_KEY_ID => Some(to.key_id().to_vec()),
            _ => None,
        })
    }
}
