//! How many series a metric and a source may have, and what becomes of those beyond: so that a label with a value of its own for
//! each request costs its author his detail, and not everybody the store.
//!
//! A window of a series that is new and has no room goes to the metric's **overflow series**, which has the label
//! `overflow="true"` and no other. Counters, distributions and sets are joined there to what they are in truth; of gauges it
//! has the last level of any of them, the lowest and the highest. A running total ([`SampleKind::Cumulative`]) means nothing beside
//! another's, and a metric of which nothing is known has no overflow series: such windows are dropped. All are counted, so that
//! what was taken equals what is stored and what is counted here as dropped.
//!
//! Series count as long as they were heard of within some hours (see [`super::registry`]); who is known keeps his place. A
//! restart begins to count anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use rapidhash::RapidHashMap;
use serde::Serialize;
use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_collector::model::{DistinctSet, LabelSet, SampleKind, SampleValue, Timestamp, is_stale};

use super::label_index::LabelIndex;

/// The label of overflow series; its value is `true`.
pub const OVERFLOW_LABEL: &str = "overflow";

/// The labels that name a series' source, the first that it has.
pub const SOURCE_LABELS: [&str; 2] = ["host", "instance"];

/// Metrics, and sources, of which it is remembered one by one what was limited. Of more only the sums are known.
const REMEMBERED_MAX: usize = 1_000;

/// Stands for all series without a label that names their source.
const NAMELESS: u32 = u32::MAX;

/// How many series are known at most; none has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeriesLimits {
    /// Of one metric name.
    pub per_metric: Option<usize>,
    /// Of one source.
    pub per_source: Option<usize>,
    /// Bytes that knowing all of them may take.
    pub bytes: Option<usize>,
}

/// Which limit a series met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitedBy {
    /// Its metric has as many as it may.
    Metric,
    /// Its source has as many as it may.
    Source,
    /// Knowing more would take more memory than it may.
    Memory,
}

/// What became of windows whose series had no room.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limited {
    /// Which limit it was, the last time.
    pub by: LimitedBy,
    /// Windows that are in overflow series.
    pub joined_windows: u64,
    /// Windows that were dropped.
    pub dropped_windows: u64,
    /// About how many different series had no room.
    pub series: u64,
    /// When it happened last.
    #[serde(serialize_with = "rfc3339")]
    pub last: Timestamp,
}

/// Windows whose series had no room, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LimitedWindows {
    /// Windows that are in overflow series.
    pub joined: u64,
    /// Windows that were dropped.
    pub dropped: u64,
}

/// What a new series gets.
pub(super) enum Room {
    /// A place of its own.
    Own,
    /// A place in the overflow series.
    Overflow(Arc<LabelSet>),
    /// None.
    None,
}

/// Counts what lives and what had no room.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    pub(super) limits: SeriesLimits,
    /// Living series by the term of their name …
    of_metric: RapidHashMap<u32, usize>,
    /// … and by that of their source.
    of_source: RapidHashMap<u32, usize>,
    is_full: bool,
    /// Whether something was limited since the living were last counted.
    was_met: bool,
    totals: BTreeMap<LimitedBy, LimitedWindows>,
    metrics: BTreeMap<Box<str>, Remembered>,
    sources: BTreeMap<Box<str>, Remembered>,
}

#[derive(Debug)]
struct Remembered {
    by: LimitedBy,
    windows: LimitedWindows,
    series: DistinctSet,
    last: Timestamp,
}

impl LimitedBy {
    /// The setting that changes it.
    pub const fn setting(self) -> &'static str {
        match self {
            LimitedBy::Metric => "store.series_per_metric_max",
            LimitedBy::Source => "store.series_per_source_max",
            LimitedBy::Memory => "store.memory_bytes_max",
        }
    }

    /// The word for it in counters.
    pub const fn name(self) -> &'static str {
        match self {
            LimitedBy::Metric => "metric",
            LimitedBy::Source => "source",
            LimitedBy::Memory => "memory",
        }
    }
}

impl Limiter {
    /// One for the registry that follows: it remembers what was limited and counts the living anew.
    pub(super) fn following(&mut self) -> Limiter {
        let (totals, metrics) = (std::mem::take(&mut self.totals), std::mem::take(&mut self.metrics));
        let sources = std::mem::take(&mut self.sources);
        Limiter { limits: self.limits, totals, metrics, sources, ..Limiter::default() }
    }

    /// Where a window of a series goes that is not known yet.
    pub(super) fn room(&mut self, index: &LabelIndex, labels: &LabelSet, value: &SampleValue) -> Room {
        let metric = index.term(NAME_LABEL, labels.name());
        let Some(by) = self.limit_met(index, metric, labels) else { return Room::Own };
        let joins = metric.is_some() && can_join(value);
        self.remember(by, labels, joins);
        if !joins {
            return Room::None;
        }
        Room::Overflow(Arc::new(LabelSet::new([(NAME_LABEL, labels.name()), (OVERFLOW_LABEL, "true")])))
    }

    /// Counts a series that the index has.
    pub(super) fn count(&mut self, index: &LabelIndex, id: u32) {
        if let Some(metric) = index.number_of(NAME_LABEL).and_then(|name| index.term_of(id, name)) {
            *self.of_metric.entry(metric).or_default() += 1;
        }
        *self.of_source.entry(source_of(index, id)).or_default() += 1;
    }

