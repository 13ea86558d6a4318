//! Invites that wait for a user: those to the user's address, for organizations the user is not in (spec §3.4).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::views::UserRef;
use super::{Context, Operation, Permission};
use crate::domain::id::{InviteId, OrganizationId};
use crate::domain::user::User;
use crate::error::Result;

/// Most invites told of (spec §2.2).
const TOLD_MAX: usize = 25;
/// Invites looked at for them: those that have expired or whose organization is gone are passed over.
const LOOKED_AT_MAX: usize = 100;

/// An invite as the one sees it who is invited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PendingInvite, description = "An invite, as the one sees it who is invited.")]
pub struct PendingInviteView {
    #[schema(value_type = String, format = "uuid")]
    pub id: InviteId,
    #[schema(format = Email)]
    pub target_email: String,
    #[schema(value_type = String, format = "uuid")]
    pub organization_id: OrganizationId,
    pub organization_name: String,
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// `GET /api/users/{uuid}/pending_invites`: newest first, for oneself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListPendingInvites {
    pub user: UserRef,
}

impl Operation for ListPendingInvites {
    const NAME: &'static str = "list_pending_invites";
    const NEEDS: Permission = Permission::USER;
    type Reply = Vec<PendingInviteView>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.own_account(&self.user)?;
        cx.pending_invites(cx.require_caller()?).await
    }
}

impl Context<'_> {
    /// The invites that wait for a user: none for who has not shown that the address is theirs, since the id of an invite
    /// lets its reader in.
    pub(super) async fn pending_invites(&self, user: &User) -> Result<Vec<PendingInviteView>> {
        let mut told = Vec::new();
        if user.is_email_verified != Some(true) {
            return Ok(told);
        }
        for invite in self.records().invites_for(&user.email, LOOKED_AT_MAX).await? {
            let invite = invite.value;
            if invite.is_expired(self.now) || self.records().membership(invite.organization, user.id).await?.is_some() {
                continue;
            }
            let Some(organization) = self.records().organization(invite.organization).await? else { continue };
            told.push(PendingInviteView {
                id: invite.id,
                target_email: invite.target_email.as_str().to_owned(),
                organization_id: invite.organization,
                organization_name: organization.value.name,
                created_at: invite.created_at.to_rfc3339_z(),
            });
            if told.len() == TOLD_MAX {
                break;
            }
        }
        Ok(told)
    }
}
