//! What each receiver was told, and what it must be told now. Pure, but for the saving.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use taffrail_collector::model::Timestamp;
use taffrail_query::alert::evaluate::ALERT_NAME;
use taffrail_query::alert::saved_state::StateStore;
use taffrail_query::alert::snapshot::NamedAlert;
use taffrail_query::alert::state::{AlertState, Labels};

/// Alerts that are told together: those of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupKey {
    /// The rules file.
    pub file: String,
    /// The rule group.
    pub group: String,
    /// The alert's name.
    pub alert: String,
}

/// One notification that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Which alerts.
    pub key: GroupKey,
    /// Why now.
    pub reason: Reason,
    /// Everything that fires of them.
    pub firing: Vec<Notice>,
    /// What was told to fire and does not any more.
    pub resolved: Vec<Notice>,
}

/// Why a notification is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An alert began to fire.
    New,
    /// An alert was resolved.
    Resolved,
    /// A reminder.
    Repeat,
}

/// An alert as it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Its labels.
    pub labels: Labels,
    /// Its texts.
    pub annotations: Labels,
    /// Its rule's expression.
    pub expr: String,
    /// The last value, as text (JSON has no infinity).
    pub value: String,
    /// Nanoseconds since the epoch: when it began to fire; while that is not known, since when the expression has held.
    pub starts_at: i64,
    /// Nanoseconds since the epoch: when it was resolved.
    pub ends_at: Option<i64>,
}

/// What one receiver was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    groups: Vec<(GroupKey, Told)>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Told {
    /// When, in nanoseconds since the epoch.
    at: i64,
    /// What fires as far as the receiver knows.
    firing: Vec<Notice>,
}

impl Ledger {
    /// The notifications that are due at `now`.
    pub fn due(&self, alerts: &[NamedAlert], now: Timestamp, repeat: Duration) -> Vec<Due> {
        let mut groups: BTreeMap<GroupKey, Vec<&NamedAlert>> = BTreeMap::new();
        for alert in alerts {
            groups.entry(key_of(alert)).or_default().push(alert);
        }
        let keys: BTreeSet<GroupKey> =
            groups.keys().cloned().chain(self.groups.iter().map(|(key, _)| key.clone())).collect();
        let nothing = Told::default();
        keys.into_iter()
            .filter_map(|key| {
                let current = groups.get(&key).map_or(&[][..], Vec::as_slice);
                let told = self.groups.iter().find(|(known, _)| *known == key).map_or(&nothing, |(_, told)| told);
                due_of_group(key, current, told, now, repeat)
            })
            .collect()
    }

    /// When the next reminder is due; none while nothing fires.
    pub fn next_repeat(&self, repeat: Duration) -> Option<Timestamp> {
        self.groups.iter().map(|(_, told)| Timestamp::from_unix_nanos(told.at).saturating_add(repeat)).min()
    }

    /// Notes that the receiver took the notification.
    pub fn note(&mut self, due: &Due, now: Timestamp) {
        self.groups.retain(|(key, _)| *key != due.key);
        if !due.firing.is_empty() {
            self.groups.push((due.key.clone(), Told { at: now.unix_nanos(), firing: due.firing.clone() }));
        }
    }
}

/// The ledgers of all receivers, saved as one document.
pub struct Ledgers {
    ledgers: Mutex<BTreeMap<String, Ledger>>,
    store: Arc<dyn StateStore>,
}

impl Ledgers {
    /// The ledgers as they were saved; empty ones when they cannot be read, so that people are told twice, not never.
    pub fn load(store: Arc<dyn StateStore>) -> Ledgers {
        let read = |document: String| {
            serde_json::from_str(&document).unwrap_or_else(|error| {
                tracing::warn!("what was told about alerts cannot be read, all that fires is told again: {error}");
                BTreeMap::new()
            })
        };
        Ledgers { ledgers: Mutex::new(store.load().map_or_else(BTreeMap::new, read)), store }
    }

    /// The receiver's ledger.
    pub fn of(&self, receiver: &str) -> Ledger {
        self.ledgers.lock().get(receiver).cloned().unwrap_or_default()
    }

    /// Notes that the receiver took the notification, and saves. Blocks.
    pub fn note(&self, receiver: &str, due: &Due, now: Timestamp) {
        let mut ledgers = self.ledgers.lock();
        ledgers.entry(receiver.to_owned()).or_default().note(due, now);
        let document = serde_json::to_string(&*ledgers).expect("names, texts and numbers are always JSON");
        // Saved under the lock: two receivers must not overtake each other.
        self.store.save(&document);
    }
}

fn due_of_group(key: GroupKey, current: &[&NamedAlert], told: &Told, now: Timestamp, repeat: Duration) -> Option<Due> {
    let firing: Vec<Notice> =
        current.iter().filter(|alert| alert.alert.state == AlertState::Firing).map(|alert| notice(alert)).collect();
    let same = |a: &Notice, b: &Notice| a.labels == b.labels && a.starts_at == b.starts_at;
    let resolved: Vec<Notice> = told
        .firing
        .iter()
        .filter(|known| !firing.iter().any(|alert| same(alert, known)))
        .map(|known| ended(known, current, now))
        .collect();
    let new = firing.iter().any(|alert| !told.firing.iter().any(|known| same(alert, known)));
    let again = !firing.is_empty() && now.saturating_since(Timestamp::from_unix_nanos(told.at)) >= repeat;
    let reason = match (new, resolved.is_empty(), again) {
        (true, ..) => Reason::New,
        (false, false, _) => Reason::Resolved,
        (false, true, true) => Reason::Repeat,
        (false, true, false) => return None,
    };
    // One that fires again since it was told is not told as resolved beside itself.
    let resolved =
        resolved.into_iter().filter(|gone| !firing.iter().any(|alert| alert.labels == gone.labels)).collect();
    Some(Due { key, reason, firing, resolved })
}

