//! `doorward audit`: the audit trail.

use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::export::create;
use super::output::{json_line, moment, table};
use super::{Failure, Output, when};
use crate::admin::Link;
use crate::app::audit::{AuditFilter, AuditPage, ExportAudit, ListAudit};
use crate::app::views::{AuditRow, UserRef};
use crate::domain::audit::{AuditActor, Outcome};
use crate::domain::text::for_display;
use crate::domain::time::Timestamp;

/// Most entries that one question to the operations may ask for.
const ROWS_AT_ONCE_MAX: usize = 500;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List what happened, newest first
    #[command(after_help = "\
Examples:
  doorward audit list --user ada@example.com
  doorward audit list --event two_factor --limit 20 --json
  doorward audit list --operators --by jdoe --since 2d")]
    List(List),
    /// Write what happened as lines of JSON, oldest first
    #[command(after_help = "\
Examples:
  doorward audit export audit.jsonl
  doorward audit export --since 2026-11-01 --until 2026-12-01 > november.jsonl")]
    Export(Export),
    /// Follow the chain of entries and say where one was changed, removed, moved or put in
    #[command(after_help = "Example:\n  doorward audit verify")]
    Verify,
}

/// Which entries.
#[derive(Debug, Args)]
pub struct Filter {
    /// Only what happened to this user
    #[arg(long = "user", value_name = "USER")]
    about: Option<String>,
    /// Only what was done by these: part of an operator's name or of a user's address, or `system`
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// Only events whose name starts with this, such as `two_factor`
    #[arg(long, value_name = "PREFIX")]
    event: Option<String>,
    /// Not before this: a date, a date with a time (UTC), or how long ago, such as 90m, 12h or 7d
    #[arg(long, value_name = "WHEN", value_parser = when::past)]
    since: Option<Timestamp>,
    /// Only before this
    #[arg(long, value_name = "WHEN", value_parser = when::past)]
    until: Option<Timestamp>,
    /// Only what operators did
    #[arg(long)]
    operators: bool,
}

impl From<Filter> for AuditFilter {
    fn from(filter: Filter) -> Self {
        Self {
            user: filter.about.map(UserRef),
            actor: filter.by,
            event: filter.event,
            since: filter.since,
            until: filter.until,
            operators_only: filter.operators,
        }
    }
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only entries before this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// Most entries to list
    #[arg(long, value_name = "N", default_value = "50")]
    limit: NonZeroUsize,
}

#[derive(Debug, Args)]
pub struct Export {
    /// File to write, which must not exist [default: standard output]
    file: Option<PathBuf>,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Debug, Serialize)]
struct Exported {
    entries: usize,
    file: PathBuf,
}

impl Command {
    pub async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(link, output).await,
            Self::Export(export) => export.run(link, output).await,
            Self::Verify => super::verify::audit(link, output).await,
        }
    }
}

impl Export {
    async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let filter = self.filter.into();
        let Some(path) = self.file else {
            return match export(link, filter, io::stdout().lock(), "cannot write the export").await {
                // A reader that has seen enough (`| head`) is no failure.
                Err(Failure::Io { error, .. }) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                exported => exported.map(drop),
            };
        };
        let failed = format!("cannot write {}", path.display());
        let file = create(&path).map_err(Failure::io(failed.clone()))?;
        let written = export(link, filter, &file, &failed).await;
        let entries = written.and_then(|entries| file.sync_all().map(|()| entries).map_err(Failure::io(failed)));
        let entries = entries.inspect_err(|_| {
            // Half an export is none; there is nobody to tell when it stays.
            let _ = std::fs::remove_file(&path);
        })?;
        let text = format!("exported {entries} entries to {}", for_display(&path.display().to_string()));
        output.answer(&Exported { entries, file: path }, || text)
    }
}

/// Writes the entries, one on a line; answers how many there are.
async fn export(link: &Link, filter: AuditFilter, to: impl Write, failed: &str) -> Result<usize, Failure> {
    let mut to = BufWriter::new(to);
    let io = |error| Failure::io(failed.to_owned())(error);
    let (mut entries, mut after) = (0, Some(0));
    while let Some(number) = after {
        let page = link.call(ExportAudit { filter: filter.clone(), after: number, limit: ROWS_AT_ONCE_MAX }).await?;
        for row in &page.rows {
            writeln!(to, "{}", json_line(row)?).map_err(io)?;
        }
        entries += page.rows.len();
        after = page.next;
    }
    to.flush().map_err(io)?;
    Ok(entries)
}

impl List {
    async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let page = self.read(link).await?;
        output.answer(&page, || rows_text(&page.rows))?;
        if let Some(next) = page.next {
            output.note(&format!("there are more: --before {next} lists them"));
        }
        Ok(())
    }

    /// Asks page by page until there are enough.
    async fn read(self, link: &Link) -> Result<AuditPage, Failure> {
        let filter = AuditFilter::from(self.filter);
        let mut read = AuditPage { rows: Vec::new(), next: self.before, newest: 0 };
        loop {
            let missing = self.limit.get().saturating_sub(read.rows.len());
            let page = link
                .call(ListAudit { filter: filter.clone(), before: read.next, limit: missing.min(ROWS_AT_ONCE_MAX) })
                .await?;
            read.rows.extend(page.rows);
            read.next = page.next;
            read.newest = page.newest;
            if read.next.is_none() || read.rows.len() >= self.limit.get() {
                return Ok(read);
            }
        }
    }
}

pub(super) fn rows_text(rows: &[AuditRow]) -> String {
    if rows.is_empty() {
        return "nothing has happened that matches".to_owned();
    }
    let rows = rows.iter().map(|row| {
        let record = &row.record;
        [
            row.number.to_string(),
            moment(record.at),
            who(&record.actor),
            record.event.as_str().to_owned(),
            record.whom().unwrap_or_default().to_owned(),
            outcome(record.outcome).to_owned(),
            record.reason.clone().unwrap_or_default(),
        ]
    });
    table(["NUMBER", "WHEN", "WHO", "EVENT", "USER", "OUTCOME", "REASON"], rows.collect())
}

fn who(actor: &AuditActor) -> String {
    match actor {
        AuditActor::Anonymous => "somebody".to_owned(),
        AuditActor::System => "system".to_owned(),
        AuditActor::User { email, .. } => email.clone(),
        AuditActor::Operator { uid, name } if name.is_empty() => format!("operator (uid {uid})"),
        AuditActor::Operator { uid, name } => format!("{name} (uid {uid})"),
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Failed => "failed",
        Outcome::Refused => "refused",
    }
}
