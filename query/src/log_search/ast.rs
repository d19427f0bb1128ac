//! What was typed, as a tree; printing it gives text that parses into the same tree.

use std::fmt;
use std::net::IpAddr;

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// Everything: no text, or `*`.
    All,
    /// All of them; at least two.
    And(Vec<Query>),
    /// At least one of them; at least two.
    Or(Vec<Query>),
    /// What it does not hold for.
    Not(Box<Query>),
    /// One condition.
    Clause(Clause),
}

/// A condition on one field, or on the text as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// The field as typed, an `@` before it included; none for a bare value and for `*:value`.
    pub field: Option<String>,
    /// What is asked of it.
    pub value: Value,
    /// Where the value starts, in characters from 1.
    pub column: usize,
    /// Where the condition starts, its field's name included.
    pub start: usize,
    /// Where it ends: the column behind its last character.
    pub end: usize,
}

impl Query {
    /// The fields that conditions name, as they were typed, and where.
    pub fn fields(&self) -> Vec<(&str, usize)> {
        match self {
            Query::All => Vec::new(),
            Query::And(parts) | Query::Or(parts) => parts.iter().flat_map(Query::fields).collect(),
            Query::Not(inner) => inner.fields(),
            Query::Clause(clause) => clause.field.iter().map(|name| (name.as_str(), clause.start)).collect(),
        }
    }
}

/// What is asked of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `field:*`, `_exists_:field`.
    Exists,
    /// A word without quotes or wildcards, its escapes taken out.
    Word(String),
    /// Text in quotes.
    Phrase(String),
    /// A word with wildcards.
    Pattern(Vec<Piece>),
    /// What stands between slashes, `\/` read as `/`.
    Regex(String),
    /// `field = value`.
    Equals(String),
    /// `[low TO high}`, and the comparisons `> >= < <=`, which are ranges with one end. At least one bound.
    Range {
        /// Lower bound.
        low: Option<Bound>,
        /// Upper bound.
        high: Option<Bound>,
    },
    /// `10.0.0.0/8`.
    Network(IpAddr, u8),
}

/// An end of a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// As typed, without quotes and escapes.
    pub text: String,
    /// Whether the bound itself belongs to the range.
    pub included: bool,
}

/// A part of a word with wildcards.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// These characters.
    Text(String),
    /// `*`: any run of characters.
    Many,
    /// `?`: any one character.
    One,
}

/// Characters that mean something in a query and stand for themselves after a backslash.
pub fn is_special(character: char) -> bool {
    character.is_whitespace() || "+-=&|><!(){}[]^\"~*?:\\/,@".contains(character)
}

/// Whether the text is a field's name that needs no quotes.
pub fn is_plain_name(text: &str) -> bool {
    text.strip_prefix('@').unwrap_or(text).starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.strip_prefix('@').unwrap_or(text).chars().all(is_name_character)
}

/// Whether the character may stand in a field's name without quotes.
pub fn is_name_character(character: char) -> bool {
    character.is_alphanumeric() || "_.-/$#".contains(character)
}

/// Whether a word means something else than itself between clauses.
pub fn is_keyword(text: &str) -> bool {
    ["and", "or", "not", "in", "to"].iter().any(|keyword| text.eq_ignore_ascii_case(keyword))
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Query::All => f.write_str("*"),
            Query::Or(parts) => join(f, parts, " OR ", |part| matches!(part, Query::Or(_))),
            Query::And(parts) => join(f, parts, " ", |part| matches!(part, Query::Or(_) | Query::And(_))),
            Query::Not(inner) => {
                f.write_str("NOT ")?;
                in_parentheses(f, inner, matches!(**inner, Query::Or(_) | Query::And(_)))
            }
            Query::Clause(clause) => clause.fmt(f),
        }
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            None => {}
            Some(name) if is_plain_name(name) => write!(f, "{name}:")?,
            Some(name) => {
                write_quoted(f, name)?;
                f.write_str(":")?;
            }
        }
        match &self.value {
            Value::Exists => f.write_str("*"),
            Value::Word(text) => write_word(f, text),
            Value::Phrase(text) => write_quoted(f, text),
            Value::Pattern(pieces) => pieces.iter().try_for_each(|piece| match piece {
                Piece::Text(text) => write_word(f, text),
                Piece::Many => f.write_str("*"),
                Piece::One => f.write_str("?"),
            }),
            Value::Regex(pattern) => write_regex(f, pattern),
            Value::Equals(text) => {
                f.write_str("=")?;
                write_quoted(f, text)
            }
            Value::Range { low, high } => {
                f.write_str(if low.as_ref().is_none_or(|bound| bound.included) { "[" } else { "{" })?;
                write_bound(f, low.as_ref())?;
                f.write_str(" TO ")?;
                write_bound(f, high.as_ref())?;
                f.write_str(if high.as_ref().is_none_or(|bound| bound.included) { "]" } else { "}" })
            }
            Value::Network(address, length) => write!(f, "{address}/{length}"),
        }
    }
}

fn join(f: &mut fmt::Formatter<'_>, parts: &[Query], between: &str, needs: fn(&Query) -> bool) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(between)?;
        }
        in_parentheses(f, part, needs(part))?;
    }
    Ok(())
}

fn in_parentheses(f: &mut fmt::Formatter<'_>, query: &Query, needed: bool) -> fmt::Result {
    if needed { write!(f, "({query})") } else { write!(f, "{query}") }
}

fn write_word(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|c| if is_special(c) { write!(f, "\\{c}") } else { write!(f, "{c}") })
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    text.chars().try_for_each(|c| if matches!(c, '"' | '\\') { write!(f, "\\{c}") } else { write!(f, "{c}") })?;
    f.write_str("\"")
}

/// A backslash and what it escapes go out as one, so that an escaped backslash before a slash stays one.
fn write_regex(f: &mut fmt::Formatter<'_>, pattern: &str) -> fmt::Result {
    f.write_str("/")?;
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                write!(f, "\\")?;
                characters.next().map_or(Ok(()), |escaped| write!(f, "{escaped}"))?;
            }
            '/' => f.write_str("\\/")?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("/")
}

fn write_bound(f: &mut fmt::Formatter<'_>, bound: Option<&Bound>) -> fmt::Result {
    match bound {
        None => f.write_str("*"),
        Some(bound) => write_quoted(f, &bound.text),
    }
}
