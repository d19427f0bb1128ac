//! One line: `path value [time]`, separated by spaces or tabs.
//!
//! ```text
//! path     name *( ";" tag "=" value )      neither part of a tag is empty, no tag holds !^=, no value begins with ~
//! value    any usual form of a number: 1, -1.5, .5, 1e3, +Inf; not a number (nan) is refused
//! time     Unix seconds, whole or not; -1, N, or nothing at all: now
//! ```
//!
//! carbon reads numbers and times as Python does, and drops what is not a number. Tags `trace_id`, `span_id` and
//! `dd.trace_id` make an exemplar, never a series.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::label_set::NAME_LABEL;
use crate::model::{Exemplar, Sample, Timestamp};
use crate::source::series_cache::{BadLabels, Hashing, Pair, SeriesCache, WrittenLabels};
use crate::source::series_type::reading;
use crate::source::statsd::trace_tags::TraceTags;

/// Makes samples of lines; remembers series.
#[derive(Debug)]
pub struct LineReader {
    cache: SeriesCache,
}

/// Why a line is refused: the reason's name in counters.
pub type Refused = &'static str;

impl LineReader {
    /// One that remembers so many series, with names and tags of at most so many bytes.
    pub fn new(series_max: usize, path_bytes_max: usize) -> LineReader {
        LineReader { cache: SeriesCache::new(series_max, path_bytes_max) }
    }

    /// The sample of a line without its end.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn read(&self, line: &[u8], now: Timestamp) -> Result<Sample, Refused> {
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).filter(|word| !word.is_empty());
        let (path, value, time) = (words.next(), words.next(), words.next());
        let (Some(path), Some(value), None) = (path, value, words.next()) else { return Err("malformed_line") };
        let text = |word| str::from_utf8(word).map_err(|_| "invalid_utf8");
        let value: f64 = text(value)?.parse().map_err(|_| "malformed_value")?;
        if value.is_nan() {
            return Err("not_a_number");
        }
        let timestamp = time.map_or(Ok(now), |time| moment(text(time)?, now))?;
        let (path, trace) = without_trace(path);
        let series = self.cache.lookup().find(&WrittenPath(&path)).map_err(BadLabels::reason)?;
        let exemplar = |trace_id| Exemplar { timestamp, value, trace_id, span_id: trace.span_id };
        Ok(Sample {
            labels: Arc::clone(&series.labels),
            timestamp,
            interval_ms: 0,
            value: reading(value, false),
            unit: "",
            exemplars: trace.trace_id.map(exemplar).into_iter().collect(),
        })
    }
}

fn moment(time: &str, now: Timestamp) -> Result<Timestamp, Refused> {
    if matches!(time, "-1" | "N" | "n") {
        return Ok(now);
    }
    let nanos = match time.parse::<i64>() {
        Ok(seconds) => seconds.checked_mul(1_000_000_000),
        Err(_) => {
            // Microseconds are all that a float of today's seconds holds.
            let micros = (time.parse::<f64>().map_err(|_| "malformed_time")? * 1e6).round();
            (micros.abs() < 9.2e15).then(|| micros as i64 * 1000)
        }
    };
    nanos.map(Timestamp::from_unix_nanos).ok_or("impossible_time")
}

/// The path without tags that tie it to a trace.
fn without_trace(path: &[u8]) -> (Cow<'_, [u8]>, TraceTags) {
    let mut trace = TraceTags::default();
    if memchr::memmem::find(path, b"trace_id=").is_none() && memchr::memmem::find(path, b"span_id=").is_none() {
        return (path.into(), trace);
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b';') {
        let tag = str::from_utf8(part).ok().and_then(|part| part.split_once('='));
        if !tag.is_some_and(|(name, value)| trace.take(name, value)) {
            kept.push(part);
        }
    }
    (kept.join(&b';').into(), trace)
}

/// A name and its tags as a line writes them.
struct WrittenPath<'a>(&'a [u8]);

