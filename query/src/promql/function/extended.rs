//! `rate`, `increase`, `delta`, `changes` and `resets` over `anchored` and `smoothed` ranges
//! (<https://github.com/prometheus/proposals/blob/main/proposals/2025-04-04_extended-range-selectors-semantics.md>): the value
//! at a border is that of the point before it, or lies on a straight line between the points around it. Nothing is
//! extrapolated.

use super::super::PromqlError;
use super::super::evaluate::RangeVector;
use super::super::syntax::Extension;
use super::{ABSENT, Arguments, SourceSeries, StepSeries, Value, in_order, join_same_labels};

/// What is asked of the points.
#[derive(Clone, Copy)]
pub(super) enum Asked {
    Change { counter: bool, per_second: bool },
    Changes,
    Resets,
}

pub(super) fn call(
    arguments: &Arguments<'_, '_>,
    range: &RangeVector<'_>,
    extension: Extension,
    asked: Asked,
) -> Result<Value, PromqlError> {
    let found = parking_lot::Mutex::new(Vec::new());
    let smoothed = extension == Extension::Smoothed;
    let lookback_ms = arguments.evaluator.dialect().lookback_ms;
    range.visit(&|place, series| {
        arguments.evaluator.hold(arguments.steps.count)?;
        // Histograms have no extended ranges.
        let series = match series.histograms.clone() {
            None => series,
            Some(histograms) => SourceSeries { histograms: None, ..series.retained(|at| histograms[at].is_none()) },
        };
        let of_step = |&end: &i64| of_window(&series, (end, range.windows.range_ms, lookback_ms), smoothed, asked);
        let values: Vec<f64> = range.windows.ends_ms.iter().map(|end| of_step(end).unwrap_or(ABSENT)).collect();
        let mut folded = StepSeries::of_numbers(series.labels.clone(), values);
        if folded.is_anywhere() {
            arguments.evaluator.drop_name(&mut folded);
            found.lock().push((place, folded));
        }
        Ok(())
    })?;
    let found = in_order(found);
    if arguments.evaluator.dialect().delayed_names {
        return Ok(Value::Vector(found));
    }
    join_same_labels(found).map(Value::Vector)
}

fn of_window(
    series: &SourceSeries,
    (end, range_ms, lookback_ms): (i64, i64, i64),
    smoothed: bool,
    asked: Asked,
) -> Option<f64> {
    let start = end.saturating_sub(range_ms);
    let within = |from: i64, to: i64| {
        let first = series.times.partition_point(|&time| time <= from);
        first..series.times.partition_point(|&time| time <= to).max(first)
    };
    let after = if smoothed { lookback_ms } else { 0 };
    let near = within(start.saturating_sub(lookback_ms), end.saturating_add(after));
    let (times, values) = (&series.times[near.clone()], &series.values[near]);
    if times.is_empty() {
        return None;
    }
    // From the last point not after the start, or the first there is, to the first not before the end, or the last.
    let first = times.partition_point(|&time| time <= start).saturating_sub(1);
    let last = match smoothed {
        true => times.partition_point(|&time| time < end).min(times.len() - 1),
        false => times.len() - 1,
    };
    if times[last] <= start {
        return None;
    }
    let (counter, per_second) = match asked {
        Asked::Change { counter, per_second } => (counter, per_second),
        Asked::Changes => {
            let differ = |pair: &[f64]| pair[0] != pair[1] && !(pair[0].is_nan() && pair[1].is_nan());
            return Some(values[first..=last].windows(2).filter(|pair| differ(pair)).count() as f64);
        }
        Asked::Resets => {
            return Some(values[first..=last].windows(2).filter(|pair| pair[1] < pair[0]).count() as f64);
        }
    };
    let left = match smoothed && times[first] < start && first < last {
        true => between((times, values), first, start, counter, true),
        false => values[first],
    };
    let right = match smoothed && last > 0 && times[last] > end {
        true => between((times, values), last - 1, end, counter, false),
        false => values[last],
    };
    let mut change = right - left;
    if counter {
        // At the borders restarts are in the values already.
        let from = first + usize::from(times[first] <= start);
        let to = last + usize::from(times[last] < end);
        let mut before = left;
        for &value in values.get(from..to).unwrap_or_default() {
            if value < before {
                change += before;
            }
            before = value;
        }
        if right < before {
            change += before;
        }
    }
    Some(if per_second { change / (range_ms as f64 / 1000.0) } else { change })
}

/// The value at a moment between a point and the next. A counter that fell between them rose from zero, or went on to.
fn between((times, values): (&[i64], &[f64]), at: usize, moment: i64, counter: bool, at_start: bool) -> f64 {
    let (mut low, mut high) = (values[at], values[at + 1]);
    if counter && high < low {
        if at_start {
            low = 0.0;
        } else {
            high += low;
        }
    }
    low + (high - low) * ((moment - times[at]) as f64 / (times[at + 1] - times[at]) as f64)
}
