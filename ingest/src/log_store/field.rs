//! Fields by the names people type: the record's own under short names, everything else by attribute name.

use std::borrow::Cow;
use std::collections::HashSet;
use std::mem::discriminant;

use taffrail_collector::model::{LogRecord, Value};

/// A field of a record. Short names come first: an attribute that is called `host` is shadowed by the record's host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// `message`: the body.
    Message,
    /// `level`: the severity's name, one of `trace debug info warn error fatal`.
    Level,
    /// `severity_text`: the level word as it was written.
    SeverityText,
    /// `host`.
    Host,
    /// `service`.
    Service,
    /// `trace_id`: 32 hexadecimal digits.
    TraceId,
    /// `span_id`: 16 hexadecimal digits.
    SpanId,
    /// `time`: RFC 3339 as text, Unix seconds as a number.
    Time,
    /// An attribute of the record or, when the record has none of this name, of its resource.
    Attribute(String),
}

/// Names of the record's own fields, in the order in which they are shown.
pub const SHORT_NAMES: [&str; 8] =
    ["time", "level", "severity_text", "host", "service", "trace_id", "span_id", "message"];

impl Field {
    /// The field of this name.
    pub fn named(name: &str) -> Field {
        match name {
            "message" => Field::Message,
            "level" => Field::Level,
            "severity_text" => Field::SeverityText,
            "host" => Field::Host,
            "service" => Field::Service,
            "trace_id" => Field::TraceId,
            "span_id" => Field::SpanId,
            "time" => Field::Time,
            _ => Field::Attribute(name.to_owned()),
        }
    }

    /// The field's name.
    pub fn name(&self) -> &str {
        match self {
            Field::Message => "message",
            Field::Level => "level",
            Field::SeverityText => "severity_text",
            Field::Host => "host",
            Field::Service => "service",
            Field::TraceId => "trace_id",
            Field::SpanId => "span_id",
            Field::Time => "time",
            Field::Attribute(name) => name,
        }
    }

    /// Calls `visit` with the field's value as people type it; with each different item in turn when it is an array (the
    /// number 1 and the text "1" differ). A field that is absent, empty (of the record's own) or null has no value.
    pub fn visit_values<'a>(&self, record: &'a LogRecord, visit: &mut dyn FnMut(Cow<'a, str>)) {
        let mut text = |text: &'a str| {
            if !text.is_empty() {
                visit(Cow::Borrowed(text));
            }
        };
        match self {
            Field::Message => text(&record.body),
            Field::Level => text(record.severity.name()),
            Field::SeverityText => text(&record.severity_text),
            Field::Host => text(&record.resource.host),
            Field::Service => text(&record.resource.service),
            Field::TraceId => record.trace_id.into_iter().for_each(|id| visit(Cow::Owned(id.to_string()))),
            Field::SpanId => record.span_id.into_iter().for_each(|id| visit(Cow::Owned(id.to_string()))),
            Field::Time => visit(Cow::Owned(record.timestamp.to_string())),
            Field::Attribute(name) => record.attribute(name).into_iter().for_each(|value| visit_value(value, visit)),
        }
    }
}

/// Names of all fields that the record has, short names first; each once.
pub fn visit_names<'a>(record: &'a LogRecord, visit: &mut dyn FnMut(&'a str)) {
    visit("time");
    for (name, there) in [
        ("level", !record.severity.name().is_empty()),
        ("severity_text", !record.severity_text.is_empty()),
        ("host", !record.resource.host.is_empty()),
        ("service", !record.resource.service.is_empty()),
        ("trace_id", record.trace_id.is_some()),
        ("span_id", record.span_id.is_some()),
        ("message", !record.body.is_empty()),
    ] {
        if there {
            visit(name);
        }
    }
    visit_attributes(record, &mut |name, value| {
        if is_there(value) {
            visit(name);
        }
    });
}

/// The attributes that can be asked for by name: the record's own, then its resource's that they do not shadow. Of two
/// with one name the first stands, and what short names shadow is left out.
pub fn visit_attributes<'a>(record: &'a LogRecord, visit: &mut dyn FnMut(&'a str, &'a Value)) {
    let own = &record.attributes;
    let inherited = &record.resource.attributes;
    for (at, (name, value)) in own.iter().enumerate() {
        if !own[..at].iter().any(|(earlier, _)| earlier == name) && !SHORT_NAMES.contains(&&**name) {
            visit(name, value);
        }
    }
    for (at, (name, value)) in inherited.iter().enumerate() {
        let shadowed = own.iter().chain(&inherited[..at]).any(|(other, _)| other == name);
        if !shadowed && !SHORT_NAMES.contains(&&**name) {
            visit(name, value);
        }
    }
}

/// Whether a field with this value is there: not null, and not an array without anything in it.
pub fn is_there(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => items.iter().any(is_there),
        _ => true,
    }
}

/// The value, or each different item of an array however deep, once; nulls are left out.
pub fn visit_leaves<'a>(value: &'a Value, visit: &mut dyn FnMut(&'a Value)) {
    fn walk<'a>(items: &'a [Value], visit: &mut dyn FnMut(&'a Value)) {
        for item in items {
            match item {
                Value::Null => {}
                Value::Array(items) => walk(items, visit),
                leaf => visit(leaf),
            }
        }
    }
    match value {
        Value::Null => {}
        Value::Array(items) => {
            let mut seen = HashSet::new();
            walk(items, &mut |leaf| {
                if seen.insert((discriminant(leaf), leaf.to_string())) {
                    visit(leaf);
                }
            });
        }
        leaf => visit(leaf),
    }
}

/// Calls `visit` with a value as people type it, or with each different item of an array.
pub fn visit_value<'a>(value: &'a Value, visit: &mut dyn FnMut(Cow<'a, str>)) {
    visit_leaves(value, &mut |leaf| match leaf {
        Value::String(text) => visit(Cow::Borrowed(text)),
        other => visit(Cow::Owned(other.to_string())),
    });
}
