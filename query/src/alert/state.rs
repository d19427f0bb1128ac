//! The life of an alert: pending while its `for` runs, firing, resolved, gone. The rules are those of Prometheus
//! (`rules/alerting.go`), and the state can be written down and read back exactly.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use taffrail_collector::model::{LabelSet, Sample, SampleValue, Timestamp};

/// How long a resolved alert is kept, so that those who must hear of it can be told again.
pub const RESOLVED_RETENTION: Duration = Duration::from_secs(15 * 60);

/// Names and values.
pub type Labels = BTreeMap<String, String>;

/// One alert: one label set of one rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The series' labels, the rule's, and `alertname`.
    pub labels: Labels,
    /// Texts for people, as they were at the last evaluation that gave a value.
    pub annotations: Labels,
    /// Where it stands.
    pub state: AlertState,
    /// Since when the expression has held.
    #[serde(with = "moment")]
    pub active_at: Timestamp,
    /// When it began to fire.
    #[serde(with = "optional_moment")]
    pub fired_at: Option<Timestamp>,
    /// When it was resolved.
    #[serde(with = "optional_moment")]
    pub resolved_at: Option<Timestamp>,
    /// Since when it fires only because of `keep_firing_for`.
    #[serde(with = "optional_moment")]
    pub kept_since: Option<Timestamp>,
    /// When this server started, of an alert from before that its rule has not judged since: until then it stays as it is.
    #[serde(skip)]
    pub restored_at: Option<Timestamp>,
    /// Since when its data has been missing: until it is back the alert stays as it is (`no_data: keep | alert`).
    #[serde(default, with = "optional_moment")]
    pub no_data_since: Option<Timestamp>,
    /// The last value that the expression gave.
    #[serde(with = "number")]
    pub value: f64,
    /// The log lines that tell people more, as of the last evaluation that gave a value.
    #[serde(default)]
    pub log_lines: Option<LinesAsked>,
}

/// Which log lines belong to an alert: what `log_lines` asks for, its template expanded, or what a rule with `type: logs` counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinesAsked {
    /// A search without stages. Not checked when it comes from a template.
    pub query: String,
    /// How many lines at most.
    pub max: usize,
    /// From when on: where the rule's window began, of PromQL as far back as it looks for a point.
    #[serde(with = "moment")]
    pub from: Timestamp,
    /// Up to when.
    #[serde(with = "moment")]
    pub to: Timestamp,
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The expression holds, but not long enough yet.
    Pending,
    /// People should know.
    Firing,
    /// It fired and does not any more.
    Resolved,
}

/// An alert that the expression asks for at this moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its labels, `alertname` included.
    pub labels: Labels,
    /// Its texts.
    pub annotations: Labels,
    /// The expression's value.
    pub value: f64,
    /// Log lines that tell more.
    pub log_lines: Option<LinesAsked>,
}

/// An alert that came to another state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Which alert.
    pub labels: Labels,
    /// Where it stands now; none when it went away while it was pending.
    pub to: Option<AlertState>,
}

/// Brings a rule's alerts to this moment, given what its expression found.
pub fn advance(
    alerts: &mut Vec<Alert>,
    found: Vec<Found>,
    hold: Duration,
    keep_firing: Duration,
    now: Timestamp,
) -> Vec<Transition> {
    let mut transitions = Vec::new();
    let mut found: HashMap<Labels, Found> = found.into_iter().map(|found| (found.labels.clone(), found)).collect();
    alerts.retain_mut(|alert| {
        let before = alert.state;
        let stays = match found.remove(&alert.labels) {
            Some(again) => {
                holds_again(alert, again, now);
                true
            }
            None if is_unknown(alert) => true,
            None => holds_no_more(alert, keep_firing, now),
        };
        if !stays && before == AlertState::Pending {
            transitions.push(Transition { labels: alert.labels.clone(), to: None });
        } else if alert.state != before {
            transitions.push(Transition { labels: alert.labels.clone(), to: Some(alert.state) });
        }
        stays
    });
    let mut fresh: Vec<Found> = found.into_values().collect();
    fresh.sort_by(|a, b| a.labels.cmp(&b.labels));
    for found in fresh {
        transitions.push(Transition { labels: found.labels.clone(), to: Some(AlertState::Pending) });
        alerts.push(begun(found, now));
    }
    for alert in alerts.iter_mut() {
        if !is_unknown(alert) && alert.state == AlertState::Pending && now.saturating_since(alert.active_at) >= hold {
            alert.state = AlertState::Firing;
            alert.fired_at = Some(now);
            transitions.retain(|transition| transition.labels != alert.labels);
            transitions.push(Transition { labels: alert.labels.clone(), to: Some(AlertState::Firing) });
        }
    }
    alerts.sort_by(|a, b| a.labels.cmp(&b.labels));
    transitions
}

