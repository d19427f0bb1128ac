//! One evaluation of a group: rules, a source and a moment give alert changes and series to store. No clock, no disk.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use taffrail_collector::model::label_set::NAME_LABEL;
use taffrail_collector::model::{LabelSet, Sample, Timestamp};
use taffrail_ingest::Scan;

use super::overlay::Overlay;
use super::rule::{Action, Group, LOG_LINES, NoData, RUNBOOK, Rule};
use super::state::{Alert, AlertState, Found, Labels, LinesAsked, Transition, advance, reading, samples};
use super::template::{Context, Template};
use super::values::{Asking, Reading};
use crate::promql::{LOOKBACK_MS, STALE, SeriesSource};

/// The label that holds an alert's name.
pub const ALERT_NAME: &str = "alertname";

/// The label that tells the alert about missing data from the others of its rule.
pub const REASON: &str = "reason";

/// Its value.
pub const REASON_NO_DATA: &str = "no_data";

/// Values kept for the page when a rule compares many series with a number.
pub const CURRENT_MAX: usize = 100;

/// How long after a restart data may take to come back: as far as instant queries look back.
const DATA_BACK: Duration = Duration::from_secs(5 * 60);

/// What evaluations need besides rules and moment.
pub struct Environment<'a> {
    /// Where series come from.
    pub source: &'a dyn SeriesSource,
    /// What expressions may cost.
    pub budget: Budget<'a>,
    /// How many bytes a question over logs may keep in memory.
    pub memory_bytes_max: u64,
    /// The most alerts that one rule may have, whatever its group's limit says; beyond it they stay as they were.
    pub alerts_max: usize,
    /// How often the group is evaluated.
    pub interval: Duration,
    /// Labels of this server in templates.
    pub external_labels: &'a BTreeMap<String, String>,
    /// Where people reach this server.
    pub external_url: &'a str,
}

/// What expressions may cost.
pub enum Budget<'a> {
    /// Each of them so much.
    Each(&'a dyn Fn() -> Scan),
    /// All of them together.
    Whole(&'a Scan),
}

impl Budget<'_> {
    /// Does work that costs.
    pub(super) fn spend<T>(&self, work: impl FnOnce(&Scan) -> T) -> T {
        match self {
            Budget::Each(scan) => work(&scan()),
            Budget::Whole(scan) => work(scan),
        }
    }

    /// Whether nothing more may be done.
    pub(super) fn is_spent(&self) -> bool {
        matches!(self, Budget::Whole(scan) if scan.touch(0, 0).is_err())
    }
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

/// The series that each rule of a group gave at its last evaluation.
pub type Given = [HashSet<Arc<LabelSet>>];

/// Evaluates the group's rules in order; `alerts` holds each rule's alerts and is brought to `time`. What a rule gave before and
/// gives no more has ended for the rules after it. Blocks.
pub fn evaluate_group(
    group: &Group,
    alerts: &mut [Vec<Alert>],
    given: &Given,
    environment: &Environment<'_>,
    time: Timestamp,
) -> Vec<Outcome> {
    let mut overlay = Overlay::new(environment.source);
    let mut outcomes = Vec::with_capacity(group.rules.len());
    for (rule, alerts) in group.rules.iter().zip(alerts) {
        let started = Instant::now();
        let evaluation = Evaluation::new(group, rule, environment, &overlay, time);
        let mut outcome = match &rule.action {
            Action::Record => evaluation.record(),
            Action::Alert { hold, keep_firing, annotations } => {
                evaluation.alert(alerts, (*hold, *keep_firing), annotations)
            }
        }
        .unwrap_or_else(|error| Outcome { error: Some(error), ..Outcome::default() });
        outcome.duration = started.elapsed();
        for sample in &outcome.samples {
            if let taffrail_collector::model::SampleValue::Gauge { last, .. } = sample.value {
                overlay.add(sample.labels.clone(), sample.timestamp.unix_millis(), last);
            }
        }
        if outcome.error.is_none()
            && let Some(given) = given.get(outcomes.len())
        {
            let now: HashSet<&Arc<LabelSet>> = outcome.samples.iter().map(|sample| &sample.labels).collect();
            let time_ms = time.saturating_sub(group.query_offset).unix_millis();
            for gone in given.iter().filter(|labels| !now.contains(labels)) {
                overlay.add(gone.clone(), time_ms, STALE);
            }
        }
        outcomes.push(outcome);
    }
    outcomes
}

/// One rule at one moment.
pub(super) struct Evaluation<'a> {
    pub(super) asking: Asking<'a>,
    /// The moment of the evaluation.
    pub(super) time: Timestamp,
    /// The moment that is asked about: before that by the group's offset.
    pub(super) query_time: Timestamp,
    rule: &'a Rule,
    limit: usize,
    environment: &'a Environment<'a>,
}

