//! Invites to an organization: list, make, delete (spec §2.9, §3.9). Accepting one is in [`super::signup`].

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::audit::Note;
use super::limits::Limit;
use super::organizations::{OrganizationRef, Standing};
use super::permission::KeyRule;
use super::views::UserBasicView;
use super::{Context, Identity, Operation, Permission, Tries, random};
use crate::domain::audit::Event;
use crate::domain::email::EmailAddress;
use crate::domain::fields::{FieldError, Fields};
use crate::domain::id::{InviteId, OrganizationId, UserId};
use crate::domain::input::Input;
use crate::domain::invite::InviteForm;
use crate::domain::mail::MailKind;
use crate::domain::organization::{Invite, Level};
use crate::domain::secret::Secret;
use crate::error::{Error, Result};
use crate::records::{put_invite, remove_invite};
use crate::store::Batch;

/// Invites made in one batch: each takes up to 15 operations.
const INVITES_IN_BATCH: usize = 6;
/// Newest invites of an organization among which those are found that a caller is shown who is not shown all.
const LOOKED_AT_MAX: usize = 1_000;
/// What a key needs to make an invite, and to be shown one.
const WRITE_SCOPE: &str = "organization_member:write";

/// The invite object of spec §2.9.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OrganizationInvite, description = "An invite to an organization.")]
pub struct InviteView {
    /// Also the secret of its link.
    #[schema(value_type = String, format = "uuid")]
    pub id: InviteId,
    #[schema(value_type = String, format = "email")]
    pub target_email: EmailAddress,
    pub first_name: String,
    pub emailing_attempt_made: bool,
    /// 1 member, 8 administrator, 15 owner.
    #[schema(value_type = u8)]
    pub level: Level,
    pub is_expired: bool,
    /// `None` once there is no such user any more.
    pub created_by: Option<UserBasicView>,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub updated_at: String,
    pub message: Option<String>,
    pub private_project_access: Vec<ProjectAccess>,
}

/// What an invite allows in one project.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProjectAccess {
    pub id: u64,
    /// `member` or `admin`.
    pub level: String,
}

/// A page of invites (spec §1.10), newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InvitePage {
    pub count: u64,
    pub results: Vec<InviteView>,
}

/// `GET /api/organizations/{id}/invites`: those that the caller has made or could make. The id of an invite is the secret
/// of its link: whoever sees it can accept it in the place of the one who is meant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListInvites {
    pub organization: OrganizationRef,
    pub limit: usize,
    pub offset: usize,
}

impl Operation for ListInvites {
    const NAME: &'static str = "list_invites";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope("organization_member:read"));
    type Reply = InvitePage;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let standing = cx.standing_below(&self.organization).await?;
        let id = standing.organization.value.id;
        if standing.level() == Level::Owner && cx.holds_write_scope() {
            return cx.all_invites(id, &self).await;
        }
        let mut invites = cx.records().invites_of(id, 0, LOOKED_AT_MAX).await?;
        invites.retain(|invite| cx.is_shown(&standing, &invite.value));
        let count = invites.len() as u64;
        let window = invites.into_iter().skip(self.offset).take(self.limit);
        let invites: Vec<Invite> = window.map(|invite| invite.value).collect();
        Ok(InvitePage { count, results: cx.invite_views(&invites).await? })
    }
}

/// `POST /api/organizations/{id}/invites`. Fields: see [`InviteForm`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateInvite {
    pub organization: OrganizationRef,
    pub fields: Fields,
}

impl Operation for CreateInvite {
    const NAME: &'static str = "create_invite";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope(WRITE_SCOPE)).sensitive();
    const INPUTS: &'static [Input] = InviteForm::INPUTS;
    type Reply = InviteView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.may_invite(&self.organization).await?;
        let form = InviteForm::read(&self.fields, cx.config().email.allow_plus_addresses)?;
        let made = cx.invite_all(&self.organization, vec![form]).await?;
        made.into_iter().next().ok_or_else(|| Error::internal("no invite was made"))
    }
}

/// `POST /api/organizations/{id}/invites/bulk`: all are checked before the first is made. `list` is the body, if that is
/// an array.
#[derive(Clone, Serialize, Deserialize)]
pub struct CreateInvites {
    pub organization: OrganizationRef,
    pub list: Option<Vec<Value>>,
}