/// What of a rule's alerts is stored as series: `ALERTS{alertstate}` = 1 and `ALERTS_FOR_STATE` = since when.
pub fn samples(alerts: &[Alert], time: Timestamp) -> Vec<Sample> {
    let alive = alerts.iter().filter(|alert| alert.state != AlertState::Resolved);
    alive
        .flat_map(|alert| {
            let state = if alert.state == AlertState::Firing { "firing" } else { "pending" };
            let labels = |more: &[(&'static str, &'static str)]| {
                let own = alert.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                Arc::new(LabelSet::new(own.chain(more.iter().copied())))
            };
            [
                reading(labels(&[("__name__", "ALERTS"), ("alertstate", state)]), time, 1.0),
                reading(labels(&[("__name__", "ALERTS_FOR_STATE")]), time, alert.active_at.unix_seconds()),
            ]
        })
        .collect()
}

/// A value of one moment.
pub(super) fn reading(labels: Arc<LabelSet>, timestamp: Timestamp, value: f64) -> Sample {
    let value = SampleValue::Gauge { last: value, min: value, max: value };
    Sample { labels, timestamp, interval_ms: 0, value, unit: "", exemplars: Vec::new() }
}

fn begun(found: Found, now: Timestamp) -> Alert {
    Alert {
        labels: found.labels,
        annotations: found.annotations,
        state: AlertState::Pending,
        active_at: now,
        fired_at: None,
        resolved_at: None,
        kept_since: None,
        restored_at: None,
        no_data_since: None,
        value: found.value,
        log_lines: found.log_lines,
    }
}

/// Whether nobody knows at the moment if its expression holds: then it stays as it is.
fn is_unknown(alert: &Alert) -> bool {
    alert.restored_at.is_some() || alert.no_data_since.is_some()
}

fn holds_again(alert: &mut Alert, found: Found, now: Timestamp) {
    if alert.state == AlertState::Resolved {
        *alert = begun(found, now);
        return;
    }
    // While data was missing, or not back after a restart, nobody knew whether the expression held.
    let unknown_since = alert.restored_at.take().into_iter().chain(alert.no_data_since.take()).min();
    if let (Some(since), AlertState::Pending) = (unknown_since, alert.state) {
        alert.active_at = alert.active_at.saturating_add(now.saturating_since(since));
    }
    alert.log_lines = found.log_lines;
    alert.value = found.value;
    alert.annotations = found.annotations;
    alert.kept_since = None;
}

/// Whether the alert is still worth remembering.
fn holds_no_more(alert: &mut Alert, keep_firing: Duration, now: Timestamp) -> bool {
    match alert.state {
        AlertState::Pending => false,
        AlertState::Resolved => {
            alert.resolved_at.is_some_and(|since| now.saturating_since(since) <= RESOLVED_RETENTION)
        }
        AlertState::Firing => {
            let since = *alert.kept_since.get_or_insert(now);
            if now.saturating_since(since) >= keep_firing {
                alert.state = AlertState::Resolved;
                alert.resolved_at = Some(now);
                alert.kept_since = None;
            }
            true
        }
    }
}

/// Moments as nanoseconds since the epoch.
mod moment {
    use serde::{Deserialize, Deserializer, Serializer};
    use taffrail_collector::model::Timestamp;

    pub(super) fn serialize<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(moment.unix_nanos())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp::from_unix_nanos)
    }
}

mod optional_moment {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use taffrail_collector::model::Timestamp;

    pub(super) fn serialize<S: Serializer>(moment: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        moment.map(Timestamp::unix_nanos).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Option::<i64>::deserialize(deserializer).map(|nanos| nanos.map(Timestamp::from_unix_nanos))
    }
}

/// Numbers as text, since JSON has no infinity.
mod number {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(name: &str) -> Labels {
        Labels::from([("alertname".to_owned(), "A".to_owned()), ("i".to_owned(), name.to_owned())])
    }

