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

use parking_lot::Mutex;
use promql_parser::parser::{Call, Expr};

use super::PromqlError;
use super::evaluate::{
    ABSENT, Evaluator, RangeVector, StepSeries, Steps, Value, Window, Windows, in_order, is_absent, join_same_labels,
};
use super::labels::without_name;
use super::source::SourceSeries;

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

    pub(super) fn range_vector(&self, place: usize) -> Result<RangeVector<'a>, PromqlError> {
        self.evaluator.range_vector(self.expression(place)?, self.steps)
    }

    /// One value of each window of the range vector: `per_series` gives what folds a series' windows, and that is given the
    /// step, its window, and where the window starts among the series' points. None leaves the step empty.
    pub(super) fn fold_windows<F>(
        &self,
        range: &RangeVector<'_>,
        keep_name: bool,
        per_series: impl Fn(&SourceSeries) -> F + Sync,
    ) -> Result<Value, PromqlError>
    where
        F: FnMut(usize, Window<'_>, usize) -> Option<f64>,
    {
        let (evaluator, count) = (self.evaluator, self.steps.count);
        let folded = Mutex::new(Vec::new());
        range.visit(&|place, series| {
            evaluator.hold(count)?;
            let mut values = vec![ABSENT; count];
            let mut is_there = false;
            let mut fold = per_series(&series);
            range.windows.each(&series, |step, window, from| {
                if let Some(value) = fold(step, window, from) {
                    values[step] = value;
                    is_there |= !is_absent(value);
                }
            });
            if is_there {
                let labels = if keep_name { series.labels } else { without_name(&series.labels) };
                folded.lock().push((place, StepSeries { labels, values }));
            }
            Ok(())
        })?;
        join_same_labels(in_order(folded)).map(Value::Vector)
    }
}