impl<'a> WrittenLabels<'a> for WrittenPath<'a> {
    fn hashes(&self, hashing: &Hashing) -> [u64; 2] {
        hashing.of_bytes(self.0)
    }

    fn pairs(&self) -> Result<Vec<Pair<'a>>, BadLabels> {
        let mut parts = self.0.split(|&byte| byte == b';');
        let mut pairs = vec![(NAME_LABEL.as_bytes(), parts.next().unwrap_or_default())];
        for part in parts {
            let at = memchr::memchr(b'=', part).ok_or(BadLabels::Malformed)?;
            let (name, value) = (&part[..at], &part[at + 1..]);
            if name.is_empty() || value.is_empty() || value[0] == b'~' || name.iter().any(|byte| b"!^".contains(byte)) {
                return Err(BadLabels::Malformed);
            }
            pairs.push((name, value));
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SampleValue;

    /// `series @milliseconds value`, or the reason.
    fn read(reader: &LineReader, line: &[u8]) -> String {
        match reader.read(line, Timestamp::from_unix_seconds(77)) {
            Ok(Sample { labels, timestamp, value: SampleValue::Gauge { last, .. }, exemplars, .. }) => {
                let traces: String = exemplars.iter().map(|one| format!(" #{:x}", one.trace_id.bits())).collect();
                format!("{labels} @{} {last}{traces}", timestamp.unix_millis())
            }
            Ok(other) => format!("{other:?}"),
            Err(reason) => reason.to_owned(),
        }
    }

    #[test]
    fn lines_say_what_they_mean() {
        let reader = LineReader::new(100, 200);
        let check = |line: &str, expected: &str| {
            assert_eq!(read(&reader, line.as_bytes()), expected, "{line}");
            assert_eq!(read(&reader, line.as_bytes()), expected, "{line}, a second time");
        };
        check("a.b.c 1 1700000000", r#"{"a.b.c"} @1700000000000 1"#);
        check("a.b.c\t 1.5 \t1700000000.25\r", r#"{"a.b.c"} @1700000000250 1.5"#);
        check("up 1e3 -1", "up @77000 1000");
        check("up -.5 N", "up @77000 -0.5");
        check("up +Inf", "up @77000 inf");
        check("up 1. 0", "up @0 1");
        check("up 1 -2", "up @-2000 1");
        check("a.b;dc=x;Rack=1 2 5", r#"{"a.b", Rack="1", dc="x"} @5000 2"#);
        check("up;z=1;a=2 2 5", r#"up{a="2", z="1"} @5000 2"#);
        check("up;dc=x=y 2 5", r#"up{dc="x=y"} @5000 2"#);
        check("up;a=2;trace_id=0000000000000000000000000000000a 2 5", r#"up{a="2"} @5000 2 #a"#);
        check("up", "malformed_line");
        check("", "malformed_line");
        check("up 1 2 3", "malformed_line");
        check("up one 2", "malformed_value");
        check("up 0x10 2", "malformed_value");
        check("up nan 2", "not_a_number");
        check("up 1 soon", "malformed_time");
        check("up 1 nan", "impossible_time");
        check("up 1 1e300", "impossible_time");
        check("up 1 9999999999999999", "impossible_time");
        check("up;a 1", "malformed_labels");
        check("up;=b 1", "malformed_labels");
        check("up;a= 1", "malformed_labels");
        check("up;a=~b 1", "malformed_labels");
        check("up;a!=b 1", "malformed_labels");
        check(";a=b 1", "series_without_name");
        check("up;a=1;a=2 1", "repeated_label");
        check("up;__name__=x 1", "repeated_label");
        check(&format!("{} 1", "x".repeat(300)), "labels_too_long");
        assert_eq!(read(&reader, b"\xff 1"), "invalid_utf8");
    }

    #[test]
    fn labels_are_built_once() {
        let reader = LineReader::new(100, 200);
        let labels = |line: &[u8]| reader.read(line, Timestamp::EPOCH).unwrap().labels;
        assert!(Arc::ptr_eq(&labels(b"a;b=c;d=e 1"), &labels(b"a;b=c;d=e 2 5")));
        assert!(Arc::ptr_eq(&labels(b"a;d=e;b=c 1"), &labels(b"a;d=e;b=c 2")));
        assert_ne!(labels(b"a;b=c 1"), labels(b"a;b=c;d=e 1"));
    }
}
