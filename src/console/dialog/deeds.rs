//! What an operator can do to a user, and what is offered for the one under the cursor.

use crate::app::views::{SessionRow, UserDetail};
use crate::console::model::{Focus, Model, Screen, Tab};
use crate::console::text::{date_time, shown};
use crate::domain::time::Timestamp;
use crate::domain::user::FactorState;

/// Something an operator does to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    Reset,
    Unlock,
    /// Enrol a device together with the user.
    Enrol,
    /// Look into a code; has a window of its own and changes nothing.
    Explain,
    RevokeCodes,
    ResendVerification,
    CancelEmailChange,
    SignOut,
    EndSession {
        id: String,
        label: String,
    },
    RevokeKey {
        id: String,
        label: String,
    },
}

impl Deed {
    /// The dialog's title, and the button.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        match self {
            Self::Reset => "Reset 2FA",
            Self::Unlock => "Unlock",
            Self::Enrol => "Enrol in person",
            Self::Explain => "Explain a code",
            Self::RevokeCodes => "Revoke backup codes",
            Self::ResendVerification => "Resend verification",
            Self::CancelEmailChange => "Cancel e-mail change",
            Self::SignOut => "Sign out everywhere",
            Self::EndSession { .. } => "End session",
            Self::RevokeKey { .. } => "Revoke API key",
        }
    }

    /// What the button says that does it.
    #[must_use]
    pub const fn button(&self) -> &'static str {
        match self {
            // Beside a button that says Cancel.
            Self::CancelEmailChange => "Drop the change",
            Self::Enrol => "Show the key",
            _ => self.title(),
        }
    }

    /// Whether the caller's check and the typed local part are asked for (level 3); else a reason and
    /// `y` are enough.
    #[must_use]
    pub const fn needs_proof(&self) -> bool {
        matches!(self, Self::Reset | Self::RevokeCodes | Self::SignOut)
    }
}

/// A line of the action menu.
#[derive(Clone, Debug)]
pub struct Item {
    pub letter: char,
    pub label: &'static str,
    pub deed: Deed,
    /// Why it cannot be done now; shown, never hidden.
    pub refused: Option<String>,
}

/// The action menu for the user under the cursor.
#[must_use]
pub fn items(model: &Model) -> Vec<Item> {
    let detail = model.chosen_detail();
    let general = model.writes_refused().map(str::to_owned);
    let general = general.or_else(|| detail.is_none().then(|| "being read".to_owned()));
    deeds(model)
        .into_iter()
        .map(|(letter, label, deed)| {
            let general = general.clone().filter(|_| deed != Deed::Explain || detail.is_none());
            let refused = general.or_else(|| detail.and_then(|detail| refusal(&deed, detail, model)));
            Item { letter, label, deed, refused }
        })
        .collect()
}

fn deeds(model: &Model) -> Vec<(char, &'static str, Deed)> {
    // Only what the operator sees marked counts as chosen.
    let detail = model.chosen_detail().filter(|_| model.screen == Screen::Users(Focus::Detail));
    let session = detail.filter(|_| model.tab == Tab::Sessions).and_then(|detail| detail.sessions.get(model.tab_row));
    let key = detail.filter(|_| model.tab == Tab::Keys).and_then(|detail| detail.api_keys.get(model.tab_row));
    let end = Deed::EndSession {
        id: session.map(|session| session.id.clone()).unwrap_or_default(),
        label: session.map(session_label).unwrap_or_default(),
    };
    let revoke = Deed::RevokeKey {
        id: key.map(|key| key.id.clone()).unwrap_or_default(),
        label: key.map(|key| shown(&key.label)).unwrap_or_default(),
    };
    vec![
        ('r', "reset 2FA...", Deed::Reset),
        ('u', "unlock...", Deed::Unlock),
        ('b', "revoke backup codes...", Deed::RevokeCodes),
        ('p', "enrol in person (QR)...", Deed::Enrol),
        ('x', "explain a code...", Deed::Explain),
        ('m', "resend verification...", Deed::ResendVerification),
        ('c', "cancel e-mail change...", Deed::CancelEmailChange),
        ('s', "sign out everywhere...", Deed::SignOut),
        ('d', "end the chosen session...", end),
        ('k', "revoke the chosen API key...", revoke),
    ]
}

/// Enough to tell it from the others: many people have two of the same browser.
fn session_label(session: &SessionRow) -> String {
    let from = session.address.as_deref().map_or(String::new(), |address| format!(" from {}", shown(address)));
    format!("{}{from}, signed in {} UTC", shown(&session.device), date_time(session.created_at))
}

fn refusal(deed: &Deed, detail: &UserDetail, model: &Model) -> Option<String> {
    let factor = &detail.factor;
    let later = |at: Option<Timestamp>| at.is_some_and(|at| at > model.now);
    let says = |refused: bool, why: &str| refused.then(|| why.to_owned());
    match deed {
        Deed::Reset => {
            let nothing =
                matches!(factor.state, FactorState::Off | FactorState::Enrol) && factor.backup_codes_remaining == 0;
            says(nothing, "no device")
        }
        Deed::Unlock => {
            let failures = factor.totp_failures > 0 || factor.backup_code_failures > 0;
            let locked = failures || later(factor.waiting_until) || later(factor.login_locked_until);
            says(!locked, "not locked")
        }
        Deed::Enrol => {
            let has_device = matches!(factor.state, FactorState::On | FactorState::Locked);
            says(has_device, "has a device: reset first")
        }
        Deed::Explain => says(factor.method.is_none(), "no device"),
        Deed::RevokeCodes => says(factor.backup_codes_remaining == 0, "no backup codes left"),
        Deed::ResendVerification => {
            let mail_off = model.status.as_ref().is_some_and(|status| !status.mail_available);
            let nothing = detail.row.is_email_verified != Some(false) && detail.pending_email.is_none();
            says(mail_off, "mail is off").or_else(|| says(nothing, "the address is verified"))
        }
        Deed::CancelEmailChange => says(detail.pending_email.is_none(), "no change is pending"),
        Deed::SignOut => says(detail.sessions.is_empty() && detail.remembered_devices == 0, "no sessions"),
        Deed::EndSession { id, .. } => says(id.is_empty(), "choose it in Sessions"),
        Deed::RevokeKey { id, .. } => says(id.is_empty(), "choose it in API keys"),
    }
}

impl Deed {
    pub(super) fn id(&self) -> Option<&String> {
        match self {
            Self::EndSession { id, .. } | Self::RevokeKey { id, .. } => Some(id),
            _ => None,
        }
    }
}
