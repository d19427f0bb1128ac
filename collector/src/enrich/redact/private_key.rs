//! PEM private keys (RFC 7468), whole: a record of several lines can hold one.

use super::Found;
use super::rule::Rule;

/// Bytes in which the label's end is looked for (`OPENSSH PRIVATE KEY`).
const LABEL_BYTES_MAX: usize = 60;

/// The key whose `-----BEGIN` stands at `start`; one that breaks off goes to the end of the text. None inside the last one, which
/// went until `judged`.
pub(super) fn find(text: &str, start: usize, judged: &mut usize) -> Option<Found> {
    if start < *judged {
        return None;
    }
    let label = &text.as_bytes()[start + "-----BEGIN".len()..];
    let label = &label[..label.len().min(LABEL_BYTES_MAX)];
    let label_end = memchr::memmem::find(label, b"-----")?;
    if !label[..label_end].ends_with(b"PRIVATE KEY") {
        return None;
    }
    let end = match text[start..].find("-----END") {
        Some(at) => {
            let behind = start + at + "-----END".len();
            text[behind..].find("-----").map_or(text.len(), |dashes| behind + dashes + "-----".len())
        }
        None => text.len(),
    };
    *judged = end;
    Some(Found { start, end, rule: Rule::PrivateKey })
}
