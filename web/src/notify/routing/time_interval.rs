//! Stretches of the calendar in a time zone: nights, weekends, the last days of a month, written as Alertmanager's
//! `time_intervals` (<https://prometheus.io/docs/alerting/latest/configuration/#time_interval>).

use std::ops::RangeInclusive;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use taffrail_collector::model::Timestamp;

/// A moment lies in it when it passes every kind of condition that is given; of one kind any range will do.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeInterval {
    /// Minutes of the day, from the first up to the second, which is no longer part of it.
    pub times: Vec<(u16, u16)>,
    /// Sunday is 0.
    pub weekdays: Vec<RangeInclusive<i32>>,
    /// From 1; negative days count from the month's end, the last is -1.
    pub days_of_month: Vec<RangeInclusive<i32>>,
    /// January is 1.
    pub months: Vec<RangeInclusive<i32>>,
    /// Years.
    pub years: Vec<RangeInclusive<i32>>,
    /// Where the calendar hangs.
    pub zone: TimeZone,
}

impl TimeInterval {
    /// One that every moment lies in.
    pub fn always() -> TimeInterval {
        TimeInterval {
            times: Vec::new(),
            weekdays: Vec::new(),
            days_of_month: Vec::new(),
            months: Vec::new(),
            years: Vec::new(),
            zone: TimeZone::UTC,
        }
    }

    /// Whether the moment lies in it.
    pub fn contains(&self, moment: Timestamp) -> bool {
        // Beyond the years that the calendar knows nothing is ever due.
        let Ok(moment) = jiff::Timestamp::from_nanosecond(i128::from(moment.unix_nanos())) else { return false };
        let local = moment.to_zoned(self.zone.clone());
        let any = |ranges: &[RangeInclusive<i32>], value: i32| {
            ranges.is_empty() || ranges.iter().any(|range| range.contains(&value))
        };
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let days = i32::from(local.days_in_month());
        let day = i32::from(local.day());
        let in_days = |range: &RangeInclusive<i32>| {
            // As in Alertmanager: what lies outside of this month is moved to its edge.
            let of_month = |bound: i32| if bound < 0 { days + bound + 1 } else { bound };
            let (from, to) = (of_month(*range.start()), of_month(*range.end()));
            from <= days && (from.max(1)..=to.min(days)).contains(&day)
        };
        (self.times.is_empty() || self.times.iter().any(|(from, to)| (*from..*to).contains(&minute)))
            && any(&self.weekdays, weekday_number(local.weekday()))
            && (self.days_of_month.is_empty() || self.days_of_month.iter().any(in_days))
            && any(&self.months, i32::from(local.month()))
            && any(&self.years, i32::from(local.year()))
    }
}

/// Minutes of the day from `HH:MM`, up to `24:00`.
pub fn parse_time(text: &str) -> Result<u16, String> {
    let wrong = || format!("{text:?} is no time of day: write 09:00, up to 24:00");
    let (hours, minutes) = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2).ok_or_else(wrong)?;
    let (Ok(hours), Ok(minutes)) = (hours.parse::<u16>(), minutes.parse::<u16>()) else { return Err(wrong()) };
    let all = hours * 60 + minutes;
    if minutes < 60 && all <= 24 * 60 { Ok(all) } else { Err(wrong()) }
}

/// `monday`, `saturday:sunday`; a range may not wrap around the week's end, which is Saturday.
pub fn parse_weekdays(text: &str) -> Result<RangeInclusive<i32>, String> {
    const NAMES: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    let day = |word: &str| {
        let at = NAMES.iter().position(|name| name.eq_ignore_ascii_case(word));
        at.map(|at| at as i32).ok_or_else(|| format!("{word:?} is no day of the week: write monday or monday:friday"))
    };
    range(text, day).and_then(|range| {
        if range.start() <= range.end() {
            return Ok(range);
        }
        Err(format!("{text:?}: the week starts on Sunday here; write two ranges"))
    })
}

/// `1:5`, `-3:-1`, `15`.
pub fn parse_days_of_month(text: &str) -> Result<RangeInclusive<i32>, String> {
    let day = |word: &str| {
        let day = word.parse::<i32>().ok().filter(|day| (1..=31).contains(&day.abs()));
        day.ok_or_else(|| format!("{word:?} is no day of a month: write 1 to 31, or -1 to -31 from its end"))
    };
    let days = range(text, day)?;
    // 15:-1 is fine, -1:15 never holds.
    let backwards = (*days.start() < 0) == (*days.end() < 0) && days.start() > days.end();
    if backwards || (*days.start() < 0 && *days.end() > 0) {
        return Err(format!("{text:?}: the range ends before it starts"));
    }
    Ok(days)
}

/// `january`, `1:3`, `may:august`.
pub fn parse_months(text: &str) -> Result<RangeInclusive<i32>, String> {
    const NAMES: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let month = |word: &str| {
        let named = NAMES.iter().position(|name| name.eq_ignore_ascii_case(word)).map(|at| at as i32 + 1);
        let number = || word.parse::<i32>().ok().filter(|month| (1..=12).contains(month));
        named.or_else(number).ok_or_else(|| format!("{word:?} is no month: write may, 5 or may:august"))
    };
    forwards(text, range(text, month)?)
}

