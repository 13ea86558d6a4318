//! Organizations: what takes many members, keys with limits, or a race to see.

use uuid::Uuid;

use super::*;
use crate::app::members::ListMembers;
use crate::app::organizations::{
    CreateOrganization, DeleteOrganization, ListOrganizations, OrganizationRef, RetrieveOrganization,
};
use crate::app::projects::{CreateProject, ListProjects};
use crate::domain::email::EmailAddress;
use crate::domain::id::{InviteId, MembershipId, OrganizationId};
use crate::domain::organization::{Invite, Level, Membership, Organization};
use crate::records::{put_invite, put_membership, put_organization};

fn current() -> OrganizationRef {
    OrganizationRef("@current".to_owned())
}

impl World {
    /// An organization of a new user, who is logged in.
    pub(super) async fn owner(&self, email: &str, name: &str) -> (Identity, OrganizationId) {
        let actor = Actor { identity: operator(), address: None, user_agent: None, request_id: String::new() };
        let cx = Context { app: &self.app, actor: &actor, now: self.now, step: None, approved: None };
        let before = cx.user(self.create(email, false).await).await.unwrap();
        let mut user = before.value.clone();
        let (batch, organization) = cx.found_organization(Batch::default(), &mut user, name).await.unwrap();
        self.commit(put_user(batch, Some(&before), &user)).await;
        (self.login(email).await, organization.id)
    }

    /// The same session with the user as it is now.
    async fn again(&self, identity: &Identity) -> Identity {
        let Identity::Session { user, session } = identity else { panic!() };
        Identity::Session { user: Arc::new(self.user(user.id).await), session: Arc::clone(session) }
    }

    /// Members of whom there is no more than the membership.
    async fn fill(&self, organization: OrganizationId, members: u128) {
        for number in 0..members {
            let membership = Membership {
                id: MembershipId(Uuid::from_u128(number)),
                organization,
                user: UserId(Uuid::from_u128(number)),
                level: Level::Member,
                joined_at: self.now,
                updated_at: self.now,
                invited_by: None,
            };
            self.commit(put_membership(Batch::default(), None, &membership, true)).await;
        }
    }

    async fn change_organization(&self, id: OrganizationId, change: impl FnOnce(&mut Organization)) {
        let before = self.app.records().organization(id).await.unwrap().unwrap();
        let mut organization = before.value.clone();
        change(&mut organization);
        self.commit(put_organization(Batch::default(), Some(&before), &organization)).await;
    }

