//! What people decide about a group: resolved (now, or in a version), ignored until a moment, open again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_query::time_range;

use super::known;
use crate::api::App;
use crate::api::parameters::Parameters;
use crate::api_error::ApiError;

/// The longest version or name, in bytes.
const NAME_BYTES_MAX: usize = 200;

/// Takes `state` (resolved, ignored or open), `version` (resolved in it), `until` (ignored so long) and `by`; answers once that is durable.
pub(super) async fn decide(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    let now = Timestamp::now();
    let (version, by) = (short(&parameters, "version")?, short(&parameters, "by")?);
    let until = match parameters.get("until") {
        None => None,
        Some(text) => Some(read_until(text, now)?),
    };
    let state = parameters.required("state")?.to_owned();
    if !["resolved", "ignored", "open"].contains(&state.as_str()) {
        return Err(ApiError::bad_request(format!("`state` is resolved, ignored or open, not `{state}`")));
    }
    if state == "ignored" && until.is_none() {
        return Err(ApiError::bad_request(
            "`until` is missing: when it is worth hearing of again (7d, 2026-12-24T00:00:00Z)",
        ));
    }
    // What waits to be told is told before it is written down that it was seen.
    app.watch.note(&app.ingest).await;
    let (watch, catalog) = (app.watch.clone(), app.ingest.catalog().clone());
    let decided = tokio::task::spawn_blocking(move || {
        watch.with(|watcher| {
            let decided = watcher.groups.decide(&id, |group| match (state.as_str(), until) {
                ("resolved", _) => group.resolve(now.unix_nanos(), &version, &by),
                ("ignored", Some(until)) => group.ignore(until.unix_nanos(), &by),
                _ => group.reopen(),
            });
            let Some(decided) = decided.map(|group| known(&id, group, now)) else {
                return Err(ApiError::not_found(format!("there is no error group `{id}`")));
            };
            watcher.write_down(&catalog, true, now).map_err(|error| ApiError::internal(error.to_string()))?;
            Ok(decided)
        })
    });
    let decided = decided.await.map_err(|panic| ApiError::internal(panic.to_string()))??;
    Ok(Json(json!({ "error_group": decided })))
}

/// A moment to come: a span (`7d`) counts from now.
fn read_until(text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    let of_span = time_range::parse_span(text).map(|span| now.saturating_add(span));
    let until = of_span.or_else(|_| time_range::parse_moment(text, now));
    let until = until.map_err(|why| ApiError::bad_request(format!("`until`: {why}")))?;
    if until <= now {
        return Err(ApiError::bad_request(format!("`until` ({until}) is over already")));
    }
    Ok(until)
}

fn short(parameters: &Parameters, name: &str) -> Result<String, ApiError> {
    let text = parameters.get(name).unwrap_or_default();
    if text.len() > NAME_BYTES_MAX {
        return Err(ApiError::bad_request(format!("`{name}` is longer than {NAME_BYTES_MAX} bytes")));
    }
    Ok(text.to_owned())
}
