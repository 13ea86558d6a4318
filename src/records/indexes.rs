//! The indexes and counters of users against a model that computes them from scratch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::{Records, codec, index_entries, keys, put_user, remove_user};
use crate::domain::backoff::Failures;
use crate::domain::email::EmailAddress;
use crate::domain::id::UserId;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::user::{BackupCode, FactorState, TotpDevice, User};
use crate::domain::user_place::second_of;
use crate::domain::vault::Sealed;
use crate::store::memory::MemoryStore;
use crate::store::{Batch, Commit, Order};

const NAMES: &[&str] = &["", "Ada", "ada", "Jan van der Berg", "Łukasz"];

#[derive(Clone, Debug)]
enum Step {
    Create { address: u8 },
    ChangeEmail { user: usize, address: u8 },
    Rename { user: usize, first: usize, last: usize },
    SetStaff { user: usize, is_staff: bool },
    SetActive { user: usize, is_active: bool },
    SetState { user: usize, state: FactorState },
    SetCodes { user: usize, codes: usize },
    StageEmail { user: usize, at: Option<i64> },
    Fail { user: usize, failures: u32 },
    Login { user: usize, at: i64 },
    Touch { user: usize },
    Delete { user: usize },
}

type Change = Box<dyn Fn(&mut User)>;

fn steps() -> impl Strategy<Value = Step> {
    // Few addresses and names, so that they meet.
    let (user, address) = (0..6_usize, 0..8_u8);
    prop_oneof![
        3 => address.clone().prop_map(|address| Step::Create { address }),
        2 => (user.clone(), address).prop_map(|(user, address)| Step::ChangeEmail { user, address }),
        2 => (user.clone(), 0..NAMES.len(), 0..NAMES.len())
            .prop_map(|(user, first, last)| Step::Rename { user, first, last }),
        1 => (user.clone(), any::<bool>()).prop_map(|(user, is_staff)| Step::SetStaff { user, is_staff }),
        1 => (user.clone(), any::<bool>()).prop_map(|(user, is_active)| Step::SetActive { user, is_active }),
        2 => (user.clone(), prop::sample::select(FactorState::ALL.to_vec()))
            .prop_map(|(user, state)| Step::SetState { user, state }),
        1 => (user.clone(), 0..6_usize).prop_map(|(user, codes)| Step::SetCodes { user, codes }),
        1 => (user.clone(), prop::option::of(0..3_i64)).prop_map(|(user, at)| Step::StageEmail { user, at }),
        1 => (user.clone(), 0..4_u32).prop_map(|(user, failures)| Step::Fail { user, failures }),
        1 => (user.clone(), 0..4_i64).prop_map(|(user, at)| Step::Login { user, at }),
        1 => user.clone().prop_map(|user| Step::Touch { user }),
        1 => user.prop_map(|user| Step::Delete { user }),
    ]
}

fn address(number: u8) -> EmailAddress {
    EmailAddress::parse(&format!("user{}.x{number}@example.com", number % 3)).unwrap()
}

fn set_state(user: &mut User, state: FactorState) {
    let device = |disabled| TotpDevice {
        secret: Sealed(Vec::new()),
        confirmed_at: Timestamp::default(),
        last_used_at: None,
        last_step: -1,
        disabled,
    };
    let factor = &mut user.second_factor;
    factor.enrol_from = (state == FactorState::Enrol).then_some(Timestamp::default());
    factor.totp = match state {
        FactorState::Off | FactorState::Enrol => None,
        FactorState::On => Some(device(false)),
        FactorState::Locked => Some(device(true)),
    };
}

