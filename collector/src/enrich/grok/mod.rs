//! Grok: regular expressions put together from named pieces, `%{IP:client.address} %{NUMBER:took:float}`.
//!
//! `%{NAME}` stands for the pattern of that name, `%{NAME:field}` also keeps what it matches, `%{NAME:field:int}` as a whole
//! number (`int`, `long`, `float`, `double`, `bool`, `string`). Fields may be written in Logstash's way, `[a][b]` for `a.b`.
//! Everything else is regular expression, named groups included. What the `regex` crate lacks (look-around, atomic groups)
//! is refused with its place. The patterns that everybody uses stand in [`library`]; own ones come before them.

mod library;

use std::collections::BTreeMap;

use super::KEY_BYTES_MAX;
use super::pattern::{Group, Kind, Pattern, PatternError, compiled};

/// Patterns inside patterns, at most so deep; a circle ends here.
const NESTING_MAX: usize = 24;
/// Bytes of the whole regular expression.
const EXPANDED_BYTES_MAX: usize = 256 << 10;
/// Group names of ours, which no one writes by accident.
const GROUP_PREFIX: &str = "taffrail_";

/// The names that patterns may use: the library's and own ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    own: BTreeMap<String, String>,
}

impl Names {
    /// The library and, before it, these.
    pub(super) fn new(own: BTreeMap<String, String>) -> Names {
        Names { own }
    }

    /// Whether every own pattern compiles; if not, which does not.
    pub(super) fn check(&self) -> Result<(), (String, PatternError)> {
        for (name, pattern) in &self.own {
            let error = |error| (name.clone(), error);
            if name.is_empty() || !name.bytes().all(is_name_byte) {
                let message = "its name has other characters than letters, digits and underscores".to_owned();
                return Err(error(PatternError { column: 1, message }));
            }
            self.expand(pattern).and_then(|expansion| expansion.regex(pattern)).map_err(error)?;
        }
        Ok(())
    }

    /// Compiles a pattern.
    pub(super) fn compile(&self, pattern: &str) -> Result<Pattern, PatternError> {
        let expansion = self.expand(pattern)?;
        let regex = expansion.regex(pattern)?;
        let mut groups = Vec::new();
        for (index, name) in regex.capture_names().enumerate() {
            let Some(name) = name else { continue };
            groups.push(match name.strip_prefix(GROUP_PREFIX).and_then(|number| number.parse::<usize>().ok()) {
                Some(number) if number < expansion.fields.len() => {
                    let (field, kind) = &expansion.fields[number];
                    Group { index, field: field.as_str().into(), kind: *kind }
                }
                _ => Group { index, field: name.into(), kind: Kind::Any },
            });
        }
        Pattern::new(groups, regex, "name a field, like %{IP:client.address}")
    }

    fn pattern_of(&self, name: &str) -> Option<&str> {
        self.own.get(name).map(String::as_str).or_else(|| library::pattern_of(name))
    }

    fn expand(&self, pattern: &str) -> Result<Expansion, PatternError> {
        let mut expansion = Expansion::default();
        let mut at = 0;
        while at < pattern.len() {
            let rest = &pattern[at..];
            expansion.pieces.push((expansion.text.len(), at));
            if !rest.starts_with("%{") {
                let length = literal_length(rest);
                expansion.text.push_str(&rest[..length]);
                expansion.pieces.push((expansion.text.len(), at + length));
                at += length;
                continue;
            }
            let wrong = |message: String| PatternError { column: pattern[..at].chars().count() + 1, message };
            let length = rest.find('}').ok_or_else(|| wrong("%{ has no } behind it".to_owned()))? + 1;
            let reference = Reference::read(&rest[2..length - 1]).map_err(wrong)?;
            self.refer(&reference, &mut expansion, 0).map_err(wrong)?;
            expansion.references.push((at, expansion.pieces.last().map_or(0, |piece| piece.0)..expansion.text.len()));
            at += length;
        }
        Ok(expansion)
    }

