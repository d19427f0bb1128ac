//! The two routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use super::live_runs::LiveRuns;
use super::{Heard, HeardAnswer, RUN_HEADER, StreamMarks};
use crate::delivery::{Outcome, Refusal, RefusalReason};
use crate::frame::{self, FrameError};
use crate::model::{AgentId, Batch};
use crate::source::{SourceContext, Tally};

/// A frame's bytes at most; agents send batches of some MiB.
const BODY_BYTES_MAX: usize = 20 << 20;

/// Bytes of all bodies that are being read or decoded, in KiB. A thousand agents that come back at once wait for each other.
const BODIES_KIB_MAX: u32 = 64 << 10;

/// A body that finds no room for so long is refused for now.
const ROOM_PATIENCE: Duration = Duration::from_secs(5);

struct Receiver {
    context: SourceContext,
    marks: Arc<dyn StreamMarks>,
    tally: Arc<Tally>,
    runs: LiveRuns,
    /// Room for bodies, in KiB.
    room: Semaphore,
}

#[derive(Deserialize)]
struct Asker {
    agent: String,
    /// Whether it wants checkpoints, too.
    checkpoints: Option<bool>,
}

/// The routes, to be mounted on the HTTP server behind its check of tokens.
pub fn routes(context: SourceContext, streams: Arc<dyn StreamMarks>) -> Router {
    let tally = context.tallies.of("agent", "/api/v1/ship");
    Router::new()
        .route("/api/v1/ship", post(ship))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .route("/api/v1/streams", get(tell))
        .with_state(Arc::new(Receiver {
            context,
            marks: streams,
            tally,
            runs: LiveRuns::default(),
            room: Semaphore::new(BODIES_KIB_MAX as usize),
        }))
}

async fn ship(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let run = run_of(request.headers());
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let kib = (length.unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX) / 1024 + 1) as u32;
    let Ok(Ok(room)) = tokio::time::timeout(ROOM_PATIENCE, receiver.room.acquire_many(kib)).await else {
        receiver.tally.problem(RefusalReason::Overloaded.name(), 1, b"");
        let message = "too many batches of agents are under way; send it again";
        return answer_error(StatusCode::TOO_MANY_REQUESTS, message, Some(Duration::from_secs(1)));
    };
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            receiver.tally.problem("body_too_large", 1, b"");
            let message = format!("a frame of more than {BODY_BYTES_MAX} bytes: send smaller batches");
            return answer_error(StatusCode::PAYLOAD_TOO_LARGE, &message, None);
        }
        Err(rejection) => {
            receiver.tally.problem("body_broke_off", 1, b"");
            return answer_error(StatusCode::SERVICE_UNAVAILABLE, &rejection.body_text(), Some(Duration::ZERO));
        }
    };
    let bytes = body.len() as u64;
    let decoding = tokio::task::spawn_blocking(move || read_frame(&body).map_err(|error| (error, body)));
    let batch = match decoding.await {
        Ok(Ok(batch)) => batch,
        Ok(Err((error, body))) => return receiver.answer_unreadable(&error, &body),
        Err(_) => return answer_error(StatusCode::INTERNAL_SERVER_ERROR, "decoding the frame failed", None),
    };
    // From here on the store's own limits hold.
    drop(room);
    if let Some(run) = run
        && !receiver.runs.hear(batch.agent, run, Instant::now())
    {
        receiver.tally.problem(RefusalReason::IdentityConflict.name(), 1, batch.agent.to_string().as_bytes());
        let message = format!(
            "another live agent has the identity {}: a cloned machine or a copied collector.state_dir? Give each its own \
             (remove the copy's state_dir, and make /etc/machine-id anew on a clone)",
            batch.agent
        );
        return answer_error(StatusCode::FORBIDDEN, &message, None);
    }
    let rows = batch.len() as u64;
    let heard = Heard::of(&batch, bytes, address);
    let outcome = receiver.context.outlet.deliver(batch).await;
    let answer = match &outcome {
        Outcome::Stored { .. } => HeardAnswer::Stored,
        Outcome::Duplicate { .. } => HeardAnswer::Duplicate,
        Outcome::Gap { .. } => HeardAnswer::Refused("gap"),
        Outcome::Refused(refusal) => HeardAnswer::Refused(refusal.reason.name()),
    };
    receiver.marks.heard(Heard { answer, ..heard });
    match outcome {
        Outcome::Stored { acked_through } => {
            receiver.tally.took(rows, bytes);
            Json(json!({"acked_through": acked_through, "duplicate": false})).into_response()
        }
        Outcome::Duplicate { acked_through } => {
            receiver.tally.problem("duplicate_batch", 1, b"");
            Json(json!({"acked_through": acked_through, "duplicate": true})).into_response()
        }
        Outcome::Gap { expected } => {
            receiver.tally.problem("gap", 1, b"");
            (StatusCode::CONFLICT, Json(json!({"expected": expected}))).into_response()
        }
        Outcome::Refused(refusal) => {
            receiver.tally.problem(refusal.reason.name(), 1, refusal.message.as_bytes());
            answer_refusal(&refusal)
        }
    }
}

