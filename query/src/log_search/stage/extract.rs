//! `extract "took=<ms> for <user>" from message`, `extract /took=(?<ms>\d+)/`: fields out of texts.
//!
//! A pattern is text with names in angle brackets: the first text is looked for, and each name takes what stands up to the next
//! text, the last one all that is left; `<_>` takes and forgets. A regular expression gives its named groups. A row in which the
//! pattern is not found stays as it is.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use taffrail_collector::model::Value;
use taffrail_ingest::log_store::Field;
use taffrail_ingest::log_store::field::SHORT_NAMES;

use super::super::ParseError;
use super::super::row::Row;
use super::arguments::{Arguments, error_at};
use super::shape::{ColumnKind, Fields, Shape};
use super::{Each, Parsed, Stage, Syntax, Work, parsed};

pub(super) const SYNTAX: Syntax = Syntax {
    name: "extract",
    usage: "extract \"text <name> text\" [from field], extract /regex with (?<name>…)/ [from field]",
    purpose: "takes fields out of a text",
    parse,
};

/// Bytes of a compiled regular expression, as for those of a search.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// Names in one pattern.
const NAMES_MAX: usize = 100;

#[derive(Debug)]
struct Extract {
    how: How,
    from: Field,
    names: Vec<Arc<str>>,
}

#[derive(Debug)]
enum How {
    /// The text before each name, and the one behind the last; none is a name that is forgotten.
    Pattern {
        first: String,
        parts: Vec<(Option<Arc<str>>, String)>,
    },
    Regex {
        regex: Regex,
        groups: Vec<(usize, Arc<str>)>,
    },
}

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    const HOW: &str = "extract \"took=<ms> for <user>\" from message";
    let column = arguments.column();
    let how = match arguments.regex() {
        Some(pattern) => regex(&pattern),
        None => pattern(&arguments.quoted(HOW)?),
    };
    let how = how.map_err(|message| error_at(column, message))?;
    let names: Vec<Arc<str>> = match &how {
        How::Pattern { parts, .. } => parts.iter().filter_map(|(name, _)| name.clone()).collect(),
        How::Regex { groups, .. } => groups.iter().map(|(_, name)| name.clone()).collect(),
    };
    if names.is_empty() {
        return Err(error_at(column, format!("no name stands in this pattern: write {HOW}")));
    }
    if names.len() > NAMES_MAX {
        return Err(error_at(column, format!("a pattern has at most {NAMES_MAX} names")));
    }
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return Err(error_at(column, format!("`{name}` stands twice in this pattern")));
        }
        if *arguments.shape() == Shape::Records && SHORT_NAMES.contains(&&**name) {
            let message = format!("`{name}` is a field that every record has of its own: take another name");
            return Err(error_at(column, message));
        }
    }
    let from = match arguments.take_word("from") {
        true => arguments.field(HOW)?.field(),
        false => message_of(arguments, HOW)?,
    };
    let shape = names.iter().fold(arguments.shape().clone(), |shape, name| shape.with(name, ColumnKind::Text));
    parsed(Extract { how, from, names }, shape)
}

/// The field that is read when none is named.
pub(super) fn message_of(arguments: &mut Arguments<'_>, how: &str) -> Result<Field, ParseError> {
    let there = match arguments.shape() {
        Shape::Records => true,
        Shape::Table { columns, open } => *open || columns.iter().any(|column| &*column.name == "message"),
    };
    if there {
        Ok(Field::Message)
    } else {
        Err(arguments.error(format!("there is no column `message` here: write {how}")))
    }
}

fn pattern(text: &str) -> Result<How, String> {
    let mut rest = text;
    let mut texts = vec![String::new()];
    let mut names = Vec::new();
    while let Some((before, behind)) = rest.split_once('<') {
        texts.last_mut().expect("starts with one").push_str(before);
        match behind.split_once('>') {
            Some((name, behind))
                if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_.-@".contains(c)) =>
            {
                if texts.len() > 1 && texts.last().is_some_and(String::is_empty) {
                    return Err(format!("some text has to stand before <{name}>, to tell where it begins"));
                }
                names.push((name != "_").then(|| Arc::from(name)));
                texts.push(String::new());
                rest = behind;
            }
            // A bracket that holds no name is text.
            _ => {
                texts.last_mut().expect("starts with one").push('<');
                rest = behind;
            }
        }
    }
    texts.last_mut().expect("starts with one").push_str(rest);
    let mut texts = texts.into_iter();
    let first = texts.next().unwrap_or_default();
    Ok(How::Pattern { first, parts: names.into_iter().zip(texts).collect() })
}

