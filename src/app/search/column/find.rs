//! Searching the column: which rows match and how well, and a window of them in an order.

use std::cmp::Ordering as Order;
use std::sync::atomic::AtomicBool;

use memchr::memmem;

use super::{
    Column, Facts, Found, From, NEAR_BELOW, NEAR_ROWS_MAX, Result, SORTED_ALONE_MAX, STEP, Wanted, Window, check,
    state_bits,
};
use crate::domain::id::UserId;
use crate::domain::user::FactorState;
use crate::domain::user_filter::{UserFilter, UserSort};
use crate::domain::user_place::{Place, first_second_within, is_descending};
use crate::domain::user_search::{Class, Terms, slips_allowed};

/// How each row matches: 0 is not at all, else one more than the rank of its class.
type Marks = Vec<u8>;

const fn mark(class: Class) -> u8 {
    class.rank() + 1
}

impl Column {
    /// A window of the users that match.
    pub fn find(&self, wanted: &Wanted, from: &From, limit: usize, cancelled: &AtomicBool) -> Result<Window> {
        let marks = self.marks(wanted, cancelled)?;
        let mut rows = self.marked(wanted, &marks, cancelled)?;
        let count = rows.len();
        let is_before = |row: &u32, place: &Place| self.place(*row, wanted, &marks).compare(place, wanted.sort);
        let before = |rows: &[u32], place: &Place, or_at: bool| {
            let is_before = |row: &u32| {
                let order = is_before(row, place);
                order == Order::Less || or_at && order == Order::Equal
            };
            if is_in_order(wanted.sort) {
                rows.partition_point(is_before)
            } else {
                rows.iter().filter(|row| is_before(row)).count()
            }
        };
        let last_start = count.saturating_sub(limit);
        let (start, end) = match from {
            From::Start => (0, limit),
            From::End => (last_start, count),
            From::Share(percent) => {
                let start = (count * usize::from(*percent) / 100).min(last_start);
                (start, start + limit)
            }
            From::After(place) => {
                let start = before(&rows, place, true);
                (start, start + limit)
            }
            From::Before(place) => {
                let end = before(&rows, place, false);
                (end.saturating_sub(limit), end)
            }
        };
        let end = end.min(count);
        if !is_in_order(wanted.sort) {
            self.order_window(&mut rows, start, end, wanted.sort);
        }
        let window = rows.get(start..end).unwrap_or_default();
        let found = window.iter().map(|row| Found {
            place: self.place(*row, wanted, &marks),
            has_keys: self.facts_of(*row).has(Facts::KEYS),
            is_namesake: self.is_namesake(*row),
        });
        Ok(Window { rows: found.collect(), count: count as u64, position: start as u64 })
    }

    /// How many users match.
    pub fn count(&self, wanted: &Wanted, cancelled: &AtomicBool) -> Result<u64> {
        let marks = self.marks(wanted, cancelled)?;
        Ok(marks.iter().filter(|mark| **mark > 0).count() as u64)
    }

    /// The ids of all users that match, in the order of the rows.
    pub fn ids(&self, wanted: &Wanted, cancelled: &AtomicBool) -> Result<Vec<UserId>> {
        let marks = self.marks(wanted, cancelled)?;
        Ok((0..).zip(&marks).filter(|(_, mark)| **mark > 0).map(|(row, _)| self.user_id(row)).collect())
    }

    // -------------------------------------------------------------------------------------------------- marking

    fn marks(&self, wanted: &Wanted, cancelled: &AtomicBool) -> Result<Marks> {
        let terms = &wanted.terms;
        if terms.is_empty() {
            let mut marks = vec![mark(Class::Prefix); self.starts.len()];
            self.unmark(&mut marks, wanted);
            return Ok(marks);
        }
        let mut marks = vec![0; self.starts.len()];
        match terms.words() {
            [term] => self.mark_term(term, &mut marks, cancelled)?,
            _ => self.mark_terms(terms, &mut marks, cancelled)?,
        }
        if let Some(row) = wanted.id.and_then(|id| self.row_of(id)) {
            set(&mut marks, row, Class::Exact);
        }
        self.unmark(&mut marks, wanted);
        if marks.iter().filter(|mark| **mark > 0).take(NEAR_BELOW).count() < NEAR_BELOW {
            self.mark_near(terms, &mut marks, cancelled)?;
            self.unmark(&mut marks, wanted);
        }
        Ok(marks)
    }

