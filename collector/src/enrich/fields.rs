//! Named values become the parts of a record: the well-known names its own fields, all others attributes.
//!
//! Whoever reads a structured line (JSON, logfmt, syslog's structured data) offers what it finds, name by name. When several
//! names could fill one field, the one that ranks first does and the others stay attributes. Of a name that comes twice
//! the last value counts, and that it came twice is noted.

use std::borrow::Cow;
use std::sync::Arc;

use super::names::{Name, Names, Role};
use super::notes::Notes;
use super::severity;
use super::timestamp::{self, Setting};
use super::trace_context::{Context, Form, hex, is_no_id};
use super::{FIELDS_MAX, KEY_BYTES_MAX, OVERFLOW_ATTRIBUTE};
use crate::model::{Attributes, Severity, SpanId, Timestamp, TraceId, Value};

/// A value as its line gives it.
#[derive(Clone, Debug)]
pub(super) enum Given<'a> {
    Text(Cow<'a, str>),
    Other(Value),
}

/// Collects the named values of one record.
#[derive(Debug)]
pub(super) struct Fields<'a, 'n> {
    names: &'n mut Names,
    notes: &'n mut Notes,
    setting: Setting<'n>,
    line: &'a str,
    /// Whether a message field becomes the body. Where the whole line stays the body, it is an attribute like others.
    takes_body: bool,
    attributes: Attributes,
    count: usize,
    elements: usize,
    overflow: String,
    time: Option<Claim<'a, Timestamp>>,
    level: Option<Claim<'a, Severity>>,
    body: Option<Claim<'a, ()>>,
    host: Option<Claim<'a, ()>>,
    service: Option<Claim<'a, ()>>,
    trace: Option<Claim<'a, (TraceId, Form)>>,
    span: Option<Claim<'a, SpanId>>,
    datadog_high_bits: Option<u64>,
}

/// What fills a field of the record for now.
#[derive(Debug)]
struct Claim<'a, T> {
    rank: u8,
    name: Name,
    /// As it was given; none when it is kept as an attribute already.
    given: Option<Given<'a>>,
    read: T,
}

/// What the fields of a line make of a record.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) attributes: Attributes,
    pub(super) time: Option<Timestamp>,
    pub(super) severity: Option<(Severity, Cow<'a, str>)>,
    pub(super) body: Option<Cow<'a, str>>,
    pub(super) host: Option<Cow<'a, str>>,
    pub(super) service: Option<Cow<'a, str>>,
    pub(super) context: Context,
}

/// A level that is no known word is kept up to this many bytes as the severity's text.
pub(super) const LEVEL_BYTES_MAX: usize = 32;

impl<'a, 'n> Fields<'a, 'n> {
    /// For the record of `line`. Its attributes are gathered in `room`, which is empty.
    pub(super) fn new(
        names: &'n mut Names,
        notes: &'n mut Notes,
        setting: Setting<'n>,
        line: &'a str,
        takes_body: bool,
        room: Attributes,
    ) -> Fields<'a, 'n> {
        names.next_record();
        Fields {
            names,
            notes,
            setting,
            line,
            takes_body,
            attributes: room,
            count: 0,
            elements: 0,
            overflow: String::new(),
            time: None,
            level: None,
            body: None,
            host: None,
            service: None,
            trace: None,
            span: None,
            datadog_high_bits: None,
        }
    }

    /// Counts an adjustment made to this line.
    pub(super) fn note(&mut self, reason: &'static str) {
        self.notes.add(reason, self.line.as_bytes());
    }

    /// Whether one more field of this name has room; if not, [`Fields::offer_overflow`] takes it.
    pub(super) fn has_room_for(&self, name: &str) -> bool {
        self.count < FIELDS_MAX && name.len() <= KEY_BYTES_MAX
    }

    /// Takes room for one more array element, if there is any: all arrays of a record share as much as its fields.
    pub(super) fn take_room(&mut self) -> bool {
        self.elements += 1;
        self.elements <= FIELDS_MAX
    }

    /// Takes a field that has no room, as JSON text.
    pub(super) fn offer_overflow(&mut self, name: &str, json: &str) {
        self.note(if name.len() > KEY_BYTES_MAX { "key_too_long" } else { "too_many_fields" });
        self.overflow.push(if self.overflow.is_empty() { '{' } else { ',' });
        self.overflow.push_str(&json_text(name));
        self.overflow.push(':');
        self.overflow.push_str(json);
    }

    /// The names met so far.
    pub(super) fn names(&mut self) -> &mut Names {
        self.names
    }

    /// Takes what the transport knows of the line, unless the line says it itself.
    pub(super) fn offer_from_transport(&mut self, name: &str, value: Value) {
        let known = self.names.meet(name);
        if self.names.position(known).is_none() {
            self.offer(name, value.into());
        }
    }

    /// Takes one field.
    pub(super) fn offer(&mut self, name: &str, given: Given<'a>) {
        if !self.has_room_for(name) {
            return self.offer_overflow(name, &given.to_json());
        }
        let name = self.names.meet(name);
        self.offer_known(name, given);
    }

