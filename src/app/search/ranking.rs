//! An order of the column's rows: one long list, and a short one of what came since, so that a new row costs little.

use std::cmp::Ordering;

/// So many rows beside the long list are merged into it.
const RECENT_MAX: usize = 4_096;

/// Rows of one name that are looked at for a namesake that is alive.
const LOOK_MAX: usize = 64;

#[derive(Debug, Default)]
pub struct Ranking {
    sorted: Vec<u32>,
    /// Rows that belong before the given place of `sorted`, in order.
    recent: Vec<(u32, u32)>,
}

impl Ranking {
    /// Orders all rows. `key` is what `compare` looks at first; its start decides most comparisons without a look at the
    /// texts.
    pub fn build<'a>(rows: u32, key: impl Fn(u32) -> &'a [u8], compare: impl Fn(u32, u32) -> Ordering) -> Self {
        let start_of = |row| {
            let mut start = [0; 8];
            for (to, from) in start.iter_mut().zip(key(row)) {
                *to = *from;
            }
            u64::from_be_bytes(start)
        };
        let mut keyed: Vec<(u64, u32)> = (0..rows).map(|row| (start_of(row), row)).collect();
        keyed.sort_unstable_by(|(one_key, one), (other_key, other)| {
            one_key.cmp(other_key).then_with(|| compare(*one, *other))
        });
        Self { sorted: keyed.into_iter().map(|(_, row)| row).collect(), recent: Vec::new() }
    }

    pub fn insert(&mut self, row: u32, compare: impl Fn(u32, u32) -> Ordering) {
        let place = self.sorted.partition_point(|other| compare(*other, row).is_lt());
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        let at = self.recent.partition_point(|(other_place, other)| {
            (*other_place).cmp(&place).then_with(|| compare(*other, row)).is_lt()
        });
        self.recent.insert(at, (place, row));
        if self.recent.len() > RECENT_MAX {
            let mut all = Vec::with_capacity(self.sorted.len() + self.recent.len());
            self.pieces().for_each(|piece| all.extend_from_slice(piece));
            *self = Self { sorted: all, recent: Vec::new() };
        }
    }

    /// All rows in order, also those that died, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.recent.iter().map(|(place, _)| index(*place)));
        let ends = self.recent.iter().map(|(place, _)| index(*place)).chain([self.sorted.len()]);
        let long = starts.zip(ends).map(|(start, end)| self.sorted.get(start..end).unwrap_or_default());
        let recent = self.recent.iter().map(|(_, row)| std::slice::from_ref(row)).chain([&[][..]]);
        long.zip(recent).flat_map(|(long, recent)| [long, recent])
    }

    /// How many rows that are meant lie before a place, or at it; `compare` says how a row lies to the place.
    pub fn count_before(
        &self,
        compare: impl Fn(u32) -> Ordering,
        or_at: bool,
        is_meant: impl Fn(u32) -> bool,
    ) -> usize {
        let is_before = |row: u32| {
            let order = compare(row);
            order.is_lt() || or_at && order.is_eq()
        };
        let long = self.sorted.partition_point(|row| is_before(*row));
        let recent = self.recent.partition_point(|(_, row)| is_before(*row));
        let long = self.sorted.get(..long).unwrap_or_default().iter().copied();
        let recent = self.recent.get(..recent).unwrap_or_default().iter().map(|(_, row)| *row);
        long.chain(recent).map(|row| usize::from(is_meant(row))).sum()
    }

    /// Whether `is_it` holds for one of the rows that `compare` finds equal to what is looked for. Looks at so many only.
    pub fn any_equal(&self, compare: impl Fn(u32) -> Ordering, mut is_it: impl FnMut(u32) -> bool) -> bool {
        let start = self.sorted.partition_point(|row| compare(*row).is_lt());
        let long = self.sorted.get(start..).unwrap_or_default().iter().take(LOOK_MAX).copied();
        if long.take_while(|row| compare(*row).is_eq()).any(&mut is_it) {
            return true;
        }
        let start = self.recent.partition_point(|(_, row)| compare(*row).is_lt());
        let recent = self.recent.get(start..).unwrap_or_default().iter().take(LOOK_MAX).map(|(_, row)| *row);
        recent.take_while(|row| compare(*row).is_eq()).any(is_it)
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.sorted.capacity() * 4 + self.recent.capacity() * 8
    }
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
