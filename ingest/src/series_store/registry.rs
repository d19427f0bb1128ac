//! The series that the store has met lately: each with a number by which heads know it, its labels, its unit and step, and
//! what it has added up to. Heads come and go, the registry stays, so that a seal makes no series new again.
//!
//! A series is known by 128 bits: the fingerprint of its labels with its kind. That is why a known series costs one look
//! into a table, however many labels it has.
//!
//! Numbers are never given back. When most series have been silent for long the store starts a new registry instead (see
//! [`Registry::is_mostly_silent`]); heads keep the one that they were filled with for as long as they are there.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use hashbrown::HashTable;
use rapidhash::RapidHashMap;
use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_collector::model::{LabelSet, Sample, SampleKind};

use super::label_index::LabelIndex;
use super::matcher::LabelMatcher;
use super::points::RunningTotal;
use super::series_limits::{Limiter, Room, SeriesLimits};

/// A series without a sample for this long is silent.
const SILENT_AFTER: Duration = Duration::from_secs(6 * 3_600);
/// Fewer silent series than this are not worth a new registry.
const SILENT_MIN: usize = 10_000;
/// How exactly the silence of a series is known.
const TICK: Duration = Duration::from_secs(600);
/// Says that a series was silent when last looked at.
const SILENT: u8 = u8::MAX;
/// Between two looks at how much memory the series take, so many become known.
const BYTES_LOOK: usize = 1_024;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Registry {
    index: LabelIndex,
    keys: Vec<u128>,
    ids: HashTable<u32>,
    facts: Vec<Facts>,
    units: Vec<&'static str>,
    /// What counters and distributions add up to, the windows of heads that are still there left out.
    sums: Vec<f64>,
    /// The same for the observations of distributions.
    counts: RapidHashMap<u32, f64>,
    limiter: Limiter,
    /// The series asked for last.
    last: u32,
    started: Instant,
}

/// What a series last said of itself.
#[derive(Clone, Copy, Debug)]
struct Facts {
    interval_ms: u32,
    unit: u16,
    kind: SampleKind,
    /// When it was last in a head that was sealed, in ticks, modulo [`SILENT`].
    heard: u8,
}

/// A series' number, and whether it was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: u32,
    pub(super) is_new: bool,
}

impl Default for Registry {
    fn default() -> Registry {
        Registry {
            index: LabelIndex::default(),
            keys: Vec::new(),
            ids: HashTable::new(),
            facts: Vec::new(),
            units: vec![""],
            sums: Vec::new(),
            counts: RapidHashMap::default(),
            limiter: Limiter::default(),
            last: 0,
            started: Instant::now(),
        }
    }
}

impl Registry {
    /// The number of a sample's series, which is made known if it is not. Where it has no room the sample becomes one of the
    /// metric's overflow series; none when it can be in no series at all.
    pub(super) fn admit(&mut self, sample: &mut Sample) -> Option<Known> {
        let kind = sample.value.kind();
        if self.limiter.limits != SeriesLimits::default() && self.find_near(key(kind, &sample.labels)).is_none() {
            match self.limiter.room(&self.index, &sample.labels, &sample.value) {
                Room::Own => {}
                Room::Overflow(labels) => sample.labels = labels,
                Room::None => return None,
            }
        }
        Some(self.know(kind, &sample.labels, sample.unit, sample.interval_ms))
    }

    /// The number of a series, which is made known if it is not, whether it has room or not.
    pub(super) fn know(&mut self, kind: SampleKind, labels: &LabelSet, unit: &'static str, interval_ms: u32) -> Known {
        let key = key(kind, labels);
        if let Some(id) = self.find_near(key) {
            self.last = id;
            let facts = &mut self.facts[id as usize];
            facts.interval_ms = interval_ms;
            if !unit.is_empty() && self.units[usize::from(facts.unit)] != unit {
                self.facts[id as usize].unit = self.unit_number(unit);
            }
            return Known { id, is_new: false };
        }
        let id = self.index.add(labels);
        self.last = id;
        let facts = Facts { interval_ms, unit: self.unit_number(unit), kind, heard: self.tick() };
        self.keys.push(key);
        self.facts.push(facts);
        self.sums.push(0.0);
        let Registry { ids, keys, .. } = self;
        ids.insert_unique(key as u64, id, |&other| keys[other as usize] as u64);
        self.limiter.count(&self.index, id);
        if self.len().is_multiple_of(BYTES_LOOK) {
            self.limiter.note_bytes(self.bytes());
        }
        Known { id, is_new: true }
    }

