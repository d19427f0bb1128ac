//! One server: a request, and what its answer means.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;

use super::config::ShipConfig;
use crate::model::{AgentId, Checkpoint};
use crate::source::StartError;

/// The media type of a frame.
pub const FRAME_MEDIA_TYPE: &str = "application/vnd.taffrail.frame";

/// An answer is believed and read up to this length.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The list of checkpoints may be long: an agent that tails thousands of files.
const STREAMS_BYTES_MAX: usize = 16 << 20;

/// A server that does not take the connection by then is away: the kernel's own patience is over two minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A request that is not answered by then is given up together with its connection. A server that is merely slow has stored
/// the batch nevertheless, and recognises it when it comes again.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// One server.
pub(super) struct Endpoint {
    url: String,
    ship: Uri,
    token_file: Option<PathBuf>,
    client: HttpClient,
}

enum HttpClient {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
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
    /// It does not know us (any more).
    Unauthorized { reason: String },
    /// It asks for a pause.
    Busy { reason: String, retry_after: Option<Duration> },
    /// Anything else: perhaps stored, perhaps not.
    Failed { reason: String },
}

/// What a server knows of this agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerView {
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
}

#[derive(Deserialize)]
struct StreamsAnswer {
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
pub(super) fn connect(config: &ShipConfig) -> Result<Vec<Endpoint>, StartError> {
    if config.to.is_empty() {
        return Err(StartError { setting: "collector.to", message: "name at least one server".to_owned() });
    }
    if let Some(path) = &config.token_file {
        read_token(path).map_err(|message| StartError { setting: "collector.token_file", message })?;
    }
    config.to.iter().map(|url| Endpoint::new(url, config.token_file.clone())).collect()
}

impl Endpoint {
    fn new(url: &str, token_file: Option<PathBuf>) -> Result<Endpoint, StartError> {
        let refused = |message: String| StartError { setting: "collector.to", message };
        let url = url.trim_end_matches('/').to_owned();
        let ship: Uri = format!("{url}/api/v1/ship")
            .parse()
            .map_err(|error| refused(format!("{url} is not a URL like https://logs-a:6464: {error}")))?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        connector.set_keepalive(Some(Duration::from_secs(10)));
        connector.set_keepalive_interval(Some(Duration::from_secs(3)));
        connector.set_keepalive_retries(Some(3));
        #[cfg(target_os = "linux")]
        connector.set_tcp_user_timeout(Some(Duration::from_secs(15)));
        connector.enforce_http(false);
        let mut builder = Client::builder(TokioExecutor::new());
        // Below the idle timeouts of usual servers and balancers, so that the server rarely closes under our hands.
        builder.pool_idle_timeout(Duration::from_secs(30)).pool_timer(TokioTimer::new());
        let client = match ship.scheme_str() {
            Some("http") => HttpClient::Plain(builder.build(connector)),
            Some("https") => {
                let tls = HttpsConnectorBuilder::new()
                    .with_native_roots()
                    .map_err(|error| refused(format!("{url} needs the system's CA certificates: {error}")))?;
                HttpClient::Tls(builder.build(tls.https_only().enable_http1().wrap_connector(connector)))
            }
            _ => return Err(refused(format!("{url} does not start with http:// or https://"))),
        };
        Ok(Endpoint { url, ship, token_file, client })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Sends a frame whose header says `place`.
    pub(super) async fn ship(&self, frame: Bytes) -> Answer {
        match self.request(Method::POST, self.ship.clone(), frame, ANSWER_BYTES_MAX).await {
            Ok((status, retry_after, body)) => read_answer(status, retry_after, &body),
            Err(reason) => Answer::Failed { reason },
        }
    }

    /// Asks what the server knows of this agent.
    pub(super) async fn streams(&self, agent: AgentId) -> Result<ServerView, String> {
        let uri = format!("{}/api/v1/streams?agent={agent}", self.url).parse::<Uri>();
        let uri = uri.map_err(|error| error.to_string())?;
        let (status, _, body) = self.request(Method::GET, uri, Bytes::new(), STREAMS_BYTES_MAX).await?;
        if status != StatusCode::OK {
            return Err(format!("it answers {status}"));
        }
        let answer: StreamsAnswer =
            serde_json::from_slice(&body).map_err(|error| format!("its answer is not ours: {error}"))?;
        let epoch = |text: &str| u64::from_str_radix(text, 16).map_err(|_| format!("{text} is no epoch"));
        let streams = answer.streams.iter().map(|s| Ok((epoch(&s.epoch)?, s.stream, s.acked_through)));
        let checkpoints = answer.checkpoints.into_iter().map(|checkpoint| {
            let value = STANDARD.decode(checkpoint.value_base64).map_err(|error| error.to_string())?;
            Ok(Checkpoint { key: checkpoint.key, value })
        });
        Ok(ServerView {
            streams: streams.collect::<Result<_, String>>()?,
            checkpoints: checkpoints.collect::<Result<_, String>>()?,
        })
    }

    async fn request(
        &self,
        method: Method,
        uri: Uri,
        body: Bytes,
        answer_bytes_max: usize,
    ) -> Result<(StatusCode, Option<Duration>, Bytes), String> {
        let mut request = Request::builder().method(method).uri(uri).header(header::CONTENT_TYPE, FRAME_MEDIA_TYPE);
        if let Some(path) = &self.token_file {
            request = request.header(header::AUTHORIZATION, read_token(path)?);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let exchange = async {
            let response = match &self.client {
                HttpClient::Plain(client) => client.request(request).await,
                HttpClient::Tls(client) => client.request(request).await,
            };
            let response = response.map_err(|error| with_sources(&error))?;
            let status = response.status();
            let retry_after = response.headers().get(header::RETRY_AFTER).and_then(retry_after);
            let body = Limited::new(response.into_body(), answer_bytes_max).collect().await;
            let body = body.map_err(|error| format!("its answer breaks off: {error}"))?;
            Ok((status, retry_after, body.to_bytes()))
        };
        tokio::time::timeout(REQUEST_DEADLINE, exchange)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", REQUEST_DEADLINE.as_secs())))
    }
}

/// Only what our own server says in its own form is an acknowledgement or a verdict: proxies and captive portals answer too.
fn read_answer(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Answer {
    let said = || serde_json::from_slice::<ErrorAnswer>(body).ok().map(|answer| answer.error.message);
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
        400 | 413 | 422 if said().is_some() => Answer::Poison { reason: reason() },
        413 => Answer::Failed {
            reason: format!(
                "{}, but not from a Taffrail server: raise the body limit of the proxy before it",
                status.as_u16()
            ),
        },
        401 | 403 => Answer::Unauthorized { reason: reason() },
        429 | 503 | 507 => Answer::Busy { reason: reason(), retry_after },
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

/// hyper's errors say little by themselves; their sources say `connection refused`.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
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
        check(413, r#"{"error":{"message":"too large"}}"#, |a| matches!(a, Answer::Poison { .. }));
        check(
            413,
            "<html>too large</html>",
            |a| matches!(a, Answer::Failed { reason } if reason.contains("body limit of the proxy")),
        );
        check(400, r#"{"error":{"message":"bad"}}"#, |a| matches!(a, Answer::Poison { .. }));
        check(400, "nginx", |a| matches!(a, Answer::Failed { .. }));
        check(401, "", |a| matches!(a, Answer::Unauthorized { .. }));
        check(507, "", |a| matches!(a, Answer::Busy { .. }));
        check(502, "<html>", |a| matches!(a, Answer::Failed { .. }));
        check(404, "", |a| matches!(a, Answer::Failed { .. }));
    }
}
