//! Prometheus' HTTP API (<https://prometheus.io/docs/prometheus/latest/querying/api/>), so that Grafana and `promtool` work
//! unchanged: GET and form POST, its envelope, its error types, its formats of time and numbers.
//!
//! [`query`] (instant and range), [`labels`] (series, labels, label values), [`metadata`], [`exemplars`], [`rules`] (rules,
//! alerts), `targets`, [`delete_series`], `status`, [`notation`] (numbers, times and steps as they stand there).

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use taffrail_ingest::StopReason;
use taffrail_ingest::series_store::SeriesStoreError;
use taffrail_query::promql::PromqlError;

use super::App;
use super::document::Document;
use crate::api_error::ApiError;

pub mod delete_series;
pub mod exemplars;
pub mod labels;
pub mod matrix;
pub mod metadata;
pub mod notation;
pub mod query;
pub mod rules;
mod status;
mod targets;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/format_query", get(query::format).post(query::format))
        .route("/api/v1/parse_query", get(query::parse).post(query::parse))
        .route("/api/v1/series", get(labels::series).post(labels::series))
        .route("/api/v1/labels", get(labels::names).post(labels::names))
        .route("/api/v1/label/{name}/values", get(labels::values))
        .route("/api/v1/metadata", get(metadata::metadata))
        .route("/api/v1/query_exemplars", get(exemplars::exemplars).post(exemplars::exemplars))
        .route("/api/v1/targets", get(targets::targets))
        .route("/api/v1/rules", get(rules::rules))
        .route("/api/v1/alerts", get(rules::alerts))
        .route("/api/v1/status/buildinfo", get(status::build_info))
        .route("/api/v1/status/runtimeinfo", get(status::runtime_info))
        .route("/api/v1/status/flags", get(status::flags))
        .route("/api/v1/admin/tsdb/delete_series", post(delete_series::delete).put(delete_series::delete))
        .route("/api/v1/admin/tsdb/clean_tombstones", post(delete_series::clean).put(delete_series::clean))
        .route("/api/v1/series/count", get(delete_series::count).post(delete_series::count))
        .route("/api/v1/series/deletions", get(delete_series::deletions))
}

/// A good answer in its envelope.
#[derive(Serialize)]
pub struct Success<T = Value> {
    status: &'static str,
    data: T,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    infos: Vec<String>,
}

impl<T: Serialize> Success<T> {
    /// An answer without remarks.
    pub fn new(data: T) -> Success<T> {
        Success { status: "success", data, warnings: Vec::new(), infos: Vec::new() }
    }

    /// The same with remarks.
    pub fn with_remarks(self, warnings: Vec<String>, infos: Vec<String>) -> Success<T> {
        Success { warnings: at_most(warnings, "warning"), infos: at_most(infos, "info"), ..self }
    }

    /// The answer written out, for those that may be large.
    pub fn document(self) -> Document {
        Document::of(&self)
    }
}

/// As many remarks of a kind as Prometheus gives, and how many more there are.
fn at_most(mut remarks: Vec<String>, kind: &str) -> Vec<String> {
    const REMARKS_MAX: usize = 10;
    if remarks.len() > REMARKS_MAX {
        let more = remarks.len() - REMARKS_MAX;
        remarks.truncate(REMARKS_MAX);
        remarks.push(format!("{more} more {kind} annotations omitted"));
    }
    remarks
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        self.document().into_response()
    }
}

/// A bad answer: its HTTP status, Prometheus' word for it, and a sentence.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    error_type: &'static str,
    message: String,
}

impl Failure {
    /// A parameter or the query cannot be understood.
    pub fn bad_data(message: impl Into<String>) -> Failure {
        Failure { status: StatusCode::BAD_REQUEST, error_type: "bad_data", message: message.into() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let envelope = json!({ "status": "error", "errorType": self.error_type, "error": self.message });
        (self.status, Json(envelope)).into_response()
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        let error_type = match error.status {
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            StatusCode::NOT_FOUND => "not_found",
            status if status.is_client_error() => "bad_data",
            _ => "internal",
        };
        Failure { status: error.status, error_type, message: error.message }
    }
}

impl From<PromqlError> for Failure {
    fn from(error: PromqlError) -> Failure {
        match error {
            PromqlError::Stopped(reason) => reason.into(),
            PromqlError::Invalid(message) => Failure::bad_data(message),
            PromqlError::Execution(message) => {
                Failure { status: StatusCode::UNPROCESSABLE_ENTITY, error_type: "execution", message }
            }
        }
    }
}

impl From<StopReason> for Failure {
    fn from(reason: StopReason) -> Failure {
        // 499 is how Prometheus answers whom it finds gone.
        let gone = StatusCode::from_u16(499).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let (status, error_type, message) = match reason {
            StopReason::Cancelled => (gone, "canceled", "the query was cancelled"),
            StopReason::OutOfTime => (
                StatusCode::SERVICE_UNAVAILABLE,
                "timeout",
                "query timed out in expression evaluation (query.time_max, or the parameter timeout)",
            ),
            StopReason::OutOfRows => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "execution",
                "query.rows_max: the query looked at more samples than it may",
            ),
        };
        Failure { status, error_type, message: message.to_owned() }
    }
}