/// The series that a recording rule makes of what its expression gives.
pub(super) fn recorded(evaluation: &Evaluation<'_>, mut readings: Vec<Reading>) -> Result<Vec<Sample>, String> {
    let (rule, limit) = (evaluation.rule, evaluation.limit);
    // Of a search that only counts, nothing is a number to record too.
    let is_count = rule.logs.as_ref().is_some_and(|logs| logs.is_count);
    readings.retain(|reading| is_count || evaluation.holds(reading));
    if limit > 0 && readings.len() > limit {
        return Err(format!("{} series, more than the group's limit of {limit}", readings.len()));
    }
    let mut seen = HashSet::new();
    let mut samples = Vec::with_capacity(readings.len());
    for one in readings {
        let labels = recorded_labels(rule, &one.labels);
        if !seen.insert(labels.clone()) {
            return Err(format!("two results have the same labels once the rule's are put on them: {labels}"));
        }
        samples.push(reading(labels, evaluation.query_time, one.value));
    }
    Ok(samples)
}

impl<'a> Evaluation<'a> {
    /// A rule of the group at this moment.
    pub(super) fn new(
        group: &Group,
        rule: &'a Rule,
        environment: &'a Environment<'a>,
        source: &'a dyn SeriesSource,
        time: Timestamp,
    ) -> Evaluation<'a> {
        let query_time = time.saturating_sub(group.query_offset);
        let asking = Asking { rule, environment, source, query_time };
        Evaluation { asking, time, query_time, rule, limit: group.limit, environment }
    }

    fn record(&self) -> Result<Outcome, String> {
        let (readings, current) = self.readings()?;
        Ok(Outcome { samples: recorded(self, readings)?, ..current })
    }

    fn alert(
        &self,
        alerts: &mut Vec<Alert>,
        spans: (Duration, Duration),
        annotations: &BTreeMap<String, Template>,
    ) -> Result<Outcome, String> {
        let (readings, current) = self.readings()?;
        let transitions = self.judge(alerts, &readings, spans, annotations)?;
        Ok(Outcome { samples: samples(alerts, self.query_time), transitions, ..current })
    }

    /// Brings a rule's alerts to this moment, given what its expression found, its `for` and its `keep_firing_for`.
    pub(super) fn judge(
        &self,
        alerts: &mut Vec<Alert>,
        readings: &[Reading],
        (hold, keep_firing): (Duration, Duration),
        annotations: &BTreeMap<String, Template>,
    ) -> Result<Vec<Transition>, String> {
        let mut seen = HashSet::new();
        let mut found = Vec::with_capacity(readings.len());
        for one in readings.iter().filter(|reading| self.holds(reading)) {
            let one = self.found(one, annotations);
            if !seen.insert(one.labels.clone()) {
                return Err("two results have the same labels once the alert's are put on them: let its labels differ"
                    .to_owned());
            }
            found.push(one);
        }
        let no_data = self.judge_missing(alerts, readings, &seen)?;
        if no_data && self.rule.no_data == NoData::Alert {
            let one = self.about_no_data(annotations);
            seen.insert(one.labels.clone());
            found.push(one);
        }
        let alive =
            found.len() + alerts.iter().filter(|alert| is_alive(alert) && !seen.contains(&alert.labels)).count();
        if alive > self.environment.alerts_max {
            return Err(format!(
                "{alive} alerts, more than alerts.per_rule_max = {}: they stay as they were; let the expression sum up \
                 what differs, or raise the setting",
                self.environment.alerts_max
            ));
        }
        self.judge_restored(alerts, &seen, readings, hold);
        let transitions = advance(alerts, found, hold, keep_firing, self.time);
        let alive = alerts.iter().filter(|alert| is_alive(alert)).count();
        if self.limit > 0 && alive > self.limit {
            alerts.clear();
            return Err(format!(
                "{alive} alerts, more than the group's limit of {}: all of them are dropped",
                self.limit
            ));
        }
        Ok(transitions)
    }

    /// The texts of the alert with these labels, as they are now.
    pub(super) fn texts_of(
        &self,
        labels: &Labels,
        readings: &[Reading],
        annotations: &BTreeMap<String, Template>,
    ) -> Found {
        let found =
            readings.iter().filter(|reading| self.holds(reading)).map(|reading| self.found(reading, annotations));
        found.into_iter().find(|found| found.labels == *labels).unwrap_or_else(|| self.about_no_data(annotations))
    }

    /// Notes which alerts have no data to be judged by, and says whether there is no data at all.
    fn judge_missing(
        &self,
        alerts: &mut [Alert],
        readings: &[Reading],
        seen: &HashSet<Labels>,
    ) -> Result<bool, String> {
        if self.rule.no_data == NoData::Ok {
            return Ok(false);
        }
        // Of logs a count of nothing is a reading too, so it says nothing about missing data.
        let asks_itself = self.rule.logs.is_some() || readings.is_empty();
        let no_data = seen.is_empty() && asks_itself && self.asking.nothing_is_missing_data()?;
        let by_series = self.rule.logs.is_none() && self.rule.comparison.is_some();
        for alert in alerts.iter_mut().filter(|alert| is_alive(alert) && !seen.contains(&alert.labels)) {
            let told_of_it = alert.labels.get(REASON).is_some_and(|reason| reason == REASON_NO_DATA);
            let has_reading = || readings.iter().any(|reading| self.is_of(alert, reading));
            let missing = no_data || by_series && !told_of_it && !has_reading();
            alert.no_data_since = if missing { alert.no_data_since.or(Some(self.time)) } else { None };
        }
        Ok(no_data)
    }

    /// Lets alerts from before a restart end that were not found. Data may not be back yet, so an alert whose series is not
    /// there stays for `for` or [`DATA_BACK`], whichever is longer. One whose series has a value that does not pass the
    /// comparison ends at once; an expression without one cannot tell the two apart, and waits.
    fn judge_restored(&self, alerts: &mut [Alert], seen: &HashSet<Labels>, readings: &[Reading], hold: Duration) {
        for alert in alerts.iter_mut().filter(|alert| !seen.contains(&alert.labels)) {
            let late = |restored| self.time.saturating_since(restored) >= hold.max(DATA_BACK);
            if alert.restored_at.is_some_and(late) || readings.iter().any(|reading| self.is_of(alert, reading)) {
                alert.restored_at = None;
            }
        }
    }

    /// Whether the alert is about this series; labels that the rule sets hide those of the series.
    fn is_of(&self, alert: &Alert, reading: &Reading) -> bool {
        let hidden = |name: &str| name == NAME_LABEL || name == ALERT_NAME || self.rule.labels.contains_key(name);
        let mut own = reading.labels.iter().filter(|(name, _)| !hidden(name));
        own.all(|(name, value)| alert.labels.get(name).is_some_and(|known| known == value))
    }

    fn holds(&self, reading: &Reading) -> bool {
        self.rule.comparison.as_ref().is_none_or(|comparison| comparison.holds(reading.value))
    }

    fn found(&self, reading: &Reading, annotations: &BTreeMap<String, Template>) -> Found {
        self.with_context(&reading.columns, reading.value, |context| {
            let expand = |templates| expanded(templates, context);
            let own = reading.labels.iter().filter(|(name, _)| *name != NAME_LABEL);
            let mut labels: Labels = own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            labels.extend(expand(&self.rule.labels));
            labels.insert(ALERT_NAME.to_owned(), self.rule.name.clone());
            labels.retain(|_, value| !value.is_empty());
            let log_lines = self.lines_asked(&labels, context);
            Found { labels, annotations: expand(annotations), value: reading.value, log_lines }
        })
    }

    /// The alert that says that there is nothing to look at.
    fn about_no_data(&self, annotations: &BTreeMap<String, Template>) -> Found {
        self.with_context(&LabelSet::default(), f64::NAN, |context| {
            let mut labels = expanded(&self.rule.labels, context);
            labels.insert(ALERT_NAME.to_owned(), self.rule.name.clone());
            labels.insert(REASON.to_owned(), REASON_NO_DATA.to_owned());
            labels.retain(|_, value| !value.is_empty());
            let summary = format!("No data: {} finds nothing that it could look at", self.rule.expr.trim());
            let runbook = annotations.get(RUNBOOK).map(|text| (RUNBOOK.to_owned(), text.expand_or_explain(context)));
            let annotations = runbook.into_iter().chain([("summary".to_owned(), summary)]).collect();
            Found { labels, annotations, value: f64::NAN, log_lines: None }
        })
    }

    fn lines_asked(&self, labels: &Labels, context: &Context<'_>) -> Option<LinesAsked> {
        let (query, max) = match (&self.rule.log_lines, &self.rule.logs) {
            (Some(lines), _) => (lines.query.expand_or_explain(context), lines.max),
            (None, Some(logs)) => (logs.lines_of(labels).to_string(), LOG_LINES),
            (None, None) => return None,
        };
        let from = match &self.rule.logs {
            Some(logs) => self.asking.window(logs).start,
            None => self.query_time.saturating_sub(Duration::from_millis(LOOKBACK_MS.unsigned_abs())),
        };
        Some(LinesAsked { query, max, from, to: self.query_time })
    }

    fn with_context<T>(&self, labels: &LabelSet, value: f64, use_it: impl FnOnce(&Context<'_>) -> T) -> T {
        use_it(&Context {
            labels,
            value,
            external_labels: self.environment.external_labels,
            external_url: self.environment.external_url,
            now: self.time,
            query: &|text| self.asking.values(text),
        })
    }

    /// What the rule looks at, and an outcome that holds the values to show.
    fn readings(&self) -> Result<(Vec<Reading>, Outcome), String> {
        let readings = self.asking.readings()?;
        let current = readings.iter().take(CURRENT_MAX);
        let current = current.map(|one| CurrentValue { labels: one.labels.clone(), value: one.value }).collect();
        let outcome = Outcome { current, current_total: readings.len(), ..Outcome::default() };
        Ok((readings, outcome))
    }
}

/// The labels of a series that a rule records.
fn recorded_labels(rule: &Rule, labels: &LabelSet) -> Arc<LabelSet> {
    let own = labels.iter().filter(|(name, _)| *name != NAME_LABEL);
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    // Labels of recorded series are no templates: they stand as they are written.
    let more = rule.labels.iter().map(|(name, value)| (name.clone(), value.to_string()));
    let name = [(NAME_LABEL.to_owned(), rule.name.clone())];
    Arc::new(LabelSet::new(own.chain(more).chain(name)))
}

fn expanded(templates: &BTreeMap<String, Template>, context: &Context<'_>) -> Labels {
    templates.iter().map(|(name, template)| (name.clone(), template.expand_or_explain(context))).collect()
}

fn is_alive(alert: &Alert) -> bool {
    alert.state != AlertState::Resolved
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
