//! What a [`Filter`] means for one record: the reference that every faster way of answering must equal.

use std::net::IpAddr;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use taffrail_collector::model::{LogRecord, Severity, SpanId, Timestamp, TraceId, Value};
use thiserror::Error;

use super::field::Field;
use super::filter::{Filter, Test, TextMatch};
use super::length_text;
use super::pattern::PatternId;
use super::text_automaton::TextAutomaton;
use super::words::{self, Wildcard};
use crate::scan::TimeRange;

/// Conditions nested deeper are refused: nobody types them, and the tree is walked by recursion.
pub const DEPTH_MAX: usize = 128;
/// Conditions in one filter. A list of a few thousand ids pasted into the box still passes.
pub const CONDITIONS_MAX: usize = 10_000;
/// Bytes of one compiled regular expression, the `regex` crate's own measure.
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// A filter ready to be asked about many records. Cheap to share, safe between threads.
#[derive(Debug)]
pub struct CompiledFilter {
    pub(super) root: Condition,
}

/// Why a filter cannot be used, in words for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// A regular expression is malformed or too large.
    #[error("/{pattern}/: {message}")]
    Regex {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// The tree is too deep or too wide.
    #[error("the query has more than {CONDITIONS_MAX} conditions or nests deeper than {DEPTH_MAX}")]
    TooLarge,
}

impl CompiledFilter {
    pub(super) fn new(filter: &Filter) -> Result<CompiledFilter, FilterError> {
        let mut budget = CONDITIONS_MAX;
        Ok(CompiledFilter { root: Condition::compile(filter, DEPTH_MAX + 1, &mut budget)? })
    }

    /// Prepares a filter made of parts that were each checked before, whatever its size.
    pub(super) fn of_checked(filter: &Filter) -> CompiledFilter {
        let root = Condition::compile(filter, 2 * DEPTH_MAX, &mut usize::MAX.clone());
        CompiledFilter { root: root.expect("its parts compiled within half of this depth") }
    }

    /// Whether the record passes.
    pub fn matches(&self, record: &LogRecord) -> bool {
        self.root.matches(record)
    }
}

/// A [`Filter`] with its names resolved and its expressions compiled.
#[derive(Debug)]
pub(super) enum Condition {
    All,
    Nothing,
    And(Box<[Condition]>),
    Or(Box<[Condition]>),
    Not(Box<Condition>),
    Text { text: Matcher, everywhere: bool },
    Field { field: Field, test: FieldTest },
    SeverityBetween(Severity, Severity),
    Trace(TraceId),
    Span(SpanId),
    Pattern(PatternId),
    Time(TimeRange),
}

/// A [`TextMatch`], compiled.
#[derive(Debug)]
pub(super) enum Matcher {
    Phrase(Vec<String>),
    Prefix(String),
    Wildcard(Box<WildcardMatcher>),
    Regex(Box<RegexMatcher>),
}

/// A pattern of words.
#[derive(Debug)]
pub(super) struct WildcardMatcher {
    pub(super) pattern: Wildcard,
    /// Made when a split first asks; none when no word of ASCII fits, or it would be too large.
    automaton: OnceLock<Option<TextAutomaton>>,
}

impl WildcardMatcher {
    fn new(pattern: &str) -> WildcardMatcher {
        WildcardMatcher { pattern: Wildcard::new(pattern), automaton: OnceLock::new() }
    }

    /// The pattern as a table for texts of ASCII, if there is one.
    pub(super) fn automaton(&self) -> Option<&TextAutomaton> {
        self.automaton.get_or_init(|| TextAutomaton::new(&self.pattern.as_regex()?)).as_ref()
    }
}

/// A regular expression.
#[derive(Debug)]
pub(super) struct RegexMatcher {
    regex: Regex,
    /// Made when a split first asks; none when it would be too large.
    automaton: OnceLock<Option<TextAutomaton>>,
}

impl RegexMatcher {
    /// The expression as a table for texts of ASCII, if that is not too large.
    pub(super) fn automaton(&self) -> Option<&TextAutomaton> {
        self.automaton.get_or_init(|| TextAutomaton::new(self.regex.as_str())).as_ref()
    }
}

