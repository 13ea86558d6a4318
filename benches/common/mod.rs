//! What the benches share: measured rows, the limits that they are compared with, and a load generator.
#![allow(dead_code, reason = "each bench uses a part")]
#![allow(clippy::indexing_slicing, reason = "they may stop at an error")]

pub mod disk;
pub mod load;

use std::time::Duration;

/// Requests, commits or checks of one slice of time.
#[derive(Clone, Debug)]
pub struct Row {
    pub per_second: f64,
    /// Sorted, in seconds.
    latencies: Vec<f64>,
}

impl Row {
    pub fn new(mut latencies: Vec<f64>, elapsed: Duration) -> Self {
        latencies.sort_by(f64::total_cmp);
        Self { per_second: count(latencies.len()) / elapsed.as_secs_f64(), latencies }
    }

    /// A latency that this many of a hundred are not above, in seconds.
    pub fn percentile(&self, percent: usize) -> f64 {
        self.latencies.get(self.latencies.len() * percent / 100).copied().unwrap_or_default()
    }

    /// In seconds.
    pub fn greatest(&self) -> f64 {
        self.latencies.last().copied().unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.latencies.len()
    }
}

/// Least, middle and greatest of some figures.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub least: f64,
    pub middle: f64,
    pub greatest: f64,
}

impl Spread {
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or_default();
        Self { least: at(0), middle: at(figures.len() / 2), greatest: at(figures.len().saturating_sub(1)) }
    }
}

pub fn count(length: usize) -> f64 {
    u32::try_from(length).map_or(f64::MAX, f64::from)
}
