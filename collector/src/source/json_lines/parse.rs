//! A body becomes records: each line, or each element of the array, by itself, so that a bad one costs no other.

use std::sync::Arc;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::enrich::{Enricher, ReceivedLine, TRUNCATED_ATTRIBUTE, cut_at_character};
use crate::model::{LogRecord, Resource, Timestamp, Value};

/// What a body holds.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The records, in their order.
    pub logs: Vec<LogRecord>,
    /// What is no record.
    pub rejected: Vec<Rejected>,
    /// How many were rejected; [`Parsed::rejected`] holds only the first [`REJECTED_MAX`].
    pub rejected_count: u64,
}

/// A line that is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its number, from 1; in an array, the element's.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
    /// Its start.
    pub example: Vec<u8>,
}

/// Rejections told one by one; a body that is no JSON at all would else be answered with an answer as large as itself.
pub const REJECTED_MAX: usize = 1000;
const EXAMPLE_BYTES_MAX: usize = 200;

/// Reads a body of NDJSON, or of one JSON array when its first byte is `[`. Empty lines are passed over. A body that holds one
/// object written over several lines is read as that object.
///
/// `resource` stands for what a record does not say of its sender; records with more than `line_bytes_max` bytes are cut.
pub fn parse(
    body: &[u8],
    enricher: &mut Enricher,
    resource: &Arc<Resource>,
    arrival: Timestamp,
    line_bytes_max: usize,
) -> Parsed {
    let mut reader = Reader { enricher, resource, arrival, line_bytes_max, parsed: Parsed::default() };
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match body.trim_ascii_start().first() {
        Some(b'[') => reader.array(body),
        Some(_) => {
            reader.lines(body);
            if reader.parsed.logs.is_empty() && reader.parsed.rejected_count > 1 {
                reader.one_object(body);
            }
        }
        None => {}
    }
    reader.parsed
}

struct Reader<'e> {
    enricher: &'e mut Enricher,
    resource: &'e Arc<Resource>,
    arrival: Timestamp,
    line_bytes_max: usize,
    parsed: Parsed,
}

impl Reader<'_> {
    fn lines(&mut self, body: &[u8]) {
        // Most bodies repeat lines of one length; the records are made room for at once.
        let first = memchr::memchr(b'\n', body).unwrap_or(body.len()) + 1;
        self.parsed.logs.reserve((body.len() / first.max(64)).min(100_000));
        let mut start = 0;
        for (number, end) in (1..).zip(memchr::memchr_iter(b'\n', body).chain([body.len()])) {
            self.line(number, body[start..end].trim_ascii());
            start = (end + 1).min(body.len());
        }
    }

    fn line(&mut self, number: u64, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        match self.enricher.read_json(ReceivedLine::plain(line, self.arrival, self.resource)) {
            Ok(record) if line.len() > self.line_bytes_max => {
                let record = cut(record, self.line_bytes_max);
                self.enricher.notes().add("line_too_long", line);
                self.parsed.logs.push(record);
            }
            Ok(record) => self.parsed.logs.push(record),
            Err(rejection) => self.reject(number, rejection.to_string(), line),
        }
    }

    fn reject(&mut self, line: u64, reason: String, text: &[u8]) {
        self.parsed.rejected_count += 1;
        if self.parsed.rejected.len() < REJECTED_MAX {
            let example = text[..text.len().min(EXAMPLE_BYTES_MAX)].to_vec();
            self.parsed.rejected.push(Rejected { line, reason, example });
        }
    }

    /// A pretty-printed object, if the whole body is one.
    fn one_object(&mut self, body: &[u8]) {
        if let Ok(record) = self.enricher.read_json(ReceivedLine::plain(body.trim_ascii(), self.arrival, self.resource))
        {
            self.parsed = Parsed { logs: vec![cut(record, self.line_bytes_max)], ..Parsed::default() };
        }
    }

    fn array(&mut self, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        if matches!(text, std::borrow::Cow::Owned(_)) {
            self.enricher.notes().add("invalid_utf8", body);
        }
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let result = deserializer.deserialize_seq(Elements { reader: self }).and_then(|elements| {
            deserializer.end().map_err(|error| serde::de::Error::custom(format!("after {elements} elements: {error}")))
        });
        if let Err(error) = result {
            let line = self.parsed.logs.len() as u64 + self.parsed.rejected_count + 1;
            self.reject(line, format!("the array breaks off here: {error}"), b"");
        }
    }
}

/// Reads the elements of the array one after the other.
struct Elements<'r, 'e> {
    reader: &'r mut Reader<'e>,
}

impl<'a> Visitor<'a> for Elements<'_, '_> {
    type Value = u64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<u64, A::Error> {
        let mut number = 0;
        while let Some(element) = elements.next_element::<&'a RawValue>()? {
            number += 1;
            self.reader.line(number, element.get().as_bytes());
        }
        Ok(number)
    }
}

/// Cuts a record's texts so that together they have no more than `bytes_max` bytes, and marks it if that cut any.
fn cut(mut record: LogRecord, bytes_max: usize) -> LogRecord {
    let mut room = bytes_max;
    let mut was_cut = cut_text(&mut record.body, &mut room);
    for (_, value) in &mut record.attributes {
        was_cut |= cut_value(value, &mut room);
    }
    if was_cut {
        record.attributes.push((TRUNCATED_ATTRIBUTE.into(), Value::Bool(true)));
    }
    record
}

