//! Whatever is asked, of whatever data: an answer or an error, and the same answer at a step as at that moment alone.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;
use taffrail_collector::model::{LabelSet, Timestamp};
use taffrail_ingest::Scan;
use taffrail_ingest::series_store::LabelMatcher;

use super::super::{
    Answer, OfWindows, PromqlError, STALE, Series, SeriesSource, Wanted, instant, instant_looking_back, range,
};

struct Loaded(Vec<Series>);

impl SeriesSource for Loaded {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        start: i64,
        end: i64,
        _: Wanted,
        _: &Scan,
    ) -> Result<Vec<Series>, PromqlError> {
        let inside = |points: &[(i64, f64)]| points.iter().copied().filter(|p| start < p.0 && p.0 <= end).collect();
        let passing = self.0.iter().filter(|series| matchers.iter().all(|matcher| matcher.passes(&series.labels)));
        Ok(passing.map(|series| Series::of_numbers(series.labels.clone(), inside(&series.points))).collect())
    }
}

fn series() -> impl Strategy<Value = Vec<Series>> {
    let value = prop_oneof![8 => (-50i32..50).prop_map(f64::from), 1 => Just(STALE), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)];
    let points = prop::collection::btree_map((0i64..120).prop_map(|i| i * 10_000), value, 0..60);
    prop::collection::btree_map(("[xy]", "[ab]", "[12]?"), points, 1..6).prop_map(|all| {
        all.into_iter()
            .map(|((name, a, b), points)| {
                let labels = LabelSet::new([("__name__", name), ("a", a), ("b", b)]);
                Series::of_numbers(Arc::new(labels), points.into_iter().collect())
            })
            .collect()
    })
}

fn query() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("x".to_owned()),
        Just("y".to_owned()),
        Just("x{a=\"a\"}".to_owned()),
        Just("{__name__=~\"x|y\"}".to_owned()),
        Just("x offset 1m".to_owned()),
        Just("y @ 300".to_owned()),
        Just("3".to_owned()),
        Just("vector(time())".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operator = prop::sample::select(vec![
            "+",
            "-",
            "/",
            "%",
            "^",
            "> bool",
            "<",
            "==",
            "and",
            "or",
            "unless",
            "* on(a)",
            "+ ignoring(b)",
            "* on(a) group_left",
            "- on(b) group_right(a)",
            "atan2",
        ]);
        let aggregation = prop::sample::select(vec![
            "sum",
            "avg by (a)",
            "max without (b)",
            "count",
            "stddev by (b)",
            "topk by (a) (1,",
            "bottomk(2,",
            "quantile by (b) (0.5,",
            "count_values(\"v\",",
            "group by (a, b)",
            "limitk(2,",
        ]);
        let function = prop::sample::select(vec![
            "abs",
            "-",
            "absent",
            "sort",
            "timestamp",
            "round",
            "vector(scalar(",
            "hour",
            "sgn",
        ]);
        let window = prop::sample::select(vec![
            "rate(",
            "increase(",
            "delta(",
            "sum_over_time(",
            "last_over_time(",
            "changes(",
            "deriv(",
            "irate(",
            "quantile_over_time(0.9, ",
            "absent_over_time(",
            "avg_over_time(",
        ]);
        let ends = prop::sample::select(vec!["[2m:]", "[95s:10s]", "[1m:30s] offset 1m", "[3m:1m] @ 400"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
            (aggregation, inner.clone()).prop_map(|(op, a)| if op.ends_with(',') {
                format!("{op} {a})")
            } else {
                format!("{op} ({a})")
            }),
            (function, inner.clone()).prop_map(|(f, a)| format!("{f}({a}){}", ")".repeat(f.matches('(').count()))),
            (window.clone(), prop::sample::select(vec!["x[2m]", "y[45s]", "{a=\"a\"}[5m] offset -30s"]))
                .prop_map(|(f, selector)| format!("{f}{selector})")),
            (window, inner, ends).prop_map(|(f, a, end)| format!("{f}({a}){end})")),
        ]
    })
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_millis(ms)
}

