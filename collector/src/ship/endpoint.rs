//! One server: a request, and what its answer means.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use serde::Deserialize;

use super::config::ShipConfig;
use super::connection::Connections;
use crate::model::{AgentId, Checkpoint};
use crate::source::StartError;
use crate::source::agent::RUN_HEADER;

/// The media type of a frame.
pub const FRAME_MEDIA_TYPE: &str = "application/vnd.taffrail.frame";

/// An answer is believed and read up to this length.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The list of checkpoints may be long: an agent that tails thousands of files.
const STREAMS_BYTES_MAX: usize = 16 << 20;

/// What the sender asks of a server, however it is reached.
pub(super) trait Endpoint: Send + Sync + 'static {
    /// Its address, as the configuration says it.
    fn url(&self) -> &str;

    /// Sends a frame whose header says its place. Gives up after the deadline, and with the request its connection.
    fn ship(&self, frame: Bytes, deadline: Duration) -> BoxFuture<'_, Answer>;

    /// Asks what the server knows of this agent, its checkpoints only when they are wanted.
    fn streams(
        &self,
        agent: AgentId,
        wants_checkpoints: bool,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<ServerView, Answer>>;
}

/// A server that is reached over HTTP.
pub(super) struct HttpEndpoint {
    url: String,
    ship: Uri,
    token_file: Option<PathBuf>,
    /// Tells this run of the agent from others with the same identity.
    run: HeaderValue,
    connections: Connections,
}

/// What a server's answer to a batch means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Everything through this sequence number is durable there.
    Acked { through: Option<u64>, duplicate: bool },
    /// The stream goes on at this sequence number there.
    Gap { expected: u64 },
    /// It will never take this batch.
    Poison { reason: String },
    /// It, or somebody before it, takes no batch as large as this.
    TooLarge { reason: String },
    /// It does not know us (any more).
    Unauthorized { reason: String },
    /// It asks for a pause. `is_refused`: and says that nothing was stored.
    Busy { reason: String, retry_after: Option<Duration>, is_refused: bool },
    /// Certainly not stored: no connection came about.
    Unsent { reason: String },
    /// No answer in time: perhaps stored, perhaps not.
    TimedOut { reason: String },
    /// It failed at it: perhaps stored, perhaps not.
    Broken { reason: String },
    /// Anything else: perhaps stored, perhaps not.
    Failed { reason: String },
}

/// What a server knows of this agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerView {
    /// Who it is, wherever it is reached.
    pub(super) server: String,
    /// Epoch, stream, last durable sequence number.
    pub(super) streams: Vec<(u64, u32, u64)>,
    /// How far the sources were read.
    pub(super) checkpoints: Vec<Checkpoint>,
}

#[derive(Deserialize)]
struct Acknowledgement {
    #[serde(deserialize_with = "Option::deserialize")] // null for a stream without rows, but never absent
    acked_through: Option<u64>,
    duplicate: bool,
}

#[derive(Deserialize)]
struct Expectation {
    expected: u64,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorMessage,
}

#[derive(Deserialize)]
struct ErrorMessage {
    message: String,
    /// Said where nothing of the batch was stored for certain.
    #[serde(default = "perhaps")]
    stored: bool,
}

fn perhaps() -> bool {
    true
}

#[derive(Deserialize)]
struct StreamsAnswer {
    server: String,
    streams: Vec<StreamAnswer>,
    checkpoints: Vec<CheckpointAnswer>,
}

#[derive(Deserialize)]
struct StreamAnswer {
    epoch: String,
    stream: u32,
    acked_through: u64,
}

#[derive(Deserialize)]
struct CheckpointAnswer {
    key: String,
    value_base64: String,
}

/// The endpoints of the configuration, in its order.
pub(super) fn connect(config: &ShipConfig, run: u64) -> Result<Vec<HttpEndpoint>, StartError> {
    if config.to.is_empty() {
        return Err(StartError { setting: "collector.to", message: "name at least one server".to_owned() });
    }
    if let Some(path) = &config.token_file {
        read_token(path).map_err(|message| StartError { setting: "collector.token_file", message })?;
    }
    config.to.iter().map(|url| HttpEndpoint::new(url, config, run)).collect()
}

