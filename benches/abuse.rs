//! What strangers learn from the time of an answer, and what others notice of a crowd of idle connections and a flood of
//! logins.
//!
//! `cargo bench --bench abuse [directory]`. Starts the real program on a store in a temporary directory, by default below
//! the working directory. Takes about two minutes, and as many open files as there are idle connections, on either side.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a program that prints a table and may stop at an error"
)]

mod common;
#[path = "common/server.rs"]
mod server;

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::load::{self, Pace, bearer, exchange, request};
use common::{Row, Spread, count};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use server::{Server, operate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Answers of each kind whose times are compared, more or less.
const SAMPLES: usize = 300;
const IDLE: usize = 10_000;
/// Connections from one address, which may hold 256.
const PER_ADDRESS: usize = 250;
/// Connections that log in at once, more than there is room to wait.
const FLOOD: usize = 600;
const FLOOD_TIME: Duration = Duration::from_secs(6);
/// One turn of reading. All turns together are shorter than the server keeps a connection that asks for nothing (15 s).
const READ_TIME: Duration = Duration::from_secs(3);
/// How long who was told to come back later stays away.
const BACK_OFF: Duration = Duration::from_millis(100);
const READERS: usize = 4;
const READER_PAUSE: Duration = Duration::from_millis(20);

const PASSWORD: &str = "correct horse battery staple 7";
const JSON: &str = "content-type: application/json\r\n";
const STATUS: &str = "/api/users/@me/two_factor_status";
const HEALTH: &str = "/_health";

/// No limit ends a series of failures, and there is room for the crowd.
const SETTINGS: &[(&str, &str)] = &[
    ("EMAIL__TRANSPORT", "file"),
    ("LOGIN__FAILURES_MAX", "10000"),
    ("LOGIN__ACCOUNT_FAILURES_MAX", "100000"),
    ("LIMITS__LOGIN_PRECHECK", "5000/1s"),
    ("LIMITS__PASSWORD_RESET_REQUEST", "5000/1s"),
    ("LIMITS__PASSWORD_RESET_REQUEST_ADDRESS", "5000/1s"),
    ("SERVER__MAX_CONNECTIONS", "12000"),
];

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let parent = wanted.map_or_else(|| PathBuf::from("."), PathBuf::from);
    let folder = tempfile::tempdir_in(parent).unwrap();
    let folder = folder.path().canonicalize().unwrap();
    // Both this process and the server, which inherits it.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let server = Server::with(&folder, SETTINGS);
    let key = people(&folder);
    times(&server);
    crowd(&server, &key);
}

/// Makes the people whom logins name; the key of one of them.
fn people(folder: &Path) -> String {
    let create = |email: &str| {
        operate(folder, &["user", "create", "--email", email, "--verified", "--password-stdin"], PASSWORD);
    };
    ["ada@example.com", "bob@example.com"].into_iter().for_each(create);
    operate(folder, &["user", "deactivate", "bob@example.com", "--reason", "left the company"], "");
    let key = ["key", "create", "--user", "ada@example.com", "--label", "bench", "--scope", "user:read"];
    operate(folder, &key, "")["value"].as_str().unwrap().to_owned()
}

// ---- what times tell --------------------------------------------------------------------------------------------

/// Pairs of calls of which nobody should know from the time which it was.
fn times(server: &Server) {
    println!("answer times of strangers' calls, {SAMPLES} of each in any order, in ms");
    println!("{:<44} {:>8} {:>8} {:>8} {:>8} {:>8}", "", "p50", "beside", "ratio", "AUC", "p");
    let login = |email: &str, password: &str| json!({"email": email, "password": password}).to_string();
    let mail = |email: &str| json!({ "email": email }).to_string();
    let wrong = "wrong horse 1";
    // Addresses that were never named before, so that nothing is counted for them yet.
    let [ada, bob] = ["ada@example.com", "bob@example.com"];
    let nobody = |number: u8| format!("eve{number}@example.com");
    for (name, path, of_somebody, of_nobody) in [
        ("login, the same twice", "/api/login", login(&nobody(0), wrong), login(&nobody(0), wrong)),
        ("login, wrong password, nobody", "/api/login", login(ada, wrong), login(&nobody(1), wrong)),
        ("login, inactive, nobody", "/api/login", login(bob, PASSWORD), login(&nobody(2), wrong)),
        ("login/precheck, somebody, nobody", "/api/login/precheck", mail(ada), mail(&nobody(3))),
        ("reset, nobody, nobody else", "/api/reset", mail(&nobody(4)), mail(&nobody(5))),
        ("reset, somebody, nobody", "/api/reset", mail(ada), mail(&nobody(6))),
        ("reset, inactive, nobody", "/api/reset", mail(bob), mail(&nobody(7))),
    ] {
        compare(name, server.address, &[of_somebody, of_nobody].map(|body| request("POST", path, JSON, &body)));
    }
    println!(
        "AUC: how often the first takes longer than the second; 0.50 tells nothing. p: of a difference by chance\n"
    );
}

