//! Everything in the store as lines of JSON, and a store made of such lines: `docs/export.md` describes them.
//!
//! A line is a record by name, with the struct of its format as JSON and what was sealed in clear; so it depends on neither
//! the engine nor the secret key. What follows from records is not in it: the functions that change records make it
//! anew. A store is made of lines beside the place where it belongs, and comes there in one step, when the last line has
//! said that nothing is missing.

mod export;
mod import;

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use export::export;
pub use import::import;

use super::instance::OpenError;
use crate::error::Error;
use crate::records::keys;
use crate::store::StoreError;

/// The format of the file as a whole; each record has its own besides.
const FORMAT: u32 = 1;

/// What is exported, in an order in which nothing comes before what it needs.
const EXPORTED: &[&[u8]] = &[
    keys::ORGANIZATION,
    keys::USER,
    keys::TEAM,
    keys::MEMBERSHIP,
    keys::INVITE,
    keys::API_KEY,
    keys::SESSION,
    keys::REMEMBERED,
    keys::PENDING_TOTP,
    keys::TOKEN,
    keys::ATTEMPTS,
    keys::OUTBOX,
    keys::USER_MAIL,
    keys::APPROVAL,
    keys::JOB,
    keys::JOB_USERS,
    keys::JOB_RESULT,
    keys::REMINDER,
    keys::ADOPTION,
    keys::AUDIT_KEY,
    keys::AUDIT_START,
    keys::AUDIT,
    keys::AUDIT_CHECKPOINT,
    // No records, but nothing else tells them.
    keys::JOB_AUDIT,
    keys::COUNTER,
    keys::EXPIRY,
];

/// Records that are not exported: mails that were given up are kept only to be looked at.
#[cfg(test)]
const LEFT_OUT: &[&[u8]] = &[keys::OUTBOX_FAILED];

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    /// `export`.
    doorward: String,
    format: u32,
    /// The version of the program.
    program: String,
    made_at: String,
}

/// Every other line but the last.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// The family of its key, without the slash.
    record: String,
    /// The rest of its key, in hex.
    key: String,
    format: u8,
    value: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<Link>,
}

/// An entry of the audit trail as it lies in the chain, which is made of its bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    /// Hash of the entry before, in hex.
    previous: String,
    /// In hex.
    bytes: String,
}

/// The last line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    /// Lines by record.
    end: Counts,
    /// Of everything before this line, in hex.
    sha256: String,
}

/// How many there are of each record.
pub type Counts = BTreeMap<String, u64>;

/// Why a store was not exported, or not made.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Failed(#[from] Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("line {0}: {1}")]
    Line(u64, String),
}

impl From<StoreError> for LinesError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

type Result<T, E = LinesError> = std::result::Result<T, E>;

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal(error.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::RECORDS;

    #[test]
    fn something_is_said_of_every_record() {
        for family in RECORDS {
            let times = [EXPORTED, LEFT_OUT].concat().iter().filter(|known| *known == family).count();
            assert_eq!(times, 1, "{}", String::from_utf8_lossy(family));
        }
    }
}
