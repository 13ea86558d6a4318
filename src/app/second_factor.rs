//! The user's own second factor: enrolment, status, backup codes, disabling (spec §3.2, §4.5).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::audit::Note;
use super::limits::Limit;
use super::login::is_session_live;
use super::permission::KeyRule;
use super::views::{Success, TwoFactorStatusView, UserRef};
use super::{Context, Identity, Operation, Permission, Tries, random};
use crate::config::Rate;
use crate::domain::audit::Event;
use crate::domain::backoff::Failures;
use crate::domain::backup_code;
use crate::domain::fields::{FieldError, Fields};
use crate::domain::id::UserId;
use crate::domain::input::Input;
use crate::domain::mail::MailKind;
use crate::domain::secret::Secret;
use crate::domain::session::{
    FRESH_REAUTH_SECONDS, PENDING_TOTP_FAILURES_MAX, PENDING_TOTP_SECONDS, PendingTotp, Session,
};
use crate::domain::time::Timestamp;
use crate::domain::totp::{self, Match};
use crate::domain::user::{BackupCode, TotpDevice, User};
use crate::domain::vault::{Sealed, Vault, VaultError};
use crate::error::{Error, Result};
use crate::records::{Versioned, keys, put_pending_totp, put_session, put_user};
use crate::store::{Batch, Expect};

/// What sealed secrets are bound to, besides the user.
const TOTP: &str = "totp";
const BACKUP_CODE: &str = "backup_code";
/// How often the trail says that a session looked at its codes.
const CODES_VIEWED: Rate = Rate { count: 1, seconds: 3_600 };

/// The answer of `two_factor_start_setup`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TotpSetup {
    pub success: bool,
    /// 32 base-32 characters.
    #[schema(value_type = String)]
    pub secret: Secret,
}

/// A fresh set of backup codes, shown once here.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BackupCodes {
    #[schema(value_type = Vec<String>)]
    pub backup_codes: Vec<Secret>,
}

/// `two_factor_start_setup`, `start_2fa_setup`: makes a new secret, kept for 600 s.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StartTotpSetup {
    pub user: UserRef,
}

impl Operation for StartTotpSetup {
    const NAME: &'static str = "start_totp_setup";
    const NEEDS: Permission = Permission::USER.key(KeyRule::TwoFactorScope("user:write")).passes_gate();
    type Reply = TotpSetup;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let id = cx.own_account(&self.user)?;
        let user = cx.user(id).await?.value;
        if user.second_factor.is_enabled() {
            // Replacing a factor is as good as disabling it (W-10).
            cx.require_verified_and_recent()?;
        }
        let (batch, secret) = cx.setup_begun(Batch::default(), &user, &cx.credential()?)?;
        let batch = cx.audited(batch, Note::of(Event::TwoFactorSetupStarted, &user));
        cx.commit(batch).await?;
        Ok(TotpSetup { success: true, secret })
    }
}

/// `two_factor_validate`, `validate_2fa`: proves the secret and switches the factor on. Field: `token`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ValidateTotp {
    pub user: UserRef,
    pub fields: Fields,
}

