//! DogStatsD's events and service checks, which become log records.
//!
//! ```text
//! event    = "_e{" title-bytes "," text-bytes "}:" title "|" text *( "|" field )
//!            field = "d:" unix-s / "h:" host / "k:" aggregation key / "p:" normal|low / "s:" source type
//!                  / "t:" error|warning|info|success / "#" tags
//! check    = "_sc|" name "|" 0..3 *( "|" "d:" unix-s / "h:" host / "#" tags ) [ "|m:" message to the end ]
//! ```
//! Lengths count UTF-8 bytes; a line end inside a text is written as `\n`. `c:`, `e:` and `card:` are read over, as in a
//! metric's line; fields that are not known are skipped and counted.
//! Source: `DataDog/documentation:content/en/extend/dogstatsd/datagram_shell.md`.

use std::sync::Arc;

use super::line::Malformed;
use super::tags::tag_list;
use super::trace_tags::TraceTags;
use crate::model::{Attributes, LogRecord, Resource, Severity, SeverityText, Timestamp, Value};

/// Whether a line is an event or a service check.
pub fn is_event(line: &str) -> bool {
    line.starts_with("_e{") || line.starts_with("_sc|")
}

/// An event or a service check.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The record that it becomes.
    pub record: LogRecord,
    /// Fields that no dialect known to us has.
    pub unknown_fields: u32,
}

/// Reads an event or a service check; `resource` stands for a sender that names no host.
pub fn parse(line: &str, arrival: Timestamp, resource: &Arc<Resource>) -> Result<Event, Malformed> {
    match line.strip_prefix("_sc|") {
        Some(rest) => service_check(rest, arrival, resource).ok_or(Malformed::BadServiceCheck),
        None => event(line, arrival, resource).ok_or(Malformed::BadEvent),
    }
}

fn event(line: &str, arrival: Timestamp, resource: &Arc<Resource>) -> Option<Event> {
    let (lengths, rest) = line.strip_prefix("_e{")?.split_once("}:")?;
    let (title_bytes, text_bytes) = lengths.split_once(',')?;
    let title_bytes: usize = title_bytes.parse().ok()?;
    let title = rest.get(..title_bytes)?;
    let rest = rest[title_bytes..].strip_prefix('|')?;
    let text = rest.get(..text_bytes.parse().ok()?)?;
    let fields = match &rest[text.len()..] {
        "" => "",
        rest => rest.strip_prefix('|')?,
    };
    let mut about = About::new(arrival);
    about.attribute("event.title", title);
    for field in fields.split('|') {
        let (key, value) = field.split_once(':').unwrap_or((field, ""));
        match key {
            "t" => {
                about.severity = Severity::from_word(value).unwrap_or(Severity::INFO);
                about.severity_text = value.into();
                about.attribute("event.alert_type", value);
            }
            "k" => about.attribute("event.aggregation_key", value),
            "p" => about.attribute("event.priority", value),
            "s" => about.attribute("event.source_type", value),
            _ => about.shared_field(field, key, value)?,
        }
    }
    let body = if text.is_empty() { unescaped(title) } else { format!("{}: {}", unescaped(title), unescaped(text)) };
    Some(about.into_event(body, resource))
}

fn service_check(rest: &str, arrival: Timestamp, resource: &Arc<Resource>) -> Option<Event> {
    let (name, rest) = rest.split_once('|')?;
    let (status, mut fields) = rest.split_once('|').unwrap_or((rest, ""));
    let mut about = About::new(arrival);
    let word = match status {
        "0" => "ok",
        "1" => "warning",
        "2" => "critical",
        "3" => "unknown",
        _ => return None,
    };
    about.severity = match status {
        "1" => Severity::WARN,
        "2" => Severity::ERROR,
        _ => Severity::INFO,
    };
    if name.is_empty() {
        return None;
    }
    about.attribute("check.name", name);
    about.attribute("check.status", word);
    let mut body = format!("{name} is {word}");
    while !fields.is_empty() {
        if let Some(message) = fields.strip_prefix("m:") {
            body.push_str(": ");
            body.push_str(&unescaped(message));
            break;
        }
        let (field, after) = fields.split_once('|').unwrap_or((fields, ""));
        let (key, value) = field.split_once(':').unwrap_or((field, ""));
        about.shared_field(field, key, value)?;
        fields = after;
    }
    Some(about.into_event(body, resource))
}

/// What the fields say about a record.
struct About<'a> {
    arrival: Timestamp,
    timestamp: Timestamp,
    severity: Severity,
    severity_text: SeverityText,
    host: &'a str,
    service: &'a str,
    traces: TraceTags,
    attributes: Attributes,
    unknown_fields: u32,
}

