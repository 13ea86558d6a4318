//! `doorward job`: acts on many users, which the server carries out one user after the other.

use clap::{Args, Subcommand, ValueEnum};

use super::output::{complain, count, facts, moment, moment_or, table};
use super::proof::Sure;
use super::user::words;
use super::{Failure, Output, sensitive, when};
use crate::admin::Link;
use crate::app::jobs::{
    DraftJob, JobAct, JobDetail, JobDraft, JobKind, JobOutcome, JobResult, JobRow, ListJobs, ReadDraft, ReadJob,
    Selection, StartJob, SteerJob,
};
use crate::app::safety::Proof;
use crate::domain::text::for_display;
use crate::domain::time::Timestamp;
use crate::domain::user_filter::UserQuery;

/// Results that are shown unless told otherwise.
const RESULTS: usize = 50;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the jobs, newest first
    #[command(after_help = "Example:\n  doorward job list")]
    List,
    /// Show a job, and what became of its users
    #[command(after_help = "Examples:\n  doorward job show 7\n  doorward job show 7 --after 50 --limit 200")]
    Show {
        /// The job's number
        id: String,
        /// Only users with a higher number
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
        /// Most users shown, 500 at most
        #[arg(long, value_name = "COUNT", default_value_t = RESULTS)]
        limit: usize,
    },
    /// Freeze which users are meant and say what would be done; nothing happens yet
    #[command(after_help = "\
Examples:
  doorward job draft --kind remind --query \"role:staff 2fa:off\"
  doorward job draft --kind require --query \"role:staff 2fa:off\" --from 2026-12-01
  doorward job draft --kind reset --query \"locked\"

A draft can be started for an hour.")]
    Draft(Draft),
    /// Start a draft
    #[command(after_help = "\
Examples:
  doorward job start 7 --reason \"second factor for all staff by December\"
  doorward job start 8 --reason \"phones of one batch, HD-4711\" --verified-by manager")]
    Start(Start),
    /// Pause a job between two users
    #[command(after_help = "Example:\n  doorward job pause 7")]
    Pause {
        /// The job's number
        id: String,
    },
    /// Let a paused job go on
    #[command(after_help = "Example:\n  doorward job resume 7")]
    Resume {
        /// The job's number
        id: String,
    },
    /// End a job between two users; what was done stays done
    #[command(after_help = "Example:\n  doorward job stop 7")]
    Stop {
        /// The job's number
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct Draft {
    /// What is to be done to each user
    #[arg(long)]
    kind: Kind,
    /// Which users, as in `user list`: words and filters; empty for all
    #[arg(long, value_name = "WORDS", value_parser = words)]
    query: String,
    /// From when on a second factor is required
    #[arg(long, value_name = "MOMENT", value_parser = when::to_come, long_help = when_help(), required_if_eq("kind", "require"))]
    from: Option<Timestamp>,
}

#[derive(Debug, Args)]
pub struct Start {
    /// The draft's number
    id: String,
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// How the callers were checked; for a reset and a demanded new device
    #[arg(long, value_name = "TEXT")]
    verified_by: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Remind those without a second factor by mail
    Remind,
    /// Let those without a second factor do nothing but enrol, from a day on
    Require,
    /// Demand a new device of those who have one, from now on
    Demand,
    /// Reset the second factor, of at most 20 users
    Reset,
}

fn when_help() -> String {
    format!("From when on a second factor is required: {}", when::FORMS)
}

impl Command {
    pub async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let steer = async |id, act| {
            let job = link.call(SteerJob { id, act }).await?;
            output.answer(&job, || state_text(&job))
        };
        match self {
            Self::List => {
                let jobs = link.call(ListJobs {}).await?;
                output.answer(&jobs, || list_text(&jobs))
            }
            Self::Show { id, after, limit } => {
                let job = link.call(ReadJob { id, after, limit }).await?;
                output.answer(&job, || show_text(&job))
            }
            Self::Draft(draft) => draft.run(link, output).await,
            Self::Start(start) => start.run(link, output).await,
            Self::Pause { id } => steer(id, JobAct::Pause).await,
            Self::Resume { id } => steer(id, JobAct::Resume).await,
            Self::Stop { id } => steer(id, JobAct::Stop).await,
        }
    }
}

