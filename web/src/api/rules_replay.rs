//! `/api/v1/rules/replay`: what rules would have done over stored data, each firing with its message, and how many pages that
//! would have been by night.
//!
//! The rules are those of the parameter `rules` (a whole file, one group, or one rule, in YAML), else those at work. The answer
//! streams as lines `progress`, `rule` (one each) and last `summary` or `error`, or comes as one document for who accepts
//! `application/json`. A rehearsal takes its turn and its time from exports: it may look at a month.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::{Scan, TimeRange};
use taffrail_query::alert::replay::{Firing, Progress, Rehearsal, RuleReplay, nights, replay};
use taffrail_query::alert::rule::{Group, Problem, parse_rules};
use taffrail_query::alert::state::Labels;
use taffrail_query::promql::StoreSource;
use taffrail_query::time_range;
use tokio::sync::mpsc;

use super::App;
use super::document::Document;
use super::logs::search::{accepts_one_document, send};
use super::ndjson;
use super::parameters::Parameters;
use super::question::{Turn, summary};
use crate::api_error::ApiError;

/// How far back a rehearsal looks when nobody says it.
const SINCE_DEFAULT: &str = "30d";

/// Lines that may wait for a slow reader.
const LINES_WAITING_MAX: usize = 256;

/// What is named as the file of rules that came with the request.
const FILE: &str = "request";

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/rules/replay", post(answer))
}

/// Answers `rules`, `from`, `to`, `interval` and `timezone`.
async fn answer(State(app): State<Arc<App>>, headers: HeaderMap, parameters: Parameters) -> Result<Response, ApiError> {
    let asked = Asked::read(&app, &parameters)?;
    let Turn { scan, guard, permit } = app.questions.turn_of_export()?;
    let source = StoreSource::new(app.ingest.series().clone()).with_logs(app.ingest.logs().clone());
    let memory_bytes_max = app.questions.settings().memory_bytes_max;
    let one_document = accepts_one_document(&headers);
    let (lines, waiting) = mpsc::channel::<Bytes>(LINES_WAITING_MAX);
    let worker_scan = scan.clone();
    let work = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        // Who reads slowly sees fewer of them.
        let mut tell = |progress: Progress| drop(lines.try_send(ndjson::line(&progress_json(progress))));
        let answer = asked.answer(&source, &worker_scan, memory_bytes_max, &mut tell);
        if one_document {
            return answer.map(|answer| Document::of(&answer.document()));
        }
        let last = match &answer {
            Ok(answer) => {
                let mut rules = answer.rules.iter();
                let told = rules.all(|rule| send(&lines, ndjson::line(&json!({ "rule": rule })), &worker_scan).is_ok());
                told.then(|| json!({ "summary": answer.summary }))
            }
            Err(error) => Some(error.body()),
        };
        if let Some(last) = last {
            // Whoever went away meanwhile needs no last line.
            let _ = send(&lines, ndjson::line(&last), &worker_scan);
        }
        answer.map(|_| Document::of(&Value::Null))
    });
    if one_document {
        drop(waiting);
        let answer = work.await;
        guard.done();
        let answer = answer.map_err(|panic| ApiError::internal(format!("the rehearsal broke off: {panic}")))?;
        return Ok(answer?.into_response());
    }
    let lines = stream::unfold((waiting, Some(guard)), async |(mut waiting, mut guard)| match waiting.recv().await {
        Some(line) => Some((line, (waiting, guard))),
        None => {
            if let Some(guard) = guard.take() {
                guard.done();
            }
            None
        }
    });
    Ok(ndjson::stream(lines))
}

/// What to rehearse.
struct Asked {
    groups: Vec<Group>,
    range: TimeRange,
    interval: Duration,
    zone: TimeZone,
    external_url: String,
}

/// What came of it.
struct Answer {
    rules: Vec<Value>,
    summary: Value,
}

impl Answer {
    fn document(self) -> Value {
        json!({ "rules": self.rules, "summary": self.summary })
    }
}

