//! The whole program under load, as a table: a release binary, real sockets, the corpus of `../shared/corpus`.
//!
//! `make bench` runs it; `ROWS` (default 500,000) sets how many log lines, `STATSD_LINES` (default 2,000,000) how many
//! metric lines. All load is bounded and goes to a server of its own on loopback with a temporary directory. Figures are of
//! one run on one machine: compare only figures of the same run.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

/// Bytes of NDJSON in one request.
const BODY_BYTES: usize = 4 << 20;

/// Connections that post at once.
const CONNECTIONS: usize = 2;

struct Server {
    process: Child,
    http: String,
    statsd: String,
}

impl Server {
    fn start(directory: &Path) -> Server {
        let mut process = Command::new(env!("CARGO_BIN_EXE_taffrail"))
            .args(["serve", "--no-host", "--print-addresses", "--http", "127.0.0.1:0"])
            .args(["--statsd", "127.0.0.1:0", "--syslog", "off", "--data-dir"])
            .arg(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start taffrail");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("read the addresses");
        let addresses: Value = serde_json::from_str(&line).expect("addresses in JSON");
        let address = |name: &str| addresses[name].as_str().expect(name).to_owned();
        Server { process, http: address("http"), statsd: address("statsd") }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    fn get(&self, path: &str) -> Value {
        let mut answer = ureq::get(&self.url(path)).header("accept", "application/json").call().expect(path);
        answer.body_mut().with_config().limit(1 << 30).read_json().expect(path)
    }

    fn post(&self, path: &str, body: &[u8]) {
        let answer = ureq::post(&self.url(path)).send(body).expect(path);
        assert_eq!(answer.status().as_u16(), 200, "{path}");
    }

    /// User and system time of the process so far.
    fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("read the times");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().expect("clock ticks");
        (ticks(11) + ticks(12)) / 100.0 // USER_HZ is 100 on every Linux that Rust runs on
    }

    fn resident_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("read the memory");
        let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("VmRSS");
        line.split_whitespace().nth(1).expect("kB").parse::<f64>().expect("kB") / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn row(what: &str, figure: &str) {
    println!("| {what} | {figure} |");
}

fn main() {
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return; // `cargo test --benches` asks every target what it holds
    }
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (rows, statsd_lines) = (number("ROWS", 500_000), number("STATSD_LINES", 2_000_000));
    let directory = tempfile::tempdir().expect("a temporary directory");
    println!("| what | figure |\n|---|---|");
    let binary = fs::metadata(env!("CARGO_BIN_EXE_taffrail")).expect("the binary").len();
    row("binary", &format!("{:.1} MB", binary as f64 / 1e6));

    let data = directory.path().join("data");
    let server = Server::start(&data);
    std::thread::sleep(Duration::from_secs(2));
    row("resident memory, empty", &format!("{:.0} MiB", server.resident_mib()));
    match corpus(rows) {
        Some(corpus) => measure_logs(&server, &corpus, rows, &data),
        None => println!("SKIPPED: ../shared/corpus is not there, so no figures for logs"),
    }
    measure_searchable(&server);
    drop(server);
    measure_statsd(directory.path(), statsd_lines);
    measure_idle(&data);
}

/// The corpus as NDJSON that ends today, made once by the generator beside it.
fn corpus(rows: u64) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("TAFFRAIL_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let made = root.join("target/bench-corpus");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let today = now / 86_400 * 86_400;
    let lines = made.join(format!("{rows}-{today}.ndjson"));
    if lines.exists() {
        return Some(lines);
    }
    let packed = File::open(shared.join("corpus/templates.tsv.zst")).ok()?;
    fs::create_dir_all(&made).expect("make a directory for the corpus");
    let templates = made.join("templates.tsv");
    let unpacked = File::create(&templates).expect("create the templates");
    zstd::stream::copy_decode(packed, unpacked).expect("unpack the templates");
    let generator = made.join("generate");
    let run = |command: &mut Command| assert!(command.status().expect("run").success(), "{command:?}");
    let source = shared.join("corpus/gen.rs");
    run(Command::new("rustc").args(["-O", "--cap-lints", "allow"]).arg(source).arg("-o").arg(&generator));
    let partial = lines.with_extension("partial");
    let output = File::create(&partial).expect("create the corpus");
    run(Command::new(&generator).arg(&templates).args([rows.to_string(), today.to_string()]).stdout(output));
    fs::rename(&partial, &lines).expect("name the corpus");
    Some(lines)
}

/// The text cut into request bodies at line ends.
fn bodies_of(text: &[u8]) -> Vec<&[u8]> {
    let mut bodies = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let cut = rest.len().min(BODY_BYTES);
        let end = rest[..cut].iter().rposition(|&b| b == b'\n').expect("lines are short") + 1;
        bodies.push(&rest[..end]);
        rest = &rest[end..];
    }
    bodies
}

fn post_all(server: &Server, bodies: &[&[u8]]) {
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || {
                let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
                for body in bodies.iter().skip(connection).step_by(CONNECTIONS) {
                    loop {
                        let answer = agent.post(&server.url("/api/v1/logs")).send(*body).expect("post a batch");
                        let status = answer.status().as_u16();
                        if status == 200 {
                            break;
                        }
                        assert!([429, 503].contains(&status), "refused with {status}");
                        std::thread::sleep(Duration::from_millis(200));
                    }
                }
            });
        }
    });
}