impl HttpEndpoint {
    fn new(url: &str, config: &ShipConfig, run: u64) -> Result<HttpEndpoint, StartError> {
        let refused = |message: String| StartError { setting: "collector.to", message };
        let url = url.trim_end_matches('/').to_owned();
        let ship: Uri = format!("{url}/api/v1/ship")
            .parse()
            .map_err(|error| refused(format!("{url} is not a URL like https://logs-a:6464: {error}")))?;
        let is_https = match ship.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refused(format!("{url} does not start with http:// or https://"))),
        };
        let connections = Connections::new(is_https, config.tls.clone());
        connections.check().map_err(|message| StartError { setting: "collector.tls", message })?;
        let run = HeaderValue::from_str(&format!("{run:016x}")).expect("hexadecimal digits are a header's value");
        Ok(HttpEndpoint { url, ship, token_file: config.token_file.clone(), run, connections })
    }

    async fn ship_frame(&self, frame: Bytes, deadline: Duration) -> Answer {
        let exchange = self.request(Method::POST, self.ship.clone(), frame, ANSWER_BYTES_MAX);
        let answer = match tokio::time::timeout(deadline, exchange).await {
            Ok(Ok((status, retry_after, body))) => read_answer(status, retry_after, &body),
            Ok(Err(answer)) => answer,
            Err(_) => Answer::TimedOut { reason: format!("no answer within {:.1} s", deadline.as_secs_f64()) },
        };
        let is_answered = !matches!(answer, Answer::Unsent { .. } | Answer::TimedOut { .. } | Answer::Failed { .. });
        if !is_answered {
            // Others of its connections may be as dead, and the address or the certificates may have changed.
            self.connections.discard();
        }
        answer
    }

    async fn ask_streams(
        &self,
        agent: AgentId,
        wants_checkpoints: bool,
        deadline: Duration,
    ) -> Result<ServerView, Answer> {
        let failed = |reason: String| Answer::Failed { reason };
        let uri = format!("{}/api/v1/streams?agent={agent}&checkpoints={wants_checkpoints}", self.url).parse::<Uri>();
        let uri = uri.map_err(|error| failed(error.to_string()))?;
        let exchange = self.request(Method::GET, uri, Bytes::new(), STREAMS_BYTES_MAX);
        let exchanged = match tokio::time::timeout(deadline, exchange).await {
            Ok(exchanged) => exchanged,
            Err(_) => Err(Answer::TimedOut { reason: format!("no answer within {:.1} s", deadline.as_secs_f64()) }),
        };
        let (status, retry_after, body) = exchanged.inspect_err(|_| self.connections.discard())?;
        if status != StatusCode::OK {
            return Err(match read_answer(status, retry_after, &body) {
                answer @ (Answer::Unauthorized { .. } | Answer::Busy { .. }) => answer,
                _ => failed(format!("it answers {status}")),
            });
        }
        let read = || -> Result<ServerView, String> {
            let answer: StreamsAnswer =
                serde_json::from_slice(&body).map_err(|error| format!("its answer is not ours: {error}"))?;
            let epoch = |text: &str| u64::from_str_radix(text, 16).map_err(|_| format!("{text} is no epoch"));
            let streams = answer.streams.iter().map(|s| Ok((epoch(&s.epoch)?, s.stream, s.acked_through)));
            let checkpoints = answer.checkpoints.into_iter().map(|checkpoint| {
                let value = STANDARD.decode(checkpoint.value_base64).map_err(|error| error.to_string())?;
                Ok(Checkpoint { key: checkpoint.key, value })
            });
            Ok(ServerView {
                server: answer.server,
                streams: streams.collect::<Result<_, String>>()?,
                checkpoints: checkpoints.collect::<Result<_, String>>()?,
            })
        };
        read().map_err(failed)
    }

    async fn request(
        &self,
        method: Method,
        uri: Uri,
        body: Bytes,
        answer_bytes_max: usize,
    ) -> Result<(StatusCode, Option<Duration>, Bytes), Answer> {
        let unsent = |reason: String| Answer::Unsent { reason };
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::CONTENT_TYPE, FRAME_MEDIA_TYPE)
            .header(RUN_HEADER, self.run.clone());
        if let Some(path) = &self.token_file {
            request = request.header(header::AUTHORIZATION, read_token(path).map_err(unsent)?);
        }
        let request = request.body(Full::new(body)).map_err(|error| unsent(error.to_string()))?;
        let response = self.connections.request(request).await.map_err(|error| {
            let reason = error.reason();
            if error.is_unsent() { Answer::Unsent { reason } } else { Answer::Failed { reason } }
        })?;
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(retry_after);
        let body = Limited::new(response.into_body(), answer_bytes_max).collect().await;
        let body = body.map_err(|error| Answer::Failed { reason: format!("its answer breaks off: {error}") })?;
        Ok((status, retry_after, body.to_bytes()))
    }
}

impl Endpoint for HttpEndpoint {
    fn url(&self) -> &str {
        &self.url
    }

