//! A line and a metric in through each door, and out through HTTP and the command line.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::server::{Server, taffrail, wait_for};

fn messages(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["message"].as_str().expect("a message")).collect()
}

#[test]
fn json_lines_are_searchable_once_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let body = concat!(
        r#"{"timestamp":"2026-11-21T07:00:00.250Z","level":"error","service":"checkout","host":"h1","message":"timeout talking to db","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","db":{"host":"pg1"},"took_ms":1250}"#,
        "\n",
        r#"{"time":"2026-11-21T07:00:01Z","lvl":"info","service":"web","msg":"GET /cart 200"}"#,
        "\n"
    );
    let (status, answer) = server.post("/api/v1/logs", body.as_bytes());
    assert_eq!((status, answer["accepted"].as_u64()), (200, Some(2)), "{answer}");
    let check =
        |question: &str, expected: &[&str]| assert_eq!(messages(&server.search(question)), expected, "{question}");
    check("", &["GET /cart 200", "timeout talking to db"]);
    check("timeout", &["timeout talking to db"]);
    check("\"talking to\"", &["timeout talking to db"]);
    check("\"to talking\"", &[]);
    check("level:error AND service:checkout", &["timeout talking to db"]);
    check("db.host:pg1", &["timeout talking to db"]);
    check("took_ms:>1000", &["timeout talking to db"]);
    check("took_ms:>2000", &[]);
    check("cart OR timeout", &["GET /cart 200", "timeout talking to db"]);
    check("NOT timeout", &["GET /cart 200"]);
    check("-service:web", &["timeout talking to db"]);
    check("(cart OR timeout) service:web", &["GET /cart 200"]);
    check("trace_id:4bf92f3577b34da6a3ce929d0e0e4736", &["timeout talking to db"]);
    let (status, sealed) = server.post("/-/seal", b"");
    assert_eq!((status, sealed["log_rows"].as_u64()), (200, Some(2)), "{sealed}");
    check("level:error AND service:checkout", &["timeout talking to db"]);
    check("db.host:pg1", &["timeout talking to db"]);
    check("took_ms:>1000", &["timeout talking to db"]);
    check("NOT timeout", &["GET /cart 200"]);

    let (_, histogram) =
        server.get("/api/v1/logs/histogram?from=2026-11-21T07:00:00Z&to=2026-11-21T07:00:02Z&interval=1s&by=level");
    assert_eq!(histogram["total"], 2, "{histogram}");
    assert_eq!(histogram["buckets"][0]["counts"]["error"], 1, "{histogram}");
    let (_, facets) = server.get("/api/v1/logs/facets?from=0&fields=service&limit=1");
    assert_eq!(facets["facets"][0]["values"][0]["count"], 1, "{facets}");
    assert_eq!(facets["facets"][0]["other"], 1, "{facets}");
    let (_, trace) = server.get("/api/v1/traces/4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(trace["records"][0]["message"], "timeout talking to db", "{trace}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_question_that_does_not_parse_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let (status, answer) = server.get("/api/v1/logs/search?q=level%3Aerror%20AND%20(a");
    assert_eq!(status, 400, "{answer}");
    assert!(answer["error"]["column"].as_u64().is_some(), "{answer}");
    let (status, answer) = server.get("/api/v1/query?query=sum(");
    assert_eq!((status, answer["errorType"].as_str()), (400, Some("bad_data")), "{answer}");
}

