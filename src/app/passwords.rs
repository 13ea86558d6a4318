//! Passwords set with a single-use link, and the first staff account (spec §3.7, W-38).

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use super::audit::Note;
use super::email::unstage_email;
use super::limits::Limit;
use super::views::Success;
use super::{Context, Operation, Permission, Tries, random};
use crate::domain::audit::Event;
use crate::domain::email::EmailAddress;
use crate::domain::fields::{FieldError, Fields};
use crate::domain::id::UserId;
use crate::domain::input::Input;
use crate::domain::mail::MailKind;
use crate::domain::password::PASSWORD_CHARS_MAX;
use crate::domain::secret::Secret;
use crate::domain::token::{Purpose, SETUP_SECONDS, Token};
use crate::domain::user::User;
use crate::domain::vault::sha256;
use crate::error::{Error, Result};
use crate::records::{Versioned, keys, put_token, put_user};
use crate::store::{Batch, Expect};

/// `server.public_url` where nobody has set it.
const DEFAULT_PUBLIC_URL: &str = "http://127.0.0.1:8000";

/// `POST /api/reset`: has a link mailed that sets a new password, which kills an older one. Field: `email`.
///
/// The account is looked for after the call was answered, so that neither the answer nor its time says whether there is
/// one (W-20).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestPasswordReset {
    pub fields: Fields,
}

impl Operation for RequestPasswordReset {
    const NAME: &'static str = "request_password_reset";
    const NEEDS: Permission = Permission::ANYONE;
    const INPUTS: &'static [Input] = &[Input::email("email", "The address of the account.").required()];
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let email = self.fields.email("email")?.ok_or_else(|| FieldError::required("email"))?;
        if !cx.app.is_mail_available() {
            return Err(Error::invalid(
                "email_not_available",
                "Cannot reset passwords because email is not configured for your instance. Please contact your administrator.",
                None,
            ));
        }
        cx.count(Limit::PasswordResetRequest, email.as_str().as_bytes()).await?;
        // Where there is much to do already, the answer waits for others' work, never for this one's.
        let permit = Arc::clone(&cx.app.0.after_answering).acquire_owned().await.map_err(|_| Error::busy())?;
        let (app, actor, now) = (cx.app.clone(), cx.actor.clone(), cx.now);
        tokio::spawn(async move {
            let cx = Context { app: &app, actor: &actor, now, step: None, approved: None };
            if let Err(error) = cx.reset_mailed(&email).await {
                tracing::error!(%error, request_id = actor.request_id, "a link to set a password was not sent");
            }
            drop(permit);
        });
        Ok(())
    }
}

/// A password was set with a token.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PasswordReset {
    pub success: bool,
    /// The address to log in with.
    pub email: String,
}

/// `POST /api/reset/{uuid}`: sets a password with a single-use token. Fields: `token`, `password`. The user is not
/// logged in, and the second factor stays on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResetPassword {
    pub uuid: String,
    pub fields: Fields,
}

impl Operation for ResetPassword {
    const NAME: &'static str = "reset_password";
    const NEEDS: Permission = Permission::ANYONE;
    const INPUTS: &'static [Input] = &[
        Input::text("token", 0, "From the link in the mail.").required(),
        Input::secret("password", PASSWORD_CHARS_MAX, "The new password.").required(),
    ];
    type Reply = PasswordReset;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let token = self.fields.text("token")?.filter(|token| !token.is_empty());
        let token = Secret::new(token.ok_or_else(|| FieldError::required("token"))?);
        cx.count(Limit::MailedLink, &[]).await?;
        let (before, _) = cx.user_of_reset(&self.uuid, &token).await?;
        // The token is checked before the password, and a refused password does not use it up.
        let password = self.fields.secret("password")?.ok_or_else(|| FieldError::required("password"))?;
        let known = [before.value.email.as_str(), &before.value.first_name, &before.value.last_name];
        let hash = cx.hash_new_password(&password, &known).await?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let (before, stored) = cx.user_of_reset(&self.uuid, &token).await?;
            let mut user = before.value.clone();
            user.password_hash = Some(hash.clone());
            user.password_changed_at = Some(cx.now);
            user.end_presence();
            let key = keys::token(Purpose::ResetPassword, Some(user.id));
            let batch = Batch::default().expect(key.clone(), Expect::Version(stored.version)).delete(key);
            let (batch, note) = unstage_email(batch, &mut user, Note::of(Event::UserPasswordReset, &before.value));
            let batch = put_user(batch, Some(&before), &user);
            // What was guessed at is another password, and this is the way in for an owner whom strangers keep out.
            let batch = cx.forget_failures(batch, &user.email);
            let batch = cx.mailed(batch, &user, MailKind::PasswordChanged)?;
            if cx.commit(cx.audited(batch, note.by(&user))).await?.is_some() {
                return Ok(PasswordReset { success: true, email: user.email.into() });
            }
        }
    }
}

/// `GET /api/reset/{uuid}`: whether the token would be taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckResetToken {
    pub uuid: String,
    pub token: Option<Secret>,
}

impl Operation for CheckResetToken {
    const NAME: &'static str = "check_reset_token";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = ();

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let token = self.token.filter(|token| !token.expose().is_empty());
        let token = token.ok_or_else(|| FieldError::required("token"))?;
        cx.count(Limit::MailedLink, &[]).await?;
        cx.user_of_reset(&self.uuid, &token).await.map(|_| ())
    }
}

