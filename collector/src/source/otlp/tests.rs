//! The route, spoken to through the router itself with a small store behind it.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use parking_lot::Mutex;
use prost::Message;
use serde_json::{Value, json};

use super::{Config, routes};
use crate::delivery::{Outcome, Refusal, RefusalReason};
use crate::model::{Sample, SampleValue, is_stale};
use crate::source::SourceContext;
use crate::source::small_store::{self, SmallStore};

const STORED: Outcome = Outcome::Stored { acked_through: None };
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

fn router(config: Config, outcome: Outcome) -> (Router, SourceContext, Arc<Mutex<Vec<Sample>>>) {
    let SmallStore { context, samples, .. } = SmallStore::answering(outcome);
    (routes(config, &context), context, samples)
}

async fn post(router: &Router, content_type: &str, encoding: &str, body: Vec<u8>) -> (StatusCode, HeaderMap, Vec<u8>) {
    small_store::post(router, "/v1/metrics", content_type, encoding, body).await
}

/// A request of one resource and these metrics, as JSON.
fn request(metrics: Value) -> Value {
    let attribute = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    json!({ "resourceMetrics": [{
        "resource": { "attributes": [
            attribute("service.name", "shop"),
            attribute("service.instance.id", "i-1"),
            attribute("host.name", "web-1"),
            attribute("k8s.pod.name", "pod-7"),
            attribute("os.type", "linux"),
        ] },
        "scopeMetrics": [{ "scope": { "name": "tests" }, "metrics": metrics }],
    }] })
}

/// What is stored of series that no other line says, without the labels that all share.
fn said(stored: &Mutex<Vec<Sample>>) -> Vec<String> {
    let line = |sample: &Sample| {
        let value = match &sample.value {
            SampleValue::Cumulative { total } if is_stale(*total) => "stale+".to_owned(),
            SampleValue::Gauge { last, .. } if is_stale(*last) => "stale".to_owned(),
            SampleValue::Cumulative { total } => format!("{total}+"),
            SampleValue::Gauge { last, .. } => last.to_string(),
            SampleValue::Counter { sum } => format!("+{sum}"),
            SampleValue::Distribution(value) => {
                format!("n={} sum={} {}..{}", value.count, value.sum, value.min, value.max)
            }
            SampleValue::Set(_) => unreachable!(),
        };
        let labels: Vec<String> = sample
            .labels
            .iter()
            .filter(|(name, _)| !["host", "instance", "k8s.pod.name", "service", "otel_scope_name"].contains(name))
            .map(|(name, value)| if name == "__name__" { value.to_owned() } else { format!("{name}={value}") })
            .collect();
        let exemplars: String =
            sample.exemplars.iter().map(|one| format!(" #{:x}={}", one.trace_id.bits(), one.value)).collect();
        let at = sample.timestamp.unix_millis() / 1000;
        let window = if sample.interval_ms > 0 { format!("+{}", sample.interval_ms / 1000) } else { String::new() };
        let unit = if sample.unit.is_empty() { String::new() } else { format!(" {}", sample.unit) };
        format!("{} @{at}{window} {value}{unit}{exemplars}", labels.join(" "))
    };
    stored.lock().iter().map(line).collect()
}

const SECOND: u64 = 1_000_000_000;

/// A point from 10 to 20 s with these members beside.
fn point(members: Value) -> Value {
    let mut point =
        json!({ "startTimeUnixNano": (10 * SECOND).to_string(), "timeUnixNano": (20 * SECOND).to_string() });
    for (name, value) in members.as_object().unwrap() {
        point[name] = value.clone();
    }
    point
}

