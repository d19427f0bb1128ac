//! Other StatsD servers beside, where this machine has them: npm's `statsd` and Debian's `collectd`, with plain names (neither reads
//! tags), at a rate that they stand.
//!
//! `collectd` is used when it is installed. npm's `statsd` is fetched by npm, from its cache or its registry.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::lines::Workload;
use crate::receiver::cpu_seconds_of;
use crate::sender;

/// How long they are sent lines: two flushes at least.
const SPAN: Duration = Duration::from_secs(22);

/// Measures those that are there.
pub fn measure() {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, start) in
        [("npm statsd", start_npm as fn(&Path, u16) -> Result<Child, String>), ("collectd", start_collectd)]
    {
        for (datagram_bytes_max, rate, what) in [(1_432, 1e5, "1,432-byte datagrams"), (0, 2e4, "one line a datagram")]
        {
            let address = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
            match start(directory.path(), address.port()) {
                Ok(process) => row(name, what, process, address, datagram_bytes_max, rate),
                Err(why) => {
                    println!("| {name} | {why} | | |");
                    break;
                }
            }
        }
    }
}

fn row(name: &str, what: &str, mut process: Child, address: SocketAddr, datagram_bytes_max: usize, rate: f64) {
    std::thread::sleep(Duration::from_secs(3)); // none of them says when it listens
    if let Ok(Some(status)) = process.try_wait() {
        println!("| {name} | ended at once ({status}): see its output above | | |");
        return;
    }
    let workload = Workload { names: 1_000, datagram_bytes_max, tags: false };
    let before = cpu_seconds_of(process.id());
    let sent = sender::send(&workload, address, rate, SPAN);
    std::thread::sleep(Duration::from_secs(1));
    let cpu = cpu_seconds_of(process.id()) - before;
    let dropped = kernel_drops(address.port()) * workload.lines_per_datagram();
    let _ = process.kill();
    let _ = process.wait();
    let taken = sent.lines.saturating_sub(dropped).max(1) as f64 / 1e6;
    let at = sent.lines as f64 / sent.seconds / 1e6;
    println!(
        "| {name}: {what}, 1,000 plain names: CPU-s per million lines (at {at:.2} M/s) | {:.2} | | {dropped} of {} dropped |",
        cpu / taken,
        sent.lines
    );
}

fn start_npm(directory: &Path, port: u16) -> Result<Child, String> {
    let program = directory.join("node_modules/statsd/stats.js");
    if !program.exists() {
        let fetched = Command::new("npm")
            .args(["install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional"])
            .args(["--prefix".as_ref(), directory.as_os_str(), "statsd".as_ref()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !fetched.is_ok_and(|status| status.success()) {
            return Err("not there: npm could not fetch it".to_owned());
        }
    }
    let config = directory.join(format!("statsd-{port}.js"));
    let text = format!("{{ port: {port}, mgmt_port: {}, backends: [], flushInterval: 10000 }}", port ^ 1);
    fs::write(&config, text).map_err(|error| error.to_string())?;
    let started = Command::new("node").arg(program).arg(config).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    started.map_err(|error| format!("node does not start: {error}"))
}

fn start_collectd(directory: &Path, port: u16) -> Result<Child, String> {
    let program = ["/usr/sbin/collectd", "/usr/local/sbin/collectd"].into_iter().find(|path| Path::new(path).exists());
    let Some(program) = program else { return Err("not installed: apt install collectd".to_owned()) };
    let config = directory.join(format!("collectd-{port}.conf"));
    let text = format!(
        "BaseDir \"{0}\"\nPIDFile \"{0}/collectd.pid\"\nInterval 10\nLoadPlugin statsd\n<Plugin statsd>\n  Host \"127.0.0.1\"\n  \
         Port \"{port}\"\n  TimerPercentile 90\n</Plugin>\nLoadPlugin csv\n<Plugin csv>\n  DataDir \"{0}\"\n</Plugin>\n",
        directory.display()
    );
    fs::write(&config, text).map_err(|error| error.to_string())?;
    let started =
        Command::new(program).args(["-f".as_ref(), "-C".as_ref(), config.as_os_str()]).stdin(Stdio::null()).spawn();
    started.map_err(|error| format!("{program} does not start: {error}"))
}

/// What the kernel dropped before a UDP port: the last column of `/proc/net/udp`.
fn kernel_drops(port: u16) -> u64 {
    let port = format!(":{port:04X}");
    ["/proc/net/udp", "/proc/net/udp6"]
        .iter()
        .flat_map(|path| fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|row| row.split_ascii_whitespace().nth(1).is_some_and(|address| address.ends_with(&port)))
        .filter_map(|row| row.split_ascii_whitespace().next_back()?.parse::<u64>().ok())
        .sum()
}
