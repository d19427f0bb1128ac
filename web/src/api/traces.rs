//! `/api/v1/traces/{id}`: everything of one trace: its log lines across hosts and services in order, and the exemplars that
//! point to it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::{Value, json};
use taffrail_collector::model::TraceId;
use taffrail_ingest::Scan;
use taffrail_query::trace::{self, Partial, Trace};

use super::App;
use super::document::Document;
use super::prometheus::notation::labels;
use super::question::{stop_words, tell_whether_whole};
use super::record_json::RecordJson;
use crate::api_error::ApiError;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/traces/{id}", get(answer))
}

async fn answer(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Document, ApiError> {
    // Some tools write a trace id as a UUID.
    let trace_id = TraceId::from_hex(&id.replace('-', ""))
        .ok_or_else(|| ApiError::bad_request(format!("`{id}` is not a trace id: 1 to 32 hexadecimal digits")))?;
    let (logs, series) = (app.ingest.logs().clone(), app.ingest.series().clone());
    let work = move |scan: &Scan| {
        let trace = trace::trace(&logs, &series, trace_id, scan)?;
        if trace.span.is_none() && trace.partial.is_none() && scan.left_out().is_empty() {
            return Err(ApiError::not_found(format!("nothing is known of trace {trace_id}")));
        }
        Ok(Document::of(&trace_json(&trace, scan)))
    };
    Ok(app.questions.ask(work).await?.0)
}

fn trace_json(trace: &Trace, scan: &Scan) -> Value {
    let services: Vec<Value> = trace
        .services
        .iter()
        .map(|one| json!({ "service": &*one.service, "host": &*one.host, "records": one.records }))
        .collect();
    let exemplars: Vec<Value> = trace
        .exemplars
        .iter()
        .map(|(series, exemplar)| {
            json!({
                "series": labels(series),
                "time": exemplar.timestamp.to_string(),
                "value": exemplar.value,
                "span_id": exemplar.span_id.map(|id| id.to_string()),
            })
        })
        .collect();
    let partial = trace.partial.map(|partial| match partial {
        Partial::TooMany => "it has more than is shown; search for its trace_id",
        Partial::Stopped(reason) => stop_words(reason),
    });
    let mut answer = json!({
        "trace_id": trace.trace_id.to_string(),
        "start": trace.span.map(|(start, _)| start.to_string()),
        "end": trace.span.map(|(_, end)| end.to_string()),
        "services": services,
        "records": trace.records.iter().map(RecordJson::from).collect::<Vec<_>>(),
        "exemplars": exemplars,
    });
    tell_whether_whole(&mut answer, scan, partial);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::{TRACE, World};

    #[tokio::test]
    async fn a_trace_holds_its_records_in_order_and_its_exemplars() {
        let world = World::shop().await;
        let trace = world.get(&format!("/api/v1/traces/{TRACE}")).await;
        let messages: Vec<_> = trace["records"].as_array().unwrap().iter().map(|record| &record["message"]).collect();
        assert_eq!(messages, ["line 0 of the shop", "line 1 of the shop", "line 2 of the shop", "line 3 of the shop"]);
        assert_eq!(
            trace["services"],
            json!([
                {"service": "web", "host": "h1", "records": 2},
                {"service": "db", "host": "h1", "records": 2},
            ])
        );
        assert_eq!(trace["exemplars"][0]["series"]["__name__"], "request.time");
        assert_eq!(trace["exemplars"][0]["value"], 100.0);
        assert_eq!(
            (&trace["start"], &trace["end"], &trace["partial"]),
            (&json!("2024-11-21T07:00:00.000Z"), &json!("2024-11-21T07:00:03.000Z"), &json!(false),)
        );
        assert_eq!(world.text("/api/v1/traces/abc").await.0, 404);
        assert_eq!(world.text("/api/v1/traces/xyz").await.0, 400);
    }
}
