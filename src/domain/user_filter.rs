//! What a listing of users shows: filters as words (`role:staff 2fa:off in:90d`), the order, and what was typed.
//!
//! Pure: says how filters are written and what they replace. Which users match is decided where the users are.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::user::FactorState;

/// One condition on users; all of a listing's must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum UserFilter {
    /// `role:staff`, `role:user`.
    Staff(bool),
    /// `2fa:on`, `2fa:off`, `2fa:enrol`, `2fa:locked`.
    State(FactorState),
    /// `locked`: the device is disabled, or wrong codes make the user wait just now.
    Locked,
    /// `codes:<=2`: a device, and so many backup codes left at most.
    CodesAtMost(u8),
    /// `mail:pending`: a new address waits for its verification.
    MailPending,
    /// `mail:failed`: a mail to the user was given up lately.
    MailFailed,
    /// `in:90d`: the last login is so many days old at most.
    SignedInWithin { days: u16 },
    /// `new:7d`: the account is so many days old at most.
    MadeWithin { days: u16 },
    /// `keys`: has an API key.
    HasKeys,
    /// `sessions`: has a session that goes on.
    HasSessions,
}

impl UserFilter {
    /// Whether both speak about the same thing, so that the later one replaces the earlier.
    #[must_use]
    pub fn same_kind(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl Display for UserFilter {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Staff(true) => formatter.write_str("role:staff"),
            Self::Staff(false) => formatter.write_str("role:user"),
            Self::State(state) => write!(formatter, "2fa:{}", state.as_str()),
            Self::Locked => formatter.write_str("locked"),
            Self::CodesAtMost(codes) => write!(formatter, "codes:<={codes}"),
            Self::MailPending => formatter.write_str("mail:pending"),
            Self::MailFailed => formatter.write_str("mail:failed"),
            Self::SignedInWithin { days } => write!(formatter, "in:{days}d"),
            Self::MadeWithin { days } => write!(formatter, "new:{days}d"),
            Self::HasKeys => formatter.write_str("keys"),
            Self::HasSessions => formatter.write_str("sessions"),
        }
    }
}

/// What filters there are, for people.
pub const FILTER_WORDS: &str =
    "role:staff|user 2fa:on|off|enrol|locked locked codes:<=2 mail:pending|failed in:90d new:7d keys sessions";

/// The word is none of those that filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a filter")]
pub struct NotAFilter;

impl FromStr for UserFilter {
    type Err = NotAFilter;

    fn from_str(word: &str) -> Result<Self, NotAFilter> {
        let filter = match word.split_once(':') {
            None => match word {
                "locked" => Some(Self::Locked),
                "keys" => Some(Self::HasKeys),
                "sessions" => Some(Self::HasSessions),
                _ => None,
            },
            Some(("role", "staff")) => Some(Self::Staff(true)),
            Some(("role", "user")) => Some(Self::Staff(false)),
            Some(("2fa", word)) => FactorState::ALL.into_iter().find(|state| state.as_str() == word).map(Self::State),
            Some(("codes", rest)) => rest.strip_prefix("<=").and_then(number).map(Self::CodesAtMost),
            Some(("mail", "pending")) => Some(Self::MailPending),
            Some(("mail", "failed")) => Some(Self::MailFailed),
            Some(("in", rest)) => days(rest).map(|days| Self::SignedInWithin { days }),
            Some(("new", rest)) => days(rest).map(|days| Self::MadeWithin { days }),
            Some(_) => None,
        };
        filter.ok_or(NotAFilter)
    }
}

/// Digits and nothing else (`+5` is a number to the standard library).
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn days(text: &str) -> Option<u16> {
    text.strip_suffix('d').and_then(number).filter(|days| *days > 0)
}

impl TryFrom<String> for UserFilter {
    type Error = NotAFilter;

    fn try_from(word: String) -> Result<Self, NotAFilter> {
        word.parse()
    }
}

impl From<UserFilter> for String {
    fn from(filter: UserFilter) -> Self {
        filter.to_string()
    }
}

/// The order of a listing. Users who are equal in it are ordered by their ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserSort {
    /// By address; with words to search for, the best hits first and by address among equals.
    #[default]
    Email,
    EmailDescending,
    /// Newest account first.
    Created,
    /// Newest login first; who never logged in comes last.
    LastLogin,
    /// By full name without case; who has none comes last.
    Name,
}

