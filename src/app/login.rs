//! Logging in and out (spec §3.5, §4.2 to §4.4).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::audit::Note;
use super::authentication::csrf_token;
use super::limits::Limit;
use super::remembered_devices::LOOKED_AT_MAX;
use super::second_factor::{CodeOutcome, try_code};
use super::{Context, Identity, Operation, Permission, PresentedSession, Tries, random};
use crate::domain::audit::Event;
use crate::domain::backoff::LoginLimit;
use crate::domain::email::EmailAddress;
use crate::domain::fields::{FieldError, Fields};
use crate::domain::id::SessionId;
use crate::domain::input::Input;
use crate::domain::mail::MailKind;
use crate::domain::secret::Secret;
use crate::domain::session::{PENDING_LOGIN_SECONDS, PendingLogin, RememberedDevice, Session, public_id};
use crate::domain::time::Timestamp;
use crate::domain::token::RESET_LINK_SECONDS;
use crate::domain::user::{KNOWN_DEVICES_MAX, User};
use crate::domain::user_agent;
use crate::domain::vault::sha256;
use crate::error::{Error, Result};
use crate::records::{
    self, SESSIONS_PER_USER_MAX, Versioned, keys, put_session, put_user, remove_remembered, remove_session,
};
use crate::store::Batch;

/// Longest pause that the growing delay of one account reaches, in seconds.
const ACCOUNT_LOCK_SECONDS: i64 = 900;
/// How long the failures of one account are remembered, in seconds: longer than anybody likes to wait for a guess.
const ACCOUNT_MEMORY_SECONDS: i64 = 86_400;
/// Ended sessions, and devices, that one login clears away: with all else that a login writes, they fit into a batch.
const CLEARED_PER_LOGIN_MAX: usize = 4;
/// Counters of failed logins, address by address, looked at to tell an operator.
const COUNTERS_LOOKED_AT_MAX: usize = 50;

/// A session made just now: the two cookies' values and their age (spec §1.7).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssuedSession {
    pub key: Secret,
    pub csrf_token: Secret,
    pub max_age_s: i64,
}

/// A remembered device made just now: the cookie is `remember-cookie_<name>`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssuedRememberedDevice {
    pub name: String,
    pub value: Secret,
    pub max_age_s: i64,
}

/// How the first step of a login ended, when the password was right.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LoginOutcome {
    Done {
        session: IssuedSession,
    },
    /// Answered as 401 `2fa_required`; `session` is set unless the caller's live session carries the pending login.
    SecondFactorRequired {
        session: Option<IssuedSession>,
    },
    /// Answered as 401 `code_based_verification_required` with the address that got the code; `session` as above.
    EmailCodeRequired {
        session: Option<IssuedSession>,
        email: String,
    },
}

/// The second step is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoginCompleted {
    pub session: IssuedSession,
    pub remembered: Option<IssuedRememberedDevice>,
}

/// The answer of the pre-check; the same for everybody.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LoginMethods {
    pub sso_enforcement: Option<String>,
    pub saml_available: bool,
    pub webauthn_credentials: Vec<String>,
}

/// `POST /api/login`: the first step (spec §3.5). Fields: `email`, `password`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Login {
    pub fields: Fields,
    /// Values of the `remember-cookie_*` cookies sent along.
    pub remembered: Vec<Secret>,
}

impl Operation for Login {
    const NAME: &'static str = "login";
    const NEEDS: Permission = Permission::ANYONE;
    const INPUTS: &'static [Input] = &[
        Input::email("email", "The address of the account.").required(),
        Input::secret("password", 0, "Its password; blanks count.").required(),
    ];
    type Reply = LoginOutcome;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.check_address_lock().await?;
        let email = self.fields.email("email")?.ok_or_else(|| FieldError::required("email"))?;
        let password = self.fields.secret("password")?.ok_or_else(|| FieldError::required("password"))?;
        if password.expose().is_empty() {
            return Err(FieldError::blank("password").into());
        }
        let is_known = cx.is_known_to(&email, &self.remembered).await?;
        cx.check_account_locks(&email, is_known).await?;

        let user = cx.find_by_email(&email).await?;
        let hash = user.as_ref().and_then(|user| user.value.password_hash.clone());
        let matches = cx.app.0.hasher.verify(hash, password.clone()).await?;
        // Again: guesses that waited side by side get no more tries than those that come one after the other.
        cx.check_address_lock().await?;
        cx.check_account_locks(&email, is_known).await?;
        let Some(user) = user.filter(|user| matches && user.value.is_active) else {
            let known = cx.find_by_email(&email).await?;
            return Err(cx.login_failed(&email, is_known, known.as_ref().map(|user| &user.value)).await?);
        };
        cx.refuse_unverified(&user.value).await?;
        let rehashed = match &user.value.password_hash {
            Some(hash) if cx.app.0.hasher.needs_rehash(hash) => Some(cx.app.0.hasher.hash(password).await?),
            _ => None,
        };
        let checked = CheckedPassword { was: user.value.password_hash.clone(), becomes: rehashed };
        cx.first_step_done(user.value.id, &checked, &self.remembered).await
    }
}

