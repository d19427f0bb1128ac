//! What a group's evaluations have given so far.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::{LabelSet, Sample, Timestamp};

use super::evaluate::{CurrentValue, Outcome};
use super::rule::{Action, Group};
use super::snapshot::{AlertingSnapshot, GroupSnapshot, NamedAlert, RuleSnapshot};
use super::state::{Alert, AlertState, reading};
use crate::promql::STALE;

/// A group's results so far.
#[derive(Debug, Default)]
pub(super) struct Status {
    rules: Vec<RuleStatus>,
    /// Series stored by the group of this name before it changed: those that it no longer gives end.
    inherited: HashSet<Arc<LabelSet>>,
    last_evaluation: Option<Timestamp>,
    duration: Duration,
    pub iterations: u64,
    pub missed: u64,
}

/// A rule's results so far.
#[derive(Debug, Default)]
struct RuleStatus {
    alerts: Vec<Alert>,
    /// The series that the last evaluation without an error stored.
    stored: HashSet<Arc<LabelSet>>,
    current: Vec<CurrentValue>,
    current_total: usize,
    error: Option<String>,
    duration: Duration,
}

impl Status {
    pub(super) fn new(alerts: Vec<Vec<Alert>>) -> Status {
        let rules = alerts.into_iter().map(|alerts| RuleStatus { alerts, ..RuleStatus::default() }).collect();
        Status { rules, ..Status::default() }
    }

    /// Takes an evaluation's results: the series to store, those that ended included, and whether the saved state must be
    /// written again.
    pub(super) fn finish(
        &mut self,
        group: &Group,
        alerts: Vec<Vec<Alert>>,
        outcomes: Vec<Outcome>,
        time: Timestamp,
    ) -> (Vec<Sample>, bool) {
        self.last_evaluation = Some(time);
        self.iterations += 1;
        self.duration = outcomes.iter().map(|outcome| outcome.duration).sum();
        let mut gone = std::mem::take(&mut self.inherited);
        let mut samples = Vec::new();
        let mut changed = false;
        for ((rule, alerts), mut outcome) in self.rules.iter_mut().zip(alerts).zip(outcomes) {
            // A rule that failed gives nothing, which does not mean that its series ended.
            if outcome.error.is_none() {
                gone.extend(std::mem::take(&mut rule.stored));
                rule.stored = outcome.samples.iter().map(|sample| sample.labels.clone()).collect();
            }
            samples.append(&mut outcome.samples);
            changed |= !same_lives(&rule.alerts, &alerts);
            rule.take(alerts, outcome);
        }
        gone.retain(|labels| !self.rules.iter().any(|rule| rule.stored.contains(labels)));
        samples.extend(ended(gone, time.saturating_sub(group.query_offset)));
        (samples, changed)
    }

    /// Takes over what the group of this name stored before it changed.
    pub(super) fn inherit(&mut self, stored: HashSet<Arc<LabelSet>>) {
        self.inherited.extend(stored);
    }

    /// Every series that is alive because of this group.
    pub(super) fn stored(&self) -> HashSet<Arc<LabelSet>> {
        self.rules.iter().flat_map(|rule| &rule.stored).chain(&self.inherited).cloned().collect()
    }

    pub(super) fn all_alerts(&self) -> Vec<Vec<Alert>> {
        self.rules.iter().map(|rule| rule.alerts.clone()).collect()
    }

    /// The series that each rule gave last.
    pub(super) fn given(&self) -> Vec<HashSet<Arc<LabelSet>>> {
        self.rules.iter().map(|rule| rule.stored.clone()).collect()
    }

    /// Whether the `for` of an alert runs.
    pub(super) fn pending(&self) -> bool {
        self.rules.iter().flat_map(|rule| &rule.alerts).any(|alert| alert.state == AlertState::Pending)
    }

    /// Notes what went wrong with the group as a whole.
    pub(super) fn fail(&mut self, reason: &str) {
        for rule in &mut self.rules {
            rule.error.get_or_insert_with(|| reason.to_owned());
        }
    }

    pub(super) fn alerts(&self, group: &Group, default_interval: Duration) -> Vec<NamedAlert> {
        let rules = group.rules.iter().zip(&self.rules);
        rules
            .flat_map(|(rule, status)| {
                status.alerts.iter().map(|alert| NamedAlert {
                    file: group.file.clone(),
                    group: group.name.clone(),
                    rule: rule.name.clone(),
                    expr: rule.expr.clone(),
                    is_logs: rule.logs.is_some(),
                    interval: group.interval.unwrap_or(default_interval),
                    alert: alert.clone(),
                })
            })
            .collect()
    }

