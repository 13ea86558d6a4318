//! The engine on its own: opening, damage, failure. What all engines share is in `contract`.

use std::fs;

use futures_util::StreamExt;
use futures_util::future::join_all;

use super::super::queue::{GROUP_REQUESTS_MAX, QUEUE_REQUESTS_MAX};
use super::super::{Expect, contract};
use super::entries::decode;
use super::opening::{DATA_FILE, MARKER, MARKER_TEXT, MARKER_UNFINISHED, is_file_of_sled, open_sled, remove_files};
use super::*;

fn open(directory: &Path) -> SledStore {
    SledStore::open(directory, 8).unwrap()
}

/// Without an open store it may say anything about it.
fn open_error(directory: &Path) -> OpenError {
    match SledStore::open_within(directory, 8, Duration::ZERO) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

async fn put(store: &SledStore, key: &str, value: &str) -> Version {
    match store.commit(Batch::default().put(key, value)).await.unwrap() {
        Commit::Done(receipt) => receipt.version,
        Commit::Conflict => panic!("unexpected conflict"),
    }
}

/// A store with some entries, closed again.
async fn filled(directory: &Path) {
    let store = open(directory);
    for n in 0..20 {
        put(&store, &format!("k{n}"), &"value".repeat(100)).await;
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let parent = tempfile::tempdir().unwrap();
    let count = AtomicU64::new(0);
    contract::all(|| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        Arc::new(open(&parent.path().join(number.to_string())))
    })
    .await;
}

#[test]
fn agrees_with_the_model() {
    let parent = tempfile::tempdir().unwrap();
    let count = AtomicU64::new(0);
    contract::agrees_with_the_model(24, || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        Arc::new(open(&parent.path().join(number.to_string())))
    });
}

#[tokio::test]
async fn reopening_keeps_data_and_versions() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("data");
    let store = open(&directory);
    let version = put(&store, "k", "1").await;
    store.close().await;
    drop(store);

    let store = open(&directory);
    assert_eq!(store.get(b"k").await.unwrap().unwrap().version, version);
    assert_eq!(store.version(), version);
    let changes: Vec<_> = store.watch(b"", Version(0)).take(1).collect().await;
    assert_eq!(changes, [Ok(Change { key: b"k".to_vec(), value: Some(b"1".to_vec()), version })], "from the journal");
    assert!(put(&store, "k", "2").await > version);
    assert!(directory.join("store").join(MARKER).exists());
    assert!(!directory.join("store").join(MARKER_UNFINISHED).exists());
}

/// Copies the files of one of the two directories inside a data directory.
fn copy(from: &Path, to: &Path, name: &str) {
    fs::create_dir_all(to.join(name)).unwrap();
    for file in fs::read_dir(from.join(name)).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), to.join(name).join(file.file_name())).unwrap();
        }
    }
}

/// What sled lost or never wrote comes from the journal, with the versions it had.
#[tokio::test]
async fn the_store_takes_over_what_only_the_journal_has() {
    let (directory, behind) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(directory.path()).await;
    copy(directory.path(), behind.path(), "store");

    let store = open(directory.path());
    let second = put(&store, "k7", "second").await;
    let third = put(&store, "k8", "third").await;
    assert!(matches!(store.commit(Batch::default().delete("k9").add("n", 4)).await.unwrap(), Commit::Done(_)));
    let last = put(&store, "k7", "last").await;
    assert_eq!((second.0 + 1, third.0 + 2), (third.0, last.0));
    store.close().await;
    copy(directory.path(), behind.path(), "journal");

    let store = open(behind.path());
    assert_eq!(store.version(), last);
    let seven = store.get(b"k7").await.unwrap().unwrap();
    assert_eq!((seven.value, seven.version), (b"last".to_vec(), last));
    assert_eq!(store.get(b"k8").await.unwrap().unwrap().version, third);
    assert_eq!(store.get(b"k9").await.unwrap(), None);
    assert_eq!(store.get(b"n").await.unwrap().unwrap().value, 4_i64.to_le_bytes());
    assert_eq!(put(&store, "k10", "on").await.0, last.0 + 1);
}

