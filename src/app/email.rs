//! E-mail verification and change (spec §3.3, §4.6).

use serde::{Deserialize, Serialize};

use super::{Context, Operation, Permission};
use crate::error::Result;
use super::login::IssuedSession;
use super::permission::KeyRule;
use super::reset::Done;
use super::views::{Success, UserRef, UserView};
use crate::domain::fields::Fields;

/// The answer of `verify_email`; the flags that are false are left out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EmailVerified {
    /// The token to echo (spec §3.3).
    pub token: Option<String>,
    pub requires_2fa: bool,
    pub requires_login: bool,
    pub session: Option<IssuedSession>,
}

/// `POST /api/users/request_email_verification`. Field: `uuid`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestEmailVerification {
    pub fields: Fields,
}

impl Operation for RequestEmailVerification {
    const NAME: &'static str = "request_email_verification";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = Success;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// `POST /api/users/verify_email`. Fields: `uuid`, `token` or `code`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifyEmail {
    pub fields: Fields,
}

impl Operation for VerifyEmail {
    const NAME: &'static str = "verify_email";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = EmailVerified;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// `PATCH /api/users/cancel_email_change_request`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CancelEmailChange {}

impl Operation for CancelEmailChange {
    const NAME: &'static str = "cancel_email_change";
    const NEEDS: Permission = Permission::USER.key(KeyRule::TwoFactorScope("user:write")).sensitive();
    type Reply = UserView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// An operator has the verification mail sent again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResendVerification {
    pub user: UserRef,
    pub reason: String,
}

impl Operation for ResendVerification {
    const NAME: &'static str = "resend_verification";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// An operator drops a staged address; both addresses get a notice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CancelEmailChangeOf {
    pub user: UserRef,
    pub reason: String,
}

impl Operation for CancelEmailChangeOf {
    const NAME: &'static str = "cancel_email_change_of";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}