fn measure_logs(server: &Server, corpus: &Path, rows: u64, data: &Path) {
    let mut text = Vec::new();
    File::open(corpus).and_then(|mut file| file.read_to_end(&mut text)).expect("read the corpus");
    let bodies = bodies_of(&text);
    let (cpu, started) = (server.cpu_seconds(), Instant::now());
    post_all(server, &bodies);
    let (durable, durable_cpu) = (started.elapsed().as_secs_f64(), server.cpu_seconds() - cpu);
    server.post("/-/seal", b"");
    let (sealed, sealed_cpu) = (started.elapsed().as_secs_f64(), server.cpu_seconds() - cpu);
    let (lines, bytes) = (rows as f64, text.len() as f64);
    row("log lines in", &format!("{rows} ({:.0} MB of NDJSON)", bytes / 1e6));
    let cost = |wall: f64, cpu: f64| format!("{:.0} lines/s, {:.2} CPU-s per million", lines / wall, cpu / lines * 1e6);
    row("to durable and searchable (acknowledged)", &cost(durable, durable_cpu));
    row("to sealed", &cost(sealed, sealed_cpu));
    row("resident memory after", &format!("{:.0} MiB", server.resident_mib()));
    let disk = directory_bytes(data) as f64;
    let (megabytes, each, times) = (disk / 1e6, disk / lines, bytes / disk);
    row("disk", &format!("{megabytes:.1} MB, {each:.1} bytes a line, {times:.1}× smaller than the JSON"));
    for (what, path) in [
        ("newest 100", "search?limit=100&q="),
        ("rare word", "search?limit=100&q=quasarflux"),
        ("phrase, newest 100", "search?limit=100&q=%22authentication%20failure%22"),
        ("level and service, newest 100", "search?limit=100&q=level%3Awarn%20service%3Ahdfs"),
        ("histogram by level, all", "histogram?q=&by=level"),
        ("count of a word", "histogram?q=error"),
    ] {
        measure_question(server, what, &format!("/api/v1/logs/{path}&from=now-3d"));
    }
}

fn measure_question(server: &Server, what: &str, path: &str) {
    let mut times: Vec<f64> = (0..7)
        .map(|_| {
            let started = Instant::now();
            server.get(path);
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    row(&format!("query: {what}"), &format!("{:.1} ms (of 7: {:.1}–{:.1})", times[3], times[0], times[6]));
}

fn measure_searchable(server: &Server) {
    let mut times: Vec<f64> = (0..200)
        .map(|n| {
            let started = Instant::now();
            server.post("/api/v1/logs", format!("{{\"message\":\"searchable probe{n}\"}}").as_bytes());
            let question = format!("/api/v1/logs/search?limit=1&from=now-1m&q=probe{n}");
            while server.get(&question)["records"][0].is_null() {}
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let figure = format!("p50 {:.1} ms, p99 {:.1} ms (of 200)", times[100], times[198]);
    row("one line, from POST to found by a search", &figure);
}

fn measure_statsd(directory: &Path, lines: u64) {
    let server = Server::start(&directory.join("statsd"));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind a UDP socket");
    let packet = |n: u32| -> String {
        (0..20).map(|k| format!("shop.route{}.hits:1|c|#env:prod,host:h{},k:{k}\n", n % 50, n % 7)).collect()
    };
    let packets: Vec<String> = (0..500).map(packet).collect();
    let taken = || -> u64 {
        let ingest = server.get("/api/v1/ingest");
        let sources = ingest["sources"].as_array().expect("sources");
        sources.iter().filter(|s| s["kind"] == "statsd").map(|s| s["records"].as_u64().expect("records")).sum()
    };
    let (cpu, started) = (server.cpu_seconds(), Instant::now());
    for packet in packets.iter().cycle().take((lines / 20) as usize) {
        socket.send_to(packet.as_bytes(), &server.statsd).expect("send a packet");
    }
    let sending = started.elapsed().as_secs_f64();
    let mut seen = taken();
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let now = taken();
        if now == seen {
            break;
        }
        seen = now;
    }
    let busy = server.cpu_seconds() - cpu;
    let (sent, got) = (lines as f64, seen as f64);
    let rate = sent / sending / 1e6;
    row("StatsD lines sent as fast as one thread can", &format!("{lines} in {sending:.2} s ({rate:.2} M lines/s)"));
    row("StatsD lines aggregated", &format!("{seen} ({:.2} % lost in the kernel)", (sent - got) / sent * 100.0));
    row("StatsD cost", &format!("{:.2} M lines per CPU-s, sockets included", got / busy / 1e6));
}

fn measure_idle(data: &Path) {
    let started = Instant::now();
    let server = Server::start(data);
    row("start over the data above", &format!("{:.2} s", started.elapsed().as_secs_f64()));
    std::thread::sleep(Duration::from_secs(3));
    let (cpu, span) = (server.cpu_seconds(), Duration::from_secs(20));
    std::thread::sleep(span);
    let share = (server.cpu_seconds() - cpu) / span.as_secs_f64() * 100.0;
    row("idle: CPU of one core", &format!("{share:.2} %"));
    row("idle: resident memory", &format!("{:.0} MiB", server.resident_mib()));
}

fn directory_bytes(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => directory_bytes(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}
