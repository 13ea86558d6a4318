//! Logs go to standard error, as text or JSON.
//!
//! Those of the server go through a thread of its own, so that no request waits for whoever reads them. A reader that
//! stops costs lines, never the server; what must not be lost is in the audit trail.

use std::io::{self, BufWriter, IsTerminal};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::{Failure, Global};
use crate::config::{Log, LogFormat};

/// Lines that may wait to be written; further ones are lost.
const WAITING_LINES_MAX: usize = 16_384;

/// Starts the server's log: as configured, unless the flags want more or less. Dropping the guard writes what waits.
pub(super) fn start(log: &Log, global: &Global) -> Result<WorkerGuard, Failure> {
    let level = level(global).unwrap_or(&log.level);
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES_MAX)
        .thread_name("log")
        .finish(BufWriter::new(io::stderr()));
    start_at(level, log.format, global, writer)?;
    Ok(guard)
}

/// Starts the log of a command, which keeps to warnings: its answer is what it has to say.
pub(super) fn start_for_command(global: &Global) -> Result<(), Failure> {
    start_at(level(global).unwrap_or("warn"), LogFormat::Text, global, io::stderr)
}

fn level(global: &Global) -> Option<&'static str> {
    match (global.quiet, global.verbose) {
        (true, _) => Some("error"),
        (false, 0) => None,
        (false, 1) => Some("info,doorward=debug"),
        (false, _) => Some("debug"),
    }
}

fn start_at<W>(level: &str, format: LogFormat, global: &Global, writer: W) -> Result<(), Failure>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(level).map_err(|error| Failure::Failed(format!("log.level: {error}")))?;
    let colours = io::stderr().is_terminal() && !global.no_color && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(cannot_start)
}

fn cannot_start(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(format!("cannot start the log: {error}"))
}
