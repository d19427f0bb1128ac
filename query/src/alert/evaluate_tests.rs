//! Rules evaluated over values of one moment.

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
        budget: Budget::Each(&Scan::unlimited),
        memory_bytes_max: u64::MAX,
        alerts_max: usize::MAX,
        interval: Duration::from_secs(60),
        external_labels: &BTreeMap::new(),
        external_url: "http://here",
    };
    evaluate_group(&group, alerts, &[], &environment, at(time))
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
    assert!(alert.annotations["broken"].starts_with("<error expanding template: query: 1:5: parse error"), "{alert:?}");
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

/// The states of a rule's alerts over time. Each step: second, the value of `x{i="a"}`, that of `y`, and the expected alerts.
type Step<'a> = (i64, Option<f64>, Option<f64>, &'a [(&'a str, AlertState)]);

fn check_no_data(rule: &str, steps: &[Step<'_>]) {
    let rules = format!("  rules:\n  - {rule}\n");
    let mut alerts = Vec::new();
    for (second, x, y, expected) in steps {
        let of_x = x.map(|value| ("x", &[("i", "a")][..], value));
        let of_y = y.map(|value| ("y", &[("i", "b")][..], value));
        let series: Vec<Given<'_>> = of_x.into_iter().chain(of_y).collect();
        let outcomes = evaluate_with(&mut alerts, &rules, &series, *second);
        assert_eq!(outcomes[0].error, None);
        let name = |alert: &Alert| alert.labels.get(REASON).or(alert.labels.get("i")).cloned().unwrap_or_default();
        let found: Vec<(String, AlertState)> = alerts[0].iter().map(|alert| (name(alert), alert.state)).collect();
        let found: Vec<(&str, AlertState)> = found.iter().map(|(name, state)| (name.as_str(), *state)).collect();
        assert_eq!(&found, expected, "{rule} at {second}");
        // What was written down goes on as if nothing had happened.
        alerts = serde_json::from_str(&serde_json::to_string(&alerts).unwrap()).unwrap();
    }
}

#[test]
fn alerts_without_data_end_or_stay_or_are_told_of_as_their_rule_says() {
    use AlertState::{Firing, Pending, Resolved};
    let compared = |no_data: &str| format!("{{ alert: A, expr: x > 1, for: 20s, no_data: {no_data} }}");
    // As in Prometheus.
    check_no_data(
        &compared("ok"),
        &[
            (0, Some(2.0), None, &[("a", Pending)]),
            (20, Some(2.0), None, &[("a", Firing)]),
            (30, None, None, &[("a", Resolved)]),
        ],
    );
    // A pending one waits, and the time without data is no time in which it held.
    check_no_data(
        &compared("keep"),
        &[
            (0, Some(2.0), None, &[("a", Pending)]),
            (10, None, None, &[("a", Pending)]),
            (1000, None, None, &[("a", Pending)]),
            (1010, Some(2.0), None, &[("a", Pending)]),
            (1019, Some(2.0), None, &[("a", Pending)]),
            (1020, Some(2.0), None, &[("a", Firing)]),
            (1030, None, None, &[("a", Firing)]),
            (9000, None, None, &[("a", Firing)]),
            (9010, Some(1.0), None, &[("a", Resolved)]),
        ],
    );
    check_no_data(
        &compared("keep"),
        &[(0, Some(2.0), None, &[("a", Pending)]), (10, None, None, &[("a", Pending)]), (20, Some(0.5), None, &[])],
    );
    check_no_data(
        &compared("alert"),
        &[
            (0, Some(0.5), None, &[]),
            (10, None, None, &[("no_data", Pending)]),
            (30, None, None, &[("no_data", Firing)]),
            (40, Some(0.5), None, &[("no_data", Resolved)]),
        ],
    );
    // Without a comparison with a number, data is missing when no selector finds a series.
    let free = "{ alert: A, expr: 'x > 1 and x < 5 or y > 5', no_data: keep }";
    check_no_data(
        free,
        &[
            (0, Some(2.0), None, &[("a", Firing)]),
            (10, None, None, &[("a", Firing)]),
            (20, None, Some(0.0), &[("a", Resolved)]),
        ],
    );
    // One series of several.
    let both = "{ alert: A, expr: '{__name__=~\"x|y\"} > 1', no_data: keep }";
    check_no_data(
        both,
        &[
            (0, Some(2.0), Some(2.0), &[("a", Firing), ("b", Firing)]),
            (10, None, Some(0.0), &[("a", Firing), ("b", Resolved)]),
            (20, Some(0.0), None, &[("a", Resolved), ("b", Resolved)]),
        ],
    );
}

#[test]
fn the_alert_about_missing_data_says_what_is_missing_and_keeps_the_rules_labels() {
    let rules = "  rules:\n  - { alert: A, expr: x > 1, no_data: alert, severity: page, runbook: https://help, labels: { i: '{{ $labels.i }}' } }\n";
    let (outcomes, alerts) = evaluate(rules, &[]);
    assert_eq!(outcomes[0].error, None);
    let [alert] = &alerts[0][..] else { panic!("one alert: {alerts:?}") };
    let labels: Vec<String> = alert.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(labels, ["alertname=A", "reason=no_data", "severity=page"]);
    assert_eq!(alert.annotations["summary"], "No data: x > 1 finds nothing that it could look at");
    assert_eq!(alert.annotations[RUNBOOK], "https://help");
}

#[test]
fn a_rule_that_explodes_keeps_its_alerts_and_names_the_setting() {
    let group = parse_rules("r.yml", "groups:\n- name: g\n  rules: [{ alert: A, expr: x }]\n").unwrap().remove(0);
    let mut alerts = vec![Vec::new()];
    let mut step = |names: &[&str], time: i64| {
        let mut source = Overlay::new(&Nothing);
        for name in names {
            source.add(Arc::new(LabelSet::new([(NAME_LABEL, "x"), ("i", name)])), at(time).unix_millis(), 1.0);
        }
        let environment = Environment {
            source: &source,
            budget: Budget::Each(&Scan::unlimited),
            memory_bytes_max: u64::MAX,
            alerts_max: 2,
            interval: Duration::from_secs(60),
            external_labels: &BTreeMap::new(),
            external_url: "",
        };
        let outcomes = evaluate_group(&group, &mut alerts, &[], &environment, at(time));
        (outcomes[0].error.clone(), alerts[0].len())
    };
    assert_eq!(step(&["a", "b"], 0), (None, 2));
    let (error, alive) = step(&["a", "b", "c"], 10);
    assert!(error.is_some_and(|error| error.contains("alerts.per_rule_max = 2")));
    assert_eq!(alive, 2);
    assert_eq!(step(&["a"], 20), (None, 2), "one of them resolved");
}

#[test]
fn alerts_ask_for_the_lines_that_their_rule_names() {
    let rules = "  rules:\n  - { alert: A, expr: x > 1, log_lines: { query: 'service:{{ $labels.i }} level:error', max: 3 } }\n";
    let (_, alerts) = evaluate(rules, &[("x", &[("i", "shop")], 2.0)]);
    let lines = alerts[0][0].log_lines.clone().unwrap();
    assert_eq!((lines.query.as_str(), lines.max), ("service:shop level:error", 3));
    assert_eq!((lines.from, lines.to), (at(100 - 300), at(100)));
}

/// A store that does not answer.
struct Broken;

impl SeriesSource for Broken {
    fn select(&self, _: &[LabelMatcher], _: i64, _: i64, _: Wanted, _: &Scan) -> Result<Vec<Series>, PromqlError> {
        Err(PromqlError::Execution("the disk does not answer".to_owned()))
    }
}

#[test]
fn nothing_ends_or_begins_while_the_store_does_not_answer_or_the_budget_is_used_up() {
    for no_data in ["ok", "keep", "alert"] {
        let rules = format!("  rules:\n  - {{ alert: A, expr: x > 1, for: 20s, no_data: {no_data} }}\n");
        let mut alerts = Vec::new();
        evaluate_with(&mut alerts, &rules, &[("x", &[("i", "a")], 2.0)], 0);
        let before = alerts.clone();
        let group = parse_rules("r.yml", &format!("groups:\n- name: g\n{rules}")).unwrap().remove(0);
        let mut source = Overlay::new(&Nothing);
        source.add(Arc::new(LabelSet::new([(NAME_LABEL, "x"), ("i", "a")])), 990_000, 2.0);
        let spent = || Scan::new(None, 0);
        let check = |source: &dyn SeriesSource, budget: Budget<'_>, part: &str| {
            let environment = Environment {
                source,
                budget,
                memory_bytes_max: u64::MAX,
                alerts_max: usize::MAX,
                interval: Duration::from_secs(60),
                external_labels: &BTreeMap::new(),
                external_url: "",
            };
            let mut now = before.clone();
            let outcomes = evaluate_group(&group, &mut now, &[], &environment, at(1_000));
            let error = outcomes[0].error.clone().unwrap_or_default();
            assert!(error.contains(part), "{no_data}: {error:?}");
            assert_eq!(now, before, "{no_data}");
        };
        check(&Broken, Budget::Each(&Scan::unlimited), "the disk does not answer");
        check(&source, Budget::Each(&spent), "query.rows_max");
    }
}