    /// Takes one field that has room.
    pub(super) fn offer_known(&mut self, name: Name, given: Given<'a>) {
        self.count += 1;
        let role = self.names.role(name);
        if role == Role::Attribute {
            return self.keep(name, given);
        }
        if let Some(given) = self.offer_to_field(role, name, given) {
            self.keep(name, given);
        }
    }

    /// Offers a value to the field that its name is for; gives it back when it is not of that field's kind.
    fn offer_to_field(&mut self, role: Role, name: Name, given: Given<'a>) -> Option<Given<'a>> {
        let claim_text = |rank, given| Claim { rank, name, given: Some(given), read: () };
        match role {
            Role::Attribute => return Some(given),
            Role::Time(rank) => {
                let read = match &given {
                    Given::Text(text) => timestamp::whole(text, self.setting),
                    Given::Other(Value::Int(number)) => timestamp::from_number(*number),
                    Given::Other(Value::Float(number)) => timestamp::from_float(*number),
                    Given::Other(_) => None,
                };
                let Some(read) = read else {
                    self.note("timestamp_not_understood");
                    return Some(given);
                };
                let lost = claim(&mut self.time, Claim { rank, name, given: Some(given), read });
                if let Some(lost) = lost {
                    self.keep_lost(name, lost.name, lost.given);
                }
            }
            Role::Level(rank) => {
                let read = match &given {
                    Given::Text(text) if text.is_empty() => return None,
                    Given::Text(text) if text.len() <= LEVEL_BYTES_MAX => severity::of_field(text).unwrap_or_default(),
                    Given::Other(Value::Int(number)) => severity::of_number(*number)?,
                    _ => return Some(given),
                };
                let lost = claim(&mut self.level, Claim { rank, name, given: Some(given), read });
                if let Some(lost) = lost {
                    self.keep_lost(name, lost.name, lost.given);
                }
            }
            Role::SeverityNumber => {
                let number = match &given {
                    Given::Other(Value::Int(number @ 1..=24)) => *number as u8,
                    _ => return Some(given),
                };
                let read = Severity::from_number(number)?;
                if self.level.as_ref().is_none_or(|level| level.read == Severity::UNSPECIFIED) {
                    self.level = Some(Claim { rank: u8::MAX, name, given: None, read });
                }
            }
            Role::Body(rank) if self.takes_body && matches!(given, Given::Text(_)) => {
                let lost = claim(&mut self.body, claim_text(rank, given));
                if let Some(lost) = lost {
                    self.keep_lost(name, lost.name, lost.given);
                }
            }
            Role::Body(_) => return Some(given),
            Role::Host(rank) | Role::Service(rank) => {
                match &given {
                    Given::Text(text) if text.is_empty() => return None,
                    Given::Text(_) => {}
                    Given::Other(_) => return Some(given),
                }
                let slot = if matches!(role, Role::Host(_)) { &mut self.host } else { &mut self.service };
                let lost = claim(slot, claim_text(rank, given));
                if let Some(lost) = lost {
                    self.keep_lost(name, lost.name, lost.given);
                }
            }
            Role::Context(rank, form) => return self.offer_context(rank, form, name, given),
            Role::DatadogHighBits => {
                if let Given::Text(text) = &given
                    && text.len() == 16
                {
                    self.datadog_high_bits = hex(text.as_bytes()).map(|bits| bits as u64);
                }
                return Some(given);
            }
        }
        None
    }

    fn offer_context(&mut self, rank: u8, form: Form, name: Name, given: Given<'a>) -> Option<Given<'a>> {
        let context = match &given {
            Given::Text(text) if is_no_id(text) => return None,
            Given::Text(text) => form.read(text),
            Given::Other(Value::Int(number)) if matches!(form, Form::DatadogTrace | Form::DatadogSpan) => {
                form.read(&number.to_string())
            }
            Given::Other(_) => None,
        };
        let Some(context) = context else { return Some(given) };
        let (kept, mut claimed) = if form.is_plain() { (None, Some(given)) } else { (Some(given), None) };
        if let Some(trace) = context.trace {
            let read = (trace, form);
            let given = claimed.take();
            let lost = claim(&mut self.trace, Claim { rank, name, given, read });
            if let Some(lost) = lost {
                self.keep_lost(name, lost.name, lost.given);
            }
        }
        if let Some(span) = context.span {
            let given = claimed.take();
            let lost = claim(&mut self.span, Claim { rank, name, given, read: span });
            if let Some(lost) = lost {
                self.keep_lost(name, lost.name, lost.given);
            }
        }
        kept
    }

    /// What lost its field to a better name becomes an attribute; an earlier value of the same name is gone.
    #[cold]
    fn keep_lost(&mut self, winner: Name, name: Name, given: Option<Given<'a>>) {
        match given {
            Some(_) if name == winner && !self.is_outranked(name) => self.note("duplicate_key"),
            Some(given) => self.keep(name, given),
            None => {}
        }
    }

    /// Whether a value of this name was just turned away because a better name holds its field.
    fn is_outranked(&self, name: Name) -> bool {
        fn holds<T>(slot: &Option<Claim<'_, T>>, name: Name) -> bool {
            slot.as_ref().is_some_and(|claim| claim.name == name)
        }
        let text_slots = [&self.body, &self.host, &self.service];
        let is_holder = holds(&self.time, name)
            || holds(&self.level, name)
            || holds(&self.trace, name)
            || holds(&self.span, name)
            || text_slots.iter().any(|slot| holds(slot, name));
        !is_holder
    }

    /// Keeps a value as an attribute, in the place of an earlier one of its name.
    fn keep(&mut self, name: Name, given: Given<'a>) {
        let value = given.into_value();
        match self.names.position(name) {
            Some(position) => {
                self.attributes[position].1 = value;
                self.note("duplicate_key");
            }
            None => {
                self.names.keep(name, self.attributes.len());
                self.attributes.push((Arc::clone(self.names.text(name)), value));
            }
        }
    }

    /// Takes the time that stands at its place in a known format; no field of the line overrules it.
    pub(super) fn claim_time(&mut self, time: Timestamp) {
        let name = self.names.meet("timestamp");
        self.time = Some(Claim { rank: 0, name, given: None, read: time });
    }

    /// Takes the severity that a known format implies; a level that the line names overrules it.
    pub(super) fn claim_severity(&mut self, severity: Severity) {
        let name = self.names.meet("level");
        self.level = Some(Claim { rank: u8::MAX, name, given: None, read: severity });
    }

    /// What the fields make of the record.
    pub(super) fn finish(mut self) -> Parts<'a> {
        if !self.overflow.is_empty() {
            self.overflow.push('}');
            let name = self.names.meet(OVERFLOW_ATTRIBUTE);
            self.attributes.push((Arc::clone(self.names.text(name)), Value::String(self.overflow)));
        }
        let trace = self.trace.map(|claim| match (claim.read, self.datadog_high_bits) {
            ((id, Form::DatadogTrace), Some(high)) if id.bits() >> 64 == 0 => {
                TraceId::new(id.bits() | (u128::from(high) << 64)).unwrap_or(id)
            }
            ((id, _), _) => id,
        });
        Parts {
            attributes: self.attributes,
            time: self.time.map(|claim| claim.read),
            severity: self.level.map(|claim| (claim.read, claim.given.map(Given::into_text).unwrap_or_default())),
            body: self.body.and_then(|claim| body_of(self.names.text(claim.name), claim.given)),
            host: text_of(self.host),
            service: text_of(self.service),
            context: Context { trace, span: self.span.map(|claim| claim.read) },
        }
    }
}

/// Puts the new claim into the slot unless a better one holds it; returns the one that lost.
#[inline]
fn claim<'a, T>(slot: &mut Option<Claim<'a, T>>, new: Claim<'a, T>) -> Option<Claim<'a, T>> {
    match slot {
        Some(holder) if holder.rank < new.rank => Some(new),
        Some(holder) => Some(std::mem::replace(holder, new)),
        None => {
            *slot = Some(new);
            None
        }
    }
}

/// Docker ends the text of its `log` field with the line's own line feed.
fn body_of<'a>(name: &str, given: Option<Given<'a>>) -> Option<Cow<'a, str>> {
    let is_docker = name == "log";
    Some(match given?.into_text() {
        Cow::Borrowed(text) if is_docker => Cow::Borrowed(text.strip_suffix('\n').unwrap_or(text)),
        Cow::Owned(mut text) if is_docker => {
            if text.ends_with('\n') {
                text.pop();
            }
            Cow::Owned(text)
        }
        text => text,
    })
}

fn text_of<'a>(claim: Option<Claim<'a, ()>>) -> Option<Cow<'a, str>> {
    claim?.given.map(Given::into_text)
}

/// A text as a JSON string.
pub(super) fn json_text(text: &str) -> String {
    serde_json::to_string(text).expect("text can always be written as JSON")
}

impl<'a> Given<'a> {
    pub(super) fn into_value(self) -> Value {
        match self {
            Given::Text(text) => Value::String(text.into_owned()),
            Given::Other(value) => value,
        }
    }

    fn into_text(self) -> Cow<'a, str> {
        match self {
            Given::Text(text) => text,
            Given::Other(value) => Cow::Owned(value.to_string()),
        }
    }

    fn to_json(&self) -> String {
        match self {
            Given::Text(text) => json_text(text),
            Given::Other(value) => json_value(value),
        }
    }
}

fn json_value(value: &Value) -> String {
    match value {
        Value::String(text) => json_text(text),
        Value::Array(items) => format!("[{}]", items.iter().map(json_value).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => value.to_string(),
    }
}

impl From<Value> for Given<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => Given::Text(Cow::Owned(text)),
            value => Given::Other(value),
        }
    }
}
