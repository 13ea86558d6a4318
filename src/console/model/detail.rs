//! One user in full: the tabs, and what is chosen in them.

use super::Model;
use crate::app::views::UserDetail;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    Overview,
    TwoFactor,
    Sessions,
    Keys,
    Audit,
}

impl Tab {
    pub const ALL: [Self; 5] = [Self::Overview, Self::TwoFactor, Self::Sessions, Self::Keys, Self::Audit];

    /// The tab so many places on, round the end.
    #[must_use]
    pub fn step(self, places: usize) -> Self {
        let index = Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0);
        Self::ALL.get((index + places) % Self::ALL.len()).copied().unwrap_or(Self::Overview)
    }
}

impl Model {
    /// What is known of the user under the cursor; `None` while it is being read.
    #[must_use]
    pub fn chosen_detail(&self) -> Option<&UserDetail> {
        self.detail.as_deref().filter(|detail| Some(detail.row.uuid) == self.users.chosen)
    }

    /// What the rows of the present tab are known by; empty where there is nothing to choose.
    #[must_use]
    pub fn ids_in_tab(&self) -> Vec<String> {
        let Some(detail) = self.chosen_detail() else { return Vec::new() };
        match self.tab {
            Tab::Sessions => detail.sessions.iter().map(|session| session.id.clone()).collect(),
            Tab::Keys => detail.api_keys.iter().map(|key| key.id.clone()).collect(),
            Tab::Audit => detail.audit.iter().map(|row| row.number.to_string()).collect(),
            Tab::Overview | Tab::TwoFactor => Vec::new(),
        }
    }

    /// Whether rows of the present tab can be marked.
    #[must_use]
    pub const fn can_mark_in_tab(&self) -> bool {
        matches!(self.tab, Tab::Sessions | Tab::Keys)
    }

    /// What is chosen in the present tab.
    #[must_use]
    pub fn chosen_in_tab(&self) -> Option<String> {
        self.ids_in_tab().into_iter().nth(self.tab_row)
    }
}
