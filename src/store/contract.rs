//! The suite every engine passes: what the documentation of [`Store`] promises, as functions that take any engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::feed::FEED_CHANGES_MAX;
use super::*;

/// Runs everything, each on a fresh store.
pub async fn all<S: Store>(open: impl Fn() -> Arc<S>) {
    all_or_nothing(open()).await;
    conflicts(open()).await;
    versions_never_repeat(open()).await;
    pages(open()).await;
    cursors_need_no_key(open()).await;
    prefix_edges(open()).await;
    limits(open()).await;
    writes_apply_in_order(open()).await;
    concurrent_adds(open()).await;
    concurrent_appends(open()).await;
    concurrent_increments(open()).await;
    damaged_counters_refuse(open()).await;
    barriers(open()).await;
    get_many_keeps_the_order(open()).await;
    watch_in_order(open()).await;
    watch_falls_behind(open()).await;
    closed_is_unavailable(open()).await;
}

// ---- Short forms ----

async fn done(store: &dyn Store, batch: Batch) -> Receipt {
    match store.commit(batch).await.unwrap() {
        Commit::Done(receipt) => receipt,
        Commit::Conflict => panic!("unexpected conflict"),
    }
}

async fn refused(store: &dyn Store, batch: Batch) {
    assert_eq!(store.commit(batch).await, Ok(Commit::Conflict));
}

async fn value(store: &dyn Store, key: &str) -> Option<Vec<u8>> {
    store.get(key.as_bytes()).await.unwrap().map(|entry| entry.value)
}

async fn keys(store: &dyn Store, prefix: &[u8], limit: usize, order: Order) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        let page = store.scan(prefix, after.as_ref(), limit, order).await.unwrap();
        assert!(page.entries.len() <= limit);
        keys.extend(page.entries.into_iter().map(|entry| entry.key));
        after = page.next;
        if after.is_none() {
            return keys;
        }
    }
}

fn batch() -> Batch {
    Batch::default()
}

// ---- The promises ----

async fn all_or_nothing(store: Arc<dyn Store>) {
    done(&*store, batch().put("a", "1").put("b", "1")).await;
    refused(&*store, batch().put("a", "2").delete("b").add("n", 1).expect("b", Expect::Absent)).await;
    assert_eq!(value(&*store, "a").await, Some(b"1".to_vec()));
    assert_eq!(value(&*store, "b").await, Some(b"1".to_vec()));
    assert_eq!(value(&*store, "n").await, None);

    let receipt = done(&*store, batch().put("a", "2").delete("b").delete("never there").put("c", "")).await;
    let a = store.get(b"a").await.unwrap().unwrap();
    assert_eq!((a.key.as_slice(), a.value.as_slice(), a.version), (b"a".as_slice(), b"2".as_slice(), receipt.version));
    assert_eq!(store.get(b"c").await.unwrap().unwrap().version, receipt.version);
    assert_eq!(value(&*store, "b").await, None);
    assert_eq!(store.version(), receipt.version);
}

async fn conflicts(store: Arc<dyn Store>) {
    let first = done(&*store, batch().expect("k", Expect::Absent).put("k", "1")).await.version;
    refused(&*store, batch().expect("k", Expect::Absent).put("k", "2")).await;
    refused(&*store, batch().expect("other", Expect::Version(first)).put("k", "2")).await;
    let second = done(&*store, batch().expect("k", Expect::Version(first)).put("k", "2")).await.version;
    refused(&*store, batch().expect("k", Expect::Version(first)).put("k", "3")).await;
    // An expectation is about the state before the batch, whatever the batch itself writes.
    done(
        &*store,
        batch().put("k", "3").expect("k", Expect::Version(second)).put("new", "").expect("new", Expect::Absent),
    )
    .await;
    assert_eq!(value(&*store, "k").await, Some(b"3".to_vec()));
}

