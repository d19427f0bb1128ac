//! An agent of the release binary on a core of its own, and what it takes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{AGENT_CORE, SERVER_CORE};
use crate::server::{self, Server};

/// A running agent. Dropping it kills the process.
pub struct Agent {
    process: Child,
    /// From the start of the process until it is ready.
    pub start_time: Duration,
}

/// Directories for one measurement, removed at its end.
pub struct Place {
    directory: TempDir,
}

impl Place {
    /// Empty ones.
    pub fn new() -> Place {
        let place = Place { directory: crate::new_directory() };
        fs::create_dir(place.logs()).expect("make a directory");
        place
    }

    /// Where logs are written.
    pub fn logs(&self) -> PathBuf {
        self.directory.path().join("logs")
    }

    /// Log files of numbered names.
    pub fn log_files(&self, count: usize) -> Vec<PathBuf> {
        (0..count).map(|number| self.logs().join(format!("{number}.log"))).collect()
    }

    /// Bytes of what the agent keeps.
    pub fn spool_bytes(&self) -> u64 {
        let entries = fs::read_dir(self.directory.path().join("state/spool")).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    /// Starts the server on its core; port 0 takes a free one.
    pub fn start_server(&self, port: u16) -> Server {
        Server::start_on(Some(SERVER_CORE), &self.directory.path().join("data"), port)
    }

    /// Starts the agent on its core and waits until it is ready.
    pub fn start_agent(&self, port: u16) -> Agent {
        let settings = self.directory.path().join("agent.toml");
        let include = format!("[\"{}/*.log\"]", self.logs().display());
        fs::write(&settings, format!("[[collector.files]]\ninclude = {include}\n")).expect("write the settings");
        let started = Instant::now();
        let mut process = Command::new("taskset")
            .args(["-c", AGENT_CORE, env!("CARGO_BIN_EXE_taffrail"), "collect", "--no-host", "--statsd", "off"])
            .args(["--syslog", "off", "--to", &format!("http://127.0.0.1:{port}"), "--config"])
            .arg(&settings)
            .arg("--state-dir")
            .arg(self.directory.path().join("state"))
            .env("TAFFRAIL_COLLECTOR_SPOOL_BYTES_MAX", (64u64 << 30).to_string())
            .env_remove("RUST_LOG")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the agent with taskset (util-linux)");
        let mut log = BufReader::new(process.stderr.take().expect("stderr is piped"));
        let mut line = String::new();
        while !line.contains("ready: ") {
            line.clear();
            assert!(log.read_line(&mut line).expect("read the agent's log") > 0, "the agent ended before it was ready");
        }
        let start_time = started.elapsed();
        // Read to its end, so that a talkative agent is never blocked.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Agent { process, start_time }
    }
}

impl Agent {
    /// User and system time so far.
    pub fn cpu_seconds(&self) -> f64 {
        server::cpu_seconds(self.process.id())
    }

    /// Memory resident now, in MiB.
    pub fn resident_mib(&self) -> f64 {
        server::memory_mib(self.process.id(), "VmRSS:")
    }

    /// What of it is the process's own, in MiB: the rest are pages of the program's file, which the kernel maps as it has room.
    pub fn anonymous_mib(&self) -> f64 {
        server::memory_mib(self.process.id(), "RssAnon:")
    }

    /// The most that was ever resident, in MiB.
    pub fn resident_peak_mib(&self) -> f64 {
        server::memory_mib(self.process.id(), "VmHWM:")
    }

    /// Ends it as a kill does.
    pub fn kill(mut self) {
        kill_process(Pid::from_child(&self.process), Signal::KILL).expect("send the signal");
        self.process.wait().expect("wait for the agent");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks again and again until it is so; false after `longest`.
pub fn wait_until(longest: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < longest {
        if is_so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
