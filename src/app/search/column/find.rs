//! Searching the column: which rows match and how well, and a window of them in an order.

use std::borrow::Cow;
use std::cmp::Ordering as Order;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

use memchr::memmem;

use super::{
    Cancelled, Column, Facts, Found, From, NEAR_ROWS_MAX, Ranking, Result, STEP, Wanted, Window, check, state_bits,
};
use crate::domain::id::UserId;
use crate::domain::user::FactorState;
use crate::domain::user_filter::{UserFilter, UserSort};
use crate::domain::user_place::{Place, first_second_within};
use crate::domain::user_search::{Class, Terms, slips_allowed};

/// Rows of a ranking that are counted at once.
const BLOCK: usize = 1_024;
/// Rows of a class that are put in order for a window instead of being looked for in a ranking.
const RARE: usize = 4_096;

/// How each row matches: 0 is not at all, else one more than the rank of its class.
type Marks = Vec<u8>;

const fn mark(class: Class) -> u8 {
    class.rank() + 1
}

impl Column {
    /// A window of the users that match.
    pub fn find(&self, wanted: &Wanted, from: &From, limit: usize, cancelled: &AtomicBool) -> Result<Window> {
        let mut marks = self.marks(wanted, cancelled)?;
        if wanted.sort != UserSort::Email {
            // In the other orders how well a user matches does not count.
            for one in &mut marks {
                *one = if *one > 0 { mark(Class::Prefix) } else { 0 };
            }
        }
        let list = match wanted.sort {
            UserSort::Created | UserSort::LastLogin => List::ByTime(self.by_time(wanted.sort, &marks)),
            UserSort::Email | UserSort::EmailDescending => List::Ranked(&self.by_email),
            UserSort::Name => List::Ranked(&self.by_name),
        };
        check(cancelled)?;
        let count = marks.iter().filter(|mark| **mark > 0).count();
        let (start, end) = from.range(count, limit, |place, or_at| self.rank_of(place, or_at, &list, wanted, &marks));
        check(cancelled)?;
        let by_email = |one: &u32, other: &u32| self.cmp_email(*one, *other);
        let rows = match list {
            List::Ranked(ranking) if wanted.sort == UserSort::EmailDescending => {
                let mut rows = Self::in_ranking(ranking, by_email, &marks, count - end, count - start);
                rows.reverse();
                rows
            }
            List::Ranked(ranking) if wanted.sort == UserSort::Name => {
                Self::in_ranking(ranking, |one, other| self.cmp_name(*one, *other), &marks, start, end)
            }
            List::Ranked(ranking) => Self::in_ranking(ranking, by_email, &marks, start, end),
            List::ByTime(timed) => self.in_time(timed, start, end),
        };
        let found = rows.into_iter().map(|row| Found {
            place: self.place(row, wanted, &marks),
            has_keys: self.facts_of(row).has(Facts::KEYS),
            is_namesake: self.is_namesake(row),
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
            set(&mut marks, Self::index(row), Class::Exact);
        }
        self.unmark(&mut marks, wanted);
        // Never beside what was asked for: nobody is to be taken for another.
        if !marks.iter().any(|mark| *mark > 0) {
            self.mark_near(terms, &mut marks, cancelled)?;
            self.unmark(&mut marks, wanted);
        }
        Ok(marks)
    }

    /// Marks the rows with one word in them, in one pass over all texts. Agrees with [`Terms::class`].
    fn mark_term(&self, term: &str, marks: &mut Marks, cancelled: &AtomicBool) -> Result<()> {
        in_halves(marks, |from, marks| self.mark_part(term, from, marks, cancelled))
    }

    /// The same for the rows from one on.
    fn mark_part(&self, term: &str, from: usize, marks: &mut [u8], cancelled: &AtomicBool) -> Result<()> {
        let end = self.starts.get(from + marks.len()).map_or(self.text.len(), |start| Self::index(*start));
        let text = self.text.as_bytes().get(..end).unwrap_or_default();
        let finder = memmem::Finder::new(term);
        let next = |at: usize| {
            let rest = text.get(at..)?;
            let found = match term.as_bytes() {
                [byte] => memchr::memchr(*byte, rest),
                _ => finder.find(rest),
            };
            found.map(|found| at + found)
        };
        let mut starts = self.starts.get(from..from + marks.len()).unwrap_or_default().iter();
        let mut rows = marks.iter_mut();
        let (Some(mut start), Some(mut mark_of_row)) = (starts.next().map(|start| Self::index(*start)), rows.next())
        else {
            return Ok(());
        };
        let mut next_start = starts.next().map_or(end, |start| Self::index(*start));
        let (mut at, mut count) = (start, 0);
        while let Some(found) = next(at) {
            while next_start <= found {
                let Some(mark) = rows.next() else { return Ok(()) };
                mark_of_row = mark;
                start = next_start;
                next_start = starts.next().map_or(end, |start| Self::index(*start));
            }
            let class = if found == start {
                if text.get(found + term.len()) == Some(&0) { Class::Exact } else { Class::Prefix }
            } else if starts_word(&self.text, found) {
                Class::WordStart
            } else {
                Class::Inside
            };
            // Only a place inside a word may have a better one behind it.
            let is_decided = class != Class::Inside;
            if is_decided || *mark_of_row == 0 {
                *mark_of_row = mark(class);
            }
            at = if is_decided { next_start } else { found + term.len() };
            count += 1;
            if count % STEP == 0 {
                check(cancelled)?;
            }
        }
        Ok(())
    }

    /// The same for several words: the longest finds the rows, which are looked at one by one.
    fn mark_terms(&self, terms: &Terms, marks: &mut Marks, cancelled: &AtomicBool) -> Result<()> {
        in_halves(marks, |from, marks| {
            let rows = from..from + marks.len();
            let visit = |row, _: usize| {
                if let Some(class) = terms.class(self.email(row), self.name(row)) {
                    set(marks, Self::index(row) - from, class);
                }
                Some(self.start(row + 1))
            };
            self.rows_with(terms.longest(), rows, visit, cancelled)
        })
    }

    /// Marks rows that are a slip or two away. A word with so many slips has a part without any, about where it ought to
    /// be: that finds the rows that are looked at closely.
    fn mark_near(&self, terms: &Terms, marks: &mut Marks, cancelled: &AtomicBool) -> Result<()> {
        let longest = terms.longest();
        let slips = slips_allowed(longest);
        if slips == 0 {
            return Ok(());
        }
        let parts = parts(longest, slips);
        in_halves(marks, |from, marks| {
            for (offset, part) in &parts {
                let rows = from..from + marks.len();
                let mut looked_at = 0;
                let visit = |row, found: usize| {
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
                    let index = Self::index(row) - from;
                    if marks.get(index) == Some(&0) && terms.is_near(self.email(row), self.name(row)) {
                        set(marks, index, Class::Near);
                    }
                    (looked_at < NEAR_ROWS_MAX).then(|| self.start(row + 1))
                };
                self.rows_with(part, rows, visit, cancelled)?;
            }
            Ok(())
        })
    }

    /// Visits the places of a text in some rows, which `visit` answers with where to look on, or with the end.
    fn rows_with(
        &self,
        term: &str,
        rows: Range<usize>,
        mut visit: impl FnMut(u32, usize) -> Option<usize>,
        cancelled: &AtomicBool,
    ) -> Result<()> {
        let finder = memmem::Finder::new(term);
        let Ok(mut row) = u32::try_from(rows.start) else { return Ok(()) };
        let end = self.starts.get(rows.end).map_or(self.text.len(), |start| Self::index(*start));
        let text = self.text.as_bytes().get(..end).unwrap_or_default();
        let (mut at, mut since_check) = (self.start(row), 0);
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
        for (mark, facts) in marks.iter_mut().zip(&self.facts) {
            *mark = if facts.0 & mask == bits { *mark } else { 0 };
        }
        for (from, seconds) in [(seen_from, &self.seen), (made_from, &self.made)].iter().filter(|(from, _)| *from > 0) {
            for (mark, second) in marks.iter_mut().zip(*seconds) {
                *mark = if second >= from { *mark } else { 0 };
            }
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
            let waits = self.waits.iter().filter(|(_, until)| *until > now);
            let kept: Vec<(usize, u8)> =
                waits.filter_map(|(row, _)| Some((Self::index(*row), *marks.get(Self::index(*row))?))).collect();
            for (mark, facts) in marks.iter_mut().zip(&self.facts) {
                let is_disabled = facts.0 & Facts::STATE == state_bits(FactorState::Locked);
                *mark = if is_disabled { *mark } else { 0 };
            }
            for (row, kept) in kept {
                if let Some(mark) = marks.get_mut(row) {
                    *mark = kept;
                }
            }
        }
    }

    // ------------------------------------------------------------------------------------------------- ordering

    /// The rows of a window of a ranked list: class by class, and in the order of the ranking within each. What is rare is
    /// quicker found in the marks and put in order than met in the ranking.
    fn in_ranking(
        ranking: &Ranking,
        compare: impl Fn(&u32, &u32) -> Order,
        marks: &Marks,
        start: usize,
        end: usize,
    ) -> Vec<u32> {
        let mut rows = Vec::with_capacity(end.saturating_sub(start));
        let mut passed = 0;
        for (class, count) in classes(marks) {
            let (first, last) = (start.saturating_sub(passed).min(count), end.saturating_sub(passed).min(count));
            if first < last && count <= RARE {
                let mut all: Vec<u32> =
                    (0..).zip(marks).filter(|(_, mark)| **mark == class).map(|(row, _)| row).collect();
                all.sort_unstable_by(&compare);
                rows.extend(all.get(first..last).unwrap_or_default());
            } else if first < last {
                Self::in_class(ranking, marks, class, first..last, &mut rows);
            }
            passed += count;
        }
        rows
    }

    /// Adds the rows of one class at these places among those of the class.
    fn in_class(ranking: &Ranking, marks: &Marks, class: u8, places: Range<usize>, rows: &mut Vec<u32>) {
        let of = |row: &u32| marks.get(Self::index(*row)).copied().unwrap_or(0);
        let mut passed = 0;
        for block in ranking.pieces().flat_map(|piece| piece.chunks(BLOCK)) {
            let count: usize = block.iter().map(|row| usize::from(of(row) == class)).sum();
            if passed + count > places.start {
                let wanted = block.iter().filter(|row| of(row) == class);
                let wanted = wanted.skip(places.start.saturating_sub(passed));
                rows.extend(wanted.take(places.end - passed.max(places.start)));
            }
            passed += count;
            if passed >= places.end {
                return;
            }
        }
    }

    /// How many rows of a list lie before a place, or at it.
    fn rank_of(&self, place: &Place, or_at: bool, list: &List<'_>, wanted: &Wanted, marks: &Marks) -> usize {
        let of = |row: u32| marks.get(Self::index(row)).copied().unwrap_or(0);
        match list {
            List::ByTime(timed) => {
                let second = place.second().unwrap_or(0);
                let is_before = |(at, row): &(u32, u32)| {
                    let order = second.cmp(at).then_with(|| place.id.as_bytes().cmp(&self.id(*row)));
                    order == Order::Less || or_at && order == Order::Equal
                };
                timed.iter().filter(|row| is_before(row)).count()
            }
            List::Ranked(ranking) if wanted.sort == UserSort::Email => {
                // In the ranking the classes lie among one another: a better class decides alone.
                let (class, key) =
                    place.key.split_first().map_or((0, &[][..]), |(rank, key)| (rank.saturating_add(1), key));
                let better = classes(marks).filter(|(other, _)| *other < class).map(|(_, count)| count);
                let compare = |row: u32| (self.email(row).as_bytes(), &self.id(row)).cmp(&(key, place.id.as_bytes()));
                better.sum::<usize>() + ranking.count_before(compare, or_at, |row| of(row) == class)
            }
            List::Ranked(ranking) if wanted.sort == UserSort::Name => {
                let key = place.key.as_slice();
                let compare = |row: u32| (self.name_key(row), &self.id(row)).cmp(&(key, place.id.as_bytes()));
                ranking.count_before(compare, or_at, |row| of(row) > 0)
            }
            List::Ranked(ranking) => {
                // From behind, what is greater comes before.
                let key = place.key.as_slice();
                let compare = |row: u32| (self.email(row).as_bytes(), &self.id(row)).cmp(&(key, place.id.as_bytes()));
                let all = marks.iter().filter(|mark| **mark > 0).count();
                all - ranking.count_before(compare, !or_at, |row| of(row) > 0)
            }
        }
    }

    /// The marked rows with the time that a list is ordered by.
    fn by_time(&self, sort: UserSort, marks: &Marks) -> Vec<(u32, u32)> {
        let seconds = if sort == UserSort::Created { &self.made } else { &self.seen };
        let mut timed = vec![(0, 0); marks.len()];
        let mut count = 0;
        for (row, (mark, second)) in (0..).zip(marks.iter().zip(seconds)) {
            if let Some(place) = timed.get_mut(count) {
                *place = (*second, row);
            }
            count += usize::from(*mark > 0);
        }
        timed.truncate(count);
        timed
    }

    /// The rows of a window of a list by time, newest first, without ordering all others.
    fn in_time(&self, mut timed: Vec<(u32, u32)>, start: usize, end: usize) -> Vec<u32> {
        let newest_first = |(one_second, one): &(u32, u32), (other_second, other): &(u32, u32)| {
            other_second.cmp(one_second).then_with(|| self.id(*other).cmp(&self.id(*one)))
        };
        if start >= end || end > timed.len() {
            return Vec::new();
        }
        if start > 0 {
            timed.select_nth_unstable_by(start - 1, newest_first);
        }
        let behind = timed.get_mut(start..).unwrap_or_default();
        let length = end - start;
        if length < behind.len() {
            behind.select_nth_unstable_by(length, newest_first);
        }
        let window = behind.get_mut(..length).unwrap_or_default();
        window.sort_unstable_by(newest_first);
        window.iter().map(|(_, row)| *row).collect()
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

/// The order of a list.
enum List<'a> {
    /// Kept ready.
    Ranked(&'a Ranking),
    /// The marked rows with their times, which are ordered as far as needed.
    ByTime(Vec<(u32, u32)>),
}

/// The marks that there are, and how many rows have each, best first.
fn classes(marks: &Marks) -> impl Iterator<Item = (u8, usize)> {
    (1..=mark(Class::Near)).map(|class| (class, marks.iter().map(|mark| usize::from(*mark == class)).sum()))
}

/// Works on both halves of the rows at once, where there are cores for it: `work` gets the first row and the marks of a half.
fn in_halves(marks: &mut Marks, work: impl Fn(usize, &mut [u8]) -> Result<()> + Sync) -> Result<()> {
    let middle = marks.len() / 2;
    let (first, second) = marks.split_at_mut(middle);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| work(middle, second));
        let one = work(0, first);
        one.and(other.join().unwrap_or(Err(Cancelled)))
    })
}

