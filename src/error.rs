//! What can go wrong, once: the list that HTTP, the console and the command line all show.
//!
//! `http/reply.rs` alone turns an [`Error`] into a status; the admin socket sends it as it is, so that both console
//! modes show the same words.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::store::StoreError;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation's failure. The texts are part of the wire contract (spec §1.5): keep them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Error {
    /// 400: input that does not fit; `attr` names the field.
    #[error("{detail}")]
    Invalid { code: Cow<'static, str>, detail: Cow<'static, str>, attr: Option<Cow<'static, str>> },
    /// 401: no usable credential was presented.
    #[error("Authentication credentials were not provided.")]
    NotAuthenticated,
    /// 401: a credential was presented and is not valid.
    #[error("{detail}")]
    AuthenticationFailed { detail: Cow<'static, str> },
    /// 403: not allowed.
    #[error("{detail}")]
    Denied { detail: Cow<'static, str> },
    /// 403: allowed only soon after authentication (spec §1.9).
    #[error("{detail}")]
    ReauthRequired { detail: Cow<'static, str> },
    /// 403: the gate of spec §4.8, no device yet.
    #[error("2FA setup required")]
    TwoFactorSetupRequired,
    /// 403: the gate of spec §4.8, session not verified.
    #[error("2FA verification required")]
    TwoFactorVerificationRequired,
    /// 403: too many failed logins (spec §3.5).
    #[error("Too many failed login attempts. Please try again in 10 minutes.")]
    LockedOut,
    /// 404.
    #[error("{detail}")]
    NotFound { detail: Cow<'static, str> },
    /// 409.
    #[error("{detail}")]
    Conflict { detail: Cow<'static, str> },
    /// 429; seconds until the next try, at least 1.
    #[error("{}", throttled_detail(*.retry_after_s))]
    Throttled { retry_after_s: u64 },
    /// An operator's action that a rule refuses (self-reset, too short a reason); exit code 4.
    #[error("{detail}")]
    Refused { code: Cow<'static, str>, detail: Cow<'static, str> },
    /// 503: busy or the store is away; seconds after which a retry makes sense.
    #[error("{detail}")]
    Unavailable { detail: Cow<'static, str>, retry_after_s: u64 },
    /// 500: a fault of ours. `detail` is for the log and the operator, never for a client.
    #[error("{detail}")]
    Internal { detail: Cow<'static, str> },
}

fn throttled_detail(seconds: u64) -> String {
    let unit = if seconds == 1 { "second" } else { "seconds" };
    format!("Request was throttled. Expected available in {seconds} {unit}.")
}

impl Error {
    /// A validation error of one field, or of none.
    pub fn invalid(
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
        attr: Option<&'static str>,
    ) -> Self {
        Self::Invalid { code: code.into(), detail: detail.into(), attr: attr.map(Cow::Borrowed) }
    }

    /// `This field is required.`
    #[must_use]
    pub fn required(attr: &'static str) -> Self {
        Self::invalid("required", "This field is required.", Some(attr))
    }

    pub fn denied(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Denied { detail: detail.into() }
    }

    /// `You do not have permission to perform this action.`
    #[must_use]
    pub fn permission_denied() -> Self {
        Self::denied("You do not have permission to perform this action.")
    }

    /// `This action requires you to be recently authenticated.`
    #[must_use]
    pub fn reauth_required() -> Self {
        Self::ReauthRequired { detail: "This action requires you to be recently authenticated.".into() }
    }

    /// `Not found.`
    #[must_use]
    pub fn not_found() -> Self {
        Self::NotFound { detail: "Not found.".into() }
    }

    pub fn refused(code: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused { code: code.into(), detail: detail.into() }
    }

    /// `The server is busy. Please try again in a moment.`
    #[must_use]
    pub fn busy() -> Self {
        Self::Unavailable { detail: "The server is busy. Please try again in a moment.".into(), retry_after_s: 1 }
    }

    pub fn internal(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Internal { detail: detail.into() }
    }

    /// The stable machine code (spec §1.5).
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Invalid { code, .. } | Self::Refused { code, .. } => code,
            Self::NotAuthenticated => "not_authenticated",
            Self::AuthenticationFailed { .. } => "authentication_failed",
            Self::Denied { .. } => "permission_denied",
            Self::ReauthRequired { .. } => "sensitive_action_required_reauth",
            Self::TwoFactorSetupRequired => "two_factor_setup_required",
            Self::TwoFactorVerificationRequired => "two_factor_verification_required",
            Self::LockedOut => "too_many_failed_attempts",
            Self::NotFound { .. } => "not_found",
            Self::Conflict { .. } => "conflict",
            Self::Throttled { .. } => "throttled",
            Self::Unavailable { .. } => "database_unavailable",
            Self::Internal { .. } => "error",
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_) => Self::Unavailable {
                detail: "We couldn't reach the database just now. Please try again in a moment.".into(),
                retry_after_s: 1,
            },
            StoreError::Overloaded => Self::busy(),
            StoreError::Corrupt(_) | StoreError::TooLarge(_) | StoreError::Lagged => {
                Self::Internal { detail: error.to_string().into() }
            }
        }
    }
}

impl From<crate::domain::fields::FieldError> for Error {
    fn from(error: crate::domain::fields::FieldError) -> Self {
        Self::Invalid { code: error.code, detail: error.detail, attr: error.attr }
    }
}
