//! Connections to one server: TLS as configured, names that are remembered, and an end to every connection in time.
//!
//! A connection lives [`AGE`] at most. A new one asks for the server's address again and reads the certificate files again, so that a
//! moved server is followed, a balancer can balance, and renewed certificates are used, all without a restart. When a name
//! cannot be resolved, the address that was found last is tried.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tower_service::Service;

use crate::random::random_bits;

/// A connection's life, give or take a tenth: short enough to follow a change of address soon, long enough that a handshake costs
/// nothing beside what goes over it.
const AGE: Duration = Duration::from_secs(45);

/// A server that does not take the connection by then is away: the kernel's own patience is over two minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// `[collector.tls]`: how an agent and its servers know each other on https.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Certificates (PEM) of the authorities whose servers are believed. Absent: those of the operating system. Set it for an
    /// authority of your own. Read again with every new connection.
    pub ca_file: Option<PathBuf>,
    /// The agent's own certificate chain (PEM), for servers that ask for one. Needs `key_file`. Read again with every new connection.
    pub certificate_file: Option<PathBuf>,
    /// The key (PEM) of `certificate_file`.
    pub key_file: Option<PathBuf>,
}

/// The client for one server; renewed by age and after failures.
pub(crate) struct Connections {
    is_https: bool,
    tls: TlsConfig,
    resolver: RememberingResolver,
    current: Mutex<Option<Current>>,
}

struct Current {
    client: HttpClient,
    until: Instant,
}

#[derive(Clone)]
enum HttpClient {
    Plain(Client<HttpConnector<RememberingResolver>, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector<RememberingResolver>>, Full<Bytes>>),
}

impl Connections {
    pub(crate) fn new(is_https: bool, tls: TlsConfig) -> Connections {
        Connections { is_https, tls, resolver: RememberingResolver::default(), current: Mutex::new(None) }
    }

    /// Whether the certificate files can be used, in words for the operator when not.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.is_https { tls_config(&self.tls).map(drop) } else { Ok(()) }
    }

    /// Sends a request over a connection that is there or a new one.
    pub(crate) async fn request(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, RequestError> {
        let response = match self.client().map_err(RequestError::Setup)? {
            HttpClient::Plain(client) => client.request(request).await,
            HttpClient::Tls(client) => client.request(request).await,
        };
        response.map_err(RequestError::Http)
    }

    /// Closes idle connections and uses none of them again.
    pub(crate) fn discard(&self) {
        *self.current.lock() = None;
    }

    fn client(&self) -> Result<HttpClient, String> {
        let now = Instant::now();
        let mut current = self.current.lock();
        if let Some(current) = &*current
            && current.until > now
        {
            return Ok(current.client.clone());
        }
        let client = self.build()?;
        let spread = (random_bits() >> 11) as f64 / (1u64 << 53) as f64 * 0.2 + 0.9;
        *current = Some(Current { client: client.clone(), until: now + AGE.mul_f64(spread) });
        Ok(client)
    }

    fn build(&self) -> Result<HttpClient, String> {
        let mut connector = HttpConnector::new_with_resolver(self.resolver.clone());
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        connector.set_keepalive(Some(Duration::from_secs(10)));
        connector.set_keepalive_interval(Some(Duration::from_secs(3)));
        connector.set_keepalive_retries(Some(3));
        // Just under the 19 s that the keepalive needs, and for unacknowledged bytes, which it does not watch.
        #[cfg(target_os = "linux")]
        connector.set_tcp_user_timeout(Some(Duration::from_secs(15)));
        connector.enforce_http(false);
        let mut builder = Client::builder(TokioExecutor::new());
        // Below the idle timeouts of usual servers and balancers, so that the server rarely closes under our hands.
        builder.pool_idle_timeout(Duration::from_secs(30)).pool_timer(TokioTimer::new());
        if !self.is_https {
            return Ok(HttpClient::Plain(builder.build(connector)));
        }
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls_config(&self.tls)?).https_only().enable_http1();
        Ok(HttpClient::Tls(builder.build(tls.wrap_connector(connector))))
    }
}

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum RequestError {
    /// Nothing was tried: the certificate files cannot be used.
    Setup(String),
    /// The connection or the exchange failed.
    Http(Error),
}

