//! The series store beside its peers, through the same door: a day of the same samples by Prometheus remote write, then the
//! same questions to each. Peers take part when they are installed (Debian: `apt-get install victoria-metrics prometheus`).
//!
//! `cargo bench --bench series_peers`; `SERIES=1250` of each of the eight parts makes the 10,000 series of the published
//! comparison (250 is quicker). CPU times are those of the server's process; the sender runs beside it. Times of
//! questions are the best of five, caches of answers switched off where that can be said.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[path = "series_mix.rs"]
mod mix;
#[path = "remote_write.rs"]
mod remote_write;

use remote_write::WriteRequest;

use mix::{DAY_SECONDS, PARTS, Random, STEP_SECONDS};

/// Series and steps of one request: 10,000 samples.
const REQUEST_SERIES: usize = 500;
const REQUEST_STEPS: i64 = 20;

/// Work in the background has ended when the process took less than this of a core for so long.
const QUIET: Duration = Duration::from_secs(8);
const QUIET_SHARE: f64 = 0.03;
const SETTLE_TIME_MAX: Duration = Duration::from_secs(600);

/// A server under test.
struct Contender {
    name: &'static str,
    process: Child,
    url: String,
    directory: PathBuf,
}

fn main() {
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return; // `cargo test --benches` asks every target what it holds
    }
    let series = std::env::var("SERIES").ok().and_then(|n| n.parse().ok()).unwrap_or(250);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let start = now / DAY_SECONDS * DAY_SECONDS - DAY_SECONDS; // all of yesterday, a day that is over
    let samples = 8 * series * (DAY_SECONDS / STEP_SECONDS) as u64;
    eprintln!("making {samples} samples …");
    let requests = requests(series, start);
    let sent: usize = requests.iter().map(Vec::len).sum();
    println!(
        "{} series × 24 h at 10 s, {samples} samples, {:.2} B a sample on the wire\n",
        8 * series,
        sent as f64 / samples as f64
    );
    for starting in [taffrail, victoria_metrics, prometheus] {
        let directory = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        if let Some(contender) = starting(directory.path()) {
            contender.measure(&requests, samples, start);
        }
    }
}

impl Contender {
    fn measure(mut self, requests: &[Vec<u8>], samples: u64, start: i64) {
        self.wait_until_ready();
        let (cpu, started) = (self.cpu(), Instant::now());
        self.feed(requests);
        let (took, cpu) = (started.elapsed().as_secs_f64(), self.cpu() - cpu);
        let millions = samples as f64 / 1e6;
        let row = |what: &str, figure: String| println!("| {} | {what} | {figure} |", self.name);
        row("remote write, durable", format!("{:.2} M samples/s", millions / took));
        row("remote write, CPU-s per million", format!("{:.3}", cpu / millions));
        let before = self.cpu();
        self.come_to_rest();
        row("CPU-s per million for what follows (seals, merges)", format!("{:.3}", (self.cpu() - before) / millions));
        row("bytes a sample, index included", format!("{:.3}", self.bytes() as f64 / samples as f64));
        row("RSS, most", format!("{:.0} MiB", self.memory_peak_mib()));
        let (first, last) = (start + STEP_SECONDS, start + DAY_SECONDS);
        for (what, query, step) in [
            ("sum(rate(x[5m]))", "sum(rate(poisson_total[5m]))", 60),
            ("max by (service)(gauge)", "max by (service)(walk)", 60),
            ("avg by (service)(avg_over_time(p95[5m]))", "avg by (service)(avg_over_time(p95[5m]))", 60),
            ("one series, 24 h, 10 s step", "walk{host=\"host-00001\"}", 10),
        ] {
            let path = |nth: i64| {
                // Another second each time, so that nobody answers from a cache.
                let (first, last) = (first - nth, last - nth);
                format!("/api/v1/query_range?query={}&start={first}&end={last}&step={step}&nocache=1", encoded(query))
            };
            row(what, self.ask(path));
            if what.starts_with("sum") {
                row("the same, asked again", self.ask(|_| path(0).replace("&nocache=1", "")));
            }
        }
        let range = format!("start={first}&end={last}");
        row("label values", self.ask(|_| format!("/api/v1/label/host/values?{range}")));
        let selector = encoded("{__name__=\"walk\"}");
        row("series of one name", self.ask(|_| format!("/api/v1/series?match[]={selector}&{range}")));
        let count = encoded("count({env=\"production\"})");
        row("count of all series", self.ask(|_| format!("/api/v1/query?query={count}&time={last}&nocache=1")));
        println!();
    }

    fn feed(&self, requests: &[Vec<u8>]) {
        let (url, next) = (format!("{}/api/v1/write", self.url), AtomicUsize::new(0));
        let send = || {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            while let Some(body) = requests.get(next.fetch_add(1, Relaxed)) {
                let request = agent.post(&url).header("content-encoding", "snappy");
                let request = request.header("content-type", "application/x-protobuf");
                let mut answer = request.header("x-prometheus-remote-write-version", "0.1.0").send(&body[..]).unwrap();
                let text = answer.body_mut().read_to_string().unwrap();
                assert!(answer.status().is_success(), "{}: {} {text}", self.name, answer.status());
            }
        };
        // Prometheus takes each series in order only, so it is sent one request after the other.
        std::thread::scope(|scope| {
            if self.name != "Prometheus" {
                scope.spawn(send);
            }
            send();
        });
    }