    fn found(name: &str, value: f64) -> Found {
        Found { labels: labels(name), annotations: Labels::new(), value, log_lines: None }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    /// Each step: (second, whether the expression holds, the state expected after it).
    fn check(hold: u64, keep: u64, steps: &[(i64, bool, Option<AlertState>)]) {
        let mut alerts = Vec::new();
        for &(second, holds, expected) in steps {
            let results = if holds { vec![found("x", second as f64)] } else { Vec::new() };
            advance(&mut alerts, results, Duration::from_secs(hold), Duration::from_secs(keep), at(second));
            assert_eq!(alerts.first().map(|alert| alert.state), expected, "hold {hold} keep {keep} at {second}");
            // What was written down goes on as if nothing had happened.
            let text = serde_json::to_string(&alerts).unwrap();
            alerts = serde_json::from_str(&text).unwrap();
        }
    }

    #[test]
    fn an_alert_is_pending_then_firing_then_resolved_then_gone() {
        use AlertState::{Firing, Pending, Resolved};
        check(0, 0, &[(0, true, Some(Firing)), (10, false, Some(Resolved)), (20, true, Some(Firing))]);
        check(20, 0, &[(0, true, Some(Pending)), (10, true, Some(Pending)), (20, true, Some(Firing))]);
        check(
            20,
            0,
            &[(0, true, Some(Pending)), (10, false, None), (20, true, Some(Pending)), (30, true, Some(Pending))],
        );
        check(
            0,
            0,
            &[(0, true, Some(Firing)), (10, false, Some(Resolved)), (910, false, Some(Resolved)), (911, false, None)],
        );
        check(
            0,
            20,
            &[
                (0, true, Some(Firing)),
                (10, false, Some(Firing)),
                (20, false, Some(Firing)),
                (30, false, Some(Resolved)),
            ],
        );
        check(
            0,
            20,
            &[(0, true, Some(Firing)), (10, false, Some(Firing)), (20, true, Some(Firing)), (35, false, Some(Firing))],
        );
        check(
            10,
            0,
            &[
                (0, true, Some(Pending)),
                (10, true, Some(Firing)),
                (20, false, Some(Resolved)),
                (30, true, Some(Pending)),
            ],
        );
    }

    #[test]
    fn label_sets_live_apart_and_transitions_say_what_changed() {
        let mut alerts = Vec::new();
        let hold = Duration::from_secs(10);
        let mut step = |second, names: &[&str]| {
            let results = names.iter().map(|name| found(name, 1.0)).collect();
            let transitions = advance(&mut alerts, results, hold, Duration::ZERO, at(second));
            transitions.into_iter().map(|t| (t.labels["i"].clone(), t.to)).collect::<Vec<_>>()
        };
        let name = |name: &str| name.to_owned();
        assert_eq!(step(0, &["a"]), [(name("a"), Some(AlertState::Pending))]);
        assert_eq!(step(5, &["a", "b"]), [(name("b"), Some(AlertState::Pending))]);
        assert_eq!(step(10, &["a"]), [(name("b"), None), (name("a"), Some(AlertState::Firing))]);
        assert_eq!(step(15, &["a"]), []);
        assert_eq!(step(20, &[]), [(name("a"), Some(AlertState::Resolved))]);
    }

    #[test]
    fn alive_alerts_are_series_and_the_state_survives_being_written_down() {
        let mut alerts = Vec::new();
        advance(&mut alerts, vec![found("x", f64::INFINITY)], Duration::from_secs(60), Duration::ZERO, at(100));
        let found = samples(&alerts, at(110));
        let text: Vec<String> = found.iter().map(|sample| sample.labels.to_string()).collect();
        assert_eq!(
            text,
            [r#"ALERTS{alertname="A", alertstate="pending", i="x"}"#, r#"ALERTS_FOR_STATE{alertname="A", i="x"}"#]
        );
        assert!(matches!(found[1].value, SampleValue::Gauge { last: 100.0, .. }));
        let back: Vec<Alert> = serde_json::from_str(&serde_json::to_string(&alerts).unwrap()).unwrap();
        assert_eq!(back, alerts);
        advance(&mut alerts, Vec::new(), Duration::ZERO, Duration::ZERO, at(120));
        assert_eq!(samples(&alerts, at(120)), []);
    }

    proptest! {
        /// A plain model: an alert without `keep_firing_for` fires exactly when the expression has held at every step since
        /// `hold` ago.
        #[test]
        fn firing_equals_having_held_for_long_enough(holds in proptest::collection::vec(any::<bool>(), 1..40), hold in 0u64..6) {
            let mut alerts = Vec::new();
            for second in 0..holds.len() {
                let results = if holds[second] { vec![found("x", 0.0)] } else { Vec::new() };
                advance(&mut alerts, results, Duration::from_secs(hold), Duration::ZERO, at(second as i64));
                let run = holds[..=second].iter().rev().take_while(|held| **held).count() as u64;
                let firing = alerts.iter().any(|alert| alert.state == AlertState::Firing);
                prop_assert_eq!(firing, run > hold);
            }
        }
    }
}
