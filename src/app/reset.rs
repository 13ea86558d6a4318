//! What an operator does to another person's second factor: reset, unlock, revoke codes, explain, enrol in person.

use std::future::Future;

use serde::{Deserialize, Serialize};

use super::audit::Note;
use super::email::unstage_email;
use super::safety::{Proof, Proven, SafetyLevel};
use super::second_factor::{find_backup_code, install_device, open_totp, remove_factor};
use super::views::UserRef;
use super::{Context, Identity, Operation, Permission, Tries};
use crate::config::Rate;
use crate::domain::audit::Event;
use crate::domain::backoff::Failures;
use crate::domain::backup_code;
use crate::domain::email::EmailAddress;
use crate::domain::id::UserId;
use crate::domain::mail::MailKind;
use crate::domain::secret::Secret;
use crate::domain::session::PENDING_TOTP_SECONDS;
use crate::domain::time::Timestamp;
use crate::domain::totp;
use crate::domain::user::User;
use crate::domain::vault::sha256;
use crate::error::{Error, Result};
use crate::records::{Versioned, keys, put_user, remove_api_key};
use crate::store::{Batch, Expect};

/// Steps back in which a code is searched to explain it: twelve hours.
const EXPLAIN_STEPS_BACK: i64 = 1_440;
/// Steps ahead: a clock is rarely further off, and nobody learns of codes that will be good much later.
const EXPLAIN_STEPS_AHEAD: i64 = 10;
/// How many codes of one user operators may have explained.
const EXPLANATIONS: Rate = Rate { count: 20, seconds: 600 };
/// Addresses whose counters of failed logins one batch of an unlock clears, two keys each.
const UNLOCKED_ADDRESSES_PER_BATCH: usize = 30;
/// Batches after which an unlock stops: somebody fails from ever new addresses faster than it clears them.
const UNLOCK_BATCHES_MAX: usize = 1_000;

/// What a reset removes (or, with `dry_run`, would remove), and what follows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TwoFactorReset {
    pub dry_run: bool,
    pub email: String,
    pub totp_enrolled_at: Option<Timestamp>,
    pub totp_removed: bool,
    pub backup_codes_deleted: usize,
    pub sessions_ended: usize,
    pub remembered_devices_forgotten: usize,
    pub api_keys_revoked: usize,
    /// An address waited for verification; somebody else may have staged it.
    pub staged_email_dropped: bool,
    /// Addresses that get the notice.
    pub notice_to: Vec<String>,
    /// A new device is demanded at the next sign-in.
    pub enrolment_demanded: bool,
    /// The audit entry; `None` for a dry run.
    pub audit_number: Option<u64>,
}

/// The plain outcome of an operator's action.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    pub email: String,
    /// One sentence: what now holds.
    pub summary: String,
    pub audit_number: u64,
}

/// Why a code is or is not accepted; the code is not used up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CodeExplanation {
    pub accepted: bool,
    /// Stable word: `accepted`, `no_device`, `disabled`, `waiting`, `already_used`, `clock_off`, `wrong`,
    /// `backup_code`, `backup_code_unknown`, `malformed`.
    pub verdict: String,
    /// A sentence for the operator.
    pub explanation: String,
    /// Steps between the code and the server's clock (negative: the phone is behind).
    pub drift_steps: Option<i64>,
    pub server_time: Timestamp,
}

/// An enrolment in person that awaits the first code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrolmentStarted {
    pub email: String,
    /// Base-32.
    pub secret: Secret,
    /// `otpauth://totp/...`.
    pub uri: Secret,
    pub expires_at: Timestamp,
}

/// The one reset: wipes the factor, ends sessions and remembered devices (and keys on request), drops a staged address,
/// queues the notice, demands a new enrolment and writes the audit entry, in one batch. `dry_run` answers the same list
/// and changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResetTwoFactor {
    pub user: UserRef,
    /// Level 3; not looked at for a dry run.
    pub proof: Proof,
    pub keep_sessions: bool,
    pub revoke_keys: bool,
    pub dry_run: bool,
}

impl Operation for ResetTwoFactor {
    const NAME: &'static str = "reset_two_factor";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = TwoFactorReset;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let user = cx.find_user(&self.user).await?.value;
        let how = Wipe { keep_sessions: self.keep_sessions, revoke_keys: self.revoke_keys };
        if self.dry_run {
            return cx.reset_report(&user, how).await;
        }
        let proven = cx.prove_fully_for_factor(&self, &self.proof, &user).await?;
        cx.reset(user.id, how, &proven).await
    }
}