    /// Best time of five and the process' mean CPU time.
    fn ask(&self, path: impl Fn(i64) -> String) -> String {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let once = |nth| {
            let started = Instant::now();
            let mut answer = agent.get(format!("{}{}", self.url, path(nth))).call().unwrap();
            let body = answer.body_mut().with_config().limit(1 << 30).read_to_string().unwrap();
            let took = started.elapsed();
            let has_data = body.contains("\"status\":\"success\"") && body.len() > 100;
            assert!(has_data, "{}: {}", self.name, &body[..body.len().min(300)]);
            took
        };
        once(0);
        let cpu = self.cpu();
        let best = (0..5).map(once).min().unwrap();
        let cpu = (self.cpu() - cpu) / 5.0;
        format!("{:.1} ms ({:.0} ms CPU)", best.as_secs_f64() * 1e3, cpu * 1e3)
    }

    fn post(&self, path: &str) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let answer = agent.post(format!("{}{path}", self.url)).send_empty().unwrap();
        assert!(answer.status().is_success(), "{}{path}: {}", self.name, answer.status());
    }

    fn wait_until_ready(&mut self) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        for _ in 0..300 {
            assert!(self.process.try_wait().unwrap().is_none(), "{} ended at once", self.name);
            let path = format!("{}/api/v1/query?query=1", self.url);
            if agent.get(path).call().is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("{} does not answer", self.name);
    }

    fn come_to_rest(&self) {
        match self.name {
            "taffrail" => self.post("/-/seal"),
            "VictoriaMetrics" => {
                let agent = ureq::agent();
                for path in ["/internal/force_flush", "/internal/force_merge"] {
                    agent.get(format!("{}{path}", self.url)).call().unwrap();
                }
            }
            _ => self.post("/api/v1/admin/tsdb/snapshot"),
        }
        let started = Instant::now();
        loop {
            let cpu = self.cpu();
            sleep(QUIET);
            if (self.cpu() - cpu) / QUIET.as_secs_f64() < QUIET_SHARE {
                return;
            }
            assert!(started.elapsed() < SETTLE_TIME_MAX, "{} never comes to rest", self.name);
        }
    }

    /// What the store keeps for good: no journal.
    fn bytes(&self) -> u64 {
        match self.name {
            "taffrail" => size_of(&self.directory.join("blocks")),
            "VictoriaMetrics" => size_of(&self.directory.join("data")) + size_of(&self.directory.join("indexdb")),
            _ => size_of(&self.directory.join("snapshots")),
        }
    }

    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    fn memory_peak_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn taffrail(directory: &Path) -> Option<Contender> {
    let arguments = |port: u16| -> Vec<String> {
        let fixed = ["serve", "--no-host", "--statsd", "off", "--syslog", "off", "--http"];
        let own = [format!("127.0.0.1:{port}"), "--data-dir".to_owned(), directory.display().to_string()];
        fixed.into_iter().map(str::to_owned).chain(own).collect()
    };
    contender("taffrail", env!("CARGO_BIN_EXE_taffrail"), directory, arguments)
}

fn victoria_metrics(directory: &Path) -> Option<Contender> {
    let arguments = |port: u16| {
        vec![
            format!("-storageDataPath={}", directory.display()),
            format!("-httpListenAddr=127.0.0.1:{port}"),
            "-retentionPeriod=1".to_owned(),
            "-search.maxUniqueTimeseries=1000000".to_owned(),
        ]
    };
    contender("VictoriaMetrics", "victoria-metrics", directory, arguments)
}

fn prometheus(directory: &Path) -> Option<Contender> {
    let config = directory.join("prometheus.yml");
    std::fs::write(&config, "global: {}\n").unwrap();
    let arguments = |port: u16| {
        vec![
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", directory.display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--web.enable-remote-write-receiver".to_owned(),
            "--web.enable-admin-api".to_owned(),
        ]
    };
    contender("Prometheus", "prometheus", directory, arguments)
}

fn contender(
    name: &'static str,
    program: &str,
    directory: &Path,
    arguments: impl Fn(u16) -> Vec<String>,
) -> Option<Contender> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(program);
    let spawned = command.args(arguments(port)).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    match spawned {
        Ok(process) => {
            let url = format!("http://127.0.0.1:{port}");
            Some(Contender { name, process, url, directory: directory.to_owned() })
        }
        Err(error) => {
            println!("| {name} | not measured: {program}: {error} | install it beside |");
            None
        }
    }
}

fn size_of(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return std::fs::metadata(path).map_or(0, |file| file.len()) };
    entries.map(|entry| size_of(&entry.unwrap().path())).sum()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { (byte as char).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Remote write 1.0 requests with all samples, by rising time.
fn requests(series: u64, start: i64) -> Vec<Vec<u8>> {
    struct Source {
        labels: Vec<u8>,
        part: usize,
        random: Random,
        value: f64,
    }
    let mut sources: Vec<Source> = Vec::new();
    for (part, of) in PARTS.iter().enumerate() {
        sources.extend((0..series).map(|number| {
            let pairs = mix::labels(of, number);
            let labels = remote_write::labels(pairs.iter().map(|(name, value)| (*name, value.as_ref())));
            Source { labels, part, random: Random(number + 1), value: 50.0 }
        }));
    }
    let mut requests = Vec::new();
    for from in (0..DAY_SECONDS / STEP_SECONDS).step_by(REQUEST_STEPS as usize) {
        for sources in sources.chunks_mut(REQUEST_SERIES) {
            let mut request = WriteRequest::default();
            for Source { labels, part, random, value } in sources {
                let samples = (from..from + REQUEST_STEPS).map(|i| {
                    *value = (PARTS[*part].next)(random, i, *value);
                    ((start + (i + 1) * STEP_SECONDS) * 1_000, *value)
                });
                request.add(labels, samples);
            }
            requests.push(request.finish());
        }
    }
    requests
}
