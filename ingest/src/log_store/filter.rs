//! Which records a question wants: the tree that the query room hands to the store. What it means for one record is
//! [`CompiledFilter::matches`](super::CompiledFilter::matches).

use serde::{Deserialize, Serialize};
use taffrail_collector::model::{Severity, SpanId, TraceId};

use super::matching::{CompiledFilter, FilterError};
use super::pattern::PatternId;
use super::stored_filter::{severity, span_id, trace_id};

use crate::scan::TimeRange;

/// A condition on a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
        /// The record's own attributes too (not its resource's: a file's path would answer for every line of it).
        everywhere: bool,
    },
    /// The field's value passes the test; a record without the field never does. An array passes when one of its items does.
    Field {
        /// A short name ([`Field`](super::Field) lists them) or an attribute's name.
        name: String,
        /// The test.
        test: Test,
    },
    /// Severity in a closed range (`level:error`, `level:>=warn`).
    SeverityBetween(#[serde(with = "severity")] Severity, #[serde(with = "severity")] Severity),
    /// The record's time lies in the range (`time:>=now-15m`): to the nanosecond, where a number test would round.
    Time(TimeRange),
    /// The trace.
    Trace(#[serde(with = "trace_id")] TraceId),
    /// The span.
    Span(#[serde(with = "span_id")] SpanId),
    /// The pattern of the message.
    Pattern(PatternId),
}

/// How text is looked for. Words are maximal runs of letters and digits (Unicode `Alphanumeric` plus `_`); letters compare
/// without case (Unicode simple lower case): [`words`](super::words).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TextMatch {
    /// These words, next to each other, in this order; one word is a phrase of one, no words stand in every text.
    /// Already folded.
    Phrase(Vec<String>),
    /// A word that starts so; of a field also the whole value (`path:/api/*`). Already folded.
    Prefix(String),
    /// A word that fits this pattern of `*` (any run) and `?` (any one character); of a field also the whole value
    /// (`host:web-*`). Already folded.
    Wildcard(String),
    /// The text itself contains a match of this regular expression (linear time; the `regex` crate's syntax).
    Regex(String),
}

/// A test of one field's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Test {
    /// The field is there and not null; of the record's own fields, not empty.
    Exists,
    /// The text match, and what was typed. For text: contains the phrase as words (a field holding one word equals it,
    /// without case; when what was typed has no word in it, the whole value equals it). A number, truth value or id equals
    /// what was typed; prefixes, wildcards and regular expressions see it as people write it.
    Text(TextMatch, String),
    /// Exactly this text, letter for letter, or this number, truth value or id.
    Equals(String),
    /// A number in a range; text that reads as a number counts. Bounds are (value, included).
    Number {
        /// Lower bound.
        low: Option<(f64, bool)>,
        /// Upper bound.
        high: Option<(f64, bool)>,
    },
    /// Text that says a length of time with its unit (`250ms`, `1h30m`), in a range. Bounds are (seconds, included).
    Length {
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
    /// The part of the range in which records can pass, as far as the filter says so itself (`time:>=…`).
    pub(super) fn narrow(&self, range: TimeRange) -> TimeRange {
        match self {
            Filter::Time(within) => TimeRange { start: range.start.max(within.start), end: range.end.min(within.end) },
            Filter::And(filters) => filters.iter().fold(range, |range, filter| filter.narrow(range)),
            _ => range,
        }
    }

    /// Prepares the filter for many records: compiles its regular expressions, resolves its names. Refuses what is too
    /// large ([`FilterError`] says what and how).
    pub fn compile(&self) -> Result<CompiledFilter, FilterError> {
        CompiledFilter::new(self)
    }
}
