//! The functions that a template can call: Go's own and Prometheus' (`template/template.go`).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

use super::evaluate::Evaluator;
use super::number::{humanize, humanize_1024, humanize_duration, humanize_percentage, humanize_timestamp};
use super::value::Value;
use super::{TemplateError, printf};
use crate::alert::rule::parse_duration;

const NAMES: [&str; 47] = [
    "and",
    "or",
    "not",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "len",
    "index",
    "slice",
    "print",
    "println",
    "printf",
    "html",
    "urlquery",
    "query",
    "first",
    "label",
    "value",
    "strvalue",
    "sortByLabel",
    "args",
    "tmpl",
    "reReplaceAll",
    "match",
    "title",
    "toUpper",
    "toLower",
    "graphLink",
    "tableLink",
    "urlQueryEscape",
    "safeHtml",
    "stripPort",
    "stripDomain",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "toTime",
    "toDuration",
    "now",
    "parseDuration",
    "pathPrefix",
    "externalURL",
];

/// Whether there is a function of this name.
pub(super) fn is_function(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Calls a function.
pub(super) fn call(evaluator: &mut Evaluator<'_>, name: &str, arguments: Vec<Value>) -> Result<Value, TemplateError> {
    let result = match name {
        "query" => query(evaluator, arguments),
        "tmpl" => return template(evaluator, arguments),
        "now" => Ok(Value::Float(evaluator.context.now.unix_seconds())),
        "externalURL" => Ok(Value::Text(evaluator.context.external_url.to_owned())),
        "pathPrefix" => Ok(Value::Text(path_of(evaluator.context.external_url).to_owned())),
        _ => pure(name, arguments),
    };
    result.map_err(|message| TemplateError(format!("{name}: {message}")))
}

fn pure(name: &str, arguments: Vec<Value>) -> Result<Value, String> {
    let text = |value: &str| Ok(Value::Text(value.to_owned()));
    match (name, &arguments[..]) {
        ("not", [value]) => Ok(Value::Bool(!value.is_true())),
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            let equal = others.iter().map(|other| compare(first, other)).collect::<Result<Vec<_>, _>>()?;
            Ok(Value::Bool(equal.contains(&Some(Ordering::Equal))))
        }
        ("ne", [a, b]) => Ok(Value::Bool(compare(a, b)? != Some(Ordering::Equal))),
        ("lt", [a, b]) => Ok(Value::Bool(compare(a, b)? == Some(Ordering::Less))),
        ("le", [a, b]) => Ok(Value::Bool(matches!(compare(a, b)?, Some(Ordering::Less | Ordering::Equal)))),
        ("gt", [a, b]) => Ok(Value::Bool(compare(a, b)? == Some(Ordering::Greater))),
        ("ge", [a, b]) => Ok(Value::Bool(matches!(compare(a, b)?, Some(Ordering::Greater | Ordering::Equal)))),
        ("len", [value]) => length(value),
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), |value, key| index(&value, key)),
        ("slice", [Value::Text(value), bounds @ ..]) => slice(value, bounds),
        ("print", values) => Ok(Value::Text(printf::print(values))),
        ("println", values) => {
            Ok(Value::Text(values.iter().map(Value::to_string).collect::<Vec<_>>().join(" ") + "\n"))
        }
        ("printf", [Value::Text(format), values @ ..]) => printf::printf(format, values).map(Value::Text),
        ("html", values) => Ok(Value::Text(escape_html(&printf::print(values)))),
        ("urlquery", values) => Ok(Value::Text(escape_query(&printf::print(values)))),
        ("urlQueryEscape", [Value::Text(value)]) => Ok(Value::Text(escape_query(value))),
        ("safeHtml", [Value::Text(value)]) => text(value),
        ("first", [Value::List(items)]) => items.first().cloned().ok_or_else(|| "the list is empty".to_owned()),
        ("value", [sample]) => sample.field("Value"),
        ("label", [Value::Text(label), sample]) => sample.field("Labels")?.field(label),
        ("strvalue", [sample]) => sample.field("Labels")?.field("__value__"),
        ("sortByLabel", [Value::Text(label), Value::List(items)]) => sort_by_label(label, items),
        ("args", values) => {
            let named = values.iter().enumerate().map(|(at, value)| (format!("arg{at}"), value.clone()));
            Ok(Value::Map(named.collect::<BTreeMap<_, _>>()))
        }
        ("reReplaceAll", [Value::Text(pattern), Value::Text(replacement), Value::Text(value)]) => {
            text(&regex(pattern)?.replace_all(value, replacement.as_str()))
        }
        ("match", [Value::Text(pattern), Value::Text(value)]) => Ok(Value::Bool(regex(pattern)?.is_match(value))),
        ("title", [Value::Text(value)]) => Ok(Value::Text(title(value))),
        ("toUpper", [Value::Text(value)]) => Ok(Value::Text(value.to_uppercase())),
        ("toLower", [Value::Text(value)]) => Ok(Value::Text(value.to_lowercase())),
        ("graphLink", [Value::Text(expr)]) => {
            Ok(Value::Text(format!("/graph?g0.expr={}&g0.tab=0", escape_query(expr))))
        }
        ("tableLink", [Value::Text(expr)]) => {
            Ok(Value::Text(format!("/graph?g0.expr={}&g0.tab=1", escape_query(expr))))
        }
        ("stripPort", [Value::Text(value)]) => text(split_port(value).map_or(value.as_str(), |(host, _)| host)),
        ("stripDomain", [Value::Text(value)]) => Ok(Value::Text(strip_domain(value))),
        ("humanize", [value]) => number(value).map(|n| Value::Text(humanize(n))),
        ("humanize1024", [value]) => number(value).map(|n| Value::Text(humanize_1024(n))),
        ("humanizeDuration", [value]) => number(value).map(|n| Value::Text(humanize_duration(n))),
        ("humanizePercentage", [value]) => number(value).map(|n| Value::Text(humanize_percentage(n))),
        ("humanizeTimestamp", [value]) => number(value).map(|n| Value::Text(humanize_timestamp(n))),
        ("toTime", [value]) => number(value).map(Value::Moment),
        ("toDuration", [value]) => number(value).map(Value::Span),
        ("parseDuration", [Value::Text(value)]) => parse_duration(value).map(|span| Value::Float(span.as_secs_f64())),
        (_, values) => {
            let kinds: Vec<&str> = values.iter().map(Value::kind).collect();
            Err(format!("it cannot be called with ({})", kinds.join(", ")))
        }
    }
}

