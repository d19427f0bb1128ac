//! Windows against what a sender meant, and against a plain model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::model::Exemplar;
use crate::source::statsd::line::parse;

const START: i64 = 1_000_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(START + seconds)
}

fn settings() -> Settings {
    Settings {
        interval: Duration::from_secs(10),
        signed_is_delta: true,
        dialects: Dialects::default(),
        series_max: 100,
        gauge_ttl: Duration::from_secs(60),
        host: "h".into(),
    }
}

struct Bench {
    aggregator: Aggregator,
    added: Added,
    malformed: Vec<&'static str>,
}

impl Bench {
    fn new(settings: Settings) -> Bench {
        Bench { aggregator: Aggregator::new(settings, at(0)), added: Added::default(), malformed: Vec::new() }
    }

    /// Lines that arrive at this second.
    fn send(&mut self, seconds: i64, lines: &str) {
        self.aggregator.roll(at(seconds));
        let mut tags = Vec::new();
        for line in lines.split(' ') {
            match parse(line, Dialects::default())
                .and_then(|metric| self.aggregator.add(&metric, at(seconds), "h", &mut tags))
            {
                Ok(added) => {
                    self.added.taken.values += added.taken.values;
                    self.added.taken.bad_values += added.taken.bad_values;
                    self.added.beyond_limit += added.beyond_limit;
                    self.added.unreadable_trace |= added.unreadable_trace;
                }
                Err(malformed) => self.malformed.push(malformed.reason()),
            }
        }
    }

    /// Everything that ended, one line a sample, sorted.
    fn ended(&mut self) -> Vec<String> {
        let mut shown: Vec<String> = self.aggregator.take_ended().iter().map(shown).collect();
        shown.sort();
        shown
    }
}

fn shown(sample: &Sample) -> String {
    let value = match &sample.value {
        SampleValue::Counter { sum } => format!("{sum}"),
        SampleValue::Gauge { last, min, max } => format!("{last} {min}..{max}"),
        SampleValue::Distribution(d) => format!("{} {} {}..{}", d.count, d.sum, d.min, d.max),
        SampleValue::Set(set) => format!("{}", set.count()),
        SampleValue::Cumulative { total } => format!("{total}"),
    };
    let seconds = sample.timestamp.unix_nanos() / 1_000_000_000 - START;
    format!("{} @{seconds}+{} {value}{}", sample.labels, sample.interval_ms / 1000, sample.unit)
}

fn check(sent: &[(i64, &str)], expected: &[&str]) {
    let mut bench = Bench::new(settings());
    for (seconds, lines) in sent {
        bench.send(*seconds, lines);
    }
    bench.aggregator.end_window();
    assert_eq!(bench.ended(), expected, "{sent:?}");
}

