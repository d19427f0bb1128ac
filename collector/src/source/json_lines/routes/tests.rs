//! The route, spoken to through the router itself, with a small store behind it.

use axum::body::Body;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tower::ServiceExt;

use super::*;
use crate::delivery::{self, Outcome};
use crate::enrich::Enricher;
use crate::model::Batch;
use crate::source::record_batches::BATCH_RECORDS_MAX;

/// A router whose batches are answered with `outcome` and kept.
fn router(config: Config, outcome: Outcome) -> (Router, SourceContext, Arc<Mutex<Vec<Batch>>>) {
    let (outlet, mut receiver) = delivery::channel(4);
    let stored = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&stored);
    tokio::spawn(async move {
        while let Some(delivery) = receiver.recv().await {
            keep.lock().push(delivery.batch);
            delivery.receipt.answer(outcome.clone());
        }
    });
    let context = SourceContext { enricher: enricher(), ..SourceContext::bare(outlet) };
    (routes(config, context.clone()), context, stored)
}

/// One that redacts, and drops what the service `noise` says.
fn enricher() -> Enricher {
    let rule = serde_json::from_value(json!({ "service": "noise", "drop_records": true })).unwrap();
    crate::config::Config { shape: vec![rule], ..Default::default() }.enricher().unwrap()
}

const STORED: Outcome = Outcome::Stored { acked_through: None };

async fn post_to(
    router: Router,
    uri: &str,
    encoding: &str,
    body: Vec<u8>,
) -> (StatusCode, HeaderMap, serde_json::Value) {
    let request = Request::post(uri).header("content-encoding", encoding).body(Body::from(body)).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn records_are_stored_before_the_answer_and_bad_lines_named() {
    let (router, context, stored) = router(Config::default(), STORED);
    let body = b"{\"msg\":\"a\"}\nnonsense\n{\"msg\":\"b\",\"host\":\"own\"}\n".to_vec();
    let (status, _, answer) = post_to(router, "/api/v1/logs?service=shop&host=web-1", "", body).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer, json!({ "accepted": 2, "rejected": [{ "line": 2, "reason": "not a JSON object" }] }));
    let stored = stored.lock();
    let said: Vec<_> = stored
        .iter()
        .flat_map(|batch| &batch.logs)
        .map(|record| (&*record.body, &*record.resource.host, &*record.resource.service))
        .collect();
    assert_eq!(said, [("a", "web-1", "shop"), ("b", "own", "shop")]);
    let tally = &context.tallies.snapshot()[0];
    assert_eq!((tally.records, tally.problems[0].reason, tally.problems[0].count), (2, "malformed_line", 1));
}

#[tokio::test]
async fn compressed_arrays_are_taken() {
    let (router, _, stored) = router(Config::default(), STORED);
    let body = zstd::stream::encode_all(&b"[{\"msg\":\"a\"},{\"msg\":\"b\"}]"[..], 1).unwrap();
    let (status, _, answer) = post_to(router, "/api/v1/logs", "zstd", body).await;
    assert_eq!((status, answer), (StatusCode::OK, json!({ "accepted": 2, "rejected": [] })));
    assert_eq!(stored.lock()[0].logs.len(), 2);
}

#[tokio::test]
async fn bodies_beyond_a_limit_name_the_setting() {
    let config = Config { body_bytes_max: 1000, decompressed_bytes_max: 2000, ..Config::default() };
    let check = async |encoding: &str, body: Vec<u8>, expected: StatusCode, message: &str| {
        let (router, context, stored) = router(config.clone(), STORED);
        let (status, _, answer) = post_to(router, "/api/v1/logs", encoding, body).await;
        assert_eq!(status, expected, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(message), "{answer}");
        assert!(stored.lock().is_empty());
        assert_eq!(context.tallies.snapshot()[0].problems.len(), 1);
    };
    let bomb = zstd::stream::encode_all(&vec![b' '; 1 << 20][..], 1).unwrap();
    check("", vec![b' '; 1001], StatusCode::PAYLOAD_TOO_LARGE, "collector.json_lines.body_bytes_max").await;
    check("zstd", bomb, StatusCode::PAYLOAD_TOO_LARGE, "collector.json_lines.decompressed_bytes_max").await;
    check("zstd", b"{}".to_vec(), StatusCode::BAD_REQUEST, "not valid zstd").await;
    check("lzma", b"{}".to_vec(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "lzma").await;
    check("", b"hello\nworld".to_vec(), StatusCode::BAD_REQUEST, "NDJSON or a JSON array").await;
}

#[tokio::test]
async fn a_refusal_is_answered_with_its_status_and_when_to_come_back() {
    let check = async |reason, expected: StatusCode| {
        let refusal = Refusal { reason, message: "no".to_owned(), retry_after: Some(Duration::from_millis(2500)) };
        let (router, context, _) = router(Config::default(), Outcome::Refused(refusal));
        let (status, headers, _) = post_to(router, "/api/v1/logs", "", b"{\"msg\":\"a\"}".to_vec()).await;
        assert_eq!((status, headers["retry-after"].to_str().unwrap()), (expected, "2"));
        assert_eq!(context.tallies.snapshot()[0].problems[0].reason, reason.name());
    };
    check(RefusalReason::Overloaded, StatusCode::TOO_MANY_REQUESTS).await;
    check(RefusalReason::DiskFull, StatusCode::INSUFFICIENT_STORAGE).await;
    check(RefusalReason::WriteFailed, StatusCode::SERVICE_UNAVAILABLE).await;
    check(RefusalReason::ShuttingDown, StatusCode::SERVICE_UNAVAILABLE).await;
    check(RefusalReason::BatchTooLarge, StatusCode::PAYLOAD_TOO_LARGE).await;
}

#[tokio::test]
async fn a_huge_body_is_stored_in_several_batches() {
    let (router, _, stored) = router(Config::default(), STORED);
    let line = format!("{{\"msg\":\"{}\"}}\n", "x".repeat(200_000));
    let (status, _, answer) = post_to(router, "/api/v1/logs", "", line.repeat(50).into_bytes()).await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::OK, &json!(50)));
    let sizes: Vec<_> = stored.lock().iter().map(|batch| batch.logs.len()).collect();
    assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (3, 50));
}