impl Operation for ValidateTotp {
    const NAME: &'static str = "validate_totp";
    const NEEDS: Permission = Permission::USER.key(KeyRule::TwoFactorScope("user:write")).sensitive().passes_gate();
    const INPUTS: &'static [Input] = &[Input::code("token", "The six digits that the authenticator shows.").required()];
    type Reply = Success;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let id = cx.own_account(&self.user)?;
        let credential = cx.credential()?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = cx.user(id).await?;
            let pending = cx.live_pending_totp(&before.value, &credential).await?.ok_or_else(setup_expired)?;
            let typed = self.fields.code_token("token")?.ok_or_else(|| FieldError::required("token"))?;
            let pending_key = keys::pending_totp(id, &credential);
            let batch = Batch::default().expect(pending_key.clone(), Expect::Version(pending.version));
            let secret = open_totp(cx.vault(), before.value.id, &pending.value.secret)?;
            let step = match totp::parse_code(&typed).map(|code| totp::verify(&secret, &code, cx.now, -1)) {
                Some(Match::Accepted { step }) => step,
                Some(Match::Replayed | Match::Wrong) | None => {
                    if cx.setup_failed(batch, &before.value, &credential, &pending.value).await?.is_some() {
                        return Err(Error::invalid("token_invalid", "Token is not valid", None));
                    }
                    continue;
                }
            };
            let mut user = before.value.clone();
            let is_replacement = user.second_factor.is_enabled();
            install_device(&mut user, pending.value.secret.clone(), step, cx.now);
            // Era B: every other session ends; the one that did it stays, verified.
            user.session_epoch = user.session_epoch.wrapping_add(1);
            let mut batch = put_user(batch.delete(pending_key), Some(&before), &user);
            batch =
                cx.rebind_session(batch, &before.value, &user, |session| session.verified_at = Some(cx.now)).await?;
            let event = if is_replacement { Event::TwoFactorReplaced } else { Event::TwoFactorEnabled };
            batch = cx.audited(batch, Note::of(event, &user));
            batch = cx.mailed(batch, &user, MailKind::TwoFactorEnabled)?;
            if cx.commit(batch).await?.is_some() {
                return Ok(Success::YES);
            }
        }
    }
}

/// `two_factor_status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RetrieveTwoFactorStatus {
    pub user: UserRef,
}

impl Operation for RetrieveTwoFactorStatus {
    const NAME: &'static str = "retrieve_two_factor_status";
    const NEEDS: Permission = Permission::USER.key(KeyRule::TwoFactorScope("user:read")).passes_gate();
    type Reply = TwoFactorStatusView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let caller = cx.require_caller()?;
        let id = cx.account(&self.user).await?;
        // The caller was read a moment ago, for this very request.
        let other = if id == caller.id { None } else { Some(cx.user(id).await?.value) };
        let user = other.as_ref().unwrap_or(caller);
        let is_enabled = user.second_factor.is_enabled();
        let codes = &user.second_factor.backup_codes;
        let shown =
            if other.is_none() && is_enabled && !codes.is_empty() { cx.shown_codes(user).await? } else { Vec::new() };
        Ok(TwoFactorStatusView {
            is_enabled,
            backup_codes: shown,
            backup_codes_remaining: if is_enabled { codes.len() } else { 0 },
            method: is_enabled.then(|| "TOTP".to_owned()),
            has_passkeys: false,
            has_totp: is_enabled,
            passkeys_enabled_for_2fa: false,
        })
    }
}

/// `two_factor_backup_codes`: replaces the set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegenerateBackupCodes {
    pub user: UserRef,
}

impl Operation for RegenerateBackupCodes {
    const NAME: &'static str = "regenerate_backup_codes";
    const NEEDS: Permission = Permission::USER.sensitive().passes_gate();
    type Reply = BackupCodes;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let id = cx.own_account(&self.user)?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = cx.user(id).await?;
            let mut user = before.value.clone();
            if !user.second_factor.is_enabled() {
                return Err(Error::invalid("2fa_not_enabled", "2FA must be enabled first", None));
            }
            cx.require_verified()?;
            let codes = cx.new_backup_codes(&mut user)?;
            let batch = put_user(Batch::default(), Some(&before), &user);
            let replaced = !before.value.second_factor.backup_codes.is_empty();
            let batch = cx.mailed(batch, &user, MailKind::BackupCodesRegenerated { replaced })?;
            let batch = cx.audited(batch, Note::of(Event::TwoFactorBackupCodesRegenerated, &user));
            if cx.commit(batch).await?.is_some() {
                return Ok(BackupCodes { backup_codes: codes });
            }
        }
    }
}

/// `two_factor_disable`: the owner proves who it is; staff on another user is a reset. Fields: optional `token`,
/// `current_password`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DisableTwoFactor {
    pub user: UserRef,
    pub fields: Fields,
}

