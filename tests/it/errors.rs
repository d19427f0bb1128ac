//! Error groups end to end: traces of one error are one group however they came, a resolved group comes back, states outlive a kill, deploys
//! are told with what they changed, and checks and hosts with how they stand.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::server::{Server, taffrail, wait_for};

fn trace(service: &str, version: &str, function: &str, line: u32, request: u32) -> Value {
    json!({
        "level": "error",
        "service": service,
        "host": format!("h{}", request % 2),
        "version": version,
        "message": format!("request {request} failed"),
        "exception.stacktrace": format!(
            "java.lang.IllegalStateException: no cart {request}\n\tat com.acme.Cart.{function}(Cart.java:{line})\n\tat com.acme.Shop.buy(Shop.java:9)\n\tat org.springframework.web.Dispatcher.handle(D.java:{request})"
        ),
    })
}

fn post(server: &Server, records: &[Value]) {
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    assert_eq!(server.post("/api/v1/logs", lines.as_bytes()).0, 200);
}

/// The groups of a question: (message, state, count, total), once there are so many records of them in all.
fn groups(server: &Server, parameters: &str, total: u64) -> Vec<(String, String, u64, u64)> {
    wait_for(&format!("{total} errors of {parameters}"), || {
        let (status, answer) = server.get(&format!("/api/v1/errors?from=now-1h&to=now%2B1h&sort=count&{parameters}"));
        assert_eq!(status, 200, "{answer}");
        let groups = answer["errors"].as_array().unwrap().iter().map(|group| {
            let text = |name: &str| group[name].as_str().unwrap().to_owned();
            (text("culprit"), text("state"), group["count"].as_u64().unwrap(), group["total"].as_u64().unwrap())
        });
        let groups: Vec<_> = groups.collect();
        let noted: u64 = groups.iter().map(|(_, _, count, total)| *count.min(total)).sum();
        (answer["total"] == total && noted == total).then_some(groups)
    })
}

fn of(culprit: &str, state: &str, count: u64) -> (String, String, u64, u64) {
    (culprit.to_owned(), state.to_owned(), count, count)
}

fn decide(server: &Server, id: &str, decision: &str) -> Value {
    let (status, answer) = server.post(&format!("/api/v1/errors/{id}?{decision}"), b"");
    assert_eq!(status, 200, "{answer}");
    answer["error_group"].clone()
}

