//! Times as log lines write them.
//!
//! Read are RFC 3339 and its relatives (`2026-11-21 07:33:00,123`, `2026/11/21 07:33:00`), syslog's `Nov 21 07:33:00`, ctime's
//! `Sat Nov 21 07:33:00 2026`, RFC 2822, Apache's `21/Nov/2026:07:33:00 +0000`, `21 Nov 2026 07:33:00`, logcat's
//! `11-21 07:33:00.123`, glog's `E1121 07:33:00.123456` and Unix times in seconds, milli-, micro- or nanoseconds.
//! A time that names no zone is taken as a time of the configured [`Zone`], UTC unless set. A date without a year is put
//! into the year that brings it nearest to the arrival.

use std::fmt;

use crate::model::Timestamp;

/// The zone of times that name none.
#[derive(Clone, Debug, Default)]
pub struct Zone(Option<jiff::tz::TimeZone>);

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Zone = Zone(None);

    /// From an IANA name (`Europe/Berlin`), `UTC`, or `local` for this host's own; none when nothing is called so.
    pub fn named(name: &str) -> Option<Zone> {
        match name {
            "UTC" | "utc" | "Z" => Some(Zone::UTC),
            "local" => Some(Zone(Some(jiff::tz::TimeZone::system()))),
            name => jiff::tz::TimeZone::get(name).ok().map(|zone| Zone(Some(zone))),
        }
    }
}

/// What reading a time depends on besides its text.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) zone: &'a Zone,
    pub(super) arrival: Timestamp,
}

impl fmt::Debug for Setting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.zone, self.arrival)
    }
}

/// The text as a time, when all of it is one.
pub(super) fn whole(text: &str, setting: Setting<'_>) -> Option<Timestamp> {
    if let Some(time) = usual_form(text.as_bytes()) {
        return Some(time);
    }
    let text = text.trim_ascii();
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return from_number(text.parse().ok()?);
    }
    let (time, length) = start(text.as_bytes(), setting)?;
    (length == text.len()).then_some(time)
}

/// `2026-11-21T07:33:00Z`, perhaps with a fraction: what most programs write, read without a search for its form.
fn usual_form(text: &[u8]) -> Option<Timestamp> {
    let (start, rest) = text.split_first_chunk::<19>()?;
    let digit = |at: usize| Some(u32::from(start[at].wrapping_sub(b'0'))).filter(|digit| *digit < 10);
    let two = |at: usize| Some(digit(at)? * 10 + digit(at + 1)?);
    let is_usual = [start[4], start[7], start[10], start[13], start[16]] == *b"--T::";
    let fraction = rest.strip_suffix(b"Z").filter(|_| is_usual)?;
    let mut nanos = 0;
    if let [point, decimals @ ..] = fraction {
        if *point != b'.' || !(1..=9).contains(&decimals.len()) {
            return None;
        }
        for place in 0..9 {
            let decimal = decimals.get(place).map_or(0, |byte| byte.wrapping_sub(b'0'));
            if decimal > 9 {
                return None;
            }
            nanos = nanos * 10 + u32::from(decimal);
        }
    }
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let clock = Clock { seconds: hour * 3600 + minute * 60 + second, nanos };
    let utc = Setting { zone: &Zone::UTC, arrival: Timestamp::EPOCH };
    moment(i64::from(two(0)? * 100 + two(2)?), two(5)?, two(8)?, &clock, Some(0), utc)
}

/// The time that a line starts with, and how many bytes it takes.
pub(super) fn start(bytes: &[u8], setting: Setting<'_>) -> Option<(Timestamp, usize)> {
    let mut cursor = Cursor { bytes, at: 0 };
    let time = match bytes.first()? {
        b'0'..=b'9' => match bytes.iter().take(11).position(|b| !b.is_ascii_digit()) {
            Some(4) => year_first(&mut cursor, setting),
            Some(1 | 2) => day_first(&mut cursor, setting),
            Some(10) if bytes[10] == b'.' => epoch_with_fraction(&mut cursor),
            _ => None,
        },
        b'A'..=b'Z' if bytes.get(1).is_some_and(u8::is_ascii_digit) => glog(&mut cursor, setting),
        b'A'..=b'Z' => word_first(&mut cursor, setting),
        _ => None,
    }?;
    Some((time, cursor.at))
}

