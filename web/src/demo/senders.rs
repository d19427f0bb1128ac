//! The ways out: the same ports and files that any application would use.
//!
//! Each sender is a task with a bounded queue. What it cannot send it tries again; when its queue is full, the newest is
//! dropped: a shop does not stand still because nobody reads its logs.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Lines that wait for a sender.
pub const QUEUE_LINES_MAX: usize = 10_000;

/// Lines in one `POST`.
const POST_LINES_MAX: usize = 1_000;

/// How long lines are gathered before they are sent over HTTP.
const POST_EVERY: Duration = Duration::from_millis(300);

/// The log file is renamed at this size, as a log rotation would do.
const LOG_FILE_BYTES_MAX: u64 = 8 << 20;

/// How long after a failure it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Posts NDJSON to the server.
#[derive(Clone, Debug)]
pub struct LogPoster {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

impl LogPoster {
    /// To the server at this address.
    pub fn new(http: SocketAddr) -> LogPoster {
        LogPoster {
            client: Client::builder(TokioExecutor::new()).build_http(),
            url: format!("http://{http}/api/v1/logs"),
        }
    }

    /// Posts these lines until the server has taken them, or refuses them for good.
    pub async fn post(&self, lines: String) {
        let body = Bytes::from(lines);
        loop {
            let request = Request::post(self.url.as_str())
                .header(header::CONTENT_TYPE, "application/x-ndjson")
                .body(Full::new(body.clone()))
                .expect("a URL of an address is one");
            match self.client.request(request).await {
                Ok(response) if response.status().is_success() => return,
                Ok(response) if response.status().is_client_error() && response.status() != 429 => {
                    tracing::warn!(status = %response.status(), "the demonstration's log lines were refused");
                    return;
                }
                Ok(_) | Err(_) => tokio::time::sleep(RETRY_AFTER).await,
            }
        }
    }
}

/// Posts lines as they come, some at a time, until the queue is closed.
pub async fn send_json(poster: LogPoster, mut lines: mpsc::Receiver<String>) {
    let mut waiting = Vec::new();
    while lines.recv_many(&mut waiting, POST_LINES_MAX).await > 0 {
        poster.post(waiting.join("\n")).await;
        waiting.clear();
        tokio::time::sleep(POST_EVERY).await;
    }
}

/// Writes syslog frames to one connection, and opens it again when it breaks, until the queue is closed.
pub async fn send_syslog(server: SocketAddr, mut frames: mpsc::Receiver<String>) {
    let mut connection = None;
    while let Some(frame) = frames.recv().await {
        loop {
            match write_to(&mut connection, server, frame.as_bytes()).await {
                Ok(()) => break,
                Err(_) => tokio::time::sleep(RETRY_AFTER).await,
            }
        }
    }
}

/// Appends to a log file, and renames it when it is large, until the queue is closed.
pub async fn write_file(path: PathBuf, mut lines: mpsc::Receiver<String>) {
    while let Some(text) = lines.recv().await {
        let written = append(&path, text.as_bytes()).await;
        if let Err(error) = written {
            tracing::warn!("cannot write {}: {error}", path.display());
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

/// Sends StatsD lines over one TCP connection, which makes the sender wait for a server that is slow: for history.
pub async fn send_statsd_history(server: SocketAddr, mut lines: mpsc::Receiver<String>) {
    let mut connection = None;
    while let Some(text) = lines.recv().await {
        while write_to(&mut connection, server, text.as_bytes()).await.is_err() {
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

async fn write_to(connection: &mut Option<TcpStream>, server: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => TcpStream::connect(server).await?,
    };
    stream.write_all(bytes).await?;
    *connection = Some(stream);
    Ok(())
}

async fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(path).await?;
    file.write_all(bytes).await?;
    file.flush().await?;
    if file.metadata().await?.len() >= LOG_FILE_BYTES_MAX {
        tokio::fs::rename(path, path.with_extension("log.1")).await?;
    }
    Ok(())
}
