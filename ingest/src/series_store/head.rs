//! The head: the newest windows, in memory, one short buffer a series. It is filled while it is the active head, then frozen
//! and written to blocks; the journal makes its content durable, not the head.
//!
//! Series are known by their numbers in the [`Registry`], which outlives heads. Windows that are numbers lie in
//! [`NumberWindows`], sketches and sets in [`PackedWindows`], exemplars and what comes late (rare, both) beside them.
//!
//! Whoever locks both locks the head first, then its registry.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::RwLock;
use rapidhash::RapidHashMap;
use taffrail_collector::model::{Exemplar, LabelSet, Sample, SampleKind, SampleValue, Timestamp};

use super::GaugeWindow;
use super::cover::OpenDays;
use super::first_values::FirstValues;
use super::matcher::LabelMatcher;
use super::number_windows::{NumberSpace, NumberWindows, Taken, level};
use super::packed_windows::PackedWindows;
use super::place::{FRESH_HOURS, partition_of, range_of};
use super::points::{End, Points, RunningTotal};
use super::registry::{Known, Registry};

/// No windows in this head yet.
const NOWHERE: u32 = u32::MAX;
/// Tells places of packed windows from places of numbers.
const PACKED: u32 = 1 << 31;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Head {
    registry: Arc<RwLock<Registry>>,
    /// Where each series of the registry has its windows.
    places: Vec<u32>,
    /// Which series has its windows there, in the order of their first windows.
    ids: Vec<u32>,
    numbers: Vec<NumberWindows>,
    number_ids: Vec<u32>,
    number_space: NumberSpace,
    /// The extremes of the newest windows of gauges, by place, where they are not the last value.
    spreads: RapidHashMap<u32, (f64, f64)>,
    /// What came after a newer window of its series, by place, as it came.
    late: RapidHashMap<u32, Vec<(End, SampleValue)>>,
    packed: Vec<PackedWindows>,
    /// By series.
    exemplars: RapidHashMap<u32, Vec<Exemplar>>,
    /// How many series each name has, and the unit that one of them said.
    metrics: RapidHashMap<(Option<u32>, SampleKind), (&'static str, u64)>,
    samples: u64,
    /// Bytes of packed and late windows and of exemplars.
    bytes: usize,
    days: OpenDays,
    /// The numbers of the series of the batch at hand.
    batch: Vec<Known>,
}

/// What counters and distributions added up to before they came to a head.
pub(super) trait Earlier {
    /// The total of a series that was not in the registry, but before it.
    fn remembered(&self, kind: SampleKind, labels: &LabelSet) -> RunningTotal;

    /// The total of a series up to the end of a head that is being sealed, if it is in one.
    /// `id` is its number in this registry, which is locked.
    fn frozen(
        &self,
        registry: &Arc<RwLock<Registry>>,
        id: u32,
        kind: SampleKind,
        labels: &LabelSet,
    ) -> Option<RunningTotal>;
}

/// One series of a head, for reading. Numbers are unpacked with each call.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadSeries<'a> {
    head: &'a Head,
    id: u32,
    place: u32,
}

/// A metric name of a head.
#[derive(Clone, Debug)]
pub(super) struct HeadMetric {
    pub(super) name: String,
    pub(super) kind: SampleKind,
    pub(super) unit: &'static str,
    pub(super) series: u64,
}

impl Head {
    /// A head of series known there.
    pub(super) fn new(registry: Arc<RwLock<Registry>>) -> Head {
        Head { registry, ..Head::default() }
    }

    pub(super) fn registry(&self) -> &Arc<RwLock<Registry>> {
        &self.registry
    }

