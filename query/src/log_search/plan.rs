//! The filter from the tree: what a word, a pattern, a range means for the field it is asked of.

use regex::RegexBuilder;
use taffrail_collector::model::{SpanId, Timestamp, TraceId};
use taffrail_ingest::log_store::words::{fold, is_word_character, words};
use taffrail_ingest::log_store::{Filter, Test, TextMatch};

use super::ast::{Bound, Clause, Piece, Query, Value};
use super::quantity::{self, Quantity};
use super::{ParseError, own_field};

/// Bytes that a compiled regular expression may take: a few thousand states, far from what slows a scan down.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Names that people coming from elsewhere type for the record's own fields. With an `@` before it a name is meant
/// literally (except `@timestamp`, which is Elastic's own).
const ALIASES: [(&str, &str); 9] = [
    ("@timestamp", "time"),
    ("timestamp", "time"),
    ("_time", "time"),
    ("severity", "level"),
    ("lvl", "level"),
    ("msg", "message"),
    ("body", "message"),
    ("trace.id", "trace_id"),
    ("span.id", "span_id"),
];

/// The name of the field that is meant.
pub(super) fn field_name(typed: &str) -> &str {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == typed).map(|(_, name)| *name);
    alias.unwrap_or(typed.strip_prefix('@').unwrap_or(typed))
}

/// The filter that the tree asks for; relative times are seen from `now`.
pub(super) fn filter(query: &Query, now: Timestamp) -> Result<Filter, ParseError> {
    let all = |parts: &[Query]| parts.iter().map(|part| filter(part, now)).collect::<Result<Vec<_>, _>>();
    match query {
        Query::All => Ok(Filter::All),
        Query::And(parts) => Ok(Filter::And(all(parts)?)),
        Query::Or(parts) => Ok(Filter::Or(all(parts)?)),
        Query::Not(inner) => Ok(Filter::Not(Box::new(filter(inner, now)?))),
        Query::Clause(clause) => {
            clause_filter(clause, now).map_err(|message| ParseError { message, column: clause.column })
        }
    }
}

fn clause_filter(clause: &Clause, now: Timestamp) -> Result<Filter, String> {
    let Some(typed) = &clause.field else { return bare(&clause.value) };
    let name = field_name(typed);
    let own = match name {
        "level" => own_field::level(&clause.value)?,
        "time" => own_field::time(&clause.value, now)?,
        "trace_id" => own_field::trace_id(&clause.value)?,
        "span_id" => own_field::span_id(&clause.value)?,
        "pattern" => own_field::pattern(&clause.value),
        "message" => text_match(&clause.value, TextScope::Text)?.map(|text| Filter::Text { text, everywhere: false }),
        _ => None,
    };
    match own {
        Some(filter) => Ok(filter),
        None => Ok(Filter::Field { name: name.to_owned(), test: test(name, &clause.value)? }),
    }
}

/// A value without a field: text anywhere in the record, and the trace or span that its digits may name.
fn bare(value: &Value) -> Result<Filter, String> {
    let Some(text) = text_match(value, TextScope::Text)? else {
        return Err("this needs a field: write field:value".to_owned());
    };
    let text = Filter::Text { text, everywhere: true };
    let (Value::Word(word) | Value::Phrase(word)) = value else { return Ok(text) };
    let id = match word.len() {
        32 => TraceId::from_hex(word).map(Filter::Trace),
        16 => SpanId::from_hex(word).map(Filter::Span),
        _ => None,
    };
    Ok(match id {
        Some(id) => Filter::Or(vec![text, id]),
        None => text,
    })
}

fn test(name: &str, value: &Value) -> Result<Test, String> {
    let typed = match value {
        Value::Exists => return Ok(Test::Exists),
        Value::Equals(text) => return Ok(Test::Equals(text.clone())),
        Value::Network(address, length) => return Ok(Test::Network(*address, *length)),
        Value::Range { low, high } => return range(name, low.as_ref(), high.as_ref()),
        Value::Word(text) | Value::Phrase(text) if text.is_empty() => return Ok(Test::Equals(String::new())),
        Value::Word(text) | Value::Phrase(text) | Value::Regex(text) => text.clone(),
        Value::Pattern(pieces) => pieces.iter().map(as_typed).collect(),
    };
    let text = text_match(value, TextScope::Field)?.expect("everything else was answered above");
    Ok(Test::Text(text, typed))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TextScope {
    /// A pattern fits a word somewhere in the text.
    Text,
    /// A pattern may also fit the field's whole value.
    Field,
}

/// How the value is looked for in text; none when it is no text.
fn text_match(value: &Value, scope: TextScope) -> Result<Option<TextMatch>, String> {
    Ok(Some(match value {
        Value::Word(text) | Value::Phrase(text) => {
            let phrase: Vec<String> = words(text).map(fold).collect();
            match (phrase.is_empty(), scope) {
                (false, _) | (true, TextScope::Field) => TextMatch::Phrase(phrase),
                (true, TextScope::Text) if text.is_empty() => {
                    return Err("these quotation marks hold nothing to look for".to_owned());
                }
                // Signs are no words: "->" is looked for as it stands.
                (true, TextScope::Text) => TextMatch::Regex(regex::escape(text)),
            }
        }
        Value::Pattern(pieces) => pattern(pieces, scope)?,
        Value::Regex(pattern) => TextMatch::Regex(checked_regex(pattern.clone())?),
        Value::Exists | Value::Equals(_) | Value::Range { .. } | Value::Network(..) => return Ok(None),
    }))
}

fn pattern(pieces: &[Piece], scope: TextScope) -> Result<TextMatch, String> {
    let texts = || {
        pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Many | Piece::One => None,
        })
    };
    let fits = match scope {
        TextScope::Text => texts().all(|text| text.chars().all(is_word_character)),
        TextScope::Field => !texts().any(|text| text.contains(['*', '?'])),
    };
    match pieces {
        [Piece::Text(text), Piece::Many] if fits => Ok(TextMatch::Prefix(fold(text))),
        _ if fits => Ok(TextMatch::Wildcard(fold(&pieces.iter().map(as_typed).collect::<String>()))),
        _ => checked_regex(regex_of(pieces, scope)).map(TextMatch::Regex),
    }
}

