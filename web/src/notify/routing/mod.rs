//! Who is told of what, when: settled once from a file in Alertmanager's format, then asked of every alert. Pure.
//!
//! Reading order: [`matcher`], [`route`] (the tree), [`inhibit`], [`time_interval`], [`silence`], [`plan`] (all of it applied to
//! the alerts of a moment), [`file`] (the YAML), [`watched`] (a file that changes).

pub mod file;
pub mod inhibit;
pub mod matcher;
pub mod plan;
pub mod route;
pub mod silence;
pub mod time_interval;
pub mod watched;

use std::collections::BTreeMap;

use crate::notify::channel::Receiver;
use inhibit::InhibitRule;
use route::Route;
use time_interval::TimeInterval;

/// A routing file, checked.
#[derive(Clone, Debug)]
pub struct Routing {
    /// The tree.
    pub route: Route,
    /// Who can be told, by name.
    pub receivers: BTreeMap<String, Receiver>,
    /// Alerts that silence others.
    pub inhibit_rules: Vec<InhibitRule>,
    /// Stretches of the calendar by name.
    pub intervals: BTreeMap<String, Vec<TimeInterval>>,
    /// What is read but has no effect here, in words.
    pub remarks: Vec<String>,
}
