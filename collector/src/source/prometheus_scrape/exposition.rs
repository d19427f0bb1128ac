//! The text formats of metrics: Prometheus' own (0.0.4) and OpenMetrics 1.0.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>, <https://github.com/prometheus/OpenMetrics>
//!
//! ```text
//! # TYPE name type          # UNIT name unit          # HELP name text          # EOF (OpenMetrics: the end, or it is cut)
//! name{label="value",…} value [time] [# {label="value",…} value [time]]
//! {"a name", label="value",…} value                  names that need quotes stand among the labels
//! ```
//!
//! A label's value has the escapes `\\`, `\"` and `\n`. Times are Unix milliseconds, in OpenMetrics seconds. A line that cannot be
//! read costs no other.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::model::{Exemplar, Timestamp};
use crate::source::exemplar_trace::take_label;
use crate::source::series_type::SeriesType;
use crate::source::statsd::trace_tags::TraceTags;

/// Which of the formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text.
    Prometheus,
    /// OpenMetrics.
    OpenMetrics,
}

/// A reading as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenSample<'a> {
    /// Name and labels as they stand there, the same for the same series.
    pub written: &'a str,
    /// The value.
    pub value: f64,
    /// Its time, when it is given.
    pub timestamp: Option<Timestamp>,
    /// Its exemplar, when it names a trace.
    pub exemplar: Option<Exemplar>,
}

/// Name and value.
pub type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

/// What families say of themselves.
#[derive(Debug, Default)]
pub struct Families<'a> {
    types: HashMap<&'a str, SeriesType>,
    units: HashMap<&'a str, &'a str>,
    /// In the order in which families first said something.
    said: Vec<Said<'a>>,
    /// Where each family stands in that list.
    places: HashMap<&'a str, usize>,
}

