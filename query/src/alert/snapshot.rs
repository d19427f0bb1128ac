//! How the rules stand, for pages, APIs and notifications.

use std::time::Duration;

use taffrail_collector::model::Timestamp;

use super::comparison::Comparison;
use super::evaluate::CurrentValue;
use super::log_expression::LogExpression;
use super::rule::{LogLines, NoData};
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
    /// PromQL, or a question over logs.
    pub expr: String,
    /// How that question is asked; none when the expression is PromQL.
    pub logs: Option<LogExpression>,
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
    /// What becomes of the alerts while their data is missing.
    pub no_data: NoData,
    /// Which log lines they show, as written.
    pub log_lines: Option<LogLines>,
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
    /// Whether that is a question over logs; else it is PromQL.
    pub is_logs: bool,
    /// How often the group is evaluated.
    pub interval: Duration,
    /// The alert.
    pub alert: Alert,
}