impl UserSort {
    pub const ALL: [Self; 5] = [Self::Email, Self::EmailDescending, Self::Created, Self::LastLogin, Self::Name];
}

/// What was typed to find users: words to search for, and filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserQuery {
    /// With one blank between two words.
    pub words: String,
    /// One of each kind.
    pub filters: Vec<UserFilter>,
}

impl UserQuery {
    /// Takes the filters out of what was typed; of two of one kind the later one counts.
    #[must_use]
    pub fn parse(typed: &str) -> Self {
        let mut query = Self::default();
        let mut words = Vec::new();
        for word in typed.split_whitespace() {
            match word.parse() {
                Ok(filter) => query.add(filter),
                Err(NotAFilter) => words.push(word),
            }
        }
        query.words = words.join(" ");
        query
    }

    /// The first word that begins like a filter and is none, as `role:nonsense`. It is among the words to search for,
    /// where hardly anybody means it.
    #[must_use]
    pub fn misspelt(&self) -> Option<&str> {
        const STARTS: [&str; 6] = ["role", "2fa", "codes", "mail", "in", "new"];
        let is_start = |word: &str| word.split_once(':').is_some_and(|(start, _)| STARTS.contains(&start));
        self.words.split(' ').find(|word| is_start(word))
    }

    /// Adds a filter in the place of one of its kind.
    pub fn add(&mut self, filter: UserFilter) {
        self.filters.retain(|other| !other.same_kind(filter));
        self.filters.push(filter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_words() {
        for (word, filter) in [
            ("role:staff", UserFilter::Staff(true)),
            ("role:user", UserFilter::Staff(false)),
            ("2fa:on", UserFilter::State(FactorState::On)),
            ("2fa:off", UserFilter::State(FactorState::Off)),
            ("2fa:enrol", UserFilter::State(FactorState::Enrol)),
            ("2fa:locked", UserFilter::State(FactorState::Locked)),
            ("locked", UserFilter::Locked),
            ("codes:<=2", UserFilter::CodesAtMost(2)),
            ("codes:<=0", UserFilter::CodesAtMost(0)),
            ("mail:pending", UserFilter::MailPending),
            ("mail:failed", UserFilter::MailFailed),
            ("in:90d", UserFilter::SignedInWithin { days: 90 }),
            ("new:7d", UserFilter::MadeWithin { days: 7 }),
            ("keys", UserFilter::HasKeys),
            ("sessions", UserFilter::HasSessions),
        ] {
            assert_eq!(word.parse(), Ok(filter));
            assert_eq!(filter.to_string(), word);
            assert_eq!(serde_json::to_value(filter).unwrap(), word);
            assert_eq!(serde_json::from_value::<UserFilter>(word.into()).unwrap(), filter);
        }
    }

    #[test]
    fn other_words_are_not() {
        for word in [
            "",
            "role:",
            "role:admin",
            "2fa",
            "2fa:none",
            "codes:2",
            "codes:<=",
            "codes:<=256",
            "codes:<=+1",
            "mail:",
            "in:90",
            "in:0d",
            "in:-1d",
            "in:65536d",
            "new:d",
            "new:7w",
            "key",
            "Locked",
            "anna",
            "a:b",
            "keys:",
        ] {
            assert_eq!(word.parse::<UserFilter>(), Err(NotAFilter), "{word}");
            assert!(serde_json::from_value::<UserFilter>(word.into()).is_err());
        }
    }

    #[test]
    fn the_later_one_of_a_kind_counts() {
        let query = UserQuery::parse("  role:staff anna 2fa:off  role:user s. in:5d in:9d codes:3 locked 2fa:locked");
        assert_eq!(query.words, "anna s. codes:3");
        let words: Vec<String> = query.filters.iter().map(ToString::to_string).collect();
        assert_eq!(words.join(" "), "role:user in:9d locked 2fa:locked");
        assert_eq!(UserQuery::parse(" "), UserQuery::default());
    }

    #[test]
    fn what_begins_like_a_filter_is_told() {
        for (typed, misspelt) in
            [("anna role:nonsense", Some("role:nonsense")), ("in:9w", Some("in:9w")), ("role:staff a:b locked", None)]
        {
            assert_eq!(UserQuery::parse(typed).misspelt(), misspelt, "{typed}");
        }
    }
}
