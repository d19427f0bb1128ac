//! Rules as they are written, and what becomes of records.

use std::sync::Arc;

use super::*;
use crate::enrich::{Enricher, ReceivedLine};
use crate::model::{LogRecord, Resource, Timestamp, Value};

const ARRIVAL: Timestamp = Timestamp::from_unix_seconds(1_795_248_000);

fn rules(json: &serde_json::Value) -> Result<Rules, String> {
    let configs: Vec<Config> = serde_json::from_value(json.clone()).map_err(|error| error.to_string())?;
    let variable = |name: &str| (name == "REGION").then(|| "eu".to_owned());
    Rules::compile(&configs, variable).map_err(|error| error.to_string())
}

fn enricher(json: &serde_json::Value, kind: &str) -> Enricher {
    Enricher::default().with_shape(rules(json).unwrap()).of_source(kind)
}

fn resource(service: &str, path: &str) -> Arc<Resource> {
    let attributes = vec![("log.file.path".into(), path.into())];
    Arc::new(Resource { host: "web-1".into(), service: service.into(), attributes })
}

/// What is left of a line of the service `shop`, from `/srv/shop/app.log`.
fn left_of(enricher: &mut Enricher, line: &str) -> Option<LogRecord> {
    enricher.enrich(ReceivedLine::plain(line.as_bytes(), ARRIVAL, &resource("shop", "/srv/shop/app.log")))
}

fn shown(record: &LogRecord) -> String {
    let mut parts = vec![format!("{}/{}", record.resource.host, record.resource.service)];
    if !record.severity.name().is_empty() {
        parts.push(record.severity.name().to_owned());
    }
    parts.extend(record.trace_id.map(|id| id.to_string()));
    parts.extend(record.attributes.iter().map(|(name, value)| format!("{name}={value}")));
    parts.push(record.body.clone());
    parts.join(" ")
}

