//! The head: the newest windows, in memory, one buffer a series. It is filled while it is the active head, then frozen
//! and written to blocks; the journal makes its content durable, not the head.

use std::collections::BTreeSet;
use std::sync::Arc;

use rapidhash::RapidHashMap;
use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_collector::model::{DistinctSet, Exemplar, LabelSet, Sample, SampleKind, SampleValue, Timestamp};

use super::label_index::LabelIndex;
use super::matcher::LabelMatcher;
use super::points::{End, Points, RunningTotal};
use super::{PARTITION_LENGTH, partition_of};

/// Bytes that a series takes beside its labels and windows: the buffer's head, its entries in two maps and the postings.
const SERIES_OVERHEAD_BYTES: usize = 240;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Head {
    series: Vec<HeadSeries>,
    ids: RapidHashMap<(SampleKind, Arc<LabelSet>), u32>,
    index: LabelIndex,
    samples: u64,
    bytes: usize,
}

/// One series' buffer.
#[derive(Clone, Debug)]
pub(super) struct HeadSeries {
    pub(super) labels: Arc<LabelSet>,
    pub(super) unit: &'static str,
    pub(super) interval_ms: u32,
    /// What came before this head's windows.
    pub(super) before: RunningTotal,
    pub(super) points: Points,
    pub(super) exemplars: Vec<Exemplar>,
}

impl Head {
    /// Takes in a window. `before` is asked once for each new series: what its windows added up to so far.
    pub(super) fn insert(&mut self, sample: Sample, before: impl FnOnce(SampleKind, &Arc<LabelSet>) -> RunningTotal) {
        let kind = sample.value.kind();
        let key = (kind, sample.labels);
        let id = match self.ids.get(&key) {
            Some(&id) => id,
            None => {
                let id = self.index.add(&key.1);
                self.series.push(HeadSeries {
                    labels: key.1.clone(),
                    unit: sample.unit,
                    interval_ms: sample.interval_ms,
                    before: before(kind, &key.1),
                    points: Points::new(kind),
                    exemplars: Vec::new(),
                });
                self.bytes += SERIES_OVERHEAD_BYTES + 2 * label_bytes(&key.1);
                self.ids.insert(key, id);
                id
            }
        };
        let series = &mut self.series[id as usize];
        if !sample.unit.is_empty() {
            series.unit = sample.unit;
        }
        series.interval_ms = sample.interval_ms;
        self.samples += 1;
        self.bytes += value_bytes(&sample.value) + sample.exemplars.len() * size_of::<Exemplar>();
        let length = std::time::Duration::from_millis(u64::from(sample.interval_ms));
        // The last moment of all is kept free, so that every window ends before the end of some range.
        let end = sample.timestamp.saturating_add(length).unix_nanos().min(End::MAX - 1);
        series.points.insert(end, sample.value);
        series.exemplars.extend(sample.exemplars);
    }

    /// Windows taken in (joined ones count each).
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// About how much memory the head takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All series, in the order of their first window's arrival.
    pub(super) fn series(&self) -> &[HeadSeries] {
        &self.series
    }

    /// The series of this kind with these labels.
    pub(super) fn get(&self, kind: SampleKind, labels: &Arc<LabelSet>) -> Option<&HeadSeries> {
        self.ids.get(&(kind, labels.clone())).map(|&id| &self.series[id as usize])
    }

    /// The series that pass all matchers.
    pub(super) fn select<'a>(&'a self, matchers: &[LabelMatcher]) -> impl Iterator<Item = &'a HeadSeries> {
        self.index.select(matchers).into_iter().map(|id| &self.series[id as usize])
    }

    /// Every metric name with its series.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &HeadSeries>)> {
        let names = self.index.values(NAME_LABEL);
        names.map(|(name, ids)| (name, ids.iter().map(|&id| &self.series[id as usize])))
    }

    /// The starts of the partitions that the head has windows in, in rising order.
    pub(super) fn partitions(&self) -> BTreeSet<Timestamp> {
        let mut partitions = BTreeSet::new();
        for series in &self.series {
            let mut from = End::MIN;
            while let Some(first) = series.points.first_end_from(from) {
                let partition = partition_of(first);
                partitions.insert(partition);
                from = partition.saturating_add(PARTITION_LENGTH).unix_nanos();
            }
        }
        partitions
    }
}

impl HeadSeries {
    /// What this series' windows add up to, this head's included.
    pub(super) fn total(&self) -> RunningTotal {
        self.before + self.points.total()
    }
}

fn label_bytes(labels: &LabelSet) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
}

fn value_bytes(value: &SampleValue) -> usize {
    match value {
        SampleValue::Counter { .. } | SampleValue::Cumulative { .. } => 16,
        SampleValue::Gauge { .. } => 32,
        SampleValue::Distribution(window) => {
            104 + 16 * (window.sketch.positive().len() + window.sketch.negative().len())
        }
        SampleValue::Set(set) => match &**set {
            DistinctSet::Exact(hashes) => 40 + 8 * hashes.len(),
            DistinctSet::Estimated(registers) => 40 + registers.len(),
        },
    }
}
