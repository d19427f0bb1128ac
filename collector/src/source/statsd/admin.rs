//! The administrator's interface of etsy's StatsD: a line in, some lines out, over TCP.
//!
//! ```text
//! help                                    the commands
//! stats                                   how long it runs, what came, how the flushes go      … END
//! counters | timers | gauges              what the window that gathers holds                   … END
//! delcounters | deltimers | delgauges N…  forget these series; `a.b.*` is all whose name begins with `a.b.`     … END
//! health [up|down]                        what a load balancer is told
//! config                                  the settings
//! quit                                    goodbye
//! ```
//! Everything else is answered with `ERROR`. Source: `statsd/statsd:docs/admin_interface.md`, `lib/mgmt_console.js`. Where we differ: a
//! timer is shown by its summary, since its values are not kept; a series with tags is written in Graphite's form
//! (`name;key=value`), and a `del…` command takes that as well as the bare name, which means all series of that name.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::Config;
use super::ask::{Asker, Listed};
use crate::model::{LabelSet, SampleKind, SampleValue, Timestamp};
use crate::source::{StartError, Tallies};

/// The longest command.
const COMMAND_BYTES_MAX: u64 = 64 << 10;

/// Connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 16;

/// How long a connection may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(600);

const HELP: &str =
    "Commands: stats, counters, timers, gauges, delcounters, deltimers, delgauges, health, config, quit\n\n";

const END: &str = "END\n\n";

/// What the commands are about.
#[derive(Debug)]
pub struct Admin {
    asker: Asker,
    tallies: Arc<Tallies>,
    kind: &'static str,
    config: Config,
    started: Instant,
    is_healthy: AtomicBool,
}

impl Admin {
    /// Of a listener with these settings, whose tallies are of this kind.
    pub fn new(asker: Asker, tallies: Arc<Tallies>, kind: &'static str, config: Config) -> Admin {
        Admin { asker, tallies, kind, config, started: Instant::now(), is_healthy: AtomicBool::new(true) }
    }

    /// The answer to one line; none when it says goodbye.
    pub async fn answer(&self, line: &str) -> Option<String> {
        let mut words = line.split_ascii_whitespace();
        let command = words.next().unwrap_or("");
        let names: Vec<String> = words.map(str::to_owned).collect();
        Some(match command {
            "help" => HELP.to_owned(),
            "stats" => self.stats().await,
            "counters" => self.list(SampleKind::Counter).await,
            "timers" => self.list(SampleKind::Distribution).await,
            "gauges" => self.list(SampleKind::Gauge).await,
            "delcounters" => self.delete(SampleKind::Counter, names).await,
            "deltimers" => self.delete(SampleKind::Distribution, names).await,
            "delgauges" => self.delete(SampleKind::Gauge, names).await,
            "health" => self.health(names.first().map_or("", String::as_str)),
            "config" => self.config(),
            "quit" => return None,
            _ => "ERROR\n".to_owned(),
        })
    }

    async fn stats(&self) -> String {
        let now = Timestamp::now();
        let uptime = self.started.elapsed().as_secs();
        let age = |moment: Option<Timestamp>| moment.map_or(uptime, |moment| now.saturating_since(moment).as_secs());
        let tallies: Vec<_> = self.tallies.snapshot().into_iter().filter(|tally| tally.kind == self.kind).collect();
        let last_seen = tallies.iter().filter_map(|tally| moment(tally.last_seen.as_deref()?)).max();
        let problems = || tallies.iter().flat_map(|tally| &tally.problems);
        let bad_lines: u64 = problems().map(|problem| problem.count).sum();
        let undelivered = problems().filter(|problem| problem.reason == "delivery_queue_full");
        let last_exception = undelivered.filter_map(|problem| moment(&problem.last_seen)).max();
        let flushes = self.asker.statistics().await.unwrap_or_default();
        let mut text = format!("uptime: {uptime}\n");
        for (what, value) in [
            ("messages.last_msg_seen", age(last_seen)),
            ("messages.bad_lines_seen", bad_lines),
            ("graphite.last_flush", age(flushes.last_flush)),
            ("graphite.last_exception", age(last_exception)),
            ("graphite.flush_length", flushes.flush_samples as u64),
            ("graphite.flush_time", u64::try_from(flushes.flush_took.as_millis()).unwrap_or(u64::MAX)),
        ] {
            let _ = writeln!(text, "{what}: {value}");
        }
        text + END
    }

    async fn list(&self, kind: SampleKind) -> String {
        let mut held = self.asker.list(kind).await.unwrap_or_default();
        held.sort_by(|a, b| a.labels.cmp(&b.labels));
        let shown = |Listed { labels, value }: &Listed| Some(format!("  {}: {}", quoted(&key(labels)), shown(value)?));
        let lines: Vec<String> = held.iter().filter_map(shown).collect();
        if lines.is_empty() { format!("{{}}\n{END}") } else { format!("{{\n{}\n}}\n{END}", lines.join(",\n")) }
    }

