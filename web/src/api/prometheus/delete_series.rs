//! `/api/v1/admin/tsdb/{delete_series,clean_tombstones}`
//! (<https://prometheus.io/docs/prometheus/latest/querying/api/#tsdb-admin-apis>), `/api/v1/series/deletions`, the record of them, and
//! `/api/v1/series/count`, what they would delete.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::{Extension, Json};
use http::StatusCode;
use serde_json::{Value, json};
use taffrail_collector::model::{LabelSet, SampleKind, Timestamp};
use taffrail_ingest::series_deletion::{SeriesDeletion, SeriesDeletionError};
use taffrail_ingest::series_store::{LabelMatcher, SeriesStore, SeriesStoreError};
use taffrail_ingest::{Scan, TimeRange};

use super::Failure;
use super::labels::read_selectors;
use super::notation::read_moment;
use crate::api::App;
use crate::api::parameters::Parameters;
use crate::api::question::{stop_words, summary};
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
    let range = range(&parameters)?;
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

/// From `start` to `end`, both included, by default all of time.
fn range(parameters: &Parameters) -> Result<TimeRange, Failure> {
    let start = read_moment(parameters, "start")?.unwrap_or(Timestamp::MIN);
    let end = read_moment(parameters, "end")?.unwrap_or(Timestamp::MAX);
    if start > end {
        return Err(Failure::bad_data(format!("start ({start}) lies after end ({end})")));
    }
    Ok(TimeRange { start, end: end.saturating_add(Duration::from_nanos(1)) })
}

/// Answers how many series `match[]` (at least one) selects from `start` to `end`, and how many samples of theirs are stored, each once.
pub async fn count(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, Failure> {
    let selectors = read_selectors(&parameters)?;
    if selectors.is_empty() {
        return Err(Failure::bad_data("no match[] parameter provided"));
    }
    let (range, store) = (range(&parameters)?, app.ingest.series().clone());
    let work = move |scan: &Scan| {
        let mut counted = Counted::default();
        match counted.add_all(&store, &selectors, range, scan) {
            Ok(()) => Ok((counted, None)),
            Err(SeriesStoreError::Stopped(reason)) => Ok((counted, Some(reason))),
            Err(error) => Err(Failure::from(error)),
        }
    };
    let (found, scan) = app.questions.ask(work).await?;
    let (Counted { series, samples }, stopped) = found;
    let summary = summary(&scan, stopped.map(stop_words));
    Ok(Json(json!({ "series": series.len(), "samples": samples, "summary": summary })))
}

/// Series that were counted, and their samples.
#[derive(Default)]
struct Counted {
    series: HashSet<(Arc<LabelSet>, SampleKind)>,
    samples: u64,
}

impl Counted {
    fn add_all(
        &mut self,
        store: &SeriesStore,
        selectors: &[Vec<LabelMatcher>],
        range: TimeRange,
        scan: &Scan,
    ) -> Result<(), SeriesStoreError> {
        for matchers in selectors {
            let selection = store.selection(matchers, range, 0, scan)?;
            let mut reader = selection.reader();
            for place in 0..selection.len() {
                let (labels, kind) = selection.series(place);
                let series = (labels.clone(), kind);
                if self.series.contains(&series) {
                    continue;
                }
                if let Some(data) = reader.read(place, scan)? {
                    self.samples += data.points.len() as u64;
                    self.series.insert(series);
                }
            }
        }
        Ok(())
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
    async fn what_would_be_deleted_is_counted_once() {
        let world = World::shop().await;
        let check = async |parameters: &str, expected: (u64, u64)| {
            let found = world.get(&format!("/api/v1/series/count?{parameters}")).await;
            let count = |name: &str| found[name].as_u64().unwrap();
            assert_eq!((count("series"), count("samples")), expected, "{parameters}: {found}");
            assert_eq!(found["summary"]["partial"], false);
        };
        check("match[]=%7B%22web.hits%22%7D", (1, 1)).await;
        check("match[]=%7B%22web.hits%22%7D&match[]=%7B__name__%3D~%22.%2B%22%7D", (2, 2)).await;
        check(&format!("match[]=%7B%22web.hits%22%7D&end={}", START - 1), (0, 0)).await;
        check("match[]=%7B%22nothing%22%7D", (0, 0)).await;
        for bad in ["", "?match[]=a%2Bb", "?match[]=a&start=20&end=10"] {
            assert_eq!(world.text(&format!("/api/v1/series/count{bad}")).await.0, 400, "{bad}");
        }
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
