//! Passwords in addresses: `postgres://user:password@host/db`.

use super::rule::Rule;
use super::{Found, MARKER};

/// Bytes of an authority that are looked at; a longer one is none.
const AUTHORITY_BYTES_MAX: usize = 512;

/// The password of the authority that starts at `start`, behind the slashes.
pub(super) fn find(text: &str, start: usize) -> Option<Found> {
    let bytes = &text.as_bytes()[start..];
    let ends = |byte: &u8| {
        matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'\\') || byte.is_ascii_whitespace()
    };
    let length = bytes.iter().take(AUTHORITY_BYTES_MAX).take_while(|byte| !ends(byte)).count();
    let user_end = memchr::memrchr(b'@', &bytes[..length])?;
    let colon = memchr::memchr(b':', &bytes[..user_end])?;
    let (start, end) = (start + colon + 1, start + user_end);
    let password = &text[start..end];
    let is_one = !password.is_empty() && !password.starts_with(MARKER) && !password.bytes().all(|byte| byte == b'*');
    is_one.then_some(Found { start, end, rule: Rule::UrlPassword })
}
