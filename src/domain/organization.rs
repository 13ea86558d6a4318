//! Organizations, their projects, members and invites, as values (spec §2.6 to §2.9), and who may change whom.
//!
//! Knows neither users nor how any of it is stored.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use super::email::EmailAddress;
use super::fields::FieldError;
use super::id::{InviteId, MembershipId, OrganizationId, UserId};
use super::text;
use super::time::Timestamp;

/// Longest name of an organization, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Longest slug, in bytes, which are all ASCII.
pub const SLUG_BYTES_MAX: usize = 48;
/// Letters appended to a slug that is taken.
pub const SLUG_LETTERS: usize = 4;
/// Organizations that one user may belong to: what follows the user in each of them (`records`) has to fit into one batch.
pub const ORGANIZATIONS_PER_USER_MAX: usize = 20;
/// Projects of one organization: they are all part of the user object.
pub const TEAMS_PER_ORGANIZATION_MAX: usize = 100;
/// Longest name of a project, in characters.
pub const TEAM_NAME_CHARS_MAX: usize = 200;
/// The name of an organization's first project (spec §3.6).
pub const FIRST_TEAM_NAME: &str = "Default project";
/// How long an invite can be used (spec §2.9).
pub const INVITE_SECONDS: i64 = 3 * 86_400;

/// An organization (spec §2.7).
#[derive(Clone, Debug, PartialEq)]
pub struct Organization {
    pub id: OrganizationId,
    pub name: String,
    /// Lower case and unique; at most [`SLUG_BYTES_MAX`].
    pub slug: String,
    pub logo_media_id: Option<Uuid>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub is_member_join_email_enabled: bool,
    /// `None` and false are the same to the gate (spec §4.8).
    pub enforce_2fa: Option<bool>,
    pub members_can_invite: Option<bool>,
    /// Whether members below administrator may use API keys here (spec §1.6).
    pub members_can_use_personal_api_keys: bool,
    pub allow_publicly_shared_resources: bool,
    pub is_ai_data_processing_approved: Option<bool>,
    pub default_experiment_stats_method: String,
    /// Seconds that a login of its members lasts, when that is less than the server's setting. Not on the wire.
    pub session_cookie_age: Option<u32>,
}

/// A project (spec §2.6). What the reference's analytics would add is constant and not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// `id` on the wire: positive, in order of creation over all organizations.
    pub number: u64,
    pub uuid: Uuid,
    pub organization: OrganizationId,
    /// `phc_...`: public by nature, it is in the pages of whoever uses it.
    pub api_token: String,
    pub name: String,
    pub created_at: Timestamp,
}

/// How much a member may do (spec §2.8); more includes less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Level {
    Member = 1,
    Administrator = 8,
    Owner = 15,
}

/// A user in an organization (spec §2.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub id: MembershipId,
    pub organization: OrganizationId,
    pub user: UserId,
    pub level: Level,
    pub joined_at: Timestamp,
    pub updated_at: Timestamp,
    /// Who invited; `None` for the organization's first user, and when an operator put the user there.
    pub invited_by: Option<UserId>,
}

/// An invite to an organization (spec §2.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Also the secret of the sign-up link.
    pub id: InviteId,
    pub organization: OrganizationId,
    pub target_email: EmailAddress,
    pub first_name: String,
    pub level: Level,
    pub emailing_attempt_made: bool,
    pub created_by: Option<UserId>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub message: Option<String>,
    /// Projects by number, and whether as an administrator.
    pub private_project_access: Vec<(u64, bool)>,
}

impl Organization {
    /// An organization as one begins.
    #[must_use]
    pub fn new(id: OrganizationId, name: String, slug: String, now: Timestamp) -> Self {
        Self {
            id,
            name,
            slug,
            logo_media_id: None,
            created_at: now,
            updated_at: now,
            is_member_join_email_enabled: true,
            enforce_2fa: None,
            members_can_invite: Some(true),
            members_can_use_personal_api_keys: true,
            allow_publicly_shared_resources: true,
            is_ai_data_processing_approved: None,
            default_experiment_stats_method: "bayesian".to_owned(),
            session_cookie_age: None,
        }
    }

