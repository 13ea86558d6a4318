//! What the console asks for and what it is told, and the one place that asks: through the running server or the store.
//!
//! The loop knows [`Backend`] only, so tests drive the real loop with answers of their own.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::export::{self, ExportPage, Exported};
use crate::admin::client::is_link_lost;
use crate::admin::link::{Link, LinkError, Operator};
use crate::app::Operation;
use crate::app::approvals::{ApprovalRow, ApproveAct, ListApprovals, RefuseAct};
use crate::app::audit::{AuditPage, ListAudit, ReadStatus, ServerStatus};
use crate::app::demand::DemandReEnrolment;
use crate::app::directory::{CountUsers, FindUsers, Hits, InspectUser, UserRows};
use crate::app::email::{CancelEmailChangeOf, ResendVerification};
use crate::app::jobs::{DraftJob, JobDetail, JobDraft, JobRow, ListJobs, ReadJob, StartJob, SteerJob};
use crate::app::operator_keys::{RevokeAllApiKeys, RevokeApiKey};
use crate::app::overview::{Overview, ReadOverview};
use crate::app::requests::{LookUpRequest, RequestOutcome};
use crate::app::reset::{
    CodeExplanation, ConfirmEnrolment, Done, EnrolmentStarted, ExplainCode, ResetTwoFactor, RevokeBackupCodes,
    StartEnrolment, TwoFactorReset, UnlockTwoFactor,
};
use crate::app::sessions::RevokeSessions;
use crate::app::views::UserDetail;
use crate::config::Config;
use crate::error::Error;

/// How the console is named to the server, the lock file and the audit trail.
const ROLE: &str = "console";

/// One question or command to the operations.
#[derive(Clone, Debug)]
pub enum Request {
    /// Find a way to the operations: the running server, else the store itself.
    Connect,
    /// The same, under this operator's name from now on; the running server only, where that was the way so far.
    ConnectAs(String),
    /// The running server only.
    Reconnect,
    Status,
    Find(FindUsers),
    Count(CountUsers),
    LookUp(LookUpRequest),
    Inspect(InspectUser),
    Audit(ListAudit),
    Reset(ResetTwoFactor),
    Unlock(UnlockTwoFactor),
    RevokeCodes(RevokeBackupCodes),
    ResendVerification(ResendVerification),
    CancelEmailChange(CancelEmailChangeOf),
    RevokeSessions(RevokeSessions),
    RevokeKey(RevokeApiKey),
    RevokeAllKeys(RevokeAllApiKeys),
    Explain(ExplainCode),
    Overview(ReadOverview),
    StartEnrolment(StartEnrolment),
    ConfirmEnrolment(ConfirmEnrolment),
    Demand(DemandReEnrolment),
    Export(ExportPage),
    /// The file will not be whole: what was written of it goes.
    DiscardExport(PathBuf),
    Jobs(ListJobs),
    Job(ReadJob),
    DraftJob(DraftJob),
    StartJob(StartJob),
    SteerJob(SteerJob),
    Approvals(ListApprovals),
    Approve(ApproveAct),
    Refuse(RefuseAct),
}

#[derive(Clone, Debug)]
pub enum Reply {
    Connected {
        live: bool,
    },
    Status(Box<ServerStatus>),
    Users(UserRows),
    Count(Hits),
    LookedUp(RequestOutcome),
    User(Box<UserDetail>),
    Audit(AuditPage),
    Reset(TwoFactorReset),
    Done(Done),
    Explained(CodeExplanation),
    Overview(Box<Overview>),
    EnrolmentStarted(EnrolmentStarted),
    Exported(Exported),
    Jobs(Vec<JobRow>),
    Job(Box<JobDetail>),
    Draft(JobDraft),
    /// A job was begun, paused, resumed or stopped.
    Steered(JobRow),
    Approvals(Vec<ApprovalRow>),
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server does not answer; whether a write was done is not known.
    Lost,
    /// There is no way to the operations; a sentence for the operator.
    NoWay(String),
    /// The server is older or newer than this program; one line that names both.
    Mismatch(String),
    /// The operation says no.
    Refused(Error),
}

pub type Answer = Result<Reply, Failure>;

/// Carries requests out. Dropping the future takes a read back.
pub trait Backend: Clone + Send + Sync + 'static {
    /// Under this id, which the server writes into its log and the audit trail.
    fn perform(&self, id: &str, request: Request) -> impl Future<Output = Answer> + Send;
}

/// The backend of the real program.
#[derive(Clone)]
pub struct LinkBackend(Arc<Shared>);

struct Shared {
    config: Arc<Config>,
    state: Mutex<State>,
}

struct State {
    operator: Operator,
    link: Option<Link>,
    /// The last way there was led through the running server. The store is not opened behind its back while it is
    /// away for a moment.
    was_live: bool,
}

impl LinkBackend {
    #[must_use]
    pub fn new(config: Arc<Config>, operator: Operator) -> Self {
        Self(Arc::new(Shared { config, state: Mutex::new(State { operator, link: None, was_live: false }) }))
    }