/// A kill right behind a commit leaves it in sled without the version behind it; then the end of the journal is lost. Its
/// version is not given out again: a journal that goes on there would bring back one of the two without the other.
#[tokio::test]
async fn what_the_journal_lost_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path()).await;
    let store = open(directory.path());
    put(&store, "k7", "before").await;
    let last = put(&store, "k8", "last").await;
    store.close().await;
    drop(store);
    let db = open_sled(&directory.path().join(STORE_DIRECTORY), 8, Duration::ZERO).unwrap();
    write_version(&db, VERSION_KEY, Version(last.0 - 1)).unwrap();
    drop(db);
    let segment = super::opening::files(&directory.path().join(JOURNAL_DIRECTORY), |_| true).unwrap().pop().unwrap();
    let segment = fs::OpenOptions::new().write(true).open(segment).unwrap();
    segment.set_len(segment.metadata().unwrap().len() - 1).unwrap();

    let store = open(directory.path());
    assert_eq!(store.version(), last);
    assert_eq!(store.get(b"k8").await.unwrap().unwrap().value, b"last");
    assert_eq!(store.journal_begins().await.unwrap(), Some(last));
    assert_eq!(put(&store, "k9", "on").await.0, last.0 + 1);
}

/// sled applies a batch entry by entry: a read that fails in the middle leaves a part of it there, which becomes durable.
/// It does not count, since the version is written behind it.
#[tokio::test]
async fn half_a_group_is_made_whole() {
    let (directory, behind) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(directory.path()).await;
    copy(directory.path(), behind.path(), STORE_DIRECTORY);
    let store = open(directory.path());
    let batch = Batch::default().put("k7", "whole").put("new", "whole").delete("k8").add("n", 4);
    let Commit::Done(Receipt { version, .. }) = store.commit(batch).await.unwrap() else { panic!("a conflict") };
    store.close().await;
    copy(directory.path(), behind.path(), JOURNAL_DIRECTORY);

    let db = open_sled(&behind.path().join(STORE_DIRECTORY), 8, Duration::ZERO).unwrap();
    let mut half = ::sled::Batch::default();
    half.insert(data_key(b"k7"), encode(b"k7", version, b"whole"));
    half.remove(data_key(b"k8"));
    db.apply_batch(half).unwrap();
    drop(db);

    let (store, expected) = (open(behind.path()), open(directory.path()));
    assert_eq!(store.version(), version);
    for key in [b"k7".as_slice(), b"k8", b"new", b"n"] {
        assert_eq!(store.get(key).await.unwrap(), expected.get(key).await.unwrap());
    }
}

#[tokio::test]
async fn a_journal_that_is_gone_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path()).await;
    let journal = directory.path().join(JOURNAL_DIRECTORY);
    fs::remove_dir_all(&journal).unwrap();
    let store = open(directory.path());
    let before = store.version();
    let after = put(&store, "k", "1").await;
    assert_eq!(after.0, before.0 + 1);
    store.close().await;
    assert_eq!(super::super::journal::extent(&journal).unwrap(), (vec![before], after));
}

/// A byte of the journal flips. A store that has everything goes on with a new journal; one that lacks what stood there
/// does not open, since that was acknowledged.
#[tokio::test]
async fn a_damaged_journal_is_set_aside_where_nothing_is_missing() {
    let (directory, behind) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(directory.path()).await;
    copy(directory.path(), behind.path(), STORE_DIRECTORY);
    let store = open(directory.path());
    for number in 0..3 {
        put(&store, &format!("late{number}"), "value").await;
    }
    let version = store.version();
    store.close().await;
    let segment = fs::read_dir(directory.path().join(JOURNAL_DIRECTORY)).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&segment).unwrap();
    let place = bytes.windows(5).rposition(|bytes| bytes == b"late1").unwrap();
    bytes[place] ^= 1;
    fs::write(&segment, bytes).unwrap();
    copy(directory.path(), behind.path(), JOURNAL_DIRECTORY);

    let store = open(directory.path());
    assert_eq!(store.version(), version);
    assert!(store.get(b"late1").await.unwrap().is_some());
    put(&store, "k", "on").await;
    store.close().await;
    assert!(directory.path().join("journal.damaged").exists());
    assert!(open(directory.path()).get(b"k").await.unwrap().is_some());

    for _ in 0..2 {
        let error = open_error(behind.path());
        assert!(matches!(error, OpenError::Behind { .. }) && error.to_string().contains("recover"), "{error}");
    }
    assert!(!behind.path().join("journal.damaged").exists());
}

