//! The series store as a source: windows read as the series that Prometheus would have scraped.
//!
//! | Window of `x` | Series |
//! |---|---|
//! | counter | `x`, cumulative |
//! | gauge | `x`, the last level; for `min_over_time` and `max_over_time` the lowest and highest |
//! | set | `x`, how many different values |
//! | running total of the sender | `x`, as it came |
//! | distribution | `x{quantile="0.5 0.9 0.95 0.99"}` of each window; `x_count`, `x_sum`, cumulative; `x_min`, `x_max` |
//! | the same, where a function takes histograms (`rate`, `increase`, `histogram_*`) | the native histogram `x`, cumulative, instead of the quantiles |
//!
//! A point's time is the end of its window. StatsD sends nothing for a counter that nothing was counted on, where a scrape
//! would find it unchanged; so that `rate` means the same, cumulative series stand still in gaps: they are repeated on
//! their grid for [`SILENT_MS`], and once more right before the next increment, whose start is thereby known exactly. The
//! last two intervals of a question are left out of this, since their windows may be on their way.
//!
//! Where a name is used for two kinds with the same labels, the series with the newer last point is given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_collector::model::{Distribution, LabelSet, SampleKind, Timestamp};
use taffrail_ingest::log_store::LogStore;
use taffrail_ingest::series_store::{
    ChangeMark, End, FirstValues, LabelMatcher, LabelRegex, LabelTest, Selection, SelectionReader, SeriesData,
    SeriesExemplars, SeriesStore, SeriesStoreError, Values, WindowEnds,
};
use taffrail_ingest::{Scan, TimeRange};

use super::histogram::cumulative_histograms;
use super::labels::with;
use super::source::{OfWindows, SeriesSource, SourceSeries, Visit, Wanted};
use super::{LOGS_COUNT, LOOKBACK_MS, PromqlError, Series, log_series};

/// How long a silent counter is repeated: as long as a selector looks back, and as gostatsd keeps a silent metric alive.
pub const SILENT_MS: i64 = LOOKBACK_MS;

/// The quantiles that a distribution is read as.
pub const QUANTILES: [(&str, f64); 4] = [("0.5", 0.5), ("0.9", 0.9), ("0.95", 0.95), ("0.99", 0.99)];

pub(super) const QUANTILE_LABEL: &str = "quantile";

/// What the names of a distribution's other series end in.
const SUFFIXES: [&str; 4] = ["_count", "_sum", "_min", "_max"];

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct StoreSource {
    store: Arc<SeriesStore>,
    logs: Option<Arc<LogStore>>,
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
    fn logs(&self) -> Option<&LogStore> {
        self.logs.as_deref()
    }

    fn select(
        &self,
        matchers: &[LabelMatcher],
        start_ms: i64,
        end_ms: i64,
        wanted: Wanted,
        scan: &Scan,
    ) -> Result<Vec<Series>, PromqlError> {
        let found = Mutex::new(BTreeMap::new());
        self.visit(matchers, start_ms, end_ms, wanted, scan, &|_, series| {
            let mut series = Series::from(series);
            series.points.drain(..series.points.partition_point(|point| point.0 <= start_ms));
            series.histograms.drain(..series.histograms.partition_point(|point| point.0 <= start_ms));
            if !series.is_empty() {
                found.lock().insert(series.labels.clone(), series);
            }
            Ok(())
        })?;
        Ok(found.into_inner().into_values().collect())
    }

    fn visit(
        &self,
        matchers: &[LabelMatcher],
        start_ms: i64,
        end_ms: i64,
        wanted: Wanted,
        scan: &Scan,
        visit: Visit<'_>,
    ) -> Result<(), PromqlError> {
        // What stands still in the time asked for was counted before it.
        let range = after(start_ms.saturating_sub(SILENT_MS), end_ms);
        let selection =
            self.store.selection(&stored_matchers(matchers), range, wanted.resolution_ms, scan).map_err(failed)?;
        let groups = same_names(&selection);
        let next = AtomicUsize::new(0);
        let work = || {
            let mut reader =
                Reader { stored: selection.reader(), end_ms, matchers, wanted, scan, times: SharedTimes::default() };
            loop {
                let first = next.fetch_add(GROUPS_AT_ONCE, Relaxed);
                let Some(groups) = groups.get(first..groups.len().min(first + GROUPS_AT_ONCE)) else { return Ok(()) };
                if groups.is_empty() {
                    return Ok(());
                }
                for (group, places) in (first..).zip(groups) {
                    for (nth, series) in reader.read(places)?.into_iter().enumerate() {
                        // A group of one stored series gives at most eight; of several, as many for each.
                        visit(group * 64 + nth, series)?;
                    }
                }
            }
        };
        let threads = THREADS_MAX.min(groups.len().div_ceil(GROUPS_AT_ONCE));
        if threads < 2 {
            return work();
        }
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            others.into_iter().map(|other| other.join().expect("a panic is passed on")).fold(own, Result::and)
        })
    }
}