    /// Marks the rows with one word in them, in one pass over all texts. Agrees with [`Terms::class`].
    fn mark_term(&self, term: &str, marks: &mut Marks, cancelled: &AtomicBool) -> Result<()> {
        let finder = memmem::Finder::new(term);
        let text = self.text.as_bytes();
        let (mut at, mut row, mut since_check) = (0, 0, 0);
        while let Some(found) = text.get(at..).and_then(|rest| finder.find(rest)) {
            let found = at + found;
            while self.start(row + 1) <= found {
                row += 1;
            }
            let class = if found == self.start(row) {
                if self.email(row).len() == term.len() { Class::Exact } else { Class::Prefix }
            } else if starts_word(&self.text, found) {
                Class::WordStart
            } else {
                Class::Inside
            };
            set(marks, row, class);
            // Only a place inside a word may have a better one behind it.
            at = if class == Class::Inside { found + term.len() } else { self.start(row + 1) };
            since_check += 1;
            if since_check % STEP == 0 {
                check(cancelled)?;
            }
        }
        Ok(())
    }

    /// The same for several words: the longest finds the rows, which are looked at one by one.
    fn mark_terms(&self, terms: &Terms, marks: &mut Marks, cancelled: &AtomicBool) -> Result<()> {
        self.rows_with(
            terms.longest(),
            |row, _| {
                if let Some(class) = terms.class(self.email(row), self.name(row)) {
                    set(marks, row, class);
                }
                Some(self.start(row + 1))
            },
            cancelled,
        )
    }

    /// Marks rows that are a slip or two away. A word with so many slips has a part without any, about where it ought to
    /// be: that finds the rows that are looked at closely.
    fn mark_near(&self, terms: &Terms, marks: &mut Marks, cancelled: &AtomicBool) -> Result<()> {
        let longest = terms.longest();
        let slips = slips_allowed(longest);
        if slips == 0 {
            return Ok(());
        }
        let mut looked_at = 0;
        for (offset, part) in parts(longest, slips) {
            self.rows_with(
                part,
                |row, found| {
                    let start = self.start(row);
                    // A word begins so far before the part, give or take the slips.
                    let begins = |shift: usize| {
                        let at = (found + slips).checked_sub(offset + shift);
                        at.is_some_and(|at| at >= start && (at == start || starts_word(&self.text, at)))
                    };
                    if !(0..=2 * slips).any(begins) {
                        return Some(found + part.len());
                    }
                    looked_at += 1;
                    if marks.get(Self::index(row)) == Some(&0) && terms.is_near(self.email(row), self.name(row)) {
                        set(marks, row, Class::Near);
                    }
                    (looked_at < NEAR_ROWS_MAX).then(|| self.start(row + 1))
                },
                cancelled,
            )?;
        }
        Ok(())
    }

    /// Visits the places of a text, which `visit` answers with where to look on, or with the end.
    fn rows_with(
        &self,
        term: &str,
        mut visit: impl FnMut(u32, usize) -> Option<usize>,
        cancelled: &AtomicBool,
    ) -> Result<()> {
        let finder = memmem::Finder::new(term);
        let text = self.text.as_bytes();
        let (mut at, mut row, mut since_check) = (0, 0, 0);
        while let Some(found) = text.get(at..).and_then(|rest| finder.find(rest)) {
            let found = at + found;
            while self.start(row + 1) <= found {
                row += 1;
            }
            let Some(next) = visit(row, found) else { break };
            at = next;
            since_check += 1;
            if since_check % STEP == 0 {
                check(cancelled)?;
            }
        }
        Ok(())
    }

