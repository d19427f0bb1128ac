//! One StatsD line, read in one pass without copying: the union of the dialects that live clients speak.
//!
//! ```text
//! line     = name *( ":" value ) "|" type *( "|" field ) *( ":" value "|" type … )
//! name     = text, or text ";k=v;k2=v2" (Graphite) / text ",k=v,k2=v2" (Influx) / text "#k=v,k2=v2" (Librato)
//! value    = number; a gauge's may start with a sign; a set's is any text; several separated by ":" share one type (DogStatsD 1.1)
//! type     = "c" / "C" / "m" (counter), "g" (gauge), "ms" / "h" / "d" (distribution), "s" (set)
//! field    = "@" rate / "#" tags / "T" unix seconds / "c:" … / "e:" … / "card:" … in any order; others are skipped and counted
//! tags     = tag *( "," tag ); tag = key ":" value / bare
//! ```
//! A type may be followed by `:` and another value with its own type and rate (etsy: `a:1|c:2|c|@0.1:320|ms`).
//! Sources: `DataDog/documentation:content/en/extend/dogstatsd/datagram_shell.md`, `statsd/statsd:stats.js` and
//! `docs/metric_types.md`. Events and service checks are read by [`super::event`].

use memchr::{memchr, memchr2, memchr3};
use thiserror::Error;

use crate::model::SampleKind;

/// The least sample rate: below it one line would stand for more than a billion.
pub const SAMPLE_RATE_MIN: f64 = 1e-9;

/// The greatest magnitude of a value. Sums of any number of them, each times 1 ÷ [`SAMPLE_RATE_MIN`], stay finite.
pub const VALUE_MAX: f64 = 1e280;

/// The longest name with its tags, in bytes. Every series is kept by them while it lives; real ones are a tenth of it.
pub const KEY_BYTES_MAX: usize = 4 << 10;

/// A metric's line, as it claims to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric<'a> {
    /// The name, verbatim; not empty.
    pub name: &'a str,
    /// The name with the tags inside it, as it stands in the line.
    pub spelled_name: &'a str,
    /// Tags inside the name, `k=v` pairs, and what separates them.
    name_tags: &'a str,
    name_tag_separator: u8,
    /// The text after `|#`.
    pub spelled_tags: &'a str,
    /// Unix seconds after `|T`: the sender has aggregated the value itself.
    pub timestamp: Option<i64>,
    /// Values of the first type.
    pub first: Segment<'a>,
    /// Further values, each with its type, that share name and tags (etsy).
    pub more: Vec<Segment<'a>>,
    /// Fields that no dialect known to us has.
    pub unknown_fields: u32,
}

/// Values of one type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment<'a> {
    /// The values' text, separated by `:`, or one member of a set.
    pub values: &'a str,
    /// What they are.
    pub kind: MetricKind,
    /// The share of observations that was sent, in ([`SAMPLE_RATE_MIN`], 1].
    pub sample_rate: f64,
}

/// StatsD's types, as we tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// `c`, `C`, and `m` (a meter is a counter whose rate is wanted).
    Counter,
    /// `g`.
    Gauge,
    /// `ms`: observations in milliseconds.
    Timer,
    /// `h`, `d`: observations without a unit.
    Distribution,
    /// `s`.
    Set,
}

/// Why a line was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{}", self.reason())]
pub enum Malformed {
    /// No `:` after the name.
    MissingValue,
    /// Nothing before the `:`.
    EmptyName,
    /// No `|` after the value.
    MissingType,
    /// A type that no dialect has; taking it for a counter, as etsy's does, would invent data.
    UnknownType,
    /// A value that is not a finite number of a sane size.
    BadValue,
    /// A sample rate that is not a number in ([`SAMPLE_RATE_MIN`], 1].
    BadSampleRate,
    /// `T` without whole seconds.
    BadTimestamp,
    /// `T` ahead of our clock.
    FutureTimestamp,
    /// Two `|#` fields: which one identifies the series cannot be told.
    RepeatedTags,
    /// Name and tags of more than [`KEY_BYTES_MAX`].
    KeyTooLong,
    /// A tag called `__name__`.
    ReservedTag,
    /// Control characters in a metric's line.
    ControlCharacter,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// An event that breaks the format of [`super::event`].
    BadEvent,
    /// A service check that breaks the format of [`super::event`].
    BadServiceCheck,
}

