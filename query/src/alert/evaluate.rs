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

/// How long after a restart data may take to come back: as far as instant queries look back.
const DATA_BACK: Duration = Duration::from_secs(5 * 60);

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
        let (mut found, current) = self.values()?;
        found.retain(|sample| self.holds(sample));
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
        for sample in values.iter().filter(|sample| self.holds(sample)) {
            let one = self.found(sample, annotations);
            if !seen.insert(one.labels.clone()) {
                return Err("two results have the same labels once the alert's are put on them: let its labels differ"
                    .to_owned());
            }
            found.push(one);
        }
        self.judge_restored(alerts, &seen, &values, hold);
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

    /// Lets alerts from before a restart end that were not found. Data may not be back yet, so an alert whose series is not
    /// there stays for `for` or [`DATA_BACK`], whichever is longer. One whose series has a value that does not pass the
    /// comparison ends at once; an expression without one cannot tell the two apart, and waits.
    fn judge_restored(&self, alerts: &mut [Alert], seen: &HashSet<Labels>, values: &[InstantValue], hold: Duration) {
        for alert in alerts.iter_mut().filter(|alert| !seen.contains(&alert.labels)) {
            let late = |restored| self.time.saturating_since(restored) >= hold.max(DATA_BACK);
            if alert.restored_at.is_some_and(late) || values.iter().any(|value| self.is_of(alert, value)) {
                alert.restored_at = None;
            }
        }
    }

    /// Whether the alert is about this series; labels that the rule sets hide those of the series.
    fn is_of(&self, alert: &Alert, value: &InstantValue) -> bool {
        let hidden = |name: &str| name == NAME_LABEL || name == ALERT_NAME || self.rule.labels.contains_key(name);
        let mut own = value.labels.iter().filter(|(name, _)| !hidden(name));
        own.all(|(name, value)| alert.labels.get(name).is_some_and(|known| known == value))
    }

    fn holds(&self, sample: &InstantValue) -> bool {
        self.rule.comparison.as_ref().is_none_or(|comparison| comparison.holds(sample.value))
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

    /// The left side of the rule's comparison, or what its expression gives without one, and an outcome that holds the values to show.
    fn values(&self) -> Result<(Vec<InstantValue>, Outcome), String> {
        let expression = self.rule.comparison.as_ref().map_or(&self.rule.expr, |comparison| &comparison.expression);
        let scan = (self.environment.scan)();
        let evaluated =
            promql::instant(expression, self.query_time, self.source, &scan).map_err(|error| error.to_string())?;
        // An alert that ends, or an absence that is noticed, because a file is damaged would be a lie.
        if let Some(part) = scan.left_out().first() {
            return Err(format!(
                "{part} is damaged; restore it from a backup, or take it away with `taffrail doctor --repair`"
            ));
        }
        let values = vector(evaluated.value)?;
        let current = values.iter().take(CURRENT_MAX);
        let current = current.map(|value| CurrentValue { labels: value.labels.clone(), value: value.value }).collect();
        let outcome = Outcome { current, current_total: values.len(), ..Outcome::default() };
        Ok((values, outcome))
    }
}

