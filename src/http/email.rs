//! E-mail verification and change (spec §3.3).

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::cookies;
use super::door::Door;
use super::reply::{self, Answer};
use super::router::Call;
use crate::app::email::{CancelEmailChange, RequestEmailVerification, VerifyEmail};
use crate::domain::secret::Secret;

/// The answer of `verify_email`: flags that do not hold are left out.
#[derive(Serialize, ToSchema)]
#[schema(as = EmailVerified)]
pub struct Verified {
    success: bool,
    /// The token that was sent, when the caller is logged in now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    token: Option<Secret>,
    /// The address is confirmed, and the account has a second factor: log in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    requires_2fa: bool,
    /// The address was confirmed before: log in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    requires_login: bool,
}

pub async fn request_verification<D: Door>(mut call: Call<D>) -> Answer {
    let fields = call.take_fields();
    reply::json(StatusCode::OK, &call.run(RequestEmailVerification { fields }).await?)
}

pub async fn verify<D: Door>(mut call: Call<D>) -> Answer {
    let fields = call.take_fields();
    let verified = call.run(VerifyEmail { fields }).await?;
    let mut response = reply::json(
        StatusCode::OK,
        &Verified {
            success: true,
            token: verified.token,
            requires_2fa: verified.requires_2fa,
            requires_login: verified.requires_login,
        },
    )?;
    if let Some(session) = &verified.session {
        cookies::set_session(&mut response, session, call.service.site.is_https);
    }
    Ok(response)
}

pub async fn cancel_change<D: Door>(call: Call<D>) -> Answer {
    reply::json(StatusCode::OK, &call.run(CancelEmailChange {}).await?)
}
