//! Random calls from many tasks, held against what would have happened one after the other.
//!
//! A round lets a few tasks make random calls to one account, or for a few addresses, on a store that shuffles who goes
//! first. Every call is noted with its answer and with the moments at which it began and ended; then an order is searched
//! in which a simple model gives the same answers, and which no call leaves that ended before another began. From this
//! follows what is promised: a code and a step work once, and of several with a good one exactly one succeeds; an address
//! has one owner, and can be taken again once it is free; no session lives on after it was ended, and none ends before;
//! after a reset the old factor is of no use, and two resets leave what one leaves.
//!
//! `DOORWARD_MODEL_SECONDS` makes each test run for so long, `DOORWARD_MODEL_SEED` begins with one seed: what a failure
//! prints. In memory one thread runs all tasks, so that a seed repeats nearly everything; on disk four do.

mod account;
mod dice;
mod history;
mod registry;
mod restless;

use std::future::Future;
use std::time::{Duration, Instant};

use super::verify::wrong;
use super::*;
use crate::config::Rate;
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::store::sled::SledStore;
use dice::Dice;
use restless::Restless;

/// Rounds of one test, unless it is told how long to run.
const ROUNDS: u64 = 60;
const TASKS: u64 = 4;
const CALLS_PER_TASK: usize = 6;
/// Rounds between two checks of the whole store.
const ROUNDS_PER_CHECK: u64 = 500;

#[test]
fn an_account_in_memory_answers_as_if_all_came_one_after_the_other() {
    in_memory(account_round);
}

#[test]
fn an_account_on_disk_answers_as_if_all_came_one_after_the_other() {
    on_disk(account_round);
}

#[test]
fn addresses_in_memory_have_one_owner_at_any_moment() {
    in_memory(registry_round);
}

#[test]
fn addresses_on_disk_have_one_owner_at_any_moment() {
    on_disk(registry_round);
}

async fn account_round(app: App, seed: u64, told: String) {
    let mut dice = Dice::new(seed);
    let theme = *dice.choose(account::THEMES);
    let (play, initial) = account::Play::new(&app, format!("ada{seed}@example.com")).await;
    let play = Arc::new(play);
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (play, dice) = (Arc::clone(&play), dice.fork());
            tokio::spawn(async move { play.run(theme, CALLS_PER_TASK, dice).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap_or_else(|error| panic!("{error}; {told}"));
    }
    play.look_at_all().await;
    history::check(&initial, &play.recorder.take(), &told);
}

async fn registry_round(app: App, seed: u64, told: String) {
    let mut dice = Dice::new(seed);
    let (play, initial) = registry::Play::new(&app, format!("r{seed}")).await;
    let play = Arc::new(play);
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (play, dice) = (Arc::clone(&play), dice.fork());
            tokio::spawn(async move { play.run(CALLS_PER_TASK, dice).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap_or_else(|error| panic!("{error}; {told}"));
    }
    play.look_at_all().await;
    history::check(&initial, &play.recorder.take(), &told);
}

fn in_memory<F: Future<Output = ()>>(round: impl Fn(App, u64, String) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(rounds(Arc::new(MemoryStore::new()), round));
}

fn on_disk<F: Future<Output = ()>>(round: impl Fn(App, u64, String) -> F) {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(SledStore::open(directory.path(), 8).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(rounds(store, round));
}

/// Plays rounds, each for people of its own in one store, which is whole at the end.
async fn rounds<F: Future<Output = ()>>(store: Arc<dyn Store>, round: impl Fn(App, u64, String) -> F) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("DOORWARD_MODEL_SEED").unwrap_or_else(|| getrandom::u32().unwrap().into());
    let until = number("DOORWARD_MODEL_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let restless = Arc::new(Restless::new(store));
    let app = App::over(config(), Arc::clone(&restless) as Arc<dyn Store>);
    let mut seed = first;
    while until.map_or(seed - first < ROUNDS, |until| Instant::now() < until) {
        restless.shake(Dice::new(seed ^ u64::MAX));
        round(app.clone(), seed, format!("DOORWARD_MODEL_SEED={seed} begins with it")).await;
        seed += 1;
        if (seed - first).is_multiple_of(ROUNDS_PER_CHECK) {
            println!("{} rounds", seed - first);
        }
    }
    println!("{} rounds from seed {first}", seed - first);
    app.settle().await;
    assert_eq!(wrong(&World { app: app.clone(), now: crate::clock::now() }).await, []);
    app.close().await;
}

/// No limit gets in the way, and there are few codes, so that several have the same at once.
fn config() -> Config {
    let mut config = cheap_config();
    config.email.verification = Verification::Token;
    config.two_factor.backup_codes = 3;
    (config.login.failures_max, config.login.account_failures_max) = (1_000_000, 1_000_000);
    let all = Rate { count: 1_000_000, seconds: 1 };
    let limits = &mut config.limits;
    for rate in [
        &mut limits.user_authentication,
        &mut limits.user_authentication_address,
        &mut limits.two_factor_login,
        &mut limits.second_step_address,
        &mut limits.verify_email,
        &mut limits.verify_email_address,
        &mut limits.email_verification_request,
        &mut limits.login_precheck,
    ] {
        *rate = all;
    }
    config
}
