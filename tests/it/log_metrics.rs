//! Log records as a metric: errors in the log divided by requests in StatsD, asked for, recorded by a rule and alerted on; and
//! the patterns that the command line prints.

use std::net::UdpSocket;

use serde_json::{Value, json};

use crate::server::{Server, encode, taffrail, wait_for};

const RULES: &str = r#"
groups:
  - name: shop
    interval: 1s
    rules:
      - record: shop:errors:count1h
        expr: 'sum by (service) (increase(logs_count{level="error", query="declined"}[1h]))'
      - record: shop:errors:ratio1h
        expr: 'shop:errors:count1h / on () group_left () sum({"shop.requests.total"})'
      - alert: CardsDeclined
        expr: 'shop:errors:ratio1h > 0.2'
        annotations:
          summary: '{{ $labels.service }}: {{ $value | humanizePercentage }} of all requests'
      - alert: BackupSilent
        expr: 'sum(increase(logs_count{service="backup"}[1d])) < 1'
"#;

fn value_of(server: &Server, query: &str) -> Option<f64> {
    let (status, answer) = server.get(&format!("/api/v1/query?query={}", encode(query)));
    assert_eq!(status, 200, "{answer}");
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

fn state_of(server: &Server, alert: &str) -> Option<Value> {
    let (_, answer) = server.get("/api/v1/rules");
    let groups = answer["data"]["groups"].as_array()?.clone();
    let rules = groups.into_iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default());
    rules.into_iter().find(|rule| rule["name"] == alert)
}

#[test]
fn errors_in_the_log_are_divided_by_requests_in_statsd() {
    let directory = tempfile::tempdir().unwrap();
    let (data, rules) = (directory.path().join("data"), directory.path().join("rules.yml"));
    std::fs::write(&rules, RULES).unwrap();
    let server = Server::start_with(&data, &["--rules", rules.to_str().unwrap()]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    // A gauge, so that what is divided by does not depend on when the window ends.
    socket.send_to(b"shop.requests.total:20|g", server.statsd).unwrap();
    let lines: Vec<String> = (0..9)
        .map(|n| match n {
            0..6 => {
                json!({ "level": "error", "service": "shop", "message": format!("card {n} declined after 1{n} ms") })
            }
            _ => json!({ "level": "info", "service": "shop", "message": format!("card {n} taken") }),
        })
        .map(|line| line.to_string())
        .collect();
    assert_eq!(server.post("/api/v1/logs", lines.join("\n").as_bytes()).0, 200);

    let ratio = r#"sum(increase(logs_count{level="error"}[1h])) / sum({"shop.requests.total"})"#;
    wait_for("the ratio", || value_of(&server, ratio).filter(|ratio| *ratio == 0.3));
    wait_for("the recorded count", || {
        value_of(&server, r#"shop:errors:count1h{service="shop"}"#).filter(|n| *n == 6.0)
    });
    wait_for("the recorded ratio", || value_of(&server, "shop:errors:ratio1h").filter(|ratio| *ratio == 0.3));
    let alert =
        wait_for("the alert fires", || state_of(&server, "CardsDeclined").filter(|rule| rule["state"] == "firing"));
    assert_eq!(alert["alerts"][0]["annotations"]["summary"], "shop: 30% of all requests", "{alert}");
    assert_eq!(alert["alerts"][0]["labels"]["service"], "shop", "{alert}");
    wait_for("silence fires", || state_of(&server, "BackupSilent").filter(|rule| rule["state"] == "firing"));
    let backup = json!({ "level": "info", "service": "backup", "message": "all is well" }).to_string();
    assert_eq!(server.post("/api/v1/logs", backup.as_bytes()).0, 200);
    wait_for("its end", || state_of(&server, "BackupSilent").filter(|rule| rule["state"] == "inactive"));

    let address = server.url("");
    let printed = |arguments: &[&str]| {
        let output = taffrail().args(["query", "--server", &address]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let patterns = printed(&["service:shop", "--patterns"]);
    let shown: Vec<&str> = patterns.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(shown, ["6", "3"], "{patterns}");
    assert!(patterns.contains("card <num> declined after <num> ms"), "{patterns}");
    let changed = printed(&["service:shop", "--patterns-since", "now-30m", "-o", "json"]);
    let first: Value = serde_json::from_str(changed.lines().next().unwrap()).unwrap();
    assert_eq!((&first["change"], &first["after"]["count"]), (&json!("new"), &json!(6)), "{changed}");
    let records = printed(&[&format!("pattern:{}", first["id"].as_str().unwrap()), "-o", "raw"]);
    assert_eq!(records.lines().count(), 6, "{records}");
}
