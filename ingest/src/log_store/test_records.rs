//! Records for tests: plain ones by the second, and random ones that meet every corner of the index.

use std::sync::Arc;

use proptest::prelude::*;
use taffrail_collector::model::{Attributes, LogRecord, Resource, Severity, SpanId, Timestamp, TraceId, Value};

/// A plain record of one second.
pub fn record_at(second: i64) -> LogRecord {
    LogRecord {
        timestamp: Timestamp::from_unix_seconds(second),
        observed_timestamp: Timestamp::from_unix_seconds(second),
        severity: Severity::INFO,
        severity_text: Default::default(),
        body: format!("request {second} done"),
        trace_id: None,
        span_id: None,
        resource: Arc::new(Resource { host: "web-01".into(), service: "shop".into(), attributes: Vec::new() }),
        attributes: Vec::new(),
    }
}

/// Words that random records and filters are made of: few, so that they meet, with near misses and long ones.
pub fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec!["time", "Timeout", "out", "TIMED", "a", "b", "err_1", "503", "größe", "GRÖSSE", "true", "7"])
            .prop_map(str::to_owned),
        1 => prop::sample::select(vec!["a1b", "ab", "0x7f", "42\u{212A}", "007", "_", "İ9", "id_7"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec![124, 128, 129, 9000]).prop_map(|length| "x".repeat(length)),
    ]
}

/// Texts of words and other characters.
pub fn text() -> impl Strategy<Value = String> {
    let gap = prop::sample::select(vec![" ", "-", "/", ": ", "\u{0}", "=", "é"]);
    prop::collection::vec((word(), gap), 0..5).prop_map(|parts| parts.into_iter().map(|(w, g)| w + g).collect())
}

/// Names of attributes, shadowed and awkward ones included.
pub fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => prop::sample::select(vec!["status", "path", "user", "host", "a", "a\0", "a\0b", "a\0sb"]).prop_map(str::to_owned),
        1 => Just("n".repeat(1025)),
    ]
}

/// Values of attributes.
pub fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        3 => prop::sample::select(vec![0i64, 7, 503, i64::MAX, -1]).prop_map(Value::Int),
        2 => prop::sample::select(vec![0.0, -0.0, 7.0, 0.25, 1e300]).prop_map(Value::Float),
        5 => text().prop_map(Value::String),
        1 => prop::sample::select(vec!["10.1.2.3", "::1", "", "--", "1.5"]).prop_map(|text| Value::String(text.to_owned())),
        1 => text().prop_map(|text| Value::String(text + &"long ".repeat(64))),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::Array))
}

fn attributes(most: usize) -> impl Strategy<Value = Attributes> {
    prop::collection::vec((name().prop_map(Arc::from), value()), 0..most)
}

/// Random records within a few seconds, so that times meet.
pub fn record() -> impl Strategy<Value = LogRecord> {
    let resource = (
        prop::sample::select(vec!["", "web-01", "web-02", "Größe"]),
        prop::sample::select(vec!["", "shop", "pay time"]),
        attributes(2),
    )
        .prop_map(|(host, service, attributes)| {
            Arc::new(Resource { host: host.into(), service: service.into(), attributes })
        });
    let ids = (prop::option::of(1u128..4), prop::option::of(1u64..3));
    let severity = (0u8..=24).prop_map(|number| Severity::from_number(number).expect("up to 24"));
    let severity_text = prop::sample::select(vec!["", "ERR", "warning time"]);
    let time = prop_oneof![9 => 0i64..6_000_000_000, 1 => any::<i64>()];
    (time, severity, severity_text, text(), ids, resource, attributes(4)).prop_map(
        |(time, severity, severity_text, body, (trace, span), resource, attributes)| LogRecord {
            timestamp: Timestamp::from_unix_nanos(time / 250_000_000 * 250_000_000),
            observed_timestamp: Timestamp::EPOCH,
            severity,
            severity_text: severity_text.into(),
            body,
            trace_id: trace.and_then(TraceId::new),
            span_id: span.and_then(SpanId::new),
            resource,
            attributes,
        },
    )
}
