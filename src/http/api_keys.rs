//! `/api/personal_api_keys` (spec §3.8).

use hyper::StatusCode;

use super::door::Door;
use super::reply::{self, Answer};
use super::router::Call;
use crate::app::api_keys::{CreateApiKey, DeleteApiKey, ListApiKeys, RetrieveApiKey, RollApiKey, UpdateApiKey};

pub async fn list<D: Door>(call: Call<D>) -> Answer {
    reply::json(StatusCode::OK, &call.run(ListApiKeys {}).await?)
}

pub async fn create<D: Door>(mut call: Call<D>) -> Answer {
    let fields = call.take_fields();
    reply::json(StatusCode::CREATED, &call.run(CreateApiKey { fields }).await?)
}

pub async fn retrieve<D: Door>(mut call: Call<D>) -> Answer {
    let id = std::mem::take(&mut call.params.first);
    reply::json(StatusCode::OK, &call.run(RetrieveApiKey { id }).await?)
}

pub async fn update<D: Door>(call: Call<D>) -> Answer {
    change(call, false).await
}

pub async fn replace<D: Door>(call: Call<D>) -> Answer {
    change(call, true).await
}

async fn change<D: Door>(mut call: Call<D>, replace: bool) -> Answer {
    let id = std::mem::take(&mut call.params.first);
    let operation = UpdateApiKey { id, fields: call.take_fields(), replace };
    reply::json(StatusCode::OK, &call.run(operation).await?)
}

pub async fn roll<D: Door>(mut call: Call<D>) -> Answer {
    let id = std::mem::take(&mut call.params.first);
    reply::json(StatusCode::OK, &call.run(RollApiKey { id }).await?)
}

pub async fn delete<D: Door>(mut call: Call<D>) -> Answer {
    let id = std::mem::take(&mut call.params.first);
    call.run(DeleteApiKey { id }).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
