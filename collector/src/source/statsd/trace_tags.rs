//! The tags that tie a value to a trace: `trace_id`, `span_id`, `dd.trace_id`, `dd.span_id`.
//!
//! Each request has its own, so as labels they would make a series per request. They become exemplars instead.
//! Under `dd.` an id of at most 20 decimal digits is the low 64 bits of the id, as Datadog's libraries write it;
//! everything else is hexadecimal.

use crate::model::{SpanId, TraceId};

/// The trace context of one line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TraceTags {
    /// The trace, when a tag names one.
    pub trace_id: Option<TraceId>,
    /// The span, when a tag names one.
    pub span_id: Option<SpanId>,
    /// Whether a tag of ours held something else than an id.
    pub unreadable: bool,
}

impl TraceTags {
    /// Whether the tag is one of these; if so, its id is taken.
    pub fn take(&mut self, key: &str, value: &str) -> bool {
        match key {
            "trace_id" => self.note_trace(TraceId::from_hex(value)),
            "span_id" => self.note_span(SpanId::from_hex(value)),
            "dd.trace_id" => match decimal(value) {
                Some(bits) => self.note_trace(TraceId::new(bits.into())),
                None => self.note_trace(TraceId::from_hex(value)),
            },
            "dd.span_id" => match decimal(value) {
                Some(bits) => self.note_span(SpanId::new(bits)),
                None => self.note_span(SpanId::from_hex(value)),
            },
            _ => return false,
        }
        true
    }

    fn note_trace(&mut self, id: Option<TraceId>) {
        self.unreadable |= id.is_none();
        self.trace_id = id.or(self.trace_id);
    }

    fn note_span(&mut self, id: Option<SpanId>) {
        self.unreadable |= id.is_none();
        self.span_id = id.or(self.span_id);
    }
}

fn decimal(text: &str) -> Option<u64> {
    let digits = text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hexadecimal_except_datadogs_which_are_decimal_when_they_can_be() {
        let check = |key, value, expected: Option<&str>| {
            let mut tags = TraceTags::default();
            assert!(tags.take(key, value));
            let found = tags.trace_id.map(|id| id.to_string()).or(tags.span_id.map(|id| id.to_string()));
            assert_eq!(found.as_deref(), expected, "{key}:{value}");
            assert_eq!(tags.unreadable, expected.is_none());
        };
        check("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736", Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        check("trace_id", "16", Some("00000000000000000000000000000016"));
        check("dd.trace_id", "16", Some("00000000000000000000000000000010"));
        check("dd.trace_id", "4bf92f3577b34da6a3ce929d0e0e4736", Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        check("dd.span_id", "18446744073709551615", Some("ffffffffffffffff"));
        check("span_id", "00f067aa0ba902b7", Some("00f067aa0ba902b7"));
        check("trace_id", "00000000000000000000000000000000", None);
        check("trace_id", "none", None);
        check("dd.trace_id", "", None);
    }

    #[test]
    fn other_tags_are_left_alone() {
        assert!(!TraceTags::default().take("traces", "1"));
    }
}
