//! The series store: metric windows in memory, then in immutable blocks per time partition.

use std::sync::Arc;

use taffrail_collector::model::{Distribution, Exemplar, LabelSet, SampleKind, Timestamp, TraceId};
use thiserror::Error;

use crate::scan::{Scan, StopReason, TimeRange};

/// A condition on one label; an absent label has the empty value, as in Prometheus.
#[derive(Clone, Debug)]
pub struct LabelMatcher {
    /// The label.
    pub name: String,
    /// The condition.
    pub test: LabelTest,
}

/// A condition on a label's value.
#[derive(Clone, Debug)]
pub enum LabelTest {
    /// `=`
    Equal(String),
    /// `!=`
    NotEqual(String),
    /// `=~`, anchored at both ends (compiled by the query room).
    Matches(LabelRegex),
    /// `!~`
    NotMatches(LabelRegex),
}

/// A compiled, anchored label pattern: any `Fn(&str) -> bool` that is shared between threads.
#[derive(Clone)]
pub struct LabelRegex(pub Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl std::fmt::Debug for LabelRegex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LabelRegex")
    }
}

/// One series and its windows in a time range, by rising time, each window once.
#[derive(Clone, Debug)]
pub struct SeriesData {
    /// Name and labels.
    pub labels: Arc<LabelSet>,
    /// The unit, when known.
    pub unit: String,
    /// The windows' length in milliseconds (0: readings of a moment).
    pub interval_ms: u32,
    /// The windows. A window's time is its END (start + length): what a reader at that moment could know.
    pub windows: Windows,
}

/// Windows by kind: (end of the window, content).
#[derive(Clone, Debug)]
pub enum Windows {
    /// Increments, and the running sum before the first of them.
    Counter {
        /// Sum of all increments before.
        before: f64,
        /// (end, increment).
        points: Vec<(Timestamp, f64)>,
    },
    /// Levels.
    Gauge(Vec<(Timestamp, GaugeWindow)>),
    /// Summaries.
    Distribution(Vec<(Timestamp, Distribution)>),
    /// Counts of different values.
    Set(Vec<(Timestamp, f64)>),
}

/// A gauge's window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaugeWindow {
    /// The last level.
    pub last: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

/// What is known of a metric name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricInfo {
    /// The name.
    pub name: String,
    /// What it measures.
    pub kind: SampleKind,
    /// The unit, when known.
    pub unit: String,
    /// How many series have it.
    pub series: u64,
}

/// A block could not be read, or the scan was stopped.
#[derive(Debug, Error)]
pub enum SeriesStoreError {
    /// A block is damaged.
    #[error("series block {block}: {message}")]
    Block {
        /// Which block.
        block: String,
        /// What is wrong with it.
        message: String,
    },
    /// The question was cancelled or hit its budget.
    #[error("stopped early")]
    Stopped(StopReason),
}

/// The series store. Methods block: call them from a blocking thread.
pub struct SeriesStore {}

impl SeriesStore {
    /// The windows of every series that passes all matchers, whose end lies in `range`; sorted by labels.
    pub fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        scan: &Scan,
    ) -> Result<Vec<SeriesData>, SeriesStoreError> {
        let _ = (matchers, range, scan);
        unimplemented!()
    }
    /// The label sets (and kinds) that pass all matchers and have a window in `range`.
    pub fn series(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        scan: &Scan,
    ) -> Result<Vec<(Arc<LabelSet>, SampleKind)>, SeriesStoreError> {
        let _ = (matchers, range, scan);
        unimplemented!()
    }
    /// Known metrics whose name contains `part` (without case), sorted by name, at most `limit`.
    pub fn metrics(&self, part: &str, limit: usize) -> Vec<MetricInfo> {
        let _ = (part, limit);
        unimplemented!()
    }
    /// Exemplars of matching series in `range`, by series then time.
    pub fn exemplars(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        scan: &Scan,
    ) -> Result<Vec<(Arc<LabelSet>, Vec<Exemplar>)>, SeriesStoreError> {
        let _ = (matchers, range, scan);
        unimplemented!()
    }
    /// Exemplars that point to a trace.
    pub fn exemplars_of_trace(&self, trace_id: TraceId) -> Vec<(Arc<LabelSet>, Exemplar)> {
        let _ = trace_id;
        unimplemented!()
    }
}
