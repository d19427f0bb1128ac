//! Rolling windows up into longer ones that keep the whole record, so that a percentile, a sum or an extreme is as true a year
//! later as it was on the day.
//!
//! | Kind | What a longer window holds |
//! |---|---|
//! | counter | the sum |
//! | gauge | the last level, the lowest, the highest |
//! | distribution | count, sum, least, greatest, and the sketches merged |
//! | set | the sets merged |
//! | running total | the readings that matter, at their own times: the last of the window, both sides of every fall, of every staleness marker, and the first of all |
//!
//! Windows are aligned: one of a minute holds what ended after the minute's start, up to and including its end. Rolling up
//! in steps gives what rolling up at once gives. `increase()` over whole windows of a running total is exact, because every
//! fall is still there. A gauge whose series ended inside a window has the marker as its last level.

use std::ops::Range;

use taffrail_collector::model::{SampleKind, is_stale};

use super::GaugeWindow;
use super::merge::SeriesPart;
use super::points::{End, Levels, Points, Values, Window, WindowEnds};

/// The part in windows of `resolution_ms`, without exemplars: they are kept with the windows as they came.
pub(super) fn roll_up(part: &SeriesPart, resolution_ms: u32) -> SeriesPart {
    let cumulative = part.points.kind() == SampleKind::Cumulative;
    SeriesPart {
        labels: part.labels.clone(),
        unit: part.unit.clone(),
        interval_ms: if cumulative { part.interval_ms } else { part.interval_ms.max(resolution_ms) },
        before: part.before,
        points: roll_up_points(&part.points, resolution_ms),
        exemplars: Vec::new(),
    }
}

pub(super) fn roll_up_points(points: &Points, resolution_ms: u32) -> Points {
    let width = i64::from(resolution_ms) * 1_000_000;
    let ends = points.ends();
    if let Values::Cumulative(totals) = points.values() {
        let kept = kept_readings(ends, totals, width);
        let times = kept.iter().map(|&at| ends.at(at)).collect();
        return Points::of(
            WindowEnds::from_list(times),
            Values::Cumulative(kept.into_iter().map(|at| totals[at]).collect()),
        );
    }
    let (mut longer, mut places): (Vec<End>, Vec<Range<usize>>) = (Vec::new(), Vec::new());
    for (at, end) in ends.iter().enumerate() {
        let end = window_end(end, width);
        match places.last_mut() {
            Some(last) if longer.last() == Some(&end) => last.end = at + 1,
            _ => {
                longer.push(end);
                places.push(at..at + 1);
            }
        }
    }
    let values = match points.values() {
        Values::Counter(sums) => Values::Counter(joined(sums, &places)),
        Values::Gauge(levels) => Values::Gauge(gauges(levels, &places)),
        Values::Distribution(windows) => Values::Distribution(joined(windows, &places)),
        Values::Set(sets) => Values::Set(joined(sets, &places)),
        Values::Cumulative(_) => unreachable!("answered above"),
    };
    Points::of(WindowEnds::from_list(longer), values)
}

/// The end of the window of this width in which a shorter one with this end lies.
fn window_end(end: End, width: i64) -> End {
    let before = end.saturating_sub(1);
    before.saturating_sub(before.rem_euclid(width)).saturating_add(width)
}

fn joined<T: Window + Clone>(values: &[T], places: &[Range<usize>]) -> Vec<T> {
    let join = |of: &Range<usize>| {
        let mut whole = values[of.start].clone();
        values[of.start + 1..of.end].iter().for_each(|value| whole.join(value.clone()));
        whole
    };
    places.iter().map(join).collect()
}

fn gauges(levels: &Levels, places: &[Range<usize>]) -> Levels {
    let (mut last, mut min, mut max) = (Vec::new(), Vec::new(), Vec::new());
    for of in places {
        let mut whole = levels.at(of.start);
        for at in of.start + 1..of.end {
            let window = levels.at(at);
            whole = GaugeWindow {
                last: window.last,
                min: extreme(whole.min, window.min, f64::min),
                max: extreme(whole.max, window.max, f64::max),
            };
        }
        last.push(whole.last);
        min.push(whole.min);
        max.push(whole.max);
    }
    Levels::of(last, Some([min, max]))
}

/// The lesser or greater of two levels, of which a marker is none.
fn extreme(one: f64, other: f64, of: fn(f64, f64) -> f64) -> f64 {
    match (is_stale(one), is_stale(other)) {
        (true, _) => other,
        (_, true) => one,
        _ => of(one, other),
    }
}

