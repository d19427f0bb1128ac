//! What HTTP and gRPC have in common: a body is read within its limits, stored whole, and only then answered.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::message::decoded;
use super::records::{Reading, TakenRecords};
use super::request::{ExportLogsServiceRequest, ExportTraceServiceRequest};
use super::{Config, Intake, MessageForm, ReadError, logs, points, spans};
use crate::delivery::{Refusal, RefusalReason};
use crate::enrich::{Enricher, Switch};
use crate::model::Timestamp;
use crate::source::json_lines::body::{self, BodyError};
use crate::source::whole_request::{store_records, store_whole};
use crate::source::{SourceContext, Tally};

/// Requests that are read at once: each may take its body's limits several times over while it is.
const REQUESTS_MAX: usize = 16;
/// A request that finds no place for so long is refused for now.
const PATIENCE: Duration = Duration::from_secs(5);
/// What takes less than half a millisecond is read where it is.
const READ_HERE_BYTES_MAX: usize = 8 << 10;
/// Enrichers kept for later requests: more are hardly at work at once.
const ENRICHERS_MAX: usize = 8;

/// What a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Log records.
    Logs,
    /// Points of metrics.
    Metrics,
    /// Spans.
    Traces,
}

impl Signal {
    /// All of them.
    pub const ALL: [Signal; 3] = [Signal::Logs, Signal::Metrics, Signal::Traces];

    /// Where it is posted to.
    pub const fn path(self) -> &'static str {
        match self {
            Signal::Logs => "/v1/logs",
            Signal::Metrics => "/v1/metrics",
            Signal::Traces => "/v1/traces",
        }
    }
}

/// Takes requests of all signals.
pub(super) struct Receiver {
    config: Config,
    context: SourceContext,
    /// In the order of [`Signal::ALL`].
    tallies: [Arc<Tally>; 3],
    intake: Intake,
    enricher: Enricher,
    /// Those not at work. They remember names and senders, so that records of many requests share them.
    enrichers: Mutex<Vec<Enricher>>,
    places: Semaphore,
}

/// A body without what its transport put around it.
pub(super) struct Unpacked {
    pub(super) body: Bytes,
    pub(super) form: MessageForm,
    /// As `Content-Encoding` names it; empty when it is none.
    pub(super) encoding: String,
}

/// What was not taken of a request that was stored otherwise, and must not be sent again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) count: i64,
    pub(super) message: String,
}

/// Why nothing of a request is stored.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// When it may be sent again; none unless that can help.
    pub(super) wait: Option<Duration>,
}

/// What a sender can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// Send another type.
    UnknownType,
    /// Send another encoding.
    UnknownEncoding,
    /// Send less.
    TooLarge,
    /// Send it right.
    Malformed,
    /// Send it again.
    Unavailable,
}

enum Taken {
    Samples(points::Taken),
    Records(TakenRecords),
}

impl Receiver {
    pub(super) fn new(config: Config, context: &SourceContext) -> Receiver {
        let enricher = context.enricher.clone().of_source("otlp");
        let enricher = if config.redact == Switch::On { enricher } else { enricher.unredacted() };
        Receiver {
            tallies: Signal::ALL.map(|signal| context.tallies.of("otlp", signal.path())),
            intake: Intake::new(config.clone()),
            config,
            context: context.of_source("otlp"),
            enricher,
            enrichers: Mutex::default(),
            places: Semaphore::new(REQUESTS_MAX),
        }
    }

    /// The largest body as it is sent.
    pub(super) fn body_bytes_max(&self) -> usize {
        self.config.body_bytes_max
    }

