//! From two readings of the host, some seconds apart, to samples.
//!
//! What the kernel counts up since its start is sent as the increment between the readings, like any counter; the first
//! reading only sets the base, and a count that fell (a device that came back) starts anew.

use std::collections::HashMap;
use std::sync::Arc;

use super::proc_text::{CPU_MODES, CpuStat, DiskStat, InterfaceStat};
use super::processes::ProcessUse;
use crate::model::label_set::NAME_LABEL;
use crate::model::{LabelSet, Sample, SampleValue, Timestamp};

/// Everything that was read at one moment. What could not be read is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// `/proc/stat`.
    pub cpu: Option<CpuStat>,
    /// Load over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// Bytes of memory.
    pub memory: Option<MemoryUse>,
    /// Space on each mounted device.
    pub file_systems: Vec<FileSystemUse>,
    /// `/proc/diskstats`.
    pub disks: Vec<DiskStat>,
    /// `/proc/net/dev`.
    pub interfaces: Vec<InterfaceStat>,
    /// Seconds since the host's start.
    pub uptime_seconds: Option<f64>,
    /// How many processes there are.
    pub processes: Option<u32>,
    /// The busiest and the largest processes.
    pub top: Vec<ProcessUse>,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MemoryUse {
    /// All of it.
    pub total: f64,
    /// What programs could still get without swapping.
    pub available: f64,
    /// Files' contents held in memory.
    pub cached: f64,
    /// Swap space.
    pub swap_total: f64,
    /// Swap space that is free.
    pub swap_free: f64,
}

/// Space of one file system.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSystemUse {
    /// Its device.
    pub device: String,
    /// Where it is mounted.
    pub mount: String,
    /// Bytes.
    pub total: f64,
    /// Bytes that programs without privileges could still write.
    pub available: f64,
    /// Files it can hold; 0 when it sets no limit.
    pub inodes: f64,
    /// Files it could still hold.
    pub inodes_free: f64,
}

/// Makes samples of readings, and keeps each series' labels from one to the next.
#[derive(Debug)]
pub struct Sampler {
    host: Arc<str>,
    labels: HashMap<SeriesKey, Arc<LabelSet>>,
}

type SeriesKey = (&'static str, Vec<(&'static str, String)>);

impl Sampler {
    /// Its series carry this host's name.
    pub fn new(host: Arc<str>) -> Sampler {
        Sampler { host, labels: HashMap::new() }
    }

    /// The samples of the window from `start` that ends with the reading `now`. Counters need the reading before.
    pub fn samples(
        &mut self,
        before: Option<&Reading>,
        now: &Reading,
        start: Timestamp,
        interval_ms: u32,
    ) -> Vec<Sample> {
        let mut out = Window { sampler: self, start, interval_ms, samples: Vec::new() };
        if let Some(cpu) = &now.cpu {
            out.cpu(before.and_then(|before| before.cpu.as_ref()), cpu);
        }
        for (level, over) in now.load.into_iter().flatten().zip(["1m", "5m", "15m"]) {
            out.gauge("host.load", &[("over", over)], level, "");
        }
        if let Some(memory) = &now.memory {
            out.memory(memory);
        }
        now.file_systems.iter().for_each(|file_system| out.file_system(file_system));
        for disk in &now.disks {
            if let Some(old) = before.and_then(|before| before.disks.iter().find(|old| old.device == disk.device)) {
                out.disk(old, disk);
            }
        }
        for interface in &now.interfaces {
            let same = |old: &&InterfaceStat| old.interface == interface.interface;
            if let Some(old) = before.and_then(|before| before.interfaces.iter().find(same)) {
                out.interface(old, interface);
            }
        }
        if let Some(seconds) = now.uptime_seconds {
            out.gauge("host.uptime", &[], seconds, "s");
        }
        if let Some(count) = now.processes {
            out.gauge("host.processes", &[], count.into(), "");
        }
        for process in &now.top {
            let label = [("process", process.name.as_str())];
            if let Some(processors) = process.processors {
                out.gauge("host.process.cpu", &label, processors, "");
            }
            if let Some(bytes) = process.resident_bytes {
                out.gauge("host.process.memory", &label, bytes, "bytes");
            }
        }
        out.samples
    }
}

/// The samples of one window in the making.
struct Window<'a> {
    sampler: &'a mut Sampler,
    start: Timestamp,
    interval_ms: u32,
    samples: Vec<Sample>,
}

