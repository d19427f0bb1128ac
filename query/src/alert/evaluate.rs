//! One evaluation of a group: rules, a source and a moment give alert changes and series to store. No clock, no disk.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_collector::model::{LabelSet, Sample, Timestamp};
use taffrail_ingest::Scan;

use super::overlay::Overlay;
use super::rule::{Action, Group, Rule};
use super::state::{Alert, AlertState, Found, Labels, Transition, advance, reading, samples};
use super::template::{Context, Template};
use crate::promql::{self, Answer, InstantValue, SeriesSource};

/// The label that holds an alert's name.
pub const ALERT_NAME: &str = "alertname";

/// Values kept for the page when a rule compares many series with a number.
pub const CURRENT_MAX: usize = 100;

/// What evaluations need besides rules and moment.
pub struct Environment<'a> {
    /// Where series come from.
    pub source: &'a dyn SeriesSource,
    /// The budget of one expression.
    pub scan: &'a dyn Fn() -> Scan,
    /// Labels of this server in templates.
    pub external_labels: &'a BTreeMap<String, String>,
    /// Where people reach this server.
    pub external_url: &'a str,
}

/// What one rule's evaluation gave.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Series to store.
    pub samples: Vec<Sample>,
    /// Alerts that changed.
    pub transitions: Vec<Transition>,
    /// What the left side of the rule's comparison is now, or what the expression gave; at most [`CURRENT_MAX`].
    pub current: Vec<CurrentValue>,
    /// How many of those there are in all.
    pub current_total: usize,
    /// Why there is no result; alerts stay as they were.
    pub error: Option<String>,
    /// How long it took.
    pub duration: Duration,
}

/// A value that a rule looks at.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentValue {
    /// The series.
    pub labels: Arc<LabelSet>,
    /// Its value.
    pub value: f64,
}

/// Evaluates the group's rules in order; `alerts` holds each rule's alerts and is brought to `time`. Blocks.
pub fn evaluate_group(
    group: &Group,
    alerts: &mut [Vec<Alert>],
    environment: &Environment<'_>,
    time: Timestamp,
) -> Vec<Outcome> {
    let query_time = time.saturating_sub(group.query_offset);
    let mut overlay = Overlay::new(environment.source);
    let mut outcomes = Vec::with_capacity(group.rules.len());
    for (rule, alerts) in group.rules.iter().zip(alerts) {
        let started = Instant::now();
        let evaluation = Evaluation { rule, limit: group.limit, environment, source: &overlay, time, query_time };
        let mut outcome = match &rule.action {
            Action::Record => evaluation.record(),
            Action::Alert { hold, keep_firing, annotations } => {
                evaluation.alert(alerts, *hold, *keep_firing, annotations)
            }
        }
        .unwrap_or_else(|error| Outcome { error: Some(error), ..Outcome::default() });
        outcome.duration = started.elapsed();
        for sample in &outcome.samples {
            if let taffrail_collector::model::SampleValue::Gauge { last, .. } = sample.value {
                overlay.add(sample.labels.clone(), sample.timestamp.unix_millis(), last);
            }
        }
        outcomes.push(outcome);
    }
    outcomes
}

struct Evaluation<'a> {
    rule: &'a Rule,
    limit: usize,
    environment: &'a Environment<'a>,
    source: &'a dyn SeriesSource,
    time: Timestamp,
    query_time: Timestamp,
}