/// What a family says of itself, word for word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said<'a> {
    /// Its name.
    pub family: &'a str,
    /// Behind `TYPE`.
    pub type_word: &'a str,
    /// Behind `UNIT`.
    pub unit: &'a str,
    /// Behind `HELP`, with its escapes.
    pub help: &'a str,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'a> {
    /// A reading.
    Sample(WrittenSample<'a>),
    /// `# EOF`.
    End,
    /// A comment, or what families say of themselves.
    Comment,
    /// None of these.
    Malformed,
}

/// Suffixes that the series of a family have.
const SUFFIXES: [&str; 8] = ["_total", "_created", "_bucket", "_count", "_sum", "_gcount", "_gsum", "_info"];

impl<'a> Families<'a> {
    /// Reads a line. A time that is missing in an exemplar is `now`.
    pub fn read(&mut self, line: &'a str, format: Format, now: Timestamp) -> Line<'a> {
        let line = line.trim_matches([' ', '\t', '\r']);
        if let Some(comment) = line.strip_prefix('#') {
            return self.comment(comment.trim_start());
        }
        if line.is_empty() {
            return Line::Comment;
        }
        read_sample(line, format, now).map_or(Line::Malformed, Line::Sample)
    }

    /// The type of the series with this name.
    pub fn type_of(&self, name: &str) -> SeriesType {
        match self.family(&self.types, name).copied().unwrap_or_default() {
            // When it began to count is a moment, not a count.
            SeriesType::Counter if name.ends_with("_created") => SeriesType::Gauge,
            found => found,
        }
    }

    /// The unit of the series with this name.
    pub fn unit_of(&self, name: &str) -> &'a str {
        if name.ends_with("_count") || name.ends_with("_bucket") {
            return "";
        }
        self.family(&self.units, name).copied().unwrap_or_default()
    }

    /// What families said of themselves.
    pub fn said(&self) -> &[Said<'a>] {
        &self.said
    }

    fn family<'m, T>(&self, map: &'m HashMap<&'a str, T>, name: &str) -> Option<&'m T> {
        map.get(name).or_else(|| SUFFIXES.iter().find_map(|suffix| map.get(name.strip_suffix(suffix)?)))
    }

    fn comment(&mut self, comment: &'a str) -> Line<'a> {
        if comment == "EOF" {
            return Line::End;
        }
        let mut words = comment.splitn(3, [' ', '\t']).map(str::trim);
        if let (Some(what), Some(name), Some(said)) = (words.next(), words.next(), words.next()) {
            let name = name.trim_matches('"');
            match what {
                "TYPE" => {
                    self.types.insert(name, series_type(said));
                    self.said_by(name).type_word = said;
                }
                "UNIT" => {
                    self.units.insert(name, said);
                    self.said_by(name).unit = said;
                }
                "HELP" => self.said_by(name).help = said,
                _ => {}
            }
        }
        Line::Comment
    }

    fn said_by(&mut self, family: &'a str) -> &mut Said<'a> {
        let at = *self.places.entry(family).or_insert_with(|| {
            self.said.push(Said { family, ..Said::default() });
            self.said.len() - 1
        });
        &mut self.said[at]
    }
}

fn series_type(word: &str) -> SeriesType {
    match word {
        "counter" => SeriesType::Counter,
        "gauge" | "gaugehistogram" | "info" | "stateset" => SeriesType::Gauge,
        "histogram" => SeriesType::Histogram,
        "summary" => SeriesType::Summary,
        _ => SeriesType::Unknown,
    }
}

fn read_sample(line: &str, format: Format, now: Timestamp) -> Option<WrittenSample<'_>> {
    let name_end = line.find(['{', ' ', '\t'])?;
    let written_end = match line[name_end..].starts_with('{') {
        true => name_end + braces_end(&line[name_end..])?,
        false => name_end,
    };
    let (written, rest) = line.split_at(written_end);
    let (reading, exemplar) = match rest.split_once('#') {
        Some((reading, exemplar)) => (reading, Some(exemplar.trim())),
        None => (rest, None),
    };
    let (value, timestamp) = value_and_time(reading, format)?;
    let exemplar = match exemplar {
        Some(exemplar) => read_exemplar(exemplar, timestamp.unwrap_or(now))?,
        None => None,
    };
    Some(WrittenSample { written, value, timestamp, exemplar })
}

fn value_and_time(text: &str, format: Format) -> Option<(f64, Option<Timestamp>)> {
    let mut words = text.split_ascii_whitespace();
    let value = number(words.next()?)?;
    let nanos = match (words.next(), format) {
        (None, _) => None,
        (Some(millis), Format::Prometheus) => Some(millis.parse::<i64>().ok()?.checked_mul(1_000_000)?),
        (Some(seconds), Format::OpenMetrics) => {
            // Microseconds are all that a float of today's seconds holds.
            let micros = (number(seconds)? * 1e6).round();
            Some(Some(micros as i64).filter(|_| micros.abs() < 9.2e15)? * 1000)
        }
    };
    words.next().is_none().then_some((value, nanos.map(Timestamp::from_unix_nanos)))
}

/// As Go reads it, which writes `NaN`, `+Inf` and `-Inf`.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// None when it is malformed; some of none when it names no trace.
#[expect(clippy::option_option, reason = "what is malformed and what is of no use are told apart")]
fn read_exemplar(text: &str, at: Timestamp) -> Option<Option<Exemplar>> {
    let end = braces_end(text)?;
    let (value, timestamp) = value_and_time(&text[end..], Format::OpenMetrics)?;
    let mut trace = TraceTags::default();
    for (name, label) in labels_of(&text[..end])? {
        take_label(&mut trace, &name, &label);
    }
    let exemplar = |trace_id| Exemplar { timestamp: timestamp.unwrap_or(at), value, trace_id, span_id: trace.span_id };
    Some(trace.trace_id.map(exemplar))
}

/// Where a text that begins with `{` has the brace that closes it.
fn braces_end(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The labels of a series as it is written, its name under `__name__`; none when they are malformed.
pub fn labels_of(written: &str) -> Option<Vec<Label<'_>>> {
    let mut labels = Vec::new();
    let (name, braces) = written.split_at(written.find('{').unwrap_or(written.len()));
    if !name.is_empty() {
        labels.push(("__name__".into(), name.into()));
    }
    let Some(mut left) = braces.strip_prefix('{') else { return Some(labels) };
    left = left.strip_suffix('}')?.trim();
    while !left.is_empty() {
        let name: Cow<'_, str> = if left.starts_with('"') {
            let (name, rest) = quoted(left)?;
            left = rest.trim_start();
            name
        } else {
            let end = left.find(['=', ',', ' ', '\t'])?;
            let (name, rest) = left.split_at(end);
            left = rest.trim_start();
            name.into()
        };
        match left.strip_prefix('=') {
            Some(rest) => {
                let (value, rest) = quoted(rest.trim_start())?;
                left = rest.trim_start();
                labels.push((name, value));
            }
            // A quoted name without a value is the metric's.
            None => labels.push(("__name__".into(), name)),
        }
        left = match left.strip_prefix(',') {
            Some(rest) => rest.trim_start(),
            None if left.is_empty() => left,
            None => return None,
        };
    }
    Some(labels)
}

/// The text in the quotes that it begins with, and what stands behind them.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let text = text.strip_prefix('"')?;
    let end = text.find(['"', '\\'])?;
    if text.as_bytes()[end] == b'"' {
        return Some((text[..end].into(), &text[end + 1..]));
    }
    let mut plain = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((plain.into(), &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => plain.push('\n'),
                other @ ('\\' | '"') => plain.push(other),
                // As Prometheus reads it: an escape that is none stands for itself.
                other => plain.extend(['\\', other]),
            },
            letter => plain.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `series type value @milliseconds unit #trace=value`, or what else the line is.
    fn read(families: &mut Families<'static>, line: &'static str, format: Format) -> String {
        let now = Timestamp::from_unix_seconds(77);
        let sample = match families.read(line, format, now) {
            Line::Sample(sample) => sample,
            other => return format!("{other:?}"),
        };
        let Some(labels) = labels_of(sample.written) else { return "bad labels".to_owned() };
        let name = labels.iter().find(|(name, _)| name == "__name__").map_or("", |(_, name)| name);
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let time = sample.timestamp.map_or(String::new(), |time| format!(" @{}", time.unix_millis()));
        let exemplar = sample.exemplar.map_or(String::new(), |one| {
            format!(" #{:x}={}@{}", one.trace_id.bits(), one.value, one.timestamp.unix_millis())
        });
        let (series_type, unit) = (families.type_of(name), families.unit_of(name));
        format!("{} {series_type:?} {}{time} {unit}{exemplar}", labels.join(" "), sample.value)
    }

    #[test]
    fn lines_of_both_formats_are_read() {
        let mut families = Families::default();
        let mut check = |line, expected: &str| {
            assert_eq!(read(&mut families, line, Format::Prometheus), expected, "{line}");
        };
        check("# HELP http_requests_total Requests.", "Comment");
        check("# TYPE http_requests_total counter", "Comment");
        check(
            r#"http_requests_total{method="post",code="200"} 1027 1395066363000"#,
            "__name__=http_requests_total method=post code=200 Counter 1027 @1395066363000 ",
        );
        check(
            r#"msdos{path="C:\\DIR\\F",error="a\n\"b\"",x="\d"} 1.5"#,
            "__name__=msdos path=C:\\DIR\\F error=a\n\"b\" x=\\d Unknown 1.5 ",
        );
        check("up 1", "__name__=up Unknown 1 ");
        check("up{} +Inf", "__name__=up Unknown inf ");
        check("\tup { } NaN\r", "Malformed");
        check("up{a = \"b\" , } NaN", "__name__=up a=b Unknown NaN ");
        check(r#"{"a.b", "k.x"="}", y="{"} 1"#, "__name__=a.b k.x=} y={ Unknown 1 ");
        check("# TYPE h histogram", "Comment");
        check(r#"h_bucket{le="+Inf"} 3"#, "__name__=h_bucket le=+Inf Histogram 3 ");
        check("# just a comment", "Comment");
        check("#", "Comment");
        check("", "Comment");
        check("up", "Malformed");
        check("up one", "Malformed");
        check("up 1 2 3", "Malformed");
        check("up 1 1.5", "Malformed");
        check("up{a=\"b\" 1", "Malformed");
        check("up{a} 1", "bad labels");
        check("up{a=b} 1", "bad labels");
        check("up{a=\"b\" c=\"d\"} 1", "bad labels");
        check("up 1 # {trace_id=\"x\"", "Malformed");
        check("up 9 9223372036854775807", "Malformed");
    }

    #[test]
    fn openmetrics_has_units_exemplars_seconds_and_an_end() {
        let mut families = Families::default();
        let mut check = |line, expected: &str| {
            assert_eq!(read(&mut families, line, Format::OpenMetrics), expected, "{line}");
        };
        check("# TYPE took_seconds histogram", "Comment");
        check("# UNIT took_seconds seconds", "Comment");
        check(
            r##"took_seconds_bucket{le="0.1"} 8 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.054 1600096945.479"##,
            "__name__=took_seconds_bucket le=0.1 Histogram 8  #4bf92f3577b34da6a3ce929d0e0e4736=0.054@1600096945479",
        );
        check(
            r##"took_seconds_sum 8.5 2.25 # {traceID="0000000000000000000000000000000a"} 1"##,
            "__name__=took_seconds_sum Histogram 8.5 @2250 seconds #a=1@2250",
        );
        check(r##"took_seconds_sum 8.5 # {user="x"} 1"##, "__name__=took_seconds_sum Histogram 8.5 seconds");
        check("# TYPE hits counter", "Comment");
        check("hits_total 3", "__name__=hits_total Counter 3 ");
        check("hits_created 1.6e9", "__name__=hits_created Gauge 1600000000 ");
        check("up 1 1e300", "Malformed");
        check("# EOF", "End");
    }
}
