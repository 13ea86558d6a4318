//! `doorward audit`: the audit trail.

use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::file::{self, cannot_write, is_standard, shown};
use super::output::{json_line, moment, print, table};
use super::{Failure, Output, when};
use crate::admin::Link;
use crate::app::audit::{AuditFilter, AuditPage, ExportAudit, ListAudit};
use crate::app::checkpoints::TakeCheckpoint;
use crate::app::trail_file::read_checkpoints;
use crate::app::views::{AuditRow, UserRef};
use crate::domain::audit::{AuditActor, Outcome};
use crate::domain::checkpoint::Checkpoint;
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
  doorward audit export --since 2026-11-01 --until 2026-12-01 > november.jsonl

Without a filter but for time, checkpoints stand behind the entries that they name: doorward audit verify FILE checks it all.")]
    Export(Export),
    /// Follow the chain of entries and say where one was changed, removed, moved or put in
    #[command(after_help = "\
Examples:
  doorward audit verify
  doorward audit verify --checkpoint /mnt/elsewhere/checkpoints.jsonl
  doorward audit verify audit.jsonl --checkpoint checkpoints.jsonl

A file is checked by itself, on any machine: neither server nor store nor secret key is needed. The exit code is 1 when
something is wrong.")]
    Verify(Verify),
    /// Sign what the newest entry is, and print that with the public key, to be kept elsewhere
    #[command(after_help = "\
Examples:
  doorward audit checkpoint >> /mnt/elsewhere/checkpoints.jsonl
  doorward audit checkpoint | ssh vault 'cat >> checkpoints.jsonl'

The server signs checkpoints by itself, each day and when it stops. One that lies where nobody can change it shows what the
trail was, whatever becomes of the store: doorward audit verify --checkpoint FILE")]
    Checkpoint(TakeOne),
}

#[derive(Debug, Args)]
pub struct Verify {
    /// What `audit export` wrote, without a filter but for time [default: the trail in the store]
    file: Option<PathBuf>,
    /// Checkpoints that were kept elsewhere, one on a line, with which the trail has to agree
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct TakeOne {
    /// File to write, which must not exist [default: `-`, standard output]
    file: Option<PathBuf>,
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
    /// File to write, which must not exist [default: `-`, standard output]
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
            Self::Verify(verify) => verify.run(link, output).await,
            Self::Checkpoint(take) => take.run(link, output).await,
        }
    }
}

impl Verify {
    /// What is checked without the operations.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        super::verify::audit(link, output, &self.kept()?).await
    }

    /// Checks an export by itself.
    pub(super) fn run_on(&self, file: &Path, output: Output) -> Result<(), Failure> {
        super::verify::exported(file, self.kept()?, output)
    }

    fn kept(&self) -> Result<Vec<Checkpoint>, Failure> {
        let Some(path) = &self.checkpoint else { return Ok(Vec::new()) };
        let shown = shown(path);
        let text = std::fs::read_to_string(path).map_err(Failure::io(format!("cannot read {shown}")))?;
        match read_checkpoints(&text) {
            Ok(kept) if kept.is_empty() => Err(Failure::Failed(format!("there is no checkpoint in {shown}"))),
            Ok(kept) => Ok(kept),
            Err(line) => Err(Failure::Failed(format!("line {line} of {shown} is no checkpoint, or was changed"))),
        }
    }
}

impl TakeOne {
    async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let taken = link.call(TakeCheckpoint {}).await?;
        let Some(checkpoint) = taken else {
            return Err(Failure::Failed("there is no entry yet that a checkpoint could name".to_owned()));
        };
        let text = json_line(&checkpoint)?;
        let Some(path) = self.file.filter(|path| !is_standard(path)) else { return print(&text) };
        let new = file::create(&path)?;
        writeln!(new.file(), "{text}").map_err(cannot_write(&path))?;
        new.keep().map_err(cannot_write(&path))?;
        let text = format!("wrote the checkpoint of entry {} to {}", checkpoint.number, shown(&path));
        output.answer(&checkpoint, || text)
    }
}

impl Export {
    async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let filter = self.filter.into();
        let Some(path) = self.file.filter(|path| !is_standard(path)) else {
            return match export(link, filter, io::stdout().lock(), "cannot write the export").await {
                // A reader that has seen enough (`| head`) is no failure.
                Err(Failure::Io { error, .. }) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                exported => exported.map(drop),
            };
        };
        let new = file::create(&path)?;
        let entries = export(link, filter, new.file(), &format!("cannot write {}", shown(&path))).await?;
        new.keep().map_err(cannot_write(&path))?;
        let text = format!("exported {entries} entries to {}", shown(&path));
        output.answer(&Exported { entries, file: path }, || text)
    }
}

/// Writes the entries, one on a line, and what vouches for them; answers how many there are.
async fn export(link: &Link, filter: AuditFilter, to: impl Write, failed: &str) -> Result<usize, Failure> {
    let mut to = BufWriter::new(to);
    let io = |error| Failure::io(failed.to_owned())(error);
    // So that the last of them is vouched for.
    link.call(TakeCheckpoint {}).await?;
    let (mut entries, mut after) = (0, Some(0));
    while let Some(number) = after {
        let page = link.call(ExportAudit { filter: filter.clone(), after: number, limit: ROWS_AT_ONCE_MAX }).await?;
        if let Some(start) = &page.start {
            writeln!(to, "{}", json_line(start)?).map_err(io)?;
        }
        let mut checkpoints = page.checkpoints.iter().peekable();
        for row in &page.rows {
            writeln!(to, "{}", json_line(row)?).map_err(io)?;
            if let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.number == row.number) {
                writeln!(to, "{}", json_line(checkpoint)?).map_err(io)?;
            }
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
