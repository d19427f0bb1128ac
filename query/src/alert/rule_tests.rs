//! What a rules file may say, and what is said of one that is wrong.

use super::*;

#[test]
fn durations_are_prometheus_durations() {
    let check =
        |text, expected: Option<u64>| assert_eq!(parse_duration(text).ok(), expected.map(Duration::from_millis));
    check("5m", Some(300_000));
    check("1h30m", Some(5_400_000));
    check("1d12h", Some(129_600_000));
    check("1y2w3d4h5m6s7ms", Some(33_019_506_007));
    check("0s", Some(0));
    check("0", Some(0));
    for text in ["", "5", "m", "5m1h", "1.5h", "-5m", "5 m", "5min", "5m5m", "99999999999999999999s"] {
        check(text, None);
    }
}

#[test]
fn a_full_rules_file_is_read_as_prometheus_reads_it() {
    let text = r#"
# what everybody copies from the documentation
groups:
  - name: example
    interval: 15s
    limit: 10
    query_offset: 5s
    labels: { team: shop, tier: 1 }
    rules:
      - record: job:http_inprogress_requests:sum
        expr: sum by (job) (http_inprogress_requests)
        labels:
          version: 1.10
      - alert: HighRequestLatency
        expr: |
          job:request_latency_seconds:mean5m{job="myjob"} > 0.5
        for: 10m
        keep_firing_for: 5m
        labels:
          severity: page
          tier: '2'
        annotations:
          summary: High request latency on {{ $labels.instance }}
          description: "{{ $value | humanize }} seconds"
  - name: empty
    rules: []
"#;
    let groups = parse_rules("r.yml", text).unwrap();
    assert_eq!(groups.len(), 2);
    let group = &groups[0];
    assert_eq!((group.interval, group.limit, group.query_offset.as_secs()), (Some(Duration::from_secs(15)), 10, 5));
    let [record, alert] = &group.rules[..] else { panic!("two rules") };
    let labels = |rule: &Rule| rule.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    assert_eq!(record.action, Action::Record);
    assert_eq!(labels(record), ["team=shop", "tier=1", "version=1.10"]);
    assert_eq!(labels(alert), ["severity=page", "team=shop", "tier=2"]);
    let Action::Alert { hold, keep_firing, annotations } = &alert.action else { panic!("an alert") };
    assert_eq!((hold.as_secs(), keep_firing.as_secs(), annotations.len()), (600, 300, 2));
    assert_eq!(alert.line, 14);
    assert_eq!(alert.comparison.as_ref().map(|comparison| comparison.threshold), Some(0.5));
}

#[test]
fn every_problem_is_listed_with_its_place() {
    let text = r#"groups:
- name: a
  intervall: 1m
  rules:
  - alert: A
    exprs: up
    expr: up ==
    for: 5 minutes
    labels: { __name__: x }
    annotations: { summary: "{{ if }}" }
  - record: b{c="d"}
    expr: up
    for: 5m
    annotations: { x: y }
  - expr: up
- name: a
  limit: many
  rules:
  - { alert: A, record: b, expr: up }
  - alert: ""
group: []
"#;
    let problems = parse_rules("r.yml", text).unwrap_err();
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        ("r.yml:3:3: ", "did you mean interval?"),
        ("r.yml:6:5: ", "did you mean expr?"),
        ("r.yml:7:11: ", "expr: 1:6: parse error: unexpected end of input"),
        ("r.yml:8:10: ", "for: \"5 minutes\" is no duration"),
        ("r.yml:9:15: ", "cannot be the name of a label"),
        ("r.yml:10:29: ", "annotation summary: "),
        ("r.yml:11:13: ", "bare name"),
        ("r.yml:13:10: ", "for belongs to alerts"),
        ("r.yml:14:20: ", "annotations belong to alerts"),
        ("r.yml:15:5: ", "neither alert"),
        ("r.yml:16:9: ", "another group named \"a\""),
        ("r.yml:17:10: ", "no whole number"),
        ("r.yml:19:14: ", "not both"),
        ("r.yml:20:5: ", "no expr"),
        ("r.yml:20:12: ", "name is empty"),
        ("r.yml:21:1: ", "did you mean groups?"),
    ];
    for (found, (place, part)) in found.iter().zip(expected) {
        assert!(found.starts_with(place) && found.contains(part), "{found}\n  expected {place} {part}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn what_is_no_rules_file_says_where() {
    let check = |text: &str, line: u64, part: &str| {
        let problems = parse_rules("r.yml", text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].line, line, "{problems:?}");
        assert!(problems[0].message.contains(part), "{problems:?}");
    };
    check("groups: 5", 1, "a list");
    check("groups:\n- name: [a]\n", 2, "");
    check("groups:\n- name: a\n  rules:\n  - [1]\n", 4, "names and their values");
    check("groups:\n- name: a\n  name: b\n", 3, "duplicate");
    check("groups: [", 1, "");
    check("- a", 1, "names and their values");
    assert_eq!(parse_rules("r.yml", ""), Ok(Vec::new()));
    assert_eq!(parse_rules("r.yml", "groups:\n"), Ok(Vec::new()));
}

