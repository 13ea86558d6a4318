//! The operations that may come over the admin socket: one list, from which the routes are made.

use crate::app::accounts::{CreateUser, SetUser, SetUserActive};
use crate::app::approvals::{ApproveAct, ListApprovals, RefuseAct};
use crate::app::audit::{ExportAudit, ListAudit, ReadStatus};
use crate::app::checkpoints::{ReadCheckpoints, TakeCheckpoint};
use crate::app::demand::DemandReEnrolment;
use crate::app::directory::{CountUsers, FindUsers, InspectUser};
use crate::app::email::{CancelEmailChangeOf, ResendVerification};
use crate::app::export::{ExportOrganizations, ExportUsers};
use crate::app::import::{ImportOrganizations, ImportUsers};
use crate::app::jobs::{DraftJob, ListJobs, ReadDraft, ReadJob, StartJob, SteerJob};
use crate::app::operator_keys::{
    CreateApiKeyFor, ListApiKeysOf, RevokeAllApiKeys, RevokeApiKey, RollApiKeyOf, SetApiKey,
};
use crate::app::overview::ReadOverview;
use crate::app::permission::Who;
use crate::app::requests::LookUpRequest;
use crate::app::reset::{
    ConfirmEnrolment, ExplainCode, ResetTwoFactor, RevokeBackupCodes, StartEnrolment, UnlockTwoFactor,
};
use crate::app::reset_link::SendTwoFactorResetLink;
use crate::app::sessions::{ListSessionsOf, RevokeSessions};
use crate::app::verify::{RepairStore, VerifyStore};
use crate::app::{Actor, AnyOperation, App, Operation};
use crate::error::{Error, Result};

macro_rules! operations {
    ($($operation:ty,)+) => {
        /// The names of all operations here.
        pub const NAMES: &[&str] = &[$(<$operation>::NAME,)+];

        // Only what an operator may do belongs here, and the compiler sees to it.
        const _: () = {
            $(assert!(matches!(<$operation>::NEEDS.who, Who::OperatorRead | Who::OperatorWrite));)+
        };

        const DECODERS: &[(&str, Decoder)] = &[$((<$operation>::NAME, decode::<$operation>),)+];
    };
}

operations! {
    ApproveAct,
    CancelEmailChangeOf,
    ConfirmEnrolment,
    CountUsers,
    CreateApiKeyFor,
    CreateUser,
    DemandReEnrolment,
    DraftJob,
    ExplainCode,
    ExportAudit,
    ExportOrganizations,
    ExportUsers,
    FindUsers,
    ImportOrganizations,
    ImportUsers,
    InspectUser,
    ListApiKeysOf,
    ListApprovals,
    ListAudit,
    ListJobs,
    ListSessionsOf,
    LookUpRequest,
    ReadCheckpoints,
    ReadDraft,
    ReadJob,
    ReadOverview,
    ReadStatus,
    RefuseAct,
    RepairStore,
    ResendVerification,
    ResetTwoFactor,
    RevokeAllApiKeys,
    RevokeApiKey,
    RevokeBackupCodes,
    RevokeSessions,
    RollApiKeyOf,
    SendTwoFactorResetLink,
    SetApiKey,
    SetUser,
    SetUserActive,
    StartEnrolment,
    StartJob,
    SteerJob,
    TakeCheckpoint,
    UnlockTwoFactor,
    VerifyStore,
}

type Decoder = fn(&[u8]) -> Option<Box<dyn AnyOperation>>;

fn decode<O: Operation>(body: &[u8]) -> Option<Box<dyn AnyOperation>> {
    // The text of the JSON error is left out: it could quote a password.
    serde_json::from_slice::<O>(body).ok().map(|operation| Box::new(operation) as _)
}

/// Runs the operation of this name.
pub(super) async fn run(app: &App, actor: &Actor, name: &str, body: &[u8]) -> Result<Vec<u8>> {
    app.call_to_the_end(actor, operation(name, body)?).await
}

/// The operation of this name that a body holds.
pub(super) fn operation(name: &str, body: &[u8]) -> Result<Box<dyn AnyOperation>> {
    let decoder = DECODERS.iter().find(|(known, _)| *known == name);
    let (_, decode) =
        decoder.ok_or_else(|| Error::NotFound { detail: format!("no operation is called {name:?}").into() })?;
    decode(body).ok_or_else(|| Error::invalid("parse_error", format!("not a valid {name}"), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the operations' sources, so that a new one for operators cannot be left out.
    #[test]
    fn every_operation_for_operators_is_here() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/app");
        let mut names = Vec::new();
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for path in paths.filter(|path| path.is_file()) {
            let text = std::fs::read_to_string(path).unwrap();
            let mut name = String::new();
            for line in text.lines() {
                if let Some(rest) = line.trim().strip_prefix("const NAME: &'static str = \"") {
                    name = rest.trim_end_matches("\";").to_owned();
                }
                if line.contains("const NEEDS") && line.contains("Permission::OPERATOR") {
                    names.push(name.clone());
                }
            }
        }
        names.sort();
        assert!(names.len() > 10, "the sources are not where this test looks");
        assert_eq!(names, NAMES);
    }
}
