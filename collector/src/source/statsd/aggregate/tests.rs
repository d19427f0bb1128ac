//! Windows against what a sender meant, and against a plain model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::model::{Exemplar, SampleKind, SampleValue, is_stale};
use crate::source::Tallies;
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
        mapper: Arc::default(),
        etsy: None,
    }
}

struct Bench {
    aggregator: Aggregator,
    tally: Arc<Tally>,
    /// Nanoseconds by which the next packet comes later than its second.
    turn: u64,
}

impl Bench {
    fn new(settings: &Settings) -> Bench {
        Bench::with_threads(settings, 1)
    }

    fn with_threads(settings: &Settings, threads: usize) -> Bench {
        let tally = Tallies::default().of("statsd", "test");
        Bench { aggregator: Aggregator::new(settings, threads, at(0)), tally, turn: 0 }
    }

    /// Lines that arrive at this second.
    fn send(&mut self, seconds: i64, lines: &str) {
        self.send_to(0, seconds, lines);
    }

    fn send_to(&mut self, thread: usize, seconds: i64, lines: &str) {
        let packet = lines.replace(' ', "\n");
        self.turn += 1;
        let now = at(seconds).saturating_add(Duration::from_nanos(self.turn));
        self.aggregator.take(thread, packet.as_bytes(), now, &self.tally);
    }

    /// Everything that ended, one line a sample, sorted.
    fn ended(&mut self) -> Vec<String> {
        shown_sorted(self.aggregator.ready())
    }

    /// The same, the window that gathers included.
    fn finish(self) -> Vec<String> {
        shown_sorted(self.aggregator.finish())
    }

    fn problems(&self) -> Vec<(&'static str, u64)> {
        self.tally.snapshot().problems.iter().map(|problem| (problem.reason, problem.count)).collect()
    }
}

fn shown_sorted(ready: Ready) -> Vec<String> {
    let mut shown: Vec<String> = ready.samples.iter().map(shown).collect();
    shown.sort();
    shown
}

fn shown(sample: &Sample) -> String {
    let value = match &sample.value {
        SampleValue::Counter { sum } => format!("{sum}"),
        SampleValue::Gauge { last, .. } if is_stale(*last) => "ended".to_owned(),
        SampleValue::Gauge { last, min, max } => format!("{last} {min}..{max}"),
        SampleValue::Distribution(d) => format!("{} {} {}..{}", d.count, d.sum, d.min, d.max),
        SampleValue::Set(set) => format!("{}", set.count()),
        SampleValue::Cumulative { total } => format!("{total}"),
    };
    let seconds = sample.timestamp.unix_nanos() / 1_000_000_000 - START;
    format!("{} @{seconds}+{} {value}{}", sample.labels, sample.interval_ms / 1000, sample.unit)
}