    fn ship(&self, frame: Bytes, deadline: Duration) -> BoxFuture<'_, Answer> {
        Box::pin(self.ship_frame(frame, deadline))
    }

    fn streams(
        &self,
        agent: AgentId,
        wants_checkpoints: bool,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<ServerView, Answer>> {
        Box::pin(self.ask_streams(agent, wants_checkpoints, deadline))
    }
}

/// Only what our own server says in its own form is an acknowledgement or a verdict: proxies and captive portals answer too.
fn read_answer(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Answer {
    let answer = || serde_json::from_slice::<ErrorAnswer>(body).ok().map(|answer| answer.error);
    let said = || answer().map(|error| error.message);
    let is_refused = || answer().is_some_and(|error| !error.stored);
    let reason = || match said() {
        Some(message) => format!("{status}: {message}"),
        None => status.to_string(),
    };
    match status.as_u16() {
        200 => match serde_json::from_slice::<Acknowledgement>(body) {
            Ok(acknowledgement) => {
                Answer::Acked { through: acknowledgement.acked_through, duplicate: acknowledgement.duplicate }
            }
            Err(_) => {
                Answer::Failed { reason: "200, but with no acknowledgement: is this a Taffrail server?".to_owned() }
            }
        },
        409 => match serde_json::from_slice::<Expectation>(body) {
            Ok(Expectation { expected }) => Answer::Gap { expected },
            Err(_) => Answer::Failed { reason: reason() },
        },
        400 | 422 if said().is_some() => Answer::Poison { reason: reason() },
        413 if said().is_some() => Answer::TooLarge { reason: reason() },
        413 => Answer::TooLarge {
            reason: "413, but not from a Taffrail server: raise the body limit of the proxy before it".to_owned(),
        },
        401 | 403 => Answer::Unauthorized { reason: reason() },
        429 | 503 | 507 => Answer::Busy { reason: reason(), retry_after, is_refused: is_refused() },
        500 => Answer::Broken { reason: reason() },
        _ => Answer::Failed { reason: reason() },
    }
}

fn retry_after(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn read_token(path: &Path) -> Result<HeaderValue, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
        .map_err(|_| format!("{} does not hold a token in one line", path.display()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_typed_answer_is_an_acknowledgement_or_a_verdict() {
        let check = |status: u16, body: &str, expected: fn(&Answer) -> bool| {
            let answer = read_answer(StatusCode::from_u16(status).unwrap(), None, body.as_bytes());
            assert!(expected(&answer), "{status} {body}: {answer:?}");
        };
        check(200, r#"{"acked_through":7,"duplicate":false}"#, |a| {
            *a == Answer::Acked { through: Some(7), duplicate: false }
        });
        check(200, r#"{"acked_through":null,"duplicate":true}"#, |a| {
            *a == Answer::Acked { through: None, duplicate: true }
        });
        for body in
            ["", "<html>welcome</html>", "{}", r#"{"duplicate":true}"#, r#"{"acked_through":"7","duplicate":true}"#]
        {
            check(200, body, |a| matches!(a, Answer::Failed { .. }));
        }
        check(204, r#"{"acked_through":7,"duplicate":false}"#, |a| matches!(a, Answer::Failed { .. }));
        check(409, r#"{"expected":3}"#, |a| *a == Answer::Gap { expected: 3 });
        check(409, "conflict", |a| matches!(a, Answer::Failed { .. }));
        check(413, r#"{"error":{"message":"too large"}}"#, |a| matches!(a, Answer::TooLarge { .. }));
        check(
            413,
            "<html>too large</html>",
            |a| matches!(a, Answer::TooLarge { reason } if reason.contains("body limit of the proxy")),
        );
        check(400, r#"{"error":{"message":"bad"}}"#, |a| matches!(a, Answer::Poison { .. }));
        check(400, "nginx", |a| matches!(a, Answer::Failed { .. }));
        check(401, "", |a| matches!(a, Answer::Unauthorized { .. }));
        let refused = r#"{"error":{"message":"later","stored":false}}"#;
        check(429, refused, |a| matches!(a, Answer::Busy { is_refused: true, .. }));
        check(503, r#"{"error":{"message":"stopping"}}"#, |a| matches!(a, Answer::Busy { is_refused: false, .. }));
        check(507, "", |a| matches!(a, Answer::Busy { .. }));
        check(500, "", |a| matches!(a, Answer::Broken { .. }));
        check(502, "<html>", |a| matches!(a, Answer::Failed { .. }));
        check(404, "", |a| matches!(a, Answer::Failed { .. }));
    }
}
