//! PromQL: read by [`syntax`], evaluated here.
//!
//! A question is evaluated over all its steps at once: every node of the expression gives, for each series, one value a
//! step (or none), so that each selector asks its source once and label matching is worked out once, not once a step. What
//! Prometheus 3 answers is what we answer, float for float where its test scripts say so. Native histograms lie beside the
//! numbers, so that series of numbers only are as quick as if there were none.
//!
//! Reading order: `syntax`, `selection` (conditions of selectors), `labels`, `histogram`, `annotation`, `evaluate` (the walk
//! over the expression), `function` (one file a family), `source` (where series come from), `log_series` (those that records are read as), [`select`] (the series store),
//! `answer_cache`, [`promqltest`] (scripts that say what is right).

mod annotation;
mod answer_cache;
mod evaluate;
mod function;
pub mod histogram;
mod labels;
#[cfg(test)]
mod log_count_tests;
mod log_series;
pub mod promqltest;
pub mod select;
mod selection;
mod source;
mod summation;
pub(crate) mod syntax;

use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::{LabelSet, Timestamp};
use taffrail_ingest::{Scan, StopReason};
use thiserror::Error;

pub use answer_cache::AnswerCache;
pub use evaluate::log_counts::{LABELS as LOG_LABELS, LOGS_COUNT, QUERY_LABEL as LOG_QUERY_LABEL};
pub use histogram::Histogram;
pub use select::{MetricMetadata, StoreSource};
pub use selection::{only_selector, selectors};
pub use source::{OfWindows, SeriesSource, SourceSeries, Visit, Wanted};

use evaluate::{Evaluator, Steps};

/// A range query gives at most this many points a series, as in Prometheus.
pub const POINTS_MAX: i64 = 11_000;

/// How far back an instant selector looks for a point, in milliseconds.
pub const LOOKBACK_MS: i64 = 5 * 60 * 1_000;

/// The value that says "the series ended here" (Prometheus' staleness marker: a NaN with these bits).
pub use taffrail_collector::model::STALE;

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name and labels.
    pub labels: Arc<LabelSet>,
    /// (milliseconds since the epoch, value), by rising time.
    pub points: Vec<(i64, f64)>,
    /// The same of its native histograms; no moment is in both.
    pub histograms: Vec<(i64, Arc<Histogram>)>,
}

impl Series {
    /// A series of numbers.
    pub fn of_numbers(labels: Arc<LabelSet>, points: Vec<(i64, f64)>) -> Series {
        Series { labels, points, histograms: Vec::new() }
    }

    /// Whether it has no point at all.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.histograms.is_empty()
    }
}

/// One series at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct InstantValue {
    /// Name and labels.
    pub labels: Arc<LabelSet>,
    /// The value; of a histogram its count.
    pub value: f64,
    /// The histogram, when it is one.
    pub histogram: Option<Arc<Histogram>>,
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

/// What an answer has to say of the parts that it is without because they are damaged.
pub fn damage_warnings(scan: &Scan) -> Vec<String> {
    scan.left_out().iter().map(|part| format!("{part} is damaged: the answer is without it")).collect()
}

/// In what a question may be read otherwise than Prometheus reads it without flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Names of derived series go at the end only, so that functions of labels still see them.
    pub(crate) delayed_names: bool,
    /// Whether something is a counter is guessed from its name. Our store knows it.
    pub(crate) guessed_counters: bool,
    /// How far back instant selectors look, in milliseconds.
    pub(crate) lookback_ms: i64,
}

impl Dialect {
    /// As Prometheus reads a question without flags.
    pub(crate) const PLAIN: Dialect =
        Dialect { delayed_names: false, guessed_counters: false, lookback_ms: LOOKBACK_MS };

