//! An agent and its servers, as the kill test and the fault matrix use them: each its own process and directory, started,
//! killed and started anew with other settings, with an oracle beside them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::oracle::{Ledger, Verdict, Verifier};
use crate::process::Process;
use crate::server::taffrail;

/// A place where a process runs: its directory, settings and what runs there now.
pub struct Host {
    command: &'static str,
    /// Set for every start.
    pub variables: Vec<(String, String)>,
    /// Given at every start.
    pub arguments: Vec<String>,
    /// Put before the command: another program that starts it.
    pub prefix: Vec<String>,
    /// What runs now.
    pub process: Option<Process>,
    log: PathBuf,
    /// Starts so far.
    pub starts: u64,
}

impl Host {
    fn new(command: &'static str, log: PathBuf, arguments: Vec<String>) -> Host {
        Host { command, variables: Vec::new(), arguments, prefix: Vec::new(), process: None, log, starts: 0 }
    }

    /// Starts it unless it runs.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// The same with variables that are set for this start only.
    pub fn start_with(&mut self, variables: &[(&str, &str)]) {
        if self.process.is_some() {
            return;
        }
        let binary = taffrail();
        let mut words: Vec<_> = self.prefix.iter().map(Into::into).collect();
        words.push(binary.get_program().to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(self.command).args(&self.arguments).env("NO_COLOR", "1");
        for (name, _) in binary.get_envs() {
            if name.to_string_lossy().starts_with("TAFFRAIL_") {
                command.env_remove(name);
            }
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).envs(variables.iter().copied());
        self.process = Some(Process::spawn(&mut command, &self.log));
        self.starts += 1;
    }

    /// Kills it, if it runs.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Asks it to end and waits until it has.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate();
            let ended = process.wait_for_end(Duration::from_secs(60));
            let in_order =
                ended.is_some_and(|status| status.success() || status.signal() == Some(Signal::TERM.as_raw()));
            assert!(in_order, "asked to stop, it ends with {ended:?}; {}", self.log_text());
        }
    }

    /// The process, which runs.
    pub fn running(&mut self) -> &mut Process {
        self.process.as_mut().expect("it was started")
    }

    /// What all its processes wrote.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sets a variable for the next starts.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }
}

/// A server's place.
pub struct ServerHost {
    /// Its process.
    pub host: Host,
    /// Where it is reached by everybody who is not cut off.
    pub address: SocketAddr,
    /// Its data.
    pub data: PathBuf,
    /// Duplicate batches it recognised, processes that ended included as far as they were asked before.
    duplicates: BTreeMap<u64, u64>,
}

impl ServerHost {
    /// A server that is not started yet.
    pub fn new(directory: &Path, name: &str, address: SocketAddr) -> ServerHost {
        let log = directory.join(format!("{name}.log"));
        let data = directory.join(name);
        let mut host = ServerHost {
            host: Host::new("serve", log, Vec::new()),
            address,
            data: data.clone(),
            duplicates: BTreeMap::new(),
        };
        host.listen_at(address);
        host.host.set("TAFFRAIL_STORE_DISK_RESERVE_BYTES", "0");
        host
    }

    /// Listens there from its next start on. The oracle reaches it by loopback.
    pub fn listen_at(&mut self, address: SocketAddr) {
        self.address = SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
        let data = self.data.to_str().expect("a path in UTF-8");
        let address = address.to_string();
        let words =
            ["--no-host", "--insecure", "--statsd", "off", "--syslog", "off", "--http", &address, "--data-dir", data];
        self.host.arguments = words.map(str::to_owned).into();
    }

    /// `http://host:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks for a path; nothing while it does not answer.
    pub fn ask(&self, path: &str) -> Option<Value> {
        let mut answer = impatient().get(format!("{}{path}", self.url())).call().ok()?;
        answer.body_mut().read_json().ok()
    }

    /// Posts nothing to a path; whether it was answered with 200.
    pub fn post(&self, path: &str) -> bool {
        impatient().post(format!("{}{path}", self.url())).send(&b""[..]).is_ok_and(|answer| answer.status() == 200)
    }

    /// What `/api/v1/ingest` says of the store.
    pub fn store(&self) -> Option<Value> {
        self.ask("/api/v1/ingest").map(|answer| answer["store"].clone())
    }