fn compare(name: &str, address: SocketAddr, calls: &[Vec<u8>; 2]) {
    let mut samples = [Vec::new(), Vec::new()];
    for turn in 0..2 * SAMPLES {
        // By chance, whatever came before: what goes on after an answer slows the calls that follow.
        let which = usize::from(RandomState::new().hash_one(turn) % 2 == 0);
        let start = Instant::now();
        exchange(address, &calls[which]);
        samples[which].push(start.elapsed().as_secs_f64());
    }
    let [first, second] = &samples;
    let middles = [first, second].map(|times| Spread::of(times.iter().copied()).middle);
    let (auc, p) = mann_whitney(first, second);
    println!(
        "{name:<44} {:>8.3} {:>8.3} {:>8.3} {auc:>8.3} {p:>8.4}",
        middles[0] * 1e3,
        middles[1] * 1e3,
        middles[0] / middles[1],
    );
}

/// How often one of the first is greater than one of the second, and how likely that is by chance (of either sign).
fn mann_whitney(first: &[f64], second: &[f64]) -> (f64, f64) {
    let mut sorted = second.to_vec();
    sorted.sort_by(f64::total_cmp);
    let below = |time: &f64| count(sorted.partition_point(|other| other < time));
    let up_to = |time: &f64| count(sorted.partition_point(|other| other <= time));
    let greater: f64 = first.iter().map(|time| f64::midpoint(below(time), up_to(time))).sum();
    let (m, n) = (count(first.len()), count(second.len()));
    let z = (greater - m * n / 2.0) / (m * n * (m + n + 1.0) / 12.0).sqrt();
    (greater / (m * n), 2.0 * tail(z.abs()))
}

/// The part of a normal distribution beyond `z` (Abramowitz and Stegun 26.2.17).
fn tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let series = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let sum = series.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    sum * (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt()
}

// ---- a crowd and a flood ----------------------------------------------------------------------------------------

fn crowd(server: &Server, key: &str) {
    println!("{IDLE} idle connections, then {FLOOD} more that log in for {} s; latencies in ms", FLOOD_TIME.as_secs());
    println!("{:<44} {:>10} {:>8} {:>8} {:>8} {:>10}", "", "per s", "p50", "p99", "greatest", "RSS MiB");
    let calls = [("/_health", request("GET", HEALTH, "", "")), ("status", request("GET", STATUS, &bearer(key), ""))];
    let read = |beside: &str| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = calls
                .iter()
                .map(|(name, call)| {
                    let connections = vec![vec![call.clone()]; READERS];
                    let pace = Pace::Pausing(READER_PAUSE);
                    (name, scope.spawn(move || load::run(server.address, &connections, READ_TIME, pace)))
                })
                .collect();
            for (name, thread) in threads {
                print(&format!("{name}, {beside}"), &thread.join().unwrap(), server);
            }
        });
    };
    read("alone");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let start = Instant::now();
    let idle = runtime.block_on(idle_connections(server.address));
    println!(
        "{:<44} {:>10.0} {:>37.1}",
        "connecting",
        count(idle.len()) / start.elapsed().as_secs_f64(),
        server.resident_mib()
    );
    read("beside the idle");
    let told = Arc::new(Told::default());
    let flood = runtime.spawn(flood(server.address, Arc::clone(&told)));
    std::thread::sleep(Duration::from_secs(1));
    read("beside the idle and the flood");
    let alive = runtime.block_on(still_there(idle));
    println!("{:<44} {alive:>10} of {IDLE} idle connections are answered", "beside the flood");
    runtime.block_on(flood).unwrap();
    let [done, busy, unsaid] = [&told.done, &told.busy, &told.unsaid].map(|told| told.load(Ordering::Relaxed));
    let seconds = FLOOD_TIME.as_secs_f64();
    println!(
        "{:<44} {:>10.1} logins refused by their password, {:.0}/s with 503 and Retry-After, {unsaid} without",
        "the flood",
        count(done) / seconds,
        count(busy) / seconds,
    );
    std::thread::sleep(Duration::from_secs(2));
    println!("{:<44} {:>48.1}", "all closed", server.resident_mib());
    println!("targets: p99 of reads under 5 ms beside the idle, 50 ms beside the flood\n");
}