impl Draft {
    async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let kind = match (self.kind, self.from) {
            (Kind::Require, Some(from)) => JobKind::RequireEnrolment { from },
            (Kind::Require, None) => return Err(Failure::Usage("say from when on: --from".to_owned())),
            (_, Some(_)) => return Err(Failure::Usage("--from goes with --kind require only".to_owned())),
            (Kind::Remind, None) => JobKind::RemindToEnrol,
            (Kind::Demand, None) => JobKind::DemandReEnrolment,
            (Kind::Reset, None) => JobKind::ResetTwoFactor,
        };
        let UserQuery { words, filters } = UserQuery::parse(&self.query);
        let selection = Selection::Matching { query: words, filters };
        let draft = link.call(DraftJob { kind, selection }).await?;
        output.answer(&draft, || {
            format!("{}start it with `doorward job start {} --reason ...`", draft_text(&draft), draft.id)
        })
    }
}

impl Start {
    async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let mut sure = Sure { reason: self.reason, verified_by: self.verified_by, yes: self.yes };
        sure.check()?;
        let draft = link.call(ReadDraft { id: self.id.clone() }).await?;
        if sure.asks() {
            complain(draft_text(&draft).trim_end());
        }
        if draft.kind.wants_check() {
            sure.verified_by = Some(sure.caller_check()?);
        }
        let confirm = if sure.asks() {
            sensitive::ask("Type the number of users that it will be done to:")?
        } else {
            draft.does.to_string()
        };
        let proof = Proof { confirm: Some(confirm), ..sure.unconfirmed() };
        let job = link.call(StartJob { id: self.id, proof }).await?;
        if !link.is_live() {
            output.note("no server is running: the job begins when one starts, or when the console opens the store");
        }
        output.answer(&job, || state_text(&job))
    }
}

fn draft_text(draft: &JobDraft) -> String {
    let skipped = draft.skipped.iter().map(|(why, count)| format!("{count} {why}"));
    let skipped: Vec<String> = skipped.collect();
    facts(&[
        ("draft", draft.id.clone()),
        ("users", draft.users.to_string()),
        ("done to", draft.does.to_string()),
        ("left out", skipped.join("; ")),
        ("such as", draft.samples.join(", ")),
        ("good until", moment(draft.expires_at)),
    ])
}

fn state_text(job: &JobRow) -> String {
    format!("job {} is {}: {} of {} seen to", job.id, job.state.as_str(), job.seen_to(), users(job.users))
}

fn users(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "user")
}

fn kind(job: &JobRow) -> String {
    match job.kind {
        JobKind::RequireEnrolment { from } => format!("require from {}", moment(from)),
        other => other.as_str().to_owned(),
    }
}

fn list_text(jobs: &[JobRow]) -> String {
    if jobs.is_empty() {
        return "no jobs; `doorward job draft` begins one".to_owned();
    }
    let rows = jobs.iter().map(|job| {
        [
            job.id.clone(),
            job.state.as_str().to_owned(),
            kind(job),
            format!("{}/{}", job.seen_to(), job.users),
            job.done.to_string(),
            job.skipped.to_string(),
            job.failed.to_string(),
            job.asked_by.clone(),
            job.reason.clone(),
        ]
    });
    table(["JOB", "STATE", "WHAT", "USERS", "DONE", "LEFT OUT", "FAILED", "BY", "WHY"], rows.collect())
}

fn show_text(job: &JobDetail) -> String {
    let row = &job.row;
    let head = facts(&[
        ("job", row.id.clone()),
        ("what", kind(row)),
        ("state", row.state.as_str().to_owned()),
        ("pace", row.rate_note.clone().unwrap_or_default()),
        ("started by", row.asked_by.clone()),
        ("why", row.reason.clone()),
        ("drafted", moment(row.created_at)),
        ("over", moment_or(row.finished_at, "")),
        ("users", format!("{} of {}", row.seen_to(), row.users)),
        ("done", row.done.to_string()),
        ("left out", row.skipped.to_string()),
        ("failed", row.failed.to_string()),
    ]);
    let rows = job.results.iter().map(|result| {
        let audit = result.audit_number.map(|number| number.to_string()).unwrap_or_default();
        [result.number.to_string(), result.email.clone(), outcome(result), audit]
    });
    let body = table(["NUMBER", "USER", "OUTCOME", "AUDIT"], rows.collect());
    let more = job.next.map(|next| format!("more: --after {next}\n")).unwrap_or_default();
    format!("{head}\n{body}{more}")
}

fn outcome(result: &JobResult) -> String {
    let word = match result.outcome {
        JobOutcome::Done => "done",
        JobOutcome::Skipped => "left out",
        JobOutcome::Failed => "failed",
        JobOutcome::Waiting => "waiting",
    };
    match &result.note {
        Some(note) => format!("{word}: {}", for_display(note)),
        None => word.to_owned(),
    }
}