impl From<SeriesStoreError> for Failure {
    fn from(error: SeriesStoreError) -> Failure {
        match error {
            SeriesStoreError::Stopped(reason) => reason.into(),
            error => ApiError::internal(error.to_string()).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::{START, TRACE, World};
    use taffrail_collector::model::{Batch, LabelSet, Sample, SampleValue, Timestamp};

    /// A moment at which the shop's windows are known and not yet stale.
    const AT: i64 = START + 20;

    #[tokio::test]
    async fn an_instant_query_answers_in_prometheus_form() {
        let world = World::shop().await;
        let check = async |query: &str, expected: Value| {
            let answer = world.get(&format!("/api/v1/query?time={AT}&query={query}")).await;
            assert_eq!(answer, json!({"status": "success", "data": expected}), "{query}");
        };
        check("1%2B1", json!({"resultType": "scalar", "result": [AT, "2"]})).await;
        check("%22x%22", json!({"resultType": "string", "result": [AT, "x"]})).await;
        let metric = json!({"__name__": "web.hits", "env": "prod", "host": "h1"});
        let hits = json!([{"metric": metric, "value": [AT, "5"]}]);
        check("%7B%22web.hits%22%7D", json!({"resultType": "vector", "result": hits})).await;
    }

    #[tokio::test]
    async fn selectors_look_back_as_far_as_they_are_told() {
        let world = World::shop().await;
        let check = async |at: i64, lookback: &str, series: usize| {
            let uri = format!("/api/v1/query?query=%7B%22web.hits%22%7D&time={at}{lookback}");
            let answer = world.get(&uri).await;
            assert_eq!(answer["data"]["result"].as_array().unwrap().len(), series, "{uri}");
            let uri = format!("/api/v1/query_range?query=%7B%22web.hits%22%7D&start={at}&end={at}&step=1{lookback}");
            let answer = world.get(&uri).await;
            assert_eq!(answer["data"]["result"].as_array().unwrap().len(), series, "{uri}");
        };
        check(AT, "", 1).await;
        check(AT + 3000, "", 0).await;
        check(AT + 3000, "&lookback_delta=2h", 1).await;
        check(AT + 3000, "&lookback_delta=7200", 1).await;
        check(AT + 3000, "&lookback_delta=0", 0).await;
    }

    #[tokio::test]
    async fn what_is_scraped_is_a_target() {
        let world = World::empty().await;
        let up = |instance: &str, level: f64| Sample {
            labels: Arc::new(LabelSet::new([("__name__", "up"), ("instance", instance), ("job", "node")])),
            timestamp: Timestamp::now(),
            interval_ms: 0,
            value: SampleValue::Gauge { last: level, min: level, max: level },
            unit: "",
            exemplars: Vec::new(),
        };
        world.deliver(Batch { samples: vec![up("a:1", 1.0), up("b:2", 0.0)], ..Batch::local() }).await;
        let targets = world.get("/api/v1/targets").await;
        let active = targets["data"]["activeTargets"].as_array().unwrap();
        let shown: Vec<_> = active.iter().map(|one| (&one["labels"]["instance"], &one["health"])).collect();
        assert_eq!(shown, [(&json!("a:1"), &json!("up")), (&json!("b:2"), &json!("down"))]);
        assert_eq!(active[0]["scrapePool"], "node");
        assert_eq!(world.get("/api/v1/targets?scrapePool=none").await["data"]["activeTargets"], json!([]));
        assert_eq!(world.get("/api/v1/targets?state=dropped").await["data"]["activeTargets"], json!([]));
    }

    #[tokio::test]
    async fn a_range_query_answers_with_a_matrix() {
        let world = World::shop().await;
        let end = AT + 10;
        let uri =
            format!("/api/v1/query_range?query=sum(%7B%22request.time_count%22%7D)&start={AT}&end={end}&step=10s");
        let answer = world.get(&uri).await;
        let values = json!([{"metric": {}, "values": [[AT, "2"], [end, "2"]]}]);
        assert_eq!(answer["data"], json!({"resultType": "matrix", "result": values}));
    }

    #[tokio::test]
    async fn histograms_limits_trees_and_figures_stand_as_in_prometheus() {
        let world = World::shop().await;
        let get = async |path: String| world.get(&path).await;
        let query = "increase(%7B%22request.time%22%7D[1m])";
        let native = get(format!("/api/v1/query?time={AT}&query={query}&stats=all")).await;
        let histogram = &native["data"]["result"][0]["histogram"];
        assert_eq!(histogram[0], json!(AT), "{native}");
        let buckets = histogram[1]["buckets"].as_array().unwrap();
        assert!(buckets.iter().all(|bucket| bucket.as_array().is_some_and(|parts| parts.len() == 4)), "{native}");
        assert!(native["data"]["stats"]["samples"]["totalQueryableSamples"].is_number(), "{native}");
        let ranged = get(format!("/api/v1/query_range?query={query}&start={AT}&end={AT}&step=10")).await;
        assert_eq!(ranged["data"]["result"][0]["histograms"][0], *histogram, "{ranged}");

        let all = "%7B__name__%3D~%22.%2B%22%7D";
        let limited = get(format!("/api/v1/query?time={AT}&query={all}&limit=1")).await;
        assert_eq!(limited["data"]["result"].as_array().unwrap().len(), 1);
        assert_eq!(limited["warnings"], json!(["results truncated due to limit"]));

        let tree = get("/api/v1/parse_query?query=sum%20by(a)(rate(x[5m]))%2B1".to_owned()).await;
        assert_eq!((&tree["data"]["type"], &tree["data"]["op"]), (&json!("binaryExpr"), &json!("+")), "{tree}");
        assert_eq!(tree["data"]["lhs"]["expr"]["args"][0]["range"], 300_000);
        let laid_out = get("/api/v1/format_query?query=sum(x)by(a)".to_owned()).await;
        assert_eq!(laid_out["data"], "sum by (a) (x)");
        assert!(get("/api/v1/status/runtimeinfo".to_owned()).await["data"]["startTime"].is_string());
        assert!(get("/api/v1/status/flags".to_owned()).await["data"].is_object());
        assert_eq!(at_most(vec![String::new(); 12], "info").last().unwrap(), "2 more info annotations omitted");
    }

    #[tokio::test]
    async fn mistakes_come_in_the_error_envelope() {
        let world = World::shop().await;
        let check = async |path: &str, status: u16, error_type: &str| {
            let (found, text) = world.text(path).await;
            assert_eq!(found, status, "{path}: {text}");
            let answer: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&answer["status"], &answer["errorType"]), (&json!("error"), &json!(error_type)), "{text}");
            assert!(answer["error"].as_str().is_some_and(|message| !message.is_empty()), "{text}");
        };
        check("/api/v1/query", 400, "bad_data").await;
        check("/api/v1/query?query=1&limit=-1", 400, "bad_data").await;
        check("/api/v1/query?query=1&timeout=soon", 400, "bad_data").await;
        check("/api/v1/query?query=1&lookback_delta=far", 400, "bad_data").await;
        check(&format!("/api/v1/query?query=%7B__name__%3D~%22.%2B%22%7D&time={AT}&timeout=0"), 503, "timeout").await;
        check("/api/v1/rules?type=other", 400, "bad_data").await;
        check("/api/v1/rules?exclude_alerts=perhaps", 400, "bad_data").await;
        check("/api/v1/rules?match[]=sum(", 400, "bad_data").await;
        check("/api/v1/targets?state=odd", 400, "bad_data").await;
        check("/api/v1/parse_query?query=1%2B", 400, "bad_data").await;
        let everything = "%7B__name__%3D~%22.%2B%22%7D";
        let many = format!("/api/v1/query?query={everything}%20%2B%20on()%20{everything}&time={AT}");
        check(&many, 422, "execution").await;
        check("/api/v1/query?query=sum(", 400, "bad_data").await;
        check("/api/v1/query?query=1&time=x", 400, "bad_data").await;
        check("/api/v1/query_range?query=1&start=0&end=1", 400, "bad_data").await;
        check("/api/v1/query_range?query=1&start=0&end=100000&step=1", 400, "bad_data").await;
        check("/api/v1/series", 400, "bad_data").await;
        check("/api/v1/series?match[]=1%2B1", 400, "bad_data").await;
    }

