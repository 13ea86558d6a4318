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
    /// Demand a new device; the old one stays valid until then.
    Demand,
    /// Enrol a device together with the user.
    Enrol,
    /// Look into a code; has a window of its own and changes nothing.
    Explain,
    RevokeCodes,
    ResendVerification,
    CancelEmailChange,
    SignOut,
    /// These sessions, one after the other.
    EndSessions(Vec<Named>),
    /// These keys, one after the other.
    RevokeKeys(Vec<Named>),
    RevokeAllKeys,
}

/// A session or a key: its id, and what people know it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub id: String,
    pub label: String,
}

impl Deed {
    /// The dialog's title, and the button.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        match self {
            Self::Reset => "Reset 2FA",
            Self::Unlock => "Unlock",
            Self::Demand => "Demand re-enrolment",
            Self::Enrol => "Enrol in person",
            Self::Explain => "Explain a code",
            Self::RevokeCodes => "Revoke backup codes",
            Self::ResendVerification => "Resend verification",
            Self::CancelEmailChange => "Cancel e-mail change",
            Self::SignOut => "Sign out everywhere",
            Self::EndSessions(sessions) if sessions.len() > 1 => "End sessions",
            Self::EndSessions(_) => "End session",
            Self::RevokeKeys(keys) if keys.len() > 1 => "Revoke API keys",
            Self::RevokeKeys(_) => "Revoke API key",
            Self::RevokeAllKeys => "Revoke all API keys",
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
        matches!(self, Self::Reset | Self::Demand | Self::RevokeCodes | Self::SignOut | Self::RevokeAllKeys)
    }
}

/// A line of the action menu.
#[derive(Clone, Debug)]
pub struct Item {
    pub letter: char,
    pub label: String,
    pub deed: Deed,
    /// Why it cannot be done now; shown, never hidden.
    pub refused: Option<String>,
}

/// The action menu for the user under the cursor.
#[must_use]
pub fn items(model: &Model) -> Vec<Item> {
    let detail = model.chosen_detail();
    let general = model.writes_refused();
    let general = general.or_else(|| detail.is_none().then(|| "being read".to_owned()));
    deeds(model)
        .into_iter()
        .map(|(letter, label, deed)| {
            let general = general.clone().filter(|_| deed != Deed::Explain || detail.is_none());
            let refused = general.or_else(|| detail.and_then(|detail| refusal(&deed, detail, model)));
            Item { letter, label: label.to_owned(), deed, refused }
        })
        .collect()
}

fn deeds(model: &Model) -> Vec<(char, &'static str, Deed)> {
    let (sessions, keys) = (named(model, Tab::Sessions), named(model, Tab::Keys));
    let is_marked = !model.tab_marks.is_empty();
    let sessions = match sessions {
        Some(sessions) if is_marked => vec![('s', "end the marked sessions...", Deed::EndSessions(sessions))],
        sessions => vec![
            ('s', "sign out everywhere...", Deed::SignOut),
            ('d', "end the chosen session...", Deed::EndSessions(sessions.unwrap_or_default())),
        ],
    };
    let revoke = match keys {
        Some(keys) if is_marked => ('k', "revoke the marked API keys...", Deed::RevokeKeys(keys)),
        Some(keys) => ('k', "revoke the chosen API key...", Deed::RevokeKeys(keys)),
        None => ('k', "revoke all API keys...", Deed::RevokeAllKeys),
    };
    let mut deeds = vec![
        ('r', "reset 2FA...", Deed::Reset),
        ('u', "unlock...", Deed::Unlock),
        ('b', "revoke backup codes...", Deed::RevokeCodes),
        ('e', "demand re-enrolment...", Deed::Demand),
        ('p', "enrol in person (QR)...", Deed::Enrol),
        ('x', "explain a code...", Deed::Explain),
        ('m', "resend verification...", Deed::ResendVerification),
        ('c', "cancel e-mail change...", Deed::CancelEmailChange),
    ];
    deeds.extend(sessions);
    deeds.push(revoke);
    deeds
}

/// The marked rows of a tab or, without marks, the one under the cursor. Only what the operator sees counts as chosen:
/// `None` elsewhere.
fn named(model: &Model, tab: Tab) -> Option<Vec<Named>> {
    let detail = model.chosen_detail().filter(|_| model.screen == Screen::Users(Focus::Detail) && model.tab == tab)?;
    let rows: Vec<Named> = match tab {
        Tab::Sessions => {
            let named = |session: &SessionRow| Named { id: session.id.clone(), label: session_label(session) };
            detail.sessions.iter().map(named).collect()
        }
        Tab::Keys => {
            let keys = detail.api_keys.iter();
            keys.map(|key| Named { id: key.id.clone(), label: shown(&key.label) }).collect()
        }
        Tab::Overview | Tab::TwoFactor | Tab::Audit => return None,
    };
    let chosen = |(index, row): &(usize, Named)| {
        if model.tab_marks.is_empty() { *index == model.tab_row } else { model.tab_marks.contains(&row.id) }
    };
    let rows: Vec<Named> = rows.into_iter().enumerate().filter(chosen).map(|(_, row)| row).collect();
    Some(rows).filter(|rows| !rows.is_empty())
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
            let why = if factor.state == FactorState::Locked { "disabled: reset it" } else { "not locked" };
            says(!locked, why)
        }
        Deed::Enrol => {
            let has_device = matches!(factor.state, FactorState::On | FactorState::Locked);
            says(has_device, "has a device: reset first")
        }
        Deed::Explain => says(factor.method.is_none(), "no device"),
        Deed::RevokeCodes => says(factor.backup_codes_remaining == 0, "no backup codes left"),
        Deed::ResendVerification => {
            let nothing = detail.row.is_email_verified != Some(false) && detail.pending_email.is_none();
            says(!model.is_mail_on(), "mail is off").or_else(|| says(nothing, "the address is verified"))
        }
        Deed::CancelEmailChange => says(detail.pending_email.is_none(), "no change is pending"),
        Deed::SignOut => says(detail.sessions.is_empty() && detail.remembered_devices == 0, "no sessions"),
        Deed::EndSessions(sessions) => says(sessions.is_empty(), "choose it in Sessions"),
        Deed::Demand | Deed::RevokeKeys(_) => None,
        Deed::RevokeAllKeys => says(detail.api_keys.is_empty(), "no API keys"),
    }
}
