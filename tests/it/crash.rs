//! `kill -9` in the middle of writing: whatever was acknowledged is there after a restart on the same
//! data, and what was not is there as a whole or not at all.
//!
//! `DOORWARD_CRASH_ROUNDS` says how often; `scripts/crash-test` sets it.

use std::sync::atomic::Ordering;

use crate::harness::{Server, wait_for};
use crate::writers::{Progress, Writers, all_is_well, check_chain, random};

/// Writes that a round may see acknowledged before the kill.
const WRITES_MAX: usize = 150;
/// Rounds after which everything is verified, which takes longer than a round.
const VERIFY_EVERY: usize = 10;

fn rounds() -> usize {
    std::env::var("DOORWARD_CRASH_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap())
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let mut server = Server::builder().mail_file().setting("limits.user_authentication", "1000/1s").start();
    let mut writers = Writers::new(&server);
    let (rounds, mut acknowledged) = (rounds(), 0);
    for round in 1..=rounds {
        let progress = Progress::default();
        let enough = 1 + random(WRITES_MAX);
        std::thread::scope(|scope| {
            writers.start(scope, &progress);
            wait_for("writes", || (progress.acknowledged.load(Ordering::Relaxed) >= enough).then_some(()));
            server.kill();
        });
        acknowledged += progress.acknowledged.into_inner();
        if round % VERIFY_EVERY == 0 {
            all_is_well(&server);
            println!("{round} of {rounds} kills: {acknowledged} writes acknowledged, none lost");
        }
        server.start_again();
        writers.check(&server, round);
        check_chain(&server, 1_000);
    }
    check_chain(&server, 1_000_000);
    writers.check_mails(&server);
    server.stop();
}
