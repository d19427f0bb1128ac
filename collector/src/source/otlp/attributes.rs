//! OpenTelemetry's values as text, as JSON, and as the attributes of a record.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Written;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::{Map, Value as Json};

use crate::enrich::{DEPTH_MAX, FIELDS_MAX, KEY_BYTES_MAX, OVERFLOW_ATTRIBUTE};
use crate::model::{Attributes, Value};

/// A value as text: lists and maps as JSON, bytes in base64.
pub(super) fn value_text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Written::StringValue(text)) => text.clone(),
        Some(Written::BytesValue(bytes)) => STANDARD.encode(bytes),
        value => match json(value) {
            Json::Null => String::new(),
            other => other.to_string(),
        },
    }
}

fn json(value: Option<&Written>) -> Json {
    let inner = |value: &AnyValue| json(value.value.as_ref());
    match value {
        None => Json::Null,
        Some(Written::StringValue(text)) => text.clone().into(),
        Some(Written::BoolValue(truth)) => (*truth).into(),
        Some(Written::IntValue(number)) => (*number).into(),
        Some(Written::DoubleValue(number)) => match serde_json::Number::from_f64(*number) {
            Some(number) => number.into(),
            None => number.to_string().into(),
        },
        Some(Written::ArrayValue(array)) => array.values.iter().map(inner).collect(),
        Some(Written::KvlistValue(map)) => {
            let pair = |pair: &KeyValue| (pair.key.clone(), pair.value.as_ref().map_or(Json::Null, inner));
            map.values.iter().map(pair).collect::<Map<_, _>>().into()
        }
        Some(Written::BytesValue(bytes)) => STANDARD.encode(bytes).into(),
        // References to strings stand in profiles only.
        Some(_) => Json::Null,
    }
}

/// The names of one request, so that equal ones share their text.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, Arc<str>>);

impl Names {
    fn of(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = name.into();
        self.0.insert(name.to_owned(), Arc::clone(&shared));
        shared
    }
}

/// The attributes of one record or resource: maps flattened to dotted names, each name once, no more of them than records may have.
#[derive(Debug)]
pub(super) struct Gathering<'n> {
    names: &'n mut Names,
    attributes: Attributes,
    overflow: Map<String, Json>,
}

impl<'n> Gathering<'n> {
    /// Of none so far.
    pub(super) fn new(names: &'n mut Names) -> Gathering<'n> {
        Gathering { names, attributes: Attributes::new(), overflow: Map::new() }
    }

    /// Adds what was written.
    pub(super) fn add_all<'a>(&mut self, written: impl IntoIterator<Item = &'a KeyValue>) {
        for pair in written {
            self.add_written(&pair.key, pair.value.as_ref().and_then(|value| value.value.as_ref()), 0);
        }
    }

    /// Adds a value of ours; of two with one name the last stands.
    pub(super) fn add(&mut self, name: &str, value: Value) {
        let name = self.names.of(name);
        match self.attributes.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &name)) {
            Some((_, known)) => *known = value,
            None => self.attributes.push((name, value)),
        }
    }

    /// What was gathered.
    pub(super) fn finish(mut self) -> Attributes {
        if !self.overflow.is_empty() {
            let text = Json::Object(std::mem::take(&mut self.overflow)).to_string();
            self.add(OVERFLOW_ATTRIBUTE, text.into());
        }
        self.attributes.shrink_to_fit();
        self.attributes
    }

    fn add_written(&mut self, name: &str, written: Option<&Written>, depth: usize) {
        if let Some(Written::KvlistValue(map)) = written
            && !map.values.is_empty()
            && depth < DEPTH_MAX
        {
            for pair in &map.values {
                let inner = pair.value.as_ref().and_then(|value| value.value.as_ref());
                self.add_written(&format!("{name}.{}", pair.key), inner, depth + 1);
            }
        } else if name.len() > KEY_BYTES_MAX || self.attributes.len() >= FIELDS_MAX {
            self.overflow.insert(name.to_owned(), json(written));
        } else if !name.is_empty() {
            self.add(name, value(written));
        }
    }
}

fn value(written: Option<&Written>) -> Value {
    match written {
        None => Value::Null,
        Some(Written::StringValue(text)) => Value::String(text.clone()),
        Some(Written::BoolValue(truth)) => Value::Bool(*truth),
        Some(Written::IntValue(number)) => Value::Int(*number),
        Some(Written::DoubleValue(number)) if number.is_finite() => Value::Float(*number),
        Some(Written::ArrayValue(array)) => {
            Value::Array(array.values.iter().map(|item| item_value(item.value.as_ref())).collect())
        }
        Some(other) => match json(Some(other)) {
            Json::Null => Value::Null,
            Json::String(text) => Value::String(text),
            other => Value::String(other.to_string()),
        },
    }
}

/// A member of a list: lists and maps within stay their JSON text.
fn item_value(written: Option<&Written>) -> Value {
    match written {
        Some(Written::ArrayValue(_)) => Value::String(json(written).to_string()),
        written => value(written),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(written: Json) -> Vec<String> {
        let written: Vec<KeyValue> = serde_json::from_value(written).unwrap();
        let mut names = Names::default();
        let mut gathering = Gathering::new(&mut names);
        gathering.add_all(&written);
        gathering.finish().iter().map(|(name, value)| format!("{name}={value:?}")).collect()
    }

    #[test]
    fn maps_become_dotted_names_and_the_last_of_a_name_stands() {
        let text = |text: &str| serde_json::json!({ "stringValue": text });
        let found = gathered(serde_json::json!([
            { "key": "user", "value": { "kvlistValue": { "values": [
                { "key": "id", "value": { "intValue": "7" } },
                { "key": "name", "value": text("Ann") },
                { "key": "none", "value": { "kvlistValue": { "values": [] } } },
            ] } } },
            { "key": "user.id", "value": { "intValue": "8" } },
            { "key": "list", "value": { "arrayValue": { "values": [{ "doubleValue": 1.5 }, { "kvlistValue": { "values": [{ "key": "a", "value": text("b") }] } }] } } },
            { "key": "raw", "value": { "bytesValue": "AQI=" } },
            { "key": "nothing" },
            { "key": "", "value": text("nameless") },
        ]));
        let expected = [
            "user.id=Int(8)",
            "user.name=String(\"Ann\")",
            "user.none=String(\"{}\")",
            "list=Array([Float(1.5), String(\"{\\\"a\\\":\\\"b\\\"}\")])",
            "raw=String(\"AQI=\")",
            "nothing=Null",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_has_no_room_is_kept_as_json() {
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        let one = |name: &str| serde_json::json!({ "key": name, "value": { "intValue": "1" } });
        let many: Vec<Json> = (0..FIELDS_MAX + 1).map(|n| one(&format!("a{n}"))).chain([one(&long)]).collect();
        let found = gathered(many.into());
        assert_eq!(found.len(), FIELDS_MAX + 1);
        let expected = format!("{OVERFLOW_ATTRIBUTE}={:?}", Value::String(format!("{{\"a1000\":1,\"{long}\":1}}")));
        assert_eq!(found.last(), Some(&expected));
    }
}