/// Groups that a thread takes at a time: neighbours share chunks of blocks.
const GROUPS_AT_ONCE: usize = 16;

/// Asked once: the answer is read from the control groups' files.
static THREADS_MAX: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));

/// Places of a selection whose series may be read under the same labels. Mostly that is each for itself: a name is used for
/// one kind, and nothing else is called like a distribution's `_count`.
fn same_names(selection: &Selection) -> Vec<Vec<usize>> {
    let mut group_of: BTreeMap<Arc<LabelSet>, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let has_distributions = (0..selection.len()).any(|place| selection.series(place).1 == SampleKind::Distribution);
    for place in 0..selection.len() {
        let (labels, kind) = selection.series(place);
        let previous = place.checked_sub(1).map(|previous| selection.series(previous).0);
        if !has_distributions {
            // Sorted by labels, so others of the same name are neighbours.
            match groups.last_mut() {
                Some(group) if previous == Some(labels) => group.push(place),
                _ => groups.push(vec![place]),
            }
            continue;
        }
        let names = if kind == SampleKind::Distribution { derived_labels(labels) } else { vec![labels.clone()] };
        let mut joined: Vec<usize> = names.iter().filter_map(|name| group_of.get(name).copied()).collect();
        joined.sort_unstable();
        joined.dedup();
        let group = joined.first().copied().unwrap_or(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        for &other in joined.iter().skip(1) {
            let moved = std::mem::take(&mut groups[other]);
            groups[group].extend(moved);
            group_of.values_mut().filter(|of| **of == other).for_each(|of| *of = group);
        }
        groups[group].push(place);
        group_of.extend(names.into_iter().map(|name| (name, group)));
    }
    groups
}

/// Reads series of a selection as PromQL sees them.
struct Reader<'a> {
    stored: SelectionReader<'a>,
    end_ms: i64,
    matchers: &'a [LabelMatcher],
    wanted: Wanted,
    scan: &'a Scan,
    times: SharedTimes,
}

impl Reader<'_> {
    /// The series that those at these places are read as, each name once.
    fn read(&mut self, places: &[usize]) -> Result<Vec<SourceSeries>, PromqlError> {
        let mut found: Vec<SourceSeries> = Vec::new();
        for &place in places {
            let Some(data) = self.stored.read(place, self.scan).map_err(failed)? else { continue };
            for series in read(data, self.end_ms, self.wanted, &mut self.times) {
                if series.values.is_empty() || !self.matchers.iter().all(|matcher| matcher.passes(&series.labels)) {
                    continue;
                }
                match found.iter_mut().find(|other| other.labels == series.labels) {
                    Some(other) if other.times.last() >= series.times.last() => {}
                    Some(other) => *other = series,
                    None => found.push(series),
                }
            }
        }
        Ok(found)
    }
}

/// The times made last: series that were measured together have the same, and what works on windows of them works out once
/// where those lie.
#[derive(Default)]
struct SharedTimes(Option<(TimesKey, Arc<[i64]>)>);

/// What times are made of.
#[derive(Clone, Copy, PartialEq)]
struct TimesKey {
    first: End,
    step: i64,
    count: usize,
    /// For cumulative series: the windows' length, and until when the last point is repeated.
    standing: Option<(i64, i64)>,
}

impl SharedTimes {
    fn get(&mut self, key: TimesKey, make: impl FnOnce() -> Vec<i64>) -> Arc<[i64]> {
        match &self.0 {
            Some((known, times)) if *known == key => times.clone(),
            _ => {
                let times: Arc<[i64]> = make().into();
                self.0 = Some((key, times.clone()));
                times
            }
        }
    }
}

impl StoreSource {
    /// A view of this store.
    pub fn new(store: Arc<SeriesStore>) -> StoreSource {
        StoreSource { store, logs: None }
    }

    /// The same, and `logs_count` counts the records of this store.
    #[must_use]
    pub fn with_logs(self, logs: Arc<LogStore>) -> StoreSource {
        StoreSource { logs: Some(logs), ..self }
    }

    /// Now, to ask later what has changed since.
    pub fn change_mark(&self) -> ChangeMark {
        self.store.change_mark()
    }

    /// The earliest moment at which a series may have changed since; none when none has.
    pub fn changed_since(&self, mark: ChangeMark) -> Option<Timestamp> {
        self.store.changed_since(mark)
    }

