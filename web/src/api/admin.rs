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
