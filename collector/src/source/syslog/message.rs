//! One syslog message: its header, its structured data, its text.
//!
//! RFC 5424 is read by its grammar. What RFC 3164 describes is a custom rather than a format, so each part is taken where it is
//! recognised: priority, time (also as RFC 3339, as rsyslog forwards it), host, tag with process id. What is not recognised
//! belongs to the text; nothing is ever refused.

use std::borrow::Cow;

use crate::enrich::{Zone, leading_time};
use crate::model::{Severity, Timestamp, Value};

/// What a message says. Empty parts are not said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message<'a> {
    /// From the priority.
    pub severity: Option<Severity>,
    /// From the priority: RFC 5424 §6.2.1's keyword.
    pub facility: &'static str,
    /// When it was sent.
    pub timestamp: Option<Timestamp>,
    /// The host that it names.
    pub host: &'a str,
    /// APP-NAME, or the tag.
    pub application: &'a str,
    /// PROCID, or what stands in brackets behind the tag.
    pub process: &'a str,
    /// MSGID.
    pub message_id: &'a str,
    /// Structured data as `sd-id.name` and value; those of the SD-ID `opentelemetry` under their bare names.
    pub structured: Vec<(Cow<'a, str>, Value)>,
    /// The text, without line ends, NULs and byte-order mark around it.
    pub text: &'a [u8],
}

/// RFC 5424 table 1, by the words that `syslog.conf` uses.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// A tag is at most this long (RFC 5424 allows 48 for APP-NAME; RFC 3164 says 32 and few keep to it).
const TAG_BYTES_MAX: usize = 48;

/// Reads a datagram or frame. Times without a zone are of `zone`; years are chosen near `arrival`.
pub fn parse<'a>(bytes: &'a [u8], zone: &Zone, arrival: Timestamp) -> Message<'a> {
    let bytes = trim_end(bytes);
    let Some((priority, rest)) = priority(bytes) else {
        return Message { text: without_mark(bytes), ..Message::default() };
    };
    let head = Message {
        severity: Some(Severity::from_syslog(priority % 8)),
        facility: FACILITIES[usize::from(priority / 8)],
        ..Message::default()
    };
    match rest.strip_prefix(b"1 ").and_then(|rest| rfc5424(rest, head.clone(), zone, arrival)) {
        Some(message) => message,
        None => rfc3164(rest, head, zone, arrival),
    }
}

/// Reads a line of a file, where the priority is usually left out; none when it has no header that is recognised.
pub fn parse_line<'a>(bytes: &'a [u8], zone: &Zone, arrival: Timestamp) -> Option<Message<'a>> {
    if priority(bytes).is_some() {
        return Some(parse(bytes, zone, arrival));
    }
    let message = rfc3164(trim_end(bytes), Message::default(), zone, arrival);
    message.timestamp.is_some().then_some(message)
}

impl<'a> Message<'a> {
    /// What it says beside its time, severity, host and application, under the names that these fields have.
    pub fn attributes(&self) -> Vec<(Cow<'a, str>, Value)> {
        let mut attributes = self.structured.clone();
        for (name, value) in [("facility", self.facility), ("procid", self.process), ("msgid", self.message_id)] {
            if !value.is_empty() {
                attributes.push((name.into(), value.into()));
            }
        }
        attributes
    }
}

/// `<0>` to `<191>`.
fn priority(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let rest = bytes.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|b| *b == b'>')?;
    let number: u8 = std::str::from_utf8(&rest[..end]).ok().filter(|digits| !digits.starts_with('+'))?.parse().ok()?;
    (number < 192).then(|| (number, &rest[end + 1..]))
}

/// `TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP STRUCTURED-DATA [SP MSG]`; none when it is not so.
fn rfc5424<'a>(rest: &'a [u8], mut message: Message<'a>, zone: &Zone, arrival: Timestamp) -> Option<Message<'a>> {
    let (written, rest) = token(rest)?;
    if !written.is_empty() {
        let (time, length) = leading_time(written.as_bytes(), zone, arrival)?;
        message.timestamp = (length == written.len()).then_some(time);
    }
    let (host, rest) = token(rest)?;
    let (application, rest) = token(rest)?;
    let (process, rest) = token(rest)?;
    let (message_id, rest) = token(rest)?;
    let rest = structured_data(rest, &mut message.structured)?;
    let text = match rest {
        [] => rest,
        [b' ', text @ ..] => without_mark(text),
        _ => return None,
    };
    Some(Message { host, application, process, message_id, text, ..message })
}

