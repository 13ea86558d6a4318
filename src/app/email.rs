//! E-mail verification and change (spec §3.3, §4.6).

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::audit::Note;
use super::limits::Limit;
use super::login::IssuedSession;
use super::permission::KeyRule;
use super::reset::{Done, UserChange};
use super::safety::{self, SafetyLevel};
use super::views::{Success, UserRef, UserView};
use super::{Context, Operation, Permission, Tries};
use crate::domain::audit::Event;
use crate::domain::fields::{FieldError, Fields};
use crate::domain::id::UserId;
use crate::domain::input::Input;
use crate::domain::mail::MailKind;
use crate::domain::secret::Secret;
use crate::domain::token::{self, CODE_ATTEMPTS_MAX, Code, Purpose, Token};
use crate::domain::user::User;
use crate::domain::vault::sha256;
use crate::error::{Error, Result};
use crate::records::{Versioned, keys, put_token, put_user};
use crate::store::{Batch, Expect};

/// Seconds between two verification mails that operators send.
const RESEND: crate::config::Rate = crate::config::Rate { count: 1, seconds: 60 };

/// The answer of `verify_email`; the flags that are false are left out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EmailVerified {
    /// The token to echo (spec §3.3).
    pub token: Option<Secret>,
    pub requires_2fa: bool,
    pub requires_login: bool,
    pub session: Option<IssuedSession>,
}

/// `POST /api/users/request_email_verification`. Field: `uuid`. The answer is the same whether the user exists.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestEmailVerification {
    pub fields: Fields,
}

impl Operation for RequestEmailVerification {
    const NAME: &'static str = "request_email_verification";
    const NEEDS: Permission = Permission::ANYONE;
    const INPUTS: &'static [Input] = &[Input::text("uuid", 0, "The UUID of the user.").required()];
    type Reply = Success;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let uuid = self.fields.text("uuid")?.ok_or_else(|| FieldError::required("uuid"))?.to_lowercase();
        if !cx.app.is_mail_available() {
            return Err(Error::invalid(
                "email_not_available",
                "Cannot verify email address because email is not configured for your instance. Please contact your administrator.",
                None,
            ));
        }
        // By the account that is named, and by the caller's own where somebody logged in names another.
        let caller = cx.caller().map(|caller| caller.id.to_string()).filter(|caller| *caller != uuid);
        for key in [Some(&uuid), caller.as_ref()].into_iter().flatten() {
            cx.count(Limit::EmailVerificationRequest, key.as_bytes()).await?;
        }
        let Some(id) = UserId::parse(&uuid) else { return Ok(Success::YES) };
        let Some(user) = cx.records().user(id).await?.map(|user| user.value) else { return Ok(Success::YES) };
        let is_something_to_verify = user.pending_email.is_some() || user.is_email_verified != Some(true);
        if user.is_active && is_something_to_verify {
            let batch = cx.audited(Batch::default(), Note::of(Event::UserVerificationRequested, &user));
            let batch = cx.verification_mailed(batch, &user)?;
            cx.commit(batch).await?;
        }
        Ok(Success::YES)
    }
}

/// `POST /api/users/verify_email`. Fields: `uuid`, `token` or `code`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifyEmail {
    pub fields: Fields,
}

impl Operation for VerifyEmail {
    const NAME: &'static str = "verify_email";
    const NEEDS: Permission = Permission::ANYONE;
    const INPUTS: &'static [Input] = &[
        Input::text("uuid", 0, "The UUID of the user.").required(),
        Input::text("token", 0, "From the link in the mail. One of `token` and `code` is needed; this one wins."),
        Input::code("code", "The six digits from the mail."),
    ];
    type Reply = EmailVerified;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let proof = Proof::parse(&self.fields)?;
        let uuid = self.fields.text("uuid")?.ok_or_else(|| FieldError::required("uuid"))?.to_lowercase();
        cx.count(Limit::VerifyEmail, uuid.as_bytes()).await?;

        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = match UserId::parse(&uuid) {
                Some(id) => cx.records().user(id).await?.filter(|user| user.value.is_active),
                None => None,
            };
            let before = before.ok_or_else(|| proof.refused())?;
            let stored = cx.records().token(Purpose::VerifyEmail, Some(before.value.id)).await?;
            let stored = stored.ok_or_else(|| proof.refused())?;
            match cx.judge(&proof, &before.value, &stored.value) {
                Verdict::Right => {}
                Verdict::Repeated => {
                    return Ok(EmailVerified { token: None, requires_2fa: false, requires_login: true, session: None });
                }
                Verdict::WrongCode => match cx.count_wrong_code(&before.value, &stored).await? {
                    Some(()) => return Err(proof.refused()),
                    None => continue,
                },
                Verdict::TooManyCodes => return Err(too_many_codes()),
                Verdict::Refused => return Err(proof.refused()),
            }
            if let Some(verified) = cx.verified(&proof, &before, &stored).await? {
                return Ok(verified);
            }
        }
    }
}

