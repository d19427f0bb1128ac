//! A rules file that fires, notifies by webhook, survives a restart and is reloaded.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc;

use serde_json::Value;

use crate::server::{Server, taffrail, wait_for};

/// A webhook's receiving end: each POSTed body, in order.
fn receiver() -> (String, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, bodies) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut length = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap_or(0) > 2 {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            if sender.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (url, bodies)
}

fn rule_of(server: &Server, name: &str) -> Option<Value> {
    let (_, answer) = server.get("/api/v1/rules");
    let groups = answer["data"]["groups"].as_array()?.clone();
    groups
        .into_iter()
        .flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default())
        .find(|r| r["name"] == name)
}

const RULES: &str = r#"
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: QueueDeep
        expr: '{"queue.depth"} > 5'
        for: 2s
        labels: {severity: page}
        annotations:
          summary: 'queue of {{ $labels.shop }} holds {{ $value }}'
"#;

#[test]
fn a_rule_fires_notifies_survives_a_restart_and_is_reloaded() {
    let directory = tempfile::tempdir().unwrap();
    let (data, rules, config) =
        (directory.path().join("data"), directory.path().join("rules.yml"), directory.path().join("taffrail.toml"));
    std::fs::write(&rules, RULES).unwrap();
    let (url, bodies) = receiver();
    std::fs::write(&config, format!("[alerts]\nwebhooks = [{url:?}]\n")).unwrap();
    let arguments = ["--config", config.to_str().unwrap(), "--rules", rules.to_str().unwrap()];
    let server = Server::start_with(&data, &arguments);
    assert_eq!(rule_of(&server, "QueueDeep").expect("the rule is shown")["state"], "inactive");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"queue.depth:9|g|#shop:north", server.statsd).unwrap();
    wait_for("the alert fires", || (rule_of(&server, "QueueDeep")?["state"] == "firing").then_some(()));
    let body = bodies.recv_timeout(crate::server::SOON).expect("a webhook");
    assert_eq!((body["version"].as_str(), body["status"].as_str()), (Some("4"), Some("firing")), "{body}");
    let alert = &body["alerts"][0];
    assert_eq!(alert["labels"]["severity"], "page", "{body}");
    assert_eq!(alert["annotations"]["summary"], "queue of north holds 9", "{body}");
    let active_since = rule_of(&server, "QueueDeep").unwrap()["alerts"][0]["activeAt"].clone();
    assert_eq!(server.stop(), Some(0));

    let server = Server::start_with(&data, &arguments);
    let rule = wait_for("the alert fires after the restart", || {
        rule_of(&server, "QueueDeep").filter(|rule| rule["state"] == "firing" && rule["health"] == "ok")
    });
    assert_eq!(rule["alerts"][0]["activeAt"], active_since, "{rule}");
    assert!(rule["currentValue"].as_f64().is_some(), "{rule}");

    std::fs::write(&rules, RULES.replace("> 5", "> 50")).unwrap();
    wait_for("the reloaded rule resolves", || (rule_of(&server, "QueueDeep")?["state"] == "inactive").then_some(()));
    let body = bodies.recv_timeout(crate::server::SOON).expect("a webhook");
    assert_eq!(body["status"], "resolved", "the restart told nobody a second time: {body}");

    std::fs::write(&rules, "groups: [{name: broken, rules: [{alert: X}]}]").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert!(rule_of(&server, "QueueDeep").is_some(), "a bad file keeps the old rules");
    assert!(server.log_text().contains("rules.yml"), "and says why");
}

#[test]
fn a_bad_rules_file_is_refused_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let rules = directory.path().join("rules.yml");
    std::fs::write(&rules, RULES.replace("> 5", "> (")).unwrap();
    let output = taffrail().args(["check", "--rules", rules.to_str().unwrap()]).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{message}");
    assert!(message.contains("rules.yml:7"), "{message}");
}