/// Bits, so that NaN equals NaN.
fn comparable(mut values: Vec<(Arc<LabelSet>, f64)>) -> Vec<(String, u64)> {
    values.sort_by(|a, b| a.0.cmp(&b.0));
    values
        .into_iter()
        .map(|(labels, value)| (labels.to_string(), if value.is_nan() { 1 } else { value.to_bits() }))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_range_query_gives_at_each_step_what_an_instant_query_gives(series in series(), query in query(), step in 7i64..90) {
        let source = Loaded(series);
        let (start, count) = (200_000, 7);
        let step = step * 1_000;
        let scan = Scan::unlimited();
        let end = start + (count - 1) * step;
        let Ok(ranged) = range(&query, at(start), at(end), Duration::from_millis(step as u64), &source, &scan) else {
            return Ok(());
        };
        for time in (0..count).map(|i| start + i * step) {
            let here: Vec<_> = ranged.value.iter()
                .filter_map(|s| s.points.iter().find(|p| p.0 == time).map(|p| (s.labels.clone(), p.1)))
                .collect();
            let alone = match instant(&query, at(time), &source, &scan) {
                Ok(evaluated) => evaluated.value,
                Err(error) => return Err(TestCaseError::fail(format!("{query} at {time}: {error}"))),
            };
            let alone = match alone {
                Answer::Vector(values) => values.into_iter().map(|one| (one.labels, one.value)).collect(),
                Answer::Scalar(value) => vec![(Arc::default(), value)],
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            prop_assert_eq!(comparable(here), comparable(alone), "{} at {}", query, time);
        }
    }

    #[test]
    fn any_text_is_answered_or_refused(
        text in prop_oneof!["[ -~]{0,40}", query(), "(x|y|rate|sum|by|on|\\(|\\)|\\[|\\]|5m|1e9|@|offset|:|,|\\{|\\}|=~|\"|-|\\^| ){0,15}"],
    ) {
        let source = Loaded(Vec::new());
        let _ = instant(&text, at(1_700_000_000_000), &source, &Scan::unlimited());
        let _ = super::super::format(&text);
        let _ = super::super::selectors(&text);
    }
}

#[test]
fn what_nests_as_deep_as_it_may_is_evaluated_or_refused_on_a_small_stack() {
    let queries = [78, 149].into_iter().flat_map(|most| {
        [
            format!("{}1{}", "(".repeat(most), ")".repeat(most)),
            format!("{}x", "-".repeat(most)),
            vec!["x"; most].join(" or "),
            vec!["x"; most].join(" + "),
            format!("{}x{}", "abs(".repeat(most), ")".repeat(most)),
            format!("{}x{}", "max_over_time(".repeat(most / 2), "[1m:1s])".repeat(most / 2)),
            format!("{}1", "2 ^ ".repeat(most)),
        ]
    });
    let queries: Vec<String> = queries.collect();
    let evaluate = move || {
        for query in &queries {
            let time = Timestamp::from_unix_seconds(1_700_000_000);
            let _ = instant(query, time, &Loaded(Vec::new()), &Scan::unlimited());
            let _ = super::super::format(query);
            let _ = super::super::selectors(query);
        }
    };
    // As much as a thread of the runtime has.
    std::thread::Builder::new().stack_size(2 << 20).spawn(evaluate).unwrap().join().unwrap();
}

/// Has nothing, and notes how it was asked.
#[derive(Default)]
struct Asked(Mutex<Vec<Wanted>>);

impl SeriesSource for Asked {
    fn select(&self, _: &[LabelMatcher], _: i64, _: i64, wanted: Wanted, _: &Scan) -> Result<Vec<Series>, PromqlError> {
        self.0.lock().push(wanted);
        Ok(Vec::new())
    }
}

#[test]
fn only_what_windows_that_sum_others_up_can_tell_is_asked_of_them() {
    let check = |query: &str, expected: (u32, OfWindows)| {
        let (source, day) = (Asked::default(), 86_400);
        let [start, end] = [10 * day, 20 * day].map(Timestamp::from_unix_seconds);
        range(query, start, end, Duration::from_secs(3_600), &source, &Scan::unlimited()).unwrap();
        let asked: Vec<_> = source.0.lock().iter().map(|wanted| (wanted.resolution_ms, wanted.of_windows)).collect();
        assert_eq!(asked, [expected], "{query}");
    };
    const TENTH: u32 = 360_000;
    check("x", (60_000, OfWindows::Levels));
    check("rate(x[1h])", (TENTH, OfWindows::Levels));
    check("sum(increase((x[1h])))", (TENTH, OfWindows::Levels));
    check("min_over_time(x[1h])", (TENTH, OfWindows::Lowest));
    check("max_over_time(x[1h])", (TENTH, OfWindows::Highest));
    check(r#"max_over_time(x{quantile="0.5"}[1h])"#, (0, OfWindows::Highest));
    for function in ["avg", "sum", "count", "stddev", "mad", "first"] {
        check(&format!("{function}_over_time(x[1h])"), (0, OfWindows::Each));
    }
    check("quantile_over_time(0.5, x[1h])", (0, OfWindows::Each));
    for function in ["changes", "resets", "irate", "deriv"] {
        check(&format!("{function}(x[1h])"), (0, OfWindows::Each));
    }
}

#[test]
fn borders_of_windows_are_looked_for_as_far_as_a_question_looks_back() {
    let points = vec![(0, 10.0), (240_000, 40.0), (600_000, 100.0)];
    let source = Loaded(vec![Series::of_numbers(Arc::new(LabelSet::new([("__name__", "x")])), points)]);
    let check = |query: &str, seconds: i64, lookback_seconds: u64, expected: Option<f64>| {
        let (at, lookback) = (Timestamp::from_unix_seconds(seconds), Duration::from_secs(lookback_seconds));
        let answer = instant_looking_back(query, at, Some(lookback), &source, &Scan::unlimited()).unwrap().value;
        let Answer::Vector(found) = answer else { panic!("{query}") };
        assert_eq!(found.first().map(|one| one.value), expected, "{query} {lookback_seconds}");
    };
    // From 200 s to 260 s: the point before the window lies 200 s before it.
    check("increase(x[1m] anchored)", 260, 300, Some(30.0));
    check("increase(x[1m] anchored)", 260, 100, Some(0.0));
    // At 300 s: the points around are 60 s and 300 s away.
    check("x smoothed", 300, 400, Some(50.0));
    check("x smoothed", 300, 100, Some(40.0));
}
