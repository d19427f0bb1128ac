//! All alerts, handed over to an Alertmanager as Prometheus does it (`POST /api/v2/alerts`): what fires again and again so that
//! it does not end there by itself, what is resolved for a quarter of an hour more.
//!
//! The rules are those of Prometheus' alert generator compliance specification and of `rules/alerting.go`: nothing while
//! pending; again when a resend delay has passed since the last time; at once when it fires or is resolved; `endsAt` of what
//! fires is four times the longer of resend delay and the group's interval ahead.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_query::alert::snapshot::NamedAlert;
use taffrail_query::alert::state::{AlertState, Labels};

use super::message::alert_link;
use crate::notify::notice::Notice;

/// How often what lasts is sent again: Prometheus' `rules.alert.resend-delay`.
pub const RESEND_DELAY: Duration = Duration::from_secs(60);

/// The most alerts in one request: Prometheus' `maxBatchSize`.
pub const BATCH_MAX: usize = 256;

/// What one Alertmanager was sent, and when.
#[derive(Debug, Default)]
pub struct Sent {
    alerts: HashMap<(String, String, String, Labels), Timestamp>,
}

impl Sent {
    /// The alerts that must be sent now, in batches. What is returned counts as sent when [`Sent::note`] says so.
    pub fn due<'a>(&mut self, alerts: &'a [NamedAlert], now: Timestamp) -> Vec<&'a NamedAlert> {
        let known: std::collections::HashSet<_> = alerts.iter().map(key).collect();
        self.alerts.retain(|key, _| known.contains(key));
        alerts.iter().filter(|named| self.needs_sending(named, now)).collect()
    }

    /// Notes that these arrived.
    pub fn note(&mut self, alerts: &[&NamedAlert], now: Timestamp) {
        self.alerts.extend(alerts.iter().map(|named| (key(named), now)));
    }

    /// The moment after `now` at which something must be sent again.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.alerts.values().map(|sent| sent.saturating_add(RESEND_DELAY)).filter(|at| *at > now).min()
    }

    fn needs_sending(&self, named: &NamedAlert, now: Timestamp) -> bool {
        if named.alert.state == AlertState::Pending {
            return false;
        }
        let Some(sent) = self.alerts.get(&key(named)) else { return true };
        let changed = [named.alert.resolved_at, named.alert.fired_at].into_iter().flatten().max();
        changed.is_some_and(|changed| changed > *sent) || now.saturating_since(*sent) >= RESEND_DELAY
    }
}

fn key(named: &NamedAlert) -> (String, String, String, Labels) {
    (named.file.clone(), named.group.clone(), named.rule.clone(), named.alert.labels.clone())
}

/// The request's JSON.
pub fn body(alerts: &[&NamedAlert], external_url: &str, now: Timestamp) -> Vec<u8> {
    let alerts: Vec<Value> = alerts.iter().map(|named| alert_json(named, external_url, now)).collect();
    serde_json::to_vec(&alerts).expect("names and texts are always JSON")
}

