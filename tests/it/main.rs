//! Black-box tests: the real binary, over HTTP and the command line. One file for each feature; each test names the
//! section of the specification that it holds the server to. `layers` reads the sources instead.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the whole crate is a test"
)]

mod admin;
mod api_keys;
mod cli;
mod conventions;
mod crash;
mod email;
mod harness;
mod hostile;
mod layers;
mod login;
mod races;
mod secrets;
mod sessions;
mod two_factor;
mod users;
mod wire;