    /// The number of a series, if it is known.
    pub(super) fn number(&self, kind: SampleKind, labels: &LabelSet) -> Option<u32> {
        self.find(key(kind, labels))
    }

    /// How many series are known.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// About how much memory they take.
    pub(super) fn bytes(&self) -> usize {
        let each = size_of::<u128>() + size_of::<Facts>() + size_of::<f64>();
        self.index.bytes()
            + self.len() * each
            + self.ids.capacity() * (size_of::<u32>() + 1)
            + self.counts.capacity() * (size_of::<(u32, f64)>() + 1)
    }

    pub(super) fn labels(&self, id: u32) -> LabelSet {
        self.index.labels(id)
    }

    pub(super) fn kind(&self, id: u32) -> SampleKind {
        self.facts[id as usize].kind
    }

    /// The unit that was said last, and the length of the windows that came last.
    pub(super) fn unit_and_interval(&self, id: u32) -> (&'static str, u32) {
        let facts = &self.facts[id as usize];
        (self.units[usize::from(facts.unit)], facts.interval_ms)
    }

    /// The number of the series' name, the same for all series of that name.
    pub(super) fn name_term(&self, id: u32) -> Option<u32> {
        self.index.term_of(id, self.index.number_of(NAME_LABEL)?)
    }

    /// The number of a label's name, if any series has it.
    pub(super) fn label_number(&self, label: &str) -> Option<u32> {
        self.index.number_of(label)
    }

    /// The term of a series that has the label of this number, and that label's value.
    pub(super) fn term_of(&self, id: u32, label: u32) -> Option<(u32, &str)> {
        let term = self.index.term_of(id, label)?;
        Some((term, self.index.value(term)))
    }

    /// The name that [`Registry::name_term`] means.
    pub(super) fn name(&self, term: Option<u32>) -> &str {
        term.map_or("", |term| self.index.value(term))
    }

    /// What a series added up to in all windows but those of heads that are still there.
    pub(super) fn total(&self, id: u32) -> RunningTotal {
        RunningTotal { count: self.counts.get(&id).copied().unwrap_or_default(), sum: self.sums[id as usize] }
    }

    pub(super) fn set_total(&mut self, id: u32, total: RunningTotal) {
        self.sums[id as usize] = total.sum;
        if self.kind(id) == SampleKind::Distribution {
            self.counts.insert(id, total.count);
        }
    }

    /// The series that pass all matchers, in rising order.
    pub(super) fn select(&self, matchers: &[LabelMatcher]) -> Vec<u32> {
        self.index.select(matchers)
    }

    /// Two series in the order of blocks: by kind, then labels.
    pub(super) fn compare(&self, a: u32, b: u32) -> Ordering {
        self.kind(a).cmp(&self.kind(b)).then_with(|| self.index.compare(a, b))
    }

    /// Notes that these series were heard of lately.
    pub(super) fn note_heard(&mut self, ids: impl Iterator<Item = u32>) {
        let tick = self.tick();
        ids.for_each(|id| self.facts[id as usize].heard = tick);
    }

    /// Whether so many series have been silent that a new registry, which they are not in, is worth its making.
    pub(super) fn is_mostly_silent(&mut self) -> bool {
        let (tick, most) = (self.tick(), (SILENT_AFTER.as_secs() / TICK.as_secs()) as u8);
        let mut silent = 0;
        for facts in &mut self.facts {
            let age = if facts.heard <= tick { tick - facts.heard } else { tick + (SILENT - facts.heard) };
            if facts.heard == SILENT || age > most {
                facts.heard = SILENT;
                silent += 1;
            }
        }
        silent >= SILENT_MIN && silent > self.len() / 2
    }

    /// The registry that goes on after this one, without its series.
    pub(super) fn following(&mut self) -> Registry {
        Registry { limiter: self.limiter.following(), ..Registry::default() }
    }

