//! The route, spoken to through the router itself with bytes as senders write them, and a small store behind it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use parking_lot::Mutex;

use super::{Config, routes};
use crate::delivery::{Outcome, Refusal, RefusalReason};
use crate::model::{STALE, Sample, SampleValue, is_stale};
use crate::source::SourceContext;
use crate::source::small_store::{self, SmallStore};

const STORED: Outcome = Outcome::Stored { acked_through: None };
const VERSION_2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// A router whose batches are answered with `outcome` and kept.
fn router(config: Config, outcome: Outcome) -> (Router, SourceContext, Arc<Mutex<Vec<Sample>>>) {
    let SmallStore { context, samples, .. } = SmallStore::answering(outcome);
    (routes(config, context.clone()), context, samples)
}

async fn post(router: &Router, content_type: &str, encoding: &str, body: Vec<u8>) -> (StatusCode, HeaderMap, String) {
    let (status, headers, body) = small_store::post(router, "/api/v1/write", content_type, encoding, body).await;
    (status, headers, String::from_utf8(body).unwrap())
}

fn snappy(body: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(body).unwrap()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field that holds bytes, text or a message.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    [&varint(u64::from(number) << 3 | 2)[..], &varint(content.len() as u64), content].concat()
}

fn whole(number: u8, content: u64) -> Vec<u8> {
    [&[number << 3][..], &varint(content)].concat()
}

fn double(number: u8, content: f64) -> Vec<u8> {
    [&[number << 3 | 1][..], &content.to_le_bytes()].concat()
}

fn labels(pairs: &[(&str, &str)]) -> Vec<u8> {
    let label =
        |(name, value): &(&str, &str)| bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value.as_bytes())].concat());
    pairs.iter().flat_map(label).collect()
}

fn sample(value: f64, millis: i64) -> Vec<u8> {
    bytes(2, &[double(1, value), whole(2, millis as u64)].concat())
}

fn exemplar(number: u8, labels: Vec<u8>, value: f64, millis: u64) -> Vec<u8> {
    bytes(number, &[labels, double(2, value), whole(3, millis)].concat())
}

/// A request of version 1.0 from the fields of its series.
fn version_1(series: &[Vec<Vec<u8>>]) -> Vec<u8> {
    series.iter().flat_map(|fields| bytes(1, &fields.concat())).collect()
}

/// What is stored, one line a sample: series, milliseconds, value, `+` for a running total, exemplars.
fn said(stored: &Mutex<Vec<Sample>>) -> Vec<String> {
    let line = |sample: &Sample| {
        let value = match &sample.value {
            SampleValue::Cumulative { total } if is_stale(*total) => "stale+".to_owned(),
            SampleValue::Gauge { last, .. } if is_stale(*last) => "stale".to_owned(),
            SampleValue::Cumulative { total } => format!("{total}+"),
            SampleValue::Gauge { last, .. } => last.to_string(),
            other => format!("{other:?}"),
        };
        let exemplars: String =
            sample.exemplars.iter().map(|one| format!(" #{:x}={}", one.trace_id.bits(), one.value)).collect();
        let unit = if sample.unit.is_empty() { String::new() } else { format!(" {}", sample.unit) };
        format!("{} @{} {value}{unit}{exemplars}", sample.labels, sample.timestamp.unix_millis())
    };
    stored.lock().iter().map(line).collect()
}

