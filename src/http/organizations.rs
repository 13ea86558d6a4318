//! `/api/organizations` and what lies below (spec §3.9).

use hyper::StatusCode;

use super::door::Door;
use super::paging;
use super::reply::{self, Answer};
use super::router::Call;
use crate::app::members::{ListMembers, RemoveMember, UpdateMember};
use crate::app::organizations::{
    CreateOrganization, DeleteOrganization, ListOrganizations, RetrieveOrganization, UpdateOrganization,
};
use crate::app::projects::{CreateProject, ListProjects};

pub async fn list<D: Door>(call: Call<D>) -> Answer {
    let window = call.window();
    let page = call.run(ListOrganizations { limit: window.limit, offset: window.offset }).await?;
    reply::json(StatusCode::OK, &call.page(page.count, page.results))
}

pub async fn create<D: Door>(mut call: Call<D>) -> Answer {
    let fields = call.take_fields();
    reply::json(StatusCode::CREATED, &call.run(CreateOrganization { fields }).await?)
}

pub async fn retrieve<D: Door>(mut call: Call<D>) -> Answer {
    let organization = call.organization();
    reply::json(StatusCode::OK, &call.run(RetrieveOrganization { organization }).await?)
}

pub async fn update<D: Door>(mut call: Call<D>) -> Answer {
    let operation = UpdateOrganization { organization: call.organization(), fields: call.take_fields() };
    reply::json(StatusCode::OK, &call.run(operation).await?)
}

pub async fn delete<D: Door>(mut call: Call<D>) -> Answer {
    let organization = call.organization();
    call.run(DeleteOrganization { organization }).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

pub async fn list_members<D: Door>(mut call: Call<D>) -> Answer {
    let window = call.window();
    let operation = ListMembers {
        organization: call.organization(),
        email: paging::parameter(&call.query, "email"),
        search: paging::parameter(&call.query, "search"),
        oldest_first: paging::parameter(&call.query, "order").is_some_and(|order| order == "joined_at"),
        limit: window.limit,
        offset: window.offset,
    };
    let page = call.run(operation).await?;
    reply::json(StatusCode::OK, &call.page(page.count, page.results))
}

pub async fn update_member<D: Door>(mut call: Call<D>) -> Answer {
    let operation = UpdateMember { organization: call.organization(), user: call.member(), fields: call.take_fields() };
    reply::json(StatusCode::OK, &call.run(operation).await?)
}

pub async fn remove_member<D: Door>(mut call: Call<D>) -> Answer {
    let operation = RemoveMember { organization: call.organization(), user: call.member() };
    call.run(operation).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

pub async fn list_projects<D: Door>(mut call: Call<D>) -> Answer {
    let window = call.window();
    let organization = call.organization();
    let page = call.run(ListProjects { organization, limit: window.limit, offset: window.offset }).await?;
    reply::json(StatusCode::OK, &call.page(page.count, page.results))
}

pub async fn create_project<D: Door>(mut call: Call<D>) -> Answer {
    let operation = CreateProject { organization: call.organization(), fields: call.take_fields() };
    reply::json(StatusCode::CREATED, &call.run(operation).await?)
}
