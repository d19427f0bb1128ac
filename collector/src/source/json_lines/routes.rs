//! `POST /api/v1/logs` over HTTP: the answer comes after everything accepted is stored.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

use super::body::{self, BodyError};
use super::{BodyReader, Config, Parsed};
use crate::delivery::{Refusal, RefusalReason};
use crate::enrich::Switch;
use crate::model::{Resource, Timestamp};
use crate::source::whole_request::store_records;
use crate::source::{SourceContext, Tally};

/// As much of a body is parsed at once as keeps a thread busy for a millisecond …
const READ_BYTES: usize = 1 << 20;
/// … and what takes a few microseconds only is parsed where it is.
const READ_HERE_BYTES_MAX: usize = 16 << 10;
/// Readers kept for later requests: more are hardly at work at once.
const READERS_MAX: usize = 8;

/// The route, to be mounted on the HTTP server.
pub fn routes(config: Config, context: SourceContext) -> Router {
    let enricher = context.enricher.clone().of_source("json_lines");
    let enricher = if config.redact == Switch::On { enricher } else { enricher.unredacted() };
    let context = SourceContext { enricher, ..context };
    let tally = context.tallies.of("json_lines", "/api/v1/logs");
    let receiver = Receiver { config, context, tally, nobody: Arc::default(), readers: Mutex::default() };
    Router::new().route("/api/v1/logs", post(receive)).with_state(Arc::new(receiver))
}

struct Receiver {
    config: Config,
    context: SourceContext,
    tally: Arc<Tally>,
    nobody: Arc<Resource>,
    /// Those not at work. They remember names and senders, so that records of many requests share them.
    readers: Mutex<Vec<BodyReader>>,
}

/// What stands for what the records do not say.
#[derive(Debug, Default, Deserialize)]
struct Defaults {
    service: Option<String>,
    host: Option<String>,
}

/// Why a body could not be read.
#[derive(Debug, Error)]
enum ReadError {
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("the body broke off: {0}")]
    BrokeOff(Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Undecodable(#[from] BodyError),
    #[error("reading the body failed")]
    Panicked(#[from] tokio::task::JoinError),
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    Query(defaults): Query<Defaults>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let (parsed, received_bytes) = match receiver.read(request.into_body(), &headers, &defaults).await {
        Ok(read) => read,
        Err(error) => return receiver.answer_read_error(&error),
    };
    // What a rule drops was accepted: its sender need not know.
    let kept = parsed.logs().count();
    let accepted = kept + usize::try_from(parsed.dropped).unwrap_or(usize::MAX);
    if accepted == 0 && parsed.rejected_count > 0 {
        return answer_parsed(StatusCode::BAD_REQUEST, 0, &parsed);
    }
    let Parsed { batches, dropped, rejected, rejected_count } = parsed;
    match store_records(&receiver.context.outlet, batches).await {
        Ok(()) => {
            receiver.tally.took(kept as u64, received_bytes as u64);
            let parsed = Parsed { batches: Vec::new(), dropped, rejected, rejected_count };
            answer_parsed(StatusCode::OK, accepted, &parsed)
        }
        Err(refusal) => {
            receiver.tally.problem(refusal.reason.name(), kept as u64, refusal.message.as_bytes());
            answer_refusal(&refusal)
        }
    }
}

impl Receiver {
    /// Reads and parses the body, and says how many bytes it had; counts what was adjusted or rejected. What is not
    /// compressed is parsed as it comes in. Nothing is stored before the body has ended as it should.
    async fn read(&self, body: Body, headers: &HeaderMap, defaults: &Defaults) -> Result<(Parsed, usize), ReadError> {
        let encoding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_plain = body::is_plain(encoding);
        let mut body = Limited::new(body, self.config.body_bytes_max);
        let mut reader = self.reader(defaults);
        let (mut pieces, mut unread, mut received) = (Vec::new(), 0, 0);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
                true => ReadError::TooLarge(self.config.body_bytes_max),
                false => ReadError::BrokeOff(error),
            })?;
            let Ok(piece) = frame.into_data() else { continue };
            received += piece.len();
            unread += piece.len();
            pieces.push(piece);
            if is_plain && unread >= READ_BYTES {
                reader = fed(reader, std::mem::take(&mut pieces), unread).await?;
                unread = 0;
            }
        }
        if !is_plain {
            let (encoding, bytes_max) = (encoding.to_owned(), self.config.decompressed_bytes_max);
            let decode = move || body::decoded(&pieces.concat(), &encoding, bytes_max);
            let decoded = tokio::task::spawn_blocking(decode).await??;
            unread = decoded.len();
            pieces = vec![decoded.into()];
        }
        reader = fed(reader, pieces, unread).await?;
        let parsed = reader.finish();
        reader.enricher().notes().report(&self.tally);
        if let Some(first) = parsed.rejected.first() {
            self.tally.problem("malformed_line", parsed.rejected_count, &first.example);
        }
        let mut readers = self.readers.lock();
        if readers.len() < READERS_MAX {
            readers.push(reader);
        }
        Ok((parsed, received))
    }

    fn reader(&self, defaults: &Defaults) -> BodyReader {
        let fresh = || BodyReader::new(self.context.enricher.clone(), self.config.line_bytes_max);
        let mut reader = self.readers.lock().pop().unwrap_or_else(fresh);
        let (host, service) = (defaults.host.as_deref(), defaults.service.as_deref());
        let resource = reader.enricher().resource(&self.nobody, host.unwrap_or_default(), service.unwrap_or_default());
        reader.begin(resource, Timestamp::now());
        reader
    }

    fn answer_read_error(&self, error: &ReadError) -> Response {
        let (status, reason) = match error {
            ReadError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            ReadError::BrokeOff(_) => (StatusCode::BAD_REQUEST, "body_broke_off"),
            ReadError::Panicked(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
            ReadError::Undecodable(BodyError::TooLarge(_)) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "decompressed_body_too_large")
            }
            ReadError::Undecodable(BodyError::UnknownEncoding(_)) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_encoding")
            }
            ReadError::Undecodable(BodyError::Invalid { .. }) => (StatusCode::BAD_REQUEST, "malformed_body"),
        };
        self.tally.problem(reason, 1, error.to_string().as_bytes());
        let setting = match error {
            ReadError::TooLarge(_) => "collector.json_lines.body_bytes_max",
            ReadError::Undecodable(BodyError::TooLarge(_)) => "collector.json_lines.decompressed_bytes_max",
            _ => return answer_error(status, &error.to_string()),
        };
        answer_error(status, &format!("{error}: send smaller batches, or raise {setting}"))
    }
}

/// Has the reader read the pieces, on a thread that may be busy if they have many bytes.
async fn fed(mut reader: BodyReader, pieces: Vec<Bytes>, bytes: usize) -> Result<BodyReader, ReadError> {
    let read = move || {
        pieces.into_iter().for_each(|piece| reader.feed(piece));
        reader
    };
    if bytes <= READ_HERE_BYTES_MAX { Ok(read()) } else { Ok(tokio::task::spawn_blocking(read).await?) }
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
