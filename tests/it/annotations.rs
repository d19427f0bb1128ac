//! Annotations from the command line, from StatsD events and from log lines by a rule: kept over a kill, in a backup, removed.

use serde_json::Value;

use crate::server::{Server, taffrail, wait_for};

const SETTINGS: &str = r#"
[[annotations.from_logs]]
query = "service:deployer finished"
service_field = "app"
version_field = "release"
"#;

/// Every annotation of the last day: `kind service/version source`, by rising time.
fn told(server: &Server) -> Vec<String> {
    let (status, answer) = server.get("/api/v1/annotations?from=now-1d&to=now%2B1h");
    assert_eq!(status, 200, "{answer}");
    let annotations = answer["annotations"].as_array().unwrap();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    let told = annotations.iter().map(|one| {
        let [kind, service, version, source] = ["kind", "service", "version", "source"].map(|name| text(one, name));
        format!("{kind} {service}/{version} {source}")
    });
    told.collect()
}

fn annotate(server: &Server, arguments: &[&str]) -> Value {
    let url = server.url("");
    let output = taffrail().arg("annotate").args(arguments).args(["--json", "--server", &url]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(text.lines().next().unwrap_or("null")).unwrap()
}

#[test]
fn annotations_of_all_sources_outlive_a_kill_and_are_in_backups() {
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("taffrail.toml");
    std::fs::write(&settings, SETTINGS).unwrap();
    let data = directory.path().join("data");
    let with = ["--config", settings.to_str().unwrap()];
    let mut server = Server::start_with(&data, &with);

    let deploy = ["deploy", "service=web", "version=1.2.3", "--at", "now-3h", "the", "new", "cart"];
    let written = annotate(&server, &deploy);
    assert_eq!(written["text"], "the new cart");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let event = "_e{12,4}:Deployed api|done|#service:api,version:7";
    socket.send_to(event.as_bytes(), server.statsd).unwrap();
    let lines = r#"{"service":"deployer","message":"rollout finished","app":"pay","release":"r9"}
{"service":"deployer","message":"rollout began","app":"pay","release":"r9"}"#;
    assert_eq!(server.post("/api/v1/logs", lines.as_bytes()).0, 200);
    let all = |server: &Server| {
        wait_for("three annotations", || {
            let mut told = told(server);
            // The event and the line come at about the same moment.
            (told.len() == 3).then(|| {
                told[1..].sort();
                told
            })
        })
    };
    let expected = ["deploy web/1.2.3 api", "deploy api/7 statsd", "deploy pay/r9 log"];
    assert_eq!(all(&server), expected);

    let backup = directory.path().join("backup");
    let output = taffrail().args(["backup", "--data-dir"]).arg(&data).arg(&backup).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.kill();
    let server = Server::start_with(&data, &with);
    assert_eq!(all(&server), expected);
    let removed = annotate(&server, &["--delete", written["id"].as_str().unwrap()]);
    assert_eq!(removed["version"], "1.2.3");
    assert_eq!(told(&server).len(), 2);

    let restored = directory.path().join("restored");
    let output = taffrail().args(["restore", "--data-dir"]).arg(&restored).arg(&backup).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(all(&Server::start_with(&restored, &with)), expected);
}
