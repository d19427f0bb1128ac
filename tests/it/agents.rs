//! An agent seen from outside: its own log and metrics at the server, its status on this host, and what the server knows of it.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::server::{Server, taffrail, wait_for};

/// An agent that tails `app.log` of its directory, ended with the test.
struct Agent {
    process: Child,
    directory: PathBuf,
}

impl Agent {
    /// Starts one that delivers to these URLs and says every second how it does.
    fn start(directory: &Path, to: &[String]) -> Agent {
        std::fs::create_dir_all(directory).unwrap();
        let config = directory.join("agent.toml");
        let file = directory.join("app.log");
        let text = format!(
            "[collector]\nhost = \"agent-host\"\n[collector.own_health]\ninterval = \"1s\"\n\
             [[collector.files]]\ninclude = [{file:?}]\nstart_at = \"beginning\"\n"
        );
        std::fs::write(&config, text).unwrap();
        let log = OpenOptions::new().create(true).append(true).open(directory.join("agent.stderr")).unwrap();
        let mut command = taffrail();
        command.args(["collect", "--no-host", "--statsd", "off", "--syslog", "off", "--config"]).arg(&config);
        command.arg("--state-dir").arg(directory.join("state"));
        for url in to {
            command.args(["--to", url]);
        }
        let process = command.stdout(Stdio::null()).stderr(log).spawn().expect("start the agent");
        Agent { process, directory: directory.to_owned() }
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("state/status.sock")
    }

    fn write_lines(&self, lines: &[&str]) {
        let path = self.directory.join("app.log");
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        for line in lines {
            writeln!(file, "{line}").unwrap();
        }
    }

    /// What `status.sock` answers, by a client that knows nothing of Taffrail; none while nothing listens.
    fn status(&self) -> Option<Value> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        stream.write_all(b"GET /status HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        Some(serde_json::from_str(body).unwrap())
    }

    /// Asks it to stop, and waits until it has.
    fn stop(mut self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        let status = wait_for("the agent to stop", || self.process.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
    }

    fn log_text(&self) -> String {
        std::fs::read_to_string(self.directory.join("agent.stderr")).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log_text());
        }
    }
}

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
