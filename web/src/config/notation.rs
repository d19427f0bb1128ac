//! How sizes and spans of time are written in the file: `"10 GiB"`, `"30d"`, and `"none"` where there may be no limit.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use taffrail_query::time_range::parse_span;

/// Bytes, written as a number with or without a unit (`"512 MB"`, `"10 GiB"`, `4096`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// A span of time above zero, written as `"90s"`, `"1h30m"`, `"30d"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A number of things, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub usize);

/// A limit that there may not be: `"none"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit<T>(pub Option<T>);

const UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
    ("", 1),
];

impl Bytes {
    /// The size that a text means.
    pub fn parse(text: &str) -> Option<Bytes> {
        let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, unit) = text.split_at(digits);
        let number: f64 = number.parse().ok()?;
        let (_, factor) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
        Some(Bytes((number * *factor as f64) as u64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, factor): &&(&str, u64)| self.0 >= *factor && self.0.is_multiple_of(*factor);
        match UNITS.iter().find(whole) {
            Some((unit, factor)) => write!(f, "{} {unit}", self.0 / factor),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        for (unit, milliseconds) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if rest >= milliseconds {
                write!(f, "{}{unit}", rest / milliseconds)?;
                rest %= milliseconds;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(limit) => limit.fmt(f),
            None => f.write_str("none"),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = text_or_number(deserializer)?;
        Bytes::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a size like \"512 MB\" or \"10 GiB\"")))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        let text = text_or_number(deserializer)?;
        let count = text.parse().ok().filter(|count| *count > 0);
        count
            .map(Count)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a number from 1 on, nor \"none\"")))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        let text = String::deserialize(deserializer)?;
        match parse_span(&text) {
            Ok(span) if !span.is_zero() => Ok(Span(span)),
            Ok(_) => Err(serde::de::Error::custom(format!("`{text}` is no time at all"))),
            Err(why) => Err(serde::de::Error::custom(why)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Limit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Limit<T>, D::Error> {
        let text = text_or_number(deserializer)?;
        if text == "none" {
            return Ok(Limit(None));
        }
        let text = serde::de::value::StringDeserializer::<D::Error>::new(text);
        T::deserialize(text).map(|limit| Limit(Some(limit)))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<T: fmt::Display> Serialize for Limit<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Visitor;
    impl serde::de::Visitor<'_> for Visitor {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a number")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }
    deserializer.deserialize_any(Visitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        let check = |text, expected| assert_eq!(Bytes::parse(text).map(|bytes| bytes.0), expected, "{text}");
        check("4096", Some(4096));
        check("10 GiB", Some(10 << 30));
        check("1.5MB", Some(1_500_000));
        check("2kb", Some(2_000));
        check("12 XB", None);
        check("-1 MB", None);
        check("", None);
        check("1.2.3", None);
    }

    #[test]
    fn sizes_and_spans_read_back_as_they_were_written() {
        for bytes in [0, 1, 1000, 1 << 20, (1 << 30) + 1, 512_000_000] {
            assert_eq!(Bytes::parse(&Bytes(bytes).to_string()), Some(Bytes(bytes)), "{bytes}");
        }
        for seconds in [1, 90, 3_600, 30 * 86_400, 86_401] {
            let span = Span(Duration::from_secs(seconds));
            assert_eq!(parse_span(&span.to_string()), Ok(span.0), "{span}");
        }
        assert_eq!(Limit::<Bytes>(None).to_string(), "none");
    }
}