    /// What limits its series.
    pub(super) fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    pub(super) fn limiter_mut(&mut self) -> &mut Limiter {
        &mut self.limiter
    }

    /// Which series have which label.
    pub(super) fn index(&self) -> &LabelIndex {
        &self.index
    }

    /// Gives the places of series that have been silent for long to others, where some had none. To be called after
    /// [`Registry::is_mostly_silent`] has looked.
    pub(super) fn make_room(&mut self) {
        if self.limiter.is_met() {
            let Registry { limiter, index, facts, .. } = self;
            let living = facts.iter().zip(0..).filter(|(facts, _)| facts.heard != SILENT).map(|(_, id)| id);
            limiter.recount(index, living);
            self.limiter.note_bytes(self.bytes());
        }
    }

    /// As if it had been there for longer.
    #[cfg(test)]
    pub(super) fn grow_older(&mut self) {
        self.started -= SILENT_AFTER + 2 * TICK;
    }

    /// Now, in ticks, modulo [`SILENT`].
    fn tick(&self) -> u8 {
        (self.started.elapsed().as_secs() / TICK.as_secs() % u64::from(SILENT)) as u8
    }

    /// Senders repeat their series in the order of the first time: mostly it is the one after the last, or the last again,
    /// and then nothing need be searched.
    fn find_near(&self, key: u128) -> Option<u32> {
        let near = [self.last + 1, self.last].into_iter().find(|&id| self.keys.get(id as usize) == Some(&key));
        near.or_else(|| self.find(key))
    }

    fn find(&self, key: u128) -> Option<u32> {
        self.ids.find(key as u64, |&id| self.keys[id as usize] == key).copied()
    }

    fn unit_number(&mut self, unit: &'static str) -> u16 {
        // There are a few dozen at most, and mostly one.
        if let Some(number) = self.units.iter().position(|known| *known == unit) {
            return number as u16;
        }
        let Ok(number) = u16::try_from(self.units.len()) else { return 0 };
        self.units.push(unit);
        number
    }
}

/// What a series is known by.
fn key(kind: SampleKind, labels: &LabelSet) -> u128 {
    // An odd multiple of the kind, all over the 128 bits.
    labels.fingerprint() ^ (kind as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(host: &str) -> LabelSet {
        LabelSet::new([(NAME_LABEL, "hits"), ("host", host)])
    }

    #[test]
    fn a_series_keeps_its_number_and_kinds_are_told_apart() {
        let mut registry = Registry::default();
        let known = |id, is_new| Known { id, is_new };
        assert_eq!(registry.know(SampleKind::Counter, &labels("a"), "", 10_000), known(0, true));
        assert_eq!(registry.know(SampleKind::Gauge, &labels("a"), "ms", 0), known(1, true));
        assert_eq!(registry.know(SampleKind::Counter, &labels("b"), "", 10_000), known(2, true));
        assert_eq!(registry.know(SampleKind::Counter, &labels("a"), "s", 60_000), known(0, false));
        assert_eq!(registry.know(SampleKind::Counter, &labels("a"), "", 1_000), known(0, false));
        assert_eq!(registry.unit_and_interval(0), ("s", 1_000));
        assert_eq!(registry.unit_and_interval(1), ("ms", 0));
        assert_eq!(registry.number(SampleKind::Set, &labels("a")), None);
        assert_eq!((registry.number(SampleKind::Counter, &labels("b")), registry.labels(2)), (Some(2), labels("b")));
        assert_eq!(registry.compare(2, 1), Ordering::Less);
        assert_eq!(registry.name(registry.name_term(1)), "hits");
    }

    #[test]
    fn a_registry_of_silent_series_says_so() {
        let mut registry = Registry::default();
        for n in 0..30_000 {
            registry.know(SampleKind::Counter, &labels(&n.to_string()), "", 10_000);
        }
        assert!(!registry.is_mostly_silent());
        registry.grow_older();
        registry.note_heard(0..16_000);
        assert!(!registry.is_mostly_silent(), "half of them are there");
        registry.grow_older();
        registry.note_heard(0..14_000);
        assert!(registry.is_mostly_silent());
    }
}