    /// The label sets of the series that pass all matchers and have a point in the range, sorted; without matchers all of them (for `/api/v1/series`,
    /// `labels` and `label/*/values`).
    pub fn series(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
        scan: &Scan,
    ) -> Result<Vec<Arc<LabelSet>>, PromqlError> {
        if let Some(logs) = self.logs.as_ref().filter(|_| log_series::are_meant(matchers)) {
            return log_series::series(logs, matchers, range, None, scan);
        }
        let stored = self.store.series(&stored_matchers(matchers), range, scan).map_err(failed)?;
        let all = stored.into_iter().flat_map(|(labels, kind)| match kind {
            SampleKind::Distribution => derived_labels(&labels),
            SampleKind::Counter | SampleKind::Gauge | SampleKind::Set | SampleKind::Cumulative => vec![labels],
        });
        let passing = all.filter(|labels| matchers.iter().all(|matcher| matcher.passes(labels)));
        Ok(passing.collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// The values of a label among the series that pass all matchers and have a point in the range: the first `most`, sorted.
    pub fn label_values(
        &self,
        label: &str,
        matchers: &[LabelMatcher],
        range: TimeRange,
        most: usize,
        scan: &Scan,
    ) -> Result<BTreeSet<String>, PromqlError> {
        if let Some(logs) = self.logs.as_ref().filter(|_| log_series::are_meant(matchers)) {
            let series = log_series::series(logs, matchers, range, Some(label), scan)?;
            let values = series.iter().map(|labels| labels.get(label)).filter(|value| !value.is_empty());
            return Ok(values.map(str::to_owned).collect());
        }
        let mut found = FirstValues::new(most);
        if label == NAME_LABEL && self.logs.as_ref().is_some_and(|logs| log_series::is_among(logs, matchers)) {
            found.offer(LOGS_COUNT);
        }
        if label == QUANTILE_LABEL || matchers.iter().any(|matcher| matcher.name == QUANTILE_LABEL) {
            let series = self.series(matchers, range, scan)?;
            let values = series.iter().map(|labels| labels.get(label)).filter(|value| !value.is_empty());
            values.for_each(|value| found.offer(value));
            return Ok(found.into_set());
        }
        let is_distribution = |kind| kind == SampleKind::Distribution;
        let is_other = |kind| kind != SampleKind::Distribution;
        self.store.label_values(label, matchers, range, is_other, scan, &mut found).map_err(failed)?;
        let stored = stored_matchers(matchers);
        if label != NAME_LABEL {
            self.store.label_values(label, &stored, range, is_distribution, scan, &mut found).map_err(failed)?;
            return Ok(found.into_set());
        }
        // One of them is read as several names, not all of which need be meant; other labels they share.
        let mut read = FirstValues::new(usize::MAX);
        self.store.label_values(label, &stored, range, is_distribution, scan, &mut read).map_err(failed)?;
        let of_names: Vec<&LabelMatcher> = matchers.iter().filter(|matcher| matcher.name == NAME_LABEL).collect();
        for name in read.into_set() {
            let derived = derived_labels(&LabelSet::new([(NAME_LABEL, &*name)]));
            let meant = derived.iter().filter(|labels| of_names.iter().all(|matcher| matcher.passes(labels)));
            meant.for_each(|labels| found.offer(labels.name()));
        }
        Ok(found.into_set())
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
fn read(data: SeriesData, end_ms: i64, wanted: Wanted, shared: &mut SharedTimes) -> Vec<SourceSeries> {
    let interval = i64::from(data.interval_ms);
    let labels = data.labels;
    let (ends, values) = data.points.into_columns();
    match values {
        Values::Counter(increments) => {
            let (times, values) = cumulative(data.before.sum, &ends, &increments, interval, end_ms, shared);
            vec![SourceSeries::of_numbers(labels, times, values)]
        }
        Values::Gauge(windows) => {
            let asked = match wanted.of_windows {
                OfWindows::Lowest => windows.min().to_vec(),
                OfWindows::Highest => windows.max().to_vec(),
                OfWindows::Each | OfWindows::Levels => windows.into_last(),
            };
            vec![levels(labels, &ends, asked, shared)]
        }
        Values::Cumulative(totals) => vec![levels(labels, &ends, totals, shared)],
        Values::Set(sets) => vec![levels(labels, &ends, sets.iter().map(|set| set.count()).collect(), shared)],
        Values::Distribution(windows) => {
            let derived = derived_labels(&labels);
            let mut native = Vec::new();
            if wanted.histograms {
                native.push(native_histogram(&labels, &ends, &windows, interval, end_ms, shared));
            }
            let of = |field: fn(&Distribution) -> f64| windows.iter().map(field).collect::<Vec<f64>>();
            let mut series = Vec::with_capacity(derived.len() + 1);
            series.append(&mut native);
            let quantiles = if wanted.histograms { &[][..] } else { &QUANTILES[..] };
            for (&(_, q), labels) in quantiles.iter().zip(&derived) {
                let values = windows.iter().map(|w| w.quantile(q).unwrap_or(f64::NAN)).collect();
                series.push(levels(labels.clone(), &ends, values, shared));
            }
            let [.., count, sum, min, max] = &derived[..] else { return series };
            series.push(levels(min.clone(), &ends, of(|window| window.min), shared));
            series.push(levels(max.clone(), &ends, of(|window| window.max), shared));
            let totals = [(count, data.before.count, of(|window| window.count)), (sum, data.before.sum, of(|w| w.sum))];
            for (labels, before, increments) in totals {
                let (times, values) = cumulative(before, &ends, &increments, interval, end_ms, shared);
                series.push(SourceSeries::of_numbers(labels.clone(), times, values));
            }
            series
        }
    }
}

/// A distribution as a cumulative native histogram, which counts from the first window read on: what changes in it is right,
/// how much it holds in all is not known.
fn native_histogram(
    labels: &Arc<LabelSet>,
    ends: &WindowEnds,
    windows: &[Distribution],
    interval: i64,
    end_ms: i64,
    shared: &mut SharedTimes,
) -> SourceSeries {
    // Numbering the windows gives the times, and which sum stands at each.
    let (times, numbers) = cumulative(0.0, ends, &vec![1.0; windows.len()], interval, end_ms, shared);
    let sums = cumulative_histograms(windows);
    let histograms = numbers.iter().map(|&number| sums.get(number as usize).cloned()).collect();
    SourceSeries { labels: labels.clone(), times, values: numbers, histograms: Some(histograms) }
}

fn levels(labels: Arc<LabelSet>, ends: &WindowEnds, values: Vec<f64>, shared: &mut SharedTimes) -> SourceSeries {
    if let &WindowEnds::Grid { first, step, count } = ends
        && (step >= NANOS_OF_A_MILLI || count < 2)
    {
        let key = TimesKey { first, step, count, standing: None };
        let times = shared.get(key, || ends.iter().map(millis).collect());
        return SourceSeries::of_numbers(labels, times, values);
    }
    let mut points: Vec<(i64, f64)> = Vec::with_capacity(ends.len());
    for (end, value) in ends.iter().zip(values) {
        push(&mut points, millis(end), value);
    }
    Series::of_numbers(labels, points).into()
}

const NANOS_OF_A_MILLI: i64 = 1_000_000;

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
fn cumulative(
    before: f64,
    ends: &WindowEnds,
    increments: &[f64],
    interval: i64,
    end_ms: i64,
    shared: &mut SharedTimes,
) -> (Arc<[i64]>, Vec<f64>) {
    if let &WindowEnds::Grid { first, step, count } = ends
        && interval > 0
        && (count < 2 || step == interval.saturating_mul(NANOS_OF_A_MILLI))
    {
        return gapless(before, first, increments, interval, end_ms, shared);
    }
    let mut points: Vec<(i64, f64)> = Vec::with_capacity(increments.len());
    let mut sum = before;
    for (end, increment) in ends.iter().map(millis).zip(increments) {
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
    let (times, values): (Vec<i64>, Vec<f64>) = points.into_iter().unzip();
    (times.into(), values)
}

/// The same of windows that touch each other, whose times are those of many other series.
fn gapless(
    before: f64,
    first: End,
    increments: &[f64],
    interval: i64,
    end_ms: i64,
    shared: &mut SharedTimes,
) -> (Arc<[i64]>, Vec<f64>) {
    let count = increments.len();
    let until = end_ms.saturating_sub(2 * interval);
    let key = TimesKey { first, step: interval, count, standing: Some((interval, until)) };
    let times = shared.get(key, || {
        let start = millis(first).saturating_sub(interval);
        let mut points: Vec<(i64, f64)> =
            (0..=count as i64).map(|place| (start.saturating_add(place.saturating_mul(interval)), 0.0)).collect();
        stand_still(&mut points, 0.0, interval, until);
        points.into_iter().map(|(time, _)| time).collect()
    });
    let mut values = Vec::with_capacity(times.len());
    let mut sum = before;
    values.push(sum);
    values.extend(increments.iter().map(|increment| {
        sum += increment;
        sum
    }));
    values.resize(times.len(), sum);
    (times, values)
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
