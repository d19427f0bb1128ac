//! PEM private keys (RFC 7468), whole: a record of several lines can hold one.

use super::Found;
use super::rule::Rule;

/// Bytes in which the label's end is looked for (`OPENSSH PRIVATE KEY`).
const LABEL_BYTES_MAX: usize = 60;

/// The key whose `-----BEGIN` stands at `start`; one that breaks off goes to the end of the text.
pub(super) fn find(text: &str, start: usize) -> Option<Found> {
    let label = text[start..].get("-----BEGIN".len()..)?;
    let label_end = label.find("-----")?;
    if label_end > LABEL_BYTES_MAX || !label[..label_end].ends_with("PRIVATE KEY") {
        return None;
    }
    let end = match text[start..].find("-----END") {
        Some(at) => {
            let behind = start + at + "-----END".len();
            text[behind..].find("-----").map_or(text.len(), |dashes| behind + dashes + "-----".len())
        }
        None => text.len(),
    };
    Some(Found { start, end, rule: Rule::PrivateKey })
}
