//! `/api/v1/settings`: every key of the configuration with its value, its default, and where the value came from. Secrets are
//! never told: of a URL only how it begins, of a token nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::App;
use crate::config::keys::keys;
use crate::config::layers::default_value;
use crate::config::{Layers, Origin};

/// Lists of tables, which have no keys of their own in the table of keys.
const TABLES: [&str; 6] = [
    "retention",
    "metric_retention",
    "annotations.from_logs",
    "collector.files",
    "collector.scrape",
    "collector.shape",
];

/// What stands where something is not told.
const HIDDEN: &str = "(hidden)";

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/settings", get(settings))
}

async fn settings(State(app): State<Arc<App>>) -> Json<Value> {
    Json(told(&app.reload.at_work()))
}

fn told(layers: &Layers) -> Value {
    let settings: Vec<Value> = keys()
        .map(|key| {
            let origin = layers.origin(key.path);
            json!({
                "key": key.path,
                "doc": key.doc,
                "flag": key.flag,
                "variables": key.variables().collect::<Vec<_>>(),
                "value": layers.value(key.path).map(|value| harmless(key.path, &value)),
                "default": default_value(key.path).map(|value| harmless(key.path, &value)),
                "origin": origin_word(&origin),
                "from": origin.to_string(),
            })
        })
        .collect();
    let tables: Vec<Value> = TABLES
        .iter()
        .map(|path| json!({ "key": path, "value": layers.value(path).map(|value| harmless(path, &value)) }))
        .collect();
    json!({ "settings": settings, "tables": tables })
}

fn origin_word(origin: &Origin) -> &'static str {
    match origin {
        Origin::Default => "default",
        Origin::File(_) => "file",
        Origin::Variable(_) => "variable",
        Origin::Flag(_) => "flag",
    }
}

/// The value without what must not be seen.
fn harmless(path: &str, value: &toml::Value) -> Value {
    let name = path.rsplit('.').next().unwrap_or(path);
    let is_secret = ["token", "password", "secret", "key"]
        .iter()
        .any(|word| name == *word || name.ends_with(&format!("_{word}")) || name.ends_with(&format!("_{word}s")));
    match value {
        toml::Value::Array(items) => items.iter().map(|item| harmless(path, item)).collect(),
        toml::Value::Table(table) => {
            let inner = table.iter().map(|(name, value)| (name.clone(), harmless(&format!("{path}.{name}"), value)));
            Value::Object(inner.collect())
        }
        _ if is_secret => HIDDEN.into(),
        toml::Value::String(text) => shortened_url(name, text).into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(time) => time.to_string().into(),
    }
}

/// Addresses of webhooks are secrets themselves, and any address may carry a password: scheme and host are told.
fn shortened_url(name: &str, text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let had_user = host.len() < authority.len();
    let tells_path = !(name.contains("webhook") || name.contains("url") && path.len() > 30 || name == "url");
    match (path, tells_path) {
        ("", _) if !had_user => text.to_owned(),
        ("", _) => format!("{scheme}://{host}"),
        (path, true) if !path.contains('?') => format!("{scheme}://{host}/{path}"),
        _ => format!("{scheme}://{host}/{HIDDEN}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Override;

    #[test]
    fn values_are_told_with_where_they_came_from_and_secrets_are_not() {
        let hook = "https://user:pass@hooks.example.org/services/T0/B0/XyZ";
        let flags = vec![Override {
            key: "alerts.webhooks",
            flag: "--x",
            value: toml::Value::Array(vec![toml::Value::String(hook.to_owned())]),
        }];
        let variables = [("TAFFRAIL_HTTP".to_owned(), "127.0.0.1:1".to_owned())];
        let told = told(&Layers::read(None, variables.into_iter(), flags).unwrap());
        let of = |key: &str| told["settings"].as_array().unwrap().iter().find(|one| one["key"] == key).unwrap().clone();
        assert_eq!(of("server.http")["value"], "127.0.0.1:1");
        assert_eq!(of("server.http")["default"], "127.0.0.1:6464");
        assert_eq!(
            (&of("server.http")["origin"], &of("query.rows_max")["origin"]),
            (&json!("variable"), &json!("default"))
        );
        assert_eq!(of("alerts.webhooks")["value"][0], "https://hooks.example.org/(hidden)");
        assert!(!told.to_string().contains("XyZ") && !told.to_string().contains("pass@"), "{told}");
    }

    #[test]
    fn what_is_secret_by_its_name_is_hidden_wherever_it_stands() {
        let check = |path: &str, text: &str, expected: &str| {
            assert_eq!(harmless(path, &toml::Value::String(text.to_owned())), expected, "{path}");
        };
        check("collector.token", "abc", HIDDEN);
        check("notify.routing_key", "abc", HIDDEN);
        check("notify.receivers.password", "abc", HIDDEN);
        check("collector.token_file", "/etc/token", "/etc/token");
        check("collector.to", "https://logs:6464", "https://logs:6464");
        check("alerts.external_url", "https://u:p@logs/x", "https://logs/x");
    }
}