/// `2027`, `2026:2028`.
pub fn parse_years(text: &str) -> Result<RangeInclusive<i32>, String> {
    let year = |word: &str| word.parse::<i32>().map_err(|_| format!("{word:?} is no year: write 2027 or 2026:2028"));
    forwards(text, range(text, year)?)
}

/// A time zone of the system's database, `UTC` or `Local`.
pub fn parse_zone(text: &str) -> Result<TimeZone, String> {
    match text {
        "UTC" => Ok(TimeZone::UTC),
        "Local" => Ok(TimeZone::system()),
        _ => TimeZone::get(text).map_err(|_| {
            format!("{text:?} is no time zone of this system: write a name like Europe/Berlin (package tzdata), or UTC")
        }),
    }
}

fn range(text: &str, part: impl Fn(&str) -> Result<i32, String>) -> Result<RangeInclusive<i32>, String> {
    match text.split_once(':') {
        Some((from, to)) => Ok(part(from.trim())?..=part(to.trim())?),
        None => part(text.trim()).map(|one| one..=one),
    }
}

fn forwards(text: &str, range: RangeInclusive<i32>) -> Result<RangeInclusive<i32>, String> {
    if range.start() <= range.end() { Ok(range) } else { Err(format!("{text:?}: the range ends before it starts")) }
}

fn weekday_number(day: Weekday) -> i32 {
    i32::from(day.to_sunday_zero_offset())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_unix_seconds(moment.as_second())
    }

    fn interval(times: &[(&str, &str)], weekdays: &[&str], days: &[&str], months: &[&str], zone: &str) -> TimeInterval {
        TimeInterval {
            times: times.iter().map(|(from, to)| (parse_time(from).unwrap(), parse_time(to).unwrap())).collect(),
            weekdays: weekdays.iter().map(|text| parse_weekdays(text).unwrap()).collect(),
            days_of_month: days.iter().map(|text| parse_days_of_month(text).unwrap()).collect(),
            months: months.iter().map(|text| parse_months(text).unwrap()).collect(),
            years: Vec::new(),
            zone: parse_zone(zone).unwrap(),
        }
    }

    #[test]
    fn moments_lie_inside_or_outside() {
        let check = |interval: &TimeInterval, moment: &str, expected: bool| {
            assert_eq!(interval.contains(at(moment)), expected, "{moment} in {interval:?}");
        };
        let office = interval(&[("09:00", "17:00")], &["monday:friday"], &[], &[], "Europe/Berlin");
        // 2026-11-20 is a Friday; Berlin is one hour ahead in winter, two in summer.
        check(&office, "2026-11-20T07:59:59Z", false);
        check(&office, "2026-11-20T08:00:00Z", true);
        check(&office, "2026-11-20T15:59:59Z", true);
        check(&office, "2026-11-20T16:00:00Z", false);
        check(&office, "2026-11-21T10:00:00Z", false);
        check(&office, "2026-07-17T07:00:00Z", true);
        // The clock is put back on 2026-10-25 (a Sunday), from 3:00 to 2:00.
        let small_hours = interval(&[("02:00", "03:00")], &["sunday"], &[], &[], "Europe/Berlin");
        check(&small_hours, "2026-10-25T00:30:00Z", true);
        check(&small_hours, "2026-10-25T01:30:00Z", true);
        check(&small_hours, "2026-10-25T02:30:00Z", false);
        let month_end = interval(&[], &[], &["-2:-1"], &[], "UTC");
        check(&month_end, "2024-02-28T12:00:00Z", true);
        check(&month_end, "2024-02-27T12:00:00Z", false);
        check(&month_end, "2026-04-30T23:59:59Z", true);
        let late = interval(&[], &[], &["31"], &[], "UTC");
        check(&late, "2026-04-30T12:00:00Z", false);
        check(&late, "2026-05-31T12:00:00Z", true);
        let holidays = interval(&[], &[], &["24:31"], &["december"], "Pacific/Auckland");
        check(&holidays, "2026-12-23T11:00:00Z", true);
        check(&holidays, "2026-12-23T10:59:00Z", false);
        let evening = interval(&[("22:00", "24:00"), ("00:00", "06:00")], &[], &[], &[], "UTC");
        check(&evening, "2026-11-20T23:59:59Z", true);
        check(&evening, "2026-11-20T00:00:00Z", true);
        check(&evening, "2026-11-20T06:00:00Z", false);
        check(&TimeInterval::always(), "2026-11-20T06:00:00Z", true);
    }

    #[test]
    fn bad_ranges_say_how_to_write_them() {
        let check = |found: Result<RangeInclusive<i32>, String>, expected: &str| {
            let message = found.expect_err(expected);
            assert!(message.contains(expected), "{message}");
        };
        check(parse_weekdays("caturday"), "monday:friday");
        check(parse_weekdays("friday:monday"), "two ranges");
        check(parse_days_of_month("0"), "no day");
        check(parse_days_of_month("5:2"), "ends before");
        check(parse_days_of_month("-1:5"), "ends before");
        check(parse_months("13"), "no month");
        check(parse_months("may:march"), "ends before");
        check(parse_years("soon"), "no year");
        for text in ["9:00", "24:01", "12:60", "noon", "12:00:00"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
        assert!(parse_zone("Mars/Olympus").unwrap_err().contains("Europe/Berlin"));
    }
}
