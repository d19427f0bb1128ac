//! What every row of the matrix has: an agent with files, syslog and StatsD, its servers, and the oracle.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::network::Network;
use crate::field::{AgentHost, ServerHost, settled, within};
use crate::oracle::{Habits, Ledger, SourceVerdict, Verdict, Writer, metrics_writer, syslog_writer};
use crate::server::{agent, encode};

/// How long anything may take that is waited for: far beyond every deadline, pause and backoff of the sender.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A row's scene.
pub struct Scene {
    writers: Vec<Writer>,
    /// The agent.
    pub agent: AgentHost,
    /// Its servers, in the order in which the agent is told of them.
    pub servers: Vec<ServerHost>,
    /// The directory of the files that are written.
    pub directory: tempfile::TempDir,
    /// What was written.
    pub ledger: Ledger,
    increments: Arc<AtomicU64>,
    footprint: Option<(u64, usize, usize)>,
    settings: String,
}

/// What is written besides the files.
const SYSLOG: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5514);
const STATSD: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8125);

impl Scene {
    /// Servers that run, and an agent that does not yet.
    pub fn set(network: &Network, servers: u8) -> Scene {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("logs")).unwrap();
        let servers = (0..servers).map(|number| {
            let mut server = ServerHost::new(directory.path(), &format!("server-{number}"), network.listen(number));
            server.wait_until_ready();
            server
        });
        let servers = servers.collect();
        let agent = AgentHost::new(directory.path());
        let (ledger, increments) = (Ledger::default(), Arc::default());
        let settings = String::new();
        Scene { writers: Vec::new(), agent, servers, directory, ledger, increments, footprint: None, settings }
    }

    /// Lines for `[collector]` of the agent's settings, before it starts.
    pub fn with_settings(mut self, settings: &str) -> Scene {
        self.settings = settings.to_owned();
        self
    }

    /// The usual beginning: the agent goes straight to its servers, and everything that is written arrives.
    pub fn begin(network: &Network, servers: u8) -> Scene {
        let mut scene = Scene::set(network, servers);
        let to: Vec<String> = (0..servers).map(|number| format!("http://{}", network.address(number))).collect();
        scene.start_agent(&to);
        scene.start_writing();
        scene
    }

    /// Starts the agent with these servers.
    pub fn start_agent(&mut self, to: &[String]) {
        let logs = self.directory.path().join("logs");
        let settings = format!(
            "[collector.statsd]\nflush_interval = \"1s\"\n[collector]\n{}\n\
             [[collector.files]]\ninclude = [\"{}/*.log\"]\nservice = \"oracle\"\npoll_interval = \"100ms\"\n",
            self.settings,
            logs.display()
        );
        self.agent.configure(to, &settings, Some((STATSD, SYSLOG)));
        self.agent.host.start();
        let listens = within(PATIENCE, || std::net::TcpStream::connect(SYSLOG).ok());
        assert!(listens.is_some(), "the agent does not start: {}", self.agent.host.log_text());
    }

    /// Writes a little by each way until it has arrived, then goes on: two files, one of them rotated and removed soon after;
    /// syslog by UDP and TCP; StatsD.
    pub fn start_writing(&mut self) {
        for tcp in [false, true] {
            let name = if tcp { "syslog-tcp" } else { "syslog-udp" };
            self.writers.push(syslog_writer(&self.ledger, name, SYSLOG, tcp, 20));
        }
        self.writers.push(metrics_writer(Arc::clone(&self.increments), STATSD, 20));
        self.start_writing_files_removed_after(Some(Duration::from_secs(2)));
    }

    /// Only files, and none of them is removed.
    pub fn start_writing_files(&mut self) {
        self.start_writing_files_removed_after(None);
    }

    fn start_writing_files_removed_after(&mut self, age: Option<Duration>) {
        let (rotated, steady) = (Habits::steady(60), Habits::steady(30));
        for (name, habits) in [("rotated", &rotated), ("steady", &steady)] {
            let first = self.write_file(name, habits.clone());
            self.ledger.source(name).wait_for_lines();
            first.stop();
        }
        let begun = within(PATIENCE, || {
            let found = crate::field::try_verdict(&self.servers, &self.ledger).ok()?;
            let arrives = |of: &SourceVerdict| of.written > 0 && (of.missing.len() as u64) < of.written;
            found.sources.values().all(arrives).then_some(())
        });
        assert!(begun.is_some(), "no line arrives: {}", self.agent.host.log_text());
        let rotated = rotated.rotating(100, age);
        for (name, habits) in [("rotated", rotated), ("steady", steady)] {
            let writer = self.write_file(name, habits);
            self.writers.push(writer);
        }
        self.footprint = self.agent.host.running().footprint();
    }

    fn write_file(&self, name: &str, habits: Habits) -> Writer {
        let path = self.directory.path().join("logs").join(format!("{name}.log"));
        Writer::file(&self.ledger, name, &path, habits, self.ledger.sum())
    }

    /// Something else that writes, until the end.
    pub fn also_writes(&mut self, writer: Writer) {
        self.writers.push(writer);
    }

    /// Goes on for a while as it is.
    pub fn goes_on(&self, seconds: u64) {
        std::thread::sleep(Duration::from_secs(seconds));
    }

    /// How long it takes from now until this server takes more than it has.
    pub fn until_it_flows_to(&mut self, server: usize) -> Duration {
        let (started, before) = (Instant::now(), self.servers[server].log_records());
        let flows = within(PATIENCE, || (self.servers[server].log_records() > before).then_some(()));
        assert!(flows.is_some(), "nothing flows to server {server}: {}", self.agent.host.log_text());
        started.elapsed()
    }

    /// How long it takes from now until one more batch was acknowledged to the agent.
    pub fn until_it_is_acknowledged(&self) -> Duration {
        let acked = || self.status().and_then(|status| status["ship"]["acked_batches"].as_u64());
        let (started, before) = (Instant::now(), acked());
        let more = within(PATIENCE, || (acked() > before).then_some(()));
        assert!(more.is_some(), "nothing is acknowledged: {}", self.agent.host.log_text());
        started.elapsed()
    }

    /// The agent's own status document; nothing while it does not answer.
    pub fn status(&self) -> Option<Value> {
        let mut stream = UnixStream::connect(self.agent.state().join("status.sock")).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(b"GET /status HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// What the status says of sending.
    pub fn ship(&self) -> Value {
        within(PATIENCE, || self.status()).expect("the agent's status")["ship"].clone()
    }

    /// Resends that the servers recognised.
    pub fn recognised_resends(&mut self) -> u64 {
        self.servers.iter_mut().map(ServerHost::duplicate_batches).sum()
    }

    /// The fault is over: everything drains, everything is there once, the agent has not grown. What is to be told of it.
    pub fn ends_clean(&mut self) -> String {
        let verdict = self.end();
        assert!(verdict.is_clean(), "{}", self.explain(&verdict));
        self.check_metrics();
        self.check_footprint();
        let resends = self.recognised_resends();
        format!("{} lines, {resends} resends recognised", verdict.written())
    }

    /// Stops the writers, and waits until it has drained.
    pub fn end(&mut self) -> Verdict {
        self.writers.clear();
        for server in &mut self.servers {
            server.wait_until_ready();
        }
        settled(&self.servers, &self.ledger, PATIENCE)
    }

    /// Keeps all files of the scene, and says where.
    pub fn explain(&mut self, verdict: &Verdict) -> String {
        self.directory.disable_cleanup(true);
        let (kept, status) = (self.directory.path().display(), self.status());
        let status = status.map(|status| status["ship"].to_string());
        format!("{verdict}\nkept in {kept}\nthe sender's status: {status:?}\n{}", self.agent.host.log_text())
    }

    /// Counters count every increment once: the agent was never killed.
    fn check_metrics(&mut self) {
        let question = encode("sum({\"oracle.increments\"})");
        let sum = || -> f64 {
            let of_server = self.servers.iter().filter_map(|server| {
                let url = format!("{}/api/v1/query?query={question}", server.url());
                let answer: Value = agent().get(&url).call().ok()?.body_mut().read_json().ok()?;
                answer["data"]["result"][0]["value"][1].as_str()?.parse::<f64>().ok()
            });
            of_server.sum()
        };
        let sent = self.increments.load(Relaxed) as f64;
        let all = within(PATIENCE, || (sum() >= sent).then_some(()));
        assert_eq!((all.is_some(), sum()), (true, sent), "increments stored; {}", self.agent.host.log_text());
    }

    fn check_footprint(&mut self) {
        /// Buffers, a few connections, rotated files and blocking threads may be there that were not; nothing that grows with an
        /// outage. Rotated files are held for a while.
        const MORE: (u64, usize, usize) = (64 << 20, 64, 64);
        let Some(before) = self.footprint else { return };
        let mut last = before;
        let is_small = within(PATIENCE, || {
            last = self.agent.host.running().footprint()?;
            let grown = last.0 > before.0 + MORE.0 || last.1 > before.1 + MORE.1 || last.2 > before.2 + MORE.2;
            (!grown).then_some(())
        });
        assert!(is_small.is_some(), "memory, files, threads were {before:?} and are {last:?}");
    }
}
