//! `/api/v1/traces/{id}`: everything of one trace: its log lines across hosts and services in order, what they say of its spans, the
//! exemplars that point to it, and how its hosts were doing. `/api/v1/traces`: which traces there are.
//!
//! Spans that were sent as such (OpenTelemetry's) say what they are. Of all others there are only lines: a span begins with its first line and ends with its last, unless a line says how long it took (`duration_ms`,
//! `took_ms`, `http.server.request.duration` …, see [`span`](taffrail_query::trace::span)) or when it began and ended; a trace lasts from
//! the first begin to the last end. The list counts what lies in its range.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::{Value, json};
use taffrail_collector::model::{Timestamp, TraceId};
use taffrail_ingest::Scan;
use taffrail_query::promql::{self, StoreSource};
use taffrail_query::trace::list::{TraceInShort, Wanted};
use taffrail_query::trace::span::{Known, Span};
use taffrail_query::trace::{self, Partial, Trace};
use taffrail_query::{log_search, time_range};

use super::App;
use super::document::Document;
use super::parameters::Parameters;
use super::prometheus::matrix::Matrix;
use super::prometheus::notation::labels;
use super::question::{stop_words, summary, tell_whether_whole};
use super::record_json::RecordJson;
use crate::api_error::ApiError;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/traces", get(list)).route("/api/v1/traces/{id}", get(answer))
}

/// Traces in a list when nobody says how many, and at most.
const TRACES: (usize, usize) = (100, 1_000);

