//! What stands behind the table of `/openapi.json`: the types of parameters, what bodies carry, and the form of every answer, as JSON
//! Schema. Objects may have more than is described; what is described is there.

use serde_json::{Map, Value, json};

/// What an answer of status 200 looks like.
pub enum Answer {
    /// A JSON document.
    Json(Value),
    /// Lines of JSON objects, each with one of these names.
    Lines(&'static [&'static str]),
    /// Text, of this media type.
    Text(&'static str),
    /// One of several media types.
    File(&'static [&'static str]),
    /// 204: nothing.
    Nothing,
}

/// In whose words errors of a path are told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Errors {
    /// `{"error":{"message","column"}}`
    Native,
    /// Prometheus' envelope.
    Prometheus,
    /// As the protocol of the senders has it.
    Protocol,
}

/// The answer of a path; none when nobody described it.
pub fn answer(path: &str) -> Option<Answer> {
    let integer = || json!({ "type": "integer" });
    let text = || json!({ "type": "string" });
    let found = match path {
        "/api/v1/logs/search" => Answer::Json(object(&[("summary", summary())])),
        "/api/v1/logs/export" => Answer::File(&["application/x-ndjson", "text/csv", "application/json"]),
        "/api/v1/logs/tail" => Answer::Lines(&["record", "live", "gap", "heartbeat", "reset"]),
        "/api/v1/logs/histogram" => {
            let bucket = object(&[("time", text()), ("counts", map(integer()))]);
            let fields =
                [("interval_ms", integer()), ("buckets", list(bucket)), ("total", integer()), ("summary", summary())];
            Answer::Json(object(&fields))
        }
        "/api/v1/logs/facets" => {
            let value = object(&[("value", text()), ("count", integer())]);
            let counts = [("field", text()), ("values", list(value)), ("other", integer()), ("missing", integer())];
            Answer::Json(object(&[("facets", list(object(&counts))), ("summary", summary())]))
        }
        "/api/v1/logs/fields" => {
            let field = object(&[("name", text()), ("count", integer())]);
            Answer::Json(object(&[("fields", list(field)), ("summary", summary())]))
        }
        "/api/v1/logs/context" => {
            Answer::Json(object(&[("record", record()), ("before", list(record())), ("after", list(record()))]))
        }
        "/api/v1/logs/record" => Answer::Json(object(&[("record", record())])),
        "/api/v1/errors" => Answer::Json(object(&[
            ("errors", list(error_group())),
            ("groups_total", integer()),
            ("total", integer()),
            ("states", map(integer())),
            ("summary", summary()),
        ])),
        "/api/v1/errors/{id}" => Answer::Json(object(&[("error_group", error_group())])),
        "/api/v1/deploys/{id}" => Answer::Json(object(&[
            ("deploy", annotation()),
            ("worse", list(text())),
            ("services", list(object(&[("service", text()), ("change", text())]))),
            ("errors", list(error_group())),
            ("patterns", list(object(&[("id", text()), ("pattern", text()), ("change", text())]))),
            ("timers", list(object(&[("metric", text()), ("unit", text())]))),
            ("summary", summary()),
        ])),
        "/api/v1/hosts" => {
            let host = object(&[("host", text()), ("state", text()), ("silent_seconds", integer())]);
            Answer::Json(object(&[("hosts", list(host)), ("total", integer()), ("silent", integer())]))
        }
        "/api/v1/annotations" | "/api/v1/annotations/{id}" => {
            // A list, or one that was asked for, written or removed.
            let listed = object(&[("annotations", list(annotation())), ("partial", partial())]);
            let one = object(&[("annotation", annotation())]);
            let removed = object(&[("removed", annotation())]);
            Answer::Json(json!({ "anyOf": [listed, one, removed] }))
        }
        "/api/v1/logs/deletions" | "/api/v1/series/deletions" => {
            Answer::Json(object(&[("deletions", list(object(&[])))]))
        }
        "/api/v1/logs" => {
            let refused = object(&[("line", integer()), ("reason", text())]);
            Answer::Json(object(&[("accepted", integer()), ("rejected", list(refused))]))
        }
        "/api/v1/traces" => {
            let trace = [
                ("trace_id", text()),
                ("start", text()),
                ("end", text()),
                ("duration_ms", json!({ "type": "number" })),
            ];
            let counts = [("service", text()), ("name", text()), ("records", integer()), ("errors", integer())];
            let trace = object(&[trace, counts].concat());
            Answer::Json(object(&[("traces", list(trace)), ("total", integer()), ("summary", summary())]))
        }
        "/api/v1/traces/{id}" => Answer::Json(object(&[
            ("trace_id", text()),
            ("services", list(object(&[("service", text()), ("host", text()), ("records", integer())]))),
            ("records", list(record())),
            (
                "exemplars",
                list(object(&[("series", map(text())), ("time", text()), ("value", json!({ "type": "number" }))])),
            ),
            ("partial", partial()),
        ])),
        "/api/v1/series/count" => {
            Answer::Json(object(&[("series", integer()), ("samples", integer()), ("summary", summary())]))
        }
        "/api/v1/metrics" => Answer::Json(object(&[("metrics", list(object(&[("name", text())])))])),
        "/api/v1/dashboards" => {
            let listed = [("slug", text()), ("title", text()), ("origin", text()), ("version", text())];
            Answer::Json(object(&[("dashboards", list(object(&listed))), ("problems", list(problem()))]))
        }
        "/api/v1/dashboards/{slug}" => Answer::File(&["application/json", "application/yaml"]),
        "/api/v1/dashboards/check" => Answer::Json(object(&[("problems", list(problem()))])),
        "/api/v1/dashboards/import" => {
            let left = object(&[("place", text()), ("what", text())]);
            let found = [("slug", text()), ("yaml", text()), ("problems", list(problem())), ("not_mapped", list(left))];
            Answer::Json(object(&found))
        }
        "/api/v1/settings" => {
            let setting = [("key", text()), ("doc", text()), ("origin", text()), ("from", text())];
            Answer::Json(object(&[("settings", list(object(&setting))), ("tables", list(object(&[("key", text())])))]))
        }
        "/api/v1/agents" => Answer::Json(object(&[("agents", list(object(&[])))])),
        "/-/seal" => Answer::Json(object(&[("log_rows", integer()), ("samples", integer()), ("bytes", integer())])),
        "/-/reload" => Answer::Json(object(&[("needs_restart", list(text()))])),
        "/api/v1/alerts/{id}" => {
            Answer::Json(object(&[("id", text()), ("labels", map(text())), ("evidence", object(&[]))]))
        }
        "/api/v1/alerts/pictures/{name}" => Answer::File(&["image/png"]),
        "/api/v1/notifications" => {
            let notification = object(&[("id", text()), ("time", text()), ("message", text())]);
            Answer::Json(object(&[("notifications", list(notification)), ("summary", summary())]))
        }
        "/api/v1/notify/receivers" => {
            Answer::Json(object(&[("receivers", list(object(&[("name", text())]))), ("route", object(&[]))]))
        }
        "/api/v1/notify/test" => Answer::Json(object(&[("receiver", text()), ("channels", list(object(&[])))])),
        // A list of silences, or the id of the one that was made.
        "/api/v2/silences" => Answer::Json(json!({ "type": ["array", "object"] })),
        // Ended: nothing is said.
        "/api/v2/silence/{id}" => Answer::Json(json!({})),
        "/api/v2/status" => Answer::Json(object(&[("uptime", text())])),
        "/api/v2/alerts" | "/api/v2/alerts/groups" | "/api/v2/receivers" => Answer::Json(list(object(&[]))),
        "/api/v1/logs/delete"
        | "/api/v1/streams"
        | "/api/v1/ingest"
        | "/api/v1/series/cardinality"
        | "/openapi.json" => Answer::Json(object(&[])),
        "/api/v1/logs/pattern" => Answer::Json(object(&[("id", text()), ("pattern", text())])),
        "/api/v1/logs/patterns" => Answer::Json(patterns()),
        "/api/v1/logs/compare" => {
            let change = || ("change", json!({ "enum": ["new", "gone", "grown", "shrunk"] }));
            let side = || object(&[("from", text()), ("to", text()), ("total", integer())]);
            let pattern = object(&[("id", text()), ("pattern", text()), change()]);
            let field = object(&[("field", text()), ("values", list(object(&[("value", text()), change()])))]);
            Answer::Json(object(&[
                ("before", side()),
                ("after", side()),
                ("patterns", list(pattern)),
                ("patterns_total", integer()),
                ("fields", list(field)),
                ("summary", summary()),
            ]))
        }
        "/api/v1/metrics/moved" => {
            let metric = object(&[("name", text()), ("expression", text()), ("change", text())]);
            Answer::Json(object(&[("metrics", list(metric)), ("total", integer()), ("summary", summary())]))
        }
        "/api/v1/views" => Answer::Json(object(&[("views", list(view()))])),
        "/api/v1/views/{name}" => Answer::Json(object(&[("view", view())])),
        "/api/v1/rules/replay" => {
            let firing = object(&[("labels", map(text())), ("start", text()), ("message", text())]);
            let rule =
                object(&[("name", text()), ("group", text()), ("firing_total", integer()), ("firings", list(firing))]);
            let night = object(&[("night", text()), ("firings", integer()), ("pages", integer())]);
            let counted =
                [("evaluations", integer()), ("firings", integer()), ("pages", integer()), ("nights", list(night))];
            let told = object(&[&counted[..], &[("partial", partial())]].concat());
            Answer::Json(object(&[("rules", list(rule)), ("summary", told)]))
        }
        "/api/v1/logs/explain" => {
            let condition = object(&[("text", text()), ("column", integer())]);
            Answer::Json(object(&[
                ("rows", integer()),
                ("conditions", list(condition)),
                ("stages", list(object(&[("text", text())]))),
                ("nearest", object(&[])),
                ("unknown_fields", list(object(&[("name", text())]))),
                ("summary", summary()),
            ]))
        }
        "/api/v1/ship" | "/v1/logs" | "/otlp/v1/logs" | "/v1/metrics" | "/v1/traces" => {
            Answer::File(&["application/json", "application/octet-stream", "application/x-protobuf"])
        }
        "/api/v1/write" | "/api/v1/admin/tsdb/delete_series" | "/api/v1/admin/tsdb/clean_tombstones" => Answer::Nothing,
        "/healthz" | "/readyz" | "/metrics" => Answer::Text("text/plain"),
        _ => Answer::Json(envelope(prometheus_data(path)?)),
    };
    Some(found)
}

