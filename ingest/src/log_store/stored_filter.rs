//! A filter as the catalog keeps it: JSON with the words of [`Filter`], so that a deletion means tomorrow what it meant when
//! it was asked for, whatever the query language says by then.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use taffrail_collector::model::{Severity, SpanId, Timestamp, TraceId};

use super::Filter;

/// The filter's JSON; none when it would not come back the same (a bound beyond all numbers).
pub fn to_text(filter: &Filter) -> Option<String> {
    let text = serde_json::to_string(filter).ok()?;
    (from_text(&text).as_ref() == Some(filter)).then_some(text)
}

/// The filter of this JSON; none when it is none, or nests so deep that nobody wrote it.
pub fn from_text(text: &str) -> Option<Filter> {
    serde_json::from_str(text).ok()
}

/// What JSON has no form for, as a type that it has one for.
macro_rules! stored_as {
    ($module:ident, $type:ty, $stored:ty, $to:expr, $from:expr) => {
        pub mod $module {
            use super::*;

            pub fn serialize<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                let to: fn(&$type) -> $stored = $to;
                to(value).serialize(serializer)
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                let from: fn($stored) -> Option<$type> = $from;
                let stored = <$stored>::deserialize(deserializer)?;
                from(stored).ok_or_else(|| serde::de::Error::custom(concat!("no ", stringify!($module))))
            }
        }
    };
}

stored_as!(nanoseconds, Timestamp, i64, |time| time.unix_nanos(), |nanos| Some(Timestamp::from_unix_nanos(nanos)));
stored_as!(severity, Severity, u8, |severity| severity.number(), Severity::from_number);
stored_as!(trace_id, TraceId, String, ToString::to_string, |text| TraceId::from_hex(&text));
stored_as!(span_id, SpanId, String, ToString::to_string, |text| SpanId::from_hex(&text));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log_store::equality_tests::filter;
    use crate::log_store::{Test, TextMatch};

    proptest! {
        #[test]
        fn a_filter_comes_back_as_it_was(filter in filter()) {
            let text = to_text(&filter).expect("nothing here is beyond all numbers");
            prop_assert_eq!(from_text(&text), Some(filter));
        }
    }

    #[test]
    fn what_would_not_come_back_is_not_kept() {
        let above =
            |low| Filter::Field { name: "n".to_owned(), test: Test::Number { low: Some((low, true)), high: None } };
        assert!(to_text(&above(1e308)).is_some());
        assert_eq!(to_text(&above(f64::INFINITY)), None);
        let deep = (0..200).fold(Filter::All, |inner, _| Filter::Not(Box::new(inner)));
        assert_eq!(to_text(&deep), None);
        for text in ["", "{}", "{\"SeverityBetween\":[1,25]}", "{\"Trace\":\"0\"}"] {
            assert_eq!(from_text(text), None, "{text}");
        }
        let regex = Filter::Text { text: TextMatch::Regex("a/\"\u{0}".to_owned()), everywhere: true };
        assert_eq!(to_text(&regex).as_deref().and_then(from_text), Some(regex));
    }
}
