//! `/api/v1/series/cardinality`: who makes so many series; and `/api/v1/status/tsdb`, the part of it that Prometheus has
//! (<https://prometheus.io/docs/prometheus/latest/querying/api/#tsdb-stats>).

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::series_store::Cardinality;

use super::App;
use super::document::Document;
use super::parameters::Parameters;
use super::prometheus::{Failure, Success};
use crate::api_error::ApiError;

/// Prometheus' own default.
const LIMIT_DEFAULT: usize = 10;
const LIMIT_MAX: usize = 10_000;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/series/cardinality", get(cardinality)).route("/api/v1/status/tsdb", get(tsdb))
}

/// Answers `metric` (its series alone) and `limit` (of each list).
async fn cardinality(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Document, ApiError> {
    let metric = parameters.get("metric").map(str::to_owned);
    let limit = parameters.count("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let ingest = app.ingest.clone();
    let work = move |_: &_| {
        let found = ingest.series().cardinality(metric.as_deref(), limit);
        let mut answer = json!(found);
        answer["limited_windows"] = json!(ingest.status().series_limited);
        Ok::<_, ApiError>(Document::of(&answer))
    };
    Ok(app.questions.ask(work).await?.0)
}

async fn tsdb(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Success, Failure> {
    let limit = parameters.count("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let store = app.ingest.series().clone();
    let work = move |_: &_| Ok::<_, Failure>((store.cardinality(None, limit), store.sizes(), store.head_span()));
    let ((found, sizes, span), _) = app.questions.ask(work).await?;
    let milliseconds = |moment: Option<Timestamp>| moment.map_or(0, Timestamp::unix_millis);
    let mut answer = by_prometheus(&found);
    answer["headStats"] = json!({
        "numSeries": found.series,
        "numLabelPairs": found.label_pairs,
        "chunkCount": sizes.head_series,
        "minTime": milliseconds(span.map(|(first, _)| first)),
        "maxTime": milliseconds(span.map(|(_, last)| last)),
    });
    Ok(Success::new(answer))
}

fn by_prometheus(found: &Cardinality) -> Value {
    let pair = |name: &str, value: u64| json!({ "name": name, "value": value });
    let mut by_bytes: Vec<_> = found.labels.iter().collect();
    by_bytes.sort_by_key(|label| std::cmp::Reverse(label.bytes));
    let mut metrics: Vec<_> = found.metrics.iter().collect();
    metrics.sort_by_key(|metric| std::cmp::Reverse(metric.series));
    json!({
        "seriesCountByMetricName": metrics.iter().map(|metric| pair(&metric.name, metric.series)).collect::<Vec<_>>(),
        "labelValueCountByLabelName":
            found.labels.iter().map(|label| pair(&label.name, label.values)).collect::<Vec<_>>(),
        "memoryInBytesByLabelName": by_bytes.iter().map(|label| pair(&label.name, label.bytes)).collect::<Vec<_>>(),
        "seriesCountByLabelValuePair": found
            .values
            .iter()
            .map(|value| pair(&format!("{}={}", value.name, value.value), value.series))
            .collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use taffrail_collector::model::{Batch, LabelSet, Sample, SampleValue, Timestamp};
    use taffrail_ingest::series_store::SeriesLimits;

    use crate::api::world::World;

    async fn bombed() -> World {
        let world = World::empty().await;
        world.app.ingest.set_series_limits(SeriesLimits { per_metric: Some(3), ..SeriesLimits::default() });
        let sample = |name: &str, id: usize, value| {
            let labels = LabelSet::new([("__name__", name), ("host", "web-1"), ("id", &*id.to_string())]);
            let timestamp = Timestamp::from_unix_seconds(1_000_000);
            Sample { labels: Arc::new(labels), timestamp, interval_ms: 10_000, value, unit: "", exemplars: Vec::new() }
        };
        let counters = (0..10).map(|id| sample("hits", id, SampleValue::Counter { sum: 2.0 }));
        let totals = (0..5).map(|id| sample("errors_total", id, SampleValue::Cumulative { total: 1.0 }));
        world.deliver(Batch { samples: counters.chain(totals).collect(), ..Batch::local() }).await;
        world
    }

    #[tokio::test]
    async fn the_culprit_is_named_and_what_was_sent_is_stored_or_counted() {
        let world = bombed().await;
        let answer = world.get("/api/v1/series/cardinality?limit=2").await;
        assert_eq!((&answer["series"], &answer["limits"]["per_metric"]), (&json!(7), &json!(3)));
        let metric = &answer["metrics"][0];
        assert_eq!((&metric["name"], &metric["series"]), (&json!("hits"), &json!(4)));
        let limited = &metric["limited"];
        assert_eq!(
            (&limited["by"], &limited["series"], &limited["joined_windows"]),
            (&json!("metric"), &json!(7), &json!(7))
        );
        assert_eq!(answer["metrics"][1]["limited"]["dropped_windows"], 2);
        assert_eq!((&answer["labels"][0]["name"], &answer["labels"][0]["values"]), (&json!("id"), &json!(3)));
        assert_eq!((&answer["sources"][0]["name"], &answer["sources"][0]["label"]), (&json!("web-1"), &json!("host")));
        assert_eq!(answer["limited_windows"], json!({"metric": {"joined": 7, "dropped": 2}}));
        let store = world.get("/api/v1/ingest").await["store"].clone();
        assert_eq!((&store["samples"], &store["series_limited"]["metric"]["dropped"]), (&json!(15), &json!(2)));
        // Nothing of what the counters said is lost.
        let total = world.get("/api/v1/query?time=1000010&query=sum(hits)").await;
        assert_eq!(total["data"]["result"][0]["value"], json!([1_000_010, "20"]));
        let (_, text) = world.text("/metrics").await;
        let line = "taffrail_series_limited_windows_total{limit=\"metric\",outcome=\"joined\"} 7";
        assert!(text.lines().any(|have| have == line), "{text}");
        let one = world.get("/api/v1/series/cardinality?metric=errors_total").await;
        assert_eq!((&one["series"], &one["sources"]), (&json!(3), &json!([])));
    }

    #[tokio::test]
    async fn prometheus_figures_have_its_form() {
        let world = bombed().await;
        let data = world.get("/api/v1/status/tsdb").await["data"].clone();
        let head = json!({
            "numSeries": 7, "numLabelPairs": 7, "chunkCount": 7, "minTime": 950_400_000, "maxTime": 1_000_010_000,
        });
        assert_eq!(data["headStats"], head);
        let names = json!([{"name": "hits", "value": 4}, {"name": "errors_total", "value": 3}]);
        assert_eq!(data["seriesCountByMetricName"], names);
        assert_eq!(data["labelValueCountByLabelName"][0], json!({"name": "id", "value": 3}));
        assert_eq!(data["seriesCountByLabelValuePair"][0], json!({"name": "host=web-1", "value": 6}));
        assert_eq!(data["memoryInBytesByLabelName"].as_array().map(Vec::len), Some(4));
    }
}