/// A header field and what stands behind its space; `-` says nothing.
fn token(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memchr(b' ', bytes)?;
    let token = std::str::from_utf8(&bytes[..end]).ok()?;
    Some((if token == "-" { "" } else { token }, &bytes[end + 1..]))
}

/// `-` or `[id name="value" …]…`; returns what stands behind it.
fn structured_data<'a>(bytes: &'a [u8], into: &mut Vec<(Cow<'a, str>, Value)>) -> Option<&'a [u8]> {
    if let [b'-', rest @ ..] = bytes {
        return Some(rest);
    }
    let mut rest = bytes;
    while let [b'[', element @ ..] = rest {
        let id_end = memchr::memchr2(b' ', b']', element)?;
        let id = std::str::from_utf8(&element[..id_end]).ok()?;
        rest = &element[id_end..];
        while let [b' ', parameter @ ..] = rest {
            if let [b']', ..] = parameter {
                rest = parameter;
                break;
            }
            let name_end = memchr::memchr(b'=', parameter)?;
            let name = std::str::from_utf8(&parameter[..name_end]).ok()?;
            let (value, behind) = quoted(&parameter[name_end + 1..])?;
            // The SD-ID that OpenTelemetry reserves for trace context
            // (https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/).
            let name = if id == "opentelemetry" { name.into() } else { format!("{id}.{name}").into() };
            into.push((name, Value::String(value)));
            rest = behind;
        }
        rest = rest.strip_prefix(b"]")?;
    }
    (rest.len() < bytes.len()).then_some(rest)
}

/// A value in quotes, where `\"`, `\\` and `\]` stand for the second character (RFC 5424 §6.3.3).
fn quoted(bytes: &[u8]) -> Option<(String, &[u8])> {
    let inside = bytes.strip_prefix(b"\"")?;
    let mut value = Vec::new();
    let mut at = 0;
    loop {
        match inside.get(at)? {
            b'"' => return Some((String::from_utf8_lossy(&value).into_owned(), &inside[at + 1..])),
            b'\\' if matches!(inside.get(at + 1), Some(b'"' | b'\\' | b']')) => {
                value.push(inside[at + 1]);
                at += 2;
            }
            byte => {
                value.push(*byte);
                at += 1;
            }
        }
    }
}

/// `[TIMESTAMP SP [HOSTNAME SP]] [TAG[PROCID]:] MSG`, as far as it is recognised.
fn rfc3164<'a>(bytes: &'a [u8], mut message: Message<'a>, zone: &Zone, arrival: Timestamp) -> Message<'a> {
    let mut rest = bytes.trim_ascii_start();
    if let Some((time, length)) = leading_time(rest, zone, arrival) {
        message.timestamp = Some(time);
        // Cisco ends its time with a colon.
        rest = rest[length..].strip_prefix(b":").unwrap_or(&rest[length..]).trim_ascii_start();
        if tag(rest).is_none()
            && let Some((host, behind)) = token(rest)
            && !host.ends_with(':')
        {
            message.host = host;
            rest = behind;
        }
    }
    if let Some((application, process, behind)) = tag(rest) {
        (message.application, message.process, rest) = (application, process, behind);
    }
    message.text = without_mark(rest);
    message
}

/// `name: ` or `name[process]: `; a level word in that place is part of the text.
fn tag(bytes: &[u8]) -> Option<(&str, &str, &[u8])> {
    let in_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b'-' | b'@');
    let length = bytes.iter().take(TAG_BYTES_MAX + 1).take_while(|b| in_name(b)).count();
    if length == 0 || length > TAG_BYTES_MAX {
        return None;
    }
    let name = std::str::from_utf8(&bytes[..length]).ok()?;
    let (process, behind) = match bytes[length..] {
        [b'[', ..] => {
            let inside = &bytes[length + 1..];
            let end = inside.iter().take(64).position(|b| *b == b']')?;
            (std::str::from_utf8(&inside[..end]).ok()?, &inside[end + 1..])
        }
        _ => ("", &bytes[length..]),
    };
    let text = match behind.strip_prefix(b":")? {
        [] => &[],
        [b' ', text @ ..] => text,
        _ => return None,
    };
    Severity::from_word(name).is_none().then_some((name, process, text))
}

