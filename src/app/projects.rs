//! The projects of an organization (spec §2.6, §3.9).

use serde::{Deserialize, Serialize};

use super::audit::Note;
use super::organization_views::TeamView;
use super::organizations::OrganizationRef;
use super::permission::KeyRule;
use super::{Context, Identity, Operation, Permission, Tries};
use crate::domain::audit::Event;
use crate::domain::fields::Fields;
use crate::domain::input::Input;
use crate::domain::organization::{
    FIRST_TEAM_NAME, Level, TEAM_NAME_CHARS_MAX, TEAMS_PER_ORGANIZATION_MAX, check_name,
};
use crate::error::{Error, Result};
use crate::records::keys;
use crate::store::Batch;

/// A page of projects.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProjectPage {
    pub count: u64,
    pub results: Vec<TeamView>,
}

/// `GET /api/organizations/{id}/projects`, by number; a key for some projects sees those.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListProjects {
    pub organization: OrganizationRef,
    pub limit: usize,
    pub offset: usize,
}

impl Operation for ListProjects {
    const NAME: &'static str = "list_projects";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("project:read"));
    type Reply = ProjectPage;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let standing = cx.standing_at_projects(&self.organization).await?;
        let mut teams = cx.records().teams_of(standing.organization.value.id).await?;
        if let Identity::ApiKey { key, .. } = &cx.actor.identity
            && !key.scoped_teams.is_empty()
        {
            teams.retain(|team| key.scoped_teams.iter().any(|scoped| u64::try_from(*scoped) == Ok(team.number)));
        }
        let window = teams.iter().skip(self.offset).take(self.limit);
        Ok(ProjectPage { count: teams.len() as u64, results: window.map(TeamView::from).collect() })
    }
}

/// `POST /api/organizations/{id}/projects`, for administrators.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateProject {
    pub organization: OrganizationRef,
    pub fields: Fields,
}

impl Operation for CreateProject {
    const NAME: &'static str = "create_project";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("project:write"));
    const INPUTS: &'static [Input] =
        &[Input::filled("name", TEAM_NAME_CHARS_MAX, "What it is to be called; `Default project` unless said.")];
    type Reply = TeamView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let standing = cx.standing_below(&self.organization).await?;
            standing.require(Level::Administrator)?;
            let name = self.fields.text("name")?.unwrap_or_else(|| FIRST_TEAM_NAME.to_owned());
            check_name("name", &name, TEAM_NAME_CHARS_MAX)?;
            let id = standing.organization.value.id;
            let batch = cx.guarded(standing.expected(Batch::default()), &keys::team_guard(id)).await?;
            if cx.records().teams_of(id).await?.len() >= TEAMS_PER_ORGANIZATION_MAX {
                let detail = format!("An organization can have at most {TEAMS_PER_ORGANIZATION_MAX} projects.");
                return Err(Error::invalid("invalid_input", detail, None));
            }
            let (batch, team) = cx.new_team(batch, id, &name).await?;
            let note = Note::new(Event::ProjectCreated).detail("organization", id).detail("project", team.number);
            if cx.commit(cx.audited(batch, note)).await?.is_some() {
                return Ok((&team).into());
            }
        }
    }
}
