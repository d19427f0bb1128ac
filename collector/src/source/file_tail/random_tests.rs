//! Writers, rotations, deletions, truncations, stops and kills in random order from a printed seed: every line arrives exactly
//! once, and those of one file in their order.

use std::collections::HashMap;
use std::fs::{self, File};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::tests::{Rig, append};
use super::*;

/// A small generator (xorshift64*), so that a seed gives the same schedule on every machine.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// One log file's writer.
#[derive(Default)]
struct Writer {
    name: &'static str,
    /// Lines written so far.
    lines: usize,
    rotations: usize,
    /// The start of a line that was written without its end.
    open_line: bool,
    /// Lines written to what bears the name now.
    lines_in_file: usize,
    /// The first line of each file that bore the name.
    files: Vec<usize>,
}

impl Writer {
    /// Writes a few lines, perhaps the last one only in part.
    fn write(&mut self, rig: &Rig, random: &mut Random) {
        if self.lines_in_file == 0 {
            self.files.push(self.lines);
        }
        let mut text = String::new();
        for _ in 0..=random.below(40) {
            if !self.open_line {
                text += &format!("{} {:06} ", self.name, self.lines);
                self.lines += 1;
                self.lines_in_file += 1;
            }
            text += &"x".repeat(random.below(60) as usize);
            self.open_line = random.below(20) == 0;
            if !self.open_line {
                text.push('\n');
            }
        }
        append(&rig.path(self.name), text.as_bytes());
    }

    fn end_line(&mut self, rig: &Rig) {
        if std::mem::take(&mut self.open_line) {
            append(&rig.path(self.name), b"\n");
        }
    }

    /// Renames the file; sometimes the next one at once as well.
    fn rotate(&mut self, rig: &Rig) {
        if self.lines_in_file == 0 {
            return;
        }
        self.end_line(rig);
        self.rotations += 1;
        fs::rename(rig.path(self.name), rig.path(&format!("{}.{}", self.name, self.rotations))).unwrap();
        self.lines_in_file = 0;
    }
}

async fn run(seed: u64) {
    let mut random = Random(seed | 1);
    let mut rig = Rig::new(Config { inotify: random.below(2) == 0, ..Config::default() });
    let mut writers = ["a.log", "b.log", "c.log"].map(|name| Writer { name, ..Writer::default() });
    rig.start();
    // A file is found again under another name by what was stored of one that bore its name: there must be one.
    for writer in &mut writers {
        writer.write(&rig, &mut random);
    }
    drained(&rig, &mut writers).await;
    for _ in 0..60 {
        let writer = &mut writers[random.below(3) as usize];
        match random.below(16) {
            0..6 => writer.write(&rig, &mut random),
            6 | 7 => {
                writer.rotate(&rig);
                writer.write(&rig, &mut random);
                if random.below(2) == 0 {
                    writer.rotate(&rig);
                    writer.write(&rig, &mut random);
                }
            }
            8 => {
                drained(&rig, &mut writers).await;
                for writer in writers.iter_mut().filter(|writer| writer.lines_in_file > 0) {
                    File::create(rig.path(writer.name)).unwrap();
                    writer.lines_in_file = 0;
                }
            }
            9 => {
                drained(&rig, &mut writers).await;
                for writer in writers.iter_mut().filter(|writer| writer.lines_in_file > 0) {
                    fs::remove_file(rig.path(writer.name)).unwrap();
                    writer.lines_in_file = 0;
                    writer.write(&rig, &mut random);
                }
                drained(&rig, &mut writers).await;
            }
            10 | 11 => {
                rig.stop().await;
                writer.write(&rig, &mut random);
                rig.start();
            }
            12 | 13 => {
                rig.kill().await;
                if random.below(2) == 0 {
                    writer.rotate(&rig);
                    writer.write(&rig, &mut random);
                }
                rig.start();
            }
            _ => tokio::time::sleep(Duration::from_millis(random.below(40))).await,
        }
    }
    drained(&rig, &mut writers).await;
    rig.stop().await;
    check(&rig, &writers, seed);
}

/// Ends open lines and waits until everything is stored.
async fn drained(rig: &Rig, writers: &mut [Writer; 3]) {
    for writer in &mut *writers {
        writer.end_line(rig);
    }
    rig.wait_for(writers.iter().map(|writer| writer.lines).sum()).await;
}

fn check(rig: &Rig, writers: &[Writer; 3], seed: u64) {
    let mut numbers: HashMap<String, Vec<usize>> = HashMap::new();
    for body in rig.bodies() {
        let mut words = body.split(' ');
        let (name, number) = (words.next().unwrap(), words.next().unwrap());
        numbers.entry(name.to_owned()).or_default().push(number.parse().unwrap());
    }
    for writer in writers {
        let mut found = numbers.remove(writer.name).unwrap_or_default();
        for (index, first) in writer.files.iter().enumerate() {
            let lines = *first..writer.files.get(index + 1).copied().unwrap_or(writer.lines);
            let of_file: Vec<_> = found.iter().copied().filter(|number| lines.contains(number)).collect();
            assert!(of_file.is_sorted(), "seed {seed}, {} from line {first}: {of_file:?}", writer.name);
        }
        found.sort_unstable();
        assert_eq!(found, (0..writer.lines).collect::<Vec<_>>(), "seed {seed}, {}", writer.name);
    }
}

/// So many seeds, made of the clock or of `TAFFRAIL_SEED`; each is printed.
pub(super) fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let from_clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
    let first = std::env::var("TAFFRAIL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(from_clock);
    (0..count).map(move |round| {
        let seed = first.wrapping_add(round * 0x9E37_79B9);
        println!("TAFFRAIL_SEED={seed}");
        seed
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_arrives_once_whatever_happens_to_its_file() {
    for seed in seeds(4) {
        run(seed).await;
    }
}