/// Ends back-off and login lock-outs of an account, also those of the addresses from which its logins failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnlockTwoFactor {
    pub user: UserRef,
    pub proof: Proof,
}

impl Operation for UnlockTwoFactor {
    const NAME: &'static str = "unlock_two_factor";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let done = cx.change_user(&self).await?;
        let user = cx.find_user(&self.user).await?.value;
        for _ in 0..UNLOCK_BATCHES_MAX {
            let batch = cx.failures_forgotten(Batch::default(), &user).await?;
            if batch == Batch::default() {
                break;
            }
            // Without expectations a batch cannot conflict.
            cx.commit(batch).await?;
        }
        Ok(done)
    }
}

impl UserChange for UnlockTwoFactor {
    fn user(&self) -> &UserRef {
        &self.user
    }

    async fn apply(&self, cx: &Context<'_>, user: &mut User) -> Result<(Batch, String)> {
        let proven = cx.prove(&self.proof, SafetyLevel::Reason, user)?;
        let factor = &mut user.second_factor;
        let wrong = factor.totp_failures.count + factor.backup_code_failures.count;
        let is_disabled = factor.totp.as_ref().is_some_and(|device| device.disabled);
        factor.totp_failures = Failures::default();
        factor.backup_code_failures = Failures::default();
        let batch = cx.forget_failures(Batch::default(), &user.email);
        let batch = cx.failures_forgotten(batch, user).await?;
        let batch = cx.second_step_tries_forgotten(batch, user.id).await?;
        let note = Note::of(Event::TwoFactorUnlocked, user).proven(&proven).detail("wrong_codes", wrong);
        let summary = if is_disabled {
            "wrong codes and failed logins are forgotten; the device stays disabled after 100 wrong codes: reset it"
        } else {
            "wrong codes and failed logins are forgotten; the next try is allowed at once"
        };
        Ok((cx.audited(batch, note), summary.to_owned()))
    }
}

/// Deletes the unused backup codes; the device stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeBackupCodes {
    pub user: UserRef,
    /// Level 3.
    pub proof: Proof,
}

impl Operation for RevokeBackupCodes {
    const NAME: &'static str = "revoke_backup_codes";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.change_user(&self).await
    }
}

impl UserChange for RevokeBackupCodes {
    fn user(&self) -> &UserRef {
        &self.user
    }

    async fn apply(&self, cx: &Context<'_>, user: &mut User) -> Result<(Batch, String)> {
        let proven = cx.prove_fully_for_factor(self, &self.proof, user).await?;
        let deleted = user.second_factor.backup_codes.len();
        if deleted == 0 {
            return Err(Error::refused("no_backup_codes", "there are no unused backup codes to revoke"));
        }
        user.second_factor.backup_codes.clear();
        let note =
            Note::of(Event::TwoFactorBackupCodesRevoked, user).proven(&proven).detail("backup_codes_deleted", deleted);
        let batch = cx.mailed(Batch::default(), user, MailKind::BackupCodesRevoked)?;
        Ok((cx.audited(batch, note), format!("{deleted} unused backup codes deleted; the device stays")))
    }
}

/// Says why a code is or is not accepted, without using it up. The trail tells that a code was looked at, not which.
///
/// Refused with `throttled` after 20 of one user in ten minutes: it is no place to guess.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainCode {
    pub user: UserRef,
    pub code: Secret,
}

impl Operation for ExplainCode {
    const NAME: &'static str = "explain_code";
    const NEEDS: Permission = Permission::OPERATOR_READ;
    type Reply = CodeExplanation;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let user = cx.find_user(&self.user).await?.value;
        cx.app.0.throttle.count("code_explained", EXPLANATIONS, user.id.as_bytes(), cx.now)?;
        let (verdict, explanation, drift_steps) = cx.explain(&user, self.code.expose())?;
        if !matches!(verdict, "no_device" | "malformed") {
            let note = Note::of(Event::TwoFactorCodeExplained, &user).detail("verdict", verdict);
            cx.commit(cx.audited(Batch::default(), note)).await?;
        }
        Ok(CodeExplanation {
            accepted: matches!(verdict, "accepted" | "backup_code"),
            verdict: verdict.to_owned(),
            explanation,
            drift_steps,
            server_time: cx.now,
        })
    }
}