impl Window<'_> {
    fn cpu(&mut self, before: Option<&CpuStat>, now: &CpuStat) {
        self.gauge("host.cpu.count", &[], now.processors.into(), "");
        self.gauge("host.processes.running", &[], now.running.into(), "");
        self.gauge("host.processes.blocked", &[], now.blocked.into(), "");
        let Some(before) = before else { return };
        let spent: Vec<f64> = now.seconds.iter().zip(before.seconds).map(|(now, old)| increment(old, *now)).collect();
        for (mode, &seconds) in CPU_MODES.iter().zip(&spent) {
            self.counter("host.cpu.seconds", &[("mode", mode)], seconds, "s");
        }
        let total: f64 = spent.iter().sum();
        let idle = spent[3] + spent[4]; // idle and iowait
        if total > 0.0 {
            self.gauge("host.cpu.busy", &[], 1.0 - idle / total, "ratio");
        }
    }

    fn memory(&mut self, memory: &MemoryUse) {
        let used = memory.total - memory.available;
        let swap_used = memory.swap_total - memory.swap_free;
        let levels = [
            ("host.memory.total", memory.total),
            ("host.memory.available", memory.available),
            ("host.memory.used", used),
            ("host.memory.cached", memory.cached),
            ("host.swap.total", memory.swap_total),
            ("host.swap.used", swap_used),
        ];
        for (name, bytes) in levels {
            self.gauge(name, &[], bytes, "bytes");
        }
        if memory.total > 0.0 {
            self.gauge("host.memory.used_ratio", &[], used / memory.total, "ratio");
        }
    }

    fn file_system(&mut self, space: &FileSystemUse) {
        let labels = [("device", space.device.as_str()), ("mount", space.mount.as_str())];
        let used = space.total - space.available;
        self.gauge("host.disk.total", &labels, space.total, "bytes");
        self.gauge("host.disk.available", &labels, space.available, "bytes");
        self.gauge("host.disk.used", &labels, used, "bytes");
        if space.total > 0.0 {
            self.gauge("host.disk.used_ratio", &labels, used / space.total, "ratio");
        }
        if space.inodes > 0.0 {
            let ratio = 1.0 - space.inodes_free / space.inodes;
            self.gauge("host.disk.inodes_used_ratio", &labels, ratio, "ratio");
        }
    }

    fn disk(&mut self, old: &DiskStat, now: &DiskStat) {
        let device = ("device", now.device.as_str());
        for (direction, old, now) in [("read", old.reads, now.reads), ("write", old.writes, now.writes)] {
            let labels = [device, ("direction", direction)];
            self.counter("host.disk.operations", &labels, increment(old.0, now.0), "");
            self.counter("host.disk.bytes", &labels, increment(old.1, now.1), "bytes");
        }
        self.counter("host.disk.busy_seconds", &[device], increment(old.busy_seconds, now.busy_seconds), "s");
    }

    fn interface(&mut self, old: &InterfaceStat, now: &InterfaceStat) {
        let interface = ("interface", now.interface.as_str());
        let directions = [("receive", old.received, now.received), ("transmit", old.transmitted, now.transmitted)];
        for (direction, old, now) in directions {
            let labels = [interface, ("direction", direction)];
            self.counter("host.network.bytes", &labels, increment(old.bytes, now.bytes), "bytes");
            self.counter("host.network.packets", &labels, increment(old.packets, now.packets), "");
            self.counter("host.network.errors", &labels, increment(old.errors, now.errors), "");
            self.counter("host.network.drops", &labels, increment(old.drops, now.drops), "");
        }
    }

    fn gauge(&mut self, name: &'static str, labels: &[(&'static str, &str)], level: f64, unit: &'static str) {
        self.push(name, labels, SampleValue::Gauge { last: level, min: level, max: level }, unit);
    }

    fn counter(&mut self, name: &'static str, labels: &[(&'static str, &str)], sum: f64, unit: &'static str) {
        self.push(name, labels, SampleValue::Counter { sum }, unit);
    }

    fn push(&mut self, name: &'static str, labels: &[(&'static str, &str)], value: SampleValue, unit: &'static str) {
        let key: SeriesKey = (name, labels.iter().map(|&(label, value)| (label, value.to_owned())).collect());
        let host = &self.sampler.host;
        let made = self.sampler.labels.entry(key).or_insert_with(|| {
            let own = [(NAME_LABEL, name), ("host", &**host)];
            Arc::new(LabelSet::new(own.into_iter().chain(labels.iter().copied())))
        });
        let labels = Arc::clone(made);
        let (timestamp, interval_ms) = (self.start, self.interval_ms);
        self.samples.push(Sample { labels, timestamp, interval_ms, value, unit, exemplars: Vec::new() });
    }
}

