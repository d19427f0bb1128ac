//! Credentials of HTTP: `Bearer …` and `Basic …`, wherever they stand (RFC 6750, RFC 7617).

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::named_value::looks_random;
use super::rule::Rule;
use super::{Found, is_word_byte};

/// Bytes of a token that is no word.
const BEARER_BYTES_MIN: usize = 16;

/// The token behind `Bearer `; `start..end` is `earer `.
pub(super) fn find_bearer(text: &str, start: usize, end: usize) -> Option<Found> {
    let token = token_behind(text, start, end)?;
    let is_token = token.len() >= BEARER_BYTES_MIN && looks_random(token);
    is_token.then_some(Found { start: end, end: end + token.len(), rule: Rule::Authorization })
}

/// The credentials behind `Basic `; `start..end` is `asic `. They decode to `user:password`.
pub(super) fn find_basic(text: &str, start: usize, end: usize) -> Option<Found> {
    let token = token_behind(text, start, end)?;
    let decoded = STANDARD_NO_PAD.decode(token.trim_end_matches('=')).ok()?;
    let is_pair = decoded.contains(&b':') && !decoded.iter().any(u8::is_ascii_control);
    is_pair.then_some(Found { start: end, end: end + token.len(), rule: Rule::Authorization })
}

/// The run of token68 (RFC 9110 §11.2) behind the scheme, whose first letter stands before `start`.
fn token_behind(text: &str, start: usize, end: usize) -> Option<&str> {
    let bytes = text.as_bytes();
    let first = start.checked_sub(1)?;
    if !matches!(bytes[first], b'B' | b'b') || (first > 0 && is_word_byte(bytes[first - 1])) {
        return None;
    }
    let length = bytes[end..].iter().take_while(|byte| is_token68(**byte)).count();
    (length > 0).then(|| &text[end..end + length])
}

pub(super) fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}
