//! Every dialect's forms and every trap known from other servers' code, as data.

use proptest::prelude::*;

use super::*;

/// `name{k=v,…}@timestamp kind rate [values]; kind rate [values] (+n unknown)`: a metric in one line.
fn shown(line: &str) -> String {
    shown_by(line, Dialects::default())
}

fn shown_by(line: &str, dialects: Dialects) -> String {
    let metric = match parse(line, dialects) {
        Ok(metric) => metric,
        Err(malformed) => return malformed.to_string(),
    };
    let tags: Vec<String> = metric.tags().map(|(key, value)| format!("{key}={value}")).collect();
    let segments: Vec<String> = metric
        .segments()
        .map(|segment| {
            let values: Vec<&str> = segment.values().map(|text| str::from_utf8(text).unwrap()).collect();
            format!("{:?} {} {values:?}", segment.kind, segment.sample_rate)
        })
        .collect();
    let timestamp = metric.timestamp.map(|seconds| format!(" T{seconds}")).unwrap_or_default();
    let unknown = if metric.unknown_fields > 0 { format!(" +{}", metric.unknown_fields) } else { String::new() };
    match metric.name() {
        Ok(name) => format!("{name}{{{}}}{timestamp} {}{unknown}", tags.join(","), segments.join("; ")),
        Err(malformed) => malformed.to_string(),
    }
}

fn check(line: &str, expected: &str) {
    assert_eq!(shown(line), expected, "{line}");
}

