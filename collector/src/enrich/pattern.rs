//! A regular expression whose named groups become fields: what `regex:` and `grok:` come to.
//!
//! Matching takes time linear in the line, whatever the pattern (the `regex` crate has neither look-around nor
//! back-references). A value that is a number or a truth value, and would be written the same again, is kept as one.

use std::borrow::Cow;

use regex::Regex;
use thiserror::Error;

use super::fields::{Fields, Given};
use super::logfmt::bare_value;
use crate::model::Value;

/// What is wrong with a pattern, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("at character {column} of the pattern: {message}")]
pub struct PatternError {
    /// Counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// What the text of a group is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number or a truth value where it is one, else text.
    Any,
    Text,
    Int,
    Float,
    Bool,
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    groups: Vec<Group>,
}

/// A capture group and the field that it fills.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) index: usize,
    pub(super) field: Box<str>,
    pub(super) kind: Kind,
}

impl Pattern {
    /// Compiles a regular expression with named groups.
    pub(super) fn of_regex(pattern: &str) -> Result<Pattern, PatternError> {
        let regex = compiled(pattern).map_err(|error| error.in_text(pattern))?;
        let names = regex.capture_names().enumerate();
        let named = names.filter_map(|(index, name)| Some(Group { index, field: name?.into(), kind: Kind::Any }));
        Pattern::new(named.collect(), regex, "name at least one group, like (?<status>[0-9]+)")
    }

    /// A pattern of these groups; `advice` says what to write when there is none.
    pub(super) fn new(groups: Vec<Group>, regex: Regex, advice: &str) -> Result<Pattern, PatternError> {
        if groups.is_empty() {
            return Err(PatternError { column: 1, message: format!("nothing of it becomes a field; {advice}") });
        }
        Ok(Pattern { regex, groups })
    }

    /// Offers what the groups hold; false when the line does not match. Of several groups for one field the last that takes
    /// part counts.
    pub(super) fn read<'a>(&self, line: &'a str, fields: &mut Fields<'a, '_>) -> bool {
        let Some(captures) = self.regex.captures(line) else { return false };
        for (at, group) in self.groups.iter().enumerate() {
            let Some(found) = captures.get(group.index) else { continue };
            let later = self.groups[at + 1..].iter().filter(|later| later.field == group.field);
            if later.map(|later| later.index).any(|index| captures.get(index).is_some()) || found.is_empty() {
                continue;
            }
            fields.offer(&group.field, group.kind.value(found.as_str()));
        }
        true
    }
}

impl Kind {
    fn value(self, text: &str) -> Given<'_> {
        let read = match self {
            Kind::Any => return bare_value(text),
            Kind::Text => None,
            Kind::Int => text.parse().ok().map(Value::Int),
            Kind::Float => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float),
            Kind::Bool => match text {
                _ if text.eq_ignore_ascii_case("true") => Some(Value::Bool(true)),
                _ if text.eq_ignore_ascii_case("false") => Some(Value::Bool(false)),
                _ => None,
            },
        };
        read.map_or(Given::Text(Cow::Borrowed(text)), Given::Other)
    }
}

/// What is wrong with a regular expression.
pub(super) struct RegexError {
    /// The byte at which it goes wrong; none when it is wrong as a whole.
    pub(super) offset: Option<usize>,
    pub(super) message: String,
}

impl RegexError {
    /// The same with its place as people count.
    pub(super) fn in_text(self, pattern: &str) -> PatternError {
        let before = self.offset.and_then(|offset| pattern.get(..offset)).unwrap_or_default();
        PatternError { column: before.chars().count() + 1, message: self.message }
    }
}

/// Compiles a regular expression, or says where it goes wrong.
pub(super) fn compiled(pattern: &str) -> Result<Regex, RegexError> {
    use regex_syntax::Error;
    let told = |offset: usize, kind: String| RegexError { offset: Some(offset), message: kind };
    // The crate's own message draws the pattern over several lines; the parser's error has the bare place.
    match regex_syntax::parse(pattern) {
        Err(Error::Parse(error)) => return Err(told(error.span().start.offset, error.kind().to_string())),
        Err(Error::Translate(error)) => return Err(told(error.span().start.offset, error.kind().to_string())),
        Err(error) => return Err(RegexError { offset: None, message: error.to_string() }),
        Ok(_) => {}
    }
    Regex::new(pattern).map_err(|error| RegexError { offset: None, message: error.to_string() })
}
