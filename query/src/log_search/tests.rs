//! From text to filter, and the round trip of the tree.

use proptest::prelude::*;

use super::ast::{Bound, Clause, Piece, Query, Value, is_keyword};
use super::{CLAUSES_MAX, NESTING_MAX, ParseError, parse_at, parse_tree};
use taffrail_collector::model::{
    Attributes, LogRecord, Resource, Severity, SpanId, Timestamp, TraceId, Value as AttributeValue,
};
use taffrail_ingest::TimeRange;
use taffrail_ingest::log_store::{Filter, Test, TextMatch};

/// 2026-11-21T10:20:30Z
const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_256_430);

fn tree(text: &str) -> String {
    match parse_tree(text) {
        Ok(query) => query.to_string(),
        Err(error) => format!("{}: {}", error.column, error.message),
    }
}

#[test]
fn the_grammar_reads_what_people_type() {
    let check = |text: &str, expected: &str| assert_eq!(tree(text), expected, "{text}");
    check("", "*");
    check("  \n ", "*");
    check("*", "*");
    check("timeout", "timeout");
    check("connection timeout", "connection timeout");
    check("a AND b", "a b");
    check("a and b && c", "a b c");
    check("a b OR c d", "a b OR c d");
    check("a (b OR c)", "a (b OR c)");
    check("a or (b or c)", "a OR b OR c");
    check("a || b", "a OR b");
    check("NOT a b", "NOT a b");
    check("NOT (a b)", "NOT (a b)");
    check("-debug !trace not info", "NOT debug NOT trace NOT info");
    check("NOT f:*", "NOT f:*");
    check("_exists_:trace_id", "trace_id:*");
    check("status:>=500", "status:[\"500\" TO *]");
    check("status >= 500", "status:[\"500\" TO *]");
    check("@http.status_code:>500", "@http.status_code:{\"500\" TO *]");
    check("status<500", "status:[* TO \"500\"}");
    check("status = 500", "status:=\"500\"");
    check("user!=bob", "NOT user:=\"bob\"");
    check("status:[400 TO 499]", "status:[\"400\" TO \"499\"]");
    check("status:{400 TO 499}", "status:{\"400\" TO \"499\"}");
    check("status:[400 TO *]", "status:[\"400\" TO *]");
    check("status:[* TO *]", "status:*");
    check("name:[\"a b\" TO \"c d\"]", "name:[\"a b\" TO \"c d\"]");
    check("status:(500 OR 502)", "status:500 OR status:502");
    check("status:(-5 OR -6)", "status:\\-5 OR status:\\-6");
    check("tags:(a b -c)", "tags:a tags:b NOT tags:c");
    check("status:IN [500, 502 \"503\"]", "status:500 OR status:502 OR status:\"503\"");
    check("status IN [500,502]", "status:500 OR status:502");
    check("ip:10.0.0.0/8", "ip:10.0.0.0/8");
    check("ip:fe80::/10", "ip:fe80::/10");
    check("*:term", "term");
    check("*:*", "*");
    check("host:web-*", "host:web\\-*");
    check("te?t f*o*", "te?t f*o*");
    check("\"connection re\"* f:\"a b\"*", "connection\\ re* f:a\\ b*");
    check("a**b", "a*b");
    check(r"foo\*bar a\ b:c", r#"foo\*bar "a b":c"#);
    check(r#""quoted name":x"#, r#""quoted name":x"#);
    check(r#""C:\temp" "a \"b\" \\""#, r#""C:\\temp" "a \"b\" \\""#);
    check("http://example.com:8080/a?b", r"http\:\/\/example.com\:8080\/a?b");
    check("url:http://example.com/x", r"url:http\:\/\/example.com\/x");
    check("path:/api/users", r"path:\/api\/users");
    check("path:/api/* OR path:/x", r"path:\/api\/* OR path:\/x");
    check(r"/time ?out\/[0-9]+/ x", r"/time ?out\/[0-9]+/ x");
    check("m:/a|b/", "m:/a|b/");
    check("12:30:45", r"12\:30\:45");
    check("std::string", r"std\:\:string");
    check("a -> b -- c - d", r"a \-\> b \-\- c \- d");
    check("and or", "\"and\" \"or\"");
    check("is not", "is \"not\"");
    check("android notes", "android notes");
    check("error: 500", "error:500");
    check("f:!x", "NOT f:x");
    check(
        "[0",
        "1: a range is written field:[400 TO 499], a list field:IN [500, 502]; quote brackets to look for them",
    );
    check("f:a[0]", r"f:a\[0\]");
    check("größe:ä ünï", "größe:ä ünï");
}

#[test]
fn errors_point_at_the_place_and_say_how_to_write_it() {
    let check = |text: &str, column: usize, part: &str| {
        let error = parse_at(text, NOW).expect_err(text);
        assert_eq!(error.column, column, "{text}: {}", error.message);
        assert!(error.message.contains(part), "{text}: {}", error.message);
    };
    check("error | head", 7, "without stages");
    check("(a | b)", 4, "stages");
    check("a \"b", 3, "not closed");
    check("ä (b", 3, "not closed");
    check("a) b", 2, "closes nothing");
    check("a ()", 3, "hold nothing");
    check("status:", 8, "status:value");
    check("status: AND x", 9, "status:value");
    check("status>=", 9, "missing after >=");
    check(">=5", 1, "needs a field");
    check("AND a", 1, "AND joins");
    check("a AND", 6, "missing after AND");
    check("a OR OR b", 6, "OR joins");
    check("NOT", 4, "missing after NOT");
    check(":x", 1, "field:value");
    check("http.*:500", 1, "no wildcard");
    check("status:[400 499]", 8, "[400 TO 499]");
    check("status:[400 TO 499", 19, "ends with ]");
    check("status:IN [", 8, "not closed");
    check("status:IN []", 8, "empty");
    check("ip:10.0.0.0/33", 4, "0 to 32");
    check("x m:/(/", 5, "unclosed group");
    check("m:/(a{1000}){1000}/", 3, "too large");
    check("level:loud", 7, "is no level");
    check("x trace_id:xyz", 12, "no trace id");
    check("span_id:0", 9, "no span id");
    check("time:>soon", 6, "is no moment");
    check("took:[5 TO 5m]", 6, "write 5 with its unit");
    check("\"\"", 1, "nothing to look for");
    check("_exists_:", 10, "_exists_:field");
    check(&"(".repeat(200), NESTING_MAX + 1, "nest");
    check(&"!".repeat(400), NESTING_MAX + 2, "nest");
    check(&"a ".repeat(CLAUSES_MAX + 1), 2 * CLAUSES_MAX + 1, "1000 conditions");
    check(&"é".repeat(9_000), 8_193, "16 KiB");
    check(&format!("{}e{}", "(a OR b ".repeat(90), ")".repeat(90)), 1, "nests deeper");
}

fn record() -> LogRecord {
    let attributes: Attributes = vec![
        ("status".into(), AttributeValue::Int(502)),
        ("duration_ms".into(), AttributeValue::Float(1500.0)),
        ("size".into(), AttributeValue::Int(12_000)),
        ("user".into(), AttributeValue::from("Bob Smith")),
        ("ip".into(), AttributeValue::from("10.1.2.3")),
        ("path".into(), AttributeValue::from("/api/v1/cart")),
        ("tags".into(), AttributeValue::Array(vec!["eu".into(), "blue".into()])),
        ("op".into(), AttributeValue::from("+")),
        ("glob".into(), AttributeValue::from("a*b")),
    ];
    LogRecord {
        timestamp: NOW,
        observed_timestamp: NOW,
        severity: Severity::ERROR,
        severity_text: "ERR".into(),
        body: "Connection to http://pay.local:8080/v1 timed-out -> retry #3".to_owned(),
        trace_id: TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736"),
        span_id: SpanId::from_hex("00f067aa0ba902b7"),
        resource: std::sync::Arc::new(Resource {
            host: "web-1".into(),
            service: "shop".into(),
            attributes: Vec::new(),
        }),
        attributes,
    }
}

#[test]
fn a_record_is_found_by_what_it_says_and_by_nothing_else() {
    let record = record();
    let check = |text: &str, expected: bool| {
        let filter = parse_at(text, NOW).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(filter.compile().unwrap().matches(&record), expected, "{text}: {filter:?}");
    };
    for text in [
        "",
        "*",
        "connection",
        "CONNECTION timed",
        "\"timed out\"",
        "timed-out",
        "conn*",
        "\"connection to\"*",
        "user:\"bob s\"*",
        "*nect*",
        "re?ry",
        "/t[a-z]+-out/",
        "http://pay.local:8080/v1",
        "pay.local*",
        "http://pay.*",
        "->",
        "\"->\"",
        "bob",
        "message:retry",
        "msg:retry",
        "level:error",
        "level:err",
        "severity:ERROR",
        "level:>=warn",
        "level:[warn TO fatal]",
        "level:<critical",
        "level:17",
        "level:err*",
        "level:/^err/",
        "level:*",
        "NOT level:debug",
        "level:(warn OR error)",
        "severity_text:ERR",
        "status:502",
        "status:>=500",
        "status:>499.5",
        "status:[500 TO 599]",
        "status:{501 TO 503}",
        "status=502",
        "status!=503",
        "status:IN [500, 502]",
        "status:5*",
        "missing!=x",
        "duration_ms:>1s",
        "duration_ms:[1s TO 2s]",
        "size:>10KB",
        "size:<12KiB",
        "user:bob",
        "user:\"bob smith\"",
        "user=\"Bob Smith\"",
        "user:[A TO C]",
        "ip:10.0.0.0/8",
        "ip:10.1.*",
        "path:/api/*",
        "path:/api/v1/cart",
        "path:*cart",
        "tags:blue",
        "tags:(eu blue)",
        "op:+",
        "glob:a\\*b",
        "glob:a\\**",
        "_exists_:user",
        "user:*",
        "-_exists_:nothing",
        "*:smith",
        "host:web-1",
        "host:web-*",
        "service:shop",
        "@status:502",
        "trace_id:4bf92f3577b34da6a3ce929d0e0e4736",
        "trace_id:4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
        "trace.id:4BF92F3577B34DA6A3CE929D0E0E4736",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id:67667974448284343",
        "span_id:00f067aa0ba902b7",
        "span_id:f067aa0ba902b7",
        "00f067aa0ba902b7",
        "trace_id:4bf9*",
        "trace_id:*",
        "time:2026-11-21",
        "time:>=now",
        "time:[now-1m TO now]",
        "@timestamp:>2026-11-21T10:20:29.999999999Z",
        "time:*",
        "time:\"2026-11-21 10:20\"",
        "time:2026-11-21T10:20:30Z",
        "time:2026-11-21T05:20-05:00",
    ] {
        check(text, true);
    }
    for text in [
        "connect",
        "\"out timed\"",
        "x*",
        "\"connection from\"*",
        "user:\"smith\"*ob",
        "/T[a-z]+-out/",
        "\"<-\"",
        "ay.local*",
        "message:bob",
        "level:warn",
        "level:>error",
        "level:critical",
        "level:unspecified",
        "NOT level:*",
        "level:w*",
        "status:50",
        "status:<500",
        "status:[400 TO 502}",
        "status:4*",
        "status=50",
        "missing:x",
        "NOT missing!=x",
        "duration_ms:>2s",
        "size:>12KB",
        "user=bob",
        "ip:10.2.0.0/16",
        "ip:192.168.0.0/16",
        "path:/other/*",
        "tags:(eu green)",
        "op:-",
        "glob:axb",
        "_exists_:nothing",
        "host:web-2",
        "trace_id:4bf92f3577b34da6a3ce929d0e0e4737",
        "time:>now",
        "time:2026-11-20",
        "time:{now TO *]",
        "time:[* TO now}",
        "bob NOT connection",
    ] {
        check(text, false);
    }
}

#[test]
fn values_become_the_filter_that_answers_fastest() {
    let check = |text: &str, expected: Filter| assert_eq!(parse_at(text, NOW), Ok(expected), "{text}");
    let anywhere = |text| Filter::Text { text, everywhere: true };
    let field = |name: &str, test| Filter::Field { name: name.to_owned(), test };
    let phrase = |words: &[&str]| TextMatch::Phrase(words.iter().map(|&word| word.to_owned()).collect());
    check("Ünï-x", anywhere(phrase(&["ünï", "x"])));
    check("Tim*", anywhere(TextMatch::Prefix("tim".to_owned())));
    check("T?m*", anywhere(TextMatch::Wildcard("t?m*".to_owned())));
    check("10.0.*", anywhere(TextMatch::Regex(r"(?i)(?:^|[^_\p{Alphabetic}\p{N}])10\.0\.\S*".to_owned())));
    check("host:Web-*", field("host", Test::Text(TextMatch::Prefix("web-".to_owned()), "Web-*".to_owned())));
    check("level:error", Filter::SeverityBetween(Severity::ERROR, Severity::from_number(20).unwrap()));
    check("status:>=500", field("status", Test::Number { low: Some((500.0, true)), high: None }));
    check("took:>5m", field("took", Test::Length { low: Some((300.0, false)), high: None }));
    check("took:[250ms TO 1.5s}", field("took", Test::Length { low: Some((0.25, true)), high: Some((1.5, false)) }));
    check("took_ms:>5m", field("took_ms", Test::Number { low: Some((300_000.0, false)), high: None }));
    check("v:>a", field("v", Test::TextRange { low: Some(("a".to_owned(), false)), high: None }));
    check("elapsedSeconds:<1.5m", field("elapsedSeconds", Test::Number { low: None, high: Some((90.0, false)) }));
    check(
        "time:<=now",
        Filter::Time(TimeRange { start: Timestamp::MIN, end: Timestamp::from_unix_nanos(NOW.unix_nanos() + 1) }),
    );
    check("trace_id:1", Filter::Trace(TraceId::from_hex("1").unwrap()));
    check(
        "trace_id:10",
        Filter::Or(vec![Filter::Trace(TraceId::new(16).unwrap()), Filter::Trace(TraceId::new(10).unwrap())]),
    );
}

fn any_text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äß_.*?:/\\\\\"() \\[\\]{}<>=!&|+^~@,-]{1,8}"
}

fn value(field: bool) -> BoxedStrategy<Value> {
    let bound =
        || proptest::option::of((any_text(), any::<bool>()).prop_map(|(text, included)| Bound { text, included }));
    let word = any_text()
        .prop_filter("networks and keywords are read otherwise", |text| !is_keyword(text) && !text.contains('/'));
    let wild = prop_oneof![Just(Piece::Many), Just(Piece::One)];
    let pattern = (any_text(), wild, any_text(), any::<bool>()).prop_map(|(a, wild, b, more)| {
        let mut pieces = vec![Piece::Text(a), wild];
        if more {
            pieces.push(Piece::Text(b.replace(':', "")));
        }
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        Value::Pattern(pieces)
    });
    let base = prop_oneof![
        word.prop_map(Value::Word),
        any_text().prop_map(Value::Phrase),
        pattern,
        "[a-z0-9. |()+]{1,6}".prop_map(Value::Regex),
    ];
    if !field {
        return base.boxed();
    }
    prop_oneof![
        4 => base,
        1 => Just(Value::Exists),
        1 => any_text().prop_map(Value::Equals),
        1 => (bound(), bound()).prop_filter("one bound", |(low, high)| low.is_some() || high.is_some())
            .prop_map(|(low, high)| Value::Range { low, high }),
        1 => (any::<std::net::Ipv4Addr>(), 0..=32u8).prop_map(|(address, length)| Value::Network(address.into(), length)),
    ]
    .boxed()
}

fn any_query() -> impl Strategy<Value = Query> {
    let name = prop_oneof!["[a-z_][a-z0-9_.]{0,5}", "@[a-z]{1,5}", any_text()];
    let name = name.prop_filter("_exists_ is no field", |name| name != "_exists_");
    let clause = |field, value| Query::Clause(Clause { field, value, column: 0, start: 0, end: 0 });
    let leaf = prop_oneof![
        1 => Just(Query::All),
        4 => value(false).prop_map(move |value| clause(None, value)),
        4 => (name, value(true)).prop_map(move |(name, value)| clause(Some(name), value)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| Query::And(flat(parts, true))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| Query::Or(flat(parts, false))),
            inner.prop_map(|query| Query::Not(Box::new(query))),
        ]
    })
}

