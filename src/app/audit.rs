//! Writing and reading the audit trail (spec §4.11).

use serde::{Deserialize, Serialize};

use super::{Context, Operation, Permission};
use crate::error::Result;
use super::views::{AuditRow, UserRef};

/// A page of the trail, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditPage {
    pub rows: Vec<AuditRow>,
    /// Pass as `before` for the next page; `None` at the end.
    pub next: Option<u64>,
    /// Number of the newest entry of the whole trail.
    pub newest: u64,
}

/// Facts about the running program, for the console's header and Home.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerStatus {
    pub version: String,
    /// `live` (server) or `offline` (store opened directly).
    pub mode: String,
    pub public_url: String,
    pub pid: u32,
    pub users: u64,
    /// Users by second-factor state: off, on, enrol, locked.
    pub users_by_state: Vec<(crate::domain::user::FactorState, u64)>,
    pub outbox_waiting: u64,
    pub audit_newest: u64,
    pub mail_available: bool,
    pub started_at: crate::domain::time::Timestamp,
}

/// The audit trail, or what concerns one user, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListAudit {
    pub user: Option<UserRef>,
    /// Only events whose name starts with this.
    pub event: Option<String>,
    /// Only entries with a smaller number.
    pub before: Option<u64>,
    /// At most 500.
    pub limit: usize,
}

impl Operation for ListAudit {
    const NAME: &'static str = "list_audit";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = AuditPage;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}

/// Version, mode, counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadStatus {}

impl Operation for ReadStatus {
    const NAME: &'static str = "read_status";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = ServerStatus;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        todo!()
    }
}
