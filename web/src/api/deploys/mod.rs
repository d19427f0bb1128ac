//! `/api/v1/deploys/{id}`: what a deploy changed, by what was before and after it, or by what its canary does and the rest does not:
//! error rates by service, error groups, patterns of messages and percentiles of timers.

mod sides;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::catalog::annotations::{Annotation, AnnotationQuestion, DEPLOY};
use taffrail_ingest::{Scan, TimeRange};
use taffrail_query::log_search::pattern_change::{Change, Stretch};
use taffrail_query::time_range;

use super::App;
use super::annotations::{find, in_catalog};
use super::parameters::Parameters;
use super::question::{stop_words, summary};
use crate::api_error::ApiError;
use sides::{Both, Comparison, Side};

/// How long the sides are at most when nobody says it.
const WINDOW_DEFAULT: Duration = Duration::from_secs(3_600);
/// Patterns and timers in an answer.
const SHOWN_MAX: usize = 30;
/// A timer is slower when its 95th percentile grew by this factor …
const SLOWER: f64 = 1.25;
/// … and so many observations are on either side.
const OBSERVATIONS_MIN: f64 = 20.0;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/deploys/{id}", get(changed))
}

/// Answers `window` (how long each side is), and `canary` (`version:1.2.3`, `host:web-1`: what it does and the rest does not).
async fn changed(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    let deploy = find(&app, id.clone()).await?;
    if deploy.kind != DEPLOY {
        return Err(ApiError::bad_request(format!("the annotation `{id}` is of kind {}, not {DEPLOY}", deploy.kind)));
    }
    let window = parameters.get("window").map(time_range::parse_span).transpose();
    let window = window.map_err(|why| ApiError::bad_request(format!("`window`: {why}")))?;
    let canary = parameters.get("canary").map(read_canary).transpose()?;
    let now = Timestamp::now();
    let next = next_deploy(&app, &deploy).await?;
    let (before, after) = ranges(deploy.time, next, now, window);
    if after.start >= after.end {
        return Err(ApiError::bad_request(format!("the deploy ({}) is still to come", deploy.time)));
    }
    let both = match &canary {
        None => Both { before: Side::of(&deploy.service, before, None), after: Side::of(&deploy.service, after, None) },
        Some((field, value)) => Both {
            before: Side::of(&deploy.service, after, Some((field, value, false))),
            after: Side::of(&deploy.service, after, Some((field, value, true))),
        },
    };
    let by_records = canary.is_some();
    let (logs, series) = (app.ingest.logs().clone(), app.ingest.series().clone());
    let patterns_max = app.questions.settings().patterns_max;
    let work = move |scan: &Scan| Comparison::ask(&both, &logs, &series, patterns_max, scan);
    let (found, scan) = app.questions.ask(work).await?;

    let seconds = |range: TimeRange| range.end.saturating_since(range.start).as_secs_f64();
    let exposure = if by_records { found.records() } else { (seconds(before), seconds(after)) };
    let mut worse = Vec::new();
    let services = services(&found, exposure, by_records, &mut worse);
    let errors = errors(&app, &found, exposure, &mut worse);
    let patterns = patterns(&found, exposure);
    let timers = timers(&found, &mut worse);
    let side = |range: TimeRange| json!({ "from": range.start.to_string(), "to": range.end.to_string() });
    Ok(Json(json!({
        "deploy": deploy,
        "canary": canary.map(|(field, value)| json!({ "field": field, "value": value })),
        "before": side(if by_records { after } else { before }),
        "after": side(after),
        "worse": worse,
        "services": services,
        "errors": errors,
        "patterns": patterns,
        "timers": timers,
        "summary": summary(&scan, found.stopped.map(stop_words)),
    })))
}

