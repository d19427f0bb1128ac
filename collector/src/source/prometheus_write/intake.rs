//! What both versions of the message have in common: series become samples, exemplars find theirs, and what cannot be taken is
//! counted by its reason while its neighbours are taken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use rapidhash::RapidHashMap;
use thiserror::Error;

use super::native_histogram::{self, Meaning};
use super::{Config, version_1, version_2};
use crate::model::{Exemplar, LabelSet, Sample, SampleValue, Timestamp};
use crate::source::descriptions::{Description, Descriptions, TooMany};
use crate::source::exemplar_trace::take_label;
use crate::source::protobuf::{Content, Malformed, Message};
use crate::source::running_histograms::{Pending, Reading, RunningHistograms, Step, nothing_pending, window_of};
use crate::source::series_cache::{Hashing, Lookup, Series, SeriesCache, WrittenLabels};
use crate::source::series_type::{SeriesType, reading};
use crate::source::statsd::trace_tags::TraceTags;

/// Exemplars that wait for the next sample of their series at most: Prometheus sends them in series of their own, sometimes in
/// the request after their sample's.
const WAITING_EXEMPLARS_MAX: usize = 10_000;

/// Room for samples is made beforehand for as many as the last request had, up to this.
const USUAL_SAMPLES_MAX: usize = 1 << 16;

/// Which message a request holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `prometheus.WriteRequest`.
    One,
    /// `io.prometheus.write.v2.Request`.
    Two,
}

/// Reads requests; remembers series between them.
#[derive(Debug)]
pub struct Intake {
    cache: SeriesCache,
    samples_max: usize,
    usual_samples: AtomicUsize,
    waiting: Mutex<Waiting>,
    histograms: RunningHistograms,
    descriptions: Descriptions,
}

/// Exemplars, each with its series, the oldest first.
type Waiting = Vec<(Arc<LabelSet>, Exemplar)>;

/// What a request held.
#[derive(Debug)]
pub struct Taken {
    /// To be stored; behind all others what is said of metrics.
    pub samples: Vec<Sample>,
    /// Readings among them.
    pub readings: u64,
    /// Native histograms that were taken.
    pub histograms: u64,
    /// Exemplars that were taken, with their samples or to wait for one.
    pub exemplars: u64,
    /// What was not taken: how much of what, by reason, with an example.
    pub refused: BTreeMap<&'static str, Refused>,
    /// Exemplars of earlier requests that go with these samples.
    waited: Waiting,
    /// Counts of histograms that are those of before once the samples are stored.
    pending: Pending,
}

/// What was refused for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Samples and exemplars.
    pub count: u64,
    /// What is wrong with the first of them.
    pub example: String,
}

/// Why nothing of a request can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// It is no such message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It has more samples than the limit, which this is.
    #[error("the request has more than {0} samples")]
    TooManySamples(usize),
}

/// What a request says of a series beside its labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declared {
    pub series_type: SeriesType,
    pub unit: &'static str,
}

/// One request as far as it is read.
pub(super) struct Gathering<'i> {
    pub hashing: &'i Hashing,
    lookup: Lookup<'i>,
    samples_max: usize,
    samples: Vec<Sample>,
    too_many: bool,
    readings: u64,
    histograms: u64,
    running: &'i RunningHistograms,
    pending: Pending,
    descriptions: &'i Descriptions,
    /// What is said of metrics, as samples.
    described: Vec<Sample>,
    now: Timestamp,
    exemplars: u64,
    /// Exemplars of series without a sample beside them.
    alone: Waiting,
    refused: BTreeMap<&'static str, Refused>,
}

impl Intake {
    /// One with the section's limits.
    pub fn new(config: &Config) -> Intake {
        Intake {
            cache: SeriesCache::new(config.series_max, config.labels_bytes_max),
            samples_max: config.samples_max,
            usual_samples: AtomicUsize::new(0),
            waiting: Mutex::default(),
            histograms: RunningHistograms::default(),
            descriptions: Descriptions::default(),
        }
    }