#[tokio::test]
async fn a_store_that_is_gone_beside_its_journal_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path()).await;
    fs::remove_dir_all(directory.path().join(STORE_DIRECTORY)).unwrap();
    for _ in 0..2 {
        let error = open_error(directory.path());
        assert!(
            matches!(error, OpenError::Missing { .. }) && error.to_string().contains("doorward recover"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_journal_of_another_store_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(one.path()).await;
    filled(other.path()).await;
    fs::remove_dir_all(one.path().join(JOURNAL_DIRECTORY)).unwrap();
    copy(other.path(), one.path(), JOURNAL_DIRECTORY);
    assert!(matches!(open_error(one.path()), OpenError::OtherJournal(_)));
}

#[tokio::test]
async fn an_unfinished_snapshot_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path()).await;
    let torn = directory.path().join("store/snap.00000000FFFFFFFF.generating");
    fs::write(&torn, "torn").unwrap();
    let store = open(directory.path());
    assert!(!torn.exists());
    assert!(store.get(b"k7").await.unwrap().is_some());
}

#[tokio::test]
async fn lost_data_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path()).await;
    let files = directory.path().join(STORE_DIRECTORY);
    let missing = OpenError::Missing { directory: files.clone() };
    fs::remove_file(files.join(DATA_FILE)).unwrap();
    assert_eq!(open_error(directory.path()), missing);

    remove_files(&files, is_file_of_sled).unwrap();
    fs::write(files.join(DATA_FILE), "").unwrap();
    assert_eq!(open_error(directory.path()), missing);
    assert!(missing.to_string().contains("doorward recover"));
}

#[tokio::test]
async fn data_without_a_marker_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path()).await;
    let files = directory.path().join(STORE_DIRECTORY);
    fs::write(files.join(MARKER), "doorward store, format 9\n").unwrap();
    assert!(matches!(open_error(directory.path()), OpenError::Format { .. }));
    fs::remove_file(files.join(MARKER)).unwrap();
    assert!(matches!(open_error(directory.path()), OpenError::Unmarked { .. }));
    fs::write(files.join(MARKER), MARKER_TEXT).unwrap();
    assert!(open(directory.path()).get(b"k7").await.unwrap().is_some());
}

#[tokio::test]
async fn a_creation_that_did_not_finish_starts_over() {
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().join(STORE_DIRECTORY);
    fs::create_dir(&files).unwrap();
    fs::write(files.join(MARKER_UNFINISHED), "doorw").unwrap();
    fs::write(files.join("conf"), "torn").unwrap();
    fs::create_dir(files.join("blobs")).unwrap();
    fs::write(files.join(DATA_FILE), "torn").unwrap();
    put(&open(directory.path()), "k", "").await;
}