    /// Takes the mark from what a filter does not let through, and from the dead.
    fn unmark(&self, marks: &mut Marks, wanted: &Wanted) {
        // All that a row's bits decide is one comparison.
        let (mut mask, mut bits) = (Facts::DEAD, 0);
        let (mut seen_from, mut made_from, mut codes_max, mut locked) = (0, 0, None::<u16>, false);
        for filter in &wanted.filters {
            match *filter {
                UserFilter::Staff(is_staff) => {
                    mask |= Facts::STAFF;
                    bits |= if is_staff { Facts::STAFF } else { 0 };
                }
                UserFilter::State(state) => {
                    mask |= Facts::STATE;
                    bits |= state_bits(state);
                }
                UserFilter::Locked => locked = true,
                UserFilter::CodesAtMost(codes) => codes_max = Some(u16::from(codes)),
                UserFilter::MailPending => (mask, bits) = (mask | Facts::PENDING, bits | Facts::PENDING),
                UserFilter::MailFailed => (mask, bits) = (mask | Facts::FAILED, bits | Facts::FAILED),
                UserFilter::SignedInWithin { days } => seen_from = first_second_within(days, wanted.now),
                UserFilter::MadeWithin { days } => made_from = first_second_within(days, wanted.now),
                UserFilter::HasKeys => (mask, bits) = (mask | Facts::KEYS, bits | Facts::KEYS),
                UserFilter::HasSessions => (mask, bits) = (mask | Facts::SESSIONS, bits | Facts::SESSIONS),
            }
        }
        let rows = marks.iter_mut().zip(&self.facts).zip(self.seen.iter().zip(&self.made));
        for ((mark, facts), (seen, made)) in rows {
            let passes = facts.0 & mask == bits && *seen >= seen_from && *made >= made_from;
            *mark = if passes { *mark } else { 0 };
        }
        if let Some(max) = codes_max {
            for (mark, facts) in marks.iter_mut().zip(&self.facts) {
                let state = facts.0 & Facts::STATE;
                let has_device = state == state_bits(FactorState::On) || state == state_bits(FactorState::Locked);
                *mark = if has_device && facts.codes() <= max { *mark } else { 0 };
            }
        }
        if locked {
            let now = wanted.now.as_micros();
            let mut waits =
                self.waits.iter().filter(|(_, until)| *until > now).map(|(row, _)| Self::index(*row)).peekable();
            for (row, (mark, facts)) in marks.iter_mut().zip(&self.facts).enumerate() {
                let waits = waits.next_if_eq(&row).is_some();
                let is_disabled = facts.0 & Facts::STATE == state_bits(FactorState::Locked);
                *mark = if waits || is_disabled { *mark } else { 0 };
            }
        }
    }

    // ------------------------------------------------------------------------------------------------- ordering

    /// The marked rows: in the order of the list where [`is_in_order`] says so, else as they come.
    fn marked(&self, wanted: &Wanted, marks: &Marks, cancelled: &AtomicBool) -> Result<Vec<u32>> {
        let of = |row: u32| marks.get(Self::index(row)).copied().unwrap_or(0);
        let count = marks.iter().filter(|mark| **mark > 0).count();
        check(cancelled)?;
        let as_they_come = || (0..).zip(marks).filter(|(_, mark)| **mark > 0).map(|(row, _)| row).collect::<Vec<u32>>();
        let is_by_email = matches!(wanted.sort, UserSort::Email | UserSort::EmailDescending);
        let has_classes = wanted.sort == UserSort::Email && !wanted.terms.is_empty();
        let mut rows;
        if !is_in_order(wanted.sort) {
            return Ok(as_they_come());
        } else if count <= SORTED_ALONE_MAX {
            rows = as_they_come();
            rows.sort_unstable_by(|one, other| {
                let classes = if has_classes { of(*one).cmp(&of(*other)) } else { Order::Equal };
                let by = |one, other| if is_by_email { self.cmp_email(one, other) } else { self.cmp_name(one, other) };
                classes.then_with(|| by(*one, *other))
            });
        } else if has_classes {
            let mut classes: [Vec<u32>; 5] = Default::default();
            self.by_email.walk(|row| {
                if let Some(class) = of(row).checked_sub(1).and_then(|class| classes.get_mut(usize::from(class))) {
                    class.push(row);
                }
            });
            rows = classes.concat();
        } else {
            rows = Vec::with_capacity(count);
            let ranking = if is_by_email { &self.by_email } else { &self.by_name };
            ranking.walk(|row| {
                if of(row) > 0 {
                    rows.push(row);
                }
            });
        }
        check(cancelled)?;
        if is_descending(wanted.sort) {
            rows.reverse();
        }
        Ok(rows)
    }

