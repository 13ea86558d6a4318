//! The counters of days, hours and minutes against a naive count over the trail itself.

use std::sync::Arc;

use proptest::prelude::*;

use super::days::{Adoption, Span, Tallied, note_adoption};
use super::{Records, append_audit, keys};
use crate::domain::audit::{AuditActor, AuditRecord, Event, Outcome};
use crate::domain::time::Timestamp;
use crate::store::memory::MemoryStore;
use crate::store::{Batch, Commit, Order};

const NOW: i64 = 1_800_000_000;
/// Days that events are spread over; some are older than anything kept.
const DAYS: i64 = 100;

fn entries() -> impl Strategy<Value = Vec<AuditRecord>> {
    let event = prop::sample::select(vec![
        (Event::TwoFactorEnabled, false),
        (Event::TwoFactorReplaced, false),
        (Event::TwoFactorReset, false),
        (Event::TwoFactorLocked, false),
        (Event::UserLoginFailed, false),
        (Event::UserLoginFailed, true),
    ]);
    // Half of them lately, so that minutes meet.
    let ago = prop_oneof![0..10_800_i64, 0..DAYS * 86_400];
    let entry = (event, ago).prop_map(|((event, locked), ago)| AuditRecord {
        at: Timestamp::from_seconds(NOW - ago),
        event,
        actor: AuditActor::System,
        target: None,
        address: None,
        user_agent: None,
        request_id: String::new(),
        outcome: Outcome::Done,
        reason: None,
        verified_by: None,
        details: vec![("locked".to_owned(), locked.to_string())],
    });
    prop::collection::vec(entry, 0..60)
}

fn is_meant(what: Tallied, record: &AuditRecord) -> bool {
    let locked = record.details.contains(&("locked".to_owned(), "true".to_owned()));
    match what {
        Tallied::Enrolment => record.event == Event::TwoFactorEnabled,
        Tallied::Reset => record.event == Event::TwoFactorReset,
        Tallied::Lock => record.event == Event::TwoFactorLocked || record.event == Event::UserLoginFailed && locked,
    }
}

fn naive(entries: &[AuditRecord], what: Tallied, seconds: i64, number: u64) -> u64 {
    let lies_in = |at: Timestamp| at.as_seconds() / seconds == i64::try_from(number).unwrap();
    entries.iter().filter(|record| is_meant(what, record) && lies_in(record.at)).count() as u64
}

async fn check(records: &Records, entries: &[AuditRecord], spans: [(Span, i64, u64); 3]) {
    for what in [Tallied::Enrolment, Tallied::Reset, Tallied::Lock] {
        for (span, seconds, count) in spans {
            if what != Tallied::Lock && span != Span::Day {
                continue;
            }
            let present = span.of(Timestamp::from_seconds(NOW));
            let numbers = present + 1 - count..=present;
            let expected: Vec<u64> = numbers.clone().map(|number| naive(entries, what, seconds, number)).collect();
            assert_eq!(records.tallies(what, span, numbers).await.unwrap(), expected, "{what:?} {span:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn counters_agree_with_a_count_of_the_trail(entries in entries()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let records = Records::new(Arc::new(MemoryStore::new()));
            for entry in &entries {
                assert_ne!(records.store().commit(append_audit(Batch::default(), entry, None)).await.unwrap(), Commit::Conflict);
            }
            check(&records, &entries, [(Span::Day, 86_400, 100), (Span::Hour, 3_600, 2_400), (Span::Minute, 60, 240)]).await;
            loop {
                let batch = records.removal_of_old_figures(Timestamp::from_seconds(NOW), 7).await.unwrap();
                if batch == Batch::default() {
                    break;
                }
                assert_ne!(records.store().commit(batch).await.unwrap(), Commit::Conflict);
            }
            // What is still asked for is still there, and nothing older.
            check(&records, &entries, [(Span::Day, 86_400, 91), (Span::Hour, 3_600, 721), (Span::Minute, 60, 121)]).await;
            let page = records.store().scan(b"counter/per_", None, 1_000, Order::Ascending).await.unwrap();
            assert_eq!(page.next, None);
            for what in [Tallied::Enrolment, Tallied::Reset, Tallied::Lock] {
                for (span, kept) in [(Span::Day, 90), (Span::Hour, 720), (Span::Minute, 120)] {
                    let (prefix, least) = (keys::tally_prefix(span, what), span.of(Timestamp::from_seconds(NOW)) - kept);
                    for entry in page.entries.iter().filter(|entry| entry.key.starts_with(&prefix)) {
                        assert!(keys::parse_trailing_number(&entry.key).unwrap() >= least, "{what:?} {span:?}");
                    }
                }
            }
        });
    }
}

#[tokio::test]
async fn the_adoption_of_a_day_is_noted_once() {
    let records = Records::new(Arc::new(MemoryStore::new()));
    let note = |with| note_adoption(Batch::default(), 20_000, &Adoption { with, of: 9 });
    assert_ne!(records.store().commit(note(1)).await.unwrap(), Commit::Conflict);
    assert_eq!(records.store().commit(note(2)).await.unwrap(), Commit::Conflict);
    assert_eq!(records.adoption(20_000).await.unwrap(), Some(Adoption { with: 1, of: 9 }));
    assert_eq!(records.adoption(20_001).await.unwrap(), None);
}
