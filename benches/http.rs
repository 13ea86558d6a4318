//! What the server costs over HTTP, each figure beside its limit from the same run.
//!
//! `cargo bench --bench http [directory]`. Starts the real program on a store in a temporary directory, by default
//! below the working directory, which should lie on the disk that is to be measured. Takes about 80 seconds. What is
//! compared takes turns, so that a busy machine slows both; the ratios are least, middle and greatest of the turns.
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

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::disk::{commits, fdatasync_only};
use common::load::{self, Pace, Requests, bearer, exchange, request};
use common::{Row, Spread, count};
use doorward::domain::time::Timestamp;
use doorward::domain::totp;
use doorward::store::Store;
use doorward::store::sled::SledStore;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};
use server::{HELLO, Server, operate, processor_seconds};
use tokio::runtime::Runtime;

const CONNECTIONS: usize = 64;
/// One turn of one thing measured.
const TURN: Duration = Duration::from_secs(1);
const LOGIN_TURN: Duration = Duration::from_secs(2);
const TURNS: usize = 7;
const LOGIN_TURNS: usize = 4;
/// Logins under way at once.
const LOGIN_CLIENTS: usize = 8;
/// Connections that read beside the logins, and their pause between two reads.
const READERS: usize = 4;
const READER_PAUSE: Duration = Duration::from_millis(20);
/// TOTP checks in one turn.
const CHECKS: u32 = 20_000;

const STATUS: &str = "/api/users/@me/two_factor_status";
const PASSWORD: &str = "correct horse battery staple 7";
const JSON: &str = "content-type: application/json\r\n";

fn main() {
    if std::env::args().any(|argument| argument == HELLO) {
        return server::serve_hello();
    }
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let parent = wanted.map_or_else(|| PathBuf::from("."), PathBuf::from);
    let folder = tempfile::tempdir_in(parent).unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let people = People::make(&folder);
    reads(&folder, &people);
    writes(&folder, &people);
    logins(&folder, &people);
    checks();
}

/// Users, each with a key; the first two with a session, the second with a second factor and backup codes.
struct People {
    emails: Vec<String>,
    keys: Vec<String>,
    session: String,
    enrolled_session: String,
}

impl People {
    fn make(folder: &Path) -> Self {
        let server = Server::doorward(folder);
        let emails: Vec<String> = (0..CONNECTIONS).map(|number| format!("person{number}@example.com")).collect();
        for email in &emails {
            operate(folder, &["user", "create", "--email", email, "--verified", "--password-stdin"], PASSWORD);
        }
        let key = |email: &String| {
            let arguments = ["key", "create", "--user", email, "--label", "bench", "--scope", "user:write"];
            operate(folder, &arguments, "")["value"].as_str().unwrap().to_owned()
        };
        let keys = emails.iter().map(key).collect();
        let session = log_in(&server, &emails[0]);
        let enrolled_session = enrol(&server, &emails[1]);
        Self { emails, keys, session, enrolled_session }
    }
}

/// The header lines of a new session.
fn log_in(server: &Server, email: &str) -> String {
    let answer = exchange(server.address, &login_request(email));
    let cookie = |name: &str| {
        let (_, rest) = answer.split_once(&format!("{name}=")).expect("a cookie");
        rest.split(';').next().unwrap().to_owned()
    };
    let csrf = cookie("posthog_csrftoken");
    format!("cookie: sessionid={}; posthog_csrftoken={csrf}\r\nx-csrftoken: {csrf}\r\n", cookie("sessionid"))
}

fn login_request(email: &str) -> Vec<u8> {
    request("POST", "/api/login", JSON, &json!({ "email": email, "password": PASSWORD }).to_string())
}