fn increment(before: f64, now: f64) -> f64 {
    if now >= before { now - before } else { now }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(samples: &[Sample]) -> Vec<String> {
        let value = |sample: &Sample| match sample.value {
            SampleValue::Counter { sum } => format!("+{sum}"),
            SampleValue::Gauge { last, .. } => format!("{last}"),
            _ => unreachable!("the host has counters and gauges only"),
        };
        samples.iter().map(|sample| format!("{} {}{}", sample.labels, value(sample), sample.unit)).collect()
    }

    fn cpu(user: f64, idle: f64) -> Option<CpuStat> {
        let seconds = [user, 0.0, 0.0, idle, 0.0, 0.0, 0.0, 0.0];
        Some(CpuStat { seconds, processors: 2, running: 1, blocked: 0 })
    }

    #[test]
    fn the_first_reading_gives_levels_and_the_second_increments() {
        let first = Reading { cpu: cpu(100.0, 50.0), ..Reading::default() };
        let second = Reading { cpu: cpu(105.0, 65.0), ..Reading::default() };
        let mut sampler = Sampler::new("h".into());
        let levels = [
            r#"{"host.cpu.count", host="h"} 2"#,
            r#"{"host.processes.running", host="h"} 1"#,
            r#"{"host.processes.blocked", host="h"} 0"#,
        ];
        assert_eq!(shown(&sampler.samples(None, &first, Timestamp::EPOCH, 10_000)), levels);
        let samples = shown(&sampler.samples(Some(&first), &second, Timestamp::EPOCH, 10_000));
        assert_eq!(samples[..3], levels);
        assert_eq!(samples[3], r#"{"host.cpu.seconds", host="h", mode="user"} +5s"#);
        assert_eq!(samples[6], r#"{"host.cpu.seconds", host="h", mode="idle"} +15s"#);
        assert_eq!(samples.last().unwrap(), r#"{"host.cpu.busy", host="h"} 0.25ratio"#);
    }

    #[test]
    fn a_count_that_fell_starts_anew_and_a_new_device_sets_its_base() {
        let disk = |device: &str, reads| DiskStat {
            device: device.to_owned(),
            reads: (reads, reads * 512.0),
            writes: (0.0, 0.0),
            busy_seconds: 0.0,
        };
        let first = Reading { disks: vec![disk("a", 10.0)], ..Reading::default() };
        let second = Reading { disks: vec![disk("a", 4.0), disk("b", 4.0)], ..Reading::default() };
        let samples = shown(&Sampler::new("h".into()).samples(Some(&first), &second, Timestamp::EPOCH, 10_000));
        assert_eq!(samples[0], r#"{"host.disk.operations", device="a", direction="read", host="h"} +4"#);
        assert!(samples.iter().all(|sample| !sample.contains(r#"device="b""#)));
    }

    #[test]
    fn levels_are_what_they_say() {
        let reading = Reading {
            load: Some([1.0, 2.0, 3.0]),
            memory: Some(MemoryUse { total: 100.0, available: 25.0, cached: 10.0, swap_total: 8.0, swap_free: 6.0 }),
            file_systems: vec![FileSystemUse {
                device: "/dev/sda".to_owned(),
                mount: "/".to_owned(),
                total: 200.0,
                available: 50.0,
                inodes: 10.0,
                inodes_free: 9.0,
            }],
            top: vec![ProcessUse { name: "cargo".to_owned(), processors: Some(1.5), resident_bytes: None }],
            ..Reading::default()
        };
        let samples = shown(&Sampler::new("h".into()).samples(None, &reading, Timestamp::EPOCH, 10_000));
        for expected in [
            r#"{"host.load", host="h", over="15m"} 3"#,
            r#"{"host.memory.used", host="h"} 75bytes"#,
            r#"{"host.memory.used_ratio", host="h"} 0.75ratio"#,
            r#"{"host.swap.used", host="h"} 2bytes"#,
            r#"{"host.disk.used_ratio", device="/dev/sda", host="h", mount="/"} 0.75ratio"#,
            r#"{"host.process.cpu", host="h", process="cargo"} 1.5"#,
        ] {
            assert!(samples.iter().any(|sample| sample == expected), "{expected} in {samples:#?}");
        }
    }
}
