//! One panel of Grafana.

use serde_json::Value;
use taffrail_query::log_search::Question;
use taffrail_query::promql;

use super::super::check::QUERIES_MAX;
use super::super::model::{
    COLUMNS, Calculation, Draw, Gaps, Legend, Level, Panel, PanelType, Query, Scale, Text, Threshold,
};
use super::super::variables::check_filled;
use super::{Notes, bare, list_of, logql, modern_names, plain, text_of, unit};

/// Our panel; none for a kind that has nothing like it here.
pub fn map(value: &Value, notes: &mut Notes) -> Option<Panel> {
    let title = text_of(value, "title").unwrap_or_default();
    let place = if title.is_empty() { format!("panel {}", value["id"]) } else { title.to_owned() };
    let kind_word = text_of(value, "type").unwrap_or_default();
    let Some(kind) = kind_of(kind_word, &place, notes) else {
        notes.add(&place, format!("a panel of type `{kind_word}`: it is left out"));
        return None;
    };
    let defaults = &value["fieldConfig"]["defaults"];
    let mut panel = Panel {
        title: Some(title.to_owned()).filter(|title| !title.is_empty()),
        description: text_of(value, "description").filter(|text| !text.is_empty()).map(str::to_owned),
        kind,
        width: size(&value["gridPos"]["w"], u64::from(COLUMNS)).or_else(|| old_width(value)).map(bare),
        height: size(&value["gridPos"]["h"], 60).map(bare),
        repeat: text_of(value, "repeat").map(plain),
        unit: unit_of(value, &place, notes),
        decimals: defaults["decimals"].as_u64().and_then(|digits| u8::try_from(digits).ok()),
        min: defaults["min"].as_f64(),
        max: defaults["max"].as_f64(),
        ..Panel::default()
    };
    if kind == PanelType::Text {
        panel.text = Some(words(value, &place, notes));
        return Some(panel);
    }
    panel.draw = draw_of(value, &place, notes);
    panel.gaps = gaps_of(value);
    panel.scale = scale_of(value);
    panel.legend = legend_of(value, kind);
    panel.calc = calculation_of(value, &place, notes);
    panel.thresholds = thresholds_of(defaults, &place, notes);
    for target in list_of(value, "targets").iter().take(QUERIES_MAX) {
        panel.queries.extend(query_of(target, value, kind, &place, notes).map(bare));
    }
    left_out(value, &place, notes);
    if panel.queries.is_empty() {
        notes.add(&place, "none of its queries: a text says so in its place");
        let text = format!("The queries of this {kind_word} panel could not be imported.");
        panel = Panel { kind: PanelType::Text, text: Some(plain(&text)), ..panel };
        panel.thresholds.clear();
    }
    Some(panel)
}

fn kind_of(word: &str, place: &str, notes: &mut Notes) -> Option<PanelType> {
    let kind = match word {
        "timeseries" | "graph" => PanelType::Chart,
        "stat" | "singlestat" => PanelType::Stat,
        "gauge" => PanelType::Gauge,
        "bargauge" => PanelType::Bars,
        "table" | "table-old" => PanelType::Table,
        "heatmap" => PanelType::Heatmap,
        "logs" => PanelType::Logs,
        "text" => PanelType::Text,
        "piechart" | "grafana-piechart-panel" | "barchart" => PanelType::Bars,
        "trend" | "state-timeline" | "status-history" => PanelType::Chart,
        _ => return None,
    };
    if matches!(word, "piechart" | "grafana-piechart-panel" | "barchart") {
        notes.add(place, format!("the shape `{word}`: bars stand in its place"));
    }
    if matches!(word, "trend" | "state-timeline" | "status-history") {
        notes.add(place, format!("the shape `{word}`: lines stand in its place"));
    }
    Some(kind)
}

fn size(value: &Value, most: u64) -> Option<u8> {
    value.as_u64().map(|size| size.clamp(1, most)).and_then(|size| u8::try_from(size).ok())
}

/// Before schema version 16 a row had 12 spans.
fn old_width(value: &Value) -> Option<u8> {
    size(&value["span"], 12).map(|span| span * 2)
}

