//! One StatsD line, read in one pass without copying: the union of the dialects that live clients speak.
//!
//! ```text
//! line     = name 1*( ":" value ) "|" type *( "|" field ) *( ":" value "|" type … )
//! name     = text, with the tags inside it that super::tags draws
//! value    = number; a gauge's may start with a sign; a set's is any text; several separated by ":" share one type (DogStatsD 1.1)
//! type     = "c" / "C" / "m" (counter), "g" (gauge), "ms" / "h" / "d" (distribution), "s" (set)
//! field    = "@" rate / "#" tags / "T" unix seconds / "c:" … / "e:" … / "card:" … in any order; others are skipped and counted
//! tags     = tag *( "," tag ); tag = key ":" value / bare
//! ```
//! A type may be followed by `:` and another value with its own type and rate (etsy: `a:1|c:2|c|@0.1:320|ms`).
//! Where [`Dialects::implied_value`] says so, `name|c` is `name:1|c` (Netdata).
//!
//! Types that mean something else elsewhere: statsite's `kv` (a pair passed on unread) is refused as unknown; `d` is
//! DogStatsD's distribution, so the words of Netdata's dictionaries are refused as values that are no numbers.
//!
//! Sources: `DataDog/documentation:content/en/extend/dogstatsd/datagram_shell.md`, `statsd/statsd:stats.js` and
//! `docs/metric_types.md`, learn.netdata.cloud/docs/data-collection/apm/statsd. Events and service checks are read by
//! [`super::event`].

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use thiserror::Error;

use super::tags::{TagDialect, TagDialects, tag_list};
use crate::model::SampleKind;

/// The least sample rate: below it one line would stand for more than a billion.
pub const SAMPLE_RATE_MIN: f64 = 1e-9;

/// The greatest magnitude of a value. Sums of any number of them, each times 1 ÷ [`SAMPLE_RATE_MIN`], stay finite.
pub const VALUE_MAX: f64 = 1e280;

/// The longest name with its tags, in bytes. Every series is kept by them while it lives; real ones are a tenth of it.
pub const KEY_BYTES_MAX: usize = 4 << 10;

/// In which dialects a listener reads its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialects {
    /// The forms of tags that are tags.
    pub tags: TagDialects,
    /// Whether a line without a value counts 1 of its type, as in Netdata.
    pub implied_value: bool,
}

/// Every form of tags, and no implied values.
impl Default for Dialects {
    fn default() -> Dialects {
        Dialects { tags: TagDialect::ALL.into_iter().collect(), implied_value: false }
    }
}

/// A metric's line, as it claims to be. Its name is taken apart only when somebody asks ([`Metric::name`],
/// [`Metric::tags`]): a line whose series is known is recognised by its spelling.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric<'a> {
    /// The name with the tags inside it, as it stands in the line; not empty.
    pub spelled_name: &'a str,
    /// The text after `|#`.
    pub spelled_tags: &'a str,
    tag_dialects: TagDialects,
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
    pub values: &'a [u8],
    /// What they are.
    pub kind: MetricKind,
    /// The share of observations that was sent, in ([`SAMPLE_RATE_MIN`], 1].
    pub sample_rate: f64,
}

/// StatsD's types, as we tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Nothing before the `:`, or nothing but tags.
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
pub fn parse(line: &str, dialects: Dialects) -> Result<Metric<'_>, Malformed> {
    let bytes = line.as_bytes();
    // Without an early end, so that the compiler looks at many bytes at a time.
    if bytes.iter().fold(false, |found, byte| found | byte.is_ascii_control()) {
        return Err(Malformed::ControlCharacter);
    }
    // A `:` behind the first `|` belongs to a field: the line has no value.
    let name_end = memchr2(b':', b'|', bytes).ok_or(Malformed::MissingValue)?;
    if name_end == 0 {
        return Err(Malformed::EmptyName);
    }
    let mut fields =
        Fields { reads_tags: dialects.tags.reads(TagDialect::DogStatsD), tags: None, timestamp: None, unknown: 0 };
    let (first, mut rest) = if bytes[name_end] == b':' {
        segment(&line[name_end + 1..], &mut fields)?
    } else if dialects.implied_value {
        typed("1", &line[name_end + 1..], &mut fields)?
    } else {
        return Err(Malformed::MissingValue);
    };
    let mut more = Vec::new();
    while let Some(text) = rest {
        let (segment, after) = segment(text, &mut fields)?;
        more.push(segment);
        rest = after;
    }
    let spelled_tags = fields.tags.unwrap_or("");
    if name_end + spelled_tags.len() > KEY_BYTES_MAX {
        return Err(Malformed::KeyTooLong);
    }
    Ok(Metric {
        spelled_name: &line[..name_end],
        spelled_tags,
        tag_dialects: dialects.tags,
        timestamp: fields.timestamp,
        first,
        more,
        unknown_fields: fields.unknown,
    })
}