impl Operation for DisableTwoFactor {
    const NAME: &'static str = "disable_two_factor";
    const NEEDS: Permission = Permission::USER.key(KeyRule::TwoFactorScope("user:write")).sensitive().passes_gate();
    const INPUTS: &'static [Input] = &[
        Input::code("token", "A code of the authenticator, or a backup code: proves that the caller is who they are."),
        Input::secret("current_password", 0, "The password, which proves the same."),
    ];
    type Reply = Success;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let caller = cx.require_caller()?.id;
        let id = cx.account(&self.user).await?;
        if id != caller {
            cx.reset_by_staff(id).await?;
            return Ok(Success::YES);
        }
        let typed = self.fields.code_token("token")?;
        let password = self.fields.secret("current_password")?;
        let password_is_right = match &password {
            Some(password) => Some(cx.check_current_password(id, password).await?),
            None => None,
        };
        if password_is_right == Some(false) {
            return Err(incorrect_password());
        }
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = cx.user(id).await?;
            let mut user = before.value.clone();
            if !user.second_factor.is_enabled() {
                match cx.nothing_to_disable(&before).await? {
                    Some(success) => return Ok(success),
                    None => continue,
                }
            }
            let proof = match &typed {
                Some(typed) => {
                    let outcome = try_code(cx.vault(), &mut user, typed, cx.now)?;
                    if !outcome.is_right() {
                        match cx.code_failed(&before, &user, &outcome, Event::TwoFactorValidateFailed).await? {
                            Some(()) => return Err(Error::invalid("token_invalid", "Token is not valid", None)),
                            None => continue,
                        }
                    }
                    outcome.as_str()
                }
                None if password_is_right.is_some() => "password",
                None => {
                    cx.require_fresh("This action requires you to be recently authenticated.")?;
                    cx.require_verified()?;
                    "recent login"
                }
            };
            remove_factor(&mut user);
            let mut batch = put_user(Batch::default(), Some(&before), &user);
            for key in cx.records().pending_totp_keys(id).await? {
                batch = batch.delete(key);
            }
            batch = cx.rebind_session(batch, &before.value, &user, |session| session.verified_at = None).await?;
            batch = cx.audited(batch, Note::of(Event::TwoFactorDisabled, &user).detail("proved_by", proof));
            batch = cx.mailed(batch, &user, MailKind::TwoFactorDisabled)?;
            if cx.commit(batch).await?.is_some() {
                return Ok(Success::YES);
            }
        }
    }
}

/// What became of a typed code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodeOutcome {
    Totp,
    BackupCode {
        remaining: u32,
    },
    /// The counter of this kind of code asks for a pause; nothing was looked at.
    Waiting,
    /// Wrong, malformed, used before, or for a device that is disabled.
    Wrong,
}

impl CodeOutcome {
    pub(super) fn is_right(self) -> bool {
        matches!(self, Self::Totp | Self::BackupCode { .. })
    }

    /// For the trail.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "TOTP",
            Self::BackupCode { .. } => "backup code",
            Self::Waiting => "too soon after a wrong code",
            Self::Wrong => "wrong code",
        }
    }

    /// The answer of the second login step (spec §3.5).
    pub(super) fn login_error(self) -> Error {
        if self == Self::Waiting {
            Error::invalid("2fa_too_many_attempts", "Too many attempts.", None)
        } else {
            Error::invalid("2fa_invalid", "Invalid authentication code", None)
        }
    }
}

/// Tries a code on a user's second factor and moves its state: a right one is used up, a wrong one counted. Six digits
/// go to TOTP, everything else to the backup codes, each with its own counter (W-13, W-14); success of either kind
/// resets both. To be committed with the version the user was read at, so that one of two parallel tries fails.
pub(super) fn try_code(vault: &Vault, user: &mut User, typed: &str, now: Timestamp) -> Result<CodeOutcome> {
    let outcome = match totp::parse_code(typed) {
        Some(code) => try_totp(vault, user, &code, now)?,
        None => try_backup_code(vault, user, typed, now),
    };
    let factor = &mut user.second_factor;
    match outcome {
        CodeOutcome::Totp | CodeOutcome::BackupCode { .. } => {
            factor.totp_failures = Failures::default();
            factor.backup_code_failures = Failures::default();
        }
        CodeOutcome::Waiting | CodeOutcome::Wrong => {
            if factor.totp_failures.reached_the_end()
                && let Some(device) = &mut factor.totp
            {
                device.disabled = true;
            }
        }
    }
    Ok(outcome)
}