    /// Reads a request, decompressed.
    ///
    /// # Errors
    /// When nothing of it can be taken.
    pub fn read(&self, body: &[u8], version: Version) -> Result<Taken, ReadError> {
        let mut gathering = Gathering {
            hashing: self.cache.hashing(),
            lookup: self.cache.lookup(),
            samples_max: self.samples_max,
            samples: Vec::with_capacity(self.usual_samples.load(Relaxed)),
            too_many: false,
            readings: 0,
            histograms: 0,
            running: &self.histograms,
            descriptions: &self.descriptions,
            described: Vec::new(),
            now: Timestamp::now(),
            pending: nothing_pending(),
            exemplars: 0,
            alone: Vec::new(),
            refused: BTreeMap::new(),
        };
        match version {
            Version::One => version_1::read(body, &mut gathering)?,
            Version::Two => version_2::read(body, &mut gathering)?,
        }
        if gathering.too_many {
            return Err(ReadError::TooManySamples(self.samples_max));
        }
        self.usual_samples.store(gathering.samples.len().min(USUAL_SAMPLES_MAX), Relaxed);
        Ok(self.finish(gathering))
    }

    /// What was taken is stored: the next counts of histograms go on from these.
    pub fn stored(&self, taken: &mut Taken) {
        self.histograms.commit(std::mem::take(&mut taken.pending));
    }

    /// What was taken is not stored: what of earlier requests went with it waits on, and what was said of metrics is told again.
    pub fn not_stored(&self, taken: Taken) {
        self.descriptions.forget();
        self.waiting.lock().extend(taken.waited);
    }

    /// Brings exemplars that came alone to the last sample of their series, or has them wait for the next.
    fn finish(&self, gathering: Gathering<'_>) -> Taken {
        let Gathering { mut samples, readings, histograms, pending, exemplars, alone, mut refused, .. } = gathering;
        let described = gathering.described;
        let mut waited = Vec::new();
        let mut waiting = self.waiting.lock();
        if !(alone.is_empty() && waiting.is_empty()) {
            let last: RapidHashMap<usize, usize> =
                samples.iter().enumerate().map(|(at, sample)| (Arc::as_ptr(&sample.labels).addr(), at)).collect();
            waiting.retain(|(series, exemplar)| match last.get(&Arc::as_ptr(series).addr()) {
                Some(&at) => {
                    samples[at].exemplars.push(exemplar.clone());
                    waited.push((Arc::clone(series), exemplar.clone()));
                    false
                }
                None => true,
            });
            for (series, exemplar) in alone {
                match last.get(&Arc::as_ptr(&series).addr()) {
                    Some(&at) => samples[at].exemplars.push(exemplar),
                    None => waiting.push((series, exemplar)),
                }
            }
            let surplus = waiting.len().saturating_sub(WAITING_EXEMPLARS_MAX);
            if surplus > 0 {
                let lost = refused.entry("exemplar_without_sample").or_default();
                lost.count += surplus as u64;
                lost.example = waiting[0].0.to_string();
                waiting.drain(..surplus);
            }
        }
        samples.extend(described);
        Taken { samples, readings, histograms, exemplars, refused, waited, pending }
    }
}

