//! People are told: by Debian's Alertmanager, by mail, Slack, PagerDuty, webhooks good and bad, and a program; with the log lines that
//! explain the alert; once, also over a restart and from two servers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::server::{SOON, Server, taffrail, wait_for};

/// What a sink got: the path, the headers in small letters, the body.
struct Posted {
    path: String,
    headers: String,
    body: String,
}

impl Posted {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// An HTTP server that takes everything; a path that is a number is answered with that status.
fn http_sink() -> (SocketAddr, mpsc::Receiver<Posted>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, posted) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let sender = sender.clone();
            std::thread::spawn(move || take(stream.unwrap(), &sender));
        }
    });
    (address, posted)
}

fn take(stream: TcpStream, sender: &mpsc::Sender<Posted>) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() || head.is_empty() {
        return;
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let status = path.trim_start_matches('/').parse::<u16>().unwrap_or(200);
    let location = if status == 302 { "location: /ok\r\n" } else { "" };
    let answer = format!("HTTP/1.1 {status} X\r\n{location}content-length: 0\r\nconnection: close\r\n\r\n");
    let _ = reader.get_mut().write_all(answer.as_bytes());
    let _ = sender.send(Posted { path, headers: head.to_ascii_lowercase(), body: String::from_utf8(body).unwrap() });
}

/// A mail server that takes every mail (RFC 5321, as much of it as a sender needs).
fn mail_sink() -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, mails) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let _ = reader.get_mut().write_all(b"220 sink\r\n");
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap_or(0) > 0 {
                let answer = match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
                    "DATA" => {
                        let _ = reader.get_mut().write_all(b"354 go on\r\n");
                        let mut mail = String::new();
                        while !mail.ends_with("\r\n.\r\n") && reader.read_line(&mut mail).unwrap_or(0) > 0 {}
                        let _ = sender.send(mail);
                        "250 taken\r\n"
                    }
                    "QUIT" => "221 bye\r\n",
                    _ => "250 sink\r\n",
                };
                let _ = reader.get_mut().write_all(answer.as_bytes());
                line.clear();
            }
        }
    });
    (address, mails)
}

const RULES: &str = r#"
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: CheckoutFails
        expr: vector(7) > 5
        labels: {severity: page, service: checkout}
        annotations: {summary: 'checkout fails'}
