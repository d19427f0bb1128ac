//! Which records a question wants: the tree that the query room hands to the store, and what it means for one record.
//! Every way the store has of answering must give what [`Filter::matches`] gives on a plain scan.

use taffrail_collector::model::{LogRecord, Severity, SpanId, TraceId};

use crate::scan::TimeRange;

/// A condition on a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Every record.
    All,
    /// No record.
    Nothing,
    /// All of them hold.
    And(Vec<Filter>),
    /// At least one holds.
    Or(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// Text in the message, or in any text attribute's value when `everywhere` (a bare word in the query box).
    Text {
        /// What is looked for.
        text: TextMatch,
        /// Attribute values too.
        everywhere: bool,
    },
    /// The field's value passes the test; a record without the field never does. An array passes when one of its items does.
    Field {
        /// A short name (`message level host service trace_id span_id time`) or an attribute's name.
        name: String,
        /// The test.
        test: Test,
    },
    /// Severity in a closed range (`level:error`, `level:>=warn`).
    SeverityBetween(Severity, Severity),
    /// The record's time lies in the range (`time:>=now-15m`): to the nanosecond, where a number test would round.
    Time(TimeRange),
    /// The trace.
    Trace(TraceId),
    /// The span.
    Span(SpanId),
}

/// How text is looked for. Words are maximal runs of letters and digits (Unicode `Alphanumeric` plus `_`); letters compare
/// without case (Unicode simple lower case).
#[derive(Clone, Debug, PartialEq)]
pub enum TextMatch {
    /// These words, next to each other, in this order; one word is a phrase of one. Already lower-cased.
    Phrase(Vec<String>),
    /// A word that starts so. Already lower-cased.
    Prefix(String),
    /// A word that fits this pattern of `*` (any run) and `?` (any one character). Already lower-cased.
    Wildcard(String),
    /// The text itself contains a match of this regular expression (linear time; the `regex` crate's syntax).
    Regex(String),
}

/// A test of one field's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// The field is there and not null.
    Exists,
    /// For text: contains the phrase as words (a field holding one word equals it, without case); a number, truth value or
    /// id equals what was typed.
    Text(TextMatch, String),
    /// Exactly this text, letter for letter, or this number.
    Equals(String),
    /// A number in a range; text that reads as a number counts. Bounds are (value, included).
    Number {
        /// Lower bound.
        low: Option<(f64, bool)>,
        /// Upper bound.
        high: Option<(f64, bool)>,
    },
    /// Text between two bounds, byte order.
    TextRange {
        /// Lower bound.
        low: Option<(String, bool)>,
        /// Upper bound.
        high: Option<(String, bool)>,
    },
    /// An IP address within a network (address, prefix length).
    Network(std::net::IpAddr, u8),
}

impl Filter {
    /// Whether the record passes.
    pub fn matches(&self, record: &LogRecord) -> bool {
        let _ = record;
        unimplemented!()
    }
}
