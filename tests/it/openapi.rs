//! schemathesis reads `/openapi.json`, asks every endpoint good and bad questions by it, and compares the answers with what is described
//! there: no server error, no status, media type or form that is not described, no method that is answered though it is not there.

use std::path::Path;
use std::process::Command;

use crate::server::{Server, wait_for};

/// What is not asked: a stream that never ends, and doors whose bodies are no text.
const NOT_ASKED: &[&str] = &["/api/v1/logs/tail", "/api/v1/ship", "/api/v1/write"];

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
     response_headers_conformance,unsupported_method,allow_header_conformance";

#[test]
fn every_endpoint_answers_as_it_is_described() {
    let schemathesis = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-clients/bin/schemathesis");
    if !schemathesis.exists() {
        assert!(std::env::var_os("CI").is_none(), "CI has every client");
        println!("SKIPPED: no schemathesis in target/test-clients; run tests/prepare.sh");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    for number in 0..40 {
        let level = ["info", "error"][number % 2];
        let record = format!(
            r#"{{"level":"{level}","service":"web","host":"h{}","message":"request {number} done","took_ms":{number},"trace_id":"{:032x}"}}"#,
            number % 3,
            1 + number / 4
        );
        assert_eq!(server.post("/api/v1/logs", record.as_bytes()).0, 200);
    }
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"shop.orders:5|c|#env:prod\nshop.time:10:20:30|ms|#env:prod", server.statsd).unwrap();
    wait_for("a metric", || (!server.promql(r#"{"shop.orders"}"#).is_empty()).then_some(()));

    let mut command = Command::new(schemathesis);
    command.args(["run", &server.url("/openapi.json"), "--checks", CHECKS, "--phases", "examples,coverage,fuzzing"]);
    command.args([
        "--max-examples",
        "5",
        "--max-time",
        "40",
        "--seed",
        "1",
        "--request-timeout",
        "30",
        "--continue-on-failure",
    ]);
    command.args(["--warnings", "off", "--suppress-health-check", "all", "--no-color"]);
    for path in NOT_ASKED {
        command.args(["--exclude-path", path]);
    }
    // What it remembers of earlier runs it would keep below the directory that it runs in.
    let output = command.current_dir(directory.path()).output().expect("run schemathesis");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success(), "answers are not as they are described");
    assert_eq!(server.get("/healthz").0, 200);
}