/// A [`Test`], compiled.
#[derive(Debug)]
pub(super) enum FieldTest {
    Exists,
    Text(Matcher, String),
    Equals(String),
    Number { low: Option<(f64, bool)>, high: Option<(f64, bool)> },
    Length { low: Option<(f64, bool)>, high: Option<(f64, bool)> },
    TextRange { low: Option<(String, bool)>, high: Option<(String, bool)> },
    Network(IpAddr, u8),
}

impl Condition {
    fn compile(filter: &Filter, depth_left: usize, budget: &mut usize) -> Result<Condition, FilterError> {
        let depth_left = depth_left.checked_sub(1).ok_or(FilterError::TooLarge)?;
        *budget = budget.checked_sub(1).ok_or(FilterError::TooLarge)?;
        let mut all = |filters: &[Filter]| -> Result<Box<[Condition]>, FilterError> {
            filters.iter().map(|filter| Condition::compile(filter, depth_left, budget)).collect()
        };
        Ok(match filter {
            Filter::All => Condition::All,
            Filter::Nothing => Condition::Nothing,
            Filter::And(filters) => Condition::And(all(filters)?),
            Filter::Or(filters) => Condition::Or(all(filters)?),
            Filter::Not(filter) => Condition::Not(Box::new(Condition::compile(filter, depth_left, budget)?)),
            Filter::Text { text, everywhere } => {
                Condition::Text { text: Matcher::compile(text)?, everywhere: *everywhere }
            }
            Filter::Field { name, test } => {
                Condition::Field { field: Field::named(name), test: FieldTest::compile(test)? }
            }
            Filter::SeverityBetween(low, high) => Condition::SeverityBetween(*low, *high),
            Filter::Trace(id) => Condition::Trace(*id),
            Filter::Span(id) => Condition::Span(*id),
            Filter::Pattern(id) => Condition::Pattern(*id),
            Filter::Time(range) => Condition::Time(*range),
        })
    }

    pub(super) fn matches(&self, record: &LogRecord) -> bool {
        match self {
            Condition::All => true,
            Condition::Nothing => false,
            Condition::And(conditions) => conditions.iter().all(|condition| condition.matches(record)),
            Condition::Or(conditions) => conditions.iter().any(|condition| condition.matches(record)),
            Condition::Not(condition) => !condition.matches(record),
            Condition::Text { text, everywhere } => {
                text.is_in(&record.body)
                    || *everywhere && record.attributes.iter().any(|(_, value)| text_in_value(text, value))
            }
            Condition::Field { field, test } => test.passes_field(field, record),
            Condition::SeverityBetween(low, high) => (*low..=*high).contains(&record.severity),
            Condition::Trace(id) => record.trace_id == Some(*id),
            Condition::Span(id) => record.span_id == Some(*id),
            Condition::Pattern(id) => PatternId::of(&record.body) == *id,
            Condition::Time(range) => range.contains(record.timestamp),
        }
    }
}

impl Matcher {
    fn compile(text: &TextMatch) -> Result<Matcher, FilterError> {
        Ok(match text {
            TextMatch::Phrase(phrase) => {
                Matcher::Phrase(phrase.iter().flat_map(|word| words::words(word)).map(words::fold).collect())
            }
            TextMatch::Prefix(prefix) => Matcher::Prefix(words::fold(prefix)),
            TextMatch::Wildcard(pattern) => Matcher::Wildcard(Box::new(WildcardMatcher::new(pattern))),
            TextMatch::Regex(pattern) => {
                let regex = compile_regex(pattern)?;
                Matcher::Regex(Box::new(RegexMatcher { regex, automaton: OnceLock::new() }))
            }
        })
    }

