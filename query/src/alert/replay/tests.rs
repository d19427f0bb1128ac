//! Rehearsals against evaluations one by one, which is what a server does.

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::alert::evaluate::evaluate_group;
use crate::alert::rule::parse_rules;
use crate::promql::promqltest::memory::MemorySource;
use crate::promql::promqltest::notation::loaded_series;

const MINUTE: i64 = 60;

/// Series whose values lie a minute apart from second 0 on.
fn source(lines: &[&str]) -> MemorySource {
    let mut source = MemorySource::default();
    source.load(0, MINUTE * 1000, lines.iter().map(|line| loaded_series(line).unwrap()).collect());
    source
}

fn rehearsal<'a>(source: &'a MemorySource, scan: &'a Scan, none: &'a BTreeMap<String, String>) -> Rehearsal<'a> {
    Rehearsal {
        source,
        scan,
        memory_bytes_max: 1 << 20,
        alerts_max: 100,
        interval: Duration::from_secs(60),
        external_labels: none,
        external_url: "http://here",
        from: Timestamp::EPOCH,
        to: Timestamp::from_unix_seconds(60 * MINUTE),
    }
}

fn groups(rules: &str) -> Vec<Group> {
    parse_rules("r.yml", &format!("groups:\n- name: g\n  rules:\n{rules}")).unwrap()
}

fn run(rules: &str, lines: &[&str]) -> Replayed {
    let (source, scan, none) = (source(lines), Scan::unlimited(), BTreeMap::new());
    replay(&groups(rules), &rehearsal(&source, &scan, &none), &mut |_| {}).unwrap()
}

/// Labels, the minute of the beginning, and how many minutes it lasted.
fn firings(rule: &RuleReplay) -> Vec<(String, i64, Option<i64>)> {
    let minute = |time: Timestamp| time.unix_millis() / 60_000;
    let one = |firing: &Firing| {
        let name = firing.labels.get("i").cloned().unwrap_or_default();
        (name, minute(firing.start), firing.end.map(|end| minute(end) - minute(firing.start)))
    };
    rule.firings.iter().map(one).collect()
}

#[test]
fn every_firing_is_found_with_its_texts_value_and_end() {
    let rules = r#"
  - record: y
    expr: x * 2
  - alert: High
    expr: y > 10
    for: 2m
    labels: { severity: page }
    annotations: { summary: "{{ $labels.i }} is {{ $value }}" }
    log_lines: { query: "host:{{ $labels.i }}" }
  - alert: Recorded
    expr: ALERTS{alertname="High", alertstate="firing"} == 1
"#;
    let replayed = run(rules, &["x{i=\"a\"} 1x9 6 7 8 9x6 1x40", "x{i=\"b\"} 1x20 6 1x38", "x{i=\"c\"} 1x50 7x20"]);
    assert_eq!((replayed.partial.as_deref(), replayed.evaluations), (None, 60));
    let [record, high, recorded] = &replayed.rules[..] else { panic!("three rules") };
    assert_eq!((record.records, record.firing_total), (true, 0));
    assert_eq!(firings(high), [("a".to_owned(), 12, Some(8)), ("c".to_owned(), 53, None)]);
    assert_eq!(high.pending_only, 1, "b only for a moment");
    let first = &high.firings[0];
    assert_eq!((first.value, first.worst), (16.0, 18.0));
    assert_eq!(first.active_at.unix_millis() / 60_000, 10);
    assert_eq!(first.annotations["summary"], "a is 16");
    assert_eq!(first.log_lines.as_ref().map(|lines| lines.query.as_str()), Some("host:a"));
    // What the rule before it gives is seen at once.
    assert_eq!(firings(recorded), firings(high));
}

#[test]
fn what_stops_a_rehearsal_is_said_and_what_was_found_is_kept() {
    let source = source(&["x{i=\"a\"} 1x60"]);
    let rules = groups("  - { alert: A, expr: x > 0 }\n  - { record: y, expr: x }\n");
    let none = BTreeMap::new();
    let check = |scan: &Scan, memory: u64, part: &str| {
        let asked = Rehearsal { memory_bytes_max: memory, ..rehearsal(&source, scan, &none) };
        let partial = replay(&rules, &asked, &mut |_| {}).unwrap().partial.unwrap_or_default();
        assert!(partial.contains(part), "{partial}");
    };
    check(&Scan::new(None, 5), 1 << 20, "query.rows_max");
    check(&Scan::new(Some(Duration::ZERO), u64::MAX), 1 << 20, "query.export_time_max");
    check(&Scan::unlimited(), 100, "query.memory_bytes_max");
    let cancelled = Scan::unlimited();
    cancelled.cancel();
    check(&cancelled, 1 << 20, "cancelled");
    let scan = Scan::unlimited();
    let backwards = Rehearsal { to: Timestamp::EPOCH, ..rehearsal(&source, &scan, &none) };
    assert!(replay(&rules, &backwards, &mut |_| {}).is_err());
    let long = Rehearsal { interval: Duration::from_millis(1), ..rehearsal(&source, &scan, &none) };
    assert!(replay(&rules, &long, &mut |_| {}).unwrap_err().contains("longer interval"));
}

