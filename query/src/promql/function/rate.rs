//! `rate`, `increase`, `delta` (extrapolated to the window's ends), `irate`, `idelta` (the last two points), `resets`,
//! `changes`.
//!
//! A counter that falls has started again from zero. Where it did is worked out once over all points, so that a window costs
//! as much as there are resets in it, however long it is.

use super::super::PromqlError;
use super::{Arguments, RangeVector, Value};

pub(super) fn call(name: &str, arguments: &Arguments<'_, '_>) -> Option<Result<Value, PromqlError>> {
    Some(match name {
        "rate" => extrapolated(arguments, true, true),
        "increase" => extrapolated(arguments, true, false),
        "delta" => extrapolated(arguments, false, false),
        "irate" => windows(arguments, |window| last_two(window, true)),
        "idelta" => windows(arguments, |window| last_two(window, false)),
        "resets" => windows(arguments, |window| Some(pairs(window, |before, after| after < before))),
        "changes" => windows(arguments, |window| {
            Some(pairs(window, |before, after| before != after && !(before.is_nan() && after.is_nan())))
        }),
        _ => return None,
    })
}

fn windows(
    arguments: &Arguments<'_, '_>,
    fold: impl Fn(&[(i64, f64)]) -> Option<f64> + Copy,
) -> Result<Value, PromqlError> {
    let range = arguments.range_vector(0)?;
    arguments.fold_windows(&range, false, |_| move |_: usize, window: &[(i64, f64)], _: usize| fold(window))
}

fn extrapolated(arguments: &Arguments<'_, '_>, counter: bool, per_second: bool) -> Result<Value, PromqlError> {
    let range = arguments.range_vector(0)?;
    arguments.fold_windows(&range, false, |points| {
        let resets = if counter { resets(points) } else { Vec::new() };
        let range = &range;
        move |step: usize, window: &[(i64, f64)], from: usize| {
            let [first, .., last] = window else { return None };
            let inside = &resets[resets.partition_point(|reset| reset.0 <= from)..];
            let inside = inside.iter().take_while(|reset| reset.0 < from + window.len());
            let change = inside.fold(last.1 - first.1, |change, reset| change + reset.1);
            Some(extrapolate(window, change, range, step, counter, per_second))
        }
    })
}

/// Where a counter fell, and from what value.
fn resets(points: &[(i64, f64)]) -> Vec<(usize, f64)> {
    let pairs = points.windows(2).enumerate();
    pairs.filter(|(_, pair)| pair[1].1 < pair[0].1).map(|(at, pair)| (at + 1, pair[0].1)).collect()
}

/// The change over a window of at least two points, extrapolated to its ends where points reach near them: at most 1.1 average distances away,
/// else half a distance; and a counter never to below zero (`promql/functions.go`, `extrapolatedRate`).
fn extrapolate(
    window: &[(i64, f64)],
    change: f64,
    range: &RangeVector,
    step: usize,
    counter: bool,
    per_second: bool,
) -> f64 {
    let (first, last) = (window[0], window[window.len() - 1]);
    let end = range.ends_ms[step];
    let start = end.saturating_sub(range.range_ms);
    let sampled = last.0.saturating_sub(first.0) as f64 / 1000.0;
    let distance = sampled / (window.len() - 1) as f64;
    let near = |gap: f64| if gap >= distance * 1.1 { distance / 2.0 } else { gap };
    let mut to_start = near(first.0.saturating_sub(start) as f64 / 1000.0);
    if counter && change > 0.0 && first.1 >= 0.0 {
        to_start = to_start.min(sampled * (first.1 / change));
    }
    let to_end = near(end.saturating_sub(last.0) as f64 / 1000.0);
    let mut factor = (sampled + to_start + to_end) / sampled;
    if per_second {
        factor /= range.range_ms as f64 / 1000.0;
    }
    change * factor
}

fn last_two(window: &[(i64, f64)], rate: bool) -> Option<f64> {
    let [.., before, last] = window else { return None };
    let change = if rate && last.1 < before.1 { last.1 } else { last.1 - before.1 };
    let distance = last.0 - before.0;
    match (rate, distance) {
        (_, 0) => None,
        (true, _) => Some(change / (distance as f64 / 1000.0)),
        (false, _) => Some(change),
    }
}

fn pairs(window: &[(i64, f64)], counts: impl Fn(f64, f64) -> bool) -> f64 {
    window.windows(2).filter(|pair| counts(pair[0].1, pair[1].1)).count() as f64
}
