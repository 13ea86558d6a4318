//! Founding, joining and leaving organizations, as parts of batches: sign-up, invites, operators and the organization
//! endpoints share them. Permissions and what people are told are the operations' matter.
//!
//! Each function changes the user in memory and adds the rest to the batch; the caller puts the user, expecting the
//! version it read, which is also what makes two changes of one user's memberships wait for each other.

use super::audit::Note;
use super::{Context, random};
use crate::domain::audit::Event;
use crate::domain::id::{MembershipId, OrganizationId, UserId};
use crate::domain::organization::{
    FIRST_TEAM_NAME, Level, Membership, NAME_CHARS_MAX, ORGANIZATIONS_PER_USER_MAX, Organization, Team, check_name,
    other_slug, slug,
};
use crate::domain::text;
use crate::domain::user::User;
use crate::error::{Error, Result};
use crate::records::{Versioned, keys, put_membership, put_organization, put_team, remove_membership};
use crate::store::{Batch, Expect};

/// A membership with its organization.
pub(super) struct Place {
    pub membership: Versioned<Membership>,
    pub organization: Organization,
}

impl Context<'_> {
    /// Where a user is a member, in the order of joining.
    pub(super) async fn places_of(&self, user: UserId) -> Result<Vec<Place>> {
        let memberships = self.records().memberships_of(user).await?;
        let ids: Vec<OrganizationId> = memberships.iter().map(|held| held.value.organization).collect();
        // Those that were deleted are missing.
        let mut organizations = self.records().organizations(&ids).await?.into_iter().peekable();
        let mut places = Vec::with_capacity(memberships.len());
        for membership in memberships {
            if let Some(organization) = organizations.next_if(|next| next.id == membership.value.organization) {
                places.push(Place { membership, organization });
            }
        }
        Ok(places)
    }

    /// The batch that holds only as long as one more organization is allowed; `None` when it is not: where
    /// `signup.allow_multiple_organizations` is off, the first is the only one.
    pub(super) async fn founding_allowed(&self, batch: Batch) -> Result<Option<Batch>> {
        if self.config().signup.allow_multiple_organizations {
            return Ok(Some(batch));
        }
        let key = keys::ORGANIZATIONS_COUNTER;
        let expect = match self.records().store().get(key).await? {
            None => Expect::Absent,
            Some(entry) => Expect::Version(entry.version),
        };
        Ok((self.records().counter(key).await? == 0).then(|| batch.expect(key, expect)))
    }

    /// Adds a new organization with its first project and the user as its owner, for whom both become current. The name
    /// has been checked.
    pub(super) async fn found_organization(
        &self,
        batch: Batch,
        user: &mut User,
        name: &str,
    ) -> Result<(Batch, Organization)> {
        self.require_room(user).await?;
        let slug = self.free_slug(name).await?;
        let organization = Organization::new(OrganizationId(random::uuid(self.now)?), name.to_owned(), slug, self.now);
        let batch = put_organization(batch, None, &organization);
        let batch = self.audited(batch, Note::new(Event::OrganizationCreated).detail("organization", organization.id));
        let (batch, team) = self.new_team(batch, organization.id, FIRST_TEAM_NAME).await?;
        let batch = self.add_member(batch, user, organization.id, Level::Owner, None)?;
        user.current_organization = Some(organization.id);
        user.current_team = Some(team.number);
        Ok((batch, organization))
    }

    /// Adds that the user joins an organization, which becomes current with its first project. `invited_by` is whoever
    /// made the invite.
    pub(super) async fn join_organization(
        &self,
        batch: Batch,
        user: &mut User,
        organization: &Versioned<Organization>,
        level: Level,
        invited_by: Option<UserId>,
    ) -> Result<Batch> {
        let id = organization.value.id;
        if self.records().membership(id, user.id).await?.is_some() {
            let detail = "You already are a member of this organization.";
            return Err(Error::invalid("user_already_member", detail, None));
        }
        self.require_room(user).await?;
        let batch = batch.expect(keys::organization(id), Expect::Version(organization.version));
        let batch = self.add_member(batch, user, id, level, invited_by)?;
        user.current_organization = Some(id);
        user.current_team = self.records().first_team(id).await?.map(|team| team.number);
        Ok(batch)
    }

    /// Adds that the user leaves an organization, or is removed from it: it is not current any more. The last owner
    /// cannot leave.
    pub(super) async fn leave_organization(
        &self,
        batch: Batch,
        user: &mut User,
        organization: &Versioned<Organization>,
        membership: &Versioned<Membership>,
    ) -> Result<Batch> {
        let id = organization.value.id;
        let mut batch = batch.expect(keys::organization(id), Expect::Version(organization.version));
        if membership.value.level == Level::Owner {
            batch = self.guarded(batch, &keys::owner_guard(id)).await?;
            if !self.records().has_other_owner(id, user.id).await? {
                let detail = "Cannot leave the organization as its owner!";
                return Err(Error::invalid("invalid_input", detail, None));
            }
        }
        let batch = remove_membership(batch, membership, user.is_active);
        if user.current_organization == Some(id) {
            user.current_organization = None;
            user.current_team = None;
        }
        Ok(self.audited(batch, Note::of(Event::MemberRemoved, user).detail("organization", id)))
    }

    /// Adds that an operator puts the user into the organization of this id, slug or name, or changes the level there. One
    /// that is not there is founded, with the user as its owner.
    pub(super) async fn place(
        &self,
        batch: Batch,
        user: &mut User,
        named: &str,
        level: Option<Level>,
    ) -> Result<Batch> {
        let Some(organization) = self.find_organization(named).await? else {
            if level.is_some_and(|level| level != Level::Owner) || OrganizationId::parse(named).is_some() {
                let detail = format!("no organization {}", text::for_message(named));
                return Err(Error::NotFound { detail: detail.into() });
            }
            check_name("organization", named, NAME_CHARS_MAX)?;
            return Ok(self.found_organization(batch, user, named).await?.0);
        };
        let Some(held) = self.records().membership(organization.value.id, user.id).await? else {
            return self.join_organization(batch, user, &organization, level.unwrap_or(Level::Member), None).await;
        };
        match level {
            Some(level) if level != held.value.level => self.set_level(batch, user, &held, level).await,
            _ => Ok(batch),
        }
    }

    /// Adds that a member has another level. The last owner stays one.
    pub(super) async fn set_level(
        &self,
        mut batch: Batch,
        user: &User,
        before: &Versioned<Membership>,
        level: Level,
    ) -> Result<Batch> {
        let id = before.value.organization;
        if before.value.level == Level::Owner {
            batch = self.guarded(batch, &keys::owner_guard(id)).await?;
            if !self.records().has_other_owner(id, user.id).await? {
                return Err(Error::denied("The last owner of an organization stays its owner."));
            }
        }
        let membership = Membership { level, updated_at: self.now, ..before.value.clone() };
        let note = Note::of(Event::MemberLevelChanged, user)
            .detail("organization", id)
            .detail("old", before.value.level.number())
            .detail("new", level.number());
        Ok(self.audited(put_membership(batch, Some(before), &membership, user.is_active), note))
    }

    async fn find_organization(&self, named: &str) -> Result<Option<Versioned<Organization>>> {
        let id = match OrganizationId::parse(named) {
            Some(id) => Some(id),
            None => self.records().organization_id_by_slug(&slug(named)).await?,
        };
        let Some(id) = id else { return Ok(None) };
        let found = self.records().organization(id).await?;
        // Different names may make the same slug.
        let is_meant = |found: &Organization| {
            found.id.to_string() == named.to_lowercase()
                || found.slug == named
                || found.name.to_lowercase() == named.to_lowercase()
        };
        Ok(found.filter(|found| is_meant(&found.value)))
    }

    /// Adds a new project; the caller sees to it that the organization stays.
    pub(super) async fn new_team(
        &self,
        batch: Batch,
        organization: OrganizationId,
        name: &str,
    ) -> Result<(Batch, Team)> {
        let (batch, number) = self.next_number(batch, keys::TEAM_NUMBER_COUNTER).await?;
        let team = Team {
            number,
            uuid: random::uuid(self.now)?,
            organization,
            api_token: format!("phc_{}", random::token()?.expose()),
            name: name.to_owned(),
            created_at: self.now,
        };
        Ok((put_team(batch, &team), team))
    }

    fn add_member(
        &self,
        batch: Batch,
        user: &User,
        organization: OrganizationId,
        level: Level,
        invited_by: Option<UserId>,
    ) -> Result<Batch> {
        let membership = Membership {
            id: MembershipId(random::uuid(self.now)?),
            organization,
            user: user.id,
            level,
            joined_at: self.now,
            updated_at: self.now,
            invited_by,
        };
        let note =
            Note::of(Event::MemberJoined, user).detail("organization", organization).detail("level", level.number());
        Ok(self.audited(put_membership(batch, None, &membership, user.is_active), note))
    }

    async fn require_room(&self, user: &User) -> Result<()> {
        if self.places_of(user.id).await?.len() < ORGANIZATIONS_PER_USER_MAX {
            return Ok(());
        }
        let detail = format!("A user can belong to at most {ORGANIZATIONS_PER_USER_MAX} organizations.");
        Err(Error::invalid("invalid_input", detail, None))
    }

    /// The slug of a name, with letters behind it if that is taken.
    pub(super) async fn free_slug(&self, name: &str) -> Result<String> {
        let plain = slug(name);
        let mut free = plain.clone();
        while self.records().organization_id_by_slug(&free).await?.is_some() {
            free = other_slug(&plain, random::bytes()?);
        }
        Ok(free)
    }
}
