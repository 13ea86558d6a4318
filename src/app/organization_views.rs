//! What operations answer about organizations, projects and members: the wire objects of spec §2.6 to §2.8, and the
//! places in a user object.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Context;
use super::membership::Place;
use super::views::UserBasicView;
use crate::domain::id::{MembershipId, OrganizationId};
use crate::domain::organization::{Level, Membership, Organization, Team};
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::error::Result;

/// The project object, basic (spec §2.6).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TeamBasic, description = "A project.")]
pub struct TeamView {
    pub id: u64,
    #[schema(value_type = String, format = "uuid")]
    pub uuid: Uuid,
    #[schema(value_type = String, format = "uuid")]
    pub organization: OrganizationId,
    pub project_id: u64,
    pub api_token: String,
    pub name: String,
    pub completed_snippet_onboarding: bool,
    pub has_completed_onboarding_for: Value,
    pub ingested_event: bool,
    pub is_demo: bool,
    pub timezone: String,
    pub access_control: bool,
}

/// A project as an organization names it (spec §2.7).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ProjectOfOrganization, description = "A project, as its organization names it.")]
pub struct ProjectView {
    pub id: u64,
    #[schema(value_type = String, format = "uuid")]
    pub organization_id: OrganizationId,
    pub name: String,
}

/// The organization object, basic (spec §2.7).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OrganizationBasic, description = "An organization, as lists show it.")]
pub struct OrganizationBasicView {
    #[schema(value_type = String, format = "uuid")]
    pub id: OrganizationId,
    pub name: String,
    pub slug: String,
    #[schema(value_type = Option<String>, format = "uuid")]
    pub logo_media_id: Option<Uuid>,
    #[schema(value_type = Option<u8>)]
    pub membership_level: Option<Level>,
    pub members_can_use_personal_api_keys: bool,
    pub is_active: bool,
    pub is_not_active_reason: Option<String>,
    pub is_pending_deletion: bool,
}

/// The organization object, full (spec §2.7), fields in its order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Organization, description = "An organization, as its members see it.")]
pub struct OrganizationView {
    #[schema(value_type = String, format = "uuid")]
    pub id: OrganizationId,
    pub name: String,
    pub slug: String,
    #[schema(value_type = Option<String>, format = "uuid")]
    pub logo_media_id: Option<Uuid>,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub updated_at: String,
    #[schema(value_type = Option<u8>)]
    pub membership_level: Option<Level>,
    pub plugins_access_level: u8,
    pub teams: Vec<TeamView>,
    pub projects: Vec<ProjectView>,
    pub available_product_features: Vec<Value>,
    pub is_member_join_email_enabled: bool,
    pub metadata: Value,
    pub customer_id: Option<String>,
    pub enforce_2fa: Option<bool>,
    pub members_can_invite: Option<bool>,
    pub members_can_use_personal_api_keys: bool,
    pub allow_publicly_shared_resources: bool,
    pub member_count: u64,
    pub is_ai_data_processing_approved: Option<bool>,
    pub default_experiment_stats_method: String,
    pub default_role_id: Option<String>,
}

/// The membership object (spec §2.8).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OrganizationMember, description = "A user in an organization.")]
pub struct MemberView {
    #[schema(value_type = String, format = "uuid")]
    pub id: MembershipId,
    pub user: UserBasicView,
    #[schema(value_type = u8)]
    pub level: Level,
    #[schema(format = DateTime)]
    pub joined_at: String,
    #[schema(format = DateTime)]
    pub updated_at: String,
    pub is_2fa_enabled: bool,
    pub has_social_auth: bool,
    #[schema(format = DateTime)]
    pub last_login: Option<String>,
}

/// Where a user object says that its user is.
#[derive(Clone, Debug, Default)]
pub(super) struct PlacesView {
    pub team: Option<TeamView>,
    pub organization: Option<OrganizationView>,
    pub organizations: Vec<OrganizationBasicView>,
    /// Whether nobody invited the user to the current organization.
    pub is_first_user: Option<bool>,
}

/// What all members of an organization see alike; read once for a list of users.
struct Inside {
    teams: Vec<Team>,
    member_count: u64,
}

/// What has been read for one list of users.
#[derive(Default)]
pub(super) struct Seen(HashMap<OrganizationId, Arc<Inside>>);