fn print(name: &str, row: &Row, server: &Server) {
    println!(
        "{name:<44} {:>10.0} {:>8.2} {:>8.2} {:>8.2} {:>10.1}",
        row.per_second,
        row.percentile(50) * 1e3,
        row.percentile(99) * 1e3,
        row.greatest() * 1e3,
        server.resident_mib(),
    );
}

/// Connections that have been answered once and stay; from as many addresses as it takes.
async fn idle_connections(address: SocketAddr) -> Vec<TcpStream> {
    let mut connections = Vec::with_capacity(IDLE);
    for number in 0..IDLE {
        let mut stream = connect(address, 2 + number / PER_ADDRESS).await;
        assert_eq!(answered(&mut stream, &request("GET", HEALTH, "", "")).await.0, 200);
        connections.push(stream);
    }
    connections
}

/// From the loopback address with this number.
async fn connect(address: SocketAddr, number: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let own = Ipv4Addr::new(127, 0, 1, u8::try_from(number).unwrap());
    socket.bind((own, 0).into()).unwrap();
    socket.connect(address).await.unwrap()
}

/// How many still answer.
async fn still_there(connections: Vec<TcpStream>) -> usize {
    let mut alive = 0;
    for mut stream in connections {
        alive += usize::from(answered(&mut stream, &request("GET", HEALTH, "", "")).await.0 == 200);
    }
    alive
}

/// What the flood was told.
#[derive(Default)]
struct Told {
    done: AtomicUsize,
    busy: AtomicUsize,
    /// 503 without saying when to come back, or anything else.
    unsaid: AtomicUsize,
}

async fn flood(address: SocketAddr, told: Arc<Told>) {
    let start = Instant::now();
    let tasks: Vec<_> = (0..FLOOD)
        .map(|number| {
            let told = Arc::clone(&told);
            tokio::spawn(async move {
                let mut stream = connect(address, 100 + number / PER_ADDRESS).await;
                let body = json!({"email": format!("nobody{number}@example.com"), "password": "wrong horse 1"});
                let login = request("POST", "/api/login", JSON, &body.to_string());
                while start.elapsed() < FLOOD_TIME {
                    match answered(&mut stream, &login).await {
                        (400, _) => told.done.fetch_add(1, Ordering::Relaxed),
                        (503, true) => {
                            tokio::time::sleep(BACK_OFF).await;
                            told.busy.fetch_add(1, Ordering::Relaxed)
                        }
                        _ => told.unsaid.fetch_add(1, Ordering::Relaxed),
                    };
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// The status of the answer to a request, and whether it says when to come back; 0 when there is none.
async fn answered(stream: &mut TcpStream, request: &[u8]) -> (u16, bool) {
    if stream.write_all(request).await.is_err() {
        return (0, false);
    }
    let (mut answer, mut piece) = (Vec::new(), [0; 2048]);
    while load::answer_end(&answer).is_none_or(|end| answer.len() < end) {
        match stream.read(&mut piece).await {
            Ok(read) if read > 0 => answer.extend_from_slice(&piece[..read]),
            Ok(_) | Err(_) => return (0, false),
        }
    }
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, text.to_ascii_lowercase().contains("\r\nretry-after: "))
}