fn enrol(server: &Server, email: &str) -> String {
    let session = log_in(server, email);
    let call = |method: &str, path: &str, body: Value| -> Value {
        let headers = format!("{JSON}{session}");
        let path = format!("/api/users/@me/{path}");
        let answer = exchange(server.address, &request(method, &path, &headers, &body.to_string()));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).unwrap()
    };
    let setup = call("POST", "two_factor_start_setup", json!({}));
    let secret = totp_rs::Secret::try_from_base32(setup["secret"].as_str().unwrap()).unwrap();
    let code = totp::code_at(secret.as_ref(), totp::step_at(doorward::clock::now()));
    call("POST", "two_factor_validate", json!({ "token": code }));
    call("POST", "two_factor_backup_codes", json!({}));
    session
}

// ---- reads ------------------------------------------------------------------------------------------------------

/// A server on one core, the load generator on another.
fn reads(folder: &Path, people: &People) {
    let cores = Cores::split();
    let (hello, doorward) = cores.on_servers_core(|| (Server::hello(), Server::doorward(folder)));
    let hello_request = request("GET", "/", "", "");
    let status = |headers: &str| request("GET", STATUS, headers, "");
    let cases = [
        ("status, API key", &doorward, status(&bearer(&people.keys[0]))),
        ("status, session", &doorward, status(&people.session)),
        ("status with 10 backup codes", &doorward, status(&people.enrolled_session)),
    ];
    let mut bare = Vec::new();
    let mut ours: [Vec<Turn>; 3] = Default::default();
    for _ in 0..TURNS {
        bare.push(Turn::run(&hello, &hello_request));
        for ((_, server, request), turns) in cases.iter().zip(&mut ours) {
            turns.push(Turn::run(server, request));
        }
    }
    cores.join();

    println!("reads, {CONNECTIONS} connections (server on one core, load on another); latencies in ms");
    println!(
        "{:<30} {:>10} {:>8} {:>8} {:>8} {:>24} {:>24}",
        "", "per s", "p50", "p99", "CPU us", "share of bare hyper", "share by CPU"
    );
    print_reads("bare hyper", &bare, &bare);
    for ((name, ..), turns) in cases.iter().zip(&ours) {
        print_reads(name, turns, &bare);
    }
    println!("target: 60 %\n");
}

/// One turn, and the processor time that the server took for each request, in seconds.
struct Turn {
    row: Row,
    processor: f64,
}

impl Turn {
    fn run(server: &Server, request: &[u8]) -> Self {
        let before = server.processor_seconds();
        let row = load::run(server.address, &vec![vec![request.to_vec()]; CONNECTIONS], TURN, Pace::Spinning);
        let processor = (server.processor_seconds() - before) / count(row.len());
        Self { row, processor }
    }
}

fn print_reads(name: &str, turns: &[Turn], bare: &[Turn]) {
    let middle = |figure: &dyn Fn(&Turn) -> f64| Spread::of(turns.iter().map(figure)).middle;
    let pairs = || turns.iter().zip(bare);
    println!(
        "{name:<30} {:>10.0} {:>8.2} {:>8.2} {:>8.1} {:>24} {:>24}",
        middle(&|turn| turn.row.per_second),
        middle(&|turn| turn.row.percentile(50) * 1e3),
        middle(&|turn| turn.row.percentile(99) * 1e3),
        middle(&|turn| turn.processor * 1e6),
        percent(pairs().map(|(ours, bare)| ours.row.per_second / bare.row.per_second)),
        percent(pairs().map(|(ours, bare)| bare.processor / ours.processor)),
    );
}

/// Least, middle and greatest of some shares.
fn percent(shares: impl Iterator<Item = f64>) -> String {
    let Spread { least, middle, greatest } = Spread::of(shares.map(|share| share * 100.0));
    format!("{least:.0} / {middle:.0} / {greatest:.0} %")
}

/// The processor divided between servers (inherited by the processes that are started) and this process.
struct Cores {
    all: CpuSet,
    servers: CpuSet,
    load: CpuSet,
}

impl Cores {
    /// With one core alone both get it.
    fn split() -> Self {
        let all = sched_getaffinity(None).unwrap();
        let mut usable = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
        let first = usable.next().unwrap();
        let mut servers = CpuSet::new();
        servers.set(first);
        let mut load = CpuSet::new();
        load.set(usable.next().unwrap_or(first));
        Self { all, servers, load }
    }

