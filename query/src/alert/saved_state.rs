//! Alerts as one document, so that a restart goes on where it stopped: `for` and `keep_firing_for` run on, nobody is told
//! twice.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use taffrail_collector::model::Timestamp;

use super::rule::Group;
use super::state::{Alert, AlertState};

/// Where the document is kept; the server keeps it in its catalog. Both methods may block.
pub trait StateStore: Send + Sync {
    /// The document, when one was saved.
    fn load(&self) -> Option<String>;
    /// Keeps the document in the place of the one before.
    fn save(&self, document: &str);
}

/// The alerts of all rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedState {
    /// Nanoseconds since the epoch: when it was written down.
    #[serde(default)]
    saved_at: Option<i64>,
    groups: Vec<SavedGroup>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedGroup {
    file: String,
    name: String,
    rules: Vec<SavedRule>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedRule {
    name: String,
    alerts: Vec<Alert>,
}

impl SavedState {
    /// The state that a document holds.
    pub fn from_document(document: &str) -> Result<SavedState, String> {
        serde_json::from_str(document).map_err(|error| format!("the saved alert state cannot be read: {error}"))
    }

    /// The document, written at `now`.
    pub fn to_document(mut self, now: Timestamp) -> String {
        self.saved_at = Some(now.unix_nanos());
        serde_json::to_string(&self).expect("strings, numbers and lists are always JSON")
    }

    /// The state as a server goes on with it that starts at `now`: nobody looked meanwhile, so the time away does not count
    /// towards the `for` of pending alerts (as in Prometheus), and alerts that are alive wait to be seen again.
    pub fn restored(mut self, now: Timestamp) -> SavedState {
        let away =
            self.saved_at.map(|saved| now.saturating_since(Timestamp::from_unix_nanos(saved))).unwrap_or_default();
        let rules = self.groups.iter_mut().flat_map(|group| &mut group.rules);
        for alert in rules.flat_map(|rule| &mut rule.alerts).filter(|alert| alert.state != AlertState::Resolved) {
            alert.restored_at = Some(now);
            if alert.state == AlertState::Pending {
                alert.active_at = alert.active_at.saturating_add(away);
                // So that the time away is not taken off twice once data is back.
                alert.no_data_since = alert.no_data_since.map(|since| since.saturating_add(away));
            }
        }
        self
    }

    /// Notes the alerts of a group's rules.
    pub fn add(&mut self, group: &Group, alerts: &[Vec<Alert>]) {
        if alerts.iter().all(Vec::is_empty) {
            return;
        }
        let rules = group.rules.iter().zip(alerts);
        let rules = rules.map(|(rule, alerts)| SavedRule { name: rule.name.clone(), alerts: alerts.clone() }).collect();
        self.groups.push(SavedGroup { file: group.file.clone(), name: group.name.clone(), rules });
    }

    /// The alerts of each of the group's rules: a rule is known by its name, the second of a name by being the second.
    pub fn alerts_of(&self, group: &Group) -> Vec<Vec<Alert>> {
        let saved = self.groups.iter().find(|saved| saved.file == group.file && saved.name == group.name);
        let mut by_name: HashMap<&str, VecDeque<&SavedRule>> = HashMap::new();
        for rule in saved.into_iter().flat_map(|saved| &saved.rules) {
            by_name.entry(&rule.name).or_default().push_back(rule);
        }
        let mut next = |name: &str| by_name.get_mut(name).and_then(VecDeque::pop_front);
        group.rules.iter().map(|rule| next(&rule.name).map(|saved| saved.alerts.clone()).unwrap_or_default()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::rule::parse_rules;
    use crate::alert::state::{Found, Labels, advance};
    use std::time::Duration;

    #[test]
    fn the_time_away_does_not_count_towards_the_for_of_a_pending_alert() {
        let at = Timestamp::from_unix_seconds;
        let group = parse_rules("r.yml", "groups:\n- name: g\n  rules: [{ alert: A, expr: x }]\n").unwrap().remove(0);
        let check = |hold: u64, expected: i64| {
            let found = Found { labels: Labels::new(), annotations: Labels::new(), value: 1.0, log_lines: None };
            let mut alerts = Vec::new();
            advance(&mut alerts, vec![found], Duration::from_secs(hold), Duration::ZERO, at(100));
            let mut state = SavedState::default();
            state.add(&group, &[alerts]);
            let document = state.to_document(at(130));
            let restored = SavedState::from_document(&document).unwrap().restored(at(1_000)).alerts_of(&group);
            let alert = &restored[0][0];
            assert_eq!((alert.active_at, alert.restored_at), (at(expected), Some(at(1_000))), "for {hold}");
        };
        check(60, 970);
        // It fires already.
        check(0, 100);
    }
}
