//! Asks a server over HTTP, or an agent over its Unix socket: whole answers, and answers line by line.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client as HyperClient, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::UnixStream;

use crate::agent::status_socket;

/// An answer that is read whole may be this long.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// A line of a stream may be this long: a record's message is far below.
const LINE_BYTES_MAX: usize = 64 << 20;

/// A server or an agent to ask.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    way: Way,
}

/// How it is reached.
#[derive(Clone, Debug)]
enum Way {
    Network(Box<HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>>),
    /// The socket in the state directory.
    Socket(PathBuf),
}

/// An answer that comes line by line.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    waiting: BytesMut,
}

/// A question that the server did not understand.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct BadQuestion {
    /// What is wrong with it.
    pub message: String,
    /// Where, counted in characters from 1.
    pub column: Option<usize>,
}

impl Client {
    /// A client of the server at this URL.
    pub fn new(server: &str) -> anyhow::Result<Client> {
        let base = server.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().with_context(|| format!("--server {server} is not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            bail!("--server {server} must start with http:// or https://");
        }
        let connector = HttpsConnectorBuilder::new().with_native_roots().context("read the system's certificates")?;
        let connector = connector.https_or_http().enable_http1().build();
        Ok(Client { base, way: Way::Network(Box::new(HyperClient::builder(TokioExecutor::new()).build(connector))) })
    }

    /// A client of the agent with this state directory.
    pub fn of_agent(state_dir: &Path) -> Client {
        Client { base: "http://agent".to_owned(), way: Way::Socket(state_dir.join(status_socket::FILE_NAME)) }
    }

    /// The URL of a path with parameters.
    pub fn url(&self, path: &str, parameters: &[(&str, &str)]) -> String {
        let mut url = format!("{}{path}", self.base);
        for (at, (name, value)) in parameters.iter().enumerate() {
            url.push(if at == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            percent_encode(value, &mut url);
        }
        url
    }

    /// The whole answer.
    pub async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        self.whole(Method::GET, path, parameters).await
    }

    /// The whole answer to a request that changes something.
    pub async fn post(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        self.whole(Method::POST, path, parameters).await
    }

    /// The whole answer to a request that removes something.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.whole(Method::DELETE, path, &[]).await
    }

