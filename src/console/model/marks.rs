//! Users marked for an action on many. By id, so that marks outlive searches; or all that match one.

use std::collections::BTreeSet;

use crate::app::directory::Hits;
use crate::domain::id::UserId;
use crate::domain::user_filter::UserQuery;

/// Who is marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marks {
    Users(BTreeSet<UserId>),
    /// All that match, also those that are not held here; who they are is settled when something is done to them.
    Matching {
        query: UserQuery,
        hits: Hits,
    },
}

impl Default for Marks {
    fn default() -> Self {
        Self::Users(BTreeSet::new())
    }
}

impl Marks {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Users(users) if users.is_empty())
    }

    /// How many; "at least" when it is not exact.
    #[must_use]
    pub fn count(&self) -> Hits {
        match self {
            Self::Users(users) => Hits { count: users.len() as u64, is_exact: true },
            Self::Matching { hits, .. } => *hits,
        }
    }

    /// Whether a user in the list of `query` is marked.
    #[must_use]
    pub fn has(&self, user: UserId, query: &UserQuery) -> bool {
        match self {
            Self::Users(users) => users.contains(&user),
            Self::Matching { query: of, .. } => of == query,
        }
    }
}
