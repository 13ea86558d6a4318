//! Opens the program: the lock on the data directory, the store, the secret key, in that order; and closes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, Semaphore};

use super::backups::backup_files;
use super::checkpoints::new_audit_key;
use super::hashing::Hasher;
use super::requests::Requests;
use super::secret_key::KeyFile;
pub use super::secret_key::open_key_warning;
use super::throttle::Throttle;
use super::{AFTER_ANSWERING_MAX, App, Inner, Mode};
use crate::clock;
use crate::config::{Config, Engine};
use crate::domain::text;
use crate::domain::vault::Vault;
use crate::records::{Records, keys};
use crate::store::backup::{BackupError, Reader};
use crate::store::lock::{DataLock, LockError};
use crate::store::memory::MemoryStore;
use crate::store::sled::{STORE_DIRECTORY, SledStore, is_new};
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
    let lock =
        tokio::task::spawn_blocking(move || lock(&for_files, &role)).await.map_err(|error| unopened(&error))??;
    open_locked(config, mode, lock).await
}

/// Opens the program for a command that makes changes nobody else may see half done, and holds the lock already.
pub(super) async fn open_locked(config: Arc<Config>, mode: Mode, lock: DataLock) -> Result<App, OpenError> {
    let for_files = Arc::clone(&config);
    let store =
        tokio::task::spawn_blocking(move || open_store(&for_files)).await.map_err(|error| unopened(&error))??;
    let records = Records::new(store);
    let vault = open_vault(&config, &records, "this store").await?;
    Ok(assemble(config, mode, Some(lock), records, vault))
}

fn unopened(error: &tokio::task::JoinError) -> OpenError {
    OpenError::Store(format!("the store could not be opened: {error}"))
}

/// Opens the program over what a backup holds, in memory: to look at it, with the secret key that the configuration
/// names. Blocking work runs on the blocking pool.
pub async fn open_backup(config: Arc<Config>, file: &Path) -> Result<App, OpenError> {
    let path = file.to_owned();
    let store = tokio::task::spawn_blocking(move || read_backup(&path))
        .await
        .map_err(|error| OpenError::Store(format!("the backup could not be read: {error}")))??;
    let records = Records::new(Arc::new(store));
    let vault = open_vault(&config, &records, "the backup").await?;
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
        drop(self.close_store().await);
    }

    /// The same, but whoever calls goes on holding the lock; there is none where nothing is on disk.
    pub(super) async fn close_store(&self) -> Option<DataLock> {
        self.settle().await;
        if self.0.mode == Mode::Live
            && let Err(error) = self.take_checkpoint(clock::now()).await
        {
            tracing::warn!(%error, "the audit trail has no checkpoint of this stop");
        }
        self.0.records.store().close().await;
        let lock = self.0.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        // Who waits for jobs sees that there will be none.
        self.0.is_closed.store(true, std::sync::atomic::Ordering::Release);
        self.ring_for_jobs();
        lock
    }
}

#[cfg(any(test, fuzzing))]
impl App {
    /// A program without files: its store is in memory and its secret key a constant.
    pub(super) fn in_memory(config: Config) -> Self {
        Self::over(config, Arc::new(MemoryStore::new()))
    }

    /// The same over some other store.
    pub(super) fn over(config: Config, store: Arc<dyn Store>) -> Self {
        let records = Records::new(store);
        assemble(Arc::new(config), Mode::Live, None, records, Vault::new(&[7; crate::domain::vault::KEY_BYTES]))
    }
}

/// Takes the lock of the data directory. Blocks, for a moment.
pub(super) fn lock(config: &Config, role: &str) -> Result<DataLock, OpenError> {
    let since = clock::now().to_rfc3339_z();
    DataLock::acquire(&config.server.data_dir, role, &since).map_err(|error| match error {
        LockError::Held { holder } => OpenError::Held { holder },
        error @ LockError::Io { .. } => OpenError::Io(error.to_string()),
    })
}

fn open_store(config: &Config) -> Result<Arc<dyn Store>, OpenError> {
    Ok(match config.store.engine {
        Engine::Memory => Arc::new(MemoryStore::new()),
        Engine::Sled => {
            check_lost(config)?;
            let store = SledStore::open(&config.server.data_dir, config.store.sled.cache_mib);
            Arc::new(store.map_err(|error| OpenError::Store(error.to_string()))?)
        }
    })
}

/// Where the store is, if there is one on disk.
pub fn store_directory(config: &Config) -> Option<PathBuf> {
    let directory = config.server.data_dir.join(STORE_DIRECTORY);
    (config.store.engine == Engine::Sled && directory.exists()).then_some(directory)
}

/// An empty store does not pass for one that was lost.
fn check_lost(config: &Config) -> Result<(), OpenError> {
    let data_dir = &config.server.data_dir;
    if let [newest, ..] = backup_files(config).as_slice()
        && is_new(data_dir)
    {
        return Err(OpenError::Store(format!(
            "there is no store in {}, but there are backups of one ({} is the newest): `doorward restore` or `doorward recover` \
             brings it back; to begin with an empty store, move them away",
            data_dir.display(),
            newest.display()
        )));
    }
    Ok(())
}

/// Finds the key that the store is sealed with, or makes one for a store that has never seen any, and the one that its
/// checkpoints are signed with. A store keeps the id of its key, so that another key is noticed before it does harm.
/// `what` is what is opened, for people.
async fn open_vault(config: &Arc<Config>, records: &Records, what: &str) -> Result<Vault, OpenError> {
    let store_error = |error: StoreError| OpenError::Store(error.to_string());
    let known = records.store().get(keys::SECRET_KEY_ID).await.map_err(store_error)?;
    let (is_new, of_file) = (known.is_none(), Arc::clone(config));
    let file = tokio::task::spawn_blocking(move || KeyFile::read_or_make(&of_file, is_new))
        .await
        .map_err(|error| OpenError::Io(error.to_string()))??;
    if let Some(warning) = open_key_warning(config) {
        tracing::warn!("{warning}");
    }
    let Some(known) = known else {
        let vault = file.newest()?;
        let batch = Batch::default()
            .expect(keys::SECRET_KEY_ID, Expect::Absent)
            .put(keys::SECRET_KEY_ID, vault.key_id().to_vec());
        // At once, so that every backup has it.
        let (_, batch) = new_audit_key(&vault, batch).map_err(|error| OpenError::Store(error.to_string()))?;
        return match records.store().commit(batch).await.map_err(store_error)? {
            Commit::Done(_) => Ok(vault),
            Commit::Conflict => Err(OpenError::Store("the store changed while it was opened".to_owned())),
        };
    };
    file.named(&known.value).ok_or_else(|| {
        OpenError::SecretKey(format!(
            "{} does not hold the secret key that {what} is sealed with: that is {}, and there is {}. Name the file that has it \
             in server.secret_key_file, or bring it back there",
            file.path().display(),
            text::hex(&known.value),
            file.ids().join(", ")
        ))
    })
}
