//! Where a record tells of an error: its level, the attributes of the logging libraries, or a stack trace in its text.

use taffrail_collector::model::{LogRecord, Severity, Value};

use super::fingerprint::{self, Told};
use super::stack_trace::{self, StackTrace};

/// The attribute that names a record's error group.
pub const GROUP_FIELD: &str = "error.group";

/// Attributes that hold a stack trace: OpenTelemetry's, ECS's, and those of log4j, Logback, pino, Bunyan, structlog, Serilog, zap, Monolog.
const STACK_FIELDS: [&str; 18] = [
    "exception.stacktrace",
    "error.stack_trace",
    "error.stack",
    "err.stack",
    "stack_trace",
    "stacktrace",
    "stackTrace",
    "stack",
    "exc_info",
    "traceback",
    "exception",
    "Exception",
    "thrown.extendedStackTrace",
    "throwable",
    "error.stacktrace",
    "errorVerbose",
    "backtrace",
    "@x",
];
/// Attributes that hold the type of an exception.
const KIND_FIELDS: [&str; 9] = [
    "exception.type",
    "error.type",
    "error.kind",
    "err.type",
    "exc_type",
    "exception.class",
    "error.name",
    "thrown.name",
    "err.name",
];
/// Attributes that hold its message.
const MESSAGE_FIELDS: [&str; 5] =
    ["exception.message", "error.message", "err.message", "thrown.message", "exc_message"];
/// Records with one of these tell of an alert, or how a check went: they are no errors.
const NOTICES: [&str; 2] = ["alert.name", "check.name"];

/// An error as its record tells of it.
#[derive(Clone, Debug)]
pub struct TracedError<'r> {
    /// The type of the exception; empty when nothing says it.
    pub kind: &'r str,
    /// What went wrong: the exception's message, else the record's.
    pub message: &'r str,
    /// The text that holds the trace; empty when there is none.
    pub text: &'r str,
    /// The trace.
    pub trace: Option<StackTrace<'r>>,
}

/// Gives a record that tells of an error the name of its group, unless its sender named one.
pub fn mark(record: &mut LogRecord) {
    let Some(name) = group_of(record) else { return };
    record.attributes.push((GROUP_FIELD.into(), Value::String(name)));
}

/// The name of the group that a record without one belongs to; none when it tells of no error, or has a name.
fn group_of(record: &LogRecord) -> Option<String> {
    let is_error = record.severity >= Severity::ERROR;
    let may_be = record.severity >= Severity::WARN || record.severity == Severity::UNSPECIFIED;
    // Most records are none: what costs more than a look at names comes after this.
    let may_have_trace =
        || record.body.contains('\n') || record.attributes.iter().any(|(key, _)| STACK_FIELDS.contains(&&**key));
    let is_worth_a_look = is_error || may_be && may_have_trace();
    if !is_worth_a_look {
        return None;
    }
    let is_named = record.attributes.iter().any(|(key, _)| &**key == GROUP_FIELD || NOTICES.contains(&&**key));
    if is_named {
        return None;
    }
    let error = read(record);
    if !is_error && error.trace.is_none() {
        return None;
    }
    let told = Told { service: &record.resource.service, kind: error.kind, message: &record.body };
    Some(fingerprint::of(told, error.trace.as_ref()))
}

/// Reads what a record tells of an error.
pub fn read(record: &LogRecord) -> TracedError<'_> {
    let text_of = |names: &[&str]| {
        let find = |name: &&str| record.attributes.iter().find(|(key, _)| &**key == *name);
        names.iter().filter_map(find).find_map(|(_, value)| value.as_str().filter(|text| !text.is_empty()))
    };
    let in_field = text_of(&STACK_FIELDS).and_then(|text| Some((text, stack_trace::find(text)?)));
    let found = in_field.or_else(|| {
        let may_hold =
            record.body.contains('\n') || record.body.contains("panicked at ") || record.body.contains(":in ");
        may_hold.then(|| Some((record.body.as_str(), stack_trace::find(&record.body)?))).flatten()
    });
    let (text, trace) = found.map_or(("", None), |(text, trace)| (text, Some(trace)));
    let called = trace.as_ref().and_then(fingerprint::called_after);
    let (kind, message) = called.map_or(("", ""), |exception| (exception.kind, exception.message));
    let kind = if kind.is_empty() { text_of(&KIND_FIELDS).unwrap_or_default() } else { kind };
    let message = if message.is_empty() { text_of(&MESSAGE_FIELDS).unwrap_or_default() } else { message };
    let message = if message.is_empty() { record.body.lines().next().unwrap_or_default() } else { message };
    TracedError { kind, message, text, trace }
}
