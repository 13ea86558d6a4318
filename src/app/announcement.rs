//! Notices to all members of an organization (spec §4.10): one entry in the outbox, queued in the batch of the change it
//! tells of, from which the mails to the members are made page by page.
//!
//! Who does not want such mails is asked when a page is made, not before.

use serde::{Deserialize, Serialize};

use super::outbox::Queued;
use super::{App, Context};
use crate::domain::email::EmailAddress;
use crate::domain::id::{OrganizationId, UserId};
use crate::domain::mail::{Mail, MailKind};
use crate::domain::notification;
use crate::domain::organization::Organization;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::error::Result;
use crate::records::{self, OutboxRecord, Versioned};
use crate::store::Batch;

/// Members looked at for one batch; each mail takes five operations.
const MEMBERS_AT_ONCE: usize = 15;

/// Somebody joined: for everybody who was there before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Announcement {
    organization: OrganizationId,
    organization_name: String,
    member: UserId,
    name: String,
    email: EmailAddress,
    joined_at: Timestamp,
    /// The last member who was looked at, in the order of joining.
    after: Option<(Timestamp, UserId)>,
}

impl Context<'_> {
    /// Queues `<name> joined you` to the other members, unless the organization has switched that off.
    pub(super) fn joining_announced(&self, batch: Batch, user: &User, organization: &Organization) -> Result<Batch> {
        if !organization.is_member_join_email_enabled || !self.app.is_mail_available() {
            return Ok(batch);
        }
        let announcement = Announcement {
            organization: organization.id,
            organization_name: organization.name.clone(),
            member: user.id,
            name: user.full_name(),
            email: user.email.clone(),
            joined_at: self.now,
            after: None,
        };
        self.app.queued(batch, None, &Queued::Announcement(announcement), self.now)
    }
}

impl App {
    /// Queues the mails to the next members, and moves the announcement on or takes it out of the outbox.
    pub(super) async fn announce(
        &self,
        record: &Versioned<OutboxRecord>,
        announcement: Announcement,
        now: Timestamp,
    ) -> Result<()> {
        let Announcement { organization, after, joined_at, .. } = announcement;
        let page = self.records().active_members_after(organization, after, MEMBERS_AT_ONCE).await?;
        let is_last = page.len() < MEMBERS_AT_ONCE || page.last().is_some_and(|(at, _)| *at > joined_at);
        let were_there = page.iter().filter(|(at, user)| *at <= joined_at && *user != announcement.member);
        let ids: Vec<UserId> = were_there.map(|(_, user)| *user).collect();
        let mut batch = Batch::default();
        for user in self.records().users(&ids).await?.iter().filter(|user| wants_to_know(user, organization)) {
            let kind = MailKind::MemberJoined {
                member: announcement.name.clone(),
                member_email: announcement.email.clone(),
                organization: announcement.organization_name.clone(),
            };
            let mail = Mail { to: user.email.clone(), name: user.full_name(), kind, at: joined_at };
            batch = self.queued(batch, Some(user.id), &Queued::Mail(mail), now)?;
        }
        batch = if is_last {
            records::remove_mail(batch, record)
        } else {
            let moved_on = Announcement { after: page.last().copied(), ..announcement };
            let sealed = self.sealed(&record.value.id, &Queued::Announcement(moved_on))?;
            records::reschedule_mail(batch, record, &OutboxRecord { sealed, ..record.value.clone() })
        };
        self.commit_outbox(batch).await?;
        self.ring_for_mail(true);
        Ok(())
    }
}

/// Spec §2.3: the notification settings may switch it off for one organization.
fn wants_to_know(user: &User, organization: OrganizationId) -> bool {
    let settings = notification::effective(&user.preferences.notification_settings);
    let disabled = settings.get("organization_member_join_email_disabled");
    disabled.and_then(|disabled| disabled.get(organization.to_string())).is_none_or(|disabled| disabled != true)
}
