//! The console in a real terminal, by the targets that it has: each figure beside its target, with a mark where it is
//! missed.
//!
//! `cargo bench --bench console [-- --data-dir DIR] [--only ROWS]`. `DIR` is a data directory as
//! `cargo run --release --example populate` fills it, on which nothing runs; one of its users is reset. Without it a
//! crowd of 20,000 is made in a temporary folder. `ROWS` are some of: start, moves, letters, idle, memory, reset, lost,
//! signals, direct, frame.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a program that prints a table and may stop at an error"
)]

mod common;
#[path = "common/crowd/mod.rs"]
mod crowd;
#[path = "common/server.rs"]
mod server;
#[path = "common/terminal.rs"]
mod terminal;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use common::Row;
use doorward::admin::link::Operator;
use doorward::clock;
use doorward::config::Config;
use doorward::console::link::{Backend, LinkBackend};
use doorward::console::model::Model;
use doorward::console::theme::Theme;
use doorward::console::update::{self, Cmd, Msg};
use doorward::console::view;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::{TerminalOptions, Viewport};
use rustix::process::Signal;
use serde_json::Value;
use server::{PROGRAM, Server, operate_on, processor_seconds, resident_mib};
use terminal::{DOWN, END, ESC, HOME, PAGE_DOWN, Start, Terminal, UP};

/// Users of the crowd that is made when none is named.
const USERS: u64 = 20_000;
/// Starts, attached and with the store opened directly.
const STARTS: usize = 30;
const DIRECT_STARTS: usize = 5;
/// Cursor moves at each place of the list.
const MOVES: usize = 200;
/// Users whose addresses and names are searched for.
const SEARCHED: u64 = 8;
/// Keys of an hour of use: two a second.
const HOUR_OF_KEYS: usize = 7_200;
/// How long an idle console is watched.
const IDLE: Duration = Duration::from_secs(20);
const FRAMES: usize = 500;
/// Between two keys, when each is looked at by itself.
const APART: Duration = Duration::from_millis(15);

#[derive(Parser)]
struct Arguments {
    /// A data directory with a crowd
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Only these rows, separated by commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir_in(".").unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let data_dir = match &arguments.data_dir {
        Some(data_dir) => data_dir.canonicalize().unwrap(),
        None => fill(&folder.join("data")),
    };
    let is_wanted =
        |row: &str| arguments.only.is_empty() || arguments.only.iter().any(|wanted| row.starts_with(wanted.as_str()));
    let mut bench = Bench { server: None, log: folder.join("log"), data_dir };
    println!("{:<46} {:<46} target", "what", "figure");
    let rows: [(&str, Measure); 10] = [
        ("start", start),
        ("moves", moves),
        ("letters", letters),
        ("idle", idle),
        ("memory", memory),
        ("reset", reset),
        ("lost", lost),
        ("signals", signals),
        ("direct", direct),
        ("frame", frame),
    ];
    for (_, measure) in rows.iter().filter(|(row, _)| is_wanted(row)) {
        measure(&mut bench);
    }
}

fn fill(data_dir: &Path) -> PathBuf {
    println!("no --data-dir: a crowd of {USERS}");
    let config = Arc::new(crowd::config(data_dir).unwrap());
    let wanted = crowd::Wanted { users: USERS, seed: 1, now: clock::now(), cache_mib: 256 };
    tokio::runtime::Runtime::new().unwrap().block_on(crowd::fill(config, wanted, |_| {})).unwrap();
    data_dir.to_owned()
}

/// Measures and prints a row or some.
type Measure = fn(&mut Bench);

struct Bench {
    data_dir: PathBuf,
    log: PathBuf,
    server: Option<Server>,
}

impl Bench {
    fn serve(&mut self) {
        if self.server.is_none() {
            self.server = Some(Server::on(&self.data_dir, &self.log));
        }
    }