#[test]
fn every_type_is_read() {
    check("a.b:1|c", r#"a.b{} Counter 1 ["1"]"#);
    check("a:1|C", r#"a{} Counter 1 ["1"]"#);
    check("a:1|m", r#"a{} Counter 1 ["1"]"#);
    check("a:-3.5|g", r#"a{} Gauge 1 ["-3.5"]"#);
    check("a:320|ms", r#"a{} Timer 1 ["320"]"#);
    check("a:1e3|h", r#"a{} Distribution 1 ["1e3"]"#);
    check("a:.5|d", r#"a{} Distribution 1 [".5"]"#);
    check("a:joe@x.org|s", r#"a{} Set 1 ["joe@x.org"]"#);
}

#[test]
fn a_name_with_its_tags_has_a_longest() {
    let of_tags = |bytes: usize| shown(&format!("name:1|c|#{}", "t".repeat(bytes)));
    assert!(of_tags(KEY_BYTES_MAX - 4).starts_with("name{t"));
    assert_eq!(of_tags(KEY_BYTES_MAX - 3), "key_too_long");
    check(&format!("{}:1|c", "n".repeat(KEY_BYTES_MAX + 1)), "key_too_long");
}

#[test]
fn an_unknown_type_is_no_counter() {
    check("a:320|kv", "unknown_type");
    check("a:320|hh", "unknown_type");
    check("a:320|", "unknown_type");
    check("a:1|c:2|zz", "unknown_type");
}

#[test]
fn sample_rates_stand_on_every_type_and_anywhere_behind_it() {
    check("a:1|c|@0.1", r#"a{} Counter 0.1 ["1"]"#);
    check("a:1|ms|@1e-3", r#"a{} Timer 0.001 ["1"]"#);
    check("a:1|h|@0.5|#k:v", r#"a{k=v} Distribution 0.5 ["1"]"#);
    check("a:1|h|#k:v|@0.5", r#"a{k=v} Distribution 0.5 ["1"]"#);
}

#[test]
fn a_bad_sample_rate_is_neither_one_nor_infinity() {
    for rate in ["0", "-1", "1.5", "", "x", "nan", "inf", "1e-300"] {
        check(&format!("a:1|c|@{rate}"), "bad_sample_rate");
    }
}

#[test]
fn values_packed_before_one_type_are_all_read() {
    check("a:1:2:3|ms|@0.5|#k:v", r#"a{k=v} Timer 0.5 ["1", "2", "3"]"#);
    check("a:1:2|c", r#"a{} Counter 1 ["1", "2"]"#);
    check("a:x:y|s", r#"a{} Set 1 ["x:y"]"#);
}

#[test]
fn a_type_may_be_repeated_with_each_value() {
    check("a:1|c:2|c|@0.1:320|ms", r#"a{} Counter 1 ["1"]; Counter 0.1 ["2"]; Timer 1 ["320"]"#);
    check("a:1|c:2|g|#k:v", r#"a{k=v} Counter 1 ["1"]; Gauge 1 ["2"]"#);
    check("a:1|c:", "missing_type");
}

#[test]
fn dogstatsd_fields_stand_in_any_order_and_never_leak_into_tags() {
    check("a:1|c|#env:prod|c:abc", r#"a{env=prod} Counter 1 ["1"]"#);
    check("a:1|c|c:ci-12,in-3|#env:prod", r#"a{env=prod} Counter 1 ["1"]"#);
    check("a:1|g|T1656581400|e:it-false,cn-x,pu-y|card:low|#b", r#"a{b=true} T1656581400 Gauge 1 ["1"]"#);
    check("a:1|c|z:future|#k:v|?", r#"a{k=v} Counter 1 ["1"] +2"#);
    check("a:1|c|", r#"a{} Counter 1 ["1"]"#);
    check("a:1|c|#a:1|#b:2", "repeated_tags");
    check("a:1|c|Tnow", "bad_timestamp");
    check("a:1|c|T-5", "bad_timestamp");
}

#[test]
fn tags_may_be_bare_empty_or_hold_colons() {
    check(
        "a:1|c|#k:v,bare,url:http://x:80/,,empty:,:lost",
        r#"a{k=v,bare=true,url=http://x:80/,empty=} Counter 1 ["1"]"#,
    );
    check("a:1|c|#", r#"a{} Counter 1 ["1"]"#);
}

#[test]
fn dogstatsd_tags_that_are_off_are_a_field_nobody_knows() {
    let dialects = Dialects { tags: [TagDialect::Graphite].into_iter().collect(), ..Dialects::default() };
    assert_eq!(shown_by("a;k=v:1|c|#l:w|@0.5", dialects), r#"a{k=v} Counter 0.5 ["1"] +1"#);
}

#[test]
fn a_value_is_implied_only_where_the_setting_says_so() {
    for line in ["a|c", "a|c|#k:v", "a|c|@0.1:2|c"] {
        check(line, "missing_value");
    }
    let check = |line, expected: &str| {
        assert_eq!(shown_by(line, Dialects { implied_value: true, ..Dialects::default() }), expected, "{line}");
    };
    check("a|c", r#"a{} Counter 1 ["1"]"#);
    check("a|C|#k:v", r#"a{k=v} Counter 1 ["1"]"#);
    check("a:2|c", r#"a{} Counter 1 ["2"]"#);
    check("a", "missing_value");
    check("|c", "empty_name");
    check("a|", "unknown_type");
}

#[test]
fn tags_inside_the_name_are_read_in_four_dialects() {
    check("a.b;k=v;l=w=x:1|c", r#"a.b{k=v,l=w=x} Counter 1 ["1"]"#);
    check("a.b,k=v,l=w:1|c", r#"a.b{k=v,l=w} Counter 1 ["1"]"#);
    check("a.b#k=v,l=w:1|c|#m:x", r#"a.b{k=v,l=w,m=x} Counter 1 ["1"]"#);
    check("a.[k=v,l=w]b:1|c|#m:x", r#"a.b{k=v,l=w,m=x} Counter 1 ["1"]"#);
    check("[k=v]:1|c", "empty_name");
    check("a,b:1|c", r#"a,b{} Counter 1 ["1"]"#);
    check("a;=v:1|c", r#"a;=v{} Counter 1 ["1"]"#);
    check(";k=v:1|c", "empty_name");
}

#[test]
fn names_stand_verbatim() {
    check("Web Shop/größe-1:1|c", r#"Web Shop/größe-1{} Counter 1 ["1"]"#);
    check("a\u{7}b:1|c", "control_character");
    check("a:1|c|#k:\tv", "control_character");
}

#[test]
fn half_a_line_is_refused_by_name() {
    check("", "missing_value");
    check("a", "missing_value");
    check(":1|c", "empty_name");
    check("a:1", "missing_type");
    check("a:|c", r#"a{} Counter 1 [""]"#);
}

#[test]
fn only_finite_numbers_of_a_sane_size_are_values() {
    let check = |text: &str, expected| assert_eq!(number(text.as_bytes()), expected, "{text}");
    check("1", Ok(1.0));
    check("+1.50", Ok(1.5));
    check("-0.0", Ok(-0.0));
    for text in ["", "nan", "inf", "-infinity", "1e400", "1e281", "0x10", "1_000", "1 ", "٣"] {
        check(text, Err(Malformed::BadValue));
    }
}

prop_compose! {
    fn tag()(key in "[a-z][a-z_.]{0,8}", value in "[a-zA-Z0-9/._-]{1,12}") -> (String, String) { (key, value) }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(line in "\\PC{0,200}") {
        let _ = shown(&line);
    }

    #[test]
    fn no_text_like_a_metric_makes_the_parser_panic(line in "[a:|#@,;=T0-9.c-gms_{}-]{0,60}") {
        let _ = shown(&line);
    }

    #[test]
    fn a_metric_reads_back_as_it_was_written(
        name in "[a-zA-Z0-9._/ -]{1,40}",
        values in prop::collection::vec(-1e12f64..1e12, 1..6),
        (kind, token) in prop::sample::select(vec![
            (MetricKind::Counter, "c"), (MetricKind::Gauge, "g"), (MetricKind::Timer, "ms"),
            (MetricKind::Distribution, "h"), (MetricKind::Distribution, "d"),
        ]),
        rate in prop::option::of(1e-6f64..=1.0),
        tags in prop::collection::vec(tag(), 0..6),
        timestamp in prop::option::of(0u32..),
        rate_first: bool,
    ) {
        let values_text: Vec<String> = values.iter().map(f64::to_string).collect();
        let tags_text: Vec<String> = tags.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        let mut fields = [
            rate.map(|rate| format!("|@{rate}")).unwrap_or_default(),
            if tags.is_empty() { String::new() } else { format!("|#{}", tags_text.join(",")) },
            timestamp.map(|seconds| format!("|T{seconds}")).unwrap_or_default(),
        ];
        if !rate_first {
            fields.reverse();
        }
        let line = format!("{name}:{}|{token}{}", values_text.join(":"), fields.concat());
        let metric = parse(&line, Dialects::default()).unwrap();
        prop_assert_eq!(&*metric.name().unwrap(), &name);
        prop_assert_eq!(metric.timestamp, timestamp.map(i64::from));
        let read: Vec<f64> = metric.first.values().map(|text| number(text).unwrap()).collect();
        prop_assert_eq!(read, values);
        prop_assert_eq!((metric.first.kind, metric.first.sample_rate), (kind, rate.unwrap_or(1.0)));
        let read: Vec<(String, String)> = metric.tags().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        prop_assert_eq!(read, tags);
    }
}