/// Runs the steps against a store, and the model beside it.
async fn run(steps: Vec<Step>) -> (Records, Vec<User>) {
    let records = Records::new(Arc::new(MemoryStore::new()));
    let mut model: Vec<User> = Vec::new();
    let mut number = 0;
    for step in steps {
        let (place, change): (usize, Change) = match step {
            Step::Create { address: wanted } => {
                number += 1;
                let id = UserId(Uuid::from_u128(u128::from(number) << 64));
                let joined = Timestamp::from_seconds(1_000 - i64::try_from(number).unwrap());
                let user = User::new(id, number, format!("d{number}"), address(wanted), joined);
                let commit = records.store().commit(put_user(Batch::default(), None, &user)).await.unwrap();
                let is_taken = model.iter().any(|other| other.email == user.email);
                assert_eq!(commit == Commit::Conflict, is_taken);
                if !is_taken {
                    model.push(user);
                }
                continue;
            }
            Step::Delete { user } => {
                if user < model.len() {
                    let before = records.user(model.remove(user).id).await.unwrap().unwrap();
                    let commit = records.store().commit(remove_user(Batch::default(), &before)).await.unwrap();
                    assert_ne!(commit, Commit::Conflict);
                }
                continue;
            }
            Step::ChangeEmail { user, address: wanted } => {
                (user, Box::new(move |user| user.change_email(address(wanted), Timestamp::default())))
            }
            Step::Rename { user, first, last } => (
                user,
                Box::new(move |user| {
                    user.first_name = NAMES[first].to_owned();
                    user.last_name = NAMES[last].to_owned();
                }),
            ),
            Step::SetStaff { user, is_staff } => (user, Box::new(move |user| user.is_staff = is_staff)),
            Step::SetActive { user, is_active } => (user, Box::new(move |user| user.is_active = is_active)),
            Step::SetState { user, state } => (user, Box::new(move |user| set_state(user, state))),
            Step::SetCodes { user, codes } => (
                user,
                Box::new(move |user| {
                    let code = BackupCode { mac: [0; 32], sealed: Sealed(Vec::new()) };
                    user.second_factor.backup_codes = vec![code; codes];
                }),
            ),
            Step::StageEmail { user, at } => (
                user,
                Box::new(move |user| {
                    user.pending_email = at.map(|_| address(200));
                    user.pending_email_at = at.map(Timestamp::from_seconds);
                }),
            ),
            Step::Fail { user, failures } => (
                user,
                Box::new(move |user| {
                    user.second_factor.totp_failures = Failures { count: failures, last_at: Timestamp::default() };
                }),
            ),
            Step::Login { user, at } => {
                (user, Box::new(move |user| user.last_login = Some(Timestamp::from_seconds(at))))
            }
            Step::Touch { user } => (user, Box::new(|user| user.session_epoch += 1)),
        };
        let Some(known) = model.get(place) else { continue };
        let before = records.user(known.id).await.unwrap().unwrap();
        assert_eq!(before.value, *known);
        let mut user = known.clone();
        change(&mut user);
        let commit = records.store().commit(put_user(Batch::default(), Some(&before), &user)).await.unwrap();
        let is_taken = model.iter().any(|other| other.id != user.id && other.email == user.email);
        assert_eq!(commit == Commit::Conflict, is_taken);
        if !is_taken {
            model[place] = user;
        }
    }
    (records, model)
}

/// Everything but the users themselves and the counters.
async fn stored_indexes(records: &Records) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let page = records.store().scan(b"", None, 1_000, Order::Ascending).await.unwrap();
    assert_eq!(page.next, None);
    let is_index = |key: &[u8]| !key.starts_with(keys::USER) && !key.starts_with(b"counter/");
    page.entries.into_iter().filter(|entry| is_index(&entry.key)).map(|entry| (entry.key, entry.value)).collect()
}

fn expected_indexes(model: &[User]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut expected = BTreeMap::new();
    for user in model {
        let id = user.id.as_bytes().to_vec();
        expected.insert(keys::email(user.email.as_str()), id.clone());
        expected.insert(keys::user_number(user.number), id.clone());
        if user.is_active {
            expected.insert(keys::active_user(None, user.number), id.clone());
            expected.insert(keys::active_user(Some(user.is_staff), user.number), id.clone());
        }
        expected.insert(keys::user_created(second_of(Some(user.date_joined)), user.id), Vec::new());
        expected.insert(keys::user_signed_in(second_of(user.last_login), user.id), Vec::new());
        let state = keys::user_state(user.is_staff, user.second_factor.state(), user.email.as_str());
        expected.insert(state, id);
        for word in text::words(&format!("{} {} {}", user.first_name, user.last_name, user.email)) {
            expected.insert(keys::word(&word, user.id), Vec::new());
        }
        let name = user.full_name().to_lowercase();
        let name = if name.is_empty() { vec![0xff] } else { name.into_bytes() };
        expected.insert(keys::name(&name, user.id), Vec::new());
        let factor = &user.second_factor;
        if user.pending_email.is_some() {
            expected.insert(keys::user_pending_email(user.pending_email_at.unwrap(), user.id), Vec::new());
        }
        if let (None, Some(from)) = (&factor.totp, factor.enrol_from) {
            expected.insert(keys::user_demanded(from, user.id), Vec::new());
        }
        if let (Some(_), codes @ 0..=3) = (&factor.totp, factor.backup_codes.len()) {
            expected.insert(keys::user_codes(u8::try_from(codes).unwrap(), user.id), Vec::new());
        }
        if let Some(until) = factor.totp_failures.next_try_at() {
            expected.insert(keys::user_waits(until, user.id), Vec::new());
        }
    }
    expected
}

