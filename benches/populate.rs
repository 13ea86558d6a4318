//! A crowd of users for benches, demonstrations and trials, in minutes:
//!
//! `cargo run --release --example populate -- --data-dir data --users 1000000`
//!
//! The folder must have no users yet; no server may run on it. Everybody's password is `correct horse battery staple`.
//! The same `--seed` and `--as-of` make the same people with the same secrets; `--tell N` prints the second factor and
//! the API keys of user N without a store, so that codes can be made for anybody:
//!
//! `cargo run --release --example populate -- --tell 4711`
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a program that prints lines and may stop at an error"
)]

#[path = "common/crowd/mod.rs"]
mod crowd;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use crowd::person::{api_key_value, backup_codes, totp_secret};
use crowd::{PASSWORD, Wanted};
use doorward::clock;
use doorward::domain::time::Timestamp;
use doorward::domain::totp;
use indicatif::{ProgressBar, ProgressStyle};

/// Users between two lines, where there is no terminal for a bar.
const USERS_PER_LINE: u64 = 50_000;

#[derive(Parser)]
struct Arguments {
    /// The data directory to fill
    #[arg(long, default_value = "data")]
    data_dir: PathBuf,
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    users: u64,
    /// Other numbers make other people
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The moment that the people live at, as 2026-11-26T08:00:00Z; now, if it is not given
    #[arg(long, value_parser = moment)]
    as_of: Option<Timestamp>,
    /// Memory for the store while it is filled, in MiB
    #[arg(long, default_value_t = 1_024)]
    cache_mib: u64,
    /// Print the secrets of this user and do nothing else
    #[arg(long, value_name = "N")]
    tell: Option<u64>,
}

fn moment(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::parse(text).ok_or("not a moment such as 2026-11-26T08:00:00Z")
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(number) = arguments.tell {
        tell(arguments.seed, number);
        return ExitCode::SUCCESS;
    }
    match populate(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("populate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn populate(arguments: &Arguments) -> Result<(), String> {
    let config = crowd::config(&arguments.data_dir)?;
    let wanted = Wanted {
        users: arguments.users,
        seed: arguments.seed,
        now: arguments.as_of.unwrap_or_else(clock::now),
        cache_mib: arguments.cache_mib,
    };
    let bar = ProgressBar::new(wanted.users);
    let style = ProgressStyle::with_template("[{wide_bar}] {human_pos}/{human_len} users, {per_sec}, {eta} left");
    bar.set_style(style.unwrap().progress_chars("=> "));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let is_shown = !bar.is_hidden();
    let progress = |number| {
        bar.set_position(number);
        if !is_shown && number % USERS_PER_LINE == 0 {
            eprintln!("{number} of {} users", wanted.users);
        }
    };
    let filled = runtime.block_on(crowd::fill(Arc::new(config), wanted, progress))?;
    bar.finish_and_clear();
    let seconds = |time: Duration| time.as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let (rate, mib) = (
        wanted.users as f64 / seconds(filled.users),
        crowd::size_of(&arguments.data_dir.join("store")) as f64 / f64::from(1 << 20),
    );
    println!("{} users in {:.0} s ({rate:.0}/s)", wanted.users, seconds(filled.users));
    println!(
        "{} audit entries in {:.0} s, closed in {:.1} s",
        filled.entries,
        seconds(filled.trail),
        seconds(filled.closing)
    );
    println!("{mib:.0} MiB on disk");
    println!("seed {}, as of {}, password: {PASSWORD}", wanted.seed, wanted.now.to_rfc3339_z());
    Ok(())
}

/// Who has no authenticator has none of these secrets either; of the backup codes the first may be used up.
fn tell(seed: u64, number: u64) {
    let secret = totp_secret(seed, number);
    println!("totp secret   {}", totp::encode_secret(&secret));
    println!("code now      {}", totp::code_at(&secret, totp::step_at(clock::now())));
    for code in backup_codes(seed, number) {
        println!("backup code   {}", code.expose());
    }
    for place in 0..3 {
        println!("api key       {}", api_key_value(seed, number, place));
    }
}
