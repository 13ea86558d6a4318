//! A made-up crowd of users in a store of its own: namesakes, several languages, second factors that work, sessions,
//! keys, an audit trail. The same seed and moment make the same crowd.
//!
//! Written with the functions of `records` and through the store's one way to commit, so that every index and counter
//! is the real one.
#![allow(dead_code, reason = "each bench uses a part")]

mod dice;
mod names;
pub mod person;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doorward::app::instance;
use doorward::clock;
use doorward::config::{self, Config, Sources};
use doorward::domain::audit::AuditRecord;
use doorward::domain::password_hash::{HashMemory, HashParameters, hash_password};
use doorward::domain::text;
use doorward::domain::time::Timestamp;
use doorward::domain::vault::Vault;
use doorward::records::days::{Adoption, Span, note_adoption};
use doorward::records::{Records, append_audit, keys};
use doorward::store::lock::DataLock;
use doorward::store::sled::SledStore;
use doorward::store::{Batch, Commit, Store};
use tokio::sync::Semaphore;

use person::{Draw, Plan, TRAIL_DAYS, make};

/// The password of everybody.
pub const PASSWORD: &str = "correct horse battery staple";
/// Users under way at once: the writer makes up to 512 durable together.
const UNDER_WAY: usize = 1_536;
/// Entries of the trail in one batch, which holds 100 operations: each with its indexes and what it counts.
const ENTRIES_PER_BATCH: usize = 14;

/// What crowd.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub users: u64,
    pub seed: u64,
    /// The moment at which the crowd is as described.
    pub now: Timestamp,
    /// The page cache while loading, in MiB.
    pub cache_mib: u64,
}

/// How it went.
pub struct Filled {
    pub users: Duration,
    pub trail: Duration,
    pub closing: Duration,
    pub entries: usize,
}

/// The configuration of this process for a data directory.
pub fn config(data_dir: &Path) -> Result<Config, String> {
    let sources = Sources::of_process(None, Some(data_dir.to_owned())).map_err(|error| error.to_string())?;
    Ok(config::load(&sources).map_err(|error| error.to_string())?.config)
}

/// Fills a data directory without users; `progress` is told how many are written. An error says why it cannot be.
pub async fn fill(config: Arc<Config>, wanted: Wanted, progress: impl Fn(u64)) -> Result<Filled, String> {
    // Makes what every instance has: the folder, the marker of the store, the secret key.
    let app = instance::open(Arc::clone(&config), "command").await.map_err(|error| error.to_string())?;
    app.close().await;
    drop(app);
    let data_dir = &config.server.data_dir;
    let since = clock::now().to_rfc3339_z();
    let _lock = DataLock::acquire(data_dir, "command", &since).map_err(|error| error.to_string())?;
    let store = SledStore::open(data_dir, wanted.cache_mib).map_err(|error| error.to_string())?;
    let store: Arc<dyn Store> = Arc::new(store);
    let there = Records::new(Arc::clone(&store)).counter(keys::USER_NUMBER_COUNTER).await;
    match there {
        Ok(0) => {}
        Ok(users) => return Err(format!("{} has {users} users already; name another folder", data_dir.display())),
        Err(error) => return Err(error.to_string()),
    }
    let plan = Arc::new(Plan {
        seed: wanted.seed,
        now: wanted.now,
        users: wanted.users,
        vault: vault(&config)?,
        password_hash: password_hash(&config, wanted.seed)?,
    });
    let begun = Instant::now();
    let mut past = write_users(&store, &plan, progress).await;
    let users = begun.elapsed();
    past.trail.sort_by(|one, other| (one.at, &one.request_id).cmp(&(other.at, &other.request_id)));
    let begun = Instant::now();
    write_trail(&store, &past.trail).await;
    write_adoption(&store, &past, plan.now).await;
    let entries = begun.elapsed();
    let begun = Instant::now();
    store.close().await;
    Ok(Filled { users, trail: entries, closing: begun.elapsed(), entries: past.trail.len() })
}