    /// Resent batches that it recognised so far. To be asked before a kill, too: counters die with their process.
    pub fn duplicate_batches(&mut self) -> u64 {
        if let Some(count) = self.store().and_then(|store| store["duplicate_batches"].as_u64()) {
            self.duplicates.insert(self.host.starts, count);
        }
        self.duplicates.values().sum()
    }

    /// Log records taken since its start.
    pub fn log_records(&self) -> u64 {
        self.store().and_then(|store| store["log_records"].as_u64()).unwrap_or(0)
    }

    /// Waits until it answers.
    pub fn wait_until_ready(&mut self) {
        self.host.start();
        let ready = within(Duration::from_secs(60), || {
            assert!(self.host.running().ended().is_none(), "a server ended: {}", self.host.log_text());
            self.store().is_some().then_some(())
        });
        assert!(ready.is_some(), "a server is not ready: {}", self.host.log_text());
    }
}

/// The agent's place.
pub struct AgentHost {
    /// Its process.
    pub host: Host,
    config: PathBuf,
    state: PathBuf,
}

impl AgentHost {
    /// An agent that is not started yet and has no settings.
    pub fn new(directory: &Path) -> AgentHost {
        let (config, state) = (directory.join("agent.toml"), directory.join("agent"));
        AgentHost { host: Host::new("collect", directory.join("agent.log"), Vec::new()), config, state }
    }

    /// Where it keeps its spool.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Settings of the next start: the servers in their order, the text of its settings file, where it takes metrics and syslog.
    pub fn configure(&mut self, to: &[String], settings: &str, sockets: Option<(SocketAddr, SocketAddr)>) {
        std::fs::write(&self.config, settings).expect("write the agent's settings");
        let (statsd, syslog) = match sockets {
            Some((statsd, syslog)) => (statsd.to_string(), syslog.to_string()),
            None => ("off".to_owned(), "off".to_owned()),
        };
        let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let mut words = vec!["--no-host".to_owned(), "--statsd".to_owned(), statsd, "--syslog".to_owned(), syslog];
        words.extend(["--config".to_owned(), path(&self.config), "--state-dir".to_owned(), path(&self.state)]);
        words.extend(to.iter().flat_map(|url| ["--to".to_owned(), url.clone()]));
        self.host.arguments = words;
    }

    /// Kills it, and takes away all that it remembers.
    pub fn lose_state(&mut self) {
        self.host.kill();
        std::fs::remove_dir_all(&self.state).expect("remove the agent's state");
    }

    /// Bytes that lie in its spool.
    pub fn spool_bytes(&self) -> u64 {
        files_below(&self.state.join("spool"))
    }

    /// Files in its quarantine.
    pub fn quarantined(&self) -> usize {
        std::fs::read_dir(self.state.join("quarantine")).map_or(0, Iterator::count)
    }
}

fn files_below(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => files_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// What became of the lines of the ledger at all these servers, which answer.
pub fn verdict(servers: &[ServerHost], ledger: &Ledger) -> Verdict {
    try_verdict(servers, ledger).unwrap_or_else(|error| panic!("a server does not say what it has: {error}"))
}

/// The same of servers that may not answer.
pub fn try_verdict(servers: &[ServerHost], ledger: &Ledger) -> Result<Verdict, String> {
    let mut verifier = Verifier::default();
    for server in servers {
        verifier.ask(&server.url())?;
    }
    Ok(verifier.verdict(ledger))
}

/// Waits until every line is somewhere, then for whatever might still come twice, and says what became of all. The writers have
/// stopped.
pub fn settled(servers: &[ServerHost], ledger: &Ledger, patience: Duration) -> Verdict {
    /// What is there twice comes soon after what is there once: nothing is under way any more.
    const CALM: Duration = Duration::from_millis(1500);
    let complete = within(patience, || try_verdict(servers, ledger).ok().filter(|verdict| verdict.missing() == 0));
    if complete.is_some() {
        std::thread::sleep(CALM);
    }
    verdict(servers, ledger)
}

/// Tries until there is a value or the time is over.
pub fn within<T>(patience: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = attempt() {
            return Some(value);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// An HTTP client for servers that may hang.
fn impatient() -> ureq::Agent {
    let patience = Some(Duration::from_secs(3));
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(patience).build().into()
}
