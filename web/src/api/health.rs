//! `/healthz` (the process answers) and `/readyz` (it takes data and questions).

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;

use super::App;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz))
}

async fn healthz() -> &'static str {
    "ok\n"
}

/// The store is open before the port is, so only stopping makes a server unready.
async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.stopping.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

#[cfg(test)]
mod tests {
    use crate::api::world::World;

    #[tokio::test]
    async fn a_stopping_server_is_alive_and_not_ready() {
        let world = World::empty().await;
        assert_eq!(world.text("/readyz").await.0, 200);
        world.app.stopping.cancel();
        assert_eq!(world.text("/readyz").await.0, 503);
        assert_eq!(world.text("/healthz").await.0, 200);
    }

    #[tokio::test]
    async fn pages_are_served_beside_the_api() {
        let world = World::empty().await;
        for path in ["/", "/logs", "/explore", "/trace/abc", "/alerts"] {
            let (status, text) = world.text(path).await;
            assert_eq!(status, 200, "{path}");
            assert!(text.contains("<!doctype html>"), "{path}");
        }
        assert_eq!(world.text("/assets/missing.js").await.0, 404);
        assert_eq!(world.text("/api/v1/nothing").await.0, 404);
    }
}