fn regex(pattern: &str) -> Result<How, String> {
    let regex = RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).build();
    let regex = regex.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            "this regular expression grows too large: make its repetitions shorter".to_owned()
        }
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default();
            format!("this regular expression cannot be read: {}", reason.strip_prefix("error: ").unwrap_or(reason))
        }
    })?;
    let groups = regex.capture_names().enumerate().filter_map(|(at, name)| Some((at, Arc::from(name?)))).collect();
    Ok(How::Regex { regex, groups })
}

impl Extract {
    fn found(&self, text: &str) -> Option<Vec<(Arc<str>, String)>> {
        match &self.how {
            How::Pattern { first, parts } => {
                let mut rest = &text[text.find(first.as_str())? + first.len()..];
                let mut found = Vec::new();
                for (name, behind) in parts {
                    let end = if behind.is_empty() { rest.len() } else { rest.find(behind.as_str())? };
                    if let Some(name) = name {
                        found.push((name.clone(), rest[..end].to_owned()));
                    }
                    rest = &rest[end + behind.len()..];
                }
                Some(found)
            }
            How::Regex { regex, groups } => {
                let captures = regex.captures(text)?;
                let group =
                    |(at, name): &(usize, Arc<str>)| Some((name.clone(), captures.get(*at)?.as_str().to_owned()));
                Some(groups.iter().filter_map(group).collect())
            }
        }
    }
}

impl Stage for Extract {
    fn reads(&self, wanted: Fields) -> Fields {
        // What is not found keeps what it was.
        wanted.and([self.from.name()])
    }

    fn rows(&self, wanted: Option<usize>) -> Option<usize> {
        wanted
    }

    fn work(&self, _: Option<usize>) -> Work<'_> {
        Work::Each(self)
    }
}

impl Each for Extract {
    fn each(&self, mut row: Row) -> Option<Row> {
        let found = row.view().text(&self.from).and_then(|text| self.found(&text)).unwrap_or_default();
        for (name, text) in found {
            row.set(&name, Value::String(text));
        }
        if let Row::Table(row) = &mut row {
            row.complete(&self.names);
        }
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{check, check_refused};

    #[test]
    fn a_pattern_takes_what_stands_between_its_texts() {
        check(r#"n:3 | extract "<verb> <number> <code>" | fields verb, number, code"#, &["verb=GET number=3 code=200"]);
        check(r#"n:3 | extract "GET <_> <code>" from message | fields code"#, &["code=200"]);
        check(r#"n:3 | extract "POST <x>" | fields x, n"#, &["x= n=3"]);
        check(r#"n:3 | extract "/<page>" from path | fields page"#, &["page=pay"]);
        check(r#"n:3 | fields path | extract "p<rest>" from path"#, &["path=/pay rest=ay"]);
        check(
            r#"service:web | extract "GET <_> <code>" | stats sum(code) by code | head 1"#,
            &["code=200 sum_code=1200"],
        );
        check(r#"n:3 | extract "a < b <x>" | fields x"#, &["x="]);
    }

    #[test]
    fn a_regular_expression_gives_its_named_groups() {
        check(r"n:3 | extract /(?<verb>\w+) \d+ (?<code>4..)?/ | fields verb, code", &["verb=GET code="]);
        check(r"service:db | extract /cost.:(?<cost>[0-9.]+)/ | stats max(cost)", &["max_cost=1.5"]);
    }

    #[test]
    fn patterns_are_checked() {
        check_refused("a | extract", 12, "text in quotes is missing");
        check_refused("a | extract \"x\"", 13, "no name stands");
        check_refused("a | extract \"<a><b>\"", 13, "before <b>");
        check_refused("a | extract \"<a> <a>\"", 13, "twice");
        check_refused("a | extract \"<host>\"", 13, "of its own");
        check_refused("a | extract /x(?<y>/", 13, "unclosed group");
        check_refused("a | extract /(?<y>a{1000}){1000}/", 13, "too large");
        check_refused("a | stats count() | extract \"<x>\"", 34, "no column `message`");
    }
}
