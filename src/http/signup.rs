//! Sign-up, also by an invite (spec §3.6).

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::cookies;
use super::door::Door;
use super::reply::{self, Answer};
use super::router::Call;
use crate::app::signup::{AcceptInvite, CheckInvite, SignUp, SignedUp};
use crate::app::views::UserBasicView;
use crate::domain::email::EmailAddress;
use crate::domain::id::InviteId;

/// The answer to a sign-up: user basic, and where to go on.
#[derive(Serialize, ToSchema)]
#[schema(description = "An account as others see it, and where a browser goes on.")]
pub struct NewAccount {
    #[serde(flatten)]
    user: UserBasicView,
    redirect_url: String,
}

/// What somebody sees who was invited.
#[derive(Serialize, ToSchema)]
#[schema(description = "An invite, as whoever is invited sees it.")]
pub struct Invitation {
    #[schema(value_type = String, format = "uuid")]
    id: InviteId,
    #[schema(value_type = String, format = "email")]
    target_email: EmailAddress,
    first_name: String,
    organization_name: String,
}

pub async fn sign_up<D: Door>(mut call: Call<D>) -> Answer {
    let fields = call.take_fields();
    let made = call.run(SignUp { fields }).await?;
    created(&call, made)
}

pub async fn check_invite<D: Door>(mut call: Call<D>) -> Answer {
    let id = std::mem::take(&mut call.params.first).into();
    let found = call.run(CheckInvite { id }).await?;
    let invitation = Invitation {
        id: found.id,
        target_email: found.target_email,
        first_name: found.first_name,
        organization_name: found.organization_name,
    };
    reply::json(StatusCode::OK, &invitation)
}

pub async fn accept_invite<D: Door>(mut call: Call<D>) -> Answer {
    let operation = AcceptInvite { id: std::mem::take(&mut call.params.first).into(), fields: call.take_fields() };
    let made = call.run(operation).await?;
    created(&call, made)
}

fn created<D: Door>(call: &Call<D>, made: SignedUp) -> Answer {
    let SignedUp { user, redirect_url, session } = made;
    let mut response = reply::json(StatusCode::CREATED, &NewAccount { user, redirect_url })?;
    if let Some(session) = &session {
        cookies::set_session(&mut response, session, call.service.site.is_https);
    }
    Ok(response)
}