impl Asked {
    fn read(app: &App, parameters: &Parameters) -> Result<Asked, ApiError> {
        let groups = match parameters.get("rules") {
            Some(text) => read_rules(text).map_err(|problems| {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                ApiError::bad_request(lines.join("\n"))
            })?,
            None => app.alerts.groups(),
        };
        let from = parameters.get("from").unwrap_or(SINCE_DEFAULT);
        let range = time_range::parse_range(Some(from), parameters.get("to"), Timestamp::now());
        let interval = match parameters.get("interval") {
            None => app.alerts.interval(),
            Some(text) => time_range::parse_span(text).map_err(ApiError::bad_request)?,
        };
        if interval.is_zero() {
            return Err(ApiError::bad_request("`interval` is longer than nothing"));
        }
        let zone = match parameters.get("timezone") {
            None => TimeZone::system(),
            Some(name) => TimeZone::get(name).map_err(|_| {
                ApiError::bad_request(format!("`timezone` is a name like Europe/Berlin or UTC, not `{name}`"))
            })?,
        };
        let external_url = app.alerts.external_url().to_owned();
        Ok(Asked { groups, range: range.map_err(ApiError::bad_request)?, interval, zone, external_url })
    }

    fn answer(
        &self,
        source: &StoreSource,
        scan: &Scan,
        memory_bytes_max: u64,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Answer, ApiError> {
        let none = Labels::new();
        let rehearsal = Rehearsal {
            source,
            scan,
            memory_bytes_max,
            alerts_max: taffrail_query::alert::replay::FIRINGS_MAX,
            interval: self.interval,
            external_labels: &none,
            external_url: &self.external_url,
            from: self.range.start,
            to: self.range.end,
        };
        let replayed = replay(&self.groups, &rehearsal, tell).map_err(ApiError::bad_request)?;
        let (nights, pages) = nights(&replayed.rules, &self.zone);
        let firings: u64 = replayed.rules.iter().map(|rule| rule.firing_total).sum();
        let mut summary = summary(scan, replayed.partial.as_deref());
        summary["from"] = self.range.start.to_string().into();
        summary["to"] = self.range.end.to_string().into();
        summary["evaluations"] = replayed.evaluations.into();
        summary["firings"] = firings.into();
        summary["pages"] = pages.into();
        summary["nights"] = json!(nights);
        summary["timezone"] = self.zone.iana_name().unwrap_or("UTC").into();
        Ok(Answer { rules: replayed.rules.iter().map(rule_json).collect(), summary })
    }
}

/// A whole file, a group or a rule: what stands at its top says which. Places are those of the text as it came.
fn read_rules(text: &str) -> Result<Vec<Group>, Vec<Problem>> {
    let has_top = |key: &str| text.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
    let item = text.lines().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let is_list = item.is_some_and(|line| line.starts_with("- "));
    // Lines before the text, and how it begins and goes on.
    let (head, first, rest) = if has_top("groups") || text.trim().is_empty() {
        ("", "", "")
    } else if has_top("rules") || is_list && text.lines().any(|line| line.trim_start().starts_with("rules:")) {
        if is_list { ("groups:\n", "", "") } else { ("groups:\n", "- ", "  ") }
    } else if is_list {
        ("groups:\n- name: request\n  rules:\n", "  ", "  ")
    } else {
        ("groups:\n- name: request\n  rules:\n", "  - ", "    ")
    };
    let mut whole = head.to_owned();
    let mut begun = false;
    for line in text.lines() {
        let is_content = !line.trim().is_empty() && !line.trim_start().starts_with('#');
        whole.push_str(if is_content && !begun { first } else { rest });
        begun |= is_content;
        whole.push_str(line);
        whole.push('\n');
    }
    parse_rules(FILE, &whole).map_err(|problems| {
        let (lines, columns) = (head.lines().count() as u64, rest.len() as u64);
        let moved = problems.into_iter().map(|problem| Problem {
            line: problem.line.saturating_sub(lines),
            column: problem.column.saturating_sub(columns).max(1),
            ..problem
        });
        moved.collect()
    })
}

fn progress_json(progress: Progress) -> Value {
    json!({ "progress": {
        "done": (progress.done * 1000.0).round() / 1000.0,
        "time": progress.time.to_string(),
        "firings": progress.firings,
    }})
}

fn rule_json(rule: &RuleReplay) -> Value {
    json!({
        "file": rule.file,
        "group": rule.group,
        "name": rule.name,
        "type": if rule.records { "recording" } else { "alerting" },
        "firings": rule.firings.iter().map(|firing| firing_json(rule, firing)).collect::<Vec<_>>(),
        "firing_total": rule.firing_total,
        "pending_only": rule.pending_only,
        "failed_evaluations": rule.failed,
        "error": rule.error,
    })
}

fn firing_json(rule: &RuleReplay, firing: &Firing) -> Value {
    let lines = firing.log_lines.as_ref().map(|lines| {
        json!({ "query": lines.query, "max": lines.max, "from": lines.from.to_string(), "to": lines.to.to_string() })
    });
    let number = |value: f64| if value.is_finite() { json!(value) } else { Value::Null };
    json!({
        "labels": firing.labels,
        "annotations": firing.annotations,
        "value": number(firing.value),
        "worst": number(firing.worst),
        "active_at": firing.active_at.to_string(),
        "start": firing.start.to_string(),
        "end": firing.end.map(|end| end.to_string()),
        "message": message(rule, firing),
        "log_lines": lines,
    })
}

/// What people would have read: the alert's name and labels, then its texts.
fn message(rule: &RuleReplay, firing: &Firing) -> String {
    let labels = firing.labels.iter().filter(|(name, _)| *name != "alertname");
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    let mut text = format!("[FIRING] {} {}", rule.name, labels.join(" ")).trim_end().to_owned();
    let text_of = |name: &str| firing.annotations.get(name);
    for first in ["summary", "description"].into_iter().filter_map(text_of) {
        text.push('\n');
        text.push_str(first);
    }
    let others = firing.annotations.iter().filter(|(name, _)| !matches!(name.as_str(), "summary" | "description"));
    for (name, value) in others {
        text.push_str(&format!("\n{name}: {value}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn a_file_a_group_and_a_rule_are_read_and_places_are_those_of_the_text() {
        let check = |text: &str, names: &[&str]| {
            let groups = read_rules(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
            let found: Vec<&str> =
                groups.iter().flat_map(|group| &group.rules).map(|rule| rule.name.as_str()).collect();
            assert_eq!(found, names, "{text}");
        };
        check("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up == 0\n", &["A"]);
        check("# one\nname: g\nrules:\n- alert: A\n  expr: up == 0\n- record: b\n  expr: up\n", &["A", "b"]);
        check("- name: g\n  rules:\n  - alert: A\n    expr: up == 0\n", &["A"]);
        check("alert: A\nexpr: |\n  up\n  == 0\nlabels:\n  a: b\n", &["A"]);
        check("- alert: A\n  expr: up\n- alert: B\n  expr: up\n", &["A", "B"]);
        check("{ alert: A, expr: up }", &["A"]);
        let place = |text: &str| {
            let problems = read_rules(text).unwrap_err();
            (problems[0].line, problems[0].column)
        };
        assert_eq!(place("alert: A\nexpr: up ==\n"), (2, 7));
        assert_eq!(place("name: g\nrules:\n- alert: A\n  expr: up ==\n"), (4, 9));
        assert_eq!(place("- alert: A\n  expr: up ==\n"), (2, 9));
        assert_eq!(place("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up ==\n"), (5, 11));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_rule_is_rehearsed_over_what_is_stored() {
        let world = crate::api::world::World::shop().await;
        let rule = "alert: Errors\ntype: logs\nwindow: 2m\nexpr: level:error\nannotations: { summary: '{{ $value }} errors' }\n";
        let rehearse = async |text: &str| {
            let mut uri =
                "/api/v1/rules/replay?from=2024-11-21T06:00:00Z&to=2024-11-21T09:00:00Z&timezone=UTC&rules=".to_owned();
            text.bytes().for_each(|byte| uri.push_str(&format!("%{byte:02X}")));
            let bytes = world.ask("POST", &uri).await.into_body().collect().await.unwrap().to_bytes();
            let lines = std::str::from_utf8(&bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap());
            lines.collect::<Vec<Value>>()
        };
        let lines = rehearse(rule).await;
        assert_eq!(lines[0]["progress"]["done"], json!(1.0), "{lines:?}");
        let summary = &lines[2]["summary"];
        assert_eq!(summary["partial"], json!(false), "{lines:?}");
        assert_eq!((&summary["evaluations"], &summary["firings"]), (&json!(180), &json!(1)), "{lines:?}");
        let firing = &lines[1]["rule"]["firings"][0];
        assert_eq!(firing["labels"], json!({ "alertname": "Errors" }));
        assert!(firing["message"].as_str().unwrap().starts_with("[FIRING] Errors\n"), "{firing}");
        assert_eq!(firing["log_lines"]["query"], "level:error");
        assert!(firing["end"].is_string());
        let wrong = rehearse("alert: A\nexpr: up ==\n").await;
        assert!(wrong[0]["error"]["message"].as_str().unwrap().starts_with("request:2:7: expr:"), "{wrong:?}");
    }
}
