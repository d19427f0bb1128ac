//! `POST /api/v1/write` over HTTP: limits, decompression, and the answers that senders act on.
//!
//! | Answer | Meaning for the sender |
//! |---|---|
//! | 204 | everything is on disk |
//! | 400 | what the text names is refused, and sending it again would not help; everything else is on disk |
//! | 413, 415 | nothing is stored: too large, or a message or encoding that is not read here |
//! | 503, 507, with `Retry-After` | nothing is acknowledged: too busy, stopping, disk full; to be sent again |
//!
//! Overload is 503 and not 429, for Prometheus drops what is answered 429 unless `retry_on_http_429` is set. Samples that are
//! sent again are the same samples. Version 2.0 also wants to know how much was written; the headers are there for both.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::intake::{ReadError, Taken};
use super::{Config, Intake, Version};
use crate::delivery::{Refusal, RefusalReason};
use crate::source::json_lines::body::{self, BodyError};
use crate::source::whole_request::store_whole;
use crate::source::{SourceContext, Tally};

/// Bytes of all bodies that are being read, in KiB: many large ones wait for each other.
const BODIES_KIB_MAX: u32 = 256 << 10;
/// A body that finds no room for so long is refused for now.
const ROOM_PATIENCE: Duration = Duration::from_secs(5);
/// What takes less than half a millisecond is read where it is.
const READ_HERE_BYTES_MAX: usize = 16 << 10;
/// Buffers for decompressed bodies kept for later requests, and their size at most.
const BUFFERS_MAX: usize = 8;
const BUFFER_BYTES_MAX: usize = 4 << 20;

const SAMPLES_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// The route, to be mounted on the HTTP server.
pub fn routes(config: Config, context: SourceContext) -> Router {
    let receiver = Receiver {
        tally: context.tallies.of("prometheus_write", "/api/v1/write"),
        intake: Intake::new(&config),
        config,
        context: context.of_source("prometheus_write"),
        room: Semaphore::new(BODIES_KIB_MAX as usize),
        buffers: Mutex::default(),
    };
    Router::new().route("/api/v1/write", post(receive)).with_state(Arc::new(receiver))
}

struct Receiver {
    config: Config,
    context: SourceContext,
    tally: Arc<Tally>,
    intake: Intake,
    /// Room for bodies, in KiB.
    room: Semaphore,
    /// Those not in use.
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// Why nothing of a request is taken.
#[derive(Debug, Error)]
enum Unreadable {
    #[error(
        "the content type {0:?} is not read here: send application/x-protobuf with proto=prometheus.WriteRequest or \
         proto=io.prometheus.write.v2.Request"
    )]
    UnknownType(String),
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("the body broke off: {0}")]
    BrokeOff(Box<dyn std::error::Error + Send + Sync>),
    #[error("the body is not valid snappy: {0}")]
    InvalidSnappy(#[from] snap::Error),
    #[error(transparent)]
    Undecodable(#[from] BodyError),
    #[error(transparent)]
    NoRequest(#[from] ReadError),
    #[error("reading the body failed")]
    Panicked(#[from] tokio::task::JoinError),
    #[error("too many requests are under way; send it again")]
    NoRoom,
}

async fn receive(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (mut taken, bytes) = match Receiver::read(&receiver, body, &parts.headers).await {
        Ok(read) => read,
        Err(error) => return receiver.answer_unreadable(&error),
    };
    let samples = std::mem::take(&mut taken.samples);
    let count = samples.len() as u64;
    if let Err(refusal) = store_whole(&receiver.context.outlet, samples).await {
        receiver.tally.problem(refusal.reason.name(), count, refusal.message.as_bytes());
        receiver.intake.not_stored(taken);
        return answer_refusal(&refusal);
    }
    receiver.intake.stored(&mut taken);
    receiver.tally.took(count, bytes);
    for (reason, refused) in &taken.refused {
        receiver.tally.problem(reason, refused.count, refused.example.as_bytes());
    }
    answer_taken(&taken)
}

impl Receiver {
    /// Reads a request, and says how many bytes it had.
    async fn read(receiver: &Arc<Receiver>, body: Body, headers: &HeaderMap) -> Result<(Taken, u64), Unreadable> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = text(header::CONTENT_TYPE);
        let version = version(content_type).ok_or_else(|| Unreadable::UnknownType(content_type.to_owned()))?;
        let encoding = text(header::CONTENT_ENCODING).trim().to_ascii_lowercase();
        let bytes_max = receiver.config.body_bytes_max;
        let length = text(header::CONTENT_LENGTH).parse().unwrap_or(bytes_max).min(bytes_max);
        let mut room = receiver.room(length).await?;
        let body = match Limited::new(body, bytes_max).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Unreadable::TooLarge(bytes_max)),
            Err(error) => return Err(Unreadable::BrokeOff(error)),
        };
        let bytes = body.len() as u64;
        // Snappy says beforehand what it holds.
        let decompressed = if is_snappy(&encoding) { receiver.snappy_length(&body)? } else { body.len() };
        room.merge(receiver.room(decompressed).await?);
        let receiver = Arc::clone(receiver);
        let read = move || receiver.decompress_and_read(&body, &encoding, version);
        let taken = match decompressed <= READ_HERE_BYTES_MAX {
            true => read(),
            false => tokio::task::spawn_blocking(read).await?,
        };
        Ok((taken?, bytes))
    }

    async fn room(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Unreadable> {
        // One request may take half of it at most, so that its two halves never wait for each other.
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).min(BODIES_KIB_MAX / 2);
        match tokio::time::timeout(ROOM_PATIENCE, self.room.acquire_many(kib)).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(Unreadable::NoRoom),
        }
    }

    fn snappy_length(&self, body: &[u8]) -> Result<usize, Unreadable> {
        let length = snap::raw::decompress_len(body)?;
        let bytes_max = self.config.decompressed_bytes_max;
        if length > bytes_max { Err(BodyError::TooLarge(bytes_max).into()) } else { Ok(length) }
    }

    fn decompress_and_read(&self, body: &Bytes, encoding: &str, version: Version) -> Result<Taken, Unreadable> {
        if !is_snappy(encoding) {
            let body = body::decoded(body, encoding, self.config.decompressed_bytes_max)?;
            return Ok(self.intake.read(&body, version)?);
        }
        let length = self.snappy_length(body)?;
        let mut buffer = self.buffers.lock().pop().unwrap_or_default();
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        let decompressed = snap::raw::Decoder::new().decompress(body, &mut buffer[..length]);
        let read = match decompressed {
            Ok(length) => self.intake.read(&buffer[..length], version).map_err(Unreadable::from),
            Err(error) => Err(error.into()),
        };
        let mut buffers = self.buffers.lock();
        if buffers.len() < BUFFERS_MAX && buffer.len() <= BUFFER_BYTES_MAX {
            buffers.push(buffer);
        }
        read
    }

    fn answer_unreadable(&self, error: &Unreadable) -> Response {
        let (status, reason, setting) = match error {
            Unreadable::UnknownType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_content_type", None),
            Unreadable::TooLarge(_) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", Some("collector.prometheus_write.body_bytes_max"))
            }
            Unreadable::BrokeOff(_) => (StatusCode::BAD_REQUEST, "body_broke_off", None),
            Unreadable::InvalidSnappy(_) => (StatusCode::BAD_REQUEST, "malformed_body", None),
            Unreadable::Undecodable(BodyError::TooLarge(_)) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "decompressed_body_too_large",
                Some("collector.prometheus_write.decompressed_bytes_max"),
            ),
            Unreadable::Undecodable(BodyError::UnknownEncoding(_)) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_encoding", None)
            }
            Unreadable::Undecodable(BodyError::Invalid { .. }) => (StatusCode::BAD_REQUEST, "malformed_body", None),
            Unreadable::NoRequest(ReadError::Malformed(_)) => (StatusCode::BAD_REQUEST, "malformed_body", None),
            Unreadable::NoRequest(ReadError::TooManySamples(_)) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_many_samples", Some("collector.prometheus_write.samples_max"))
            }
            Unreadable::Panicked(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error", None),
            Unreadable::NoRoom => (StatusCode::SERVICE_UNAVAILABLE, RefusalReason::Overloaded.name(), None),
        };
        self.tally.problem(reason, 1, error.to_string().as_bytes());
        let message = match setting {
            Some(setting) => format!("{error}: send smaller batches, or raise {setting}"),
            None => error.to_string(),
        };
        let retry_after = matches!(error, Unreadable::NoRoom).then_some(Duration::from_secs(1));
        answer(status, message, retry_after)
    }
}