    async fn delete(&self, kind: SampleKind, names: Vec<String>) -> String {
        let mut text = String::new();
        for name in names {
            let matching = name.clone();
            let deleted = self.asker.delete(kind, Box::new(move |labels| is_named(labels, &matching))).await;
            let mut deleted = deleted.unwrap_or_default();
            if deleted.is_empty() {
                let _ = writeln!(text, "metric {name} not found");
            }
            deleted.sort();
            deleted.iter().for_each(|labels| text.extend(["deleted: ", &key(labels), "\n"]));
        }
        text + END
    }

    fn health(&self, wish: &str) -> String {
        match wish.to_ascii_lowercase().as_str() {
            "up" => self.is_healthy.store(true, Ordering::Relaxed),
            "down" => self.is_healthy.store(false, Ordering::Relaxed),
            _ => {}
        }
        format!("health: {}\n", if self.is_healthy.load(Ordering::Relaxed) { "up" } else { "down" })
    }

    fn config(&self) -> String {
        let mut text = String::from("\n");
        let settings = serde_json::to_value(&self.config).unwrap_or_default();
        for (name, value) in settings.as_object().into_iter().flatten() {
            let _ = match value {
                serde_json::Value::String(value) => writeln!(text, "{name}: {value}"),
                value => writeln!(text, "{name}: {value}"),
            };
        }
        text
    }
}

/// Listens where administrators connect.
///
/// # Errors
/// What is wrong with the setting.
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, StartError> {
    let failed = |error: std::io::Error| StartError {
        setting: "collector.statsd.admin_address",
        message: format!("cannot listen on {address}: {error}; choose another port or `off`"),
    };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// Answers until `stop`.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = async { (Arc::clone(&places).acquire_owned().await, listener.accept().await) } => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            (Ok(place), Ok((stream, _))) => {
                let (admin, stop) = (Arc::clone(&admin), stop.clone());
                tokio::spawn(async move {
                    let _place = place;
                    tokio::select! {
                        _ = converse(stream, &admin) => {} // whoever asked has gone
                        () = stop.cancelled() => {}
                    }
                });
            }
            (_, Err(error)) => {
                tracing::warn!("collector.statsd.admin_address: cannot accept: {error}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            (Err(_), _) => return,
        }
    }
}

async fn converse(stream: TcpStream, admin: &Admin) -> std::io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut from).take(COMMAND_BYTES_MAX);
        let Ok(read) = tokio::time::timeout(SILENCE_MAX, limited.read_until(b'\n', &mut line)).await else {
            return Ok(());
        };
        if read? == 0 {
            return Ok(());
        }
        if line.len() as u64 == COMMAND_BYTES_MAX && !line.ends_with(b"\n") {
            return to.write_all(b"ERROR\n").await;
        }
        let Some(answer) = admin.answer(&String::from_utf8_lossy(&line)).await else { return Ok(()) };
        to.write_all(answer.as_bytes()).await?;
    }
}

/// A series as a command names it: Graphite's form of tags.
fn key(labels: &LabelSet) -> String {
    let mut key = labels.name().to_owned();
    for (label, value) in labels.iter().filter(|(label, _)| *label != "__name__" && *label != "host") {
        let _ = write!(key, ";{label}={value}");
    }
    key
}

/// Whether a command that names this means the series.
fn is_named(labels: &LabelSet, wanted: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(folder) if folder.ends_with('.') && labels.name().starts_with(folder) => true,
        _ => labels.name() == wanted || key(labels) == wanted,
    }
}

/// A value as Node.js would show it; none when the window has nothing.
fn shown(value: &Option<SampleValue>) -> Option<String> {
    Some(match value.as_ref()? {
        SampleValue::Counter { sum } => sum.to_string(),
        SampleValue::Gauge { last, .. } => last.to_string(),
        SampleValue::Cumulative { total } => total.to_string(),
        SampleValue::Set(seen) => seen.count().to_string(),
        SampleValue::Distribution(seen) => {
            format!("{{ count: {}, sum: {}, lower: {}, upper: {} }}", seen.count, seen.sum, seen.min, seen.max)
        }
    })
}

/// A text between single quotes, as in JavaScript.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn moment(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(moment.as_nanosecond()).ok().map(Timestamp::from_unix_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_a_series_its_name_or_a_folder() {
        let check = |wanted: &str, expected: bool| {
            let labels = LabelSet::new([("__name__", "a.b.c"), ("env", "prod"), ("host", "h"), ("x", "1")]);
            assert_eq!(is_named(&labels, wanted), expected, "{wanted}");
        };
        check("a.b.c", true);
        check("a.b.c;env=prod;x=1", true);
        check("a.b.c;env=prod", false);
        check("a.b.*", true);
        check("a.*", true);
        check("a.b", false);
        check("a.b*", false);
        check("*", false);
        check("b.*", false);
        check("a.b.c.*", false);
    }
}
