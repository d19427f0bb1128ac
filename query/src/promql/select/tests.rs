//! What PromQL reads from a store.

use super::super::{Answer, instant, range};
use super::*;
use std::time::Duration;
use taffrail_collector::model::{Sample, SampleValue};
use tempfile::TempDir;

const START: i64 = 1_700_000_000;

fn store(samples: Vec<Sample>) -> (TempDir, StoreSource) {
    let directory = TempDir::new().unwrap();
    let store = SeriesStore::open(directory.path(), Vec::new()).unwrap();
    store.insert(samples);
    (directory, StoreSource::new(Arc::new(store)))
}

/// The window `number` of ten seconds since [`START`].
fn sample(name: &str, number: i64, value: SampleValue) -> Sample {
    Sample {
        labels: Arc::new(LabelSet::new([(NAME_LABEL, name), ("host", "a")])),
        timestamp: Timestamp::from_unix_seconds(START + 10 * number),
        interval_ms: 10_000,
        value,
        unit: "",
        exemplars: Vec::new(),
    }
}

fn counter(number: i64, sum: f64) -> Sample {
    sample("web.hits", number, SampleValue::Counter { sum })
}

fn timer(number: i64, observations: &[f64]) -> Sample {
    let mut window = Distribution::new();
    observations.iter().for_each(|&value| window.observe(value, 1.0));
    sample("web.time", number, SampleValue::Distribution(Box::new(window)))
}

/// The answer at `seconds` after [`START`], as `labels value` lines.
fn ask(store: &StoreSource, query: &str, seconds: i64) -> Vec<String> {
    let time = Timestamp::from_unix_seconds(START + seconds);
    let answer = instant(query, time, store, &Scan::unlimited()).unwrap().value;
    let Answer::Vector(values) = answer else { panic!("{answer:?}") };
    values.iter().map(|one| format!("{} {}", one.labels, one.value)).collect()
}

