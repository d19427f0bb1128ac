//! Lines of the formats that a source can be told it has, and the records they become.

use super::*;

/// The record of a line that is read in this way, as [`shown`] shows it, and how many lines did not fit.
fn read_as(parse: &str, line: &str) -> (String, u64) {
    let parse: Parse = parse.parse().unwrap();
    let mut enricher = Enricher::default().with_parse(&parse, "collector.files.parse").unwrap();
    let record = enricher.enrich(ReceivedLine::plain(line.as_bytes(), ARRIVAL, &resource())).unwrap();
    let text =
        shown(&record).replace("2026-11-21T07:33:00.000Z", "THEN").replace("2026-11-21T08:00:00.000Z", "ARRIVAL");
    (text, enricher.notes().count(UNPARSED))
}

#[test]
fn access_logs_give_the_parts_of_a_request() {
    let check = |line: &str, expected: &str| {
        let expected = (format!("THEN {expected} body={line}"), 0);
        for parse in ["auto", "nginx", "apache"] {
            assert_eq!(read_as(parse, line), expected, "{parse}: {line}");
        }
    };
    check(
        r#"10.0.0.1 - - [21/Nov/2026:07:33:00 +0000] "GET /cart?id=7 HTTP/1.1" 200 2326"#,
        r#"level=info client.address=String("10.0.0.1") http.request.method=String("GET") url.path=String("/cart") url.query=String("id=7") network.protocol.version=String("1.1") http.response.status_code=Int(200) http.response.body.size=Int(2326)"#,
    );
    check(
        r#"::1 - frank [21/Nov/2026:08:33:00 +0100] "POST /pay HTTP/2.0" 502 157 "https://e.org/a" "Mozilla/5.0 (X11; \"L\")""#,
        r#"level=error client.address=String("::1") user.name=String("frank") http.request.method=String("POST") url.path=String("/pay") network.protocol.version=String("2.0") http.response.status_code=Int(502) http.response.body.size=Int(157) http.request.header.referer=String("https://e.org/a") user_agent.original=String("Mozilla/5.0 (X11; \\\"L\\\")")"#,
    );
    check(
        r#"shop.example.org:443 10.0.0.1 - - [21/Nov/2026:07:33:00 +0000] "HEAD / HTTP/1.1" 404 - "-" "curl/8""#,
        r#"level=warn server.address=String("shop.example.org") server.port=Int(443) client.address=String("10.0.0.1") http.request.method=String("HEAD") url.path=String("/") network.protocol.version=String("1.1") http.response.status_code=Int(404) user_agent.original=String("curl/8")"#,
    );
    // The default format of nginx' package with the time it took, and a popular one with named times.
    check(
        r#"10.0.0.1 - - [21/Nov/2026:07:33:00 +0000] "GET / HTTP/1.1" 301 0 "-" "-" "203.0.113.7" 0.125"#,
        r#"level=info client.address=String("10.0.0.1") http.request.method=String("GET") url.path=String("/") network.protocol.version=String("1.1") http.response.status_code=Int(301) http.response.body.size=Int(0) http.request.header.x-forwarded-for=String("203.0.113.7") http.server.request.duration=Float(0.125)"#,
    );
    check(
        r#"10.0.0.1 - - [21/Nov/2026:07:33:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-" rt=0.5 uct="0.25" urt=- host="e.org""#,
        r#"level=info client.address=String("10.0.0.1") http.request.method=String("GET") url.path=String("/") network.protocol.version=String("1.1") http.response.status_code=Int(200) http.response.body.size=Int(1) http.server.request.duration=Float(0.5) uct=Float(0.25) server.address=String("e.org")"#,
    );
    // Apache's `%D`.
    check(
        r#"10.0.0.1 - - [21/Nov/2026:07:33:00 +0000] "GET / HTTP/1.1" 200 1 250000"#,
        r#"level=info client.address=String("10.0.0.1") http.request.method=String("GET") url.path=String("/") network.protocol.version=String("1.1") http.response.status_code=Int(200) http.response.body.size=Int(1) http.server.request.duration=Float(0.25)"#,
    );
    // What is no request, a name with a space, a list of addresses, a proxy.
    check(
        r#"10.0.0.1 - - [21/Nov/2026:07:33:00 +0000] "\x16\x03\x01" 400 157 "-" "-""#,
        r#"level=warn client.address=String("10.0.0.1") http.request.line=String("\\x16\\x03\\x01") http.response.status_code=Int(400) http.response.body.size=Int(157)"#,
    );
    check(
        r#"10.0.0.1 - ann lee [21/Nov/2026:07:33:00 +0000] "-" 408 0"#,
        r#"level=warn client.address=String("10.0.0.1") user.name=String("ann lee") http.response.status_code=Int(408) http.response.body.size=Int(0)"#,
    );
    check(
        r#"203.0.113.7, 10.0.0.2 - - [21/Nov/2026:07:33:00 +0000] "GET http://e.org/a?b HTTP/1.1" 200 9"#,
        r#"level=info client.address=String("203.0.113.7") http.request.method=String("GET") url.full=String("http://e.org/a?b") url.path=String("/a") url.query=String("b") network.protocol.version=String("1.1") http.response.status_code=Int(200) http.response.body.size=Int(9)"#,
    );
}

