//! `status.sock` in the agent's state directory: HTTP over a Unix socket, for `taffrail top` and `taffrail tap`.
//!
//! HTTP because it has everything needed (errors with a sentence, streams, cancelling by hanging up) and needs no client of ours:
//! `curl --unix-socket status.sock http://agent/status`. A Unix socket because the file's mode says who may ask (the agent's user,
//! and root), where a port on loopback would be open to every user of the host.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::status::StatusReader;
use crate::api_error::ApiError;

/// The socket's name in the state directory.
pub const FILE_NAME: &str = "status.sock";

/// How long open answers may take once the agent stops.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

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
    pub fn start(state_dir: &Path, status: StatusReader) -> io::Result<StatusSocket> {
        let path = state_dir.join(FILE_NAME);
        let listener = bind(&path)?;
        let stop = CancellationToken::new();
        let router = Router::new().route("/status", get(answer_status)).with_state(status);
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

/// Listens under another name until the mode is set, so that nobody can connect before.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let unready = path.with_extension("new");
    match std::fs::remove_file(&unready) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&unready)?;
    std::fs::set_permissions(&unready, PermissionsExt::from_mode(0o600))?;
    std::fs::rename(&unready, path)?;
    Ok(listener)
}

async fn answer_status(State(status): State<StatusReader>) -> Response {
    match tokio::task::spawn_blocking(move || status.read()).await {
        Ok(status) => Json(status).into_response(),
        Err(_) => ApiError::internal("reading the agent's status failed").into_response(),
    }
}
