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
        "agents": super::agents::in_short(&app, now),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::World;

    #[tokio::test]
    async fn what_arrived_and_what_went_wrong_is_counted() {
        let world = World::shop().await;
        let tally = world.app.tallies.of("statsd", "udp 127.0.0.1:1");
        tally.took(2, 20);
        tally.problem("malformed_line", 1, b"web.hits|c");
        tally.rule_did(&"health".into(), "dropped", 3);
        let status = world.get("/api/v1/ingest").await;
        assert_eq!(status["store"]["log_records"], 10);
        assert_eq!(status["store"]["samples"], 2);
        assert_eq!(
            status["listeners"],
            json!({
                "http": "127.0.0.1:1", "statsd": null, "syslog": null, "graphite": null, "otlp_grpc": null, "otlp_http": null
            })
        );
        let source = &status["sources"][0];
        assert_eq!((&source["kind"], &source["records"], &source["bytes"]), (&json!("statsd"), &json!(2), &json!(20)));
        assert_eq!(source["problems"][0]["reason"], "malformed_line");
        assert_eq!(source["rules"], json!([{"rule": "health", "effect": "dropped", "count": 3}]));

        let (_, text) = world.text("/metrics").await;
        for line in [
            "taffrail_log_records_total 10",
            "taffrail_source_records_total{kind=\"statsd\",name=\"udp 127.0.0.1:1\"} 2",
            "taffrail_source_problems_total{kind=\"statsd\",name=\"udp 127.0.0.1:1\",reason=\"malformed_line\"} 1",
            "taffrail_source_rule_effects_total{kind=\"statsd\",name=\"udp 127.0.0.1:1\",rule=\"health\",effect=\"dropped\"} 3",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
        }
    }
}
