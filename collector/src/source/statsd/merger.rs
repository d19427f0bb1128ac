//! Joins what the reading threads gathered into the windows of series.
//!
//! A window is complete once no thread gathers it any more: then its series become samples. A thread that is ahead waits in
//! `pending`, in the order in which it handed over. The merger alone knows what a series is called, how a gauge stood before the
//! window, and how many series there are; the threads know spellings, by slot.
//!
//! A series that is silent for some windows no longer counts as held; what is known of it is dropped once no thread has a slot
//! for it. A thread whose table of spellings is full forgets all of them, and its slots with them ([`Handover::forgot`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rapidhash::fast::RandomState;

use super::cell::Cell;
use super::etsy::Etsy;
use super::exemplars::Dice;
use super::identity;
use super::line::MetricKind;
use super::mapping::mapper::Mapper;
use super::series::Series;
use super::window::Handover;
use crate::model::label_set::NAME_LABEL;
use crate::model::{LabelSet, Sample, SampleKind, SampleValue, Timestamp};

/// Windows for which a silent series that is no gauge is kept, so that a regular sender finds it again.
const IDLE_WINDOWS_KEPT: u32 = 6;

/// The series that counts values beyond the limit of series, by `type`.
pub const OVERFLOW_SERIES: &str = "taffrail.statsd.overflow";

/// The values of the label `type`, in the order of [`SampleKind`]'s numbers.
const OVERFLOW_TYPES: [&str; 4] = ["counter", "gauge", "distribution", "set"];

/// A slot whose series had no room.
const NO_ROOM: u32 = u32::MAX;

/// A slot whose series a rule of the mapping drops.
const DROPPED: u32 = u32::MAX - 1;

/// What the merger is told once.
#[derive(Clone, Debug)]
pub struct MergerSettings {
    /// How long a window is; whole milliseconds.
    pub interval: Duration,
    /// How many series are held at once.
    pub series_max: usize,
    /// How long a silent gauge's level is remembered.
    pub gauge_ttl: Duration,
    /// The `host` of series whose sender names none.
    pub host: Arc<str>,
    /// What dotted names become.
    pub mapper: Arc<Mapper>,
    /// What is computed of timers beside their sketch.
    pub etsy: Option<Arc<Etsy>>,
}

/// Values that the merger counts, since the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uncommon {
    /// Counted in the overflow series: those of series that had no room.
    pub beyond_limit: u64,
    /// Dropped by a rule of the mapping.
    pub dropped: u64,
    /// Timers of which [`super::etsy`] computed nothing, since they had too many values.
    pub too_many_for_etsy: u64,
}

/// A series as [`Merger::list`] shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Name and labels.
    pub labels: Arc<LabelSet>,
    /// What the window that gathers has so far, and a gauge's level in any case; none when nothing came yet.
    pub value: Option<SampleValue>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Merger {
    settings: MergerSettings,
    interval_ms: u32,
    gauge_windows_kept: u32,
    series: Vec<Option<Series>>,
    free: Vec<u32>,
    by_identity: HashMap<Identity, u32, RandomState>,
    live: usize,
    threads: Vec<Thread>,
    /// Start of the window whose handovers are taken in now.
    gathering: Timestamp,
    pending: Vec<Handover>,
    overflow: [u64; 4],
    uncommon: Uncommon,
    ended: Vec<Sample>,
    dice: Dice,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    window: Option<Timestamp>,
    kind: SampleKind,
    labels: Arc<LabelSet>,
}

/// A reading thread as the merger sees it.
#[derive(Debug)]
struct Thread {
    /// The window it gathers; none once it has ended.
    window: Option<Timestamp>,
    /// Their series, or [`NO_ROOM`].
    slots: Vec<u32>,
    /// What the series are called that had no room, by slot.
    refused: HashMap<u32, (MetricKind, Box<str>), RandomState>,
    /// The last question that it has seen.
    asked: u64,
}

impl Merger {
    /// For so many threads, all of which gather the window that starts at `start`.
    pub fn new(settings: MergerSettings, threads: usize, start: Timestamp) -> Merger {
        let thread = || Thread { window: Some(start), slots: Vec::new(), refused: HashMap::default(), asked: 0 };
        Merger {
            interval_ms: u32::try_from(settings.interval.as_millis()).unwrap_or(u32::MAX),
            gauge_windows_kept: windows_of(settings.gauge_ttl, settings.interval),
            series: Vec::new(),
            free: Vec::new(),
            by_identity: HashMap::default(),
            live: 0,
            threads: (0..threads).map(|_| thread()).collect(),
            gathering: start,
            pending: Vec::new(),
            overflow: [0; 4],
            uncommon: Uncommon::default(),
            ended: Vec::new(),
            dice: Dice::default(),
            settings,
        }
    }

