//! A user: the account's fields (spec §2.2) and the state of its second factor (spec §2.12, §2.13).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::backoff::Failures;
use super::email::EmailAddress;
use super::id::{OrganizationId, UserId};
use super::time::Timestamp;
use super::vault::Sealed;

/// Everything kept about one user, in one record: what must hold together changes together.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// `uuid` on the wire.
    pub id: UserId,
    /// `id` on the wire: positive, in order of creation.
    pub number: u64,
    pub distinct_id: String,
    pub email: EmailAddress,
    /// Address waiting for verification (spec §4.6).
    pub pending_email: Option<EmailAddress>,
    pub pending_email_at: Option<Timestamp>,
    /// `None` is a legacy account, which login treats as verified.
    pub is_email_verified: Option<bool>,
    /// The address before the last change, and when that was: a notice about a reset goes there too for a while.
    pub previous_email: Option<EmailAddress>,
    pub email_changed_at: Option<Timestamp>,
    pub first_name: String,
    pub last_name: String,
    /// PHC string; `None` when no password can be used.
    pub password_hash: Option<PasswordHash>,
    pub password_changed_at: Option<Timestamp>,
    pub requested_password_reset_at: Option<Timestamp>,
    /// Inactive users cannot log in, use keys or be found.
    pub is_active: bool,
    pub is_staff: bool,
    pub date_joined: Timestamp,
    pub last_login: Option<Timestamp>,
    pub preferences: Preferences,
    /// Where the user works just now; may name one that is gone, which counts as none.
    pub current_organization: Option<OrganizationId>,
    pub current_team: Option<u64>,
    /// Sessions carry the epoch they were made in; raising it ends all of them at once (spec §1.7).
    pub session_epoch: u32,
    /// The same for remembered devices (spec §4.3).
    pub remember_epoch: u32,
    /// Digests of the kinds of device that have logged in, newest last; a new kind gets a mail (spec §4.10).
    pub known_devices: Vec<[u8; 8]>,
    pub second_factor: SecondFactor,
}

/// Kinds of device remembered for one user.
pub const KNOWN_DEVICES_MAX: usize = 20;

/// A PHC string. Does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[password hash]")
    }
}

/// What the owner may set freely; stored and returned as it is (spec §2.2).
#[derive(Clone, Debug, PartialEq)]
pub struct Preferences {
    /// What is stored; the wire shows the defaults overlaid with it (spec §2.3).
    pub notification_settings: Map<String, Value>,
    pub anonymize_data: Option<bool>,
    pub toolbar_mode: Option<String>,
    pub events_column_config: Value,
    pub has_seen_product_intro_for: Value,
    pub scene_personalisation: Value,
    pub theme_mode: Option<String>,
    pub hedgehog_config: Value,
    pub role_at_organization: Option<String>,
    pub allow_impersonation: Option<bool>,
    pub allow_sidebar_suggestions: Option<bool>,
    pub shortcut_position: Option<String>,
    pub hide_mcp_hints: bool,
    pub ui_configuration: Value,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            notification_settings: Map::new(),
            anonymize_data: Some(false),
            toolbar_mode: Some("toolbar".to_owned()),
            events_column_config: serde_json::json!({"active": "DEFAULT"}),
            has_seen_product_intro_for: Value::Null,
            scene_personalisation: Value::Array(Vec::new()),
            theme_mode: None,
            hedgehog_config: Value::Null,
            role_at_organization: None,
            allow_impersonation: None,
            allow_sidebar_suggestions: None,
            shortcut_position: Some("above".to_owned()),
            hide_mcp_hints: false,
            ui_configuration: Value::Null,
        }
    }
}

/// The second factor of one user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SecondFactor {
    pub totp: Option<TotpDevice>,
    /// Unused codes, in creation order.
    pub backup_codes: Vec<BackupCode>,
    /// How many the present set had when it was made, and when.
    pub backup_codes_issued: u32,
    pub backup_codes_made_at: Option<Timestamp>,
    pub backup_code_used_at: Option<Timestamp>,
    /// Wrong codes in a row, a counter for each kind (W-13).
    pub totp_failures: Failures,
    pub backup_code_failures: Failures,
    /// An operator demands a device enrolled after this demand, from this moment on: then the gate of spec §4.8 stands
    /// until there is one. A device that is there stays in force until then, and goes on being asked for at login.
    pub enrol_from: Option<Timestamp>,
    /// Raised whenever a device comes, goes or is replaced; pending enrolments and logins carry the one they saw.
    pub generation: u32,
    pub last_reset_at: Option<Timestamp>,
}

/// A TOTP device (spec §2.12): SHA-1, six digits, 30 s.
#[derive(Clone, Debug, PartialEq)]
pub struct TotpDevice {
    /// 20 bytes, sealed for this user.
    pub secret: Sealed,
    pub confirmed_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    /// The step of the last accepted code: only later ones are accepted (RFC 6238 §5.2).
    pub last_step: i64,
    /// Set after 100 wrong codes in a row; the device must be bound again (NIST SP 800-63B-4 §3.2.2).
    pub disabled: bool,
}