#[test]
fn a_rule_that_fails_says_so_and_the_others_go_on() {
    let rules = "  - { alert: A, expr: x / on (j) x > 0 }\n  - { alert: B, expr: x > 0 }\n";
    let replayed = run(rules, &["x{i=\"a\"} 1x60", "x{i=\"b\"} _x30 1x30"]);
    let [failing, other] = &replayed.rules[..] else { panic!("two rules") };
    assert!(failing.failed > 20 && failing.error.is_some(), "{failing:?}");
    assert_eq!(failing.firing_total, 1, "until there were two");
    assert_eq!(other.firing_total, 2);
}

#[test]
fn progress_is_told_up_to_the_end() {
    let source = source(&["x 1x60"]);
    let (scan, none) = (Scan::unlimited(), BTreeMap::new());
    let asked = Rehearsal { to: Timestamp::from_unix_seconds(1_200 * MINUTE), ..rehearsal(&source, &scan, &none) };
    let told = Mutex::new(Vec::new());
    replay(&groups("  - { alert: A, expr: x > 0 }\n"), &asked, &mut |progress| told.lock().push(progress.done))
        .unwrap();
    let told = told.into_inner();
    assert!(told.len() == 3 && told.is_sorted(), "{told:?}");
    assert_eq!(told.last(), Some(&1.0));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    /// Chunks of steps asked at once give what single evaluations give.
    #[test]
    fn a_rehearsal_equals_evaluations_one_by_one(
        values in proptest::collection::vec(prop_oneof![Just("0"), Just("1"), Just("3"), Just("_"), Just("stale")], 60),
        hold in 0..4u32,
        keep in 0..3u32,
        no_data in prop_oneof![Just("ok"), Just("keep"), Just("alert")],
    ) {
        let rules = format!(
            "  - {{ record: y, expr: x + 1 }}\n  - {{ alert: A, expr: y > 2, for: {hold}m, keep_firing_for: {keep}m, no_data: {no_data} }}\n"
        );
        let lines = [format!("x{{i=\"a\"}} {}", values.join(" ")), "x{i=\"b\"} 3x5 0x5 _x20 3x5".to_owned()];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let replayed = run(&rules, &lines);

        let group = groups(&rules).remove(0);
        let (mut source, none) = (source(&lines), BTreeMap::new());
        let mut alerts = vec![Vec::new(); 2];
        let mut expected: Vec<(Labels, Timestamp, Option<Timestamp>)> = Vec::new();
        let mut time = next_due(&group, Duration::from_secs(60), Timestamp::EPOCH);
        let mut given: Vec<HashSet<Arc<LabelSet>>> = vec![HashSet::new(); 2];
        while time < Timestamp::from_unix_seconds(60 * MINUTE) {
            let outcomes = {
                let environment = Environment {
                    source: &source,
                    budget: Budget::Each(&Scan::unlimited),
                    memory_bytes_max: 1 << 20,
                    alerts_max: 100,
                    interval: Duration::from_secs(60),
                    external_labels: &none,
                    external_url: "http://here",
                };
                evaluate_group(&group, &mut alerts, &given, &environment, time)
            };
            for (outcome, given) in outcomes.iter().zip(&mut given) {
                let mut now = HashSet::new();
                for sample in &outcome.samples {
                    if let SampleValue::Gauge { last, .. } = sample.value {
                        source.add(sample.labels.clone(), time.unix_millis(), last);
                        now.insert(sample.labels.clone());
                    }
                }
                for gone in given.difference(&now) {
                    source.add(gone.clone(), time.unix_millis(), STALE);
                }
                *given = now;
            }
            for transition in &outcomes[1].transitions {
                match transition.to {
                    Some(AlertState::Firing) => expected.push((transition.labels.clone(), time, None)),
                    Some(AlertState::Resolved) => {
                        let open = expected.iter_mut().rev().find(|(labels, _, _)| *labels == transition.labels);
                        open.expect("it fired").2 = Some(time);
                    }
                    _ => {}
                }
            }
            time = time.saturating_add(Duration::from_secs(60));
        }
        let found: Vec<_> =
            replayed.rules[1].firings.iter().map(|firing| (firing.labels.clone(), firing.start, firing.end)).collect();
        prop_assert_eq!(found, expected);
    }
}
