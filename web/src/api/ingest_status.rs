//! `/api/v1/ingest`: what arrived, what was refused and why, and how the store stands. The page shows rates by comparing two
//! answers.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;

use super::App;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/ingest", get(ingest))
}

async fn ingest(State(app): State<Arc<App>>) -> Json<Value> {
    let now = Timestamp::now();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started": app.started.to_string(),
        "now": now.to_string(),
        "uptime_seconds": now.saturating_since(app.started).as_secs(),
        "listeners": app.listeners,
        "sources": app.tallies.snapshot(),
        "store": app.ingest.status(),
    }))
}
