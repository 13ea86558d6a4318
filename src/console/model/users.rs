//! The list of users: what is searched, what was found, who is under the cursor.

use tui_input::Input;

use crate::app::directory::Hits;
use crate::app::views::UserRow;
use crate::domain::id::UserId;
use crate::domain::user::FactorState;
use crate::domain::user_filter::{UserFilter, UserQuery};

#[derive(Debug, Default)]
pub struct Users {
    pub find: Input,
    pub filters: Vec<UserFilter>,
    /// `None` before the first answer.
    pub rows: Option<Vec<UserRow>>,
    /// Where the list goes on behind the rows.
    pub after: Option<String>,
    pub hits: Hits,
    /// All users there are.
    pub total: u64,
    /// The cursor follows the user, never the row number.
    pub chosen: Option<UserId>,
    /// Milliseconds the last search took.
    pub took_ms: i64,
}

/// What the filter menu offers, with the letter that chooses it.
pub const FILTERS: [(char, UserFilter); 6] = [
    ('n', UserFilter::State(FactorState::On)),
    ('o', UserFilter::State(FactorState::Off)),
    ('e', UserFilter::State(FactorState::Enrol)),
    ('l', UserFilter::Locked),
    ('s', UserFilter::Staff(true)),
    ('u', UserFilter::Staff(false)),
];

impl Users {
    /// What is searched: the filters chosen, and what is typed, which counts where it says otherwise.
    #[must_use]
    pub fn query(&self) -> UserQuery {
        let typed = UserQuery::parse(self.find.value());
        let mut query = UserQuery { words: typed.words, filters: self.filters.clone() };
        typed.filters.into_iter().for_each(|filter| query.add(filter));
        query
    }

    #[must_use]
    pub fn rows(&self) -> &[UserRow] {
        self.rows.as_deref().unwrap_or_default()
    }

    #[must_use]
    pub fn chosen_index(&self) -> Option<usize> {
        self.rows().iter().position(|row| Some(row.uuid) == self.chosen)
    }

    #[must_use]
    pub fn chosen_row(&self) -> Option<&UserRow> {
        self.chosen_index().and_then(|index| self.rows().get(index))
    }
}
