//! The disk's limits: `fdatasync` shared by waiting clients, and the store's own durable commits.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use doorward::store::sled::SledStore;
use doorward::store::{Batch, Commit, Expect, Store};
use tokio::sync::{mpsc, oneshot};

use super::{Row, count};

/// A user record, encoded.
pub const VALUE_BYTES: usize = 544;

/// Clients that append through one thread, which writes and syncs for all that wait; syncs shared by them, per second.
pub async fn fdatasync_only(directory: &Path, clients: usize, time: Duration) -> f64 {
    let mut file = File::create(directory.join("append")).unwrap();
    let (requests, mut queue) = mpsc::channel::<oneshot::Sender<()>>(1024);
    let writer = std::thread::spawn(move || {
        while let Some(first) = queue.blocking_recv() {
            let mut group = vec![first];
            while let Ok(more) = queue.try_recv() {
                group.push(more);
            }
            file.write_all(&vec![7; group.len() * VALUE_BYTES]).unwrap();
            file.sync_data().unwrap();
            for answer in group {
                answer.send(()).unwrap();
            }
        }
    });
    let start = Instant::now();
    let tasks = (0..clients).map(|_| {
        let requests = requests.clone();
        tokio::spawn(async move {
            let mut done = 0;
            while start.elapsed() < time {
                let (answer, outcome) = oneshot::channel();
                requests.send(answer).await.unwrap();
                outcome.await.unwrap();
                done += 1;
            }
            done
        })
    });
    let mut done = 0;
    for task in tasks.collect::<Vec<_>>() {
        done += task.await.unwrap();
    }
    let rate = count(done) / start.elapsed().as_secs_f64();
    drop(requests);
    writer.join().unwrap();
    rate
}

/// Clients that commit to the store, each as soon as its last commit is durable.
pub async fn commits(store: &Arc<SledStore>, clients: usize, time: Duration) -> Row {
    let start = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while start.elapsed() < time {
                    let before = Instant::now();
                    commit_one(&store).await;
                    latencies.push(before.elapsed().as_secs_f64());
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    Row::new(latencies, start.elapsed())
}

/// A record, an index entry and a counter.
pub async fn commit_one(store: &SledStore) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let (user, email) = (format!("user/{number:016}"), format!("email/{number}@example.org"));
    let batch = Batch::default()
        .expect(email.clone(), Expect::Absent)
        .put(user, vec![7; VALUE_BYTES])
        .put(email, number.to_be_bytes())
        .add("users", 1);
    assert!(matches!(store.commit(batch).await.unwrap(), Commit::Done(_)));
}