    #[tokio::test]
    async fn series_labels_and_metadata_describe_what_can_be_asked() {
        let world = World::shop().await;
        let series = world.get("/api/v1/series?match[]=%7B%22web.hits%22%7D").await;
        assert_eq!(series["data"], json!([{"__name__": "web.hits", "env": "prod", "host": "h1"}]));
        let names = world.get("/api/v1/labels?match[]=%7B%22web.hits%22%7D").await;
        assert_eq!(names["data"], json!(["__name__", "env", "host"]));
        let values = world.get("/api/v1/label/env/values").await;
        assert_eq!(values["data"], json!(["prod"]));
        let names = world.get("/api/v1/label/__name__/values").await;
        assert!(names["data"].as_array().unwrap().contains(&json!("request.time_count")), "{names}");
        let metadata = world.get("/api/v1/metadata?metric=web.hits").await;
        assert_eq!(metadata["data"], json!({"web.hits": [{"type": "counter", "help": "", "unit": ""}]}));
        let before = world.get("/api/v1/label/env/values?end=1000").await;
        assert_eq!(before["data"], json!([]), "nothing was known then");
    }

    #[tokio::test]
    async fn exemplars_lead_to_traces() {
        let world = World::shop().await;
        let answer = world.get("/api/v1/query_exemplars?query=rate(%7B%22request.time%22%7D[5m])").await;
        let exemplar = json!({"labels": {"trace_id": TRACE}, "value": "100", "timestamp": START});
        assert_eq!(answer["data"][0]["exemplars"], json!([exemplar]));
        assert_eq!(answer["data"][0]["seriesLabels"]["__name__"], "request.time");
        // Grafana probes with a name that no series has.
        assert_eq!(world.get("/api/v1/query_exemplars?query=test").await["data"], json!([]));
    }
}
