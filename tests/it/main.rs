//! Black-box tests: the real binary, over HTTP and the command line. One file for each feature; each test names the
//! section of the specification that it holds the server to.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the whole crate is a test"
)]
#![allow(
    clippy::wrong_self_convention,
    clippy::needless_pass_by_value,
    reason = "checks hand the answer on, and bodies are written where they are sent"
)]

mod admin;
mod api_keys;
mod approvals;
mod audit;
mod checkpoints;
mod cli;
mod conformance;
mod console;
mod console_enrol;
mod console_jobs;
mod console_plain;
mod console_random;
mod conventions;
mod crash;
mod described;
mod email;
mod enumeration;
mod faults;
mod fields;
mod flows;
mod furnished;
mod gate;
mod golden;
mod harness;
mod headers;
mod hostile;
mod import;
mod invites;
mod jobs;
mod layers;
mod limits;
mod lines;
mod lockout;
mod log;
mod login;
mod login_code;
mod login_sessions;
mod members;
mod openapi;
mod organizations;
mod outbox;
mod overview;
mod pages;
mod preferences;
mod proxy_protocol;
mod pty;
mod races;
mod recovery;
mod rekey;
mod releases;
mod requests;
mod reset;
mod reset_link;
mod rights;
mod safety;
mod secrets;
mod sessions;
mod signup;
mod snippets;
mod tls;
mod tour;
mod two_factor;
mod users;
mod wire;
mod writers;