    /// Starts the server and waits until its column of users is in memory: only then a list can begin anywhere.
    fn serve_whole(&mut self) {
        self.serve();
        let begun = Instant::now();
        let mut console = self.open((80, 24), &[]);
        console.until("the first users", |console| console.chosen().is_some());
        console.press("\r");
        loop {
            console.settle();
            for keys in [HOME, ":50%", "\r"] {
                console.press(keys);
                console.settle();
            }
            let text = console.text();
            let number = |text: &str| {
                let digits: String =
                    text.chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(|c| *c != ',').collect();
                digits.parse::<u64>().unwrap_or_default()
            };
            let total = text.split_once(" of ").map_or(0, |(_, rest)| number(rest));
            let at = text.split_once("about ").map_or(0, |(_, rest)| number(rest));
            if total > 0 && (total * 4 / 10..total * 6 / 10).contains(&at) {
                break;
            }
        }
        println!("waited {:.1} s for the search column", seconds(begun.elapsed()));
    }

    fn open(&self, size: (u16, u16), arguments: &[&str]) -> Terminal {
        Terminal::open(&Start {
            program: PROGRAM,
            data_dir: &self.data_dir,
            size,
            arguments,
            ignores_hang_up: false,
            is_colourful: true,
        })
    }

    /// A console on the running server with its first rows, at rest.
    fn attached(&mut self, size: (u16, u16), arguments: &[&str]) -> Terminal {
        self.serve();
        let mut console = self.open(size, arguments);
        console.until("the first users", |console| console.chosen().is_some());
        console.settle();
        console
    }

    fn operate(&self, arguments: &[&str]) -> Value {
        operate_on(&self.data_dir, arguments, "")
    }
}

// ---- the rows ---------------------------------------------------------------------------------------------------

fn start(bench: &mut Bench) {
    bench.serve();
    let (mut frames, mut rows) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let mut console = bench.open((80, 24), &[]);
        let frame = console.until("the first frame", |console| console.text().contains("Find:"));
        frames.push(seconds(frame - console.started));
        let first = console.until("the first users", |console| console.chosen().is_some());
        rows.push(seconds(first - console.started));
    }
    let (frames, rows) = (latencies(frames), latencies(rows));
    report("start to first full frame, attached", &middle(&frames), "< 100 ms", frames.greatest() < 0.1);
    report("start to first users, attached", &middle(&rows), "< 100 ms", rows.greatest() < 0.1);
}

fn moves(bench: &mut Bench) {
    bench.serve_whole();
    let mut console = bench.attached((80, 24), &[]);
    console.press("\r");
    console.settle();
    let mut all = Vec::new();
    let mut bytes = Vec::new();
    let places = [
        ("the top", HOME.to_owned(), DOWN),
        ("the middle", ":50%\r".to_owned(), DOWN),
        ("the middle, upwards", ":50%\r".to_owned(), UP),
        ("the end", END.to_owned(), UP),
    ];
    for (place, keys, step) in places {
        for key in keys.chars().collect::<String>().split_inclusive('%') {
            console.press(key);
            console.settle();
        }
        let latencies = steps(&mut console, step, &mut bytes);
        report_frames(&format!("key to frame, {place}"), &latencies);
        all.extend(latencies);
    }
    console.press(HOME);
    console.settle();
    let pages = steps(&mut console, PAGE_DOWN, &mut Vec::new());
    report_frames("key to frame, a page down", &pages);
    all.extend(pages);
    report_frames("key to frame, all of these", &all);
    bytes.sort_unstable();
    let (middle, greatest) = (bytes[bytes.len() / 2], bytes[bytes.len() - 1]);
    let figure = format!("p50 {middle} B, greatest {greatest} B, its detail included");
    report("bytes for each cursor move, 80x24", &figure, "< 1 KB", greatest < 1024);
}

fn steps(console: &mut Terminal, key: &str, bytes: &mut Vec<usize>) -> Vec<f64> {
    let mut latencies = Vec::new();
    for _ in 0..MOVES {
        let (before, bytes_before) = (console.chosen(), console.bytes);
        let pressed = console.press(key);
        let shown = console.until("the cursor to move", |console| {
            let chosen = console.chosen();
            chosen.is_some() && chosen != before
        });
        latencies.push(seconds(shown - pressed));
        console.listen(APART);
        bytes.push(console.bytes - bytes_before);
    }
    latencies
}

