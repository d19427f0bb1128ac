//! Logs and spans over HTTP in both forms and over gRPC: the same records, the same limits, the same refusals.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use prost::Message;
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use super::request::{ExportLogsServiceRequest, ExportTraceServiceRequest};
use super::routes::ExportResponse;
use super::{Config, Signal, routes};
use crate::delivery::{Outcome, Refusal, RefusalReason};
use crate::enrich::Switch;
use crate::model::LogRecord;
use crate::source::small_store::{self, SmallStore};

const STORED: Outcome = Outcome::Stored { acked_through: None };
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn attribute(key: &str, value: &str) -> Json {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn logs(records: Json) -> Json {
    json!({ "resourceLogs": [{
        "resource": { "attributes": [
            attribute("service.name", "shop"), attribute("host.name", "web-1"), attribute("k8s.pod.name", "pod-7"),
        ] },
        "scopeLogs": [{ "scope": { "name": "shop.cart" }, "logRecords": records }],
    }] })
}

fn spans(spans: Json) -> Json {
    json!({ "resourceSpans": [{
        "resource": { "attributes": [attribute("service.name", "shop")] },
        "scopeSpans": [{ "scope": { "name": "tracer" }, "spans": spans }],
    }] })
}

fn protobuf(signal: Signal, request: &Json) -> Vec<u8> {
    if signal == Signal::Logs {
        serde_json::from_value::<ExportLogsServiceRequest>(request.clone()).unwrap().encode_to_vec()
    } else {
        serde_json::from_value::<ExportTraceServiceRequest>(request.clone()).unwrap().encode_to_vec()
    }
}

fn method(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    }
}

