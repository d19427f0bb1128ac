//! Keys that show by their form what they are.

use super::rule::Rule;
use super::{Found, is_word_byte};

/// What a key is written with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Alphabet {
    /// Capitals and digits.
    Upper,
    /// Letters and digits.
    Alphanumeric,
    /// Letters, digits and `_`.
    Word,
    /// The same and `-`.
    Dashed,
    /// The same and `.`.
    Pointed,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        match self {
            Alphabet::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Alphabet::Alphanumeric => byte.is_ascii_alphanumeric(),
            Alphabet::Word => is_word_byte(byte),
            Alphabet::Dashed => is_word_byte(byte) || byte == b'-',
            Alphabet::Pointed => is_word_byte(byte) || matches!(byte, b'-' | b'.'),
        }
    }
}

/// The key whose prefix stands at `start..end`, unless it is inside the last one of its kind, which went until `judged`.
pub(super) fn find_prefixed(
    text: &str,
    start: usize,
    end: usize,
    alphabet: Alphabet,
    least: usize,
    exactly: bool,
    judged: &mut usize,
) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    if start < *judged {
        return None;
    }
    if start > 0 && is_word_byte(bytes[start - 1]) {
        return None;
    }
    let length = bytes[end..].iter().take_while(|byte| alphabet.has(**byte)).count();
    *judged = end + length;
    let behind = bytes.get(end + length);
    let is_whole = !exactly || (length == least && !behind.is_some_and(|byte| is_word_byte(*byte)));
    (length >= least && is_whole).then_some((start, end + length))
}

/// Bytes of a part of a token that is no accident.
const JWT_PART_BYTES_MIN: usize = 10;

/// The JSON web token in the run around `at`: parts of base64url with points between, the first of them an object (`eyJ` is `{"`).
/// A run is looked at once: `judged` is where the last one ended.
pub(super) fn find_jwt(text: &str, at: usize, judged: &mut usize) -> Option<Found> {
    if at < *judged {
        return None;
    }
    let bytes = text.as_bytes();
    let is_part = |byte: &u8| is_word_byte(*byte) || matches!(byte, b'-' | b'.');
    let run_start = at - bytes[*judged..at].iter().rev().take_while(|byte| is_part(byte)).count();
    let run_end = at + bytes[at..].iter().take_while(|byte| is_part(byte)).count();
    *judged = run_end;
    let run = text[run_start..run_end].trim_end_matches('.');
    // Something with points may stand before it.
    let start = if run.starts_with("eyJ") { 0 } else { run.find(".eyJ")? + 1 };
    let mut parts = run[start..].split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let is_token = header.len() >= JWT_PART_BYTES_MIN
        && (payload.len() >= JWT_PART_BYTES_MIN || parts.clone().any(|part| part.len() >= JWT_PART_BYTES_MIN))
        && (payload.starts_with("eyJ") || signature.len() >= JWT_PART_BYTES_MIN);
    is_token.then_some(Found { start: run_start + start, end: run_start + run.len(), rule: Rule::Jwt })
}
