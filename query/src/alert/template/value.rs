//! What stands in a template's variables, and how Go prints it.

use std::collections::BTreeMap;
use std::fmt;

use super::number::shortest;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing: Go's `nil`, and what an unknown name of the template's data gives.
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    /// Named values of any kind: the template's data, a sample (`Labels`, `Value`), `args`.
    Map(BTreeMap<String, Value>),
    /// Labels: a name that is not there has the empty text.
    Labels(BTreeMap<String, String>),
    /// Seconds since the epoch.
    Moment(f64),
    /// Seconds.
    Span(f64),
}

impl Value {
    /// Go's truth: not zero, not empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(truth) => *truth,
            Value::Int(number) => *number != 0,
            Value::Float(number) | Value::Span(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::Labels(map) => !map.is_empty(),
            Value::Moment(_) => true,
        }
    }

    /// Go's name of the type, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Labels(_) => "map[string]string",
            Value::Moment(_) => "time.Time",
            Value::Span(_) => "time.Duration",
        }
    }

    /// The value of this name inside.
    pub(super) fn field(&self, name: &str) -> Result<Value, String> {
        match self {
            Value::Map(map) => Ok(map.get(name).cloned().unwrap_or(Value::Nil)),
            Value::Labels(map) => Ok(Value::Text(map.get(name).cloned().unwrap_or_default())),
            Value::Nil => Err(format!("there is nothing that .{name} could be read from")),
            other => Err(format!("a {} has no .{name}", other.kind())),
        }
    }
}

/// As Go's `%v` prints it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("<no value>"),
            Value::Bool(truth) => write!(f, "{truth}"),
            Value::Int(number) => write!(f, "{number}"),
            Value::Float(number) => f.write_str(&shortest(*number)),
            Value::Text(text) => f.write_str(text),
            Value::List(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    let space = if at > 0 { " " } else { "" };
                    write!(f, "{space}{item}")?;
                }
                f.write_str("]")
            }
            Value::Map(map) => write_map(f, map.iter()),
            Value::Labels(map) => write_map(f, map.iter()),
            Value::Moment(seconds) => f.write_str(&super::number::humanize_timestamp(*seconds)),
            Value::Span(seconds) => f.write_str(&super::number::go_duration(*seconds)),
        }
    }
}

fn write_map<'a, V: fmt::Display + 'a>(
    f: &mut fmt::Formatter<'_>,
    entries: impl Iterator<Item = (&'a String, &'a V)>,
) -> fmt::Result {
    f.write_str("map[")?;
    for (at, (name, value)) in entries.enumerate() {
        let space = if at > 0 { " " } else { "" };
        write!(f, "{space}{name}:{value}")?;
    }
    f.write_str("]")
}
