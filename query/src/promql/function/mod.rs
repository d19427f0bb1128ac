//! Functions, a file a family: `rate` (counters and deltas), `over_time` (folds of a window), `regression` (fits through a
//! window), `math` (one value at a time, trigonometry among them), `scalar` (numbers and series made of each other),
//! `relabel`, `calendar`, `sort`, `histogram` (classic buckets), `absent`.

mod absent;
mod calendar;
mod histogram;
mod math;
mod over_time;
mod rate;
mod regression;
mod relabel;
mod scalar;
mod sort;

use promql_parser::parser::{Call, Expr};

use super::PromqlError;
use super::evaluate::{ABSENT, Evaluator, RangeVector, StepSeries, Steps, Value, is_absent, join_same_labels};
use super::labels::without_name;

/// A call being evaluated.
pub(super) struct Arguments<'a, 'e> {
    pub(super) evaluator: &'a Evaluator<'e>,
    pub(super) call: &'a Call,
    pub(super) steps: Steps,
}

/// What a call gives.
pub(super) fn call(evaluator: &Evaluator<'_>, call: &Call, steps: Steps) -> Result<Value, PromqlError> {
    let arguments = Arguments { evaluator, call, steps };
    let name = call.func.name;
    if let Some(function) = math::function(name) {
        return evaluator.map(arguments.vector(0)?, function);
    }
    let families = [
        over_time::call,
        rate::call,
        regression::call,
        scalar::call,
        calendar::call,
        relabel::call,
        sort::call,
        histogram::call,
        absent::call,
    ];
    for family in families {
        if let Some(value) = family(name, &arguments) {
            return value;
        }
    }
    Err(PromqlError::Execution(format!("the function {name} is not supported")))
}

impl<'a> Arguments<'a, '_> {
    pub(super) fn expression(&self, place: usize) -> Result<&'a Expr, PromqlError> {
        let missing = || PromqlError::Invalid(format!("{} wants more arguments", self.call.func.name));
        self.call.args.args.get(place).map(|argument| &**argument).ok_or_else(missing)
    }

    pub(super) fn len(&self) -> usize {
        self.call.args.len()
    }

    pub(super) fn vector(&self, place: usize) -> Result<Vec<StepSeries>, PromqlError> {
        self.evaluator.vector(self.expression(place)?, self.steps)
    }

    pub(super) fn numbers(&self, place: usize) -> Result<Vec<f64>, PromqlError> {
        self.evaluator.numbers(self.expression(place)?, self.steps)
    }

    pub(super) fn text(&self, place: usize) -> Result<String, PromqlError> {
        self.evaluator.text(self.expression(place)?, self.steps)
    }

    pub(super) fn range_vector(&self, place: usize) -> Result<RangeVector, PromqlError> {
        self.evaluator.range_vector(self.expression(place)?, self.steps)
    }

    /// One value of each window of the range vector in place `place`: `fold` is given the step, its window, and where the
    /// window starts among the series' points. None leaves the step empty.
    pub(super) fn fold_windows<'f, F>(
        &self,
        range: &RangeVector,
        keep_name: bool,
        mut per_series: impl FnMut(&[(i64, f64)]) -> F,
    ) -> Result<Value, PromqlError>
    where
        F: FnMut(usize, &[(i64, f64)], usize) -> Option<f64> + 'f,
    {
        let mut folded = Vec::with_capacity(range.series.len());
        for series in &range.series {
            self.evaluator.hold(self.steps.count)?;
            let mut values = vec![ABSENT; self.steps.count];
            let mut fold = per_series(&series.points);
            range.each_window(series, |step, window, from| {
                if let Some(value) = fold(step, window, from) {
                    values[step] = value;
                }
            });
            if values.iter().any(|&value| !is_absent(value)) {
                let labels = if keep_name { series.labels.clone() } else { without_name(&series.labels) };
                folded.push(StepSeries { labels, values });
            }
        }
        join_same_labels(folded).map(Value::Vector)
    }
}
