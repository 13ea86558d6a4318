//! The user's own second factor: `/api/users/{uuid}/two_factor_*` and the older names (spec §3.2).

use hyper::StatusCode;

use super::door::Door;
use super::reply::{self, Answer};
use super::router::Call;
use crate::app::second_factor::{
    DisableTwoFactor, RegenerateBackupCodes, RetrieveTwoFactorStatus, StartTotpSetup, ValidateTotp,
};
use crate::error::Error;

/// A GET that changes state and shows a secret: other sites must not make browsers send it (W-31).
pub async fn start<D: Door>(mut call: Call<D>) -> Answer {
    if call.cross_site {
        return Err(Error::permission_denied().into());
    }
    let user = call.user();
    reply::json(StatusCode::OK, &call.run(StartTotpSetup { user }).await?)
}

pub async fn validate<D: Door>(mut call: Call<D>) -> Answer {
    let operation = ValidateTotp { user: call.user(), fields: call.take_fields() };
    reply::json(StatusCode::OK, &call.run(operation).await?)
}

pub async fn status<D: Door>(mut call: Call<D>) -> Answer {
    let user = call.user();
    reply::json(StatusCode::OK, &call.run(RetrieveTwoFactorStatus { user }).await?)
}

pub async fn backup_codes<D: Door>(mut call: Call<D>) -> Answer {
    let user = call.user();
    reply::json(StatusCode::OK, &call.run(RegenerateBackupCodes { user }).await?)
}

pub async fn disable<D: Door>(mut call: Call<D>) -> Answer {
    let operation = DisableTwoFactor { user: call.user(), fields: call.take_fields() };
    reply::json(StatusCode::OK, &call.run(operation).await?)
}