async fn check(records: &Records, model: &[User]) {
    for (key, _) in model.iter().flat_map(index_entries) {
        let entry = records.store().get(&key).await.unwrap().unwrap();
        assert!(matches!(super::tie(&entry), super::Tie::Follows(Some(_))), "{}", codec::name(&key));
    }
    assert_eq!(stored_indexes(records).await, expected_indexes(model));
    let count = i64::try_from(model.len()).unwrap();
    assert_eq!(records.counter(keys::USERS_COUNTER).await.unwrap(), count);
    for state in FactorState::ALL {
        for is_staff in [true, false] {
            let is_meant = |user: &&User| user.second_factor.state() == state && user.is_staff == is_staff;
            let count = model.iter().filter(is_meant).count() as u64;
            assert_eq!(records.users_in_state(is_staff, state).await.unwrap(), count, "{state:?} {is_staff}");
        }
    }
    for (roles, order) in
        [(&[true, false][..], Order::Ascending), (&[true], Order::Ascending), (&[true, false], Order::Descending)]
    {
        let prefixes: Vec<Vec<u8>> =
            roles.iter().flat_map(|role| FactorState::ALL.map(|state| keys::user_state_prefix(*role, state))).collect();
        let mut wanted: Vec<(Vec<u8>, UserId)> = model
            .iter()
            .filter(|user| roles.contains(&user.is_staff))
            .map(|user| (user.email.as_str().as_bytes().to_vec(), user.id))
            .collect();
        wanted.sort();
        if order == Order::Descending {
            wanted.reverse();
        }
        // In pages of two.
        let mut found: Vec<(Vec<u8>, UserId)> = Vec::new();
        loop {
            let after = found.last().map(|(behind, _)| behind.clone());
            let page = records.user_list(&prefixes, after.as_deref(), 2, order).await.unwrap();
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        assert_eq!(found, wanted, "{roles:?} {order:?}");
    }
    let pending: Vec<Timestamp> = model.iter().filter_map(|user| user.pending_email_at).collect();
    assert_eq!(records.pending_emails().await.unwrap(), (pending.len() as u64, pending.iter().min().copied()));
    for at_most in 0..=3_u8 {
        let has_few = |user: &&User| {
            user.second_factor.totp.is_some() && user.second_factor.backup_codes.len() <= usize::from(at_most)
        };
        let count = model.iter().filter(has_few).count() as u64;
        assert_eq!(records.users_with_codes(at_most).await.unwrap(), Some(count));
    }
    for is_staff in [None, Some(true), Some(false)] {
        let mut users: Vec<&User> =
            model.iter().filter(|user| user.is_active && is_staff.is_none_or(|role| role == user.is_staff)).collect();
        users.sort_by_key(|user| user.number);
        let wanted: Vec<UserId> = users.iter().map(|user| user.id).collect();
        assert_eq!(records.active_users(is_staff).await.unwrap(), wanted.len() as u64);
        for (offset, limit) in [(0, 2), (0, 100), (1, 2), (3, 100), (usize::MAX, 2)] {
            let page: Vec<UserId> = wanted.iter().skip(offset).take(limit).copied().collect();
            assert_eq!(records.active_user_ids(is_staff, offset, limit).await.unwrap(), page, "{is_staff:?} {offset}");
        }
    }
    for user in model {
        assert_eq!(records.user_id_by_email(&user.email).await.unwrap(), Some(user.id));
        assert_eq!(records.user_id_by_number(user.number).await.unwrap(), Some(user.id));
        let namesakes = |name: &str| -> BTreeSet<UserId> {
            let same = |other: &&User| other.full_name().to_lowercase() == name.to_lowercase();
            model.iter().filter(same).map(|other| other.id).collect()
        };
        if !user.full_name().is_empty() {
            let found = records.user_ids_by_name(&user.full_name(), 100).await.unwrap();
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), namesakes(&user.full_name()));
        }
    }
    let by_word: BTreeSet<UserId> = records.user_ids_by_word("ad", 100).await.unwrap().into_iter().collect();
    let is_ada = |user: &&User| user.full_name().to_lowercase().split(' ').any(|word| word.starts_with("ad"));
    assert_eq!(by_word, model.iter().filter(is_ada).map(|user| user.id).collect());
}

proptest! {
    #[test]
    fn follow_every_change(steps in prop::collection::vec(steps(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (records, model) = run(steps).await;
            check(&records, &model).await;
        });
    }
}
