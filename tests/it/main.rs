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

mod api_keys;
mod bad_input;
mod commands;
mod console;
mod conventions;
mod email;
mod harness;
mod layers;
mod login;
mod secrets;
mod sessions;
mod two_factor;
mod users;
