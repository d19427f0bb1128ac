//! The record's own fields that have rules of their own: `level` (names are ranges of numbers), `time` (moments as people
//! write them), `trace_id` and `span_id` (hexadecimal or decimal).
//!
//! Each function gives none when the value asks nothing special, so that the field is tested like any other.

use std::time::Duration;

use regex::RegexBuilder;
use taffrail_collector::model::{Severity, SpanId, Timestamp, TraceId};
use taffrail_ingest::TimeRange;
use taffrail_ingest::log_store::words::Wildcard;
use taffrail_ingest::log_store::{Filter, PatternId};

use super::ast::{Bound, Piece, Value};
use crate::time_range::parse_moment;

/// Names of levels and the numbers they stand for (OpenTelemetry's severity numbers, first and last).
const LEVELS: [(&str, u8, u8); 9] = [
    ("trace", 1, 4),
    ("debug", 5, 8),
    ("info", 9, 12),
    ("notice", 10, 10),
    ("warn", 13, 16),
    ("error", 17, 20),
    ("critical", 18, 18),
    ("alert", 19, 19),
    ("fatal", 21, 24),
];

const HIGHEST: u8 = 24;

/// `level:error`, `level:>=warn`, `level:17`, `level:err*`, `level:unspecified`.
pub(super) fn level(value: &Value) -> Result<Option<Filter>, String> {
    let end = |bound: &Bound| levels_named(&bound.text);
    let fitting = |fits: &dyn Fn(&str) -> bool| {
        let ranges = LEVELS.iter().filter(|(name, ..)| fits(name)).map(|&(_, first, last)| between(first, last));
        Filter::Or(ranges.collect())
    };
    Ok(Some(match value {
        Value::Exists => between(1, HIGHEST),
        Value::Word(text) | Value::Phrase(text) | Value::Equals(text) => {
            let (first, last) = levels_named(text)?;
            between(first, last)
        }
        Value::Range { low, high } => {
            let low =
                low.as_ref().map(|bound| end(bound).map(|(first, last)| if bound.included { first } else { last + 1 }));
            let high = high
                .as_ref()
                .map(|bound| end(bound).map(|(first, last)| if bound.included { last } else { first.max(1) - 1 }));
            // A record that does not say its level lies in no range.
            let (low, high) = (low.transpose()?.unwrap_or(1).max(1), high.transpose()?.unwrap_or(HIGHEST));
            if low > high { Filter::Nothing } else { between(low, high) }
        }
        Value::Pattern(pieces) => {
            let pattern: String = pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text,
                    Piece::Many => "*",
                    Piece::One => "?",
                })
                .collect();
            let pattern = Wildcard::new(&pattern);
            fitting(&|name| pattern.matches(name))
        }
        // What is wrong with a regular expression is said where any field's is checked.
        Value::Regex(pattern) => match RegexBuilder::new(pattern).case_insensitive(true).size_limit(1 << 20).build() {
            Ok(pattern) => fitting(&|name| pattern.is_match(name)),
            Err(_) => return Ok(None),
        },
        Value::Network(..) => return Err(unknown_level("a network")),
    }))
}

/// `time:>=now-15m`, `time:[2026-01-31 TO 2026-02-01}`, `time:2026-01-31` (the whole day).
pub(super) fn time(value: &Value, now: Timestamp) -> Result<Option<Filter>, String> {
    let just_after = |moment: Timestamp| moment.saturating_add(Duration::from_nanos(1));
    Ok(match value {
        Value::Word(text) | Value::Phrase(text) | Value::Equals(text) => {
            let start = parse_moment(text, now)?;
            Some(Filter::Time(TimeRange { start, end: start.saturating_add(precision(text)) }))
        }
        Value::Range { low, high } => {
            let moment = |bound: &Bound| parse_moment(&bound.text, now).map(|moment| (moment, bound.included));
            let start = low.as_ref().map(moment).transpose()?;
            let end = high.as_ref().map(moment).transpose()?;
            Some(Filter::Time(TimeRange {
                start: start.map_or(Timestamp::MIN, |(at, included)| if included { at } else { just_after(at) }),
                end: end.map_or(Timestamp::MAX, |(at, included)| if included { just_after(at) } else { at }),
            }))
        }
        Value::Exists => Some(Filter::All),
        Value::Pattern(_) | Value::Regex(_) => None,
        Value::Network(..) => return Err("a time is no network: write time:>=now-15m".to_owned()),
    })
}

