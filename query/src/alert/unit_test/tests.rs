//! Files of tests: what passes, what fails, and what is said of it.

use super::*;

const RULES: &str = r#"
groups:
- name: g
  rules:
  - { record: "job:up:sum", expr: sum by (job) (up) }
  - alert: Down
    expr: job:up:sum == 0
    for: 2m
    labels: { severity: page }
    annotations: { summary: "{{ $labels.job }} is down on {{ $externalLabels.region }}" }
  - alert: Payments
    type: logs
    window: 1m
    expr: level:error service:pay | stats count() as n by status | where n >= 3
    annotations: { summary: "{{ $value }} errors with {{ $labels.status }}" }
  - { alert: Both, expr: 'sum(logs_count{service="pay"}) > 5 and on() job:up:sum == 0' }
"#;

const TESTS: &str = r#"
evaluation_interval: 1m
tests:
- name: shop
  external_labels: { region: eu }
  input_series:
  - { series: 'up{job="shop", instance="a"}', values: '1 1 0x10' }
  input_logs:
  - { at: 61s, every: 10s, times: 5, level: error, service: pay, message: failed, fields: { status: 502 } }
  - { at: 62s, every: 1s, times: 2, level: error, service: pay, message: failed, fields: { status: 500 } }
  alert_rule_test:
  - { eval_time: 3m, alertname: Down }
  - eval_time: 4m
    alertname: Down
    exp_alerts:
    - { exp_labels: { job: shop, severity: page }, exp_annotations: { summary: shop is down on eu } }
  - { eval_time: 1m, alertname: Payments }
  - eval_time: 2m30s
    alertname: Payments
    exp_alerts:
    - { exp_labels: { status: 502 }, exp_annotations: { summary: 5 errors with 502 } }
  - { eval_time: 3m, alertname: Payments }
  - eval_time: 2m
    alertname: Both
    exp_alerts: [ {} ]
  promql_expr_test:
  - expr: job:up:sum
    eval_time: 90s
    exp_samples: [ { labels: 'job:up:sum{job="shop"}', value: 1 } ]
  - { expr: 1 + 1, exp_samples: [ { value: 2 } ] }
  - { expr: sum(logs_count), eval_time: 3m, exp_samples: [ { labels: '{}', value: 7 } ] }
"#;

fn run(tests: &str) -> Result<Report, Vec<Problem>> {
    run_texts("t.yml", tests, &[("r.yml", RULES)])
}

#[test]
fn rules_over_metrics_and_logs_do_what_their_tests_say() {
    let report = run(TESTS).unwrap();
    assert_eq!((report.failures, report.passed), (Vec::new(), 9));
}

#[test]
fn what_is_not_as_expected_is_told_with_both_sides_and_its_place() {
    let check = |from: &str, to: &str, line: u64, parts: &[&str]| {
        assert!(TESTS.contains(from), "{from}");
        let report = run(&TESTS.replacen(from, to, 1)).unwrap();
        assert_eq!((report.failures.len(), report.passed), (1, 8), "{from}: {:?}", report.failures);
        let failure = &report.failures[0];
        assert_eq!((failure.line, failure.test.as_str()), (line, "shop"), "{failure:?}");
        for part in parts {
            assert!(failure.message.contains(part), "{from}: {}", failure.message);
        }
    };
    check("eval_time: 4m", "eval_time: 2m", 13, &["expected:\n", "severity=\"page\"", "found: none"]);
    check("5 errors with", "6 errors with", 18, &["6 errors with 502", "5 errors with 502"]);
    check("value: 2 }", "value: 3 }", 30, &["samples differ", "expected:", "found:"]);
    check("expr: 1 + 1", "expr: 1 +", 30, &["parse error"]);
}

#[test]
fn a_file_that_cannot_be_read_says_where() {
    let check = |from: &str, to: &str, line: u64, part: &str| {
        let problems = run(&TESTS.replacen(from, to, 1)).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!((problems[0].line, problems[0].message.contains(part)), (line, true), "{problems:?}");
    };
    check("eval_time: 4m", "eval_time: 4 minutes", 13, "eval_time: \"4 minutes\" is no duration");
    check("alertname: Down }", "name: Down }", 12, "unknown field");
    check("level: error,", "level: awful,", 9, "is no level");
    check("{ at: 61s,", "{", 9, "at is missing");
    check("1 1 0x10", "1 1 zero", 7, "is no value");
    check("value: 1 }", "value: one }", 29, "is no number");
}

#[test]
fn rules_files_are_found_beside_the_tests() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("r.yml"), RULES).unwrap();
    fs::write(path("t.yml"), format!("rule_files: ['r*.yml', nothing.yml]\n{TESTS}")).unwrap();
    let report = run_file(&path("t.yml")).unwrap();
    assert_eq!((report.failures, report.passed, report.remarks.len()), (Vec::new(), 9, 1));
    fs::write(path("r2.yml"), "groups: [").unwrap();
    assert!(run_file(&path("t.yml")).unwrap_err()[0].file.ends_with("r2.yml"));
    assert!(run_file(&path("none.yml")).is_err());
}

#[test]
fn a_rule_that_fails_fails_its_test() {
    let rules = "groups:\n- name: g\n  limit: 1\n  rules: [{ alert: A, expr: x }]\n";
    let tests = "tests: [{ input_series: [{ series: 'x{i=\"a\"}', values: 1 }, { series: x, values: 1 }], alert_rule_test: [{ alertname: A }] }]";
    let report = run_texts("t.yml", tests, &[("r.yml", rules)]).unwrap();
    assert_eq!(report.passed, 0);
    assert!(report.failures[0].message.contains("more than the group's limit of 1"), "{:?}", report.failures);
}
