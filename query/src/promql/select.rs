//! The series store as a source: windows read as the series that Prometheus would have scraped.
//!
//! | Window of `x` | Series |
//! |---|---|
//! | counter | `x`, cumulative |
//! | gauge | `x`, the last level |
//! | set | `x`, how many different values |
//! | running total of the sender | `x`, as it came |
//! | distribution | `x{quantile="0.5 0.9 0.95 0.99"}` of each window; `x_count`, `x_sum`, cumulative; `x_min`, `x_max` |
//!
//! A point's time is the end of its window. StatsD sends nothing for a counter that nothing was counted on, where a scrape
//! would find it unchanged; so that `rate` means the same, cumulative series stand still in gaps: they are repeated on
//! their grid for [`SILENT_MS`], and once more right before the next increment, whose start is thereby known exactly. The
//! last two intervals of a question are left out of this, since their windows may be on their way.
//!
//! Where a name is used for two kinds with the same labels, the series with the newer last point is given.

use std::collections::BTreeMap;
use std::sync::Arc;

use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_collector::model::{Distribution, LabelSet, SampleKind, Timestamp};
use taffrail_ingest::series_store::{
    End, LabelMatcher, LabelRegex, LabelTest, SeriesData, SeriesExemplars, SeriesStore, SeriesStoreError, Values,
    WindowEnds,
};
use taffrail_ingest::{Scan, TimeRange};

use super::labels::with;
use super::{LOOKBACK_MS, PromqlError, Series, SeriesSource};

/// How long a silent counter is repeated: as long as a selector looks back, and as gostatsd keeps a silent metric alive.
pub const SILENT_MS: i64 = LOOKBACK_MS;

/// The quantiles that a distribution is read as.
pub const QUANTILES: [(&str, f64); 4] = [("0.5", 0.5), ("0.9", 0.9), ("0.95", 0.95), ("0.99", 0.99)];

const QUANTILE_LABEL: &str = "quantile";

/// What the names of a distribution's other series end in.
const SUFFIXES: [&str; 4] = ["_count", "_sum", "_min", "_max"];

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct StoreSource {
    store: Arc<SeriesStore>,
}

/// What `/api/v1/metadata` says of a metric name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricMetadata {
    /// The name.
    pub name: String,
    /// `counter`, `gauge` or `summary`.
    pub kind: &'static str,
    /// The unit, when known.
    pub unit: String,
}

impl SeriesSource for StoreSource {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        start_ms: i64,
        end_ms: i64,
        scan: &Scan,
    ) -> Result<Vec<Series>, PromqlError> {
        let mut found: BTreeMap<Arc<LabelSet>, Series> = BTreeMap::new();
        // What stands still in the time asked for was counted before it.
        let range = after(start_ms.saturating_sub(SILENT_MS), end_ms);
        for data in self.store.select(&stored_matchers(matchers), range, scan).map_err(failed)? {
            for mut series in read(data, end_ms) {
                series.points.drain(..series.points.partition_point(|point| point.0 <= start_ms));
                if series.points.is_empty() || !matchers.iter().all(|matcher| matcher.passes(&series.labels)) {
                    continue;
                }
                let last = |series: &Series| series.points.last().map(|point| point.0);
                match found.get(&series.labels) {
                    Some(other) if last(other) >= last(&series) => {}
                    _ => drop(found.insert(series.labels.clone(), series)),
                }
            }
        }
        Ok(found.into_values().collect())
    }
}

impl StoreSource {
    /// A view of this store.
    pub fn new(store: Arc<SeriesStore>) -> StoreSource {
        StoreSource { store }
    }

    /// The label sets of the series that pass all matchers and have a point in the range, sorted; without matchers all of them (for `/api/v1/series`,
    /// `labels` and `label/*/values`).
    pub fn series(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        scan: &Scan,
    ) -> Result<Vec<Arc<LabelSet>>, PromqlError> {
        let stored = self.store.series(&stored_matchers(matchers), range, scan).map_err(failed)?;
        let all = stored.into_iter().flat_map(|(labels, kind)| match kind {
            SampleKind::Distribution => derived_labels(&labels),
            SampleKind::Counter | SampleKind::Gauge | SampleKind::Set | SampleKind::Cumulative => vec![labels],
        });
        let passing = all.filter(|labels| matchers.iter().all(|matcher| matcher.passes(labels)));
        Ok(passing.collect::<std::collections::BTreeSet<_>>().into_iter().collect())
    }

    /// Exemplars of the series that pass all matchers, by series then time. Those of a distribution are found under each of
    /// its names, and given under the name it is stored by.
    pub fn exemplars(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        scan: &Scan,
    ) -> Result<Vec<SeriesExemplars>, PromqlError> {
        self.store.exemplars(&stored_matchers(matchers), range, scan).map_err(failed)
    }

    /// Type and unit of the metrics whose name contains `part`, at most `limit` (for `/api/v1/metadata`).
    pub fn metric_metadata(&self, part: &str, limit: usize) -> Vec<MetricMetadata> {
        let metrics = self.store.metrics(part, limit).into_iter();
        metrics.map(|m| MetricMetadata { name: m.name, kind: m.kind.prometheus_type(), unit: m.unit }).collect()
    }
}

fn failed(error: SeriesStoreError) -> PromqlError {
    match error {
        SeriesStoreError::Stopped(reason) => PromqlError::Stopped(reason),
        other => PromqlError::Execution(other.to_string()),
    }
}

