//! `doorward 2fa`: see, reset and repair second factors.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;

use super::output::{complain, count, facts, moment, moment_or, table};
use super::proof::{Reason, Sure};
use super::{Failure, Output, sensitive, when};
use crate::admin::Link;
use crate::app::approvals::{ApprovalRow, ApproveAct, ListApprovals, RefuseAct};
use crate::app::demand::DemandReEnrolment;
use crate::app::directory::InspectUser;
use crate::app::reset::{
    CodeExplanation, ConfirmEnrolment, Done, EnrolmentStarted, ExplainCode, ResetTwoFactor, RevokeBackupCodes,
    StartEnrolment, TwoFactorReset, UnlockTwoFactor,
};
use crate::app::reset_link::SendTwoFactorResetLink;
use crate::app::safety::Proof;
use crate::app::views::{UserDetail, UserRef};
use crate::domain::secret::Secret;
use crate::domain::text::for_display;
use crate::domain::time::Timestamp;

/// Wrong codes that `enrol` takes from a person before it gives up.
const ENROL_TRIES: u32 = 3;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the state of a user's second factor
    #[command(after_help = "Example:\n  doorward 2fa status ada@example.com")]
    Status { user: String },
    /// Remove a user's second factor and demand a new one
    #[command(after_help = "\
Examples:
  doorward 2fa reset ada@example.com --reason \"lost phone, HD-4711\" --verified-by \"call-back\"
  doorward 2fa reset ada@example.com --reason \"lost phone, HD-4711\" --dry-run
  doorward 2fa reset ada@example.com --reason \"lost phone, HD-4711\" --send-link")]
    Reset(Reset),
    /// End the waiting time after wrong codes and failed logins
    #[command(after_help = "Example:\n  doorward 2fa unlock ada@example.com --reason \"typed wrong codes, HD-4602\"")]
    Unlock {
        user: String,
        #[command(flatten)]
        why: Reason,
    },
    /// Say why a code is or is not accepted, without using it up
    #[command(after_help = "\
Examples:
  doorward 2fa explain ada@example.com 123456
  doorward 2fa explain ada@example.com - < code.txt")]
    Explain {
        user: String,
        /// The code, or `-` to read it from standard input
        code: String,
    },
    /// Enrol a new device together with the user
    #[command(after_help = "Example:\n  doorward 2fa enrol ada@example.com --reason \"new phone, in person\"")]
    Enrol {
        user: String,
        #[command(flatten)]
        why: Reason,
    },
    /// Demand a new device, now or by a day; the old one stays in force until then
    #[command(after_help = "\
Examples:
  doorward 2fa demand ada@example.com --reason \"old phone sold, HD-4711\" --verified-by \"call-back\"
  doorward 2fa demand ada@example.com --from 2026-12-01 --reason \"new rule for staff\"")]
    Demand(Demand),
    /// Approve what another operator asked for to be done to staff
    #[command(after_help = "Examples:\n  doorward 2fa approve --list\n  doorward 2fa approve 0a1b2c3d")]
    Approve(Approve),
    /// Turn down what another operator asked for
    #[command(after_help = "Example:\n  doorward 2fa refuse 0a1b2c3d --reason \"did not call back\"")]
    Refuse {
        /// The number of the act, as `2fa approve --list` shows it
        id: String,
        /// Why, for the audit trail
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Say how many backup codes are left, or revoke them
    #[command(after_help = "\
Examples:
  doorward 2fa codes ada@example.com
  doorward 2fa codes ada@example.com --revoke --reason \"list was photographed\"")]
    Codes(Codes),
}

#[derive(Debug, Args)]
pub struct Reset {
    user: String,
    #[command(flatten)]
    sure: Sure,
    /// Leave the login sessions alone
    #[arg(long)]
    keep_sessions: bool,
    /// Revoke the personal API keys too
    #[arg(long)]
    revoke_keys: bool,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Remove nothing: mail the user a link, valid one hour, that does so after the password was given
    #[arg(long, conflicts_with_all = ["keep_sessions", "revoke_keys", "dry_run"])]
    send_link: bool,
}

#[derive(Debug, Args)]
pub struct Demand {
    user: String,
    /// From when on: a date, a date with a time (UTC), or in how long, such as 12h or 7d [default: now]
    #[arg(long, value_name = "WHEN", value_parser = when::to_come)]
    from: Option<Timestamp>,
    #[command(flatten)]
    sure: Sure,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["id", "list"]))]
pub struct Approve {
    /// The number of the act, which is done at once
    id: Option<String>,
    /// List what waits
    #[arg(long)]
    list: bool,
}

