//! Which metrics moved between two stretches of time: by how many of their own standard deviations, so that one that always
//! jumps about is not taken for one that never does and now did.

use std::time::Duration;

use taffrail_collector::model::{SampleKind, Timestamp};
use taffrail_ingest::series_store::MetricInfo;
use taffrail_ingest::{Scan, StopReason, TimeRange};

use crate::promql::{self, PromqlError, SeriesSource};

/// Points that each stretch is read at.
const POINTS: u32 = 24;
/// Windows of StatsD are this long; finer steps would see the same window twice.
const STEP_MIN: Duration = Duration::from_secs(10);
/// A rate looks back so far at least.
const RATE_WINDOW_MIN: Duration = Duration::from_secs(60);
/// Senders that tell a value once a minute are seen at every point.
const LOOKBACK_MIN: Duration = Duration::from_secs(90);
/// A metric is taken to waver by this share of its size at least: one that stood still would otherwise have moved by
/// infinitely many deviations when it changes by a hair.
const WAVER_MIN: f64 = 0.02;
/// Moves of fewer deviations than this are left out.
pub const DEVIATIONS_MIN: f64 = 3.0;

/// A metric and where it moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// Its name.
    pub name: String,
    /// What was read of it, in PromQL.
    pub expression: String,
    /// What that is in words: `per second`, `average`, `p95`.
    pub reading: &'static str,
    /// Its unit.
    pub unit: String,
    /// The mean of the first stretch; none without data.
    pub before: Option<f64>,
    /// The mean of the second.
    pub after: Option<f64>,
    /// By how many of its deviations; growth is positive. Infinite for one that came or went.
    pub deviations: f64,
}

/// The metrics that moved, those that came or went first, then by deviations; and why not all were looked at.
pub fn moves(
    metrics: &[MetricInfo],
    before: TimeRange,
    after: TimeRange,
    source: &dyn SeriesSource,
    scan: &Scan,
) -> (Vec<Move>, Option<StopReason>) {
    let mut found = Vec::new();
    let mut stopped = None;
    for metric in metrics {
        match of_metric(metric, before, after, source, scan) {
            Ok(moved) => found.extend(moved),
            Err(PromqlError::Stopped(reason)) => {
                stopped = Some(reason);
                break;
            }
            // A metric that cannot be read so is none that is known to have moved.
            Err(PromqlError::Invalid(_) | PromqlError::Execution(_)) => {}
        }
    }
    found.sort_by(|a, b| b.deviations.abs().total_cmp(&a.deviations.abs()).then_with(|| a.name.cmp(&b.name)));
    (found, stopped)
}

fn of_metric(
    metric: &MetricInfo,
    before: TimeRange,
    after: TimeRange,
    source: &dyn SeriesSource,
    scan: &Scan,
) -> Result<Option<Move>, PromqlError> {
    let step = |range: TimeRange| (range.end.saturating_since(range.start) / POINTS).max(STEP_MIN);
    // Both sides are read alike, or a difference of windows would pass for a move.
    let window = (2 * step(before).max(step(after))).max(RATE_WINDOW_MIN);
    let (expression, reading) = expression(metric, window);
    let values = |range: TimeRange| read(&expression, range, step(range), source, scan);
    let (earlier, later) = (values(before)?, values(after)?);
    let deviations = deviations(&earlier, &later);
    if deviations.abs() < DEVIATIONS_MIN {
        return Ok(None);
    }
    Ok(Some(Move {
        name: metric.name.clone(),
        expression,
        reading,
        unit: metric.unit.clone(),
        before: mean(&earlier),
        after: mean(&later),
        deviations,
    }))
}

fn read(
    expression: &str,
    range: TimeRange,
    step: Duration,
    source: &dyn SeriesSource,
    scan: &Scan,
) -> Result<Vec<f64>, PromqlError> {
    // The first point looks back over the step before it, so it stands at that step's end.
    let start = Timestamp::min(range.start.saturating_add(step), range.end);
    // No further back than a slow sender needs, or what had ended before the stretch would still be seen in it.
    let lookback = step.max(LOOKBACK_MIN);
    let answer = promql::range_looking_back(expression, (start, range.end, step), Some(lookback), source, scan)?;
    let points = answer.value.iter().flat_map(|series| series.points.iter().map(|(_, value)| *value));
    Ok(points.filter(|value| value.is_finite()).collect())
}

/// How a metric of a kind is read, and that in words.
fn expression(metric: &MetricInfo, window: Duration) -> (String, &'static str) {
    let name = quoted(&metric.name);
    match metric.kind {
        SampleKind::Counter | SampleKind::Cumulative => {
            (format!("sum(rate({{{name}}}[{}s]))", window.as_secs()), "per second")
        }
        SampleKind::Gauge => (format!("avg({{{name}}})"), "average"),
        SampleKind::Set => (format!("sum({{{name}}})"), "different values"),
        SampleKind::Distribution => (format!("max({{{name}, quantile=\"0.95\"}})"), "p95"),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// By how many deviations of the first stretch the mean moved.
fn deviations(before: &[f64], after: &[f64]) -> f64 {
    let (Some(earlier), Some(later)) = (mean(before), mean(after)) else {
        return match (before.is_empty(), after.is_empty()) {
            (true, false) => f64::INFINITY,
            (false, true) => f64::NEG_INFINITY,
            _ => 0.0,
        };
    };
    let spread = |values: &[f64], mean: f64| {
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (squares / values.len() as f64).sqrt()
    };
    let waver = spread(before, earlier).max(WAVER_MIN * earlier.abs().max(later.abs()));
    if waver > 0.0 { (later - earlier) / waver } else { 0.0 }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_measured_by_how_much_the_metric_always_wavers() {
        let check = |before: &[f64], after: &[f64], expected: f64| {
            let found = deviations(before, after);
            assert!(
                found == expected || (found - expected).abs() < 0.01,
                "{before:?} {after:?}: {found} instead of {expected}"
            );
        };
        check(&[1.0, 1.0], &[1.0, 1.0], 0.0);
        check(&[0.0, 2.0], &[4.0, 4.0], 3.0);
        check(&[0.0, 2.0], &[-2.0, -2.0], -3.0);
        // It stood still: then a hair is no move, and a doubling is one.
        check(&[100.0, 100.0], &[101.0, 101.0], 0.495);
        check(&[100.0, 100.0], &[200.0, 200.0], 25.0);
        check(&[], &[1.0], f64::INFINITY);
        check(&[1.0], &[], f64::NEG_INFINITY);
        check(&[], &[], 0.0);
        check(&[0.0], &[0.0], 0.0);
    }

    #[test]
    fn names_are_quoted_as_promql_wants_them() {
        let metric = |name: &str, kind| MetricInfo { name: name.to_owned(), kind, unit: String::new(), series: 1 };
        let check = |name: &str, kind, expected: &str| {
            let (text, _) = expression(&metric(name, kind), Duration::from_secs(60));
            assert_eq!(text, expected);
            assert!(promql::format(&text).is_ok(), "{text}");
        };
        check("web.hits", SampleKind::Counter, r#"sum(rate({"web.hits"}[60s]))"#);
        check("a\"b\\c", SampleKind::Gauge, r#"avg({"a\"b\\c"})"#);
        check("t", SampleKind::Distribution, r#"max({"t", quantile="0.95"})"#);
    }
}
