//! One POST, and what its answer means.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// How much of a refusal is read for the log.
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// A host that does not take the connection by then is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where notifications are posted.
pub struct Webhook {
    url: String,
    uri: Uri,
    timeout: Duration,
    client: HttpClient,
}

/// Without TLS no certificates of the system are needed.
enum HttpClient {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// Why a notification did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answers: any notification would fare the same.
    Away(String),
    /// It asks to come back (5xx, 408, 429), perhaps after a while it names.
    Later(String, Option<Duration>),
    /// It will not take this one, now or ever.
    Refused(String),
}

impl Webhook {
    /// A webhook by its URL; the error says what is wrong with it.
    pub fn new(url: &str, timeout: Duration) -> Result<Webhook, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{url} is no URL like https://host/path: {error}"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(format!("{url} does not start with http:// or https:// and a host"));
        }
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        http.enforce_http(false);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(Duration::from_secs(30)).pool_timer(TokioTimer::new());
        let client = if uri.scheme_str() == Some("https") {
            let tls = HttpsConnectorBuilder::new()
                .with_native_roots()
                .map_err(|error| format!("{url} needs the system's CA certificates: {error}"))?;
            HttpClient::Tls(builder.build(tls.https_only().enable_http1().wrap_connector(http)))
        } else {
            HttpClient::Plain(builder.build(http))
        };
        Ok(Webhook { url: url.to_owned(), uri, timeout, client })
    }

    /// The URL as it was given: the receiver's name. It may hold a secret, so it is never logged.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Scheme and host: what may be logged of the URL.
    pub fn origin(&self) -> String {
        let host = self.uri.host().unwrap_or_default();
        let port = self.uri.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{host}{port}", self.uri.scheme_str().unwrap_or_default())
    }

    /// Posts the JSON. Done when the answer is 2xx; redirects are not followed.
    pub async fn post(&self, json: Vec<u8>) -> Result<(), Failure> {
        match tokio::time::timeout(self.timeout, self.exchange(json)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Away(format!("no answer within {} s", self.timeout.as_secs_f64()))),
        }
    }

    async fn exchange(&self, json: Vec<u8>) -> Result<(), Failure> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("taffrail/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(json)))
            .map_err(|error| Failure::Refused(error.to_string()))?;
        let response = match &self.client {
            HttpClient::Plain(client) => client.request(request).await,
            HttpClient::Tls(client) => client.request(request).await,
        };
        let response = response.map_err(|error| Failure::Away(with_causes(&error)))?;
        let status = response.status();
        let wait = response.headers().get(header::RETRY_AFTER);
        let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok()).map(Duration::from_secs);
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        if status.is_success() {
            return Ok(());
        }
        let said = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()).unwrap_or_default();
        let message =
            if said.is_empty() { format!("it answered {status}") } else { format!("it answered {status}: {said}") };
        match status.as_u16() {
            408 | 429 | 500.. => Err(Failure::Later(message, wait)),
            _ => Err(Failure::Refused(message)),
        }
    }
}

/// An error and what caused it, since the client's own text says little.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
