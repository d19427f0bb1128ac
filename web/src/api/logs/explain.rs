//! `/api/v1/logs/explain`: why a question has no rows.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::log_store::Order;
use taffrail_query::log_search::explain::{self, ExplainError, Explanation};
use taffrail_query::log_search::run::Asked;

use crate::api::App;
use crate::api::parameters::Parameters;
use crate::api::question::{stop_words, summary};
use crate::api_error::ApiError;

/// Answers `q`, `from`, `to`.
pub async fn explain(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let text = parameters.get("q").unwrap_or_default().to_owned();
    let asked = Asked {
        range: parameters.range()?,
        order: Order::NewestFirst,
        after: None,
        limit: explain::ROWS_MAX,
        memory_bytes_max: app.questions.settings().memory_bytes_max,
    };
    let logs = app.ingest.logs().clone();
    let work = move |scan: &taffrail_ingest::Scan| {
        explain::explain(&text, &logs, &asked, Timestamp::now(), scan).map_err(ApiError::from)
    };
    let (found, scan) = app.questions.ask(work).await?;
    let mut answer = answer(&found);
    answer["summary"] = summary(&scan, found.stopped.map(stop_words));
    Ok(Json(answer))
}

fn answer(found: &Explanation) -> Value {
    let conditions = found.conditions.iter().map(
        |one| json!({ "text": one.text, "column": one.column, "rows_alone": one.alone, "rows_without": one.without }),
    );
    let stages = found.stages.iter().map(|left| json!({ "text": left.text, "rows": left.rows }));
    let unknown = found.unknown.iter().map(|one| json!({ "name": one.name, "near": one.near }));
    let (before, after) = found.nearest;
    json!({
        "rows": found.found,
        "conditions": conditions.collect::<Value>(),
        "stages": stages.collect::<Value>(),
        "nearest": {
            "before": before.map(|time| time.to_string()),
            "after": after.map(|time| time.to_string()),
        },
        "unknown_fields": unknown.collect::<Value>(),
    })
}

impl From<ExplainError> for ApiError {
    fn from(error: ExplainError) -> ApiError {
        match error {
            ExplainError::Parse(error) => error.into(),
            ExplainError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::World;

    #[tokio::test]
    async fn an_answer_without_rows_is_explained() {
        let world = World::shop().await;
        let range = "from=2024-11-21T07:00:00Z&to=2024-11-21T08:00:00Z";
        let found = world.get(&format!("/api/v1/logs/explain?{range}&q=level:error%20servce:db%20%7C%20head")).await;
        assert_eq!(found["rows"], 0);
        assert_eq!(
            found["conditions"],
            json!([
                {"text": "level:error", "column": 1, "rows_alone": 4, "rows_without": 0},
                {"text": "servce:db", "column": 13, "rows_alone": 0, "rows_without": 4},
            ])
        );
        assert_eq!(found["stages"], json!([{"text": "head", "rows": 0}]));
        assert_eq!(found["unknown_fields"], json!([{"name": "servce", "near": "service"}]));
        assert_eq!(found["summary"]["partial"], false);
        let early =
            world.get("/api/v1/logs/explain?from=2024-11-21T06:00:00Z&to=2024-11-21T07:00:00Z&q=level:error").await;
        assert_eq!(early["nearest"], json!({"before": null, "after": "2024-11-21T07:00:00.000Z"}));
        assert_eq!(world.text("/api/v1/logs/explain?q=a%20%7C").await.0, 400);
    }
}
