//! Organizations, their members and projects, with their indexes.
//!
//! Whoever changes something inside an organization expects the organization's version, so that nothing comes into one
//! that is being deleted. What a deleted one leaves behind counts as gone and is swept page by page
//! ([`Records::removal_of_remains`]).

use uuid::Uuid;

use super::codec::{self, Decode, Deserialize, Encode, Serialize};
use super::invites::remove_invite;
use super::{Records, Result, Versioned, cursor, decode_entry, json, keys, put, trailing_user};
use crate::domain::id::{MembershipId, OrganizationId, UserId};
use crate::domain::organization::{
    Level, Membership, ORGANIZATIONS_PER_USER_MAX, Organization, TEAMS_PER_ORGANIZATION_MAX, Team,
};
use crate::domain::time::Timestamp;
use crate::store::{Batch, Entry, Expect, Order};

/// Records of a deleted organization removed in one batch; each takes up to five operations.
const REMAINS_PAGE: usize = 20;

impl Records {
    pub async fn organization(&self, id: OrganizationId) -> Result<Option<Versioned<Organization>>> {
        self.read(&keys::organization(id)).await
    }

    /// Several organizations, in the order asked; those that are gone are left out.
    pub async fn organizations(&self, ids: &[OrganizationId]) -> Result<Vec<Organization>> {
        let keys: Vec<Vec<u8>> = ids.iter().map(|id| keys::organization(*id)).collect();
        Ok(self.read_many(&keys).await?.into_iter().map(|organization| organization.value).collect())
    }

    /// Organizations by id, behind the id `after`.
    pub async fn organizations_after(&self, after: Option<OrganizationId>, limit: usize) -> Result<Vec<Organization>> {
        let after = cursor(after.map(keys::organization));
        let page = self.store.scan(keys::ORGANIZATION, after.as_ref(), limit, Order::Ascending).await?;
        page.entries.iter().map(|entry| Ok(decode_entry(entry)?.value)).collect()
    }

    pub async fn organization_id_by_slug(&self, slug: &str) -> Result<Option<OrganizationId>> {
        let key = keys::organization_slug(slug);
        let parse = |value: &[u8]| {
            let bytes = value.try_into().map_err(|_| codec::corrupt(&key, "not an organization id"))?;
            Ok(OrganizationId(Uuid::from_bytes(bytes)))
        };
        self.store.get(&key).await?.map(|entry| parse(&entry.value)).transpose()
    }

