//! Logs go to standard error, as text or JSON.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::log_writer::{self, LogThread};
use super::{Failure, Global};
use crate::config::{Log, LogFormat};

/// Starts the server's log: as configured, unless the flags want more or less. What is logged after the thread was
/// dropped goes straight to standard error.
pub(super) fn start(log: &Log, global: &Global) -> Result<LogThread, Failure> {
    let level = level(global).unwrap_or(&log.level);
    let (writer, thread) = log_writer::start(io::stderr()).map_err(cannot_start)?;
    start_at(level, log.format, global, move || writer.clone())?;
    Ok(thread)
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
