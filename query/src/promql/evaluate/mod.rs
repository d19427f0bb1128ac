//! The walk over an expression. Every node is evaluated for all steps at once.
//!
//! `step_series` is what nodes give each other; `selector` fetches points, subqueries included, and `window` lays windows over them; `binary` works
//! on numbers and pairs of series found by `matching` (`operation` says what two values give); `set_operator` is `and`, `or`, `unless`; `aggregate` folds groups,
//! `rank` picks from them. `log_counts` is what records of the log store count as.

mod aggregate;
mod binary;
pub(super) mod log_counts;
mod matching;
mod operation;
mod rank;
mod selector;
mod set_operator;
mod step_series;
mod window;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use taffrail_ingest::Scan;

use super::annotation::{Annotation, Annotations};
use super::labels::without_name;
use super::syntax::{DurationExpression, Expression, Kind, Length, Operator, Span, ValueType, milliseconds};
use super::{Answer, Dialect, Evaluated, InstantValue, PromqlError, Series, SeriesSource, Wanted, function};

use log_counts::LabelsWanted;
pub(super) use selector::{RangeVector, in_order};
pub(super) use step_series::{ABSENT, Cell, StepSeries, is_absent, join_same_labels, without_dropped_names};
pub(super) use window::{MixedWindow, Window, Windows};

