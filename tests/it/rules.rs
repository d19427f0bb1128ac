//! Rules files on the command line: Debian's `promtool` and we judge the same files alike, rules are rehearsed over what a server
//! has stored, and the rules that come with the program watch it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::server::{Server, taffrail};

/// The one that `tests/prepare.sh` unpacked, or the one that is installed; none is told.
fn promtool() -> Option<Command> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-clients/prometheus/usr/bin/promtool");
    let program = if unpacked.exists() { unpacked } else { PathBuf::from("promtool") };
    if Command::new(&program).arg("--version").output().is_err() {
        println!("SKIPPED: promtool is not installed (Debian's package prometheus)");
        return None;
    }
    Some(Command::new(program))
}

const RULES: &str = r#"groups:
- name: example
  interval: 15s
  limit: 10
  rules:
  - record: job:requests:rate5m
    expr: sum by (job) (rate(requests_total[5m]))
    labels: { source: rule }
  - alert: ManyErrors
    expr: |
      sum by (job) (rate(requests_total{code=~"5.."}[5m])) / sum by (job) (rate(requests_total[5m])) > 0.5
    for: 5m
    keep_firing_for: 2m
    labels: { severity: page, level: '{{ if gt $value 0.8 }}high{{ else }}low{{ end }}' }
    annotations:
      summary: '{{ $labels.job | title }}: {{ $value | humanizePercentage }} of requests fail'
      rate: '{{ with query "job:requests:rate5m" }}{{ . | first | value | humanize }}{{ end }} a second'
  - alert: Down
    expr: up == 0
    annotations: { summary: '{{ $labels.instance | stripPort }} in {{ $externalLabels.region }}, {{ $externalURL }}' }
"#;

const TESTS: &str = r#"rule_files: [rules.yml]
evaluation_interval: 1m
group_eval_order: [example]
tests:
- interval: 1m
  external_labels: { region: eu }
  external_url: http://prometheus
  input_series:
  - { series: 'requests_total{job="shop", code="200"}', values: '0+60x20 1200x20' }
  - { series: 'requests_total{job="shop", code="503"}', values: '0x10 0+600x30' }
  - { series: 'up{instance="a:9100"}', values: '1 1 0 0 1 _ stale' }
  alert_rule_test:
  - { eval_time: 1m, alertname: Down }
  - eval_time: 3m30s
    alertname: Down
    exp_alerts: [ { exp_labels: { instance: 'a:9100' }, exp_annotations: { summary: 'a in eu, http://prometheus' } } ]
  - { eval_time: 4m, alertname: Down }
  - { eval_time: 10m, alertname: ManyErrors }
  - eval_time: 30m
    alertname: ManyErrors
    exp_alerts:
    - exp_labels: { job: shop, severity: page, level: high }
      exp_annotations: { summary: 'Shop: 100% of requests fail', rate: '10 a second' }
  promql_expr_test:
  - expr: job:requests:rate5m
    eval_time: 5m
    exp_samples: [ { labels: 'job:requests:rate5m{job="shop", source="rule"}', value: 1 } ]
  - { expr: absent(nothing), eval_time: 1m, exp_samples: [ { labels: '{}', value: 1 } ] }
  - { expr: 'up', eval_time: 6m }
"#;

#[test]
fn promtool_and_we_agree_on_rules_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules.yml");
    let check = |what: &str, text: &str, good: bool| {
        std::fs::write(&file, text).unwrap();
        let ours = taffrail().args(["rules", "check"]).arg(&file).output().unwrap();
        assert_eq!(ours.status.success(), good, "{what}: we say {}", told(&ours));
        let Some(mut promtool) = promtool() else { return };
        let theirs = promtool.args(["check", "rules"]).arg(&file).output().unwrap();
        assert_eq!(theirs.status.success(), good, "{what}: promtool says {}", told(&theirs));
    };
    check("a good file", RULES, true);
    check("no groups", "groups: []\n", true);
    let wrong = [
        ("an unknown key of a group", "interval: 15s", "intervals: 15s"),
        ("an unknown key of a rule", "for: 5m", "fore: 5m"),
        ("no duration", "for: 5m", "for: 5 minutes"),
        ("no PromQL", "up == 0", "up == "),
        ("an unknown function", "up == 0", "upper(up) == 0"),
        ("text where a number belongs", "up == 0", "up == \"x\""),
        ("a template that does not end", "{{ $labels.job | title }}", "{{ $labels.job | title"),
        ("an unknown template function", "| title", "| titled"),
        ("for beside record", "    labels: { source: rule }", "    for: 5m"),
        ("annotations beside record", "    labels: { source: rule }", "    annotations: { a: b }"),
        ("a bad name of a label", "source: rule", "__name__: rule"),
        ("a rule of both kinds", "- alert: Down", "- alert: Down\n    record: x"),
        ("a rule without expression", "    expr: up == 0\n", ""),
        ("a rule of no kind", "- alert: Down", "- labels: {}"),
        ("a group without name", "- name: example", "- limit: 1"),
        ("a limit that is no number", "limit: 10", "limit: ten"),
        ("broken YAML", "groups:", "groups: ["),
    ];
    for (what, from, to) in wrong {
        assert!(RULES.contains(from), "{what}");
        check(what, &RULES.replacen(from, to, 1), false);
    }
    let twice = format!("{RULES}- name: example\n  rules: []\n");
    check("two groups of one name", &twice, false);

    let json = taffrail().args(["rules", "check", "--json"]).arg(&file).output().unwrap();
    let told: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((json.status.code(), &told["problems"][0]["line"]), (Some(78), &Value::from(21)), "{told}");
}

