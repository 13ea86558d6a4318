//! `/api/users` and `/api/users/{uuid}` (spec §3.4).

use hyper::StatusCode;

use super::door::Door;
use super::paging;
use super::reply::{self, Answer};
use super::router::Call;
use crate::app::accounts::{DeleteUser, ListUsers, RetrieveUser, UpdateUser};

pub async fn list<D: Door>(call: Call<D>) -> Answer {
    let window = call.window();
    let page = call
        .run(ListUsers {
            email: paging::parameter(&call.query, "email"),
            is_staff: paging::parameter(&call.query, "is_staff").and_then(|word| boolean(&word)),
            limit: window.limit,
            offset: window.offset,
        })
        .await?;
    reply::json(StatusCode::OK, &call.page(page.count, page.results))
}

pub async fn retrieve<D: Door>(mut call: Call<D>) -> Answer {
    let user = call.user();
    reply::json(StatusCode::OK, &call.run(RetrieveUser { user }).await?)
}

pub async fn update<D: Door>(call: Call<D>) -> Answer {
    change(call, false).await
}

pub async fn replace<D: Door>(call: Call<D>) -> Answer {
    change(call, true).await
}

async fn change<D: Door>(mut call: Call<D>, replace: bool) -> Answer {
    let operation = UpdateUser { user: call.user(), fields: call.take_fields(), replace };
    reply::json(StatusCode::OK, &call.run(operation).await?)
}

pub async fn delete<D: Door>(mut call: Call<D>) -> Answer {
    let user = call.user();
    call.run(DeleteUser { user }).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// A filter's word; anything else does not filter.
fn boolean(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}