#[tokio::test]
async fn every_kind_of_metric_becomes_what_the_table_says() {
    let check = async |metric: Value, expected: &[&str]| {
        let request = request(json!([metric]));
        let message: ExportMetricsServiceRequest = serde_json::from_value(request.clone()).unwrap();
        for (form, body) in [(JSON, request.to_string().into_bytes()), (PROTOBUF, message.encode_to_vec())] {
            let (router, _, stored) = router(Config::default(), STORED);
            let (status, headers, answer) = post(&router, form, "", body).await;
            assert_eq!((status, headers["content-type"].to_str().unwrap()), (StatusCode::OK, form));
            assert_eq!(answer, if form == JSON { b"{}".to_vec() } else { Vec::new() });
            let mut said = said(&stored);
            assert_eq!(said.pop().as_deref(), Some("target_info os.type=linux @20 1").filter(|_| !expected.is_empty()));
            assert_eq!(said, expected, "{metric}");
            let stored = stored.lock();
            let labels = stored.first().map(|sample| Arc::clone(&sample.labels)).unwrap_or_default();
            for (name, value) in
                [("service", "shop"), ("instance", "i-1"), ("host", "web-1"), ("k8s.pod.name", "pod-7")]
            {
                assert!(expected.is_empty() || labels.get(name) == value, "{labels}");
            }
        }
    };
    let attributes = json!([{ "key": "http.route", "value": { "stringValue": "/a" } }]);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let exemplar = |value: f64| json!({ "timeUnixNano": "15000000000", "asDouble": value, "traceId": trace, "spanId": "00f067aa0ba902b7" });
    check(
        json!({ "name": "queue.size", "unit": "By", "gauge": { "dataPoints": [
            point(json!({ "asInt": "7", "attributes": attributes, "exemplars": [exemplar(7.0)] })),
        ] } }),
        &[&format!("queue.size http.route=/a @20 7 By #{trace}=7")],
    )
    .await;
    let sum = |temporality: u8, monotonic: bool, value: f64, flags: u8| {
        json!({ "name": "hits", "sum": { "aggregationTemporality": temporality, "isMonotonic": monotonic, "dataPoints": [
            point(json!({ "asDouble": value, "flags": flags })),
        ] } })
    };
    check(sum(2, true, 7.5, 0), &["hits @20 7.5+"]).await;
    check(sum(2, false, -7.5, 0), &["hits @20 -7.5"]).await;
    check(sum(1, true, 3.0, 0), &["hits @10+10 +3"]).await;
    check(sum(1, false, -3.0, 0), &["hits @10+10 +-3"]).await;
    check(sum(2, true, 0.0, 1), &["hits @20 stale+"]).await;
    check(sum(1, true, 0.0, 1), &[]).await;
    let histogram = |temporality: u8| {
        json!({ "name": "took", "unit": "s", "histogram": { "aggregationTemporality": temporality, "dataPoints": [
            point(json!({ "count": "6", "sum": 4.5, "bucketCounts": ["1", "2", "3"], "explicitBounds": [0.5, 1.0],
                "exemplars": [exemplar(0.7)] })),
        ] } })
    };
    let with_trace = format!("took_bucket le=1 @20 3+ #{trace}=0.7");
    check(
        histogram(2),
        &[
            "took_bucket le=0.5 @20 1+",
            &with_trace,
            "took_bucket le=+Inf @20 6+",
            "took_count @20 6+",
            "took_sum @20 4.5+ s",
        ],
    )
    .await;
    let with_trace = format!("took_bucket le=1 @10+10 +3 #{trace}=0.7");
    check(
        histogram(1),
        &[
            "took_bucket le=0.5 @10+10 +1",
            &with_trace,
            "took_bucket le=+Inf @10+10 +6",
            "took_count @10+10 +6",
            "took_sum @10+10 +4.5 s",
        ],
    )
    .await;
    check(
        json!({ "name": "took", "summary": { "dataPoints": [
            point(json!({ "count": "6", "sum": 4.5, "quantileValues": [{ "quantile": 0.5, "value": 0.25 }] })),
        ] } }),
        &["took quantile=0.5 @20 0.25", "took_count @20 6+", "took_sum @20 4.5+"],
    )
    .await;
    check(
        json!({ "name": "took", "exponentialHistogram": { "aggregationTemporality": 1, "dataPoints": [
            point(json!({ "count": "4", "sum": 9.0, "scale": 0, "zeroCount": "1", "min": 0.0, "max": 5.0,
                "positive": { "offset": 1, "bucketCounts": ["1", "2"] }, "exemplars": [exemplar(5.0)] })),
        ] } }),
        &[&format!("took @10+10 n=4 sum=9 0..5 #{trace}=5")],
    )
    .await;
}

