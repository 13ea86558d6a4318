//! The trail is vouched for by checkpoints, and loses its oldest entries and nothing else.

use super::jobs::{people, started, work};
use super::verify::checked;
use super::*;
use crate::app::trail_file::{TrailFile, Verdict};
use crate::domain::checkpoint::{Checkpoint, SEED_BYTES, SigningKey, Statement};
use crate::domain::job::JobKind;
use crate::records::codec;
use crate::store::{LogEntry, log_head_key};

const DAY_S: i64 = 86_400;

impl World {
    async fn checkpoint(&self) -> Checkpoint {
        self.run(&operator(), TakeCheckpoint {}).await.unwrap().unwrap()
    }

    async fn keep_trail(&self) {
        self.app.keep_trail(self.now).await.unwrap();
    }

    /// What a whole check finds wrong.
    async fn wrong(&self) -> Vec<String> {
        checked(self, false).await.0.into_iter().map(|problem| problem.detail).collect()
    }

    async fn entries(&self) -> Vec<LogEntry> {
        let page = self.app.records().store().scan(keys::AUDIT, None, 1_000, Order::Ascending).await.unwrap();
        page.entries.iter().map(|entry| LogEntry::decode(&entry.value).unwrap()).collect()
    }

    /// What somebody with the files and without the secret key does: changes an entry, and makes a whole new chain of it
    /// and all behind it.
    async fn forge(&self, number: u64) {
        let mut previous = [0; 32];
        for mut entry in self.entries().await {
            if entry.sequence == number {
                let mut record: crate::domain::audit::AuditRecord = codec::decode(keys::AUDIT, &entry.payload).unwrap();
                record.reason = Some("a better one".to_owned());
                entry.payload = codec::encode(keys::AUDIT, &record);
            }
            entry.previous = previous;
            previous = entry.hash();
            let head = [entry.sequence.to_be_bytes().as_slice(), &previous].concat();
            let batch = Batch::default().put(keys::audit(entry.sequence), entry.encode());
            self.commit(batch.put(log_head_key(keys::AUDIT), head)).await;
        }
    }

    /// The lines of a whole export.
    async fn exported(&self) -> Vec<String> {
        let (mut lines, mut after) = (Vec::new(), Some(0));
        while let Some(number) = after {
            let page = ExportAudit { filter: AuditFilter::default(), after: number, limit: 7 };
            let page = self.run(&operator(), page).await.unwrap();
            lines.extend(page.start.iter().map(|start| serde_json::to_string(start).unwrap()));
            for row in &page.rows {
                lines.push(serde_json::to_string(row).unwrap());
                let of = page.checkpoints.iter().filter(|checkpoint| checkpoint.number == row.number);
                lines.extend(of.map(|checkpoint| serde_json::to_string(checkpoint).unwrap()));
            }
            after = page.next;
        }
        lines
    }
}

fn verdict(lines: &[String], kept: Vec<Checkpoint>) -> Verdict {
    let mut trail = TrailFile::new(kept);
    for (number, line) in (1..).zip(lines) {
        trail.take(number, line);
    }
    trail.end()
}

async fn world() -> World {
    let world = World::new();
    people(&world, 30).await;
    world
}

fn stranger() -> SigningKey {
    SigningKey::from_seed(&[9; SEED_BYTES]).unwrap()
}

