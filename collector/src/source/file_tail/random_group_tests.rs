//! Containers that write stack traces and long lines in parts to both streams, cut anywhere in time by kills, restarts,
//! rotations, truncations, deletions and losses of the agent's state, from a printed seed: every event arrives exactly once, whole, and
//! in its stream's order.

use std::fs::{self, File};
use std::time::Duration;

use super::random_tests::{Random, seeds};
use super::tests::{Rig, append};
use super::*;

/// One container's log file, or a plain one.
struct Writer {
    name: &'static str,
    is_container: bool,
    /// What it wrote, by stream; a plain file has the first only.
    events: [Vec<String>; 2],
    /// Bytes that belong to whole events and were not written yet.
    pending: Vec<u8>,
    rotations: usize,
    is_empty: bool,
}

impl Writer {
    fn new(name: &'static str, is_container: bool) -> Writer {
        Writer { name, is_container, events: Default::default(), pending: Vec::new(), rotations: 0, is_empty: true }
    }

    /// Makes up events whose lines stand between those of the other stream's.
    fn speak(&mut self, random: &mut Random) {
        let streams = if self.is_container { 2 } else { 1 };
        let mut lines: [Vec<String>; 2] = Default::default();
        for (stream, of_stream) in lines.iter_mut().enumerate().take(streams) {
            for _ in 0..random.below(6) {
                let event = self.event(stream, random);
                of_stream.extend(event.split('\n').map(str::to_owned));
                self.events[stream].push(event);
            }
        }
        let mut queues = lines.map(std::collections::VecDeque::from);
        while queues.iter().any(|queue| !queue.is_empty()) {
            let stream = random.below(2) as usize;
            let Some(line) = queues[stream].pop_front() else { continue };
            self.write_line(stream, &line, random);
        }
    }

    fn event(&self, stream: usize, random: &mut Random) -> String {
        let mark = format!("{} {} {:06}", self.name, ["out", "err"][stream], self.events[stream].len());
        match random.below(5) {
            0 => format!("{{\"msg\":\"{mark}\"}}"),
            1 => format!("{mark} INFO served {}", "x".repeat(random.below(80) as usize)),
            2 => {
                let frames = "\n\tat shop.Cart.price(Cart.java:12)".repeat(1 + random.below(12) as usize);
                format!(
                    "{mark} ERROR no answer\njava.lang.IllegalStateException: no{frames}\nCaused by: java.io.IOException{frames}"
                )
            }
            3 => format!(
                "{mark} ERROR root failed\nTraceback (most recent call last):\n  File \"a.py\", line 1, in b\n    c()\nKeyError: 'tea'"
            ),
            _ => format!("{mark} ERROR panic served\ngoroutine 7 [running]:\nmain.serve(0x1)\n\t/srv/main.go:12 +0x1d"),
        }
    }

    fn write_line(&mut self, stream: usize, line: &str, random: &mut Random) {
        if !self.is_container {
            return self.pending.extend(format!("{line}\n").bytes());
        }
        let mut rest = line;
        loop {
            let is_cut = random.below(4) == 0 && rest.len() > 4;
            let (part, later) = rest.split_at(if is_cut { 3 } else { rest.len() });
            let tag = if is_cut { "P" } else { "F" };
            let stream = ["stdout", "stderr"][stream];
            self.pending.extend(format!("2026-11-21T07:33:00.123456789Z {stream} {tag} {part}\n").bytes());
            rest = later;
            if !is_cut {
                return;
            }
        }
    }

    /// Writes some of what is pending, cut anywhere.
    fn write(&mut self, rig: &Rig, random: &mut Random) {
        let length = random.below(self.pending.len() as u64 + 1) as usize;
        let bytes: Vec<u8> = self.pending.drain(..length).collect();
        self.is_empty &= bytes.is_empty();
        append(&rig.path(self.name), &bytes);
    }

    fn write_all(&mut self, rig: &Rig) {
        self.is_empty &= self.pending.is_empty();
        append(&rig.path(self.name), &std::mem::take(&mut self.pending));
    }

    /// Ends what is held at its end, so that what comes next may come to another file.
    fn complete(&mut self, rig: &Rig) {
        for stream in 0..if self.is_container { 2 } else { 1 } {
            let event = format!("{{\"end\":\"{} {}\"}}", self.name, self.events[stream].len());
            self.events[stream].push(event.clone());
            let line = event;
            match self.is_container {
                true => {
                    let stream = ["stdout", "stderr"][stream];
                    self.pending.extend(format!("2026-11-21T07:33:00Z {stream} F {line}\n").bytes());
                }
                false => self.pending.extend(format!("{line}\n").bytes()),
            }
        }
        self.write_all(rig);
    }

