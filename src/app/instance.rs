//! Opens the program: the lock on the data directory, the store, the secret key, in that order; and closes it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, Semaphore};
use zeroize::Zeroizing;

use super::hashing::Hasher;
use super::requests::Requests;
use super::throttle::Throttle;
use super::{AFTER_ANSWERING_MAX, App, Inner, Mode, random};
use crate::clock;
use crate::config::{Config, Engine};
use crate::domain::text;
use crate::domain::vault::{KEY_BYTES, Vault};
use crate::records::{Records, keys};
use crate::store::backup::{BackupError, Reader};
use crate::store::lock::{DataLock, LockError};
use crate::store::memory::MemoryStore;
use crate::store::sled::SledStore;
use crate::store::{Batch, Commit, Expect, Store, StoreError};

/// Why the program could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another process has the data directory; `holder` names it.
    #[error("the data directory is in use by the {holder}: stop that first")]
    Held { holder: String },
    #[error("{0}")]
    Store(String),
    #[error("{0}")]
    Io(String),
    #[error("{0}")]
    SecretKey(String),
}

/// Opens the program under `config`; `role` (`server`, `offline console`, `command`) goes into the lock file for others
/// to read. Blocking work runs on the blocking pool.
pub async fn open(config: Arc<Config>, role: &str) -> Result<App, OpenError> {
    let mode = if role == "server" { Mode::Live } else { Mode::Offline };
    let (for_files, role) = (Arc::clone(&config), role.to_owned());
    let (lock, store) = tokio::task::spawn_blocking(move || open_files(&for_files, &role))
        .await
        .map_err(|error| OpenError::Store(format!("the store could not be opened: {error}")))??;
    let records = Records::new(Arc::clone(&store));
    let vault = open_vault(&config, &records).await?;
    Ok(assemble(config, mode, Some(lock), records, vault))
}

/// Opens the program over what a backup holds, in memory: to look at it, with the secret key that the configuration
/// names. Blocking work runs on the blocking pool.
pub async fn open_backup(config: Arc<Config>, file: &Path) -> Result<App, OpenError> {
    let path = file.to_owned();
    let store = tokio::task::spawn_blocking(move || read_backup(&path))
        .await
        .map_err(|error| OpenError::Store(format!("the backup could not be read: {error}")))??;
    let records = Records::new(Arc::new(store));
    let vault = open_vault(&config, &records).await?;
    Ok(assemble(config, Mode::Offline, None, records, vault))
}

fn read_backup(file: &Path) -> Result<MemoryStore, OpenError> {
    let failed = |error: BackupError| OpenError::Store(format!("the backup {}: {error}", file.display()));
    let input = fs::File::open(file).map_err(|error| failed(error.into()))?;
    let mut reader = Reader::open(std::io::BufReader::new(input)).map_err(failed)?;
    let store = MemoryStore::new();
    while let Some(changes) = reader.changes().map_err(failed)? {
        store.apply(changes).map_err(|error| failed(error.into()))?;
    }
    Ok(store)
}

fn assemble(config: Arc<Config>, mode: Mode, lock: Option<DataLock>, records: Records, vault: Vault) -> App {
    App(Arc::new(Inner {
        hasher: Hasher::new(&config.password),
        throttle: Throttle::default(),
        requests: Requests::default(),
        outbox_bell: Notify::new(),
        job_bell: Notify::new(),
        is_closed: std::sync::atomic::AtomicBool::new(false),
        after_answering: Arc::new(Semaphore::new(AFTER_ANSWERING_MAX as usize)),
        started_at: clock::now(),
        search: Arc::default(),
        lock: Mutex::new(lock),
        mode,
        records,
        config,
        vault,
    }))
}

impl App {
    /// Lets what was promised be done, stops the store and releases the lock.
    pub async fn close(&self) {
        self.settle().await;
        self.0.records.store().close().await;
        self.0.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        // Who waits for jobs sees that there will be none.
        self.0.is_closed.store(true, std::sync::atomic::Ordering::Release);
        self.ring_for_jobs();
    }
}

#[cfg(test)]
impl App {
    /// A program without files: its store is in memory and its secret key a constant.
    pub(super) fn in_memory(config: Config) -> Self {
        let records = Records::new(Arc::new(MemoryStore::new()));
        assemble(Arc::new(config), Mode::Live, None, records, Vault::new(&[7; KEY_BYTES]))
    }
}