impl Operation for CreateInvites {
    const NAME: &'static str = "create_invites";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope(WRITE_SCOPE)).sensitive();
    const INPUTS: &'static [Input] = InviteForm::INPUTS;
    type Reply = Vec<InviteView>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.may_invite(&self.organization).await?;
        let list = self.list.ok_or_else(|| {
            FieldError::general("invalid_input", "This endpoint needs an array of data for bulk invite creation.")
        })?;
        let forms = InviteForm::read_list(&list, cx.config().email.allow_plus_addresses)?;
        cx.invite_all(&self.organization, forms).await
    }
}

/// `DELETE /api/organizations/{id}/invites/{id}`: by an administrator, or whoever made it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteInvite {
    pub organization: OrganizationRef,
    pub id: Secret,
}

impl Operation for DeleteInvite {
    const NAME: &'static str = "delete_invite";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Scope(WRITE_SCOPE)).sensitive();
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let standing = cx.standing_below(&self.organization).await?;
            let found = match InviteId::parse(&self.id.expose().to_lowercase()) {
                Some(id) => cx.records().invite(id).await?,
                None => None,
            };
            let found = found.filter(|invite| invite.value.organization == standing.organization.value.id);
            let invite = found.ok_or_else(Error::not_found)?;
            if invite.value.created_by != Some(cx.require_caller()?.id) {
                standing.require(Level::Administrator)?;
            }
            let note = about(Event::InviteDeleted, &invite.value);
            if cx.commit(cx.audited(remove_invite(Batch::default(), &invite), note)).await?.is_some() {
                return Ok(());
            }
        }
    }
}