    /// Brings the rows of a window to their places in a list by a time, without ordering all others.
    fn order_window(&self, rows: &mut [u32], start: usize, end: usize, sort: UserSort) {
        let second = |row: u32| {
            let seconds = if sort == UserSort::Created { &self.made } else { &self.seen };
            seconds.get(Self::index(row)).copied().unwrap_or(0)
        };
        let newest_first = |one: &u32, other: &u32| {
            second(*other).cmp(&second(*one)).then_with(|| self.id(*other).cmp(&self.id(*one)))
        };
        if start >= end || end > rows.len() {
            return;
        }
        let (_, _, behind) = if start == 0 {
            let (one, rest) = rows.split_at_mut(0);
            (one, &mut 0, rest)
        } else {
            rows.select_nth_unstable_by(start - 1, newest_first)
        };
        let length = end - start;
        if length < behind.len() {
            behind.select_nth_unstable_by(length, newest_first);
        }
        if let Some(window) = behind.get_mut(..length) {
            window.sort_unstable_by(newest_first);
        }
    }

    fn place(&self, row: u32, wanted: &Wanted, marks: &Marks) -> Place {
        let id = self.user_id(row);
        let second = |seconds: &[u32]| seconds.get(Self::index(row)).copied().unwrap_or(0);
        match wanted.sort {
            UserSort::Email => {
                let mark = marks.get(Self::index(row)).copied().unwrap_or(0);
                Place::by_email(Class::of_rank(mark.saturating_sub(1)), self.email(row), id)
            }
            UserSort::EmailDescending => Place::by_email_descending(self.email(row), id),
            UserSort::Created => Place::by_second(second(&self.made), id),
            UserSort::LastLogin => Place::by_second(second(&self.seen), id),
            UserSort::Name => Place::by_name(self.name_key(row), id),
        }
    }

    fn is_namesake(&self, row: u32) -> bool {
        let name = self.name(row);
        let same = |other: u32| other != row && self.is_alive(other) && self.name(other) == name;
        !name.is_empty() && self.by_name.any_equal(|other| self.name_key(other).cmp(self.name_key(row)), same)
    }
}

/// Whether the order of the list is kept ready; else it is made of what matches.
const fn is_in_order(sort: UserSort) -> bool {
    !matches!(sort, UserSort::Created | UserSort::LastLogin)
}

/// Marks a row, unless it is marked better already.
fn set(marks: &mut Marks, row: u32, class: Class) {
    if let Some(place) = marks.get_mut(Column::index(row)) {
        let new = mark(class);
        *place = if *place == 0 { new } else { new.min(*place) };
    }
}

/// Whether a word starts at a place of the texts.
fn starts_word(text: &str, at: usize) -> bool {
    match text.as_bytes().get(at.wrapping_sub(1)) {
        Some(before) if before.is_ascii() => !before.is_ascii_alphanumeric(),
        Some(_) => !text.get(..at).unwrap_or_default().ends_with(char::is_alphanumeric),
        None => true,
    }
}

/// The parts of a word one of which is whole in spite of so many slips, with their places: a slip that swaps two letters
/// may spoil two parts.
fn parts(word: &str, slips: usize) -> Vec<(usize, &str)> {
    let count = if slips == 1 && word.len() < 6 { 2 } else { slips + 2 };
    let mut parts = Vec::with_capacity(count);
    let mut from = 0;
    for part in 1..=count {
        let mut to = word.len() * part / count;
        while !word.is_char_boundary(to) {
            to += 1;
        }
        if let Some(text) = word.get(from..to).filter(|text| !text.is_empty()) {
            parts.push((from, text));
        }
        from = to;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_word() {
        for (word, slips, expected) in [
            ("anna", 1, vec![(0, "an"), (2, "na")]),
            ("schmidt", 1, vec![(0, "sc"), (2, "hm"), (4, "idt")]),
            ("schmidts", 2, vec![(0, "sc"), (2, "hm"), (4, "id"), (6, "ts")]),
            ("äöü", 1, vec![(0, "ä"), (2, "ö"), (4, "ü")]),
        ] {
            assert_eq!(parts(word, slips), expected);
        }
    }

    #[test]
    fn words_start_behind_what_is_neither_letter_nor_digit() {
        let text = "ab@é-öx";
        let starts: Vec<usize> =
            (0..text.len()).filter(|at| text.is_char_boundary(*at) && starts_word(text, *at)).collect();
        assert_eq!(starts, [0, 3, 6]);
    }
}
