//! What is kept: rules of retention changed while the server runs, and records deleted from the command line.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::server::{Server, taffrail, wait_for};

fn post(server: &Server, records: &[Value]) {
    let body: String = records.iter().map(|record| format!("{record}\n")).collect();
    let (status, answer) = server.post("/api/v1/logs", body.as_bytes());
    assert_eq!((status, &answer["accepted"]), (200, &json!(records.len())), "{answer}");
}

fn messages(server: &Server) -> Vec<String> {
    let found = server.search("service:shop");
    found.iter().map(|record| record["message"].as_str().expect("a message").to_owned()).collect()
}

/// A record of this text so many seconds ago.
fn said(message: &str, ago: u64) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    json!({ "time": now - ago, "service": "shop", "message": message })
}

fn delete(server: &Server, arguments: &[&str]) -> Output {
    let mut command = taffrail();
    command.arg("delete").args(arguments).args(["--server", &server.url("")]);
    command.stdin(std::process::Stdio::null()).output().expect("run taffrail delete")
}

#[test]
fn the_command_line_counts_deletes_waits_and_lists() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    post(&server, &[said("alice came", 50), said("bob came", 40), said("alice left", 30)]);
    assert_eq!(server.post("/-/seal", b"").0, 200);
    post(&server, &[said("alice wrote", 20), said("bob left", 10)]);

    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let unasked = delete(&server, &["alice", "--reason", "asked to"]);
    let said_why = text(&unasked.stderr);
    assert!(unasked.status.code() == Some(1) && said_why.contains("3 records match"), "{said_why}");
    assert!(said_why.contains("--yes"), "{said_why}");
    assert_eq!(messages(&server).len(), 5, "nothing was deleted");
    let wrong = delete(&server, &["level:(", "--reason", "asked to", "--yes"]);
    assert!(text(&wrong.stderr).contains('^'), "{}", text(&wrong.stderr));

    let done = delete(&server, &["alice", "--to", "now-25s", "--reason", "asked to", "--yes", "--json"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let deletion: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&deletion["state"], &deletion["rows_removed"]), (&json!("done"), &json!(2)));
    assert_eq!(messages(&server), ["bob left", "alice wrote", "bob came"]);
    let listed = delete(&server, &["--list", "--json"]);
    assert_eq!(serde_json::from_slice::<Value>(&listed.stdout).unwrap(), deletion);
    assert!(deletion["asked_by"].as_str().is_some_and(|by| by.contains("127.0.0.1:")), "{deletion}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn rules_of_retention_are_taken_at_a_reload() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("taffrail.toml");
    let write = |text: &str| std::fs::write(&config, text).unwrap();
    write("");
    let server = Server::start_with(&directory.path().join("data"), &["--config", as_text(&config)]);
    post(&server, &[said("noise", 7200), said("kept", 7200), said("noise", 60), said("kept", 60)]);
    assert_eq!(server.post("/-/seal", b"").0, 200);
    assert_eq!(messages(&server).len(), 4);

    write("[[retention]]\nfilter = \"noise\"\nkeep = \"1h\"\n");
    let (status, report) = server.post("/-/reload", b"");
    assert_eq!((status, &report["needs_restart"]), (200, &json!([])), "{report}");
    assert_eq!(messages(&server), ["kept", "noise", "kept"]);

    write("[[retention]]\nfilter = \"level:(\"\nkeep = \"1h\"\n");
    let (status, answer) = server.post("/-/reload", b"");
    assert_eq!(status, 422, "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|message| message.contains("[[retention]]")), "{answer}");
    assert_eq!(messages(&server).len(), 3, "what was there before goes on");

    // Half of the split has expired, so it is rewritten: kept longer again, it is not there again.
    write("[[retention]]\nfilter = \"service:shop\"\nkeep = \"1h\"\n");
    assert_eq!(server.post("/-/reload", b"").0, 200);
    assert_eq!(messages(&server), ["kept", "noise"]);
    let removed = || server.get("/api/v1/ingest").1["store"]["compaction"]["rows_removed"].clone();
    wait_for("the split to be rewritten", || (removed() == 2).then_some(()));
    write("");
    assert_eq!(server.post("/-/reload", b"").0, 200);
    assert_eq!(messages(&server), ["kept", "noise"]);
    assert_eq!(server.stop(), Some(0));
}

fn as_text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
