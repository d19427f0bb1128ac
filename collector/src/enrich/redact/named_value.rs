//! Values whose name says that they are secret: `password=…`, `"client_secret":"…"`, `?api_key=…&`, `Authorization: …`.
//!
//! A name counts by its end (`db.password`, `X-Api-Key`; not `password_hash`, `token_type`). What stands behind it must be a value
//! and no word of a sentence: a password may be anything where `=` or quotes say that it is one, everything else must look as if
//! nobody had chosen it as a word.

use super::authorization::is_token68;
use super::rule::Rule;
use super::{Found, MARKER};

/// Longer names are none.
const NAME_BYTES_MAX: usize = 64;
/// Of an `Authorization` header with several parameters so much is taken.
const PARAMETERS_BYTES_MAX: usize = 4096;
/// Names of secrets in one value (`token=token=…`) whose values are judged one by one; behind them the rest goes unseen.
const NESTED_MAX: u32 = 16;
/// Bytes of a key that is no word or number.
const RANDOM_BYTES_MIN: usize = 8;

/// What a name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Password,
    /// `pass`, by which tests are counted too.
    Pass,
    Secret,
    Token,
    Authorization,
}

impl Kind {
    fn rule(self) -> Rule {
        match self {
            Kind::Password | Kind::Pass => Rule::Password,
            Kind::Secret | Kind::Token => Rule::Secret,
            Kind::Authorization => Rule::Authorization,
        }
    }
}

/// What the end of a name promises, whatever its case and separators.
pub(super) fn kind_of(name: &str) -> Option<Kind> {
    // All ends that count end with one of these letters: most names are passed over by their last.
    if !matches!(name.as_bytes().last()?.to_ascii_lowercase(), b'd' | b'e' | b't' | b'y' | b'n' | b's') {
        return None;
    }
    let mut letters = [0u8; NAME_BYTES_MAX];
    let mut length = 0;
    for byte in name.bytes().filter(u8::is_ascii_alphanumeric) {
        *letters.get_mut(length)? = byte.to_ascii_lowercase();
        length += 1;
    }
    let letters = &letters[..length];
    let ends_with_any = |ends: &[&str]| ends.iter().any(|end| letters.ends_with(end.as_bytes()));
    if ends_with_any(&["password", "passwd", "pwd", "passphrase"]) {
        Some(Kind::Password)
    } else if ends_with_any(&["secret", "apikey", "secretkey", "accesskey", "accountkey"]) {
        Some(Kind::Secret)
    } else if ends_with_any(&["token"]) {
        // Places in a list, and Android's windows.
        let is_place = ends_with_any(&["pagetoken", "nexttoken", "continuationtoken", "cancellationtoken", "wtoken"]);
        (!is_place).then_some(Kind::Token)
    } else if ends_with_any(&["authorization"]) {
        Some(Kind::Authorization)
    } else if ends_with_any(&["pass"]) {
        ends_with_word_pass(name).then_some(Kind::Pass)
    } else {
        None
    }
}

/// Whether `pass` is a word of its own at the name's end: `db_pass`, `dbPass`; not `bypass`.
fn ends_with_word_pass(name: &str) -> bool {
    let bytes = name.as_bytes();
    let Some(start) = bytes.len().checked_sub("pass".len()) else { return false };
    let before = start.checked_sub(1).map(|at| bytes[at]);
    before.is_none_or(|before| {
        !before.is_ascii_alphanumeric() || (before.is_ascii_lowercase() && bytes[start].is_ascii_uppercase())
    })
}

/// Whether a number under a name of a password is one: `password` and `db.pwd` may be, `failed_password` counts.
pub(super) fn may_be_password(name: &str, number: i64) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_whole = ["password", "passwd", "pwd", "passphrase"].iter().any(|whole| whole.eq_ignore_ascii_case(last));
    is_whole && !(-999..=999).contains(&number)
}

/// The part of an attribute's text that its name makes a secret.
pub(super) fn find_in_attribute(kind: Kind, text: &str) -> Option<Found> {
    secret_in(kind, text, 0, text.len(), Certainty::Marked)
}

/// Whether the name that holds `start..end` is one of a secret, with something behind it.
pub(super) fn names_secret(text: &str, start: usize, end: usize) -> bool {
    let (name_end, kind) = name_around(text, start, end);
    let mut cursor = Cursor { text, at: name_end };
    cursor.quote();
    cursor.spaces();
    kind.is_some() && cursor.sign().is_some()
}

/// The name around `start..end`, and what it promises.
fn name_around(text: &str, start: usize, end: usize) -> (usize, Option<Kind>) {
    let bytes = text.as_bytes();
    let in_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let name_start = start - bytes[..start].iter().rev().take(NAME_BYTES_MAX).take_while(in_name).count();
    // The text that led here may begin with a quote or end with the sign behind the name.
    let name_start = name_start + bytes[name_start..end].iter().take_while(|byte| !in_name(byte)).count();
    let name_end = name_start + bytes[name_start..].iter().take(NAME_BYTES_MAX).take_while(in_name).count();
    (name_end, kind_of(&text[name_start..name_end]))
}