#[test]
fn each_type_gathers_what_it_should() {
    check(&[(1, "a:1|c a:2:3|c a:1|c|@0.1")], &[r#"a{host="h"} @0+10 16"#]);
    check(&[(1, "a:5|g a:2|g a:3|g")], &[r#"a{host="h"} @0+10 3 2..5"#]);
    check(&[(1, "a:10|ms a:20:30|ms|@0.5")], &[r#"a{host="h"} @0+10 5 110 10..30ms"#]);
    check(&[(1, "a:10|h a:20|d")], &[r#"a{host="h"} @0+10 2 30 10..20"#]);
    check(&[(1, "a:x|s a:y|s a:x|s|@0.1")], &[r#"a{host="h"} @0+10 2"#]);
}

#[test]
fn one_name_of_several_types_is_several_series() {
    check(
        &[(1, "a:1|c:7|g:320|ms|@0.5")],
        &[r#"a{host="h"} @0+10 1"#, r#"a{host="h"} @0+10 2 640 320..320ms"#, r#"a{host="h"} @0+10 7 7..7"#],
    );
}

#[test]
fn tags_identify_a_series_in_any_order_and_dialect() {
    check(
        &[(1, "a:1|c|#x:1,b a,b=true,x=1:1|c a;x=1:1|c|#b a:1|c|#b,x:0,x:1")],
        &[r#"a{b="true", host="h", x="1"} @0+10 4"#],
    );
    check(&[(1, "a:1|c|#x: a:1|c")], &[r#"a{host="h"} @0+10 2"#]);
    check(&[(1, "a:1|c|#ab:c a:1|c|#a:bc")], &[r#"a{a="bc", host="h"} @0+10 1"#, r#"a{ab="c", host="h"} @0+10 1"#]);
}

#[test]
fn the_collecting_host_is_a_label_unless_a_tag_says_otherwise() {
    check(
        &[(1, "a:1|c|#host:x a:1|c|#host: a:1|c a:1|c|#host:h")],
        &["a @0+10 1", r#"a{host="h"} @0+10 2"#, r#"a{host="x"} @0+10 1"#],
    );
}

#[test]
fn windows_lie_on_the_wall_clock_and_silent_series_are_not_written() {
    check(
        &[(1, "a:1|c"), (9, "a:1|c"), (10, "a:4|c"), (35, "b:1|c")],
        &[r#"a{host="h"} @0+10 2"#, r#"a{host="h"} @10+10 4"#, r#"b{host="h"} @30+10 1"#],
    );
}

#[test]
fn a_clock_that_leaps_back_costs_nothing() {
    check(&[(5, "a:1|c"), (-5, "a:1|c"), (-25, "a:1|c")], &[r#"a{host="h"} @-30+10 1"#, r#"a{host="h"} @0+10 2"#]);
}

#[test]
fn a_signed_gauge_changes_the_level_over_windows_until_it_is_forgotten() {
    check(
        &[(1, "g:10|g g:-3|g"), (11, "g:+1|g"), (45, "g:+1|g")],
        &[r#"g{host="h"} @0+10 7 7..10"#, r#"g{host="h"} @10+10 8 8..8"#, r#"g{host="h"} @40+10 9 9..9"#],
    );
    let mut sent = vec![(1, "g:10|g")];
    sent.extend((1..=7).map(|window| (window * 10, "tick:1|c")));
    sent.push((80, "g:+1|g"));
    let mut bench = Bench::new(settings());
    sent.iter().for_each(|(seconds, lines)| bench.send(*seconds, lines));
    bench.aggregator.end_window();
    assert!(bench.ended().contains(&r#"g{host="h"} @80+10 1 1..1"#.to_owned()));
}

#[test]
fn a_signed_gauge_sets_the_level_where_the_setting_says_so() {
    let mut bench = Bench::new(Settings { signed_is_delta: false, ..settings() });
    bench.send(1, "g:10|g g:-3|g");
    bench.aggregator.end_window();
    assert_eq!(bench.ended(), [r#"g{host="h"} @0+10 -3 -3..10"#]);
}

#[test]
fn a_timestamp_puts_a_value_into_its_own_window() {
    let stamped = |rest: &str, seconds: i64| format!("{rest}|T{}", START + seconds);
    let lines = [stamped("a:1|c", -95), stamped("a:2|c|@0.5", -91), stamped("a:4|c", 3), "a:8|c".to_owned()];
    check(&[(5, &lines.join(" "))], &[r#"a{host="h"} @-100+10 3"#, r#"a{host="h"} @0+10 12"#]);
    check(&[(5, &stamped("g:-7|g", -91))], &[r#"g{host="h"} @-100+10 -7 -7..-7"#]);
    let mut bench = Bench::new(settings());
    bench.send(5, &stamped("a:1|c", 3_600));
    assert_eq!(bench.malformed, ["future_timestamp"]);
}

#[test]
fn a_bad_value_costs_neither_its_neighbours_nor_makes_a_series() {
    let mut bench = Bench::new(settings());
    bench.send(1, "a:1:nan:3|ms b:x|c a:1|c|#__name__:b");
    bench.aggregator.end_window();
    assert_eq!(bench.ended(), [r#"a{host="h"} @0+10 2 4 1..3ms"#]);
    assert_eq!(bench.added.taken, Taken { values: 2, bad_values: 2 });
    assert_eq!(bench.malformed, ["reserved_tag"]);
}

#[test]
fn beyond_the_limit_of_series_values_are_counted_by_type() {
    let mut bench = Bench::new(Settings { series_max: 2, ..settings() });
    bench.send(1, "a:1|c b:1|c c:1:2|c d:1|g a:1|c e:1:2|s");
    assert_eq!(bench.added.beyond_limit, 4);
    bench.send(11, "a:1|c");
    assert_eq!(
        bench.ended(),
        [
            r#"a{host="h"} @0+10 2"#,
            r#"b{host="h"} @0+10 1"#,
            r#"{"taffrail.statsd.overflow", host="h", type="counter"} @0+10 2"#,
            r#"{"taffrail.statsd.overflow", host="h", type="gauge"} @0+10 1"#,
            r#"{"taffrail.statsd.overflow", host="h", type="set"} @0+10 1"#,
        ]
    );
    bench.send(21, "c:1|c"); // b was silent, and makes room
    bench.aggregator.end_window();
    assert!(bench.ended().contains(&r#"c{host="h"} @20+10 1"#.to_owned()));
}

#[test]
fn a_spelling_that_is_known_finds_its_series_and_forgets_it_with_the_series() {
    let mut bench = Bench::new(Settings { series_max: 1, ..settings() });
    bench.send(1, "a:1|c|#x:1,b a:2|c|#b,x:1 a:4|c|#x:1,b");
    bench.send(12, "c:1|c");
    assert_eq!(bench.ended(), [r#"a{b="true", host="h", x="1"} @0+10 7"#]);
    bench.send(21, "a:8|c|#x:1,b"); // the silent series made room
    bench.aggregator.end_window();
    assert!(bench.ended().contains(&r#"a{b="true", host="h", x="1"} @20+10 8"#.to_owned()));
    let mut bench = Bench::new(settings());
    for spelling in 0..1_000 {
        bench.send(1, &format!("a:1|c|#x:{spelling},x:1"));
    }
    bench.aggregator.end_window();
    assert_eq!(bench.ended(), [r#"a{host="h", x="1"} @0+10 1000"#]);
}

#[test]
fn trace_tags_make_exemplars_and_no_series() {
    let mut bench = Bench::new(settings());
    for value in 1..=50 {
        bench.send(1, &format!("a:{}|ms|#trace_id:{value:032x},span_id:{value:016x},k:v", value * 7 % 50));
    }
    bench.send(1, "a:99|ms|#k:v a:1|ms|#trace_id:none,k:v");
    assert!(bench.added.unreadable_trace);
    bench.aggregator.end_window();
    let samples = bench.aggregator.take_ended();
    assert_eq!(samples.len(), 1);
    let [greatest, chosen]: &[Exemplar; 2] = samples[0].exemplars.as_slice().try_into().unwrap();
    assert_eq!((greatest.value, greatest.trace_id.bits()), (49.0, 7));
    assert_eq!(greatest.span_id.unwrap().bits(), 7);
    assert_eq!(chosen.value, f64::from(u32::try_from(chosen.trace_id.bits() * 7 % 50).unwrap()));
}

/// What the aggregator should say of plain lines, in the plainest way.
#[derive(Default)]
struct Model(BTreeMap<(i64, String, char), Vec<(f64, f64)>>);

proptest! {
    #[test]
    fn windows_equal_a_plain_model(
        lines in prop::collection::vec((0i64..40, 0u8..3, 0u8..3, prop::sample::select(vec!['c', 'd', 's']), 0i32..20, 1u8..=4), 1..80),
    ) {
        let mut lines = lines;
        lines.sort_by_key(|line| line.0);
        let mut bench = Bench::new(settings());
        let mut model = Model::default();
        for (second, name, tag, kind, value, parts) in lines {
            let rate = 1.0 / f64::from(parts);
            bench.send(second, &format!("m{name}:{value}|{kind}|@{rate}|#t:{tag}"));
            let series = format!("m{name}{{host=\"h\", t=\"{tag}\"}}");
            model.0.entry((second / 10 * 10, series, kind)).or_default().push((value.into(), 1.0 / rate));
        }
        bench.aggregator.end_window();
        let mut expected: Vec<String> = model.0.into_iter().map(|((start, series, kind), seen)| {
            let sum: f64 = seen.iter().map(|(value, weight)| value * weight).sum();
            let value = match kind {
                'c' => format!("{}", seen.iter().fold(0.0, |sum, (value, weight)| sum + value / (1.0 / weight))),
                's' => format!("{}", seen.iter().map(|(value, _)| value.to_bits()).collect::<BTreeSet<_>>().len()),
                _ => {
                    let count: f64 = seen.iter().map(|(_, weight)| weight).sum();
                    let min = seen.iter().map(|(value, _)| *value).fold(f64::INFINITY, f64::min);
                    let max = seen.iter().map(|(value, _)| *value).fold(f64::NEG_INFINITY, f64::max);
                    format!("{count} {sum} {min}..{max}")
                }
            };
            format!("{series} @{start}+10 {value}")
        }).collect();
        expected.sort();
        prop_assert_eq!(bench.ended(), expected);
    }
}
