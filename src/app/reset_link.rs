//! The link with which users reset their own second factor, at the hand of an administrator (spec §3.10): sent by an
//! operator, used by whoever has the mail and has just given the password.
//!
//! `http/reset.rs` gives the errors their own shape; see there.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use super::audit::Note;
use super::email::unstage_email;
use super::limits::Limit;
use super::reset::{Done, notice_addresses};
use super::safety::{Proof, SafetyLevel};
use super::second_factor::remove_factor;
use super::views::{Success, UserRef};
use super::{Context, Identity, Operation, Permission, PresentedSession, Tries};
use crate::config::Rate;
use crate::domain::audit::Event;
use crate::domain::fields::Fields;
use crate::domain::id::UserId;
use crate::domain::input::Input;
use crate::domain::mail::MailKind;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::token::{Purpose, RESET_LINK_SECONDS, Token};
use crate::domain::user::User;
use crate::domain::vault::sha256;
use crate::error::{Error, Result};
use crate::records::{Versioned, keys, put_user, remove_session};
use crate::store::{Batch, Expect};

/// How often operators may have the link sent to one user.
const LINKS: Rate = Rate { count: 1, seconds: 60 };

/// An operator has the link sent to the user's address. Valid one hour; a newer one kills it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SendTwoFactorResetLink {
    pub user: UserRef,
    pub proof: Proof,
}

impl Operation for SendTwoFactorResetLink {
    const NAME: &'static str = "send_two_factor_reset_link";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let user = cx.find_user(&self.user).await?.value;
        let proven = cx.prove_for_factor(&self.proof, SafetyLevel::Reason, &user)?;
        if !cx.app.is_mail_available() {
            return Err(Error::refused("email_not_available", "mail is off; set email.transport in the configuration"));
        }
        if !user.is_active {
            return Err(Error::refused("inactive", "the user is inactive and cannot log in"));
        }
        if !user.second_factor.is_enabled() {
            return Err(Error::refused("2fa_not_enabled", "the user has no second factor to reset"));
        }
        let proven = cx.seconded(&self, proven, &user).await?;
        cx.app.0.throttle.count("two_factor_reset_link", LINKS, user.id.as_bytes(), cx.now)?;
        let (batch, token) = cx.issue_token(Batch::default(), Purpose::ResetTwoFactor, &user)?;
        let public_url = &cx.config().server.public_url;
        let link = Secret::new(format!("{public_url}/reset_2fa/{}/{}", user.id, token.expose()));
        let batch = cx.mailed(batch, &user, MailKind::TwoFactorResetLink { link })?;
        let note = Note::of(Event::TwoFactorResetLinkSent, &user).proven(&proven);
        let receipt = cx.commit(cx.audited(batch, note)).await?.ok_or_else(Error::not_found)?;
        Ok(Done {
            email: user.email.as_str().to_owned(),
            summary: format!(
                "reset link queued to {}, valid one hour; nothing is removed until it is used",
                user.email
            ),
            audit_number: receipt.appended.last().copied().unwrap_or_default(),
        })
    }
}

/// The link would be taken; the token is echoed (spec §3.10).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TwoFactorResetToken {
    pub success: bool,
    /// The one that was sent.
    #[schema(value_type = String)]
    pub token: Secret,
}

/// `GET /api/reset_2fa/{uuid}`: whether the link would be taken. Changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckTwoFactorResetToken {
    pub uuid: String,
    pub token: Option<Secret>,
}

impl Operation for CheckTwoFactorResetToken {
    const NAME: &'static str = "check_two_factor_reset_token";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = TwoFactorResetToken;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let token = self.token.filter(|token| !token.expose().is_empty()).ok_or_else(token_required)?;
        cx.count(Limit::MailedLink, &[]).await?;
        cx.user_of_reset_link(&self.uuid, &token).await?;
        Ok(TwoFactorResetToken { success: true, token })
    }
}

/// `POST /api/reset_2fa/{uuid}`: removes device and codes. Field: `token`. Sessions live on, as when the owner disables.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfirmTwoFactorReset {
    pub uuid: String,
    pub fields: Fields,
}

