//! The second operator: with `admin.second_operator` a level-3 act on a staff user, and what would get
//! around it, waits until another operator approves it, for a quarter of an hour.

use serde::{Deserialize, Serialize};

use super::accounts::SetUserActive;
use super::audit::Note;
use super::demand::DemandReEnrolment;
use super::operator_keys::RevokeAllApiKeys;
use super::reset::{Done, ResetTwoFactor, RevokeBackupCodes, TwoFactorReset};
use super::reset_link::SendTwoFactorResetLink;
use super::safety::{Proof, Proven, SafetyLevel};
use super::sessions::RevokeSessions;
use super::{Context, Operation, Permission, Tries, random};
use crate::domain::approval::{APPROVAL_SECONDS, Act, Approval};
use crate::domain::audit::Event;
use crate::domain::job::AskedBy;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::error::{Error, Result};
use crate::records::{Versioned, put_approval, remove_approval};
use crate::store::Batch;

/// Acts that wait at once; more are a sign of a script that went wrong.
const WAITING_MAX: usize = 200;

/// An operation that can wait for a second operator.
pub(super) trait Approvable: Operation {
    const ACT: Act;
}

macro_rules! approvable {
    ($($act:ident),+) => {
        $(impl Approvable for $act {
            const ACT: Act = Act::$act;
        })+

        /// Does what was asked for.
        async fn carry_out(act: Act, request: &str, cx: &Context<'_>) -> Result<Done> {
            match act {
                $(Act::$act => Ok(read::<$act>(request)?.run(cx).await?.into()),)+
            }
        }

        /// What each is called as an operation.
        #[cfg(test)]
        const NAMES: &[(Act, &str)] = &[$((Act::$act, $act::NAME)),+];
    };
}

approvable!(
    ResetTwoFactor,
    RevokeBackupCodes,
    DemandReEnrolment,
    RevokeSessions,
    RevokeAllApiKeys,
    SendTwoFactorResetLink,
    SetUserActive
);

/// What waits for a second operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRow {
    pub id: String,
    /// What would be done.
    pub operation: Act,
    /// To whom it would be done.
    pub email: String,
    pub asked_by: String,
    /// Who looks is not another operator than who asked, and cannot approve it.
    #[serde(default)]
    pub is_own: bool,
    pub reason: String,
    /// How the caller was checked.
    pub verified_by: Option<String>,
    /// What sets this act apart from others of its kind, in words, such as `keeps sessions`.
    pub options: Vec<String>,
    pub asked_at: Timestamp,
    pub expires_at: Timestamp,
}

impl ApprovalRow {
    /// The options and the check in one line, for people; empty where there is nothing to tell.
    #[must_use]
    pub fn told(&self) -> String {
        let check = self.verified_by.as_ref().map(|text| format!("checked: {text}"));
        self.options.iter().cloned().chain(check).collect::<Vec<_>>().join("; ")
    }
}

/// All that wait, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListApprovals {}

impl Operation for ListApprovals {
    const NAME: &'static str = "list_approvals";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = Vec<ApprovalRow>;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let operator = cx.operator()?;
        let mut waiting: Vec<Approval> =
            cx.records().approvals(2 * WAITING_MAX).await?.into_iter().map(|approval| approval.value).collect();
        waiting.retain(|approval| cx.now < approval.expires_at);
        waiting.sort_by_key(|approval| approval.asked_at);
        Ok(waiting.into_iter().map(|approval| row(approval, &operator)).collect())
    }
}

/// Carries out what waits, at once. Refused with `own_approval` for who asked, and with `own_second_factor` for whom it
/// is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApproveAct {
    pub id: String,
}

impl Operation for ApproveAct {
    const NAME: &'static str = "approve_act";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let approval = cx.waiting_approval(&self.id).await?;
        if !approval.value.is_for_another(&cx.operator()?) {
            return Err(Error::refused("own_approval", "another operator must approve what you asked for"));
        }
        let target = cx.records().user(approval.value.user).await?.ok_or_else(Error::not_found)?.value;
        if cx.is_own(&target) {
            return Err(Error::refused("own_second_factor", "nobody approves what is done to the own account"));
        }
        let approved = Context { approved: Some(&approval), ..*cx };
        carry_out(approval.value.act, &approval.value.request, &approved).await
    }
}

