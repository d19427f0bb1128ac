//! What one spelling of a series gathers in one window on one reading thread, until the merger takes it.

use super::gauge::GaugeRuns;
use super::line::{Malformed, MetricKind, Segment, number};
use super::observed::Observed;
use super::trace_tags::TraceTags;
use crate::model::{DistinctSet, SampleKind, Timestamp};

/// Nothing yet, or what a window gathered. 16 bytes, so that four counters share a cache line.
#[derive(Debug, Default)]
pub enum Cell {
    /// Nothing came in this window.
    #[default]
    Empty,
    /// Increments.
    Counter {
        /// How many values came, at most `u32::MAX`.
        values: u32,
        /// Σ value ÷ sample rate.
        sum: f64,
    },
    /// Levels and changes.
    Gauge(Box<GaugeRuns>),
    /// Observations.
    Distribution(Box<Observed>),
    /// Members of a set.
    Set(Box<Members>),
}

/// How a line's values are to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Whether a signed gauge value changes the level instead of setting it.
    pub signed_is_delta: bool,
    /// Whether the sender has aggregated already (`|T`): its counts are not scaled by the sample rate.
    pub aggregated: bool,
    /// When the line arrived, or the moment it gives.
    pub moment: Timestamp,
    /// The trace it names.
    pub traces: TraceTags,
    /// Whether the values of timers are kept as they came, for [`super::etsy`].
    pub keeps_timer_values: bool,
}

/// How many of a segment's values were taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Taken.
    pub values: u32,
    /// Refused as [`Malformed::BadValue`].
    pub bad_values: u32,
}

/// Members of a set, and how many values named one.
#[derive(Debug, Default)]
pub struct Members {
    values: u32,
    set: DistinctSet,
}

impl Cell {
    /// Takes in the values of one segment, whose kind must be the cell's. A value that is none is left out and counted.
    pub fn take(&mut self, segment: &Segment<'_>, reading: &Reading) -> Taken {
        self.take_each(segment, reading, |_| {})
    }

    /// The same, and tells each value that was taken.
    pub fn take_each(&mut self, segment: &Segment<'_>, reading: &Reading, mut tell: impl FnMut(f64)) -> Taken {
        let mut taken = Taken::default();
        for text in segment.values() {
            match self.take_value(segment.kind, text, segment.sample_rate, reading) {
                Ok(value) => {
                    taken.values += 1;
                    tell(value);
                }
                Err(_) => taken.bad_values += 1,
            }
        }
        taken
    }

    /// How many values came.
    pub fn values(&self) -> u32 {
        match self {
            Cell::Empty => 0,
            Cell::Counter { values, .. } => *values,
            Cell::Gauge(runs) => runs.values(),
            Cell::Distribution(observed) => observed.values(),
            Cell::Set(members) => members.values,
        }
    }

    /// Fetches from memory what [`take`](Cell::take) will write, and says nothing of use ([`SpellingTable::bucket_of`] says why).
    ///
    /// [`SpellingTable::bucket_of`]: super::spelling_table::SpellingTable::bucket_of
    pub fn fetch(&self) -> u32 {
        self.values()
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        matches!(self, Cell::Empty)
    }

    fn take_value(
        &mut self,
        kind: MetricKind,
        text: &[u8],
        sample_rate: f64,
        reading: &Reading,
    ) -> Result<f64, Malformed> {
        match kind.sample_kind() {
            SampleKind::Counter => {
                let value = number(text)?;
                let scaled = if reading.aggregated { value } else { value / sample_rate };
                match self {
                    Cell::Counter { values, sum } => {
                        *values = values.saturating_add(1);
                        *sum += scaled;
                    }
                    _ => *self = Cell::Counter { values: 1, sum: scaled },
                }
                Ok(value)
            }
            SampleKind::Gauge => {
                let value = number(text)?;
                if !matches!(self, Cell::Gauge(_)) {
                    *self = Cell::Gauge(Box::default());
                }
                let Cell::Gauge(runs) = self else { return Err(Malformed::UnknownType) };
                if reading.signed_is_delta && matches!(text, [b'+' | b'-', ..]) {
                    runs.change(value, reading.moment);
                } else {
                    runs.set(value, reading.moment);
                }
                Ok(value)
            }
            SampleKind::Distribution => {
                let value = number(text)?;
                if !matches!(self, Cell::Distribution(_)) {
                    *self = Cell::Distribution(Box::default());
                }
                let Cell::Distribution(observed) = self else { return Err(Malformed::UnknownType) };
                observed.observe(value, 1.0 / sample_rate);
                if reading.keeps_timer_values && kind == MetricKind::Timer {
                    observed.keep(value);
                }
                Ok(value)
            }
            SampleKind::Set => {
                if !matches!(self, Cell::Set(_)) {
                    *self = Cell::Set(Box::default());
                }
                let Cell::Set(members) = self else { return Err(Malformed::UnknownType) };
                members.values = members.values.saturating_add(1);
                members.set.insert(member_hash(text));
                Ok(1.0)
            }
            SampleKind::Cumulative => Err(Malformed::UnknownType), // no type of StatsD is a running total
        }
    }
}

impl Members {
    /// Moves all members into another set.
    pub fn move_into(self, all: &mut DistinctSet) {
        if *all == DistinctSet::default() {
            *all = self.set;
        } else {
            all.merge(&self.set);
        }
    }
}

/// The hash by which members of a set are told apart: rapidhash V3 with its default secrets over the UTF-8 bytes.
/// Sets of several hosts and years are merged by these numbers, so this must never change.
fn member_hash(member: &[u8]) -> u64 {
    rapidhash::v3::rapidhash_v3(member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_sets_members_is_the_same_for_ever() {
        assert_eq!(member_hash(b""), 232_177_599_295_442_350);
        assert_eq!(member_hash(b"joe@example.org"), 18_117_960_045_603_978_461);
    }

    #[test]
    fn a_cell_is_small() {
        assert_eq!(size_of::<Cell>(), 16);
    }
}
