//! The members of an organization (spec §2.8, §3.9).

use serde::{Deserialize, Serialize};

use super::organization_views::MemberView;
use super::organizations::{OrganizationRef, Standing};
use super::permission::KeyRule;
use super::views::UserRef;
use super::{Context, Operation, Permission, Tries};
use crate::domain::email::EmailAddress;
use crate::domain::fields::{FieldError, Fields};
use crate::domain::id::{OrganizationId, UserId};
use crate::domain::input::{Input, Kind};
use crate::domain::organization::{Level, Membership};
use crate::domain::text;
use crate::domain::user::User;
use crate::error::{Error, Result};
use crate::records::{Versioned, keys, put_user};
use crate::store::{Batch, Expect, Order, PAGE_ENTRIES_MAX};

/// Longest search, in characters.
const SEARCH_CHARS_MAX: usize = 200;
/// Members looked at for one search. In a larger organization a search finds by the starts of words, among the first
/// thousand users whom its longest word finds.
const SEARCHED_MAX: usize = 5_000;

/// A page of members.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemberPage {
    pub count: u64,
    pub results: Vec<MemberView>,
}

/// `GET /api/organizations/{id}/members`: active ones, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListMembers {
    pub organization: OrganizationRef,
    /// Exact address.
    pub email: Option<String>,
    /// Parts of name or address, all of which have to be there.
    pub search: Option<String>,
    pub oldest_first: bool,
    pub limit: usize,
    pub offset: usize,
}

impl Operation for ListMembers {
    const NAME: &'static str = "list_members";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("organization_member:read"));
    type Reply = MemberPage;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let id = cx.standing_below(&self.organization).await?.organization.value.id;
        if self.search.as_ref().is_some_and(|search| search.chars().count() > SEARCH_CHARS_MAX) {
            return Err(FieldError::max_length(SEARCH_CHARS_MAX, "search").into());
        }
        let search = self.search.as_deref().map(|search| search.trim().to_lowercase()).unwrap_or_default();
        let found = match &self.email {
            // An address names at most one.
            Some(email) => match EmailAddress::parse(email) {
                Some(email) => cx.records().user_id_by_email(&email).await?.into_iter().collect(),
                None => Vec::new(),
            },
            None if search.is_empty() => return cx.all_members(id, &self).await,
            None => cx.candidates(id, &search).await?,
        };
        let mut members = cx.members(id, &found).await?;
        members.retain(|(_, user)| user.is_active && is_found(user, &search));
        members.sort_by_key(|(membership, _)| membership.joined_at);
        if !self.oldest_first {
            members.reverse();
        }
        let window = members.iter().skip(self.offset).take(self.limit);
        let results = window.map(|(membership, user)| MemberView::of(membership, user)).collect();
        Ok(MemberPage { count: members.len() as u64, results })
    }
}

/// `PATCH /api/organizations/{id}/members/{user_uuid}`: changes the level.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateMember {
    pub organization: OrganizationRef,
    pub user: UserRef,
    pub fields: Fields,
}

impl Operation for UpdateMember {
    const NAME: &'static str = "update_member";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("organization_member:write")).sensitive();
    const INPUTS: &'static [Input] =
        &[Input::of(Kind::Integer, "level", "1 is a member, 8 an administrator, 15 an owner.")];
    type Reply = MemberView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let standing = cx.standing_below(&self.organization).await?;
            let (before, user) = cx.member(&standing, &self.user).await?;
            let own = &standing.membership.value;
            let level = match wanted_level(&self.fields) {
                Ok(Some(level)) => level,
                // Who may not edit at all is told so first.
                other => {
                    own.may_edit(&before.value).map_err(Error::denied)?;
                    other?;
                    return Ok(MemberView::of(&before.value, &user.value));
                }
            };
            own.may_set_level(&before.value, level).map_err(Error::denied)?;
            if level == before.value.level {
                return Ok(MemberView::of(&before.value, &user.value));
            }
            let batch = standing.expected(Batch::default());
            let batch = batch.expect(keys::user(user.value.id), Expect::Version(user.version));
            let batch = cx.set_level(batch, &user.value, &before, level).await?;
            if cx.commit(batch).await?.is_some() {
                let membership = Membership { level, updated_at: cx.now, ..before.value };
                return Ok(MemberView::of(&membership, &user.value));
            }
        }
    }
}

