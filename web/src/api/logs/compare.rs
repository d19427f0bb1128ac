//! `/api/v1/logs/compare`: what differs between two stretches of time: patterns that came, went, grew or shrank, and values
//! of fields whose share did.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::log_store::{Facet, Filter, LogStore, PatternCounts, PatternQuestion};
use taffrail_ingest::{Scan, StopReason, TimeRange};
use taffrail_query::log_search::difference::{self, PatternDifference, ValueDifference};
use taffrail_query::log_search::pattern_change::Stretch;

use super::counts::searched;
use super::patterns::example;
use crate::api::App;
use crate::api::parameters::Parameters;
use crate::api::question::{stop_words, summary};
use crate::api_error::ApiError;

/// Patterns, and values of a field, in an answer when nobody says how many, and at most.
const LIMIT: (usize, usize) = (50, 1_000);
/// Fields whose values are compared: those that most records have.
const FIELDS_MAX: usize = 30;
/// Values of a field that are counted on each side.
const VALUES_COUNTED: usize = 1_000;
/// Fields that are no news in themselves: each record has its own, or patterns tell of them better.
const FIELDS_LEFT_OUT: &[&str] = &["time", "message", "trace_id", "span_id"];

/// Answers `q`, `before_from`, `before_to`, `after_from`, `after_to` and `limit`.
pub async fn compare(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let (before, after) = parameters.two_ranges()?;
    let filter = searched(&parameters)?;
    let limit = parameters.count("limit", LIMIT.0, LIMIT.1)?;
    let patterns_max = app.questions.settings().patterns_max;
    let logs = app.ingest.logs().clone();
    let (answer, scan) = app
        .questions
        .ask(move |scan| {
            let mut stopped = None;
            let sides = [before, after].map(|range| Side::read(&logs, &filter, range, patterns_max, scan));
            let [before, after] = sides;
            let (before, after) = (before?, after?);
            let differing = difference::patterns(
                (&before.patterns.patterns, before.seconds()),
                (&after.patterns.patterns, after.seconds()),
            );
            let patterns_total = differing.len();
            let patterns: Vec<Value> =
                differing.iter().take(limit).map(|one| shown_pattern(one, example(&logs, one.pattern, scan))).collect();
            let fields = fields(&logs, &filter, [&before, &after], limit, scan, &mut stopped)?;
            let stopped = before.stopped.or(after.stopped).or(stopped).map(|reason| stop_words(reason).to_owned());
            let other = before.patterns.other + after.patterns.other;
            let limited = (other > 0)
                .then(|| format!("query.patterns_max = {patterns_max}: {other} records have further patterns"));
            let answer = json!({
                "before": before.shown(),
                "after": after.shown(),
                "patterns": patterns,
                "patterns_total": patterns_total,
                "fields": fields,
            });
            Ok::<_, ApiError>((answer, stopped.or(limited)))
        })
        .await?;
    let (mut answer, stopped) = answer;
    answer["summary"] = summary(&scan, stopped.as_deref());
    Ok(Json(answer))
}

/// One stretch of time and what is in it.
struct Side {
    range: TimeRange,
    patterns: PatternCounts,
    fields: Vec<(String, u64)>,
    stopped: Option<StopReason>,
}

impl Side {
    fn read(
        logs: &LogStore,
        filter: &Filter,
        range: TimeRange,
        patterns_max: usize,
        scan: &Scan,
    ) -> Result<Side, ApiError> {
        // One step over all: when exactly within its side a record came says nothing here.
        let step = range.end.saturating_since(range.start);
        let question = PatternQuestion { origin: range.start, step: step.max(MILLISECOND), patterns_max };
        let patterns = logs.patterns(filter, range, question, scan)?;
        let (fields, ending) = logs.field_names(filter, range, scan)?;
        let stopped = patterns.ending.stopped.or(ending.stopped);
        Ok(Side { range, patterns, fields, stopped })
    }

    fn seconds(&self) -> f64 {
        self.range.end.saturating_since(self.range.start).as_secs_f64()
    }

    fn shown(&self) -> Value {
        json!({
            "from": self.range.start.to_string(),
            "to": self.range.end.to_string(),
            "seconds": self.seconds(),
            "total": self.patterns.total,
        })
    }
}

const MILLISECOND: std::time::Duration = std::time::Duration::from_millis(1);

