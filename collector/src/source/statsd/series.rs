//! What one series gathers during one window.

use std::sync::Arc;

use super::line::{Malformed, MetricKind, Segment, number};
use super::trace_tags::TraceTags;
use crate::model::{DistinctSet, Distribution, Exemplar, LabelSet, Sample, SampleKind, SampleValue, Timestamp};

/// A series that is held.
#[derive(Debug)]
pub struct Series {
    labels: Arc<LabelSet>,
    unit: &'static str,
    state: State,
    /// Boxed, because most series have none and the table of series should stay small.
    exemplars: Option<Box<Exemplars>>,
    touched: bool,
    /// The window that its sender names; none when it is the one that gathers.
    window: Option<Timestamp>,
    /// Windows since the last one in which something arrived.
    pub idle_windows: u32,
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
    /// A random number, new for each line.
    pub random: u64,
}

/// How many of a segment's values were taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Taken.
    pub values: u32,
    /// Refused as [`Malformed::BadValue`].
    pub bad_values: u32,
}

#[derive(Debug)]
enum State {
    Counter { sum: f64 },
    Gauge { level: f64, min: f64, max: f64 },
    Distribution(Box<Distribution>),
    Set(Box<DistinctSet>),
}

/// The greatest value that named a trace, and one chosen evenly among all that did.
#[derive(Debug, Default)]
struct Exemplars {
    seen: u64,
    greatest: Option<Exemplar>,
    chosen: Option<Exemplar>,
}

impl Series {
    /// A series in which nothing was seen yet, of the window that gathers or of one that its sender names.
    pub fn new(labels: LabelSet, kind: MetricKind, window: Option<Timestamp>) -> Series {
        Series {
            labels: Arc::new(labels),
            unit: kind.unit(),
            state: State::empty(kind.sample_kind()),
            exemplars: None,
            touched: false,
            window,
            idle_windows: 0,
        }
    }

    /// Whether it is a gauge, whose level outlives its window.
    pub fn is_gauge(&self) -> bool {
        matches!(self.state, State::Gauge { .. })
    }

    /// Whether its sender names its window.
    pub fn is_dated(&self) -> bool {
        self.window.is_some()
    }

    /// Takes in the values of one segment, whose kind must be the series'. A value that is none is left out and counted.
    pub fn take(&mut self, segment: &Segment<'_>, reading: &Reading) -> Taken {
        let mut taken = Taken::default();
        for text in segment.values() {
            match self.take_value(text, segment.sample_rate, reading) {
                Ok(value) => {
                    taken.values += 1;
                    self.touched = true;
                    if let Some(trace_id) = reading.traces.trace_id {
                        let span_id = reading.traces.span_id;
                        let exemplar = Exemplar { timestamp: reading.moment, value, trace_id, span_id };
                        self.exemplars.get_or_insert_default().note(exemplar, reading.random);
                    }
                }
                Err(_) => taken.bad_values += 1,
            }
        }
        taken
    }

    /// What was seen since the last call, if anything was; `start` is where the window that gathers starts.
    pub fn close_window(&mut self, start: Timestamp, interval_ms: u32) -> Option<Sample> {
        if !std::mem::take(&mut self.touched) {
            self.idle_windows += 1;
            return None;
        }
        self.idle_windows = 0;
        let value = match &mut self.state {
            State::Counter { sum } => SampleValue::Counter { sum: std::mem::take(sum) },
            State::Gauge { level, min, max } => SampleValue::Gauge { last: *level, min: *min, max: *max },
            State::Distribution(seen) => SampleValue::Distribution(std::mem::take(seen)),
            State::Set(seen) => SampleValue::Set(std::mem::take(seen)),
        };
        let exemplars = self.exemplars.take().map_or_else(Vec::new, |exemplars| exemplars.into_list());
        let labels = Arc::clone(&self.labels);
        let timestamp = self.window.unwrap_or(start);
        Some(Sample { labels, timestamp, interval_ms, value, unit: self.unit, exemplars })
    }

    fn take_value(&mut self, text: &str, sample_rate: f64, reading: &Reading) -> Result<f64, Malformed> {
        match &mut self.state {
            State::Counter { sum } => {
                let value = number(text)?;
                *sum += if reading.aggregated { value } else { value / sample_rate };
                Ok(value)
            }
            State::Gauge { level, min, max } => {
                let value = number(text)?;
                let delta = reading.signed_is_delta && text.starts_with(['+', '-']);
                *level = if delta { *level + value } else { value };
                (*min, *max) = if self.touched { (min.min(*level), max.max(*level)) } else { (*level, *level) };
                Ok(*level)
            }
            State::Distribution(seen) => {
                let value = number(text)?;
                seen.observe(value, 1.0 / sample_rate);
                Ok(value)
            }
            State::Set(seen) => {
                seen.insert(member_hash(text));
                Ok(1.0)
            }
        }
    }
}

/// The hash by which members of a set are told apart: rapidhash V3 with its default secrets over the UTF-8 bytes.
/// Sets of several hosts and years are merged by these numbers, so this must never change.
fn member_hash(member: &str) -> u64 {
    rapidhash::v3::rapidhash_v3(member.as_bytes())
}

impl State {
    fn empty(kind: SampleKind) -> State {
        match kind {
            SampleKind::Counter => State::Counter { sum: 0.0 },
            SampleKind::Gauge => State::Gauge { level: 0.0, min: 0.0, max: 0.0 },
            SampleKind::Distribution => State::Distribution(Box::default()),
            SampleKind::Set => State::Set(Box::default()),
            SampleKind::Cumulative => unreachable!("no type of StatsD is a running total"),
        }
    }
}

impl Exemplars {
    fn note(&mut self, exemplar: Exemplar, random: u64) {
        self.seen += 1;
        // Reservoir sampling: the n-th comer takes the place with probability 1 ÷ n (Knuth, TAOCP 2, §3.4.2, algorithm R).
        if random.is_multiple_of(self.seen) {
            self.chosen = Some(exemplar.clone());
        }
        if self.greatest.as_ref().is_none_or(|greatest| exemplar.value > greatest.value) {
            self.greatest = Some(exemplar);
        }
    }

    fn into_list(self) -> Vec<Exemplar> {
        let mut list: Vec<Exemplar> = self.greatest.into_iter().chain(self.chosen).collect();
        list.dedup();
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_sets_members_is_the_same_for_ever() {
        assert_eq!(member_hash(""), 232_177_599_295_442_350);
        assert_eq!(member_hash("joe@example.org"), 18_117_960_045_603_978_461);
    }
}