async fn versions_never_repeat(store: Arc<dyn Store>) {
    let mut last = store.version();
    for _ in 0..5 {
        for change in [batch().put("k", "same"), batch().delete("k")] {
            let version = done(&*store, change).await.version;
            assert!(version > last, "{version:?} after {last:?}");
            last = version;
        }
    }
    let old = done(&*store, batch().put("k", "same")).await.version;
    done(&*store, batch().delete("k")).await;
    done(&*store, batch().put("k", "same")).await;
    refused(&*store, batch().expect("k", Expect::Version(old)).put("k", "stale")).await;
}

async fn pages(store: Arc<dyn Store>) {
    let mut expected: Vec<Vec<u8>> = (0..25).map(|n| format!("p/{n:02}").into_bytes()).collect();
    for chunk in expected.chunks(10) {
        done(&*store, chunk.iter().fold(batch(), |batch, key| batch.put(key.clone(), key.clone()))).await;
    }
    done(&*store, batch().put("o/99", "").put("p", "").put("p0", "").put("q/00", "")).await;
    for limit in [1, 5, 7, 24, 25, 26, 1000] {
        assert_eq!(keys(&*store, b"p/", limit, Order::Ascending).await, expected, "by {limit}");
    }
    let full = store.scan(b"p/", None, 25, Order::Ascending).await.unwrap();
    assert_eq!(full.next, None, "a full last page has no next");
    assert_eq!(full.entries[3].value, expected[3]);
    expected.reverse();
    for limit in [1, 5, 7, 25, 1000] {
        assert_eq!(keys(&*store, b"p/", limit, Order::Descending).await, expected, "by {limit}, descending");
    }
    assert_eq!(store.scan(b"p/", None, 0, Order::Ascending).await.unwrap().entries.len(), 1);
    assert_eq!(store.scan(b"nothing", None, 10, Order::Descending).await.unwrap(), Page::default());
}

async fn cursors_need_no_key(store: Arc<dyn Store>) {
    done(&*store, batch().put("p/b", "").put("p/d", "").put("p/f", "")).await;
    for (after, ascending, descending) in [
        ("p/c", vec!["p/d", "p/f"], vec!["p/b"]),
        ("p/d", vec!["p/f"], vec!["p/b"]),
        ("a", vec!["p/b", "p/d", "p/f"], vec![]),
        ("z", vec![], vec!["p/f", "p/d", "p/b"]),
        ("p/f", vec![], vec!["p/d", "p/b"]),
        ("p/b", vec!["p/d", "p/f"], vec![]),
    ] {
        let after_cursor = Cursor(after.into());
        for (order, expected) in [(Order::Ascending, ascending), (Order::Descending, descending)] {
            let page = store.scan(b"p/", Some(&after_cursor), 10, order).await.unwrap();
            let found: Vec<_> = page.entries.iter().map(|entry| str::from_utf8(&entry.key).unwrap()).collect();
            assert_eq!(found, expected, "after {after}, {order:?}");
            assert_eq!(page.next, None);
        }
    }
}

