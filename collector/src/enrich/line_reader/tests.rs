//! Whole lines and the records they become.

use proptest::prelude::*;

use super::*;
use crate::enrich::{Config, DEPTH_MAX, FIELDS_MAX, KEY_BYTES_MAX, OVERFLOW_ATTRIBUTE};

const ARRIVAL: Timestamp = Timestamp::from_unix_seconds(1_795_248_000); // 2026-11-21T08:00:00Z
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

mod formats;

fn resource() -> Arc<Resource> {
    Arc::new(Resource { host: "here".into(), service: "".into(), attributes: Vec::new() })
}

fn enriched(line: &[u8]) -> (LogRecord, Enricher) {
    let mut enricher = Enricher::default();
    let record = enricher.enrich(ReceivedLine::plain(line, ARRIVAL, &resource())).unwrap();
    (record, enricher)
}

/// Everything a record says, in one line, leaving out what is empty.
fn shown(record: &LogRecord) -> String {
    let mut parts = vec![record.timestamp.to_string()];
    let mut part = |name: &str, value: String| {
        if !value.is_empty() {
            parts.push(format!("{name}={value}"));
        }
    };
    part("level", record.severity.name().to_owned());
    part("word", record.severity_text.to_string());
    part("trace", record.trace_id.map(|id| id.to_string()).unwrap_or_default());
    part("span", record.span_id.map(|id| id.to_string()).unwrap_or_default());
    part("host", record.resource.host.replace("here", ""));
    part("service", record.resource.service.to_string());
    for (name, value) in &record.attributes {
        part(name, format!("{value:?}"));
    }
    part("body", record.body.clone());
    parts.join(" ")
}