    /// Whether some words of the text, or for a regular expression some part of it, match.
    pub(super) fn is_in(&self, text: &str) -> bool {
        match self {
            Matcher::Phrase(phrase) => words::contains_phrase(text, phrase),
            Matcher::Prefix(prefix) => words::words(text).any(|word| words::starts_with(word, prefix)),
            Matcher::Wildcard(matcher) => words::words(text).any(|word| matcher.pattern.matches(word)),
            Matcher::Regex(matcher) => matcher.regex.is_match(text),
        }
    }

    /// As [`Matcher::is_in`], and for prefixes and wildcards also the value as a whole.
    fn is_in_value(&self, text: &str) -> bool {
        let whole = match self {
            Matcher::Prefix(prefix) => words::starts_with(text, prefix),
            Matcher::Wildcard(matcher) => matcher.pattern.matches(text),
            Matcher::Phrase(_) | Matcher::Regex(_) => false,
        };
        whole || self.is_in(text)
    }
}

impl FieldTest {
    fn compile(test: &Test) -> Result<FieldTest, FilterError> {
        Ok(match test {
            Test::Exists => FieldTest::Exists,
            Test::Text(text, typed) => FieldTest::Text(Matcher::compile(text)?, typed.clone()),
            Test::Equals(typed) => FieldTest::Equals(typed.clone()),
            Test::Number { low, high } => FieldTest::Number { low: *low, high: *high },
            Test::Length { low, high } => FieldTest::Length { low: *low, high: *high },
            Test::TextRange { low, high } => FieldTest::TextRange { low: low.clone(), high: high.clone() },
            Test::Network(address, prefix) => FieldTest::Network(address.to_canonical(), *prefix),
        })
    }

    fn passes_field(&self, field: &Field, record: &LogRecord) -> bool {
        let text = |text: &str| !text.is_empty() && self.passes_text(text);
        match field {
            Field::Message => text(&record.body),
            Field::Level => text(record.severity.name()),
            Field::SeverityText => text(&record.severity_text),
            Field::Host => text(&record.resource.host),
            Field::Service => text(&record.resource.service),
            Field::TraceId => record.trace_id.is_some_and(|id| self.passes_id(field, &id.to_string())),
            Field::SpanId => record.span_id.is_some_and(|id| self.passes_id(field, &id.to_string())),
            Field::Time => self.passes_time(record.timestamp),
            Field::Attribute(name) => record.attribute(name).is_some_and(|value| self.passes(value)),
        }
    }

    /// Whether a record's time passes.
    pub(super) fn passes_time(&self, time: Timestamp) -> bool {
        match self {
            FieldTest::Number { low, high } => within(time.unix_nanos() as f64 / 1e9, *low, *high),
            _ => self.passes_text(&time.to_string()),
        }
    }

    /// `hex` has all its digits; what was typed may leave out leading zeros.
    fn passes_id(&self, field: &Field, hex: &str) -> bool {
        match self.typed_phrase() {
            Some(typed) if *field == Field::TraceId => TraceId::from_hex(typed) == TraceId::from_hex(hex),
            Some(typed) => SpanId::from_hex(typed) == SpanId::from_hex(hex),
            None => self.passes_text(hex),
        }
    }

    /// What was typed, when the test asks for equality with it by words or by letter.
    pub(super) fn typed_phrase(&self) -> Option<&str> {
        match self {
            FieldTest::Text(Matcher::Phrase(_), typed) | FieldTest::Equals(typed) => Some(typed),
            _ => None,
        }
    }

