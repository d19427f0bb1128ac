//! Which field names mean something, and a memory of the names met, so that equal names share one allocation.
//!
//! The lists and their order come from OpenTelemetry, ECS, Python's and Java's JSON layouts, CLEF, Docker, `tracing`, pino,
//! and for trace context from the libraries that inject it. Letter case does not matter; the earlier name wins.

use std::sync::Arc;

use rapidhash::RapidHashMap;

use super::trace_context::Form;

/// Names remembered before the memory is emptied; a program has dozens, a hostile sender any number.
const NAMES_MAX: usize = 16_384;

/// What a field of a certain name is for. The number is its rank: the lower wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Attribute,
    Time(u8),
    Body(u8),
    Level(u8),
    /// OpenTelemetry's `SeverityNumber`, 1–24.
    SeverityNumber,
    Host(u8),
    Service(u8),
    Context(u8, Form),
    /// The high half of a Datadog trace id.
    DatadogHighBits,
}

/// The names met so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    numbers: RapidHashMap<Arc<str>, Name>,
    known: Vec<Known>,
    record: u64,
    /// The name that the last object began with.
    first: Option<Name>,
}

/// A name that was met, until [`Names::next_record`]. Equal names are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name(u32);

#[derive(Clone, Debug)]
struct Known {
    name: Arc<str>,
    role: Role,
    /// The record in which it was last kept as an attribute, and where.
    kept_in: u64,
    position: usize,
    /// The name that stood behind this one last time.
    follower: Option<Name>,
    /// The name and a quote, when they fit, to be compared in one step where the mask has bits.
    quoted: u128,
    mask: u128,
}

/// Bytes that are compared in one step.
const STEP: usize = size_of::<u128>();

impl Names {
    /// Starts a new record: no name has been kept in it yet.
    pub(super) fn next_record(&mut self) {
        self.record += 1;
        if self.known.len() > NAMES_MAX {
            self.numbers.clear();
            self.known.clear();
            self.first = None;
        }
    }

    /// The name of this text.
    pub(super) fn meet(&mut self, text: &str) -> Name {
        if let Some(name) = self.numbers.get(text) {
            return *name;
        }
        let shared: Arc<str> = text.into();
        let name = Name(u32::try_from(self.known.len()).expect("the memory is emptied long before"));
        let (mut quoted, mut mask) = ([0; STEP], [0; STEP]);
        if text.len() < STEP {
            quoted[..text.len()].copy_from_slice(text.as_bytes());
            quoted[text.len()] = b'"';
            mask[..=text.len()].fill(0xff);
        }
        let known = Known {
            name: Arc::clone(&shared),
            role: role_of(text),
            kept_in: 0,
            position: 0,
            follower: None,
            quoted: u128::from_le_bytes(quoted),
            mask: u128::from_le_bytes(mask),
        };
        self.known.push(known);
        self.numbers.insert(shared, name);
        name
    }

    /// The text of a name.
    pub(super) fn text(&self, name: Name) -> &Arc<str> {
        &self.of(name).name
    }

    /// Whether the bytes start with the name and a quote behind it; if so, how many bytes these are.
    #[inline]
    pub(super) fn quoted_at(&self, name: Name, bytes: &[u8]) -> Option<usize> {
        let known = self.of(name);
        let length = known.name.len();
        let is_there = match bytes.first_chunk() {
            Some(start) if length < STEP => (u128::from_le_bytes(*start) ^ known.quoted) & known.mask == 0,
            _ => bytes.get(length) == Some(&b'"') && bytes[..length] == *known.name.as_bytes(),
        };
        is_there.then_some(length + 1)
    }

    /// What the name is for.
    pub(super) fn role(&self, name: Name) -> Role {
        self.of(name).role
    }

    /// Where the current record keeps the name among its attributes, if it does.
    pub(super) fn position(&self, name: Name) -> Option<usize> {
        let known = self.of(name);
        (known.kept_in == self.record && self.record > 0).then_some(known.position)
    }

    /// Remembers where the current record keeps a name.
    pub(super) fn keep(&mut self, name: Name, position: usize) {
        let record = self.record;
        let known = &mut self.known[name.0 as usize];
        (known.kept_in, known.position) = (record, position);
    }

    /// The name that stood behind this one last time; at the beginning, when none is given.
    pub(super) fn follower(&self, name: Option<Name>) -> Option<Name> {
        name.map_or(self.first, |name| self.of(name).follower)
    }

    /// Remembers what stands behind a name.
    pub(super) fn follow(&mut self, name: Option<Name>, follower: Name) {
        match name {
            Some(name) => self.known[name.0 as usize].follower = Some(follower),
            None => self.first = Some(follower),
        }
    }

    fn of(&self, name: Name) -> &Known {
        &self.known[name.0 as usize]
    }
}

