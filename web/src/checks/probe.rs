//! One look at what a check is about.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpStream;

/// So much of an answer is read to look for the text.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What is looked at.
#[derive(Clone)]
pub enum Probe {
    /// A URL: which statuses are good (2xx and 3xx when empty), and what the answer must hold.
    Http {
        /// Where to ask.
        url: Uri,
        /// Good statuses.
        statuses: Vec<u16>,
        /// Text that must be in the answer; none when empty.
        text: String,
        /// Who asks: a connection of its own for each look, as a newcomer has it.
        client: Arc<HttpClient>,
    },
    /// An address that must take a connection.
    Tcp(String),
}

/// Without TLS no certificates of the system are needed.
pub enum HttpClient {
    /// For `http`.
    Plain(Client<HttpConnector, Empty<Bytes>>),
    /// For `https`.
    Tls(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>),
}

impl Probe {
    /// A look at a URL; the error says what is wrong with it.
    pub fn http(url: &str, statuses: Vec<u16>, text: String) -> Result<Probe, String> {
        let uri: Uri = url.parse().map_err(|_| format!("`{url}` is not a URL like https://host/path"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(format!("`{url}` is not a URL like https://host/path"));
        }
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_max_idle_per_host(0);
        let client = if uri.scheme_str() == Some("https") {
            let connector = HttpsConnectorBuilder::new()
                .with_native_roots()
                .map_err(|error| format!("`{url}` needs the system's CA certificates: {error}"))?;
            HttpClient::Tls(builder.build(connector.https_only().enable_http1().build()))
        } else {
            HttpClient::Plain(builder.build(HttpConnector::new()))
        };
        Ok(Probe::Http { url: uri, statuses, text, client: Arc::new(client) })
    }

    /// What it looks at, as people know it.
    pub fn target(&self) -> String {
        match self {
            // What stands behind a question mark may be a secret.
            Probe::Http { url, .. } => url.to_string().split('?').next().unwrap_or_default().to_owned(),
            Probe::Tcp(address) => address.clone(),
        }
    }

    /// Looks; the error says what is wrong.
    pub async fn look(&self) -> Result<(), String> {
        match self {
            Probe::Tcp(address) => TcpStream::connect(address).await.map(drop).map_err(|error| error.to_string()),
            Probe::Http { url, statuses, text, client } => {
                let request = Request::builder()
                    .method(Method::GET)
                    .uri(url)
                    .header(header::USER_AGENT, concat!("taffrail/", env!("CARGO_PKG_VERSION")))
                    .body(Empty::new())
                    .map_err(|error| error.to_string())?;
                let response = match &**client {
                    HttpClient::Plain(client) => client.request(request).await,
                    HttpClient::Tls(client) => client.request(request).await,
                };
                let response = response.map_err(|error| with_causes(&error))?;
                let status = response.status().as_u16();
                let is_good =
                    if statuses.is_empty() { (200..400).contains(&status) } else { statuses.contains(&status) };
                if !is_good {
                    return Err(format!("it answered {status}"));
                }
                if text.is_empty() {
                    return Ok(());
                }
                let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
                let body = body.map_err(|error| format!("its answer cannot be read: {error}"))?.to_bytes();
                match String::from_utf8_lossy(&body).contains(text.as_str()) {
                    true => Ok(()),
                    false => Err(format!("its answer does not hold {text:?}")),
                }
            }
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.target())
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers everything so.
    async fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_look_tells_what_is_wrong() {
        let good = server("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nready").await;
        let bad = server("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let check = async |address: &str, statuses: &[u16], text: &str, expected: Option<&str>| {
            let probe = Probe::http(&format!("http://{address}/x?key=1"), statuses.to_vec(), text.to_owned()).unwrap();
            assert_eq!(probe.target(), format!("http://{address}/x"));
            match (probe.look().await, expected) {
                (Ok(()), None) => {}
                (Err(error), Some(expected)) => assert!(error.contains(expected), "{error}"),
                (result, _) => panic!("{address} {statuses:?} {text}: {result:?}"),
            }
        };
        check(&good, &[], "", None).await;
        check(&good, &[], "ready", None).await;
        check(&good, &[], "steady", Some("does not hold")).await;
        check(&good, &[204], "", Some("answered 200")).await;
        check(&bad, &[], "", Some("answered 503")).await;
        check(&bad, &[503], "", None).await;
        check(&gone, &[], "", Some("refused")).await;
        assert_eq!(Probe::Tcp(good).look().await, Ok(()));
        assert!(Probe::Tcp(gone).look().await.is_err());
        assert!(Probe::http("ftp://x", Vec::new(), String::new()).is_err());
    }
}