/// `start_ms < moment <= end_ms`, to the millisecond: windows that end within the last millisecond are in it.
fn after(start_ms: i64, end_ms: i64) -> TimeRange {
    let next = |ms: i64| Timestamp::from_unix_millis(ms.saturating_add(1));
    TimeRange { start: next(start_ms), end: next(end_ms) }
}

/// Conditions that hold for every stored series which could be read as one that passes: a name may be that of a
/// distribution with a suffix, and the label `quantile` comes to be when reading.
fn stored_matchers(matchers: &[LabelMatcher]) -> Vec<LabelMatcher> {
    let stored = matchers.iter().filter(|matcher| matcher.name != QUANTILE_LABEL).map(|matcher| {
        if matcher.name != NAME_LABEL {
            return matcher.clone();
        }
        if let LabelTest::Equal(name) = &matcher.test
            && !SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        {
            return matcher.clone();
        }
        let test = matcher.test.clone();
        let readable = move |stored: &str| {
            test.passes(stored) || SUFFIXES.iter().any(|suffix| test.passes(&format!("{stored}{suffix}")))
        };
        let test = LabelTest::Matches(LabelRegex(Arc::new(readable)));
        LabelMatcher { name: NAME_LABEL.to_owned(), test }
    });
    stored.collect()
}

fn derived_labels(labels: &LabelSet) -> Vec<Arc<LabelSet>> {
    let quantiles = QUANTILES.iter().map(|(quantile, _)| with(labels, QUANTILE_LABEL, quantile));
    let others = SUFFIXES.iter().map(|suffix| with(labels, NAME_LABEL, &format!("{}{suffix}", labels.name())));
    quantiles.chain(others).map(Arc::new).collect()
}

/// The series that stored windows are read as.
fn read(data: SeriesData, end_ms: i64) -> Vec<Series> {
    let interval = i64::from(data.interval_ms);
    let labels = data.labels;
    let (ends, values) = data.points.into_columns();
    let cumulative = |before: f64, increments: Vec<f64>| cumulative(before, &ends, increments, interval, end_ms);
    match values {
        Values::Counter(increments) => vec![Series { points: cumulative(data.before.sum, increments), labels }],
        Values::Gauge(windows) => vec![Series { points: levels(&ends, windows.last().iter().copied()), labels }],
        Values::Cumulative(totals) => vec![Series { points: levels(&ends, totals.into_iter()), labels }],
        Values::Set(sets) => vec![Series { points: levels(&ends, sets.iter().map(|set| set.count())), labels }],
        Values::Distribution(windows) => {
            let of = |field: fn(&Distribution) -> f64| windows.iter().map(field).collect();
            let quantiles =
                QUANTILES.map(|(_, q)| levels(&ends, windows.iter().map(|w| w.quantile(q).unwrap_or(f64::NAN))));
            let others = [
                cumulative(data.before.count, of(|window| window.count)),
                cumulative(data.before.sum, of(|window| window.sum)),
                levels(&ends, windows.iter().map(|window| window.min)),
                levels(&ends, windows.iter().map(|window| window.max)),
            ];
            let values = quantiles.into_iter().chain(others);
            derived_labels(&labels).into_iter().zip(values).map(|(labels, points)| Series { labels, points }).collect()
        }
    }
}

fn levels(ends: &WindowEnds, values: impl Iterator<Item = f64>) -> Vec<(i64, f64)> {
    let mut points: Vec<(i64, f64)> = Vec::with_capacity(ends.len());
    for (end, value) in ends.iter().zip(values) {
        push(&mut points, millis(end), value);
    }
    points
}

fn millis(end: End) -> i64 {
    Timestamp::from_unix_nanos(end).unix_millis()
}

/// Adds a point; of two in one millisecond the later stands.
fn push(points: &mut Vec<(i64, f64)>, time: i64, value: f64) {
    match points.last_mut() {
        Some(last) if last.0 == time => last.1 = value,
        _ => points.push((time, value)),
    }
}

/// The running sum at the end of each window, and where it stood still: see the module's documentation.
fn cumulative(before: f64, ends: &WindowEnds, increments: Vec<f64>, interval: i64, end_ms: i64) -> Vec<(i64, f64)> {
    let mut points: Vec<(i64, f64)> = Vec::with_capacity(increments.len());
    let mut sum = before;
    for (end, increment) in ends.iter().zip(increments) {
        let end = millis(end);
        if interval > 0 {
            let start = end.saturating_sub(interval);
            stand_still(&mut points, sum, interval, start);
            if points.last().is_none_or(|last| last.0 < start) {
                points.push((start, sum));
            }
        }
        sum += increment;
        push(&mut points, end, sum);
    }
    if interval > 0 {
        stand_still(&mut points, sum, interval, end_ms.saturating_sub(2 * interval));
    }
    points
}

/// Repeats the last point on its grid up to `until`, at most for [`SILENT_MS`].
fn stand_still(points: &mut Vec<(i64, f64)>, sum: f64, interval: i64, until: i64) {
    let Some(&(last, _)) = points.last() else { return };
    let until = until.min(last.saturating_add(SILENT_MS));
    let mut time = last.saturating_add(interval);
    while time <= until {
        points.push((time, sum));
        time = time.saturating_add(interval);
    }
}

#[cfg(test)]
mod tests;