    /// Takes in windows.
    pub(super) fn insert(&mut self, mut samples: Vec<Sample>, earlier: &impl Earlier) {
        let registry = self.registry.clone();
        let mut registry = registry.write();
        // All series first, then all windows: two short loops wait less for memory than a long one.
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        batch.extend(samples.iter_mut().map(|sample| {
            let kind = sample.value.kind();
            let Some(known) = registry.admit(sample) else { return Known { id: NOWHERE, is_new: false } };
            if known.is_new && has_total(kind) {
                registry.set_total(known.id, earlier.remembered(kind, &sample.labels));
            }
            known
        }));
        self.places.resize(registry.len(), NOWHERE);
        for (Known { id, .. }, sample) in batch.iter().zip(samples).filter(|(known, _)| known.id != NOWHERE) {
            self.insert_window(*id, sample, &registry, earlier);
        }
        self.batch = batch;
    }

    /// Windows taken in (joined ones count each).
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// About how much memory the head takes, its registry left out.
    pub(super) fn bytes(&self) -> usize {
        let each = size_of::<NumberWindows>() + 2 * size_of::<u32>();
        self.numbers.len() * each
            + self.packed.len() * (size_of::<PackedWindows>() + size_of::<u32>())
            + self.places.len() * size_of::<u32>()
            + self.number_space.bytes()
            + self.bytes
    }

    /// How many series it has.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The end of its newest window.
    pub(super) fn newest_end(&self) -> Option<End> {
        self.series().map(|series| series.last_end()).max()
    }

    /// The days it has windows of.
    pub(super) fn days(&self) -> &OpenDays {
        &self.days
    }

