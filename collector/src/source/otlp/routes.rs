//! `POST /v1/logs`, `/v1/metrics` and `/v1/traces` over HTTP: answers in the form of the request.
//!
//! | Answer | Meaning for the sender |
//! |---|---|
//! | 200 | everything is on disk, or, with `partial_success`, everything but what it names, which must not be sent again |
//! | 400, 413, 415 | nothing is stored, and sending it again would not help |
//! | 503 with `Retry-After` | nothing is acknowledged: too busy, stopping, disk full; to be sent again |
//!
//! Of all errors senders repeat only 429, 502, 503 and 504, and some take 429 for final: so it is 503 wherever it helps to wait.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use prost::Message;
use serde_json::json;

use super::receiver::{Failure, FailureKind, Receiver, Rejected, Signal, Unpacked};
use super::{Config, MessageForm, grpc};
use crate::source::SourceContext;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// The routes of all signals, gRPC's among them, to be mounted on an HTTP server.
pub fn routes(config: Config, context: &SourceContext) -> Router {
    routes_of(&Arc::new(Receiver::new(config, context)))
}

pub(super) fn routes_of(receiver: &Arc<Receiver>) -> Router {
    let answer = |signal| {
        let receiver = Arc::clone(receiver);
        post(move |request| async move { receive(&receiver, signal, request).await })
    };
    grpc::routes(receiver)
        .route("/v1/logs", answer(Signal::Logs))
        // Loki mounts its receiver there, and its senders are told so.
        .route("/otlp/v1/logs", answer(Signal::Logs))
        .route("/v1/metrics", answer(Signal::Metrics))
        .route("/v1/traces", answer(Signal::Traces))
}

async fn receive(receiver: &Arc<Receiver>, signal: Signal, request: Request) -> Response {
    let is_near = is_near(&request);
    let (parts, body) = request.into_parts();
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let form = match text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim() {
        PROTOBUF => MessageForm::Protobuf,
        JSON => MessageForm::Json,
        other => {
            let message = format!("the content type {other:?} is not read here: send {PROTOBUF} or {JSON}");
            let failure = Failure::new(FailureKind::UnknownType, "unknown_content_type", message);
            receiver.count_failure(signal, &failure);
            return answer_failure(&failure, MessageForm::Json);
        }
    };
    let encoding = text(header::CONTENT_ENCODING).to_owned();
    let unpack = |body| Ok(Unpacked { body, form, encoding });
    match receiver.receive(signal, body, is_near, unpack).await {
        Ok(rejected) => answer_taken(signal, rejected, form),
        Err(failure) => answer_failure(&failure, form),
    }
}

/// Whether the sender is on this host, as far as the connection tells.
pub(super) fn is_near(request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback())
}

/// What the three responses have in common: 1 `partial_success`, in which 1 counts what was rejected and 2 says why.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected: i64,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}

/// The response in protobuf, which says nothing when everything was taken.
pub(super) fn response_message(rejected: Rejected) -> Vec<u8> {
    let partial_success = (rejected != Rejected::default())
        .then_some(PartialSuccess { rejected: rejected.count, error_message: rejected.message });
    ExportResponse { partial_success }.encode_to_vec()
}

fn answer_taken(signal: Signal, rejected: Rejected, form: MessageForm) -> Response {
    match form {
        MessageForm::Protobuf => answer(StatusCode::OK, PROTOBUF, response_message(rejected)),
        MessageForm::Json => {
            let name = match signal {
                Signal::Logs => "rejectedLogRecords",
                Signal::Metrics => "rejectedDataPoints",
                Signal::Traces => "rejectedSpans",
            };
            let said = match rejected == Rejected::default() {
                true => json!({}),
                false => json!({
                    "partialSuccess": { name: rejected.count.to_string(), "errorMessage": rejected.message }
                }),
            };
            answer(StatusCode::OK, JSON, said.to_string().into_bytes())
        }
    }
}

/// A `google.rpc.Status`: 1 code, 2 message. The code says no more than HTTP's own status, so it stays "unknown".
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn answer_failure(failure: &Failure, form: MessageForm) -> Response {
    const UNKNOWN: i32 = 2;
    let status = match failure.kind {
        FailureKind::UnknownType | FailureKind::UnknownEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        FailureKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        FailureKind::Malformed => StatusCode::BAD_REQUEST,
        FailureKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    let message = &failure.message;
    let mut response = match form {
        MessageForm::Protobuf => {
            answer(status, PROTOBUF, Status { code: UNKNOWN, message: message.clone() }.encode_to_vec())
        }
        MessageForm::Json => {
            answer(status, JSON, json!({ "code": UNKNOWN, "message": message }).to_string().into_bytes())
        }
    };
    if let Some(wait) = failure.wait {
        response.headers_mut().insert(header::RETRY_AFTER, seconds(wait).into());
    }
    response
}

fn seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1000).max(1)).unwrap_or(u64::MAX)
}

fn answer(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], body).into_response()
}
