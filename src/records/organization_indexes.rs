//! The indexes and counters of members, projects and invites against a model that computes them from scratch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::{
    Records, change_activity, keys, put_invite, put_membership, put_organization, put_team, remove_invite,
    remove_membership, remove_organization,
};
use crate::domain::email::EmailAddress;
use crate::domain::id::{InviteId, MembershipId, OrganizationId, UserId};
use crate::domain::organization::{Invite, Level, Membership, Organization, Team};
use crate::domain::time::Timestamp;
use crate::store::memory::MemoryStore;
use crate::store::{Batch, Commit, Order};

const USERS: usize = 4;
const LEVELS: [Level; 3] = [Level::Member, Level::Administrator, Level::Owner];

#[derive(Clone, Debug)]
enum Step {
    Found,
    Join { organization: usize, user: usize, level: Level },
    SetLevel { organization: usize, user: usize, level: Level },
    Leave { organization: usize, user: usize },
    Turn { user: usize },
    AddTeam { organization: usize },
    Invite { organization: usize, address: u8 },
    Uninvite { place: usize },
    Delete { organization: usize },
}

fn steps() -> impl Strategy<Value = Step> {
    let (organization, user, level) = (0..3_usize, 0..USERS, prop::sample::select(LEVELS.to_vec()));
    prop_oneof![
        2 => Just(Step::Found),
        5 => (organization.clone(), user.clone(), level.clone())
            .prop_map(|(organization, user, level)| Step::Join { organization, user, level }),
        3 => (organization.clone(), user.clone(), level)
            .prop_map(|(organization, user, level)| Step::SetLevel { organization, user, level }),
        2 => (organization.clone(), user.clone())
            .prop_map(|(organization, user)| Step::Leave { organization, user }),
        2 => user.prop_map(|user| Step::Turn { user }),
        1 => organization.clone().prop_map(|organization| Step::AddTeam { organization }),
        2 => (organization.clone(), 0..2_u8)
            .prop_map(|(organization, address)| Step::Invite { organization, address }),
        1 => (0..4_usize).prop_map(|place| Step::Uninvite { place }),
        1 => organization.prop_map(|organization| Step::Delete { organization }),
    ]
}

#[derive(Default)]
struct Model {
    organizations: Vec<Organization>,
    members: Vec<Membership>,
    teams: Vec<Team>,
    invites: Vec<Invite>,
    inactive: BTreeSet<usize>,
}

fn user_id(user: usize) -> UserId {
    UserId(Uuid::from_u128(user as u128 + 1))
}

fn address(number: u8) -> EmailAddress {
    EmailAddress::parse(&format!("user{number}@example.com")).unwrap()
}

impl Model {
    fn organization(&self, place: usize) -> Option<OrganizationId> {
        self.organizations.get(place).map(|organization| organization.id)
    }

    fn member(&mut self, organization: usize, user: usize) -> Option<&mut Membership> {
        let organization = self.organization(organization)?;
        self.members.iter_mut().find(|member| (member.organization, member.user) == (organization, user_id(user)))
    }

    fn is_active(&self, id: UserId) -> bool {
        !self.inactive.iter().any(|user| user_id(*user) == id)
    }
}

fn membership(id: Uuid, organization: OrganizationId, user: usize, level: Level, now: Timestamp) -> Membership {
    Membership {
        id: MembershipId(id),
        organization,
        user: user_id(user),
        level,
        joined_at: now,
        updated_at: now,
        invited_by: None,
    }
}

fn invite(id: Uuid, organization: OrganizationId, to: u8, now: Timestamp) -> Invite {
    Invite {
        id: InviteId(id),
        organization,
        target_email: address(to),
        first_name: String::new(),
        level: Level::Member,
        emailing_attempt_made: false,
        created_by: None,
        created_at: now,
        updated_at: now,
        message: None,
        private_project_access: Vec::new(),
    }
}

