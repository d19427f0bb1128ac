//! What functions over time make of windows that hold histograms, alone or beside numbers.

use std::sync::Arc;

use super::super::annotation::{Annotation, Operation};
use super::super::histogram::{Combined, Histogram, ResetHint};
use super::{Arguments, Cell, MixedWindow, Windows};

/// A point of a window.
#[derive(Clone, Copy)]
pub(super) enum Point<'s> {
    Number(f64),
    Histogram(&'s Arc<Histogram>),
}

impl<'s> MixedWindow<'s> {
    pub(super) fn points(self) -> impl DoubleEndedIterator<Item = (i64, Point<'s>)> + ExactSizeIterator + Clone {
        let point = |place: usize| match &self.histograms[place] {
            Some(histogram) => Point::Histogram(histogram),
            None => Point::Number(self.values[place]),
        };
        (0..self.times.len()).map(move |place| (self.times[place], point(place)))
    }

    /// The histograms, when nothing else is there.
    fn only_histograms(self) -> Option<Vec<(i64, &'s Arc<Histogram>)>> {
        let of_point = |(time, point)| match point {
            Point::Histogram(histogram) => Some((time, histogram)),
            Point::Number(_) => None,
        };
        self.points().map(of_point).collect()
    }
}

/// The sum or the mean of a window.
pub(super) fn total(
    arguments: &Arguments<'_, '_>,
    metric: &str,
    window: MixedWindow<'_>,
    mean: bool,
) -> Option<Histogram> {
    let histograms = histograms_of(arguments, metric, window)?;
    let span = arguments.call.arguments.first().map_or(arguments.span, |argument| argument.span);
    let all = histograms.iter().map(|(_, histogram)| *histogram);
    let mut sum = arguments.evaluator.histogram_sum(all, metric, span)?;
    if mean {
        sum.divide(histograms.len() as f64);
    }
    Some(sum)
}

/// The histograms of a window that holds nothing else; numbers beside them are noted.
fn histograms_of<'s>(
    arguments: &Arguments<'_, '_>,
    metric: &str,
    window: MixedWindow<'s>,
) -> Option<Vec<(i64, &'s Arc<Histogram>)>> {
    let histograms = window.only_histograms();
    if histograms.is_none() {
        arguments.annotate(&Annotation::MixedFloatsHistograms(metric), 0);
    }
    histograms
}

/// The change over a window, extrapolated to its ends as numbers are.
pub(super) fn extrapolated(
    arguments: &Arguments<'_, '_>,
    metric: &str,
    window: MixedWindow<'_>,
    windows: &Windows,
    (step, counter, per_second): (usize, bool, bool),
) -> Option<Histogram> {
    // A single point, whatever it is, makes no rate.
    let has_both = window.histograms.iter().any(Option::is_none) && window.histograms.iter().any(Option::is_some);
    if window.times.len() < 2 && !has_both {
        return None;
    }
    let points = histograms_of(arguments, metric, window)?;
    let mut change = change(arguments, metric, &points, counter)?;
    let times: Vec<i64> = points.iter().map(|point| point.0).collect();
    let first_count = points.first().map_or(0.0, |point| point.1.count);
    let zero_share = (counter && change.count > 0.0 && first_count >= 0.0).then_some(first_count / change.count);
    let factor = super::rate::Reach::of(&times, windows, step, per_second).factor(zero_share);
    change.multiply(factor);
    Some(change)
}