async fn prefix_edges(store: Arc<dyn Store>) {
    let all: [&[u8]; 8] = [b"", b"\0", b"a", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff"];
    done(&*store, all.iter().fold(batch(), |batch, key| batch.put(*key, "v"))).await;
    for prefix in [b"".as_slice(), b"\0", b"a", b"a\xff", b"a\xff\xff", b"\xff", b"\xff\xff", b"\xff\xff\xff"] {
        let mut expected: Vec<_> = all.iter().filter(|key| key.starts_with(prefix)).map(|key| key.to_vec()).collect();
        assert_eq!(keys(&*store, prefix, 2, Order::Ascending).await, expected, "{prefix:?}");
        expected.reverse();
        assert_eq!(keys(&*store, prefix, 2, Order::Descending).await, expected, "{prefix:?}, descending");
    }
    assert_eq!(value(&*store, "").await, Some(b"v".to_vec()), "the empty key is a key");
}

async fn limits(store: Arc<dyn Store>) {
    let longest_key = vec![b'k'; KEY_BYTES_MAX];
    let largest_value = vec![0; VALUE_BYTES_MAX];
    done(&*store, batch().put(longest_key.clone(), largest_value.clone())).await;
    assert_eq!(store.get(&longest_key).await.unwrap().unwrap().value, largest_value);

    let long = vec![b'k'; KEY_BYTES_MAX + 1];
    let log_that_fits = KEY_BYTES_MAX - log_head_key(b"").len();
    let many = |count: usize| (0..count).fold(batch(), |batch, n| batch.put(format!("many/{n}"), ""));
    for (what, too_large) in [
        ("put", batch().put(long.clone(), "")),
        ("delete", batch().delete(long.clone())),
        ("add", batch().add(long.clone(), 1)),
        ("expect", batch().expect(long.clone(), Expect::Absent)),
        ("log", batch().append(vec![b'l'; log_that_fits + 1], "", vec![])),
        ("index", batch().append("l", "", vec![vec![b'i'; KEY_BYTES_MAX - 7]])),
        ("payload", batch().append("l", vec![0; VALUE_BYTES_MAX - 39], vec![])),
        ("value", batch().put("k", vec![0; VALUE_BYTES_MAX + 1])),
        ("operations", many(BATCH_OPERATIONS_MAX + 1)),
        ("expectations", many(BATCH_OPERATIONS_MAX).expect("k", Expect::Absent)),
        ("indexes", batch().append("l", "", vec![b"i".to_vec(); BATCH_OPERATIONS_MAX])),
        ("bytes", (0..18).fold(batch(), |batch, n| batch.put(format!("{n}"), largest_value.clone()))),
    ] {
        assert!(matches!(store.commit(too_large).await, Err(StoreError::TooLarge(_))), "{what}");
    }
    assert!(matches!(store.get(&long).await, Err(StoreError::TooLarge(_))));
    assert!(matches!(store.get_many(&[b"k", &long]).await, Err(StoreError::TooLarge(_))));

    done(&*store, many(BATCH_OPERATIONS_MAX)).await;
    let at_the_limit = batch().append(
        vec![b'l'; log_that_fits],
        vec![0; VALUE_BYTES_MAX - 40],
        vec![vec![b'i'; KEY_BYTES_MAX - 8]; BATCH_OPERATIONS_MAX - 1],
    );
    done(&*store, at_the_limit).await;
    for n in 0..11 {
        let chunk = (0..BATCH_OPERATIONS_MAX).fold(batch(), |batch, m| batch.put(format!("page/{n:02}{m:02}"), ""));
        done(&*store, chunk).await;
    }
    let page = store.scan(b"page/", None, usize::MAX, Order::Ascending).await.unwrap();
    assert_eq!((page.entries.len(), page.next), (PAGE_ENTRIES_MAX, Some(Cursor(b"page/0999".to_vec()))));
}

async fn writes_apply_in_order(store: Arc<dyn Store>) {
    let all = batch().put("k", "1").delete("k").put("k", "2").put("gone", "").delete("gone").add("n", 2).add("n", 3);
    done(&*store, all).await;
    assert_eq!(value(&*store, "k").await, Some(b"2".to_vec()));
    assert_eq!(value(&*store, "gone").await, None);
    assert_eq!(decode_counter(&value(&*store, "n").await.unwrap()), Some(5));
    done(&*store, batch().put("n", i64::MAX.to_le_bytes()).add("n", 1)).await;
    assert_eq!(decode_counter(&value(&*store, "n").await.unwrap()), Some(i64::MAX));
    let receipt =
        done(&*store, batch().append("x/", "a", vec![]).append("y/", "b", vec![]).append("x/", "c", vec![])).await;
    assert_eq!(receipt.appended, [1, 1, 2]);
}

async fn concurrent_adds(store: Arc<dyn Store>) {
    let adds = (1..=64).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { done(&*store, batch().add("count", n).put(format!("e/{n}"), "")).await })
    });
    let mut versions: Vec<_> = join_all(adds).await.into_iter().map(|receipt| receipt.unwrap().version).collect();
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 64, "each commit has its own version");
    assert_eq!(decode_counter(&value(&*store, "count").await.unwrap()), Some(64 * 65 / 2));
}

