//! `POST /v1/metrics` over HTTP: limits, decompression, and answers in the form of the request.
//!
//! | Answer | Meaning for the sender |
//! |---|---|
//! | 200 | everything is on disk, or, with `partial_success`, everything but what it names, which must not be sent again |
//! | 400, 413, 415 | nothing is stored, and sending it again would not help |
//! | 503 with `Retry-After` | nothing is acknowledged: too busy, stopping, disk full; to be sent again |
//!
//! Of all errors senders repeat only 429, 502, 503 and 504, and some take 429 for final: so it is 503 wherever it helps to wait.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use prost::Message;
use serde_json::json;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::Config;
use super::points::{Intake, MessageForm, ReadError, Taken};
use crate::delivery::{Refusal, RefusalReason};
use crate::model::Timestamp;
use crate::source::json_lines::body::{self, BodyError};
use crate::source::whole_request::store_whole;
use crate::source::{SourceContext, Tally};

/// Requests that are read at once: each may take its body's limits several times over while it is.
const REQUESTS_MAX: usize = 16;
/// A request that finds no place for so long is refused for now.
const PATIENCE: Duration = Duration::from_secs(5);
/// What takes less than half a millisecond is read where it is.
const READ_HERE_BYTES_MAX: usize = 8 << 10;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// The route, to be mounted on the HTTP server.
pub fn routes(config: Config, context: SourceContext) -> Router {
    let receiver = Receiver {
        tally: context.tallies.of("otlp", "/v1/metrics"),
        intake: Intake::new(config.clone()),
        config,
        context: context.of_source("otlp"),
        places: Semaphore::new(REQUESTS_MAX),
    };
    Router::new().route("/v1/metrics", post(receive)).with_state(Arc::new(receiver))
}

struct Receiver {
    config: Config,
    context: SourceContext,
    tally: Arc<Tally>,
    intake: Intake,
    places: Semaphore,
}

/// Why nothing of a request is taken.
#[derive(Debug, Error)]
enum Unreadable {
    #[error("the content type {0:?} is not read here: send {PROTOBUF} or {JSON}")]
    UnknownType(String),
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("the body broke off: {0}")]
    BrokeOff(Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Undecodable(#[from] BodyError),
    #[error(transparent)]
    NoRequest(#[from] ReadError),
    #[error("reading the body failed")]
    Panicked(#[from] tokio::task::JoinError),
    #[error("too many requests are under way; send it again")]
    NoPlace,
}

async fn receive(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let form = match text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim() {
        PROTOBUF => MessageForm::Protobuf,
        JSON => MessageForm::Json,
        other => {
            let error = Unreadable::UnknownType(other.to_owned());
            return receiver.answer_unreadable(&error, MessageForm::Json);
        }
    };
    let (mut taken, bytes) = match Receiver::read(&receiver, body, &parts.headers, form).await {
        Ok(read) => read,
        Err(error) => return receiver.answer_unreadable(&error, form),
    };
    let samples = std::mem::take(&mut taken.samples);
    let count = samples.len() as u64;
    if let Err(refusal) = store_whole(&receiver.context.outlet, samples).await {
        receiver.tally.problem(refusal.reason.name(), count, refusal.message.as_bytes());
        receiver.intake.not_stored();
        return answer_refusal(&refusal, form);
    }
    receiver.tally.took(count, bytes);
    for (reason, (points, name)) in &taken.rejected {
        receiver.tally.problem(reason, *points, name.as_bytes());
    }
    let answer = answer_taken(&taken, form);
    receiver.intake.stored(taken);
    answer
}

impl Receiver {
    /// Reads a request, and says how many bytes it had.
    async fn read(
        receiver: &Arc<Receiver>,
        body: Body,
        headers: &HeaderMap,
        form: MessageForm,
    ) -> Result<(Taken, u64), Unreadable> {
        let place = tokio::time::timeout(PATIENCE, receiver.places.acquire()).await;
        let Ok(Ok(_place)) = place else { return Err(Unreadable::NoPlace) };
        let bytes_max = receiver.config.body_bytes_max;
        let body = match Limited::new(body, bytes_max).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Unreadable::TooLarge(bytes_max)),
            Err(error) => return Err(Unreadable::BrokeOff(error)),
        };
        let bytes = body.len() as u64;
        let encoding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (encoding, here) = (encoding.to_owned(), body.len() <= READ_HERE_BYTES_MAX && body::is_plain(encoding));
        let receiver = Arc::clone(receiver);
        let read = move || -> Result<Taken, Unreadable> {
            let now = Timestamp::now();
            if body::is_plain(&encoding) && body.len() <= receiver.config.decompressed_bytes_max {
                return Ok(receiver.intake.read(&body, form, now)?);
            }
            let body = body::decoded(&body, &encoding, receiver.config.decompressed_bytes_max)?;
            Ok(receiver.intake.read(&body, form, now)?)
        };
        let taken = if here { read() } else { tokio::task::spawn_blocking(read).await? };
        Ok((taken?, bytes))
    }

    fn answer_unreadable(&self, error: &Unreadable, form: MessageForm) -> Response {
        let (status, reason, setting) = match error {
            Unreadable::UnknownType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_content_type", None),
            Unreadable::TooLarge(_) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", Some("collector.otlp.body_bytes_max"))
            }
            Unreadable::BrokeOff(_) => (StatusCode::BAD_REQUEST, "body_broke_off", None),
            Unreadable::Undecodable(BodyError::TooLarge(_)) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "decompressed_body_too_large",
                Some("collector.otlp.decompressed_bytes_max"),
            ),
            Unreadable::Undecodable(BodyError::UnknownEncoding(_)) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_encoding", None)
            }
            Unreadable::Undecodable(BodyError::Invalid { .. }) => (StatusCode::BAD_REQUEST, "malformed_body", None),
            Unreadable::NoRequest(ReadError::Malformed(_)) => (StatusCode::BAD_REQUEST, "malformed_body", None),
            Unreadable::NoRequest(ReadError::TooManyFields) => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_fields", None),
            Unreadable::NoRequest(ReadError::TooManySamples(_)) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_many_samples", Some("collector.otlp.samples_max"))
            }
            Unreadable::Panicked(_) => (StatusCode::SERVICE_UNAVAILABLE, "internal_error", None),
            Unreadable::NoPlace => (StatusCode::SERVICE_UNAVAILABLE, RefusalReason::Overloaded.name(), None),
        };
        self.tally.problem(reason, 1, error.to_string().as_bytes());
        let message = match setting {
            Some(setting) => format!("{error}: send smaller batches, or raise {setting}"),
            None => error.to_string(),
        };
        let wait = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(1));
        answer_error(status, &message, wait, form)
    }
}