#[derive(Debug, Args)]
pub struct Codes {
    user: String,
    /// Delete the codes that are left
    #[arg(long, requires = "reason")]
    revoke: bool,
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT", requires = "revoke")]
    reason: Option<String>,
    /// How the caller was checked
    #[arg(long, value_name = "TEXT", requires = "revoke")]
    verified_by: Option<String>,
    /// Do not ask
    #[arg(long, requires = "revoke")]
    yes: bool,
}

impl Command {
    pub async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        match self {
            Self::Status { user } => status(link, output, user).await,
            Self::Reset(reset) => reset.run(link, output).await,
            Self::Unlock { user, why } => {
                answer_done(output, &link.call(UnlockTwoFactor { user: UserRef(user), proof: why.proof() }).await?)
            }
            Self::Explain { user, code } => explain(link, output, user, &code).await,
            Self::Enrol { user, why } => enrol(link, output, UserRef(user), why.proof()).await,
            Self::Demand(demand) => demand.run(link, output).await,
            Self::Approve(Approve { id: Some(id), .. }) => answer_done(output, &link.call(ApproveAct { id }).await?),
            Self::Approve(_) => {
                let waiting = link.call(ListApprovals {}).await?;
                output.answer(&waiting, || approvals_text(&waiting))
            }
            Self::Refuse { id, reason } => answer_done(output, &link.call(RefuseAct { id, reason }).await?),
            Self::Codes(codes) => codes.run(link, output).await,
        }
    }
}

fn answer_done(output: Output, done: &Done) -> Result<(), Failure> {
    output.answer(done, || format!("{} (audit {})", for_display(&done.summary), done.audit_number))
}

async fn status(link: &Link, output: Output, user: String) -> Result<(), Failure> {
    let detail = link.call(InspectUser { user: UserRef(user) }).await?;
    let json =
        json!({"uuid": detail.row.uuid, "id": detail.row.id, "email": detail.row.email, "factor": detail.factor});
    output.answer(&json, || status_text(&detail))
}

fn status_text(detail: &UserDetail) -> String {
    let factor = &detail.factor;
    let left = match factor.backup_codes_issued {
        0 => "none".to_owned(),
        issued => format!("{} of {issued} left", factor.backup_codes_remaining),
    };
    facts(&[
        ("e-mail", detail.row.email.clone()),
        ("2fa", factor.state.as_str().to_owned()),
        ("method", factor.method.clone().unwrap_or_default()),
        ("enrolled", moment_or(factor.enrolled_at, "")),
        ("last used", moment_or(factor.last_used_at, "")),
        ("backup codes", left),
        ("made", moment_or(factor.backup_codes_made_at, "")),
        ("wrong codes", format!("{} TOTP, {} backup", factor.totp_failures, factor.backup_code_failures)),
        ("last wrong", moment_or(factor.last_failure_at, "")),
        ("waits until", moment_or(factor.waiting_until, "")),
        ("login locked", moment_or(factor.login_locked_until, "")),
        ("must enrol", factor.enrol_from.map(|from| format!("from {}", moment(from))).unwrap_or_default()),
        ("last reset", moment_or(factor.last_reset_at, "")),
    ])
}

impl Reset {
    async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        if self.send_link {
            let (user, proof) = (UserRef(self.user), self.sure.unconfirmed());
            let sent = link.call(SendTwoFactorResetLink { user, proof }).await?;
            return answer_done(output, &sent);
        }
        let preview = ResetTwoFactor {
            user: UserRef(self.user),
            proof: Proof::default(),
            keep_sessions: self.keep_sessions,
            revoke_keys: self.revoke_keys,
            dry_run: true,
        };
        if self.dry_run {
            return answer_reset(output, &link.call(preview).await?);
        }
        self.sure.check()?;
        if self.sure.asks() {
            complain(reset_text(&link.call(preview.clone()).await?).trim_end());
        }
        let proof = self.sure.proof(link, &preview.user).await?;
        answer_reset(output, &link.call(ResetTwoFactor { proof, dry_run: false, ..preview }).await?)
    }
}

fn answer_reset(output: Output, reset: &TwoFactorReset) -> Result<(), Failure> {
    output.answer(reset, || reset_text(reset))
}