    /// All series, in the order of their first window's arrival.
    pub(super) fn series(&self) -> impl Iterator<Item = HeadSeries<'_>> {
        self.ids.iter().filter_map(|&id| self.of(id))
    }

    /// The series that have exemplars, in the order of their numbers.
    pub(super) fn series_with_exemplars(&self) -> impl Iterator<Item = HeadSeries<'_>> {
        let mut ids: Vec<u32> = self.exemplars.keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| self.of(id))
    }

    /// The series of this number in the registry, if it has windows here.
    pub(super) fn of(&self, id: u32) -> Option<HeadSeries<'_>> {
        let place = self.places.get(id as usize).copied().filter(|&place| place != NOWHERE)?;
        Some(HeadSeries { head: self, id, place })
    }

    /// The series of this kind with these labels.
    pub(super) fn get(&self, kind: SampleKind, labels: &LabelSet) -> Option<HeadSeries<'_>> {
        let id = self.registry.read().number(kind, labels)?;
        self.of(id)
    }

    /// The series that pass all matchers.
    pub(super) fn select(&self, matchers: &[LabelMatcher]) -> impl Iterator<Item = HeadSeries<'_>> {
        let ids = self.registry.read().select(matchers);
        ids.into_iter().filter_map(|id| self.of(id))
    }

    /// Adds the values that a label has among these of its series.
    pub(super) fn label_values<'a>(
        &'a self,
        label: &str,
        series: impl Iterator<Item = HeadSeries<'a>>,
        found: &mut FirstValues,
    ) {
        let registry = self.registry.read();
        let Some(label) = registry.label_number(label) else { return };
        let mut last = None;
        for (term, value) in series.filter_map(|series| registry.term_of(series.id, label)) {
            // Series that came one after the other mostly share their value.
            if last.replace(term) != Some(term) {
                found.offer(value);
            }
        }
    }

    /// Whether it has series of wanted kinds.
    pub(super) fn has_any(&self, is_wanted: fn(SampleKind) -> bool) -> bool {
        self.metrics.keys().any(|(_, kind)| is_wanted(*kind))
    }

    /// Every metric name and kind.
    pub(super) fn metrics(&self) -> Vec<HeadMetric> {
        let registry = self.registry.read();
        let metric = |(&(name, kind), &(unit, series)): (&(Option<u32>, SampleKind), &(&'static str, u64))| {
            HeadMetric { name: registry.name(name).to_owned(), kind, unit, series }
        };
        self.metrics.iter().map(metric).collect()
    }

    /// The starts of the partitions that the head has windows in, in rising order.
    pub(super) fn partitions(&self) -> BTreeSet<Timestamp> {
        let mut partitions = BTreeSet::new();
        let mut last = None;
        for series in self.series() {
            let span = series.span().map(|end| partition_of(end, FRESH_HOURS));
            if span[0] == span[1] {
                // Nearly all series are in the same ones.
                if last != Some(span[0]) {
                    partitions.insert(span[0]);
                    last = Some(span[0]);
                }
                continue;
            }
            let points = series.between(End::MIN, End::MAX);
            let mut from = End::MIN;
            while let Some(first) = points.first_end_from(from) {
                let partition = partition_of(first, FRESH_HOURS);
                partitions.insert(partition);
                from = range_of(partition, FRESH_HOURS).end.unix_nanos();
            }
        }
        partitions
    }

    fn insert_window(&mut self, id: u32, sample: Sample, registry: &Registry, earlier: &impl Earlier) {
        // The last moment of all is kept free, so that every window ends before the end of some range.
        let end = sample.end().unix_nanos().min(End::MAX - 1);
        let Sample { labels, value, exemplars, .. } = sample;
        self.samples += 1;
        self.days.note(end);
        if !exemplars.is_empty() {
            self.bytes += exemplars.len() * size_of::<Exemplar>();
            self.exemplars.entry(id).or_default().extend(exemplars);
        }
        let place = self.places[id as usize];
        if place == NOWHERE {
            self.insert_first(id, &labels, end, value, registry, earlier);
        } else if place & PACKED != 0 {
            self.bytes += self.packed[(place & !PACKED) as usize].insert(end, value);
        } else {
            self.insert_number(place, end, value);
        }
    }

    /// The first window of a series in this head.
    fn insert_first(
        &mut self,
        id: u32,
        labels: &LabelSet,
        end: End,
        value: SampleValue,
        registry: &Registry,
        earlier: &impl Earlier,
    ) {
        let kind = value.kind();
        let before = if has_total(kind) {
            earlier.frozen(&self.registry, id, kind, labels).unwrap_or_else(|| registry.total(id))
        } else {
            RunningTotal::default()
        };
        let metric = self.metrics.entry((registry.name_term(id), kind)).or_default();
        let unit = registry.unit_and_interval(id).0;
        metric.0 = if unit.is_empty() { metric.0 } else { unit };
        metric.1 += 1;
        self.ids.push(id);
        let place = match as_number(&value) {
            Some(window) => {
                let place = self.numbers.len() as u32; // fewer than the registry's, which are below 2^31
                let windows = NumberWindows::new(kind, end, window, before.sum, &mut self.number_space);
                if windows.is_spread() {
                    self.spreads.insert(place, (window.min, window.max));
                }
                self.numbers.push(windows);
                self.number_ids.push(id);
                place
            }
            None => {
                let place = self.packed.len() as u32;
                let mut windows = PackedWindows::new(kind, before);
                self.bytes += windows.insert(end, value);
                self.packed.push(windows);
                place | PACKED
            }
        };
        self.places[id as usize] = place;
    }

    fn insert_number(&mut self, place: u32, end: End, value: SampleValue) {
        let Some(window) = as_number(&value) else { unreachable!("a series' windows are of its kind") };
        let windows = &mut self.numbers[place as usize];
        let mut spread = if windows.is_spread() { self.spreads.remove(&place) } else { None };
        let taken = windows.push(end, window, &mut spread, &mut self.number_space);
        if let Some(spread) = spread {
            self.spreads.insert(place, spread);
        }
        if taken == Taken::No {
            self.bytes += size_of::<(End, SampleValue)>();
            self.late.entry(place).or_default().push((end, value));
        }
    }
}

