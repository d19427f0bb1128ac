//! `rate`, `increase`, `delta` (extrapolated to the window's ends), `irate`, `idelta` (the last two points), `resets`,
//! `changes`.
//!
//! A counter that falls has started again from zero. Where it did is worked out once over all points, so that a window costs
//! as much as there are resets in it, however long it is.

use super::super::PromqlError;
use super::{Arguments, Value, Window, Windows};

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
    fold: impl Fn(Window<'_>) -> Option<f64> + Copy + Sync,
) -> Result<Value, PromqlError> {
    let range = arguments.range_vector(0)?;
    arguments.fold_windows(&range, false, |_| move |_: usize, window: Window<'_>, _: usize| fold(window))
}

fn extrapolated(arguments: &Arguments<'_, '_>, counter: bool, per_second: bool) -> Result<Value, PromqlError> {
    let range = arguments.range_vector(0)?;
    let windows = &range.windows;
    arguments.fold_windows(&range, false, |series| {
        let resets = if counter { resets(&series.values) } else { Vec::new() };
        move |step: usize, window: Window<'_>, from: usize| {
            if window.len() < 2 {
                return None;
            }
            let mut change = window.last().1 - window.first().1;
            if !resets.is_empty() {
                let inside = &resets[resets.partition_point(|reset| reset.0 <= from)..];
                let inside = inside.iter().take_while(|reset| reset.0 < from + window.len());
                change = inside.fold(change, |change, reset| change + reset.1);
            }
            Some(extrapolate(window, change, windows, step, counter, per_second))
        }
    })
}

/// Where a counter fell, and from what value.
fn resets(values: &[f64]) -> Vec<(usize, f64)> {
    let pairs = values.windows(2).enumerate();
    pairs.filter(|(_, pair)| pair[1] < pair[0]).map(|(at, pair)| (at + 1, pair[0])).collect()
}

/// The change over a window of at least two points, extrapolated to its ends where points reach near them: at most 1.1 average distances away,
/// else half a distance; and a counter never to below zero (`promql/functions.go`, `extrapolatedRate`).
fn extrapolate(window: Window<'_>, change: f64, range: &Windows, step: usize, counter: bool, per_second: bool) -> f64 {
    let (first, last) = (window.first(), window.last());
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