"#;

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_channel_tells_the_alert_with_its_log_lines_and_no_bad_one_delays_another() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, posted) = http_sink();
    let (mail, mails) = mail_sink();
    // One takes connections and says nothing, one is not there.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent_at = silent.local_addr().unwrap();
    let out = directory.path().join("out.json");
    let routing = format!(
        "global: {{ smtp_smarthost: '{mail}', smtp_from: taffrail@example.org, smtp_require_tls: false }}
route: {{ receiver: all, group_wait: 0s, group_interval: 1s, repeat_interval: 1h }}
receivers:
- name: all
  email_configs: [{{ to: ops@example.org }}]
  slack_configs: [{{ api_url: 'http://{sink}/slack', channel: '#ops' }}]
  pagerduty_configs: [{{ routing_key: key, url: 'http://{sink}/pagerduty' }}]
  command_configs: [{{ command: [/bin/sh, -c, 'cat > {out}.new && mv {out}.new {out}'] }}]
  webhook_configs:
  - {{ url: 'http://{silent_at}/', timeout: 1s }}
  - {{ url: 'http://{gone}/' }}
  - {{ url: 'http://{sink}/500' }}
  - {{ url: 'http://{sink}/302' }}
  - {{ url: 'http://{sink}/ok', hmac_secret: k }}
",
        out = out.display()
    );
    let routing = write(directory.path(), "routing.yml", &routing);
    let rules = write(directory.path(), "rules.yml", "groups: []\n");
    let config = write(directory.path(), "taffrail.toml", &format!("[alerts]\nrouting = {routing:?}\n"));
    let arguments = ["--config", &config, "--rules", &rules];
    let data = directory.path().join("data");
    let server = Server::start_with(&data, &arguments);
    let line = br#"{"level":"error","service":"checkout","host":"web-1","message":"card declined <b>by</b> bank","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}"#;
    assert_eq!(server.post("/api/v1/logs", line).0, 200);
    server.wait_for_records("service:checkout", 1);
    std::fs::write(&rules, RULES).unwrap();

    let mut seen = std::collections::BTreeMap::new();
    while ["/slack", "/pagerduty", "/500", "/302", "/ok"].iter().any(|path| !seen.contains_key(*path)) {
        let one = posted.recv_timeout(SOON).expect("every sink is told");
        seen.entry(one.path.clone()).or_insert(one);
    }
    let webhook = seen["/ok"].json();
    assert_eq!((&webhook["status"], &webhook["receiver"]), (&"firing".into(), &"all".into()), "{webhook}");
    let evidence = &webhook["alerts"][0]["evidence"];
    assert_eq!(evidence["lines"][0]["message"], "card declined <b>by</b> bank", "{webhook}");
    assert!(evidence["lines"][0]["url"].as_str().unwrap().contains("/logs?q="), "{evidence}");
    assert_eq!(evidence["traces"][0]["traceID"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(seen["/ok"].headers.contains("taffrail-signature: t="), "{}", seen["/ok"].headers);
    let slack = seen["/slack"].json();
    assert_eq!(slack["channel"], "#ops");
    assert!(slack.to_string().contains("card declined &lt;b&gt;by"), "{slack}");
    let pager = seen["/pagerduty"].json();
    assert_eq!((&pager["event_action"], &pager["payload"]["severity"]), (&"trigger".into(), &"critical".into()));
    let text = mails.recv_timeout(SOON).expect("a mail");
    assert!(text.contains("Subject: [FIRING:1] CheckoutFails"), "{text}");
    assert!(text.contains("multipart/alternative") && text.contains("text/html"), "{text}");
    let told: Value = wait_for("the program is told", || serde_json::from_slice(&std::fs::read(&out).ok()?).ok());
    assert_eq!(told["alerts"][0]["labels"]["alertname"], "CheckoutFails");

    // Each attempt is a record that says what became of it.
    for (channel, outcome) in [
        ("all/webhook/1", "retrying"),
        ("all/webhook/2", "retrying"),
        ("all/webhook/3", "retrying"),
        ("all/webhook/4", "refused"),
        ("all/webhook/5", "delivered"),
        ("all/email", "delivered"),
    ] {
        let question = format!(r#"service:taffrail notify.channel:"{channel}" notify.outcome:{outcome}"#);
        server.wait_for_records(&question, 1);
    }
    let id = webhook["alerts"][0]["fingerprint"].as_str().unwrap().to_owned();
    let (status, alert) = server.get(&format!("/api/v1/alerts/{id}"));
    assert_eq!((status, &alert["evidence"]["linesTotal"]), (200, &1.into()), "{alert}");
    assert_eq!(alert["rule"]["threshold"]["value"], 5.0, "{alert}");
    let (_, history) = server.get(&format!("/api/v1/notifications?alert={id}"));
    assert!(history["notifications"].as_array().unwrap().len() >= 6, "{history}");

    // A restart tells nobody twice who was told.
    assert_eq!(server.stop(), Some(0));
    while posted.try_recv().is_ok() {}
    let server = Server::start_with(&data, &arguments);
    // The one that answers 500 is tried again, so the others had their chance.
    loop {
        let one = posted.recv_timeout(SOON).expect("the one that failed is tried again");
        assert!(matches!(one.path.as_str(), "/500" | "/302"), "{} is told twice", one.path);
        if one.path == "/500" {
            break;
        }
    }
    let run = |arguments: &[&str]| {
        let server = server.url("");
        let output = taffrail().args(arguments).args(["--server", server.trim_end_matches('/')]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said)
    };
    let (code, said) = run(&["notify", "test", "all"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("all/email (ops@example.org): delivered"), "{said}");
    assert!(said.contains("all/webhook/3") && said.contains("500"), "{said}");
    let silence = ["silence", "add", "service=checkout", "--for", "2h", "--reason", "new terminals", "--author", "ann"];
    let (code, id) = run(&silence);
    assert_eq!(code, Some(0), "{id}");
    let (_, listed) = run(&["silence", "list"]);
    assert!(listed.contains(id.trim()) && listed.contains("new terminals"), "{listed}");
    wait_for("the alert is silenced", || {
        (server.get("/api/v2/alerts").1[0]["status"]["state"] == "suppressed").then_some(())
    });
    let (_, metrics) = server.get("/metrics");
    let ends = metrics.as_str().unwrap().lines().find(|line| line.starts_with("taffrail_silence_ends_seconds{"));
    let left: u64 = ends.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("how long it lasts is a metric");
    assert!((7_000..=7_200).contains(&left), "{ends:?}");
    assert_eq!(run(&["silence", "expire", id.trim()]).0, Some(0));
    let (_, listed) = run(&["silence", "list"]);
    assert!(!listed.contains(id.trim()), "{listed}");
}

/// The Alertmanager that `tests/prepare.sh` unpacked, or the one that is installed.
fn program(name: &str) -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-clients/prometheus-alertmanager/usr/bin");
    let found = if unpacked.join(name).exists() { unpacked.join(name) } else { name.into() };
    Command::new(&found).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok().then_some(found)
}

/// Ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn debians_alertmanager_pages_once_for_two_servers_and_its_tool_works_with_ours() {
    let (Some(alertmanager), Some(amtool)) = (program("prometheus-alertmanager"), program("amtool")) else {
        println!("SKIPPED: no Alertmanager (Debian's package prometheus-alertmanager); run tests/prepare.sh");
        return;
    };
    if !Path::new("/usr/share/prometheus/alertmanager/default.tmpl").exists() {
        println!("SKIPPED: Debian's Alertmanager does not start without its templates; run tests/prepare.sh as root");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (sink, posted) = http_sink();
    let settings = format!(
        "route: {{ receiver: sink, group_by: [alertname], group_wait: 2s, group_interval: 5s, repeat_interval: 1h }}
receivers: [{{ name: sink, webhook_configs: [{{ url: 'http://{sink}/am' }}] }}]\n"
    );
    let settings = write(directory.path(), "alertmanager.yml", &settings);
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(alertmanager);
    command.arg(format!("--config.file={settings}")).arg(format!("--web.listen-address={address}"));
    command.arg("--cluster.listen-address=").arg(format!("--storage.path={}", directory.path().join("am").display()));
    let _running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait_for("Alertmanager listens", || TcpStream::connect(address).ok());

    let rules = RULES
        .replace("    rules:\n", "    rules:\n      - { alert: Other, expr: 'vector(1)', labels: {service: b} }\n");
    let rules = write(directory.path(), "rules.yml", &rules);
    let text = format!("[alerts]\nalertmanagers = [\"http://{address}\"]\n");
    let config = write(directory.path(), "taffrail.toml", &text);
    let start =
        |name: &str| Server::start_with(&directory.path().join(name), &["--config", &config, "--rules", &rules]);
    let servers = [start("a"), start("b")];
    for server in &servers {
        wait_for("each server hands over", || {
            let (_, metrics) = server.get("/metrics");
            let metrics = metrics.as_str()?.to_owned();
            metrics.lines().find(|line| line.contains("alertmanager") && line.contains("delivered")).map(drop)
        });
    }
    let mut groups = std::collections::BTreeMap::new();
    while groups.len() < 2 {
        let told = posted.recv_timeout(SOON).expect("Alertmanager tells").json();
        let name = told["groupLabels"]["alertname"].as_str().unwrap().to_owned();
        assert_eq!(told["alerts"].as_array().unwrap().len(), 1, "{told}");
        assert!(groups.insert(name.clone(), told).is_none(), "{name} pages twice");
    }
    assert_eq!(groups.keys().collect::<Vec<_>>(), ["CheckoutFails", "Other"]);
    assert!(posted.recv_timeout(Duration::from_secs(6)).is_err(), "nothing is told a second time");

    // Alertmanager's own tool, asking us.
    let url = servers[0].url("");
    let amtool = |arguments: &[&str]| {
        let mut command = Command::new(&amtool);
        let output = command.arg(format!("--alertmanager.url={}", url.trim_end_matches('/'))).args(arguments).output();
        let output = output.unwrap();
        // It warns that we are not of its version.
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let alerts = amtool(&["alert", "query", "severity=page"]);
    assert!(alerts.contains("CheckoutFails") && !alerts.contains("Other"), "{alerts}");
    let id = amtool(&["silence", "add", "alertname=CheckoutFails", "--author=ann", "--comment=disks", "--duration=1h"]);
    let listed = amtool(&["silence", "query"]);
    assert!(listed.contains(id.trim()) && listed.contains("disks"), "{listed}");
    amtool(&["silence", "expire", id.trim()]);
    assert!(!amtool(&["silence", "query"]).contains(id.trim()));
}