#[tokio::test]
async fn cumulative_exponential_histograms_become_windows_of_what_came_in_between() {
    let (router, _, stored) = router(Config::default(), STORED);
    let send = async |at: u64, counts: [u64; 2]| {
        let count = counts.iter().sum::<u64>().to_string();
        let counts = counts.map(|count| count.to_string());
        let body = request(
            json!([{ "name": "took", "exponentialHistogram": { "aggregationTemporality": 2, "dataPoints": [
            { "startTimeUnixNano": "1000000000", "timeUnixNano": (at * SECOND).to_string(), "count": count, "sum": 1.0, "scale": 0,
              "positive": { "offset": 0, "bucketCounts": counts } },
        ] } }]),
        );
        let (status, _, _) = post(&router, JSON, "", body.to_string().into_bytes()).await;
        assert_eq!(status, StatusCode::OK);
    };
    send(10, [1, 1]).await;
    send(20, [1, 3]).await;
    send(20, [1, 3]).await;
    let windows: Vec<_> = said(&stored).into_iter().filter(|line| line.starts_with("took")).collect();
    // Of OpenTelemetry's buckets the one with index 1 is (2, 4].
    assert_eq!(windows, ["took @10+10 n=2 sum=0 2..4"]);
}

#[tokio::test]
async fn what_cannot_be_taken_is_told_and_costs_no_other_point() {
    let (router, context, stored) = router(Config { labels_bytes_max: 200, ..Config::default() }, STORED);
    let long = json!([{ "key": "k", "value": { "stringValue": "x".repeat(300) } }]);
    let body = request(json!([
        { "name": "good", "gauge": { "dataPoints": [point(json!({ "asInt": "1" })), point(json!({ "asInt": "2", "attributes": long }))] } },
        { "name": "when", "sum": { "isMonotonic": true, "dataPoints": [point(json!({ "asInt": "1" })), point(json!({ "asInt": "1" }))] } },
        { "name": "", "gauge": { "dataPoints": [point(json!({ "asInt": "1" }))] } },
        { "name": "nothing", "gauge": { "dataPoints": [point(json!({}))] } },
        { "name": "odd", "histogram": { "aggregationTemporality": 2, "dataPoints": [point(json!({ "bucketCounts": ["1"], "explicitBounds": [1.0, 2.0] }))] } },
        { "name": "far", "exponentialHistogram": { "aggregationTemporality": 2, "dataPoints": [point(json!({ "scale": 99 }))] } },
    ]));
    let (status, _, answer) = post(&router, JSON, "", body.to_string().into_bytes()).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, &answer["partialSuccess"]["rejectedDataPoints"]), (StatusCode::OK, &json!("7")), "{answer}");
    assert!(
        answer["partialSuccess"]["errorMessage"].as_str().unwrap().contains("2 unknown_temporality, such as of when")
    );
    assert_eq!(said(&stored), ["good @20 1", "target_info os.type=linux @20 1"]);
    let problems = context.tallies.of("otlp", "/v1/metrics").snapshot().problems;
    let problems: Vec<_> = problems.iter().map(|one| (one.reason, one.count)).collect();
    let expected = [
        ("labels_too_long", 1),
        ("malformed_histogram", 1),
        ("metric_without_name", 1),
        ("point_without_value", 1),
        ("unknown_histogram_scale", 1),
        ("unknown_temporality", 2),
    ];
    assert_eq!(problems, expected);
    let message: ExportMetricsServiceRequest = serde_json::from_value(body).unwrap();
    let (_, _, answer) = post(&router, PROTOBUF, "", message.encode_to_vec()).await;
    let partial = ExportMetricsServiceResponse::decode(&answer[..]).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_data_points, 7);
}

