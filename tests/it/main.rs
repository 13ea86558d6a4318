//! One test crate for everything that is tested from outside.

// These tests are a program of their own, whose way to say no is to panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod api_keys;
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
