//! What programs in containers write: numbered JSON lines of one length, wrapped as CRI does.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

use taffrail_collector::model::Timestamp;

/// Of a line as the program wrote it, as in VictoriaMetrics' benchmark of collectors.
pub const LINE_BYTES: usize = 216;

/// Of a line in the file.
pub const WRAPPED_BYTES: usize = LINE_BYTES + "2026-11-21T07:33:00.123456789Z stdout F ".len() + 1;

const PATHS: [&str; 6] = ["/cart", "/checkout", "/api/v2/prices", "/login", "/healthz", "/search?q=tea"];

/// Appends line `seq`.
pub fn put(text: &mut String, seq: u64) {
    let start = text.len();
    let now = Timestamp::now().saturating_add(Duration::from_nanos(1 + seq % 99)).to_string();
    // A number that has nothing to do with its neighbours', as trace ids have.
    let mixed = (seq + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let (level, status) = if mixed.is_multiple_of(50) { ("error", 500) } else { ("info", 200) };
    let path = PATHS[(mixed >> 8) as usize % PATHS.len()];
    let _ = write!(
        text,
        "{now:.30} stdout F {{\"time\":\"{now:.30}\",\"level\":\"{level}\",\"seq\":{seq},\"trace_id\":\"{mixed:016x}{:016x}\",\"status\":{status},\"took_ms\":{},\"message\":\"GET {path} answered to 10.0.{}.{}",
        mixed.rotate_left(23),
        mixed >> 52,
        mixed % 8,
        (mixed >> 16) % 250,
    );
    let length = start + WRAPPED_BYTES - 3;
    assert!(text.len() <= length, "{text}");
    while text.len() < length {
        text.push('.');
    }
    text.push_str("\"}\n");
}

/// Writes a file of the lines `from .. from + count`.
pub fn write_file(path: &Path, from: u64, count: u64) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).expect("create a log file"));
    let mut text = String::new();
    for seq in from..from + count {
        text.clear();
        put(&mut text, seq);
        file.write_all(text.as_bytes()).expect("write lines");
    }
    file.flush().expect("write lines");
}

/// Writes at a steady rate until it is told to stop.
pub struct Writer {
    written: AtomicU64,
    stop: AtomicBool,
}

impl Writer {
    /// One that has written nothing.
    pub fn new() -> Writer {
        Writer { written: AtomicU64::new(0), stop: AtomicBool::new(false) }
    }

    /// Lines written so far.
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Makes [`Writer::run`] return.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Writes so many lines a second, spread over the files, a hundred times a second.
    pub fn run(&self, paths: &[std::path::PathBuf], lines_per_second: u64) {
        let open = |path| OpenOptions::new().create(true).append(true).open(path).expect("open a log file");
        let mut files: Vec<File> = paths.iter().map(open).collect();
        let started = Instant::now();
        let mut text = String::new();
        for tick in 0.. {
            if self.stop.load(Relaxed) {
                return;
            }
            let due = (started.elapsed().as_secs_f64() * lines_per_second as f64) as u64;
            text.clear();
            let mut seq = self.written();
            while seq < due {
                put(&mut text, seq);
                seq += 1;
            }
            let at = tick % files.len();
            files[at].write_all(text.as_bytes()).expect("write lines");
            self.written.store(seq, Relaxed);
            sleep(Duration::from_millis(10));
        }
    }
}
