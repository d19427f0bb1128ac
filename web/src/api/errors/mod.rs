//! `/api/v1/errors`: error groups with their counts under any filter, one group with an event and its trace, and what people decide.
//!
//! Which records are one group the store says, the attribute `error.group`: counting them is counting the values of a field.
//! What is known beyond a time range (first seen, states, regressions) [`watch`](crate::watch) keeps.

mod decide;
mod detail;
mod list;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use serde_json::{Map, Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::error_group::GROUP_FIELD;
use taffrail_ingest::log_store::{Filter, Test};
use taffrail_query::error_group::group::{Group, State};
use taffrail_query::log_search::Question;

use super::App;
use super::parameters::Parameters;
use crate::api_error::ApiError;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/errors", get(list::list))
        .route("/api/v1/errors/{id}", get(detail::detail).post(decide::decide))
}

/// The question's records that belong to any group, or to this one.
fn of_groups(parameters: &Parameters, id: Option<&str>) -> Result<Filter, ApiError> {
    let asked = Question::parse(parameters.get("q").unwrap_or_default())?.filter;
    let test = id.map_or(Test::Exists, |id| Test::Equals(id.to_owned()));
    Ok(Filter::And(vec![Filter::Field { name: GROUP_FIELD.to_owned(), test }, asked]))
}

/// What is known of a group, whatever the question.
pub(super) fn known(id: &str, group: &Group, now: Timestamp) -> Map<String, Value> {
    let moment = |nanos: i64| Timestamp::from_unix_nanos(nanos).to_string();
    let regressions: Vec<Value> = group
        .regressions
        .iter()
        .map(|one| json!({ "time": moment(one.at), "version": one.version, "resolved_at": moment(one.resolved_at) }))
        .collect();
    let decision = match &group.state {
        State::Open => Value::Null,
        State::Resolved { at, version, by, .. } => json!({ "resolved_at": moment(*at), "version": version, "by": by }),
        State::Ignored { until, by } => json!({ "ignored_until": moment(*until), "by": by }),
    };
    let known = json!({
        "id": id,
        "service": group.service,
        "type": group.kind,
        "message": group.message,
        "culprit": group.culprit,
        "language": group.language,
        "state": group.state_name(now.unix_nanos()),
        "decision": decision,
        "total": group.count,
        "first_seen": moment(group.first_seen),
        "last_seen": moment(group.last_seen),
        "first_version": group.first_version,
        "versions": group.versions,
        "regressions": regressions,
        "last_event": group.last_record,
    });
    match known {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