/// The last value without quotes, and the names that stood in it: each would look at the same bytes up to its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BareValue {
    end: usize,
    names: u32,
}

/// The value of the name that holds `start..end`.
pub(super) fn find(text: &str, start: usize, end: usize, bare: &mut BareValue) -> Option<Found> {
    let (name_end, kind) = name_around(text, start, end);
    let kind = kind?;
    let mut cursor = Cursor { text, at: name_end };
    let name_is_quoted = cursor.quote().is_some();
    let spaces_before = cursor.spaces();
    let sign = cursor.sign()?;
    let spaces_behind = cursor.spaces();
    let opened = cursor.quote();
    let value_start = cursor.at;
    if opened.is_none() && value_start < bare.end {
        bare.names += 1;
        if bare.names > NESTED_MAX {
            let is_done = text[value_start..].starts_with(MARKER);
            return (!is_done).then_some(Found { start: value_start, end: bare.end, rule: kind.rule() });
        }
    }
    let value_end = match opened {
        Some(quote) => closing_quote(text, value_start, quote),
        None if kind == Kind::Authorization => end_of_credentials(text, value_start),
        None => end_of_bare(text, value_start),
    };
    if opened.is_none() && value_start >= bare.end {
        *bare = BareValue { end: value_end, names: 0 };
    }
    let is_prose = opened.is_none() && (spaces_before > 0 || (sign == b':' && spaces_behind > 0 && !name_is_quoted));
    // The shell's own: `sudo: … PWD=/root ; …`, and where a program says it is.
    let is_place = text[value_start..value_end].starts_with(['/', '~']);
    let name = &text.as_bytes()[..name_end];
    if is_place
        && (name.ends_with(b"PWD") || is_prose && name[name_end.saturating_sub(3)..].eq_ignore_ascii_case(b"pwd"))
    {
        return None;
    }
    let certainty = if is_prose { Certainty::Prose } else { Certainty::Marked };
    secret_in(kind, text, value_start, value_end, certainty)
}

/// How surely a value is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Certainty {
    /// By quotes, or by a sign right behind its name.
    Marked,
    /// `password: …` may as well be a sentence.
    Prose,
}

fn secret_in(kind: Kind, text: &str, start: usize, end: usize, certainty: Certainty) -> Option<Found> {
    let value = &text[start..end];
    if value.is_empty() || is_placeholder(value) {
        return None;
    }
    if kind == Kind::Authorization {
        return credentials(value).map(|(from, to)| Found { start: start + from, end: start + to, rule: kind.rule() });
    }
    let is_secret = match (kind, certainty) {
        (Kind::Password, Certainty::Marked) => true,
        (Kind::Password, Certainty::Prose) => value.len() >= 6 && value.bytes().any(|byte| !byte.is_ascii_alphabetic()),
        // No count, share or duration of tests.
        (Kind::Pass, Certainty::Marked) => value.trim_start_matches(|c: char| !c.is_alphabetic()).len() > 2,
        (Kind::Secret, Certainty::Marked) => {
            value.len() >= 6
                && !has_structure(value)
                && value.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        }
        (Kind::Pass | Kind::Secret | Kind::Token | Kind::Authorization, _) => looks_random(value),
    };
    is_secret.then_some(Found { start, end, rule: kind.rule() })
}

/// A scheme of `Authorization`: its length with the space behind it, and whether several parameters follow.
fn scheme_of(value: &str) -> Option<(usize, bool)> {
    const SCHEMES: [&str; 8] =
        ["bearer", "basic", "token", "apikey", "negotiate", "ntlm", "digest", "aws4-hmac-sha256"];
    let bytes = value.as_bytes();
    let scheme = SCHEMES.iter().find(|scheme| {
        let length = scheme.len();
        bytes.get(length) == Some(&b' ') && bytes[..length].eq_ignore_ascii_case(scheme.as_bytes())
    })?;
    Some((scheme.len() + 1, matches!(*scheme, "digest" | "aws4-hmac-sha256")))
}

/// The credentials of an `Authorization` header's value, without its scheme.
fn credentials(value: &str) -> Option<(usize, usize)> {
    let (start, has_parameters) = scheme_of(value).unwrap_or((0, false));
    // With commas and spaces between.
    if has_parameters {
        return (!value[start..].contains(MARKER)).then_some((start, value.len()));
    }
    let length = value[start..].bytes().take_while(|byte| is_token68(*byte)).count();
    let credentials = &value[start..start + length];
    let is_one =
        if start > 0 { credentials.len() >= 6 && !is_placeholder(credentials) } else { looks_random(credentials) };
    is_one.then_some((start, start + length))
}