/// What stands in the `data` of Prometheus' envelope.
fn prometheus_data(path: &str) -> Option<Value> {
    let text = || json!({ "type": "string" });
    let data = match path {
        "/api/v1/query" | "/api/v1/query_range" => {
            let kinds = json!({ "enum": ["scalar", "string", "vector", "matrix"] });
            object(&[("resultType", kinds), ("result", json!({ "type": "array" }))])
        }
        "/api/v1/format_query" => text(),
        "/api/v1/parse_query" => object(&[("type", text())]),
        "/api/v1/series" => list(map(text())),
        "/api/v1/labels" | "/api/v1/label/{name}/values" => list(text()),
        "/api/v1/metadata" => map(list(object(&[("type", text()), ("help", text()), ("unit", text())]))),
        "/api/v1/query_exemplars" => {
            let exemplar =
                object(&[("labels", map(text())), ("value", text()), ("timestamp", json!({ "type": "number" }))]);
            list(object(&[("seriesLabels", map(text())), ("exemplars", list(exemplar))]))
        }
        "/api/v1/targets" => object(&[("activeTargets", list(object(&[("labels", map(text())), ("health", text())])))]),
        "/api/v1/rules" => object(&[("groups", list(object(&[("name", text()), ("rules", list(object(&[])))])))]),
        "/api/v1/alerts" => object(&[("alerts", list(object(&[("labels", map(text())), ("state", text())])))]),
        "/api/v1/status/buildinfo" => object(&[("version", text())]),
        "/api/v1/status/flags" => map(text()),
        "/api/v1/status/runtimeinfo" => object(&[("startTime", text())]),
        "/api/v1/status/tsdb" => object(&[("headStats", object(&[]))]),
        _ => return None,
    };
    Some(data)
}

