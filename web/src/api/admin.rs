//! `POST /-/seal` (write the heads to disk now) and `POST /-/reload` (read the rules again).

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use taffrail_ingest::SealReport;

use super::App;
use crate::api_error::ApiError;
use crate::reload::ReloadReport;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/-/seal", post(seal)).route("/-/reload", post(reload))
}

async fn seal(State(app): State<Arc<App>>) -> Result<Json<SealReport>, ApiError> {
    app.ingest.seal().await.map(Json).map_err(|error| ApiError::internal(error.to_string()))
}

async fn reload(State(app): State<Arc<App>>) -> Result<Json<ReloadReport>, ApiError> {
    let reload = app.reload.clone();
    let report = tokio::task::spawn_blocking(move || reload.run()).await;
    match report.map_err(|panic| ApiError::internal(panic.to_string()))? {
        Ok(report) => Ok(Json(report)),
        Err(mistake) => {
            let message = format!("{mistake:#}; what was there before goes on");
            Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::api::world::World;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn sealing_writes_what_was_in_memory_and_answers_stay_the_same() {
        let world = World::shop().await;
        let question = "/api/v1/logs/facets?from=2024-11-21T07:00:00Z&to=2024-11-21T08:00:00Z&fields=service";
        let before = world.get(question).await["facets"].clone();
        let sealed = world.ask("POST", "/-/seal").await.into_body().collect().await.unwrap().to_bytes();
        let sealed: Value = serde_json::from_slice(&sealed).unwrap();
        assert_eq!((&sealed["log_rows"], &sealed["samples"]), (&json!(10), &json!(2)));
        assert_eq!(world.get(question).await["facets"], before);
        assert_eq!(world.get("/api/v1/ingest").await["store"]["head_rows"], 0);
    }

    #[tokio::test]
    async fn changing_things_needs_a_post() {
        let world = World::empty().await;
        for path in ["/-/seal", "/-/reload"] {
            assert_eq!(world.ask("GET", path).await.status(), 405, "{path}");
            assert_eq!(world.ask("POST", path).await.status(), 200, "{path}");
        }
    }
}