    /// The whole answer to a request with a body and headers of its own.
    pub async fn send_body(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Value> {
        let headers = [&[("accept", "application/json")], headers].concat();
        Self::read_whole(self.send_with(method, path, &[], &headers, body.into()).await?).await
    }

    /// Asks for a change that has no answer but that it is made.
    pub async fn tell(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<()> {
        self.send(Method::POST, path, parameters, "application/json").await.map(drop)
    }

    async fn whole(&self, method: Method, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        Self::read_whole(self.send(method, path, parameters, "application/json").await?).await
    }

    async fn read_whole(body: Incoming) -> anyhow::Result<Value> {
        let bytes = Limited::new(body, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| anyhow!("read the answer: {error}"))?;
        serde_json::from_slice(&bytes.to_bytes()).context("the answer is not JSON; is this a Taffrail server?")
    }

    /// The answer to a JSON document, line by line.
    pub async fn post_lines(&self, path: &str, document: &Value) -> anyhow::Result<Lines> {
        let headers = [("accept", "application/x-ndjson"), ("content-type", "application/json")];
        let body = self.send_with(Method::POST, path, &[], &headers, document.to_string().into()).await?;
        Ok(Lines { body, waiting: BytesMut::new() })
    }

    /// The answer line by line. Dropping it closes the connection, and the server stops working for it.
    pub async fn lines(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Lines> {
        let body = self.send(Method::GET, path, parameters, "application/x-ndjson").await?;
        Ok(Lines { body, waiting: BytesMut::new() })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, &str)],
        accept: &str,
    ) -> anyhow::Result<Incoming> {
        self.send_with(method, path, parameters, &[("accept", accept)], Bytes::new()).await
    }

    async fn send_with(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.url(path, parameters))
            .header(header::USER_AGENT, concat!("taffrail/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).context("the question does not make a URL")?;
        let response = match &self.way {
            Way::Network(http) => self.over_network(http, request).await?,
            Way::Socket(path) => over_socket(path, request).await?,
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let bytes = body.map(|body| body.to_bytes()).unwrap_or_default();
        Err(refused(status, &bytes))
    }

    async fn over_network(
        &self,
        http: &HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<Response<Incoming>> {
        http.request(request).await.map_err(|error| {
            let mut causes = anyhow!("{error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                causes = anyhow!("{cause}");
                source = cause.source();
            }
            causes.context(format!("cannot reach {} (is `taffrail serve` running? --server names another)", self.base))
        })
    }
}

/// One connection for one request; it ends with the answer, or when the answer is dropped.
async fn over_socket(path: &Path, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>> {
    let stream = UnixStream::connect(path).await.map_err(|error| no_agent(path, &error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.context("talk to the agent")?;
    tokio::spawn(connection);
    sender.send_request(request).await.context("talk to the agent")
}

/// Why nobody answers on a state directory's socket, and what to do.
fn no_agent(socket: &Path, error: &io::Error) -> anyhow::Error {
    let directory = socket.parent().unwrap_or(socket).display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => anyhow!(
            "no agent runs with the state directory {directory}; start one with `taffrail collect`, name its directory with \
             --state-dir, or a server with --server"
        ),
        io::ErrorKind::PermissionDenied => {
            anyhow!("only the user of the agent, and root, may ask the agent of {directory}; try it with sudo")
        }
        _ => anyhow!("cannot reach the agent of {directory}: {error}"),
    }
}

impl Lines {
    /// Whether a whole line has come that was not taken yet.
    pub fn has_line(&self) -> bool {
        self.waiting.contains(&b'\n')
    }

    /// The next line; none at the end of the answer. Cancel-safe: what has come of it waits.
    pub async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            if let Some(end) = self.waiting.iter().position(|byte| *byte == b'\n') {
                let line = self.waiting.split_to(end + 1);
                return serde_json::from_slice(&line).map(Some).context("a line of the answer is not JSON");
            }
            if self.waiting.len() > LINE_BYTES_MAX {
                bail!("a line of the answer is longer than {LINE_BYTES_MAX} bytes");
            }
            match self.body.frame().await {
                None if self.waiting.is_empty() => return Ok(None),
                None => bail!("the answer ends within a line"),
                Some(frame) => {
                    if let Ok(data) = frame.context("the connection broke")?.into_data() {
                        self.waiting.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

/// The server's own sentence, in any of its forms, or else the status.
fn refused(status: StatusCode, body: &[u8]) -> anyhow::Error {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    // Alertmanager's paths answer with a bare sentence.
    let message = answer["error"]["message"].as_str().or_else(|| answer["error"].as_str()).or_else(|| answer.as_str());
    match message {
        Some(message) if status.is_client_error() => {
            let column = answer["error"]["column"].as_u64().and_then(|column| usize::try_from(column).ok());
            BadQuestion { message: message.to_owned(), column }.into()
        }
        Some(message) => anyhow!("the server says: {message}"),
        None => anyhow!("the server answers {status}"),
    }
}

/// RFC 3986: all but the unreserved characters.
fn percent_encode(text: &str, into: &mut String) {
    use std::fmt::Write;
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => into.push(char::from(byte)),
            byte => {
                let _ = write!(into, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded() {
        let client = Client::new("http://127.0.0.1:1/").unwrap();
        assert_eq!(client.url("/a", &[("q", "a b&c=\"ü\"")]), "http://127.0.0.1:1/a?q=a%20b%26c%3D%22%C3%BC%22");
        assert!(Client::new("ftp://x").unwrap_err().to_string().contains("--server ftp://x"));
    }

    #[test]
    fn the_servers_sentence_is_found_in_both_forms() {
        let check = |status, body: &str, expected: &str| {
            assert_eq!(refused(status, body.as_bytes()).to_string(), expected);
        };
        check(StatusCode::BAD_REQUEST, r#"{"error":{"message":"no","column":3}}"#, "no");
        check(StatusCode::BAD_REQUEST, r#"{"status":"error","errorType":"bad_data","error":"no"}"#, "no");
        check(StatusCode::SERVICE_UNAVAILABLE, r#"{"error":{"message":"busy"}}"#, "the server says: busy");
        check(StatusCode::BAD_GATEWAY, "<html>", "the server answers 502 Bad Gateway");
    }
}