impl Evaluation<'_> {
    fn record(&self) -> Result<Outcome, String> {
        let (found, current) = self.values()?;
        if self.limit > 0 && found.len() > self.limit {
            return Err(format!("{} series, more than the group's limit of {}", found.len(), self.limit));
        }
        let mut seen = HashSet::new();
        let mut samples = Vec::with_capacity(found.len());
        for sample in found {
            let own = sample.labels.iter().filter(|(name, _)| *name != NAME_LABEL);
            let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
            // Labels of recorded series are no templates: they stand as they are written.
            let more = self.rule.labels.iter().map(|(name, value)| (name.clone(), value.to_string()));
            let name = [(NAME_LABEL.to_owned(), self.rule.name.clone())];
            let labels = Arc::new(LabelSet::new(own.chain(more).chain(name)));
            if !seen.insert(labels.clone()) {
                return Err(format!("two results have the same labels once the rule's are put on them: {labels}"));
            }
            samples.push(reading(labels, self.query_time, sample.value));
        }
        Ok(Outcome { samples, ..current })
    }

    fn alert(
        &self,
        alerts: &mut Vec<Alert>,
        hold: Duration,
        keep_firing: Duration,
        annotations: &BTreeMap<String, Template>,
    ) -> Result<Outcome, String> {
        let (values, current) = self.values()?;
        let mut seen = HashSet::new();
        let mut found = Vec::with_capacity(values.len());
        for sample in &values {
            let one = self.found(sample, annotations);
            if !seen.insert(one.labels.clone()) {
                return Err("two results have the same labels once the alert's are put on them: let its labels differ"
                    .to_owned());
            }
            found.push(one);
        }
        let transitions = advance(alerts, found, hold, keep_firing, self.time);
        let alive = alerts.iter().filter(|alert| alert.state != AlertState::Resolved).count();
        if self.limit > 0 && alive > self.limit {
            alerts.clear();
            return Err(format!(
                "{alive} alerts, more than the group's limit of {}: all of them are dropped",
                self.limit
            ));
        }
        Ok(Outcome { samples: samples(alerts, self.query_time), transitions, ..current })
    }

    fn found(&self, sample: &InstantValue, annotations: &BTreeMap<String, Template>) -> Found {
        let query = |text: &str| match promql::instant(text, self.query_time, self.source, &(self.environment.scan)()) {
            Ok(evaluated) => vector(evaluated.value),
            Err(error) => Err(error.to_string()),
        };
        let context = Context {
            labels: &sample.labels,
            value: sample.value,
            external_labels: self.environment.external_labels,
            external_url: self.environment.external_url,
            now: self.time,
            query: &query,
        };
        let expand = |templates: &BTreeMap<String, Template>| -> Labels {
            templates.iter().map(|(name, template)| (name.clone(), template.expand_or_explain(&context))).collect()
        };
        let own = sample.labels.iter().filter(|(name, _)| *name != NAME_LABEL);
        let mut labels: Labels = own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        labels.extend(expand(&self.rule.labels));
        labels.insert(ALERT_NAME.to_owned(), self.rule.name.clone());
        labels.retain(|_, value| !value.is_empty());
        Found { labels, annotations: expand(annotations), value: sample.value }
    }

    /// The results of the rule's expression, and an outcome that holds the values to show.
    fn values(&self) -> Result<(Vec<InstantValue>, Outcome), String> {
        let (expression, comparison) = match &self.rule.comparison {
            Some(comparison) => (&comparison.expression, Some(comparison)),
            None => (&self.rule.expr, None),
        };
        let scan = (self.environment.scan)();
        let evaluated =
            promql::instant(expression, self.query_time, self.source, &scan).map_err(|error| error.to_string())?;
        let mut values = vector(evaluated.value)?;
        let current = values.iter().take(CURRENT_MAX);
        let current = current.map(|value| CurrentValue { labels: value.labels.clone(), value: value.value }).collect();
        let outcome = Outcome { current, current_total: values.len(), ..Outcome::default() };
        if let Some(comparison) = comparison {
            values.retain(|value| comparison.holds(value.value));
        }
        Ok((values, outcome))
    }
}

fn vector(answer: Answer) -> Result<Vec<InstantValue>, String> {
    match answer {
        Answer::Vector(values) => Ok(values),
        Answer::Scalar(value) => Ok(vec![InstantValue { labels: Arc::default(), value }]),
        Answer::Text(_) | Answer::Matrix(_) => Err("the expression does not give one value a series".to_owned()),
    }
}
