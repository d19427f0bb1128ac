//! `/api/v1/logs/{histogram,facets,fields}`: how many records there are, when, and with which values.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use taffrail_ingest::TimeRange;
use taffrail_ingest::log_store::Filter;
use taffrail_query::log_search::Question;
use taffrail_query::time_range;

use crate::api::App;
use crate::api::parameters::Parameters;
use crate::api::question::{stop_words, summary};
use crate::api_error::ApiError;

/// Buckets that a histogram aims at when nobody says how wide they are.
const BUCKETS_AIM: u64 = 100;
/// Buckets that a histogram may have.
const BUCKETS_MAX: u64 = 10_000;
/// Values of the split field that are counted apart; the rest is `other`.
const SPLIT_VALUES_MAX: usize = 12;
/// The store's name for the values beyond the most frequent.
const STORE_OTHER: &str = "\u{0}other";
/// Values of a facet when nobody says how many.
const FACET_VALUES_DEFAULT: usize = 10;
const FACET_VALUES_MAX: usize = 1_000;
const FACET_FIELDS_MAX: usize = 30;
/// Widths that people can read off an axis, in milliseconds: 1 ms to a week.
const NICE_INTERVALS_MS: &[u64] = &[
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    172_800_000,
    604_800_000,
];

/// Answers `q`, `from`, `to`, `interval`, `by` (a field; none counts all records under the key `count`).
pub async fn histogram(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Histogram>, ApiError> {
    let filter = searched(&parameters)?;
    let range = parameters.range()?;
    let interval_ms = read_interval(parameters.get("interval"), range)?;
    let by = parameters.get("by").filter(|field| *field != "none").map(str::to_owned);
    let split = by.is_some();
    let logs = app.ingest.logs().clone();
    let (counts, scan) = app
        .questions
        .ask(move |scan| {
            logs.count_by_interval(&filter, range, interval_ms, by.as_deref(), SPLIT_VALUES_MAX, scan)
                .map_err(ApiError::from)
        })
        .await?;
    let key = |value: String| match value.as_str() {
        "" if !split => "count".to_owned(),
        STORE_OTHER => "other".to_owned(),
        _ => value,
    };
    let buckets = counts
        .buckets
        .into_iter()
        .map(|(start, values)| Bucket {
            time: start.to_string(),
            counts: Counts(values.into_iter().map(|(value, count)| (key(value), count)).collect()),
        })
        .collect();
    let summary = summary(&scan, counts.ending.stopped.map(stop_words));
    Ok(Json(Histogram { interval_ms, buckets, total: counts.total, summary }))
}

/// The answer of [`histogram`].
#[derive(Serialize)]
pub struct Histogram {
    interval_ms: u64,
    buckets: Vec<Bucket>,
    total: u64,
    summary: Value,
}

#[derive(Serialize)]
struct Bucket {
    time: String,
    counts: Counts,
}

/// Counts by value, an object in their order.
struct Counts(Vec<(String, u64)>);

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(value, count)| (value, count)))
    }
}

/// Answers `q`, `from`, `to`, `fields` (separated by commas), `limit` (values of each).
pub async fn facets(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let filter = searched(&parameters)?;
    let range = parameters.range()?;
    let mut fields = parameters.list("fields");
    if fields.is_empty() {
        fields = ["level", "service", "host"].map(str::to_owned).to_vec();
    }
    if fields.len() > FACET_FIELDS_MAX {
        return Err(ApiError::bad_request(format!(
            "`fields` names {} fields, {FACET_FIELDS_MAX} at most",
            fields.len()
        )));
    }
    let limit = parameters.count("limit", FACET_VALUES_DEFAULT, FACET_VALUES_MAX)?;
    let logs = app.ingest.logs().clone();
    let ((facets, ending), scan) = app
        .questions
        .ask(move |scan| logs.facets(&filter, range, &fields, limit, scan).map_err(ApiError::from))
        .await?;
    let facets: Vec<Value> = facets
        .into_iter()
        .map(|facet| {
            let values: Vec<Value> =
                facet.values.into_iter().map(|(value, count)| json!({ "value": value, "count": count })).collect();
            json!({ "field": facet.field, "values": values, "other": facet.other, "missing": facet.missing })
        })
        .collect();
    Ok(Json(json!({ "facets": facets, "summary": summary(&scan, ending.stopped.map(stop_words)) })))
}