    /// Takes a request; the answer comes after the fsync. `unpack` takes off what the transport put around the body; `is_near` says
    /// that the sender is on this host.
    pub(super) async fn receive(
        self: &Arc<Self>,
        signal: Signal,
        body: Body,
        is_near: bool,
        unpack: impl FnOnce(Bytes) -> Result<Unpacked, Failure>,
    ) -> Result<Rejected, Failure> {
        let (taken, bytes) = self.read(signal, body, is_near, unpack).await.inspect_err(|failure| {
            self.tally(signal).problem(failure.reason, 1, failure.message.as_bytes());
        })?;
        let tally = self.tally(signal);
        let (count, stored, rejected) = match taken {
            Taken::Samples(mut taken) => {
                let samples = std::mem::take(&mut taken.samples);
                let count = samples.len() as u64;
                let stored = store_whole(&self.context.outlet, samples).await;
                let rejected = std::mem::take(&mut taken.rejected);
                match &stored {
                    Ok(()) => self.intake.stored(taken),
                    Err(_) => self.intake.not_stored(),
                }
                (count, stored, rejected)
            }
            Taken::Records(TakenRecords { batches, rejected }) => {
                let count = batches.iter().map(Vec::len).sum::<usize>() as u64;
                (count, store_records(&self.context.outlet, batches).await, rejected)
            }
        };
        if let Err(refusal) = stored {
            tally.problem(refusal.reason.name(), count, refusal.message.as_bytes());
            return Err(Failure::refused(refusal));
        }
        tally.took(count, bytes);
        for (reason, (count, example)) in &rejected {
            tally.problem(reason, *count, example.as_bytes());
        }
        let said = rejected.iter().map(|(reason, (count, name))| format!("{count} {reason}, such as of {name}"));
        Ok(Rejected {
            message: said.collect::<Vec<_>>().join("; "),
            count: rejected.values().map(|(count, _)| *count as i64).sum(),
        })
    }

    /// Counts a request of which nothing can be read.
    pub(super) fn count_failure(&self, signal: Signal, failure: &Failure) {
        self.tally(signal).problem(failure.reason, 1, failure.message.as_bytes());
    }

    fn tally(&self, signal: Signal) -> &Tally {
        &self.tallies[signal as usize]
    }

    /// Reads a request, and says how many bytes it had.
    async fn read(
        self: &Arc<Self>,
        signal: Signal,
        body: Body,
        is_near: bool,
        unpack: impl FnOnce(Bytes) -> Result<Unpacked, Failure>,
    ) -> Result<(Taken, u64), Failure> {
        let place = tokio::time::timeout(PATIENCE, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else { return Err(Failure::no_place()) };
        let body = match Limited::new(body, self.config.body_bytes_max).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Failure::too_large(self.config.body_bytes_max)),
            Err(error) => {
                let message = format!("the body broke off: {error}");
                return Err(Failure::new(FailureKind::Malformed, "body_broke_off", message));
            }
        };
        let bytes = body.len() as u64;
        let Unpacked { body, form, encoding } = unpack(body)?;
        let is_small = body.len() <= READ_HERE_BYTES_MAX && body::is_plain(&encoding);
        let receiver = Arc::clone(self);
        let read = move || -> Result<Taken, Failure> {
            let bytes_max = receiver.config.decompressed_bytes_max;
            if body::is_plain(&encoding) && body.len() <= bytes_max {
                return Ok(receiver.understood(signal, &body, form, is_near)?);
            }
            let body = body::decoded(&body, &encoding, bytes_max)?;
            Ok(receiver.understood(signal, &body, form, is_near)?)
        };
        let taken =
            if is_small { read() } else { tokio::task::spawn_blocking(read).await.map_err(Failure::panicked)? };
        Ok((taken?, bytes))
    }

    fn understood(&self, signal: Signal, body: &[u8], form: MessageForm, is_near: bool) -> Result<Taken, ReadError> {
        let now = Timestamp::now();
        if signal == Signal::Metrics {
            return Ok(Taken::Samples(self.intake.read(body, form, now)?));
        }
        let mut enricher = self.enrichers.lock().pop().unwrap_or_else(|| self.enricher.clone());
        let host = if is_near { Arc::clone(&self.context.resource.host) } else { Arc::default() };
        let reading = Reading::new(&mut enricher, self.config.line_bytes_max, host, now);
        let taken = records(signal, body, form, reading, self.config.records_max);
        enricher.notes().report(self.tally(signal));
        let mut enrichers = self.enrichers.lock();
        if enrichers.len() < ENRICHERS_MAX {
            enrichers.push(enricher);
        }
        Ok(Taken::Records(taken?))
    }
}