/// Begins an enrolment in person, for a user without a device. Not for staff while a second operator is demanded: the key
/// would be in the hands of one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StartEnrolment {
    pub user: UserRef,
    pub proof: Proof,
}

impl Operation for StartEnrolment {
    const NAME: &'static str = "start_enrolment";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = EnrolmentStarted;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let user = cx.find_user(&self.user).await?.value;
        cx.refuse_alone(&user)?;
        let proven = cx.prove_for_factor(&self.proof, SafetyLevel::Reason, &user)?;
        if user.second_factor.is_enabled() {
            return Err(Error::refused("already_enrolled", "this user has a device; reset it first"));
        }
        let (batch, secret) = cx.setup_begun(Batch::default(), &user, &in_person(user.id))?;
        let note = Note::of(Event::TwoFactorSetupStarted, &user).proven(&proven).detail("how", "in person");
        cx.commit(cx.audited(batch, note)).await?;
        let uri = totp::short_otpauth_uri(&cx.config().two_factor.issuer, user.email.as_str(), secret.expose());
        Ok(EnrolmentStarted {
            email: user.email.as_str().to_owned(),
            secret,
            uri: Secret::new(uri),
            expires_at: cx.now.plus_seconds(PENDING_TOTP_SECONDS),
        })
    }
}

/// Finishes an enrolment in person with the code that the phone shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfirmEnrolment {
    pub user: UserRef,
    pub code: Secret,
    pub proof: Proof,
}

impl Operation for ConfirmEnrolment {
    const NAME: &'static str = "confirm_enrolment";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let user = cx.find_user(&self.user).await?.value;
        cx.refuse_alone(&user)?;
        let proven = cx.prove_for_factor(&self.proof, SafetyLevel::Reason, &user)?;
        let id = user.id;
        let credential = in_person(id);
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = cx.user(id).await?;
            let pending = cx.live_pending_totp(&before.value, &credential).await?.ok_or_else(|| {
                Error::refused("setup_expired", "no enrolment is under way, or it took too long; start again")
            })?;
            let key = keys::pending_totp(id, &credential);
            let batch = Batch::default().expect(key.clone(), Expect::Version(pending.version));
            let secret = open_totp(cx.vault(), before.value.id, &pending.value.secret)?;
            let code = totp::parse_code(self.code.expose());
            let Some(totp::Match::Accepted { step }) = code.map(|code| totp::verify(&secret, &code, cx.now, -1)) else {
                if cx.setup_failed(batch, &before.value, &credential, &pending.value).await?.is_some() {
                    let text = "this is not the code of the new device; try the next one";
                    return Err(Error::refused("token_invalid", text));
                }
                continue;
            };
            let mut user = before.value.clone();
            install_device(&mut user, pending.value.secret, step, cx.now);
            // As with every enrolment: no session stays that has not proved the new factor.
            user.session_epoch = user.session_epoch.wrapping_add(1);
            let batch = put_user(batch.delete(key), Some(&before), &user);
            let batch = cx.mailed(batch, &user, MailKind::TwoFactorEnabled)?;
            let note = Note::of(Event::TwoFactorEnabled, &user).proven(&proven).detail("how", "in person");
            if let Some(receipt) = cx.commit(cx.audited(batch, note)).await? {
                return Ok(Done {
                    email: user.email.into(),
                    summary: "the new device is in force".to_owned(),
                    audit_number: receipt.appended.last().copied().unwrap_or_default(),
                });
            }
        }
    }
}

/// A change of one user by an operator; see [`Context::change_user`].
pub(super) trait UserChange: Sync {
    fn user(&self) -> &UserRef;

    /// Changes the user, and says what else goes into the batch (with the audit entry as its last append) and what then
    /// holds. May be called again when somebody else was faster.
    fn apply(&self, cx: &Context<'_>, user: &mut User) -> impl Future<Output = Result<(Batch, String)>> + Send;
}

/// What of the rest goes with the second factor.
#[derive(Clone, Copy)]
struct Wipe {
    keep_sessions: bool,
    revoke_keys: bool,
}

impl Context<'_> {
    /// `two_factor_disable` by staff (spec §3.2): the same reset, with sessions ended and keys kept.
    pub(super) async fn reset_by_staff(&self, id: UserId) -> Result<TwoFactorReset> {
        self.refuse_self(id)?;
        let how = Wipe { keep_sessions: false, revoke_keys: false };
        let user = self.user(id).await?.value;
        if self.needs_approval(&user) {
            return Err(Error::denied("Two operators have to reset the second factor of a staff user."));
        }
        if !user.second_factor.is_enabled() {
            return self.reset_report(&user, how).await;
        }
        let proven = Proven { reason: "two_factor_disable by staff".to_owned(), verified_by: None };
        self.reset(id, how, &proven).await
    }

