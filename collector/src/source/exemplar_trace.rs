//! The trace that an exemplar's labels name, in the spellings that client libraries use.

use super::statsd::trace_tags::TraceTags;

/// Takes a label of an exemplar if it is part of a trace's context.
pub(super) fn take_label(trace: &mut TraceTags, name: &str, value: &str) {
    let name = match name {
        "traceID" | "traceId" | "TraceID" => "trace_id",
        "spanID" | "spanId" | "SpanID" => "span_id",
        name => name,
    };
    trace.take(name, value);
}