#[test]
fn a_line_becomes_what_it_says() {
    let check = |line: &str, expected: &str| {
        let expected =
            expected.replace("ARRIVAL", "2026-11-21T08:00:00.000Z").replace("THEN", "2026-11-21T07:33:00.000Z");
        assert_eq!(shown(&enriched(line.as_bytes()).0), expected.replace("LINE", line), "{line}");
    };
    // Python's json-logger, pino, Go's slog and zap, Rust's tracing, CLEF, Docker, ECS, OpenTelemetry for Python, Datadog, GCP.
    check(
        r#"{"asctime":"2026-11-21 07:33:00,000","levelname":"WARNING","name":"shop","message":"slow"}"#,
        r#"THEN level=warn word=WARNING name=String("shop") body=slow"#,
    );
    check(
        r#"{"level":30,"time":1795246380000,"pid":7,"hostname":"web-1","msg":"up"}"#,
        r#"THEN level=info word=30 host=web-1 pid=Int(7) body=up"#,
    );
    check(
        r#"{"time":"2026-11-21T07:33:00Z","level":"ERROR","msg":"refused","err":{"code":5,"why":"no"}}"#,
        r#"THEN level=error word=ERROR err.code=Int(5) err.why=String("no") body=refused"#,
    );
    check(
        r#"{"ts":1795246380.0,"level":"info","caller":"a.go:1","msg":"up"}"#,
        r#"THEN level=info word=info caller=String("a.go:1") body=up"#,
    );
    check(
        r#"{"timestamp":"2026-11-21T07:33:00Z","level":"INFO","fields":{"message":"up","port":80},"target":"shop"}"#,
        r#"THEN level=info word=INFO fields.port=Int(80) target=String("shop") body=up"#,
    );
    check(
        r#"{"@t":"2026-11-21T07:33:00Z","@mt":"up {Port}","@l":"Warning","Port":80,"@tr":"4bf92f3577b34da6a3ce929d0e0e4736","@sp":"00f067aa0ba902b7"}"#,
        r#"THEN level=warn word=Warning trace=4bf92f3577b34da6a3ce929d0e0e4736 span=00f067aa0ba902b7 Port=Int(80) body=up {Port}"#,
    );
    check(
        "{\"log\":\"ERROR: refused\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-21T07:33:00Z\"}",
        "THEN level=error word=ERROR stream=String(\"stderr\") body=ERROR: refused",
    );
    check(
        r#"{"@timestamp":"2026-11-21T07:33:00Z","log.level":"error","message":"no","host":{"name":"web-1"},"service":{"name":"shop"},"trace":{"id":"4bf92f3577b34da6a3ce929d0e0e4736"}}"#,
        "THEN level=error word=error trace=4bf92f3577b34da6a3ce929d0e0e4736 host=web-1 service=shop body=no",
    );
    check(
        r#"{"message":"x","otelTraceID":"0","otelSpanID":"0","otelServiceName":"shop"}"#,
        r#"ARRIVAL otelServiceName=String("shop") body=x"#,
    );
    check(
        r#"{"message":"x","dd":{"trace_id":"255","span_id":15606003333374571333,"service":"shop"}}"#,
        r#"ARRIVAL trace=000000000000000000000000000000ff span=d893a958f95a7345 service=shop dd.trace_id=String("255") dd.span_id=String("15606003333374571333") body=x"#,
    );
    check(
        r#"{"severity":"NOTICE","message":"x","logging.googleapis.com/trace":"projects/p/traces/4bf92f3577b34da6a3ce929d0e0e4736"}"#,
        r#"ARRIVAL level=info word=NOTICE trace=4bf92f3577b34da6a3ce929d0e0e4736 logging.googleapis.com/trace=String("projects/p/traces/4bf92f3577b34da6a3ce929d0e0e4736") body=x"#,
    );
    // The better name wins, whichever stands first; the other stays.
    check(r#"{"msg":"short","message":"long"}"#, r#"ARRIVAL msg=String("short") body=long"#);
    check(r#"{"message":"long","msg":"short"}"#, r#"ARRIVAL msg=String("short") body=long"#);
    check(r#"{"time":"garbage","ts":1795246380}"#, r#"THEN time=String("garbage") body=LINE"#);
    // No text of its own: the whole line is the body.
    check(
        r#"{"a":1,"b":[1,"x",{"y":2},[true,null,1.5]]}"#,
        r#"ARRIVAL a=Int(1) b=Array([Int(1), String("x"), String("{\"y\":2}"), Array([Bool(true), Null, Float(1.5)])]) body=LINE"#,
    );
    check(r#"{"message":{"a":1}}"#, r#"ARRIVAL message.a=Int(1) body=LINE"#);
    check(r#"{"message":""}"#, "ARRIVAL body=LINE");
    check(
        r#"{"n":18446744073709551615,"level":"loud"}"#,
        r#"ARRIVAL word=loud n=String("18446744073709551615") body=LINE"#,
    );
    check(r#"{"broken":"#, "ARRIVAL body=LINE");
    check("{not json}", "ARRIVAL body=LINE");
    // logfmt.
    check(
        r#"time=2026-11-21T07:33:00Z level=warn msg="slow \"query\"" ms=1.5 id=007 ok=true trace_id=4bf92f3577b34da6a3ce929d0e0e4736"#,
        r#"THEN level=warn word=warn trace=4bf92f3577b34da6a3ce929d0e0e4736 msg=String("slow \"query\"") ms=Float(1.5) id=String("007") ok=Bool(true) body=LINE"#,
    );
    check("we found that a=1 and b=2 but this is mostly prose", "ARRIVAL body=LINE");
    check("key=value", "ARRIVAL body=LINE");
    // Text.
    check(
        &format!("2026-11-21 07:33:00,000 ERROR [shop] refused trace_id={TRACE}"),
        &format!("THEN level=error word=ERROR trace={TRACE} body=LINE"),
    );
    check("<4>Nov 21 07:33:00 hello", "ARRIVAL level=warn word=4 body=LINE");
    check("just text", "ARRIVAL body=LINE");
    check("", "ARRIVAL");
}

#[test]
fn what_is_adjusted_is_noted() {
    let check = |line: &[u8], reason: &str, count: u64, expected: &str| {
        let (record, mut enricher) = enriched(line);
        assert_eq!(enricher.notes().count(reason), count, "{reason}");
        let shown = shown(&record);
        assert!(shown.contains(expected), "{shown}");
    };
    check(b"caf\xe9 closed", "invalid_utf8", 1, "body=caf\u{fffd} closed");
    check(b"{\"a\":1,\"message\":\"x\",\"a\":2}", "duplicate_key", 1, " a=Int(2) ");
    check(b"{\"message\":\"x\",\"message\":\"y\"}", "duplicate_key", 1, "body=y");
    check(b"{\"a\":{\"b\":1},\"a.b\":2,\"msg\":\"x\"}", "duplicate_key", 1, " a.b=Int(2) ");
    check(b"{\"msg\":\"1\",\"message\":\"x\",\"msg\":\"2\"}", "duplicate_key", 1, " msg=String(\"2\") body=x");
    check(b"{\"time\":\"noon\",\"message\":\"x\"}", "timestamp_not_understood", 1, "time=String(\"noon\")");

    let deep =
        |levels: usize| format!("{{\"message\":\"x\",\"top\":{}1{}}}", "{\"d\":".repeat(levels), "}".repeat(levels));
    check(deep(DEPTH_MAX - 1).as_bytes(), "too_deep", 0, ".d=Int(1) body=x");
    check(deep(DEPTH_MAX).as_bytes(), "too_deep", 1, "=String(\"{\\\"d\\\":1}\") body=x");
    check(deep(100_000).as_bytes(), "too_deep", 1, "body=x");
    let arrays = format!("{{\"message\":\"x\",\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    check(arrays.as_bytes(), "too_deep", 1, "body=x");

    let many: Vec<String> = (0..FIELDS_MAX + 5).map(|n| format!("\"k{n}\":{n}")).collect();
    let many = format!("{{{},\"deep\":{{\"x\":[1,2]}}}}", many.join(","));
    check(many.as_bytes(), "too_many_fields", 6, "k999=Int(999) taffrail.overflow=String(\"{\\\"k1000\\\":1000,");
    check(many.as_bytes(), "too_many_fields", 6, "\\\"deep\\\":{\\\"x\\\":[1,2]}}\")");
    let wide = format!("{{\"message\":\"x\",\"a\":[{}0]}}", "0,".repeat(5000));
    check(wide.as_bytes(), "too_many_fields", 1, "body=x");
    let long = format!("{{\"message\":\"x\",\"{}\":1}}", "k".repeat(KEY_BYTES_MAX + 1));
    check(long.as_bytes(), "key_too_long", 1, OVERFLOW_ATTRIBUTE);
}

#[test]
fn what_the_transport_knows_yields_to_the_line() {
    let resource = resource();
    let mut enricher = Enricher::default();
    let mut check = |bytes: &str, expected: &str| {
        let line = ReceivedLine {
            timestamp: Some(Timestamp::from_unix_seconds(1_795_246_380)),
            severity: Some(Severity::NOTICE),
            attributes: vec![("app".into(), "cron".into()), ("opentelemetry.trace_id".into(), "x".into())],
            ..ReceivedLine::plain(bytes.as_bytes(), ARRIVAL, &resource)
        };
        assert_eq!(shown(&enricher.enrich(line).unwrap()), expected, "{bytes}");
    };
    check(
        "[ERROR] 2020-01-01 00:00:00 x",
        r#"2026-11-21T07:33:00.000Z level=info app=String("cron") opentelemetry.trace_id=String("x") body=[ERROR] 2020-01-01 00:00:00 x"#,
    );
    check(
        r#"{"level":"error","time":"2026-11-21T07:34:00Z","app":"mine","msg":"x"}"#,
        r#"2026-11-21T07:34:00.000Z level=error word=error app=String("mine") opentelemetry.trace_id=String("x") body=x"#,
    );
}

#[test]
fn records_of_one_sender_share_their_resource_and_their_names() {
    let resource = resource();
    let mut enricher = Enricher::default();
    let mut read = |line: &str| enricher.enrich(ReceivedLine::plain(line.as_bytes(), ARRIVAL, &resource)).unwrap();
    let first = read(r#"{"host":"a","service":"s","key":1,"message":"x"}"#);
    let second = read(r#"{"message":"y","key":2,"service":"s","host":"a"}"#);
    assert!(Arc::ptr_eq(&first.resource, &second.resource));
    assert!(Arc::ptr_eq(&first.attributes[0].0, &second.attributes[0].0));
    let third = read(r#"{"host":"a"}"#);
    assert_eq!((&*third.resource.host, &*third.resource.service), ("a", ""));
    assert!(Arc::ptr_eq(&read("plain").resource, &resource));
}

#[test]
fn the_configured_zone_dates_lines_that_name_none() {
    let config = Config { zone: "Europe/Berlin".to_owned(), ..Config::default() };
    let record =
        config.enricher().unwrap().enrich(ReceivedLine::plain(b"2026-11-21 07:33:00 x", ARRIVAL, &resource())).unwrap();
    assert_eq!(record.timestamp.to_string(), "2026-11-21T06:33:00.000Z");
    let error = Config { zone: "Mars".to_owned(), ..Config::default() }.enricher().unwrap_err().to_string();
    assert!(error.starts_with("collector.lines.zone: ") && error.contains("Mars"), "{error}");
}

#[test]
fn a_cut_never_splits_a_character() {
    let check =
        |text: &str, length, expected: &str| assert_eq!(cut_at_character(text.as_bytes(), length), expected.as_bytes());
    check("abc", 5, "abc");
    check("abc", 2, "ab");
    check("aé", 2, "a");
    check("a€", 3, "a");
    check("a🦀", 4, "a");
    check("🦀", 0, "");
}

/// JSON values of any shape, with names that collide now and then.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        (-1e12..1e12f64).prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::Array),
            proptest::collection::hash_map("[a-c.é]{0,2}|x", inner, 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The plain model of flattening: the last value of a dotted name counts.
fn flattened(prefix: &str, value: &serde_json::Value, into: &mut Vec<(String, serde_json::Value)>) {
    for (name, value) in value.as_object().expect("an object") {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            serde_json::Value::Object(_) => flattened(&name, value, into),
            leaf => match into.iter_mut().find(|(known, _)| *known == name) {
                Some((_, held)) => *held = leaf.clone(),
                None => into.push((name, leaf.clone())),
            },
        }
    }
}

fn expected_value(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::Int(number),
            (None, _) if number.is_u64() => Value::String(number.to_string()),
            (None, number) => Value::Float(number.expect("a number")),
        },
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(items) => Value::Array(items.iter().map(expected_value).collect()),
        object @ serde_json::Value::Object(_) => Value::String(object.to_string()),
    }
}

proptest! {
    #[test]
    fn any_object_is_flattened_as_the_model_says(value in json()) {
        let line = serde_json::json!({ "top": value, "message": "m" }).to_string();
        let (record, _) = enriched(line.as_bytes());
        let mut expected = Vec::new();
        flattened("", &serde_json::from_str(&line).expect("our own JSON"), &mut expected);
        expected.retain(|(name, _)| name != "message");
        let expected: Vec<_> = expected.iter().map(|(name, value)| (Arc::from(name.as_str()), expected_value(value))).collect();
        prop_assert_eq!(record.attributes, expected);
        prop_assert_eq!(record.body, "m");
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), marked in "[{}\"\\[\\]:,=a-c0-9\\\\ é]{0,60}") {
        enriched(&bytes);
        enriched(marked.as_bytes());
        enriched(format!("{{\"message\":{marked}}}").as_bytes());
        let mut enricher = Enricher::default();
        let _ = enricher.read_json(ReceivedLine::plain(marked.as_bytes(), ARRIVAL, &resource()));
    }

    #[test]
    fn text_stays_the_body_byte_for_byte(text in "[^{]{0,80}") {
        prop_assert_eq!(enriched(text.as_bytes()).0.body, text);
    }
}