/// 1 to 32 hexadecimal digits, with or without a UUID's dashes, or Datadog's decimal form.
pub(super) fn trace_id(value: &Value) -> Result<Option<Filter>, String> {
    let (Value::Word(text) | Value::Phrase(text) | Value::Equals(text)) = value else { return Ok(None) };
    let digits = text.replace('-', "");
    let hexadecimal = TraceId::from_hex(&digits);
    let decimal = decimal_id(text).filter(|_| digits.len() != 32).and_then(|id| TraceId::new(u128::from(id)));
    one_of([hexadecimal, decimal].map(|id| id.map(Filter::Trace))).map(Some).ok_or_else(|| {
        format!(
            "{text:?} is no trace id: write up to 32 hexadecimal digits, or Datadog's decimal number; or trace_id:4bf9*"
        )
    })
}

/// The id of a pattern, 16 hexadecimal digits; anything else is looked for in an attribute of this name.
pub(super) fn pattern(value: &Value) -> Option<Filter> {
    let (Value::Word(text) | Value::Phrase(text) | Value::Equals(text)) = value else { return None };
    PatternId::parse(text).map(Filter::Pattern)
}

/// 1 to 16 hexadecimal digits, or Datadog's decimal form.
pub(super) fn span_id(value: &Value) -> Result<Option<Filter>, String> {
    let (Value::Word(text) | Value::Phrase(text) | Value::Equals(text)) = value else { return Ok(None) };
    let hexadecimal = SpanId::from_hex(text);
    let decimal = decimal_id(text).and_then(SpanId::new);
    one_of([hexadecimal, decimal].map(|id| id.map(Filter::Span))).map(Some).ok_or_else(|| {
        format!(
            "{text:?} is no span id: write up to 16 hexadecimal digits, or Datadog's decimal number; or span_id:00f0*"
        )
    })
}

fn between(first: u8, last: u8) -> Filter {
    let severity = |number| Severity::from_number(number).expect("levels are numbers up to 24");
    Filter::SeverityBetween(severity(first), severity(last))
}

/// The numbers that a level word or number stands for.
fn levels_named(text: &str) -> Result<(u8, u8), String> {
    if let Ok(number @ 0..=HIGHEST) = text.parse::<u8>() {
        return Ok((number, number));
    }
    if ["unspecified", "unknown", "none"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Ok((0, 0));
    }
    let severity = Severity::from_word(text).ok_or_else(|| unknown_level(text))?.number();
    // Synonyms have the number of the level they mean; those with a number of their own are that number alone.
    let found = LEVELS.iter().find(|&&(_, first, _)| first == severity);
    Ok(found.map_or((severity, severity), |&(_, first, last)| (first, last)))
}

fn unknown_level(text: &str) -> String {
    format!(
        "{text:?} is no level: write trace, debug, info, warn, error or fatal (or notice, critical, alert, or a number from 1 \
         to 24); the word as the sender wrote it is severity_text:{text}"
    )
}

/// How much time the text names: a date is a day, a time without seconds a minute, without a fraction a second.
fn precision(text: &str) -> Duration {
    let text = text.trim();
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, ""));
    let clock = time.split(['+', '-', 'Z', 'z']).next().unwrap_or(time);
    let calendar = date.len() == 10 && date.matches('-').count() == 2;
    if (calendar && clock.is_empty()) || date.eq_ignore_ascii_case("today") || date.eq_ignore_ascii_case("yesterday") {
        Duration::from_secs(86_400)
    } else if !calendar || clock.contains('.') {
        Duration::from_nanos(1)
    } else if clock.matches(':').count() == 1 {
        Duration::from_secs(60)
    } else {
        Duration::from_secs(1)
    }
}

/// Datadog writes ids as decimal numbers of 64 bits.
fn decimal_id(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Digits can mean both forms: then either will do.
fn one_of(filters: [Option<Filter>; 2]) -> Option<Filter> {
    match filters {
        [Some(one), Some(other)] if one != other => Some(Filter::Or(vec![one, other])),
        [Some(one), _] | [None, Some(one)] => Some(one),
        [None, None] => None,
    }
}
