//! `/api/v1/logs/{record,context}`: one record by its id, and what its source said just before and after.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use taffrail_ingest::Scan;
use taffrail_ingest::log_store::RecordId;
use taffrail_query::log_search::execute;

use crate::api::App;
use crate::api::parameters::Parameters;
use crate::api::question::{stop_words, summary};
use crate::api::record_json::RecordJson;
use crate::api_error::ApiError;

const NEIGHBOURS_DEFAULT: usize = 20;
const NEIGHBOURS_MAX: usize = 1_000;

/// Answers `id`.
pub async fn record(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let id = read_id(&parameters)?;
    let logs = app.ingest.logs().clone();
    let (stored, scan) =
        app.questions.ask(move |scan| execute::record(&logs, id, scan).map_err(ApiError::from)).await?;
    let stored = stored.ok_or_else(|| gone(&scan))?;
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
    let work = move |scan: &Scan| execute::context(&logs, id, (before, after), &by, scan).map_err(ApiError::from);
    let (found, scan) = app.questions.ask(work).await?;
    let centre = found.record.as_ref().ok_or_else(|| gone(&scan))?;
    Ok(Json(json!({
        "before": found.before.iter().map(RecordJson::from).collect::<Vec<_>>(),
        "record": RecordJson::from(centre),
        "after": found.after.iter().map(RecordJson::from).collect::<Vec<_>>(),
        "summary": summary(&scan, found.stopped.map(stop_words)),
    })))
}

fn read_id(parameters: &Parameters) -> Result<RecordId, ApiError> {
    parameters.required("id")?;
    Ok(parameters.record_id("id")?.expect("a required parameter is there"))
}

fn gone(scan: &Scan) -> ApiError {
    match scan.left_out().first() {
        None => ApiError::not_found("there is no such record; it may be older than store.retention_age"),
        Some(split) => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the record may be in split {split}, which is damaged; /readyz says more"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use crate::api::world::World;

    #[tokio::test]
    async fn neighbours_share_the_fields_asked_for() {
        let world = World::shop().await;
        let range = "from=2024-11-21T07:00:00Z&to=2024-11-21T08:00:00Z";
        let found = world.lines(&format!("/api/v1/logs/search?{range}&q=n:5")).await;
        let id = found[0]["record"]["id"].as_str().unwrap().to_owned();
        let check = async |parameters: &str, before: &[i64], after: &[i64]| {
            let context = world.get(&format!("/api/v1/logs/context?id={id}{parameters}")).await;
            let numbers = |side: &str| -> Vec<i64> {
                let records = context[side].as_array().unwrap().iter();
                records.map(|record| record["attributes"]["n"].as_i64().unwrap()).collect()
            };
            assert_eq!((numbers("before"), numbers("after")), (before.to_vec(), after.to_vec()), "{parameters}");
            assert_eq!(context["record"]["attributes"]["n"], 5);
        };
        check("", &[1, 3], &[7, 9]).await;
        check("&by=none&before=2&after=1", &[3, 4], &[6]).await;
        check("&by=level&before=2&after=0", &[2, 4], &[]).await;
        assert_eq!(world.get(&format!("/api/v1/logs/record?id={id}")).await["record"]["id"], *id);
    }

    #[tokio::test]
    async fn a_record_that_is_not_there_is_404() {
        let world = World::empty().await;
        for path in ["record", "context"] {
            assert_eq!(world.text(&format!("/api/v1/logs/{path}?id=1-1")).await.0, 404);
            assert_eq!(world.text(&format!("/api/v1/logs/{path}?id=x")).await.0, 400);
            assert_eq!(world.text(&format!("/api/v1/logs/{path}")).await.0, 400);
        }
    }
}