    /// The same with another lookback; none, or one of no length, is the usual one.
    fn looking_back(lookback: Option<Duration>) -> Dialect {
        let lookback = lookback.filter(|lookback| !lookback.is_zero());
        let lookback_ms = lookback.map_or(LOOKBACK_MS, |one| i64::try_from(one.as_millis()).unwrap_or(i64::MAX).max(1));
        Dialect { lookback_ms, ..Dialect::PLAIN }
    }
}

/// The query laid out over lines, as Prometheus' `format_query` does.
pub fn format(query: &str) -> Result<String, PromqlError> {
    syntax::parse(query).map(|expression| expression.pretty())
}

/// The query's tree, as Prometheus' `parse_query` gives it.
pub fn outline(query: &str) -> Result<serde_json::Value, PromqlError> {
    syntax::parse(query).map(|expression| expression.outline())
}

/// Evaluates at one moment.
pub fn instant(
    query: &str,
    time: Timestamp,
    source: &dyn SeriesSource,
    scan: &Scan,
) -> Result<Evaluated<Answer>, PromqlError> {
    instant_in(Dialect::PLAIN, query, time, source, scan)
}

/// The same, with instant selectors that look back so far.
pub fn instant_looking_back(
    query: &str,
    time: Timestamp,
    lookback: Option<Duration>,
    source: &dyn SeriesSource,
    scan: &Scan,
) -> Result<Evaluated<Answer>, PromqlError> {
    instant_in(Dialect::looking_back(lookback), query, time, source, scan)
}

pub(crate) fn instant_in(
    dialect: Dialect,
    query: &str,
    time: Timestamp,
    source: &dyn SeriesSource,
    scan: &Scan,
) -> Result<Evaluated<Answer>, PromqlError> {
    let expression = syntax::parse(query)?;
    let time_ms = time.unix_millis();
    let evaluator = Evaluator::new(query, dialect, source, scan, (time_ms, time_ms), 0);
    let answer = evaluator.answer(&expression, time_ms)?;
    Ok(evaluator.evaluated(answer))
}

/// Evaluates from `start` to `end`, both included, every `step`; series sorted by labels.
pub fn range(
    query: &str,
    start: Timestamp,
    end: Timestamp,
    step: Duration,
    source: &dyn SeriesSource,
    scan: &Scan,
) -> Result<Evaluated<Vec<Series>>, PromqlError> {
    range_in(Dialect::PLAIN, query, (start, end, step), source, scan)
}

/// The same, with instant selectors that look back so far.
pub fn range_looking_back(
    query: &str,
    range: (Timestamp, Timestamp, Duration),
    lookback: Option<Duration>,
    source: &dyn SeriesSource,
    scan: &Scan,
) -> Result<Evaluated<Vec<Series>>, PromqlError> {
    range_in(Dialect::looking_back(lookback), query, range, source, scan)
}

pub(crate) fn range_in(
    dialect: Dialect,
    query: &str,
    (start, end, step): (Timestamp, Timestamp, Duration),
    source: &dyn SeriesSource,
    scan: &Scan,
) -> Result<Evaluated<Vec<Series>>, PromqlError> {
    let expression = syntax::parse(query)?;
    let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    if step_ms == 0 {
        let message = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(PromqlError::Invalid(message.to_owned()));
    }
    let (start_ms, end_ms) = (start.unix_millis(), end.unix_millis());
    if end_ms < start_ms {
        return Err(PromqlError::Invalid("end timestamp must not be before start time".to_owned()));
    }
    if end_ms.saturating_sub(start_ms) / step_ms > POINTS_MAX {
        let message = "exceeded maximum resolution of 11,000 points per timeseries. \
                       Try decreasing the query resolution (?step=XX)";
        return Err(PromqlError::Invalid(message.to_owned()));
    }
    let evaluator = Evaluator::new(query, dialect, source, scan, (start_ms, end_ms), step_ms);
    let answer = evaluator.series(&expression, Steps::new(start_ms, end_ms, step_ms))?;
    Ok(evaluator.evaluated(answer))
}