    /// Whether a member of this level may invite (spec §2.8).
    #[must_use]
    pub fn lets_invite(&self, level: Level) -> bool {
        level >= Level::Administrator || self.members_can_invite != Some(false)
    }
}

impl Level {
    /// The level of a number on the wire.
    #[must_use]
    pub const fn of(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::Member),
            8 => Some(Self::Administrator),
            15 => Some(Self::Owner),
            _ => None,
        }
    }

    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl From<Level> for u8 {
    fn from(level: Level) -> Self {
        level.number()
    }
}

impl TryFrom<u8> for Level {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        Self::of(number.into()).ok_or_else(|| format!("{number} is not a membership level"))
    }
}

impl Membership {
    /// Whether this member may edit (or remove) the other one; the sentence says why not (spec §3.9).
    pub fn may_edit(&self, other: &Self) -> Result<(), &'static str> {
        if self.user == other.user {
            Ok(())
        } else if self.level < Level::Administrator {
            Err("You can only edit others if you are an admin.")
        } else if other.level > self.level {
            Err("You can only edit others with level lower or equal to you.")
        } else {
            Ok(())
        }
    }

    /// Whether this member may give the other one a level; the sentence says why not, in the order of spec §3.9.
    pub fn may_set_level(&self, other: &Self, level: Level) -> Result<(), &'static str> {
        if self.user == other.user {
            Err("You can't change your own access level.")
        } else if level == Level::Owner && self.level < Level::Owner {
            Err("You can only make another member owner if you're this organization's owner.")
        } else if level > self.level {
            Err("You can only change access level of others to lower or equal to your current one.")
        } else {
            self.may_edit(other)
        }
    }
}

impl Invite {
    /// Whether it cannot be used any more.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now.seconds_since(self.created_at) >= INVITE_SECONDS
    }
}

/// Checks a name that is trimmed already (spec §2.4, §2.7).
pub fn check_name(attr: &'static str, name: &str, chars_max: usize) -> Result<(), FieldError> {
    if name.is_empty() {
        Err(FieldError::blank(attr))
    } else if name.chars().count() > chars_max {
        Err(FieldError::max_length(chars_max, attr))
    } else {
        text::check_display_name(attr, name)
    }
}

/// The slug of a name: its ASCII letters and digits in lower case, hyphens between the words, at most
/// [`SLUG_BYTES_MAX`]. A name without any gets a word of ours.
#[must_use]
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.nfkd().filter(char::is_ascii) {
        if c.is_ascii_alphanumeric() || c == '_' {
            slug.push(c.to_ascii_lowercase());
        } else if (c.is_ascii_whitespace() || c == '-') && !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(SLUG_BYTES_MAX);
    let slug = slug.trim_matches(['-', '_']);
    if slug.is_empty() { "organization".to_owned() } else { slug.to_owned() }
}

