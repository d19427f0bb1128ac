//! A body becomes records: each line, or each element of the array, by itself, so that a bad one costs no other.
//!
//! A body of lines is read as its pieces come in, so that it never stands in memory as a whole.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::enrich::{Enricher, ReceivedLine};
use crate::model::{LogRecord, Resource, Timestamp};
use crate::source::cut_record::cut;
use crate::source::record_batches::Batches;

/// What a body holds.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The records, in their order, cut into batches that the store takes; none of them is empty.
    pub batches: Vec<Vec<LogRecord>>,
    /// Records that rules of the configuration dropped.
    pub dropped: u64,
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

/// Stands before the text of some senders' bodies (U+FEFF) and means nothing.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads bodies of NDJSON, or of one JSON array when the first byte is `[`. Empty lines are passed over. A body that holds
/// one object written over several lines is read as that object.
///
/// Remembers names and senders it has met and keeps what it allocates: it is meant to read many bodies, one at a time.
#[derive(Debug)]
pub struct BodyReader {
    enricher: Enricher,
    line_bytes_max: usize,
    batches: Batches,
    body: BodyState,
}

/// How far a body was read.
#[derive(Debug, Default)]
struct BodyState {
    resource: Arc<Resource>,
    arrival: Timestamp,
    form: Form,
    /// Pieces of the body that may have to be read again, or as a whole.
    kept: Vec<Bytes>,
    /// The start of a line whose end has not come yet.
    begun: Vec<u8>,
    lines: u64,
    rejected: Vec<Rejected>,
    rejected_count: u64,
    dropped: u64,
}

/// What the body is, as far as its pieces have told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    /// Too few bytes for a byte order mark.
    #[default]
    Unknown,
    /// Nothing but white space.
    Blank,
    Lines,
    Array,
}

impl Parsed {
    /// The records, in their order.
    pub fn logs(&self) -> impl Iterator<Item = &LogRecord> {
        self.batches.iter().flatten()
    }
}

impl BodyReader {
    /// Records with more than `line_bytes_max` bytes are cut.
    pub fn new(enricher: Enricher, line_bytes_max: usize) -> BodyReader {
        BodyReader { enricher, line_bytes_max, batches: Batches::default(), body: BodyState::default() }
    }

    /// What reads the lines, with its notes of what had to be adjusted.
    pub fn enricher(&mut self) -> &mut Enricher {
        &mut self.enricher
    }

    /// Begins a body. `resource` stands for what a record does not say of its sender.
    pub fn begin(&mut self, resource: Arc<Resource>, arrival: Timestamp) {
        self.body = BodyState { resource, arrival, ..BodyState::default() };
        self.batches.take();
    }

    /// Reads the next piece of the body.
    pub fn feed(&mut self, piece: impl Into<Bytes>) {
        let mut piece = piece.into();
        if self.body.form == Form::Unknown {
            self.body.kept.push(piece);
            piece = joined(&self.body.kept);
            if piece.len() < BYTE_ORDER_MARK.len() {
                return;
            }
            self.body.kept.clear();
            self.body.form = Form::Blank;
            if piece.starts_with(BYTE_ORDER_MARK) {
                piece = piece.slice(BYTE_ORDER_MARK.len()..);
            }
        }
        self.take(piece);
    }

    /// Ends the body: what it holds.
    pub fn finish(&mut self) -> Parsed {
        if self.body.form == Form::Unknown {
            self.body.form = Form::Blank;
            let short = joined(&std::mem::take(&mut self.body.kept));
            self.take(short);
        }
        if self.body.form == Form::Array {
            self.array();
        } else if !self.body.begun.is_empty() {
            self.lines(b"\n");
        }
        let has_record = !self.batches.is_empty() || self.body.dropped > 0;
        if self.body.form == Form::Lines && !has_record && self.body.rejected_count > 1 {
            self.one_object();
        }
        let BodyState { rejected, rejected_count, dropped, .. } = std::mem::take(&mut self.body);
        Parsed { batches: self.batches.take(), dropped, rejected, rejected_count }
    }

    fn take(&mut self, piece: Bytes) {
        if self.body.form == Form::Blank {
            self.body.form = match piece.trim_ascii_start().first() {
                Some(b'[') => Form::Array,
                Some(_) => Form::Lines,
                None => Form::Blank,
            };
        }
        if self.body.form == Form::Array {
            self.body.kept.push(piece);
            return;
        }
        self.lines(&piece);
        // Once there is a record the body is no single object.
        if self.batches.is_empty() && self.body.dropped == 0 {
            self.body.kept.push(piece);
        } else {
            self.body.kept.clear();
        }
    }

