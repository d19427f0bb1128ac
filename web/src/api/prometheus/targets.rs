//! `/api/v1/targets`: what is scraped, as the series `up` tells of it: agents scrape too, and their targets are known by nothing else.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::Scan;
use taffrail_query::promql::{self, Answer, InstantValue};

use super::notation::labels;
use super::{Failure, Success};
use crate::api::App;
use crate::api::parameters::Parameters;

/// Answers `state` (`active`, `dropped`, `any`) and `scrapePool`. Nothing is ever dropped.
pub async fn targets(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Success, Failure> {
    let shows_active = match parameters.get("state") {
        None | Some("active" | "any") => true,
        Some("dropped") => false,
        Some(other) => {
            return Err(Failure::bad_data(format!(
                "invalid parameter \"state\": {other:?} is none of active, dropped, any"
            )));
        }
    };
    let pool = parameters.get("scrapePool").map(str::to_owned);
    let source = promql::StoreSource::new(app.ingest.series().clone());
    let now = Timestamp::now();
    let work = move |scan: &Scan| promql::instant("up", now, &source, scan).map_err(Failure::from);
    let (found, _) = app.questions.ask(work).await?;
    let found = match found.value {
        Answer::Vector(found) if shows_active => found,
        _ => Vec::new(),
    };
    let active: Vec<Value> = found
        .iter()
        .filter(|one| pool.as_deref().is_none_or(|pool| one.labels.get("job") == pool))
        .map(|one| target_json(one, now))
        .collect();
    Ok(Success::new(json!({ "activeTargets": active, "droppedTargets": [], "droppedTargetCounts": {} })))
}

/// What a series does not tell is left empty.
fn target_json(up: &InstantValue, now: Timestamp) -> Value {
    let mut of_target = labels(&up.labels);
    if let Value::Object(of_target) = &mut of_target {
        of_target.remove("__name__");
    }
    json!({
        "discoveredLabels": of_target,
        "labels": of_target,
        "scrapePool": up.labels.get("job"),
        "scrapeUrl": "",
        "globalUrl": "",
        "lastError": "",
        "lastScrape": now.to_string(),
        "lastScrapeDuration": 0,
        "health": if up.value == 0.0 { "down" } else { "up" },
        "scrapeInterval": "",
        "scrapeTimeout": "",
    })
}