#[test]
fn one_error_is_one_group_and_a_resolved_one_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut server = Server::start(&data);
    post(
        &server,
        &[
            trace("web", "1.0", "total", 42, 1),
            trace("web", "1.0", "total", 44, 2),
            trace("web", "1.1", "price", 7, 3),
            json!({"level": "info", "service": "web", "message": "fine"}),
        ],
    );
    let (total, price) = ("com.acme.Cart.total", "com.acme.Cart.price");
    assert_eq!(groups(&server, "", 3), [of(total, "open", 2), of(price, "open", 1)]);
    let events = |server: &Server, event: &str, count: usize| {
        wait_for(event, || {
            let found = server.promql(&format!(r#"last_over_time({{"taffrail.error.event", event="{event}"}}[1h])"#));
            (found.len() >= count).then_some(found)
        })
    };
    let new = events(&server, "new", 2);
    assert!(new.iter().all(|(labels, _)| labels["type"] == "java.lang.IllegalStateException"), "{new:?}");
    // Under any filter.
    let (_, answer) = server.get("/api/v1/errors?from=now-1h&to=now%2B1h&q=host:h1");
    assert_eq!(answer["total"], 2);
    let id = server.get("/api/v1/errors?from=now-1h&sort=count").1["errors"][0]["id"].as_str().unwrap().to_owned();

    let (_, detail) = server.get(&format!("/api/v1/errors/{id}?from=now-1h&to=now%2B1h"));
    let frames = &detail["event"]["error"]["exceptions"][0]["frames"];
    assert_eq!(frames[0], json!({"function": "com.acme.Cart.total", "file": "Cart.java", "line": 44, "own": true}));
    assert_eq!(frames[2]["own"], false);
    assert!(detail["previous"].is_string() && detail["next"].is_null(), "{detail}");
    let tags = detail["tags"].as_array().unwrap();
    let hosts = tags.iter().find(|tag| tag["field"] == "host").expect("hosts are a tag");
    assert_eq!(hosts["values"].as_array().unwrap().len(), 2);

    assert_eq!(decide(&server, &id, "state=resolved&by=ann")["state"], "resolved");
    server.kill();
    let server = Server::start(&data);
    assert_eq!(groups(&server, "state=resolved", 2), [of(total, "resolved", 2)]);
    post(&server, &[trace("web", "1.1", "total", 42, 9)]);
    assert_eq!(groups(&server, "state=regressed", 3), [of(total, "regressed", 3)]);
    let back = events(&server, "regressed", 1);
    assert_eq!((back.len(), &back[0].0["error"]), (1, &json!(id)));
    assert_eq!(server.stop(), Some(0));
    let server = Server::start(&data);
    assert_eq!(groups(&server, "state=regressed", 3), [of(total, "regressed", 3)]);
    // Resolved in a version, older ones do not bring it back.
    decide(&server, &id, "state=resolved&version=2.0");
    post(&server, &[trace("web", "1.1", "total", 42, 11)]);
    assert_eq!(groups(&server, "state=resolved", 4), [of(total, "resolved", 4)]);
    assert_eq!(decide(&server, &id, "state=ignored&until=7d")["state"], "ignored");
    assert_eq!(server.post(&format!("/api/v1/errors/{id}?state=ignored"), b"").0, 400);
    assert_eq!(server.post("/api/v1/errors/0000000000000000?state=open", b"").0, 404);
    assert_eq!(server.get("/api/v1/errors/0000000000000000").0, 404);
    server.post("/-/seal", b"");
    assert_eq!(groups(&server, "state=all", 5), [of(total, "ignored", 4), of(price, "open", 1)]);
}

#[test]
fn a_deploy_is_told_with_what_it_changed() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let served = |number: u32| json!({"level": "info", "service": "web", "version": "1.0", "message": format!("served {number}")});
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let timed = |mut record: Value, seconds_ago: u64| {
        record["time"] = json!(now - seconds_ago);
        record
    };
    post(&server, &(0..40).map(|number| timed(served(number), 1_000)).collect::<Vec<_>>());
    post(&server, &[timed(trace("web", "1.0", "old", 1, 1), 900)]);
    let after: Vec<Value> = (0..40).map(|number| timed(trace("web", "2.0", "fresh", 1, number), 30)).collect();
    let url = server.url("");
    let output = taffrail()
        .args(["annotate", "deploy", "service=web", "version=2.0", "--id", "d2", "--at", "now-2m", "--server", &url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    post(&server, &after);
    groups(&server, "", 41);
    let (status, answer) = server.get("/api/v1/deploys/d2");
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["services"][0]["service"], &answer["services"][0]["change"]), (&json!("web"), &json!("grown")));
    let new: Vec<&Value> = answer["errors"].as_array().unwrap().iter().filter(|one| one["change"] == "new").collect();
    assert_eq!((new.len(), &new[0]["culprit"]), (1, &json!("com.acme.Cart.fresh")));
    assert!(!answer["worse"].as_array().unwrap().is_empty());
    let (_, canary) = server.get("/api/v1/deploys/d2?canary=version:2.0");
    assert_eq!(canary["services"][0]["records"], json!({"before": 0, "after": 40}));
    let output = taffrail().args(["deploys", "d2", "--server", &url]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("com.acme.Cart.fresh"), "{told}");
    // The new group is told with the deploy before it, and the deploy is a series.
    let new = r#"last_over_time({"taffrail.error.event", event="new", deploy="d2", deploy_version="2.0"}[1h])"#;
    wait_for("a new error since the deploy", || (server.promql(new).len() == 1).then_some(()));
    wait_for("the series of deploys", || {
        (!server.promql(r#"last_over_time({"taffrail.deploy"}[1h])"#).is_empty()).then_some(())
    });
    assert_eq!(server.get("/api/v1/deploys/none").0, 404);
}

#[test]
fn checks_and_hosts_tell_how_they_stand() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = directory.path().join("taffrail.toml");
    let text = format!(
        "[[checks]]\nname = \"door\"\naddress = \"{}\"\ninterval = \"1s\"\n[[checks]]\nname = \"wall\"\naddress = \"127.0.0.1:1\"\ninterval = \"1s\"\n",
        listener.local_addr().unwrap()
    );
    std::fs::write(&settings, text).unwrap();
    let server = Server::start_with(&directory.path().join("data"), &["--config", settings.to_str().unwrap()]);
    let up = |name: &str| {
        wait_for(name, || {
            let found = server.promql(&format!(r#"{{"taffrail.check.up", check="{name}"}}"#));
            found.first().map(|(_, value)| *value)
        })
    };
    assert_eq!((up("door"), up("wall")), (1.0, 0.0));
    let told = server.wait_for_records("check.name:wall check.status:critical", 1);
    assert!(told[0]["message"].as_str().unwrap().starts_with("wall is critical: "));
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"_sc|db.up|2|h:db1|#env:prod|m:no route", server.statsd).unwrap();
    let status = wait_for("the status of a service check", || {
        server.promql(r#"{"taffrail.check.status", check="db.up"}"#).into_iter().next()
    });
    assert_eq!((&status.0["host"], &status.0["env"], status.1), (&json!("db1"), &json!("prod"), 2.0));
    let hosts = wait_for("the host", || {
        let answer = server.get("/api/v1/hosts?search=db1").1;
        (answer["total"] == 1).then_some(answer)
    });
    assert_eq!(hosts["hosts"][0]["state"], "ok");
}