async fn concurrent_appends(store: Arc<dyn Store>) {
    let appends = (0..64_u8).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let index = if n % 2 == 0 { b"by/even/".to_vec() } else { b"by/odd/".to_vec() };
            (done(&*store, batch().append("log/", [n], vec![index])).await.appended, n)
        })
    });
    let mut payloads = BTreeMap::new();
    for append in join_all(appends).await {
        let (appended, n) = append.unwrap();
        assert_eq!(payloads.insert(appended[0], n), None, "a sequence was given twice");
    }
    check_chain(&*store, b"log/", 64).await;
    for (sequence, n) in &payloads {
        let entry = store.get(&numbered_key(b"log/", *sequence)).await.unwrap().unwrap();
        assert_eq!(LogEntry::decode(&entry.value).unwrap().payload, [*n]);
    }
    let even = payloads.iter().filter(|(_, n)| *n % 2 == 0).map(|(sequence, _)| numbered_key(b"by/even/", *sequence));
    assert_eq!(keys(&*store, b"by/even/", 10, Order::Ascending).await, even.collect::<Vec<_>>());
}

/// Walks a log from its first entry: no gaps, right hashes, and the recorded end is the real one.
pub async fn check_chain(store: &dyn Store, log: &[u8], length: u64) {
    let mut previous = [0; 32];
    let entries = keys(store, log, 100, Order::Ascending).await;
    assert_eq!(entries.len() as u64, length);
    for (sequence, key) in (1..).zip(entries) {
        assert_eq!(key, numbered_key(log, sequence));
        let entry = LogEntry::decode(&store.get(&key).await.unwrap().unwrap().value).unwrap();
        assert_eq!((entry.sequence, entry.previous), (sequence, previous));
        previous = entry.hash();
    }
    let head = store.get(&log_head_key(log)).await.unwrap().map(|entry| entry.value);
    assert_eq!(head, (length > 0).then(|| [&length.to_be_bytes(), previous.as_slice()].concat()));
}

async fn concurrent_increments(store: Arc<dyn Store>) {
    let clients = (0..8).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..10 {
                while !increment(&*store).await {}
            }
        })
    });
    join_all(clients).await.into_iter().for_each(Result::unwrap);
    assert_eq!(value(&*store, "n").await, Some(b"80".to_vec()));
}

async fn increment(store: &dyn Store) -> bool {
    let change = match store.get(b"n").await.unwrap() {
        None => batch().expect("n", Expect::Absent).put("n", "1"),
        Some(entry) => {
            let next = str::from_utf8(&entry.value).unwrap().parse::<u64>().unwrap() + 1;
            batch().expect("n", Expect::Version(entry.version)).put("n", next.to_string())
        }
    };
    matches!(store.commit(change).await.unwrap(), Commit::Done(_))
}

async fn damaged_counters_refuse(store: Arc<dyn Store>) {
    done(&*store, batch().put("n", "not a counter").put(log_head_key(b"log/"), "short")).await;
    let version = store.version();
    for broken in [batch().put("k", "").add("n", 1), batch().put("k", "").append("log/", "", vec![])] {
        assert!(matches!(store.commit(broken).await, Err(StoreError::Corrupt(_))));
    }
    assert_eq!((value(&*store, "k").await, store.version()), (None, version));
}

async fn barriers(store: Arc<dyn Store>) {
    let version = done(&*store, batch().put("k", "")).await.version;
    let receipt = done(&*store, batch().expect("k", Expect::Version(version)).expect("x", Expect::Absent)).await;
    assert_eq!(receipt, Receipt { version, appended: vec![] });
    refused(&*store, batch().expect("k", Expect::Absent)).await;
    assert_eq!(done(&*store, batch()).await.version, version);
    assert_eq!(store.version(), version, "a barrier is no commit");
}

