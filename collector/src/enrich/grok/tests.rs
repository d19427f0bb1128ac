//! What patterns take out of lines, and what is said of those that are wrong.

use proptest::prelude::*;

use super::*;
use crate::enrich::{Config, Parse, ReceivedLine};
use crate::model::{Timestamp, Value};

/// The attributes that the pattern takes from the line, in their order; `no match` when it does not match.
fn taken(pattern: &str, line: &str) -> String {
    let config = Config { grok_patterns: own(), ..Config::default() };
    let parse = Parse::Grok(pattern.to_owned());
    let mut enricher = config.enricher().unwrap().with_parse(&parse, "collector.files.parse").unwrap();
    let resource = Default::default();
    let record = enricher
        .enrich(ReceivedLine::plain(line.as_bytes(), Timestamp::from_unix_seconds(1_795_248_000), &resource))
        .unwrap();
    if enricher.notes().count("unparsed_line") > 0 {
        return "no match".to_owned();
    }
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => format!("{other:?}"),
    };
    record.attributes.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>().join(" ")
}

fn own() -> BTreeMap<String, String> {
    [("ORDER", "ORD-%{INT:order:int}"), ("TZ", "(?:here|there)")]
        .map(|(name, pattern)| (name.to_owned(), pattern.to_owned()))
        .into()
}