/// The slug with random letters behind it, for when it is taken.
#[must_use]
pub fn other_slug(slug: &str, random: [u8; SLUG_LETTERS]) -> String {
    let kept: String = slug.chars().take(SLUG_BYTES_MAX - SLUG_LETTERS - 1).collect();
    let letters: String = random.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    format!("{kept}-{letters}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(user: u8, level: Level) -> Membership {
        Membership {
            id: MembershipId(Uuid::from_bytes([user; 16])),
            organization: OrganizationId(Uuid::nil()),
            user: UserId(Uuid::from_bytes([user; 16])),
            level,
            joined_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            invited_by: None,
        }
    }

    #[test]
    fn who_may_give_which_level() {
        use Level::{Administrator, Member, Owner};
        const OWN: &str = "You can't change your own access level.";
        const OWNER: &str = "You can only make another member owner if you're this organization's owner.";
        const ABOVE: &str = "You can only change access level of others to lower or equal to your current one.";
        const MEMBER: &str = "You can only edit others if you are an admin.";
        const HIGHER: &str = "You can only edit others with level lower or equal to you.";
        for (caller, target, level, expected) in [
            (Owner, Member, Owner, Ok(())),
            (Owner, Owner, Member, Ok(())),
            (Administrator, Administrator, Member, Ok(())),
            (Administrator, Member, Administrator, Ok(())),
            (Administrator, Member, Owner, Err(OWNER)),
            (Member, Member, Owner, Err(OWNER)),
            (Member, Member, Administrator, Err(ABOVE)),
            (Member, Member, Member, Err(MEMBER)),
            (Administrator, Owner, Member, Err(HIGHER)),
        ] {
            let found = member(1, caller).may_set_level(&member(2, target), level);
            assert_eq!(found, expected, "{caller:?} {target:?} {level:?}");
        }
        assert_eq!(member(1, Owner).may_set_level(&member(1, Owner), Member), Err(OWN));
        assert_eq!(member(1, Member).may_edit(&member(1, Member)), Ok(()));
        assert_eq!(member(1, Member).may_edit(&member(2, Member)), Err(MEMBER));
        assert_eq!(member(1, Administrator).may_edit(&member(2, Owner)), Err(HIGHER));
    }

    #[test]
    fn levels_are_numbers_on_the_wire() {
        for (level, number) in [(Level::Member, 1), (Level::Administrator, 8), (Level::Owner, 15)] {
            assert_eq!(Level::of(number), Some(level));
            assert_eq!(serde_json::to_value(level).unwrap(), number);
            assert_eq!(serde_json::from_value::<Level>(number.into()).unwrap(), level);
        }
        assert_eq!(Level::of(2), None);
        assert!(serde_json::from_str::<Level>("2").is_err());
    }

    #[test]
    fn slugs_are_plain() {
        for (name, expected) in [
            ("Analytical Engines", "analytical-engines"),
            ("  Łódź & Söhne -- GmbH ", "odz-sohne-gmbh"),
            ("李小龍", "organization"),
            ("-_-", "organization"),
            ("R2_D2", "r2_d2"),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
        assert_eq!(slug(&"x".repeat(64)), "x".repeat(48));
        assert_eq!(other_slug("acme", [0, 25, 26, 255]), "acme-azav");
        assert_eq!(other_slug(&"x".repeat(48), [0; 4]).len(), SLUG_BYTES_MAX);
    }

    #[test]
    fn names_follow_the_rules_for_display_names() {
        for (name, code) in [
            ("Analytical Engines", None),
            ("", Some("blank")),
            (&*"x".repeat(65), Some("max_length")),
            ("evil.com", Some("invalid_url")),
            ("<b>", Some("invalid_bracket")),
        ] {
            let found = check_name("name", name, NAME_CHARS_MAX).err();
            assert_eq!(found.as_ref().map(|error| &*error.code), code, "{name:?}");
        }
    }

    #[test]
    fn invites_last_three_days() {
        let invite = Invite {
            id: InviteId(Uuid::nil()),
            organization: OrganizationId(Uuid::nil()),
            target_email: EmailAddress::parse("ada@example.com").unwrap(),
            first_name: String::new(),
            level: Level::Member,
            emailing_attempt_made: false,
            created_by: None,
            created_at: Timestamp::from_seconds(100),
            updated_at: Timestamp::from_seconds(100),
            message: None,
            private_project_access: Vec::new(),
        };
        assert!(!invite.is_expired(Timestamp::from_seconds(100 + INVITE_SECONDS - 1)));
        assert!(invite.is_expired(Timestamp::from_seconds(100 + INVITE_SECONDS)));
    }

    proptest! {
        #[test]
        fn any_name_has_a_slug(name: String) {
            let slug = slug(&name);
            prop_assert!((1..=SLUG_BYTES_MAX).contains(&slug.len()));
            prop_assert!(slug.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_'));
        }
    }
}