/// What a rebuild is killed in while stores change places, whoever opens the store next ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_stores_that_was_interrupted_is_ended() {
    for own_journal in [true, false] {
        for killed_before in ["the journal moved aside", "another began", "the new store was in place"] {
            let directory = tempfile::tempdir().unwrap();
            let data_dir = directory.path();
            filled(data_dir).await;
            let rebuild = Rebuild::begin(data_dir, 8).unwrap();
            let (id, version) = rebuild.copy(8, |_| ()).unwrap();
            let batch = Batch::default().expect("new", Expect::Absent).put("new", "1").add("n", 7);
            let version = rebuild.commit(batch, version).unwrap().unwrap();
            assert_eq!(
                rebuild.commit(Batch::default().expect("new", Expect::Absent).put("new", ""), version),
                Ok(None)
            );
            let replaced = rebuild.finish((!own_journal).then_some(id), version, "cut").unwrap();
            assert_eq!(super::replaced(data_dir).unwrap().len(), 1 + usize::from(own_journal));
            let building = data_dir.join("store.building");
            fs::rename(data_dir.join(STORE_DIRECTORY), &building).unwrap();
            if killed_before != "the new store was in place" {
                fs::write(building.join("stamp"), "cut").unwrap();
            }
            // Of another rebuild, and later in the alphabet.
            let other = data_dir.join("store.before-rekey");
            fs::create_dir(&other).unwrap();
            if let (Some(journal), false) = (&replaced.journal, killed_before == "the new store was in place") {
                fs::remove_dir_all(data_dir.join(JOURNAL_DIRECTORY)).unwrap();
                if killed_before == "the journal moved aside" {
                    fs::rename(journal, data_dir.join(JOURNAL_DIRECTORY)).unwrap();
                }
            }
            let store = open(data_dir);
            let new = store.get(b"new").await.unwrap().unwrap();
            assert_eq!((new.version, store.version()), (version, version), "{killed_before}");
            assert!(store.get(b"k7").await.unwrap().is_some());
            assert_eq!(store.id() == id, !own_journal);
            let last = put(&store, "k7", "last").await;
            store.close().await;
            let (_, end) = super::super::journal::extent(&data_dir.join(JOURNAL_DIRECTORY)).unwrap();
            assert_eq!(end, last);
            assert!(!data_dir.join(STORE_DIRECTORY).join("stamp").exists());
            fs::remove_dir(other).unwrap();
            let aside = super::replaced(data_dir).unwrap();
            let names: Vec<_> = aside.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
            let expected = ["journal.before-cut", "store.before-cut"];
            assert_eq!(names, expected[usize::from(!own_journal)..], "{killed_before}");
        }
    }
}

/// A store that was not built to its end, or that another one has outlived, never takes a place.
#[tokio::test]
async fn what_is_left_of_a_rebuild_goes() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path()).await;
    for name in [MARKER_UNFINISHED, MARKER] {
        let building = directory.path().join("store.building");
        fs::create_dir(&building).unwrap();
        fs::write(building.join(name), MARKER_TEXT).unwrap();
        let store = open(directory.path());
        assert!(store.get(b"k7").await.unwrap().is_some());
        store.close().await;
        assert!(!building.exists(), "{name}");
    }
    fs::create_dir(directory.path().join("store.building")).unwrap();
    fs::remove_dir_all(directory.path().join(STORE_DIRECTORY)).unwrap();
    assert!(matches!(open_error(directory.path()), OpenError::Interrupted { .. }), "an empty store would pass for it");
    super::make_room(directory.path(), 8).unwrap();
    fs::remove_dir_all(directory.path().join("store.building")).unwrap();
    assert!(matches!(open_error(directory.path()), OpenError::Missing { .. }));
}

#[tokio::test]
async fn a_second_open_is_refused_until_the_first_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let error = open_error(directory.path());
    assert_eq!(error, OpenError::Locked { directory: directory.path().join(STORE_DIRECTORY) });
    put(&store, "k", "1").await;
    // Dropped without close: the next open waits for the writer thread to let go.
    drop(store);
    let store = tokio::task::spawn_blocking(move || open(directory.path())).await.unwrap();
    assert!(store.get(b"k").await.unwrap().is_some());
}