fn letters(bench: &mut Bench) {
    bench.serve_whole();
    let mut console = bench.attached((80, 24), &[]);
    let total: u64 = bench.operate(&["user", "list", "--limit", "1"])["total"].as_u64().unwrap();
    let mut all = Vec::new();
    let mut of_class: Vec<(&str, Vec<f64>)> = ["exact", "prefix", "word start", "inside a word", "near-miss", "nobody"]
        .map(|class| (class, Vec::new()))
        .into();
    for place in 0..SEARCHED {
        let number = (1 + (place * 7_919 + 4_711) % total).to_string();
        let user = bench.operate(&["user", "show", &number]);
        for (class, latencies) in &mut of_class {
            for letter in searched(&user, class).chars() {
                let pressed = console.press(&letter.to_string());
                // The letter itself, then what it finds.
                let found = console.last_of_frames(2);
                latencies.push(seconds(found - pressed));
                console.listen(APART);
            }
            console.press(ESC);
            console.settle();
        }
    }
    for (class, latencies) in of_class {
        report_letters(&format!("letter to hits, {class}"), &latencies);
        all.extend(latencies);
    }
    report_letters("letter to hits, all classes", &all);
}

/// What is typed to find a user in a way.
fn searched(user: &Value, class: &str) -> String {
    let email = user["email"].as_str().or_else(|| user["row"]["email"].as_str()).unwrap().to_owned();
    let local: Vec<char> = email.chars().take_while(|letter| *letter != '@').collect();
    let words: Vec<&str> = email.split(['@', '.', '_', '-']).collect();
    match class {
        "exact" => email,
        "prefix" => local.iter().take(7).collect(),
        "word start" => words[1].chars().take(6).collect(),
        "inside a word" => local.iter().skip(2).take(5).collect(),
        "near-miss" => {
            let mut letters: Vec<char> = words[0].chars().collect();
            if letters.len() > 3 {
                letters.swap(1, 2);
            }
            letters.into_iter().collect()
        }
        _ => "zzqxqzz".to_owned(),
    }
}

fn idle(bench: &mut Bench) {
    let mut console = bench.attached((80, 24), &[]);
    console.watch(Duration::from_secs(2));
    let (bytes, processor) = (console.bytes, processor_seconds(console.process()));
    console.watch(IDLE);
    let bytes = console.bytes - bytes;
    let share = (processor_seconds(console.process()) - processor) / IDLE.as_secs_f64() * 100.0;
    let figure = format!("{bytes} bytes, {share:.2} % of a core in {} s", IDLE.as_secs());
    report("idle, attached", &figure, "0 bytes, < 0.5 %", bytes == 0 && share < 0.5);
}

/// Moves and searches as fast as they are taken, as many as an hour has.
fn memory(bench: &mut Bench) {
    let mut console = bench.attached((80, 24), &[]);
    let fresh = resident_mib(console.process());
    let mut pressed = 0;
    let round = ["anna", ESC, "\r", &DOWN.repeat(60), &PAGE_DOWN.repeat(10), END, HOME, "/", "smi", ESC, "li w", ESC];
    while pressed < HOUR_OF_KEYS {
        for keys in round {
            console.press(keys);
            console.listen(APART);
            pressed += keys.matches(ESC).count().max(1);
        }
    }
    let used = resident_mib(console.process());
    let figure = format!("{fresh:.1} MiB fresh, {used:.1} MiB after {pressed} keys");
    report("memory of the console, attached", &figure, "< 30 MB", used < 28.6);
    let server = bench.server.as_ref().unwrap().resident_mib();
    report("memory of the server it is attached to", &format!("{server:.0} MiB"), "< 250 MiB", server < 250.0);
}