fn open_files(config: &Config, role: &str) -> Result<(DataLock, Arc<dyn Store>), OpenError> {
    let data_dir = &config.server.data_dir;
    let lock = DataLock::acquire(data_dir, role, &clock::now().to_rfc3339_z()).map_err(|error| match error {
        LockError::Held { holder } => OpenError::Held { holder },
        error @ LockError::Io { .. } => OpenError::Io(error.to_string()),
    })?;
    let store: Arc<dyn Store> = match config.store.engine {
        Engine::Memory => Arc::new(MemoryStore::new()),
        Engine::Sled => {
            let store = SledStore::open(data_dir, config.store.sled.cache_mib);
            Arc::new(store.map_err(|error| OpenError::Store(error.to_string()))?)
        }
    };
    Ok((lock, store))
}

/// Reads the secret key, or makes it for a store that has never seen one. A store keeps the id of its key, so that
/// another key is noticed before it does harm.
async fn open_vault(config: &Config, records: &Records) -> Result<Vault, OpenError> {
    let file = secret_key_file(config);
    let store_error = |error: StoreError| OpenError::Store(error.to_string());
    let known = records.store().get(keys::SECRET_KEY_ID).await.map_err(store_error)?;
    let is_new = known.is_none();
    let key = {
        let file = file.clone();
        tokio::task::spawn_blocking(move || read_or_make_key(&file, is_new))
            .await
            .map_err(|error| OpenError::Io(error.to_string()))??
    };
    if let Some(warning) = open_key_warning(config) {
        tracing::warn!("{warning}");
    }
    let vault = Vault::new(&key);
    match known {
        Some(entry) if entry.value == vault.key_id() => {}
        Some(_) => {
            return Err(OpenError::SecretKey(format!(
                "{} is not the secret key that this store was made with; put the right one there",
                file.display()
            )));
        }
        None => {
            let batch = Batch::default()
                .expect(keys::SECRET_KEY_ID, Expect::Absent)
                .put(keys::SECRET_KEY_ID, vault.key_id().to_vec());
            match records.store().commit(batch).await.map_err(store_error)? {
                Commit::Done(_) => {}
                Commit::Conflict => return Err(OpenError::Store("the store changed while it was opened".to_owned())),
            }
        }
    }
    Ok(vault)
}

fn secret_key_file(config: &Config) -> PathBuf {
    if config.server.secret_key_file.as_os_str().is_empty() {
        config.server.data_dir.join("secret.key")
    } else {
        config.server.secret_key_file.clone()
    }
}

/// What to tell the operator where others than its owner may read the secret key, or write it.
#[must_use]
pub fn open_key_warning(config: &Config) -> Option<String> {
    let file = secret_key_file(config);
    let mode = fs::metadata(&file).ok()?.permissions().mode() & 0o777;
    let shown = file.display();
    (mode & 0o077 != 0).then(|| {
        format!("the secret key {shown} is open to others than its owner (mode {mode:03o}): chmod 600 {shown}")
    })
}

fn read_or_make_key(file: &Path, may_make: bool) -> Result<Zeroizing<[u8; KEY_BYTES]>, OpenError> {
    let shown = file.display();
    match fs::read_to_string(file) {
        Ok(text) => {
            let text = Zeroizing::new(text);
            parse_key(&text).ok_or_else(|| {
                OpenError::SecretKey(format!("{shown} does not hold a secret key (64 hexadecimal digits)"))
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_make => {
            make_key(file).map_err(|error| OpenError::Io(format!("cannot write the secret key {shown}: {error}")))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(OpenError::SecretKey(format!(
            "{shown} is missing, and without it the second factors in this store cannot be read; put it back"
        ))),
        Err(error) => Err(OpenError::Io(format!("cannot read the secret key {shown}: {error}"))),
    }
}

/// Written whole and made durable before anything is sealed with it.
fn make_key(file: &Path) -> std::io::Result<Zeroizing<[u8; KEY_BYTES]>> {
    let key = Zeroizing::new(random::bytes::<KEY_BYTES>().map_err(std::io::Error::other)?);
    let digits = Zeroizing::new(text::hex(key.as_slice()));
    let draft = PathBuf::from(format!("{}.new", file.display()));
    let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    out.set_permissions(fs::Permissions::from_mode(0o600))?;
    writeln!(out, "{}", *digits)?;
    out.sync_all()?;
    fs::rename(&draft, file)?;
    if let Some(parent) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(key)
}

fn parse_key(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let text = text.trim();
    if text.len() != 2 * KEY_BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for (byte, place) in key.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(place..place + 2)?, 16).ok()?;
    }
    Some(key)
}