#[tokio::test]
async fn bodies_are_unpacked_within_limits_that_name_their_setting() {
    let config = Config { body_bytes_max: 2_000, decompressed_bytes_max: 4_000, samples_max: 2, ..Config::default() };
    let gzip = |body: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    };
    let gauges = |count: usize| {
        let points: Vec<Value> = (0..count).map(|_| point(json!({ "asInt": "1" }))).collect();
        request(json!([{ "name": "g", "gauge": { "dataPoints": points } }])).to_string().into_bytes()
    };
    let check = async |form: &str, encoding: &str, body: Vec<u8>, expected: StatusCode, message: &str| {
        let (router, context, stored) = router(config.clone(), STORED);
        let (status, _, answer) = post(&router, form, encoding, body).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(status, expected, "{answer}");
        assert!(answer.contains(message), "{answer}");
        let problems = context.tallies.of("otlp", "/v1/metrics").snapshot().problems.len();
        assert_eq!(
            (stored.lock().is_empty(), problems),
            (expected != StatusCode::OK, usize::from(expected != StatusCode::OK))
        );
    };
    let bomb = [0x0A, 0].repeat((1 << 22) + 1);
    check(JSON, "gzip", gzip(&gauges(1)), StatusCode::OK, "{}").await;
    check("application/json; charset=utf-8", "", gauges(1), StatusCode::OK, "{}").await;
    check(JSON, "", gauges(3), StatusCode::PAYLOAD_TOO_LARGE, "collector.otlp.samples_max").await;
    check(JSON, "", vec![b' '; 2_001], StatusCode::PAYLOAD_TOO_LARGE, "collector.otlp.body_bytes_max").await;
    check(JSON, "gzip", gzip(&[b' '; 4_001]), StatusCode::PAYLOAD_TOO_LARGE, "collector.otlp.decompressed_bytes_max")
        .await;
    check(JSON, "gzip", b"{}".to_vec(), StatusCode::BAD_REQUEST, "not valid gzip").await;
    check(JSON, "br", b"{}".to_vec(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "br").await;
    check(JSON, "", b"[1]".to_vec(), StatusCode::BAD_REQUEST, "ExportMetricsServiceRequest").await;
    check(PROTOBUF, "", b"\x0A\xFF".to_vec(), StatusCode::BAD_REQUEST, "ExportMetricsServiceRequest").await;
    check("text/plain", "", Vec::new(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/x-protobuf").await;
    let (router, _, _) = router(Config::default(), STORED);
    let (status, _, answer) = post(&router, PROTOBUF, "gzip", gzip(&bomb)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(String::from_utf8_lossy(&answer).contains("more than 4194304 fields"));
}

#[tokio::test]
async fn a_refusal_is_answered_so_that_it_is_sent_again() {
    for reason in [RefusalReason::Overloaded, RefusalReason::DiskFull, RefusalReason::ShuttingDown] {
        let refusal = Refusal { reason, message: "no".to_owned(), retry_after: Some(Duration::from_millis(1_500)) };
        let (router, _, _) = router(Config::default(), Outcome::Refused(refusal));
        let body = request(json!([{ "name": "g", "gauge": { "dataPoints": [point(json!({ "asInt": "1" }))] } }]));
        let (status, headers, answer) = post(&router, JSON, "", body.to_string().into_bytes()).await;
        assert_eq!((status, headers["retry-after"].to_str().unwrap()), (StatusCode::SERVICE_UNAVAILABLE, "2"));
        assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap()["message"], "no");
    }
}

#[tokio::test]
async fn descriptions_are_told_once_and_again_when_they_were_not_stored() {
    let metrics = json!([
        { "name": "jobs", "description": "Jobs done.", "unit": "1",
          "sum": { "isMonotonic": true, "aggregationTemporality": 2, "dataPoints": [point(json!({ "asInt": "3" }))] } },
        { "name": "level", "description": "How full.", "gauge": { "dataPoints": [point(json!({ "asDouble": 0.5 }))] } },
        { "name": "plain", "gauge": { "dataPoints": [point(json!({ "asDouble": 0.5 }))] } },
    ]);
    let body = request(metrics).to_string().into_bytes();
    let all = ["jobs counter 1 Jobs done.", "level gauge How full."];
    let store = SmallStore::answering(STORED);
    let router = routes(Config::default(), &store.context);
    for _ in 0..2 {
        assert_eq!(post(&router, JSON, "", body.clone()).await.0, StatusCode::OK);
        assert_eq!(*store.descriptions.lock(), all);
    }
    let refusal = Refusal { reason: RefusalReason::Overloaded, message: String::new(), retry_after: None };
    let store = SmallStore::answering(Outcome::Refused(refusal));
    let router = routes(Config::default(), &store.context);
    for _ in 0..2 {
        assert_eq!(post(&router, JSON, "", body.clone()).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(*store.descriptions.lock(), [all, all].concat());
}
