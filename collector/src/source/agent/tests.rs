//! What the routes answer to frames, good and bad, and to whatever the taker of the batches says.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use super::*;
use crate::delivery::{Outcome, Refusal, RefusalReason, channel};
use crate::frame::{self, HEADER_BYTES};
use crate::model::{Batch, Lane, StreamPlace};
use crate::source::SourceContext;

struct Marks;

impl StreamMarks for Marks {
    fn server_id(&self) -> u128 {
        5
    }

    fn streams(&self, agent: AgentId) -> Vec<(u64, u32, u64)> {
        if agent == AgentId(5) { vec![(u64::MAX, 0, 41)] } else { Vec::new() }
    }

    fn checkpoints(&self, agent: AgentId) -> Vec<Checkpoint> {
        let known = Checkpoint { key: "file:1:2".to_owned(), value: vec![0, 255] };
        if agent == AgentId(5) { vec![known] } else { Vec::new() }
    }
}

/// The routes before a taker that answers everything with `outcome`, and their tallies.
fn router(outcome: Outcome) -> (Router, SourceContext) {
    let (outlet, mut deliveries) = channel(1);
    tokio::spawn(async move {
        while let Some(delivery) = deliveries.recv().await {
            delivery.receipt.answer(outcome.clone());
        }
    });
    let context = SourceContext::bare(outlet);
    (routes(context.clone(), Arc::new(Marks)), context)
}

fn frame_of(agent: u128, place: Option<StreamPlace>) -> Vec<u8> {
    let checkpoints = vec![Checkpoint { key: "k".to_owned(), value: vec![1] }];
    let mut frame = Vec::new();
    frame::encode(&Batch { agent: AgentId(agent), place, checkpoints, ..Batch::local() }, &mut frame).unwrap();
    frame
}

const PLACE: StreamPlace = StreamPlace { epoch: 1, stream: 0, lane: Lane::Normal, first_seq: 0 };

async fn answer(router: Router, request: Request<Body>) -> (StatusCode, Option<String>, Json) {
    let response = router.oneshot(request).await.unwrap();
    let retry_after = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, retry_after, serde_json::from_slice(&body).unwrap())
}