impl From<TwoFactorReset> for Done {
    fn from(reset: TwoFactorReset) -> Self {
        Self {
            email: reset.email,
            summary: "the second factor is reset; a new device is asked for at the next sign-in".to_owned(),
            audit_number: reset.audit_number.unwrap_or_default(),
        }
    }
}

/// Turns down what waits; who asked may take it back this way, too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefuseAct {
    pub id: String,
    /// At least eight letters.
    pub reason: String,
}

impl Operation for RefuseAct {
    const NAME: &'static str = "refuse_act";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let approval = cx.waiting_approval(&self.id).await?;
        let target = cx.records().user(approval.value.user).await?.ok_or_else(Error::not_found)?.value;
        let proven = cx.prove(&Proof::of(self.reason), SafetyLevel::Reason, &target)?;
        let note = Note::of(Event::ApprovalRefused, &target).proven(&proven);
        let note = about(note, &approval.value);
        let batch = cx.audited(remove_approval(Batch::default(), &approval), note);
        let receipt = cx.commit(batch).await?.ok_or_else(lapsed)?;
        Ok(Done {
            email: target.email.as_str().to_owned(),
            summary: format!("{} is turned down; nothing was changed", approval.value.act.as_str()),
            audit_number: receipt.appended.last().copied().unwrap_or_default(),
        })
    }
}

impl Context<'_> {
    /// The proof for level 3, and the second operator where one is needed: then the act waits, and this is refused with
    /// `approval_needed`.
    pub(super) async fn prove_fully<O: Approvable>(&self, act: &O, proof: &Proof, user: &User) -> Result<Proven> {
        let proven = self.prove(proof, SafetyLevel::Person, user)?;
        self.seconded(act, proven, user).await
    }

    /// A proof that a second operator has to approve where one is needed: then the act waits, and this is refused with
    /// `approval_needed`.
    pub(super) async fn seconded<O: Approvable>(&self, act: &O, proven: Proven, user: &User) -> Result<Proven> {
        if self.approved.is_some() || !self.needs_approval(user) {
            return Ok(proven);
        }
        Err(self.ask_for_approval(act, &proven, user).await?)
    }

    /// Keeps one operator from what would get around the second one, and cannot wait for it: it carries a secret, or its
    /// answer does.
    ///
    /// Refused with `second_operator_needed`.
    pub(super) fn refuse_alone(&self, user: &User) -> Result<()> {
        if self.needs_approval(user) {
            return Err(Error::refused(
                "second_operator_needed",
                "not to a staff user while a second operator is demanded; turn admin.second_operator off in the \
                 configuration",
            ));
        }
        Ok(())
    }

    /// The same for what is done to the second factor, which nobody does to the own one.
    pub(super) async fn prove_fully_for_factor<O: Approvable>(
        &self,
        act: &O,
        proof: &Proof,
        user: &User,
    ) -> Result<Proven> {
        self.prove_for_factor(proof, SafetyLevel::Person, user)?;
        self.prove_fully(act, proof, user).await
    }

    /// Whether nobody does this user harm alone.
    pub(super) fn needs_approval(&self, user: &User) -> bool {
        self.config().admin.second_operator && user.is_staff
    }

    /// Has the act wait; the error says under which id.
    async fn ask_for_approval<O: Approvable>(&self, act: &O, proven: &Proven, user: &User) -> Result<Error> {
        let failed = |error: serde_json::Error| Error::internal(error.to_string());
        let mut request = serde_json::to_value(act).map_err(failed)?;
        // An address may be somebody else's by then.
        if let Some(field) = request.get_mut("user") {
            *field = user.id.to_string().into();
        }
        if self.records().approvals(WAITING_MAX).await?.len() >= WAITING_MAX {
            return Err(Error::refused("too_many_approvals", "too many acts wait for approval; try again later"));
        }
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let approval = Approval {
                id: text::hex(&random::bytes::<4>()?),
                act: O::ACT,
                request: request.to_string(),
                user: user.id,
                email: user.email.as_str().to_owned(),
                asked_by: self.operator()?,
                reason: proven.reason.clone(),
                asked_at: self.now,
                expires_at: self.now.plus_seconds(APPROVAL_SECONDS),
            };
            let note = about(Note::of(Event::ApprovalAsked, user).proven(proven), &approval);
            let batch = self.audited(put_approval(Batch::default(), &approval), note);
            if self.commit(batch).await?.is_some() {
                let text = format!(
                    "nothing is changed yet: another operator must approve {id} within {minutes} minutes, with \
                     `doorward 2fa approve {id}` or in the console",
                    id = approval.id,
                    minutes = APPROVAL_SECONDS / 60
                );
                return Ok(Error::refused("approval_needed", text));
            }
        }
    }

    async fn waiting_approval(&self, id: &str) -> Result<Versioned<Approval>> {
        let approval = self.records().approval(&id.trim().to_lowercase()).await?;
        approval.filter(|approval| self.now < approval.value.expires_at).ok_or_else(lapsed)
    }

    /// Adds to the batch of an act that was approved that it does not wait any more.
    pub(super) fn approval_used(&self, batch: Batch) -> Batch {
        match self.approved {
            Some(approval) => remove_approval(batch, approval),
            None => batch,
        }
    }

    /// After a lost race: an error when somebody else was faster with the approval.
    pub(super) async fn check_approval(&self) -> Result<()> {
        match self.approved {
            Some(approval) if self.records().approval(&approval.value.id).await?.is_none() => Err(lapsed()),
            _ => Ok(()),
        }
    }
}

