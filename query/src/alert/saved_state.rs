//! Alerts as one document, so that a restart goes on where it stopped: `for` and `keep_firing_for` run on, nobody is told
//! twice.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::rule::Group;
use super::state::Alert;

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

    /// The document.
    pub fn to_document(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and lists are always JSON")
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