async fn tell(State(receiver): State<Arc<Receiver>>, Query(asker): Query<Asker>, headers: HeaderMap) -> Response {
    let Ok(agent) = u128::from_str_radix(&asker.agent, 16).map(AgentId) else {
        return answer_error(StatusCode::BAD_REQUEST, "agent must be 32 hexadecimal digits", None);
    };
    if let Some(run) = run_of(&headers) {
        // What a run before it has under way would otherwise be stored after this answer said that it is not.
        receiver.runs.hear(agent, run, Instant::now());
    }
    // The marks lie in a database.
    let asking = tokio::task::spawn_blocking(move || {
        let checkpoints = asker.checkpoints.unwrap_or(true).then(|| receiver.marks.checkpoints(agent));
        (receiver.marks.server_id(), receiver.marks.streams(agent), checkpoints.unwrap_or_default())
    });
    let Ok((server, streams, checkpoints)) = asking.await else {
        return answer_error(StatusCode::INTERNAL_SERVER_ERROR, "reading the stream marks failed", None);
    };
    let streams: Vec<_> = streams
        .into_iter()
        .map(|(epoch, stream, acked_through)| {
            json!({"epoch": format!("{epoch:016x}"), "stream": stream, "acked_through": acked_through})
        })
        .collect();
    let checkpoints: Vec<_> = checkpoints
        .into_iter()
        .map(|checkpoint| json!({"key": checkpoint.key, "value_base64": STANDARD.encode(checkpoint.value)}))
        .collect();
    let server = format!("{server:032x}");
    Json(json!({"server": server, "streams": streams, "checkpoints": checkpoints})).into_response()
}

fn run_of(headers: &HeaderMap) -> Option<u64> {
    u64::from_str_radix(headers.get(RUN_HEADER)?.to_str().ok()?, 16).ok()
}

/// Why a body is no batch of an agent.
enum Unreadable {
    Frame(FrameError),
    Content(&'static str),
}

fn read_frame(body: &[u8]) -> Result<Batch, Unreadable> {
    let (batch, length) = frame::decode(body).map_err(Unreadable::Frame)?;
    if length != body.len() {
        return Err(Unreadable::Content("there are bytes behind the frame"));
    }
    if batch.agent == AgentId::LOCAL {
        return Err(Unreadable::Content("the agent id 0 is the server's own"));
    }
    if batch.place.is_none() {
        return Err(Unreadable::Content("the frame has no place in a stream"));
    }
    Ok(batch)
}

impl Receiver {
    fn answer_unreadable(&self, error: &Unreadable, body: &[u8]) -> Response {
        let (status, reason, message, retry_after) = match error {
            // Damage on the way: the agent's own copy is sound, as its journal's checksums say.
            Unreadable::Frame(
                error @ (FrameError::Incomplete { .. } | FrameError::HeaderDamaged | FrameError::BodyDamaged),
            ) => (StatusCode::SERVICE_UNAVAILABLE, "damaged_frame", error.to_string(), Some(Duration::from_secs(1))),
            Unreadable::Frame(error @ FrameError::Version(_)) => {
                (StatusCode::NOT_IMPLEMENTED, "unknown_version", error.to_string(), None)
            }
            Unreadable::Frame(error) => (StatusCode::BAD_REQUEST, "malformed_frame", error.to_string(), None),
            Unreadable::Content(message) => (StatusCode::BAD_REQUEST, "malformed_frame", (*message).to_owned(), None),
        };
        self.tally.problem(reason, 1, body);
        answer_error(status, &message, retry_after)
    }
}

/// A refusal after something was written leaves it open whether that is found after a crash: the agent has to ask again here.
fn is_certain(reason: RefusalReason) -> bool {
    match reason {
        RefusalReason::BatchTooLarge | RefusalReason::Overloaded | RefusalReason::IdentityConflict => true,
        RefusalReason::DiskFull | RefusalReason::WriteFailed | RefusalReason::ShuttingDown => false,
    }
}

fn answer_refusal(refusal: &Refusal) -> Response {
    let status = match refusal.reason {
        RefusalReason::BatchTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RefusalReason::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        RefusalReason::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
        RefusalReason::WriteFailed | RefusalReason::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        RefusalReason::IdentityConflict => StatusCode::FORBIDDEN,
    };
    if is_certain(refusal.reason) {
        return answer_error(status, &refusal.message, refusal.retry_after);
    }
    answer(status, json!({"error": {"message": refusal.message}}), refusal.retry_after)
}

/// An error after which nothing is stored, for certain: the agent may turn to another server.
fn answer_error(status: StatusCode, message: &str, retry_after: Option<Duration>) -> Response {
    answer(status, json!({"error": {"message": message, "stored": false}}), retry_after)
}

fn answer(status: StatusCode, body: serde_json::Value, retry_after: Option<Duration>) -> Response {
    let mut headers = HeaderMap::new();
    if let Some(wait) = retry_after {
        // Whole seconds are all that the header knows: none below a second, else rounded up.
        let seconds = wait.as_millis().div_ceil(1000);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)));
    }
    (status, headers, Json(body)).into_response()
}
