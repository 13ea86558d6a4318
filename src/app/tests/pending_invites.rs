//! Invites that wait for somebody.

use super::*;
use crate::domain::email::EmailAddress;
use crate::domain::id::{InviteId, OrganizationId};
use crate::domain::organization::{INVITE_SECONDS, Invite, Level};
use crate::records::put_invite;

/// Spec §3.4: unexpired, for the user's address, and for organizations that the user is not in.
#[tokio::test]
async fn invites_wait_for_whom_they_are_for() {
    let mut world = World::new();
    let (live, own) = world.owner(EMAIL, "Own").await;
    let (_, other) = world.owner("bob@example.com", "Other").await;
    let (_, third) = world.owner("eve@example.com", "Third").await;
    let mut number = 0;
    let mut invite = |organization, address: &str, age_s: i64| {
        number += 1;
        let created_at = START.plus_seconds(1_000 - age_s);
        Invite {
            id: InviteId(uuid::Uuid::from_u128(number)),
            organization,
            target_email: EmailAddress::parse(address).unwrap(),
            first_name: String::new(),
            level: Level::Member,
            emailing_attempt_made: false,
            created_by: None,
            created_at,
            updated_at: created_at,
            message: None,
            private_project_access: Vec::new(),
        }
    };
    let invites = [
        invite(other, "ADA@example.com", 0),
        invite(own, EMAIL, 0),
        invite(third, EMAIL, INVITE_SECONDS),
        invite(OrganizationId(uuid::Uuid::nil()), EMAIL, 0),
        invite(third, "bob@example.com", 0),
    ];
    for invite in &invites {
        world.commit(put_invite(Batch::default(), None, invite)).await;
    }
    world.pass(1_000);
    let waiting = world.run(&live, ListPendingInvites { user: me() }).await.unwrap();
    let expected = PendingInviteView {
        id: invites[0].id,
        target_email: EMAIL.to_owned(),
        organization_id: other,
        organization_name: "Other".to_owned(),
        created_at: invites[0].created_at.to_rfc3339_z(),
    };
    assert_eq!(waiting, [expected]);
    let seen_by = async |identity: &Identity, user: &str| {
        let user = UserRef(user.to_owned());
        world.run(identity, RetrieveUser { user }).await.unwrap().pending_invites
    };
    assert_eq!(seen_by(&live, "@me").await, waiting);
    world.create("staff@example.com", true).await;
    let staff = world.login("staff@example.com").await;
    let Identity::Session { user: ada, .. } = &live else { panic!() };
    assert_eq!(seen_by(&staff, &ada.id.to_string()).await, []);
    let list = |email: Option<String>| ListUsers { email, is_staff: None, limit: 10, offset: 0 };
    assert_eq!(world.run(&live, list(None)).await.unwrap().results[0].pending_invites, waiting);
    let listed = world.run(&staff, list(Some(EMAIL.to_owned()))).await.unwrap();
    assert_eq!(listed.results[0].pending_invites, []);
}
