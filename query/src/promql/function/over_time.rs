//! The `*_over_time` functions: one value of all points of a window.

use super::super::PromqlError;
use super::super::labels::value_text;
use super::super::summation::{Sum, mean, quantile, variance, window_sums};
use super::{Arguments, Value, Window};

pub(super) fn call(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    let fold: fn(Window<'_>) -> f64 = match name {
        "quantile_over_time" => return Some(quantile_over_time(arguments)),
        "sum_over_time" => return Some(summed(arguments, |sum, _| sum.total())),
        "avg_over_time" => {
            let mean_of = |sum: Sum, window: Window<'_>| {
                sum.mean_of(window.len()).or_else(|| mean(values(window))).unwrap_or(f64::NAN)
            };
            return Some(summed(arguments, mean_of));
        }
        "count_over_time" => |window| window.len() as f64,
        "present_over_time" => |_| 1.0,
        "min_over_time" => |window| least(window).1,
        "max_over_time" => |window| most(window).1,
        "stddev_over_time" => |window| variance(values(window)).sqrt(),
        "stdvar_over_time" => |window| variance(values(window)),
        "mad_over_time" => median_deviation,
        "first_over_time" => |window| window.first().1,
        "last_over_time" => |window| window.last().1,
        "ts_of_first_over_time" => |window| seconds(window.first().0),
        "ts_of_last_over_time" => |window| seconds(window.last().0),
        "ts_of_min_over_time" => |window| seconds(least(window).0),
        "ts_of_max_over_time" => |window| seconds(most(window).0),
        _ => return None,
    };
    let keep_name = matches!(name, "first_over_time" | "last_over_time");
    Some(arguments.range_vector(0).and_then(|range| {
        arguments.fold_windows(&range, keep_name, |_| move |_: usize, window: Window<'_>, _: usize| Some(fold(window)))
    }))
}

/// What comes of each window's sum.
fn summed(
    arguments: &Arguments<'_, '_>,
    of: impl Fn(Sum, Window<'_>) -> f64 + Copy + Sync,
) -> Result<Value, PromqlError> {
    let range = arguments.range_vector(0)?;
    arguments.fold_windows(&range, false, |series| {
        let sums = window_sums(&series.values, &range.windows.places(&series.times));
        move |step: usize, window: Window<'_>, _: usize| Some(of(sums[step], window))
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
    let q = arguments.numbers(0)?;
    for &q in q.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
        let message = format!("quantile value should be between 0 and 1, got {}", value_text(q));
        arguments.evaluator.warn(&message, "quantile_over_time");
    }
    let range = arguments.range_vector(1)?;
    arguments.fold_windows(&range, false, |_| {
        let q = &q;
        let mut sorted = Vec::new();
        move |step: usize, window: Window<'_>, _: usize| {
            sorted.clear();
            sorted.extend(values(window));
            Some(quantile(q[step], &mut sorted))
        }
    })
}