impl Gathering<'_> {
    /// The series with these labels, of which so many samples follow; none when they are not taken.
    #[inline]
    pub fn series<'a>(&mut self, labels: &impl WrittenLabels<'a>, samples: u64) -> Option<Series> {
        if self.samples.len() as u64 + samples > self.samples_max as u64 {
            self.too_many = true;
            return None;
        }
        match self.lookup.find(labels) {
            Ok(series) => Some(series),
            Err(bad) => {
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                let pairs = labels.pairs().unwrap_or_default();
                let written = pairs.iter().map(|(name, value)| format!("{}={:?}", text(name), text(value)));
                self.refuse(bad.reason(), samples.max(1), || written.collect::<Vec<_>>().join(" "));
                None
            }
        }
    }

    /// Takes a value of a series at a moment in Unix milliseconds.
    #[inline]
    pub fn reading(&mut self, series: &Series, declared: Declared, value: f64, millis: i64) {
        let Some(nanos) = millis.checked_mul(1_000_000) else {
            return self.refuse("impossible_time", 1, || format!("{} at {millis} ms", series.labels));
        };
        self.readings += 1;
        self.samples.push(Sample {
            labels: Arc::clone(&series.labels),
            timestamp: Timestamp::from_unix_nanos(nanos),
            interval_ms: 0,
            value: reading(value, declared.series_type.is_running_total(series.running_total_by_name)),
            unit: declared.unit,
            exemplars: Vec::new(),
        });
    }

    /// Takes a native histogram's message.
    pub fn histogram(&mut self, series: &Series, unit: &'static str, message: &[u8]) -> Result<(), Malformed> {
        let histogram = native_histogram::read(message)?;
        let labels = &series.labels;
        let Some(nanos) = histogram.millis.checked_mul(1_000_000) else {
            self.refuse("impossible_time", 1, || format!("{labels} at {} ms", histogram.millis));
            return Ok(());
        };
        let at = Timestamp::from_unix_nanos(nanos);
        match histogram.meaning {
            Meaning::Unknown(schema) => {
                self.refuse("unknown_histogram_schema", 1, || format!("{labels} of schema {schema}"));
                return Ok(());
            }
            Meaning::Ended => RunningHistograms::end(&mut self.pending, labels),
            Meaning::Level(counts) => {
                let value = SampleValue::Distribution(Box::new(counts.distribution(None, None)));
                self.samples.push(window_of(labels, unit, at, at, value));
            }
            Meaning::Running(counts) => {
                let reading = Reading { at, started: None, counts };
                match self.running.step(&mut self.pending, labels, unit, reading) {
                    Step::Window(window) => self.samples.push(window),
                    // What was sent again is stored already.
                    Step::First | Step::Quiet | Step::NotNewer => {}
                    Step::TooMany => {
                        self.refuse("too_many_histograms", 1, || labels.to_string());
                        return Ok(());
                    }
                }
            }
        }
        self.histograms += 1;
        Ok(())
    }

    /// Takes what is said of a metric.
    pub fn description(&mut self, said: Description<'_>) {
        match self.descriptions.tell(said, self.now) {
            Ok(told) => self.described.extend(told),
            Err(TooMany) => self.refuse(TooMany::REASON, 1, || said.metric.to_owned()),
        }
    }

    /// Takes an exemplar's message; `each_label` reads a field of its labels.
    pub fn exemplar(
        &mut self,
        series: &Series,
        exemplar: &[u8],
        mut each_label: impl FnMut(Content<'_>, &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let (mut trace, mut value, mut millis) = (TraceTags::default(), 0.0, 0);
        let mut take = |name: &[u8], value: &[u8]| {
            take_label(&mut trace, str::from_utf8(name).unwrap_or_default(), str::from_utf8(value).unwrap_or_default());
        };
        let mut exemplar = Message(exemplar);
        while let Some((number, content)) = exemplar.next_field()? {
            match (number, content) {
                (1, content) => each_label(content, &mut take)?,
                (2, Content::Eight(bits)) => value = f64::from_bits(bits),
                (3, Content::Varint(number)) => millis = number as i64,
                _ => {}
            }
        }
        let Some(trace_id) = trace.trace_id else {
            self.refuse("exemplar_without_trace", 1, || series.labels.to_string());
            return Ok(());
        };
        self.exemplars += 1;
        let beside = self.samples.last_mut().filter(|sample| Arc::ptr_eq(&sample.labels, &series.labels));
        let timestamp = match (millis, &beside) {
            (0, Some(sample)) => sample.timestamp,
            (0, None) => Timestamp::now(),
            (millis, _) => Timestamp::from_unix_nanos(millis.saturating_mul(1_000_000)),
        };
        let exemplar = Exemplar { timestamp, value, trace_id, span_id: trace.span_id };
        match beside {
            Some(sample) => sample.exemplars.push(exemplar),
            None => self.alone.push((Arc::clone(&series.labels), exemplar)),
        }
        Ok(())
    }

    #[cold]
    pub fn refuse(&mut self, reason: &'static str, count: u64, example: impl FnOnce() -> String) {
        let refused = self.refused.entry(reason).or_default();
        if refused.count == 0 {
            refused.example = example();
        }
        refused.count += count;
    }
}

/// A sample's message: its value and its Unix milliseconds. Zeros are not written.
#[inline]
pub(super) fn read_sample(sample: &[u8]) -> Result<(f64, i64), Malformed> {
    let (mut value, mut millis) = (0.0, 0);
    let mut sample = Message(sample);
    while let Some(field) = sample.next_field()? {
        match field {
            (1, Content::Eight(bits)) => value = f64::from_bits(bits),
            (2, Content::Varint(number)) => millis = number as i64,
            _ => {}
        }
    }
    Ok((value, millis))
}
