//! `/api/v1/{rules,alerts}`: how the rules stand. Beyond Prometheus' fields an alerting rule says `currentValue`, the number
//! that it looks at whether it fires or not, and `threshold`, the one it compares with; a rule with `type: logs` says `language` and
//! `window` (none for its group's interval).

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Map, Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::series_store::LabelMatcher;
use taffrail_query::alert::snapshot::{AlertingSnapshot, GroupSnapshot, RuleSnapshot};
use taffrail_query::alert::state::{Alert, AlertState, Labels};

use super::labels::read_selectors;
use super::notation::number;
use super::{Failure, Success};
use crate::api::App;
use crate::api::parameters::Parameters;

/// What Go writes for a moment that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Answers `type` (`alert`, `record`), `rule_name[]`, `rule_group[]`, `file[]`, `match[]` (of a rule's own labels), `exclude_alerts`,
/// and page by page `group_limit` and `group_next_token`.
pub async fn rules(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Success, Failure> {
    if let Some(kind) = parameters.get("type").filter(|kind| !matches!(*kind, "alert" | "record")) {
        return Err(Failure::bad_data(format!("invalid parameter \"type\": not supported value {kind:?}")));
    }
    let selectors = read_selectors(&parameters)?;
    let one_of = |name: &str, value: &str| {
        let mut wanted = parameters.all(name).peekable();
        wanted.peek().is_none() || wanted.any(|wanted| wanted == value)
    };
    let with_alerts = match parameters.get("exclude_alerts") {
        None | Some("false" | "0" | "f" | "F" | "FALSE" | "False") => true,
        Some("true" | "1" | "t" | "T" | "TRUE" | "True") => false,
        Some(other) => {
            return Err(Failure::bad_data(format!("invalid parameter \"exclude_alerts\": {other:?} is not a boolean")));
        }
    };
    let is_selected = |rule: &RuleSnapshot| {
        let of = |name: &str| rule.labels.get(name).map_or("", String::as_str);
        let all_match = |selector: &Vec<LabelMatcher>| selector.iter().all(|one| one.test.passes(of(&one.name)));
        selectors.is_empty() || selectors.iter().any(all_match)
    };
    let groups = app.alerts.snapshot().into_iter();
    let groups = groups.filter(|group| one_of("rule_group[]", &group.name) && one_of("file[]", &group.file));
    let groups = groups.filter_map(|group| {
        let rules = group.rules.iter().filter(|rule| {
            let kind = if rule.alerting.is_some() { "alert" } else { "record" };
            one_of("type", kind) && one_of("rule_name[]", &rule.name) && is_selected(rule)
        });
        let rules: Vec<Value> = rules.map(|rule| rule_json(rule, with_alerts)).collect();
        (!rules.is_empty() || group.rules.is_empty()).then(|| group_json(&group, rules))
    });
    let mut groups: Vec<Value> = groups.collect();
    let mut answer = json!({});
    if let Some(limit) = parameters.get("group_limit") {
        let limit = limit.parse::<usize>().ok().filter(|limit| *limit > 0).ok_or_else(|| {
            Failure::bad_data(format!("invalid parameter \"group_limit\": {limit:?} is no whole number above zero"))
        })?;
        if let Some(token) = parameters.get("group_next_token") {
            let at = groups.iter().position(|group| token_of(group) == token).ok_or_else(|| {
                Failure::bad_data(
                    "invalid parameter \"group_next_token\": no group has it; ask for the first page again",
                )
            })?;
            groups.drain(..at);
        }
        if let Some(next) = groups.get(limit) {
            answer["groupNextToken"] = token_of(next).into();
            groups.truncate(limit);
        }
    } else if parameters.get("group_next_token").is_some() {
        return Err(Failure::bad_data("invalid parameter \"group_limit\": group_next_token needs it"));
    }
    answer["groups"] = groups.into();
    Ok(Success::new(answer))
}

/// Where a page begins: with the group of this name and file.
fn token_of(group: &Value) -> String {
    let text = |name: &str| group[name].as_str().unwrap_or_default().to_owned();
    format!("{};{}", text("file"), text("name"))
}

/// All alerts that are pending or firing.
pub async fn alerts(State(app): State<Arc<App>>) -> Success {
    let alerts: Vec<Value> = app.alerts.alerts().iter().filter_map(|named| alert_json(&named.alert)).collect();
    Success::new(json!({ "alerts": alerts }))
}

fn group_json(group: &GroupSnapshot, rules: Vec<Value>) -> Value {
    json!({
        "name": group.name,
        "file": group.file,
        "interval": group.interval.as_secs_f64(),
        "limit": group.limit,
        "rules": rules,
        "evaluationTime": group.duration.as_secs_f64(),
        "lastEvaluation": moment(group.last_evaluation),
        "iterationsMissed": group.missed,
    })
}

fn rule_json(rule: &RuleSnapshot, with_alerts: bool) -> Value {
    let mut json = json!({
        "name": rule.name,
        "query": rule.expr,
        "labels": rule.labels,
        "health": rule.health,
        "evaluationTime": rule.duration.as_secs_f64(),
        "lastEvaluation": moment(rule.last_evaluation),
        "type": if rule.alerting.is_some() { "alerting" } else { "recording" },
    });
    if let Some(logs) = &rule.logs {
        json["language"] = "logs".into();
        json["window"] = logs.window.map(|window| window.as_secs_f64()).into();
    }
    if let Some(error) = &rule.last_error {
        json["lastError"] = error.as_str().into();
    }
    if let Some(alerting) = &rule.alerting {
        json["state"] = rule_state(&alerting.alerts).into();
        json["duration"] = alerting.hold.as_secs_f64().into();
        json["keepFiringFor"] = alerting.keep_firing.as_secs_f64().into();
        json["annotations"] = labels_json(&alerting.annotations);
        json["noData"] = json!(alerting.no_data);
        if let Some(lines) = &alerting.log_lines {
            json["logLines"] = json!({ "query": lines.query.to_string(), "max": lines.max });
        }
        json["currentValue"] = current_value(alerting).map_or(Value::Null, Value::from);
        json["threshold"] = alerting.comparison.as_ref().map_or(
            Value::Null,
            |comparison| json!({ "operator": comparison.operator, "value": comparison.threshold }),
        );
        if with_alerts {
            json["alerts"] = alerting.alerts.iter().filter_map(alert_json).collect();
        }
    }
    json
}

/// None for an alert that is over: Prometheus' API knows only those that are not.
fn alert_json(alert: &Alert) -> Option<Value> {
    let state = state_word(alert.state)?;
    let mut json = json!({
        "labels": labels_json(&alert.labels),
        "annotations": labels_json(&alert.annotations),
        "state": state,
        "activeAt": alert.active_at.to_string(),
        "value": number(alert.value),
    });
    if let Some(since) = alert.kept_since {
        json["keepFiringSince"] = since.to_string().into();
    }
    if let Some(since) = alert.no_data_since {
        json["noDataSince"] = since.to_string().into();
    }
    if let Some(lines) = &alert.log_lines {
        let (from, to) = (lines.from.to_string(), lines.to.to_string());
        json["logLines"] = json!({ "query": lines.query, "max": lines.max, "from": from, "to": to });
    }
    Some(json)
}

fn state_word(state: AlertState) -> Option<&'static str> {
    match state {
        AlertState::Pending => Some("pending"),
        AlertState::Firing => Some("firing"),
        AlertState::Resolved => None,
    }
}

