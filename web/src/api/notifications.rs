//! `/api/v1/notifications` (what people were told: log records, found again), `/api/v1/notify/receivers` (who can be told) and
//! `/api/v1/notify/test` (whether it arrives).

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use taffrail_ingest::log_store::{Order, StoredRecord};
use taffrail_query::log_search::Question;
use taffrail_query::log_search::row::Row;
use taffrail_query::log_search::run::{self, Asked};

use super::App;
use super::parameters::Parameters;
use super::question::{stop_words, summary};
use super::record_json::record_id_text;
use crate::api_error::ApiError;
use crate::notify::routing::route::{GroupBy, Route};

/// Notifications in an answer when nobody says how many.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/notifications", get(notifications))
        .route("/api/v1/notify/receivers", get(receivers))
        .route("/api/v1/notify/test", post(test))
}

/// Answers `alert` (an id), `receiver`, `from`, `to`, `limit`: the newest first.
async fn notifications(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let mut query = "service:taffrail notify.outcome:*".to_owned();
    if let Some(alert) = parameters.get("alert") {
        if alert.len() != 16 || !alert.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ApiError::bad_request("`alert` is the id of an alert: 16 hexadecimal digits"));
        }
        query.push_str(&format!(" alert.ids:{alert}"));
    }
    if let Some(receiver) = parameters.get("receiver") {
        let quoted = receiver.replace('\\', "\\\\").replace('"', "\\\"");
        query.push_str(&format!(" notify.receiver:\"{quoted}\""));
    }
    let asked = Asked {
        range: parameters.range()?,
        order: Order::NewestFirst,
        after: None,
        limit: parameters.count("limit", LIMIT_DEFAULT, LIMIT_MAX)?,
        memory_bytes_max: app.questions.settings().memory_bytes_max,
    };
    let question = Question::parse(&query)?;
    let logs = app.ingest.logs().clone();
    let work = move |scan: &taffrail_ingest::Scan| {
        let mut found = Vec::new();
        let outcome = run::run(&question, &logs, &asked, scan, &mut |row| {
            if let Row::Record(stored) = row {
                found.push(notification_json(&stored));
            }
            ControlFlow::Continue(())
        })?;
        Ok::<_, ApiError>((found, outcome))
    };
    let ((found, outcome), scan) = app.questions.ask(work).await?;
    let summary = summary(&scan, outcome.stopped.map(stop_words));
    Ok(Json(json!({ "notifications": found, "more": outcome.more, "query": query, "summary": summary })))
}

fn notification_json(stored: &StoredRecord) -> Value {
    let text = |name: &str| stored.record.attribute(name).map(ToString::to_string);
    let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
    json!({
        "id": record_id_text(stored.id),
        "time": stored.record.timestamp.to_string(),
        "message": stored.record.body,
        "channel": text("notify.channel"),
        "receiver": text("notify.receiver"),
        "target": text("notify.target"),
        "outcome": text("notify.outcome"),
        "reason": text("notify.reason"),
        "error": text("notify.error"),
        "attempt": number("notify.attempt"),
        "duration_ms": number("notify.duration_ms"),
        "status": text("alert.status"),
        "name": text("alert.name"),
        "firing": number("alert.firing"),
        "resolved": number("alert.resolved"),
    })
}

/// Who can be told, on which way, and what is wrong with the file that says so.
async fn receivers(State(app): State<Arc<App>>) -> Json<Value> {
    let routing = app.notifier.routing();
    let counts = app.notifier.counts();
    let receivers: Vec<Value> = routing
        .receivers
        .values()
        .map(|receiver| {
            let channels = receiver.channels.iter().map(|channel| {
                let of = |outcome| counts.get(&(channel.name.clone(), outcome)).copied().unwrap_or(0);
                json!({
                    "name": channel.name,
                    "target": channel.target(),
                    "send_resolved": channel.send_resolved,
                    "delivered": of("delivered"),
                    "retrying": of("retrying"),
                    "refused": of("refused"),
                })
            });
            json!({ "name": receiver.name, "channels": channels.collect::<Vec<_>>() })
        })
        .collect();
    let problem = app.notifier.problem().map(|problem| problem.to_string());
    Json(json!({
        "receivers": receivers,
        "route": route_json(&routing.route),
        "problem": problem,
        "remarks": routing.remarks,
    }))
}

fn route_json(route: &Route) -> Value {
    let group_by = match &route.group_by {
        GroupBy::All => json!(["..."]),
        GroupBy::Labels(names) => json!(names),
    };
    json!({
        "receiver": route.receiver,
        "matchers": route.matchers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "group_by": group_by,
        "group_wait_seconds": route.timing.group_wait.as_secs_f64(),
        "group_interval_seconds": route.timing.group_interval.as_secs_f64(),
        "repeat_interval_seconds": route.timing.repeat_interval.as_secs_f64(),
        "continue": route.goes_on,
        "mute_time_intervals": route.mute_intervals,
        "active_time_intervals": route.active_intervals,
        "routes": route.routes.iter().map(route_json).collect::<Vec<_>>(),
    })
}

/// Answers `receiver`: tells each of its channels once that this is a test.
async fn test(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let receiver = parameters.required("receiver")?;
    let Some(tested) = app.notifier.test(receiver).await else {
        let routing = app.notifier.routing();
        let known: Vec<&str> = routing.receivers.keys().map(String::as_str).collect();
        return Err(ApiError::not_found(format!("no receiver is named {receiver:?}; there are {}", known.join(", "))));
    };
    Ok(Json(json!({ "receiver": receiver, "channels": tested })))
}
