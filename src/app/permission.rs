//! What an operation needs of its caller. Checked at the single door, so that nobody can forget it.

use serde::{Deserialize, Serialize};

use super::{Context, Identity, PresentedSession};
use crate::domain::api_key::ApiKey;
use crate::domain::session::{REAUTH_SECONDS, Session};
use crate::domain::user::User;
use crate::error::{Error, Result};

/// See the constructors; the parts combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    pub who: Who,
    pub key: KeyRule,
    /// Sessions must have authenticated within the re-authentication window (spec §1.9).
    pub sensitive: bool,
    /// Allowed before the second factor that the gate demands is there (spec §4.8).
    pub passes_gate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anybody, also without credentials.
    Anyone,
    /// A logged-in user.
    User,
    /// An operator at the console or command line, for looking or for writing.
    OperatorRead,
    OperatorWrite,
}

/// What an API key may do with an operation (spec §1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRule {
    /// Session only: a key counts as no credential, 401.
    Ignored,
    /// 403 `This action does not support personal API key access`.
    Unsupported,
    /// 403 `This action does not support Personal API Key access` (the personal API key endpoints, spec §3.8).
    UnsupportedOnKeys,
    /// Whatever its scopes; the operation sees to it that a key gets no further than itself (spec §3.8).
    Itself,
    /// The key must hold this scope.
    Scope(&'static str),
    /// The same, unless `auth.allow_keys_on_two_factor` is off: then `Unsupported`.
    TwoFactorScope(&'static str),
}

/// What an operator may do at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rights {
    /// Look only (`admin.readers_group`).
    Reader,
    Operator,
}

impl Permission {
    pub const ANYONE: Self = Self { who: Who::Anyone, key: KeyRule::Unsupported, sensitive: false, passes_gate: true };
    pub const USER: Self = Self { who: Who::User, key: KeyRule::Unsupported, sensitive: false, passes_gate: false };
    pub const OPERATOR_READ: Self = Self { who: Who::OperatorRead, ..Self::USER };
    pub const OPERATOR_WRITE: Self = Self { who: Who::OperatorWrite, ..Self::USER };

    #[must_use]
    pub const fn key(self, key: KeyRule) -> Self {
        Self { key, ..self }
    }

    #[must_use]
    pub const fn sensitive(self) -> Self {
        Self { sensitive: true, ..self }
    }

    #[must_use]
    pub const fn passes_gate(self) -> Self {
        Self { passes_gate: true, ..self }
    }

    /// Whether calls with an API key count against its limit: everything but the users endpoints (spec §1.11).
    #[must_use]
    pub fn limits_keys(self) -> bool {
        match self.key {
            KeyRule::Itself => true,
            KeyRule::Scope(scope) | KeyRule::TwoFactorScope(scope) => !scope.starts_with("user:"),
            KeyRule::Ignored | KeyRule::Unsupported | KeyRule::UnsupportedOnKeys => false,
        }
    }
}

impl Context<'_> {
    /// Whether the actor may do what needs this.
    pub(super) fn check(&self, needs: Permission) -> Result<()> {
        match (needs.who, &self.actor.identity) {
            (Who::OperatorWrite, Identity::Operator { rights: Rights::Reader, .. }) => {
                Err(Error::refused("not_allowed", "your group may look only"))
            }
            (Who::Anyone, _)
            | (Who::OperatorRead | Who::OperatorWrite, Identity::Operator { .. } | Identity::System) => Ok(()),
            (Who::User, Identity::Session { user, session }) => {
                if !needs.passes_gate {
                    self.check_gate(user, session)?;
                }
                if needs.sensitive { self.check_reauth(&session.session) } else { Ok(()) }
            }
            (Who::User, Identity::ApiKey { key, .. }) => self.check_key(needs.key, key),
            (Who::User, Identity::Anonymous | Identity::Pending(_)) => Err(Error::NotAuthenticated),
            (Who::User, Identity::Operator { .. } | Identity::System) | (Who::OperatorRead | Who::OperatorWrite, _) => {
                Err(Error::permission_denied())
            }
        }
    }

    /// The gate (spec §4.8): a user of whom a second factor is demanded, by the current organization or by an operator,
    /// gets no further without one, and not without having proved it in this session.
    pub(super) fn check_gate(&self, user: &User, presented: &PresentedSession) -> Result<()> {
        let is_due = user.second_factor.is_enrolment_due(self.now);
        if !is_due && !presented.wants_second_factor {
            return Ok(());
        }
        if is_due || !user.second_factor.is_enabled() {
            return Err(Error::TwoFactorSetupRequired);
        }
        let lasts_s = i64::from(self.config().auth.session_days) * 86_400;
        match presented.session.verified_at {
            Some(at) if self.now.seconds_since(at) < lasts_s => Ok(()),
            _ => Err(Error::TwoFactorVerificationRequired),
        }
    }

    /// The re-authentication window (spec §1.9).
    pub(super) fn check_reauth(&self, session: &Session) -> Result<()> {
        if self.now.seconds_since(session.authenticated_at) >= REAUTH_SECONDS {
            return Err(Error::reauth_required());
        }
        Ok(())
    }

    fn check_key(&self, rule: KeyRule, key: &ApiKey) -> Result<()> {
        let unsupported = || Err(Error::denied("This action does not support personal API key access"));
        let scope = match rule {
            KeyRule::Itself => return Ok(()),
            KeyRule::Ignored => return Err(Error::NotAuthenticated),
            KeyRule::Unsupported => return unsupported(),
            KeyRule::UnsupportedOnKeys => return Err(unsupported_on_keys()),
            KeyRule::TwoFactorScope(_) if !self.config().auth.allow_keys_on_two_factor => return unsupported(),
            KeyRule::TwoFactorScope(scope) | KeyRule::Scope(scope) => scope,
        };
        if key.allows(scope) { Ok(()) } else { Err(Error::denied(format!("API key missing required scope '{scope}'"))) }
    }
}

/// The personal API key endpoints say it with capital letters (spec §3.8).
pub(super) fn unsupported_on_keys() -> Error {
    Error::denied("This action does not support Personal API Key access")
}
