//! `/api/v1/hosts`: every host that sends log records or metrics, when each was last heard of, and which have gone silent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::series_store::{FirstValues, LabelMatcher, LabelRegex, LabelTest};
use taffrail_ingest::{Scan, TimeRange};
use taffrail_query::time_range;

use super::App;
use super::parameters::Parameters;
use super::question::summary;
use crate::api_error::ApiError;
use crate::watch::hosts::Seen;

/// Hosts in an answer when nobody says how many, and at most.
const LIMIT: (usize, usize) = (1_000, 20_000);
/// A host that was not heard of for so long is silent.
const SILENT_AFTER: Duration = Duration::from_secs(300);
/// Metrics are looked for in so many minutes before now, by rising age: what is found is known to be no older.
const METRIC_AGES_MINUTES: [u64; 6] = [1, 5, 15, 60, 360, 1_440];

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/hosts", get(hosts))
}

#[derive(Default)]
struct Host {
    logs: Option<Seen>,
    /// Metrics of the host are no older than so many seconds.
    metrics_seconds: Option<u64>,
}

/// Answers `search` (a part of the name), `silent_after` (a span) and `limit`; the silent ones stand first.
async fn hosts(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let now = Timestamp::now();
    let part = parameters.get("search").unwrap_or_default().to_lowercase();
    let limit = parameters.count("limit", LIMIT.0, LIMIT.1)?;
    let silent_after = parameters.get("silent_after").map(time_range::parse_span).transpose();
    let silent_after = silent_after.map_err(|why| ApiError::bad_request(format!("`silent_after`: {why}")))?;
    let silent_after = silent_after.unwrap_or(SILENT_AFTER);
    let mut hosts: BTreeMap<String, Host> = BTreeMap::new();
    app.watch.with(|watcher| {
        for (name, seen) in watcher.hosts.all() {
            hosts.entry(name.to_owned()).or_default().logs = Some(seen);
        }
    });
    let series = app.ingest.series().clone();
    let work = move |scan: &Scan| {
        // What the server itself says of a host is nothing that the host said.
        let is_ours = LabelRegex(Arc::new(|name: &str| name.starts_with("taffrail.")));
        let said = [LabelMatcher { name: "__name__".to_owned(), test: LabelTest::NotMatches(is_ours) }];
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        for minutes in METRIC_AGES_MINUTES {
            let age = Duration::from_secs(60 * minutes);
            let range = TimeRange { start: now.saturating_sub(age), end: now.saturating_add(Duration::from_secs(60)) };
            let mut names = FirstValues::new(LIMIT.1);
            series
                .label_values("host", &said, range, |_| true, scan, &mut names)
                .map_err(|error| ApiError::internal(error.to_string()))?;
            for name in names.into_set().into_iter().filter(|name| !name.is_empty()) {
                found.entry(name).or_insert(age.as_secs());
            }
        }
        Ok::<_, ApiError>(found)
    };
    let (metrics, scan) = app.questions.ask(work).await?;
    for (name, seconds) in metrics {
        hosts.entry(name).or_default().metrics_seconds = Some(seconds);
    }
    let mut told: Vec<(bool, u64, Value)> = hosts
        .into_iter()
        .filter(|(name, _)| name.to_lowercase().contains(&part))
        .map(|(name, host)| told(&name, &host, now, silent_after))
        .collect();
    told.sort_by_key(|(is_silent, seconds, _)| (!is_silent, std::cmp::Reverse(*seconds)));
    let (total, silent) = (told.len(), told.iter().filter(|(is_silent, _, _)| *is_silent).count());
    let hosts: Vec<Value> = told.into_iter().take(limit).map(|(_, _, host)| host).collect();
    Ok(Json(json!({ "hosts": hosts, "total": total, "silent": silent, "summary": summary(&scan, None) })))
}

fn told(name: &str, host: &Host, now: Timestamp, silent_after: Duration) -> (bool, u64, Value) {
    let of_logs = host.logs.map(|seen| now.saturating_since(Timestamp::from_unix_nanos(seen.logs)).as_secs());
    let seconds = [of_logs, host.metrics_seconds].into_iter().flatten().min().unwrap_or(0);
    let is_silent = seconds > silent_after.as_secs();
    let value = json!({
        "host": name,
        "state": if is_silent { "silent" } else { "ok" },
        "silent_seconds": seconds,
        "logs_last_seen": host.logs.map(|seen| Timestamp::from_unix_nanos(seen.logs).to_string()),
        "log_records": host.logs.map_or(0, |seen| seen.records),
        "metrics_seen_within_seconds": host.metrics_seconds,
    });
    (is_silent, seconds, value)
}

#[cfg(test)]
mod tests {
    use taffrail_collector::model::Batch;

    use super::*;
    use crate::api::world::{World, record};

    #[test]
    fn a_host_is_silent_when_neither_logs_nor_metrics_came() {
        let now = Timestamp::from_unix_seconds(10_000);
        let check = |logs: Option<i64>, metrics_seconds: Option<u64>, expected: (bool, u64)| {
            let logs = logs.map(|second| Seen { logs: second * 1_000_000_000, records: 1 });
            let (is_silent, seconds, _) = told("h", &Host { logs, metrics_seconds }, now, SILENT_AFTER);
            assert_eq!((is_silent, seconds), expected);
        };
        check(Some(9_990), None, (false, 10));
        check(Some(9_000), None, (true, 1_000));
        check(Some(9_000), Some(60), (false, 60));
        check(None, Some(3_600), (true, 3_600));
    }

    #[tokio::test]
    async fn hosts_are_listed_with_when_they_were_heard() {
        let world = World::empty().await;
        world.app.watch.start(world.app.ingest.clone(), world.app.stopping.clone());
        world.deliver(Batch { logs: (0..10).map(record).collect(), ..Batch::local() }).await;
        let mut answer = Value::Null;
        for _ in 0..600 {
            answer = world.get("/api/v1/hosts?search=H").await;
            if answer["hosts"][0]["log_records"] == 10 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let host = &answer["hosts"][0];
        assert_eq!((&host["host"], &host["state"], &host["log_records"]), (&json!("h1"), &json!("ok"), &json!(10)));
        assert_eq!(world.get("/api/v1/hosts?search=zz").await["total"], 0);
    }
}
