//! PromQL: parsed by the `promql-parser` crate, evaluated here.

use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::{LabelSet, Timestamp};
use taffrail_ingest::series_store::{LabelMatcher, SeriesStore};
use taffrail_ingest::{Scan, StopReason, TimeRange};
use thiserror::Error;

/// Where series come from: the store, or a test's `load`.
pub trait SeriesSource: Sync {
    /// Points of every matching series with `start < time <= end` (milliseconds), by rising time.
    fn select(
        &self,
        matchers: &[LabelMatcher],
        start_ms: i64,
        end_ms: i64,
        scan: &Scan,
    ) -> Result<Vec<Series>, PromqlError>;
}

/// One series of an answer or a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name and labels.
    pub labels: Arc<LabelSet>,
    /// (milliseconds since the epoch, value), by rising time.
    pub points: Vec<(i64, f64)>,
}

/// One series at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct InstantValue {
    /// Name and labels.
    pub labels: Arc<LabelSet>,
    /// The value.
    pub value: f64,
}

/// What an instant query gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A number.
    Scalar(f64),
    /// Text.
    Text(String),
    /// One value a series.
    Vector(Vec<InstantValue>),
    /// A stretch of values a series (a bare range selector).
    Matrix(Vec<Series>),
}

/// An answer and what Prometheus calls its warnings and infos.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated<T> {
    /// The answer.
    pub value: T,
    /// Something may be wrong with the data.
    pub warnings: Vec<String>,
    /// Something may be wrong with the question.
    pub infos: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum PromqlError {
    /// The text is no PromQL, or asks for what cannot be (`bad_data`).
    #[error("{0}")]
    Invalid(String),
    /// Evaluation failed (`execution`), for instance a many-to-many match.
    #[error("{0}")]
    Execution(String),
    /// The question was cancelled or hit its budget (`canceled`, `timeout`).
    #[error("the query stopped early: {0:?}")]
    Stopped(StopReason),
}

/// The series store as PromQL sees it: counters cumulative, a distribution as a summary (`x{quantile="0.5"}`, `x_count`,
/// `x_sum`, `x_min`, `x_max`).
#[derive(Clone)]
pub struct StoreSource {
    store: Arc<SeriesStore>,
}

impl StoreSource {
    /// A view of this store.
    pub fn new(store: Arc<SeriesStore>) -> StoreSource {
        StoreSource { store }
    }

    /// The label sets that pass all matchers and have a point in `range`, sorted; without matchers all of them.
    pub fn series(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        scan: &Scan,
    ) -> Result<Vec<Arc<LabelSet>>, PromqlError> {
        let _ = (&self.store, matchers, range, scan);
        unimplemented!()
    }
}

impl SeriesSource for StoreSource {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        start_ms: i64,
        end_ms: i64,
        scan: &Scan,
    ) -> Result<Vec<Series>, PromqlError> {
        let _ = (matchers, start_ms, end_ms, scan);
        unimplemented!()
    }
}

/// The same query, laid out over lines as people write it (`format_query`).
pub fn format(query: &str) -> Result<String, PromqlError> {
    let _ = query;
    unimplemented!()
}

/// The matchers of each vector selector in a query, in the order they stand (for `match[]` and `query_exemplars`).
pub fn selectors(query: &str) -> Result<Vec<Vec<LabelMatcher>>, PromqlError> {
    let _ = query;
    unimplemented!()
}

/// Evaluates at one moment.
pub fn instant(
    query: &str,
    time: Timestamp,
    source: &dyn SeriesSource,
    scan: &Scan,
) -> Result<Evaluated<Answer>, PromqlError> {
    let _ = (query, time, source, scan);
    unimplemented!()
}

/// Evaluates from `start` to `end`, both included, every `step`.
pub fn range(
    query: &str,
    start: Timestamp,
    end: Timestamp,
    step: Duration,
    source: &dyn SeriesSource,
    scan: &Scan,
) -> Result<Evaluated<Vec<Series>>, PromqlError> {
    let _ = (query, start, end, step, source, scan);
    unimplemented!()
}
