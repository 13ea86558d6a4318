//! All users in memory, packed: what is searched, filtered and sorted by, one array for each. A pass over a million
//! takes milliseconds, so every list has exact counts, any order and any place at once.
//!
//! Knows nothing of the store. Rows stay where they are; a user whose text changes gets a new row, and the old one is
//! dead until the next rebuild.

mod find;

use std::sync::atomic::{AtomicBool, Ordering};

use memchr::memchr;

use super::Need;
use super::ranking::Ranking;
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::domain::user::FactorState;
use crate::domain::user_filter::{UserFilter, UserSort};
use crate::domain::user_place::{Place, name_key};
use crate::domain::user_search::Terms;
use crate::records::Glance;

/// Between address and name of a row, and behind it. No address or name has them.
const BETWEEN: char = '\0';
const BEHIND: char = '\n';

/// Rows looked at before a search asks whether it is still wanted.
const STEP: usize = 16 * 1024;
/// Rows that nearly match and are looked at closely.
const NEAR_ROWS_MAX: usize = 2_000;
/// What a row says of its user, in bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Facts(u16);

impl Facts {
    const STAFF: u16 = 1;
    const STATE: u16 = 3 << 1;
    const CODES_SHIFT: u32 = 3;
    const CODES: u16 = 31 << Self::CODES_SHIFT;
    const PENDING: u16 = 1 << 8;
    const KEYS: u16 = 1 << 9;
    const SESSIONS: u16 = 1 << 10;
    const FAILED: u16 = 1 << 11;
    const DEAD: u16 = 1 << 12;
    /// What other records than the user's say.
    const BESIDES: u16 = Self::KEYS | Self::SESSIONS | Self::FAILED;

    fn of(user: &Glance) -> Self {
        let codes = u16::try_from(user.backup_codes).unwrap_or(u16::MAX).min(31);
        let mut bits = state_bits(user.state) | codes << Self::CODES_SHIFT;
        bits |= if user.is_staff { Self::STAFF } else { 0 };
        bits |= if user.is_email_pending { Self::PENDING } else { 0 };
        Self(bits)
    }

    const fn has(self, bits: u16) -> bool {
        self.0 & bits == bits
    }

    const fn codes(self) -> u16 {
        (self.0 & Self::CODES) >> Self::CODES_SHIFT
    }
}

const fn state_bits(state: FactorState) -> u16 {
    match state {
        FactorState::Off => 0,
        FactorState::On => 1 << 1,
        FactorState::Enrol => 2 << 1,
        FactorState::Locked => 3 << 1,
    }
}

/// Something besides the user's record that is known of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Besides {
    Keys,
    Sessions,
    FailedMail,
}

impl Besides {
    const fn bit(self) -> u16 {
        match self {
            Self::Keys => Facts::KEYS,
            Self::Sessions => Facts::SESSIONS,
            Self::FailedMail => Facts::FAILED,
        }
    }
}

#[derive(Debug, Default)]
pub struct Column {
    /// The rows' texts: address, [`BETWEEN`], folded name, [`BEHIND`].
    text: String,
    /// Where each row's text begins.
    starts: Vec<u32>,
    ids: Vec<[u8; 16]>,
    facts: Vec<Facts>,
    /// Second of the last login; 0: never.
    seen: Vec<u32>,
    /// Second in which the account was made.
    made: Vec<u32>,
    /// Until when wrong codes make a user wait, in microseconds, for those who wait or waited lately; by row.
    waits: Vec<(u32, i64)>,
    /// Rows before this one are ordered by id.
    ordered: usize,
    /// The others that are alive, by id.
    moved: Vec<u32>,
    by_email: Ranking,
    by_name: Ranking,
    dead: usize,
}

/// What is asked of the column.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub terms: Terms,
    /// The user whose id or number was typed.
    pub id: Option<UserId>,
    pub filters: Vec<UserFilter>,
    pub sort: UserSort,
    pub now: Timestamp,
}

impl Wanted {
    /// Only the column finds words everywhere.
    pub fn need(&self) -> Need {
        if self.terms.is_empty() { Need::Handy } else { Need::Words }
    }
}

/// Where a window lies; see [`crate::app::directory::ListFrom`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    Start,
    End,
    After(Place),
    Before(Place),
    Share(u8),
}

impl From {
    /// Where the window begins and ends in a list of `count` rows; `before` says how many rows lie before a place, or
    /// with `true` up to it.
    pub(super) fn range(&self, count: usize, limit: usize, before: impl Fn(&Place, bool) -> usize) -> (usize, usize) {
        let last_start = count.saturating_sub(limit);
        let (start, end) = match self {
            Self::Start => (0, limit),
            Self::End => (last_start, count),
            Self::Share(percent) => {
                let start = (count * usize::from(*percent) / 100).min(last_start);
                (start, start + limit)
            }
            Self::After(place) => {
                let start = before(place, true);
                (start, start + limit)
            }
            Self::Before(place) => {
                let end = before(place, false);
                (end.saturating_sub(limit), end)
            }
        };
        (start.min(count), end.min(count))
    }
}