/// The places of the readings that matter.
fn kept_readings(ends: &WindowEnds, totals: &[f64], width: i64) -> Vec<usize> {
    // A fall, or a marker on either side.
    let breaks = |before: f64, after: f64| after < before || is_stale(before) || is_stale(after);
    let kept = |&at: &usize| {
        let Some(&next) = totals.get(at + 1) else { return true };
        at.checked_sub(1).is_none_or(|before| breaks(totals[before], totals[at]))
            || breaks(totals[at], next)
            || window_end(ends.at(at), width) != window_end(ends.at(at + 1), width)
    };
    (0..totals.len()).filter(kept).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use taffrail_collector::model::STALE;

    use super::super::RESOLUTIONS_MS;
    use super::super::test_samples::points_of_kind;
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn windows_are_aligned_and_end_with_their_last_moment() {
        let check =
            |seconds: i64, minute: i64| assert_eq!(window_end(seconds * SECOND, 60 * SECOND), minute * 60 * SECOND);
        check(1, 1);
        check(60, 1);
        check(61, 2);
        check(0, 0);
        check(-1, 0);
    }

    #[test]
    fn falls_and_markers_of_running_totals_stay() {
        let list = [
            (5, 1.0),
            (15, 2.0),
            (25, 9.0),
            (35, 0.0),
            (45, 3.0),
            (55, 4.0),
            (65, 5.0),
            (75, 6.0),
            (85, STALE),
            (95, 7.0),
            (105, 8.0),
            (115, 9.0),
            (130, 10.0),
        ];
        let (ends, totals): (Vec<i64>, Vec<f64>) = list.iter().map(|&(at, value)| (at * SECOND, value)).unzip();
        let ends = WindowEnds::from_list(ends);
        let kept = kept_readings(&ends, &totals, 60 * SECOND);
        let kept: Vec<i64> = kept.into_iter().map(|at| ends.at(at) / SECOND).collect();
        assert_eq!(kept, [5, 25, 35, 55, 75, 85, 95, 115, 130]);
    }

    #[test]
    fn a_gauge_that_ended_has_its_marker_as_last_and_its_extremes_all_the_same() {
        let rolled = |readings: &[(i64, f64)]| {
            let (ends, last) = readings.iter().map(|&(at, value)| (at * SECOND, value)).unzip();
            let points = Points::of(WindowEnds::from_list(ends), Values::Gauge(Levels::of(last, None)));
            let Values::Gauge(levels) = roll_up_points(&points, 60_000).into_columns().1 else { panic!("a gauge") };
            levels
        };
        let levels = rolled(&[(10, 3.0), (20, 5.0), (30, STALE), (70, STALE)]);
        assert!(is_stale(levels.last()[0]) && is_stale(levels.last()[1]) && is_stale(levels.min()[1]));
        assert_eq!((levels.min()[0], levels.max()[0]), (3.0, 5.0));
        let levels = rolled(&[(10, STALE), (20, 5.0)]);
        assert_eq!(levels.at(0), GaugeWindow { last: 5.0, min: 5.0, max: 5.0 });
    }

    /// What readings after `from` up to `to` rise by, as PromQL's `increase()` counts.
    fn rise(points: &Points, from: End, to: End) -> f64 {
        let Values::Cumulative(totals) = points.values() else { panic!("running totals") };
        let inside: Vec<f64> = points
            .ends()
            .iter()
            .zip(totals)
            .filter(|(end, _)| from < *end && *end <= to)
            .map(|(_, total)| *total)
            .collect();
        inside.windows(2).map(|pair| if pair[1] < pair[0] { pair[1] } else { pair[1] - pair[0] }).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn steps_give_what_one_leap_gives_and_nothing_is_lost(points in (1u8..6).prop_flat_map(points_of_kind)) {
            let mut stepped = points.clone();
            for resolution_ms in RESOLUTIONS_MS {
                stepped = roll_up_points(&stepped, resolution_ms);
                let at_once = roll_up_points(&points, resolution_ms);
                prop_assert_eq!(&stepped, &at_once);
                prop_assert_eq!(stepped.total(), points.total());
                prop_assert_eq!(stepped.is_empty(), points.is_empty());
                if points.kind() != SampleKind::Cumulative {
                    let width = i64::from(resolution_ms) * 1_000_000;
                    prop_assert!(stepped.ends().iter().all(|end| end % width == 0));
                }
            }
        }

        #[test]
        fn running_totals_rise_by_the_same(
            steps in prop::collection::vec((1i64..90, prop_oneof![9 => 0u32..50, 1 => Just(1_000)]), 2..200),
        ) {
            let (mut at, mut value) = (0, 0.0);
            let list: (Vec<End>, Vec<f64>) = steps
                .iter()
                .map(|&(seconds, step)| {
                    at += seconds * SECOND;
                    value = if step == 1_000 { 1.0 } else { value + f64::from(step) };
                    (at, value)
                })
                .unzip();
            let points = Points::of(WindowEnds::from_list(list.0), Values::Cumulative(list.1));
            for resolution_ms in RESOLUTIONS_MS {
                prop_assert_eq!(rise(&roll_up_points(&points, resolution_ms), 0, at), rise(&points, 0, at));
            }
        }
    }
}