fn try_totp(vault: &Vault, user: &mut User, code: &str, now: Timestamp) -> Result<CodeOutcome> {
    if user.second_factor.totp_failures.is_waiting(now) {
        return Ok(CodeOutcome::Waiting);
    }
    let Some(device) = &user.second_factor.totp else { return Ok(CodeOutcome::Wrong) };
    let verdict = if device.disabled {
        Match::Wrong
    } else {
        let secret = open_totp(vault, user.id, &device.secret)?;
        totp::verify(&secret, code, now, device.last_step)
    };
    let factor = &mut user.second_factor;
    if let (Match::Accepted { step }, Some(device)) = (verdict, &mut factor.totp) {
        device.last_step = step;
        device.last_used_at = Some(now);
        return Ok(CodeOutcome::Totp);
    }
    factor.totp_failures = factor.totp_failures.and_one(now);
    Ok(CodeOutcome::Wrong)
}

fn try_backup_code(vault: &Vault, user: &mut User, typed: &str, now: Timestamp) -> CodeOutcome {
    if user.second_factor.backup_code_failures.is_waiting(now) {
        return CodeOutcome::Waiting;
    }
    let place = backup_code::fold(typed).and_then(|code| find_backup_code(vault, user, &code));
    let factor = &mut user.second_factor;
    if let Some(place) = place.filter(|_| !factor.backup_code_failures.reached_the_end()) {
        factor.backup_codes.remove(place);
        factor.backup_code_used_at = Some(now);
        return CodeOutcome::BackupCode { remaining: u32::try_from(factor.backup_codes.len()).unwrap_or(u32::MAX) };
    }
    factor.backup_code_failures = factor.backup_code_failures.and_one(now);
    CodeOutcome::Wrong
}

/// Where a (folded) code is in the user's set. Looks at all of them, in constant time each.
pub(super) fn find_backup_code(vault: &Vault, user: &User, code: &str) -> Option<usize> {
    use subtle::ConstantTimeEq;
    let mac = backup_code_mac(vault, user, code);
    let mut found = None;
    for (place, kept) in user.second_factor.backup_codes.iter().enumerate() {
        if bool::from(kept.mac.ct_eq(&mac)) {
            found = Some(place);
        }
    }
    found
}

fn backup_code_mac(vault: &Vault, user: &User, code: &str) -> [u8; 32] {
    vault.mac(BACKUP_CODE, &[user.id.as_bytes(), code.as_bytes()])
}

/// A (folded) code as it is kept.
pub fn kept_backup_code(vault: &Vault, user: &User, code: &Secret) -> Result<BackupCode> {
    let code = code.expose();
    let sealed = vault.seal(BACKUP_CODE, user.id.as_bytes(), random::bytes()?, code.as_bytes());
    Ok(BackupCode { mac: backup_code_mac(vault, user, code), sealed })
}

/// A kept code in clear.
pub(super) fn open_backup_code(vault: &Vault, user: &User, code: &BackupCode) -> Result<Secret> {
    let plain =
        vault.open(BACKUP_CODE, user.id.as_bytes(), &code.sealed).map_err(|error| unreadable(user.id, error))?;
    Ok(Secret::new(String::from_utf8_lossy(&plain).into_owned()))
}

/// Makes a device the user's only one: backup codes of an older one go with it (spec §3.2), and the step of the code
/// that proved it is used up (W-6).
pub(super) fn install_device(user: &mut User, secret: Sealed, step: i64, now: Timestamp) {
    remove_factor(user);
    // What was demanded is there now.
    user.second_factor.enrol_from = None;
    user.second_factor.totp =
        Some(TotpDevice { secret, confirmed_at: now, last_used_at: None, last_step: step, disabled: false });
}

