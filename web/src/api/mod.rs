//! The HTTP API: one file per subject, and the router that holds them.
//!
//! Subjects: [`logs`], [`traces`], [`prometheus`], [`metrics_catalog`], [`metrics_moved`], [`views`], [`cardinality`], [`dashboards`], [`settings`],
//! [`ingest_status`], [`agents`], [`annotations`], [`errors`], [`deploys`], [`hosts`], [`health`], [`self_metrics`],
//! [`admin`], [`alerts`], [`alertmanager`], [`notifications`], [`openapi`]. What they share: [`parameters`] (a request's parameters), [`question`] (how a question is run),
//! [`record_json`] and [`ndjson`] (how answers look). The HTTP receivers are routers of the collector, merged in.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use http::{Method, StatusCode};
use taffrail_collector::model::Timestamp;
use taffrail_collector::source::Tallies;
use taffrail_ingest::Ingest;
use taffrail_query::alert::schedule::Manager;
use tokio_util::sync::CancellationToken;

use crate::api_error::ApiError;
use crate::dashboards::Library;
use crate::http_guard::Guard;
use crate::known_agents::KnownAgents;
use crate::notify::Notifier;
use crate::reload::Reload;
use crate::ui_assets;
use crate::watch::Watch;

pub mod admin;
pub mod agents;
pub mod alertmanager;
pub mod alerts;
pub mod annotations;
pub mod cardinality;
pub mod dashboards;
pub mod deploys;
pub mod document;
pub mod errors;
pub mod health;
pub mod hosts;
pub mod ingest_status;
pub mod logs;
pub mod metrics_catalog;
pub mod metrics_moved;
pub mod ndjson;
pub mod notifications;
pub mod openapi;
mod openapi_schemas;
pub mod parameters;
pub mod prometheus;
pub mod question;
pub mod record_json;
pub mod row_json;
pub mod rules_replay;
pub mod self_metrics;
pub mod settings;
pub mod traces;
pub mod views;
#[cfg(test)]
pub(crate) mod world;

/// A question's form or JSON body may be this long: it holds text that somebody typed.
const QUESTION_BYTES_MAX: usize = 1 << 20;

/// What the handlers answer from.
pub struct App {
    /// The store.
    pub ingest: Arc<Ingest>,
    /// What the sources counted.
    pub tallies: Arc<Tallies>,
    /// The agents that deliver here.
    pub agents: Arc<KnownAgents>,
    /// Turns and budgets of questions.
    pub questions: question::Questions,
    /// Those who follow live records, and what they share.
    pub audience: Arc<logs::tail::audience::Audience>,
    /// Answers to range questions that may be given again.
    pub answers: Arc<taffrail_query::promql::AnswerCache>,
    /// Where this server listens.
    pub listeners: Listeners,
    /// When it started.
    pub started: Timestamp,
    /// Cancelled when the server stops: streams end.
    pub stopping: CancellationToken,
    /// Alert rules at work.
    pub alerts: Manager,
    /// Who is told of alerts.
    pub notifier: Notifier,
    /// Reads what can be read again.
    pub reload: Reload,
    /// What is noted of records as they come.
    pub watch: Watch,
    /// Dashboards.
    pub dashboards: Arc<Library>,
}

/// The addresses that this server listens on, as `--print-addresses` prints them; none for what is off.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Listeners {
    /// HTTP.
    pub http: Option<String>,
    /// StatsD.
    pub statsd: Option<String>,
    /// Syslog.
    pub syslog: Option<String>,
    /// Graphite's lines.
    pub graphite: Option<String>,
    /// OpenTelemetry's protocol over gRPC, on a port of its own.
    pub otlp_grpc: Option<String>,
    /// And over HTTP.
    pub otlp_http: Option<String>,
}

/// Everything that is served: the API, the pages, and the collector's `receivers`.
pub fn router(app: Arc<App>, receivers: Router, guard: Guard) -> Router {
    let questions = Router::new()
        .merge(logs::routes())
        .merge(traces::routes())
        .merge(prometheus::routes())
        .merge(metrics_catalog::routes())
        .merge(metrics_moved::routes())
        .merge(views::routes())
        .merge(cardinality::routes())
        .merge(dashboards::routes())
        .merge(settings::routes())
        .merge(rules_replay::routes())
        .merge(ingest_status::routes())
        .merge(agents::routes())
        .merge(alertmanager::routes())
        .merge(alerts::routes())
        .merge(notifications::routes())
        .merge(annotations::routes())
        .merge(errors::routes())
        .merge(deploys::routes())
        .merge(hosts::routes())
        .merge(health::routes())
        .merge(self_metrics::routes())
        .merge(admin::routes())
        .merge(openapi::routes())
        .layer(DefaultBodyLimit::max(QUESTION_BYTES_MAX))
        .with_state(app);
    let pages = ui_assets::PAGE_ROUTES
        .iter()
        .fold(Router::new(), |router, route| router.route(route, get(ui_assets::page)))
        .fallback(get(ui_assets::file));
    guard.protect(questions.merge(receivers).merge(pages).method_not_allowed_fallback(method_not_allowed))
}

/// Which methods a path has, the header `Allow` says.
async fn method_not_allowed(method: Method) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("this path does not answer {method}; the header Allow names what it does"),
    )
}