/// The change from the first to the last of at least two histograms, and of counters what was lost at restarts.
fn change(
    arguments: &Arguments<'_, '_>,
    metric: &str,
    points: &[(i64, &Arc<Histogram>)],
    counter: bool,
) -> Option<Histogram> {
    let [(_, first), (_, second), ..] = *points else { return None };
    let last = points.last()?.1;
    let is_gauge = |histogram: &Histogram| histogram.hint == ResetHint::Gauge;
    if counter && points.iter().any(|(_, histogram)| is_gauge(histogram)) {
        arguments.annotate(&Annotation::NotCounter(metric), 0);
    }
    let both_gauges = is_gauge(first) && is_gauge(last);
    if !counter && !both_gauges {
        arguments.annotate(&Annotation::NotGauge(metric), 0);
    }
    // What came before a restart between the first two says nothing of the change, and need not fit.
    let nothing;
    let first: &Histogram = if counter && second.is_reset_after(first) {
        nothing = Histogram { schema: second.schema, custom: second.custom.clone(), ..Histogram::default() };
        &nothing
    } else {
        first
    };
    let inside = if counter { &points[1..] } else { &points[points.len() - 1..] };
    if inside.iter().any(|(_, histogram)| histogram.is_custom() != first.is_custom()) {
        arguments.annotate(&Annotation::MixedExponentialCustom(metric), 0);
        return None;
    }
    let note = |combined: Combined, operation| {
        if combined.bounds_reconciled {
            arguments.annotate(&Annotation::ReconciledBounds(operation), 0);
        }
    };
    let mut change = Histogram::clone(last);
    note(change.subtract(first).ok()?, Operation::Subtraction);
    if counter {
        let mut before = first;
        for (_, histogram) in &points[1..] {
            if histogram.is_reset_after(before) {
                note(change.add(before).ok()?, Operation::Addition);
            }
            before = histogram;
        }
        // All buckets are as coarse as the coarsest in between.
        if let Some(coarsest) = points[1..].iter().map(|(_, histogram)| histogram.schema).min() {
            let empty = Histogram {
                schema: coarsest,
                zero_threshold: change.zero_threshold,
                custom: change.custom.clone(),
                ..Histogram::default()
            };
            change.add(&empty).ok()?;
        }
    }
    change.hint = ResetHint::Gauge;
    Some(change)
}

/// The change between the last two points.
pub(super) fn last_two(arguments: &Arguments<'_, '_>, metric: &str, window: MixedWindow<'_>, rate: bool) -> Cell {
    let mut latest = window.points().rev();
    let (Some((last_time, last)), Some((time, before))) = (latest.next(), latest.next()) else { return Cell::Absent };
    let seconds = (last_time - time) as f64 / 1000.0;
    match (before, last) {
        (Point::Number(before), Point::Number(last)) => {
            let change = if rate && last < before { last } else { last - before };
            Cell::Number(if rate { change / seconds } else { change })
        }
        (Point::Histogram(before), Point::Histogram(last)) => {
            let is_gauge = |histogram: &Histogram| histogram.hint == ResetHint::Gauge;
            if rate && (is_gauge(before) || is_gauge(last)) {
                arguments.annotate(&Annotation::NotCounter(metric), 0);
            }
            let both_gauges = is_gauge(before) && is_gauge(last);
            if !rate && !both_gauges {
                arguments.annotate(&Annotation::NotGauge(metric), 0);
            }
            let mut change = Histogram::clone(last);
            if !(rate && last.is_reset_after(before)) {
                match change.subtract(before) {
                    Ok(combined) if combined.bounds_reconciled => {
                        arguments.annotate(&Annotation::ReconciledBounds(Operation::Subtraction), 0);
                    }
                    Ok(_) => {}
                    Err(_) => {
                        arguments.annotate(&Annotation::MixedExponentialCustom(metric), 0);
                        return Cell::Absent;
                    }
                }
            }
            change.hint = ResetHint::Gauge;
            if rate {
                change.divide(seconds);
            }
            Cell::Histogram(Arc::new(change))
        }
        _ => {
            arguments.annotate(&Annotation::MixedFloatsHistograms(metric), 0);
            Cell::Absent
        }
    }
}

/// How often the value changed; a number after a histogram is a change.
pub(super) fn changes(window: MixedWindow<'_>) -> f64 {
    pairs(window, |before, after| match (before, after) {
        (Point::Number(before), Point::Number(after)) => before != after && !(before.is_nan() && after.is_nan()),
        (Point::Histogram(before), Point::Histogram(after)) => !after.same_values(before),
        _ => true,
    })
}

/// How often a counter started again; a number after a histogram is a restart, and so is a gauge after a counter.
pub(super) fn resets(window: MixedWindow<'_>) -> f64 {
    pairs(window, |before, after| match (before, after) {
        (Point::Number(before), Point::Number(after)) => after < before,
        (Point::Histogram(before), Point::Histogram(after)) => {
            let is_gauge = |histogram: &Histogram| histogram.hint == ResetHint::Gauge;
            is_gauge(before) != is_gauge(after) || after.is_reset_after(before)
        }
        _ => true,
    })
}

fn pairs<'s>(window: MixedWindow<'s>, counts: impl Fn(Point<'s>, Point<'s>) -> bool) -> f64 {
    let after = window.points().skip(1);
    window.points().zip(after).filter(|((_, before), (_, after))| counts(*before, *after)).count() as f64
}