/// `PATCH /api/users/cancel_email_change_request`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CancelEmailChange {}

impl Operation for CancelEmailChange {
    const NAME: &'static str = "cancel_email_change";
    const NEEDS: Permission = Permission::USER.key(KeyRule::TwoFactorScope("user:write")).sensitive();
    type Reply = UserView;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let id = cx.require_caller()?.id;
        let mut tries = Tries::default();
        loop {
            tries.next().await?;
            let before = cx.user(id).await?;
            let mut user = before.value.clone();
            if !user.drop_staged_email() {
                return Err(Error::invalid(
                    "email_change_request_not_found",
                    "No active email change requests found.",
                    None,
                ));
            }
            let batch =
                put_user(Batch::default(), Some(&before), &user).delete(keys::token(Purpose::VerifyEmail, Some(id)));
            let batch = cx.audited(batch, Note::of(Event::UserEmailChangeCancelled, &user));
            if cx.commit(batch).await?.is_some() {
                return cx.user_view(&user).await;
            }
        }
    }
}

/// An operator has the verification mail sent again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResendVerification {
    pub user: UserRef,
    pub proof: safety::Proof,
}

impl Operation for ResendVerification {
    const NAME: &'static str = "resend_verification";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        let user = cx.find_user(&self.user).await?.value;
        let proven = cx.prove(&self.proof, SafetyLevel::Reason, &user)?;
        if !cx.app.is_mail_available() {
            return Err(Error::refused("email_not_available", "mail is off; set email.transport in the configuration"));
        }
        if user.pending_email.is_none() && user.is_email_verified == Some(true) {
            return Err(Error::refused("already_verified", "the address is verified and no change is pending"));
        }
        cx.app.0.throttle.count("resend_verification", RESEND, user.id.as_bytes(), cx.now)?;
        let batch = cx.verification_mailed(Batch::default(), &user)?;
        let batch = cx.audited(batch, Note::of(Event::UserVerificationRequested, &user).proven(&proven));
        let receipt = cx.commit(batch).await?.ok_or_else(Error::not_found)?;
        let to = user.pending_email.as_ref().unwrap_or(&user.email);
        Ok(Done {
            email: user.email.as_str().to_owned(),
            summary: format!("verification mail queued to {to}"),
            audit_number: receipt.appended.last().copied().unwrap_or_default(),
        })
    }
}

/// An operator drops a staged address; both addresses get a notice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CancelEmailChangeOf {
    pub user: UserRef,
    pub proof: safety::Proof,
}

impl Operation for CancelEmailChangeOf {
    const NAME: &'static str = "cancel_email_change_of";
    const NEEDS: Permission = Permission::OPERATOR_WRITE;
    type Reply = Done;

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply> {
        cx.change_user(&self).await
    }
}

impl UserChange for CancelEmailChangeOf {
    fn user(&self) -> &UserRef {
        &self.user
    }

    async fn apply(&self, cx: &Context<'_>, user: &mut User) -> Result<(Batch, String)> {
        let proven = cx.prove(&self.proof, SafetyLevel::Reason, user)?;
        let Some(pending) = user.pending_email.clone() else {
            return Err(Error::refused("email_change_request_not_found", "no change of address is pending"));
        };
        user.drop_staged_email();
        let batch = Batch::default().delete(keys::token(Purpose::VerifyEmail, Some(user.id)));
        let batch = cx.mailed(batch, user, MailKind::EmailChangeCancelled)?;
        let batch = cx.mailed_to(batch, user, &pending, MailKind::EmailChangeCancelled)?;
        let note = Note::of(Event::UserEmailChangeCancelled, user).proven(&proven);
        Ok((cx.audited(batch, note), format!("the change is dropped; {} stays", user.email)))
    }
}

/// What the person sent as proof.
enum Proof {
    Token(Secret),
    Code(Secret),
}

impl Proof {
    /// `token` wins when both are there; neither is `required`, attr `token` (spec §3.3).
    fn parse(fields: &Fields) -> Result<Self> {
        if let Some(token) = fields.text("token")?.filter(|token| !token.is_empty()) {
            return Ok(Self::Token(token.into()));
        }
        let Some(code) = fields.code_token("code")? else { return Err(FieldError::required("token").into()) };
        token::fold_code(&code)
            .map(|code| Self::Code(code.into()))
            .ok_or_else(|| Error::invalid("invalid_input", "Enter the 6-digit code from your email.", Some("code")))
    }

    /// One answer for wrong, expired, used, foreign, and unknown users.
    fn refused(&self) -> Error {
        match self {
            Self::Token(_) => {
                Error::invalid("invalid_token", "This verification token is invalid or has expired.", Some("token"))
            }
            Self::Code(_) => Error::invalid("invalid_code", "This code is invalid or has expired.", Some("code")),
        }
    }
}

/// What a proof is worth.
enum Verdict {
    Right,
    /// A good code again, after it did its work.
    Repeated,
    WrongCode,
    TooManyCodes,
    Refused,
}