    /// Lets go of the store, if it is ours.
    pub async fn close(&self) {
        let link = self.0.state.lock().await.link.take();
        if let Some(link) = link {
            link.close().await;
        }
    }

    async fn connect(&self, name: Option<String>, live_only: bool) -> Answer {
        let mut state = self.0.state.lock().await;
        let live_only = live_only || (name.is_some() && state.was_live);
        if let Some(name) = name {
            state.operator.name = name;
        }
        // The store can be opened once only: ours is let go before it is opened under another name.
        if let Some(link) = state.link.take() {
            link.close().await;
        }
        let operator = state.operator.clone();
        let link = if live_only {
            Link::connect_live_only(&self.0.config, operator, ROLE).await
        } else {
            Link::connect(&self.0.config, operator, ROLE).await
        };
        let link = link.map_err(|error| way_failure(&error))?;
        link.keep_search();
        link.run_jobs();
        let live = link.is_live();
        state.link = Some(link);
        state.was_live = live;
        Ok(Reply::Connected { live })
    }

    async fn link(&self) -> Result<Link, Failure> {
        self.0.state.lock().await.link.clone().ok_or(Failure::Lost)
    }

    async fn call<O: Operation>(&self, id: &str, operation: O) -> Result<O::Reply, Failure> {
        self.link().await?.call_as(id, operation).await.map_err(failure)
    }
}

fn way_failure(error: &LinkError) -> Failure {
    match error {
        LinkError::Refused(error) if is_link_lost(error) => Failure::Lost,
        LinkError::Version { .. } => Failure::Mismatch(error.to_string()),
        error => Failure::NoWay(error.to_string()),
    }
}

fn failure(error: Error) -> Failure {
    if is_link_lost(&error) {
        Failure::Lost
    } else if is_mismatch(&error) {
        Failure::Mismatch(error.to_string())
    } else {
        Failure::Refused(error)
    }
}

fn is_mismatch(error: &Error) -> bool {
    error.code() == "protocol_mismatch"
}

impl Backend for LinkBackend {
    async fn perform(&self, id: &str, request: Request) -> Answer {
        match request {
            Request::Connect => self.connect(None, false).await,
            Request::ConnectAs(name) => self.connect(Some(name), false).await,
            Request::Reconnect => self.connect(None, true).await,
            Request::Status => self.call(id, ReadStatus {}).await.map(|status| Reply::Status(Box::new(status))),
            Request::Find(operation) => self.call(id, operation).await.map(Reply::Users),
            Request::Count(operation) => self.call(id, operation).await.map(Reply::Count),
            Request::LookUp(operation) => self.call(id, operation).await.map(Reply::LookedUp),
            Request::Inspect(operation) => self.call(id, operation).await.map(|user| Reply::User(Box::new(user))),
            Request::Audit(operation) => self.call(id, operation).await.map(Reply::Audit),
            Request::Reset(operation) => self.call(id, operation).await.map(Reply::Reset),
            Request::Unlock(operation) => self.call(id, operation).await.map(Reply::Done),
            Request::RevokeCodes(operation) => self.call(id, operation).await.map(Reply::Done),
            Request::ResendVerification(operation) => self.call(id, operation).await.map(Reply::Done),
            Request::CancelEmailChange(operation) => self.call(id, operation).await.map(Reply::Done),
            Request::RevokeSessions(operation) => self.call(id, operation).await.map(Reply::Done),
            Request::RevokeKey(operation) => self.call(id, operation).await.map(Reply::Done),
            Request::RevokeAllKeys(operation) => self.call(id, operation).await.map(Reply::Done),
            Request::Overview(operation) => {
                self.call(id, operation).await.map(|overview| Reply::Overview(Box::new(overview)))
            }
            Request::Explain(operation) => self.call(id, operation).await.map(Reply::Explained),
            Request::StartEnrolment(operation) => self.call(id, operation).await.map(Reply::EnrolmentStarted),
            Request::ConfirmEnrolment(operation) => self.call(id, operation).await.map(Reply::Done),
            Request::Demand(operation) => self.call(id, operation).await.map(Reply::Done),
            Request::Jobs(operation) => self.call(id, operation).await.map(Reply::Jobs),
            Request::Job(operation) => self.call(id, operation).await.map(|job| Reply::Job(Box::new(job))),
            Request::DraftJob(operation) => self.call(id, operation).await.map(Reply::Draft),
            Request::StartJob(operation) => self.call(id, operation).await.map(Reply::Steered),
            Request::Approvals(operation) => self.call(id, operation).await.map(Reply::Approvals),
            Request::Approve(operation) => self.call(id, operation).await.map(Reply::Done),
            Request::Refuse(operation) => self.call(id, operation).await.map(Reply::Done),
            Request::SteerJob(operation) => self.call(id, operation).await.map(Reply::Steered),
            Request::Export(page) => {
                let written = export::write(&self.link().await?, page).await;
                written.map(Reply::Exported).map_err(failure)
            }
            Request::DiscardExport(file) => export::discard(file).await.map(Reply::Exported).map_err(failure),
        }
    }
}
