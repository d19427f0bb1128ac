//! How a rehearsal feels to whoever is on call: firings and pages, night by night.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use taffrail_collector::model::Timestamp;

use super::RuleReplay;

/// Alerts of one rule that begin so soon after the first reach people as one message, as with Alertmanager's `group_interval`.
pub const PAGE_SPAN: Duration = Duration::from_secs(5 * 60);

/// The hours in which a page wakes somebody: from this one in the evening …
const EVENING: i8 = 22;

/// … up to this one in the morning.
const MORNING: i8 = 7;

/// What one night would have been like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Night {
    /// The date of its evening.
    pub night: String,
    /// Alerts that began to fire between 22:00 and 07:00.
    pub firings: u64,
    /// Messages about them: alerts of one rule that begin within five minutes come in one.
    pub pages: u64,
}

/// Every night in which something began to fire, in order, and how many messages there were in all, by day and by night.
pub fn nights(rules: &[RuleReplay], zone: &TimeZone) -> (Vec<Night>, u64) {
    let mut nights: BTreeMap<Date, (u64, u64)> = BTreeMap::new();
    let mut pages = 0;
    for rule in rules {
        let mut page: Option<Timestamp> = None;
        for firing in &rule.firings {
            let is_new = page.is_none_or(|began| firing.start.saturating_since(began) >= PAGE_SPAN);
            if is_new {
                page = Some(firing.start);
                pages += 1;
            }
            if let Some(night) = night_of(firing.start, zone) {
                let counts = nights.entry(night).or_default();
                counts.0 += 1;
                counts.1 += u64::from(is_new);
            }
        }
    }
    let nights = nights.into_iter();
    let nights = nights.map(|(night, (firings, pages))| Night { night: night.to_string(), firings, pages });
    (nights.collect(), pages)
}

/// The date of the evening whose night it is; none by day.
fn night_of(moment: Timestamp, zone: &TimeZone) -> Option<Date> {
    let moment = jiff::Timestamp::from_nanosecond(i128::from(moment.unix_nanos())).ok()?;
    let local = moment.to_zoned(zone.clone()).datetime();
    match local.hour() {
        hour if hour >= EVENING => Some(local.date()),
        hour if hour < MORNING => local.date().yesterday().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Firing;
    use super::*;
    use crate::alert::state::Labels;

    #[test]
    fn pages_are_counted_by_the_night_they_fall_into() {
        let firing = |time: &str| {
            let moment: jiff::Timestamp = time.parse().unwrap();
            let start = Timestamp::from_unix_seconds(moment.as_second());
            Firing {
                labels: Labels::new(),
                annotations: Labels::new(),
                value: 1.0,
                worst: 1.0,
                active_at: start,
                start,
                end: None,
                log_lines: None,
            }
        };
        let times = [
            "2026-01-01T12:00:00Z",
            "2026-01-01T21:59:59Z",
            "2026-01-01T22:00:00Z",
            "2026-01-01T22:03:00Z",
            "2026-01-02T06:59:59Z",
            "2026-01-02T07:00:00Z",
            "2026-01-02T23:00:00Z",
        ];
        let rule = RuleReplay {
            file: String::new(),
            group: String::new(),
            name: String::new(),
            records: false,
            firings: times.map(firing).to_vec(),
            firing_total: 7,
            pending_only: 0,
            failed: 0,
            error: None,
        };
        let night = |night: &str, firings, pages| Night { night: night.to_owned(), firings, pages };
        let (found, pages) = nights(std::slice::from_ref(&rule), &TimeZone::UTC);
        // The one at 22:00 comes with the one a second before.
        assert_eq!(found, [night("2026-01-01", 3, 1), night("2026-01-02", 1, 1)]);
        assert_eq!(pages, 4);
        let east = TimeZone::fixed(jiff::tz::offset(2));
        let (found, _) = nights(&[rule], &east);
        assert_eq!(found, [night("2026-01-01", 3, 1), night("2026-01-02", 1, 1)]);
    }
}
