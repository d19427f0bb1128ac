//! One line from end to end: text, structure, time, severity, trace context, and who said it.

use std::borrow::Cow;
use std::sync::Arc;

use thiserror::Error;

use super::fields::{Fields, Parts};
use super::json::{self, Buffers};
use super::names::Names;
use super::notes::Notes;
use super::parse::{Format, Parse};
use super::redact::Redactor;
use super::shape::{Memory, Rules, Shaper};
use super::sharing::{LevelWords, Resources};
use super::timestamp::{self, Setting, Zone};
use super::{TRUNCATED_ATTRIBUTE, access_log, error_log, grok, logfmt, severity, trace_context, undisputed};
use crate::model::{Attributes, LogRecord, Resource, Severity, SeverityText, Timestamp, Value};
use crate::source::{StartError, syslog};

/// A line as it arrived, with what its transport knew of it.
#[derive(Debug)]
pub struct ReceivedLine<'a> {
    /// The bytes between two line ends.
    pub bytes: &'a [u8],
    /// Whether the line was longer and these bytes are its start.
    pub truncated: bool,
    /// When it arrived.
    pub arrival: Timestamp,
    /// Who sent it, as far as the transport knows. A line that names its host or service overrules it.
    pub resource: &'a Arc<Resource>,
    /// The moment the transport gives (syslog header, journald field). A JSON or logfmt line's own time overrules it.
    pub timestamp: Option<Timestamp>,
    /// The severity the transport gives. A JSON or logfmt line's own level overrules it.
    pub severity: Option<Severity>,
    /// What else the transport knows (syslog's process id …). Trace context is taken from here too.
    pub attributes: Vec<(Cow<'a, str>, Value)>,
}

/// Turns lines into records.
///
/// Remembers names and resources it has met, so that records share them: a task or thread takes a clone for itself and
/// keeps it.
#[derive(Clone, Debug, Default)]
pub struct Enricher {
    zone: Zone,
    patterns: Arc<grok::Names>,
    format: Format,
    names: Names,
    resources: Resources,
    words: LevelWords,
    redactor: Redactor,
    shaper: Shaper,
    notes: Notes,
    buffers: Buffers,
    /// Where attributes are gathered, so that a record's own list has no more room than it needs.
    room: Attributes,
}

/// Why text is not taken for a JSON record.
#[derive(Debug, Error)]
pub enum JsonRejection {
    /// It is JSON of another kind, or nothing like JSON.
    #[error("not a JSON object")]
    NotAnObject,
    /// It starts as an object and then breaks off or goes wrong.
    #[error("not valid JSON: {0}")]
    Invalid(String),
}

/// Counts lines that the format of their source does not fit.
const UNPARSED: &str = "unparsed_line";

impl<'a> ReceivedLine<'a> {
    /// A line of which only its text, its arrival and its sender are known.
    pub fn plain(bytes: &'a [u8], arrival: Timestamp, resource: &'a Arc<Resource>) -> ReceivedLine<'a> {
        ReceivedLine {
            bytes,
            truncated: false,
            arrival,
            resource,
            timestamp: None,
            severity: None,
            attributes: Vec::new(),
        }
    }
}

impl Enricher {
    /// An enricher that takes times without a zone for times of this one.
    pub fn new(zone: Zone) -> Enricher {
        Enricher { zone, ..Enricher::default() }
    }

    /// The same, with these names for grok patterns.
    #[must_use]
    pub(super) fn with_patterns(mut self, patterns: grok::Names) -> Enricher {
        self.patterns = Arc::new(patterns);
        self
    }

    /// The same, but reading lines in this way; `setting` is where that is said.
    ///
    /// # Errors
    /// When its pattern does not compile.
    pub fn with_parse(mut self, parse: &Parse, setting: &'static str) -> Result<Enricher, StartError> {
        self.format = self.compiled(parse, setting)?;
        Ok(self)
    }

    /// Whether lines could be read in this way.
    ///
    /// # Errors
    /// When its pattern does not compile.
    pub fn check_parse(&self, parse: &Parse, setting: &'static str) -> Result<(), StartError> {
        self.compiled(parse, setting).map(|_| ())
    }

    fn compiled(&self, parse: &Parse, setting: &'static str) -> Result<Format, StartError> {
        let wrong = |error| StartError { setting, message: format!("{:?}: {error}", parse.to_string()) };
        parse.compile(&self.patterns).map_err(wrong)
    }

    /// The same, replacing secrets by these rules.
    #[must_use]
    pub(super) fn with_redactor(mut self, redactor: Redactor) -> Enricher {
        self.redactor = redactor;
        self
    }

    /// The same, leaving secrets where they are.
    #[must_use]
    pub fn unredacted(self) -> Enricher {
        self.with_redactor(Redactor::default())
    }

    /// The same, shaping records by these rules.
    #[must_use]
    pub fn with_shape(mut self, rules: Rules) -> Enricher {
        self.shaper = Shaper::new(Arc::new(rules));
        self
    }

