//! `/openapi.json`: the API described by hand (OpenAPI 3.1, <https://spec.openapis.org/oas/v3.1.1>), so that clients can be
//! made from it. A test compares the table with the routes, and schemathesis compares answers with what is described
//! (`tests/it/openapi.rs`). [`openapi_schemas`](super::openapi_schemas) says what answers look like.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::App;
use super::openapi_schemas::{self as schemas, Answer};

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/openapi.json", get(async || Json(document())))
}

/// One path: its methods (`GET`, `POST` or `GET POST`), what it is for, and the names of its parameters with a word each.
struct Operation {
    path: &'static str,
    methods: &'static str,
    summary: &'static str,
    parameters: &'static [(&'static str, &'static str)],
}

const fn operation(
    methods: &'static str,
    path: &'static str,
    summary: &'static str,
    parameters: &'static [(&'static str, &'static str)],
) -> Operation {
    Operation { path, methods, summary, parameters }
}

const QUESTION: (&str, &str) = ("q", "the question in the search language; empty asks for everything");
const FROM: (&str, &str) = ("from", "RFC 3339, Unix s/ms/ns, or relative (now-15m, 15m); default one hour before `to`");
const TO: (&str, &str) = ("to", "as `from`; default now");
const START: (&str, &str) = ("start", "RFC 3339 or Unix seconds");
const END: (&str, &str) = ("end", "RFC 3339 or Unix seconds");
const SERIES_LIMIT: (&str, &str) = ("limit", "series in the answer, at most; 0 or absent: all");
const STATS: (&str, &str) = ("stats", "anything: how long it took and how many samples were looked at");
const TIMEOUT: (&str, &str) = ("timeout", "seconds or a duration that it may take; never longer than query.time_max");
const LOOKBACK: (&str, &str) =
    ("lookback_delta", "how far back instant selectors look: seconds or a duration; default 5m");
const BEFORE_FROM: (&str, &str) = ("before_from", "where the first stretch begins, as `from`");
const BEFORE_TO: (&str, &str) = ("before_to", "where it ends");
const AFTER_FROM: (&str, &str) = ("after_from", "where the second stretch begins");
const AFTER_TO: (&str, &str) = ("after_to", "where it ends");
const QUERY: (&str, &str) = ("query", "PromQL");
const MATCH: (&str, &str) = ("match[]", "a series selector; may be repeated");
const LIMIT: (&str, &str) = ("limit", "how many at most");

