//! Status reads against a running server, as fast as it answers:
//!
//! `cargo run --release --example load -- --url http://127.0.0.1:8000 --key phx_... [--connections 64] [--seconds 10]`
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a program that prints a line and may stop at an error"
)]

#[path = "common/mod.rs"]
mod common;

use std::net::ToSocketAddrs;
use std::time::Duration;

use clap::Parser;
use common::load;

#[derive(Parser)]
struct Arguments {
    /// The server, by plain HTTP
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: String,
    /// An API key with the scope user:read, as `doorward key create` prints it
    #[arg(long, env = "DOORWARD_KEY")]
    key: String,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

fn main() {
    let arguments = Arguments::parse();
    let host = arguments.url.trim_start_matches("http://").trim_end_matches('/');
    let address = host.to_socket_addrs().unwrap().next().unwrap();
    let request = load::request("GET", "/api/users/@me/two_factor_status", &load::bearer(&arguments.key), "");
    let connections = vec![vec![request]; arguments.connections];
    let row = load::run(address, &connections, Duration::from_secs(arguments.seconds), load::Pace::Eager);
    println!(
        "{:.0} requests/s; latencies in ms: p50 {:.2}, p99 {:.2}, greatest {:.2}",
        row.per_second,
        row.percentile(50) * 1e3,
        row.percentile(99) * 1e3,
        row.greatest() * 1e3,
    );
}