    /// Takes in what a thread hands over, and gives cells that threads may use again to `give_back`.
    pub fn take(&mut self, handover: Handover, mut give_back: impl FnMut(usize, Vec<Cell>)) {
        let thread = handover.reader;
        self.threads[thread].window = handover.next;
        self.threads[thread].asked = handover.asked;
        let waits = handover.window != self.gathering || self.pending.iter().any(|other| other.reader == thread);
        if waits {
            self.pending.push(handover);
        } else {
            give_back(thread, self.join(handover));
        }
        while !self.threads.iter().any(|thread| thread.window == Some(self.gathering)) {
            self.complete();
            let ahead = self.pending.first().map(|handover| handover.window);
            let Some(next) = ahead.or_else(|| self.threads.iter().filter_map(|thread| thread.window).min()) else {
                return;
            };
            self.gathering = next;
            let mut later: Vec<Handover> = Vec::new();
            for handover in std::mem::take(&mut self.pending) {
                let thread = handover.reader;
                if handover.window == next && !later.iter().any(|other| other.reader == thread) {
                    give_back(thread, self.join(handover));
                } else {
                    later.push(handover);
                }
            }
            self.pending = later;
        }
    }

    /// Whether all threads that still run have handed over since this question was asked.
    pub fn have_answered(&self, question: u64) -> bool {
        self.threads.iter().all(|thread| thread.window.is_none() || thread.asked >= question)
    }

    /// Whether all threads have ended.
    pub fn is_done(&self) -> bool {
        self.threads.iter().all(|thread| thread.window.is_none())
    }

