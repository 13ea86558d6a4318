//! A write whose answer never came, and what is said of it. Asks nothing.

use crate::app::requests::RequestOutcome;
use crate::console::text::thousands;
use crate::domain::audit::Outcome;

/// A write of which it is not known whether it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWrite {
    /// The id of its request.
    pub id: String,
    /// What it was, and to whom: `Reset 2FA, anna.smith@corp.example.com`.
    pub what: String,
    /// The id of the request that looks it up.
    pub asked_by: Option<String>,
}

impl UnknownWrite {
    #[must_use]
    pub const fn new(id: String, what: String) -> Self {
        Self { id, what, asked_by: None }
    }

    /// When the answer did not come.
    #[must_use]
    pub fn lost(&self) -> String {
        format!("Not known yet whether this was done: {}. It is looked up as soon as there is a server.", self.what)
    }

    /// Whether it was done after all, and that in words; `None` while it is still under way.
    #[must_use]
    pub fn told(&self, outcome: &RequestOutcome) -> Option<Result<String, String>> {
        let what = &self.what;
        match outcome {
            RequestOutcome::UnderWay => None,
            RequestOutcome::Unknown => Some(Err(format!(
                "It was not done, and nothing was changed: {what}. Do it again if it is still wanted."
            ))),
            RequestOutcome::Done(entries) => {
                let is_done = entries.iter().all(|entry| entry.record.outcome == Outcome::Done);
                let word = if is_done { "It was done" } else { "It was refused" };
                let number = entries.last().map_or(0, |entry| entry.number);
                Some(Ok(format!("{word}: {what}. Audit #{}.", thousands(number))))
            }
        }
    }

    /// When asking again would not help.
    #[must_use]
    pub fn lost_for_good(&self, why: &str) -> String {
        format!("Not known whether this was done: {}. It cannot be looked up ({why}): see the audit trail.", self.what)
    }
}
