//! Logging in and out (spec §3.5, §4.2 to §4.4).

use serde::{Deserialize, Serialize};

use super::{Context, Operation, Permission};
use crate::error::Result;
use crate::domain::fields::Fields;
use crate::domain::secret::Secret;

/// A session made just now: the two cookies' values and their age (spec §1.7).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssuedSession {
    pub key: Secret,
    pub csrf_token: Secret,
    pub max_age_s: i64,
}

/// A remembered device made just now: the cookie is `remember-cookie_<name>`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssuedRememberedDevice {
    pub name: String,
    pub value: Secret,
    pub max_age_s: i64,
}

/// How the first step of a login ended, when the password was right.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LoginOutcome {
    Done { session: IssuedSession },
    /// Answered as 401 `2fa_required`; `session` is set unless the caller's live session carries the pending login.
    SecondFactorRequired { session: Option<IssuedSession> },
}

/// The second step is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoginCompleted {
    pub session: IssuedSession,
    pub remembered: Option<IssuedRememberedDevice>,
}

/// The answer of the pre-check; the same for everybody.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoginMethods {
    pub sso_enforcement: Option<String>,
    pub saml_available: bool,
    pub webauthn_credentials: Vec<String>,
}

/// `POST /api/login`: the first step (spec §3.5). Fields: `email`, `password`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Login {
    pub fields: Fields,
    /// Values of the `remember-cookie_*` cookies sent along.
    pub remembered: Vec<Secret>,
}

impl Operation for Login {
    const NAME: &'static str = "login";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = LoginOutcome;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// `POST /api/login/token`: the second step. Fields: `token`, optional `remember`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompleteLogin {
    pub fields: Fields,
}

impl Operation for CompleteLogin {
    const NAME: &'static str = "complete_login";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = LoginCompleted;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// `POST /api/login/precheck`. Fields: `email`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckLogin {
    pub fields: Fields,
}

impl Operation for CheckLogin {
    const NAME: &'static str = "check_login";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = LoginMethods;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// `POST /logout`, `POST /api/logout`: ends the session, if there is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Logout {}

impl Operation for Logout {
    const NAME: &'static str = "logout";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}