fn unit_of(value: &Value, place: &str, notes: &mut Notes) -> Option<String> {
    let of_axis = value["yaxes"][0]["format"].as_str();
    let word = value["fieldConfig"]["defaults"]["unit"].as_str().or(of_axis).or_else(|| text_of(value, "format"))?;
    let mapped = unit::map(word).unwrap_or_else(|| {
        notes.add(place, format!("the unit `{word}`: the word stands behind the number"));
        word
    });
    Some(mapped.to_owned()).filter(|unit| !unit.is_empty())
}

fn words(value: &Value, place: &str, notes: &mut Notes) -> Text {
    let options = &value["options"];
    let content = text_of(options, "content").or_else(|| text_of(value, "content")).unwrap_or_default();
    if text_of(options, "mode").or_else(|| text_of(value, "mode")) == Some("html") {
        notes.add(place, "HTML: it is shown as text");
    }
    plain(content)
}

fn draw_of(value: &Value, place: &str, notes: &mut Notes) -> Draw {
    let custom = &value["fieldConfig"]["defaults"]["custom"];
    let stacking = text_of(&custom["stacking"], "mode").unwrap_or("none");
    if stacking == "percent" {
        notes.add(place, "stacking to 100 %: values are stacked as they are");
    }
    let is_stacked = stacking != "none" || value["stack"] == true;
    match text_of(custom, "drawStyle") {
        Some("bars") => Draw::Bars,
        Some("points") => Draw::Points,
        _ if value["bars"] == true => Draw::Bars,
        _ if is_stacked => Draw::Stacked,
        _ if custom["fillOpacity"].as_f64().is_some_and(|opacity| opacity >= 15.0) => Draw::Area,
        _ => Draw::Lines,
    }
}

fn gaps_of(value: &Value) -> Gaps {
    let joins = |value: &Value| value.as_bool() == Some(true) || value.is_number();
    match text_of(value, "nullPointMode") {
        Some("connected") => Gaps::Join,
        Some("null as zero") => Gaps::Zero,
        _ if joins(&value["fieldConfig"]["defaults"]["custom"]["spanNulls"]) => Gaps::Join,
        _ => Gaps::Gap,
    }
}

fn scale_of(value: &Value) -> Scale {
    let distribution = &value["fieldConfig"]["defaults"]["custom"]["scaleDistribution"];
    let old_base = value["yaxes"][0]["logBase"].as_u64().unwrap_or(1);
    if text_of(distribution, "type") == Some("log") || old_base > 1 { Scale::Log } else { Scale::Linear }
}

fn legend_of(value: &Value, kind: PanelType) -> Legend {
    let legend = &value["options"]["legend"];
    match text_of(legend, "displayMode") {
        _ if kind != PanelType::Chart => Legend::List,
        Some("table") => Legend::Table,
        Some("hidden") => Legend::None,
        _ if legend["showLegend"] == false || value["legend"]["show"] == false => Legend::None,
        _ if value["legend"]["values"] == true => Legend::Table,
        _ => Legend::List,
    }
}

fn calculation_of(value: &Value, place: &str, notes: &mut Notes) -> Calculation {
    let calcs = &value["options"]["reduceOptions"]["calcs"];
    match calcs[0].as_str().or_else(|| text_of(value, "valueName")).unwrap_or("lastNotNull") {
        "lastNotNull" | "last" | "current" => Calculation::Last,
        "firstNotNull" | "first" => Calculation::First,
        "mean" | "avg" => Calculation::Mean,
        "min" => Calculation::Min,
        "max" => Calculation::Max,
        "sum" | "total" => Calculation::Sum,
        "delta" | "diff" => Calculation::Change,
        other => {
            notes.add(place, format!("the calculation `{other}`: the last value is shown"));
            Calculation::Last
        }
    }
}

