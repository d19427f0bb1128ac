//! A server of the release binary, on loopback with a data directory of its own, and one kept-alive connection to it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Work in the background has ended when for so long …
const QUIET: Duration = Duration::from_secs(10);
/// … the server took less than this much of a core.
const QUIET_SHARE: f64 = 0.02;
/// Background work that goes on for so long is a mistake.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(1_800);

/// A running server. Dropping it kills the process.
pub struct Server {
    process: Child,
    agent: ureq::Agent,
    http: String,
    /// Where it takes StatsD by UDP.
    pub statsd: String,
    /// From the start of the process to readiness.
    pub start_time: Duration,
}

/// An answer and how long it took from sending the request to the last byte.
pub struct Answer {
    /// The time.
    pub took: Duration,
    /// The HTTP status.
    pub status: u16,
    /// What came.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON, or what came instead.
    pub fn json(&self) -> Result<Value, String> {
        let text = || String::from_utf8_lossy(&self.body).chars().take(300).collect::<String>();
        match self.status {
            200 => serde_json::from_slice(&self.body).map_err(|error| format!("{error} in {}", text())),
            status => Err(format!("status {status}: {}", text())),
        }
    }
}

/// A client with a connection of its own, to which every status is an answer.
pub fn new_agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

impl Server {
    /// Starts one over the directory and waits until it is ready.
    pub fn start(directory: &Path) -> Server {
        Server::start_on(None, directory, 0)
    }

    /// The same on one core, when one is named, and at a port, unless that is 0.
    pub fn start_on(core: Option<&str>, directory: &Path, port: u16) -> Server {
        let started = Instant::now();
        let mut command = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", core, env!("CARGO_BIN_EXE_taffrail")]);
                command
            }
            None => Command::new(env!("CARGO_BIN_EXE_taffrail")),
        };
        let mut process = command
            .args(["serve", "--no-host", "--print-addresses", "--http", &format!("127.0.0.1:{port}")])
            .args(["--statsd", "127.0.0.1:0", "--syslog", "off", "--data-dir"])
            .arg(directory)
            .env("TAFFRAIL_STORE_RETENTION_AGE", "none") // the slices of `cold_start` reach back a hundred days
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start taffrail");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("read the addresses");
        let start_time = started.elapsed();
        let addresses: Value = serde_json::from_str(&line).expect("addresses in JSON");
        let address = |name: &str| addresses[name].as_str().expect(name).to_owned();
        let agent = new_agent();
        Server { process, agent, http: address("http"), statsd: address("statsd"), start_time }
    }

    /// Asks it to end, as a service manager does, and waits.
    pub fn stop(mut self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).expect("send the signal");
        self.process.wait().expect("wait for the server");
    }

    /// Where it answers HTTP.
    pub fn port(&self) -> u16 {
        self.http.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// Asks for a path; the connection of the last question is used again.
    pub fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let request = parameters
            .iter()
            .fold(self.agent.get(self.url(path)), |request, (name, value)| request.query(*name, *value))
            .header("accept", "application/json");
        let started = Instant::now();
        let mut answer = request.call().expect(path);
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec().expect(path);
        Answer { took: started.elapsed(), status, body }
    }

    /// Posts a body that must be taken, and says how long that took.
    pub fn post(&self, path: &str, body: &[u8]) -> Duration {
        let started = Instant::now();
        let mut answer = self.agent.post(self.url(path)).send(body).expect(path);
        let text = answer.body_mut().read_to_string().expect(path);
        assert_eq!(answer.status().as_u16(), 200, "{path}: {text}");
        started.elapsed()
    }

    /// A number of the store's condition, such as `splits`.
    pub fn store_status(&self, name: &str) -> u64 {
        let status = self.ask("/api/v1/ingest", &[]).json().expect("the ingest status");
        status["store"][name].as_u64().expect(name)
    }

    /// Waits until work in the background has ended, and returns the CPU seconds used when it had.
    pub fn settle(&self) -> f64 {
        let started = Instant::now();
        loop {
            let (cpu, splits) = (self.cpu_seconds(), self.store_status("splits"));
            sleep(QUIET);
            let share = (self.cpu_seconds() - cpu) / QUIET.as_secs_f64();
            if share < QUIET_SHARE && self.store_status("splits") == splits {
                return cpu;
            }
            assert!(started.elapsed() < SETTLE_TIME_MAX, "the server never comes to rest");
        }
    }

    /// User and system time of the process so far.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.process.id())
    }

    /// Memory resident now, in MiB.
    pub fn resident_mib(&self) -> f64 {
        memory_mib(self.process.id(), "VmRSS:")
    }

    /// The most memory that was ever resident, in MiB.
    pub fn resident_peak_mib(&self) -> f64 {
        memory_mib(self.process.id(), "VmHWM:")
    }
}

/// User and system time that a process has used so far.
pub fn cpu_seconds(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("read the times");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("clock ticks");
    (ticks(11) + ticks(12)) / 100.0 // USER_HZ is 100 on every Linux that Rust runs on
}

/// A line of a process's status (`VmRSS:`, `VmHWM:`), in MiB.
pub fn memory_mib(process: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("read the memory");
    let line = status.lines().find(|line| line.starts_with(name)).expect(name);
    line.split_whitespace().nth(1).expect("kB").parse::<f64>().expect("kB") / 1024.0
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