/// Takes the second factor away. Remembered devices, pending logins and enrolments are void with its generation. That a
/// new device is demanded stays so: only a new device ends it.
pub(super) fn remove_factor(user: &mut User) {
    let factor = &mut user.second_factor;
    *factor = crate::domain::user::SecondFactor {
        generation: factor.generation.wrapping_add(1),
        last_reset_at: factor.last_reset_at,
        enrol_from: factor.enrol_from,
        ..Default::default()
    };
}

/// The secret of an authenticator as it is kept.
pub fn seal_totp(vault: &Vault, user: UserId, secret: &[u8]) -> Result<Sealed> {
    Ok(vault.seal(TOTP, user.as_bytes(), random::bytes()?, secret))
}

pub(super) fn open_totp(vault: &Vault, user: UserId, sealed: &Sealed) -> Result<zeroize::Zeroizing<Vec<u8>>> {
    vault.open(TOTP, user.as_bytes(), sealed).map_err(|error| unreadable(user, error))
}

fn unreadable(user: UserId, error: VaultError) -> Error {
    Error::internal(format!("a sealed secret of user {user} does not open: {error}"))
}

fn setup_expired() -> Error {
    Error::invalid("setup_expired", "2FA setup session expired. Please start setup again.", None)
}

pub(super) fn incorrect_password() -> Error {
    Error::invalid("incorrect_password", "Your current password is incorrect.", Some("current_password"))
}