/// Answers `from`, `to`, `q`, `service`, `min_duration`, `error` and `limit`.
async fn list(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Document, ApiError> {
    let error = match parameters.get("error") {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(other) => return Err(ApiError::bad_request(format!("`error` is true or false, not `{other}`"))),
    };
    let matching = match parameters.get("q") {
        None => None,
        Some(question) => {
            let filter = log_search::parse(question)?;
            Some(filter.compile().map_err(|error| ApiError::bad_request(error.to_string()))?)
        }
    };
    let span = parameters.get("min_duration").map(time_range::parse_span).transpose();
    let wanted = Wanted {
        range: parameters.range()?,
        matching,
        service: parameters.get("service").map(str::to_owned),
        min_duration: span.map_err(ApiError::bad_request)?.unwrap_or_default(),
        error,
        limit: parameters.count("limit", TRACES.0, TRACES.1)?,
    };
    let logs = app.ingest.logs().clone();
    let work = move |scan: &Scan| {
        let found = trace::list::list(&logs, &wanted, scan)?;
        let partial = found.partial.map(|partial| match partial {
            Partial::TooMany => "the newest 200,000 records with a trace id were looked at; narrow the range",
            Partial::Stopped(reason) => stop_words(reason),
        });
        let traces: Vec<Value> = found.traces.iter().map(in_short_json).collect();
        let mut answer = json!({ "traces": traces, "total": found.total });
        answer["summary"] = summary(scan, partial);
        Ok::<_, ApiError>(Document::of(&answer))
    };
    Ok(app.questions.ask(work).await?.0)
}

fn in_short_json(trace: &TraceInShort) -> Value {
    let services: Vec<Value> =
        trace.services.iter().map(|(service, records)| json!({ "service": &**service, "records": records })).collect();
    json!({
        "trace_id": trace.trace_id.to_string(),
        "start": trace.start.to_string(),
        "end": trace.end.to_string(),
        "duration_ms": milliseconds(trace.start, trace.end),
        "service": &*trace.root_service,
        "name": trace.name,
        "services": services,
        "hosts": trace.hosts,
        "records": trace.records,
        "errors": trace.errors,
    })
}

fn milliseconds(start: Timestamp, end: Timestamp) -> f64 {
    end.saturating_since(start).as_nanos() as f64 / 1e6
}

async fn answer(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Document, ApiError> {
    // Some tools write a trace id as a UUID.
    let trace_id = TraceId::from_hex(&id.replace('-', ""))
        .ok_or_else(|| ApiError::bad_request(format!("`{id}` is not a trace id: 1 to 32 hexadecimal digits")))?;
    let (logs, series) = (app.ingest.logs().clone(), app.ingest.series().clone());
    let source = StoreSource::new(series.clone());
    let work = move |scan: &Scan| {
        let trace = trace::trace(&logs, &series, trace_id, scan)?;
        if trace.span.is_none() && trace.partial.is_none() && scan.left_out().is_empty() {
            return Err(ApiError::not_found(format!("nothing is known of trace {trace_id}")));
        }
        let mut answer = trace_json(&trace, scan);
        answer["host_metrics"] = host_metrics(&trace, &source, scan);
        Ok(Document::of(&answer))
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
    let spans: Vec<Value> = trace.spans.iter().map(span_json).collect();
    let mut answer = json!({
        "trace_id": trace.trace_id.to_string(),
        "ids": trace.ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "duration_ms": trace.span.map(|(start, end)| milliseconds(start, end)),
        "errors": trace.errors,
        "spans": spans,
        "start": trace.span.map(|(start, _)| start.to_string()),
        "end": trace.span.map(|(_, end)| end.to_string()),
        "services": services,
        "records": trace.records.iter().map(RecordJson::from).collect::<Vec<_>>(),
        "exemplars": exemplars,
    });
    tell_whether_whole(&mut answer, scan, partial);
    answer
}

fn span_json(span: &Span) -> Value {
    let known = match span.known {
        Known::Lines => "lines",
        Known::Duration => "duration",
        Known::Ends => "ends",
    };
    json!({
        "span_id": span.span_id.to_string(),
        "parent_span_id": span.parent.map(|id| id.to_string()),
        "name": span.name,
        "kind": span.kind,
        "service": &*span.service,
        "host": &*span.host,
        "start": span.start.to_string(),
        "end": span.end.to_string(),
        "duration_ms": milliseconds(span.start, span.end),
        "known_by": known,
        "records": span.records,
        "errors": span.errors,
    })
}

/// How the trace's hosts were doing around it: processor, memory and load, as a range query gives them; of the first hosts alone, and
/// nothing when there are none or the question has come to its end.
fn host_metrics(trace: &Trace, source: &StoreSource, scan: &Scan) -> Value {
    let hosts: BTreeSet<&str> = trace.services.iter().map(|one| &*one.host).filter(|host| !host.is_empty()).collect();
    let Some((start, end)) = trace.span.filter(|_| !hosts.is_empty()) else { return json!([]) };
    let names: Vec<String> = hosts.iter().take(HOSTS_MAX).map(|host| regex_escaped(host)).collect();
    let names = quoted(&names.join("|"));
    let query = format!("{{__name__=~\"host[.](cpu[.]busy|memory[.]used_ratio|load)\",host=~{names}}}");
    let (start, end) = (start.saturating_sub(AROUND), end.saturating_add(AROUND));
    let step = (end.saturating_since(start) / POINTS_AIM).max(Duration::from_secs(10));
    match promql::range(&query, start, end, step, source, scan) {
        Ok(found) => json!(Matrix(&found.value)),
        Err(error) => {
            tracing::debug!(%error, "a trace is shown without the metrics of its hosts");
            json!([])
        }
    }
}

/// Hosts whose metrics are shown.
const HOSTS_MAX: usize = 8;
/// So long before and after a trace.
const AROUND: Duration = Duration::from_secs(300);
/// Points of a line.
const POINTS_AIM: u32 = 60;

/// The text as a literal of PromQL.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// The text as a regular expression that matches nothing else.
fn regex_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() && c != '_' && c != '-' {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::{TRACE, World, record};
    use taffrail_collector::model::{Batch, LabelSet, Sample, SampleValue, SpanId};

    #[tokio::test]
    async fn both_forms_of_an_id_are_one_trace_with_its_spans_and_its_hosts() {
        let world = World::empty().await;
        let mut logs: Vec<_> = (0..4).map(record).collect();
        logs[1].trace_id = TraceId::from_hex(&TRACE[16..]);
        logs[1].span_id = SpanId::from_hex("b");
        logs[1].attributes.push(("duration_ms".into(), 400i64.into()));
        logs[1].attributes.push(("parent_span_id".into(), "a".into()));
        logs[0].span_id = SpanId::from_hex("a");
        logs[3].span_id = SpanId::from_hex("a");
        let heat = |name: &str, host: &str| Sample {
            labels: Arc::new(LabelSet::new([("__name__", name), ("host", host)])),
            timestamp: logs[0].timestamp,
            interval_ms: 0,
            value: SampleValue::Gauge { last: 0.5, min: 0.5, max: 0.5 },
            unit: "",
            exemplars: Vec::new(),
        };
        let samples = vec![heat("host.cpu.busy", "h1"), heat("host.cpu.busy", "h2"), heat("host.cpu.count", "h1")];
        world.deliver(Batch { logs, samples, ..Batch::local() }).await;
        for form in [TRACE, &TRACE[16..]] {
            let trace = world.get(&format!("/api/v1/traces/{form}")).await;
            assert_eq!((&trace["trace_id"], trace["records"].as_array().unwrap().len()), (&json!(TRACE), 4), "{form}");
            assert_eq!(trace["ids"], json!([format!("{:0>32}", &TRACE[16..]), TRACE]), "{form}");
            assert_eq!((&trace["errors"], &trace["duration_ms"]), (&json!(2), &json!(3000.0)));
            let spans: Vec<_> = trace["spans"].as_array().unwrap().iter().collect();
            let shown: Vec<_> = spans.iter().map(|span| (&span["duration_ms"], &span["known_by"])).collect();
            assert_eq!(shown, [(&json!(3000.0), &json!("lines")), (&json!(400.0), &json!("duration"))]);
            assert_eq!(spans[1]["parent_span_id"], spans[0]["span_id"]);
            let of_hosts = trace["host_metrics"].as_array().unwrap();
            assert_eq!(of_hosts.len(), 1, "of the trace's own host, and what tells of load: {of_hosts:?}");
            assert_eq!(of_hosts[0]["metric"]["host"], "h1");
        }
        let all = world.get("/api/v1/traces?from=2024-11-21T07:00:00Z&to=2024-11-21T08:00:00Z").await;
        let trace = &all["traces"][0];
        assert_eq!((&all["total"], &trace["trace_id"], &trace["records"]), (&json!(1), &json!(TRACE), &json!(4)));
        assert_eq!((&trace["service"], &trace["name"]), (&json!("web"), &json!("line 0 of the shop")));
        assert_eq!((&trace["errors"], &trace["hosts"], &trace["duration_ms"]), (&json!(2), &json!(1), &json!(3000.0)));
        // Said last, and begun first.
        let mut whole = record(3);
        whole.attributes.push(("took_ms".into(), 3500i64.into()));
        world.deliver(Batch { logs: vec![whole], ..Batch::local() }).await;
        let all = world.get("/api/v1/traces?from=2024-11-21T07:00:00Z&to=2024-11-21T08:00:00Z").await;
        let trace = &all["traces"][0];
        assert_eq!((&trace["service"], &trace["name"]), (&json!("db"), &json!("line 3 of the shop")));
        assert_eq!(trace["duration_ms"], 3500.0);
    }

    #[tokio::test]
    async fn the_list_is_narrowed_by_service_duration_errors_and_a_question() {
        let world = World::empty().await;
        let mut logs: Vec<_> = (0..10).map(record).collect();
        for (at, log) in logs.iter_mut().enumerate() {
            // Traces 1 (lines 0, 1, 2), 2 (3, 4, 5) … 4 (9).
            log.trace_id = TraceId::new(1 + at as u128 / 3);
        }
        world.deliver(Batch { logs, ..Batch::local() }).await;
        let check = async |parameters: &str, expected: &[u32]| {
            let range = "from=2024-11-21T07:00:00Z&to=2024-11-21T08:00:00Z";
            let answer = world.get(&format!("/api/v1/traces?{range}&{parameters}")).await;
            let ids = answer["traces"].as_array().unwrap().iter().map(|trace| trace["trace_id"].as_str().unwrap());
            let ids: Vec<u32> = ids.map(|id| u32::from_str_radix(id, 16).unwrap()).collect();
            assert_eq!(ids, expected, "{parameters}");
            assert_eq!(answer["summary"]["partial"], false);
        };
        check("", &[4, 3, 2, 1]).await;
        check("limit=2", &[4, 3]).await;
        check("service=web", &[3, 2, 1]).await;
        check("min_duration=2s", &[3, 2, 1]).await;
        check("min_duration=3s", &[]).await;
        check("error=true", &[4, 3, 2, 1]).await;
        check("error=false", &[]).await;
        check("q=n:4", &[2]).await;
        for bad in ["error=x", "min_duration=x", "limit=x", "q=level:(", "limit=5000"] {
            assert_eq!(world.text(&format!("/api/v1/traces?{bad}")).await.0, 400, "{bad}");
        }
    }

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
