//! What an operation needs of its caller. Checked at the single door, so that nobody can forget it.

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
    /// The key must hold this scope.
    Scope(&'static str),
    /// The same, unless `auth.allow_keys_on_two_factor` is off: then `Unsupported`.
    TwoFactorScope(&'static str),
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
}
