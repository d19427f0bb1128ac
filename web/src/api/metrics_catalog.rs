//! `/api/v1/metrics`: which metrics there are, by a part of their name.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use taffrail_collector::model::SampleKind;

use super::App;
use super::parameters::Parameters;
use crate::api_error::ApiError;

const METRICS_DEFAULT: usize = 100;
const METRICS_MAX: usize = 10_000;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/metrics", get(metrics))
}

/// Answers `search` (a part of the name) and `limit`.
async fn metrics(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let part = parameters.get("search").unwrap_or_default().to_owned();
    let limit = parameters.count("limit", METRICS_DEFAULT, METRICS_MAX)?;
    let series = app.ingest.series().clone();
    let (metrics, _) = app.questions.ask(move |_| Ok::<_, ApiError>(series.metrics(&part, limit))).await?;
    let metrics: Vec<Value> = metrics
        .into_iter()
        .map(|metric| {
            let kind = kind_word(metric.kind);
            json!({ "name": metric.name, "type": kind, "unit": metric.unit, "series": metric.series })
        })
        .collect();
    Ok(Json(json!({ "metrics": metrics })))
}

fn kind_word(kind: SampleKind) -> &'static str {
    match kind {
        SampleKind::Counter | SampleKind::Cumulative => "counter",
        SampleKind::Gauge => "gauge",
        SampleKind::Distribution => "distribution",
        SampleKind::Set => "set",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::World;

    #[tokio::test]
    async fn metrics_are_found_by_a_part_of_their_name() {
        let world = World::shop().await;
        let all = world.get("/api/v1/metrics").await;
        assert_eq!(
            all["metrics"],
            json!([
                {"name": "request.time", "type": "distribution", "unit": "ms", "series": 1},
                {"name": "web.hits", "type": "counter", "unit": "", "series": 1},
            ])
        );
        assert_eq!(world.get("/api/v1/metrics?search=HITS").await["metrics"].as_array().unwrap().len(), 1);
        assert_eq!(world.get("/api/v1/metrics?limit=1").await["metrics"].as_array().unwrap().len(), 1);
    }
}
