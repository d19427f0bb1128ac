//! `/api/v1/logs/patterns`: like messages as one, with how many there are and when; and what a moment (a deploy) changed.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::log_store::{Filter, LogStore, Pattern, PatternCount, PatternId, PatternQuestion};
use taffrail_ingest::{Scan, TimeRange};
use taffrail_query::log_search;
use taffrail_query::log_search::pattern_change::{Change, Stretch};
use taffrail_query::time_range;

use super::counts::{read_interval, searched};
use crate::api::App;
use crate::api::parameters::Parameters;
use crate::api::question::{stop_words, summary};
use crate::api::record_json::record_id_text;
use crate::api_error::ApiError;

/// Patterns in an answer when nobody says how many.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;
/// Steps of a trend.
const STEPS_MAX: u64 = 1_000;
/// So much of a message is shown as a pattern's example, in bytes.
const EXAMPLE_BYTES_MAX: usize = 2_000;
/// Services that are named with a pattern.
const SERVICES_SHOWN_MAX: usize = 20;
/// When nobody says how far back the time before a moment reaches, it is as long as that after it, and an hour at least.
const BEFORE_MIN: Duration = Duration::from_secs(3_600);

/// Answers `q`, `from`, `to`, `interval`, `limit`, `sort` and `since`.
pub async fn patterns(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let patterns_max = app.questions.settings().patterns_max;
    let asked = Asked::read(&parameters, patterns_max)?;
    let logs = app.ingest.logs().clone();
    let ((found, sides, examples, asked), scan) = app
        .questions
        .ask(move |scan| {
            let mut found = logs.patterns(&asked.filter, asked.range, asked.question, scan)?;
            let sides = asked.arrange(&mut found.patterns);
            let total = found.patterns.len();
            found.patterns.truncate(asked.limit);
            let examples = found.patterns.iter().map(|pattern| example(&logs, pattern, scan)).collect::<Vec<_>>();
            Ok::<_, ApiError>(((found, total), sides, examples, asked))
        })
        .await?;
    let (found, patterns_total) = found;
    let shown: Vec<Value> =
        found.patterns.iter().zip(examples).map(|(pattern, example)| asked.shown(pattern, example, &sides)).collect();
    let stopped = match (found.ending.stopped, found.other) {
        (Some(reason), _) => Some(stop_words(reason).to_owned()),
        (None, 0) => None,
        (None, other) => Some(format!("query.patterns_max = {patterns_max}: {other} records have further patterns")),
    };
    let mut answer = json!({
        "patterns": shown,
        "patterns_total": patterns_total,
        "total": found.total,
        "other": found.other,
        "trend": { "start": asked.steps().0.to_string(), "interval_ms": asked.question.step.as_millis() as u64 },
        "summary": summary(&scan, stopped.as_deref()),
    });
    if let Some((since, before, after)) = asked.sides() {
        answer["since"] = json!({ "time": since.to_string(), "seconds_before": before, "seconds_after": after });
    }
    Ok(Json(answer))
}

/// Answers `text`: the pattern that a message of this text has, whether or not there is one in the store.
pub async fn pattern_of(parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let pattern = Pattern::of(parameters.required("text")?);
    Ok(Json(json!({ "id": pattern.id().to_string(), "pattern": pattern.shown() })))
}

/// In which order patterns stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Count,
    Rare,
    FirstSeen,
    LastSeen,
    Score,
}

struct Asked {
    filter: Filter,
    range: TimeRange,
    question: PatternQuestion,
    limit: usize,
    sort: Sort,
    since: Option<Timestamp>,
}

/// What changed in each pattern.
type Sides = BTreeMap<PatternId, (Change, f64, Stretch, Stretch)>;

impl Asked {
    fn read(parameters: &Parameters, patterns_max: usize) -> Result<Asked, ApiError> {
        let now = Timestamp::now();
        let moment = |name: &str| {
            let text = parameters.get(name);
            text.map(|text| time_range::parse_moment(text, now))
                .transpose()
                .map_err(|why| ApiError::bad_request(format!("`{name}`: {why}")))
        };
        let since = moment("since")?;
        let range = match since {
            None => parameters.range()?,
            Some(since) => {
                let end = moment("to")?.unwrap_or(now);
                let before = end.saturating_since(since).max(BEFORE_MIN);
                let start = moment("from")?.unwrap_or_else(|| since.saturating_sub(before));
                if !(start < since && since < end) {
                    return Err(ApiError::bad_request("`since` must lie between `from` and `to`"));
                }
                TimeRange { start, end }
            }
        };
        let sort = match (parameters.get("sort"), since) {
            (None, None) | (Some("count"), _) => Sort::Count,
            (None | Some("score"), Some(_)) => Sort::Score,
            (Some("rare"), _) => Sort::Rare,
            (Some("first_seen"), _) => Sort::FirstSeen,
            (Some("last_seen"), _) => Sort::LastSeen,
            (Some("score"), None) => return Err(ApiError::bad_request("`sort` = score needs `since`")),
            (Some(other), _) => {
                return Err(ApiError::bad_request(format!(
                    "`sort` is count, rare, first_seen, last_seen or, with `since`, score; not `{other}`"
                )));
            }
        };
        let interval_ms = read_interval(parameters.get("interval"), range)?;
        let width_ms = u64::try_from(range.end.saturating_since(range.start).as_millis()).unwrap_or(u64::MAX);
        if width_ms / interval_ms > STEPS_MAX {
            return Err(ApiError::bad_request(format!(
                "`interval` makes more than {STEPS_MAX} steps of this time range; ask for a wider one"
            )));
        }
        let origin = since.unwrap_or(Timestamp::EPOCH);
        Ok(Asked {
            filter: searched(parameters)?,
            range,
            question: PatternQuestion { origin, step: Duration::from_millis(interval_ms), patterns_max },
            limit: parameters.count("limit", LIMIT_DEFAULT, LIMIT_MAX)?,
            sort,
            since,
        })
    }

