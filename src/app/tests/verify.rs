//! The check of the store finds every kind of damage, mends what can be mended, and takes no change for damage.

use super::*;
use crate::app::verify::{Problem, VerifyPage};
use crate::domain::email::EmailAddress;
use crate::domain::id::SessionId;
use crate::store::log_head_key;

/// Runs a whole check: the problems, and the notes.
pub(super) async fn checked(world: &World, repairs: bool) -> (Vec<Problem>, Vec<String>) {
    let (mut problems, mut notes, mut state) = (Vec::new(), Vec::new(), None);
    loop {
        let page: VerifyPage = if repairs {
            world.run(&operator(), RepairStore { state }).await.unwrap()
        } else {
            world.run(&operator(), VerifyStore { state, only_audit: false }).await.unwrap()
        };
        problems.extend(page.problems);
        notes.extend(page.notes);
        state = page.state;
        if state.is_none() {
            return (problems, notes);
        }
    }
}

/// What is wrong, in short.
pub(super) async fn wrong(world: &World) -> Vec<(ProblemKind, String)> {
    let (problems, notes) = checked(world, false).await;
    assert_eq!(notes, Vec::<String>::new());
    assert!(problems.iter().all(|problem| !problem.is_repaired));
    problems.into_iter().map(|problem| (problem.kind, problem.detail)).collect()
}

impl World {
    async fn id_of(&self, address: &str) -> UserId {
        let address = EmailAddress::parse(address).unwrap();
        self.app.records().user_id_by_email(&address).await.unwrap().unwrap()
    }
}

async fn world() -> World {
    let world = World::new();
    for number in 0..230 {
        world.create(&format!("user{number:03}@example.com"), number % 10 == 0).await;
    }
    world
}

#[tokio::test]
async fn damage_is_found_and_mended() {
    let world = world().await;
    let (live, _) = world.owner(EMAIL, "Own").await;
    drop(live);
    assert_eq!(wrong(&world).await, []);
    let store = world.app.records().store();
    let id = world.id_of("user007@example.com").await;
    let stray = keys::email("nobody@example.com");
    let nowhere = UserId(uuid::Uuid::from_u128(99));
    let staff_off = keys::users_in_state_counter(true, FactorState::Off);
    let damages = [
        (Batch::default().delete(keys::email("user007@example.com")), ProblemKind::Missing),
        (
            Batch::default().delete(keys::word("user199", world.id_of("user199@example.com").await)),
            ProblemKind::Missing,
        ),
        (Batch::default().put(keys::user_number(3), id.as_bytes().to_vec()), ProblemKind::Missing),
        (Batch::default().put(stray.clone(), id.as_bytes().to_vec()), ProblemKind::Stray),
        (Batch::default().put(keys::user_signed_in(77, id), Vec::new()), ProblemKind::Stray),
        (Batch::default().put(keys::user_demanded(START, id), Vec::new()), ProblemKind::Stray),
        (Batch::default().put(keys::name(b"nobody", nowhere), Vec::new()), ProblemKind::Stray),
        (Batch::default().put(keys::user_codes(2, id), b"odd".to_vec()), ProblemKind::Stray),
        (Batch::default().add(keys::USERS_COUNTER, 1), ProblemKind::WrongCounter),
        (Batch::default().add(staff_off.clone(), -5), ProblemKind::WrongCounter),
        (Batch::default().delete(staff_off), ProblemKind::WrongCounter),
        (
            Batch::default().put(keys::users_with_codes_counter(1), 4_i64.to_le_bytes().to_vec()),
            ProblemKind::WrongCounter,
        ),
        (Batch::default().add(keys::OUTBOX_FAILED_COUNTER, 2), ProblemKind::WrongCounter),
        (Batch::default().add(keys::ORGANIZATIONS_COUNTER, -1), ProblemKind::WrongCounter),
        (Batch::default().put(keys::USER_NUMBER_COUNTER, 7_i64.to_le_bytes().to_vec()), ProblemKind::WrongCounter),
        (Batch::default().put(keys::user_session(id, SessionId(uuid::Uuid::nil())), vec![0; 32]), ProblemKind::Stray),
        (Batch::default().put(keys::organization_slug("free"), vec![0; 16]), ProblemKind::Stray),
        (Batch::default().put(keys::user_outbox(id, &[0; 16]), Vec::new()), ProblemKind::Stray),
        (Batch::default().put(keys::user_audit(nowhere, 1), Vec::new()), ProblemKind::Stray),
    ];
    let mut repaired = Vec::new();
    for (damage, kind) in damages {
        world.commit(damage.clone()).await;
        let found = wrong(&world).await;
        // A number that points elsewhere is missing at its user's and a stray at the other's.
        assert!(!found.is_empty() && found.iter().any(|(found, _)| *found == kind), "{damage:?}: {found:?}");
        let (mended, _) = checked(&world, true).await;
        assert!(mended.iter().all(|problem| problem.is_repaired), "{mended:?}");
        repaired.extend(mended.into_iter().map(|problem| problem.detail));
        assert_eq!(wrong(&world).await, [], "{damage:?}");
    }
    assert_eq!(store.get(&stray).await.unwrap(), None);
    // Each in the trail, with what was wrong.
    let audit = world.app.records().audit(None, None, repaired.len(), Order::Descending).await.unwrap();
    let told: Vec<String> = audit
        .into_iter()
        .rev()
        .map(|entry| {
            assert_eq!(entry.record.event, Event::StoreRepaired);
            entry.record.details[0].1.clone()
        })
        .collect();
    assert_eq!(told, repaired);
}