    fn on_servers_core<T>(&self, work: impl FnOnce() -> T) -> T {
        sched_setaffinity(None, &self.servers).unwrap();
        let done = work();
        sched_setaffinity(None, &self.load).unwrap();
        done
    }

    fn join(&self) {
        sched_setaffinity(None, &self.all).unwrap();
    }
}

// ---- durable writes ---------------------------------------------------------------------------------------------

fn writes(folder: &Path, people: &People) {
    let server = Server::doorward(folder);
    let runtime = Runtime::new().unwrap();
    let store = Arc::new(SledStore::open(&folder.join("bare-store"), 64).unwrap());
    // A name is searched for, so a new one moves entries of the search indexes too; a preference does not.
    let patches = |field: &str, values: [&str; 2]| -> Vec<Requests> {
        people.keys.iter().map(|key| patch_requests(key, field, values)).collect()
    };
    let (preferences, names) = (patches("theme_mode", ["dark", "light"]), patches("first_name", ["Ada", "Grace"]));
    let (mut syncs, mut alone, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let (mut together, mut of_names) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        syncs.push(runtime.block_on(fdatasync_only(folder, 1, TURN)));
        alone.push(load::run(server.address, &preferences[..1], TURN, Pace::Eager));
        bare.push(runtime.block_on(commits(&store, CONNECTIONS, TURN)));
        together.push(load::run(server.address, &preferences, TURN, Pace::Eager));
        of_names.push(load::run(server.address, &names, TURN, Pace::Eager));
    }
    runtime.block_on(store.close());

    println!("durable writes; latencies in ms");
    println!("{:<30} {:>10} {:>8} {:>8} {:>24}", "", "per s", "p50", "p99", "beside its limit");
    println!("{:<30} {:>10.0}", "fdatasync", Spread::of(syncs.iter().copied()).middle);
    let times = Spread::of(alone.iter().zip(&syncs).map(|(ours, syncs)| syncs / ours.per_second));
    let times = format!("{:.1} / {:.1} / {:.1} times", times.least, times.middle, times.greatest);
    print_writes("PATCH, 1 client", &alone, &times);
    print_writes("store commits, 64 clients", &bare, "");
    for (name, rows) in [("PATCH, 64 clients", &together), ("PATCH of a name, 64 clients", &of_names)] {
        let shares = rows.iter().zip(&bare).map(|(ours, bare)| ours.per_second / bare.per_second);
        print_writes(name, rows, &percent(shares));
    }
    println!("targets: 3 times one fdatasync; 50 % of the store's rate\n");
}

/// Two bodies in turn, so that each request changes something.
fn patch_requests(key: &str, field: &str, values: [&str; 2]) -> Requests {
    let headers = format!("{JSON}{}", bearer(key));
    values.map(|value| request("PATCH", "/api/users/@me", &headers, &json!({ field: value }).to_string())).to_vec()
}

fn print_writes(name: &str, rows: &[Row], limit: &str) {
    let middle = |figure: &dyn Fn(&Row) -> f64| Spread::of(rows.iter().map(figure)).middle;
    println!(
        "{name:<30} {:>10.0} {:>8.2} {:>8.2} {limit:>24}",
        middle(&|row| row.per_second),
        middle(&|row| row.percentile(50) * 1e3),
        middle(&|row| row.percentile(99) * 1e3),
    );
}

// ---- logins -----------------------------------------------------------------------------------------------------