/// Makes the first staff account from the link printed at the first start. Fields: `token`, `email`, `password`,
/// optional `first_name`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompleteSetup {
    pub fields: Fields,
}

impl Operation for CompleteSetup {
    const NAME: &'static str = "complete_setup";
    const NEEDS: Permission = Permission::ANYONE;
    type Reply = Success;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let token = self.fields.text("token")?.ok_or_else(|| FieldError::required("token"))?;
        cx.count(Limit::MailedLink, &[]).await?;
        cx.setup_token(&token).await?;
        let email = self.fields.email("email")?.ok_or_else(|| FieldError::required("email"))?;
        let password = self.fields.secret("password")?.ok_or_else(|| FieldError::required("password"))?;
        let first_name = self.fields.limited_text("first_name", 128)?.unwrap_or_default();
        crate::domain::text::check_display_name("first_name", &first_name)?;
        let hash = cx.hash_new_password(&password, &[email.as_str(), &first_name]).await?;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let stored = cx.setup_token(&token).await?;
            let (mut user, batch) = cx.new_user(EmailAddress::clone(&email)).await?;
            user.first_name.clone_from(&first_name);
            user.is_staff = true;
            user.is_email_verified = Some(true);
            user.password_hash = Some(hash.clone());
            user.password_changed_at = Some(cx.now);
            let key = keys::token(Purpose::Setup, None);
            let batch = batch.expect(key.clone(), Expect::Version(stored.version)).delete(key);
            let batch = put_user(batch, None, &user);
            let note = Note::of(Event::UserCreated, &user).detail("is_staff", true).detail("how", "setup link");
            if cx.commit(cx.audited(batch, note)).await?.is_some() {
                return Ok(Success::YES);
            }
        }
    }
}

impl super::App {
    /// On a store without users: a new link that makes the first staff account, valid one hour. `None` otherwise.
    /// Where the public address was left at its default, the link leads to `address`, where the server really listens.
    pub async fn first_start_link(&self, address: SocketAddr) -> Result<Option<Secret>> {
        if self.records().counter(keys::USER_NUMBER_COUNTER).await? > 0 {
            return Ok(None);
        }
        let secret = random::token()?;
        let token = Token {
            hash: sha256(secret.expose().as_bytes()),
            expires_at: crate::clock::now().plus_seconds(SETUP_SECONDS),
            binding: [0; 32],
            code: None,
        };
        let batch = put_token(Batch::default(), Purpose::Setup, None, &token);
        let crate::store::Commit::Done(_) = self.records().store().commit(batch).await? else { return Ok(None) };
        let public_url = &self.config().server.public_url;
        let scheme = if self.is_secure() { "https" } else { "http" };
        let base = if public_url == DEFAULT_PUBLIC_URL { format!("{scheme}://{address}") } else { public_url.clone() };
        Ok(Some(Secret::new(format!("{base}/setup/{}", secret.expose()))))
    }
}

impl Context<'_> {
    /// Queues the mail with a new link, if there is an active user with this address.
    async fn reset_mailed(&self, email: &EmailAddress) -> Result<()> {
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let Some(before) = self.find_by_email(email).await?.filter(|user| user.value.is_active) else {
                return Ok(());
            };
            let mut user = before.value.clone();
            user.requested_password_reset_at = Some(self.now);
            let (batch, token) = self.issue_token(Batch::default(), Purpose::ResetPassword, &user)?;
            let batch = put_user(batch, Some(&before), &user);
            let batch =
                self.mailed(batch, &user, MailKind::ResetPassword { link: self.reset_link(user.id, &token) })?;
            let batch = self.audited(batch, Note::of(Event::UserPasswordResetRequested, &user));
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// The active user whose live token this is. One answer for every way to be wrong.
    async fn user_of_reset(&self, uuid: &str, token: &Secret) -> Result<(Versioned<User>, Versioned<Token>)> {
        let found = match UserId::parse(&uuid.to_lowercase()) {
            Some(id) => self.records().user(id).await?.filter(|user| user.value.is_active),
            None => None,
        };
        let user = found.ok_or_else(invalid_token)?;
        let stored = self.live_token(Purpose::ResetPassword, &user.value).await?.ok_or_else(invalid_token)?;
        let matches: bool = sha256(token.expose().as_bytes()).ct_eq(&stored.value.hash).into();
        if matches { Ok((user, stored)) } else { Err(invalid_token()) }
    }

    /// The set-up token, as long as there is no user and its hour lasts.
    async fn setup_token(&self, token: &str) -> Result<Versioned<Token>> {
        let stored = self.records().token(Purpose::Setup, None).await?;
        let stored = stored.filter(|stored| self.now < stored.value.expires_at).ok_or_else(invalid_setup)?;
        let matches: bool = sha256(token.as_bytes()).ct_eq(&stored.value.hash).into();
        let is_first = self.records().counter(keys::USER_NUMBER_COUNTER).await? == 0;
        if matches && is_first { Ok(stored) } else { Err(invalid_setup()) }
    }
}

fn invalid_setup() -> Error {
    Error::invalid("invalid_token", "This link is invalid, used, or more than an hour old.", Some("token"))
}

fn invalid_token() -> Error {
    Error::invalid("invalid_token", "This reset token is invalid or has expired.", Some("token"))
}