/// Which act it is, for the trail.
fn about(note: Note, approval: &Approval) -> Note {
    note.detail("approval", &approval.id).detail("operation", approval.act.as_str())
}

/// Who asked, for the trail and for people.
pub(super) fn shown(asked_by: &AskedBy) -> String {
    match asked_by.name.as_str() {
        "" => format!("uid {}", asked_by.uid),
        name => format!("{name} (uid {})", asked_by.uid),
    }
}

/// What waits, as this operator sees it.
fn row(approval: Approval, operator: &AskedBy) -> ApprovalRow {
    let (verified_by, options) = told(&approval);
    ApprovalRow {
        verified_by,
        options,
        asked_by: shown(&approval.asked_by),
        is_own: !approval.is_for_another(operator),
        id: approval.id,
        operation: approval.act,
        email: approval.email,
        reason: approval.reason,
        asked_at: approval.asked_at,
        expires_at: approval.expires_at,
    }
}

/// How the caller was checked, and the act's options in words.
fn told(approval: &Approval) -> (Option<String>, Vec<String>) {
    let request: serde_json::Value = serde_json::from_str(&approval.request).unwrap_or_default();
    let verified_by = request.pointer("/proof/verified_by").and_then(serde_json::Value::as_str);
    let says = |name: &str, value: bool| request.get(name).and_then(serde_json::Value::as_bool) == Some(value);
    let mut options = Vec::new();
    if says("keep_sessions", true) {
        options.push("keeps sessions".to_owned());
    }
    if says("revoke_keys", true) {
        options.push("revokes keys".to_owned());
    }
    if says("active", false) {
        options.push("deactivates".to_owned());
    }
    if says("active", true) {
        options.push("reactivates".to_owned());
    }
    let demand = (approval.act == Act::DemandReEnrolment).then(|| read::<DemandReEnrolment>(&approval.request));
    if let Some(Ok(DemandReEnrolment { from: Some(from), .. })) = demand {
        options.push(format!("from {}", from.to_rfc3339_z()));
    }
    (verified_by.map(str::to_owned), options)
}

fn read<O: Operation>(request: &str) -> Result<O> {
    serde_json::from_str(request).map_err(|error| Error::internal(error.to_string()))
}

fn lapsed() -> Error {
    Error::NotFound { detail: "nothing waits for approval under this id; it was decided, or has lapsed".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_are_named_like_their_operations() {
        assert_eq!(NAMES.len(), Act::ALL.len());
        for (act, name) in NAMES {
            assert_eq!(act.as_str(), *name);
        }
    }
}