/// What was told to fire, with its end: as the rules know it, or now when they know nothing of it any more.
fn ended(known: &Notice, current: &[&NamedAlert], now: Timestamp) -> Notice {
    let last = current.iter().find(|alert| alert.alert.labels == known.labels);
    let resolved = last.filter(|alert| alert.alert.state == AlertState::Resolved);
    Notice {
        ends_at: Some(resolved.and_then(|alert| alert.alert.resolved_at).unwrap_or(now).unix_nanos()),
        ..resolved.map_or_else(|| known.clone(), |alert| notice(alert))
    }
}

fn notice(alert: &NamedAlert) -> Notice {
    Notice {
        labels: alert.alert.labels.clone(),
        annotations: alert.alert.annotations.clone(),
        expr: alert.expr.clone(),
        value: alert.alert.value.to_string(),
        starts_at: alert.alert.fired_at.unwrap_or(alert.alert.active_at).unix_nanos(),
        ends_at: alert.alert.resolved_at.map(Timestamp::unix_nanos),
    }
}

fn key_of(alert: &NamedAlert) -> GroupKey {
    let name = alert.alert.labels.get(ALERT_NAME).unwrap_or(&alert.rule);
    GroupKey { file: alert.file.clone(), group: alert.group.clone(), alert: name.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taffrail_query::alert::state::Alert;

    const REPEAT: Duration = Duration::from_secs(100);

    fn alert(instance: &str, state: AlertState, since: i64) -> NamedAlert {
        let labels = Labels::from([("alertname".to_owned(), "Down".to_owned()), ("i".to_owned(), instance.to_owned())]);
        let resolved = (state == AlertState::Resolved).then(|| Timestamp::from_unix_seconds(since + 5));
        let alert = Alert {
            labels,
            annotations: Labels::new(),
            state,
            active_at: Timestamp::from_unix_seconds(since),
            fired_at: None,
            resolved_at: resolved,
            kept_since: None,
            restored_at: None,
            no_data_since: None,
            log_lines: None,
            value: 1.0,
        };
        NamedAlert {
            file: "r.yml".into(),
            group: "g".into(),
            rule: "Down".into(),
            expr: "up == 0".into(),
            is_logs: false,
            alert,
        }
    }

    /// Tells what is due and says it as `reason: firing / resolved`.
    fn tell(ledger: &mut Ledger, alerts: &[NamedAlert], second: i64) -> Vec<String> {
        let now = Timestamp::from_unix_seconds(second);
        let names =
            |notices: &[Notice]| notices.iter().map(|notice| notice.labels["i"].clone()).collect::<Vec<_>>().join(",");
        let due = ledger.due(alerts, now, REPEAT);
        due.iter().for_each(|due| ledger.note(due, now));
        due.iter().map(|due| format!("{:?}: {} / {}", due.reason, names(&due.firing), names(&due.resolved))).collect()
    }

    #[test]
    fn changes_are_told_once_and_what_lasts_is_repeated() {
        use AlertState::{Firing, Pending, Resolved};
        let mut ledger = Ledger::default();
        let nothing: [&str; 0] = [];
        assert_eq!(tell(&mut ledger, &[alert("a", Pending, 0)], 0), nothing);
        assert_eq!(tell(&mut ledger, &[alert("a", Firing, 0)], 10), ["New: a / "]);
        assert_eq!(tell(&mut ledger, &[alert("a", Firing, 0)], 20), nothing);
        assert_eq!(tell(&mut ledger, &[alert("a", Firing, 0), alert("b", Firing, 30)], 30), ["New: a,b / "]);
        assert_eq!(tell(&mut ledger, &[alert("a", Firing, 0), alert("b", Resolved, 30)], 40), ["Resolved: a / b"]);
        assert_eq!(tell(&mut ledger, &[alert("a", Firing, 0), alert("b", Resolved, 30)], 50), nothing);
        assert_eq!(ledger.next_repeat(REPEAT), Some(Timestamp::from_unix_seconds(140)));
        assert_eq!(tell(&mut ledger, &[alert("a", Firing, 0)], 140), ["Repeat: a / "]);
        // It was resolved and fires again before anybody could be told.
        assert_eq!(tell(&mut ledger, &[alert("a", Firing, 145)], 150), ["New: a / "]);
        // Its rule is gone.
        assert_eq!(tell(&mut ledger, &[], 160), ["Resolved:  / a"]);
        assert_eq!(tell(&mut ledger, &[], 1_000), nothing);
        assert_eq!(ledger, Ledger::default());
    }

    #[test]
    fn the_start_is_when_it_began_to_fire() {
        let start = |fired_at: Option<i64>| {
            let mut alert = alert("a", AlertState::Firing, 10);
            alert.alert.fired_at = fired_at.map(Timestamp::from_unix_seconds);
            Ledger::default().due(&[alert], Timestamp::from_unix_seconds(60), REPEAT)[0].firing[0].starts_at
        };
        assert_eq!((start(Some(40)), start(None)), (40_000_000_000, 10_000_000_000));
    }

    #[test]
    fn the_end_is_the_moment_the_rules_know() {
        let mut ledger = Ledger::default();
        tell(&mut ledger, &[alert("a", AlertState::Firing, 10)], 10);
        let now = Timestamp::from_unix_seconds(60);
        let due = ledger.due(&[alert("a", AlertState::Resolved, 10)], now, REPEAT);
        assert_eq!(due[0].resolved[0].ends_at, Some(15_000_000_000));
        let due = ledger.due(&[], now, REPEAT);
        assert_eq!(due[0].resolved[0].ends_at, Some(60_000_000_000));
    }
}