    pub async fn membership(
        &self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Option<Versioned<Membership>>> {
        self.read(&keys::membership(organization, user)).await
    }

    /// The memberships of several users in one organization, in the order asked; those that are none are left out.
    pub async fn memberships(
        &self,
        organization: OrganizationId,
        users: &[UserId],
    ) -> Result<Vec<Versioned<Membership>>> {
        let keys: Vec<Vec<u8>> = users.iter().map(|user| keys::membership(organization, *user)).collect();
        self.read_many(&keys).await
    }

    /// The memberships of a user, in the order of joining; also those in deleted organizations that are not swept yet.
    pub async fn memberships_of(&self, user: UserId) -> Result<Vec<Versioned<Membership>>> {
        let page = self.scan(&keys::user_membership_prefix(user), 10 * ORGANIZATIONS_PER_USER_MAX).await?;
        let mut wanted = Vec::with_capacity(page.entries.len());
        for entry in page.entries {
            let organization = keys::parse_trailing_organization(&entry.key);
            let organization = organization.ok_or_else(|| codec::corrupt(&entry.key, "holds no organization id"))?;
            wanted.push(keys::membership(organization, user));
        }
        self.read_many(&wanted).await
    }

    /// Ids of active members in the order of joining: at most `limit`, behind the first `offset`. Costs what it passes
    /// over, in index entries.
    pub async fn active_member_ids(
        &self,
        organization: OrganizationId,
        order: Order,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<UserId>> {
        let found = self.window(&keys::active_member_prefix(organization), order, offset, limit).await?;
        found.iter().map(|entry| trailing_user(&entry.key)).collect()
    }

    /// The next active members in the order of joining, behind the one at `after`, with the times at which they joined.
    pub async fn active_members_after(
        &self,
        organization: OrganizationId,
        after: Option<(Timestamp, UserId)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, UserId)>> {
        let after = cursor(after.map(|(at, user)| keys::active_member(organization, at, user)));
        let prefix = keys::active_member_prefix(organization);
        let page = self.store.scan(&prefix, after.as_ref(), limit, Order::Ascending).await?;
        let parse = |entry: &Entry| {
            keys::parse_active_member(&entry.key).ok_or_else(|| codec::corrupt(&entry.key, "holds no member"))
        };
        page.entries.iter().map(parse).collect()
    }

    /// How many active members an organization has.
    pub async fn active_members(&self, organization: OrganizationId) -> Result<u64> {
        Ok(self.counter(&keys::active_members_counter(organization)).await?.max(0).cast_unsigned())
    }

    /// Whether an organization has an active owner other than this user.
    pub async fn has_other_owner(&self, organization: OrganizationId, user: UserId) -> Result<bool> {
        let two = self.scan(&keys::active_owner_prefix(organization), 2).await?;
        Ok(two.entries.iter().any(|entry| entry.key != keys::active_owner(organization, user)))
    }

    pub async fn team(&self, number: u64) -> Result<Option<Team>> {
        Ok(self.read(&keys::team(number)).await?.map(|team| team.value))
    }

    /// All projects of an organization, by number.
    pub async fn teams_of(&self, organization: OrganizationId) -> Result<Vec<Team>> {
        self.first_teams(organization, TEAMS_PER_ORGANIZATION_MAX).await
    }

    /// The first project of an organization.
    pub async fn first_team(&self, organization: OrganizationId) -> Result<Option<Team>> {
        Ok(self.first_teams(organization, 1).await?.pop())
    }

    async fn first_teams(&self, organization: OrganizationId, limit: usize) -> Result<Vec<Team>> {
        let page = self.scan(&keys::organization_team_prefix(organization), limit).await?;
        let numbers = page.entries.iter().filter_map(|entry| keys::parse_trailing_number(&entry.key));
        let wanted: Vec<Vec<u8>> = numbers.map(keys::team).collect();
        Ok(self.read_many(&wanted).await?.into_iter().map(|team| team.value).collect())
    }

    /// The batch that removes the next part of what a deleted organization left behind; `None` when nothing is left.
    pub async fn removal_of_remains(&self, id: OrganizationId) -> Result<Option<Batch>> {
        let mut batch = Batch::default();
        let members = self.scan(&keys::membership_prefix(id), REMAINS_PAGE).await?.entries;
        for entry in &members {
            let membership: Membership = decode_entry(entry)?.value;
            batch = batch
                .delete(entry.key.clone())
                .delete(keys::user_membership(membership.user, membership.joined_at, id))
                .delete(keys::active_member(id, membership.joined_at, membership.user))
                .delete(keys::active_owner(id, membership.user));
        }
        if !members.is_empty() {
            return Ok(Some(batch));
        }
        let teams = self.scan(&keys::organization_team_prefix(id), REMAINS_PAGE).await?.entries;
        for entry in teams {
            if let Some(number) = keys::parse_trailing_number(&entry.key) {
                batch = batch.delete(keys::team(number));
            }
            batch = batch.delete(entry.key);
        }
        if !batch.writes.is_empty() {
            return Ok(Some(batch));
        }
        for invite in self.invites_of(id, 0, REMAINS_PAGE).await? {
            batch = remove_invite(batch, &invite);
        }
        if !batch.writes.is_empty() {
            return Ok(Some(batch));
        }
        let single =
            [keys::active_members_counter(id), keys::invites_counter(id), keys::owner_guard(id), keys::team_guard(id)];
        for key in single {
            if self.store.get(&key).await?.is_some() {
                batch = batch.delete(key);
            }
        }
        Ok((!batch.writes.is_empty()).then_some(batch))
    }
}

/// Adds an organization to a batch. `before` is the organization as it was read; `None` creates. A slug that is new must
/// be free: the batch expects it.
pub fn put_organization(
    mut batch: Batch,
    before: Option<&Versioned<Organization>>,
    organization: &Organization,
) -> Batch {
    let key = keys::organization(organization.id);
    if let Some(before) = before {
        batch = batch.expect(key.clone(), Expect::Version(before.version));
    } else {
        let slug = keys::organization_slug(&organization.slug);
        batch = batch
            .expect(key.clone(), Expect::Absent)
            .expect(slug.clone(), Expect::Absent)
            .put(slug, organization.id.as_bytes().to_vec())
            .add(keys::ORGANIZATIONS_COUNTER, 1);
    }
    put(batch, key, organization)
}

/// Adds the end of an organization to a batch: nobody is a member of it any more. What is left behind is noted for the
/// sweeper.
pub fn remove_organization(batch: Batch, organization: &Versioned<Organization>, now: Timestamp) -> Batch {
    let Versioned { value: organization, version } = organization;
    let key = keys::organization(organization.id);
    batch
        .expect(key.clone(), Expect::Version(*version))
        .delete(key)
        .delete(keys::organization_slug(&organization.slug))
        .add(keys::ORGANIZATIONS_COUNTER, -1)
        .put(keys::expiry(now, &keys::organization_remains(organization.id)), Vec::new())
}

/// Adds a membership to a batch. `before` is the membership as it was read; `None` creates. Whether the user is active
/// must still hold: the batch has to expect the user's version.
pub fn put_membership(
    mut batch: Batch,
    before: Option<&Versioned<Membership>>,
    membership: &Membership,
    is_active: bool,
) -> Batch {
    let key = keys::membership(membership.organization, membership.user);
    if let Some(before) = before {
        batch = batch.expect(key.clone(), Expect::Version(before.version));
        let owner = keys::active_owner(membership.organization, membership.user);
        match (before.value.level == Level::Owner, membership.level == Level::Owner) {
            (true, false) => batch = batch.delete(owner),
            (false, true) if is_active => batch = batch.put(owner, Vec::new()),
            _ => {}
        }
    } else {
        let Membership { user, joined_at, organization, .. } = *membership;
        batch = batch
            .expect(key.clone(), Expect::Absent)
            .put(keys::user_membership(user, joined_at, organization), Vec::new());
        if is_active {
            batch = list_member(batch, membership);
        }
    }
    put(batch, key, membership)
}

/// Adds the end of a membership to a batch; see [`put_membership`].
pub fn remove_membership(mut batch: Batch, membership: &Versioned<Membership>, is_active: bool) -> Batch {
    let Versioned { value: membership, version } = membership;
    let key = keys::membership(membership.organization, membership.user);
    batch = batch.expect(key.clone(), Expect::Version(*version)).delete(key).delete(keys::user_membership(
        membership.user,
        membership.joined_at,
        membership.organization,
    ));
    if is_active { unlist_member(batch, membership) } else { batch }
}

/// Adds to a batch what follows for the memberships of a user (all of them) who becomes active or inactive.
pub fn change_activity(mut batch: Batch, memberships: &[Versioned<Membership>], is_active: bool) -> Batch {
    for Versioned { value: membership, version } in memberships {
        let key = keys::membership(membership.organization, membership.user);
        batch = batch.expect(key, Expect::Version(*version));
        batch = if is_active { list_member(batch, membership) } else { unlist_member(batch, membership) };
    }
    batch
}

/// Adds a new project to a batch.
pub fn put_team(batch: Batch, team: &Team) -> Batch {
    let key = keys::team(team.number);
    let batch = batch
        .expect(key.clone(), Expect::Absent)
        .put(keys::organization_team(team.organization, team.number), Vec::new());
    put(batch, key, team)
}

fn list_member(mut batch: Batch, membership: &Membership) -> Batch {
    let Membership { user, joined_at, organization, .. } = *membership;
    if membership.level == Level::Owner {
        batch = batch.put(keys::active_owner(organization, user), Vec::new());
    }
    batch
        .put(keys::active_member(organization, joined_at, user), Vec::new())
        .add(keys::active_members_counter(organization), 1)
}

fn unlist_member(mut batch: Batch, membership: &Membership) -> Batch {
    let Membership { user, joined_at, organization, .. } = *membership;
    if membership.level == Level::Owner {
        batch = batch.delete(keys::active_owner(organization, user));
    }
    batch.delete(keys::active_member(organization, joined_at, user)).add(keys::active_members_counter(organization), -1)
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct OrganizationV1 {
    #[serde(with = "json::bytes")]
    id: [u8; 16],
    name: String,
    slug: String,
    #[serde(with = "json::bytes")]
    logo_media_id: Option<[u8; 16]>,
    created_at: i64,
    updated_at: i64,
    is_member_join_email_enabled: bool,
    enforce_2fa: Option<bool>,
    members_can_invite: Option<bool>,
    members_can_use_personal_api_keys: bool,
    allow_publicly_shared_resources: bool,
    is_ai_data_processing_approved: Option<bool>,
    default_experiment_stats_method: String,
    session_cookie_age: Option<u32>,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct MembershipV1 {
    #[serde(with = "json::bytes")]
    id: [u8; 16],
    #[serde(with = "json::bytes")]
    organization: [u8; 16],
    #[serde(with = "json::bytes")]
    user: [u8; 16],
    level: u8,
    joined_at: i64,
    updated_at: i64,
    #[serde(with = "json::bytes")]
    invited_by: Option<[u8; 16]>,
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct TeamV1 {
    number: u64,
    #[serde(with = "json::bytes")]
    uuid: [u8; 16],
    #[serde(with = "json::bytes")]
    organization: [u8; 16],
    api_token: String,
    name: String,
    created_at: i64,
}

codec::record!(Organization, OrganizationV1, 1);
codec::record!(Membership, MembershipV1, 1);
codec::record!(Team, TeamV1, 1);

impl From<&Organization> for OrganizationV1 {
    fn from(organization: &Organization) -> Self {
        Self {
            id: *organization.id.as_bytes(),
            name: organization.name.clone(),
            slug: organization.slug.clone(),
            logo_media_id: organization.logo_media_id.map(Uuid::into_bytes),
            created_at: organization.created_at.as_micros(),
            updated_at: organization.updated_at.as_micros(),
            is_member_join_email_enabled: organization.is_member_join_email_enabled,
            enforce_2fa: organization.enforce_2fa,
            members_can_invite: organization.members_can_invite,
            members_can_use_personal_api_keys: organization.members_can_use_personal_api_keys,
            allow_publicly_shared_resources: organization.allow_publicly_shared_resources,
            is_ai_data_processing_approved: organization.is_ai_data_processing_approved,
            default_experiment_stats_method: organization.default_experiment_stats_method.clone(),
            session_cookie_age: organization.session_cookie_age,
        }
    }
}

impl From<OrganizationV1> for Organization {
    fn from(stored: OrganizationV1) -> Self {
        Self {
            id: OrganizationId(Uuid::from_bytes(stored.id)),
            name: stored.name,
            slug: stored.slug,
            logo_media_id: stored.logo_media_id.map(Uuid::from_bytes),
            created_at: Timestamp::from_micros(stored.created_at),
            updated_at: Timestamp::from_micros(stored.updated_at),
            is_member_join_email_enabled: stored.is_member_join_email_enabled,
            enforce_2fa: stored.enforce_2fa,
            members_can_invite: stored.members_can_invite,
            members_can_use_personal_api_keys: stored.members_can_use_personal_api_keys,
            allow_publicly_shared_resources: stored.allow_publicly_shared_resources,
            is_ai_data_processing_approved: stored.is_ai_data_processing_approved,
            default_experiment_stats_method: stored.default_experiment_stats_method,
            session_cookie_age: stored.session_cookie_age,
        }
    }
}

impl From<&Membership> for MembershipV1 {
    fn from(membership: &Membership) -> Self {
        Self {
            id: *membership.id.as_bytes(),
            organization: *membership.organization.as_bytes(),
            user: *membership.user.as_bytes(),
            level: membership.level.number(),
            joined_at: membership.joined_at.as_micros(),
            updated_at: membership.updated_at.as_micros(),
            invited_by: membership.invited_by.map(|id| *id.as_bytes()),
        }
    }
}

impl TryFrom<MembershipV1> for Membership {
    type Error = ();

    fn try_from(stored: MembershipV1) -> std::result::Result<Self, ()> {
        Ok(Self {
            id: MembershipId(Uuid::from_bytes(stored.id)),
            organization: OrganizationId(Uuid::from_bytes(stored.organization)),
            user: UserId(Uuid::from_bytes(stored.user)),
            level: stored.level.try_into().map_err(|_| ())?,
            joined_at: Timestamp::from_micros(stored.joined_at),
            updated_at: Timestamp::from_micros(stored.updated_at),
            invited_by: stored.invited_by.map(|id| UserId(Uuid::from_bytes(id))),
        })
    }
}

impl From<&Team> for TeamV1 {
    fn from(team: &Team) -> Self {
        Self {
            number: team.number,
            uuid: team.uuid.into_bytes(),
            organization: *team.organization.as_bytes(),
            api_token: team.api_token.clone(),
            name: team.name.clone(),
            created_at: team.created_at.as_micros(),
        }
    }
}

impl From<TeamV1> for Team {
    fn from(stored: TeamV1) -> Self {
        Self {
            number: stored.number,
            uuid: Uuid::from_bytes(stored.uuid),
            organization: OrganizationId(Uuid::from_bytes(stored.organization)),
            api_token: stored.api_token,
            name: stored.name,
            created_at: Timestamp::from_micros(stored.created_at),
        }
    }
}
