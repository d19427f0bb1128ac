//! Dashboards of Grafana turned into ours: the JSON that its "Export" writes (schema versions 16 to 42,
//! <https://grafana.com/docs/grafana/latest/visualizations/dashboards/build-dashboards/view-dashboard-json-model/>), of which what
//! cannot be mapped is said, thing by thing.
//!
//! Here the head and the grid; [`variable`], [`panel`], [`unit`] (words for units), [`logql`] (simple selectors of Loki).

use serde::Serialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::files::slug_of;
use super::model::{Dashboard, Panel, Row, Text, TimeSpan, Variable};
use super::variables::{OWN_NAMES, uses};
use super::yaml::{Problem, read, write};

mod logql;
mod panel;
mod unit;
mod variable;

/// What became of a dashboard.
#[derive(Clone, Debug)]
pub struct Imported {
    /// A name for it.
    pub slug: String,
    /// Its YAML.
    pub yaml: String,
    /// What the YAML says.
    pub dashboard: Dashboard,
    /// What is still wrong with it; nothing, unless this importer is.
    pub problems: Vec<Problem>,
    /// What could not be mapped.
    pub not_mapped: Vec<NotMapped>,
}

/// Something that could not be mapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotMapped {
    /// The panel's title, or the part of the dashboard.
    pub place: String,
    /// What, and what stands there instead.
    pub what: String,
}

/// Collects what could not be mapped.
#[derive(Debug, Default)]
struct Notes(Vec<NotMapped>);

impl Notes {
    fn add(&mut self, place: &str, what: impl Into<String>) {
        let note = NotMapped { place: place.to_owned(), what: what.into() };
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }
}

/// Turns Grafana's JSON into a dashboard.
///
/// # Errors
/// A sentence, when the text is no dashboard of Grafana.
pub fn import(text: &str) -> Result<Imported, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("this is no JSON: {error}"))?;
    // Its API and its provisioning wrap the dashboard.
    let value = value.get("dashboard").filter(|inner| inner.is_object()).unwrap_or(&value);
    if value.get("spec").is_some() && value.get("kind").is_some() {
        return Err(
            "this is Grafana's new resource format (v2); export it with the switch for the classic model".to_owned()
        );
    }
    if value.get("panels").is_none() && value.get("rows").is_none() {
        return Err("this is no dashboard of Grafana: it has neither `panels` nor `rows`".to_owned());
    }
    let mut notes = Notes::default();
    let title = text_of(value, "title").unwrap_or("Imported dashboard");
    let mut dashboard = Dashboard {
        title: plain(title),
        description: text_of(value, "description").map(str::to_owned),
        tags: list_of(value, "tags").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        time: time_of(value, &mut notes),
        refresh: text_of(value, "refresh").filter(|refresh| is_span(refresh)).map(plain),
        variables: variable::all(value, &mut notes),
        rows: bare(rows_of(value, &mut notes)),
    };
    annotations(value, &mut notes);
    declare_missing(&mut dashboard, &mut notes);
    let yaml = write(&dashboard);
    let problems = read(&yaml).err().unwrap_or_default();
    Ok(Imported { slug: slug_of(title), yaml, dashboard, problems, not_mapped: notes.0 })
}

/// The panels in rows: one that is a row begins one, and what stands before the first has no heading.
fn rows_of(value: &Value, notes: &mut Notes) -> Vec<Row> {
    let mut rows = Vec::new();
    // Before schema version 16 rows held the panels.
    for row in list_of(value, "rows") {
        let mut found = row_of(row);
        found.panels = panels_of(list_of(row, "panels"), notes);
        rows.push(found);
    }
    let mut loose: Vec<&Value> = Vec::new();
    let mut current: Option<Row> = None;
    let mut panels: Vec<&Value> = list_of(value, "panels").iter().collect();
    panels.sort_by_key(|panel| place_of(panel));
    let mut close = |current: Option<Row>, loose: &mut Vec<&Value>, notes: &mut Notes| {
        let panels = panels_of(loose.drain(..), notes);
        match current {
            Some(row) => rows.push(Row { panels: [row.panels, panels].concat(), ..row }),
            None if !panels.is_empty() => rows.push(Row { panels, ..Row::default() }),
            None => {}
        }
    };
    for panel in panels {
        if text_of(panel, "type") == Some("row") {
            close(current.take(), &mut loose, notes);
            let mut row = row_of(panel);
            let mut inner: Vec<&Value> = list_of(panel, "panels").iter().collect();
            inner.sort_by_key(|panel| place_of(panel));
            row.panels = panels_of(inner, notes);
            current = Some(row);
        } else {
            loose.push(panel);
        }
    }
    close(current, &mut loose, notes);
    rows
}

