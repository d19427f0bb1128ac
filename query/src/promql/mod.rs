//! PromQL: parsed by the `promql-parser` crate, evaluated here.
//!
//! A question is evaluated over all its steps at once: every node of the expression gives, for each series, one value a
//! step (or none), so that each selector asks its source once and label matching is worked out once, not once a step. What
//! Prometheus 3 answers is what we answer, float for float where its test scripts say so; native histograms are not there.
//!
//! Reading order: `parse`, `labels`, `evaluate` (the walk over the expression), `function` (one file a family),
//! `source` (where series come from), [`select`] (the series store), `answer_cache`, [`promqltest`] (scripts that say what is right).

mod answer_cache;
mod evaluate;
mod function;
mod labels;
mod parse;
pub mod promqltest;
pub mod select;
mod source;
mod summation;

use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::{LabelSet, Timestamp};
use taffrail_ingest::{Scan, StopReason};
use thiserror::Error;

pub use answer_cache::AnswerCache;
pub(crate) use parse::parse;
pub use parse::{format, selectors};
pub use select::{MetricMetadata, StoreSource};
pub use source::{SeriesSource, SourceSeries, Visit};

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

/// What an answer has to say of the parts that it is without because they are damaged.
pub fn damage_warnings(scan: &Scan) -> Vec<String> {
    scan.left_out().iter().map(|part| format!("{part} is damaged: the answer is without it")).collect()
}

/// Evaluates at one moment.
pub fn instant(
    query: &str,
    time: Timestamp,
    source: &dyn SeriesSource,
    scan: &Scan,
) -> Result<Evaluated<Answer>, PromqlError> {
    let expression = parse::parse(query)?;
    let time_ms = time.unix_millis();
    let evaluator = Evaluator::new(query, source, scan, time_ms, time_ms);
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
    let expression = parse::parse(query)?;
    let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    if step_ms == 0 {
        let message = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(PromqlError::Invalid(message.to_owned()));
    }
    let (start_ms, end_ms) = (start.unix_millis(), end.unix_millis());
    if end_ms < start_ms {
        return Err(PromqlError::Invalid("end timestamp must not be before start time".to_owned()));
    }
    if (end_ms - start_ms) / step_ms > POINTS_MAX {
        let message = "exceeded maximum resolution of 11,000 points per timeseries. \
                       Try decreasing the query resolution (?step=XX)";
        return Err(PromqlError::Invalid(message.to_owned()));
    }
    let evaluator = Evaluator::new(query, source, scan, start_ms, end_ms);
    let answer = evaluator.series(&expression, Steps::new(start_ms, end_ms, step_ms))?;
    Ok(evaluator.evaluated(answer))
}
