//! `/api/v1/admin/tsdb/{delete_series,clean_tombstones}`
//! (<https://prometheus.io/docs/prometheus/latest/querying/api/#tsdb-admin-apis>), and `/api/v1/series/deletions`, the record of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::{Extension, Json};
use http::StatusCode;
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::TimeRange;
use taffrail_ingest::series_deletion::{SeriesDeletion, SeriesDeletionError};

use super::Failure;
use super::notation::read_moment;
use crate::api::App;
use crate::api::parameters::Parameters;
use crate::api_error::ApiError;

/// The longest selectors and name that are kept, together, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Answers `match[]` (at least one), `start`, `end` (both included), once no answer shows what they mean.
pub async fn delete(
    State(app): State<Arc<App>>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    parameters: Parameters,
) -> Result<StatusCode, Failure> {
    let selectors: Vec<String> = parameters.all("match[]").map(str::to_owned).collect();
    if selectors.is_empty() {
        return Err(Failure::bad_data("no match[] parameter provided"));
    }
    let start = read_moment(&parameters, "start")?.unwrap_or(Timestamp::MIN);
    let end = read_moment(&parameters, "end")?.unwrap_or(Timestamp::MAX);
    if start > end {
        return Err(Failure::bad_data(format!("start ({start}) lies after end ({end})")));
    }
    let range = TimeRange { start, end: end.saturating_add(Duration::from_nanos(1)) };
    let address =
        peer.map_or_else(|| "an unknown address".to_owned(), |Extension(ConnectInfo(address))| address.to_string());
    let asked_by = parameters.get("by").map_or_else(|| address.clone(), |name| format!("{name}, from {address}"));
    if selectors.iter().map(String::len).sum::<usize>() + asked_by.len() > TEXT_BYTES_MAX {
        return Err(Failure::bad_data(format!("`match[]` and `by` are longer than {TEXT_BYTES_MAX} bytes together")));
    }
    match app.ingest.delete_series(selectors, range, asked_by).await {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(SeriesDeletionError::Selector(message)) => {
            Err(Failure::bad_data(format!("invalid parameter \"match[]\": {message}")))
        }
        Err(error) => Err(ApiError::internal(error.to_string()).into()),
    }
}

/// Removal goes on by itself; this only has it go on without rest.
pub async fn clean(State(app): State<Arc<App>>, _: Parameters) -> StatusCode {
    app.ingest.hurry_deletions();
    StatusCode::NO_CONTENT
}

/// Every deletion there ever was, the newest first.
pub async fn deletions(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let ingest = app.ingest.clone();
    let deletions = tokio::task::spawn_blocking(move || ingest.series_deletions()).await;
    let deletions = deletions.map_err(|panic| ApiError::internal(panic.to_string()))?;
    let deletions = deletions.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Json(json!({ "deletions": deletions.iter().rev().map(told).collect::<Vec<_>>() })))
}

fn told(deletion: &SeriesDeletion) -> Value {
    let SeriesDeletion { id, selectors, range, asked_by, asked_at, finished_at } = deletion;
    let bound = |moment: Timestamp, none: Timestamp| (moment != none).then(|| moment.to_string());
    json!({
        "id": id,
        "match": selectors,
        "from": bound(range.start, Timestamp::MIN),
        "to": bound(range.end, Timestamp::MAX),
        "asked_by": asked_by,
        "asked_at": asked_at.to_string(),
        "state": if finished_at.is_some() { "done" } else { "pending" },
        "finished_at": finished_at.map(|moment| moment.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use crate::api::world::{START, World};

    #[tokio::test]
    async fn deleted_series_are_in_no_answer_and_leave_the_disk() {
        let world = World::shop().await;
        let at = START + 20;
        let hits = format!("/api/v1/query?time={at}&query=%7B%22web.hits%22%7D");
        let timer = format!("/api/v1/query?time={at}&query=%7B%22request.time_count%22%7D");
        assert_eq!(world.get(&hits).await["data"]["result"].as_array().map(Vec::len), Some(1));
        let path = "/api/v1/admin/tsdb/delete_series?match[]=%7B%22web.hits%22%7D";
        assert_eq!(world.ask("PUT", &format!("{path}&end={START}")).await.status(), 204);
        assert_eq!(world.get(&hits).await["data"]["result"].as_array().map(Vec::len), Some(1), "it ends later");
        assert_eq!(world.ask("POST", &format!("{path}&by=ann")).await.status(), 204);
        assert_eq!(world.get(&hits).await["data"]["result"], json!([]));
        assert_eq!(world.get(&timer).await["data"]["result"].as_array().map(Vec::len), Some(1));
        assert_eq!(world.get("/api/v1/label/host/values?match[]=%7B%22web.hits%22%7D").await["data"], json!([]));
        assert_eq!(world.ask("POST", "/api/v1/admin/tsdb/clean_tombstones").await.status(), 204);
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let listed = world.get("/api/v1/series/deletions").await["deletions"].clone();
            assert_eq!((&listed[0]["asked_by"], &listed[0]["id"]), (&json!("ann, from an unknown address"), &json!(2)));
            if listed[0]["state"] == "done" && listed[1]["state"] == "done" {
                break;
            }
            assert!(Instant::now() < deadline, "the deletion does not end: {listed}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(world.get(&hits).await["data"]["result"], json!([]));
        let names = world.get("/api/v1/metrics").await["metrics"].clone();
        assert_eq!((names.as_array().map(Vec::len), &names[0]["name"]), (Some(1), &json!("request.time")));
    }

    #[tokio::test]
    async fn mistakes_delete_nothing() {
        let world = World::shop().await;
        for parameters in ["", "?match[]=%7B%7D", "?match[]=a%2Bb", "?match[]=a&start=20&end=10", "?match[]=a&start=x"]
        {
            let path = format!("/api/v1/admin/tsdb/delete_series{parameters}");
            assert_eq!(world.ask("POST", &path).await.status(), 400, "{path}");
        }
        assert_eq!(world.get("/api/v1/series/deletions").await, json!({ "deletions": [] }));
        assert_eq!(world.ask("GET", "/api/v1/admin/tsdb/delete_series").await.status(), 405);
    }
}