#[test]
fn error_logs_of_web_servers_give_who_asked() {
    let check = |parse: &str, line: &str, expected: &str| {
        assert_eq!(read_as(parse, line), (format!("THEN {expected} body={line}"), 0), "{line}");
    };
    check(
        "nginx",
        r#"2026/11/21 07:33:00 [error] 12#34: *56 connect() failed (111: Connection refused), client: 10.0.0.1, server: shop, request: "GET /a HTTP/1.1", upstream: "http://10.0.0.2:80/a", host: "e.org""#,
        r#"level=error word=error process.pid=Int(12) thread.id=Int(34) nginx.connection=Int(56) client.address=String("10.0.0.1") server.address=String("shop") http.request.method=String("GET") url.path=String("/a") network.protocol.version=String("1.1") nginx.upstream=String("http://10.0.0.2:80/a") http.request.header.host=String("e.org")"#,
    );
    check(
        "nginx",
        "2026/11/21 07:33:00 [notice] 1#1: signal process started",
        "level=info word=notice process.pid=Int(1) thread.id=Int(1)",
    );
    check(
        "apache",
        "[Sat Nov 21 07:33:00.000000 2026] [core:error] [pid 12:tid 34] [client 10.0.0.1:5678] AH00126: Invalid URI",
        r#"level=error word=error apache.module=String("core") process.pid=Int(12) thread.id=Int(34) client.address=String("10.0.0.1") client.port=Int(5678) error.code=String("AH00126")"#,
    );
    check(
        "apache",
        "[Sat Nov 21 07:33:00 2026] [warn] [client ::1] slow",
        r#"level=warn word=warn client.address=String("::1")"#,
    );
    check(
        "apache",
        "[Sat Nov 21 07:33:00 2026] [ssl:trace3] [pid 7] x",
        r#"level=trace word=trace apache.module=String("ssl") process.pid=Int(7)"#,
    );
}

#[test]
fn a_syslog_header_is_taken_off_and_the_rest_read_like_any_line() {
    let check = |line: &str, expected: &str| assert_eq!(read_as("syslog", line), (expected.to_owned(), 0), "{line}");
    check(
        "Nov 21 07:33:00 web-1 cron[123]: (root) done",
        r#"THEN host=web-1 service=cron procid=String("123") body=(root) done"#,
    );
    check(
        "2026-11-21T08:33:00+01:00 web-1 shop[7]: {\"level\":\"error\",\"msg\":\"no\",\"order\":7}",
        r#"THEN level=error word=error host=web-1 service=shop order=Int(7) procid=String("7") body=no"#,
    );
    check(
        "<34>1 2026-11-21T07:33:00Z web-1 su 9 ID47 [ex@1 a=\"b\"] refused",
        r#"THEN level=error host=web-1 service=su ex@1.a=String("b") facility=String("auth") procid=String("9") msgid=String("ID47") body=refused"#,
    );
    check("Nov 21 07:33:00 web-1 last message repeated 2 times", "THEN host=web-1 body=last message repeated 2 times");
}