impl Operation for ConfirmTwoFactorReset {
    const NAME: &'static str = "confirm_two_factor_reset";
    const NEEDS: Permission = Permission::ANYONE;
    const INPUTS: &'static [Input] = &[Input::text("token", 0, "From the link in the mail.").required()];
    type Reply = Success;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let token = self.fields.text("token")?.filter(|token| !token.is_empty());
        let token = Secret::new(token.ok_or_else(token_required)?);
        cx.count(Limit::MailedLink, &[]).await?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let (before, stored) = cx.user_of_reset_link(&self.uuid, &token).await?;
            let mut user = before.value.clone();
            let backup_codes_deleted = user.second_factor.backup_codes.len();
            remove_factor(&mut user);
            user.second_factor.last_reset_at = Some(cx.now);
            let key = keys::token(Purpose::ResetTwoFactor, Some(user.id));
            let batch = Batch::default().expect(key.clone(), Expect::Version(stored.version)).delete(key);
            let note = Note::of(Event::TwoFactorReset, &before.value).by(&user);
            let (batch, note) = unstage_email(batch, &mut user, note);
            let mut batch = put_user(batch, Some(&before), &user);
            for key in cx.records().pending_totp_keys(user.id).await? {
                batch = batch.delete(key);
            }
            batch = cx.pending_login_erased(batch, &before.value, &user).await?;
            for to in notice_addresses(&user, cx.now) {
                batch = cx.mailed_to(batch, &user, to, MailKind::TwoFactorDisabled)?;
            }
            let note = note.detail("how", "mailed link").detail("backup_codes_deleted", backup_codes_deleted);
            if cx.commit(cx.audited(batch, note)).await?.is_some() {
                return Ok(Success::YES);
            }
        }
    }
}

impl Context<'_> {
    /// The user whose live link this is, who has given the password within the hour. Who does not get as far learns
    /// nothing about the link.
    async fn user_of_reset_link(&self, uuid: &str, token: &Secret) -> Result<(Versioned<User>, Versioned<Token>)> {
        let user = self.user_who_gave_the_password().await?;
        if UserId::parse(&uuid.to_lowercase()) != Some(user.value.id) {
            return Err(Error::denied("This reset link is for a different account."));
        }
        let stored = self.live_token(Purpose::ResetTwoFactor, &user.value).await?.ok_or_else(invalid_link)?;
        let matches: bool = sha256(token.expose().as_bytes()).ct_eq(&stored.value.hash).into();
        if matches { Ok((user, stored)) } else { Err(invalid_link()) }
    }

    /// The user of the pending login, or of the session, that the call came with; an hour old at most.
    async fn user_who_gave_the_password(&self) -> Result<Versioned<User>> {
        let session = self.session().ok_or_else(must_log_in)?;
        let PresentedSession { session, .. } = &**session;
        let is_recent = |at: Timestamp| self.now.seconds_since(at) < RESET_LINK_SECONDS;
        if let Identity::Session { user, .. } = &self.actor.identity {
            return if is_recent(session.authenticated_at) { self.user(user.id).await } else { Err(login_expired()) };
        }
        let pending = session.pending_login.as_ref().ok_or_else(must_log_in)?;
        if !is_recent(pending.started_at) {
            return Err(login_expired());
        }
        self.user_of_pending(pending, true).await?.ok_or_else(login_expired)
    }

    /// The session of a pending login goes; one of a user stays, without the mark and the pending login in it.
    async fn pending_login_erased(&self, batch: Batch, before: &User, user: &User) -> Result<Batch> {
        match (&self.actor.identity, self.session()) {
            (Identity::Pending(_), Some(pending)) => {
                let live = self.records().session(&pending.hash).await?.ok_or_else(login_expired)?;
                Ok(remove_session(live.expect(batch, &pending.hash), &pending.hash, &live.value))
            }
            _ => {
                self.rebind_session(batch, before, user, |session| {
                    session.verified_at = None;
                    session.pending_login = None;
                })
                .await
            }
        }
    }
}

fn token_required() -> Error {
    Error::invalid("required", "Token is required.", Some("token"))
}

fn invalid_link() -> Error {
    Error::invalid("invalid_token", "This reset link is invalid or has expired.", Some("token"))
}

fn must_log_in() -> Error {
    Error::AuthenticationFailed { detail: "You must log in with your credentials first.".into() }
}

fn login_expired() -> Error {
    Error::AuthenticationFailed { detail: "Your login session has expired. Please log in again.".into() }
}
