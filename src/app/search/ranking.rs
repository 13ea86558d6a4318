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
            self.walk(|row| all.push(row));
            *self = Self { sorted: all, recent: Vec::new() };
        }
    }

    /// Visits all rows in order, also those that died.
    pub fn walk(&self, mut visit: impl FnMut(u32)) {
        let mut from = 0;
        for (place, row) in &self.recent {
            let to = usize::try_from(*place).unwrap_or(usize::MAX);
            self.sorted.get(from..to).unwrap_or_default().iter().for_each(|row| visit(*row));
            visit(*row);
            from = to;
        }
        self.sorted.get(from..).unwrap_or_default().iter().for_each(|row| visit(*row));
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
