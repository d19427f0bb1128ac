//! `/api/v1/alerts/{id}`: one alert at one moment with everything that explains it, also long after it is over; and the pictures
//! that messages show.
//!
//! The series `ALERTS` is the memory: it knows the labels of every alert there was, and when it fired.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::Scan;
use taffrail_query::alert::snapshot::{AlertingSnapshot, NamedAlert, RuleSnapshot};
use taffrail_query::alert::state::Labels;
use taffrail_query::promql::{self, StoreSource};
use taffrail_query::time_range;

use super::App;
use super::parameters::Parameters;
use super::question::summary;
use crate::api_error::ApiError;
use crate::notify::evidence::AlertEvidence;
use crate::notify::evidence::gather::Subject;
use crate::notify::notice::{Notice, alert_id};
use crate::notify::routing::plan::Muted;

/// How far around the moment the alert's life is looked for.
const AROUND: Duration = Duration::from_secs(6 * 3600);

/// Steps of the line that says when it fired.
const STEPS: u32 = 720;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/alerts/{id}", get(alert)).route("/api/v1/alerts/pictures/{name}", get(picture))
}

async fn picture(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Response, ApiError> {
    let gone = || ApiError::not_found("there is no such picture, or its time is over");
    let name = name.strip_suffix(".png").ok_or_else(gone)?;
    let pictures = app.notifier.gatherer().map(|gatherer| gatherer.pictures().clone());
    let picture = pictures.and_then(|pictures| pictures.get(name, Timestamp::now())).ok_or_else(gone)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/png")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400")),
    ];
    Ok((headers, picture.to_vec()).into_response())
}

/// Answers `at`: the moment at which the alert is looked at; its beginning, else now, when absent.
async fn alert(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    let now = Timestamp::now();
    let at = parameters.get("at").map(|text| time_range::parse_moment(text, now)).transpose();
    let at = at.map_err(|why| ApiError::bad_request(format!("`at`: {why}")))?;
    let (alerts, notifier) = (app.alerts.clone(), app.notifier.clone());
    let source = StoreSource::new(app.ingest.series().clone()).with_logs(app.ingest.logs().clone());
    let work = move |scan: &Scan| {
        let alive = alerts.alerts().into_iter().find(|named| alert_id(&named.alert.labels) == id);
        let began = alive.as_ref().map(|named| named.alert.fired_at.unwrap_or(named.alert.active_at));
        let moment = at.or(began).unwrap_or(now);
        let life = Life::find(&source, &id, moment, now, scan)?;
        let labels = alive.as_ref().map(|named| named.alert.labels.clone()).or_else(|| life.labels.clone());
        let Some(labels) = labels else {
            return Err(ApiError::not_found(format!("no alert {id} fired within six hours of {moment}")));
        };
        let groups = alerts.snapshot();
        let rule = groups.iter().find_map(|group| {
            let named = |rule: &&RuleSnapshot| {
                let same = alive.as_ref().is_none_or(|alive| alive.file == group.file && alive.group == group.name);
                same && rule.alerting.is_some() && labels.get("alertname") == Some(&rule.name)
            };
            group.rules.iter().find(named).map(|rule| (group, rule))
        });
        // The stretch that the moment lies in says when it began; without one the moment itself.
        let began = life.began(moment).or(began).unwrap_or(moment);
        let alerting = rule.and_then(|(_, rule)| rule.alerting.as_ref());
        let (evidence, curve) = match notifier.gatherer() {
            None => (AlertEvidence::default(), None),
            Some(gatherer) => {
                let facts = rule.and_then(|(group, rule)| gatherer.facts(&group.file, &group.name, &rule.name));
                let subject = Subject {
                    labels: labels.clone(),
                    expr: rule.map(|(_, rule)| rule.expr.clone()).unwrap_or_default(),
                    began,
                    lines: alive.as_ref().and_then(|named| named.alert.log_lines.clone()),
                    facts: facts.unwrap_or_default(),
                };
                let until = now.min(began.saturating_add(AROUND));
                (gatherer.look(&subject, until, scan), gatherer.curve(&subject, until, scan).ok().flatten())
            }
        };
        let muted = notifier.plan();
        let muted = muted.groups.iter().flat_map(|group| group.alerts.iter().map(move |alert| (group, alert)));
        let told: Vec<(String, Option<Muted>)> = muted
            .filter(|(_, routed)| routed.notice.id() == id)
            .map(|(group, routed)| (group.receiver.clone(), routed.muted.clone()))
            .collect();
        Ok(json!({
            "id": id,
            "labels": labels,
            "at": moment.to_string(),
            "began": began.to_string(),
            "now": alive.as_ref().map(now_json),
            "annotations": alive.as_ref().map(|named| &named.alert.annotations),
            "rule": rule.map(|(group, rule)| rule_json(&group.file, &group.name, rule, alerting)),
            "stretches": life.stretches.iter().map(|(from, to)| json!({ "from": from.to_string(), "to": to.to_string() })).collect::<Vec<_>>(),
            "curve": curve.map(|curve| json!({
                "times": curve.points.iter().map(|(at, _)| at).collect::<Vec<_>>(),
                "values": curve.points.iter().map(|(_, value)| value).collect::<Vec<_>>(),
                "threshold": curve.threshold,
            })),
            "receivers": told.iter().map(|(receiver, _)| receiver).collect::<Vec<_>>(),
            "silencedBy": told.iter().find_map(|(_, muted)| match muted { Some(Muted::Silenced(by)) => Some(by.clone()), _ => None }).unwrap_or_default(),
            "inhibitedBy": told.iter().find_map(|(_, muted)| match muted { Some(Muted::Inhibited(by)) => Some(by.clone()), _ => None }),
            "evidence": evidence.to_json(),
            "summary": summary(scan, None),
        }))
    };
    Ok(Json(app.questions.ask(work).await?.0))
}