/// The time before and after, as long as each other: until the next deploy, now, or the window's end.
fn ranges(
    deploy: Timestamp,
    next: Option<Timestamp>,
    now: Timestamp,
    window: Option<Duration>,
) -> (TimeRange, TimeRange) {
    let end = next.unwrap_or(now).min(now);
    let end = end.min(deploy.saturating_add(window.unwrap_or(WINDOW_DEFAULT)));
    let length = end.saturating_since(deploy);
    // A minute after a deploy the hour before it still says more than the minute before.
    let before = length.max(window.unwrap_or(WINDOW_DEFAULT));
    let before = TimeRange { start: deploy.saturating_sub(before), end: deploy };
    (before, TimeRange { start: deploy, end })
}

/// When the next deploy of the same service was.
async fn next_deploy(app: &App, deploy: &Annotation) -> Result<Option<Timestamp>, ApiError> {
    let range = TimeRange { start: deploy.time.saturating_add(Duration::from_nanos(1)), end: Timestamp::MAX };
    let services = if deploy.service.is_empty() { Vec::new() } else { vec![deploy.service.clone()] };
    let wanted = AnnotationQuestion { range, kinds: vec![DEPLOY.to_owned()], services, limit: 100_000 };
    let (later, _) = in_catalog(app, move |catalog| catalog.annotations(&wanted)).await?;
    Ok(later.into_iter().map(|one| one.time).find(|time| *time > deploy.time))
}

fn read_canary(text: &str) -> Result<(String, String), ApiError> {
    let (field, value) = text.split_once([':', '=']).unwrap_or((text, ""));
    if field.is_empty() || value.is_empty() {
        return Err(ApiError::bad_request(format!("`canary` is a field and its value (version:1.2.3), not `{text}`")));
    }
    Ok((field.to_owned(), value.to_owned()))
}

/// What changed in a count, as JSON.
fn change((before, after): (u64, u64), exposure: (f64, f64)) -> (Change, f64, Value) {
    let before = Stretch { count: before, seconds: exposure.0 };
    let after = Stretch { count: after, seconds: exposure.1 };
    let (change, score) = Change::between(before, after);
    let told = json!({
        "change": change.name(),
        "score": (score * 100.0).round() / 100.0,
        "before": { "count": before.count, "rate": before.rate() },
        "after": { "count": after.count, "rate": after.rate() },
    });
    (change, score, told)
}

/// Records and errors of each service: how large the share of errors is.
fn services(found: &Comparison, exposure: (f64, f64), by_records: bool, worse: &mut Vec<String>) -> Vec<Value> {
    let mut told: Vec<(f64, Value)> = Vec::new();
    for (service, counts) in &found.services {
        // Of a canary the errors are held against its records, as it has fewer of both.
        let of_records = (counts.records.0 as f64, counts.records.1 as f64);
        let (change, score, mut one) = change(counts.errors, if by_records { of_records } else { exposure });
        let share = |errors: u64, records: u64| if records == 0 { 0.0 } else { errors as f64 / records as f64 };
        one["service"] = service.as_str().into();
        one["records"] = json!({ "before": counts.records.0, "after": counts.records.1 });
        one["error_share"] = json!({
            "before": share(counts.errors.0, counts.records.0),
            "after": share(counts.errors.1, counts.records.1),
        });
        if change == Change::Grown || change == Change::New && counts.errors.1 > 2 {
            let name = if service.is_empty() { "all" } else { service };
            worse.push(format!("errors of {name}: {} before, {} after", counts.errors.0, counts.errors.1));
        }
        told.push((score, one));
    }
    told.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    told.into_iter().map(|(_, one)| one).take(SHOWN_MAX).collect()
}