fn query(evaluator: &mut Evaluator<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    let [Value::Text(text)] = &arguments[..] else { return Err("write query \"PromQL\"".to_owned()) };
    let found = (evaluator.context.query)(text)?;
    let sample = |sample: crate::promql::InstantValue| {
        let labels = sample.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Value::Map(BTreeMap::from([
            ("Labels".to_owned(), Value::Labels(labels)),
            ("Value".to_owned(), Value::Float(sample.value)),
        ]))
    };
    Ok(Value::List(found.into_iter().map(sample).collect()))
}

fn template(evaluator: &mut Evaluator<'_>, arguments: Vec<Value>) -> Result<Value, TemplateError> {
    match &arguments[..] {
        [Value::Text(name), data] => evaluator.defined(name, data).map(Value::Text),
        _ => Err(TemplateError("write tmpl \"name\" data".to_owned())),
    }
}

/// None when one of them is no number (NaN), an error when the two are of different kinds.
fn compare(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (Value::Bool(a), Value::Bool(b)) => Ok(Some(a.cmp(b))),
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Nil, Value::Nil) => Ok(Some(Ordering::Equal)),
        (Value::Nil, _) | (_, Value::Nil) => Ok(None),
        _ => match (plain_number(a), plain_number(b)) {
            (Some(a), Some(b)) => Ok(a.partial_cmp(&b)),
            _ => Err(format!("a {} and a {} cannot be compared", a.kind(), b.kind())),
        },
    }
}

