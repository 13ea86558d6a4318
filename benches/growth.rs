//! What a million users cost beyond a thousand: processor time for each request, memory, the time to start.
//!
//! `cargo bench --bench growth -- --data-dir DIR`, where `DIR` is filled by `cargo run --release --example populate`
//! with the seed 1 and nothing runs on it. Beside it a crowd of 1,000 is made in a temporary folder. Both serve requests
//! of users drawn by chance, in turns.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a program that prints a table and may stop at an error"
)]

mod common;
#[path = "common/crowd/mod.rs"]
mod crowd;
#[path = "common/server.rs"]
mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use common::load::{self, Pace, bearer, exchange, request};
use common::{Row, Spread, count};
use doorward::clock;
use server::Server;

const SEED: u64 = 1;
const FEW: u64 = 1_000;
/// Users whose keys are used, at most. In a crowd one of fifty has keys.
const CALLERS: usize = 2_000;
const CONNECTIONS: usize = 32;
const TURN: Duration = Duration::from_secs(2);
const TURNS: usize = 5;
const STARTS: usize = 3;
const STATUS: &str = "/api/users/@me/two_factor_status";
const ME: &str = "/api/users/@me";
const JSON: &str = "content-type: application/json\r\n";

#[derive(Parser)]
struct Arguments {
    /// A data directory with a large crowd
    #[arg(long)]
    data_dir: PathBuf,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir_in(".").unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let (few, many) = (folder.join("few"), arguments.data_dir.canonicalize().unwrap());
    let config = Arc::new(crowd::config(&few).unwrap());
    let wanted = crowd::Wanted { users: FEW, seed: SEED, now: clock::now(), cache_mib: 64 };
    tokio::runtime::Runtime::new().unwrap().block_on(crowd::fill(config, wanted, |_| {})).unwrap();
    let log = folder.join("log");

    for (name, data_dir) in [("a thousand users", &few), ("a million", &many)] {
        starts(name, data_dir, &log);
    }
    let sides = [Side::new(&few, &log, FEW), Side::new(&many, &log, 1_000_000)];
    for (what, path) in [("status read", STATUS), ("whole account read", ME)] {
        compare(what, &sides, |key| request("GET", path, &bearer(key), ""));
    }
    compare("PATCH of a preference", &sides, |key| {
        let headers = format!("{JSON}{}", bearer(key));
        request("PATCH", "/api/users/@me", &headers, "{\"theme_mode\": \"dark\"}")
    });
    let [few, many] = sides.each_ref().map(|side| side.server.resident_mib());
    println!("resident after that: {few:.0} MiB and {many:.0} MiB (target for a million: 250 MiB)");
}

/// The time from the start of the process to the first answer, after a clean stop and after SIGKILL.
fn starts(name: &str, data_dir: &Path, log: &Path) {
    let mut figures = Vec::new();
    for is_clean in [true, false] {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            drop_or_stop(Server::on(data_dir, log), is_clean);
            let begun = Instant::now();
            let server = Server::on(data_dir, log);
            let answer = exchange(server.address, &request("GET", "/_health", "", ""));
            assert!(answer.starts_with("HTTP/1.1"), "{answer}");
            times.push(begun.elapsed().as_secs_f64());
        }
        figures.push(Spread::of(times));
    }
    let [clean, killed] = figures[..] else { return };
    println!(
        "start to first answer, {name}: {:.2} s after a clean stop, {:.2} s after SIGKILL (target for a million: 2 s)",
        clean.middle, killed.middle
    );
}

fn drop_or_stop(server: Server, is_clean: bool) {
    if is_clean {
        server.stop();
    }
}

/// A server with callers.
struct Side {
    server: Server,
    keys: Vec<String>,
}

impl Side {
    /// Finds users with keys, spread over the crowd.
    fn new(data_dir: &Path, log: &Path, users: u64) -> Self {
        let server = Server::on(data_dir, log);
        let mut keys = Vec::new();
        for place in 0..users.min(100_000) {
            // Steps without a common factor: every user once, in no order.
            let number = 1 + (place * 7_919) % users;
            let key = crowd::person::api_key_value(SEED, number, 0);
            if exchange(server.address, &request("GET", STATUS, &bearer(&key), "")).starts_with("HTTP/1.1 200") {
                keys.push(key);
            }
            if keys.len() >= CALLERS {
                break;
            }
        }
        assert!(!keys.is_empty(), "no user of {} has a key of the seed {SEED}", data_dir.display());
        Self { server, keys }
    }

    fn turn(&self, request: &impl Fn(&String) -> Vec<u8>) -> (Row, f64) {
        let mut connections = vec![Vec::new(); CONNECTIONS];
        for (place, key) in self.keys.iter().enumerate() {
            connections[place % CONNECTIONS].push(request(key));
        }
        connections.retain(|requests| !requests.is_empty());
        let before = self.server.processor_seconds();
        let row = load::run(self.server.address, &connections, TURN, Pace::Eager);
        let cost = (self.server.processor_seconds() - before) / count(row.len());
        (row, cost)
    }
}

fn compare(what: &str, [few, many]: &[Side; 2], request: impl Fn(&String) -> Vec<u8>) {
    let (mut ratios, mut costs, mut latencies) = (Vec::new(), [Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..TURNS {
        let turns = [few.turn(&request), many.turn(&request)];
        ratios.push(turns[1].1 / turns[0].1);
        for (place, (row, cost)) in turns.iter().enumerate() {
            costs[place].push(cost * 1e6);
            latencies[place].push(row.percentile(50) * 1e3);
        }
    }
    let ratios = Spread::of(ratios);
    let [few_cost, many_cost] = costs.map(|costs| Spread::of(costs).middle);
    let [few_wait, many_wait] = latencies.map(|latencies| Spread::of(latencies).middle);
    let mark = if ratios.middle > 1.3 { "   MISSED" } else { "" };
    println!(
        "{what}: {few_cost:.1} us of CPU with a thousand, {many_cost:.1} us with a million (p50 {few_wait:.2} and \
         {many_wait:.2} ms at {CONNECTIONS} connections); ratio {:.2} / {:.2} / {:.2} (target 1.3){mark}",
        ratios.least, ratios.middle, ratios.greatest
    );
}
