//! `doorward session`: login sessions.

use clap::{ArgGroup, Args, Subcommand};

use super::output::{moment, table};
use super::proof::Sure;
use super::{Failure, Output};
use crate::admin::Link;
use crate::app::sessions::{ListSessionsOf, RevokeSessions};
use crate::app::views::{SessionRow, UserRef};
use crate::domain::text::for_display;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the sessions of a user
    #[command(after_help = "Example:\n  doorward session list ada@example.com")]
    List { user: String },
    /// End one session of a user, or all of them
    #[command(after_help = "\
Examples:
  doorward session revoke ada@example.com SESSION_ID --reason \"stolen laptop\"
  doorward session revoke ada@example.com --all --reason \"stolen laptop\"")]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["id", "all"]))]
pub struct Revoke {
    user: String,
    /// The session's id, as `session list` shows it
    id: Option<String>,
    /// All sessions, and the remembered devices
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    sure: Sure,
}

impl Command {
    pub async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        match self {
            Self::List { user } => {
                let sessions = link.call(ListSessionsOf { user: UserRef(user) }).await?;
                output.answer(&sessions, || sessions_text(&sessions))
            }
            Self::Revoke(Revoke { user, id, sure, .. }) => {
                let user = UserRef(user);
                let proof = if id.is_some() { sure.unconfirmed() } else { sure.proof(link, &user).await? };
                let done = link.call(RevokeSessions { user, id, proof }).await?;
                output.answer(&done, || for_display(&done.summary))
            }
        }
    }
}

fn sessions_text(sessions: &[SessionRow]) -> String {
    if sessions.is_empty() {
        return "no sessions; a login makes one".to_owned();
    }
    let rows = sessions.iter().map(|session| {
        [
            session.id.clone(),
            moment(session.created_at),
            moment(session.last_activity),
            session.address.clone().unwrap_or_else(|| "unknown".to_owned()),
            session.device.clone(),
            if session.verified { "yes" } else { "no" }.to_owned(),
        ]
    });
    table(["ID", "STARTED", "LAST SEEN", "FROM", "CLIENT", "VERIFIED"], rows.collect())
}
