//! The alerts of a moment, in the groups in which people are told of them, each with the reason why it is not told, if there is
//! one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use taffrail_collector::model::Timestamp;
use taffrail_query::alert::snapshot::NamedAlert;
use taffrail_query::alert::state::{AlertState, Labels};

use super::Routing;
use super::inhibit::Inhibitor;
use super::route::{Route, Timing};
use super::silence::Silence;
use crate::notify::notice::{Notice, alert_id};

/// Alerts that are told together: those of one route with the same labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupKey {
    /// The route, by its matchers.
    pub route: String,
    /// The labels that they share.
    pub labels: Labels,
}

/// Alerts that are told together, as they are now.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Which.
    pub key: GroupKey,
    /// Who is told.
    pub receiver: String,
    /// When.
    pub timing: Timing,
    /// The time interval for whose sake nobody is told now.
    pub closed_by: Option<String>,
    /// Firing alerts, and resolved ones.
    pub alerts: Vec<Arc<Routed>>,
}

/// An alert on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Routed {
    /// The alert.
    pub notice: Notice,
    /// Whether it fires.
    pub firing: bool,
    /// Why it is not told.
    pub muted: Option<Muted>,
}

/// Why an alert is not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Muted {
    /// By these silences.
    Silenced(Vec<String>),
    /// By the alert of this id.
    Inhibited(String),
}

/// Brings the alerts into their groups, in the order of the routes and then of their labels.
pub fn plan(routing: &Routing, silences: &[Silence], alerts: &[NamedAlert], now: Timestamp) -> Vec<Group> {
    let is_firing = |named: &&NamedAlert| named.alert.state == AlertState::Firing;
    let firing = alerts.iter().filter(is_firing).map(|named| &named.alert.labels);
    let inhibitor = Inhibitor::new(&routing.inhibit_rules, firing);
    let mut groups: BTreeMap<(usize, Labels), Group> = BTreeMap::new();
    let order: BTreeMap<*const Route, usize> =
        routing.route.all().into_iter().enumerate().map(|(at, route)| (std::ptr::from_ref(route), at)).collect();
    for named in alerts.iter().filter(|named| named.alert.state != AlertState::Pending) {
        let labels = &named.alert.labels;
        let firing = named.alert.state == AlertState::Firing;
        let muted = if firing { mute(&inhibitor, silences, labels, now) } else { None };
        let routed = Arc::new(Routed { notice: Notice::of(named), firing, muted });
        for route in routing.route.takers(labels) {
            let by = route.group_by.labels_of(labels);
            let at = order.get(&std::ptr::from_ref(route)).copied().unwrap_or_default();
            let group = groups.entry((at, by.clone())).or_insert_with(|| Group {
                key: GroupKey { route: route.key.clone(), labels: by },
                receiver: route.receiver.clone(),
                timing: route.timing,
                closed_by: closed_by(routing, route, now),
                alerts: Vec::new(),
            });
            group.alerts.push(routed.clone());
        }
    }
    groups.into_values().collect()
}

/// The interval for whose sake nobody on this route is told at this moment.
fn closed_by(routing: &Routing, route: &Route, now: Timestamp) -> Option<String> {
    let contains = |name: &String| {
        let intervals = routing.intervals.get(name);
        intervals.is_some_and(|intervals| intervals.iter().any(|interval| interval.contains(now)))
    };
    if let Some(mute) = route.mute_intervals.iter().find(|name| contains(name)) {
        return Some(mute.clone());
    }
    let outside = !route.active_intervals.is_empty() && !route.active_intervals.iter().any(contains);
    outside.then(|| format!("outside of {}", route.active_intervals.join(", ")))
}

fn mute(inhibitor: &Inhibitor<'_>, silences: &[Silence], labels: &Labels, now: Timestamp) -> Option<Muted> {
    let by: Vec<String> =
        silences.iter().filter(|silence| silence.silences(labels, now)).map(|silence| silence.id.clone()).collect();
    if !by.is_empty() {
        return Some(Muted::Silenced(by));
    }
    inhibitor.source_of(labels).map(|source| Muted::Inhibited(alert_id(source)))
}

/// The key as Alertmanager writes it in a webhook's `groupKey`.
impl std::fmt::Display for GroupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let labels: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        write!(f, "{}:{{{}}}", self.route, labels.join(", "))
    }
}
