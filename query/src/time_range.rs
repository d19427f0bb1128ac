//! The moments that people write: RFC 3339, Unix seconds to nanoseconds, or relative to now (`now-15m`, `15m`).
//!
//! Pure functions: who calls them says what "now" is. Days are days in UTC.

use std::time::Duration;

use taffrail_collector::model::Timestamp;
use taffrail_ingest::TimeRange;

/// What `from` stands at when nobody says it: this long before `to`.
pub const DEFAULT_SPAN: Duration = Duration::from_secs(3600);

const DAY: Duration = Duration::from_secs(86_400);

/// Lengths that people write, the longer names before those they begin with.
const UNITS: [(&str, u64); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// A moment as typed, seen from `now`; the error is a sentence that says what is allowed.
///
/// - `now`, `now-15m`, `now+1h`, `today`, `yesterday` (midnight, UTC);
/// - `15m` or `-15m`: so long before now;
/// - Unix time: seconds, milliseconds, microseconds or nanoseconds, told apart by magnitude, with or without a fraction;
/// - RFC 3339 with any offset; without an offset it is UTC, without a time it is midnight.
pub fn parse_moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "now" => return Ok(now),
        "today" => return Ok(now.floor_to(DAY)),
        "yesterday" => return Ok(now.floor_to(DAY).saturating_sub(DAY)),
        _ => {}
    }
    if let Some(offset) = lower.strip_prefix("now") {
        let offset = offset.trim_start();
        let span = |written: &str| parse_span(written.trim_start());
        return match offset.split_at_checked(1) {
            Some(("-", written)) => Ok(now.saturating_sub(span(written)?)),
            Some(("+", written)) => Ok(now.saturating_add(span(written)?)),
            _ => Err(unknown_moment(text)),
        };
    }
    if let Some(moment) = parse_unix(text) {
        return moment.ok_or_else(|| out_of_reach(text));
    }
    if let Some(moment) = parse_calendar(text) {
        return moment.ok_or_else(|| out_of_reach(text));
    }
    let span = text.strip_prefix('-').unwrap_or(text);
    if span.starts_with(|c: char| c.is_ascii_digit()) && !span.contains([':', '-']) {
        return parse_span(span).map(|span| now.saturating_sub(span)).map_err(|_| unknown_moment(text));
    }
    Err(unknown_moment(text))
}

/// A length as typed: `90s`, `5m`, `1h30m`, `2d`, `1w`, `500ms`, `1.5h`; `0` needs no unit.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let wrong = || {
        format!(
            "{text:?} is no length of time: write a number and a unit (ns us ms s m h d w), as in 90s, 15m or 1h30m"
        )
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(wrong());
    }
    let mut rest = text;
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, unit) = rest.split_at(digits);
        if number.is_empty() {
            return Err(wrong());
        }
        let (name, width) = UNITS.into_iter().find(|(name, _)| unit.starts_with(name)).ok_or_else(wrong)?;
        nanos = parse_decimal(number, u128::from(width)).and_then(|more| nanos.checked_add(more)).ok_or_else(wrong)?;
        rest = &unit[name.len()..];
    }
    let too_long = || format!("{text:?} is longer than time itself here: the most is 292 years");
    u64::try_from(nanos).ok().filter(|&n| i64::try_from(n).is_ok()).map(Duration::from_nanos).ok_or_else(too_long)
}

/// `from`/`to` parameters as typed; `to` defaults to now, `from` to one hour before `to`. Empty text counts as not said.
pub fn parse_range(from: Option<&str>, to: Option<&str>, now: Timestamp) -> Result<TimeRange, String> {
    let moment = |name: &str, text: Option<&str>| {
        text.filter(|text| !text.trim().is_empty())
            .map(|text| parse_moment(text, now).map_err(|error| format!("{name}: {error}")))
            .transpose()
    };
    let end = moment("to", to)?.unwrap_or(now);
    let start = moment("from", from)?.unwrap_or_else(|| end.saturating_sub(DEFAULT_SPAN));
    if start > end {
        return Err(format!("from ({start}) lies after to ({end}): exchange them"));
    }
    Ok(TimeRange { start, end })
}

/// Unix time; none when the text is no number, `Some(None)` when it is one that no timestamp can hold.
fn parse_unix(text: &str) -> Option<Option<Timestamp>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let plain =
        digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') && digits.starts_with(|c: char| c.is_ascii_digit());
    if !plain {
        // The form in which some clients write a float: 1.7e9.
        let exponent = digits.starts_with(|c: char| c.is_ascii_digit()) && digits.contains(['e', 'E']);
        let seconds: f64 = text.parse().ok().filter(|n: &f64| exponent && n.is_finite())?;
        let nanos = seconds * 1e9;
        return Some((nanos.abs() < i64::MAX as f64).then(|| Timestamp::from_unix_nanos(nanos as i64)));
    }
    let whole = digits.split('.').next().unwrap_or(digits);
    // Eleven digits of seconds reach the year 5138; what is longer counts something finer.
    let width: u128 = match whole.trim_start_matches('0').len() {
        0..=11 => 1_000_000_000,
        12..=14 => 1_000_000,
        15..=17 => 1_000,
        _ => 1,
    };
    let nanos = i64::try_from(parse_decimal(digits, width)?).ok();
    Some(nanos.map(|nanos| Timestamp::from_unix_nanos(if negative { -nanos } else { nanos })))
}

/// A date with or without time and offset; none when it is nothing of the kind, `Some(None)` when no timestamp holds it.
fn parse_calendar(text: &str) -> Option<Option<Timestamp>> {
    let nanos = |moment: jiff::Timestamp| i64::try_from(moment.as_nanosecond()).ok().map(Timestamp::from_unix_nanos);
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(nanos(moment));
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok().and_then(|zoned| nanos(zoned.timestamp())))
}

