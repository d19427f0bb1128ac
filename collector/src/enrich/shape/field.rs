//! A record's fields by the names that people use: its attributes, and its own parts under `message`, `level`, `host`, `service`,
//! `trace_id`, `span_id`, `time`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::enrich::severity;
use crate::enrich::sharing::{LevelWords, Resources};
use crate::enrich::timestamp::{self, Setting};
use crate::enrich::trace_context::Form;
use crate::model::{LogRecord, Value};

/// What an enricher remembers, so that records share it.
pub(in crate::enrich) struct Memory<'a> {
    pub(in crate::enrich) resources: &'a mut Resources,
    pub(in crate::enrich) words: &'a mut LevelWords,
    pub(in crate::enrich) setting: Setting<'a>,
}

/// The parts of a record that are no attributes.
pub(super) const OWN: [&str; 7] = ["message", "level", "host", "service", "trace_id", "span_id", "time"];

/// The text of one of the record's own parts; none when the name is an attribute's or the part is not said.
pub(super) fn own_text<'a>(record: &'a LogRecord, name: &str) -> Option<Cow<'a, str>> {
    let said = |text: &'a str| (!text.is_empty()).then_some(Cow::Borrowed(text));
    match name {
        "message" => said(&record.body),
        "level" => said(record.severity.name()),
        "host" => said(&record.resource.host),
        "service" => said(&record.resource.service),
        "trace_id" => record.trace_id.map(|id| id.to_string().into()),
        "span_id" => record.span_id.map(|id| id.to_string().into()),
        "time" => Some(record.timestamp.to_string().into()),
        _ => None,
    }
}

/// The value of a field, own part or attribute.
pub(super) fn value(record: &LogRecord, name: &str) -> Option<Value> {
    match own_text(record, name) {
        Some(text) => Some(Value::String(text.into_owned())),
        None => record.attribute(name).cloned(),
    }
}

/// Takes an attribute of the record itself away.
pub(super) fn take(record: &mut LogRecord, name: &str) -> Option<Value> {
    let at = record.attributes.iter().position(|(known, _)| &**known == name)?;
    Some(record.attributes.remove(at).1)
}

/// Gives a field this value. An own part that the value cannot fill gives it back.
pub(super) fn set(record: &mut LogRecord, name: &Arc<str>, value: Value, memory: &mut Memory<'_>) -> Result<(), Value> {
    let own = OWN.contains(&&**name);
    if !own {
        match record.attributes.iter_mut().find(|(known, _)| known == name) {
            Some((_, held)) => *held = value,
            None => record.attributes.push((Arc::clone(name), value)),
        }
        return Ok(());
    }
    let text = value.to_string();
    let is_set = match &**name {
        _ if text.is_empty() => false,
        "message" => {
            record.body = text;
            true
        }
        "host" | "service" => {
            let (host, service) = if **name == *"host" { (Some(&*text), None) } else { (None, Some(&*text)) };
            record.resource = memory.resources.of(&record.resource, host, service);
            true
        }
        "level" => {
            let read = match &value {
                Value::Int(number) => severity::of_number(*number),
                _ => severity::of_field(&text),
            };
            read.map(|read| (record.severity, record.severity_text) = (read, memory.words.of(&text))).is_some()
        }
        "time" => {
            let read = match &value {
                Value::Int(number) => timestamp::from_number(*number),
                Value::Float(number) => timestamp::from_float(*number),
                _ => timestamp::whole(&text, memory.setting),
            };
            read.map(|time| record.timestamp = time).is_some()
        }
        "trace_id" => {
            let read = Form::TraceHex.read(&text).and_then(|context| context.trace);
            read.map(|trace| record.trace_id = Some(trace)).is_some()
        }
        _ => {
            let read = Form::SpanHex.read(&text).and_then(|context| context.span);
            read.map(|span| record.span_id = Some(span)).is_some()
        }
    };
    if is_set { Ok(()) } else { Err(value) }
}