    /// Whether the value, or an item of it, passes: of an attribute.
    pub(super) fn passes(&self, value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::Array(items) => items.iter().any(|item| self.passes(item)),
            Value::String(text) => self.passes_text(text),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => self.passes_plain(value),
        }
    }

    /// Whether a text passes.
    pub(super) fn passes_text(&self, text: &str) -> bool {
        match self {
            FieldTest::Exists => true,
            FieldTest::Text(Matcher::Phrase(phrase), typed) if phrase.is_empty() => {
                words::word_equals(text, &words::fold(typed))
            }
            FieldTest::Text(matcher, _) => matcher.is_in_value(text),
            FieldTest::Equals(wanted) => text == wanted,
            FieldTest::Number { low, high } => {
                text.trim().parse::<f64>().is_ok_and(|number| number.is_finite() && within(number, *low, *high))
            }
            FieldTest::Length { low, high } => {
                length_text::seconds(text).is_some_and(|seconds| within(seconds, *low, *high))
            }
            FieldTest::TextRange { low, high } => within_text(text, low.as_ref(), high.as_ref()),
            FieldTest::Network(network, prefix) => {
                text.trim().parse::<IpAddr>().is_ok_and(|address| in_network(address.to_canonical(), *network, *prefix))
            }
        }
    }

    /// Of a number or truth value.
    fn passes_plain(&self, value: &Value) -> bool {
        match self {
            FieldTest::Exists => true,
            FieldTest::Text(Matcher::Phrase(_), typed) | FieldTest::Equals(typed) => equals_typed(value, typed),
            FieldTest::Text(matcher, _) => matcher.is_in_value(&value.to_string()),
            FieldTest::Number { low, high } => value.as_f64().is_some_and(|number| within(number, *low, *high)),
            FieldTest::Length { .. } | FieldTest::TextRange { .. } | FieldTest::Network(..) => false,
        }
    }
}

/// Compiles a pattern within [`REGEX_BYTES_MAX`].
fn compile_regex(pattern: &str) -> Result<Regex, FilterError> {
    RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).build().map_err(|error| {
        let message = match error {
            regex::Error::CompiledTooBig(_) => {
                format!("the expression is too large: compiled it must fit in {REGEX_BYTES_MAX} bytes")
            }
            // The parser's message draws the pattern over several lines; its last line says what is wrong.
            other => other.to_string().lines().last().unwrap_or("malformed").trim_start_matches("error: ").to_owned(),
        };
        FilterError::Regex { pattern: pattern.to_owned(), message }
    })
}

/// Whether the text is in the value, or in an item of it.
pub(super) fn text_in_value(text: &Matcher, value: &Value) -> bool {
    match value {
        Value::String(held) => text.is_in(held),
        Value::Array(items) => items.iter().any(|item| text_in_value(text, item)),
        _ => false,
    }
}

/// Whether a number or truth value is the one that was typed, however it was written (`5e2` is 500).
fn equals_typed(value: &Value, typed: &str) -> bool {
    let typed = typed.trim();
    match value {
        Value::Bool(truth) => typed.eq_ignore_ascii_case(if *truth { "true" } else { "false" }),
        Value::Int(number) => match typed.parse::<i64>() {
            Ok(wanted) => *number == wanted,
            Err(_) => typed.parse::<f64>().is_ok_and(|wanted| *number as f64 == wanted),
        },
        Value::Float(number) => typed.parse::<f64>().is_ok_and(|wanted| *number == wanted),
        Value::Null | Value::String(_) | Value::Array(_) => false,
    }
}

fn within(number: f64, low: Option<(f64, bool)>, high: Option<(f64, bool)>) -> bool {
    low.is_none_or(|(bound, included)| number > bound || included && number == bound)
        && high.is_none_or(|(bound, included)| number < bound || included && number == bound)
}

fn within_text(text: &str, low: Option<&(String, bool)>, high: Option<&(String, bool)>) -> bool {
    low.is_none_or(|(bound, included)| text > bound.as_str() || *included && text == bound)
        && high.is_none_or(|(bound, included)| text < bound.as_str() || *included && text == bound)
}

