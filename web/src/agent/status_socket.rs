//! `status.sock` in the agent's state directory: HTTP over a Unix socket, for `taffrail top` and `taffrail tap`.
//!
//! | Path | Answer |
//! |---|---|
//! | `/status` | one [`super::status::AgentStatus`] |
//! | `/tap?q&source` | NDJSON: `{"record":{"source",…}}` as they pass, `{"gap":{"rows"}}` when some went by unseen, `{"heartbeat":{"time"}}` at the start and each second without a line |
//!
//! HTTP because it has everything needed (errors with a sentence, streams, cancelling by hanging up) and needs no client of ours:
//! `curl --unix-socket status.sock http://agent/status`. A Unix socket because the file's mode says who may ask (the agent's user,
//! and root), where a port on loopback would be open to every user of the host.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::StatusCode;
use serde_json::json;
use taffrail_collector::model::Timestamp;
use taffrail_query::log_search;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::status::StatusReader;
use super::tap::{TapPoint, Tapping};
use crate::api::ndjson;
use crate::api::parameters::Parameters;
use crate::api::record_json::PassingRecordJson;
use crate::api_error::ApiError;

/// The socket's name in the state directory.
pub const FILE_NAME: &str = "status.sock";

const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// How long open answers may take once the agent stops.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// What is asked about.
#[derive(Clone, Debug)]
pub struct Asked {
    /// How the agent does.
    pub status: StatusReader,
    /// Where its records pass.
    pub tap_point: Arc<TapPoint>,
    /// The kinds of its sources.
    pub kinds: Vec<&'static str>,
}

/// A socket that is answered.
#[derive(Debug)]
pub struct StatusSocket {
    path: PathBuf,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl StatusSocket {
    /// Answers on the socket of this state directory, which this process alone holds: a socket that lies there is a former
    /// agent's and is replaced.
    pub fn start(state_dir: &Path, asked: Asked) -> io::Result<StatusSocket> {
        let path = state_dir.join(FILE_NAME);
        let listener = bind(&path)?;
        let stop = CancellationToken::new();
        let answering = Answering { asked, stopping: stop.clone() };
        let router = Router::new().route("/status", get(status)).route("/tap", get(tap)).with_state(answering);
        let serving = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        let task = tokio::spawn(async move { serving.await });
        Ok(StatusSocket { path, stop, task })
    }

    /// Answers no more and removes the socket.
    pub async fn stop(mut self) {
        let _ = std::fs::remove_file(&self.path);
        self.stop.cancel();
        if tokio::time::timeout(DRAIN_TIME_MAX, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// A socket listens from the moment it is bound, with the mode that the umask leaves it: it is bound in a directory that only its
/// owner may enter, and moved out of it when its mode is set.
fn bind(path: &Path) -> io::Result<UnixListener> {
    // A short name: that of a socket may have 107 bytes with its directories.
    let closed = path.with_file_name("binding");
    let unready = closed.join("s");
    match std::fs::remove_dir_all(&closed) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    DirBuilder::new().mode(0o700).create(&closed)?;
    let listener = UnixListener::bind(&unready)?;
    std::fs::set_permissions(&unready, PermissionsExt::from_mode(0o600))?;
    std::fs::rename(&unready, path)?;
    std::fs::remove_dir(&closed)?;
    Ok(listener)
}

#[derive(Clone)]
struct Answering {
    asked: Asked,
    stopping: CancellationToken,
}

async fn status(State(answering): State<Answering>) -> Response {
    match tokio::task::spawn_blocking(move || answering.asked.status.read()).await {
        Ok(status) => Json(status).into_response(),
        Err(_) => ApiError::internal("reading the agent's status failed").into_response(),
    }
}

async fn tap(State(answering): State<Answering>, parameters: Parameters) -> Result<Response, ApiError> {
    let filter = log_search::parse(parameters.get("q").unwrap_or_default())?;
    let filter = filter.compile().map_err(|error| ApiError::bad_request(error.to_string()))?;
    let source = parameters.get("source").map(str::to_owned);
    let kinds = &answering.asked.kinds;
    if let Some(source) = source.as_deref().filter(|source| !kinds.contains(source)) {
        let message = format!("this agent has no source `{source}`; it has {}", kinds.join(", "));
        return Err(ApiError::bad_request(message));
    }
    let tapping = answering
        .asked
        .tap_point
        .tap(filter, source)
        .map_err(|error| ApiError::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()))?;
    Ok(ndjson::stream(lines(TapLines { tapping, heartbeat_at: Instant::now(), stopping: answering.stopping })))
}

struct TapLines {
    tapping: Tapping,
    heartbeat_at: Instant,
    stopping: CancellationToken,
}

fn lines(lines: TapLines) -> impl Stream<Item = Bytes> {
    stream::unfold(lines, async |mut lines| {
        let line = lines.next().await?;
        lines.heartbeat_at = Instant::now() + HEARTBEAT_INTERVAL;
        Some((line, lines))
    })
}

impl TapLines {
    async fn next(&mut self) -> Option<Bytes> {
        let passed_over = self.tapping.passed_over();
        if passed_over > 0 {
            return Some(ndjson::line(&json!({ "gap": { "rows": passed_over } })));
        }
        // Every branch is cancel-safe: `Tapping::next` says so, the others hold nothing.
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => None,
            () = sleep_until(self.heartbeat_at) => {
                Some(ndjson::line(&json!({ "heartbeat": { "time": Timestamp::now().to_string() } })))
            }
            passing = self.tapping.next() => {
                let (source, record) = passing?;
                Some(ndjson::line(&json!({ "record": PassingRecordJson { source, record: &record } })))
            }
        }
    }
}