async fn ship(router: Router, body: Vec<u8>) -> (StatusCode, Option<String>, Json) {
    answer(router, Request::post("/api/v1/ship").body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn every_outcome_has_its_answer() {
    let check = async |outcome: Outcome, status: u16, retry_after: Option<&str>, expected: Json| {
        let (found, wait, body) = ship(router(outcome.clone()).0, frame_of(5, Some(PLACE))).await;
        assert_eq!((found.as_u16(), wait.as_deref(), body), (status, retry_after, expected), "{outcome:?}");
    };
    let refused = |reason, millis: Option<u64>| {
        let retry_after = millis.map(Duration::from_millis);
        Outcome::Refused(Refusal { reason, message: "why".to_owned(), retry_after })
    };
    // Whether anything was stored is open where something was written.
    let (said, sure) = (json!({"error": {"message": "why"}}), json!({"error": {"message": "why", "stored": false}}));
    check(Outcome::Stored { acked_through: Some(9) }, 200, None, json!({"acked_through": 9, "duplicate": false})).await;
    check(Outcome::Stored { acked_through: None }, 200, None, json!({"acked_through": null, "duplicate": false})).await;
    check(Outcome::Duplicate { acked_through: 9 }, 200, None, json!({"acked_through": 9, "duplicate": true})).await;
    check(Outcome::Gap { expected: 4 }, 409, None, json!({"expected": 4})).await;
    check(refused(RefusalReason::BatchTooLarge, None), 413, None, sure.clone()).await;
    check(refused(RefusalReason::Overloaded, Some(300)), 429, Some("1"), sure.clone()).await;
    check(refused(RefusalReason::DiskFull, Some(5_000)), 507, Some("5"), said.clone()).await;
    check(refused(RefusalReason::WriteFailed, Some(1_000)), 503, Some("1"), said.clone()).await;
    check(refused(RefusalReason::ShuttingDown, Some(1_001)), 503, Some("2"), said).await;
    check(refused(RefusalReason::IdentityConflict, None), 403, None, sure).await;
}

#[tokio::test]
async fn of_two_live_agents_with_one_identity_the_older_is_refused_with_words() {
    let (router, context) = router(Outcome::Stored { acked_through: Some(9) });
    let check = async |agent: u128, run: u64, expected: u16| {
        let request = Request::post("/api/v1/ship").header(RUN_HEADER, format!("{run:016x}"));
        let (status, _, body) =
            answer(router.clone(), request.body(Body::from(frame_of(agent, Some(PLACE)))).unwrap()).await;
        assert_eq!(status.as_u16(), expected, "{agent} {run}: {body}");
        if expected == 403 {
            assert!(body["error"]["message"].as_str().unwrap().contains("collector.state_dir"), "{body}");
            assert_eq!(body["error"]["stored"], false);
        }
    };
    check(5, 1, 200).await;
    check(5, 2, 200).await;
    check(5, 1, 403).await;
    check(6, 1, 200).await;
    check(5, 2, 200).await;
    // A run that asks what is stored is told it for good: whatever the one before it has under way comes too late.
    let request = Request::get("/api/v1/streams?agent=5").header(RUN_HEADER, format!("{:016x}", 3));
    assert_eq!(answer(router.clone(), request.body(Body::empty()).unwrap()).await.0, 200);
    check(5, 2, 403).await;
    check(5, 3, 200).await;
    let tally = context.tallies.snapshot().remove(0);
    assert_eq!((tally.problems[0].reason, tally.problems[0].count), ("identity_conflict", 2));
}

#[tokio::test]
async fn bodies_that_are_no_batch_are_answered_and_counted_by_reason() {
    let check = async |body: Vec<u8>, status: u16, reason: &str| {
        let (router, context) = router(Outcome::Stored { acked_through: None });
        let (found, _, answer) = ship(router, body).await;
        assert_eq!(found.as_u16(), status, "{reason}: {answer}");
        assert!(answer["error"]["message"].is_string());
        let tally = context.tallies.snapshot().remove(0);
        assert_eq!((tally.problems[0].reason, tally.problems[0].count, tally.records), (reason, 1, 0));
    };
    let sound = frame_of(5, Some(PLACE));
    let changed = |at: usize, byte: u8| {
        let mut frame = sound.clone();
        frame[at] ^= byte;
        frame
    };
    check(sound[..sound.len() - 1].to_vec(), 503, "damaged_frame").await;
    check(changed(20, 1), 503, "damaged_frame").await;
    check(changed(HEADER_BYTES, 1), 503, "damaged_frame").await;
    check(changed(4, 8), 501, "unknown_version").await;
    check(b"{\"message\":\"hello\"}".to_vec(), 400, "malformed_frame").await;
    check([&sound[..], b"x"].concat(), 400, "malformed_frame").await;
    check(frame_of(5, None), 400, "malformed_frame").await;
    check(frame_of(0, Some(PLACE)), 400, "malformed_frame").await;
    check(vec![0; (20 << 20) + 1], 413, "body_too_large").await;
}

#[tokio::test]
async fn an_agent_is_told_what_is_known_of_it() {
    let check = async |agent: &str, status: u16, expected: Option<Json>| {
        let request = Request::get(format!("/api/v1/streams?agent={agent}")).body(Body::empty()).unwrap();
        let (found, _, body) = answer(router(Outcome::Gap { expected: 0 }).0, request).await;
        assert_eq!(found.as_u16(), status);
        if let Some(expected) = expected {
            assert_eq!(body, expected);
        }
    };
    let known = json!({
        "server": "00000000000000000000000000000005",
        "streams": [{"epoch": "ffffffffffffffff", "stream": 0, "acked_through": 41}],
        "checkpoints": [{"key": "file:1:2", "value_base64": "AP8="}],
    });
    let mut without = known.clone();
    without["checkpoints"] = json!([]);
    check("00000000000000000000000000000005", 200, Some(known)).await;
    check("00000000000000000000000000000005&checkpoints=false", 200, Some(without)).await;
    let nothing = json!({"server": "00000000000000000000000000000005", "streams": [], "checkpoints": []});
    check("6", 200, Some(nothing)).await;
    check("me", 400, None).await;
}
