//! What a series is, as one string of bytes: how a reading thread tells the merger of a series that it met first.
//!
//! ```text
//! name *( 0x1F key 0x1E value )      tags as they stood in the line, without those that name a trace
//! ```
//! Neither names nor tags hold control characters, so nothing needs escaping. In which dialect a line wrote its tags is forgotten
//! here; which labels they become is decided by the merger, once per series ([`identify`]).

use super::line::{Malformed, Metric};
use super::mapping::{Dropped, Identified, Mapping};
use super::trace_tags::TraceTags;
use crate::model::SampleKind;
use crate::model::label_set::NAME_LABEL;

const BEFORE_KEY: char = '\u{1F}';
const BEFORE_VALUE: char = '\u{1E}';

/// Writes the identity of a line's series in place of what `identity` holds, and returns the trace it names.
///
/// # Errors
/// [`Malformed::ReservedTag`] for a tag called `__name__`, [`Malformed::EmptyName`] for tags without a name.
pub fn write(metric: &Metric<'_>, identity: &mut String) -> Result<TraceTags, Malformed> {
    let mut traces = TraceTags::default();
    identity.clear();
    identity.push_str(&metric.name()?);
    for (key, value) in metric.tags() {
        if key == NAME_LABEL {
            return Err(Malformed::ReservedTag);
        }
        if !traces.take(key, value) {
            identity.push(BEFORE_KEY);
            identity.push_str(key);
            identity.push(BEFORE_VALUE);
            identity.push_str(value);
        }
    }
    Ok(traces)
}

/// The labels of the series, by the rules of a mapping; `host` is the collecting host, for series whose tags name none. Of a tag that
/// stands twice the last counts, and one without a value is none: an empty `host` leaves the label out.
///
/// # Errors
/// The rule that drops it.
pub fn identify(identity: &str, host: &str, kind: SampleKind, mapping: &Mapping) -> Result<Identified, Dropped> {
    let (name, tags) = identity.split_once(BEFORE_KEY).unwrap_or((identity, ""));
    let tags = tags.split(BEFORE_KEY).filter_map(|tag| tag.split_once(BEFORE_VALUE));
    mapping.identify(name, std::iter::once(("host", host)).chain(tags), kind)
}