/// Runs the steps against a store, and the model beside it.
async fn run(steps: Vec<Step>) -> (Records, Model) {
    let records = Records::new(Arc::new(MemoryStore::new()));
    let mut model = Model::default();
    let commit = async |batch| assert_ne!(records.store().commit(batch).await.unwrap(), Commit::Conflict);
    for (number, step) in (1_u64..).zip(steps) {
        // Later things first, so that neither ids nor numbers give the order of time away.
        let now = Timestamp::from_seconds(1_000 - i64::try_from(number).unwrap());
        let uuid = Uuid::from_u128(u128::from(number) << 64);
        match step {
            Step::Found if model.organizations.len() < 3 => {
                let id = OrganizationId(uuid);
                let organization = Organization::new(id, format!("O{number}"), format!("o{number}"), now);
                commit(put_organization(Batch::default(), None, &organization)).await;
                model.organizations.push(organization);
            }
            Step::Found => {}
            Step::Join { organization, user, level } => {
                let Some(id) = model.organization(organization) else { continue };
                let member = membership(uuid, id, user, level, now);
                let batch = put_membership(Batch::default(), None, &member, model.is_active(user_id(user)));
                let is_member = model.member(organization, user).is_some();
                assert_eq!(records.store().commit(batch).await.unwrap() == Commit::Conflict, is_member);
                if !is_member {
                    model.members.push(member);
                }
            }
            Step::SetLevel { organization, user, level } => {
                let is_active = model.is_active(user_id(user));
                let Some(member) = model.member(organization, user) else { continue };
                let before = records.membership(member.organization, member.user).await.unwrap().unwrap();
                assert_eq!(before.value, *member);
                member.level = level;
                commit(put_membership(Batch::default(), Some(&before), member, is_active)).await;
            }
            Step::Leave { organization, user } => {
                let Some(member) = model.member(organization, user).cloned() else { continue };
                let before = records.membership(member.organization, member.user).await.unwrap().unwrap();
                commit(remove_membership(Batch::default(), &before, model.is_active(user_id(user)))).await;
                model.members.retain(|other| *other != member);
            }
            Step::Turn { user } => {
                let is_active = model.inactive.remove(&user);
                if !is_active {
                    model.inactive.insert(user);
                }
                let held = records.memberships_of(user_id(user)).await.unwrap();
                commit(change_activity(Batch::default(), &held, is_active)).await;
            }
            Step::AddTeam { organization } => {
                let Some(organization) = model.organization(organization) else { continue };
                let (api_token, name) = ("phc_".to_owned(), format!("T{number}"));
                let team = Team { number, uuid, organization, api_token, name, created_at: now };
                commit(put_team(Batch::default(), &team)).await;
                model.teams.push(team);
            }
            Step::Invite { organization, address: to } => {
                let Some(organization) = model.organization(organization) else { continue };
                let invite = invite(uuid, organization, to, now);
                let replaced = records.invite_for(organization, &invite.target_email).await.unwrap();
                commit(put_invite(Batch::default(), replaced.as_ref(), &invite)).await;
                if replaced.is_some() {
                    // It does not see the one that is there now.
                    let late = Invite { id: InviteId(Uuid::from_u128(u128::MAX)), ..invite.clone() };
                    for stale in [None, replaced.as_ref()] {
                        let batch = put_invite(Batch::default(), stale, &late);
                        assert_eq!(records.store().commit(batch).await.unwrap(), Commit::Conflict);
                    }
                }
                model.invites.retain(|other| Some(other) != replaced.as_ref().map(|replaced| &replaced.value));
                model.invites.push(invite);
            }
            Step::Uninvite { place } => {
                if place < model.invites.len() {
                    let invite = records.invite(model.invites.remove(place).id).await.unwrap().unwrap();
                    commit(remove_invite(Batch::default(), &invite)).await;
                }
            }
            Step::Delete { organization } => {
                let Some(id) = model.organization(organization) else { continue };
                let before = records.organization(id).await.unwrap().unwrap();
                commit(remove_organization(Batch::default(), &before, now)).await;
                while let Some(batch) = records.removal_of_remains(id).await.unwrap() {
                    commit(batch).await;
                }
                commit(Batch::default().delete(keys::expiry(now, &keys::organization_remains(id)))).await;
                model.organizations.remove(organization);
                model.members.retain(|member| member.organization != id);
                model.teams.retain(|team| team.organization != id);
                model.invites.retain(|invite| invite.organization != id);
            }
        }
    }
    (records, model)
}

/// Every key but the counters, with the values of the indexes.
async fn stored(records: &Records) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let page = records.store().scan(b"", None, 1_000, Order::Ascending).await.unwrap();
    assert_eq!(page.next, None);
    let records = [keys::ORGANIZATION, keys::MEMBERSHIP, keys::TEAM, keys::INVITE];
    let is_record = |key: &[u8]| records.iter().any(|prefix| key.starts_with(prefix));
    let entries = page.entries.into_iter().filter(|entry| !entry.key.starts_with(b"counter/"));
    entries.map(|entry| (entry.key.clone(), if is_record(&entry.key) { Vec::new() } else { entry.value })).collect()
}

