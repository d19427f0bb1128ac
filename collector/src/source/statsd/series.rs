//! A series as the merger keeps it: what all threads gathered of it in one window, and what outlives the window.

use std::sync::Arc;

use super::cell::Cell;
use super::exemplars::Exemplars;
use super::gauge::{self, GaugeRuns, GaugeWindow};
use super::line::MetricKind;
use crate::model::{DistinctSet, Distribution, LabelSet, STALE, Sample, SampleKind, SampleValue, Timestamp};

/// A series that is held.
#[derive(Debug)]
pub struct Series {
    labels: Arc<LabelSet>,
    unit: &'static str,
    state: State,
    /// Boxed, because most series have none and the table of series should stay small.
    exemplars: Option<Box<Exemplars>>,
    touched: bool,
    /// The window that its sender names; none when it is the one that gathers.
    window: Option<Timestamp>,
    /// Windows since the last one in which something arrived.
    pub idle_windows: u32,
    /// Whether it counts as held: one that is silent too long does not, and is kept only while threads know it by a slot.
    pub is_live: bool,
    /// Slots of threads that stand for it.
    pub slots: u32,
    /// How many windows it is kept while it is silent, when a rule says so.
    pub windows_kept: Option<u32>,
    /// A timer's values as they came, for [`super::etsy`].
    kept: Option<Box<Kept>>,
}

/// Boxed as exemplars are.
#[derive(Debug, Default)]
struct Kept(Vec<f64>);

#[derive(Debug)]
enum State {
    Counter { sum: f64 },
    Gauge(Box<Gauge>),
    Distribution(Option<Box<Distribution>>),
    Set(Option<Box<DistinctSet>>),
}

/// The level when the window began, and what each thread saw since.
#[derive(Debug, Default)]
struct Gauge {
    level: f64,
    threads: Vec<GaugeRuns>,
}

impl Series {
    /// A series in which nothing was seen yet, of the window that gathers or of one that its sender names.
    pub fn new(labels: Arc<LabelSet>, kind: MetricKind, window: Option<Timestamp>) -> Series {
        Series {
            labels,
            unit: kind.unit(),
            state: State::empty(kind.sample_kind()),
            exemplars: None,
            touched: false,
            window,
            idle_windows: 0,
            is_live: true,
            slots: 0,
            windows_kept: None,
            kept: None,
        }
    }

    /// Name and labels.
    pub fn labels(&self) -> &Arc<LabelSet> {
        &self.labels
    }

    /// What it measures.
    pub fn kind(&self) -> SampleKind {
        match self.state {
            State::Counter { .. } => SampleKind::Counter,
            State::Gauge(_) => SampleKind::Gauge,
            State::Distribution(_) => SampleKind::Distribution,
            State::Set(_) => SampleKind::Set,
        }
    }

    /// The window that its sender names, if one does.
    pub fn window(&self) -> Option<Timestamp> {
        self.window
    }

    /// Takes in what a thread gathered; the cell must be of the series' kind.
    pub fn take(&mut self, cell: Cell) {
        match (&mut self.state, cell) {
            (State::Counter { sum: all }, Cell::Counter { sum, .. }) => *all += sum,
            (State::Gauge(gauge), Cell::Gauge(runs)) => gauge.threads.push(*runs),
            (State::Distribution(all), Cell::Distribution(mut observed)) => {
                if let Some(values) = observed.take_kept() {
                    self.kept.get_or_insert_default().0.extend(values);
                }
                observed.move_into(all.get_or_insert_default());
            }
            (State::Set(all), Cell::Set(members)) => members.move_into(all.get_or_insert_default()),
            _ => return,
        }
        self.touched = true;
    }

    /// Takes in the traces that a thread saw in the window.
    pub fn take_exemplars(&mut self, exemplars: Exemplars, random: u64) {
        self.exemplars.get_or_insert_default().merge(exemplars, random);
    }

    /// The values of a timer as they came since the last call, when they were to be kept.
    pub fn take_kept(&mut self) -> Option<Vec<f64>> {
        self.kept.take().map(|kept| kept.0)
    }

    /// What the window has so far; of a gauge the level, though nothing came in the window.
    pub fn so_far(&self) -> Option<SampleValue> {
        match &self.state {
            State::Counter { sum } => self.touched.then_some(SampleValue::Counter { sum: *sum }),
            State::Gauge(gauge) => Some(value_of(match gauge.threads.is_empty() {
                true => GaugeWindow { last: gauge.level, min: gauge.level, max: gauge.level },
                false => gauge::play(gauge.level, &gauge.threads),
            })),
            State::Distribution(all) => all.clone().map(SampleValue::Distribution),
            State::Set(all) => all.clone().map(SampleValue::Set),
        }
    }

    /// What was seen since the last call, if anything was; `start` is where the window that ends starts.
    pub fn close_window(&mut self, start: Timestamp, interval_ms: u32) -> Option<Sample> {
        if !std::mem::take(&mut self.touched) {
            self.idle_windows = self.idle_windows.saturating_add(1);
            return None;
        }
        self.idle_windows = 0;
        let value = match &mut self.state {
            State::Counter { sum } => SampleValue::Counter { sum: std::mem::take(sum) },
            State::Gauge(gauge) => {
                let window = gauge::play(gauge.level, &gauge.threads);
                gauge.level = window.last;
                gauge.threads.clear();
                value_of(window)
            }
            State::Distribution(all) => SampleValue::Distribution(all.take()?),
            State::Set(all) => SampleValue::Set(all.take()?),
        };
        let exemplars = self.exemplars.take().map_or_else(Vec::new, |exemplars| exemplars.into_list());
        let labels = Arc::clone(&self.labels);
        let timestamp = self.window.unwrap_or(start);
        Some(Sample { labels, timestamp, interval_ms, value, unit: self.unit, exemplars })
    }

    /// Forgets what it gathered and no longer counts as held. Of a gauge the marker of its end, so that whoever reads it does not
    /// take its last level for one that lasts.
    pub fn end(&mut self, start: Timestamp, interval_ms: u32) -> Option<Sample> {
        self.is_live = false;
        self.touched = false;
        self.exemplars = None;
        self.kept = None;
        self.state = State::empty(self.kind());
        let ended = SampleValue::Gauge { last: STALE, min: STALE, max: STALE };
        (self.kind() == SampleKind::Gauge && self.window.is_none()).then(|| Sample {
            labels: Arc::clone(&self.labels),
            timestamp: start,
            interval_ms,
            value: ended,
            unit: self.unit,
            exemplars: Vec::new(),
        })
    }
}

impl State {
    fn empty(kind: SampleKind) -> State {
        match kind {
            SampleKind::Counter => State::Counter { sum: 0.0 },
            SampleKind::Gauge => State::Gauge(Box::default()),
            SampleKind::Distribution => State::Distribution(None),
            SampleKind::Set => State::Set(None),
            SampleKind::Cumulative => unreachable!("no type of StatsD is a running total"),
        }
    }
}

fn value_of(window: GaugeWindow) -> SampleValue {
    SampleValue::Gauge { last: window.last, min: window.min, max: window.max }
}
