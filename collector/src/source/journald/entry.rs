//! One journal entry, as `journalctl -o json` prints it, becomes a record.
//!
//! Field names: systemd.journal-fields(7). Fields whose names start with an underscore are the journal's own and trusted;
//! of them the few that say who wrote the entry are kept. What the program itself added (`ORDER_ID=7`) is kept in lower case.
//! A value that is no text comes as an array of bytes, one that was given several times as an array of values.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::enrich::{Enricher, ReceivedLine, cut_at_character};
use crate::model::{LogRecord, Resource, Severity, Timestamp, Value};

/// An entry.
#[derive(Debug)]
pub(super) struct Entry {
    /// Behind which to go on.
    pub(super) cursor: String,
    /// Its message, as far as it is kept.
    pub(super) message: Vec<u8>,
    /// Whether it was longer.
    pub(super) truncated: bool,
    fields: Map<String, Json>,
}

/// Fields of the journal's own that become attributes, and their names there.
const KEPT: [(&str, &str); 4] =
    [("_SYSTEMD_UNIT", "unit"), ("SYSLOG_IDENTIFIER", "identifier"), ("_PID", "pid"), ("_TRANSPORT", "transport")];
/// Fields that say nothing an operator would search for, or that the record says itself.
const LEFT_OUT: [&str; 6] =
    ["MESSAGE", "PRIORITY", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "SYSLOG_PID", "SYSLOG_TIMESTAMP"];

/// Reads a line of `journalctl`'s output; none when it is no entry.
pub(super) fn read(line: &[u8], line_bytes_max: usize) -> Option<Entry> {
    let fields: Map<String, Json> = serde_json::from_slice(line).ok()?;
    let cursor = fields.get("__CURSOR").and_then(Json::as_str).filter(|cursor| !cursor.is_empty())?.to_owned();
    let mut message = fields.get("MESSAGE").map(bytes_of).unwrap_or_default();
    let kept = cut_at_character(&message, line_bytes_max).len();
    let truncated = kept < message.len();
    message.truncate(kept);
    Some(Entry { cursor, message, truncated, fields })
}

impl Entry {
    fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Json::as_str).unwrap_or_default()
    }

    /// Who wrote it: entries of one writer that follow each other may be lines of one message.
    pub(super) fn writer(&self) -> String {
        ["_PID", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "_TRANSPORT", "PRIORITY"].map(|name| self.text(name)).join("\0")
    }

    /// The record of this text, which is the entry's message or begins with it. None when a rule drops it.
    pub(super) fn record(
        &self,
        bytes: &[u8],
        truncated: bool,
        enricher: &mut Enricher,
        here: &Arc<Resource>,
        arrival: Timestamp,
    ) -> Option<LogRecord> {
        let text = |name: &str| self.text(name);
        let service = [text("_SYSTEMD_USER_UNIT"), text("_SYSTEMD_UNIT"), text("SYSLOG_IDENTIFIER"), text("_COMM")]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_default();
        let resource = enricher.resource(here, text("_HOSTNAME"), service.strip_suffix(".service").unwrap_or(service));
        let timestamp = [text("_SOURCE_REALTIME_TIMESTAMP"), text("__REALTIME_TIMESTAMP")]
            .into_iter()
            .find_map(|micros| micros.parse::<i64>().ok()?.checked_mul(1000))
            .map(Timestamp::from_unix_nanos);
        let mut attributes: Vec<(Cow<'_, str>, Value)> = KEPT
            .into_iter()
            .filter(|(field, _)| !text(field).is_empty())
            .map(|(field, name)| (name.into(), text(field).into()))
            .collect();
        let own = self.fields.iter().filter(|(name, _)| !name.starts_with('_') && !LEFT_OUT.contains(&name.as_str()));
        attributes.extend(own.map(|(name, value)| (name.to_ascii_lowercase().into(), attribute_of(value))));
        enricher.enrich(ReceivedLine {
            bytes,
            truncated,
            arrival,
            resource: &resource,
            timestamp,
            severity: severity_of(text("PRIORITY"), text("_TRANSPORT")),
            attributes,
        })
    }
}