/// A window of what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub rows: Vec<Found>,
    /// How many match.
    pub count: u64,
    /// How many of them lie before the first row.
    pub position: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub place: Place,
    pub has_keys: bool,
    pub is_namesake: bool,
}

/// The search was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

type Result<T> = std::result::Result<T, Cancelled>;

fn check(cancelled: &AtomicBool) -> Result<()> {
    if cancelled.load(Ordering::Relaxed) { Err(Cancelled) } else { Ok(()) }
}

impl Column {
    /// Packs users who come ordered by id.
    pub fn with_room_for(users: usize) -> Self {
        let mut column = Self::default();
        column.text.reserve(users * 44);
        column.starts.reserve(users);
        column.ids.reserve(users);
        column.facts.reserve(users);
        column.seen.reserve(users);
        column.made.reserve(users);
        column
    }

    /// Adds a user while the column is built, behind all others by id. [`Column::finish`] comes when all are there.
    pub fn push(&mut self, user: &Glance) {
        self.push_row(user, Facts::of(user));
        self.ordered = self.starts.len();
    }

    /// Orders what was pushed.
    pub fn finish(&mut self) {
        self.text.shrink_to_fit();
        self.starts.shrink_to_fit();
        self.ids.shrink_to_fit();
        self.facts.shrink_to_fit();
        self.seen.shrink_to_fit();
        self.made.shrink_to_fit();
        let rows = self.rows();
        self.by_email = Ranking::build(rows, |row| self.email(row).as_bytes(), |one, other| self.cmp_email(one, other));
        self.by_name = Ranking::build(rows, |row| self.name_key(row), |one, other| self.cmp_name(one, other));
    }