const OPERATIONS: &[Operation] = &[
    operation(
        "GET POST",
        "/api/v1/logs/search",
        "Matching records as NDJSON lines `record`, or the table that stages make of them as `columns` and `row`; `progress`, and last `summary` or \
         `error`; one JSON document for who accepts application/json",
        &[QUESTION, FROM, TO, LIMIT, ("cursor", "the id after which to go on"), ("order", "newest or oldest")],
    ),
    operation(
        "GET POST",
        "/api/v1/logs/export",
        "Every matching record as a file; one that was cut says so in its last line",
        &[
            QUESTION,
            FROM,
            TO,
            ("order", "newest or oldest"),
            ("format", "ndjson, csv or json"),
            ("fields", "columns of a CSV besides the usual ones, separated by commas"),
            ("limit", "records at most; all when absent"),
        ],
    ),
    operation(
        "GET POST",
        "/api/v1/logs/explain",
        "Why a question has no rows: what each condition lets through alone and what there is without it, what each stage leaves, the nearest \
         times with data, fields that no record has",
        &[QUESTION, FROM, TO],
    ),
    operation(
        "GET",
        "/api/v1/logs/tail",
        "Matching records as they become durable: NDJSON lines `record`, `live`, `gap`, `heartbeat`, `reset`, or server-sent events of these \
         names for who accepts text/event-stream",
        &[
            QUESTION,
            ("from_seq", "the sequence number to go on from, as the header Last-Event-ID says it too; default now"),
            ("since", "records of the past from this time on first, as `from`"),
            ("last", "so many of the newest records first"),
            ("rate", "records a second that are sent at most; the others are counted"),
        ],
    ),
    operation(
        "GET POST",
        "/api/v1/logs/histogram",
        "Records per interval",
        &[QUESTION, FROM, TO, ("interval", "a span like 1m; default about 100 buckets"), ("by", "a field to split by")],
    ),
    operation(
        "GET POST",
        "/api/v1/logs/facets",
        "The commonest values of fields",
        &[QUESTION, FROM, TO, ("fields", "names separated by commas"), ("limit", "values of each field")],
    ),
    operation("GET POST", "/api/v1/logs/fields", "Which fields matching records have", &[QUESTION, FROM, TO]),
    operation(
        "GET POST",
        "/api/v1/logs/patterns",
        "Like messages as one pattern with holes, all of them counted: severities, services, trend, first and last seen, an example; with \
         `since` what a moment (a deploy) changed. `pattern:<id>` in a question asks for the records of one",
        &[
            QUESTION,
            FROM,
            TO,
            LIMIT,
            (
                "since",
                "a moment; each pattern is new, gone, grown, shrunk or steady since, with counts and rates before and after",
            ),
            ("sort", "count, rare, first_seen, last_seen or score; default count, with `since` score"),
            ("interval", "a step of the trend; default about 100 steps"),
        ],
    ),
    operation(
        "GET",
        "/api/v1/logs/pattern",
        "The pattern that a message of this text has, for `pattern:<id>`",
        &[("text", "a message")],
    ),
    operation(
        "GET POST",
        "/api/v1/logs/compare",
        "What differs between two stretches of time: patterns that came, went, grew or shrank by their rates, and values of fields by \
         their share of all records",
        &[QUESTION, BEFORE_FROM, BEFORE_TO, AFTER_FROM, AFTER_TO, LIMIT],
    ),
    operation(
        "GET",
        "/api/v1/logs/context",
        "A record and its neighbours in the same log",
        &[("id", "the record"), ("before", "how many"), ("after", "how many"), ("by", "fields they share, or none")],
    ),
    operation("GET", "/api/v1/logs/record", "One record", &[("id", "the record")]),
    operation(
        "POST",
        "/api/v1/logs/delete",
        "Deletes matching records that were stored before, for good; answers once no answer shows them any more, and they leave the disk \
         soon after",
        &[
            ("q", "which records, in the search language"),
            ("from", "as elsewhere; default the beginning"),
            ("to", "as elsewhere; default the end"),
            ("reason", "why; kept for ever with the question and the one who asked"),
            ("by", "who asks; kept beside the address"),
            ("preview", "true only counts what matches"),
        ],
    ),
    operation(
        "GET",
        "/api/v1/logs/deletions",
        "Every deletion there ever was and what became of it, newest first",
        &[],
    ),
    operation(
        "POST",
        "/api/v1/logs",
        "Takes records as NDJSON or a JSON array, plain, gzip or zstd; answers after the fsync",
        &[],
    ),
    operation(
        "POST",
        "/api/v1/write",
        "Takes metrics by Prometheus remote write, 1.0 or 2.0, in snappy; answers after the fsync",
        &[],
    ),
    operation(
        "POST",
        "/v1/logs",
        "Takes log records by OpenTelemetry's protocol, protobuf or JSON, plain, gzip, zstd or deflate; answers after the fsync. gRPC's \
         Export of logs, metrics and traces is answered on this port too",
        &[],
    ),
    operation("POST", "/otlp/v1/logs", "The same as /v1/logs, where senders to Loki look for it", &[]),
    operation("POST", "/v1/metrics", "Takes metrics by OpenTelemetry's protocol, as /v1/logs takes records", &[]),
    operation("POST", "/v1/traces", "Takes spans by OpenTelemetry's protocol, as /v1/logs takes records", &[]),
    operation("POST", "/api/v1/ship", "Takes a frame of an agent; answers after the fsync", &[]),
    operation("GET", "/api/v1/streams", "What is known of an agent", &[("agent", "32 hexadecimal digits")]),
    operation(
        "GET",
        "/api/v1/traces",
        "Traces whose log lines lie in the range, the newest first, with their first service, duration, errors and counts",
        &[
            FROM,
            TO,
            ("q", "some record of theirs matches this"),
            ("service", "this service took part"),
            ("min_duration", "they took so long at least: 500ms, 2s"),
            ("error", "whether they have errors"),
            LIMIT,
        ],
    ),
    operation(
        "GET",
        "/api/v1/traces/{id}",
        "Everything of one trace, under the 64-bit and the 128-bit form of its id: records in order, spans as its lines tell them, exemplars, \
         and the metrics of its hosts around it",
        &[],
    ),
    operation("GET", "/api/v1/metrics", "Which metrics there are", &[("search", "a part of the name"), LIMIT]),
    operation(
        "GET",
        "/api/v1/metrics/moved",
        "Which metrics moved most between two stretches of time, in standard deviations of the first",
        &[BEFORE_FROM, BEFORE_TO, AFTER_FROM, AFTER_TO, ("search", "a part of the name"), LIMIT],
    ),
    operation("GET", "/api/v1/views", "Views that somebody gave a name: addresses of the page", &[]),
    operation(
        "PUT DELETE",
        "/api/v1/views/{name}",
        "Keeps a view under its name, or forgets it; either answers with the view",
        &[("address", "when it is kept: a path of the page with its parameters, as /logs?q=level:error")],
    ),
    operation("GET", "/api/v1/ingest", "What arrived, what was refused and why, and how the store stands", &[]),
    operation(
        "GET",
        "/api/v1/agents",
        "Every agent heard of: last seen, lag, rates, spool, sources, endpoints, what it shed; `state` is ok, lagging (its oldest undelivered \
         record is over a minute old) or silent (nothing heard for three of its intervals, half a minute at least)",
        &[],
    ),
    operation(
        "GET",
        "/api/v1/annotations",
        "What people and programs say happened: deploys, incidents, notes, StatsD events; the newest that are asked for, by rising time",
        &[
            FROM,
            TO,
            ("kind", "kinds, separated by commas"),
            ("service", "services, separated by commas; those about all are there too"),
            LIMIT,
        ],
    ),
    operation(
        "POST",
        "/api/v1/annotations",
        "Writes one down, from the address, a form or a JSON object; under an id that is there already it takes that one's place",
        &[
            ("kind", "deploy, note, incident or any other word; default note"),
            ("time", "when it happened, as `from`; default now"),
            ("end", "when it was over, when it took a while"),
            ("service", "the service that it is about"),
            ("version", "the version that was deployed"),
            ("text", "what people read"),
            ("author", "who says so"),
            ("link", "an address where more is told; may be repeated"),
            ("links", "several of them, as a JSON list or separated by spaces"),
            ("id", "its name; default a random one"),
        ],
    ),
    operation("GET", "/api/v1/annotations/{id}", "One annotation", &[]),
    operation("DELETE", "/api/v1/annotations/{id}", "Removes an annotation", &[]),
    operation(
        "GET",
        "/api/v1/errors",
        "Error groups: errors that fail in the same functions with the same exceptions, counted under any question, with trend, hosts, versions, \
         first and last seen and state. `error.group:<id>` in a question asks for the records of one",
        &[
            QUESTION,
            FROM,
            TO,
            LIMIT,
            ("state", "unresolved (open and regressed), open, regressed, resolved, ignored or all; default all"),
            ("service", "only groups of this service"),
            ("sort", "last_seen, first_seen or count"),
        ],
    ),
    operation(
        "GET",
        "/api/v1/errors/{id}",
        "One group: an event with its stack trace read out, the events beside it, what its records have in common, when it came back",
        &[QUESTION, FROM, TO, ("event", "a record's id; default the newest")],
    ),
    operation(
        "POST",
        "/api/v1/errors/{id}",
        "Says what became of a group; it comes back as regressed when an error comes after it was resolved",
        &[
            ("state", "resolved, ignored or open"),
            ("version", "resolved in this version: older ones do not bring it back"),
            ("until", "ignored so long: a span like 7d or a moment"),
            ("by", "who says so"),
        ],
    ),
    operation(
        "GET",
        "/api/v1/deploys/{id}",
        "What the deploy of this annotation changed, before and since: errors by service, error groups, patterns, percentiles of timers, and in \
         words what got worse",
        &[
            ("window", "how long before and after; default until the next deploy, an hour at most"),
            ("canary", "a field and its value (version:1.2.3): these records and the others, since the deploy"),
        ],
    ),
    operation(
        "GET",
        "/api/v1/hosts",
        "Every host that sends log records or metrics and when each was last heard of, the silent ones first",
        &[("search", "a part of the name"), ("silent_after", "a span; default 5m"), LIMIT],
    ),
    operation(
        "GET POST",
        "/api/v1/query",
        "PromQL at one moment",
        &[QUERY, ("time", "RFC 3339 or Unix seconds"), TIMEOUT, LOOKBACK, SERIES_LIMIT, STATS],
    ),
    operation(
        "GET POST",
        "/api/v1/query_range",
        "PromQL over a range",
        &[QUERY, START, END, ("step", "seconds or a duration"), TIMEOUT, LOOKBACK, SERIES_LIMIT, STATS],
    ),
    operation("GET POST", "/api/v1/format_query", "The same PromQL, laid out", &[QUERY]),
    operation("GET POST", "/api/v1/parse_query", "The same PromQL as a tree", &[QUERY]),
    operation("GET POST", "/api/v1/series", "Series that selectors find", &[MATCH, START, END, LIMIT]),
    operation(
        "GET",
        "/api/v1/series/cardinality",
        "Which metrics, labels, values and sources make how many series, and which of them had no room for new ones",
        &[("metric", "only the series of this metric"), LIMIT],
    ),
    operation("GET POST", "/api/v1/labels", "Names of labels", &[MATCH, START, END, LIMIT]),
    operation("GET", "/api/v1/label/{name}/values", "Values of a label", &[MATCH, START, END, LIMIT]),
    operation(
        "GET",
        "/api/v1/metadata",
        "Type, unit and help of metrics",
        &[("metric", "one name"), LIMIT, ("limit_per_metric", "how many entries of one metric at most")],
    ),
    operation("GET POST", "/api/v1/query_exemplars", "Exemplars of the series in a query", &[QUERY, START, END]),
    operation(
        "GET",
        "/api/v1/rules",
        "Alert and recording rules and how they stand",
        &[
            ("type", "alert or record"),
            ("rule_name[]", "may be repeated"),
            ("rule_group[]", "may be repeated"),
            ("file[]", "may be repeated"),
            ("match[]", "a selector of the rules' own labels; may be repeated"),
            ("exclude_alerts", "true leaves out their alerts"),
            ("group_limit", "groups of a page at most"),
            ("group_next_token", "where the next page begins, as the last one said it"),
        ],
    ),
    operation(
        "POST",
        "/api/v1/rules/replay",
        "What rules would have done over stored data, as NDJSON lines `progress`, `rule` (one each, with every firing: labels, texts, value, \
         start, end and the message), and last `summary` (firings, pages, nights) or `error`; one JSON document for who accepts \
         application/json",
        &[
            ("rules", "a rules file, one group or one rule in YAML; the rules at work when absent"),
            ("from", "as elsewhere; default 30 days ago"),
            TO,
            ("interval", "how often groups are evaluated that do not say it; default the server's"),
            ("timezone", "whose nights, as in Europe/Berlin; default the server's"),
        ],
    ),
    operation(
        "GET",
        "/api/v1/targets",
        "What is scraped, as the series `up` tells of it",
        &[("state", "active, dropped or any"), ("scrapePool", "only targets of this job")],
    ),
    operation("GET", "/api/v1/alerts", "Pending and firing alerts", &[]),
    operation(
        "GET",
        "/api/v1/alerts/{id}",
        "One alert at one moment, also when it is long over: its rule, when it fired, its curve, log lines, traces and what changed",
        &[("at", "the moment, as `from`; default when it began")],
    ),
    operation("GET", "/api/v1/alerts/pictures/{name}", "The curve of an alert that a message shows, for a day", &[]),
    operation(
        "GET",
        "/api/v1/notifications",
        "What people were told, attempt by attempt, the newest first",
        &[("alert", "the id of an alert"), ("receiver", "who was told"), FROM, TO, LIMIT],
    ),
    operation(
        "GET",
        "/api/v1/notify/receivers",
        "Who can be told of alerts, by which channels and routes, and what is wrong with the file that says so",
        &[],
    ),
    operation(
        "POST",
        "/api/v1/notify/test",
        "Tells every channel of a receiver that this is a test, and says what became of it",
        &[("receiver", "its name")],
    ),
    operation("GET", "/api/v2/status", "What Alertmanager's clients ask first", &[]),
    operation(
        "GET POST",
        "/api/v2/silences",
        "Silences; a POST of one makes or changes it",
        &[("filter", "a matcher")],
    ),
    operation("GET DELETE", "/api/v2/silence/{id}", "One silence; DELETE ends it now", &[]),
    operation(
        "GET",
        "/api/v2/alerts",
        "Firing alerts and why they are not told, as Alertmanager answers it",
        &[
            ("filter", "a matcher"),
            ("receiver", "a pattern of names"),
            ("active", "false leaves out those that are told"),
            ("silenced", "false leaves out silenced ones"),
            ("inhibited", "false leaves out inhibited ones"),
        ],
    ),
    operation(
        "GET",
        "/api/v2/alerts/groups",
        "The same in the groups in which people are told",
        &[
            ("filter", "a matcher"),
            ("receiver", "a pattern of names"),
            ("active", "false leaves out those that are told"),
            ("silenced", "false leaves out silenced ones"),
            ("inhibited", "false leaves out inhibited ones"),
        ],
    ),
    operation("GET", "/api/v2/receivers", "Names of receivers", &[]),
    operation("GET", "/api/v1/status/buildinfo", "The version, as Grafana asks for it", &[]),
    operation(
        "POST PUT",
        "/api/v1/admin/tsdb/delete_series",
        "Deletes windows of matching series that were stored before, as Prometheus does; answers 204 once no answer shows them any more, \
         and they leave the disk soon after",
        &[
            MATCH,
            ("start", "as elsewhere; default the beginning"),
            ("end", "as elsewhere, included; default the end"),
            ("by", "who asks; kept beside the address"),
        ],
    ),
    operation(
        "POST PUT",
        "/api/v1/admin/tsdb/clean_tombstones",
        "Hurries the removal from the disk of what was deleted, which goes on by itself otherwise; answers 204 at once",
        &[],
    ),
    operation(
        "GET",
        "/api/v1/dashboards",
        "The dashboards of files, of the catalog and of this binary, and what is wrong with files",
        &[],
    ),
    operation(
        "GET PUT DELETE",
        "/api/v1/dashboards/{slug}",
        "A dashboard as JSON, or as the YAML it was written in for who accepts application/yaml; its version stands in ETag. PUT takes \
         either and keeps it in the catalog; it must say with If-Match which version it replaces, or with If-None-Match: * that there \
         is none. DELETE removes it from the catalog; a built-in one comes back",
        &[],
    ),
    operation(
        "POST",
        "/api/v1/dashboards/check",
        "What a dashboard's text says, or everything that is wrong with it by line and column; nothing is kept",
        &[],
    ),
    operation(
        "POST",
        "/api/v1/dashboards/import",
        "A dashboard of Grafana (the JSON that it exports) as YAML, with a list of what could not be mapped; nothing is kept",
        &[],
    ),
    operation(
        "GET",
        "/api/v1/settings",
        "Every setting with its value, its default and where the value came from; secrets are not told",
        &[],
    ),
    operation(
        "GET POST",
        "/api/v1/series/count",
        "How many series match, and how many samples of them are stored: what delete_series would delete",
        &[MATCH, ("start", "as elsewhere; default the beginning"), ("end", "as elsewhere, included; default the end")],
    ),
    operation("GET", "/api/v1/series/deletions", "Deletions of series and what became of them, the newest first", &[]),
    operation("GET", "/api/v1/status/tsdb", "Prometheus' figures of what is in memory", &[LIMIT]),
    operation("GET", "/api/v1/status/runtimeinfo", "When it started, as promtool asks for it", &[]),
    operation("GET", "/api/v1/status/flags", "The flags of Prometheus whose meaning holds here", &[]),
    operation("POST", "/-/seal", "Writes what is in memory to disk now", &[]),
    operation("POST", "/-/reload", "Reads settings and rules files again", &[]),
    operation("GET", "/healthz", "Whether the process answers", &[]),
    operation(
        "GET",
        "/readyz",
        "Whether it takes data and questions, and which splits are damaged, in plain text",
        &[],
    ),
    operation("GET", "/metrics", "Taffrail's own counters in the Prometheus text format", &[]),
    operation("GET", "/openapi.json", "This description", &[]),
];