/// Which message the content type names; none when neither. Without a parameter it is the first version's.
fn version(content_type: &str) -> Option<Version> {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    if !(essence.is_empty() || essence.eq_ignore_ascii_case("application/x-protobuf")) {
        return None;
    }
    for part in parts {
        let Some((name, value)) = part.split_once('=') else { continue };
        if name.trim().eq_ignore_ascii_case("proto") {
            return match value.trim().trim_matches('"') {
                "prometheus.WriteRequest" => Some(Version::One),
                "io.prometheus.write.v2.Request" => Some(Version::Two),
                _ => None,
            };
        }
    }
    Some(Version::One)
}

/// Snappy's block format, which some senders do not even name.
fn is_snappy(encoding: &str) -> bool {
    encoding.is_empty() || encoding == "snappy"
}

fn answer_taken(taken: &Taken) -> Response {
    let mut response = match taken.refused.is_empty() {
        true => StatusCode::NO_CONTENT.into_response(),
        false => {
            let mut message = String::from("stored, except: ");
            for (at, (reason, refused)) in taken.refused.iter().enumerate() {
                let between = if at == 0 { "" } else { "; " };
                // Writing to text does not fail.
                let _ = write!(message, "{between}{} {reason}, such as {}", refused.count, refused.example);
            }
            answer(StatusCode::BAD_REQUEST, message, None)
        }
    };
    let headers = response.headers_mut();
    headers.insert(SAMPLES_WRITTEN, taken.readings.into());
    headers.insert(HISTOGRAMS_WRITTEN, taken.histograms.into());
    headers.insert(EXEMPLARS_WRITTEN, taken.exemplars.into());
    response
}

fn answer_refusal(refusal: &Refusal) -> Response {
    let status = match refusal.reason {
        RefusalReason::BatchTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RefusalReason::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
        RefusalReason::Overloaded
        | RefusalReason::WriteFailed
        | RefusalReason::ShuttingDown
        | RefusalReason::IdentityConflict => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = answer(status, refusal.message.clone(), refusal.retry_after);
    for name in [SAMPLES_WRITTEN, HISTOGRAMS_WRITTEN, EXEMPLARS_WRITTEN] {
        response.headers_mut().insert(name, 0.into());
    }
    response
}

/// One line of plain text, which senders log as it stands.
fn answer(status: StatusCode, message: String, retry_after: Option<Duration>) -> Response {
    let mut response = (status, message).into_response();
    if let Some(wait) = retry_after {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        response.headers_mut().insert(header::RETRY_AFTER, u64::try_from(seconds).unwrap_or(u64::MAX).into());
    }
    response
}