/// What a program prints on its standard output is filed under 6 unless it says otherwise: that is no statement of its.
fn severity_of(priority: &str, transport: &str) -> Option<Severity> {
    match priority.parse::<u8>() {
        Ok(6) if transport == "stdout" => None,
        Ok(code @ 0..=7) => Some(Severity::from_syslog(code)),
        _ => None,
    }
}

/// A field's bytes: text, an array of bytes, or of several values the first.
fn bytes_of(value: &Json) -> Vec<u8> {
    match value {
        Json::String(text) => text.clone().into_bytes(),
        Json::Array(items) if items.iter().all(Json::is_u64) => {
            items.iter().filter_map(|item| u8::try_from(item.as_u64()?).ok()).collect()
        }
        Json::Array(items) => items.first().map(bytes_of).unwrap_or_default(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => Vec::new(),
    }
}

fn attribute_of(value: &Json) -> Value {
    match value {
        Json::Array(items) if !items.iter().all(Json::is_u64) => Value::Array(items.iter().map(attribute_of).collect()),
        value => Value::String(String::from_utf8_lossy(&bytes_of(value)).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(line: &[u8]) -> String {
        let here = Arc::new(Resource { host: "here".into(), ..Resource::default() });
        let Some(entry) = read(line, 20) else {
            return String::new();
        };
        let record = entry.record(&entry.message, entry.truncated, &mut Enricher::default(), &here, Timestamp::EPOCH);
        let record = record.expect("no rule drops it");
        let attributes: Vec<_> = record.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!(
            "{} {} {} {} [{}] {} @{}",
            record.timestamp,
            record.severity,
            record.resource.host,
            record.resource.service,
            attributes.join(" "),
            record.body,
            entry.cursor
        )
    }

    #[test]
    fn entries_become_records() {
        let check = |line: &str, expected: &str| assert_eq!(shown(line.as_bytes()), expected, "{line}");
        check(
            r#"{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1795246380123456","PRIORITY":"3","_HOSTNAME":"web-1","_SYSTEMD_UNIT":"nginx.service","_PID":"7","_BOOT_ID":"b","SYSLOG_IDENTIFIER":"nginx","MESSAGE":"refused","ORDER_ID":"9"}"#,
            "2026-11-21T07:33:00.123456Z error web-1 nginx [unit=nginx.service identifier=nginx pid=7 order_id=9] refused @s=1;i=2",
        );
        check(
            r#"{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1795246380000000","PRIORITY":"6","_TRANSPORT":"stdout","_COMM":"shop","MESSAGE":"[ERROR] no"}"#,
            "2026-11-21T07:33:00.000Z error here shop [transport=stdout] [ERROR] no @c",
        );
        check(
            r#"{"__CURSOR":"c","PRIORITY":"6","_TRANSPORT":"kernel","SYSLOG_IDENTIFIER":"kernel","MESSAGE":[99,97,102,233]}"#,
            "1970-01-01T00:00:00.000Z info here kernel [identifier=kernel transport=kernel] caf\u{fffd} @c",
        );
        check(
            r#"{"__CURSOR":"c","MESSAGE":["one","two"],"TAG":["a","b"]}"#,
            "1970-01-01T00:00:00.000Z  here  [tag=[a, b]] one @c",
        );
        check(r#"{"__CURSOR":"c","MESSAGE":null}"#, "1970-01-01T00:00:00.000Z  here  []  @c");
        check(
            r#"{"__CURSOR":"c","MESSAGE":"12345678901234567890 and more"}"#,
            "1970-01-01T00:00:00.000Z  here  [taffrail.truncated=true] 12345678901234567890 @c",
        );
        check(r#"{"MESSAGE":"no cursor"}"#, "");
        check("-- No entries --", "");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, value in "(null|1|\"[a-z]{0,9}\"|\\[[0-9, ]{0,20}\\]|\\{\\})") {
            shown(&bytes);
            shown(format!("{{\"__CURSOR\":\"c\",\"MESSAGE\":{value},\"PRIORITY\":{value},\"X\":{value},\"__REALTIME_TIMESTAMP\":\"9999999999999999999\"}}").as_bytes());
        }
    }
}