/// Objects under which logging libraries put the fields of their context (`{"fields":{"message":…}}` of Rust's `tracing`,
/// MDC of Java). A name found there ranks behind the same name at the top.
const WRAPPERS: [&str; 8] =
    ["fields.", "mdc.", "contextmap.", "context.", "attributes.", "extra.", "properties.", "otel."];
const WRAPPED: u8 = 100;

/// What a (dotted) field name is for.
pub(super) fn role_of(name: &str) -> Role {
    let mut lower = [0u8; 48];
    let Some(lower) = lower.get_mut(..name.len()) else { return Role::Attribute };
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    let Ok(lower) = std::str::from_utf8(lower) else { return Role::Attribute };
    let direct = role_of_lower(lower);
    if direct != Role::Attribute {
        return direct;
    }
    let Some(inner) = WRAPPERS.iter().find_map(|wrapper| lower.strip_prefix(wrapper)) else { return direct };
    match role_of_lower(inner) {
        Role::Body(rank) => Role::Body(rank + WRAPPED),
        Role::Level(rank) => Role::Level(rank + WRAPPED),
        Role::Context(rank, form) => Role::Context(rank + WRAPPED, form),
        _ => Role::Attribute,
    }
}

fn role_of_lower(name: &str) -> Role {
    match name {
        "timestamp" => Role::Time(0),
        "time" => Role::Time(1),
        "@timestamp" => Role::Time(2),
        "ts" => Role::Time(3),
        "@t" => Role::Time(4),
        "datetime" => Role::Time(5),
        "asctime" => Role::Time(6),
        "timeunixnano" | "time_unix_nano" => Role::Time(7),

        "message" => Role::Body(0),
        "msg" => Role::Body(1),
        "body" => Role::Body(2),
        "log" => Role::Body(3),
        "@m" => Role::Body(4),
        "@mt" => Role::Body(5),

        "level" => Role::Level(0),
        "severity" => Role::Level(1),
        "lvl" => Role::Level(2),
        "log.level" => Role::Level(3),
        "levelname" => Role::Level(4),
        "loglevel" | "log_level" => Role::Level(5),
        "severity_text" | "severitytext" => Role::Level(6),
        "@l" => Role::Level(7),
        "severity_number" | "severitynumber" => Role::SeverityNumber,

        "host" => Role::Host(0),
        "hostname" => Role::Host(1),
        "host.name" => Role::Host(2),

        "service" => Role::Service(0),
        "service.name" => Role::Service(1),
        "service_name" => Role::Service(2),
        "dd.service" => Role::Service(3),

        // The order of the standard field, then of those that libraries write.
        "trace_id" => Role::Context(0, Form::TraceHex),
        "span_id" => Role::Context(0, Form::SpanHex),
        "traceid" => Role::Context(1, Form::TraceHex),
        "spanid" => Role::Context(1, Form::SpanHex),
        "trace.id" => Role::Context(2, Form::TraceHex),
        "span.id" => Role::Context(2, Form::SpanHex),
        "transaction.id" => Role::Context(3, Form::SpanHex),
        "oteltraceid" => Role::Context(4, Form::TraceHex),
        "otelspanid" => Role::Context(4, Form::SpanHex),
        "dd.trace_id" => Role::Context(5, Form::DatadogTrace),
        "dd.span_id" => Role::Context(5, Form::DatadogSpan),
        "logging.googleapis.com/trace" => Role::Context(6, Form::GoogleTrace),
        "logging.googleapis.com/spanid" => Role::Context(6, Form::SpanHex),
        "@tr" => Role::Context(7, Form::TraceHex),
        "@sp" => Role::Context(7, Form::SpanHex),
        "x-b3-traceid" => Role::Context(8, Form::TraceHex),
        "x-b3-spanid" => Role::Context(8, Form::SpanHex),
        "aws-xray-trace-id" => Role::Context(9, Form::Amazon),
        "xray_trace_id" => Role::Context(10, Form::Amazon),
        "trace.trace_id" | "context.trace_id" => Role::Context(11, Form::TraceHex),
        "trace.span_id" | "context.span_id" => Role::Context(11, Form::SpanHex),
        "traceparent" => Role::Context(12, Form::Traceparent),
        "b3" => Role::Context(13, Form::B3),
        "x-amzn-trace-id" => Role::Context(14, Form::Amazon),
        "uber-trace-id" => Role::Context(15, Form::Uber),
        "x-datadog-trace-id" => Role::Context(16, Form::DatadogTrace),
        "x-datadog-parent-id" => Role::Context(16, Form::DatadogSpan),
        "x-cloud-trace-context" => Role::Context(17, Form::GoogleHeader),
        "_dd.p.tid" => Role::DatadogHighBits,
        _ => Role::Attribute,
    }
}
