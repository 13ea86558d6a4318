//! Password hashing as a limited resource: threads of its own, each with memory that it keeps and reuses, and a bounded
//! number of hashes that wait for them. Beyond that the answer is 503, never a memory spike.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use super::random;
use crate::config;
use crate::domain::password_hash::{self, HashMemory, HashParameters};
use crate::domain::secret::Secret;
use crate::domain::user::PasswordHash;
use crate::error::{Error, Result};

/// Hashes that may wait for each thread.
const WAITING_PER_THREAD: usize = 100;
/// How far hashing gives way to everything else: logins wait for a core, reads do not.
const NICE: i32 = 10;

/// Work on a password, with the memory for it.
type Job = Box<dyn FnOnce(&mut HashMemory) + Send>;

/// The pool. One for the program; its threads end with it.
pub struct Hasher {
    parameters: HashParameters,
    jobs: SyncSender<Job>,
    /// What an unknown user's password is compared with, so that it costs the same time.
    dummy: OnceLock<PasswordHash>,
}

impl Hasher {
    pub fn new(config: &config::Password) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = if config.max_parallel_hashes == 0 { cores } else { config.max_parallel_hashes };
        let parameters = config.hash_parameters();
        let (jobs, waiting) = sync_channel(threads * WAITING_PER_THREAD);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads {
            let waiting = Arc::clone(&waiting);
            thread::spawn(move || work_off(&waiting, parameters));
        }
        Self { parameters, jobs, dummy: OnceLock::new() }
    }

    /// Hashes a new password.
    pub async fn hash(&self, password: Secret) -> Result<PasswordHash> {
        let (parameters, salt) = (self.parameters, random::bytes()?);
        self.run(move |memory| password_hash::hash_password(parameters, memory, password.expose(), salt))
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
        let matches = self.run(move |memory| password_hash::verify_password(&hash, memory, password.expose())).await?;
        Ok(matches && is_real)
    }

    /// Whether a hash was made with other parameters than those of now.
    pub fn needs_rehash(&self, hash: &PasswordHash) -> bool {
        password_hash::needs_rehash(hash, self.parameters)
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
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |memory| {
            // Who asked may have gone away while waiting.
            if !answer.is_closed() {
                let _nobody_waits = answer.send(work(memory));
            }
        });
        self.jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::busy(),
            TrySendError::Disconnected(_) => Error::internal("the hashing threads are gone"),
        })?;
        answered.await.map_err(|_| Error::internal("hashing failed"))
    }
}

/// One thread: takes job after job until the pool is dropped.
fn work_off(waiting: &Mutex<Receiver<Job>>, parameters: HashParameters) {
    // Only this thread is slowed; where the system refuses, hashing competes with the rest.
    let _ = rustix::process::nice(NICE);
    let mut memory = None;
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        let kept = memory.get_or_insert_with(|| HashMemory::new(parameters));
        if catch_unwind(AssertUnwindSafe(|| job(kept))).is_err() {
            // Whoever asked learns of it by the answer that does not come; the memory may be in any state.
            memory = None;
        }
    }
}