fn cut_value(value: &mut Value, room: &mut usize) -> bool {
    match value {
        Value::String(text) => cut_text(text, room),
        Value::Array(items) => items.iter_mut().fold(false, |was_cut, item| cut_value(item, room) | was_cut),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => false,
    }
}

fn cut_text(text: &mut String, room: &mut usize) -> bool {
    let length = cut_at_character(text.as_bytes(), *room).len();
    let is_cut = length < text.len();
    text.truncate(length);
    *room -= length;
    is_cut
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(body: &[u8], line_bytes_max: usize) -> Parsed {
        let resource = Arc::new(Resource::default());
        parse(body, &mut Enricher::default(), &resource, Timestamp::from_unix_seconds(1_795_248_000), line_bytes_max)
    }

    #[test]
    fn bad_lines_are_named_and_cost_no_other() {
        let check = |body: &str, bodies: &[&str], rejected: &[(u64, &str)]| {
            let parsed = parsed(body.as_bytes(), 1 << 20);
            assert_eq!(parsed.logs.iter().map(|record| &*record.body).collect::<Vec<_>>(), bodies, "{body}");
            let told: Vec<_> = parsed.rejected.iter().map(|rejected| (rejected.line, &*rejected.reason)).collect();
            assert_eq!(told.len(), rejected.len(), "{body}: {told:?}");
            assert_eq!(parsed.rejected_count, rejected.len() as u64);
            for (told, expected) in told.iter().zip(rejected) {
                assert!(told.0 == expected.0 && told.1.contains(expected.1), "{body}: {told:?}");
            }
        };
        check("{\"msg\":\"a\"}\n{\"msg\":\"b\"}\n", &["a", "b"], &[]);
        check("{\"msg\":\"a\"}\r\n\r\n  {\"msg\":\"b\"}  ", &["a", "b"], &[]);
        check("\u{feff}{\"msg\":\"a\"}", &["a"], &[]);
        check(
            "{\"msg\":\"a\"}\n42\n{\"msg\":\nplain\n{\"msg\":\"b\"}",
            &["a", "b"],
            &[(2, "not a JSON object"), (3, "not valid JSON"), (4, "not a JSON object")],
        );
        check("{\"msg\":\"a\"}{\"msg\":\"b\"}", &[], &[(1, "trailing characters")]);
        check("[{\"msg\":\"a\"}, 42,\n{\"msg\":\"b\"}]", &["a", "b"], &[(2, "not a JSON object")]);
        check("[{\"msg\":\"a\"},{\"msg\":", &["a"], &[(2, "breaks off")]);
        check("[{\"msg\":\"a\"}] x", &["a"], &[(2, "breaks off")]);
        check("[]", &[], &[]);
        check("", &[], &[]);
        check("\n\n", &[], &[]);
        check("{\n  \"msg\": \"pretty\"\n}\n", &["pretty"], &[]);
    }

    #[test]
    fn what_is_too_long_is_cut_and_marked() {
        let check = |body: String, text: &str, is_cut: bool| {
            let parsed = parsed(body.as_bytes(), 16);
            assert_eq!(parsed.logs[0].body, text);
            assert_eq!(parsed.logs[0].attribute(TRUNCATED_ATTRIBUTE).is_some(), is_cut, "{body}");
            assert_eq!(parsed.logs[1].body, "next");
        };
        check("{\"msg\":\"12345678901234567890\"}\n{\"msg\":\"next\"}".to_owned(), "1234567890123456", true);
        check("{\"msg\":\"123456789012345é\"}\n{\"msg\":\"next\"}".to_owned(), "123456789012345", true);
        check("{\"msg\":\"short\",\"a\":\"long attribute text\"}\n{\"msg\":\"next\"}".to_owned(), "short", true);
        check("{\"msg\":\"short\",\"number\":123456789}\n{\"msg\":\"next\"}".to_owned(), "short", false);
    }

    #[test]
    fn rejections_are_counted_beyond_those_told() {
        let parsed = parsed("x\n".repeat(REJECTED_MAX + 50).as_bytes(), 100);
        assert_eq!((parsed.rejected.len(), parsed.rejected_count), (REJECTED_MAX, REJECTED_MAX as u64 + 50));
    }

    #[test]
    fn invalid_utf8_is_replaced_in_its_line_only() {
        let parsed = parsed(b"{\"msg\":\"caf\xe9\"}\n{\"msg\":\"b\"}", 100);
        assert_eq!(parsed.logs.iter().map(|record| &*record.body).collect::<Vec<_>>(), ["caf\u{fffd}", "b"]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200), marked in "[\\[{}\",:a\n0]{0,60}") {
            parsed(&body, 10);
            parsed(marked.as_bytes(), 10);
        }

        #[test]
        fn an_array_holds_the_same_records_as_lines_do(texts in proptest::collection::vec("[^\u{0}]{0,20}", 0..10)) {
            let objects: Vec<_> = texts.iter().map(|text| serde_json::json!({ "msg": text, "n": text.len() }).to_string()).collect();
            let lines = parsed(objects.join("\n").as_bytes(), 1000);
            let array = parsed(format!("[{}]", objects.join(",")).as_bytes(), 1000);
            prop_assert_eq!(lines.logs, array.logs);
            prop_assert_eq!(lines.rejected_count + array.rejected_count, 0);
        }
    }
}
