//! Organizations (spec §2.7, §3.9): list, found, read, change, delete; and who stands where in the one that a path
//! names.

use serde::{Deserialize, Serialize};

use super::audit::Note;
use super::organization_views::{OrganizationBasicView, OrganizationView, current_of};
use super::permission::KeyRule;
use super::{Context, Identity, Operation, Permission, Tries};
use crate::domain::audit::Event;
use crate::domain::fields::Fields;
use crate::domain::id::OrganizationId;
use crate::domain::input::Input;
use crate::domain::organization::{Level, Membership, NAME_CHARS_MAX, Organization, check_name};
use crate::domain::organization_patch::OrganizationPatch;
use crate::error::{Error, Result};
use crate::records::{Versioned, keys, put_organization, put_user, remove_membership, remove_organization};
use crate::store::{Batch, Expect};

/// Pages of a deleted organization that are removed before the answer; the sweeper takes the rest.
const PAGES_AT_ONCE: usize = 5;

/// Names an organization: `@current` or its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrganizationRef(pub String);

/// A page of the caller's organizations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrganizationPage {
    pub count: u64,
    pub results: Vec<OrganizationBasicView>,
}

/// `GET /api/organizations`: the caller's, in the order of joining.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListOrganizations {
    pub limit: usize,
    pub offset: usize,
}

impl Operation for ListOrganizations {
    const NAME: &'static str = "list_organizations";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("organization:read"));
    type Reply = OrganizationPage;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.refuse_project_key()?;
        let mut places = cx.places_of(cx.require_caller()?.id).await?;
        places.retain(|place| cx.check_key_in(&place.organization, place.membership.value.level).is_ok());
        let window = places.iter().skip(self.offset).take(self.limit);
        Ok(OrganizationPage { count: places.len() as u64, results: window.map(OrganizationBasicView::from).collect() })
    }
}

/// `POST /api/organizations`: the caller becomes its owner, and it becomes current.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateOrganization {
    pub fields: Fields,
}

impl Operation for CreateOrganization {
    const NAME: &'static str = "create_organization";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("organization:write")).sensitive();
    const INPUTS: &'static [Input] = &[Input::filled("name", NAME_CHARS_MAX, "What it is to be called.").required()];
    type Reply = OrganizationView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.refuse_project_key()?;
        // A key for some organizations is none for another.
        if matches!(&cx.actor.identity, Identity::ApiKey { key, .. } if !key.scoped_organizations.is_empty()) {
            return Err(Error::permission_denied());
        }
        let caller = cx.require_caller()?.id;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let batch = cx.founding_allowed(Batch::default()).await?.ok_or_else(|| {
                Error::denied(
                    "You must upgrade your PostHog plan to be able to create and manage multiple organizations.",
                )
            })?;
            let name = self.fields.required_text("name")?;
            check_name("name", &name, NAME_CHARS_MAX)?;
            let before = cx.user(caller).await?;
            let mut user = before.value.clone();
            let (batch, organization) = cx.found_organization(batch, &mut user, &name).await?;
            if cx.commit(put_user(batch, Some(&before), &user)).await?.is_some() {
                return cx.organization_view(&organization, Level::Owner).await;
            }
        }
    }
}

/// `GET /api/organizations/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RetrieveOrganization {
    pub organization: OrganizationRef,
}

impl Operation for RetrieveOrganization {
    const NAME: &'static str = "retrieve_organization";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("organization:read"));
    type Reply = OrganizationView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let standing = cx.standing_in(&self.organization).await?;
        cx.organization_view(&standing.organization.value, standing.level()).await
    }
}

/// `PATCH /api/organizations/{id}`, for administrators.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateOrganization {
    pub organization: OrganizationRef,
    pub fields: Fields,
}

impl Operation for UpdateOrganization {
    const NAME: &'static str = "update_organization";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("organization:write")).sensitive();
    const INPUTS: &'static [Input] = OrganizationPatch::INPUTS;
    type Reply = OrganizationView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let standing = cx.standing_in(&self.organization).await?;
            standing.require(Level::Administrator)?;
            let before = &standing.organization;
            let patch = OrganizationPatch::parse(&self.fields)?;
            let mut organization = before.value.clone();
            patch.apply(&mut organization);
            let names = patch.changed_fields(&before.value);
            let mut batch = standing.expected(Batch::default());
            if !names.is_empty() {
                organization.updated_at = cx.now;
                let note = |event| Note::new(event).detail("organization", organization.id);
                if names.contains(&"enforce_2fa") {
                    let word = |value: Option<bool>| value.map_or("null".to_owned(), |value| value.to_string());
                    batch = cx.audited(
                        batch,
                        note(Event::OrganizationEnforce2faChanged)
                            .detail("old", word(before.value.enforce_2fa))
                            .detail("new", word(organization.enforce_2fa)),
                    );
                }
                if names.iter().any(|name| *name != "enforce_2fa") {
                    batch = cx.audited(batch, note(Event::OrganizationUpdated).detail("fields", names.join(" ")));
                }
                batch = put_organization(batch, Some(before), &organization);
            }
            if cx.commit(batch).await?.is_some() {
                return cx.organization_view(&organization, standing.level()).await;
            }
        }
    }
}

/// `DELETE /api/organizations/{id}`, for owners. Nobody is a member any more at once; the records of a large one go by
/// and by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteOrganization {
    pub organization: OrganizationRef,
}

