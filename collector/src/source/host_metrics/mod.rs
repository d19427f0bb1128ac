//! This host's own figures from `/proc`: processor, load, memory, disks, network and the busiest processes.
//!
//! | series | labels | what |
//! |---|---|---|
//! | `host.cpu.seconds` (counter), `host.cpu.busy` (ratio of all processors), `host.cpu.count` | `mode` | processor |
//! | `host.load` | `over` 1m, 5m, 15m | load average |
//! | `host.memory.{total,available,used,cached}`, `host.memory.used_ratio`, `host.swap.{total,used}` | | bytes |
//! | `host.disk.{total,available,used}`, `host.disk.{used_ratio,inodes_used_ratio}` | `device`, `mount` | space |
//! | `host.disk.{operations,bytes}`, `host.disk.busy_seconds` (counters) | `device`, `direction` read, write | traffic |
//! | `host.network.{bytes,packets,errors,drops}` (counters) | `interface`, `direction` receive, transmit | traffic |
//! | `host.processes`, `host.processes.{running,blocked}` | | counts |
//! | `host.process.cpu` (processors kept busy), `host.process.memory` (bytes) | `process` | the greatest few by name |
//! | `host.uptime` | | seconds |
//!
//! All carry `host`. Reading order: [`proc_text`] (the kernel's texts), [`processes`], [`reading`] (two readings to samples).

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{self, error::TrySendError};

use self::processes::Processes;
use self::reading::{FileSystemUse, MemoryUse, Reading, Sampler};
use crate::delivery::Outcome;
use crate::model::{Batch, Timestamp};
use crate::source::{Running, SourceContext, StartError, Tally, deliver_patiently};

pub mod proc_text;
pub mod processes;
pub mod reading;

const KIND: &str = "host_metrics";

/// Windows that wait for a slow taker; the newest beyond that are dropped and counted.
const WINDOWS_WAITING_MAX: usize = 360;

/// `[collector.host_metrics]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether this host's figures are read at all. Default true; switch it off where another agent does it.
    pub enabled: bool,
    /// How often they are read, at whole multiples of this span by the wall clock. Default 10 s; longer saves space.
    #[serde(with = "crate::config::span")]
    pub interval: Duration,
    /// How many process names are reported by processor use, and how many by memory. Default 5; 0 reports none and
    /// spares reading `/proc/<pid>` on hosts with very many processes.
    pub processes_top: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { enabled: true, interval: Duration::from_secs(10), processes_top: 5 }
    }
}

/// Starts to read. Must be called within a Tokio runtime. When it is not enabled, the task it returns ends at once.
pub fn start(config: Config, context: SourceContext) -> Result<Running, StartError> {
    if !config.enabled {
        return Ok(Running { kind: KIND, address: None, task: tokio::spawn(async {}) });
    }
    if config.interval < Duration::from_secs(1) || config.interval > Duration::from_secs(86_400) {
        let message = format!("{:?} is not between one second and one day", config.interval);
        return Err(StartError { setting: "collector.host_metrics.interval", message });
    }
    if !Path::new("/proc/stat").exists() {
        let message = "there is no /proc/stat to read here; set it to false".to_owned();
        return Err(StartError { setting: "collector.host_metrics.enabled", message });
    }
    Ok(Running { kind: KIND, address: None, task: tokio::spawn(run(config, context)) })
}

async fn run(config: Config, context: SourceContext) {
    let tally = context.tallies.of(KIND, "/proc");
    let (windows, mut waiting) = mpsc::channel::<Batch>(WINDOWS_WAITING_MAX);
    let delivering = {
        let (outlet, stop, tally) = (context.outlet, context.stop.clone(), tally.clone());
        tokio::spawn(async move {
            while let Some(batch) = waiting.recv().await {
                let rows = batch.len() as u64;
                if let Outcome::Refused(refusal) = deliver_patiently(&outlet, &batch, &stop).await {
                    tally.shed(refusal.reason.name(), rows, refusal.message.as_bytes());
                }
            }
        })
    };
    let mut reader = Reader::new(&config, Sampler::new(context.resource.host.clone()));
    // The first reading is taken at once: it sets the counters' base, and its levels, which stand for the window that just
    // ended, show a newcomer something before the first window is over.
    let mut start = Timestamp::now().floor_to(config.interval).saturating_sub(config.interval);
    loop {
        let counted = tally.clone();
        let read = tokio::task::spawn_blocking(move || {
            let samples = reader.read(start, &counted);
            (reader, samples)
        });
        let Ok((returned, batch)) = read.await else {
            tracing::error!("reading the host's figures failed");
            break;
        };
        reader = returned;
        tally.took(batch.samples.len() as u64, 0);
        if let Err(TrySendError::Full(batch)) = windows.try_send(batch) {
            tally.shed("delivery_queue_full", batch.len() as u64, b"");
        }
        start = Timestamp::now().floor_to(config.interval);
        let wait = start.saturating_add(config.interval).saturating_since(Timestamp::now());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = context.stop.cancelled() => break,
        }
    }
    drop(windows);
    let _ = delivering.await;
}

