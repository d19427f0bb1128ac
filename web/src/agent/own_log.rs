//! The agent's own log as log records for its servers: a layer of `tracing` that never blocks and never speaks itself.
//!
//! What the sender complains of would travel by the sender, and each complaint would give it more to send. So each place in
//! the code has an allowance a minute, the sender's own places a smaller one, and whatever waits while nothing can be sent
//! is bounded; what is left out is counted, and said with the next event from the same place.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use taffrail_collector::model::{Attributes, LogRecord, Severity, Timestamp, Value};
use tokio::sync::mpsc;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Events that wait while the spool takes nothing: some minutes of a talkative agent.
const WAITING_MAX: usize = 1024;
/// Allowances are counted anew after this span.
const ALLOWANCE_SPAN: Duration = Duration::from_secs(60);
/// Events of one place in the code within a span.
const ALLOWANCE: u32 = 30;
/// The same for the sender, whose complaints are themselves to be sent.
const SENDER_ALLOWANCE: u32 = 5;
/// Where the sender's code lies.
const SENDER_TARGET: &str = "taffrail_collector::ship";
/// The attribute that says how many events of the same place were left out before this one.
const LEFT_OUT: &str = "left_out_before";

/// The layer. Events of level info and above become records without a resource.
#[derive(Debug)]
pub struct OwnLog {
    sender: mpsc::Sender<LogRecord>,
    allowances: Mutex<Allowances>,
    counts: Arc<Counts>,
}

/// The records' other end.
#[derive(Debug)]
pub struct OwnLogRecords {
    receiver: mpsc::Receiver<LogRecord>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    records: AtomicU64,
    limited: AtomicU64,
    dropped: AtomicU64,
}

/// What became of the agent's own events since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OwnLogSnapshot {
    /// Handed on as records.
    pub records: u64,
    /// Left out: their place in the code had said enough for a while.
    pub limited: u64,
    /// Left out: too many waited already.
    pub dropped: u64,
}

/// A handle on the counts, cheap to clone.
#[derive(Clone, Debug)]
pub struct OwnLogCounts(Arc<Counts>);

/// A layer and the end where its records come out.
pub fn own_log() -> (OwnLog, OwnLogRecords) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let counts = Arc::new(Counts::default());
    let layer = OwnLog { sender, allowances: Mutex::default(), counts: Arc::clone(&counts) };
    (layer, OwnLogRecords { receiver, counts })
}

impl<S: Subscriber> Layer<S> for OwnLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return;
        }
        let allowance = if metadata.target().starts_with(SENDER_TARGET) { SENDER_ALLOWANCE } else { ALLOWANCE };
        let left_out = self.allowances.lock().admit(metadata.callsite(), allowance, Instant::now());
        let Some(left_out) = left_out else {
            self.counts.limited.fetch_add(1, Relaxed);
            return;
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut attributes = fields.attributes;
        attributes.push(("target".into(), metadata.target().into()));
        if left_out > 0 {
            attributes.push((LEFT_OUT.into(), Value::Int(i64::from(left_out))));
        }
        let now = Timestamp::now();
        let record = LogRecord {
            timestamp: now,
            observed_timestamp: now,
            severity: severity(*metadata.level()),
            severity_text: metadata.level().as_str().into(),
            body: fields.message,
            trace_id: None,
            span_id: None,
            resource: Arc::default(),
            attributes,
        };
        self.hand_on(record);
    }
}

impl OwnLog {
    fn hand_on(&self, record: LogRecord) {
        let count = if self.sender.try_send(record).is_ok() { &self.counts.records } else { &self.counts.dropped };
        count.fetch_add(1, Relaxed);
    }
}

impl OwnLogRecords {
    /// Moves records to `into`, `limit` at most, and waits for the first; 0 once no layer is left. Cancel-safe: what was
    /// received stands in `into`.
    pub async fn next(&mut self, into: &mut Vec<LogRecord>, limit: usize) -> usize {
        self.receiver.recv_many(into, limit).await
    }

    /// The next record if there is one already.
    pub fn try_next(&mut self) -> Option<LogRecord> {
        self.receiver.try_recv().ok()
    }

    /// A handle on the counts.
    pub fn counts(&self) -> OwnLogCounts {
        OwnLogCounts(Arc::clone(&self.counts))
    }
}

impl OwnLogCounts {
    /// Counts now.
    pub fn snapshot(&self) -> OwnLogSnapshot {
        OwnLogSnapshot {
            records: self.0.records.load(Relaxed),
            limited: self.0.limited.load(Relaxed),
            dropped: self.0.dropped.load(Relaxed),
        }
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::ERROR,
        Level::WARN => Severity::WARN,
        _ => Severity::INFO,
    }
}

/// How much each place in the code has said in its current span. There are as many as there are log statements.
#[derive(Debug, Default)]
struct Allowances(HashMap<Identifier, Allowance>);