impl Operation for DeleteOrganization {
    const NAME: &'static str = "delete_organization";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("organization:write")).sensitive();
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let standing = cx.standing_in(&self.organization).await?;
            standing.require(Level::Owner)?;
            let before = cx.user(standing.membership.value.user).await?;
            let mut user = before.value.clone();
            let id = standing.organization.value.id;
            let members = cx.records().active_members(id).await?;
            let batch = remove_organization(Batch::default(), &standing.organization, cx.now);
            let batch = remove_membership(batch, &standing.membership, user.is_active);
            if user.current_organization == Some(id) {
                user.current_organization = None;
                user.current_team = None;
            }
            let note = Note::new(Event::OrganizationDeleted).detail("organization", id).detail("members", members);
            let batch = put_user(cx.audited(batch, note), Some(&before), &user);
            if cx.commit(batch).await?.is_some() {
                let note = keys::expiry(cx.now, &keys::organization_remains(id));
                if let Err(error) = cx.app.sweep_organization(id, note, PAGES_AT_ONCE).await {
                    tracing::warn!(%error, "what a deleted organization left behind is removed by the next sweep");
                }
                return Ok(());
            }
        }
    }
}

/// The caller in the organization that a path names.
pub(super) struct Standing {
    pub organization: Versioned<Organization>,
    pub membership: Versioned<Membership>,
}

impl Standing {
    pub(super) fn level(&self) -> Level {
        self.membership.value.level
    }

    pub(super) fn require(&self, level: Level) -> Result<()> {
        if self.level() < level {
            return Err(Error::denied("Your organization access level is insufficient."));
        }
        Ok(())
    }

    /// The organization and the caller's place in it, as they were read, have to hold when the batch is applied.
    pub(super) fn expected(&self, batch: Batch) -> Batch {
        let organization = &self.organization;
        let membership = &self.membership;
        batch.expect(keys::organization(organization.value.id), Expect::Version(organization.version)).expect(
            keys::membership(membership.value.organization, membership.value.user),
            Expect::Version(membership.version),
        )
    }
}

impl Context<'_> {
    /// The caller in an organization that a path ends with: others do not find it.
    pub(super) async fn standing_in(&self, named: &OrganizationRef) -> Result<Standing> {
        self.refuse_project_key()?;
        let id = self.organization_id(named).await?.ok_or_else(Error::not_found)?;
        self.standing(id).await?.ok_or_else(Error::not_found)
    }

    /// The caller in an organization that a path leads through (spec §3.9): others may not.
    pub(super) async fn standing_below(&self, named: &OrganizationRef) -> Result<Standing> {
        self.refuse_project_key()?;
        self.standing_at_projects(named).await
    }

    /// The same for what also a key that is limited to projects may see.
    pub(super) async fn standing_at_projects(&self, named: &OrganizationRef) -> Result<Standing> {
        let missing = || Error::NotFound { detail: "Organization not found.".into() };
        let id = self.organization_id(named).await?.ok_or_else(missing)?;
        match self.standing(id).await? {
            Some(standing) => Ok(standing),
            None if self.records().organization(id).await?.is_some() => Err(Error::permission_denied()),
            None => Err(missing()),
        }
    }

    /// Refuses a key that is limited to projects (spec §1.6).
    pub(super) fn refuse_project_key(&self) -> Result<()> {
        match &self.actor.identity {
            Identity::ApiKey { key, .. } if !key.scoped_teams.is_empty() => {
                Err(Error::denied("API keys with scoped projects are only supported on project-based endpoints."))
            }
            _ => Ok(()),
        }
    }

    /// The id a path names; `None` when it cannot be one.
    async fn organization_id(&self, named: &OrganizationRef) -> Result<Option<OrganizationId>> {
        if named.0 != "@current" {
            return Ok(OrganizationId::parse(&named.0));
        }
        let caller = self.require_caller()?;
        let places = self.places_of(caller.id).await?;
        match current_of(&places, caller) {
            Some(place) => Ok(Some(place.organization.id)),
            None => Err(Error::NotFound { detail: "Current organization not found.".into() }),
        }
    }

    async fn standing(&self, id: OrganizationId) -> Result<Option<Standing>> {
        let caller = self.require_caller()?;
        let Some(organization) = self.records().organization(id).await? else { return Ok(None) };
        let Some(membership) = self.records().membership(id, caller.id).await? else { return Ok(None) };
        self.check_key_in(&organization.value, membership.value.level)?;
        Ok(Some(Standing { organization, membership }))
    }

    /// What an API key may not do in an organization (spec §1.6).
    fn check_key_in(&self, organization: &Organization, level: Level) -> Result<()> {
        let Identity::ApiKey { key, .. } = &self.actor.identity else { return Ok(()) };
        if !key.scoped_organizations.is_empty() && !key.scoped_organizations.contains(&organization.id.0) {
            let id = organization.id;
            return Err(Error::denied(format!("API key does not have access to the requested organization: ID {id}.")));
        }
        if !organization.members_can_use_personal_api_keys && level < Level::Administrator {
            return Err(Error::denied(format!(
                "Organization '{}' does not allow using personal API keys. Contact an admin to enable personal API \
                 keys for this organization.",
                organization.name
            )));
        }
        Ok(())
    }
}