    /// Appends what a reference stands for.
    fn refer(&self, reference: &Reference<'_>, into: &mut Expansion, depth: usize) -> Result<(), String> {
        let name = reference.name;
        let pattern = self.pattern_of(name).ok_or_else(|| self.unknown(name))?;
        if depth >= NESTING_MAX {
            return Err(format!(
                "the pattern {name} leads to itself, or patterns are nested deeper than {NESTING_MAX}"
            ));
        }
        match &reference.field {
            Some((field, kind)) => {
                into.text.push_str(&format!("(?<{GROUP_PREFIX}{}>", into.fields.len()));
                into.fields.push((field.clone(), *kind));
            }
            None => into.text.push_str("(?:"),
        }
        let mut at = 0;
        while at < pattern.len() {
            let rest = &pattern[at..];
            if !rest.starts_with("%{") {
                let length = literal_length(rest);
                into.text.push_str(&rest[..length]);
                at += length;
                continue;
            }
            let length = rest.find('}').ok_or_else(|| format!("in the pattern {name}: %{{ has no }} behind it"))? + 1;
            let inner =
                Reference::read(&rest[2..length - 1]).map_err(|error| format!("in the pattern {name}: {error}"))?;
            self.refer(&inner, into, depth + 1)?;
            at += length;
        }
        into.text.push(')');
        if into.text.len() > EXPANDED_BYTES_MAX {
            return Err(format!("the pattern has more than {EXPANDED_BYTES_MAX} bytes with all that it refers to"));
        }
        Ok(())
    }

    fn unknown(&self, name: &str) -> String {
        let known = self.own.keys().map(String::as_str).chain(library::names().map(|name| -> &str { name }));
        let is_alike = |known: &&str| known.eq_ignore_ascii_case(name) || known.starts_with(name);
        match known.filter(is_alike).min_by_key(|known| known.len()) {
            Some(alike) => format!("no pattern is called {name:?}; did you mean {alike}?"),
            None => format!("no pattern is called {name:?}; collector.lines.grok_patterns can say what it is"),
        }
    }
}

/// A pattern with everything put in.
#[derive(Debug, Default)]
struct Expansion {
    text: String,
    /// The field and the kind of each group of ours, by its number.
    fields: Vec<(String, Kind)>,
    /// Where a piece begins here, and in the pattern as it was written.
    pieces: Vec<(usize, usize)>,
    /// Where a `%{` stands in the pattern as it was written, and what of the text it became.
    references: Vec<(usize, std::ops::Range<usize>)>,
}

impl Expansion {
    fn regex(&self, written: &str) -> Result<regex::Regex, PatternError> {
        compiled(&self.text).map_err(|mut error| {
            error.offset = error.offset.map(|offset| self.written_at(offset));
            error.in_text(written)
        })
    }

    /// The place in the pattern as it was written; a whole reference is one place.
    fn written_at(&self, offset: usize) -> usize {
        if let Some((at, _)) = self.references.iter().find(|(_, range)| range.contains(&offset)) {
            return *at;
        }
        let piece = self.pieces.iter().rev().find(|(start, _)| *start <= offset);
        piece.map_or(0, |(start, written)| written + (offset - start))
    }
}

/// What stands between `%{` and `}`.
struct Reference<'a> {
    name: &'a str,
    field: Option<(String, Kind)>,
}

impl<'a> Reference<'a> {
    fn read(inside: &'a str) -> Result<Reference<'a>, String> {
        let mut parts = inside.splitn(3, ':');
        let name = parts.next().unwrap_or_default().trim();
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err(format!("{name:?} is no name of a pattern"));
        }
        let Some(field) = parts.next() else { return Ok(Reference { name, field: None }) };
        let kind = match parts.next().map(str::trim) {
            None => Kind::Any,
            Some("string") => Kind::Text,
            Some("int" | "long" | "integer") => Kind::Int,
            Some("float" | "double") => Kind::Float,
            Some("bool" | "boolean") => Kind::Bool,
            Some(kind) => return Err(format!("{kind:?} is none of the kinds int, float, bool, string")),
        };
        let field = dotted(field.trim());
        if field.is_empty() || field.len() > KEY_BYTES_MAX {
            return Err(format!("a field's name has 1 to {KEY_BYTES_MAX} bytes"));
        }
        Ok(Reference { name, field: Some((field, kind)) })
    }
}

/// `[a][b]` is `a.b`.
fn dotted(field: &str) -> String {
    match field.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.replace("][", "."),
        None => field.to_owned(),
    }
}

/// Bytes before the next `%{`, at least one character. What is escaped is passed over with its backslash.
fn literal_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
            b'%' if bytes.get(at + 1) == Some(&b'{') && at > 0 => return at,
            _ => at += 1,
        }
    }
    at
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests;
