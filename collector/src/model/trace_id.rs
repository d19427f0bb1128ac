//! The ids that tie records of many hosts to one request (W3C Trace Context, level 2).

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// A 128-bit trace id, never all zero. Shorter ids (B3, Datadog) are padded on the left with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(NonZeroU128);

/// A 64-bit span id, never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(NonZeroU64);

impl TraceId {
    /// The id with these bits, unless they are all zero.
    pub fn new(bits: u128) -> Option<TraceId> {
        NonZeroU128::new(bits).map(TraceId)
    }

    /// Its 128 bits.
    pub fn bits(self) -> u128 {
        self.0.get()
    }

    /// From 1 to 32 hexadecimal digits of either case, padded on the left.
    pub fn from_hex(text: &str) -> Option<TraceId> {
        if text.len() > 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().and_then(TraceId::new)
    }
}

impl SpanId {
    /// The id with these bits, unless they are all zero.
    pub fn new(bits: u64) -> Option<SpanId> {
        NonZeroU64::new(bits).map(SpanId)
    }

    /// Its 64 bits.
    pub fn bits(self) -> u64 {
        self.0.get()
    }

    /// From 1 to 16 hexadecimal digits of either case, padded on the left.
    pub fn from_hex(text: &str) -> Option<SpanId> {
        if text.len() > 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u64::from_str_radix(text, 16).ok().and_then(SpanId::new)
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// 16 lower-case hexadecimal digits.
impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_padded_on_the_left_and_zero_is_no_id() {
        let check = |text, expected: Option<&str>| {
            assert_eq!(TraceId::from_hex(text).map(|id| id.to_string()).as_deref(), expected, "{text}");
        };
        check("4bf92f3577b34da6a3ce929d0e0e4736", Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        check("A3CE929D0E0E4736", Some("0000000000000000a3ce929d0e0e4736"));
        check("00000000000000000000000000000000", None);
        check("4bf92f3577b34da6a3ce929d0e0e47361", None);
        check("+1", None);
        check("", None);
    }
}
