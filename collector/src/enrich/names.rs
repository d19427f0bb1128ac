//! Which field names mean something, and a memory of the names met, so that equal names share one allocation.
//!
//! The lists and their order come from OpenTelemetry, ECS, Python's and Java's JSON layouts, CLEF, Docker, `tracing`, pino,
//! and for trace context from the libraries that inject it. Letter case does not matter; the earlier name wins.

use std::sync::Arc;

use rapidhash::RapidHashMap;

use super::trace_context::Form;

/// Names remembered before the memory is emptied; a program has dozens, a hostile sender any number.
const NAMES_MAX: usize = 16_384;

/// What a field of a certain name is for. The number is its rank: the lower wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Attribute,
    Time(u8),
    Body(u8),
    Level(u8),
    /// OpenTelemetry's `SeverityNumber`, 1–24.
    SeverityNumber,
    Host(u8),
    Service(u8),
    Context(u8, Form),
    /// The high half of a Datadog trace id.
    DatadogHighBits,
}

/// The names met so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    known: RapidHashMap<Arc<str>, Known>,
    record: u64,
}

/// One name.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) name: Arc<str>,
    pub(super) role: Role,
    /// The record in which it was last kept as an attribute, and where.
    kept_in: u64,
    position: usize,
}

impl Names {
    /// Starts a new record: no name has been kept in it yet.
    pub(super) fn next_record(&mut self) {
        self.record += 1;
        if self.known.len() > NAMES_MAX {
            self.known.clear();
        }
    }

    /// The name, with its role and, when this record keeps it already, its position among the attributes.
    pub(super) fn meet(&mut self, name: &str) -> (&mut Known, Option<usize>) {
        if !self.known.contains_key(name) {
            let shared: Arc<str> = name.into();
            let known = Known { name: Arc::clone(&shared), role: role_of(name), kept_in: 0, position: 0 };
            self.known.insert(shared, known);
        }
        let record = self.record;
        let known = self.known.get_mut(name).expect("it was there or has just been put there");
        let position = (known.kept_in == record && record > 0).then_some(known.position);
        (known, position)
    }

    /// Remembers where the current record keeps a name.
    pub(super) fn keep(&mut self, name: &str, position: usize) {
        if let Some(known) = self.known.get_mut(name) {
            known.kept_in = self.record;
            known.position = position;
        }
    }
}

/// Objects under which logging libraries put the fields of their context (`{"fields":{"message":…}}` of Rust's `tracing`,
/// MDC of Java). A name found there ranks behind the same name at the top.
const WRAPPERS: [&str; 8] =
    ["fields.", "mdc.", "contextmap.", "context.", "attributes.", "extra.", "properties.", "otel."];
const WRAPPED: u8 = 100;

/// What a (dotted) field name is for.
pub(super) fn role_of(name: &str) -> Role {
    let mut lower = [0u8; 48];
    let Some(lower) = lower.get_mut(..name.len()) else { return Role::Attribute };
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    let Ok(lower) = std::str::from_utf8(lower) else { return Role::Attribute };
    let direct = role_of_lower(lower);
    if direct != Role::Attribute {
        return direct;
    }
    let Some(inner) = WRAPPERS.iter().find_map(|wrapper| lower.strip_prefix(wrapper)) else { return direct };
    match role_of_lower(inner) {
        Role::Body(rank) => Role::Body(rank + WRAPPED),
        Role::Level(rank) => Role::Level(rank + WRAPPED),
        Role::Context(rank, form) => Role::Context(rank + WRAPPED, form),
        _ => Role::Attribute,
    }
}

fn role_of_lower(name: &str) -> Role {
    match name {
        "timestamp" => Role::Time(0),
        "time" => Role::Time(1),
        "@timestamp" => Role::Time(2),
        "ts" => Role::Time(3),
        "@t" => Role::Time(4),
        "datetime" => Role::Time(5),
        "asctime" => Role::Time(6),
        "timeunixnano" | "time_unix_nano" => Role::Time(7),

        "message" => Role::Body(0),
        "msg" => Role::Body(1),
        "body" => Role::Body(2),
        "log" => Role::Body(3),
        "@m" => Role::Body(4),
        "@mt" => Role::Body(5),

        "level" => Role::Level(0),
        "severity" => Role::Level(1),
        "lvl" => Role::Level(2),
        "log.level" => Role::Level(3),
        "levelname" => Role::Level(4),
        "loglevel" | "log_level" => Role::Level(5),
        "severity_text" | "severitytext" => Role::Level(6),
        "@l" => Role::Level(7),
        "severity_number" | "severitynumber" => Role::SeverityNumber,

        "host" => Role::Host(0),
        "hostname" => Role::Host(1),
        "host.name" => Role::Host(2),

        "service" => Role::Service(0),
        "service.name" => Role::Service(1),
        "service_name" => Role::Service(2),
        "dd.service" => Role::Service(3),

        // The order of the standard field, then of those that libraries write.
        "trace_id" => Role::Context(0, Form::TraceHex),
        "span_id" => Role::Context(0, Form::SpanHex),
        "traceid" => Role::Context(1, Form::TraceHex),
        "spanid" => Role::Context(1, Form::SpanHex),
        "trace.id" => Role::Context(2, Form::TraceHex),
        "span.id" => Role::Context(2, Form::SpanHex),
        "transaction.id" => Role::Context(3, Form::SpanHex),
        "oteltraceid" => Role::Context(4, Form::TraceHex),
        "otelspanid" => Role::Context(4, Form::SpanHex),
        "dd.trace_id" => Role::Context(5, Form::DatadogTrace),
        "dd.span_id" => Role::Context(5, Form::DatadogSpan),
        "logging.googleapis.com/trace" => Role::Context(6, Form::GoogleTrace),
        "logging.googleapis.com/spanid" => Role::Context(6, Form::SpanHex),
        "@tr" => Role::Context(7, Form::TraceHex),
        "@sp" => Role::Context(7, Form::SpanHex),
        "x-b3-traceid" => Role::Context(8, Form::TraceHex),
        "x-b3-spanid" => Role::Context(8, Form::SpanHex),
        "aws-xray-trace-id" => Role::Context(9, Form::Amazon),
        "xray_trace_id" => Role::Context(10, Form::Amazon),
        "trace.trace_id" | "context.trace_id" => Role::Context(11, Form::TraceHex),
        "trace.span_id" | "context.span_id" => Role::Context(11, Form::SpanHex),
        "traceparent" => Role::Context(12, Form::Traceparent),
        "b3" => Role::Context(13, Form::B3),
        "x-amzn-trace-id" => Role::Context(14, Form::Amazon),
        "uber-trace-id" => Role::Context(15, Form::Uber),
        "x-datadog-trace-id" => Role::Context(16, Form::DatadogTrace),
        "x-datadog-parent-id" => Role::Context(16, Form::DatadogSpan),
        "x-cloud-trace-context" => Role::Context(17, Form::GoogleHeader),
        "_dd.p.tid" => Role::DatadogHighBits,
        _ => Role::Attribute,
    }
}
