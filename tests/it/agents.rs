//! An agent seen from outside: its own log and metrics at the server, its status on this host, and what the server knows of it.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::agent::Agent;
use crate::server::{Server, taffrail, wait_for};

#[test]
fn an_agents_own_log_and_metrics_reach_its_server() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let agent = Agent::start(&directory.path().join("agent"), &[server.url("")]);
    agent.write_lines(&["a first line", "a second line"]);

    let ready = server.wait_for_records("service:taffrail-agent host:agent-host message:ready", 1).remove(0);
    assert_eq!(ready["level"], "info");
    let id = ready["attributes"]["agent"].as_str().unwrap().to_owned();
    assert!(agent.log_text().contains("ready: agent"), "standard error has the log too");

    let read = format!("taffrail_agent_source_records{{agent=\"{id}\",kind=\"files\"}}");
    wait_for("both lines in the agent's own metrics", || {
        server.promql(&read).first().is_some_and(|(_, lines)| *lines == 2.0).then_some(())
    });
    let info = server.promql("taffrail_agent_info");
    assert_eq!((&info[0].0["host"], &info[0].0["version"]), (&"agent-host".into(), &env!("CARGO_PKG_VERSION").into()));
    agent.stop();
    // The last window is sent while stopping: what came after the figures before is in it.
    assert_eq!(server.promql(&read)[0].1, 2.0);
}

#[test]
fn an_agent_reads_the_pipe_that_a_program_writes_to() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let mut command = taffrail();
    command.args([
        "collect",
        "--no-host",
        "--statsd",
        "off",
        "--syslog",
        "off",
        "--to",
        &server.url(""),
        "--state-dir",
    ]);
    command.arg(directory.path().join("state")).current_dir(directory.path());
    let mut agent = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    agent.stdin.take().unwrap().write_all(b"level=warn msg=\"the disk is full\" free=3\nno end of line").unwrap();
    let record = server.wait_for_records("\"disk is full\"", 1).remove(0);
    assert_eq!((&record["level"], &record["attributes"]["free"]), (&"warn".into(), &3.into()));
    server.wait_for_records("\"no end of line\"", 1);
    kill_process(Pid::from_child(&agent), Signal::TERM).unwrap();
    assert!(wait_for("the agent to stop", || agent.try_wait().unwrap()).success());
}

#[test]
fn what_an_agent_says_of_a_long_outage_is_little_and_arrives_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut server = Server::start(&data);
    let http = server.http.to_string();
    let agent = Agent::start(&directory.path().join("agent"), &[server.url("")]);
    server.wait_for_records("service:taffrail-agent message:ready", 1);
    server.kill();
    wait_for("some failed attempts", || {
        let status = agent.status()?;
        (status["ship"]["failed_attempts"].as_u64()? >= 4).then_some(())
    });
    let server = Server::start_with(&data, &["--http", &http]);
    let complaints = server.wait_for_records("service:taffrail-agent level:warn", 1);
    assert!(complaints.len() <= 5, "{complaints:#?}");
    assert_eq!(complaints[0]["host"], "agent-host");
}

#[test]
fn an_agents_status_is_answered_to_its_own_user_while_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let agent = Agent::start(&directory.path().join("agent"), &[server.url("")]);
    agent.write_lines(&["one", "two", "three"]);
    let status = wait_for("three lines delivered", || {
        let status = agent.status()?;
        let files = status["sources"].as_array()?.iter().find(|source| source["kind"] == "files")?;
        let delivered = status["ship"]["waiting_batches"] == 0 && status["ship"]["acked_rows"].as_u64()? >= 3;
        (files["records"] == 3 && delivered).then_some(status)
    });
    assert_eq!(status["host"], "agent-host");
    assert_eq!(status["agent"].as_str().unwrap().len(), 32);
    assert_eq!(status["ship"]["endpoints"][0]["url"], server.url(""));
    assert!(status["process"]["resident_bytes"].as_f64().unwrap() > 1e6, "{status}");
    let socket = agent.socket();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    agent.stop();
    assert!(!socket.exists(), "an agent that stopped leaves no socket");
}

/// What a command printed, which ended well.
fn printed(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn top_shows_an_agent_and_a_server_with_its_agents() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let agent = Agent::start(&directory.path().join("agent"), &[server.url("")]);
    agent.write_lines(&["one", "two", "three"]);
    wait_for("three lines delivered", || {
        let status = agent.status()?;
        (status["ship"]["acked_rows"].as_u64()? >= 3 && server.search("three").len() == 1).then_some(())
    });
    let text = printed(&agent.ask(&["top", "--once"]).output().unwrap());
    for expected in ["on agent-host", "delivering", "SOURCE", "app.log", "SERVER", &server.url("")] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
    // Where nobody looks on: one snapshot to read by a program.
    let json: Value = serde_json::from_str(&printed(&agent.ask(&["top"]).output().unwrap())).unwrap();
    assert_eq!(json["host"], "agent-host");

    let text = wait_for("the server to hear how its agent does", || {
        let top = taffrail().args(["top", "--once", "--server", &server.url("")]).output().unwrap();
        let text = printed(&top);
        text.contains(env!("CARGO_PKG_VERSION")).then_some(text)
    });
    assert!(text.contains("1 agents: 0 silent, 0 lagging") && text.contains("agent-host"), "{text}");
}

