//! The preference routes under `/api/users/{uuid}` (spec §3.4).

use hyper::StatusCode;

use super::door::Door;
use super::reply::{self, Answer};
use super::router::Call;
use crate::app::pending_invites::ListPendingInvites;
use crate::app::preferences::{
    CompleteCredentialsReview, MarkProductIntro, PersonaliseScene, ReplaceHedgehogConfig, RetrieveGithubLogin,
    RetrieveHedgehogConfig,
};

pub async fn hedgehog_config<D: Door>(mut call: Call<D>) -> Answer {
    let user = call.user();
    reply::json(StatusCode::OK, &call.run(RetrieveHedgehogConfig { user }).await?)
}

pub async fn replace_hedgehog_config<D: Door>(mut call: Call<D>) -> Answer {
    let operation = ReplaceHedgehogConfig { user: call.user(), fields: call.take_fields() };
    reply::json(StatusCode::OK, &call.run(operation).await?)
}

pub async fn personalise_scene<D: Door>(mut call: Call<D>) -> Answer {
    let operation = PersonaliseScene { user: call.user(), fields: call.take_fields() };
    reply::json(StatusCode::OK, &call.run(operation).await?)
}

pub async fn mark_product_intro<D: Door>(mut call: Call<D>) -> Answer {
    let operation = MarkProductIntro { user: call.user(), fields: call.take_fields() };
    reply::json(StatusCode::OK, &call.run(operation).await?)
}

pub async fn pending_invites<D: Door>(mut call: Call<D>) -> Answer {
    let user = call.user();
    reply::json(StatusCode::OK, &call.run(ListPendingInvites { user }).await?)
}

pub async fn github_login<D: Door>(mut call: Call<D>) -> Answer {
    let user = call.user();
    reply::json(StatusCode::OK, &call.run(RetrieveGithubLogin { user }).await?)
}

pub async fn complete_credentials_review<D: Door>(mut call: Call<D>) -> Answer {
    let user = call.user();
    call.run(CompleteCredentialsReview { user }).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
