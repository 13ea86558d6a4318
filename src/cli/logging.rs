//! Logs go to standard error, as text or JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::{Failure, Global};
use crate::config::{Log, LogFormat};

/// Starts the server's log: as configured, unless the flags want more or less.
pub(super) fn start(log: &Log, global: &Global) -> Result<(), Failure> {
    let level = level(global).unwrap_or(&log.level);
    start_at(level, log.format, global)
}

/// Starts the log of a command, which keeps to warnings: its answer is what it has to say.
pub(super) fn start_for_command(global: &Global) -> Result<(), Failure> {
    start_at(level(global).unwrap_or("warn"), LogFormat::Text, global)
}

fn level(global: &Global) -> Option<&'static str> {
    match (global.quiet, global.verbose) {
        (true, _) => Some("error"),
        (false, 0) => None,
        (false, 1) => Some("info,doorward=debug"),
        (false, _) => Some("debug"),
    }
}

fn start_at(level: &str, format: LogFormat, global: &Global) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(level).map_err(|error| Failure::Failed(format!("log.level: {error}")))?;
    let colours = std::io::stderr().is_terminal() && !global.no_color && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::Failed(format!("cannot start the log: {error}")))
}