    /// The same, for lines of a source of this kind: the rules for other sources are left out.
    #[must_use]
    pub fn of_source(mut self, kind: &str) -> Enricher {
        self.shaper.of_source(kind);
        self
    }

    /// The rules by which records are shaped, for whoever reports what they drop.
    pub fn shape_rules(&self) -> &Arc<Rules> {
        self.shaper.rules()
    }

    /// The zone of times that name none.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// What had to be adjusted in the lines read so far, for the source to report.
    pub fn notes(&mut self) -> &mut Notes {
        &mut self.notes
    }

    /// `base` with this host and service in place of its own, shared by all who ask for the same; empty names change nothing.
    pub fn resource(&mut self, base: &Arc<Resource>, host: &str, service: &str) -> Arc<Resource> {
        let said = |name: &'_ str| !name.is_empty();
        self.resources.of(base, Some(host).filter(|name| said(name)), Some(service).filter(|name| said(name)))
    }

    /// Reads fields, severity, time and trace context out of the line. One that its source's format does not fit is kept
    /// whole and noted. None when a rule drops the record.
    pub fn enrich(&mut self, line: ReceivedLine<'_>) -> Option<LogRecord> {
        let text = self.text_of(line.bytes);
        if let Format::Syslog = self.format {
            return self.enrich_behind_header(&text, line);
        }
        self.enrich_text(&text, line)
    }

    /// Takes the syslog header off and reads what stands behind it as the sockets' messages are read.
    fn enrich_behind_header(&mut self, text: &str, line: ReceivedLine<'_>) -> Option<LogRecord> {
        let Some(message) = syslog::parse_line(text.as_bytes(), &self.zone, line.arrival) else {
            self.note_unparsed(text);
            return self.enrich_text(text, line);
        };
        let resource = self.resource(line.resource, message.host, message.application);
        let text = String::from_utf8_lossy(message.text);
        let mut attributes = message.attributes();
        attributes.extend(line.attributes);
        let (timestamp, severity) = (message.timestamp.or(line.timestamp), message.severity.or(line.severity));
        self.enrich_text(&text, ReceivedLine { resource: &resource, timestamp, severity, attributes, ..line })
    }

    fn enrich_text(&mut self, text: &str, mut line: ReceivedLine<'_>) -> Option<LogRecord> {
        let mut from_transport = std::mem::take(&mut line.attributes);
        let has_transport = !from_transport.is_empty();
        let reads_any = matches!(self.format, Format::Auto | Format::Syslog);
        if (reads_any || matches!(self.format, Format::Json))
            && json::looks_like_object(text)
            && let Ok(parts) = self.json_parts(text, line.arrival, &mut from_transport)
        {
            return self.finish(parts, text, &line, has_transport);
        }
        let setting = Setting { zone: &self.zone, arrival: line.arrival };
        let room = std::mem::take(&mut self.room);
        // A group called `message` was named so to become the body.
        let takes_body = matches!(self.format, Format::Pattern(_));
        let mut fields = Fields::new(&mut self.names, &mut self.notes, setting, text, takes_body, room);
        let is_read = match &self.format {
            Format::Auto | Format::Syslog => {
                let is_access_log = access_log::looks_like(text) && access_log::read(text, setting, &mut fields);
                if !is_access_log && logfmt::is_logfmt(text) {
                    logfmt::read(text, &mut fields);
                }
                true
            }
            Format::None => true,
            Format::Json => false,
            Format::Logfmt => {
                logfmt::is_logfmt(text) && {
                    logfmt::read(text, &mut fields);
                    true
                }
            }
            Format::Nginx => {
                access_log::read(text, setting, &mut fields) || error_log::read_nginx(text, setting, &mut fields)
            }
            Format::Apache => {
                access_log::read(text, setting, &mut fields) || error_log::read_apache(text, setting, &mut fields)
            }
            Format::Pattern(pattern) => pattern.read(text, &mut fields),
        };
        if !is_read {
            fields.note(UNPARSED);
        }
        let parts = with_transport(fields, &mut from_transport);
        self.finish(parts, text, &line, has_transport)
    }

    #[cold]
    fn note_unparsed(&mut self, text: &str) {
        self.notes.add(UNPARSED, text.as_bytes());
    }

    /// Reads the line as a JSON object, or says why it is none. None when a rule drops the record.
    pub fn read_json(&mut self, mut line: ReceivedLine<'_>) -> Result<Option<LogRecord>, JsonRejection> {
        let text = self.text_of(line.bytes);
        let mut from_transport = std::mem::take(&mut line.attributes);
        let has_transport = !from_transport.is_empty();
        if !text.trim_ascii_start().starts_with('{') {
            return Err(JsonRejection::NotAnObject);
        }
        let parts = self
            .json_parts(&text, line.arrival, &mut from_transport)
            .map_err(|error| JsonRejection::Invalid(one_line(&error)))?;
        Ok(self.finish(parts, &text, &line, has_transport))
    }

