//! Chance that is the same on every machine and in every run.

use doorward::domain::vault::sha256;

/// A stream of numbers that follows from a seed, a purpose and a number.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64, purpose: &str, number: u64) -> Self {
        let digest = digest(seed, purpose, number);
        Self(digest.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
    }

    /// The next number, by `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn number(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// An index into a list of so many.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.number(count as u64)).unwrap_or_default()
    }

    /// An index into a list of so many, where the share of the n-th is 1 / (n + 4).
    pub fn ranked(&mut self, count: usize) -> usize {
        let total: f64 = (0..count).map(rank_share).sum();
        let mut left = self.share() * total;
        (0..count)
            .find(|rank| {
                left -= rank_share(*rank);
                left < 0.0
            })
            .unwrap_or_default()
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// From 0 to 1, without 1.
    pub fn share(&mut self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "53 bits are a double's precision")]
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        share
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.per_million(percent * 10_000)
    }

    pub fn per_million(&mut self, parts: u64) -> bool {
        self.number(1_000_000) < parts
    }
}

#[allow(clippy::cast_precision_loss, reason = "ranks are small")]
fn rank_share(rank: usize) -> f64 {
    1.0 / (rank as f64 + 4.0)
}

/// 32 bytes that follow from a seed, a purpose and a number.
pub fn digest(seed: u64, purpose: &str, number: u64) -> [u8; 32] {
    sha256(format!("doorward crowd {seed} {purpose} {number}").as_bytes())
}
