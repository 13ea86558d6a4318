//! The part of a long list that is held: a few pages in a row, by place rather than number, so that the millionth row
//! costs what the first does. Knows how pages are joined and dropped, not how they are read.

use std::collections::VecDeque;

use crate::app::directory::UserRows;
use crate::app::views::UserRow;
use crate::domain::id::UserId;

/// Rows of a page.
pub const WINDOW_PAGE_ROWS: usize = 70;
/// Pages held at most; one more drops the one at the other end.
const PAGES_MAX: usize = 3;

/// Rows in the order of the list, without a gap.
#[derive(Debug, Default)]
pub struct Window {
    rows: Vec<UserRow>,
    pages: VecDeque<Page>,
    /// Who no longer matches, and stays since the cursor was on him.
    pub stray: Option<UserId>,
    /// About how many rows of the list lie before the first one.
    pub position: Option<u64>,
}

#[derive(Debug)]
struct Page {
    rows: usize,
    /// The place of its first and of its last row; `None` at that end of the list.
    before: Option<String>,
    after: Option<String>,
}

/// Which end of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Front,
    Back,
}

impl Window {
    #[must_use]
    pub fn new(found: UserRows) -> Self {
        let page = Page { rows: found.rows.len(), before: found.before, after: found.after };
        Self { rows: found.rows, pages: VecDeque::from([page]), stray: None, position: found.position }
    }

    #[must_use]
    pub fn rows(&self) -> &[UserRow] {
        &self.rows
    }

    pub fn rows_mut(&mut self) -> &mut [UserRow] {
        &mut self.rows
    }

    /// The place that the list goes on from before the first row.
    #[must_use]
    pub fn before(&self) -> Option<&String> {
        self.pages.front().and_then(|page| page.before.as_ref())
    }

    /// The place that the list goes on from behind the last row.
    #[must_use]
    pub fn after(&self) -> Option<&String> {
        self.pages.back().and_then(|page| page.after.as_ref())
    }

    /// Joins a page to an end, and drops the page at the other end when there are too many. A row that is held already
    /// is not taken twice: its user may have moved in the list.
    pub fn join(&mut self, found: UserRows, end: End) {
        let UserRows { mut rows, before, after, position, .. } = found;
        rows.retain(|row| !self.rows.iter().any(|held| held.uuid == row.uuid));
        let page = Page { rows: rows.len(), before, after };
        match end {
            End::Back => {
                self.rows.append(&mut rows);
                self.pages.push_back(page);
            }
            End::Front => {
                self.position = position.or(self.position.map(|first| first.saturating_sub(rows.len() as u64)));
                rows.append(&mut self.rows);
                self.rows = rows;
                self.pages.push_front(page);
            }
        }
        if self.pages.len() > PAGES_MAX {
            self.drop_page(if end == End::Back { End::Front } else { End::Back });
        }
    }

    fn drop_page(&mut self, end: End) {
        match end {
            End::Front => {
                let count = self.pages.pop_front().map_or(0, |page| page.rows).min(self.rows.len());
                self.rows.drain(..count);
                self.position = self.position.map(|first| first + count as u64);
            }
            End::Back => {
                let count = self.pages.pop_back().map_or(0, |page| page.rows);
                self.rows.truncate(self.rows.len().saturating_sub(count));
            }
        }
    }

    /// Puts a row where it was in an earlier reading.
    pub fn insert(&mut self, index: usize, row: UserRow) {
        let index = index.min(self.rows.len());
        self.stray = Some(row.uuid);
        self.rows.insert(index, row);
        let mut passed = 0;
        let page = self.pages.iter_mut().find(|page| {
            passed += page.rows;
            index <= passed
        });
        if let Some(page) = page {
            page.rows += 1;
        }
    }

    /// Takes a user out.
    pub fn remove(&mut self, user: UserId) {
        let Some(index) = self.rows.iter().position(|row| row.uuid == user) else { return };
        self.rows.remove(index);
        let mut passed = 0;
        let page = self.pages.iter_mut().find(|page| {
            passed += page.rows;
            index < passed
        });
        if let Some(page) = page {
            page.rows -= 1;
        }
    }
}