#[test]
fn statsd_becomes_series_and_a_trace_tag_an_exemplar() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let line = "web.hits:3|c|#env:prod\nweb.hits:1|c|@0.5|#env:prod\nqueue.depth:7|g\nqueue.depth:-2|g\n\
        request.time:100|ms|#env:prod,trace_id:4bf92f3577b34da6a3ce929d0e0e4736\nrequest.time:300|ms|#env:prod\n\
        users:a|s\nusers:b|s\nusers:a|s";
    socket.send_to(line.as_bytes(), server.statsd).unwrap();
    let value = |question: &str| wait_for(question, || server.promql(question).first().map(|(_, value)| *value));
    assert_eq!(value(r#"sum({"web.hits", env="prod"})"#), 5.0);
    assert_eq!(value(r#"{"queue.depth"}"#), 5.0);
    assert_eq!(value(r#"{"users"}"#), 2.0);
    assert_eq!(value(r#"{"request.time_count"}"#), 2.0);
    assert_eq!(value(r#"{"request.time_sum"}"#), 400.0);
    let p99 = value(r#"{"request.time", quantile="0.99"}"#);
    assert!((99.0..=303.0).contains(&p99), "{p99}");
    let (_, trace) = server.get("/api/v1/traces/4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(trace["exemplars"][0]["series"]["__name__"], "request.time", "{trace}");
    assert_eq!(trace["exemplars"][0]["value"], 100.0, "{trace}");
    server.post("/-/seal", b"");
    assert_eq!(value(r#"sum({"web.hits", env="prod"})"#), 5.0);
    assert_eq!(value(r#"{"request.time_sum"}"#), 400.0);
}

#[test]
fn syslog_in_both_formats_and_framings_is_searchable() {
    let directory = tempfile::tempdir().unwrap();
    // The RFC's own example is of an October, and what is older than the retention is shown to nobody.
    let mut command = taffrail();
    command.args(["serve", "--no-host"]).env("TAFFRAIL_STORE_RETENTION_AGE", "none");
    let server = Server::start_command(&mut command, &directory.path().join("data"), &[]);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick", server.syslog).unwrap();
    let mut tcp = TcpStream::connect(server.syslog).unwrap();
    let octets = b"<165>1 2026-11-21T07:00:00.003Z host7 evntslog 42 ID47 [id@32473 iut=\"3\"] octet counted";
    tcp.write_all(format!("{} ", octets.len()).as_bytes()).unwrap();
    tcp.write_all(octets).unwrap();
    tcp.write_all(b"<13>1 2026-11-21T07:00:01Z host7 app - - - line framed\n").unwrap();
    tcp.flush().unwrap();
    let su = &server.wait_for_records("lonvick", 1)[0];
    assert_eq!((su["host"].as_str(), su["service"].as_str()), (Some("mymachine"), Some("su")), "{su}");
    let counted = &server.wait_for_records("\"octet counted\"", 1)[0];
    assert_eq!(counted["host"], "host7", "{counted}");
    server.wait_for_records("\"line framed\"", 1);
}

#[test]
fn the_command_line_asks_the_same_questions() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    server.post("/api/v1/logs", br#"{"level":"error","service":"web","message":"disk on fire"}"#);
    server.post("/api/v1/logs", br#"{"level":"info","service":"web","message":"all is well"}"#);
    let url = server.url("");
    let run = |arguments: &[&str]| {
        let output = taffrail().args(arguments).args(["--server", &url]).output().expect("run taffrail");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, stdout, stderr) = run(&["query", "level:error", "--since", "1h", "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let record: Value = serde_json::from_str(stdout.lines().next().expect("a line")).expect("JSON");
    assert_eq!(record["message"], "disk on fire", "{stdout}");
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    let (code, stdout, _) = run(&["query", "", "--since", "1h"]);
    assert_eq!((code, stdout.lines().count()), (Some(0), 2), "{stdout}");
    let (_, csv, _) = run(&["query", "", "--since", "1h", "-o", "csv", "--order", "oldest"]);
    assert_eq!(csv.lines().next(), Some("time,level,host,service,trace_id,message"), "{csv}");
    assert!(csv.lines().nth(1).is_some_and(|line| line.ends_with(",error,,web,,disk on fire")), "{csv}");
    let (_, table, _) = run(&["query", "", "--since", "1h", "-o", "table"]);
    assert_eq!(table.lines().count(), 3, "headings and two records: {table}");
    let (_, raw, _) = run(&["query", "level:error", "--since", "1h", "-o", "raw"]);
    assert_eq!(raw, "disk on fire\n");
    let (_, whole, _) = run(&["query", "--promql", "vector(7)", "-o", "json"]);
    assert!(whole.starts_with("{\"status\":\"success\""), "as the API gives it: {whole}");
    let (_, table, _) =
        run(&["query", "--promql", "label_replace(vector(7), \"a\", \"b\", \"\", \"\")", "-o", "table"]);
    assert_eq!(table, "a  value\nb      7\n");
    let (code, stdout, _) = run(&["query", "--promql", "1 + 1"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains('2'), "{stdout}");
    let (code, _, stderr) = run(&["query", "level:(", "--since", "1h"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("level:("), "the question is shown with the place: {stderr}");
}

#[test]
fn tail_follows_what_matches() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let mut tail = taffrail()
        .args(["tail", "service:web", "--json", "--server", &server.url("")])
        .stdout(Stdio::piped())
        .spawn()
        .expect("run taffrail tail");
    let mut lines = BufReader::new(tail.stdout.take().expect("stdout is piped")).lines();
    let url = server.url("/api/v1/logs");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let sender = std::thread::spawn(move || {
        // Sent again and again, because nobody can see from outside when the tail has begun.
        while stopped.recv_timeout(Duration::from_millis(100)).is_err() {
            let body = concat!(
                r#"{"service":"db","message":"not asked for"}"#,
                "\n",
                r#"{"service":"web","message":"followed"}"#
            );
            crate::server::agent().post(&url).send(body.as_bytes()).expect("post two lines");
        }
    });
    for _ in 0..2 {
        let line = lines.next().expect("a line").expect("text");
        let record: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(record["message"], "followed", "{line}");
    }
    stop.send(()).expect("the sender still runs");
    sender.join().expect("the sender");
    tail.kill().expect("stop the tail");
    tail.wait().expect("wait for the tail");
}
