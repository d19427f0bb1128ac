//! Serves a router over TCP: HTTP/1.1 and HTTP/2, with a limit on how long a request's head may take, and a stop that lets
//! open requests end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a request's head may take to arrive: slow heads would otherwise hold connections for nothing.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes of a request's head and its read buffer.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long accepting pauses when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A router that is served.
#[derive(Debug)]
pub struct Running {
    stop: CancellationToken,
    accepting: JoinHandle<GracefulShutdown>,
}

/// Serves until [`Running::stop`].
pub fn serve(listener: TcpListener, router: Router) -> Running {
    let stop = CancellationToken::new();
    let accepting = tokio::spawn(accept(listener, router, stop.clone()));
    Running { stop, accepting }
}

impl Running {
    /// Accepts no more connections and waits until open requests have their answers, `time_max` at most.
    pub async fn stop(self, time_max: Duration) {
        self.stop.cancel();
        let Ok(connections) = self.accepting.await else { return };
        if tokio::time::timeout(time_max, connections.shutdown()).await.is_err() {
            tracing::warn!("some requests were still open after {time_max:?} and are cut");
        }
    }
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken) -> GracefulShutdown {
    let connections = GracefulShutdown::new();
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIME_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32);
    loop {
        // Both branches are cancel-safe (tokio documents it of `accept` and `cancelled`).
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => return connections,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            },
        };
        let service = TowerToHyperService::new(router.clone().map_request(move |mut request: Request<Incoming>| {
            // Who it came from, as far as the connection tells.
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
            request
        }));
        let connection = builder.serve_connection(TokioIo::new(low_latency(stream)), service).into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // A connection that breaks is the other side's affair.
            let _ = connection.await;
        });
    }
}

/// Small answers and lines of a stream leave at once.
fn low_latency(stream: TcpStream) -> TcpStream {
    let _ = stream.set_nodelay(true);
    stream
}

async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!("cannot accept a connection: {error}");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    #[tokio::test]
    async fn stopping_refuses_new_connections_and_lets_open_requests_end() {
        let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (asked, answer) = (asked.clone(), answer.clone());
            async move || {
                asked.notify_one();
                answer.notified().await;
                "done"
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = serve(listener, Router::new().route("/", get(slow)));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        asked.notified().await;

        let stopping = tokio::spawn(running.stop(Duration::from_secs(60)));
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        answer.notify_one();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("done"), "{text}");
        stopping.await.unwrap();
    }
}