    /// Keys outside the audit trail that name an organization.
    async fn keys_naming(&self, id: OrganizationId) -> usize {
        let (mut found, mut after) = (0, None);
        loop {
            let page = self.app.records().store().scan(b"", after.as_ref(), 1_000, Order::Ascending).await.unwrap();
            let names = |key: &[u8]| key.windows(16).any(|part| part == id.as_bytes());
            found += page.entries.iter().filter(|entry| names(&entry.key)).count();
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    }
}

#[tokio::test]
async fn a_large_organization_goes_at_once_and_its_records_by_and_by() {
    let world = World::new();
    let (owner, id) = world.owner(EMAIL, "Acme").await;
    world.fill(id, 250).await;
    for number in 0..30 {
        let create = CreateProject { organization: current(), fields: fields(&json!({"name": format!("P{number}")})) };
        world.run(&owner, create).await.unwrap();
        let invite = Invite {
            id: InviteId(Uuid::from_u128(number)),
            organization: id,
            target_email: EmailAddress::parse(&format!("bob{number}@example.com")).unwrap(),
            first_name: String::new(),
            level: Level::Member,
            emailing_attempt_made: false,
            created_by: None,
            created_at: world.now,
            updated_at: world.now,
            message: None,
            private_project_access: Vec::new(),
        };
        world.commit(put_invite(Batch::default(), None, &invite)).await;
    }
    let member = UserId(Uuid::from_u128(7));
    world.run(&owner, DeleteOrganization { organization: current() }).await.unwrap();
    assert!(world.app.records().organization(id).await.unwrap().is_none());
    // More than one answer may wait for; the rest is noted, and counts as gone.
    assert!(world.keys_naming(id).await > 100);
    let actor = Actor { identity: operator(), address: None, user_agent: None, request_id: String::new() };
    let cx = Context { app: &world.app, actor: &actor, now: world.now, step: None, approved: None };
    assert!(cx.places_of(member).await.unwrap().is_empty());
    world.app.sweep(world.now).await.unwrap();
    assert_eq!(world.keys_naming(id).await, 0);
    let left = world.app.records().memberships_of(member).await.unwrap();
    assert!(left.is_empty() && world.app.records().team(1).await.unwrap().is_none());
}

#[tokio::test]
async fn nobody_joins_what_is_being_deleted() {
    let world = World::new();
    let (owner, id) = world.owner(EMAIL, "Acme").await;
    let bob = world.create("bob@example.com", false).await;
    let actor = Actor { identity: operator(), address: None, user_agent: None, request_id: String::new() };
    let cx = Context { app: &world.app, actor: &actor, now: world.now, step: None, approved: None };
    let before = world.app.records().user(bob).await.unwrap().unwrap();
    let mut user = before.value.clone();
    let organization = world.app.records().organization(id).await.unwrap().unwrap();
    let batch = cx.join_organization(Batch::default(), &mut user, &organization, Level::Owner, None).await.unwrap();
    world.run(&owner, DeleteOrganization { organization: current() }).await.unwrap();
    let joined = world.app.records().store().commit(put_user(batch, Some(&before), &user)).await.unwrap();
    assert_eq!(joined, Commit::Conflict);
    assert_eq!(world.keys_naming(id).await, 0);
}

/// Spec §1.6: keys that are limited to organizations or projects.
#[tokio::test]
async fn a_key_stays_within_its_limits() {
    let world = World::new();
    let (owner, first) = world.owner(EMAIL, "First").await;
    let create = CreateOrganization { fields: fields(&json!({"name": "Second"})) };
    let second = world.run(&owner, create).await.unwrap();
    let owner = world.again(&owner).await;
    let Identity::Session { user, .. } = &owner else { panic!() };
    let key = |organizations: &[OrganizationId], teams: &[i64]| {
        let key = ApiKey {
            id: "k".to_owned(),
            user: user.id,
            label: String::new(),
            description: None,
            mask: String::new(),
            hash: [0; 32],
            created_at: world.now,
            last_used_at: None,
            last_rolled_at: None,
            scopes: vec!["*".to_owned()],
            scoped_teams: teams.to_vec(),
            scoped_organizations: organizations.iter().map(|id| id.0).collect(),
        };
        Identity::ApiKey { user: Arc::clone(user), key: Arc::new(key) }
    };
    let at = |id: OrganizationId| OrganizationRef(id.to_string());
    let list = || ListOrganizations { limit: 10, offset: 0 };
    let projects = |id| ListProjects { organization: at(id), limit: 10, offset: 0 };

    let limited = key(&[first], &[]);
    let retrieve = |id| RetrieveOrganization { organization: at(id) };
    assert_eq!(world.run(&limited, retrieve(first)).await.unwrap().id, first);
    let refused =
        Error::denied(format!("API key does not have access to the requested organization: ID {}.", second.id));
    assert_eq!(world.run(&limited, retrieve(second.id)).await.unwrap_err(), refused);
    assert_eq!(world.run(&limited, projects(second.id)).await.unwrap_err(), refused);
    let seen = world.run(&limited, list()).await.unwrap();
    assert_eq!((seen.count, seen.results[0].id), (1, first));
    let third = CreateOrganization { fields: fields(&json!({"name": "Third"})) };
    assert_eq!(world.run(&limited, third).await.unwrap_err(), Error::permission_denied());

    let project = i64::try_from(second.teams[0].id).unwrap();
    let limited = key(&[], &[project]);
    let refused = Error::denied("API keys with scoped projects are only supported on project-based endpoints.");
    assert_eq!(world.run(&limited, retrieve(first)).await.unwrap_err(), refused);
    assert_eq!(world.run(&limited, list()).await.unwrap_err(), refused);
    let make = CreateProject { organization: at(first), fields: Fields::default() };
    assert_eq!(world.run(&limited, make).await.unwrap_err(), refused);
    assert_eq!(world.run(&limited, projects(first)).await.unwrap().count, 0);
    assert_eq!(world.run(&limited, projects(second.id)).await.unwrap().count, 1);
}

#[tokio::test]
async fn members_of_a_large_organization_are_found_by_their_words() {
    let world = World::new();
    let (owner, id) = world.owner(EMAIL, "Acme").await;
    world.fill(id, 5_001).await;
    world.create("ada.outside@example.com", false).await;
    let list = |search: Option<&str>, email: Option<&str>| ListMembers {
        organization: current(),
        email: email.map(str::to_owned),
        search: search.map(str::to_owned),
        oldest_first: true,
        limit: 1,
        offset: 0,
    };
    for (search, email) in [(Some("lovel"), None), (Some("ADA love"), None), (None, Some(EMAIL))] {
        let page = world.run(&owner, list(search, email)).await.unwrap();
        assert_eq!((page.count, page.results[0].user.email.as_str()), (1, EMAIL), "{search:?}");
    }
    assert_eq!(world.run(&owner, list(None, None)).await.unwrap().count, 5_002);
    assert_eq!(world.run(&owner, list(Some("nobody"), None)).await.unwrap().count, 0);
    assert_eq!(world.run(&owner, list(Some("--"), None)).await.unwrap().count, 0);
}

/// Spec §4.8, question 6: the mark is worth no more than a session.
#[tokio::test]
async fn the_verified_mark_runs_out() {
    let mut world = World::new();
    world.create(EMAIL, false).await;
    let identity = world.login(EMAIL).await;
    world.enrol(&identity).await;
    let Identity::Session { user, session } = world.login_again(&identity).await else { panic!() };
    let gated = PresentedSession { wants_second_factor: true, ..PresentedSession::clone(&session) };
    let identity = Identity::Session { user, session: Arc::new(gated) };
    let list = || ListOrganizations { limit: 1, offset: 0 };
    world.pass(14 * 86_400 - 1);
    world.run(&identity, list()).await.unwrap();
    world.pass(1);
    assert_eq!(world.run(&identity, list()).await.unwrap_err(), Error::TwoFactorVerificationRequired);
}

/// Spec §1.7: an organization may shorten the sessions of those who are in it.
#[tokio::test]
async fn an_organization_can_shorten_sessions() {
    let mut world = World::new();
    // The real time, which authentication goes by.
    world.now = crate::clock::now();
    let (_, id) = world.owner(EMAIL, "Acme").await;
    world.change_organization(id, |organization| organization.session_cookie_age = Some(3_600)).await;
    let LoginOutcome::Done { session } = world.first_step(&Identity::Anonymous, EMAIL, Vec::new()).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(session.max_age_s, 3_600);
    let presented = || Presented { session: Some(session.key.clone()), ..Presented::default() };
    let authenticate = async || {
        let actor = world.app.authenticate(presented(), RequestFacts::default()).await.unwrap();
        matches!(actor.identity, Identity::Session { .. })
    };
    assert!(authenticate().await);
    world.change_organization(id, |organization| organization.session_cookie_age = Some(0)).await;
    assert!(!authenticate().await);
    world.change_organization(id, |organization| organization.session_cookie_age = None).await;
    assert!(authenticate().await);
}