    /// The moment, and how many seconds lie before and after it.
    fn sides(&self) -> Option<(Timestamp, f64, f64)> {
        let since = self.since?;
        let seconds = |from: Timestamp, to: Timestamp| to.saturating_since(from).as_secs_f64();
        Some((since, seconds(self.range.start, since), seconds(since, self.range.end)))
    }

    /// When the first step of the range starts, its number and how many there are.
    fn steps(&self) -> (Timestamp, i64, usize) {
        let first = self.question.step_of(self.range.start);
        let last = self.question.step_of(self.range.end.saturating_sub(Duration::from_nanos(1)));
        (self.question.start_of(first), first, usize::try_from(last - first + 1).unwrap_or(0))
    }

    /// Puts the patterns in order, and says what changed in each.
    fn arrange(&self, patterns: &mut [PatternCount]) -> Sides {
        let mut changes = Sides::new();
        if let Some((_, before, after)) = self.sides() {
            for pattern in patterns.iter() {
                let count = |is_after: bool| {
                    let steps = pattern.trend.iter().filter(|(step, _)| (*step >= 0) == is_after);
                    steps.map(|(_, count)| count).sum()
                };
                let before = Stretch { count: count(false), seconds: before };
                let after = Stretch { count: count(true), seconds: after };
                let (change, score) = Change::between(before, after);
                changes.insert(pattern.id, (change, score, before, after));
            }
        }
        // The store gives the commonest first, and of equals that order stays.
        match self.sort {
            Sort::Count => {}
            Sort::Rare => patterns.sort_by_key(|pattern| pattern.count),
            Sort::FirstSeen => patterns.sort_by_key(|pattern| Reverse(pattern.first)),
            Sort::LastSeen => patterns.sort_by_key(|pattern| Reverse(pattern.last)),
            Sort::Score => {
                let score = |pattern: &PatternCount| changes.get(&pattern.id).map_or(0.0, |side| side.1.abs());
                patterns.sort_by(|a, b| score(b).total_cmp(&score(a)));
            }
        }
        changes
    }

    fn shown(&self, pattern: &PatternCount, example: Value, sides: &Sides) -> Value {
        let (_, first, steps) = self.steps();
        let mut trend = vec![0; steps];
        for (step, count) in &pattern.trend {
            if let Some(sum) = usize::try_from(step - first).ok().and_then(|at| trend.get_mut(at)) {
                *sum += count;
            }
        }
        let mut levels = Map::new();
        for (severity, count) in &pattern.severities {
            let before = levels.get(severity.name()).and_then(Value::as_u64).unwrap_or(0);
            levels.insert(severity.name().to_owned(), (before + count).into());
        }
        let services = pattern.services.iter().take(SERVICES_SHOWN_MAX);
        let services: Vec<Value> =
            services.map(|(service, count)| json!({ "value": service, "count": count })).collect();
        let mut shown = json!({
            "id": pattern.id.to_string(),
            "pattern": pattern.pattern.shown(),
            "count": pattern.count,
            "level": pattern.severities.last().map_or("", |(severity, _)| severity.name()),
            "levels": levels,
            "services": services,
            "services_total": pattern.services.len(),
            "first_seen": pattern.first.time.to_string(),
            "last_seen": pattern.last.time.to_string(),
            "example": example,
            "trend": trend,
        });
        if let Some((change, score, before, after)) = sides.get(&pattern.id) {
            let stretch = |side: &Stretch| json!({ "count": side.count, "rate": side.rate() });
            shown["change"] = change.name().into();
            shown["score"] = ((score * 100.0).round() / 100.0).into();
            shown["before"] = stretch(before);
            shown["after"] = stretch(after);
        }
        shown
    }
}

