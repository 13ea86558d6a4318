//! Whether every sealed secret opens with the secret key that the server has.

use super::{Check, Findings, ProblemKind, shown};
use crate::app::checkpoints::open_audit_key;
use crate::app::second_factor::{open_backup_code, open_totp};
use crate::domain::session::PendingTotp;
use crate::domain::user::User;
use crate::error::Result;
use crate::records::{OutboxRecord, codec, keys};
use crate::store::Entry;

impl Check<'_> {
    /// Those of a user: the authenticator's, and the backup codes.
    pub(super) fn check_secrets_of(&self, user: &User, findings: &mut Findings) {
        let factor = &user.second_factor;
        if let Some(device) = &factor.totp
            && open_totp(self.cx.vault(), user.id, &device.secret).is_err()
        {
            findings.unopened(&format!("the authenticator's secret of {}", user.email));
        }
        if factor.backup_codes.iter().any(|code| open_backup_code(self.cx.vault(), user, code).is_err()) {
            findings.unopened(&format!("a backup code of {}", user.email));
        }
    }

    /// That of another record, where it has one.
    pub(super) fn check_secret(&self, entry: &Entry, findings: &mut Findings) -> Result<()> {
        let Entry { key, value, .. } = entry;
        let opens = match keys::family(key) {
            keys::PENDING_TOTP => {
                let pending: PendingTotp = codec::decode(key, value)?;
                let user = keys::parse_leading_user(key, keys::PENDING_TOTP);
                user.is_some_and(|user| open_totp(self.cx.vault(), user, &pending.secret).is_ok())
            }
            keys::AUDIT_KEY => open_audit_key(self.cx.vault(), &codec::decode(key, value)?).is_ok(),
            keys::OUTBOX | keys::OUTBOX_FAILED => {
                self.cx.app.opened(&codec::decode::<OutboxRecord>(key, value)?).is_some()
            }
            _ => true,
        };
        if !opens {
            findings.unopened(&shown(key));
        }
        Ok(())
    }
}

impl Findings {
    fn unopened(&mut self, what: &str) {
        self.problem(ProblemKind::Unopened, format!("{what} does not open with this secret key"), false);
    }
}
