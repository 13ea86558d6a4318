//! Figures for people: what is usual, from what was.

/// The middle half of some counts: a quarter of them lies below the first, a quarter above the second. `None` of nothing.
#[must_use]
pub fn middle_half(counts: &[u64]) -> Option<(u64, u64)> {
    let (from, to) = (at_quarter(counts, 1)?, at_quarter(counts, 3)?);
    Some((from, to))
}

/// As many lie above as below. `None` of nothing.
#[must_use]
pub fn median(counts: &[u64]) -> Option<u64> {
    at_quarter(counts, 2)
}

fn at_quarter(counts: &[u64], quarter: usize) -> Option<u64> {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len().checked_sub(1)? * quarter + 2) / 4;
    sorted.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_half_leaves_out_what_is_rare() {
        for (counts, half, middle) in [
            (&[][..], None, None),
            (&[5], Some((5, 5)), Some(5)),
            (&[9, 1], Some((1, 9)), Some(9)),
            (&[4, 2, 3, 1], Some((2, 3)), Some(3)),
            (&[0, 0, 0, 0, 4, 5, 6, 90], Some((0, 5)), Some(4)),
            (&[7; 28], Some((7, 7)), Some(7)),
        ] {
            assert_eq!((middle_half(counts), median(counts)), (half, middle), "{counts:?}");
        }
    }
}