async fn get_many_keeps_the_order(store: Arc<dyn Store>) {
    done(&*store, (0..50).fold(batch(), |batch, n| batch.put(format!("k{n}"), n.to_string()))).await;
    for count in [0, 3, 60] {
        let names: Vec<String> = (0..count).rev().map(|n| format!("k{n}")).collect();
        let asked: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
        let found = store.get_many(&asked).await.unwrap();
        assert_eq!(found.len(), asked.len());
        for (entry, n) in found.into_iter().zip((0..count).rev()) {
            let expected = (n < 50).then(|| n.to_string().into_bytes());
            assert_eq!(entry.map(|entry| entry.value), expected);
        }
    }
    assert_eq!(store.get_many(&[b"k1", b"k1"]).await.unwrap().iter().flatten().count(), 2);
}

async fn watch_in_order(store: Arc<dyn Store>) {
    let start = store.version();
    let early = store.watch(b"w/", start);
    let first = done(&*store, batch().put("w/a", "1").put("other", "").put("w/b", "1")).await.version;
    let second = done(&*store, batch().delete("w/a").add("w/n", 1)).await.version;
    let third = done(&*store, batch().put("w/a", "2")).await.version;

    let change = |key: &str, value: Option<&[u8]>, version| {
        Ok(Change { key: key.into(), value: value.map(Into::into), version })
    };
    let expected = [
        change("w/a", Some(b"1"), first),
        change("w/b", Some(b"1"), first),
        change("w/a", None, second),
        change("w/n", Some(&1_i64.to_le_bytes()), second),
        change("w/a", Some(b"2"), third),
    ];
    assert_eq!(early.take(5).collect::<Vec<_>>().await, expected);
    let late = store.watch(b"w/", start).take(5).collect::<Vec<_>>().await;
    assert_eq!(late, expected, "recent changes are still there");
    assert_eq!(store.watch(b"w/", second).next().await.as_ref(), expected.last());

    // A watcher that waits is woken.
    let mut waiting = store.watch(b"w/", third);
    let (seen, receipt) = tokio::join!(waiting.next(), done(&*store, batch().put("w/c", "3")));
    assert_eq!(seen.unwrap(), change("w/c", Some(b"3"), receipt.version));
}

async fn watch_falls_behind(store: Arc<dyn Store>) {
    let start = store.version();
    let slow = store.watch(b"", start);
    for _ in 0..=FEED_CHANGES_MAX / BATCH_OPERATIONS_MAX {
        done(&*store, (0..BATCH_OPERATIONS_MAX).fold(batch(), |batch, n| batch.put(format!("{n}"), ""))).await;
    }
    let before = store.version();
    let last = done(&*store, batch().put("rare", "")).await.version;
    let rare = store.watch(b"rare", before).next().await;
    assert_eq!(rare.unwrap().map(|change| change.version), Ok(last), "the newest changes are kept");
    assert_eq!(slow.collect::<Vec<_>>().await, [Err(StoreError::Lagged)]);
    // Later, an engine may have them from its journal; then all of them.
    match store.watch(b"", start).next().await.unwrap() {
        Err(error) => assert_eq!(error, StoreError::Lagged),
        Ok(first) => {
            assert_eq!(first.version.0, start.0 + 1);
            let rare = store.watch(b"rare", start).next().await;
            assert_eq!(rare.unwrap().map(|change| change.version), Ok(last));
        }
    }
}

async fn closed_is_unavailable(store: Arc<dyn Store>) {
    done(&*store, batch().put("k", "")).await;
    let mut watch = store.watch(b"", store.version());
    let ((), ended) = tokio::join!(store.close(), watch.next());
    assert!(matches!(ended, Some(Err(StoreError::Unavailable(_)))));
    assert_eq!(watch.next().await, None);
    assert!(matches!(store.get(b"k").await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.scan(b"", None, 1, Order::Ascending).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.commit(batch().put("k", "")).await, Err(StoreError::Unavailable(_))));
    store.close().await;
}

// ---- The model ----