    pub(super) fn snapshot(&self, group: &Group, default_interval: Duration) -> GroupSnapshot {
        let rules = group.rules.iter().zip(&self.rules).map(|(rule, status)| RuleSnapshot {
            name: rule.name.clone(),
            expr: rule.expr.clone(),
            logs: rule.logs.clone(),
            labels: rule.labels.iter().map(|(name, text)| (name.clone(), text.to_string())).collect(),
            alerting: match &rule.action {
                Action::Record => None,
                Action::Alert { hold, keep_firing, annotations } => Some(AlertingSnapshot {
                    hold: *hold,
                    keep_firing: *keep_firing,
                    annotations: annotations.iter().map(|(name, text)| (name.clone(), text.to_string())).collect(),
                    no_data: rule.no_data,
                    log_lines: rule.log_lines.clone(),
                    alerts: status.alerts.clone(),
                    comparison: rule.comparison.clone(),
                    current: status.current.clone(),
                    current_total: status.current_total,
                }),
            },
            line: rule.line,
            health: match (&status.error, self.iterations) {
                (Some(_), _) => "err",
                (None, 0) => "unknown",
                (None, _) => "ok",
            },
            last_error: status.error.clone(),
            last_evaluation: self.last_evaluation,
            duration: status.duration,
        });
        GroupSnapshot {
            file: group.file.clone(),
            name: group.name.clone(),
            interval: group.interval.unwrap_or(default_interval),
            limit: group.limit,
            last_evaluation: self.last_evaluation,
            duration: self.duration,
            iterations: self.iterations,
            missed: self.missed,
            rules: rules.collect(),
        }
    }
}

/// The points that end these series.
pub(super) fn ended(series: HashSet<Arc<LabelSet>>, time: Timestamp) -> impl Iterator<Item = Sample> {
    series.into_iter().map(move |labels| reading(labels, time, STALE))
}

impl RuleStatus {
    fn take(&mut self, alerts: Vec<Alert>, outcome: Outcome) {
        self.alerts = alerts;
        self.error = outcome.error;
        self.duration = outcome.duration;
        if self.error.is_none() {
            self.current = outcome.current;
            self.current_total = outcome.current_total;
        }
    }
}

/// Whether two lists of alerts are the same but for values and texts.
fn same_lives(a: &[Alert], b: &[Alert]) -> bool {
    let life = |alert: &Alert| {
        (alert.state, alert.active_at, alert.fired_at, alert.resolved_at, alert.kept_since, alert.no_data_since)
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| life(a) == life(b) && a.labels == b.labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::rule::parse_rules;
    use crate::alert::saved_state::SavedState;
    use taffrail_collector::model::SampleValue;

    #[test]
    fn series_end_once_when_their_rule_gives_them_no_more_but_not_when_it_fails() {
        let rules = "groups:\n- name: g\n  query_offset: 5s\n  rules:\n  - { record: r, expr: x }\n  - { record: s, expr: x }\n";
        let group = parse_rules("r.yml", rules).unwrap().remove(0);
        let mut status = Status::new(SavedState::default().alerts_of(&group));
        let labels = |name: &&str| Arc::new(LabelSet::new([("__name__", "r"), ("i", *name)]));
        // Each step: what the two rules give (none: an error), and which series end by it.
        let mut check = |second: i64, given: [Option<&[&str]>; 2], expected: &[&str]| {
            let time = Timestamp::from_unix_seconds(second);
            let outcome = |names: &Option<&[&str]>| match names {
                Some(names) => Outcome {
                    samples: names.iter().map(|name| reading(labels(name), time, 1.0)).collect(),
                    ..Outcome::default()
                },
                None => Outcome { error: Some("failed".to_owned()), ..Outcome::default() },
            };
            let (samples, _) = status.finish(&group, vec![Vec::new(); 2], given.iter().map(outcome).collect(), time);
            let stale = samples.iter().filter(
                |sample| matches!(sample.value, SampleValue::Gauge { last, .. } if last.to_bits() == STALE.to_bits()),
            );
            let mut stale: Vec<(String, i64)> =
                stale.map(|sample| (sample.labels.get("i").to_owned(), sample.timestamp.unix_millis())).collect();
            stale.sort();
            let expected: Vec<_> = expected.iter().map(|name| ((*name).to_owned(), second * 1000 - 5000)).collect();
            assert_eq!(stale, expected, "at {second}");
        };
        check(10, [Some(&["a", "b"]), Some(&[])], &[]);
        check(20, [Some(&["b"]), Some(&[])], &["a"]);
        check(30, [Some(&["b"]), Some(&[])], &[]);
        check(40, [None, Some(&["c"])], &[]);
        // Another rule of the group gives the series now.
        check(50, [Some(&[]), Some(&["b", "c"])], &[]);
        check(60, [Some(&[]), None], &[]);
        check(70, [Some(&[]), Some(&[])], &["b", "c"]);
        let mut changed = Status::new(SavedState::default().alerts_of(&group));
        changed.inherit(HashSet::from([labels(&"old")]));
        assert_eq!(changed.stored().len(), 1);
        let (samples, _) = changed.finish(&group, vec![Vec::new(); 2], vec![Outcome::default(); 2], Timestamp::EPOCH);
        assert_eq!((samples.len(), changed.stored().len()), (1, 0));
    }
}
