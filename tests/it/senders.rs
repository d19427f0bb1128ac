//! Clients that are not ours, as their users run them. `make test` installs them (tests/prepare.sh); a machine without
//! them skips these tests visibly.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::Server;

fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-clients/bin/python");
    if python.exists() {
        return Some(python);
    }
    println!("SKIPPED: no Python clients in target/test-clients; run tests/prepare.sh");
    assert!(std::env::var_os("CI").is_none(), "in CI the clients must be there");
    None
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn pythons_syslog_handler_and_logger_are_understood() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let port = server.syslog.port().to_string();
    let script = r#"
import logging, logging.handlers, sys
log = logging.getLogger("app")
log.addHandler(logging.handlers.SysLogHandler(("127.0.0.1", int(sys.argv[1]))))
log.error("handler without a header")
"#;
    run(Command::new(python).args(["-c", script, &port]));
    let record = &server.wait_for_records("\"handler without a header\"", 1)[0];
    assert_eq!(
        (record["level"].as_str(), record["message"].as_str()),
        (Some("error"), Some("handler without a header"))
    );

    let logger = |arguments: &[&str]| {
        run(Command::new("logger").args(["--server", "127.0.0.1", "--port", &port]).args(arguments));
    };
    logger(&["--udp", "--rfc3164", "-t", "backup", "-p", "user.warning", "from logger over udp"]);
    logger(&["--tcp", "--rfc5424", "-t", "backup", "-p", "user.err", "from logger over tcp"]);
    logger(&["--tcp", "--octet-count", "--rfc5424", "-t", "backup", "from logger counted"]);
    let record = &server.wait_for_records("\"from logger over udp\"", 1)[0];
    assert_eq!((record["level"].as_str(), record["service"].as_str()), (Some("warn"), Some("backup")), "{record}");
    let record = &server.wait_for_records("\"from logger over tcp\"", 1)[0];
    assert_eq!(record["level"], "error", "{record}");
    server.wait_for_records("\"from logger counted\"", 1);
}

#[test]
fn curl_posts_plain_gzip_and_arrays() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let url = server.url("/api/v1/logs");
    run(Command::new("curl").args(["-sSf", &url, "-d", r#"{"message":"curled once"}"#]));
    run(Command::new("curl")
        .args(["-sSf", &url, "-H", "content-type: application/json"])
        .args(["-d", r#"[{"message":"curled in an array"},{"message":"and its neighbour"}]"#]));
    let shell = format!(
        r#"echo '{{"message":"curled and gzipped"}}' | gzip | curl -sSf {url} -H 'content-encoding: gzip' --data-binary @-"#
    );
    run(Command::new("bash").args(["-o", "pipefail", "-c", &shell]));
    for question in ["\"curled once\"", "\"curled in an array\"", "neighbour", "gzipped"] {
        assert_eq!(server.search(question).len(), 1, "{question}");
    }
}
