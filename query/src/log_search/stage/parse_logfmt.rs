//! `parse_logfmt`, `parse_logfmt from rest prefix p.`: the `name=value` pairs of a text as fields.
//!
//! Pairs stand between spaces; a value in quotes takes them in, `\"` and `\\` are escapes in it. Words that are no pair are passed over.

use taffrail_collector::model::Value;

use super::super::ParseError;
use super::arguments::Arguments;
use super::parse_json::unpack;
use super::{Parsed, Syntax};

pub(super) const SYNTAX: Syntax = Syntax {
    name: "parse_logfmt",
    usage: "parse_logfmt [from field] [prefix name]",
    purpose: "makes fields of name=value pairs",
    parse,
};

/// Pairs of one text that become fields.
const PAIRS_MAX: usize = 1_000;

fn parse(arguments: &mut Arguments<'_>) -> Result<Parsed, ParseError> {
    unpack(arguments, "parse_logfmt from rest prefix p.", pairs)
}

fn pairs(text: &str) -> Vec<(String, Value)> {
    let mut found: Vec<(String, Value)> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && found.len() < PAIRS_MAX {
        let end = rest.find(|c: char| c.is_whitespace() || "=\"".contains(c)).unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        match rest.strip_prefix('=').filter(|_| !name.is_empty()) {
            Some(behind) => {
                let (value, behind) = value(behind);
                found.retain(|(other, _)| other != name);
                found.push((name.to_owned(), Value::String(value)));
                rest = behind;
            }
            // No pair: on to the next space.
            None => rest = &rest[rest.find(char::is_whitespace).unwrap_or(rest.len())..],
        }
        rest = rest.trim_start();
    }
    found
}

/// A value and what stands behind it.
fn value(text: &str) -> (String, &str) {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => return (value, &quoted[at + 1..]),
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                    Some((_, other)) => value.extend(['\\', other]),
                    None => break,
                },
                c => value.push(c),
            }
        }
        // A quotation mark that is not closed is part of the value.
    }
    let (value, behind) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    (value.to_owned(), behind)
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::check as check_rows;
    use super::*;

    #[test]
    fn pairs_become_fields() {
        let check = |text: &str, expected: &[(&str, &str)]| {
            let expected: Vec<(String, Value)> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
            assert_eq!(pairs(text), expected, "{text}");
        };
        check("a=1 b=two", &[("a", "1"), ("b", "two")]);
        check("  note a=\"x y\" \"q\" b= c", &[("a", "x y"), ("b", "")]);
        check(r#"a="say \"no\" \\ \n" b=1"#, &[("a", r#"say "no" \ \n"#), ("b", "1")]);
        check("a=\"open b=1", &[("a", "\"open"), ("b", "1")]);
        check("a=1 a=2", &[("a", "2")]);
        check("a==b =x é=ü", &[("a", "=b"), ("é", "ü")]);
        check("", &[]);
    }

    #[test]
    fn a_record_gets_them() {
        check_rows("n:3 | parse_logfmt | fields n, a", &["n=3 a="]);
        check_rows(r#"n:3 | extract "<all>" | parse_logfmt from path prefix p. | fields all"#, &["all=GET 3 200"]);
    }
}
