//! `parse_json`, `parse_json from payload prefix p.`: the members of an object as fields, nested ones under dotted names.
//!
//! A record keeps its own fields (`message`, `level`, `host` …): members of those names are reached with a prefix. Text that is no
//! object gives nothing.

use std::sync::Arc;

use serde_json::Value as Json;
use taffrail_collector::model::Value;
use taffrail_ingest::log_store::Field;
use taffrail_ingest::log_store::field::SHORT_NAMES;

use super::super::ParseError;
use super::super::row::Row;
use super::arguments::Arguments;
use super::extract::message_of;
use super::shape::{Fields, Shape};
use super::{Each, Parsed, Stage, Syntax, Work, parsed};

pub(super) const SYNTAX: Syntax = Syntax {
    name: "parse_json",
    usage: "parse_json [from field] [prefix name]",
    purpose: "makes fields of a JSON object's members",
    parse,
};

/// Members of one object that become fields.
const MEMBERS_MAX: usize = 1_000;

/// Reads named values out of a text, for this stage and `parse_logfmt`.
#[derive(Debug)]
pub(super) struct Unpack {
    from: Field,
    prefix: String,
    read: fn(&str) -> Vec<(String, Value)>,
}

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    unpack(arguments, "parse_json from payload prefix p.", members)
}

/// Reads `[from field] [prefix name]`.
pub(super) fn unpack(
    arguments: &mut Arguments<'_>,
    how: &str,
    read: fn(&str) -> Vec<(String, Value)>,
) -> Result<Parsed, ParseError> {
    let (mut from, mut prefix) = (None, String::new());
    while !arguments.at_end() {
        if from.is_none() && arguments.take_word("from") {
            from = Some(arguments.field(how)?.field());
        } else if prefix.is_empty() && arguments.take_word("prefix") {
            prefix = arguments.new_name(how)?.text;
        } else {
            break;
        }
    }
    let from = from.map_or_else(|| message_of(arguments, how), Ok)?;
    let shape = match arguments.shape().clone() {
        Shape::Records => Shape::Records,
        Shape::Table { columns, .. } => Shape::Table { columns, open: true },
    };
    parsed(Unpack { from, prefix, read }, shape)
}

/// The members of the object that the text is.
fn members(text: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    if text.trim_start().starts_with('{')
        && let Ok(Json::Object(object)) = serde_json::from_str(text)
    {
        object.into_iter().for_each(|(name, value)| flatten(name, value, &mut found));
    }
    found
}

fn flatten(name: String, json: Json, found: &mut Vec<(String, Value)>) {
    if found.len() >= MEMBERS_MAX {
        return;
    }
    match json {
        Json::Object(object) => {
            object.into_iter().for_each(|(inner, value)| flatten(format!("{name}.{inner}"), value, found));
        }
        other => found.push((name, plain(other))),
    }
}

/// A value that is no object; objects in lists stay JSON text, numbers that nothing holds their digits.
fn plain(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(truth),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(float)) if !number.is_u64() && float.is_finite() => Value::Float(float),
            _ => Value::String(number.to_string()),
        },
        Json::String(text) => Value::String(text),
        Json::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
        object @ Json::Object(_) => Value::String(object.to_string()),
    }
}

impl Stage for Unpack {
    fn reads(&self, wanted: Fields) -> Fields {
        wanted.and([self.from.name()])
    }

    fn rows(&self, wanted: Option<usize>) -> Option<usize> {
        wanted
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Each(self)
    }
}

impl Each for Unpack {
    fn each(&self, mut row: Row) -> Option<Row> {
        let found = row.view().text(&self.from).map(|text| (self.read)(&text)).unwrap_or_default();
        let of_record = matches!(row, Row::Record(_));
        for (name, value) in found {
            let name = Arc::from(format!("{}{name}", self.prefix));
            if !(of_record && SHORT_NAMES.contains(&&*name)) {
                row.set(&name, value);
            }
        }
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{MORNING, check, check_refused};
    use super::*;

    #[test]
    fn members_become_fields() {
        check("service:db | parse_json | fields query, plan.cost | head 1", &["query=select 3 plan.cost=1.5"]);
        check("service:db | parse_json prefix x. | stats sum(x.plan.cost)", &["sum_x.plan.cost=3"]);
        check("service:web | parse_json | stats count() by query", &["query= count=10"]);
        check("service:db | parse_json | where plan.cost:>1", &[r#"{"query":"select 3","plan":{"cost":1.5}}"#]);
        let rows = MORNING.ask("service:db | fields message | parse_json | drop message | where query:1", 10).0;
        assert_eq!(rows, ["query=select 1 plan.cost=0.5"]);
        check_refused("a | parse_json form x", 16, "ends before this: write parse_json [from field]");
        check_refused("a | stats count() | parse_json", 31, "no column `message`");
    }

    #[test]
    fn values_keep_what_they_are() {
        let check = |text: &str, expected: &[(&str, Value)]| {
            let expected: Vec<(String, Value)> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            assert_eq!(members(text), expected, "{text}");
        };
        check(
            r#" {"a":{"b":{"c":1}},"d":[1,{"e":2}]} "#,
            &[("a.b.c", Value::Int(1)), ("d", Value::Array(vec![Value::Int(1), r#"{"e":2}"#.into()]))],
        );
        check(
            r#"{"a":18446744073709551615,"b":0.5,"c":null}"#,
            &[("a", "18446744073709551615".into()), ("b", Value::Float(0.5)), ("c", Value::Null)],
        );
        for text in ["", "x", "[1]", "{", "{\"a\":1} x", &"{\"a\":".repeat(5_000)] {
            check(text, &[]);
        }
    }
}