    /// The samples of all windows that were completed since the last call.
    pub fn take_ended(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.ended)
    }

    /// Values that had another fate than to be written as they came.
    pub fn take_uncommon(&mut self) -> Uncommon {
        std::mem::take(&mut self.uncommon)
    }

    /// How many series are held.
    pub fn live(&self) -> usize {
        self.live
    }

    /// The series of a kind that are held, in no order.
    pub fn list(&self, kind: SampleKind) -> Vec<Listed> {
        let held = self.series.iter().flatten().filter(|series| series.is_live && series.kind() == kind);
        held.map(|series| Listed { labels: Arc::clone(series.labels()), value: series.so_far() }).collect()
    }

    /// Ends the series of a kind for whose labels `matches` says so: what they gathered in this window is gone, and a gauge's end
    /// is marked. Returns them.
    pub fn delete(&mut self, kind: SampleKind, matches: &dyn Fn(&LabelSet) -> bool) -> Vec<Arc<LabelSet>> {
        let mut deleted = Vec::new();
        for series in self.series.iter_mut().flatten() {
            if series.is_live && series.kind() == kind && matches(series.labels()) {
                deleted.push(Arc::clone(series.labels()));
                self.ended.extend(series.end(self.gathering, self.interval_ms));
                self.live -= 1;
            }
        }
        deleted
    }

    /// Adds a thread's share to the window that gathers, and returns its cells, emptied.
    fn join(&mut self, mut handover: Handover) -> Vec<Cell> {
        let thread = handover.reader;
        for (kind, name) in handover.gathered.learnt.drain(..) {
            let series = self.series_of(None, kind, &name);
            let Thread { slots, refused, .. } = &mut self.threads[thread];
            match self.series.get_mut(series as usize).and_then(Option::as_mut) {
                Some(series) => series.slots += 1,
                None if series == DROPPED => {}
                None => drop(refused.insert(u32::try_from(slots.len()).unwrap_or(NO_ROOM), (kind, name))),
            }
            slots.push(series);
        }
        for (all, more) in self.overflow.iter_mut().zip(handover.gathered.overflow) {
            *all += more;
        }
        for (slot, cell) in handover.cells.iter_mut().enumerate().filter(|(_, cell)| !cell.is_empty()) {
            let cell = std::mem::take(cell);
            if self.threads[thread].slots[slot] == NO_ROOM && self.live < self.settings.series_max {
                self.find_room(thread, slot);
            }
            self.add_to(self.threads[thread].slots[slot], cell);
        }
        for (slot, exemplars) in handover.gathered.exemplars.drain() {
            let series = self.threads[thread].slots[slot as usize];
            if let Some(series) = self.series.get_mut(series as usize).and_then(Option::as_mut).filter(|s| s.is_live) {
                series.take_exemplars(exemplars, self.dice.roll());
            }
        }
        for (dated, (cell, exemplars)) in handover.gathered.dated.drain() {
            let at = self.series_of(Some(dated.window), dated.kind, &dated.identity);
            self.add_to(at, cell);
            if let (Some(Some(series)), Some(exemplars)) = (self.series.get_mut(at as usize), exemplars) {
                series.take_exemplars(*exemplars, self.dice.roll());
            }
        }
        if handover.forgot {
            self.forget_slots(thread);
        }
        handover.cells
    }

    /// Makes the series of a slot that had no room.
    fn find_room(&mut self, thread: usize, slot: usize) {
        let Some((kind, name)) = self.threads[thread].refused.remove(&(slot as u32)) else { return };
        let series = self.series_of(None, kind, &name);
        self.threads[thread].slots[slot] = series;
        if let Some(series) = self.series.get_mut(series as usize).and_then(Option::as_mut) {
            series.slots += 1;
        }
    }

    fn add_to(&mut self, at: u32, cell: Cell) {
        let has_room = self.live < self.settings.series_max;
        match self.series.get_mut(at as usize).and_then(Option::as_mut) {
            Some(series) if series.is_live || has_room => {
                self.live += usize::from(!std::mem::replace(&mut series.is_live, true));
                series.take(cell);
            }
            _ if at == DROPPED => self.uncommon.dropped += u64::from(cell.values()),
            _ => {
                let values = u64::from(cell.values());
                self.uncommon.beyond_limit += values;
                self.overflow[kind_of(&cell) as usize - 1] += values;
            }
        }
    }

    /// The place of a series, which is made when it is new and there is room.
    fn series_of(&mut self, window: Option<Timestamp>, kind: MetricKind, name: &str) -> u32 {
        let MergerSettings { host, mapper, .. } = &self.settings;
        let Ok(found) = identity::identify(name, host, kind.sample_kind(), &mapper.mapping()) else { return DROPPED };
        let labels = Arc::new(found.labels);
        let identity = Identity { window, kind: kind.sample_kind(), labels };
        if let Some(&at) = self.by_identity.get(&identity) {
            return at;
        }
        if self.live >= self.settings.series_max {
            return NO_ROOM;
        }
        let mut series = Series::new(Arc::clone(&identity.labels), kind, window);
        series.windows_kept = found.ttl.map(|ttl| windows_of(ttl, self.settings.interval));
        let at = match self.free.pop() {
            Some(at) => {
                self.series[at as usize] = Some(series);
                at
            }
            None => {
                self.series.push(Some(series));
                u32::try_from(self.series.len() - 1).unwrap_or(NO_ROOM)
            }
        };
        self.by_identity.insert(identity, at);
        self.live += 1;
        at
    }

    /// Makes samples of the window that gathers.
    fn complete(&mut self) {
        let (start, interval_ms) = (self.gathering, self.interval_ms);
        let is_full = self.live >= self.settings.series_max;
        for at in 0..self.series.len() {
            let Some(series) = &mut self.series[at] else { continue };
            if series.is_live {
                let sample = series.close_window(start, interval_ms);
                if let (Some(etsy), Some(sample), Some(values)) = (&self.settings.etsy, &sample, series.take_kept()) {
                    match etsy.samples(sample, values) {
                        Some(figures) => self.ended.extend(figures),
                        None => self.uncommon.too_many_for_etsy += 1,
                    }
                }
                self.ended.extend(sample);
                let kept = series.windows_kept.unwrap_or(match series.kind() {
                    SampleKind::Gauge => self.gauge_windows_kept,
                    _ if is_full => 0,
                    _ => IDLE_WINDOWS_KEPT,
                });
                if series.window().is_some() || series.idle_windows > kept {
                    self.ended.extend(series.end(start, interval_ms));
                    self.live -= 1;
                }
            }
            if !series.is_live && series.slots == 0 {
                let (window, kind, labels) = (series.window(), series.kind(), Arc::clone(series.labels()));
                self.by_identity.remove(&Identity { window, kind, labels });
                self.series[at] = None;
                self.free.extend(u32::try_from(at));
            }
        }
        for (kind, count) in OVERFLOW_TYPES.iter().zip(&mut self.overflow) {
            let sum = std::mem::take(count) as f64;
            if sum > 0.0 {
                let labels = [(NAME_LABEL, OVERFLOW_SERIES), ("host", &self.settings.host), ("type", kind)];
                self.ended.push(Sample {
                    labels: LabelSet::new(labels).into(),
                    timestamp: start,
                    interval_ms,
                    value: SampleValue::Counter { sum },
                    unit: "",
                    exemplars: Vec::new(),
                });
            }
        }
    }

    fn forget_slots(&mut self, thread: usize) {
        self.threads[thread].refused.clear();
        for slot in std::mem::take(&mut self.threads[thread].slots) {
            if let Some(series) = self.series.get_mut(slot as usize).and_then(Option::as_mut) {
                series.slots -= 1;
            }
        }
    }
}

fn windows_of(span: Duration, interval: Duration) -> u32 {
    u32::try_from(span.as_millis() / interval.as_millis().max(1)).unwrap_or(u32::MAX)
}

fn kind_of(cell: &Cell) -> SampleKind {
    match cell {
        Cell::Empty | Cell::Counter { .. } => SampleKind::Counter,
        Cell::Gauge(_) => SampleKind::Gauge,
        Cell::Distribution(_) => SampleKind::Distribution,
        Cell::Set(_) => SampleKind::Set,
    }
}
