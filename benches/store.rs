//! What the disk engine costs: durable commits beside bare `fdatasync`, and reads.
//!
//! `cargo bench --bench store [directory]`. The directory (by default a temporary one below the working directory)
//! should lie on the disk that is to be measured. Takes about 20 seconds; the rates of a shared disk vary
//! much from run to run.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints a table and may stop at an error")]

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::Row;
use common::disk::{VALUE_BYTES, commit_one, commits, fdatasync_only};
use doorward::store::sled::SledStore;
use doorward::store::{Batch, Commit, Order, Store};
use tokio::runtime::Runtime;

/// Waiting clients of the write rows.
const CLIENTS: [usize; 4] = [1, 16, 64, 512];
/// How long each write row runs.
const ROW: Duration = Duration::from_millis(1500);
/// Entries that the read rows choose from.
const ENTRIES: u64 = 100_000;
const CACHE_MIB: u64 = 64;

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let parent = wanted.map_or_else(|| PathBuf::from("."), PathBuf::from);
    let directory = tempfile::tempdir_in(parent).unwrap();
    let runtime = Runtime::new().unwrap();
    let store = Arc::new(SledStore::open(directory.path(), CACHE_MIB).unwrap());

    println!("durable commits (record of {VALUE_BYTES} B, index entry, counter), latencies in ms");
    println!(
        "{:>8} {:>12} {:>8} {:>8} {:>16} {:>7}",
        "clients", "commits/s", "p50", "p99", "fdatasync only/s", "share"
    );
    for clients in CLIENTS {
        let bare = runtime.block_on(fdatasync_only(directory.path(), clients, ROW));
        let row = runtime.block_on(commits(&store, clients, ROW));
        println!(
            "{clients:>8} {:>12.0} {:>8.2} {:>8.2} {bare:>16.0} {:>6.0}%",
            row.per_second,
            row.percentile(50) * 1e3,
            row.percentile(99) * 1e3,
            100.0 * row.per_second / bare
        );
    }

    runtime.block_on(fill(&store));
    println!("\nreads of {ENTRIES} entries, latencies in us");
    println!("{:>32} {:>10} {:>10} {:>10}", "", "per s", "p50", "p99");
    for (name, row) in [
        ("get", runtime.block_on(gets(&store, ENTRIES))),
        ("get, 1000 hot keys", runtime.block_on(gets(&store, 1000))),
        ("get_many of 2", runtime.block_on(pairs(&store))),
        ("scan of 50", runtime.block_on(scans(&store))),
        ("get beside 16 writing clients", runtime.block_on(gets_beside_writers(&store))),
    ] {
        println!(
            "{name:>32} {:>10.0} {:>10.1} {:>10.1}",
            row.per_second,
            row.percentile(50) * 1e6,
            row.percentile(99) * 1e6
        );
    }
    runtime.block_on(store.close());
}

fn entry_key(number: u64) -> String {
    format!("read/{number:016}")
}

async fn fill(store: &SledStore) {
    for first in (0..ENTRIES).step_by(100) {
        let batch =
            (first..first + 100).fold(Batch::default(), |batch, n| batch.put(entry_key(n), vec![7; VALUE_BYTES]));
        assert!(matches!(store.commit(batch).await.unwrap(), Commit::Done(_)));
    }
}

/// Numbers that jump about, the same in each run.
fn numbers(below: u64) -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    })
}

async fn gets(store: &SledStore, below: u64) -> Row {
    let mut latencies = Vec::new();
    let start = Instant::now();
    for number in numbers(below).take(200_000) {
        let key = entry_key(number);
        let before = Instant::now();
        assert!(store.get(key.as_bytes()).await.unwrap().is_some());
        latencies.push(before.elapsed().as_secs_f64());
    }
    Row::new(latencies, start.elapsed())
}

async fn pairs(store: &SledStore) -> Row {
    let mut latencies = Vec::new();
    let start = Instant::now();
    for number in numbers(ENTRIES - 1).take(100_000) {
        let keys = [entry_key(number), entry_key(number + 1)];
        let before = Instant::now();
        store.get_many(&[keys[0].as_bytes(), keys[1].as_bytes()]).await.unwrap();
        latencies.push(before.elapsed().as_secs_f64());
    }
    Row::new(latencies, start.elapsed())
}

async fn scans(store: &SledStore) -> Row {
    let mut latencies = Vec::new();
    let start = Instant::now();
    for number in numbers(ENTRIES).take(5_000) {
        let prefix = entry_key(number);
        let prefix = prefix.as_bytes().split_at(prefix.len() - 2).0;
        let before = Instant::now();
        let page = store.scan(prefix, None, 50, Order::Ascending).await.unwrap();
        assert_eq!(page.entries.len(), 50);
        latencies.push(before.elapsed().as_secs_f64());
    }
    Row::new(latencies, start.elapsed())
}

async fn gets_beside_writers(store: &Arc<SledStore>) -> Row {
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                loop {
                    commit_one(&store).await;
                }
            })
        })
        .collect();
    let store = Arc::clone(store);
    let row = tokio::spawn(async move { gets(&store, ENTRIES).await }).await.unwrap();
    for writer in writers {
        writer.abort();
    }
    row
}
