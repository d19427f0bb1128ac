//! One log record, after OpenTelemetry's log data model.

use std::sync::Arc;

use super::{Attributes, Severity, SeverityText, SpanId, Timestamp, TraceId, Value};

/// A checked log record (<https://opentelemetry.io/docs/specs/otel/logs/data-model/>).
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// When it happened, as the record says; when it says nothing, `observed_timestamp`.
    pub timestamp: Timestamp,
    /// When we first saw it.
    pub observed_timestamp: Timestamp,
    /// How grave it is.
    pub severity: Severity,
    /// The level word as it was written (`WARNING`, `E`); empty when the record says none. Shared by the records that say it.
    pub severity_text: SeverityText,
    /// The line itself. Bytes that are not UTF-8 stand as U+FFFD and are counted where they came in.
    pub body: String,
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// The span it belongs to.
    pub span_id: Option<SpanId>,
    /// Who said it; shared by the records of one sender.
    pub resource: Arc<Resource>,
    /// Everything else it says, nested objects flattened to dotted names.
    pub attributes: Attributes,
}

/// Who said a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// The host's name; empty when unknown.
    pub host: Arc<str>,
    /// The service's name; empty when unknown.
    pub service: Arc<str>,
    /// Whatever else is known of it (`container.id`, `log.file.path` …).
    pub attributes: Attributes,
}

impl LogRecord {
    /// The attribute of this name, on the record or else on its resource.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        let find = |attributes: &'_ Attributes| attributes.iter().position(|(key, _)| &**key == name);
        match find(&self.attributes) {
            Some(at) => Some(&self.attributes[at].1),
            None => find(&self.resource.attributes).map(|at| &self.resource.attributes[at].1),
        }
    }
}
