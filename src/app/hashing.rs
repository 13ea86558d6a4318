//! Password hashing as a limited resource: so many at once, each with memory that is kept and reused, off the async
//! threads, and a bounded number waiting. Beyond that the answer is 503, never a memory spike.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Semaphore;

use super::random;
use crate::config;
use crate::domain::password::{self, HashMemory, HashParameters};
use crate::domain::secret::Secret;
use crate::domain::user::PasswordHash;
use crate::error::{Error, Result};

/// Hashes that may wait for each one that may run.
const WAITING_PER_PERMIT: usize = 100;

/// The pool. One for the program.
pub struct Hasher {
    parameters: HashParameters,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    memories: Arc<Mutex<Vec<HashMemory>>>,
    /// What an unknown user's password is compared with, so that it costs the same time.
    dummy: OnceLock<PasswordHash>,
}

impl Hasher {
    pub fn new(config: &config::Password) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let parallel = if config.max_parallel_hashes == 0 { cores } else { config.max_parallel_hashes };
        Self {
            parameters: HashParameters {
                memory_kib: config.memory_kib,
                iterations: config.iterations,
                parallelism: config.parallelism,
            },
            permits: Arc::new(Semaphore::new(parallel)),
            waiting: AtomicUsize::new(0),
            waiting_max: parallel * WAITING_PER_PERMIT,
            memories: Arc::default(),
            dummy: OnceLock::new(),
        }
    }

    /// Hashes a new password.
    pub async fn hash(&self, password: Secret) -> Result<PasswordHash> {
        let (parameters, salt) = (self.parameters, random::bytes()?);
        self.run(move |memory| password::hash_password(parameters, memory, password.expose(), salt))
            .await?
            .map_err(|error| Error::internal(format!("hashing failed: {error}")))
    }

    /// Whether the password is the one that was hashed. `None` (no such user, no password) takes the same time and is
    /// never right.
    pub async fn verify(&self, hash: Option<PasswordHash>, password: Secret) -> Result<bool> {
        let is_real = hash.is_some();
        let hash = match hash {
            Some(hash) => hash,
            None => self.dummy().await?,
        };
        let matches = self.run(move |memory| password::verify_password(&hash, memory, password.expose())).await?;
        Ok(matches && is_real)
    }

    /// Whether a hash was made with other parameters than those of now.
    pub fn needs_rehash(&self, hash: &PasswordHash) -> bool {
        password::needs_rehash(hash, self.parameters)
    }

    /// Other work on a password that takes long (crafted text keeps the strength check busy for half a second): under
    /// the same limits.
    pub async fn check<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.run(move |_| work()).await
    }

    async fn dummy(&self) -> Result<PasswordHash> {
        if let Some(dummy) = self.dummy.get() {
            return Ok(dummy.clone());
        }
        let dummy = self.hash(random::token()?).await?;
        Ok(self.dummy.get_or_init(|| dummy).clone())
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&mut HashMemory) -> T + Send + 'static) -> Result<T> {
        let _place = self.wait_place()?;
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| Error::internal("the hashing pool is closed"))?;
        let (memories, parameters) = (Arc::clone(&self.memories), self.parameters);
        tokio::task::spawn_blocking(move || {
            let kept = memories.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut memory = kept.unwrap_or_else(|| HashMemory::new(parameters));
            let result = work(&mut memory);
            memories.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
            drop(permit);
            result
        })
        .await
        .map_err(|error| Error::internal(format!("hashing failed: {error}")))
    }

    fn wait_place(&self) -> Result<WaitPlace<'_>> {
        let place = WaitPlace(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            return Err(Error::Unavailable {
                detail: "The server is busy. Please try again in a moment.".into(),
                retry_after_s: 2,
            });
        }
        Ok(place)
    }
}

/// One of the places for hashes that wait or run.
struct WaitPlace<'a>(&'a AtomicUsize);

impl Drop for WaitPlace<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
