//! How the rules stand, for pages, APIs and notifications.

use std::time::Duration;

use taffrail_collector::model::Timestamp;

use super::comparison::Comparison;
use super::evaluate::{CurrentValue, Outcome};
use super::rule::{Action, Group};
use super::state::{Alert, Labels};

/// How a group stands.
#[derive(Clone, Debug)]
pub struct GroupSnapshot {
    /// The file it stands in.
    pub file: String,
    /// Its name.
    pub name: String,
    /// How often it is evaluated.
    pub interval: Duration,
    /// The most alerts or series one rule may give; 0 for any number.
    pub limit: usize,
    /// The moment that the last evaluation was for.
    pub last_evaluation: Option<Timestamp>,
    /// How long it took.
    pub duration: Duration,
    /// Evaluations since the group was started.
    pub iterations: u64,
    /// Evaluations left out because the one before took too long.
    pub missed: u64,
    /// Its rules in order.
    pub rules: Vec<RuleSnapshot>,
}

/// How a rule stands.
#[derive(Clone, Debug)]
pub struct RuleSnapshot {
    /// The alert's name, or that of the recorded series.
    pub name: String,
    /// PromQL.
    pub expr: String,
    /// The rule's labels as written.
    pub labels: Labels,
    /// What it does; none for a recording rule.
    pub alerting: Option<AlertingSnapshot>,
    /// The line of the file it starts on.
    pub line: u64,
    /// `ok`, `err` or, before the first evaluation, `unknown`.
    pub health: &'static str,
    /// Why the last evaluation failed.
    pub last_error: Option<String>,
    /// The moment that the last evaluation was for.
    pub last_evaluation: Option<Timestamp>,
    /// How long it took.
    pub duration: Duration,
}

/// What an alerting rule has besides.
#[derive(Clone, Debug)]
pub struct AlertingSnapshot {
    /// How long the expression must hold before the alert fires.
    pub hold: Duration,
    /// How long it goes on firing afterwards.
    pub keep_firing: Duration,
    /// The texts as written.
    pub annotations: Labels,
    /// Pending, firing and lately resolved alerts.
    pub alerts: Vec<Alert>,
    /// The number that the rule compares with, if it does.
    pub comparison: Option<Comparison>,
    /// What is compared with it, firing or not; without a comparison what the expression gives. Not all when there are many.
    pub current: Vec<CurrentValue>,
    /// How many of those there are in all.
    pub current_total: usize,
}

/// An alert and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedAlert {
    /// The rules file.
    pub file: String,
    /// The group.
    pub group: String,
    /// The rule, by its name.
    pub rule: String,
    /// The rule's expression.
    pub expr: String,
    /// The alert.
    pub alert: Alert,
}

/// A group's results so far.
#[derive(Debug)]
pub(super) struct Status {
    pub rules: Vec<RuleStatus>,
    pub last_evaluation: Option<Timestamp>,
    pub duration: Duration,
    pub iterations: u64,
    pub missed: u64,
}

/// A rule's results so far.
#[derive(Debug, Default)]
pub(super) struct RuleStatus {
    pub alerts: Vec<Alert>,
    current: Vec<CurrentValue>,
    current_total: usize,
    error: Option<String>,
    duration: Duration,
}

impl Status {
    pub(super) fn new(alerts: Vec<Vec<Alert>>) -> Status {
        let rules = alerts.into_iter().map(|alerts| RuleStatus { alerts, ..RuleStatus::default() }).collect();
        Status { rules, last_evaluation: None, duration: Duration::ZERO, iterations: 0, missed: 0 }
    }

    pub(super) fn all_alerts(&self) -> Vec<Vec<Alert>> {
        self.rules.iter().map(|rule| rule.alerts.clone()).collect()
    }

    /// Notes what went wrong with the group as a whole.
    pub(super) fn fail(&mut self, reason: &str) {
        for rule in &mut self.rules {
            rule.error.get_or_insert_with(|| reason.to_owned());
        }
    }

    pub(super) fn alerts(&self, group: &Group) -> Vec<NamedAlert> {
        let rules = group.rules.iter().zip(&self.rules);
        rules
            .flat_map(|(rule, status)| {
                status.alerts.iter().map(|alert| NamedAlert {
                    file: group.file.clone(),
                    group: group.name.clone(),
                    rule: rule.name.clone(),
                    expr: rule.expr.clone(),
                    alert: alert.clone(),
                })
            })
            .collect()
    }

    pub(super) fn snapshot(&self, group: &Group, default_interval: Duration) -> GroupSnapshot {
        let rules = group.rules.iter().zip(&self.rules).map(|(rule, status)| RuleSnapshot {
            name: rule.name.clone(),
            expr: rule.expr.clone(),
            labels: rule.labels.iter().map(|(name, text)| (name.clone(), text.to_string())).collect(),
            alerting: match &rule.action {
                Action::Record => None,
                Action::Alert { hold, keep_firing, annotations } => Some(AlertingSnapshot {
                    hold: *hold,
                    keep_firing: *keep_firing,
                    annotations: annotations.iter().map(|(name, text)| (name.clone(), text.to_string())).collect(),
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

impl RuleStatus {
    pub(super) fn take(&mut self, alerts: Vec<Alert>, outcome: Outcome) {
        self.alerts = alerts;
        self.error = outcome.error;
        self.duration = outcome.duration;
        if self.error.is_none() {
            self.current = outcome.current;
            self.current_total = outcome.current_total;
        }
    }

    /// Whether two lists of alerts are the same but for values and texts.
    pub(super) fn same_lives(a: &[Alert], b: &[Alert]) -> bool {
        let life = |alert: &Alert| (alert.state, alert.active_at, alert.fired_at, alert.resolved_at, alert.kept_since);
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| life(a) == life(b) && a.labels == b.labels)
    }
}
