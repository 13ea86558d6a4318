//! Figures by day: how often something happened, counted in the batch of the audit entry that tells of it; and how many
//! users had a second factor at the start of a day. What is too old for every reader is removed by the sweeper.

use super::codec::{self, Decode, Deserialize, Encode, Serialize};
use super::{Records, Result, keys, put};
use crate::domain::audit::{AuditRecord, Event};
use crate::domain::time::Timestamp;
use crate::store::{Batch, Expect, decode_counter};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tallied {
    /// A first device, not one in the place of another.
    Enrolment,
    Reset,
    /// A device disabled after wrong codes, or a login locked after wrong passwords.
    Lock,
}

/// Spans that are counted in, as multiples since the epoch (days are those of UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    Minute,
    Hour,
    Day,
}

/// Users with a second factor, of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adoption {
    pub with: u64,
    pub of: u64,
}

/// Days for which the figures of a day are kept.
const DAYS_KEPT: u64 = 90;

/// What is counted in which spans.
const KEPT: &[(Tallied, Span)] = &[
    (Tallied::Enrolment, Span::Day),
    (Tallied::Reset, Span::Day),
    (Tallied::Lock, Span::Day),
    (Tallied::Lock, Span::Hour),
    (Tallied::Lock, Span::Minute),
];

impl Tallied {
    fn of(record: &AuditRecord) -> Option<Self> {
        match record.event {
            Event::TwoFactorEnabled => Some(Self::Enrolment),
            Event::TwoFactorReset => Some(Self::Reset),
            Event::TwoFactorLocked => Some(Self::Lock),
            Event::UserLoginFailed
                if record.details.iter().any(|(name, value)| name == "locked" && value == "true") =>
            {
                Some(Self::Lock)
            }
            _ => None,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Enrolment => "enrolment",
            Self::Reset => "reset",
            Self::Lock => "lock",
        }
    }
}

impl Span {
    const fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// How many are kept.
    const fn kept(self) -> u64 {
        match self {
            Self::Minute => 120,
            Self::Hour => 30 * 24,
            Self::Day => DAYS_KEPT,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// The number of the span that a moment lies in.
    #[must_use]
    pub fn of(self, at: Timestamp) -> u64 {
        u64::try_from(at.as_seconds() / self.seconds()).unwrap_or(0)
    }
}

impl Records {
    /// How often something happened in the spans of these numbers.
    pub async fn tallies(&self, what: Tallied, span: Span, numbers: impl Iterator<Item = u64>) -> Result<Vec<u64>> {
        let wanted: Vec<Vec<u8>> = numbers.map(|number| keys::tally(span, what, number)).collect();
        let refs: Vec<&[u8]> = wanted.iter().map(Vec::as_slice).collect();
        let found = self.store.get_many(&refs).await?;
        let count = |entry: Option<crate::store::Entry>| match entry {
            None => Ok(0),
            Some(entry) => decode_counter(&entry.value)
                .map(|count| count.max(0).cast_unsigned())
                .ok_or_else(|| codec::corrupt(&entry.key, "not a counter")),
        };
        found.into_iter().map(count).collect()
    }

    /// The adoption noted at the start of a day; `None` when the server did not run on it.
    pub async fn adoption(&self, day: u64) -> Result<Option<Adoption>> {
        Ok(self.read(&keys::adoption(day)).await?.map(|adoption| adoption.value))
    }

    /// The batch that removes figures nobody reads any more, a page of them; empty when there are none.
    pub async fn removal_of_old_figures(&self, now: Timestamp, limit: usize) -> Result<Batch> {
        let mut batch = Batch::default();
        let kept = KEPT.iter().map(|(what, span)| (keys::tally_prefix(*span, *what), span.of(now), span.kept()));
        for (prefix, present, kept) in kept.chain([(keys::ADOPTION.to_vec(), Span::Day.of(now), DAYS_KEPT)]) {
            let page = self.scan(&prefix, limit.saturating_sub(batch.writes.len()).max(1)).await?;
            for entry in page.entries {
                if keys::parse_trailing_number(&entry.key).is_some_and(|number| number + kept < present) {
                    batch = batch.delete(entry.key);
                }
            }
        }
        Ok(batch)
    }
}

/// Notes the adoption at the start of a day, once.
pub fn note_adoption(batch: Batch, day: u64, adoption: &Adoption) -> Batch {
    let key = keys::adoption(day);
    put(batch.expect(key.clone(), Expect::Absent), key, adoption)
}

/// Counts what an audit entry tells of.
pub(super) fn tallied(mut batch: Batch, record: &AuditRecord) -> Batch {
    let Some(what) = Tallied::of(record) else { return batch };
    for (_, span) in KEPT.iter().filter(|(kept, _)| *kept == what) {
        batch = batch.add(keys::tally(*span, what, span.of(record.at)), 1);
    }
    batch
}

#[derive(Encode, Decode, Serialize, Deserialize)]
struct AdoptionV1 {
    with: u64,
    of: u64,
}

codec::record!(Adoption, AdoptionV1, 1);

impl From<&Adoption> for AdoptionV1 {
    fn from(adoption: &Adoption) -> Self {
        Self { with: adoption.with, of: adoption.of }
    }
}

impl From<AdoptionV1> for Adoption {
    fn from(stored: AdoptionV1) -> Self {
        Self { with: stored.with, of: stored.of }
    }
}
