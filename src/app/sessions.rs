//! Login sessions, as operators see and end them (spec §2.11).

use serde::{Deserialize, Serialize};

use super::audit::Note;
use super::login::{is_remembered_device_live, is_session_live};
use super::reset::{Done, UserChange, check_reason};
use super::views::{SessionRow, UserRef};
use super::{Context, Operation, Permission, Tries};
use crate::domain::audit::Event;
use crate::domain::session::Session;
use crate::domain::user::User;
use crate::domain::user_agent;
use crate::error::{Error, Result};
use crate::records::remove_session;
use crate::store::Batch;

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
    pub reason: String,
}

impl Operation for RevokeSessions {
    const NAME: &'static str = "revoke_sessions";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let Some(id) = &self.id else { return cx.change_user(&self).await };
        let reason = check_reason(&self.reason)?;
        let user = cx.find_user(&self.user).await?.value;
        let not_found = || Error::NotFound { detail: "no live session of this user has that id".into() };
        let sessions = cx.live_sessions(&user).await?;
        let found = sessions.into_iter().find(|(_, session)| session.id.to_string() == *id);
        let (hash, _) = found.ok_or_else(not_found)?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            // Of two at once, one ends it; the other does not find it any more.
            let live = cx.records().session(&hash).await?.ok_or_else(not_found)?;
            let note = Note::of(Event::SessionRevoked, &user).reason(&reason).detail("session", id);
            let batch = remove_session(live.expect(Batch::default(), &hash), &hash, &live.value);
            if let Some(receipt) = cx.commit(cx.audited(batch, note)).await? {
                return Ok(Done {
                    email: user.email.as_str().to_owned(),
                    summary: format!("the session from {} is ended", user_agent::describe(&live.value.user_agent)),
                    audit_number: receipt.appended.last().copied().unwrap_or_default(),
                });
            }
        }
    }
}

/// All of them.
impl UserChange for RevokeSessions {
    fn user(&self) -> &UserRef {
        &self.user
    }

    async fn apply(&self, cx: &Context<'_>, user: &mut User) -> Result<(Batch, String)> {
        let reason = check_reason(&self.reason)?;
        let (sessions, devices) = cx.live_presence(user).await?;
        user.end_presence();
        let note = Note::of(Event::SessionRevoked, user)
            .reason(&reason)
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

    /// How many live sessions and remembered devices a user has.
    pub(super) async fn live_presence(&self, user: &User) -> Result<(usize, usize)> {
        let sessions = self.live_sessions(user).await?.len();
        let devices = self.records().remembered_of(user.id).await?;
        let live = devices.iter().filter(|(_, device)| is_remembered_device_live(device, user, self.now)).count();
        Ok((sessions, live))
    }

    pub(super) async fn session_rows(&self, user: &User) -> Result<Vec<SessionRow>> {
        Ok(self.live_sessions(user).await?.iter().map(|(_, session)| row(session)).collect())
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
