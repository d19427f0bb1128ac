//! From lines to windows: what every series gathered between two ticks of the wall clock.
//!
//! Windows start at whole multiples of the interval, so that those of many hosts lie on one grid. A line belongs to the
//! window in which it arrives; one with `|T` belongs to the window of its own moment and is written with the next flush
//! (the store re-opens a window that was written before). A series is written only for windows in which something
//! arrived. Gauges keep their level over windows, for deltas to come.
//!
//! A series that is known is found ([`super::series_table`]) with keys made in reused buffers: nothing is allocated for it.

use std::sync::Arc;
use std::time::Duration;

use super::line::{Dialects, Malformed, Metric};
use super::series::{Reading, Series, Taken};
use super::series_table::SeriesTable;
use super::trace_tags::TraceTags;
use crate::model::label_set::NAME_LABEL;
use crate::model::{LabelSet, Sample, SampleKind, SampleValue, Timestamp};

/// Windows for which a silent series that is no gauge is kept, so that a regular sender finds it again.
const IDLE_WINDOWS_KEPT: u32 = 6;

/// How far ahead of our clock a `|T` may be: clocks of neighbours differ, and `T` has whole seconds.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(2);

/// The series that counts values beyond the limit of series, by `type`.
pub const OVERFLOW_SERIES: &str = "taffrail.statsd.overflow";

/// The values of the label `type`, in the order of [`SampleKind`]'s numbers.
const OVERFLOW_TYPES: [&str; 4] = ["counter", "gauge", "distribution", "set"];

/// Where a key holds its series' kind.
const KIND_AT: usize = 8;

/// What the aggregator is told once.
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
    /// The `host` of the aggregator's own series.
    pub host: Arc<str>,
}

/// What became of a line that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Values taken into series, and values that were no numbers.
    pub taken: Taken,
    /// Values counted in the overflow series only.
    pub beyond_limit: u32,
    /// Whether a trace tag held no id.
    pub unreadable_trace: bool,
}

