//! Operations over a local Unix socket, so that the console and the command line work while the server runs, and
//! [`Link`], which reaches them there or, with the server stopped, in the store itself.
//!
//! The protocol is HTTP/1.1: `POST /op/<NAME>` with an operation as JSON, answered 200 with its reply, or with 422 and
//! the [`Error`](crate::error::Error); and `GET /events`, a stream of new audit entries' numbers. It is private to one
//! version of the program on one machine; both ends name [`PROTOCOL`] and refuse another. Nothing is decided here: who
//! may do what is the operations' own matter.

pub mod client;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod groups;
pub mod link;
pub mod registry;
pub mod server;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use http::{HeaderMap, StatusCode};

use crate::config::Config;

pub use link::{Link, LinkError, Operator};

/// Raised when the requests or answers change their form.
pub const PROTOCOL: u32 = 1;
/// Largest request, in bytes.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Largest answer that the client takes, in bytes: 500 rows of a list stay far below.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Connections served at once; further ones wait.
pub const CONNECTIONS_MAX: usize = 64;

/// Longest path that the system takes for a Unix socket, in bytes, on every system we know.
const SOCKET_PATH_BYTES_MAX: usize = 103;
/// The status of an answer that holds an error. One for all: the body says which.
const STATUS_FAILED: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
const HEADER_VERSION: &str = "doorward-version";
const HEADER_PROTOCOL: &str = "doorward-protocol";
const HEADER_OPERATOR: &str = "doorward-operator";
const HEADER_REQUEST_ID: &str = "doorward-request-id";
/// Longest operator's name and request id, in bytes.
const LABEL_BYTES_MAX: usize = 128;

/// This program's version.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// What one end of the socket is. Both name theirs in every message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// [`PROTOCOL`] of that end.
    pub protocol: String,
    /// The program's own.
    pub program: String,
}

impl Version {
    /// This end.
    #[must_use]
    pub fn ours() -> Self {
        Self { protocol: PROTOCOL.to_string(), program: PROGRAM.to_owned() }
    }

    /// The end that sent these headers.
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(clean_label);
        let unknown = || "unknown".to_owned();
        Self {
            protocol: text(HEADER_PROTOCOL).unwrap_or_else(unknown),
            program: text(HEADER_VERSION).unwrap_or_else(unknown),
        }
    }
}

/// The words for two ends of different versions.
fn mismatch_text(server: &Version, client: &Version) -> String {
    format!(
        "the running server is doorward {} and speaks version {} of the admin protocol, this program is doorward {} and \
         speaks version {}: use the same version of doorward",
        server.program, server.protocol, client.program, client.protocol
    )
}

/// Where the socket is: in the data directory, which only the server's user may enter, or where a group may use it.
#[must_use]
pub fn socket_path(config: &Config) -> PathBuf {
    let Config { admin, server, .. } = config;
    let dir = if admin.group.is_empty() { &server.data_dir } else { &admin.socket_dir };
    dir.join("admin.sock")
}

/// Whether the system takes the socket's path; the error says what to do.
fn check_length(path: &Path) -> io::Result<()> {
    let bytes = path.as_os_str().len();
    if bytes <= SOCKET_PATH_BYTES_MAX {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!(
            "the path of the admin socket has {bytes} bytes and a socket takes {SOCKET_PATH_BYTES_MAX}: choose a \
             shorter server.data_dir, or a relative one (with admin.group: a shorter admin.socket_dir)"
        ),
    ))
}

/// A name as the audit trail takes it: one line, not overlong.
fn clean_label(text: &str) -> String {
    let mut clean: String = text.chars().filter(|c| !c.is_control()).collect();
    clean.truncate(clean.floor_char_boundary(LABEL_BYTES_MAX));
    clean.trim().to_owned()
}

/// A fresh id that ties an answer, the log and the audit entry together.
fn new_request_id() -> String {
    let mut bytes = [0; 16];
    // Without randomness an id is of little use, but the operation matters more than its label.
    let _ = getrandom::fill(&mut bytes);
    uuid::Uuid::from_bytes(bytes).simple().to_string()
}