fn too_many_codes() -> Error {
    Error::invalid("too_many_attempts", "Too many incorrect attempts. Try again later.", Some("code"))
}

/// Drops a staged address and what would verify it, and has the note say so: whoever staged it must not keep a way in
/// when the owner is let in anew (spec §4.7, W-37).
pub(super) fn unstage_email(batch: Batch, user: &mut User, note: Note) -> (Batch, Note) {
    if user.drop_staged_email() {
        (batch.delete(keys::token(Purpose::VerifyEmail, Some(user.id))), note.detail("staged_email_dropped", true))
    } else {
        (batch, note)
    }
}

impl Context<'_> {
    fn judge(&self, proof: &Proof, user: &User, stored: &Token) -> Verdict {
        let is_live = stored.binding == super::tokens::binding(Purpose::VerifyEmail, user);
        match proof {
            Proof::Token(token) => {
                let matches: bool = sha256(token.expose().as_bytes()).ct_eq(&stored.hash).into();
                if matches && is_live && self.now < stored.expires_at { Verdict::Right } else { Verdict::Refused }
            }
            Proof::Code(code) => {
                let Some(kept) = stored.code.as_ref().filter(|kept| self.now < kept.expires_at) else {
                    return Verdict::Refused;
                };
                let matches: bool = self.code_mac(user, code.expose()).ct_eq(&kept.mac).into();
                match (kept.used, matches) {
                    (true, true) if user.pending_email.is_none() => Verdict::Repeated,
                    // The budget protects the code, not the stranger: it stays refused while it lives (spec §3.3).
                    (false, _) if kept.failures >= CODE_ATTEMPTS_MAX => Verdict::TooManyCodes,
                    (false, true) if is_live => Verdict::Right,
                    (false, false) => Verdict::WrongCode,
                    (true, _) | (false, true) => Verdict::Refused,
                }
            }
        }
    }

    async fn count_wrong_code(&self, user: &User, stored: &Versioned<Token>) -> Result<Option<()>> {
        let mut token = stored.value.clone();
        if let Some(code) = &mut token.code {
            code.failures += 1;
        }
        let key = keys::token(Purpose::VerifyEmail, Some(user.id));
        let batch = Batch::default().expect(key, Expect::Version(stored.version));
        Ok(self.commit(put_token(batch, Purpose::VerifyEmail, Some(user.id), &token)).await?.map(|_| ()))
    }

    /// Does what a right proof asks for; `None` is a lost race.
    async fn verified(
        &self,
        proof: &Proof,
        before: &Versioned<User>,
        stored: &Versioned<Token>,
    ) -> Result<Option<EmailVerified>> {
        let mut user = before.value.clone();
        let key = keys::token(Purpose::VerifyEmail, Some(user.id));
        let mut batch = Batch::default().expect(key.clone(), Expect::Version(stored.version));
        let promoted = user.pending_email.clone();
        if let Some(email) = &promoted {
            if let Some(owner) = self.find_by_email(email).await? {
                if owner.value.id == user.id {
                    // The user's own by now: what was read is of before.
                    return Ok(None);
                }
                return Err(Error::invalid(
                    "email_taken",
                    "Another account now uses this email address. Start the change again with a different address.",
                    Some("email"),
                ));
            }
            batch = self.mailed(batch, &user, MailKind::EmailChangedOld)?;
            user.change_email(email.clone(), self.now);
            user.session_epoch = user.session_epoch.wrapping_add(1);
            batch = self.mailed(batch, &user, MailKind::EmailChangedNew)?;
        }
        user.is_email_verified = Some(true);
        batch = match (&proof, &stored.value.code) {
            (Proof::Code(code), Some(kept)) => {
                let spent_code = Code { used: true, mac: self.code_mac(&user, code.expose()), ..kept.clone() };
                let spent = Token { hash: [0; 32], code: Some(spent_code), ..stored.value.clone() };
                put_token(batch, Purpose::VerifyEmail, Some(user.id), &spent)
            }
            _ => batch.delete(key),
        };
        let requires_2fa = user.second_factor.is_enabled();
        let mut session = None;
        if requires_2fa {
            batch = put_user(batch, Some(before), &user);
            batch = self.rebind_session(batch, &before.value, &user, |_| {}).await?;
        } else {
            let replaced = self.session().cloned();
            let (with_login, issued) = self
                .logged_in(batch, replaced.as_deref(), Some(before), &mut user, "email verification", false)
                .await?;
            batch = with_login;
            session = Some(issued);
        }
        if promoted.is_some() {
            batch = self.audited(batch, Note::of(Event::UserEmailChanged, &user).by(&user));
        }
        batch = self.audited(batch, Note::of(Event::UserEmailVerified, &user).by(&user));
        let token = match proof {
            Proof::Token(token) if session.is_some() => Some(token.clone()),
            Proof::Token(_) | Proof::Code(_) => None,
        };
        Ok(self.commit(batch).await?.map(|_| EmailVerified { token, requires_2fa, requires_login: false, session }))
    }
}
