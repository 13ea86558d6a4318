//! Setting a password with a single-use token: `/api/reset/{uuid}` (spec §3.7).

use hyper::StatusCode;

use super::door::Door;
use super::paging;
use super::reply::{self, Answer};
use super::router::Call;
use crate::app::passwords::{CheckResetToken, ResetPassword};

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