async fn write_users(store: &Arc<dyn Store>, plan: &Arc<Plan>, progress: impl Fn(u64)) -> Past {
    let mut draw = Draw::new(plan.seed);
    let free = Arc::new(Semaphore::new(UNDER_WAY));
    let past = Arc::new(Mutex::new(Past::default()));
    for number in 1..=plan.users {
        let who = draw.next();
        let permit = Arc::clone(&free).acquire_owned().await.unwrap();
        let (store, plan, past) = (Arc::clone(store), Arc::clone(plan), Arc::clone(&past));
        tokio::spawn(async move {
            let made = make(&plan, who);
            past.lock().unwrap().add(made.trail, made.joined_at, made.enrolled_at);
            assert!(
                matches!(store.commit(made.batch).await.unwrap(), Commit::Done(_)),
                "user {number} is there already"
            );
            drop(permit);
        });
        progress(number);
    }
    let _all = free.acquire_many(u32::try_from(UNDER_WAY).unwrap()).await.unwrap();
    std::mem::take(&mut *past.lock().unwrap())
}

/// What is told of the crowd when everybody is there.
#[derive(Default)]
struct Past {
    trail: Vec<AuditRecord>,
    /// Users who joined, and devices that were bound, by day.
    joined: BTreeMap<u64, u64>,
    enrolled: BTreeMap<u64, u64>,
}

impl Past {
    fn add(&mut self, trail: Vec<AuditRecord>, joined_at: Timestamp, enrolled_at: Option<Timestamp>) {
        self.trail.extend(trail);
        *self.joined.entry(Span::Day.of(joined_at)).or_default() += 1;
        if let Some(at) = enrolled_at {
            *self.enrolled.entry(Span::Day.of(at)).or_default() += 1;
        }
    }
}

/// As a server that ran all the time has noted it.
async fn write_adoption(store: &Arc<dyn Store>, past: &Past, now: Timestamp) {
    let today = Span::Day.of(now);
    for day in today - TRAIL_DAYS.cast_unsigned()..=today {
        let adoption = Adoption {
            with: past.enrolled.range(..day).map(|(_, count)| count).sum(),
            of: past.joined.range(..day).map(|(_, count)| count).sum(),
        };
        assert!(matches!(
            store.commit(note_adoption(Batch::default(), day, &adoption)).await.unwrap(),
            Commit::Done(_)
        ));
    }
}

/// One batch after the other: the entries stand in the order of time.
async fn write_trail(store: &Arc<dyn Store>, trail: &[AuditRecord]) {
    for entries in trail.chunks(ENTRIES_PER_BATCH) {
        let batch = entries.iter().fold(Batch::default(), |batch, entry| append_audit(batch, entry, None));
        assert!(matches!(store.commit(batch).await.unwrap(), Commit::Done(_)));
    }
}

fn vault(config: &Config) -> Result<Vault, String> {
    let file = if config.server.secret_key_file.as_os_str().is_empty() {
        config.server.data_dir.join("secret.key")
    } else {
        config.server.secret_key_file.clone()
    };
    let key = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let key = text::unhex(key.trim()).and_then(|key| key.try_into().ok());
    key.map(|key| Vault::new(&key)).ok_or_else(|| format!("{} holds no secret key", file.display()))
}

/// One real hash for everybody: a million of them would take a day.
fn password_hash(config: &Config, seed: u64) -> Result<doorward::domain::user::PasswordHash, String> {
    let parameters = HashParameters {
        memory_kib: config.password.memory_kib,
        iterations: config.password.iterations,
        parallelism: config.password.parallelism,
    };
    let salt = *dice::digest(seed, "salt", 0).first_chunk().unwrap();
    hash_password(parameters, &mut HashMemory::new(parameters), PASSWORD, salt).map_err(|error| error.to_string())
}

/// What a folder takes on the disk, in bytes.
pub fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
