//! The second step of a login with a code sent by mail, for users without a second factor (spec §3.5, row 7). Off unless
//! `login.email_code` is on.
//!
//! One live code for each user. A newer one kills it and takes its wrong tries over, so that asking again buys no guesses.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::audit::Note;
use super::limits::Limit;
use super::login::LoginCompleted;
use super::views::Success;
use super::{Context, Operation, Permission, Tries, random};
use crate::config::OnOff;
use crate::domain::audit::Event;
use crate::domain::fields::{FieldError, Fields};
use crate::domain::input::Input;
use crate::domain::mail::MailKind;
use crate::domain::token::{self, CODE_ATTEMPTS_MAX, CODE_SECONDS, Code, Purpose, Token};
use crate::domain::user::User;
use crate::error::{Error, Result};
use crate::records::{Versioned, keys, put_token};
use crate::store::{Batch, Expect};

/// Seconds after a mail within which another login of the same user sends no second one.
const QUIET_SECONDS: i64 = 60;

/// `POST /api/login/code-based-verification`. Fields: `code`, optional `remember`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompleteLoginByCode {
    pub fields: Fields,
}

impl Operation for CompleteLoginByCode {
    const NAME: &'static str = "complete_login_by_code";
    const NEEDS: Permission = Permission::ANYONE;
    const INPUTS: &'static [Input] = &[
        Input::code("code", "The six digits of the mail.").required(),
        Input::boolean("remember", "Whether this device is asked for no code for 30 days; yes unless said."),
    ];
    type Reply = LoginCompleted;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let (presented, pending) = cx.pending_login().ok_or_else(nothing_pending)?;
        // Void logins are told so before they count as a try.
        cx.user_of_pending(&pending, false).await?.ok_or_else(nothing_pending)?;
        cx.count(Limit::LoginEmailCode, pending.user.as_bytes()).await?;
        let typed = self.fields.code_token("code")?.ok_or_else(|| FieldError::required("code"))?;
        let code = token::fold_code(&typed).ok_or_else(invalid_code)?;
        let remember = self.fields.boolean("remember")?.unwrap_or(true);

        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            // Read again: two calls may race for one pending login, and one of them has used it up.
            let session = cx.records().session(&presented.hash).await?.filter(|now| now.value.pending_login.is_some());
            let session = session.ok_or_else(nothing_pending)?;
            let before = cx.user_of_pending(&pending, false).await?.ok_or_else(nothing_pending)?;
            let stored = cx.live_token(Purpose::LoginCode, &before.value).await?.ok_or_else(invalid_code)?;
            let kept = stored.value.code.as_ref().ok_or_else(invalid_code)?;
            if kept.failures >= CODE_ATTEMPTS_MAX {
                return Err(Error::invalid(
                    "too_many_attempts",
                    "Too many incorrect attempts. Try again later.",
                    Some("code"),
                ));
            }
            let key = keys::token(Purpose::LoginCode, Some(before.value.id));
            let batch = Batch::default().expect(key.clone(), Expect::Version(stored.version));
            if !bool::from(cx.login_code_mac(&before.value, &code).ct_eq(&kept.mac)) {
                match cx.login_code_failed(batch, &before.value, &stored.value).await? {
                    Some(()) => return Err(invalid_code()),
                    None => continue,
                }
            }
            let mut user = before.value.clone();
            let (batch, remembered) =
                cx.device_remembered(session.expect(batch.delete(key), &presented.hash), &user, remember)?;
            let (batch, issued) =
                cx.logged_in(batch, Some(&presented), Some(&before), &mut user, "code by mail", false).await?;
            if cx.commit(batch).await?.is_some() {
                return Ok(LoginCompleted { session: issued, remembered });
            }
        }
    }
}

/// `POST /api/login/code-based-verification/resend`: a new code, which kills the one before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResendLoginCode {}

