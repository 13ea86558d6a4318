//! What else goes wrong with a machine: a disk that fails, a clock that jumps, a process that stands still, no more file
//! descriptors. Meanwhile people write. After a restart on the same data, without the fault, everything that was
//! acknowledged is there, and while the fault lasts no answer is wrong: it says that the server failed.
//!
//! `DOORWARD_FAULT_ROUNDS` says how often each; 3 if it is not set. `scripts/fault-tests` sets it.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::harness::{Server, text, wait_for};
use crate::writers::{Progress, Writers, all_is_well, check_chain, random};

/// Writes that a round may see acknowledged before it ends.
const WRITES_MAX: usize = 150;
const DAY: i64 = 86_400;

fn rounds() -> usize {
    std::env::var("DOORWARD_FAULT_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap())
}

fn server() -> Server {
    Server::builder().mail_file().setting("limits.user_authentication", "1000/1s").start()
}

/// Lets everybody write until so many writes were acknowledged or nobody writes any more, and says how many were.
/// `meanwhile` is called again and again.
fn write(writers: &mut Writers, enough: usize, mut meanwhile: impl FnMut()) -> usize {
    let progress = Progress::default();
    std::thread::scope(|scope| {
        let running = writers.start(scope, &progress);
        wait_for("writes", || {
            meanwhile();
            let nobody = running.iter().all(std::thread::ScopedJoinHandle::is_finished);
            (nobody || progress.acknowledged.load(Ordering::Relaxed) >= enough).then_some(())
        });
        progress.is_enough.store(true, Ordering::Relaxed);
    });
    progress.acknowledged.into_inner()
}

/// The faulty disk, compiled.
fn faulty_disk(server: &Server) -> PathBuf {
    let library = server.data_dir().parent().unwrap().join("faulty_disk.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/samples/faulty_disk.c");
    let made =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-w", "-o", &text(&library), source, "-ldl"]).status();
    assert!(made.unwrap().success());
    library
}

/// Starts the server without the fault; true where sled's own file was damaged by it and the store was made anew. A read
/// that fails while sled opens lets it write over what it could not read.
fn start_or_recover(server: &mut Server) -> bool {
    let Err(reason) = server.start_by(server.command(&["serve"])) else { return false };
    let log = server.log();
    let said = log.lines().last().unwrap_or_default();
    assert!(said.contains("is damaged") && said.contains("`doorward recover`"), "{reason}: {said}");
    server.cli(&["recover"]).is(0);
    server.start_again();
    true
}

#[test]
fn what_was_acknowledged_survives_a_disk_that_fails() {
    let mut server = server();
    let mut writers = Writers::new(&server);
    server.stop();
    let library = faulty_disk(&server);
    let (mut refused_to_start, mut acknowledged, mut failed, mut recovered) = (0, 0, 0, 0);
    for round in 0..rounds() {
        let kind = ["read", "write", "sync"][round % 3];
        let (after, every) = (random(if kind == "sync" { 100 } else { 600 }), 1 + random(60));
        let mut command = server.command(&["serve"]);
        command.env("LD_PRELOAD", &library).env("FAULTY_DIRECTORY", server.data_dir()).env("FAULTY_CALLS", kind);
        command.env("FAULTY_AFTER", after.to_string()).env("FAULTY_EVERY", every.to_string());
        let failures = || server.log().matches("\"status\":5").count() + server.log().matches("status=5").count();
        let failures_before = failures();
        match server.start_by(command) {
            Ok(()) => {
                acknowledged += write(&mut writers, 1 + random(WRITES_MAX), || ());
                failed += server.log().matches("status=5").count() - failures_before;
                server.kill();
            }
            Err(_) => refused_to_start += 1,
        }
        println!("round {round}: every {every}th {kind} after {after}; {acknowledged} acknowledged in all");
        recovered += usize::from(start_or_recover(&mut server));
        writers.check(&server, round);
        check_chain(&server, 1_000);
        server.stop();
        all_is_well(&server);
    }
    println!(
        "{} disks: {refused_to_start} refused to start, {recovered} recovered, {acknowledged} acknowledged, {failed} answers 5xx",
        rounds()
    );
    server.start_again();
    writers.check_mails(&server);
}

#[test]
fn what_was_acknowledged_survives_standing_still() {
    let mut server = server();
    let mut writers = Writers::new(&server);
    for round in 0..rounds() {
        let stop_for_a_while = || {
            if random(5) > 0 {
                return;
            }
            server.signal(Signal::STOP);
            // The fault itself: nobody is waited for.
            std::thread::sleep(Duration::from_millis(random(200) as u64));
            server.signal(Signal::CONT);
        };
        let acknowledged = write(&mut writers, 1 + random(WRITES_MAX), stop_for_a_while);
        assert!(acknowledged > 0, "round {round}: nothing was written");
        if round % 2 == 0 {
            server.kill();
            server.start_again();
        }
        writers.check(&server, round);
        check_chain(&server, 1_000);
    }
    server.stop();
    all_is_well(&server);
}

/// Forward and back by up to two days, five days from the true time at most, while everybody writes. A code that was used
/// is not accepted again when its time comes again.
#[test]
fn what_was_acknowledged_survives_a_clock_that_jumps() {
    let mut server = server();
    let mut writers = Writers::new(&server);
    let (person, client) = server.logged_in("clock@example.com");
    let mut device = client.enrol(&server);
    let mut used = vec![device.last_code()];
    let mut offset = 0;
    for round in 0..rounds() {
        // With a clock that is set back, the oldest are not those that were made first.
        writers.forget_logins(&server);
        let jump = || {
            let to = i64::try_from(random(10 * 86_400)).unwrap() - 5 * DAY;
            let to = to.clamp(offset - 2 * DAY, offset + 2 * DAY);
            server.advance(to - offset);
            offset = to;
        };
        let acknowledged = write(&mut writers, 1 + random(WRITES_MAX), jump);
        assert!(acknowledged > 0, "round {round}: nothing was written");
        // Ahead of everything so far, so that a new code is good; then back to where the old one belongs.
        let ahead = 6 * DAY + i64::try_from(round).unwrap() * 600;
        server.advance(ahead - offset);
        let login = || {
            let client = server.client();
            client.login(&person).wants_second_factor();
            client
        };
        let code = device.code(&server);
        login().post("/api/login/token", json!({"token": code})).is(200);
        used.push(code);
        for code in used.iter().rev().take(3) {
            let reply = login().post("/api/login/token", json!({"token": code}));
            assert_ne!(reply.status, 200, "round {round}: a code was accepted twice");
            server.cli(&["2fa", "unlock", &person.email, "--reason", "used on purpose"]).is(0);
        }
        server.advance(offset - ahead);
        writers.check(&server, round);
        check_chain(&server, 1_000);
    }
    server.stop();
    all_is_well(&server);
}

/// Hardly any file descriptor is left when strangers hold connections.
#[test]
fn what_was_acknowledged_survives_the_want_of_descriptors() {
    const DESCRIPTORS: &str = "64";
    let mut server = server();
    let mut writers = Writers::new(&server);
    for round in 0..rounds() {
        server.kill();
        let mut command = server.program("sh");
        let serve = r#"ulimit -n "$0" && exec "$1" serve"#;
        command.args(["-c", serve, DESCRIPTORS, env!("CARGO_BIN_EXE_doorward")]);
        server.start_by(command).unwrap();
        let address = server.url().trim_start_matches("http://").to_owned();
        let mut strangers = Vec::new();
        let come_and_go = || {
            if strangers.len() > 60 + random(60) {
                strangers.clear();
            }
            strangers.extend(TcpStream::connect(&address));
        };
        let acknowledged = write(&mut writers, 1 + random(WRITES_MAX), come_and_go);
        drop(strangers);
        assert!(acknowledged > 0, "round {round}: nothing was written");
        writers.check(&server, round);
        check_chain(&server, 1_000);
    }
    server.stop();
    all_is_well(&server);
}
