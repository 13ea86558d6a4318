//! `/api/users/{uuid}/login_sessions` (spec §3.4) and `/api/users/{uuid}/remembered_devices`.

use hyper::StatusCode;

use super::door::Door;
use super::reply::{self, Answer};
use super::router::Call;
use crate::app::remembered_devices::{ListRememberedDevices, RevokeRememberedDevice};
use crate::app::sessions::{ListLoginSessions, RevokeLoginSession, RevokeOtherSessions};

pub async fn list<D: Door>(call: Call<D>) -> Answer {
    reply::json(StatusCode::OK, &call.run(ListLoginSessions {}).await?)
}

pub async fn revoke<D: Door>(mut call: Call<D>) -> Answer {
    let operation = RevokeLoginSession { user: call.user(), id: std::mem::take(&mut call.params.second) };
    call.run(operation).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

pub async fn revoke_others<D: Door>(mut call: Call<D>) -> Answer {
    let operation = RevokeOtherSessions { user: call.user(), remembered: std::mem::take(&mut call.remembered) };
    reply::json(StatusCode::OK, &call.run(operation).await?)
}

pub async fn list_devices<D: Door>(mut call: Call<D>) -> Answer {
    let operation = ListRememberedDevices { user: call.user(), remembered: std::mem::take(&mut call.remembered) };
    reply::json(StatusCode::OK, &call.run(operation).await?)
}

pub async fn revoke_device<D: Door>(mut call: Call<D>) -> Answer {
    let operation = RevokeRememberedDevice { user: call.user(), id: std::mem::take(&mut call.params.second) };
    call.run(operation).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