/// In whose words errors of a path are told.
pub fn errors(path: &str) -> Errors {
    match path {
        "/api/v1/write" | "/api/v1/ship" | "/api/v1/logs" | "/api/v1/streams" => Errors::Protocol,
        "/v1/logs" | "/otlp/v1/logs" | "/v1/metrics" | "/v1/traces" => Errors::Protocol,
        "/api/v1/series/count" => Errors::Prometheus,
        path if path.starts_with("/api/v2/") => Errors::Protocol,
        path if prometheus_data(path).is_some() || path.starts_with("/api/v1/admin/") => Errors::Prometheus,
        _ => Errors::Native,
    }
}

/// The media types of a body that is no form, with what they carry.
pub fn body(path: &str) -> Option<Value> {
    let bytes = || json!({ "schema": { "type": "string", "format": "binary" } });
    match path {
        "/api/v1/logs" => {
            let records = json!({ "schema": { "type": "array", "items": { "type": "object" } } });
            Some(json!({ "application/json": records, "application/x-ndjson": bytes() }))
        }
        "/api/v1/dashboards/{slug}" | "/api/v1/dashboards/check" => {
            Some(json!({ "application/yaml": bytes(), "application/json": { "schema": { "type": "object" } } }))
        }
        "/api/v1/dashboards/import" => Some(json!({ "application/json": { "schema": { "type": "object" } } })),
        "/api/v2/silences" => Some(json!({ "application/json": { "schema": { "type": "object" } } })),
        "/api/v1/write" => Some(json!({ "application/x-protobuf": bytes() })),
        "/v1/logs" | "/otlp/v1/logs" | "/v1/metrics" | "/v1/traces" => {
            Some(json!({ "application/json": { "schema": { "type": "object" } }, "application/x-protobuf": bytes() }))
        }
        "/api/v1/ship" => Some(json!({ "application/octet-stream": bytes() })),
        _ => None,
    }
}