    /// Whether it is worth it to count the living anew, because some have had no room.
    pub(super) fn is_met(&self) -> bool {
        self.was_met
    }

    /// Counts these alone.
    pub(super) fn recount(&mut self, index: &LabelIndex, living: impl Iterator<Item = u32>) {
        self.of_metric.clear();
        self.of_source.clear();
        living.for_each(|id| self.count(index, id));
        self.was_met = false;
    }

    /// Hears how many bytes knowing all series takes.
    pub(super) fn note_bytes(&mut self, bytes: usize) {
        self.is_full = self.limits.bytes.is_some_and(|most| bytes >= most);
    }

    /// Forgets what was limited.
    pub(super) fn forget(&mut self) {
        self.totals.clear();
        self.metrics.clear();
        self.sources.clear();
    }

    /// Windows that had no room, by limit.
    pub(super) fn totals(&self) -> &BTreeMap<LimitedBy, LimitedWindows> {
        &self.totals
    }

    /// What was limited of a metric.
    pub(super) fn of_metric(&self, name: &str) -> Option<Limited> {
        self.metrics.get(name).map(Remembered::told)
    }

    /// What was limited of a source.
    pub(super) fn of_source(&self, name: &str) -> Option<Limited> {
        self.sources.get(name).map(Remembered::told)
    }

    /// Living series of each source, by its term; none for those that name none.
    pub(super) fn living_of_sources(&self) -> impl Iterator<Item = (Option<u32>, usize)> {
        self.of_source.iter().map(|(&term, &living)| ((term != NAMELESS).then_some(term), living))
    }

    /// Metrics that were limited.
    pub(super) fn limited_metrics(&self) -> impl Iterator<Item = &str> {
        self.metrics.keys().map(|name| &**name)
    }

    fn limit_met(&self, index: &LabelIndex, metric: Option<u32>, labels: &LabelSet) -> Option<LimitedBy> {
        let reached = |living: Option<&usize>, most: Option<usize>| {
            most.is_some_and(|most| living.copied().unwrap_or_default() >= most)
        };
        if metric.is_some_and(|metric| reached(self.of_metric.get(&metric), self.limits.per_metric)) {
            return Some(LimitedBy::Metric);
        }
        if self.limits.per_source.is_some() {
            let source = match source_label(labels) {
                Some((name, value)) => index.term(name, value),
                None => Some(NAMELESS),
            };
            if source.is_some_and(|source| reached(self.of_source.get(&source), self.limits.per_source)) {
                return Some(LimitedBy::Source);
            }
        }
        self.is_full.then_some(LimitedBy::Memory)
    }

    fn remember(&mut self, by: LimitedBy, labels: &LabelSet, joined: bool) {
        self.was_met = true;
        self.totals.entry(by).or_default().add(joined);
        let source = source_label(labels).map_or("", |(_, value)| value);
        note(&mut self.sources, source, by, labels, joined);
        if note(&mut self.metrics, labels.name(), by, labels, joined) {
            tracing::warn!(
                metric = labels.name(),
                source,
                setting = by.setting(),
                "new series have no room: they go to the metric's overflow series or are dropped, as /api/v1/series/cardinality tells"
            );
        }
    }
}

/// Notes what had no room under a name, and says whether it is the first time.
fn note(
    names: &mut BTreeMap<Box<str>, Remembered>,
    name: &str,
    by: LimitedBy,
    labels: &LabelSet,
    joined: bool,
) -> bool {
    if let Some(known) = names.get_mut(name) {
        known.add(by, labels, joined);
        return false;
    }
    if names.len() >= REMEMBERED_MAX {
        return false;
    }
    let (windows, series) = (LimitedWindows::default(), DistinctSet::new());
    let mut first = Remembered { by, windows, series, last: Timestamp::EPOCH };
    first.add(by, labels, joined);
    names.insert(name.into(), first);
    true
}

impl LimitedWindows {
    fn add(&mut self, joined: bool) {
        *(if joined { &mut self.joined } else { &mut self.dropped }) += 1;
    }
}

impl Remembered {
    fn add(&mut self, by: LimitedBy, labels: &LabelSet, joined: bool) {
        self.by = by;
        self.windows.add(joined);
        self.series.insert(labels.fingerprint() as u64);
        self.last = Timestamp::now();
    }

    fn told(&self) -> Limited {
        Limited {
            by: self.by,
            joined_windows: self.windows.joined,
            dropped_windows: self.windows.dropped,
            series: self.series.count().round() as u64,
            last: self.last,
        }
    }
}

/// The label that names the source of a series.
pub(super) fn source_label(labels: &LabelSet) -> Option<(&'static str, &str)> {
    SOURCE_LABELS.into_iter().map(|name| (name, labels.get(name))).find(|(_, value)| !value.is_empty())
}

fn source_of(index: &LabelIndex, id: u32) -> u32 {
    let mut terms = SOURCE_LABELS.into_iter().filter_map(|name| index.term_of(id, index.number_of(name)?));
    terms.next().unwrap_or(NAMELESS)
}

/// Whether windows of several series make one that says something.
fn can_join(value: &SampleValue) -> bool {
    match value {
        SampleValue::Gauge { last, .. } => !is_stale(*last),
        other => other.kind() != SampleKind::Cumulative,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn rfc3339<S: serde::Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(moment)
}