/// The time that `bytes` start with and how many bytes it takes, for transports that carry one.
pub fn leading_time(bytes: &[u8], zone: &Zone, arrival: Timestamp) -> Option<(Timestamp, usize)> {
    start(bytes, Setting { zone, arrival })
}

/// The time of a plain line: at its start, or behind no more than a few bracketed, numeric or level-like words.
/// Returns the position behind it as well.
pub(super) fn find(line: &str, setting: Setting<'_>) -> Option<(Timestamp, usize)> {
    let bytes = line.as_bytes();
    let mut at = bytes.iter().take_while(|b| **b == b' ').count();
    for _ in 0..6 {
        let word = bytes.get(at..)?;
        let opened = word.iter().take_while(|b| matches!(b, b'[' | b'(' | b'"' | b'|')).count();
        if let Some((time, length)) = start(&word[opened..], setting) {
            return Some((time, at + opened + length));
        }
        let length = word.iter().position(|b| *b == b' ')?;
        if !may_stand_before_a_time(&word[..length]) {
            return None;
        }
        at += length + word[length..].iter().take_while(|b| **b == b' ').count();
        if at > FIND_BYTES_MAX {
            return None;
        }
    }
    None
}

/// A client's address and user names stand before the time of an access log.
const FIND_BYTES_MAX: usize = 128;

/// Words of prose may not: `Restored the backup of 2026-01-01 00:00:00` did not happen then.
fn may_stand_before_a_time(word: &[u8]) -> bool {
    let is_marked = matches!(word, [b'[' | b'(' | b'<' | b'|' | b'"', ..]) || matches!(word, [.., b']' | b')' | b'>']);
    is_marked
        || word == b"-"
        || word.iter().any(|b| b.is_ascii_digit())
        || !word.iter().any(u8::is_ascii_lowercase)
        || std::str::from_utf8(word)
            .is_ok_and(|word| crate::model::Severity::from_word(word.trim_end_matches(':')).is_some())
}

/// A Unix time whose unit its size tells: seconds until the year 5138, then milli-, micro-, nanoseconds. Numbers below the
/// year 1973 in seconds are durations or counters rather than times.
pub(super) fn from_number(number: i64) -> Option<Timestamp> {
    match number {
        100_000_000..100_000_000_000 => Some(Timestamp::from_unix_seconds(number)),
        100_000_000_000..100_000_000_000_000 => Some(Timestamp::from_unix_millis(number)),
        100_000_000_000_000..100_000_000_000_000_000 => number.checked_mul(1000).map(Timestamp::from_unix_nanos),
        100_000_000_000_000_000.. => Some(Timestamp::from_unix_nanos(number)),
        _ => None,
    }
}

/// A Unix time with a fraction, to the microsecond (more a double does not hold).
pub(super) fn from_float(number: f64) -> Option<Timestamp> {
    let unit_nanos = match number {
        1e8..1e11 => 1_000_000_000i64,
        1e11..1e14 => 1_000_000,
        1e14..1e17 => 1_000,
        1e17..9.2e18 => 1,
        _ => return None,
    };
    let whole = number.trunc() as i64;
    let fraction = (number.fract() * unit_nanos as f64 / 1000.0).round() as i64 * 1000;
    whole.checked_mul(unit_nanos)?.checked_add(fraction).map(Timestamp::from_unix_nanos)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Steps over one of these bytes.
    fn eat(&mut self, set: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|b| set.contains(b))?;
        self.at += 1;
        Some(byte)
    }

    /// A number of `least` to `most` digits (no more than nine).
    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let digits = self.bytes[self.at..].iter().take(most).take_while(|b| b.is_ascii_digit()).count();
        if digits < least {
            return None;
        }
        let value = self.bytes[self.at..self.at + digits].iter().fold(0, |sum, b| sum * 10 + u32::from(b - b'0'));
        self.at += digits;
        Some(value)
    }

    /// One of the words, by its first three letters; the rest of the word is stepped over.
    fn word(&mut self, words: &[[u8; 3]]) -> Option<u32> {
        let rest = &self.bytes[self.at..];
        let found =
            words.iter().position(|word| rest.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(word)))?;
        let letters = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        if letters > 9 {
            return None;
        }
        self.at += letters;
        Some(found as u32)
    }
}