/// `DELETE /api/organizations/{id}/members/{user_uuid}`: an administrator removes, or somebody leaves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveMember {
    pub organization: OrganizationRef,
    pub user: UserRef,
}

impl Operation for RemoveMember {
    const NAME: &'static str = "remove_member";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("organization_member:write")).sensitive();
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let standing = cx.standing_below(&self.organization).await?;
            let (membership, before) = cx.member(&standing, &self.user).await?;
            standing.membership.value.may_edit(&membership.value).map_err(Error::denied)?;
            let mut user = before.value.clone();
            // Whoever leaves is the member whose version the removal expects anyway.
            let batch = if standing.membership == membership {
                Batch::default()
            } else {
                let own = &standing.membership;
                let key = keys::membership(own.value.organization, own.value.user);
                Batch::default().expect(key, Expect::Version(own.version))
            };
            let batch = cx.leave_organization(batch, &mut user, &standing.organization, &membership).await?;
            if cx.commit(put_user(batch, Some(&before), &user)).await?.is_some() {
                return Ok(());
            }
        }
    }
}

/// The level asked for, if any.
fn wanted_level(fields: &Fields) -> Result<Option<Level>, FieldError> {
    let Some(number) = fields.integer("level")? else { return Ok(None) };
    let unknown = || FieldError::new("invalid_choice", format!("\"{number}\" is not a valid choice."), "level");
    Level::of(number).map(Some).ok_or_else(unknown)
}

fn is_found(user: &User, search: &str) -> bool {
    let searchable = format!("{} {}", user.full_name().to_lowercase(), user.email);
    search.split_whitespace().all(|term| searchable.contains(term))
}

impl Context<'_> {
    /// The member that a path names.
    async fn member(&self, standing: &Standing, named: &UserRef) -> Result<(Versioned<Membership>, Versioned<User>)> {
        let id = if named.0 == "@me" {
            self.require_caller()?.id
        } else {
            UserId::parse(&named.0).ok_or_else(Error::not_found)?
        };
        let organization = standing.organization.value.id;
        let membership = self.records().membership(organization, id).await?.ok_or_else(Error::not_found)?;
        let user = self.user(id).await?;
        Ok((membership, user))
    }

    async fn all_members(&self, id: OrganizationId, list: &ListMembers) -> Result<MemberPage> {
        let count = self.records().active_members(id).await?;
        let order = if list.oldest_first { Order::Ascending } else { Order::Descending };
        let found = if (list.offset as u64) < count {
            self.records().active_member_ids(id, order, list.offset, list.limit).await?
        } else {
            Vec::new()
        };
        let members = self.members(id, &found).await?;
        let results = members.iter().map(|(membership, user)| MemberView::of(membership, user)).collect();
        Ok(MemberPage { count, results })
    }

    /// Users among whom a search finds its members.
    async fn candidates(&self, id: OrganizationId, search: &str) -> Result<Vec<UserId>> {
        if self.records().active_members(id).await? <= SEARCHED_MAX as u64 {
            return Ok(self.records().active_member_ids(id, Order::Descending, 0, SEARCHED_MAX).await?);
        }
        let terms = text::words(search);
        // The longest word has the fewest hits.
        let Some(term) = terms.iter().max_by_key(|term| term.len()) else { return Ok(Vec::new()) };
        Ok(self.records().user_ids_by_word(term, PAGE_ENTRIES_MAX).await?)
    }

    /// The members among these users, in their order.
    async fn members(&self, id: OrganizationId, users: &[UserId]) -> Result<Vec<(Membership, User)>> {
        let memberships = self.records().memberships(id, users).await?;
        let ids: Vec<UserId> = memberships.iter().map(|membership| membership.value.user).collect();
        let mut users = self.records().users(&ids).await?.into_iter().peekable();
        let with_user = |membership: Versioned<Membership>| {
            let user = users.next_if(|user| user.id == membership.value.user)?;
            Some((membership.value, user))
        };
        Ok(memberships.into_iter().filter_map(with_user).collect())
    }
}
