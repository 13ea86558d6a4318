//! Login sessions, as operators see and end them (spec §2.11).

use serde::{Deserialize, Serialize};

use super::{Context, Operation, Permission};
use crate::error::Result;
use super::reset::Done;
use super::views::{SessionRow, UserRef};

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
        todo!()
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
        todo!()
    }
}