fn row_of(row: &Value) -> Row {
    Row {
        title: text_of(row, "title").filter(|title| !title.is_empty()).map(str::to_owned),
        collapsed: row["collapsed"] == true || row["collapse"] == true,
        repeat: text_of(row, "repeat").map(plain),
        panels: Vec::new(),
    }
}

fn panels_of<'a>(panels: impl IntoIterator<Item = &'a Value>, notes: &mut Notes) -> Vec<Spanned<Panel>> {
    panels.into_iter().filter_map(|panel| panel::map(panel, notes)).map(bare).collect()
}

/// Top to bottom, left to right.
fn place_of(panel: &Value) -> (u64, u64) {
    let at = |axis: &str| panel["gridPos"][axis].as_u64().unwrap_or(0);
    (at("y"), at("x"))
}

fn time_of(value: &Value, notes: &mut Notes) -> Option<Spanned<TimeSpan>> {
    let (from, to) = (text_of(&value["time"], "from")?, text_of(&value["time"], "to").unwrap_or("now"));
    let now = taffrail_collector::model::Timestamp::now();
    if taffrail_query::time_range::parse_range(Some(from), Some(to), now).is_err() {
        notes.add("time", format!("the range {from} to {to}: it opens with the last hour"));
        return None;
    }
    Some(bare(TimeSpan { from: from.to_owned(), to: to.to_owned() }))
}

fn annotations(value: &Value, notes: &mut Notes) {
    for annotation in list_of(&value["annotations"], "list") {
        if annotation["builtIn"] != 1 {
            let name = text_of(annotation, "name").unwrap_or("one");
            notes.add("annotations", format!("the query of `{name}`: deploys and alerts are drawn by themselves here"));
        }
    }
    for link in list_of(value, "links") {
        notes.add("links", format!("the link `{}`", text_of(link, "title").unwrap_or_default()));
    }
}

/// Questions may hold names that nobody declared; they become texts to type.
fn declare_missing(dashboard: &mut Dashboard, notes: &mut Notes) {
    let mut missing: Vec<String> = Vec::new();
    let known = |name: &str| dashboard.variables.iter().any(|variable| variable.value.name == name);
    for panel in dashboard.panels() {
        let queries = panel.value.queries.iter();
        for text in queries.flat_map(|query| query.value.promql.iter().chain(&query.value.logs)) {
            for one in uses(&text.value) {
                let is_new = !known(one.name) && !OWN_NAMES.contains(&one.name);
                if is_new && !missing.iter().any(|name| name == one.name) {
                    missing.push(one.name.to_owned());
                }
            }
        }
    }
    for name in missing {
        notes.add("variables", format!("${name} is used and not declared: it is a text to type here"));
        dashboard.variables.push(bare(Variable { name, ..Variable::default() }));
    }
    let names: Vec<String> = dashboard.variables.iter().map(|variable| variable.value.name.clone()).collect();
    let is_known = |repeat: &Text| names.contains(&repeat.value);
    for row in &mut dashboard.rows.value {
        row.repeat = row.repeat.take().filter(is_known);
        for panel in &mut row.panels {
            panel.value.repeat = panel.value.repeat.take().filter(is_known);
        }
    }
}

fn is_span(text: &str) -> bool {
    taffrail_collector::config::span::parse(text).is_some_and(|span| span.as_secs() > 0)
}

fn text_of<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