fn document() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let methods = operation.methods.split(' ');
        let described = methods.map(|method| (method.to_ascii_lowercase(), describe(operation, method)));
        // A path whose methods mean different things stands several times.
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        described.for_each(|(method, described)| path[method] = described);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Taffrail",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Times in answers are RFC 3339 in UTC; under Prometheus' paths its own formats hold. \
                The summary of an answer (of a trace: the answer itself) says whether it is whole: `partial` is false, or says in \
                words why records may be missing; `damaged_splits` names the splits that it is without because their files are \
                damaged (100 at most). `scanned_rows`, `scanned_bytes` and `scanned_splits` say what was looked at: rows and bytes of \
                columns that templates did not decide, and splits that were opened.",
        },
        "paths": paths,
    })
}

fn describe(operation: &Operation, method: &str) -> Value {
    let path = operation.path;
    let in_path = path
        .split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}'))
        .map(|(name, _)| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let in_query = operation.parameters.iter().map(|(name, about)| {
        // A form may carry what an address does not.
        let is_required = method == "GET" && schemas::is_required(path, name);
        let schema = schemas::parameter(name);
        json!({ "name": name, "in": "query", "description": about, "required": is_required, "schema": schema })
    });
    let mut described = json!({
        "operationId": format!("{} {path}", method.to_ascii_lowercase()),
        "summary": operation.summary,
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": responses(path),
    });
    let form = || {
        let parameters = operation.parameters.iter().map(|(name, _)| ((*name).to_owned(), schemas::parameter(name)));
        let schema = json!({ "type": "object", "properties": parameters.collect::<Map<_, _>>() });
        json!({ "application/x-www-form-urlencoded": { "schema": schema } })
    };
    let takes_form = (operation.methods == "GET POST" || path == "/api/v1/rules/replay") && method == "POST";
    let takes_body = !matches!(method, "GET" | "DELETE");
    if let Some(content) = schemas::body(path).filter(|_| takes_body).or_else(|| takes_form.then(form)) {
        described["requestBody"] = json!({ "content": content });
    }
    described
}