#[test]
fn a_counter_reads_cumulatively_and_its_rate_is_what_came_in() {
    let (_directory, store) = store((0..60).map(|number| counter(number, 5.0)).collect());
    assert_eq!(ask(&store, r#"{"web.hits"}"#, 600), [r#"{"web.hits", host="a"} 300"#]);
    assert_eq!(ask(&store, r#"rate({"web.hits"}[1m])"#, 600), [r#"{host="a"} 0.5"#]);
    assert_eq!(ask(&store, r#"increase({"web.hits"}[5m])"#, 600), [r#"{host="a"} 150"#]);
}

#[test]
fn a_counter_that_is_hit_now_and_then_counts_every_hit() {
    // One hit, two minutes of silence, three hits, then ten minutes of silence and two more.
    let (_directory, store) = store(vec![counter(0, 1.0), counter(12, 3.0), counter(80, 2.0)]);
    let whole = |seconds| ask(&store, r#"round(increase({"web.hits"}[20m]))"#, seconds);
    assert_eq!(whole(60), [r#"{host="a"} 1"#]);
    assert_eq!(whole(300), [r#"{host="a"} 4"#]);
    assert_eq!(whole(900), [r#"{host="a"} 6"#]);
    assert_eq!(ask(&store, r#"rate({"web.hits"}[1m])"#, 300), [r#"{host="a"} 0"#]);
    // Silent for longer than five minutes: gone, as a series that is no longer scraped.
    assert!(ask(&store, r#"{"web.hits"}"#, 770).is_empty());
}

#[test]
fn a_distribution_reads_like_a_summary() {
    let (_directory, store) = store(vec![timer(0, &[1.0, 2.0, 3.0]), timer(1, &[100.0; 10])]);
    let check = |query: &str, expected: &[&str]| assert_eq!(ask(&store, query, 20), expected, "{query}");
    check(r#"{"web.time_count"}"#, &[r#"{"web.time_count", host="a"} 13"#]);
    check(r#"{__name__=~"web.*_sum"}"#, &[r#"{"web.time_sum", host="a"} 1006"#]);
    check(r#"{"web.time_min"}"#, &[r#"{"web.time_min", host="a"} 100"#]);
    check(r#"{"web.time", quantile="0.99"}"#, &[r#"{"web.time", host="a", quantile="0.99"} 100"#]);
    check(r#"count({"web.time"})"#, &["{} 4"]);
    check(r#"count({host="a", quantile=""})"#, &["{} 4"]);
    check(r#"round(increase({"web.time_sum"}[20s]) / increase({"web.time_count"}[20s]))"#, &[r#"{host="a"} 77"#]);
}

#[test]
fn labels_of_readable_series_are_listed_and_metadata_names_their_type() {
    let level = SampleValue::Gauge { last: 1.0, min: 1.0, max: 1.0 };
    let (_directory, source) = store(vec![timer(0, &[1.0]), counter(0, 1.0), sample("heat", 0, level)]);
    let names = |matchers: &[LabelMatcher]| {
        let found = source.series(matchers, TimeRange::ALL, &Scan::unlimited()).unwrap();
        found.iter().map(|labels| labels.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]).len(), 2 + 8);
    let equal = |value: &str| LabelMatcher { name: NAME_LABEL.to_owned(), test: LabelTest::Equal(value.to_owned()) };
    assert_eq!(names(&[equal("web.time_max")]), ["web.time_max"]);
    let kinds: Vec<_> = source.metric_metadata("", 9).into_iter().map(|m| (m.name, m.kind)).collect();
    assert_eq!(kinds, [("heat".into(), "gauge"), ("web.hits".into(), "counter"), ("web.time".to_owned(), "summary")]);
}

#[test]
fn the_extremes_of_a_gauge_are_those_of_all_its_levels() {
    let window = |number, (last, min, max)| sample("heat", number, SampleValue::Gauge { last, min, max });
    let (_directory, store) = store(vec![window(0, (5.0, 1.0, 9.0)), window(1, (4.0, 4.0, 6.0))]);
    let check = |query: &str, expected: &str| assert_eq!(ask(&store, query, 20), [expected], "{query}");
    check("max_over_time(heat[1m])", r#"{host="a"} 9"#);
    check("min_over_time(heat[1m])", r#"{host="a"} 1"#);
    check("avg_over_time(heat[1m])", r#"{host="a"} 4.5"#);
    check("last_over_time(heat[1m])", r#"heat{host="a"} 4"#);
}

#[test]
fn label_values_are_those_of_the_series_in_the_head_and_in_blocks() {
    let level = || SampleValue::Gauge { last: 1.0, min: 1.0, max: 1.0 };
    let batches = [
        vec![timer(0, &[1.0]), counter(0, 1.0)],
        vec![sample("heat", 1, level()), sample("web.hits_count", 2, level())],
    ];
    let (_directory, source) = store(Vec::new());
    for batch in batches {
        source.store.insert(batch);
        let change = source.store.prepare_seal().unwrap();
        source.store.commit(change);
    }
    source.store.insert(vec![sample("cold", 3, level())]);
    let equal = |label: &str, value: &str| LabelMatcher { name: label.into(), test: LabelTest::Equal(value.into()) };
    let check = |matchers: &[LabelMatcher], range: TimeRange| {
        let scan = Scan::unlimited();
        let series = source.series(matchers, range, &scan).unwrap();
        for label in [NAME_LABEL, QUANTILE_LABEL, "host", "none"] {
            let of_series = series.iter().map(|labels| labels.get(label).to_owned());
            let expected: BTreeSet<String> = of_series.filter(|value| !value.is_empty()).collect();
            for most in [usize::MAX, 0, 1, 2, 3] {
                let first: BTreeSet<String> = expected.iter().take(most).cloned().collect();
                let found = source.label_values(label, matchers, range, most, &scan).unwrap();
                assert_eq!(found, first, "{label} {matchers:?} {most}");
            }
        }
    };
    let at = |seconds| Timestamp::from_unix_seconds(START + seconds);
    for range in [TimeRange::ALL, TimeRange { start: at(15), end: at(35) }, TimeRange { start: at(900), end: at(999) }]
    {
        check(&[], range);
        for name in ["heat", "cold", "web.time", "web.time_count", "web.hits", "web.hits_count", "web.hits_sum", "none"]
        {
            check(&[equal(NAME_LABEL, name)], range);
            check(&[equal(NAME_LABEL, name), equal("host", "a")], range);
            check(&[equal(NAME_LABEL, name), equal(QUANTILE_LABEL, "0.5")], range);
        }
    }
}

#[test]
fn a_range_query_gives_each_step_and_refuses_too_many() {
    let (_directory, store) = store((0..60).map(|number| counter(number, 1.0)).collect());
    let ask = |step| {
        let at = |seconds| Timestamp::from_unix_seconds(START + seconds);
        let step = Duration::from_millis(step);
        range(r#"sum by (host) (increase({"web.hits"}[1m]))"#, at(120), at(600), step, &store, &Scan::unlimited())
    };
    let series = ask(60_000).unwrap().value;
    assert_eq!(series.len(), 1);
    let values: Vec<f64> = series[0].points.iter().map(|point| point.1).collect();
    assert_eq!(values, [6.0; 9]);
    assert!(matches!(ask(40), Err(PromqlError::Invalid(message)) if message.contains("11,000")));
    assert!(matches!(ask(0), Err(PromqlError::Invalid(_))));
}

#[test]
fn a_timer_is_read_as_a_native_histogram_where_a_function_takes_one() {
    // On each of two hosts 100 observations a window, 1 ms to 100 ms and 101 ms to 200 ms.
    let window = |host: &str, number: i64, from: i32| {
        let observed: Vec<f64> = (from..from + 100).map(f64::from).collect();
        let labels = Arc::new(LabelSet::new([(NAME_LABEL, "web.time"), ("host", host)]));
        Sample { labels, ..timer(number, &observed) }
    };
    let windows = (0..60).flat_map(|number| [window("a", number, 1), window("b", number, 101)]);
    let (_directory, store) = store(windows.collect());
    let number = |query: &str| {
        let time = Timestamp::from_unix_seconds(START + 600);
        let evaluated = instant(query, time, &store, &Scan::unlimited()).unwrap();
        assert_eq!((evaluated.warnings, evaluated.infos), (Vec::new(), Vec::new()), "{query}");
        let Answer::Vector(values) = evaluated.value else { panic!("{query}") };
        assert_eq!(values.len(), 1, "{query}");
        values[0].value
    };
    let near = |query: &str, expected: f64| {
        let found = number(query);
        assert!((found / expected - 1.0).abs() < 0.0125, "{query}: {found} for {expected}");
    };
    near(r#"histogram_quantile(0.5, rate({"web.time", host="a"}[5m]))"#, 50.0);
    near(r#"histogram_quantile(0.99, sum(rate({"web.time"}[5m])))"#, 198.0);
    near(r#"histogram_fraction(0, 100, sum(rate({"web.time"}[5m])))"#, 0.5);
    assert_eq!(number(r#"histogram_count(sum(increase({"web.time"}[5m])))"#), 6_000.0);
    assert_eq!(number(r#"histogram_avg(sum(rate({"web.time"}[5m])))"#), 100.5);
    // What is read otherwise is read as before.
    assert_eq!(ask(&store, r#"count({"web.time"})"#, 600), ["{} 8"]);
    near(r#"{"web.time", host="b", quantile="0.99"}"#, 199.0);
}
