//! Functions, a file a family: `rate` (counters and deltas), `extended` (the same of `anchored` and `smoothed` ranges),
//! `over_time` (folds of a window), `mixed_window` (both of windows that hold histograms), `regression` (fits through a
//! window), `math` (one value at a time, trigonometry among them), `scalar` (numbers and series made of each other),
//! `relabel`, `info`, `calendar`, `sort`, `histogram`, `absent`, `log_counts` (records in windows).

mod absent;
mod calendar;
mod extended;
mod histogram;
mod info;
mod log_counts;
mod math;
mod mixed_window;
mod over_time;
mod rate;
mod regression;
mod relabel;
mod scalar;
mod sort;

use parking_lot::Mutex;

pub(super) use log_counts::refused as refused_of_records;

use super::PromqlError;
use super::annotation::Annotation;
use super::evaluate::{
    ABSENT, Cell, Evaluator, MixedWindow, RangeVector, StepSeries, Steps, Value, Window, Windows, in_order, is_absent,
    join_same_labels,
};
use super::source::{OfWindows, SourceSeries, Wanted};
use super::syntax::{Call, Expression, Span};

/// A call being evaluated.
pub(super) struct Arguments<'a, 'e> {
    pub(super) evaluator: &'a Evaluator<'e>,
    pub(super) call: &'a Call,
    pub(super) span: Span,
    pub(super) steps: Steps,
}

/// What a call gives.
pub(super) fn call(evaluator: &Evaluator<'_>, call: &Call, span: Span, steps: Steps) -> Result<Value, PromqlError> {
    let arguments = Arguments { evaluator, call, span, steps };
    let name = call.function.name;
    if let Some(counted) = log_counts::call(name, &arguments) {
        return counted;
    }
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
        info::call,
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

/// What a function asks of the windows of its range vector. What falls or rises between two levels falls or rises as much in
/// windows that sum others up; how many points there are, or how they are spread, those do not say.
fn asked_of_windows(function: &str) -> OfWindows {
    match function {
        "rate" | "increase" | "delta" | "last_over_time" | "present_over_time" | "absent_over_time" => {
            OfWindows::Levels
        }
        "min_over_time" => OfWindows::Lowest,
        "max_over_time" => OfWindows::Highest,
        _ => OfWindows::Each,
    }
}

impl<'a> Arguments<'a, '_> {
    pub(super) fn expression(&self, place: usize) -> Result<&'a Expression, PromqlError> {
        let missing = || PromqlError::Invalid(format!("{} wants more arguments", self.call.function.name));
        self.call.arguments.get(place).ok_or_else(missing)
    }

    pub(super) fn len(&self) -> usize {
        self.call.arguments.len()
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
        let wanted = Wanted { of_windows: asked_of_windows(self.call.function.name), ..Wanted::default() };
        self.evaluator.range_vector(self.expression(place)?, self.steps, wanted)
    }

    /// The same, where what can be read as native histograms should be.
    pub(super) fn range_with_histograms(&self, place: usize) -> Result<RangeVector<'a>, PromqlError> {
        let of_windows = asked_of_windows(self.call.function.name);
        let wanted = Wanted { histograms: true, of_windows, ..Wanted::default() };
        self.evaluator.range_vector(self.expression(place)?, self.steps, wanted)
    }

    /// Notes something about an argument.
    pub(super) fn annotate(&self, annotation: &Annotation<'_>, place: usize) {
        let span = self.call.arguments.get(place).map_or(self.span, |argument| argument.span);
        self.evaluator.annotate(annotation, span);
    }

    /// One value of each window's numbers: `per_series` gives what folds a series' windows, and that is given the step, its
    /// window, and where the window starts among the series' points. None leaves the step empty. Histograms are passed over;
    /// where numbers stand beside them that is noted, as being about the argument at `place`.
    pub(super) fn fold_numbers<F>(
        &self,
        range: &RangeVector<'_>,
        place: usize,
        per_series: impl Fn(&SourceSeries) -> F + Sync,
    ) -> Result<Value, PromqlError>
    where
        F: FnMut(usize, Window<'_>, usize) -> Option<f64>,
    {
        self.fold(range, false, &per_series, |folded, series| {
            range.windows.each_mixed(series, |_, window| {
                let histograms = window.histograms.iter().flatten().count();
                if histograms > 0 && histograms < window.times.len() {
                    self.annotate(&Annotation::IgnoredInMixedRange(series.labels.name()), place);
                }
            });
            let histograms = series.histograms.clone().unwrap_or_default();
            let numbers = series.clone().retained(|at| histograms[at].is_none());
            let numbers = SourceSeries { histograms: None, ..numbers };
            let mut fold = per_series(&numbers);
            range.windows.each(&numbers, |step, window, from| {
                folded.values[step] = fold(step, window, from).unwrap_or(ABSENT);
            });
        })
    }

    /// The same where `mixed` says what comes of a window that holds histograms.
    pub(super) fn fold_windows<F>(
        &self,
        range: &RangeVector<'_>,
        keep_name: bool,
        per_series: impl Fn(&SourceSeries) -> F + Sync,
        mixed: impl Fn(&SourceSeries, usize, MixedWindow<'_>) -> Cell + Sync,
    ) -> Result<Value, PromqlError>
    where
        F: FnMut(usize, Window<'_>, usize) -> Option<f64>,
    {
        self.fold(range, keep_name, per_series, |folded, series| {
            range.windows.each_mixed(series, |step, window| folded.put(step, mixed(series, step, window)));
        })
    }

    fn fold<F>(
        &self,
        range: &RangeVector<'_>,
        keep_name: bool,
        per_series: impl Fn(&SourceSeries) -> F + Sync,
        of_histograms: impl Fn(&mut StepSeries, &SourceSeries) + Sync,
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
            let mut of_series = StepSeries::of_numbers(series.labels.clone(), Vec::new());
            if series.histograms.is_some() {
                of_series.values = values;
                of_histograms(&mut of_series, &series);
                is_there = of_series.is_anywhere();
            } else {
                let mut fold = per_series(&series);
                range.windows.each(&series, |step, window, from| {
                    if let Some(value) = fold(step, window, from) {
                        values[step] = value;
                        is_there |= !is_absent(value);
                    }
                });
                of_series.values = values;
            }
            if is_there {
                of_series.drop_name = range.drops_name(place);
                if !keep_name {
                    evaluator.drop_name(&mut of_series);
                }
                folded.lock().push((place, of_series));
            }
            Ok(())
        })?;
        let folded = in_order(folded);
        if evaluator.dialect().delayed_names {
            Ok(Value::Vector(folded))
        } else {
            join_same_labels(folded).map(Value::Vector)
        }
    }
}
