//! `/api/v1/status/{buildinfo,runtimeinfo,flags}`: what Grafana and `promtool` ask to learn whom they talk to.

use std::sync::Arc;

use axum::extract::State;
use serde_json::json;

use super::Success;
use crate::api::App;
use crate::api::parameters::Parameters;

/// Prometheus' own version stands first: Grafana decides by it which requests to send.
pub async fn build_info(_: Parameters) -> Success {
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

/// When the server started, and what of Prometheus' runtime has a counterpart here.
pub async fn runtime_info(State(app): State<Arc<App>>) -> Success {
    Success::new(json!({
        "startTime": app.started.to_string(),
        "CWD": "",
        "hostname": "",
        "serverTime": taffrail_collector::model::Timestamp::now().to_string(),
        "reloadConfigSuccess": true,
        "lastConfigTime": app.started.to_string(),
        "corruptionCount": 0,
        "goroutineCount": 0,
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": "",
    }))
}

/// The flags of Prometheus whose meaning holds here.
pub async fn flags(_: Parameters) -> Success {
    Success::new(json!({
        "query.lookback-delta": "5m",
        "query.max-samples": "50000000",
        "web.enable-admin-api": "false",
        "web.enable-lifecycle": "true",
        "web.enable-remote-write-receiver": "true",
    }))
}
