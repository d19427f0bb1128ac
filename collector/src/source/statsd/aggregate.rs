//! Windows and merger on one thread, without sockets: lines in, samples out. For tests of what lines mean, and for fuzzing.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::cell::Cell;
use super::etsy::Etsy;
use super::intake::{Events, HandOver, Intake};
use super::line::Dialects;
use super::mapping::mapper::Mapper;
use super::merger::{Merger, MergerSettings};
use super::window::{Window, WindowSettings};
use crate::model::{LogRecord, Resource, Sample, Timestamp};
use crate::source::Tally;

/// What aggregation is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a window is; whole milliseconds.
    pub interval: Duration,
    /// Whether a signed gauge value changes the level.
    pub signed_is_delta: bool,
    /// How lines are read.
    pub dialects: Dialects,
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

/// What is ready to be delivered.
#[derive(Debug, Default)]
pub struct Ready {
    /// Events and service checks.
    pub logs: Vec<LogRecord>,
    /// Windows that ended.
    pub samples: Vec<Sample>,
}

/// The intakes of some threads, and the merger of what they gather.
#[derive(Debug)]
pub struct Aggregator {
    intakes: Vec<Intake>,
    events: Arc<Events>,
    merger: Arc<Mutex<Merger>>,
}

impl Settings {
    /// What a thread's window is told.
    pub fn of_window(&self) -> WindowSettings {
        let Settings { interval, signed_is_delta, series_max, .. } = *self;
        WindowSettings { interval, signed_is_delta, series_max, keeps_timer_values: self.etsy.is_some() }
    }

    /// What the merger is told.
    pub fn of_merger(&self) -> MergerSettings {
        let Settings { interval, series_max, gauge_ttl, .. } = *self;
        let (host, mapper, etsy) = (Arc::clone(&self.host), Arc::clone(&self.mapper), self.etsy.clone());
        MergerSettings { interval, series_max, gauge_ttl, host, mapper, etsy }
    }
}

impl Aggregator {
    /// One with so many threads (which are played by the caller's own), whose first windows hold `now`.
    pub fn new(settings: &Settings, threads: usize, now: Timestamp) -> Aggregator {
        let merger = Merger::new(settings.of_merger(), threads, now.floor_to(settings.interval));
        let merger = Arc::new(Mutex::new(merger));
        let events = Arc::new(Events::default());
        let resource = Arc::new(Resource { host: Arc::clone(&settings.host), ..Resource::default() });
        let intake = |thread| {
            let window = Window::new(thread, settings.of_window(), now);
            Intake::new(
                window,
                settings.dialects,
                Arc::clone(&resource),
                Arc::clone(&events),
                handing_to(Arc::clone(&merger)),
            )
        };
        Aggregator { intakes: (0..threads).map(intake).collect(), events, merger }
    }

    /// Takes in a packet that reaches a thread now. Time passes for all threads.
    pub fn take(&mut self, thread: usize, packet: &[u8], now: Timestamp, tally: &Tally) {
        self.tick(now);
        self.intakes[thread].take([packet], now, tally);
        self.intakes[thread].count(tally);
    }

    /// Says what time it is.
    pub fn tick(&mut self, now: Timestamp) {
        self.intakes.iter_mut().for_each(|intake| intake.tick(now, 0));
    }

    /// What is ready so far.
    pub fn ready(&mut self) -> Ready {
        Ready { logs: self.events.take(), samples: self.merger.lock().take_ended() }
    }

    /// Ends all windows, and gives what is left.
    pub fn finish(mut self) -> Ready {
        self.intakes.clear();
        self.ready()
    }
}

/// Gives each thread what it handed over last, emptied; what another had to wait for is not reused.
fn handing_to(merger: Arc<Mutex<Merger>>) -> HandOver {
    Box::new(move |handover| {
        let reader = handover.reader;
        let mut back: Option<Vec<Cell>> = None;
        merger.lock().take(handover, |thread, emptied| {
            if thread == reader {
                back = Some(emptied);
            }
        });
        back
    })
}

#[cfg(test)]
mod tests;