fn logins(folder: &Path, people: &People) {
    let server = Server::doorward(folder);
    // The enrolled one is asked for a code.
    let emails = people.emails.iter().skip(2);
    let clients: Vec<Requests> = emails.take(LOGIN_CLIENTS).map(|email| vec![login_request(email)]).collect();
    let reads = vec![vec![request("GET", STATUS, &bearer(&people.keys[0]), "")]; READERS];
    let (mut hashes, mut rows, mut read_rows) = (Vec::new(), Vec::new(), Vec::new());
    let mut by_processor = Vec::new();
    for _ in 0..LOGIN_TURNS {
        let before = processor_seconds(std::process::id());
        let (rate, done) = hashes_per_second();
        hashes.push(rate);
        let each_hash = (processor_seconds(std::process::id()) - before) / count(done);
        let before = server.processor_seconds();
        let (logins, beside) = std::thread::scope(|scope| {
            let beside = scope.spawn(|| load::run(server.address, &reads, LOGIN_TURN, Pace::Pausing(READER_PAUSE)));
            (load::run(server.address, &clients, LOGIN_TURN, Pace::Eager), beside.join().unwrap())
        });
        by_processor.push(each_hash * count(logins.len()) / (server.processor_seconds() - before));
        rows.push(logins);
        read_rows.push(beside);
    }

    println!("logins (argon2id 19 MiB, 2 passes), {LOGIN_CLIENTS} clients; latencies in ms");
    println!("{:<30} {:>10} {:>8} {:>8} {:>24}", "", "per s", "p50", "p99", "share of argon2 alone");
    println!("{:<30} {:>10.1}", "argon2 alone, all cores", Spread::of(hashes.iter().copied()).middle);
    let shares = rows.iter().zip(&hashes).map(|(ours, bare)| ours.per_second / bare);
    print_logins("logins", &rows, &percent(shares));
    print_logins("status reads beside them", &read_rows, "");
    println!("{:<30} {:>54}", "share by CPU", percent(by_processor.into_iter()));
    println!("targets: 95 %; p99 of reads under 5 ms\n");
}

fn print_logins(name: &str, rows: &[Row], limit: &str) {
    let middle = |figure: &dyn Fn(&Row) -> f64| Spread::of(rows.iter().map(figure)).middle;
    println!(
        "{name:<30} {:>10.1} {:>8.2} {:>8.2} {limit:>24}",
        middle(&|row| row.per_second),
        middle(&|row| row.percentile(50) * 1e3),
        middle(&|row| row.percentile(99) * 1e3),
    );
}

/// What all cores can hash with the default parameters, memory reused: the rate, and how many it was.
fn hashes_per_second() -> (f64, usize) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    let hash = || {
        let parameters = argon2::Params::new(19_456, 2, 1, Some(32)).unwrap();
        let mut blocks = vec![argon2::Block::default(); parameters.block_count()];
        let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters);
        let (mut output, mut done) = ([0; 32], 0);
        while start.elapsed() < LOGIN_TURN {
            argon2.hash_password_into_with_memory(PASSWORD.as_bytes(), &[7; 16], &mut output, &mut blocks).unwrap();
            done += 1;
        }
        done
    };
    let done: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(hash)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    (count(done) / start.elapsed().as_secs_f64(), done)
}

// ---- codes ------------------------------------------------------------------------------------------------------

fn checks() {
    let (secret, seconds, code) = ([7; totp::SECRET_BYTES], 1_800_000_000_u64, "000000");
    let now = Timestamp::from_seconds(1_800_000_000);
    let theirs = totp_rs::Builder::new().with_secret(secret.to_vec()).build().unwrap();
    let micros_each = |check: &dyn Fn() -> bool| {
        let start = Instant::now();
        let right = (0..CHECKS).filter(|_| check()).count();
        std::hint::black_box(right);
        start.elapsed().as_secs_f64() * 1e6 / f64::from(CHECKS)
    };
    let mut pairs = Vec::new();
    for _ in 0..TURNS {
        let bare = micros_each(&|| theirs.check(std::hint::black_box(code), seconds).is_some());
        let ours = micros_each(&|| totp::verify(&secret, std::hint::black_box(code), now, -1) != totp::Match::Wrong);
        pairs.push((bare, ours));
    }
    let bare = Spread::of(pairs.iter().map(|(bare, _)| *bare)).middle;
    let ours = Spread::of(pairs.iter().map(|(_, ours)| *ours)).middle;
    println!("TOTP checks, us each: totp-rs {bare:.2}, ours {ours:.2}");
}
