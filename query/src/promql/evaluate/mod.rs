//! The walk over an expression. Every node is evaluated for all steps at once.
//!
//! `step_series` is what nodes give each other; `selector` fetches points, subqueries included, and `window` lays windows over them; `binary` works
//! on numbers and pairs of series found by `matching`; `set_operator` is `and`, `or`, `unless`; `aggregate` folds groups,
//! `rank` picks from them.

mod aggregate;
mod binary;
mod matching;
mod rank;
mod selector;
mod set_operator;
mod step_series;
mod window;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Expr, UnaryExpr};
use taffrail_ingest::Scan;

use super::labels::without_name;
use super::{Answer, Evaluated, InstantValue, PromqlError, Series, SeriesSource, function};

pub(super) use selector::{RangeVector, in_order};
pub(super) use step_series::{ABSENT, StepSeries, is_absent, join_same_labels};
pub(super) use window::{Window, Windows};

/// Values that one question may hold in memory at a time, at most (Prometheus' `query.max-samples`).
const CELLS_MAX: u64 = 50_000_000;

/// How deep expressions may nest: an evaluation takes a few kilobytes of stack a level.
const DEPTH_MAX: u32 = 150;

/// Moments at which an expression is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) start_ms: i64,
    pub(super) step_ms: i64,
    pub(super) count: usize,
}

impl Steps {
    /// From `start_ms` to `end_ms`, both included; `step_ms` is positive. No step at all when the end comes first.
    pub(super) fn new(start_ms: i64, end_ms: i64, step_ms: i64) -> Steps {
        let count = if end_ms < start_ms { 0 } else { end_ms.saturating_sub(start_ms) / step_ms + 1 };
        Steps { start_ms, step_ms, count: usize::try_from(count).unwrap_or(usize::MAX) }
    }

    pub(super) fn at(&self, step: usize) -> i64 {
        self.start_ms.saturating_add(self.step_ms.saturating_mul(step as i64))
    }

    pub(super) fn iter(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |step| self.at(step))
    }
}

/// What a node gives.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// One number a step.
    Scalar(Vec<f64>),
    /// Text, the same at every step.
    Text(String),
    /// Series with one value, or none, a step.
    Vector(Vec<StepSeries>),
}