fn alert_json(named: &NamedAlert, external_url: &str, now: Timestamp) -> Value {
    let valid_for = RESEND_DELAY.max(named.interval) * 4;
    let ends_at = match named.alert.state {
        AlertState::Resolved => named.alert.resolved_at.unwrap_or(now),
        _ => now.saturating_add(valid_for),
    };
    let notice = Notice::of(named);
    json!({
        "startsAt": notice.began().to_string(),
        "endsAt": ends_at.to_string(),
        "generatorURL": alert_link(external_url, &notice),
        // A label without a value is no label to Alertmanager.
        "labels": named.alert.labels.iter().filter(|(_, value)| !value.is_empty()).collect::<std::collections::BTreeMap<_, _>>(),
        "annotations": named.alert.annotations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use taffrail_query::alert::state::{Found, advance};

    /// Runs a rule over `holds` (one step per 15 s) and says at which seconds what is sent, as `second state starts ends`.
    fn run(
        interval: u64,
        hold: u64,
        steps: std::ops::Range<i64>,
        holds: impl Fn(i64) -> bool,
    ) -> Vec<(i64, &'static str, i64, i64)> {
        let labels = Labels::from([("alertname".to_owned(), "A".to_owned())]);
        let (mut alerts, mut sent, mut seen) = (Vec::new(), Sent::default(), Vec::new());
        for second in steps.map(|step| step * interval as i64) {
            let now = Timestamp::from_unix_seconds(second);
            let found = Found { labels: labels.clone(), annotations: Labels::new(), value: 1.0, log_lines: None };
            let found = if holds(second) { vec![found] } else { Vec::new() };
            advance(&mut alerts, found, Duration::from_secs(hold), Duration::ZERO, now);
            let named: Vec<NamedAlert> = alerts.iter().map(|alert| named(alert.clone(), interval)).collect();
            let due = sent.due(&named, now);
            for named in &due {
                let json = alert_json(named, "http://h", now);
                let at = |name: &str| {
                    let moment: jiff::Timestamp = json[name].as_str().unwrap().parse().unwrap();
                    moment.as_second()
                };
                let state = if named.alert.state == AlertState::Firing { "firing" } else { "resolved" };
                seen.push((second, state, at("startsAt"), at("endsAt")));
            }
            sent.note(&due, now);
        }
        seen
    }

    fn named(alert: taffrail_query::alert::state::Alert, interval: u64) -> NamedAlert {
        NamedAlert {
            file: "r.yml".into(),
            group: "g".into(),
            rule: "A".into(),
            expr: "x".into(),
            is_logs: false,
            interval: Duration::from_secs(interval),
            alert,
        }
    }

    #[test]
    fn what_fires_is_sent_every_minute_and_what_ended_for_a_quarter_of_an_hour() {
        let seen = run(15, 30, 0..200, |second| (60..300).contains(&second));
        let firing: Vec<_> = seen.iter().filter(|(_, state, ..)| *state == "firing").collect();
        // Pending from 60, firing from 90; then every minute until it ends at 300, each valid for four resend delays.
        assert_eq!(firing.iter().map(|(second, ..)| *second).collect::<Vec<_>>(), [90, 150, 210, 270]);
        assert!(firing.iter().all(|(second, _, starts, ends)| (*starts, *ends) == (90, second + 240)), "{firing:?}");
        let resolved: Vec<_> = seen.iter().filter(|(_, state, ..)| *state == "resolved").collect();
        assert_eq!(resolved.first().unwrap().0, 300, "at once");
        assert_eq!(resolved.last().unwrap().0, 1_200, "for fifteen minutes");
        assert!(resolved.windows(2).all(|pair| pair[1].0 - pair[0].0 == 60));
        assert!(resolved.iter().all(|(_, _, starts, ends)| (*starts, *ends) == (90, 300)), "{resolved:?}");
    }

    #[test]
    fn a_slow_group_is_valid_for_four_of_its_intervals() {
        let seen = run(300, 0, 0..3, |_| true);
        assert_eq!(seen, [(0, "firing", 0, 1_200), (300, "firing", 0, 1_500), (600, "firing", 0, 1_800)]);
    }

    #[test]
    fn one_that_fires_again_is_sent_at_once() {
        let seen = run(15, 0, 0..6, |second| second != 15);
        let seen: Vec<_> = seen.iter().map(|(second, state, ..)| (*second, *state)).collect();
        assert_eq!(seen, [(0, "firing"), (15, "resolved"), (30, "firing")]);
    }

    #[test]
    fn what_did_not_arrive_is_sent_again_and_what_is_gone_is_forgotten() {
        let mut alerts = Vec::new();
        let labels = Labels::from([("alertname".to_owned(), "A".to_owned()), ("empty".to_owned(), String::new())]);
        let found = Found { labels, annotations: Labels::new(), value: 1.0, log_lines: None };
        advance(&mut alerts, vec![found], Duration::ZERO, Duration::ZERO, Timestamp::EPOCH);
        let alerts = vec![named(alerts.remove(0), 15)];
        let mut sent = Sent::default();
        assert_eq!(sent.due(&alerts, Timestamp::EPOCH).len(), 1);
        assert_eq!(sent.due(&alerts, Timestamp::EPOCH).len(), 1, "nobody said that it arrived");
        let due = sent.due(&alerts, Timestamp::EPOCH);
        sent.note(&due, Timestamp::EPOCH);
        assert_eq!(sent.next(Timestamp::EPOCH), Some(Timestamp::from_unix_seconds(60)));
        assert_eq!(sent.due(&alerts, Timestamp::from_unix_seconds(59)).len(), 0);
        assert!(!String::from_utf8(body(&due, "", Timestamp::EPOCH)).unwrap().contains("empty"));
        sent.due(&[], Timestamp::from_unix_seconds(60));
        assert!(sent.alerts.is_empty());
    }
}
