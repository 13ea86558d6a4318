//! Whether a user is what an operator typed, and how well: exact, prefix, word start, inside a word.
//!
//! Pure, and over folded text ([`text::folded`]): the index, the column in memory and the tests' model agree by it.

use super::text;

/// How well a user matches; better ones come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The address, or an id.
    Exact,
    /// The address starts with what was typed.
    Prefix,
    /// Every word typed starts a word of address or name.
    WordStart,
    /// Every word typed is somewhere in address or name.
    Inside,
    /// A slip of a key or two away.
    Near,
}

impl Class {
    /// The order as a number, from 0.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Exact => 0,
            Self::Prefix => 1,
            Self::WordStart => 2,
            Self::Inside => 3,
            Self::Near => 4,
        }
    }

    /// The class of a [`Class::rank`].
    #[must_use]
    pub const fn of_rank(rank: u8) -> Self {
        match rank {
            0 => Self::Exact,
            1 => Self::Prefix,
            2 => Self::WordStart,
            3 => Self::Inside,
            _ => Self::Near,
        }
    }
}

/// Characters that a word must have before slips in it are thought of; from twice as many on, two slips are.
const SLIP_CHARS_MIN: usize = 4;

/// Characters of a search that count; nobody's address is longer.
const QUERY_CHARS_MAX: usize = 254;

/// What was typed, ready to compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    whole: String,
    terms: Vec<String>,
}

impl Terms {
    /// Takes the words apart; control characters, which no address or name has, count as blanks.
    #[must_use]
    pub fn new(words: &str) -> Self {
        let plain: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(QUERY_CHARS_MAX).collect();
        let terms: Vec<String> = text::folded(&plain).split_whitespace().map(str::to_owned).collect();
        Self { whole: terms.join(" "), terms }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// All words, with one blank between two.
    #[must_use]
    pub fn whole(&self) -> &str {
        &self.whole
    }

    /// The longest word: it has the fewest hits.
    #[must_use]
    pub fn longest(&self) -> &str {
        self.terms.iter().max_by_key(|term| term.len()).map_or("", String::as_str)
    }

    /// The words, as they are searched for.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.terms
    }

    /// Whether every word is in a user's address or name or no more than a slip or two away from a word of them.
    #[must_use]
    pub fn is_near(&self, email: &str, name: &str) -> bool {
        let local = email.rsplit_once('@').map_or(email, |(local, _)| local);
        let words = || {
            let parts = [email, name].into_iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
            parts.chain([local, email])
        };
        self.terms.iter().all(|term| {
            let slips = slips_allowed(term);
            place_of(term, email).or_else(|| place_of(term, name)).is_some()
                || (slips > 0
                    && words().any(|word| {
                        word.len().abs_diff(term.len()) <= 4 * slips && strsim::osa_distance(term, word) <= slips
                    }))
        })
    }

    /// How a user with this address and name (both folded) matches; `None` when not, and never [`Class::Near`].
    #[must_use]
    pub fn class(&self, email: &str, name: &str) -> Option<Class> {
        if let Some(rest) = email.strip_prefix(self.whole.as_str()) {
            return Some(if rest.is_empty() { Class::Exact } else { Class::Prefix });
        }
        let mut class = Class::WordStart;
        for term in &self.terms {
            let found = [email, name].into_iter().filter_map(|text| place_of(term, text)).min()?;
            class = class.max(found);
        }
        Some(class)
    }
}

/// How many slips of a key a word may be away from what was meant.
#[must_use]
pub fn slips_allowed(term: &str) -> usize {
    (term.chars().count() / SLIP_CHARS_MIN).min(2)
}

/// Whether a term starts a word of a text or is inside one.
fn place_of(term: &str, text: &str) -> Option<Class> {
    let starts_word = |at: usize| !text.get(..at).unwrap_or("").ends_with(char::is_alphanumeric);
    let mut places = text.match_indices(term).map(|(at, _)| at).peekable();
    places.peek()?;
    Some(if places.any(starts_word) { Class::WordStart } else { Class::Inside })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_a_user_matches_the_earlier_the_class() {
        let class = |typed: &str| Terms::new(typed).class("anna.smith@corp.example.com", "anna maria smith-müller");
        for (typed, expected) in [
            ("anna.smith@corp.example.com", Some(Class::Exact)),
            (" ANNA.Smith@corp.example.com ", Some(Class::Exact)),
            ("anna.s", Some(Class::Prefix)),
            ("", Some(Class::Prefix)),
            ("smith", Some(Class::WordStart)),
            ("maria", Some(Class::WordStart)),
            ("MÜLL anna", Some(Class::WordStart)),
            ("corp.exa", Some(Class::WordStart)),
            ("@corp", Some(Class::Inside)),
            ("mith", Some(Class::Inside)),
            ("nna maria", Some(Class::Inside)),
            ("anna bert", None),
            ("anna\0smith", Some(Class::WordStart)),
            ("annasmith", None),
        ] {
            assert_eq!(class(typed), expected, "{typed}");
        }
        let near = |typed: &str| Terms::new(typed).is_near("anna.smith@corp.example.com", "anna maria smith-müller");
        for typed in ["smiht", "simth", "smit", "ann", "smuller", "maira anna", "anna.smtih", "muellr", "smyth"] {
            assert_eq!(near(typed), !["muellr", "smuller"].contains(&typed), "{typed}");
        }
        assert!(!near("xnn") && !near("smith bert"));
        assert_eq!(Terms::new("ab a abc").longest(), "abc");
        assert!(Terms::new(" \u{1}").is_empty());
    }
}