impl Context<'_> {
    async fn all_invites(&self, id: OrganizationId, list: &ListInvites) -> Result<InvitePage> {
        let count = self.records().invites(id).await?;
        let invites = if (list.offset as u64) < count {
            self.records().invites_of(id, list.offset, list.limit).await?
        } else {
            Vec::new()
        };
        let invites: Vec<Invite> = invites.into_iter().map(|invite| invite.value).collect();
        Ok(InvitePage { count, results: self.invite_views(&invites).await? })
    }

    /// Whether the caller has made this invite, or could make one like it, so that its secret is of no use to them.
    fn is_shown(&self, standing: &Standing, invite: &Invite) -> bool {
        let level = standing.level();
        let could_make = standing.organization.value.lets_invite(level) && invite.level <= level;
        self.holds_write_scope() && (could_make || invite.created_by == Some(standing.membership.value.user))
    }

    /// Sessions may do what their user may.
    fn holds_write_scope(&self) -> bool {
        match &self.actor.identity {
            Identity::ApiKey { key, .. } => key.allows(WRITE_SCOPE),
            _ => true,
        }
    }

    /// The organization, and the caller in it, if the caller may invite.
    async fn may_invite(&self, organization: &OrganizationRef) -> Result<Standing> {
        let standing = self.standing_below(organization).await?;
        if !standing.organization.value.lets_invite(standing.level()) {
            standing.require(Level::Administrator)?;
        }
        Ok(standing)
    }

    /// Makes all invites or, where one cannot be made, none. More than fit into a batch are committed one batch after the
    /// other: a stop in between leaves some that can be made again.
    async fn invite_all(&self, organization: &OrganizationRef, forms: Vec<InviteForm>) -> Result<Vec<InviteView>> {
        let standing = self.may_invite(organization).await?;
        for form in &forms {
            self.check_invite(&standing, form).await?;
        }
        let amount = u32::try_from(forms.len()).unwrap_or(u32::MAX);
        self.count_many(Limit::Invites, standing.organization.value.id.as_bytes(), amount).await?;
        let mut made = Vec::with_capacity(forms.len());
        for some in forms.chunks(INVITES_IN_BATCH) {
            let mut tries = Tries::default();
            made.extend(loop {
                tries.next().await?;
                let standing = self.may_invite(organization).await?;
                let mut batch = standing.expected(Batch::default());
                let mut invites = Vec::with_capacity(some.len());
                for form in some {
                    self.check_invite(&standing, form).await?;
                    let (with_invite, invite) = self.invited(batch, &standing, form.clone()).await?;
                    batch = with_invite;
                    invites.push(invite);
                }
                if self.commit(batch).await?.is_some() {
                    break invites;
                }
            });
        }
        self.invite_views(&made).await
    }

    /// Whether this member may make this invite (spec §3.9).
    async fn check_invite(&self, standing: &Standing, form: &InviteForm) -> Result<()> {
        let organization = &standing.organization.value;
        if let Some(user) = self.records().user_id_by_email(&form.target_email).await?
            && self.records().membership(organization.id, user).await?.is_some()
        {
            let detail = "A user with this email address already belongs to the organization.";
            return Err(Error::invalid("invalid_input", detail, None));
        }
        if form.level > standing.level() {
            return Err(Error::denied("You cannot invite a user with a higher permission level than your own."));
        }
        if !form.private_project_access.is_empty() {
            let teams = self.records().teams_of(organization.id).await?;
            let is_here = |number: u64| teams.iter().any(|team| team.number == number);
            if !form.private_project_access.iter().all(|(number, _)| is_here(*number)) {
                let detail =
                    "Project does not exist on this organization, or it is private and you do not have access to it.";
                return Err(Error::invalid("invalid_input", detail, Some("private_project_access")));
            }
        }
        Ok(())
    }

    /// Adds an invite, in place of an older one for the same address, and its mail.
    async fn invited(&self, batch: Batch, standing: &Standing, mut form: InviteForm) -> Result<(Batch, Invite)> {
        let organization = &standing.organization.value;
        let inviter = self.require_caller()?;
        let older = self.records().invite_for(organization.id, &form.target_email).await?;
        if let Some(older) =
            older.as_ref().filter(|older| form.combine_pending_invites && !older.value.is_expired(self.now))
        {
            form.combine(&older.value, standing.level());
        }
        let is_mailed = form.send_email && self.app.is_mail_available();
        let invite = Invite {
            id: InviteId(random::uuid(self.now)?),
            organization: organization.id,
            target_email: form.target_email,
            first_name: form.first_name,
            level: form.level,
            emailing_attempt_made: is_mailed,
            created_by: Some(inviter.id),
            created_at: self.now,
            updated_at: self.now,
            message: form.message,
            private_project_access: form.private_project_access,
        };
        let mut batch = put_invite(batch, older.as_ref(), &invite);
        if let Some(older) = &older {
            batch = self.audited(batch, about(Event::InviteDeleted, &older.value).detail("replaced", true));
        }
        batch = self.audited(batch, about(Event::InviteCreated, &invite));
        if is_mailed {
            let kind = MailKind::Invited {
                inviter: inviter.full_name(),
                inviter_email: inviter.email.clone(),
                organization: organization.name.clone(),
                link: Secret::new(format!("{}/signup/{}", self.config().server.public_url, invite.id)),
                message: invite.message.clone(),
            };
            batch = self.mailed_to_stranger(batch, &invite.target_email, &invite.first_name, kind)?;
        }
        Ok((batch, invite))
    }

    async fn invite_views(&self, invites: &[Invite]) -> Result<Vec<InviteView>> {
        let mut ids: Vec<UserId> = invites.iter().filter_map(|invite| invite.created_by).collect();
        ids.sort_unstable();
        ids.dedup();
        let users = self.records().users(&ids).await?;
        let by_id: HashMap<UserId, UserBasicView> = users.iter().map(|user| (user.id, user.into())).collect();
        let view = |invite: &Invite| InviteView {
            id: invite.id,
            target_email: invite.target_email.clone(),
            first_name: invite.first_name.clone(),
            emailing_attempt_made: invite.emailing_attempt_made,
            level: invite.level,
            is_expired: invite.is_expired(self.now),
            created_by: invite.created_by.and_then(|id| by_id.get(&id).cloned()),
            created_at: invite.created_at.to_rfc3339_z(),
            updated_at: invite.updated_at.to_rfc3339_z(),
            message: invite.message.clone(),
            private_project_access: invite.private_project_access.iter().map(|access| (*access).into()).collect(),
        };
        Ok(invites.iter().map(view).collect())
    }
}

impl From<(u64, bool)> for ProjectAccess {
    fn from((id, is_administrator): (u64, bool)) -> Self {
        Self { id, level: if is_administrator { "admin" } else { "member" }.to_owned() }
    }
}

/// The trail names whom an invite is for, never its id, which is the secret of its link.
fn about(event: Event, invite: &Invite) -> Note {
    Note::new(event)
        .detail("email", &invite.target_email)
        .detail("organization", invite.organization)
        .detail("level", invite.level.number())
}