#[test]
fn records_that_match_are_dropped_and_all_others_stay() {
    let check = |rule: serde_json::Value, line: &str, is_dropped: bool| {
        let mut rule = rule;
        rule["drop_records"] = true.into();
        let mut enricher = enricher(&serde_json::json!([rule.clone()]), "files");
        assert_eq!(left_of(&mut enricher, line).is_none(), is_dropped, "{rule} {line}");
        assert_eq!(enricher.notes().effect("shape-1", "dropped"), u64::from(is_dropped), "{rule}");
    };
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let line = r#"{"msg":"GET /health","status":204,"ok":true,"path":"/health/live","level":"info","tags":["a","b"],"took":1.5}"#;
    let when = |condition: &str| json(&format!("{{\"where\":{condition}}}"));
    check(json("{}"), line, true);
    check(json(r#"{"source":["files","syslog"]}"#), line, true);
    check(json(r#"{"source":"syslog"}"#), line, false);
    check(json(r#"{"service":"sh*"}"#), line, true);
    check(json(r#"{"service":["cart","web"]}"#), line, false);
    check(json(r#"{"path":"/srv/*/app.log"}"#), line, true);
    check(json(r#"{"path":"/srv/*.log"}"#), line, false);
    check(json(r#"{"path":"/srv/**/*.log"}"#), line, true);
    check(when(r#"{"path":"/health*"}"#), line, true);
    check(when(r#"{"path":"/health"}"#), line, false);
    check(when(r#"{"path":"/live$/"}"#), line, true);
    check(when(r#"{"status":204}"#), line, true);
    check(when(r#"{"status":[500,204]}"#), line, true);
    check(when(r#"{"status":">=200"}"#), line, true);
    check(when(r#"{"status":">=200","took":"<1"}"#), line, false);
    check(when(r#"{"status":"2*"}"#), line, true);
    check(when(r#"{"ok":true}"#), line, true);
    check(when(r#"{"ok":false}"#), line, false);
    check(when(r#"{"tags":"b"}"#), line, true);
    check(when(r#"{"message":"*health"}"#), line, true);
    check(when(r#"{"level":"info"}"#), line, true);
    check(when(r#"{"level":["debug","<warn"]}"#), line, true);
    check(when(r#"{"level":"<info"}"#), line, false);
    check(when(r#"{"level":"<info"}"#), "no level at all", false);
    check(when(r#"{"level":"info"}"#), r#"{"level":"notice","msg":"x"}"#, true);
    check(when(r#"{"service":"shop","host":"web-?"}"#), line, true);
    check(when(r#"{"absent":"*"}"#), line, false);
    check(when(r#"{"log.file.path":"/srv/*"}"#), line, true);
}

#[test]
fn fields_are_copied_renamed_dropped_and_added_in_this_order() {
    let check = |rules: serde_json::Value, line: &str, expected: &str| {
        let mut enricher = enricher(&rules, "files");
        assert_eq!(shown(&left_of(&mut enricher, line).unwrap()), expected, "{rules}");
        assert_eq!(enricher.notes().effect("shape-1", "changed") > 0, expected != "web-1/shop a=1 b=x m", "{rules}");
    };
    let line = r#"{"msg":"m","a":1,"b":"x"}"#;
    let one = |rule: serde_json::Value| serde_json::json!([rule]);
    check(one(serde_json::json!({"rename":{"a":"c"}})), line, "web-1/shop b=x c=1 m");
    check(one(serde_json::json!({"rename":{"a":"b"}})), line, "web-1/shop b=1 m");
    check(one(serde_json::json!({"rename":{"z":"b"}})), line, "web-1/shop a=1 b=x m");
    check(one(serde_json::json!({"copy":{"c":"a","d":"service"}})), line, "web-1/shop a=1 b=x c=1 d=shop m");
    check(one(serde_json::json!({"drop":["a","z"]})), line, "web-1/shop b=x m");
    check(one(serde_json::json!({"drop":"*"})), line, "web-1/shop m");
    check(
        one(serde_json::json!({"add":{"env":"test-${REGION}-${NONE:-x}","n":2,"t":true}})),
        line,
        "web-1/shop a=1 b=x env=test-eu-x n=2 t=true m",
    );
    check(
        one(serde_json::json!({"copy":{"c":"a"},"rename":{"c":"d"},"drop":"a","add":{"e":1}})),
        line,
        "web-1/shop b=x d=1 e=1 m",
    );
    // The record's own parts can be set; what is no level stays a field.
    check(one(serde_json::json!({"rename":{"b":"service"}})), line, "web-1/x a=1 m");
    check(one(serde_json::json!({"add":{"service":"web","host":"h"}})), line, "h/web a=1 b=x m");
    check(one(serde_json::json!({"rename":{"b":"message"}})), line, "web-1/shop a=1 x");
    check(
        one(serde_json::json!({"rename":{"gravity":"level","id":"trace_id"}})),
        r#"{"msg":"m","gravity":"WARN","id":"4bf92f3577b34da6a3ce929d0e0e4736"}"#,
        "web-1/shop warn 4bf92f3577b34da6a3ce929d0e0e4736 m",
    );
    let mut enricher = enricher(&one(serde_json::json!({"rename":{"b":"trace_id"}})), "files");
    assert_eq!(shown(&left_of(&mut enricher, line).unwrap()), "web-1/shop a=1 b=x m");
    // A later rule sees what an earlier one did.
    check(
        serde_json::json!([{"add":{"service":"web"}},{"service":"web","drop":"a"},{"service":"shop","drop":"b"}]),
        line,
        "web-1/web b=x m",
    );
}

#[test]
fn a_record_that_is_kept_is_not_dropped_later() {
    let rules = serde_json::json!([
        {"name":"pay","where":{"message":"*payment*"},"keep":true},
        {"name":"rest","drop_records":true},
    ]);
    let mut enricher = enricher(&rules, "files");
    assert!(left_of(&mut enricher, "a payment").is_some());
    assert!(left_of(&mut enricher, "anything else").is_none());
    assert_eq!((enricher.notes().effect("pay", "kept"), enricher.notes().effect("rest", "dropped")), (1, 1));
}

#[test]
fn sampling_keeps_errors_and_whole_traces() {
    let rules = serde_json::json!([{"name":"tenth","sample":0.1}]);
    let (mut one, mut other) = (enricher(&rules, "files"), enricher(&rules, "syslog"));
    let (mut kept, mut dropped) = (0, 0u64);
    for number in 1..2000u32 {
        let line = format!("trace_id={:032x} step", u128::from(number) << 40 | 0x5eed);
        let is_kept = left_of(&mut one, &line).is_some();
        assert_eq!(left_of(&mut other, &line).is_some(), is_kept);
        assert!(left_of(&mut one, &format!("ERROR {line}")).is_some());
        kept += u64::from(is_kept);
        dropped += u64::from(!is_kept);
    }
    assert!((100..300).contains(&kept), "{kept}");
    assert_eq!(one.notes().effect("tenth", "sampled_out"), dropped);
    let mut all = enricher(&serde_json::json!([{"sample":0,"sample_errors":true}]), "files");
    assert!(left_of(&mut all, "ERROR refused").is_none());
}

#[test]
fn a_limit_is_shared_by_all_sources_and_says_what_it_drops_every_ten_seconds() {
    let mut first =
        enricher(&serde_json::json!([{"name":"chatty","service":"shop","limit":"10/s","burst":5}]), "files");
    let mut second = first.clone();
    let rules = Arc::clone(first.shape_rules());
    let host = Arc::new(Resource { host: "web-1".into(), ..Resource::default() });
    let at = |millis: i64| Timestamp::from_unix_millis(1_795_248_000_000 + millis);
    let (shop, cart) = (resource("shop", "/a"), resource("cart", "/b"));
    let mut passed = 0;
    for millis in 0..9000 {
        let enricher = if millis % 2 == 0 { &mut first } else { &mut second };
        passed += u32::from(enricher.enrich(ReceivedLine::plain(b"again", at(millis), &shop)).is_some());
        assert!(enricher.enrich(ReceivedLine::plain(b"other", at(millis), &cart)).is_some());
    }
    assert_eq!(passed, 5 + 89);
    let limited = first.notes().effect("chatty", "limited") + second.notes().effect("chatty", "limited");
    assert_eq!(limited, 9000 - 94);
    assert!(rules.reports(at(10_000), false, &host).is_empty(), "ten seconds are not over");
    let [report] = &rules.reports(at(10_005), false, &host)[..] else { panic!("one report") };
    assert_eq!((&*report.resource.service, report.severity.name(), report.timestamp), ("shop", "warn", at(8999)));
    let said = |name: &str| report.attribute(name).map(Value::to_string).unwrap_or_default();
    assert_eq!(said("taffrail.dropped.count"), limited.to_string());
    assert_eq!((said("taffrail.dropped.rule"), said("taffrail.dropped.by")), ("chatty".to_owned(), "limit".to_owned()));
    assert_eq!(said("taffrail.dropped.from"), at(5).to_string());
    assert!(report.body.starts_with("taffrail.dropped: "), "{}", report.body);
    assert!(rules.reports(at(99_000), true, &host).is_empty(), "it was said");
}

#[test]
fn rules_that_are_wrong_are_named() {
    let check = |json: serde_json::Value, expected: &str| {
        let error = rules(&json).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check(serde_json::json!([{}]), "collector.shape: rule 1 (shape-1): it does nothing");
    check(
        serde_json::json!([{"keep":true},{"name":"x","keep":true},{"name":"x","keep":true}]),
        "rule 3 (x): another rule has its name",
    );
    check(serde_json::json!([{"source":"file","keep":true}]), "\"file\" is none of files, journald");
    check(serde_json::json!([{"keep":true,"drop_records":true}]), "one rule can make one");
    check(serde_json::json!([{"sample":2}]), "no part");
    check(serde_json::json!([{"limit":"5"}]), "write a number and a unit");
    check(serde_json::json!([{"burst":5,"keep":true}]), "burst says nothing without limit");
    check(serde_json::json!([{"sample_errors":true,"keep":true}]), "sample_errors says nothing without sample");
    check(serde_json::json!([{"drop_records":true,"drop":"x"}]), "leaves nothing to change");
    check(
        serde_json::json!([{"where":{"a":"/(/"},"keep":true}]),
        "where.a: at character 1 of the pattern: unclosed group",
    );
    check(serde_json::json!([{"where":{"level":"loud"},"keep":true}]), "\"loud\" is no level");
    check(serde_json::json!([{"where":{"a":{}},"keep":true}]), "where.a: write a text");
    check(serde_json::json!([{"service":"[","keep":true}]), "service: ");
    check(serde_json::json!([{"add":{"a":"${NOT_SET}"}}]), "add.a: the variable NOT_SET is not set");
    check(serde_json::json!([{"add":{"a":"${REGION"}}]), "has no }");
    check(serde_json::json!([{"add":{"a":[1]}}]), "add.a: write a text");
    check(serde_json::json!([{"rename":{"level":"x"}}]), "level is a part that every record has");
    check(serde_json::json!([{"rename":{"a":""}}]), "a field's name has 1 to");
    check(serde_json::json!([{"source":5,"keep":true}]), "a text or a list of texts");
    check(serde_json::json!([{"limits":"5/s"}]), "unknown field `limits`");
}