fn list_of<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Something that stands nowhere yet.
fn bare<T>(value: T) -> Spanned<T> {
    Spanned::new(value, serde_saphyr::Location::UNKNOWN, serde_saphyr::Location::UNKNOWN)
}

fn plain(text: &str) -> Text {
    bare(text.to_owned())
}

/// Names as old versions wrote them: `[[host]]`.
fn modern_names(text: &str) -> String {
    text.replace("[[", "${").replace("]]", "}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dashboard with one of everything that is mapped, and some that is not.
    const SAMPLE: &str = r##"{
      "title": "Shop (prod)", "uid": "abc", "schemaVersion": 39, "tags": ["shop"], "refresh": "30s",
      "time": {"from": "now-6h", "to": "now"},
      "annotations": {"list": [{"builtIn": 1, "name": "Annotations & Alerts"}, {"name": "Releases"}]},
      "templating": {"list": [
        {"type": "datasource", "name": "ds", "query": "prometheus"},
        {"type": "query", "name": "host", "label": "Host", "query": {"query": "label_values(up{job=\"shop\"}, instance)", "refId": "A"},
         "multi": true, "includeAll": true, "regex": "/(.*):\\d+/", "current": {"value": ["$__all"]}},
        {"type": "custom", "name": "env", "query": "prod, test", "current": {"value": "test"}},
        {"type": "adhoc", "name": "filters"}
      ]},
      "panels": [
        {"type": "row", "title": "Traffic", "gridPos": {"x": 0, "y": 4, "w": 24, "h": 1}, "repeat": "host", "panels": []},
        {"type": "stat", "title": "Up", "gridPos": {"x": 0, "y": 0, "w": 6, "h": 4},
         "datasource": {"type": "prometheus", "uid": "${ds}"},
         "targets": [{"expr": "sum(up{instance=~\"$host\", env=\"[[env]]\"})", "instant": true, "refId": "A"}],
         "fieldConfig": {"defaults": {"unit": "short", "thresholds": {"mode": "absolute", "steps": [
            {"color": "red", "value": null}, {"color": "green", "value": 1}]}, "mappings": [{"type": "value"}]}},
         "options": {"reduceOptions": {"calcs": ["lastNotNull"]}}},
        {"type": "timeseries", "title": "Requests", "gridPos": {"x": 0, "y": 5, "w": 12, "h": 8},
         "targets": [{"expr": "sum by (code) (rate(http_requests_total{instance=~\"$host\"}[$__rate_interval]))", "legendFormat": "{{code}}"},
                     {"expr": "sum(rate(", "refId": "B"}],
         "fieldConfig": {"defaults": {"unit": "reqps", "min": 0, "custom": {"drawStyle": "line", "fillOpacity": 40,
            "stacking": {"mode": "normal"}, "spanNulls": true}}, "overrides": [{"matcher": {}}]},
         "options": {"legend": {"displayMode": "table"}}, "transformations": [{"id": "merge"}]},
        {"type": "logs", "title": "Errors", "gridPos": {"x": 12, "y": 5, "w": 12, "h": 8}, "datasource": {"type": "loki"},
         "targets": [{"expr": "{service=\"shop\"} |= \"timeout\" | json"}]},
        {"type": "heatmap", "title": "Latency", "gridPos": {"x": 0, "y": 13, "w": 12, "h": 8},
         "targets": [{"expr": "sum by (le) (increase(latency_bucket[$__interval]))", "format": "heatmap"}]},
        {"type": "text", "title": "", "gridPos": {"x": 12, "y": 13, "w": 12, "h": 3}, "options": {"mode": "markdown", "content": "# Hello"}},
        {"type": "bargauge", "title": "By code", "gridPos": {"x": 12, "y": 16, "w": 12, "h": 5}, "targets": [{"expr": "topk($n, up)"}]},
        {"type": "nodeGraph", "title": "Graph", "gridPos": {"x": 0, "y": 30, "w": 12, "h": 8}}
      ]}"##;

    #[test]
    fn a_dashboard_of_every_kind_of_panel_becomes_ours() {
        let imported = import(SAMPLE).unwrap();
        assert_eq!(imported.problems, [], "{}", imported.yaml);
        assert_eq!(imported.slug, "shop-prod");
        let value = serde_json::to_value(&imported.dashboard).unwrap();
        assert_eq!(value["time"]["from"], "now-6h");
        assert_eq!(value["refresh"], "30s");
        let host = &value["variables"][0];
        assert_eq!(
            (&host["label"], &host["of"], &host["regex"]),
            (&"instance".into(), &"up{job=\"shop\"}".into(), &"(.*):\\d+".into())
        );
        assert_eq!(value["variables"][1]["values"], serde_json::json!(["prod", "test"]));
        assert_eq!(value["variables"][1]["default"], serde_json::json!(["test"]));
        assert_eq!(value["variables"][2]["name"], "n", "what nobody declared is a text to type");
        let up = &value["rows"][0]["panels"][0];
        assert_eq!(up["queries"][0]["promql"], "sum(up{instance=~\"$host\", env=\"${env}\"})");
        assert_eq!(
            up["thresholds"],
            serde_json::json!([{"from": 0.0, "level": "bad"}, {"from": 1.0, "level": "good"}])
        );
        let row = &value["rows"][1];
        assert_eq!((&row["title"], &row["repeat"]), (&"Traffic".into(), &"host".into()));
        let panels = row["panels"].as_array().unwrap();
        let kinds: Vec<_> = panels.iter().map(|panel| panel["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["chart", "logs", "heatmap", "text", "bars"]);
        let requests = &panels[0];
        assert_eq!(
            (&requests["unit"], &requests["draw"], &requests["gaps"], &requests["legend"], &requests["width"]),
            (&"req/s".into(), &"stacked".into(), &"join".into(), &"table".into(), &12.into())
        );
        assert_eq!(requests["queries"].as_array().unwrap().len(), 1);
        assert_eq!(panels[1]["queries"][0]["logs"], "service:\"shop\" \"timeout\"");
    }

    #[test]
    fn what_cannot_be_mapped_is_said_thing_by_thing() {
        let notes = import(SAMPLE).unwrap().not_mapped;
        let check = |place: &str, part: &str| {
            let found = notes.iter().any(|note| note.place == place && note.what.contains(part));
            assert!(found, "{place}: {part} in {notes:#?}");
        };
        check("annotations", "`Releases`");
        check("variables", "$filters");
        check("variables", "$n is used and not declared");
        check("Up", "value mappings");
        check("Requests", "query B: PromQL");
        check("Requests", "1 field override");
        check("Requests", "transformation `merge`");
        check("Errors", "| json");
        check("Graph", "nodeGraph");
        assert!(!notes.iter().any(|note| note.what.contains("$ds")), "data sources need no word");
    }

    #[test]
    fn what_is_no_dashboard_is_refused_with_a_sentence() {
        let check = |text: &str, part: &str| assert!(import(text).unwrap_err().contains(part), "{text}");
        check("{", "no JSON");
        check("{}", "neither `panels` nor `rows`");
        check(r#"{"kind": "Dashboard", "apiVersion": "dashboard.grafana.app/v2beta1", "spec": {}}"#, "classic");
        check(r#"[1]"#, "neither");
    }

    #[test]
    fn old_rows_and_wrapped_dashboards_are_read_too() {
        let imported = import(
            r#"{"meta": {}, "dashboard": {"title": "t", "rows": [{"title": "r", "collapse": true, "panels": [
                {"type": "graph", "title": "g", "span": 6, "targets": [{"expr": "up"}], "yaxes": [{"format": "Bps", "logBase": 10}],
                 "bars": true, "nullPointMode": "null as zero"}]}]}}"#,
        )
        .unwrap();
        let value = serde_json::to_value(&imported.dashboard).unwrap();
        let panel = &value["rows"][0]["panels"][0];
        assert_eq!(value["rows"][0]["collapsed"], true);
        assert_eq!(
            (&panel["unit"], &panel["draw"], &panel["scale"], &panel["gaps"], &panel["width"]),
            (&"bytes/s".into(), &"bars".into(), &"log".into(), &"zero".into(), &12.into())
        );
    }
}