/// `POST /api/login/token`: the second step. Fields: `token`, optional `remember`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompleteLogin {
    pub fields: Fields,
}

impl Operation for CompleteLogin {
    const NAME: &'static str = "complete_login";
    const NEEDS: Permission = Permission::ANYONE;
    const INPUTS: &'static [Input] = &[
        Input::code("token", "The six digits that the authenticator shows, or a backup code.").required(),
        Input::boolean("remember", "Whether this device is asked for no code for 30 days; yes unless said."),
    ];
    type Reply = LoginCompleted;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let (presented, pending) = cx.pending_login().ok_or_else(login_expired)?;
        cx.count(Limit::TwoFactorLogin, pending.user.as_bytes()).await?;
        let typed = self.fields.code_token("token")?.ok_or_else(|| FieldError::required("token"))?;
        let remember = self.fields.boolean("remember")?.unwrap_or(true);

        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            // Read again: two calls may race for one pending login, and one of them has used it up.
            let session = cx.records().session(&presented.hash).await?.filter(|now| now.value.pending_login.is_some());
            let session = session.ok_or_else(login_expired)?;
            let before = cx.user_of_pending(&pending, true).await?.ok_or_else(login_expired)?;
            let mut user = before.value.clone();
            let outcome = try_code(cx.vault(), &mut user, &typed, cx.now)?;
            if !outcome.is_right() {
                match cx.code_failed(&before, &user, &outcome, Event::TwoFactorLoginFailed).await? {
                    Some(()) => return Err(outcome.login_error()),
                    None => continue,
                }
            }
            let mut batch = session.expect(Batch::default(), &presented.hash);
            if let CodeOutcome::BackupCode { remaining } = outcome {
                batch = cx.audited(
                    batch,
                    Note::of(Event::TwoFactorBackupCodeUsed, &user).by(&user).detail("remaining", remaining),
                );
                batch = cx.mailed(batch, &user, MailKind::BackupCodeUsed { remaining })?;
            }
            let (batch, remembered) = cx.device_remembered(batch, &user, remember)?;
            let (batch, issued) =
                cx.logged_in(batch, Some(&presented), Some(&before), &mut user, outcome.as_str(), false).await?;
            if cx.commit(batch).await?.is_some() {
                return Ok(LoginCompleted { session: issued, remembered });
            }
        }
    }
}

/// `POST /api/login/precheck`. Fields: `email`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckLogin {
    pub fields: Fields,
}

impl Operation for CheckLogin {
    const NAME: &'static str = "check_login";
    const NEEDS: Permission = Permission::ANYONE;
    const INPUTS: &'static [Input] = &[Input::email("email", "The address of the account.").required()];
    type Reply = LoginMethods;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let email = self.fields.email("email")?.ok_or_else(|| FieldError::required("email"))?;
        if cx.caller().is_none_or(|caller| caller.email != email) {
            cx.count(Limit::LoginPrecheck, &[]).await?;
        }
        Ok(LoginMethods { sso_enforcement: None, saml_available: false, webauthn_credentials: Vec::new() })
    }
}

/// `POST /logout`, `POST /api/logout`: ends the session, if there is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Logout {}

impl Operation for Logout {
    const NAME: &'static str = "logout";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let Some(session) = cx.session() else { return Ok(()) };
        let mut batch = remove_session(Batch::default(), &session.hash, &session.session);
        if let Some(user) = cx.caller() {
            batch = cx.audited(batch, Note::of(Event::UserLoggedOut, user));
        }
        // Without expectations a batch cannot conflict.
        cx.commit(batch).await.map(|_| ())
    }
}