fn reset_text(reset: &TwoFactorReset) -> String {
    let email = for_display(&reset.email);
    let head = match reset.audit_number {
        Some(number) => format!("reset the second factor of {email} (audit {number}):\n"),
        None => format!("a reset of the second factor of {email} would:\n"),
    };
    let device = reset.totp_enrolled_at.map(|at| format!("remove the TOTP device enrolled {}", moment(at)));
    let device = device.or_else(|| reset.totp_removed.then(|| "remove the TOTP device".to_owned()));
    let counted =
        |number: usize, verb: &str, noun: &str| (number > 0).then(|| format!("{verb} {}", count(number, noun)));
    let notices = reset.notice_to.iter().map(|address| Some(format!("e-mail {address} about it")));
    let nobody =
        reset.notice_to.is_empty().then(|| "send no e-mail, since mail is off: tell the person yourself".to_owned());
    let steps = [
        device,
        counted(reset.backup_codes_deleted, "delete", "unused backup code"),
        counted(reset.sessions_ended, "sign out", "session"),
        counted(reset.remembered_devices_forgotten, "forget", "remembered device"),
        counted(reset.api_keys_revoked, "revoke", "API key"),
    ];
    let demand = reset.enrolment_demanded.then(|| "ask for a new device at the next sign-in".to_owned());
    let steps = steps.into_iter().chain(notices).chain([nobody, demand]).flatten();
    head + &steps.map(|step| format!("  {}\n", for_display(&step))).collect::<Vec<_>>().concat()
}

async fn explain(link: &Link, output: Output, user: String, code: &str) -> Result<(), Failure> {
    let code = if code == "-" { sensitive::read_line("code")? } else { Secret::from(code) };
    let explanation = link.call(ExplainCode { user: UserRef(user), code }).await?;
    output.answer(&explanation, || explanation_text(&explanation))
}

fn explanation_text(explanation: &CodeExplanation) -> String {
    let verdict = if explanation.accepted { "accepted" } else { "not accepted" };
    let drift = explanation.drift_steps.filter(|steps| *steps != 0).map(|steps| format!("{steps} steps of 30 s"));
    facts(&[
        ("verdict", format!("{verdict} ({})", explanation.verdict)),
        ("why", explanation.explanation.clone()),
        ("drift", drift.unwrap_or_default()),
        ("server time", explanation.server_time.to_rfc3339_z()),
    ])
}

/// Shows the secret, then waits for the code that proves it.
async fn enrol(link: &Link, output: Output, user: UserRef, proof: Proof) -> Result<(), Failure> {
    let started = link.call(StartEnrolment { user: user.clone(), proof: proof.clone() }).await?;
    output.answer(&started, || started_text(&started))?;
    let mut tries = if sensitive::can_ask() { ENROL_TRIES } else { 1 };
    loop {
        output.note("type the six digits that the app shows:");
        let code = sensitive::read_line("code")?;
        tries = tries.saturating_sub(1);
        match link.call(ConfirmEnrolment { user: user.clone(), code, proof: proof.clone() }).await {
            Ok(done) => return answer_done(output, &done),
            Err(error) if tries > 0 && error.code() == "token_invalid" => {
                output.note(&for_display(&error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn started_text(started: &EnrolmentStarted) -> String {
    facts(&[
        ("for", started.email.clone()),
        ("uri", started.uri.expose().to_owned()),
        ("secret", started.secret.expose().to_owned()),
        ("valid until", moment(started.expires_at)),
    ])
}

fn approvals_text(waiting: &[ApprovalRow]) -> String {
    if waiting.is_empty() {
        return "nothing waits for approval".to_owned();
    }
    let rows = waiting.iter().map(|row| {
        [
            row.id.clone(),
            row.operation.as_str().to_owned(),
            row.email.clone(),
            row.asked_by.clone(),
            moment(row.expires_at),
            row.reason.clone(),
            row.told(),
        ]
    });
    table(["ID", "WHAT", "USER", "ASKED BY", "LAPSES", "REASON", "HOW"], rows.collect())
}

impl Demand {
    async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let user = UserRef(self.user);
        let proof = self.sure.proof(link, &user).await?;
        answer_done(output, &link.call(DemandReEnrolment { user, proof, from: self.from }).await?)
    }
}

impl Codes {
    async fn run(self, link: &Link, output: Output) -> Result<(), Failure> {
        let user = UserRef(self.user);
        if let (true, Some(reason)) = (self.revoke, self.reason) {
            let sure = Sure { reason, verified_by: self.verified_by, yes: self.yes };
            let proof = sure.proof(link, &user).await?;
            let done = link.call(RevokeBackupCodes { user, proof }).await?;
            return answer_done(output, &done);
        }
        let factor = link.call(InspectUser { user }).await?.factor;
        let json = json!({
            "backup_codes_remaining": factor.backup_codes_remaining,
            "backup_codes_issued": factor.backup_codes_issued,
            "backup_codes_made_at": factor.backup_codes_made_at,
            "backup_code_used_at": factor.backup_code_used_at,
        });
        output.answer(&json, || {
            if factor.backup_codes_issued == 0 {
                return "no backup codes were made".to_owned();
            }
            facts(&[
                ("left", format!("{} of {}", factor.backup_codes_remaining, factor.backup_codes_issued)),
                ("made", moment_or(factor.backup_codes_made_at, "")),
                ("last used", moment_or(factor.backup_code_used_at, "never")),
            ])
        })
    }
}