impl Context<'_> {
    /// The hash that finds the caller's session or key: what an enrolment is bound to.
    fn credential(&self) -> Result<[u8; 32]> {
        match &self.actor.identity {
            Identity::Session { session, .. } => Ok(session.hash),
            Identity::ApiKey { key, .. } => Ok(key.hash),
            Identity::Anonymous | Identity::Pending(_) | Identity::Operator { .. } | Identity::System => {
                Err(Error::NotAuthenticated)
            }
        }
    }

    /// Adds an enrolment with a new secret to a batch, bound to `credential`; the secret, in base-32, is only in the
    /// answer.
    pub(super) fn setup_begun(&self, batch: Batch, user: &User, credential: &[u8; 32]) -> Result<(Batch, Secret)> {
        let secret = zeroize::Zeroizing::new(random::bytes::<{ totp::SECRET_BYTES }>()?);
        let pending = PendingTotp {
            secret: seal_totp(self.vault(), user.id, secret.as_slice())?,
            started_at: self.now,
            failures: 0,
            generation: user.second_factor.generation,
        };
        let batch = put_pending_totp(batch, user.id, credential, &pending);
        Ok((batch, Secret::new(totp::encode_secret(secret.as_slice()))))
    }

    pub(super) async fn live_pending_totp(
        &self,
        user: &User,
        credential: &[u8; 32],
    ) -> Result<Option<Versioned<PendingTotp>>> {
        let pending = self.records().pending_totp(user.id, credential).await?;
        Ok(pending.filter(|pending| {
            self.now.seconds_since(pending.value.started_at) < PENDING_TOTP_SECONDS
                && pending.value.generation == user.second_factor.generation
        }))
    }

    /// Counts a wrong code of an enrolment; the tenth ends it (W-8).
    pub(super) async fn setup_failed(
        &self,
        batch: Batch,
        user: &User,
        credential: &[u8; 32],
        pending: &PendingTotp,
    ) -> Result<Option<crate::store::Receipt>> {
        let failures = pending.failures + 1;
        let batch = if failures >= PENDING_TOTP_FAILURES_MAX {
            batch.delete(keys::pending_totp(user.id, credential))
        } else {
            put_pending_totp(batch, user.id, credential, &PendingTotp { failures, ..pending.clone() })
        };
        let note = Note::of(Event::TwoFactorValidateFailed, user).failed().detail("wrong_codes", failures);
        self.commit(self.audited(batch, note)).await
    }

    /// The unused codes in clear, for their owner in a verified session (spec §3.2, W-2, W-11).
    async fn shown_codes(&self, user: &User) -> Result<Vec<Secret>> {
        let Identity::Session { session, .. } = &self.actor.identity else { return Ok(Vec::new()) };
        if !self.config().two_factor.expose_backup_codes_in_status || session.session.verified_at.is_none() {
            return Ok(Vec::new());
        }
        let open = |code| open_backup_code(self.vault(), user, code);
        let codes = user.second_factor.backup_codes.iter().map(open).collect::<Result<Vec<_>>>()?;
        // Once an hour for a session: clients poll this, and a read must not wait for a disk each time.
        if self.app.0.throttle.count("codes_viewed", CODES_VIEWED, &session.hash, self.now).is_ok() {
            let note = Note::of(Event::TwoFactorCodesViewed, user).detail("codes", codes.len());
            self.commit(self.audited(Batch::default(), note)).await?;
        }
        Ok(codes)
    }

    /// Replaces the user's backup codes; answers them in clear.
    fn new_backup_codes(&self, user: &mut User) -> Result<Vec<Secret>> {
        let mut codes = Vec::new();
        let mut kept = Vec::new();
        while codes.len() < self.config().two_factor.backup_codes {
            let code = Secret::new(backup_code::from_bytes(random::bytes()?));
            kept.push(kept_backup_code(self.vault(), user, &code)?);
            codes.push(code);
        }
        let factor = &mut user.second_factor;
        factor.backup_codes_issued = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        factor.backup_codes = kept;
        factor.backup_codes_made_at = Some(self.now);
        factor.backup_code_failures = Failures::default();
        Ok(codes)
    }

    /// Off already: 200 as well, without a mail (W-12). The commit says nothing but waits until what was read is on
    /// disk: the factor may have been switched off by a call that is just being written.
    async fn nothing_to_disable(&self, before: &Versioned<User>) -> Result<Option<Success>> {
        let mut batch = Batch::default().expect(keys::user(before.value.id), Expect::Version(before.version));
        for key in self.records().pending_totp_keys(before.value.id).await? {
            batch = batch.delete(key);
        }
        Ok(self.commit(batch).await?.map(|_| Success::YES))
    }

    /// Whether the user's current password is this; counts against the limit on passwords (spec §1.11).
    pub(super) async fn check_current_password(
        &self,
        id: crate::domain::id::UserId,
        password: &Secret,
    ) -> Result<bool> {
        self.count(Limit::UserAuthentication, id.as_bytes()).await?;
        self.is_current_password(&self.user(id).await?.value, password).await
    }

    /// The caller authenticated within the last 300 s; a key never did.
    pub(super) fn require_fresh(&self, detail: &'static str) -> Result<()> {
        match &self.actor.identity {
            Identity::Session { session, .. }
                if self.now.seconds_since(session.session.authenticated_at) < FRESH_REAUTH_SECONDS =>
            {
                Ok(())
            }
            _ => Err(Error::ReauthRequired { detail: detail.into() }),
        }
    }

    /// The session has proved the second factor.
    fn require_verified(&self) -> Result<()> {
        match &self.actor.identity {
            Identity::Session { session, .. } if session.session.verified_at.is_some() => Ok(()),
            _ => Err(Error::TwoFactorVerificationRequired),
        }
    }

    fn require_verified_and_recent(&self) -> Result<()> {
        let Identity::Session { session, .. } = &self.actor.identity else { return Err(Error::reauth_required()) };
        self.check_reauth(&session.session)?;
        self.require_verified()
    }

    /// Keeps the caller's own session alive across a new epoch of the user, changed as asked. A session that had ended
    /// `before` stays ended.
    pub(super) async fn rebind_session(
        &self,
        batch: Batch,
        before: &User,
        user: &User,
        change: impl FnOnce(&mut Session) + Send,
    ) -> Result<Batch> {
        let Identity::Session { user: caller, session } = &self.actor.identity else { return Ok(batch) };
        let live = self.records().session(&session.hash).await?;
        let live = live.filter(|live| caller.id == user.id && is_session_live(&live.value, before, self.now));
        let Some(mut live) = live else { return Ok(batch) };
        let batch = live.expect(batch, &session.hash);
        live.value.epoch = user.session_epoch;
        change(&mut live.value);
        Ok(put_session(batch, &session.hash, &live.value))
    }
}