/// The hash that a password was checked against, and the one to store instead.
struct CheckedPassword {
    was: Option<crate::domain::user::PasswordHash>,
    becomes: Option<crate::domain::user::PasswordHash>,
}

impl Context<'_> {
    /// The right password was given: asks for the second factor, or logs in.
    async fn first_step_done(
        &self,
        id: crate::domain::id::UserId,
        checked: &CheckedPassword,
        cookies: &[Secret],
    ) -> Result<LoginOutcome> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = self.records().user(id).await?.ok_or_else(invalid_credentials)?;
            if before.value.password_hash != checked.was || !before.value.is_active {
                return Err(invalid_credentials());
            }
            let mut user = before.value.clone();
            if let Some(hash) = &checked.becomes {
                user.password_hash = Some(hash.clone());
            }
            let has_factor = user.second_factor.is_enabled();
            let has_second_step = has_factor || self.wants_login_codes();
            let is_remembered = has_second_step && self.is_remembered(&user, cookies).await?;
            if has_second_step && !is_remembered {
                let (batch, session) = self.pending_begun(Batch::default(), &user).await?;
                let batch = if checked.becomes.is_some() { put_user(batch, Some(&before), &user) } else { batch };
                let batch = if has_factor { batch } else { self.login_code_begun(batch, &user).await? };
                if self.commit(batch).await?.is_some() {
                    return Ok(if has_factor {
                        LoginOutcome::SecondFactorRequired { session }
                    } else {
                        LoginOutcome::EmailCodeRequired { session, email: user.email.into() }
                    });
                }
                continue;
            }
            if is_remembered {
                user.second_factor.totp_failures = crate::domain::backoff::Failures::default();
            }
            let how = if is_remembered { "remembered device" } else { "password" };
            let replaced = self.session().cloned();
            let (batch, session) = self
                .logged_in(Batch::default(), replaced.as_deref(), Some(&before), &mut user, how, is_remembered)
                .await?;
            if self.commit(batch).await?.is_some() {
                return Ok(LoginOutcome::Done { session });
            }
        }
    }

    /// Adds a complete login to a batch: the user's marks, the new session in place of the presented one, the trail,
    /// and the mail about a new kind of device. `before` is the user as it was read; `None` where the batch makes it;
    /// `is_remembered`: by a device that stood for the second step.
    pub(super) async fn logged_in(
        &self,
        batch: Batch,
        replaced: Option<&PresentedSession>,
        before: Option<&Versioned<User>>,
        user: &mut User,
        how: &str,
        is_remembered: bool,
    ) -> Result<(Batch, IssuedSession)> {
        let is_live = matches!(self.actor.identity, Identity::Session { .. });
        let was_here = before.is_some_and(|before| before.value.last_login.is_some());
        let is_new_device = self.meet_device(user) && was_here && !is_live;
        user.last_login = Some(self.now);
        let mut batch = put_user(batch, before, user);
        if let Some(replaced) = replaced {
            batch = remove_session(batch, &replaced.hash, &replaced.session);
        }
        batch = self.make_room_for_session(batch, user).await?;
        batch = self.forget_failures_of_caller(batch, &user.email, is_live || is_remembered);
        if is_new_device {
            let kind = MailKind::NewDevice { device: self.device(), address: self.address_text() };
            batch = self.mailed(batch, user, kind)?;
        }
        // With the login, which kills what was mailed before.
        if user.is_email_verified.is_none() {
            batch = self.verification_asked(batch, user).await?;
        }
        let (batch, issued) = self.session_begun(batch, user).await?;
        Ok((self.audited(batch, Note::of(Event::UserLoggedIn, user).by(user).detail("method", how)), issued))
    }

    /// Adds a new, verified session of a user to a batch.
    pub(super) async fn session_begun(&self, batch: Batch, user: &User) -> Result<(Batch, IssuedSession)> {
        let mut max_age_s = i64::from(self.config().auth.session_days) * 86_400;
        if let Some(organization) = self.app.current_organization(user).await? {
            max_age_s = organization.session_cookie_age.map_or(max_age_s, |age_s| max_age_s.min(age_s.into()));
        }
        let (issued, hash) = issue_session(max_age_s)?;
        let session = Session {
            user: Some(user.id),
            epoch: user.session_epoch,
            verified_at: Some(self.now),
            ..self.blank_session(&hash, max_age_s)
        };
        Ok((put_session(batch, &hash, &session), issued))
    }

    /// Adds a pending login to a batch: inside the live session of the same user, else in a session of its own.
    async fn pending_begun(&self, batch: Batch, user: &User) -> Result<(Batch, Option<IssuedSession>)> {
        let pending = PendingLogin {
            user: user.id,
            started_at: self.now,
            epoch: user.session_epoch,
            generation: user.second_factor.generation,
        };
        if let Some(presented) = self.session().filter(|presented| presented.session.user == Some(user.id))
            && let Some(live) = self.records().session(&presented.hash).await?
        {
            let batch = live.expect(batch, &presented.hash);
            let session = Session { pending_login: Some(pending), verified_at: None, ..live.value };
            return Ok((put_session(batch, &presented.hash, &session), None));
        }
        let batch = match self.session() {
            Some(presented) => remove_session(batch, &presented.hash, &presented.session),
            None => batch,
        };
        // The cookie lives as any other; what it holds is of use for 600 s, with a reset link for an hour. It is known
        // for longer, so that a late comer is told what happened.
        let (issued, hash) = issue_session(i64::from(self.config().auth.session_days) * 86_400)?;
        let session = Session { pending_login: Some(pending), ..self.blank_session(&hash, 2 * RESET_LINK_SECONDS) };
        Ok((put_session(batch, &hash, &session), Some(issued)))
    }

    fn blank_session(&self, hash: &[u8; 32], lives_s: i64) -> Session {
        Session {
            id: SessionId(public_id("session", hash)),
            user: None,
            epoch: 0,
            created_at: self.now,
            expires_at: self.now.plus_seconds(lives_s),
            authenticated_at: self.now,
            verified_at: None,
            last_activity: self.now,
            login_method: "password".to_owned(),
            address: self.actor.address,
            user_agent: self.actor.user_agent.clone().unwrap_or_default(),
            pending_login: None,
        }
    }

    /// Adds a remembered device to a batch, if that is wanted.
    pub(super) fn device_remembered(
        &self,
        batch: Batch,
        user: &User,
        remember: bool,
    ) -> Result<(Batch, Option<IssuedRememberedDevice>)> {
        if !remember {
            return Ok((batch, None));
        }
        let (device, issued) = self.new_remembered_device(user)?;
        let batch = records::put_remembered(batch, &sha256(issued.value.expose().as_bytes()), &device);
        Ok((batch, Some(issued)))
    }

    fn new_remembered_device(&self, user: &User) -> Result<(RememberedDevice, IssuedRememberedDevice)> {
        let max_age_s = i64::from(self.config().two_factor.remember_days) * 86_400;
        let device = RememberedDevice {
            user: user.id,
            epoch: user.remember_epoch,
            generation: user.second_factor.generation,
            created_at: self.now,
            expires_at: self.now.plus_seconds(max_age_s),
            user_agent: self.actor.user_agent.clone().unwrap_or_default(),
        };
        let name = random::uuid(self.now)?.to_string();
        Ok((device, IssuedRememberedDevice { name, value: random::token()?, max_age_s }))
    }

    async fn is_remembered(&self, user: &User, cookies: &[Secret]) -> Result<bool> {
        Ok(!self.presented_devices(user, cookies, 1).await?.is_empty())
    }

    /// Clears ended sessions and devices of the user away, and the oldest live session when there are too many.
    async fn make_room_for_session(&self, mut batch: Batch, user: &User) -> Result<Batch> {
        let sessions = self.records().sessions_of(user.id).await?;
        let (mut live, ended): (Vec<_>, Vec<_>) =
            sessions.into_iter().partition(|(_, session)| is_session_live(session, user, self.now));
        live.sort_by_key(|(_, session)| session.last_activity);
        let too_many = (live.len() + 1).saturating_sub(SESSIONS_PER_USER_MAX);
        for (hash, session) in live.iter().take(too_many).chain(&ended).take(CLEARED_PER_LOGIN_MAX) {
            batch = remove_session(batch, hash, session);
        }
        let devices = self.records().remembered_of(user.id).await?;
        let (mut live, ended): (Vec<_>, Vec<_>) =
            devices.into_iter().partition(|(_, device)| is_remembered_device_live(device, user, self.now));
        live.sort_by_key(|(_, device)| device.created_at);
        let too_many = (live.len() + 1).saturating_sub(SESSIONS_PER_USER_MAX);
        for (hash, device) in live.iter().take(too_many).chain(&ended).take(CLEARED_PER_LOGIN_MAX) {
            batch = remove_remembered(batch, hash, device);
        }
        Ok(batch)
    }

    /// Notes the kind of device; true when it is new to a user who has some already.
    fn meet_device(&self, user: &mut User) -> bool {
        let kind: String = self.device().chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect();
        let mut digest = [0; 8];
        digest.copy_from_slice(sha256(kind.as_bytes()).first_chunk::<8>().unwrap_or(&[0; 8]));
        if user.known_devices.contains(&digest) {
            return false;
        }
        let had_some = !user.known_devices.is_empty();
        user.known_devices.push(digest);
        if user.known_devices.len() > KNOWN_DEVICES_MAX {
            user.known_devices.remove(0);
        }
        had_some
    }

    fn device(&self) -> String {
        user_agent::describe(self.actor.user_agent.as_deref().unwrap_or_default())
    }

    fn address_text(&self) -> String {
        self.actor.address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string())
    }

    /// The pending login that the call carries (spec §3.5, second step), younger than 600 s.
    pub(super) fn pending_login(&self) -> Option<(PresentedSession, PendingLogin)> {
        let presented = self.session()?;
        let pending = presented.session.pending_login.as_ref()?;
        let is_young = self.now.seconds_since(pending.started_at) < PENDING_LOGIN_SECONDS;
        is_young.then(|| (PresentedSession::clone(presented), pending.clone()))
    }

    /// The user of a pending login, unless password, activity or second factor have changed since (spec §4.3). Where a
    /// factor is there the login waits for it, and for a code by mail where there is none: `has_factor` is which of the
    /// two is asked for.
    pub(super) async fn user_of_pending(
        &self,
        pending: &PendingLogin,
        has_factor: bool,
    ) -> Result<Option<Versioned<User>>> {
        let user = self.records().user(pending.user).await?;
        Ok(user.filter(|user| {
            let factor = &user.value.second_factor;
            user.value.is_active
                && user.value.session_epoch == pending.epoch
                && factor.generation == pending.generation
                && factor.is_enabled() == has_factor
        }))
    }

    /// Row 5 of spec §3.5: who has not verified the address does not get in, and the mail goes out again. Its null case,
    /// accounts from before addresses were verified, is asked too, but gets in: see [`Context::logged_in`].
    async fn refuse_unverified(&self, user: &User) -> Result<()> {
        if user.is_email_verified != Some(false) || !self.app.is_mail_available() {
            return Ok(());
        }
        let batch = self.verification_asked(Batch::default(), user).await?;
        if batch != Batch::default() {
            self.commit(batch).await?;
        }
        let detail = "Your account is awaiting verification. Please check your email for a verification link.";
        Err(Error::invalid("not_verified", detail, None))
    }

    /// Adds the mail with which a user verifies the address, unless there is no mail or it was asked for too often: then
    /// only the mailbox is spared.
    async fn verification_asked(&self, batch: Batch, user: &User) -> Result<Batch> {
        if !self.app.is_mail_available() {
            return Ok(batch);
        }
        match self.count(Limit::EmailVerificationRequest, user.id.to_string().as_bytes()).await {
            Ok(()) => {
                let batch = self.audited(batch, Note::of(Event::UserVerificationRequested, user));
                self.verification_mailed(batch, user)
            }
            Err(Error::Throttled { .. }) => Ok(batch),
            Err(error) => Err(error),
        }
    }
}