impl Malformed {
    /// Its name in the tally.
    pub const fn reason(self) -> &'static str {
        match self {
            Malformed::MissingValue => "missing_value",
            Malformed::EmptyName => "empty_name",
            Malformed::MissingType => "missing_type",
            Malformed::UnknownType => "unknown_type",
            Malformed::BadValue => "bad_value",
            Malformed::BadSampleRate => "bad_sample_rate",
            Malformed::BadTimestamp => "bad_timestamp",
            Malformed::FutureTimestamp => "future_timestamp",
            Malformed::RepeatedTags => "repeated_tags",
            Malformed::KeyTooLong => "key_too_long",
            Malformed::ReservedTag => "reserved_tag",
            Malformed::ControlCharacter => "control_character",
            Malformed::InvalidUtf8 => "invalid_utf8",
            Malformed::BadEvent => "bad_event",
            Malformed::BadServiceCheck => "bad_service_check",
        }
    }
}

impl MetricKind {
    fn of(token: &str) -> Result<MetricKind, Malformed> {
        match token {
            "c" | "C" | "m" => Ok(MetricKind::Counter),
            "g" => Ok(MetricKind::Gauge),
            "ms" => Ok(MetricKind::Timer),
            "h" | "d" => Ok(MetricKind::Distribution),
            "s" => Ok(MetricKind::Set),
            _ => Err(Malformed::UnknownType),
        }
    }

    /// What it is stored as.
    pub const fn sample_kind(self) -> SampleKind {
        match self {
            MetricKind::Counter => SampleKind::Counter,
            MetricKind::Gauge => SampleKind::Gauge,
            MetricKind::Timer | MetricKind::Distribution => SampleKind::Distribution,
            MetricKind::Set => SampleKind::Set,
        }
    }

    /// The unit that the type implies.
    pub const fn unit(self) -> &'static str {
        match self {
            MetricKind::Timer => "ms",
            _ => "",
        }
    }
}

/// Reads a metric's line, without its line end.
pub fn parse(line: &str) -> Result<Metric<'_>, Malformed> {
    let bytes = line.as_bytes();
    // Without an early end, so that the compiler looks at many bytes at a time.
    if bytes.iter().fold(false, |found, byte| found | byte.is_ascii_control()) {
        return Err(Malformed::ControlCharacter);
    }
    let colon = memchr(b':', bytes).ok_or(Malformed::MissingValue)?;
    let (name, name_tag_separator, name_tags) = split_name(&line[..colon]);
    if name.is_empty() {
        return Err(Malformed::EmptyName);
    }
    let mut fields = Fields { tags: None, timestamp: None, unknown: 0 };
    let (first, mut rest) = segment(&line[colon + 1..], &mut fields)?;
    let mut more = Vec::new();
    while let Some(text) = rest {
        let (segment, after) = segment(text, &mut fields)?;
        more.push(segment);
        rest = after;
    }
    let spelled_tags = fields.tags.unwrap_or("");
    if colon + spelled_tags.len() > KEY_BYTES_MAX {
        return Err(Malformed::KeyTooLong);
    }
    Ok(Metric {
        name,
        spelled_name: &line[..colon],
        name_tags,
        name_tag_separator,
        spelled_tags,
        timestamp: fields.timestamp,
        first,
        more,
        unknown_fields: fields.unknown,
    })
}

impl<'a> Metric<'a> {
    /// Key and value of every tag in the order they stand; a bare tag has the value `true`.
    pub fn tags(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        tag_pairs(self.name_tags, self.name_tag_separator, b'=').chain(tag_list(self.spelled_tags))
    }

    /// The values of each type.
    pub fn segments(&self) -> impl Iterator<Item = &Segment<'a>> {
        std::iter::once(&self.first).chain(&self.more)
    }
}

impl<'a> Segment<'a> {
    /// Each value's text.
    pub fn values(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let separator = if self.kind == MetricKind::Set { '\n' } else { ':' }; // no line holds its own end
        self.values.split(separator)
    }
}