fn plain_number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) | Value::Span(number) | Value::Moment(number) => Some(*number),
        _ => None,
    }
}

/// The number that a value is or, for text, reads as.
fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Text(text) => match text.trim() {
            "+Inf" | "Inf" => Ok(f64::INFINITY),
            "-Inf" => Ok(f64::NEG_INFINITY),
            "NaN" => Ok(f64::NAN),
            text => text.parse().map_err(|_| format!("{text:?} is no number")),
        },
        other => plain_number(other).ok_or_else(|| format!("a {} is no number", other.kind())),
    }
}

fn length(value: &Value) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.len(),
        Value::Labels(map) => map.len(),
        other => return Err(format!("a {} has no length", other.kind())),
    };
    Ok(Value::Int(length as i64))
}

fn index(value: &Value, key: &Value) -> Result<Value, String> {
    match (value, key) {
        (Value::List(items), Value::Int(at)) => {
            let item = usize::try_from(*at).ok().and_then(|at| items.get(at));
            item.cloned().ok_or_else(|| format!("index {at} lies outside of the {} items", items.len()))
        }
        (Value::Map(_) | Value::Labels(_), Value::Text(name)) => value.field(name),
        (value, key) => Err(format!("a {} cannot be indexed with a {}", value.kind(), key.kind())),
    }
}

fn slice(text: &str, bounds: &[Value]) -> Result<Value, String> {
    let bound = |at: usize, default: usize| match bounds.get(at) {
        None => Ok(default),
        Some(Value::Int(n)) => usize::try_from(*n).map_err(|_| "a bound lies before the start".to_owned()),
        Some(other) => Err(format!("a {} is no bound", other.kind())),
    };
    let (from, to) = (bound(0, 0)?, bound(1, text.len())?);
    let part = if from <= to { text.get(from..to) } else { None };
    part.map(|part| Value::Text(part.to_owned()))
        .ok_or_else(|| format!("the bounds {from}:{to} lie outside of the text"))
}

fn sort_by_label(label: &str, items: &[Value]) -> Result<Value, String> {
    let keyed = items.iter().map(|item| Ok((item.field("Labels")?.field(label)?.to_string(), item.clone())));
    let mut keyed = keyed.collect::<Result<Vec<_>, String>>()?;
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Value::List(keyed.into_iter().map(|(_, item)| item).collect()))
}

fn regex(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(1 << 20).build().map_err(|_| format!("{pattern:?} is no regular expression"))
}

/// `strings.Title`: the first letter of every word in capitals.
fn title(text: &str) -> String {
    let mut inside = false;
    let capital = |c: char| {
        let starts = !inside && c.is_alphabetic();
        inside = c.is_alphanumeric() || c == '_' || c == '\'';
        if starts { c.to_uppercase().collect::<String>() } else { c.to_string() }
    };
    text.chars().map(capital).collect()
}

/// Host and port as `net.SplitHostPort` sees them.
fn split_port(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once("]:");
    }
    text.split_once(':').filter(|(_, port)| !port.contains(':'))
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_port(text).map_or((text, ""), |split| split);
    if host.parse::<std::net::IpAddr>().is_ok() {
        return text.to_owned();
    }
    let name = host.split('.').next().unwrap_or(host);
    if port.is_empty() { name.to_owned() } else { format!("{name}:{port}") }
}

/// The path of a URL, without a slash at its end.
fn path_of(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("", |at| &after_scheme[at..]);
    path.split(['?', '#']).next().unwrap_or(path).trim_end_matches('/')
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// `url.QueryEscape`.
fn escape_query(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            b' ' => escaped.push('+'),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