/// Counters of failed logins (W-28): one for the account from this address, one for the address, one for the account from
/// anywhere. The last one twice: callers that the account knows have their own, so that strangers do not lock them out.
impl Context<'_> {
    async fn check_address_lock(&self) -> Result<()> {
        let (key, limit) = self.address_counter();
        self.check_lock(&key, limit).await
    }

    /// Whether the caller shows what only a login to this account gives: its live session, or a device remembered by it.
    /// Looked up by what is shown, so that it takes no longer where there is such an account.
    async fn is_known_to(&self, email: &EmailAddress, cookies: &[Secret]) -> Result<bool> {
        if matches!(&self.actor.identity, Identity::Session { user, .. } if user.email == *email) {
            return Ok(true);
        }
        for cookie in cookies.iter().take(LOOKED_AT_MAX) {
            let Some(device) = self.records().remembered(&sha256(cookie.expose().as_bytes())).await? else { continue };
            let user = self.records().user(device.value.user).await?;
            let is_own = |user: &User| user.email == *email && is_remembered_device_live(&device.value, user, self.now);
            if user.is_some_and(|user| is_own(&user.value)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn check_account_locks(&self, email: &EmailAddress, is_known: bool) -> Result<()> {
        let (pair, limit) = self.pair_counter(email);
        self.check_lock(&pair, limit).await?;
        let (account, limit) = self.account_counter(email, is_known);
        self.check_lock(&account, limit).await
    }

    async fn check_lock(&self, key: &[u8], limit: LoginLimit) -> Result<()> {
        let failures = self.records().login_failures(key).await?;
        match failures {
            Some(failures) if failures.value.is_locked(limit, self.now) => Err(Error::LockedOut),
            _ => Ok(()),
        }
    }

    /// Counts a failed login; the answer is the error to give, which is the lock-out for the one that reaches it.
    async fn login_failed(&self, email: &EmailAddress, is_known: bool, user: Option<&User>) -> Result<Error> {
        let counters = [self.address_counter(), self.pair_counter(email), self.account_counter(email, is_known)];
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let (batch, locked) = self.failure_counted(&counters).await?;
            let (batch, note) = match user {
                Some(user) => (batch, Note::of(Event::UserLoginFailed, user)),
                // With as much to write as of somebody.
                None => (
                    batch.put(keys::nobody(email.as_str()), []),
                    Note::new(Event::UserLoginFailed).detail("email", email),
                ),
            };
            let note = note.failed().detail("locked", locked);
            if self.commit(self.audited(batch, note)).await?.is_some() {
                return Ok(if locked { Error::LockedOut } else { invalid_credentials() });
            }
        }
    }

    /// The batch that counts one more failure under each key, and whether one of them is locked with it.
    async fn failure_counted(&self, counters: &[(Vec<u8>, LoginLimit)]) -> Result<(Batch, bool)> {
        let mut batch = Batch::default();
        let mut locked = false;
        for (key, limit) in counters {
            let before = self.records().login_failures(key).await?;
            let failures = before.as_ref().map(|before| before.value).unwrap_or_default().and_one(*limit, self.now);
            locked |= failures.is_locked(*limit, self.now);
            batch = records::put_login_failures(batch, key.clone(), before.as_ref(), &failures);
        }
        Ok((batch, locked))
    }

    /// Whether this is the user's password, asked for again within a session. Wrong ones count as failed logins of a
    /// caller that the account knows, and wait as those do; the answer is then that of a limit (spec §1.11).
    pub(super) async fn is_current_password(&self, user: &User, password: &Secret) -> Result<bool> {
        let counter = self.account_counter(&user.email, true);
        self.check_wait(&counter).await?;
        let matches = self.app.0.hasher.verify(user.password_hash.clone(), password.clone()).await?;
        // Again, as at a login.
        self.check_wait(&counter).await?;
        if matches {
            return Ok(true);
        }
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let (batch, _) = self.failure_counted(std::slice::from_ref(&counter)).await?;
            if self.commit(batch).await?.is_some() {
                return Ok(false);
            }
        }
    }

    async fn check_wait(&self, (key, limit): &(Vec<u8>, LoginLimit)) -> Result<()> {
        let failures = self.records().login_failures(key).await?;
        let until = failures.and_then(|failures| failures.value.locked_until(*limit));
        match until.filter(|until| self.now < *until) {
            Some(until) => {
                Err(Error::Throttled { retry_after_s: until.seconds_since(self.now).max(1).cast_unsigned() })
            }
            None => Ok(()),
        }
    }

    /// Adds to a batch that the account's counters are cleared; the address keeps its own.
    pub(super) fn forget_failures(&self, batch: Batch, email: &EmailAddress) -> Batch {
        self.forget_failures_of_caller(batch, email, true).delete(self.account_counter(email, false).0)
    }

    /// The same for the counters that the caller's own failures would be in: a login in a browser that the account knows
    /// gives strangers, who may be guessing meanwhile, no new tries.
    fn forget_failures_of_caller(&self, batch: Batch, email: &EmailAddress, is_known: bool) -> Batch {
        batch.delete(self.pair_counter(email).0).delete(self.account_counter(email, is_known).0)
    }

    fn address_counter(&self) -> (Vec<u8>, LoginLimit) {
        (keys::attempts("address", &sha256(self.address_bucket().as_bytes())), self.login_limit())
    }

    fn pair_counter(&self, email: &EmailAddress) -> (Vec<u8>, LoginLimit) {
        let mut key = keys::attempts_of_account(email.as_str());
        key.extend_from_slice(&sha256(self.address_bucket().as_bytes()));
        (key, self.login_limit())
    }

    /// The counter of an account over all addresses: that of the callers it knows, or of the others.
    fn account_counter(&self, email: &EmailAddress, is_known: bool) -> (Vec<u8>, LoginLimit) {
        let limit = LoginLimit {
            failures_max: self.config().login.account_failures_max,
            lock_seconds: ACCOUNT_LOCK_SECONDS,
            memory_seconds: ACCOUNT_MEMORY_SECONDS,
            growing: true,
        };
        (keys::attempts(if is_known { "known" } else { "account" }, &sha256(email.as_str().as_bytes())), limit)
    }

    /// Until when failed logins have locked the account, from any address and for anybody.
    pub(super) async fn login_locked_until(&self, user: &User) -> Result<Option<Timestamp>> {
        let mut until = Vec::new();
        for (account, limit) in [false, true].map(|is_known| self.account_counter(&user.email, is_known)) {
            if let Some(failures) = self.records().login_failures(&account).await? {
                until.extend(failures.value.locked_until(limit));
            }
        }
        for key in self.records().login_failure_keys_of(user.email.as_str(), COUNTERS_LOOKED_AT_MAX).await? {
            if let Some(failures) = self.records().login_failures(&key).await? {
                until.extend(failures.value.locked_until(self.login_limit()));
            }
        }
        Ok(until.into_iter().max().filter(|until| self.now < *until))
    }

    fn login_limit(&self) -> LoginLimit {
        let lock_seconds = i64::from(self.config().login.lock_seconds);
        let failures_max = self.config().login.failures_max;
        LoginLimit { failures_max, lock_seconds, memory_seconds: lock_seconds, growing: false }
    }

    /// The client's address; of IPv6 the /64, since one customer has all of it.
    pub(super) fn address_bucket(&self) -> String {
        match self.actor.address {
            None => "unknown".to_owned(),
            Some(std::net::IpAddr::V4(address)) => address.to_string(),
            Some(std::net::IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        }
    }

    /// Writes a failed code: the moved counters when it was wrong, the trail in any case. `None` is a lost race.
    pub(super) async fn code_failed(
        &self,
        before: &Versioned<User>,
        user: &User,
        outcome: &CodeOutcome,
        event: Event,
    ) -> Result<Option<()>> {
        let mut batch = Batch::default();
        if before.value.second_factor != user.second_factor {
            batch = put_user(batch, Some(before), user);
        }
        batch = self.audited(batch, Note::of(event, user).failed().detail("why", outcome.as_str()));
        if user.second_factor.totp.as_ref().is_some_and(|device| device.disabled)
            && before.value.second_factor.totp.as_ref().is_some_and(|device| !device.disabled)
        {
            batch = self.audited(batch, Note::of(Event::TwoFactorLocked, user));
        }
        Ok(self.commit(batch).await?.map(|_| ()))
    }
}

/// Whether a session of this user still counts.
pub(super) fn is_session_live(session: &Session, user: &User, now: Timestamp) -> bool {
    session.epoch == user.session_epoch && now < session.expires_at
}

/// Whether a remembered device may still skip the second step (spec §4.3).
pub(super) fn is_remembered_device_live(device: &RememberedDevice, user: &User, now: Timestamp) -> bool {
    device.user == user.id
        && device.epoch == user.remember_epoch
        && device.generation == user.second_factor.generation
        && now < device.expires_at
}

fn issue_session(max_age_s: i64) -> Result<(IssuedSession, [u8; 32])> {
    let key = random::token()?;
    let csrf_token = csrf_token(&key);
    let hash = sha256(key.expose().as_bytes());
    Ok((IssuedSession { key, csrf_token, max_age_s }, hash))
}

fn invalid_credentials() -> Error {
    Error::invalid("invalid_credentials", "Invalid email or password.", None)
}

fn login_expired() -> Error {
    Error::invalid("2fa_expired", "Login attempt has expired. Re-enter username/password.", None)
}
