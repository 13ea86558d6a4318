//! Why a command failed, and the one place that turns that into an exit code.

use std::io;

use crate::admin::LinkError;
use crate::admin::client::is_link_lost;
use crate::app::instance::OpenError;
use crate::config::ConfigError;
use crate::error::Error;

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Operation(#[from] Error),
    #[error("{action}: {error}")]
    Io { action: String, error: io::Error },
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        |error| Self::Io { action, error }
    }

    pub(super) fn runtime(error: io::Error) -> Self {
        Self::io("cannot start")(error)
    }

    /// The exit code (product contract): 1 failed, 2 wrong usage, 3 not found, 4 refused by a rule, 5 no connection or
    /// store locked, 78 bad configuration.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Config(_) => 78,
            Self::Link(LinkError::Open(error)) | Self::Open(error) => open_exit_code(error),
            Self::Link(_) => 5,
            Self::Operation(error) => operation_exit_code(error),
            Self::Io { .. } | Self::Failed(_) => 1,
        }
    }

    /// The stable word for `--json`: an operation's own code, or one for what lies around it.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Usage(_) => "usage",
            Self::Config(_) => "configuration",
            Self::Link(LinkError::Held { .. } | LinkError::Open(OpenError::Held { .. }))
            | Self::Open(OpenError::Held { .. }) => "store_locked",
            Self::Link(LinkError::Open(_)) | Self::Open(_) => "store",
            Self::Link(LinkError::Version { .. }) => "protocol_mismatch",
            Self::Link(LinkError::Refused(error)) => error.code(),
            Self::Link(_) => "no_connection",
            Self::Operation(error) if is_link_lost(error) => "no_connection",
            Self::Operation(error) => error.code(),
            Self::Io { .. } | Self::Failed(_) => "error",
        }
    }
}

fn open_exit_code(error: &OpenError) -> u8 {
    match error {
        OpenError::Held { .. } => 5,
        OpenError::Store(_) | OpenError::Io(_) | OpenError::SecretKey(_) => 1,
    }
}

fn operation_exit_code(error: &Error) -> u8 {
    match error {
        Error::NotFound { .. } => 3,
        Error::Invalid { .. }
        | Error::NotAuthenticated
        | Error::AuthenticationFailed { .. }
        | Error::Denied { .. }
        | Error::ReauthRequired { .. }
        | Error::TwoFactorSetupRequired
        | Error::TwoFactorVerificationRequired
        | Error::LockedOut
        | Error::Conflict { .. }
        | Error::Throttled { .. }
        | Error::Refused { .. } => 4,
        Error::Unavailable { .. } => 5,
        Error::Internal { .. } => 1,
    }
}