/// Answers `q`, `from`, `to`: which fields matching records have.
pub async fn fields(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let filter = searched(&parameters)?;
    let range = parameters.range()?;
    let logs = app.ingest.logs().clone();
    let ((fields, ending), scan) =
        app.questions.ask(move |scan| logs.field_names(&filter, range, scan).map_err(ApiError::from)).await?;
    let fields: Vec<Value> = fields.into_iter().map(|(name, count)| json!({ "name": name, "count": count })).collect();
    Ok(Json(json!({ "fields": fields, "summary": summary(&scan, ending.stopped.map(stop_words)) })))
}

/// What is counted: the records that the question's search finds, whatever its stages make of them.
pub(super) fn searched(parameters: &Parameters) -> Result<Filter, ApiError> {
    Ok(Question::parse(parameters.get("q").unwrap_or_default())?.filter)
}

/// The bucket width asked for, or the nicest one that gives about a hundred buckets.
pub(super) fn read_interval(asked: Option<&str>, range: TimeRange) -> Result<u64, ApiError> {
    let width_ms = u64::try_from(range.end.saturating_since(range.start).as_millis()).unwrap_or(u64::MAX);
    let Some(text) = asked else {
        let aim = width_ms / BUCKETS_AIM;
        let nice = NICE_INTERVALS_MS.iter().copied().find(|interval| *interval >= aim);
        // Longer than two years: whole weeks.
        return Ok(nice.unwrap_or_else(|| aim.div_ceil(604_800_000) * 604_800_000));
    };
    let interval = time_range::parse_span(text).map_err(|why| ApiError::bad_request(format!("`interval`: {why}")))?;
    if interval < Duration::from_millis(1) {
        return Err(ApiError::bad_request("`interval` must be a millisecond at least"));
    }
    let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    if width_ms / interval_ms > BUCKETS_MAX {
        return Err(ApiError::bad_request(format!(
            "`interval` = {text} makes more than {BUCKETS_MAX} buckets of this time range; ask for a wider one"
        )));
    }
    Ok(interval_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taffrail_collector::model::Timestamp;

    #[test]
    fn the_width_of_buckets_follows_the_range() {
        let check = |seconds, expected| {
            let range = TimeRange { start: Timestamp::EPOCH, end: Timestamp::from_unix_seconds(seconds) };
            assert_eq!(read_interval(None, range).unwrap(), expected, "{seconds} s");
        };
        check(0, 1);
        check(60, 1_000);
        check(900, 10_000);
        check(3_600, 60_000);
        check(86_400, 900_000);
        check(7 * 86_400, 7_200_000);
        check(10 * 365 * 86_400, 6 * 604_800_000);
    }

    #[test]
    fn too_many_buckets_are_refused() {
        let range = TimeRange { start: Timestamp::EPOCH, end: Timestamp::from_unix_seconds(86_400) };
        assert_eq!(read_interval(Some("10s"), range).unwrap(), 10_000);
        assert!(read_interval(Some("1ms"), range).unwrap_err().message.contains("more than 10000 buckets"));
    }
    #[tokio::test]
    async fn counts_facets_and_fields_tell_of_the_same_records() {
        use crate::api::world::World;
        let world = World::shop().await;
        let range = "from=2024-11-21T07:00:00Z&to=2024-11-21T07:00:10Z";
        let histogram = world.get(&format!("/api/v1/logs/histogram?{range}&interval=5s&by=level")).await;
        assert_eq!(histogram["interval_ms"], 5_000);
        assert_eq!(histogram["total"], 10);
        assert_eq!(histogram["buckets"][0]["time"], "2024-11-21T07:00:00.000Z");
        assert_eq!(histogram["buckets"][0]["counts"], json!({"info": 3, "error": 2}));
        let whole = world.get(&format!("/api/v1/logs/histogram?{range}&interval=1m&q=level:error")).await;
        assert_eq!(whole["buckets"], json!([{"time": "2024-11-21T07:00:00.000Z", "counts": {"count": 4}}]));

        let facets = world.get(&format!("/api/v1/logs/facets?{range}&fields=level,n&limit=1")).await;
        assert_eq!(facets["facets"][0]["values"], json!([{"value": "info", "count": 6}]));
        assert_eq!(facets["facets"][0]["other"], 4);
        assert_eq!((&facets["facets"][1]["field"], &facets["facets"][1]["other"]), (&json!("n"), &json!(9)));

        let fields = world.get(&format!("/api/v1/logs/fields?{range}&q=service:db")).await;
        let count_of = |name: &str| {
            let fields = fields["fields"].as_array().unwrap();
            fields.iter().find(|field| field["name"] == name).map(|field| field["count"].clone())
        };
        assert_eq!(count_of("n"), Some(json!(5)));
        assert_eq!(fields["summary"]["partial"], false);
    }
}
