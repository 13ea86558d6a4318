//! `doorward audit`: the audit trail.

use std::num::NonZeroUsize;

use clap::{Args, Subcommand};

use super::output::{moment, table};
use super::{Failure, Output};
use crate::admin::Link;
use crate::app::audit::{AuditPage, ListAudit};
use crate::app::views::{AuditRow, UserRef};
use crate::domain::audit::{AuditActor, Outcome};

/// Most entries that one question to the operations may ask for.
const ROWS_AT_ONCE_MAX: usize = 500;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List what happened, newest first
    #[command(after_help = "\
Examples:
  doorward audit list --user ada@example.com
  doorward audit list --event two_factor --limit 20 --json")]
    List(List),
}

#[derive(Debug, Args)]
pub struct List {
    /// Only what concerns this user
    #[arg(long = "user", value_name = "USER")]
    about: Option<String>,
    /// Only events whose name starts with this, such as `two_factor`
    #[arg(long, value_name = "PREFIX")]
    event: Option<String>,
    /// Only entries before this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// Most entries to list
    #[arg(long, value_name = "N", default_value = "50")]
    limit: NonZeroUsize,
}

impl Command {
    pub async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let Self::List(list) = self;
        let page = list.read(link).await?;
        output.answer(&page, || rows_text(&page.rows))?;
        if let Some(next) = page.next {
            output.note(&format!("there are more: --before {next} lists them"));
        }
        Ok(())
    }
}

impl List {
    /// Asks page by page until there are enough.
    async fn read(&self, link: &Link) -> Result<AuditPage, Failure> {
        let mut read = AuditPage { rows: Vec::new(), next: self.before, newest: 0 };
        loop {
            let missing = self.limit.get().saturating_sub(read.rows.len());
            let page = link
                .call(ListAudit {
                    user: self.about.clone().map(UserRef),
                    event: self.event.clone(),
                    before: read.next,
                    limit: missing.min(ROWS_AT_ONCE_MAX),
                })
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