/// Key and value of each tag of a DogStatsD list; a bare tag has the value `true`.
pub fn tag_list(text: &str) -> impl Iterator<Item = (&str, &str)> + use<'_> {
    tag_pairs(text, b',', b':')
}

/// The finite number of a sane size that a text is, if it is one.
pub fn number(text: &str) -> Result<f64, Malformed> {
    match text.parse::<f64>() {
        Ok(number) if number.abs() <= VALUE_MAX => Ok(number),
        _ => Err(Malformed::BadValue),
    }
}

/// What stands between the types, for the whole line.
struct Fields<'a> {
    tags: Option<&'a str>,
    timestamp: Option<i64>,
    unknown: u32,
}

/// Reads values, their type and the fields behind it; returns what follows a `:` behind them, if one does.
fn segment<'a>(text: &'a str, fields: &mut Fields<'a>) -> Result<(Segment<'a>, Option<&'a str>), Malformed> {
    let (values, text) = text.split_at(memchr(b'|', text.as_bytes()).ok_or(Malformed::MissingType)?);
    let text = &text[1..];
    let (token, mut text) = split_before(text, memchr2(b'|', b':', text.as_bytes()));
    let mut segment = Segment { values, kind: MetricKind::of(token)?, sample_rate: 1.0 };
    loop {
        let Some(&delimiter) = text.as_bytes().first() else { return Ok((segment, None)) };
        text = &text[1..];
        if delimiter == b':' {
            return Ok((segment, Some(text)));
        }
        let end = match text.as_bytes().first() {
            Some(b'@') => memchr2(b'|', b':', text.as_bytes()),
            _ => memchr(b'|', text.as_bytes()),
        };
        let (field, after) = split_before(text, end);
        text = after;
        match field.as_bytes() {
            [] => {}
            [b'@', ..] => segment.sample_rate = sample_rate(&field[1..])?,
            [b'#', ..] => {
                if fields.tags.replace(&field[1..]).is_some() {
                    return Err(Malformed::RepeatedTags);
                }
            }
            [b'T', ..] => {
                let seconds: u32 = field[1..].parse().map_err(|_| Malformed::BadTimestamp)?;
                fields.timestamp = Some(i64::from(seconds));
            }
            [b'c', b':', ..] | [b'e', b':', ..] | [b'c', b'a', b'r', b'd', b':', ..] => {}
            _ => fields.unknown += 1,
        }
    }
}

fn split_before(text: &str, end: Option<usize>) -> (&str, &str) {
    text.split_at(end.unwrap_or(text.len()))
}

fn sample_rate(text: &str) -> Result<f64, Malformed> {
    match text.parse::<f64>() {
        Ok(rate) if (SAMPLE_RATE_MIN..=1.0).contains(&rate) => Ok(rate),
        _ => Err(Malformed::BadSampleRate),
    }
}

/// The name without its tags, their separator, and the tags; a name whose tail does not read as `k=v` pairs is left whole.
fn split_name(text: &str) -> (&str, u8, &str) {
    if let Some(at) = memchr3(b';', b',', b'#', text.as_bytes()) {
        let separator = if text.as_bytes()[at] == b';' { b';' } else { b',' };
        let tags = &text[at + 1..];
        let mut pairs = tags.split(char::from(separator));
        if !tags.is_empty() && pairs.all(|pair| pair.find('=').is_some_and(|equals| equals > 0)) {
            return (&text[..at], separator, tags);
        }
    }
    (text, b',', "")
}

/// Keys and values of a list of tags; pieces without a key are left out. One look at each byte finds both delimiters:
/// tags are too short for a vectorised search to pay.
fn tag_pairs(text: &str, separator: u8, equals: u8) -> impl Iterator<Item = (&str, &str)> + use<'_> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let mut key_end = None;
            let mut end = rest.len();
            for (at, byte) in rest.bytes().enumerate() {
                if byte == separator {
                    end = at;
                    break;
                }
                if byte == equals && key_end.is_none() {
                    key_end = Some(at);
                }
            }
            let tag = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or("");
            match key_end {
                Some(0) => {}
                Some(at) => return Some((&tag[..at], &tag[at + 1..])),
                None if tag.is_empty() => {}
                None => return Some((tag, "true")),
            }
        }
        None
    })
}

#[cfg(test)]
mod tests;