#[test]
fn what_goes_beyond_prometheus_is_read_and_files_without_it_are_as_they_were() {
    let text = r#"
groups:
- name: g
  type: logs
  no_data: keep
  labels: { severity: warn }
  rules:
  - alert: Errors
    expr: level:error service:shop
    window: 5m
    severity: page
    runbook: "https://runbooks/{{ $labels.service }}"
    log_lines: { query: 'level:error service:{{ $labels.service }}', max: 5 }
  - alert: Down
    type: promql
    no_data: alert
    expr: up == 0
    log_lines: { query: level:fatal }
  - record: errors:count
    expr: level:error | stats count() by service
"#;
    let groups = parse_rules("r.yml", text).unwrap();
    let [errors, down, record] = &groups[0].rules[..] else { panic!("three rules") };
    let logs = errors.logs.as_ref().unwrap();
    assert_eq!((logs.window, logs.is_count), (Some(Duration::from_secs(300)), true));
    assert_eq!((errors.no_data, errors.labels["severity"].to_string().as_str()), (NoData::Keep, "page"));
    let Action::Alert { annotations, .. } = &errors.action else { panic!("an alert") };
    assert_eq!(annotations[RUNBOOK].to_string(), "https://runbooks/{{ $labels.service }}");
    assert_eq!(errors.log_lines.as_ref().map(|lines| lines.max), Some(5));
    assert_eq!((&down.logs, down.no_data), (&None, NoData::Alert));
    assert_eq!(
        down.log_lines.as_ref().map(|lines| (lines.query.to_string(), lines.max)),
        Some(("level:fatal".into(), 10))
    );
    assert_eq!(down.labels["severity"].to_string(), "warn");
    assert!(record.logs.is_some() && record.log_lines.is_none());
}

#[test]
fn what_is_wrong_beyond_prometheus_is_said_with_its_place() {
    let text = r#"groups:
- name: g
  type: log
  rules:
  - { alert: A, expr: up, window: 5m }
  - { alert: B, expr: up, no_data: nodata }
  - { alert: C, expr: up, severity: page, labels: { severity: page } }
  - { alert: D, expr: up, log_lines: { max: 5 } }
  - { alert: E, expr: up, log_lines: { query: "level:", max: 0, min: 1 } }
  - { alert: F, expr: "a | stats count() by time:5m", type: logs }
  - { record: r, expr: up, no_data: keep, log_lines: { query: a }, severity: s, runbook: r }
  - { alert: G, expr: a, type: logs, window: 0s }
  - { alert: H, type: logs }
"#;
    let problems = parse_rules("r.yml", text).unwrap_err();
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        ("r.yml:3:9: ", "is none of promql, prometheus, logs"),
        ("r.yml:5:35: ", "belongs to rules with type: logs"),
        ("r.yml:6:36: ", "is none of ok, keep, alert"),
        ("r.yml:7:37: ", "short for labels: severity"),
        ("r.yml:8:38: ", "has no query"),
        ("r.yml:9:47: ", "log_lines: query: "),
        ("r.yml:9:62: ", "from 1 to 100"),
        ("r.yml:9:65: ", "did you mean max?"),
        ("r.yml:10:23: ", "leave `time` out"),
        ("r.yml:11:37: ", "no_data belongs to alerts"),
        ("r.yml:11:54: ", "log_lines belongs to alerts"),
        ("r.yml:11:78: ", "severity belongs to alerts"),
        ("r.yml:11:90: ", "runbook belongs to alerts"),
        ("r.yml:12:46: ", "longer than nothing"),
        ("r.yml:13:5: ", "the search to evaluate"),
    ];
    for (found, (place, part)) in found.iter().zip(expected) {
        assert!(found.starts_with(place) && found.contains(part), "{found}\n  expected {place} {part}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}
