//! A request of spans to records, so that a span stands beside the lines that were said in it, is searched and kept as they are.
//!
//! | of a span | becomes |
//! |---|---|
//! | start | the record's time |
//! | name | its body |
//! | end | `duration_ms`, with every nanosecond |
//! | kind | `span.kind`: `internal`, `server`, `client`, `producer`, `consumer`; what has it is a span |
//! | parent | `parent_span_id` |
//! | status | `error` makes the severity ERROR, anything else INFO; its message is `span.status_message` |
//! | links | `span.links`, a list of trace ids |
//! | an event | a record of its own at the event's time; an exception's is an error |
//!
//! Attributes keep their names; the tracer's is `scope.name`.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;

use super::attributes::{Gathering, value_text};
use super::records::{Reading, add_scope, moment, span_id, trace_id};
use super::request::{ExportTraceServiceRequest, WrittenEvent, WrittenSpan};
use crate::model::{LogRecord, Resource, Severity, SeverityText, SpanId, TraceId, Value};

const STATUS_ERROR: i32 = 2;

/// How many records the request gives: its spans, and what happened in them.
pub(super) fn count(request: &ExportTraceServiceRequest) -> usize {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans).map(|span| 1 + span.events.len()).sum()
}

/// Makes records of the request.
pub(super) fn read(request: ExportTraceServiceRequest, reading: &mut Reading<'_>) {
    for spans in request.resource_spans {
        let resource = reading.resource(spans.resource.as_ref());
        for scope in spans.scope_spans {
            for span in scope.spans {
                read_span(span, scope.scope.as_ref(), &resource, reading);
            }
        }
    }
}

fn read_span(
    span: WrittenSpan,
    scope: Option<&InstrumentationScope>,
    resource: &Arc<Resource>,
    reading: &mut Reading<'_>,
) {
    let ids = trace_id(&span.trace_id).zip(span_id(&span.span_id));
    let Some((trace_id, own_id)) = ids else { return reading.reject("span_without_ids", &span.name) };
    let Some(start) = moment(span.start_time_unix_nano) else {
        return reading.reject("span_without_start", &span.name);
    };
    let mut gathering = Gathering::new(&mut reading.names);
    add_scope(&mut gathering, scope);
    gathering.add_all(&span.attributes);
    let kind = match span.kind {
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        // What is not said is internal, says the specification.
        _ => "internal",
    };
    gathering.add("span.kind", kind.into());
    let nanos = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
    gathering.add("duration_ms", Value::Float(nanos as f64 / 1e6));
    if let Some(parent) = span_id(&span.parent_span_id) {
        gathering.add("parent_span_id", parent.to_string().into());
    }
    let status = span.status.unwrap_or_default();
    if !status.message.is_empty() {
        gathering.add("span.status_message", status.message.into());
    }
    let links: Vec<Value> =
        span.links.iter().filter_map(|link| Some(self::trace_id(&link.trace_id)?.to_string().into())).collect();
    if !links.is_empty() {
        gathering.add("span.links", Value::Array(links));
    }
    let is_error = status.code == STATUS_ERROR;
    let record = LogRecord {
        timestamp: start,
        observed_timestamp: reading.now,
        severity: if is_error { Severity::ERROR } else { Severity::INFO },
        severity_text: SeverityText::NONE,
        body: span.name,
        trace_id: Some(trace_id),
        span_id: Some(own_id),
        resource: Arc::clone(resource),
        attributes: gathering.finish(),
    };
    reading.take(record);
    for event in span.events {
        read_event(event, (trace_id, own_id), resource, reading);
    }
}

/// What happened within a span.
fn read_event(event: WrittenEvent, ids: (TraceId, SpanId), resource: &Arc<Resource>, reading: &mut Reading<'_>) {
    let said = |name: &str| {
        let attribute = event.attributes.iter().find(|attribute| attribute.key == name);
        attribute.map(|attribute| value_text(attribute.value.as_ref())).unwrap_or_default()
    };
    let is_exception = event.name == "exception";
    let body = match (said("exception.type"), said("exception.message")) {
        (kind, message) if is_exception && !kind.is_empty() && !message.is_empty() => format!("{kind}: {message}"),
        (kind, message) if is_exception && !(kind.is_empty() && message.is_empty()) => kind + &message,
        _ => event.name.clone(),
    };
    let mut gathering = Gathering::new(&mut reading.names);
    gathering.add_all(&event.attributes);
    gathering.add("event.name", event.name.into());
    let attributes = gathering.finish();
    reading.take(LogRecord {
        timestamp: moment(event.time_unix_nano).unwrap_or(reading.now),
        observed_timestamp: reading.now,
        severity: if is_exception { Severity::ERROR } else { Severity::INFO },
        severity_text: SeverityText::NONE,
        body,
        trace_id: Some(ids.0),
        span_id: Some(ids.1),
        resource: Arc::clone(resource),
        attributes,
    });
}
