//! `POST /api/v1/logs` over HTTP: the answer comes after everything accepted is stored.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;

use super::body::{self, BodyError};
use super::{Config, Parsed, parse};
use crate::delivery::{Outcome, Refusal, RefusalReason};
use crate::model::{Batch, LogRecord, Resource, Timestamp};
use crate::source::{SourceContext, Tally};

/// A batch holds at most this many records and, about, this many bytes: what the store takes in one piece.
const BATCH_RECORDS_MAX: usize = 20_000;
const BATCH_BYTES_MAX: usize = 4 << 20;

/// The route, to be mounted on the HTTP server.
pub fn routes(config: Config, context: SourceContext) -> Router {
    let tally = context.tallies.of("json_lines", "/api/v1/logs");
    let limit = config.body_bytes_max;
    Router::new()
        .route("/api/v1/logs", post(receive))
        .layer(DefaultBodyLimit::max(limit))
        .with_state(Arc::new(Receiver { config, context, tally }))
}

struct Receiver {
    config: Config,
    context: SourceContext,
    tally: Arc<Tally>,
}

/// What stands for what the records do not say.
#[derive(Debug, Default, Deserialize)]
struct Defaults {
    service: Option<String>,
    host: Option<String>,
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    Query(defaults): Query<Defaults>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            receiver.tally.problem("body_too_large", 1, b"");
            let message = format!(
                "the body has more than {} bytes: send smaller batches, or raise collector.json_lines.body_bytes_max",
                receiver.config.body_bytes_max
            );
            return answer_error(StatusCode::PAYLOAD_TOO_LARGE, &message);
        }
        Err(rejection) => {
            receiver.tally.problem("body_broke_off", 1, b"");
            return answer_error(StatusCode::BAD_REQUEST, &rejection.body_text());
        }
    };
    let received_bytes = body.len() as u64;
    let reading = {
        let receiver = Arc::clone(&receiver);
        tokio::task::spawn_blocking(move || receiver.read(&body, &headers, &defaults))
    };
    let parsed = match reading.await {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(error)) => return receiver.answer_body_error(&error),
        Err(_) => return answer_error(StatusCode::INTERNAL_SERVER_ERROR, "reading the body failed"),
    };
    if parsed.logs.is_empty() && parsed.rejected_count > 0 {
        return answer_parsed(StatusCode::BAD_REQUEST, 0, &parsed);
    }
    let accepted = parsed.logs.len();
    let Parsed { logs, rejected, rejected_count } = parsed;
    match receiver.store(logs).await {
        Ok(()) => {
            receiver.tally.took(accepted as u64, received_bytes);
            let parsed = Parsed { logs: Vec::new(), rejected, rejected_count };
            answer_parsed(StatusCode::OK, accepted, &parsed)
        }
        Err(refusal) => {
            receiver.tally.problem(refusal.reason.name(), accepted as u64, refusal.message.as_bytes());
            answer_refusal(&refusal)
        }
    }
}

impl Receiver {
    /// Decompresses and parses; counts what was adjusted or rejected.
    fn read(&self, body: &[u8], headers: &HeaderMap, defaults: &Defaults) -> Result<Parsed, BodyError> {
        let encoding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let decoded = body::decoded(body, encoding, self.config.decompressed_bytes_max)?;
        let body = decoded.as_deref().unwrap_or(body);
        let own = Resource {
            host: defaults.host.as_deref().unwrap_or_default().into(),
            service: defaults.service.as_deref().unwrap_or_default().into(),
            attributes: Vec::new(),
        };
        let mut enricher = self.context.enricher.clone();
        let parsed = parse(body, &mut enricher, &Arc::new(own), Timestamp::now(), self.config.line_bytes_max);
        enricher.notes().report(&self.tally);
        if let Some(first) = parsed.rejected.first() {
            self.tally.problem("malformed_line", parsed.rejected_count, &first.example);
        }
        Ok(parsed)
    }