impl RequestError {
    /// Whether certainly nothing of the request reached the server.
    pub(super) fn is_unsent(&self) -> bool {
        match self {
            RequestError::Setup(_) => true,
            RequestError::Http(error) => error.is_connect(),
        }
    }

    /// In words. hyper's errors say little by themselves; their sources say `connection refused`.
    pub(crate) fn reason(&self) -> String {
        let error = match self {
            RequestError::Setup(reason) => return reason.clone(),
            RequestError::Http(error) => error,
        };
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}

fn tls_config(tls: &TlsConfig) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let builder = match &tls.ca_file {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates("collector.tls.ca_file", path)? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("collector.tls.ca_file: {}: {error}", path.display()))?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder
            .with_native_roots()
            .map_err(|error| format!("https needs the system's CA certificates, or collector.tls.ca_file: {error}"))?,
    };
    match (&tls.certificate_file, &tls.key_file) {
        (Some(chain), Some(key)) => {
            let chain = certificates("collector.tls.certificate_file", chain)?;
            let unusable =
                |error: &dyn std::fmt::Display| format!("collector.tls.key_file: {}: {error}", key.display());
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(&error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| format!("collector.tls.key_file: {error}"))
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err("collector.tls: certificate_file and key_file belong together; one is missing".to_owned()),
    }
}

fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unusable = |error: &dyn std::fmt::Display| format!("{setting}: {}: {error}", path.display());
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| unusable(&error))?;
    if found.is_empty() { Err(unusable(&"no certificate in it")) } else { Ok(found) }
}

/// The system's resolver, with the last good answer for when it has none.
#[derive(Clone, Default)]
struct RememberingResolver {
    last: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Service<Name> for RememberingResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let last = Arc::clone(&self.last);
        Box::pin(async move {
            let asked = tokio::time::timeout(CONNECT_TIMEOUT, GaiResolver::new().call(name)).await;
            let found: io::Result<Vec<SocketAddr>> = match asked {
                Ok(found) => found.map(Iterator::collect),
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the name server does not answer")),
            };
            let mut last = last.lock();
            match found {
                Ok(addresses) if !addresses.is_empty() => last.clone_from(&addresses),
                Ok(_) | Err(_) if !last.is_empty() => {}
                Ok(_) => return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
                Err(error) => return Err(error),
            }
            Ok(last.clone().into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_no_longer_resolves_keeps_its_last_address() {
        let mut resolver = RememberingResolver::default();
        let resolve = async |resolver: &mut RememberingResolver, name: &str| {
            resolver.call(name.parse().unwrap()).await.map(Iterator::collect::<Vec<_>>)
        };
        assert!(resolve(&mut resolver, "no-such-name.invalid").await.is_err());
        let known = resolve(&mut resolver, "localhost").await.unwrap();
        assert!(known.iter().all(|address| address.ip().is_loopback()) && !known.is_empty());
        assert_eq!(resolve(&mut resolver, "no-such-name.invalid").await.unwrap(), known);
    }

    #[test]
    fn certificate_files_that_cannot_be_used_are_named_with_their_setting() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let check = |tls: TlsConfig, says: &[&str]| {
            let error = Connections::new(true, tls).check().unwrap_err();
            assert!(says.iter().all(|word| error.contains(word)), "{error}");
        };
        let ca = |path: &Path| TlsConfig { ca_file: Some(path.to_owned()), ..TlsConfig::default() };
        check(ca(Path::new("/no/such/file")), &["collector.tls.ca_file", "/no/such/file"]);
        check(ca(&empty), &["collector.tls.ca_file", "empty.pem"]);
        check(TlsConfig { key_file: Some(empty.clone()), ..TlsConfig::default() }, &["certificate_file", "missing"]);
        assert!(Connections::new(false, ca(&empty)).check().is_ok());
    }
}