const MONTHS: [[u8; 3]; 12] =
    [*b"jan", *b"feb", *b"mar", *b"apr", *b"may", *b"jun", *b"jul", *b"aug", *b"sep", *b"oct", *b"nov", *b"dec"];
const DAYS: [[u8; 3]; 7] = [*b"mon", *b"tue", *b"wed", *b"thu", *b"fri", *b"sat", *b"sun"];

struct Clock {
    seconds: u32,
    nanos: u32,
}

/// `2026-11-21T07:33:00.123Z` and relatives.
fn year_first(cursor: &mut Cursor<'_>, setting: Setting<'_>) -> Option<Timestamp> {
    let year = cursor.number(4, 4)?;
    let separator = cursor.eat(b"-/.")?;
    let month = cursor.number(1, 2)?;
    cursor.eat(&[separator])?;
    let day = cursor.number(1, 2)?;
    cursor.eat(b"Tt _")?;
    let clock = clock(cursor)?;
    let offset = offset(cursor);
    moment(i64::from(year), month, day, &clock, offset, setting)
}

/// `21/Nov/2026:07:33:00 +0000`, `21-Nov-2026 07:33:00.123`, `21 Nov 2026 07:33:00`, logcat's `11-21 07:33:00.123`.
fn day_first(cursor: &mut Cursor<'_>, setting: Setting<'_>) -> Option<Timestamp> {
    let first = cursor.number(1, 2)?;
    let separator = cursor.eat(b"/- ")?;
    if let Some(month) = cursor.word(&MONTHS) {
        cursor.eat(&[separator])?;
        let year = cursor.number(4, 4)?;
        cursor.eat(b": ")?;
        let clock = clock(cursor)?;
        let offset = offset(cursor);
        return moment(i64::from(year), month + 1, first, &clock, offset, setting);
    }
    if separator != b'-' {
        return None;
    }
    let day = cursor.number(2, 2)?;
    cursor.eat(b" ")?;
    let clock = clock(cursor)?;
    nearest_year(first, day, &clock, setting)
}

/// `Nov 21 07:33:00`, `Nov 21 2026 07:33:00`, `Nov 21, 2026 7:33:00 AM`, `Sat Nov 21 07:33:00 2026`,
/// `Sat, 21 Nov 2026 07:33:00 +0000`.
fn word_first(cursor: &mut Cursor<'_>, setting: Setting<'_>) -> Option<Timestamp> {
    let weekday = cursor.word(&DAYS).is_some();
    if weekday {
        cursor.eat(b",");
        cursor.eat(b" ")?;
        if cursor.peek()?.is_ascii_digit() {
            return day_first(cursor, setting);
        }
    }
    let month = cursor.word(&MONTHS)? + 1;
    cursor.eat(b" ")?;
    cursor.eat(b" ");
    let day = cursor.number(1, 2)?;
    cursor.eat(b",");
    cursor.eat(b" ")?;
    let year = match cursor.bytes[cursor.at..] {
        [a, b, c, d, b' ', ..] if [a, b, c, d].iter().all(u8::is_ascii_digit) => {
            let year = cursor.number(4, 4);
            cursor.eat(b" ")?;
            year
        }
        _ => None,
    };
    let clock = clock(cursor)?;
    let zone = offset(cursor);
    let year = year.or_else(|| if weekday { year_behind(cursor) } else { None });
    match year {
        Some(year) => moment(i64::from(year), month, day, &clock, zone, setting),
        None => nearest_year(month, day, &clock, setting),
    }
}

/// The year at the end of ctime's form.
fn year_behind(cursor: &mut Cursor<'_>) -> Option<u32> {
    let rest = cursor.bytes[cursor.at..].strip_prefix(b" ")?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits != 4 {
        return None;
    }
    cursor.at += 1;
    cursor.number(4, 4)
}