fn answer_taken(taken: &Taken, form: MessageForm) -> Response {
    let said = taken.rejected.iter().map(|(reason, (points, name))| format!("{points} {reason}, such as of {name}"));
    let partial_success = (!taken.rejected.is_empty()).then(|| ExportMetricsPartialSuccess {
        rejected_data_points: taken.rejected.values().map(|(points, _)| *points as i64).sum(),
        error_message: said.collect::<Vec<_>>().join("; "),
    });
    match form {
        MessageForm::Protobuf => {
            answer(StatusCode::OK, PROTOBUF, ExportMetricsServiceResponse { partial_success }.encode_to_vec())
        }
        MessageForm::Json => {
            let said = partial_success.map_or(json!({}), |partial| {
                let rejected = partial.rejected_data_points.to_string();
                json!({ "partialSuccess": { "rejectedDataPoints": rejected, "errorMessage": partial.error_message } })
            });
            answer(StatusCode::OK, JSON, said.to_string().into_bytes())
        }
    }
}

fn answer_refusal(refusal: &Refusal, form: MessageForm) -> Response {
    let (status, wait) = match refusal.reason {
        RefusalReason::BatchTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, None),
        RefusalReason::Overloaded
        | RefusalReason::DiskFull
        | RefusalReason::WriteFailed
        | RefusalReason::ShuttingDown
        | RefusalReason::IdentityConflict => {
            (StatusCode::SERVICE_UNAVAILABLE, refusal.retry_after.or(Some(Duration::from_secs(1))))
        }
    };
    answer_error(status, &refusal.message, wait, form)
}

/// A `google.rpc.Status`: 1 code, 2 message. The code says no more than HTTP's own status, so it stays "unknown".
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn answer_error(status: StatusCode, message: &str, wait: Option<Duration>, form: MessageForm) -> Response {
    const UNKNOWN: i32 = 2;
    let mut response = match form {
        MessageForm::Protobuf => {
            answer(status, PROTOBUF, Status { code: UNKNOWN, message: message.to_owned() }.encode_to_vec())
        }
        MessageForm::Json => {
            answer(status, JSON, json!({ "code": UNKNOWN, "message": message }).to_string().into_bytes())
        }
    };
    if let Some(wait) = wait {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        response.headers_mut().insert(header::RETRY_AFTER, u64::try_from(seconds).unwrap_or(u64::MAX).into());
    }
    response
}

fn answer(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], body).into_response()
}
