//! Series in memory: what a script has loaded.

use std::collections::BTreeMap;
use std::sync::Arc;

use taffrail_collector::model::{LabelSet, is_stale};
use taffrail_ingest::Scan;
use taffrail_ingest::series_store::LabelMatcher;

use super::super::histogram::{Histogram, ResetHint};
use super::super::source::Wanted;
use super::super::{PromqlError, Series, SeriesSource};
use super::notation::{LoadedSeries, Written};

/// A point.
#[derive(Clone, Debug)]
enum Point {
    Number(f64),
    Histogram(Arc<Histogram>),
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct MemorySource {
    series: BTreeMap<Arc<LabelSet>, BTreeMap<i64, Point>>,
}

impl MemorySource {
    /// Adds series whose values start at a moment and are `step_ms` apart. Of two lines of one series the later stands.
    pub(crate) fn load(&mut self, start_ms: i64, step_ms: i64, series: Vec<LoadedSeries>) {
        let lines: BTreeMap<Arc<LabelSet>, Vec<Written>> =
            series.into_iter().map(|line| (line.labels, line.values)).collect();
        for (labels, values) in lines {
            let points = self.series.entry(labels).or_default();
            for (time, value) in (0..).map(|i: i64| start_ms + i * step_ms).zip(values) {
                match value {
                    Written::Nothing => {}
                    Written::Number(value) => drop(points.insert(time, Point::Number(value))),
                    Written::Histogram(written) => {
                        points.insert(time, Point::Histogram(Arc::new(written.histogram.clone())));
                    }
                }
            }
            tell_hints(points);
        }
    }
}

impl MemorySource {
    /// Adds a point, or takes its place.
    pub(crate) fn add(&mut self, labels: Arc<LabelSet>, time_ms: i64, value: f64) {
        self.series.entry(labels).or_default().insert(time_ms, Point::Number(value));
    }
}

/// Hints as Prometheus' store gives them back: what follows in a chunk did not start again; the first in a chunk did when the
/// chunk was begun for that, else nothing is known of it. A chunk ends where a counter starts again (a staleness marker counts
/// as that), where the layout changes, or where numbers stand between.
fn tell_hints(points: &mut BTreeMap<i64, Point>) {
    let mut before: Option<Arc<Histogram>> = None;
    let mut was_stale = false;
    for point in points.values_mut() {
        let histogram = match point {
            Point::Histogram(histogram) => histogram,
            Point::Number(value) => {
                was_stale = is_stale(*value) && (before.is_some() || was_stale);
                before = None;
                continue;
            }
        };
        let given = histogram.clone();
        if given.hint != ResetHint::Gauge {
            let fits = before.as_ref().is_some_and(|before| {
                before.hint != ResetHint::Gauge
                    && given.hint != ResetHint::Reset
                    && before.schema == given.schema
                    && before.zero_threshold == given.zero_threshold
                    && before.custom == given.custom
                    && !given.fell_since(before)
            });
            let is_reset = given.hint == ResetHint::Reset
                || was_stale
                || before.as_ref().is_some_and(|before| {
                    let same_layout = before.schema == given.schema && before.zero_threshold == given.zero_threshold;
                    before.hint != ResetHint::Gauge && same_layout && given.fell_since(before)
                });
            Arc::make_mut(histogram).hint = match (fits && !was_stale, is_reset) {
                (true, _) => ResetHint::NotReset,
                (false, true) => ResetHint::Reset,
                (false, false) => ResetHint::Unknown,
            };
        }
        was_stale = false;
        before = Some(given);
    }
}

impl SeriesSource for MemorySource {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        start_ms: i64,
        end_ms: i64,
        _: Wanted,
        scan: &Scan,
    ) -> Result<Vec<Series>, PromqlError> {
        let passes = |labels: &LabelSet| matchers.iter().all(|matcher| matcher.passes(labels));
        let mut found = Vec::new();
        for (labels, points) in self.series.iter().filter(|(labels, _)| passes(labels)) {
            let inside = (start_ms.saturating_add(1) <= end_ms).then(|| points.range(start_ms + 1..=end_ms));
            let mut series = Series::of_numbers(labels.clone(), Vec::new());
            for (&time, point) in inside.into_iter().flatten() {
                match point {
                    Point::Number(value) => series.points.push((time, *value)),
                    Point::Histogram(histogram) => series.histograms.push((time, histogram.clone())),
                }
            }
            scan.touch((series.points.len() + series.histograms.len()) as u64, 0).map_err(PromqlError::Stopped)?;
            if !series.is_empty() {
                found.push(series);
            }
        }
        Ok(found)
    }
}