    fn rows(&self) -> u32 {
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    /// Users there are.
    pub fn len(&self) -> usize {
        self.starts.len() - self.dead
    }

    /// Whether so much of it is dead or out of order that it should be built anew.
    pub fn is_worn(&self) -> bool {
        self.dead + self.moved.len() > 10_000 + self.len() / 4
    }

    /// Bytes that it takes, without what the allocator adds.
    pub fn bytes(&self) -> usize {
        let by_row = self.starts.capacity() * 4
            + self.ids.capacity() * 16
            + self.facts.capacity() * 2
            + (self.seen.capacity() + self.made.capacity() + self.moved.capacity()) * 4
            + self.waits.capacity() * 16;
        self.text.capacity() + by_row + self.by_email.bytes() + self.by_name.bytes()
    }

    // ------------------------------------------------------------------------------------------------- changing

    /// Takes a user over as it is now.
    pub fn put(&mut self, user: &Glance) {
        let besides = match self.row_of(user.id) {
            Some(row) if self.email(row) == user.email && self.name(row) == user.name => {
                self.set_facts(row, user);
                return;
            }
            Some(row) => {
                let besides = self.facts_of(row).0 & Facts::BESIDES;
                self.kill(row);
                besides
            }
            None => 0,
        };
        let row = self.push_row(user, Facts(Facts::of(user).0 | besides));
        let is_behind = usize::try_from(row)
            .is_ok_and(|index| self.ordered == index && (index == 0 || self.ids.get(index - 1) < self.ids.get(index)));
        if is_behind {
            self.ordered += 1;
        } else {
            let at = self.moved.partition_point(|other| self.id(*other) < self.id(row));
            self.moved.insert(at, row);
        }
        let (mut by_email, mut by_name) = (std::mem::take(&mut self.by_email), std::mem::take(&mut self.by_name));
        by_email.insert(row, |one, other| self.cmp_email(one, other));
        by_name.insert(row, |one, other| self.cmp_name(one, other));
        (self.by_email, self.by_name) = (by_email, by_name);
    }

    pub fn remove(&mut self, id: UserId) {
        if let Some(row) = self.row_of(id) {
            self.kill(row);
        }
    }

    /// Notes what another record says of a user.
    pub fn set_besides(&mut self, id: UserId, besides: Besides, is_so: bool) {
        let row = self.row_of(id).and_then(|row| usize::try_from(row).ok());
        if let Some(facts) = row.and_then(|row| self.facts.get_mut(row)) {
            facts.0 = if is_so { facts.0 | besides.bit() } else { facts.0 & !besides.bit() };
        }
    }

    fn push_row(&mut self, user: &Glance, facts: Facts) -> u32 {
        let row = self.rows();
        self.starts.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        self.text.push_str(&user.email);
        self.text.push(BETWEEN);
        // A name cannot have them (its characters are checked), but an import's might.
        self.text.extend(user.name.chars().map(|c| if matches!(c, BETWEEN | BEHIND) { ' ' } else { c }));
        self.text.push(BEHIND);
        self.ids.push(*user.id.as_bytes());
        self.facts.push(facts);
        self.seen.push(user.last_login);
        self.made.push(user.made);
        self.set_wait(row, user);
        row
    }

    fn set_facts(&mut self, row: u32, user: &Glance) {
        let Ok(index) = usize::try_from(row) else { return };
        if let Some(facts) = self.facts.get_mut(index) {
            facts.0 = Facts::of(user).0 | facts.0 & Facts::BESIDES;
        }
        if let Some(seen) = self.seen.get_mut(index) {
            *seen = user.last_login;
        }
        if let Some(made) = self.made.get_mut(index) {
            *made = user.made;
        }
        self.set_wait(row, user);
    }

    fn set_wait(&mut self, row: u32, user: &Glance) {
        let found = self.waits.binary_search_by_key(&row, |(row, _)| *row);
        match (found, user.waits_until) {
            (Ok(at), Some(until)) => {
                if let Some(wait) = self.waits.get_mut(at) {
                    wait.1 = until.as_micros();
                }
            }
            (Ok(at), None) => {
                self.waits.remove(at);
            }
            (Err(at), Some(until)) => self.waits.insert(at, (row, until.as_micros())),
            (Err(_), None) => {}
        }
    }

    fn kill(&mut self, row: u32) {
        let Ok(index) = usize::try_from(row) else { return };
        if let Some(facts) = self.facts.get_mut(index) {
            facts.0 = Facts::DEAD;
            self.dead += 1;
        }
        if index >= self.ordered {
            self.moved.retain(|other| *other != row);
        }
        if let Ok(at) = self.waits.binary_search_by_key(&row, |(row, _)| *row) {
            self.waits.remove(at);
        }
    }

    // -------------------------------------------------------------------------------------------------- reading

    fn index(row: u32) -> usize {
        usize::try_from(row).unwrap_or(usize::MAX)
    }

    fn id(&self, row: u32) -> [u8; 16] {
        self.ids.get(Self::index(row)).copied().unwrap_or_default()
    }

    fn user_id(&self, row: u32) -> UserId {
        UserId(uuid::Uuid::from_bytes(self.id(row)))
    }

    fn facts_of(&self, row: u32) -> Facts {
        self.facts.get(Self::index(row)).copied().unwrap_or(Facts(Facts::DEAD))
    }

    fn is_alive(&self, row: u32) -> bool {
        !self.facts_of(row).has(Facts::DEAD)
    }

    fn row_of(&self, id: UserId) -> Option<u32> {
        let id = *id.as_bytes();
        let in_order = self.ids.get(..self.ordered).and_then(|ids| ids.binary_search(&id).ok());
        let in_order = in_order.and_then(|index| u32::try_from(index).ok()).filter(|row| self.is_alive(*row));
        in_order.or_else(|| {
            let at = self.moved.binary_search_by_key(&id, |row| self.id(*row)).ok()?;
            self.moved.get(at).copied()
        })
    }

    pub fn knows(&self, id: UserId) -> bool {
        self.row_of(id).is_some()
    }

    /// Where a user was pushed, while the column is built.
    pub fn place_of(&self, id: UserId) -> Option<usize> {
        self.row_of(id).map(Self::index)
    }

    fn start(&self, row: u32) -> usize {
        self.starts.get(Self::index(row)).map_or(self.text.len(), |start| Self::index(*start))
    }

    fn row_text(&self, row: u32) -> &str {
        self.text.get(self.start(row)..self.start(row + 1)).unwrap_or_default().trim_end_matches(BEHIND)
    }

    fn email(&self, row: u32) -> &str {
        let text = self.row_text(row);
        memchr(0, text.as_bytes()).and_then(|at| text.get(..at)).unwrap_or(text)
    }

    fn name(&self, row: u32) -> &str {
        let text = self.row_text(row);
        memchr(0, text.as_bytes()).and_then(|at| text.get(at + 1..)).unwrap_or_default()
    }

    fn name_key(&self, row: u32) -> &[u8] {
        name_key(self.name(row))
    }

    fn cmp_email(&self, one: u32, other: u32) -> std::cmp::Ordering {
        self.email(one).cmp(self.email(other)).then_with(|| self.id(one).cmp(&self.id(other)))
    }

    fn cmp_name(&self, one: u32, other: u32) -> std::cmp::Ordering {
        self.name_key(one).cmp(self.name_key(other)).then_with(|| self.id(one).cmp(&self.id(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Users out of the order of their ids are looked up and added more slowly, so their number has an end too.
    #[test]
    fn a_column_out_of_order_is_worn() {
        let mut column = Column::default();
        for number in (0..14_000_u32).rev() {
            assert_eq!(column.is_worn(), column.moved.len() > 10_000 + column.len() / 4);
            column.put(&Glance {
                id: UserId(uuid::Uuid::from_u128(u128::from(number))),
                email: format!("user{number}@example.com"),
                name: String::new(),
                is_staff: false,
                state: FactorState::Off,
                backup_codes: 0,
                is_email_pending: false,
                waits_until: None,
                last_login: 0,
                made: 0,
                session_epoch: 0,
            });
        }
        assert!(column.is_worn());
    }
}