/// `E1121 07:33:00.123456`.
fn glog(cursor: &mut Cursor<'_>, setting: Setting<'_>) -> Option<Timestamp> {
    cursor.eat(b"IWEFDT")?;
    let (month, day) = (cursor.number(2, 2)?, cursor.number(2, 2)?);
    cursor.eat(b" ")?;
    let clock = clock(cursor)?;
    nearest_year(month, day, &clock, setting)
}

/// `1795246380.123`, as squid and others write it.
fn epoch_with_fraction(cursor: &mut Cursor<'_>) -> Option<Timestamp> {
    let high = cursor.number(5, 5)?;
    let low = cursor.number(5, 5)?;
    let nanos = fraction(cursor);
    let seconds = i64::from(high) * 100_000 + i64::from(low);
    Some(Timestamp::from_unix_nanos(seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(nanos))?))
}

/// `07:33:00[.123][ AM]`; a 60th second is the first of the next minute.
fn clock(cursor: &mut Cursor<'_>) -> Option<Clock> {
    let mut hour = cursor.number(1, 2)?;
    cursor.eat(b":")?;
    let minute = cursor.number(2, 2)?;
    cursor.eat(b":")?;
    let second = cursor.number(2, 2)?;
    let nanos = fraction(cursor);
    match cursor.bytes[cursor.at..] {
        [b' ', half @ (b'A' | b'P' | b'a' | b'p'), b'M' | b'm', ..] if (1..=12).contains(&hour) => {
            hour = hour % 12 + if half.eq_ignore_ascii_case(&b'p') { 12 } else { 0 };
            cursor.at += 3;
        }
        _ => {}
    }
    if hour > 23 || minute > 59 || second > 60 || cursor.peek().is_some_and(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(Clock { seconds: hour * 3600 + minute * 60 + second, nanos })
}

/// Decimals behind `.` or `,`, in nanoseconds; zero when there are none. What is finer is dropped.
fn fraction(cursor: &mut Cursor<'_>) -> u32 {
    let rest = &cursor.bytes[cursor.at..];
    if !matches!(rest, [b'.' | b',', b'0'..=b'9', ..]) {
        return 0;
    }
    let digits = rest[1..].iter().take_while(|b| b.is_ascii_digit()).count();
    cursor.at += 1 + digits;
    (0..9).fold(0, |sum, place| sum * 10 + if place < digits { u32::from(rest[1 + place] - b'0') } else { 0 })
}

/// `Z`, `+01:00`, `+0100`, `+01`, `UTC` or `GMT`, the later four also behind a space. In seconds east of Greenwich.
fn offset(cursor: &mut Cursor<'_>) -> Option<i64> {
    let start = cursor.at;
    let spaced = cursor.eat(b" ").is_some();
    let offset = match cursor.peek() {
        Some(b'Z' | b'z') => {
            cursor.at += 1;
            Some(0)
        }
        Some(b'U' | b'G') if matches!(cursor.bytes.get(cursor.at..cursor.at + 3), Some(b"UTC" | b"GMT")) => {
            cursor.at += 3;
            Some(0)
        }
        Some(sign @ (b'+' | b'-')) => {
            cursor.at += 1;
            numeric_offset(cursor, spaced).map(|seconds| if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    };
    let goes_on = cursor.peek().is_some_and(|b| b.is_ascii_alphanumeric());
    if offset.is_none() || goes_on {
        cursor.at = start;
        return None;
    }
    offset
}

/// Behind a space only the full form counts: ` -1` is rather a number of the message.
fn numeric_offset(cursor: &mut Cursor<'_>, full: bool) -> Option<i64> {
    let hours = cursor.number(2, 2)?;
    let colon = cursor.eat(b":").is_some();
    let minutes = match cursor.number(2, 2) {
        Some(minutes) => minutes,
        None if colon || full => return None,
        None => 0,
    };
    (hours < 24 && minutes < 60).then(|| i64::from(hours * 3600 + minutes * 60))
}

/// The moment of a date and a time of day; none when there is no such day or it cannot be counted in nanoseconds.
fn moment(
    year: i64,
    month: u32,
    day: u32,
    clock: &Clock,
    offset: Option<i64>,
    setting: Setting<'_>,
) -> Option<Timestamp> {
    if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    let mut seconds = days_since_epoch(year, month, day) * 86_400 + i64::from(clock.seconds);
    seconds -= match (offset, &setting.zone.0) {
        (Some(offset), _) => offset,
        (None, None) => 0,
        (None, Some(zone)) => offset_of(zone, seconds)?,
    };
    seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(clock.nanos)).map(Timestamp::from_unix_nanos)
}

/// A zone's offset at a local time given as if it were UTC.
fn offset_of(zone: &jiff::tz::TimeZone, local_seconds: i64) -> Option<i64> {
    let local = jiff::Timestamp::from_second(local_seconds).ok()?;
    let civil = jiff::tz::Offset::UTC.to_datetime(local);
    let zoned = zone.to_ambiguous_zoned(civil).compatible().ok()?;
    Some(i64::from(zoned.offset().seconds()))
}

fn nearest_year(month: u32, day: u32, clock: &Clock, setting: Setting<'_>) -> Option<Timestamp> {
    let arrival_year = year_of(setting.arrival);
    (arrival_year - 1..=arrival_year + 1)
        .filter_map(|year| moment(year, month, day, clock, None, setting))
        .min_by_key(|time| time.unix_nanos().abs_diff(setting.arrival.unix_nanos()))
}

/// Days from 1970-01-01 of a date in the proleptic Gregorian calendar
/// (<https://howardhinnant.github.io/date_algorithms.html#days_from_civil>).
fn days_since_epoch(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

fn year_of(time: Timestamp) -> i64 {
    let days = time.unix_nanos().div_euclid(86_400_000_000_000);
    let guess = 1970 + days.div_euclid(366);
    (guess..).take_while(|year| days_since_epoch(*year, 1, 1) <= days).last().unwrap_or(guess)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn setting(zone: &Zone) -> Setting<'_> {
        // 2026-11-21T08:00:00Z
        Setting { zone, arrival: Timestamp::from_unix_seconds(1_795_248_000) }
    }

    fn shown(time: Option<Timestamp>) -> String {
        time.map(|time| time.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_field_that_is_a_time_is_read() {
        let check = |text, expected: &str| assert_eq!(shown(whole(text, setting(&Zone::UTC))), expected, "{text}");
        check("2026-11-21T07:33:00Z", "2026-11-21T07:33:00.000Z");
        check("2026-11-21T07:33:00.123456789+01:00", "2026-11-21T06:33:00.123456789Z");
        check("2026-11-21T07:33:00.1234567891Z", "2026-11-21T07:33:00.123456789Z");
        check("2026-11-21 07:33:00,123", "2026-11-21T07:33:00.123Z");
        check("2026-11-21 07:33:00 UTC", "2026-11-21T07:33:00.000Z");
        check("2026-11-21 07:33:00.5-0530", "2026-11-21T13:03:00.500Z");
        check("2026/11/21 07:33:00", "2026-11-21T07:33:00.000Z");
        check("Nov 21 07:33:00", "2026-11-21T07:33:00.000Z");
        check("Nov  1 07:33:00", "2026-11-01T07:33:00.000Z");
        check("Jan  2 07:33:00", "2027-01-02T07:33:00.000Z");
        check("Jun 30 07:33:00", "2026-06-30T07:33:00.000Z");
        check("Nov 21, 2026 7:33:00 PM", "2026-11-21T19:33:00.000Z");
        check("Nov 21, 2026 12:33:00 AM", "2026-11-21T00:33:00.000Z");
        check("Sat Nov 21 07:33:00.250000 2026", "2026-11-21T07:33:00.250Z");
        check("Sat, 21 Nov 2026 07:33:00 +0100", "2026-11-21T06:33:00.000Z");
        check("Sat Nov 21 07:33:00 UTC 2026", "2026-11-21T07:33:00.000Z");
        check("21/Nov/2026:07:33:00 -0800", "2026-11-21T15:33:00.000Z");
        check("21-Nov-2026 07:33:00.007", "2026-11-21T07:33:00.007Z");
        check("21 Nov 2026 07:33:00.007", "2026-11-21T07:33:00.007Z");
        check("E1121 07:33:00.123456", "2026-11-21T07:33:00.123456Z");
        check("11-21 07:33:00.123", "2026-11-21T07:33:00.123Z");
        check("1795246380", "2026-11-21T07:33:00.000Z");
        check("1795246380123", "2026-11-21T07:33:00.123Z");
        check("1795246380123456", "2026-11-21T07:33:00.123456Z");
        check("1795246380123456789", "2026-11-21T07:33:00.123456789Z");
        check("1795246380.25", "2026-11-21T07:33:00.250Z");
        check("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z");
        check("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z");
        check("1969-07-20T20:17:40Z", "1969-07-20T20:17:40.000Z");
        for nothing in [
            "",
            "yesterday",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-21T24:33:00Z",
            "12",
            "0001-01-01T00:00:00Z",
            "9999-12-31T00:00:00Z",
            "2026-11-21",
            "07:33:00",
            "2026-11-21T07:33:00Zulu",
            "2026-11-21T07:33:000",
        ] {
            check(nothing, "");
        }
    }

    #[test]
    fn a_line_that_carries_a_time_is_dated() {
        let check = |line, expected: &str| {
            assert_eq!(shown(find(line, setting(&Zone::UTC)).map(|found| found.0)), expected, "{line}");
        };
        let then = "2026-11-21T07:33:00.000Z";
        check("2026-11-21 07:33:00 -1 retries left", then);
        check("[2026-11-21T07:33:00Z ERROR shop] no", then);
        check("INFO  2026-11-21 07:33:00 started", then);
        check("[main] 2026-11-21 07:33:00 started", then);
        check("10.1.2.3 - - [21/Nov/2026:07:33:00 +0000] \"GET / HTTP/1.1\" 200 5", then);
        check("10.1.2.3 - ann [21/Nov/2026:07:33:00 +0000] \"GET / HTTP/1.1\" 200 5", "");
        check("10.1.2.3 - ANN [21/Nov/2026:07:33:00 +0000] \"GET / HTTP/1.1\" 200 5", then);
        check("4321:M 21 Nov 2026 07:33:00.000 * Ready to accept connections", then);
        check("Sat Nov 21 07:33:00 2026 [notice] hi", then);
        check("1795246380.000    123 10.0.0.1 TCP_MISS/200 GET", then);
        check("Restored the backup of 2026-11-20 00:00:00", "");
        check("nothing here", "");
        check("", "");
    }

    #[test]
    fn a_time_without_a_zone_is_of_the_configured_one() {
        let berlin = Zone::named("Europe/Berlin").expect("a zone of the database");
        let check = |text, expected: &str| assert_eq!(shown(whole(text, setting(&berlin))), expected, "{text}");
        check("2026-11-21 07:33:00", "2026-11-21T06:33:00.000Z");
        check("2026-07-21 07:33:00", "2026-07-21T05:33:00.000Z");
        check("2026-11-21 07:33:00Z", "2026-11-21T07:33:00.000Z");
        check("Nov 21 07:33:00", "2026-11-21T06:33:00.000Z");
        assert!(Zone::named("Mars/Olympus").is_none());
    }

    #[test]
    fn the_fraction_of_a_double_is_rounded_to_microseconds() {
        assert_eq!(shown(from_float(1_795_246_380.123)), "2026-11-21T07:33:00.123Z");
        assert_eq!(shown(from_float(1_795_246_380_123.5)), "2026-11-21T07:33:00.123500Z");
        assert_eq!(from_float(12.5), None);
        assert_eq!(from_float(f64::NAN), None);
    }

    proptest! {
        #[test]
        fn what_we_print_is_read_back(nanos in any::<i64>()) {
            let time = Timestamp::from_unix_nanos(nanos);
            let read = whole(&time.to_string(), setting(&Zone::UTC));
            // The last second at either end cannot be reached by whole seconds plus a fraction.
            prop_assume!(nanos.checked_sub(1_000_000_000).is_some());
            prop_assert_eq!(read, Some(time));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[ -~é]{0,60}", dated in "[A-Za-z0-9:/,. +-]{0,40}") {
            for line in [&text, &dated] {
                find(line, setting(&Zone::UTC));
                whole(line, setting(&Zone::named("Europe/Berlin").expect("a zone of the database")));
            }
        }
    }
}
