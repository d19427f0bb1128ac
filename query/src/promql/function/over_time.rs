//! The `*_over_time` functions: one value of all points of a window.

use std::sync::Arc;

use super::super::PromqlError;
use super::super::summation::{Sum, mean, quantile, variance, window_sums};
use super::mixed_window::{Point, total};
use super::{Arguments, Cell, MixedWindow, SourceSeries, Value, Window};

pub(super) fn call(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    if let Some(folded) = of_any_points(name, arguments) {
        return Some(folded);
    }
    let fold: fn(Window<'_>) -> f64 = match name {
        "quantile_over_time" => return Some(quantile_over_time(arguments)),
        "min_over_time" => |window| least(window).1,
        "max_over_time" => |window| most(window).1,
        "stddev_over_time" => |window| variance(values(window)).sqrt(),
        "stdvar_over_time" => |window| variance(values(window)),
        "mad_over_time" => median_deviation,
        "ts_of_min_over_time" => |window| seconds(least(window).0),
        "ts_of_max_over_time" => |window| seconds(most(window).0),
        _ => return None,
    };
    Some(arguments.range_vector(0).and_then(|range| {
        arguments.fold_numbers(&range, 0, |_| move |_: usize, window: Window<'_>, _: usize| Some(fold(window)))
    }))
}

/// What comes of a window of numbers, and of one that may hold histograms.
type OfNumbers = fn(Window<'_>) -> f64;
type OfAny = fn(MixedWindow<'_>) -> Cell;

/// Those that take histograms as they take numbers.
fn of_any_points(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    let (fold, mixed): (OfNumbers, OfAny) = match name {
        "sum_over_time" => return Some(summed(arguments, false, |sum, _| sum.total())),
        "avg_over_time" => {
            let mean_of = |sum: Sum, window: Window<'_>| {
                sum.mean_of(window.len()).or_else(|| mean(values(window))).unwrap_or(f64::NAN)
            };
            return Some(summed(arguments, true, mean_of));
        }
        "count_over_time" => (|window| window.len() as f64, |window| Cell::Number(window.times.len() as f64)),
        "present_over_time" => (|_| 1.0, |_| Cell::Number(1.0)),
        "first_over_time" => (|window| window.first().1, |window| cell(window.points().next())),
        "last_over_time" => (|window| window.last().1, |window| cell(window.points().next_back())),
        "ts_of_first_over_time" => (
            |window| seconds(window.first().0),
            |window| window.times.first().map_or(Cell::Absent, |&time| Cell::Number(seconds(time))),
        ),
        "ts_of_last_over_time" => (
            |window| seconds(window.last().0),
            |window| window.times.last().map_or(Cell::Absent, |&time| Cell::Number(seconds(time))),
        ),
        _ => return None,
    };
    let keep_name = matches!(name, "first_over_time" | "last_over_time");
    Some(arguments.range_vector(0).and_then(|range| {
        let of_numbers = move |_: usize, window: Window<'_>, _: usize| Some(fold(window));
        arguments.fold_windows(&range, keep_name, |_| of_numbers, |_, _, window| mixed(window))
    }))
}

fn cell(point: Option<(i64, Point<'_>)>) -> Cell {
    match point {
        None => Cell::Absent,
        Some((_, Point::Number(value))) => Cell::Number(value),
        Some((_, Point::Histogram(histogram))) => Cell::Histogram(histogram.clone()),
    }
}

/// What comes of each window's sum.
fn summed(
    arguments: &Arguments<'_, '_>,
    is_mean: bool,
    of: impl Fn(Sum, Window<'_>) -> f64 + Copy + Sync,
) -> Result<Value, PromqlError> {
    let range = arguments.range_vector(0)?;
    let of_numbers = |series: &SourceSeries| {
        let sums = window_sums(&series.values, &range.windows.places(&series.times));
        move |step: usize, window: Window<'_>, _: usize| Some(of(sums[step], window))
    };
    arguments.fold_windows(&range, false, of_numbers, |series, _, window| {
        if window.histograms.iter().all(Option::is_none) {
            let mut sum = Sum::default();
            window.values.iter().for_each(|&value| sum.add(value));
            return Cell::Number(of(sum, Window { times: window.times, values: window.values }));
        }
        let sum = total(arguments, series.labels.name(), window, is_mean);
        sum.map_or(Cell::Absent, |sum| Cell::Histogram(Arc::new(sum)))
    })
}

fn values(window: Window<'_>) -> impl Iterator<Item = f64> {
    window.values.iter().copied()
}

fn seconds(time_ms: i64) -> f64 {
    time_ms as f64 / 1000.0
}

/// The last of the least points; a NaN gives way to anything.
fn least(window: Window<'_>) -> (i64, f64) {
    let lower =
        |least: (i64, f64), point: (i64, f64)| if point.1 <= least.1 || least.1.is_nan() { point } else { least };
    window.points().skip(1).fold(window.first(), lower)
}

/// The last of the greatest points; a NaN gives way to anything.
fn most(window: Window<'_>) -> (i64, f64) {
    let higher = |most: (i64, f64), point: (i64, f64)| if point.1 >= most.1 || most.1.is_nan() { point } else { most };
    window.points().skip(1).fold(window.first(), higher)
}

/// The median distance from the median.
fn median_deviation(window: Window<'_>) -> f64 {
    let mut sorted: Vec<f64> = values(window).collect();
    let median = quantile(0.5, &mut sorted);
    let mut distances: Vec<f64> = sorted.into_iter().map(|value| (value - median).abs()).collect();
    quantile(0.5, &mut distances)
}

fn quantile_over_time(arguments: &Arguments<'_, '_>) -> Result<Value, PromqlError> {
    let q = arguments.evaluator.checked_quantiles(arguments.expression(0)?, arguments.steps)?;
    let range = arguments.range_vector(1)?;
    arguments.fold_numbers(&range, 0, |_| {
        let q = &q;
        let mut sorted = Vec::new();
        move |step: usize, window: Window<'_>, _: usize| {
            sorted.clear();
            sorted.extend(values(window));
            Some(quantile(q[step], &mut sorted))
        }
    })
}
