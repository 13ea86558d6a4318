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
        assert_eq!(Terms::new("ab a abc").longest(), "abc");
        assert!(Terms::new(" \u{1}").is_empty());
    }
}