    /// Reads the lines that end in this piece.
    fn lines(&mut self, piece: &[u8]) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', piece) {
            self.body.lines += 1;
            if self.body.begun.is_empty() {
                self.line(self.body.lines, piece[start..end].trim_ascii());
            } else {
                let mut line = std::mem::take(&mut self.body.begun);
                line.extend_from_slice(&piece[start..end]);
                self.line(self.body.lines, line.trim_ascii());
                line.clear();
                self.body.begun = line;
            }
            start = end + 1;
        }
        self.body.begun.extend_from_slice(&piece[start..]);
    }

    fn line(&mut self, number: u64, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        match self.enricher.read_json(ReceivedLine::plain(line, self.body.arrival, &self.body.resource)) {
            Ok(None) => self.body.dropped += 1,
            Ok(Some(record)) if line.len() > self.line_bytes_max => {
                let record = cut(record, self.line_bytes_max);
                self.enricher.notes().add("line_too_long", line);
                self.batches.push(record);
            }
            Ok(Some(record)) => self.batches.push(record),
            Err(rejection) => self.reject(number, rejection.to_string(), line),
        }
    }

    fn reject(&mut self, line: u64, reason: String, text: &[u8]) {
        self.body.rejected_count += 1;
        if self.body.rejected.len() < REJECTED_MAX {
            let example = text[..text.len().min(EXAMPLE_BYTES_MAX)].to_vec();
            self.body.rejected.push(Rejected { line, reason, example });
        }
    }

    /// A pretty-printed object, if the whole body is one.
    fn one_object(&mut self) {
        let body = joined(&std::mem::take(&mut self.body.kept));
        let line = ReceivedLine::plain(body.trim_ascii(), self.body.arrival, &self.body.resource);
        if let Ok(record) = self.enricher.read_json(line) {
            self.body.dropped += u64::from(record.is_none());
            record.into_iter().for_each(|record| self.batches.push(cut(record, self.line_bytes_max)));
            self.body.rejected.clear();
            self.body.rejected_count = 0;
        }
    }

    fn array(&mut self) {
        let body = joined(&std::mem::take(&mut self.body.kept));
        let text = String::from_utf8_lossy(&body);
        if matches!(text, Cow::Owned(_)) {
            self.enricher.notes().add("invalid_utf8", &body);
        }
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let mut elements = 0;
        let result = deserializer.deserialize_seq(Elements { reader: self, read: &mut elements }).and_then(|()| {
            deserializer.end().map_err(|error| serde::de::Error::custom(format!("after {elements} elements: {error}")))
        });
        if let Err(error) = result {
            self.reject(elements + 1, format!("the array breaks off here: {error}"), b"");
        }
    }
}

/// The pieces as one; copied only when they are several.
fn joined(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [piece] => piece.clone(),
        pieces => pieces.concat().into(),
    }
}

/// Reads the elements of the array one after the other.
struct Elements<'r> {
    reader: &'r mut BodyReader,
    read: &'r mut u64,
}

impl<'a> Visitor<'a> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<&'a RawValue>()? {
            *self.read += 1;
            self.reader.line(*self.read, element.get().as_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::enrich::TRUNCATED_ATTRIBUTE;

    fn parsed_in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, line_bytes_max: usize) -> Parsed {
        let arrival = Timestamp::from_unix_seconds(1_795_248_000);
        let mut reader = BodyReader::new(Enricher::default(), line_bytes_max);
        // What a body that broke off left behind is no part of the next.
        reader.begin(Arc::default(), Timestamp::EPOCH);
        reader.feed("{\"msg\":\"of another body\"}\n[".to_owned());
        reader.begin(Arc::default(), arrival);
        pieces.into_iter().for_each(|piece| reader.feed(piece.to_vec()));
        reader.finish()
    }

    fn parsed(body: &[u8], line_bytes_max: usize) -> Parsed {
        parsed_in_pieces([body], line_bytes_max)
    }

    #[test]
    fn bad_lines_are_named_and_cost_no_other() {
        let check = |body: &str, bodies: &[&str], rejected: &[(u64, &str)]| {
            let parsed = parsed(body.as_bytes(), 1 << 20);
            assert_eq!(parsed.logs().map(|record| &*record.body).collect::<Vec<_>>(), bodies, "{body}");
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
            assert_eq!(parsed.batches[0][0].body, text);
            assert_eq!(parsed.batches[0][0].attribute(TRUNCATED_ATTRIBUTE).is_some(), is_cut, "{body}");
            assert_eq!(parsed.batches[0][1].body, "next");
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
        assert_eq!(parsed.logs().map(|record| &*record.body).collect::<Vec<_>>(), ["caf\u{fffd}", "b"]);
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
            prop_assert!(lines.logs().eq(array.logs()));
            prop_assert_eq!(lines.rejected_count + array.rejected_count, 0);
        }

        #[test]
        fn a_body_in_pieces_holds_what_it_holds_as_a_whole(
            body in prop_oneof![
                prop::collection::vec(prop::sample::select(vec![
                    "{\"msg\":\"a\"}\n", "{\"msg\":\"b\"}", "\r\n", " ", "nonsense\n", "[", ",", "]", "{\n\"msg\":\n\"c\"}", "\u{feff}", "é",
                ]), 0..12).prop_map(|parts| parts.concat().into_bytes()),
                prop::collection::vec(any::<u8>(), 0..20),
            ],
            mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut at: Vec<usize> = cuts.drain(..).map(|cut| cut.index(body.len() + 1)).chain([0, body.len()]).collect();
            at.sort_unstable();
            let pieces = parsed_in_pieces(at.windows(2).map(|ends| &body[ends[0]..ends[1]]), 1000);
            let whole = parsed(&body, 1000);
            prop_assert_eq!((pieces.batches, pieces.rejected), (whole.batches, whole.rejected));
            prop_assert_eq!(pieces.rejected_count, whole.rejected_count);
        }
    }
}
