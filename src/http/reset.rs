//! Setting a password with a mailed link: `/api/reset` (spec §3.7). Resetting a second factor with one: `/api/reset_2fa`
//! (spec §3.10), whose refusals are not in the envelope.

use hyper::StatusCode;

use super::cookies;
use super::door::Door;
use super::paging;
use super::reply::{self, Answer};
use super::router::Call;
use crate::app::Identity;
use crate::app::passwords::{CheckResetToken, RequestPasswordReset, ResetPassword};
use crate::app::reset_link::{CheckTwoFactorResetToken, ConfirmTwoFactorReset};

/// 204, whether there is such an account or not.
pub async fn request<D: Door>(mut call: Call<D>) -> Answer {
    let fields = call.take_fields();
    call.run(RequestPasswordReset { fields }).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// 200 with an empty body when the token would be taken.
pub async fn check<D: Door>(mut call: Call<D>) -> Answer {
    let uuid = std::mem::take(&mut call.params.first);
    let token = paging::parameter(&call.query, "token").map(Into::into);
    call.run(CheckResetToken { uuid, token }).await?;
    Ok(reply::empty(StatusCode::OK))
}

pub async fn confirm<D: Door>(mut call: Call<D>) -> Answer {
    let operation = ResetPassword { uuid: std::mem::take(&mut call.params.first), fields: call.take_fields() };
    reply::json(StatusCode::OK, &call.run(operation).await?)
}

pub async fn check_two_factor<D: Door>(mut call: Call<D>) -> Answer {
    let uuid = std::mem::take(&mut call.params.first);
    let token = paging::parameter(&call.query, "token").map(Into::into);
    match call.run(CheckTwoFactorResetToken { uuid, token }).await {
        Ok(live) => reply::json(StatusCode::OK, &live),
        Err(error) => reply::bare(error),
    }
}

pub async fn confirm_two_factor<D: Door>(mut call: Call<D>) -> Answer {
    let operation = ConfirmTwoFactorReset { uuid: std::mem::take(&mut call.params.first), fields: call.take_fields() };
    let mut response = match call.run(operation).await {
        Ok(success) => reply::json(StatusCode::OK, &success)?,
        Err(error) => return reply::bare(error),
    };
    // The pending login is used up (W-36).
    if matches!(call.actor.identity, Identity::Pending(_)) {
        cookies::clear_session(&mut response, call.service.site.is_https);
    }
    Ok(response)
}