fn expected(model: &Model) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut keys = BTreeMap::new();
    for organization in &model.organizations {
        keys.insert(keys::organization(organization.id), Vec::new());
        keys.insert(keys::organization_slug(&organization.slug), organization.id.as_bytes().to_vec());
    }
    for Membership { organization, user, joined_at, level, .. } in &model.members {
        keys.insert(keys::membership(*organization, *user), Vec::new());
        keys.insert(keys::user_membership(*user, *joined_at, *organization), Vec::new());
        if model.is_active(*user) {
            keys.insert(keys::active_member(*organization, *joined_at, *user), Vec::new());
            if *level == Level::Owner {
                keys.insert(keys::active_owner(*organization, *user), Vec::new());
            }
        }
    }
    for team in &model.teams {
        keys.insert(keys::team(team.number), Vec::new());
        keys.insert(keys::organization_team(team.organization, team.number), Vec::new());
    }
    for invite in &model.invites {
        keys.insert(keys::invite(invite.id), Vec::new());
        keys.insert(keys::organization_invite(invite.organization, invite.created_at, invite.id), Vec::new());
        let by_email = keys::email_invite(invite.target_email.as_str(), invite.organization);
        keys.insert(by_email, invite.id.as_bytes().to_vec());
    }
    keys
}

async fn check(records: &Records, model: &Model) {
    assert_eq!(stored(records).await, expected(model));
    let count = records.counter(keys::ORGANIZATIONS_COUNTER).await.unwrap();
    assert_eq!(count, i64::try_from(model.organizations.len()).unwrap());
    for organization in &model.organizations {
        let id = organization.id;
        assert_eq!(records.organization_id_by_slug(&organization.slug).await.unwrap(), Some(id));
        let members = model.members.iter().filter(|member| member.organization == id && model.is_active(member.user));
        let mut members: Vec<&Membership> = members.collect();
        members.sort_by_key(|member| std::cmp::Reverse(member.joined_at));
        assert_eq!(records.active_members(id).await.unwrap(), members.len() as u64);
        for (offset, limit) in [(0, 100), (1, 1), (2, 5)] {
            let found = records.active_member_ids(id, Order::Descending, offset, limit).await.unwrap();
            let wanted: Vec<UserId> = members.iter().skip(offset).take(limit).map(|member| member.user).collect();
            assert_eq!(found, wanted, "{offset} {limit}");
        }
        members.reverse();
        let joined: Vec<_> = members.iter().map(|member| (member.joined_at, member.user)).collect();
        for at in 0..=joined.len() {
            let after = at.checked_sub(1).map(|at| joined[at]);
            let found = records.active_members_after(id, after, 2).await.unwrap();
            assert_eq!(found, joined.iter().skip(at).take(2).copied().collect::<Vec<_>>());
        }
        for user in (0..USERS).map(user_id) {
            let others = members.iter().any(|member| member.level == Level::Owner && member.user != user);
            assert_eq!(records.has_other_owner(id, user).await.unwrap(), others);
        }
        let mut teams: Vec<&Team> = model.teams.iter().filter(|team| team.organization == id).collect();
        teams.sort_by_key(|team| team.number);
        assert_eq!(records.teams_of(id).await.unwrap().iter().collect::<Vec<_>>(), teams);
        assert_eq!(records.first_team(id).await.unwrap().as_ref(), teams.first().copied());
        let mut invites: Vec<&Invite> = model.invites.iter().filter(|invite| invite.organization == id).collect();
        invites.sort_by_key(|invite| std::cmp::Reverse(invite.created_at));
        assert_eq!(records.invites(id).await.unwrap(), invites.len() as u64);
        let found = records.invites_of(id, 0, 100).await.unwrap();
        assert_eq!(found.iter().map(|invite| &invite.value).collect::<Vec<_>>(), invites);
    }
    for user in (0..USERS).map(user_id) {
        let mut held: Vec<&Membership> = model.members.iter().filter(|member| member.user == user).collect();
        held.sort_by_key(|member| member.joined_at);
        let found = records.memberships_of(user).await.unwrap();
        assert_eq!(found.iter().map(|member| &member.value).collect::<Vec<_>>(), held);
    }
    for to in [address(0), address(1)] {
        let mut sent: Vec<&Invite> = model.invites.iter().filter(|invite| invite.target_email == to).collect();
        sent.sort_by_key(|invite| std::cmp::Reverse(invite.created_at));
        let found = records.invites_for(&to, 100).await.unwrap();
        assert_eq!(found.iter().map(|invite| &invite.value).collect::<Vec<_>>(), sent);
    }
}

proptest! {
    #[test]
    fn follow_every_change(steps in prop::collection::vec(steps(), 0..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (records, model) = run(steps).await;
            check(&records, &model).await;
        });
    }
}
