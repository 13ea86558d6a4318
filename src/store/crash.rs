//! Ends a writing process at random moments and looks for what it had acknowledged.
//!
//! The process is this test binary again, told by a variable to be the writer. A kill shows that an acknowledged commit is
//! in the kernel's hands and that a group is all or nothing. A power cut is a copy of the image that the store's file system
//! lies in, taken while the writer stands still: what the kernel had not yet written is not in it.

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

/// How many times to cut the power; 12 if not set.
const POWER_CUTS: &str = "DOORWARD_POWER_CUTS";
const IMAGE_BYTES: u64 = 192 * 1024 * 1024;

/// `scripts/fault-tests` runs it.
#[test]
#[ignore = "needs root, loop devices and mkfs.ext4"]
fn no_acknowledged_commit_is_lost_by_a_power_cut() {
    let rounds: u32 = std::env::var(POWER_CUTS).map_or(12, |rounds| rounds.parse().unwrap());
    let (mut acknowledged_in_all, mut not_opened) = (0, 0);
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    for first in (0..rounds).step_by(8) {
        std::fs::File::create(&image).unwrap().set_len(IMAGE_BYTES).unwrap();
        system("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]);
        let disk = Mounted::new(&image, &directory.path().join("disk"));
        let mut acknowledged = BTreeSet::new();
        for round in first..rounds.min(first + 8) {
            let mut writer = Running::start(&disk.0.join("data"));
            let lines = writer.lines();
            let until = std::time::Instant::now() + Duration::from_millis(u64::from(getrandom::u32().unwrap()) % 2_500);
            let mut before = 0;
            while let Ok(line) = lines.recv_timeout(until.saturating_duration_since(std::time::Instant::now())) {
                before += usize::from(acknowledged.insert(line));
            }
            let pid = rustix::process::Pid::from_child(&writer.0);
            rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
            let copied = directory.path().join("copied");
            std::fs::copy(&image, &copied).unwrap();
            drop(writer);
            let after_cut = Mounted::new(&copied, &directory.path().join("after"));
            let data = after_cut.0.join("data");
            if let Err(error) = std::panic::catch_unwind(|| check(&data, &acknowledged, round)) {
                let said = error.downcast_ref::<String>().cloned().unwrap_or_default();
                assert!(said.contains("did not open"), "round {round}: {said}");
                not_opened += 1;
                rebuild(&data);
                check(&data, &acknowledged, round);
            }
            acknowledged_in_all += before;
            println!(
                "cut {} times, {acknowledged_in_all} acknowledged, {not_opened} did not open by themselves",
                round + 1
            );
        }
        drop(disk);
        assert!(!acknowledged.is_empty(), "the writer writes nothing");
    }
}

/// How many times to fill the disk; 4 if not set.
const FULL_DISKS: &str = "DOORWARD_FULL_DISKS";

/// Little room is left on a disk, which is given back after it was full. `scripts/fault-tests` runs it.
#[test]
#[ignore = "needs root, loop devices and mkfs.ext4"]
fn no_acknowledged_commit_is_lost_by_a_full_disk() {
    const MIB: u64 = 1024 * 1024;
    let rounds: u32 = std::env::var(FULL_DISKS).map_or(4, |rounds| rounds.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let mut acknowledged_in_all = 0;
    for round in 0..rounds {
        std::fs::File::create(&image).unwrap().set_len(32 * MIB).unwrap();
        system("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]);
        let disk = Mounted::new(&image, &directory.path().join("disk"));
        let stats = rustix::fs::statvfs(&disk.0).unwrap();
        let room = 2 * MIB + u64::from(getrandom::u32().unwrap()) % (4 * MIB);
        let filler = usize::try_from((stats.f_bavail * stats.f_frsize).saturating_sub(room)).unwrap();
        std::fs::write(disk.0.join("filler"), vec![1; filler]).unwrap();
        let data = disk.0.join("data");
        let mut writer = Running::start(&data);
        // It ends by itself when there is no room left.
        let acknowledged: BTreeSet<String> = writer.lines().into_iter().collect();
        assert!(!writer.0.wait().unwrap().success() || !acknowledged.is_empty());
        std::fs::remove_file(disk.0.join("filler")).unwrap();
        check(&data, &acknowledged, round);
        acknowledged_in_all += acknowledged.len();
        println!("full {} times, {acknowledged_in_all} acknowledged", round + 1);
    }
    assert!(acknowledged_in_all > 0, "the writer writes nothing");
}

/// What `doorward recover` does when there is no backup.
fn rebuild(data: &Path) {
    let directory = data.join(super::sled::JOURNAL_DIRECTORY);
    let id = journal::store_id(&directory).unwrap().unwrap();
    let rebuild = super::sled::Rebuild::begin(data, 8).unwrap();
    let mut version = Version::default();
    for frame in journal::frames_after(&directory, Some(id), version).unwrap() {
        let frame = frame.unwrap();
        rebuild.apply(&frame.changes).unwrap();
        version = frame.to;
    }
    rebuild.finish(Some(id), version, "cut").unwrap();
}

/// An image that is mounted until this is dropped.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn new(image: &Path, at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        system("mount", &["-o", "loop", image.to_str().unwrap(), at.to_str().unwrap()]);
        Self(at.into())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A store that is just being let go of keeps it busy for a moment.
        for _ in 0..100 {
            if Command::new("umount").arg(&self.0).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn system(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}: {status}");
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
    let mut writer = Running::start(directory);
    let random = getrandom::u32().unwrap();
    let mut output = BufReader::new(writer.0.stdout.take().unwrap());
    let mut text = String::new();
    // Half of the kills come while it starts or soon after, half after a number of commits.
    if random.is_multiple_of(2) {
        std::thread::sleep(Duration::from_millis(u64::from(random >> 8) % 150));
    } else {
        for _ in 0..(random >> 8) % 1000 {
            output.read_line(&mut text).unwrap();
        }
    }
    writer.0.kill().unwrap();
    output.read_to_string(&mut text).unwrap();
    writer.0.wait().unwrap();
    text.split_inclusive('\n').filter_map(acknowledged_key).collect()
}

/// The key in a whole line of the writer.
fn acknowledged_key(line: &str) -> Option<String> {
    Some(line.split_once("ack ")?.1.strip_suffix('\n')?.to_owned())
}

/// Kills the writer also when the test fails.
struct Running(Child);

impl Running {
    fn start(directory: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::crash::writer", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// The keys as they are acknowledged.
    fn lines(&mut self) -> std::sync::mpsc::Receiver<String> {
        let (to, lines) = std::sync::mpsc::channel();
        let mut output = BufReader::new(self.0.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|read| read > 0) {
                if acknowledged_key(&line).is_some_and(|key| to.send(key).is_err()) {
                    break;
                }
                line.clear();
            }
        });
        lines
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn check(directory: &Path, acknowledged: &BTreeSet<String>, round: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = SledStore::open(directory, 8).unwrap_or_else(|error| panic!("round {round} did not open: {error}"));
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