/// The pattern's newest record: its id and what it says. The message is missing once the record is gone, or the question out
/// of time.
pub(super) fn example(logs: &LogStore, pattern: &PatternCount, scan: &Scan) -> Value {
    let mut example = json!({ "id": record_id_text(pattern.last) });
    if let Ok(Some(stored)) = log_search::execute::record(logs, pattern.last, scan) {
        let message = &stored.record.body;
        example["message"] = message[..message.floor_char_boundary(EXAMPLE_BYTES_MAX)].into();
    }
    example
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::{START, World, record};
    use taffrail_collector::model::Batch;

    const SHOP: &str = "from=2024-11-21T07:00:00Z&to=2024-11-21T07:00:10Z&interval=5s";

    #[tokio::test]
    async fn like_messages_are_one_pattern() {
        let world = World::shop().await;
        let mut other = record(7);
        other.body = "a lone line".to_owned();
        world.deliver(Batch { logs: vec![other], ..Batch::local() }).await;
        let answer = world.get(&format!("/api/v1/logs/patterns?{SHOP}")).await;
        assert_eq!((&answer["total"], &answer["patterns_total"], &answer["other"]), (&json!(11), &json!(2), &json!(0)));
        let first = &answer["patterns"][0];
        let expected = json!({
            "id": taffrail_ingest::log_store::PatternId::of("line 0 of the shop").to_string(),
            "pattern": "line <num> of the shop",
            "count": 10,
            "level": "error",
            "levels": { "info": 6, "error": 4 },
            "services": [{ "value": "db", "count": 5 }, { "value": "web", "count": 5 }],
            "services_total": 2,
            "first_seen": "2024-11-21T07:00:00.000Z",
            "last_seen": "2024-11-21T07:00:09.000Z",
            "example": { "id": first["example"]["id"], "message": "line 9 of the shop" },
            "trend": [5, 5],
        });
        assert_eq!(*first, expected);
        assert_eq!(answer["trend"], json!({ "start": "2024-11-21T07:00:00.000Z", "interval_ms": 5_000 }));
        let rare = world.get(&format!("/api/v1/logs/patterns?{SHOP}&sort=rare&limit=1")).await;
        assert_eq!((&rare["patterns"][0]["pattern"], &rare["patterns_total"]), (&json!("a lone line"), &json!(2)));

        let by_pattern = format!("/api/v1/logs/histogram?{SHOP}&q=pattern:{}", first["id"].as_str().unwrap());
        assert_eq!(world.get(&by_pattern).await["total"], 10);
        let without =
            world.get(&format!("/api/v1/logs/patterns?{SHOP}&q=-pattern:{}", first["id"].as_str().unwrap())).await;
        assert_eq!(without["patterns"].as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_text_names_the_pattern_that_its_like_have() {
        let world = World::shop().await;
        let named = world.get("/api/v1/logs/pattern?text=line%20987%20of%20the%20shop").await;
        assert_eq!(named["pattern"], "line <num> of the shop");
        let stored = world.get(&format!("/api/v1/logs/patterns?{SHOP}")).await;
        assert_eq!(named["id"], stored["patterns"][0]["id"]);
        assert_eq!(world.text("/api/v1/logs/pattern").await.0, 400);
    }

    #[tokio::test]
    async fn a_moment_tells_new_from_old() {
        let world = World::empty().await;
        let say = |second: i64, text: &str| {
            let mut record = record(second);
            record.body = text.to_owned();
            record
        };
        let mut logs = Vec::new();
        for second in 0..100 {
            let after = second >= 50;
            logs.push(say(second, &format!("always {second}")));
            logs.push(say(second, if after { "after the deploy" } else { "before the deploy" }));
            (0..if after { 5 } else { 1 }).for_each(|_| logs.push(say(second, "more and more")));
        }
        world.deliver(Batch { logs, ..Batch::local() }).await;
        let (from, since, to) = (START, START + 50, START + 100);
        let answer = world.get(&format!("/api/v1/logs/patterns?from={from}&to={to}&since={since}&interval=7s")).await;
        let told: Vec<(&str, &str)> = answer["patterns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pattern| (pattern["pattern"].as_str().unwrap(), pattern["change"].as_str().unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                ("more and more", "grown"),
                ("after the deploy", "new"),
                ("before the deploy", "gone"),
                ("always <num>", "steady")
            ]
        );
        let grown = &answer["patterns"][0];
        assert_eq!(grown["before"], json!({ "count": 50, "rate": 1.0 }));
        assert_eq!(grown["after"], json!({ "count": 250, "rate": 5.0 }));
        assert_eq!(answer["since"]["seconds_after"], 50.0);
        // A step starts at the moment itself, whatever the interval.
        assert_eq!(grown["trend"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>(), 300);
    }

    #[tokio::test]
    async fn bad_questions_say_what_is_wrong() {
        let world = World::empty().await;
        let check = async |parameters: &str, expected: &str| {
            let (status, text) = world.text(&format!("/api/v1/logs/patterns?{parameters}")).await;
            assert_eq!(status, 400, "{parameters}: {text}");
            assert!(text.contains(expected), "{parameters}: {text}");
        };
        check("q=level:(", "\"column\":").await;
        check("sort=score", "needs `since`").await;
        check("sort=size", "not `size`").await;
        check("since=now-1h&to=now-2h", "must lie between").await;
        check("since=whenever", "whenever").await;
        check("interval=1s&from=now-1h", "more than 1000 steps").await;
    }
}
