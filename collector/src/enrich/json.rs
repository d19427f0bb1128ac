//! A JSON object's members become fields, nested objects flattened to dotted names.
//!
//! A flat object is read by [`flat_json`](super::flat_json), any other in one pass by `serde_json` straight into [`Fields`],
//! without a tree in between. Objects nested deeper than
//! [`DEPTH_MAX`] and objects inside arrays are kept as their JSON text. Whole numbers that no `i64` holds are kept as their
//! digits, because they are ids rather than amounts.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::DEPTH_MAX;
use super::fields::{Fields, Given};
use super::flat_json::{self, Member as FlatMember};
use crate::model::Value;

/// Whether the text may be a JSON object; a cheap look at its ends.
pub(super) fn looks_like_object(text: &str) -> bool {
    let text = text.trim_ascii();
    text.starts_with('{') && text.ends_with('}')
}

/// What is kept allocated from one object to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers {
    /// Members of a flat object.
    pub(super) members: Vec<FlatMember>,
    /// Dotted names are built here.
    path: String,
}

/// Offers the members of the object that `text` is.
///
/// After an error `fields` may hold some of them and is of no use.
pub(super) fn read<'a>(
    text: &'a str,
    fields: &mut Fields<'a, '_>,
    buffers: &mut Buffers,
) -> Result<(), serde_json::Error> {
    if flat_json::scan(text, fields.names(), &mut buffers.members).is_some() {
        buffers.members.iter().for_each(|member| fields.offer_known(member.name, member.given(text)));
        return Ok(());
    }
    read_any(text, fields, &mut buffers.path)
}

/// The same for every object, flat or not. `path` is a buffer.
pub(super) fn read_any<'a>(
    text: &'a str,
    fields: &mut Fields<'a, '_>,
    path: &mut String,
) -> Result<(), serde_json::Error> {
    path.clear();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Members { fields, path, depth: 1 })?;
    deserializer.end()
}

/// Reads the members of an object.
struct Members<'f, 'a, 'n> {
    fields: &'f mut Fields<'a, 'n>,
    path: &'f mut String,
    depth: usize,
}

impl<'a> Visitor<'a> for Members<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<(), A::Error> {
        let Members { fields, path, depth } = self;
        let base = path.len();
        while members.next_key_seed(Key { path, nested: base > 0 })?.is_some() {
            if !fields.has_room_for(path) {
                let json: &RawValue = members.next_value()?;
                fields.offer_overflow(path, json.get());
            } else if depth >= DEPTH_MAX {
                let json: &RawValue = members.next_value()?;
                let given = deep_value(json.get(), fields).map_err(A::Error::custom)?;
                fields.offer(path, given);
            } else {
                members.next_value_seed(Member { fields, path, depth })?;
            }
            path.truncate(base);
        }
        Ok(())
    }
}

/// A value at the deepest level: an object there is kept as its text.
fn deep_value<'a>(json: &'a str, fields: &mut Fields<'a, '_>) -> Result<Given<'a>, serde_json::Error> {
    if json.starts_with('{') {
        fields.note("too_deep");
        return Ok(Given::Text(Cow::Borrowed(json)));
    }
    element(json, fields, DEPTH_MAX).map(Given::from)
}

/// Appends a member's name to the path.
struct Key<'f> {
    path: &'f mut String,
    nested: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        if self.nested {
            self.path.push('.');
        }
        self.path.push_str(name);
        Ok(())
    }
}

/// Reads one member's value.
struct Member<'f, 'a, 'n> {
    fields: &'f mut Fields<'a, 'n>,
    path: &'f mut String,
    depth: usize,
}

impl<'a> DeserializeSeed<'a> for Member<'_, 'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Member<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<(), E> {
        self.fields.offer(self.path, Given::Text(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.fields.offer(self.path, Given::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<(), E> {
        self.fields.offer(self.path, Given::Other(Value::Bool(truth)));
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.fields.offer(self.path, Given::Other(Value::Int(number)));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.fields.offer(self.path, whole_number(number).into());
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.fields.offer(self.path, Given::Other(Value::Float(number)));
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.fields.offer(self.path, Given::Other(Value::Null));
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, members: A) -> Result<(), A::Error> {
        Members { fields: self.fields, path: self.path, depth: self.depth + 1 }.visit_map(members)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, elements: A) -> Result<(), A::Error> {
        let items = Elements { fields: self.fields, depth: self.depth + 1 }.visit_seq(elements)?;
        self.fields.offer(self.path, Given::Other(Value::Array(items)));
        Ok(())
    }
}

/// Reads the elements of an array.
struct Elements<'f, 'a, 'n> {
    fields: &'f mut Fields<'a, 'n>,
    depth: usize,
}

impl<'a> Visitor<'a> for Elements<'_, 'a, '_> {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<Vec<Value>, A::Error> {
        let mut items = Vec::new();
        while let Some(json) = elements.next_element::<&'a RawValue>()? {
            if !self.fields.take_room() {
                self.fields.note("too_many_fields");
                items.push(Value::String(json.get().to_owned()));
                while elements.next_element::<IgnoredAny>()?.is_some() {}
                break;
            }
            items.push(element(json.get(), self.fields, self.depth).map_err(A::Error::custom)?);
        }
        Ok(items)
    }
}

/// One element of an array at `depth`.
fn element<'a>(json: &'a str, fields: &mut Fields<'a, '_>, depth: usize) -> Result<Value, serde_json::Error> {
    match json.as_bytes().first() {
        Some(b'{') => Ok(Value::String(json.to_owned())),
        Some(b'[') if depth >= DEPTH_MAX => {
            fields.note("too_deep");
            Ok(Value::String(json.to_owned()))
        }
        Some(b'[') => {
            let mut deserializer = serde_json::Deserializer::from_str(json);
            deserializer.deserialize_seq(Elements { fields, depth: depth + 1 }).map(Value::Array)
        }
        Some(b'"') => serde_json::from_str(json).map(Value::String),
        Some(b't') => Ok(Value::Bool(true)),
        Some(b'f') => Ok(Value::Bool(false)),
        Some(b'n') => Ok(Value::Null),
        _ => match json.parse::<i64>() {
            Ok(number) => Ok(Value::Int(number)),
            Err(_) if json.bytes().all(|b| b.is_ascii_digit()) => Ok(Value::String(json.to_owned())),
            Err(_) => serde_json::from_str(json).map(Value::Float),
        },
    }
}

fn whole_number(number: u64) -> Value {
    match i64::try_from(number) {
        Ok(number) => Value::Int(number),
        Err(_) => Value::String(number.to_string()),
    }
}
