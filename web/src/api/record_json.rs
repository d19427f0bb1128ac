//! A stored record as JSON, and its id as text.
//!
//! ```json
//! {"id":"1700000000000000000-42","seq":42,"time":"2023-11-14T22:13:20.000Z","level":"error","severity_text":"ERR",
//!  "host":"web-1","service":"shop","message":"…","trace_id":"32 hex","span_id":"16 hex","attributes":{"port":80}}
//! ```
//! Empty texts and absent ids are left out; `message` and `attributes` are always there. The attributes of the record's
//! resource follow its own; of two with one name the record's stands.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use taffrail_collector::model::{LogRecord, Timestamp, Value};
use taffrail_ingest::log_store::{RecordId, StoredRecord};

/// A record with its place, ready to be written as JSON.
#[derive(Clone, Copy, Debug)]
pub struct RecordJson<'a> {
    /// Its place.
    pub id: RecordId,
    /// What was stored.
    pub record: &'a LogRecord,
}

impl<'a> From<&'a StoredRecord> for RecordJson<'a> {
    fn from(stored: &'a StoredRecord) -> RecordJson<'a> {
        RecordJson { id: stored.id, record: &stored.record }
    }
}

/// `<nanoseconds>-<sequence number>`: what a cursor and a link to a record carry.
pub fn record_id_text(id: RecordId) -> String {
    format!("{}-{}", id.time.unix_nanos(), id.seq)
}

/// The id that [`record_id_text`] wrote.
pub fn parse_record_id(text: &str) -> Option<RecordId> {
    // The time may be before 1970 and then starts with a minus of its own.
    let (time, seq) = text.rsplit_once('-')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seq) || !digits(time.strip_prefix('-').unwrap_or(time)) {
        return None;
    }
    Some(RecordId { time: Timestamp::from_unix_nanos(time.parse().ok()?), seq: seq.parse().ok()? })
}

/// A record that has no place in a store yet, with the kind of the source that took it.
#[derive(Clone, Copy, Debug)]
pub struct PassingRecordJson<'a> {
    /// The source's kind.
    pub source: &'static str,
    /// What passes.
    pub record: &'a LogRecord,
}

impl Serialize for PassingRecordJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("source", self.source)?;
        map.serialize_entry("time", &self.record.timestamp.to_string())?;
        ContentJson(self.record).serialize_into(&mut map)?;
        map.end()
    }
}

impl Serialize for RecordJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &record_id_text(self.id))?;
        map.serialize_entry("seq", &self.id.seq)?;
        map.serialize_entry("time", &self.id.time.to_string())?;
        ContentJson(self.record).serialize_into(&mut map)?;
        map.end()
    }
}

/// What a record says, without when and where.
struct ContentJson<'a>(&'a LogRecord);

impl ContentJson<'_> {
    fn serialize_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let record = self.0;
        let mut text = |name: &str, value: &str| match value {
            "" => Ok(()),
            value => map.serialize_entry(name, value),
        };
        text("level", record.severity.name())?;
        text("severity_text", &record.severity_text)?;
        text("host", &record.resource.host)?;
        text("service", &record.resource.service)?;
        map.serialize_entry("message", &record.body)?;
        if let Some(trace_id) = record.trace_id {
            map.serialize_entry("trace_id", &trace_id.to_string())?;
        }
        if let Some(span_id) = record.span_id {
            map.serialize_entry("span_id", &span_id.to_string())?;
        }
        map.serialize_entry("attributes", &AttributesJson(record))
    }
}

struct AttributesJson<'a>(&'a LogRecord);

impl Serialize for AttributesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = &self.0.attributes;
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in own {
            map.serialize_entry(name, &ValueJson(value))?;
        }
        for (name, value) in &self.0.resource.attributes {
            if !own.iter().any(|(taken, _)| taken == name) {
                map.serialize_entry(name, &ValueJson(value))?;
            }
        }
        map.end()
    }
}

/// A value of an attribute as JSON.
pub(super) struct ValueJson<'a>(pub(super) &'a Value);

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(truth) => serializer.serialize_bool(*truth),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(&ValueJson(item))?;
                }
                seq.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use taffrail_collector::model::{Resource, Severity, TraceId};

    #[test]
    fn a_record_has_the_documented_shape() {
        let id = RecordId { time: Timestamp::from_unix_nanos(1_700_000_000_000_000_000), seq: 42 };
        let mut record = LogRecord {
            timestamp: id.time,
            observed_timestamp: id.time,
            severity: Severity::ERROR,
            severity_text: "ERR".into(),
            body: "boom".into(),
            trace_id: TraceId::from_hex("ab"),
            span_id: None,
            resource: Arc::new(Resource {
                host: "web-1".into(),
                service: "shop".into(),
                attributes: vec![("port".into(), Value::Int(1)), ("zone".into(), "a".into())],
            }),
            attributes: vec![("port".into(), Value::Int(80)), ("tags".into(), Value::Array(vec![Value::Null]))],
        };
        assert_eq!(
            serde_json::to_string(&RecordJson { id, record: &record }).unwrap(),
            concat!(
                r#"{"id":"1700000000000000000-42","seq":42,"time":"2023-11-14T22:13:20.000Z","level":"error","#,
                r#""severity_text":"ERR","host":"web-1","service":"shop","message":"boom","#,
                r#""trace_id":"000000000000000000000000000000ab","#,
                r#""attributes":{"port":80,"tags":[null],"zone":"a"}}"#
            )
        );
        record = LogRecord {
            severity: Severity::UNSPECIFIED,
            severity_text: Default::default(),
            trace_id: None,
            resource: Arc::default(),
            attributes: Vec::new(),
            ..record
        };
        assert_eq!(
            serde_json::to_string(&RecordJson { id, record: &record }).unwrap(),
            r#"{"id":"1700000000000000000-42","seq":42,"time":"2023-11-14T22:13:20.000Z","message":"boom","attributes":{}}"#
        );
    }

    #[test]
    fn an_id_comes_back_from_its_text() {
        for (nanos, seq) in [(0, 0), (-5, 7), (i64::MIN, u64::MAX), (i64::MAX, 1)] {
            let id = RecordId { time: Timestamp::from_unix_nanos(nanos), seq };
            assert_eq!(parse_record_id(&record_id_text(id)), Some(id));
        }
        for text in ["", "-", "5", "5-", "-5", "--5-1", "5-x", "+5-1", "5-+1", "99999999999999999999-1"] {
            assert_eq!(parse_record_id(text), None, "{text}");
        }
    }
}