/// Whether nobody chose it as a word or a name: long enough, of one piece, and with digits among its letters.
pub(super) fn looks_random(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let has = |is: fn(&u8) -> bool| value.bytes().any(|byte| is(&byte));
    value.len() >= RANDOM_BYTES_MIN
        && !has_structure(value)
        && !value.contains('@')
        && has(u8::is_ascii_alphabetic)
        && (digits * 5 >= value.len()
            || digits > 0 && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
            || digits > 0 && value.len() >= 24 && !value.contains(['-', '.', '/', ':']))
}

/// Objects, calls, lists and paths as programs print them.
fn has_structure(value: &str) -> bool {
    value.contains(['{', '}', '(', ')', '[', ']', '<', '>', ' ', '\t', '\n', '\u{b7}'])
        || value.contains("://")
        || value.starts_with('/')
}

/// What stands where a secret would, and is none.
fn is_placeholder(value: &str) -> bool {
    const WORDS: [&str; 18] = [
        "null",
        "none",
        "nil",
        "undefined",
        "true",
        "false",
        "yes",
        "no",
        "empty",
        "hidden",
        "masked",
        "redacted",
        "filtered",
        "required",
        "invalid",
        "missing",
        "n/a",
        "(null)",
    ];
    let bytes = value.as_bytes();
    value.starts_with(MARKER)
        || ["<", "${", "$(", "%(", "%s", "{{", "{}", "[FILTERED", "[REDACTED", "[MASKED", "***"]
            .iter()
            .any(|start| value.starts_with(start))
        || WORDS.iter().any(|word| word.eq_ignore_ascii_case(value))
        || bytes.len() >= 3 && bytes.iter().all(|byte| matches!(byte, b'*' | b'x' | b'X' | b'.' | b'-' | b'#'))
}

/// Steps over what stands between a name and its value.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    /// A quote, perhaps escaped, as in JSON inside JSON.
    fn quote(&mut self) -> Option<&'static str> {
        let quote = ["\\\"", "\"", "'"].into_iter().find(|quote| self.text[self.at..].starts_with(quote))?;
        self.at += quote.len();
        Some(quote)
    }

    /// Spaces, three at most.
    fn spaces(&mut self) -> usize {
        let count = self.text[self.at..].bytes().take(3).take_while(|byte| *byte == b' ').count();
        self.at += count;
        count
    }

    /// `=`, `:`, `=>`, `:=` or a URL's `%3D`; its first byte.
    fn sign(&mut self) -> Option<u8> {
        const SIGNS: [&str; 6] = ["=>", ":=", "=", ":", "%3D", "%3d"];
        let sign = SIGNS.into_iter().find(|sign| self.text[self.at..].starts_with(sign))?;
        self.at += sign.len();
        Some(if sign == ":" { b':' } else { b'=' })
    }
}

/// Where the quoted value ends: before its closing quote, or with the text.
fn closing_quote(text: &str, start: usize, quote: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = start;
    while at < bytes.len() {
        if text.is_char_boundary(at) && text[at..].starts_with(quote) {
            return at;
        }
        // An escaped character is none of the quotes. Inside an escaped quote the backslash is the quote's own.
        at += if bytes[at] == b'\\' && quote.len() == 1 { 2 } else { 1 };
    }
    bytes.len()
}

/// Where a bare value ends: at white space, a quote or `&`, or at a comma or semicolon with another name behind it.
fn end_of_bare(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' | b'&' | b'\\' => break,
            byte if byte.is_ascii_whitespace() => break,
            b',' | b';' if starts_name(&bytes[at + 1..]) => break,
            _ => at += 1,
        }
    }
    let trimmed = text[start..at].trim_end_matches([')', ']', '}', ',', ';', '.']);
    // A marker of ours ends with a bracket, and is known by its start.
    start + if text[start..at].starts_with(MARKER) { at - start } else { trimmed.len() }
}

/// Whether nothing, white space, or a name and a sign follow.
fn starts_name(bytes: &[u8]) -> bool {
    let bytes = &bytes[..bytes.len().min(NAME_BYTES_MAX)];
    let behind = bytes.iter().position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'-' | b'.'));
    match behind {
        Some(0) => bytes[0].is_ascii_whitespace(),
        Some(at) => matches!(bytes[at], b'=' | b':'),
        None => bytes.is_empty(),
    }
}

/// Where an `Authorization` header's value without quotes ends: with its one token, or with the line when it has parameters.
fn end_of_credentials(text: &str, start: usize) -> usize {
    let value = &text[start..];
    let (scheme, has_parameters) = scheme_of(value).unwrap_or((0, false));
    let bytes = &value.as_bytes()[scheme..];
    let length = if has_parameters {
        let line = &bytes[..bytes.len().min(PARAMETERS_BYTES_MAX)];
        line.iter().position(|byte| matches!(byte, b'\n' | b'\r' | b'"' | b'\'')).unwrap_or(line.len())
    } else {
        bytes.iter().take_while(|byte| is_token68(**byte)).count()
    };
    text.floor_char_boundary(start + scheme + length)
}
