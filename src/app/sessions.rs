//! Login sessions, as their users (spec §2.11, §3.4) and operators see and end them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::audit::Note;
use super::login::is_session_live;
use super::permission::KeyRule;
use super::reset::{Done, UserChange};
use super::safety::{Proof, Proven, SafetyLevel};
use super::views::{LoginSessionView, SessionRow, UserRef};
use super::{Context, Operation, Permission, Tries};
use crate::domain::audit::Event;
use crate::domain::id::SessionId;
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::domain::user::User;
use crate::domain::user_agent;
use crate::error::{Error, Result};
use crate::records::{put_user, remove_session};
use crate::store::Batch;

/// `GET /api/users/{uuid}/login_sessions`: the caller's live sessions, the present one first, then by last activity. Does
/// not look at whom the path names, as the reference does not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListLoginSessions {}

impl Operation for ListLoginSessions {
    const NAME: &'static str = "list_login_sessions";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Ignored);
    type Reply = Vec<LoginSessionView>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let mut sessions = cx.live_sessions(cx.require_caller()?).await?;
        // Stable, so the others stay in their order.
        sessions.sort_by_key(|(hash, _)| !cx.is_present_session(hash));
        Ok(sessions.iter().map(|(hash, session)| view(session, cx.is_present_session(hash))).collect())
    }
}

/// `DELETE /api/users/{uuid}/login_sessions/{id}`; the present session is as good as any other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeLoginSession {
    pub user: UserRef,
    pub id: String,
}

impl Operation for RevokeLoginSession {
    const NAME: &'static str = "revoke_login_session";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Ignored).sensitive();
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.own_account(&self.user)?;
        let ended = cx.end_session(cx.require_caller()?, &self.id, None).await?;
        ended.map(|_| ()).ok_or_else(|| Error::NotFound { detail: "Login session not found.".into() })
    }
}

/// How many sessions were ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionsRevoked {
    pub revoked_count: usize,
}

/// `POST /api/users/{uuid}/login_sessions/revoke_others`: ends all sessions but the present one, and the logins that wait
/// for their second step. Forgets the remembered devices too, except the one that the call comes from (W-40): whoever was
/// thrown out should not come back with the password alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeOtherSessions {
    pub user: UserRef,
    /// Values of the `remember-cookie_*` cookies sent along.
    pub remembered: Vec<Secret>,
}

impl Operation for RevokeOtherSessions {
    const NAME: &'static str = "revoke_other_sessions";
    const NEEDS: Permission = Permission::USER.key(KeyRule::Ignored).sensitive();
    type Reply = SessionsRevoked;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let id = cx.own_account(&self.user)?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = cx.user(id).await?;
            let sessions = cx.live_sessions(&before.value).await?;
            let revoked_count = sessions.iter().filter(|(hash, _)| !cx.is_present_session(hash)).count();
            let mut user = before.value.clone();
            user.end_presence();
            let batch = cx.rebind_session(Batch::default(), &before.value, &user, |_| {}).await?;
            let (batch, forgotten) = cx.keep_devices(batch, &before.value, &user, &self.remembered).await?;
            let note = Note::of(Event::SessionRevokedOthers, &user)
                .detail("sessions_ended", revoked_count)
                .detail("remembered_devices_forgotten", forgotten);
            if cx.commit(cx.audited(put_user(batch, Some(&before), &user), note)).await?.is_some() {
                return Ok(SessionsRevoked { revoked_count });
            }
        }
    }
}

/// The live sessions of a user, latest activity first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListSessionsOf {
    pub user: UserRef,
}

impl Operation for ListSessionsOf {
    const NAME: &'static str = "list_sessions_of";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = Vec<SessionRow>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let user = cx.find_user(&self.user).await?.value;
        cx.session_rows(&user).await
    }
}

/// Ends one session (by its public id) or, without an id, all of them and the remembered devices.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeSessions {
    pub user: UserRef,
    pub id: Option<String>,
    /// Level 3 for all of them.
    pub proof: Proof,
}