#[test]
fn patterns_give_their_groups_and_a_group_called_message_is_the_body() {
    let check =
        |parse: &str, line: &str, expected: &str| assert_eq!(read_as(parse, line), (expected.to_owned(), 0), "{parse}");
    check(
        r"regex:^(?<time>\S+) (?<level>\w+) (?<trace_id>[0-9a-f]+) took (?<ms>[0-9]+)",
        "2026-11-21T07:33:00Z WARN 4bf92f3577b34da6a3ce929d0e0e4736 took 12ms",
        "THEN level=warn word=WARN trace=4bf92f3577b34da6a3ce929d0e0e4736 ms=Int(12) body=2026-11-21T07:33:00Z WARN 4bf92f3577b34da6a3ce929d0e0e4736 took 12ms",
    );
    check(
        "grok:%{TIMESTAMP_ISO8601:time} %{LOGLEVEL:level} %{NOTSPACE:service} %{GREEDYDATA:message}",
        "2026-11-21T07:33:00Z ERROR shop card declined",
        "THEN level=error word=ERROR service=shop body=card declined",
    );
}

#[test]
fn what_does_not_fit_is_kept_whole_and_counted() {
    let check = |parse: &str, line: &str| {
        assert_eq!(read_as(parse, line), (format!("ARRIVAL body={line}"), 1), "{parse}: {line}");
    };
    check("json", "no object");
    check("json", "{\"broken\":");
    check("logfmt", "just prose");
    check("nginx", "10.0.0.1 - - [21/Nov/2026] \"GET / HTTP/1.1\" 200 5");
    check("nginx", "10.0.0.1 - - [noon] \"GET / HTTP/1.1\" 200 5");
    check("apache", "[core:emergent] what");
    check("syslog", "no header");
    check("regex:^(?<a>x)$", "xx");
    check("grok:^%{IP:a}$", "nobody");
    assert_eq!(read_as("none", "a=1 b=2").1 + read_as("auto", "prose").1, 0);
}

#[test]
fn a_pattern_that_is_wrong_names_its_setting_and_its_place() {
    let check = |parse: &str, expected: &str| {
        let error = Enricher::default().with_parse(&parse.parse().unwrap(), "collector.files.parse").unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        "regex:^(?<a>[0-9)",
        r#"collector.files.parse: "regex:^(?<a>[0-9)": at character 7 of the pattern: unclosed character class"#,
    );
    check(
        "regex:[0-9]+",
        r#"collector.files.parse: "regex:[0-9]+": at character 1 of the pattern: nothing of it becomes a field; name at least one group, like (?<status>[0-9]+)"#,
    );
    check(
        "grok:^%{IPP:a}",
        r#"collector.files.parse: "grok:^%{IPP:a}": at character 2 of the pattern: no pattern is called "IPP"; collector.lines.grok_patterns can say what it is"#,
    );
    let config = Config { grok_patterns: [("A".to_owned(), "%{B}".to_owned())].into(), ..Config::default() };
    let error = config.enricher().unwrap_err().to_string();
    assert!(
        error.starts_with("collector.lines.grok_patterns: A: at character 1 of the pattern: no pattern is called"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn no_line_makes_a_format_panic_and_none_loses_text(
        line in prop_oneof!["\\PC{0,60}", "[-0-9.a-z:, ]{0,20}\\[21/Nov/2026:07:33:00 \\+0000\\] \"[A-Z\\\\\" /?é=]{0,20}\" [0-9-]{3} [0-9-]{1,4}[ \"a-z=.0-9-]{0,30}"],
        parse in prop::sample::select(vec!["auto", "nginx", "apache", "none", "logfmt", "json"]),
    ) {
        let mut enricher = Enricher::default().with_parse(&parse.parse().unwrap(), "x").unwrap();
        let record = enricher.enrich(ReceivedLine::plain(line.as_bytes(), ARRIVAL, &resource())).unwrap();
        if !line.starts_with('{') {
            prop_assert_eq!(record.body, line);
        }
    }
}