fn trim_end(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| !matches!(b, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
    &bytes[..end]
}

fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything a message says, in one line.
    fn shown(bytes: &[u8]) -> String {
        let arrival = Timestamp::from_unix_seconds(1_795_248_000); // 2026-11-21T08:00:00Z
        let message = parse(bytes, &Zone::UTC, arrival);
        let mut parts = Vec::new();
        let mut part = |name: &str, value: &str| {
            if !value.is_empty() {
                parts.push(format!("{name}={value}"));
            }
        };
        part("facility", message.facility);
        part("level", message.severity.unwrap_or_default().name());
        part("time", &message.timestamp.map(|time| time.to_string()).unwrap_or_default());
        part("host", message.host);
        part("app", message.application);
        part("pid", message.process);
        part("id", message.message_id);
        for (name, value) in &message.structured {
            part(name, &value.to_string());
        }
        part("text", &String::from_utf8_lossy(message.text));
        parts.join(" ")
    }

    #[test]
    fn messages_of_both_standards_and_of_none_are_read() {
        let check = |message: &str, expected: &str| {
            assert_eq!(shown(message.as_bytes()), expected.replace("THEN", "2026-11-21T07:33:00.000Z"), "{message}");
        };
        // The examples of RFC 5424 §6.5 and RFC 3164 §5.4.
        check(
            "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8",
            "facility=auth level=error time=2003-10-11T22:14:15.003Z host=mymachine.example.com app=su id=ID47 text='su root' failed for lonvick on /dev/pts/8",
        );
        check(
            "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
            "facility=local4 level=info time=2003-08-24T12:14:15.000003Z host=192.0.2.1 app=myproc pid=8710 text=%% It's time to make the do-nuts.",
        );
        check(
            r#"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" eventSource="Application"][examplePriority@32473 class="high"]"#,
            "facility=local4 level=info time=2003-10-11T22:14:15.003Z host=mymachine.example.com app=evntslog id=ID47 exampleSDID@32473.iut=3 exampleSDID@32473.eventSource=Application examplePriority@32473.class=high",
        );
        check("<14>1 - - - - - -", "facility=user level=info");
        check(r#"<14>1 - - - - - [a x="1\"2\]3\\4\n"] t"#, r#"facility=user level=info a.x=1"2]3\4\n text=t"#);
        check(
            r#"<14>1 - h a - - [opentelemetry trace_id="4bf9"] t"#,
            "facility=user level=info host=h app=a trace_id=4bf9 text=t",
        );
        check("<14>1 - h a - - [empty] t", "facility=user level=info host=h app=a text=t");
        check(
            "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
            "facility=auth level=error time=2026-10-11T22:14:15.000Z host=mymachine app=su text='su root' failed for lonvick on /dev/pts/8",
        );
        check(
            "<13>Nov 21 07:33:00 web-1 cron[123]: done",
            "facility=user level=info time=THEN host=web-1 app=cron pid=123 text=done",
        );
        // The C library, logger(1) over a socket, rsyslog's forwarding, Cisco, Python's SysLogHandler.
        check("<13>Nov 21 07:33:00 cron[123]: done", "facility=user level=info time=THEN app=cron pid=123 text=done");
        check(
            "<13>2026-11-21T08:33:00+01:00 web-1 cron[123]: done",
            "facility=user level=info time=THEN host=web-1 app=cron pid=123 text=done",
        );
        check(
            "<189>Nov 21 07:33:00: %LINK-3-UPDOWN: Interface down",
            "facility=local7 level=info time=THEN host=%LINK-3-UPDOWN: text=Interface down"
                .replace("host=%LINK-3-UPDOWN: text=", "text=%LINK-3-UPDOWN: ")
                .as_str(),
        );
        check("<11>hi 3164\0", "facility=user level=error text=hi 3164");
        check("<11>shop: refused\n", "facility=user level=error app=shop text=refused");
        check("<11>ERROR: refused", "facility=user level=error text=ERROR: refused");
        check("<11>{\"a\":1}", "facility=user level=error text={\"a\":1}");
        // Broken headers are text.
        check("no priority", "text=no priority");
        check("<192>too large", "text=<192>too large");
        check("<>empty", "text=<>empty");
        check("<14>1 not a header", "facility=user level=info text=1 not a header");
        check("<14>1 - h a - - [broken t", "facility=user level=info text=1 - h a - - [broken t");
        check("", "");
        check("<14>", "facility=user level=info");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), marked in "<1[0-9]>(1 )?[-\\[\\]\"\\\\= :a-zé0-9]{0,60}") {
            shown(&bytes);
            shown(marked.as_bytes());
        }

        #[test]
        fn structured_values_come_back(value in "[^\u{0}\n\r]{0,30}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]");
            let message = format!("<14>1 - h a p m [id@1 name=\"{escaped}\"] text");
            let parsed = parse(message.as_bytes(), &Zone::UTC, Timestamp::EPOCH);
            prop_assert_eq!(parsed.structured, [("id@1.name".into(), Value::String(value))]);
            prop_assert_eq!(parsed.text, b"text");
        }
    }
}
