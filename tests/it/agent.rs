//! An agent of one test: its own process and state directory, ended with the test.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::server::{taffrail, wait_for};

/// An agent that tails `app.log` of its directory, ended with the test.
pub struct Agent {
    process: Child,
    directory: PathBuf,
}

impl Agent {
    /// Starts one that delivers to these URLs and says every second how it does.
    pub fn start(directory: &Path, to: &[String]) -> Agent {
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

    /// Where it answers how it does.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("state/status.sock")
    }

    /// Appends to its file.
    pub fn write_lines(&self, lines: &[&str]) {
        let path = self.directory.join("app.log");
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        for line in lines {
            writeln!(file, "{line}").unwrap();
        }
    }

    /// What `status.sock` answers, by a client that knows nothing of Taffrail; none while nothing listens.
    pub fn status(&self) -> Option<Value> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        stream.write_all(b"GET /status HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        Some(serde_json::from_str(body).unwrap())
    }

    /// A command that asks this agent.
    pub fn ask(&self, arguments: &[&str]) -> Command {
        let mut command = taffrail();
        command.args(arguments).arg("--state-dir").arg(self.directory.join("state"));
        command
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        let status = wait_for("the agent to stop", || self.process.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
    }

    /// What it wrote to standard error so far.
    pub fn log_text(&self) -> String {
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
