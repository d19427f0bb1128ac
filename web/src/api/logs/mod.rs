//! `/api/v1/logs/*`: questions about log records.
//!
//! [`search`] (records or a table, streamed), [`explain`] (why there are none), [`export`] (records as a file), [`tail`] (records as they come), [`counts`] (histogram, facets, fields),
//! [`patterns`] (like messages as one), [`compare`] (what differs between two stretches of time), [`context`] (one record and its neighbours), [`delete`] (records removed for good).

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::App;

pub mod compare;
pub mod context;
pub mod counts;
pub mod delete;
pub mod explain;
pub mod export;
pub mod patterns;
pub mod search;
pub mod tail;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/logs/search", get(search::search).post(search::search))
        .route("/api/v1/logs/explain", get(explain::explain).post(explain::explain))
        .route("/api/v1/logs/export", get(export::export).post(export::export))
        .route("/api/v1/logs/tail", get(tail::tail))
        .route("/api/v1/logs/histogram", get(counts::histogram).post(counts::histogram))
        .route("/api/v1/logs/facets", get(counts::facets).post(counts::facets))
        .route("/api/v1/logs/fields", get(counts::fields).post(counts::fields))
        .route("/api/v1/logs/patterns", get(patterns::patterns).post(patterns::patterns))
        .route("/api/v1/logs/pattern", get(patterns::pattern_of))
        .route("/api/v1/logs/compare", get(compare::compare).post(compare::compare))
        .route("/api/v1/logs/context", get(context::context))
        .route("/api/v1/logs/record", get(context::record))
        .route("/api/v1/logs/delete", post(delete::delete))
        .route("/api/v1/logs/deletions", get(delete::deletions))
}