fn rule_state(alerts: &[Alert]) -> &'static str {
    let words: Vec<_> = alerts.iter().filter_map(|alert| state_word(alert.state)).collect();
    ["firing", "pending"].into_iter().find(|word| words.contains(word)).unwrap_or("inactive")
}

/// Of several values the one nearest to firing: the greatest before `>`, the least before `<`, else the first. Between a
/// restart and the first evaluation the values are those that the alerts had before.
fn current_value(alerting: &AlertingSnapshot) -> Option<f64> {
    let of_alerts = alerting.alerts.iter().filter(|alert| state_word(alert.state).is_some()).map(|alert| alert.value);
    let before = if alerting.current.is_empty() { of_alerts.collect() } else { Vec::new() };
    let values = alerting.current.iter().map(|current| current.value).chain(before).filter(|value| value.is_finite());
    match alerting.comparison.as_ref().map(|comparison| comparison.operator) {
        Some(">" | ">=") => values.reduce(f64::max),
        Some("<" | "<=") => values.reduce(f64::min),
        _ => values.reduce(|first, _| first),
    }
}

fn labels_json(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect::<Map<_, _>>())
}

fn moment(at: Option<Timestamp>) -> String {
    at.map_or_else(|| NEVER.to_owned(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::World;

    const RULES: &str = "
groups:
  - name: always
    interval: 1s
    rules:
      - record: one
        expr: vector(1)
      - alert: Fires
        expr: vector(7) > 5
        labels: {severity: page}
        annotations: {summary: 'it is {{ $value }}'}
      - alert: Waits
        expr: vector(7) > 50
        for: 10m
";

    fn firing(world: &World) -> AlertingSnapshot {
        world.app.alerts.snapshot()[0].rules[1].alerting.clone().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn rules_tell_their_state_and_the_value_they_look_at() {
        let world = World::with_rules(RULES).await;
        let began = std::time::Instant::now();
        let rules = loop {
            assert!(began.elapsed() < std::time::Duration::from_secs(30), "the rules are evaluated");
            let answer = world.get("/api/v1/rules").await;
            let rules = answer["data"]["groups"][0]["rules"].clone();
            if rules.as_array().unwrap().iter().all(|rule| rule["health"] == "ok") {
                break rules;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        assert_eq!((&rules[0]["type"], &rules[0]["name"]), (&json!("recording"), &json!("one")));
        assert_eq!((&rules[1]["state"], &rules[1]["currentValue"]), (&json!("firing"), &json!(7.0)));
        assert_eq!(rules[1]["threshold"], json!({"operator": ">", "value": 5.0}));
        let alert = &rules[1]["alerts"][0];
        assert_eq!(alert["labels"], json!({"alertname": "Fires", "severity": "page"}));
        assert_eq!((&alert["annotations"]["summary"], &alert["value"]), (&json!("it is 7"), &json!("7")));
        assert_eq!((&rules[2]["state"], &rules[2]["alerts"]), (&json!("inactive"), &json!([])));
        assert_eq!((&rules[2]["duration"], &rules[2]["currentValue"]), (&json!(600.0), &json!(7.0)));

        let restored = AlertingSnapshot { current: Vec::new(), ..firing(&world) };
        assert_eq!(current_value(&restored), Some(7.0));

        let alerts = world.get("/api/v1/alerts").await;
        assert_eq!(alerts["data"]["alerts"].as_array().unwrap().len(), 1);
        let only = world.get("/api/v1/rules?type=alert&rule_name[]=Waits&exclude_alerts=true").await;
        let rules = &only["data"]["groups"][0]["rules"];
        assert_eq!((rules.as_array().unwrap().len(), &rules[0]["name"]), (1, &json!("Waits")));
        assert!(rules[0].get("alerts").is_none());
        let of_page = world.get("/api/v1/rules?match[]=%7Bseverity=%22page%22%7D&group_limit=5").await;
        let rules = &of_page["data"]["groups"][0]["rules"];
        assert_eq!((rules.as_array().unwrap().len(), &rules[0]["name"]), (1, &json!("Fires")));
        assert_eq!(world.get("/api/v1/rules?rule_group[]=none").await["data"]["groups"], json!([]));
    }
}