impl TotpDevice {
    /// Steps between the last accepted code and the clock at that moment; negative: the phone was behind.
    #[must_use]
    pub fn last_drift(&self) -> Option<i8> {
        let used_at = self.last_used_at?;
        i8::try_from(self.last_step.saturating_sub(super::totp::step_at(used_at))).ok()
    }
}

/// One unused backup code: an HMAC for look-up, and a sealed copy for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupCode {
    pub mac: [u8; 32],
    pub sealed: Sealed,
}

/// The one word for the state of a second factor; console, command line and the index use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorState {
    /// No device.
    Off,
    /// A device that works.
    On,
    /// None, and an operator demanded one, by now or from a day to come.
    Enrol,
    /// Disabled after too many wrong codes.
    Locked,
}

impl FactorState {
    pub const ALL: [Self; 4] = [Self::Off, Self::On, Self::Enrol, Self::Locked];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Enrol => "enrol",
            Self::Locked => "locked",
        }
    }
}

impl SecondFactor {
    #[must_use]
    pub fn state(&self) -> FactorState {
        match &self.totp {
            Some(device) if device.disabled => FactorState::Locked,
            Some(_) => FactorState::On,
            None if self.enrol_from.is_some() => FactorState::Enrol,
            None => FactorState::Off,
        }
    }

    /// Whether a new device is demanded by this moment.
    #[must_use]
    pub fn is_enrolment_due(&self, now: Timestamp) -> bool {
        self.enrol_from.is_some_and(|from| from <= now)
    }

    /// Until when wrong codes, if there were any, refuse another try. May be past.
    #[must_use]
    pub fn waits_until(&self) -> Option<Timestamp> {
        [self.totp_failures, self.backup_code_failures].into_iter().filter_map(Failures::next_try_at).max()
    }

    /// Whether login asks for it: a disabled device still protects the account.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.totp.is_some()
    }
}

impl User {
    /// A user as one begins: active, nothing set, no second factor.
    #[must_use]
    pub fn new(id: UserId, number: u64, distinct_id: String, email: EmailAddress, now: Timestamp) -> Self {
        Self {
            id,
            number,
            distinct_id,
            email,
            pending_email: None,
            pending_email_at: None,
            is_email_verified: Some(false),
            previous_email: None,
            email_changed_at: None,
            first_name: String::new(),
            last_name: String::new(),
            password_hash: None,
            password_changed_at: None,
            requested_password_reset_at: None,
            is_active: true,
            is_staff: false,
            date_joined: now,
            last_login: None,
            preferences: Preferences::default(),
            current_organization: None,
            current_team: None,
            session_epoch: 0,
            remember_epoch: 0,
            known_devices: Vec::new(),
            second_factor: SecondFactor::default(),
        }
    }

    /// Replaces the address, whatever was staged.
    pub fn change_email(&mut self, email: EmailAddress, now: Timestamp) {
        self.previous_email = Some(std::mem::replace(&mut self.email, email));
        self.email_changed_at = Some(now);
        self.drop_staged_email();
    }

    /// Drops an address that waits for verification; true when there was one.
    pub fn drop_staged_email(&mut self) -> bool {
        self.pending_email_at = None;
        self.pending_email.take().is_some()
    }

    /// Ends all sessions and forgets all remembered devices.
    pub fn end_presence(&mut self) {
        self.session_epoch = self.session_epoch.wrapping_add(1);
        self.remember_epoch = self.remember_epoch.wrapping_add(1);
    }

    /// What others call the user: first and last name, else the address.
    #[must_use]
    pub fn name_or_email(&self) -> String {
        Some(self.full_name()).filter(|name| !name.is_empty()).unwrap_or_else(|| self.email.as_str().to_owned())
    }

    /// First and last name, or nothing.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(disabled: bool) -> TotpDevice {
        TotpDevice {
            secret: Sealed(Vec::new()),
            confirmed_at: Timestamp::default(),
            last_used_at: None,
            last_step: -1,
            disabled,
        }
    }

    #[test]
    fn the_state_of_a_second_factor_is_one_word() {
        let demanded = Some(Timestamp::from_seconds(1));
        for (totp, enrol_from, word, is_enabled) in [
            (None, None, "off", false),
            (None, demanded, "enrol", false),
            (Some(device(false)), None, "on", true),
            (Some(device(false)), demanded, "on", true),
            (Some(device(true)), None, "locked", true),
        ] {
            let factor = SecondFactor { totp, enrol_from, ..SecondFactor::default() };
            assert_eq!((factor.state().as_str(), factor.is_enabled()), (word, is_enabled));
        }
        for state in FactorState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    #[test]
    fn hashes_and_sealed_values_do_not_print() {
        let printed = format!("{:?} {:?}", PasswordHash("$argon2id$".to_owned()), Sealed(b"abc".to_vec()));
        assert_eq!(printed, "[password hash] [sealed]");
    }
}