fn check(sent: &[(i64, &str)], expected: &[&str]) {
    let mut bench = Bench::new(&settings());
    for (seconds, lines) in sent {
        bench.send(*seconds, lines);
    }
    assert_eq!(bench.finish(), expected, "{sent:?}");
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
    let mut bench = Bench::new(&settings());
    sent.iter().for_each(|(seconds, lines)| bench.send(*seconds, lines));
    assert!(bench.finish().contains(&r#"g{host="h"} @80+10 1 1..1"#.to_owned()));
}

#[test]
fn a_signed_gauge_sets_the_level_where_the_setting_says_so() {
    let mut bench = Bench::new(&Settings { signed_is_delta: false, ..settings() });
    bench.send(1, "g:10|g g:-3|g");
    assert_eq!(bench.finish(), [r#"g{host="h"} @0+10 -3 -3..10"#]);
}

#[test]
fn a_timestamp_puts_a_value_into_its_own_window() {
    let stamped = |rest: &str, seconds: i64| format!("{rest}|T{}", START + seconds);
    let lines = [stamped("a:1|c", -95), stamped("a:2|c|@0.5", -91), stamped("a:4|c", 3), "a:8|c".to_owned()];
    check(&[(5, &lines.join(" "))], &[r#"a{host="h"} @-100+10 3"#, r#"a{host="h"} @0+10 12"#]);
    check(&[(5, &stamped("g:-7|g", -91))], &[r#"g{host="h"} @-100+10 -7 -7..-7"#]);
    let mut bench = Bench::new(&settings());
    bench.send(5, &stamped("a:1|c", 3_600));
    assert_eq!(bench.problems(), [("future_timestamp", 1)]);
}

#[test]
fn a_bad_value_costs_neither_its_neighbours_nor_makes_a_series() {
    let mut bench = Bench::new(&settings());
    bench.send(1, "a:1:nan:3|ms b:x|c a:1|c|#__name__:b");
    assert_eq!(bench.problems(), [("bad_value", 2), ("reserved_tag", 1)]);
    assert_eq!(bench.finish(), [r#"a{host="h"} @0+10 2 4 1..3ms"#]);
}

#[test]
fn beyond_the_limit_of_series_values_are_counted_by_type() {
    let mut bench = Bench::new(&Settings { series_max: 2, ..settings() });
    bench.send(1, "a:1|c b:1|c c:1:2|c d:1|g a:1|c e:1:2|s");
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
    assert!(bench.finish().contains(&r#"c{host="h"} @20+10 1"#.to_owned()));
}

#[test]
fn a_spelling_that_is_known_finds_its_series_and_forgets_it_with_the_series() {
    let mut bench = Bench::new(&Settings { series_max: 1, ..settings() });
    bench.send(1, "a:1|c|#x:1,b a:2|c|#b,x:1 a:4|c|#x:1,b");
    bench.send(12, "c:1|c");
    assert_eq!(bench.ended(), [r#"a{b="true", host="h", x="1"} @0+10 7"#]);
    bench.send(21, "a:8|c|#x:1,b"); // the silent series made room
    assert!(bench.finish().contains(&r#"a{b="true", host="h", x="1"} @20+10 8"#.to_owned()));
    let mut bench = Bench::new(&settings());
    for spelling in 0..1_000 {
        bench.send(1, &format!("a:1|c|#x:{spelling},x:1"));
    }
    assert_eq!(bench.finish(), [r#"a{host="h", x="1"} @0+10 1000"#]);
}

#[test]
fn trace_tags_make_exemplars_and_no_series() {
    let mut bench = Bench::new(&settings());
    for value in 1..=50 {
        bench.send(1, &format!("a:{}|ms|#trace_id:{value:032x},span_id:{value:016x},k:v", value * 7 % 50));
    }
    bench.send(1, "a:99|ms|#k:v a:1|ms|#trace_id:none,k:v");
    assert_eq!(bench.problems(), [("bad_trace_id", 1)]);
    let samples = bench.aggregator.finish().samples;
    assert_eq!(samples.len(), 1);
    let [greatest, chosen]: &[Exemplar; 2] = samples[0].exemplars.as_slice().try_into().unwrap();
    assert_eq!((greatest.value, greatest.trace_id.bits()), (49.0, 7));
    assert_eq!(greatest.span_id.unwrap().bits(), 7);
    assert_eq!(chosen.value, f64::from(u32::try_from(chosen.trace_id.bits() * 7 % 50).unwrap()));
}

#[test]
fn a_spelling_with_a_trace_takes_no_slot_of_its_own() {
    let mut bench = Bench::new(&Settings { series_max: 1, ..settings() });
    for trace in 1..=1_000 {
        bench.send(1, &format!("a:1|ms|#trace_id:{trace:032x}"));
    }
    assert_eq!(bench.problems(), []);
    assert_eq!(bench.finish(), [r#"a{host="h"} @0+10 1000 1000 1..1ms"#]);
}

#[test]
fn a_gauges_level_is_one_on_all_threads_and_over_windows() {
    let mut bench = Bench::with_threads(&settings(), 3);
    for (thread, second, lines) in
        [(0, 1, "g:10|g"), (1, 2, "g:+5|g"), (2, 3, "g:-1|g"), (2, 11, "g:+1|g"), (0, 12, "g:+1|g"), (1, 25, "g:3|g")]
    {
        bench.send_to(thread, second, lines);
    }
    assert_eq!(
        bench.finish(),
        [r#"g{host="h"} @0+10 14 10..15"#, r#"g{host="h"} @10+10 16 15..16"#, r#"g{host="h"} @20+10 3 3..3"#]
    );
}

#[test]
fn the_end_of_a_silent_gauge_is_marked_and_then_its_level_is_gone() {
    let mut bench = Bench::new(&Settings { gauge_ttl: Duration::from_secs(20), ..settings() });
    bench.send(1, "g:10|g c:1|c");
    for window in 1..=5 {
        bench.send(window * 10, "tick:1|c");
    }
    let ended = bench.ended();
    let of_gauge: Vec<&String> = ended.iter().filter(|line| line.starts_with("g{")).collect();
    assert_eq!(of_gauge, [r#"g{host="h"} @0+10 10 10..10"#, r#"g{host="h"} @30+10 ended"#]);
    bench.send(55, "g:+1|g");
    assert!(bench.finish().contains(&r#"g{host="h"} @50+10 1 1..1"#.to_owned()));
}

#[test]
fn spellings_that_are_no_longer_used_are_forgotten_and_make_room() {
    let mut bench = Bench::new(&Settings { series_max: 10, ..settings() });
    for window in 0..50 {
        let lines: Vec<String> = (0..10).map(|n| format!("a{window}.{n}:1|c")).collect();
        bench.send(window * 20, &lines.join(" "));
        bench.send(window * 20 + 10, "tick:1|c");
    }
    assert_eq!(bench.problems(), [], "the threads refuse nothing");
    let ready = bench.aggregator.finish();
    assert!(sums(&ready, |name| name.starts_with('a')) >= 450.0, "at most one of ten has no room beside the tick");
    assert_eq!(sums(&ready, |_| true), 550.0);
}

#[test]
fn a_clock_that_leaps_to_and_fro_costs_nothing_on_several_threads() {
    let mut bench = Bench::with_threads(&settings(), 2);
    for (turn, seconds) in [5, -25, 5, 95, 5, -25, 15].into_iter().enumerate() {
        bench.send_to(turn % 2, seconds, "a:1|c");
    }
    assert_eq!(sums(&bench.aggregator.finish(), |name| name == "a"), 7.0);
}

fn sums(ready: &Ready, is_wanted: impl Fn(&str) -> bool) -> f64 {
    let wanted = ready.samples.iter().filter(|sample| is_wanted(sample.labels.name()));
    wanted.map(|sample| if let SampleValue::Counter { sum } = sample.value { sum } else { 0.0 }).sum()
}

#[test]
fn series_are_listed_and_deleted_by_kind() {
    let mut merger = Merger::new(settings().of_merger(), 1, at(0));
    let mut window = Window::new(0, settings().of_window(), at(0));
    for line in ["a:1|c", "a:2|c", "b:1|c", "a:7|g"] {
        window.add(&parse(line, Dialects::default()).unwrap(), at(1)).unwrap();
    }
    merger.take(window.hand_over(Some(at(0))), |_, _| {});
    let mut counters: Vec<_> =
        merger.list(SampleKind::Counter).into_iter().map(|l| (l.labels.name().to_owned(), l.value)).collect();
    counters.sort_by(|a, b| a.0.cmp(&b.0));
    let sum = |sum| Some(SampleValue::Counter { sum });
    assert_eq!(counters, [("a".to_owned(), sum(3.0)), ("b".to_owned(), sum(1.0))]);
    for kind in [SampleKind::Counter, SampleKind::Gauge] {
        assert_eq!(merger.delete(kind, &|labels| labels.name() == "a").len(), 1);
    }
    merger.take(window.hand_over(Some(at(10))), |_, _| {});
    let ready = Ready { samples: merger.take_ended(), ..Ready::default() };
    assert_eq!(shown_sorted(ready), [r#"a{host="h"} @0+10 ended"#, r#"b{host="h"} @0+10 1"#]);
    window.add(&parse("a:+1|g", Dialects::default()).unwrap(), at(11)).unwrap();
    merger.take(window.hand_over(None), |_, _| {});
    let ready = Ready { samples: merger.take_ended(), ..Ready::default() };
    assert_eq!(shown_sorted(ready), [r#"a{host="h"} @10+10 1 1..1"#]);
}

/// What the aggregator should say of plain lines, in the plainest way.
#[derive(Default)]
struct Model(BTreeMap<(i64, String, char), Vec<(f64, f64)>>);

proptest! {
    #[test]
    fn windows_equal_a_plain_model_whatever_the_spread_over_threads(
        lines in prop::collection::vec(
            (0i64..40, 0usize..3, 0u8..3, 0u8..3, prop::sample::select(vec!['c', 'd', 's', 'g']), 0i32..20, 1u8..=4),
            1..80,
        ),
    ) {
        let mut lines = lines;
        lines.sort_by_key(|line| line.0);
        let mut bench = Bench::with_threads(&settings(), 3);
        let mut model = Model::default();
        for (second, thread, name, tag, kind, value, parts) in lines {
            let rate = if kind == 'g' { 1.0 } else { 1.0 / f64::from(parts) };
            bench.send_to(thread, second, &format!("m{name}:{value}|{kind}|@{rate}|#t:{tag}"));
            let series = format!("m{name}{{host=\"h\", t=\"{tag}\"}}");
            model.0.entry((second / 10 * 10, series, kind)).or_default().push((value.into(), 1.0 / rate));
        }
        let mut expected: Vec<String> = model.0.into_iter().map(|((start, series, kind), seen)| {
            let sum: f64 = seen.iter().map(|(value, weight)| value * weight).sum();
            let value = match kind {
                'c' => format!("{}", seen.iter().fold(0.0, |sum, (value, weight)| sum + value / (1.0 / weight))),
                'g' => {
                    let levels = seen.iter().map(|(value, _)| *value);
                    let (min, max) = levels.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
                    format!("{} {min}..{max}", seen[seen.len() - 1].0)
                }
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
        prop_assert_eq!(bench.finish(), expected);
    }
}

proptest! {
    #[test]
    fn lines_taken_together_do_what_each_would_alone(
        lines in prop::collection::vec(
            ("[a-d]", prop::sample::select(vec!["1|c", "+2|g", "3|ms", "x|s", "4|c:5|c", "6|g|T1000000001", "x|c"]), 0u8..3),
            0..100,
        ),
        series_max in 1usize..10, // the table of spellings holds twice as many, and is begun anew when it is full
    ) {
        let settings = Settings { series_max, ..settings() };
        let (mut together, mut alone) = (Bench::new(&settings), Bench::new(&settings));
        let lines: Vec<String> = lines.iter().map(|(name, rest, tag)| format!("{name}:{rest}|#t:{tag}")).collect();
        together.aggregator.take(0, lines.join("\n").as_bytes(), at(1), &together.tally);
        for line in &lines {
            alone.aggregator.take(0, line.as_bytes(), at(1), &alone.tally);
        }
        prop_assert_eq!(together.problems(), alone.problems());
        prop_assert_eq!(together.finish(), alone.finish());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn percentiles_of_a_hundred_hosts_together_are_within_one_percent(
        values in prop::collection::vec(1u32..10_000_000, 1..2_000),
    ) {
        let exact: Vec<f64> = values.iter().map(|&value| f64::from(value) / 8.0).collect();
        let mut merged = crate::model::Distribution::new();
        for host in 0..100 {
            let mut bench = Bench::with_threads(&settings(), 2);
            for (turn, value) in exact.iter().skip(host).step_by(100).enumerate() {
                bench.send_to(turn % 2, 1, &format!("t:{value}|ms"));
            }
            for sample in bench.aggregator.finish().samples {
                let SampleValue::Distribution(seen) = sample.value else { panic!("{sample:?}") };
                merged.merge(&seen);
            }
        }
        prop_assert_eq!((merged.count, merged.sum), (exact.len() as f64, exact.iter().sum::<f64>()));
        let mut sorted = exact;
        sorted.sort_by(f64::total_cmp);
        for q in [0.5, 0.75, 0.9, 0.95, 0.99, 0.999] {
            let exact = sorted[(q * (sorted.len() - 1) as f64).floor() as usize];
            let found = merged.quantile(q).unwrap();
            prop_assert!((found - exact).abs() <= 0.01 * exact, "{found} for {exact} at {q}");
        }
    }
}