fn vector(answer: Answer) -> Result<Vec<InstantValue>, String> {
    match answer {
        // A rule looks at numbers; of histograms there are functions that give one.
        Answer::Vector(values) => Ok(values.into_iter().filter(|value| value.histogram.is_none()).collect()),
        Answer::Scalar(value) => Ok(vec![InstantValue { labels: Arc::default(), value, histogram: None }]),
        Answer::Text(_) | Answer::Matrix(_) => Err("the expression does not give one value a series".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::rule::parse_rules;
    use crate::promql::{PromqlError, Series, Wanted};
    use proptest::prelude::*;
    use taffrail_collector::model::SampleValue;
    use taffrail_ingest::series_store::LabelMatcher;

    /// Name, labels and value of a series.
    type Given<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

    struct Nothing;

    impl SeriesSource for Nothing {
        fn select(&self, _: &[LabelMatcher], _: i64, _: i64, _: Wanted, _: &Scan) -> Result<Vec<Series>, PromqlError> {
            Ok(Vec::new())
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    /// Evaluates the rules (the lines below `rules:`) over instant values at second 100; gives the outcomes and the alerts.
    fn evaluate_with(alerts: &mut Vec<Vec<Alert>>, rules: &str, series: &[Given<'_>], time: i64) -> Vec<Outcome> {
        let mut source = Overlay::new(&Nothing);
        for (name, labels, value) in series {
            let labels = labels.iter().copied().chain([(NAME_LABEL, *name)]);
            source.add(Arc::new(LabelSet::new(labels)), at(time).unix_millis(), *value);
        }
        let group = parse_rules("r.yml", &format!("groups:\n- name: g\n{rules}")).unwrap().remove(0);
        alerts.resize(group.rules.len(), Vec::new());
        let environment = Environment {
            source: &source,
            scan: &Scan::unlimited,
            external_labels: &BTreeMap::new(),
            external_url: "http://here",
        };
        evaluate_group(&group, alerts, &environment, at(time))
    }

    fn evaluate(rules: &str, series: &[Given<'_>]) -> (Vec<Outcome>, Vec<Vec<Alert>>) {
        let mut alerts = Vec::new();
        (evaluate_with(&mut alerts, rules, series, 100), alerts)
    }

    fn stored(outcome: &Outcome) -> Vec<String> {
        let value = |sample: &Sample| match sample.value {
            SampleValue::Gauge { last, .. } => last,
            _ => f64::NAN,
        };
        let line =
            |sample: &Sample| format!("{} {} @{}", sample.labels, value(sample), sample.timestamp.unix_millis() / 1000);
        outcome.samples.iter().map(line).collect()
    }

    #[test]
    fn what_one_rule_records_the_next_one_sees() {
        let rules = r#"
  query_offset: 10s
  rules:
  - record: job:hits:sum
    expr: sum by (job) (hits)
    labels: { job: "{{ as it stands }}", zone: eu }
  - alert: Many
    expr: job:hits:sum > 3
"#;
        let rules = rules.replace("{{ as it stands }}", "all");
        let (outcomes, alerts) = evaluate(&rules, &[("hits", &[("i", "a")], 2.0)]);
        assert_eq!(stored(&outcomes[0]), Vec::<String>::new(), "the offset looks before the point");
        assert_eq!(alerts[1].len(), 0);
        let rules = rules.replace("10s", "0s");
        let (outcomes, alerts) = evaluate(&rules, &[("hits", &[("i", "a")], 2.0), ("hits", &[("i", "b")], 2.0)]);
        assert_eq!(stored(&outcomes[0]), [r#"job:hits:sum{job="all", zone="eu"} 4 @100"#]);
        assert_eq!(alerts[1][0].value, 4.0);
        let labels = r#"alertname="Many", alertstate="firing", job="all", zone="eu""#;
        assert_eq!(stored(&outcomes[1])[0], format!("ALERTS{{{labels}}} 1 @100"));
    }

    #[test]
    fn labels_and_texts_are_expanded_and_the_value_is_known_while_nothing_fires() {
        let rules = r#"
  rules:
  - alert: Slow
    expr: latency{job="shop"} > 0.5
    for: 1m
    labels: { severity: "{{ if gt $value 2.0 }}page{{ else }}warn{{ end }}", empty: "{{ $labels.nothing }}" }
    annotations:
      summary: "{{ $labels.instance }} takes {{ $value | humanizeDuration }} of {{ with query \"limit\" }}{{ . | first | value }}{{ end }}"
      broken: "{{ query \"sum(\" }}"
"#;
        let shop = |instance, value| ("latency", [("job", "shop"), ("instance", instance)], value);
        let series = [shop("a", 0.25), shop("b", 3.0)];
        let series: Vec<Given<'_>> = series
            .iter()
            .map(|(name, labels, value)| (*name, &labels[..], *value))
            .chain([("limit", &[][..], 7.0)])
            .collect();
        let (outcomes, alerts) = evaluate(rules, &series);
        assert_eq!(outcomes[0].error, None);
        let current: Vec<(&str, f64)> =
            outcomes[0].current.iter().map(|current| (current.labels.get("instance"), current.value)).collect();
        assert_eq!((current, outcomes[0].current_total), (vec![("a", 0.25), ("b", 3.0)], 2));
        let [alert] = &alerts[0][..] else { panic!("one alert") };
        let labels: Vec<String> = alert.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(labels, ["alertname=Slow", "instance=b", "job=shop", "severity=page"]);
        assert_eq!(alert.annotations["summary"], "b takes 3s of 7");
        assert!(
            alert.annotations["broken"].starts_with("<error expanding template: query: 1:5: parse error"),
            "{alert:?}"
        );
        assert_eq!((alert.state, alert.active_at), (AlertState::Pending, at(100)));
    }

    #[test]
    fn alerts_stay_as_they_were_when_an_evaluation_fails() {
        let mut alerts = Vec::new();
        let rules = "  rules:\n  - alert: A\n    expr: a / on (x) b > 0\n";
        let one: Given<'_> = ("a", &[("x", "1")], 1.0);
        let other: Given<'_> = ("b", &[("x", "1")], 1.0);
        let twin: Given<'_> = ("b", &[("x", "1"), ("y", "2")], 1.0);
        evaluate_with(&mut alerts, rules, &[one, other], 100);
        assert_eq!(alerts[0][0].state, AlertState::Firing);
        let outcomes = evaluate_with(&mut alerts, rules, &[one, other, twin], 110);
        assert!(outcomes[0].error.is_some());
        assert_eq!(alerts[0][0].state, AlertState::Firing);
        evaluate_with(&mut alerts, rules, &[], 120);
        assert_eq!(alerts[0][0].state, AlertState::Resolved);
    }

    #[test]
    fn what_was_restored_ends_only_once_its_data_is_back_or_overdue() {
        use AlertState::{Firing, Pending, Resolved};
        // The rule's expression, the alert's state before the restart at 100; then each step: second, the value of `x`, and
        // the state and `active_at` expected after it.
        type Step = (i64, Option<f64>, Option<(AlertState, i64)>);
        let check = |expression: &str, before: AlertState, steps: &[Step]| {
            let rules = format!("  rules:\n  - {{ alert: A, expr: {expression}, for: 10m, labels: {{ i: b }} }}\n");
            let mut alerts = Vec::new();
            evaluate_with(&mut alerts, &rules, &[("x", &[("i", "a"), ("j", "1")], 9.0)], 0);
            alerts[0][0].state = before;
            alerts[0][0].restored_at = Some(at(100));
            for (second, value, expected) in steps {
                let other: Given<'_> = ("x", &[("i", "a"), ("j", "2")], 0.0);
                let own = value.map(|value| ("x", &[("i", "a"), ("j", "1")][..], value));
                let series: Vec<Given<'_>> = own.into_iter().chain([other]).collect();
                evaluate_with(&mut alerts, &rules, &series, *second);
                let found = alerts[0].first().map(|alert| (alert.state, alert.active_at));
                let expected = expected.map(|(state, active)| (state, at(active)));
                assert_eq!(found, expected, "{expression} {before:?} at {second}");
            }
        };
        check("x > 1", Firing, &[(110, None, Some((Firing, 0))), (699, None, Some((Firing, 0)))]);
        check("x > 1", Firing, &[(110, None, Some((Firing, 0))), (700, None, Some((Resolved, 0)))]);
        check("x > 1", Firing, &[(110, None, Some((Firing, 0))), (120, Some(0.5), Some((Resolved, 0)))]);
        check("x > 1", Firing, &[(110, Some(2.0), Some((Firing, 0))), (120, None, Some((Resolved, 0)))]);
        check("x > 1 and x > 2", Firing, &[(110, Some(0.5), Some((Firing, 0))), (700, Some(0.5), Some((Resolved, 0)))]);
        check("x > 1", Pending, &[(110, Some(0.5), None)]);
        // It fires when it has held for ten minutes in all, 100 before the restart.
        check("x > 1", Pending, &[(650, None, Some((Pending, 0))), (660, Some(2.0), Some((Pending, 560)))]);
        check("x > 1", Pending, &[(110, Some(2.0), Some((Pending, 10))), (610, Some(2.0), Some((Firing, 10)))]);
    }

    #[test]
    fn limits_and_twins_are_errors_that_name_the_cause() {
        let series: [Given<'_>; 2] = [("hits", &[("i", "a")], 1.0), ("hits", &[("i", "b")], 2.0)];
        let check = |rules: &str, part: &str| {
            let (outcomes, alerts) = evaluate(rules, &series);
            let error = outcomes[0].error.clone().unwrap_or_default();
            assert!(error.contains(part), "{rules}: {error:?}");
            assert_eq!((outcomes[0].samples.len(), alerts[0].len()), (0, 0));
        };
        check("  limit: 1\n  rules:\n  - { alert: A, expr: hits }\n", "2 alerts, more than the group's limit of 1");
        check("  limit: 1\n  rules:\n  - { record: r, expr: hits }\n", "2 series, more than the group's limit of 1");
        check("  rules:\n  - { record: r, expr: hits, labels: { i: x } }\n", "same labels");
        check("  rules:\n  - { alert: A, expr: hits, labels: { i: x } }\n", "same labels");
    }

    proptest! {
        /// The left side, compared by us, gives what the engine gives for the whole expression.
        #[test]
        fn comparing_here_equals_comparing_in_the_engine(
            values in proptest::collection::vec(prop_oneof![-2.0..2.0, Just(0.5), Just(f64::NAN), Just(f64::INFINITY)], 0..6),
            operator in prop_oneof![Just(">"), Just(">="), Just("<"), Just("<="), Just("=="), Just("!=")],
        ) {
            let names: Vec<String> = (0..values.len()).map(|n| n.to_string()).collect();
            let labels: Vec<[(&str, &str); 1]> = names.iter().map(|name| [("i", name.as_str())]).collect();
            let series: Vec<Given<'_>> =
                labels.iter().zip(&values).map(|(labels, value)| ("x", &labels[..], *value)).collect();
            let alert = |expr: String| {
                let (outcomes, alerts) = evaluate(&format!("  rules:\n  - {{ alert: A, expr: {expr:?} }}\n"), &series);
                let found: Vec<(String, String)> =
                    alerts[0].iter().map(|alert| (alert.labels["i"].clone(), alert.value.to_string())).collect();
                (outcomes[0].error.clone(), found)
            };
            let here = alert(format!("x {operator} 0.5"));
            let engine = alert(format!("(x {operator} 0.5) or (x {operator} 0.5)"));
            prop_assert_eq!(here, engine);
        }
    }
}
