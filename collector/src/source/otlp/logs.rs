//! A request of logs to records.
//!
//! What a logger said is taken as it is. A record without any severity is a line that somebody picked up from a file or a socket
//! and passes on unread (the Collector's `filelog` does): it is read as lines of files are, for its structure, severity and ids.

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Written;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope};

use super::attributes::{Gathering, value_text};
use super::records::{Reading, add_scope, moment, span_id, trace_id};
use super::request::{ExportLogsServiceRequest, WrittenRecord};
use crate::enrich::ReceivedLine;
use crate::model::{LogRecord, Resource, Severity, SeverityText, Value};

/// How many records the request holds.
pub(super) fn count(request: &ExportLogsServiceRequest) -> usize {
    let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
    scopes.map(|scope| scope.log_records.len()).sum()
}

/// Makes records of the request.
pub(super) fn read(request: ExportLogsServiceRequest, reading: &mut Reading<'_>) {
    for logs in request.resource_logs {
        let resource = reading.resource(logs.resource.as_ref());
        for scope in logs.scope_logs {
            for written in scope.log_records {
                read_record(written, scope.scope.as_ref(), &resource, reading);
            }
        }
    }
}

fn read_record(
    written: WrittenRecord,
    scope: Option<&InstrumentationScope>,
    resource: &Arc<Resource>,
    reading: &mut Reading<'_>,
) {
    let mut gathering = Gathering::new(&mut reading.names);
    // A structured body is searched like attributes; those of the record itself stand before.
    if let Some(Written::KvlistValue(map)) = written.body.as_ref().and_then(|body| body.value.as_ref()) {
        gathering.add_all(&map.values);
    }
    add_scope(&mut gathering, scope);
    gathering.add_all(&written.attributes);
    if !written.event_name.is_empty() {
        gathering.add("event.name", Value::String(written.event_name));
    }
    let attributes = gathering.finish();
    let body = match written.body {
        Some(body) => match body.value {
            Some(Written::StringValue(text)) => text,
            value => value_text(Some(&AnyValue { value })),
        },
        None => String::new(),
    };
    let timestamp = moment(written.time_unix_nano).or_else(|| moment(written.observed_time_unix_nano));
    let (trace_id, span_id) = (trace_id(&written.trace_id), span_id(&written.span_id));
    if written.severity_number == 0 && written.severity_text.is_empty() {
        let mut known: Vec<(Cow<'_, str>, Value)> =
            attributes.into_iter().map(|(name, value)| (Cow::Owned(name.to_string()), value)).collect();
        known.extend(trace_id.map(|id| (Cow::Borrowed("trace_id"), Value::String(id.to_string()))));
        known.extend(span_id.map(|id| (Cow::Borrowed("span_id"), Value::String(id.to_string()))));
        return reading.take_line(ReceivedLine {
            timestamp: Some(timestamp.unwrap_or(reading.now)),
            attributes: known,
            ..ReceivedLine::plain(body.as_bytes(), reading.now, resource)
        });
    }
    let by_number = u8::try_from(written.severity_number).ok().filter(|number| *number > 0);
    let severity = by_number.and_then(Severity::from_number).or_else(|| Severity::from_word(&written.severity_text));
    reading.take(LogRecord {
        timestamp: timestamp.unwrap_or(reading.now),
        observed_timestamp: reading.now,
        severity: severity.unwrap_or_default(),
        severity_text: SeverityText::from(written.severity_text.as_str()),
        body,
        trace_id,
        span_id,
        resource: Arc::clone(resource),
        attributes,
    });
}
