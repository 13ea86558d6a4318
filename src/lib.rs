//! Doorward: accounts and second factors in one file.
//!
//! Modules in reading order; each uses only what stands below it in the map of the README. `tests/it/layers.rs` keeps
//! the picture honest.

pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod domain;
pub mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod http;
pub mod mail;
pub mod records;
pub mod store;