#[test]
fn top_and_tap_say_what_to_do_where_no_agent_runs_or_the_question_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let check = |command: &mut std::process::Command, expected: &str| {
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(expected), "{text}");
    };
    for command in ["top", "tap"] {
        let expected = format!("no agent runs with the state directory {}", directory.path().display());
        check(taffrail().arg(command).arg("--state-dir").arg(directory.path()), &expected);
        check(taffrail().args([command, "--server", "http://127.0.0.1:1"]), "cannot reach http://127.0.0.1:1");
    }
    let agent = Agent::start(&directory.path().join("agent"), &["http://127.0.0.1:1".to_owned()]);
    wait_for("the agent's socket", || agent.status());
    check(&mut agent.ask(&["tap", "level:("]), "level:(\n");
    check(&mut agent.ask(&["tap", "--source", "flies"]), "this agent has no source `flies`; it has");
}

#[test]
fn tap_shows_what_passes_an_agent_whose_servers_are_away() {
    let directory = tempfile::tempdir().unwrap();
    // A new agent reads files once a server has said how far they were read.
    let server = Server::start(&directory.path().join("data"));
    let agent = Agent::start(&directory.path().join("agent"), &[server.url("")]);
    agent.write_lines(&["the first"]);
    wait_for("the first line delivered", || (server.search("first").len() == 1).then_some(()));
    drop(server);
    let tap = |arguments: &[&str]| {
        let process = agent.ask(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut process = Tapping(Some(process));
        // Lines are written until the tap has seen enough of them.
        wait_for("the tap to end", || {
            agent.write_lines(&["level=error msg=broken", "level=info msg=fine"]);
            process.0.as_mut()?.try_wait().unwrap()
        });
        printed(&process.0.take().unwrap().wait_with_output().unwrap())
    };
    let errors = tap(&["tap", "level:error", "--source", "files", "--limit", "2", "--json"]);
    let errors: Vec<Value> = errors.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(errors.len(), 2);
    for error in &errors {
        assert_eq!((&error["source"], &error["level"]), (&"files".into(), &"error".into()));
        assert!(error["message"].as_str().unwrap().contains("broken"), "{error}");
    }
    let text = tap(&["tap", "fine", "--limit", "1", "--fields", "log.file.path"]);
    assert!(text.contains("INFO  agent-host") && text.contains("fine") && text.contains("app.log"), "{text}");
}

/// A `taffrail tap`, ended with the test.
struct Tapping(Option<Child>);

impl Drop for Tapping {
    fn drop(&mut self) {
        if let Some(process) = &mut self.0 {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[test]
fn a_server_knows_its_agents_and_still_does_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    let agent = Agent::start(&directory.path().join("agent"), &[server.url("")]);
    agent.write_lines(&["one", "level=warn msg=two"]);
    let known = wait_for("the agent and its lines", || {
        let (_, answer) = server.get("/api/v1/agents");
        let known = answer["agents"].get(0)?.clone();
        let files = known["report"]["sources"].as_array()?.iter().find(|source| source["kind"] == "files")?;
        (files["records"] == 2).then_some(known)
    });
    let id = agent.status().unwrap()["agent"].clone();
    for (name, expected) in [
        ("agent", id.clone()),
        ("host", "agent-host".into()),
        ("state", "ok".into()),
        ("address", "127.0.0.1".into()),
        ("version", env!("CARGO_PKG_VERSION").into()),
    ] {
        assert_eq!(known[name], expected, "{name} of {known}");
    }
    assert_eq!(known["report"]["ship"]["endpoints"][0]["url"], server.url(""));
    assert!(known["received"]["rows"].as_u64().unwrap() >= 2 && known["newest_record"].is_string(), "{known}");
    let (_, ingest) = server.get("/api/v1/ingest");
    assert_eq!(ingest["agents"][0]["agent"], id);
    let (_, metrics) = server.get("/metrics");
    assert!(metrics.as_str().unwrap().contains("taffrail_agents{state=\"ok\"} 1\n"));

    agent.stop();
    server.stop();
    let server = Server::start(&data);
    let (_, answer) = server.get("/api/v1/agents");
    let again = &answer["agents"][0];
    for name in ["agent", "host", "first_seen", "version", "address"] {
        assert_eq!(again[name], known[name], "{name}");
    }
    assert_eq!(
        again["report"]["sources"].as_array().unwrap().len(),
        known["report"]["sources"].as_array().unwrap().len()
    );
}