#[test]
fn what_is_named_becomes_a_field() {
    let check = |pattern: &str, line: &str, expected: &str| assert_eq!(taken(pattern, line), expected, "{pattern}");
    check("%{IP:client} %{NUMBER:took}", "10.0.0.1 1.5", "client=10.0.0.1 took=Float(1.5)");
    check("%{IP:client} %{NUMBER:took:string}", "::1 007", "client=::1 took=007");
    check("%{INT:a:int}-%{INT:b:float}", "5-6", "a=Int(5) b=Float(6.0)");
    check("%{NOTSPACE:ok:bool}", "TRUE", "ok=Bool(true)");
    check("%{NOTSPACE:n:int}", "many", "n=many");
    check("^%{INT:a}$", "5 and more", "no match");
    check("%{QS:said} %{GREEDYDATA:rest}", r#"x "a \" b" c d"#, r#"said="a \" b" rest=c d"#);
    check("%{DATA:[http][verb]} done", "GET done", "http.verb=GET");
    check("took (?<ms>[0-9]+)ms", "took 12ms", "ms=Int(12)");
    check("%{ORDER} by %{WORD:who}", "ORD-7 by ann", "order=Int(7) who=ann");
    check("(?:%{INT:n}|%{WORD:n})", "ann", "n=ann");
    check("at %{TZ:zone}", "at UTC, at there", "zone=there");
    check(r"\%\{%{INT:n}", "%{5", "n=Int(5)");
    check("100% %{INT:n}%", "100% 5%", "n=Int(5)");
    check("%{UUID:id}", "x 123e4567-e89b-12d3-a456-426614174000", "id=123e4567-e89b-12d3-a456-426614174000");
    check("%{URI:at}", "see https://u@example.org:80/a/b?c=d#e now", "at=https://u@example.org:80/a/b?c=d#e");
    check("%{PATH:at}", "open /var/log/a.log", "at=/var/log/a.log");
    check("%{EMAILADDRESS:who}", "from ann@example.org", "who=ann@example.org");
    check("%{MAC:m} %{HOSTPORT:at}", "00:1b:44:11:3a:b7 web-1:80", "m=00:1b:44:11:3a:b7 at=web-1:80");
    check("%{IPV6:a}", "fe80::1%eth0", "a=fe80::1%eth0");
    check("^%{IPV6:a}$", "2001:db8:0:0:0:ff00:42:8329", "a=2001:db8:0:0:0:ff00:42:8329");
    check("^%{IPV6:a}$", "::ffff:10.0.0.1", "a=::ffff:10.0.0.1");
    check("%{HTTPDATE:at:string}", "x 10/Oct/2000:13:55:36 -0700", "at=10/Oct/2000:13:55:36 -0700");
    check("%{TIMESTAMP_ISO8601:at}", "2026-11-21T07:33:00.123Z x", "at=2026-11-21T07:33:00.123Z");
    check("%{SYSLOGTIMESTAMP:at}", "Nov  1 07:33:00 x", "at=Nov  1 07:33:00");
    check("%{LOGLEVEL:severe}", "a WARNING", "severe=WARNING");
    check(
        "%{COMBINEDAPACHELOG}",
        r#"10.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326 "http://e.org/" "Mozilla/4.08""#,
        "client.address=10.0.0.1 user.name=frank http.request.method=GET url.original=/a.gif network.protocol.version=1.0 \
         http.response.status_code=Int(200) http.response.body.size=Int(2326) http.request.header.referer=http://e.org/ \
         user_agent.original=Mozilla/4.08",
    );
    check("%{SYSLOGLINE}", "Nov 21 07:33:00 web-1 cron[123]: done", "procid=Int(123)");
    check(
        "%{HTTPD_ERRORLOG}",
        "[Sat Nov 21 07:33:00.123456 2026] [core:error] [pid 7:tid 8] [client 10.0.0.1:80] no",
        "apache.module=core process.pid=Int(7) thread.id=Int(8) client.address=10.0.0.1 client.port=Int(80)",
    );
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let check = |pattern: &str, column: usize, expected: &str| {
        let circle = [("CIRCLE".to_owned(), "x%{CIRCLE}".to_owned())];
        let error = Names::new(circle.into()).compile(pattern).unwrap_err();
        assert_eq!(error.column, column, "{pattern}: {error}");
        assert!(error.message.contains(expected), "{pattern}: {error}");
    };
    check("%{IP:a} %{NUMBR:b}", 9, "no pattern is called \"NUMBR\"");
    check("%{ip:a}", 1, "did you mean IP?");
    check("é%{IP:a", 2, "has no }");
    check("%{IP:a} %{INT:n:decimal}", 9, "\"decimal\" is none of the kinds");
    check("%{IP:}", 1, "a field's name");
    check("%{I P:a}", 1, "no name of a pattern");
    check("%{CIRCLE:a}", 1, "leads to itself");
    check("%{IP:a} (b", 9, "unclosed group");
    check("%{IP:a} (?!b)", 9, "look-around");
    check("%{IP} [0-9]+", 1, "name a field");
    check("", 1, "name a field");
    check("(?<a>.{1000}){1000}", 1, "exceeds size limit");
}

#[test]
fn every_pattern_of_the_library_compiles_by_itself() {
    for name in library::names() {
        Names::default().compile(&format!("%{{{name}:field}}")).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn own_patterns_are_checked_by_name() {
    let check = |name: &str, pattern: &str, expected: &str| {
        let names = Names::new([(name.to_owned(), pattern.to_owned())].into());
        let (wrong, error) = names.check().unwrap_err();
        assert_eq!(wrong, name);
        assert!(error.message.contains(expected), "{error}");
    };
    check("MINE", "%{NONE}", "no pattern is called");
    check("MINE", "(", "unclosed group");
    check("MY-OWN", "x", "other characters");
    Names::new([("MINE".to_owned(), "x%{INT:n}".to_owned())].into()).check().unwrap();
}

proptest! {
    #[test]
    fn any_pattern_compiles_or_says_where_it_is_wrong(
        pattern in prop_oneof!["\\PC{0,40}", "([%{}:\\\\()\\[\\]?<>a-z|é*+ ]|%\\{(IP|INT|DATA|X)(:[a-z\\[\\]]{0,3})?(:int)?\\}?){0,12}"],
        line in "\\PC{0,40}",
    ) {
        match Names::default().compile(&pattern) {
            Ok(_) => { taken(&pattern, &line); }
            Err(error) => prop_assert!((1..=pattern.chars().count() + 1).contains(&error.column), "{}", error),
        }
    }
}
