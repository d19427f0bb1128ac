//! `rate`, `increase`, `delta` (extrapolated to the window's ends), `irate`, `idelta` (the last two points), `resets`,
//! `changes`.
//!
//! A counter that falls has started again from zero. Where it did is worked out once over all points, so that a window costs
//! as much as there are resets in it, however long it is.

use std::sync::Arc;

use parking_lot::Mutex;
use taffrail_collector::model::LabelSet;

use super::super::PromqlError;
use super::super::annotation::Annotation;
use super::super::evaluate::RangeVector;
use super::extended::{self, Asked};
use super::{Arguments, Cell, MixedWindow, SourceSeries, Value, Window, Windows, mixed_window};

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
    let change_of = |labels: &LabelSet, window: Window<'_>, fell: &[(usize, f64)], from: usize, reach: Reach| {
        if guesses {
            guess(arguments, labels);
        }
        let mut change = window.last().1 - window.first().1;
        if !fell.is_empty() {
            let inside = &fell[fell.partition_point(|reset| reset.0 <= from)..];
            let inside = inside.iter().take_while(|reset| reset.0 < from + window.len());
            change = inside.fold(change, |change, reset| change + reset.1);
        }
        let first = window.first().1;
        let zero_share = (counter && change > 0.0 && first >= 0.0).then(|| first / change);
        change * reach.factor(zero_share)
    };
    let fell = |values: &[f64]| if counter { resets(values) } else { Vec::new() };
    let known = Mutex::new(None);
    let per_series = |series: &SourceSeries| {
        let (labels, fell) = (series.labels.clone(), fell(&series.values));
        let reaches = reaches_of(&known, windows, &series.times, per_second);
        move |step: usize, window: Window<'_>, from: usize| {
            (window.len() > 1).then(|| change_of(&labels, window, &fell, from, reaches[step]))
        }
    };
    arguments.fold_windows(range, false, per_series, |series, step, window| {
        let (histograms, metric) = (window.histograms.iter().flatten().count(), series.labels.name());
        if histograms == 0 {
            let window = Window { times: window.times, values: window.values };
            if window.len() < 2 {
                return Cell::Absent;
            }
            let reach = Reach::of(window.times, windows, step, per_second);
            return Cell::Number(change_of(&series.labels, window, &fell(window.values), 0, reach));
        }
        let how = (step, counter, per_second);
        let change = mixed_window::extrapolated(arguments, metric, window, windows, how);
        change.map_or(Cell::Absent, |change| Cell::Histogram(Arc::new(change)))
    })
}

/// Notes what does not look like a counter, as Prometheus does, which knows no better.
fn guess(arguments: &Arguments<'_, '_>, labels: &LabelSet) {
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

/// How far windows reach beyond their points, of times met lately: series that were measured together share them.
type KnownReaches = Mutex<Option<(Arc<[i64]>, Arc<[Reach]>)>>;

/// Of each step how far the window reaches beyond its points. Steps with fewer than two points have no reach that means
/// anything.
fn reaches_of(known: &KnownReaches, windows: &Windows, times: &Arc<[i64]>, per_second: bool) -> Arc<[Reach]> {
    if let Some((known, reaches)) = &*known.lock()
        && Arc::ptr_eq(known, times)
    {
        return reaches.clone();
    }
    let of_step = |(step, &(from, to)): (usize, &(u32, u32))| match &times[from as usize..to.max(from) as usize] {
        inside @ [_, _, ..] => Reach::of(inside, windows, step, per_second),
        _ => Reach::default(),
    };
    let reaches: Arc<[Reach]> = windows.places(times).iter().enumerate().map(of_step).collect();
    *known.lock() = Some((times.clone(), reaches.clone()));
    reaches
}

/// Where a counter fell, and from what value.
fn resets(values: &[f64]) -> Vec<(usize, f64)> {
    // Most never fall, which is soon seen when no pair is asked for by itself.
    if !values.windows(2).fold(false, |falls, pair| falls | (pair[1] < pair[0])) {
        return Vec::new();
    }
    let pairs = values.windows(2).enumerate();
    pairs.filter(|(_, pair)| pair[1] < pair[0]).map(|(at, pair)| (at + 1, pair[0])).collect()
}

/// How far a window reaches beyond its points, in seconds: to its ends where points reach near them, at most 1.1 average
/// distances away, else half a distance (`promql/functions.go`, `extrapolatedRate`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    /// From the first point to the last.
    sampled: f64,
    to_start: f64,
    to_end: f64,
    /// What the factor is divided by.
    divisor: f64,
    /// The factor when zero is far.
    whole: f64,
}

impl Reach {
    /// Of a window with at least two points, at these times.
    pub(super) fn of(times: &[i64], range: &Windows, step: usize, per_second: bool) -> Reach {
        let (first, last) = (times[0], times[times.len() - 1]);
        let end = range.ends_ms[step];
        let start = end.saturating_sub(range.range_ms);
        let sampled = last.saturating_sub(first) as f64 / 1000.0;
        let distance = sampled / (times.len() - 1) as f64;
        let near = |gap: f64| if gap >= distance * 1.1 { distance / 2.0 } else { gap };
        let mut reach = Reach {
            sampled,
            to_start: near(first.saturating_sub(start) as f64 / 1000.0),
            to_end: near(end.saturating_sub(last) as f64 / 1000.0),
            divisor: if per_second { range.range_ms as f64 / 1000.0 } else { 1.0 },
            whole: 1.0,
        };
        reach.whole = reach.with_start(reach.to_start);
        reach
    }

    /// What to multiply the change over the points by. A counter was never below zero, where it was at `zero_share` of the
    /// points' span before the first of them.
    pub(super) fn factor(self, zero_share: Option<f64>) -> f64 {
        match zero_share.map(|share| self.sampled * share) {
            Some(to_zero) if to_zero < self.to_start => self.with_start(to_zero),
            _ => self.whole,
        }
    }

    fn with_start(self, to_start: f64) -> f64 {
        (self.sampled + to_start + self.to_end) / self.sampled / self.divisor
    }
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
