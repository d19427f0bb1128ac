//! Prometheus' HTTP API (<https://prometheus.io/docs/prometheus/latest/querying/api/>), so that Grafana and `promtool` work
//! unchanged: GET and form POST, its envelope, its error types, its formats of time and numbers.
//!
//! [`query`] (instant and range), [`labels`] (series, labels, label values, metadata), [`exemplars`], [`rules`] (rules,
//! alerts), [`notation`] (numbers, times and steps as they stand there).

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use taffrail_ingest::StopReason;
use taffrail_ingest::series_store::SeriesStoreError;
use taffrail_query::promql::PromqlError;

use super::App;
use super::parameters::Parameters;
use crate::api_error::ApiError;

pub mod exemplars;
pub mod labels;
pub mod notation;
pub mod query;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/format_query", get(query::format).post(query::format))
        .route("/api/v1/series", get(labels::series).post(labels::series))
        .route("/api/v1/labels", get(labels::names).post(labels::names))
        .route("/api/v1/label/{name}/values", get(labels::values))
        .route("/api/v1/metadata", get(labels::metadata))
        .route("/api/v1/query_exemplars", get(exemplars::exemplars).post(exemplars::exemplars))
        .route("/api/v1/status/buildinfo", get(build_info))
}

/// A good answer in its envelope.
pub struct Success {
    data: Value,
    warnings: Vec<String>,
    infos: Vec<String>,
}

impl Success {
    /// An answer without remarks.
    pub fn new(data: Value) -> Success {
        Success { data, warnings: Vec::new(), infos: Vec::new() }
    }

    /// The same with remarks.
    pub fn with_remarks(self, warnings: Vec<String>, infos: Vec<String>) -> Success {
        Success { warnings, infos, ..self }
    }
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        let mut envelope = json!({ "status": "success", "data": self.data });
        for (name, remarks) in [("warnings", self.warnings), ("infos", self.infos)] {
            if !remarks.is_empty() {
                envelope[name] = remarks.into();
            }
        }
        Json(envelope).into_response()
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
        let (error_type, message) = match reason {
            StopReason::Cancelled => ("canceled", "the query was cancelled"),
            StopReason::OutOfTime => ("timeout", "query.time_max: the query took longer than it may"),
            StopReason::OutOfRows => ("execution", "query.rows_max: the query looked at more samples than it may"),
        };
        Failure { status: StatusCode::SERVICE_UNAVAILABLE, error_type, message: message.to_owned() }
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

/// Prometheus' own version stands first: Grafana decides by it which requests to send.
async fn build_info(_: Parameters) -> Success {
    Success::new(json!({
        "version": "3.5.0",
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "application": concat!("Taffrail ", env!("CARGO_PKG_VERSION")),
    }))
}