    /// The reset within a job: sessions end, keys stay.
    pub(super) async fn reset_of_job(&self, id: UserId, proven: &Proven) -> Result<()> {
        self.reset(id, Wipe { keep_sessions: false, revoke_keys: false }, proven).await.map(drop)
    }

    async fn reset(&self, id: UserId, how: Wipe, proven: &Proven) -> Result<TwoFactorReset> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = self.user(id).await?;
            let mut user = before.value.clone();
            let mut report = self.reset_report(&user, how).await?;
            report.dry_run = false;
            remove_factor(&mut user);
            user.second_factor.enrol_from = Some(self.now);
            user.second_factor.last_reset_at = Some(self.now);
            user.remember_epoch = user.remember_epoch.wrapping_add(1);
            if !how.keep_sessions {
                user.session_epoch = user.session_epoch.wrapping_add(1);
            }
            let (batch, note) =
                unstage_email(Batch::default(), &mut user, Note::of(Event::TwoFactorReset, &before.value));
            let mut batch = put_user(batch, Some(&before), &user);
            for key in self.records().pending_totp_keys(id).await? {
                batch = batch.delete(key);
            }
            if how.revoke_keys {
                batch = self.guarded(batch, &keys::api_key_guard(id)).await?;
                for key in self.records().api_keys_of(id).await? {
                    batch = remove_api_key(batch, &key.value);
                }
            }
            let kind = MailKind::TwoFactorReset {
                sessions_ended: !how.keep_sessions,
                keys_revoked: how.revoke_keys && report.api_keys_revoked > 0,
            };
            for to in notice_addresses(&user, self.now) {
                batch = self.mailed_to(batch, &user, to, kind.clone())?;
            }
            let note = note
                .proven(proven)
                .detail("totp_removed", report.totp_removed)
                .detail("backup_codes_deleted", report.backup_codes_deleted)
                .detail("sessions_ended", report.sessions_ended)
                .detail("remembered_devices_forgotten", report.remembered_devices_forgotten)
                .detail("api_keys_revoked", report.api_keys_revoked);
            if let Some(receipt) = self.commit(self.audited(batch, note)).await? {
                report.audit_number = receipt.appended.last().copied();
                return Ok(report);
            }
        }
    }

    /// Adds to a batch that failed logins from the first addresses are forgotten: those of this user, and the address's
    /// own, which would refuse the next try as well.
    async fn failures_forgotten(&self, mut batch: Batch, user: &User) -> Result<Batch> {
        let pairs = self.records().login_failure_keys_of(user.email.as_str(), UNLOCKED_ADDRESSES_PER_BATCH).await?;
        for pair in pairs {
            if let Some(address) = keys::attempts_of_address(&pair) {
                batch = batch.delete(address);
            }
            batch = batch.delete(pair);
        }
        Ok(batch)
    }

    /// What is there to go, as of now.
    async fn reset_report(&self, user: &User, how: Wipe) -> Result<TwoFactorReset> {
        let (sessions, devices) = self.live_presence(user).await?;
        let keys = self.records().api_keys_of(user.id).await?.len();
        let notice_to = notice_addresses(user, self.now).map(|address| address.as_str().to_owned()).collect();
        Ok(TwoFactorReset {
            dry_run: true,
            email: user.email.as_str().to_owned(),
            totp_enrolled_at: user.second_factor.totp.as_ref().map(|device| device.confirmed_at),
            totp_removed: user.second_factor.totp.is_some(),
            backup_codes_deleted: user.second_factor.backup_codes.len(),
            sessions_ended: if how.keep_sessions { 0 } else { sessions },
            remembered_devices_forgotten: devices,
            api_keys_revoked: if how.revoke_keys { keys } else { 0 },
            staged_email_dropped: user.pending_email.is_some(),
            notice_to: if self.app.is_mail_available() { notice_to } else { Vec::new() },
            enrolment_demanded: true,
            audit_number: None,
        })
    }

    /// No staff member resets the own second factor this way; the owner's way asks for a proof.
    fn refuse_self(&self, id: UserId) -> Result<()> {
        match &self.actor.identity {
            Identity::Session { user, .. } | Identity::ApiKey { user, .. } if user.id == id => {
                Err(Error::refused("self_reset", "nobody resets the own second factor"))
            }
            _ => Ok(()),
        }
    }

    fn explain(&self, user: &User, typed: &str) -> Result<(&'static str, String, Option<i64>)> {
        let factor = &user.second_factor;
        let Some(device) = &factor.totp else {
            return Ok(("no_device", "the user has no device; log-in does not ask for a code".to_owned(), None));
        };
        let Some(code) = totp::parse_code(typed) else { return Ok(self.explain_backup_code(user, typed)) };
        if device.disabled {
            let text = "the device was disabled after 100 wrong codes in a row; only a reset and a new device help";
            return Ok(("disabled", text.to_owned(), None));
        }
        let secret = open_totp(self.vault(), user.id, &device.secret)?;
        let here = totp::step_at(self.now);
        let Some(step) = totp::locate(&secret, &code, self.now, EXPLAIN_STEPS_BACK, EXPLAIN_STEPS_AHEAD) else {
            let text = "not a code of this device in the last twelve hours or the next five minutes: another account or an old entry in the app, or a typing mistake";
            return Ok(("wrong", text.to_owned(), None));
        };
        let drift = step - here;
        if drift.abs() > totp::TOLERANCE_STEPS {
            let seconds = drift.abs() * totp::STEP_SECONDS;
            let how = if drift < 0 { "slow" } else { "fast" };
            let text = format!(
                "right secret, but the phone's clock is about {seconds} s {how} (or the code is that old): set its clock to automatic"
            );
            return Ok(("clock_off", text, Some(drift)));
        }
        if step <= device.last_step {
            let text = "right secret, but a code of this step or a later one was used already: wait for the next code";
            return Ok(("already_used", text.to_owned(), Some(drift)));
        }
        if let Some(until) = factor.totp_failures.next_try_at().filter(|until| self.now < *until) {
            let seconds = until.seconds_since(self.now) + 1;
            let text = format!(
                "right code, but refused for another {seconds} s after {} wrong ones in a row",
                factor.totp_failures.count
            );
            return Ok(("waiting", text, Some(drift)));
        }
        Ok(("accepted", "the code is right and would be accepted now".to_owned(), Some(drift)))
    }

    fn explain_backup_code(&self, user: &User, typed: &str) -> (&'static str, String, Option<i64>) {
        let (verdict, text) = match backup_code::fold(typed) {
            None => ("malformed", "neither six digits nor the form of a backup code (eight letters and digits 2 to 7)"),
            Some(code) if find_backup_code(self.vault(), user, &code).is_some() => {
                if user.second_factor.backup_code_failures.reached_the_end() {
                    (
                        "disabled",
                        "an unused backup code, but none is taken after 100 wrong ones in a row: unlock the user",
                    )
                } else if user.second_factor.backup_code_failures.is_waiting(self.now) {
                    ("waiting", "an unused backup code, but refused for a while after wrong ones")
                } else {
                    ("backup_code", "an unused backup code of this user; it would be accepted now")
                }
            }
            Some(_) => ("backup_code_unknown", "the form of a backup code, but not an unused one of this user"),
        };
        (verdict, text.to_owned(), None)
    }

    /// Makes a change: reads the user, applies, commits, and tells what now holds.
    pub(super) async fn change_user(&self, change: &impl UserChange) -> Result<Done> {
        let id = self.find_user(change.user()).await?.value.id;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before: Versioned<User> = self.user(id).await?;
            let mut user = before.value.clone();
            let (batch, summary) = change.apply(self, &mut user).await?;
            if let Some(receipt) = self.commit(put_user(batch, Some(&before), &user)).await? {
                let audit_number = receipt.appended.last().copied().unwrap_or_default();
                return Ok(Done { email: user.email.as_str().to_owned(), summary, audit_number });
            }
        }
    }
}

/// Where the notice of a reset goes: the address, and the one before it if that changed within 30 days.
pub(super) fn notice_addresses(user: &User, now: Timestamp) -> impl Iterator<Item = &EmailAddress> {
    let changed_lately = user.email_changed_at.is_some_and(|at| now.seconds_since(at) < 30 * 86_400);
    std::iter::once(&user.email).chain(user.previous_email.as_ref().filter(move |_| changed_lately))
}

/// Stands for the credential of an enrolment in person: one for each user.
fn in_person(user: UserId) -> [u8; 32] {
    sha256(&[b"enrolment in person", user.as_bytes().as_slice()].concat())
}