/// Marks a row, unless it is marked better already.
fn set(marks: &mut [u8], index: usize, class: Class) {
    if let Some(place) = marks.get_mut(index) {
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

/// The parts of a word one of which is whole in spite of so many slips, with their places. A slip that swaps two letters
/// may spoil two parts, at the boundary between them: the word with those swapped is there for that, or, where there are
/// more boundaries, one part more.
fn parts(word: &str, slips: usize) -> Vec<(usize, Cow<'_, str>)> {
    let count = if slips == 1 { 2 } else { slips + 2 };
    let mut parts = Vec::with_capacity(count + 1);
    let mut from = 0;
    for part in 1..=count {
        let mut to = word.len() * part / count;
        while !word.is_char_boundary(to) {
            to += 1;
        }
        if let Some(text) = word.get(from..to).filter(|text| !text.is_empty()) {
            parts.push((from, Cow::Borrowed(text)));
        }
        from = to;
    }
    if let ([_, (boundary, _)], 1) = (parts.as_slice(), slips) {
        let (before, behind) = word.split_at(*boundary);
        let (mut before, mut behind) = (before.chars(), behind.chars());
        let swapped = [behind.next(), before.next_back()].into_iter().flatten();
        let swapped = swapped.collect::<String>();
        parts.push((0, Cow::Owned(format!("{}{swapped}{}", before.as_str(), behind.as_str()))));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_word() {
        for (word, slips, expected) in [
            ("anna", 1, vec![(0, "an"), (2, "na"), (0, "anna")]),
            ("schmidt", 1, vec![(0, "sch"), (3, "midt"), (0, "scmhidt")]),
            ("schmidts", 2, vec![(0, "sc"), (2, "hm"), (4, "id"), (6, "ts")]),
            ("äöü", 1, vec![(0, "äö"), (4, "ü"), (0, "äüö")]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(at, part)| (at, Cow::Borrowed(part))).collect();
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
