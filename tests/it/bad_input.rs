//! What is malformed, too big or too deep is answered, counted and shown, and costs no neighbour.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::server::{Server, agent, wait_for};

/// How often a source met a problem, as the ingest page shows it.
fn problem(server: &Server, kind: &str, reason: &str) -> u64 {
    let (_, ingest) = server.get("/api/v1/ingest");
    let sources = ingest["sources"].as_array().expect("sources");
    let of_kind = sources.iter().filter(|source| source["kind"] == kind);
    let problems = of_kind.flat_map(|source| source["problems"].as_array().expect("problems"));
    problems
        .filter(|problem| problem["reason"] == reason)
        .map(|problem| problem["count"].as_u64().expect("count"))
        .sum()
}

#[test]
fn one_bad_line_never_costs_its_neighbours() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let deep = format!("{{\"message\":\"deep\",\"a\":{}1{}}}", "{\"a\":".repeat(500), "}".repeat(500));
    let long = format!("{{\"message\":\"long {}\"}}", "x".repeat(10 << 20));
    let mut body = Vec::new();
    for line in [
        br#"{"message":"first good"}"#.as_slice(),
        b"{\"message\": not json",
        br#""a string""#,
        br#"{"message":"twice","k":1,"k":2}"#,
        b"{\"message\":\"not \xFF\xFE utf-8\"}",
        deep.as_bytes(),
        long.as_bytes(),
        br#"{"message":"from the far future","time":"2999-01-01T00:00:00Z"}"#,
        br#"{"message":"ancient","time":"1700-01-01T00:00:00Z"}"#,
        br#"{"message":"last good"}"#,
    ] {
        body.extend_from_slice(line);
        body.push(b'\n');
    }
    let (status, answer) = server.post("/api/v1/logs", &body);
    assert_eq!(status, 200, "{answer}");
    let rejected: Vec<u64> =
        answer["rejected"].as_array().expect("rejected").iter().map(|r| r["line"].as_u64().expect("line")).collect();
    assert_eq!(rejected[..2], [2, 3], "{answer}");
    assert_eq!(answer["accepted"].as_u64().expect("accepted") + rejected.len() as u64, 10, "{answer}");
    for question in ["\"first good\"", "\"last good\"", "twice", "\"far future\"", "utf"] {
        assert_eq!(server.search(question).len(), 1, "{question}");
    }
    let cut = &server.search("long")[0];
    assert_eq!(cut["attributes"]["taffrail.truncated"], true);
    let future = &server.search("\"far future\"")[0];
    assert!(!future["time"].as_str().expect("time").starts_with("2999"), "{future}");
    assert!(problem(&server, "json_lines", "line_too_long") >= 1);
}

#[test]
fn bombs_are_refused_with_the_setting_named() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let zeros = vec![b' '; 300 << 20];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&zeros).unwrap();
    let bombs = [("gzip", gzip.finish().unwrap()), ("zstd", zstd::bulk::compress(&zeros, 3).unwrap())];
    for (encoding, bomb) in bombs {
        let mut answer =
            agent().post(&server.url("/api/v1/logs")).header("content-encoding", encoding).send(&bomb[..]).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        assert_eq!(answer.status().as_u16(), 413, "{encoding}: {text}");
        assert!(text.contains("decompressed_bytes_max"), "{encoding}: the answer names the setting: {text}");
    }
    assert_eq!(server.post("/api/v1/logs", br#"{"message":"still here"}"#).0, 200);
}

#[test]
fn malformed_statsd_lines_are_counted_and_their_neighbours_kept() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .send_to(
            b"good.one:1|c\nno colon\nbad.type:1|zz\nbad.number:x|c\nnot.finite:inf|g\n\xFF\xFE:1|c\ngood.two:2|c",
            server.statsd,
        )
        .unwrap();
    let value = |question: &str| wait_for(question, || server.promql(question).first().map(|(_, value)| *value));
    assert_eq!(value(r#"{"good.one"}"#), 1.0);
    assert_eq!(value(r#"{"good.two"}"#), 2.0);
    let (_, ingest) = server.get("/api/v1/ingest");
    let statsd: Vec<&Value> =
        ingest["sources"].as_array().unwrap().iter().filter(|source| source["kind"] == "statsd").collect();
    let bad: u64 = statsd
        .iter()
        .flat_map(|source| source["problems"].as_array().unwrap())
        .map(|problem| problem["count"].as_u64().unwrap())
        .sum();
    assert_eq!(bad, 5, "{statsd:?}");
    assert!(server.promql(r#"{"bad.type"}"#).is_empty());
}

#[test]
fn syslog_keeps_the_connection_after_garbage() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let mut tcp = TcpStream::connect(server.syslog).unwrap();
    tcp.write_all(
        b"\xFF\xFE\x00garbage\n<999>broken priority\n<13>1 2026-11-21T07:00:00Z h a - - - after the garbage\n",
    )
    .unwrap();
    server.wait_for_records("\"after the garbage\"", 1);
}

#[test]
fn a_full_disk_is_answered_507_with_the_setting_and_questions_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let (data, config) = (directory.path().join("data"), directory.path().join("taffrail.toml"));
    let server = Server::start(&data);
    assert_eq!(server.post("/api/v1/logs", br#"{"message":"before the disk was full"}"#).0, 200);
    assert_eq!(server.stop(), Some(0));
    // No disk has that much room left beside the data: to the server it is full.
    std::fs::write(&config, "[store]\ndisk_reserve_bytes = \"1000TB\"\n").unwrap();
    let server = Server::start_with(&data, &["--config", config.to_str().unwrap()]);
    let (status, answer) = server.post("/api/v1/logs", br#"{"message":"one too many"}"#);
    assert_eq!(status, 507, "{answer}");
    assert!(answer.to_string().contains("disk_reserve_bytes"), "{answer}");
    assert_eq!(server.search("\"before the disk\"").len(), 1);
    assert!(server.search("\"one too many\"").is_empty());
}