/// Fields with the values whose share differs, the field that differs most first.
fn fields(
    logs: &LogStore,
    filter: &Filter,
    [before, after]: [&Side; 2],
    limit: usize,
    scan: &Scan,
    stopped: &mut Option<StopReason>,
) -> Result<Vec<Value>, ApiError> {
    let names = common_fields(&before.fields, &after.fields);
    let mut facets = |side: &Side| -> Result<Vec<Facet>, ApiError> {
        let (facets, ending) = logs.facets(filter, side.range, &names, VALUES_COUNTED, scan)?;
        *stopped = stopped.or(ending.stopped);
        Ok(facets)
    };
    let (earlier, later) = (facets(before)?, facets(after)?);
    let mut differing: Vec<(String, Vec<ValueDifference>)> = earlier
        .iter()
        .zip(&later)
        .map(|(earlier, later)| {
            let values = difference::values((earlier, before.patterns.total), (later, after.patterns.total));
            (earlier.field.clone(), values)
        })
        .filter(|(_, values)| !values.is_empty())
        .collect();
    let most = |values: &[ValueDifference]| values.first().map_or(0.0, |value| value.score.abs());
    differing.sort_by(|(_, a), (_, b)| most(b).total_cmp(&most(a)));
    let share = |count: u64, side: &Side| {
        let total = side.patterns.total;
        if total == 0 { 0.0 } else { count as f64 / total as f64 }
    };
    let shown = differing.into_iter().map(|(field, values)| {
        let values_total = values.len();
        let values = values.into_iter().take(limit).map(|value| {
            json!({
                "value": value.value,
                "change": value.change.name(),
                "score": rounded(value.score),
                "before": { "count": value.before, "share": share(value.before, before) },
                "after": { "count": value.after, "share": share(value.after, after) },
            })
        });
        json!({ "field": field, "values": values.collect::<Vec<_>>(), "values_total": values_total })
    });
    Ok(shown.collect())
}

/// The fields that most records of either side have.
fn common_fields(before: &[(String, u64)], after: &[(String, u64)]) -> Vec<String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in before.iter().chain(after) {
        if !FIELDS_LEFT_OUT.contains(&name.as_str()) {
            *counts.entry(name).or_default() += count;
        }
    }
    let mut names: Vec<(&str, u64)> = counts.into_iter().collect();
    names.sort_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
    names.into_iter().take(FIELDS_MAX).map(|(name, _)| name.to_owned()).collect()
}

fn shown_pattern(one: &PatternDifference, example: Value) -> Value {
    let stretch = |side: &Stretch| json!({ "count": side.count, "rate": side.rate() });
    let last: Timestamp = one.pattern.last.time;
    json!({
        "id": one.pattern.id.to_string(),
        "pattern": one.pattern.pattern.shown(),
        "level": one.pattern.severities.last().map_or("", |(severity, _)| severity.name()),
        "change": one.change.name(),
        "score": rounded(one.score),
        "before": stretch(&one.before),
        "after": stretch(&one.after),
        "last_seen": last.to_string(),
        "example": example,
    })
}

fn rounded(score: f64) -> f64 {
    (score * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::{START, World, record};
    use taffrail_collector::model::{Batch, Resource};

    #[tokio::test]
    async fn two_stretches_differ_in_patterns_and_in_shares() {
        let world = World::empty().await;
        let say = |second: i64, text: &str, host: &str| {
            let mut record = record(second);
            record.body = text.to_owned();
            record.resource = Arc::new(Resource { host: host.into(), service: "web".into(), attributes: Vec::new() });
            record
        };
        let mut logs = Vec::new();
        for second in 0..100 {
            logs.push(say(second, &format!("always {second}"), "h1"));
            // Ten seconds in between belong to neither side.
            match second {
                0..45 => logs.push(say(second, "the old way", "h1")),
                45..55 => logs.push(say(second, "neither here nor there", "h9")),
                _ => (0..3).for_each(|_| logs.push(say(second, "the new way", "h2"))),
            }
        }
        world.deliver(Batch { logs, ..Batch::local() }).await;
        let ranges = format!(
            "before_from={}&before_to={}&after_from={}&after_to={}",
            START,
            START + 45,
            START + 55,
            START + 100
        );
        let answer = world.get(&format!("/api/v1/logs/compare?{ranges}")).await;
        let patterns: Vec<(&str, &str)> = answer["patterns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["pattern"].as_str().unwrap(), one["change"].as_str().unwrap()))
            .collect();
        assert_eq!(patterns, [("the new way", "new"), ("the old way", "gone")]);
        assert_eq!(answer["patterns"][0]["after"], json!({ "count": 135, "rate": 3.0 }));
        assert_eq!(answer["patterns"][0]["example"]["message"], "the new way");
        assert_eq!((&answer["before"]["total"], &answer["after"]["total"]), (&json!(90), &json!(180)));
        let host = answer["fields"].as_array().unwrap().iter().find(|field| field["field"] == "host").unwrap();
        let changes: Vec<(&str, &str)> = host["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["value"].as_str().unwrap(), one["change"].as_str().unwrap()))
            .collect();
        assert_eq!(changes, [("h2", "new"), ("h1", "shrunk")]);
        assert!(answer["fields"].as_array().unwrap().iter().all(|field| field["field"] != "service"), "{answer}");
        assert_eq!(answer["summary"]["partial"], false);

        let filtered = world.get(&format!("/api/v1/logs/compare?{ranges}&q=always")).await;
        assert_eq!((&filtered["patterns"], &filtered["fields"]), (&json!([]), &json!([])));
    }

    #[tokio::test]
    async fn a_comparison_needs_two_stretches() {
        let world = World::empty().await;
        let check = async |parameters: &str, expected: &str| {
            let (status, text) = world.text(&format!("/api/v1/logs/compare?{parameters}")).await;
            assert_eq!(status, 400, "{parameters}: {text}");
            assert!(text.contains(expected), "{parameters}: {text}");
        };
        check("", "`before_from` is missing").await;
        check("before_from=now-2h&before_to=now-1h", "`after_from` is missing").await;
        check("before_from=x&before_to=now&after_from=now-1h&after_to=now", "`before_from` and `before_to`").await;
    }
}