/// The type of a parameter; those that may be repeated are lists.
pub fn parameter(name: &str) -> Value {
    match name {
        "limit" | "before" | "after" | "last" | "rate" | "from_seq" | "limit_per_metric" => {
            json!({ "type": "integer", "minimum": 0 })
        }
        "order" => json!({ "enum": ["newest", "oldest"] }),
        "format" => json!({ "enum": ["ndjson", "csv", "json"] }),
        "preview" | "exclude_alerts" | "error" | "active" | "silenced" | "inhibited" => json!({ "type": "boolean" }),
        name if name.ends_with("[]") => json!({ "type": "array", "items": { "type": "string" } }),
        _ => json!({ "type": "string" }),
    }
}

/// Whether a path has no answer without the parameter.
pub fn is_required(path: &str, name: &str) -> bool {
    match name {
        "query" => true,
        "step" => path == "/api/v1/query_range",
        "start" | "end" => path == "/api/v1/query_range",
        "before_from" | "before_to" | "after_from" | "after_to" => true,
        "text" => path == "/api/v1/logs/pattern",
        "id" => path.starts_with("/api/v1/logs/"),
        "match[]" => matches!(path, "/api/v1/series" | "/api/v1/series/count") || path.ends_with("delete_series"),
        "agent" => path == "/api/v1/streams",
        "receiver" => path == "/api/v1/notify/test",
        "reason" | "q" => path == "/api/v1/logs/delete",
        _ => false,
    }
}