/// One question being answered.
pub(super) struct Evaluator<'a> {
    pub(super) query: &'a str,
    source: &'a dyn SeriesSource,
    scan: &'a Scan,
    /// What `@ start()` and `@ end()` mean.
    start_ms: i64,
    end_ms: i64,
    cells: AtomicU64,
    depth: AtomicU32,
    warnings: Mutex<Vec<String>>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(
        query: &'a str,
        source: &'a dyn SeriesSource,
        scan: &'a Scan,
        start_ms: i64,
        end_ms: i64,
    ) -> Evaluator<'a> {
        Evaluator {
            query,
            source,
            scan,
            start_ms,
            end_ms,
            cells: AtomicU64::new(0),
            depth: AtomicU32::new(0),
            warnings: Mutex::default(),
        }
    }

    /// The answer with what was noted on the way.
    pub(super) fn evaluated<T>(self, value: T) -> Evaluated<T> {
        let mut warnings = self.warnings.into_inner();
        warnings.extend(super::damage_warnings(self.scan));
        Evaluated { value, warnings, infos: Vec::new() }
    }

    /// The answer at one moment.
    pub(super) fn answer(&self, expression: &Expr, time_ms: i64) -> Result<Answer, PromqlError> {
        let steps = Steps::new(time_ms, time_ms, 1);
        if expression.value_type() == ValueType::Matrix {
            return Ok(Answer::Matrix(self.range_vector(expression, steps)?.into_window()?));
        }
        Ok(match self.evaluate(expression, steps)? {
            Value::Scalar(values) => Answer::Scalar(values[0]),
            Value::Text(text) => Answer::Text(text),
            Value::Vector(series) => {
                let present = series.into_iter().filter(|series| !is_absent(series.values[0]));
                Answer::Vector(present.map(|s| InstantValue { value: s.values[0], labels: s.labels }).collect())
            }
        })
    }

    /// The answer at every step, sorted by labels.
    pub(super) fn series(&self, expression: &Expr, steps: Steps) -> Result<Vec<Series>, PromqlError> {
        let mut series = match expression.value_type() {
            ValueType::Matrix | ValueType::String => {
                let kind = if expression.value_type() == ValueType::String { "string" } else { "range vector" };
                return Err(PromqlError::Invalid(format!(
                    "invalid expression type \"{kind}\" for range query, must be Scalar or instant Vector"
                )));
            }
            _ => match self.evaluate(expression, steps)? {
                Value::Scalar(values) => vec![StepSeries { labels: Default::default(), values }],
                Value::Vector(series) => series,
                Value::Text(_) => Vec::new(),
            },
        };
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        let present = series.into_iter().map(|series| series.into_series(steps));
        Ok(present.filter(|series| !series.points.is_empty()).collect())
    }

    /// A node's value. Range vectors have none: they are arguments, see [`Evaluator::range_vector`].
    pub(super) fn evaluate(&self, expression: &Expr, steps: Steps) -> Result<Value, PromqlError> {
        if self.depth.load(Relaxed) >= DEPTH_MAX {
            return Err(PromqlError::Invalid(format!("the expression nests deeper than {DEPTH_MAX} levels")));
        }
        self.depth.fetch_add(1, Relaxed);
        let value = self.evaluate_node(expression, steps);
        self.depth.fetch_sub(1, Relaxed);
        value
    }

    fn evaluate_node(&self, expression: &Expr, steps: Steps) -> Result<Value, PromqlError> {
        match expression {
            Expr::NumberLiteral(number) => self.scalar(vec![number.val; steps.count]),
            Expr::StringLiteral(text) => Ok(Value::Text(text.val.clone())),
            Expr::Paren(inner) => self.evaluate(&inner.expr, steps),
            Expr::Unary(negation) => self.negate(negation, steps),
            Expr::VectorSelector(selector) => self.instant_selector(selector, steps, false).map(Value::Vector),
            Expr::Binary(binary) => self.binary(binary, steps),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, steps).map(Value::Vector),
            Expr::Call(call) => function::call(self, call, steps),
            Expr::MatrixSelector(_) | Expr::Subquery(_) => {
                Err(PromqlError::Invalid("a range vector stands where an instant vector is wanted".to_owned()))
            }
            Expr::Extension(_) => Err(PromqlError::Invalid("the expression holds an unknown extension".to_owned())),
        }
    }

    fn negate(&self, negation: &UnaryExpr, steps: Steps) -> Result<Value, PromqlError> {
        match self.evaluate(&negation.expr, steps)? {
            Value::Scalar(values) => Ok(Value::Scalar(values.into_iter().map(|value| -value).collect())),
            Value::Vector(series) => self.map(series, |value| -value),
            Value::Text(_) => Err(PromqlError::Invalid("text cannot be negated".to_owned())),
        }
    }

    /// The same function of every value; the name goes, since the result is another metric.
    pub(super) fn map(&self, mut series: Vec<StepSeries>, function: impl Fn(f64) -> f64) -> Result<Value, PromqlError> {
        for one in &mut series {
            one.labels = without_name(&one.labels);
            one.values.iter_mut().filter(|value| !is_absent(**value)).for_each(|value| *value = function(*value));
        }
        join_same_labels(series).map(Value::Vector)
    }

    /// A node that gives series.
    pub(super) fn vector(&self, expression: &Expr, steps: Steps) -> Result<Vec<StepSeries>, PromqlError> {
        match self.evaluate(expression, steps)? {
            Value::Vector(series) => Ok(series),
            Value::Scalar(_) | Value::Text(_) => Err(PromqlError::Invalid("an instant vector is wanted".to_owned())),
        }
    }

    /// A node that gives one number a step.
    pub(super) fn numbers(&self, expression: &Expr, steps: Steps) -> Result<Vec<f64>, PromqlError> {
        match self.evaluate(expression, steps)? {
            Value::Scalar(values) => Ok(values),
            Value::Vector(_) | Value::Text(_) => Err(PromqlError::Invalid("a scalar is wanted".to_owned())),
        }
    }

    /// A node that gives text.
    pub(super) fn text(&self, expression: &Expr, steps: Steps) -> Result<String, PromqlError> {
        match self.evaluate(expression, steps)? {
            Value::Text(text) => Ok(text),
            Value::Vector(_) | Value::Scalar(_) => Err(PromqlError::Invalid("text is wanted".to_owned())),
        }
    }

    fn scalar(&self, values: Vec<f64>) -> Result<Value, PromqlError> {
        self.hold(values.len())?;
        Ok(Value::Scalar(values))
    }

    /// Counts values that are about to be held in memory, and stops a question that wants too many, or lasts too long.
    pub(super) fn hold(&self, values: usize) -> Result<(), PromqlError> {
        let cells = self.cells.fetch_add(values as u64, Relaxed).saturating_add(values as u64);
        if cells > CELLS_MAX {
            let message = "query processing would load too many samples into memory in query execution";
            return Err(PromqlError::Execution(message.to_owned()));
        }
        self.scan.touch(0, 0).map_err(PromqlError::Stopped)
    }

    /// Notes something that may be wrong with the data, once; `at` is the word of the query that it is about.
    pub(super) fn warn(&self, message: &str, at: &str) {
        let text = format!("PromQL warning: {message} ({})", super::parse::position_of(self.query, at));
        let mut warnings = self.warnings.lock();
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    pub(super) fn query_bounds(&self) -> (i64, i64) {
        (self.start_ms, self.end_ms)
    }
}

#[cfg(test)]
mod tests;