/// Levels for colours: the scale of traffic lights is what thresholds are nearly always written in.
fn thresholds_of(defaults: &Value, place: &str, notes: &mut Notes) -> Vec<Threshold> {
    let steps = list_of(&defaults["thresholds"], "steps");
    if text_of(&defaults["thresholds"], "mode") == Some("percentage") && steps.len() > 1 {
        notes.add(place, "thresholds in percent of the scale");
        return Vec::new();
    }
    let level = |step: &Value| match text_of(step, "color").unwrap_or_default().to_ascii_lowercase() {
        colour if colour.contains("green") => Level::Good,
        colour if colour.contains("red") => Level::Bad,
        colour if colour.contains("orange") || colour.contains("yellow") => Level::Warn,
        colour if colour.contains("blue") || colour.contains("purple") => Level::Info,
        _ => Level::None,
    };
    let mut found: Vec<Threshold> = Vec::new();
    let first_value = steps.iter().find_map(|step| step["value"].as_f64());
    for step in steps {
        match step["value"].as_f64() {
            Some(from) => found.push(Threshold { from, level: level(step) }),
            // What holds below all others: only worth a word when it is not simply good.
            None if matches!(level(step), Level::Bad | Level::Warn) => {
                let from = first_value.map_or(0.0, |first| if first > 0.0 { 0.0 } else { first - 1e12 });
                found.push(Threshold { from, level: level(step) });
            }
            None => {}
        }
    }
    found.sort_by(|one, other| one.from.total_cmp(&other.from));
    found.dedup_by(|one, other| one.from == other.from);
    found
}

fn query_of(target: &Value, panel: &Value, kind: PanelType, place: &str, notes: &mut Notes) -> Option<Query> {
    if target["hide"] == true {
        return None;
    }
    let reference = text_of(target, "refId").unwrap_or("A");
    let source = text_of(&target["datasource"], "type").or_else(|| text_of(&panel["datasource"], "type"));
    let Some(text) = text_of(target, "expr").filter(|text| !text.trim().is_empty()) else {
        let source = source.unwrap_or("unknown");
        notes.add(place, format!("query {reference}, which is not in PromQL (data source `{source}`)"));
        return None;
    };
    let text = modern_names(text);
    let name = text_of(target, "legendFormat").filter(|name| !["", "__auto"].contains(name)).map(str::to_owned);
    if source == Some("loki") || kind == PanelType::Logs {
        let Some((question, left)) = logql::map(&text) else {
            notes.add(place, format!("query {reference} in LogQL: {text}"));
            return None;
        };
        if let Some(left) = left {
            notes.add(place, format!("query {reference}: the end of the LogQL, {left}"));
        }
        if let Err(error) = check_filled(&question, Question::parse) {
            notes.add(place, format!("query {reference} in LogQL ({}): {text}", error.message));
            return None;
        }
        return Some(Query { logs: Some(plain(&question)), name, ..Query::default() });
    }
    if let Err(error) = check_filled(&text, promql::format) {
        notes.add(place, format!("query {reference}: PromQL: {error}"));
        return None;
    }
    Some(Query { promql: Some(plain(&text)), name, ..Query::default() })
}

/// What panels have beside their queries and has nothing like it here.
fn left_out(value: &Value, place: &str, notes: &mut Notes) {
    let overrides = list_of(&value["fieldConfig"], "overrides").len() + list_of(value, "seriesOverrides").len();
    match overrides {
        0 => {}
        1 => notes.add(place, "1 field override"),
        count => notes.add(place, format!("{count} field overrides")),
    }
    for transformation in list_of(value, "transformations") {
        notes.add(place, format!("the transformation `{}`", text_of(transformation, "id").unwrap_or_default()));
    }
    if !list_of(&value["fieldConfig"]["defaults"], "mappings").is_empty() {
        notes.add(place, "value mappings: numbers are shown as they are");
    }
    let links = list_of(value, "links").len() + list_of(&value["fieldConfig"]["defaults"], "links").len();
    if links > 0 {
        notes.add(place, "its links");
    }
    if value.get("alert").is_some() {
        notes.add(place, "its alert: write it as a rule (`taffrail rules check`)");
    }
    if value.get("libraryPanel").is_some() {
        notes.add(place, "the library panel that it refers to");
    }
}