/// The phone rings: the console is there, its writes are off.
fn reset(bench: &mut Bench) {
    let console = bench.attached((80, 24), &["2fa:on"]);
    let email = console.chosen().unwrap().split_whitespace().nth(1).unwrap().to_owned();
    drop(console);
    if email.contains('…') {
        println!("the first user's address is too long to be typed from the screen; no reset");
        return;
    }
    let local = email.split('@').next().unwrap().to_owned();
    let mut console = bench.attached((80, 24), &[]);
    let rings = Instant::now();
    let mut keys = 0;
    let mut typed = 0;
    console.press(&email);
    typed += email.len();
    console.until("the user", |console| console.chosen().is_some_and(|line| line.contains(&email[..8])));
    console.settle();
    for (key, shown) in [("\r", "Enter"), ("W", "WRITES"), ("a", "reset 2FA"), ("r", "for good")] {
        console.press(key);
        console.shows(shown);
        console.settle();
        keys += 1;
    }
    // Keys to a new dialog are dropped for a quarter of a second.
    console.watch(Duration::from_millis(300));
    for key in ["\t", "2", "\t"] {
        console.press(key);
        keys += 1;
    }
    let reason = "lost phone, ticket HD-4711";
    console.press(reason);
    typed += reason.len();
    console.settle();
    for _ in 0..3 {
        console.press("\t");
        keys += 1;
    }
    console.press(&local);
    typed += local.len();
    console.settle();
    for _ in 0..1 {
        console.press("\t\r");
        keys += 2;
    }
    let done = console.until("the result", |console| console.text().contains("Done in"));
    let took = seconds(done - rings);
    let figure = format!("{keys} keys and {typed} letters; {took:.2} s without the operator");
    report("reset, from ring to done", &figure, "< 12 keys besides text", keys < 12);
}

fn lost(bench: &mut Bench) {
    let mut console = bench.attached((80, 24), &[]);
    let killed = Instant::now();
    bench.server = None;
    let stale = console.shows("(stale)");
    bench.serve();
    let back = Instant::now();
    let live = console.until("the console to be live", |console| {
        !console.text().contains("stale") && console.text().contains("live")
    });
    let (stale, live) = (seconds(stale - killed), seconds(live.saturating_duration_since(back)));
    report("server killed: stale is shown", &format!("{:.0} ms", stale * 1e3), "< 1 s", stale < 1.0);
    report("server is back: live is shown", &format!("{:.0} ms", live * 1e3), "< 1 s", live < 1.0);
    drop(console);
    let mut longest: f64 = 0.0;
    for ignores_hang_up in [false, true] {
        let mut console = Terminal::open(&Start {
            program: PROGRAM,
            data_dir: &bench.data_dir,
            size: (80, 24),
            arguments: &[],
            ignores_hang_up,
            is_colourful: true,
        });
        console.until("the first users", |console| console.chosen().is_some());
        let gone = Instant::now();
        console.vanish();
        console.wait();
        longest = longest.max(seconds(gone.elapsed()));
    }
    let figure = format!("ends within {:.0} ms, also with SIGHUP ignored", longest * 1e3);
    report("terminal gone", &figure, "within 2 s", longest < 2.0);
}

fn signals(bench: &mut Bench) {
    let mut failed = Vec::new();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)] {
        let mut console = bench.attached((80, 24), &[]);
        console.signal(signal);
        let ended = console.end();
        let screen = console.screen();
        if ended != code || screen.alternate_screen() || screen.hide_cursor() || screen.bracketed_paste() {
            failed.push(format!("{code}"));
        }
    }
    let figure = if failed.is_empty() { "always".to_owned() } else { format!("not for {}", failed.join(", ")) };
    report("terminal given back after INT, TERM, HUP, QUIT", &figure, "always, code 128 + n", failed.is_empty());
}

fn direct(bench: &mut Bench) {
    bench.server = None;
    let (mut frames, mut rows) = (Vec::new(), Vec::new());
    for _ in 0..DIRECT_STARTS {
        let mut console = bench.open((80, 24), &[]);
        let frame = console.until("the first frame", |console| {
            console.text().contains("Doorward") || console.text().contains("Find:")
        });
        frames.push(seconds(frame - console.started));
        // Opened at once, or when `o` says so.
        console.until("a way in", |console| console.chosen().is_some() || console.text().contains("open the store"));
        if console.chosen().is_none() {
            console.press("o");
        }
        let first = console.until("the first users", |console| console.chosen().is_some());
        rows.push(seconds(first - console.started));
        console.press("\rq");
        console.wait();
    }
    let (frames, rows) = (latencies(frames), latencies(rows));
    report("start to first frame, store opened directly", &middle(&frames), "< 100 ms", frames.greatest() < 0.1);
    report("start to first users, store opened directly", &middle(&rows), "", true);
}