/// The records of a request of logs or spans.
fn records(
    signal: Signal,
    body: &[u8],
    form: MessageForm,
    mut reading: Reading<'_>,
    records_max: usize,
) -> Result<TakenRecords, ReadError> {
    let check = |count: usize| if count > records_max { Err(ReadError::TooManyRecords(records_max)) } else { Ok(()) };
    if signal == Signal::Logs {
        let request: ExportLogsServiceRequest = decoded(body, form, "ExportLogsServiceRequest")?;
        check(logs::count(&request))?;
        logs::read(request, &mut reading);
    } else {
        let request: ExportTraceServiceRequest = decoded(body, form, "ExportTraceServiceRequest")?;
        check(spans::count(&request))?;
        spans::read(request, &mut reading);
    }
    Ok(reading.finish())
}

/// A body of logs or spans without what its transport put around it, up to the records it gives: for fuzzing.
///
/// # Errors
/// When nothing of it can be taken.
pub fn read_records(
    signal: Signal,
    body: &[u8],
    form: MessageForm,
    enricher: &mut Enricher,
    now: Timestamp,
) -> Result<TakenRecords, ReadError> {
    let Config { line_bytes_max, records_max, .. } = Config::default();
    records(signal, body, form, Reading::new(enricher, line_bytes_max, Arc::default(), now), records_max)
}

impl Failure {
    pub(super) fn new(kind: FailureKind, reason: &'static str, message: String) -> Failure {
        let wait = (kind == FailureKind::Unavailable).then_some(Duration::from_secs(1));
        Failure { kind, reason, message, wait }
    }

    pub(super) fn too_large(bytes_max: usize) -> Failure {
        let message = format!(
            "the body has more than {bytes_max} bytes: send smaller batches, or raise collector.otlp.body_bytes_max"
        );
        Failure::new(FailureKind::TooLarge, "body_too_large", message)
    }

    fn no_place() -> Failure {
        let message = "too many requests are under way; send it again".to_owned();
        Failure::new(FailureKind::Unavailable, RefusalReason::Overloaded.name(), message)
    }

    fn panicked(_: tokio::task::JoinError) -> Failure {
        Failure::new(FailureKind::Unavailable, "internal_error", "reading the body failed".to_owned())
    }

    fn refused(refusal: Refusal) -> Failure {
        let Refusal { reason, message, retry_after } = refusal;
        let failure = |kind, wait| Failure { kind, reason: reason.name(), message, wait };
        match reason {
            RefusalReason::BatchTooLarge => failure(FailureKind::TooLarge, None),
            RefusalReason::Overloaded
            | RefusalReason::DiskFull
            | RefusalReason::WriteFailed
            | RefusalReason::ShuttingDown
            | RefusalReason::IdentityConflict => {
                failure(FailureKind::Unavailable, retry_after.or(Some(Duration::from_secs(1))))
            }
        }
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Failure {
        let (kind, reason) = match error {
            BodyError::TooLarge(_) => (FailureKind::TooLarge, "decompressed_body_too_large"),
            BodyError::UnknownEncoding(_) => (FailureKind::UnknownEncoding, "unknown_encoding"),
            BodyError::Invalid { .. } => (FailureKind::Malformed, "malformed_body"),
        };
        let advice = match error {
            BodyError::TooLarge(_) => ": send smaller batches, or raise collector.otlp.decompressed_bytes_max",
            _ => "",
        };
        Failure::new(kind, reason, format!("{error}{advice}"))
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Failure {
        let (kind, reason, setting) = match error {
            ReadError::Malformed { .. } => (FailureKind::Malformed, "malformed_body", None),
            ReadError::TooManyFields => (FailureKind::TooLarge, "too_many_fields", None),
            ReadError::TooManySamples(_) => (FailureKind::TooLarge, "too_many_samples", Some("samples_max")),
            ReadError::TooManyRecords(_) => (FailureKind::TooLarge, "too_many_records", Some("records_max")),
        };
        let advice = setting.map(|name| format!(": send smaller batches, or raise collector.otlp.{name}"));
        Failure::new(kind, reason, format!("{error}{}", advice.unwrap_or_default()))
    }
}