impl Added {
    fn count(&mut self, taken: Taken) {
        self.taken.values += taken.values;
        self.taken.bad_values += taken.bad_values;
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Aggregator {
    settings: Settings,
    interval_ms: u32,
    /// Start of the window that gathers now.
    window: Timestamp,
    /// Series by key ([`Aggregator::identify`]) and alias ([`Aggregator::spell`]).
    table: SeriesTable,
    /// Values beyond the limit of series, by [`OVERFLOW_TYPES`].
    overflow: [f64; 4],
    /// Windows that ended and were not taken yet.
    ended: Vec<Sample>,
    key: Vec<u8>,
    alias: Vec<u8>,
    random: u64,
}

impl Aggregator {
    /// An empty one whose first window holds `now`.
    pub fn new(settings: Settings, now: Timestamp) -> Aggregator {
        Aggregator {
            interval_ms: u32::try_from(settings.interval.as_millis()).unwrap_or(u32::MAX),
            window: now.floor_to(settings.interval),
            table: SeriesTable::new(settings.series_max),
            overflow: [0.0; 4],
            ended: Vec::new(),
            key: Vec::with_capacity(256),
            alias: Vec::with_capacity(256),
            random: 0x9E37_79B9_7F4A_7C15,
            settings,
        }
    }

    /// Takes in a line that arrives now; `host` stands for a sender that names none, `tags` is a scratch list. Call
    /// [`roll`](Aggregator::roll) with `now` before.
    pub fn add<'a>(
        &mut self,
        metric: &Metric<'a>,
        now: Timestamp,
        host: &'a str,
        tags: &mut Vec<(&'a str, &'a str)>,
    ) -> Result<Added, Malformed> {
        let window = self.window_of(metric.timestamp, now)?;
        let mut reading = Reading {
            signed_is_delta: self.settings.signed_is_delta && metric.timestamp.is_none(),
            aggregated: metric.timestamp.is_some(),
            moment: metric.timestamp.map_or(now, Timestamp::from_unix_seconds),
            traces: TraceTags::default(),
            random: 0,
        };
        let mut added = Added::default();
        let mut identified = false;
        for segment in metric.segments() {
            let kind = segment.kind.sample_kind();
            if window.is_none() {
                self.spell(metric, kind);
                if let Some(series) = self.table.by_alias(&self.alias) {
                    added.count(series.take(segment, &reading));
                    continue;
                }
            }
            if !identified {
                reading.traces = self.identify(metric, window, host, tags)?;
                reading.random = self.next_random();
                added.unreadable_trace = reading.traces.unreadable;
                identified = true;
            }
            self.key[KIND_AT] = kind as u8;
            let (slot, taken) = if let Some((slot, series)) = self.table.by_key(&self.key) {
                (Some(slot), series.take(segment, &reading))
            } else if !self.table.is_full() {
                let name = metric.name()?;
                let labels = tags.iter().copied().chain([(NAME_LABEL, &*name)]);
                let mut series = Series::new(LabelSet::new(labels), segment.kind, window);
                let taken = series.take(segment, &reading);
                (if taken.values > 0 { Some(self.table.insert(&self.key, series)) } else { None }, taken)
            } else {
                let values = u32::try_from(segment.values().count()).unwrap_or(u32::MAX);
                self.overflow[kind as usize - 1] += f64::from(values);
                added.beyond_limit += values;
                (None, Taken::default())
            };
            added.count(taken);
            // A line with a trace is spelled like this once only.
            if let (Some(slot), None, true) = (slot, window, reading.traces == TraceTags::default()) {
                self.table.remember_alias(&self.alias, slot);
            }
        }
        Ok(added)
    }

    /// Ends the window that gathers when `now` lies outside it. After a leap of the clock, in either direction, what was
    /// gathered is written for the window in which it began.
    pub fn roll(&mut self, now: Timestamp) {
        let age = now.unix_nanos().saturating_sub(self.window.unix_nanos());
        let interval = i64::try_from(self.settings.interval.as_nanos()).unwrap_or(i64::MAX);
        if (-interval..interval).contains(&age) {
            return;
        }
        self.end_window();
        self.window = now.floor_to(self.settings.interval);
    }

    /// Ends the window that gathers, whether its time is over or not: at the end of the process.
    pub fn end_window(&mut self) {
        let (start, interval_ms) = (self.window, self.interval_ms);
        let gauge_windows = self.settings.gauge_ttl.as_millis() / u128::from(interval_ms.max(1));
        let gauge_windows = u32::try_from(gauge_windows).unwrap_or(u32::MAX);
        let full = self.table.is_full();
        let ended = &mut self.ended;
        self.table.retain(|series| {
            ended.extend(series.close_window(start, interval_ms));
            let kept = match series.is_gauge() {
                true => gauge_windows,
                false if full => 0,
                false => IDLE_WINDOWS_KEPT,
            };
            !series.is_dated() && series.idle_windows <= kept
        });
        for (kind, count) in OVERFLOW_TYPES.iter().zip(&mut self.overflow) {
            let sum = std::mem::take(count);
            if sum > 0.0 {
                let labels = [(NAME_LABEL, OVERFLOW_SERIES), ("host", &self.settings.host), ("type", kind)];
                ended.push(Sample {
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

    /// The samples of all windows that ended since the last call.
    pub fn take_ended(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.ended)
    }

    /// Makes the alias of the line's series: kind, name with its tags, 0x1F, tags, as they stand in the line.
    fn spell(&mut self, metric: &Metric<'_>, kind: SampleKind) {
        self.alias.clear();
        self.alias.push(kind as u8);
        self.alias.extend_from_slice(metric.spelled_name.as_bytes());
        self.alias.push(0x1F);
        self.alias.extend_from_slice(metric.spelled_tags.as_bytes());
    }

    /// Makes the key of the line's series, all but its kind, and leaves in `tags` its labels by name: what is no trace
    /// tag, each once (the last stands), none without a value, with `host` (an empty `host:` tag leaves it out).
    ///
    /// Key: 8 bytes window or zero, 1 byte kind, name, then 0x1F, tag, 0x1E, value for each tag. Neither names nor tags
    /// hold control characters, so two series never share a key.
    fn identify<'a>(
        &mut self,
        metric: &Metric<'a>,
        window: Option<Timestamp>,
        host: &'a str,
        tags: &mut Vec<(&'a str, &'a str)>,
    ) -> Result<TraceTags, Malformed> {
        let mut traces = TraceTags::default();
        let name = metric.name()?;
        tags.clear();
        tags.push(("host", host));
        for (key, value) in metric.tags() {
            if key == NAME_LABEL {
                return Err(Malformed::ReservedTag);
            }
            if traces.take(key, value) {
                continue;
            }
            let at = tags.partition_point(|&(other, _)| other < key);
            match tags.get_mut(at) {
                Some(tag) if tag.0 == key => tag.1 = value,
                _ => tags.insert(at, (key, value)),
            }
        }
        tags.retain(|(_, value)| !value.is_empty());
        let window = window.map_or(0, Timestamp::unix_nanos);
        self.key.clear();
        self.key.extend_from_slice(&window.to_le_bytes());
        self.key.push(0);
        self.key.extend_from_slice(name.as_bytes());
        for &(key, value) in tags.iter() {
            self.key.push(0x1F);
            self.key.extend_from_slice(key.as_bytes());
            self.key.push(0x1E);
            self.key.extend_from_slice(value.as_bytes());
        }
        Ok(traces)
    }

    /// The window that a sender names, or none for the one that gathers now.
    fn window_of(&self, timestamp: Option<i64>, now: Timestamp) -> Result<Option<Timestamp>, Malformed> {
        let Some(seconds) = timestamp else { return Ok(None) };
        let moment = Timestamp::from_unix_seconds(seconds);
        if moment > now.saturating_add(CLOCK_SKEW_MAX) {
            return Err(Malformed::FutureTimestamp);
        }
        let window = moment.floor_to(self.settings.interval);
        Ok((window != self.window).then_some(window))
    }

    /// xorshift64 (G. Marsaglia, 2003): which of many values becomes an exemplar needs no better dice.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests;