/// Parts of the same kind taken apart, as the parser does.
fn flat(parts: Vec<Query>, and: bool) -> Vec<Query> {
    let apart = |part| match part {
        Query::And(inner) if and => inner,
        Query::Or(inner) if !and => inner,
        other => vec![other],
    };
    parts.into_iter().flat_map(apart).collect()
}

fn without_columns(query: Query) -> Query {
    let all = |parts: Vec<Query>| parts.into_iter().map(without_columns).collect();
    match query {
        Query::And(parts) => Query::And(all(parts)),
        Query::Or(parts) => Query::Or(all(parts)),
        Query::Not(inner) => Query::Not(Box::new(without_columns(*inner))),
        Query::Clause(clause) => Query::Clause(Clause { column: 0, start: 0, end: 0, ..clause }),
        Query::All => Query::All,
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic_and_columns_lie_within_it(text in r#"([a-z ":()\[\]{}*?/\\<>=!|&,@.-]|AND|OR |NOT |IN \[| TO |level:|time:|trace_id:|é){0,40}"#) {
        if let Err(ParseError { column, .. }) = parse_at(&text, NOW) {
            prop_assert!((1..=text.chars().count() + 1).contains(&column), "{text}: {column}");
        }
    }

    #[test]
    fn a_printed_tree_reads_as_the_same_tree(query in any_query()) {
        let text = query.to_string();
        prop_assert_eq!(parse_tree(&text).map(without_columns), Ok(query), "{}", text);
    }
}