impl From<&Team> for TeamView {
    fn from(team: &Team) -> Self {
        Self {
            id: team.number,
            uuid: team.uuid,
            organization: team.organization,
            project_id: team.number,
            api_token: team.api_token.clone(),
            name: team.name.clone(),
            completed_snippet_onboarding: false,
            has_completed_onboarding_for: Value::Null,
            ingested_event: false,
            is_demo: false,
            timezone: "UTC".to_owned(),
            access_control: false,
        }
    }
}

impl From<&Place> for OrganizationBasicView {
    fn from(place: &Place) -> Self {
        let Place { organization, membership } = place;
        Self {
            id: organization.id,
            name: organization.name.clone(),
            slug: organization.slug.clone(),
            logo_media_id: organization.logo_media_id,
            membership_level: Some(membership.value.level),
            members_can_use_personal_api_keys: organization.members_can_use_personal_api_keys,
            is_active: true,
            is_not_active_reason: None,
            is_pending_deletion: false,
        }
    }
}

impl MemberView {
    pub(super) fn of(membership: &Membership, user: &User) -> Self {
        Self {
            id: membership.id,
            user: user.into(),
            level: membership.level,
            joined_at: membership.joined_at.to_rfc3339_z(),
            updated_at: membership.updated_at.to_rfc3339_z(),
            is_2fa_enabled: user.second_factor.is_enabled(),
            has_social_auth: false,
            last_login: user.last_login.map(Timestamp::to_rfc3339_z),
        }
    }
}

impl Context<'_> {
    /// An organization as a member of this level sees it.
    pub(super) async fn organization_view(
        &self,
        organization: &Organization,
        level: Level,
    ) -> Result<OrganizationView> {
        let inside = self.inside(organization.id).await?;
        Ok(organization_view(organization, level, &inside))
    }

    /// Where a user is. What is current is chosen here if it is not set, or not there any more: the first organization
    /// joined, its first project.
    pub(super) async fn places_view(&self, user: &User, seen: &mut Seen) -> Result<PlacesView> {
        let places = self.places_of(user.id).await?;
        let Some(current) = current_of(&places, user) else { return Ok(PlacesView::default()) };
        let id = current.organization.id;
        let inside = match seen.0.get(&id) {
            Some(inside) => Arc::clone(inside),
            None => Arc::new(self.inside(id).await?),
        };
        seen.0.entry(id).or_insert_with(|| Arc::clone(&inside));
        let membership = &current.membership.value;
        let team = inside.teams.iter().find(|team| Some(team.number) == user.current_team);
        Ok(PlacesView {
            team: team.or(inside.teams.first()).map(TeamView::from),
            organization: Some(organization_view(&current.organization, membership.level, &inside)),
            organizations: places.iter().map(OrganizationBasicView::from).collect(),
            is_first_user: Some(membership.invited_by.is_none()),
        })
    }

    async fn inside(&self, id: OrganizationId) -> Result<Inside> {
        Ok(Inside { teams: self.records().teams_of(id).await?, member_count: self.records().active_members(id).await? })
    }
}

/// The current organization, or the first joined where none is.
pub(super) fn current_of<'a>(places: &'a [Place], user: &User) -> Option<&'a Place> {
    places.iter().find(|place| Some(place.organization.id) == user.current_organization).or(places.first())
}

fn organization_view(organization: &Organization, level: Level, inside: &Inside) -> OrganizationView {
    let project =
        |team: &Team| ProjectView { id: team.number, organization_id: organization.id, name: team.name.clone() };
    OrganizationView {
        id: organization.id,
        name: organization.name.clone(),
        slug: organization.slug.clone(),
        logo_media_id: organization.logo_media_id,
        created_at: organization.created_at.to_rfc3339_z(),
        updated_at: organization.updated_at.to_rfc3339_z(),
        membership_level: Some(level),
        plugins_access_level: 9,
        teams: inside.teams.iter().map(TeamView::from).collect(),
        projects: inside.teams.iter().map(project).collect(),
        available_product_features: Vec::new(),
        is_member_join_email_enabled: organization.is_member_join_email_enabled,
        metadata: json!({"instance_tag": "none"}),
        customer_id: None,
        enforce_2fa: organization.enforce_2fa,
        members_can_invite: organization.members_can_invite,
        members_can_use_personal_api_keys: organization.members_can_use_personal_api_keys,
        allow_publicly_shared_resources: organization.allow_publicly_shared_resources,
        member_count: inside.member_count,
        is_ai_data_processing_approved: organization.is_ai_data_processing_approved,
        default_experiment_stats_method: organization.default_experiment_stats_method.clone(),
        default_role_id: None,
    }
}
