//! The quick way through a JSON object that holds neither objects nor arrays, as most programs log it.
//!
//! [`scan`] goes over the bytes once and takes down where each member stands; a name is looked up only when it is not the one
//! that stood behind the name before in an earlier line. It takes only what it understands in full. Everything else
//! (nested values, escapes in names, surrogates, numbers of more than 18 digits, anything malformed) it leaves to
//! [`json`](super::json), which reads every object and says what is wrong with it. Where both read an object they give the
//! same fields: that is property-tested.

use std::borrow::Cow;

use super::fields::Given;
use super::names::{Name, Names};
use super::{FIELDS_MAX, KEY_BYTES_MAX};
use crate::model::Value;

/// A member of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) name: Name,
    value: Found,
}

/// A member's value; text by its place in the line, without its quotes.
#[derive(Clone, Copy, Debug)]
enum Found {
    Text(u32, u32),
    /// With escapes, all of which are sound.
    Escaped(u32, u32),
    Int(i64),
    Float(f64),
    Bool(bool),
    Null,
}

impl Member {
    /// The member's value as it stands in the text that it was scanned from, when it is text without escapes.
    #[inline]
    pub(super) fn plain_text(self, text: &str) -> Option<&str> {
        match self.value {
            Found::Text(start, end) => Some(&text[start as usize..end as usize]),
            _ => None,
        }
    }

    /// The same when it is any text.
    #[inline]
    pub(super) fn text(self, text: &str) -> Option<Cow<'_, str>> {
        match self.value {
            Found::Text(start, end) => Some(Cow::Borrowed(&text[start as usize..end as usize])),
            Found::Escaped(start, end) => Some(Cow::Owned(unescaped(&text[start as usize..end as usize]))),
            _ => None,
        }
    }

    /// The same of any kind.
    pub(super) fn given(self, text: &str) -> Given<'_> {
        match self.value {
            Found::Text(..) | Found::Escaped(..) => Given::Text(self.text(text).unwrap_or_default()),
            Found::Int(number) => Given::Other(Value::Int(number)),
            Found::Float(number) => Given::Other(Value::Float(number)),
            Found::Bool(truth) => Given::Other(Value::Bool(truth)),
            Found::Null => Given::Other(Value::Null),
        }
    }
}

/// Fills `members` with those of the object that `text` is; none when it must be read the long way.
pub(super) fn scan(text: &str, names: &mut Names, members: &mut Vec<Member>) -> Option<()> {
    members.clear();
    u32::try_from(text.len()).ok()?;
    let mut scanner = Scanner { text, bytes: text.as_bytes(), at: 0 };
    scanner.expect(b'{')?;
    if scanner.token()? == b'}' {
        scanner.at += 1;
        return scanner.finish();
    }
    let mut before = None;
    loop {
        scanner.expect(b'"')?;
        let name = scanner.name(names, before)?;
        scanner.expect(b':')?;
        let value = scanner.value()?;
        if members.len() == FIELDS_MAX {
            return None;
        }
        members.push(Member { name, value });
        before = Some(name);
        let end = scanner.token()?;
        scanner.at += 1;
        match end {
            b',' => {}
            b'}' => return scanner.finish(),
            _ => return None,
        }
    }
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    /// The next byte that is no white space.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            match *self.bytes.get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    #[inline]
    fn expect(&mut self, expected: u8) -> Option<()> {
        (self.token()? == expected).then(|| self.at += 1)
    }

    fn finish(mut self) -> Option<()> {
        self.token().is_none().then_some(())
    }

    /// The name whose first byte is next; steps behind its closing quote.
    #[inline]
    fn name(&mut self, names: &mut Names, before: Option<Name>) -> Option<Name> {
        // A name is expected only where it stood without escapes before, so its bytes are what it says.
        if let Some(expected) = names.follower(before)
            && let Some(length) = names.quoted_at(expected, &self.bytes[self.at..])
        {
            self.at += length;
            return Some(expected);
        }
        let end = plain_end(self.bytes, self.at);
        if self.bytes.get(end) != Some(&b'"') || end - self.at > KEY_BYTES_MAX {
            return None;
        }
        let name = names.meet(&self.text[self.at..end]);
        names.follow(before, name);
        self.at = end + 1;
        Some(name)
    }

    #[inline]
    fn value(&mut self) -> Option<Found> {
        match self.token()? {
            b'"' => {
                self.at += 1;
                self.string()
            }
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal(b"true", Found::Bool(true)),
            b'f' => self.literal(b"false", Found::Bool(false)),
            b'n' => self.literal(b"null", Found::Null),
            _ => None,
        }
    }

    /// The text whose first byte is next; steps behind its closing quote.
    #[inline]
    fn string(&mut self) -> Option<Found> {
        let start = self.at;
        let end = plain_end(self.bytes, start);
        match self.bytes.get(end)? {
            b'"' => {
                self.at = end + 1;
                Some(Found::Text(start as u32, end as u32))
            }
            b'\\' => self.escaped(start, end),
            _ => None,
        }
    }

    /// The rest of a text that started at `start` and has its first backslash at `at`.
    fn escaped(&mut self, start: usize, mut at: usize) -> Option<Found> {
        loop {
            match self.bytes.get(at)? {
                b'"' => {
                    self.at = at + 1;
                    return Some(Found::Escaped(start as u32, at as u32));
                }
                b'\\' => match self.bytes.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                    b'u' => {
                        character(self.bytes.get(at + 2..at + 6)?)?;
                        at += 6;
                    }
                    _ => return None,
                },
                _ => return None,
            }
            at = plain_end(self.bytes, at);
        }
    }

    fn number(&mut self) -> Option<Found> {
        let start = self.at;
        let negative = self.bytes[start] == b'-';
        self.at += usize::from(negative);
        let digits = self.digits();
        let leading_zero = digits > 1 && self.bytes[self.at - digits] == b'0';
        if digits == 0 || leading_zero {
            return None;
        }
        let is_whole = !matches!(self.bytes.get(self.at), Some(b'.' | b'e' | b'E'));
        if is_whole {
            let number: i64 = if digits <= 18 { self.text[start..self.at].parse().ok()? } else { return None };
            return Some(if negative && number == 0 { Found::Float(-0.0) } else { Found::Int(number) });
        }
        if self.bytes[self.at] == b'.' {
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return None;
            }
        }
        let number: f64 = self.text[start..self.at].parse().ok()?;
        number.is_finite().then_some(Found::Float(number))
    }

    /// Steps over digits and says how many there were.
    fn digits(&mut self) -> usize {
        let digits = self.bytes[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += digits;
        digits
    }

    fn literal(&mut self, word: &[u8], value: Found) -> Option<Found> {
        let end = self.at + word.len();
        (self.bytes.get(self.at..end)? == word).then(|| {
            self.at = end;
            value
        })
    }
}

