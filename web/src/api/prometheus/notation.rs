//! Numbers, times and steps as Prometheus' API writes and reads them.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};
use taffrail_collector::model::{LabelSet, Timestamp};
use taffrail_query::promql::Histogram;
use taffrail_query::time_range;

use super::Failure;
use crate::api::parameters::Parameters;

/// A sample's value, which is shown as text, as JSON has neither NaN nor infinities (Go's
/// `strconv.FormatFloat(v, 'f', -1, 64)`).
pub struct Number(pub f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Whole numbers up to this are written as such, which is quicker.
        const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
        let Number(value) = *self;
        if value.is_nan() {
            f.write_str("NaN")
        } else if value.is_infinite() {
            f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
        } else if value.abs() < WHOLE_MAX && (value as i64 as f64).to_bits() == value.to_bits() {
            fmt::Display::fmt(&(value as i64), f)
        } else {
            fmt::Display::fmt(&value, f)
        }
    }
}

/// The text of a [`Number`].
pub fn number(value: f64) -> String {
    Number(value).to_string()
}

/// A moment: Unix seconds, with milliseconds when there are any.
pub fn moment(milliseconds: i64) -> Value {
    if milliseconds % 1000 == 0 { (milliseconds / 1000).into() } else { (milliseconds as f64 / 1000.0).into() }
}

/// A point: `[1435781430.781, "1"]`.
pub fn point(milliseconds: i64, value: f64) -> Value {
    json!([moment(milliseconds), number(value)])
}

/// A native histogram: `{"count":"3","sum":"4","buckets":[[0,"1","2","3"]]}`; a bucket is which of its bounds belong to it, the
/// bounds, and its observations.
pub fn histogram(histogram: &Histogram) -> Value {
    let mut shown = json!({ "count": number(histogram.count), "sum": number(histogram.sum) });
    let buckets: Vec<Value> = histogram
        .buckets()
        .map(|b| json!([b.boundary_rule(), number(b.lower), number(b.upper), number(b.count)]))
        .collect();
    if !buckets.is_empty() {
        shown["buckets"] = buckets.into();
    }
    shown
}

/// Labels as an object.
pub fn labels(labels: &LabelSet) -> Value {
    Value::Object(labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>())
}

/// The moment that a parameter names (RFC 3339 or Unix seconds), if it is there.
pub fn read_moment(parameters: &Parameters, name: &str) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = parameters.get(name) else { return Ok(None) };
    // Always seconds here, whatever their magnitude; our other notations (`now-1h`) do no harm.
    let moment = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() => Ok(Timestamp::from_unix_millis((seconds * 1000.0).round() as i64)),
        _ => time_range::parse_moment(text, Timestamp::now()),
    };
    let refused = || format!("invalid parameter \"{name}\": cannot parse {text:?} to a valid timestamp");
    moment.map(Some).map_err(|_| Failure::bad_data(refused()))
}

/// The moment that a parameter names; an error when it is missing.
pub fn required_moment(parameters: &Parameters, name: &str) -> Result<Timestamp, Failure> {
    read_moment(parameters, name)?.ok_or_else(|| {
        Failure::bad_data(format!("invalid parameter \"{name}\": cannot parse \"\" to a valid timestamp"))
    })
}

/// The span that a parameter names: seconds, or a duration (`5m`).
pub fn read_span(parameters: &Parameters, name: &str) -> Result<Option<Duration>, Failure> {
    let Some(text) = parameters.get(name) else { return Ok(None) };
    let bad = || Failure::bad_data(format!("invalid parameter \"{name}\": cannot parse {text:?} to a valid duration"));
    let span = match text.parse::<f64>() {
        // What is negative is no span of ours; Prometheus says of such a step what it says of none.
        Ok(seconds) if seconds < 0.0 => Duration::ZERO,
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| bad())?,
        Err(_) => time_range::parse_span(text).map_err(|_| bad())?,
    };
    Ok(Some(span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_prometheus_writes_them() {
        let check = |value, expected| assert_eq!(number(value), expected);
        check(1.0, "1");
        check(0.1, "0.1");
        check(-0.0, "-0");
        check(1e21, "1000000000000000000000");
        check(1.5e-7, "0.00000015");
        check(f64::NAN, "NaN");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
    }

    #[test]
    fn moments_have_milliseconds_only_when_there_are_any() {
        assert_eq!(moment(1_435_781_430_000).to_string(), "1435781430");
        assert_eq!(moment(1_435_781_430_781).to_string(), "1435781430.781");
    }

    #[test]
    fn times_are_seconds_or_rfc3339_and_steps_seconds_or_durations() {
        let of = |text: &str| Parameters::new(vec![("x".into(), text.into())]);
        let check = |text, nanos| {
            assert_eq!(read_moment(&of(text), "x").unwrap().unwrap().unix_nanos(), nanos, "{text}");
        };
        check("1435781430.781", 1_435_781_430_781_000_000);
        check("0", 0);
        check("2015-07-01T20:10:30.781Z", 1_435_781_430_781_000_000);
        assert!(read_moment(&of("yesteryear"), "x").is_err());
        let check = |text, seconds| {
            assert_eq!(read_span(&of(text), "x").unwrap().unwrap(), Duration::from_secs_f64(seconds), "{text}");
        };
        check("15", 15.0);
        check("0.5", 0.5);
        check("5m", 300.0);
        assert_eq!(read_span(&of("-1"), "x").unwrap(), Some(Duration::ZERO));
    }
}