fn in_network(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let host_bits = 32 - u32::from(prefix).min(32);
            (address.to_bits() ^ network.to_bits()).checked_shr(host_bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let host_bits = 128 - u32::from(prefix).min(128);
            (address.to_bits() ^ network.to_bits()).checked_shr(host_bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use taffrail_collector::model::{Resource, Timestamp};

    use super::*;

    fn record() -> LogRecord {
        LogRecord {
            timestamp: Timestamp::from_unix_seconds(1_700_000_000),
            observed_timestamp: Timestamp::EPOCH,
            severity: Severity::ERROR,
            severity_text: "ERR".into(),
            body: "Payment TIMED out after 30s for user_42".to_owned(),
            trace_id: TraceId::from_hex("a3ce929d0e0e4736"),
            span_id: SpanId::from_hex("00f067aa0ba902b7"),
            resource: Arc::new(Resource {
                host: "web-01".into(),
                service: "".into(),
                attributes: vec![("log.file.path".into(), "/var/log/secret.log".into())],
            }),
            attributes: vec![
                ("http.status_code".into(), Value::Int(503)),
                ("took".into(), "1.5".into()),
                ("ratio".into(), Value::Float(0.25)),
                ("ok".into(), Value::Bool(false)),
                ("nothing".into(), Value::Null),
                ("client".into(), "10.1.2.3".into()),
                ("path".into(), "/api/v1/Pay".into()),
                ("sep".into(), "--".into()),
                (
                    "tags".into(),
                    Value::Array(vec!["red wine".into(), Value::Int(7), Value::Array(vec!["deep".into()])]),
                ),
            ],
        }
    }

    fn check(filter: &Filter, expected: bool) {
        assert_eq!(filter.compile().expect("a good filter").matches(&record()), expected, "{filter:?}");
        let not = Filter::Not(Box::new(filter.clone()));
        assert_eq!(not.compile().expect("a good filter").matches(&record()), !expected, "{not:?}");
    }

    fn phrase(text: &str) -> TextMatch {
        TextMatch::Phrase(words::words(text).map(words::fold).collect())
    }

    fn field(name: &str, test: Test) -> Filter {
        Filter::Field { name: name.to_owned(), test }
    }

    fn field_text(name: &str, typed: &str) -> Filter {
        field(name, Test::Text(phrase(typed), typed.to_owned()))
    }

    #[test]
    fn bare_text_looks_in_the_message_and_when_asked_in_own_attributes() {
        let text = |text, everywhere| Filter::Text { text, everywhere };
        check(&text(phrase("timed out"), false), true);
        check(&text(phrase("user"), false), false);
        check(&text(phrase("pay"), false), false);
        check(&text(phrase("pay"), true), true);
        check(&text(phrase("wine"), true), true);
        check(&text(phrase("deep"), true), true);
        check(&text(phrase("503"), true), false);
        check(&text(phrase("secret"), true), false);
        check(&text(TextMatch::Prefix("pay".into()), false), true);
        check(&text(TextMatch::Prefix("out after".into()), false), false);
        check(&text(TextMatch::Wildcard("user_*".into()), false), true);
        check(&text(TextMatch::Regex("after [0-9]+s".into()), false), true);
        check(&text(TextMatch::Regex("AFTER".into()), false), false);
    }

    #[test]
    fn field_text_is_words_for_text_and_equality_for_all_else() {
        check(&field_text("message", "payment timed"), true);
        check(&field_text("severity_text", "err"), true);
        check(&field_text("level", "error"), true);
        check(&field_text("host", "WEB-01"), true);
        check(&field_text("host", "web"), true);
        check(&field_text("service", "web"), false);
        check(&field_text("http.status_code", "503"), true);
        check(&field_text("http.status_code", "5.03e2"), true);
        check(&field_text("http.status_code", "50"), false);
        check(&field_text("ok", "False"), true);
        check(&field_text("ratio", "0.250"), true);
        check(&field_text("trace_id", "A3CE929D0E0E4736"), true);
        check(&field_text("trace_id", "a3ce"), false);
        check(&field_text("span_id", "f067aa0ba902b7"), true);
        check(&field_text("log.file.path", "secret"), true);
        check(&field_text("tags", "wine"), true);
        check(&field_text("tags", "7"), true);
        check(&field_text("sep", "--"), true);
        check(&field_text("sep", "-"), false);
        check(&field_text("nothing", "null"), false);
    }

    #[test]
    fn prefixes_wildcards_and_expressions_see_whole_values_too() {
        let text = |name, text| field(name, Test::Text(text, String::new()));
        check(&text("path", TextMatch::Prefix("/api/".into())), true);
        check(&text("path", TextMatch::Prefix("/pay".into())), false);
        check(&text("host", TextMatch::Wildcard("web-*".into())), true);
        check(&text("http.status_code", TextMatch::Prefix("5".into())), true);
        check(&text("http.status_code", TextMatch::Wildcard("4*".into())), false);
        check(&text("http.status_code", TextMatch::Regex("^5".into())), true);
        check(&text("trace_id", TextMatch::Wildcard("*4736".into())), true);
        check(&text("time", TextMatch::Prefix("2023-11-14t22".into())), true);
    }

    #[test]
    fn equality_ranges_and_networks() {
        check(&field("path", Test::Equals("/api/v1/Pay".into())), true);
        check(&field("path", Test::Equals("/api/v1/pay".into())), false);
        check(&field("http.status_code", Test::Equals("503".into())), true);
        let number = |name, low, high| field(name, Test::Number { low, high });
        check(&number("http.status_code", Some((500.0, true)), None), true);
        check(&number("http.status_code", Some((503.0, false)), None), false);
        check(&number("http.status_code", None, Some((503.0, true))), true);
        check(&number("took", Some((1.0, true)), Some((2.0, true))), true);
        check(&number("path", None, None), false);
        check(&number("time", Some((1.7e9, true)), Some((1.7e9, true))), true);
        let range = |name, low: &str, high: &str| {
            field(name, Test::TextRange { low: Some((low.into(), true)), high: Some((high.into(), false)) })
        };
        check(&range("host", "web-01", "web-02"), true);
        check(&range("host", "web-00", "web-01"), false);
        check(&range("http.status_code", "0", "9"), false);
        let network = |text: &str, prefix| field("client", Test::Network(text.parse().expect("an address"), prefix));
        check(&network("10.0.0.0", 8), true);
        check(&network("10.1.2.0", 24), true);
        check(&network("10.1.3.0", 24), false);
        check(&network("0.0.0.0", 0), true);
        check(&network("::ffff:10.1.2.3", 32), true);
        check(&network("::", 0), false);
    }

    #[test]
    fn existence_severity_ids_and_connectives() {
        for (name, expected) in
            [("message", true), ("service", false), ("time", true), ("nothing", false), ("ok", true), ("absent", false)]
        {
            check(&field(name, Test::Exists), expected);
        }
        check(&Filter::SeverityBetween(Severity::WARN, Severity::ERROR), true);
        check(&Filter::SeverityBetween(Severity::CRITICAL, Severity::FATAL), false);
        check(&Filter::Trace(TraceId::from_hex("a3ce929d0e0e4736").expect("an id")), true);
        check(&Filter::Span(SpanId::from_hex("1").expect("an id")), false);
        let from = |start| TimeRange { start: Timestamp::from_unix_seconds(start), end: Timestamp::MAX };
        check(&Filter::Time(from(1_700_000_000)), true);
        check(&Filter::Time(from(1_700_000_001)), false);
        check(&Filter::And(vec![]), true);
        check(&Filter::Or(vec![]), false);
        check(&Filter::And(vec![Filter::All, Filter::Nothing]), false);
        check(&Filter::Or(vec![Filter::Nothing, Filter::All]), true);
    }

    #[test]
    fn what_is_too_large_or_malformed_is_refused_in_words() {
        let regex = |pattern: &str| {
            Filter::Text { text: TextMatch::Regex(pattern.to_owned()), everywhere: false }.compile().map(|_| ())
        };
        let message = |pattern| regex(pattern).expect_err("refused").to_string();
        assert_eq!(message("a("), "/a(/: unclosed group");
        assert!(message("(a{1000}){1000}").contains("too large"), "{}", message("(a{1000}){1000}"));
        let mut deep = Filter::All;
        for _ in 0..=DEPTH_MAX {
            deep = Filter::Not(Box::new(deep));
        }
        assert_eq!(deep.compile().map(|_| ()), Err(FilterError::TooLarge));
        let wide = Filter::Or(vec![Filter::All; CONDITIONS_MAX]);
        assert_eq!(wide.compile().map(|_| ()), Err(FilterError::TooLarge));
    }
}