/// A decimal number times `width`, without the rounding that a float would bring; what is finer than one is cut.
fn parse_decimal(text: &str, width: u128) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || fraction.contains('.') || (fraction.is_empty() && text.contains('.')) {
        return None;
    }
    // Eighteen places are finer than any nanosecond of any unit here, and keep the product within 128 bits.
    let fraction = &fraction[..fraction.len().min(18)];
    let scale = 10u128.pow(fraction.len() as u32);
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? * width / scale };
    whole.parse::<u128>().ok()?.checked_mul(width)?.checked_add(part)
}

fn unknown_moment(text: &str) -> String {
    format!(
        "{text:?} is no moment: write RFC 3339 (2026-01-31T08:30:00Z, 2026-01-31), Unix seconds, milliseconds, microseconds \
         or nanoseconds, now, now-15m, 15m, today or yesterday"
    )
}

fn out_of_reach(text: &str) -> String {
    format!("{text:?} lies outside the years 1678 to 2261 that nanoseconds can count")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T10:20:30Z
    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_256_430);

    #[test]
    fn moments_are_read_in_every_form_people_write() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse_moment(text, NOW).map(|moment| moment.to_string()).as_deref(), Ok(expected), "{text}");
        };
        check("now", "2026-11-21T10:20:30.000Z");
        check(" NOW ", "2026-11-21T10:20:30.000Z");
        check("now-15m", "2026-11-21T10:05:30.000Z");
        check("now - 1d", "2026-11-20T10:20:30.000Z");
        check("now+1h30m", "2026-11-21T11:50:30.000Z");
        check("15m", "2026-11-21T10:05:30.000Z");
        check("-15m", "2026-11-21T10:05:30.000Z");
        check("1w", "2026-11-14T10:20:30.000Z");
        check("today", "2026-11-21T00:00:00.000Z");
        check("yesterday", "2026-11-20T00:00:00.000Z");
        check("0", "1970-01-01T00:00:00.000Z");
        check("1795256430", "2026-11-21T10:20:30.000Z");
        check("1795256430.25", "2026-11-21T10:20:30.250Z");
        check("1795256430.123456789", "2026-11-21T10:20:30.123456789Z");
        check("1795256430123", "2026-11-21T10:20:30.123Z");
        check("1795256430123456", "2026-11-21T10:20:30.123456Z");
        check("1795256430123456789", "2026-11-21T10:20:30.123456789Z");
        check("1.79525643e9", "2026-11-21T10:20:30.000Z");
        check("-1", "1969-12-31T23:59:59.000Z");
        check("2026-11-21", "2026-11-21T00:00:00.000Z");
        check("2026-11-21T12:20:30+02:00", "2026-11-21T10:20:30.000Z");
        check("2026-11-21T10:20:30.000000001Z", "2026-11-21T10:20:30.000000001Z");
        check("2026-11-21t10:20:30z", "2026-11-21T10:20:30.000Z");
        check("2026-11-21 10:20", "2026-11-21T10:20:00.000Z");
        check("2026-11-21T10:20:30", "2026-11-21T10:20:30.000Z");
    }

    #[test]
    fn what_is_no_moment_is_answered_with_what_is() {
        let wrong =
            ["", "soon", "now*2", "now-", "now-5", "15x", "2026-13-01", "2026-11-21T25:00:00Z", "1.2.3", "é", "-"];
        for text in wrong {
            let error = parse_moment(text, NOW).expect_err(text);
            assert!(error.contains("15m"), "{text}: {error}");
        }
        for text in ["99999999999999999999", "3000-01-01", "99999999999"] {
            let error = parse_moment(text, NOW).expect_err(text);
            assert!(error.contains("1678 to 2261"), "{text}: {error}");
        }
    }

    #[test]
    fn spans_add_up_their_parts() {
        let check = |text: &str, nanos: u64| {
            assert_eq!(parse_span(text), Ok(Duration::from_nanos(nanos)), "{text}");
        };
        check("0", 0);
        check("90s", 90_000_000_000);
        check("1h30m", 5_400_000_000_000);
        check("1.5h", 5_400_000_000_000);
        check("500ms", 500_000_000);
        check("250us", 250_000);
        check("250µs", 250_000);
        check("7ns", 7);
        check("2d", 172_800_000_000_000);
        check("1w", 604_800_000_000_000);
        check("0.1s", 100_000_000);
        for text in [
            "",
            "5",
            "m",
            "5x",
            "5m5",
            "-5m",
            "1..5h",
            ".5h",
            "5.h",
            "1e3s",
            "9999999w",
            "99999999999999999999999999999999999999999s",
        ] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_default_to_the_last_hour() {
        let check = |from, to, expected: Result<(i64, i64), &str>| {
            let found = parse_range(from, to, NOW);
            match expected {
                Ok((start, end)) => {
                    let shift = |seconds: i64| Timestamp::from_unix_nanos(NOW.unix_nanos() + seconds * 1_000_000_000);
                    assert_eq!(found, Ok(TimeRange { start: shift(start), end: shift(end) }), "{from:?} {to:?}");
                }
                Err(part) => assert!(found.clone().is_err_and(|error| error.contains(part)), "{found:?}"),
            }
        };
        check(None, None, Ok((-3600, 0)));
        check(Some(""), Some(" "), Ok((-3600, 0)));
        check(Some("now-1m"), None, Ok((-60, 0)));
        check(None, Some("1h"), Ok((-7200, -3600)));
        check(Some("now"), Some("now"), Ok((0, 0)));
        check(Some("now"), Some("now-1m"), Err("lies after"));
        check(Some("x"), None, Err("from: "));
        check(None, Some("x"), Err("to: "));
    }
}
