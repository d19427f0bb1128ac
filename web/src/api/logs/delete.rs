//! `POST /api/v1/logs/delete` and `GET /api/v1/logs/deletions`: records removed for good, and what became of it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::{Extension, Json};
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::TimeRange;
use taffrail_ingest::deletion::{Deletion, DeletionError, DeletionRequest};
use taffrail_query::{log_search, time_range};

use crate::api::App;
use crate::api::parameters::Parameters;
use crate::api::question::{stop_words, summary};
use crate::api_error::ApiError;

/// The longest reason, name and question that are kept, together, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Deletes what matches `q` from `from` (or from the beginning) to `to` (or to the end) and was stored before; answers once
/// that is durable and true of every answer. With `preview` it deletes nothing and answers how many records match now.
pub async fn delete(
    State(app): State<Arc<App>>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    let query = parameters.required("q")?.to_owned();
    let filter = log_search::parse(&query)?;
    let range = range(&parameters)?;
    if parameters.get("preview").is_some_and(|preview| preview != "false") {
        let logs = app.ingest.logs().clone();
        let count = move |scan: &_| {
            logs.count_by_interval(&filter, range, i64::MAX.unsigned_abs() / 1_000_000, None, 1, scan)
                .map_err(ApiError::from)
        };
        let (counts, scan) = app.questions.ask(count).await?;
        let stopped = counts.ending.stopped.map(stop_words);
        return Ok(Json(json!({ "matching": counts.total, "summary": summary(&scan, stopped) })));
    }
    let reason = parameters.required("reason")?.to_owned();
    let address =
        peer.map_or_else(|| "an unknown address".to_owned(), |Extension(ConnectInfo(address))| address.to_string());
    let asked_by = parameters.get("by").map_or_else(|| address.clone(), |name| format!("{name}, from {address}"));
    if query.len() + reason.len() + asked_by.len() > TEXT_BYTES_MAX {
        let message = format!("`q`, `reason` and `by` are longer than {TEXT_BYTES_MAX} bytes together");
        return Err(ApiError::bad_request(message));
    }
    let request = DeletionRequest { query, filter, range, asked_by, reason };
    let ingest = app.ingest.clone();
    let deleted = tokio::task::spawn_blocking(move || ingest.delete(request)).await;
    match deleted.map_err(|panic| ApiError::internal(panic.to_string()))? {
        Ok(deletion) => Ok(Json(json!({ "deletion": told(&deletion) }))),
        Err(error @ DeletionError::Catalog(_)) => Err(ApiError::internal(error.to_string())),
        Err(error) => Err(ApiError::bad_request(error.to_string())),
    }
}

/// Every deletion there ever was, the newest first.
pub async fn deletions(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let ingest = app.ingest.clone();
    let deletions = tokio::task::spawn_blocking(move || ingest.deletions()).await;
    let deletions = deletions.map_err(|panic| ApiError::internal(panic.to_string()))?;
    let deletions = deletions.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Json(json!({ "deletions": deletions.iter().rev().map(told).collect::<Vec<_>>() })))
}

fn range(parameters: &Parameters) -> Result<TimeRange, ApiError> {
    let now = Timestamp::now();
    let moment = |name: &str, otherwise: Timestamp| match parameters.get(name) {
        None => Ok(otherwise),
        Some(text) => {
            time_range::parse_moment(text, now).map_err(|error| ApiError::bad_request(format!("{name}: {error}")))
        }
    };
    let range = TimeRange { start: moment("from", Timestamp::MIN)?, end: moment("to", Timestamp::MAX)? };
    if range.start > range.end {
        return Err(ApiError::bad_request(format!("from ({}) lies after to ({})", range.start, range.end)));
    }
    Ok(range)
}

fn told(deletion: &Deletion) -> Value {
    let Deletion { query, mask, asked_by, asked_at, reason, progress } = deletion;
    let bound = |moment: Timestamp, none: Timestamp| (moment != none).then(|| moment.to_string());
    let state = match (progress.finished_at, progress.splits) {
        (Some(_), _) => "done",
        (None, Some(_)) => "rewriting",
        (None, None) => "pending",
    };
    json!({
        "id": mask.id,
        "q": query,
        "from": bound(mask.range.start, Timestamp::MIN),
        "to": bound(mask.range.end, Timestamp::MAX),
        "asked_by": asked_by,
        "asked_at": asked_at.to_string(),
        "reason": reason,
        "state": state,
        "splits": progress.splits,
        "splits_done": progress.splits_done,
        "rows_removed": progress.rows_removed,
        "damaged_splits": progress.damaged_splits,
        "finished_at": progress.finished_at.map(|moment| moment.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use crate::api::world::{START, World};

    async fn post(world: &World, parameters: &str) -> (u16, Value) {
        let answer = world.ask("POST", &format!("/api/v1/logs/delete?{parameters}")).await;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn deleted_records_are_in_no_answer_and_the_record_of_it_stays() {
        let world = World::shop().await;
        let seconds = format!("from={START}&to={}", START + 60);
        assert_eq!(post(&world, "q=service:db&preview=true").await.1["matching"], 5);
        assert_eq!(post(&world, &format!("q=service:db&preview=true&from={}", START + 5)).await.1["matching"], 3);
        let (status, asked) = post(&world, "q=service:db&reason=asked%20to&by=ann").await;
        assert_eq!(status, 200, "{asked}");
        assert_eq!(asked["deletion"]["asked_by"], "ann, from an unknown address");
        assert_eq!((&asked["deletion"]["id"], &asked["deletion"]["from"]), (&json!(1), &Value::Null));

        let find =
            async |path: &str| world.get(&format!("/api/v1/logs/{path}?{seconds}&fields=service&interval=1h")).await;
        assert_eq!(world.lines(&format!("/api/v1/logs/search?{seconds}")).await.len(), 6, "five records, a summary");
        assert_eq!(find("histogram").await["total"], 5);
        assert_eq!(find("facets").await["facets"][0]["values"], json!([{ "value": "web", "count": 5 }]));
        let trace = world.get(&format!("/api/v1/traces/{}", crate::api::world::TRACE)).await;
        assert_eq!(trace["records"].as_array().map(Vec::len), Some(2));
        for _ in 0..500 {
            let listed = world.get("/api/v1/logs/deletions").await;
            let one = listed["deletions"][0].clone();
            if one["state"] == "done" {
                assert_eq!((&one["rows_removed"], &one["q"]), (&json!(5), &json!("service:db")));
                assert_eq!((&one["reason"], &one["damaged_splits"]), (&json!("asked to"), &json!([])));
                assert_eq!(find("histogram").await["total"], 5);
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the deletion does not end");
    }

    #[tokio::test]
    async fn a_deletion_says_what_and_why() {
        let world = World::shop().await;
        let check = async |parameters: &str, expected: &str| {
            let (status, answer) = post(&world, parameters).await;
            let message = answer["error"]["message"].as_str().unwrap_or_default();
            assert!(status == 400 && message.contains(expected), "{parameters}: {status} {answer}");
        };
        check("reason=x", "`q`").await;
        check("q=&reason=x", "`q`").await;
        check("q=level:(&reason=x", "").await;
        check("q=a", "`reason`").await;
        check("q=a&reason=x&from=yesterday-ish", "from:").await;
        check("q=a&reason=x&from=20&to=10", "lies after").await;
        check(&format!("q=a&reason={}", "x".repeat(20_000)), "longer than").await;
        assert_eq!(world.get("/api/v1/logs/deletions").await, json!({ "deletions": [] }));
    }
}
