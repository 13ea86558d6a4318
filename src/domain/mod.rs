//! The rules of accounts and second factors. Pure: no I/O, no clock, no randomness, no async; those come in as values.

pub mod api_key;
pub mod approval;
pub mod audit;
pub mod backoff;
pub mod backup_code;
pub mod checkpoint;
pub mod django;
pub mod dump;
pub mod email;
pub mod fields;
pub mod figures;
pub mod foreign_hash;
pub mod id;
pub mod input;
pub mod invite;
pub mod job;
pub mod key_patch;
pub mod mail;
pub mod notification;
pub mod organization;
pub mod organization_patch;
pub mod password;
pub mod password_hash;
pub mod portable;
pub mod preferences;
pub mod rate;
pub mod secret;
pub mod session;
pub mod signup;
pub mod text;
pub mod time;
pub mod token;
pub mod totp;
pub mod user;
pub mod user_agent;
pub mod user_filter;
pub mod user_patch;
pub mod user_place;
pub mod user_search;
pub mod vault;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