/// Where the first byte stands, from `at` on, that a JSON text may not hold as it is: a quote, a backslash or a control
/// character; the end when there is none. Eight bytes at a time (<https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>).
#[inline]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    // The lowest high bit that these set marks a byte that is meant; those above it may be false.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = (quote | backslash | below(word, 0x20)) & HIGH;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|b| !matches!(b, b'"' | b'\\' | 0..0x20)).count()
}

/// The character of a `\u` escape's four digits; none for half of a surrogate pair.
fn character(digits: &[u8]) -> Option<char> {
    let number = digits.iter().try_fold(0, |number, &digit| Some(number * 16 + char::from(digit).to_digit(16)?))?;
    char::from_u32(number)
}

/// The text with its escapes resolved; they are known to be sound.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        plain.push_str(&rest[..at]);
        let escape = rest.as_bytes()[at + 1];
        let length = if escape == b'u' { 6 } else { 2 };
        plain.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => character(&rest.as_bytes()[at + 2..at + 6]).expect("the scan looked at its digits"),
            itself => char::from(itself),
        });
        rest = &rest[at + length..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;
    use crate::enrich::fields::Fields;
    use crate::enrich::json::{read, read_any};
    use crate::enrich::notes::Notes;
    use crate::enrich::timestamp::{Setting, Zone};
    use crate::enrich::undisputed;
    use crate::model::Timestamp;

    /// The names and values that the scan finds, when it reads the text.
    fn scanned(text: &str) -> Option<String> {
        let (mut names, mut members) = (Names::default(), Vec::new());
        scan(text, &mut names, &mut members)?;
        let shown = |member: &Member| match member.given(text) {
            Given::Text(text) => format!("{}={text:?}", names.text(member.name)),
            Given::Other(value) => format!("{}={value:?}", names.text(member.name)),
        };
        Some(members.iter().map(shown).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn flat_objects_are_read_and_all_others_left() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(scanned(text).as_deref(), expected, "{text}");
        check("{}", Some(""));
        check(" { } \r", Some(""));
        check(r#"{"a":"x","b":1,"c":true,"d":null}"#, Some(r#"a="x" b=Int(1) c=Bool(true) d=Null"#));
        check("{ \"a\" : \"x\" ,\t\"a\": false }\n", Some(r#"a="x" a=Bool(false)"#));
        check(r#"{"":"","é":"ü€😀"}"#, Some(r#"="" é="ü€😀""#));
        check(r#"{"a":"say \"no\"\n\u00e9\/\\","b":"\u0000"}"#, Some("a=\"say \\\"no\\\"\\né/\\\\\" b=\"\\0\""));
        check(
            r#"{"a":-0,"b":-12,"c":1.50,"d":2E-3,"e":0}"#,
            Some("a=Float(-0.0) b=Int(-12) c=Float(1.5) d=Float(0.002) e=Int(0)"),
        );
        check(r#"{"a":999999999999999999}"#, Some("a=Int(999999999999999999)"));
        let longest = "k".repeat(KEY_BYTES_MAX);
        check(&format!(r#"{{"{longest}":1}}"#), Some(&format!("{longest}=Int(1)")));
        check(&format!(r#"{{"{longest}k":1}}"#), None);
        check(&format!("{{{}\"last\":1}}", "\"k\":1,".repeat(FIELDS_MAX)), None);
        for left in [
            "",
            "{",
            "{}x",
            "[]",
            "1",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":{}}",
            "{\"a\":[]}",
            "{\"a\\n\":1}",
            "{\"a\":\"\\ud83d\\ude00\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":\"\\u12g4\"}",
            "{\"a\":\"\t\"}",
            "{\"a\":\"open",
            "{\"a\":\"open\\",
            "{\"a\":01}",
            "{\"a\":-}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":1e}",
            "{\"a\":+1}",
            "{\"a\":1e999}",
            "{\"a\":1000000000000000000}",
            "{\"a\":tru}",
            "{\"a\":trueish}",
            "{\"a\":NaN}",
            "\u{c}{}",
            "{a:1}",
        ] {
            check(left, None);
        }
    }

    #[test]
    fn the_end_of_plain_text_is_found_wherever_it_stands() {
        for length in 0..40 {
            for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
                let mut bytes = vec![0xff; length];
                assert_eq!(plain_end(&bytes, 0), length);
                bytes.extend([special, b'"', 0x80, b'x', 0, 0x7f, 0x20, b'\\', b'!']);
                for from in 0..=length {
                    assert_eq!(plain_end(&bytes, from), length, "{special} behind {length} from {from}");
                }
            }
        }
    }

    const SETTING: Setting<'static> = Setting { zone: &Zone::UTC, arrival: Timestamp::EPOCH };

    /// What the fields of the last text make of a record, and what was noted; after all others were read in the same way.
    fn read_all(texts: &[String], read: impl for<'a> Fn(&'a str, &mut Fields<'a, '_>) -> bool) -> String {
        let (mut names, mut notes, mut last) = (Names::default(), Notes::default(), String::new());
        for text in texts {
            let mut fields = Fields::new(&mut names, &mut notes, SETTING, text, true, Vec::new());
            last = if read(text, &mut fields) { format!("{:?}", fields.finish()) } else { String::new() };
        }
        format!("{last} {notes:?}")
    }

    fn object() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            4 => prop::sample::select(vec![
                "time", "timestamp", "msg", "message", "log", "level", "severity", "severity_number", "host", "hostname", "service",
                "trace_id", "traceid", "span_id", "dd.trace_id", "_dd.p.tid", "b3", "a", "b", "user.id", "Level",
            ]).prop_map(str::to_owned),
            1 => "[a-z\"\\\\é.]{0,4}",
        ];
        let text = prop_oneof![
            "[ -~é😀\n\t\u{1}]{0,30}",
            prop::sample::select(vec![
                "2026-11-21T07:33:00.123Z",
                "2026-11-21T07:33:60Z",
                "2026-02-30T07:33:00Z",
                "1795246380",
                "WARN",
                "30",
                "",
                "4bf92f3577b34da6a3ce929d0e0e4736",
                "00f067aa0ba902b7",
                "0",
                "ERROR: trace_id=4bf92f3577b34da6a3ce929d0e0e4736",
            ])
            .prop_map(str::to_owned),
        ];
        let value = prop_oneof![
            4 => text.prop_map(|text| serde_json::Value::from(text).to_string()),
            1 => any::<i64>().prop_map(|number| number.to_string()),
            1 => any::<f64>().prop_map(|number| serde_json::Value::from(number).to_string()),
            1 => "-?[0-9]{1,20}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
            1 => prop::sample::select(vec!["true", "false", "null", "{}", "[1,\"x\"]", "{\"id\":7}", "\"\\u00e9\\/\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\""]).prop_map(str::to_owned),
        ];
        let space = prop::sample::select(vec!["", "", "", " ", "\t", "\r\n "]);
        let member = (name, value, space).prop_map(|(name, value, space)| {
            format!("{space}{}{space}:{space}{value}{space}", serde_json::Value::from(name))
        });
        prop::collection::vec(member, 0..8).prop_map(|members| format!("{{{}}}", members.join(",")))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn the_quick_way_and_the_long_way_give_the_same(
            mut texts in prop::collection::vec(object(), 1..4),
            at in any::<prop::sample::Index>(),
            broken in prop::option::weighted(0.2, "[\"{}:,\\\\0-9a]"),
        ) {
            if let Some((text, broken)) = texts.last_mut().zip(broken) {
                let at = at.index(text.len() + 1);
                text.insert_str((0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default(), &broken);
            }
            let (buffers, path) = (RefCell::default(), RefCell::default());
            let quick = read_all(&texts, |text, fields| read(text, fields, &mut buffers.borrow_mut()).is_ok());
            let long = read_all(&texts, |text, fields| read_any(text, fields, &mut path.borrow_mut()).is_ok());
            prop_assert_eq!(&quick, &long);

            let (mut names, mut members, mut room) = (Names::default(), Vec::new(), Vec::new());
            for text in &texts {
                let parts = undisputed::parts(text, &mut names, SETTING, &mut members, &mut room);
                let alone = read_all(std::slice::from_ref(text), |text, fields| read_any(text, fields, &mut path.borrow_mut()).is_ok());
                if let Some(parts) = parts {
                    prop_assert_eq!(format!("{parts:?} {:?}", Notes::default()), alone);
                }
                prop_assert!(room.is_empty());
            }
        }
    }
}