/// Error groups that came, went, grew or shrank, the most striking first.
fn errors(app: &App, found: &Comparison, exposure: (f64, f64), worse: &mut Vec<String>) -> Vec<Value> {
    let now = Timestamp::now();
    let mut told: Vec<(f64, Value)> = Vec::new();
    let mut new = 0;
    for (id, counts) in &found.errors {
        let (change, score, of_change) = change(*counts, exposure);
        if change == Change::Steady {
            continue;
        }
        let group = app.watch.with(|watcher| watcher.groups.group(id).cloned()).unwrap_or_default();
        let mut one = Value::Object(super::errors::known(id, &group, now));
        merge(&mut one, of_change);
        new += usize::from(change == Change::New);
        told.push((score, one));
    }
    if new > 0 {
        let (groups, were) = if new == 1 { ("group", "was") } else { ("groups", "were") };
        worse.push(format!("{new} error {groups} that {were} not there before"));
    }
    told.sort_by(|a, b| b.0.total_cmp(&a.0));
    told.into_iter().map(|(_, one)| one).take(SHOWN_MAX).collect()
}

/// Patterns that are new or grew, the most striking first.
fn patterns(found: &Comparison, exposure: (f64, f64)) -> Vec<Value> {
    let mut told: Vec<(f64, Value)> = Vec::new();
    for (id, pattern) in &found.patterns {
        let (change, score, mut one) = change(pattern.counts, exposure);
        if matches!(change, Change::New | Change::Grown) {
            one["id"] = id.to_string().into();
            one["pattern"] = pattern.text.as_str().into();
            one["level"] = pattern.level.into();
            told.push((score, one));
        }
    }
    told.sort_by(|a, b| b.0.total_cmp(&a.0));
    told.into_iter().map(|(_, one)| one).take(SHOWN_MAX).collect()
}

/// Percentiles of timers, those that slowed down most first.
fn timers(found: &Comparison, worse: &mut Vec<String>) -> Vec<Value> {
    let mut told: Vec<(f64, Value)> = Vec::new();
    for (name, timer) in &found.timers {
        let side = |of: &taffrail_collector::model::Distribution| json!({ "count": of.count, "p50": of.quantile(0.5), "p95": of.quantile(0.95), "p99": of.quantile(0.99) });
        let p95 = (timer.before.quantile(0.95), timer.after.quantile(0.95));
        let ratio = match p95 {
            (Some(before), Some(after)) if before > 0.0 => Some(after / before),
            _ => None,
        };
        let is_surely = timer.before.count >= OBSERVATIONS_MIN && timer.after.count >= OBSERVATIONS_MIN;
        if let (Some(ratio), true, (Some(before), Some(after))) = (ratio, is_surely, p95)
            && ratio >= SLOWER
        {
            worse.push(format!("p95 of {name}: {before:.1} {0} before, {after:.1} {0} after", timer.unit));
        }
        let one = json!({
            "metric": name, "unit": timer.unit, "ratio": ratio,
            "before": side(&timer.before), "after": side(&timer.after),
        });
        told.push((ratio.map_or(0.0, |ratio| ratio.max(1.0 / ratio)), one));
    }
    told.sort_by(|a, b| b.0.total_cmp(&a.0));
    told.into_iter().map(|(_, one)| one).take(SHOWN_MAX).collect()
}

fn merge(into: &mut Value, other: Value) {
    if let (Value::Object(into), Value::Object(other)) = (into, other) {
        into.extend(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sides_reach_to_the_next_deploy_or_now() {
        let at = Timestamp::from_unix_seconds;
        let check = |next: Option<i64>, now: i64, window: Option<u64>, expected: (i64, i64)| {
            let (before, after) = ranges(at(10_000), next.map(at), at(now), window.map(Duration::from_secs));
            assert_eq!((before.end, after.start), (at(10_000), at(10_000)));
            assert_eq!((before.start, after.end), (at(expected.0), at(expected.1)));
        };
        check(None, 10_060, None, (6_400, 10_060));
        check(None, 99_999, None, (6_400, 13_600));
        check(Some(10_600), 99_999, None, (6_400, 10_600));
        check(None, 99_999, Some(60), (9_940, 10_060));
        assert!(read_canary("version").is_err() && read_canary(":x").is_err());
        assert_eq!(read_canary("version:1:2").unwrap(), ("version".into(), "1:2".into()));
    }
}