impl HeadSeries<'_> {
    /// Name and labels.
    pub(super) fn labels(&self) -> Arc<LabelSet> {
        Arc::new(self.head.registry.read().labels(self.id))
    }

    pub(super) fn kind(&self) -> SampleKind {
        if self.is_packed() { self.packed().kind() } else { self.number().kind() }
    }

    /// The unit, when known, and the windows' length in milliseconds.
    pub(super) fn unit_and_interval(&self) -> (&'static str, u32) {
        self.head.registry.read().unit_and_interval(self.id)
    }

    /// What came before this head's windows.
    pub(super) fn before(&self) -> RunningTotal {
        if self.is_packed() {
            return self.packed().before;
        }
        RunningTotal { count: 0.0, sum: self.number().before(&self.head.number_space) }
    }

    /// What this series' windows add up to, this head's included.
    pub(super) fn total(&self) -> RunningTotal {
        self.before() + self.between(End::MIN, End::MAX).total()
    }

    /// The windows with `start <= end of window < end`, and what all windows before them added up to.
    pub(super) fn between_and_before(&self, start: End, end: End) -> (Points, RunningTotal) {
        if !has_total(self.kind()) {
            return (self.between(start, end), RunningTotal::default());
        }
        let points = self.between(End::MIN, end);
        let before = self.before() + points.total_before(start);
        (points.into_between(start, end), before)
    }

    /// The windows with `start <= end of window < end`.
    pub(super) fn between(&self, start: End, end: End) -> Points {
        if self.is_packed() {
            return self.packed().between(start, end);
        }
        let spread = self.head.spreads.get(&self.place).copied();
        let mut points = self.number().between(start, end, spread, &self.head.number_space);
        if let Some(late) = self.late() {
            let mut late: Vec<_> = late.iter().filter(|window| window.0 >= start && window.0 < end).collect();
            // A stable sort: of two with one end the later stays the later.
            late.sort_by_key(|window| window.0);
            let mut newer = Points::new(self.kind());
            late.into_iter().for_each(|(end, value)| newer.insert(*end, value.clone()));
            points.merge(newer);
        }
        points
    }

    /// Whether a window ends in `start..end`.
    pub(super) fn any_between(&self, start: End, end: End) -> bool {
        let [first, last] = self.span();
        let inside = |moment: End| moment >= start && moment < end;
        if inside(first) || inside(last) {
            return true;
        }
        first < start && last >= end && !self.between(start, end).is_empty()
    }

    /// The end of the last window.
    pub(super) fn last_end(&self) -> End {
        self.span()[1]
    }

    /// Traces of this series.
    pub(super) fn exemplars(&self) -> &[Exemplar] {
        self.head.exemplars.get(&self.id).map_or(&[], Vec::as_slice)
    }

    /// The number in the registry.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// The ends of the first and the last window.
    fn span(&self) -> [End; 2] {
        if self.is_packed() {
            let windows = self.packed();
            let both = windows.first_end().zip(windows.last_end());
            return both.map_or([End::MAX, End::MIN], |(first, last)| [first, last]);
        }
        let (mut first, mut last) = (self.number().first_end(&self.head.number_space), self.number().last_end());
        for (end, _) in self.late().into_iter().flatten() {
            (first, last) = (first.min(*end), last.max(*end));
        }
        [first, last]
    }

    fn is_packed(&self) -> bool {
        self.place & PACKED != 0
    }

    fn packed(&self) -> &PackedWindows {
        &self.head.packed[(self.place & !PACKED) as usize]
    }

    fn number(&self) -> &NumberWindows {
        &self.head.numbers[self.place as usize]
    }

    fn late(&self) -> Option<&Vec<(End, SampleValue)>> {
        self.head.late.get(&self.place)
    }
}

/// Whether series of this kind go on from a running total.
pub(super) fn has_total(kind: SampleKind) -> bool {
    matches!(kind, SampleKind::Counter | SampleKind::Distribution)
}

fn as_number(value: &SampleValue) -> Option<GaugeWindow> {
    match value {
        SampleValue::Counter { sum: number } | SampleValue::Cumulative { total: number } => Some(level(*number)),
        SampleValue::Gauge { last, min, max } => Some(GaugeWindow { last: *last, min: *min, max: *max }),
        SampleValue::Distribution(_) | SampleValue::Set(_) => None,
    }
}