/// When an alert fired, as the series `ALERTS` tells it.
struct Life {
    labels: Option<Labels>,
    /// From and to, in order.
    stretches: Vec<(Timestamp, Timestamp)>,
}

impl Life {
    fn find(source: &StoreSource, id: &str, moment: Timestamp, now: Timestamp, scan: &Scan) -> Result<Life, ApiError> {
        let (start, end) = (moment.saturating_sub(AROUND), moment.saturating_add(AROUND).min(now.max(moment)));
        let step = (end.saturating_since(start) / STEPS).max(Duration::from_secs(1));
        // It looks back no further than a step needs, so that an end is an end.
        let lookback = step.max(Duration::from_secs(60)) * 2;
        let asked = (start, end, step);
        let query = r#"ALERTS{alertstate="firing"}"#;
        let found = promql::range_looking_back(query, asked, Some(lookback), source, scan);
        let found = found.map_err(|error| ApiError::internal(error.to_string()))?;
        for series in found.value {
            let own = series.labels.iter().filter(|(name, _)| !matches!(*name, "__name__" | "alertstate"));
            let labels: Labels = own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            if alert_id(&labels) == id {
                let times = series.points.iter().map(|(at, _)| *at);
                return Ok(Life { labels: Some(labels), stretches: stretches(times, step) });
            }
        }
        Ok(Life { labels: None, stretches: Vec::new() })
    }

    /// When the stretch began that the moment lies in or just before.
    fn began(&self, moment: Timestamp) -> Option<Timestamp> {
        let near = Duration::from_secs(120);
        let lies_in = |(from, to): &&(Timestamp, Timestamp)| {
            from.saturating_sub(near) <= moment && moment <= to.saturating_add(near)
        };
        let (from, _) = self.stretches.iter().find(lies_in)?;
        // A link says the beginning more exactly than steps do.
        let exact = from.saturating_since(moment).max(moment.saturating_since(*from)) < near;
        Some(if exact { moment } else { *from })
    }
}

/// Moments (in milliseconds) that lie no more than a step apart, together.
fn stretches(times: impl Iterator<Item = i64>, step: Duration) -> Vec<(Timestamp, Timestamp)> {
    let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    let mut stretches: Vec<(i64, i64)> = Vec::new();
    for at in times {
        match stretches.last_mut() {
            Some((_, to)) if at - *to <= step_ms => *to = at,
            _ => stretches.push((at, at)),
        }
    }
    let moment = |ms: i64| Timestamp::from_unix_nanos(ms.saturating_mul(1_000_000));
    stretches.into_iter().map(|(from, to)| (moment(from), moment(to))).collect()
}

fn now_json(named: &NamedAlert) -> Value {
    let alert = &named.alert;
    json!({
        "state": alert.state,
        "activeAt": alert.active_at.to_string(),
        "firedAt": alert.fired_at.map(|at| at.to_string()),
        "resolvedAt": alert.resolved_at.map(|at| at.to_string()),
        "value": Notice::of(named).value,
    })
}

fn rule_json(file: &str, group: &str, rule: &RuleSnapshot, alerting: Option<&AlertingSnapshot>) -> Value {
    json!({
        "file": file,
        "group": group,
        "name": rule.name,
        "line": rule.line,
        "query": rule.expr,
        "language": if rule.logs.is_some() { "logs" } else { "promql" },
        "windowSeconds": rule.logs.as_ref().and_then(|logs| logs.window).map(|window| window.as_secs_f64()),
        "labels": rule.labels,
        "annotations": alerting.map(|alerting| &alerting.annotations),
        "forSeconds": alerting.map(|alerting| alerting.hold.as_secs_f64()),
        "keepFiringForSeconds": alerting.map(|alerting| alerting.keep_firing.as_secs_f64()),
        "threshold": alerting.and_then(|alerting| alerting.comparison.as_ref()).map(
            |comparison| json!({ "operator": comparison.operator, "value": comparison.threshold }),
        ),
        "health": rule.health,
        "lastError": rule.last_error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_in_a_row_are_a_stretch() {
        let found = stretches([0, 1_000, 2_000, 9_000, 10_000].into_iter(), Duration::from_secs(1));
        let seconds = |at: Timestamp| at.unix_millis() / 1_000;
        let found: Vec<(i64, i64)> = found.into_iter().map(|(from, to)| (seconds(from), seconds(to))).collect();
        assert_eq!(found, [(0, 2), (9, 10)]);
    }
}