#[derive(Clone, Copy, Debug)]
struct Allowance {
    since: Instant,
    said: u32,
    left_out: u32,
}

impl Allowances {
    /// Whether this place may speak now, and then how often it was not let since it last was.
    fn admit(&mut self, place: Identifier, allowance: u32, now: Instant) -> Option<u32> {
        let entry = self.0.entry(place).or_insert(Allowance { since: now, said: 0, left_out: 0 });
        if now.saturating_duration_since(entry.since) >= ALLOWANCE_SPAN {
            (entry.since, entry.said) = (now, 0);
        }
        if entry.said >= allowance {
            entry.left_out = entry.left_out.saturating_add(1);
            return None;
        }
        entry.said += 1;
        Some(std::mem::take(&mut entry.left_out))
    }
}

/// An event's fields: its message, and the rest as attributes.
#[derive(Default)]
struct Fields {
    message: String,
    attributes: Attributes,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", value) => self.message = value.to_string(),
            (name, value) => self.attributes.push((name.into(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, i64::try_from(value).map_or_else(|_| Value::Float(value as f64), Value::Int));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // A number that JSON has no word for is kept as its text.
        self.put(field, if value.is_finite() { Value::Float(value) } else { Value::String(value.to_string()) });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bool(value));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::prelude::*;

    use super::*;

    /// What a run of code under the layer leaves behind.
    fn records_of(run: impl FnOnce()) -> (Vec<LogRecord>, OwnLogSnapshot) {
        let (layer, mut records) = own_log();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), run);
        let found = std::iter::from_fn(|| records.try_next()).collect();
        (found, records.counts().snapshot())
    }

    #[test]
    fn an_event_becomes_a_record_with_its_fields() {
        let (records, counts) = records_of(|| {
            let error = std::io::Error::other("no room");
            tracing::warn!(%error, file = "a.log", tries = 3u64, share = 0.5, last = true, "cannot write");
            tracing::debug!("not for the server");
        });
        assert_eq!(records.len(), 1);
        let record = &records[0];
        assert_eq!((record.body.as_str(), record.severity), ("cannot write", Severity::WARN));
        let shown = |name: &str| record.attribute(name).map(ToString::to_string);
        for (name, expected) in [
            ("error", "no room"),
            ("file", "a.log"),
            ("tries", "3"),
            ("share", "0.5"),
            ("last", "true"),
            ("target", module_path!()),
        ] {
            assert_eq!(shown(name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(counts, OwnLogSnapshot { records: 1, limited: 0, dropped: 0 });
    }

    #[test]
    fn a_place_that_repeats_itself_is_cut_short_and_others_are_not() {
        let (records, counts) = records_of(|| {
            for at in 0..100 {
                tracing::error!(at, "again and again");
            }
            tracing::info!("something else");
            for at in 0..100 {
                tracing::error!(target: "taffrail_collector::ship::sender", at, "no server answers");
            }
        });
        let of = |body: &str| records.iter().filter(|record| record.body == body).count();
        assert_eq!(of("again and again"), ALLOWANCE as usize);
        assert_eq!(of("something else"), 1);
        assert_eq!(of("no server answers"), SENDER_ALLOWANCE as usize);
        assert_eq!(counts.records + counts.limited, 201);
    }

    #[test]
    fn what_was_left_out_is_said_when_the_place_may_speak_again() {
        let place = tracing::callsite!(name: "here", kind: tracing::metadata::Kind::EVENT, fields: message);
        let place = tracing::Callsite::metadata(place).callsite();
        let mut allowances = Allowances::default();
        let start = Instant::now();
        let answers = (0..4).map(|_| allowances.admit(place.clone(), 2, start)).collect::<Vec<_>>();
        assert_eq!(answers, [Some(0), Some(0), None, None]);
        assert_eq!(allowances.admit(place.clone(), 2, start + ALLOWANCE_SPAN), Some(2));
        assert_eq!(allowances.admit(place, 2, start + ALLOWANCE_SPAN), Some(0));
    }

    #[test]
    fn what_nobody_takes_is_dropped_and_counted() {
        let (layer, records) = own_log();
        let (room, events) = (WAITING_MAX as u64, WAITING_MAX as u64 + 7);
        for _ in 0..events {
            let record = LogRecord {
                timestamp: Timestamp::EPOCH,
                observed_timestamp: Timestamp::EPOCH,
                severity: Severity::INFO,
                severity_text: Default::default(),
                body: String::new(),
                trace_id: None,
                span_id: None,
                resource: Arc::default(),
                attributes: Vec::new(),
            };
            layer.hand_on(record);
        }
        let counts = records.counts().snapshot();
        assert_eq!((counts.records, counts.dropped), (room, events - room));
    }
}
