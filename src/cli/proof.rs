//! What an operator gives with a write on the command line: from flags, or asked for on the terminal.

use clap::Args;

use super::output::complain;
use super::{Failure, sensitive};
use crate::admin::Link;
use crate::app::directory::InspectUser;
use crate::app::safety::Proof;
use crate::app::views::UserRef;
use crate::domain::text::for_display;

/// The flags of what can be taken back or does little harm.
#[derive(Debug, Args)]
pub struct Reason {
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Reason {
    pub(super) fn proof(self) -> Proof {
        Proof::of(self.reason)
    }
}

/// The flags of what cannot be taken back.
#[derive(Clone, Debug, Args)]
pub struct Sure {
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: String,
    /// How the caller was checked
    #[arg(long, value_name = "TEXT")]
    pub(super) verified_by: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
}

impl Sure {
    /// The proof without the typed confirmation, for what does not want one.
    pub(super) fn unconfirmed(self) -> Proof {
        Proof { reason: self.reason, verified_by: self.verified_by, confirm: None }
    }

    /// Whether somebody can be asked, or nobody has to be.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.yes || sensitive::can_ask() {
            return Ok(());
        }
        Err(Failure::Usage("there is no terminal to ask on: add --yes to do it without a question".to_owned()))
    }

    /// Whether it asks.
    pub(super) fn asks(&self) -> bool {
        !self.yes
    }

    /// How the caller was checked; asked for where nothing is said.
    pub(super) fn caller_check(&self) -> Result<String, Failure> {
        match &self.verified_by {
            Some(text) => Ok(text.clone()),
            None if self.yes => Ok("not stated (--yes)".to_owned()),
            None => answer("How was the caller checked?"),
        }
    }

    /// The whole proof for what is done to this user. With `--yes` the confirmation is taken from the user's address:
    /// who writes the flag has confirmed.
    pub(super) async fn proof(self, link: &Link, user: &UserRef) -> Result<Proof, Failure> {
        self.check()?;
        let email = link.call(InspectUser { user: user.clone() }).await?.row.email;
        let verified_by = Some(self.caller_check()?);
        let Self { reason, yes, .. } = self;
        if yes {
            let local = email.rsplit_once('@').map_or(email.as_str(), |(local, _)| local);
            return Ok(Proof { reason, verified_by, confirm: Some(local.to_owned()) });
        }
        complain(&format!("This is about {}.", for_display(&email)));
        let confirm = answer("Type the part before the @ to go on:")?;
        Ok(Proof { reason, verified_by, confirm: Some(confirm) })
    }
}

/// An empty answer is a no.
fn answer(question: &str) -> Result<String, Failure> {
    let answer = sensitive::ask(question)?;
    if answer.is_empty() { Err(Failure::Failed("nothing was changed".to_owned())) } else { Ok(answer) }
}
