//! `/api/v1/query_exemplars`: the traces that show what a series' values looked like. Grafana draws them as dots.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};
use taffrail_collector::model::{Exemplar, LabelSet, Timestamp};
use taffrail_ingest::{Scan, TimeRange};
use taffrail_query::promql;

use super::notation::{labels, moment, number, read_moment};
use super::{Failure, Success};
use crate::api::App;
use crate::api::parameters::Parameters;

/// Answers `query`, `start`, `end`: the exemplars of every series that the query selects.
pub async fn exemplars(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Success, Failure> {
    let selectors = promql::selectors(parameters.get("query").unwrap_or_default())?;
    let range = TimeRange {
        start: read_moment(&parameters, "start")?.unwrap_or(Timestamp::MIN),
        end: read_moment(&parameters, "end")?.unwrap_or(Timestamp::MAX),
    };
    let source = promql::StoreSource::new(app.ingest.series().clone());
    let work = move |scan: &Scan| {
        let mut found: BTreeMap<Arc<LabelSet>, Vec<Exemplar>> = BTreeMap::new();
        for matchers in &selectors {
            found.extend(source.exemplars(matchers, range, scan)?);
        }
        Ok::<_, Failure>(found)
    };
    let (found, scan) = app.questions.ask(work).await?;
    let series: Vec<Value> = found
        .iter()
        .map(|(series, exemplars)| {
            json!({ "seriesLabels": labels(series), "exemplars": exemplars.iter().map(exemplar_json).collect::<Vec<_>>() })
        })
        .collect();
    Ok(Success::new(series.into()).with_remarks(promql::damage_warnings(&scan), Vec::new()))
}

fn exemplar_json(exemplar: &Exemplar) -> Value {
    let mut names = json!({ "trace_id": exemplar.trace_id.to_string() });
    if let Some(span_id) = exemplar.span_id {
        names["span_id"] = span_id.to_string().into();
    }
    let at = exemplar.timestamp.unix_millis();
    json!({ "labels": names, "value": number(exemplar.value), "timestamp": moment(at) })
}
