//! One window of one series: what a metric did between two ticks of its grid.
//!
//! Nothing derived is kept (no mean, no rate, no percentile): those are computed when reading, so that
//! windows of many hosts and of any length can be merged without lying.

use std::sync::Arc;
use std::time::Duration;

use super::{DistinctSet, LabelSet, Sketch, SpanId, Timestamp, TraceId};

/// What a series measures; part of its identity, so that a name used for a counter here and a gauge there is two series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SampleKind {
    /// A sum of increments.
    Counter = 1,
    /// A level.
    Gauge = 2,
    /// Many observations: StatsD's timers, histograms and distributions.
    Distribution = 3,
    /// How many different values were seen.
    Set = 4,
    /// A sum of increments since a start that its sender knows: it falls when the sender starts anew.
    Cumulative = 5,
}

/// What a [`SampleValue::Gauge`] or [`SampleValue::Cumulative`] says when its series ended: not a number, and never data
/// (Prometheus, `model/value`, `StaleNaN`). Compared by its bits.
pub const STALE: f64 = f64::from_bits(0x7FF0_0000_0000_0002);

/// Whether a value is the staleness marker [`STALE`].
pub const fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

/// What was seen of one series in the window that starts at `timestamp` and lasts `interval_ms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name and labels.
    pub labels: Arc<LabelSet>,
    /// The window's start.
    pub timestamp: Timestamp,
    /// The window's length in milliseconds; 0 for a reading of one moment.
    pub interval_ms: u32,
    /// What was measured.
    pub value: SampleValue,
    /// The unit when the sender said it (`ms` for StatsD timers, `bytes` …); empty when not.
    pub unit: &'static str,
    /// Traces that show what such a value looked like.
    pub exemplars: Vec<Exemplar>,
}

/// A window's content.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// The sum of the increments.
    Counter {
        /// Σ value ÷ sample rate.
        sum: f64,
    },
    /// The level at the end of the window and its extremes.
    Gauge {
        /// The last level.
        last: f64,
        /// The lowest.
        min: f64,
        /// The highest.
        max: f64,
    },
    /// The observations' summary.
    Distribution(Box<Distribution>),
    /// The different values.
    Set(Box<DistinctSet>),
    /// The running total as its sender keeps it, read at one moment (`interval_ms` 0): Prometheus' counters, cumulative sums
    /// of OpenTelemetry.
    Cumulative {
        /// The total.
        total: f64,
    },
}

/// A mergeable summary of observations.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// Σ 1 ÷ sample rate.
    pub count: f64,
    /// Σ value ÷ sample rate.
    pub sum: f64,
    /// The least observation.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Where the quantiles are read from.
    pub sketch: Sketch,
}

/// One observation and the trace it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// When it was observed.
    pub timestamp: Timestamp,
    /// What was observed.
    pub value: f64,
    /// The trace.
    pub trace_id: TraceId,
    /// The span, when the sender said it.
    pub span_id: Option<SpanId>,
}

impl Sample {
    /// When the window ends: the moment from which on it is known.
    pub fn end(&self) -> Timestamp {
        self.timestamp.saturating_add(Duration::from_millis(u64::from(self.interval_ms)))
    }
}

impl SampleValue {
    /// What the series of this value measures.
    pub fn kind(&self) -> SampleKind {
        match self {
            SampleValue::Counter { .. } => SampleKind::Counter,
            SampleValue::Gauge { .. } => SampleKind::Gauge,
            SampleValue::Distribution(_) => SampleKind::Distribution,
            SampleValue::Set(_) => SampleKind::Set,
            SampleValue::Cumulative { .. } => SampleKind::Cumulative,
        }
    }
}

impl Distribution {
    /// No observation yet.
    pub fn new() -> Distribution {
        Distribution { count: 0.0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, sketch: Sketch::new() }
    }

    /// Adds an observation that stands for `weight` of them (1 ÷ sample rate). `value` is finite, `weight` positive.
    pub fn observe(&mut self, value: f64, weight: f64) {
        self.count += weight;
        self.sum += value * weight;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sketch.add(value, weight);
    }

    /// Adds observations that stand for `weight` of them each, and sorts the list. As [`observe`](Distribution::observe) for
    /// each, but faster.
    pub fn observe_all(&mut self, values: &mut [f64], weight: f64) {
        values.sort_unstable_by(f64::total_cmp);
        let (Some(&least), Some(&greatest)) = (values.first(), values.last()) else { return };
        self.count += values.len() as f64 * weight;
        self.sum += values.iter().map(|value| value * weight).sum::<f64>();
        self.min = self.min.min(least);
        self.max = self.max.max(greatest);
        self.sketch.add_sorted(values, weight);
    }

    /// Takes in another window of the same series.
    pub fn merge(&mut self, other: &Distribution) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sketch.merge(&other.sketch);
    }

    /// The value below which a share `q` (0–1) of the observations lie, within 1 % and never outside `[min, max]`.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        self.sketch.quantile(q).map(|value| value.clamp(self.min, self.max))
    }
}

impl Default for Distribution {
    fn default() -> Distribution {
        Distribution::new()
    }
}

impl SampleKind {
    /// The kind with this number on disk and wire.
    pub const fn from_number(number: u8) -> Option<SampleKind> {
        match number {
            1 => Some(SampleKind::Counter),
            2 => Some(SampleKind::Gauge),
            3 => Some(SampleKind::Distribution),
            4 => Some(SampleKind::Set),
            5 => Some(SampleKind::Cumulative),
            _ => None,
        }
    }

    /// The word that Prometheus' metadata uses for it.
    pub const fn prometheus_type(self) -> &'static str {
        match self {
            SampleKind::Counter | SampleKind::Cumulative => "counter",
            SampleKind::Gauge | SampleKind::Set => "gauge",
            SampleKind::Distribution => "summary",
        }
    }
}