impl Operation for ResendLoginCode {
    const NAME: &'static str = "resend_login_code";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = Success;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let (_, pending) = cx.pending_login().ok_or_else(nothing_pending)?;
        cx.user_of_pending(&pending, false).await?.ok_or_else(nothing_pending)?;
        cx.count(Limit::LoginEmailCodeResend, pending.user.as_bytes()).await?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let user = cx.user_of_pending(&pending, false).await?.ok_or_else(nothing_pending)?.value;
            let stored = cx.records().token(Purpose::LoginCode, Some(user.id)).await?;
            let batch = cx.login_code_mailed(Batch::default(), &user, stored.as_ref())?;
            if cx.commit(batch).await?.is_some() {
                return Ok(Success::YES);
            }
        }
    }
}

impl Context<'_> {
    /// Whether a login without a second factor needs a code sent by mail.
    pub(super) fn wants_login_codes(&self) -> bool {
        self.config().login.email_code == OnOff::On && self.app.is_mail_available()
    }

    /// Adds to the batch of a login's first step what its second needs: a new code by mail, unless one has just been sent
    /// or the tries of the live one are used up.
    pub(super) async fn login_code_begun(&self, batch: Batch, user: &User) -> Result<Batch> {
        let stored = self.records().token(Purpose::LoginCode, Some(user.id)).await?;
        let live = stored.as_ref().and_then(|stored| self.live_login_code(user, &stored.value));
        let is_enough = live.is_some_and(|code| {
            let sent_at = code.expires_at.plus_seconds(-CODE_SECONDS);
            code.failures >= CODE_ATTEMPTS_MAX || self.now.seconds_since(sent_at) < QUIET_SECONDS
        });
        if is_enough { Ok(batch) } else { self.login_code_mailed(batch, user, stored.as_ref()) }
    }

    /// Adds a new code and its mail to a batch. A live one hands its wrong tries on; when those are used up the new code
    /// is no better, and ends when the old one would have.
    fn login_code_mailed(&self, batch: Batch, user: &User, stored: Option<&Versioned<Token>>) -> Result<Batch> {
        let secret = random::six_digits()?;
        let live = stored.and_then(|stored| self.live_login_code(user, &stored.value));
        let failures = live.map_or(0, |code| code.failures);
        let expires_at = match live {
            Some(code) if failures >= CODE_ATTEMPTS_MAX => code.expires_at,
            _ => self.now.plus_seconds(CODE_SECONDS),
        };
        let code = Code { mac: self.login_code_mac(user, secret.expose()), expires_at, failures, used: false };
        let token = Token {
            hash: [0; 32],
            expires_at,
            binding: super::tokens::binding(Purpose::LoginCode, user),
            code: Some(code),
        };
        let expect = stored.map_or(Expect::Absent, |stored| Expect::Version(stored.version));
        let batch = batch.expect(keys::token(Purpose::LoginCode, Some(user.id)), expect);
        let batch = put_token(batch, Purpose::LoginCode, Some(user.id), &token);
        self.mailed(batch, user, MailKind::LoginCode { code: secret })
    }

    fn live_login_code<'a>(&self, user: &User, token: &'a Token) -> Option<&'a Code> {
        let holds = self.now < token.expires_at && token.binding == super::tokens::binding(Purpose::LoginCode, user);
        token.code.as_ref().filter(|_| holds)
    }

    /// Counts a wrong code; `None` is a lost race.
    async fn login_code_failed(&self, batch: Batch, user: &User, token: &Token) -> Result<Option<()>> {
        let mut token = token.clone();
        if let Some(code) = &mut token.code {
            code.failures += 1;
        }
        let batch = put_token(batch, Purpose::LoginCode, Some(user.id), &token);
        let note = Note::of(Event::UserLoginFailed, user).failed().detail("why", "wrong code by mail");
        Ok(self.commit(self.audited(batch, note)).await?.map(|_| ()))
    }

    /// The stored form of a code: bound to the user and the address it was sent to.
    fn login_code_mac(&self, user: &User, code: &str) -> [u8; 32] {
        self.vault().mac("login_code", &[user.id.as_bytes(), user.email.as_str().as_bytes(), code.as_bytes()])
    }
}

fn nothing_pending() -> Error {
    Error::invalid("no_pending_verification", "No login is waiting for a code. Re-enter username/password.", None)
}

fn invalid_code() -> Error {
    Error::invalid("invalid_code", "This code is invalid or has expired.", Some("code"))
}