fn as_typed(piece: &Piece) -> &str {
    match piece {
        Piece::Text(text) => text,
        Piece::Many => "*",
        Piece::One => "?",
    }
}

/// A regular expression for patterns that reach beyond one word (`10.0.*`, `error/time*`): in a text a star stands for what
/// is written without a space, and the ends lie at the edges of words; a field's value fits as a whole.
fn regex_of(pieces: &[Piece], scope: TextScope) -> String {
    // The same characters as `is_word_character`.
    const EDGE: &str = r"[^_\p{Alphabetic}\p{N}]";
    let (many, one) = if scope == TextScope::Text { (r"\S*", r"\S") } else { (".*", ".") };
    let body: String = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => regex::escape(text),
            Piece::Many => many.to_owned(),
            Piece::One => one.to_owned(),
        })
        .collect();
    if scope == TextScope::Field {
        return format!("(?is)^{body}$");
    }
    let at_word = |piece: Option<&Piece>, end: fn(&str) -> Option<char>| matches!(piece, Some(Piece::Text(text)) if end(text).is_some_and(is_word_character));
    let before =
        if at_word(pieces.first(), |text| text.chars().next()) { format!("(?:^|{EDGE})") } else { String::new() };
    let after =
        if at_word(pieces.last(), |text| text.chars().next_back()) { format!("(?:{EDGE}|$)") } else { String::new() };
    format!("(?i){before}{body}{after}")
}

fn checked_regex(pattern: String) -> Result<String, String> {
    match RegexBuilder::new(&pattern).size_limit(REGEX_BYTES_MAX).build() {
        Ok(_) => Ok(pattern),
        Err(regex::Error::CompiledTooBig(_)) => {
            Err("this regular expression grows too large: make its repetitions shorter".to_owned())
        }
        Err(error) => {
            // The crate draws the pattern and an arrow over several lines; the last says what is wrong.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            Err(format!("this regular expression cannot be read: {reason}; to look for the text itself, quote it"))
        }
    }
}

/// A range of numbers when every bound reads as one, of lengths of time where the values must say their units themselves, else of text.
fn range(name: &str, low: Option<&Bound>, high: Option<&Bound>) -> Result<Test, String> {
    let quantity = |bound: Option<&Bound>| {
        let bound = bound?;
        quantity::read(&bound.text).map(|quantity| (quantity, bound.included))
    };
    let quantities = (quantity(low), quantity(high));
    if quantity::unit_of(name).is_none()
        && [quantities.0, quantities.1]
            .into_iter()
            .flatten()
            .any(|(bound, _)| matches!(bound, Quantity::Nanoseconds(_)))
    {
        let seconds = |bound: Option<&Bound>, read: Option<(Quantity, bool)>| match (bound, read) {
            (None, _) => Ok(None),
            (Some(_), Some((Quantity::Nanoseconds(nanos), included))) => Ok(Some((nanos / 1e9, included))),
            (Some(bound), _) => Err(format!("write {} with its unit, as in 5m: the other bound has one", bound.text)),
        };
        return Ok(Test::Length { low: seconds(low, quantities.0)?, high: seconds(high, quantities.1)? });
    }
    let number = |read: Option<(Quantity, bool)>| {
        read.map(|(quantity, included)| match quantity {
            Quantity::Number(number) => (number, included),
            Quantity::Nanoseconds(nanos) => (nanos / quantity::unit_of(name).unwrap_or(1e9), included),
        })
    };
    let (low_number, high_number) = (number(quantities.0), number(quantities.1));
    if low_number.is_some() == low.is_some() && high_number.is_some() == high.is_some() {
        return Ok(Test::Number { low: low_number, high: high_number });
    }
    let text = |bound: Option<&Bound>| bound.map(|bound| (bound.text.clone(), bound.included));
    Ok(Test::TextRange { low: text(low), high: text(high) })
}