#[test]
fn promtool_and_we_agree_on_tests_of_rules() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rules.yml"), RULES).unwrap();
    let file = directory.path().join("tests.yml");
    let check = |what: &str, text: &str, good: bool| {
        std::fs::write(&file, text).unwrap();
        let ours = taffrail().args(["rules", "test"]).arg(&file).output().unwrap();
        assert_eq!(ours.status.success(), good, "{what}: we say {}", told(&ours));
        let Some(mut promtool) = promtool() else { return };
        let theirs = promtool.args(["test", "rules"]).arg(&file).output().unwrap();
        assert_eq!(theirs.status.success(), good, "{what}: promtool says {}", told(&theirs));
    };
    check("tests that are met", TESTS, true);
    let wrong = [
        ("a label that differs", "level: high", "level: low"),
        ("an annotation that differs", "10 a second", "11 a second"),
        ("an alert that does not fire yet", "eval_time: 30m", "eval_time: 12m"),
        ("an alert that is not expected", "eval_time: 10m, alertname", "eval_time: 30m, alertname"),
        ("a value that differs", "value: 1 } ]\n  - { expr: absent", "value: 1.0001 } ]\n  - { expr: absent"),
        ("a series that is not there", "absent(nothing)", "nothing"),
        ("a rules file that is wrong", "rule_files: [rules.yml]", "rule_files: [tests.yml]"),
        ("an unknown key", "external_url:", "external_uri:"),
        ("no name of an alert", "- { eval_time: 1m, alertname: Down }", "- { eval_time: 1m }"),
        ("values that are none", "0+60x20", "0+sixty"),
        ("no PromQL", "expr: absent(nothing)", "expr: absent("),
        ("a group named twice", "[example]", "[example, example]"),
    ];
    for (what, from, to) in wrong {
        assert!(TESTS.contains(from), "{what}");
        check(what, &TESTS.replacen(from, to, 1), false);
    }
}

#[test]
fn rules_are_rehearsed_over_what_a_server_has_stored() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut lines = String::new();
    for burst in [now - 20 * 3600, now - 2 * 3600] {
        for second in 0..60 {
            let time = burst + second;
            lines.push_str(&format!(
                "{{\"time\":{time},\"service\":\"shop\",\"level\":\"error\",\"message\":\"failed\"}}\n"
            ));
        }
    }
    let (status, answer) = server.post("/api/v1/logs", lines.as_bytes());
    assert_eq!((status, &answer["accepted"]), (200, &Value::from(120)), "{answer}");
    let rules = directory.path().join("rules.yml");
    let text = "groups:\n- name: g\n  rules:\n  - alert: Errors\n    type: logs\n    window: 5m\n    \
                expr: level:error | stats count() by service | where count > 30\n    severity: page\n    \
                annotations: { summary: '{{ $labels.service }}: {{ $value }} errors' }\n";
    std::fs::write(&rules, text).unwrap();
    let url = server.url("");
    let rehearse = |more: &[&str]| {
        let server = ["--server", url.trim_end_matches('/')];
        let asked = ["rules", "replay", "--since", "1d", "--timezone", "UTC"];
        taffrail().args(asked).args(server).args(more).arg(&rules).output().unwrap()
    };
    let output = rehearse(&["--json"]);
    assert!(output.status.success(), "{}", told(&output));
    let told_json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told_json["summary"]["partial"], Value::Bool(false), "{told_json}");
    let firings = told_json["rules"][0]["firings"].as_array().unwrap();
    assert_eq!((firings.len(), &told_json["summary"]["pages"]), (2, &Value::from(2)), "{told_json}");
    assert_eq!(firings[0]["labels"]["service"], "shop");
    let message = firings[0]["message"].as_str().unwrap();
    assert!(message.starts_with("[FIRING] Errors service=shop severity=page\nshop: "), "{message}");
    let output = rehearse(&[]);
    assert!(told(&output).contains("2 firings, 2 pages in 1440 evaluations"), "{}", told(&output));

    std::fs::write(&rules, text.replace("by service", "by")).unwrap();
    let output = rehearse(&[]);
    assert_eq!(output.status.code(), Some(78), "{}", told(&output));
    assert!(told(&output).contains("rules.yml:7:"), "{}", told(&output));
}

#[test]
fn the_rules_that_come_with_the_program_watch_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = taffrail();
    command
        .env("TAFFRAIL_ALERTS_DEFAULT_RULES", "true")
        .env("TAFFRAIL_OWN_METRICS", "true")
        .args(["serve", "--no-host"]);
    let server = Server::start_command(&mut command, &directory.path().join("data"), &[]);
    let groups = || server.get("/api/v1/rules").1["data"]["groups"].as_array().cloned().unwrap_or_default();
    assert!(groups().iter().any(|group| group["name"] == "taffrail-ingest"), "{:?}", groups());
    // Its own counters are read every quarter of a minute.
    let began = Instant::now();
    let free = loop {
        if let Some((_, free)) = server.promql("taffrail_disk_free_bytes").first() {
            break *free;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "its own series are there");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(free > 0.0, "{free}");
    let printed = taffrail().args(["rules", "default"]).output().unwrap();
    let file = directory.path().join("default.yml");
    std::fs::write(&file, &printed.stdout).unwrap();
    let checked = taffrail().args(["rules", "check"]).arg(&file).output().unwrap();
    assert!(checked.status.success(), "{}", told(&checked));
}

/// Both of a command's outputs.
fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