/// Takes every entry out by itself, and puts it back: what follows from a record is missed, and so is a record from which
/// something follows.
#[tokio::test]
async fn every_entry_that_is_tied_to_another_is_missed() {
    let world = World::new();
    world.owner(EMAIL, "Own").await;
    let mut user = world.app.records().user(world.id_of(EMAIL).await).await.unwrap().unwrap();
    let before = user.clone();
    user.value.pending_email = Some(EmailAddress::parse("new@example.com").unwrap());
    user.value.pending_email_at = Some(START);
    world.commit(put_user(Batch::default(), Some(&before), &user.value)).await;
    let store = world.app.records().store();
    assert_eq!(wrong(&world).await, []);
    let entries = store.scan(b"", None, 1_000, Order::Ascending).await.unwrap().entries;
    let mut families = std::collections::BTreeSet::new();
    for entry in entries {
        let family = keys::family(&entry.key);
        // Alone: there may or may not be one.
        if [keys::EXPIRY, keys::GUARD, keys::META, keys::USER_API_KEY_GUARD].contains(&family) {
            continue;
        }
        let is_tally = entry.key.starts_with(b"counter/per_");
        let is_leaf =
            [keys::PENDING_TOTP, keys::ATTEMPTS, keys::TOKEN, keys::USER_MAIL, keys::ADOPTION].contains(&family);
        if is_tally || is_leaf {
            continue;
        }
        world.commit(Batch::default().delete(entry.key.clone())).await;
        let (problems, _) = checked(&world, false).await;
        assert!(!problems.is_empty(), "{}", entry.key.escape_ascii());
        world.commit(Batch::default().put(entry.key.clone(), entry.value.clone())).await;
        // Nor may it say something else.
        let mut changed = entry.value.clone();
        match changed.last_mut() {
            Some(last) => *last ^= 1,
            None => changed.push(0),
        }
        world.commit(Batch::default().put(entry.key.clone(), changed)).await;
        let (problems, _) = checked(&world, false).await;
        let is_higher = entry.key.ends_with(b"_number");
        assert!(!problems.is_empty() || is_higher, "{} changed", entry.key.escape_ascii());
        world.commit(Batch::default().put(entry.key.clone(), entry.value.clone())).await;
        families.insert(family.to_vec());
    }
    assert_eq!(wrong(&world).await, []);
    for family in [keys::SESSION, keys::USER_SESSION, keys::MEMBERSHIP, keys::ACTIVE_OWNER, keys::ORGANIZATION_SLUG] {
        assert!(families.contains(family), "{}", family.escape_ascii());
    }
}

/// A secret that was moved from one user to another does not open.
#[tokio::test]
async fn every_secret_opens() {
    let world = world().await;
    let before = world.app.records().user(world.id_of("user007@example.com").await).await.unwrap().unwrap();
    let other = world.app.records().user(world.id_of("user008@example.com").await).await.unwrap().unwrap().value;
    let mut user = before.value.clone();
    let secret = crate::app::second_factor::seal_totp(&world.app.0.vault, other.id, &[7; 20]).unwrap();
    crate::app::second_factor::install_device(&mut user, secret, 0, START);
    world.commit(put_user(Batch::default(), Some(&before), &user)).await;
    let detail = "the authenticator's secret of user007@example.com does not open with this secret key";
    assert_eq!(wrong(&world).await, [(ProblemKind::Unopened, detail.to_owned())]);
}

