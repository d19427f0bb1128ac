//! A Taffrail server of one test: its own process, directory and ports, ended with the test.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

/// How long anything that should happen soon may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

/// A running server.
pub struct Server {
    process: Child,
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Where StatsD is taken.
    pub statsd: SocketAddr,
    /// Where syslog is taken.
    pub syslog: SocketAddr,
    /// Where Graphite's lines are taken, where that is switched on.
    pub graphite: Option<SocketAddr>,
    pub otlp_grpc: Option<SocketAddr>,
    log: PathBuf,
}

/// The binary under test.
pub fn taffrail() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taffrail"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TAFFRAIL_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1");
    // Tests count what they sent.
    command.env("TAFFRAIL_OWN_METRICS", "false");
    command
}

impl Server {
    /// Starts on free ports over `directory`, without this host's own logs and metrics.
    pub fn start(directory: &Path) -> Server {
        Server::start_with(directory, &[])
    }

    /// The same with more arguments.
    pub fn start_with(directory: &Path, arguments: &[&str]) -> Server {
        Server::start_command(taffrail().args(["serve", "--no-host"]), directory, arguments)
    }

    /// The same with another command that serves.
    pub fn start_command(command: &mut Command, directory: &Path, arguments: &[&str]) -> Server {
        let log = directory.with_extension("log");
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("open the server's log");
        let free = "127.0.0.1:0";
        let chosen = |flag: &str| arguments.contains(&flag);
        for flag in ["--http", "--statsd", "--syslog"] {
            if !chosen(flag) {
                command.args([flag, free]);
            }
        }
        // Counters and rules of the server's own would stand between those that a test counts.
        const OWN: &str = "TAFFRAIL_ALERTS_DEFAULT_RULES";
        if !command.get_envs().any(|(name, _)| name == OWN) {
            command.env(OWN, "false");
        }
        let mut process = command
            .arg("--print-addresses")
            .arg("--data-dir")
            .arg(directory)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("start taffrail");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("read the addresses");
        let addresses: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!(
                "the server printed {line:?} ({error}); its log:\n{}",
                std::fs::read_to_string(&log).unwrap_or_default()
            )
        });
        let address = |name: &str| addresses[name].as_str().expect(name).parse().expect(name);
        let otlp_grpc = addresses["otlp_grpc"].as_str().map(|address| address.parse().expect("otlp_grpc"));
        let graphite = addresses["graphite"].as_str().map(|address| address.parse().expect("graphite"));
        let (http, statsd, syslog) = (address("http"), address("statsd"), address("syslog"));
        Server { process, http, statsd, syslog, graphite, otlp_grpc, log }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// Answers of a GET, whatever the status.
    pub fn get(&self, path: &str) -> (u16, Value) {
        let mut answer = agent().get(&self.url(path)).call().expect(path);
        let text = answer.body_mut().read_to_string().expect(path);
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Answers of a POST, whatever the status.
    pub fn post(&self, path: &str, body: &[u8]) -> (u16, Value) {
        let mut answer = agent().post(&self.url(path)).send(body).expect(path);
        let text = answer.body_mut().read_to_string().expect(path);
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// The records that a question finds, newest first, over all of time.
    pub fn search(&self, question: &str) -> Vec<Value> {
        let mut records = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/v1/logs/search?from=0&to=now%2B3650d&limit=1000&q={}{cursor}", encode(question));
            let mut answer =
                agent().get(&self.url(&path)).header("accept", "application/json").call().expect("ask for records");
            let body: Value = answer.body_mut().with_config().limit(1 << 30).read_json().expect("an answer in JSON");
            assert_eq!(answer.status().as_u16(), 200, "{question}: {body}");
            records.extend(body["records"].as_array().expect("records").iter().cloned());
            match body["summary"]["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={}", encode(next)),
                None => return records,
            }
        }
    }

    /// The values of an instant PromQL question: (labels, value).
    pub fn promql(&self, question: &str) -> Vec<(Value, f64)> {
        let (status, body) = self.get(&format!("/api/v1/query?query={}", encode(question)));
        assert_eq!(status, 200, "{question}: {body}");
        let value = |series: &Value| series["value"][1].as_str().expect("a value").parse().expect("a number");
        body["data"]["result"].as_array().expect("result").iter().map(|s| (s["metric"].clone(), value(s))).collect()
    }

    /// Waits until the question finds at least `count` records, and returns them.
    pub fn wait_for_records(&self, question: &str, count: usize) -> Vec<Value> {
        wait_for(&format!("{count} records of {question}"), || {
            let found = self.search(question);
            (found.len() >= count).then_some(found)
        })
    }

    /// Kills the process at once, as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.kill().expect("kill the server");
        self.process.wait().expect("wait for the server");
    }

    /// Waits until the process ends by itself.
    pub fn wait_for_end(&mut self) -> std::process::ExitStatus {
        wait_for("the server to end by itself", || self.process.try_wait().expect("wait for the server"))
    }

    /// Asks it to stop with SIGTERM and returns its exit code.
    pub fn stop(self) -> Option<i32> {
        self.stop_by(Signal::TERM)
    }

    /// Asks it to stop with a signal and returns its exit code.
    pub fn stop_by(mut self, signal: Signal) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, signal).expect("send the signal");
        let deadline = Instant::now() + SOON;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().expect("wait for the server") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server did not stop within {SOON:?}; its log:\n{}", self.log_text())
    }

    /// What it wrote to standard error so far, earlier runs over the same directory included.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log_text());
        }
    }
}

/// Tries until there is a value or [`SOON`] is over.
pub fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {SOON:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An HTTP client that gives back every status.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(SOON)).build().into()
}

/// Percent-encodes a parameter.
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// A small random generator (xorshift64*), so that a printed seed repeats a test.
pub struct Random(u64);

impl Random {
    /// From `TAFFRAIL_TEST_SEED`, or the clock; the seed is printed.
    pub fn from_environment(test: &str) -> Random {
        let seed = std::env::var("TAFFRAIL_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
            now.as_nanos() as u64
        });
        println!("{test}: TAFFRAIL_TEST_SEED={seed}");
        Random::from_seed(seed)
    }

    /// From a seed that was printed already, or drawn.
    pub fn from_seed(seed: u64) -> Random {
        // Neighbouring seeds give unlike numbers.
        Random((seed ^ seed >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A seed for a generator of its own.
    pub fn seed(&mut self) -> u64 {
        self.below(u64::from(u32::MAX))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) * bound) >> 32
    }
}
