//! `/_health` and `/_readyz`, for load balancers and supervisors.

use hyper::StatusCode;
use serde::Serialize;

use super::door::Door;
use super::reply::{self, Answer};
use super::router::Call;
use crate::error::Error;

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

/// The process lives and answers.
pub fn health<D: Door>(_call: &Call<D>) -> Answer {
    reply::json(StatusCode::OK, &Status { status: "ok" })
}

/// The store can be used.
pub async fn ready<D: Door>(call: Call<D>) -> Answer {
    if call.service.app.is_ready().await {
        return reply::json(StatusCode::OK, &Status { status: "ok" });
    }
    let detail = "We couldn't reach the database just now. Please try again in a moment.";
    Err(Error::Unavailable { detail: detail.into(), retry_after_s: 1 }.into())
}