    /// What the object that `text` is makes of a record. Takes what the transport knows unless it fails.
    fn json_parts<'a>(
        &mut self,
        text: &'a str,
        arrival: Timestamp,
        from_transport: &mut Vec<(Cow<'_, str>, Value)>,
    ) -> Result<Parts<'a>, serde_json::Error> {
        let setting = Setting { zone: &self.zone, arrival };
        if from_transport.is_empty() {
            let members = &mut self.buffers.members;
            if let Some(parts) = undisputed::parts(text, &mut self.names, setting, members, &mut self.room) {
                return Ok(parts);
            }
        }
        let room = std::mem::take(&mut self.room);
        let mut fields = Fields::new(&mut self.names, &mut self.notes, setting, text, true, room);
        json::read(text, &mut fields, &mut self.buffers)?;
        Ok(with_transport(fields, from_transport))
    }

    #[inline]
    fn text_of<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, str> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                self.notes.add("invalid_utf8", bytes);
                String::from_utf8_lossy(bytes)
            }
        }
    }

    /// The record of these parts, redacted and shaped. Some of them are not of `text` when the transport knew something.
    fn finish(
        &mut self,
        parts: Parts<'_>,
        text: &str,
        line: &ReceivedLine<'_>,
        has_transport: bool,
    ) -> Option<LogRecord> {
        let Parts { attributes: mut gathered, time, severity, body, host, service, mut context } = parts;
        let body = match body {
            Some(body) if !body.is_empty() => body,
            _ => Cow::Borrowed(text),
        };
        let in_line = match time.or(line.timestamp) {
            Some(_) => None,
            None => timestamp::find(&body, Setting { zone: &self.zone, arrival: line.arrival }),
        };
        let (severity, severity_text) = match (severity, line.severity) {
            (Some((severity, word)), _) => (severity, self.words.of(&word)),
            (None, Some(severity)) => (severity, SeverityText::NONE),
            (None, None) => severity::find(&body, in_line.map(|(_, end)| end))
                .map(|(severity, word)| (severity, self.words.of(word)))
                .unwrap_or_default(),
        };
        if context.trace.is_none() {
            let found = trace_context::find(&body);
            context.trace = found.trace;
            context.span = context.span.or(found.span);
        }
        if line.truncated {
            self.notes.add("line_too_long", text.as_bytes());
            let name = self.names.meet(TRUNCATED_ATTRIBUTE);
            gathered.push((Arc::clone(self.names.text(name)), Value::Bool(true)));
        }
        let mut attributes = Attributes::with_capacity(gathered.len());
        attributes.append(&mut gathered);
        self.room = gathered;
        let mut record = LogRecord {
            timestamp: time.or(line.timestamp).or(in_line.map(|(time, _)| time)).unwrap_or(line.arrival),
            observed_timestamp: line.arrival,
            severity,
            severity_text,
            trace_id: context.trace,
            span_id: context.span,
            resource: self.resources.of(line.resource, host.as_deref(), service.as_deref()),
            attributes,
            body: body.into_owned(),
        };
        self.redactor.redact(&mut record, text, !has_transport, &mut self.notes);
        if self.shaper.is_idle() { Some(record) } else { self.shaped(record, line.arrival) }
    }

    /// The record as redaction and the rules leave it; none when one drops it. For what comes as a record, and not as a line.
    pub fn take(&mut self, mut record: LogRecord) -> Option<LogRecord> {
        if !record.severity_text.is_empty() {
            record.severity_text = self.words.of(&record.severity_text);
        }
        self.redactor.redact_record(&mut record, &mut self.notes);
        let arrival = record.observed_timestamp;
        if self.shaper.is_idle() { Some(record) } else { self.shaped(record, arrival) }
    }

    /// The record as the rules leave it.
    fn shaped(&mut self, record: LogRecord, arrival: Timestamp) -> Option<LogRecord> {
        let setting = Setting { zone: &self.zone, arrival };
        let mut memory = Memory { resources: &mut self.resources, words: &mut self.words, setting };
        self.shaper.shape(record, &mut self.notes, &mut memory)
    }
}

/// Adds what the transport knows to what the line says, and makes an end of it.
fn with_transport<'a>(mut fields: Fields<'a, '_>, from_transport: &mut Vec<(Cow<'_, str>, Value)>) -> Parts<'a> {
    for (name, value) in from_transport.drain(..) {
        fields.offer_from_transport(&name, value);
    }
    fields.finish()
}

/// The error of a text that is one line: its column is all the place it needs.
fn one_line(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}

/// The longest start of `bytes` of at most `length` bytes that does not end inside a UTF-8 character.
pub fn cut_at_character(bytes: &[u8], length: usize) -> &[u8] {
    if bytes.len() <= length {
        return bytes;
    }
    let inside = (0..3).take_while(|back| length > *back && bytes[length - back] & 0xC0 == 0x80).count();
    &bytes[..length - inside]
}

#[cfg(test)]
mod tests;