impl<'a> Metric<'a> {
    /// The name without its tags, verbatim.
    ///
    /// # Errors
    /// [`Malformed::EmptyName`] when there is nothing but tags.
    pub fn name(&self) -> Result<Cow<'a, str>, Malformed> {
        let name = self.tag_dialects.split(self.spelled_name).name();
        if name.is_empty() { Err(Malformed::EmptyName) } else { Ok(name) }
    }

    /// Key and value of every tag in the order they stand; a bare tag has the value `true`.
    pub fn tags(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.tag_dialects.split(self.spelled_name).tags().chain(tag_list(self.spelled_tags))
    }

    /// The values of each type.
    pub fn segments(&self) -> impl Iterator<Item = &Segment<'a>> {
        std::iter::once(&self.first).chain(&self.more)
    }
}

impl<'a> Segment<'a> {
    /// Each value's text.
    pub fn values(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let separator = if self.kind == MetricKind::Set { b'\n' } else { b':' }; // no line holds its own end
        self.values.split(move |&byte| byte == separator)
    }
}

/// The finite number of a sane size that a text is, if it is one.
pub fn number(text: &[u8]) -> Result<f64, Malformed> {
    match short_decimal(text).or_else(|| str::from_utf8(text).ok()?.parse().ok()) {
        Some(number) if number.abs() <= VALUE_MAX => Ok(number),
        _ => Err(Malformed::BadValue),
    }
}

/// The share of observations that was sent, if it is one.
pub fn sample_rate(text: &[u8]) -> Result<f64, Malformed> {
    match number(text) {
        Ok(rate) if (SAMPLE_RATE_MIN..=1.0).contains(&rate) => Ok(rate),
        _ => Err(Malformed::BadSampleRate),
    }
}

/// The number that a sign and a few digits are, with a point or without: most values are, and need no parser for all numbers. Digits and
/// power of ten are exact, so their quotient is the nearest number there is (W. D. Clinger, "How to read floating point numbers
/// accurately", 1990).
fn short_decimal(text: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (is_negative, text) = match text {
        [b'-', text @ ..] => (true, text),
        [b'+', text @ ..] | text => (false, text),
    };
    if text.is_empty() || text.len() > 15 {
        return None;
    }
    let (mut digits, mut point) = (0u64, None);
    for (at, &byte) in text.iter().enumerate() {
        match byte.wrapping_sub(b'0') {
            digit @ 0..10 => digits = digits.wrapping_mul(10).wrapping_add(digit.into()), // 15 digits at most
            _ if byte == b'.' && point.is_none() && text.len() > 1 => point = Some(at),
            _ => return None,
        }
    }
    let number = match point {
        None => digits as f64,
        Some(point) => digits as f64 / POWERS[text.len() - 1 - point],
    };
    Some(if is_negative { -number } else { number })
}

/// What stands between the types, for the whole line.
struct Fields<'a> {
    /// Whether `|#` holds tags; else it is a field like any other that is not known.
    reads_tags: bool,
    tags: Option<&'a str>,
    timestamp: Option<i64>,
    unknown: u32,
}

/// Reads values, their type and the fields behind it; returns what follows a `:` behind them, if one does.
fn segment<'a>(text: &'a str, fields: &mut Fields<'a>) -> Result<(Segment<'a>, Option<&'a str>), Malformed> {
    let (values, text) = text.split_at(near(text, |byte| byte == b'|').ok_or(Malformed::MissingType)?);
    typed(values, &text[1..], fields)
}

/// The same for what follows the values and their `|`.
fn typed<'a>(
    values: &'a str,
    text: &'a str,
    fields: &mut Fields<'a>,
) -> Result<(Segment<'a>, Option<&'a str>), Malformed> {
    let (token, mut text) = split_before(text, near(text, |byte| byte == b'|' || byte == b':'));
    let mut segment = Segment { values: values.as_bytes(), kind: MetricKind::of(token)?, sample_rate: 1.0 };
    loop {
        let Some(&delimiter) = text.as_bytes().first() else { return Ok((segment, None)) };
        text = &text[1..];
        if delimiter == b':' {
            return Ok((segment, Some(text)));
        }
        let end = match text.as_bytes().first() {
            Some(b'@') => near(text, |byte| byte == b'|' || byte == b':'),
            _ => memchr(b'|', text.as_bytes()),
        };
        let (field, after) = split_before(text, end);
        text = after;
        match field.as_bytes() {
            [] => {}
            [b'@', ..] => segment.sample_rate = sample_rate(&field.as_bytes()[1..])?,
            [b'#', ..] if fields.reads_tags => {
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

/// Where a delimiter stands behind a value or a type, which are mostly so short that a search of many bytes at a time begins too
/// slowly to pay.
fn near(text: &str, is_delimiter: impl Fn(u8) -> bool) -> Option<usize> {
    text.bytes().position(is_delimiter)
}

fn split_before(text: &str, end: Option<usize>) -> (&str, &str) {
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests;