/// What every answer with an error looks like.
pub fn error(errors: Errors) -> Value {
    let native = object(&[("error", object(&[("message", json!({ "type": "string" }))]))]);
    let of_prometheus = object(&[
        ("status", json!({ "const": "error" })),
        ("errorType", json!({ "type": "string" })),
        ("error", json!({ "type": "string" })),
    ]);
    match errors {
        Errors::Native => json!({ "application/json": { "schema": native } }),
        // What stands before all paths speaks in our own words.
        Errors::Prometheus => json!({ "application/json": { "schema": { "anyOf": [of_prometheus, native] } } }),
        Errors::Protocol => {
            json!({ "application/json": { "schema": {} }, "text/plain": { "schema": {} }, "application/x-protobuf": { "schema": {} } })
        }
    }
}

fn envelope(data: Value) -> Value {
    object(&[("status", json!({ "const": "success" })), ("data", data)])
}

/// An object that has at least these.
fn object(fields: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let fields: Map<String, Value> = fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "required": names, "properties": fields })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn map(values: Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

/// Something wrong with a text, and where.
fn problem() -> Value {
    let integer = || json!({ "type": "integer" });
    object(&[("line", integer()), ("column", integer()), ("message", json!({ "type": "string" }))])
}

fn view() -> Value {
    let text = || json!({ "type": "string" });
    object(&[("name", text()), ("address", text()), ("saved", text())])
}

fn partial() -> Value {
    json!({ "type": ["boolean", "string"] })
}

fn summary() -> Value {
    let number = || json!({ "type": "number" });
    object(&[("scanned_rows", number()), ("scanned_bytes", number()), ("elapsed_ms", number()), ("partial", partial())])
}

fn patterns() -> Value {
    let (text, integer) = (|| json!({ "type": "string" }), || json!({ "type": "integer" }));
    let service = object(&[("value", text()), ("count", integer())]);
    let pattern = object(&[
        ("id", text()),
        ("pattern", text()),
        ("count", integer()),
        ("level", text()),
        ("levels", map(integer())),
        ("services", list(service)),
        ("services_total", integer()),
        ("first_seen", text()),
        ("last_seen", text()),
        ("example", object(&[("id", text())])),
        ("trend", list(integer())),
    ]);
    object(&[
        ("patterns", list(pattern)),
        ("patterns_total", integer()),
        ("total", integer()),
        ("other", integer()),
        ("trend", object(&[("start", text()), ("interval_ms", integer())])),
        ("summary", summary()),
    ])
}

fn error_group() -> Value {
    let (text, integer) = (|| json!({ "type": "string" }), || json!({ "type": "integer" }));
    object(&[
        ("id", text()),
        ("service", text()),
        ("type", text()),
        ("message", text()),
        ("culprit", text()),
        ("state", json!({ "enum": ["open", "regressed", "resolved", "ignored"] })),
        ("total", integer()),
        ("first_seen", text()),
        ("last_seen", text()),
        ("versions", list(text())),
    ])
}

fn annotation() -> Value {
    let text = || json!({ "type": "string" });
    object(&[
        ("id", text()),
        ("time", text()),
        ("end", json!({ "type": ["string", "null"] })),
        ("kind", text()),
        ("service", text()),
        ("version", text()),
        ("text", text()),
        ("author", text()),
        ("links", list(text())),
        ("source", text()),
    ])
}

fn record() -> Value {
    let text = || json!({ "type": "string" });
    object(&[
        ("id", text()),
        ("seq", json!({ "type": "integer" })),
        ("time", text()),
        ("message", text()),
        ("attributes", json!({ "type": "object" })),
    ])
}