    /// Hands the records over in batches and waits for all of them.
    async fn store(&self, logs: Vec<LogRecord>) -> Result<(), Refusal> {
        let mut pending = Vec::new();
        let mut refused = None;
        for logs in in_batches(logs) {
            match self.context.outlet.send(Batch { logs, ..Batch::local() }).await {
                Ok(answer) => pending.push(answer),
                Err(refusal) => {
                    refused = Some(refusal);
                    break;
                }
            }
        }
        for answer in pending {
            match answer.outcome().await {
                Outcome::Stored { .. } | Outcome::Duplicate { .. } => {}
                Outcome::Refused(refusal) => {
                    refused.get_or_insert(refusal);
                }
                Outcome::Gap { .. } => {
                    refused.get_or_insert(Refusal {
                        reason: RefusalReason::WriteFailed,
                        message: "the store took a batch without a place for one with a place".to_owned(),
                        retry_after: None,
                    });
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn answer_body_error(&self, error: &BodyError) -> Response {
        let (status, reason) = match error {
            BodyError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "decompressed_body_too_large"),
            BodyError::UnknownEncoding(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_encoding"),
            BodyError::Invalid { .. } => (StatusCode::BAD_REQUEST, "malformed_body"),
        };
        self.tally.problem(reason, 1, error.to_string().as_bytes());
        match error {
            BodyError::TooLarge(_) => answer_error(
                status,
                &format!("{error}: send smaller batches, or raise collector.json_lines.decompressed_bytes_max"),
            ),
            _ => answer_error(status, &error.to_string()),
        }
    }
}

/// Cuts the records into pieces that the store takes.
fn in_batches(logs: Vec<LogRecord>) -> Vec<Vec<LogRecord>> {
    let mut batches = Vec::new();
    let mut batch = Vec::with_capacity(logs.len().min(BATCH_RECORDS_MAX));
    let mut bytes = 0;
    for record in logs {
        let size = approximate_bytes(&record);
        if !batch.is_empty() && (batch.len() == BATCH_RECORDS_MAX || bytes + size > BATCH_BYTES_MAX) {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += size;
        batch.push(record);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

/// About as many bytes as the record takes on the wire.
fn approximate_bytes(record: &LogRecord) -> usize {
    record.body.len()
        + record.attributes.iter().map(|(name, value)| name.len() + value_bytes(value)).sum::<usize>()
        + 40
}

fn value_bytes(value: &crate::model::Value) -> usize {
    use crate::model::Value;
    match value {
        Value::String(text) => text.len() + 1,
        Value::Array(items) => items.iter().map(value_bytes).sum::<usize>() + 1,
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 9,
    }
}

fn answer_parsed(status: StatusCode, accepted: usize, parsed: &Parsed) -> Response {
    let rejected: Vec<_> =
        parsed.rejected.iter().map(|rejected| json!({ "line": rejected.line, "reason": rejected.reason })).collect();
    let mut answer = json!({ "accepted": accepted, "rejected": rejected });
    if parsed.rejected_count > parsed.rejected.len() as u64 {
        answer["rejected_count"] = parsed.rejected_count.into();
    }
    if status == StatusCode::BAD_REQUEST {
        answer["error"] =
            json!({ "message": "nothing in the body is a JSON object: send NDJSON or a JSON array of objects" });
    }
    (status, Json(answer)).into_response()
}

fn answer_error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": { "message": message } }))).into_response()
}

fn answer_refusal(refusal: &Refusal) -> Response {
    let status = match refusal.reason {
        RefusalReason::BatchTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RefusalReason::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        RefusalReason::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
        RefusalReason::WriteFailed | RefusalReason::ShuttingDown | RefusalReason::IdentityConflict => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let mut response = answer_error(status, &refusal.message);
    if let Some(wait) = refusal.retry_after {
        let seconds = wait.max(Duration::from_secs(1)).as_secs();
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

#[cfg(test)]
mod tests;
