//! One POST, and what its answer means.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::Failure;
use super::secret::Secret;

/// How much of an answer is read.
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// A host that does not take the connection by then is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

type TlsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Posts to anybody; connections are kept for a while.
pub struct Post {
    plain: Client<HttpConnector, Full<Bytes>>,
    /// Made when it is first needed: without TLS no certificates of the system are.
    tls: OnceLock<Result<TlsClient, String>>,
}

/// A URL that may be secret as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    url: Secret,
    /// Scheme and host: what may be shown of it.
    origin: String,
}

/// What a request shows to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// `Authorization: <scheme> <secret>`.
    Token(String, Secret),
    /// A user and a password.
    Basic(String, Secret),
}

impl Default for Post {
    fn default() -> Post {
        Post { plain: builder().build(connector()), tls: OnceLock::new() }
    }
}

impl Address {
    /// The address in these settings; the error says what is wrong with it, without showing more than may be shown.
    pub fn new(url: &str) -> Result<Address, String> {
        let uri = parse(url)?;
        Ok(Address { url: Secret::Text(url.to_owned()), origin: origin(&uri) })
    }

    /// An address that stands in a file, which is read whenever something is posted.
    pub fn in_file(path: std::path::PathBuf) -> Address {
        Address { origin: format!("the URL in {}", path.display()), url: Secret::File(path) }
    }

    /// What may be shown of it.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    async fn uri(&self) -> Result<Uri, Failure> {
        let url = self.url.read().await?;
        parse(&url).map_err(|message| Failure::Refused(format!("{}: {message}", self.origin)))
    }
}

impl Post {
    /// Posts JSON. Good when the answer is 2xx, whose text is returned; redirects are not followed.
    pub async fn json(
        &self,
        address: &Address,
        credentials: Option<&Credentials>,
        headers: &[(HeaderName, String)],
        json: Vec<u8>,
    ) -> Result<String, Failure> {
        let uri = address.uri().await?;
        let is_tls = uri.scheme_str() == Some("https");
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("taffrail/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(credentials) = credentials {
            let mut value = HeaderValue::from_str(&credentials.header().await?)
                .map_err(|_| Failure::Refused("the credentials do not fit into a header".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let request =
            request.body(Full::new(Bytes::from(json))).map_err(|error| Failure::Refused(error.to_string()))?;
        let response = if is_tls {
            let client = self.tls.get_or_init(tls_client).as_ref();
            client.map_err(|message| Failure::Later(message.clone(), None))?.request(request).await
        } else {
            self.plain.request(request).await
        };
        let response = response.map_err(|error| Failure::Away(with_causes(&error)))?;
        let status = response.status();
        let wait = response.headers().get(header::RETRY_AFTER);
        let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok()).map(Duration::from_secs);
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let said = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()).unwrap_or_default();
        if status.is_success() {
            return Ok(said);
        }
        let message =
            if said.is_empty() { format!("it answered {status}") } else { format!("it answered {status}: {said}") };
        match status.as_u16() {
            408 | 429 | 500.. => Err(Failure::Later(message, wait)),
            _ => Err(Failure::Refused(message)),
        }
    }
}

impl Credentials {
    async fn header(&self) -> Result<String, Failure> {
        Ok(match self {
            Credentials::Token(scheme, secret) => format!("{scheme} {}", secret.read().await?),
            Credentials::Basic(user, secret) => {
                let pair = format!("{user}:{}", secret.read().await?);
                format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair))
            }
        })
    }
}

fn parse(url: &str) -> Result<Uri, String> {
    // The text itself is left out of messages: it may be a secret.
    let uri: Uri = url.parse().map_err(|error| format!("this is no URL like https://host/path: {error}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err("a URL starts with http:// or https:// and a host".to_owned());
    }
    Ok(uri)
}

fn origin(uri: &Uri) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default())
}

fn connector() -> HttpConnector {
    let mut http = HttpConnector::new();
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.enforce_http(false);
    http
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_idle_timeout(Duration::from_secs(30)).pool_timer(TokioTimer::new());
    builder
}

fn tls_client() -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, String> {
    let tls = HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|error| format!("https needs the system's CA certificates (package ca-certificates): {error}"))?;
    Ok(builder().build(tls.https_only().enable_http1().wrap_connector(connector())))
}

/// An error and what caused it, since the client's own text says little.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