/// Reads the host, and remembers the reading before.
struct Reader {
    interval_ms: u32,
    processes_top: usize,
    sampler: Sampler,
    processes: Processes,
    before: Option<(Instant, Reading)>,
}

impl Reader {
    fn new(config: &Config, sampler: Sampler) -> Reader {
        Reader {
            interval_ms: u32::try_from(config.interval.as_millis()).unwrap_or(u32::MAX),
            processes_top: config.processes_top,
            sampler,
            processes: Processes::default(),
            before: None,
        }
    }

    /// The batch for the window from `start`, which ends now.
    fn read(&mut self, start: Timestamp, tally: &Tally) -> Batch {
        let moment = Instant::now();
        let elapsed = self.before.as_ref().map_or(0.0, |(before, _)| (moment - *before).as_secs_f64());
        let reading = read_host(&mut self.processes, self.processes_top, elapsed, tally);
        let before = self.before.as_ref().map(|(_, reading)| reading);
        let samples = self.sampler.samples(before, &reading, start, self.interval_ms);
        self.before = Some((moment, reading));
        Batch { samples, ..Batch::local() }
    }
}

/// Reads everything that can be read; what cannot is counted by the file it should have come from.
fn read_host(processes: &mut Processes, top: usize, elapsed_seconds: f64, tally: &Tally) -> Reading {
    let text = |path: &str| match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            tally.problem("unreadable", 1, format!("{path}: {error}").as_bytes());
            String::new()
        }
    };
    let memory = text("/proc/meminfo");
    let bytes = |row| proc_text::memory_bytes(&memory, row);
    let memory = bytes("MemTotal").map(|total| MemoryUse {
        total,
        available: bytes("MemAvailable").or(bytes("MemFree")).unwrap_or(0.0),
        cached: bytes("Cached").unwrap_or(0.0),
        swap_total: bytes("SwapTotal").unwrap_or(0.0),
        swap_free: bytes("SwapFree").unwrap_or(0.0),
    });
    let mut reading = Reading {
        cpu: proc_text::cpu_stat(&text("/proc/stat")),
        load: proc_text::load_averages(&text("/proc/loadavg")),
        memory,
        file_systems: proc_text::mounts(&text("/proc/self/mounts")).into_iter().filter_map(space_of).collect(),
        disks: proc_text::disk_stats(&text("/proc/diskstats")),
        interfaces: proc_text::interface_stats(&text("/proc/net/dev")),
        uptime_seconds: proc_text::uptime_seconds(&text("/proc/uptime")),
        ..Reading::default()
    };
    if top > 0 {
        let found = read_processes();
        reading.processes = u32::try_from(found.len()).ok();
        let page_bytes = rustix::param::page_size() as f64;
        reading.top = processes.top(&found, elapsed_seconds, page_bytes, top);
    }
    reading
}

/// Every process that can be read; those that end meanwhile are left out.
fn read_processes() -> Vec<(u32, proc_text::ProcessStat)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let stat_of = |entry: std::fs::DirEntry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        // A command's name may be any bytes.
        let text = std::fs::read(entry.path().join("stat")).ok()?;
        Some((id, proc_text::process_stat(&String::from_utf8_lossy(&text))?))
    };
    entries.flatten().filter_map(stat_of).collect()
}

/// How full a mounted file system is; none when it does not say, or is no place for files (size 0).
fn space_of(mount: proc_text::Mount) -> Option<FileSystemUse> {
    let space = rustix::fs::statvfs(mount.path.as_str()).ok()?;
    let block = space.f_frsize as f64;
    if space.f_blocks == 0 {
        return None;
    }
    Some(FileSystemUse {
        device: mount.device,
        mount: mount.path,
        total: space.f_blocks as f64 * block,
        available: space.f_bavail as f64 * block,
        inodes: space.f_files as f64,
        inodes_free: space.f_ffree as f64,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::source::Tallies;

    #[test]
    fn two_readings_of_this_host_give_every_family_of_series() {
        let tally = Tallies::default().of(KIND, "/proc");
        let mut reader = Reader::new(&Config::default(), Sampler::new("h".into()));
        reader.read(Timestamp::EPOCH, &tally);
        let batch = reader.read(Timestamp::EPOCH, &tally);
        assert!(tally.snapshot().problems.is_empty(), "{:?}", tally.snapshot());
        let names: BTreeSet<&str> = batch.samples.iter().map(|sample| sample.labels.name()).collect();
        for name in [
            "host.cpu.seconds",
            "host.load",
            "host.memory.used",
            "host.processes",
            "host.process.memory",
            "host.uptime",
        ] {
            assert!(names.contains(name), "{name} in {names:?}");
        }
        assert!(batch.samples.iter().all(|sample| sample.labels.get("host") == "h"));
    }
}
