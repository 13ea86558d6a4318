//! How sure an operator must be. The operations ask for it, whichever door they come through:
//! what a screen forgets to ask for is refused here.

use serde::{Deserialize, Serialize};

use super::audit::Note;
use super::{Context, Identity};
use crate::domain::user::User;
use crate::error::{Error, Result};

/// Shortest reason, in letters: a word that says nothing is no reason.
const REASON_LETTERS_MIN: usize = 8;
/// What is told of one that is shorter.
pub const REASON_SHORT: &str = "the reason needs eight letters or more";
/// Longest reason and caller check that are kept, in characters.
const TEXT_CHARS_MAX: usize = 500;

/// Whether the text says enough to be a reason; what a server's configuration asks for besides is the operation's to judge.
#[must_use]
pub fn is_reason(text: &str) -> bool {
    text.chars().filter(|c| c.is_alphabetic()).count() >= REASON_LETTERS_MIN
}

/// What an operator gives with every write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Why, for the audit trail: at least eight letters.
    pub reason: String,
    /// How the caller was checked; level 3 wants it.
    pub verified_by: Option<String>,
    /// Typed by hand: the part of the user's address before the `@` (level 3), the number of users (level 4).
    pub confirm: Option<String>,
}

impl Proof {
    /// A reason alone, which is enough up to level 2.
    #[must_use]
    pub fn of(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::default() }
    }
}

/// How much damage an operation can do, and so what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SafetyLevel {
    /// Levels 1 and 2: a reason. That screens ask for a `y` and show what breaks is their matter.
    Reason,
    /// Level 3: how the caller was checked, too, and the local part of the address.
    Person,
}

/// A proof that was checked, as the audit trail takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) reason: String,
    pub(super) verified_by: Option<String>,
}

impl Note {
    /// Why, and how the caller was checked.
    pub(super) fn proven(self, proven: &Proven) -> Self {
        self.reason(&proven.reason).verified_by(proven.verified_by.as_deref())
    }

    /// The same where there is a proof: an operator gives it, an owner need not.
    pub(super) fn maybe_proven(self, proven: Option<&Proven>) -> Self {
        match proven {
            Some(proven) => self.proven(proven),
            None => self,
        }
    }
}

impl Context<'_> {
    /// Whether the proof is enough for something of this level that is done to this user.
    ///
    /// Refused with `reason_too_short`, `reason_pattern`, `caller_check_needed` or `confirmation_wrong`.
    pub(super) fn prove(&self, proof: &Proof, level: SafetyLevel, user: &User) -> Result<Proven> {
        let proven = self.proven(proof)?;
        if level == SafetyLevel::Person {
            check_caller_check(&proven)?;
            check_confirmation(proof, user.email.local_part(), "type the part of the address before the @ to confirm")?;
        }
        Ok(proven)
    }

    /// The same for what is done to the second factor of this user, which nobody does to the own one.
    ///
    /// Refused with `own_second_factor`, too.
    pub(super) fn prove_for_factor(&self, proof: &Proof, level: SafetyLevel, user: &User) -> Result<Proven> {
        let proven = self.prove(proof, level, user)?;
        if self.is_own(user) {
            return Err(Error::refused(
                "own_second_factor",
                "nobody does this to the own second factor: ask another operator",
            ));
        }
        Ok(proven)
    }

    /// The same for something done to many users at once (level 4): the typed number must be right. What is of level 3
    /// when it is done to one user `wants_check` of the callers, too.
    pub(super) fn prove_for_many(&self, proof: &Proof, users: u64, wants_check: bool) -> Result<Proven> {
        let proven = self.proven(proof)?;
        if wants_check {
            check_caller_check(&proven)?;
        }
        check_confirmation(proof, &users.to_string(), "type the number of users to confirm")?;
        Ok(proven)
    }

    /// Whether the operator claims to be this user: by the whole address or, where it is one of staff, by the part before
    /// the `@`. A claim can be false, so this keeps from mistakes and is evidence in the trail; it is no fence.
    pub(super) fn is_own(&self, user: &User) -> bool {
        let Identity::Operator { name, .. } = &self.actor.identity else { return false };
        let is_claimed = |text: &str| name.to_lowercase() == text.to_lowercase();
        is_claimed(user.email.as_str()) || user.is_staff && is_claimed(user.email.local_part())
    }

    fn proven(&self, proof: &Proof) -> Result<Proven> {
        let reason = proof.reason.trim();
        if !is_reason(reason) {
            return Err(Error::refused(
                "reason_too_short",
                "give a reason of at least eight letters; it goes into the audit trail",
            ));
        }
        let pattern = self.config().admin.reason_pattern().map_err(|error| Error::internal(error.to_string()))?;
        if let Some(pattern) = pattern.filter(|pattern| !pattern.is_match(reason)) {
            let text =
                format!("the reason must hold what matches {}, as this server's configuration asks", pattern.as_str());
            return Err(Error::refused("reason_pattern", text));
        }
        let verified_by = proof.verified_by.as_deref().map(str::trim).filter(|text| !text.is_empty());
        Ok(Proven { reason: cut(reason), verified_by: verified_by.map(cut) })
    }
}

fn check_caller_check(proven: &Proven) -> Result<()> {
    match proven.verified_by {
        Some(_) => Ok(()),
        None => Err(Error::refused("caller_check_needed", "say how the caller was checked")),
    }
}

fn check_confirmation(proof: &Proof, wanted: &str, text: &'static str) -> Result<()> {
    if proof.confirm.as_deref().map(str::trim) == Some(wanted) {
        return Ok(());
    }
    Err(Error::refused("confirmation_wrong", text))
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}