fn responses(path: &str) -> Value {
    let lines = |names: &[&str]| {
        let text = format!("Lines of JSON objects, each with one of these names: {}", names.join(", "));
        json!({ "description": text, "content": { "application/x-ndjson": {}, "text/event-stream": {} } })
    };
    let of_types = |types: &[&str]| {
        let content: Map<String, Value> = types.iter().map(|kind| ((*kind).to_owned(), json!({}))).collect();
        json!({ "description": "The answer", "content": content })
    };
    let json_of = |schema: Value| json!({ "application/json": { "schema": schema } });
    let (status, good) = match schemas::answer(path) {
        Some(Answer::Json(schema)) if matches!(path, "/api/v1/logs/search" | "/api/v1/rules/replay") => {
            let mut content = json_of(schema);
            content["application/x-ndjson"] = json!({});
            ("200", json!({ "description": "The answer", "content": content }))
        }
        Some(Answer::Json(schema)) => ("200", json!({ "description": "The answer", "content": json_of(schema) })),
        Some(Answer::Lines(names)) => ("200", lines(names)),
        Some(Answer::Text(kind)) => ("200", of_types(&[kind])),
        Some(Answer::File(types)) => ("200", of_types(types)),
        Some(Answer::Nothing) => ("204", json!({ "description": "It is done" })),
        None => ("200", json!({ "description": "The answer" })),
    };
    let bad = json!({ "description": "What is wrong", "content": schemas::error(schemas::errors(path)) });
    json!({ status: good, "default": bad })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// Every `.route("…"` in the sources below this directory.
    fn routes_below(directory: &Path, into: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                routes_below(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                into.extend(
                    code.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned),
                );
            }
        }
    }

    #[test]
    fn every_route_is_described_and_every_description_has_a_route() {
        let mut routes = BTreeSet::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        routes_below(&root.join("src/api"), &mut routes);
        routes_below(&root.join("../collector/src/source"), &mut routes);
        let described: BTreeSet<String> = OPERATIONS.iter().map(|operation| operation.path.to_owned()).collect();
        assert_eq!(described, routes);
    }

    #[test]
    fn every_answer_has_a_form() {
        let nameless: Vec<&str> =
            OPERATIONS.iter().map(|operation| operation.path).filter(|path| schemas::answer(path).is_none()).collect();
        assert!(nameless.is_empty(), "describe the answers of {nameless:?} in openapi_schemas.rs");
    }

    #[test]
    fn a_path_parameter_is_described_as_one() {
        let document = document();
        let parameter = &document["paths"]["/api/v1/label/{name}/values"]["get"]["parameters"][0];
        assert_eq!((&parameter["name"], &parameter["in"]), (&json!("name"), &json!("path")));
        assert!(document["paths"]["/api/v1/query"]["post"].is_object());
    }
}
