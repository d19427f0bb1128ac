//! `/api/v1/agents`: every agent that this server has heard of, and what each says of itself.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;

use super::App;
use crate::known_agents::{FORGOTTEN_AFTER, LAGGING_AFTER};

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/agents", get(agents))
}

async fn agents(State(app): State<Arc<App>>) -> Json<Value> {
    let now = Timestamp::now();
    Json(json!({
        "now": now.to_string(),
        "lagging_after_seconds": LAGGING_AFTER.as_secs(),
        "forgotten_after_seconds": FORGOTTEN_AFTER.as_secs(),
        "agents": app.agents.snapshot(now),
    }))
}

/// The few facts of each that `/api/v1/ingest` shows: it is asked for every few seconds.
pub(super) fn in_short(app: &App, now: Timestamp) -> Value {
    let agents = app.agents.in_short(now).into_iter();
    let short = agents.map(|agent| {
        json!({
            "agent": agent.agent,
            "host": agent.host,
            "state": agent.state,
            "last_seen": agent.last_seen,
            "lag_seconds": agent.lag_seconds,
        })
    });
    short.collect()
}

#[cfg(test)]
mod tests {
    use taffrail_collector::model::AgentId;
    use taffrail_collector::source::agent::{Heard, HeardAnswer};

    use super::*;
    use crate::api::world::World;

    #[tokio::test]
    async fn an_agent_is_shown_everywhere_once_it_is_heard_of() {
        let world = World::empty().await;
        assert_eq!(world.get("/api/v1/agents").await["agents"], json!([]));
        let heard = Heard {
            agent: AgentId(0xab),
            address: "10.1.2.3".parse().ok(),
            rows: 3,
            bytes: 30,
            newest: Some(Timestamp::EPOCH),
            host: Some("web-1".into()),
            own_samples: Vec::new(),
            answer: HeardAnswer::Stored,
        };
        world.app.agents.heard(&heard, Timestamp::now());
        let agents = world.get("/api/v1/agents").await;
        let agent = &agents["agents"][0];
        let id = "000000000000000000000000000000ab";
        for (name, expected) in [
            ("agent", json!(id)),
            ("host", json!("web-1")),
            ("address", json!("10.1.2.3")),
            ("state", json!("ok")),
            ("newest_record", json!("1970-01-01T00:00:00.000Z")),
            ("report", json!(null)),
        ] {
            assert_eq!(agent[name], expected, "{name}");
        }
        assert_eq!(agent["received"]["rows"], 3);
        let short = &world.get("/api/v1/ingest").await["agents"][0];
        assert_eq!((&short["host"], &short["state"]), (&json!("web-1"), &json!("ok")));
        let (_, text) = world.text("/metrics").await;
        for line in [
            "taffrail_agents{state=\"ok\"} 1".to_owned(),
            format!("taffrail_agent_last_seen_seconds{{agent=\"{id}\",host=\"web-1\"}} 0"),
            format!("taffrail_agent_received_rows_total{{agent=\"{id}\",host=\"web-1\"}} 3"),
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
        }
    }
}
