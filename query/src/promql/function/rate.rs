//! `rate`, `increase`, `delta` (extrapolated to the window's ends), `irate`, `idelta` (the last two points), `resets`,
//! `changes`.
//!
//! A counter that falls has started again from zero. Where it did is worked out once over all points, so that a window costs
//! as much as there are resets in it, however long it is.

use std::sync::Arc;

use super::super::PromqlError;
use super::super::annotation::Annotation;
use super::super::evaluate::RangeVector;
use super::extended::{self, Asked};
use super::{Arguments, Cell, MixedWindow, Value, Window, Windows, mixed_window};

/// What a function makes of a range vector.
type Evaluate = fn(&Arguments<'_, '_>, &RangeVector<'_>) -> Result<Value, PromqlError>;

pub(super) fn call(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    let (asked, evaluate): (Asked, Evaluate) = match name {
        "rate" => (Asked::Change { counter: true, per_second: true }, |a, r| extrapolated(a, r, true, true)),
        "increase" => (Asked::Change { counter: true, per_second: false }, |a, r| extrapolated(a, r, true, false)),
        "delta" => (Asked::Change { counter: false, per_second: false }, |a, r| extrapolated(a, r, false, false)),
        "irate" => (Asked::Change { counter: true, per_second: true }, |a, r| latest(a, r, true)),
        "idelta" => (Asked::Change { counter: false, per_second: false }, |a, r| latest(a, r, false)),
        "resets" => (Asked::Resets, |arguments, range| {
            counted(arguments, range, |before, after| after < before, mixed_window::resets)
        }),
        "changes" => (Asked::Changes, |arguments, range| {
            let differ = |before: f64, after: f64| before != after && !(before.is_nan() && after.is_nan());
            counted(arguments, range, differ, mixed_window::changes)
        }),
        _ => return None,
    };
    Some(arguments.range_with_histograms(0).and_then(|range| match range.extension {
        Some(extension) => extended::call(arguments, &range, extension, asked),
        None => evaluate(arguments, &range),
    }))
}

fn counted(
    arguments: &Arguments<'_, '_>,
    range: &RangeVector<'_>,
    counts: impl Fn(f64, f64) -> bool + Copy + Sync,
    mixed: impl Fn(MixedWindow<'_>) -> f64 + Sync,
) -> Result<Value, PromqlError> {
    let of_numbers = |_: usize, window: Window<'_>, _: usize| Some(pairs(window, counts));
    arguments.fold_windows(range, false, |_| of_numbers, |_, _, window| Cell::Number(mixed(window)))
}

fn latest(arguments: &Arguments<'_, '_>, range: &RangeVector<'_>, rate: bool) -> Result<Value, PromqlError> {
    arguments.fold_windows(
        range,
        false,
        |_| move |_: usize, window: Window<'_>, _: usize| last_two(window, rate),
        |series, _, window| mixed_window::last_two(arguments, series.labels.name(), window, rate),
    )
}

fn extrapolated(
    arguments: &Arguments<'_, '_>,
    range: &RangeVector<'_>,
    counter: bool,
    per_second: bool,
) -> Result<Value, PromqlError> {
    let windows = &range.windows;
    let guesses = counter && arguments.evaluator.dialect().guessed_counters;
    let per_series = |series: &super::SourceSeries| {
        let resets = if counter { resets(&series.values) } else { Vec::new() };
        let labels = guesses.then(|| series.labels.clone());
        move |step: usize, window: Window<'_>, from: usize| {
            if window.len() < 2 {
                return None;
            }
            if let Some(labels) = &labels {
                guess(arguments, labels);
            }
            let mut change = window.last().1 - window.first().1;
            if !resets.is_empty() {
                let inside = &resets[resets.partition_point(|reset| reset.0 <= from)..];
                let inside = inside.iter().take_while(|reset| reset.0 < from + window.len());
                change = inside.fold(change, |change, reset| change + reset.1);
            }
            let first = window.first().1;
            let zero_share = (counter && change > 0.0 && first >= 0.0).then(|| first / change);
            Some(change * extrapolation(window.times, windows, step, zero_share, per_second))
        }
    };
    arguments.fold_windows(range, false, per_series, |series, step, window| {
        let (histograms, metric) = (window.histograms.iter().flatten().count(), series.labels.name());
        if histograms == 0 {
            let (times, values) = (window.times, window.values);
            let rebased = super::SourceSeries::of_numbers(series.labels.clone(), times.into(), values.to_vec());
            let change = per_series(&rebased)(step, Window { times, values }, 0);
            return change.map_or(Cell::Absent, Cell::Number);
        }
        let how = (step, counter, per_second);
        let change = mixed_window::extrapolated(arguments, metric, window, windows, how);
        change.map_or(Cell::Absent, |change| Cell::Histogram(Arc::new(change)))
    })
}

/// Notes what does not look like a counter, as Prometheus does, which knows no better.
fn guess(arguments: &Arguments<'_, '_>, labels: &taffrail_collector::model::LabelSet) {
    let (metric, kind) = (labels.name(), labels.get("__type__"));
    let by_name = ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| metric.ends_with(suffix));
    match kind {
        _ if metric.is_empty() => {}
        "" if by_name => {}
        "" => arguments.annotate(&Annotation::PossiblyNoCounter(metric), 0),
        "counter" | "histogram" => {}
        kind => arguments.annotate(&Annotation::PossiblyNoCounterByType { metric, kind }, 0),
    }
}

/// Where a counter fell, and from what value.
fn resets(values: &[f64]) -> Vec<(usize, f64)> {
    let pairs = values.windows(2).enumerate();
    pairs.filter(|(_, pair)| pair[1] < pair[0]).map(|(at, pair)| (at + 1, pair[0])).collect()
}

/// What to multiply the change over at least two points by, so that it reaches to the window's ends where points reach near
/// them: at most 1.1 average distances away, else half a distance; and a counter never to below zero, which it was at
/// `zero_share` of the points' span before the first (`promql/functions.go`, `extrapolatedRate`).
pub(super) fn extrapolation(
    times: &[i64],
    range: &Windows,
    step: usize,
    zero_share: Option<f64>,
    per_second: bool,
) -> f64 {
    let (first, last) = (times[0], times[times.len() - 1]);
    let end = range.ends_ms[step];
    let start = end.saturating_sub(range.range_ms);
    let sampled = last.saturating_sub(first) as f64 / 1000.0;
    let distance = sampled / (times.len() - 1) as f64;
    let near = |gap: f64| if gap >= distance * 1.1 { distance / 2.0 } else { gap };
    let mut to_start = near(first.saturating_sub(start) as f64 / 1000.0);
    if let Some(share) = zero_share {
        to_start = to_start.min(sampled * share);
    }
    let to_end = near(end.saturating_sub(last) as f64 / 1000.0);
    let mut factor = (sampled + to_start + to_end) / sampled;
    if per_second {
        factor /= range.range_ms as f64 / 1000.0;
    }
    factor
}

fn last_two(window: Window<'_>, rate: bool) -> Option<f64> {
    let ([.., earlier, later], [.., before, last]) = (window.times, window.values) else { return None };
    let change = if rate && last < before { *last } else { last - before };
    let distance = later - earlier;
    match (rate, distance) {
        (_, 0) => None,
        (true, _) => Some(change / (distance as f64 / 1000.0)),
        (false, _) => Some(change),
    }
}

fn pairs(window: Window<'_>, counts: impl Fn(f64, f64) -> bool) -> f64 {
    window.values.windows(2).filter(|pair| counts(pair[0], pair[1])).count() as f64
}
