//! What a dialog tells before anything is done: what should make one careful, and what will go.

use super::{Deed, Dialog, Part};
use crate::app::views::UserDetail;
use crate::console::factor;
use crate::console::lookalike;
use crate::console::text::{count, date, date_time, fit, shown, width};
use crate::console::theme::Tone;
use crate::domain::time::Timestamp;
use crate::domain::user::FactorState;

/// Columns between the two addresses of a change that stand side by side.
const GAP_COLUMNS: usize = 3;

impl Dialog {
    /// What one should know before it is done, each with its tone; not what it does.
    #[must_use]
    pub fn background(&self, now: Timestamp) -> Vec<(Tone, String)> {
        let factor = &self.detail.factor;
        match &self.deed {
            Deed::Unlock => {
                let why = factor::lock(factor, now).map(|text| (Tone::Bad, text));
                let clock = factor::clock(factor).map(|text| (Tone::Care, text));
                let often = factor::unlocked_often(self.detail.unlocked_today).map(|text| (Tone::Care, text));
                let why = why.unwrap_or_else(|| (Tone::Care, factor::wrong_codes(factor, now)));
                std::iter::once(why).chain(clock).chain(often).collect()
            }
            Deed::ResendVerification if self.detail.mails.is_empty() => {
                vec![(Tone::Off, "no mail to this user in the last 30 days".to_owned())]
            }
            Deed::ResendVerification => {
                self.detail.mails.iter().map(|mail| (factor::mail_tone(mail), factor::mail(mail, now))).collect()
            }
            Deed::CancelEmailChange => {
                let asked = self.detail.pending_email_at;
                asked.map(|at| (Tone::Waiting, format!("asked {} UTC", date_time(at)))).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// The address that stays and the one that goes, side by side where both fit into so many columns: a line of headings
    /// and one of addresses.
    #[must_use]
    pub fn side_by_side(&self, columns: usize) -> Option<[String; 2]> {
        let pending = self.detail.pending_email.as_ref().filter(|_| self.deed == Deed::CancelEmailChange)?;
        let (stays, goes) = (shown(&self.detail.row.email), shown(pending));
        let left = width(&stays).max(width("keep")) + GAP_COLUMNS;
        (left + width(&goes) <= columns)
            .then(|| [format!("{}drop", fit("keep", left, "")), format!("{}{goes}", fit(&stays, left, ""))])
    }

    /// What breaks, in words, for the dialogs without a preview.
    #[must_use]
    pub fn consequences(&self, is_mail_on: bool) -> Vec<String> {
        let detail = &self.detail;
        let tell =
            if is_mail_on { "tell the user by e-mail" } else { "tell nobody, since mail is off: tell the person" };
        let factor = &detail.factor;
        match &self.deed {
            Deed::Reset | Deed::Explain => Vec::new(),
            Deed::Unlock => {
                let failures = factor.totp_failures + factor.backup_code_failures;
                vec![
                    format!("forget {} in a row", count(failures as usize, "wrong code")),
                    match factor.state {
                        FactorState::Locked => {
                            "let logins be tried again; the device stays disabled, so reset it".to_owned()
                        }
                        _ => "let codes and logins be tried again at once".to_owned(),
                    },
                ]
            }
            Deed::Demand => vec![
                match detail.factor.method {
                    Some(_) => "keep the present device valid until then".to_owned(),
                    None => "let the user in as before until then".to_owned(),
                },
                "from then on let in only who enrols a new device".to_owned(),
                tell.to_owned(),
            ],
            Deed::Enrol => vec![
                "show the key of a new device on this screen for a minute".to_owned(),
                "put it in force once the phone's six digits are right".to_owned(),
                format!("end sessions that have not proved it; {tell}"),
            ],
            Deed::RevokeCodes => vec![
                format!("delete {}", count(factor.backup_codes_remaining, "unused backup code")),
                "keep the device; new codes are made by the user".to_owned(),
                tell.to_owned(),
            ],
            Deed::ResendVerification => {
                let to = detail.pending_email.as_ref().unwrap_or(&detail.row.email);
                vec![format!("send a new verification mail to {}", shown(to)), "void the link sent before".to_owned()]
            }
            Deed::CancelEmailChange => vec![
                format!("keep   {}", shown(&detail.row.email)),
                format!("drop   {}", shown(detail.pending_email.as_deref().unwrap_or_default())),
                if is_mail_on { "tell both addresses".to_owned() } else { tell.to_owned() },
            ],
            Deed::SignOut => {
                let parts = [
                    (detail.sessions.len(), "sign out", "session"),
                    (detail.remembered_devices, "forget", "remembered device"),
                ];
                let parts = parts.into_iter().filter(|(number, ..)| *number > 0);
                parts.map(|(number, verb, noun)| format!("{verb} {}", count(number, noun))).collect()
            }
            Deed::EndSessions(sessions) => {
                sessions.iter().map(|session| format!("sign out {}", session.label)).collect()
            }
            Deed::RevokeKeys(keys) => self.key_lines(|id| keys.iter().any(|key| key.id == id)),
            Deed::RevokeAllKeys => self.key_lines(|_| true),
        }
    }

    /// The keys that are revoked, with when each was used last.
    fn key_lines(&self, is_meant: impl Fn(&str) -> bool) -> Vec<String> {
        let keys = self.detail.api_keys.iter().filter(|key| is_meant(&key.id));
        let mut lines: Vec<String> = keys
            .map(|key| {
                let used = key.last_used_at.as_deref().map_or("never used".to_owned(), |at| {
                    format!("last used {}", at.chars().take(10).collect::<String>())
                });
                format!("revoke {} ({used})", shown(&key.label))
            })
            .collect();
        lines.push(
            if lines.len() == 1 { "whatever uses it stops working" } else { "whatever uses them stops working" }
                .to_owned(),
        );
        lines
    }

    /// The five or six lines of what a reset does: switched on, text, and whether it can be switched.
    #[must_use]
    pub fn steps(&self) -> Option<Vec<(bool, String, Option<Part>)>> {
        let preview = self.preview.as_ref()?;
        let device = match preview.totp_enrolled_at {
            Some(at) => format!("remove the TOTP device enrolled {}", date(at)),
            None => "remove the TOTP device (there is none)".to_owned(),
        };
        let key = self.detail.api_keys.first().map(|key| shown(&key.label)).unwrap_or_default();
        let keys = match preview.api_keys_revoked {
            0 => "revoke API keys (there are none)".to_owned(),
            1 => format!("revoke 1 API key ({key})"),
            many => format!("revoke {many} API keys"),
        };
        let mail = match preview.notice_to.as_slice() {
            [] => "e-mail nobody: mail is off, tell the person".to_owned(),
            to => format!("e-mail {} about it", shown(&to.join(", "))),
        };
        let mut sessions = format!("sign out {}", count(preview.sessions_ended, "session"));
        if preview.remembered_devices_forgotten > 0 {
            let devices = count(preview.remembered_devices_forgotten, "remembered device");
            sessions = format!("{sessions}, forget {devices}");
        }
        Some(vec![
            (preview.totp_removed, device, None),
            (true, format!("delete {}", count(preview.backup_codes_deleted, "unused backup code")), None),
            (self.end_sessions, sessions, Some(Part::Sessions)),
            (self.revoke_keys, keys, Some(Part::Keys)),
            (!preview.notice_to.is_empty(), mail, None),
            (preview.enrolment_demanded, "ask for a new device at the next sign-in".to_owned(), None),
        ])
    }
}

/// The users of the same name on one line, for people.
#[must_use]
pub fn namesakes(detail: &UserDetail) -> Option<String> {
    match detail.namesakes.as_slice() {
        [] => None,
        [other] => Some(format!("{} has the same name", shown(other))),
        others => Some(format!("{} others have the same name: {}", others.len(), shown(&others.join(", ")))),
    }
}

/// The other facts that should make an operator careful, in the server's words.
#[must_use]
pub fn warnings(detail: &UserDetail) -> Vec<String> {
    look_alike(&detail.row.email).into_iter().chain(detail.warnings.iter().map(|warning| shown(warning))).collect()
}

/// That the domain of an address is not what it seems.
#[must_use]
pub fn look_alike(email: &str) -> Option<String> {
    lookalike::seems(email).map(|domain| format!("the domain reads like {domain} but has letters of another script"))
}