/// A call over gRPC: its status, its message and what it brings back.
async fn call(router: &Router, path: &str, encoding: &str, body: Vec<u8>) -> (u16, String, Vec<u8>) {
    let prefix = [u8::from(!encoding.is_empty())];
    let body = [&prefix[..], &u32::try_from(body.len()).unwrap().to_be_bytes(), &body].concat();
    let mut request = Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    if !encoding.is_empty() {
        request = request.header("grpc-encoding", encoding);
    }
    let response = router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    assert_eq!((parts.status, &parts.headers["content-type"]), (StatusCode::OK, &"application/grpc".parse().unwrap()));
    let body = body.collect().await.unwrap();
    let said = body.trailers().cloned().unwrap_or(parts.headers);
    let bytes = body.to_bytes();
    if let Some(prefix) = bytes.first_chunk::<5>() {
        assert_eq!((prefix[0], u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize), (0, bytes.len() - 5));
    }
    let text = |headers: &HeaderMap, name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let status = text(&said, "grpc-status").unwrap().parse().unwrap();
    (status, text(&said, "grpc-message").unwrap_or_default(), bytes.get(5..).unwrap_or_default().to_vec())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A record in one line: time, level, text, ids, who said it, and attributes.
fn told(record: &LogRecord) -> String {
    let mut line = format!("{} {:?}", record.timestamp.unix_nanos(), record.severity.name());
    if !record.severity_text.is_empty() {
        line += &format!("({})", record.severity_text);
    }
    line += &format!(" {:?} {}/{}", record.body, record.resource.host, record.resource.service);
    line += &record.trace_id.map(|id| format!(" trace={id}")).unwrap_or_default();
    line += &record.span_id.map(|id| format!(" span={id}")).unwrap_or_default();
    for (name, value) in record.resource.attributes.iter().chain(&record.attributes) {
        line += &format!(" {name}={value}");
    }
    line
}

/// Sends the request in every way, and compares what is stored and answered.
async fn check(signal: Signal, request: Json, expected: &[&str], rejected: &str) {
    let message = protobuf(signal, &request);
    for way in ["json", "protobuf", "grpc", "grpc gzip", "grpc zstd"] {
        let store = SmallStore::answering(STORED);
        let router = routes(Config::default(), &store.context);
        let answer = match way {
            "json" => {
                let body = request.to_string().into_bytes();
                let (status, _, answer) = small_store::post(&router, signal.path(), JSON, "", body).await;
                assert_eq!(status, StatusCode::OK);
                String::from_utf8(answer).unwrap()
            }
            way => {
                let answer = match way {
                    "protobuf" => {
                        let sent = small_store::post(&router, signal.path(), PROTOBUF, "", message.clone()).await;
                        assert_eq!(sent.0, StatusCode::OK);
                        sent.2
                    }
                    way => {
                        let encoding = way.strip_prefix("grpc").unwrap().trim();
                        let body = match encoding {
                            "gzip" => gzip(&message),
                            "zstd" => zstd::stream::encode_all(&message[..], 1).unwrap(),
                            _ => message.clone(),
                        };
                        let (status, said, answer) = call(&router, method(signal), encoding, body).await;
                        assert_eq!((status, &*said), (0, ""), "{way}");
                        answer
                    }
                };
                let said = ExportResponse::decode(&answer[..]).unwrap().partial_success;
                said.map(|said| format!("rejected {}: {}", said.rejected, said.error_message)).unwrap_or_default()
            }
        };
        assert!(answer.contains(rejected) && (!rejected.is_empty() || !answer.contains("rejected")), "{way}: {answer}");
        let stored: Vec<String> = store.logs.lock().iter().map(told).collect();
        assert_eq!(stored, expected, "{way}");
    }
}

#[tokio::test]
async fn records_of_loggers_are_taken_as_they_are() {
    let request = logs(json!([
        {
            "timeUnixNano": "1700000000000000001", "severityNumber": 17, "severityText": "ERROR",
            "body": { "stringValue": "card declined" }, "traceId": TRACE, "spanId": SPAN,
            "attributes": [
                { "key": "order", "value": { "kvlistValue": { "values": [{ "key": "id", "value": { "intValue": "7" } }] } } },
                { "key": "level", "value": { "stringValue": "kept" } },
            ],
        },
        { "observedTimeUnixNano": "5", "severityText": "Warning", "body": { "kvlistValue": { "values": [
            { "key": "a", "value": { "boolValue": true } },
        ] } }, "eventName": "cart.full" },
        { "timeUnixNano": "6", "severityNumber": 99, "severityText": "loud", "body": { "stringValue": "" } },
    ]));
    let who = "web-1/shop";
    let expected = [
        format!(
            "1700000000000000001 \"error\"(ERROR) \"card declined\" {who} trace={TRACE} span={SPAN} k8s.pod.name=pod-7 scope.name=shop.cart order.id=7 level=kept"
        ),
        format!(
            "5 \"warn\"(Warning) \"{{\\\"a\\\":true}}\" {who} k8s.pod.name=pod-7 a=true scope.name=shop.cart event.name=cart.full"
        ),
        format!("6 \"\"(loud) \"\" {who} k8s.pod.name=pod-7 scope.name=shop.cart"),
    ];
    check(Signal::Logs, request, &expected.each_ref().map(String::as_str), "").await;
}

#[tokio::test]
async fn a_line_that_nobody_read_is_read_here() {
    let request = logs(json!([
        { "timeUnixNano": "5", "body": { "stringValue": "level=warn msg=\"disk is full\" free=3" },
          "traceId": TRACE, "attributes": [attribute("log.file.name", "a.log")] },
    ]));
    let expected = format!(
        "5 \"warn\"(warn) \"level=warn msg=\\\"disk is full\\\" free=3\" web-1/shop trace={TRACE} k8s.pod.name=pod-7 msg=disk is full free=3 scope.name=shop.cart log.file.name=a.log"
    );
    check(Signal::Logs, request, &[&expected], "").await;
}

#[tokio::test]
async fn a_span_stands_at_its_begin_and_what_happened_in_it_beside() {
    let request = spans(json!([
        {
            "traceId": TRACE, "spanId": SPAN, "parentSpanId": "00000000000000aa", "name": "POST /pay", "kind": 2,
            "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000012000001",
            "attributes": [attribute("http.route", "/pay")],
            "status": { "code": 2, "message": "declined" },
            "events": [
                { "timeUnixNano": "1700000000005000000", "name": "exception", "attributes": [
                    attribute("exception.type", "Declined"), attribute("exception.message", "no money"),
                ] },
                { "timeUnixNano": "1700000000006000000", "name": "retried" },
            ],
            "links": [{ "traceId": "000000000000000000000000000000ff", "spanId": SPAN }],
        },
        { "traceId": TRACE, "name": "lost", "startTimeUnixNano": "1", "endTimeUnixNano": "2" },
        { "traceId": TRACE, "spanId": SPAN, "name": "timeless" },
    ]));
    let ids = format!("/shop trace={TRACE} span={SPAN}");
    let expected = [
        format!(
            "1700000000000000000 \"error\" \"POST /pay\" {ids} scope.name=tracer http.route=/pay span.kind=server duration_ms=12.000001 parent_span_id=00000000000000aa span.status_message=declined span.links=[000000000000000000000000000000ff]"
        ),
        format!(
            "1700000000005000000 \"error\" \"Declined: no money\" {ids} exception.type=Declined exception.message=no money event.name=exception"
        ),
        format!("1700000000006000000 \"info\" \"retried\" {ids} event.name=retried"),
    ];
    let rejected = "1 span_without_ids, such as of lost; 1 span_without_start, such as of timeless";
    check(Signal::Traces, request, &expected.each_ref().map(String::as_str), rejected).await;
}

#[tokio::test]
async fn what_is_too_much_or_nonsense_is_refused_by_name_in_both_protocols() {
    let config = Config { body_bytes_max: 2_000, decompressed_bytes_max: 4_000, records_max: 2, ..Config::default() };
    let store = SmallStore::answering(STORED);
    let router = routes(config, &store.context);
    let records = |count: usize| protobuf(Signal::Logs, &logs(json!(vec![json!({ "severityNumber": 9 }); count])));
    let check = async |encoding: &str, body: Vec<u8>, http: StatusCode, grpc: u16, expected: &str| {
        let (status, _, answer) = small_store::post(&router, "/v1/logs", PROTOBUF, encoding, body.clone()).await;
        assert_eq!(status, http, "{}", String::from_utf8_lossy(&answer));
        assert!(String::from_utf8_lossy(&answer).contains(expected), "{}", String::from_utf8_lossy(&answer));
        let (status, message, _) = call(&router, method(Signal::Logs), encoding, body).await;
        assert_eq!(status, grpc, "{message}");
        assert!(message.contains(expected), "{message}");
    };
    check("", records(2), StatusCode::OK, 0, "").await;
    check("", records(3), StatusCode::PAYLOAD_TOO_LARGE, 3, "raise collector.otlp.records_max").await;
    check("", vec![0; 2_001], StatusCode::PAYLOAD_TOO_LARGE, 3, "raise collector.otlp.body_bytes_max").await;
    check("gzip", gzip(&[0; 4_001]), StatusCode::PAYLOAD_TOO_LARGE, 3, "raise collector.otlp.decompressed_bytes_max")
        .await;
    check("gzip", b"xx".to_vec(), StatusCode::BAD_REQUEST, 3, "not valid gzip").await;
    check("snappy", records(1), StatusCode::UNSUPPORTED_MEDIA_TYPE, 12, "snappy").await;
    check("", b"\x0A\xFF".to_vec(), StatusCode::BAD_REQUEST, 3, "ExportLogsServiceRequest").await;
    let problems: Vec<_> = store.context.tallies.of("otlp", "/v1/logs").snapshot().problems;
    let counts: Vec<_> = problems.iter().map(|problem| (problem.reason, problem.count)).collect();
    assert_eq!(
        counts,
        [
            ("body_too_large", 2),
            ("decompressed_body_too_large", 2),
            ("malformed_body", 4),
            ("too_many_records", 2),
            ("unknown_encoding", 2),
        ]
    );
}

#[tokio::test]
async fn what_is_not_stored_is_to_be_sent_again() {
    let refusal = Refusal {
        reason: RefusalReason::DiskFull,
        message: "no".to_owned(),
        retry_after: Some(Duration::from_secs(3)),
    };
    let store = SmallStore::answering(Outcome::Refused(refusal));
    let router = routes(Config::default(), &store.context);
    let body = protobuf(Signal::Logs, &logs(json!([{ "severityNumber": 9 }])));
    assert_eq!(call(&router, method(Signal::Logs), "", body.clone()).await, (14, "no".to_owned(), Vec::new()));
    let (status, headers, _) = small_store::post(&router, "/otlp/v1/logs", PROTOBUF, "", body).await;
    assert_eq!((status, headers["retry-after"].to_str().unwrap()), (StatusCode::SERVICE_UNAVAILABLE, "3"));
}

#[tokio::test]
async fn secrets_go_where_that_is_asked_for_and_a_near_sender_is_of_this_host() {
    let request = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{
        "timeUnixNano": "5", "severityNumber": 9, "body": { "stringValue": "in" }, "attributes": [attribute("password", "hunter2")],
    }] }] }] });
    let check = async |redact, peer: &str, expected: &str| {
        let mut store = SmallStore::answering(STORED);
        let config = crate::config::Config { host: None, ..crate::config::Config::default() };
        store.context.enricher = config.enricher().unwrap();
        store.context.resource =
            std::sync::Arc::new(crate::model::Resource { host: "here".into(), ..Default::default() });
        let router = routes(Config { redact, ..Config::default() }, &store.context);
        let peer: SocketAddr = peer.parse().unwrap();
        let post = Request::post("/v1/logs").header("content-type", JSON).extension(ConnectInfo(peer));
        let response = router.oneshot(post.body(Body::from(request.to_string())).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(store.logs.lock().iter().map(told).collect::<Vec<_>>(), [expected]);
    };
    check(Switch::Off, "127.0.0.1:5", "5 \"info\" \"in\" here/ password=hunter2").await;
    check(Switch::On, "10.0.0.7:5", "5 \"info\" \"in\" / password=[redacted:password]").await;
}