#[tokio::test]
async fn what_cannot_be_mended_is_left_alone() {
    let world = world().await;
    let store = world.app.records().store();
    let id = world.id_of("user100@example.com").await;
    let key = keys::user(id);
    let record = store.get(&key).await.unwrap().unwrap().value;
    world.commit(Batch::default().put(key.clone(), record[1..].to_vec())).await;
    let (problems, _) = checked(&world, true).await;
    let unreadable: Vec<&Problem> = problems.iter().filter(|problem| problem.kind == ProblemKind::Unreadable).collect();
    assert_eq!(unreadable.len(), 1, "{problems:?}");
    assert!(!unreadable[0].is_repaired);
    // The entries of a user who does not read stay: bringing the record back brings the user back.
    assert!(store.get(&keys::email("user100@example.com")).await.unwrap().is_some());
    world.commit(Batch::default().put(key, record)).await;
    checked(&world, true).await;
    assert_eq!(wrong(&world).await, []);
}

/// A key that says the highest number there is would leave none to give.
#[tokio::test]
async fn a_damaged_key_uses_up_no_numbers() {
    let world = world().await;
    let store = world.app.records().store();
    let junk = keys::job(crate::domain::job::JobId(u64::MAX));
    let counter = || async { store.get(keys::JOB_COUNTER).await.unwrap().map(|entry| entry.value) };
    let before = counter().await;
    assert_ne!(store.commit(Batch::default().put(junk, b"junk".to_vec())).await.unwrap(), Commit::Conflict);
    let (problems, _) = checked(&world, true).await;
    assert_eq!(problems.iter().map(|problem| problem.kind).collect::<Vec<_>>(), [ProblemKind::Unreadable]);
    assert_eq!(counter().await, before);
}

#[tokio::test]
async fn a_broken_trail_is_told() {
    let world = world().await;
    let store = world.app.records().store();
    let entry = |number| keys::audit(number);
    let original = |key: Vec<u8>| async move { store.get(&key).await.unwrap().unwrap().value };
    let mut changed = original(entry(100)).await;
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let newest = world.app.records().audit_newest().await.unwrap();
    for (key, value, told) in [
        (entry(100), Some(changed), "audit entry 100"),
        (entry(50), None, "audit entry 50 is missing"),
        (entry(1), None, "audit entry 1 is missing"),
        (entry(newest), None, "the audit trail ends with entry"),
        (entry(60), Some(original(entry(61)).await), "in a wrong place"),
        (entry(61), Some(b"?".to_vec()), "does not read"),
        (log_head_key(keys::AUDIT), None, "the audit trail ends with entry"),
    ] {
        let before = original(key.clone()).await;
        let damage = match value {
            Some(value) => Batch::default().put(key.clone(), value),
            None => Batch::default().delete(key.clone()),
        };
        world.commit(damage).await;
        let (problems, _) = checked(&world, false).await;
        let found = problems.iter().find(|problem| problem.detail.contains(told));
        assert!(found.is_some_and(|found| found.kind == ProblemKind::BrokenChain), "{told}: {problems:?}");
        world.commit(Batch::default().put(key, before)).await;
        assert_eq!(wrong(&world).await, []);
    }
}

/// Users come, change and go while they are counted.
#[test]
fn changes_are_no_damage() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let world = Arc::new(world().await);
        let writer = tokio::spawn({
            let world = Arc::clone(&world);
            async move {
                for round in 0..300_u32 {
                    let address = format!("user{:03}@example.com", round * 7 % 230);
                    let id = world.id_of(&address).await;
                    let before = world.app.records().user(id).await.unwrap().unwrap();
                    let mut user = before.value.clone();
                    user.is_staff = !user.is_staff;
                    user.first_name = format!("Name{round}");
                    world.commit(put_user(Batch::default(), Some(&before), &user)).await;
                    world.create(&format!("new{round}@example.com"), round % 2 == 0).await;
                    if round % 3 == 0 {
                        let id = world.id_of(&format!("new{}@example.com", round / 2)).await;
                        if let Some(user) = world.app.records().user(id).await.unwrap() {
                            world.commit(crate::records::remove_user(Batch::default(), &user)).await;
                        }
                    }
                }
            }
        });
        let mut checks = 0;
        while !writer.is_finished() || checks < 2 {
            let (problems, _) = checked(&world, true).await;
            assert_eq!(problems, [], "check {checks}");
            checks += 1;
        }
        writer.await.unwrap();
        assert_eq!(wrong(&world).await, []);
    });
}
