//! Mapping files as people write them, names through them, and mistakes with their places.

use super::file::parse;
use super::*;

fn shown(mapping: &Mapping, name: &str, tags: &[(&str, &str)], kind: SampleKind) -> String {
    match mapping.identify(name, tags.iter().copied(), kind) {
        Ok(found) => match found.ttl {
            Some(ttl) => format!("{} for {ttl:?}", found.labels),
            None => found.labels.to_string(),
        },
        Err(dropped) => format!("dropped by {}", dropped.rule),
    }
}

/// Counters without tags.
fn check(yaml: &str, names: &[(&str, &str)]) {
    let mapping = parse("m.yml", yaml).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    for (name, expected) in names {
        assert_eq!(shown(&mapping, name, &[], SampleKind::Counter), *expected, "{name}");
    }
}

#[test]
fn the_exporters_own_example_gives_its_series() {
    check(
        r#"
mappings:
- match: "test.dispatcher.*.*.*"
  name: "dispatcher_events_total"
  help: "events"
  labels:
    processor: "$1"
    action: "$2"
    outcome: "$3"
    job: "test_dispatcher"
- match: "*.signup.*.*"
  name: "signup_events_total"
  observer_type: histogram
  histogram_options: {buckets: [0.01, 0.1]}
  labels:
    provider: "$2"
    outcome: "$3"
    job: "${1}_server"
"#,
        &[
            (
                "test.dispatcher.FooProcessor.send.success",
                r#"dispatcher_events_total{action="send", job="test_dispatcher", outcome="success", processor="FooProcessor"}"#,
            ),
            (
                "foo_product.signup.facebook.failure",
                r#"signup_events_total{job="foo_product_server", outcome="failure", provider="facebook"}"#,
            ),
            ("test.web-server.foo.bar", r#"{"test.web-server.foo.bar"}"#),
        ],
    );
}

#[test]
fn globs_go_first_in_their_order_and_regular_expressions_after_them() {
    check(
        r"
mappings:
- {match: '^a\.(b|c)\.(?<rest>.*)$', match_type: regex, name: $rest, labels: {of: $1}}
- {match: a.b.*, name: first, labels: {x: $1}}
- {match: a.*.*, name: second, labels: {x: '$1/$2'}}
- {match: '.', match_type: regex, action: drop}
",
        &[
            ("a.b.c", r#"first{x="c"}"#),
            ("a.x.c", r#"second{x="x/c"}"#),
            ("a.b.c.d", r#"{"c.d", of="b"}"#),
            ("anything", "dropped by ."),
            ("", ""),
        ][..4],
    );
}

#[test]
fn rules_may_be_for_one_kind() {
    let yaml = "
mappings:
- {match: a.*, match_metric_type: gauge, name: gauge}
- {match: a.*, match_metric_type: observer, name: timer}
- {match: '^a', match_type: regex, match_metric_type: counter, name: counter}
";
    let mapping = parse("m.yml", yaml).unwrap();
    let check = |kind, expected| assert_eq!(shown(&mapping, "a.b", &[], kind), expected);
    check(SampleKind::Gauge, "gauge");
    check(SampleKind::Distribution, "timer");
    check(SampleKind::Counter, "counter");
    check(SampleKind::Set, r#"{"a.b"}"#);
}

#[test]
fn a_label_of_a_rule_stands_before_a_tag_unless_tags_are_honoured() {
    let yaml = "
mappings:
- {match: a.*, name: m, labels: {x: $1, y: ''}}
- {match: b.*, name: m, labels: {x: $1}, honor_labels: true}
";
    let mapping = parse("m.yml", yaml).unwrap();
    let check = |name, expected| {
        assert_eq!(shown(&mapping, name, &[("x", "tag"), ("z", "tag")], SampleKind::Counter), expected);
    };
    check("a.rule", r#"m{x="rule", z="tag"}"#);
    check("b.rule", r#"m{x="tag", z="tag"}"#);
    check("c", r#"c{x="tag", z="tag"}"#);
}

#[test]
fn a_ttl_is_the_rules_or_the_default_one_or_none() {
    check(
        "
defaults: {ttl: 1m20s}
mappings:
- {match: a, name: a}
- {match: b, name: b, ttl: 5s}
- {match: c, name: c, ttl: 0}
",
        &[("a", "a for 80s"), ("b", "b for 5s"), ("c", "c"), ("d", "d")],
    );
}

#[test]
fn defaults_choose_the_match_type_and_the_order() {
    check("defaults: {match_type: regex}\nmappings:\n- {match: 'a+', name: x}\n", &[("baa", "x")]);
    let rules = "mappings:\n- {match: a.*, name: any}\n- {match: a.b, name: exact}\n";
    check(rules, &[("a.b", "any")]);
    check(&format!("defaults: {{glob_disable_ordering: true}}\n{rules}"), &[("a.b", "exact")]);
}

#[test]
fn a_file_without_rules_changes_nothing() {
    for yaml in ["", "mappings:\n", "mappings: []\n", "defaults: {ttl: 0}\n", "# nothing\n"] {
        check(yaml, &[("a.b", r#"{"a.b"}"#)]);
    }
}

#[test]
fn mistakes_have_their_place() {
    let check = |yaml: &str, expected: &[&str]| {
        let mistakes = parse("m.yml", yaml).map(|mapping| mapping.len()).unwrap_err().to_string();
        assert_eq!(mistakes.lines().collect::<Vec<_>>(), expected, "{yaml}");
    };
    check("mappings:\n- name: a\n", &["m.yml:2:3: a mapping needs `match`"]);
    check("mappings:\n- match: a\n", &["m.yml:2:3: a mapping needs `name`, unless its action is `drop`"]);
    check(
        "mappings:\n- match: a*.b\n  name: x\n- match: (\n  match_type: regex\n  name: y\n",
        &[
            "m.yml:2:10: `a*.b`: in a glob, `*` stands for one whole part between dots, and no part is empty; match_type: regex can do more",
            "m.yml:4:10: `(` is no regular expression: unclosed group",
        ],
    );
    check("mappings:\n- match: a.*\n  name: ${2}_x\n", &["m.yml:3:9: `$2` names no capture: the pattern has 1"]);
    check(
        "mappings:\n- match: a.*\n  name: x\n  labels:\n    ok: y\n    l: $1_x\n    __name__: z\n",
        &["m.yml:7:15: `__name__` cannot be the name of a label", "m.yml:6:8: `$1_x` names no capture; write `${1}_x`"],
    );
    check(
        "mappings:\n- match: a\n  name: x\n  match_type: prefix\n",
        &["m.yml:4:15: match_type is `glob` or `regex`, not `prefix`"],
    );
    check("mappings:\n- match: a\n  name: x\n  action: keep\n", &["m.yml:4:11: action is `map` or `drop`, not `keep`"]);
    check(
        "mappings:\n- match: a\n  name: x\n  match_metric_type: meter\n  ttl: soon\n",
        &[
            "m.yml:4:22: match_metric_type is `counter`, `gauge`, `observer` or `set`, not `meter`",
            "m.yml:5:8: `soon` is not a span of time like 1m20s",
        ],
    );
    let advice = "`scale` is not supported: values are stored as they were sent; multiply them in the question";
    check("mappings:\n- match: a\n  name: x\n  scale: 0.001\n", &[&format!("m.yml:4:10: {advice}")]);
}

#[test]
fn what_is_no_such_yaml_is_refused_where_it_stands() {
    let check = |yaml: &str, place: &str, part: &str| {
        let mistakes = parse("m.yml", yaml).map(|mapping| mapping.len()).unwrap_err().to_string();
        assert!(mistakes.starts_with(place) && mistakes.contains(part), "{mistakes}");
    };
    check("mappings:\n- match: a\n  nam: x\n", "m.yml:3:3: ", "nam");
    check("mappings: 5\n", "m.yml:1:11: ", "sequence");
    check("mappings:\n- match: [a\n", "m.yml:", "");
    check("mapping:\n- match: a\n", "m.yml:1:1: ", "mapping");
}