/// Values that one question may hold in memory at a time, at most (Prometheus' `query.max-samples`).
const CELLS_MAX: u64 = 50_000_000;

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
    dialect: Dialect,
    source: &'a dyn SeriesSource,
    scan: &'a Scan,
    /// What `@ start()` and `@ end()` mean.
    start_ms: i64,
    end_ms: i64,
    /// What `step()` means; 0 of an instant query.
    step_ms: i64,
    cells: AtomicU64,
    /// How many functions lie around that read nothing but counts and sums of histograms.
    only_totals: AtomicU32,
    /// How many functions lie around that take histograms.
    histograms_wanted: AtomicU32,
    /// What the aggregation around asks of the labels of records.
    labels_wanted: Mutex<LabelsWanted>,
    annotations: Annotations,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(
        query: &'a str,
        dialect: Dialect,
        source: &'a dyn SeriesSource,
        scan: &'a Scan,
        (start_ms, end_ms): (i64, i64),
        step_ms: i64,
    ) -> Evaluator<'a> {
        Evaluator {
            query,
            dialect,
            source,
            scan,
            start_ms,
            end_ms,
            step_ms,
            cells: AtomicU64::new(0),
            only_totals: AtomicU32::new(0),
            histograms_wanted: AtomicU32::new(0),
            labels_wanted: Mutex::default(),
            annotations: Annotations::default(),
        }
    }

    /// The answer with what was noted on the way.
    pub(super) fn evaluated<T>(self, value: T) -> Evaluated<T> {
        let (mut warnings, infos) = self.annotations.shown(self.query);
        warnings.extend(super::damage_warnings(self.scan));
        Evaluated { value, warnings, infos }
    }

    /// The answer at one moment.
    pub(super) fn answer(&self, expression: &Expression, time_ms: i64) -> Result<Answer, PromqlError> {
        let steps = Steps::new(time_ms, time_ms, 1);
        if expression.value_type() == ValueType::Matrix {
            return Ok(Answer::Matrix(self.range_vector(expression, steps, Wanted::default())?.into_window()?));
        }
        Ok(match self.evaluate(expression, steps)? {
            Value::Scalar(values) => Answer::Scalar(values[0]),
            Value::Text(text) => Answer::Text(text),
            Value::Vector(series) => {
                let series = named(series)?;
                let present = series.into_iter().filter(|series| series.is_there(0));
                let shown = present.map(|series| {
                    let histogram = series.histogram(0).cloned();
                    let value = histogram.as_ref().map_or(series.values[0], |histogram| histogram.count);
                    InstantValue { labels: series.labels, value, histogram }
                });
                Answer::Vector(shown.collect())
            }
        })
    }

    /// The answer at every step, sorted by labels.
    pub(super) fn series(&self, expression: &Expression, steps: Steps) -> Result<Vec<Series>, PromqlError> {
        let kind = expression.value_type();
        if matches!(kind, ValueType::Matrix | ValueType::Text) {
            return Err(PromqlError::Invalid(format!(
                "invalid expression type {:?} for range query, must be Scalar or instant Vector",
                kind.name()
            )));
        }
        let mut series = match self.evaluate(expression, steps)? {
            Value::Scalar(values) => vec![StepSeries::of_numbers(Default::default(), values)],
            Value::Vector(series) => named(series)?,
            Value::Text(_) => Vec::new(),
        };
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        let present = series.into_iter().map(|series| series.into_series(steps));
        Ok(present.filter(|series| !series.is_empty()).collect())
    }

    /// A node's value. Range vectors have none: they are arguments, see [`Evaluator::range_vector`]. How deep this recurses is
    /// bounded by the parser.
    pub(super) fn evaluate(&self, expression: &Expression, steps: Steps) -> Result<Value, PromqlError> {
        match &expression.kind {
            Kind::Number { value, .. } => self.scalar(vec![*value; steps.count]),
            Kind::Text(text) => Ok(Value::Text(text.clone())),
            Kind::Parentheses(inner) => self.evaluate(inner, steps),
            Kind::Sign { minus: true, of } => self.negate(of, steps),
            Kind::Sign { minus: false, of } => self.evaluate(of, steps),
            Kind::Selector(selector) => self.instant_selector(selector, steps, false).map(Value::Vector),
            Kind::Binary(binary) => self.binary(binary, expression.span, steps),
            Kind::Aggregation(aggregation) => self.aggregate(aggregation, steps).map(Value::Vector),
            Kind::Call(call) => function::call(self, call, expression.span, steps),
            Kind::Range { .. } | Kind::Subquery(_) => {
                Err(PromqlError::Invalid("a range vector stands where an instant vector is wanted".to_owned()))
            }
        }
    }

    fn negate(&self, of: &Expression, steps: Steps) -> Result<Value, PromqlError> {
        match self.evaluate(of, steps)? {
            Value::Scalar(values) => Ok(Value::Scalar(values.into_iter().map(|value| -value).collect())),
            Value::Vector(mut series) => {
                for one in &mut series {
                    one.values.iter_mut().filter(|value| !is_absent(**value)).for_each(|value| *value = -*value);
                    for histogram in one.histograms.iter_mut().flatten().flatten() {
                        std::sync::Arc::make_mut(histogram).multiply(-1.0);
                    }
                }
                self.renamed(series)
            }
            Value::Text(_) => Err(PromqlError::Invalid("text cannot be negated".to_owned())),
        }
    }

    /// The same function of every number; histograms go, and so does the name, since the result is another metric.
    pub(super) fn map(&self, mut series: Vec<StepSeries>, function: impl Fn(f64) -> f64) -> Result<Value, PromqlError> {
        for one in &mut series {
            one.histograms = None;
            one.values.iter_mut().filter(|value| !is_absent(**value)).for_each(|value| *value = function(*value));
        }
        self.renamed(series)
    }

    /// Series that are other metrics than they were: their names go, now or at the end.
    pub(super) fn renamed(&self, mut series: Vec<StepSeries>) -> Result<Value, PromqlError> {
        series.iter_mut().for_each(|one| self.drop_name(one));
        series.retain(StepSeries::is_anywhere);
        if self.dialect.delayed_names { Ok(Value::Vector(series)) } else { join_same_labels(series).map(Value::Vector) }
    }

    pub(super) fn drop_name(&self, series: &mut StepSeries) {
        if self.dialect.delayed_names {
            series.drop_name = true;
        } else {
            series.labels = without_name(&series.labels);
        }
    }

    /// A node that gives series.
    pub(super) fn vector(&self, expression: &Expression, steps: Steps) -> Result<Vec<StepSeries>, PromqlError> {
        match self.evaluate(expression, steps)? {
            Value::Vector(series) => Ok(series),
            Value::Scalar(_) | Value::Text(_) => Err(PromqlError::Invalid("an instant vector is wanted".to_owned())),
        }
    }

    /// A node that gives one number a step.
    pub(super) fn numbers(&self, expression: &Expression, steps: Steps) -> Result<Vec<f64>, PromqlError> {
        match self.evaluate(expression, steps)? {
            Value::Scalar(values) => Ok(values),
            Value::Vector(_) | Value::Text(_) => Err(PromqlError::Invalid("a scalar is wanted".to_owned())),
        }
    }

    /// A node that gives text.
    pub(super) fn text(&self, expression: &Expression, steps: Steps) -> Result<String, PromqlError> {
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

    /// Notes something that may be wrong with the data or the question; `span` is what it is about.
    pub(super) fn annotate(&self, annotation: &Annotation<'_>, span: Span) {
        self.annotations.add(annotation, span);
    }

    /// What is evaluated in `within` is read for counts and sums of histograms only.
    pub(super) fn reading_totals<T>(&self, within: impl FnOnce() -> T) -> T {
        self.only_totals.fetch_add(1, Relaxed);
        let found = within();
        self.only_totals.fetch_sub(1, Relaxed);
        found
    }

    /// What is evaluated in `within` is read as native histograms where it can be.
    pub(super) fn reading_histograms<T>(&self, within: impl FnOnce() -> T) -> T {
        self.histograms_wanted.fetch_add(1, Relaxed);
        let found = within();
        self.histograms_wanted.fetch_sub(1, Relaxed);
        found
    }

    /// What is evaluated in `within` gives the labels of records that are wanted.
    fn wanting_labels<T>(&self, labels: LabelsWanted, within: impl FnOnce() -> T) -> T {
        let before = std::mem::replace(&mut *self.labels_wanted.lock(), labels);
        let found = within();
        *self.labels_wanted.lock() = before;
        found
    }

    pub(super) fn reads_histograms(&self) -> bool {
        self.histograms_wanted.load(Relaxed) > 0 || self.reads_only_totals()
    }

    pub(super) fn reads_only_totals(&self) -> bool {
        self.only_totals.load(Relaxed) > 0
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The step of a range query in milliseconds; 0 of an instant query.
    pub(super) fn step_ms(&self) -> i64 {
        self.step_ms
    }

    /// The milliseconds of a length that may depend on the query's step and range.
    pub(super) fn length_ms(&self, length: &Length) -> Result<i64, PromqlError> {
        let (span, expression) = match length {
            Length::Known(ms) => return Ok(*ms),
            Length::Expression(span, expression) => (*span, expression),
        };
        let refused = |message: &str| {
            let at = super::syntax::position(self.query, span.start);
            PromqlError::Invalid(format!("{at}: parse error: {message}"))
        };
        let seconds = self.seconds(expression).map_err(refused)?;
        milliseconds(seconds).ok_or_else(|| refused("duration out of range"))
    }

    /// The same of a length that must be more than nothing.
    pub(super) fn positive_ms(&self, length: &Length) -> Result<i64, PromqlError> {
        let ms = self.length_ms(length)?;
        if ms <= 0 {
            let at = match length {
                Length::Expression(span, _) => super::syntax::position(self.query, span.start),
                Length::Known(_) => "1:1".to_owned(),
            };
            return Err(PromqlError::Invalid(format!("{at}: parse error: duration must be greater than 0")));
        }
        Ok(ms)
    }

    fn seconds(&self, expression: &DurationExpression) -> Result<f64, &'static str> {
        let range_ms = self.end_ms.saturating_sub(self.start_ms);
        Ok(match expression {
            DurationExpression::Number(seconds, _) => *seconds,
            DurationExpression::Step => self.step_ms as f64 / 1000.0,
            DurationExpression::Range => range_ms as f64 / 1000.0,
            DurationExpression::Negative(of) => -self.seconds(of)?,
            DurationExpression::Parentheses(of) => self.seconds(of)?,
            DurationExpression::Least(a, b) => self.seconds(a)?.min(self.seconds(b)?),
            DurationExpression::Greatest(a, b) => self.seconds(a)?.max(self.seconds(b)?),
            DurationExpression::Arithmetic(operator, a, b) => {
                let (a, b) = (self.seconds(a)?, self.seconds(b)?);
                match operator {
                    Operator::Add => a + b,
                    Operator::Subtract => a - b,
                    Operator::Multiply => a * b,
                    Operator::Divide if b == 0.0 => return Err("division by zero"),
                    Operator::Divide => a / b,
                    Operator::Modulo if b == 0.0 => return Err("modulo by zero"),
                    Operator::Modulo => a % b,
                    _ => a.powf(b),
                }
            }
        })
    }

    pub(super) fn query_bounds(&self) -> (i64, i64) {
        (self.start_ms, self.end_ms)
    }
}

/// Series as they are shown: names that were to go have gone.
fn named(series: Vec<StepSeries>) -> Result<Vec<StepSeries>, PromqlError> {
    // Otherwise all names went as soon as they had to, and nothing is there twice.
    let late = series.iter().any(|one| one.drop_name);
    if late { join_same_labels(without_dropped_names(series)) } else { Ok(series) }
}

#[cfg(test)]
mod tests;