#[tokio::test]
async fn a_request_of_version_1_is_stored_before_the_answer() {
    let (router, context, stored) = router(Config::default(), STORED);
    let up = labels(&[("__name__", "up"), ("job", "a")]);
    let hits = labels(&[("__name__", "hits_total"), ("job", "a")]);
    let body = version_1(&[
        vec![up.clone(), sample(1.0, 1_000), sample(0.0, 500), sample(STALE, 2_000)],
        vec![hits.clone(), sample(7.5, 1_000), sample(f64::INFINITY, -5), sample(STALE, 3_000)],
        // As another encoder may write it: zeros left out, the labels behind, unknown fields between.
        vec![bytes(2, &whole(2, 9)), whole(9, 1), hits.clone()],
        vec![bytes(2, &double(1, 4.0)), up.clone()],
    ]);
    let (status, headers, text) = post(&router, "application/x-protobuf", "snappy", snappy(&body)).await;
    assert_eq!((status, text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(headers["x-prometheus-remote-write-samples-written"], "8");
    let expected = [
        r#"up{job="a"} @1000 1"#,
        r#"up{job="a"} @500 0"#,
        r#"up{job="a"} @2000 stale"#,
        r#"hits_total{job="a"} @1000 7.5+"#,
        r#"hits_total{job="a"} @-5 inf+"#,
        r#"hits_total{job="a"} @3000 stale+"#,
        r#"hits_total{job="a"} @9 0+"#,
        r#"up{job="a"} @0 4"#,
    ];
    assert_eq!(said(&stored), expected);
    assert_eq!(context.tallies.snapshot()[0].records, 8);
    post(&router, "", "", snappy(&version_1(&[vec![up, sample(2.0, 4_000)]]))).await;
    let stored = stored.lock();
    assert!(Arc::ptr_eq(&stored[0].labels, &stored[8].labels), "labels are built once");
}

#[tokio::test]
async fn a_request_of_version_2_says_types_and_units_and_is_told_what_was_written() {
    let (router, _, stored) = router(Config::default(), STORED);
    let symbols =
        ["", "__name__", "queue", "seconds", "job", "a", "trace_id", "4bf92f3577b34da6a3ce929d0e0e4736", "x_count"];
    let symbols: Vec<u8> = symbols.iter().flat_map(|text| bytes(4, text.as_bytes())).collect();
    let series = |fields: &[Vec<u8>]| bytes(5, &fields.concat());
    let metadata = |kind, unit| bytes(5, &[whole(1, kind), whole(4, unit)].concat());
    let body = [
        symbols,
        series(&[bytes(1, &[1, 2, 4, 5]), sample(3.0, 1_000), metadata(1, 3)]),
        series(&[bytes(1, &[1, 2]), sample(4.0, 1_000), exemplar(4, bytes(1, &[6, 7]), 0.5, 900), metadata(2, 0)]),
        // Lists may be written one by one.
        series(&[whole(1, 1), whole(1, 8), sample(5.0, 1_000)]),
    ];
    let (status, headers, _) = post(&router, VERSION_2, "snappy", snappy(&body.concat())).await;
    let written = ["samples", "histograms", "exemplars"]
        .map(|what| headers[format!("x-prometheus-remote-write-{what}-written")].to_str().unwrap());
    assert_eq!((status, written), (StatusCode::NO_CONTENT, ["3", "0", "1"]));
    let expected = [
        r#"queue{job="a"} @1000 3+ seconds"#,
        "queue @1000 4 #4bf92f3577b34da6a3ce929d0e0e4736=0.5",
        "x_count @1000 5+",
    ];
    assert_eq!(said(&stored), expected);
}

#[tokio::test]
async fn what_both_versions_say_of_metrics_is_kept_as_samples_of_its_own() {
    let check = async |content_type: &str, body: Vec<u8>, expected: &[&str]| {
        let store = SmallStore::answering(STORED);
        let router = routes(Config::default(), store.context.clone());
        for _ in 0..2 {
            assert_eq!(post(&router, content_type, "snappy", snappy(&body)).await.0, StatusCode::NO_CONTENT);
            assert_eq!(*store.descriptions.lock(), expected, "told once");
        }
    };
    let text = |number, text: &str| bytes(number, text.as_bytes());
    let said = [
        bytes(3, &[whole(1, 3), text(2, "took"), text(4, "Time taken."), text(5, "seconds")].concat()),
        bytes(3, &[whole(1, 9), text(2, "odd"), text(4, "Of no known type.")].concat()),
        bytes(3, &text(2, "silent")),
    ];
    check("", said.concat(), &["took histogram seconds Time taken.", "odd Of no known type."]).await;

    let symbols = ["", "__name__", "took_bucket", "took_sum", "le", "1", "Time taken.", "seconds", "level", "up"];
    let symbols: Vec<u8> = symbols.iter().flat_map(|text| bytes(4, text.as_bytes())).collect();
    let series = |labels: &[u8], [kind, help, unit]: [u64; 3]| {
        let metadata = bytes(5, &[whole(1, kind), whole(3, help), whole(4, unit)].concat());
        bytes(5, &[bytes(1, labels), sample(1.0, 1_000), metadata].concat())
    };
    let said = [
        symbols,
        series(&[1, 2, 4, 5], [3, 6, 7]),
        series(&[1, 3], [3, 6, 7]),
        series(&[1, 8], [2, 0, 0]),
        series(&[1, 9], [0, 0, 0]),
    ];
    check(VERSION_2, said.concat(), &["took histogram seconds Time taken.", "level gauge"]).await;
}

#[tokio::test]
async fn exemplars_find_the_last_sample_of_their_series_or_wait_for_the_next() {
    let (router, _, stored) = router(Config::default(), STORED);
    let a = labels(&[("__name__", "a_bucket"), ("le", "1")]);
    let b = labels(&[("__name__", "b_bucket"), ("le", "1")]);
    let trace = |id: &str| exemplar(3, labels(&[("traceID", id)]), 0.5, 900);
    // As Prometheus writes them: in series of their own.
    let body = version_1(&[
        vec![a.clone(), sample(1.0, 1_000)],
        vec![a.clone(), trace("0000000000000000000000000000000a")],
        vec![b.clone(), trace("0000000000000000000000000000000b")],
    ]);
    let (status, headers, _) = post(&router, "", "snappy", snappy(&body)).await;
    assert_eq!(
        (status, &headers["x-prometheus-remote-write-exemplars-written"]),
        (StatusCode::NO_CONTENT, &"2".parse().unwrap())
    );
    let body = version_1(&[vec![b, sample(2.0, 2_000), exemplar(3, labels(&[("user", "x")]), 1.0, 1)]]);
    let (status, _, text) = post(&router, "", "snappy", snappy(&body)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(text, r#"stored, except: 1 exemplar_without_trace, such as b_bucket{le="1"}"#);
    assert_eq!(said(&stored), [r#"a_bucket{le="1"} @1000 1+ #a=0.5"#, r#"b_bucket{le="1"} @2000 2+ #b=0.5"#]);
}

#[tokio::test]
async fn a_series_that_cannot_be_taken_costs_no_other() {
    let (router, context, stored) = router(Config { labels_bytes_max: 40, ..Config::default() }, STORED);
    let up = labels(&[("__name__", "up")]);
    let long = "x".repeat(50);
    let body = version_1(&[
        vec![labels(&[("job", "a")]), sample(1.0, 1), sample(2.0, 2)],
        vec![labels(&[("__name__", "a"), ("job", "x"), ("job", "y")]), sample(1.0, 1)],
        vec![labels(&[("__name__", &long)]), sample(1.0, 1)],
        vec![bytes(1, &[bytes(1, b"__name__"), bytes(2, b"\xff")].concat()), sample(1.0, 1)],
        vec![up.clone(), sample(1.0, i64::MAX), sample(3.0, 3)],
    ]);
    let (status, headers, text) = post(&router, "", "snappy", snappy(&body)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    assert_eq!(headers["x-prometheus-remote-write-samples-written"], "1");
    assert_eq!(said(&stored), ["up @3 3"]);
    let problems: Vec<_> = context.tallies.snapshot()[0].problems.iter().map(|one| (one.reason, one.count)).collect();
    let expected = [
        ("impossible_time", 1),
        ("invalid_utf8", 1),
        ("labels_too_long", 1),
        ("repeated_label", 1),
        ("series_without_name", 2),
    ];
    assert_eq!(problems, expected);
}

#[tokio::test]
async fn what_is_no_request_is_answered_so_that_nobody_sends_it_again() {
    let config = Config { body_bytes_max: 1_000, decompressed_bytes_max: 2_000, samples_max: 2, ..Config::default() };
    let check = async |content_type: &str, encoding: &str, body: Vec<u8>, expected: StatusCode, message: &str| {
        let (router, context, stored) = router(config.clone(), STORED);
        let (status, headers, text) = post(&router, content_type, encoding, body).await;
        assert_eq!(status, expected, "{text}");
        assert!(text.contains(message), "{text}");
        assert!(stored.lock().is_empty() && !headers.contains_key("retry-after"));
        assert_eq!(context.tallies.snapshot()[0].problems.len(), 1);
    };
    let up = labels(&[("__name__", "up")]);
    let one = version_1(&[vec![up.clone(), sample(1.0, 1)]]);
    let many = version_1(&[vec![up.clone(), sample(1.0, 1)], vec![up, sample(1.0, 2), sample(1.0, 3)]]);
    let bomb = snappy(&vec![0; 10_000]);
    let lie = [&varint(1 << 40)[..], &[0; 100]].concat();
    let setting = "collector.prometheus_write.";
    check("", "snappy", vec![0; 1_001], StatusCode::PAYLOAD_TOO_LARGE, &format!("{setting}body_bytes_max")).await;
    check("", "snappy", bomb, StatusCode::PAYLOAD_TOO_LARGE, &format!("{setting}decompressed_bytes_max")).await;
    check("", "snappy", lie, StatusCode::BAD_REQUEST, "snappy").await;
    check("", "snappy", snappy(&many), StatusCode::PAYLOAD_TOO_LARGE, &format!("{setting}samples_max")).await;
    check("", "snappy", one.clone(), StatusCode::BAD_REQUEST, "not valid snappy").await;
    check("", "snappy", snappy(&one[..10]), StatusCode::BAD_REQUEST, "ends inside a field").await;
    check("", "br", one.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "br").await;
    check(VERSION_2, "snappy", snappy(&one), StatusCode::BAD_REQUEST, "1.0 under the name of 2.0").await;
    for unknown in ["text/plain", "application/x-protobuf;proto=io.prometheus.write.v3.Request"] {
        check(unknown, "snappy", snappy(&one), StatusCode::UNSUPPORTED_MEDIA_TYPE, "proto=prometheus.WriteRequest")
            .await;
    }
    // What is cut anywhere is refused, not guessed.
    for end in 0..one.len() {
        let (router, _, stored) = router(config.clone(), STORED);
        let (status, _, _) = post(&router, "", "zstd", zstd::stream::encode_all(&one[..end], 1).unwrap()).await;
        let expected = if end == 0 { StatusCode::NO_CONTENT } else { StatusCode::BAD_REQUEST };
        assert_eq!((status, stored.lock().len()), (expected, 0), "{end}");
    }
}

#[tokio::test]
async fn a_refusal_is_answered_so_that_it_is_sent_again_and_exemplars_wait_on() {
    let check = async |reason, expected: StatusCode| {
        let refusal = Refusal { reason, message: "no".to_owned(), retry_after: Some(Duration::from_millis(2_500)) };
        let (router, context, _) = router(Config::default(), Outcome::Refused(refusal));
        let body = snappy(&version_1(&[vec![labels(&[("__name__", "up")]), sample(1.0, 1)]]));
        let (status, headers, text) = post(&router, "", "snappy", body).await;
        assert_eq!((status, headers["retry-after"].to_str().unwrap(), text.as_str()), (expected, "3", "no"));
        assert_eq!(headers["x-prometheus-remote-write-samples-written"], "0");
        let tally = &context.tallies.snapshot()[0];
        assert_eq!((tally.records, tally.problems[0].reason), (0, reason.name()));
    };
    check(RefusalReason::Overloaded, StatusCode::SERVICE_UNAVAILABLE).await;
    check(RefusalReason::DiskFull, StatusCode::INSUFFICIENT_STORAGE).await;
    check(RefusalReason::ShuttingDown, StatusCode::SERVICE_UNAVAILABLE).await;

    let intake = super::Intake::new(&Config::default());
    let series = labels(&[("__name__", "a_bucket")]);
    let trace = exemplar(3, labels(&[("trace_id", "0000000000000000000000000000000a")]), 0.5, 900);
    intake.read(&version_1(&[vec![series.clone(), trace]]), super::Version::One).unwrap();
    let body = version_1(&[vec![series, sample(1.0, 1)]]);
    let first = intake.read(&body, super::Version::One).unwrap();
    let samples = first.samples.clone();
    assert_eq!(samples[0].exemplars.len(), 1);
    intake.not_stored(first);
    assert_eq!(intake.read(&body, super::Version::One).unwrap().samples, samples);
}

/// A native histogram of whole counts: two spans, 2 and 1 buckets.
fn native(millis: u64, counts: [u64; 3], zero: u64) -> Vec<u8> {
    let span = |offset: u64, length| bytes(11, &[whole(1, offset * 2), whole(2, length)].concat());
    let signed = |delta: i64| varint((delta << 1) as u64 ^ (delta >> 63) as u64);
    let [a, b, c] = counts.map(|count| count as i64);
    let deltas = [signed(a), signed(b - a), signed(c - b)].concat();
    let fields = [
        whole(1, counts.iter().sum::<u64>() + zero),
        double(3, 10.0 * counts[0] as f64),
        whole(4, 0), // schema 0: powers of two
        double(5, 0.001),
        whole(6, zero),
        span(1, 2),
        span(1, 1),
        bytes(12, &deltas),
        whole(15, millis),
    ];
    fields.concat()
}

#[tokio::test]
async fn native_histograms_become_windows_of_what_was_observed_in_between() {
    let (router, context, stored) = router(Config::default(), STORED);
    let series = labels(&[("__name__", "took")]);
    let request = async |histogram: Vec<u8>| {
        let body = version_1(&[vec![series.clone(), bytes(4, &histogram)]]);
        let (status, headers, text) = post(&router, "", "snappy", snappy(&body)).await;
        assert_eq!(headers["x-prometheus-remote-write-histograms-written"].to_str().unwrap(), "1", "{text}");
        assert_eq!(status, StatusCode::NO_CONTENT);
    };
    request(native(10_000, [1, 2, 3], 1)).await;
    assert!(stored.lock().is_empty(), "the first says where to go on");
    request(native(20_000, [1, 4, 4], 1)).await;
    request(native(20_000, [1, 4, 4], 1)).await;
    request(native(30_000, [0, 1, 0], 0)).await;
    let ended = [double(3, STALE), whole(15, 31_000)].concat();
    request(ended).await;
    request(native(40_000, [9, 9, 9], 9)).await;
    let stored = stored.lock();
    let windows: Vec<_> = stored
        .iter()
        .map(|sample| {
            let SampleValue::Distribution(value) = &sample.value else { panic!("{sample:?}") };
            let median = value.quantile(0.5).unwrap();
            (sample.timestamp.unix_millis(), sample.interval_ms, value.count, value.min, value.max, median)
        })
        .collect();
    // Buckets (1, 2], (2, 4] and, behind a gap, (8, 16]: two came into the second, one into the third.
    let [first, second] = windows[..] else { panic!("{windows:?}") };
    assert_eq!((first.0, first.1, first.2, first.3, first.4), (10_000, 10_000, 3.0, 2.0, 16.0));
    assert!((first.5 - 8f64.sqrt()).abs() < 0.03, "{first:?}");
    assert_eq!((second.0, second.1, second.2, second.3, second.4), (20_000, 10_000, 1.0, 2.0, 4.0));
    assert!(context.tallies.snapshot()[0].problems.is_empty());
}

#[tokio::test]
async fn histograms_that_cannot_be_are_refused_and_gauge_histograms_are_moments() {
    let (router, _, stored) = router(Config::default(), STORED);
    let series = labels(&[("__name__", "h")]);
    let check = async |histogram: Vec<u8>, expected: &str| {
        let body = version_1(&[vec![series.clone(), bytes(4, &histogram)]]);
        let (status, _, text) = post(&router, "", "snappy", snappy(&body)).await;
        assert!(
            text.contains(expected) && (status == StatusCode::NO_CONTENT) == expected.is_empty(),
            "{status} {text}"
        );
    };
    let span = |length| bytes(11, &whole(2, length));
    check([whole(4, 9 << 1), whole(15, 1)].concat(), "unknown_histogram_schema").await;
    check([span(2), bytes(12, &[2])].concat(), "another number of counts").await;
    check(span(30_000), "more than 20,000 buckets").await;
    check([span(1), bytes(12, &[3])].concat(), "impossible count").await;
    check([span(1), bytes(13, &f64::NAN.to_le_bytes())].concat(), "impossible count").await;
    check([bytes(11, &[whole(1, u64::MAX - 1), whole(2, 1)].concat()), bytes(12, &[2])].concat(), "impossible bucket")
        .await;
    let custom = |values: [f64; 2]| [whole(4, 105), bytes(16, &values.map(f64::to_le_bytes).concat())].concat();
    check(custom([2.0, 1.0]), "do not rise").await;
    let float = [double(2, 2.5), double(3, 7.0), span(1), bytes(13, &2.5f64.to_le_bytes()), whole(14, 3), whole(15, 5)];
    check([custom([1.0, 2.0]), float.concat()].concat(), "").await;
    let stored = stored.lock();
    let SampleValue::Distribution(value) = &stored[0].value else { panic!("{stored:?}") };
    assert_eq!((stored.len(), stored[0].interval_ms, value.count, value.sum, value.max), (1, 0, 2.5, 7.0, 1.0));
}