impl<'a> About<'a> {
    fn new(arrival: Timestamp) -> About<'a> {
        About {
            arrival,
            timestamp: arrival,
            severity: Severity::INFO,
            severity_text: SeverityText::NONE,
            host: "",
            service: "",
            traces: TraceTags::default(),
            attributes: Attributes::new(),
            unknown_fields: 0,
        }
    }

    fn attribute(&mut self, key: &str, value: &str) {
        match self.attributes.iter_mut().find(|(name, _)| &**name == key) {
            Some((_, old)) => *old = value.into(),
            None => self.attributes.push((key.into(), Value::from(value))),
        }
    }

    /// A field that events and checks share; none when it breaks the format.
    fn shared_field(&mut self, field: &'a str, key: &str, value: &'a str) -> Option<()> {
        match key {
            "d" => self.timestamp = Timestamp::from_unix_seconds(value.parse::<u32>().ok()?.into()),
            "h" => self.host = value,
            "c" | "e" | "card" => {}
            _ => match field.strip_prefix('#') {
                Some(tags) => self.tags(tags),
                None => self.unknown_fields += u32::from(!field.is_empty()),
            },
        }
        Some(())
    }

    fn tags(&mut self, tags: &'a str) {
        for (key, value) in tag_list(tags) {
            match key {
                "service" => self.service = value,
                "host" => self.host = value,
                _ if self.traces.take(key, value) => {}
                _ => self.attribute(key, value),
            }
        }
    }

    fn into_event(self, body: String, resource: &Arc<Resource>) -> Event {
        let or = |said: &str, known: &Arc<str>| if said.is_empty() { Arc::clone(known) } else { said.into() };
        let resource = if self.host.is_empty() && self.service.is_empty() {
            Arc::clone(resource)
        } else {
            Arc::new(Resource {
                host: or(self.host, &resource.host),
                service: or(self.service, &resource.service),
                attributes: resource.attributes.clone(),
            })
        };
        let record = LogRecord {
            timestamp: self.timestamp,
            observed_timestamp: self.arrival,
            severity: self.severity,
            severity_text: self.severity_text,
            body,
            trace_id: self.traces.trace_id,
            span_id: self.traces.span_id,
            resource,
            attributes: self.attributes,
        };
        Event { record, unknown_fields: self.unknown_fields }
    }
}

fn unescaped(text: &str) -> String {
    text.replace("\\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<LogRecord, Malformed> {
        read_event(line).map(|event| event.record)
    }

    fn read_event(line: &str) -> Result<Event, Malformed> {
        let resource = Resource { host: "here".into(), ..Resource::default() };
        parse(line, Timestamp::from_unix_seconds(7), &Arc::new(resource))
    }

    #[test]
    fn unknown_fields_are_skipped_and_counted() {
        let check = |line, expected| assert_eq!(read_event(line).unwrap().unknown_fields, expected, "{line}");
        check("_e{1,1}:a|x|z:future|c:id|e:it-false|card:low|?||#k:v", 2);
        check("_sc|db|0|z:future|#k:v|m:z|y", 1);
    }

    #[test]
    fn events_become_records() {
        let check = |line: &str, expected: &str| {
            let record = read(line).unwrap();
            let attributes: Vec<String> = record.attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let shown = format!(
                "{} {} {}/{} {:?} [{}]",
                record.timestamp.unix_seconds(),
                record.severity,
                record.resource.host,
                record.resource.service,
                record.body,
                attributes.join(", ")
            );
            assert_eq!(shown, expected, "{line}");
        };
        check("_e{5,4}:title|text", r#"7 info here/ "title: text" [event.title=title]"#);
        check("_e{7,0}:Größe|", r#"7 info here/ "Größe" [event.title=Größe]"#);
        check(
            r"_e{4,9}:a|b:|x\ny|z|0w|d:99|h:db1|k:key|p:low|s:src|t:error|#env:prod,service:pay,bare|c:x",
            r#"99 error db1/pay "a|b:: x\ny|z|0w" [event.title=a|b:, event.aggregation_key=key, event.priority=low, event.source_type=src, event.alert_type=error, env=prod, bare=true]"#,
        );
        check("_sc|db.up|0", r#"7 info here/ "db.up is ok" [check.name=db.up, check.status=ok]"#);
        check(
            "_sc|db.up|2|d:99|h:db1|#env:prod|m:no|route #1",
            r#"99 error db1/ "db.up is critical: no|route #1" [check.name=db.up, check.status=critical, env=prod]"#,
        );
    }

    #[test]
    fn broken_ones_are_refused_by_name() {
        let check = |line: &str, expected| assert_eq!(read(line).unwrap_err(), expected, "{line}");
        for line in ["_e{", "_e{5}:title|text", "_e{9,4}:title|text", "_e{5,5}:title|text", "_e{5,4}:title|textmore"] {
            check(line, Malformed::BadEvent);
        }
        check("_e{1,1}:ö|x", Malformed::BadEvent);
        check("_e{18446744073709551616,1}:a|x", Malformed::BadEvent);
        check("_e{1,1}:a|x|d:soon", Malformed::BadEvent);
        for line in ["_sc|", "_sc|name", "_sc|name|4", "_sc||0", "_sc|name|0|d:soon"] {
            check(line, Malformed::BadServiceCheck);
        }
    }

    #[test]
    fn a_trace_tag_is_the_records_trace() {
        let record = read("_e{1,1}:a|x|#trace_id:a3ce929d0e0e4736,span_id:b7").unwrap();
        assert_eq!(record.trace_id.unwrap().to_string(), "0000000000000000a3ce929d0e0e4736");
        assert_eq!(record.span_id.unwrap().bits(), 0xb7);
        assert_eq!(record.attributes.len(), 1);
    }
}
