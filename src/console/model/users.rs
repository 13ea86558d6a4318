//! The list of users: what is searched, the window of it that is held, who is under the cursor.

use tui_input::Input;

use super::marks::Marks;
use super::window::Window;
use crate::app::directory::Hits;
use crate::app::views::UserRow;
use crate::domain::id::UserId;
use crate::domain::user::FactorState;
use crate::domain::user_filter::{UserFilter, UserQuery, UserSort};

#[derive(Debug, Default)]
pub struct Users {
    pub find: Input,
    pub filters: Vec<UserFilter>,
    pub sort: UserSort,
    /// `None` before the first answer.
    pub window: Option<Window>,
    pub hits: Hits,
    /// Who would match without the last filter, when nobody does with it.
    pub without_last: Option<Hits>,
    /// All users there are.
    pub total: u64,
    /// The cursor follows the user, never the row number.
    pub chosen: Option<UserId>,
    /// The line of the list on which the row under the cursor stands, from 0, where the ends of the list allow it: rows
    /// stand still while the cursor moves among them.
    pub line: usize,
    /// The window is of an earlier search: its places mean nothing in the list that is searched now.
    pub is_former: bool,
    /// Where the cursor goes when the list that is awaited is here.
    pub goal: Goal,
    /// Rows that the cursor still has to go once more of the list is here.
    pub beyond: isize,
    pub marks: Marks,
    /// Where a range that is being marked begins.
    pub range_from: Option<UserId>,
    /// Milliseconds the last search took.
    pub took_ms: i64,
}

/// Where the cursor goes in a list that is read anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Goal {
    /// To where it is.
    #[default]
    Stay,
    First,
    Last,
}

/// What the filter menu offers: the letter that chooses it, and what it means.
pub const FILTERS: [(char, UserFilter, &str); 14] = [
    ('s', UserFilter::Staff(true), "staff"),
    ('u', UserFilter::Staff(false), "everybody else"),
    ('n', UserFilter::State(FactorState::On), "has a device"),
    ('o', UserFilter::State(FactorState::Off), "has none"),
    ('e', UserFilter::State(FactorState::Enrol), "told to enrol, not done yet"),
    ('d', UserFilter::State(FactorState::Locked), "device disabled after wrong codes"),
    ('l', UserFilter::Locked, "disabled, or must wait now"),
    ('c', UserFilter::CodesAtMost(2), "two backup codes left or fewer"),
    ('p', UserFilter::MailPending, "a change of address is pending"),
    ('f', UserFilter::MailFailed, "a mail was not delivered"),
    ('i', UserFilter::SignedInWithin { days: 90 }, "signed in within 90 days"),
    ('w', UserFilter::MadeWithin { days: 7 }, "made within 7 days"),
    ('a', UserFilter::HasKeys, "has API keys"),
    ('t', UserFilter::HasSessions, "is signed in"),
];

/// What the sort menu offers: the letter, its name, and where the arrow points.
pub const SORTS: [(char, UserSort, &str, bool); 5] = [
    ('e', UserSort::Email, "e-mail", true),
    ('d', UserSort::EmailDescending, "e-mail", false),
    ('c', UserSort::Created, "created", false),
    ('l', UserSort::LastLogin, "last sign-in", false),
    ('n', UserSort::Name, "name", true),
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

    /// The rows that are held.
    #[must_use]
    pub fn rows(&self) -> &[UserRow] {
        self.window.as_ref().map(Window::rows).unwrap_or_default()
    }

    #[must_use]
    pub fn chosen_index(&self) -> Option<usize> {
        self.rows().iter().position(|row| Some(row.uuid) == self.chosen)
    }

    #[must_use]
    pub fn chosen_row(&self) -> Option<&UserRow> {
        self.rows().iter().find(|row| Some(row.uuid) == self.chosen)
    }

    /// About how many rows of the list lie before the one under the cursor.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        let first = self.window.as_ref().and_then(|window| window.position)?;
        Some(first + self.chosen_index().unwrap_or(0) as u64)
    }

    /// Whether the whole list is held.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.window.as_ref().is_some_and(|window| window.before().is_none() && window.after().is_none())
    }
}
