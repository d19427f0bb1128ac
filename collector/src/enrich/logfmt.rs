//! logfmt: `level=warn msg="slow query" duration=1.5 user=ann`.
//!
//! A line counts as logfmt when at least two pairs cover most of it; prose with an equals sign in it does not.
//! (The format's only description is <https://brandur.org/logfmt>; quoting is Go's.)

use std::borrow::Cow;

use super::fields::{Fields, Given};
use crate::model::Value;

/// Whether the line is logfmt.
pub(super) fn is_logfmt(line: &str) -> bool {
    let (mut pairs, mut covered, mut words) = (0usize, 0usize, 0usize);
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            break;
        }
        match pair(rest) {
            Some(pair) => {
                pairs += 1;
                covered += pair.length;
                rest = &rest[pair.length..];
            }
            None => {
                let length = rest.find(' ').unwrap_or(rest.len());
                words += length;
                rest = &rest[length..];
            }
        }
        if words > line.len() / 2 {
            return false;
        }
    }
    pairs >= 2 && covered > 2 * words
}

/// Offers the pairs of a line.
pub(super) fn read<'a>(line: &'a str, fields: &mut Fields<'a, '_>) {
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return;
        }
        match pair(rest) {
            Some(pair) => {
                rest = &rest[pair.length..];
                fields.offer(pair.key, pair.value());
            }
            None => rest = &rest[rest.find(' ').unwrap_or(rest.len())..],
        }
    }
}

/// A pair as it stands in the line.
struct Pair<'a> {
    key: &'a str,
    written: &'a str,
    quoted: bool,
    /// Bytes of the whole pair.
    length: usize,
}

/// The pair that the text starts with.
fn pair(text: &str) -> Option<Pair<'_>> {
    let bytes = text.as_bytes();
    let is_key = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'@' | b'/');
    let key_length = bytes.iter().take_while(|b| is_key(b)).count();
    if key_length == 0 || bytes.get(key_length) != Some(&b'=') || bytes[0].is_ascii_digit() {
        return None;
    }
    let key = &text[..key_length];
    let start = key_length + 1;
    if bytes.get(start) == Some(&b'"') {
        let inside = start + 1;
        let mut at = inside;
        loop {
            match bytes.get(at)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        let ends = matches!(bytes.get(at + 1), None | Some(b' ' | b',' | b'\t'));
        return ends.then(|| Pair { key, written: &text[inside..at], quoted: true, length: at + 1 });
    }
    let end = start + bytes[start..].iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(bytes.len() - start);
    let written = text[start..end].trim_end_matches(',');
    (!written.contains(['"', '='])).then_some(Pair { key, written, quoted: false, length: end })
}

impl<'a> Pair<'a> {
    fn value(&self) -> Given<'a> {
        if self.quoted { Given::Text(unescaped(self.written)) } else { bare_value(self.written) }
    }
}

/// A bare word is a number or a truth value where it is one and would be written the same again.
pub(super) fn bare_value(word: &str) -> Given<'_> {
    let text = || Given::Text(Cow::Borrowed(word));
    match word {
        "true" => return Given::Other(Value::Bool(true)),
        "false" => return Given::Other(Value::Bool(false)),
        _ => {}
    }
    let digits = word.strip_prefix('-').unwrap_or(word);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return text();
    }
    let has_leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if has_leading_zero || word == "-0" {
        return text();
    }
    if let Ok(number) = word.parse::<i64>() {
        return Given::Other(Value::Int(number));
    }
    match word.parse::<f64>() {
        Ok(number) if number.is_finite() && digits.len() <= 17 && digits.contains('.') && !digits.ends_with('.') => {
            Given::Other(Value::Float(number))
        }
        _ => text(),
    }
}

/// Go's escapes of a quoted value; an unknown one stands for itself.
fn unescaped(written: &str) -> Cow<'_, str> {
    if !written.contains('\\') {
        return Cow::Borrowed(written);
    }
    let mut text = String::with_capacity(written.len());
    let mut characters = written.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some(other @ ('"' | '\\')) => text.push(other),
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    Cow::Owned(text)
}