#[tokio::test]
async fn a_checkpoint_names_the_newest_entry() {
    let mut world = World::new();
    assert_eq!(world.run(&operator(), TakeCheckpoint {}).await.unwrap(), None);
    world.create(EMAIL, false).await;
    let first = world.checkpoint().await;
    assert!(first.is_genuine());
    assert_eq!((first.number, first.hash, first.at), (1, world.entries().await[0].hash(), world.now));
    world.pass(60);
    assert_eq!(world.checkpoint().await, first, "nothing was added");
    world.create("other@example.com", false).await;
    let second = world.checkpoint().await;
    assert_eq!((second.number, second.public_key), (2, first.public_key));
    let known = world.run(&operator(), ReadCheckpoints {}).await.unwrap();
    assert_eq!((known.public_key, known.newest, known.start), (Some(first.public_key), Some(second), None));
    assert_eq!(checked(&world, false).await, (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_checkpoint_is_signed_each_day_on_which_something_was_added() {
    let mut world = world().await;
    let count = async |world: &World| world.count(keys::AUDIT_CHECKPOINT).await;
    world.keep_trail().await;
    assert_eq!(count(&world).await, 1);
    world.create(EMAIL, false).await;
    world.pass(DAY_S - 1);
    world.keep_trail().await;
    assert_eq!(count(&world).await, 1);
    world.pass(1);
    world.keep_trail().await;
    assert_eq!(count(&world).await, 2);
    world.pass(DAY_S);
    world.keep_trail().await;
    assert_eq!(count(&world).await, 2, "nothing was added");
    // A clock that was put back.
    world.create("other@example.com", false).await;
    world.pass(-9 * DAY_S);
    world.keep_trail().await;
    assert_eq!(count(&world).await, 3);
}

/// A chain that fits together is not enough.
#[tokio::test]
async fn a_whole_new_chain_is_found_out() {
    let world = world().await;
    let kept = world.checkpoint().await;
    people_more(&world).await;
    assert_eq!(world.wrong().await, Vec::<String>::new());
    let exported = world.exported().await;
    world.forge(20).await;
    let told = "audit entry 30 is not the one that was signed: it, or one before, was changed";
    assert_eq!(world.wrong().await, [told]);
    // One without its checkpoints agrees with itself, but not with what was kept elsewhere.
    world.commit(Batch::default().delete(keys::audit_checkpoint(30)).delete(keys::AUDIT_KEY)).await;
    assert_eq!(world.wrong().await, Vec::<String>::new());
    world.checkpoint().await;
    let forged = world.exported().await;
    assert_eq!(verdict(&forged, Vec::new()).problems, Vec::<String>::new());
    let verdict_of = |lines: &[String]| verdict(lines, vec![kept.clone()]).problems;
    let problems = verdict_of(&forged);
    assert!(problems[0].contains("entry 30 is not the one that was signed"), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.contains("is not signed with the key")), "{problems:?}");
    assert_eq!(verdict_of(&exported), Vec::<String>::new());
}

async fn people_more(world: &World) {
    for number in 0..5 {
        world.create(&format!("more{number}@example.com"), false).await;
    }
}

#[tokio::test]
async fn what_vouches_for_the_trail_is_checked_too() {
    let world = world().await;
    let checkpoint = world.checkpoint().await;
    people_more(&world).await;
    let key = keys::audit_checkpoint(30);
    let original = async |key: &[u8]| world.app.records().store().get(key).await.unwrap().unwrap().value;
    let stored = |checkpoint: &Checkpoint, key: &[u8]| Some(codec::encode(key, checkpoint));
    let by_stranger = stranger().sign(Statement::Checkpoint, 30, checkpoint.hash, world.now).unwrap();
    let beyond = keys::audit_checkpoint(99);
    let of_99 = Checkpoint { number: 99, ..checkpoint.clone() };
    let start = stranger().sign(Statement::Start, 12, world.entries().await[11].hash(), world.now).unwrap();
    for (key, value, told) in [
        (&key[..], stored(&by_stranger, &key), "the checkpoint of audit entry 30 is not signed with the key"),
        (&key, stored(&Checkpoint { hash: [1; 32], ..checkpoint.clone() }, &key), "audit entry 30 is not the one"),
        (&key, stored(&Checkpoint { number: 29, ..checkpoint.clone() }, &key), "audit entry 30 does not read"),
        (&key, Some(b"?".to_vec()), "the checkpoint of audit entry 30 does not read"),
        (&beyond, stored(&of_99, &beyond), "there is a checkpoint of audit entry 99, and the trail ends with 35"),
        (keys::AUDIT_KEY, None, "the checkpoint of audit entry 30 is not signed with the key"),
        (keys::AUDIT_KEY, Some(b"?".to_vec()), "audit_key/"),
        (keys::AUDIT_START, stored(&start, keys::AUDIT_START), "where the audit trail begins is not signed"),
        (keys::AUDIT_START, Some(b"?".to_vec()), "audit_start/"),
    ] {
        let before = world.app.records().store().get(key).await.unwrap();
        let change = |value: Option<Vec<u8>>| match value {
            Some(value) => Batch::default().put(key, value),
            None => Batch::default().delete(key),
        };
        world.commit(change(value)).await;
        let wrong = world.wrong().await;
        assert!(wrong.iter().any(|detail| detail.contains(told)), "{told}: {wrong:?}");
        if key == beyond {
            assert_eq!(world.checkpoint().await, world.checkpoint().await, "what is beyond the end is passed over");
            world.commit(Batch::default().delete(keys::audit_checkpoint(35))).await;
        }
        world.commit(change(before.map(|entry| entry.value))).await;
        assert_eq!(world.wrong().await, Vec::<String>::new(), "{told}");
    }
    assert!(!original(keys::AUDIT_KEY).await.is_empty());
    // A key that was sealed with another secret key.
    let other = crate::domain::vault::Vault::new(&[8; 32]);
    let sealed = crate::records::AuditKey(other.seal("audit_key", b"", [0; 24], &[1; SEED_BYTES]));
    world.commit(Batch::default().put(keys::AUDIT_KEY, codec::encode(keys::AUDIT_KEY, &sealed))).await;
    let (problems, _) = checked(&world, false).await;
    assert!(problems.iter().any(|problem| problem.kind == ProblemKind::Unopened), "{problems:?}");
    assert_eq!(code_of(world.run(&operator(), TakeCheckpoint {}).await), "error");
}

/// A trail of `days` days, a user and a checkpoint each, in a world where entries are kept for 30.
async fn lived(days: i64) -> World {
    let mut world = World::with(|config| config.audit.keep_days = 30);
    for day in 0..days {
        world.create(&format!("day{day:03}@example.com"), false).await;
        world.keep_trail().await;
        world.pass(DAY_S);
    }
    world
}

/// Thirty-one days, with somebody new and a checkpoint two days before their end.
async fn pass_a_month(world: &mut World) {
    world.pass(29 * DAY_S);
    world.create("late@example.com", false).await;
    world.keep_trail().await;
    world.pass(2 * DAY_S);
}

#[tokio::test]
async fn old_entries_go_as_far_as_a_checkpoint() {
    let mut world = lived(30).await;
    assert_eq!(world.entries().await[0].sequence, 1, "thirty days old today");
    world.pass(DAY_S);
    let kept = world.run(&operator(), ReadCheckpoints {}).await.unwrap().newest.unwrap();
    world.keep_trail().await;
    // The checkpoints of days 0 and 1 were signed thirty days ago or more.
    let numbers: Vec<u64> = world.entries().await.iter().map(|entry| entry.sequence).collect();
    assert_eq!(numbers, (3..=31).collect::<Vec<_>>());
    let shortened = world.app.records().audit(None, None, 1, Order::Descending).await.unwrap().remove(0).record;
    assert_eq!((shortened.event, &shortened.actor), (Event::AuditShortened, &AuditActor::System));
    let details: Vec<(&str, &str)> =
        shortened.details.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let until = START.plus_seconds(DAY_S).to_rfc3339_z();
    assert_eq!(details, [("entries", "2"), ("up_to", "2"), ("until", until.as_str()), ("keep_days", "30")]);
    // With their places in the indexes, and their checkpoints.
    assert_eq!(world.count(keys::USER_AUDIT).await, 28);
    assert_eq!(world.count(keys::OPERATOR_AUDIT).await, 28);
    assert_eq!(world.app.records().checkpoints(None, 1, Order::Ascending).await.unwrap()[0].number, 3);
    let (problems, notes) = checked(&world, false).await;
    assert_eq!(problems, []);
    assert!(notes[0].starts_with("the audit trail begins with entry 3: what was older was removed at "), "{notes:?}");
    // Searches by time still find what they should.
    let since = AuditFilter { since: Some(START.plus_seconds(20 * DAY_S)), ..AuditFilter::default() };
    let page = world.run(&operator(), ExportAudit { filter: since, after: 0, limit: 500 }).await.unwrap();
    assert_eq!((page.rows[0].number, page.rows.len()), (21, 11));
    // A file begins where the trail does.
    let found = verdict(&world.exported().await, vec![kept]);
    assert_eq!((found.entries, found.problems), (29, Vec::new()));
    assert!(found.notes[0].starts_with("the trail begins with entry 3: what was older"), "{:?}", found.notes);
    assert!(found.notes[1].starts_with("entries 3 to 31 are vouched for by the key "), "{:?}", found.notes);
    // Nothing more goes on the same day.
    world.keep_trail().await;
    assert_eq!(world.entries().await.len(), 29);
    assert_eq!(world.wrong().await, Vec::<String>::new());
}

/// A wrong clock removes nothing before it has gone on for a day.
#[tokio::test]
async fn a_clock_set_far_forward_removes_nothing_at_once() {
    for jump in [8, 20, 31, 4_000] {
        let mut world = lived(40).await;
        let before = world.entries().await[0].sequence;
        world.pass(jump * DAY_S);
        for hour in 0..23 {
            world.create(&format!("jump{hour}@example.com"), false).await;
            world.keep_trail().await;
            world.pass(3_600);
        }
        assert_eq!(world.entries().await[0].sequence, before, "{jump} days");
        world.pass(-jump * DAY_S);
        world.keep_trail().await;
        assert_eq!(world.wrong().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn for_ever_is_for_ever() {
    let mut world = world().await;
    world.keep_trail().await;
    world.pass(40_000 * DAY_S);
    world.create(EMAIL, false).await;
    world.keep_trail().await;
    world.keep_trail().await;
    assert_eq!(world.entries().await[0].sequence, 1);
}

/// What jobs did is in an index of theirs.
#[tokio::test]
async fn entries_of_jobs_go_with_their_index() {
    let mut world = World::with(|config| config.audit.keep_days = 30);
    let ids = people(&world, 45).await;
    let job = started(&world, JobKind::RemindToEnrol, &ids).await;
    work(&world).await;
    let from = world.now.plus_seconds(DAY_S);
    let later = started(&world, JobKind::RequireEnrolment { from }, &ids).await;
    assert_eq!(world.count(keys::JOB_AUDIT).await, 45);
    world.keep_trail().await;
    pass_a_month(&mut world).await;
    world.keep_trail().await;
    assert_eq!(world.count(keys::JOB_AUDIT).await, 0);
    assert_eq!(world.wrong().await, Vec::<String>::new());
    for job in [job, later] {
        let read = ReadJob { id: job.id.clone(), after: None, limit: 500 };
        let read = world.run(&operator(), read).await.unwrap();
        assert!(read.results.iter().all(|result| result.audit_number.is_none()));
    }
}

/// A trail that does not agree with its checkpoint is left as it is, for somebody to look at.
#[tokio::test]
async fn nothing_is_removed_from_a_trail_that_was_changed() {
    let mut world = lived(30).await;
    world.pass(DAY_S);
    world.forge(2).await;
    let before = world.entries().await.len();
    world.keep_trail().await;
    assert_eq!(world.entries().await.len(), before);
    assert_eq!(world.count(keys::AUDIT_START).await, 0);
    let mut world = lived(30).await;
    world.pass(DAY_S);
    let checkpoint = world.app.records().checkpoints(Some(1), 1, Order::Ascending).await.unwrap().remove(0);
    let signed = stranger().sign(Statement::Checkpoint, 2, checkpoint.hash, checkpoint.at).unwrap();
    let key = keys::audit_checkpoint(2);
    world.commit(Batch::default().put(key.clone(), codec::encode(&key, &signed))).await;
    world.keep_trail().await;
    assert_eq!(world.entries().await[0].sequence, 1);
}

/// Removed page by page, while somebody checks; a stop in the middle does no harm.
#[test]
fn a_check_takes_the_removal_for_no_damage() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::with(|config| config.audit.keep_days = 30);
        people(&world, 900).await;
        world.keep_trail().await;
        pass_a_month(&mut world).await;
        people_more(&world).await;
        let world = Arc::new(world);
        let sweeper = tokio::spawn({
            let world = Arc::clone(&world);
            async move { world.keep_trail().await }
        });
        let mut checks = 0;
        while !sweeper.is_finished() || checks < 2 {
            assert_eq!(world.wrong().await, Vec::<String>::new(), "check {checks}");
            let first = verdict(&world.exported().await, Vec::new());
            assert_eq!(first.problems, Vec::<String>::new(), "export {checks}");
            checks += 1;
        }
        sweeper.await.unwrap();
        assert_eq!(world.entries().await.len(), 7);
    });
}

/// Every change of an export is told: a line that is changed, left out, put in or moved.
#[tokio::test]
async fn every_change_of_an_export_is_found() {
    let world = world().await;
    world.checkpoint().await;
    people_more(&world).await;
    let kept = world.checkpoint().await;
    let lines = world.exported().await;
    assert_eq!(lines.len(), 37);
    let problems = |lines: &[String]| verdict(lines, vec![kept.clone()]).problems;
    assert_eq!(problems(&lines), Vec::<String>::new());
    for place in 0..lines.len() {
        let is_checkpoint = lines[place].contains("signature");
        let mut without = lines.clone();
        without.remove(place);
        // What was kept vouches where a checkpoint is left out.
        let found = problems(&without);
        assert_eq!(found.is_empty(), is_checkpoint || place == 0, "{place}: {found:?}");
        let mut swapped = lines.clone();
        swapped.swap(place, (place + 1) % lines.len());
        assert!(!problems(&swapped).is_empty(), "{place}");
        let mut twice = lines.clone();
        twice.insert(place, lines[place].clone());
        assert_eq!(problems(&twice).is_empty(), is_checkpoint, "{place}");
        // A digit or a letter of each value.
        let line = &lines[place];
        for at in line.match_indices(|c: char| c.is_ascii_alphanumeric()).map(|(at, _)| at).step_by(7) {
            let mut bytes = line.clone().into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            let mut changed = lines.clone();
            changed[place] = String::from_utf8(bytes).unwrap();
            assert!(!problems(&changed).is_empty(), "{place}, {at}: {}", changed[place]);
        }
    }
    assert!(!problems(&["{}".to_owned()]).is_empty());
    let last = lines[36].replace("\"number\":35", &format!("\"number\":{}", u64::MAX));
    assert!(!problems(&[&lines[..36], std::slice::from_ref(&last)].concat()).is_empty());
    assert!(!problems(&[last.clone(), last]).is_empty());
    // Two histories that were both signed.
    let other = SigningKey::from_seed(&[9; SEED_BYTES]).unwrap();
    let signed = |hash| other.sign(Statement::Checkpoint, 99, [hash; 32], world.now).unwrap();
    let contradicting = verdict(&[], vec![signed(1), signed(2)]).problems;
    assert!(contradicting[0].contains("two kept checkpoints of entry 99"), "{contradicting:?}");
    let many: Vec<String> = (0..2_000).map(|_| "?".to_owned()).collect();
    assert_eq!(problems(&many).len(), 1_001);
}

#[tokio::test]
async fn a_part_of_the_trail_is_told_from_the_whole() {
    let world = world().await;
    world.checkpoint().await;
    people_more(&world).await;
    let lines = world.exported().await;
    let part = verdict(&lines[10..20], Vec::new());
    assert_eq!(part.problems, Vec::<String>::new());
    assert_eq!(
        part.notes,
        [
            "the file begins with entry 11: what was before is not in it",
            "there is no checkpoint in the file: nothing vouches for it",
        ]
    );
    let notes = verdict(&lines, Vec::new()).notes;
    assert_eq!(notes[1], "behind entry 30 there is no checkpoint: nothing vouches for the rest");
    // Who has a checkpoint of a key that vouches for nothing here.
    let foreign = stranger().sign(Statement::Checkpoint, 12, world.entries().await[11].hash(), world.now).unwrap();
    assert!(!verdict(&lines, vec![foreign]).problems.is_empty());
    let empty = verdict(&[], Vec::new());
    assert_eq!((empty.entries, empty.notes), (0, vec!["there is no entry in the file".to_owned()]));
    // Filters leave entries out, and with them what vouches for the rest.
    let filter = AuditFilter { event: Some("user.".to_owned()), ..AuditFilter::default() };
    let page = world.run(&operator(), ExportAudit { filter, after: 0, limit: 500 }).await.unwrap();
    assert_eq!((page.checkpoints.len(), page.start), (0, None));
}