impl Operation for RevokeSessions {
    const NAME: &'static str = "revoke_sessions";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let Some(id) = &self.id else { return cx.change_user(&self).await };
        let user = cx.find_user(&self.user).await?.value;
        let proven = cx.prove(&self.proof, SafetyLevel::Reason, &user)?;
        let (session, audit_number) = cx
            .end_session(&user, id, Some(&proven))
            .await?
            .ok_or_else(|| Error::NotFound { detail: "no live session of this user has that id".into() })?;
        Ok(Done {
            email: user.email.as_str().to_owned(),
            summary: format!("the session from {} is ended", user_agent::describe(&session.user_agent)),
            audit_number,
        })
    }
}

/// All of them.
impl UserChange for RevokeSessions {
    fn user(&self) -> &UserRef {
        &self.user
    }

    async fn apply(&self, cx: &Context<'_>, user: &mut User) -> Result<(Batch, String)> {
        let proven = cx.prove_fully(self, &self.proof, user).await?;
        let (sessions, devices) = cx.live_presence(user).await?;
        user.end_presence();
        let note = Note::of(Event::SessionRevoked, user)
            .proven(&proven)
            .detail("sessions_ended", sessions)
            .detail("remembered_devices_forgotten", devices);
        let summary = format!("{sessions} sessions ended, {devices} remembered devices forgotten");
        Ok((cx.audited(Batch::default(), note), summary))
    }
}

impl Context<'_> {
    /// The live sessions of a user with their hashes, latest activity first.
    pub(super) async fn live_sessions(&self, user: &User) -> Result<Vec<([u8; 32], Session)>> {
        let mut sessions = self.records().sessions_of(user.id).await?;
        sessions.retain(|(_, session)| is_session_live(session, user, self.now));
        sessions.sort_by_key(|(_, session)| std::cmp::Reverse(session.last_activity));
        Ok(sessions)
    }

    /// Ends one live session of a user by its public id, with the number of the audit entry; `None` when there is none.
    async fn end_session(&self, user: &User, id: &str, proven: Option<&Proven>) -> Result<Option<(Session, u64)>> {
        let Some(id) = SessionId::parse(id) else { return Ok(None) };
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let Some((hash, found)) = self.records().session_of(user.id, id).await? else { return Ok(None) };
            // Of two at once, one ends it; the other does not find it any more.
            let bound = self.app.bound_session(&hash, found, user.id).await?;
            let Some((live, _)) = bound.filter(|(session, _)| self.now < session.value.expires_at) else {
                return Ok(None);
            };
            let note = Note::of(Event::SessionRevoked, user).maybe_proven(proven).detail("session", id);
            let batch = remove_session(live.expect(Batch::default(), &hash), &hash, &live.value);
            if let Some(receipt) = self.commit(self.audited(batch, note)).await? {
                return Ok(Some((live.value, receipt.appended.last().copied().unwrap_or_default())));
            }
        }
    }

    /// Whether the call came with this session.
    fn is_present_session(&self, hash: &[u8; 32]) -> bool {
        self.session().is_some_and(|presented| presented.hash == *hash)
    }

    /// How many live sessions and remembered devices a user has.
    pub(super) async fn live_presence(&self, user: &User) -> Result<(usize, usize)> {
        let sessions = self.live_sessions(user).await?.len();
        Ok((sessions, self.live_devices(user).await?.len()))
    }

    pub(super) async fn session_rows(&self, user: &User) -> Result<Vec<SessionRow>> {
        Ok(self.live_sessions(user).await?.iter().map(|(_, session)| row(session)).collect())
    }
}

fn view(session: &Session, is_current: bool) -> LoginSessionView {
    LoginSessionView {
        id: session.id,
        created_at: session.created_at.to_rfc3339_offset(),
        last_activity: session.last_activity.to_rfc3339_z(),
        location: None,
        device: user_agent::identify(&session.user_agent),
        login_method: session.login_method.clone(),
        is_current,
    }
}

fn row(session: &Session) -> SessionRow {
    SessionRow {
        id: session.id.to_string(),
        created_at: session.created_at,
        last_activity: session.last_activity,
        expires_at: session.expires_at,
        address: session.address.map(|address| address.to_string()),
        device: user_agent::describe(&session.user_agent),
        login_method: session.login_method.clone(),
        verified: session.verified_at.is_some(),
    }
}
