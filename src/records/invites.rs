//! Invites to organizations, and where they are found: by id, by organization, by address.

use uuid::Uuid;

use super::codec::{self, Decode, Deserialize, Encode, Serialize};
use super::{Records, Result, Versioned, json, keys, put};
use crate::domain::email::EmailAddress;
use crate::domain::id::{InviteId, OrganizationId, UserId};
use crate::domain::organization::Invite;
use crate::domain::time::Timestamp;
use crate::store::{Batch, Entry, Expect, Order};

impl Records {
    pub async fn invite(&self, id: InviteId) -> Result<Option<Versioned<Invite>>> {
        self.read(&keys::invite(id)).await
    }

    /// Invites of an organization, newest first: at most `limit`, behind the first `offset`.
    pub async fn invites_of(
        &self,
        organization: OrganizationId,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Versioned<Invite>>> {
        let prefix = keys::organization_invite_prefix(organization);
        self.invites_behind(&self.window(&prefix, Order::Descending, offset, limit).await?).await
    }

    /// How many invites an organization has.
    pub async fn invites(&self, organization: OrganizationId) -> Result<u64> {
        Ok(self.counter(&keys::invites_counter(organization)).await?.max(0).cast_unsigned())
    }

    /// The invite of an organization for an address.
    pub async fn invite_for(
        &self,
        organization: OrganizationId,
        address: &EmailAddress,
    ) -> Result<Option<Versioned<Invite>>> {
        match self.store.get(&keys::email_invite(address.as_str(), organization)).await? {
            Some(entry) => self.invite(invite_id(&entry)?).await,
            None => Ok(None),
        }
    }

    /// The invites for an address, newest first; also those of organizations that are gone. Beyond `limit` those of the
    /// newest organizations are left out.
    pub async fn invites_for(&self, address: &EmailAddress, limit: usize) -> Result<Vec<Versioned<Invite>>> {
        let page = self.scan(&keys::email_invite_prefix(address.as_str()), limit).await?;
        let ids: Vec<InviteId> = page.entries.iter().map(invite_id).collect::<Result<_>>()?;
        let mut found: Vec<Versioned<Invite>> =
            self.read_many(&ids.into_iter().map(keys::invite).collect::<Vec<_>>()).await?;
        found.sort_by_key(|invite| std::cmp::Reverse(invite.value.created_at));
        Ok(found)
    }

    async fn invites_behind(&self, index: &[Entry]) -> Result<Vec<Versioned<Invite>>> {
        let mut wanted = Vec::with_capacity(index.len());
        for entry in index {
            let id = keys::parse_trailing_invite(&entry.key);
            wanted.push(keys::invite(id.ok_or_else(|| codec::corrupt(&entry.key, "holds no invite id"))?));
        }
        self.read_many(&wanted).await
    }
}

/// Adds a new invite to a batch, in place of the one that the organization has for the same address (`replaced`, if there
/// is one): of two at once, one is made.
pub fn put_invite(batch: Batch, replaced: Option<&Versioned<Invite>>, invite: &Invite) -> Batch {
    let key = keys::invite(invite.id);
    let by_email = keys::email_invite(invite.target_email.as_str(), invite.organization);
    let batch = match replaced {
        Some(replaced) => remove_invite(batch, replaced),
        None => batch.expect(by_email.clone(), Expect::Absent),
    };
    let batch = batch
        .expect(key.clone(), Expect::Absent)
        .put(keys::organization_invite(invite.organization, invite.created_at, invite.id), Vec::new())
        .put(by_email, invite.id.as_bytes().to_vec())
        .add(keys::invites_counter(invite.organization), 1);
    put(batch, key, invite)
}

/// Adds the end of an invite to a batch; of two at once, one ends it.
pub fn remove_invite(batch: Batch, invite: &Versioned<Invite>) -> Batch {
    let Versioned { value: invite, version } = invite;
    let key = keys::invite(invite.id);
    batch
        .expect(key.clone(), Expect::Version(*version))
        .delete(key)
        .delete(keys::organization_invite(invite.organization, invite.created_at, invite.id))
        .delete(keys::email_invite(invite.target_email.as_str(), invite.organization))
        .add(keys::invites_counter(invite.organization), -1)
}

fn invite_id(entry: &Entry) -> Result<InviteId> {
    let bytes = entry.value.as_slice().try_into().map_err(|_| codec::corrupt(&entry.key, "not an invite id"))?;
    Ok(InviteId(Uuid::from_bytes(bytes)))
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct InviteV1 {
    #[serde(with = "json::bytes")]
    id: [u8; 16],
    #[serde(with = "json::bytes")]
    organization: [u8; 16],
    target_email: String,
    first_name: String,
    level: u8,
    emailing_attempt_made: bool,
    #[serde(with = "json::bytes")]
    created_by: Option<[u8; 16]>,
    created_at: i64,
    updated_at: i64,
    message: Option<String>,
    private_project_access: Vec<(u64, bool)>,
}

codec::record!(Invite, InviteV1, 1);

impl From<&Invite> for InviteV1 {
    fn from(invite: &Invite) -> Self {
        Self {
            id: *invite.id.as_bytes(),
            organization: *invite.organization.as_bytes(),
            target_email: invite.target_email.as_str().to_owned(),
            first_name: invite.first_name.clone(),
            level: invite.level.number(),
            emailing_attempt_made: invite.emailing_attempt_made,
            created_by: invite.created_by.map(|id| *id.as_bytes()),
            created_at: invite.created_at.as_micros(),
            updated_at: invite.updated_at.as_micros(),
            message: invite.message.clone(),
            private_project_access: invite.private_project_access.clone(),
        }
    }
}

impl TryFrom<InviteV1> for Invite {
    type Error = ();

    fn try_from(stored: InviteV1) -> std::result::Result<Self, ()> {
        Ok(Self {
            id: InviteId(Uuid::from_bytes(stored.id)),
            organization: OrganizationId(Uuid::from_bytes(stored.organization)),
            target_email: EmailAddress::try_from(stored.target_email).map_err(|_| ())?,
            first_name: stored.first_name,
            level: stored.level.try_into().map_err(|_| ())?,
            emailing_attempt_made: stored.emailing_attempt_made,
            created_by: stored.created_by.map(|id| UserId(Uuid::from_bytes(id))),
            created_at: Timestamp::from_micros(stored.created_at),
            updated_at: Timestamp::from_micros(stored.updated_at),
            message: stored.message,
            private_project_access: stored.private_project_access,
        })
    }
}