/// Drawing and comparing with the last frame, without a terminal: what the console itself takes for a move.
fn frame(bench: &mut Bench) {
    bench.server = None;
    let config = Arc::new(crowd::config(&bench.data_dir).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let row = runtime.block_on(async {
        let mut screen = Drawn::new(config);
        screen.carry_out(update::start).await;
        screen.key(KeyCode::Enter).await;
        let mut work = Vec::new();
        for _ in 0..FRAMES {
            screen.key(KeyCode::Down).await;
            work.push(screen.last_draw);
        }
        screen.backend.close().await;
        latencies(work)
    });
    let figure = format!("p50 {:.2} ms, p99 {:.2} ms", row.percentile(50) * 1e3, row.percentile(99) * 1e3);
    report("frame work at 140x40", &figure, "< 2 ms", row.percentile(99) < 0.002);
}

/// A console without a terminal.
struct Drawn {
    model: Model,
    backend: LinkBackend,
    terminal: ratatui::Terminal<CrosstermBackend<Vec<u8>>>,
    last_draw: f64,
}

impl Drawn {
    fn new(config: Arc<Config>) -> Self {
        let (columns, rows) = (140, 40);
        let viewport = Viewport::Fixed(Rect::new(0, 0, columns, rows));
        let terminal = ratatui::Terminal::with_options(CrosstermBackend::new(Vec::new()), TerminalOptions { viewport });
        let theme = Theme::from_environment(None, Some("C.UTF-8"));
        Self {
            model: Model::new(theme, (columns, rows), clock::now()),
            backend: LinkBackend::new(config, Operator::present(Some("jdoe"))),
            terminal: terminal.unwrap(),
            last_draw: 0.0,
        }
    }

    async fn key(&mut self, code: KeyCode) {
        let key = KeyEvent::new(code, KeyModifiers::NONE);
        self.carry_out(|model| update::update(model, Msg::Key(key), clock::now())).await;
    }

    /// Does what the loop does with one message, and with all that follows from it. The longest frame counts.
    async fn carry_out(&mut self, change: impl FnOnce(&mut Model) -> Vec<Cmd>) {
        let mut commands = change(&mut self.model);
        self.last_draw = 0.0;
        loop {
            let begun = Instant::now();
            self.terminal.draw(|frame| view::draw(&self.model, frame)).unwrap();
            self.last_draw = self.last_draw.max(seconds(begun.elapsed()));
            let mut next = Vec::new();
            for command in commands {
                if let Cmd::Perform { slot, serial, id, request } = command {
                    let answer = self.backend.perform(&id, request).await;
                    next.extend(update::update(&mut self.model, Msg::Answer { slot, serial, answer }, clock::now()));
                }
            }
            if next.is_empty() {
                break;
            }
            commands = next;
        }
    }
}

// ---- printing ---------------------------------------------------------------------------------------------------

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

fn latencies(figures: Vec<f64>) -> Row {
    Row::new(figures, Duration::from_secs(1))
}

fn middle(row: &Row) -> String {
    format!("p50 {:.0} ms, greatest {:.0} ms", row.percentile(50) * 1e3, row.greatest() * 1e3)
}

fn spread(row: &Row) -> String {
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, greatest {:.1} ms",
        row.percentile(50) * 1e3,
        row.percentile(99) * 1e3,
        row.greatest() * 1e3
    )
}

fn report_frames(what: &str, figures: &[f64]) {
    let row = latencies(figures.to_vec());
    let is_met = row.percentile(99) < 0.016 && row.percentile(50) < 0.003;
    report(what, &spread(&row), "p99 < 16 ms, p50 < 3 ms", is_met);
}

fn report_letters(what: &str, figures: &[f64]) {
    let row = latencies(figures.to_vec());
    report(what, &spread(&row), "p99 < 50 ms", row.percentile(99) < 0.05);
}

fn report(what: &str, figure: &str, target: &str, is_met: bool) {
    let mark = if is_met { "" } else { "   MISSED" };
    println!("{what:<46} {figure:<46} {target}{mark}");
}
