//! `/api/v1/metrics/moved`: which metrics moved most between two stretches of time.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use taffrail_query::metric_moves::{self, Move};
use taffrail_query::promql::StoreSource;

use super::App;
use super::parameters::Parameters;
use super::question::{stop_words, summary};
use crate::api_error::ApiError;

/// Metrics that are looked at: each costs two questions.
const METRICS_MAX: usize = 1_000;
/// Moves in an answer when nobody says how many, and at most.
const LIMIT: (usize, usize) = (20, METRICS_MAX);

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/metrics/moved", get(moved))
}

/// Answers `before_from`, `before_to`, `after_from`, `after_to`, `search` (a part of the name) and `limit`.
async fn moved(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let (before, after) = parameters.two_ranges()?;
    let part = parameters.get("search").unwrap_or_default().to_owned();
    let limit = parameters.count("limit", LIMIT.0, LIMIT.1)?;
    let series = app.ingest.series().clone();
    let source = StoreSource::new(series.clone());
    let ((moves, stopped), scan) = app
        .questions
        .ask(move |scan| {
            let metrics = series.metrics(&part, METRICS_MAX + 1);
            let looked_at = &metrics[..metrics.len().min(METRICS_MAX)];
            let (moves, stopped) = metric_moves::moves(looked_at, before, after, &source, scan);
            let stopped = match stopped {
                Some(reason) => Some(stop_words(reason).to_owned()),
                None if metrics.len() > METRICS_MAX => {
                    Some(format!("the first {METRICS_MAX} metrics by name were looked at; `search` narrows them"))
                }
                None => None,
            };
            Ok::<_, ApiError>((moves, stopped))
        })
        .await?;
    let total = moves.len();
    let moves: Vec<Value> = moves.iter().take(limit).map(shown).collect();
    Ok(Json(json!({ "metrics": moves, "total": total, "summary": summary(&scan, stopped.as_deref()) })))
}

fn shown(one: &Move) -> Value {
    let change = match (one.before, one.after) {
        (None, _) => "new",
        (_, None) => "gone",
        _ if one.deviations > 0.0 => "grown",
        _ => "shrunk",
    };
    json!({
        "name": one.name,
        "expression": one.expression,
        "reading": one.reading,
        "unit": one.unit,
        "change": change,
        "before": one.before,
        "after": one.after,
        // One that came or went has moved by no number of deviations.
        "deviations": one.deviations.is_finite().then(|| (one.deviations * 10.0).round() / 10.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::{START, World};
    use taffrail_collector::model::{Batch, LabelSet, Sample, SampleValue, Timestamp};

    #[tokio::test]
    async fn metrics_that_moved_are_told_and_steady_ones_are_not() {
        let world = World::empty().await;
        let mut samples = Vec::new();
        for window in 0..120 {
            let timestamp = Timestamp::from_unix_seconds(START + 10 * window);
            let late = window >= 60;
            let mut gauge = |name: &str, value: f64| {
                let labels = Arc::new(LabelSet::new([("__name__", name), ("host", "h1")]));
                let value = SampleValue::Gauge { last: value, min: value, max: value };
                samples.push(Sample { labels, timestamp, interval_ms: 10_000, value, unit: "", exemplars: Vec::new() });
            };
            gauge("queue.depth", if late { 50.0 } else { 5.0 });
            gauge("disk.free", 1_000.0);
            gauge("noise", f64::from(window as i32 % 7));
            if late {
                gauge("fresh", 1.0);
            }
        }
        world.deliver(Batch { samples, ..Batch::local() }).await;
        let ranges = format!(
            "before_from={}&before_to={}&after_from={}&after_to={}",
            START,
            START + 590,
            START + 600,
            START + 1190
        );
        let answer = world.get(&format!("/api/v1/metrics/moved?{ranges}")).await;
        let told: Vec<(&str, &str)> = answer["metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["name"].as_str().unwrap(), one["change"].as_str().unwrap()))
            .collect();
        assert_eq!(told, [("fresh", "new"), ("queue.depth", "grown")], "{answer}");
        assert_eq!(answer["metrics"][1]["before"], 5.0);
        assert_eq!(answer["metrics"][1]["after"], 50.0);
        assert_eq!(world.get(&format!("/api/v1/metrics/moved?{ranges}&search=disk")).await["total"], 0);
    }
}