#[tokio::test]
async fn damaged_files_are_explained() {
    let parent = tempfile::tempdir().unwrap();
    let original = parent.path().join("original");
    filled(&original).await;
    let files = original.join(STORE_DIRECTORY);
    let data = fs::read(files.join(DATA_FILE)).unwrap();
    let mut explained = 0;
    for (number, at) in (0..data.len().min(4096)).step_by(256).enumerate() {
        let copy = parent.path().join(number.to_string());
        let copy_files = copy.join(STORE_DIRECTORY);
        fs::create_dir_all(&copy_files).unwrap();
        for name in [MARKER, "conf"] {
            fs::copy(files.join(name), copy_files.join(name)).unwrap();
        }
        let mut damaged = data.clone();
        damaged[at] ^= 0xff;
        fs::write(copy_files.join(DATA_FILE), damaged).unwrap();
        // sled may cut the log at the damage and open; it must not panic through us or open as an empty store.
        match SledStore::open_within(&copy, 8, Duration::ZERO) {
            Ok(_) => {}
            Err(OpenError::Damaged { .. } | OpenError::Missing { .. }) => explained += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(explained > 0);

    let mut conf = fs::read(files.join("conf")).unwrap();
    conf[0] ^= 0xff;
    fs::write(files.join("conf"), conf).unwrap();
    let error = open_error(&original);
    assert!(matches!(error, OpenError::Damaged { .. }) && error.to_string().contains("doorward recover"), "{error}");
}

#[test]
fn a_checksum_ties_key_version_and_value() {
    let bytes = encode(b"key", Version(7), b"value");
    assert_eq!(decode(b"key", &bytes), Ok((Version(7), b"value".to_vec())));
    assert!(decode(b"kez", &bytes).is_err());
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(decode(b"key", &damaged).is_err());
        assert!(decode(b"key", &bytes[..at]).is_err());
    }
}

/// A store whose journal or whose own file cannot be made durable: the kernel has no `fdatasync` for `/dev/null`.
fn failing(directory: &Path, in_journal: bool) -> SledStore {
    let db = open_sled(directory, 8, Duration::ZERO).unwrap();
    let data = File::open(if in_journal { "/dev/zero" } else { "/dev/null" }).unwrap();
    let mut journal = Journal::open(&directory.join(JOURNAL_DIRECTORY), [1; 16]).unwrap();
    if in_journal {
        journal.fail();
    }
    SledStore::start(db, data, journal, directory.join(JOURNAL_DIRECTORY)).unwrap()
}

async fn many_commits(store: &Arc<SledStore>) -> Vec<Result<Commit, StoreError>> {
    let commits = (0..32).map(|n| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.commit(Batch::default().put(format!("k{n}"), "")).await })
    });
    join_all(commits).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_ends_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(failing(directory.path(), true));
    let mut watch = store.watch(b"", store.version());
    let failed = store.failed();
    let outcomes = many_commits(&store).await;
    let unknown = outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::OutcomeUnknown(_))));
    assert!(unknown.count() > 0);
    for outcome in &outcomes {
        assert!(
            matches!(outcome, Err(StoreError::OutcomeUnknown(_) | StoreError::Unavailable(_))),
            "acknowledged without being durable: {outcome:?}"
        );
    }
    let reason = failed.await;
    assert!(reason.contains("the journal: Invalid argument"), "{reason}");
    assert_eq!(store.version(), Version::default());
    // By now it may be closed.
    assert!(!matches!(store.get(b"k1").await, Ok(Some(_))), "seen without being durable");
    assert!(matches!(watch.next().await, Some(Err(StoreError::Unavailable(_)))));
    let refused = store.commit(Batch::default()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(store.failed().await, reason, "also for those who ask later");
    store.close().await;
}

/// What was acknowledged is in the journal; but the process ends, and opening again takes it over.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_settle_ends() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(failing(directory.path(), false));
    let failed = store.failed();
    for outcome in many_commits(&store).await {
        assert!(matches!(outcome, Ok(Commit::Done(_)) | Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
    assert!(failed.await.contains("Invalid argument"));
    let refused = store.commit(Batch::default()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    store.close().await;
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let queue = Queue::default();
    let request =
        |bytes: usize| Request { batch: Batch::default().put("k", vec![0; bytes]), answer: oneshot::channel().0 };
    for _ in 0..QUEUE_REQUESTS_MAX {
        queue.push(request(1)).unwrap();
    }
    assert_eq!(queue.push(request(1)), Err(StoreError::Overloaded));
    assert_eq!(queue.take_group().map(|group| group.len()), Some(GROUP_REQUESTS_MAX));
    queue.push(request(1)).unwrap();
    assert_eq!(queue.push(request(64 * 1024 * 1024)), Err(StoreError::Overloaded));
    queue.close(closed());
    assert_eq!(queue.push(request(1)), Err(closed()));
    while queue.take_group().is_some() {}
}