#[tokio::test]
async fn a_body_that_comes_in_pieces_is_stored_whole_or_not_at_all() {
    let lines = 3 * BATCH_RECORDS_MAX;
    let text: Vec<u8> = (0..lines).flat_map(|n| format!("{{\"msg\":\"{n:0>150}\"}}\n").into_bytes()).collect();
    let text = Bytes::from(text);
    let pieces = || {
        let text = text.clone();
        (0..text.len()).step_by(60_000).map(move |at| Ok(text.slice(at..text.len().min(at + 60_000))))
    };
    let check = async |body: Body, expected: StatusCode, records: usize| {
        let (router, context, stored) = router(Config::default(), STORED);
        let response = router.oneshot(Request::post("/api/v1/logs").body(body).unwrap()).await.unwrap();
        assert_eq!(response.status(), expected);
        let stored: Vec<usize> =
            stored.lock().iter().flat_map(|batch| &batch.logs).map(|record| record.body.parse().unwrap()).collect();
        assert_eq!(stored, (0..records).collect::<Vec<_>>());
        context.tallies.snapshot()[0].problems.iter().map(|problem| problem.reason).collect::<Vec<_>>()
    };
    let whole = futures_util::stream::iter(pieces());
    assert!(check(Body::from_stream(whole), StatusCode::OK, lines).await.is_empty());
    let broken = pieces().take(30).chain([Err(std::io::Error::other("reset"))]);
    let problems = check(Body::from_stream(futures_util::stream::iter(broken)), StatusCode::BAD_REQUEST, 0).await;
    assert_eq!(problems, ["body_broke_off"]);
}

#[tokio::test]
async fn records_of_several_requests_share_their_sender() {
    let (router, _, stored) = router(Config::default(), STORED);
    for _ in 0..3 {
        post_to(router.clone(), "/api/v1/logs?service=shop", "", b"{\"msg\":\"a\",\"host\":\"web-1\"}".to_vec()).await;
    }
    let stored = stored.lock();
    assert_eq!((stored.len(), &*stored[0].logs[0].resource.service), (3, "shop"));
    assert!(stored.iter().all(|batch| Arc::ptr_eq(&batch.logs[0].resource, &stored[0].logs[0].resource)));
}

#[tokio::test]
async fn what_is_posted_is_redacted_where_that_is_switched_on() {
    for (redact, expected) in [(Switch::Off, "password=hunter2"), (Switch::On, "password=[redacted:password]")] {
        let (router, _, stored) = router(Config { redact, ..Config::default() }, STORED);
        post_to(router, "/api/v1/logs", "", b"{\"msg\":\"password=hunter2\"}".to_vec()).await;
        assert_eq!(stored.lock()[0].logs[0].body, expected);
    }
}

#[tokio::test]
async fn what_a_rule_drops_was_accepted_and_is_counted() {
    let (router, context, stored) = router(Config::default(), STORED);
    let body = b"{\"msg\":\"a\"}\n{\"msg\":\"b\",\"service\":\"noise\"}".to_vec();
    let (status, _, answer) = post_to(router.clone(), "/api/v1/logs", "", body).await;
    assert_eq!((status, answer), (StatusCode::OK, json!({ "accepted": 2, "rejected": [] })));
    assert_eq!(stored.lock().iter().map(|batch| batch.logs.len()).sum::<usize>(), 1);
    let (status, _, answer) = post_to(router, "/api/v1/logs?service=noise", "", b"{\"msg\":\"c\"}\nx".to_vec()).await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::OK, &json!(1)));
    let tally = &context.tallies.snapshot()[0];
    let done: Vec<_> = tally.rules.iter().map(|done| (&*done.rule, done.effect, done.count)).collect();
    assert_eq!((tally.records, done), (1, vec![("shape-1", "dropped", 2)]));
}
