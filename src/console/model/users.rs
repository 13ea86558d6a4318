//! The list of users: what is searched, what was found, who is under the cursor.

use tui_input::Input;

use crate::app::views::UserRow;
use crate::domain::id::UserId;
use crate::domain::user::FactorState;

#[derive(Debug, Default)]
pub struct Users {
    pub find: Input,
    pub filters: Vec<Filter>,
    /// `None` before the first answer.
    pub rows: Option<Vec<UserRow>>,
    pub next: Option<String>,
    /// All users there are.
    pub total: u64,
    /// The cursor follows the user, never the row number.
    pub chosen: Option<UserId>,
    /// Milliseconds the last search took.
    pub took_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    State(FactorState),
    Staff(bool),
}

impl Filter {
    pub const ALL: [Self; 6] = [
        Self::State(FactorState::On),
        Self::State(FactorState::Off),
        Self::State(FactorState::Enrol),
        Self::State(FactorState::Locked),
        Self::Staff(true),
        Self::Staff(false),
    ];

    /// As it is shown, and typed into Find.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::State(FactorState::On) => "2fa:on",
            Self::State(FactorState::Off) => "2fa:off",
            Self::State(FactorState::Enrol) => "2fa:enrol",
            Self::State(FactorState::Locked) => "2fa:locked",
            Self::Staff(true) => "role:staff",
            Self::Staff(false) => "role:user",
        }
    }

    /// The letter in the filter menu.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::State(FactorState::On) => 'n',
            Self::State(FactorState::Off) => 'o',
            Self::State(FactorState::Enrol) => 'e',
            Self::State(FactorState::Locked) => 'l',
            Self::Staff(true) => 's',
            Self::Staff(false) => 'u',
        }
    }

    /// Reads a word of Find; `None` when it is a word to search.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let word = if word == "locked" { "2fa:locked" } else { word };
        Self::ALL.into_iter().find(|filter| filter.text() == word)
    }

    /// Whether both speak about the same thing, so that one replaces the other.
    #[must_use]
    pub const fn same_kind(self, other: Self) -> bool {
        matches!((self, other), (Self::State(_), Self::State(_)) | (Self::Staff(_), Self::Staff(_)))
    }
}

/// What is searched: words, and the filters chosen or typed (the later one of a kind counts).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Search {
    pub words: String,
    pub state: Option<FactorState>,
    pub is_staff: Option<bool>,
}

impl Users {
    #[must_use]
    pub fn search(&self) -> Search {
        let mut search = Search::default();
        let typed = self.find.value().split_whitespace();
        let (filters, words): (Vec<_>, Vec<_>) = typed.partition(|word| Filter::parse(word).is_some());
        for filter in self.filters.iter().copied().chain(filters.into_iter().filter_map(Filter::parse)) {
            match filter {
                Filter::State(state) => search.state = Some(state),
                Filter::Staff(is_staff) => search.is_staff = Some(is_staff),
            }
        }
        search.words = words.join(" ");
        search
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
