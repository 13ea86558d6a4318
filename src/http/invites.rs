//! `/api/organizations/{id}/invites` (spec §3.9).

use hyper::StatusCode;

use super::door::Door;
use super::paging::Window;
use super::reply::{self, Answer};
use super::router::Call;
use crate::app::invites::{CreateInvite, CreateInvites, DeleteInvite, ListInvites};
use crate::app::organizations::OrganizationRef;

pub async fn list<D: Door>(mut call: Call<D>) -> Answer {
    let Window { limit, offset } = Window::of(&call.query);
    let organization = organization(&mut call);
    let page = call.run(ListInvites { organization, limit, offset }).await?;
    let base = format!("{}{}", call.service.site.public_url, call.path);
    reply::json(StatusCode::OK, &Window { limit, offset }.page(&base, &call.query, page.count, page.results))
}

pub async fn create<D: Door>(mut call: Call<D>) -> Answer {
    let operation = CreateInvite { organization: organization(&mut call), fields: call.take_fields() };
    reply::json(StatusCode::CREATED, &call.run(operation).await?)
}

pub async fn create_many<D: Door>(mut call: Call<D>) -> Answer {
    let operation = CreateInvites { organization: organization(&mut call), list: call.list.take() };
    reply::json(StatusCode::CREATED, &call.run(operation).await?)
}

pub async fn delete<D: Door>(mut call: Call<D>) -> Answer {
    let id = std::mem::take(&mut call.params.second).into();
    let organization = organization(&mut call);
    call.run(DeleteInvite { organization, id }).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

fn organization<D: Door>(call: &mut Call<D>) -> OrganizationRef {
    OrganizationRef(std::mem::take(&mut call.params.first))
}