    fn rotate(&mut self, rig: &Rig) {
        self.complete(rig);
        self.rotations += 1;
        fs::rename(rig.path(self.name), rig.path(&format!("{}.{}", self.name, self.rotations))).unwrap();
        self.is_empty = true;
        append(&rig.path(self.name), b"");
    }
}

async fn drained(rig: &Rig, writers: &mut [Writer; 3]) {
    writers.iter_mut().for_each(|writer| writer.complete(rig));
    rig.wait_for(writers.iter().flat_map(|writer| &writer.events).map(Vec::len).sum()).await;
}

async fn run(seed: u64) {
    let mut random = Random(seed | 1);
    let mut rig = Rig::joining(Config { inotify: random.below(2) == 0, ..Config::default() });
    let mut writers = [Writer::new("a.log", true), Writer::new("b.log", true), Writer::new("c.log", false)];
    rig.start();
    drained(&rig, &mut writers).await;
    for _ in 0..80 {
        let writer = &mut writers[random.below(3) as usize];
        match random.below(16) {
            0..6 => {
                writer.speak(&mut random);
                writer.write(&rig, &mut random);
            }
            6 | 7 => writer.write(&rig, &mut random),
            8 => writer.rotate(&rig),
            9 if random.below(3) == 0 => {
                drained(&rig, &mut writers).await;
                for writer in writers.iter_mut().filter(|writer| !writer.is_empty) {
                    File::create(rig.path(writer.name)).unwrap();
                    writer.is_empty = true;
                }
                // What was emptied must be seen to be before as much is written again.
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            9 => {
                drained(&rig, &mut writers).await;
                fs::remove_file(rig.path(writers[0].name)).unwrap();
                drained(&rig, &mut writers).await;
            }
            10 => {
                rig.stop().await;
                writer.write(&rig, &mut random);
                rig.start();
            }
            13 => {
                // A backlog: some of it is stored, in no order, and then the agent's state is gone.
                rig.goes_ahead(random.clone());
                for _ in 0..=random.below(6) {
                    let writer = &mut writers[random.below(3) as usize];
                    writer.speak(&mut random);
                    writer.write(&rig, &mut random);
                    if random.below(8) == 0 {
                        writer.rotate(&rig);
                    }
                    tokio::time::sleep(Duration::from_millis(random.below(150))).await;
                }
                rig.lose_state().await;
                rig.start();
            }
            11 | 12 => {
                rig.kill().await;
                if random.below(3) == 0 {
                    writer.rotate(&rig);
                    writer.write_all(&rig);
                }
                rig.start();
            }
            _ => tokio::time::sleep(Duration::from_millis(random.below(30))).await,
        }
    }
    drained(&rig, &mut writers).await;
    rig.stop().await;
    check(&rig, &writers, seed);
}

fn check(rig: &Rig, writers: &[Writer; 3], seed: u64) {
    let store = rig.store.lock();
    for writer in writers {
        let path = rig.path(writer.name).display().to_string();
        for (stream, expected) in writer.events.iter().enumerate().take(if writer.is_container { 2 } else { 1 }) {
            let of_stream = store.logs.iter().filter(|record| {
                let name = record.attribute("stream").and_then(|name| name.as_str().map(str::to_owned));
                let wanted = writer.is_container.then(|| ["stdout", "stderr"][stream].to_owned());
                record.attribute("log.file.path").and_then(|path| path.as_str().map(str::to_owned)).as_ref()
                    == Some(&path)
                    && name == wanted
            });
            let mut found: Vec<String> = of_stream
                .map(|record| match &*record.attributes {
                    [(name, value)] if &**name == "end" => format!("{{\"end\":\"{value}\"}}"),
                    _ => record.body.clone(),
                })
                .collect();
            let bare = |event: &String| {
                event.strip_prefix("{\"msg\":\"").and_then(|rest| rest.strip_suffix("\"}")).unwrap_or(event).to_owned()
            };
            let mut expected: Vec<String> = expected.iter().map(bare).collect();
            // Files of different age are read at the same time: their events may change places.
            found.sort();
            expected.sort();
            let missing: Vec<_> = expected.iter().filter(|event| !found.contains(event)).collect();
            let twice: Vec<_> =
                found.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect();
            assert_eq!(twice, Vec::<String>::new(), "seed {seed}, {path} {stream}");
            let extra: Vec<_> = found.iter().filter(|event| !expected.contains(event)).collect();
            assert_eq!(
                found.len(),
                expected.len(),
                "seed {seed}, {path} {stream}: missing {missing:?}, extra {extra:?}"
            );
            assert_eq!(found, expected, "seed {seed}, {path} {stream}: missing {missing:?}, extra {extra:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_arrives_once_and_whole_whatever_happens_to_its_file() {
    for seed in seeds(6) {
        run(seed).await;
    }
}
