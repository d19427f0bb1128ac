//! Spans from log lines: what the lines of one span id say of its begin and end.
//!
//! A line that tells how long something took is said at its end, so that the span began that much earlier; of these the longest counts.
//! Lines with both ends (`start_time_unix_nano`, `end_time_unix_nano`) say it exactly, and so does what was sent as a span (`span.kind`): that
//! stands at its begin. Without either a span lasts from its first line to its last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::{LogRecord, Severity, SpanId, Timestamp, Value};
use taffrail_ingest::log_store::StoredRecord;

/// Attributes that say how long something took, with nanoseconds of their unit. Names without a unit are not among them.
const DURATIONS: [(&str, f64); 13] = [
    ("http.server.request.duration", 1e9),
    ("http.client.request.duration", 1e9),
    ("duration_ns", 1.0),
    ("duration_us", 1e3),
    ("duration_ms", 1e6),
    ("duration_s", 1e9),
    ("duration_seconds", 1e9),
    ("elapsed_ms", 1e6),
    ("latency_ms", 1e6),
    ("response_time_ms", 1e6),
    ("request_time_ms", 1e6),
    ("took_ms", 1e6),
    ("time_ms", 1e6),
];
const PARENTS: [&str; 3] = ["parent_span_id", "parent_id", "parentSpanId"];
/// Stands on what was sent as a span, as OpenTelemetry's are, with [`LENGTH`].
const KIND: &str = "span.kind";
const LENGTH: &str = "duration_ms";
const ENDS: (&str, &str) = ("start_time_unix_nano", "end_time_unix_nano");

/// How its ends are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// From its first line to its last.
    Lines,
    /// A line said how long it took.
    Duration,
    /// A line said when it began and ended.
    Ends,
}

/// What one service did for a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its id.
    pub span_id: SpanId,
    /// The span that it is a part of, if a line says so.
    pub parent: Option<SpanId>,
    /// What it was sent as; none when there are only lines of it.
    pub name: Option<String>,
    /// `server`, `client` …, if it was sent as a span.
    pub kind: Option<String>,
    /// Whose it is.
    pub service: Arc<str>,
    /// Where it ran.
    pub host: Arc<str>,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// How the two are known.
    pub known: Known,
    /// Its lines.
    pub records: u64,
    /// Those of them that are errors.
    pub errors: u64,
}

/// The spans of a trace's records, by their begin.
pub fn spans(records: &[StoredRecord]) -> Vec<Span> {
    let mut spans: BTreeMap<SpanId, Span> = BTreeMap::new();
    for stored in records {
        let record = &stored.record;
        let Some(span_id) = record.span_id else { continue };
        let (start, end, known) = extent(record);
        let span = spans.entry(span_id).or_insert_with(|| Span {
            span_id,
            parent: None,
            name: None,
            kind: None,
            service: record.resource.service.clone(),
            host: record.resource.host.clone(),
            start,
            end,
            known,
            records: 0,
            errors: 0,
        });
        span.parent = span.parent.or_else(|| parent(record));
        if let Some(kind) = kind(record) {
            // Lines of others may carry the id of the span that called them.
            span.name = Some(record.body.clone());
            span.kind = Some(kind.to_owned());
            (span.service, span.host) = (record.resource.service.clone(), record.resource.host.clone());
        }
        span.records += 1;
        span.errors += u64::from(is_error(record));
        if known > span.known {
            (span.start, span.end, span.known) = (start, end, known);
        } else if known == span.known {
            (span.start, span.end) = (span.start.min(start), span.end.max(end));
        }
    }
    let mut spans: Vec<Span> = spans.into_values().collect();
    spans.sort_by_key(|span| (span.start, span.span_id));
    spans
}

/// Whether a record is an error, or worse.
pub fn is_error(record: &LogRecord) -> bool {
    record.severity >= Severity::ERROR
}

/// From when to when what a record tells of lasted.
pub fn extent(record: &LogRecord) -> (Timestamp, Timestamp, Known) {
    let at = |name| number(record, name).map(|nanos| Timestamp::from_unix_nanos(nanos as i64));
    if let (Some(start), Some(end)) = (at(ENDS.0), at(ENDS.1))
        && start <= end
    {
        return (start, end, Known::Ends);
    }
    if kind(record).is_some()
        && let Some(length) = number(record, LENGTH).filter(|length| *length >= 0.0)
    {
        let length = Duration::from_nanos((length * 1e6).round() as u64);
        return (record.timestamp, record.timestamp.saturating_add(length), Known::Ends);
    }
    let lengths = DURATIONS.iter().filter_map(|(name, unit)| Some(number(record, name)? * unit));
    let longest = lengths.filter(|nanos| nanos.is_finite() && *nanos >= 0.0).reduce(f64::max);
    match longest {
        // What is longer than a day is no length of a request: something else stands under the name.
        Some(nanos) if nanos <= 86_400e9 => {
            (record.timestamp.saturating_sub(Duration::from_nanos(nanos as u64)), record.timestamp, Known::Duration)
        }
        _ => (record.timestamp, record.timestamp, Known::Lines),
    }
}

fn parent(record: &LogRecord) -> Option<SpanId> {
    PARENTS.iter().find_map(|name| match attribute(record, name)? {
        Value::String(text) => SpanId::from_hex(text),
        _ => None,
    })
}

fn kind(record: &LogRecord) -> Option<&str> {
    attribute(record, KIND)?.as_str()
}

fn number(record: &LogRecord, name: &str) -> Option<f64> {
    match attribute(record, name)? {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn attribute<'a>(record: &'a LogRecord, name: &str) -> Option<&'a Value> {
    record.attributes.iter().find(|(own, _)| &**own == name).map(|(_, value)| value)
}