/// Compares an engine with a map of a few lines, over random batches on few keys.
pub fn agrees_with_the_model<S: Store>(cases: u32, open: impl Fn() -> Arc<S>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    let batches = prop::collection::vec(any_batch(), 1..20);
    let outcome = runner.run(&batches, |batches| runtime.block_on(compare(&*open(), batches)));
    outcome.unwrap();
}

/// An expectation about "the version it has now" is made when the batch runs.
#[derive(Clone, Debug)]
enum Guess {
    Absent,
    Present,
    Stale,
}

/// Expectations to be made, and the writes.
type RandomBatch = (Vec<(Vec<u8>, Guess)>, Vec<Write>);

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![b"".to_vec(), b"a".to_vec(), b"a/b".to_vec(), b"a\xff".to_vec(), b"\xff".to_vec()]),
        prop::collection::vec(prop::sample::select(vec![b'a', b'b', 0xff]), 0..3),
    ]
}

fn any_batch() -> impl Strategy<Value = RandomBatch> {
    let guess = prop_oneof![3 => Just(Guess::Absent), 3 => Just(Guess::Present), 1 => Just(Guess::Stale)];
    let write = prop_oneof![
        4 => (any_key(), prop::collection::vec(any::<u8>(), 0..4)).prop_map(|(key, value)| Write::Put { key, value }),
        2 => any_key().prop_map(|key| Write::Delete { key }),
        1 => (-3..3_i64).prop_map(|delta| Write::Add { key: b"counter".to_vec(), delta }),
    ];
    (prop::collection::vec((any_key(), guess), 0..2), prop::collection::vec(write, 0..4))
}

async fn compare(store: &dyn Store, batches: Vec<RandomBatch>) -> Result<(), TestCaseError> {
    let mut model: BTreeMap<Vec<u8>, (Vec<u8>, Version)> = BTreeMap::new();
    for (guesses, writes) in batches {
        let mut holds = true;
        let mut batch = Batch { expectations: Vec::new(), writes: writes.clone() };
        for (key, guess) in guesses {
            let version = model.get(&key).map(|(_, version)| *version);
            let expect = match guess {
                Guess::Absent => Expect::Absent,
                Guess::Present => Expect::Version(version.unwrap_or_default()),
                Guess::Stale => Expect::Version(Version(version.map_or(7, |version| version.0 - 1))),
            };
            holds &= version.map_or(expect == Expect::Absent, |version| expect == Expect::Version(version));
            batch = batch.expect(key, expect);
        }
        let outcome = store.commit(batch).await.unwrap();
        let Commit::Done(receipt) = outcome else {
            prop_assert!(!holds, "conflict without a reason");
            continue;
        };
        prop_assert!(holds, "committed against an expectation");
        for write in writes {
            match write {
                Write::Put { key, value } => drop(model.insert(key, (value, receipt.version))),
                Write::Delete { key } => drop(model.remove(&key)),
                Write::Add { key, delta } => {
                    let old = model.get(&key).map_or(0, |(value, _)| decode_counter(value).unwrap());
                    model.insert(key, ((old + delta).to_le_bytes().to_vec(), receipt.version));
                }
                Write::Append { .. } => unreachable!("not generated"),
            }
        }
    }
    let expected: Vec<Entry> = model.into_iter().map(|(key, (value, version))| Entry { key, value, version }).collect();
    for (prefix, limit) in [(b"".as_slice(), 1000), (b"a", 2), (b"a\xff", 1), (b"\xff", 1)] {
        let mut below: Vec<_> = expected.iter().filter(|entry| entry.key.starts_with(prefix)).cloned().collect();
        prop_assert_eq!(&entries(store, prefix, limit, Order::Ascending).await, &below);
        below.reverse();
        prop_assert_eq!(&entries(store, prefix, limit, Order::Descending).await, &below);
    }
    Ok(())
}

async fn entries(store: &dyn Store, prefix: &[u8], limit: usize, order: Order) -> Vec<Entry> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = store.scan(prefix, after.as_ref(), limit, order).await.unwrap();
        all.extend(page.entries);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}
