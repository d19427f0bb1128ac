//! `/api/v1/logs/{record,context}`: one record by its id, and what its source said just before and after.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use taffrail_ingest::log_store::RecordId;
use taffrail_query::log_search::execute;

use crate::api::App;
use crate::api::parameters::Parameters;
use crate::api::question::summary;
use crate::api::record_json::RecordJson;
use crate::api_error::ApiError;

const NEIGHBOURS_DEFAULT: usize = 20;
const NEIGHBOURS_MAX: usize = 1_000;

/// Answers `id`.
pub async fn record(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let id = read_id(&parameters)?;
    let logs = app.ingest.logs().clone();
    let (stored, _) = app.questions.ask(move |scan| execute::record(&logs, id, scan).map_err(ApiError::from)).await?;
    let stored = stored.ok_or_else(gone)?;
    Ok(Json(json!({ "record": RecordJson::from(&stored) })))
}

/// Answers `id`, `before` and `after` (how many), `by` (the fields that neighbours share with the record: `host,service`
/// when absent; `none` takes all records).
pub async fn context(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let id = read_id(&parameters)?;
    let before = parameters.count("before", NEIGHBOURS_DEFAULT, NEIGHBOURS_MAX)?;
    let after = parameters.count("after", NEIGHBOURS_DEFAULT, NEIGHBOURS_MAX)?;
    let by = match parameters.get("by") {
        None => vec!["host".to_owned(), "service".to_owned()],
        Some("none") => Vec::new(),
        Some(_) => parameters.list("by"),
    };
    let logs = app.ingest.logs().clone();
    let work = move |scan: &taffrail_ingest::Scan| {
        execute::context(&logs, id, (before, after), &by, scan).map_err(ApiError::from)
    };
    let (found, scan) = app.questions.ask(work).await?;
    let centre = found.record.as_ref().ok_or_else(gone)?;
    Ok(Json(json!({
        "before": found.before.iter().map(RecordJson::from).collect::<Vec<_>>(),
        "record": RecordJson::from(centre),
        "after": found.after.iter().map(RecordJson::from).collect::<Vec<_>>(),
        "summary": summary(&scan, found.stopped),
    })))
}

fn read_id(parameters: &Parameters) -> Result<RecordId, ApiError> {
    parameters.required("id")?;
    Ok(parameters.record_id("id")?.expect("a required parameter is there"))
}

fn gone() -> ApiError {
    ApiError::not_found("there is no such record; it may be older than store.retention_age")
}
