//! Kills a writing process with SIGKILL at random moments and looks for what it had acknowledged.
//!
//! The process is this test binary again, told by a variable to be the writer. It shows that an acknowledged commit is
//! in the kernel's hands and that a group is all or nothing; it cannot show what a power cut does.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::contract::check_chain;
use super::sled::SledStore;
use super::*;

/// Where the writer writes; set for the child only.
const DIRECTORY: &str = "DOORWARD_CRASH_TEST_DIRECTORY";
/// How many times to kill; 24 if not set.
const ROUNDS: &str = "DOORWARD_CRASH_TEST_ROUNDS";
/// Kills of one store; looking at everything after each gets slow with what has been written.
const ROUNDS_PER_STORE: u32 = 24;
const CLIENTS: u8 = 8;

#[test]
fn no_acknowledged_commit_is_lost_by_kill_9() {
    let rounds: u32 = std::env::var(ROUNDS).map_or(ROUNDS_PER_STORE, |rounds| rounds.parse().unwrap());
    for first in (0..rounds).step_by(ROUNDS_PER_STORE as usize) {
        let directory = tempfile::tempdir().unwrap();
        let mut acknowledged = BTreeSet::new();
        for round in first..rounds.min(first + ROUNDS_PER_STORE) {
            acknowledged.extend(run_and_kill(directory.path()));
            check(directory.path(), &acknowledged, round);
            println!("killed {} times, {} acknowledged", round + 1, acknowledged.len());
        }
        assert!(!acknowledged.is_empty(), "the writer writes nothing");
    }
}

/// The writer: clients that each, for ever, put an entry, count it and log it in one batch, and print its key once
/// it is acknowledged.
#[test]
#[ignore = "runs for ever; started and killed by the test above"]
fn writer() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let store: Arc<dyn Store> = Arc::new(SledStore::open(Path::new(&directory), 8).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let clients = (0..CLIENTS).map(|client| tokio::spawn(write_for_ever(Arc::clone(&store), client)));
        futures_util::future::join_all(clients).await;
    });
}

async fn write_for_ever(store: Arc<dyn Store>, client: u8) {
    let mut number = counter(&*store, client).await;
    loop {
        let key = format!("entry/{client}/{number}");
        let batch = Batch::default()
            .expect(key.clone(), Expect::Absent)
            .put(key.clone(), key.repeat(20))
            .add(format!("count/{client}"), 1)
            .append("log/", key.clone(), vec![format!("by/{client}/").into_bytes()]);
        assert!(matches!(store.commit(batch).await.unwrap(), Commit::Done(_)));
        // Past the test harness, which would capture it; a full line in one write.
        std::io::stdout().lock().write_all(format!("ack {key}\n").as_bytes()).unwrap();
        number += 1;
    }
}

/// Lets the writer run for a random while, kills it, and returns the keys it had acknowledged.
fn run_and_kill(directory: &Path) -> Vec<String> {
    let mut child = Running(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::crash::writer", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let random = getrandom::u32().unwrap();
    let mut output = BufReader::new(child.0.stdout.take().unwrap());
    let mut text = String::new();
    // Half of the kills come while it starts or soon after, half after a number of commits.
    if random.is_multiple_of(2) {
        std::thread::sleep(Duration::from_millis(u64::from(random >> 8) % 150));
    } else {
        for _ in 0..(random >> 8) % 1000 {
            output.read_line(&mut text).unwrap();
        }
    }
    child.0.kill().unwrap();
    output.read_to_string(&mut text).unwrap();
    child.0.wait().unwrap();
    text.split_inclusive('\n')
        .filter_map(|line| Some(line.split_once("ack ")?.1.strip_suffix('\n')?.to_owned()))
        .collect()
}

/// Kills the writer also when the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn check(directory: &Path, acknowledged: &BTreeSet<String>, round: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = SledStore::open(directory, 8).unwrap();
        for key in acknowledged {
            let entry = store.get(key.as_bytes()).await.unwrap();
            assert_eq!(entry.unwrap_or_else(|| panic!("round {round} lost {key}")).value, key.repeat(20).into_bytes());
        }
        let mut total = 0;
        for client in 0..CLIENTS {
            let count = counter(&store, client).await;
            assert_eq!(keys_below(&store, &format!("entry/{client}/")).await, count);
            assert_eq!(keys_below(&store, &format!("by/{client}/")).await, count);
            total += count;
        }
        check_chain(&store, b"log/", total).await;
        store.close().await;
    });
}

async fn counter(store: &dyn Store, client: u8) -> u64 {
    let entry = store.get(format!("count/{client}").as_bytes()).await.unwrap();
    entry.map_or(0, |entry| decode_counter(&entry.value).unwrap()).try_into().unwrap()
}

async fn keys_below(store: &dyn Store, prefix: &str) -> u64 {
    let (mut count, mut after) = (0, None);
    loop {
        let page = store.scan(prefix.as_bytes(), after.as_ref(), 1000, Order::Ascending).await.unwrap();
        count += page.entries.len() as u64;
        after = page.next;
        if after.is_none() {
            return count;
        }
    }
}
