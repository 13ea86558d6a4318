//! Single-use tokens and the codes that go with them: issued, found, and bound to the facts that made them (W-37).

use super::{Context, random};
use crate::config::Verification;
use crate::domain::id::UserId;
use crate::domain::mail::MailKind;
use crate::domain::secret::Secret;
use crate::domain::token::{CODE_SECONDS, Code, Purpose, Token};
use crate::domain::user::User;
use crate::domain::vault::sha256;
use crate::error::Result;
use crate::records::{Versioned, put_token};
use crate::store::Batch;

impl Context<'_> {
    /// Adds a new token to the batch, which kills an older one; the token itself is only in the answer.
    pub(super) fn issue_token(&self, batch: Batch, purpose: Purpose, user: &User) -> Result<(Batch, Secret)> {
        let secret = random::token()?;
        let token = self.token(purpose, user, &secret, None);
        Ok((put_token(batch, purpose, Some(user.id), &token), secret))
    }

    /// Queues `Verify your email address` to the staged address, or to the present one, with what the settings ask
    /// for: a link, a code, or both.
    pub(super) fn verification_mailed(&self, batch: Batch, user: &User) -> Result<Batch> {
        if !self.app.is_mail_available() {
            return Ok(batch);
        }
        let secret = random::token()?;
        let code = match self.config().email.verification {
            Verification::Token => None,
            Verification::Code | Verification::Both => Some(random::six_digits()?),
        };
        let stored = code.as_ref().map(|code| Code {
            mac: self.code_mac(user, code.expose()),
            expires_at: self.now.plus_seconds(CODE_SECONDS),
            failures: 0,
            used: false,
        });
        let token = self.token(Purpose::VerifyEmail, user, &secret, stored);
        let batch = put_token(batch, Purpose::VerifyEmail, Some(user.id), &token);
        let link = match self.config().email.verification {
            Verification::Code => None,
            Verification::Token | Verification::Both => {
                let public_url = &self.config().server.public_url;
                Some(Secret::new(format!("{public_url}/verify_email/{}/{}", user.id, secret.expose())))
            }
        };
        let to = user.pending_email.as_ref().unwrap_or(&user.email).clone();
        self.mailed_to(batch, user, &to, MailKind::VerifyEmail { link, code })
    }

    /// The user's token for a purpose, if it has not expired and its facts still hold.
    pub(super) async fn live_token(&self, purpose: Purpose, user: &User) -> Result<Option<Versioned<Token>>> {
        let token = self.records().token(purpose, Some(user.id)).await?;
        let binding = binding(purpose, user);
        Ok(token.filter(|token| self.now < token.value.expires_at && token.value.binding == binding))
    }

    /// The stored form of an e-mailed code: bound to the user and the address it was sent to.
    pub(super) fn code_mac(&self, user: &User, code: &str) -> [u8; 32] {
        let to = user.pending_email.as_ref().unwrap_or(&user.email);
        self.vault().mac("email_code", &[user.id.as_bytes(), to.as_str().as_bytes(), code.as_bytes()])
    }

    fn token(&self, purpose: Purpose, user: &User, secret: &Secret, code: Option<Code>) -> Token {
        Token {
            hash: sha256(secret.expose().as_bytes()),
            expires_at: self.now.plus_seconds(purpose.seconds()),
            binding: binding(purpose, user),
            code,
        }
    }

    /// The link under which a password can be set with a token of [`Purpose::ResetPassword`].
    pub(super) fn reset_link(&self, user: UserId, token: &Secret) -> Secret {
        Secret::new(format!("{}/reset/{user}/{}", self.config().server.public_url, token.expose()))
    }
}

/// Digest of the facts a token depends on (spec §3.3, §5 row 19): any of them changing kills it. What ends sessions and
/// what changes the second factor kills all but the proof of an address (W-37). A login kills no token that it is a part
/// of; nor may a new hash of the same password, which a login can bring.
pub(super) fn binding(purpose: Purpose, user: &User) -> [u8; 32] {
    let facts = match purpose {
        Purpose::VerifyEmail => format!(
            "{}\n{}\n{}\n{:?}\n{:?}",
            user.email,
            user.password_hash.as_ref().map_or("", |hash| hash.0.as_str()),
            user.pending_email.as_ref().map_or("", |email| email.as_str()),
            user.is_email_verified,
            user.last_login
        ),
        Purpose::ResetPassword => format!(
            "{}\n{}\n{:?}\n{}\n{}",
            user.email,
            user.password_hash.as_ref().map_or("", |hash| hash.0.as_str()),
            user.last_login,
            user.session_epoch,
            user.second_factor.generation
        ),
        Purpose::ResetTwoFactor | Purpose::LoginCode => {
            format!("{}\n{}\n{}", user.email, user.session_epoch, user.second_factor.generation)
        }
        Purpose::Setup => String::new(),
    };
    sha256(facts.as_bytes())
}
